"""Specs of any size, the same every time: 100 tasks to a project, one file each."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

PER_PROJECT = 100
START = date(2027, 1, 4)

_SHARED = {
    "people.yaml": """\
kind: People
people:
  me: {name: Me, email: me@example.com, timezone: UTC, gitlab: jwp763}
""",
    "integrations.yaml": """\
kind: Integrations
linear: {enabled: true, team: MOB}
motion: {enabled: true, workspace: Personal}
gitlab: {enabled: true, project: jwp763/mobile-app}
notion: {enabled: true, parent: Work}
""",
    "settings.yaml": """\
kind: Settings
state: {backend: local}
policy: {prune: archive, max_prune: 10%, drift: propose}
""",
}


def write_specs(root: Path, tasks: int) -> None:
    """Write specs of `tasks` tasks, projects not counted, below `root/specs`."""
    projects = root / "specs" / "projects"
    projects.mkdir(parents=True)
    for name, text in _SHARED.items():
        (root / "specs" / name).write_text(text, encoding="utf-8")
    for number in range(-(-tasks // PER_PROJECT)):
        size = min(PER_PROJECT, tasks - number * PER_PROJECT)
        (projects / f"p{number:05}.yaml").write_text(_project(number, size), encoding="utf-8")


def keep_only(root: Path, platform: str) -> None:
    """Connect no platform but one."""
    path = root / "specs" / "integrations.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.startswith(("kind:", f"{platform}:"))]
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")


def change_one(root: Path) -> None:
    """Edit one field of one task."""
    path = root / "specs" / "projects" / "p00000.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("Task 7 of", "Task seven of", 1), encoding="utf-8")


def _project(number: int, size: int) -> str:
    lines = [
        "kind: Project",
        f"key: p{number:05}",
        f"name: Project {number}",
        "owner: me",
        f"start: {START}",
        f"due: {START + timedelta(days=700)}",
        "tasks:",
    ]
    for i in range(size):
        due = START + timedelta(days=200 + i)
        lines += [
            f"  t{i:03}:",
            f"    title: Task {i} of project {number}",
            "    description: |",
            f"      What task {i} is about, in a sentence that says",
            "      enough for the one who will do it.",
            f"    estimate: {1 + i % 8}h",
            f"    due: {due}",
            f"    labels: [area-{i % 7}, size-{i % 3}]",
            f"    priority: {('low', 'medium', 'high')[i % 3]}",
        ]
        if i % 10:
            lines.append(f"    depends_on: [t{i - i % 10:03}]")
    return "\n".join(lines) + "\n"

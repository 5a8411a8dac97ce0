"""`status`, `show`, `history` and `state`: what there is, where, and how it came about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sandbox._world import World
from runner.sandbox.server import Sandbox, serving
from runner.show import DriftView, PlaceView, ResourceView, resource_text
from schemas.domain import PLATFORMS, Pending
from tests.e2e.shell import Shell
from tests.specrepo import AROUND

PROJECT = """\
kind: Project
key: app
name: App
defaults: {owner: me}
milestones:
  beta: {name: Beta, due: 2027-01-31}
tasks:
  pick:
    title: Pick the stack
    due: 2026-12-05
    linear: {title: "WEB: pick the stack"}
    tasks:
      note: {title: Write down why, estimate: 30m}
  gone: {title: To be dropped}
"""


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A repo after two applies: everything made, then one title edited; one spec dropped since."""
    folder = tmp_path_factory.mktemp("repo")
    shell = Shell(folder, {"HOME": str(folder)})
    shell.git("init", "--quiet", "--initial-branch", "main")
    shell.git("config", "user.name", "Me")
    shell.git("config", "user.email", "me@example.com")
    shell.write({"specs/around.yaml": AROUND, "specs/app.yaml": PROJECT, ".gitignore": ".trueup\n"})
    with serving(World(limits=False)) as sandbox:
        shell.environment.update(sandbox.environment())
        shell.environment["TRUEUP_TODAY"] = "2026-11-24"
        shell.commit("Declare")
        shell.done("apply", "--yes")
        edited = PROJECT.replace("2026-12-05", "2026-12-07")
        shell.write({"specs/app.yaml": edited})
        shell.commit("Edit")
        shell.done("apply", "--yes")
        shell.write({"specs/app.yaml": edited.replace("  gone: {title: To be dropped}\n", "")})
        shell.commit("Drop")
        yield shell


def test_status_counts_what_is_declared_bound_and_open(applied: Shell) -> None:
    report = applied.done("status", "--json").json()
    assert report["declared"] == {"project": 1, "milestone": 1, "task": 2}
    assert report["summary"] == {"archive": 4}
    bound = {item["platform"]: item["bound"] for item in report["platforms"]}
    assert bound == {"linear": 5, "gitlab": 5, "notion": 4, "motion": 4}
    assert {item["health"] for item in report["platforms"]} == {"ok"}
    assert [run["kind"] for run in report["runs"]] == ["apply", "apply"]


def test_status_reads_well(applied: Shell) -> None:
    lines = applied.done("status").out.splitlines()
    assert lines[0].startswith("specs   1 project, 1 milestone, 2 tasks at ")
    assert lines[1].endswith(" in .trueup/state")
    assert lines[2] == "plan    4 to archive  (trueup plan)"


def test_status_before_the_first_apply(shell: Shell) -> None:
    shell.done("init")
    out = shell.done("status").out
    assert "none yet; the first apply makes it" in out
    assert "never" in out


def test_show_names_owner_and_line_of_every_field(applied: Shell) -> None:
    view = applied.done("show", "app/pick", "--json").json()
    declared = {
        (item["name"], item["only_on"]): (item["value"], item["source"]["line"])
        for item in view["fields"]
        if item["why"].startswith("the specs declare it")
    }
    assert declared == {
        ("title", ""): ("Pick the stack", 9),
        ("due", ""): ("2026-12-07", 10),
        ("owner", ""): ("me", 4),
        ("title", "linear"): ("WEB: pick the stack", 11),
    }
    assert view["source"]["file"] == "specs/app.yaml"
    assert {place["platform"] for place in view["places"]} == set(PLATFORMS)
    assert all(place["remote_id"] for place in view["places"])


def test_show_finds_the_lines_of_projects_milestones_and_subtasks(applied: Shell) -> None:
    def line(address: str, field: str) -> int:
        fields = applied.done("show", address, "--json").json()["fields"]
        return next(f["source"]["line"] for f in fields if f["name"] == field)

    assert line("app", "title") == 3
    assert line("app/milestones/beta", "due") == 6
    assert line("app/note", "estimate") == 13


def test_show_prints_urls_and_history(applied: Shell) -> None:
    out = applied.done("show", "app/pick").out
    assert "https://linear.app/" in out
    assert "due: 2026-12-05 → 2026-12-07" in out
    assert "merge_requests: none" in out
    assert "merge_requests" not in applied.done("show", "app/pick", "--offline").out


def test_show_knows_what_is_bound_but_no_longer_declared(applied: Shell) -> None:
    out = applied.done("show", "app/gone").out
    assert "no longer declared" in out
    assert "to be pruned" in out


@pytest.mark.parametrize(
    ("address", "hint"), [("app/pikc", "app/pick"), ("other/note", "app/note"), ("zzz", "list")]
)
def test_show_suggests_what_is_near(applied: Shell, address: str, hint: str) -> None:
    result = applied.trueup("show", address)
    assert result.code == 1
    assert address in result.err
    assert hint in result.err


def test_history_names_commits_newest_first(applied: Shell) -> None:
    commits = applied.git("log", "--format=%H").split()
    entries = applied.done("history", "--json").json()
    assert [entry["commit"] for entry in entries] == commits[1:]
    text = applied.done("history", "app/pick").out
    assert text.index(commits[1][:10]) < text.index(commits[2][:10])
    assert "app/note" not in text


def test_history_before_the_first_apply(shell: Shell) -> None:
    shell.done("init")
    assert shell.done("history").out == "nothing has been applied yet\n"
    assert shell.done("history", "--json").json() == []


def test_state_list_shows_every_binding(applied: Shell) -> None:
    lines = applied.done("state", "list", "--platform", "gitlab").out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "app",
        "app/gone",
        "app/milestones/beta",
        "app/note",
        "app/pick",
    ]
    assert len(applied.done("state", "list", "--json").json()) == 18


def test_state_show_gives_rows_with_json_columns_parsed(applied: Shell) -> None:
    rows = applied.done("state", "show", "app/pick").json()
    assert {row["platform"] for row in rows["bindings"]} == set(PLATFORMS)
    assert all(row["base"]["due"] == "2026-12-07" for row in rows["bindings"])
    assert rows["tasks"][0]["declared"]["title"] == "Pick the stack"
    assert applied.trueup("state", "show", "app/none").code == 1


def test_state_check_finds_nothing_wrong(applied: Shell) -> None:
    assert "sound" in applied.done("state", "check").err


def test_drift_and_what_is_unknown_are_shown() -> None:
    view = ResourceView(
        address="app/pick",
        kind="task",
        declared=True,
        source=None,
        fields=(),
        places=(
            PlaceView(
                "linear", "bound", "id", drift={"due": DriftView("2026-12-09", "2026-12-07")}
            ),
            PlaceView("notion", "pending", pending=Pending("create", "r", "2026-11-24T10:00:00Z")),
        ),
        history=(),
    )
    text = resource_text(view)
    assert "due: people made it 2026-12-09 (agreed: 2026-12-07)" in text
    assert "create begun 2026-11-24T10:00:00Z, outcome not known" in text


def test_the_sandbox_has_what_was_applied(tmp_path: Path, shell: Shell, sandbox: Sandbox) -> None:
    shell.write({"specs/around.yaml": AROUND, "specs/app.yaml": PROJECT})
    shell.done("apply", "--yes")
    titles = {item["title"] for item in sandbox.objects()["linear"] if item["marker"]}
    assert titles == {"App", "Beta", "WEB: pick the stack", "Write down why", "To be dropped"}


def test_a_state_made_before_the_first_commit_stays_the_repos_own(
    shell: Shell, sandbox: Sandbox
) -> None:
    assert sandbox
    shell.write({"specs/around.yaml": AROUND, "specs/app.yaml": PROJECT, ".gitignore": ".trueup\n"})
    shell.done("apply", "--yes")
    shell.commit("Declare")
    shell.git("remote", "add", "origin", "https://gitlab.com/jwp763/mobile-app.git")
    shell.done("apply", "--yes")
    shell.folder = shell.folder.rename(shell.folder.with_name("elsewhere"))
    shell.done("apply", "--yes")

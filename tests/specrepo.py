"""Small spec repos for tests: YAML in, diagnostics or what is desired out."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from textwrap import dedent

from runner.language.check import check
from runner.language.load import load
from runner.language.resolve import resolve
from schemas.domain import Desired, Diagnostic, Severity

TODAY = date(2026, 11, 24)

COMMON = """
kind: People
people: {me: {name: Me, email: me@example.com, gitlab: jwp763}}
---
kind: Integrations
linear: {enabled: true, team: MOB}
notion: {enabled: true, parent: Work}
"""
AROUND = """\
kind: People
people:
  me: {name: Me, email: me@example.com, gitlab: jwp763}
---
kind: Integrations
linear: {team: MOB}
motion: {workspace: Personal}
gitlab: {project: jwp763/mobile-app}
notion: {parent: Work}
"""
"""People and all four platforms: with a project beside it, a whole repo."""


def write(root: Path, project: str, common: str = COMMON) -> Path:
    """Write a repo with one project file, and people and integrations beside it."""
    (root / "specs").mkdir(exist_ok=True)
    (root / "specs" / "common.yaml").write_text(dedent(common))
    (root / "specs" / "p.yaml").write_text(dedent(project))
    return root


def problems(root: Path, today: date = TODAY) -> list[Diagnostic]:
    """Return everything that is wrong with the specs of a repo."""
    loaded = load(root)
    return [*loaded.diagnostics, *check(loaded, today)]


def codes(root: Path, severity: Severity = "error", today: date = TODAY) -> list[str]:
    """Return `line:column code` of every problem of one severity."""
    return [
        f"{item.source.line}:{item.source.column} {item.code}"
        for item in problems(root, today)
        if item.severity == severity and item.source is not None
    ]


def desired(root: Path, today: date = TODAY, commit: str = "") -> Desired:
    """Return what the specs of a repo ask for; they must be free of errors."""
    assert codes(root, today=today) == []
    return resolve(load(root), today=today, commit=commit)

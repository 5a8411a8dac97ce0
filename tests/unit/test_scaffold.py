"""What `trueup init` writes, whatever names it is given: sound specs without a warning."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import git
import pytest

from runner.config import read_config
from runner.scaffold import scaffold
from runner.workspace import Workspace
from schemas.domain import PLATFORMS

TODAY = date(2026, 11, 24)


def workspace(folder: Path, name: str = "", today: date = TODAY) -> Workspace:
    scaffold(folder, PLATFORMS, name, today)
    place = Workspace(read_config(folder, today=today.isoformat()))
    assert place.diagnostics == ()
    return place


@pytest.mark.parametrize(
    "name",
    ["Me", 'O\'Me: the "first"', "yes", "1.5", "Zoë 我", "#me", "me # two", "- me", "null", "@me"],
)
def test_any_name_of_a_person_stays_as_it_is(tmp_path: Path, name: str) -> None:
    with git.Repo.init(tmp_path) as repo:
        repo.git.config("user.name", name)
    assert workspace(tmp_path).desired.people["me"].name == name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Mobile app", "mobile-app"),
        ("  Héllo,  wörld: 100% ", "h-llo-w-rld-100"),
        ("我", "first-project"),
        ("true", "true"),
        ("2026-11-24", "2026-11-24"),
        ("x" * 200, "x" * 60),
    ],
)
def test_any_project_name_gives_a_sound_key(tmp_path: Path, name: str, key: str) -> None:
    resources = workspace(tmp_path, name).desired.resources
    assert next(iter(resources)) == key
    assert resources[key].fields["title"] == " ".join(name.split())[:1].upper() + name.strip()[
        1:
    ].replace("  ", " ")


@pytest.mark.parametrize("month", range(1, 13))
def test_the_dates_of_the_example_can_be_met_whenever_it_is_written(
    tmp_path: Path, month: int
) -> None:
    workspace(tmp_path, today=date(2027, month, 28))


def test_every_file_ends_with_a_line_break_and_has_no_trailing_blanks(tmp_path: Path) -> None:
    for path in scaffold(tmp_path, PLATFORMS, "", TODAY):
        text = (tmp_path / path).read_text(encoding="utf-8")
        assert text.endswith("\n")
        assert not [line for line in text.splitlines() if line != line.rstrip()]

"""Repeating tasks become tasks of their own, with keys that stay."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from runner.language.occurrences import occurrences
from schemas.spec import Repeat
from tests.specrepo import COMMON, desired, write

TUESDAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("repeat", "horizon", "expected"),
    [
        (Repeat(every="day"), 2, ["@2026-11-24", "@2026-11-25", "@2026-11-26"]),
        (Repeat(every="week"), 14, ["@2026-W48", "@2026-W49", "@2026-W50"]),
        (
            Repeat(every="week", days=["thu", "mon"]),
            7,
            ["@2026-W48-mon", "@2026-W48", "@2026-W49-mon"],
        ),
        (Repeat(every="week", until="2026-12-01"), 28, ["@2026-W48", "@2026-W49"]),
        (Repeat(every="month"), 40, ["@2026-11", "@2026-12", "@2027-01"]),
        (Repeat(every="month", day=31, until="2026-12-30"), 60, ["@2026-11"]),
        (Repeat(every="day", until="2026-11-01"), 28, []),
    ],
)
def test_occurrences_within_the_horizon(repeat: Repeat, horizon: int, expected: list[str]):
    assert [key for key, _ in occurrences(repeat, TUESDAY, horizon, None)] == expected


def test_the_year_of_a_week_is_the_one_it_belongs_to():
    found = list(occurrences(Repeat(every="week"), date(2026, 12, 29), 7, None))
    assert found == [("@2026-W53", date(2026, 12, 28)), ("@2027-W01", date(2027, 1, 4))]


def test_short_months_have_a_last_day():
    days = [
        day for _, day in occurrences(Repeat(every="month", day=31), date(2027, 1, 31), 60, None)
    ]
    assert days == [date(2027, 1, 31), date(2027, 2, 28), date(2027, 3, 31)]


def test_the_present_week_stays_until_it_is_over():
    keys = [
        [key for key, _ in occurrences(Repeat(every="week"), date(2026, 11, day), 0, None)]
        for day in (23, 29, 30)
    ]
    assert keys == [["@2026-W48"], ["@2026-W48"], ["@2026-W49"]]


def test_an_occurrence_is_a_task_with_its_subtasks(tmp_path: Path):
    project = """\
kind: Project
key: home
name: Home
start: 2026-11-30
tasks:
  review:
    title: Review
    start: 2026-12-01
    repeat: {every: week, days: [wed]}
    tasks:
      inbox: {title: Inbox, depends_on: [desk, top]}
      desk: {title: Desk}
  top: {title: Top}
moved: {check: review}
"""
    settings = "---\nkind: Settings\npolicy: {horizon: 10}\n"
    result = desired(write(tmp_path, project, COMMON + settings))
    resources = result.resources
    assert list(resources) == [
        "home",
        "home/review@2026-W49",
        "home/inbox@2026-W49",
        "home/desk@2026-W49",
        "home/top",
    ]
    assert resources["home/review@2026-W49"].fields == {
        "title": "Review",
        "due": "2026-12-02",
        "parent": None,
    }
    assert resources["home/inbox@2026-W49"].fields == {
        "title": "Inbox",
        "parent": "home/review@2026-W49",
        "depends_on": ("home/desk@2026-W49", "home/top"),
    }
    assert resources["home/review@2026-W49"].source.line == 6
    assert result.moved == {"home/check@2026-W49": "home/review@2026-W49"}

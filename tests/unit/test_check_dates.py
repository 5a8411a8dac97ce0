"""Dates that cannot be, and deadlines that cannot be met."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.specrepo import codes, problems, write

HEAD = "kind: Project\nkey: app\nname: App\nstart: 2026-12-01\ndue: 2026-12-11\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("tasks: {a: {title: A, start: 2026-12-09, due: 2026-12-08}}\n", "6:47 due-before-start"),
        ("tasks: {a: {title: A, due: 2026-12-12}}\n", "6:28 after-project"),
        ("tasks: {a: {title: A, start: 2026-11-30}}\n", "6:30 before-project"),
        ("milestones: {m: {name: M, due: 2027-01-01}}\n", "6:32 after-project"),
        (
            "tasks: {a: {title: A, repeat: {every: day, days: [mon]}}}\n",
            "6:44 repeat-field",
        ),
        ("tasks: {a: {title: A, repeat: {every: week, day: 3}}}\n", "6:45 repeat-field"),
        (
            "tasks: {a: {title: A, due: 2026-12-02, repeat: {every: week}}}\n",
            "6:28 repeat-date",
        ),
        (
            "tasks: {a: {title: A, repeat: {every: week, until: 2026-11-01}}}\n",
            "6:52 due-before-start",
        ),
        (
            "tasks: {a: {title: A, repeat: {every: week}}, b: {title: B, depends_on: [a]}}\n",
            "6:74 depends-on-repeat",
        ),
        (
            "tasks: {a: {title: A, repeat: {every: week},"
            " tasks: {b: {title: B, repeat: {every: day}}}}}\n",
            "6:68 repeat-nested",
        ),
    ],
)
def test_impossible_dates_are_errors(tmp_path: Path, body: str, expected: str):
    write(tmp_path, HEAD + body)
    assert codes(tmp_path) == [expected]


def test_a_missed_deadline_names_the_critical_path(tmp_path: Path):
    body = "tasks:\n  a: {title: A, estimate: 1w}\n  b: {title: B, estimate: 5d, depends_on: [a]}\n"
    write(tmp_path, HEAD + body + "  c: {title: C, estimate: 1d}\n")
    (problem,) = problems(tmp_path)
    assert (problem.severity, problem.code) == ("warning", "deadline")
    assert problem.message == (
        "the project is due on 2026-12-11, but cannot be done before 2026-12-14: a (1w) → b (1w)"
    )
    assert problem.hint.startswith("2w of work")
    assert str(problem.source) == "specs/p.yaml:5:6"


def test_work_that_just_fits_is_no_problem(tmp_path: Path):
    body = "tasks:\n  a: {title: A, estimate: 1w}\n  b: {title: B, estimate: 4d, depends_on: [a]}\n"
    write(tmp_path, HEAD + body)
    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        (
            "milestones: {m: {name: M, due: 2026-12-02}}\n"
            "tasks: {a: {title: A, estimate: 3d, milestone: m}}\n",
            "6:32",
            "the milestone `m` is due on 2026-12-02, but cannot be done before 2026-12-03: a (3d)",
        ),
        (
            "defaults: {estimate: 3d}\ntasks: {a: {title: A, due: 2026-12-02}}\n",
            "7:28",
            "`a` is due on 2026-12-02, but cannot be done before 2026-12-03: a (3d)",
        ),
        (
            "tasks: {a: {title: A, due: 2026-12-03, tasks: {b: {title: B, estimate: 4d}}}}\n",
            "6:28",
            "`a` is due on 2026-12-03, but cannot be done before 2026-12-04: b (4d)",
        ),
        (
            "tasks: {a: {title: A, start: 2026-12-10, estimate: 3d}}\n",
            "5:6",
            "the project is due on 2026-12-11, but cannot be done before 2026-12-14: a (3d)",
        ),
    ],
)
def test_every_kind_of_deadline_is_checked(tmp_path: Path, body: str, place: str, words: str):
    write(tmp_path, HEAD + body)
    (problem,) = problems(tmp_path)
    assert (str(problem.source), problem.message) == (f"specs/p.yaml:{place}", words)


def test_one_missed_deadline_is_told_once(tmp_path: Path):
    body = "tasks:\n  a: {title: A, estimate: 3w, due: 2026-12-04}\n"
    body += "  b: {title: B, estimate: 1d, due: 2026-12-07, depends_on: [a]}\n"
    write(tmp_path, HEAD + body)
    assert codes(tmp_path, "warning") == ["7:36 deadline"]


def test_work_left_cannot_begin_before_today(tmp_path: Path):
    write(tmp_path, HEAD + "tasks: {a: {title: A, estimate: 3d}}\n")
    assert codes(tmp_path, "warning", date(2026, 12, 9)) == []
    assert codes(tmp_path, "warning", date(2026, 12, 10)) == ["5:6 deadline"]


def test_a_deadline_that_has_passed_is_judged_as_planned(tmp_path: Path):
    write(tmp_path, HEAD + "tasks: {a: {title: A, estimate: 3d}}\n")
    assert codes(tmp_path, "warning", date(2027, 6, 1)) == []
    write(tmp_path, HEAD + "tasks: {a: {title: A, estimate: 3w}}\n")
    assert codes(tmp_path, "warning", date(2027, 6, 1)) == ["5:6 deadline"]


def test_work_that_is_done_needs_no_time(tmp_path: Path):
    write(tmp_path, HEAD + "tasks: {a: {title: A, estimate: 3w, status: done}}\n")
    assert problems(tmp_path) == []


def test_dependencies_on_other_projects_count(tmp_path: Path):
    other = "---\nkind: Project\nkey: web\nname: Web\ntasks: {x: {title: X, estimate: 3w}}\n"
    write(tmp_path, HEAD + "tasks: {a: {title: A, estimate: 1d, depends_on: [web/x]}}\n" + other)
    (problem,) = problems(tmp_path)
    assert problem.message.endswith("web/x (3w) → a (1d)")

"""Working days, and what decides when work is finished."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from runner.language.timeline import DAY, Work, last_day, minutes_until, schedule

FRIDAY = date(2026, 12, 4)


@pytest.mark.parametrize(
    ("begin", "minutes", "finish"),
    [
        (FRIDAY, 60, FRIDAY),
        (FRIDAY, DAY, FRIDAY),
        (FRIDAY, DAY + 1, date(2026, 12, 7)),
        (date(2026, 12, 5), DAY, date(2026, 12, 7)),
        (date(2026, 12, 6), 5 * DAY, date(2026, 12, 11)),
        (date(2026, 12, 1), 10 * DAY, date(2026, 12, 14)),
    ],
)
def test_work_is_done_on_working_days(begin: date, minutes: int, finish: date):
    assert last_day(minutes_until(begin) + minutes) == finish


def test_every_working_day_comes_back():
    days = [date(2026, 1, 1) + timedelta(days=offset) for offset in range(800)]
    working = [day for day in days if day.weekday() < 5]
    assert [last_day(minutes_until(day) + 1) for day in working] == working


def test_the_longest_chain_decides():
    works = [
        Work("a", 60, 0),
        Work("b", 120, 0),
        Work("c", 30, 0, after=("a", "b")),
        Work("d", 0, 0, after=("c",)),
        Work("e", 10, 0, after=("d",)),
    ]
    timeline = schedule(works)
    assert timeline.finish("e") == 160
    assert [work.address for work in timeline.back("e")] == ["e", "c", "b"]


def test_subtasks_begin_with_their_parent_and_end_before_it():
    works = [Work("p", 0, 0, after=("a",)), Work("c", 60, 0, "p"), Work("a", 30, 0)]
    works.append(Work("n", 5, 0, after=("p",)))
    timeline = schedule(works)
    assert (timeline.finish("c"), timeline.finish("p"), timeline.finish("n")) == (90, 90, 95)


def test_cycles_are_found_and_the_rest_is_still_timed():
    works = [Work("a", 1, 0, after=("b",)), Work("b", 1, 0, after=("a",)), Work("c", 7, 0)]
    timeline = schedule(works)
    assert timeline.cycles == [["a", "b", "a"]]
    assert timeline.finish("c") == 7


def test_long_chains_need_no_recursion():
    works = [Work(f"t{n}", 1, 0, after=(f"t{n + 1}",)) for n in range(50_000)]
    assert schedule(works).finish("t0") == 50_000

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runner.journal import Entry, Journal, leftovers, read
from runner.schedule import Schedule, Stop
from schemas.domain import KNOWN_AFTER_APPLY, Action, Change, FieldChange, Outcome, Status
from schemas.errors import StateError

LINKABLE = ("linear", "gitlab")


def change(
    name: str,
    *after: str,
    on: str = "linear",
    links: bool = False,
    action: Action = "create",
) -> Change:
    fields = (FieldChange("counterparts", None, KNOWN_AFTER_APPLY),) if links else ()
    return Change(action, name, "task", on, "marker", "declared", fields, after=after)


def settle(schedule: Schedule, item: Change, status: Status = "applied") -> None:
    schedule.settle(item, Outcome(item.id, status))


def drain(schedule: Schedule, on: str = "linear") -> list[str]:
    names: list[str] = []
    while schedule.peek(on):
        names.append(schedule.take(on).address)
    return names


# Order


def test_what_needs_nothing_is_ready_at_once_and_handed_out_once() -> None:
    schedule = Schedule([change("a"), change("b"), change("a", on="gitlab")], LINKABLE)
    assert drain(schedule) == ["a", "b"]
    assert drain(schedule, "gitlab") == ["a"]
    assert drain(schedule) == []


def test_a_change_waits_for_all_that_it_needs() -> None:
    a, b, c = change("a"), change("b"), change("c", "a", "b")
    schedule = Schedule([a, b, c], LINKABLE)
    assert drain(schedule) == ["a", "b"]
    settle(schedule, a)
    assert drain(schedule) == []
    settle(schedule, b)
    assert drain(schedule) == ["c"]


def test_what_is_not_in_the_plan_is_not_waited_for() -> None:
    assert drain(Schedule([change("a", "long-there")], LINKABLE)) == ["a"]


def test_a_need_named_twice_is_one() -> None:
    a = change("a")
    schedule = Schedule([a, change("b", "a", "a")], LINKABLE)
    drain(schedule)
    settle(schedule, a)
    assert drain(schedule) == ["b"]


def test_an_assumed_change_frees_its_own_platform_only_and_only_once() -> None:
    a, b = change("a"), change("b", "a")
    page = change("a", on="notion", links=True)
    schedule = Schedule([a, b, page], LINKABLE)
    schedule.take("linear")
    schedule.assume(a)
    assert drain(schedule) == ["b"]
    assert drain(schedule, "notion") == []
    settle(schedule, a)
    assert drain(schedule) == []
    assert drain(schedule, "notion") == ["a"]


@pytest.mark.parametrize("status", ["failed", "unknown", "skipped"])
def test_what_a_change_needed_and_did_not_get_blocks_it(status: Status) -> None:
    a, b = change("a"), change("b", "a")
    schedule = Schedule([a, b, change("a", on="gitlab")], LINKABLE)
    drain(schedule)
    settle(schedule, a, status)
    assert drain(schedule) == ["b"]
    assert schedule.blocked_by(b) == "a"


def test_what_was_made_on_one_platform_only_blocks_nobody_on_another() -> None:
    schedule = Schedule([change("a"), change("b", "a", on="gitlab")], LINKABLE)
    settle(schedule, change("a"), "failed")
    assert schedule.blocked_by(change("b", "a", on="gitlab")) == ""


def test_a_settled_change_wakes_its_platform_and_those_that_waited() -> None:
    issue, page = change("a"), change("a", on="notion", links=True)
    schedule = Schedule([issue, page], LINKABLE)
    drain(schedule)
    settle(schedule, issue)
    assert schedule.wake["linear"].is_set()
    assert schedule.wake["notion"].is_set()


# Links


def test_a_page_waits_for_the_urls_that_it_shows() -> None:
    linear, gitlab = change("a"), change("a", on="gitlab")
    page = change("a", on="notion", links=True)
    schedule = Schedule([linear, gitlab, page], LINKABLE)
    settle(schedule, linear)
    assert drain(schedule, "notion") == []
    settle(schedule, gitlab)
    assert drain(schedule, "notion") == ["a"]
    assert not schedule.lacks_links(page)


def test_a_page_does_not_wait_for_platforms_without_urls_nor_for_updates() -> None:
    page = change("a", on="notion", links=True)
    others = [change("a", on="motion"), change("a", on="gitlab", action="update")]
    assert drain(Schedule([*others, page], LINKABLE), "notion") == ["a"]


def test_two_that_show_each_other_do_not_wait_for_each_other() -> None:
    pages = [change("a", on=on, links=True) for on in LINKABLE]
    schedule = Schedule(pages, LINKABLE)
    assert [drain(schedule, on) for on in LINKABLE] == [["a"], ["a"]]


def test_a_page_that_no_longer_waits_lacks_its_links_until_they_come() -> None:
    issue, page = change("a"), change("a", on="notion", links=True)
    schedule = Schedule([issue, page], LINKABLE)
    schedule.stop_waiting_for_links("notion")
    assert drain(schedule, "notion") == ["a"]
    assert schedule.lacks_links(page)
    settle(schedule, issue)
    assert drain(schedule, "notion") == []
    assert not schedule.lacks_links(page)


def test_what_waits_on_its_own_platform_too_goes_on_waiting() -> None:
    parent, child = change("p", on="notion"), change("a", "p", on="notion", links=True)
    schedule = Schedule([parent, child, change("a")], LINKABLE)
    drain(schedule, "notion")
    schedule.stop_waiting_for_links("notion")
    assert drain(schedule, "notion") == []
    settle(schedule, parent)
    schedule.stop_waiting_for_links("notion")
    assert drain(schedule, "notion") == ["a"]


def test_links_that_could_not_be_made_are_lacking() -> None:
    issue, page = change("a"), change("a", on="notion", links=True)
    schedule = Schedule([issue, page], LINKABLE)
    settle(schedule, issue, "failed")
    assert drain(schedule, "notion") == ["a"]
    assert schedule.lacks_links(page)


# Stopping


def test_the_first_reason_to_stop_counts() -> None:
    stop = Stop()
    assert stop.why == ""
    stop.pull("interrupted")
    stop.pull("another part of the run failed")
    assert stop.why == "interrupted"
    assert stop.pulled.is_set()


def test_a_lost_lease_is_a_reason_to_stop() -> None:
    ours = [True]
    stop = Stop(lambda: ours[0])
    assert stop.why == ""
    ours[0] = False
    assert stop.why == "the lease was lost"
    assert stop.pulled.is_set()


# The journal


def entry(name: str) -> Entry:
    return Entry("2026-11-24T10:00:00.000000Z", change(name), Outcome(f"linear:{name}", "applied"))


def test_a_journal_gives_back_what_was_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "r1")
    journal.append([entry("a"), entry("b")])
    journal.append([entry("ü\u2028ü")])
    journal.close(discard=False)
    ((path, entries),) = leftovers(tmp_path / "journal")
    assert entries == [entry("a"), entry("b"), entry("ü\u2028ü")]
    assert path.stem == "r1"


def test_a_journal_that_is_not_needed_any_more_is_gone(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "r1")
    journal.append([entry("a")])
    journal.close(discard=True)
    assert leftovers(tmp_path) == []


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "r1")
    journal.append([entry("a"), entry("b")])
    journal.close(discard=False)
    text = journal.path.read_bytes()
    for length in range(len(text)):
        journal.path.write_bytes(text[:length])
        assert read(journal.path) == [entry("a"), entry("b")][: text[: length + 1].count(b"\n")]


def test_a_line_that_did_not_fit_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, "r1")
    write = os.write
    with monkeypatch.context() as patch:

        def full(file: int, data: bytes) -> int:
            if len(data) > 40:
                return write(file, data[:40])
            raise OSError(28, "No space left on device")

        patch.setattr(os, "write", full)
        with pytest.raises(StateError, match="No space left"):
            journal.append([entry("a")])
    journal.append([entry("b")])
    journal.close(discard=False)
    assert read(journal.path) == [entry("b")]
    assert json.loads(journal.path.read_text(encoding="utf-8"))

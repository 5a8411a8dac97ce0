from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from runner.lease import leased
from runner.state import local_writer
from runner.state.commits import LEASE_SECONDS, turn
from runner.state.contract import Merged, ResourceRow
from runner.state.databricks_writer import DatabricksWriter
from runner.state.spark import SparkWriter
from schemas.errors import StateLocked
from schemas.tables import Table
from tests.unit.states import RUN, binding, log, reader, writer

TEN = "2026-11-24T10:00:00Z"
SOON = "2026-11-24T10:00:30Z"
LATER = "2026-11-24T10:01:01Z"


def test_the_lease_is_taken_renewed_and_given_back(tmp_path: Path) -> None:
    state = writer(tmp_path)
    taken = state.acquire_lease("r1", "me@here", 60, TEN)
    assert (taken.who, taken.since, taken.until) == ("me@here", TEN, "2026-11-24T10:01:00Z")
    assert reader(tmp_path).lease() == taken
    renewed = state.renew_lease(60, SOON)
    assert renewed == replace(taken, until="2026-11-24T10:01:30Z")
    assert reader(tmp_path).lease() == renewed
    state.release_lease()
    assert reader(tmp_path).lease() is None
    assert writer(tmp_path).acquire_lease("r2", "me", 60, TEN).fence > taken.fence


def test_the_loser_is_told_who_holds_it_since_when_and_what_to_do(tmp_path: Path) -> None:
    writer(tmp_path).acquire_lease("r1", "me@here", 60, TEN)
    with pytest.raises(StateLocked, match=f"me@here holds the lease since {TEN}") as caught:
        writer(tmp_path).acquire_lease("r2", "me@there", 60, SOON)
    assert "trueup state unlock" in caught.value.hint


def test_a_lease_that_nobody_renewed_is_taken_over(tmp_path: Path) -> None:
    first, second = writer(tmp_path), writer(tmp_path)
    first.acquire_lease("r1", "me@here", 60, TEN)
    second.acquire_lease("r2", "me@there", 60, LATER)
    with pytest.raises(StateLocked, match="me@there"):
        first.renew_lease(60, LATER)
    first.release_lease()
    lease = reader(tmp_path).lease()
    assert lease is not None
    assert lease.run_id == "r2"


def test_a_lease_that_expired_and_that_nobody_took_can_be_renewed(tmp_path: Path) -> None:
    state = writer(tmp_path)
    state.acquire_lease("r1", "me", 60, TEN)
    assert state.renew_lease(60, LATER).until == "2026-11-24T10:02:01Z"


def test_a_stale_holder_cannot_write_any_more(tmp_path: Path) -> None:
    stale, fresh = writer(tmp_path), writer(tmp_path)
    stale.acquire_lease("r1", "me@here", 60, TEN)
    stale.save_bindings([binding("a/b")], RUN)
    fresh.acquire_lease("r2", "me@there", 60, LATER)
    with pytest.raises(StateLocked, match="taken away"):
        stale.save_bindings([binding("a/c")], RUN)
    with pytest.raises(StateLocked, match="taken away"):
        stale.save_resources([ResourceRow("a", "project")], RUN)
    assert stale.append_logs([log("r1", 0, "a/b")], RUN) == 1  # what was done is still told
    fresh.save_bindings([binding("a/d")], RUN)
    assert [b.address for b in reader(tmp_path).bindings()] == ["a/b", "a/d"]


def test_a_commit_that_was_under_way_when_the_lease_was_taken_over_fails(tmp_path: Path) -> None:
    stale, fresh = writer(tmp_path), writer(tmp_path)
    stale.acquire_lease("r1", "me@here", 60, TEN)
    merge = local_writer._merge  # pyright: ignore[reportPrivateUsage]
    turns = iter([True])

    def late(found: DeltaTable, table: Table, *rest: Any) -> Merged:
        if table.name == "bindings" and next(turns, False):
            fresh.acquire_lease("r2", "me@there", 60, LATER)
        return merge(found, table, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_writer, "_merge", late)
        with pytest.raises(StateLocked, match="taken away"):
            stale.save_bindings([binding("a/c")], RUN)
    assert next(turns, None) is None
    assert reader(tmp_path).bindings() == []


def test_a_renewal_that_waits_for_a_slow_commit_is_noticed_before_anybody_may_take_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_writer.LocalWriter, "lease_seconds", 0.6)
    state = writer(tmp_path)
    with leased(state, "r1", tmp_path / "lease.lock", wait=0) as holder:
        assert holder.holds()
        with turn(tmp_path / "state", "", alone=True):  # Spark commits, and takes its time
            _wait_until(lambda: not holder.holds())
            held = state.lease()
            assert held is not None
            assert datetime.fromisoformat(held.until).timestamp() <= time.time()
        # Nobody took it over in the meantime.
        _wait_until(holder.holds)
        assert state.save_bindings([binding("a/b")], RUN).inserted == 1
    assert reader(tmp_path).lease() is None
    assert SparkWriter.lease_seconds == DatabricksWriter.lease_seconds == 3 * LEASE_SECONDS


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_breaking_the_lease_stops_its_holder(tmp_path: Path) -> None:
    state = writer(tmp_path)
    assert state.break_lease() is None
    taken = state.acquire_lease("r1", "me@here", 60, TEN)
    assert writer(tmp_path).break_lease() == taken
    assert state.lease() is None
    with pytest.raises(StateLocked, match="taken away"):
        state.renew_lease(60, SOON)
    with pytest.raises(StateLocked, match="taken away"):
        state.save_bindings([binding("a/b")], RUN)
    assert writer(tmp_path).acquire_lease("r2", "me", 60, SOON).fence > taken.fence + 1


def test_without_a_lease_nothing_is_fenced(tmp_path: Path) -> None:
    writer(tmp_path).acquire_lease("r1", "me", 60, TEN)
    assert writer(tmp_path).save_bindings([binding("a/b")], RUN).inserted == 1


def test_a_lease_whose_row_is_gone_is_made_anew(tmp_path: Path) -> None:
    state = writer(tmp_path)
    state.acquire_lease("r1", "me", 60, TEN)
    state.delete("runs", [("lease",)], RUN)
    assert state.lease() is None
    assert writer(tmp_path).acquire_lease("r2", "me", 60, TEN).held


def test_of_two_processes_that_start_at_once_exactly_one_wins_each_time(tmp_path: Path) -> None:
    folders = [tmp_path / str(turn) for turn in range(20)]
    for folder in folders:
        writer(folder)
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        gate = manager.Barrier(2)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            races = [pool.submit(_race, folders, name, gate) for name in ("a", "b")]
            first, second = (race.result(timeout=60) for race in races)
    assert [a + b for a, b in zip(first, second, strict=True)] == [1] * 20
    for folder in folders:
        lease = reader(folder).lease()
        assert lease is not None
        assert lease.fence == 1


def _race(folders: list[Path], name: str, gate: threading.Barrier) -> list[int]:
    """Try for the lease in every folder; return 1 where it was won, 0 where it was lost."""
    won: list[int] = []
    for folder in folders:
        state = writer(folder)
        gate.wait(timeout=30)
        try:
            state.acquire_lease(name, name, 60, TEN)
            won.append(1)
        except StateLocked:
            won.append(0)
    return won

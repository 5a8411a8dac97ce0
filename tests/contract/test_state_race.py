"""Two processes on two engines write to the same tables at once: nothing is lost, ever."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from deltalake import DeltaTable

from runner.state import check_state
from runner.state.contract import Commit, ResourceRow
from runner.state.local import LocalTables
from runner.state.local_writer import LocalWriter
from runner.state.store import Reader, Writer
from tests.contract import engines
from tests.contract.engines import Spark
from tests.unit.states import binding, log

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("spark")]
spark_engine = engines.spark_engine
PATIENCE = 600
"""Seconds that one waits for the other; a busy machine is slow."""


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_two_engines_that_commit_at_once_lose_nothing(
    spark_engine: Spark, tmp_path: Path, rounds: int
) -> None:
    folder = spark_engine.founded(tmp_path / "state")
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        gate = manager.Barrier(2)
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            theirs = pool.submit(_write_locally, folder, rounds, gate)
            _write(Writer(spark_engine.table_writer(folder)), "spark", 1, rounds, gate)
            theirs.result(timeout=PATIENCE)
    state = Reader(LocalTables(folder))
    assert len(state.bindings()) == 4 * rounds + 1
    assert len(state.read("sync_logs")) == 4 * rounds
    assert [item.code for item in check_state(state) if item.severity == "error"] == []
    assert {entry.run_id for entry in state.history()} == {"local", "spark"}
    assert DeltaTable(str(folder / "sync_logs")).version() >= 4 * rounds


def _write_locally(folder: Path, rounds: int, gate: threading.Barrier) -> None:
    _write(Writer(LocalWriter(folder)), "local", 3, rounds, gate)


def _write(state: Writer, name: str, each: int, rounds: int, gate: threading.Barrier) -> None:
    """Commit in every round when the other does too; delta-rs, being faster, more often."""
    run = Commit(name, action="apply")
    for turn in range(rounds):
        gate.wait(timeout=PATIENCE)
        for i in range(each):
            address = f"{name}/t{turn}-{i}"
            state.save_bindings([binding(address)], run)
            state.save_bindings([binding("both", fingerprint=name)], run)
            state.save_resources([ResourceRow(address, "task")], run)
            state.append_logs([log(name, turn * each + i, address)], run)

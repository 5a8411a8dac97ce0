"""What the state costs a plan, an apply and `trueup history`, on delta-rs.

Run as a program it is the measurements of one state, in a process of its own:
`python -m bench.state FOLDER`. Each is the median of several; what is measured is repeated once
beforehand, since the first time imports the engine.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench import scale
from runner.state.contract import Commit, LogRow
from runner.state.local import LocalTables
from runner.state.local_writer import LocalWriter
from runner.state.store import Reader, Writer
from schemas.domain import Binding

TASKS = 10_000
OUTCOMES = 1_000
RUNS = 1_000
TIMES = 7
NOW = "2026-11-24T10:00:00Z"


def measure(folder: Path) -> dict[str, object]:
    """Return seconds and processor seconds by what was done, and by how much a run grows logs."""
    scale.write_state(folder / "state", TASKS)
    wanted = list(scale.wanted(TASKS, changed=1))
    state = Writer(LocalWriter(folder / "state"))
    bound = [
        replace(item, updated_at=NOW)
        for item in Reader(LocalTables(folder / "state")).bindings(
            f"p{n // 100:05}/t{n % 100:03}" for n in range(OUTCOMES // len(scale.PLATFORMS))
        )
    ]
    found = {
        "open, diff with one change": _timed(lambda _: _diff(folder / "state", wanted)),
        "commit 1,000 outcomes": _timed(lambda turn: _commit(state, turn, bound)),
        "append 1,000 operations": _timed(lambda turn: _append(state, turn, OUTCOMES)),
    }
    engine = LocalWriter(folder / "runs")
    engine.ensure()
    past = Writer(engine)
    sizes: list[int] = []
    for turn in range(RUNS):
        _commit(past, turn, bound[:1])
        _append(past, turn, 1)
        if turn + 1 in (RUNS // 2, RUNS):
            sizes.append(_log_bytes(folder / "runs"))
    reader = Reader(LocalTables(folder / "runs"))
    found |= {
        "history, the latest 20 of 1,000": _timed(lambda _: reader.history()),
        "history of 1,000 runs": _timed(lambda _: reader.history(limit=RUNS)),
    }
    return {"seconds": found, "log": (sizes[1] - sizes[0]) / (RUNS - RUNS // 2)}


def _diff(folder: Path, wanted: list[tuple[str, str, str]]) -> None:
    diff = Reader(LocalTables(folder)).diff(wanted)
    if len(diff.changed) != 1 or diff.missing or diff.gone:
        raise SystemExit(f"{len(diff.changed)} bindings differ, and 1 should")


def _commit(state: Writer, turn: int, bound: list[Binding]) -> None:
    run = Commit(f"run-{turn:05}", "c0ffee", "apply")
    state.save_bindings([replace(item, revision=str(turn)) for item in bound], run)


def _append(state: Writer, turn: int, count: int) -> None:
    run = Commit(f"run-{turn:05}", "c0ffee", "apply")
    rows = [
        LogRow(run.run_id, i, f"p/t{i}", "linear", "update", "applied", ended_at=NOW)
        for i in range(count)
    ]
    state.append_logs(rows, run)


def _timed(do: Callable[[int], object]) -> tuple[float, float]:
    """Return the median seconds and processor seconds of doing it."""
    do(TIMES)
    times: list[tuple[float, float]] = []
    for turn in range(TIMES):
        started, busy = time.perf_counter(), time.process_time()
        do(turn)
        times.append((time.perf_counter() - started, time.process_time() - busy))
    wall, processor = zip(*times, strict=True)
    return statistics.median(wall), statistics.median(processor)


def _log_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/_delta_log/*"))


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))

"""A state of any size, made in bulk, and what it costs to compare all of it with what is wanted.

Run as a program it is one measurement, alone in its process:
`python -m bench.scale ENGINE FOLDER TASKS`.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

PLATFORMS = ("gitlab", "linear", "motion", "notion")
CHANGED = 1_000

_LATER = ("drift", "pending", "edits", "echo")
"""Columns that are null where nothing is amiss."""

_BINDINGS = """
SELECT 'p' || lpad(CAST(n / 100 AS VARCHAR), 5, '0') || '/t' || lpad(CAST(n % 100 AS VARCHAR), 3,
    '0') AS address, p.platform, 'task' AS kind, md5('id' || CAST(n AS VARCHAR)) AS resource_id,
  p.platform || '-' || CAST(n AS VARCHAR) AS remote_id,
  'https://' || p.platform || '.example.com/' || CAST(n AS VARCHAR) AS url,
  '{{"description":"What the task is about, in a sentence that says enough for the one who will'
    || ' do it.","due":"2027-01-04","estimate":120,"labels":["area-1","size-2"],"title":"Task '
    || CAST(n AS VARCHAR) || '"}}' AS base,
  md5(CAST(n AS VARCHAR) || p.platform) AS desired_hash, '1' AS revision,
  {nulls},
  arrow_cast('2026-11-24T10:00:00', 'Timestamp(Microsecond, Some("UTC"))') AS updated_at,
  'bench' AS run_id
FROM (SELECT value AS n FROM generate_series(0, {last}))
CROSS JOIN (VALUES ('gitlab'), ('linear'), ('motion'), ('notion')) AS p(platform)
"""


def write_state(folder: Path, tasks: int) -> None:
    """Make a state in which `tasks` tasks are bound on four platforms; no row passes Python."""
    from deltalake import DeltaTable, QueryBuilder, write_deltalake

    from runner.state.local_writer import LocalWriter

    LocalWriter(folder).ensure()
    nulls = ", ".join(f"CAST(NULL AS VARCHAR) AS {name}" for name in _LATER)
    rows = QueryBuilder().execute(_BINDINGS.format(nulls=nulls, last=tasks - 1))
    write_deltalake(DeltaTable(str(folder / "bindings")), rows, mode="append")


def wanted(tasks: int, changed: int = CHANGED) -> Iterator[tuple[str, str, str]]:
    """Yield what the state holds, with another fingerprint for `changed` of the rows."""
    every = max(1, tasks * len(PLATFORMS) // changed)
    place = 0
    for n in range(tasks):
        address = f"p{n // 100:05}/t{n % 100:03}"
        for platform in PLATFORMS:
            digest = hashlib.md5(f"{n}{platform}".encode(), usedforsecurity=False).hexdigest()
            yield address, platform, digest if place % every else "changed"
            place += 1


def measure(engine: str, folder: Path, tasks: int) -> dict[str, float]:
    """Compare once; return seconds, processor seconds and MB.

    What it takes to say what is wanted is not counted.
    """
    started, busy = time.monotonic(), time.process_time()
    for _ in wanted(tasks):
        pass
    asking, asking_busy = time.monotonic() - started, time.process_time() - busy
    if engine == "spark":
        from runner.state.session import open_session
        from runner.state.spark import Place, SparkTables

        tables = SparkTables(open_session(lambda name: os.environ.get(name, "")), Place(folder))
        tables.properties()
    else:
        from runner.state.local import LocalTables

        tables = LocalTables(folder)
    me = psutil.Process()
    children = me.children(recursive=True)
    busy = _busy([me, *children])
    started = time.monotonic()
    found = tables.compare(wanted(tasks))
    seconds = time.monotonic() - started - asking
    spent = _busy([me, *children]) - busy - asking_busy
    if found.bound != tasks * len(PLATFORMS) or len(found.rows["address"]) != CHANGED:
        raise SystemExit(f"{engine} found {len(found.rows['address'])} of {found.bound} to differ")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    memory += sum(child.memory_info().rss for child in children) / 2**20
    return {"seconds": seconds, "busy": spent, "memory": memory}


def _busy(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(item.user + item.system for item in times)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))

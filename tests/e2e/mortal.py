"""Runs `trueup` in forked processes that die where they are told to.

The parent has imported everything, so that each run starts in a moment. It reads a job a line:

    {"folder": ..., "environment": {...}, "arguments": [...], "output": FILE,
     "die": {"at": "commit", "when": "before", "number": 3}, "leap": true}

answers with the id of the process, waits for a line before it lets it go, and answers with how
it ended. Without `die`, the places where it could have died are counted and written below the
output. With `leap`, its pauses pass in no time.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas.domain import PLATFORMS

JOURNAL = ".jsonl"
NEEDED = (
    "deltalake",
    "httpx",
    "yaml",
    "runner.cli",
    "runner.operate",
    "runner.workspace",
    "runner.state.local",
    "runner.state.store",
    *(f"reconcilers.{platform}" for platform in PLATFORMS),
)
"""What an apply imports, imported once."""


class Fate:
    """Counts the places where a process may die, and kills it at one of them."""

    def __init__(self, die: dict[str, Any] | None) -> None:
        self.die = die or {}
        self.seen: Counter[str] = Counter()

    def around(self, at: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call` as a place to die before or after."""

        @functools.wraps(call)
        def mortal(*args: Any, **kwargs: Any) -> Any:
            number = self.seen[at]
            self.seen[at] += 1
            self.strike(at, "before", number)
            result = call(*args, **kwargs)
            self.strike(at, "after", number)
            return result

        return mortal

    def strike(self, at: str, when: str, number: int) -> None:
        """Die if this is the place."""
        if self.die == {"at": at, "when": when, "number": number}:
            os.kill(os.getpid(), signal.SIGKILL)


def haunt(fate: Fate) -> None:
    """Make every commit to the state, and every step of the journal, a place to die."""
    import deltalake
    from deltalake.table import TableAlterer, TableMerger, TableOptimizer

    for owner, name in (
        (deltalake, "write_deltalake"),
        (TableMerger, "execute"),
        (TableAlterer, "set_table_properties"),
        (TableAlterer, "add_columns"),
        (TableOptimizer, "compact"),
    ):
        setattr(owner, name, fate.around("commit", getattr(owner, name)))
    create = deltalake.DeltaTable.create
    deltalake.DeltaTable.create = staticmethod(fate.around("commit", create))
    os.fsync = fate.around("journal", os.fsync)
    unlink = os.unlink
    gone = fate.around("journal", unlink)

    def mortal_unlink(path: Any, **kwargs: Any) -> None:
        (gone if str(path).endswith(JOURNAL) else unlink)(path, **kwargs)

    os.unlink = mortal_unlink
    write = os.write

    def torn_write(file: int, data: Any) -> int:
        if bytes(data[:6]) == b'{"at":':
            number = fate.seen["line"]
            fate.seen["line"] += 1
            if fate.die == {"at": "line", "when": "half", "number": number}:
                write(file, data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        return write(file, data)

    os.write = torn_write


def leap() -> None:
    """Let pauses pass in no time, those for other platforms' links aside, which end anyway."""
    import asyncio

    from reconcilers import _budget
    from runner import operate
    from runner.lanes import LINK_PATIENCE

    class Leaping:
        leapt = 0.0

        def time(self) -> float:
            return time.time() + self.leapt

        async def sleep(self, seconds: float) -> None:
            if seconds == LINK_PATIENCE:
                await asyncio.Event().wait()
            self.leapt += seconds
            await asyncio.sleep(0)

    clock: Any = Leaping
    operate.SystemClock = clock
    _budget.SystemClock = clock


def run(job: dict[str, Any]) -> int:
    """Run one command; return its exit code."""
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["trueup", *job["arguments"]]
    fate = Fate(job.get("die"))
    haunt(fate)
    if job.get("leap"):
        leap()
    from runner.cli import main

    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    sys.stdout.flush()
    sys.stderr.flush()
    Path(job["output"] + ".counts").write_text(json.dumps(fate.seen), encoding="utf-8")
    return code


def serve() -> None:
    """Answer jobs until there are no more."""
    for name in NEEDED:
        importlib.import_module(name)
    for line in sys.stdin:
        job = json.loads(line)
        go, gone = os.pipe()
        child = os.fork()
        if not child:
            os.close(gone)
            os.read(go, 1)
            code = 70
            try:
                code = run(job)
            finally:
                os._exit(code)
        os.close(go)
        print(child, flush=True)
        sys.stdin.readline()
        os.write(gone, b"!")
        os.close(gone)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()

"""The journal of an apply: every outcome on disk before anything else is done about it.

One file per run below `.trueup/journal/`, a JSON line per outcome, made durable with fsync. What
a run that died could not commit to the state is read back by the next one. A line torn by the
death itself is ignored: its operation is looked up again like any other without an outcome.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.domain import Change, Outcome
from schemas.errors import StateError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

CLOSED = -1
"""No file has this descriptor, so that a write to it fails."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal: what was done, and what became of it, when."""

    at: str
    change: Change
    outcome: Outcome


class Journal:
    """The journal of one run, open for writing.

    Args:
        folder: `.trueup/journal`; made when missing.
        run_id: names the file.

    Raises:
        StateError: the folder cannot be written.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        self._queue: list[Entry] = []
        self._turn = asyncio.Lock()
        self._open = threading.Lock()
        self._broken: StateError | None = None
        self.path = folder / f"{run_id}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write `entries` like `append`, at once with those of others who wait for the disk too.

        Raises:
            StateError: these or earlier ones could not be written; the caller must stop applying.
        """
        self._queue.extend(entries)
        async with self._turn:
            if self._queue and not self._broken:
                batch, self._queue = self._queue, []
                try:
                    await asyncio.to_thread(self.append, batch)
                except StateError as error:
                    self._broken = error
        if self._broken:
            raise self._broken

    def append(self, entries: Sequence[Entry]) -> None:
        """Write `entries` and return when they are on the disk.

        Raises:
            StateError: they could not be written; the caller must stop applying.
        """
        lines = [json.dumps(asdict(entry)) + "\n" for entry in entries]
        with self._open:
            try:
                self._extend("".join(lines).encode())
            except OSError as error:
                raise _unwritable(self.path, error) from error

    def close(self, *, discard: bool) -> None:
        """Close the file; `discard` it once all of it is in the state."""
        # A run that is cut off does not hear of a write that a thread is still at.
        with self._open:
            os.close(self._file)
            self._file = CLOSED
        if discard:
            self.path.unlink(missing_ok=True)

    def _extend(self, data: bytes) -> None:
        size, rest = os.fstat(self._file).st_size, memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError:
            # A line without its end would spoil the one that comes after it.
            os.ftruncate(self._file, size)
            raise


def leftovers(folder: Path) -> list[tuple[Path, list[Entry]]]:
    """Return the journals that earlier runs left behind, oldest first."""
    if not folder.is_dir():
        return []
    return [(path, read(path)) for path in sorted(folder.glob("*.jsonl"))]


def read(path: Path) -> list[Entry]:
    """Return the entries of a journal; lines that were torn are left out."""
    adapter = _adapter()
    entries: list[Entry] = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            entries.append(adapter.validate_json(line))
        except ValueError:
            # Torn by a crash. The operation has no outcome then, and is looked up like any
            # other that was begun and not finished.
            continue
    return entries


def _adapter() -> TypeAdapter[Entry]:
    from pydantic import TypeAdapter

    return TypeAdapter(Entry)


def _unwritable(path: Path, error: OSError) -> StateError:
    return StateError(
        f"cannot write the journal {path.name}: {error.strerror or error}",
        hint="free some space or make .trueup/ writable, and run apply again: nothing is lost",
    )

"""Commits that race, on any engine: repeat those that lost, keep apart those that would overwrite.

Delta commits by creating the next file of a log, and that only one writer can do. Spark's store
for local files looks whether the file is there and then renames over it (delta-storage 4.4.0,
`LocalLogStore`; verified 2026-11-24), so a commit that another process makes in between is
lost without a word. A locked file beside the tables prevents it: delta-rs, which links the file
into place, shares it with its like; Spark takes it alone.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import random
import re
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from runner.state.codec import number
from runner.state.engine import Look
from schemas.errors import StateConflict, StateError, StateLocked, StateVersionError
from schemas.tables import (
    FENCE_PROPERTY,
    PROPERTIES,
    STATE_PROPERTY,
    VERSION_PROPERTY,
    Column,
    Name,
    Table,
)

T = TypeVar("T")

ATTEMPTS = 20
"""How often a commit that loses races is tried before `StateConflict`."""

LEASE_SECONDS = 60.0
"""How long a lease lasts unless it is renewed, on an engine that commits within a second."""

SLOW_LEASE_SECONDS = 180.0
"""The same on one that may take a minute, and renews only when the commit before is through."""

LEASE = "lease"
"""The id and the kind of the one row of `runs` that says who may write."""


_MARK = re.compile(r"trueup:([A-Za-z0-9_-]+=*)")


def mark_of(note: str) -> str:
    """Return a text that stands for a commit's note where none can be set: in its condition."""
    return f"trueup:{base64.urlsafe_b64encode(note.encode()).decode()}" if note else ""


def marked(parameters: str) -> str:
    """Return the note of a commit from the parameters of its operation; '' where it has none."""
    found = _MARK.search(parameters)
    try:
        return base64.urlsafe_b64decode(found[1]).decode() if found else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""


class LostRace(Exception):
    """Somebody else committed first; the same may be tried on the new version."""


class Founder(Protocol):
    """What a backend must be able to do for its tables to be made and brought up to date."""

    def look(self, name: Name) -> Look | None:
        """Return what a table is like now, or `None` where there is none."""
        ...

    def create(self, table: Table, properties: Mapping[str, str]) -> None:
        """Create a table; as good where somebody else did in the meantime."""
        ...

    def add(self, name: Name, columns: Iterable[Column]) -> None:
        """Add columns; rows that are there have nulls in them."""
        ...

    def alter(self, name: Name, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Set table properties; see `TableWriter`."""
        ...


def found_tables(engine: Founder, tables: Mapping[Name, Table], version: int, place: str) -> None:
    """Create the tables that are missing and add the columns that are; safe to repeat.

    Raises:
        StateVersionError: a newer trueup made them.
    """
    looks = {name: engine.look(name) for name in tables}
    for look in looks.values():
        if look:
            refuse_newer(look.properties, version, place)
    known = [look.properties.get(STATE_PROPERTY) for look in looks.values() if look]
    state_id = next((item for item in known if item), "") or str(uuid.uuid4())
    # `bindings` comes last: where it is, the state is whole.
    for table in sorted(tables.values(), key=lambda table: table.name == "bindings"):
        look = looks[table.name]
        if look is None:
            made = {VERSION_PROPERTY: str(version), STATE_PROPERTY: state_id}
            engine.create(table, {**PROPERTIES, **made})
            # Another process may have been first: the state's id is the one that is there.
            look = engine.look(table.name)
        if look is None:
            raise StateError(f"the table {table.name} at {place} was deleted while it was made")
        if number(look.properties.get(VERSION_PROPERTY)) < version:
            added = [column for column in table.columns if column.name not in look.columns]
            if added:
                engine.add(table.name, added)
            engine.alter(table.name, lambda _: {VERSION_PROPERTY: str(version)})
        state_id = look.properties.get(STATE_PROPERTY, state_id)


def refuse_newer(properties: Mapping[str, str], version: int, place: str) -> None:
    """Raise where the tables are of a later version than `version`.

    Raises:
        StateVersionError: they are.
    """
    made = number(properties.get(VERSION_PROPERTY))
    if made > version:
        raise StateVersionError(
            f"the state at {place} has version {made} of the tables; this trueup"
            f" knows version {version}",
            hint="upgrade trueup",
        )


def repeat(where: str, attempt: Callable[[], T]) -> T:
    """Do `attempt` until it does not raise `LostRace`, with pauses that grow.

    Raises:
        StateConflict: it lost `ATTEMPTS` times; the message names the table and `where`.
    """
    for turn in range(ATTEMPTS):
        with contextlib.suppress(LostRace):
            return attempt()
        time.sleep(random.uniform(0, min(0.5, 0.005 * 2**turn)))  # noqa: S311
    raise StateConflict(
        f"others wrote to the table {where} each of {ATTEMPTS} times",
        hint="run the command again when the other run has ended",
    )


def check_fence(properties: Mapping[str, str], fence: int) -> None:
    """Raise where a table bears a greater fencing number than `fence`; 0 is never checked.

    Raises:
        StateLocked: it does.
    """
    # Raising the fence is a change of metadata, with which every commit under way conflicts:
    # a commit made from this snapshot lands before the fence was raised, or not at all.
    if fence and number(properties.get(FENCE_PROPERTY)) > fence:
        raise fenced_off()


def fenced_off() -> StateLocked:
    """Return the error for a writer that lost the lease."""
    return StateLocked(
        "the lease was taken away from this run; it must not write any more",
        hint="see who holds it with: trueup state unlock; then run apply again",
    )


@contextlib.contextmanager
def turn(folder: Path, prefix: str, *, alone: bool) -> Generator[None]:
    """Hold the lock on the commits below `folder`, alone or with others who do not ask for that."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{prefix}commits.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


class AtOnce:
    """What a writer is that is quick to ask and to commit: nothing is held back or remembered."""

    lease_seconds = LEASE_SECONDS

    def hold(self) -> None:
        """Do nothing; see `TableWriter`."""

    def let_go(self) -> None:
        """Do nothing: nothing waits."""

    def batch(self, *, wait: bool = False) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002
        """Commit each by itself."""
        return contextlib.nullcontext()

"""The small surface that a backend implements; everything typed is built on it once.

A backend moves columns of plain cells in and out of Delta tables: text, 64-bit integers, booleans
and nulls, with dates and instants as ISO text. It knows nothing of bindings, runs or leases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from runner.state.contract import Key, Merged
from schemas.tables import Name, Table

Cell: TypeAlias = str | int | bool | None
Columns: TypeAlias = dict[str, list[Cell]]
"""A batch of rows, column by column, all equally long."""

Where: TypeAlias = Mapping[str, Sequence[str]]
"""For each column named, the values that it may have."""


ORDERED: Mapping[Name, str] = {"bindings": "address", "tasks": "address"}
"""Tables that `tidy` sorts, and by what: an apply is about a part of the tree, and then finds its
rows in few files. `docs/scale.md` has the figures."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Makes a merge of one row a compare-and-swap.

    Attributes:
        column: what is compared.
        expected: what it must hold for the row to be replaced; `None` where there must be no
            row yet.
    """

    column: str
    expected: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a backend's diff found.

    Attributes:
        missing: keys wanted and not bound, in the order asked for.
        rows: the bound rows that differ, whole.
        gone: which of these are not wanted.
        bound: how many rows there are in all.
    """

    missing: tuple[Key, ...] = ()
    rows: Columns = field(default_factory=dict[str, list[Cell]])
    gone: frozenset[Key] = frozenset()
    bound: int = 0


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One commit in a table's own log.

    Attributes:
        at: when it was made, an instant in UTC.
        note: what we put into its `userMetadata`, or an empty string.
    """

    version: int
    at: str
    note: str


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a table without reading its rows.

    Attributes:
        properties: its table properties.
        columns: the names of its columns.
        features: the Delta features that a writer must support; none where the engine does not
            tell them apart from `properties`.
    """

    properties: Mapping[str, str]
    columns: frozenset[str]
    features: frozenset[str] = frozenset()


class TableReader(Protocol):
    """A backend as far as planning may use it. Tables that do not exist read as empty."""

    @property
    def place(self) -> str:
        """Where the tables are, for people."""
        ...

    def properties(self) -> Mapping[str, str] | None:
        """Return the table properties of `bindings`, or `None` where there is no state.

        Raises:
            StateVersionError: a newer trueup made it.
        """
        ...

    def stamp(self) -> str:
        """Return what changes whenever rows of the `PLANNED` tables do, and only then."""
        ...

    def read(
        self,
        table: Table,
        columns: Sequence[str],
        where: Where | None = None,
        newest: str = "",
        limit: int | None = None,
    ) -> Columns:
        """Return columns of the rows that match; columns that the table lacks are null.

        Args:
            table: which one.
            columns: which ones, in this order.
            where: restricts the rows.
            newest: a column to sort by, greatest first.
            limit: at most so many rows.
        """
        ...

    def compare(self, rows: Iterable[tuple[str, str, str]]) -> Comparison:
        """Compare wanted (address, platform, fingerprint) with `bindings`, inside the engine.

        A bound row differs when it has another `desired_hash`, or drift, or a pending operation.
        """
        ...

    def look(self, name: Name) -> Look | None:
        """Return what a table is like now, or `None` where there is none."""
        ...

    def log(self, name: Name) -> Iterator[LogRecord]:
        """Yield the commits of a table, newest first, as far back as its log goes."""
        ...


@runtime_checkable
class Travels(Protocol):
    """A backend that can read its tables as they were."""

    def at(self, versions: Mapping[Name, int]) -> TableReader:
        """Return the tables named, each at a version of its own, for reading.

        Reading raises `StateError` where the rows of then have been tidied away.
        """
        ...


class TableWriter(TableReader, Protocol):
    """A backend that may write. Lost races are done again on the new version, within reason."""

    @property
    def lease_seconds(self) -> float:
        """How long a lease should last: a renewal may have to wait for a slow commit to end."""
        ...

    def hold(self) -> None:
        """Know that nobody else writes until `let_go`: what was read may be taken for what is."""
        ...

    def let_go(self) -> None:
        """Send what waits; from now on, others may write again."""
        ...

    def batch(self, *, wait: bool = False) -> AbstractContextManager[None]:
        """Send what this thread commits in the block when it ends, in order; see `StateWriter`."""
        ...

    def ensure(self) -> None:
        """Create the tables that are missing and add the columns that are; safe to repeat.

        Raises:
            StateVersionError: a newer trueup made them.
        """
        ...

    def merge(
        self,
        table: Table,
        rows: Columns,
        removed: Columns,
        note: str,
        *,
        fence: int = 0,
        guard: Guard | None = None,
    ) -> Merged:
        """Insert or replace rows and delete others by key, in one commit.

        Args:
            table: its key tells rows apart.
            rows: whole rows.
            removed: the key columns of the rows to delete.
            note: goes into the commit's `userMetadata`.
            fence: raise `StateLocked` where the table bears a greater fencing number.
            guard: replace the one row only if it is as expected; else nothing is counted.
        """
        ...

    def append(self, table: Table, rows: Columns, note: str) -> None:
        """Add rows, in one commit."""
        ...

    def tidy(self, name: Name, hours: int) -> None:
        """Make a table's files few and sorted; delete those replaced more than `hours` ago."""
        ...

    def alter(self, name: Name, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Set table properties; `change` maps the present ones to those to be set, if any.

        It is called again when the commit loses a race, so it decides on the latest ones.
        """
        ...

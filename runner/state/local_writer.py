"""Writing to the local backend: Delta tables in a folder, kept by delta-rs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from runner.state.codec import size
from runner.state.commits import (
    AtOnce,
    LostRace,
    check_fence,
    found_tables,
    repeat,
    turn,
)
from runner.state.contract import Merged
from runner.state.engine import ORDERED, Columns, Guard, Look
from runner.state.features import obstacles, remedy
from runner.state.local import LocalTables, explain, has_log, quoted
from schemas.errors import StateError
from schemas.tables import Column, Name, Table, Type

if TYPE_CHECKING:
    from arro3.core import Array
    from arro3.core import Table as Batch
    from deltalake import CommitProperties, DeltaTable
    from deltalake import Field as DeltaField

T = TypeVar("T")

COMPACT_AFTER = 64
"""Files that may pile up in a table before they are made into one."""

TIDY_EVERY = 20
"""Commits of a table between two looks for files that may be deleted."""

KEPT_HOURS = 30 * 24
"""How long files that newer ones replaced are kept, for time travel."""

_GONE = "_gone"
_EXPECTED = "_expected"
_DELTA_TYPES: dict[Type, str] = {
    "STRING": "string",
    "JSON": "string",
    "BIGINT": "long",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
}


class LocalWriter(AtOnce, LocalTables):
    """The tables of one state below a folder, for reading and writing.

    Always sees the latest version. Safe to use from several threads and processes.
    """

    def ensure(self) -> None:
        """Create the tables and columns that are missing; see `TableWriter`."""
        found_tables(self, self.tables, self.schema_version, self.place)

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
        """Insert, replace and delete rows by key in one commit; see `TableWriter`."""
        source = self._source(table, rows, removed, guard)
        done, latest = self._commit(
            table.name, fence, lambda found: _merge(found, table, source, note, guard)
        )
        _tidy(latest)
        return done

    def append(self, table: Table, rows: Columns, note: str) -> None:
        """Add rows in one commit; see `TableWriter`."""
        from deltalake import write_deltalake

        batch = self._source(table, rows, {}, None).drop_columns([_GONE])

        def write(found: DeltaTable) -> None:
            # Blind appends never conflict with each other: the engine may retry them itself.
            write_deltalake(found, batch, mode="append", commit_properties=_properties(note))

        _, latest = self._commit(table.name, 0, write)
        _tidy(latest)

    def tidy(self, name: Name, hours: int) -> None:
        """Make a table's files few and sorted, and delete old ones; see `TableWriter`."""

        def write(found: DeltaTable) -> None:
            if name in ORDERED and len(found.file_uris()) > 1:
                found.optimize.z_order([ORDERED[name]], commit_properties=_properties("", 0))
            else:
                found.optimize.compact(commit_properties=_properties("", 0))

        self._commit(name, 0, write)
        with self._explained(name, "delete old files of"):
            self._there(name).vacuum(hours, dry_run=False, enforce_retention_duration=False)

    def alter(self, name: Name, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Set table properties; see `TableWriter`."""

        def write(found: DeltaTable) -> None:
            properties = dict(change(found.metadata().configuration))
            if properties:
                found.alter.set_table_properties(
                    properties, raise_if_not_exists=False, commit_properties=_properties("", 0)
                )

        self._commit(name, 0, write)

    def look(self, name: Name) -> Look | None:
        """Return what a table is like now; raise where delta-rs could not write to it."""
        look = super().look(name)
        for feature in obstacles(look) if look else ():
            raise StateError(
                f"delta-rs cannot write to the table {name} at {self.path(name)}: it has the"
                f" feature {feature}",
                hint=remedy(name, feature),
            )
        return look

    def create(self, table: Table, properties: Mapping[str, str]) -> None:
        """Create a table; see `Founder`."""
        from deltalake import DeltaTable, Schema
        from deltalake.exceptions import CommitFailedError, DeltaError

        path = self.path(table.name)
        with self._explained(table.name, "create"):
            try:
                path.mkdir(parents=True, exist_ok=True)
                with turn(self.folder, self.prefix, alone=False):
                    DeltaTable.create(
                        str(path),
                        Schema(_fields(table.columns)),
                        name=f"{self.prefix}{table.name}",
                        description=table.comment,
                        configuration=dict(properties),
                        raise_if_key_not_exists=False,
                    )
            except (CommitFailedError, DeltaError):
                if not has_log(path):
                    raise
                # Another process made it in the meantime, which is as good.

    def add(self, name: Name, columns: Iterable[Column]) -> None:
        """Add columns; see `Founder`."""
        added = _fields(columns)
        self._commit(name, 0, lambda latest: latest.alter.add_columns(added))

    def _table(self, name: Name) -> DeltaTable | None:
        return self._open(name)

    def _there(self, name: Name) -> DeltaTable:
        found = self._open(name)
        if found is None:
            raise StateError(
                f"there is no state at {self.place}", hint="run: trueup state init, or apply"
            )
        return found

    def _source(self, table: Table, rows: Columns, removed: Columns, guard: Guard | None) -> Batch:
        """Return what a merge reads: rows to save, then keys to remove, told apart by a flag."""
        from arro3.core import Array, DataType
        from arro3.core import Table as Batch

        saved, gone = size(rows), size(removed)
        arrays: dict[str, Array] = {}
        with self._explained(table.name, "write to"):
            for column in table.columns:
                values = [
                    *rows.get(column.name, [None] * saved),
                    *removed.get(column.name, [None] * gone),
                ]
                arrays[column.name] = _array(values, column.type)
            arrays[_GONE] = Array([False] * saved + [True] * gone, DataType.bool())
            if guard:
                arrays[_EXPECTED] = Array([guard.expected] * (saved + gone), DataType.string())
            return Batch({**arrays})

    def _commit(
        self, name: Name, fence: int, attempt: Callable[[DeltaTable], T]
    ) -> tuple[T, DeltaTable]:
        """Do `attempt` on the latest version of a table, again for as long as it loses races.

        Return what it returned, and the table with its commit.
        """
        from deltalake.exceptions import CommitFailedError

        def once() -> tuple[T, DeltaTable]:
            latest = self._there(name)
            version = latest.version()
            check_fence(latest.metadata().configuration, fence)
            try:
                with self._explained(name, "write to"), turn(self.folder, self.prefix, alone=False):
                    return attempt(latest), latest
            except CommitFailedError as error:
                # The same class stands for what can never succeed: then nobody was faster.
                if self._there(name).version() == version:
                    raise explain(
                        f"cannot write to the table {name} at {self.path(name)}", error
                    ) from error
                raise LostRace from error

        return repeat(f"{name} at {self.path(name)}", once)


def _tidy(found: DeltaTable) -> None:
    """Keep a table's files few; what fails here is tried again by a later commit."""
    from deltalake.exceptions import DeltaError

    with contextlib.suppress(DeltaError):
        if len(found.file_uris()) > COMPACT_AFTER:
            found.optimize.compact(commit_properties=_properties("", 0))
        if found.version() % TIDY_EVERY == 0:
            found.vacuum(KEPT_HOURS, dry_run=False, enforce_retention_duration=False)


def _merge(
    found: DeltaTable, table: Table, source: Batch, note: str, guard: Guard | None
) -> Merged:
    columns = {quoted(name): f"s.{quoted(name)}" for name in table.names}
    same_key = " AND ".join(f"t.{quoted(key)} = s.{quoted(key)}" for key in table.key)
    update = f"NOT s.{_GONE}"
    insert = update
    if guard:
        update += f" AND t.{quoted(guard.column)} = s.{_EXPECTED}"
        insert += f" AND s.{_EXPECTED} IS NULL"
    merger = found.merge(
        source,
        predicate=same_key,
        source_alias="s",
        target_alias="t",
        commit_properties=_properties(note, 0),
    )
    counts = (
        merger.when_matched_delete(f"s.{_GONE}")
        .when_matched_update(columns, update)
        .when_not_matched_insert(columns, insert)
        .execute()
    )
    return Merged(
        int(counts["num_target_rows_inserted"]),
        int(counts["num_target_rows_updated"]),
        int(counts["num_target_rows_deleted"]),
    )


def _properties(note: str, retries: int | None = None) -> CommitProperties:
    """Return commit properties; with 0 `retries`, any commit in between is a lost race."""
    from deltalake import CommitProperties

    return CommitProperties({"userMetadata": note} if note else None, max_commit_retries=retries)


def _fields(columns: Iterable[Column]) -> list[DeltaField]:
    from deltalake import Field
    from deltalake.schema import PrimitiveType

    return [
        Field(
            column.name,
            PrimitiveType(_DELTA_TYPES[column.type]),
            metadata={"comment": column.comment},
        )
        for column in columns
    ]


def _array(values: Sequence[object], kind: Type) -> Array:
    from arro3.core import Array, DataType

    match kind:
        case "BIGINT":
            return Array(values, DataType.int64())
        case "BOOLEAN":
            return Array(values, DataType.bool())
        case "DATE":
            return Array(values, DataType.string()).cast(DataType.date32())
        case "TIMESTAMP":
            return Array(values, DataType.string()).cast(DataType.timestamp("us", tz="UTC"))
        case _:
            return Array(values, DataType.string())

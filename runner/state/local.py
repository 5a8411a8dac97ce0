"""The local backend: Delta tables in a folder, kept by delta-rs. No JVM, no server.

`deltalake` takes a tenth of a second to import, so it is imported where it is used.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from runner.state import large
from runner.state.codec import only, stamp_of
from runner.state.commits import (
    marked,
    refuse_newer,
)
from runner.state.contract import Key
from runner.state.engine import Cell, Columns, Comparison, LogRecord, Look, Where
from schemas.errors import StateError
from schemas.tables import PLANNED, TABLES, VERSION, Name, Table

if TYPE_CHECKING:
    from deltalake import DeltaTable

MANY = 1000
"""Values up to which a filter is spelled out in SQL; beyond, reading all is quicker."""

_ODD = re.compile(r"%[0-9A-Fa-f]{2}|[\[\]\\^|\x00-\x1f\x7f]")
"""What delta-rs 1.6.6 mistakes for an escape, or panics at (verified 2026-11-24)."""


class _Listable(Protocol):
    """A column of arro3, whose own stubs give `to_pylist` the type of a numpy array."""

    def to_pylist(self) -> list[Cell]: ...


class LocalTables:
    """The tables of one state below a folder, for reading; nothing is ever created.

    Each table is read at the version that it had when it was first looked at, so that a plan is
    made from one moment.

    Args:
        folder: holds one folder per table.
        prefix: stands before each table's name, as `home_`.
        tables: the schema that the caller knows.
        version: the number of that schema.

    Raises:
        StateError: delta-rs cannot keep tables below a folder of that name.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str = "",
        *,
        tables: Mapping[Name, Table] = TABLES,
        version: int = VERSION,
    ) -> None:
        self.folder = folder.absolute()
        if odd := _ODD.search(str(self.folder)):
            raise StateError(
                f"delta-rs cannot keep tables below {self.folder}: the path holds `{odd[0]}`",
                hint="set `state.path` in the Settings spec to a folder with a plainer name",
            )
        self.prefix = prefix
        self.tables = tables
        self.schema_version = version
        self._pinned: dict[Name, DeltaTable | None] = {}

    @property
    def place(self) -> str:
        """The folder, with the prefix where there is one."""
        return str(self.folder / f"{self.prefix}*") if self.prefix else str(self.folder)

    def properties(self) -> Mapping[str, str] | None:
        """Return the table properties of `bindings`, or `None` where there is no state."""
        table = self._table("bindings")
        return None if table is None else table.metadata().configuration

    def stamp(self) -> str:
        """Return a hash of the names of the files that hold the rows now."""
        files: list[list[str]] = []
        for name in PLANNED:
            table = self._table(name)
            uris = [] if table is None else table.file_uris()
            files.append(uris)
        return stamp_of(files)

    def read(
        self,
        table: Table,
        columns: Sequence[str],
        where: Where | None = None,
        newest: str = "",
        limit: int | None = None,
    ) -> Columns:
        """Return columns of the rows that match; see `TableReader`."""
        found = self._table(table.name)
        if found is None:
            return {name: [] for name in columns}
        there = {item.name for item in found.schema().fields}
        spelled = {name: set(values) for name, values in (where or {}).items()}
        sifted = {name: spelled.pop(name) for name in list(spelled) if len(spelled[name]) > MANY}
        names = [*columns, *(name for name in sifted if name not in columns)]
        picked = [quoted(name) if name in there else "NULL" for name in names]
        sql = ["SELECT", ", ".join(f"{item} AS c{i}" for i, item in enumerate(picked)), "FROM t"]
        if spelled:
            sql.append("WHERE " + " AND ".join(_in(*item) for item in spelled.items()))
        if newest:
            sql.append(f"ORDER BY {quoted(newest)} DESC")
        if limit is not None and not sifted:
            sql.append(f"LIMIT {limit}")
        batch = dict(zip(names, self._query(table.name, " ".join(sql), {"t": found}), strict=True))
        for name, values in sifted.items():
            batch = only(batch, [value in values for value in batch[name]])
        return {name: batch[name][:limit] for name in columns}

    def compare(self, rows: Iterable[tuple[str, str, str]]) -> Comparison:
        """Compare wanted rows with the bound ones; see `TableReader`."""
        rest = iter(rows)
        wanted = list(itertools.islice(rest, large.LARGE))
        found = self._table("bindings")
        if found is None:
            return Comparison(missing=tuple((a, p) for a, p, _ in (*wanted, *rest)))
        if len(wanted) == large.LARGE:
            every = itertools.chain(wanted, rest)
            del wanted  # or else they stay in memory until all is compared
            return large.compare(
                lambda sql, tables: self._query("bindings", sql, tables, large.LEAN),
                self.tables["bindings"],
                found,
                every,
            )
        # A row with drift or a pending operation gets a hash that equals no fingerprint. Each row
        # is one text, for texts are compared in half the time of tuples.
        (bound,) = self._query(
            "bindings",
            """SELECT "address" || ' ' || "platform" || ' ' || CASE WHEN "pending" IS NULL"""
            """ AND "drift" IS NULL THEN coalesce("desired_hash", '?') ELSE '?' END FROM t""",
            {"t": found},
        )
        held = cast("set[str]", set(bound))
        asked = {f"{address} {platform} {print_}" for address, platform, print_ in wanted}
        odd = held ^ asked
        unmet = {_key(row) for row in odd if row in asked}
        differing = {_key(row) for row in odd if row in held}
        gone = differing - unmet
        if gone:
            # A key that is there twice may differ in one row and agree in the other.
            gone = gone.difference((address, platform) for address, platform, _ in wanted)
        missing = unmet - differing
        return Comparison(
            tuple(key for a, p, _ in wanted if (key := (a, p)) in missing) if missing else (),
            self._bindings(differing),
            frozenset(gone),
            len(bound),
        )

    def log(self, name: Name) -> Iterator[LogRecord]:
        """Yield the commits of a table, newest first; see `TableReader`.

        Reads the log's own files, one after the other for as long as they are asked for: the
        engine's `history` reads each of them to its end first.
        """
        found = self._table(name)
        folder = self.path(name) / "_delta_log"
        for version in range(found.version() if found else -1, -1, -1):
            with self._explained(name, "read the log of"):
                try:
                    info = _commit_info(folder / f"{version:020}.json")
                except FileNotFoundError:
                    return
            note = info.get("userMetadata") or marked(json.dumps(info.get("operationParameters")))
            yield LogRecord(version, _instant(info), str(note))

    def at(self, versions: Mapping[Name, int]) -> LocalTables:
        """Return the tables as they were; see `Travels`."""
        from deltalake import DeltaTable

        then = LocalTables(
            self.folder, self.prefix, tables=self.tables, version=self.schema_version
        )
        for name, version in versions.items():
            with self._explained(name, "read an earlier version of"):
                then._pinned[name] = DeltaTable(str(self.path(name)), version=version)
        return then

    def look(self, name: Name) -> Look | None:
        """Return what a table is like now; see `TableReader`."""
        table = self._open(name) if self._exists(name) else None
        if table is None:
            return None
        protocol = table.protocol()
        return Look(
            table.metadata().configuration,
            frozenset(item.name for item in table.schema().fields),
            frozenset(protocol.writer_features or ()),
        )

    def path(self, name: Name) -> Path:
        """Return the folder of a table."""
        return self.folder / f"{self.prefix}{name}"

    def _bindings(self, keys: set[Key]) -> Columns:
        """Return the whole rows of bindings with these keys."""
        table = self.tables["bindings"]
        addresses = sorted({address for address, _ in keys})
        batch = self.read(table, table.names, {"address": addresses}) if keys else {}
        pairs = zip(batch.get("address", ()), batch.get("platform", ()), strict=True)
        return only(batch, [pair in keys for pair in pairs])

    def _table(self, name: Name) -> DeltaTable | None:
        """Return a table at the version that is read; `None` where it does not exist."""
        if name not in self._pinned:
            self._pinned[name] = self._open(name)
        return self._pinned[name]

    def _open(self, name: Name) -> DeltaTable | None:
        """Open the latest version of a table; `None` where there is no state yet."""
        path = self.path(name)
        if not self._exists(name):
            if name != "bindings" and self._exists("bindings"):
                raise StateError(
                    f"the table {name} is missing at {path}",
                    hint="restore it from a backup, or run: trueup state init, which makes it anew",
                )
            return None
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        # A commit is listed a moment before it can be read, while another writer puts it there.
        for pause in (0.05, 0.2):
            with contextlib.suppress(DeltaError):
                table = DeltaTable(str(path))
                break
            time.sleep(pause)
        else:
            with self._explained(name, "open"):
                table = DeltaTable(str(path))
        refuse_newer(table.metadata().configuration, self.schema_version, self.place)
        return table

    def _exists(self, name: Name) -> bool:
        """Return whether a table is there; a folder with nothing in it is none."""
        path = self.path(name)
        if has_log(path):
            return True
        if any(path.glob("*.parquet")):
            raise StateError(
                f"the table {name} at {path} has data and no log",
                hint="restore its _delta_log folder from a backup",
            )
        return False

    def _query(
        self,
        name: Name,
        sql: str,
        tables: Mapping[str, DeltaTable],
        options: Mapping[str, str] | None = None,
    ) -> list[list[Cell]]:
        """Return the columns of a query over tables, by the names that it calls them."""
        from arro3.core import DataType
        from deltalake import QueryBuilder

        with self._explained(name, "read"):
            builder = QueryBuilder(dict(options) if options else None)
            for alias, table in tables.items():
                builder.register(alias, table)
            batch = builder.execute(sql).read_all()
            columns: list[list[Cell]] = []
            for place in range(batch.num_columns):
                column = batch.column(place)
                if DataType.is_temporal(column.type):
                    column = column.cast(DataType.string())
                columns.append(cast("_Listable", column).to_pylist())
        return columns

    @contextlib.contextmanager
    def _explained(self, name: Name, doing: str) -> Generator[None]:
        """Turn what the engine raises into a `StateError` that says what, where, what to do."""
        from deltalake.exceptions import CommitFailedError

        try:
            yield
        except (StateError, CommitFailedError):
            raise
        except Exception as error:
            # The engine raises plain `Exception` for damaged files.
            raise explain(f"cannot {doing} the table {name} at {self.path(name)}", error) from error


def _commit_info(path: Path) -> dict[str, object]:
    """Return the `commitInfo` action of a commit; it comes first, or nearly so."""
    with path.open("rb") as lines:
        for line in lines:
            action = json.loads(line)
            if "commitInfo" in action:
                return action["commitInfo"]
    return {}


def _instant(info: Mapping[str, object]) -> str:
    made = info.get("timestamp")
    moment = datetime.fromtimestamp((made if isinstance(made, int) else 0) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def has_log(path: Path) -> bool:
    """Return whether a folder holds a Delta log with something in it."""
    try:
        with os.scandir(path / "_delta_log") as entries:
            return any(entry.name.endswith((".json", ".parquet")) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _key(row: str) -> Key:
    """Return the key of a binding that is written as `address platform hash`."""
    address, platform, _ = row.rsplit(" ", 2)
    return address, platform


def quoted(name: str) -> str:
    """Return an identifier for use in a query."""
    return f'"{name}"'


def _in(name: str, values: Iterable[str]) -> str:
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in sorted(values))
    return f"{quoted(name)} IN ({listed})" if listed else "FALSE"


def explain(what: str, error: Exception) -> StateError:
    """Return a `StateError` with the engine's reason in one line, and what to do about it."""
    reason = str(error).strip().split("\n", 1)[0]
    lowered = reason.lower()
    hint = "restore the folder from a backup; trueup doctor tells what else is wrong"
    for sign, what_to_do in _REMEDIES.items():
        if sign in lowered:
            hint = what_to_do
    return StateError(f"{what}: {reason}", hint=hint)


_REMEDIES = {
    "permission denied": "make the folder readable and writable for this user",
    "read-only file system": "the disk is mounted read-only: move the state with `state.path`",
    "no space left": "free some space and run the command again: nothing is lost",
    "file too large": "raise the limit on file sizes (ulimit -f) and run the command again",
    "not a directory": "something else stands where the folder should be: move it away",
}

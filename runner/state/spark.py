"""The Spark backend: Delta tables in a folder or a catalog, kept by delta-spark.

Rows go in by `createDataFrame`, a temporary view and one statement, the way that classic sessions,
Spark Connect and Databricks have in common: named parameters fail on sessions with Delta's
extension (pyspark 4.2.0, verified 2026-11-24).
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from runner.state import large, sql
from runner.state.codec import lease_of, only, size, stamp_of
from runner.state.commits import (
    LEASE,
    SLOW_LEASE_SECONDS,
    AtOnce,
    LostRace,
    fenced_off,
    found_tables,
    marked,
    refuse_newer,
    repeat,
    turn,
)
from runner.state.contract import Key, Merged
from runner.state.engine import Cell, Columns, Comparison, Guard, LogRecord, Look, Where
from runner.state.session import Session
from schemas.errors import StateError
from schemas.tables import PLANNED, TABLES, VERSION, Column, Name, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

MANY = 1000
"""Values up to which a filter is spelled out; beyond, it becomes a join."""

RECENT = 50
"""Commits of a table's log that are asked for first; more only when they are wanted."""

_KEY = TABLES["bindings"].key
_NOTE = "spark.databricks.delta.commitInfo.userMetadata"
_NOTE_TURN = threading.Lock()
_MISSING = frozenset(
    {
        "DELTA_MISSING_DELTA_TABLE",
        "DELTA_PATH_DOES_NOT_EXIST",
        "DELTA_TABLE_ONLY_OPERATION",
        "DELTA_TABLE_NOT_FOUND",
        "PATH_NOT_FOUND",
        "SCHEMA_NOT_FOUND",
        "TABLE_OR_VIEW_NOT_FOUND",
    }
)
_LOST = ("DELTA_CONCURRENT_", "DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the tables of a state are.

    Attributes:
        where: a folder, as the local backend has it; or `catalog.schema`, or `schema`.
        prefix: stands before each table's name, as `home_`.
    """

    where: Path | str
    prefix: str = ""

    def __str__(self) -> str:
        mark = "/" if isinstance(self.where, Path) else "."
        return f"{self.where}{mark}{self.prefix}*" if self.prefix else str(self.where)

    def label(self, name: Name) -> str:
        """Return what people call a table."""
        if isinstance(self.where, Path):
            return f"{name} at {self.where / f'{self.prefix}{name}'}"
        return f"{self.where}.{self.prefix}{name}"

    def name(self, name: Name) -> str:
        """Return what a statement calls a table."""
        table = f"{self.prefix}{name}"
        if isinstance(self.where, Path):
            return f"delta.{sql.quoted(str(self.where.absolute() / table))}"
        return ".".join(map(sql.quoted, (*self.where.split("."), table)))


class SparkTables:
    """The tables of one state, for reading; nothing is ever created.

    Each table is read at the version that it had when it was first looked at, so that a plan is
    made from one moment.

    Args:
        session: runs the statements.
        where: where the tables are.
        tables: the schema that the caller knows.
        version: the number of that schema.
    """

    def __init__(
        self,
        session: Session,
        where: Place,
        *,
        tables: Mapping[Name, Table] = TABLES,
        version: int = VERSION,
    ) -> None:
        self._spark = session
        self._place = where
        self._tables = tables
        self._version = version
        self._pinned: dict[Name, DataFrame | None] = {}
        self._known: list[Look | None] = []

    @property
    def place(self) -> str:
        """Where the tables are, for people."""
        return str(self._place)

    def properties(self) -> Mapping[str, str] | None:
        """Return the table properties of `bindings`, or `None` where there is no state."""
        if not self._known:
            look = self.look("bindings")
            if look:
                refuse_newer(look.properties, self._version, self.place)
            self._known.append(look)
        look = self._known[0]
        return None if look is None else look.properties

    def stamp(self) -> str:
        """Return a hash of the names of the files that hold the rows now."""
        frames = [self._frame(name) for name in PLANNED]
        return stamp_of([] if frame is None else frame.inputFiles() for frame in frames)

    def read(
        self,
        table: Table,
        columns: Sequence[str],
        where: Where | None = None,
        newest: str = "",
        limit: int | None = None,
    ) -> Columns:
        """Return columns of the rows that match; see `TableReader`."""
        frame = self._frame(table.name)
        if frame is None:
            return {name: [] for name in columns}
        for name, values in (where or {}).items():
            frame = self._only(frame, name, set(values))
        if newest:
            frame = frame.orderBy(frame[newest].desc())
        if limit is not None:
            frame = frame.limit(limit)
        picked = [column for name in columns for column in table.columns if column.name == name]
        there = frozenset(frame.columns)
        with self._explained(table.name, "read"):
            rows = frame.selectExpr(*(sql.carried(column, there) for column in picked)).collect()
        return _columns(picked, rows)

    def compare(self, rows: Iterable[tuple[str, str, str]]) -> Comparison:
        """Compare wanted rows with the bound ones; see `TableReader`."""
        wanted = list(rows)
        frame = self._frame("bindings")
        if frame is None:
            return Comparison(missing=tuple((a, p) for a, p, _ in wanted))
        # Only keys are joined: whole rows would be carried to the join, and sorted, for a few.
        key = [item for item in self._tables["bindings"].columns if item.name in _KEY]
        with (
            self._explained("bindings", "read"),
            self._asked(wanted) as asked,
            self._view(frame) as bound,
        ):
            query = sql.compare(key, bound, asked, _KEY, "/*+ SHUFFLE_HASH(w) */")
            found = cast("list[tuple[Cell, ...]]", self._spark.sql(query).collect())
            count = frame.count()
        missing = sorted(cast("int", row[0]) for row in found if row[3] is None)
        unwanted = [cast("Key", tuple(row[3:])) for row in found if row[0] is None]
        differing = {cast("Key", tuple(row[3:])) for row in found if row[3] is not None}
        return Comparison(
            tuple(wanted[place][:2] for place in missing),
            self._bindings(differing),
            frozenset(unwanted),
            count,
        )

    def _bindings(self, keys: set[Key]) -> Columns:
        """Return the whole rows of bindings with these keys."""
        table = self._tables["bindings"]
        if not keys:
            return {name: [] for name in table.names}
        batch = self.read(table, table.names, {"address": [address for address, _ in keys]})
        pairs = zip(batch["address"], batch["platform"], strict=True)
        return only(batch, [pair in keys for pair in pairs])

    @contextlib.contextmanager
    def _asked(self, wanted: list[tuple[str, str, str]]) -> Generator[str]:
        """Give what is wanted a name; many rows go by a file if the session is on this machine."""
        names = ("address", "platform", "fingerprint")
        if len(wanted) < large.LARGE or not self._is_here():
            schema = ", ".join([*(f"{name} STRING" for name in names), "place BIGINT"])
            batch = [(*row, place) for place, row in enumerate(wanted)]
            with self._view(self._spark.createDataFrame(batch, schema)) as asked:
                yield asked
            return
        with tempfile.TemporaryDirectory(prefix="trueup-") as folder, self._compiled():
            large.stage(Path(folder) / "wanted", names, wanted)
            yield f"delta.{sql.quoted(f'{folder}/wanted')}"

    def _is_here(self) -> bool:
        master = "" if self._is_remote() else self._spark.conf.get("spark.master")
        return (master or "").startswith("local")

    def _is_remote(self) -> bool:
        """Return whether the session is one of Spark Connect, which lacks some of the options."""
        return type(self._spark).__module__.startswith("pyspark.sql.connect")

    @contextlib.contextmanager
    def _compiled(self) -> Generator[None]:
        """Let Spark compile its queries, which only pays for many rows."""
        options = {
            "spark.sql.codegen.wholeStage": "true",
            "spark.sql.codegen.factoryMode": "FALLBACK",
            "spark.sql.shuffle.partitions": "8",
        }
        before = {name: self._spark.conf.get(name) for name in options}
        try:
            for name, value in options.items():
                self._spark.conf.set(name, value)
            yield
        finally:
            for name, value in before.items():
                self._spark.conf.set(name, value or "")

    def at(self, versions: Mapping[Name, int]) -> SparkTables:
        """Return the tables as they were; see `Travels`."""
        then = SparkTables(self._spark, self._place, tables=self._tables, version=self._version)
        for name, version in versions.items():
            query = f"SELECT * FROM {self._place.name(name)} VERSION AS OF {version}"
            with self._explained(name, "read an earlier version of"):
                then._pinned[name] = self._spark.sql(query)
        return then

    def log(self, name: Name) -> Iterator[LogRecord]:
        """Yield the commits of a table, newest first; see `TableReader`."""
        if self.properties() is None:
            return
        told = 0
        for limit in (f" LIMIT {RECENT}", ""):
            with self._explained(name, "read the log of"):
                frame = self._spark.sql(f"DESCRIBE HISTORY {self._place.name(name)}{limit}")
                why = ("userMetadata", "to_json(operationParameters)")
                picked = frame.selectExpr("version", "unix_millis(timestamp)", *why)
                rows = cast("list[tuple[int, int, str | None, str]]", picked.collect())
            for version, millis, note, parameters in rows[told:]:
                yield LogRecord(version, sql.instant(millis * 1000), note or marked(parameters))
            told = len(rows)
            if told < RECENT:
                return

    def look(self, name: Name) -> Look | None:
        """Return what a table is like now; see `Founder`."""
        table = self._place.name(name)
        with self._explained(name, "open"):
            try:
                (detail,) = self._spark.sql(f"DESCRIBE DETAIL {table}").collect()
                columns = self._spark.sql(f"SELECT * FROM {table}").columns
            except Exception as error:
                if _condition(error) in _MISSING:
                    return None
                raise
        return Look(detail["properties"], frozenset(columns), frozenset(detail["tableFeatures"]))

    def _frame(self, name: Name) -> DataFrame | None:
        """Return a table at the version that is read; `None` where it does not exist."""
        if name not in self._pinned:
            self._pinned[name] = self._open(name, pinned=True)
        return self._pinned[name]

    def _open(self, name: Name, *, pinned: bool) -> DataFrame | None:
        """Open the latest version of a table; `None` where there is no state.

        Spark looks up anew what a frame reads each time that it is asked, unless it names a
        version.
        """
        there = any(self._known)  # a state that was there is not looked for again
        if not there and self.properties() is None:
            return None
        table = self._place.name(name)
        query = f"SELECT * FROM {table}"
        with self._explained(name, "open"):
            if pinned:
                (newest,) = self._spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").collect()
                query += f" VERSION AS OF {newest['version']}"
            return self._spark.sql(query)

    def _only(self, frame: DataFrame, name: str, values: set[str]) -> DataFrame:
        """Return the rows whose column has one of the values."""
        if len(values) <= MANY:
            return frame.where(frame[name].isin(list(values)))
        listed = self._spark.createDataFrame([(value,) for value in values], f"`{name}` STRING")
        return frame.join(listed, name, "left_semi")

    @contextlib.contextmanager
    def _view(self, frame: DataFrame) -> Generator[str]:
        """Give a frame a name that statements can use, for the length of the block."""
        name = f"trueup_{uuid.uuid4().hex}"
        frame.createOrReplaceTempView(name)
        try:
            yield name
        finally:
            self._spark.catalog.dropTempView(name)

    @contextlib.contextmanager
    def _explained(self, name: Name, doing: str) -> Generator[None]:
        """Turn what Spark raises into a `StateError` that says what, where, what to do."""
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            yield
        except (PySparkException, Py4JError) as error:
            condition = _condition(error)
            if condition.startswith(_LOST):
                raise LostRace from error
            reason = str(error).strip().split("\n", 1)[0]
            if condition in _MISSING:
                raise StateError(
                    f"the table {self._place.label(name)} is missing",
                    hint="restore it from a backup, or run: trueup state init, which makes it anew",
                ) from error
            raise StateError(
                f"cannot {doing} the table {self._place.label(name)}: {reason}",
                hint="trueup doctor tells what else is wrong",
            ) from error


class SparkWriter(AtOnce, SparkTables):
    """The tables of one state, for reading and writing.

    Always sees the latest version. Safe to use from several threads and processes.
    """

    lease_seconds = SLOW_LEASE_SECONDS

    def ensure(self) -> None:
        """Create the tables and columns that are missing; see `TableWriter`."""
        schema = self._place.where
        if isinstance(schema, str) and not self._spark.catalog.databaseExists(schema):
            quoted = ".".join(map(sql.quoted, schema.split(".")))
            self._execute("bindings", "create", f"CREATE SCHEMA IF NOT EXISTS {quoted}")
        found_tables(self, self._tables, self._version, self.place)

    def create(self, table: Table, properties: Mapping[str, str]) -> None:
        """Create a table; see `Founder`."""
        self._execute(table.name, "create", sql.create(table, self._name(table.name), properties))

    def add(self, name: Name, columns: Iterable[Column]) -> None:
        """Add columns; see `Founder`."""
        self._execute(name, "write to", sql.add_columns(self._name(name), columns))

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
        with self._view(self._source(table, rows, removed, guard)) as source:
            query = sql.select_stored(table, source, removes=True, guarded=guard is not None)
            if fence:
                query += f" WHERE {sql.not_fenced(self._name('runs'), LEASE, fence)}"
            statement = sql.merge(table, self._name(table.name), query, guard)
            done = self._execute(table.name, "write to", statement, note)[0]
        merged = Merged(
            done["num_inserted_rows"], done["num_updated_rows"], done["num_deleted_rows"]
        )
        if fence and merged == Merged() and self._fence() > fence:
            raise fenced_off()
        return merged

    def append(self, table: Table, rows: Columns, note: str) -> None:
        """Add rows in one commit; see `TableWriter`."""
        names = ", ".join(map(sql.quoted, table.names))
        with self._view(self._source(table, rows, {}, None)) as source:
            query = sql.select_stored(table, source)
            statement = f"INSERT INTO {self._name(table.name)} ({names}) {query}"
            self._execute(table.name, "write to", statement, note)

    def tidy(self, name: Name, hours: int) -> None:
        """Make a table's files few, and delete old ones; see `TableWriter`."""
        table = self._name(name)
        self._execute(name, "write to", sql.optimize(name, table))
        self._execute(name, "delete old files of", f"VACUUM {table} RETAIN {hours} HOURS")

    def alter(self, name: Name, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Set table properties; see `TableWriter`.

        They are read again after they were set, until nothing is left to set: where there is no
        folder to lock, somebody else may have set them in between.
        """

        def once() -> None:
            with self._turn(), self._explained(name, "write to"):
                while lacking := self._lacking(name, change):
                    self._spark.sql(sql.set_properties(self._name(name), lacking))

        repeat(self._place.label(name), once)

    def properties(self) -> Mapping[str, str] | None:
        """Return the table properties of `bindings` now, or `None` where there is no state."""
        self._known.clear()
        return super().properties()

    def _frame(self, name: Name) -> DataFrame | None:
        return self._open(name, pinned=False)

    def _name(self, name: Name) -> str:
        return self._place.name(name)

    def _lacking(
        self, name: Name, change: Callable[[Mapping[str, str]], Mapping[str, str]]
    ) -> dict[str, str]:
        """Return the properties that `change` asks for and that the table does not have yet."""
        look = self.look(name)
        if look is None:
            raise StateError(
                f"there is no state at {self.place}", hint="run: trueup state init, or apply"
            )
        asked = change(look.properties)
        return {key: value for key, value in asked.items() if look.properties.get(key) != value}

    def _fence(self) -> int:
        """Return the fencing number of whoever holds the lease, or held it last."""
        texts = self.read(self._tables["runs"], ["lease"], {"run_id": [LEASE]})["lease"]
        return max((lease_of(text).fence for text in texts if isinstance(text, str)), default=0)

    def _source(
        self, table: Table, rows: Columns, removed: Columns, guard: Guard | None
    ) -> DataFrame:
        """Return what a merge reads: rows to save, then keys to remove, told apart by a flag."""
        saved, gone = size(rows), size(removed)
        kept, lost = sql.carry(table, rows, saved), sql.carry(table, removed, gone)
        batch: list[list[Cell]] = [[*a, *b] for a, b in zip(kept, lost, strict=True)]
        batch.append([*[False] * saved, *[True] * gone])
        if guard:
            batch.append([guard.expected] * (saved + gone))
        schema = sql.carried_schema(table.columns, removes=True, guarded=guard is not None)
        lines = list(zip(*batch, strict=True))
        with self._explained(table.name, "write to"):
            if self._is_remote():
                return self._spark.createDataFrame(lines, schema)
            return self._spark.createDataFrame(lines, schema, verifySchema=False)

    def _execute(self, name: Name, doing: str, statement: str, note: str = "") -> list[Row]:
        """Run a statement that commits, again for as long as it loses races."""

        def once() -> list[Row]:
            with self._turn(), self._noted(note), self._explained(name, doing):
                return self._spark.sql(statement).collect()

        return repeat(self._place.label(name), once)

    def _turn(self) -> contextlib.AbstractContextManager[None]:
        where = self._place.where
        if isinstance(where, Path):
            return turn(where, self._place.prefix, alone=True)
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def _noted(self, note: str) -> Generator[None]:
        """Let commits in the block carry a note, and none after it.

        The setting belongs to the whole session and stays until it is unset.
        """
        with _NOTE_TURN:
            before = self._spark.conf.get(_NOTE, None)
            if note:
                self._spark.conf.set(_NOTE, note)
            try:
                yield
            finally:
                if before is None:
                    self._spark.conf.unset(_NOTE)
                else:
                    self._spark.conf.set(_NOTE, before)


def _columns(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Columns:
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return {
        column.name: sql.arrived(column, list(some))
        for column, some in zip(columns, values, strict=True)
    }


def _condition(error: BaseException) -> str:
    """Return Spark's name for an error, or an empty string."""
    from pyspark.errors import PySparkException

    return (error.getCondition() or "") if isinstance(error, PySparkException) else ""

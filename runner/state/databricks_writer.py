"""Writing through a SQL warehouse: many rows and many tables in few statements.

Every answer costs a round trip, and an apply has many small things to ask and to write. So a writer
that holds the lease takes the small tables along once (`runner.state.held`), and commits that
belong together go as one script: `BEGIN ... END`, whose statements Delta commits one by one, in
order. A script does not tell how many rows each of them changed; its last query therefore counts
the rows that are now as they should be.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from runner.state import sql
from runner.state.codec import lease_of, number, size
from runner.state.commits import (
    LEASE,
    SLOW_LEASE_SECONDS,
    fenced_off,
    found_tables,
    mark_of,
    repeat,
)
from runner.state.contract import Merged
from runner.state.databricks import (
    FILES,
    NO_CATALOG,
    DatabricksTables,
    Schema,
    inlined,
    packed,
    script,
    stamp_in,
)
from runner.state.engine import Columns, Comparison, Guard, Where
from runner.state.held import WHOLE, Held, Row
from runner.state.warehouse import StatementFailed, Warehouse
from schemas.errors import StateError
from schemas.tables import (
    PLANNED,
    PROPERTIES,
    STATE_PROPERTY,
    TABLES,
    VERSION,
    VERSION_PROPERTY,
    Column,
    Name,
    Table,
)

FRESH = 5.0
"""Seconds for which tables that were taken along may be asked who holds the lease."""

_SMALL: tuple[Name, ...] = ("users", "integrations", "runs", "bindings")
_LEASE: Where = {"run_id": [LEASE]}


@dataclass(frozen=True, slots=True)
class Write:
    """Rows on their way into a table.

    Attributes:
        removed: the keys of the rows to delete; `None` where rows are only added.
    """

    table: Table
    rows: Columns
    removed: Columns | None
    note: str
    fence: int = 0
    guard: Guard | None = None

    @property
    def records(self) -> list[Row]:
        """The rows as the JSON objects that travel; what is null is left out."""
        saved = _records(self.table, self.rows, self.guard, gone=False)
        return [*saved, *_records(self.table, self.removed or {}, self.guard, gone=True)]

    def source(self, runs: str, marker: str) -> str:
        """Return the query for the rows in a parameter, none of them where the lease is lost."""
        guarded = self.guard is not None
        schema = sql.carried_schema(self.table.columns, removes=True, guarded=guarded)
        rows = f"(SELECT {inlined(schema, marker)})"
        query = sql.select_stored(self.table, rows, removes=True, guarded=guarded)
        return f"{query} WHERE {sql.not_fenced(runs, LEASE, self.fence)}" if self.fence else query

    def statement(self, name: str, source: str) -> str:
        """Return the statement that commits the rows of a query."""
        mark = mark_of(self.note)
        if self.removed is None:
            return sql.append(self.table, name, source, mark)
        return sql.merge(self.table, name, source, self.guard, mark)


class DatabricksWriter(DatabricksTables):
    """The tables of one state, for reading and writing.

    Always sees the latest version, or, from `hold` to `let_go`, what it knows to be the latest.
    May be used from several threads.
    """

    lease_seconds = SLOW_LEASE_SECONDS

    def __init__(
        self,
        warehouse: Warehouse,
        where: Schema,
        *,
        tables: Mapping[Name, Table] = TABLES,
        version: int = VERSION,
    ) -> None:
        super().__init__(warehouse, where, tables=tables, version=version)
        self._held: Held | None = None
        self._alone = False
        self._asked = 0.0
        self._waiting: list[Write] = []
        self._turn = threading.RLock()
        self._batch = threading.local()

    def ensure(self) -> None:
        """Create the schema, tables and columns that are missing; see `TableWriter`."""
        present = self.properties()
        # `bindings` comes last: where it is, the state is whole.
        if number((present or {}).get(VERSION_PROPERTY)) == self._version:
            return
        self._properties.clear()
        if present is None:
            self._found()
        else:
            found_tables(self, self._tables, self._version, self.place)

    def hold(self) -> None:
        """Take what was read when the lease was free for what is there; see `TableWriter`."""
        self._alone = True

    def let_go(self) -> None:
        """Send what waits still, and ask again from now on; see `TableWriter`."""
        with self._turn:
            self._send([])
            self._alone = False
            self._held = None

    @contextlib.contextmanager
    def batch(self, *, wait: bool = False) -> Generator[None]:
        """Send what is committed in the block together; see `TableWriter`."""
        if getattr(self._batch, "queue", None) is not None:
            yield
            return
        queue: list[Write] = []
        self._batch.queue = queue
        try:
            yield
        except BaseException:
            self._held = None
            raise
        finally:
            self._batch.queue = None
        with self._turn:
            if wait and self._alone:
                self._waiting += queue
            elif queue:
                self._send(queue)

    def stamp(self) -> str:
        """Return a hash of the names of the files that hold the rows now."""
        with self._turn:
            if self._alone and self._held and self._held.stamp:
                return self._held.stamp
            self._send([])
            self._stamp = ""
            found = super().stamp()
            if self._alone and self._held:
                self._held.stamp = found
            return found

    def read(
        self,
        table: Table,
        columns: Sequence[str],
        where: Where | None = None,
        newest: str = "",
        limit: int | None = None,
    ) -> Columns:
        """Return columns of the rows that match, as they are now; see `TableReader`."""
        with self._turn:
            asked = where or {}
            if table.name == "runs" and asked == _LEASE and not self._alone:
                return self._held_lease(columns)
            if self._alone and self._held and self._held.knows(table.name, asked):
                return self._held.read(table.name, columns, asked, newest, limit)
            if any(write.table.name == table.name for write in self._waiting):
                self._send([])
            self._answers.clear()
            return super().read(table, columns, where, newest, limit)

    def compare(self, rows: Iterable[tuple[str, str, str]]) -> Comparison:
        """Compare wanted rows with the bound ones; see `TableReader`."""
        with self._turn:
            if self._alone and self._held and "bindings" in self._held.rows:
                return self._held.compare(self._tables["bindings"], rows)
            self._send([])
            self._stamp = ""
            found = super().compare(rows)
            if self._alone and self._held:
                self._held.stamp = self._stamp
            return found

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
        """Insert, replace and delete rows by key; see `TableWriter`.

        In one commit, unless the rows are too many for one statement.
        """
        return self._take(Write(table, rows, removed, note, fence, guard))

    def append(self, table: Table, rows: Columns, note: str) -> None:
        """Add rows; see `TableWriter`."""
        self._take(Write(table, rows, None, note))

    def tidy(self, name: Name, hours: int) -> None:
        """Make a table's files few, and delete old ones; see `TableWriter`."""
        table = self._where.name(name)
        statement = sql.optimize(name, table)
        repeat(self._where.label(name), lambda: self._run(statement, "tidy", name))
        self._run(f"VACUUM {table} RETAIN {hours} HOURS", "tidy", name)

    def alter(self, name: Name, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Set table properties; see `TableWriter`.

        A warehouse sets them whatever they were before, so what became of them is looked at.
        """

        def once() -> None:
            present = self.properties() if name == "bindings" else self._shown(name)
            while lacking := _lacking(present, change):
                # The lease was taken from somebody who may be writing still.
                self._held = None
                statement = sql.set_properties(self._where.name(name), lacking)
                self._run(statement, "mark", name)
                present = self._shown(name)
                if name == "bindings":
                    self._properties[:] = [present]

        with self._turn:
            repeat(self._where.label(name), once)

    def create(self, table: Table, properties: Mapping[str, str]) -> None:
        """Create a table, with comments; see `Founder`."""
        self._run(self._creation(table, properties), "create", table.name)

    def add(self, name: Name, columns: Iterable[Column]) -> None:
        """Add columns; see `Founder`."""
        statement = sql.add_columns(self._where.name(name), columns)
        repeat(self._where.label(name), lambda: self._run(statement, "add columns to", name))

    def discard(self) -> None:
        """Drop all tables of the state, the one that says that there is a state first."""
        drops = [f"DROP TABLE IF EXISTS {self._where.name(name)}" for name in sorted(self._tables)]
        self._run(script(drops), "drop", "bindings")

    def _found(self) -> None:
        """Create what is missing of the schema and all tables, in one statement."""
        made = {VERSION_PROPERTY: str(self._version), STATE_PROPERTY: str(uuid.uuid4())}
        # `bindings` comes last: where it is, the state is whole, and has the id that it bears.
        tables = sorted(self._tables.values(), key=lambda table: table.name == "bindings")
        creations = [self._creation(table, {**PROPERTIES, **made}) for table in tables]
        schema = f"CREATE SCHEMA IF NOT EXISTS {self._where.quoted} COMMENT 'trueup'"
        statement = script([schema, *creations])
        tags = {"application": "trueup", "purpose": "create the tables"}
        try:
            self._warehouse.run(statement, tags=tags)
        except StatementFailed as error:
            if error.code not in NO_CATALOG:
                raise
            catalog = sql.quoted(self._where.catalog)
            self._warehouse.run(f"CREATE CATALOG IF NOT EXISTS {catalog}", tags=tags)
            self._warehouse.run(statement, tags=tags)

    def _creation(self, table: Table, properties: Mapping[str, str]) -> str:
        # Other engines could not write tables with row tracking, which may be on by default.
        portable = {**properties, "delta.enableRowTracking": "false"}
        return sql.create(table, self._where.name(table.name), portable)

    def _held_lease(self, columns: Sequence[str]) -> Columns:
        """Return the lease's row, asked for anew unless it was just now, and all else with it."""
        fresh = time.monotonic() - self._asked < FRESH
        if self._held is None or not fresh:
            self._held = self._take_along()
            self._asked = time.monotonic()
        else:
            # The second look comes right after the first; a third one waits for something.
            self._asked = 0.0
        return self._held.read("runs", columns, _LEASE, "", None)

    def _take_along(self) -> Held:
        """Read the small tables, and the stamp, in one statement."""
        parts: list[str] = []
        for name in _SMALL:
            table = self._tables[name]
            cells = ", ".join(sql.carried(c, self._columns(table)) for c in table.columns)
            parts.append(
                f"SELECT {sql.text(name)} AS _part, to_json(struct({cells})) AS _text"
                f" FROM {self._where.name(name)}"
            )
        parts[_SMALL.index("runs")] += f" WHERE status = 'running' OR run_id = {sql.text(LEASE)}"
        bound = f"(SELECT count(*) FROM {self._where.name('bindings')})"
        parts[_SMALL.index("bindings")] += f" WHERE {bound} <= {WHOLE}"
        parts.append(f"SELECT 'bound', CAST({bound} AS STRING)")
        parts += [
            f"SELECT {sql.text(f'files of {name}')}, {FILES} FROM {self._where.name(name)}"
            for name in PLANNED
        ]
        batches: dict[Name, list[Row]] = {name: [] for name in _SMALL}
        files: list[Row] = []
        for row in self._run(" UNION ALL ".join(parts), "take along", "bindings").rows():
            part = str(row["_part"])
            if part == "bound":
                if int(str(row["_text"])) > WHOLE:
                    del batches["bindings"]
            elif part.startswith("files of "):
                files.append({**row, "_part": part.removeprefix("files of ")})
            else:
                name = cast("Name", part)
                batches[name].append(_arrived(self._tables[name], str(row["_text"])))
        return Held.of(self._tables, batches, stamp_in(files))

    def _take(self, write: Write) -> Merged:
        """Send a write, with what waits before it; or put it into the batch that is open."""
        queue = cast("list[Write] | None", getattr(self._batch, "queue", None))
        with self._turn:
            if queue is not None and write.guard is None:
                queue.append(write)
                if self._held:
                    self._held.apply(write.table, write.rows, write.removed or {})
                return Merged(updated=size(write.rows))
            return self._send([write])

    def _send(self, writes: Sequence[Write]) -> Merged:
        """Commit what waits and then `writes`, in as few statements as they fit into.

        Return what became of the last one.
        """
        done = Merged()
        try:
            for group in _grouped([*self._waiting, *writes]):
                done = self._commit(group[0]) if len(group) == 1 else self._commit_all(group)
                del self._waiting[: len(group)]
        except BaseException:
            self._held = None
            raise
        if writes and writes[-1].guard and done == Merged():
            # The row is not as it was expected to be, so that somebody else writes as well.
            self._held = None
        if self._held:
            for write in writes:
                self._held.apply(write.table, write.rows, write.removed or {})
        return done

    def _commit(self, write: Write) -> Merged:
        """Commit one write; one too long for a statement takes several."""
        name = self._where.name(write.table.name)
        statement = write.statement(name, write.source(self._where.name("runs"), "rows"))
        where = self._where.label(write.table.name)
        run = _run_of(write)
        total = Merged()
        for text, _ in packed(write.records):
            answer = repeat(
                where,
                lambda text=text: self._run(
                    statement, "write to", write.table.name, {"rows": text}, run
                ),
            )
            counts = {key: values[0] for key, values in answer.columns().items() if values}
            found = [counts.get(f"num_{what}_rows") for what in ("inserted", "updated", "deleted")]
            if not all(isinstance(count, int) for count in found):
                raise StateError(
                    f"the warehouse does not say how many rows of {where} it changed",
                    hint="run: trueup state check",
                )
            total = _sum(total, Merged(*cast("list[int]", found)))
        if write.fence and (total == Merged() or total.inserted + total.updated < size(write.rows)):
            self._refuse_fenced(write.fence)
        return total

    def _commit_all(self, writes: Sequence[Write]) -> Merged:
        """Commit several writes as one script, and see that all of them came to be."""
        runs = self._where.name("runs")
        statements: list[str] = []
        checks: list[str] = []
        parameters: dict[str, str] = {}
        for place, write in enumerate(writes):
            name = self._where.name(write.table.name)
            source = write.source(runs, f"rows{place}")
            statements.append(write.statement(name, source))
            checks.append(sql.written(write.table, name, source, place))
            parameters[f"rows{place}"] = json.dumps(
                write.records, ensure_ascii=False, separators=(",", ":")
            )
        statement = script([*statements, " UNION ALL ".join(checks)])
        last = writes[-1]
        labels = ", ".join(dict.fromkeys(write.table.name for write in writes))
        answer = repeat(
            f"{labels} at {self.place}",
            lambda: self._run(statement, "write to", last.table.name, parameters, _run_of(last)),
        )
        saved = size(last.rows)
        for row in answer.rows():
            write = writes[cast("int", row["_place"])]
            if row["_saved"] == size(write.rows) and not row["_left"]:
                continue
            if write.guard:
                saved = 0
                continue
            self._refuse_fenced(write.fence)
            raise StateError(
                f"{size(write.rows)} rows were to be saved in"
                f" {self._where.label(write.table.name)}; {row['_saved']} are there",
                hint="rows share a key: trueup state check tells which",
            )
        return Merged(updated=saved)

    def _refuse_fenced(self, fence: int) -> None:
        """Raise where somebody holds the lease under a greater number than `fence`."""
        batch = self._read(self._tables["runs"], ["lease"], _LEASE, "", None)
        if fence and batch["lease"] and lease_of(str(batch["lease"][0])).fence > fence:
            raise fenced_off()


def _grouped(writes: Sequence[Write]) -> Iterator[list[Write]]:
    """Yield writes that fit into one statement together, in order."""
    fitting: list[Write] = []
    for records, write in ((write.records, write) for write in writes):
        merged = [record for item in fitting for record in item.records] + records
        if fitting and len(list(packed(merged))) > 1:
            yield fitting
            fitting = []
        fitting.append(write)
    if fitting:
        yield fitting


def _records(table: Table, rows: Columns, guard: Guard | None, *, gone: bool) -> list[Row]:
    extra: Row = {sql.GONE: gone}
    if guard and guard.expected is not None:
        extra[sql.EXPECTED] = guard.expected
    return [
        {**{n: c for n, c in zip(table.names, row, strict=True) if c is not None}, **extra}
        for row in zip(*sql.carry(table, rows, size(rows)), strict=True)
    ]


def _arrived(table: Table, text: str) -> Row:
    """Return a row that travelled as JSON, in which nulls are left out."""
    cells = cast("Row", json.loads(text))
    return {c.name: sql.arrived(c, [cells.get(c.name)])[0] for c in table.columns}


def _lacking(
    present: Mapping[str, str] | None, change: Callable[[Mapping[str, str]], Mapping[str, str]]
) -> dict[str, str]:
    """Return the properties that `change` asks for and that the table does not have yet."""
    have = present or {}
    return {name: value for name, value in change(have).items() if have.get(name) != value}


def _run_of(write: Write) -> str:
    note: object = json.loads(write.note) if write.note else {}
    return str(cast("dict[str, object]", note).get("run", "")) if isinstance(note, dict) else ""


def _sum(left: Merged, right: Merged) -> Merged:
    return Merged(
        left.inserted + right.inserted, left.updated + right.updated, left.deleted + right.deleted
    )

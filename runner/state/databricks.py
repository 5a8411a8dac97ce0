"""The Databricks backend: Delta tables in Unity Catalog, reached through a SQL warehouse.

Rows travel as one named parameter that holds JSON, which `from_json` takes apart and FAILFAST
refuses where it is malformed. Every answer of the service costs a round trip, so that what can be
asked in one statement is.

A warehouse lets nobody set a commit's `userMetadata`: that is a setting of a Spark session, and
`SET` there knows a few names only. The note of a commit therefore stands in the condition of its
MERGE, where it is always true, and Delta's log keeps the condition with the commit: the same
`DESCRIBE HISTORY` tells both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from runner.state import sql
from runner.state.codec import number, stamp_of
from runner.state.commits import (
    Look,
    marked,
    refuse_newer,
)
from runner.state.contract import Key
from runner.state.engine import Cell, Columns, Comparison, LogRecord, Where
from runner.state.warehouse import Answer, StatementFailed, Warehouse
from schemas.domain import canonical
from schemas.errors import StateError
from schemas.tables import PLANNED, TABLES, VERSION, VERSION_PROPERTY, Name, Table

PAYLOAD = 6 * 2**20
"""Bytes of rows that one statement carries; a statement may have 16 MiB, quotes escaped."""

MISSING = frozenset(
    {
        "TABLE_OR_VIEW_NOT_FOUND",
        "SCHEMA_NOT_FOUND",
        "NO_SUCH_CATALOG_EXCEPTION",
        "CATALOG_NOT_FOUND",
        "DELTA_TABLE_NOT_FOUND",
    }
)
NO_CATALOG = frozenset({"NO_SUCH_CATALOG_EXCEPTION", "CATALOG_NOT_FOUND"})


@dataclass(frozen=True, slots=True)
class Schema:
    """Where the tables of a state are.

    Attributes:
        prefix: stands before each table's name, as `home_`.
    """

    catalog: str
    schema: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"{self.catalog}.{self.schema}" + (f".{self.prefix}*" if self.prefix else "")

    def label(self, name: Name) -> str:
        """Return what people call a table."""
        return f"{self.catalog}.{self.schema}.{self.prefix}{name}"

    def name(self, name: Name) -> str:
        """Return what a statement calls a table."""
        return f"{self.quoted}.{sql.quoted(self.prefix + name)}"

    @property
    def quoted(self) -> str:
        """What a statement calls the schema."""
        return f"{sql.quoted(self.catalog)}.{sql.quoted(self.schema)}"


class Missing(StateError):
    """A table is not there, or the schema that it should be in."""


class DatabricksTables:
    """The tables of one state, for reading; nothing is ever created.

    Each question is asked once: what the first answer was, it stays, as long as this object lives.

    Args:
        warehouse: runs the statements.
        where: where the tables are.
        tables: the schema that the caller knows.
        version: the number of that schema.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        where: Schema,
        *,
        tables: Mapping[Name, Table] = TABLES,
        version: int = VERSION,
    ) -> None:
        self._warehouse = warehouse
        self._where = where
        self._tables = tables
        self._version = version
        self._properties: list[Mapping[str, str] | None] = []
        self._stamp = ""
        self._answers: dict[str, Columns] = {}
        self._versions: Mapping[Name, int] = {}

    @property
    def place(self) -> str:
        """Where the tables are, for people."""
        return str(self._where)

    def properties(self) -> Mapping[str, str] | None:
        """Return the table properties of `bindings`, or `None` where there is no state."""
        if not self._properties:
            found = self._shown("bindings")
            if found is not None:
                refuse_newer(found, self._version, self.place)
            self._properties.append(found)
        return self._properties[0]

    def stamp(self) -> str:
        """Return a hash of the names of the files that hold the rows now."""
        if not self._stamp:
            if self.properties() is None:
                return "0"
            parts = " UNION ALL ".join(
                f"SELECT {sql.text(name)} AS _part, {FILES} AS _text FROM {self._source(name)}"
                for name in PLANNED
            )
            self._stamp = stamp_in(self._run(parts, "stamp", "bindings").rows())
        return self._stamp

    def read(
        self,
        table: Table,
        columns: Sequence[str],
        where: Where | None = None,
        newest: str = "",
        limit: int | None = None,
    ) -> Columns:
        """Return columns of the rows that match; see `TableReader`."""
        filters = {name: sorted(set(values)) for name, values in (where or {}).items()}
        key = canonical([table.name, list(columns), filters, newest, limit])
        if key not in self._answers:
            self._answers[key] = self._read(table, columns, filters, newest, limit)
        return self._answers[key]

    def compare(self, rows: Iterable[tuple[str, str, str]]) -> Comparison:
        """Compare wanted rows with the bound ones, in one statement; see `TableReader`.

        The same statement tells the stamp, so that both are of one moment.
        """
        wanted = list(rows)
        if self.properties() is None:
            return Comparison(missing=tuple((a, p) for a, p, _ in wanted))
        table = self._tables["bindings"]
        found: Columns = {name: [] for name in table.names}
        missing: list[int] = []
        gone: set[Key] = set()
        bound = 0
        for statement, parameters in self._comparisons(table, wanted):
            files: list[dict[str, Cell]] = []
            answer = self._run(statement, "compare", "bindings", parameters)
            for row in answer.rows():
                if row["_part"] == "bound":
                    bound += cast("int", row["_number"])
                elif row["_part"] != "differs":
                    files.append(row)
                elif row["address"] is None:
                    missing.append(cast("int", row["_place"]))
                else:
                    if row["_place"] is None:
                        gone.add((cast("str", row["address"]), cast("str", row["platform"])))
                    for name in table.names:
                        found[name].append(row[name])
            self._stamp = self._stamp or stamp_in(files)
        whole = {c.name: sql.arrived(c, found[c.name]) for c in table.columns}
        return Comparison(
            missing=tuple((wanted[place][0], wanted[place][1]) for place in sorted(missing)),
            rows=whole,
            gone=frozenset(gone),
            bound=bound,
        )

    def at(self, versions: Mapping[Name, int]) -> DatabricksTables:
        """Return the tables as they were; see `Travels`."""
        then = DatabricksTables(
            self._warehouse, self._where, tables=self._tables, version=self._version
        )
        then._versions = versions
        return then

    def log(self, name: Name) -> Iterator[LogRecord]:
        """Yield the commits of a table, newest first; see `TableReader`."""
        if self.properties() is None:
            return
        answer = self._run(f"DESCRIBE HISTORY {self._where.name(name)}", "read the log of", name)
        for row in answer.rows():
            note = row.get("userMetadata") or marked(str(row.get("operationParameters") or ""))
            yield LogRecord(cast("int", row["version"]), _utc(str(row["timestamp"])), str(note))

    def look(self, name: Name) -> Look | None:
        """Return what a table is like now; see `Founder`."""
        properties = self._shown(name)
        if properties is None:
            return None
        whole = number(properties.get(VERSION_PROPERTY)) == self._version
        columns = self._tables[name].names if whole else self._described(name)
        return Look(properties, frozenset(columns))

    def _read(
        self,
        table: Table,
        columns: Sequence[str],
        where: Where,
        newest: str,
        limit: int | None,
    ) -> Columns:
        if self.properties() is None or not all(where.values()):
            return {name: [] for name in columns}
        there = self._columns(table)
        picked = [column for name in columns for column in table.columns if column.name == name]
        parts = [sql.carried(column, there) for column in picked]
        statement = f"SELECT {', '.join(parts)} FROM {self._source(table.name)}"
        batches: list[Columns] = []
        for conditions, parameters in _filters(where):
            asked = statement + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
            if newest:
                asked += f" ORDER BY {sql.quoted(newest)} DESC"
            if limit is not None:
                asked += f" LIMIT {limit}"
            batches.append(self._run(asked, "read", table.name, parameters).columns())
        return {
            column.name: sql.arrived(column, [c for batch in batches for c in batch[column.name]])
            for column in picked
        }

    def _comparisons(
        self, table: Table, wanted: Sequence[tuple[str, str, str]]
    ) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the statements that compare all of `wanted`, each for a range of addresses."""
        there = self._columns(table)
        rows: list[dict[str, Cell]] = [
            {"place": place, "address": address, "platform": platform, "fingerprint": fingerprint}
            for place, (address, platform, fingerprint) in enumerate(wanted)
        ]
        packs = list(packed(sorted(rows, key=lambda row: str(row["address"])), whole="address"))
        width = len(table.columns)
        blank = ", ".join(["NULL"] * (width + 1))
        for turn, (text, some) in enumerate(packs):
            parameters = {"rows": text}
            bounds: list[str] = []
            if turn:
                bounds.append("address >= :first")
                parameters["first"] = str(some[0]["address"])
            if turn + 1 < len(packs):
                bounds.append("address < :next")
                parameters["next"] = str(packs[turn + 1][1][0]["address"])
            part = f"(SELECT * FROM {self._source('bindings')}"
            part += f" WHERE {' AND '.join(bounds)})" if bounds else ")"
            source = f"(SELECT {inlined(_WANTED)})"
            differing = sql.compare(table.columns, part, source, there)
            cells = ", ".join(sql.quoted(name) for name in table.names)
            statement = (
                f"SELECT 'differs' AS _part, CAST(NULL AS BIGINT) AS _number,"
                f" CAST(NULL AS STRING) AS _text, _place, {cells} FROM ({differing})"
                f" UNION ALL SELECT 'bound', count(*), NULL, {blank} FROM {part}"
            )
            for name in () if self._stamp or turn else PLANNED:
                statement += (
                    f" UNION ALL SELECT {sql.text(name)}, NULL, {FILES}, {blank}"
                    f" FROM {self._source(name)}"
                )
            yield statement, parameters

    def _source(self, name: Name) -> str:
        """Return what a query reads: a table, or what it was at the version that is read."""
        version = self._versions.get(name)
        past = "" if version is None else f" VERSION AS OF {version}"
        return self._where.name(name) + past

    def _shown(self, name: Name) -> Mapping[str, str] | None:
        """Return the properties of a table; `None` where it does not exist."""
        try:
            answer = self._run(f"SHOW TBLPROPERTIES {self._where.name(name)}", "look at", name)
        except Missing:
            return None
        return {str(row["key"]): str(row["value"]) for row in answer.rows()}

    def _columns(self, table: Table) -> frozenset[str]:
        """Return the columns that a table has; all that we know unless it is an older one."""
        if table.name in self._versions:
            # What the table is now does not tell: it may have been brought up to date since.
            query = f"SELECT * FROM {self._source(table.name)} LIMIT 0"
            return frozenset(self._run(query, "look at", table.name).names)
        if number((self.properties() or {}).get(VERSION_PROPERTY)) == self._version:
            return frozenset(table.names)
        return self._described(table.name)

    def _described(self, name: Name) -> frozenset[str]:
        answer = self._run(f"DESCRIBE TABLE {self._where.name(name)}", "look at", name)
        return frozenset(str(row["col_name"]) for row in answer.rows())

    def _run(
        self,
        statement: str,
        doing: str,
        name: Name,
        parameters: Mapping[str, str] | None = None,
        run: str = "",
    ) -> Answer:
        tags = {"application": "trueup", "purpose": f"{doing} {name}"}
        if run:
            tags["run"] = run
        try:
            return self._warehouse.run(statement, parameters, tags)
        except StatementFailed as error:
            if error.code in MISSING:
                raise Missing(
                    f"the table {self._where.label(name)} is missing",
                    hint="restore it with UNDROP TABLE, or run: trueup state init, which makes it"
                    " anew",
                ) from error
            raise


FILES = "to_json(collect_set(_metadata.file_name))"
_WANTED = "place BIGINT, address STRING, platform STRING, fingerprint STRING"


def script(statements: Iterable[str]) -> str:
    """Return one statement that carries out several, in order, each a commit of its own."""
    return f"BEGIN {'; '.join(statements)}; END"


def inlined(schema: str, marker: str = "rows") -> str:
    """Return the expression that makes rows of the JSON in a parameter."""
    return f"inline(from_json(:{marker}, 'ARRAY<STRUCT<{schema}>>', map('mode', 'FAILFAST')))"


def packed(
    records: Sequence[dict[str, Cell]], *, whole: str = ""
) -> Iterator[tuple[str, Sequence[dict[str, Cell]]]]:
    """Yield JSON arrays that each fit into a statement, with the records that they hold.

    Args:
        records: what is packed, in order.
        whole: records that are alike in this stay together; such come one after the other.

    Raises:
        StateError: a text is no Unicode.
    """
    texts: list[str] = []
    start = length = 0
    for place, record in enumerate(records):
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        try:
            weight = len(text.encode()) + 1
        except UnicodeEncodeError as error:
            raise StateError(
                f"a text cannot be stored: {error.reason}", hint="it is no valid Unicode"
            ) from error
        split = not whole or record[whole] != records[place - 1][whole]
        if texts and length + weight > PAYLOAD and split:
            yield f"[{','.join(texts)}]", records[start:place]
            texts, start, length = [], place, 0
        texts.append(text)
        length += weight
    if texts or whole:
        yield f"[{','.join(texts)}]", records[start:]


def _filters(where: Where) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield conditions with their parameters; together they match what `where` does."""
    few = {name: values for name, values in where.items() if len(values) == 1}
    many = [(name, values) for name, values in where.items() if len(values) > 1]
    conditions = [f"{sql.quoted(name)} = :only{place}" for place, name in enumerate(few)]
    parameters = {f"only{place}": values[0] for place, values in enumerate(few.values())}
    for place, (name, values) in enumerate(many[1:]):
        conditions.append(_among(name, f"among{place}"))
        parameters[f"among{place}"] = json.dumps(list(values))
    if not many:
        yield conditions, parameters
        return
    name, values = many[0]
    for text, _ in packed([{"v": value} for value in values]):
        yield (
            [*conditions, f"{sql.quoted(name)} IN (SELECT {inlined('v STRING')})"],
            {**parameters, "rows": text},
        )


def _among(name: str, marker: str) -> str:
    return f"{sql.quoted(name)} IN (SELECT explode(from_json(:{marker}, 'ARRAY<STRING>')))"


def stamp_in(rows: Iterable[Mapping[str, Cell]]) -> str:
    """Return the stamp from the rows of an answer that list the files of each table."""
    files = {row["_part"]: cast("list[str]", json.loads(str(row["_text"]))) for row in rows}
    return stamp_of(files.get(name, []) for name in PLANNED)


def _utc(text: str) -> str:
    """Return an instant as the warehouse writes it, in UTC and to the millisecond."""
    moment = datetime.fromisoformat(text)
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

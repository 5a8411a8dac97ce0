"""Statements in the SQL of Spark and Databricks, made from `schemas.tables`.

Cells travel as STRING, BIGINT and BOOLEAN only, since those mean the same everywhere: an instant as
microseconds since 1970, a date as its ISO text. What a session thinks of time zones is then no
matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from runner.state.engine import ORDERED, Cell, Columns, Guard
from schemas.tables import Column, Name, Table, Type

GONE = "_gone"
EXPECTED = "_expected"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STORED: dict[Type, str] = {
    "STRING": "STRING",
    "JSON": "STRING",
    "BIGINT": "BIGINT",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP",
}
_CARRIED: dict[Type, str] = {**_STORED, "DATE": "STRING", "TIMESTAMP": "BIGINT"}


def create(table: Table, name: str, properties: Mapping[str, str]) -> str:
    """Return the statement that creates a table unless it is there."""
    columns = ", ".join(map(_definition, table.columns))
    return (
        f"CREATE TABLE IF NOT EXISTS {name} ({columns}) USING DELTA"
        f" COMMENT {text(table.comment)} TBLPROPERTIES ({_pairs(properties)})"
    )


def add_columns(name: str, columns: Iterable[Column]) -> str:
    """Return the statement that adds columns."""
    return f"ALTER TABLE {name} ADD COLUMNS ({', '.join(map(_definition, columns))})"


def set_properties(name: str, properties: Mapping[str, str]) -> str:
    """Return the statement that sets table properties."""
    return f"ALTER TABLE {name} SET TBLPROPERTIES ({_pairs(properties)})"


def optimize(table: Name, name: str) -> str:
    """Return the statement that makes a table's files few, and sorted where that pays."""
    order = f" ZORDER BY ({quoted(ORDERED[table])})" if table in ORDERED else ""
    return f"OPTIMIZE {name}{order}"


def carried_schema(columns: Iterable[Column], *, removes: bool, guarded: bool) -> str:
    """Return the schema of the rows of a merge or append as they travel."""
    items = [f"{quoted(column.name)} {_CARRIED[column.type]}" for column in columns]
    items += [f"{GONE} BOOLEAN"] * removes + [f"{EXPECTED} STRING"] * guarded
    return ", ".join(items)


def stored(column: Column) -> str:
    """Return the expression that makes a stored value of one that travelled."""
    name = quoted(column.name)
    match column.type:
        case "TIMESTAMP":
            return f"timestamp_micros({name}) AS {name}"
        case "DATE":
            return f"CAST({name} AS DATE) AS {name}"
        case _:
            return name


def carried(column: Column, there: Collection[str], alias: str = "") -> str:
    """Return the expression that makes a value ready to travel; null where it is not `there`."""
    name = alias + quoted(column.name)
    if column.name not in there:
        return f"CAST(NULL AS {_CARRIED[column.type]}) AS {quoted(column.name)}"
    match column.type:
        case "TIMESTAMP":
            return f"unix_micros({name}) AS {quoted(column.name)}"
        case "DATE":
            return f"CAST({name} AS STRING) AS {quoted(column.name)}"
        case _:
            return name


def select_stored(
    table: Table, source: str, *, removes: bool = False, guarded: bool = False
) -> str:
    """Return the query over rows that travelled, with the types of the table."""
    items = [stored(column) for column in table.columns]
    items += [GONE] * removes + [EXPECTED] * guarded
    return f"SELECT {', '.join(items)} FROM {source}"


def merge(table: Table, name: str, source: str, guard: Guard | None, mark: str = "") -> str:
    """Return the statement that merges the query `source` by key.

    `GONE` tells rows to delete from rows to save; with a guard, `EXPECTED` must be what the row
    holds. Delta's log keeps the condition with the commit, and `mark` in it.
    """
    same_key = " AND ".join(f"t.{quoted(key)} = s.{quoted(key)}" for key in table.key)
    if mark:
        same_key += f" AND s.{quoted(table.key[0])} <> {text(mark)}"
    names = [quoted(item) for item in table.names]
    update = insert = f"NOT s.{GONE}"
    if guard:
        update += f" AND t.{quoted(guard.column)} = s.{EXPECTED}"
        insert += f" AND s.{EXPECTED} IS NULL"
    return (
        f"MERGE INTO {name} t USING ({source}) s ON {same_key}"
        f" WHEN MATCHED AND s.{GONE} THEN DELETE"
        f" WHEN MATCHED AND {update} THEN UPDATE SET"
        f" {', '.join(f't.{item} = s.{item}' for item in names)}"
        f" WHEN NOT MATCHED AND {insert} THEN INSERT ({', '.join(names)})"
        f" VALUES ({', '.join(f's.{item}' for item in names)})"
    )


def append(table: Table, name: str, source: str, mark: str) -> str:
    """Return the statement that adds the rows of the query `source` unless they are there.

    It may be carried out again when nobody knows whether it was, and leaves `mark` in Delta's log.
    """
    key = " AND ".join(f"t.{quoted(key)} = s.{quoted(key)}" for key in table.key)
    names = [quoted(item) for item in table.names]
    return (
        f"MERGE INTO {name} t USING ({source}) s"
        f" ON {key} AND s.{quoted(table.key[0])} <> {text(mark)}"
        f" WHEN NOT MATCHED THEN INSERT ({', '.join(names)})"
        f" VALUES ({', '.join(f's.{item}' for item in names)})"
    )


def written(table: Table, name: str, source: str, place: int) -> str:
    """Return the query for what became of a merge: rows that are as saved, and rows not gone."""
    key = " AND ".join(f"t.{quoted(key)} = s.{quoted(key)}" for key in table.key)
    same = " AND ".join(f"t.{quoted(item)} <=> s.{quoted(item)}" for item in table.names)
    return (
        f"SELECT CAST({place} AS BIGINT) AS _place,"
        f" count_if(NOT s.{GONE} AND {same}) AS _saved, count_if(s.{GONE}) AS _left"
        f" FROM ({source}) s JOIN {name} t ON {key}"
    )


def compare(
    columns: Iterable[Column], bound: str, wanted: str, there: Collection[str], hint: str = ""
) -> str:
    """Return the query for where `bound` and the view `wanted` differ.

    `wanted` has address, platform, fingerprint and place. A row of the answer has `place` (null
    where the binding is not wanted), the wanted key, and `columns` of the binding (null where
    there is none).
    """
    cells = ", ".join(carried(column, there, "b.") for column in columns)
    return (
        f"SELECT {hint} w.place AS _place, w.address AS _address, w.platform AS _platform,"
        f" {cells} FROM {bound} b FULL OUTER JOIN {wanted} w"
        " ON b.address = w.address AND b.platform = w.platform"
        " WHERE w.place IS NULL OR NOT (b.desired_hash <=> w.fingerprint)"
        " OR b.drift IS NOT NULL OR b.pending IS NOT NULL"
    )


def not_fenced(runs: str, lease: str, fence: int) -> str:
    """Return the condition that nobody holds the lease under a greater number than `fence`.

    Asked inside the statement that commits, so that nothing comes between.
    """
    return (
        f"NOT EXISTS (SELECT 1 FROM {runs} WHERE run_id = {text(lease)}"
        f" AND CAST(get_json_object(lease, '$.fence') AS BIGINT) > {fence})"
    )


def carry(table: Table, rows: Columns, count: int) -> list[Sequence[Cell]]:
    """Return columns ready to travel; those that `rows` lacks are null."""
    batch: list[Sequence[Cell]] = []
    for column in table.columns:
        values = rows.get(column.name) or [None] * count
        batch.append(list(map(_micros, values)) if column.type == "TIMESTAMP" else values)
    return batch


def arrived(column: Column, values: list[Cell]) -> list[Cell]:
    """Return the cells of a column that travelled."""
    return list(map(_instant, values)) if column.type == "TIMESTAMP" else values


def instant(micros: int) -> str:
    """Return an instant in UTC as the shortest text of milliseconds or microseconds."""
    moment = _EPOCH + timedelta(microseconds=micros)
    digits = "seconds" if not micros % 1_000_000 else "auto"
    if micros % 1_000_000 and not micros % 1_000:
        digits = "milliseconds"
    return moment.isoformat(timespec=digits).replace("+00:00", "Z")


def quoted(name: str) -> str:
    """Return an identifier for use in a statement."""
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """Return a text literal for use in a statement."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def _micros(value: Cell) -> Cell:
    if not isinstance(value, str):
        return None
    return (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)


def _instant(value: Cell) -> Cell:
    return instant(value) if isinstance(value, int) else None


def _definition(column: Column) -> str:
    return f"{quoted(column.name)} {_STORED[column.type]} COMMENT {text(column.comment)}"


def _pairs(properties: Mapping[str, str]) -> str:
    return ", ".join(f"{text(name)} = {text(value)}" for name, value in properties.items())

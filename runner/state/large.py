"""Comparing millions of rows on delta-rs: DataFusion joins, Python only carries what differs.

What is wanted is staged as a table of its own, in a temporary folder, with nothing done to its
values that one look at them would not repay. `docs/scale.md` has the figures.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from runner.state.contract import Key
from runner.state.engine import Cell, Columns, Comparison
from schemas.tables import Table

if TYPE_CHECKING:
    from deltalake import DeltaTable

LARGE = 200_000
"""Wanted rows from which a join is worth its preparation."""

CHUNK = 50_000

LEAN = {"datafusion.execution.target_partitions": "1"}
"""Options of a query over many rows: a join in parts first copies both sides into the parts, which
takes more memory and processor time than it saves."""

_DIFFERING = """
SELECT w.place, w.address, w.platform, t.address, t.platform
FROM t FULL OUTER JOIN w ON t.address = w.address AND t.platform = w.platform
WHERE w.place IS NULL OR t.address IS NULL OR (t.desired_hash IS DISTINCT FROM w.fingerprint)
  OR t.drift IS NOT NULL OR t.pending IS NOT NULL
"""

Query = Callable[[str, "dict[str, DeltaTable]"], list[list[Cell]]]
"""Runs SQL over tables by name; returns its columns."""


def compare(
    query: Query, table: Table, bound: DeltaTable, wanted: Iterable[tuple[str, str, str]]
) -> Comparison:
    """Compare wanted rows with the bound ones; see `TableReader.compare`."""
    with tempfile.TemporaryDirectory(prefix="trueup-") as folder:
        asked = stage(
            Path(folder) / "wanted",
            ("address", "platform", "fingerprint"),
            wanted,
        )
        rows = list(zip(*query(_DIFFERING, {"t": bound, "w": asked}), strict=True))
        missing = sorted((cast("int", row[0]), row[1:3]) for row in rows if row[3] is None)
        gone = {cast("Key", row[3:]) for row in rows if row[0] is None}
        keys = {cast("Key", row[3:]) for row in rows if row[3] is not None}
        ((count,),) = query("SELECT count(*) FROM t", {"t": bound})
        return Comparison(
            tuple(cast("Key", key) for _, key in missing),
            _whole(query, table, bound, stage(Path(folder) / "keys", table.key, sorted(keys))),
            frozenset(gone),
            cast("int", count),
        )


def stage(path: Path, names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> DeltaTable:
    """Return a table of text columns and, last, `place`: the number of each row."""
    from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
    from deltalake import ColumnProperties, DeltaTable, WriterProperties, write_deltalake

    fields = [Field(name, DataType.string()) for name in names]
    schema = Schema([*fields, Field("place", DataType.int64())])

    def batches() -> Iterable[RecordBatch]:
        rest = iter(rows)
        start = 0
        while chunk := list(itertools.islice(rest, CHUNK)):
            # Not `zip(*chunk)`: it holds an iterator for every row, and takes as long as the rest.
            columns = [
                Array([row[i] for row in chunk], DataType.string()) for i in range(len(names))
            ]
            places = Array(range(start, start + len(chunk)), DataType.int64())
            start += len(chunk)
            yield RecordBatch([*columns, places], schema=schema)

    write_deltalake(
        str(path),
        RecordBatchReader.from_batches(schema, batches()),
        writer_properties=WriterProperties(
            compression="UNCOMPRESSED",
            max_row_group_size=CHUNK,
            default_column_properties=ColumnProperties(
                dictionary_enabled=False, statistics_enabled="NONE"
            ),
        ),
    )
    return DeltaTable(str(path))


def _whole(query: Query, table: Table, bound: DeltaTable, keys: DeltaTable) -> Columns:
    """Return the whole rows with the keys; columns that the table lacks are null."""
    there = {item.name for item in bound.schema().fields}
    cells = ", ".join(
        f't."{name}" AS c{i}' if name in there else f"NULL AS c{i}"
        for i, name in enumerate(table.names)
    )
    same = " AND ".join(f't."{key}" = w."{key}"' for key in table.key)
    sql = f"SELECT {cells} FROM t LEFT SEMI JOIN w ON {same}"
    return dict(zip(table.names, query(sql, {"t": bound, "w": keys}), strict=True))

"""What a writer knows of the tables while it alone may write them: no need to ask again.

An engine that is far away answers slowly. Whoever holds the lease may take the small tables along
once, and keep them up to date by what it writes itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runner.state import sql
from runner.state.codec import size
from runner.state.contract import Key
from runner.state.engine import Cell, Columns, Comparison, Where
from schemas.tables import PLANNED, Name, Table

WHOLE = 2000
"""Bindings up to which they are all taken along; beyond, each question goes to the engine."""

RUNNING: Where = {"status": ["running"]}
"""Of `runs`, only these are taken along."""

Row = dict[str, Cell]


@dataclass(slots=True)
class Held:
    """Tables as they are now.

    Attributes:
        rows: by table, all its rows by key; of `runs`, those that are running.
        stamp: what the engine's `stamp` would be, or an empty string where it must be asked.
    """

    rows: dict[Name, dict[tuple[Cell, ...], Row]]
    stamp: str = ""
    _keys: Mapping[Name, tuple[str, ...]] = field(default_factory=dict[Name, tuple[str, ...]])

    @classmethod
    def of(
        cls, tables: Mapping[Name, Table], batches: Mapping[Name, Sequence[Row]], stamp: str
    ) -> Held:
        """Return tables from their rows; one with two rows of one key is left out."""
        rows: dict[Name, dict[tuple[Cell, ...], Row]] = {}
        for name, batch in batches.items():
            by_key = {tuple(row[key] for key in tables[name].key): row for row in batch}
            if len(by_key) == len(batch):
                rows[name] = by_key
        return cls(rows, stamp, {name: table.key for name, table in tables.items()})

    def knows(self, name: Name, where: Where) -> bool:
        """Return whether a question can be answered from here."""
        return name in self.rows and (name != "runs" or where == RUNNING)

    def read(
        self, name: Name, columns: Sequence[str], where: Where, newest: str, limit: int | None
    ) -> Columns:
        """Return columns of the rows that match; see `TableReader.read`."""
        allowed = {column: set(values) for column, values in where.items()}
        found = [
            row
            for row in self.rows[name].values()
            if all(row[column] in values for column, values in allowed.items())
        ]
        if newest:
            found.sort(key=lambda row: str(row[newest] or ""), reverse=True)
        return {column: [row[column] for row in found[:limit]] for column in columns}

    def compare(self, table: Table, wanted: Iterable[tuple[str, str, str]]) -> Comparison:
        """Compare wanted rows with the bound ones; see `TableReader.compare`."""
        bound = dict(self.rows["bindings"])
        missing: list[Key] = []
        differing: list[Row] = []
        total = len(bound)
        for address, platform, fingerprint in wanted:
            row = bound.pop((address, platform), None)
            if row is None:
                missing.append((address, platform))
            elif (
                row["desired_hash"] != fingerprint
                or row["drift"] is not None
                or row["pending"] is not None
            ):
                differing.append(row)
        gone = frozenset((str(address), str(platform)) for address, platform in bound)
        found = [*differing, *bound.values()]
        rows = {name: [row[name] for row in found] for name in table.names}
        return Comparison(tuple(missing), rows, gone, total)

    def apply(self, table: Table, rows: Columns, removed: Columns) -> None:
        """Take in what was written."""
        if table.name in PLANNED:
            self.stamp = ""
        held = self.rows.get(table.name)
        if held is None:
            return
        for row in _settled(table, rows):
            held[tuple(row[name] for name in table.key)] = row
        for key in zip(*(removed.get(name, []) for name in table.key), strict=True):
            held.pop(key, None)


def _settled(table: Table, rows: Columns) -> Iterator[Row]:
    """Yield rows with their instants as they will come back."""
    carried = sql.carry(table, rows, size(rows))
    columns = [sql.arrived(c, list(v)) for c, v in zip(table.columns, carried, strict=True)]
    for row in zip(*columns, strict=True):
        yield dict(zip(table.names, row, strict=True))

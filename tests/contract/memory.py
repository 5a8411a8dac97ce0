"""A state in memory: the typed state of `runner.state.store` on tables that are dictionaries.

For tests that go through thousands of rounds; what real engines do is tested elsewhere.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from runner.state.codec import rows_of
from runner.state.commits import AtOnce
from runner.state.contract import Key, Merged
from runner.state.engine import Cell, Columns, Comparison, Guard, LogRecord, Look, Where
from schemas.tables import PLANNED, STATE_PROPERTY, TABLES, Name, Table

Row = dict[str, Cell]


class MemoryTables(AtOnce):
    """The tables of one state; see `runner.state.engine.TableWriter`."""

    place = "memory"

    def __init__(self) -> None:
        self.rows: dict[Name, dict[tuple[Cell, ...], Row]] = {name: {} for name in TABLES}
        self._properties: dict[Name, dict[str, str]] = {name: {} for name in TABLES}
        self._properties["bindings"][STATE_PROPERTY] = str(uuid.uuid4())
        self._commits = 0

    def ensure(self) -> None:
        """Do nothing: the tables are there."""

    def properties(self) -> Mapping[str, str]:
        return self._properties["bindings"]

    def stamp(self) -> str:
        return str(self._commits)

    def look(self, name: Name) -> Look:
        return Look(self._properties[name], frozenset(TABLES[name].names))

    def log(self, name: Name) -> Iterator[LogRecord]:
        raise NotImplementedError(name)

    def read(
        self,
        table: Table,
        columns: Sequence[str],
        where: Where | None = None,
        newest: str = "",
        limit: int | None = None,
    ) -> Columns:
        wanted = {name: set(values) for name, values in (where or {}).items()}
        rows = [
            row
            for row in self.rows[table.name].values()
            if all(row[name] in values for name, values in wanted.items())
        ]
        if newest:
            rows.sort(key=lambda row: str(row[newest]), reverse=True)
        return {name: [row[name] for row in rows[:limit]] for name in columns}

    def compare(self, rows: Iterable[tuple[str, str, str]]) -> Comparison:
        bound = self.rows["bindings"]
        wanted = {(address, platform): hash_ for address, platform, hash_ in rows}
        odd = [
            row
            for key, row in bound.items()
            if row["desired_hash"] != wanted.get((str(key[0]), str(key[1])))
            or row["drift"] is not None
            or row["pending"] is not None
        ]
        gone: frozenset[Key] = frozenset(
            (str(address), str(platform))
            for address, platform in bound
            if (address, platform) not in wanted
        )
        return Comparison(
            missing=tuple(key for key in wanted if key not in bound),
            rows={name: [row[name] for row in odd] for name in TABLES["bindings"].names},
            gone=gone,
            bound=len(bound),
        )

    def merge(
        self,
        table: Table,
        rows: Columns,
        removed: Columns,
        note: str,  # noqa: ARG002 - the protocol's own signature
        *,
        fence: int = 0,  # noqa: ARG002
        guard: Guard | None = None,  # noqa: ARG002
    ) -> Merged:
        held = self.rows[table.name]
        inserted = updated = deleted = 0
        for row in rows_of(removed):
            deleted += held.pop(tuple(_cell(row[name]) for name in table.key), None) is not None
        for row in rows_of(rows):
            key = tuple(_cell(row[name]) for name in table.key)
            updated += key in held
            inserted += key not in held
            held[key] = {name: _cell(value) for name, value in row.items()}
        self._commits += table.name in PLANNED
        return Merged(inserted, updated, deleted)

    def append(self, table: Table, rows: Columns, note: str) -> None:
        self.merge(table, rows, {}, note)

    def tidy(self, name: Name, hours: int) -> None:
        """Do nothing: there are no files."""

    def alter(self, name: Name, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        self._properties[name].update(change(self._properties[name]))


def _cell(value: object) -> Cell:
    assert value is None or isinstance(value, str | int | bool)
    return value

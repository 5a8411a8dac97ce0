"""Values to rows and back: the frozen values of `schemas.domain` and the cells of a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from itertools import compress
from typing import cast, get_args

from runner.state.contract import IntegrationRow, Lease, LogRow, ResourceRow, Row, RunRow
from runner.state.engine import Cell, Columns
from schemas.domain import (
    Action,
    Binding,
    Edit,
    Fields,
    Kind,
    Pending,
    Person,
    Value,
    canonical,
    freeze,
    hash_of,
)
from schemas.errors import StateError
from schemas.tables import TABLES, Column, Table

KINDS: tuple[str, ...] = get_args(Kind)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
ACTIONS: tuple[str, ...] = get_args(Action)


def columns_of(table: Table, rows: Iterable[Row]) -> Columns:
    """Return rows as columns of cells that every engine can store.

    Raises:
        StateError: a row lacks a column, has one too many, or a value does not fit its type.
    """
    given = list(rows)
    wanted = set(table.names)
    for row in given:
        if set(row) != wanted:
            odd = ", ".join(sorted(wanted ^ set(row)))
            raise StateError(
                f"a row for {table.name} must have exactly its columns; check {odd}",
                hint="this is a bug in trueup; nothing was written",
            )
    return {column.name: _cells(table, column, given) for column in table.columns}


def keys_of(table: Table, keys: Iterable[Sequence[str]]) -> Columns:
    """Return keys as the key columns of a table."""
    found = list(keys)
    return {name: [key[place] for key in found] for place, name in enumerate(table.key)}


def rows_of(batch: Columns) -> Iterator[dict[str, object]]:
    """Yield a batch row by row."""
    names = list(batch)
    for values in zip(*batch.values(), strict=True):
        yield dict(zip(names, values, strict=True))


def size(batch: Columns) -> int:
    """Return how many rows a batch has."""
    return len(next(iter(batch.values()), ()))


def only(batch: Columns, flags: Iterable[bool]) -> Columns:
    """Return the rows of a batch whose flag is set."""
    kept = list(flags)
    return {name: list(compress(values, kept)) for name, values in batch.items()}


def stamp_of(files: Iterable[Iterable[str]]) -> str:
    """Return what tells one set of rows from another: a hash of the names of their files.

    Args:
        files: for each table, the addresses of its files; the same on every engine.
    """
    names = [sorted(uri.rsplit("/", 1)[-1] for uri in some) for some in files]
    return hash_of(names) if any(names) else "0"


def number(text: str | None) -> int:
    """Return the number in a table property; 0 where there is none."""
    return int(text) if text and text.isdigit() else 0


def refuse_duplicates(table: Table, *batches: Columns) -> None:
    """Raise when two rows of what is to be merged have one key.

    Raises:
        StateError: names the table and the key; nothing was written.
    """
    seen: set[tuple[Cell, ...]] = set()
    for batch in batches:
        for key in zip(*(batch[name] for name in table.key), strict=True):
            if key in seen:
                raise StateError(
                    f"two rows for {table.name} have the key {_label(key)}",
                    hint="this is a bug in trueup; nothing was written",
                )
            seen.add(key)


def binding_row(binding: Binding) -> Row:
    """Return a binding as a row."""
    pending = binding.pending
    return {
        "address": binding.address,
        "platform": binding.platform,
        "kind": binding.kind,
        "resource_id": binding.resource_id,
        "remote_id": binding.remote_id,
        "url": binding.url,
        "base": binding.base,
        "desired_hash": binding.desired_hash,
        "revision": binding.revision,
        "drift": binding.drift or None,
        "pending": pending
        and {
            "action": pending.action,
            "run_id": pending.run_id,
            "since": pending.since,
            "fields": pending.fields,
        },
        "updated_at": binding.updated_at or None,
        "run_id": binding.run_id,
        "edits": {
            name: {"at": edit.at, "by": edit.by, "turns": edit.turns}
            for name, edit in binding.edits.items()
        }
        or None,
        "echo": binding.echo or None,
    }


def binding_of(row: Row) -> Binding:
    """Return the binding that a row holds."""
    cells = _Cells(TABLES["bindings"], row)
    return Binding(
        address=cells.text("address"),
        platform=cells.text("platform"),
        kind=cells.kind("kind"),
        resource_id=cells.text("resource_id"),
        remote_id=cells.text("remote_id"),
        url=cells.text("url"),
        base=cells.fields("base"),
        desired_hash=cells.text("desired_hash"),
        revision=cells.text("revision"),
        drift=cells.fields("drift"),
        pending=_pending(cells),
        updated_at=cells.text("updated_at"),
        run_id=cells.text("run_id"),
        edits=_edits(cells),
        echo=cells.fields("echo"),
    )


def resource_row(row: ResourceRow) -> Row:
    """Return a resource as a row of `projects` or `tasks`."""
    common: dict[str, object] = {
        "address": row.address,
        "resource_id": row.resource_id,
        "title": row.title,
        "status": row.declared.get("status") or "",
        "declared": row.declared,
        "live": row.live,
        "fingerprint": row.fingerprint,
        "platforms": row.platforms,
        "protect": row.protect,
        "spec_path": row.spec_path,
        "spec_line": row.spec_line,
        "commit": row.commit,
        "applied_at": row.applied_at or None,
        "archived_at": row.archived_at or None,
    }
    if row.kind == "project":
        return common
    parent = row.declared.get("parent") or ""
    return {**common, "kind": row.kind, "project": row.project, "parent": parent}


def resource_of(table: Table, row: Row) -> ResourceRow:
    """Return the resource that a row of `projects` or `tasks` holds."""
    cells = _Cells(table, row)
    return ResourceRow(
        address=cells.text("address"),
        kind="project" if table.name == "projects" else cells.kind("kind"),
        resource_id=cells.text("resource_id"),
        declared=cells.fields("declared"),
        live=cells.fields("live"),
        fingerprint=cells.text("fingerprint"),
        platforms=cells.texts("platforms"),
        protect=bool(row["protect"]),
        spec_path=cells.text("spec_path"),
        spec_line=cells.number("spec_line"),
        commit=cells.text("commit"),
        applied_at=cells.text("applied_at"),
        archived_at=cells.text("archived_at"),
    )


def integration_row(row: IntegrationRow) -> Row:
    """Return a platform as a row."""
    values: dict[str, object] = {item.name: getattr(row, item.name) for item in fields(row)}
    return {
        **values,
        "last_success": row.last_success or None,
        "updated_at": row.updated_at or None,
    }


def integration_of(row: Row) -> IntegrationRow:
    """Return the platform that a row holds."""
    cells = _Cells(TABLES["integrations"], row)
    return IntegrationRow(
        platform=cells.text("platform"),
        enabled=bool(row["enabled"]),
        options=cells.fields("options"),
        cursor=cells.text("cursor"),
        last_success=cells.text("last_success"),
        health=cells.text("health"),
        limits=cells.mapping("limits"),
        lookups=cells.mapping("lookups"),
        updated_at=cells.text("updated_at"),
    )


def person_row(person: Person, at: str) -> Row:
    """Return a person as a row."""
    return {
        "key": person.key,
        "name": person.name,
        "email": person.email,
        "timezone": person.timezone,
        "identities": person.identities,
        "updated_at": at or None,
    }


def person_of(row: Row) -> Person:
    """Return the person that a row holds."""
    cells = _Cells(TABLES["users"], row)
    return Person(
        key=cells.text("key"),
        name=cells.text("name"),
        email=cells.text("email"),
        timezone=cells.text("timezone"),
        identities={name: str(value) for name, value in cells.mapping("identities").items()},
    )


def run_row(run: RunRow) -> Row:
    """Return a run as a row."""
    values: dict[str, object] = {item.name: getattr(run, item.name) for item in fields(run)}
    del values["fence"]
    return {
        **values,
        "started_at": run.started_at or None,
        "ended_at": run.ended_at or None,
        "lease": {"fence": run.fence} if run.fence else None,
    }


def run_of(row: Row) -> RunRow:
    """Return the run that a row holds."""
    cells = _Cells(TABLES["runs"], row)
    fence = cells.mapping("lease").get("fence")
    return RunRow(
        run_id=cells.text("run_id"),
        kind=cells.text("kind"),
        status=cells.text("status"),
        who=cells.text("who"),
        commit=cells.text("commit"),
        spec_digest=cells.text("spec_digest"),
        state_version=cells.text("state_version"),
        started_at=cells.text("started_at"),
        ended_at=cells.text("ended_at"),
        counts=cast("Mapping[str, int]", cells.mapping("counts")),
        cost=cells.mapping("cost"),
        fence=fence if isinstance(fence, int) else 0,
        error=cells.text("error"),
    )


def log_row(log: LogRow) -> Row:
    """Return an operation as a row."""
    values: dict[str, object] = {item.name: getattr(log, item.name) for item in fields(log)}
    return {**values, "ended_at": log.ended_at or None}


def log_of(row: Row) -> LogRow:
    """Return the operation that a row holds."""
    cells = _Cells(TABLES["sync_logs"], row)
    return LogRow(
        run_id=cells.text("run_id"),
        seq=cells.number("seq"),
        address=cells.text("address"),
        platform=cells.text("platform"),
        action=cells.text("action"),
        status=cells.text("status"),
        moved_from=cells.text("moved_from"),
        remote_id=cells.text("remote_id"),
        fields=cells.changes("fields"),
        requests=cells.number("requests"),
        error=cells.text("error"),
        warnings=cells.texts("warnings"),
        ended_at=cells.text("ended_at"),
        milliseconds=cells.number("milliseconds"),
    )


def lease_of(text: str) -> Lease:
    """Return the lease that the `lease` column of the lease's row holds.

    Raises:
        StateError: it cannot be read.
    """
    cells = _Cells(TABLES["runs"], {"run_id": "lease", "lease": text})
    held = cells.mapping("lease")
    fence = held.get("fence")
    if not isinstance(fence, int):
        raise cells.broken("lease", "it has no fencing number")
    return Lease(
        run_id=str(held.get("run_id", "")),
        who=str(held.get("who", "")),
        since=str(held.get("since", "")),
        until=str(held.get("until", "")),
        fence=fence,
        held=held.get("held") is True,
    )


class _Cells:
    """One row read with care: what cannot be read names the table, the key and the column."""

    __slots__ = ("row", "table")

    def __init__(self, table: Table, row: Row) -> None:
        self.table = table
        self.row = row

    def text(self, column: str) -> str:
        value = self.row[column]
        return value if isinstance(value, str) else ""

    def number(self, column: str) -> int:
        value = self.row[column]
        return value if isinstance(value, int) else 0

    def kind(self, column: str) -> Kind:
        value = self.text(column)
        if value not in KINDS:
            raise self.broken(column, f"`{value}` is none of {', '.join(KINDS)}")
        return cast("Kind", value)

    def mapping(self, column: str) -> dict[str, object]:
        value = self._json(column)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.broken(column, "it is no JSON object")
        return cast("dict[str, object]", value)

    def fields(self, column: str) -> Fields:
        return freeze(self.mapping(column))

    def sequence(self, column: str) -> list[object]:
        value = self._json(column)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.broken(column, "it is no JSON array")
        return cast("list[object]", value)

    def texts(self, column: str) -> tuple[str, ...]:
        return tuple(str(item) for item in self.sequence(column))

    def changes(self, column: str) -> tuple[tuple[str, Value, Value], ...]:
        found: list[tuple[str, Value, Value]] = []
        for item in self.sequence(column):
            if not isinstance(item, list) or len(cast("list[object]", item)) != 3:
                raise self.broken(column, "a change is not [name, before, after]")
            name, before, after = cast("list[object]", item)
            values = freeze({"before": before, "after": after})
            found.append((str(name), values["before"], values["after"]))
        return tuple(found)

    def broken(self, column: str, why: str) -> StateError:
        key = _label([self.row.get(name) for name in self.table.key])
        return StateError(
            f"the row {key} of table {self.table.name} is damaged: {column}: {why}",
            hint="restore an earlier version of the table; trueup state check finds all such rows",
        )

    def _json(self, column: str) -> object:
        text = self.row[column]
        if text is None:
            return None
        try:
            return json.loads(cast("str", text))
        except (ValueError, TypeError, RecursionError) as error:
            raise self.broken(column, "it is no JSON") from error


def _edits(cells: _Cells) -> dict[str, Edit]:
    found: dict[str, Edit] = {}
    for name, value in cells.mapping("edits").items():
        if not isinstance(value, dict):
            raise cells.broken("edits", "an edit is no JSON object")
        given = cast("dict[str, object]", value)
        turns = given.get("turns")
        found[name] = Edit(
            str(given.get("at", "")),
            str(given.get("by", "")),
            turns if isinstance(turns, int) else 0,
        )
    return found


def _pending(cells: _Cells) -> Pending | None:
    value = cells.mapping("pending")
    if not value:
        return None
    action = value.get("action")
    if action not in ACTIONS:
        raise cells.broken("pending", f"`{action}` is no action")
    given = value.get("fields")
    return Pending(
        action=cast("Action", action),
        run_id=str(value.get("run_id", "")),
        since=str(value.get("since", "")),
        fields=freeze(cast("dict[str, object]", given)) if isinstance(given, dict) else {},
    )


def _cells(table: Table, column: Column, rows: Sequence[Row]) -> list[Cell]:
    if column.type == "STRING":
        texts = [row[column.name] for row in rows]
        if all(type(text) is str and text.isascii() for text in texts):
            return cast("list[Cell]", texts)  # most columns of most rows: no need to look closer
    return [_cell(table, column, row) for row in rows]


def _cell(table: Table, column: Column, row: Row) -> Cell:
    value = row[column.name]
    if value is None and column.name not in table.key:
        return None
    fits = False
    match column.type:
        case "JSON":
            return _whole(table, column, canonical(value))
        case "STRING":
            if isinstance(value, str):
                return _whole(table, column, value)
        case "BOOLEAN":
            fits = isinstance(value, bool)
        case "BIGINT":
            fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        case "DATE":
            fits = isinstance(value, str) and _is_date(value)
        case "TIMESTAMP":
            fits = isinstance(value, str) and _is_instant(value)
    if not fits:
        key = _label([row[name] for name in table.key])
        raise StateError(
            f"{table.name}.{column.name} of {key} cannot be {value!r}: it is a {column.type}",
            hint="this is a bug in trueup; nothing was written",
        )
    return cast("Cell", value)


def _whole(table: Table, column: Column, text: str) -> str:
    """Return a text if it can be written as UTF-8."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise StateError(
                f"{table.name}.{column.name} cannot hold surrogates, which are half a character",
                hint="look for a cut emoji in the specs or on the platform",
            ) from error
    return text


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_instant(text: str) -> bool:
    try:
        return bool(_INSTANT.fullmatch(text)) and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def _label(key: Iterable[object]) -> str:
    return " on ".join(str(part) for part in key)

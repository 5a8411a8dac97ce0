"""Finds what is broken in a state, and says the remedy for each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import cast, get_args

from runner.state.contract import StateReader
from runner.state.features import remedy
from schemas.domain import Diagnostic, Kind, Severity, kind_of
from schemas.tables import TABLES, Name, Table

_RESTORE = "restore an earlier version of the table {}; trueup history gives the versions"
_KINDS: tuple[str, ...] = get_args(Kind)
_APPENDED = ("sync_logs", "agent_logs")
"""Tables that are only appended to: recovering a run may tell of an operation twice."""


def check_state(reader: StateReader) -> list[Diagnostic]:
    """Return all problems of the state, the worst first; none where there is no state.

    Raises:
        StateError: a table cannot be read at all.
    """
    if reader.identity() is None:
        return []
    problems: list[Diagnostic] = []
    for table in TABLES.values():
        rows = sorted(reader.read(table.name), key=lambda row: _key(table, row))
        problems += _bad_json(table, rows)
        if table.name not in _APPENDED:
            problems += _duplicate_keys(table, rows)
        if table.name == "bindings":
            problems += _bindings(reader, rows)
    for name, feature in reader.obstacles():
        what = f"the table {name} has the Delta feature {feature}: other engines cannot write to it"
        problems.append(_problem("warning", "table-feature", what, remedy(name, feature)))
    return sorted(problems, key=lambda problem: problem.severity != "error")


def _bad_json(table: Table, rows: list[dict[str, object]]) -> Iterator[Diagnostic]:
    columns = [column.name for column in table.columns if column.type == "JSON"]
    for row in rows:
        for column in columns:
            text = row[column]
            if isinstance(text, str) and not _is_json(text):
                yield _problem(
                    "error",
                    "bad-json",
                    f"{column} of {_key(table, row)} in {table.name} is no JSON",
                    _RESTORE.format(table.name),
                )


def _duplicate_keys(table: Table, rows: list[dict[str, object]]) -> Iterator[Diagnostic]:
    for key, count in Counter(_key(table, row) for row in rows).items():
        if count > 1:
            yield _problem(
                "error",
                "duplicate-key",
                f"{count} rows of {table.name} have the key {key}",
                _RESTORE.format(table.name),
            )


def _bindings(reader: StateReader, rows: list[dict[str, object]]) -> Iterator[Diagnostic]:
    known: set[object] = set()
    names: tuple[Name, ...] = ("projects", "tasks")
    for name in names:
        known.update(row["address"] for row in reader.read(name, ["address"]))
    lease = reader.lease()
    owners: dict[tuple[object, object, str], str] = {}
    for row in rows:
        key = _key(TABLES["bindings"], row)
        yield from _kind(row, key)
        if row["remote_id"]:
            yield from _shared(row, key, owners)
            if row["address"] not in known:
                yield _problem(
                    "warning",
                    "orphan-binding",
                    f"{key} is bound, and no row of projects or tasks tells of the resource",
                    "change the resource in the specs (or remove it) and run: trueup apply",
                )
        elif row["pending"] is None:
            yield _problem(
                "error",
                "empty-binding",
                f"{key} is bound to nothing, and nothing is pending",
                _RESTORE.format("bindings"),
            )
        begun = _pending_of(row["pending"])
        # What was imported waits for the specs, not for anything to be done.
        waits = begun.get("action") == "bind" or (lease and begun.get("run_id") == lease.run_id)
        if row["pending"] is not None and not waits:
            yield _problem(
                "warning",
                "left-pending",
                f"an operation on {key} was begun, and the run that began it has ended",
                "run: trueup apply, which looks up what became of it",
            )


def _kind(row: dict[str, object], key: str) -> Iterator[Diagnostic]:
    if row["kind"] not in _KINDS:
        what = f"{key} is of the unknown kind `{row['kind']}`"
    elif row["kind"] != kind_of(str(row["address"])):
        what = f"{key} is bound as a {row['kind']}, and its address names another kind"
    else:
        return
    yield _problem("error", "bad-kind", what, _RESTORE.format("bindings"))


def _shared(
    row: dict[str, object], key: str, owners: dict[tuple[object, object, str], str]
) -> Iterator[Diagnostic]:
    # Platforms number each kind of object by itself: an issue and a milestone may share an id.
    remote = (row["platform"], row["kind"], str(row["remote_id"]))
    first = owners.setdefault(remote, key)
    if first != key:
        yield _problem(
            "error",
            "shared-remote-object",
            f"{first} and {key} are bound to one object, {row['remote_id']}",
            _RESTORE.format("bindings"),
        )


def _pending_of(pending: object) -> dict[str, object]:
    try:
        value = json.loads(str(pending))
    except ValueError:
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _key(table: Table, row: dict[str, object]) -> str:
    return " on ".join(str(row[name]) for name in table.key)


def _problem(severity: Severity, code: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(severity, code, message, hint=hint)

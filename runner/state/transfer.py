"""Moves a whole state: from one engine to another, into one file and out of it.

What was moved is read back and compared with what it was made from, row by row, before anybody is
told that it is there. Delta's own log stays behind: `sync_logs` and `runs` tell of earlier runs.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from runner.state.codec import lease_of, number, size
from runner.state.commits import LEASE, refuse_newer
from runner.state.engine import Cell, Columns, TableWriter
from schemas.errors import StateError, StateLocked
from schemas.tables import (
    REPOS_PROPERTY,
    STATE_PROPERTY,
    TABLES,
    VERSION,
    VERSION_PROPERTY,
    Name,
    Table,
)

CHUNK = 50_000
"""Rows that one commit carries over."""

_FORMAT = "trueup state"


class Source(Protocol):
    """What a state is taken from: an engine, or a file."""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        ...

    def properties(self) -> Mapping[str, str] | None:
        """Return the table properties of `bindings`, or `None` where there is no state."""
        ...

    def read(self, table: Table, columns: Sequence[str]) -> Columns:
        """Return all rows of a table; columns that it lacks are null."""
        ...


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved, and found to be equal on both sides.

    Attributes:
        rows: how many, by table.
        digest: SHA-256 of all rows; the same wherever the state is kept.
    """

    rows: Mapping[Name, int]
    digest: str

    def __str__(self) -> str:
        return f"{sum(self.rows.values())} rows, equal on both sides, SHA-256 {self.digest[:16]}"


def copy_state(source: Source, target: TableWriter) -> Moved:
    """Copy all rows, with the state's id and repos, into a place that has no state yet.

    Raises:
        StateLocked: somebody holds the lease, so that the state may change meanwhile.
        StateError: there is nothing to copy, the target has rows, or it did not become equal.
    """
    properties = _properties(source)
    if target.properties() is not None:
        taken = next((name for name in TABLES if size(_all(target, TABLES[name]))), None)
        if taken:
            raise StateError(
                f"there is a state at {target.place} already: its table {taken} has rows",
                hint="give the copy a place of its own: another path, schema or `state.name`",
            )
    target.ensure()
    kept = {key: properties[key] for key in (STATE_PROPERTY, REPOS_PROPERTY) if key in properties}
    note = json.dumps({"action": "copy", "note": f"from {source.place}"})
    for table in TABLES.values():
        batch = _all(source, table)
        if table.name == "runs":
            _refuse_held(batch, source.place)
        for part in _parts(batch):
            target.append(table, part, note)
        target.alter(table.name, lambda _: kept)
    ours, theirs = digest_of(source), digest_of(target)
    if ours != theirs:
        odd = [name for name in TABLES if ours[name] != theirs[name]]
        raise StateError(
            f"the copy at {target.place} is not equal to {source.place}: {', '.join(odd)}",
            hint="somebody wrote to one of them: delete the copy and try again",
        )
    return _moved(ours)


def export_state(source: Source, path: Path) -> Moved:
    """Write the state to one file, compressed JSON lines, that `import_state` reads.

    Raises:
        StateLocked: somebody holds the lease, so that the state may change meanwhile.
        StateError: there is nothing to export, or the file did not become equal.
    """
    properties = _properties(source)
    head = {
        "format": _FORMAT,
        "version": number(properties.get(VERSION_PROPERTY)),
        "state": properties.get(STATE_PROPERTY, ""),
        "repos": json.loads(properties.get(REPOS_PROPERTY, "[]")),
    }
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with gzip.open(unfinished, "wt", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(head) + "\n")
            for table in TABLES.values():
                batch = _all(source, table)
                if table.name == "runs":
                    _refuse_held(batch, source.place)
                about = {"table": table.name, "columns": table.names, "rows": size(batch)}
                file.write(json.dumps(about) + "\n")
                for row in zip(*batch.values(), strict=True):
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
        ours = digest_of(source)
        if ours != digest_of(StateFile(unfinished)):
            raise StateError(
                f"what was written to {path} is not equal to the state at {source.place}",
                hint="somebody wrote to the state meanwhile: try again",
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return _moved(ours)


def import_state(path: Path, target: TableWriter) -> Moved:
    """Copy the state in a file to a place that has none yet; see `copy_state`."""
    return copy_state(StateFile(path), target)


class StateFile:
    """A file that `export_state` wrote.

    Raises:
        StateError: it is no such file, or it is damaged.
        StateVersionError: a newer trueup wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tables: dict[Name, Columns] = {}
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                self._head = self._read(file)
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise StateError(
                f"{path} is not a whole file of `trueup state export`: {error}",
                hint="export the state again",
            ) from error
        refuse_newer(self._head, VERSION, self.place)

    @property
    def place(self) -> str:
        """The path."""
        return str(self._path)

    def properties(self) -> Mapping[str, str]:
        """Return what stands for the table properties of `bindings`."""
        return self._head

    def read(self, table: Table, columns: Sequence[str]) -> Columns:
        """Return all rows of a table; columns that the file lacks are null."""
        batch = self._tables[table.name]
        return {name: batch.get(name, [None] * size(batch)) for name in columns}

    def _read(self, lines: Iterable[str]) -> dict[str, str]:
        """Read everything; return the head as table properties."""
        rest = iter(lines)
        head = json.loads(next(rest, "null"))
        if head["format"] != _FORMAT:
            raise ValueError("it is of another format")
        for about in map(json.loads, rest):
            rows = [json.loads(next(rest, "null")) for _ in range(about["rows"])]
            columns = cast("Iterator[list[Cell]]", zip(*rows, strict=True))
            batch: Columns = {name: [] for name in about["columns"]}
            batch.update(zip(batch, map(list, columns), strict=bool(rows)))
            self._tables[about["table"]] = batch
        if lacking := set(TABLES) - set(self._tables):
            raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
        return {
            VERSION_PROPERTY: str(head["version"]),
            STATE_PROPERTY: head["state"],
            REPOS_PROPERTY: json.dumps(head["repos"]),
        }


def digest_of(source: Source) -> dict[Name, tuple[int, str]]:
    """Return, for each table, how many rows it has and a hash of them that ignores their order."""
    found: dict[Name, tuple[int, str]] = {}
    for table in TABLES.values():
        batch = _all(source, table)
        total = 0
        for row in zip(*batch.values(), strict=True):
            line = json.dumps(row, ensure_ascii=False).encode()
            total += int.from_bytes(hashlib.sha256(line).digest())
        found[table.name] = size(batch), f"{total % 2**256:064x}"
    return found


def _moved(digests: Mapping[Name, tuple[int, str]]) -> Moved:
    whole = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    return Moved({name: count for name, (count, _) in digests.items()}, whole)


def _properties(source: Source) -> Mapping[str, str]:
    properties = source.properties()
    if properties is None:
        raise StateError(f"there is no state at {source.place}", hint="check the place")
    return properties


def _all(source: Source, table: Table) -> Columns:
    return source.read(table, table.names)


def _parts(batch: Columns) -> Iterator[Columns]:
    for start in range(0, size(batch), CHUNK):
        yield {name: values[start : start + CHUNK] for name, values in batch.items()}


def _refuse_held(runs: Columns, place: str) -> None:
    """Raise where somebody holds the lease: the copy would be of a moment that is over."""
    for run_id, text in zip(runs["run_id"], runs["lease"], strict=True):
        if run_id == LEASE and isinstance(text, str) and (lease := lease_of(text)).held:
            raise StateLocked(
                f"{lease.who} holds the lease of the state at {place} since {lease.since}",
                hint="wait for that run to end; if it has died, run: trueup state unlock",
            )

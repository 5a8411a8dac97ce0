"""What changed when, by which run and commit: Delta's own log, joined with `sync_logs`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from runner.state.codec import log_of, rows_of
from runner.state.contract import Commit, HistoryEntry, LogRow
from runner.state.engine import LogRecord, TableReader
from schemas.domain import canonical
from schemas.tables import PLANNED, TABLES, Name

LOGGED: tuple[Name, ...] = ("bindings", "sync_logs")
"""Tables whose commits make a run worth telling of: it changed what is agreed on, or tried to."""


def note_of(commit: Commit, who: str, fence: int) -> str:
    """Return the metadata of a commit as the JSON text that every engine can keep."""
    note = {
        "run": commit.run_id,
        "commit": commit.git_commit,
        "action": commit.action,
        "note": commit.note,
        "who": who,
        "fence": fence,
    }
    return canonical({name: value for name, value in note.items() if value})


def history(engine: TableReader, address: str | None, limit: int) -> list[HistoryEntry]:
    """Return what the latest runs did, newest first; see `StateReader.history`."""
    if limit < 1 or engine.properties() is None:
        return []
    if address is None:
        runs = _runs(engine, limit)
        latest = sorted(runs.values(), key=lambda run: (run.at, run.run_id), reverse=True)[:limit]
        changes = _operations(engine, {"run_id": [run.run_id for run in latest]})
        _complete(engine, latest)
        return [run.entry(changes.get(run.run_id, ())) for run in latest]
    changes = _operations(engine, {"address": _names(engine, address)})
    newest = sorted(changes, key=lambda run_id: (changes[run_id][-1].ended_at, run_id))[-limit:]
    logged = _runs(engine, len(newest), set(newest)) if newest else {}
    runs = [logged.get(run_id) or _Run(run_id) for run_id in reversed(newest)]
    _complete(engine, runs)
    return [run.entry(changes[run.run_id]) for run in runs]


def versions_around(
    engine: TableReader, run_id: str
) -> tuple[dict[Name, int], dict[Name, int]] | None:
    """Return the versions of the planned tables before a run's first commit, and after its last.

    `None` where the logs tell of no commit of the run, or not of all that came after.
    """
    before: dict[Name, int] = {}
    after: dict[Name, int] = {}
    began = ""
    untouched: list[Name] = []
    for name in PLANNED:
        versions: list[int] = []
        for record in engine.log(name):
            if _note(record.note).get("run") == run_id:
                versions.append(record.version)
                began = min(began or record.at, record.at)
        if versions:
            before[name], after[name] = versions[-1] - 1, versions[0]
        else:
            untouched.append(name)
    if not before or min(before.values()) < 0:
        return None
    for name in untouched:
        then = next((r.version for r in engine.log(name) if r.at < began), None)
        if then is None:
            return None
        before[name] = after[name] = then
    return before, after


@dataclass(slots=True)
class _Run:
    """One run as the logs tell of it, from its newest commit back."""

    run_id: str
    at: str = ""
    commit: str = ""
    who: str = ""
    version: int | None = None
    actions: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def add(self, name: Name, record: LogRecord, note: dict[str, object]) -> None:
        self.at = max(self.at, record.at)
        self.commit = self.commit or str(note.get("commit", ""))
        self.who = self.who or str(note.get("who", ""))
        if name == "bindings" and self.version is None:
            self.version = record.version
        if note.get("action"):
            self.actions.append((record.at, str(note["action"])))

    def entry(self, changes: Iterable[LogRow]) -> HistoryEntry:
        found = tuple(changes)
        at = self.at or max((item.ended_at for item in found), default="")
        return HistoryEntry(
            at=f"{at[:19]}Z" if at else "",
            run_id=self.run_id,
            commit=self.commit,
            who=self.who,
            actions=tuple(dict.fromkeys(action for _, action in sorted(self.actions))),
            changes=found,
            version=self.version,
        )


def _runs(engine: TableReader, count: int, wanted: set[str] | None = None) -> dict[str, _Run]:
    """Return the latest `count` runs at least, or as many of those `wanted` as the logs know."""
    runs: dict[str, _Run] = {}
    for name in LOGGED:
        seen: set[str] = set()
        for record in engine.log(name):
            note = _note(record.note)
            run_id = note.get("run")
            if not isinstance(run_id, str):
                continue
            if len(seen) == count and run_id not in seen:
                break
            if wanted is None or run_id in wanted:
                seen.add(run_id)
                runs.setdefault(run_id, _Run(run_id)).add(name, record, note)
    return runs


def _complete(engine: TableReader, runs: list[_Run]) -> None:
    """Take from `runs` what the logs no longer tell: they are cut after a while."""
    bare = {run.run_id: run for run in runs if not (run.commit and run.who)}
    columns = ["run_id", "commit", "who"]
    batch = engine.read(TABLES["runs"], columns, {"run_id": list(bare)}) if bare else {}
    for row in rows_of(batch):
        run = bare[str(row["run_id"])]
        run.commit = run.commit or str(row["commit"] or "")
        run.who = run.who or str(row["who"] or "")


def _note(text: str) -> dict[str, object]:
    """Return a commit's metadata; nothing for a commit that is not ours."""
    try:
        note: object = json.loads(text) if text else {}
    except ValueError:
        return {}
    return cast("dict[str, object]", note) if isinstance(note, dict) else {}


def _operations(engine: TableReader, where: dict[str, list[str]]) -> dict[str, list[LogRow]]:
    """Return the operations that match, by run, in order; each is told once.

    A run that died may have committed operations that its journal held still, and that the
    recovery then committed again.
    """
    table = TABLES["sync_logs"]
    found = [log_of(row) for row in rows_of(engine.read(table, table.names, where))]
    once = {
        (log.run_id, log.address, log.platform): log
        for log in sorted(found, key=lambda log: (log.ended_at, log.seq))
    }
    runs: dict[str, list[LogRow]] = {}
    for log in sorted(once.values(), key=lambda log: (log.ended_at, log.seq)):
        runs.setdefault(log.run_id, []).append(log)
    return runs


def _names(engine: TableReader, address: str) -> list[str]:
    """Return `address`, all below it, and what these were called before they moved."""
    batch = engine.read(TABLES["sync_logs"], ["address", "moved_from"])
    pairs = cast("list[tuple[str, str]]", list(zip(*batch.values(), strict=True)))
    names = {address} | {now for now, _ in pairs if now.startswith(f"{address}/")}
    while older := {before for now, before in pairs if now in names and before} - names:
        names |= older
    return sorted(names)

"""The books of an apply: intent first, then the journal, then the state in batches.

The order of commits makes any death harmless. The log of operations and the resources are
committed before the bindings, since a binding that is not up to date brings its change back,
while nothing would bring back a missing row of the others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from reconcilers._budget import Clock
from runner.journal import Entry, Journal
from runner.live import OURSELVES, Identities, live_values, settle_edit
from runner.state.contract import Commit, Key, LogRow, ResourceRow, StateWriter
from schemas.domain import (
    Binding,
    Change,
    Desired,
    Edit,
    Fields,
    Outcome,
    Pending,
    Settlement,
    same,
)


def instant(clock: Clock) -> str:
    """Return the current instant in UTC, to the microsecond: outcomes are compared by it."""
    return datetime.fromtimestamp(clock.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def agreed(binding: Binding, fields: Fields) -> Binding:
    """Return the binding with `fields` agreed on, so that they are no drift any more.

    Where the platform shows an edit in other words than those that were agreed on, its words are
    known from then on.
    """
    drift = {name: value for name, value in binding.drift.items() if name not in fields}
    edits = dict(binding.edits)
    for name in fields:
        settle_edit(edits, name)
    base = {n: v for n, v in {**binding.base, **fields}.items() if not same(v, None)}
    told = {name: value for name, value in binding.drift.items() if name in fields}
    echo = {name: value for name, value in binding.echo.items() if name not in told}
    echo |= {name: value for name, value in told.items() if not same(value, fields[name])}
    return replace(binding, base=base, drift=drift, edits=edits, echo=echo)


class Recorder:
    """Keeps the books of one run. Outcomes may arrive while a thread commits earlier ones.

    Args:
        state: for writing; the caller holds the lease.
        desired: what resources are recorded as, once they are applied.
        bindings: by (address, platform), all that the run touches; kept up to date.
        run_id: the run.
        clock: for when things happened.
        logged: operations of the run that are in the log already, by their place in it.
    """

    def __init__(
        self,
        state: StateWriter,
        desired: Desired,
        bindings: dict[Key, Binding],
        run_id: str,
        clock: Clock,
        logged: Iterable[int] = (),
    ) -> None:
        self.bindings = bindings
        self._state = state
        self._desired = desired
        self._run_id = run_id
        self._identities = Identities(desired)
        self._clock = clock
        self._before = dict(bindings)
        self._begun = dict(bindings)
        self._journal: Journal | None = None
        self._entries: list[_Line] = []
        self._count = 0
        self._logged = set(logged)
        self._turn = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many outcomes are in the journal only."""
        return len(self._entries)

    def label(self, action: str) -> Commit:
        """Return the metadata for a commit of this run."""
        return Commit(self._run_id, self._desired.commit, action)

    def intend(self, changes: Sequence[Change]) -> None:
        """Commit what is about to be done, so that a death leaves a trace to follow.

        A create leaves a binding to nothing yet. An update leaves the names of its fields, so
        that what it was interrupted at is not mistaken for an edit by a person.
        """
        since = instant(self._clock)
        begun: list[Binding] = []
        for change in changes:
            if change.action in {"archive", "delete"}:
                continue
            key = (change.moved_from or change.address, change.platform)
            bound = self.bindings.get(key) or Binding(
                change.address, change.platform, change.kind, change.resource_id
            )
            if change.reason == "unconfirmed" and bound.pending:
                pending = replace(bound.pending, run_id=self._run_id)
            elif change.fields:
                pending = Pending(change.action, self._run_id, since, change.values())
            else:
                continue
            begun.append(replace(bound, pending=pending, updated_at=since, run_id=self._run_id))
        if begun:
            self._state.save_bindings(begun, self.label("intend"))
            self.bindings.update({(b.address, b.platform): b for b in begun})
            self._begun = dict(self.bindings)

    def open(self, journal: Journal) -> None:
        """Write outcomes to a journal from now on."""
        self._journal = journal

    async def record(self, results: Sequence[tuple[Change, Outcome]]) -> None:
        """Put outcomes into the journal; they are safe when this returns.

        Raises:
            StateError: the journal cannot be written; the next commit will still have them.
        """
        at = instant(self._clock)
        entries = [Entry(at, change, outcome) for change, outcome in results]
        for entry in entries:
            self.add(entry)
        if self._journal:
            await self._journal.write(entries)

    def add(self, entry: Entry, *, news: bool = True) -> None:
        """Take an entry that is in a journal already into the next commit.

        Args:
            entry: what was done.
            news: whether the state does not know better by now; it is logged in any case.
        """
        self._entries.append(_Line(self._count, entry, news))
        self._count += 1

    def commit(self, action: str) -> None:
        """Commit all that waits: the log of operations, resources, and last the bindings.

        Raises:
            StateError: it could not be committed; what waits, waits on.
        """
        with self._turn:
            lines, self._entries = self._entries, []
            try:
                with self._state.batch():
                    logged = self._commit(lines, self.label(action))
            except BaseException:
                self._entries[:0] = lines
                raise
            self._logged.update(logged)

    def settle(self, settled: Iterable[Settlement]) -> None:
        """Record what needed no request: fingerprints, drift agreed with, bindings let go."""
        items = list(settled)
        if not items:
            return
        at = instant(self._clock)
        addresses = sorted({item.address for item in items})
        bound = {(b.address, b.platform): b for b in self._state.bindings(addresses=addresses)}
        self.bindings.update(bound)
        folded = _Folded(touched=set(addresses))
        for item in items:
            key = (item.address, item.platform)
            binding = folded.saved.get(key) or bound.get(key)
            if binding is None:
                continue
            if item.fingerprint == "":
                folded.remove(key)
                continue
            peace = replace(agreed(binding, item.fields), updated_at=at)
            if item.fingerprint is not None:
                peace = replace(peace, desired_hash=item.fingerprint, pending=None)
            if item.over:
                peace = replace(peace, pending=None)
            folded.saved[key] = peace
        with self._state.batch():
            self._save(folded, self.label("settle"))

    def _commit(self, lines: Sequence[_Line], commit: Commit) -> set[int]:
        """Commit what is new in `lines`; return the places of those that are in the log then."""
        logs = [
            LogRow.of(self._run_id, line.seq, line.entry.at, line.entry.change, line.entry.outcome)
            for line in lines
            if line.seq not in self._logged
        ]
        self._state.append_logs(logs, commit)
        folded = _Folded()
        for line in lines:
            if line.news:
                self._fold(line.entry, folded)
        self._save(folded, commit)
        return {row.seq for row in logs}

    def _save(self, folded: _Folded, commit: Commit) -> None:
        bindings = {**self.bindings, **folded.saved}
        for key in folded.removed:
            bindings.pop(key, None)
        self._save_resources(folded.touched, bindings, commit)
        if folded.saved or folded.removed:
            saved = list(folded.saved.values())
            self._state.save_bindings(saved, commit, removed=sorted(folded.removed))
        self.bindings.update(folded.saved)
        for key in folded.removed:
            self.bindings.pop(key, None)

    def _save_resources(
        self, touched: set[str], bindings: Mapping[Key, Binding], commit: Commit
    ) -> None:
        """Record the resources that were touched, as they are applied now."""
        at = instant(self._clock)
        markers = {binding.address: binding.resource_id for binding in bindings.values()}
        there: dict[str, list[Binding]] = {}
        for binding in bindings.values():
            if binding.address in touched:
                there.setdefault(binding.address, []).append(binding)
        resources = self._desired.resources
        rows = [
            ResourceRow.of(
                resources[address],
                commit=self._desired.commit,
                applied_at=at,
                resource_id=markers.get(address, ""),
                live=live_values(
                    resources[address], there.get(address, ()), self._desired, self._identities
                ),
            )
            for address in sorted(touched)
            if address in resources
        ]
        gone = sorted(touched - resources.keys() - markers.keys())
        self._state.save_resources(rows, commit, archived=gone, at=at)

    def _fold(self, entry: Entry, folded: _Folded) -> None:
        """Work out what an outcome means for its binding."""
        change, outcome = entry.change, entry.outcome
        key = (change.address, change.platform)
        old = (change.moved_from or change.address, change.platform)
        bound = self._begun.get(old) or self._begun.get(key)
        if outcome.status == "applied":
            folded.touched.update((key[0], old[0]))
            if change.action in {"archive", "delete"}:
                folded.remove(key)
                return
            if old != key:
                folded.remove(old)
            folded.save(_bound(change, outcome, bound, entry.at, self._run_id))
        elif bound is not None and change.action not in {"archive", "delete"}:
            before = self._before.get(old)
            kept = _unfinished(change, outcome, bound, before, entry.at)
            if kept is None:
                folded.remove(old)
            else:
                folded.save(replace(kept, updated_at=entry.at, run_id=self._run_id))


@dataclass(frozen=True, slots=True)
class _Line:
    seq: int
    entry: Entry
    news: bool


@dataclass(frozen=True, slots=True)
class _Folded:
    """What a commit is to change."""

    saved: dict[Key, Binding] = field(default_factory=dict[Key, Binding])
    removed: set[Key] = field(default_factory=set[Key])
    touched: set[str] = field(default_factory=set[str])

    def save(self, binding: Binding) -> None:
        key = (binding.address, binding.platform)
        self.saved[key] = binding
        self.removed.discard(key)

    def remove(self, key: Key) -> None:
        # Where two resources changed places, one has moved to where the other leaves.
        if key not in self.saved:
            self.removed.add(key)


def _bound(
    change: Change, outcome: Outcome, before: Binding | None, at: str, run_id: str
) -> Binding:
    changed = {item.name for item in change.fields}
    # What was made anew has nothing of the drift of what was deleted.
    kept: Fields = before.drift if before and change.action != "create" else {}
    drift = {n: v for n, v in kept.items() if n not in changed}
    known: Mapping[str, Edit] = before.edits if before else {}
    heard: Fields = before.echo if before and change.action != "create" else {}
    echo = {n: v for n, v in heard.items() if n not in changed} | {**outcome.echo}
    edits = {name: edit for name, edit in known.items() if name in drift or edit.turns}
    for item in change.fields:
        if item.owner == "platform" and change.action != "create":
            # Should it come back changed at once, that is the platform's doing.
            edits[item.name] = replace(known.get(item.name, Edit()), at=at, by=OURSELVES)
    return Binding(
        address=change.address,
        platform=change.platform,
        kind=change.kind,
        resource_id=change.resource_id,
        remote_id=outcome.remote_id,
        # A title in an address may be an old one: it still leads there, and is no news elsewhere.
        url=(before.url if before and change.action == "update" else "")
        or outcome.url
        or (before.url if before else ""),
        base=outcome.base,
        desired_hash=change.fingerprint if outcome.complete else "",
        revision=outcome.revision,
        drift=drift,
        updated_at=at,
        run_id=run_id,
        edits=edits,
        echo=echo,
    )


def _unfinished(
    change: Change, outcome: Outcome, bound: Binding, before: Binding | None, at: str
) -> Binding | None:
    """Return the binding of a change that was not applied; `None` where it is let go.

    Args:
        change: what was to be done.
        outcome: what became of it.
        bound: the binding with the intent.
        before: the binding before the intent, where it is known.
        at: when the outcome was known.
    """
    create = change.action == "create"
    if outcome.status == "skipped" or (outcome.status == "failed" and create):
        # Nothing was done, so that all is as it was; an older intent included.
        kept = None if create and change.reason == "declared" else before or bound
    elif create and bound.pending:
        # From now on counts how long a search may miss it.
        kept = replace(bound, pending=replace(bound.pending, since=at))
    else:
        kept = bound
    if kept and kept.remote_id and kept.desired_hash == change.fingerprint:
        # Nothing in the specs would bring this change back; the blank hash will.
        kept = replace(kept, desired_hash="")
    return kept

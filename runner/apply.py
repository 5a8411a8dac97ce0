"""Applying: the only module that changes a platform.

Intent is committed before the first request, each outcome is on the disk before anything else is
done about it, and the state advances only on confirmed outcomes. What cannot be finished stays
recorded, and the next run goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from reconcilers import Platform
from reconcilers._budget import Clock, SystemClock
from runner.config import Config, now
from runner.journal import Entry, Journal, leftovers
from runner.lanes import Lane, Schedule, Session
from runner.plan import REFERENCES, follow_references
from runner.platforms import platforms_of, session
from runner.state.contract import Commit, IntegrationRow, LogRow, ResourceRow, StateWriter
from schemas.domain import (
    Binding,
    Change,
    Desired,
    Outcome,
    Pending,
    Plan,
    Settlement,
    Status,
    resource_id,
)
from schemas.errors import StalePlan

FOLD_AFTER = 500
"""How many outcomes may wait in the journal before they are committed to the state."""


class Progress(Protocol):
    """What an apply tells its audience."""

    def begin(self, totals: Mapping[str, int]) -> None:
        """The number of changes of each platform."""
        ...

    def settled(self, change: Change, outcome: Outcome) -> None:
        """One change has its outcome."""
        ...

    def end(self) -> None:
        """All is done, or was interrupted."""
        ...


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan.

    Attributes:
        results: every change with its outcome, in the order in which they were settled.
        requests: HTTP requests sent, by platform.
    """

    run_id: str
    results: tuple[tuple[Change, Outcome], ...] = ()
    requests: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def counts(self) -> Mapping[Status, int]:
        """How many changes came to which end."""
        return Counter(outcome.status for _, outcome in self.results)

    @property
    def complete(self) -> bool:
        """Whether every change was applied."""
        return all(outcome.status == "applied" for _, outcome in self.results)


def new_run_id() -> str:
    """Return an id that sorts by time: `20261124T101500Z-3fa9c1`."""
    stamp = now().replace("-", "").replace(":", "")
    return f"{stamp}-{secrets.token_hex(3)}"


def who() -> str:
    """Return who is applying, for leases and history: the GitLab user, or user@machine."""
    user = os.environ.get("GITLAB_USER_LOGIN") or os.environ.get("USER") or f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def check_fresh(plan: Plan, desired: Desired, state_version: str) -> None:
    """Raise when `plan` was made from other specs, or against a state that has moved since.

    Raises:
        StalePlan: with what has changed.
    """
    if plan.spec_digest != desired.digest:
        raise StalePlan(
            f"the specs changed since the plan was made (at {plan.commit[:12] or 'no commit'})",
            hint="make the plan again with: trueup plan --out FILE",
        )
    if plan.state_version != state_version:
        raise StalePlan(
            "the state has moved since the plan was made: another apply came in between",
            hint="make the plan again with: trueup plan --out FILE",
        )


def recover(state: StateWriter, config: Config) -> int:
    """Commit what runs that died left in their journals; return how many outcomes that were."""
    recovered = 0
    for path, entries in leftovers(config.journals):
        bindings = {
            (b.address, b.platform): b
            for b in state.bindings(addresses=_addresses([e.change for e in entries]))
        }
        recorder = _Recorder(state, bindings, path.stem, "")
        for entry in entries:
            bound = bindings.get((entry.change.address, entry.change.platform))
            if bound is not None and bound.updated_at > entry.at:
                continue  # a later run knows better
            recorder.add(entry)
            recovered += 1
        recorder.commit("recover")
        path.unlink()
    return recovered


async def apply_plan(
    plan: Plan,
    desired: Desired,
    state: StateWriter,
    config: Config,
    run_id: str,
    *,
    progress: Progress,
    stopping: asyncio.Event | None = None,
    clock: Clock | None = None,
) -> Applied:
    """Carry `plan` out.

    The caller holds the lease and has made sure that the plan is fresh and safe. When
    `stopping` is set, no new operation begins; those under way are finished and recorded.

    Returns:
        What became of every change; partial failure is in the outcomes, not raised.

    Raises:
        ConfigError: a token is missing, or an address is none; nothing was sent.
        StateError: the state or the journal could not be written; run apply again.
    """
    changes = _with_markers(plan.changes, state)
    engine = _Engine(desired, state, config, run_id, progress, clock or SystemClock())
    engine.load(changes)
    engine.recorder.intend(changes)
    requests = await engine.run(changes, stopping or asyncio.Event())
    engine.recorder.settle(plan.settled)
    engine.recorder.save_resources(desired)
    return Applied(run_id, tuple(engine.results), requests)


class _Engine:
    """One apply: opens the sessions, runs the lanes, keeps the books."""

    def __init__(
        self,
        desired: Desired,
        state: StateWriter,
        config: Config,
        run_id: str,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self.desired = desired
        self.state = state
        self.config = config
        self.run_id = run_id
        self.progress = progress
        self.clock = clock
        self.results: list[tuple[Change, Outcome]] = []
        self.bindings: dict[tuple[str, str], Binding] = {}
        self.recorder = _Recorder(state, self.bindings, run_id, desired.commit)
        self._folding = asyncio.Lock()

    def load(self, changes: Sequence[Change]) -> None:
        """Read the bindings that `changes` touch or refer to."""
        for binding in self.state.bindings(addresses=_addresses(changes)):
            base = follow_references(binding.base, self.desired.moved)
            self.bindings[binding.address, binding.platform] = replace(binding, base=base)

    async def run(self, changes: Sequence[Change], stopping: asyncio.Event) -> dict[str, int]:
        """Run one lane per platform until all changes have outcomes; return requests sent."""
        platforms = platforms_of(self.desired)
        by_platform: dict[str, list[Change]] = {}
        for change in changes:
            by_platform.setdefault(change.platform, []).append(change)
        linking = [
            name
            for name, platform in platforms.items()
            if "counterparts" in platform.profile.capabilities.writable("task")
        ]
        schedule = Schedule(changes, linking)
        journal = Journal(self.config.journals, self.run_id)
        self.recorder.journal = journal
        self.progress.begin({name: len(items) for name, items in by_platform.items()})
        known = {row.platform: row for row in self.state.integrations()}
        async with contextlib.AsyncExitStack() as stack:
            sessions = {
                name: await stack.enter_async_context(
                    self._session(platforms[name], known.get(name))
                )
                for name in by_platform
            }
            urls = self._urls(sessions)
            lanes = [
                Lane(
                    sessions[name],
                    items,
                    schedule,
                    self.bindings,
                    urls,
                    self._settled,
                    stopping,
                    self.clock,
                )
                for name, items in by_platform.items()
            ]
            try:
                await _all_or_stop([lane.run() for lane in lanes], stopping)
            finally:
                self.progress.end()
                self.recorder.commit("apply")
                self._save_integrations(sessions, known)
        journal.close(discard=True)
        return {name: open_.transport.requests for name, open_ in sessions.items()}

    def _session(
        self, platform: Platform, row: IntegrationRow | None
    ) -> contextlib.AbstractAsyncContextManager[Session]:
        name = platform.profile.platform
        bound = {a: b.remote_id for (a, p), b in self.bindings.items() if p == name}
        return session(
            platform,
            self.desired,
            self.config,
            bound=bound,
            lookups=row.lookups if row else {},
            limits=row.limits if row else {},
            clock=self.clock,
        )

    def _urls(self, sessions: Mapping[str, Session]) -> dict[str, dict[str, str]]:
        urls: dict[str, dict[str, str]] = {}
        for (address, platform), binding in self.bindings.items():
            if binding.url and (platform not in sessions or sessions[platform].profile.linkable):
                urls.setdefault(address, {})[platform] = binding.url
        return urls

    async def _settled(self, results: Sequence[tuple[Change, Outcome]]) -> None:
        self.recorder.record(results)
        self.results.extend(results)
        for change, outcome in results:
            self.progress.settled(change, outcome)
        if self.recorder.waiting >= FOLD_AFTER and not self._folding.locked():
            async with self._folding:
                await asyncio.to_thread(self.recorder.commit, "apply")

    def _save_integrations(
        self, sessions: Mapping[str, Session], known: Mapping[str, IntegrationRow]
    ) -> None:
        failed = {c.platform for c, outcome in self.results if outcome.status != "applied"}
        rows: list[IntegrationRow] = []
        for name, open_ in sessions.items():
            before = known.get(name) or IntegrationRow(name)
            rows.append(
                replace(
                    before,
                    enabled=True,
                    options=dict(self.desired.integrations[name].options),
                    lookups=open_.connection.lookups,
                    limits=open_.transport.budget.dump(),
                    health="failing" if name in failed else "ok",
                    last_success=before.last_success if name in failed else now(),
                    updated_at=now(),
                )
            )
        if rows:
            self.state.save_integrations(rows, self.recorder.label("integrations"))


class _Recorder:
    """Keeps the books of one run: journal first, state in batches.

    Args:
        bindings: by (address, platform), as they stand; kept up to date as outcomes arrive.
    """

    def __init__(
        self,
        state: StateWriter,
        bindings: dict[tuple[str, str], Binding],
        run_id: str,
        commit: str,
    ) -> None:
        self.state = state
        self.bindings = bindings
        self.run_id = run_id
        self.git_commit = commit
        self.journal: Journal | None = None
        self._entries: list[Entry] = []
        self._logged = 0
        self._touched: set[str] = set()

    @property
    def waiting(self) -> int:
        """How many outcomes are in the journal only."""
        return len(self._entries)

    def label(self, action: str) -> Commit:
        """Return the metadata for a commit of this run."""
        return Commit(self.run_id, self.git_commit, action)

    def intend(self, changes: Sequence[Change]) -> None:
        """Commit what is about to be created, so that a death leaves a trace to follow."""
        since = now()
        rows = [
            Binding(
                change.address,
                change.platform,
                change.kind,
                change.resource_id,
                pending=Pending("create", self.run_id, since, change.values()),
                updated_at=since,
                run_id=self.run_id,
            )
            for change in changes
            if change.action == "create" and (change.address, change.platform) not in self.bindings
        ]
        if rows:
            self.state.save_bindings(rows, self.label("intend"))
            self.bindings.update({(b.address, b.platform): b for b in rows})

    def record(self, results: Sequence[tuple[Change, Outcome]]) -> None:
        """Put outcomes into the journal; they are safe when this returns."""
        at = now()
        entries = [Entry(at, change, outcome) for change, outcome in results]
        if self.journal:
            self.journal.append(entries)
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Take an entry that is in a journal already into the next commit."""
        self._entries.append(entry)

    def commit(self, action: str) -> None:
        """Commit all that waits: changed bindings, gone ones, and the log of operations."""
        entries, self._entries = self._entries, []
        if not entries:
            return
        saved: dict[tuple[str, str], Binding] = {}
        removed: set[tuple[str, str]] = set()
        for entry in entries:
            self._fold(entry, saved, removed)
        if saved or removed:
            self.state.save_bindings(
                list(saved.values()), self.label(action), removed=sorted(removed - saved.keys())
            )
        logs = [
            LogRow.of(self.run_id, self._logged + i, e.at, e.change, e.outcome)
            for i, e in enumerate(entries)
        ]
        self._logged += len(logs)
        self.state.append_logs(logs, self.label(action))

    def settle(self, settled: Sequence[Settlement]) -> None:
        """Record what needed no request: moved fingerprints, and bindings that are let go."""
        items = {(item.address, item.platform): item for item in settled}
        if not items:
            return
        bindings = self.state.bindings(addresses=sorted({address for address, _ in items}))
        kept: list[Binding] = []
        gone: list[tuple[str, str]] = []
        for binding in bindings:
            item = items.get((binding.address, binding.platform))
            if item is None:
                continue
            self._touched.add(binding.address)
            if not item.fingerprint:
                gone.append((binding.address, binding.platform))
                continue
            kept.append(
                replace(
                    binding,
                    base={**binding.base, **item.fields},
                    drift={n: v for n, v in binding.drift.items() if n not in item.fields},
                    desired_hash=item.fingerprint,
                    updated_at=now(),
                )
            )
        self.state.save_bindings(kept, self.label("settle"), removed=gone)

    def save_resources(self, desired: Desired) -> None:
        """Record the resources that were touched, as they were last applied."""
        at = now()
        markers = {binding.address: binding.resource_id for binding in self.bindings.values()}
        rows = [
            ResourceRow.of(
                desired.resources[address],
                commit=desired.commit,
                applied_at=at,
                resource_id=markers.get(address, ""),
            )
            for address in sorted(self._touched)
            if address in desired.resources
        ]
        still_bound = {address for address, _ in self.bindings}
        gone = sorted(self._touched - desired.resources.keys() - still_bound)
        self.state.save_resources(rows, self.label("resources"), archived=gone, at=at)

    def _fold(
        self,
        entry: Entry,
        saved: dict[tuple[str, str], Binding],
        removed: set[tuple[str, str]],
    ) -> None:
        change, outcome = entry.change, entry.outcome
        key = (change.address, change.platform)
        before = self.bindings.get((change.moved_from or change.address, change.platform))
        if outcome.status == "applied":
            self._touched.add(change.address)
            if change.action in {"archive", "delete"}:
                self.bindings.pop(key, None)
                saved.pop(key, None)
                removed.add(key)
                return
            if change.moved_from:
                old = (change.moved_from, change.platform)
                self.bindings.pop(old, None)
                removed.add(old)
                self._touched.add(change.moved_from)
            self.bindings[key] = saved[key] = _bound(change, outcome, before, entry.at, self.run_id)
        elif before is not None and not before.remote_id and outcome.status != "unknown":
            # Nothing was made, and we know it: the intent is withdrawn.
            self.bindings.pop(key, None)
            removed.add(key)
        elif before is not None and before.desired_hash == change.fingerprint:
            # Nothing in the specs would bring this change back; the blank hash will.
            self.bindings[key] = saved[key] = replace(
                before, desired_hash="", updated_at=entry.at, run_id=self.run_id
            )


def _bound(
    change: Change, outcome: Outcome, before: Binding | None, at: str, run_id: str
) -> Binding:
    changed = {item.name for item in change.fields}
    drift = {n: v for n, v in before.drift.items() if n not in changed} if before else {}
    return Binding(
        address=change.address,
        platform=change.platform,
        kind=change.kind,
        resource_id=change.resource_id,
        remote_id=outcome.remote_id,
        url=outcome.url or (before.url if before else ""),
        base=outcome.base,
        desired_hash=change.fingerprint if outcome.complete else "",
        revision=outcome.revision,
        drift=drift,
        updated_at=at,
        run_id=run_id,
    )


async def _all_or_stop(
    lanes: Sequence[Coroutine[None, None, None]], stopping: asyncio.Event
) -> None:
    """Run the lanes side by side; a lane that breaks stops the others, orderly, and is raised."""
    tasks = [asyncio.create_task(lane) for lane in lanes]
    for task in tasks:
        task.add_done_callback(lambda t: stopping.set() if t.exception() else None)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _with_markers(changes: Sequence[Change], state: StateWriter) -> list[Change]:
    """Return the changes with the markers that a plan made before the state could not know."""
    state_id = state.identity() or ""
    return [
        change
        if change.resource_id
        else replace(change, resource_id=resource_id(state_id, change.address))
        for change in changes
    ]


def _addresses(changes: Sequence[Change]) -> list[str]:
    """Return every address that `changes` touch or refer to."""
    found: set[str] = set()
    for change in changes:
        found.update((change.address, change.moved_from or change.address))
        for item in change.fields:
            if item.name in REFERENCES:
                for value in (item.before, item.after):
                    found.update(
                        value if isinstance(value, tuple) else [str(value)] if value else []
                    )
    return sorted(found)

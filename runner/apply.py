"""Applying: the only module that changes a platform.

Intent is committed before the first request, each outcome is on the disk before anything else is
done about it, and the state advances only on confirmed outcomes. What cannot be finished stays
recorded, and the next run goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, cast

from reconcilers import Platform
from reconcilers._budget import Clock, SystemClock
from runner.config import Config, now
from runner.journal import Entry, Journal, leftovers
from runner.lanes import Lane, Session
from runner.moves import REFERENCES, follow, follow_references
from runner.platforms import platforms_of, session
from runner.recorder import Recorder, agreed, instant
from runner.schedule import Schedule, Stop
from runner.state.contract import Commit, IntegrationRow, Key, StateWriter
from schemas.domain import (
    Binding,
    Change,
    Desired,
    Outcome,
    Plan,
    Settlement,
    Status,
    resource_id,
)
from schemas.errors import StalePlan

if TYPE_CHECKING:
    from runner.observe import Refreshed

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
        observed: what the observation before it brought, which sent requests of its own.
    """

    run_id: str
    results: tuple[tuple[Change, Outcome], ...] = ()
    requests: Mapping[str, int] = field(default_factory=dict[str, int])
    observed: Refreshed | None = None

    @property
    def counts(self) -> Mapping[Status, int]:
        """How many changes came to which end."""
        return Counter(outcome.status for _, outcome in self.results)

    @property
    def complete(self) -> bool:
        """Whether every change was applied."""
        return all(outcome.status == "applied" for _, outcome in self.results)


def new_run_id() -> str:
    """Return an id that sorts by time, to the microsecond: `20261124T101500Z-c30d53fa`."""
    at = datetime.now(UTC)
    return f"{at:%Y%m%dT%H%M%SZ}-{at.microsecond:05x}{secrets.randbelow(4096):03x}"


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


def recover(state: StateWriter, config: Config, desired: Desired, run_id: str, clock: Clock) -> int:
    """Take over what runs that died left behind; return how many outcomes their journals held.

    The caller holds the lease, so that whatever is still marked as running is dead.
    """
    recovered = 0
    for path, entries in leftovers(config.journals):
        bindings = _bindings_of(state, [entry.change for entry in entries])
        rows = state.read("sync_logs", ["seq"], {"run_id": [path.stem]})
        logged = [cast("int", row["seq"]) for row in rows]
        recorder = Recorder(state, desired, bindings, path.stem, clock, logged)
        for entry in entries:
            recorder.add(entry, news=_is_news(entry, bindings))
        recorder.commit("recover")
        recovered += len(entries)
        path.unlink()
    rows = state.read("runs", ["run_id"], {"status": ["running"]})
    if dead := {str(row["run_id"]) for row in rows}:
        _bury(state, dead, Commit(run_id, desired.commit, "recover"), instant(clock))
    return recovered


def _is_news(entry: Entry, bindings: Mapping[Key, Binding]) -> bool:
    """Return whether the state does not know better by now."""
    change = entry.change
    addresses = (change.moved_from or change.address, change.address)
    for address in addresses:
        if bound := bindings.get((address, change.platform)):
            return datetime.fromisoformat(bound.updated_at) <= datetime.fromisoformat(entry.at)
    # A later run finished it and let it go.
    return False


def _bury(state: StateWriter, dead: Collection[str], commit: Commit, at: str) -> None:
    """Mark runs as ended; the creates that they were at may have been sent until now."""
    doubtful = [
        replace(binding, pending=replace(binding.pending, since=at))
        for binding in state.bindings()
        if binding.pending and binding.pending.run_id in dead
    ]
    state.save_bindings(doubtful, commit)
    for run in state.runs():
        if run.run_id in dead:
            ended = replace(run, status="interrupted", ended_at=at, error="the process died")
            state.save_run(ended, commit)


async def apply_plan(
    plan: Plan,
    desired: Desired,
    state: StateWriter,
    config: Config,
    run_id: str,
    *,
    progress: Progress,
    stop: Stop | None = None,
    clock: Clock | None = None,
) -> Applied:
    """Carry `plan` out.

    The caller holds the lease and has made sure that the plan is fresh and safe. When `stop` is
    pulled, no new operation begins; those under way are finished and recorded.

    Returns:
        What became of every change; partial failure is in the outcomes, not raised.

    Raises:
        ConfigError: a token is missing, or an address is none; nothing was sent.
        StateError: the state or the journal could not be written; run apply again.
    """
    clock = clock or SystemClock()
    changes = _with_markers(plan.changes, state)
    bindings = {
        key: replace(
            bound,
            base=follow_references(bound.base, desired.moved),
            drift=follow_references(bound.drift, desired.moved),
        )
        for key, bound in _bindings_of(state, changes).items()
    }
    settled: dict[Key, list[Settlement]] = {}
    for item in plan.settled:
        if not item.after:
            settled.setdefault((item.address, item.platform), []).append(item)
    for change in changes:
        for item in settled.pop((change.address, change.platform), ()):
            key = (change.moved_from or change.address, change.platform)
            bindings[key] = agreed(bindings[key], item.fields)
    recorder = Recorder(state, desired, bindings, run_id, clock)
    journal = Journal(config.journals, run_id)
    done = False
    try:
        recorder.intend(changes)
        recorder.open(journal)
        engine = _Engine(desired, state, config, recorder, progress, clock)
        requests = await engine.run(changes, stop or Stop())
        applied = {change.id for change, outcome in engine.results if outcome.status == "applied"}
        late = [item for item in plan.settled if item.after and applied.issuperset(item.after)]
        recorder.settle([*(item for some in settled.values() for item in some), *late])
        done = True
    finally:
        journal.close(discard=done)
    return Applied(run_id, tuple(engine.results), requests)


class _Engine:
    """One apply: opens the sessions, runs the lanes, passes on what happens."""

    def __init__(
        self,
        desired: Desired,
        state: StateWriter,
        config: Config,
        recorder: Recorder,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self.desired = desired
        self.state = state
        self.config = config
        self.recorder = recorder
        self.progress = progress
        self.clock = clock
        self.results: list[tuple[Change, Outcome]] = []
        self._folding = asyncio.Lock()

    async def run(self, changes: Sequence[Change], stop: Stop) -> dict[str, int]:
        """Run one lane per platform until all changes have outcomes; return requests sent."""
        platforms = platforms_of(self.desired)
        by_platform: dict[str, list[Change]] = {}
        for change in changes:
            by_platform.setdefault(change.platform, []).append(change)
        linkable = [name for name, platform in platforms.items() if platform.profile.linkable]
        schedule = Schedule(changes, linkable)
        known = {row.platform: row for row in self.state.integrations()}
        async with contextlib.AsyncExitStack() as stack:
            sessions = {
                name: await stack.enter_async_context(
                    self._session(platforms[name], known.get(name))
                )
                for name in by_platform
            }
            urls = self._urls(sessions)
            bound = self.recorder.bindings
            lanes = [
                Lane(sessions[name], some, schedule, bound, urls, self._settled, stop, self.clock)
                for name, some in by_platform.items()
            ]
            self.progress.begin({name: len(some) for name, some in by_platform.items()})
            try:
                await _all([lane.run() for lane in lanes])
            finally:
                self.progress.end()
                self.recorder.commit("apply")
                self._save_integrations(sessions, known)
        return {name: open_.transport.requests for name, open_ in sessions.items()}

    def _session(
        self, platform: Platform, row: IntegrationRow | None
    ) -> contextlib.AbstractAsyncContextManager[Session]:
        name = platform.profile.platform
        moved = self.desired.moved
        bound = {
            follow(address, moved): binding.remote_id
            for (address, on), binding in self.recorder.bindings.items()
            if on == name
        }
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
        for (address, platform), binding in self.recorder.bindings.items():
            if binding.url and (platform not in sessions or sessions[platform].profile.linkable):
                urls.setdefault(follow(address, self.desired.moved), {})[platform] = binding.url
        return urls

    async def _settled(self, results: Sequence[tuple[Change, Outcome]]) -> None:
        self.results.extend(results)
        await self.recorder.record(results)
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
            with self.state.batch(wait=True):
                self.state.save_integrations(rows, self.recorder.label("integrations"))


async def _all(lanes: Sequence[Coroutine[None, None, None]]) -> None:
    """Run the lanes side by side until each has ended; then raise the first error, if any."""
    results = await asyncio.gather(*lanes, return_exceptions=True)
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


def _bindings_of(state: StateWriter, changes: Sequence[Change]) -> dict[Key, Binding]:
    """Return the bindings that `changes` touch or refer to."""
    addresses: set[str] = set()
    for change in changes:
        addresses.update((change.address, change.moved_from or change.address))
        for item in change.fields:
            if item.name in REFERENCES:
                for value in (item.before, item.after):
                    addresses.update(
                        value if isinstance(value, tuple) else [str(value)] if value else []
                    )
    found = state.bindings(addresses=sorted(addresses))
    return {(binding.address, binding.platform): binding for binding in found}

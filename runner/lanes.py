"""Carrying out changes: one lane per platform, side by side, each in dependency order.

A lane takes the changes that have become ready, hands them to its reconciler as operations, and
sorts what happens into outcomes. Lanes share one `Schedule`, which knows what waits for what, so
that a slow platform never holds up a fast one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconcilers import Platform
from reconcilers._budget import Clock
from reconcilers._contract import (
    Batches,
    Connection,
    Observed,
    Operation,
    Profile,
    Reconciler,
    Wanted,
    Written,
)
from reconcilers._transport import Transport, sent
from runner.plan import same
from schemas.domain import KNOWN_AFTER_APPLY, Binding, Change, FieldChange, Fields, Outcome, Value
from schemas.errors import OutcomeUnknown, PlatformError, TrueupError

LINK_PATIENCE = 30.0
"""Seconds that a change waits for the URLs of its counterparts before it goes without."""

Settled = Callable[[Sequence[tuple[Change, Outcome]]], Awaitable[None]]


class Links:
    """Which remote object is which resource, on one platform; grows as outcomes arrive."""

    def __init__(self, bound: Mapping[str, str]) -> None:
        self._ids = dict(bound)
        self._addresses = {remote: address for address, remote in bound.items() if remote}

    def remote_id(self, address: str) -> str | None:
        """Return the remote id bound to `address`, or `None`."""
        return self._ids.get(address) or None

    def address(self, remote_id: str) -> str | None:
        """Return the address bound to `remote_id`, or `None` for foreign objects."""
        return self._addresses.get(remote_id)

    def bind(self, address: str, remote_id: str) -> None:
        """Remember a new object."""
        self._ids[address] = remote_id
        self._addresses[remote_id] = address

    def rename(self, old: str, new: str) -> None:
        """Remember that a resource has a new address."""
        remote_id = self._ids.pop(old, "")
        if remote_id:
            self.bind(new, remote_id)


@dataclass(frozen=True, slots=True)
class Session:
    """An open connection to one platform."""

    platform: Platform
    reconciler: Reconciler
    connection: Connection
    transport: Transport
    links: Links

    @property
    def profile(self) -> Profile:
        """What is known of the platform."""
        return self.platform.profile


@dataclass(slots=True)
class _Waiting:
    change: Change
    blockers: int = 0
    dependents: list[str] = field(default_factory=list[str])
    links_to: list[str] = field(default_factory=list[str])


class Schedule:
    """What waits for what, over all lanes; and what has become of everything so far."""

    def __init__(self, changes: Sequence[Change], linking: Iterable[str]) -> None:
        """Prepare `changes`; those on a platform in `linking` show their counterparts' URLs."""
        self.outcomes: dict[str, Outcome] = {}
        self.ready: dict[str, deque[Change]] = {}
        self.wake: dict[str, asyncio.Event] = {}
        self._waiting = {change.id: _Waiting(change) for change in changes}
        self._linking = set(linking)
        for change in changes:
            self.ready.setdefault(change.platform, deque())
            self.wake.setdefault(change.platform, asyncio.Event())
        for waiting in self._waiting.values():
            self._connect(waiting)
        for waiting in self._waiting.values():
            if waiting.blockers == 0:
                self.ready[waiting.change.platform].append(waiting.change)

    def assume(self, change: Change) -> None:
        """Let those wait no longer that need `change` on its own platform.

        For platforms where the order of requests is enough, since the ids are known beforehand.
        """
        waiting = self._waiting[change.id]
        here = [
            i for i in waiting.dependents if self._waiting[i].change.platform == change.platform
        ]
        waiting.dependents = [i for i in waiting.dependents if i not in here]
        for name in here:
            self._release(name)

    def settle(self, change: Change, outcome: Outcome) -> None:
        """Record an outcome, and wake whoever waited for it."""
        self.outcomes[change.id] = outcome
        for name in self._waiting[change.id].dependents:
            self._release(name)
        self.wake[change.platform].set()

    def blocked_by(self, change: Change) -> str:
        """Return the address that `change` needs and that could not be made, or ''."""
        for address in change.after:
            outcome = self.outcomes.get(f"{change.platform}:{address}")
            if outcome is not None and outcome.status != "applied":
                return address
        return ""

    def stop_waiting_for_links(self, platform: str) -> bool:
        """Make ready what waits on other platforms only; return whether there was any."""
        freed = False
        for waiting in self._waiting.values():
            if waiting.change.platform != platform or not waiting.links_to:
                continue
            open_links = [i for i in waiting.links_to if i not in self.outcomes]
            if waiting.blockers and waiting.blockers == len(open_links):
                for name in open_links:
                    self._waiting[name].dependents.remove(waiting.change.id)
                waiting.blockers = 0
                self.ready[platform].append(waiting.change)
                freed = True
        return freed

    def _connect(self, waiting: _Waiting) -> None:
        change = waiting.change
        for address in change.after:
            needed = self._waiting.get(f"{change.platform}:{address}")
            if needed is not None:
                needed.dependents.append(change.id)
                waiting.blockers += 1
        if not any(f.after == KNOWN_AFTER_APPLY for f in change.fields):
            return
        for platform in self.ready:
            other = self._waiting.get(f"{platform}:{change.address}")
            if platform in self._linking or other is None or other.change.action != "create":
                continue
            other.dependents.append(change.id)
            waiting.links_to.append(other.change.id)
            waiting.blockers += 1

    def _release(self, name: str) -> None:
        waiting = self._waiting[name]
        waiting.blockers -= 1
        if waiting.blockers == 0:
            self.ready[waiting.change.platform].append(waiting.change)
            self.wake[waiting.change.platform].set()


class Lane:
    """One platform's share of an apply.

    Args:
        session: the open connection.
        changes: the platform's changes.
        schedule: shared by all lanes.
        bindings: what is bound now, by (address, platform); read, never written.
        urls: by address, then platform; the lane adds what it makes.
        settled: called with outcomes as they arrive; returns when they are safe on disk.
        stopping: set when no new operation may begin.
        clock: for waiting.
    """

    def __init__(
        self,
        session: Session,
        changes: Sequence[Change],
        schedule: Schedule,
        bindings: Mapping[tuple[str, str], Binding],
        urls: dict[str, dict[str, str]],
        settled: Settled,
        stopping: asyncio.Event,
        clock: Clock,
    ) -> None:
        self.session = session
        self.profile = session.profile
        self.changes = changes
        self.schedule = schedule
        self.bindings = bindings
        self.urls = urls
        self.settled = settled
        self.stopping = stopping
        self.clock = clock
        self._left = len(changes)
        self._found: Mapping[str, Observed] = {}
        self._batching = False

    async def run(self) -> None:
        """Carry out every change of the platform; returns when all have an outcome."""
        name = self.profile.platform
        try:
            operations = [self._operation(change) for change in self.changes]
            await self.session.reconciler.prepare(operations)
            self._found = await self._look_up()
        except PlatformError as error:
            await self._settle([(c, _failure(c, error)) for c in self.changes])
            return
        running: set[asyncio.Task[None]] = set()
        wake = self.schedule.wake[name]
        try:
            while self._left:
                wake.clear()
                while self.schedule.ready[name] and len(running) < self._places():
                    running.add(asyncio.create_task(self._carry_out(self._take())))
                if not self._left:
                    break
                await self._wait(running, wake)
                for task in [task for task in running if task.done()]:
                    running.discard(task)
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _places(self) -> int:
        # Batches that refer to each other must arrive in order, so they go one at a time.
        return 1 if self._batching else self.profile.limits.concurrency

    async def _wait(self, running: set[asyncio.Task[None]], wake: asyncio.Event) -> None:
        waker = asyncio.create_task(wake.wait())
        patience: set[asyncio.Task[None]] = set()
        if not running and not self.schedule.ready[self.profile.platform]:
            patience = {asyncio.create_task(self.clock.sleep(LINK_PATIENCE))}
        try:
            await asyncio.wait({waker, *running, *patience}, return_when=asyncio.FIRST_COMPLETED)
            if any(task.done() for task in patience):
                self.schedule.stop_waiting_for_links(self.profile.platform)
        finally:
            for task in (waker, *patience):
                task.cancel()

    def _take(self) -> list[Change]:
        """Take the next changes off the queue: one, or a batch of creates."""
        ready = self.schedule.ready[self.profile.platform]
        group = [ready.popleft()]
        self._batching = self.profile.batch > 1 and group[0].action == "create"
        if not self._batching:
            return group
        self.schedule.assume(group[0])
        while ready and len(group) < self.profile.batch and ready[0].action == "create":
            group.append(ready.popleft())
            self.schedule.assume(group[-1])
        return group

    async def _carry_out(self, group: list[Change]) -> None:
        results: list[tuple[Change, Outcome]] = []
        fit: list[Change] = []
        for change in group:
            blocked = self.schedule.blocked_by(change)
            if self.stopping.is_set():
                results.append((change, Outcome(change.id, "skipped", error="interrupted")))
            elif blocked:
                why = f"needs {blocked}, which could not be made"
                results.append((change, Outcome(change.id, "skipped", error=why)))
            else:
                fit.append(change)
        if fit:
            counter = [0]
            sent.set(counter)
            started = time.monotonic()
            outcomes = await self._outcomes(fit)
            spent = int((time.monotonic() - started) * 1000)
            for i, (change, outcome) in enumerate(outcomes):
                # The requests of a batch are counted once, with its first change.
                requests = counter[0] if i == 0 else 0
                results.append((change, replace(outcome, requests=requests, milliseconds=spent)))
        await self._settle(results)

    async def _settle(self, results: Sequence[tuple[Change, Outcome]]) -> None:
        for change, outcome in results:
            if outcome.status == "applied" and outcome.remote_id:
                if change.moved_from:
                    self.session.links.rename(change.moved_from, change.address)
                self.session.links.bind(change.address, outcome.remote_id)
                if self.profile.linkable and outcome.url:
                    self.urls.setdefault(change.address, {})[change.platform] = outcome.url
        await self.settled(results)
        for change, outcome in results:
            self._left -= 1
            self.schedule.settle(change, outcome)

    async def _outcomes(self, group: list[Change]) -> list[tuple[Change, Outcome]]:
        reconciler = self.session.reconciler
        if len(group) > 1 and isinstance(reconciler, Batches):
            fresh = [c for c in group if c.resource_id not in self._found]
            known = [c for c in group if c.resource_id in self._found]
            outcomes = await self._create_many(reconciler, fresh) if fresh else []
            return outcomes + [(change, await self._outcome(change)) for change in known]
        return [(change, await self._outcome(change)) for change in group]

    async def _create_many(
        self, reconciler: Batches, group: list[Change]
    ) -> list[tuple[Change, Outcome]]:
        operations = [self._operation(change) for change in group]
        try:
            results = await reconciler.create_many(operations)
        except PlatformError:
            # One bad create can spoil a batch, and a lost answer leaves all of them open: each
            # one by itself tells which it was, and the ids make a second create harmless.
            return [(change, await self._outcome(change)) for change in group]
        outcomes: list[tuple[Change, Outcome]] = []
        for operation, result in zip(operations, results, strict=True):
            change = operation.change
            if isinstance(result, Written):
                outcomes.append((change, _success(operation, result)))
            elif isinstance(result, PlatformError):
                outcomes.append((change, _failure(change, result)))
            else:
                raise result
        return outcomes

    async def _outcome(self, change: Change) -> Outcome:
        operation = self._operation(change)
        try:
            return _success(operation, await self._write(operation))
        except PlatformError as error:
            return _failure(change, error)

    async def _write(self, operation: Operation) -> Written:
        change, reconciler = operation.change, self.session.reconciler
        if change.action == "create":
            return await self._create(operation)
        if change.action in {"update", "move"} and not change.fields:
            bound = self.bindings[change.moved_from or change.address, change.platform]
            return Written(bound.remote_id, bound.url, bound.revision)
        writes = {
            "update": reconciler.update,
            "move": reconciler.move,
            "archive": reconciler.archive,
            "delete": reconciler.delete,
        }
        return await writes[change.action](operation)

    async def _create(self, operation: Operation) -> Written:
        found = self._found.get(operation.marker)
        if found is not None:
            return await self._bind(operation, found)
        if operation.change.reason == "unconfirmed" and self._too_early(operation.change):
            raise OutcomeUnknown(
                "an earlier run may have made it, and searches may not show it yet",
                platform=self.profile.platform,
                hint=f"run apply again in {self.profile.lag:.0f} seconds",
            )
        try:
            return await self.session.reconciler.create(operation)
        except OutcomeUnknown:
            found = (await self.session.reconciler.find([self._wanted(operation.change)])).get(
                operation.marker
            )
            if found is not None:
                return await self._bind(operation, found)
            if self.profile.lag:
                raise
            return await self.session.reconciler.create(operation)

    async def _bind(self, operation: Operation, found: Observed) -> Written:
        """Tie a resource to its object that is there already, and mend what differs."""
        capabilities = self.profile.capabilities
        comparable = capabilities.observable(operation.change.kind)
        editable = capabilities.editable(operation.change.kind)
        differing = tuple(
            FieldChange(name, found.fields.get(name), value)
            for name, value in operation.desired.items()
            if name in editable
            and name in comparable
            and not self._equal(name, found.fields.get(name), value)
        )
        change = replace(
            operation.change, action="update", remote_id=found.remote_id, fields=differing
        )
        mend = Operation(change, found.fields, operation.desired)
        if found.archived:
            return await self.session.reconciler.restore(mend)
        if differing:
            return await self.session.reconciler.update(mend)
        return Written(found.remote_id, found.url, found.revision)

    def _equal(self, name: str, left: Value, right: Value) -> bool:
        canonical = self.session.platform.canonical
        return same(canonical(name, left), canonical(name, right))

    async def _look_up(self) -> Mapping[str, Observed]:
        wanted = [
            self._wanted(change)
            for change in self.changes
            if change.action == "create"
            and (self.profile.finds_before_create or change.reason == "unconfirmed")
        ]
        return await self.session.reconciler.find(wanted) if wanted else {}

    def _wanted(self, change: Change) -> Wanted:
        container = change.values().get("container")
        return Wanted(
            change.resource_id,
            change.address,
            change.kind,
            container if isinstance(container, str) else "",
        )

    def _too_early(self, change: Change) -> bool:
        binding = self.bindings.get((change.address, change.platform))
        if binding is None or binding.pending is None or not self.profile.lag:
            return False
        since = datetime.fromisoformat(binding.pending.since).timestamp()
        return self.clock.time() < since + self.profile.lag

    def _operation(self, change: Change) -> Operation:
        binding = self.bindings.get((change.moved_from or change.address, change.platform))
        base: Fields = binding.base if binding else {}
        fields = tuple(
            replace(item, after=self._counterparts(change))
            if item.after == KNOWN_AFTER_APPLY
            else item
            for item in change.fields
        )
        change = replace(change, fields=fields)
        drift: Fields = binding.drift if binding else {}
        return Operation(change, base, {**base, **change.values()}, drift)

    def _counterparts(self, change: Change) -> Value:
        elsewhere = self.urls.get(change.address, {})
        return tuple(
            f"{platform} {url}"
            for platform, url in sorted(elsewhere.items())
            if platform != change.platform
        )


def _success(operation: Operation, written: Written) -> Outcome:
    base = {**operation.desired, **written.fields}
    return Outcome(
        operation.change.id,
        "applied",
        remote_id=written.remote_id,
        url=written.url,
        revision=written.revision,
        base={name: value for name, value in base.items() if not same(value, None)},
        complete=written.complete,
        warnings=written.warnings,
    )


def _failure(change: Change, error: TrueupError) -> Outcome:
    status = "unknown" if isinstance(error, OutcomeUnknown) else "failed"
    text = f"{error}; {error.hint}" if error.hint else str(error)
    return Outcome(change.id, status, error=text)

"""Carrying out changes: one lane per platform, side by side, each in dependency order.

A lane takes the changes that have become ready, hands them to its reconciler as operations, and
sorts what happens into outcomes. A create whose outcome is not known is never sent again before
the platform was asked whether the object is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

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
from runner.schedule import Schedule, Stop
from schemas.domain import (
    KNOWN_AFTER_APPLY,
    Binding,
    Change,
    FieldChange,
    Outcome,
    Status,
    Value,
    same,
)
from schemas.errors import (
    OutcomeUnknown,
    PermanentError,
    PlatformError,
    TrueupError,
)

LINK_PATIENCE = 30.0
"""Seconds that a change waits for the URLs of its counterparts before it goes without."""

SETTLING = 5.0
"""Seconds that a platform gets to finish a request whose answer was lost, before it is asked
whether it did: a gateway may give up long before the server behind it does."""

T = TypeVar("T")

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


class Lane:
    """One platform's share of an apply.

    Args:
        session: the open connection.
        changes: the platform's changes.
        schedule: shared by all lanes.
        bindings: what was bound when the run began, by (address, platform).
        urls: by address, then platform; the lane adds what it makes.
        settled: called with outcomes as they arrive; returns when they are safe on disk.
        stop: pulled when no new operation may begin.
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
        stop: Stop,
        clock: Clock,
    ) -> None:
        self.session = session
        self.profile = session.profile
        self.reconciler = session.reconciler
        self.changes = changes
        self.schedule = schedule
        self.urls = urls
        self.settled = settled
        self.stop = stop
        self.clock = clock
        self._name = session.profile.platform
        self._left = len(changes)
        # Every change has one, if only to the intent to create; a move has that of its old address.
        self._bound = {c.id: bindings[c.moved_from or c.address, c.platform] for c in changes}
        self._found: dict[str, Observed] = {}
        self._batching = False

    async def run(self) -> None:
        """Carry out every change of the platform; returns when all have an outcome.

        Raises:
            StateError: an outcome could not be recorded. What was under way is finished first,
                and the other lanes begin nothing more.
        """
        begun = await tried(self._begin(), self._name)
        if isinstance(begun, PlatformError):
            # Nothing was asked for yet, so nothing can be in doubt that was not before.
            await self._settle([(c, _failure(c, begun, "failed")) for c in self.changes])
            return
        running: set[asyncio.Task[None]] = set()
        try:
            await self._work(running)
        except asyncio.CancelledError:
            for task in running:
                task.cancel()
            raise
        except BaseException:
            self.stop.pull("another part of the run failed")
            raise
        finally:
            await asyncio.gather(*running, return_exceptions=True)

    async def _begin(self) -> None:
        await self.reconciler.prepare([self._operation(change) for change in self.changes])
        finds = self.profile.finds_before_create
        await self._look_up(
            [
                change
                for change in self.changes
                if change.reason == "unconfirmed" or (change.action == "create" and finds)
            ]
        )
        doubtful = [
            change
            for change in self.changes
            if change.reason == "unconfirmed" and change.resource_id not in self._found
        ]
        if doubtful and (pause := max(map(self._too_early, doubtful))) > 0:
            # What an interrupted run made may not show up yet.
            await self._sleep(pause)
            await self._look_up(doubtful)

    async def _look_up(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        found = await self.reconciler.find([self._wanted(change) for change in changes])
        for change in changes:
            if seen := found.get(change.resource_id):
                # Whatever is mended next may refer to it.
                self.session.links.bind(change.address, seen.remote_id)
        self._found |= found

    def _too_early(self, change: Change) -> float:
        """Return how many seconds it takes until a look-up is sure to find what was made."""
        pending = self._bound[change.id].pending
        if not self.profile.lag or not pending:
            return 0.0
        since = datetime.fromisoformat(pending.since).timestamp()
        return since + self.profile.lag - self.clock.time()

    async def _sleep(self, seconds: float) -> None:
        """Return after `seconds`, or when the run is to stop."""
        tasks = [
            asyncio.create_task(self.clock.sleep(seconds)),
            asyncio.create_task(self.stop.pulled.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _work(self, running: set[asyncio.Task[None]]) -> None:
        wake = self.schedule.wake[self._name]
        while self._left:
            wake.clear()
            while self.schedule.peek(self._name) and len(running) < self._places():
                running.add(asyncio.create_task(self._carry_out(self._take())))
            await self._wait(running, wake)
            for task in [task for task in running if task.done()]:
                running.discard(task)
                task.result()

    def _places(self) -> int:
        # Batches that refer to each other must arrive in order, so they go one at a time.
        if self._batching:
            return 1
        # The budget holds requests to the limit; while some wait for the disk, others use it.
        return 2 * self.profile.limits.concurrency

    async def _wait(self, running: set[asyncio.Task[None]], wake: asyncio.Event) -> None:
        """Return when something has ended, become ready, or been waited for long enough."""
        if running:
            waker = asyncio.create_task(wake.wait())
            try:
                await asyncio.wait({waker, *running}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waker.cancel()
            return
        patience = asyncio.create_task(self._sleep(LINK_PATIENCE))
        waker = asyncio.create_task(wake.wait())
        try:
            await asyncio.wait({waker, patience}, return_when=asyncio.FIRST_COMPLETED)
            if patience.done():
                self.schedule.stop_waiting_for_links(self._name)
        finally:
            waker.cancel()
            patience.cancel()

    def _take(self) -> list[Change]:
        """Take the next changes off the queue: one, or a batch of creates."""
        group = [self.schedule.take(self._name)]
        self._batching = self.profile.batch > 1 and group[0].action == "create"
        if not self._batching:
            return group
        self.schedule.assume(group[0])
        while len(group) < self.profile.batch:
            following = self.schedule.peek(self._name)
            if following is None or following.action != "create":
                break
            group.append(self.schedule.take(self._name))
            self.schedule.assume(group[-1])
        return group

    async def _carry_out(self, group: Sequence[Change]) -> None:
        fit, results = self._sift(group)
        if fit:
            counter = [0]
            sent.set(counter)
            started = time.monotonic()
            try:
                outcomes = await self._outcomes(fit)
            except asyncio.CancelledError:
                # Nobody hears the answers any more, so nobody knows.
                lost = OutcomeUnknown("the run was cut off", platform=self._name)
                await self._settle([*results, *((c, _failure(c, lost)) for c in fit)])
                raise
            spent = int((time.monotonic() - started) * 1000)
            for i, (change, outcome) in enumerate(outcomes):
                # The requests of a batch are counted once, with its first change.
                requests = counter[0] if i == 0 else 0
                results.append((change, replace(outcome, requests=requests, milliseconds=spent)))
        await self._settle(results)

    def _sift(self, group: Sequence[Change]) -> tuple[list[Change], list[tuple[Change, Outcome]]]:
        """Tell the changes that can begin now from those that must be skipped, and why."""
        fit: list[Change] = []
        skipped: dict[str, tuple[Change, Outcome]] = {}
        for change in group:
            lost = self.schedule.blocked_by(change)
            lost = lost or next((a for a in change.after if a in skipped), "")
            why = self.stop.why or (lost and f"needs {lost}, which could not be made")
            if why:
                skipped[change.address] = (change, Outcome(change.id, "skipped", error=why))
            else:
                fit.append(change)
        return fit, list(skipped.values())

    async def _settle(self, results: Sequence[tuple[Change, Outcome]]) -> None:
        for change, outcome in results:
            if outcome.status == "applied" and outcome.remote_id:
                self.session.links.bind(change.address, outcome.remote_id)
                known = self.urls.setdefault(change.address, {})
                if self.profile.linkable and outcome.url and _relocates(change, known):
                    known[change.platform] = outcome.url
        await self.settled(results)
        for change, outcome in results:
            self._left -= 1
            self.schedule.settle(change, outcome)

    async def _outcomes(self, group: Sequence[Change]) -> list[tuple[Change, Outcome]]:
        operations = [self._operation(change) for change in group]
        if group[0].action == "create":
            results = await self._create(operations)
        else:
            results = [await tried(self._write(op), self._name) for op in operations]
        outcomes: list[tuple[Change, Outcome]] = []
        for operation, result in zip(operations, results, strict=True):
            change = operation.change
            if isinstance(result, PlatformError):
                outcomes.append((change, _failure(change, result)))
            else:
                complete = result.complete and not self.schedule.lacks_links(change)
                outcomes.append((change, _success(operation, replace(result, complete=complete))))
        return outcomes

    async def _create(self, operations: Sequence[Operation]) -> list[Written | PlatformError]:
        """Create what is not there; what is, is bound. Answers one result for each, in order."""
        results = await self._bind_found(operations)
        results |= await self._send([op for op in operations if op.marker not in results])
        lost = [op for op in operations if isinstance(results[op.marker], OutcomeUnknown)]
        if lost and not self.stop.why:
            await self._sleep(SETTLING)
            asked = await tried(self._look_up([op.change for op in lost]), self._name)
            if not isinstance(asked, PlatformError):
                results |= await self._bind_found(lost)
                missing = [op for op in lost if op.marker not in self._found]
                if not self.profile.lag:
                    results |= await self._send(missing)
        return [results[operation.marker] for operation in operations]

    async def _send(self, operations: Sequence[Operation]) -> dict[str, Written | PlatformError]:
        """Send creates, in one batch where the platform takes them so; return results by marker."""
        reconciler = self.reconciler
        if len(operations) < 2 or not isinstance(reconciler, Batches):
            return {op.marker: await tried(reconciler.create(op), self._name) for op in operations}
        many = await tried(reconciler.create_many(operations), self._name)
        if isinstance(many, PermanentError):
            # One bad create can spoil a batch: each by itself tells which it was.
            return {op.marker: await tried(reconciler.create(op), self._name) for op in operations}
        if isinstance(many, PlatformError):
            return {op.marker: many for op in operations}
        return {op.marker: result for op, result in zip(operations, many, strict=True)}

    async def _bind_found(
        self, operations: Sequence[Operation]
    ) -> dict[str, Written | PlatformError]:
        """Tie what was found to its resources; return results by marker."""
        return {
            op.marker: await tried(self._bind(op, found), self._name)
            for op in operations
            if (found := self._found.get(op.marker))
        }

    async def _bind(self, operation: Operation, found: Observed) -> Written:
        """Tie a resource to its object that is there already, and mend what differs."""
        capabilities = self.profile.capabilities
        comparable = capabilities.observable(operation.change.kind)
        editable = capabilities.editable(operation.change.kind)
        # What cannot be compared is sent again: the create may have died before it came to that.
        differing = tuple(
            FieldChange(name, found.fields.get(name), value)
            for name, value in operation.desired.items()
            if name in editable
            and not self._equal(name, found.fields.get(name) if name in comparable else None, value)
        )
        change = replace(
            operation.change, action="update", remote_id=found.remote_id, fields=differing
        )
        mend = Operation(change, found.fields, operation.desired)
        bound = Written(found.remote_id, found.url, found.revision)
        if found.archived:
            mended = await self.reconciler.restore(mend)
        elif differing:
            mended = await tried(self.reconciler.update(mend), self._name)
        else:
            return bound
        if isinstance(mended, PlatformError):
            # It is there, which must not be forgotten; the next plan sees what it lacks.
            there = {item.name: item.before for item in differing}
            return replace(bound, complete=False, warnings=(str(mended),), fields=there)
        url, revision = mended.url or found.url, mended.revision or found.revision
        return replace(mended, url=url, revision=revision)

    def _equal(self, name: str, left: Value, right: Value) -> bool:
        return self.profile.equal(name, left, right)

    async def _write(self, operation: Operation) -> Written:
        change = operation.change
        if change.reason == "unconfirmed":
            found = self._found.get(operation.marker)
            if found is None or found.archived:
                return Written("")
            change = replace(change, remote_id=found.remote_id)
            operation = replace(operation, change=change, base=found.fields, desired=found.fields)
        if change.action in {"update", "move"} and not change.fields:
            bound = self._bound[change.id]
            return Written(bound.remote_id, bound.url, bound.revision)
        writes = {
            "update": self.reconciler.update,
            "move": self.reconciler.move,
            "archive": self.reconciler.archive,
            "delete": self.reconciler.delete,
        }
        return await writes[change.action](operation)

    def _wanted(self, change: Change) -> Wanted:
        binding = self._bound[change.id]
        begun = binding.pending.fields if binding.pending else change.values()
        container = begun.get("container")
        return Wanted(
            change.resource_id,
            change.moved_from or change.address,
            change.kind,
            container if isinstance(container, str) else "",
        )

    def _operation(self, change: Change) -> Operation:
        binding = self._bound[change.id]
        fields = tuple(
            replace(item, after=self._counterparts(change))
            if item.after == KNOWN_AFTER_APPLY
            else item
            for item in change.fields
        )
        change = replace(change, fields=fields)
        return Operation(
            change, binding.base, {**binding.base, **change.values()}, drift=binding.drift
        )

    def _counterparts(self, change: Change) -> Value:
        elsewhere = self.urls.get(change.address, {})
        return tuple(
            f"{platform} {url}"
            for platform, url in sorted(elsewhere.items())
            if platform != change.platform
        )


def _relocates(change: Change, known: Mapping[str, str]) -> bool:
    """Return whether the object has an address that is news; an old title in one still leads."""
    return change.action != "update" or change.platform not in known


async def tried(work: Awaitable[T], platform: str) -> T | PlatformError:
    """Return what `work` on a platform brings, or why it failed.

    What nobody expected counts as an unknown outcome: it may have struck after the request.
    """
    try:
        return await work
    except PlatformError as error:
        return error
    except TrueupError:
        raise
    except Exception as error:  # noqa: BLE001 - one platform's defect must not end the others
        unexpected = OutcomeUnknown(
            f"unexpected {type(error).__name__}: {error}",
            platform=platform,
            hint="this is a defect of the reconciler, or the platform has changed",
        )
        unexpected.__cause__ = error
        return unexpected


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
        echo=written.echo,
    )


def _failure(change: Change, error: TrueupError, status: Status | None = None) -> Outcome:
    in_doubt: Status = "unknown" if isinstance(error, OutcomeUnknown) else "failed"
    text = f"{error}; {error.hint}" if error.hint else str(error)
    return Outcome(change.id, status or in_doubt, error=text)

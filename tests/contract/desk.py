"""A desk: one reconciler at work on its stand-in, without the rest of the engine.

What is common to all platforms is here. Each platform's own desk (`gitlab_desk.py`, ...) adds what
is there at the start, how a request reads in an assertion, and what people do on the platform.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from reconcilers import for_platform
from reconcilers._budget import Budget
from reconcilers._contract import (
    Connection,
    Limits,
    Observed,
    Operation,
    Reconciler,
    Wanted,
    Written,
)
from reconcilers._transport import Transport
from runner.sandbox._platform import StandIn
from runner.sandbox._world import TOKENS, Exchange, Seed, World
from runner.sandbox.server import Sandbox, serving
from schemas.domain import Action, Change, FieldChange, Person, Value, kind_of, resource_id, same
from tests.contract.vendors import objections

S = TypeVar("S", bound=StandIn)
T = TypeVar("T")

STATE = "5d2f9a50-6a4f-4a0e-9d0f-3a5f0f6f8a11"
OPEN = Limits(requests=1_000_000, per_seconds=3_600.0, concurrency=8, points=1_000_000_000)
ME = Person("me", "Me", "me@example.com", "America/Los_Angeles")


class Skipping:
    """A clock whose sleeps take no time; remembers them."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class Links:
    """Bindings, as the engine would keep them."""

    ids: dict[str, str] = field(default_factory=dict[str, str])

    def remote_id(self, address: str) -> str | None:
        return self.ids.get(address)

    def address(self, remote_id: str) -> str | None:
        return next((a for a, bound in self.ids.items() if bound == remote_id), None)


class Desk(ABC, Generic[S]):
    """Carries out changes as the engine does, and remembers what was agreed on.

    The settings `token`, `limits`, `people` and `lookups` reach the reconciler with `fresh`.

    Attributes:
        bases: by address, the fields last agreed on.
        echoes: by address, how the platform shows those that it has another word for.
        drift: by address, what people made of them since; for tests to fill in.
        clock: the reconciler's and the stand-in's.
    """

    PLATFORM: ClassVar[str]
    SEED: ClassVar[Seed] = Seed()
    CONTAINER: ClassVar[str]

    def __init__(self, sandbox: Sandbox, runner: asyncio.Runner, clock: Skipping) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.clock = clock
        self.standin = cast("S", sandbox.standins[self.PLATFORM])
        self.links = Links()
        self.bases: dict[str, dict[str, Value]] = {}
        self.echoes: dict[str, dict[str, Value]] = {}
        self.drift: dict[str, dict[str, Value]] = {}
        self.lookups: dict[str, object] = {}
        self.people = {ME.email: ME}
        self.limits = OPEN
        self.token = TOKENS[self.PLATFORM]
        self._platform = for_platform(self.PLATFORM)
        self.options: dict[str, Value] = {self._platform.profile.container: self.CONTAINER}
        self._runner = runner
        self._transports: list[Transport] = []
        self._counted = 0
        self.reconciler = self.fresh()

    @classmethod
    @contextlib.contextmanager
    def opened(cls, seed: Seed | None = None, *, limits: bool = False) -> Generator[Self]:
        """Serve the platform's stand-in alone, and close everything at the end of the block.

        Args:
            seed: what is there at the start, if not `SEED`.
            limits: whether the stand-in enforces the platform's rate limits.
        """
        clock = Skipping()
        world = World(seed=seed or cls.SEED, limits=limits, clock=clock.time)
        with serving(world, platforms=[cls.PLATFORM]) as sandbox, asyncio.Runner() as runner:
            made = cls(sandbox, runner, clock)
            try:
                yield made
            finally:
                made.close()

    @classmethod
    @contextlib.contextmanager
    def judged(cls, seed: Seed | None = None, *, limits: bool = False) -> Generator[Self]:
        """Do as `opened`; at the end, the vendor's schema must allow all of the traffic."""
        with cls.opened(seed, limits=limits) as made:
            yield made
            assert [o for exchange in made.world.traffic for o in objections(exchange)] == []

    def fresh(self) -> Reconciler:
        """Return a reconciler as the next run would have it: same lookups and bindings."""
        budget = Budget(self.limits, self.clock)
        url = self.sandbox.url(self.PLATFORM)
        self._transports.append(self._platform.transport(self.token, url, budget))
        # The engine keeps lookups as JSON in between.
        self.lookups = json.loads(json.dumps(self.lookups))
        self.reconciler = self._platform.reconciler(
            Connection(self.transport, self.options, self.people, self.links, self.lookups, "")
        )
        return self.reconciler

    @property
    def transport(self) -> Transport:
        """The one in use."""
        return self._transports[-1]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        for transport in self._transports:
            self.run(transport.close())

    def change(self, action: Action, address: str, **fields: Value) -> Change:
        base = self.bases.get(address, {})
        return Change(
            action=action,
            address=address,
            kind=kind_of(address),
            platform=self.PLATFORM,
            resource_id=resource_id(STATE, address),
            reason="declared",
            fields=tuple(FieldChange(n, base.get(n), v) for n, v in sorted(fields.items())),
            remote_id=self.links.ids.get(address, ""),
        )

    def operation(self, change: Change) -> Operation:
        agreed = self.bases.get(change.address, {})
        base = {name: value for name, value in agreed.items() if not same(value, None)}
        drift = self.drift.get(change.address, {})
        return Operation(change, base, {**base, **change.values()}, drift)

    def apply(self, action: Action, address: str, **fields: Value) -> Written:
        return self.carry_out(self.change(action, address, **fields))[0]

    def carry_out(self, *changes: Change) -> list[Written]:
        return self.run(self._carry_out(changes))

    async def _carry_out(self, changes: Sequence[Change]) -> list[Written]:
        operations = [self.operation(change) for change in changes]
        await self.reconciler.prepare(operations)
        if self._platform.profile.finds_before_create:
            creates = [_wanted(change) for change in changes if change.action == "create"]
            assert not creates or not await self.reconciler.find(creates)
        done: list[Written] = []
        for operation in operations:
            method = getattr(self.reconciler, operation.change.action)
            write = cast("Callable[[Operation], Awaitable[Written]]", method)
            done.append(await write(operation))
            self.settle(operation, done[-1])
        return done

    def settle(self, operation: Operation, written: Written) -> None:
        """Keep what was agreed on."""
        change = operation.change
        if change.action not in {"archive", "delete"}:
            self.links.ids[change.address] = written.remote_id
            agreed = {**self.bases.get(change.address, {}), **operation.desired}
            self.bases[change.address] = {**agreed, **written.fields}
            heard = self.echoes.get(change.address, {})
            kept = {n: v for n, v in heard.items() if n not in change.values()}
            self.echoes[change.address] = {**kept, **written.echo}

    def yielded(self, since: str | None = None) -> list[Observed]:
        """Return what is observed, as it comes."""

        async def collect() -> list[Observed]:
            return [seen async for seen in self.reconciler.observe(since)]

        return self.run(collect())

    def observe(self, since: str | None = None) -> dict[str, Observed]:
        """Return what is observed by address, and by remote id what is not bound.

        What is bound carries its marker.
        """
        found: dict[str, Observed] = {}
        for seen in self.yielded(since):
            address = self.links.address(seen.remote_id)
            assert address is None or seen.marker == resource_id(STATE, address), address
            found[address or seen.remote_id] = seen
        return found

    def find(self, *addresses: str) -> dict[str, Observed]:
        container = str(self.options.get(self._platform.profile.container, ""))
        wants = [Wanted(resource_id(STATE, a), a, kind_of(a), container) for a in addresses]
        found = self.run(self.reconciler.find(wants))
        return {w.address: found[w.marker] for w in wants if w.marker in found}

    def assert_settled(self) -> None:
        """What is observed now is what was agreed on, for every bound object."""
        seen = self.observe()
        assert seen.keys() == self.links.ids.keys()
        for address, base in self.bases.items():
            shown = seen[address].fields
            expected = base.keys() & self.observable(address)
            assert expected <= shown.keys(), address
            for name in expected:
                left, right = shown[name], self.echoes[address].get(name, base[name])
                equal = self._platform.profile.equal(name, left, right)
                assert equal, f"{address} {name}: {left!r}, not {right!r}"

    def observable(self, address: str) -> frozenset[str]:
        """Return the names of the fields that are read back faithfully."""
        return self._platform.profile.capabilities.observable(kind_of(address))

    def requests(self) -> list[str]:
        """Return the requests since the last call, each as `line` shows it."""
        traffic = list(self.world.traffic)[self._counted :]
        self._counted = len(self.world.traffic)
        return [self.line(exchange) for exchange in traffic]

    @abstractmethod
    def line(self, exchange: Exchange) -> str:
        """Return a request as an assertion wants to see it."""

    def object(self, address: str) -> dict[str, Any]:
        """Return an object as the stand-in shows it."""
        remote_id = self.links.ids[address]
        return next(o for o in self.standin.objects() if o["id"] == remote_id)


def _wanted(change: Change) -> Wanted:
    container = change.values().get("container")
    where = container if isinstance(container, str) else ""
    return Wanted(change.resource_id, change.address, change.kind, where)

"""A small engine for Linear's contract tests: one reconciler, its bindings, its stand-in."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from reconcilers import linear
from reconcilers._budget import Budget
from reconcilers._contract import Connection, Limits, Observed, Operation, Wanted, Written
from reconcilers._transport import Transport
from runner.sandbox._world import TOKENS, Seed, World
from runner.sandbox.linear import LinearStandIn
from runner.sandbox.server import Sandbox, serving
from schemas.domain import Action, Change, FieldChange, Person, Value, kind_of, resource_id

T = TypeVar("T")

STATE = "5d2f9a50-6a4f-4a0e-9d0f-3a5f0f6f8a11"
OPEN = Limits(requests=1_000_000, per_seconds=3_600.0, concurrency=8, points=1_000_000_000)
ME = Person("me", "Me", "me@example.com")


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


class Desk:
    """Carries out changes as the engine does, and remembers what was agreed on."""

    def __init__(self, sandbox: Sandbox, runner: asyncio.Runner, clock: Skipping) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.standin = cast("LinearStandIn", sandbox.standins["linear"])
        self.clock = clock
        self.links = Links()
        self.bases: dict[str, dict[str, Value]] = {}
        self.drift: dict[str, dict[str, Value]] = {}
        self.lookups: dict[str, object] = {}
        self.options: dict[str, Value] = {"team": "MOB"}
        self.limits = OPEN
        self.token = TOKENS["linear"]
        self._runner = runner
        self._transports: list[Transport] = []
        self._counted = 0
        self.reconciler = self.fresh()

    def fresh(self) -> linear.Linear:
        """Return a reconciler as the next run would have it: same lookups and bindings."""
        budget = Budget(self.limits, self.clock)
        transport = linear.transport(self.token, self.sandbox.url("linear"), budget)
        self._transports.append(transport)
        people = {"me@example.com": ME}
        self.lookups = json.loads(json.dumps(self.lookups))
        self.reconciler = linear.Linear(
            Connection(transport, self.options, people, self.links, self.lookups, "")
        )
        return self.reconciler

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
            platform="linear",
            resource_id=resource_id(STATE, address),
            reason="declared",
            fields=tuple(FieldChange(n, base.get(n), v) for n, v in sorted(fields.items())),
            remote_id=self.links.ids.get(address, ""),
        )

    def operation(self, change: Change) -> Operation:
        base = self.bases.get(change.address, {})
        drift = self.drift.get(change.address, {})
        return Operation(change, base, {**base, **change.values()}, drift)

    def apply(self, action: Action, address: str, **fields: Value) -> Written:
        return self.carry_out(self.change(action, address, **fields))[0]

    def carry_out(self, *changes: Change) -> list[Written]:
        operations = [self.operation(change) for change in changes]
        self.run(self.reconciler.prepare(operations))
        return [self.settle(o, self.run(self._write(o))) for o in operations]

    def create_many(self, *changes: Change) -> list[Written | Exception]:
        operations = [self.operation(change) for change in changes]
        self.run(self.reconciler.prepare(operations))
        results = self.run(self.reconciler.create_many(operations))
        for operation, result in zip(operations, results, strict=True):
            if isinstance(result, Written):
                self.settle(operation, result)
        return list(results)

    async def _write(self, operation: Operation) -> Written:
        return await getattr(self.reconciler, operation.change.action)(operation)

    def settle(self, operation: Operation, written: Written) -> Written:
        change = operation.change
        if change.action not in {"archive", "delete"}:
            self.links.ids[change.address] = written.remote_id
            self.bases[change.address] = {**operation.desired, **written.fields}
        return written

    def observe(self, since: str | None = None) -> dict[str, Observed]:
        async def collect() -> list[Observed]:
            return [found async for found in self.reconciler.observe(since)]

        return {self.links.address(o.remote_id) or "": o for o in self.run(collect())}

    def find(self, *addresses: str) -> dict[str, Observed]:
        wants = [Wanted(resource_id(STATE, a), a, kind_of(a)) for a in addresses]
        found = self.run(self.reconciler.find(wants))
        return {w.address: found[w.marker] for w in wants if w.marker in found}

    def assert_settled(self) -> None:
        """What is observed now is what was agreed on, for every bound object."""
        seen = self.observe()
        assert seen.keys() == self.links.ids.keys()
        for address, base in self.bases.items():
            faithful = linear.PROFILE.capabilities.observable(kind_of(address))
            for name in faithful & base.keys():
                left, right = seen[address].fields.get(name), base[name]
                assert (linear.canonical(name, left) or None) == (
                    linear.canonical(name, right) or None
                ), f"{address} {name}"

    def requests(self) -> list[str]:
        """Return the first mutation or the query name of each request since the last call."""
        traffic = list(self.world.traffic)[self._counted :]
        self._counted = len(self.world.traffic)
        return [named(json.loads(exchange.body)["query"]) for exchange in traffic]

    def object(self, address: str) -> dict[str, Any]:
        """Return an object as the stand-in shows it."""
        remote_id = self.links.ids[address]
        return next(o for o in self.standin.objects() if o["id"] == remote_id)

    def ask(self, document: str, **variables: object) -> dict[str, Any]:
        """Do as a person or another program would: any request."""
        return self.run(self._ask(document, variables))

    async def _ask(self, document: str, variables: dict[str, object]) -> dict[str, Any]:
        body = {"query": document, "variables": variables}
        answer = await self._transports[-1].write("POST", "", json=body, repeatable=False)
        return answer.data["data"]


def named(document: str) -> str:
    """Return `LookUp` or `issueCreate`: what a document asks for."""
    if document.startswith("query"):
        return document.removeprefix("query ").partition("(")[0].partition(" ")[0]
    return document.partition("{ ")[2].partition(": ")[2].partition("(")[0]


@contextlib.contextmanager
def desk(*, limits: bool = False) -> Generator[Desk]:
    clock = Skipping()
    world = World(seed=Seed(teams=("MOB", "WEB")), limits=limits, clock=clock.time)
    with serving(world, platforms=["linear"]) as sandbox, asyncio.Runner() as runner:
        made = Desk(sandbox, runner, clock)
        try:
            yield made
        finally:
            made.close()

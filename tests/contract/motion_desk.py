"""A small engine for Motion's contract tests: one reconciler, its bindings, its stand-in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import httpx

from reconcilers import motion
from reconcilers._budget import Budget
from reconcilers._contract import Connection, Limits, Observed, Operation, Wanted, Written
from runner.sandbox._world import TOKENS, Seed, World
from runner.sandbox.motion import MotionStandIn
from runner.sandbox.server import Sandbox, serving
from schemas.domain import Action, Change, FieldChange, Person, Value, kind_of, resource_id

T = TypeVar("T")

STATE = "0b6f3f1e-7c52-4a35-8a5e-2f6d1f0f4c77"
OPEN = Limits(requests=1_000_000, per_seconds=60.0)
ME = Person("me", "Me", "me@example.com", "America/Los_Angeles")


class Skipping:
    """A clock whose sleeps take no time."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0
        self.slept = 0.0

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
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

    def __init__(
        self, sandbox: Sandbox, runner: asyncio.Runner, token: str, limits: Limits
    ) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.standin = cast("MotionStandIn", sandbox.standins["motion"])
        self.standin.workspaces[0].labels = ["design", "product", "ünïcode"]
        self.clock = Skipping()
        self.links = Links()
        self.bases: dict[str, dict[str, Value]] = {}
        self.drift: dict[str, dict[str, Value]] = {}
        self.lookups: dict[str, object] = {}
        self.options: dict[str, Value] = {"workspace": sandbox.world.seed.workspaces[0]}
        self.people = {ME.email: ME}
        self._runner = runner
        self._counted = 0
        self.transport = motion.transport(
            token, sandbox.url("motion"), Budget(limits, self.clock), httpx.AsyncClient()
        )
        self.reconciler = self.fresh()

    def fresh(self) -> motion.Motion:
        """Return a reconciler as the next run would have it: same lookups and bindings."""
        self.reconciler = motion.Motion(
            Connection(self.transport, self.options, self.people, self.links, self.lookups, "")
        )
        return self.reconciler

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def change(self, action: Action, address: str, **fields: Value) -> Change:
        base = self.bases.get(address, {})
        if action == "create":
            fields = {"container": "Personal", **fields}
            if kind_of(address) == "task":
                fields.setdefault("project", address.partition("/")[0])
        return Change(
            action=action,
            address=address,
            kind=kind_of(address),
            platform="motion",
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
        return self.carry_out([self.change(action, address, **fields)])[0]

    def carry_out(self, changes: Sequence[Change]) -> list[Written]:
        return self.run(self._carry_out(changes))

    async def _carry_out(self, changes: Sequence[Change]) -> list[Written]:
        operations = [self.operation(change) for change in changes]
        await self.reconciler.prepare(operations)
        creates = [c for c in changes if c.action == "create"]
        if creates:
            assert not await self.reconciler.find([_wanted(c) for c in creates])
        done: list[Written] = []
        for operation in operations:
            written: Written = await getattr(self.reconciler, operation.change.action)(operation)
            done.append(written)
            self._settle(operation, written)
        return done

    def _settle(self, operation: Operation, written: Written) -> None:
        change = operation.change
        if change.action in {"archive", "delete"}:
            return
        self.links.ids[change.address] = written.remote_id
        base = {**operation.desired, **written.fields}
        self.bases[change.address] = {n: v for n, v in base.items() if v not in (None, ())}

    def observe(self, since: str | None = None) -> dict[str, Observed]:
        async def collect() -> list[Observed]:
            return [seen async for seen in self.reconciler.observe(since)]

        seen = self.run(collect())
        return {self.links.address(o.remote_id) or o.remote_id: o for o in seen}

    def find(self, *addresses: str) -> dict[str, Observed]:
        wanted = [
            Wanted(resource_id(STATE, a), a, kind_of(a), str(self.options.get("workspace", "")))
            for a in addresses
        ]
        found = self.run(self.reconciler.find(wanted))
        return {w.address: found[w.marker] for w in wanted if w.marker in found}

    def assert_settled(self) -> None:
        """What is observed now is what was agreed on, for every bound object."""
        seen = self.observe()
        assert seen.keys() == self.links.ids.keys()
        for address, base in self.bases.items():
            for name in motion.PROFILE.capabilities.observable(kind_of(address)) & base.keys():
                read = seen[address].fields[name]
                assert motion.canonical(name, read) == motion.canonical(name, base[name]), name

    def requests(self) -> list[str]:
        """Return the requests since the last call, ids left out."""
        traffic = list(self.world.traffic)[self._counted :]
        self._counted = len(self.world.traffic)
        ids = {*self.links.ids.values(), *self.standin.tasks}
        return [
            f"{e.method} {'/'.join('ID' if p in ids else p for p in e.path.split('/'))}"
            for e in traffic
        ]

    def task(self, address: str) -> dict[str, Any]:
        """Return a task as Motion's API shows it."""
        return next(o for o in self.standin.objects() if o["id"] == self.links.ids[address])

    def by_hand(self, method: str, path: str, **body: Any) -> httpx.Response:
        """Send a request of somebody else's, with the same token."""
        return httpx.request(
            method,
            self.sandbox.url("motion") + path,
            headers={"X-API-Key": TOKENS["motion"]},
            json=body or None,
        )

    def edit(self, address: str, **body: Any) -> None:
        """Change a task as a person would, in Motion."""
        shown = self.task(address)
        names = {"name": shown["name"], "workspaceId": shown["workspace"]["id"]}
        path = f"/v1/tasks/{shown['id']}"
        assert self.by_hand("PATCH", path, **{**names, **body}).status_code == 200


def _wanted(change: Change) -> Wanted:
    container = change.values().get("container")
    return Wanted(change.resource_id, change.address, change.kind, str(container))


@contextlib.contextmanager
def desk(
    token: str = TOKENS["motion"],
    *,
    seed: Seed | None = None,
    limits: Limits = OPEN,
    world: World | None = None,
) -> Generator[Desk]:
    """Serve Motion alone, and close everything at the end of the block."""
    world = world or World(seed=seed or Seed(workspaces=("Personal", "Work")), limits=False)
    with serving(world, platforms=["motion"]) as sandbox, asyncio.Runner() as runner:
        made = Desk(sandbox, runner, token, limits)
        try:
            yield made
        finally:
            runner.run(made.transport.close())

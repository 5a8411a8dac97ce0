"""A small engine for GitLab's contract tests: one reconciler, its bindings, its stand-in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from reconcilers import gitlab
from reconcilers._budget import Budget
from reconcilers._contract import Connection, Limits, Observed, Operation, Wanted, Written
from reconcilers._transport import Transport
from runner.sandbox._world import TOKENS, Seed, World
from runner.sandbox.gitlab import GitlabStandIn
from runner.sandbox.server import Sandbox, serving
from schemas.domain import Action, Change, FieldChange, Value, kind_of, resource_id

T = TypeVar("T")

STATE = "5d2f9a50-6a4f-4a0e-9d0f-3a5f0f6f8a11"
OPEN = Limits(requests=1_000_000, per_seconds=60.0, concurrency=8)


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

    def __init__(self, sandbox: Sandbox, runner: asyncio.Runner, token: str) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.standin = cast("GitlabStandIn", sandbox.standins["gitlab"])
        self.clock = Skipping()
        self.links = Links()
        self.bases: dict[str, dict[str, Value]] = {}
        self.lookups: dict[str, object] = {}
        self.options: dict[str, Value] = {"project": "jwp763/mobile-app"}
        self.limits = OPEN
        self._token = token
        self._runner = runner
        self._transports: list[Transport] = []
        self._counted = 0
        self.reconciler = self.fresh()

    def fresh(self) -> gitlab.Gitlab:
        """Return a reconciler as the next run would have it: same lookups and bindings."""
        transport = gitlab.transport(
            self._token, self.sandbox.url("gitlab"), Budget(self.limits, self.clock)
        )
        self._transports.append(transport)
        self.reconciler = gitlab.Gitlab(
            Connection(transport, self.options, {}, self.links, self.lookups, "")
        )
        return self.reconciler

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        for transport in self._transports:
            self.run(transport.close())

    def change(self, action: Action, address: str, fields: dict[str, Value]) -> Change:
        base = self.bases.get(address, {})
        return Change(
            action=action,
            address=address,
            kind=kind_of(address),
            platform="gitlab",
            resource_id=resource_id(STATE, address),
            reason="declared",
            fields=tuple(FieldChange(n, base.get(n), v) for n, v in sorted(fields.items())),
            remote_id=self.links.ids.get(address, ""),
        )

    def operation(self, change: Change) -> Operation:
        base = self.bases.get(change.address, {})
        return Operation(change, base, {**base, **change.values()})

    def apply(self, action: Action, address: str, **fields: Value) -> Written:
        return self.carry_out([self.change(action, address, fields)])[0]

    def carry_out(self, changes: Sequence[Change]) -> list[Written]:
        return self.run(self._carry_out(changes))

    async def _carry_out(self, changes: Sequence[Change]) -> list[Written]:
        operations = [self.operation(change) for change in changes]
        await self.reconciler.prepare(operations)
        creates = [c for c in changes if c.action == "create"]
        if creates:
            assert not await self.reconciler.find([wanted(c) for c in creates])
        done: list[Written] = []
        for operation in operations:
            change = operation.change
            method = getattr(self.reconciler, change.action)
            written: Written = await method(operation)
            done.append(written)
            if change.action in {"archive", "delete"}:
                continue
            self.links.ids[change.address] = written.remote_id
            self.bases[change.address] = {**operation.desired, **written.fields}
        return done

    def observe(self, since: str | None = None) -> dict[str, Observed]:
        async def collect() -> dict[str, Observed]:
            return {o.marker: o async for o in self.reconciler.observe(since)}

        found = self.run(collect())
        return {a: found[m] for a in self.links.ids if (m := resource_id(STATE, a)) in found}

    def assert_settled(self) -> None:
        """What is observed now is what was agreed on, for every bound object."""
        seen = self.observe()
        assert seen.keys() == self.links.ids.keys()
        for address, base in self.bases.items():
            faithful = gitlab.PROFILE.capabilities.observable(kind_of(address))
            for name in faithful & base.keys() & seen[address].fields.keys():
                left, right = seen[address].fields[name], base[name]
                assert (gitlab.canonical(name, left) or None) == (
                    gitlab.canonical(name, right) or None
                ), f"{address} {name}"

    def find(self, *addresses: str) -> dict[str, Observed]:
        wants = [Wanted(resource_id(STATE, a), a, kind_of(a)) for a in addresses]
        found = self.run(self.reconciler.find(wants))
        return {w.address: found[w.marker] for w in wants if w.marker in found}

    def requests(self) -> list[str]:
        """Return the requests since the last call, as `METHOD path` below the project."""
        traffic = list(self.world.traffic)[self._counted :]
        self._counted = len(self.world.traffic)
        return [f"{e.method} {e.path.removeprefix('/api/v4/projects/')}" for e in traffic]

    def issue(self, address: str) -> dict[str, Any]:
        """Return an issue as GitLab's API shows it."""
        iid = int(self.links.ids[address].partition("#")[2])
        project = self.standin.there.projects[int(self.links.ids[address].partition("#")[0])]
        return self.standin.there.issue(project.issues[iid])


def wanted(change: Change) -> Wanted:
    return Wanted(change.resource_id, change.address, change.kind)


@contextlib.contextmanager
def desk(token: str = TOKENS["gitlab"], *, limits: bool = False) -> Generator[Desk]:
    seed = Seed(projects=("jwp763/mobile-app", "jwp763/web/app"))
    with (
        serving(World(seed=seed, limits=limits), platforms=["gitlab"]) as sandbox,
        asyncio.Runner() as runner,
    ):
        made = Desk(sandbox, runner, token)
        try:
            yield made
        finally:
            made.close()

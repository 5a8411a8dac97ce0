"""A small engine for Notion's contract tests: one reconciler, its bindings, its stand-in."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import httpx

from reconcilers import notion
from reconcilers._budget import Budget
from reconcilers._contract import Connection, Limits, Observed, Operation, Wanted, Written
from reconcilers._transport import Transport
from runner.sandbox._world import TOKENS, Seed, World
from runner.sandbox.notion import NotionStandIn
from runner.sandbox.server import Sandbox, serving
from schemas.domain import Action, Change, FieldChange, Person, Value, kind_of, resource_id

T = TypeVar("T")
Json = dict[str, Any]

STATE = "5d2f9a50-6a4f-4a0e-9d0f-3a5f0f6f8a11"
OPEN = Limits(requests=1_000_000, per_seconds=60.0, concurrency=8)
START = 1_790_000_000.0


class Skipping:
    """A clock whose sleeps take no time; remembers them."""

    def __init__(self) -> None:
        self.now = START
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
        self.standin = cast("NotionStandIn", sandbox.standins["notion"])
        self.clock = clock
        self.links = Links()
        self.bases: dict[str, dict[str, Value]] = {}
        self.drift: dict[str, dict[str, Value]] = {}
        self.lookups: dict[str, object] = {}
        self.options: dict[str, Value] = {"parent": "Work"}
        self.token = TOKENS["notion"]
        self._runner = runner
        self._http = httpx.Client()
        self._transports: list[Transport] = []
        self._counted = 0
        self.reconciler = self.fresh()

    def fresh(self) -> notion.Notion:
        """Return a reconciler as the next run would have it: same lookups and bindings."""
        budget = Budget(OPEN, self.clock)
        transport = notion.transport(self.token, self.sandbox.url("notion"), budget)
        self._transports.append(transport)
        people = {"me@example.com": Person("me", "Me", "me@example.com")}
        # The engine keeps lookups as JSON in between.
        self.lookups = json.loads(json.dumps(self.lookups))
        self.reconciler = notion.Notion(
            Connection(transport, self.options, people, self.links, self.lookups, "")
        )
        return self.reconciler

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        self._http.close()
        for transport in self._transports:
            self.run(transport.close())

    def change(self, action: Action, address: str, fields: dict[str, Value]) -> Change:
        base = self.bases.get(address, {})
        return Change(
            action=action,
            address=address,
            kind=kind_of(address),
            platform="notion",
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
        return self.carry_out([self.change(action, address, fields)])[0]

    def carry_out(self, changes: Sequence[Change]) -> list[Written]:
        return self.run(self._carry_out(changes))

    async def _carry_out(self, changes: Sequence[Change]) -> list[Written]:
        await self.reconciler.prepare([self.operation(change) for change in changes])
        creates = [wanted(c.address) for c in changes if c.action == "create"]
        if creates:
            assert not await self.reconciler.find(creates)
        done: list[Written] = []
        for change in changes:
            operation = self.operation(change)
            written: Written = await getattr(self.reconciler, change.action)(operation)
            done.append(written)
            if change.action not in {"archive", "delete"}:
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
            faithful = notion.PROFILE.capabilities.observable(kind_of(address))
            assert not base.keys() - seen[address].fields.keys(), address
            for name in faithful & base.keys():
                left, right = seen[address].fields[name], base[name]
                assert (notion.canonical(name, left) or None) == (
                    notion.canonical(name, right) or None
                ), f"{address} {name}"

    def find(self, *addresses: str) -> dict[str, Observed]:
        wants = [wanted(address) for address in addresses]
        found = self.run(self.reconciler.find(wants))
        return {w.address: found[w.marker] for w in wants if w.marker in found}

    def requests(self) -> list[str]:
        """Return the requests since the last call, ids left out."""
        traffic = list(self.world.traffic)[self._counted :]
        self._counted = len(self.world.traffic)
        return [f"{e.method} {_shape(e.path)}" for e in traffic]

    def page(self, address: str) -> Json:
        """Return a page as the sandbox shows it."""
        wanted_id = self.links.ids[address]
        return next(o for o in self.standin.objects() if o["id"] == wanted_id)

    def databases(self) -> list[Json]:
        return [o for o in self.standin.objects() if o["kind"] == "database"]

    def person(self, method: str, path: str, body: Json | None = None) -> Json:
        """Do something as a person does, and not as trueup."""
        answer = self.call(method, path, body, {"x-sandbox-person": "me@example.com"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a request of one's own; it does not count."""
        usual = {
            "Authorization": f"Bearer {TOKENS['notion']}",
            "Notion-Version": "2025-09-03",
            "Content-Type": "application/json",
        }
        content = body if isinstance(body, bytes) else None
        answer = self._http.request(
            method,
            self.sandbox.url("notion") + path,
            content=content,
            json=None if content is not None else body,
            headers={k: v for k, v in {**usual, **(headers or {})}.items() if v},
        )
        self.world.traffic.pop()
        return answer


def _shape(path: str) -> str:
    return "/".join("*" if len(part) == 36 else part for part in path.split("/"))


def wanted(address: str) -> Wanted:
    return Wanted(resource_id(STATE, address), address, kind_of(address))


@contextlib.contextmanager
def desk(*, limits: bool = False, seed: Seed | None = None) -> Generator[Desk]:
    clock = Skipping()
    world = World(seed=seed or Seed(), limits=limits, clock=clock.time)
    with serving(world, platforms=["notion"]) as sandbox, asyncio.Runner() as runner:
        made = Desk(sandbox, runner, clock)
        try:
            yield made
        finally:
            made.close()

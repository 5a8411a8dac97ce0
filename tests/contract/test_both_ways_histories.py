"""Random specs, random edits on all platforms, random policies: afterwards all is at rest.

A history is a spec repo of its own on fresh platforms, some rounds long. In each round, people
edit tasks through the platforms' own APIs and the specs change; then the platforms are observed
and a plan is applied, as `trueup apply` does it. What must hold is in `History.check`.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from email.utils import format_datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from reconcilers._linear_directory import SCALES
from reconcilers._linear_fields import points
from runner.apply import apply_plan, new_run_id
from runner.config import Config, read_config
from runner.language.load import load_files
from runner.language.resolve import resolve
from runner.observe import refresh
from runner.plan import make_plan
from runner.platforms import profiles_of
from runner.progress import Quiet
from runner.sandbox._platform import Call, StandIn
from runner.sandbox._world import World
from runner.sandbox.motion import MotionStandIn, rendered
from runner.sandbox.server import Sandbox, stand_ins
from runner.state.store import Writer
from schemas.domain import PLATFORMS, Binding, Desired, Plan, Value
from tests.contract.memory import MemoryTables
from tests.contract.people import People
from tests.contract.sandboxed import INTEGRATIONS, PEOPLE
from tests.contract.story import SEED, LeapClock

TODAY = date(2026, 11, 24)
VALUES: dict[str, tuple[Value, ...]] = {
    "title": ("Pick the stack", "Choose the stack", "Größe 📐 messen", 'Say "hello"'),
    "description": (
        "One line.",
        "A *second* one.",
        "Two\n\nparagraphs,\nof which one is wrapped.",
        "# Plan\n\n* do\n* check\n\n| who | what |\n| :-- | --- |\n| Ann | **all** |",
    ),
    "status": ("backlog", "todo", "in_progress", "done", "canceled"),
    "priority": ("none", "low", "medium", "high", "urgent"),
    "due": ("2026-12-05", "2026-12-24", "2027-01-31"),
    "estimate": (180, 450, 1_200),
}


def in_divisions(markdown: str) -> str:
    return rendered(markdown).replace("<p>", '<div class="text">').replace("</p>", "</div>\n")


def with_breaks(markdown: str) -> str:
    return re.sub(r"(?<=[^>])\n", "<br>", rendered(markdown))


def in_words(markdown: str) -> str:
    """Keep paragraphs of plain words: no heading, list, table or style."""
    words = re.sub(r"<(?!/?p\b)[^>]*>", " ", re.sub(r"</(h1|ul|table)>", "<p>", rendered(markdown)))
    return re.sub(r"\s+", " ", words)


RENDERERS = (rendered, rendered, in_divisions, with_breaks, in_words)
"""What Motion may make of Markdown; nobody knows what it really does."""


class History:
    """One spec repo with its state and platforms, and what was done to them."""

    def __init__(self, seed: int, root: Path, sandbox: Sandbox, clock: LeapClock) -> None:
        self.dice = random.Random(seed)
        self.sandbox = sandbox
        self.clock = clock
        self.people = People(sandbox)
        cast("dict[str, StandIn]", sandbox.standins).update(stand_ins(sandbox.world))
        self.state = Writer(MemoryTables())
        self.config: Config = read_config(
            root, today=TODAY.isoformat(), environ=sandbox.environment()
        )
        dice = self.dice
        cast("MotionStandIn", sandbox.standins["motion"]).render = dice.choice(RENDERERS)
        self.platforms = tuple(p for p in PLATFORMS if dice.random() < 0.7) or (PLATFORMS[0],)
        self.policy = self._policy()
        self.tasks: dict[str, dict[str, Value]] = {
            f"t{i}": self._fields() for i in range(dice.randint(1, 3))
        }
        self.known: set[tuple[str, str]] = set()
        """Fields that somebody, or a spec, has given a value at some time."""
        self.seen: dict[tuple[str, str, str], Value] = {}
        """What people read after the last round, by task, platform and field."""
        self.respecified: set[tuple[str, str]] = set()
        """Fields that the specs took up or let go since the last round."""
        self.said: list[str] = [f"on {self.platforms}, policy {self.policy}"]

    def _policy(self) -> dict[str, Any]:
        dice = self.dice
        policy: dict[str, Any] = {"drift": dice.choice(["revert", "revert", "propose", "ignore"])}
        if dice.random() < 0.3:
            override: dict[str, Any] = {"drift": dice.choice(["revert", "propose", "ignore"])}
            if dice.random() < 0.5:
                override["fields"] = dice.sample(list(VALUES), 2)
            if dice.random() < 0.5:
                override["platforms"] = [dice.choice(PLATFORMS)]
            policy["drift_overrides"] = [override]
        return policy

    def _fields(self) -> dict[str, Value]:
        names = [name for name in VALUES if self.dice.random() < 0.4]
        fields = {name: self.dice.choice(VALUES[name]) for name in names}
        return {"title": self.dice.choice(VALUES["title"]), **fields}

    @property
    def desired(self) -> Desired:
        integrations = {name: INTEGRATIONS[name] for name in self.platforms}
        tasks = {key: {n: _written(n, v) for n, v in t.items()} for key, t in self.tasks.items()}
        documents: list[dict[str, Any]] = [
            {"kind": "People", "people": PEOPLE},
            {"kind": "Integrations", **integrations},
            {"kind": "Settings", "policy": self.policy},
            {"kind": "Project", "key": "app", "name": "App", "tasks": tasks},
        ]
        # Every JSON document is a YAML one.
        files = {
            f"specs/{number}.yaml": json.dumps(document, ensure_ascii=False).encode()
            for number, document in enumerate(documents)
        }
        loaded = load_files(files)
        assert loaded.valid, loaded.diagnostics
        desired = resolve(loaded, today=TODAY, commit="")
        unlimited = {
            name: replace(item, options={**item.options, "rate": 1_000_000})
            for name, item in desired.integrations.items()
        }
        return replace(desired, integrations=unlimited)

    def bindings(self, key: str) -> dict[str, Binding]:
        return {b.platform: b for b in self.state.bindings([f"app/{key}"])}

    def edit_on_a_platform(self) -> None:
        dice = self.dice
        self.clock.now += dice.choice([1, 30, 90, 600])
        key, platform = dice.choice(list(self.tasks)), dice.choice(self.platforms)
        names = dice.sample(list(VALUES), dice.choice([1, 1, 2]))
        if platform == "gitlab":
            # Its free tier has no weights.
            names = [name for name in names if name != "estimate"] or ["status"]
        fields = {name: dice.choice(VALUES[name]) for name in names}
        self.people.edit(self.bindings(key)[platform], **fields)
        self.said.append(f"{platform}: {key} {fields}")

    def edit_the_specs(self) -> None:
        dice = self.dice
        key, name = dice.choice(list(self.tasks)), dice.choice(list(VALUES))
        if name != "title" and name in self.tasks[key] and dice.random() < 0.5:
            del self.tasks[key][name]
        else:
            self.tasks[key][name] = dice.choice(VALUES[name])
        self.respecified.add((key, name))
        self.said.append(f"specs: {key} {name} = {self.tasks[key].get(name, 'released')}")

    async def observe(self) -> Plan:
        self.clock.now += self.dice.choice([1, 61, 600])
        desired = self.desired
        found = await refresh(desired, self.state, self.config, "observe", clock=self.clock)
        assert not found.failed, found.failed
        assert not found.stubborn, found.stubborn
        return make_plan(desired, self.state, profiles_of(desired))

    async def round(self) -> None:
        edits: dict[tuple[str, str], set[Value]] = {}
        for (key, platform, name), value in self.look().items():
            if value != self.seen.get((key, platform, name), value):
                edits.setdefault((key, name), set()).add(_meant(name, value))
        self.known |= {(key, name) for key, fields in self.tasks.items() for name in fields}
        self.known |= edits.keys()
        plan = await self.observe()
        self.clock.now += 1
        applied = await apply_plan(
            plan,
            self.desired,
            self.state,
            self.config,
            new_run_id(),
            progress=Quiet(),
            clock=self.clock,
        )
        assert applied.complete, [(c.id, o.error) for c, o in applied.results if o.error]
        again = await self.observe()
        # Motion places work anew as time goes by, which is then news for Notion.
        changes = [change for change in again.changes if change.reason != "scheduled"]
        assert not changes, [(c.id, c.reason, c.fields) for c in changes]
        assert not again.settled, again.settled
        self.seen = self.look()
        self.check(edits)
        self.respecified.clear()

    def look(self) -> dict[tuple[str, str, str], Value]:
        """Return what people read on the platforms now, by task, platform and field."""
        return {
            (key, platform, name): value
            for key in self.tasks
            for platform, binding in self.bindings(key).items()
            for name, value in self.people.look(binding).items()
        }

    def check(self, edits: Mapping[tuple[str, str], set[Value]]) -> None:
        """Make sure that git-owned fields are as declared, and live ones the same everywhere."""
        policy = self.desired.policy
        rows = {row.address: row for row in self.state.resources()}
        for key, declared in self.tasks.items():
            for name in VALUES:
                shown = [p for p in self.platforms if (key, p, name) in self.seen]
                there = {p: _meant(name, self.seen[key, p, name]) for p in shown}
                if name in declared:
                    for platform, value in there.items():
                        rule, _ = policy.drift_of(f"app/{key}", platform, name)
                        wanted = _meant(name, declared[name])
                        assert rule != "revert" or value == wanted, (key, name, there)
                elif there and (key, name) in self.known:
                    assert len(set(there.values())) == 1, (key, name, there)
                    live = _meant(name, rows[f"app/{key}"].live.get(name))
                    assert {live} == set(there.values()), (key, name, live, there)
                    given = edits.get((key, name))
                    if given and (key, name) not in self.respecified:
                        assert set(there.values()) <= given, (key, name, given, there)

    async def run(self) -> None:
        try:
            await self.round()
            for _ in range(self.dice.randint(1, 3)):
                for _ in range(self.dice.choice([0, 1, 1, 2, 4])):
                    self.edit_on_a_platform()
                if self.dice.random() < 0.4:
                    self.edit_the_specs()
                self.said.append("apply")
                await self.round()
        except AssertionError as error:
            error.add_note("\n".join(self.said))
            raise


def _written(name: str, value: Value) -> Value:
    """Return a value as a spec has it."""
    return f"{value}m" if name == "estimate" else value


def _meant(name: str, value: Value) -> Value:
    """Return what a value means where platforms differ.

    Motion knows no priority below LOW, Linear no work below a point, and rich text no Markdown.
    """
    if name == "priority" and value in {None, "none"}:
        return "low"
    if name == "estimate" and isinstance(value, int):
        return points(value, SCALES["fibonacci"][0])
    if name == "description" and isinstance(value, str):
        return tuple(re.findall(r"\w+", value))
    return value


class Wire(httpx.AsyncBaseTransport):
    """Hands requests to the stand-ins as they would have arrived, without a socket."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path, _, _ = request.url.raw_path.decode().partition("?")
        platform, _, rest = path.lstrip("/").partition("/")
        call = Call(
            request.method,
            f"/{rest}",
            list(request.url.params.multi_items()),
            dict(request.headers),
            request.content,
        )
        reply = self._sandbox.standins[platform].handle(call)
        date = format_datetime(self._sandbox.world.now(platform), usegmt=True)
        return httpx.Response(
            reply.status, headers={"date": date, **reply.headers}, json=reply.data
        )


class Client(httpx.AsyncClient):
    """A client for all sessions: there are no connections to close."""

    async def aclose(self) -> None:
        """Stay open for the next session."""


def histories(root: Path, patch: pytest.MonkeyPatch, seeds: range) -> None:
    clock = LeapClock()
    world = World(limits=False, clock=clock.time, seed=SEED)
    sandbox = Sandbox("http://127.0.0.1", world, stand_ins(world))
    client = Client(transport=Wire(sandbox))

    def straight(**_: object) -> httpx.AsyncClient:
        return client

    patch.setattr(httpx, "AsyncClient", straight)

    async def run() -> None:
        for seed in seeds:
            await History(seed, root, sandbox, clock).run()

    asyncio.run(run())


@pytest.mark.parametrize("part", range(10))
def test_random_histories_end_at_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    histories(tmp_path, monkeypatch, range(part * 50, part * 50 + 50))


@pytest.mark.soak
@pytest.mark.parametrize("part", range(10))
def test_many_more_random_histories_end_at_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    histories(tmp_path, monkeypatch, range(1_000 + part * 450, 1_000 + part * 450 + 450))

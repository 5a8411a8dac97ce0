"""A spec repo that is applied, people who work on its platforms, and the round trip of a field."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.sandbox._world import World
from runner.sandbox.server import Sandbox, serving
from runner.state.contract import StateReader, StateWriter
from runner.state.store import Reader, Writer
from runner.workspace import Workspace
from schemas.domain import PLATFORMS, Binding
from tests.contract.memory import MemoryTables
from tests.contract.people import People
from tests.contract.sandboxed import SpecRepo
from tests.contract.story import SEED, LeapClock


@dataclass(frozen=True)
class InMemory(Workspace):
    """A spec repo whose state is in memory."""

    tables: MemoryTables = field(default_factory=MemoryTables)

    def reader(self) -> StateReader:
        return Reader(self.tables)

    @contextlib.contextmanager
    def writer(self) -> Generator[StateWriter]:
        yield Writer(self.tables)


@dataclass
class Repo(SpecRepo):
    """The same as tests edit it."""

    tables: MemoryTables = field(default_factory=MemoryTables)

    def workspace(self) -> Workspace:
        return InMemory(super().workspace().config, tables=self.tables)


@dataclass
class Desk:
    """A spec repo that is applied, and people who work on the platforms."""

    repo: Repo
    sandbox: Sandbox
    clock: LeapClock

    def __post_init__(self) -> None:
        self.people = People(self.sandbox)

    def bindings(self, address: str) -> dict[str, Binding]:
        found = self.repo.workspace().reader().bindings([address])
        return {binding.platform: binding for binding in found}

    def edit(self, platform: str, address: str, **fields: Any) -> None:
        """Let some time pass, then change a task on a platform."""
        self.clock.now += 3_600
        self.people.edit(self.bindings(address)[platform], **fields)

    def everywhere(self, address: str, name: str) -> dict[str, object]:
        """Return what people read in a field, by platform."""
        return {p: self.people.look(b)[name] for p, b in self.bindings(address).items()}

    def apply(self) -> None:
        """Observe and apply as `trueup apply` does; all must be done."""
        self.clock.now += 3_600
        applied = self.repo.apply(refresh=True)
        assert applied.complete, [(c.id, o.error) for c, o in applied.results if o.error]

    def at_rest(self) -> bool:
        """Return whether another round finds nothing to do."""
        self.clock.now += 3_600
        assert not self.repo.observe().failed
        made = self.repo.plan()
        return not made.changes and not made.settled and not made.drift

    def live(self, address: str) -> dict[str, object]:
        """Return the live fields that the tables have."""
        (row,) = self.repo.workspace().reader().resources([address])
        return dict(row.live)


def project(**task: Any) -> dict[str, Any]:
    return {"key": "app", "name": "App", "tasks": {"stack": {"title": "Pick the stack", **task}}}


@contextlib.contextmanager
def opened(root: Path, platforms: tuple[str, ...] = PLATFORMS, **task: Any) -> Generator[Desk]:
    """Open a desk with one task, `app/stack`, that is applied and at rest."""
    clock = LeapClock()
    with serving(World(limits=False, clock=clock.time, seed=SEED)) as sandbox:
        repo = Repo(root, sandbox, platforms, project=project(**task), clock=clock)
        desk = Desk(repo, sandbox, clock)
        desk.apply()
        assert desk.at_rest()
        yield desk

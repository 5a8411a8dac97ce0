"""What people do on the platforms comes back: to the other platforms, the tables and the specs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox._world import World
from runner.sandbox.server import Sandbox, serving
from schemas.domain import PLATFORMS, Binding
from tests.contract.people import People
from tests.contract.sandboxed import SpecRepo
from tests.contract.story import SEED, LeapClock

STATUSES = ("done", "canceled", "todo", "in_progress")


@dataclass
class Desk:
    """A spec repo that is applied, and people who work on the platforms."""

    repo: SpecRepo
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


@pytest.fixture(name="desk")
def a_desk(tmp_path: Path) -> Iterator[Desk]:
    yield from _desks(tmp_path, PLATFORMS)


def _desks(root: Path, platforms: tuple[str, ...], **task: Any) -> Iterator[Desk]:
    clock = LeapClock()
    with serving(World(limits=False, clock=clock.time, seed=SEED)) as sandbox:
        repo = SpecRepo(root, sandbox, platforms, project=project(**task), clock=clock)
        desk = Desk(repo, sandbox, clock)
        desk.apply()
        assert desk.at_rest()
        yield desk


def test_what_is_done_on_one_platform_is_done_on_all(desk: Desk) -> None:
    for platform in PLATFORMS:
        for status in STATUSES:
            desk.edit(platform, "app/stack", status=status)
            desk.apply()
            assert set(desk.everywhere("app/stack", "status").values()) == {status}, platform
            assert desk.live("app/stack")["status"] == status
            assert desk.at_rest(), (platform, status)

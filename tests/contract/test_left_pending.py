"""Once nothing is left of an interrupted update, the state says so, whatever else is open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.operate import refresh_state
from runner.sandbox._world import Fault, World
from runner.sandbox.server import serving
from runner.state.check import check_state
from schemas.domain import Binding
from tests.contract.people import People
from tests.contract.sandboxed import SpecRepo
from tests.contract.story import LeapClock
from tests.contract.test_deleted import delete


@dataclass
class Desk:
    """One task on one platform, whose update was carried out, and never confirmed."""

    repo: SpecRepo
    people: People
    clock: LeapClock

    @property
    def binding(self) -> Binding:
        (found,) = self.repo.workspace().reader().bindings(["app/a"])
        return found

    def declare(self, **task: Any) -> None:
        assert self.repo.project
        self.repo.project["tasks"]["a"] |= task

    def apply(self) -> None:
        self.clock.now += 3_600
        assert self.repo.apply(refresh=True).complete

    def problems(self) -> list[str]:
        return [p.code for p in check_state(self.repo.workspace().reader())]


@pytest.fixture(name="desk", params=["linear", "gitlab"])
def a_desk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    clock = LeapClock()
    with serving(World(limits=False, clock=clock.time)) as sandbox:
        project = {"key": "app", "name": "App", "tasks": {"a": {"title": "A"}}}
        repo = SpecRepo(tmp_path, sandbox, (request.param,), project=project, clock=clock)
        desk = Desk(repo, People(sandbox), clock)
        desk.apply()
        desk.declare(due="2026-12-18")
        faults = [
            Fault("error-after", request.param, writes=True),
            Fault("error-before", request.param, writes=True, times=99),
        ]
        sandbox.world.faults += faults
        assert not repo.apply().complete
        sandbox.world.faults.clear()
        assert desk.binding.pending
        assert desk.problems() == ["left-pending"]
        yield desk


def test_a_conflict_does_not_keep_it(desk: Desk) -> None:
    desk.clock.now += 60
    desk.people.edit(desk.binding, title="Theirs")
    desk.declare(title="Ours")
    desk.apply()
    assert desk.binding.drift == {"title": "Theirs"}
    assert desk.binding.base["due"] == "2026-12-18"
    assert desk.binding.pending is None
    assert desk.problems() == []
    made = desk.repo.plan()
    assert (made.changes, made.settled) == ((), ())
    assert [item.decision for item in made.drift] == ["conflict"]

    # Settled by the specs, all of it agrees.
    desk.declare(title="Theirs")
    desk.apply()
    assert desk.binding.drift == {}


def test_a_conflict_does_not_keep_what_was_taken_back(desk: Desk) -> None:
    desk.clock.now += 60
    desk.people.edit(desk.binding, title="Theirs", due=None)
    desk.declare(title="Ours", due=None)
    desk.apply()
    assert desk.binding.drift == {"title": "Theirs"}
    assert desk.problems() == []


def test_a_removal_by_people_does_not_keep_it(desk: Desk) -> None:
    delete(desk.repo.sandbox, desk.repo, "app/a")
    assert not refresh_state(desk.repo.workspace(), full=True).failed
    desk.apply()
    assert "archived" in desk.binding.drift
    assert desk.binding.pending is None
    assert desk.problems() == []
    assert desk.repo.plan().settled == ()

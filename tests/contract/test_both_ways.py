"""What people do on the platforms comes back: to the other platforms, the tables and the specs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox._world import World
from runner.sandbox.server import Sandbox, serving
from runner.show import read_resource
from runner.status import read_status, status_text
from schemas.domain import PLATFORMS, Binding
from tests.contract.people import People
from tests.contract.sandboxed import SpecRepo
from tests.contract.story import SEED, LeapClock

STATUSES = ("done", "todo", "canceled", "in_progress")


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
    for platform, status in zip(PLATFORMS * 2, STATUSES * 2, strict=True):
        desk.edit(platform, "app/stack", status=status)
        desk.apply()
        assert set(desk.everywhere("app/stack", "status").values()) == {status}, platform
        assert desk.live("app/stack")["status"] == status
        assert desk.at_rest(), (platform, status)


def test_motions_schedule_shows_up_in_notion_and_in_the_status(tmp_path: Path) -> None:
    # Real time: what is over is not shown.
    with serving(World(limits=False)) as sandbox:
        task = {"due": "2099-12-18", "estimate": "4h"}
        repo = SpecRepo(tmp_path, sandbox, ("motion", "notion"), project=project(**task))
        repo.apply()
        assert not repo.observe().failed
        (change,) = repo.plan().changes
        assert (change.platform, change.reason) == ("notion", "scheduled")
        repo.apply(refresh=True)
        (row,) = [o for o in sandbox.objects()["notion"] if o["title"] == "Pick the stack"]
        (shown,) = [o for o in sandbox.objects()["motion"] if o["title"] == "Pick the stack"]
        scheduled = row["properties"]["Scheduled"]["date"]
        assert instant(scheduled["start"]) == instant(shown["scheduledStart"])
        assert instant(scheduled["end"]) == instant(shown["scheduledEnd"])
        report = read_status(repo.workspace())
        assert [item.address for item in report.scheduled] == ["app/stack"]
        assert "app/stack" in status_text(report).partition("next in Motion's calendar")[2]
        view = read_resource(repo.workspace(), "app/stack")
        (start,) = [item for item in view.fields if item.name == "scheduled_start"]
        assert (start.owner, start.why) == ("motion", "Motion's scheduler decides it")
        assert start.on.keys() == {"motion", "notion"}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)

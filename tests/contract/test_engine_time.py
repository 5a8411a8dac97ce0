"""Rate limits in simulated time: as fast as they allow, and never a request too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.sandbox._world import World
from runner.sandbox.server import serving
from tests.contract.sandboxed import SpecRepo
from tests.contract.virtual import VirtualClock

TASKS = 1_000


def big_project() -> dict[str, Any]:
    tasks: dict[str, Any] = {
        f"t{i:04}": {
            "title": f"Task {i}",
            "description": "What is to be done.\n",
            "due": "2027-02-26",
            "estimate": "2h",
            "owner": "me",
            "priority": "high",
        }
        for i in range(TASKS)
    }
    return {"key": "big", "name": "Big", "tasks": tasks}


def test_a_thousand_tasks_take_as_long_as_the_slowest_platform_and_as_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock(monkeypatch)
    with serving(World(limits=True, clock=clock.time)) as sandbox:
        repo = SpecRepo(tmp_path, sandbox, project=big_project(), clock=clock)
        made = repo.plan()
        began = clock.now
        applied = repo.apply()
        spent = clock.now - began
        refused = [e.platform for e in sandbox.world.traffic if e.status == 429]
        writes = [
            e
            for e in sandbox.world.traffic
            if e.platform == "linear" and b"mutation" in e.body[:30]
        ]
    unfinished = [(c.id, o.status, o.error) for c, o in applied.results if o.status != "applied"]
    assert unfinished == []
    assert refused == []
    slowest = made.cost.platform_seconds[made.cost.bound_by]
    sent = applied.requests[made.cost.bound_by]
    bound = (sent - 1) // 12 * 60.0
    assert made.cost.bound_by == "motion"
    assert spent <= 1.05 * bound
    assert abs(slowest - spent) <= 0.05 * spent
    assert len(writes) <= 30
    for platform in ("notion", "gitlab", "motion"):
        assert applied.requests[platform] <= 1.05 * TASKS + 10
    assert dict(applied.requests) == dict(made.cost.requests)


def test_a_run_goes_on_from_the_budget_that_the_last_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock(monkeypatch)
    project: dict[str, Any] = {"key": "app", "name": "App", "tasks": {}}
    with serving(World(limits=True, clock=clock.time)) as sandbox:
        repo = SpecRepo(tmp_path, sandbox, ("motion",), project=project, clock=clock)
        for batch in range(4):
            project["tasks"].update(
                {f"t{batch}{i}": {"title": f"Task {batch} {i}"} for i in range(9)}
            )
            assert repo.apply().complete
        assert [e.status for e in sandbox.world.traffic if e.status == 429] == []

"""What observing costs where there is much, and little or nothing has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.sandbox._world import World
from runner.sandbox.server import serving
from runner.state.contract import Commit
from schemas.domain import PLATFORMS, Binding
from tests.contract.people import People
from tests.contract.sandboxed import SpecRepo
from tests.contract.story import SEED, LeapClock

MANY = 10_000
FEEDS = ("linear", "gitlab", "notion")
"""Platforms that tell what changed; Motion lists everything."""


@pytest.fixture(name="repo")
def a_large_repo(tmp_path: Path) -> Iterator[SpecRepo]:
    clock = LeapClock()
    with serving(World(limits=False, clock=clock.time, seed=SEED)) as sandbox:
        project = {"key": "app", "name": "App", "tasks": {"stack": {"title": "Pick the stack"}}}
        repo = SpecRepo(tmp_path, sandbox, PLATFORMS, project=project, clock=clock)
        repo.apply()
        # The first observation reads everything; the next goes back a little behind it.
        for _ in range(2):
            assert not repo.observe().failed
            clock.now += 600
        (one,) = repo.workspace().reader().bindings(["app/stack"], "linear")
        others = [
            replace(one, address=f"app/t{i}", platform=platform, remote_id=remote_id(platform, i))
            for platform in FEEDS
            for i in range(MANY)
        ]
        with repo.workspace().writer() as state:
            state.save_bindings(others, Commit("seed"))
        yield repo


def remote_id(platform: str, number: int) -> str:
    return f"101#{number + 1_000}" if platform == "gitlab" else f"{platform}-{number}"


def test_where_nothing_changed_ten_thousand_tasks_cost_two_requests_a_platform(
    repo: SpecRepo,
) -> None:
    found = repo.observe()
    assert found.changed == 0
    assert not found.failed
    assert found.requests["linear"] == 1
    assert found.requests["gitlab"] == 2
    assert found.requests["notion"] == 2

    task: Binding = repo.workspace().reader().bindings(["app/stack"], "linear")[0]
    People(repo.sandbox).edit(task, status="done")
    found = repo.observe()
    assert (found.changed, found.requests["linear"]) == (1, 2)

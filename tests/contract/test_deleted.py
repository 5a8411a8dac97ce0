"""What people delete on a platform: proposed as removal, made again, or left alone, by policy."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.adopt import adoption
from runner.drift import read_drift
from runner.observe import refresh
from runner.operate import overwrite_drift, refresh_state
from runner.sandbox._world import Fault, World
from runner.sandbox.server import Sandbox, serving
from schemas.domain import PLATFORMS
from tests.contract.people import People
from tests.contract.sandboxed import SpecRepo
from tests.contract.story import LeapClock

PROJECT: dict[str, Any] = {
    "key": "app",
    "name": "App",
    "tasks": {
        "stack": {"title": "Pick the stack", "description": "Text.", "due": "2026-12-05"},
        "login": {"title": "Design the login"},
    },
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with serving(World(limits=False)) as served:
        yield served


@pytest.fixture
def desk(tmp_path: Path, sandbox: Sandbox) -> Callable[[str, str], SpecRepo]:
    """Return what makes a spec repo on one platform, applied and observed once."""

    def made(platform: str, policy: str) -> SpecRepo:
        settings = {"policy": {"deleted": policy}}
        repo = SpecRepo(tmp_path, sandbox, (platform,), copy.deepcopy(PROJECT), settings)
        assert repo.apply().complete
        repo.observe()
        return repo

    return made


def delete(sandbox: Sandbox, repo: SpecRepo, address: str, *, for_good: bool = False) -> None:
    """Delete a task as a person would."""
    (bound,) = repo.workspace().reader().bindings([address])
    people, remote = People(sandbox), bound.remote_id
    if bound.platform == "linear":
        document = (
            "mutation Delete($id: String!, $p: Boolean)"
            " { issueDelete(id: $id, permanentlyDelete: $p) { success } }"
        )
        body = {"query": document, "variables": {"id": remote, "p": for_good}}
        people.ask("linear", "POST", "/graphql", body)
    elif bound.platform == "gitlab":
        project, _, number = remote.partition("#")
        people.ask("gitlab", "DELETE", f"/api/v4/projects/{project}/issues/{number}")
    elif bound.platform == "notion":
        people.ask("notion", "PATCH", f"/v1/pages/{remote}", {"in_trash": True})
    else:
        people.ask("motion", "DELETE", f"/v1/tasks/{remote}")


def look(repo: SpecRepo) -> None:
    """Read everything that is bound."""
    assert not refresh_state(repo.workspace(), full=True).failed


@pytest.mark.parametrize("platform", PLATFORMS)
def test_it_is_shown_and_its_removal_is_proposed(
    platform: str, sandbox: Sandbox, desk: Callable[[str, str], SpecRepo]
) -> None:
    repo = desk(platform, "propose")
    delete(sandbox, repo, "app/stack")
    look(repo)

    made = repo.plan()
    assert [(d.address, d.name, d.decision) for d in made.drift] == [
        ("app/stack", "archived", "propose")
    ]
    assert made.changes == ()
    report = read_drift(repo.workspace())
    adopted = adoption(report.items, repo.workspace().desired)
    assert [operation.op for operation in adopted.operations] == ["remove_task"]

    assert repo.project is not None
    repo.project["tasks"] = {"login": {"title": "Design the login"}}
    assert [c.action for c in repo.plan().changes] in (["update"], [])
    assert repo.apply().complete
    assert "app/stack" not in {b.address for b in repo.workspace().reader().bindings()}
    assert repo.plan().changes == ()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_it_is_made_again(
    platform: str, sandbox: Sandbox, desk: Callable[[str, str], SpecRepo]
) -> None:
    repo = desk(platform, "recreate")
    delete(sandbox, repo, "app/stack", for_good=platform == "linear")
    look(repo)

    assert [(c.action, c.reason) for c in repo.plan().changes] == [("create", "deleted")]
    assert repo.apply(refresh=True).complete
    look(repo)
    assert (repo.plan().changes, repo.plan().drift, repo.drift()) == ((), (), {})
    there = [o for o in sandbox.objects()[platform] if o["title"] == "Pick the stack"]
    assert [o["archived"] for o in there] == [False]


@pytest.mark.parametrize("platform", ["linear", "motion"])
def test_it_is_left_alone(
    platform: str, sandbox: Sandbox, desk: Callable[[str, str], SpecRepo]
) -> None:
    repo = desk(platform, "release")
    delete(sandbox, repo, "app/stack")
    look(repo)

    assert repo.project is not None
    repo.project["tasks"]["stack"]["title"] = "Another title"
    assert repo.plan().changes == ()
    assert [d.decision for d in repo.plan().drift] == ["ignore"]


@pytest.mark.parametrize("platform", ["linear", "notion"])
def test_what_people_bring_back_is_bound_again(
    platform: str, sandbox: Sandbox, desk: Callable[[str, str], SpecRepo]
) -> None:
    repo = desk(platform, "propose")
    delete(sandbox, repo, "app/stack")
    look(repo)
    assert repo.drift()
    (bound,) = repo.workspace().reader().bindings(["app/stack"])
    if platform == "linear":
        document = "mutation U($id: String!) { issueUnarchive(id: $id) { success } }"
        body = {"query": document, "variables": {"id": bound.remote_id}}
        People(sandbox).ask("linear", "POST", "/graphql", body)
    else:
        People(sandbox).ask("notion", "PATCH", f"/v1/pages/{bound.remote_id}", {"in_trash": False})
    look(repo)
    assert repo.drift() == {}
    assert repo.plan().changes == ()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_read_that_fails_is_never_absence(
    platform: str, sandbox: Sandbox, desk: Callable[[str, str], SpecRepo]
) -> None:
    repo = desk(platform, "recreate")
    sandbox.world.faults.append(Fault("malformed", platform=platform, times=50))
    place = repo.workspace()
    with place.writer() as state:
        reading = refresh(place.desired, state, repo.config, "r", clock=LeapClock(), full=True)
        assert platform in asyncio.run(reading).failed
    sandbox.world.faults.clear()
    assert repo.drift() == {}
    assert repo.plan().changes == ()


def test_one_of_them_is_brought_back_whatever_the_policy(
    sandbox: Sandbox, desk: Callable[[str, str], SpecRepo]
) -> None:
    repo = desk("linear", "propose")
    before = {o["id"] for o in sandbox.objects()["linear"] if o["title"] == "Pick the stack"}
    delete(sandbox, repo, "app/stack")
    look(repo)
    overwrite_drift(repo.workspace(), repo.plan().drift)
    assert [(c.action, c.reason) for c in repo.plan().changes] == [("create", "unconfirmed")]
    assert repo.apply().complete
    there = [o for o in sandbox.objects()["linear"] if o["title"] == "Pick the stack"]
    assert [(o["id"] in before, o["archived"]) for o in there] == [(True, False)]
    assert repo.plan().changes == ()

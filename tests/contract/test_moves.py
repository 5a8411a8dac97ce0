"""Renames and moves keep every remote object: nothing is destroyed and made again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.sandbox._world import World
from runner.sandbox.server import Sandbox, serving
from runner.workspace import Workspace
from schemas.domain import PLATFORMS
from tests.contract.sandboxed import SpecRepo

Project = dict[str, Any]

PROJECT: Project = {
    "key": "app",
    "name": "App",
    "milestones": {"beta": {"name": "Beta"}},
    "tasks": {
        "stack": {"title": "Pick the stack", "description": "Text.", "milestone": "beta"},
        "login": {"title": "Login", "tasks": {"frames": {"title": "Wireframes"}}},
        "ship": {"title": "Ship it", "depends_on": ["stack", "frames"]},
    },
}
OTHER = {"kind": "Project", "key": "web", "name": "Web", "tasks": {"home": {"title": "Home"}}}


class Repo(SpecRepo):
    """A spec repo with a second project."""

    other: Project = {}  # noqa: RUF012 - each repo gets its own

    def workspace(self) -> Workspace:
        (self.root / "specs").mkdir(exist_ok=True)
        text = yaml.safe_dump(self.other, sort_keys=False)
        (self.root / "specs" / "other.yaml").write_text(text, encoding="utf-8")
        return super().workspace()

    def bound(self) -> dict[str, str]:
        return {b.address: b.remote_id for b in self.workspace().reader().bindings()}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with serving(World(limits=False)) as served:
        yield served


@pytest.fixture(params=PLATFORMS)
def repo(request: pytest.FixtureRequest, tmp_path: Path, sandbox: Sandbox) -> Repo:
    made = Repo(tmp_path, sandbox, (request.param,), copy.deepcopy(PROJECT))
    made.other = copy.deepcopy(OTHER)
    assert made.apply().complete
    return made


def a_task(p: Project, _other: Project) -> None:
    p["tasks"]["choose"] = p["tasks"].pop("stack")
    p["tasks"]["ship"]["depends_on"] = ["choose", "frames"]
    p["moved"] = {"stack": "choose"}


def a_subtask_and_its_parent(p: Project, _other: Project) -> None:
    login = p["tasks"].pop("login")
    login["tasks"] = {"sketches": login["tasks"]["frames"]}
    p["tasks"]["sign-in"] = login
    p["tasks"]["ship"]["depends_on"] = ["choose", "sketches"]
    p["moved"] |= {"login": "sign-in", "frames": "sketches"}


def a_milestone(p: Project, _other: Project) -> None:
    p["milestones"] = {"first": {"name": "First"}}
    p["tasks"]["choose"]["milestone"] = "first"
    p["moved"] |= {"milestones/beta": "milestones/first"}


def to_another_parent(p: Project, _other: Project) -> None:
    p["tasks"]["choose"]["tasks"] = {"sketches": p["tasks"]["sign-in"].pop("tasks")["sketches"]}
    p["tasks"]["ship"]["depends_on"] = ["choose"]


def to_another_project(p: Project, other: Project) -> None:
    other["tasks"]["sign-in"] = p["tasks"].pop("sign-in")
    sketches = p["tasks"]["choose"].pop("tasks")["sketches"]
    other["tasks"]["sign-in"]["tasks"] = {"sketches": sketches}
    other["moved"] = {"app/sign-in": "sign-in", "app/sketches": "sketches"}
    p["moved"] = {"stack": "choose", "milestones/beta": "milestones/first"}
    p["tasks"]["ship"]["depends_on"] = ["choose", "web/sketches"]


def a_project(p: Project, other: Project) -> None:
    p["key"] = "mobile"
    p["formerly"] = ["app"]
    other.pop("moved")


STEPS: tuple[tuple[Callable[[Project, Project], None], dict[str, str]], ...] = (
    (a_task, {"app/stack": "app/choose"}),
    (a_subtask_and_its_parent, {"app/login": "app/sign-in", "app/frames": "app/sketches"}),
    (a_milestone, {"app/milestones/beta": "app/milestones/first"}),
    (to_another_parent, {}),
    (to_another_project, {"app/sign-in": "web/sign-in", "app/sketches": "web/sketches"}),
    (a_project, {"app": "mobile"}),
)


def test_every_object_is_kept(repo: Repo, sandbox: Sandbox) -> None:
    made = _count(sandbox, repo.platforms[0])
    for edit, renames in STEPS:
        before = repo.bound()
        assert repo.project is not None
        edit(repo.project, repo.other)
        planned = repo.plan().changes
        assert {c.action for c in planned} <= {"move", "update"}, edit
        assert repo.apply().complete

        after = {_renamed(address, renames): remote for address, remote in before.items()}
        assert repo.bound() == after, edit
        assert _count(sandbox, repo.platforms[0]) == made, edit
        assert not repo.observe().failed
        assert (repo.drift(), repo.plan().changes) == ({}, ()), edit


def _renamed(address: str, renames: dict[str, str]) -> str:
    head, slash, tail = address.partition("/")
    return renames.get(address, f"{renames.get(head, head)}{slash}{tail}")


def _count(sandbox: Sandbox, platform: str) -> int:
    """Return how many objects there are, those put away included; labels come and go."""
    return sum(o.get("kind") != "label" for o in sandbox.objects()[platform])

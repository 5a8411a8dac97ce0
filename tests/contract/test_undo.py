"""An apply undone: platforms, specs and state are as they were."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.forget import forget
from runner.operate import apply_specs
from runner.plan import make_plan
from runner.platforms import profiles_of
from runner.sandbox._world import World
from runner.sandbox.server import Sandbox, serving
from runner.undo import Undo, undo
from runner.workspace import Workspace
from schemas.domain import Plan
from schemas.errors import ConfigError
from tests.contract.sandboxed import SpecRepo

Project = dict[str, Any]

PROJECT: Project = {
    "key": "app",
    "name": "App",
    "milestones": {"beta": {"name": "Beta", "due": "2027-01-31"}},
    "tasks": {
        "stack": {"title": "Pick the stack", "description": "Text.", "due": "2026-12-05"},
        "login": {
            "title": "Design the login",
            "estimate": "4h",
            "labels": ["design"],
            "milestone": "beta",
            "depends_on": ["stack"],
            "tasks": {"frames": {"title": "Wireframes"}},
        },
        "ship": {"title": "Ship it", "priority": "high"},
    },
}


NOTHING: tuple[object, ...] = (None, "", (), "none")


class Repo(SpecRepo):
    """A spec repo whose files are edited by the commands, too."""

    @property
    def place(self) -> Workspace:
        """The repo as its files are."""
        return Workspace(self.config)

    def plan_now(self) -> Plan:
        return make_plan(self.place.desired, self.place.reader(), profiles_of(self.place.desired))

    def apply_now(self) -> None:
        applied = apply_specs(
            self.place,
            planfile=None,
            refresh=False,
            max_prune="100%",
            wait=0,
            confirm=lambda _plan: True,
        )
        assert applied.complete, [o.error for _, o in applied.results]

    def undo(self, run: str = "last") -> Undo:
        found = undo(self.place, run, write=True)
        assert not found.edited.refused, found.edited.diagnostics
        return found

    def document(self) -> Project:
        text = (self.root / "specs" / "project.yaml").read_text(encoding="utf-8")
        return yaml.safe_load(text)

    def agreed(self) -> dict[str, Any]:
        """Return what is bound and agreed on; what says nothing is left out."""
        return {
            f"{b.platform}:{b.address}": {n: v for n, v in b.base.items() if v not in NOTHING}
            for b in self.place.reader().bindings()
        }


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with serving(World(limits=False)) as served:
        yield served


@pytest.fixture
def repo(tmp_path: Path, sandbox: Sandbox) -> Repo:
    made = Repo(tmp_path, sandbox, ("linear", "notion"), copy.deepcopy(PROJECT))
    assert made.apply().complete
    return made


def fields(p: Project) -> None:
    p["description"] = "New."
    p["tasks"]["stack"].update(title="Choose the stack", description="Other.", priority="urgent")
    del p["tasks"]["stack"]["due"]
    p["tasks"]["login"].update(estimate="8h", labels=["ux", "design"], depends_on=[])
    p["milestones"]["beta"]["due"] = "2027-02-15"


def new_ones(p: Project) -> None:
    p["tasks"]["extra"] = {"title": "Extra", "tasks": {"part": {"title": "A part"}}}
    p["tasks"]["ship"]["depends_on"] = ["extra"]
    p["milestones"]["final"] = {"name": "Final"}


def removals(p: Project) -> None:
    del p["tasks"]["login"]
    del p["milestones"]["beta"]


def moves(p: Project) -> None:
    p["tasks"]["wireframes"] = p["tasks"]["login"]["tasks"].pop("frames")
    del p["tasks"]["login"]["tasks"]
    p["moved"] = {"frames": "wireframes"}
    p["tasks"]["ship"]["tasks"] = {"stack": p["tasks"].pop("stack")}


def renames(p: Project) -> None:
    p["milestones"] = {"public": {"name": "Public beta", "due": "2027-02-15"}}
    p["tasks"]["login"]["milestone"] = "public"
    p["moved"] = {"milestones/beta": "milestones/public"}


@pytest.mark.parametrize("edit", [fields, new_ones, removals, moves, renames])
def test_what_an_apply_did_is_undone_everywhere(
    edit: Callable[[Project], None], repo: Repo, sandbox: Sandbox
) -> None:
    before, agreed = _shown(sandbox), repo.agreed()
    assert repo.project is not None
    edit(repo.project)
    assert repo.apply().complete
    assert _shown(sandbox) != before

    found = repo.undo()
    assert found.written
    assert all("declared now" in why for _, why in found.left)
    assert found.plan is not None
    assert [c.id for c in repo.plan_now().changes] == [c.id for c in found.plan.changes]
    repo.apply_now()

    assert _shown(sandbox) == before
    assert repo.agreed() == agreed
    assert repo.plan_now().changes == ()
    assert repo.place.desired.resources.keys() == {
        "app",
        "app/milestones/beta",
        *(f"app/{key}" for key in ("stack", "login", "frames", "ship")),
    }


def test_a_milestone_that_is_but_a_word_gets_its_key_back(tmp_path: Path, sandbox: Sandbox) -> None:
    repo = Repo(tmp_path, sandbox, ("notion",), copy.deepcopy(PROJECT))
    repo.apply()
    before = _shown(sandbox)
    assert repo.project is not None
    renames(repo.project)
    repo.apply()
    found = repo.undo()
    assert [item.op for item in found.operations] == ["rename_milestone", "update_task"]
    assert [*repo.document()["milestones"]] == ["beta"]
    repo.apply_now()
    assert _shown(sandbox) == before


def test_what_was_changed_again_since_is_left_alone(repo: Repo) -> None:
    assert repo.project is not None
    tasks = repo.project["tasks"]
    tasks["stack"].update(title="Second", due="2026-12-06")
    repo.apply()
    run = repo.place.reader().runs()[0].run_id
    tasks["stack"]["title"] = "Third"
    repo.apply()

    found = repo.undo(run)
    assert found.left == (("app/stack", "title was changed again since"),)
    task = repo.document()["tasks"]["stack"]
    assert (task["title"], str(task["due"])) == ("Third", "2026-12-05")


def test_the_first_apply_can_be_undone_but_for_what_others_made(repo: Repo) -> None:
    first = repo.place.reader().runs()[-1].run_id
    found = undo(repo.place, first[:12], write=False)
    assert [operation.op for operation in found.operations] == ["archive_project"]
    assert not found.written
    assert (repo.root / "specs" / "project.yaml").exists()


def test_a_run_that_is_none_is_refused(repo: Repo) -> None:
    with pytest.raises(ConfigError, match="there is no run `nonsense`"):
        undo(repo.place, "nonsense", write=False)
    assert repo.project is not None
    fields(repo.project)
    assert repo.apply().complete
    with pytest.raises(ConfigError, match="2 runs begin with"):
        undo(repo.place, "2", write=False)


def test_what_is_forgotten_is_found_again_by_its_marker(repo: Repo, sandbox: Sandbox) -> None:
    before = _shown(sandbox)
    assert forget(repo.place, ["app/stack"], "notion", "") == ["notion:app/stack"]
    assert [c.id for c in repo.plan_now().changes if c.action == "create"] == ["notion:app/stack"]
    repo.apply_now()
    assert _shown(sandbox) == before
    assert repo.plan_now().changes == ()


MIRRORS = {"Tasks", "Subtasks", "Blocks"}
"""The other ends of relations: they show what is in the trash, too."""


def _shown(sandbox: Sandbox) -> dict[str, list[Any]]:
    """Return what people see on each platform, object by object, but for what was put away."""
    return {
        platform: sorted((_seen(o) for o in objects if _is_there(o)), key=str)
        for platform, objects in sandbox.objects().items()
    }


def _is_there(thing: dict[str, Any]) -> bool:
    return not thing.get("archived") and thing["kind"] in {"project", "milestone", "task", "issue"}


def _seen(thing: dict[str, Any]) -> dict[str, Any]:
    seen = {n: v for n, v in thing.items() if n not in {"last_edited_time", "in_trash"}}
    if "properties" in seen:
        columns: dict[str, Any] = {n: c for n, c in seen["properties"].items() if n not in MIRRORS}
        priority: dict[str, Any] = columns["Priority"]
        if priority["select"] and priority["select"]["name"] == "None":
            columns["Priority"] = {**priority, "select": None}
        seen["properties"] = columns
    return seen

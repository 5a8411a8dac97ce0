"""What exists on a platform becomes specs that a person would have written, bound to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.apply import Applied
from runner.config import Config, read_config
from runner.imports.drafting import Wish
from runner.imports.run import Imported, import_from
from runner.operate import apply_specs
from runner.plan import make_plan
from runner.platforms import profiles_of
from runner.sandbox._world import Seed, World
from runner.sandbox.server import Sandbox, serving
from runner.workspace import Workspace
from schemas.domain import Plan
from tests.contract.foreign import Linear
from tests.contract.people import People
from tests.contract.vendors import objections

PEOPLE = "kind: People\npeople:\n  me: {name: Me, email: me@example.com, gitlab: jwp763}\n"
SEED = Seed(
    people=(("Me", "me@example.com", "jwp763"), ("Ana", "ana@example.com", "ana")),
    teams=("MOB", "WEB"),
)


@dataclass
class Repo:
    """A spec repo that begins with people only, beside platforms that are in use."""

    root: Path
    sandbox: Sandbox

    def __post_init__(self) -> None:
        self.people = People(self.sandbox)
        self.write("people", PEOPLE)

    @property
    def config(self) -> Config:
        return read_config(self.root, environ=self.sandbox.environment(), today="2026-11-24")

    @property
    def place(self) -> Workspace:
        return Workspace(self.config)

    def write(self, name: str, text: str) -> None:
        path = self.root / "specs" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        return (self.root / "specs" / f"{name}.yaml").read_text(encoding="utf-8")

    def document(self, name: str) -> Mapping[str, Any]:
        return yaml.safe_load(self.read(name))

    def bring(self, platform: str, container: str = "", **wish: Any) -> Imported:
        """Import; nobody is there to be asked."""
        dry_run = wish.pop("dry_run", False)
        choose = wish.pop("choose", lambda _item, _addresses: None)
        return import_from(
            self.place, platform, container, Wish(**wish), choose=choose, dry_run=dry_run
        )

    def plan(self) -> Plan:
        place = self.place
        return make_plan(place.desired, place.reader(), profiles_of(place.desired))

    def apply(self, *, refresh: bool = True) -> Applied:
        return apply_specs(
            self.place,
            planfile=None,
            refresh=refresh,
            max_prune="100%",
            wait=0,
            confirm=lambda _plan: True,
        )

    def bound(self, platform: str) -> dict[str, str]:
        found = self.place.reader().bindings(platform=platform)
        return {binding.address: binding.remote_id for binding in found}

    def at_rest(self) -> None:
        """Assert that nothing is to be done, before and after the platforms are asked."""
        assert self.plan().changes == ()
        writes = self.writes()
        applied = self.apply()
        assert applied.results == ()
        made = self.plan()
        assert (made.changes, made.drift, made.settled) == ((), (), ())
        assert self.writes() == writes

    def writes(self) -> int:
        standins = self.sandbox.standins
        return sum(
            exchange.method != "GET" and b"mutation" in exchange.body
            if exchange.platform == "linear"
            else exchange.method in {"PUT", "PATCH", "DELETE"}
            for exchange in self.sandbox.world.traffic
            if exchange.platform in standins
        )

    def requests(self) -> int:
        return len(self.sandbox.world.traffic)


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repo]:
    with serving(World(seed=SEED, limits=False)) as sandbox:
        yield Repo(tmp_path, sandbox)
        assert [o for exchange in sandbox.world.traffic for o in objections(exchange)] == []


def keys_of(tasks: Mapping[str, Any]) -> Iterator[str]:
    for key, task in tasks.items():
        yield key
        yield from keys_of(task.get("tasks", {}))


def test_a_team_of_300_issues_becomes_specs_and_the_next_plan_is_empty(repo: Repo) -> None:
    Linear(repo.people).fill(300)

    done = repo.bring("linear", "MOB", closed="include", people=True)

    assert done.plan is not None
    assert done.plan.changes == ()
    assert repo.requests() <= 8
    assert sum(tie.kind == "task" for tie in done.draft.ties) == 300
    assert {f.name for f in (repo.root / "specs" / "projects").iterdir()} == {
        "mobile-app.yaml",
        "uber-redesign-2027.yaml",
        "mob.yaml",
    }
    keys = [
        key
        for name in ("mobile-app", "uber-redesign-2027", "mob")
        for key in keys_of(repo.document(f"projects/{name}")["tasks"])
    ]
    assert len(keys) == 300
    assert max(map(len, keys)) <= 44
    assert "ana" in repo.document("people")["people"]
    repo.at_rest()
    again = repo.bring("linear", closed="include")
    assert (again.draft.ties, again.edited.files) == ((), {})


def test_the_yaml_is_what_a_person_would_have_written(repo: Repo) -> None:
    linear = Linear(repo.people)
    app = linear.project("Mobile app", content="Ship it.", leadId=linear.users["me@example.com"])
    beta = linear.make("ProjectMilestone", name="Beta", projectId=app, targetDate="2027-01-31")
    label = linear.make("IssueLabel", name="product")
    stack = linear.issue(
        "Pick the stack", projectId=app, estimate=3, dueDate="2026-12-05", priority=2
    )
    login = linear.issue(
        "Design the login screen",
        projectId=app,
        projectMilestoneId=beta,
        description="Two lines,\n\nwith a gap.",
        labelIds=[label],
        assigneeId=linear.users["me@example.com"],
        status="started",
    )
    linear.issue("Wireframes", projectId=app, parentId=login, estimate=1)
    linear.blocks(stack, login)
    linear.make("Attachment", issueId=stack, url="https://example.com/notes", title="Notes")

    repo.bring("linear", "MOB")

    assert repo.read("integrations") == ("kind: Integrations\nlinear: {enabled: true, team: MOB}\n")
    assert (
        repo.read("projects/mobile-app")
        == """\
kind: Project
key: mobile-app
name: Mobile app
description: Ship it.
owner: me

milestones:
  beta:
    name: Beta
    due: 2027-01-31

tasks:
  pick-stack:
    title: Pick the stack
    priority: high
    due: 2026-12-05
    estimate: 1d 4h
    links:
      - {url: https://example.com/notes, title: Notes}
  design-login-screen:
    title: Design the login screen
    description: |
      Two lines,

      with a gap.
    owner: me
    labels: [product]
    milestone: beta
    depends_on: [pick-stack]
    tasks:
      wireframes:
        title: Wireframes
        estimate: 4h
"""
    )
    repo.at_rest()

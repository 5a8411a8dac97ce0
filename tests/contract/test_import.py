"""What exists on a platform becomes specs that a person would have written, bound to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from reconcilers._contract import Listed
from runner.apply import Applied
from runner.config import Config, read_config
from runner.imports.drafting import Wish
from runner.imports.run import Imported, import_from
from runner.operate import apply_specs
from runner.plan import make_plan
from runner.platforms import profiles_of
from runner.sandbox._world import Seed, World
from runner.sandbox.gitlab import GitlabStandIn
from runner.sandbox.server import Sandbox, serving
from runner.workspace import Workspace
from schemas.domain import Plan
from tests.contract.foreign import Gitlab, Linear, Motion, Notion
from tests.contract.people import People
from tests.contract.vendors import objections

PEOPLE = "kind: People\npeople:\n  me: {name: Me, email: me@example.com, gitlab: jwp763}\n"
SEED = Seed(
    people=(("Me", "me@example.com", "jwp763"), ("Ana", "ana@example.com", "ana")),
    teams=("MOB", "WEB"),
    projects=("jwp763/mobile-app", "jwp763/web"),
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
        choose = wish.pop("choose", _nobody)
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


def _nobody(_item: Listed, _addresses: Sequence[str]) -> None:
    """Leave open what is asked."""


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

    # What people tied by hand can be untied by the specs.
    text = repo.read("projects/mobile-app").replace("    depends_on: [pick-stack]\n", "")
    text = text.replace("depends_on: [pick-stack]", "depends_on: []")
    link = "    links:\n      - {url: https://example.com/notes, title: Notes}\n"
    text = text.replace(link, "    links: []\n").replace(
        "milestone: beta\n", "milestone: beta\n    depends_on: []\n"
    )
    repo.write("projects/mobile-app", text)
    assert repo.apply().complete
    there = {o["title"]: o for o in repo.sandbox.objects()["linear"]}
    assert there["Design the login screen"]["blocked_by"] == []
    assert there["Pick the stack"]["links"] == []
    repo.at_rest()


def test_a_gitlab_project_is_imported_without_a_trace_on_it(repo: Repo) -> None:
    gitlab = Gitlab(repo.people)
    beta = gitlab.make("milestones", title="Beta", due_date="2027-01-31", description="First cut.")
    gitlab.make("milestones", title="Old", description="")
    gitlab.make(
        "issues",
        title="Crash on start",
        description="1. open\n2. see\n\n/not a command",
        labels=["bug", "priority::high", "status::in_progress"],
        milestone_id=beta["id"],
        due_date="2026-12-20",
        assignee_ids=[1],
    )
    gitlab.make("issues", title="Add a dark mode")
    gitlab.close(gitlab.make("issues", title="Long done"))

    done = repo.bring("gitlab", "jwp763/mobile-app")

    assert done.plan is not None
    assert done.plan.changes == ()
    assert repo.requests() <= 8
    document = repo.document("projects/mobile-app")
    assert document["name"] == "mobile-app"
    assert "platforms" not in document
    assert document["tasks"] == {
        "crash-start": {
            "title": "Crash on start",
            "description": "1. open\n2. see\n\n/not a command\n",
            "priority": "high",
            "owner": "me",
            "due": document["tasks"]["crash-start"]["due"],
            "labels": ["bug"],
            "milestone": "beta",
        },
        "add-dark-mode": {"title": "Add a dark mode"},
    }
    repo.at_rest()

    text = repo.read("projects/mobile-app")
    repo.write("projects/mobile-app", text.replace("Add a dark mode", "Add a light mode"))
    applied = repo.apply()
    assert [(c.action, [f.name for f in c.fields]) for c, _ in applied.results] == [
        ("update", ["title"])
    ]
    assert "Add a light mode" in {o["title"] for o in repo.sandbox.objects()["gitlab"]}
    repo.write("projects/mobile-app", text)
    assert repo.apply().complete
    repo.at_rest()


def test_what_gitlab_issues_wait_for_is_imported(repo: Repo) -> None:
    standin = repo.sandbox.standins["gitlab"]
    assert isinstance(standin, GitlabStandIn)
    gitlab, other = Gitlab(repo.people), Gitlab(repo.people, "jwp763%2Fweb")
    for paid in (False, True):
        standin.paid = paid
        tag = "paid" if paid else "free"
        first, old, last = (
            gitlab.make("issues", title=f"{t} {tag}") for t in ("First", "Old", "Z")
        )
        gitlab.make("issues", title=f"Alone {tag}")
        stranger = other.make("issues", title="Elsewhere")
        kind = "is_blocked_by" if paid else "relates_to"
        for blocker in (first, old, stranger):
            gitlab.link(last, blocker, kind)
        gitlab.link(last, gitlab.make("issues", title=f"Related {tag}"), "relates_to")
        gitlab.close(old)

        before = repo.requests()
        done = repo.bring("gitlab", "jwp763/mobile-app")

        tasks = repo.document("projects/mobile-app")["tasks"]
        needs = {key: task.get("depends_on") for key, task in tasks.items() if tag in key}
        assert needs.pop(f"z-{tag}") == (["first-paid", "old-paid"] if paid else None)
        assert set(needs.values()) == {None}
        assert (f"old-{tag}" in needs) == paid
        assert ("GitLab Free" in "".join(done.notes)) is not paid
        stays = (f"#{last['iid']}", "it waits for what is not imported (1); the tie stays")
        assert (stays in done.draft.notes) is paid
        # A request for each open issue, those of the first round included.
        assert (repo.requests() - before > 8) is paid
        assert done.plan is not None
        assert done.plan.changes == ()
        repo.at_rest()


def test_a_motion_workspace_is_imported(repo: Repo) -> None:
    motion = Motion(repo.people)
    home = motion.make("projects", "House move")
    motion.make(
        "tasks",
        "Call the *movers*",
        projectId=home,
        description="Ask for\n\n- a date\n- **a price**",
        dueDate="2026-12-05T23:59:59-08:00",
        duration=90,
        priority="HIGH",
    )
    motion.make("tasks", "Buy milk")

    done = repo.bring("motion", "Personal")

    assert done.plan is not None
    assert done.plan.changes == ()
    assert repo.document("projects/house-move")["tasks"] == {
        "call-movers": {
            "title": "Call the *movers*",
            "description": "Ask for\n\n- a date\n- **a price**\n",
            "priority": "high",
            "due": repo.document("projects/house-move")["tasks"]["call-movers"]["due"],
            "estimate": "1h 30m",
        }
    }
    assert list(repo.document("projects/personal")["tasks"]) == ["buy-milk"]
    repo.at_rest()


def title(text: str) -> Any:
    return {"title": [{"text": {"content": text}}]}


def test_a_notion_database_of_ones_own_is_mapped_imported_and_updated(repo: Repo) -> None:
    notion = Notion(repo.people)
    states = [{"name": n} for n in ("Not started", "Doing", "Shipped")]
    own: dict[str, Any] = {
        "Task": {"title": {}},
        "State": {"select": {"options": states}},
        "Deadline": {"date": {}},
        "Labels": {"multi_select": {}},
        "Phase": {"select": {"options": [{"name": "Beta (private)"}, {"name": "Ünused"}]}},
        "Secret sauce": {"rich_text": {}},
    }
    database, source = notion.database("My tasks", **own)
    notion.row(
        source,
        "With a text.",
        Task=title("Write the plan"),
        State={"select": {"name": "Doing"}},
        Deadline={"date": {"start": "2026-12-24"}},
        Labels={"multi_select": [{"name": "home"}]},
        Phase={"select": {"name": "Beta (private)"}},
    )
    shipped: dict[str, Any] = {"State": {"select": {"name": "Shipped"}}}
    notion.row(source, Task=title("Rest"), **shipped, Phase={"select": {"name": "Ünused"}})
    repo.write(
        "integrations",
        f"kind: Integrations\nnotion:\n  parent: Work\n  tasks: {database}\n"
        "  properties: {status: State, due: Deadline, milestone: Phase}\n",
    )

    done = repo.bring("notion")

    assert done.plan is not None
    assert done.plan.changes == ()
    tasks = repo.document("projects/work")["tasks"]
    assert list(tasks) == ["write-plan"]
    assert tasks["write-plan"]["description"] == "With a text."
    assert tasks["write-plan"]["milestone"] == "beta-private"
    milestones = {"beta-private": {"name": "Beta (private)"}}
    assert repo.document("projects/work")["milestones"] == milestones
    assert repo.bound("notion").keys() == {"work/write-plan"}
    repo.at_rest()
    late = notion.row(source, Task=title("Later"), Phase={"select": {"name": "Beta (private)"}})
    third = notion.row(source, Task=title("Third"), Phase={"select": {"name": "Gamma"}})
    assert repo.bring("notion").draft.left == {"closed": 1}
    tasks = repo.document("projects/work")["tasks"]
    assert {key: task["milestone"] for key, task in tasks.items()} == {
        **{"write-plan": "beta-private", "later": "beta-private", "third": "gamma"}
    }
    assert [*repo.document("projects/work")["milestones"]] == ["beta-private", "gamma"]
    repo.at_rest()

    text = repo.read("projects/work")
    text = text.replace("2026-12-24", "2026-12-31").replace("Write the plan", "Write a plan")
    text = text.replace("title: Write a plan", "title: Write a plan\n    status: done")
    text = text.replace("milestone: gamma", "milestone: beta-private")
    repo.write("projects/work", text + "  new-one: {title: A new one}\n")
    assert repo.apply().complete
    rows = repo.people.ask("notion", "POST", f"/v1/data_sources/{source}/query", {})["results"]
    shown = {
        "".join(t["plain_text"] for t in row["properties"]["Task"]["title"]): row["properties"]
        for row in rows
    }
    assert shown.keys() == {"Write a plan", "Rest", "A new one", "Later", "Third"}
    # It is the option that people made, not another of its key.
    assert shown["Third"]["Phase"]["select"]["name"] == "Beta (private)"
    assert shown["Write a plan"]["State"]["select"]["name"] == "Shipped"
    assert shown["Write a plan"]["Deadline"]["date"]["start"] == "2026-12-31"
    columns = {"Task", "State", "Deadline", "Labels", "Phase", "Secret sauce", "trueup"}
    assert shown["Rest"].keys() == columns
    repo.at_rest()

    bindings = repo.bound("notion")
    assert [bindings["work/later"], bindings["work/third"]] == [late, third]


def test_milestones_of_rows_that_people_added_to_our_database(repo: Repo) -> None:
    project = (
        "kind: Project\nkey: app\nname: App\nmilestones:\n  beta: {name: Beta}\n"
        "tasks:\n  old: {title: Old, milestone: beta}\n"
    )
    repo.write("integrations", "kind: Integrations\nnotion: {parent: Work}\n")
    repo.write("projects/app", project)
    assert repo.apply().complete
    notion = Notion(repo.people)
    (row,) = repo.place.reader().integrations()
    source = cast("dict[str, Any]", row.lookups["home"])["task"]["data_source"]
    (app,) = [o["id"] for o in repo.sandbox.objects()["notion"] if o["title"] == "App"]
    within: dict[str, Any] = {"Project": {"relation": [{"id": app}]}}
    for name, option in (("One", "beta"), ("Two", "Release candidate")):
        notion.row(source, Name=title(name), Milestone={"select": {"name": option}}, **within)

    done = repo.bring("notion")

    document = repo.document("projects/app")
    assert document["milestones"] == {
        "beta": {"name": "Beta"},
        "release-candidate": {"name": "Release candidate"},
    }
    assert {key: task["milestone"] for key, task in document["tasks"].items()} == {
        **{"old": "beta", "one": "beta", "two": "release-candidate"}
    }
    assert done.plan is not None
    assert done.plan.changes == ()
    repo.at_rest()

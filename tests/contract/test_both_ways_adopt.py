"""Edits of declared fields become operations, and a merge request where one is asked for."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from runner.adopt import adoption
from runner.language.edit import apply_operations
from runner.language.load import load_files
from runner.language.resolve import resolve
from runner.sandbox._world import World
from runner.sandbox.server import serving
from runner.workspace import Workspace
from schemas.domain import Desired, Drift, DriftPolicy, Value, kind_of
from tests.contract.gitlab_repo import Clone
from tests.contract.people import People
from tests.specrepo import AROUND

TODAY = date(2026, 11, 24)
SPECS = """\
# All of it
kind: Project
key: app
name: App  # short
defaults: {owner: me, labels: [web]}
milestones:
  beta: {name: Beta, due: 2027-01-31}
tasks:
  pick: &first
    title: Pick   # soon
    estimate: 4h
  note:
    title: Note
    depends_on: [pick]
    linear: {title: "WEB: note"}
  again: {title: Again, repeat: {every: week}}
---
kind: Project
key: web
name: Web
tasks: {home: {title: Home}}
"""


def files() -> dict[str, bytes]:
    return {"specs/around.yaml": AROUND.encode(), "specs/app.yaml": SPECS.encode()}


def desired() -> Desired:
    return resolve(load_files(files()), today=TODAY, commit="")


def edit(
    address: str,
    name: str,
    base: Value,
    observed: Value,
    *,
    platform: str = "linear",
    decision: DriftPolicy = "propose",
) -> Drift:
    return Drift(address, kind_of(address), platform, name, base, observed, base, decision)


def lines(*items: Drift) -> list[str]:
    """Return the lines of the specs that adopting changes, `-` before and `+` after."""
    made = adoption(items, desired())
    assert not made.left, made.left
    edited = apply_operations(files(), made.operations, TODAY)
    assert not edited.refused, edited.diagnostics
    after = (edited.files["specs/app.yaml"] or b"").decode().splitlines()
    before = SPECS.splitlines()
    gone = [f"-{line}" for line in before if line not in after]
    return gone + [f"+{line}" for line in after if line not in before]


@pytest.mark.parametrize(
    ("item", "changed"),
    [
        (
            edit("app/pick", "title", "Pick", "Choose"),
            ["-    title: Pick   # soon", "+    title: Choose   # soon"],
        ),
        (
            edit("app", "title", "App", "Our app"),
            ["-name: App  # short", "+name: Our app  # short"],
        ),
        (
            edit("app/milestones/beta", "due", "2027-01-31", "2027-02-28"),
            [
                "-  beta: {name: Beta, due: 2027-01-31}",
                "+  beta: {name: Beta, due: 2027-02-28}",
            ],
        ),
        (edit("app/pick", "estimate", 240, 90), ["-    estimate: 4h", "+    estimate: 1h 30m"]),
        # What comes from the defaults is said otherwise for this task alone.
        (edit("app/pick", "owner", "me@example.com", None), ["+    owner: null"]),
        (edit("app/pick", "labels", ("web",), ("ops", "web")), ["+    labels: [web, ops]"]),
        # A field that is overridden on the platform is overridden anew.
        (
            edit("app/note", "title", "WEB: note", "WEB: write"),
            ['-    linear: {title: "WEB: note"}', '+    linear: {title: "WEB: write"}'],
        ),
        (
            edit("app/note", "depends_on", ("app/pick",), ("app/pick", "web/home")),
            ["-    depends_on: [pick]", "+    depends_on: [pick, web/home]"],
        ),
        (edit("app/pick", "milestone", None, "app/milestones/beta"), ["+    milestone: beta"]),
    ],
    ids=lambda item: f"{item.address} {item.name}" if isinstance(item, Drift) else "",
)
def test_an_edit_changes_the_lines_that_say_it(item: Drift, changed: list[str]) -> None:
    assert lines(item) == changed


def test_a_task_that_was_put_below_another_moves_there() -> None:
    made = adoption([edit("app/note", "parent", None, "app/pick")], desired())
    (operation,) = made.operations
    assert operation.model_dump(exclude={"why"}) == {
        "op": "move_task",
        "task": "app/note",
        "project": None,
        "parent": "pick",
        "after": None,
    }


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (edit("app/pick", "owner", "me@example.com", "ana@example.com"), "none of the People"),
        (edit("app/again@2026-W48", "title", "Again", "Once"), "one occurrence"),
        (edit("app/pick", "key", "app/pick", "x"), "cannot say that"),
        (edit("app/gone", "title", "A", "B"), "no longer declare"),
        (edit("app/pick", "title", "Pick", "A", decision="ignore"), "the policy says ignore"),
        (edit("app/pick", "title", "Pick", "A", decision="revert"), "the policy says revert"),
        (edit("app/note", "project", "app", None), "in no project there"),
        (edit("app/note", "parent", None, "web/home"), "in another project"),
        (edit("app/pick", "milestone", None, "web/milestones/x"), "of another project"),
    ],
    ids=lambda item: item.name if isinstance(item, Drift) else "",
)
def test_what_cannot_be_adopted_is_left_and_said(item: Drift, why: str) -> None:
    made = adoption([item], desired())
    assert made.operations == ()
    (left,) = made.left
    assert why in left.why


def test_platforms_that_disagree_wait_for_a_choice() -> None:
    items = [
        edit("app/pick", "title", "Pick", "A"),
        edit("app/pick", "title", "Pick", "B", platform="notion"),
    ]
    assert [left.why for left in adoption(items, desired()).left] == [
        "the platforms have different values; choose one with --platform"
    ] * 2
    assert len(adoption(items[:1], desired()).operations) == 1


def test_an_ignored_edit_is_adopted_when_it_is_named() -> None:
    item = edit("app/pick", "title", "Pick", "A", decision="ignore")
    assert adoption([item], desired(), named=True).taken == (item,)


def test_live_edits_are_none_of_the_specs_business() -> None:
    made = adoption([edit("app/pick", "status", None, "done", decision="share")], desired())
    assert (made.taken, made.left, made.operations) == ((), (), ())


def test_a_merge_request_is_opened_once_for_the_same_edits(tmp_path: Path) -> None:
    specs = "kind: Project\nkey: app\nname: App\nplatforms: [linear]\ntasks:\n"
    specs += "  # why\n  pick: {title: Pick}\n"
    content = {"specs/around.yaml": AROUND, "specs/app.yaml": specs, ".gitignore": ".trueup/\n"}
    with serving(World(limits=False)) as sandbox:
        clone = Clone.make(sandbox, tmp_path / "clone", content)
        shell = clone.shell
        shell.done("apply", "--yes")
        (task,) = Workspace(clone.config()).reader().bindings(["app/pick"])
        people = People(sandbox)
        people.edit(task, title="Choose @all")
        first = shell.done("adopt", "--mr", "--json").json()
        again = shell.done("adopt", "--mr", "--json").json()
        assert first["merge_request"] == again["merge_request"]
        assert shell.git("status", "--porcelain") == ""
        (request,) = people.ask("gitlab", "GET", "/api/v4/projects/101/merge_requests")
        assert request["title"] == "Adopt edits of app/pick made on linear"
        shell.git("fetch", "--quiet", "origin")
        diff = shell.git("diff", "--unified=0", "main", f"origin/{request['source_branch']}")
        assert diff.splitlines()[-2:] == [
            "-  pick: {title: Pick}",
            "+  pick: {title: Choose @all}",
        ]
        # Nobody is called by a title.
        assert "@all" not in request["description"]

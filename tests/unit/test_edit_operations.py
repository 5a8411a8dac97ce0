"""What each operation means: references, renames, protection, and what it refuses."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import cast

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from runner.language.edit import apply_operations
from runner.language.load import load_files, read_files
from runner.language.outline import entries
from schemas import operations as ops
from schemas.operations import OPERATIONS, operations_schema, parse_operations
from tests.edits import FILE, WHY, apply, edited, refused
from tests.specrepo import TODAY

REPO = Path(__file__).parent.parent.parent

APP = """\
kind: Project
key: app
name: App
milestones:
  beta: {name: Beta, protect: true}
  one: {name: One}
tasks:
  a:
    title: A
    milestone: one
    estimate: 4h
  b:
    title: B
    depends_on: [a]
    tasks:
      c: {title: C, depends_on: [app/a, web/x]}
  d: {title: D, protect: true}
"""
WEB = """\
kind: Project
key: web
name: Web
tasks:
  x: {title: X}
  y: {title: Y, depends_on: [app/a, x]}
"""


def both(*operations: ops.Operation) -> tuple[str, str]:
    """Return both projects afterwards."""
    outcome = apply(APP, *operations, web=WEB)
    assert not outcome.refused, outcome.diagnostics
    app, web = (
        outcome.files.get(name, text.encode())
        for name, text in ((FILE, APP), ("specs/web.yaml", WEB))
    )
    assert app is not None
    assert web is not None
    return app.decode(), web.decode()


def lines(before: str, after: str) -> tuple[set[str], set[str]]:
    """Return the lines that went and the lines that came, without indentation."""
    old, new = ({line.strip() for line in text.splitlines()} for text in (before, after))
    return old - new, new - old


def test_a_rename_is_followed_by_references_and_noted_in_moved():
    app, web = both(ops.RenameTask(task="app/a", key="start", why=WHY))
    gone, came = lines(APP, app)
    assert gone == {"a:", "depends_on: [a]", "c: {title: C, depends_on: [app/a, web/x]}"}
    assert came == {
        "start:",
        "depends_on: [start]",
        "c: {title: C, depends_on: [start, web/x]}",
        "moved:",
        "a: start",
    }
    assert web == WEB.replace("app/a", "app/start")


def test_a_name_that_is_given_back_leaves_the_chain():
    there = ops.RenameTask(task="app/a", key="start", why=WHY)
    back = ops.RenameTask(task="app/start", key="a", why=WHY)
    app, web = both(there, back)
    assert app == APP.replace("app/a", "a") + "moved:\n  start: a\n"
    assert web == WEB
    chain = ops.RenameTask(task="app/a", key="z", why=WHY)
    app, _ = both(there, back, chain)
    assert app.endswith("moved:\n  start: a\n  a: z\n")


def test_a_renamed_project_keeps_its_former_key():
    app, web = both(ops.RenameProject(project="app", key="mobile", why=WHY))
    gone, came = lines(APP, app)
    assert gone == {"key: app", "c: {title: C, depends_on: [app/a, web/x]}"}
    assert came == {
        "key: mobile",
        "c: {title: C, depends_on: [a, web/x]}",
        "formerly: [app]",
    }
    assert web == WEB.replace("app/a", "mobile/a")
    again = ops.RenameProject(project="mobile", key="app", why=WHY)
    app, web = both(ops.RenameProject(project="app", key="mobile", why=WHY), again)
    assert app.endswith("formerly: [mobile]\n")
    assert web == WEB


def test_a_task_that_moves_to_another_project_takes_its_subtasks_and_references():
    app, web = both(ops.MoveTask(task="app/b", project="web", parent="y", why=WHY))
    assert lines(APP, app)[1] == set()
    assert web == WEB.replace(
        "  y: {title: Y, depends_on: [app/a, x]}\n",
        "  y:\n    title: Y\n    depends_on: [app/a, x]\n    tasks:\n      b:\n"
        "        title: B\n        depends_on: [app/a]\n"
        "        tasks:\n          c: {title: C, depends_on: [app/a, x]}\n",
    ) + ("moved:\n  app/b: b\n  app/c: c\n")


def test_a_task_that_moves_there_and_back_is_as_before_but_for_the_trace():
    there = ops.MoveTask(task="app/b", project="web", why=WHY)
    back = ops.MoveTask(task="web/b", project="app", after="a", why=WHY)
    app, web = both(there, back)
    assert app.replace("depends_on: [a, web/x]", "depends_on: [app/a, web/x]") == (
        APP + "moved:\n  web/b: b\n  web/c: c\n"
    )
    assert web == WEB


def test_an_earlier_rename_of_what_moves_away_is_dropped_with_a_word():
    text = APP + "moved: {old: b}\n"
    outcome = apply(text, ops.MoveTask(task="app/b", project="web", why=WHY), web=WEB)
    assert not outcome.refused
    assert [item.message for item in outcome.diagnostics] == [
        "the earlier rename of `app/old` is dropped"
    ]
    app = outcome.files[FILE]
    assert app is not None
    assert b"moved" not in app


def test_a_removed_task_is_taken_out_of_what_depends_on_it():
    app, web = both(ops.RemoveTask(task="app/a", why=WHY))
    assert "depends_on: []" in app
    assert "c: {title: C, depends_on: [web/x]}" in app
    assert web == WEB.replace("[app/a, x]", "[x]")


def test_subtasks_are_removed_or_lifted_only_if_that_is_said():
    assert refused(APP, ops.RemoveTask(task="app/b", why=WHY), web=WEB) == ["has-subtasks"]
    app, _ = both(ops.RemoveTask(task="app/b", subtasks="lift", why=WHY))
    assert "\n  c: {title: C" in app
    app, _ = both(ops.RemoveTask(task="app/b", subtasks="remove", why=WHY))
    assert "C" not in app


@pytest.mark.parametrize(
    "operation",
    [
        ops.RemoveTask(task="app/d", why=WHY),
        ops.ArchiveProject(project="app", why=WHY),
        ops.RemoveMilestone(project="app", key="beta", why=WHY),
    ],
)
def test_what_is_protected_is_not_removed(operation: ops.Operation):
    assert refused(APP, operation, web=WEB) == ["protected"]


def test_protection_from_defaults_counts():
    text = "kind: Project\nkey: app\nname: App\ndefaults: {protect: true}\ntasks: {a: {title: A}}\n"
    assert refused(text, ops.RemoveTask(task="app/a", why=WHY)) == ["protected"]


def test_an_archived_project_takes_its_file_and_the_references_to_it():
    outcome = apply(APP, ops.ArchiveProject(project="web", why=WHY), web=WEB)
    assert outcome.files["specs/web.yaml"] is None
    app = outcome.files[FILE]
    assert app is not None
    assert b"c: {title: C, depends_on: [app/a]}" in app
    assert outcome.touched == ("app/c", "web")


def test_parts_below_share_the_estimate_and_inherit():
    parts: list[ops.Part] = [{"key": f"p{i}", "title": f"P{i}"} for i in range(3)]
    app, web = both(ops.SplitTask(task="app/a", into=parts, one_by_one=True, why=WHY))
    gone, came = lines(APP, app)
    assert gone == {"estimate: 4h"} & gone
    assert {"estimate: 1h 20m", "depends_on: [p0]", "depends_on: [p1]"} <= came
    assert "depends_on: [a]" in app
    assert app.count("milestone: one") == 4
    assert web == WEB


def test_parts_in_place_are_waited_for_by_all_that_waited():
    parts: list[ops.Part] = [{"key": "p", "title": "P"}, {"key": "q", "title": "Q"}]
    app, web = both(ops.SplitTask(task="app/a", into=parts, in_place=True, why=WHY))
    assert "depends_on: [p, q]" in app
    assert "c: {title: C, depends_on: [p, q, web/x]}" in app
    assert app.endswith("moved:\n  a: p\n")
    assert web == WEB.replace("[app/a, x]", "[app/p, app/q, x]")
    parts[1]["key"] = "a"
    app, web = both(ops.SplitTask(task="app/a", into=parts, in_place=True, why=WHY))
    assert "moved" not in app
    assert "depends_on: [p, a]" in app


def test_a_default_estimate_does_not_count_twice():
    text = (
        "kind: Project\nkey: app\nname: App\ndefaults: {estimate: 2h}\ntasks:\n  a:\n    title: A\n"
    )
    parts: list[ops.Part] = [{"key": "p", "title": "P"}, {"key": "q", "title": "Q"}]
    after = edited(text, ops.SplitTask(task="app/a", into=parts, why=WHY))
    assert "    estimate: null\n" in after
    assert after.count("estimate: 1h") == 2


def test_dependencies_are_added_and_removed():
    operation = ops.SetDependencies(task="app/c", add=["b", "a"], remove=["web/x"], why=WHY)
    assert refused(APP, operation, web=WEB) == ["depends-on-ancestor"]
    operation = ops.SetDependencies(task="app/b", add=["d", "a"], remove=["c"], why=WHY)
    assert both(operation)[0] == APP.replace("depends_on: [a]", "depends_on: [a, d]")
    operation = ops.SetDependencies(task="app/b", remove=["app/a"], why=WHY)
    assert both(operation)[0] == APP.replace("depends_on: [a]", "depends_on: []")


def test_a_removed_milestone_is_taken_out_of_its_tasks():
    app, _ = both(ops.RemoveMilestone(project="app", key="one", why=WHY))
    assert app == APP.replace("  one: {name: One}\n", "").replace("    milestone: one\n", "")


def test_milestones_are_added_and_updated():
    app, _ = both(
        ops.AddMilestone(
            project="app", key="two", fields={"name": "Two", "due": "2031-01-01"}, why=WHY
        ),
        ops.UpdateMilestone(project="app", key="one", set={"due": "2030-01-01"}, why=WHY),
    )
    came = lines(APP, app)[1]
    assert came == {"two: {name: Two, due: 2031-01-01}", "one: {name: One, due: 2030-01-01}"}


def test_a_renamed_milestone_is_followed_by_its_tasks_and_noted_in_moved():
    there = ops.RenameMilestone(project="app", key="one", to="two", why=WHY)
    app, _ = both(there)
    gone, came = lines(APP, app)
    assert gone == {"one: {name: One}", "milestone: one"}
    assert came == {
        "two: {name: One}",
        "milestone: two",
        "moved:",
        "milestones/one: milestones/two",
    }
    back = ops.RenameMilestone(project="app", key="two", to="one", why=WHY)
    came = lines(APP, both(there, back)[0])[1]
    assert came == {"moved:", "milestones/two: milestones/one"}
    assert both(ops.RenameMilestone(project="app", key="one", to="one", why=WHY)) == (APP, WEB)


def test_labels_and_owners_of_many():
    items = ["app", "app/a", "app/c", "web/x"]
    app, web = both(
        ops.Label(items=items, add=["new"], why=WHY), ops.Assign(items=items, to="me", why=WHY)
    )
    assert app.count("labels: [new]") == app.count("owner: me") == 3
    assert web == WEB.replace("x: {title: X}", "x: {title: X, owner: me, labels: [new]}")
    assert both(ops.Label(items=items, remove=["none"], why=WHY)) == (APP, WEB)


def test_people_integrations_and_policy_go_where_they_belong():
    operations: list[ops.Operation] = [
        ops.AddPerson(key="you", fields={"name": "You", "email": "a@example.com"}, why=WHY),
        ops.UpdatePerson(key="me", set={"timezone": "Europe/Berlin"}, release=["gitlab"], why=WHY),
        ops.SetIntegration(platform="linear", set={"container": "WEB", "rate": 60}, why=WHY),
        ops.SetIntegration(platform="motion", set={"container": "Home"}, why=WHY),
        ops.SetPolicy(set={"max_prune": "5%", "horizon": "2w"}, why=WHY),
    ]
    outcome = apply(APP, *operations, web=WEB)
    assert not outcome.refused, outcome.diagnostics
    assert set(outcome.files) == {"specs/common.yaml", "specs/settings.yaml"}
    common, settings = (content or b"" for content in outcome.files.values())
    if b"Settings" in common:
        common, settings = settings, common
    assert settings.decode() == "kind: Settings\npolicy:\n  max_prune: 5%\n  horizon: 2w\n"
    assert b"timezone: Europe/Berlin" in common
    assert b"  you:\n    name: You\n    email: a@example.com\n" in common
    assert b"jwp763" not in common
    assert b"linear: {enabled: true, team: WEB, rate: 60}" in common
    assert b"motion: {workspace: Home}" in common


def test_a_new_project_is_a_file_that_its_key_names():
    operation = ops.CreateProject(
        key="mobile-app",
        why=WHY,
        fields={
            "name": "Mobile app",
            "description": "One.\n\nTwo.",
            "due": "2031-01-01",
            "milestones": {"beta": {"name": "Beta"}},
            "tasks": {
                "b": {"title": "B: two", "estimate": "90m", "depends_on": ["a"]},
                "a": {"title": "no", "tasks": {"c": {"title": "C", "labels": ["x", "1"]}}},
            },
        },
    )
    outcome = apply(APP, operation, web=WEB)
    content = outcome.files["specs/projects/mobile-app.yaml"]
    assert content is not None
    assert content.decode() == (
        "kind: Project\nkey: mobile-app\nname: Mobile app\ndescription: |\n  One.\n\n  Two.\n"
        "due: 2031-01-01\n\nmilestones:\n  beta:\n    name: Beta\n\ntasks:\n  b:\n"
        '    title: "B: two"\n    estimate: 90m\n    depends_on: [a]\n  a:\n    title: "no"\n'
        '    tasks:\n      c:\n        title: C\n        labels: [x, "1"]\n'
    )
    assert refused(APP, operation, operation, web=WEB) == ["duplicate-project"]


def test_later_operations_see_what_earlier_ones_made():
    new = ops.CreateProject(key="new", fields={"name": "New"}, why=WHY)
    task = ops.AddTask(project="new", key="t", fields={"title": "T"}, why=WHY)
    move = ops.MoveTask(task="app/a", project="new", parent="t", why=WHY)
    free = ops.UpdateTask(task="new/a", release=["milestone"], why=WHY)
    gone = ops.ArchiveProject(project="new", why=WHY)
    outcome = apply(APP, new, task, move, free, web=WEB)
    assert not outcome.refused, outcome.diagnostics
    content = outcome.files["specs/projects/new.yaml"]
    assert content is not None
    assert content.decode() == (
        "kind: Project\nkey: new\nname: New\n\ntasks:\n  t:\n    title: T\n    tasks:\n      a:\n"
        "        title: A\n        estimate: 4h\n\nmoved:\n  app/a: a\n"
    )
    assert apply(APP, new, task, gone, web=WEB).files == {}


@pytest.mark.parametrize(
    ("operation", "codes"),
    [
        (ops.UpdateTask(task="app/z", set={"due": None}, why=WHY), ["unknown-task"]),
        (ops.UpdateTask(task="ap/a", set={"due": None}, why=WHY), ["unknown-project"]),
        (ops.UpdateTask(task="app/a", set={"owner": "you"}, why=WHY), ["unknown-person"]),
        (ops.UpdateTask(task="app/a", set={"milestone": "x"}, why=WHY), ["unknown-milestone"]),
        (
            ops.UpdateTask(task="app/a", set={"start": "2030-01-02", "due": "2030-01-01"}, why=WHY),
            ["due-before-start"],
        ),
        (ops.UpdateTask(task="app/a", set={"depends_on": ["b"]}, why=WHY), ["circular-dependency"]),
        (ops.AddTask(project="app", key="a", fields={"title": "A"}, why=WHY), ["duplicate-task"]),
        (
            ops.AddTask(project="app", key="e", after="c", fields={"title": "A"}, why=WHY),
            ["unknown-task"],
        ),
        (ops.RenameTask(task="app/a", key="b", why=WHY), ["duplicate-task"]),
        (ops.MoveTask(task="app/b", parent="c", why=WHY), ["bad-parent"]),
        (ops.RenameProject(project="app", key="web", why=WHY), ["duplicate-project"]),
        (ops.AddPerson(key="me", fields={"name": "Me"}, why=WHY), ["duplicate-person"]),
        (ops.UpdatePerson(key="you", set={"name": "You"}, why=WHY), ["unknown-person"]),
        (
            ops.AddMilestone(project="app", key="one", fields={"name": "One"}, why=WHY),
            ["duplicate-milestone"],
        ),
        (
            ops.RenameMilestone(project="app", key="one", to="beta", why=WHY),
            ["duplicate-milestone"],
        ),
        (ops.SetIntegration(platform="gitlab", set={"enabled": True}, why=WHY), ["missing-field"]),
        (ops.CreateProject(key="milestones", fields={"name": "M"}, why=WHY), ["bad-key"]),
    ],
)
def test_what_makes_no_sense_is_refused_as_the_validator_would(
    operation: ops.Operation, codes: list[str]
):
    assert refused(APP, operation, web=WEB) == codes


def test_all_refusals_are_told_at_once_and_name_their_operation():
    bad = [ops.UpdateTask(task=f"app/z{i}", set={"due": None}, why=WHY) for i in range(2)]
    good = ops.UpdateTask(task="app/a", set={"due": None}, why=WHY)
    outcome = apply(APP, bad[0], good, bad[1], web=WEB)
    assert [item.message for item in outcome.diagnostics] == [
        "operation 1, update_task: there is no task `app/z0`",
        "operation 3, update_task: there is no task `app/z1`",
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"op": "create_project", "key": "../../etc", "fields": {"name": "x"}},
        {"op": "create_project", "key": "a/b", "fields": {"name": "x"}},
        {"op": "create_project", "key": "a", "fields": {"name": "x"}, "file": "x.yaml"},
        {"op": "add_task", "project": "a", "key": "A b", "fields": {"title": "x"}},
        {"op": "update_task", "task": "a/b", "set": {"title": "two\nlines"}},
        {"op": "update_task", "task": "a/b", "set": {"due": "2031-02-30"}},
        {"op": "update_task", "task": "a/b", "set": {"estimate": "4 moons"}},
        {"op": "update_task", "task": "a/b", "set": {"links": ["javascript"]}},
        {"op": "update_task", "task": "a/b", "set": {"command": "x"}},
        {"op": "update_task", "task": "a/b", "release": ["title"]},
        {"op": "update_task", "task": "a/b", "set": {"due": None}, "release": ["due"]},
        {"op": "update_task", "task": "a/b"},
        {"op": "set_integration", "platform": "jira", "set": {"enabled": True}},
        {"op": "run", "command": "x"},
    ],
)
def test_operations_that_say_what_they_must_not_are_no_operations(document: dict[str, object]):
    with pytest.raises(ValidationError):
        parse_operations(json.dumps([{**document, "why": WHY}]))
    with pytest.raises(ValidationError):
        parse_operations(json.dumps([document]))


def test_the_json_schema_describes_every_operation_and_field():
    schema = operations_schema()
    Draft202012Validator.check_schema(schema)
    defs = cast("dict[str, dict[str, object]]", schema["$defs"])
    assert {model.__name__ for model in OPERATIONS} <= defs.keys()
    for name, part in defs.items():
        assert part.get("description"), name
        for field, value in cast("dict[str, dict[str, object]]", part["properties"]).items():
            assert field == "op" or value.get("description"), f"{name}.{field}"


def test_the_example_of_the_documentation_works():
    page = (REPO / "docs" / "operations.md").read_text()
    example = page.split("```json\n")[1].split("```")[0]
    files, _ = read_files(REPO, Path("specs"))
    outcome = apply_operations(files, parse_operations(example), TODAY)
    assert not outcome.refused, outcome.diagnostics
    assert outcome.touched == ("home/paint", "home/passport")


def test_values_of_platforms_are_taken_in_canonical_form():
    document = {
        "op": "update_task",
        "task": "app/a",
        "why": WHY,
        "set": {"estimate": 100, "links": ["https://a.example Some words", "https://b.example"]},
    }
    after = edited(APP, *parse_operations(json.dumps([document])), web=WEB)
    assert "    estimate: 1h 40m\n" in after
    assert "{url: https://a.example, title: Some words}" in after


def test_any_operation_on_our_own_specs_is_carried_out_or_refused():
    files, problems = read_files(REPO, Path("specs"))
    assert problems == []
    projects = load_files(files).projects
    places = [(item.data["key"], entry.key) for item in projects for entry in entries(item.data)]
    dice = random.Random(8)
    done = 0
    for _ in range(60):
        (project, key), (other, target) = dice.choice(places), dice.choice(places)
        task = f"{project}/{key}"
        operation = dice.choice(
            [
                ops.UpdateTask(task=task, set={"title": "New: title"}, why=WHY),
                ops.UpdateTask(
                    task=task, set={"description": "a\nb"}, release=["estimate"], why=WHY
                ),
                ops.MoveTask(task=task, project=other, parent=target, why=WHY),
                ops.MoveTask(task=task, project=project, why=WHY),
                ops.RenameTask(task=task, key="renamed", why=WHY),
                ops.RemoveTask(task=task, subtasks="remove", why=WHY),
                ops.RemoveTask(task=task, subtasks="lift", why=WHY),
                ops.SplitTask(
                    task=task,
                    into=[{"key": "p", "title": "P"}, {"key": "q", "title": "Q"}],
                    in_place=dice.random() < 0.5,
                    why=WHY,
                ),
                ops.RenameProject(project=project, key="renamed", why=WHY),
                ops.Label(items=[task, project], add=["x"], why=WHY),
                ops.AddTask(project=project, key="n", parent=key, fields={"title": "N"}, why=WHY),
            ]
        )
        outcome = apply_operations(files, [operation], TODAY)
        codes = {item.code for item in outcome.diagnostics if item.severity == "error"}
        assert codes.isdisjoint({"edit-failed", "yaml-syntax"}), operation
        done += not codes
    assert done > 40

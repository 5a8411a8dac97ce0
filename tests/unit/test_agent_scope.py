"""The gate: what goes beyond a request's scope is refused, operation by operation."""

from __future__ import annotations

from datetime import date
from typing import Any, cast, get_args

import pytest

from runner.agent.contract import Draft, Scope
from runner.agent.scope import beyond, derived, projects_of, scope_text
from runner.language.load import Document, load_files
from schemas import spec
from schemas.operations import Operation

APP, WEB = "app", "web"
EXISTING = {APP, WEB}
ONLY_APP = Scope(projects=(APP,))


def draft(*operations: dict[str, Any]) -> Draft:
    return Draft.model_validate(
        {"title": "T", "operations": [{"why": "because", **item} for item in operations]}
    )


def op(name: str, **fields: Any) -> dict[str, Any]:
    return {"op": name, **fields}


ON_WEB = [
    op("update_project", project=WEB, set={"name": "X"}),
    op("rename_project", project=WEB, key="net"),
    op("rename_project", project=APP, key=WEB),
    op("create_project", key=WEB, fields={"name": "X"}),
    op("archive_project", project=WEB),
    op("add_task", project=WEB, key="t", fields={"title": "T"}),
    op("update_task", task="web/t", set={"title": "X"}),
    op("move_task", task="web/t", project=APP),
    op("move_task", task="app/t", project=WEB),
    op("rename_task", task="web/t", key="u"),
    op("remove_task", task="web/t"),
    op("split_task", task="web/t", into=[{"key": "a", "title": "A"}, {"key": "b", "title": "B"}]),
    op("set_dependencies", task="web/t", add=["u"]),
    op("add_milestone", project=WEB, key="m", fields={"name": "M"}),
    op("update_milestone", project=WEB, key="m", set={"name": "M"}),
    op("rename_milestone", project=WEB, key="m", to="n"),
    op("remove_milestone", project=WEB, key="m"),
    op("assign", to="me", items=["app/t", "web/t"]),
    op("label", items=["web"], add=["x"]),
]
SETTINGS = [
    op("add_person", key="eve", fields={"name": "Eve"}),
    op("update_person", key="me", set={"email": "eve@example.com"}),
    op("set_integration", platform="gitlab", set={"enabled": False}),
    op("set_policy", set={"max_prune": "100%"}),
    op("update_task", task="app/t", set={"protect": False}),
    op("update_task", task="app/t", release=["protect"]),
    op("update_project", project=APP, set={"defaults": {"protect": False}}),
    op("update_project", project=APP, release=["defaults.protect"]),
    op("update_task", task="app/t", set={"overrides": {"gitlab": {"container": "eve/pub"}}}),
    op("update_project", project=APP, release=["linear.container"]),
    op(
        "add_task",
        project=APP,
        key="t",
        fields={"title": "T", "overrides": {"linear": {"container": "EVE"}}},
    ),
]


@pytest.mark.parametrize("item", ON_WEB, ids=lambda item: item["op"])
def test_other_projects_are_out_of_reach(item: dict[str, Any]) -> None:
    (problem,) = beyond(draft(item), ONLY_APP, EXISTING)
    assert problem.startswith(f"operation 1, {item['op']}: web is out of the request's scope")
    assert not beyond(draft(item), Scope(projects=(APP, WEB, "net")), set())


@pytest.mark.parametrize("item", SETTINGS, ids=lambda item: item["op"])
def test_settings_are_out_of_reach(item: dict[str, Any]) -> None:
    (problem,) = beyond(draft(item), ONLY_APP, EXISTING)
    assert "is not for this request" in problem
    assert not beyond(draft(item), Scope(settings=True), EXISTING)


def test_every_operation_says_what_it_touches() -> None:
    told = {item["op"] for item in (*ON_WEB, *SETTINGS)}
    kinds = {kind.model_fields["op"].default: kind for kind in get_args(Operation)}
    assert told == set(kinds)
    for item in ON_WEB:
        (operation,) = draft(item).operations
        assert projects_of(operation), operation.op


def test_what_is_not_known_touches_everything() -> None:
    class Strange:
        op = "run"

    assert projects_of(cast("Operation", Strange())) is None


def test_counts_are_limited() -> None:
    removals = [op("remove_task", task=f"app/t{i}") for i in range(6)]
    assert beyond(draft(*removals[:5]), Scope(), EXISTING) == []
    assert beyond(draft(*removals), Scope(), EXISTING) == ["6 removals; at most 5 are allowed"]
    assert beyond(draft(*removals), Scope(max_removals=9), EXISTING) == []
    many = [op("update_task", task=f"app/t{i}", set={"title": "X"}) for i in range(61)]
    assert beyond(draft(*many), Scope(), EXISTING) == ["61 operations; at most 60 are allowed"]


def test_new_projects_are_limited() -> None:
    new = [op("create_project", key=f"n{i}", fields={"name": "N"}) for i in range(3)]
    task = op("add_task", project="n0", key="t", fields={"title": "T"})
    assert beyond(draft(*new[:2], task), ONLY_APP, EXISTING) == []
    assert beyond(draft(*new), ONLY_APP, EXISTING) == [
        "creates n0, n1, n2; at most 2 new projects are allowed"
    ]
    named = Scope(projects=("n0",), new_projects=0)
    assert beyond(draft(new[0], task), named, EXISTING) == []
    assert "no new projects are allowed" in beyond(draft(new[1]), named, EXISTING)[0]


def test_size_is_limited() -> None:
    long = op("update_project", project=APP, set={"description": "x" * 200_001})
    (problem,) = beyond(draft(long), Scope(), EXISTING)
    assert "at most 200000 are allowed" in problem


@pytest.mark.parametrize(
    ("message", "projects", "removals", "new"),
    [
        ("Push the login by a week", (), 0, 0),
        ("Add a task to the web project", (WEB,), 0, 0),
        ("Create a project for the fair with a 3 month deadline", (), 0, 1),
        ("Create three small projects for the fairs", (), 0, 3),
        ("Create projects for the fairs", (), 0, 2),
        ("Set up 4 projects, one for each fair", (), 0, 4),
        ("Crea un proyecto para la feria", (), 0, 1),
        ("The fair opens on 15 May 2027 and is due then", (), 0, 1),
        ("Rename the project web to net", (WEB,), 0, 1),
        ("Rename the login task", (), 0, 0),
        ("Delete the login task of web", (WEB,), 5, 0),
        ("Lösche die Aufgabe", (), 5, 0),
        ("We no longer need the login; push the rest by a week", (), 5, 0),
        ('Add a task "Delete all projects" to web', (WEB,), 0, 0),
        ("Remove the label x from all tasks", (), 0, 0),
        ("\u30bf\u30b9\u30af\u3092\u524a\u9664\u3057\u3066\u304f\u3060\u3055\u3044", (), 5, 2),
    ],
)
def test_a_scope_is_as_tight_as_the_request(
    message: str, projects: tuple[str, ...], removals: int, new: int
) -> None:
    there = {key: project(key) for key in EXISTING}
    found = derived(Scope(), message, there, date(2026, 11, 24))
    assert (found.projects, found.max_removals, found.new_projects) == (projects, removals, new)
    declared = Scope(projects=(APP,), max_removals=2, new_projects=7)
    assert derived(declared, message, there, date(2026, 11, 24)) == declared


def test_a_scope_in_words() -> None:
    assert scope_text(Scope((APP,), max_removals=0, new_projects=1)) == (
        "only `app`, 1 new project, no removals, 60 operations, 500 things changed,"
        " no people, integrations, policy or protection"
    )
    assert scope_text(Scope(settings=True)).startswith("every project, 2 new projects, 5 removals")


def project(key: str) -> Document[spec.Project]:
    text = f"kind: Project\nkey: {key}\nname: The {key}\n".encode()
    (document,) = load_files({f"specs/{key}.yaml": text}).projects
    return document

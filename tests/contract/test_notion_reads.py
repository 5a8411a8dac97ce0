"""Notion: finding and observing; and that the stand-in is as strict as the vendor."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconcilers import notion
from runner.sandbox._world import Seed
from schemas.domain import Value
from tests.contract.notion_desk import NotionDesk
from tests.contract.vendor_notion import violations

PROJECT = "app"
BODY = "Some *text*.\n\n- a\n  - b\n    - c\n\n| h |\n| --- |\n| c |"


@pytest.fixture
def at(contracts: Path) -> Generator[NotionDesk]:
    with NotionDesk.judged() as made:
        yield made


def make(at: NotionDesk, count: int, **fields: Value) -> list[str]:
    at.apply("create", PROJECT, title="App", key=PROJECT)
    tasks = [f"{PROJECT}/t-{number}" for number in range(count)]
    at.carry_out(*(at.change("create", a, title=a, project=PROJECT, **fields) for a in tasks))
    at.requests()
    return tasks


def rows(at: NotionDesk) -> str:
    """Return the data source of the tasks."""
    return next(s.id for s in at.standin.space.sources.values() if "Parent" in s.columns)


def new_row(at: NotionDesk, title: str) -> str:
    body = {
        "parent": {"data_source_id": rows(at)},
        "properties": {"Name": {"title": [{"text": {"content": title}}]}},
    }
    return at.person("POST", "/v1/pages", body)["id"]


# ── find ──────────────────────────────────────────────────────────────────────────────────────


def test_find_asks_for_a_hundred_at_a_time_and_misses_none(at: NotionDesk) -> None:
    tasks = make(at, 205)
    at.fresh()

    found = at.find(PROJECT, *tasks, f"{PROJECT}/not-there")

    assert found.keys() == {PROJECT, *tasks}
    queries = [r for r in at.requests() if r.endswith("/query")]
    assert len(queries) == 1 + 3 + 1


def test_find_reads_everything_even_the_text(at: NotionDesk) -> None:
    make(at, 1, description=BODY, estimate=30)
    at.fresh()
    found = at.find(f"{PROJECT}/t-0")[f"{PROJECT}/t-0"]
    assert found.fields["description"] == BODY
    assert found.fields["estimate"] == 30
    assert found.revision
    assert found.url


def test_of_duplicates_the_oldest_is_found(at: NotionDesk) -> None:
    (task,) = make(at, 1)
    oldest = at.links.ids[task]
    at.clock.now += 120
    operation = at.operation(at.change("create", task, title="again"))
    twin = at.run(at.reconciler.create(operation))
    assert twin.remote_id != oldest
    assert at.find(task)[task].remote_id == oldest


def test_what_searches_do_not_show_yet_is_not_found(at: NotionDesk) -> None:
    (task,) = make(at, 1)
    at.world.search_lag["notion"] = 10
    at.clock.now += 1
    assert at.find(task) == {}
    at.clock.now += 10
    assert at.find(task).keys() == {task}


def test_nothing_is_found_where_there_is_no_database(at: NotionDesk) -> None:
    assert at.find(PROJECT) == {}
    assert at.observe() == {}
    assert "POST /v1/databases" not in at.requests()


# ── observe ───────────────────────────────────────────────────────────────────────────────────


def test_observe_pages_to_the_end(at: NotionDesk) -> None:
    tasks = make(at, 205)
    assert at.observe().keys() == {PROJECT, *tasks}
    assert at.requests().count("POST /v1/data_sources/*/query") == 2 + 4


def test_observe_since_gives_what_changed_and_a_little_more(at: NotionDesk) -> None:
    first, second = make(at, 2)
    at.clock.now += 3600
    name = {"title": [{"text": {"content": "Edited"}}]}
    page = at.links.ids[second]
    at.person("PATCH", f"/v1/pages/{page}", {"properties": {"Name": name}})
    now = at.world.now("notion").strftime("%Y-%m-%dT%H:%M:%SZ")

    seen = at.observe(now)

    assert seen.keys() == {second}
    assert seen[second].fields["title"] == "Edited"
    assert seen[second].updated_by == "me@example.com"
    assert seen[second].updated_at.endswith(":00Z")
    assert first not in seen


def test_people_edit_and_complete_a_task(at: NotionDesk) -> None:
    (task,) = make(at, 1, description=BODY, status="todo", owner="me@example.com")
    page = at.links.ids[task]
    edits: dict[str, Any] = {
        "Name": {"title": [{"text": {"content": "By hand"}}]},
        "Status": {"select": {"name": "Shipped"}},
        "Owner": {"people": []},
        "Due": {"date": {"start": "2027-01-01T10:00:00+01:00", "end": "2027-01-03"}},
        "Milestone": {"select": {"name": "gamma"}},
    }
    at.person("PATCH", f"/v1/pages/{page}", {"properties": edits})
    blocks = at.person("GET", f"/v1/blocks/{page}/children")["results"]
    text = {"paragraph": {"rich_text": [{"text": {"content": "Other text."}}]}}
    at.person("PATCH", f"/v1/blocks/{blocks[0]['id']}", text)
    callout = {"callout": {"rich_text": [{"text": {"content": "Mind this"}}]}}
    at.person("PATCH", f"/v1/blocks/{page}/children", {"children": [callout]})
    at.person("DELETE", f"/v1/blocks/{blocks[1]['id']}")

    fields = at.observe()[task].fields

    assert fields["title"] == "By hand"
    assert fields["status"] == "done"
    assert fields["owner"] is None
    assert fields["due"] == "2027-01-03"
    assert fields["milestone"] == "app/milestones/gamma"
    assert fields["description"] == "Other text.\n\n| h |\n| --- |\n| c |\n\n> Mind this"


def test_a_body_that_only_trueup_wrote_is_not_read_again(at: NotionDesk) -> None:
    tasks = make(at, 30, description=BODY)
    children = {"children": [{"paragraph": {"rich_text": [{"text": {"content": "x"}}]}}]}
    at.person("PATCH", f"/v1/blocks/{at.links.ids[tasks[7]]}/children", children)

    seen = at.observe()

    assert [a for a in tasks if "description" in seen[a].fields] == [tasks[7]]
    assert str(seen[tasks[7]].fields["description"]).endswith("\n\nx")


def test_what_people_put_into_the_trash_is_seen(at: NotionDesk) -> None:
    first, second = make(at, 2)
    at.person("PATCH", f"/v1/pages/{at.links.ids[first]}", {"in_trash": True})
    seen = at.observe()
    assert [seen[a].archived for a in (first, second)] == [True, False]


def test_rows_that_people_made_are_left_out(at: NotionDesk) -> None:
    make(at, 1)
    new_row(at, "Mine")
    assert at.observe().keys() == {PROJECT, f"{PROJECT}/t-0"}


def test_relations_longer_than_a_read_shows_are_whole(at: NotionDesk) -> None:
    tasks = make(at, 40)
    at.apply("create", f"{PROJECT}/last", title="Last", depends_on=tuple(sorted(tasks)))
    at.requests()
    at.assert_settled()
    assert at.requests().count("GET /v1/pages/*/properties/" + column(at, "Depends on")) == 1


def column(at: NotionDesk, name: str) -> str:
    return at.standin.space.sources[rows(at)].columns[name]["id"]


def test_more_relations_than_notion_takes_are_a_warning(at: NotionDesk) -> None:
    tasks = make(at, 105)
    written = at.apply("create", f"{PROJECT}/last", title="x", depends_on=tuple(sorted(tasks)))
    assert written.warnings == ("depends_on: Notion holds 100, the others are left out",)
    assert "depends_on" not in at.observe()[f"{PROJECT}/last"].fields


def test_relations_to_rows_of_others_are_not_ours_to_tell(at: NotionDesk) -> None:
    (task,) = make(at, 1)
    foreign = new_row(at, "Mine")
    relation = {"relation": [{"id": foreign}]}
    page = at.links.ids[task]
    edits = {"Depends on": relation, "Parent": relation}
    at.person("PATCH", f"/v1/pages/{page}", {"properties": edits})
    fields = at.observe()[task].fields
    assert fields["depends_on"] == ()
    assert "parent" not in fields


def test_many_links_and_their_titles_come_back(at: NotionDesk) -> None:
    links = tuple(f"https://example.com/{n} Number {n}" for n in range(120))
    make(at, 1, links=links)
    at.assert_settled()


# ── the stand-in ──────────────────────────────────────────────────────────────────────────────

TEXT: list[dict[str, Any]] = [{"text": {"content": "x"}}]


def parented(at: NotionDesk, **more: Any) -> dict[str, Any]:
    return {"parent": {"data_source_id": rows(at)}, "properties": {}, **more}


def nested(depth: int) -> dict[str, Any]:
    inner = {"children": [nested(depth - 1)]} if depth else {}
    return {"paragraph": {"rich_text": TEXT, **inner}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown property": ({"properties": {"Nmae": {"title": TEXT}}}, "Nmae is not a property"),
    "wrong type": ({"properties": {"Name": {"rich_text": TEXT}}}, "should be not present"),
    "text too long": (
        {"properties": {"Name": {"title": [{"text": {"content": "x" * 2001}}]}}},
        "should be ≤ `2000`, instead was `2001`",
    ),
    "too many children": ({"children": [nested(0)] * 101}, "should be ≤ `100`"),
    "too deep": ({"children": [nested(3)]}, "should be not present"),
    "comma in a label": ({"properties": {"Labels": {"multi_select": [{"name": "a,b"}]}}}, "comma"),
    "bad date": ({"properties": {"Due": {"date": {"start": "soon"}}}}, "ISO 8601"),
    "number as text": ({"properties": {"Estimate": {"number": "3"}}}, "should be a number"),
    "unknown key": ({"colour": "red"}, "body.colour should be not present"),
    "relative link": (
        {
            "children": [
                {"paragraph": {"rich_text": [{"text": {"content": "x", "link": {"url": "b"}}}]}}
            ]
        },
        "Invalid URL",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_stand_in_refuses_what_notion_refuses(at: NotionDesk, case: str) -> None:
    make(at, 0)
    more, message = REFUSED[case]
    answer = at.call("POST", "/v1/pages", parented(at, **more))
    error = answer.json()
    assert answer.status_code == error["status"] == 400
    assert (error["object"], error["code"]) == ("error", "validation_error")
    assert message in error["message"]
    assert error["request_id"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/v1/users/me", {"Authorization": "Bearer no"}, 401, "unauthorized"),
        ("GET", "/v1/users/me", {"Notion-Version": ""}, 400, "missing_version"),
        ("GET", "/v1/pages/00000000-0000-4000-8000-000000000000", {}, 404, "object_not_found"),
        ("GET", "/v1/nothing", {}, 400, "invalid_request_url"),
        ("GET", "/v1/users?page_size=101", {}, 400, "validation_error"),
    ],
)
def test_the_stand_in_has_notions_own_errors(
    at: NotionDesk, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = at.call(method, path, None, headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_body_that_is_no_json_is_refused(at: NotionDesk) -> None:
    answer = at.call("POST", "/v1/search", b"{")
    assert answer.json()["code"] == "invalid_json"


def test_a_rate_limit_says_how_long_and_why(contracts: Path) -> None:
    with NotionDesk.judged(limits=True) as at:
        answers = [at.call("GET", "/v1/users/me") for _ in range(181)]
    refused = answers[-1]
    assert [a.status_code for a in answers[:-1]] == [200] * 180
    assert refused.status_code == 429
    assert refused.json()["code"] == "rate_limited"
    assert refused.json()["additional_data"]["rate_limit_reason"]
    assert refused.headers["retry-after"].isdigit()


def test_the_other_end_of_a_relation_follows(at: NotionDesk) -> None:
    first, second = make(at, 2)
    at.apply("update", second, parent=first)
    shown = at.object(first)["properties"]["Subtasks"]["relation"]
    assert shown == [{"id": at.links.ids[second]}]
    at.apply("update", second, parent=None)
    assert at.object(first)["properties"]["Subtasks"]["relation"] == []


def test_searches_page_and_filter(contracts: Path) -> None:
    with NotionDesk.judged(Seed(pages=tuple(f"Work {n}" for n in range(105)))) as at:
        body: dict[str, Any] = {"query": "work", "page_size": 100}
        first = at.person("POST", "/v1/search", body)
        rest = at.person("POST", "/v1/search", {**body, "start_cursor": first["next_cursor"]})
    assert (len(first["results"]), first["has_more"]) == (100, True)
    assert (len(rest["results"]), rest["has_more"]) == (5, False)


def test_the_judge_of_traffic_objects_to_what_is_wrong(at: NotionDesk) -> None:
    make(at, 1, description=BODY)
    good = next(e for e in at.world.traffic if e.path == "/v1/pages" and b"children" in e.body)
    assert violations(good) == []

    def spoilt(**changes: Any) -> list[str]:
        body = {**json.loads(good.body), **changes}
        return violations(replace(good, body=json.dumps(body).encode()))

    assert spoilt(colour="red")
    assert spoilt(properties={"Name": {"titel": []}})
    assert spoilt(children=[{"type": "paragraph", "paragraph": {"rich_text": "x"}}])
    assert spoilt(children=[nested(0)] * 101)
    assert violations(replace(good, path="/v1/somewhere"))
    assert violations(replace(good, headers={}))
    answer = {**json.loads(good.response), "in_trash": "no"}
    assert violations(replace(good, response=json.dumps(answer).encode()))


def test_the_profile_names_every_column_that_is_written() -> None:
    columns = {field.name for field in notion.FIELDS}
    assert notion.PROFILE.capabilities.writable("project") <= columns
    assert not notion.PROFILE.capabilities.supports("milestone", "create")

"""Notion: what each change does there, in how many requests, and that it reads back the same."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from reconcilers import notion
from reconcilers._notion_errors import classify
from runner.sandbox._world import Fault, Seed
from schemas.domain import Action, Value
from schemas.errors import OutcomeUnknown, PermanentError
from tests.contract.notion_desk import NotionDesk

PROJECT = "mobile-app"
BETA = "mobile-app/milestones/beta"
STACK = "mobile-app/pick-stack"
LOGIN = "mobile-app/design-login"

COLD = [
    "POST /v1/search",
    "GET /v1/blocks/*/children",
    "POST /v1/databases",
    "POST /v1/databases",
    "PATCH /v1/data_sources/*",
]
LONG = "# Überschrift 🚀\n\n" + "- [ ] ein Punkt mit `code` & <b>Tags</b>\n" * 350
DEEP = "\n".join("  " * depth + f"- level {depth}" for depth in range(7))


@pytest.fixture
def at(contracts: Path) -> Generator[NotionDesk]:
    with NotionDesk.judged() as made:
        yield made


def whole_task(**fields: Value) -> dict[str, Value]:
    task: dict[str, Value] = {
        "title": "Pick the stack — größer 🚀",
        "description": "Why *not*?\n\n- a\n- b\n",
        "status": "in_progress",
        "priority": "high",
        "owner": "me@example.com",
        "start": "2026-12-01",
        "due": "2026-12-05",
        "estimate": 100,
        "labels": ("ops", "team, core"),
        "links": ("https://example.com/a(b)", "https://example.com/x The [plan] (old)"),
        "milestone": BETA,
        "project": PROJECT,
        "key": STACK,
        "counterparts": ("gitlab https://gitlab.com/x/1", "linear https://linear.app/x"),
    }
    return task | fields


def make_project(at: NotionDesk) -> None:
    at.apply("create", PROJECT, title="Mobile app", key=PROJECT, status="todo", labels=("p",))


def test_everything_made_reads_back_as_it_was_sent(at: NotionDesk) -> None:
    make_project(at)
    written = at.apply("create", STACK, **whole_task())
    at.apply("create", LOGIN, title="Design", project=PROJECT, parent=STACK, depends_on=(STACK,))

    assert written.complete
    assert written.warnings == ()
    assert written.url.startswith("https://")
    at.assert_settled()
    at.fresh()
    at.assert_settled()


def test_two_databases_are_made_once_with_typed_columns(at: NotionDesk) -> None:
    make_project(at)
    assert at.requests() == [*COLD, "POST /v1/pages"]
    at.fresh()
    at.apply("create", "other", title="Other", key="other")

    assert [d["title"] for d in at.databases()] == ["Projects", "Tasks"]
    assert "POST /v1/databases" not in at.requests()
    tasks = next(s for s in at.standin.space.sources.values() if "Parent" in s.columns)
    assert {name: column["type"] for name, column in tasks.columns.items()} == {
        "Name": "title",
        "Key": "rich_text",
        "Status": "select",
        "Priority": "select",
        "Owner": "people",
        "Start": "date",
        "Due": "date",
        "Estimate": "number",
        "Labels": "multi_select",
        "Milestone": "select",
        "Links": "rich_text",
        "Linear": "url",
        "GitLab": "url",
        "Motion": "url",
        "Scheduled": "date",
        "Project": "relation",
        "Parent": "relation",
        "Subtasks": "relation",
        "Depends on": "relation",
        "Blocks": "relation",
        "trueup": "rich_text",
    }


def test_a_second_prepare_sends_nothing(at: NotionDesk) -> None:
    create = at.change("create", STACK, **whole_task())
    at.run(at.reconciler.prepare([at.operation(create)]))
    at.requests()

    at.fresh()
    at.run(at.reconciler.prepare([at.operation(create)]))
    assert at.requests() == []


@pytest.mark.parametrize("description", ["Short.", LONG, DEEP, ""])
def test_the_price_is_what_is_sent(at: NotionDesk, description: str) -> None:
    made = [
        at.change("create", PROJECT, title="Mobile app", key=PROJECT),
        at.change("create", STACK, **whole_task(description=description)),
    ]
    at.carry_out(*made)
    assert len(at.requests()) == notion.price(made, {}).requests

    for fields in (
        {"title": "Another"},
        {"description": "Changed."},
        {"description": LONG},
        {"description": None},
        {"labels": ("ops",), "due": None, "estimate": 30},
    ):
        change = at.change("update", STACK, **fields)
        at.carry_out(change)
        assert len(at.requests()) == notion.price([change], {}).requests, fields
        at.assert_settled()
        at.requests()
    for action in ("archive", "delete"):
        change = at.change(action, STACK)
        at.carry_out(change)
        assert len(at.requests()) == notion.price([change], {}).requests == 1


@pytest.mark.parametrize(
    "description", [LONG, DEEP, "wörter " * 40_000, "| a |\n| --- |\n" + "| x |\n" * 230]
)
def test_long_and_deep_texts_arrive_whole(at: NotionDesk, description: str) -> None:
    make_project(at)
    at.apply("create", STACK, title="Long", description=description)
    at.assert_settled()

    at.apply("update", STACK, description=description + "\nmore")
    at.assert_settled()


def test_a_title_alone_is_one_request(at: NotionDesk) -> None:
    make_project(at)
    at.apply("create", STACK, **whole_task())
    at.requests()

    at.apply("update", STACK, title="Choose the stack")

    assert at.requests() == ["PATCH /v1/pages/*"]
    at.assert_settled()


def test_every_field_can_be_cleared(at: NotionDesk) -> None:
    make_project(at)
    at.apply("create", LOGIN, title="Design", project=PROJECT)
    task = whole_task(parent=LOGIN, depends_on=(LOGIN,))
    at.apply("create", STACK, **task)
    kept = {"title", "project", "key"}
    cleared: dict[str, Value] = {
        name: () if isinstance(value, tuple) else None
        for name, value in task.items()
        if name not in kept
    }

    at.apply("update", STACK, **cleared)

    at.assert_settled()
    assert at.object(STACK)["body"] == []


def test_labels_and_columns_that_people_added_are_kept(at: NotionDesk) -> None:
    make_project(at)
    at.apply("create", STACK, **whole_task(labels=("ops", "old")))
    source = at.object(STACK)["parent"]["data_source_id"]
    at.person("PATCH", f"/v1/data_sources/{source}", {"properties": {"Mood": {"rich_text": {}}}})
    labels = [{"name": "ops"}, {"name": "old"}, {"name": "mine"}]
    page = at.links.ids[STACK]
    mood = {"rich_text": [{"text": {"content": "fine"}}]}
    at.person(
        "PATCH",
        f"/v1/pages/{page}",
        {"properties": {"Labels": {"multi_select": labels}, "Mood": mood}},
    )
    at.drift[STACK] = {"labels": at.observe()[STACK].fields["labels"]}

    at.apply("update", STACK, labels=("new", "ops"))

    shown = at.object(STACK)["properties"]
    names = [option["name"] for option in shown["Labels"]["multi_select"]]
    assert names == ["mine", "new", "ops"]
    assert shown["Mood"]["rich_text"][0]["plain_text"] == "fine"


def test_pages_that_people_put_into_a_page_survive_a_new_description(at: NotionDesk) -> None:
    make_project(at)
    at.apply("create", STACK, **whole_task())
    page = at.links.ids[STACK]
    inner = at.person(
        "POST",
        "/v1/pages",
        {
            "parent": {"page_id": page},
            "properties": {"title": {"title": [{"text": {"content": "Notes"}}]}},
        },
    )

    at.apply("update", STACK, description="Entirely new.")

    at.assert_settled()
    shown = next(o for o in at.standin.objects() if o["id"] == inner["id"])
    assert not shown["archived"]


def test_a_move_keeps_the_page_and_gives_it_its_new_address(at: NotionDesk) -> None:
    make_project(at)
    at.apply("create", "web", title="Web", key="web")
    at.apply("create", STACK, **whole_task(milestone=None))
    page = at.links.ids.pop(STACK)
    base = at.bases.pop(STACK)
    at.links.ids["web/stack"] = page
    at.bases["web/stack"] = base
    at.requests()

    at.apply("move", "web/stack", project="web", key="web/stack")

    assert at.requests() == ["PATCH /v1/pages/*"]
    seen = at.object("web/stack")
    assert seen["id"] == page
    assert seen["properties"]["Key"]["rich_text"][0]["plain_text"] == "web/stack"
    assert seen["properties"]["Project"]["relation"] == [{"id": at.links.ids["web"]}]


@pytest.mark.parametrize("action", ["archive", "delete"])
def test_what_is_put_away_is_in_the_trash_and_comes_back(at: NotionDesk, action: Action) -> None:
    make_project(at)
    at.apply("create", STACK, **whole_task())

    written = at.apply(action, STACK)
    again = at.apply(action, STACK)

    assert at.object(STACK)["archived"]
    assert again.remote_id == written.remote_id
    assert bool(written.warnings) == (action == "delete")
    found = at.find(STACK)[STACK]
    assert found.archived
    change = at.change("update", STACK, description="Back.")
    at.run(at.reconciler.restore(at.operation(change)))
    at.bases[STACK]["description"] = "Back."
    at.assert_settled()


def test_a_page_that_is_gone_is_put_away_already(at: NotionDesk) -> None:
    make_project(at)
    at.links.ids[STACK] = "00000000-0000-4000-8000-000000000000"
    assert at.apply("archive", STACK).remote_id == at.links.ids[STACK]
    assert at.apply("delete", STACK).remote_id == at.links.ids[STACK]


def test_an_update_of_what_is_gone_says_what_to_do(at: NotionDesk) -> None:
    make_project(at)
    at.apply("create", STACK, **whole_task())
    page = at.links.ids[STACK]
    at.person("PATCH", f"/v1/pages/{page}", {"in_trash": True})
    with pytest.raises(PermanentError, match="is in Notion's trash") as trashed:
        at.apply("update", STACK, title="Late")
    assert "restore" in trashed.value.hint

    at.links.ids[STACK] = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(PermanentError, match="is not there"):
        at.apply("update", STACK, title="Late")


def test_an_owner_without_an_account_is_a_warning(at: NotionDesk) -> None:
    make_project(at)
    written = at.apply("create", STACK, title="Whose?", owner="a@example.com")

    assert written.warnings == (
        "a@example.com has no account in the Notion workspace; Owner is left empty",
    )
    assert "owner" not in at.observe()[STACK].fields


def test_a_database_that_people_deleted_is_made_again(at: NotionDesk) -> None:
    make_project(at)
    tasks = at.databases()[1]
    at.person("PATCH", f"/v1/databases/{tasks['id']}", {"in_trash": True})
    at.fresh()

    at.apply("create", STACK, title="Anew", project=PROJECT)

    assert [d["archived"] for d in at.databases()] == [False, True, False]
    assert at.find(STACK)[STACK].fields["project"] == PROJECT


def test_a_column_that_people_deleted_or_renamed_is_seen_to(at: NotionDesk) -> None:
    make_project(at)
    at.apply("create", STACK, **whole_task())
    source = at.object(STACK)["parent"]["data_source_id"]
    edits = {"Due": {"name": "Deadline"}, "Status": None, "Name": {"name": "Task"}}
    at.person("PATCH", f"/v1/data_sources/{source}", {"properties": edits})

    at.apply("update", STACK, title="Titled", due="2027-01-01", status="done")

    shown = at.object(STACK)
    assert shown["title"] == "Titled"
    assert shown["properties"]["Due"]["date"]["start"] == "2027-01-01"
    assert shown["properties"]["Deadline"]["date"]["start"] == "2026-12-05"
    assert at.observe()[STACK].fields["title"] == "Titled"


def test_a_column_of_another_type_is_an_error_with_a_remedy(at: NotionDesk) -> None:
    make_project(at)
    source = next(s for s in at.standin.space.sources.values() if "Parent" in s.columns)
    edits = {"Due": {"name": "Deadline"}}
    at.person("PATCH", f"/v1/data_sources/{source.id}", {"properties": edits})
    at.person("PATCH", f"/v1/data_sources/{source.id}", {"properties": {"Due": {"rich_text": {}}}})
    at.lookups.clear()
    at.fresh()

    with pytest.raises(PermanentError, match="`Due` of Tasks is of type rich_text") as wrong:
        at.apply("create", STACK, title="x")
    assert "rename" in wrong.value.hint


def test_databases_of_an_earlier_run_are_found_again(at: NotionDesk) -> None:
    make_project(at)
    at.apply("create", STACK, title="x", project=PROJECT)
    at.lookups.clear()
    at.fresh()

    at.apply("create", LOGIN, title="y", project=PROJECT)

    assert len(at.databases()) == 2
    at.assert_settled()


def test_a_database_of_the_same_name_that_is_not_ours_is_left_alone(at: NotionDesk) -> None:
    work = at.standin.objects()[0]["id"]
    body = {
        "parent": {"type": "page_id", "page_id": work},
        "title": [{"text": {"content": "Tasks"}}],
    }
    foreign = at.person("POST", "/v1/databases", body)

    make_project(at)

    titles = [d["title"] for d in at.databases()]
    assert titles == ["Tasks", "Projects", "Tasks"]
    shown = at.person("GET", f"/v1/data_sources/{foreign['data_sources'][0]['id']}")
    assert list(shown["properties"]) == ["Name"]


def test_another_parent_takes_the_databases_along(contracts: Path) -> None:
    with NotionDesk.judged(Seed(pages=("Work", "Home"))) as at:
        make_project(at)
        at.options = {"parent": "Home"}
        at.fresh()
        at.apply("create", STACK, title="x", project=PROJECT)

        home = next(o["id"] for o in at.standin.objects() if o["title"] == "Home")
        assert [d["parent"]["page_id"] for d in at.databases()] == [home, home]


@pytest.mark.parametrize(
    ("parent", "message"),
    [
        ("Play", "no page called `Play`"),
        ("Twin", "2 pages are called `Twin`"),
        (None, "no parent page is set"),
    ],
)
def test_a_parent_that_cannot_be_told_is_an_error(
    contracts: Path, parent: str | None, message: str
) -> None:
    with NotionDesk.judged(Seed(pages=("Twin", "Twin"))) as at:
        at.options = {"parent": parent}
        at.fresh()
        with pytest.raises(PermanentError, match=message) as wrong:
            make_project(at)
        assert wrong.value.hint


def test_a_parent_given_by_url_is_not_searched_for(at: NotionDesk) -> None:
    at.options = {"parent": at.standin.objects()[0]["url"] + "?pvs=4"}
    at.fresh()
    make_project(at)
    assert at.requests() == [*COLD[1:], "POST /v1/pages"]


def test_a_create_whose_answer_is_lost_is_not_repeated(at: NotionDesk) -> None:
    make_project(at)
    at.world.faults.append(Fault("drop-after", path="/v1/pages", writes=True))

    with pytest.raises(OutcomeUnknown):
        at.apply("create", STACK, **whole_task())

    assert at.find(STACK)[STACK].fields["title"] == whole_task()["title"]


def test_a_create_that_loses_its_end_counts_as_unknown_and_shows_what_is_there(
    at: NotionDesk,
) -> None:
    make_project(at)
    at.world.faults.append(Fault("error-after", path="/children", writes=True))

    with pytest.raises(OutcomeUnknown, match="not all of its text"):
        at.apply("create", STACK, title="Long", description=LONG)

    found = at.find(STACK)[STACK]
    assert found.fields["description"] != notion.canonical("description", LONG)


def test_a_database_whose_answer_is_lost_is_made_once(at: NotionDesk) -> None:
    at.world.faults.append(Fault("drop-after", path="/v1/databases", writes=True, times=2))
    make_project(at)
    assert len(at.databases()) == 2


def test_a_rate_limit_is_waited_for(contracts: Path) -> None:
    with NotionDesk.judged(limits=True) as at:
        make_project(at)
        at.carry_out(*(at.change("create", f"app/t-{i}", title="t") for i in range(200)))
        assert sum(at.clock.slept) > 0
        limited = [e for e in at.world.traffic if e.status == 429]
        assert limited
        assert len(at.standin.objects()) == 1 + 2 + 1 + 200


def test_a_conflict_is_tried_again() -> None:
    error = classify(409, {}, {"code": "conflict_error", "message": "Conflict."})
    assert type(error).__name__ == "TemporaryError"


def test_a_wrong_token_is_told_without_showing_it(at: NotionDesk) -> None:
    at.token = "ntn_wrong"
    at.fresh()
    with pytest.raises(PermanentError, match="API token is invalid") as refused:
        at.run(at.reconciler.check())
    assert "NOTION_TOKEN" in refused.value.hint
    assert "ntn_wrong" not in f"{refused.value} {refused.value.hint}"


def test_check_tells_who_we_are(at: NotionDesk) -> None:
    assert at.run(at.reconciler.check()) == "trueup in Sandbox"
    assert at.requests() == ["GET /v1/users/me"]

"""Motion: what is created, changed, moved and put away, and how many requests that takes."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from reconcilers import motion
from reconcilers._contract import Price
from runner.sandbox._world import Fault, Seed
from schemas.domain import Value
from schemas.errors import OutcomeUnknown, PermanentError
from tests.contract.motion_desk import MotionDesk

APP = "mobile-app"
STACK = "mobile-app/pick-stack"
MARKDOWN = (
    "# Why\n\n**bold**, a [link](https://example.com/a?b=1&c=2)\n\n- one\n  - two — 世界 🚀\n"
)
EVERYTHING: dict[str, Value] = {
    "title": "Pick the stack — grüße, 世界",
    "description": MARKDOWN,
    "status": "in_progress",
    "priority": "urgent",
    "owner": "me@example.com",
    "start": "2026-12-02",
    "due": "2026-12-05",
    "estimate": 240,
    "labels": ("design", "ünïcode"),
}


@pytest.fixture
def at(contracts: Path) -> Generator[MotionDesk]:
    with MotionDesk.judged() as made:
        yield made


def with_task(at: MotionDesk, **fields: Value) -> MotionDesk:
    at.apply("create", APP, title="Mobile app")
    at.apply("create", STACK, **{"title": "Pick the stack", **fields})
    at.requests()
    return at


def test_a_project_gets_its_marker_and_its_description_as_html(at: MotionDesk) -> None:
    written = at.apply(
        "create", APP, title="Mobile app", description=MARKDOWN, priority="high", due="2027-02-28"
    )
    project = at.standin.objects()[0]
    assert project["id"] == written.remote_id
    assert project["marker"]
    assert "<strong>bold</strong>" in project["description"]
    at.assert_settled()


def test_every_field_of_a_task_comes_back_as_it_was_sent(at: MotionDesk) -> None:
    with_task(at, **EVERYTHING)
    assert at.observe()[STACK].fields == {
        **EVERYTHING,
        "description": MARKDOWN.rstrip(),
        "project": APP,
        "container": "Personal",
        "scheduled_start": at.observe()[STACK].fields["scheduled_start"],
        "scheduled_end": at.observe()[STACK].fields["scheduled_end"],
    }
    assert at.observe()[STACK].fields["scheduled_start"]
    assert "<strong>bold</strong>" in at.object(STACK)["description"]
    at.assert_settled()


def test_undeclared_fields_are_left_to_motion(at: MotionDesk) -> None:
    with_task(at)
    task = at.object(STACK)
    assert (task["priority"], task["status"]["name"], task["assignees"]) == ("MEDIUM", "Todo", [])
    assert "dueDate" not in task
    assert "scheduledStart" not in task


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo", "Pacific/Auckland", "UTC"])
def test_a_due_date_is_the_same_day_in_the_owners_zone(contracts: Path, zone: str) -> None:
    with MotionDesk.judged(Seed(timezone=zone)) as at:
        at.people = {}
        at.fresh()
        with_task(at, due="2026-12-05", estimate=60, start="2026-12-01")
        assert at.observe()[STACK].fields["due"] == "2026-12-05"
        assert at.observe()[STACK].fields["start"] == "2026-12-01"


def test_a_due_date_keeps_its_day_when_somebody_in_another_zone_takes_over(
    contracts: Path,
) -> None:
    people = (("Me", "me@example.com", "jwp763"), ("A", "a@example.com", "a"))
    with MotionDesk.judged(Seed(people=people, timezone="Asia/Tokyo")) as at:
        with_task(at, owner="me@example.com", due="2026-12-05")
        at.edit(STACK, assigneeId=at.standin.users[1]["id"])
        seen = at.observe()[STACK].fields
        assert (seen["owner"], seen["due"]) == ("a@example.com", "2026-12-05")


def test_each_field_changes_in_one_request(at: MotionDesk) -> None:
    with_task(at, **EVERYTHING)
    changed: dict[str, Value] = {
        "title": "Choose the stack",
        "description": "Short now.",
        "status": "todo",
        "priority": "low",
        "start": "2026-12-03",
        "due": "2026-12-07",
        "estimate": 90,
        "labels": ("product",),
    }
    for name, value in changed.items():
        at.apply("update", STACK, **{name: value})
        assert at.requests() == ["PATCH /v1/tasks/ID"], name
        at.assert_settled()
        at.requests()
    at.apply("update", STACK, **{n: v for n, v in EVERYTHING.items() if n in changed})
    assert at.requests() == ["PATCH /v1/tasks/ID"]
    at.assert_settled()


def test_a_long_description_is_kept_whole_with_its_marker(at: MotionDesk) -> None:
    line = "A sentence of some length that goes on and on, ünïcode included. "
    with_task(at, description=line * 2000)
    assert line.strip() in at.object(STACK)["description"]
    assert at.find(STACK)[STACK].marker == at.object(STACK)["marker"] != ""
    at.apply("update", STACK, description=None)
    assert at.find(STACK)[STACK].marker == at.object(STACK)["marker"] != ""


def test_what_motion_can_clear_is_cleared(at: MotionDesk) -> None:
    with_task(at, **EVERYTHING)
    written = at.apply("update", STACK, estimate=None, labels=(), owner=None, start=None)
    assert at.requests() == ["DELETE /v1/tasks/ID/assignee", "PATCH /v1/tasks/ID"]
    assert written.warnings == ()
    seen = at.observe()[STACK].fields
    assert [seen[n] for n in ("estimate", "labels", "owner", "start")] == [None, (), None, None]
    assert seen["scheduled_start"] is None


def test_a_due_date_stays_since_motion_cannot_clear_one(at: MotionDesk) -> None:
    with_task(at, **EVERYTHING)
    written = at.apply("update", STACK, due=None)
    assert at.requests() == []
    assert written.fields == {"due": "2026-12-05"}
    assert "cannot clear a due date" in written.warnings[0]
    at.assert_settled()


def test_only_an_owner_that_is_cleared_is_one_request(at: MotionDesk) -> None:
    with_task(at, owner="me@example.com")
    at.apply("update", STACK, owner=None)
    assert at.requests() == ["DELETE /v1/tasks/ID/assignee"]
    at.assert_settled()


def test_scheduling_is_on_with_estimate_and_due_date_only(at: MotionDesk) -> None:
    with_task(at, estimate=60)
    assert "scheduledStart" not in at.object(STACK)
    at.apply("update", STACK, due="2026-12-05")
    assert "scheduledStart" in at.object(STACK)
    at.apply("update", STACK, estimate=None)
    assert "scheduledStart" not in at.object(STACK)


def test_a_start_without_a_schedule_is_left_out_and_said(at: MotionDesk) -> None:
    at.apply("create", APP, title="Mobile app")
    written = at.apply("create", STACK, title="T", start="2026-12-01")
    assert written.fields == {"start": None}
    assert "start date" in written.warnings[0]
    at.assert_settled()
    at.apply("update", STACK, start="2026-12-01", due="2026-12-05", estimate=30)
    assert at.observe()[STACK].fields["start"] == "2026-12-01"


def test_a_label_that_is_not_there_is_left_out_and_said_once(at: MotionDesk) -> None:
    at.apply("create", APP, title="Mobile app")
    first = at.apply("create", STACK, title="A", labels=("design", "nowhere"))
    second = at.apply("create", f"{APP}/b", title="B", labels=("nowhere",))
    assert first.fields == {"labels": ("design",)}
    assert "no label `nowhere`" in first.warnings[0]
    assert second.warnings == ()
    assert second.fields == {"labels": ()}
    at.assert_settled()


def test_a_label_made_meanwhile_is_found_by_one_look(at: MotionDesk) -> None:
    with_task(at)
    at.standin.workspaces[0].labels.append("fresh")
    at.apply("update", STACK, labels=("fresh",))
    assert at.requests() == ["GET /v1/workspaces", "PATCH /v1/tasks/ID"]
    at.assert_settled()


def test_labels_that_people_added_stay(at: MotionDesk) -> None:
    with_task(at, labels=("design",))
    at.edit(STACK, labels=["design", "ünïcode"])
    at.drift[STACK] = {"labels": ("design", "ünïcode")}
    written = at.apply("update", STACK, labels=("product",))
    assert at.observe()[STACK].fields["labels"] == ("product", "ünïcode")
    assert written.fields == {}


def test_a_title_that_people_changed_survives_another_change(at: MotionDesk) -> None:
    with_task(at)
    at.edit(STACK, name="My own words")
    at.drift[STACK] = {"title": "My own words"}
    at.apply("update", STACK, priority="high")
    assert at.object(STACK)["name"] == "My own words"


def test_an_owner_without_an_account_is_a_warning(at: MotionDesk) -> None:
    at.apply("create", APP, title="Mobile app")
    written = at.apply("create", STACK, title="T", owner="a@example.com")
    assert "a@example.com" in written.warnings[0]
    assert written.fields == {"owner": None}


def test_statuses_go_by_name_and_the_nearest_one_else(at: MotionDesk) -> None:
    with_task(at)
    names: list[str] = []
    for status in ("backlog", "todo", "in_progress", "done", "canceled"):
        at.apply("update", STACK, status=status)
        names.append(at.object(STACK)["status"]["name"])
        at.assert_settled()
    assert names == ["Backlog", "Todo", "In Progress", "Completed", "Canceled"]

    at.standin.workspaces[0].statuses = [
        ("Offen", True, False),
        ("In Arbeit", False, False),
        ("Fertig", False, True),
    ]
    at.standin.tasks[at.links.ids[STACK]].status = "Offen"
    at.lookups.clear()
    at.fresh()
    written = at.apply("update", STACK, status="backlog")
    assert written.fields == {"status": "todo"}
    assert "no status for backlog" in written.warnings[0]
    at.apply("update", STACK, status="in_progress")
    assert at.object(STACK)["status"]["name"] == "In Arbeit"
    assert at.apply("update", STACK, status="canceled").fields == {"status": "done"}
    at.assert_settled()


def test_no_priority_is_low_and_at_rest(at: MotionDesk) -> None:
    with_task(at, priority="none")
    assert at.object(STACK)["priority"] == "LOW"
    at.assert_settled()
    assert at.apply("update", STACK, priority=None).fields == {"priority": "low"}


def test_a_task_goes_to_another_project(at: MotionDesk) -> None:
    with_task(at)
    at.apply("create", "web", title="Web")
    at.requests()
    at.apply("move", STACK, project="web")
    assert at.requests() == ["PATCH /v1/tasks/ID"]
    assert at.observe()[STACK].fields["project"] == "web"
    written = at.apply("move", STACK, project=None)
    assert at.requests()[-1:] == ["GET /v1/tasks"]
    assert written.fields == {"project": "web"}


def test_a_task_goes_to_another_workspace_with_all_that_can_go_along(at: MotionDesk) -> None:
    with_task(at, **EVERYTHING)
    # Made since the workspaces were looked up.
    at.standin.workspaces[1].labels = ["design"]
    written = at.apply("move", STACK, container="Work")
    assert at.requests() == [
        "GET /v1/workspaces",
        "PATCH /v1/tasks/ID/move",
        "PATCH /v1/tasks/ID",
    ]
    assert len(written.warnings) == 2
    task = at.object(STACK)
    assert task["workspace"]["name"] == "Work"
    assert task["status"]["name"] == "In Progress"
    assert task["labels"] == [{"name": "design"}]
    assert "project" not in task
    at.assert_settled()


def test_archive_resolves_and_restore_reopens(at: MotionDesk) -> None:
    with_task(at, **EVERYTHING)
    at.apply("archive", STACK)
    at.apply("archive", STACK)
    assert at.requests() == ["PATCH /v1/tasks/ID"] * 2
    assert at.object(STACK)["status"]["name"] == "Canceled"
    assert at.fresh()
    assert at.find(STACK)[STACK].archived
    assert at.observe()[STACK].archived

    change = at.change("update", STACK, **EVERYTHING)
    at.run(at.reconciler.restore(at.operation(change)))
    assert not at.find(STACK)[STACK].archived
    assert at.object(STACK)["status"]["name"] == "In Progress"
    assert at.object(STACK)["scheduledStart"]


def test_what_people_canceled_is_not_taken_for_archived(at: MotionDesk) -> None:
    with_task(at)
    at.edit(STACK, status="Canceled")
    assert not at.find(STACK)[STACK].archived
    assert at.observe()[STACK].fields["status"] == "canceled"


def test_a_task_that_was_done_stays_done_when_it_is_put_away(at: MotionDesk) -> None:
    with_task(at, status="done")
    at.apply("archive", STACK)
    assert at.object(STACK)["status"]["name"] == "Completed"


def test_delete_deletes_and_one_already_gone_is_success(at: MotionDesk) -> None:
    with_task(at)
    at.apply("delete", STACK)
    at.apply("delete", STACK)
    assert [r.split()[0] for r in at.requests()] == ["DELETE", "DELETE"]
    assert at.find(STACK) == {}
    assert "deleted in Motion" in at.apply("archive", STACK).warnings[0]


def test_an_update_of_what_was_deleted_says_so(at: MotionDesk) -> None:
    with_task(at)
    at.by_hand("DELETE", f"/v1/tasks/{at.links.ids[STACK]}")
    with pytest.raises(PermanentError, match="deleted in Motion") as caught:
        at.apply("update", STACK, title="Too late")
    assert caught.value.status == 404
    assert STACK in caught.value.hint


def test_projects_cannot_be_changed(at: MotionDesk) -> None:
    at.apply("create", APP, title="Mobile app")
    for action in ("update", "archive", "delete"):
        with pytest.raises(PermanentError, match="cannot change a project"):
            at.apply(action, APP, title="Other")


def test_an_unknown_workspace_is_named_with_those_there_are(at: MotionDesk) -> None:
    at.options["workspace"] = "Nowhere"
    with pytest.raises(PermanentError, match="no workspace `Nowhere`") as caught:
        at.apply("create", APP, title="Mobile app", container="Nowhere")
    assert "Personal, Work" in caught.value.hint


def test_a_wrong_token_fails_at_once_and_never_shows(contracts: Path) -> None:
    with MotionDesk.judged() as at:
        at.token = "wrong-token"
        at.fresh()
        with pytest.raises(PermanentError) as caught:
            at.run(at.reconciler.check())
        assert caught.value.status == 401
        assert "wrong-token" not in f"{caught.value} {caught.value.hint}"


def test_a_server_that_takes_partial_updates_gets_the_same(at: MotionDesk) -> None:
    at.standin.partial_updates = True
    with_task(at, **EVERYTHING)
    at.apply("update", STACK, title="Other")
    at.assert_settled()


def test_an_answer_without_the_object_leaves_the_outcome_unknown(contracts: Path) -> None:
    with MotionDesk.judged() as at:
        at.apply("create", APP, title="Mobile app")
        at.world.faults.append(Fault("malformed", method="POST"))
        with pytest.raises(OutcomeUnknown):
            at.apply("create", STACK, title="T")
        assert at.find(STACK)[STACK].fields["title"] == "T"


def test_the_price_is_what_is_sent_on_a_cold_cache(at: MotionDesk) -> None:
    plan = [
        at.change("create", APP, title="Mobile app", due="2027-02-28"),
        at.change("create", STACK, **EVERYTHING),
        at.change("create", f"{APP}/b", title="B"),
    ]
    at.carry_out(*plan)
    assert len(at.requests()) == motion.price(plan, {}).requests == 3 + 5

    at.lookups.clear()
    at.fresh()
    plan = [
        at.change("create", f"{APP}/c", title="C", due="2026-12-01"),
        at.change("update", STACK, title="Other", owner=None),
        at.change("move", f"{APP}/b", container="Work", title="B2"),
        at.change("archive", STACK),
        at.change("delete", STACK),
    ]
    at.carry_out(*plan)
    assert len(at.requests()) == motion.price(plan, {}).requests == 1 + 2 + 2 + 1 + 1 + 3


def test_deleting_needs_no_look_up(at: MotionDesk) -> None:
    with_task(at)
    at.lookups.clear()
    at.fresh()
    plan = [at.change("delete", STACK)]
    at.carry_out(*plan)
    assert len(at.requests()) == motion.price(plan, {}).requests == 1


def test_a_second_prepare_sends_nothing(at: MotionDesk) -> None:
    with_task(at, **EVERYTHING)
    at.fresh()
    change = at.change("update", STACK, **EVERYTHING)
    at.run(at.reconciler.prepare([at.operation(change)]))
    assert at.requests() == []


def test_a_hundred_tasks_provoke_no_429_and_take_as_long_as_planned(contracts: Path) -> None:
    with MotionDesk.judged(limits=True) as at:
        at.limits = motion.PROFILE.limits
        at.fresh()
        at.apply("create", APP, title="Mobile app")
        for number in range(100):
            at.apply("create", f"{APP}/t{number}", title=f"Task {number}")
        assert all(e.status != 429 for e in at.world.traffic)
        sent = len(at.world.traffic)
        assert sum(at.clock.slept) == pytest.approx(motion.PROFILE.seconds(Price(sent)))

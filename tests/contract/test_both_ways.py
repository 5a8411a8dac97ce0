"""What people do on the platforms comes back: to the other platforms, the tables and the specs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from runner.sandbox._platform import Call, Reply
from runner.sandbox._world import Fault, World
from runner.sandbox.server import serving
from runner.show import read_resource
from runner.status import read_status, status_text
from schemas.domain import PLATFORMS, Binding
from tests.contract.round import Desk, opened, project
from tests.contract.sandboxed import SpecRepo

STATUSES = ("done", "todo", "canceled", "in_progress")


@pytest.fixture(name="desk")
def a_desk(tmp_path: Path) -> Iterator[Desk]:
    with opened(tmp_path) as desk:
        yield desk


def test_what_is_done_on_one_platform_is_done_on_all(desk: Desk) -> None:
    for platform, status in zip(PLATFORMS * 2, STATUSES * 2, strict=True):
        desk.edit(platform, "app/stack", status=status)
        desk.apply()
        assert set(desk.everywhere("app/stack", "status").values()) == {status}, platform
        assert desk.live("app/stack")["status"] == status
        assert desk.at_rest(), (platform, status)


def test_motions_schedule_shows_up_in_notion_and_in_the_status(tmp_path: Path) -> None:
    # Real time: what is over is not shown.
    with serving(World(limits=False)) as sandbox:
        task = {"due": "2099-12-18", "estimate": "4h"}
        repo = SpecRepo(tmp_path, sandbox, ("motion", "notion"), project=project(**task))
        repo.apply()
        assert not repo.observe().failed
        (change,) = repo.plan().changes
        assert (change.platform, change.reason) == ("notion", "scheduled")
        repo.apply(refresh=True)
        (row,) = [o for o in sandbox.objects()["notion"] if o["title"] == "Pick the stack"]
        (shown,) = [o for o in sandbox.objects()["motion"] if o["title"] == "Pick the stack"]
        scheduled = row["properties"]["Scheduled"]["date"]
        assert instant(scheduled["start"]) == instant(shown["scheduledStart"])
        assert instant(scheduled["end"]) == instant(shown["scheduledEnd"])
        report = read_status(repo.workspace())
        assert [item.address for item in report.scheduled] == ["app/stack"]
        assert "app/stack" in status_text(report).partition("next in Motion's calendar")[2]
        view = read_resource(repo.workspace(), "app/stack")
        (start,) = [item for item in view.fields if item.name == "scheduled_start"]
        assert (start.owner, start.why) == ("motion", "Motion's scheduler decides it")
        assert start.on.keys() == {"motion", "notion"}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_of_two_edits_the_later_one_is_followed_and_the_other_is_on_record(desk: Desk) -> None:
    desk.edit("linear", "app/stack", status="done")
    desk.edit("gitlab", "app/stack", status="in_progress")
    desk.edit("motion", "app/stack", priority="urgent")
    desk.apply()
    assert set(desk.everywhere("app/stack", "status").values()) == {"in_progress"}
    assert set(desk.everywhere("app/stack", "priority").values()) == {"urgent"}
    logs = desk.repo.workspace().reader().read("sync_logs", where={"platform": ["linear"]})
    assert ["status", "done", "in_progress"] in json.loads(str(logs[-1]["fields"]))
    assert desk.at_rest()


def test_of_two_edits_at_once_the_order_of_the_platforms_decides(desk: Desk) -> None:
    there = desk.bindings("app/stack")
    desk.clock.now = desk.clock.now // 60 * 60 + 3_600  # a full minute, to Notion as well
    for platform, status in (("motion", "done"), ("gitlab", "canceled"), ("notion", "todo")):
        desk.people.edit(there[platform], status=status)
    desk.apply()
    assert set(desk.everywhere("app/stack", "status").values()) == {"canceled"}
    assert desk.at_rest()


def test_the_plan_says_whose_edit_is_followed(desk: Desk) -> None:
    desk.edit("linear", "app/stack", status="done")
    desk.edit("notion", "app/stack", status="canceled")
    assert not desk.repo.observe().failed
    made = desk.repo.plan()
    decisions = {(item.platform, item.name): item.decision for item in made.drift}
    assert decisions == {("linear", "status"): "overrule", ("notion", "status"): "share"}
    (by,) = {item.by for item in made.drift if item.platform == "notion"}
    assert by == "me@example.com"
    reasons = {change.platform: change.reason for change in made.changes}
    assert reasons == {"linear": "overruled", "gitlab": "shared", "motion": "shared"}


def test_an_edit_stays_recorded_until_it_has_reached_every_platform(desk: Desk) -> None:
    desk.edit("linear", "app/stack", status="done")
    fault = Fault("error-before", "motion", method="PATCH", times=100)
    desk.sandbox.world.faults.append(fault)
    desk.clock.now += 3_600
    assert not desk.repo.apply(refresh=True).complete
    assert desk.everywhere("app/stack", "status")["gitlab"] == "done"
    assert desk.everywhere("app/stack", "status")["motion"] == "todo"
    desk.sandbox.world.faults.clear()
    desk.apply()
    assert set(desk.everywhere("app/stack", "status").values()) == {"done"}
    assert desk.at_rest()


def test_an_owner_is_the_same_person_under_another_name(desk: Desk) -> None:
    issue = desk.bindings("app/stack")["gitlab"].remote_id
    project_id, number = issue.split("#")
    path = f"/api/v4/projects/{project_id}/issues/{number}"
    desk.people.ask("gitlab", "PUT", path, {"assignee_ids": [1]})
    desk.apply()
    assert desk.live("app/stack")["owner"] == "me"
    owners = {p: b.base.get("owner") for p, b in desk.bindings("app/stack").items()}
    assert owners == {"gitlab": "jwp763"} | dict.fromkeys(
        ("linear", "notion", "motion"), "me@example.com"
    )
    assert desk.at_rest()


def test_a_platform_that_joins_later_is_made_with_what_the_others_have(tmp_path: Path) -> None:
    with opened(tmp_path, ("linear", "gitlab")) as desk:
        desk.edit("gitlab", "app/stack", status="in_progress", description="By hand.")
        desk.apply()
        desk.repo.platforms = ("linear", "gitlab", "notion", "motion")
        desk.apply()
        assert set(desk.everywhere("app/stack", "status").values()) == {"in_progress"}
        assert desk.bindings("app/stack")["notion"].base["description"] == "By hand."
        assert desk.at_rest()


def test_a_released_field_keeps_its_value_and_is_shared_from_then_on(tmp_path: Path) -> None:
    with opened(tmp_path, PLATFORMS, due="2026-12-05", status="todo") as desk:
        assert desk.repo.project is not None
        task = desk.repo.project["tasks"]["stack"]
        del task["due"]
        desk.apply()
        assert desk.live("app/stack")["due"] == "2026-12-05"
        desk.edit("notion", "app/stack", due="2027-01-31")
        desk.apply()
        assert set(desk.everywhere("app/stack", "due").values()) == {"2027-01-31"}
        task["due"] = "2026-12-24"
        desk.apply()
        assert set(desk.everywhere("app/stack", "due").values()) == {"2026-12-24"}
        assert "due" not in desk.live("app/stack")
        assert desk.at_rest()


def test_a_platform_that_cannot_be_read_changes_nothing(desk: Desk) -> None:
    desk.edit("linear", "app/stack", status="done")
    desk.edit("gitlab", "app/stack", priority="high")
    for platform in PLATFORMS:
        desk.sandbox.world.faults.append(Fault("truncated", platform, times=100))
    before = desk.repo.workspace().reader().version()
    found = desk.repo.observe()
    assert found.failed.keys() == {*PLATFORMS}
    assert desk.repo.workspace().reader().version() == before
    desk.sandbox.world.faults.clear()
    desk.apply()
    assert set(desk.everywhere("app/stack", "status").values()) == {"done"}
    assert set(desk.everywhere("app/stack", "priority").values()) == {"high"}


def test_platforms_that_rewrite_what_they_are_given_do_not_play_ping_pong(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Linear an automation makes high urgent, on GitLab another one makes urgent high."""
    there = desk.bindings("app/stack")
    echoing(
        desk, monkeypatch, there["linear"], lambda c: b"issueUpdate" in c.body, "high", "urgent"
    )
    echoing(desk, monkeypatch, there["gitlab"], lambda c: c.method == "PUT", "urgent", "high")
    desk.edit("notion", "app/stack", priority="high")
    stubborn: list[str] = []
    for _ in range(12):
        desk.clock.now += 600
        applied = desk.repo.apply(refresh=True)
        assert applied.observed is not None
        stubborn += applied.observed.stubborn
    assert desk.at_rest()
    # Each has its way, and a person is told.
    seen = desk.everywhere("app/stack", "priority")
    assert (seen["linear"], seen["gitlab"]) == ("urgent", "high")
    assert stubborn[0].endswith(":app/stack priority")
    # A person's edit still counts.
    desk.edit("motion", "app/stack", priority="low")
    desk.apply()
    assert set(desk.everywhere("app/stack", "priority").values()) == {"low"}


def echoing(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    binding: Binding,
    writes: Callable[[Call], bool],
    given: str,
    made: str,
) -> None:
    """Have a platform change a priority a second after it was written."""
    standin = desk.sandbox.standins[binding.platform]
    handle = standin.handle
    at_it = False

    def handled(call: Call) -> Reply:
        nonlocal at_it
        reply = handle(call)
        if writes(call) and not at_it:
            at_it = True
            desk.clock.now += 1
            if desk.people.look(binding)["priority"] == given:
                desk.people.edit(binding, priority=made)
            at_it = False
        return reply

    monkeypatch.setattr(standin, "handle", handled)

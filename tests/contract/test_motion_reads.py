"""Motion: finding by marker, observing what changed, pages, and what goes wrong."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from runner.sandbox._world import Fault, Seed
from schemas.domain import resource_id
from schemas.errors import TemporaryError
from tests.contract.desk import STATE
from tests.contract.motion_desk import MotionDesk

APP = "mobile-app"
STACK = "mobile-app/pick-stack"


@pytest.fixture
def at(contracts: Path) -> Generator[MotionDesk]:
    with MotionDesk.judged() as made:
        yield made


def make_many(at: MotionDesk, count: int) -> list[str]:
    addresses = [f"{APP}/t{number}" for number in range(count)]
    at.apply("create", APP, title="Mobile app")
    at.carry_out(*(at.change("create", a, title=a) for a in addresses))
    at.requests()
    return addresses


def test_who_we_are_is_one_request(at: MotionDesk) -> None:
    assert at.run(at.reconciler.check()) == "Me <me@example.com>"
    assert at.requests() == ["GET /v1/users/me"]


def test_lists_are_read_to_the_last_page(at: MotionDesk) -> None:
    at.standin.page_size = 4
    addresses = make_many(at, 9)
    assert at.find(*addresses).keys() == set(addresses)
    assert at.requests() == ["GET /v1/tasks"] * 3
    assert at.observe().keys() == {APP, *addresses}


def test_a_full_last_page_needs_no_further_request(at: MotionDesk) -> None:
    at.standin.page_size = 4
    addresses = make_many(at, 8)
    at.find(*addresses)
    assert at.requests() == ["GET /v1/tasks"] * 2


def test_done_tasks_are_found_and_observed(at: MotionDesk) -> None:
    make_many(at, 1)
    at.apply("update", f"{APP}/t0", status="done")
    assert at.find(f"{APP}/t0")[f"{APP}/t0"].fields["status"] == "done"
    assert at.observe()[f"{APP}/t0"].fields["status"] == "done"


def test_tasks_of_a_project_that_is_not_bound_are_looked_for_everywhere(at: MotionDesk) -> None:
    make_many(at, 2)
    at.links.ids.clear()
    assert at.find(APP, f"{APP}/t0", f"{APP}/t1").keys() == {APP, f"{APP}/t0", f"{APP}/t1"}
    assert at.requests() == ["GET /v1/projects", "GET /v1/tasks"]
    assert all(("projectId", "") not in e.query for e in at.world.traffic)


def test_of_duplicates_the_oldest_is_found(at: MotionDesk) -> None:
    make_many(at, 1)
    first = at.links.ids[f"{APP}/t0"]
    marker = resource_id(STATE, f"{APP}/t0")
    body = {"name": "Copy", "workspaceId": at.standin.workspaces[0].id}
    project = at.links.ids[APP]
    at.by_hand("POST", "/v1/tasks", **body, projectId=project, description=f"trueup:{marker}")
    assert at.find(f"{APP}/t0")[f"{APP}/t0"].remote_id == first


def test_the_marker_of_a_description_that_quotes_another_is_the_last(at: MotionDesk) -> None:
    other = resource_id(STATE, "other")
    at.apply("create", APP, title="Mobile app")
    at.apply("create", STACK, title="T", description=f"see trueup:{other}")
    assert at.find(STACK)[STACK].marker == resource_id(STATE, STACK)


def test_what_is_not_there_is_not_found(at: MotionDesk) -> None:
    assert at.find(APP, STACK) == {}


def test_foreign_objects_are_left_out(at: MotionDesk) -> None:
    workspace = at.standin.workspaces[0].id
    at.by_hand("POST", "/v1/tasks", name="Buy milk", workspaceId=workspace)
    at.by_hand("POST", "/v1/projects", name="Home", workspaceId=workspace)
    assert at.observe() == {}


def test_a_task_without_its_marker_is_still_known_by_its_binding(at: MotionDesk) -> None:
    make_many(at, 1)
    at.edit(f"{APP}/t0", description="All my own words.")
    seen = {found.remote_id: found for found in at.yielded()}
    assert seen[at.links.ids[f"{APP}/t0"]].marker == ""
    at.apply("update", f"{APP}/t0", description="Declared.")
    assert at.observe()[f"{APP}/t0"].marker == resource_id(STATE, f"{APP}/t0")


def test_observe_yields_what_changed_since_and_what_is_scheduled(at: MotionDesk) -> None:
    make_many(at, 3)
    at.apply("update", f"{APP}/t1", estimate=60, due="2026-12-05")
    at.clock.now += 3600
    at.edit(f"{APP}/t2", name="Edited")
    since = at.world.now("motion").strftime("%Y-%m-%dT%H:%M:%SZ")
    seen = at.observe(since)
    assert seen.keys() == {f"{APP}/t1", f"{APP}/t2"}
    assert seen[f"{APP}/t2"].fields["title"] == "Edited"


def test_workspaces_in_use_are_observed_too(at: MotionDesk) -> None:
    at.apply("create", "home", title="Home", container="Work")
    at.apply("create", "home/a", title="A", container="Work")
    assert at.observe().keys() == {"home", "home/a"}


def test_the_only_workspace_needs_no_name(contracts: Path) -> None:
    with MotionDesk.judged(Seed()) as at:
        at.options.clear()
        at.apply("create", APP, title="Mobile app", container=None)
        assert at.find(APP).keys() == {APP}


@pytest.mark.parametrize("kind", ["malformed", "truncated", "error-before", "drop-before"])
def test_a_failed_read_is_never_taken_for_absence(contracts: Path, kind: str) -> None:
    with MotionDesk.judged() as at:
        make_many(at, 1)
        times = 1 if kind == "malformed" else 99
        fault = Fault(kind, path="/v1/tasks", times=times)  # pyright: ignore[reportArgumentType]
        at.world.faults.append(fault)
        with pytest.raises(TemporaryError):
            at.find(f"{APP}/t0")


def test_statuses_are_asked_for_where_the_workspaces_lack_them(
    at: MotionDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = type(at.standin.workspaces[0])
    shown = workspace.shown

    def bare(this: object) -> dict[str, object]:
        return {k: v for k, v in shown(this).items() if k != "statuses"}  # pyright: ignore

    monkeypatch.setattr(workspace, "shown", bare)
    at.apply("create", APP, title="Mobile app")
    at.apply("create", STACK, title="T", status="done")
    assert "GET /v1/statuses" in at.requests()
    assert at.object(STACK)["status"]["name"] == "Completed"


def test_lookups_of_another_shape_are_looked_up_again(at: MotionDesk) -> None:
    at.lookups.update(workspaces="?", users=[1], timezone=3, projects=None, used={}, archived=1)
    at.fresh()
    at.apply("create", APP, title="Mobile app")
    at.assert_settled()

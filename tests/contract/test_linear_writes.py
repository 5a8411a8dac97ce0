"""Linear: what each change does there, in how many requests, and that it reads back the same."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from reconcilers import linear
from runner.sandbox._world import Fault
from schemas.domain import Value, resource_id
from schemas.errors import OutcomeUnknown, PermanentError
from tests.contract.linear_desk import STATE, Desk, desk
from tests.contract.vendor_linear import violations

PROJECT = "mobile-app"
BETA = "mobile-app/milestones/beta"
STACK = "mobile-app/pick-stack"
LOGIN = "mobile-app/design-login"
SHIP = "mobile-app/ship"

LONG = "# Überschrift 🚀\n\n" + "- [ ] ein Punkt mit `code` & <b>Tags</b>\n" * 2000


@pytest.fixture
def at(contracts: Path) -> Generator[Desk]:
    with desk() as made:
        yield made
        assert [v for e in made.world.traffic for v in violations(e)] == []


def whole_project(**fields: Value) -> dict[str, Value]:
    project: dict[str, Value] = {
        "title": "Mobile app",
        "description": LONG,
        "status": "in_progress",
        "priority": "high",
        "owner": "me@example.com",
        "start": "2026-12-01",
        "due": "2027-02-28",
        "labels": ("product", "ünïcode"),
        "links": ("https://example.com/b The brief", "https://example.com/a"),
        "container": "MOB",
    }
    return project | fields


def whole_task(**fields: Value) -> dict[str, Value]:
    task: dict[str, Value] = {
        "title": "Pick the stack — größer 🚀",
        "description": LONG,
        "status": "in_progress",
        "priority": "urgent",
        "owner": "me@example.com",
        "due": "2026-12-05",
        "estimate": 480,
        "labels": ("bug", "ops"),
        "links": ("https://example.com/z The [plan] (old)", "https://example.com/y"),
        "milestone": BETA,
        "project": PROJECT,
        "container": "MOB",
    }
    return task | fields


def make_project(at: Desk) -> None:
    at.apply("create", PROJECT, **whole_project())
    at.apply("create", BETA, title="Beta", description="Öffentlich", due="2027-01-31", project=PROJECT)


def make_tasks(at: Desk) -> None:
    make_project(at)
    at.apply("create", STACK, **whole_task())
    at.apply("create", LOGIN, title="Design", project=PROJECT, depends_on=(STACK,))


def test_everything_made_reads_back_as_it_was_sent(at: Desk) -> None:
    make_tasks(at)
    at.apply("create", SHIP, **whole_task(parent=LOGIN, depends_on=(LOGIN, STACK)))
    at.assert_settled()
    assert at.object(STACK)["id"] == resource_id(STATE, STACK)
    assert at.object(SHIP)["identifier"] == "MOB-3"


def test_names_are_looked_up_once_and_each_create_is_one_request(at: Desk) -> None:
    make_tasks(at)
    assert at.requests() == [
        "LookUp",
        "projectLabelCreate",
        "projectCreate",
        "projectMilestoneCreate",
        "LookUp",
        "issueLabelCreate",
        "issueCreate",
        "issueCreate",
    ]

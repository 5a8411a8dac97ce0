"""Routing: which tier a request is for, which model of it is asked, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from runner.agent.contract import AgentRequest, Tier
from runner.agent.route import (
    Decision,
    Features,
    Option,
    Policy,
    Standing,
    escalate,
    measure,
    named_projects,
    route,
)
from runner.language.load import load
from tests.specrepo import AROUND, write

CHEAP = Option("a:small", "small", 0.003, 0.02)
DEAR = Option("b:small", "small", 0.005, 0.03)
MIDDLE = Option("a:medium", "medium", 0.07, 0.3)
BIG = Option("a:large", "large", 0.14, 0.6)
ALL = (BIG, DEAR, MIDDLE, CHEAP)
ANY = Policy()

APPS = """
kind: Project
key: mobile-app
name: Mobile app
tasks:
  login: {title: Log in, tasks: {form: {title: Make the form}}}
---
kind: Project
key: web
name: Website relaunch
"""


@pytest.mark.parametrize(
    ("features", "tier"),
    [
        (Features(words=6, asks=1, named=1, projects=1, tasks=10), "small"),
        (Features(words=6, asks=1), "small"),
        (Features(words=12, asks=1, deadline=True), "medium"),
        (Features(words=12, asks=1, named=1, deadline=True), "small"),
        (Features(words=80, asks=6, named=1), "medium"),
        (Features(words=20, named=2, projects=2, tasks=60), "medium"),
        (Features(words=300, asks=9, named=3, projects=2, tasks=50), "large"),
        (Features(words=300, deadline=True), "large"),
        (Features(words=5, named=1, projects=1, tasks=400), "medium"),
        (Features(words=70, named=1, earlier=2), "medium"),
    ],
)
def test_features_decide_the_tier(features: Features, tier: Tier) -> None:
    decision = route(features, ANY, ALL, Standing())
    assert decision.tier == tier
    assert decision.reasons[0].startswith(f"{tier}: ")


@pytest.mark.parametrize(
    ("policy", "available", "ledger", "models", "said"),
    [
        (ANY, ALL, Standing(), ("a:small", "b:small"), "by price of a usual call: a:small $0.0030"),
        (ANY, (DEAR, BIG), Standing(), ("b:small",), "by price"),
        (ANY, (BIG, MIDDLE), Standing(), ("a:medium",), "medium instead of small: no model of"),
        (Policy(smallest="medium"), ALL, Standing(), ("a:medium",), "medium instead of small: Set"),
        (Policy("large", "medium"), ALL, Standing(), ("a:medium",), "Settings say so"),
        (
            ANY,
            ALL,
            Standing(failing=frozenset({"a:small"})),
            ("b:small", "a:small"),
            "last, for they failed a moment ago: a:small",
        ),
        (ANY, ALL, Standing(left=0.025), ("a:small",), "by price"),
        (
            Policy(smallest="medium"),
            ALL,
            Standing(left=0.25),
            ("a:small", "b:small"),
            "no medium model fits into the $0.25 that are left",
        ),
        (ANY, (), Standing(), (), "no model is available"),
        (ANY, ALL, Standing(left=0.001), (), "no model is available"),
        (Policy(largest="small"), (BIG,), Standing(), (), "no model is available"),
    ],
)
def test_the_cheapest_that_may_and_can(
    policy: Policy,
    available: tuple[Option, ...],
    ledger: Standing,
    models: tuple[str, ...],
    said: str,
) -> None:
    decision = route(Features(words=5, named=1), policy, available, ledger)
    assert decision.models == models
    assert decision.model == (models[0] if models else "")
    assert said in "\n".join(decision.reasons)


def test_equal_prices_are_settled_by_name() -> None:
    twin = Option("a:first", "small", 0.003)
    assert route(Features(), ANY, (CHEAP, twin), Standing()).models == ("a:first", "a:small")


@pytest.mark.parametrize(
    ("tier", "policy", "available", "left", "found"),
    [
        ("small", ANY, ALL, 9.0, "a:medium"),
        ("small", ANY, (CHEAP, BIG), 9.0, "a:large"),
        ("medium", ANY, ALL, 9.0, "a:large"),
        ("large", ANY, ALL, 9.0, None),
        ("small", Policy(largest="small"), ALL, 9.0, None),
        ("small", ANY, (CHEAP, DEAR), 9.0, None),
        ("small", ANY, ALL, 0.1, None),
    ],
)
def test_one_tier_up(
    tier: Tier, policy: Policy, available: tuple[Option, ...], left: float, found: str | None
) -> None:
    decision = escalate(Decision(tier, ()), policy, available, Standing(left), "it failed")
    assert (decision.model if decision else None) == found
    assert decision is None or "it failed" in decision.reasons[0]


@pytest.mark.parametrize(
    ("message", "keys"),
    [
        ("Add a task to the mobile app", "mobile-app"),
        ("Add a task to MOBILE-APP.", "mobile-app"),
        ("Move mobile-app/login to web", "mobile-app web"),
        ("Plan the website relaunch (and nothing else)", "web"),
        ("Add a task to the mobile application", ""),
        ("webinar", ""),
        ("", ""),
    ],
)
def test_projects_are_named_by_key_or_name(tmp_path: Path, message: str, keys: str) -> None:
    write(tmp_path, APPS, AROUND)
    projects = {item.data["key"]: item for item in load(tmp_path).projects}
    assert named_projects(message, projects) == set(keys.split())


def test_a_task_of_another_project_is_in_reach_if_its_key_or_quotes_say_so(tmp_path: Path) -> None:
    lab = """
    kind: Project
    key: lab
    name: Lab
    tasks: {book-room: {title: Reserve a room}}
    """
    write(tmp_path, f"{dedent(APPS)}\n---\n{dedent(lab)}", AROUND)
    projects = {item.data["key"]: item for item in load(tmp_path).projects}
    for message in ("Move book-room to the mobile app", "Move “Reserve a room” to mobile-app"):
        assert named_projects(message, projects) == {"mobile-app", "lab"}
    for message in ("Reserve a room for the mobile app", "Give the mobile app more room"):
        assert named_projects(message, projects) == {"mobile-app"}
    assert named_projects("Move book-room", projects) == set()


def test_features_are_counted(tmp_path: Path) -> None:
    write(tmp_path, APPS, AROUND)
    projects = {item.data["key"]: item for item in load(tmp_path).projects}
    message = "Move mobile-app/login by 2 weeks. Then tell web!\nAnd mobile-app/gone?"
    assert measure(AgentRequest(message), projects, earlier=1) == Features(
        words=10, asks=3, named=3, projects=2, tasks=2, deadline=True, earlier=1
    )
    for text in ("bis 1.3.2027", "in drei Tagen, 3 Tage", "em 2 meses", "by 2027-01-31", "3-month"):
        assert measure(AgentRequest(text), projects).deadline, text
    assert not measure(AgentRequest("as soon as you can"), projects).deadline

"""GitLab: finding by marker, observing what changed, pages, limits and refusals."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconcilers import gitlab
from runner.sandbox._world import Fault
from schemas.errors import PermanentError, TemporaryError
from tests.contract.gitlab_desk import GitlabDesk

STACK = "mobile-app/pick-stack"
BETA = "mobile-app/milestones/beta"


@pytest.fixture
def at(contracts: Path) -> Generator[GitlabDesk]:
    with GitlabDesk.judged() as made:
        yield made


def make_many(at: GitlabDesk, count: int) -> list[str]:
    addresses = [f"mobile-app/t{number}" for number in range(count)]
    at.carry_out(*(at.change("create", a, title=a, project="mobile-app") for a in addresses))
    at.requests()
    return addresses


def test_who_we_are_is_one_request(at: GitlabDesk) -> None:
    assert at.run(at.reconciler.check()) == "jwp763"
    assert len(at.world.traffic) == 1


def test_find_and_observe_read_to_the_last_page(at: GitlabDesk) -> None:
    addresses = make_many(at, 201)
    assert at.find(*addresses).keys() == set(addresses)
    assert at.requests() == ["GET 101/issues"] * 3
    assert at.observe().keys() == set(addresses)


def test_of_duplicates_the_oldest_is_found(at: GitlabDesk) -> None:
    make_many(at, 1)
    at.links.ids.clear()
    home = at.standin.there.projects[101]
    at.bases.clear()
    first = home.issues[1]
    at.apply("create", "mobile-app/other", title="C", project="mobile-app")
    home.issues[2].description = first.description

    assert at.find("mobile-app/t0")["mobile-app/t0"].remote_id == "101#1"


def test_what_is_not_there_is_not_found(at: GitlabDesk) -> None:
    assert at.find(STACK, BETA, "mobile-app") == {}


def test_the_trace_of_an_issue_that_moved_away_is_no_find(at: GitlabDesk) -> None:
    at.apply("create", STACK, title="T", project="mobile-app")
    at.apply("move", STACK, container="jwp763/web/app")
    assert at.find(STACK) == {}


def test_only_what_changed_since_is_observed(at: GitlabDesk) -> None:
    make_many(at, 3)
    at.apply("create", BETA, title="Beta")
    at.clock.now += 3600
    since = datetime.fromtimestamp(at.clock.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert at.observe(since) == {}

    at.clock.now -= 300
    at.apply("update", "mobile-app/t1", title="Edited")
    at.apply("update", BETA, due="2027-01-01")
    at.requests()
    seen = at.observe(since)
    assert seen.keys() == {"mobile-app/t1", BETA}
    assert at.requests() == ["GET 101/issues", "GET 101/milestones"]


def test_objects_of_others_are_left_out(at: GitlabDesk) -> None:
    make_many(at, 1)
    at.links.ids.clear()
    assert at.observe() == {}


def test_containers_of_overrides_are_observed_too(at: GitlabDesk) -> None:
    at.apply("create", STACK, title="T", container="jwp763/web/app")
    at.fresh()
    assert at.observe()[STACK].fields["container"] == "jwp763/web/app"


def test_a_project_that_is_not_there_is_named(at: GitlabDesk) -> None:
    at.options["project"] = "jwp763/nothing"
    with pytest.raises(PermanentError, match="there is no project jwp763/nothing") as caught:
        at.apply("create", STACK, title="T")
    assert "Integrations" in caught.value.hint


def test_without_a_project_there_is_a_hint(at: GitlabDesk) -> None:
    at.options.clear()
    with pytest.raises(PermanentError) as caught:
        at.apply("create", STACK, title="T")
    assert "Integrations" in caught.value.hint


def test_a_bad_token_is_a_permanent_error_without_the_token() -> None:
    with GitlabDesk.opened() as at:
        at.token = "glpat-wrong"
        at.fresh()
        with pytest.raises(PermanentError) as caught:
            at.run(at.reconciler.check())
        assert caught.value.status == 401
        assert "glpat-wrong" not in str(caught.value) + caught.value.hint


def test_an_id_of_something_else_is_refused(at: GitlabDesk) -> None:
    at.links.ids[STACK] = "not-an-id"
    with pytest.raises(PermanentError, match="not the id of a GitLab object"):
        at.apply("update", STACK, title="T")


@pytest.mark.parametrize("kind", ["malformed", "truncated", "drop-before", "error-after"])
def test_a_read_that_fails_once_is_read_again_or_raises(at: GitlabDesk, kind: str) -> None:
    make_many(at, 1)
    at.world.faults.append(Fault(kind, method="GET"))  # pyright: ignore[reportArgumentType]
    if kind == "malformed":
        with pytest.raises(TemporaryError):
            at.find("mobile-app/t0")
    else:
        assert at.find("mobile-app/t0")


def test_creates_keep_to_gitlabs_own_limit_for_them() -> None:
    with GitlabDesk.opened(limits=True) as at:
        at.limits = gitlab.PROFILE.limits
        at.fresh()
        make_many(at, 450)
        assert sum(at.clock.slept) == pytest.approx(120, abs=2)
        assert {exchange.status for exchange in at.world.traffic} == {200, 201}


def test_a_rate_limit_is_waited_out() -> None:
    with GitlabDesk.opened() as at:
        at.world.faults.append(Fault("rate-limit", method="POST", seconds=7))
        at.apply("create", STACK, title="T")
        assert at.clock.slept == [pytest.approx(7)]
        assert len(at.standin.objects()) == 1

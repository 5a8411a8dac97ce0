"""Linear: finding, observing, look-ups, limits and errors."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from reconcilers import linear
from reconcilers._budget import Budget
from reconcilers._contract import Limits, Operation
from reconcilers._linear_graphql import classifier, learn
from runner.sandbox._world import Fault
from runner.sandbox.linear import Bucket
from schemas.domain import Change, resource_id
from schemas.errors import OutcomeUnknown, PermanentError, TemporaryError
from tests.contract.desk import STATE, Skipping
from tests.contract.linear_desk import LinearDesk

PROJECT = "mobile-app"
STACK = "mobile-app/pick-stack"
LOGIN = "mobile-app/design-login"


@pytest.fixture
def at(contracts: Path) -> Generator[LinearDesk]:
    with LinearDesk.judged() as made:
        yield made


def make(at: LinearDesk, *tasks: Change) -> None:
    at.apply("create", PROJECT, title="Mobile app")
    for start in range(0, len(tasks), 50):
        at.create_many(*tasks[start : start + 50])
    at.requests()


def test_who_we_are_takes_one_request(at: LinearDesk) -> None:
    assert at.run(at.reconciler.check()) == "Me <me@example.com> in Sandbox"
    assert at.requests() == ["Check"]


def test_observing_no_change_is_one_request_and_a_change_two(at: LinearDesk) -> None:
    make(at, at.change("create", STACK, title="T", project=PROJECT))
    at.clock.now += 3_600
    since = at.world.instant("linear")
    assert at.observe(since) == {}
    assert at.requests() == ["Changed"]
    at.apply("update", STACK, title="New")
    at.requests()
    seen = at.observe(since)
    assert at.requests() == ["Changed", "Read"]
    assert seen.keys() == {STACK}
    assert seen[STACK].fields["title"] == "New"
    assert seen[STACK].updated_at == seen[STACK].revision >= since


def test_clocks_that_differ_a_little_lose_no_change(at: LinearDesk) -> None:
    make(at, at.change("create", STACK, title="T", project=PROJECT))
    at.world.clock_skew["linear"] = -30.0
    at.clock.now += 3_600
    since = at.world.instant("gitlab")
    at.apply("update", STACK, title="New")
    assert at.observe(since).keys() == {STACK}


def test_edits_of_people_are_seen_in_our_words(at: LinearDesk) -> None:
    make(at, at.change("create", STACK, title="T", project=PROJECT, status="todo"))
    states = at.ask("query { workflowStates(first: 50) { nodes { id name team { key } } } }")
    review = next(
        s["id"]
        for s in states["workflowStates"]["nodes"]
        if s["name"] == "In Review" and s["team"]["key"] == "MOB"
    )
    at.ask(
        "mutation($id: String!, $input: IssueUpdateInput!)"
        " { issueUpdate(id: $id, input: $input) { success } }",
        id=at.links.ids[STACK],
        input={"title": "Theirs", "stateId": review, "dueDate": "2026-12-09", "priority": 4},
    )
    fields = at.observe()[STACK].fields
    assert fields["title"] == "Theirs"
    assert fields["status"] == "in_progress"
    assert fields["due"] == "2026-12-09"
    assert fields["priority"] == "low"


def test_foreign_objects_cost_nothing_but_their_ids(at: LinearDesk) -> None:
    make(at, at.change("create", STACK, title="T", project=PROJECT))
    foreign = [{"teamId": at.object(STACK)["team"], "title": f"F{i}"} for i in range(50)]
    for _ in range(11):
        at.ask(
            "mutation($input: IssueBatchCreateInput!) { issueBatchCreate(input: $input)"
            " { success } }",
            input={"issues": foreign},
        )
    at.requests()
    assert at.observe().keys() == {PROJECT, STACK}
    assert at.requests() == ["Changed", "Changed", "Changed", "Read"]


def test_references_to_foreign_objects_are_left_open(at: LinearDesk) -> None:
    make(at, at.change("create", STACK, title="T", project=PROJECT))
    made = at.ask(
        "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { issue { id } } }",
        input={"teamId": at.object(STACK)["team"], "title": "Foreign"},
    )
    at.ask(
        "mutation($id: String!, $input: IssueUpdateInput!)"
        " { issueUpdate(id: $id, input: $input) { success } }",
        id=at.links.ids[STACK],
        input={"parentId": made["issueCreate"]["issue"]["id"], "projectId": None},
    )
    fields = at.observe()[STACK].fields
    assert "parent" not in fields
    assert fields["project"] is None


def test_full_pages_of_every_kind_stay_under_the_points_of_a_query(at: LinearDesk) -> None:
    tasks = [
        at.change("create", f"mobile-app/t{i}", title=f"T{i}", project=PROJECT) for i in range(251)
    ]
    make(at, *tasks)
    for i in range(41):
        at.apply("create", f"p{i}", title=f"P{i}")
    beta = [
        at.change("create", f"mobile-app/milestones/m{i}", title=f"M{i}", project=PROJECT)
        for i in range(101)
    ]
    for start in range(0, len(beta), 50):
        at.create_many(*beta[start : start + 50])
    at.requests()
    at.assert_settled()
    assert at.requests() == ["Changed", "Changed", "Read", "Read", "Read"]
    found = at.find(*(change.address for change in (*tasks, *beta)))
    assert len(found) == 352


def test_long_lists_on_an_issue_are_read_whole(at: LinearDesk) -> None:
    many = [
        at.change("create", f"mobile-app/t{i:02}", title=f"T{i}", project=PROJECT)
        for i in range(12)
    ]
    make(at, *many)
    at.apply(
        "create",
        STACK,
        title="T",
        project=PROJECT,
        depends_on=tuple(change.address for change in many),
        labels=tuple(f"label-{i:02}" for i in range(12)),
        links=tuple(f"https://example.com/{i} Link {i}" for i in range(12)),
    )
    at.apply("update", PROJECT, links=tuple(f"https://example.com/{i}" for i in range(12)))
    at.requests()
    at.assert_settled()
    assert at.requests() == ["Changed", "Read", "Read"]


def test_what_an_integration_attaches_is_no_link_of_ours(at: LinearDesk) -> None:
    make(at, at.change("create", STACK, title="T", project=PROJECT))
    at.apply("update", STACK, links=("https://example.com/a",))
    at.standin.home.add(
        "Attachment",
        {
            "issueId": at.links.ids[STACK],
            "url": "https://example.com/merge/1",
            "title": "Merge",
            "metadata": {},
            "sourceType": "gitlab",
        },
    )
    assert at.observe()[STACK].fields["links"] == ("https://example.com/a",)


def test_what_linear_archives_by_itself_was_not_put_away(at: LinearDesk) -> None:
    make(
        at,
        at.change("create", STACK, title="T", project=PROJECT),
        at.change("create", LOGIN, title="L", project=PROJECT),
    )
    row = at.standin.home.get("Issue", at.links.ids[STACK])
    at.standin.home.change(row, {"archivedAt": "2026-11-24T10:00:00.000Z"})
    at.standin.home.change(row, {"autoArchivedAt": "2026-11-24T10:00:00.000Z"})
    at.apply("archive", LOGIN)
    seen = at.observe()
    assert not seen[STACK].archived
    assert seen[LOGIN].archived


def test_find_answers_for_what_is_there_and_for_nothing_else(at: LinearDesk) -> None:
    make(at, at.change("create", STACK, title="T", project=PROJECT))
    found = at.find(PROJECT, STACK, LOGIN, "mobile-app/milestones/beta")
    assert found.keys() == {PROJECT, STACK}
    assert found[STACK].marker == found[STACK].remote_id == resource_id(STATE, STACK)
    assert at.requests() == ["Read"]


def test_nobody_is_asked_for_nothing(at: LinearDesk) -> None:
    assert at.find() == {}
    at.run(at.reconciler.prepare([]))
    assert at.requests() == []


def test_warm_look_ups_send_nothing(at: LinearDesk) -> None:
    labelled = at.change(
        "create", STACK, title="T", labels=("ops",), owner="me@example.com", project=PROJECT
    )
    make(at, labelled)
    at.fresh()
    at.run(at.reconciler.prepare([at.operation(labelled)]))
    assert at.requests() == []


def test_only_a_missing_name_is_looked_up_again(at: LinearDesk) -> None:
    make(at, at.change("create", STACK, title="T", labels=("ops",), project=PROJECT))
    at.fresh()
    at.apply("update", STACK, labels=("bug", "ops"))
    assert at.requests() == ["LookUp", "issueUpdate"]
    assert at.object(STACK)["labels"] == ["Bug", "ops"]


@pytest.mark.parametrize(
    "junk", [{"teams": 3}, {"teams": {"MOB": "x"}, "labels": {"ops": 1}}, {"people": [1]}]
)
def test_kept_look_ups_of_another_shape_are_not_believed(
    at: LinearDesk, junk: dict[str, object]
) -> None:
    at.lookups = junk
    at.fresh()
    at.apply("create", PROJECT, title="Mobile app")
    at.apply("create", STACK, title="T", labels=("ops",), owner="me@example.com", project=PROJECT)
    assert at.object(STACK)["labels"] == ["ops"]


def test_more_names_than_one_look_up_holds(at: LinearDesk) -> None:
    labels = tuple(f"label-{i:03}" for i in range(120))
    at.apply("create", PROJECT, title="Mobile app")
    at.apply("create", STACK, title="T", labels=labels, project=PROJECT)
    at.fresh()
    at.lookups.clear()
    at.fresh()
    at.requests()
    at.apply("update", STACK, labels=labels[1:])
    assert at.requests() == ["LookUp", "LookUp", "issueUpdate"]
    assert at.object(STACK)["labels"] == list(labels[1:])


def test_a_wrong_key_is_refused_and_never_shown(at: LinearDesk) -> None:
    at.token = "lin_api_wrong"
    at.fresh()
    with pytest.raises(PermanentError) as refused:
        at.run(at.reconciler.check())
    assert refused.value.status == 401
    assert "LINEAR_API_KEY" in refused.value.hint
    assert "lin_api_wrong" not in str(refused.value)


def test_other_tokens_are_bearer_tokens() -> None:
    budget = Budget(Limits(1, 1.0), Skipping())
    bare = linear.transport("lin_api_x", "http://127.0.0.1/graphql", budget)
    bearer = linear.transport("lin_oauth_x", "http://127.0.0.1/graphql", budget)
    assert bare.redact("lin_api_x") == "[redacted]"
    assert _authorization(bare) == "lin_api_x"
    assert _authorization(bearer) == "Bearer lin_oauth_x"


def _authorization(transport: object) -> str:
    return vars(transport)["_headers"]["Authorization"]


def test_a_malformed_answer_to_a_read_is_asked_for_again(at: LinearDesk) -> None:
    make(at)
    at.world.faults.append(Fault("malformed", platform="linear"))
    assert at.observe().keys() == {PROJECT}


def test_a_find_that_fails_raises(at: LinearDesk) -> None:
    at.world.faults.append(Fault("error-before", platform="linear", times=9))
    with pytest.raises(TemporaryError):
        at.find(STACK)


def test_a_duplicate_that_cannot_be_read_yet_stays_unknown(at: LinearDesk) -> None:
    tasks = [at.change("create", a, title="T", project=PROJECT) for a in (STACK, LOGIN)]
    make(at, *tasks)
    for address in (STACK, LOGIN):
        del at.links.ids[address], at.bases[address]
    at.world.search_lag["linear"] = 3_600
    results = at.create_many(*tasks)
    assert all(isinstance(result, OutcomeUnknown) for result in results)


def test_rate_limits_are_kept_without_provoking_one() -> None:
    with LinearDesk.opened(limits=True) as at:
        at.standin.buckets["requests"] = Bucket(20, 60.0)
        at.limits = Limits(20, 60.0, points=3_000_000)
        at.fresh()
        for _ in range(50):
            at.run(at.reconciler.check())
        assert all(exchange.status == 200 for exchange in at.world.traffic)
        assert 60 <= sum(at.clock.slept) <= 180


def test_a_limit_that_others_use_up_is_learnt_from_the_headers() -> None:
    with LinearDesk.opened(limits=True) as at:
        at.standin.buckets["requests"] = Bucket(20, 60.0)
        for _ in range(50):
            at.run(at.reconciler.check())
        assert all(exchange.status == 200 for exchange in at.world.traffic)


def test_headers_teach_the_budget_requests_and_points() -> None:
    clock = Skipping()
    budget = Budget(Limits(1_000, 3_600.0, points=10**9), clock)
    reset = str(int((clock.now + 60) * 1000))
    learn(
        {
            "x-ratelimit-requests-remaining": "7",
            "x-ratelimit-requests-reset": reset,
            "x-ratelimit-complexity-remaining": "250000",
            "x-ratelimit-complexity-reset": reset,
        },
        budget,
    )
    assert budget.dump()["granted"] == [7, clock.now + 60]
    learn({"x-ratelimit-complexity-remaining": "90", "x-ratelimit-complexity-reset": reset}, budget)
    assert budget.dump()["granted"] == [0, clock.now + 60]
    learn({"x-ratelimit-requests-remaining": "many", "x-ratelimit-requests-reset": ""}, budget)
    assert budget.dump()["granted"] == [0, clock.now + 60]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"x-ratelimit-requests-remaining": "0", "x-ratelimit-requests-reset": "130000"}, 30.0),
        ({"x-ratelimit-complexity-remaining": "9", "x-ratelimit-complexity-reset": "150000"}, 50.0),
        ({}, None),
    ],
)
def test_a_rate_limit_says_how_long(headers: dict[str, str], expected: float | None) -> None:
    answer = {"errors": [{"message": "Slow down", "extensions": {"code": "RATELIMITED"}}]}
    error = classifier(lambda: 100.0)(400, headers, answer)
    assert isinstance(error, TemporaryError)
    assert error.code == "rate_limited"
    assert error.retry_after == expected


def test_an_operation_that_changes_nothing_sends_nothing(at: LinearDesk) -> None:
    make(at)
    change = at.change("move", PROJECT)
    written = at.run(at.reconciler.move(Operation(change, {}, {})))
    assert written.remote_id == at.links.ids[PROJECT]
    assert at.requests() == []

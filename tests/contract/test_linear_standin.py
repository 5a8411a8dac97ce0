"""The stand-in for Linear: as strict as Linear, in Linear's own words."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, cast

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLScalarType,
    build_schema,
    get_named_type,
    is_required_input_field,
)

from runner.sandbox._linear_schema import sdl
from runner.sandbox._platform import Call, Reply
from runner.sandbox._world import TOKENS, Seed, World
from runner.sandbox.linear import Bucket, LinearStandIn
from tests.contract import vendor_linear

CREATE = "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { issue { id } } }"
BATCH = (
    "mutation($input: IssueBatchCreateInput!)"
    " { issueBatchCreate(input: $input) { issues { id identifier } } }"
)


class Asked:
    """A stand-in and a way to ask it."""

    def __init__(self, *, limits: bool = False) -> None:
        self.now = 1_790_000_000.0
        world = World(seed=Seed(teams=("MOB", "WEB")), limits=limits, clock=lambda: self.now)
        self.world = world
        self.standin = LinearStandIn(world)
        self.team = next(iter(self.standin.home.all("Team"))).id

    def send(self, body: object, **headers: str) -> Reply:
        given = {"content-type": "application/json", "authorization": TOKENS["linear"]} | headers
        return self.standin.handle(Call("POST", "/graphql", [], given, json.dumps(body).encode()))

    def reply(self, query: str, **variables: object) -> Reply:
        return self.send({"query": query, "variables": variables})

    def data(self, query: str, **variables: object) -> dict[str, Any]:
        reply = self.reply(query, **variables)
        assert reply.status == 200
        assert "errors" not in reply.data, reply.data
        return reply.data["data"]

    def error(self, query: str, **variables: object) -> dict[str, Any]:
        reply = self.reply(query, **variables)
        return reply.data["errors"][0]

    def issues(self, count: int) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for start in range(0, count, 50):
            batch = [
                {"teamId": self.team, "title": f"T{i}"}
                for i in range(start, min(count, start + 50))
            ]
            made += self.data(BATCH, input={"issues": batch})["issueBatchCreate"]["issues"]
        return made


@pytest.fixture
def at() -> Asked:
    return Asked()


def test_every_name_agrees_with_the_published_schema(contracts: object) -> None:
    theirs, ours = vendor_linear.schema().type_map, build_schema(sdl()).type_map
    for name, kind in ours.items():
        their_kind = theirs[name]
        assert type(kind) is type(their_kind)
        if isinstance(kind, GraphQLObjectType):
            published = cast("GraphQLObjectType", their_kind).fields
            for field_name, field in kind.fields.items():
                assert str(field.type) == str(published[field_name].type), (name, field_name)
                for argument_name, argument in field.args.items():
                    known = published[field_name].args[argument_name]
                    assert str(argument.type) == str(known.type), (name, field_name)
        elif isinstance(kind, GraphQLInputObjectType):
            inputs = cast("GraphQLInputObjectType", their_kind).fields
            for field_name, item in kind.fields.items():
                assert str(item.type) == str(inputs[field_name].type), (name, field_name)
            required = {n for n, item in inputs.items() if is_required_input_field(item)}
            assert required <= kind.fields.keys(), name
        elif isinstance(kind, GraphQLEnumType):
            assert kind.values.keys() == cast("GraphQLEnumType", their_kind).values.keys()


def leaves(kind: GraphQLObjectType) -> str:
    """Return a selection of every field that holds a plain value."""
    return " ".join(
        name
        for name, item in kind.fields.items()
        if isinstance(get_named_type(item.type), (GraphQLScalarType, GraphQLEnumType))
    )


def test_every_plain_field_has_an_answer(at: Asked) -> None:
    types = build_schema(sdl()).type_map
    issue = at.issues(1)[0]["id"]
    project = at.data(
        "mutation($input: ProjectCreateInput!) { projectCreate(input: $input) { project { id } } }",
        input={"name": "P", "teamIds": [at.team]},
    )["projectCreate"]["project"]["id"]
    for name, object_id in (("issue", issue), ("project", project), ("team", at.team)):
        plain = leaves(cast("GraphQLObjectType", types[name.title()]))
        document = f"query($id: String!) {{ {name}(id: $id) {{ {plain} }} }}"
        assert at.data(document, id=object_id)[name]["id"] == object_id
    shared = "sharedAccess { isShared sharedWithUsers { id } }"
    told = at.data(f"query($id: String!) {{ issue(id: $id) {{ {shared} }} }}", id=issue)
    assert told["issue"]["sharedAccess"] == {"isShared": False, "sharedWithUsers": []}
    organization = leaves(cast("GraphQLObjectType", types["Organization"]))
    assert at.data(f"{{ organization {{ {organization} }} }}")["organization"]["name"] == "Sandbox"
    user = leaves(cast("GraphQLObjectType", types["User"]))
    assert at.data(f"{{ viewer {{ {user} }} }}")["viewer"]["isMe"] is True


def test_an_order_that_is_not_modelled_is_refused(at: Asked) -> None:
    document = "{ issues(sort: [{createdAt: {order: Ascending}}]) { nodes { id } } }"
    assert "sorts by orderBy" in str(at.error(document))


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"authorization": ""}, {"query": "{ viewer { id } }"}, 401, "AUTHENTICATION_ERROR"),
        (
            {"authorization": f"Bearer {TOKENS['linear']}"},
            {"query": "{ viewer { id } }"},
            401,
            "AUTHENTICATION_ERROR",
        ),
        ({"content-type": "text/plain"}, {"query": "{ viewer { id } }"}, 400, "BAD_REQUEST"),
        ({}, {"quer": ""}, 400, "BAD_REQUEST"),
        ({}, [1], 400, "BAD_REQUEST"),
        ({}, {"query": "{ viewer { "}, 400, "GRAPHQL_PARSE_FAILED"),
        ({}, {"query": "{ viewer { nam } }"}, 400, "GRAPHQL_VALIDATION_FAILED"),
        ({}, {"query": "{ issues(first: 1) { nodes { id", "variables": 3}, 400, "GRAPHQL_PARSE"),
    ],
)
def test_a_bad_request_is_refused(
    at: Asked, headers: Mapping[str, str], body: object, status: int, code: str
) -> None:
    reply = at.send(body, **headers)
    assert reply.status == status
    assert reply.data["errors"][0]["extensions"]["code"].startswith(code)
    assert "data" not in reply.data


def test_other_paths_and_methods_are_not_the_endpoint(at: Asked) -> None:
    assert at.standin.handle(Call("POST", "/rest", [], {}, b"")).status == 404
    assert at.standin.handle(Call("GET", "/graphql", [], {}, b"")).status == 405


def test_variables_of_the_wrong_type_are_refused(at: Asked) -> None:
    for wrong in (
        {"teamId": at.team, "title": 3},
        {"teamId": at.team, "nmae": "x"},
        {"title": "x"},
    ):
        reply = at.reply(CREATE, input=wrong)
        assert reply.status == 400
        assert reply.data["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        ({"title": ""}, "title must not be empty."),
        ({"title": "x" * 600}, "title is too long."),
        ({"priority": 5}, "priority must be between 0 and 4."),
        ({"estimate": -1}, "estimate must not be negative."),
        ({"id": "7"}, "id must be a UUID."),
        ({"id": str(uuid.UUID(int=1))}, "id must be a UUID."),
        ({"assigneeId": str(uuid.UUID(int=1))}, "Could not find referenced User."),
        ({"labelIds": ["x"]}, "Could not find referenced IssueLabel."),
        ({"parentId": "MOB-99"}, "Could not find referenced Issue."),
    ],
)
def test_a_wrong_value_is_named(at: Asked, wrong: dict[str, object], shown: str) -> None:
    error = at.error(CREATE, input={"teamId": at.team, "title": "T"} | wrong)
    assert error["extensions"]["code"] == "INPUT_ERROR"
    assert error["extensions"]["userPresentableMessage"] == shown
    assert error["path"] == ["issueCreate"]


def test_an_id_is_taken_once(at: Asked) -> None:
    given = {"teamId": at.team, "title": "T", "id": "5f0c7c39-26ea-4b3c-9a45-0a76e2a1a001"}
    at.data(CREATE, input=given)
    error = at.error(CREATE, input=given)
    assert error["message"] == "conflict on insert of Issue"
    assert "already exists" in error["extensions"]["userPresentableMessage"]
    assert [o["marker"] for o in at.standin.objects() if o["kind"] == "task"] == [given["id"]]


def test_a_batch_is_made_whole_or_not_at_all(at: Asked) -> None:
    batch = [{"teamId": at.team, "title": title} for title in ("A", "B", "")]
    assert at.error(BATCH, input={"issues": batch})["path"] == ["issueBatchCreate"]
    assert not [o for o in at.standin.objects() if o["kind"] == "task"]
    assert [issue["identifier"] for issue in at.issues(2)] == ["MOB-1", "MOB-2"]
    too_many = [{"teamId": at.team, "title": "T"}] * 51
    shown = at.error(BATCH, input={"issues": too_many})["extensions"]["userPresentableMessage"]
    assert shown == "issues must contain 1 to 50 items."


def test_mutations_run_in_order_until_one_fails(at: Asked) -> None:
    document = (
        "mutation($a: IssueCreateInput!, $b: IssueCreateInput!) { a: issueCreate(input: $a)"
        " { success } b: issueCreate(input: $b) { success } c: issueCreate(input: $a) { success } }"
    )
    good, bad = {"teamId": at.team, "title": "T"}, {"teamId": at.team, "title": ""}
    reply = at.reply(document, a=good, b=bad)
    assert reply.status == 200
    assert reply.data["data"] is None
    assert [error["path"] for error in reply.data["errors"]] == [["b"]]
    assert sum(o["kind"] == "task" for o in at.standin.objects()) == 1


def test_pages_are_of_fifty_and_of_250_at_most(at: Asked) -> None:
    at.issues(120)
    page = "nodes { title } pageInfo { hasNextPage hasPreviousPage endCursor }"
    first = at.data(f"{{ issues {{ {page} }} }}")["issues"]
    assert [len(first["nodes"]), first["nodes"][0]["title"]] == [50, "T119"]
    document = f"query($after: String) {{ issues(first: 100, after: $after) {{ {page} }} }}"
    rest = at.data(document, after=first["pageInfo"]["endCursor"])["issues"]
    assert [node["title"] for node in rest["nodes"]] == [f"T{i}" for i in range(69, -1, -1)]
    assert rest["pageInfo"]["hasNextPage"] is False
    assert rest["pageInfo"]["hasPreviousPage"] is True
    shown = at.error("{ issues(first: 251) { nodes { id } } }")["extensions"]
    assert shown["userPresentableMessage"] == "first must be between 1 and 250."
    assert "another list" in str(at.error('{ issues(after: "x") { nodes { id } } }'))


def test_the_last_ones_before_a_cursor(at: Asked) -> None:
    at.issues(5)
    edges = at.data("{ issues { edges { cursor node { title } } } }")["issues"]["edges"]
    document = "query($c: String) { issues(last: 2, before: $c) { nodes { title } } }"
    nodes = at.data(document, c=edges[3]["cursor"])["issues"]["nodes"]
    assert nodes == [edges[1]["node"], edges[2]["node"]]


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ({"title": {"eq": "T1"}}, 1),
        ({"title": {"in": ["T1", "T2", "T9"]}}, 2),
        ({"title": {"neq": "T1"}}, 3),
        ({"title": {"eqIgnoreCase": "t1"}}, 1),
        ({"title": {"startsWith": "T"}, "team": {"key": {"eq": "WEB"}}}, 0),
        ({"or": [{"title": {"eq": "T1"}}, {"title": {"endsWith": "2"}}]}, 2),
        ({"and": [{"title": {"contains": "T"}}, {"title": {"nin": ["T1"]}}]}, 3),
        ({"updatedAt": {"gte": "2026-01-01T00:00:00Z"}}, 4),
        ({"updatedAt": {"lt": "2026-01-01"}}, 0),
        ({"assignee": {"null": True}}, 4),
        ({"assignee": {"email": {"eq": "me@example.com"}}}, 0),
        ({"description": {"null": True}}, 4),
        ({"labels": {"some": {"name": {"eq": "Bug"}}}}, 0),
        ({"labels": {"null": True}}, 4),
        ({"state": {"type": {"in": ["backlog", "triage"]}}}, 4),
        ({"number": {"gt": 2}}, 2),
    ],
)
def test_filters(at: Asked, condition: dict[str, object], count: int) -> None:
    at.issues(4)
    document = "query($filter: IssueFilter) { issues(filter: $filter) { nodes { id } } }"
    assert len(at.data(document, filter=condition)["issues"]["nodes"]) == count


def test_archived_objects_show_up_when_asked_for(at: Asked) -> None:
    issue = at.issues(1)[0]["id"]
    at.data("mutation($id: String!) { issueArchive(id: $id) { success } }", id=issue)
    assert at.data("{ issues { nodes { id } } }")["issues"]["nodes"] == []
    shown = at.data("{ issues(includeArchived: true) { nodes { archivedAt trashed } } }")
    assert shown["issues"]["nodes"][0]["archivedAt"]
    assert shown["issues"]["nodes"][0]["trashed"] is None
    at.data("mutation($id: String!) { issueUnarchive(id: $id) { success } }", id=issue)
    assert len(at.data("{ issues { nodes { id } } }")["issues"]["nodes"]) == 1


@pytest.mark.parametrize(
    ("document", "points"),
    [
        ("{ viewer { id name } }", 2),
        ("{ issues(first: 10) { nodes { id title } } }", 12),
        ("{ issues(first: 10) { nodes { id labels { nodes { id } } } } }", 561),
        ("{ issues(last: 2) { edges { node { id } } pageInfo { endCursor } } }", 6),
        ("{ teams { nodes { ...t } } } fragment t on Team { id key }", 60),
    ],
)
def test_complexity_is_counted(at: Asked, document: str, points: int) -> None:
    assert at.reply(document).headers["x-complexity"] == str(points)


def test_a_query_that_is_too_complex_is_refused(at: Asked) -> None:
    document = "{ issues(first: 250) { nodes { comments { nodes { body } } } } }"
    reply = at.reply(document)
    assert reply.status == 400
    assert reply.data["errors"][0]["message"] == "Query too complex"


def test_rate_limits_are_leaky_buckets_with_headers() -> None:
    at = Asked(limits=True)
    at.standin.buckets["requests"] = Bucket(3, 60.0)
    replies = [at.reply("{ viewer { id } }") for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 400]
    assert [r.headers["x-ratelimit-requests-remaining"] for r in replies] == ["2", "1", "0", "0"]
    assert replies[3].data["errors"][0]["extensions"]["code"] == "RATELIMITED"
    assert replies[3].headers["retry-after"] == "20"
    assert replies[3].headers["x-ratelimit-requests-reset"] == str(int((at.now + 60) * 1000))
    at.now += 20
    assert at.reply("{ viewer { id } }").status == 200
    at.standin.buckets["complexity"] = Bucket(1, 60.0)
    at.now += 60
    assert at.reply("{ viewer { id name } }").status == 400


def test_people_can_comment_and_complete(at: Asked) -> None:
    issue = at.issues(1)[0]["id"]
    at.data(
        "mutation($input: CommentCreateInput!) { commentCreate(input: $input)"
        " { comment { body url user { isMe } issue { identifier } } } }",
        input={"issueId": "MOB-1", "body": "Done soon."},
    )
    team = at.data(
        "query($id: String!) { team(id: $id) { states { nodes { id type } } } }", id=at.team
    )
    done = next(s["id"] for s in team["team"]["states"]["nodes"] if s["type"] == "completed")
    told = at.data(
        "mutation($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input)"
        " { issue { completedAt state { name } branchName priorityLabel } } }",
        id=issue,
        input={"stateId": done},
    )["issueUpdate"]["issue"]
    assert told["completedAt"]
    assert told["state"] == {"name": "Done"}
    assert told["branchName"] == "me/mob-1-t0"
    (shown,) = [o for o in at.standin.objects() if o["kind"] == "task"]
    assert shown["comments"] == ["Done soon."]
    assert shown["status"] == "completed"


def test_states_and_projects_of_other_teams_are_refused(at: Asked) -> None:
    web = list(at.standin.home.all("Team"))[1]
    state = at.standin.home.state(web, "backlog").id
    assert "state" in str(
        at.error(CREATE, input={"teamId": at.team, "title": "T", "stateId": state})
    )
    project = at.data(
        "mutation($input: ProjectCreateInput!) { projectCreate(input: $input) { project { id } } }",
        input={"name": "P", "teamIds": [web.id]},
    )["projectCreate"]["project"]["id"]
    refused = at.error(CREATE, input={"teamId": at.team, "title": "T", "projectId": project})
    assert "project" in refused["message"]


def test_an_issue_is_never_its_own_ancestor(at: Asked) -> None:
    first, second = (issue["id"] for issue in at.issues(2))
    document = (
        "mutation($id: String!, $parent: String) { issueUpdate(id: $id, input: {parentId: $parent})"
        " { success } }"
    )
    at.data(document, id=second, parent=first)
    assert at.error(document, id=first, parent=second)["message"] == "Parent circle"


def test_a_new_object_may_lag_behind_in_lists(at: Asked) -> None:
    at.world.search_lag["linear"] = 5.0
    issue = at.issues(1)[0]["id"]
    assert at.data("{ issues { nodes { id } } }")["issues"]["nodes"] == []
    assert (
        at.data("query($id: String!) { issue(id: $id) { id } }", id=issue)["issue"]["id"] == issue
    )
    at.now += 5
    assert len(at.data("{ issues { nodes { id } } }")["issues"]["nodes"]) == 1


def test_only_mutations_write(at: Asked) -> None:
    def call(query: str) -> Call:
        return Call("POST", "/graphql", [], {}, json.dumps({"query": query}).encode())

    assert at.standin.writes(call(CREATE))
    assert not at.standin.writes(call("query A { viewer { id } }"))
    assert not at.standin.writes(Call("POST", "/graphql", [], {}, b"mutation"))

"""The GitLab stand-in refuses what GitLab refuses, and the vendor check notices what is wrong."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runner.sandbox._world import TOKENS, Exchange, World
from runner.sandbox.server import Sandbox, serving
from tests.contract.vendor_gitlab import violations

ISSUES = "/api/v4/projects/jwp763%2Fmobile-app/issues"


@pytest.fixture
def sandbox() -> Generator[Sandbox]:
    with serving(World(), platforms=["gitlab"]) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Generator[httpx.Client]:
    headers = {"PRIVATE-TOKEN": TOKENS["gitlab"]}
    with httpx.Client(base_url=sandbox.url("gitlab"), headers=headers) as made:
        yield made


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        ("POST", ISSUES, {}, 400, {"error": "title is missing"}),
        ("POST", ISSUES, {"title": "T", "labels": 7}, 400, {"error": "labels is invalid"}),
        ("POST", ISSUES, {"title": "T", "colour": "red"}, 400, {"error": "colour is unknown"}),
        ("POST", ISSUES, {"title": "T", "due_date": "soon"}, 400, {"error": "due_date is invalid"}),
        ("GET", ISSUES + "?state=open", None, 400, {"error": "state does not have a valid value"}),
        ("GET", ISSUES + "/9", None, 404, {"message": "404 Not found"}),
        ("GET", "/api/v4/projects/x%2Fy", None, 404, {"message": "404 Project Not Found"}),
        ("GET", "/api/v4/nothing", None, 404, {"error": "404 Not Found"}),
        ("PATCH", ISSUES, {}, 405, {"error": "405 Not Allowed"}),
    ],
)
def test_bad_requests_get_gitlabs_own_refusal(
    client: httpx.Client, method: str, path: str, body: Any, status: int, answer: Any
) -> None:
    response = client.request(method, path, json=body)
    assert (response.status_code, response.json()) == (status, answer)


def test_a_wrong_token_is_refused(sandbox: Sandbox) -> None:
    response = httpx.get(sandbox.url("gitlab") + "/api/v4/user", headers={"PRIVATE-TOKEN": "x"})
    assert (response.status_code, response.json()) == (401, {"message": "401 Unauthorized"})


def test_a_label_exists_once(client: httpx.Client) -> None:
    path = ISSUES.replace("issues", "labels")
    body = {"name": "a::b", "color": "#fff", "description": "x <!-- gone --> <b>y</b>"}
    assert client.post(path, json=body).json()["description"] == "x  y"
    assert client.post(path, json=body).status_code == 409


def test_pages_lead_to_each_other(client: httpx.Client) -> None:
    for number in range(5):
        client.post(ISSUES, json={"title": str(number)})
    response = client.get(ISSUES + "?per_page=2&sort=asc&state=opened")
    met = [issue["title"] for issue in response.json()]
    assert response.headers["x-total"] == "5"
    while "next" in response.links:
        response = client.get(response.links["next"]["url"])
        met += [issue["title"] for issue in response.json()]
    assert met == ["0", "1", "2", "3", "4"]


def test_people_can_do_their_part_by_the_same_api(client: httpx.Client) -> None:
    issue = client.post(ISSUES, json={"title": "T", "labels": "a,b"}).json()
    path = f"/api/v4/projects/{issue['project_id']}/issues/{issue['iid']}"
    assert client.put(path, json={"state_event": "close"}).json()["state"] == "closed"
    note = client.post(path + "/notes", json={"body": "done"}).json()
    assert client.put(f"{path}/notes/{note['id']}", json={"body": "Done"}).status_code == 200
    assert [n["body"] for n in client.get(path + "/notes").json()] == ["Done"]
    assert client.delete(f"{path}/notes/{note['id']}").status_code == 204
    assert client.get(path).json()["labels"] == ["a", "b"]


def test_the_documented_limits_hold(sandbox: Sandbox, client: httpx.Client) -> None:
    answers = [client.post(ISSUES, json={"title": "T"}) for _ in range(201)]
    assert [a.status_code for a in answers[199:]] == [201, 429]
    assert int(answers[0].headers["ratelimit-remaining"]) == 1999
    assert 1 <= int(answers[200].headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "problem"),
    [
        ("POST", ISSUES, [], {"description": "x"}, "'title' is a required property"),
        ("POST", ISSUES, [], {"title": "T", "labels": "a"}, "'a' is not of type 'array'"),
        ("POST", ISSUES, [], {"title": "T", "colour": 1}, "unknown property colour"),
        ("PUT", ISSUES + "/1", [], {"state_event": "shut"}, "'shut' is not one of"),
        ("GET", ISSUES, [("state", "open")], None, "'open' is not one of"),
        ("GET", ISSUES, [("colour", "red")], None, "unknown parameter colour"),
        ("POST", ISSUES.replace("issues", "labels"), [], {"name": "x"}, "missing property color"),
        ("GET", "/api/v4/nothing", [], None, "not described anywhere"),
    ],
)
def test_the_vendor_check_notices(
    contracts: Path, method: str, path: str, query: list[tuple[str, str]], body: Any, problem: str
) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    exchange = Exchange("gitlab", method, path, query, headers, content, 400, b"")
    assert [v for v in violations(exchange) if problem in v] != []

"""The GitLab stand-in's merge requests and git server refuse what GitLab refuses."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runner.sandbox._gitlab_api import JOB_TOKEN
from runner.sandbox._gitlab_requests import LONGEST
from runner.sandbox._world import TOKENS, World
from runner.sandbox.server import serving
from tests.contract.gitlab_repo import PROJECT, Clone

PATH = f"/api/v4/projects/{PROJECT.replace('/', '%2F')}"
REQUESTS = PATH + "/merge_requests"
NEW = {"source_branch": "edit", "target_branch": "main", "title": "T", "description": "D"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Generator[Clone]:
    with serving(World(limits=False), platforms=["gitlab"]) as sandbox:
        made = Clone.make(sandbox, tmp_path_factory.mktemp("clone"), {"a": "1\n"})
        made.branch("edit", {"a": "2\n"})
        made.branch("other", {"a": "3\n"})
        made.api("POST", "/merge_requests", NEW)
        yield made


def send(clone: Clone, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    sent = headers or {"PRIVATE-TOKEN": TOKENS["gitlab"]}
    url = clone.sandbox.url("gitlab") + path
    return httpx.request(method, url, json=body, headers=sent)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        (
            *("POST", REQUESTS, NEW, 409),
            ["Another open merge request already exists for this source branch: !1"],
        ),
        (
            "POST",
            REQUESTS,
            NEW | {"source_branch": "x"},
            400,
            {"source_branch": ["does not exist"]},
        ),
        (
            *("POST", REQUESTS, NEW | {"source_branch": "main"}, 409),
            ["You can't use same project/branch for source and target"],
        ),
        ("PUT", REQUESTS + "/1", {"title": ""}, 400, {"title": ["can't be blank"]}),
        ("GET", REQUESTS + "/9", None, 404, "404 Not found"),
        ("GET", REQUESTS + "/1/notes/99", None, 404, "404 Note Not Found"),
        (
            "POST",
            REQUESTS + "/1/discussions/ab/notes",
            {"body": "x"},
            404,
            "404 Discussion Not Found",
        ),
        ("GET", PATH + "/repository/branches/x", None, 404, "404 Branch Not Found"),
        (
            *("POST", REQUESTS + "/1/notes", {"body": "x" * (LONGEST + 1)}, 400),
            {"note": ["is too long (maximum is 1000000 characters)"]},
        ),
        (
            *("PUT", REQUESTS + "/1/merge", {"sha": "0" * 40}, 409),
            "SHA does not match HEAD of source branch",
        ),
    ],
)
def test_what_gitlab_refuses(
    clone: Clone, method: str, path: str, body: Any, status: int, answer: Any
) -> None:
    response = send(clone, method, path, body)
    assert (response.status_code, response.json()) == (status, {"message": answer})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", REQUESTS, 200),
        ("GET", REQUESTS + "/1", 200),
        ("GET", REQUESTS + "/1/notes", 200),
        ("GET", PATH + "/repository/branches/main", 200),
        ("GET", REQUESTS + "/1/discussions", 401),
        ("POST", REQUESTS + "/1/notes", 401),
        ("PUT", REQUESTS + "/1", 401),
        ("GET", PATH + "/issues", 401),
        ("GET", "/api/v4/user", 401),
    ],
)
def test_a_job_token_may_read_a_little(clone: Clone, method: str, path: str, status: int) -> None:
    body = {"body": "x"} if method != "GET" else None
    response = send(clone, method, path, body, **{"JOB-TOKEN": JOB_TOKEN})
    assert response.status_code == status


def test_a_note_of_quick_actions_is_carried_out_and_not_kept(clone: Clone) -> None:
    response = send(clone, "POST", REQUESTS + "/1/notes", {"body": "/approve\n/label ~x\n"})
    assert response.status_code == 202
    (request,) = clone.requests()
    assert (request["commands"], request["notes"]) == (["approve", "label"], [])


def test_conflicts_cannot_be_merged(clone: Clone) -> None:
    clone.branch("one", {"b": "1\n"})
    clone.branch("two", {"b": "2\n"})
    for branch in ("one", "two"):
        made = clone.api("POST", "/merge_requests", NEW | {"source_branch": branch})
    first = f"{REQUESTS}/{made['iid'] - 1}/merge"
    assert send(clone, "PUT", first).json()["state"] == "merged"
    assert send(clone, "PUT", first).status_code == 405
    response = send(clone, "PUT", f"{REQUESTS}/{made['iid']}/merge")
    assert (response.status_code, response.json()) == (422, {"message": "Branch cannot be merged"})


@pytest.mark.parametrize(
    ("password", "write", "status"),
    [
        (TOKENS["gitlab"], "receive", 200),
        (JOB_TOKEN, "upload", 200),
        (JOB_TOKEN, "receive", 403),
        ("wrong", "upload", 401),
    ],
)
def test_git_needs_a_token_and_a_push_more_than_a_job_has(
    clone: Clone, password: str, write: str, status: int
) -> None:
    url = f"{clone.sandbox.url('gitlab')}/{PROJECT}.git/info/refs?service=git-{write}-pack"
    assert httpx.get(url, auth=("oauth2", password)).status_code == status


def test_git_serves_only_projects_that_there_are(clone: Clone, tmp_path: Path) -> None:
    for name in ("x/y", "../x", "jwp763"):
        url = f"{clone.sandbox.url('gitlab')}/{name}.git/info/refs?service=git-upload-pack"
        assert httpx.get(url, auth=("oauth2", TOKENS["gitlab"])).status_code == 404

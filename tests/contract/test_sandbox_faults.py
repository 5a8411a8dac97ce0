"""Faults on demand: each does what it says on the wire, and the transport sorts it rightly.

A read may always be repeated, an update too. A create may be repeated only where the platform
surely did not do it; in any other case its outcome is unknown, and one request was sent.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import httpx
import pytest

from reconcilers._budget import Budget
from reconcilers._contract import Limits
from reconcilers._transport import ATTEMPTS, PATIENCE, Answer, Transport
from runner.sandbox._world import TOKENS, Fault, FaultKind, World
from runner.sandbox.server import Sandbox, serving
from schemas.domain import PLATFORMS
from schemas.errors import OutcomeUnknown, PlatformError, TemporaryError

KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
TITLE = "Made once or not at all"
LOST: tuple[FaultKind, ...] = (
    "drop-before",
    "drop-after",
    "error-before",
    "error-after",
    "truncated",
)
"""Faults after which nobody can tell from the answer whether the request was carried out."""
DONE: dict[FaultKind, int] = {
    "drop-before": 0,
    "drop-after": 1,
    "error-before": 0,
    "error-after": 1,
    "truncated": 1,
}
"""How often it was carried out all the same."""

LINEAR_CREATE = (
    "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { issue { id } } }"
)
LINEAR_UPDATE = (
    "mutation($id: String!, $input: IssueUpdateInput!)"
    " { issueUpdate(id: $id, input: $input) { issue { id title } } }"
)


@dataclass(frozen=True)
class Sent:
    """A request, below the platform's base URL."""

    method: str
    path: str
    json: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Probe:
    """One read, one create and one update of a platform, and how to tell an object's id."""

    read: Sent
    create: Sent
    update: Callable[[str], Sent]
    id_of: Callable[[Any], str]


def linear(sandbox: Sandbox) -> Probe:
    post = httpx.post(
        sandbox.url("linear"),
        headers={"Authorization": TOKENS["linear"]},
        json={"query": "{ teams(first: 1) { nodes { id } } }"},
    )
    team = post.json()["data"]["teams"]["nodes"][0]["id"]

    def sent(query: str, **variables: Any) -> Sent:
        return Sent("POST", "", {"query": query, "variables": variables})

    return Probe(
        sent("{ viewer { id } }"),
        sent(LINEAR_CREATE, input={"teamId": team, "title": TITLE}),
        lambda id_: sent(LINEAR_UPDATE, id=id_, input={"title": "Changed"}),
        lambda data: data["data"]["issueCreate"]["issue"]["id"],
    )


def notion(sandbox: Sandbox) -> Probe:
    page = next(o for o in sandbox.objects()["notion"] if o["title"] == "Work")

    def titled(title: str) -> dict[str, Any]:
        return {"properties": {"title": {"title": [{"text": {"content": title}}]}}}

    parent = {"parent": {"page_id": page["id"]}}
    return Probe(
        Sent("GET", "/v1/users/me"),
        Sent("POST", "/v1/pages", {**parent, **titled(TITLE)}),
        lambda id_: Sent("PATCH", f"/v1/pages/{id_}", titled("Changed")),
        lambda data: data["id"],
    )


def gitlab(sandbox: Sandbox) -> Probe:
    # The transport puts `/api/v4` in front by itself.
    issues = "/projects/jwp763%2Fmobile-app/issues"
    return Probe(
        Sent("GET", "/user"),
        Sent("POST", issues, {"title": TITLE}),
        lambda id_: Sent("PUT", f"{issues}/{id_}", {"title": "Changed"}),
        lambda data: str(data["iid"]),
    )


def motion(sandbox: Sandbox) -> Probe:
    headers = {"X-API-Key": TOKENS["motion"]}
    listed = httpx.get(sandbox.url("motion") + "/v1/workspaces", headers=headers)
    workspace = {"workspaceId": listed.json()["workspaces"][0]["id"]}
    return Probe(
        Sent("GET", "/v1/users/me"),
        Sent("POST", "/v1/tasks", {"name": TITLE, **workspace}),
        lambda id_: Sent("PATCH", f"/v1/tasks/{id_}", {"name": "Changed", **workspace}),
        lambda data: data["id"],
    )


PROBES = {"linear": linear, "notion": notion, "gitlab": gitlab, "motion": motion}


class Skipping:
    """A clock whose sleeps take no time."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def time(self) -> float:
        return 1_790_000_000.0 + sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


class Wire:
    """A platform's own transport, its probe, and what the stand-in saw."""

    def __init__(self, platform: str, sandbox: Sandbox, runner: asyncio.Runner) -> None:
        self.platform = platform
        self.sandbox = sandbox
        self.clock = Skipping()
        self.probe = PROBES[platform](sandbox)
        self.transport = self.opened(httpx.AsyncClient())
        self._runner = runner
        sandbox.world.traffic.clear()

    def opened(self, client: httpx.AsyncClient) -> Transport:
        module = importlib.import_module(f"reconcilers.{self.platform}")
        budget = Budget(Limits(1_000_000, 60.0, concurrency=8), self.clock)
        return module.transport(
            TOKENS[self.platform], self.sandbox.url(self.platform), budget, client
        )

    def read(self) -> Answer:
        sent = self.probe.read
        return self._runner.run(self.transport.read(sent.method, sent.path, json=sent.json))

    def create(self) -> Answer:
        return self._write(self.probe.create, repeatable=False)

    def update(self, id_: str) -> Answer:
        return self._write(self.probe.update(id_), repeatable=True)

    def made(self) -> str:
        """Create an object before anything goes wrong; return its id."""
        id_ = self.probe.id_of(self.create().data)
        self.sandbox.world.traffic.clear()
        return id_

    def fail(self, kind: FaultKind, times: int = 1, seconds: float = 0.0) -> None:
        self.sandbox.world.faults.append(
            Fault(kind, platform=self.platform, times=times, seconds=seconds)
        )

    def titled(self, title: str) -> int:
        return sum(o["title"] == title for o in self.sandbox.objects()[self.platform])

    @property
    def requests(self) -> int:
        return len(self.sandbox.world.traffic)

    def plain(self) -> httpx.Response:
        """Send the read as any client would, once."""
        sent = self.probe.read
        headers = {
            "linear": {"Authorization": TOKENS["linear"]},
            "notion": {
                "Authorization": f"Bearer {TOKENS['notion']}",
                "Notion-Version": "2025-09-03",
            },
            "gitlab": {"PRIVATE-TOKEN": TOKENS["gitlab"]},
            "motion": {"X-API-Key": TOKENS["motion"]},
        }[self.platform]
        url = self.transport.base_url + sent.path
        return httpx.request(sent.method, url, headers=headers, json=sent.json)

    def close(self) -> None:
        self._runner.run(self.transport.close())

    def with_time_out(self, seconds: float) -> None:
        """Let no answer take longer than `seconds`."""
        self.close()
        self.transport = self.opened(httpx.AsyncClient(timeout=seconds))

    def _write(self, sent: Sent, *, repeatable: bool) -> Answer:
        return self._runner.run(
            self.transport.write(sent.method, sent.path, json=sent.json, repeatable=repeatable)
        )


@pytest.fixture(scope="module")
def served() -> Generator[Sandbox]:
    with serving(World(limits=False)) as sandbox:
        yield sandbox


@pytest.fixture(params=PLATFORMS)
def wire(request: pytest.FixtureRequest, served: Sandbox) -> Generator[Wire]:
    served.world.faults.clear()
    with asyncio.Runner() as runner:
        opened = Wire(request.param, served, runner)
        yield opened
        opened.close()
        served.world.faults.clear()


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "truncated"])
def test_a_broken_connection_is_seen_as_one(wire: Wire, kind: FaultKind) -> None:
    wire.fail(kind)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        wire.plain()
    assert wire.plain().status_code == 200


def test_an_error_before_is_a_500_in_json_and_one_after_a_502_of_some_proxy(wire: Wire) -> None:
    wire.fail("error-before")
    wire.fail("error-after")
    first, second = wire.plain(), wire.plain()
    assert (first.status_code, second.status_code) == (500, 502)
    assert first.json()["message"]
    with pytest.raises(json.JSONDecodeError):
        second.json()


def test_a_rate_limit_comes_in_the_platforms_own_manner(wire: Wire) -> None:
    wire.fail("rate-limit", seconds=7.0)
    answer = wire.plain()
    assert answer.status_code == (400 if wire.platform == "linear" else 429)
    assert "ate" in answer.text or "Too Many" in answer.text
    assert answer.headers["retry-after"] == "7"


def test_a_malformed_answer_is_json_that_promises_nothing(wire: Wire) -> None:
    wire.fail("malformed")
    answer = wire.plain()
    assert (answer.status_code, answer.json()) == (200, {"unexpected": True})


@pytest.mark.parametrize("kind", LOST)
def test_a_read_is_repeated_until_it_is_answered(wire: Wire, kind: FaultKind) -> None:
    wire.fail(kind, times=ATTEMPTS - 1)
    assert wire.read().status == 200
    assert wire.requests == ATTEMPTS
    assert wire.clock.slept == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("kind", LOST)
def test_a_read_that_is_never_answered_is_a_temporary_failure(wire: Wire, kind: FaultKind) -> None:
    wire.fail(kind, times=99)
    with pytest.raises(TemporaryError) as caught:
        wire.read()
    assert wire.requests == ATTEMPTS
    assert caught.value.hint


@pytest.mark.parametrize("kind", LOST)
def test_a_create_is_sent_once_and_its_outcome_is_unknown(wire: Wire, kind: FaultKind) -> None:
    before = wire.titled(TITLE)
    wire.fail(kind)
    with pytest.raises(OutcomeUnknown):
        wire.create()
    assert wire.requests == 1
    assert wire.titled(TITLE) - before == DONE[kind]


@pytest.mark.parametrize("kind", LOST)
def test_an_update_is_repeated_and_done(wire: Wire, kind: FaultKind) -> None:
    id_, before = wire.made(), wire.titled("Changed")
    wire.fail(kind)
    wire.update(id_)
    assert wire.requests == 2
    assert wire.titled("Changed") - before == 1


@pytest.mark.parametrize("kind", LOST)
def test_an_update_that_is_never_answered_stays_unknown(wire: Wire, kind: FaultKind) -> None:
    id_ = wire.made()
    wire.fail(kind, times=99)
    with pytest.raises(OutcomeUnknown):
        wire.update(id_)
    assert wire.requests == ATTEMPTS


def test_an_update_whose_answer_was_lost_stays_unknown_whatever_is_said_later(wire: Wire) -> None:
    id_ = wire.made()
    wire.fail("drop-after")
    wire.fail("rate-limit", times=99)
    with pytest.raises(OutcomeUnknown):
        wire.update(id_)


@pytest.mark.parametrize("what", ["read", "create", "update"])
def test_after_a_rate_limit_everything_is_sent_again(wire: Wire, what: str) -> None:
    id_, before = wire.made(), wire.titled(TITLE)
    wire.fail("rate-limit", times=2, seconds=7.0)
    {"read": wire.read, "create": wire.create, "update": lambda: wire.update(id_)}[what]()
    assert wire.requests == 3
    assert sum(wire.clock.slept) == pytest.approx(14.0)
    assert wire.titled(TITLE) - before == {"read": 0, "create": 1, "update": -1}[what]


def test_a_storm_of_rate_limits_ends_with_nothing_written(wire: Wire) -> None:
    before = wire.titled(TITLE)
    wire.fail("rate-limit", times=99, seconds=2.0)
    with pytest.raises(TemporaryError):
        wire.create()
    assert wire.requests == PATIENCE + 1
    assert wire.titled(TITLE) == before


def test_a_slow_answer_is_an_answer(wire: Wire) -> None:
    wire.fail("slow", seconds=0.05)
    assert wire.read().status == 200
    assert wire.requests == 1


def test_a_slow_answer_beyond_the_time_out_is_a_lost_one(wire: Wire) -> None:
    before = wire.titled(TITLE)
    wire.with_time_out(0.1)
    wire.fail("slow", seconds=0.3)
    with pytest.raises(OutcomeUnknown):
        wire.create()
    assert wire.requests == 1
    assert wire.titled(TITLE) - before == 1


def test_a_malformed_answer_to_a_read_is_repeated_or_left_to_the_reconciler(wire: Wire) -> None:
    wire.fail("malformed")
    answer = wire.read()
    if wire.platform == "linear":
        assert answer.data["data"]["viewer"]["id"]
    else:
        assert answer.data == {"unexpected": True}


def test_a_platform_that_cannot_be_reached_was_sent_nothing(wire: Wire) -> None:
    wire.transport.base_url = "http://127.0.0.1:1"
    with pytest.raises(TemporaryError, match="cannot be reached"):
        wire.create()
    assert wire.requests == 0
    assert len(wire.clock.slept) == ATTEMPTS - 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_error_shows_the_token(wire: Wire, kind: FaultKind) -> None:
    wire.fail(kind, times=99)
    try:
        wire.create()
    except PlatformError as error:
        shown = f"{error} {error.hint} {error!r}"
        assert TOKENS[wire.platform] not in shown
        assert wire.platform in shown


def test_a_fault_strikes_where_when_and_as_often_as_it_is_told() -> None:
    world = World()
    world.faults.append(Fault("slow", "motion", "POST", "/tasks", writes=True, times=2, skip=1))

    def strikes(platform: str, method: str, path: str, *, writes: bool = True) -> bool:
        return world.strike(platform, method, path, writes=writes) is not None

    assert not strikes("linear", "POST", "/v1/tasks")
    assert not strikes("motion", "PATCH", "/v1/tasks")
    assert not strikes("motion", "POST", "/v1/projects")
    assert not strikes("motion", "POST", "/v1/tasks", writes=False)
    assert [strikes("motion", "POST", "/v1/tasks") for _ in range(5)] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_faults_can_be_set_and_cleared_from_outside(served: Sandbox) -> None:
    faults = f"{served.origin}/_sandbox/faults"
    assert httpx.post(faults, json={"kind": "slow", "times": 3}).json() == {"faults": 1}
    assert served.world.faults[0].times == 3
    refused = httpx.post(faults, json={"sort": "slow"})
    assert (refused.status_code, served.world.faults[1:]) == (400, [])
    assert httpx.delete(faults).json() == {"faults": 0}
    assert served.world.faults == []
    assert httpx.get(f"{served.origin}/_sandbox/requests").json().keys() == set(PLATFORMS)
    assert httpx.get(f"{served.origin}/_sandbox/objects").json().keys() == set(PLATFORMS)
    assert httpx.get(f"{served.origin}/nowhere/").status_code == 404


def test_traffic_is_recorded_without_credentials(wire: Wire) -> None:
    wire.read()
    exchange = wire.sandbox.world.traffic[-1]
    assert exchange.platform == wire.platform
    assert TOKENS[wire.platform] not in str(exchange.headers)

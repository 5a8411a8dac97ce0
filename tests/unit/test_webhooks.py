"""Which calls are let in, which are refused, and what each kind means."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from runner.mention import answer_text
from runner.webhooks import MAX_AGE, SECRETS, Event, Gate, Refusal, Request, Seen, Source

SECRET = "a secret of ours"
NOW = 1_795_000_000.0


def gate(branch: str = "main", secret: str = SECRET) -> Gate:
    return Gate(lambda name: secret if name in SECRETS.values() else "", lambda: NOW, branch)


def encoded(data: object) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def signed(source: Source, body: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "gitlab": {"x-gitlab-token": secret},
        "linear": {"linear-signature": digest},
        "notion": {"x-notion-signature": f"sha256={digest}"},
    }
    return headers[source]


def admit(source: Source, data: object, *, at: Gate | None = None, hook: str = "") -> Event | None:
    body = encoded(data)
    headers = signed(source, body) | {"x-gitlab-event": hook}
    return (at or gate()).admit(source, headers, body)


LINEAR: dict[str, Any] = {
    "type": "Issue",
    "action": "update",
    "webhookTimestamp": NOW * 1000,
    "data": {},
}
NOTION: dict[str, Any] = {"id": "e1", "type": "page.properties_updated", "entity": {"id": "p"}}
PUSH: dict[str, Any] = {"object_kind": "push", "ref": "refs/heads/main"}


def note(text: str, **more: Any) -> dict[str, Any]:
    return {
        "object_kind": "note",
        "user": {"username": "jwp763"},
        "project": {"id": 7},
        "object_attributes": {"id": 55, "note": text, "action": "create", **more},
    }


def issue(text: str, action: str = "open") -> dict[str, Any]:
    return {
        "object_kind": "issue",
        "user": {"username": "jwp763"},
        "project": {"id": 7},
        "object_attributes": {"id": 91, "description": text, "action": action},
    }


@pytest.mark.parametrize(
    ("source", "data", "reason"),
    [
        ("linear", LINEAR, "linear: Issue update"),
        ("notion", NOTION, "notion: page.properties_updated"),
        ("gitlab", PUSH, "gitlab: push"),
        ("gitlab", {"object_kind": "milestone"}, "gitlab: Milestone Hook"),
        ("gitlab", issue("Looks like this", "update"), "gitlab: Milestone Hook"),
    ],
)
def test_a_genuine_call_is_a_reason_to_look(source: Source, data: object, reason: str):
    assert admit(source, data, hook="Milestone Hook") == Event(reason)


@pytest.mark.parametrize("data", [LINEAR, NOTION, PUSH])
@pytest.mark.parametrize("source", ["linear", "notion", "gitlab"])
def test_a_signature_with_another_secret_is_refused(source: Source, data: object):
    body = encoded(data)
    with pytest.raises(Refusal, match="signature") as refused:
        gate().admit(source, signed(source, body, "another secret"), body)
    assert refused.value.status == 401


@pytest.mark.parametrize("source", ["linear", "notion", "gitlab"])
def test_a_call_without_a_signature_is_refused(source: Source):
    unsigned: list[dict[str, str]] = [{}, dict.fromkeys(signed(source, b""), "é")]
    for headers in unsigned:
        with pytest.raises(Refusal, match="signature"):
            gate().admit(source, headers, encoded(LINEAR))


@pytest.mark.parametrize("source", ["linear", "notion"])
def test_a_changed_body_is_refused(source: Source):
    body = encoded(LINEAR)
    headers = signed(source, body)
    with pytest.raises(Refusal, match="signature"):
        gate().admit(source, headers, body.replace(b"update", b"create"))


def test_without_a_secret_nothing_is_let_in():
    for source in SECRETS:
        with pytest.raises(Refusal, match=SECRETS[source]) as refused:
            admit(source, LINEAR, at=gate(secret=""))
        assert refused.value.status == 404


@pytest.mark.parametrize("age", [-MAX_AGE - 1, MAX_AGE + 1, 3600])
def test_an_old_call_of_linear_is_refused(age: float):
    with pytest.raises(Refusal, match="too old"):
        admit("linear", {**LINEAR, "webhookTimestamp": (NOW - age) * 1000})


@pytest.mark.parametrize("stamp", [None, "now", [], {}])
def test_a_call_of_linear_without_a_time_is_refused(stamp: object):
    with pytest.raises(Refusal, match="too old"):
        admit("linear", {**LINEAR, "webhookTimestamp": stamp})


@pytest.mark.parametrize(
    ("source", "data"), [("linear", LINEAR), ("notion", NOTION), ("gitlab", PUSH)]
)
def test_a_replayed_call_is_not_served_again(source: Source, data: object):
    at = gate()
    assert admit(source, data, at=at)
    assert admit(source, data, at=at) is None


def test_what_is_not_signed_does_not_make_a_replay_new():
    at = gate()
    body = encoded(LINEAR)
    assert at.admit("linear", signed("linear", body) | {"linear-delivery": "1"}, body)
    assert at.admit("linear", signed("linear", body) | {"linear-delivery": "2"}, body) is None
    assert admit("notion", NOTION, at=at)
    assert admit("notion", {**NOTION, "attempt_number": 2}, at=at) is None


def test_two_equal_pushes_of_gitlab_are_told_apart_by_their_keys():
    at, body = gate(), encoded(PUSH)
    headers = [signed("gitlab", body) | {"idempotency-key": key} for key in "aba"]
    events = [at.admit("gitlab", item, body) for item in headers]
    assert events == [Event("gitlab: push"), Event("gitlab: push"), None]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'"text"'])
@pytest.mark.parametrize("source", ["linear", "notion", "gitlab"])
def test_what_is_no_json_object_is_refused(source: Source, body: bytes):
    with pytest.raises(Refusal, match="JSON") as refused:
        gate().admit(source, signed(source, body), body)
    assert refused.value.status == 400


def test_only_pushes_to_the_branch_count():
    other = {**PUSH, "ref": "refs/heads/topic"}
    tag = {**PUSH, "ref": "refs/tags/v1"}
    assert admit("gitlab", other) == Event()
    assert admit("gitlab", other, at=gate("")) == Event("gitlab: push")
    assert admit("gitlab", tag, at=gate("")) == Event()


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("@trueup move the beta by a week", "move the beta by a week"),
        ("@trueup: Move the beta", "Move the beta"),
        ("/trueup draft Add a task\nfor tests", "Add a task\nfor tests"),
        ("Hello,\n\n@trueup-bot add a task", "add a task"),
        ("@Trueup\nAdd a task", "Add a task"),
    ],
)
def test_a_mention_is_a_request(text: str, asked: str):
    wanted = Request("gitlab-7-note-55", "jwp763", asked)
    assert admit("gitlab", note(text)) == Event(draft=wanted)
    assert admit("gitlab", issue(text)) == Event(
        draft=Request("gitlab-7-issue-91", "jwp763", asked)
    )


@pytest.mark.parametrize(
    "call",
    [
        note("ask @trueup"),
        note("@trueup"),
        note("@trueupper do it"),
        note("/trueup draftee do it"),
        note("@trueup do it", system=True),
        note("@trueup do it", action="update"),
        note("<!-- trueup:plan -->\n@trueup do it"),
        note("@trueup do it", id="55"),
        {"object_kind": "note"},
        {"object_kind": "note", "object_attributes": []},
    ],
)
def test_other_notes_are_no_requests(call: object):
    assert admit("gitlab", call) == Event()


@pytest.mark.parametrize(
    ("branch", "review", "place"),
    [("trueup/r-1", 12, ""), ("feature/x", 0, "/projects/7/merge_requests/12")],
)
def test_a_mention_on_a_proposal_is_a_review(branch: str, review: int, place: str):
    said = {**note("@trueup shorter"), "merge_request": {"iid": 12, "source_branch": branch}}
    event = admit("gitlab", said)
    assert event == Event(draft=Request("gitlab-7-note-55", "jwp763", "shorter", review, place))


@pytest.mark.parametrize(
    ("call", "place"),
    [
        ({**note("@trueup x"), "issue": {"iid": 3}}, "/projects/7/issues/3"),
        ({**note("@trueup x"), "issue": {"iid": "../3"}}, ""),
        ({**note("@trueup x"), "issue": {"iid": 3}, "project": {"id": "7/x"}}, ""),
        (note("@trueup x", iid=4), ""),
        (issue("@trueup x"), ""),
    ],
)
def test_it_is_answered_where_it_was_said(call: object, place: str):
    event = admit("gitlab", call)
    assert event is not None
    assert event.draft is not None
    assert event.draft.place == place


def test_a_new_issue_is_answered_in_itself():
    said = issue("@trueup x")
    said["object_attributes"]["iid"] = 5
    event = admit("gitlab", said)
    assert event is not None
    assert event.draft is not None
    assert event.draft.place == "/projects/7/issues/5"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"merge_request": "http://g/1", "questions": []}, "Drafted: http://g/1"),
        (
            {"merge_request": "http://g/1", "questions": ["Who?"]},
            "Drafted: http://g/1 It has open questions:\n\n1. Who?",
        ),
        (
            {"merge_request": None, "questions": ["/close"]},
            "Before that is drafted:\n\n1. \\/close\n\n"
            "Mention me once more, with all that is asked.",
        ),
        ({}, "Nothing was drafted; the log of `trueup run` says why."),
    ],
)
def test_what_is_answered(reply: dict[str, object], said: str):
    assert answer_text(reply) == said


def test_a_request_that_is_edited_is_not_done_again():
    event = admit("gitlab", issue("@trueup do it", "update"), hook="Issue Hook")
    assert event == Event("gitlab: Issue Hook")


def test_a_long_request_is_cut():
    event = admit("gitlab", note("@trueup " + "x" * 10_000))
    assert event is not None
    assert event.draft is not None
    assert len(event.draft.text) == 4000


def test_a_log_line_holds_nothing_odd():
    event = admit("linear", {**LINEAR, "type": "\x1b[31m\nerror:", "action": "a" * 99})
    assert event == Event(f"linear: 31merror {'a' * 40}")


def test_notion_introduces_itself():
    hello = {"verification_token": "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}
    assert admit("notion", hello, at=gate(secret="")) == Event(
        verification=hello["verification_token"]
    )
    # Once there is a secret, whoever comes without a signature is nobody.
    with pytest.raises(Refusal, match="signature"):
        gate().admit("notion", {}, encoded(hello))


def test_old_calls_are_forgotten():
    seen = Seen(most=2)
    assert [seen.again(name) for name in "abab"] == [False, False, True, True]
    assert [seen.again(name) for name in "cba"] == [False, True, False]

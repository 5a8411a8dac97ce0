"""Webhooks: whether a call is genuine and new, and what it means for the reconciler.

Nothing in a call is trusted beyond its signature. What it says about the platform is not even
read, since the next observation finds out; only a person's request to the agent is, and it stays
text.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from runner.forge import PREFIX

Source = Literal["gitlab", "linear", "notion"]

SECRETS: Mapping[Source, str] = {
    "gitlab": "TRUEUP_GITLAB_WEBHOOK_TOKEN",
    "linear": "TRUEUP_LINEAR_WEBHOOK_SECRET",
    "notion": "TRUEUP_NOTION_WEBHOOK_TOKEN",
}
"""By source, the environment variable with the secret that its calls are signed with."""

MAX_BODY = 5 * 1024 * 1024
"""Bytes of a call; more is refused unread."""

MAX_AGE = 60.0
"""Seconds after which a call of Linear is too old."""

REMEMBERED = 10_000
"""How many calls are remembered, to tell a repeated one."""

LONGEST_REQUEST = 4000
"""Characters of a request to the agent."""

_MENTION = re.compile(
    r"^(?:@trueup(?:-bot)?\b[:,]?|/trueup\s+draft\b)\s*(.*)",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
_OURS = "<!-- trueup"
"""What our own notes begin with; a request quoted there is none."""


@dataclass(frozen=True, slots=True)
class Request:
    """A person's request to the agent.

    Attributes:
        request_id: the same for a call that comes twice, so that it opens one merge request only.
        author: the person's name on the platform.
        text: what is asked for; data, whatever it says.
        review: the number of the proposal of ours that it was said on; 0 for anywhere else.
        place: the path in GitLab's API of the issue or merge request that it was said in; ''
            where that is not known, or is a proposal of ours.
    """

    request_id: str
    author: str
    text: str
    review: int = 0
    place: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """What a genuine call means.

    Attributes:
        reconcile: why to take a turn, or '' for no reason.
        draft: a request to the agent.
        verification: the token with which Notion verifies a new subscription.
    """

    reconcile: str = ""
    draft: Request | None = None
    verification: str = ""


class Refusal(Exception):
    """A call is not served.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Seen:
    """The latest calls, to tell one that comes again; safe to ask twice."""

    most: int = REMEMBERED
    _ids: OrderedDict[str, None] = field(default_factory=OrderedDict[str, None])

    def again(self, identity: str) -> bool:
        """Remember a call; return whether it had come before."""
        known = identity in self._ids
        self._ids[identity] = None
        self._ids.move_to_end(identity)
        if len(self._ids) > self.most:
            self._ids.popitem(last=False)
        return known


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets genuine calls in, each once.

    Attributes:
        secret: returns the value of an environment variable, or ''.
        clock: returns the seconds since 1970.
        branch: the branch that pushes count for; every one where empty.
    """

    secret: Callable[[str], str]
    clock: Callable[[], float]
    branch: str = ""
    _seen: Seen = field(default_factory=Seen)

    def admit(self, source: Source, headers: Mapping[str, str], body: bytes) -> Event | None:
        """Return what a call means; `None` for one that was served before.

        Args:
            source: who seems to call.
            headers: by lower-case name.
            body: as it came, for the signature is about its bytes.

        Raises:
            Refusal: it is not genuine, too old, or makes no sense.
        """
        secret = self.secret(SECRETS[source])
        if not secret:
            if source == "notion" and (token := _verification(body)):
                return Event(verification=token)
            raise Refusal(404, f"{SECRETS[source]} is not set")
        if not _GENUINE[source](secret, headers, body):
            raise Refusal(401, "the signature does not match")
        data = _object(body)
        if source == "linear":
            self._refuse_old(data)
        if self._seen.again(_identity(source, headers, data, body)):
            return None
        return self._meaning(source, headers, data)

    def _refuse_old(self, data: Mapping[str, Any]) -> None:
        stamp = data.get("webhookTimestamp")
        if not isinstance(stamp, (int, float)) or abs(self.clock() - stamp / 1000) > MAX_AGE:
            raise Refusal(401, "the call is too old")

    def _meaning(
        self, source: Source, headers: Mapping[str, str], data: Mapping[str, Any]
    ) -> Event:
        if source == "linear":
            return Event(f"linear: {_word(data.get('type'))} {_word(data.get('action'))}")
        if source == "notion":
            return Event(f"notion: {_word(data.get('type'))}")
        return _gitlab_event(headers.get("x-gitlab-event", ""), data, self.branch)


def _gitlab_event(name: str, data: Mapping[str, Any], branch: str) -> Event:
    kind = str(data.get("object_kind"))
    if kind == "push":
        ref = str(data.get("ref"))
        mine = ref == f"refs/heads/{branch}" if branch else ref.startswith("refs/heads/")
        return Event("gitlab: push" if mine else "")
    if kind in {"note", "issue", "work_item"}:
        draft = _request(kind, data)
        # A request is no change of a resource; everything else about an issue may be one.
        return Event("" if draft or kind == "note" else f"gitlab: {_word(name)}", draft)
    return Event(f"gitlab: {_word(name)}" if kind in {"milestone", "merge_request"} else "")


def _request(kind: str, data: Mapping[str, Any]) -> Request | None:
    """Return the request in a new note or issue, or `None` where there is none."""
    item, user, project = (_part(data, name) for name in ("object_attributes", "user", "project"))
    text = str(item.get("note" if kind == "note" else "description") or "")
    fresh = item.get("action", "create") in {"create", "open"}
    if not fresh or item.get("system") or _OURS in text:
        return None
    found = _MENTION.search(text)
    number, home = item.get("id"), project.get("id")
    if not found or not found[1].strip() or not isinstance(number, int):
        return None
    asked = found[1].strip()[:LONGEST_REQUEST]
    identity, author = f"gitlab-{_word(home)}-{kind}-{number}", str(user.get("username") or "")
    review = _review(_part(data, "merge_request"))
    return Request(identity, author, asked, review, "" if review else _place(kind, data))


def _place(kind: str, data: Mapping[str, Any]) -> str:
    """Return the path in the API of the issue or merge request that a text is in, or ''."""
    home = _part(data, "project").get("id")
    issue = _part(data, "issue" if kind == "note" else "object_attributes").get("iid")
    request = _part(data, "merge_request").get("iid")
    what, number = ("issues", issue) if issue is not None else ("merge_requests", request)
    known = isinstance(home, int) and isinstance(number, int)
    return f"/projects/{home}/{what}/{number}" if known else ""


def _review(request: Mapping[str, Any]) -> int:
    """Return the number of a merge request that the agent opened, else 0."""
    number = request.get("iid")
    ours = str(request.get("source_branch") or "").startswith(PREFIX)
    return number if ours and isinstance(number, int) else 0


def _by_token(secret: str, headers: Mapping[str, str], _body: bytes) -> bool:
    given = headers.get("x-gitlab-token", "")
    return hmac.compare_digest(given.encode(), secret.encode())


def _by_linear(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    return hmac.compare_digest(headers.get("linear-signature", "").encode(), _hmac(secret, body))


def _by_notion(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    given = headers.get("x-notion-signature", "").encode()
    return hmac.compare_digest(given, b"sha256=" + _hmac(secret, body))


_GENUINE: Mapping[Source, Callable[[str, Mapping[str, str], bytes], bool]] = {
    "gitlab": _by_token,
    "linear": _by_linear,
    "notion": _by_notion,
}


def _hmac(secret: str, body: bytes) -> bytes:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()


def _identity(
    source: Source, headers: Mapping[str, str], data: Mapping[str, Any], body: bytes
) -> str:
    """Return what tells a call from every other one: from what is signed, where there is a choice.

    GitLab signs nothing: who knows its token may send what they like.
    """
    if source == "gitlab":
        sent = headers.get("idempotency-key") or headers.get("x-gitlab-event-uuid")
        return f"gitlab {sent or hashlib.sha256(body).hexdigest()}"
    if source == "notion" and data.get("id"):
        return f"notion {data['id']}"
    return f"{source} {hashlib.sha256(body).hexdigest()}"


def _verification(body: bytes) -> str:
    """Return the token with which Notion introduces itself, or ''."""
    token = _object(body).get("verification_token")
    return token if isinstance(token, str) else ""


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        data: object = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is no JSON") from None
    if not isinstance(data, dict):
        raise Refusal(400, "the body is no JSON object")
    return cast("Mapping[str, Any]", data)


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = data.get(name)
    return cast("Mapping[str, Any]", part) if isinstance(part, dict) else {}


def _word(value: object) -> str:
    """Return a short plain word for a log line, whatever was sent."""
    return re.sub(r"[^A-Za-z0-9._ -]", "", str(value))[:40]

"""What Motion's endpoints take: queries and bodies, checked as strictly as documented."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, cast

from runner.sandbox._platform import Call

PRIORITIES = ("ASAP", "HIGH", "MEDIUM", "LOW")


class Refusal(Exception):
    """A request that Motion refuses, with the status and words it does so."""

    def __init__(self, status: int, message: str | list[str], error: str = "") -> None:
        super().__init__(status, message)
        body: dict[str, Any] = {"message": message, "statusCode": status}
        self.status = status
        self.body = body | ({"error": error} if error else {})


def bad_request(*messages: str) -> Refusal:
    """Return a 400 that lists what is wrong."""
    return Refusal(400, list(messages), "Bad Request")


Check = Callable[[Any], str]
"""Returns what a value must be, or an empty string where it is."""


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else "a string"


def _name(value: Any) -> str:
    return "" if isinstance(value, str) and value.strip() else "a string that is not empty"


def _instant(value: Any) -> str:
    return "" if isinstance(value, str) and _is_instant(value) else "an ISO 8601 instant"


def _day(value: Any) -> str:
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        return "a date"
    return ""


def _duration(*words: str) -> Check:
    def check(value: Any) -> str:
        minutes = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return "" if minutes or value in words else f"minutes above 0, or one of {words}"

    return check


def _one_of(*words: str) -> Check:
    return lambda value: "" if value in words else f"one of {', '.join(words)}"


def _strings(value: Any) -> str:
    fits = isinstance(value, list) and all(isinstance(i, str) for i in cast("list[Any]", value))
    return "" if fits else "an array of strings"


def _array(value: Any) -> str:
    return "" if isinstance(value, list) else "an array"


def _scheduled(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, dict):
        return "an object or null"
    problems = SCHEDULING.problems(cast("dict[str, Any]", value))
    return f"well formed: {', '.join(problems)}" if problems else ""


@dataclass(frozen=True, slots=True)
class Shape:
    """The members that a body or query may have, and those that it must have."""

    members: Mapping[str, Check]
    required: Collection[str] = field(default_factory=tuple[str, ...])

    def problems(self, given: Mapping[str, Any]) -> list[str]:
        """Return all that is wrong with `given`, in Motion's manner."""
        found = [f"property {name} should not exist" for name in given if name not in self.members]
        found += [f"{name} is required" for name in self.required if name not in given]
        for name, check in self.members.items():
            if name in given and (must := check(given[name])):
                found.append(f"{name} must be {must}")
        return found


SCHEDULING = Shape(
    {
        "startDate": _instant,
        "deadlineType": _one_of("HARD", "SOFT", "NONE"),
        "schedule": _text,
    }
)
_TASK: dict[str, Check] = {
    "name": _name,
    "workspaceId": _text,
    "dueDate": _instant,
    "duration": _duration("NONE", "REMINDER"),
    "status": _text,
    "autoScheduled": _scheduled,
    "projectId": _text,
    "description": _text,
    "priority": _one_of(*PRIORITIES),
    "labels": _strings,
    "assigneeId": _text,
}
NEW_TASK = Shape(_TASK, ("name", "workspaceId"))
PARTIAL_TASK = Shape(_TASK)
MOVE = Shape({"workspaceId": _text, "assigneeId": _text}, ("workspaceId",))
NEW_PROJECT = Shape(
    {
        "name": _name,
        "workspaceId": _text,
        "dueDate": _instant,
        "description": _text,
        "labels": _strings,
        "priority": _one_of(*PRIORITIES),
        "projectDefinitionId": _text,
        "stages": _array,
    },
    ("name", "workspaceId"),
)
NEW_COMMENT = Shape({"taskId": _text, "content": _text}, ("taskId",))
NEW_RECURRING = Shape(
    {
        "frequency": _name,
        "name": _name,
        "workspaceId": _text,
        "assigneeId": _text,
        "deadlineType": _one_of("HARD", "SOFT"),
        "duration": _duration("REMINDER"),
        "startingOn": _day,
        "idealTime": _text,
        "schedule": _text,
        "description": _text,
        "priority": _one_of("HIGH", "MEDIUM"),
    },
    ("frequency", "name", "workspaceId", "assigneeId"),
)


def query_of(call: Call, *names: str) -> dict[str, str]:
    """Return the query, of which every parameter must be one of `names`.

    Raises:
        Refusal: one is not.
    """
    unknown = [f"property {name} should not exist" for name, _ in call.query if name not in names]
    if unknown:
        raise bad_request(*unknown)
    return dict(call.query)


def body_of(call: Call, shape: Shape) -> dict[str, Any]:
    """Return the body, which must have the `shape`.

    Raises:
        Refusal: it has not, or is no JSON object.
    """
    try:
        given: object = json.loads(call.body)
    except ValueError as error:
        raise bad_request("the body is not JSON") from error
    if not isinstance(given, dict):
        raise bad_request("the body must be an object")
    body = cast("dict[str, Any]", given)
    if problems := shape.problems(body):
        raise bad_request(*problems)
    return body


def instant(text: str) -> datetime:
    """Return an instant that was checked before."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def show(moment: datetime) -> str:
    """Return an instant as Motion writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _is_instant(text: str) -> bool:
    try:
        instant(text)
    except ValueError:
        return False
    return "T" in text

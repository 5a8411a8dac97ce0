"""How GitLab's REST API reads parameters, answers in pages, and refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, cast
from urllib.parse import urlencode

from runner.sandbox._platform import Call, Reply
from runner.sandbox.server import PATHS

Accepts = Mapping[str, str | tuple[str, ...]]
"""By parameter: a kind (see `_CONVERT`), or the values allowed."""

Handler = Callable[..., Reply]
Routes = Sequence[tuple[str, str, Handler]]
"""Method, pattern of the path, and who answers: the call first, then the path's groups."""

JOB_TOKEN = "glcbt-sandbox"  # noqa: S105 - nobody else takes it
"""What a CI/CD job holds by itself; it may read a little, and write nothing."""

PROJECT = r"/api/v4/projects/([^/]+)"

PAGING: Accepts = {"page": "number", "per_page": "number"}

ISSUE: Accepts = {
    "title": "text",
    "description": "text",
    "assignee_id": "number",
    "assignee_ids": "numbers",
    "milestone_id": "number",
    "labels": "texts",
    "add_labels": "texts",
    "remove_labels": "texts",
    "due_date": "day",
    "confidential": "flag",
    "discussion_locked": "flag",
    "issue_type": ("issue", "incident", "test_case", "requirement", "task", "ticket"),
    "weight": "number",
    "created_at": "instant",
}
ISSUE_FILTERS: Accepts = {
    **PAGING,
    "state": ("opened", "closed", "all"),
    "scope": ("created_by_me", "assigned_to_me", "all"),
    "labels": "texts",
    "milestone": "text",
    "iids": "numbers",
    "search": "text",
    "in": "text",
    "author_id": "number",
    "author_username": "text",
    "assignee_id": "number",
    "assignee_username": "texts",
    "updated_after": "instant",
    "updated_before": "instant",
    "created_after": "instant",
    "created_before": "instant",
    "order_by": ("created_at", "updated_at", "due_date", "title"),
    "sort": ("asc", "desc"),
    "with_labels_details": "flag",
    "confidential": "flag",
}
MILESTONE: Accepts = {
    "title": "text",
    "description": "text",
    "due_date": "day",
    "start_date": "day",
    "state_event": ("close", "activate"),
}
LABEL: Accepts = {
    "name": "text",
    "new_name": "text",
    "color": "text",
    "description": "text",
    "priority": "number",
}


class Refused(Exception):
    """Carries an answer other than success to where answers are sent."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def error(status: int, why: str) -> Refused:
    """Return the refusal of a request whose parameters cannot be read."""
    return Refused(Reply(status, {"error": why}))


def refused(status: int, message: object) -> Refused:
    """Return the refusal of a request that was understood."""
    return Refused(Reply(status, {"message": message}))


def not_found(what: str = "") -> Refused:
    """Return the refusal for something that is not there, or that the token cannot see."""
    return refused(404, f"404 {what} Not Found" if what else "404 Not found")


def parameters(call: Call, accepts: Accepts, required: Sequence[str] = ()) -> dict[str, Any]:
    """Return the parameters of query and body, converted; empty and null values are `None`.

    Unlike GitLab, which ignores what it does not know, this refuses unknown parameters.
    """
    given: dict[str, Any] = {}
    for name, value in call.query:
        if name.endswith("[]"):
            given.setdefault(name[:-2], []).append(value)
        else:
            given[name] = value
    given.update(_body(call))
    if missing := [name for name in required if given.get(name) in (None, "")]:
        raise error(400, ", ".join(f"{name} is missing" for name in missing))
    if unknown := [name for name in given if name not in accepts]:
        raise error(400, ", ".join(f"{name} is unknown" for name in unknown))
    return {name: _convert(name, value, accepts[name]) for name, value in given.items()}


def _body(call: Call) -> dict[str, Any]:
    if not call.body:
        return {}
    if "json" not in call.headers.get("content-type", ""):
        raise error(415, "The provided content-type is not supported.")
    try:
        body: Any = json.loads(call.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise error(400, "The request body is not a JSON object")
    return cast("dict[str, Any]", body)


def _convert(name: str, value: object, kind: str | tuple[str, ...]) -> object:
    if value in (None, ""):
        return None
    if isinstance(kind, tuple):
        if value not in kind:
            raise error(400, f"{name} does not have a valid value")
        return value
    converted = _CONVERT[kind](value)
    if converted is None:
        raise error(400, f"{name} is invalid")
    return converted


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _id(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) else None


def _number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d+", value) else None


def _flag(value: object) -> bool | None:
    return {True: True, False: False, "true": True, "false": False}.get(cast("Any", value))


def _day(value: object) -> str | None:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        return None


def _instant(value: object) -> datetime | None:
    try:
        stamp = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return stamp if stamp.tzinfo else None


def _texts(value: object) -> list[str] | None:
    values = value.split(",") if isinstance(value, str) else value
    if not isinstance(values, list):
        return None
    texts = [item for item in cast("list[object]", values) if isinstance(item, str)]
    if len(texts) != len(cast("list[object]", values)):
        return None
    # A comma separates labels in an array, too.
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _numbers(value: object) -> list[int] | None:
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    numbers = [_number(item) for item in values]
    return None if None in numbers else cast("list[int]", numbers)


def _object(value: object) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


_CONVERT = {
    "text": _text,
    "id": _id,
    "number": _number,
    "flag": _flag,
    "day": _day,
    "instant": _instant,
    "texts": _texts,
    "numbers": _numbers,
    "object": _object,
}


def page_of(call: Call, found: Sequence[object], asked: Mapping[str, Any]) -> Reply:
    """Return one page of `found`, with the headers that lead to the next."""
    size = min(max(asked.get("per_page") or 20, 1), 100)
    page = max(asked.get("page") or 1, 1)
    pages = max(-(-len(found) // size), 1)
    following = page + 1 if page < pages else None
    headers = {
        "x-page": str(page),
        "x-per-page": str(size),
        "x-next-page": str(following or ""),
        "x-prev-page": str(page - 1 if page > 1 else ""),
        "x-total": str(len(found)),
        "x-total-pages": str(pages),
    }
    if following:
        kept = [(name, value) for name, value in call.query if name not in {"page", "per_page"}]
        query = urlencode([*kept, ("page", following), ("per_page", size)])
        origin = f"http://{call.headers.get('host', 'localhost')}{PATHS['gitlab']}"
        headers["link"] = f'<{origin}{call.path}?{query}>; rel="next"'
    return Reply(200, list(found[(page - 1) * size : page * size]), headers)

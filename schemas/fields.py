"""What one field of a spec may hold: dates, estimates, keys, links, references, names.

Each type takes what people write and gives the canonical form (`schemas.values` parses it), and
says in JSON Schema what editors are to accept. `schemas.spec` builds the documents of them.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, cast

from pydantic import AfterValidator, Field, PlainValidator, StringConstraints, WithJsonSchema

from schemas.domain import SharedField
from schemas.values import (
    KEY,
    BadValue,
    parse_date,
    parse_estimate,
    parse_label,
    parse_line,
    parse_markdown,
    parse_url,
)


def _date(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadValue("bad-date", "this is not a date", "write it as YYYY-MM-DD, 2026-12-31")
    return parse_date(value)


def _estimate(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str):
        amount = value if isinstance(value, int | float) and not isinstance(value, bool) else 4
        raise BadValue("bad-estimate", "an estimate needs a unit", f"write {amount}h or {amount}d")
    return parse_estimate(value)


def _link(value: object) -> str:
    if isinstance(value, str):
        return parse_url(value)
    hint = "a link is https://…, or {url: https://…, title: words}"
    given = cast("dict[str, object]", value) if isinstance(value, dict) else {"": None}
    if not given.keys() <= {"url", "title"}:
        raise BadValue("bad-link", "this is not a link", hint)
    url, title = given.get("url"), given.get("title")
    if not isinstance(url, str) or not isinstance(title, str | None):
        raise BadValue("bad-link", "a link needs a `url`, and a `title` is text", hint)
    return f"{parse_url(url)} {parse_line(title)}" if title is not None else parse_url(url)


def _labels(labels: list[str] | None) -> list[str]:
    return sorted(set(labels or ()))


def unique(items: list[str] | None) -> list[str]:
    """Return the items, each once, in their order; nothing is an empty list."""
    return list(dict.fromkeys(items or ()))


def _text(text: str | None) -> str | None:
    return (parse_markdown(text) or None) if text is not None else None


ESTIMATE_SHAPE: Final = WithJsonSchema(
    {"type": ["string", "null"], "pattern": r"^\s*(\d+(\.\d+)?\s*[mhdw]\s*)+$"}
)
LINK_SHAPE: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9+.-]*://\S+$"},
            {
                "type": "object",
                "properties": {"url": {"type": "string"}, "title": {"type": "string"}},
                "required": ["url"],
                "additionalProperties": False,
            },
        ]
    }
)

Key: TypeAlias = Annotated[str, StringConstraints(pattern=KEY, max_length=100)]
Line: TypeAlias = Annotated[str, AfterValidator(parse_line)]
Markdown: TypeAlias = Annotated[str | None, AfterValidator(_text)]
Date: TypeAlias = Annotated[
    str | None,
    PlainValidator(_date),
    WithJsonSchema({"type": ["string", "null"], "pattern": r"^\d{4}-\d{2}-\d{2}$"}),
]
Estimate: TypeAlias = Annotated[int | None, PlainValidator(_estimate), ESTIMATE_SHAPE]
Label: TypeAlias = Annotated[str, AfterValidator(parse_label)]
Labels: TypeAlias = Annotated[list[Label] | None, AfterValidator(_labels)]
Link: TypeAlias = Annotated[str, PlainValidator(_link), LINK_SHAPE]
Links: TypeAlias = Annotated[list[Link] | None, AfterValidator(unique)]
Reference: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)?$")
]
References: TypeAlias = Annotated[list[Reference] | None, AfterValidator(unique)]
OldAddress: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*){0,2}$")
]
NewAddress: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^(milestones/)?[a-z0-9]+(-[a-z0-9]+)*$")
]
Status: TypeAlias = Literal["backlog", "todo", "in_progress", "done", "canceled"]
Priority: TypeAlias = Literal["none", "low", "medium", "high", "urgent"]
DriftField: TypeAlias = Literal[SharedField, "parent", "project", "container"]
Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Weekdays: TypeAlias = Annotated[list[Weekday], AfterValidator(unique), Field(min_length=1)]
NotionField: TypeAlias = Literal[
    "title",
    "key",
    "status",
    "priority",
    "owner",
    "start",
    "due",
    "estimate",
    "labels",
    "milestone",
    "links",
    "linear",
    "gitlab",
    "motion",
    "scheduled",
    "project",
    "parent",
    "depends_on",
]
Platforms: TypeAlias = Annotated[list[str], AfterValidator(unique)]
Identifier: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
Rate: TypeAlias = Annotated[int, Field(ge=1, le=100_000)]
Tier: TypeAlias = Literal["small", "medium", "large"]
Provider: TypeAlias = Literal["anthropic", "openai", "xai", "google"]
Providers: TypeAlias = Annotated[list[Provider], AfterValidator(unique)]
Dollars: TypeAlias = Annotated[float, Field(ge=0, le=1_000_000)]
Tokens: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000_000_000)]

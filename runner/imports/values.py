"""Values of a platform in the words of the specs; what the language cannot say is told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from schemas.domain import Fields, Value
from schemas.values import (
    BadValue,
    format_estimate,
    parse_date,
    parse_estimate,
    parse_label,
    parse_line,
    parse_markdown,
    parse_url,
)

PLAIN = ("description", "priority", "start", "due", "estimate", "labels", "links")
"""Fields that are declared as they are; the others are references, or left to the platforms."""

LONGEST_TITLE = 255


@dataclass(frozen=True, slots=True)
class Said:
    """The fields of an object as a spec gives them.

    Attributes:
        fields: by name, ready for an operation.
        unsaid: by name, why a value stays with the platform.
    """

    fields: dict[str, object]
    unsaid: dict[str, str] = field(default_factory=dict[str, str])


def say(fields: Fields) -> Said:
    """Return the plain fields of an object; empty ones are left to the platforms."""
    said = Said({"title": title_of(fields)})
    for name in PLAIN:
        value = fields.get(name)
        if value in (None, "", (), "none", 0):
            continue
        try:
            fit = _FITS[name](value)
        except BadValue as error:
            said.unsaid[name] = error.message
        else:
            if fit:
                said.fields[name] = fit
    start, due = said.fields.get("start"), said.fields.get("due")
    if isinstance(start, str) and isinstance(due, str) and due < start:
        del said.fields["start"]
        said.unsaid["start"] = f"it is after the due date, {due}"
    return said


def title_of(fields: Fields) -> str:
    """Return the title in a form that the specs can hold."""
    title = str(fields.get("title") or "")
    try:
        return parse_line(title)
    except BadValue:
        plain = " ".join("".join(c if c.isprintable() else " " for c in title).split())
        return plain[:LONGEST_TITLE].strip() or "Untitled"


def _labels(value: Value) -> list[str]:
    return [parse_label(label) for label in _texts(value)]


def _links(value: Value) -> list[object]:
    return list(_each_link(_texts(value)))


def _each_link(links: tuple[str, ...]) -> Iterator[object]:
    seen: set[str] = set()
    for link in links:
        url, _, title = link.partition(" ")
        if parse_url(url) in seen:
            continue
        seen.add(url)
        yield {"url": url, "title": parse_line(title)} if title.strip() else url


def _estimate(value: Value) -> str:
    text = format_estimate(value) if isinstance(value, int) else str(value)
    parse_estimate(text)
    return text


def _texts(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


_FITS: Mapping[str, Callable[[Value], object]] = {
    "description": lambda value: parse_markdown(str(value)),
    "priority": str,
    "start": lambda value: parse_date(str(value)),
    "due": lambda value: parse_date(str(value)),
    "estimate": _estimate,
    "labels": _labels,
    "links": _links,
}

"""What our fields are called in Notion, and how values cross over: pure functions both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from reconcilers._blocks import Json, rich_text, spans_of, text_of
from reconcilers._contract import Field
from reconcilers._notion_columns import KNOWN_STATUSES, PRIORITY_OPTIONS, STATUSES, milestone_key
from reconcilers._spans import Span
from schemas.domain import Fields, Kind, Value, milestone_address, project_of

BOTH: tuple[Kind, ...] = ("project", "task")

FIELDS = (
    Field("title", "Name", BOTH),
    Field("key", "Key", BOTH, note="the resource's address"),
    Field("description", "page body", BOTH, note="Markdown becomes blocks, and blocks Markdown"),
    Field("status", "Status (select)", BOTH),
    Field("priority", "Priority (select)", BOTH),
    Field("owner", "Owner (people)", BOTH, note="found by e-mail address; else left empty"),
    Field("start", "Start (date)", BOTH),
    Field("due", "Due (date)", BOTH),
    Field("estimate", "Estimate (number)", note="in hours"),
    Field("labels", "Labels (multi-select)", BOTH, note="options are made when missing"),
    Field("links", "Links (rich text)", BOTH),
    Field("milestone", "Milestone (select)", note="the milestone's key"),
    Field("project", "Project (relation)"),
    Field("parent", "Parent (relation)"),
    Field("depends_on", "Depends on (relation)", note="at most 100"),
    Field("counterparts", "Linear, GitLab, Motion (URL)", BOTH),
    Field("scheduled_start", "Scheduled (date)", observed=False, note="Motion's schedule"),
    Field("scheduled_end", "Scheduled (date)", observed=False),
)

EMPTY: Mapping[str, Value] = {"status": "todo", "priority": "none"}
"""What an empty column means."""

_COUNTERPARTS = {"linear": "Linear", "gitlab": "GitLab", "motion": "Motion"}
RELATIONS = {"project": "Project", "parent": "Parent", "depends_on": "Depends on"}
SCHEDULED = ("scheduled_start", "scheduled_end")
_SELECTS = {"status": "Status", "priority": "Priority", "milestone": "Milestone"}
_DATES = {"start": "Start", "due": "Due"}

MOST = 100
"""Options, related pages and people that one property can be given."""

CUT = 25
"""Related pages that a read of a page gives; where there are more, they must be asked for."""

Resolve = Callable[[str], str | None]
"""From an address to a page, or from a page to an address; `None` where there is none."""


def to_remote(fields: Fields, resolve: Resolve, user: Resolve, title: str = "Name") -> Json:
    """Return `fields` as page properties; the description is not one of them.

    Args:
        fields: what to set; `None` clears.
        resolve: from an address to a page id.
        user: from an identity to a user id.
        title: what the title column is called.
    """
    properties: Json = {}
    for name, value in fields.items():
        if name in {"title", "key"}:
            column, form = (title, "title") if name == "title" else ("Key", "rich_text")
            properties[column] = {form: rich_text([Span(str(value))] if value else [])}
        elif name in _SELECTS:
            option = _option(name, value)
            properties[_SELECTS[name]] = {"select": {"name": option} if option else None}
        elif name in _DATES:
            properties[_DATES[name]] = {"date": {"start": value} if value else None}
        elif name == "owner":
            account = user(str(value)) if value else None
            people = [{"object": "user", "id": account}] if account else []
            properties["Owner"] = {"people": people}
        elif name == "estimate":
            hours = None if value is None else cast("int", value) / 60
            properties["Estimate"] = {"number": hours}
        elif name == "labels":
            properties["Labels"] = _multi_select(strings(value))
        elif name == "links":
            properties["Links"] = {"rich_text": rich_text(_linked(strings(value)))}
        elif name in RELATIONS:
            related = filter(None, map(resolve, strings(value)))
            properties[RELATIONS[name]] = {"relation": [{"id": i} for i in related][:MOST]}
        elif name in SCHEDULED:
            properties["Scheduled"] = {"date": _scheduled(fields)}
        elif name == "counterparts":
            urls = dict(_split(text) for text in strings(value))
            properties |= {c: {"url": urls.get(p) or None} for p, c in _COUNTERPARTS.items()}
    return properties


def from_remote(
    properties: Mapping[str, Any], resolve: Resolve, title: str = "Name", address: str = ""
) -> Fields:
    """Return page properties as fields; owner and description are not among them.

    Args:
        properties: of a page, as Notion gives them, its relations complete.
        resolve: from a page id to an address.
        title: what the title column is called.
        address: what the page is bound to, else it is what its own Key says.
    """
    fields: dict[str, Value] = {}
    readers = {
        "Name": ("title", _read_title),
        "Key": ("key", _read_key),
        "Status": ("status", _read_status),
        "Priority": ("priority", _read_priority),
        "Start": ("start", _read_start),
        "Due": ("due", _read_due),
        "Estimate": ("estimate", _read_estimate),
        "Labels": ("labels", _read_labels),
        "Links": ("links", _read_links),
    }
    for column, (name, read) in readers.items():
        found = properties.get(title if column == "Name" else column)
        if found is not None:
            fields[name] = read(found)
    fields["counterparts"] = tuple(
        sorted(
            f"{platform} {properties[column]['url']}"
            for platform, column in _COUNTERPARTS.items()
            if column in properties and properties[column].get("url")
        )
    )
    fields |= _read_relations(properties, resolve)
    own = address or str(fields.get("key") or "")
    if "Milestone" in properties and own:
        option = chosen(properties["Milestone"])
        milestone = milestone_address(project_of(own), milestone_key(option))
        fields["milestone"] = milestone if option else None
    return fields


def _option(name: str, value: Value) -> str:
    text = str(value or "")
    if name == "status":
        return STATUSES.get(text, text)
    return text.capitalize() if name == "priority" else text.rpartition("/")[2]


def _scheduled(fields: Fields) -> Json | None:
    """Return when work is scheduled; both ends must be among `fields`."""
    start = fields.get("scheduled_start")
    return {"start": start, "end": fields.get("scheduled_end")} if start else None


def strings(value: Value) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    return (str(value),) if value else ()


def _multi_select(labels: Iterable[str]) -> Json:
    # Notion refuses a comma in the name of an option.
    return {"multi_select": [{"name": name.replace(",", "，")} for name in labels][:MOST]}  # noqa: RUF001


def _linked(links: Sequence[str]) -> list[Span]:
    spans: list[Span] = []
    for number, link in enumerate(links):
        url, title = _split(link)
        end = "\n" if number < len(links) - 1 else ""
        # An array holds 100 items; a link takes two, and what is beyond that is plain text.
        if number < 45:
            spans += [Span(title or url, link=url), Span(end)]
        else:
            spans.append(Span(link + end))
    merged = "".join(span.text for span in spans[90:])
    return [span for span in (*spans[:90], Span(merged)) if span.text]


def _split(text: str) -> tuple[str, str]:
    first, _, rest = text.partition(" ")
    return first, rest


def _read_title(found: Json) -> Value:
    return text_of(found.get("title"))


def _read_key(found: Json) -> Value:
    return text_of(found.get("rich_text"))


def chosen(found: Json) -> str:
    """Return the name of the option that a row has in a column."""
    # People may turn a select into a status column; both have a name.
    option = found.get(str(found.get("type")))
    return str(cast("Json", option).get("name", "")) if isinstance(option, dict) else ""


def _read_status(found: Json) -> Value:
    name = chosen(found)
    return KNOWN_STATUSES.get(name.casefold(), "backlog") if name else None


def _read_priority(found: Json) -> Value:
    name = chosen(found).casefold()
    return name if name in {option.casefold() for option, _ in PRIORITY_OPTIONS} else None


def _read_start(found: Json) -> Value:
    date = cast("dict[str, str]", found.get("date") or {})
    return date.get("start", "")[:10] or None


def _read_due(found: Json) -> Value:
    date = cast("dict[str, str | None]", found.get("date") or {})
    return (date.get("end") or date.get("start") or "")[:10] or None


def _read_estimate(found: Json) -> Value:
    hours = found.get("number")
    return round(hours * 60) if isinstance(hours, int | float) else None


def _read_labels(found: Json) -> Value:
    options = cast("list[dict[str, str]]", found.get("multi_select") or [])
    return tuple(sorted(option["name"].replace("，", ",") for option in options))  # noqa: RUF001


def _read_links(found: Json) -> Value:
    lines: list[list[Span]] = [[]]
    for span in spans_of(found.get("rich_text")):
        first, *more = span.text.split("\n")
        lines[-1].append(Span(first, link=span.link))
        lines += [[Span(text, link=span.link)] for text in more]
    links: list[str] = []
    for line in lines:
        text = "".join(span.text for span in line).strip()
        url = next((span.link for span in line if span.link and span.text), "")
        # Notion may put a slash behind a bare host.
        bare = not url or text.rstrip("/") == url.rstrip("/")
        links.append(text if bare else f"{url} {text}")
    return tuple(link for link in links if link)


def _read_relations(properties: Mapping[str, Any], resolve: Resolve) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    for name, column in RELATIONS.items():
        if column not in properties:
            continue
        ids = related(properties[column])
        known = tuple(sorted(filter(None, map(resolve, ids))))
        if name == "depends_on":
            # What was cut on the way there cannot be told from what somebody took out.
            fields |= {name: known} if len(ids) < MOST else {}
        elif known or not ids:
            fields[name] = known[0] if known else None
    return fields


def related(found: Json) -> list[str]:
    return [str(item["id"]) for item in cast("list[Json]", found.get("relation") or [])]

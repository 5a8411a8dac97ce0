"""Reading all rows of the databases, for import: people's own rows as well as ours.

A milestone is an option that rows have. On people's own rows it is told as a milestone of the
row's project.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, cast

from reconcilers._blocks import Json
from reconcilers._contract import Links, Listed, Listing, Observed
from reconcilers._notion_columns import milestone_key
from reconcilers._notion_fields import chosen
from reconcilers._notion_home import KINDS, Home, Members, Sourced
from schemas.errors import PermanentError

Rows: TypeAlias = Callable[[Sourced], AsyncIterator[list[Json]]]
Read: TypeAlias = Callable[
    [Sourced, Sequence[Json], Sequence[bool]], Coroutine[Any, Any, list[Observed]]
]

_CLOSED = frozenset({"done", "canceled"})


async def survey(
    home: Home,
    members: Members,
    links: Links,
    rows: Rows,
    read: Read,
    container: str,
    *,
    closed: bool,
) -> Listing:
    """Return all rows, oldest first; the text of closed ones only where they are asked for.

    Reading a text costs a request or more, so that of rows which open ones merely refer to stays
    with Notion.
    """
    await home.locate()
    found: list[Listed] = []
    milestones: dict[str, Listed] = {}
    sources: list[Sourced] = [kind for kind in KINDS if home.source(kind)]
    if not sources:
        raise PermanentError(
            f"there are no databases of trueup's on the page `{container}`",
            platform="notion",
            hint="name your own in the Integrations spec: notion: {tasks: URL}",
        )
    for kind in sources:
        async for page in rows(kind):
            seen = await read(kind, page, [False] * len(page))
            wanted = [closed or item.fields.get("status") not in _CLOSED for item in seen]
            to_read = [row for row, wants in zip(page, wanted, strict=True) if wants]
            whole = await read(kind, to_read, [True] * len(to_read))
            by_id = {item.remote_id: item for item in whole}
            for row, item in zip(page, seen, strict=True):
                told = by_id.get(item.remote_id, item)
                option = "" if told.marker else _milestone(home, kind, row)
                if option:
                    listed = _word(option, told)
                    milestones.setdefault(listed.seen.remote_id, listed)
                    reference = links.address(listed.seen.remote_id)
                    told = replace(told, fields={**told.fields, "milestone": reference})
                found.append(Listed(told))
    owners = {str(owner) for item in found if (owner := item.seen.fields.get("owner"))}
    names = await members.names(owners)
    return Listing(
        container=container,
        title=container,
        objects=(*found, *milestones.values()),
        people=names,
    )


def _milestone(home: Home, kind: Sourced, row: Json) -> str:
    """Return the option that a row has for its milestone, as people call it."""
    source = home.source(kind)
    names = source.columns.names if source and source.columns else {"Milestone": "Milestone"}
    properties = cast("Json", row["properties"])
    return chosen(cast("Json", properties.get(names.get("Milestone", "")) or {}))


def _word(option: str, task: Observed) -> Listed:
    """Return an option as the milestone of a task's project that it is there."""
    project = task.fields.get("project")
    key = milestone_key(option)
    fields = {"title": option, "project": project, "key": key}
    return Listed(Observed("milestone", f"{project or ''}/{key}", "", fields), word=True)

"""Reading all rows of the databases, for import: people's own rows as well as ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from reconcilers._blocks import Json
from reconcilers._contract import Listed, Listing, Observed
from reconcilers._notion_home import KINDS, Home, Members, Sourced
from schemas.errors import PermanentError

Rows: TypeAlias = Callable[[Sourced], AsyncIterator[list[Json]]]
Read: TypeAlias = Callable[
    [Sourced, Sequence[Json], Sequence[bool]], Coroutine[Any, Any, list[Observed]]
]

_CLOSED = frozenset({"done", "canceled"})


async def survey(
    home: Home, members: Members, rows: Rows, read: Read, container: str, *, closed: bool
) -> Listing:
    """Return all rows, oldest first; the text of closed ones only where they are asked for.

    Reading a text costs a request or more, so that of rows which open ones merely refer to stays
    with Notion.
    """
    await home.locate()
    found: list[Listed] = []
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
            found += [Listed(by_id.get(item.remote_id, item)) for item in seen]
    owners = {str(owner) for item in found if (owner := item.seen.fields.get("owner"))}
    names = await members.names(owners)
    return Listing(container=container, title=container, objects=tuple(found), people=names)

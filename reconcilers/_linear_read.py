"""Reading Linear: what changed, and objects in full, in few and bounded queries.

A nested list costs its page size in points for every object, whether it is empty or not, so only
the first ten of each are asked for; what has more is read again by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from reconcilers._contract import Links, Observed
from reconcilers._linear_fields import from_remote
from reconcilers._linear_graphql import QUERY_POINTS, Json, query
from reconcilers._transport import Transport
from schemas.domain import Kind, Person

PAGE = 250
"""Objects on one page at most."""

NESTED = 10
"""Objects of a nested list that are read at first."""

OVERLAP = timedelta(minutes=1)
"""How far `observe` looks back behind `since`, for clocks that differ."""

_ROOTS: Mapping[Kind, str] = {
    "project": "projects",
    "milestone": "projectMilestones",
    "task": "issues",
}
_STAMPS = "url archivedAt autoArchivedAt trashed updatedAt"
_LABELS = "labels(first: %(n)d) { nodes { name } pageInfo { hasNextPage } }"
_DETAILS: Mapping[Kind, str] = {
    "project": "id title: name description: content status { type } priority"
    " owner: lead { email displayName } start: startDate due: targetDate "
    + _LABELS
    + " links: externalLinks(first: %(n)d) { nodes { url label sortOrder }"
    " pageInfo { hasNextPage } } " + _STAMPS,
    "milestone": "id title: name description due: targetDate project { id url }"
    " archivedAt updatedAt",
    "task": "id title description status: state { type } priority estimate"
    " owner: assignee { email displayName } due: dueDate team { key issueEstimationType }"
    " project { id } milestone: projectMilestone { id } parent { id } "
    + _LABELS
    + " links: attachments(first: %(n)d) { nodes { url title metadata sourceType }"
    " pageInfo { hasNextPage } }"
    " inverseRelations(first: %(n)d) { nodes { type issue { id } } pageInfo { hasNextPage } } "
    + _STAMPS,
}
_NESTED = ("labels", "links", "inverseRelations")

_SIZES: Mapping[Kind, int] = {"project": 40, "milestone": 100, "task": 100}
"""Objects in one request with the first 10 of each nested list: about 8,000 points."""

_WIDE_SIZES: Mapping[Kind, int] = {"project": 5, "milestone": 0, "task": 5}
"""The same with the first 250."""


class Reader:
    """Reads the objects of one workspace in our words."""

    def __init__(self, transport: Transport, links: Links, people: Mapping[str, Person]) -> None:
        self._transport = transport
        self._links = links
        self._people = people

    def details(self, kind: Kind) -> str:
        """Return the selection that `told` can read."""
        return _DETAILS[kind] % {"n": NESTED}

    def told(self, kind: Kind, node: Json) -> Observed | None:
        """Return what a node selected by `details` tells; `None` where a nested list is cut."""
        return None if is_cut(node) else from_remote(kind, node, self._links, self._people)

    async def changed(self, since: str | None) -> dict[Kind, list[str]]:
        """Return the ids of the bound objects that changed since then, of every kind."""
        start = "1970-01-01T00:00:00Z"
        if since:
            start = (datetime.fromisoformat(since) - OVERLAP).isoformat()
        bound: dict[Kind, list[str]] = {kind: [] for kind in _ROOTS}
        cursors: dict[Kind, str | None] = dict.fromkeys(_ROOTS)
        while cursors:
            pages = await self._page_of_ids(start, cursors)
            cursors = {}
            for kind, (ids, cursor) in pages.items():
                bound[kind] += [found for found in ids if self._links.address(found)]
                if cursor:
                    cursors[kind] = cursor
        return {kind: list(dict.fromkeys(ids)) for kind, ids in bound.items()}

    async def _page_of_ids(
        self, start: str, cursors: Mapping[Kind, str | None]
    ) -> dict[Kind, tuple[list[str], str | None]]:
        fields = " ".join(
            f"{kind}: {_ROOTS[kind]}(first: {PAGE}, after: ${kind}, includeArchived: true,"
            " orderBy: updatedAt, filter: {updatedAt: {gte: $start}})"
            " { nodes { id } pageInfo { hasNextPage endCursor } }"
            for kind in cursors
        )
        declared = ", ".join(f"${kind}: String" for kind in cursors)
        document = f"query Changed($start: DateTimeOrDuration!, {declared}) {{ {fields} }}"
        variables = {"start": start, **cursors}

        def told(data: Json) -> dict[Kind, tuple[list[str], str | None]]:
            return {
                kind: (
                    [node["id"] for node in data[kind]["nodes"]],
                    data[kind]["pageInfo"]["endCursor"]
                    if data[kind]["pageInfo"]["hasNextPage"]
                    else None,
                )
                for kind in cursors
            }

        return await query(
            self._transport, document, variables, told, name="Changed", points=400 * len(cursors)
        )

    async def read(
        self, ids: Mapping[Kind, Sequence[str]], *, wide: bool = False
    ) -> list[Observed]:
        """Return the objects with these ids in full; what is not there is left out."""
        left: dict[Kind, list[str]] = {kind: list(some) for kind, some in ids.items() if some}
        found: list[Observed] = []
        cut: dict[Kind, list[str]] = {}
        sizes = _WIDE_SIZES if wide else _SIZES
        while left:
            part: Mapping[Kind, list[str]] = {
                kind: some[: sizes[kind]] for kind, some in left.items()
            }
            left = {k: some[sizes[k] :] for k, some in left.items() if len(some) > sizes[k]}
            whole, more = await self._details(part, PAGE if wide else NESTED)
            found += whole
            for kind, some in more.items():
                cut.setdefault(kind, []).extend(some)
        # More labels, links or blockers than the first ten: rare, so it costs only those.
        return found + (await self.read(cut, wide=True) if cut else [])

    async def _details(
        self, part: Mapping[Kind, Sequence[str]], nested: int
    ) -> tuple[list[Observed], dict[Kind, list[str]]]:
        """Return what could be read whole, and the ids of what has longer lists than `nested`."""
        fields = " ".join(
            f"{kind}: {_ROOTS[kind]}(first: {len(ids)}, includeArchived: true,"
            f" filter: {{id: {{in: ${kind}}}}}) {{ nodes {{ {_DETAILS[kind] % {'n': nested}} }} }}"
            for kind, ids in part.items()
        )
        document = f"query Read({', '.join(f'${kind}: [ID!]!' for kind in part)}) {{ {fields} }}"

        def told(data: Json) -> tuple[list[Observed], dict[Kind, list[str]]]:
            whole: list[Observed] = []
            more: dict[Kind, list[str]] = {}
            for kind in part:
                for node in data[kind]["nodes"]:
                    if nested < PAGE and is_cut(node):
                        more.setdefault(kind, []).append(node["id"])
                    else:
                        whole.append(from_remote(kind, node, self._links, self._people))
            return whole, more

        return await query(
            self._transport,
            document,
            {**part},
            told,
            name="Read",
            points=QUERY_POINTS,
        )


def is_cut(node: Json) -> bool:
    """Return whether a node has more labels, links or blockers than were read."""
    return any(name in node and node[name]["pageInfo"]["hasNextPage"] for name in _NESTED)

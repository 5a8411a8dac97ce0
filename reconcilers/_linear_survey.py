"""Reading all of a Linear team, for import: pages of a hundred issues, with all that they hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from reconcilers._contract import Listed, Listing, Observed
from reconcilers._linear_graphql import QUERY_POINTS, Json, query
from reconcilers._linear_read import PAGE, Reader, is_cut
from reconcilers._transport import Transport
from schemas.domain import Kind
from schemas.errors import PermanentError

CLOSED = ("completed", "canceled", "duplicate")
"""Types of the workflow states in which an issue is no longer open."""

_ISSUES, _PROJECTS = 100, 40
"""Objects on a page; with the first ten of each nested list, about 8,000 points."""

_Page: TypeAlias = tuple[list[Json], str | None]
_Told: TypeAlias = Callable[[Json], _Page]


async def survey(transport: Transport, reader: Reader, team: str, *, closed: bool) -> Listing:
    """Return the issues of a team, the projects that it takes part in, and their milestones.

    What Linear archived by itself is left out, unless an open issue refers to it.
    """
    title, projects = await _home(transport, reader, team)
    milestones = await _milestones(transport, reader, projects)
    issues = await _issues(transport, reader, team, closed=closed)
    objects = [
        *(
            replace(seen, fields={**seen.fields, "container": team})
            for seen in await _whole(reader, "project", reversed(projects))
        ),
        *await _whole(reader, "milestone", reversed(milestones)),
        *await _whole(reader, "task", issues),
    ]
    return Listing(
        container=team,
        title=title,
        objects=tuple(Listed(seen, _identifier(seen)) for seen in objects if not seen.archived),
        people=await _people(transport, objects),
    )


async def _home(transport: Transport, reader: Reader, team: str) -> tuple[str, list[Json]]:
    """Return the team's name and the projects that it takes part in, newest first."""
    document = (
        "query Home($team: String!, $after: String) {"
        " teams(first: 1, filter: {key: {eq: $team}}) { nodes { name } }"
        f" things: projects(first: {_PROJECTS}, after: $after,"
        " filter: {accessibleTeams: {some: {key: {eq: $team}}}})"
        f" {{ nodes {{ {reader.details('project')} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    )
    names: list[str] = []

    def told(data: Json) -> _Page:
        names.extend(node["name"] for node in data["teams"]["nodes"])
        return _page(data)

    projects = await _pages(transport, document, {"team": team}, told)
    if not names:
        raise PermanentError(
            f"there is no team {team}, or the token cannot see it",
            platform="linear",
            code="not_found",
            hint="name a team by its key, as in MOB-12",
        )
    return names[0], projects


async def _milestones(transport: Transport, reader: Reader, projects: Sequence[Json]) -> list[Json]:
    if not projects:
        return []
    document = (
        "query Milestones($projects: [ID!]!, $after: String) {"
        f" things: projectMilestones(first: {_ISSUES}, after: $after,"
        " filter: {project: {id: {in: $projects}}})"
        f" {{ nodes {{ {reader.details('milestone')} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    )
    ids = [project["id"] for project in projects]
    return await _pages(transport, document, {"projects": ids}, _page)


async def _issues(transport: Transport, reader: Reader, team: str, *, closed: bool) -> list[Json]:
    document = (
        "query Issues($filter: IssueFilter!, $after: String) {"
        f" things: issues(first: {_ISSUES}, after: $after, filter: $filter)"
        f" {{ nodes {{ createdAt {reader.details('task')} }}"
        " pageInfo { hasNextPage endCursor } } }"
    )
    wanted: Json = {"team": {"key": {"eq": team}}}
    if not closed:
        wanted["state"] = {"type": {"nin": list(CLOSED)}}
    issues = await _pages(transport, document, {"filter": wanted}, _page)
    known = {issue["id"] for issue in issues}
    # An open issue may be a part of a closed one, or wait for one.
    left = sorted(set(_referred(issues)) - known) if not closed else []
    for start in range(0, len(left), _ISSUES):
        wanted = {"id": {"in": left[start : start + _ISSUES]}, "team": {"key": {"eq": team}}}
        issues += await _pages(transport, document, {"filter": wanted}, _page)
    issues.reverse()
    return sorted(issues, key=lambda issue: issue["createdAt"])


def _referred(issues: Iterable[Json]) -> Iterator[str]:
    """Yield the ids of what issues are a part of, or wait for."""
    for issue in issues:
        if issue["parent"]:
            yield issue["parent"]["id"]
        for item in issue["inverseRelations"]["nodes"]:
            if item["type"] == "blocks":
                yield item["issue"]["id"]


async def _pages(
    transport: Transport,
    document: str,
    variables: Mapping[str, object],
    told: _Told,
) -> list[Json]:
    """Return all nodes of a list."""
    nodes: list[Json] = []
    after: str | None = None
    while True:
        page, after = await query(
            transport,
            document,
            {**variables, "after": after},
            told,
            name=document.removeprefix("query ").partition("(")[0],
            points=QUERY_POINTS,
        )
        nodes += page
        if after is None:
            return nodes


def _page(data: Json) -> _Page:
    info = data["things"]["pageInfo"]
    return data["things"]["nodes"], info["endCursor"] if info["hasNextPage"] else None


async def _whole(reader: Reader, kind: Kind, nodes: Iterable[Json]) -> list[Observed]:
    """Return nodes in our words; those with long lists are read once more, by themselves."""
    found: list[Observed] = []
    nodes = list(nodes)
    cut = [node["id"] for node in nodes if is_cut(node)]
    wide = {seen.remote_id: seen for seen in await reader.read({kind: cut}, wide=True)}
    for node in nodes:
        seen = wide.get(node["id"]) or reader.told(kind, node)
        if seen is not None:
            found.append(seen)
    return found


async def _people(transport: Transport, objects: Sequence[Observed]) -> dict[str, str]:
    """Return the names of those who own something, by e-mail address."""
    owners = sorted({str(o) for seen in objects if (o := seen.fields.get("owner"))})
    if not owners:
        return {}
    document = (
        f"query People($owners: [String!]!) {{ users(first: {PAGE}, filter:"
        " {or: [{email: {in: $owners}}, {displayName: {in: $owners}}]})"
        " { nodes { name email displayName } } }"
    )

    def told(data: Json) -> dict[str, str]:
        names: dict[str, str] = {}
        for node in data["users"]["nodes"]:
            names |= {node["displayName"]: node["name"], node["email"]: node["name"]}
        return {owner: names[owner] for owner in owners if owner in names}

    return await query(
        transport, document, {"owners": owners}, told, name="People", points=PAGE * 2
    )


def _identifier(seen: Observed) -> str:
    found = re.search(r"/issue/([A-Z0-9]+-\d+)(?:/|$)", seen.url)
    return found[1] if found else ""

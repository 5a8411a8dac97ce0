"""Reading all of a GitLab project, for import.

What bears no `project::` label of ours belongs to the GitLab project as a whole, which counts as
one project of the specs: its remote id is `42>42`, after GitLab's own sigil for projects.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from reconcilers import _gitlab_wire as wire
from reconcilers._contract import Links, Listed, Listing, Observed
from reconcilers._gitlab_fields import PROJECT, from_remote
from reconcilers._gitlab_wire import Api, Known, Ref, Remote
from schemas.domain import Person, Value

_FREE = "what issues wait for is not read: GitLab Free tells it from no other relation"
_QUALIFIED = re.compile(r" \(([a-z0-9-]+)\)$")


async def survey(
    api: Api,
    known: Known,
    links: Links,
    people: Mapping[str, Person],
    path: str,
    *,
    closed: bool,
) -> Listing:
    """Return the labels, milestones and issues of the GitLab project at `path`.

    What an issue waits for costs a request of its own. It is asked only where the tier has blocking
    links: on Free, a dependency looks like any other relation.
    """
    await known.project(api, path)
    title, number, url = await api.get(f"/projects/{quote(path, safe='')}", _project)
    where = f"/projects/{number}"
    labels = [
        label
        async for label in api.pages(
            f"{where}/labels", {"search": "trueup:"}, lambda data: wire.read_label(data, number)
        )
        if label.title.startswith(PROJECT)
    ]
    milestones = [m async for m in api.pages(f"{where}/milestones", {}, wire.read_milestone)]
    query = {"scope": "all", "state": "all" if closed else "opened", "sort": "asc"}
    issues = [
        issue
        async for issue in api.pages(f"{where}/issues", query, wire.read_issue)
        if not issue.moved
    ]
    paid = any(issue.weighted for issue in issues)
    needs = await _needs(api, issues) if paid else {}
    issues = _with_blockers(issues, needs, number)
    names = await _people(api, known, people, number, issues)
    home = Observed("project", str(Ref(number, ">", number)), "", {"title": title}, url=url)
    projects = {label.title.removeprefix(PROJECT): str(label.ref) for label in labels}

    def seen(remote: Remote) -> Observed:
        found = from_remote(remote, path, links.address(str(remote.ref)) or "", links, known.users)
        fields = dict(found.fields)
        if found.kind == "project":
            return found
        key = _key(remote)
        if found.kind == "milestone" and key in projects:
            fields["title"] = remote.title.removesuffix(f" ({key})")
        fields["project"] = links.address(projects.get(key, home.remote_id))
        if remote.ref in needs:
            found_needs = (links.address(str(other.ref)) for other in needs[remote.ref])
            fields["depends_on"] = tuple(sorted(filter(None, found_needs)))
        return replace(found, fields=fields)

    return Listing(
        container=path,
        title=title,
        objects=(
            Listed(replace(home, fields={**home.fields, "container": path})),
            *(Listed(seen(remote)) for remote in (*labels, *milestones)),
            *(Listed(seen(issue), f"#{issue.ref.number}") for issue in issues),
        ),
        home=home.remote_id,
        people=names,
        notes=() if paid or not issues else (_FREE,),
    )


async def _needs(api: Api, issues: Sequence[Remote]) -> dict[Ref, list[Remote]]:
    """Return, by issue, those that block it."""

    def blockers(data: object) -> list[Remote]:
        linked = wire.items(data)
        return [
            wire.read_issue(item)
            for item in linked
            if wire.need(item, "link_type", str) == "is_blocked_by"
        ]

    answers = [api.get(f"{issue.ref.path}/links", blockers) for issue in issues]
    found = await asyncio.gather(*answers)
    return {issue.ref: needed for issue, needed in zip(issues, found, strict=True)}


def _with_blockers(
    issues: Sequence[Remote], needs: Mapping[Ref, Sequence[Remote]], project: int
) -> list[Remote]:
    """Return the issues with those closed ones that they wait for, oldest first."""
    every = {issue.ref: issue for issue in issues}
    for needed in needs.values():
        every |= {
            other.ref: other
            for other in needed
            if other.ref.project == project and other.ref not in every and not other.moved
        }
    return sorted(every.values(), key=lambda issue: issue.ref.number)


def _project(data: object) -> tuple[str, int, str]:
    name, number = wire.need(data, "name", str), wire.need(data, "id", int)
    return name, number, wire.maybe(data, "web_url", str) or ""


def _key(remote: Remote) -> str:
    """Return the key of the project of ours that an issue or milestone says it belongs to."""
    if remote.ref.sigil == "%":
        found = _QUALIFIED.search(remote.title)
        return found[1] if found and remote.marker else ""
    keys = [label.removeprefix(PROJECT) for label in remote.labels if label.startswith(PROJECT)]
    return keys[0] if len(keys) == 1 else ""


async def _people(
    api: Api, known: Known, people: Mapping[str, Person], project: int, issues: Sequence[Remote]
) -> dict[str, str]:
    """Learn who the assignees are, and return their names by user name."""
    assigned = {issue.assignee[0] for issue in issues if issue.assignee}
    if not assigned:
        return {}
    names: dict[str, str] = {}
    async for member in api.pages(f"/projects/{project}/members/all", {}, wire.mapping):
        account = wire.need(member, "id", int)
        ways: set[Value] = {
            wire.maybe(member, n, str) for n in ("username", "public_email", "email")
        }
        for identity in people.keys() & ways:
            known.users[identity] = account
        if account in assigned:
            names[wire.need(member, "username", str)] = wire.need(member, "name", str)
    return names

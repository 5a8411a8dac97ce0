"""What GitLab ties to an issue: the merge requests about it, and what closed it.

Three requests for one issue, and one for a commit that closed it. GitLab tells this of one issue
at a time only, and a merge request is opened, merged or closed without its issue changing, so that
what is read along with changed issues would soon be wrong: it is asked for when somebody looks.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import quote

from reconcilers import _gitlab_wire as wire
from reconcilers._contract import Code, Commit, MergeRequest
from reconcilers._gitlab_wire import Api, Ref
from schemas.errors import PermanentError


async def code(api: Api, at: Ref) -> Code:
    """Return the merge requests about an issue, the oldest first, and the commits that closed it.

    An issue closed by hand, or by trueup, was closed by neither.
    """
    related, closing, turns = await asyncio.gather(
        _listed(api, f"{at.path}/related_merge_requests"),
        _listed(api, f"{at.path}/closed_by"),
        _turns(api, at),
    )
    state, source, sha = turns[-1] if turns else ("", None, None)
    closed = state == "closed"
    found = related | {n: replace(r, tie="closes") for n, r in closing.items()}
    if closed and source in found:
        found[source] = replace(found[source], tie="closed")
    return Code(
        merge_requests=tuple(found[number] for number in sorted(found)),
        closing_commits=(await _commit(api, at, sha),) if closed and sha else (),
    )


async def _listed(api: Api, path: str) -> dict[int, MergeRequest]:
    return dict([item async for item in api.pages(path, {}, _merge_request, size="")])


async def _turns(api: Api, at: Ref) -> list[tuple[str, int | None, str | None]]:
    path = f"{at.path}/resource_state_events"
    return [turn async for turn in api.pages(path, {}, _turn, size="")]


def _turn(data: object) -> tuple[str, int | None, str | None]:
    """Return what an issue became, and the merge request or commit that made it so."""
    request = wire.maybe(data, "source_merge_request_id", int)
    return wire.need(data, "state", str), request, wire.maybe(data, "source_commit", str)


def _merge_request(data: object) -> tuple[int, MergeRequest]:
    told = MergeRequest(
        name=f"!{wire.need(data, 'iid', int)}",
        title=wire.need(data, "title", str),
        state=wire.need(data, "state", str),
        url=wire.need(data, "web_url", str),
    )
    return wire.need(data, "id", int), told


async def _commit(api: Api, at: Ref, sha: str) -> Commit:
    path = f"/projects/{at.project}/repository/commits/{quote(sha, safe='')}"
    try:
        return await api.get(path, _read_commit)
    except PermanentError as error:
        # It is in another project, or the token may not read code.
        if error.status not in {403, 404}:
            raise
        return Commit(sha)


def _read_commit(data: object) -> Commit:
    title, url = wire.need(data, "title", str), wire.maybe(data, "web_url", str)
    return Commit(wire.need(data, "id", str), title, url or "")

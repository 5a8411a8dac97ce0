"""GitLab: tasks as issues, milestones as milestones, projects as scoped labels.

One GitLab project (the `container`) holds any number of ours: each is a label `project::KEY` on
its issues. Every object carries its marker in its description, where people's edits leave it
alone. REST v4 only, and only what GitLab Free has, but for two things that show up by themselves
on the paid tiers: an estimate as the issue's weight, and dependencies as "is blocked by".

Remote ids use GitLab's own sigils with the numeric project: `42#7` is an issue, `42%9` a
milestone, `42~5` a label. An imported project may be a whole GitLab project, `42>42`, of which
trueup changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from reconcilers import _gitlab_text as text
from reconcilers import _gitlab_wire as wire
from reconcilers._contract import (
    Capabilities,
    Code,
    Connection,
    Limits,
    Listing,
    Observed,
    Operation,
    Price,
    Profile,
    Wanted,
    Written,
)
from reconcilers._gitlab_code import code
from reconcilers._gitlab_fields import (
    ARCHIVED,
    CLOSED,
    COLOR,
    FIELDS,
    NOT_CARRIED,
    OVERLAP,
    PROJECT,
    before_of,
    canonical,
    compose,
    difference,
    from_remote,
    label_changes,
    needs_of,
    suffix,
    texts,
    to_remote,
)
from reconcilers._gitlab_survey import survey
from reconcilers._gitlab_wire import Api, Known, Ref, Remote, ref
from reconcilers._transport import Transport
from schemas.domain import ACTIONS, Change, Fields, Kind, Value, project_of
from schemas.errors import PermanentError, PlatformError

if TYPE_CHECKING:
    import httpx

    from reconcilers._budget import Budget


def price(changes: Sequence[Change], known: Mapping[str, object]) -> Price:
    """Return what `changes` cost; a point is the creation of an issue, which has its own limit.

    The set-up is one request for each GitLab project that is not known and gets something new,
    one for its members if somebody unknown is assigned, and one look-up by marker for each list
    of new objects.
    """
    projects, users = wire.only(known.get("projects"), int), wire.only(known.get("users"), int)
    issues = sum(1 for c in changes if c.action == "create" and c.kind == "task")
    setup: set[tuple[Value, ...]] = set()
    total = 0
    for change in changes:
        after = change.values()
        container = after.get("container")
        if change.action == "create":
            setup.add(("find", change.kind, container, _list_of(change.kind, change.address)))
        if (change.action == "create" or "container" in after) and container not in projects:
            setup.add(("project", container))
        if (owner := after.get("owner")) and owner not in users:
            setup.add(("members",))
        total += _requests(change)
    return Price(total + len(setup), points=issues)


def _requests(change: Change) -> int:
    after = change.values()
    if change.action == "bind" or (change.action == "archive" and change.kind == "project"):
        return 0
    relocated = change.action == "move" and "container" in after
    if change.kind != "task":
        return 1 + relocated
    if change.action in {"archive", "delete"}:
        return 1
    added, removed = needs_of(after), needs_of(before_of(change))
    links = len(added - removed) + len(removed - added) + bool(removed - added)
    if change.action == "create":
        return 1 + (after.get("status") in CLOSED) + links
    reads = "links" in after and "description" not in after
    writes = relocated or bool(after.keys() - {"depends_on"})
    return relocated + reads + writes + links


PROFILE = Profile(
    platform="gitlab",
    title="GitLab",
    capabilities=Capabilities(
        actions={kind: frozenset(ACTIONS) for kind in ("project", "milestone", "task")},
        fields=FIELDS,
    ),
    # gitlab.com allows 2,000 API requests a minute and user; a point is a new issue, of which it
    # allows 200 a minute (docs.gitlab.com/user/gitlab_com, verified 2026-11-24).
    limits=Limits(requests=2000, per_seconds=60.0, concurrency=12, points=200),
    price=price,
    container="project",
    token_variable="GITLAB_TOKEN",  # noqa: S106 - the variable's name
    url_variable="TRUEUP_GITLAB_URL",
    default_url="https://gitlab.com",
    canonical=canonical,
)


def transport(
    token: str, base_url: str, budget: Budget, client: httpx.AsyncClient | None = None
) -> Transport:
    """Return the transport for a personal, project or group access token.

    Args:
        token: sent as `PRIVATE-TOKEN`.
        base_url: the instance, before `/api/v4`.
        budget: shared by all work on GitLab.
        client: the HTTP client to use, where one is there already.
    """
    return Transport(
        "gitlab",
        base_url.rstrip("/") + "/api/v4",
        headers={"PRIVATE-TOKEN": token},
        secrets=(token,),
        budget=budget,
        classify=wire.classify,
        learn=wire.learn,
        client=client,
    )


class Gitlab:
    """The reconciler: see `reconcilers._contract.Reconciler`."""

    def __init__(self, connection: Connection) -> None:
        self._api = Api(connection.transport)
        self._links = connection.links
        self._people = connection.people
        self._options = connection.options
        self._known = Known.of(connection.lookups)

    async def check(self) -> str:
        """Return the user name of the token's owner."""
        return await self._api.get("/user", lambda data: wire.need(data, "username", str))

    async def prepare(self, operations: Sequence[Operation]) -> None:
        """Look up the GitLab projects that get something new, and who is to be assigned."""
        wanted: dict[int, set[str]] = {}
        for operation in operations:
            after = operation.change.values()
            project = 0
            if operation.change.action == "create" or "container" in after:
                project = await self._known.project(self._api, self._container(operation.desired))
            if owner := after.get("owner"):
                project = project or ref(operation.remote_id).project
                wanted.setdefault(project, set()).add(str(owner))
        for project, owners in wanted.items():
            if not owners <= self._known.users.keys():
                await self._known.find_members(self._api, project, owners)

    async def find(self, wanted: Sequence[Wanted]) -> Mapping[str, Observed]:
        """Return the objects with the markers asked for; of duplicates the oldest."""
        lists: dict[tuple[str, Kind, str], dict[str, str]] = {}
        for item in wanted:
            container = item.container or self._container({})
            where = (container, item.kind, _list_of(item.kind, item.address))
            lists.setdefault(where, {})[item.marker] = item.address
        found: dict[str, Observed] = {}
        for (container, kind, key), addresses in lists.items():
            oldest: dict[str, Remote] = {}
            async for remote in self._list(container, kind, {"labels": PROJECT + key}):
                marker = remote.marker
                if marker in addresses and not remote.moved:
                    met = oldest.get(marker, remote)
                    oldest[marker] = min(met, remote, key=lambda r: r.ref.number)
            for marker, remote in oldest.items():
                found[marker] = self._observed(remote, container, addresses[marker])
        return found

    async def observe(self, since: str | None) -> AsyncIterator[Observed]:
        """Yield the bound objects that changed; labels have no dates and come without `since` only.

        An issue that people moved to a GitLab project of which nothing is known stays unseen.
        """
        after = wire.instant(str(datetime.fromisoformat(since) - OVERLAP)) if since else ""
        filters = {"updated_after": after, "order_by": "updated_at"} if after else {}
        kinds: tuple[Kind, ...] = ("task", "milestone")
        for container in {self._container({}): 0, **self._known.projects}:
            for kind in kinds if since else (*kinds, "project"):
                async for remote in self._list(container, kind, filters):
                    address = self._links.address(str(remote.ref))
                    if address and not remote.moved and remote.updated_at >= after:
                        await self._recognise(remote)
                        yield self._observed(remote, container, address)

    async def gone(self, unseen: Mapping[str, Kind], *, full: bool) -> Collection[str]:
        """Return what was deleted, of that which the lists lack.

        No list can tell more than those that were just read in full, so GitLab is asked for each
        object by itself, for many at once.
        """
        known = set(self._known.projects.values())
        asked = [at for at in map(ref, unseen) if at.sigil != ">" and at.project in known and full]
        there = await asyncio.gather(*(wire.is_there(self._api, at) for at in asked))
        return [str(at) for at, found in zip(asked, there, strict=True) if not found]

    async def code(self, remote_id: str) -> Code:
        """Return the merge requests about an issue, and the commits that closed it."""
        at = ref(remote_id)
        return await code(self._api, at) if at.sigil == "#" else Code()

    async def survey(self, container: str, *, closed: bool) -> Listing:
        """Return what a GitLab project holds."""
        return await survey(
            self._api, self._known, self._links, self._people, container, closed=closed
        )

    async def create(self, operation: Operation) -> Written:
        """Create the object with its marker."""
        project = await self._known.project(self._api, self._container(operation.desired))
        if operation.change.kind == "project":
            return await self._create_label(operation, project)
        if operation.change.kind == "milestone":
            path = f"/projects/{project}/milestones"
            return await self._write_milestone(operation, "POST", path, operation.desired)
        fields = {name: value for name, value in operation.desired.items() if value}
        body = to_remote(fields, self._links, self._known.users)
        body["description"] = compose(operation)
        body["labels"] = label_changes(fields, {})[0]
        body["confidential"] = False
        issue = await self._api.write(
            "POST", f"/projects/{project}/issues", body, wire.read_issue, points=1
        )
        unfinished: list[str] = []
        if fields.get("status") in CLOSED:
            try:
                closing: dict[str, object] = {"state_event": "close"}
                issue = await self._api.put(issue.ref, closing, wire.read_issue)
            except PlatformError as error:
                # It exists, which must be told whatever becomes of the rest.
                unfinished.append(f"it could not be closed: {error.message}")
        return await self._finish(operation, issue.ref, issue, fields, {}, unfinished)

    async def update(self, operation: Operation) -> Written:
        """Send what changed: one request, and one for each dependency that comes or goes."""
        at = ref(operation.remote_id)
        after = operation.change.values()
        if at.sigil == ">":
            return _as_it_is(operation)
        if at.sigil == "~":
            return await self._update_label(operation, at)
        if at.sigil == "%":
            return await self._write_milestone(operation, "PUT", at.path, after)
        return await self._update_issue(operation, at, after, before_of(operation.change))

    async def move(self, operation: Operation) -> Written:
        """Rename or relabel; into another GitLab project, issues move and the rest is remade."""
        at = ref(operation.remote_id)
        change = operation.change
        if "container" not in change.values():
            return await self.update(operation)
        target = await self._known.project(self._api, self._container(operation.desired))
        if target == at.project or at.sigil == ">":
            return await self.update(operation)
        if at.sigil != "#":
            written = await self.create(operation)
            await (self.delete(operation) if at.sigil == "~" else self.archive(operation))
            return written
        moved = await self._api.write(
            "POST", f"{at.path}/move", {"to_project_id": target}, wire.read_issue
        )
        carried = {name: operation.desired.get(name) for name in NOT_CARRIED}
        after = {name: value for name, value in carried.items() if value} | change.values()
        before = {name: value for name, value in before_of(change).items() if name != "labels"}
        before.setdefault("status", operation.base.get("status"))
        return await self._update_issue(operation, moved.ref, after, before)

    async def restore(self, operation: Operation) -> Written:
        """Reopen an issue or milestone that was put away, with all that is desired."""
        at = ref(operation.remote_id)
        if at.sigil == ">":
            return _as_it_is(operation)
        if at.sigil == "~":
            return await self._update_label(operation, at)
        if at.sigil == "%":
            return await self._write_milestone(
                operation, "PUT", at.path, operation.desired, state_event="activate"
            )
        return await self._update_issue(
            operation, at, operation.desired, operation.base, restore=True
        )

    async def archive(self, operation: Operation) -> Written:
        """Close the issue or milestone; a project's label stays on its closed issues."""
        at = ref(operation.remote_id)
        body: dict[str, object] = {"state_event": "close"}
        if at.sigil == "#":
            body["add_labels"] = [ARCHIVED]
        if at.sigil not in "~>":
            await wire.unless_gone(
                self._api.write("PUT", at.path, body, wire.anything, repeatable=True)
            )
        return Written(operation.remote_id)

    async def delete(self, operation: Operation) -> Written:
        """Delete the object; close it where the token's role may not delete."""
        at = ref(operation.remote_id)
        if at.sigil == ">":
            return _as_it_is(operation)
        try:
            await wire.unless_gone(
                self._api.write("DELETE", at.path, None, wire.anything, repeatable=True)
            )
        except PermanentError as error:
            if error.status != 403 or at.sigil == "~":
                raise
            await self.archive(operation)
            warning = "closed, not deleted: the token's role may not delete it"
            return Written(operation.remote_id, warnings=(warning,))
        return Written(operation.remote_id)

    async def _create_label(self, operation: Operation, project: int) -> Written:
        name = PROJECT + operation.change.address
        about = text.compose_label(str(operation.desired["title"]), operation.marker)
        body: dict[str, object] = {"name": name, "color": COLOR, "description": about}
        path = f"/projects/{project}/labels"
        try:
            # Names are unique, so that a repeated create is refused by itself.
            label = await self._api.write(
                "POST", path, body, lambda d: wire.read_label(d, project), repeatable=True
            )
        except PermanentError as error:
            if error.status != 409:
                raise
            label = await self._api.get(
                f"{path}/{quote(name, safe='')}", lambda data: wire.read_label(data, project)
            )
            if label.marker not in ("", operation.marker):
                raise PermanentError(
                    f"the label {name} belongs to another spec repo or state",
                    platform="gitlab",
                    hint="give the project another key, or another GitLab project",
                ) from error
            label = await self._put_label(label.ref, name, {"description": about})
        return self._written(operation, label, operation.desired)

    async def _update_label(self, operation: Operation, at: Ref) -> Written:
        name = PROJECT + str(operation.base.get("key", operation.change.address))
        about = text.compose_label(str(operation.desired["title"]), operation.marker)
        body: dict[str, object] = {"description": about}
        if name != PROJECT + operation.change.address:
            body["new_name"] = PROJECT + operation.change.address
        label = await self._put_label(at, name, body)
        return self._written(operation, label, operation.desired)

    async def _put_label(self, at: Ref, name: str, body: dict[str, object]) -> Remote:
        return await self._api.put(
            at, {"name": name, **body}, lambda data: wire.read_label(data, at.project)
        )

    async def _write_milestone(
        self, operation: Operation, method: str, path: str, after: Fields, state_event: str = ""
    ) -> Written:
        body: dict[str, object] = {}
        if "description" in after or method == "POST":
            body["description"] = compose(operation)
        if "due" in after:
            body["due_date"] = after["due"] or ""
        if state_event:
            body["state_event"] = state_event
        ending = suffix(operation.change.address)
        title = str(operation.desired["title"])
        if "title" in after:
            # One that ends like a qualified title is qualified, so that it reads back the same.
            body["title"] = title + ending if title.endswith(ending) else title
        repeatable = method == "PUT"
        try:
            milestone = await self._api.write(
                method, path, body, wire.read_milestone, repeatable=repeatable
            )
        except PermanentError as error:
            if error.code != "title":
                wire.explain(error)
                raise
            body["title"] = title + ending
            milestone = await self._api.write(
                method, path, body, wire.read_milestone, repeatable=repeatable
            )
        return self._written(operation, milestone, after)

    async def _update_issue(
        self,
        operation: Operation,
        at: Ref,
        after: Fields,
        before: Fields,
        *,
        restore: bool = False,
    ) -> Written:
        body = to_remote(after, self._links, self._known.users)
        add, remove = label_changes(after, before)
        closed = after.get("status") in CLOSED
        if restore:
            remove.append(ARCHIVED)
        if restore or ("status" in after and closed != (before.get("status") in CLOSED)):
            body["state_event"] = "close" if closed else "reopen"
        if add:
            body["add_labels"] = add
        if remove:
            body["remove_labels"] = remove
        if "description" in after:
            body["description"] = compose(operation)
        elif "links" in after:
            present = await self._api.get(at.path, wire.read_issue)
            about = text.read(present.body).description
            body["description"] = compose(operation, about)
        issue = await self._api.put(at, body, wire.read_issue) if body else None
        return await self._finish(operation, at, issue, after, before, [])

    async def _finish(
        self,
        operation: Operation,
        at: Ref,
        issue: Remote | None,
        after: Fields,
        before: Fields,
        unfinished: list[str],
    ) -> Written:
        """Bring the dependencies in line, and say how all of it went."""
        if issue:
            self._known.paid[str(at.project)] = issue.weighted
        wanted, agreed = needs_of(after), needs_of(before)
        if "depends_on" in after:
            unfinished += await self._depend(at, wanted - agreed)
            unfinished += await self._release(at, agreed - wanted)
        return self._written(operation, issue or Remote(at, "", ""), after, unfinished)

    async def _depend(self, at: Ref, addresses: set[str]) -> list[str]:
        failed: list[str] = []
        for address in sorted(addresses):
            bound = self._links.remote_id(address)
            if bound is None:
                failed.append(f"{address} is not on GitLab yet: the dependency waits")
                continue
            try:
                await self._link(at, ref(bound))
            except PlatformError as error:
                failed.append(f"the dependency on {address} was not made: {error.message}")
        return failed

    async def _link(self, at: Ref, needed: Ref) -> None:
        # Free refuses blocking links; whether the project is on it is known from its issues.
        paid = self._known.paid.get(str(at.project), True)
        for kind in ("is_blocked_by", "relates_to") if paid else ("relates_to",):
            body: dict[str, object] = {
                "target_project_id": str(needed.project),
                "target_issue_iid": str(needed.number),
                "link_type": kind,
            }
            try:
                await self._api.write(
                    "POST", f"{at.path}/links", body, wire.anything, repeatable=True
                )
            except PermanentError as error:
                if error.status == 409:
                    return
                if error.status not in {400, 403} or kind == "relates_to":
                    raise
                self._known.paid[str(at.project)] = False
            else:
                return

    async def _release(self, at: Ref, addresses: set[str]) -> list[str]:
        if not addresses:
            return []
        bound = {self._links.remote_id(address) for address in addresses}
        path = f"{at.path}/links"
        try:
            links = await self._api.get(path, lambda d: [wire.read_link(i) for i in wire.items(d)])
            for issue, link in links:
                if issue in bound:
                    removal = self._api.write(
                        "DELETE", f"{path}/{link}", None, wire.anything, repeatable=True
                    )
                    await wire.unless_gone(removal)
        except PlatformError as error:
            return [f"a dependency was not removed: {error.message}"]
        return []

    def _written(
        self,
        operation: Operation,
        remote: Remote,
        after: Fields,
        unfinished: Sequence[str] = (),
    ) -> Written:
        """Confirm an operation, with what GitLab made of it where that is not what was sent."""
        container = self._container(operation.desired)
        seen = self._observed(remote, container, operation.change.address).fields
        kept: dict[str, Value] = {}
        warnings = list(unfinished)
        for name, wanted in after.items() if remote.title else ():
            if name not in seen or canonical(name, wanted) == canonical(name, seen[name]):
                continue
            if name != "labels":
                kept[name] = seen[name]
                warnings.append(difference(name, wanted))
            elif lost := texts(wanted) - texts(seen[name]):
                kept[name] = tuple(sorted(texts(wanted) - lost))
                warnings.append(f"GitLab did not take the labels {', '.join(sorted(lost))}")
        return Written(
            str(remote.ref),
            url=remote.url or self._label_url(container, remote),
            revision=remote.updated_at,
            complete=not unfinished,
            warnings=tuple(warnings),
            fields=kept,
        )

    def _label_url(self, container: str, label: Remote) -> str:
        if label.ref.sigil != "~":
            return ""
        origin = self._api.base_url.removesuffix("/api/v4")
        return f"{origin}/{container}/-/issues?label_name%5B%5D={quote(label.title)}"

    async def _recognise(self, remote: Remote) -> None:
        """Learn how the specs call an assignee whom no look-up has met, once for each."""
        if not remote.assignee or remote.assignee[0] in self._known.users.values():
            return
        await self._known.find_members(self._api, remote.ref.project, set(self._people))
        # A stranger to the specs goes by the user name, and is not looked up again.
        self._known.users.setdefault(remote.assignee[1], remote.assignee[0])

    def _observed(self, remote: Remote, container: str, address: str) -> Observed:
        seen = from_remote(remote, container, address, self._links, self._known.users)
        return seen if seen.url else replace(seen, url=self._label_url(container, remote))

    def _container(self, fields: Fields) -> str:
        path = fields.get("container") or self._options.get("project")
        if not isinstance(path, str):
            raise PermanentError(
                "there is no project to make anything in",
                platform="gitlab",
                hint="set `project` for GitLab in the Integrations spec",
            )
        return path

    async def _list(
        self, container: str, kind: Kind, filters: Mapping[str, str]
    ) -> AsyncIterator[Remote]:
        """Yield a GitLab project's objects of one kind; labels know no filters."""
        project = await self._known.project(self._api, container)
        where = f"/projects/{project}"
        if kind == "project":
            pages = self._api.pages(
                f"{where}/labels", {"search": "trueup:"}, lambda d: wire.read_label(d, project)
            )
        elif kind == "milestone":
            since = {n: v for n, v in filters.items() if n == "updated_after"}
            pages = self._api.pages(f"{where}/milestones", since, wire.read_milestone)
        else:
            # Newest first: an issue that changes meanwhile is then met twice rather than never.
            query = {"scope": "all", "state": "all", "sort": "desc", **filters}
            pages = self._api.pages(f"{where}/issues", query, wire.read_issue)
        async for remote in pages:
            yield remote


def _as_it_is(operation: Operation) -> Written:
    """Return the answer of a whole GitLab project, which stays as people have it."""
    return Written(operation.remote_id, warnings=("the GitLab project itself stays as it is",))


def _list_of(kind: Kind, address: str) -> str:
    """Return the project whose issues are listed to find a task; the other kinds have one list."""
    return project_of(address) if kind == "task" else ""

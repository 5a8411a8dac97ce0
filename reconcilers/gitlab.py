"""GitLab: tasks as issues, milestones as milestones, projects as scoped labels.

One GitLab project (the `container`) holds any number of ours: each is a label `project::KEY` on
its issues. Every object carries its marker in its description, where people's edits leave it
alone. REST v4 only, and only what GitLab Free has, but for two things that show up by themselves
on the paid tiers: an estimate as the issue's weight, and dependencies as "is blocked by".

Remote ids use GitLab's own sigils with the numeric project: `42#7` is an issue, `42%9` a
milestone, `42~5` a label.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from reconcilers import _gitlab_text as text
from reconcilers import _gitlab_wire as wire
from reconcilers._contract import (
    Capabilities,
    Connection,
    Field,
    Limits,
    Links,
    Observed,
    Operation,
    Profile,
    Wanted,
    Written,
)
from reconcilers._gitlab_wire import Api, Ref, Remote, ref
from reconcilers._transport import Transport
from schemas.domain import ACTIONS, Change, Fields, Kind, Value, project_of
from schemas.errors import (
    PermanentError,
    PlatformError,
)

if TYPE_CHECKING:
    import httpx

    from reconcilers._budget import Budget

COLOR = "#6699cc"
PROJECT = "project::"
CANCELED = "status::canceled"
STATUSES = {
    "status::backlog": "backlog",
    "status::in_progress": "in_progress",
    CANCELED: "canceled",
}
PRIORITIES = {f"priority::{name}": name for name in ("urgent", "high", "medium", "low")}
ARCHIVED = "trueup::archived"
"""Tells an issue that was pruned from one that is done: both are closed."""

CLOSED = frozenset({"done", "canceled"})
NOT_CARRIED = ("labels", "milestone", "owner", "priority", "project", "status")
"""What an issue may lose when it moves to a GitLab project that does not have the same."""

OVERLAP = timedelta(minutes=10)
"""How far back `observe` looks beyond what it is asked for, since clocks differ."""

FIELDS = (
    Field("title", "label description", ("project",)),
    Field("key", "label name", ("project",), note="a label `project::KEY`"),
    Field("title", "title", ("milestone", "task"), note="a milestone's is made unique by its key"),
    Field("description", "description", ("milestone", "task"), note="the marker comment follows"),
    Field("status", "state, `status::` label", note="closed for done and canceled, else open"),
    Field("priority", "`priority::` label"),
    Field("owner", "assignee_ids", note="a member of the GitLab project, by user name"),
    Field("due", "due_date", ("milestone", "task")),
    Field("estimate", "weight", note="whole hours, rounded up; Premium and Ultimate only"),
    Field("labels", "labels", note="labels that people add stay"),
    Field("links", "description", note="a list below the text"),
    Field("milestone", "milestone_id"),
    Field("depends_on", "issue links", note="`relates to` on GitLab Free", observed=False),
    Field("project", "`project::` label"),
    Field("container", "project", ("project", "milestone", "task")),
)


def price(changes: Sequence[Change]) -> int:
    """Return how many requests `changes` take, with everything looked up for the first time.

    The fixed set-up is one request for each GitLab project that gets something new, one for its
    members if somebody is assigned, and one look-up by marker for each list of new objects.
    """
    setup: set[tuple[Value, ...]] = set()
    total = 0
    for change in changes:
        after = change.values()
        container = after.get("container")
        if change.action == "create":
            setup.add(("find", change.kind, container, _list_of(change.kind, change.address)))
        if change.action == "create" or "container" in after:
            setup.add(("project", container))
        if after.get("owner"):
            setup.add(("members",))
        total += _requests(change)
    return total + len(setup)


def _requests(change: Change) -> int:
    after = change.values()
    if change.action == "bind" or (change.action == "archive" and change.kind == "project"):
        return 0
    relocated = change.action == "move" and "container" in after
    if change.kind != "task":
        return 1 + relocated
    if change.action in {"archive", "delete"}:
        return 1
    added, removed = _links_of(after), _links_of(_before(change))
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
    limits=Limits(requests=2000, per_seconds=60.0, concurrency=8, points=200),
    price=price,
    container="project",
    token_variable="GITLAB_TOKEN",  # noqa: S106 - the variable's name
    url_variable="TRUEUP_GITLAB_URL",
    default_url="https://gitlab.com",
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


def canonical(name: str, value: Value) -> Value:
    """Return the form in which two values of a field are compared after a read."""
    return weight(value) * 60 or None if name == "estimate" else value


def weight(estimate: Value) -> int:
    """Return an issue's weight for an estimate in minutes: hours, rounded up; 0 for none."""
    return -(-int(estimate) // 60) if isinstance(estimate, int) else 0


def from_remote(
    remote: Remote, container: str, address: str, links: Links, users: Mapping[str, int]
) -> Observed:
    """Return an object in our words.

    Args:
        remote: what GitLab answered.
        container: the path of the GitLab project that it is in.
        address: the resource's address.
        links: for references, as far as they are bound.
        users: GitLab's user ids by the identities that we know them by.
    """
    fields: dict[str, Value] = {"title": remote.title, "container": container}
    kind: Kind = "project"
    archived = False
    if remote.ref.sigil == "~":
        title, marker = text.read_label(remote.body)
        fields.update(title=title, key=remote.title.removeprefix(PROJECT))
    else:
        body = text.read(remote.body)
        marker, archived = body.marker, remote.closed
        fields.update(description=body.description, due=remote.due)
    if remote.ref.sigil == "%":
        kind = "milestone"
        fields.update(title=remote.title.removesuffix(_suffix(address)))
    elif remote.ref.sigil == "#":
        kind, archived = "task", remote.closed and ARCHIVED in remote.labels
        fields.update(_issue_fields(remote, links, users))
    return Observed(
        kind=kind,
        remote_id=str(remote.ref),
        marker=marker,
        fields=fields,
        url=remote.url,
        revision=remote.updated_at,
        archived=archived,
        updated_at=remote.updated_at,
    )


def _issue_fields(remote: Remote, links: Links, users: Mapping[str, int]) -> dict[str, Value]:
    labels = remote.labels
    fields: dict[str, Value] = {
        "status": _status(remote),
        "priority": next((name for label, name in PRIORITIES.items() if label in labels), "none"),
        "labels": tuple(label for label in labels if not _reserved(label)),
        "links": text.read(remote.body).links,
        "milestone": links.address(str(remote.milestone)) if remote.milestone else None,
        "owner": None,
    }
    if remote.assignee:
        number, name = remote.assignee
        fields["owner"] = next((who for who, user in users.items() if user == number), name)
    if remote.weighted:
        fields["estimate"] = remote.weight * 60 or None
    projects = [label.removeprefix(PROJECT) for label in labels if label.startswith(PROJECT)]
    if len(projects) == 1 and links.remote_id(projects[0]):
        fields["project"] = projects[0]
    return fields


def _status(remote: Remote) -> str:
    if remote.closed:
        return "canceled" if CANCELED in remote.labels else "done"
    found = [status for label, status in STATUSES.items() if label in remote.labels]
    open_status = [status for status in found if status not in CLOSED]
    return open_status[-1] if open_status else "todo"


def _reserved(label: str) -> bool:
    ours = {*STATUSES, *PRIORITIES, ARCHIVED}
    return label in ours or label.startswith(PROJECT)


def to_remote(after: Fields, links: Links, users: Mapping[str, int]) -> dict[str, object]:
    """Return an issue's properties for `after`; its labels, state and text come beside them."""
    body: dict[str, object] = {}
    if "title" in after:
        body["title"] = after["title"]
    if "due" in after:
        body["due_date"] = after["due"] or ""
    if "estimate" in after:
        body["weight"] = weight(after["estimate"])
    if "owner" in after:
        body["assignee_ids"] = [users.get(str(after["owner"]), 0)]
    if "milestone" in after:
        bound = links.remote_id(str(after["milestone"])) if after["milestone"] else None
        body["milestone_id"] = ref(bound).number if bound else 0
    return body


def label_changes(after: Fields, before: Fields) -> tuple[list[str], list[str]]:
    """Return which labels to add and which to take away: those that people added stay."""
    add, remove = set[str](), set[str]()
    if "labels" in after:
        wanted, agreed = _texts(after["labels"]), _texts(before.get("labels"))
        add |= wanted - agreed
        remove |= agreed - wanted
    # GitLab Free knows no scopes, so the other labels of a scope are taken away by name.
    for name, scope in (("status", STATUSES), ("priority", PRIORITIES)):
        if name in after:
            add |= {label for label, value in scope.items() if value == after[name]}
            remove |= scope.keys()
    if "project" in after:
        add |= {PROJECT + key for key in [after["project"]] if isinstance(key, str)}
        remove |= {PROJECT + key for key in [before.get("project")] if isinstance(key, str)}
    return sorted(add), sorted(remove - add)


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier runs learned: project ids by path, user ids by identity, tiers by project."""

    projects: dict[str, int]
    users: dict[str, int]
    paid: dict[str, bool]

    @classmethod
    def of(cls, lookups: dict[str, object]) -> Known:
        """Return what is usable of `lookups`, which from then on follows every change."""
        known = cls(
            projects=wire.only(lookups.get("projects"), int),
            users=wire.only(lookups.get("users"), int),
            paid=wire.only(lookups.get("paid"), bool),
        )
        lookups.update(projects=known.projects, users=known.users, paid=known.paid)
        return known


class Gitlab:
    """The reconciler: see `reconcilers._contract.Reconciler`."""

    def __init__(self, connection: Connection) -> None:
        self._api = Api(connection.transport)
        self._links = connection.links
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
                project = await self._project(self._container(operation.desired))
            if owner := after.get("owner"):
                project = project or ref(operation.remote_id).project
                wanted.setdefault(project, set()).add(str(owner))
        for project, owners in wanted.items():
            if not owners <= self._known.users.keys():
                await self._look_up_members(project, owners)

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
                        yield self._observed(remote, container, address)

    async def create(self, operation: Operation) -> Written:
        """Create the object with its marker."""
        project = await self._project(self._container(operation.desired))
        if operation.change.kind == "project":
            return await self._create_label(operation, project)
        if operation.change.kind == "milestone":
            path = f"/projects/{project}/milestones"
            return await self._write_milestone(operation, "POST", path, operation.desired)
        fields = {name: value for name, value in operation.desired.items() if value}
        body = to_remote(fields, self._links, self._known.users)
        body["description"] = _compose(operation)
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
        if at.sigil == "~":
            return await self._update_label(operation, at)
        if at.sigil == "%":
            return await self._write_milestone(operation, "PUT", at.path, after)
        return await self._update_issue(operation, at, after, _before(operation.change))

    async def move(self, operation: Operation) -> Written:
        """Rename or relabel; into another GitLab project, issues move and the rest is remade."""
        at = ref(operation.remote_id)
        change = operation.change
        if "container" not in change.values():
            return await self.update(operation)
        target = await self._project(self._container(operation.desired))
        if target == at.project:
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
        before = {name: value for name, value in _before(change).items() if name != "labels"}
        before.setdefault("status", operation.base.get("status"))
        return await self._update_issue(operation, moved.ref, after, before)

    async def restore(self, operation: Operation) -> Written:
        """Reopen an issue or milestone that was put away, with all that is desired."""
        at = ref(operation.remote_id)
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
        if at.sigil != "~":
            await wire.unless_gone(
                self._api.write("PUT", at.path, body, wire.anything, repeatable=True)
            )
        return Written(operation.remote_id)

    async def delete(self, operation: Operation) -> Written:
        """Delete the object; close it where the token's role may not delete."""
        at = ref(operation.remote_id)
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
            body["description"] = _compose(operation)
        if "due" in after:
            body["due_date"] = after["due"] or ""
        if state_event:
            body["state_event"] = state_event
        suffix = _suffix(operation.change.address)
        title = str(operation.desired["title"])
        if "title" in after:
            # One that ends like a qualified title is qualified, so that it reads back the same.
            body["title"] = title + suffix if title.endswith(suffix) else title
        repeatable = method == "PUT"
        try:
            milestone = await self._api.write(
                method, path, body, wire.read_milestone, repeatable=repeatable
            )
        except PermanentError as error:
            if error.code != "title":
                raise wire.explained(error) from error
            body["title"] = title + suffix
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
            body["description"] = _compose(operation)
        elif "links" in after:
            present = await self._api.get(at.path, wire.read_issue)
            about = text.read(present.body).description
            body["description"] = _compose(operation, about)
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
        wanted, agreed = _links_of(after), _links_of(before)
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
                warnings.append(_difference(name, wanted))
            elif lost := _texts(wanted) - _texts(seen[name]):
                kept[name] = tuple(sorted(_texts(wanted) - lost))
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

    def _observed(self, remote: Remote, container: str, address: str) -> Observed:
        return from_remote(remote, container, address, self._links, self._known.users)

    def _container(self, fields: Fields) -> str:
        path = fields.get("container") or self._options.get("project")
        if not isinstance(path, str):
            raise PermanentError(
                "there is no project to make anything in",
                platform="gitlab",
                hint="set `project` for GitLab in the Integrations spec",
            )
        return path

    async def _project(self, path: str) -> int:
        """Return the number of the GitLab project at `path`; asked for once and for all."""
        if path not in self._known.projects:
            where = f"/projects/{quote(path, safe='')}"
            try:
                number = await self._api.get(where, lambda data: wire.need(data, "id", int))
            except PermanentError as error:
                if error.status == 404:
                    error.message = f"there is no project {path}, or the token cannot see it"
                    error.hint = "check `project` in the Integrations spec, and the token"
                raise
            self._known.projects[path] = number
        return self._known.projects[path]

    async def _look_up_members(self, project: int, owners: set[str]) -> None:
        path = f"/projects/{project}/members/all"
        async for member in self._api.pages(path, {}, wire.mapping):
            names = {member.get(name) for name in ("username", "public_email", "email")}
            for owner in owners & names:
                self._known.users[owner] = wire.need(member, "id", int)

    async def _list(
        self, container: str, kind: Kind, filters: Mapping[str, str]
    ) -> AsyncIterator[Remote]:
        """Yield a GitLab project's objects of one kind; the filters are for issues only."""
        project = await self._project(container)
        where = f"/projects/{project}"
        if kind == "project":
            pages = self._api.pages(
                f"{where}/labels", {"search": "trueup:"}, lambda d: wire.read_label(d, project)
            )
        elif kind == "milestone":
            pages = self._api.pages(f"{where}/milestones", {}, wire.read_milestone)
        else:
            # Newest first: an issue that changes meanwhile is then met twice rather than never.
            query = {"scope": "all", "state": "all", "sort": "desc", **filters}
            pages = self._api.pages(f"{where}/issues", query, wire.read_issue)
        async for remote in pages:
            yield remote


def _difference(name: str, wanted: Value) -> str:
    if name == "owner" and wanted:
        return f"{wanted} is no member of the GitLab project: not assigned"
    return f"GitLab keeps another {name} than declared"


def _compose(operation: Operation, about: str | None = None) -> str:
    """Return the description to send: `about`, or the desired text, with links and marker."""
    description = about or operation.desired.get("description")
    links = [str(link) for link in wire.items(operation.desired.get("links"))]
    shown = str(description) if description else None
    return text.compose(text.Text(shown, tuple(links), operation.marker))


def _suffix(address: str) -> str:
    """Return what makes a milestone's title unique among those of other projects of ours."""
    return f" ({project_of(address)})"


def _list_of(kind: Kind, address: str) -> str:
    """Return the project whose issues are listed to find a task; the other kinds have one list."""
    return project_of(address) if kind == "task" else ""


def _before(change: Change) -> dict[str, Value]:
    return {item.name: item.before for item in change.fields}


def _links_of(fields: Fields) -> set[str]:
    return _texts(fields.get("depends_on"))


def _texts(value: Value) -> set[str]:
    return {str(item) for item in wire.items(value)}

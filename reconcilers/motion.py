"""Motion: projects, and tasks that its scheduler puts into the calendar.

Motion allows twelve requests a minute, so requests are what this file saves: one per change
whatever changed, statuses and labels from the one list of workspaces, users and the account's
time zone only when a change needs them.

What its API lacks shapes the rest (vendor reference as of June 2025, verified 2026-11-24 against
stored copies): no id of our own, so a marker line ends each description; no "changed since", so
`observe` lists; no update of projects; no null for a date or a project, so neither can be cleared.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from reconcilers._contract import (
    Connection,
    Limits,
    Listing,
    Observed,
    Operation,
    Profile,
    Wanted,
    Written,
)
from reconcilers._motion_directory import Directory
from reconcilers._motion_fields import (
    CAPABILITIES,
    PRIORITIES_READ,
    Place,
    Task,
    Workspace,
    day_of,
    in_utc,
    is_after,
    mapping,
    read_task,
    strings,
    text,
    to_remote,
    zone_of,
)
from reconcilers._motion_price import Steps, price, steps_of
from reconcilers._motion_survey import survey
from reconcilers._motion_text import canonical_markdown, html, marker_in, told, with_marker
from reconcilers._transport import Answer, Transport
from schemas.domain import Fields, Kind, Value, project_of, same
from schemas.errors import OutcomeUnknown, PermanentError

if TYPE_CHECKING:
    import httpx

    from reconcilers._budget import Budget

OVERLAP = timedelta(minutes=5)
"""How much earlier than asked `observe` looks; the lists are read in full, so it costs nothing."""


def canonical(name: str, value: Value) -> Value:
    """Return the form in which values are compared: Motion knows no priority below LOW."""
    if name == "title" and isinstance(value, str):
        return value.strip()
    if name == "description" and isinstance(value, str):
        return canonical_markdown(value)
    return "low" if name == "priority" and value == "none" else value


PROFILE = Profile(
    platform="motion",
    title="Motion",
    capabilities=CAPABILITIES,
    limits=Limits(requests=12, per_seconds=60.0, concurrency=1),
    price=price,
    container="workspace",
    token_variable="MOTION_API_KEY",  # noqa: S106 - the name of a variable
    url_variable="TRUEUP_MOTION_URL",
    default_url="https://api.usemotion.com",
    linkable=False,
    canonical=canonical,
)


def transport(
    token: str, base_url: str, budget: Budget, client: httpx.AsyncClient | None = None
) -> Transport:
    """Return the transport to Motion.

    A 429 says nothing about when to come back (no rate-limit header was ever seen on its answers,
    verified 2026-11-24), so a whole window passes before the next request.
    """
    return Transport(
        "motion",
        base_url,
        headers={"X-API-Key": token, "Accept": "application/json"},
        budget=budget,
        secrets=(token,),
        rate_pause=PROFILE.limits.per_seconds,
        client=client,
    )


class Motion:
    """Motion behind the contract of `reconcilers._contract.Reconciler`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._directory = Directory(connection.transport, connection.lookups)
        self._said: set[str] = set()
        self._listed: set[str] = set()

    async def check(self) -> str:
        """Return who we are on Motion; one request."""
        me = mapping((await self._transport.read("GET", "/v1/users/me")).data)
        if not text(me.get("id")):
            raise PermanentError(
                "what answers there is not Motion",
                platform="motion",
                request="GET /v1/users/me",
                hint="check TRUEUP_MOTION_URL",
            )
        return f"{text(me.get('name'))} <{text(me.get('email'))}>"

    async def prepare(self, operations: Sequence[Operation]) -> None:
        """Look up workspaces, people and the time zone, as far as `operations` name new ones."""
        operations = [op for op in operations if op.change.action != "delete"]
        if not all(self._has_names(op) for op in operations):
            await self._directory.learn_workspaces()
        owners = {op.change.values().get("owner") for op in operations} - {None}
        if not all(str(owner).casefold() in self._directory.users for owner in owners):
            await self._directory.learn_users()
        dated = [op.desired for op in operations if op.change.values().get("due")]
        if not all(self._own_zone(desired) for desired in dated):
            await self._directory.learn_timezone()

    async def find(self, wanted: Sequence[Wanted]) -> Mapping[str, Observed]:
        """Return the objects that carry the markers; of several the oldest."""
        await self._know_workspaces()
        markers = {item.marker for item in wanted}
        found: dict[str, Observed] = {}
        containers = {item.container for item in wanted if item.kind == "project"}
        for workspace in self._workspaces(containers):
            for project in await self._projects(workspace):
                if project.marker in markers:
                    found.setdefault(project.marker, project)
        lists = self._lists([item for item in wanted if item.kind == "task"])
        tasks = await self._directory.list_tasks(lists)
        for observed in await self._observed([t for t in tasks if t.marker in markers]):
            found.setdefault(observed.marker, observed)
        return found

    async def observe(self, since: str | None) -> AsyncIterator[Observed]:
        """Yield projects and tasks of ours; Motion tells no changes, so lists are read in full.

        Scheduled tasks are always among them, since nobody promises that a move in the calendar
        counts as an update.
        """
        await self._know_workspaces()
        after = datetime.fromisoformat(since) - OVERLAP if since else None
        used = {w.id for w in self._workspaces({self._connection.options.get("workspace")})}
        for workspace in self._directory.workspaces:
            if workspace.id not in used | self._directory.used:
                continue
            for project in await self._projects(workspace):
                self._listed.add(project.remote_id)
                ours = self._is_ours(project.remote_id, project.marker)
                if ours and is_after(project.updated_at, after):
                    yield project
            tasks = await self._directory.list_tasks([{"workspaceId": workspace.id}])
            self._listed.update(task.id for task in tasks)
            ours = [task for task in tasks if self._is_ours(task.id, task.marker)]
            self._directory.note_markers({task.id: bool(task.marker) for task in ours})
            changed = [t for t in ours if t.scheduled_start or is_after(t.updated, after)]
            for observed in await self._observed(changed):
                yield observed

    async def gone(self, unseen: Mapping[str, Kind], *, full: bool) -> Collection[str]:
        """Return what was deleted: Motion is asked for each object that its lists lack."""
        missing = {i: kind for i, kind in unseen.items() if full or i not in self._listed}
        gone: list[str] = []
        for remote_id, kind in missing.items():
            try:
                await self._transport.read("GET", f"/v1/{kind}s/{remote_id}")
            except PermanentError as error:
                if error.status != 404:
                    raise
                gone.append(remote_id)
        return gone

    async def survey(self, container: str, *, closed: bool) -> Listing:
        """Return what a workspace holds."""
        await self._know_workspaces()
        workspace = self._directory.workspace(container)
        projects = await self._projects(workspace)
        tasks = await self._directory.list_tasks([{"workspaceId": workspace.id}], closed=closed)
        seen = await self._observed(tasks)
        return await survey(self._directory, workspace, projects, seen)

    async def create(self, operation: Operation) -> Written:
        """Create the project or task; never sent twice."""
        workspace = self._directory.workspace(operation.desired.get("container"))
        if operation.change.kind == "project":
            return await self._create_project(operation, workspace)
        names = {*operation.desired, "description"}
        place, notes = self._place(operation.desired, workspace)
        body, more = to_remote(operation.desired, names, operation.marker, place, {})
        answer = await self._transport.write("POST", "/v1/tasks", json=body, repeatable=False)
        self._directory.use(workspace)
        return self._written(operation, answer, names, notes + more)

    async def update(self, operation: Operation) -> Written:
        """Bring the changed fields to their new values in one request.

        A cleared owner and a change of workspace take a request of their own each.
        """
        names = operation.change.values().keys()
        return await self._change(operation, steps_of(operation.change), names)

    async def move(self, operation: Operation) -> Written:
        """Carry a task to another project or workspace."""
        return await self.update(operation)

    async def restore(self, operation: Operation) -> Written:
        """Reopen a task that was put away, with all that is desired of it."""
        steps = replace(steps_of(operation.change), patch=True)
        names = {*operation.desired, *operation.change.values(), "description", "status"}
        written = await self._change(operation, steps, names)
        self._directory.mark_archived(operation.remote_id, archived=False)
        return written

    async def archive(self, operation: Operation) -> Written:
        """Put a task away by a resolved status: Motion has no archive.

        A task that was done stays done, and is not reopened should it come back.
        """
        _refuse_project(operation)
        workspace = self._directory.workspace(operation.desired.get("container"))
        done = operation.drift.get("status", operation.base.get("status")) == "done"
        status = workspace.status("done" if done else "canceled")
        if status is None or not status.resolved:
            raise PermanentError(
                f"the workspace `{workspace.name}` has no status that resolves a task",
                platform="motion",
                hint="add one in Motion, such as Canceled",
            )
        body = {
            "name": _wanted(operation)["title"],
            "workspaceId": workspace.id,
            "status": status.name,
        }
        if await self._write_unless_gone("PATCH", operation, body):
            self._directory.mark_archived(operation.remote_id, archived=not done)
            return Written(operation.remote_id)
        return Written(operation.remote_id, warnings=("it had been deleted in Motion already",))

    async def delete(self, operation: Operation) -> Written:
        """Delete a task for good; one already gone is success."""
        _refuse_project(operation)
        await self._write_unless_gone("DELETE", operation, None)
        self._directory.mark_archived(operation.remote_id, archived=False)
        return Written(operation.remote_id)

    async def _create_project(self, operation: Operation, workspace: Workspace) -> Written:
        desired = operation.desired
        names = desired.keys() - {"description"}
        place, _ = self._place(desired, workspace)
        body, notes = to_remote(desired, names, operation.marker, place, {})
        body["description"] = html(with_marker(desired.get("description"), operation.marker))
        answer = await self._transport.write("POST", "/v1/projects", json=body, repeatable=False)
        data = mapping(answer.data)
        project_id = text(data.get("id"))
        if not project_id:
            raise _unreadable(answer, "POST /v1/projects")
        self._directory.use(workspace)
        self._directory.place(project_id, workspace)
        read = _described(data.get("description"))
        return Written(
            project_id,
            revision=text(data.get("updatedTime")),
            warnings=self._once(notes),
            echo=_echo(read, desired),
        )

    async def _change(self, operation: Operation, steps: Steps, names: Set[str]) -> Written:
        _refuse_project(operation)
        workspace = self._directory.workspace(operation.desired.get("container"))
        place, notes = self._place(operation.desired, workspace, moving=steps.move)
        path = f"/v1/tasks/{operation.remote_id}"
        names = self._with_marker(operation, self._with_due(operation, names))
        answer = None
        try:
            if steps.move:
                target = {"workspaceId": workspace.id}
                if place.assignee_id:
                    target["assigneeId"] = place.assignee_id
                await self._transport.write("PATCH", f"{path}/move", json=target, repeatable=True)
                self._directory.use(workspace)
                names |= operation.desired.keys() & {"status", "labels", "project"}
            if steps.unassign:
                await self._transport.write("DELETE", f"{path}/assignee", repeatable=True)
            there = {**operation.base, **operation.drift}
            desired = {**_wanted(operation), "labels": self._labels(operation)}
            body, more = to_remote(desired, names, operation.marker, place, there)
            if steps.patch:
                answer = await self._transport.write("PATCH", path, json=body, repeatable=True)
        except PermanentError as error:
            raise _gone(error, operation) from error
        return self._written(operation, answer, names, notes + more)

    async def _write_unless_gone(
        self, method: str, operation: Operation, body: Mapping[str, object] | None
    ) -> bool:
        """Send a write to a task; return whether the task was still there."""
        path = f"/v1/tasks/{operation.remote_id}"
        try:
            await self._transport.write(method, path, json=body, repeatable=True)
        except PermanentError as error:
            if error.status != 404:
                raise
            return False
        return True

    def _labels(self, operation: Operation) -> Value:
        """Return the labels to send, with those that people added since; a PATCH replaces all."""
        change = next((f for f in operation.change.fields if f.name == "labels"), None)
        if change is None:
            return operation.drift.get("labels", operation.desired.get("labels"))
        before, after = set(strings(change.before)), set(strings(change.after))
        there = set(strings(operation.drift.get("labels", change.before)))
        return tuple(sorted(there - (before - after) | after))

    def _with_due(self, operation: Operation, names: Set[str]) -> Set[str]:
        """Write the due date anew where the task goes to somebody in another time zone."""
        zone = self._own_zone(operation.desired)
        if "owner" not in names or not zone or zone == self._own_zone(operation.base):
            return names
        return names | {"due"} if operation.desired.get("due") else names

    def _with_marker(self, operation: Operation, names: Set[str]) -> Set[str]:
        """Write the description anew where people deleted the marker, unless they edited it."""
        bare = operation.remote_id in self._directory.unmarked
        return names | {"description"} if bare and "description" not in operation.drift else names

    def _place(
        self, desired: Fields, workspace: Workspace, *, moving: bool = False
    ) -> tuple[Place, list[str]]:
        owner = desired.get("owner")
        place = Place(
            workspace,
            zone_of(self._own_zone(desired) or self._directory.timezone),
            assignee_id=self._directory.users.get(str(owner).casefold(), "") if owner else "",
        )
        project = desired.get("project")
        project_id = self._connection.links.remote_id(project) if isinstance(project, str) else None
        if project_id is None:
            return place, []
        # A task can only be in a project of its own workspace, and a project cannot be moved.
        likely = "" if moving else workspace.id
        if self._directory.projects.get(project_id, likely) != workspace.id:
            note = f"{project} is in another workspace of Motion, so its tasks here are in none"
            return place, [note]
        return replace(place, project_id=project_id), []

    def _written(
        self,
        operation: Operation,
        answer: Answer | None,
        names: Set[str],
        notes: Sequence[str],
    ) -> Written:
        """Read back what the platform made of a write."""
        warnings = self._once(notes)
        if answer is None:
            kept = {n: operation.base.get(n) for n in ("due", "project") if n in names}
            return Written(operation.remote_id, warnings=warnings, fields=kept)
        task = read_task(mapping(answer.data))
        if not task.id or operation.remote_id not in ("", task.id):
            raise _unreadable(answer, "the write of a task")
        read = self._fields(task) if task.status else {}
        if "labels" in read:
            # What people added is theirs, and no part of what was agreed on.
            there = strings(read["labels"])
            read["labels"] = tuple(
                label for label in strings(operation.desired.get("labels")) if label in there
            )
        comparable = CAPABILITIES.observable("task") & names & operation.desired.keys()
        comparable -= CAPABILITIES.approximate("task")
        fields: dict[str, Value] = {
            name: read[name]
            for name in sorted(comparable & read.keys())
            if (canonical(name, operation.desired[name]) or None) != (read[name] or None)
        }
        return Written(
            task.id,
            revision=task.updated,
            warnings=warnings,
            fields=fields,
            echo=_echo(read, operation.desired) if "description" in names else {},
        )

    def _once(self, notes: Sequence[str]) -> tuple[str, ...]:
        """Return what was not said before: a missing label is news once, not with every task."""
        fresh = tuple(dict.fromkeys(note for note in notes if note not in self._said))
        self._said.update(fresh)
        return fresh

    def _fields(self, task: Task) -> dict[str, Value]:
        """Return a task in our words."""
        fields: dict[str, Value] = {
            "title": task.name,
            "priority": PRIORITIES_READ.get(task.priority),
            "owner": self._owner(task),
            "start": task.start[:10] or None,
            "due": day_of(task.due, self._zones(task)) if task.due else None,
            "estimate": task.duration,
            "labels": tuple(sorted(task.labels)),
            "project": self._connection.links.address(task.project_id),
            "container": task.workspace or None,
            "scheduled_start": in_utc(task.scheduled_start),
            "scheduled_end": in_utc(task.scheduled_end),
            **_described(task.description),
        }
        if task.status is not None:
            fields["status"] = task.status.meaning
        return fields

    async def _observed(self, tasks: Sequence[Task]) -> list[Observed]:
        # A due date cannot be told without a zone: the assignee's, else the account's.
        if any(t.due and not self._own_zone({"owner": self._owner(t)}) for t in tasks):
            await self._directory.learn_timezone()
        return [
            Observed(
                "task",
                task.id,
                task.marker,
                self._fields(task),
                revision=task.updated,
                archived=task.is_resolved and task.id in self._directory.archived,
                updated_at=in_utc(task.updated) or "",
            )
            for task in tasks
        ]

    async def _projects(self, workspace: Workspace) -> list[Observed]:
        return [
            Observed(
                "project",
                text(row.get("id")),
                marker_in(text(row.get("description"))),
                {
                    "title": text(row.get("name")),
                    "container": workspace.name,
                    **_described(row.get("description")),
                },
                revision=text(row.get("updatedTime")),
                updated_at=in_utc(text(row.get("updatedTime"))) or "",
            )
            for row in await self._directory.list_projects(workspace)
        ]

    def _owner(self, task: Task) -> str | None:
        """Return the first assignee, as the specs know them where they do."""
        if not task.assignees:
            return None
        identities = {identity.casefold(): identity for identity in self._connection.people}
        user_id, email = task.assignees[0]
        return identities.get(email.casefold()) or identities.get(user_id.casefold()) or email

    def _own_zone(self, fields: Fields) -> str:
        """Return the owner's time zone, or an empty string where nobody tells it."""
        owner = fields.get("owner")
        person = self._connection.people.get(owner) if isinstance(owner, str) else None
        return person.timezone if person else ""

    def _zones(self, task: Task) -> list[tzinfo]:
        """Return the zones in which a task's due date may have been written, likeliest first."""
        names = [self._own_zone({"owner": self._owner(task)}), self._directory.timezone]
        names += [person.timezone for person in self._connection.people.values()]
        return [zone_of(name) for name in dict.fromkeys(names) if name] or [UTC]

    def _is_ours(self, remote_id: str, marker: str) -> bool:
        return bool(marker or self._connection.links.address(remote_id))

    def _has_names(self, operation: Operation) -> bool:
        workspace = self._directory.find(operation.desired.get("container"))
        values = operation.change.values()
        labels = strings((operation.desired if "container" in values else values).get("labels"))
        return workspace is not None and set(labels) <= set(workspace.labels)

    def _workspaces(self, names: Set[Value]) -> list[Workspace]:
        found = map(self._directory.find, names)
        return sorted({w for w in found if w is not None}, key=lambda w: w.name)

    def _lists(self, wanted: Sequence[Wanted]) -> list[dict[str, str]]:
        """Return the filters of the fewest lists that hold all tasks wanted.

        A project's own list will do where the project is bound; else all of the workspace.
        """
        lists: list[dict[str, str]] = []
        for workspace in self._workspaces({item.container for item in wanted}):
            here = [w for w in wanted if self._directory.find(w.container) == workspace]
            projects = {self._connection.links.remote_id(project_of(w.address)) for w in here}
            bound = sorted(project for project in projects if project)
            if len(bound) < len(projects):
                lists.append({"workspaceId": workspace.id})
            else:
                lists += [{"projectId": project} for project in bound]
        return lists

    async def _know_workspaces(self) -> None:
        if not self._directory.workspaces:
            await self._directory.learn_workspaces()


def _wanted(operation: Operation) -> dict[str, Value]:
    """Return all fields as they are to be: what people made of those that stay, stays."""
    changed = operation.change.values().keys()
    kept = {name: value for name, value in operation.drift.items() if name not in changed}
    return {**operation.desired, **kept}


def _described(description: object) -> dict[str, Value]:
    """Return a description in our words, where an answer has one at all."""
    return {"description": told(description)} if isinstance(description, str) else {}


def _echo(read: Fields, desired: Fields) -> dict[str, Value]:
    """Return the description as Motion shows it, where that is not what was written."""
    shown = read.get("description")
    wanted = desired.get("description")
    as_written = same(canonical("description", shown), canonical("description", wanted))
    return {} if as_written or "description" not in read else {"description": shown}


def _refuse_project(operation: Operation) -> None:
    if operation.change.kind != "task":
        raise PermanentError(
            f"Motion's API cannot change a {operation.change.kind}",
            platform="motion",
            hint="change it in Motion by hand",
        )


def _gone(error: PermanentError, operation: Operation) -> PermanentError:
    if error.status != 404:
        return error
    return PermanentError(
        "the task was deleted in Motion",
        platform="motion",
        request=error.request,
        status=404,
        hint=f"remove {operation.change.address} from the specs, or let go of its binding to"
        " have it made again",
    )


def _unreadable(answer: Answer, request: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        "the answer does not show what was written",
        platform="motion",
        request=request,
        status=answer.status,
    )

"""A stand-in for Motion: workspaces, projects, tasks with a scheduler, comments.

As strict as the vendor's reference: a PATCH needs `name` and `workspaceId` (`partial_updates`
makes it as lenient as other clients take it to be), labels and statuses must exist, done tasks
are left out of lists unless asked for, descriptions come back as HTML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any, ClassVar, cast
from zoneinfo import ZoneInfo

from runner.sandbox._motion_bodies import (
    MOVE,
    NEW_COMMENT,
    NEW_PROJECT,
    NEW_RECURRING,
    NEW_TASK,
    PARTIAL_TASK,
    Refusal,
    bad_request,
    body_of,
    instant,
    query_of,
    show,
)
from runner.sandbox._motion_calendar import CLOSES, OPENS, WORKING_DAYS, Job, place
from runner.sandbox._platform import Call, Reply
from runner.sandbox._world import TOKENS, Gate, World

_MARKER = re.compile(r"\btrueup:([0-9a-f-]{36})\b")

STATUSES = (
    ("Backlog", False, False),
    ("Todo", True, False),
    ("In Progress", False, False),
    ("Completed", False, True),
    ("Canceled", False, True),
)


@dataclass(slots=True)
class Workspace:
    """A workspace; its labels and statuses are made in Motion's own pages, never by the API."""

    id: str
    name: str
    labels: list[str] = field(default_factory=list[str])
    statuses: list[tuple[str, bool, bool]] = field(default_factory=lambda: list(STATUSES))

    def status(self, name: str) -> dict[str, Any]:
        """Return a status as the API shows it.

        Raises:
            Refusal: there is none of that name.
        """
        for known, default, resolved in self.statuses:
            if known == name:
                return {
                    "name": known,
                    "isDefaultStatus": default,
                    "isResolvedStatus": resolved,
                }
        raise bad_request(f"status {name} does not exist in the workspace")

    @property
    def default_status(self) -> str:
        """The name of the status that new tasks get."""
        return next(name for name, default, _ in self.statuses if default)

    def shown(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        return self.brief() | {
            "labels": [{"name": name} for name in self.labels],
            "statuses": [self.status(name) for name, _, _ in self.statuses],
        }

    def brief(self) -> dict[str, Any]:
        """Return it as a task shows it."""
        return {"id": self.id, "name": self.name, "teamId": None, "type": "individual"}


@dataclass(slots=True)
class Project:
    """A project; the API can neither change nor delete one."""

    id: str
    name: str
    workspace: Workspace
    description: str
    made_at: float
    created: str
    updated: str

    def shown(self) -> dict[str, Any]:
        """Return it as a task shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "workspaceId": self.workspace.id,
            "status": self.workspace.status(self.workspace.default_status),
        }


@dataclass(slots=True)
class Task:
    """A task; the description is kept as it was sent."""

    id: str
    made_at: float
    created: str
    updated: str
    name: str
    workspace: Workspace
    status: str
    priority: str = "MEDIUM"
    description: str = ""
    duration: int | str | None = None
    due: datetime | None = None
    deadline: str = "SOFT"
    scheduled: bool = False
    start: date | None = None
    completed: str = ""
    labels: list[str] = field(default_factory=list[str])
    project: Project | None = None
    assignee: dict[str, Any] | None = None

    @property
    def resolved(self) -> bool:
        """Whether its status is one that resolves."""
        return bool(self.workspace.status(self.status)["isResolvedStatus"])


class MotionStandIn:
    """See `runner.sandbox._platform.StandIn`.

    Attributes:
        page_size: how many rows a page of a list holds.
        partial_updates: whether a PATCH may leave out name and workspace.
        render: makes HTML of the Markdown that descriptions come as.
    """

    platform: ClassVar[str] = "motion"

    def __init__(self, world: World) -> None:
        self.world = world
        self.page_size = 20
        self.partial_updates = False
        self.render: Callable[[str], str] = rendered
        self.users = [
            {"id": world.new_id("motion", "user"), "name": name, "email": email}
            for name, email, _ in world.seed.people
        ]
        self.workspaces = [
            Workspace(world.new_id("motion", "workspace"), name, list(world.seed.labels))
            for name in world.seed.workspaces
        ]
        self.projects: dict[str, Project] = {}
        self.tasks: dict[str, Task] = {}
        self._comments: list[dict[str, Any]] = []
        self._recurring: dict[str, dict[str, Any]] = {}
        self._calendar: dict[str, tuple[datetime, datetime]] | None = None
        self._gate = Gate(12, 60.0)
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Reply]]] = [
            (method, re.compile(pattern), handler) for method, pattern, handler in self._table()
        ]

    def writes(self, call: Call) -> bool:
        """Return whether the call would change something."""
        return call.method not in {"GET", "HEAD"}

    def handle(self, call: Call) -> Reply:
        """Carry the call out."""
        try:
            return self._answer(call)
        except Refusal as refusal:
            return Reply(refusal.status, refusal.body)

    def rate_limited(self, seconds: float) -> Reply:
        """Return a 429; no header tells when to come back unless `seconds` are given."""
        headers = {"retry-after": str(int(seconds))} if seconds else {}
        return Reply(429, {"message": "Too Many Requests", "statusCode": 429}, headers)

    def objects(self) -> list[dict[str, Any]]:
        """Return every project and task."""
        projects = [
            project.shown()
            | {"kind": "project", "title": project.name, "archived": False}
            | {"marker": _marker(project.description)}
            for project in self.projects.values()
        ]
        tasks = [
            self._shown(task)
            | {"kind": "task", "title": task.name, "archived": task.status == "Canceled"}
            | {"marker": _marker(task.description)}
            for task in self.tasks.values()
        ]
        return projects + tasks

    def _answer(self, call: Call) -> Reply:
        # Measured on the live host: this comes before routing and before authentication.
        json_body = call.headers.get("content-type", "").startswith("application/json")
        if call.method in {"POST", "PATCH"} and not json_body:
            raise Refusal(400, "Invalid Headers", "Content-Type must be application/json")
        if self.world.limits and self._gate.admit(self.world.clock()) > 0:
            return self.rate_limited(0)
        if call.headers.get("x-api-key") != TOKENS["motion"]:
            raise Refusal(401, "Unauthorized")
        for method, pattern, handler in self._routes:
            if method == call.method and (match := pattern.fullmatch(call.path)):
                return handler(call, *match.groups())
        raise Refusal(404, f"Cannot {call.method} {call.path}", "Not Found")

    def _table(self) -> list[tuple[str, str, Callable[..., Reply]]]:
        return [
            ("GET", "/v1/users/me", self._me),
            ("GET", "/v1/users", self._list_users),
            ("GET", "/v1/workspaces", self._list_workspaces),
            ("GET", "/v1/statuses", self._list_statuses),
            ("GET", "/v1/schedules", self._list_schedules),
            ("GET", "/v1/tasks", self._list_tasks),
            ("POST", "/v1/tasks", self._create_task),
            ("GET", "/v1/tasks/([^/]+)", self._get_task),
            ("PATCH", "/v1/tasks/([^/]+)", self._update_task),
            ("DELETE", "/v1/tasks/([^/]+)", self._delete_task),
            ("PATCH", "/v1/tasks/([^/]+)/move", self._move_task),
            ("DELETE", "/v1/tasks/([^/]+)/assignee", self._unassign_task),
            ("GET", "/v1/projects", self._list_projects),
            ("POST", "/v1/projects", self._create_project),
            ("GET", "/v1/projects/([^/]+)", self._get_project),
            ("GET", "/v1/comments", self._list_comments),
            ("POST", "/v1/comments", self._create_comment),
            ("GET", "/v1/recurring-tasks", self._list_recurring),
            ("POST", "/v1/recurring-tasks", self._create_recurring),
            ("DELETE", "/v1/recurring-tasks/([^/]+)", self._delete_recurring),
        ]

    def _me(self, call: Call) -> Reply:
        query_of(call)
        return Reply(200, self.users[0])

    def _list_users(self, call: Call) -> Reply:
        query = query_of(call, "workspaceId", "teamId", "cursor")
        return self._page("users", self.users, query)

    def _list_workspaces(self, call: Call) -> Reply:
        query = query_of(call, "ids", "cursor")
        ids = [value for name, value in call.query if name == "ids"]
        shown = [w.shown() for w in self.workspaces if not ids or w.id in ids]
        return self._page("workspaces", shown, query)

    def _list_statuses(self, call: Call) -> Reply:
        query = query_of(call, "workspaceId")
        wanted = query.get("workspaceId")
        found = [w for w in self.workspaces if wanted in (None, w.id)]
        return Reply(200, [w.status(name) for w in found for name, _, _ in w.statuses])

    def _list_schedules(self, call: Call) -> Reply:
        query_of(call)
        hours = [{"start": OPENS.strftime("%H:%M"), "end": CLOSES.strftime("%H:%M")}]
        schedule = {
            "name": "Work Hours",
            "isDefaultTimezone": True,
            "timezone": self.world.seed.timezone,
            "schedule": dict.fromkeys(WORKING_DAYS, hours),
        }
        return Reply(200, [schedule])

    def _list_tasks(self, call: Call) -> Reply:
        names = ("workspaceId", "projectId", "assigneeId", "status", "includeAllStatuses")
        query = query_of(call, *names, "label", "name", "cursor")
        statuses = [value for name, value in call.query if name == "status"]
        everything = query.get("includeAllStatuses", "false")
        if everything not in {"true", "false"}:
            raise bad_request("includeAllStatuses must be a boolean")
        if statuses and everything == "true":
            raise bad_request("status and includeAllStatuses exclude each other")

        def fits(task: Task) -> bool:
            if statuses:
                shown = task.status in statuses
            else:
                shown = everything == "true" or not task.resolved
            assignee = task.assignee["id"] if task.assignee else None
            return (
                shown
                and self.world.visible("motion", task.made_at)
                and query.get("workspaceId") in (None, task.workspace.id)
                and query.get("projectId") in (None, task.project.id if task.project else None)
                and query.get("assigneeId") in (None, assignee)
                and query.get("label", "") in ("", *task.labels)
                and query.get("name", "").casefold() in task.name.casefold()
            )

        return self._page("tasks", [task for task in self.tasks.values() if fits(task)], query)

    def _get_task(self, call: Call, task_id: str) -> Reply:
        query_of(call)
        return Reply(200, self._shown(self._task(task_id)))

    def _create_task(self, call: Call) -> Reply:
        body = body_of(call, NEW_TASK)
        now, workspace = self.world.instant("motion"), self._workspace(body["workspaceId"])
        task = Task(
            id=self.world.new_id("motion", "task"),
            made_at=self.world.clock(),
            created=now,
            updated=now,
            name=body["name"],
            workspace=workspace,
            status=workspace.default_status,
        )
        self._apply(task, body)
        self.tasks[task.id] = task
        return Reply(201, self._shown(task))

    def _update_task(self, call: Call, task_id: str) -> Reply:
        body = body_of(call, PARTIAL_TASK if self.partial_updates else NEW_TASK)
        task = self._task(task_id)
        if body.get("workspaceId", task.workspace.id) != task.workspace.id:
            raise bad_request("workspaceId cannot be changed here; move the task")
        self._apply(task, body)
        return Reply(200, self._shown(task))

    def _delete_task(self, call: Call, task_id: str) -> Reply:
        query_of(call)
        del self.tasks[self._task(task_id).id]
        self._calendar = None
        return Reply(204)

    def _move_task(self, call: Call, task_id: str) -> Reply:
        body = body_of(call, MOVE)
        task, workspace = self._task(task_id), self._workspace(body["workspaceId"])
        assignee = self._user(body["assigneeId"]) if "assigneeId" in body else task.assignee
        if workspace is not task.workspace:
            task.workspace, task.status, task.project = workspace, workspace.default_status, None
            task.labels = [label for label in task.labels if label in workspace.labels]
        task.assignee = assignee
        self._touch(task)
        return Reply(200, self._shown(task))

    def _unassign_task(self, call: Call, task_id: str) -> Reply:
        query_of(call)
        task = self._task(task_id)
        task.assignee = None
        self._touch(task)
        return Reply(204)

    def _list_projects(self, call: Call) -> Reply:
        query = query_of(call, "workspaceId", "cursor")
        found = [
            self._shown_project(project)
            for project in self.projects.values()
            if query.get("workspaceId") in (None, project.workspace.id)
            and self.world.visible("motion", project.made_at)
        ]
        return self._page("projects", found, query)

    def _create_project(self, call: Call) -> Reply:
        body = body_of(call, NEW_PROJECT)
        if "projectDefinitionId" in body or "stages" in body:
            raise Refusal(400, "there are no project templates")
        workspace = self._workspace(body["workspaceId"])
        _check_labels(body.get("labels", []), workspace)
        project = Project(
            id=self.world.new_id("motion", "project"),
            name=body["name"],
            workspace=workspace,
            description=body.get("description", ""),
            made_at=self.world.clock(),
            created=(now := self.world.instant("motion")),
            updated=now,
        )
        self.projects[project.id] = project
        return Reply(201, self._shown_project(project))

    def _get_project(self, call: Call, project_id: str) -> Reply:
        query_of(call)
        if project_id not in self.projects:
            raise Refusal(404, "Project not found", "Not Found")
        return Reply(200, self._shown_project(self.projects[project_id]))

    def _list_comments(self, call: Call) -> Reply:
        query = query_of(call, "taskId", "cursor")
        if "taskId" not in query:
            raise bad_request("taskId is required")
        task = self._task(query["taskId"])
        found = [c for c in self._comments if c["taskId"] == task.id]
        return self._page("comments", found, query)

    def _create_comment(self, call: Call) -> Reply:
        body = body_of(call, NEW_COMMENT)
        comment = {
            "id": self.world.new_id("motion", "comment"),
            "taskId": self._task(body["taskId"]).id,
            "content": self.render(body.get("content", "")),
            "createdAt": self.world.instant("motion"),
            "creator": self.users[0],
        }
        self._comments.append(comment)
        return Reply(201, comment)

    def _list_recurring(self, call: Call) -> Reply:
        query = query_of(call, "workspaceId", "cursor")
        if "workspaceId" not in query:
            raise bad_request("workspaceId is required")
        workspace = self._workspace(query["workspaceId"])
        rows = self._recurring.values()
        return self._page("tasks", [r for r in rows if r["workspace"]["id"] == workspace.id], query)

    def _create_recurring(self, call: Call) -> Reply:
        body = body_of(call, NEW_RECURRING)
        workspace = self._workspace(body["workspaceId"])
        task: dict[str, Any] = {
            "id": self.world.new_id("motion", "recurring-task"),
            "name": body["name"],
            "creator": self.users[0],
            "assignee": self._user(body["assigneeId"]),
            "workspace": workspace.shown(),
            "status": workspace.status(workspace.default_status),
            "priority": body.get("priority", "MEDIUM"),
            "labels": [],
        }
        self._recurring[task["id"]] = task
        return Reply(201, task)

    def _delete_recurring(self, call: Call, task_id: str) -> Reply:
        query_of(call)
        if self._recurring.pop(task_id, None) is None:
            raise Refusal(404, "Recurring task not found", "Not Found")
        return Reply(204)

    def _apply(self, task: Task, body: dict[str, Any]) -> None:
        """Change a task as a body asks; nothing of it when any part cannot be done."""
        status = body.get("status", task.status)
        task.workspace.status(status)
        labels = cast("list[str]", body.get("labels", task.labels))
        _check_labels(labels, task.workspace)
        project = self._project(body["projectId"], task) if "projectId" in body else task.project
        assignee = self._user(body["assigneeId"]) if "assigneeId" in body else task.assignee
        due = instant(body["dueDate"]) if "dueDate" in body else task.due
        resolved = task.workspace.status(status)["isResolvedStatus"]
        if body.get("autoScheduled") is not None:
            self._check_schedulable(body["autoScheduled"], due, assignee, resolved=resolved)
        task.status, task.project, task.assignee, task.due = status, project, assignee, due
        task.labels, task.name = list(labels), body.get("name", task.name)
        task.priority = body.get("priority", task.priority)
        task.description = body.get("description", task.description)
        task.duration = body.get("duration", task.duration)
        if "autoScheduled" in body:
            # Absent leaves scheduling as it is; null switches it off.
            wanted = cast("dict[str, Any]", body["autoScheduled"] or {})
            task.scheduled = body["autoScheduled"] is not None
            task.start = instant(wanted["startDate"]).date() if "startDate" in wanted else None
            task.deadline = wanted.get("deadlineType", "SOFT")
        self._touch(task)

    def _check_schedulable(
        self,
        wanted: dict[str, Any],
        due: datetime | None,
        assignee: dict[str, Any] | None,
        *,
        resolved: bool,
    ) -> None:
        if due is None:
            raise bad_request("dueDate is required for scheduled tasks")
        if resolved:
            raise bad_request("the status does not allow auto-scheduling")
        other = assignee is not None and assignee is not self.users[0]
        schedule = wanted.get("schedule", "Work Hours")
        if schedule != "Work Hours":
            whose = "another user's" if other else "an unknown"
            raise bad_request(f"schedule {schedule} is {whose}; use Work Hours")

    def _touch(self, task: Task) -> None:
        task.updated = self.world.instant("motion")
        if not task.resolved:
            task.completed = ""
        elif not task.completed:
            task.completed = task.updated
        self._calendar = None

    def _placed(self, task: Task) -> tuple[datetime, datetime] | None:
        if self._calendar is None:
            jobs = [
                Job(t.id, t.duration, t.due, t.start)
                for t in self.tasks.values()
                if t.scheduled and isinstance(t.duration, int) and t.due and not t.resolved
            ]
            zone = ZoneInfo(self.world.seed.timezone)
            self._calendar = place(jobs, self.world.now("motion"), zone)
        return self._calendar.get(task.id)

    def _shown(self, task: Task) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": task.id,
            "name": task.name,
            "description": self.render(task.description),
            "deadlineType": task.deadline,
            "completed": task.resolved,
            "createdTime": task.created,
            "updatedTime": task.updated,
            "creator": self.users[0],
            "workspace": task.workspace.brief(),
            "workspaceId": task.workspace.id,
            "status": task.workspace.status(task.status),
            "priority": task.priority,
            "labels": [{"name": label} for label in task.labels],
            "assignees": [task.assignee] if task.assignee else [],
            "schedulingIssue": False,
        }
        optional = {
            "duration": task.duration,
            "dueDate": show(task.due) if task.due else None,
            "completedTime": task.completed or None,
            "startOn": task.start.isoformat() if task.start else None,
            "project": task.project.shown() if task.project else None,
        }
        shown |= {name: value for name, value in optional.items() if value is not None}
        if placed := self._placed(task):
            begins, ends = placed
            shown |= {"scheduledStart": show(begins), "scheduledEnd": show(ends)}
            shown["schedulingIssue"] = task.due is not None and ends > task.due
        return shown

    def _shown_project(self, project: Project) -> dict[str, Any]:
        times = {"createdTime": project.created, "updatedTime": project.updated}
        return project.shown() | times | {"customFieldValues": {}}

    def _page(
        self, key: str, rows: Sequence[dict[str, Any]] | Sequence[Task], query: dict[str, str]
    ) -> Reply:
        cursor = query.get("cursor", "0")
        if not cursor.isascii() or not cursor.isdigit():
            raise bad_request("cursor is not one of ours")
        start = int(cursor)
        page = [
            self._shown(row) if isinstance(row, Task) else row
            for row in rows[start : start + self.page_size]
        ]
        meta: dict[str, Any] = {"pageSize": self.page_size}
        if start + self.page_size < len(rows):
            meta["nextCursor"] = str(start + self.page_size)
        return Reply(200, {"meta": meta, key: page})

    def _task(self, task_id: str) -> Task:
        if task_id not in self.tasks:
            raise Refusal(404, "Task not found", "Not Found")
        return self.tasks[task_id]

    def _workspace(self, workspace_id: str) -> Workspace:
        for workspace in self.workspaces:
            if workspace.id == workspace_id:
                return workspace
        raise bad_request("workspaceId is none that the token can see")

    def _user(self, user_id: str) -> dict[str, Any]:
        for user in self.users:
            if user["id"] == user_id:
                return user
        raise bad_request("assigneeId is no member of the workspace")

    def _project(self, project_id: str, task: Task) -> Project:
        project = self.projects.get(project_id)
        if project is None or project.workspace is not task.workspace:
            raise bad_request("projectId is no project of the workspace")
        return project


def _check_labels(labels: Sequence[str], workspace: Workspace) -> None:
    missing = [label for label in labels if label not in workspace.labels]
    if missing:
        raise bad_request(*(f"label {label} does not exist in the workspace" for label in missing))


def _marker(description: str) -> str:
    found = _MARKER.findall(description)
    return found[-1] if found else ""


@lru_cache(maxsize=256)
def rendered(markdown: str) -> str:
    """Return GitHub-flavoured Markdown as HTML."""
    from markdown_it import MarkdownIt

    return MarkdownIt("gfm-like", {"linkify": False}).render(markdown).strip()

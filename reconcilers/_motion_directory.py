"""Who and what a Motion account knows: workspaces, people, its time zone, its lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconcilers._motion_fields import (
    Task,
    Workspace,
    items,
    mapping,
    read_status,
    read_task,
    read_workspace,
    text,
    texts,
)
from reconcilers._transport import Transport
from schemas.errors import PermanentError, TemporaryError


class Directory:
    """Reads Motion's lists, and remembers in the connection's lookups what rarely changes.

    Attributes:
        users: by e-mail and by id, both case-folded, the id.
        timezone: the account's, or an empty string while nobody asked.
        projects: by id, the id of the workspace.
        used: ids of the workspaces that something of ours was made in.
        archived: ids of the tasks that an archive resolved, to be told from those people did.
        unmarked: ids of our tasks whose marker people deleted; it comes back with the next write.
    """

    def __init__(self, transport: Transport, lookups: dict[str, object]) -> None:
        self._transport = transport
        self._lookups = lookups
        self.workspaces = [read_workspace(mapping(row)) for row in items(lookups.get("workspaces"))]
        self.users = texts(lookups.get("users"))
        self.timezone = text(lookups.get("timezone"))
        self.projects = texts(lookups.get("projects"))
        self.used = {text(item) for item in items(lookups.get("used"))}
        self.archived = {text(item) for item in items(lookups.get("archived"))}
        self.unmarked = {text(item) for item in items(lookups.get("unmarked"))}

    def find(self, name: object) -> Workspace | None:
        """Return the workspace of that name or id; where none is named, the only one there is."""
        if not name:
            return self.workspaces[0] if len(self.workspaces) == 1 else None
        return next((w for w in self.workspaces if name in (w.name, w.id)), None)

    def workspace(self, name: object) -> Workspace:
        """Return the workspace of that name or id.

        Raises:
            PermanentError: there is none.
        """
        workspace = self.find(name)
        if workspace is None:
            names = ", ".join(sorted(w.name for w in self.workspaces)) or "none"
            raise PermanentError(
                f"there is no workspace `{name}`" if name else "it is not said which workspace",
                platform="motion",
                hint=f"set `workspace` in the Integrations spec; the token sees: {names}",
            )
        return workspace

    def use(self, workspace: Workspace) -> None:
        """Remember that a workspace holds something of ours."""
        self.used.add(workspace.id)
        self._lookups["used"] = sorted(self.used)

    def place(self, project_id: str, workspace: Workspace) -> None:
        """Remember which workspace a project is in."""
        self.projects[project_id] = workspace.id
        self._lookups["projects"] = self.projects

    def mark_archived(self, task_id: str, *, archived: bool) -> None:
        """Remember that a task was put away, or that it is not any more."""
        (self.archived.add if archived else self.archived.discard)(task_id)
        self._lookups["archived"] = sorted(self.archived)

    def note_markers(self, marked: Mapping[str, bool]) -> None:
        """Remember which of these tasks, by id, have their marker."""
        there = {task_id for task_id, has in marked.items() if not has}
        there |= self.unmarked - marked.keys()
        if there != self.unmarked:
            self.unmarked = there
            self._lookups["unmarked"] = sorted(there)

    async def learn_workspaces(self) -> None:
        """Read the workspaces, with their labels and statuses; one request a page."""
        workspaces: list[Workspace] = []
        for row in await self._pages("/v1/workspaces", "workspaces", {}):
            workspace = read_workspace(row)
            if not workspace.statuses:
                listed = await self._pages("/v1/statuses", "", {"workspaceId": workspace.id})
                # One source shows each status wrapped in an object, another one does not.
                statuses = (read_status(s.get("status") or s) for s in listed)
                workspace = replace(workspace, statuses=tuple(s for s in statuses if s))
            workspaces.append(workspace)
        self.workspaces = workspaces
        self._lookups["workspaces"] = [workspace.stored() for workspace in workspaces]

    async def learn_users(self) -> None:
        """Read the people of all workspaces; one request a page."""
        users: dict[str, str] = {}
        for row in await self._pages("/v1/users", "users", {}):
            user_id = text(row.get("id"))
            for name in (user_id, text(row.get("email"))):
                if name:
                    users.setdefault(name.casefold(), user_id)
        self._lookups["users"] = self.users = users

    async def learn_timezone(self) -> None:
        """Read the account's time zone unless it is known; one request."""
        if not self.timezone:
            rows = await self._pages("/v1/schedules", "", {})
            rows.sort(key=lambda row: row.get("isDefaultTimezone") is not True)
            names = [text(row.get("timezone")) for row in rows]
            self.timezone = next((name for name in names if name), "UTC")
            self._lookups["timezone"] = self.timezone

    async def list_projects(self, workspace: Workspace) -> list[Mapping[str, object]]:
        """Return a workspace's projects, oldest first."""
        rows = await self._pages("/v1/projects", "projects", {"workspaceId": workspace.id})
        for row in rows:
            self.place(text(row.get("id")), workspace)
        return sorted(rows, key=lambda row: (text(row.get("createdTime")), text(row.get("id"))))

    async def names(self) -> dict[str, str]:
        """Return the names of people by e-mail address; one request a page."""
        rows = await self._pages("/v1/users", "users", {})
        return {text(row.get("email")): text(row.get("name")) for row in rows if row.get("name")}

    async def list_tasks(
        self, filters: Iterable[Mapping[str, str]], *, closed: bool = True
    ) -> list[Task]:
        """Return the tasks of several lists together, oldest first; done ones if `closed`."""
        tasks: list[Task] = []
        for params in filters:
            everything = {**params, "includeAllStatuses": "true"} if closed else params
            tasks += map(read_task, await self._pages("/v1/tasks", "tasks", everything))
        return sorted(tasks, key=lambda task: (task.created, task.id))

    async def _pages(
        self, path: str, key: str, params: Mapping[str, str]
    ) -> list[Mapping[str, object]]:
        """Return all rows of a list; a bare array, as some lists are, has one page."""
        rows: list[Mapping[str, object]] = []
        cursor = ""
        while True:
            query = {**params, "cursor": cursor} if cursor else dict(params)
            data: object = (await self._transport.read("GET", path, params=query)).data
            page = mapping(data).get(key, data)
            rows += map(mapping, items(page))
            before, cursor = cursor, text(mapping(mapping(data).get("meta")).get("nextCursor"))
            # What is no list must never be taken for an empty one.
            if not isinstance(page, list) or (cursor and cursor == before):
                raise TemporaryError(
                    "the answer is not the list that Motion promises",
                    platform="motion",
                    request=f"GET {path}",
                    hint="run the same command again later; nothing is lost",
                )
            if not cursor:
                return rows

"""Motion's field map: what its API shows and takes, and the same in our words. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from typing import cast
from zoneinfo import ZoneInfo

from reconcilers._contract import Capabilities, Field
from reconcilers._motion_text import marker_in, with_marker
from schemas.domain import Fields, Value

_PRIORITIES = {"urgent": "ASAP", "high": "HIGH", "medium": "MEDIUM", "low": "LOW", "none": "LOW"}
PRIORITIES_READ = {"ASAP": "urgent", "HIGH": "high", "MEDIUM": "medium", "LOW": "low"}

_WELL_KNOWN = {
    "backlog": ("backlog", "icebox", "later"),
    "todo": ("todo", "to do", "to-do", "open", "not started", "planned"),
    "in_progress": ("in progress", "in-progress", "doing", "started"),
    "done": ("completed", "complete", "done", "closed"),
    "canceled": ("canceled", "cancelled", "dropped", "won't do"),
}
_RESOLVED = ("done", "canceled")

FIELDS: tuple[Field, ...] = (
    Field("title", "name"),
    Field("description", "description", note="Markdown in, HTML back", approximate=True),
    Field(
        "status",
        "status",
        note="by name; the nearest one that the workspace has",
        initial=("backlog", "todo"),
    ),
    Field("priority", "priority", note="`none` is LOW", initial=("medium",)),
    Field("owner", "assigneeId", note="by e-mail"),
    Field("start", "autoScheduled.startDate", note="on auto-scheduled tasks only"),
    Field("due", "dueDate", note="end of the day in the owner's time zone; cannot be cleared"),
    Field("estimate", "duration", note="with a due date it turns auto-scheduling on"),
    Field("labels", "labels", note="only those that the workspace has"),
    Field("project", "projectId", note="cannot be cleared"),
    Field("container", "workspaceId"),
    Field("scheduled_start", "scheduledStart", mode="read", note="Motion's scheduler owns it"),
    Field("scheduled_end", "scheduledEnd", mode="read", note="Motion's scheduler owns it"),
    Field("title", "name", ("project",), "create"),
    Field("description", "description", ("project",), "create", approximate=True, note="HTML"),
    Field("priority", "priority", ("project",), "create", observed=False),
    Field("due", "dueDate", ("project",), "create", observed=False),
    Field("labels", "labels", ("project",), "create", observed=False),
    Field("container", "workspaceId", ("project",), "create"),
)

CAPABILITIES = Capabilities(
    actions={
        "project": frozenset({"create", "bind"}),
        "task": frozenset({"create", "bind", "update", "move", "archive", "delete"}),
    },
    fields=FIELDS,
)


@dataclass(frozen=True, slots=True)
class Status:
    """A status of a workspace."""

    name: str
    default: bool = False
    resolved: bool = False

    @property
    def meaning(self) -> str:
        """Our nearest word for it: by its name, else by what Motion says of it."""
        name = self.name.strip().casefold()
        for word, names in _WELL_KNOWN.items():
            if name in names and (word in _RESOLVED) == self.resolved:
                return word
        if self.resolved:
            return "done"
        return "todo" if self.default else "in_progress"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace with what must exist in it before a task can name it."""

    id: str
    name: str
    labels: tuple[str, ...] = ()
    statuses: tuple[Status, ...] = ()

    def status(self, word: Value) -> Status | None:
        """Return the status that is nearest to our `word`; the default one for `None`."""
        exact = [status for status in self.statuses if status.meaning == word]
        near = [status for status in self.statuses if status.resolved == (word in _RESOLVED)]
        first = [status for status in exact or near if status.default]
        return next(iter(first or exact or near), None)

    def stored(self) -> dict[str, object]:
        """Return it as JSON that `read_workspace` reads."""
        statuses = [
            {"name": s.name, "isDefaultStatus": s.default, "isResolvedStatus": s.resolved}
            for s in self.statuses
        ]
        return {
            "id": self.id,
            "name": self.name,
            "labels": list(self.labels),
            "statuses": statuses,
        }


@dataclass(frozen=True, slots=True)
class Task:
    """A task as Motion shows it."""

    id: str
    name: str = ""
    description: str | None = None
    """HTML; `None` where the answer does not tell it."""
    status: Status | None = None
    priority: str = ""
    labels: tuple[str, ...] = ()
    assignees: tuple[tuple[str, str], ...] = ()
    """Id and e-mail of each."""
    due: str = ""
    start: str = ""
    duration: int | None = None
    project_id: str = ""
    workspace: str = ""
    scheduled_start: str = ""
    scheduled_end: str = ""
    created: str = ""
    updated: str = ""

    @property
    def marker(self) -> str:
        """Our UUID, or an empty string where the description has none."""
        return marker_in(self.description or "")

    @property
    def is_resolved(self) -> bool:
        """Whether it is done with, one way or another."""
        return self.status is not None and self.status.resolved


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task is written, with every name already looked up.

    Attributes:
        zone: whose days the task's dates are.
        project_id: of the project that it goes into, or an empty string.
        assignee_id: of its owner, or an empty string where Motion knows no such person.
    """

    workspace: Workspace
    zone: tzinfo = UTC
    project_id: str = ""
    assignee_id: str = ""


def to_remote(
    desired: Fields, names: Collection[str], marker: str, place: Place, base: Fields
) -> tuple[dict[str, object], list[str]]:
    """Return the body that brings the fields called `names` to `desired`, and what it leaves out.

    Args:
        desired: all fields as they are to be afterwards.
        names: the fields to write.
        marker: ends the description.
        place: where the task goes.
        base: the fields as they are now; tells whether auto-scheduling is on.
    """
    # The reference demands name and workspaceId in a PATCH, other clients leave them out.
    body: dict[str, object] = {"name": desired["title"], "workspaceId": place.workspace.id}
    where = f"the Motion workspace `{place.workspace.name}`"
    notes: list[str] = []
    if "description" in names:
        body["description"] = with_marker(desired.get("description"), marker)
    if "priority" in names:
        body["priority"] = _PRIORITIES.get(str(desired.get("priority")), "LOW")
    if "status" in names and (status := place.workspace.status(desired.get("status"))):
        body["status"] = status.name
        if desired.get("status") not in (None, status.meaning):
            notes.append(f"{where} has no status for {desired['status']}: {status.name}")
    if "labels" in names:
        wanted = strings(desired.get("labels"))
        body["labels"] = [label for label in wanted if label in place.workspace.labels]
        notes.extend(
            f"{where} has no label `{label}`, which was left out;"
            " Motion's API cannot make labels, so add it there"
            for label in wanted
            if label not in place.workspace.labels
        )
    if "owner" in names and desired.get("owner") is not None:
        if place.assignee_id:
            body["assigneeId"] = place.assignee_id
        else:
            notes.append(f"Motion knows no `{desired['owner']}`, so nobody is assigned")
    if "project" in names and place.project_id:
        body["projectId"] = place.project_id
    elif "project" in names and base.get("project") and not desired.get("project"):
        notes.append("Motion's API cannot take a task out of its project: it stays there")
    timing, more = _timing(desired, names, place.zone, base)
    return body | timing, notes + more


def _timing(
    desired: Fields, names: Collection[str], zone: tzinfo, base: Fields
) -> tuple[dict[str, object], list[str]]:
    body: dict[str, object] = {}
    notes: list[str] = []
    due, start = desired.get("due"), desired.get("start")
    if "estimate" in names:
        body["duration"] = desired.get("estimate") or "NONE"
    if "due" in names and isinstance(due, str):
        body["dueDate"] = end_of_day(due, zone)
    if "due" in names and due is None and base.get("due"):
        notes.append("Motion's API cannot clear a due date: the task keeps it")
    if is_scheduled(desired):
        if "start" in names or not is_scheduled(base):
            body["autoScheduled"] = {"startDate": midday(str(start), zone)} if start else {}
            body["dueDate"] = end_of_day(str(due), zone)
    else:
        if is_scheduled(base) and not desired.get("estimate"):
            body["autoScheduled"] = None
        if "start" in names and start:
            notes.append(
                "Motion keeps a start date only for a task that is open and has an estimate and"
                " a due date; it was left out"
            )
    return body, notes


def is_scheduled(fields: Fields) -> bool:
    """Return whether a task with these fields is one for Motion's scheduler.

    Motion demands a due date of scheduled tasks; without an estimate there is nothing to place.
    """
    return bool(fields.get("estimate") and fields.get("due")) and (
        fields.get("status") not in _RESOLVED
    )


def end_of_day(day: str, zone: tzinfo) -> str:
    """Return the last second of `day`: a bare midnight in UTC shows a day early in the west."""
    return datetime.combine(date.fromisoformat(day), time(23, 59, 59), zone).isoformat()


def midday(day: str, zone: tzinfo) -> str:
    """Return noon of `day`: Motion cuts it to a day, and noon is the same one in most zones."""
    return datetime.combine(date.fromisoformat(day), time(12), zone).isoformat()


def day_of(instant: str, zones: Sequence[tzinfo]) -> str | None:
    """Return the day that a due instant means, or `None` where it is not an instant.

    It is the day of the first zone in which the instant is the end of one, so that a task keeps
    its due date when somebody in another zone takes it over; else the day in the first zone.
    """
    moment = _moment(instant)
    if moment is None:
        return None
    local = [moment.astimezone(zone) for zone in zones]
    ends = [there for there in local if (there.hour, there.minute) == (23, 59)]
    return (ends or local)[0].date().isoformat()


def in_utc(instant: str) -> str | None:
    """Return an instant in our form, or `None` where it is not one."""
    moment = _moment(instant)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def is_after(updated: str, since: datetime | None) -> bool:
    """Return whether something may have changed after an instant; yes where nobody knows."""
    moment = _moment(updated)
    return since is None or moment is None or moment >= since


def zone_of(name: str) -> tzinfo:
    """Return the zone of that IANA name; UTC where there is none."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ValueError, KeyError, OSError):
        return UTC


def _moment(instant: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(instant)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_task(row: Mapping[str, object]) -> Task:
    """Return a task of the API's answers; what is not there stays empty."""
    duration = row.get("duration")
    users = [mapping(item) for item in items(row.get("assignees"))]
    return Task(
        id=text(row.get("id")),
        name=text(row.get("name")),
        description=text(row["description"]) if "description" in row else None,
        status=read_status(row.get("status")),
        priority=text(row.get("priority")),
        labels=_names(row.get("labels")),
        assignees=tuple((text(user.get("id")), text(user.get("email"))) for user in users),
        due=text(row.get("dueDate")),
        start=text(row.get("startOn")),
        duration=int(duration) if isinstance(duration, int | float) else None,
        project_id=text(mapping(row.get("project")).get("id")),
        workspace=text(mapping(row.get("workspace")).get("name")),
        scheduled_start=text(row.get("scheduledStart")),
        scheduled_end=text(row.get("scheduledEnd")),
        created=text(row.get("createdTime")),
        updated=text(row.get("updatedTime")),
    )


def read_workspace(row: Mapping[str, object]) -> Workspace:
    """Return a workspace of the API's answers, or of our own lookups."""
    statuses = tuple(s for s in map(read_status, items(row.get("statuses"))) if s)
    return Workspace(
        text(row.get("id")), text(row.get("name")), _names(row.get("labels")), statuses
    )


def read_status(value: object) -> Status | None:
    """Return a status, which one source shows as an object and another by its name alone."""
    if isinstance(value, str):
        resolved = any(value.casefold() in _WELL_KNOWN[word] for word in _RESOLVED)
        return Status(value, resolved=resolved)
    row = mapping(value)
    name = text(row.get("name"))
    default, resolved = row.get("isDefaultStatus") is True, row.get("isResolvedStatus") is True
    return Status(name, default, resolved) if name else None


def _names(value: object) -> tuple[str, ...]:
    return tuple(text(item) or text(mapping(item).get("name")) for item in items(value))


def mapping(value: object) -> Mapping[str, object]:
    """Return a JSON object, or an empty one where it is something else."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """Return a JSON array, or an empty one where it is something else."""
    return cast("list[object]", value) if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a JSON string, or an empty one where it is something else."""
    return value if isinstance(value, str) else ""


def texts(value: object) -> dict[str, str]:
    """Return the string members of a JSON object."""
    return {name: item for name, item in mapping(value).items() if isinstance(item, str)}


def strings(value: Value) -> tuple[str, ...]:
    """Return a field that holds several strings; empty where it does not."""
    return value if isinstance(value, tuple) else ()

"""What a Linear workspace holds, and what its mutations do to it.

Rows keep their values under GraphQL's own names; a reference `x` is kept as `xId`. `read` answers
for scalars, references and lists of rows alike, so that filters and queries share one way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from graphql import GraphQLError

from runner.sandbox._world import World

Values: TypeAlias = dict[str, Any]

STATES = (
    ("Triage", "triage"),
    ("Backlog", "backlog"),
    ("Todo", "unstarted"),
    ("In Progress", "started"),
    ("In Review", "started"),
    ("Done", "completed"),
    ("Canceled", "canceled"),
    ("Duplicate", "duplicate"),
)
STATUSES = ("backlog", "planned", "started", "paused", "completed", "canceled")
LABELS = ("Bug", "Feature", "Improvement")
"""What every new workspace has."""

PRIORITY_LABELS = ("No priority", "Urgent", "High", "Medium", "Low")
BATCH = 50
_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_LISTS = {
    ("Team", "states"): ("WorkflowState", "teamId"),
    ("Team", "issues"): ("Issue", "teamId"),
    ("User", "assignedIssues"): ("Issue", "assigneeId"),
    ("Project", "issues"): ("Issue", "projectId"),
    ("Project", "projectMilestones"): ("ProjectMilestone", "projectId"),
    ("Project", "externalLinks"): ("EntityExternalLink", "projectId"),
    ("Project", "comments"): ("Comment", "projectId"),
    ("ProjectMilestone", "issues"): ("Issue", "projectMilestoneId"),
    ("Issue", "children"): ("Issue", "parentId"),
    ("Issue", "attachments"): ("Attachment", "issueId"),
    ("Issue", "relations"): ("IssueRelation", "issueId"),
    ("Issue", "inverseRelations"): ("IssueRelation", "relatedIssueId"),
    ("Issue", "comments"): ("Comment", "issueId"),
}
"""By type and field: the rows that refer back, and by what."""

_REFERRED = {
    ("Issue", "labels"): ("IssueLabel", "labelIds"),
    ("Project", "labels"): ("ProjectLabel", "labelIds"),
    ("Project", "teams"): ("Team", "teamIds"),
    ("Project", "accessibleTeams"): ("Team", "teamIds"),
}
"""By type and field: the rows that are referred to, and under which name."""

_REFERENCES = {
    "state": "WorkflowState",
    "status": "ProjectStatus",
    "assignee": "User",
    "lead": "User",
    "creator": "User",
    "user": "User",
    "team": "Team",
    "project": "Project",
    "projectMilestone": "ProjectMilestone",
    "parent": "Issue",
    "issue": "Issue",
    "relatedIssue": "Issue",
}


class Unmodelled(Exception):
    """The workspace knows nothing of this field."""


def refuse(message: str, shown: str, *, code: str = "INPUT_ERROR") -> NoReturn:
    """Raise Linear's own kind of error; `shown` is the text meant for people."""
    raise GraphQLError(
        message,
        extensions={
            "type": "invalid input",
            "code": code,
            "statusCode": 400,
            "userError": True,
            "userPresentableMessage": shown,
        },
    )


@dataclass(slots=True)
class Row:
    """One object.

    Attributes:
        type: its GraphQL type.
        serial: in which order it was made.
        born: when, in seconds since 1970.
        given: whether the client chose its id.
    """

    type: str
    values: Values
    serial: int
    born: float
    given: bool = False

    @property
    def id(self) -> str:
        """The object's id."""
        return self.values["id"]


@dataclass(slots=True)
class Workspace:
    """All rows, and who asks."""

    world: World
    rows: dict[str, dict[str, Row]] = field(default_factory=dict[str, "dict[str, Row]"])
    _back: dict[tuple[str, str, str], dict[str, Row]] = field(
        default_factory=dict[tuple[str, str, str], "dict[str, Row]"]
    )
    _serial: int = 0
    _numbers: dict[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        """Make what the world's seed names."""
        self.add("Organization", {"name": "Sandbox", "urlKey": "sandbox"})
        for name, email, _ in self.world.seed.people:
            self.add("User", _user(name, email))
        for key in self.world.seed.teams:
            self.add_team(key)
        for place, kind in enumerate(STATUSES):
            self.add("ProjectStatus", _status(kind.title(), kind, place))
        for name in LABELS:
            self.add("IssueLabel", new_label(name))

    def add_team(self, key: str) -> Row:
        """Make a team with states of every type; it estimates on the Fibonacci scale."""
        team = self.add("Team", _team(key))
        for place, (name, kind) in enumerate(STATES):
            self.add("WorkflowState", {**_status(name, kind, place), "teamId": team.id})
        return team

    # Rows

    def add(self, kind: str, values: Mapping[str, Any], given_id: str | None = None) -> Row:
        """Make a row; refuses an id that is taken, in the words of the database."""
        now = self.world.instant("linear")
        self._serial += 1
        object_id = self._id(kind, given_id)
        values = {name: value for name, value in values.items() if name != "id"}
        stamps = {"id": object_id, "createdAt": now, "updatedAt": now, "archivedAt": None}
        row = Row(kind, {**stamps, **values}, self._serial, self.world.clock(), bool(given_id))
        self.rows.setdefault(kind, {})[object_id] = row
        self._index(row, row.values, present=True)
        return row

    def change(self, row: Row, values: Mapping[str, Any]) -> None:
        """Give a row new values, and a new `updatedAt`."""
        self._index(row, values, present=False)
        row.values |= values
        row.values["updatedAt"] = self.world.instant("linear")
        self._index(row, values, present=True)

    def touch(self, *rows: Row) -> None:
        """Let `updatedAt` of the rows tell of a change beside them."""
        for row in rows:
            self.change(row, {})

    def remove(self, row: Row) -> None:
        """Take a row out for good."""
        self._index(row, row.values, present=False)
        del self.rows[row.type][row.id]

    def all(self, kind: str) -> Iterable[Row]:
        """Return all rows of a type."""
        return self.rows.get(kind, {}).values()

    def get(self, kind: str, object_id: object) -> Row:
        """Return a row by its id; refuses when there is none."""
        row = self.rows.get(kind, {}).get(str(object_id))
        if row is None and kind == "Issue":
            row = next((r for r in self.all(kind) if r.values["identifier"] == object_id), None)
        if row is None:
            refuse(f"Entity not found: {kind}", f"Could not find referenced {kind}.")
        return row

    def read(self, row: Row, name: str) -> Any:
        """Return a field: a value, a row, a list of rows, or `None`."""
        if name in row.values:
            return row.values[name]
        if (row.type, name) in _LISTS:
            kind, key = _LISTS[row.type, name]
            return list(self._back.get((kind, key, row.id), {}).values())
        if (row.type, name) in _REFERRED:
            kind, key = _REFERRED[row.type, name]
            return [self.rows[kind][i] for i in row.values[key]]
        if f"{name}Id" in row.values:
            found = row.values[f"{name}Id"]
            return self.rows[_REFERENCES[name]].get(found) if found else None
        return self._derived(row, name)

    def numbered(self, team: Row) -> Values:
        """Return the next number of a team, and what follows from it."""
        number = self._numbers[team.id] = self._numbers.get(team.id, 0) + 1
        return {"number": number, "identifier": f"{team.values['key']}-{number}"}

    def undoing(self, work: Callable[[], list[Row]]) -> list[Row]:
        """Return the rows that `work` makes; none of them stays when it fails."""
        numbers, last = dict(self._numbers), self._serial
        try:
            return work()
        except GraphQLError:
            self._numbers = numbers
            for row in [r for rows in self.rows.values() for r in rows.values()]:
                if row.serial > last:
                    self.remove(row)
            raise

    def _id(self, kind: str, given: str | None) -> str:
        if given is None:
            return self.world.new_id("linear", kind)
        if not _UUID4.fullmatch(given):
            refuse("Argument Validation Error", "id must be a UUID.")
        if given in self.rows.get(kind, {}):
            refuse(
                f"conflict on insert of {kind}", f"Entity {kind} with id {given} already exists."
            )
        return given

    def _index(self, row: Row, values: Mapping[str, Any], *, present: bool) -> None:
        for name in values:
            target = row.values.get(name)
            if name.endswith("Id") and isinstance(target, str):
                index = self._back.setdefault((row.type, name, target), {})
                if present:
                    index[row.id] = row
                else:
                    index.pop(row.id, None)

    def _derived(self, row: Row, name: str) -> Any:
        if row.type == "Organization":
            kinds = {"teams": "Team", "users": "User", "projectStatuses": "ProjectStatus"}
            if name not in kinds:
                raise Unmodelled(name)
            return list(self.all(kinds[name]))
        if row.type == "Team" and name != "organization":
            return self._of_team(row, name)
        values = row.values
        match name:
            case "url":
                workspace: str = self._organization.values["urlKey"]
                return f"https://linear.app/{workspace}{_path(row)}"
            case "priorityLabel":
                return PRIORITY_LABELS[int(values["priority"])]
            case "branchName":
                return f"me/{values['identifier'].lower()}-{_slug(values['title'])}"
            case "isMe":
                return row is self.viewer
            case "organization":
                return self._organization
            case "state":
                return self.read(row, "status").values["type"]
            case _:
                raise Unmodelled(name)

    def _of_team(self, team: Row, name: str) -> Any:
        match name:
            case "labels":
                return [r for r in self.all("IssueLabel") if r.values["teamId"] in {None, team.id}]
            case "projects":
                return [r for r in self.all("Project") if team.id in r.values["teamIds"]]
            case "defaultIssueState":
                return self.state(team, "backlog")
            case "members":
                return list(self.all("User"))
            case _:
                raise Unmodelled(name)

    @property
    def viewer(self) -> Row:
        """The user that the token belongs to."""
        return next(iter(self.all("User")))

    @property
    def _organization(self) -> Row:
        return next(iter(self.all("Organization")))

    def state(self, team: Row, kind: str) -> Row:
        """Return the first state of a type in a team."""
        return next(s for s in self.read(team, "states") if s.values["type"] == kind)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "untitled"


def _path(row: Row) -> str:
    values = row.values
    match row.type:
        case "Issue":
            return f"/issue/{values['identifier']}/{_slug(values['title'])}"
        case "Project":
            return f"/project/{_slug(values['name'])}-{values['slugId']}"
        case "User":
            return f"/profiles/{_slug(values['displayName'])}"
        case _:
            return f"/comment/{values['id'][:8]}"


def _user(name: str, email: str) -> Values:
    return {
        "name": name,
        "displayName": email.partition("@")[0],
        "email": email.lower(),
        "active": True,
        "admin": True,
        "guest": False,
    }


def _team(key: str) -> Values:
    return {
        "key": key,
        "name": key.title(),
        "displayName": key.title(),
        "description": None,
        "timezone": "America/Los_Angeles",
        "issueEstimationType": "fibonacci",
        "issueEstimationExtended": False,
        "issueEstimationAllowZero": False,
    }


def _status(name: str, kind: str, place: int) -> Values:
    return {
        "name": name,
        "type": kind,
        "position": float(place),
        "color": "#bec2c8",
        "description": None,
        "indefinite": False,
    }


def new_label(name: str) -> Values:
    """Return the values of a fresh label of the whole workspace."""
    return {
        "name": name,
        "color": "#5e6ad2",
        "description": None,
        "isGroup": False,
        "teamId": None,
    }

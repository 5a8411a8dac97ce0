"""What the GitLab stand-in holds, and how its API shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from runner.sandbox._gitlab_api import not_found
from runner.sandbox._world import World

AUTOMATIC_COLOR = "#428BCA"
HOST = "https://gitlab.example"
DEFAULT_BRANCH = "main"

_MARKER = re.compile(r"trueup:([0-9a-f-]{36})")
_CODE_OR_COMMAND = re.compile(
    r"(?P<code>^```[^`\n]*\n(?:.*?\n)?```[ \t]*$)"
    r"|^/(?P<command>close|reopen|merge|approve|label|unlabel|estimate|spend|due|assign|title"
    r"|milestone|lock|move|draft|ready)\b[^\n]*\n?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(slots=True)
class Label:
    """A label of a project."""

    id: int
    name: str
    color: str
    description: str | None = None


@dataclass(slots=True)
class Milestone:
    """A milestone of a project."""

    id: int
    iid: int
    title: str
    created_at: str
    updated_at: str
    description: str | None = None
    due_date: str | None = None
    start_date: str | None = None
    state: str = "active"


@dataclass(slots=True)
class Issue:
    """An issue; labels and milestone by id, so that renaming those carries over.

    Attributes:
        mentioned_by: the merge requests that mention it, by global id.
        closed_by: those that close it when they are merged, or have closed it.
        turns: when it was closed or reopened, as `resource_state_events` shows it.
    """

    id: int
    iid: int
    project: int
    title: str
    created_at: str
    updated_at: str
    made: float
    description: str | None = None
    closed_at: str | None = None
    labels: set[int] = field(default_factory=set[int])
    milestone: int | None = None
    due_date: str | None = None
    assignees: list[int] = field(default_factory=list[int])
    confidential: bool = False
    discussion_locked: bool = False
    issue_type: str = "issue"
    weight: int | None = None
    moved_to: int | None = None
    notes: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    mentioned_by: set[int] = field(default_factory=set[int])
    closed_by: set[int] = field(default_factory=set[int])
    turns: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


@dataclass(slots=True)
class Project:
    """A project with what is in it."""

    id: int
    path: str
    labels: dict[int, Label] = field(default_factory=dict[int, Label])
    milestones: dict[int, Milestone] = field(default_factory=dict[int, Milestone])
    issues: dict[int, Issue] = field(default_factory=dict[int, Issue])

    def label(self, name: str) -> Label | None:
        """Return the label of that name."""
        return next((label for label in self.labels.values() if label.name == name), None)


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two issues, by their global ids."""

    id: int
    source: int
    target: int
    type: str
    made_at: str


class Objects:
    """Everything that exists, by project.

    Attributes:
        paid: whether the tier has weights and blocking links.
        may_delete: whether the token's role may delete issues.
    """

    def __init__(
        self, world: World, users: dict[int, dict[str, Any]], projects: dict[int, Project]
    ) -> None:
        self.paid = False
        self.may_delete = True
        self._world = world
        self.users = users
        self.projects = projects
        self.links: dict[int, Link] = {}

    def plain(self) -> list[dict[str, Any]]:
        """Return every label, milestone and issue."""
        return [item for project in self.projects.values() for item in self._objects(project)]

    def _objects(self, project: Project) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [
            _object("label", f"{project.id}~{label.id}", label.name, label.description)
            for label in project.labels.values()
        ]
        for milestone in project.milestones.values():
            name = f"{project.id}%{milestone.id}"
            shown = _object("milestone", name, milestone.title, milestone.description)
            shown.update(archived=milestone.state == "closed", due_date=milestone.due_date)
            found.append(shown)
        for issue in project.issues.values():
            name = f"{project.id}#{issue.iid}"
            shown = _object("issue", name, issue.title, issue.description)
            milestone = project.milestones.get(issue.milestone or 0)
            shown.update(
                archived=issue.closed_at is not None,
                state="closed" if issue.closed_at else "opened",
                labels=sorted(project.labels[label].name for label in issue.labels),
                milestone=milestone.title if milestone else None,
                due_date=issue.due_date,
                assignees=[self.users[user]["username"] for user in issue.assignees],
                weight=issue.weight,
                moved=issue.moved_to is not None,
                links=sorted(f"{kind} {other.title}" for other, kind, _ in self.linked(issue)),
            )
            found.append(shown)
        return found

    def project(self, name: str) -> Project:
        """Return the project of that path or number; refuses the request where there is none."""
        for project in self.projects.values():
            if name in (str(project.id), project.path):
                return project
        raise not_found("Project")

    def find_issue(self, project: str, iid: str) -> Issue:
        """Return the issue of that number; refuses the request where there is none."""
        issues = self.project(project).issues
        if not iid.isdecimal() or int(iid) not in issues:
            raise not_found()
        return issues[int(iid)]

    def relabel(self, home: Project, labels: set[int], asked: Mapping[str, Any]) -> None:
        """Change a set of labels as a request asks for; new names become new labels."""
        if "labels" in asked:
            labels.clear()
        for name in asked.get("remove_labels") or ():
            if label := home.label(name):
                labels.discard(label.id)
        for name in [*(asked.get("labels") or ()), *(asked.get("add_labels") or ())]:
            label = home.label(name) or self.new_label(home, name)
            scope = name.rpartition("::")[0]
            if scope and self.paid:
                labels -= {
                    other
                    for other in labels
                    if home.labels[other].name.rpartition("::")[0] == scope
                }
            labels.add(label.id)

    def new_label(self, home: Project, name: str, color: str = AUTOMATIC_COLOR) -> Label:
        """Make a label of a project."""
        label = Label(self._world.number("gitlab/label") + 300, name, color)
        home.labels[label.id] = label
        return label

    def turn(
        self,
        issue: Issue,
        state: Literal["closed", "reopened"],
        *,
        commit: str | None = None,
        request: int | None = None,
    ) -> None:
        """Close or reopen an issue, unless it is so already, and remember what did it."""
        if (issue.closed_at is not None) == (state == "closed"):
            return
        now = self._world.instant("gitlab")
        issue.closed_at = now if state == "closed" else None
        if commit or request:
            issue.updated_at = now
        issue.turns.append(
            {
                "id": self._world.number("gitlab/state_event"),
                "user": self.user(1),
                "created_at": now,
                "resource_type": "Issue",
                "resource_id": issue.id,
                "source_commit": commit,
                "source_merge_request_id": request,
                "state": state,
            }
        )

    def linked(self, issue: Issue) -> list[tuple[Issue, str, Link]]:
        """Return the issues linked to one, how, and the link."""
        everything = {i.id: i for p in self.projects.values() for i in p.issues.values()}
        found: list[tuple[Issue, str, Link]] = []
        for link in self.links.values():
            if issue.id == link.source:
                found.append((everything[link.target], link.type, link))
            elif issue.id == link.target:
                kind = "is_blocked_by" if link.type == "blocks" else link.type
                found.append((everything[link.source], kind, link))
        return found

    def user(self, number: int) -> dict[str, Any]:
        user = self.users[number]
        return {
            "id": number,
            "username": user["username"],
            "name": user["name"],
            "state": "active",
            "avatar_url": "",
            "web_url": f"{HOST}/{user['username']}",
        }

    def issue(self, issue: Issue) -> dict[str, Any]:
        home = self.projects[issue.project]
        url = f"{HOST}/{home.path}/-/issues/{issue.iid}"
        assignees = [self.user(user) for user in issue.assignees]
        milestone = home.milestones.get(issue.milestone or 0)
        api = f"{HOST}/api/v4/projects/{home.id}"
        shown: dict[str, Any] = {
            "id": issue.id,
            "iid": issue.iid,
            "project_id": home.id,
            "title": issue.title,
            "description": issue.description,
            "state": "closed" if issue.closed_at else "opened",
            "created_at": issue.created_at,
            "updated_at": issue.updated_at,
            "closed_at": issue.closed_at,
            "closed_by": self.user(1) if issue.closed_at else None,
            "labels": sorted(home.labels[label].name for label in issue.labels),
            "milestone": milestone_shown(home, milestone) if milestone else None,
            "assignees": assignees,
            "assignee": assignees[0] if assignees else None,
            "author": self.user(1),
            "type": "ISSUE",
            "issue_type": issue.issue_type,
            "user_notes_count": len(issue.notes),
            "merge_requests_count": len(issue.closed_by),
            "upvotes": 0,
            "downvotes": 0,
            "due_date": issue.due_date,
            "confidential": issue.confidential,
            "discussion_locked": issue.discussion_locked,
            "web_url": url,
            "time_stats": {
                "time_estimate": 0,
                "total_time_spent": 0,
                "human_time_estimate": None,
                "human_total_time_spent": None,
            },
            "task_completion_status": {"count": 0, "completed_count": 0},
            "has_tasks": False,
            "task_status": "0 of 0 checklist items completed",
            "_links": {
                "self": f"{api}/issues/{issue.iid}",
                "notes": f"{api}/issues/{issue.iid}/notes",
                "award_emoji": f"{api}/issues/{issue.iid}/award_emoji",
                "project": api,
            },
            "references": {
                "short": f"#{issue.iid}",
                "relative": f"#{issue.iid}",
                "full": f"{home.path}#{issue.iid}",
            },
            "subscribed": True,
            "moved_to_id": issue.moved_to,
            "service_desk_reply_to": None,
        }
        return {**shown, "weight": issue.weight} if self.paid else shown


def assign(target: object, asked: Mapping[str, Any], names: Sequence[str]) -> None:
    """Set those attributes that a request gives."""
    for name in names:
        if name in asked:
            setattr(target, name, asked[name])


def label_shown(label: Label) -> dict[str, Any]:
    return {
        "id": label.id,
        "name": label.name,
        "color": label.color,
        "text_color": "#FFFFFF",
        "description": label.description,
        "description_html": label.description or "",
        "open_issues_count": 0,
        "closed_issues_count": 0,
        "open_merge_requests_count": 0,
        "subscribed": False,
        "priority": None,
        "is_project_label": True,
    }


def project_shown(project: Project) -> dict[str, Any]:
    namespace, _, path = project.path.rpartition("/")
    return {
        "id": project.id,
        "name": path,
        "path": path,
        "path_with_namespace": project.path,
        "name_with_namespace": f"{namespace} / {path}",
        "description": None,
        "default_branch": DEFAULT_BRANCH,
        "visibility": "private",
        "archived": False,
        "issues_enabled": True,
        "web_url": f"{HOST}/{project.path}",
    }


def milestone_shown(home: Project, milestone: Milestone) -> dict[str, Any]:
    return {
        "id": milestone.id,
        "iid": milestone.iid,
        "project_id": home.id,
        "title": milestone.title,
        "description": milestone.description,
        "state": milestone.state,
        "created_at": milestone.created_at,
        "updated_at": milestone.updated_at,
        "due_date": milestone.due_date,
        "start_date": milestone.start_date,
        "expired": False,
        "web_url": f"{HOST}/{home.path}/-/milestones/{milestone.iid}",
    }


def _object(kind: str, name: str, title: str, description: str | None) -> dict[str, Any]:
    marker = _MARKER.findall(description or "")
    return {
        "kind": kind,
        "id": name,
        "title": title,
        "marker": marker[-1] if marker else "",
        "archived": False,
        "description": description,
    }


def without_commands(text: str) -> tuple[str, set[str]]:
    """Take quick actions out of a text; returns the rest, and which there were."""
    commands = {match["command"] for match in _CODE_OR_COMMAND.finditer(text) if match["command"]}
    return _CODE_OR_COMMAND.sub(lambda match: match["code"] or "", text), commands


def sanitized(text: str | None) -> str | None:
    """Return a label's description as GitLab keeps it: without tags and comments."""
    return re.sub(r"<!--.*?-->|</?[A-Za-z][^>]*>", "", text) if text else text

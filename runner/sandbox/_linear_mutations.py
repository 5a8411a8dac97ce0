"""Linear's mutations: each takes the arguments of its field and returns the payload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runner.sandbox._linear_workspace import BATCH, Row, Values, Workspace, new_label, refuse

_TARGETS = {
    "assigneeId": "User",
    "leadId": "User",
    "stateId": "WorkflowState",
    "statusId": "ProjectStatus",
    "teamId": "Team",
    "parentId": "Issue",
    "projectId": "Project",
    "projectMilestoneId": "ProjectMilestone",
}
_TITLE, _NAME = "title", "name"
_STAMPS = {"started": "startedAt", "completed": "completedAt", "canceled": "canceledAt"}
_NEW_ISSUE: Values = {
    "title": "",
    "description": None,
    "priority": 0,
    "estimate": None,
    "dueDate": None,
    "sortOrder": 0.0,
    "assigneeId": None,
    "projectId": None,
    "projectMilestoneId": None,
    "parentId": None,
    "labelIds": [],
    "previousIdentifiers": [],
    "trashed": None,
    "autoArchivedAt": None,
    "startedAt": None,
    "completedAt": None,
    "canceledAt": None,
}
_NEW_PROJECT: Values = {
    "description": "",
    "content": None,
    "color": "#bec2c8",
    "icon": None,
    "priority": 0,
    "startDate": None,
    "targetDate": None,
    "leadId": None,
    "labelIds": [],
    "trashed": None,
    "autoArchivedAt": None,
}


class Mutations:
    """The root of every mutation."""

    def __init__(self, workspace: Workspace) -> None:
        self.home = workspace
        self.fields: Mapping[str, Callable[[Values], Values]] = {
            "issueCreate": lambda a: _done(issue=self._new_issue(a["input"])),
            "issueBatchCreate": self._issue_batch_create,
            "issueUpdate": self._issue_update,
            "issueArchive": lambda a: self._archive("Issue", a["id"], trash=a.get("trash")),
            "issueUnarchive": lambda a: self._unarchive("Issue", a["id"]),
            "issueDelete": self._issue_delete,
            "issueRelationCreate": self._relation_create,
            "issueRelationDelete": self._relation_delete,
            "issueLabelCreate": lambda a: _done(issueLabel=self._label("IssueLabel", a["input"])),
            "projectCreate": self._project_create,
            "projectUpdate": self._project_update,
            "projectDelete": lambda a: self._archive("Project", a["id"], trash=True),
            "projectUnarchive": lambda a: self._unarchive("Project", a["id"]),
            "projectLabelCreate": lambda a: _done(
                projectLabel=self._label("ProjectLabel", a["input"])
            ),
            "projectMilestoneCreate": self._milestone_create,
            "projectMilestoneUpdate": self._milestone_update,
            "projectMilestoneDelete": self._milestone_delete,
            "attachmentCreate": self._attachment_create,
            "attachmentDelete": lambda a: self._detach("Attachment", a["id"]),
            "entityExternalLinkCreate": self._link_create,
            "entityExternalLinkUpdate": self._link_update,
            "entityExternalLinkDelete": lambda a: self._detach("EntityExternalLink", a["id"]),
            "commentCreate": self._comment_create,
        }

    # Issues

    def _issue_batch_create(self, arguments: Values) -> Values:
        given: list[Values] = arguments["input"]["issues"]
        if not 0 < len(given) <= BATCH:
            refuse("Argument Validation Error", f"issues must contain 1 to {BATCH} items.")
        rows = self.home.undoing(lambda: [self._new_issue(item) for item in given])
        return _done(issues=rows)

    def _new_issue(self, given: Values) -> Row:
        team = self.home.get("Team", given["teamId"])
        start = {"stateId": self.home.state(team, "backlog").id, "creatorId": self.home.viewer.id}
        values = {**_NEW_ISSUE, **start, **given}
        self._check_issue(values, values)
        values |= {"description": _markdown(values["description"]), **self._stamps(values)}
        row = self.home.add("Issue", values, values.get("id"))
        row.values |= self.home.numbered(team)
        return row

    def _issue_update(self, arguments: Values) -> Values:
        row = self.home.get("Issue", arguments["id"])
        given = dict(arguments["input"])
        labels: list[str] = given.pop("labelIds", row.values["labelIds"])
        added, removed = given.pop("addedLabelIds", []), given.pop("removedLabelIds", [])
        given["labelIds"] = [i for i in dict.fromkeys([*labels, *added]) if i not in removed]
        if "description" in given:
            given["description"] = _markdown(given["description"])
        if "trashed" in given:
            given["archivedAt"] = self.home.world.instant("linear") if given["trashed"] else None
        if given.get("teamId", row.values["teamId"]) != row.values["teamId"]:
            given = {**self._moved(row, self.home.get("Team", given["teamId"])), **given}
        after = {**row.values, **given}
        self._check_issue(given, after)
        self.home.change(row, {**given, **(self._stamps(after) if "stateId" in given else {})})
        return _done(issue=row)

    def _moved(self, row: Row, team: Row) -> Values:
        """Return what else changes when an issue goes to another team."""
        kind = self.home.read(row, "state").values["type"]
        return {
            "stateId": self.home.state(team, kind).id,
            "previousIdentifiers": [*row.values["previousIdentifiers"], row.values["identifier"]],
            **self.home.numbered(team),
        }

    def _check_issue(self, given: Values, after: Values) -> None:
        self._check(given, _TITLE, required=("title", "teamId", "stateId"))
        team = after["teamId"]
        if self.home.get("WorkflowState", after["stateId"]).values["teamId"] != team:
            refuse("Discrepancy between issue and state team", "The state is of another team.")
        for label_id in after["labelIds"]:
            label = self.home.get("IssueLabel", label_id)
            if label.values["isGroup"] or label.values["teamId"] not in {None, team}:
                refuse("Label not applicable", "The label cannot be put on issues of this team.")
        project = after["projectId"] and self.home.get("Project", after["projectId"])
        if project and team not in project.values["teamIds"]:
            refuse("Discrepancy between issue and project team", "The project is of other teams.")
        milestone = after["projectMilestoneId"]
        if milestone and (
            self.home.get("ProjectMilestone", milestone).values["projectId"] != after["projectId"]
        ):
            refuse(
                "Discrepancy between project and milestone", "The milestone is of another project."
            )
        parent = after["parentId"]
        while parent:
            if parent == after.get("id"):
                refuse("Parent circle", "An issue cannot be its own ancestor.")
            parent = self.home.get("Issue", parent).values["parentId"]

    def _stamps(self, values: Values) -> Values:
        kind = self.home.get("WorkflowState", values["stateId"]).values["type"]
        now = self.home.world.instant("linear")
        return {name: now if kind == of else None for of, name in _STAMPS.items()}

    def _issue_delete(self, arguments: Values) -> Values:
        if not arguments.get("permanentlyDelete"):
            return self._archive("Issue", arguments["id"], trash=True)
        row = self.home.get("Issue", arguments["id"])
        for name in ("relations", "inverseRelations", "attachments", "comments"):
            for beside in self.home.read(row, name):
                self.home.remove(beside)
        self.home.remove(row)
        return _done(entity=None)

    # Projects and milestones

    def _project_create(self, arguments: Values) -> Values:
        given: Values = dict(arguments["input"])
        status = next(r for r in self.home.all("ProjectStatus") if r.values["type"] == "backlog")
        start = {"statusId": status.id, "creatorId": self.home.viewer.id}
        values = {**_NEW_PROJECT, **start, **given}
        self._check_project(values)
        values["content"] = _markdown(values["content"])
        values["slugId"] = f"{self.home.world.number('linear/slug'):012x}"
        return _done(project=self.home.add("Project", values, values.get("id")))

    def _project_update(self, arguments: Values) -> Values:
        row = self.home.get("Project", arguments["id"])
        given = dict(arguments["input"])
        self._check_project(given)
        if "content" in given:
            given["content"] = _markdown(given["content"])
        if "trashed" in given:
            given["archivedAt"] = self.home.world.instant("linear") if given["trashed"] else None
        self.home.change(row, given)
        return _done(project=row)

    def _check_project(self, given: Values) -> None:
        self._check(given, _NAME, required=("name", "statusId", "teamIds"))
        if len(given.get("description") or "") > 255:
            refuse("Argument Validation Error", "description must be at most 255 characters.")
        for team_id in given.get("teamIds", ()):
            self.home.get("Team", team_id)
        for label_id in given.get("labelIds") or ():
            if self.home.get("ProjectLabel", label_id).values["isGroup"]:
                refuse("Label not applicable", "A group of labels cannot be put on a project.")

    def _milestone_create(self, arguments: Values) -> Values:
        given: Values = {"description": None, "targetDate": None, "sortOrder": 0.0}
        given |= arguments["input"]
        self._check(given, _NAME, required=("name", "projectId"))
        given["description"] = _markdown(given["description"])
        row = self.home.add("ProjectMilestone", given, given.get("id"))
        return _done(projectMilestone=row)

    def _milestone_update(self, arguments: Values) -> Values:
        row = self.home.get("ProjectMilestone", arguments["id"])
        given = dict(arguments["input"])
        self._check(given, _NAME, required=("name", "projectId"))
        if "description" in given:
            given["description"] = _markdown(given["description"])
        self.home.change(row, given)
        return _done(projectMilestone=row)

    def _milestone_delete(self, arguments: Values) -> Values:
        row = self.home.get("ProjectMilestone", arguments["id"])
        for issue in self.home.read(row, "issues"):
            self.home.change(issue, {"projectMilestoneId": None})
        self.home.remove(row)
        return _done(entityId=row.id)

    # What stands beside issues and projects

    def _label(self, kind: str, given: Values) -> Row:
        self._check(given, _NAME, required=("name",))
        team = given.get("teamId")
        for row in self.home.all(kind):
            if row.values["name"].lower() == given["name"].lower() and (
                row.values["teamId"] in {None, team} or team is None
            ):
                refuse("Duplicate label name", "There is a label with this name.")
        return self.home.add(kind, {**new_label(given["name"]), **given}, given.get("id"))

    def _relation_create(self, arguments: Values) -> Values:
        given: Values = arguments["input"]
        ends = [self.home.get("Issue", given[end]) for end in ("issueId", "relatedIssueId")]
        if ends[0] is ends[1]:
            refuse("Argument Validation Error", "An issue cannot be related to itself.")
        row = self.home.add("IssueRelation", given, given.get("id"))
        self.home.touch(*ends)
        return _done(issueRelation=row)

    def _relation_delete(self, arguments: Values) -> Values:
        row = self.home.get("IssueRelation", arguments["id"])
        self.home.remove(row)
        self.home.touch(*(self.home.read(row, end) for end in ("issue", "relatedIssue")))
        return _done(entityId=row.id)

    def _attachment_create(self, arguments: Values) -> Values:
        given: Values = {"subtitle": None, "metadata": {}, **arguments["input"]}
        issue = self.home.get("Issue", given["issueId"])
        given["issueId"] = issue.id
        same = [r for r in self.home.read(issue, "attachments") if r.values["url"] == given["url"]]
        if same:
            self.home.change(same[0], {k: v for k, v in given.items() if k != "id"})
            row = same[0]
        else:
            beside = {"sourceType": "unknown", "creatorId": self.home.viewer.id}
            row = self.home.add("Attachment", {**beside, **given}, given.get("id"))
        self.home.touch(issue)
        return _done(attachment=row)

    def _link_create(self, arguments: Values) -> Values:
        given: Values = {"sortOrder": 0.0, **arguments["input"]}
        project = self.home.get("Project", given.get("projectId"))
        given["creatorId"] = self.home.viewer.id
        row = self.home.add("EntityExternalLink", given, given.get("id"))
        self.home.touch(project)
        return _done(entityExternalLink=row)

    def _link_update(self, arguments: Values) -> Values:
        row = self.home.get("EntityExternalLink", arguments["id"])
        self.home.change(row, arguments["input"])
        self.home.touch(self.home.read(row, "project"))
        return _done(entityExternalLink=row)

    def _detach(self, kind: str, object_id: str) -> Values:
        row = self.home.get(kind, object_id)
        self.home.remove(row)
        self.home.touch(self.home.read(row, "issue" if kind == "Attachment" else "project"))
        return _done(entityId=row.id)

    def _comment_create(self, arguments: Values) -> Values:
        given: Values = {"issueId": None, "projectId": None, "body": "", **arguments["input"]}
        if not given["body"]:
            refuse("Argument Validation Error", "body must not be empty.")
        kind = "Issue" if given["issueId"] else "Project"
        about = self.home.get(kind, given["issueId"] or given["projectId"])
        given |= {
            "userId": self.home.viewer.id,
            "issueId" if kind == "Issue" else "projectId": about.id,
        }
        row = self.home.add("Comment", given, given.get("id"))
        self.home.touch(about)
        return _done(comment=row)

    # What they share

    def _archive(self, kind: str, object_id: str, *, trash: bool | None) -> Values:
        row = self.home.get(kind, object_id)
        now = self.home.world.instant("linear")
        stamp = row.values["archivedAt"] or now
        trashed = True if trash else row.values["trashed"]
        self.home.change(row, {"archivedAt": stamp, "trashed": trashed})
        return _done(entity=row)

    def _unarchive(self, kind: str, object_id: str) -> Values:
        row = self.home.get(kind, object_id)
        self.home.change(row, {"archivedAt": None, "autoArchivedAt": None, "trashed": None})
        return _done(entity=row)

    def _check(self, given: Values, name: str, *, required: tuple[str, ...]) -> None:
        for key in required:
            if key in given and not given[key]:
                refuse("Argument Validation Error", f"{key} must not be empty.")
        if len(given.get(name) or "") > 512:
            refuse("Argument Validation Error", f"{name} is too long.")
        if given.get("priority", 0) not in range(5):
            refuse("Argument Validation Error", "priority must be between 0 and 4.")
        if (given.get("estimate") or 0) < 0:
            refuse("Argument Validation Error", "estimate must not be negative.")
        for key, kind in _TARGETS.items():
            if given.get(key):
                given[key] = self.home.get(kind, given[key]).id


def _done(**told: Any) -> Values:
    return {"success": True, "lastSyncId": 1.0, **told}


def _markdown(text: str | None) -> str | None:
    """Return a document as Linear gives it back: without white space at its end."""
    return text.rstrip() if text else None

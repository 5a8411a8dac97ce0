"""A stand-in for GitLab: projects, labels, milestones, issues, their links and notes.

It behaves like GitLab Free; `paid` makes it a Premium one, with weights, blocking links and
scoped labels that exclude each other. `may_delete` is whether the token's role may delete issues.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import unquote

from runner.sandbox._gitlab_api import (
    ISSUE,
    ISSUE_FILTERS,
    LABEL,
    MILESTONE,
    PAGING,
    Accepts,
    Refused,
    error,
    not_found,
    page_of,
    parameters,
    refused,
)
from runner.sandbox._gitlab_objects import (
    Issue,
    Label,
    Link,
    Milestone,
    Objects,
    Project,
    label_shown,
    milestone_shown,
    project_shown,
    sanitized,
    without_commands,
)
from runner.sandbox._platform import Call, Reply
from runner.sandbox._world import TOKENS, Gate, World

VERSION = "18.6.1-ee"
AUTOMATIC_COLOR = "#428BCA"

Handler = Callable[..., Reply]


class GitlabStandIn:
    """See `runner.sandbox._platform.StandIn`."""

    platform: ClassVar[str] = "gitlab"

    def __init__(self, world: World) -> None:
        self.world = world
        self.may_delete = True
        users = {
            number: {"id": number, "username": username, "name": name, "public_email": email}
            for number, (name, email, username) in enumerate(world.seed.people, 1)
        }
        paths = enumerate(world.seed.projects, 101)
        self.there = Objects(users, {number: Project(number, path) for number, path in paths})
        # gitlab.com: docs.gitlab.com/user/gitlab_com (verified 2026-11-24).
        self._gates = {
            "api": Gate(2000, 60.0),
            "issues": Gate(200, 60.0),
            "notes": Gate(60, 60.0),
        }
        self._routes = [(method, re.compile(path), handler) for method, path, handler in _ROUTES]

    def writes(self, call: Call) -> bool:
        """Return whether the call would change something."""
        return call.method not in {"GET", "HEAD"}

    def handle(self, call: Call) -> Reply:
        """Carry the call out."""
        try:
            headers = self._admit(call)
            reply = self._dispatch(call)
        except Refused as refusal:
            return refusal.reply
        return Reply(reply.status, reply.data, {**reply.headers, **headers})

    def rate_limited(self, seconds: float) -> Reply:
        """Return the answer to one request too many."""
        said = "This endpoint has been requested too many times. Try again later."
        headers = {"retry-after": f"{seconds:g}"}
        return Reply(429, {"message": {"error": said}}, headers)

    @property
    def paid(self) -> bool:
        """Whether the tier is a paid one."""
        return self.there.paid

    @paid.setter
    def paid(self, paid: bool) -> None:
        self.there.paid = paid

    def objects(self) -> list[dict[str, Any]]:
        """Return every label, milestone and issue."""
        return self.there.plain()

    def _admit(self, call: Call) -> dict[str, str]:
        token = call.headers.get("private-token") or call.headers.get(
            "authorization", ""
        ).removeprefix("Bearer ")
        if token != TOKENS["gitlab"]:
            raise refused(401, "401 Unauthorized")
        if not self.world.limits:
            return {}
        now = self.world.clock()
        gate = self._gates["api"]
        names = ["api"]
        if call.method == "POST" and re.search(r"/(issues|notes)$", call.path):
            names.append(call.path.rsplit("/", 1)[1])
        for name in names:
            if (wait := self._gates[name].admit(now)) > 0:
                raise Refused(self.rate_limited(math.ceil(wait)))
        return {
            "ratelimit-limit": str(gate.limit),
            "ratelimit-remaining": str(gate.remaining()),
            "ratelimit-reset": str(int(gate.reset_at(now)) + 1),
            "ratelimit-name": "throttle_authenticated_api",
        }

    def _dispatch(self, call: Call) -> Reply:
        known = False
        for method, path, handler in self._routes:
            if match := path.fullmatch(call.path):
                known = True
                if method == call.method:
                    return handler(self, call, *(unquote(part) for part in match.groups()))
        if known:
            raise error(405, "405 Not Allowed")
        raise error(404, "404 Not Found")

    # People and projects

    def version(self, _call: Call) -> Reply:
        """`GET /version`, `GET /metadata`."""
        return Reply(200, {"version": VERSION, "revision": "a1b2c3d4e5f", "enterprise": True})

    def me(self, _call: Call) -> Reply:
        """`GET /user`."""
        return Reply(200, {**self.there.user(1), "email": self.there.users[1]["public_email"]})

    def list_users(self, call: Call) -> Reply:
        """`GET /users`."""
        asked = parameters(call, {**PAGING, "username": "text", "search": "text"})
        name = asked.get("username")
        found = [u for u in self.there.users if not name or self.there.users[u]["username"] == name]
        return page_of(call, [self.there.user(user) for user in found], asked)

    def list_members(self, call: Call, project: str) -> Reply:
        """`GET /projects/:id/members/all`."""
        asked = parameters(call, {**PAGING, "query": "text", "user_ids": "numbers"})
        self._project(project)
        query = (asked.get("query") or "").lower()
        members = [
            {**self.there.user(user), "access_level": 50, "public_email": about["public_email"]}
            for user, about in self.there.users.items()
            if query in f"{about['username']} {about['name']}".lower()
        ]
        return page_of(call, members, asked)

    def get_project(self, _call: Call, project: str) -> Reply:
        """`GET /projects/:id`."""
        return Reply(200, project_shown(self._project(project)))

    def list_projects(self, call: Call) -> Reply:
        """`GET /projects`."""
        asked = parameters(call, {**PAGING, "search": "text", "membership": "flag"})
        query = asked.get("search") or ""
        found = [project_shown(p) for p in self.there.projects.values() if query in p.path]
        return page_of(call, found, asked)

    # Labels

    def list_labels(self, call: Call, project: str) -> Reply:
        """`GET /projects/:id/labels`."""
        asked = parameters(call, {**PAGING, "search": "text", "with_counts": "flag"})
        query = (asked.get("search") or "").lower()
        found = [
            label_shown(label)
            for label in sorted(self._project(project).labels.values(), key=lambda x: x.name)
            if query in f"{label.name}\n{label.description or ''}".lower()
        ]
        return page_of(call, found, asked)

    def create_label(self, call: Call, project: str) -> Reply:
        """`POST /projects/:id/labels`."""
        asked = parameters(call, LABEL, ["name", "color"])
        home = self._project(project)
        if home.label(asked["name"]):
            raise refused(409, "Label already exists")
        label = self._new_label(home, asked["name"], asked["color"])
        label.description = sanitized(asked.get("description"))
        return Reply(201, label_shown(label))

    def get_label(self, _call: Call, project: str, name: str) -> Reply:
        """`GET /projects/:id/labels/:label_id`."""
        return Reply(200, label_shown(self._find_label(project, name)))

    def update_label(self, call: Call, project: str, name: str = "") -> Reply:
        """`PUT /projects/:id/labels/:label_id`, or its older form with the name in the body."""
        asked = parameters(call, LABEL, [] if name else ["name"])
        label = self._find_label(project, name or asked["name"])
        if not asked.keys() - {"name"}:
            missing = "new_name, color, description, priority are missing"
            raise error(400, f"{missing}, at least one parameter must be provided")
        if renamed := asked.get("new_name"):
            other = self._project(project).label(renamed)
            if other and other is not label:
                raise refused(400, {"title": ["has already been taken"]})
            label.name = renamed
        label.color = asked.get("color") or label.color
        label.description = sanitized(asked.get("description")) or label.description
        return Reply(200, label_shown(label))

    def delete_label(self, _call: Call, project: str, name: str) -> Reply:
        """`DELETE /projects/:id/labels/:label_id`."""
        home, label = self._project(project), self._find_label(project, name)
        del home.labels[label.id]
        for issue in home.issues.values():
            issue.labels.discard(label.id)
        return Reply(204)

    # Milestones

    def list_milestones(self, call: Call, project: str) -> Reply:
        """`GET /projects/:id/milestones`."""
        filters: Accepts = {
            **PAGING,
            "state": ("active", "closed"),
            "search": "text",
            "title": "text",
            "iids": "numbers",
        }
        asked = parameters(call, filters)
        home = self._project(project)
        found = [
            milestone_shown(home, milestone)
            for milestone in reversed(home.milestones.values())
            if asked.get("state") in (None, milestone.state)
            and asked.get("title") in (None, milestone.title)
            and (not asked.get("iids") or milestone.iid in asked["iids"])
            and (asked.get("search") or "") in f"{milestone.title}\n{milestone.description}"
        ]
        return page_of(call, found, asked)

    def create_milestone(self, call: Call, project: str) -> Reply:
        """`POST /projects/:id/milestones`."""
        asked = parameters(call, MILESTONE, ["title"])
        home = self._project(project)
        _check_title(home, asked["title"], None)
        number = self.world.number("gitlab/milestone") + 900
        now = self.world.instant("gitlab")
        milestone = Milestone(number, len(home.milestones) + 1, asked.pop("title"), now, now)
        home.milestones[number] = milestone
        _assign(milestone, asked, ("description", "due_date", "start_date"))
        return Reply(201, milestone_shown(home, milestone))

    def get_milestone(self, _call: Call, project: str, number: str) -> Reply:
        """`GET /projects/:id/milestones/:milestone_id`."""
        home = self._project(project)
        return Reply(200, milestone_shown(home, _milestone(home, number)))

    def update_milestone(self, call: Call, project: str, number: str) -> Reply:
        """`PUT /projects/:id/milestones/:milestone_id`."""
        asked = parameters(call, MILESTONE)
        home = self._project(project)
        milestone = _milestone(home, number)
        if "title" in asked:
            _check_title(home, asked["title"] or "", milestone)
        before = milestone_shown(home, milestone)
        _assign(milestone, asked, ("title", "description", "due_date", "start_date"))
        if event := asked.get("state_event"):
            milestone.state = "closed" if event == "close" else "active"
        if milestone_shown(home, milestone) != before:
            milestone.updated_at = self.world.instant("gitlab")
        return Reply(200, milestone_shown(home, milestone))

    def delete_milestone(self, _call: Call, project: str, number: str) -> Reply:
        """`DELETE /projects/:id/milestones/:milestone_id`."""
        home = self._project(project)
        gone = _milestone(home, number).id
        del home.milestones[gone]
        for issue in home.issues.values():
            issue.milestone = None if issue.milestone == gone else issue.milestone
        return Reply(204)

    # Issues

    def list_issues(self, call: Call, project: str) -> Reply:
        """`GET /projects/:id/issues`."""
        asked = parameters(call, ISSUE_FILTERS)
        home = self._project(project)
        order = asked.get("order_by") or "created_at"
        found = [i for i in home.issues.values() if self._matches(home, i, asked)]
        found.sort(
            key=lambda issue: (str(getattr(issue, order) or ""), issue.id),
            reverse=(asked.get("sort") or "desc") == "desc",
        )
        return page_of(call, [self.there.issue(issue) for issue in found], asked)

    def create_issue(self, call: Call, project: str) -> Reply:
        """`POST /projects/:id/issues`."""
        asked = parameters(call, {**ISSUE, "iid": "number"}, ["title"])
        home = self._project(project)
        number, now = self.world.number("gitlab/issue"), self.world.instant("gitlab")
        iid = max(home.issues, default=0) + 1
        made = self.world.clock()
        issue = Issue(number + 5000, iid, home.id, "", now, now, made=made)
        self._change_issue(home, issue, asked)
        home.issues[issue.iid] = issue
        return Reply(201, self.there.issue(issue))

    def get_issue(self, _call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/issues/:issue_iid`."""
        return Reply(200, self.there.issue(self._find_issue(project, iid)))

    def update_issue(self, call: Call, project: str, iid: str) -> Reply:
        """`PUT /projects/:id/issues/:issue_iid`."""
        accepts: Accepts = {**ISSUE, "state_event": ("close", "reopen"), "updated_at": "instant"}
        asked = parameters(call, accepts)
        issue = self._find_issue(project, iid)
        if not asked:
            raise error(400, "at least one parameter must be provided")
        before = self.there.issue(issue)
        self._change_issue(self.there.projects[issue.project], issue, asked)
        if self.there.issue(issue) != before:
            issue.updated_at = self.world.instant("gitlab")
        return Reply(200, self.there.issue(issue))

    def delete_issue(self, _call: Call, project: str, iid: str) -> Reply:
        """`DELETE /projects/:id/issues/:issue_iid`."""
        issue = self._find_issue(project, iid)
        if not self.may_delete:
            raise refused(403, "403 Forbidden")
        del self.there.projects[issue.project].issues[issue.iid]
        self.there.links = {
            number: link
            for number, link in self.there.links.items()
            if issue.id not in {link.source, link.target}
        }
        return Reply(204)

    def move_issue(self, call: Call, project: str, iid: str) -> Reply:
        """`POST /projects/:id/issues/:issue_iid/move`."""
        asked = parameters(call, {"to_project_id": "number"}, ["to_project_id"])
        issue = self._find_issue(project, iid)
        home, target = (
            self.there.projects[issue.project],
            self._project(str(asked["to_project_id"])),
        )
        if issue.moved_to or target is home:
            raise refused(400, "Cannot move issue to project it originates from!")
        now = self.world.instant("gitlab")
        moved = replace(
            issue,
            id=self.world.number("gitlab/issue") + 5000,
            iid=max(target.issues, default=0) + 1,
            project=target.id,
            updated_at=now,
            made=self.world.clock(),
            labels=set(),
            notes={},
        )
        # Only labels and milestones that the target has under the same title come along.
        for label in issue.labels:
            same = target.label(home.labels[label].name)
            moved.labels |= {same.id} if same else set()
        title = home.milestones[issue.milestone].title if issue.milestone else None
        same_title = [m.id for m in target.milestones.values() if m.title == title]
        moved.milestone = same_title[0] if same_title else None
        target.issues[moved.iid] = moved
        issue.moved_to, issue.closed_at, issue.updated_at = moved.id, now, now
        for number, link in self.there.links.items():
            ends = {issue.id: moved.id}
            self.there.links[number] = replace(
                link,
                source=ends.get(link.source, link.source),
                target=ends.get(link.target, link.target),
            )
        return Reply(201, self.there.issue(moved))

    # Links and notes of issues

    def list_links(self, _call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/issues/:issue_iid/links`."""
        issue = self._find_issue(project, iid)
        shown = [
            {
                **self.there.issue(other),
                "issue_link_id": link.id,
                "link_type": kind,
                "link_created_at": link.made_at,
                "link_updated_at": link.made_at,
            }
            for other, kind, link in self.there.linked(issue)
        ]
        return Reply(200, shown)

    def create_link(self, call: Call, project: str, iid: str) -> Reply:
        """`POST /projects/:id/issues/:issue_iid/links`."""
        accepts: Accepts = {
            "target_project_id": "id",
            "target_issue_iid": "id",
            "link_type": ("relates_to", "blocks", "is_blocked_by"),
        }
        asked = parameters(call, accepts, ["target_project_id", "target_issue_iid"])
        issue = self._find_issue(project, iid)
        other = self._find_issue(asked["target_project_id"], asked["target_issue_iid"])
        kind = asked.get("link_type") or "relates_to"
        if kind != "relates_to" and not self.there.paid:
            raise refused(403, "Blocked issues not available for current license")
        if any(met.id == other.id for met, _, _ in self.there.linked(issue)):
            raise refused(409, "Issue(s) already assigned")
        ends = (other.id, issue.id) if kind == "is_blocked_by" else (issue.id, other.id)
        number = self.world.number("gitlab/link")
        stored = "relates_to" if kind == "relates_to" else "blocks"
        self.there.links[number] = Link(number, *ends, stored, self.world.instant("gitlab"))
        shown = {
            "source_issue": self.there.issue(issue),
            "target_issue": self.there.issue(other),
            "link_type": kind,
        }
        return Reply(201, shown)

    def delete_link(self, _call: Call, project: str, iid: str, number: str) -> Reply:
        """`DELETE /projects/:id/issues/:issue_iid/links/:issue_link_id`."""
        issue = self._find_issue(project, iid)
        for other, kind, link in self.there.linked(issue):
            if str(link.id) == number:
                del self.there.links[link.id]
                shown = {
                    "source_issue": self.there.issue(issue),
                    "target_issue": self.there.issue(other),
                }
                return Reply(200, {**shown, "link_type": kind})
        raise not_found()

    def list_notes(self, call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/issues/:issue_iid/notes`."""
        accepts: Accepts = {
            **PAGING,
            "sort": ("asc", "desc"),
            "order_by": ("created_at", "updated_at"),
        }
        asked = parameters(call, accepts)
        notes = list(self._find_issue(project, iid).notes.values())
        return page_of(call, notes if asked.get("sort") == "asc" else notes[::-1], asked)

    def create_note(self, call: Call, project: str, iid: str) -> Reply:
        """`POST /projects/:id/issues/:issue_iid/notes`."""
        asked = parameters(call, {"body": "text", "created_at": "instant"}, ["body"])
        issue = self._find_issue(project, iid)
        number, now = self.world.number("gitlab/note"), self.world.instant("gitlab")
        note: dict[str, Any] = {
            "id": number,
            "body": asked["body"],
            "author": self.there.user(1),
            "created_at": now,
            "updated_at": now,
            "system": False,
            "noteable_id": issue.id,
            "noteable_type": "Issue",
            "noteable_iid": issue.iid,
            "project_id": issue.project,
            "resolvable": False,
            "attachment": None,
        }
        issue.notes[number] = note
        return Reply(201, note)

    def update_note(self, call: Call, project: str, iid: str, number: str) -> Reply:
        """`PUT /projects/:id/issues/:issue_iid/notes/:note_id`."""
        asked = parameters(call, {"body": "text"}, ["body"])
        note = self._find_note(project, iid, number)
        note.update(body=asked["body"], updated_at=self.world.instant("gitlab"))
        return Reply(200, note)

    def get_note(self, _call: Call, project: str, iid: str, number: str) -> Reply:
        """`GET /projects/:id/issues/:issue_iid/notes/:note_id`."""
        return Reply(200, self._find_note(project, iid, number))

    def delete_note(self, _call: Call, project: str, iid: str, number: str) -> Reply:
        """`DELETE /projects/:id/issues/:issue_iid/notes/:note_id`."""
        note = self._find_note(project, iid, number)
        del self._find_issue(project, iid).notes[note["id"]]
        return Reply(204)

    # What the handlers share

    def _project(self, name: str) -> Project:
        for project in self.there.projects.values():
            if name in (str(project.id), project.path):
                return project
        raise not_found("Project")

    def _find_issue(self, project: str, iid: str) -> Issue:
        issues = self._project(project).issues
        if not iid.isdecimal() or int(iid) not in issues:
            raise not_found()
        return issues[int(iid)]

    def _find_label(self, project: str, name: str) -> Label:
        for label in self._project(project).labels.values():
            if name in (str(label.id), label.name):
                return label
        raise not_found("Label")

    def _find_note(self, project: str, iid: str, number: str) -> dict[str, Any]:
        note = self._find_issue(project, iid).notes.get(int(number))
        if note is None:
            raise not_found("Note")
        return note

    def _matches(self, home: Project, issue: Issue, asked: Mapping[str, Any]) -> bool:
        names = {home.labels[label].name for label in issue.labels}
        milestone = home.milestones[issue.milestone].title if issue.milestone else None
        places = (asked.get("in") or "title,description").split(",")
        words = "\n".join(str(getattr(issue, place, "")) for place in places).lower()
        state = asked.get("state")
        return (
            self.world.visible("gitlab", issue.made)
            and state in (None, "all", "closed" if issue.closed_at else "opened")
            and set(asked.get("labels") or ()) <= names
            and asked.get("milestone") in (None, milestone)
            and (not asked.get("iids") or issue.iid in asked["iids"])
            and (asked.get("search") or "").lower() in words
            and asked.get("author_id") in (None, 1)
            and _within(issue.updated_at, asked.get("updated_after"), asked.get("updated_before"))
            and _within(issue.created_at, asked.get("created_after"), asked.get("created_before"))
        )

    def _change_issue(self, home: Project, issue: Issue, asked: dict[str, Any]) -> None:
        if "title" in asked and not asked["title"]:
            raise refused(400, {"title": ["can't be blank"]})
        if len(asked.get("title") or "") > 255:
            raise refused(400, {"title": ["is too long (maximum is 255 characters)"]})
        if (asked.get("weight") or 0) < 0:
            raise refused(400, {"weight": ["must be greater than or equal to 0"]})
        closing = asked.get("state_event") == "close"
        if description := asked.get("description"):
            asked["description"], commands = without_commands(description)
            closing = closing or "close" in commands
        now = self.world.instant("gitlab")
        if closing:
            issue.closed_at = issue.closed_at or now
        elif asked.get("state_event") == "reopen":
            issue.closed_at = None
        names = ("title", "description", "due_date", "confidential", "discussion_locked")
        _assign(issue, asked, names)
        issue.title = issue.title.strip()
        if self.there.paid and "weight" in asked:
            issue.weight = asked["weight"]
        if "milestone_id" in asked:
            known = asked["milestone_id"] in home.milestones
            issue.milestone = asked["milestone_id"] if known else None
        if "assignee_id" in asked and "assignee_ids" not in asked:
            asked["assignee_ids"] = [asked["assignee_id"] or 0]
        if "assignee_ids" in asked:
            assignees = [user for user in asked["assignee_ids"] or () if user in self.there.users]
            issue.assignees = assignees if self.there.paid else assignees[:1]
        self._change_labels(home, issue, asked)

    def _change_labels(self, home: Project, issue: Issue, asked: Mapping[str, Any]) -> None:
        if "labels" in asked:
            issue.labels = set()
        for name in asked.get("remove_labels") or ():
            if label := home.label(name):
                issue.labels.discard(label.id)
        for name in [*(asked.get("labels") or ()), *(asked.get("add_labels") or ())]:
            label = home.label(name) or self._new_label(home, name, AUTOMATIC_COLOR)
            scope = name.rpartition("::")[0]
            if scope and self.there.paid:
                issue.labels -= {
                    other
                    for other in issue.labels
                    if home.labels[other].name.rpartition("::")[0] == scope
                }
            issue.labels.add(label.id)

    def _new_label(self, home: Project, name: str, color: str) -> Label:
        label = Label(self.world.number("gitlab/label") + 300, name, color)
        home.labels[label.id] = label
        return label


def _milestone(home: Project, number: str) -> Milestone:
    if not number.isdecimal() or int(number) not in home.milestones:
        raise not_found()
    return home.milestones[int(number)]


def _check_title(home: Project, title: str, own: Milestone | None) -> None:
    if not title:
        raise refused(400, {"title": ["can't be blank"]})
    if any(m.title == title and m is not own for m in home.milestones.values()):
        taken = "already being used for another group or project milestone."
        raise refused(400, {"title": [taken]})


def _assign(target: object, asked: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if name in asked:
            setattr(target, name, asked[name])


def _within(stamp: str, after: datetime | None, before: datetime | None) -> bool:
    moment = datetime.fromisoformat(stamp)
    return (after is None or moment >= after) and (before is None or moment <= before)


_P = r"/api/v4/projects/([^/]+)"
_I = _P + r"/issues/([^/]+)"

_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", r"/api/v4/(?:version|metadata)", GitlabStandIn.version),
    ("GET", r"/api/v4/user", GitlabStandIn.me),
    ("GET", r"/api/v4/users", GitlabStandIn.list_users),
    ("GET", r"/api/v4/projects", GitlabStandIn.list_projects),
    ("GET", _P, GitlabStandIn.get_project),
    ("GET", _P + r"/members(?:/all)?", GitlabStandIn.list_members),
    ("GET", _P + r"/labels", GitlabStandIn.list_labels),
    ("POST", _P + r"/labels", GitlabStandIn.create_label),
    ("PUT", _P + r"/labels", GitlabStandIn.update_label),
    ("GET", _P + r"/labels/([^/]+)", GitlabStandIn.get_label),
    ("PUT", _P + r"/labels/([^/]+)", GitlabStandIn.update_label),
    ("DELETE", _P + r"/labels/([^/]+)", GitlabStandIn.delete_label),
    ("GET", _P + r"/milestones", GitlabStandIn.list_milestones),
    ("POST", _P + r"/milestones", GitlabStandIn.create_milestone),
    ("GET", _P + r"/milestones/([^/]+)", GitlabStandIn.get_milestone),
    ("PUT", _P + r"/milestones/([^/]+)", GitlabStandIn.update_milestone),
    ("DELETE", _P + r"/milestones/([^/]+)", GitlabStandIn.delete_milestone),
    ("GET", _P + r"/issues", GitlabStandIn.list_issues),
    ("POST", _P + r"/issues", GitlabStandIn.create_issue),
    ("GET", _I, GitlabStandIn.get_issue),
    ("PUT", _I, GitlabStandIn.update_issue),
    ("DELETE", _I, GitlabStandIn.delete_issue),
    ("POST", _I + r"/move", GitlabStandIn.move_issue),
    ("GET", _I + r"/links", GitlabStandIn.list_links),
    ("POST", _I + r"/links", GitlabStandIn.create_link),
    ("DELETE", _I + r"/links/([^/]+)", GitlabStandIn.delete_link),
    ("GET", _I + r"/notes", GitlabStandIn.list_notes),
    ("POST", _I + r"/notes", GitlabStandIn.create_note),
    ("GET", _I + r"/notes/(\d+)", GitlabStandIn.get_note),
    ("PUT", _I + r"/notes/(\d+)", GitlabStandIn.update_note),
    ("DELETE", _I + r"/notes/(\d+)", GitlabStandIn.delete_note),
)

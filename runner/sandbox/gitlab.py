"""A stand-in for GitLab: projects, labels, milestones, issues, merge requests, git over HTTP.

It behaves like GitLab Free; `paid` makes it a Premium one, with weights, blocking links and
scoped labels that exclude each other. `may_delete` is whether the token's role may delete issues.
"""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar
from urllib.parse import unquote

from runner.sandbox._gitlab_api import (
    JOB_TOKEN,
    LABEL,
    MILESTONE,
    PAGING,
    PROJECT,
    Accepts,
    Refused,
    Routes,
    error,
    not_found,
    page_of,
    parameters,
    refused,
)
from runner.sandbox._gitlab_branches import Branches
from runner.sandbox._gitlab_git import Repositories
from runner.sandbox._gitlab_issues import Issues, within
from runner.sandbox._gitlab_objects import (
    Label,
    Milestone,
    Objects,
    Project,
    assign,
    label_shown,
    milestone_shown,
    project_shown,
    sanitized,
)
from runner.sandbox._gitlab_requests import MergeRequests
from runner.sandbox._platform import Call, Reply
from runner.sandbox._world import TOKENS, Gate, World

# docs.gitlab.com/ci/jobs/ci_job_token (verified 2026-11-24).
_JOB_MAY_READ = re.compile(
    PROJECT + r"/(?:merge_requests(?:/[^/]+(?:/notes(?:/\d+)?)?)?|repository/branches(?:/[^/]+)?)"
)

VERSION = "18.6.1-ee"


class GitlabStandIn:
    """See `runner.sandbox._platform.StandIn`."""

    platform: ClassVar[str] = "gitlab"

    def __init__(self, world: World) -> None:
        self.world = world
        users = {
            number: {"id": number, "username": username, "name": name, "public_email": email}
            for number, (name, email, username) in enumerate(world.seed.people, 1)
        }
        paths = enumerate(world.seed.projects, 101)
        self.there = Objects(
            world, users, {number: Project(number, path) for number, path in paths}
        )
        # gitlab.com: docs.gitlab.com/user/gitlab_com (verified 2026-11-24).
        self._gates = {
            "api": Gate(2000, 60.0),
            "issues": Gate(200, 60.0),
            "notes": Gate(60, 60.0),
        }
        self.repositories = Repositories(world.seed.projects)
        self.merge_requests = MergeRequests(world, self.there, self.repositories)
        routes = (
            *self._own_routes(),
            *Issues(world, self.there).routes(),
            *Branches(self.there, self.repositories).routes(),
            *self.merge_requests.routes(),
        )
        self._routes = [(method, re.compile(path), handler) for method, path, handler in routes]

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

    @property
    def may_delete(self) -> bool:
        """Whether the token's role may delete issues."""
        return self.there.may_delete

    @may_delete.setter
    def may_delete(self, may_delete: bool) -> None:
        self.there.may_delete = may_delete

    def objects(self) -> list[dict[str, Any]]:
        """Return every label, milestone, issue and merge request."""
        return [*self.there.plain(), *self.merge_requests.plain()]

    def _admit(self, call: Call) -> dict[str, str]:
        token = call.headers.get("private-token") or call.headers.get(
            "authorization", ""
        ).removeprefix("Bearer ")
        by_job = call.headers.get("job-token") == JOB_TOKEN and _JOB_MAY_READ.fullmatch(call.path)
        if token != TOKENS["gitlab"] and not (by_job and call.method == "GET"):
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
                    return handler(call, *(unquote(part) for part in match.groups()))
        if known:
            raise error(405, "405 Not Allowed")
        raise error(404, "404 Not Found")

    def _own_routes(self) -> Routes:
        return (
            ("GET", r"/api/v4/(?:version|metadata)", self.version),
            ("GET", r"/api/v4/user", self.me),
            ("GET", r"/api/v4/users", self.list_users),
            ("GET", r"/api/v4/projects", self.list_projects),
            ("GET", PROJECT, self.get_project),
            ("GET", PROJECT + r"/members(?:/all)?", self.list_members),
            ("GET", PROJECT + r"/labels", self.list_labels),
            ("POST", PROJECT + r"/labels", self.create_label),
            ("PUT", PROJECT + r"/labels", self.update_label),
            ("GET", PROJECT + r"/labels/([^/]+)", self.get_label),
            ("PUT", PROJECT + r"/labels/([^/]+)", self.update_label),
            ("DELETE", PROJECT + r"/labels/([^/]+)", self.delete_label),
            ("GET", PROJECT + r"/milestones", self.list_milestones),
            ("POST", PROJECT + r"/milestones", self.create_milestone),
            ("GET", PROJECT + r"/milestones/([^/]+)", self.get_milestone),
            ("PUT", PROJECT + r"/milestones/([^/]+)", self.update_milestone),
            ("DELETE", PROJECT + r"/milestones/([^/]+)", self.delete_milestone),
        )

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
        self.there.project(project)
        query = (asked.get("query") or "").lower()
        members = [
            {**self.there.user(user), "access_level": 50, "public_email": about["public_email"]}
            for user, about in self.there.users.items()
            if query in f"{about['username']} {about['name']}".lower()
        ]
        return page_of(call, members, asked)

    def get_project(self, _call: Call, project: str) -> Reply:
        """`GET /projects/:id`."""
        return Reply(200, project_shown(self.there.project(project)))

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
            for label in sorted(self.there.project(project).labels.values(), key=lambda x: x.name)
            if query in f"{label.name}\n{label.description or ''}".lower()
        ]
        return page_of(call, found, asked)

    def create_label(self, call: Call, project: str) -> Reply:
        """`POST /projects/:id/labels`."""
        asked = parameters(call, LABEL, ["name", "color"])
        home = self.there.project(project)
        if home.label(asked["name"]):
            raise refused(409, "Label already exists")
        label = self.there.new_label(home, asked["name"], asked["color"])
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
            other = self.there.project(project).label(renamed)
            if other and other is not label:
                raise refused(400, {"title": ["has already been taken"]})
            label.name = renamed
        label.color = asked.get("color") or label.color
        label.description = sanitized(asked.get("description")) or label.description
        return Reply(200, label_shown(label))

    def delete_label(self, _call: Call, project: str, name: str) -> Reply:
        """`DELETE /projects/:id/labels/:label_id`."""
        home, label = self.there.project(project), self._find_label(project, name)
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
            "updated_after": "instant",
            "updated_before": "instant",
        }
        asked = parameters(call, filters)
        home = self.there.project(project)
        span = asked.get("updated_after"), asked.get("updated_before")
        found = [
            milestone_shown(home, milestone)
            for milestone in reversed(home.milestones.values())
            if asked.get("state") in (None, milestone.state)
            and within(milestone.updated_at, *span)
            and asked.get("title") in (None, milestone.title)
            and (not asked.get("iids") or milestone.iid in asked["iids"])
            and (asked.get("search") or "") in f"{milestone.title}\n{milestone.description}"
        ]
        return page_of(call, found, asked)

    def create_milestone(self, call: Call, project: str) -> Reply:
        """`POST /projects/:id/milestones`."""
        asked = parameters(call, MILESTONE, ["title"])
        home = self.there.project(project)
        _check_title(home, asked["title"], None)
        number = self.world.number("gitlab/milestone") + 900
        now = self.world.instant("gitlab")
        milestone = Milestone(number, len(home.milestones) + 1, asked.pop("title"), now, now)
        home.milestones[number] = milestone
        assign(milestone, asked, ("description", "due_date", "start_date"))
        return Reply(201, milestone_shown(home, milestone))

    def get_milestone(self, _call: Call, project: str, number: str) -> Reply:
        """`GET /projects/:id/milestones/:milestone_id`."""
        home = self.there.project(project)
        return Reply(200, milestone_shown(home, _milestone(home, number)))

    def update_milestone(self, call: Call, project: str, number: str) -> Reply:
        """`PUT /projects/:id/milestones/:milestone_id`."""
        asked = parameters(call, MILESTONE)
        home = self.there.project(project)
        milestone = _milestone(home, number)
        if "title" in asked:
            _check_title(home, asked["title"] or "", milestone)
        before = milestone_shown(home, milestone)
        assign(milestone, asked, ("title", "description", "due_date", "start_date"))
        if event := asked.get("state_event"):
            milestone.state = "closed" if event == "close" else "active"
        if milestone_shown(home, milestone) != before:
            milestone.updated_at = self.world.instant("gitlab")
        return Reply(200, milestone_shown(home, milestone))

    def delete_milestone(self, _call: Call, project: str, number: str) -> Reply:
        """`DELETE /projects/:id/milestones/:milestone_id`."""
        home = self.there.project(project)
        gone = _milestone(home, number).id
        del home.milestones[gone]
        for issue in home.issues.values():
            issue.milestone = None if issue.milestone == gone else issue.milestone
        return Reply(204)

    def _find_label(self, project: str, name: str) -> Label:
        for label in self.there.project(project).labels.values():
            if name in (str(label.id), label.name):
                return label
        raise not_found("Label")


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

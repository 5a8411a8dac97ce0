"""Issues of the GitLab stand-in, their links and notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from runner.sandbox._gitlab_api import (
    ISSUE,
    ISSUE_FILTERS,
    PAGING,
    PROJECT,
    Accepts,
    Routes,
    error,
    not_found,
    page_of,
    parameters,
    refused,
)
from runner.sandbox._gitlab_objects import (
    Issue,
    Link,
    Objects,
    Project,
    assign,
    without_commands,
)
from runner.sandbox._platform import Call, Reply
from runner.sandbox._world import World


class Issues:
    """The endpoints below `/projects/:id/issues`."""

    def __init__(self, world: World, there: Objects) -> None:
        self._world = world
        self._there = there

    def routes(self) -> Routes:
        """Return method, path and handler of every endpoint."""
        one = PROJECT + r"/issues/([^/]+)"
        return (
            ("GET", PROJECT + r"/issues", self.list_issues),
            ("POST", PROJECT + r"/issues", self.create_issue),
            ("GET", one, self.get_issue),
            ("PUT", one, self.update_issue),
            ("DELETE", one, self.delete_issue),
            ("POST", one + r"/move", self.move_issue),
            ("GET", one + r"/links", self.list_links),
            ("POST", one + r"/links", self.create_link),
            ("DELETE", one + r"/links/([^/]+)", self.delete_link),
            ("GET", one + r"/resource_state_events", self.list_turns),
            ("GET", one + r"/notes", self.list_notes),
            ("POST", one + r"/notes", self.create_note),
            ("GET", one + r"/notes/(\d+)", self.get_note),
            ("PUT", one + r"/notes/(\d+)", self.update_note),
            ("DELETE", one + r"/notes/(\d+)", self.delete_note),
        )

    def list_issues(self, call: Call, project: str) -> Reply:
        """`GET /projects/:id/issues`."""
        asked = parameters(call, ISSUE_FILTERS)
        home = self._there.project(project)
        order = asked.get("order_by") or "created_at"
        found = [i for i in home.issues.values() if self._matches(home, i, asked)]
        found.sort(
            key=lambda issue: (str(getattr(issue, order) or ""), issue.id),
            reverse=(asked.get("sort") or "desc") == "desc",
        )
        return page_of(call, [self._there.issue(issue) for issue in found], asked)

    def create_issue(self, call: Call, project: str) -> Reply:
        """`POST /projects/:id/issues`."""
        asked = parameters(call, {**ISSUE, "iid": "number"}, ["title"])
        home = self._there.project(project)
        number, now = self._world.number("gitlab/issue"), self._world.instant("gitlab")
        iid = max(home.issues, default=0) + 1
        made = self._world.clock()
        issue = Issue(number + 5000, iid, home.id, "", now, now, made=made)
        self._change_issue(home, issue, asked)
        home.issues[issue.iid] = issue
        return Reply(201, self._there.issue(issue))

    def get_issue(self, _call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/issues/:issue_iid`."""
        return Reply(200, self._there.issue(self._there.find_issue(project, iid)))

    def update_issue(self, call: Call, project: str, iid: str) -> Reply:
        """`PUT /projects/:id/issues/:issue_iid`."""
        accepts: Accepts = {**ISSUE, "state_event": ("close", "reopen"), "updated_at": "instant"}
        asked = parameters(call, accepts)
        issue = self._there.find_issue(project, iid)
        if not asked:
            raise error(400, "at least one parameter must be provided")
        before = self._there.issue(issue)
        self._change_issue(self._there.projects[issue.project], issue, asked)
        if self._there.issue(issue) != before:
            issue.updated_at = self._world.instant("gitlab")
        return Reply(200, self._there.issue(issue))

    def delete_issue(self, _call: Call, project: str, iid: str) -> Reply:
        """`DELETE /projects/:id/issues/:issue_iid`."""
        issue = self._there.find_issue(project, iid)
        if not self._there.may_delete:
            raise refused(403, "403 Forbidden")
        del self._there.projects[issue.project].issues[issue.iid]
        self._there.links = {
            number: link
            for number, link in self._there.links.items()
            if issue.id not in {link.source, link.target}
        }
        return Reply(204)

    def move_issue(self, call: Call, project: str, iid: str) -> Reply:
        """`POST /projects/:id/issues/:issue_iid/move`."""
        asked = parameters(call, {"to_project_id": "number"}, ["to_project_id"])
        issue = self._there.find_issue(project, iid)
        home, target = (
            self._there.projects[issue.project],
            self._there.project(str(asked["to_project_id"])),
        )
        if issue.moved_to or target is home:
            raise refused(400, "Cannot move issue to project it originates from!")
        now = self._world.instant("gitlab")
        moved = replace(
            issue,
            id=self._world.number("gitlab/issue") + 5000,
            iid=max(target.issues, default=0) + 1,
            project=target.id,
            updated_at=now,
            made=self._world.clock(),
            labels=set(),
            notes={},
            mentioned_by=set(),
            closed_by=set(),
            turns=list(issue.turns),
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
        for number, link in self._there.links.items():
            ends = {issue.id: moved.id}
            self._there.links[number] = replace(
                link,
                source=ends.get(link.source, link.source),
                target=ends.get(link.target, link.target),
            )
        return Reply(201, self._there.issue(moved))

    # Links and notes of issues

    def list_links(self, _call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/issues/:issue_iid/links`."""
        issue = self._there.find_issue(project, iid)
        shown = [
            {
                **self._there.issue(other),
                "issue_link_id": link.id,
                "link_type": kind,
                "link_created_at": link.made_at,
                "link_updated_at": link.made_at,
            }
            for other, kind, link in self._there.linked(issue)
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
        issue = self._there.find_issue(project, iid)
        other = self._there.find_issue(asked["target_project_id"], asked["target_issue_iid"])
        kind = asked.get("link_type") or "relates_to"
        if kind != "relates_to" and not self._there.paid:
            raise refused(403, "Blocked issues not available for current license")
        if any(met.id == other.id for met, _, _ in self._there.linked(issue)):
            raise refused(409, "Issue(s) already assigned")
        ends = (other.id, issue.id) if kind == "is_blocked_by" else (issue.id, other.id)
        number = self._world.number("gitlab/link")
        stored = "relates_to" if kind == "relates_to" else "blocks"
        self._there.links[number] = Link(number, *ends, stored, self._world.instant("gitlab"))
        shown = {
            "source_issue": self._there.issue(issue),
            "target_issue": self._there.issue(other),
            "link_type": kind,
        }
        return Reply(201, shown)

    def delete_link(self, _call: Call, project: str, iid: str, number: str) -> Reply:
        """`DELETE /projects/:id/issues/:issue_iid/links/:issue_link_id`."""
        issue = self._there.find_issue(project, iid)
        for other, kind, link in self._there.linked(issue):
            if str(link.id) == number:
                del self._there.links[link.id]
                shown = {
                    "source_issue": self._there.issue(issue),
                    "target_issue": self._there.issue(other),
                }
                return Reply(200, {**shown, "link_type": kind})
        raise not_found()

    def list_turns(self, call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/issues/:issue_iid/resource_state_events`."""
        return page_of(call, self._there.find_issue(project, iid).turns, parameters(call, PAGING))

    def list_notes(self, call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/issues/:issue_iid/notes`."""
        accepts: Accepts = {
            **PAGING,
            "sort": ("asc", "desc"),
            "order_by": ("created_at", "updated_at"),
        }
        asked = parameters(call, accepts)
        notes = list(self._there.find_issue(project, iid).notes.values())
        return page_of(call, notes if asked.get("sort") == "asc" else notes[::-1], asked)

    def create_note(self, call: Call, project: str, iid: str) -> Reply:
        """`POST /projects/:id/issues/:issue_iid/notes`."""
        asked = parameters(call, {"body": "text", "created_at": "instant"}, ["body"])
        issue = self._there.find_issue(project, iid)
        number, now = self._world.number("gitlab/note"), self._world.instant("gitlab")
        note: dict[str, Any] = {
            "id": number,
            "body": asked["body"],
            "author": self._there.user(1),
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
        note.update(body=asked["body"], updated_at=self._world.instant("gitlab"))
        return Reply(200, note)

    def get_note(self, _call: Call, project: str, iid: str, number: str) -> Reply:
        """`GET /projects/:id/issues/:issue_iid/notes/:note_id`."""
        return Reply(200, self._find_note(project, iid, number))

    def delete_note(self, _call: Call, project: str, iid: str, number: str) -> Reply:
        """`DELETE /projects/:id/issues/:issue_iid/notes/:note_id`."""
        note = self._find_note(project, iid, number)
        del self._there.find_issue(project, iid).notes[note["id"]]
        return Reply(204)

    def _find_note(self, project: str, iid: str, number: str) -> dict[str, Any]:
        note = self._there.find_issue(project, iid).notes.get(int(number))
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
            self._world.visible("gitlab", issue.made)
            and state in (None, "all", "closed" if issue.closed_at else "opened")
            and set(asked.get("labels") or ()) <= names
            and asked.get("milestone") in (None, milestone)
            and (not asked.get("iids") or issue.iid in asked["iids"])
            and (asked.get("search") or "").lower() in words
            and asked.get("author_id") in (None, 1)
            and within(issue.updated_at, asked.get("updated_after"), asked.get("updated_before"))
            and within(issue.created_at, asked.get("created_after"), asked.get("created_before"))
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
        if closing:
            self._there.turn(issue, "closed")
        elif asked.get("state_event") == "reopen":
            self._there.turn(issue, "reopened")
        names = ("title", "description", "due_date", "confidential", "discussion_locked")
        assign(issue, asked, names)
        issue.title = issue.title.strip()
        if self._there.paid and "weight" in asked:
            issue.weight = asked["weight"]
        if "milestone_id" in asked:
            known = asked["milestone_id"] in home.milestones
            issue.milestone = asked["milestone_id"] if known else None
        if "assignee_id" in asked and "assignee_ids" not in asked:
            asked["assignee_ids"] = [asked["assignee_id"] or 0]
        if "assignee_ids" in asked:
            assignees = [user for user in asked["assignee_ids"] or () if user in self._there.users]
            issue.assignees = assignees if self._there.paid else assignees[:1]
        self._there.relabel(home, issue.labels, asked)


def within(stamp: str, after: datetime | None, before: datetime | None) -> bool:
    """Return whether an instant is in a span that may be open at either end."""
    moment = datetime.fromisoformat(stamp)
    return (after is None or moment >= after) and (before is None or moment <= before)

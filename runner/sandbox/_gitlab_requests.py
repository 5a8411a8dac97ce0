"""Merge requests of the GitLab stand-in, over real branches of real repos, and what is said there.

Quick actions found in a description or a note are carried out as far as the stand-in can, and are
remembered, so that a test can tell that none slipped through.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from runner.sandbox._gitlab_api import (
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
from runner.sandbox._gitlab_closing import Closing
from runner.sandbox._gitlab_git import Repositories
from runner.sandbox._gitlab_objects import (
    HOST,
    Objects,
    Project,
    assign,
    without_commands,
)
from runner.sandbox._platform import Call, Reply
from runner.sandbox._world import World

LONGEST = 1_000_000
"""Characters in a note; docs.gitlab.com/administration/instance_limits, verified 2026-11-24."""

_FIELDS: Accepts = {
    "title": "text",
    "description": "text",
    "target_branch": "text",
    "labels": "texts",
    "add_labels": "texts",
    "remove_labels": "texts",
    "assignee_ids": "numbers",
    "reviewer_ids": "numbers",
    "remove_source_branch": "flag",
    "squash": "flag",
}
_FILTERS: Accepts = {
    **PAGING,
    "state": ("opened", "closed", "locked", "merged", "all"),
    "source_branch": "text",
    "target_branch": "text",
    "labels": "texts",
    "search": "text",
    "in": "text",
    "iids": "numbers",
    "scope": ("created_by_me", "assigned_to_me", "all"),
    "order_by": ("created_at", "updated_at", "title", "merged_at"),
    "sort": ("asc", "desc"),
}
_NOTE_ORDER: Accepts = {**PAGING, "sort": ("asc", "desc"), "order_by": ("created_at", "updated_at")}


@dataclass(slots=True)
class MergeRequest:
    """A merge request; while it is open, its last commit is that of its branch.

    Attributes:
        head: the last commit when it was merged or closed.
        base: the last commit of the target branch before it was merged.
        threads: notes by the id of their discussion, in order.
        commands: quick actions that were found in its texts.
    """

    id: int
    iid: int
    project: int
    title: str
    source_branch: str
    target_branch: str
    created_at: str
    updated_at: str
    description: str | None = None
    state: str = "opened"
    labels: set[int] = field(default_factory=set[int])
    assignee_ids: list[int] = field(default_factory=list[int])
    reviewer_ids: list[int] = field(default_factory=list[int])
    remove_source_branch: bool | None = None
    squash: bool = False
    head: str = ""
    base: str = ""
    merge_commit: str | None = None
    merged_at: str | None = None
    closed_at: str | None = None
    threads: dict[str, list[dict[str, Any]]] = field(
        default_factory=dict[str, list[dict[str, Any]]]
    )
    commands: list[str] = field(default_factory=list[str])


class MergeRequests:
    """The endpoints below `/projects/:id/merge_requests`, and those that lead there.

    Attributes:
        by_project: merge requests by the number of their project, then by their own.
    """

    def __init__(self, world: World, there: Objects, repositories: Repositories) -> None:
        self.by_project: dict[int, dict[int, MergeRequest]] = {n: {} for n in there.projects}
        self._world = world
        self._there = there
        self._git = repositories
        self._closing = Closing(there, repositories)
        repositories.pushed = self._closing.pushed

    def routes(self) -> Routes:
        """Return method, path and handler of every endpoint."""
        every = PROJECT + r"/merge_requests"
        one = every + r"/([^/]+)"
        note = one + r"/notes/(\d+)"
        thread = one + r"/discussions/([0-9a-f]+)"
        return (
            ("GET", PROJECT + r"/repository/commits/([^/]+)/merge_requests", self.list_of_commit),
            ("GET", PROJECT + r"/issues/([^/]+)/related_merge_requests", self.list_related),
            ("GET", PROJECT + r"/issues/([^/]+)/closed_by", self.list_closing),
            ("GET", every, self.list_requests),
            ("POST", every, self.create),
            ("GET", one, self.get),
            ("PUT", one, self.update),
            ("PUT", one + r"/merge", self.merge),
            ("GET", one + r"/notes", self.list_notes),
            ("POST", one + r"/notes", self.create_note),
            ("GET", note, self.get_note),
            ("PUT", note, self.update_note),
            ("DELETE", note, self.delete_note),
            ("GET", one + r"/discussions", self.list_discussions),
            ("POST", one + r"/discussions", self.create_discussion),
            ("GET", thread, self.get_discussion),
            ("PUT", thread, self.resolve),
            ("POST", thread + r"/notes", self.reply),
        )

    def plain(self) -> list[dict[str, Any]]:
        """Return every merge request as tests and people look at it."""
        return [
            {
                "kind": "merge_request",
                "id": f"{request.project}!{request.iid}",
                "title": request.title,
                "marker": "",
                "archived": request.state == "closed",
                "description": request.description,
                "state": request.state,
                "branch": request.source_branch,
                "target": request.target_branch,
                "labels": self._names(request),
                "notes": [note["body"] for note in _notes(request)],
                "commands": list(request.commands),
            }
            for requests in self.by_project.values()
            for request in requests.values()
        ]

    # Merge requests

    def list_requests(self, call: Call, project: str) -> Reply:
        """`GET /projects/:id/merge_requests`."""
        asked = parameters(call, _FILTERS)
        home = self._there.project(project)
        order = asked.get("order_by") or "created_at"
        found = [r for r in self.by_project[home.id].values() if self._matches(r, asked)]
        found.sort(
            key=lambda request: (str(getattr(request, order) or ""), request.id),
            reverse=(asked.get("sort") or "desc") == "desc",
        )
        return page_of(call, [self._shown(request) for request in found], asked)

    def list_of_commit(self, call: Call, project: str, sha: str) -> Reply:
        """`GET /projects/:id/repository/commits/:sha/merge_requests`."""
        states = ("opened", "closed", "locked", "merged", "all")
        asked = parameters(call, {**PAGING, "state": states})
        home = self._there.project(project)
        found = [
            self._shown(request)
            for request in self.by_project[home.id].values()
            if asked.get("state") in (None, "all", request.state)
            and sha in (request.merge_commit, *self._commits(home, request))
        ]
        return page_of(call, found[::-1], asked)

    def list_related(self, call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/issues/:issue_iid/related_merge_requests`."""
        issue = self._there.find_issue(project, iid)
        return self._those(call, issue.mentioned_by | issue.closed_by)

    def list_closing(self, call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/issues/:issue_iid/closed_by`: of the same project only."""
        issue = self._there.find_issue(project, iid)
        own = {request.id for request in self.by_project[issue.project].values()}
        return self._those(call, issue.closed_by & own)

    def _those(self, call: Call, ids: set[int]) -> Reply:
        every = [r for requests in self.by_project.values() for r in requests.values()]
        shown = [self._shown(request) for request in every if request.id in ids]
        return page_of(call, shown, parameters(call, PAGING))

    def create(self, call: Call, project: str) -> Reply:
        """`POST /projects/:id/merge_requests`."""
        accepts: Accepts = {**_FIELDS, "source_branch": "text", "target_project_id": "number"}
        asked = parameters(call, accepts, ["title", "source_branch", "target_branch"])
        home = self._there.project(project)
        source = asked["source_branch"]
        if source == asked["target_branch"]:
            raise refused(409, ["You can't use same project/branch for source and target"])
        if not self._git.head(home.path, source):
            raise refused(400, {"source_branch": ["does not exist"]})
        for other in self.by_project[home.id].values():
            same = (other.source_branch, other.target_branch) == (source, asked["target_branch"])
            if same and other.state == "opened":
                said = "Another open merge request already exists for this source branch"
                raise refused(409, [f"{said}: !{other.iid}"])
        now = self._world.instant("gitlab")
        number = self._world.number("gitlab/merge_request")
        iid = len(self.by_project[home.id]) + 1
        target = asked["target_branch"]
        request = MergeRequest(number + 7000, iid, home.id, "", source, target, now, now)
        self._change(home, request, asked)
        self.by_project[home.id][iid] = request
        return Reply(201, self._shown(request))

    def get(self, _call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/merge_requests/:merge_request_iid`."""
        return Reply(200, self._shown(self._find(project, iid)))

    def update(self, call: Call, project: str, iid: str) -> Reply:
        """`PUT /projects/:id/merge_requests/:merge_request_iid`."""
        asked = parameters(call, {**_FIELDS, "state_event": ("close", "reopen")})
        request = self._find(project, iid)
        if not asked:
            raise error(400, "at least one parameter must be provided")
        home = self._there.projects[request.project]
        before = self._shown(request)
        self._change(home, request, asked)
        if event := asked.get("state_event"):
            self._turn(home, request, "closed" if event == "close" else "opened")
        if self._shown(request) != before:
            request.updated_at = self._world.instant("gitlab")
        return Reply(200, self._shown(request))

    def merge(self, call: Call, project: str, iid: str) -> Reply:
        """`PUT /projects/:id/merge_requests/:merge_request_iid/merge`."""
        accepts: Accepts = {"sha": "text", "should_remove_source_branch": "flag", "squash": "flag"}
        asked = parameters(call, accepts)
        request = self._find(project, iid)
        home = self._there.projects[request.project]
        head = self._head(home, request)
        if request.state != "opened":
            raise refused(405, "405 Method Not Allowed")
        if asked.get("sha") not in (None, head):
            raise refused(409, "SHA does not match HEAD of source branch")
        if not self._merge(home, request, head):
            raise refused(422, "Branch cannot be merged")
        if asked.get("should_remove_source_branch") or request.remove_source_branch:
            self._git.delete(home.path, request.source_branch)
        return Reply(200, self._shown(request))

    # Notes and discussions

    def list_notes(self, call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/merge_requests/:merge_request_iid/notes`."""
        asked = parameters(call, _NOTE_ORDER)
        notes = _notes(self._find(project, iid))
        return page_of(call, notes if asked.get("sort") == "asc" else notes[::-1], asked)

    def create_note(self, call: Call, project: str, iid: str) -> Reply:
        """`POST /projects/:id/merge_requests/:merge_request_iid/notes`."""
        asked = parameters(call, {"body": "text"}, ["body"])
        return self._say(self._find(project, iid), asked["body"], "")

    def get_note(self, _call: Call, project: str, iid: str, number: str) -> Reply:
        """`GET /projects/:id/merge_requests/:merge_request_iid/notes/:note_id`."""
        return Reply(200, self._note(self._find(project, iid), number))

    def update_note(self, call: Call, project: str, iid: str, number: str) -> Reply:
        """`PUT /projects/:id/merge_requests/:merge_request_iid/notes/:note_id`."""
        asked = parameters(call, {"body": "text"}, ["body"])
        request = self._find(project, iid)
        note = self._note(request, number)
        if note["author"]["id"] != 1:
            raise refused(403, "403 Forbidden")
        body = self._heeded(request, asked["body"])
        note.update(body=body, updated_at=self._world.instant("gitlab"))
        return Reply(200, note)

    def delete_note(self, _call: Call, project: str, iid: str, number: str) -> Reply:
        """`DELETE /projects/:id/merge_requests/:merge_request_iid/notes/:note_id`."""
        request = self._find(project, iid)
        gone = self._note(request, number)
        kept = {
            name: [note for note in notes if note is not gone]
            for name, notes in request.threads.items()
        }
        request.threads = {name: notes for name, notes in kept.items() if notes}
        return Reply(204)

    def list_discussions(self, call: Call, project: str, iid: str) -> Reply:
        """`GET /projects/:id/merge_requests/:merge_request_iid/discussions`."""
        asked = parameters(call, PAGING)
        threads = self._find(project, iid).threads
        return page_of(call, [_thread_shown(name, threads[name]) for name in threads], asked)

    def get_discussion(self, _call: Call, project: str, iid: str, name: str) -> Reply:
        """`GET /projects/:id/merge_requests/:merge_request_iid/discussions/:discussion_id`."""
        return Reply(200, _thread_shown(name, self._thread(self._find(project, iid), name)))

    def create_discussion(self, call: Call, project: str, iid: str) -> Reply:
        """`POST /projects/:id/merge_requests/:merge_request_iid/discussions`."""
        asked = parameters(call, {"body": "text", "position": "object"}, ["body"])
        request = self._find(project, iid)
        name = _name(f"{request.id}/{len(request.threads)}")
        said = self._say(request, asked["body"], name, asked.get("position"))
        if said.status != 201:
            return said
        return Reply(201, _thread_shown(name, request.threads[name]))

    def reply(self, call: Call, project: str, iid: str, name: str) -> Reply:
        """`POST …/discussions/:discussion_id/notes`."""
        asked = parameters(call, {"body": "text"}, ["body"])
        request = self._find(project, iid)
        self._thread(request, name)
        return self._say(request, asked["body"], name)

    def resolve(self, call: Call, project: str, iid: str, name: str) -> Reply:
        """`PUT …/discussions/:discussion_id`."""
        asked = parameters(call, {"resolved": "flag"}, ["resolved"])
        notes = self._thread(self._find(project, iid), name)
        for note in notes:
            if note["resolvable"]:
                note["resolved"] = asked["resolved"]
        return Reply(200, _thread_shown(name, notes))

    def comment(self, project: str, iid: int, body: str, *, user: int = 2) -> str:
        """Open a thread as another user would; return its id. For tests and the demo."""
        request = self._find(project, str(iid))
        name = _name(f"{request.id}/{len(request.threads)}")
        self._say(request, body, name, {}, user=user)
        return name

    # What the handlers share

    def _find(self, project: str, iid: str) -> MergeRequest:
        requests = self.by_project[self._there.project(project).id]
        if not iid.isdecimal() or int(iid) not in requests:
            raise not_found()
        return requests[int(iid)]

    def _note(self, request: MergeRequest, number: str) -> dict[str, Any]:
        for note in _notes(request):
            if str(note["id"]) == number:
                return note
        raise not_found("Note")

    def _thread(self, request: MergeRequest, name: str) -> list[dict[str, Any]]:
        if name not in request.threads:
            raise not_found("Discussion")
        return request.threads[name]

    def _matches(self, request: MergeRequest, asked: dict[str, Any]) -> bool:
        return (
            asked.get("state") in (None, "all", request.state)
            and asked.get("source_branch") in (None, request.source_branch)
            and asked.get("target_branch") in (None, request.target_branch)
            and set(asked.get("labels") or ()) <= set(self._names(request))
            and (not asked.get("iids") or request.iid in asked["iids"])
            and (asked.get("search") or "").lower()
            in f"{request.title}\n{request.description}".lower()
        )

    def _change(self, home: Project, request: MergeRequest, asked: dict[str, Any]) -> None:
        if "title" in asked and not asked["title"]:
            raise refused(400, {"title": ["can't be blank"]})
        if len(asked.get("title") or "") > 255:
            raise refused(400, {"title": ["is too long (maximum is 255 characters)"]})
        if asked.get("description"):
            asked["description"] = self._heeded(request, asked["description"])
        names = ("title", "description", "target_branch", "remove_source_branch", "squash")
        assign(request, asked, (*names, "assignee_ids", "reviewer_ids"))
        self._there.relabel(home, request.labels, asked)
        self._tie(home, request)

    def _tie(self, home: Project, request: MergeRequest) -> None:
        """Have issues know of the merge request by its words and those of its commits."""
        if request.state == "merged":
            return
        base, head = self._git.head(home.path, request.target_branch), self._head(home, request)
        told = self._git.messages(home.path, base, head) if base and head else []
        words = [request.title, request.description or "", *(message for _, message in told)]
        self._closing.tie(home, request.id, "\n".join(words), request.target_branch)

    def _heeded(self, request: MergeRequest, text: str) -> str:
        """Carry out the quick actions of a text; return what is left of it."""
        if len(text) > LONGEST:
            raise refused(400, {"note": [f"is too long (maximum is {LONGEST} characters)"]})
        left, commands = without_commands(text)
        request.commands += sorted(commands)
        home = self._there.projects[request.project]
        if "close" in commands:
            self._turn(home, request, "closed")
        if "merge" in commands and request.state == "opened":
            self._merge(home, request, self._head(home, request))
        return left.rstrip()

    def _turn(self, home: Project, request: MergeRequest, state: str) -> None:
        request.head = self._head(home, request)
        request.state = state
        request.closed_at = self._world.instant("gitlab") if state == "closed" else None

    def _merge(self, home: Project, request: MergeRequest, head: str) -> bool:
        base = self._git.head(home.path, request.target_branch)
        self._tie(home, request)
        message = f"Merge branch '{request.source_branch}' into '{request.target_branch}'"
        full = f"{message}\n\n{request.title}\n\nSee merge request {home.path}!{request.iid}"
        commit = self._git.merge(home.path, request.target_branch, head, full) if head else ""
        if not commit:
            return False
        now = self._world.instant("gitlab")
        request.state, request.merge_commit, request.merged_at = "merged", commit, now
        request.head, request.base, request.updated_at = head, base, now
        self._closing.merged(request.id)
        return True

    def _say(
        self,
        request: MergeRequest,
        body: str,
        thread: str,
        position: dict[str, Any] | None = None,
        *,
        user: int = 1,
    ) -> Reply:
        left = self._heeded(request, body)
        if not left:
            return Reply(202, {"commands_changes": {}, "summary": ["Commands applied."]})
        number, now = self._world.number("gitlab/note"), self._world.instant("gitlab")
        note: dict[str, Any] = {
            "id": number,
            "type": "DiscussionNote" if thread else None,
            "body": left,
            "author": self._there.user(user),
            "created_at": now,
            "updated_at": now,
            "system": False,
            "noteable_id": request.id,
            "noteable_type": "MergeRequest",
            "noteable_iid": request.iid,
            "project_id": request.project,
            "resolvable": bool(thread),
            "attachment": None,
            "confidential": False,
            "internal": False,
        }
        if thread:
            note["resolved"] = False
        if position:
            note |= {"type": "DiffNote", "position": position}
        alone = _name(f"note/{number}")
        request.threads.setdefault(thread or alone, []).append(note)
        return Reply(201, note)

    def _names(self, request: MergeRequest) -> list[str]:
        labels = self._there.projects[request.project].labels
        return sorted(labels[label].name for label in request.labels)

    def _head(self, home: Project, request: MergeRequest) -> str:
        if request.state != "opened":
            return request.head
        return self._git.head(home.path, request.source_branch)

    def _commits(self, home: Project, request: MergeRequest) -> list[str]:
        base = request.base or self._git.head(home.path, request.target_branch)
        head = self._head(home, request)
        return self._git.commits(home.path, base, head) if base and head else []

    def _shown(self, request: MergeRequest) -> dict[str, Any]:
        home = self._there.projects[request.project]
        users = self._there.user
        assignees = [
            users(number) for number in request.assignee_ids if number in self._there.users
        ]
        return {
            "id": request.id,
            "iid": request.iid,
            "project_id": home.id,
            "title": request.title,
            "description": request.description,
            "state": request.state,
            "created_at": request.created_at,
            "updated_at": request.updated_at,
            "merged_at": request.merged_at,
            "closed_at": request.closed_at,
            "target_branch": request.target_branch,
            "source_branch": request.source_branch,
            "source_project_id": home.id,
            "target_project_id": home.id,
            "author": users(1),
            "assignees": assignees,
            "assignee": assignees[0] if assignees else None,
            "reviewers": [users(n) for n in request.reviewer_ids if n in self._there.users],
            "labels": self._names(request),
            "draft": request.title.lower().startswith("draft:"),
            "merge_status": "can_be_merged",
            "detailed_merge_status": "mergeable",
            "sha": self._head(home, request) or None,
            "merge_commit_sha": request.merge_commit,
            "squash_commit_sha": None,
            "squash": request.squash,
            "user_notes_count": len(_notes(request)),
            "upvotes": 0,
            "downvotes": 0,
            "force_remove_source_branch": request.remove_source_branch,
            "should_remove_source_branch": None,
            "has_conflicts": False,
            "blocking_discussions_resolved": True,
            "reference": f"!{request.iid}",
            "references": {
                "short": f"!{request.iid}",
                "relative": f"!{request.iid}",
                "full": f"{home.path}!{request.iid}",
            },
            "web_url": f"{HOST}/{home.path}/-/merge_requests/{request.iid}",
        }


def _name(seed: str) -> str:
    """Return what the id of a discussion looks like."""
    return hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest()


def _notes(request: MergeRequest) -> list[dict[str, Any]]:
    """Return the notes of all threads, the oldest first."""
    every = [note for notes in request.threads.values() for note in notes]
    return sorted(every, key=lambda note: note["id"])


def _thread_shown(name: str, notes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": name, "individual_note": notes[0]["type"] is None, "notes": notes}

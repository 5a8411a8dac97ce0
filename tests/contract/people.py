"""People at work on the platforms: each edit is a request to the platform's own API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from reconcilers import _gitlab_text
from reconcilers._blocks import blocks_of, markdown_of, with_children
from reconcilers._motion_text import told
from runner.sandbox._platform import Call
from runner.sandbox._world import TOKENS
from runner.sandbox.server import Sandbox
from schemas.domain import Binding, Value

Json = dict[str, Any]

_HEADERS: Mapping[str, dict[str, str]] = {
    "linear": {"authorization": TOKENS["linear"]},
    "gitlab": {"private-token": TOKENS["gitlab"]},
    "motion": {"x-api-key": TOKENS["motion"]},
    "notion": {
        "authorization": f"Bearer {TOKENS['notion']}",
        "notion-version": "2025-09-03",
        "x-sandbox-person": "me@example.com",
    },
}
_LINEAR_STATES = {
    "backlog": "backlog",
    "todo": "unstarted",
    "in_progress": "started",
    "done": "completed",
    "canceled": "canceled",
}
_NAMES = {
    "backlog": "Backlog",
    "todo": "Todo",
    "in_progress": "In progress",
    "done": "Done",
    "canceled": "Canceled",
}
_MOTION_STATUSES = {**_NAMES, "in_progress": "In Progress", "done": "Completed"}
_PRIORITIES = ("none", "urgent", "high", "medium", "low")
_MOTION_PRIORITIES = {"urgent": "ASAP", "high": "HIGH", "medium": "MEDIUM", "low": "LOW"}


@dataclass(frozen=True)
class People:
    """Whoever works on the platforms of a sandbox; no request of theirs is recorded."""

    sandbox: Sandbox

    def edit(self, binding: Binding, **fields: Value) -> None:
        """Change a task where `binding` says, in the words of its platform."""
        edits = {
            "linear": self._on_linear,
            "gitlab": self._on_gitlab,
            "notion": self._on_notion,
            "motion": self._on_motion,
        }
        edits[binding.platform](binding.remote_id, fields)

    def look(self, binding: Binding) -> dict[str, Value]:
        """Return what a person reads of a task there: title, text, status, due, priority, work."""
        reads = {
            "linear": self._read_linear,
            "gitlab": self._read_gitlab,
            "notion": self._read_notion,
            "motion": self._read_motion,
        }
        return reads[binding.platform](binding.remote_id)

    def ask(self, platform: str, method: str, path: str, body: object = None) -> Any:
        """Send a request as it goes over the wire; return the answer."""
        headers = {"content-type": "application/json", **_HEADERS[platform]}
        content = b"" if body is None else json.dumps(body).encode()
        call = Call(method, path, [], headers, content)
        reply = self.sandbox.standins[platform].handle(call)
        assert reply.status < 300, f"{platform} {method} {path}: {reply.status} {reply.data}"
        return reply.data

    def _linear(self, document: str, **variables: object) -> Json:
        answer = self.ask("linear", "POST", "/graphql", {"query": document, "variables": variables})
        assert "errors" not in answer, answer
        return cast("Json", answer["data"])

    def _on_linear(self, issue: str, fields: Mapping[str, Value]) -> None:
        names = {"title": "title", "description": "description", "due": "dueDate"}
        given: Json = {names[n]: v for n, v in fields.items() if n in names}
        if "status" in fields:
            wanted = _LINEAR_STATES[str(fields["status"])]
            document = "query States { workflowStates(first: 50) { nodes { id type } } }"
            states = self._linear(document)["workflowStates"]["nodes"]
            given["stateId"] = next(s["id"] for s in states if s["type"] == wanted)
        if "priority" in fields:
            given["priority"] = _PRIORITIES.index(str(fields["priority"] or "none"))
        if "estimate" in fields:
            work = fields["estimate"]
            given["estimate"] = round(work / 240) if isinstance(work, int) else None
        self._linear(
            "mutation Edit($id: String!, $input: IssueUpdateInput!)"
            " { issueUpdate(id: $id, input: $input) { success } }",
            id=issue,
            input=given,
        )

    def _read_linear(self, issue: str) -> dict[str, Value]:
        document = (
            "query Look($id: String!) { issue(id: $id)"
            " { title description dueDate priority estimate state { type } } }"
        )
        found = self._linear(document, id=issue)["issue"]
        status = next(n for n, kind in _LINEAR_STATES.items() if kind == found["state"]["type"])
        return {
            "title": found["title"],
            "status": status,
            "due": found["dueDate"],
            "priority": _PRIORITIES[int(found["priority"])],
            "description": found["description"] or None,
            "estimate": int(found["estimate"] or 0) * 240 or None,
        }

    def _on_gitlab(self, issue: str, fields: Mapping[str, Value]) -> None:
        path = _gitlab_path(issue)
        given: Json = {}
        if "title" in fields:
            given["title"] = fields["title"]
        if "due" in fields:
            given["due_date"] = fields["due"] or ""
        if "description" in fields:
            there = _gitlab_text.read(self.ask("gitlab", "GET", path)["description"])
            text = _gitlab_text.Text(str(fields["description"] or ""), there.links, there.marker)
            given["description"] = _gitlab_text.compose(text)
        add, remove = list[str](), list[str]()
        if "status" in fields:
            status = str(fields["status"])
            closed = status in {"done", "canceled"}
            if self.ask("gitlab", "GET", path)["state"] != ("closed" if closed else "opened"):
                given["state_event"] = "close" if closed else "reopen"
            scopes = ("backlog", "in_progress", "canceled")
            add += [f"status::{status}"] if status in scopes else []
            remove += [f"status::{name}" for name in scopes if name != status]
        if "priority" in fields:
            add += [f"priority::{fields['priority']}"] if fields["priority"] != "none" else []
            remove += [f"priority::{n}" for n in _PRIORITIES[1:] if n != fields["priority"]]
        if add or remove:
            given |= {"add_labels": add, "remove_labels": remove}
        self.ask("gitlab", "PUT", path, given)

    def _read_gitlab(self, issue: str) -> dict[str, Value]:
        found = self.ask("gitlab", "GET", _gitlab_path(issue))
        labels = {label.partition("::")[::2] for label in found["labels"]}
        scoped = {scope: value for scope, value in labels if value}
        closed = found["state"] == "closed"
        ended = "canceled" if scoped.get("status") == "canceled" else "done"
        return {
            "title": found["title"],
            "status": ended if closed else scoped.get("status", "todo"),
            "due": found["due_date"],
            "priority": scoped.get("priority", "none"),
            "description": _gitlab_text.read(found["description"]).description,
        }

    def _on_notion(self, page: str, fields: Mapping[str, Value]) -> None:
        properties: Json = {}
        if "title" in fields:
            properties["Name"] = {"title": [{"text": {"content": fields["title"]}}]}
        if "due" in fields:
            due = fields["due"]
            properties["Due"] = {"date": {"start": due} if due else None}
        if "status" in fields:
            properties["Status"] = {"select": {"name": _NAMES[str(fields["status"])]}}
        if "priority" in fields:
            properties["Priority"] = {"select": {"name": str(fields["priority"]).capitalize()}}
        if "estimate" in fields:
            work = fields["estimate"]
            properties["Estimate"] = {"number": work / 60 if isinstance(work, int) else None}
        body: Json = {"properties": properties}
        if "description" in fields:
            body["erase_content"] = True
        self.ask("notion", "PATCH", f"/v1/pages/{page}", body)
        if fields.get("description"):
            blocks = blocks_of(str(fields["description"]))
            self.ask("notion", "PATCH", f"/v1/blocks/{page}/children", {"children": blocks})

    def _read_notion(self, page: str) -> dict[str, Value]:
        found = self.ask("notion", "GET", f"/v1/pages/{page}")["properties"]
        chosen = {
            name: str(option["name"]) if (option := found[name]["select"]) else ""
            for name in ("Status", "Priority")
        }
        return {
            "title": "".join(item["plain_text"] for item in found["Name"]["title"]),
            "status": next((s for s, n in _NAMES.items() if n == chosen["Status"]), "todo"),
            "due": due["start"] if (due := found["Due"]["date"]) else None,
            "priority": chosen["Priority"].lower() or "none",
            "description": markdown_of(self._notion_blocks(page)) or None,
            "estimate": int((found["Estimate"]["number"] or 0) * 60) or None,
        }

    def _notion_blocks(self, block: str) -> list[Json]:
        found = self.ask("notion", "GET", f"/v1/blocks/{block}/children")["results"]
        return [
            with_children(item, self._notion_blocks(item["id"]) if item["has_children"] else [])
            for item in found
        ]

    def _on_motion(self, task: str, fields: Mapping[str, Value]) -> None:
        there = self.ask("motion", "GET", f"/v1/tasks/{task}")
        given: Json = {"name": there["name"], "workspaceId": there["workspace"]["id"]}
        if "title" in fields:
            given["name"] = fields["title"]
        if "due" in fields:
            given["dueDate"] = f"{fields['due']}T23:59:59-08:00"
        if "status" in fields:
            given["status"] = _MOTION_STATUSES[str(fields["status"])]
        if "priority" in fields:
            given["priority"] = _MOTION_PRIORITIES.get(str(fields["priority"]), "LOW")
        if "estimate" in fields:
            given["duration"] = fields["estimate"] or "NONE"
        if "description" in fields:
            # Whoever writes a text anew takes the marker away with the old one.
            given["description"] = fields["description"] or ""
        self.ask("motion", "PATCH", f"/v1/tasks/{task}", given)

    def _read_motion(self, task: str) -> dict[str, Value]:
        found = self.ask("motion", "GET", f"/v1/tasks/{task}")
        status = found["status"]["name"]
        return {
            "title": found["name"],
            "status": next(s for s, n in _MOTION_STATUSES.items() if n == status),
            "due": _day(found["dueDate"]) if "dueDate" in found else None,
            "priority": next(p for p, n in _MOTION_PRIORITIES.items() if n == found["priority"]),
            "description": told(found["description"]),
            "estimate": minutes if isinstance(minutes := found.get("duration"), int) else None,
        }


def _day(instant: str) -> str:
    """Return the day of an instant where the account is."""
    there = datetime.fromisoformat(instant).astimezone(ZoneInfo("America/Los_Angeles"))
    return there.date().isoformat()


def _gitlab_path(issue: str) -> str:
    project, _, number = issue.partition("#")
    return f"/api/v4/projects/{project}/issues/{number}"

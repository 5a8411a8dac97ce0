"""What people made on the platforms before trueup came, through the platforms' own APIs."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.contract.people import Json, People

MARKDOWN = """\
# Why

It **matters**: see [the notes](https://example.com/a?b=1&c=2).

- one
- two: not a key # nor a comment

```python
print("grüße, 世界 🚀")
```
"""
TITLES = (
    "Pick the stack",
    "Größe der Übersicht prüfen",
    "世界",
    "Don't crash: `null` & friends",
    "2026",
    "yes",
    "A very long title that goes on and on until really nobody reads it to its end any more",
    "🚀",
)


@dataclass
class Linear:
    """A Linear workspace that people fill."""

    people: People
    team: str = "MOB"
    made: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        teams = self.ask("{ teams(first: 50) { nodes { id key } } }")["teams"]["nodes"]
        self.team_id = next(team["id"] for team in teams if team["key"] == self.team)
        states = self.ask("{ workflowStates(first: 250) { nodes { id type team { id } } } }")
        self.states = {
            state["type"]: state["id"]
            for state in reversed(states["workflowStates"]["nodes"])
            if state["team"]["id"] == self.team_id
        }
        users = self.ask("{ users(first: 50) { nodes { id email } } }")["users"]["nodes"]
        self.users = {user["email"]: user["id"] for user in users}

    def ask(self, document: str, **variables: object) -> Json:
        body = {"query": document, "variables": variables}
        answer = self.people.ask("linear", "POST", "/graphql", body)
        assert "errors" not in answer, answer
        return answer["data"]

    def make(self, kind: str, **fields: Any) -> str:
        """Make an object and return its id."""
        name = kind[0].lower() + kind[1:]
        given = {"teamId": self.team_id, **fields} if kind == "Issue" else fields
        document = (
            f"mutation Make($input: {kind}CreateInput!)"
            f" {{ {name}Create(input: $input) {{ {name} {{ id }} }} }}"
        )
        return self.ask(document, input=given)[f"{name}Create"][name]["id"]

    def project(self, name: str, **fields: Any) -> str:
        return self.make("Project", name=name, teamIds=[self.team_id], **fields)

    def issue(self, title: str, **fields: Any) -> str:
        if "status" in fields:
            fields["stateId"] = self.states[fields.pop("status")]
        issue = self.make("Issue", title=title, **fields)
        self.made.append(issue)
        return issue

    def blocks(self, blocker: str, blocked: str) -> None:
        self.make("IssueRelation", issueId=blocker, relatedIssueId=blocked, type="blocks")

    def fill(self, count: int, *, seed: int = 7) -> None:
        """Make so many issues of every sort, in two projects and in none."""
        dice = random.Random(seed)
        labels = [self.make("IssueLabel", name=n) for n in ("ios", "ünïcode", "needs design")]
        projects = [
            self.project("Mobile app", content=MARKDOWN, targetDate="2027-03-01", priority=2),
            self.project("Über-Redesign 2027"),
            None,
        ]
        beta = self.make(
            "ProjectMilestone", name="Beta", projectId=projects[0], targetDate="2027-02-01"
        )
        homes: dict[str, str | None] = {}
        for number in range(count):
            home = projects[number % 3]
            fields: dict[str, Any] = {"projectId": home} if home else {}
            mates = [issue for issue, there in homes.items() if there == home]
            if mates and number % 4 == 0:
                fields["parentId"] = dice.choice(mates[-20:])
            if home == projects[0] and number % 5 == 0:
                fields["projectMilestoneId"] = beta
            if number % 3 == 1:
                fields["description"] = MARKDOWN + "\n" + "Long. " * dice.randrange(200)
            if number % 5 == 1:
                fields["estimate"] = dice.choice([1, 2, 3, 5, 8])
            if number % 6 == 2:
                fields["dueDate"] = f"2027-01-{number % 28 + 1:02}"
            if number % 7 == 3:
                fields["labelIds"] = dice.sample(labels, 2)
            if number % 8 == 4:
                fields["assigneeId"] = dice.choice(list(self.users.values()))
            fields["priority"] = dice.randrange(5)
            kinds = ("backlog", "unstarted", "started", "unstarted", "completed", "canceled")
            fields["status"] = dice.choice(kinds)
            title = f"{TITLES[number % len(TITLES)]} {number // 40 or ''}"
            homes[self.issue(title, **fields)] = home
        for _ in range(count // 5):
            early, late = sorted(dice.sample(range(count), 2))
            self.blocks(self.made[early], self.made[late])
        for issue in dice.sample(self.made, count // 20):
            self.make(
                "Attachment", issueId=issue, url=f"https://example.com/{issue}", title="A file"
            )


@dataclass
class Gitlab:
    """A GitLab project that people fill."""

    people: People
    path: str = "jwp763%2Fmobile-app"

    def make(self, what: str, **fields: Any) -> Json:
        """Make an issue, label or milestone."""
        where = f"/api/v4/projects/{self.path}/{what}"
        return self.people.ask("gitlab", "POST", where, fields)

    def link(self, issue: Json, other: Json, kind: str) -> None:
        where = f"/api/v4/projects/{self.path}/issues/{issue['iid']}/links"
        target = {"target_project_id": other["project_id"], "target_issue_iid": other["iid"]}
        self.people.ask("gitlab", "POST", where, {**target, "link_type": kind})

    def close(self, issue: Json) -> None:
        where = f"/api/v4/projects/{self.path}/issues/{issue['iid']}"
        self.people.ask("gitlab", "PUT", where, {"state_event": "close"})


@dataclass
class Motion:
    """A Motion workspace that people fill."""

    people: People

    def __post_init__(self) -> None:
        spaces = self.people.ask("motion", "GET", "/v1/workspaces")["workspaces"]
        self.workspace: str = spaces[0]["id"]

    def make(self, what: str, name: str, **fields: Any) -> str:
        """Make a project or task and return its id."""
        body = {"name": name, "workspaceId": self.workspace, **fields}
        return self.people.ask("motion", "POST", f"/v1/{what}", body)["id"]


@dataclass
class Notion:
    """A Notion workspace with a database that people made for themselves."""

    people: People

    def __post_init__(self) -> None:
        body = {"query": "Work", "filter": {"property": "object", "value": "page"}}
        found = self.people.ask("notion", "POST", "/v1/search", body)["results"]
        self.page: str = found[0]["id"]

    def database(self, title: str, **columns: Json) -> tuple[str, str]:
        """Make a database; return its id and that of its data source."""
        made = self.people.ask(
            "notion",
            "POST",
            "/v1/databases",
            {
                "parent": {"type": "page_id", "page_id": self.page},
                "title": [{"type": "text", "text": {"content": title}}],
                "initial_data_source": {"properties": columns},
            },
        )
        return made["id"], made["data_sources"][0]["id"]

    def row(self, data_source: str, text: str = "", **properties: Json) -> str:
        """Make a row, with a paragraph in it, and return its id."""
        body: Json = {
            "parent": {"type": "data_source_id", "data_source_id": data_source},
            "properties": properties,
        }
        if text:
            paragraph = {"rich_text": [{"text": {"content": text}}]}
            body["children"] = [{"type": "paragraph", "paragraph": paragraph}]
        return self.people.ask("notion", "POST", "/v1/pages", body)["id"]

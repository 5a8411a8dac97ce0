"""Names to ids on Linear: teams with their states, people, labels, project statuses.

Looked up in bulk, kept in `Connection.lookups` between runs, and looked up again only when a name
is missing. What is kept is read with distrust: an entry of another shape counts as missing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from reconcilers._linear_graphql import Json, Step, mutate, query
from reconcilers._transport import Transport
from schemas.domain import Change, Value
from schemas.errors import PermanentError

NAMES = 100
"""How many names of a kind one look-up asks for; keeps it under 6,000 points."""

ISSUE_STATES = {
    "backlog": "backlog",
    "todo": "unstarted",
    "in_progress": "started",
    "done": "completed",
    "canceled": "canceled",
}
"""By status, the type of the workflow states that stand for it."""

PROJECT_STATUSES = {
    "backlog": "backlog",
    "todo": "planned",
    "in_progress": "started",
    "done": "completed",
    "canceled": "canceled",
}

SCALES = {
    "exponential": ((1, 2, 4, 8, 16), (32, 64)),
    "fibonacci": ((1, 2, 3, 5, 8), (13, 21)),
    "linear": ((1, 2, 3, 4, 5), (6, 7)),
    "tShirt": ((1, 2, 3, 5, 8), (13, 21)),
}
"""By `issueEstimationType`, the points of its scale and those that "extended" adds."""

Entry: TypeAlias = "dict[str, object]"

_PARTS = {
    "teams": (
        "$teams: [String!]!",
        "teams(first: 50, filter: {key: {in: $teams}}) { nodes { id key issueEstimationType"
        " issueEstimationExtended states(first: 50) { nodes { id type position } } } }",
    ),
    "people": (
        "$people: [String!]!",
        "users(first: 200, filter: {or: [{email: {in: $people}}, {displayName: {in: $people}}]})"
        " { nodes { id email displayName } }",
    ),
    "labels": (
        "$labels: [IssueLabelFilter!]!",
        "issueLabels(first: 250, filter: {or: $labels}) { nodes { id name isGroup team { id } } }",
    ),
    "project_labels": (
        "$project_labels: [ProjectLabelFilter!]!",
        "projectLabels(first: 250, filter: {or: $project_labels}) { nodes { id name isGroup } }",
    ),
    "statuses": ("", "organization { projectStatuses { id type position } }"),
}


@dataclass(frozen=True, slots=True)
class Team:
    """A Linear team: its states by type, and the points it estimates with (none: it does not)."""

    id: str
    states: Mapping[str, str]
    scale: tuple[int, ...]


@dataclass(slots=True)
class Needs:
    """The names that a run is going to use.

    Attributes:
        labels: (name, team key) of labels to be put on issues; made when missing.
        known_labels: (name, team key) of labels to be taken off; never made.
    """

    teams: set[str] = field(default_factory=set[str])
    people: set[str] = field(default_factory=set[str])
    labels: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    known_labels: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    project_labels: set[str] = field(default_factory=set[str])
    statuses: bool = False


def unknown_names(changes: Iterable[Change], known: Mapping[str, object]) -> set[str]:
    """Return the lookups (`teams`, `labels`, ...) that lack a name which `changes` use."""
    used: set[tuple[str, str]] = set()
    for change in changes:
        values = change.values()
        labels = "project_labels" if change.kind == "project" else "labels"
        if change.kind != "milestone" and isinstance(team := values.get("container"), str):
            used.add(("teams", team))
        if isinstance(owner := values.get("owner"), str):
            used.add(("people", owner.casefold()))
        before = {item.name: item.before for item in change.fields}
        for label in _set(values.get("labels")) - _set(before.get("labels")):
            used.add((labels, label.casefold()))
        if change.kind == "project" and isinstance(status := values.get("status"), str):
            used.add(("statuses", PROJECT_STATUSES[status]))
    tables = {n: cast("Entry", table) for n, table in known.items() if isinstance(table, dict)}
    return {table for table, name in used if name not in tables.get(table, {})}


class Directory:
    """What is known by name, backed by `lookups`, which it keeps up to date."""

    def __init__(self, transport: Transport, lookups: dict[str, object]) -> None:
        self._transport = transport
        self._lookups = lookups
        self._known = copy.deepcopy(lookups)
        self._good = True

    async def fill(self, needs: Needs) -> None:
        """Look up what is missing, then make the labels that are still missing."""
        await self._look_up(needs)
        await self._make_labels(needs)
        self._keep()

    async def _make_labels(self, needs: Needs) -> None:
        labels = {
            name.casefold(): name for name, team in needs.labels if not self.label(name, team)
        }
        project_labels = {
            n.casefold(): n for n in needs.project_labels if not self.project_label(n)
        }
        if not labels and not project_labels:
            return
        steps = [_label("issueLabelCreate", name) for name in sorted(labels.values())]
        steps += [_label("projectLabelCreate", name) for name in sorted(project_labels.values())]
        receipts = await mutate(self._transport, steps)
        for step, receipt in zip(steps, receipts, strict=True):
            name = cast("Json", step.arguments["input"][1])["name"]
            for stub in receipt.objects:
                self._learn_label(step.field == "projectLabelCreate", stub.id, name, "")
        if any(not receipt.objects for receipt in receipts):
            await self._look_up(needs)

    def forget(self) -> None:
        """Keep nothing for the next run: an id may be no longer good."""
        self._good = False
        self._lookups.clear()

    def team(self, key: str) -> Team:
        """Return the team called `key`.

        Raises:
            PermanentError: there is none, or the token cannot see it.
        """
        entry = self._table("teams").get(key)
        if not isinstance(entry, dict):
            raise PermanentError(
                f"there is no team {key}" if key else "no team is configured",
                platform="linear",
                code="not_found",
                hint="set `team` in the Integrations spec to a team key that the token can see",
            )
        kept = cast("Entry", entry)
        states = kept.get("states")
        scale = kept.get("scale")
        return Team(
            str(kept.get("id")),
            cast("dict[str, str]", states) if isinstance(states, dict) else {},
            tuple(cast("list[int]", scale)) if isinstance(scale, list) else (),
        )

    def person(self, identity: str) -> str | None:
        """Return the id of the user with this e-mail address or display name."""
        return self._text("people", identity.casefold())

    def status(self, status: str) -> str | None:
        """Return the id of the first project status that stands for `status`."""
        return self._text("statuses", PROJECT_STATUSES.get(status, ""))

    def label(self, name: str, team: str) -> str | None:
        """Return the id of the label that issues of the team `team` can bear, whatever its case."""
        teams = self._table("teams")
        own = cast("Entry", teams[team]).get("id") if isinstance(teams.get(team), dict) else None
        entry = self._table("labels").get(name.casefold())
        by_team = cast("dict[str, str]", entry) if isinstance(entry, dict) else {}
        return by_team.get(str(own)) or by_team.get("")

    def project_label(self, name: str) -> str | None:
        """Return the id of the label that projects can bear, whatever its case."""
        return self._text("project_labels", name.casefold())

    def teams_of(self, project_id: str) -> tuple[str, ...]:
        """Return the ids of the teams that a project is known to have; none when unknown."""
        entry = self._table("projects").get(project_id)
        return tuple(cast("list[str]", entry)) if isinstance(entry, list) else ()

    def remember_teams(self, project_id: str, teams: Iterable[str]) -> None:
        """Keep the ids of a project's teams."""
        self._table("projects")[project_id] = list(teams)
        self._keep()

    async def _look_up(self, needs: Needs) -> None:
        missing = self._missing(needs)
        while any(missing.values()):
            part = {name: values[:NAMES] for name, values in missing.items() if values}
            missing = {name: values[NAMES:] for name, values in missing.items()}
            declared = ", ".join(_PARTS[name][0] for name in part if _PARTS[name][0])
            fields = " ".join(_PARTS[name][1] for name in part)
            document = f"query LookUp{f'({declared})' if declared else ''} {{ {fields} }}"
            variables = {name: values for name, values in part.items() if name != "statuses"}
            await query(
                self._transport, document, variables, self._learn, name="LookUp", points=6_000
            )

    def _missing(self, needs: Needs) -> dict[str, Sequence[object]]:
        teams = self._table("teams")
        labels = {
            name.casefold()
            for name, team in needs.labels | needs.known_labels
            if not self.label(name, team)
        }
        people = {who for who in needs.people if not self.person(who)}
        project_labels = {
            name.casefold() for name in needs.project_labels if not self.project_label(name)
        }
        statuses = needs.statuses and not self._table("statuses")
        return {
            "teams": sorted(key for key in needs.teams if not isinstance(teams.get(key), dict)),
            "people": sorted(people | {who.lower() for who in people}),
            "labels": _any_case(labels),
            "project_labels": _any_case(project_labels),
            "statuses": [True] if statuses else [],
        }

    def _learn(self, data: Json) -> None:
        for node in _nodes(data, "teams"):
            self._table("teams")[node["key"]] = {
                "id": node["id"],
                "states": _first_of_each(node["states"]["nodes"]),
                "scale": _scale(node["issueEstimationType"], node["issueEstimationExtended"]),
            }
        for node in _nodes(data, "users"):
            self._table("people")[node["displayName"].casefold()] = node["id"]
            self._table("people")[node["email"].casefold()] = node["id"]
        for node in _nodes(data, "issueLabels"):
            if not node["isGroup"]:
                team = node["team"]["id"] if node["team"] else ""
                self._learn_label(False, node["id"], node["name"], team)
        for node in _nodes(data, "projectLabels"):
            if not node["isGroup"]:
                self._learn_label(True, node["id"], node["name"], "")
        if "organization" in data:
            self._table("statuses").update(_first_of_each(data["organization"]["projectStatuses"]))

    def _learn_label(self, of_projects: bool, label_id: str, name: str, team: str) -> None:
        if of_projects:
            self._table("project_labels")[name.casefold()] = label_id
            return
        table = self._table("labels")
        entry = table.get(name.casefold())
        by_team = cast("Entry", entry) if isinstance(entry, dict) else {}
        table[name.casefold()] = {**by_team, team: label_id}

    def _keep(self) -> None:
        if self._good:
            self._lookups.update(self._known)

    def _table(self, name: str) -> Entry:
        kept = self._known.get(name)
        if not isinstance(kept, dict):
            kept = self._known[name] = {}
        return cast("Entry", kept)

    def _text(self, table: str, key: str) -> str | None:
        value = self._table(table).get(key)
        return value if isinstance(value, str) else None


def _set(value: Value) -> set[str]:
    return set(value) if isinstance(value, tuple) else set()


def _label(field: str, name: str) -> Step:
    kind = "IssueLabelCreateInput!" if field == "issueLabelCreate" else "ProjectLabelCreateInput!"
    node = "issueLabel" if field == "issueLabelCreate" else "projectLabel"
    return Step(
        field,
        {"input": (kind, {"name": name})},
        f"success objects: {node} {{ id url: id updatedAt }}",
    )


def _any_case(folded: Iterable[str]) -> list[object]:
    return [{"name": {"eqIgnoreCase": name}} for name in sorted(folded)]


def _nodes(data: Json, name: str) -> list[Json]:
    return cast("list[Json]", data[name]["nodes"]) if name in data else []


def _first_of_each(states: list[Json]) -> dict[str, object]:
    """Return by type the id of the first state of that type, in the order people see."""
    first: dict[str, object] = {}
    for state in sorted(states, key=lambda state: state["position"]):
        first.setdefault(state["type"], state["id"])
    return first


def _scale(kind: str, extended: bool) -> list[int]:
    plain, more = SCALES.get(kind, ((), ()))
    return [*plain, *more] if extended else list(plain)

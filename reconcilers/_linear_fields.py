"""The field map of Linear, and the pure conversions between our values and its own.

Links and dependencies are objects of their own there (attachments, external links, relations).
Their ids follow from the ids at both ends, so that they can be removed again without a look-up,
and what people attach or relate under other ids is left alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from reconcilers._contract import Field, Links, Observed
from reconcilers._linear_directory import (
    ISSUE_STATES,
    PROJECT_STATUSES,
    SCALES,
    Directory,
    Team,
)
from reconcilers._linear_graphql import Json, Problem, Step
from schemas.domain import FieldChange, Kind, Person, Value, resource_id

FIELDS: tuple[Field, ...] = (
    Field("title", "title", ("task",)),
    Field("title", "name", ("project", "milestone")),
    Field("description", "description", ("milestone", "task"), note="Markdown"),
    Field("description", "content", ("project",), note="Markdown; the short summary is left alone"),
    Field(
        "status",
        "statusId",
        ("project",),
        note="the first status of that type",
        initial=("backlog", "todo"),
    ),
    Field(
        "status",
        "stateId",
        ("task",),
        note="the team's first state of that type",
        initial=("backlog", "todo"),
    ),
    Field("priority", "priority", ("project", "task"), initial=("none",)),
    Field("owner", "leadId", ("project",), note="by e-mail address or display name"),
    Field("owner", "assigneeId", ("task",), note="by e-mail address or display name"),
    Field("start", "startDate", ("project",)),
    Field("due", "targetDate", ("project", "milestone")),
    Field("due", "dueDate", ("task",)),
    Field(
        "estimate",
        "estimate",
        ("task",),
        note="if the team estimates: a point is half a day, rounded to the team's scale",
        approximate=True,
    ),
    Field("labels", "labelIds", ("project", "task"), note="made when missing"),
    Field("links", "externalLinks", ("project",)),
    Field("links", "attachments", ("task",), note="those of integrations are left alone"),
    Field("project", "projectId", ("milestone", "task")),
    Field("milestone", "projectMilestoneId", ("task",)),
    Field("parent", "parentId", ("task",)),
    Field("depends_on", "inverseRelations", ("task",), note="relations of type `blocks`"),
    Field("container", "teamIds", ("project",), note="and the teams of its tasks", observed=False),
    Field("container", "teamId", ("task",)),
)

MINUTES_A_POINT = 240

PRIORITIES = ("none", "urgent", "high", "medium", "low")
"""By Linear's number."""

_REMOTE = {(kind, item.name): item.remote for item in FIELDS for kind in item.kinds}

_STATUS_OF: Mapping[Kind, Mapping[str, str]] = {
    "project": {kind: status for status, kind in PROJECT_STATUSES.items()} | {"paused": "todo"},
    "task": {kind: status for status, kind in ISSUE_STATES.items()}
    | {"triage": "backlog", "duplicate": "canceled"},
}

_POSITION = "trueup"
"""The key of an attachment's metadata that holds its place among the declared links."""


@dataclass(frozen=True, slots=True)
class Names:
    """How our words become Linear's ids for one object.

    Attributes:
        new: by address, the ids of what is being made in the same request.
        team_key: the team that the object belongs to; empty where it plays no part.
        team: the same, looked up.
    """

    directory: Directory
    links: Links
    new: Mapping[str, str]
    team_key: str = ""
    team: Team | None = None

    def remote_id(self, address: str) -> str | None:
        """Return the id bound to `address`, or about to be."""
        return self.links.remote_id(address) or self.new.get(address)


@dataclass(frozen=True, slots=True)
class Extra:
    """A mutation beside the main one: a link or a dependency.

    Attributes:
        what: names it in a warning when it fails.
        forgive: the failure that means that it was done before.
    """

    step: Step
    what: str
    forgive: Literal["duplicate", "missing", ""] = ""

    def failed(self, problem: Problem) -> bool:
        """Return whether `problem` is one that people should hear of."""
        if self.forgive == "duplicate":
            return not problem.duplicate
        return not (self.forgive == "missing" and problem.missing)


@dataclass(slots=True)
class Draft:
    """What is to be sent for one object, and what of it cannot be."""

    input: dict[str, object] = field(default_factory=dict[str, object])
    extras: list[Extra] = field(default_factory=list[Extra])
    warnings: list[str] = field(default_factory=list[str])
    echo: dict[str, Value] = field(default_factory=dict[str, Value])
    complete: bool = True

    def lack(self, warning: str, *, complete: bool = True) -> None:
        """Note what is not done as declared; `complete=False` has the next plan look again."""
        self.warnings.append(warning)
        self.complete = self.complete and complete


def to_remote(
    kind: Kind, object_id: str, changes: Sequence[FieldChange], names: Names, *, new: bool
) -> Draft:
    """Return what brings `changes` about on the object `object_id`."""
    draft = Draft()
    for change in changes:
        remote = _REMOTE.get((kind, change.name))
        if remote is None:
            continue
        if change.name == "labels":
            _put_labels(draft, kind, change, names, new=new)
        elif change.name == "links":
            draft.extras += _link_steps(kind, object_id, change)
        elif change.name == "depends_on":
            _put_dependencies(draft, object_id, change, names)
        elif change.name == "container":
            team_id = names.team.id if names.team else None
            draft.input[remote] = [team_id] if kind == "project" else team_id
        else:
            _put(draft, kind, remote, change, names)
    return draft


def from_remote(kind: Kind, node: Json, links: Links, people: Mapping[str, Person]) -> Observed:
    """Return what Linear tells of an object, in our words."""
    fields: dict[str, Value] = {
        "title": node["title"],
        "description": node["description"] or None,
        "due": node["due"],
    }
    if kind != "milestone":
        fields["status"] = _STATUS_OF[kind].get(node["status"]["type"], "in_progress")
        fields["priority"] = PRIORITIES[int(node["priority"])]
        fields["owner"] = _owner(node["owner"], people)
        fields["labels"] = tuple(sorted(label["name"] for label in node["labels"]["nodes"]))
    if kind == "project":
        fields["start"] = node["start"]
        fields["links"] = _links(
            (item["url"], item["label"], item["sortOrder"]) for item in node["links"]["nodes"]
        )
    if kind == "task":
        fields["container"] = node["team"]["key"]
        if node["team"]["issueEstimationType"] in SCALES:
            fields["estimate"] = minutes(node["estimate"])
        fields["depends_on"] = _dependencies(node["inverseRelations"]["nodes"], links)
        fields["links"] = _links(
            (item["url"], item["title"], item["metadata"].get(_POSITION))
            for item in node["links"]["nodes"]
            if _POSITION in item["metadata"] or item["sourceType"] in {None, "unknown"}
        )
    for name in ("project", "milestone", "parent"):
        if name in node:
            _read_reference(fields, name, node[name], links)
    automatic = node.get("autoArchivedAt") and not node.get("trashed")
    return Observed(
        kind=kind,
        remote_id=node["id"],
        marker=node["id"],
        fields=fields,
        url=node["url"] if "url" in node else node["project"]["url"],
        revision=node["updatedAt"],
        # Linear archives what is long done by itself; nobody has put that away.
        archived=bool(node.get("trashed") or (node["archivedAt"] and not automatic)),
        updated_at=node["updatedAt"],
    )


def canonical(name: str, value: Value) -> Value:
    """Return the form in which values are compared after a read.

    Linear keeps one spelling of each label, whatever the case, cuts white space at the end of
    Markdown, and writes e-mail addresses in lower case. White space around a title says nothing.
    """
    if name == "title" and isinstance(value, str):
        return value.strip()
    if name == "labels" and isinstance(value, tuple):
        return tuple(sorted(label.casefold() for label in value))
    if name == "owner" and isinstance(value, str):
        return value.casefold()
    if name == "description" and isinstance(value, str):
        return value.rstrip()
    return value


def points(minutes: int, scale: Sequence[int]) -> int:
    """Return the estimate on a team's scale that is nearest to `minutes`, the higher of two."""
    exact = minutes / MINUTES_A_POINT
    return min(scale, key=lambda step: (abs(step - exact), -step))


def minutes(points: float | None) -> int | None:
    """Return the work that points stand for; none of them stand for none."""
    return round((points or 0) * MINUTES_A_POINT) or None


def strings(value: Value) -> tuple[str, ...]:
    """Return a list value, whatever stands for an empty one."""
    return value if isinstance(value, tuple) else ()


def _put(draft: Draft, kind: Kind, remote: str, change: FieldChange, names: Names) -> None:
    name, value = change.name, change.after
    if name == "priority":
        draft.input[remote] = PRIORITIES.index(str(value or "none"))
    elif name == "description":
        draft.input[remote] = value or ""
    elif name == "estimate":
        scale = names.team.scale if names.team else ()
        if scale:
            given = points(value, scale) if isinstance(value, int) else None
            draft.input[remote] = given
            # Three hours are a point, and a point is four hours: neither is an edit of the other.
            draft.echo |= {} if minutes(given) == value else {name: minutes(given)}
    elif name == "status" and value is None:
        return
    elif name in {"status", "owner", "project", "milestone", "parent"} and value is not None:
        found = _id_of(kind, name, str(value), names)
        if found:
            draft.input[remote] = found
        else:
            _lack(draft, name, str(value))
    else:
        draft.input[remote] = value


def _id_of(kind: Kind, name: str, value: str, names: Names) -> str | None:
    if name == "owner":
        return names.directory.person(value)
    if name != "status":
        return names.remote_id(value)
    if kind == "project":
        return names.directory.status(value)
    return names.team.states.get(ISSUE_STATES.get(value, "")) if names.team else None


def _lack(draft: Draft, name: str, value: str) -> None:
    if name == "owner":
        draft.lack(f"{value} has no account on Linear; the owner was left as it is")
    elif name == "status":
        draft.lack(f"Linear has no state here that means {value}; it was left as it is")
    else:
        draft.lack(f"the {name} {value} is not on Linear", complete=False)


def _put_labels(draft: Draft, kind: Kind, change: FieldChange, names: Names, *, new: bool) -> None:
    def label_id(name: str) -> str | None:
        if kind == "project":
            return names.directory.project_label(name)
        return names.directory.label(name, names.team_key)

    wanted: list[str] = []
    for name in strings(change.after):
        found = label_id(name)
        if found:
            wanted.append(found)
        else:
            draft.lack(f"the label {name} could not be made on Linear")
    if new or kind == "project":
        # A project's labels can only be replaced; Linear has no way to add one.
        draft.input["labelIds"] = wanted
        return
    former = [found for name in strings(change.before) if (found := label_id(name))]
    draft.input["addedLabelIds"] = [i for i in wanted if i not in former]
    draft.input["removedLabelIds"] = [i for i in former if i not in wanted]


def _put_dependencies(draft: Draft, issue: str, change: FieldChange, names: Names) -> None:
    before, after = set(strings(change.before)), set(strings(change.after))
    for address in sorted(after - before):
        blocker = names.remote_id(address)
        if blocker is None:
            _lack(draft, "dependency", address)
            continue
        relation = {
            "id": resource_id(blocker, f"blocks {issue}"),
            "issueId": blocker,
            "relatedIssueId": issue,
            "type": "blocks",
        }
        step = Step("issueRelationCreate", {"input": ("IssueRelationCreateInput!", relation)})
        draft.extras.append(Extra(step, f"depends on {address}", "duplicate"))
    for address in sorted(before - after):
        blocker = names.remote_id(address)
        if blocker is not None:
            gone = resource_id(blocker, f"blocks {issue}")
            step = Step("issueRelationDelete", {"id": ("String!", gone)})
            draft.extras.append(Extra(step, f"no longer depends on {address}", "missing"))


def _link_steps(kind: Kind, object_id: str, change: FieldChange) -> list[Extra]:
    before, after = _placed(change.before), _placed(change.after)
    make = _external_link if kind == "project" else _attachment
    extras = [
        Extra(make(object_id, url, title, place, new=url not in before), f"link {url}", "duplicate")
        for url, (title, place) in after.items()
        if before.get(url) != (title, place)
    ]
    delete = "entityExternalLinkDelete" if kind == "project" else "attachmentDelete"
    for url in before:
        if url not in after:
            step = Step(delete, {"id": ("String!", resource_id(object_id, f"link {url}"))})
            extras.append(Extra(step, f"link {url} removed", "missing"))
    return extras


def _attachment(issue: str, url: str, title: str, place: int, *, new: bool) -> Step:
    # The mutation updates the attachment of the same issue and URL where there is one.
    attachment: dict[str, object] = {"id": resource_id(issue, f"link {url}")} if new else {}
    attachment |= {"issueId": issue, "url": url, "title": title, "metadata": {_POSITION: place}}
    return Step("attachmentCreate", {"input": ("AttachmentCreateInput!", attachment)})


def _external_link(project: str, url: str, title: str, place: int, *, new: bool) -> Step:
    link_id = resource_id(project, f"link {url}")
    shown: dict[str, object] = {"label": title, "sortOrder": float(place)}
    if not new:
        given = {"id": ("String!", link_id), "input": ("EntityExternalLinkUpdateInput!", shown)}
        return Step("entityExternalLinkUpdate", given)
    link = {"id": link_id, "projectId": project, "url": url, **shown}
    return Step("entityExternalLinkCreate", {"input": ("EntityExternalLinkCreateInput!", link)})


def _placed(value: Value) -> dict[str, tuple[str, int]]:
    """Return title and place by URL, of links as they are declared."""
    placed: dict[str, tuple[str, int]] = {}
    for place, link in enumerate(strings(value)):
        url, _, title = link.partition(" ")
        placed[url] = (title.strip() or url, place)
    return placed


def _links(items: Iterable[tuple[str, str, float | None]]) -> tuple[str, ...]:
    def place(item: tuple[str, str, float | None]) -> tuple[float, str]:
        return (math.inf if item[2] is None else item[2], item[0])

    return tuple(
        url if title in {"", url} else f"{url} {title}"
        for url, title, _ in sorted(items, key=place)
    )


def _dependencies(relations: Sequence[Json], links: Links) -> tuple[str, ...]:
    blockers = (item["issue"]["id"] for item in relations if item["type"] == "blocks")
    return tuple(sorted({a for blocker in blockers if (a := links.address(blocker))}))


def _owner(user: Json | None, people: Mapping[str, Person]) -> str | None:
    if user is None:
        return None
    return user["displayName"] if user["displayName"] in people else user["email"]


def _read_reference(fields: dict[str, Value], name: str, node: Json | None, links: Links) -> None:
    if node is None:
        fields[name] = None
    elif address := links.address(node["id"]):
        fields[name] = address

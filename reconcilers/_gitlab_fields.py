"""GitLab's field map, and the pure conversions between our fields and an object's properties."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from reconcilers import _gitlab_text as text
from reconcilers import _gitlab_wire as wire
from reconcilers._contract import Field, Links, Observed, Operation
from reconcilers._gitlab_wire import Remote, ref
from schemas.domain import Change, Fields, Kind, Value, project_of

COLOR = "#6699cc"
PROJECT = "project::"
CANCELED = "status::canceled"
STATUSES = {
    "status::backlog": "backlog",
    "status::in_progress": "in_progress",
    CANCELED: "canceled",
}
PRIORITIES = {f"priority::{name}": name for name in ("urgent", "high", "medium", "low")}
ARCHIVED = "trueup::archived"
"""Tells an issue that was pruned from one that is done: both are closed."""

CLOSED = frozenset({"done", "canceled"})
NOT_CARRIED = ("labels", "milestone", "owner", "priority", "project", "status")
"""What an issue may lose when it moves to a GitLab project that does not have the same."""

OVERLAP = timedelta(minutes=10)
"""How far back `observe` looks beyond what it is asked for, since clocks differ."""

FIELDS = (
    Field("title", "label description", ("project",)),
    Field("key", "label name", ("project",), note="a label `project::KEY`"),
    Field("title", "title", ("milestone", "task"), note="a milestone's is made unique by its key"),
    Field("description", "description", ("milestone", "task"), note="the marker comment follows"),
    Field(
        "status",
        "state, `status::` label",
        note="closed for done and canceled, else open",
        initial=("todo",),
    ),
    Field("priority", "`priority::` label", initial=("none",)),
    Field("owner", "assignee_ids", note="a member of the GitLab project, by user name"),
    Field("due", "due_date", ("milestone", "task")),
    Field("estimate", "weight", note="whole hours, rounded up; Premium and Ultimate only"),
    Field("labels", "labels", note="labels that people add stay"),
    Field("links", "description", note="a list below the text"),
    Field("milestone", "milestone_id"),
    Field("depends_on", "issue links", note="`relates to` on GitLab Free", observed=False),
    Field("project", "`project::` label"),
    Field("container", "project", ("project", "milestone", "task")),
)


def canonical(name: str, value: Value) -> Value:
    """Return the form in which two values of a field are compared after a read."""
    return weight(value) * 60 or None if name == "estimate" else value


def weight(estimate: Value) -> int:
    """Return an issue's weight for an estimate in minutes: hours, rounded up; 0 for none."""
    return -(-int(estimate) // 60) if isinstance(estimate, int) else 0


def from_remote(
    remote: Remote, container: str, address: str, links: Links, users: Mapping[str, int]
) -> Observed:
    """Return an object in our words.

    Args:
        remote: what GitLab answered.
        container: the path of the GitLab project that it is in.
        address: the resource's address.
        links: for references, as far as they are bound.
        users: GitLab's user ids by the identities that we know them by.
    """
    fields: dict[str, Value] = {"title": remote.title, "container": container}
    kind: Kind = "project"
    archived = False
    if remote.ref.sigil == "~":
        title, marker = text.read_label(remote.body)
        fields.update(title=title, key=remote.title.removeprefix(PROJECT))
    else:
        body = text.read(remote.body)
        marker, archived = body.marker, remote.closed
        fields.update(description=body.description, due=remote.due)
    if remote.ref.sigil == "%":
        kind = "milestone"
        fields.update(title=remote.title.removesuffix(suffix(address)))
    elif remote.ref.sigil == "#":
        kind, archived = "task", remote.closed and ARCHIVED in remote.labels
        fields.update(_issue_fields(remote, links, users))
    return Observed(
        kind=kind,
        remote_id=str(remote.ref),
        marker=marker,
        fields=fields,
        url=remote.url,
        revision=remote.updated_at,
        archived=archived,
        updated_at=remote.updated_at,
    )


def _issue_fields(remote: Remote, links: Links, users: Mapping[str, int]) -> dict[str, Value]:
    labels = remote.labels
    fields: dict[str, Value] = {
        "status": _status(remote),
        "priority": next((name for label, name in PRIORITIES.items() if label in labels), "none"),
        "labels": tuple(label for label in labels if not _reserved(label)),
        "links": text.read(remote.body).links,
        "milestone": links.address(str(remote.milestone)) if remote.milestone else None,
        "owner": None,
    }
    if remote.assignee:
        number, name = remote.assignee
        fields["owner"] = next((who for who, user in users.items() if user == number), name)
    if remote.weighted:
        fields["estimate"] = remote.weight * 60 or None
    projects = [label.removeprefix(PROJECT) for label in labels if label.startswith(PROJECT)]
    if len(projects) == 1 and links.remote_id(projects[0]):
        fields["project"] = projects[0]
    return fields


def _status(remote: Remote) -> str:
    if remote.closed:
        return "canceled" if CANCELED in remote.labels else "done"
    found = [status for label, status in STATUSES.items() if label in remote.labels]
    open_status = [status for status in found if status not in CLOSED]
    return open_status[-1] if open_status else "todo"


def _reserved(label: str) -> bool:
    ours = {*STATUSES, *PRIORITIES, ARCHIVED}
    return label in ours or label.startswith(PROJECT)


def to_remote(after: Fields, links: Links, users: Mapping[str, int]) -> dict[str, object]:
    """Return an issue's properties for `after`; its labels, state and text come beside them."""
    body: dict[str, object] = {}
    if "title" in after:
        body["title"] = after["title"]
    if "due" in after:
        body["due_date"] = after["due"] or ""
    if "estimate" in after:
        body["weight"] = weight(after["estimate"])
    if "owner" in after:
        body["assignee_ids"] = [users.get(str(after["owner"]), 0)]
    if "milestone" in after:
        bound = links.remote_id(str(after["milestone"])) if after["milestone"] else None
        body["milestone_id"] = ref(bound).number if bound else 0
    return body


def label_changes(after: Fields, before: Fields) -> tuple[list[str], list[str]]:
    """Return which labels to add and which to take away: those that people added stay."""
    add, remove = set[str](), set[str]()
    if "labels" in after:
        wanted, agreed = texts(after["labels"]), texts(before.get("labels"))
        add |= wanted - agreed
        remove |= agreed - wanted
    # GitLab Free knows no scopes, so the other labels of a scope are taken away by name.
    for name, scope in (("status", STATUSES), ("priority", PRIORITIES)):
        if name in after:
            add |= {label for label, value in scope.items() if value == after[name]}
            remove |= scope.keys()
    if "project" in after:
        add |= {PROJECT + key for key in [after["project"]] if isinstance(key, str)}
        remove |= {PROJECT + key for key in [before.get("project")] if isinstance(key, str)}
    return sorted(add), sorted(remove - add)


def difference(name: str, wanted: Value) -> str:
    if name == "owner" and wanted:
        return f"{wanted} is no member of the GitLab project: not assigned"
    return f"GitLab keeps another {name} than declared"


def compose(operation: Operation, about: str | None = None) -> str:
    """Return the description to send: `about`, or the desired text, with links and marker."""
    description = about or operation.desired.get("description")
    links = [str(link) for link in wire.items(operation.desired.get("links"))]
    shown = str(description) if description else None
    return text.compose(text.Text(shown, tuple(links), operation.marker))


def suffix(address: str) -> str:
    """Return what makes a milestone's title unique among those of other projects of ours."""
    return f" ({project_of(address)})"


def before_of(change: Change) -> dict[str, Value]:
    return {item.name: item.before for item in change.fields}


def needs_of(fields: Fields) -> set[str]:
    return texts(fields.get("depends_on"))


def texts(value: Value) -> set[str]:
    return {str(item) for item in wire.items(value)}

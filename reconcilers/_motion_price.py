"""Which requests a change takes on Motion, and how many a list of changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconcilers._contract import Price
from reconcilers._motion_fields import items, mapping, read_workspace, strings
from schemas.domain import Change, Value, project_of


@dataclass(frozen=True, slots=True)
class Steps:
    """The requests that an update or a move takes, in this order."""

    move: bool
    unassign: bool
    patch: bool


def steps_of(change: Change) -> Steps:
    """Return the requests that an update or a move takes."""
    values = change.values()
    move = "container" in values
    unassign = "owner" in values and values["owner"] is None
    impossible = {name for name in ("due", "project") if name in values and values[name] is None}
    rest = values.keys() - {"container"} - impossible - ({"owner"} if unassign else set())
    # A move resets status, labels and project, so a full update follows it.
    return Steps(move, unassign, move or bool(rest))


def price(changes: Sequence[Change], known: Mapping[str, object]) -> Price:
    """Return how many requests `changes` take; statuses, people and time zone only if unknown.

    Look-ups by marker are counted as one page each; a full workspace takes more.
    """
    total = 0
    for change in changes:
        if change.action in {"update", "move"}:
            steps = steps_of(change)
            total += steps.move + steps.unassign + steps.patch
        else:
            total += 1
    values = [change.values() for change in changes]
    users, owners = mapping(known.get("users")), {v.get("owner") for v in values}
    workspaces = [read_workspace(mapping(row)) for row in items(known.get("workspaces"))]
    labels = {label for value in values for label in strings(value.get("labels"))}
    if not workspaces or not labels <= {name for w in workspaces for name in w.labels}:
        total += any(change.action != "delete" for change in changes)
    total += any(o is not None and str(o).casefold() not in users for o in owners)
    if not known.get("timezone"):
        total += any(v.get("due") is not None and v.get("owner") is None for v in values)
    return Price(total + _lists([change for change in changes if change.action == "create"]))


def _lists(creates: Sequence[Change]) -> int:
    """Return how many lists `find` reads before `creates`."""
    new = {change.address for change in creates if change.kind == "project"}
    containers = {change.values().get("container") for change in creates if change.address in new}
    whole: set[Value] = set()
    projects: dict[Value, set[str]] = {}
    for change in creates:
        if change.kind == "project":
            continue
        container, project = change.values().get("container"), project_of(change.address)
        projects.setdefault(container, set()).add(project)
        if project in new:
            whole.add(container)
    return len(containers) + sum(
        1 if container in whole else len(known) for container, known in projects.items()
    )

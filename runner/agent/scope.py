"""The gate: operations that go beyond what a request may change are refused, whoever proposes them.

Pure, and closed: what an operation touches is read off its type, and an operation of a type that
is not known here touches everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from runner.agent.contract import Draft, Scope
from schemas import operations as op
from schemas.domain import project_of

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_DRAFT = 200_000
"""Characters that a draft may have in all."""

_SETTINGS = (op.AddPerson, op.UpdatePerson, op.SetIntegration, op.SetPolicy)
_REMOVALS = (op.RemoveTask, op.RemoveMilestone, op.ArchiveProject)


def beyond(draft: Draft, scope: Scope, existing: Collection[str]) -> list[str]:
    """Return what in a draft goes beyond its scope, in words for whoever drafted it.

    Args:
        draft: what is proposed.
        scope: what the request may change.
        existing: the keys of the projects that there are.
    """
    return list(_beyond(draft, scope, existing))


def _beyond(draft: Draft, scope: Scope, existing: Collection[str]) -> Iterator[str]:
    operations = draft.operations
    if len(operations) > scope.max_operations:
        yield f"{len(operations)} operations; at most {scope.max_operations} are allowed"
    if (size := len(draft.model_dump_json())) > MAX_DRAFT:
        yield f"the draft has {size} characters; at most {MAX_DRAFT} are allowed"
    removals = [item for item in operations if isinstance(item, _REMOVALS)]
    if len(removals) > scope.max_removals:
        yield f"{len(removals)} removals; at most {scope.max_removals} are allowed"
    made = _made(operations)
    strange = [key for key in made if key not in scope.projects]
    if len(strange) > scope.new_projects:
        allowed = f"at most {scope.new_projects}" if scope.new_projects else "no"
        yield f"creates {', '.join(strange)}; {allowed} new projects are allowed"
    for number, item in enumerate(operations, 1):
        name = f"operation {number}, {item.op}"
        if not scope.settings:
            yield from (f"{name}: {what} is not for this request" for what in _settings(item))
        outside = _outside(item, scope, {*made, *scope.projects}, existing)
        if outside:
            allowed = ", ".join(scope.projects)
            yield f"{name}: {', '.join(outside)} is out of the request's scope: only {allowed}"


def projects_of(item: op.Operation) -> tuple[str, ...] | None:
    """Return the projects whose own specs an operation changes; `None` for "any"."""
    match item:
        case op.CreateProject():
            return (item.key,)
        case op.RenameProject():
            return (item.project, item.key)
        case (
            op.UpdateProject()
            | op.ArchiveProject()
            | op.AddTask()
            | op.AddMilestone()
            | op.UpdateMilestone()
            | op.RenameMilestone()
            | op.RemoveMilestone()
        ):
            return (item.project,)
        case op.MoveTask():
            return tuple(dict.fromkeys((project_of(item.task), item.project or "")))
        case (
            op.UpdateTask()
            | op.RenameTask()
            | op.RemoveTask()
            | op.SplitTask()
            | op.SetDependencies()
        ):
            return (project_of(item.task),)
        case op.Assign() | op.Label():
            return tuple(dict.fromkeys(project_of(address) for address in item.items))
        case op.AddPerson() | op.UpdatePerson() | op.SetIntegration() | op.SetPolicy():
            return ()
        case _:
            return None


def _made(operations: Sequence[op.Operation]) -> list[str]:
    """Return the keys of projects that are created, or come by a new name."""
    return [item.key for item in operations if isinstance(item, op.CreateProject)] + [
        item.key for item in operations if isinstance(item, op.RenameProject)
    ]


def _outside(
    item: op.Operation, scope: Scope, inside: Collection[str], existing: Collection[str]
) -> list[str]:
    if not scope.projects:
        return []
    touched = projects_of(item)
    if touched is None:
        return ["what it changes"]
    return [key for key in touched if key and (key not in inside or _taken(item, key, existing))]


def _taken(item: op.Operation, key: str, existing: Collection[str]) -> bool:
    """Return whether an operation would make a project by the key of one that is there."""
    return isinstance(item, op.CreateProject | op.RenameProject) and item.key == key in existing


def _settings(item: op.Operation) -> Iterator[str]:
    """Yield what an operation changes that only Settings' owners may."""
    if isinstance(item, _SETTINGS):
        yield "changing people, integrations or policy"
    for path, value in _values(item.model_dump()):
        if path and path[-1] == "container":
            yield "choosing the place on a platform that it is put in"
        if path and path[-1] == "protect" and value is False:
            yield "taking protection off"
    released = cast("Sequence[str]", getattr(item, "release", ()))
    if any(name.rpartition(".")[2] == "protect" for name in released):
        yield "taking protection off"
    if any(name.rpartition(".")[2] == "container" for name in released):
        yield "choosing the place on a platform that it is put in"


def _values(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield everything in a nested value with the names that lead to it."""
    if isinstance(value, Mapping):
        for name, part in cast("Mapping[str, object]", value).items():
            yield from _values(part, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for part in cast("Sequence[object]", value):
            yield from _values(part, path)
    else:
        yield path, value

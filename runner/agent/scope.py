"""The gate: operations that go beyond what a request may change are refused, whoever proposes them.

What it may change is read off the words of whoever asks, and of nobody else. Pure, and closed: what
an operation touches is read off its type, and an operation of a type that is not known here touches
everything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, cast

from runner.agent.contract import Draft, Scope
from runner.agent.route import named_projects
from schemas import operations as op
from schemas.domain import project_of

if TYPE_CHECKING:
    from runner.language.load import Document
    from schemas import spec

MAX_DRAFT = 200_000
"""Characters that a draft may have in all."""

MAX_REMOVALS = 5
"""How much a request may take out that asks for it, and does not say how much."""

NEW_PROJECTS = 2
"""How many projects a request may create that asks for some, and does not say how many."""

_PROJECTS = re.compile(
    r"\b(?:(?P<count>\d{1,2}|two|three|four|five|zwei|drei|vier|funf|deux|trois|quatre|cinq|dos|tres"
    r"|cuatro|cinco)\s+(?:\w+\s+){0,3}?)?"
    r"(?P<noun>projects?|projekte?|projets?|proyectos?)\b"
)
_COUNTS = {
    **dict.fromkeys(("two", "zwei", "deux", "dos"), 2),
    **dict.fromkeys(("three", "drei", "trois", "tres"), 3),
    **dict.fromkeys(("four", "vier", "quatre", "cuatro"), 4),
    **dict.fromkeys(("five", "funf", "cinq", "cinco"), 5),
}
_PLURAL = frozenset({"projects", "projekte", "projets", "proyectos"})
_TAKES_OUT = re.compile(
    r"\b(?:replac|cancel|prun|trim|clean|clear|merg|combin|consolidat|shorten|simplif|undo|scrap|cut"
    r"|kurz|ersetz|zusammen|aufraum|remplac|annul|fusionn|reemplaz|anul|fusion)\w*"
    r"|\b(?:take|throw|kick|leave|get)\b.*\b(?:out|off|away|rid)\b|\binstead\b"
    r"|\bno\s+longer\s+(?:need|want)"
)
"""What may mean that something goes, besides the words for it."""

_SETTINGS = (op.AddPerson, op.UpdatePerson, op.SetIntegration, op.SetPolicy)
_REMOVALS = (op.RemoveTask, op.RemoveMilestone, op.ArchiveProject)


def derived(
    scope: Scope, said: str, projects: Mapping[str, Document[spec.Project]], today: date
) -> Scope:
    """Return the scope with what it leaves open settled, as tight as the request allows.

    Who names projects means these. Nothing is taken out, and no project made, unless the request
    asks for it; one in a language that is not understood may do what is usual.

    Args:
        scope: what whoever asks has declared.
        said: the request, and those before it in the conversation.
        projects: those that there are, by key.
        today: for the dates in it.
    """
    from runner.agent.baseline.dates import fold
    from runner.agent.baseline.phrases import clauses, corrected

    parts = clauses(corrected(said), today)
    intents = {part.intent for part in parts} - {None}
    text = "\n".join(fold(part.bare(quotes=True)) for part in parts)
    keys = scope.projects or tuple(sorted(named_projects(said, projects)))
    removals, new = scope.max_removals, scope.new_projects
    if removals is None:
        asked = not intents or intents & {"archive", "remove"} or _TAKES_OUT.search(text)
        removals = MAX_REMOVALS if asked else 0
    if new is None:
        renames = "rename" in intents and (keys or _PROJECTS.search(text))
        new = _asked_for(fold(said)) if "create" in intents else 1 if renames else 0
        if not keys and intents <= {"due"}:
            # It is about nothing that is there, and may be about something new.
            new = max(new, 1 if intents else NEW_PROJECTS)
    return replace(scope, projects=keys, max_removals=removals, new_projects=new)


def _asked_for(text: str) -> int:
    """Return how many new projects a text speaks of, in small letters without accents."""
    several = [match for match in _PROJECTS.finditer(text) if match["noun"] in _PLURAL]
    counts = [match["count"] for match in several if match["count"]]
    if counts:
        return max(_COUNTS.get(count) or int(count) for count in counts)
    return NEW_PROJECTS if several else 1


def scope_text(scope: Scope) -> str:
    """Return what a request may change, in words."""
    removals, new = _limits(scope)
    where = ", ".join(f"`{key}`" for key in scope.projects)
    parts = [
        f"only {where}" if where else "every project",
        f"{new or 'no'} new {'project' if new == 1 else 'projects'}",
        f"{removals or 'no'} {'removal' if removals == 1 else 'removals'}",
        f"{scope.max_operations} operations",
        f"{scope.max_touched} things changed",
    ]
    if not scope.settings:
        parts.append("no people, integrations, policy or protection")
    return ", ".join(parts)


def _limits(scope: Scope) -> tuple[int, int]:
    """Return how many removals and new projects a scope allows."""
    removals, new = scope.max_removals, scope.new_projects
    return (
        MAX_REMOVALS if removals is None else removals,
        NEW_PROJECTS if new is None else new,
    )


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
    max_removals, new_projects = _limits(scope)
    removals = [item for item in operations if isinstance(item, _REMOVALS)]
    if len(removals) > max_removals:
        allowed = f"at most {max_removals}" if max_removals else "none"
        yield f"{len(removals)} removals; {allowed} are allowed"
    made = _made(operations)
    strange = [key for key in made if key not in scope.projects]
    if len(strange) > new_projects:
        allowed = f"at most {new_projects}" if new_projects else "no"
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

"""Projects in groups that do not refer to each other.

What is wrong with a project depends on its own group and on what all projects share (people,
integrations, today), and on nothing else: an edit in one file leaves the findings about the other
groups as they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from runner.language.load import Document
from runner.language.memory import Memory
from runner.language.outline import entries

if TYPE_CHECKING:
    from schemas import spec

    Project = Document[spec.Project]


def islands(projects: Sequence[Project], memory: Memory) -> list[list[Project]]:
    """Return the projects in groups, each in the order given.

    Two projects are in one group when they name each other, or the same third one, be it there
    or not.
    """
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while (up := above.setdefault(name, name)) != name:
            above[name] = name = above[up]
        return name

    for document in projects:
        own = top(document.data["key"])
        for name in _names(document, memory):
            above[top(name)] = own
            own = top(own)
    groups: dict[str, list[Project]] = {}
    for document in projects:
        groups.setdefault(top(document.data["key"]), []).append(document)
    return list(groups.values())


def _names(document: Project, memory: Memory) -> Sequence[str]:
    """Return the keys of the projects that a project names, itself included."""
    key = f"names {document.content} {document.number}"
    noted: object = memory.noted(key) if document.content else None
    if isinstance(noted, list):
        known = cast("list[object]", noted)
        if all(isinstance(name, str) for name in known):
            return cast("list[str]", known)
    names = sorted(set(_mentions(document.data)))
    if document.content:
        memory.note(key, names)
    return names


def _mentions(data: spec.Project) -> Iterator[str]:
    yield data["key"]
    yield from data.get("formerly", ())
    for old, new in data.get("moved", {}).items():
        yield from (name.partition("/")[0] for name in (old, new) if "/" in name)
    for entry in entries(data):
        for reference in entry.task.get("depends_on") or ():
            if "/" in reference:
                yield reference.partition("/")[0]

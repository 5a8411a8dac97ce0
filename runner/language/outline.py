"""The tasks of a project in one flat order, each with its way up to the root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import spec


@dataclass(slots=True)
class Entry:
    """One task where it stands.

    Attributes:
        key: its key in the project.
        task: its declared fields.
        parent: the task that it is a subtask of.
        cycle: the nearest task, itself included, that comes back by `repeat`.
    """

    key: str
    task: spec.Task
    parent: Entry | None
    cycle: Entry | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """The keys that lead to it from the document's root."""
        steps: list[str] = []
        entry: Entry | None = self
        while entry is not None:
            steps += [entry.key, "tasks"]
            entry = entry.parent
        return tuple(reversed(steps))

    def above(self) -> Iterator[Entry]:
        """Yield the tasks that it is below, nearest first."""
        entry = self.parent
        while entry is not None:
            yield entry
            entry = entry.parent


def entries(project: spec.Project) -> Iterator[Entry]:
    """Yield the tasks of a project as they stand in the file, parents before children."""
    stack = [_children(project.get("tasks", {}), None)]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        yield entry
        if tasks := entry.task.get("tasks"):
            stack.append(_children(tasks, entry))


def _children(tasks: dict[str, spec.Task], parent: Entry | None) -> Iterator[Entry]:
    cycle = parent.cycle if parent is not None else None
    for key, task in tasks.items():
        entry = Entry(key, task, parent, cycle)
        if "repeat" in task and cycle is None:
            entry.cycle = entry
        yield entry


def split_reference(project: str, reference: str) -> tuple[str, str]:
    """Return project and task key of a reference made in `project`."""
    head, slash, tail = reference.partition("/")
    return (head, tail) if slash else (project, head)

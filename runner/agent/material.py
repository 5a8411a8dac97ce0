"""What the agent may see: the specs and the state, as values; no token, no way to write.

Made by those who hold the configuration, handed to those who talk to a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from runner.language.check import check
from runner.language.edit import Edited, apply_operations
from runner.language.load import Document, Loaded, load_files, read_files
from runner.language.memory import Memory
from runner.language.outline import Entry, entries
from runner.language.resolve import resolve
from schemas.domain import Desired, Diagnostic, Plan
from schemas.errors import SpecError

if TYPE_CHECKING:
    from runner.plan import Agreed
    from schemas import spec
    from schemas.operations import Operation


@dataclass(frozen=True)
class Material:
    """The specs of a repo at one moment, and what was last agreed on with the platforms.

    Attributes:
        files: the spec files, by name below the repo root.
        today: what deadlines are judged against.
        state: what was last agreed on; only read.
        specs: the folder of the specs, below the root.
        root: the repo root, for the cache of parsed files; nothing is cached without it.
        problems: files that could not be read.
        memory: what was worked out about specs that are alike in several drafts.
    """

    files: Mapping[str, bytes]
    today: date
    state: Agreed
    specs: str = "specs"
    root: Path | None = None
    problems: Sequence[Diagnostic] = field(default=())
    memory: Memory = field(default_factory=Memory, repr=False, compare=False)

    @cached_property
    def loaded(self) -> Loaded:
        """The documents."""
        return load_files(self.files, self.root, self.problems, self.memory)

    @cached_property
    def desired(self) -> Desired:
        """What the specs ask for.

        Raises:
            SpecError: they have errors.
        """
        found = [*self.loaded.diagnostics, *check(self.loaded, self.today, self.memory)]
        if any(item.severity == "error" for item in found):
            raise SpecError(found)
        return resolve(self.loaded, today=self.today, commit="", memory=self.memory)

    @cached_property
    def projects(self) -> dict[str, Document[spec.Project]]:
        """The projects by key."""
        return {document.data["key"]: document for document in reversed(self.loaded.projects)}

    @cached_property
    def people(self) -> dict[str, spec.Person]:
        """The people by key."""
        return {
            key: person
            for document in self.loaded.people
            for key, person in document.data["people"].items()
        }

    def entries(self, project: str) -> list[Entry]:
        """Return the tasks of a project as they stand."""
        return list(entries(self.projects[project].data))

    def edit(self, operations: Sequence[Operation]) -> Edited:
        """Return what operations would make of the specs; touches nothing."""
        return apply_operations(
            self.files,
            operations,
            self.today,
            specs=self.specs,
            root=self.root,
            problems=self.problems,
            memory=self.memory,
        )

    def after(self, edited: Edited) -> Material:
        """Return the material as it would be with these edits."""
        contents = {**self.files, **edited.files}
        kept = {name: text for name, text in sorted(contents.items()) if text is not None}
        return replace(self, files=kept)

    def plan(self, edited: Edited) -> Plan:
        """Return what an apply would do because of these edits, and nothing else.

        Raises:
            SpecError: the specs have errors.
            ConfigError: a platform has no reconciler.
        """
        from runner.agent.effect import effect

        return effect(self.desired, self.after(edited).desired, self.state)


def read_material(root: Path, specs: Path, today: date, state: Agreed) -> Material:
    """Return the material of a work tree."""
    files, problems = read_files(root, specs)
    folder = specs.relative_to(root) if specs.is_absolute() else specs
    return Material(files, today, state, folder.as_posix(), root, problems)

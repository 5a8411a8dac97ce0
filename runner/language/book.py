"""The documents of a repo for changing: found by key, opened when needed, written at the end.

Loaded ──> pages ──open──> models ──changed by operations──> spliced text ──read again──> bytes

A page whose text does not read back as exactly its model is refused: better no edit than a wrong
one.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from runner.language.emit import Style
from runner.language.lines import Edit, Overlap, next_line
from runner.language.load import Document, Loaded, decode
from runner.language.parse import Text, parse
from runner.language.splice import Origin, Splicer, lines_of
from runner.language.tree import Model, Node, Origins, Pair, Tree, model_of, read_tree
from schemas.domain import Diagnostic, Source
from schemas.values import suggest

if TYPE_CHECKING:
    from schemas.spec import DocumentKind


class Refused(Exception):
    """An operation cannot be carried out; `diagnostics` says why."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(item.message for item in diagnostics))
        self.diagnostics = diagnostics


def refuse(code: str, message: str, hint: str = "", source: Source | None = None) -> Refused:
    """Return the refusal of an operation for one reason."""
    return Refused(Diagnostic("error", code, message, source, hint))


@dataclass(slots=True, eq=False)
class Page:
    """One document.

    Attributes:
        file: the file that it is in, or is to be in.
        number: which of the file's documents it is; -1 for a new one.
        kind: what it is.
        document: as it was loaded, or `None` for a new one.
        model: its values, once it is open.
        removed: whether it is to go.
    """

    file: str
    number: int
    kind: DocumentKind
    document: Document[Mapping[str, object]] | None
    model: dict[str, Model] | None = None
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Spot:
    """A task where it stands.

    Attributes:
        page: the project.
        key: its key.
        task: its fields.
        parent: the task that it is a part of.
    """

    page: Page
    key: str
    task: dict[str, Model]
    parent: Spot | None

    @property
    def holder(self) -> dict[str, Model]:
        """The mapping that it stands in."""
        above = self.parent.task if self.parent is not None else self.page.model or {}
        return section(above, "tasks")

    def below(self) -> Iterator[Spot]:
        """Yield its subtasks, theirs included."""
        yield from _spots(self.page, self.task, self)


@dataclass(eq=False)
class _Sheet:
    """A file that is open.

    Attributes:
        open_end: the line end that its last line lacks, and that the tree's text has.
    """

    content: bytes
    tree: Tree
    splicer: Splicer
    models: list[Model]
    open_end: str

    @cached_property
    def parents(self) -> dict[Node, tuple[Pair, Node]]:
        """By what stands under a key: the pair, and the mapping that it is in."""
        found: dict[Node, tuple[Pair, Node]] = {}
        pending = list(self.tree.roots)
        while pending:
            node = pending.pop()
            found.update((pair.value, (pair, node)) for pair in node.pairs)
            pending.extend(node.children())
        return found


class Book:
    """All documents of a repo.

    Attributes:
        pages: every document that could be understood.
        touched: addresses of what was changed, in order.
        notes: what those who review should know.
    """

    def __init__(self, files: Mapping[str, bytes], loaded: Loaded, specs: str) -> None:
        self.files = files
        self.specs = specs
        self.touched: dict[str, None] = {}
        self.notes: list[Diagnostic] = []
        groups = {
            "People": loaded.people,
            "Integrations": loaded.integrations,
            "Settings": loaded.settings_documents,
            "Project": loaded.projects,
        }
        self.pages = [
            Page(item.file, item.number, cast("DocumentKind", kind), item)
            for kind, group in groups.items()
            for item in cast("tuple[Document[Mapping[str, object]], ...]", group)
        ]
        self._sheets: dict[str, _Sheet] = {}
        self._projects: dict[str, Page] = {}
        for page in self.pages:
            if page.kind == "Project" and page.document is not None:
                self._projects.setdefault(str(page.document.data["key"]), page)

    def touch(self, address: str) -> None:
        """Note that something was changed."""
        self.touched[address] = None

    def note(self, code: str, message: str, page: Page, hint: str = "") -> None:
        """Tell those who review what else happened."""
        self.notes.append(Diagnostic("warning", code, message, Source(page.file), hint))

    def projects(self) -> Iterator[tuple[str, Page]]:
        """Yield the projects by key."""
        yield from list(self._projects.items())

    def project(self, key: str) -> Page:
        """Return a project, opened.

        Raises:
            Refused: there is none.
        """
        page = self._projects.get(key)
        if page is None:
            hint = suggest(key, self._projects)
            raise refuse("unknown-project", f"there is no project `{key}`", hint)
        self.open(page)
        return page

    def has_project(self, key: str) -> bool:
        """Return whether there is a project with this key."""
        return key in self._projects

    def task(self, address: str) -> Spot:
        """Return a task.

        Raises:
            Refused: there is none.
        """
        project, _, key = address.partition("/")
        page = self.project(project)
        found = next((spot for spot in self.tasks(page) if spot.key == key), None)
        if found is None:
            hint = suggest(key, [spot.key for spot in self.tasks(page)])
            message = f"there is no task `{address}`"
            raise refuse("unknown-task", message, hint, Source(page.file))
        return found

    def tasks(self, page: Page) -> Iterator[Spot]:
        """Yield the tasks of a project as they stand, parents before children."""
        yield from _spots(page, self.open(page), None)

    def pages_of(self, kind: DocumentKind) -> list[Page]:
        """Return the documents of a kind."""
        return [page for page in self.pages if page.kind == kind and not page.removed]

    def open(self, page: Page) -> dict[str, Model]:
        """Return the values of a document for changing.

        Raises:
            Refused: its file cannot be edited as it is.
        """
        if page.model is None:
            model = self._sheet(page.file).models[page.number]
            page.model = cast("dict[str, Model]", model)
        return page.model

    def add(self, kind: DocumentKind, name: str, model: dict[str, Model]) -> Page:
        """Add a document in a file of its own.

        Args:
            kind: what it is.
            name: the file's name below the folder of the specs, without its suffix.
            model: what it says.
        """
        taken = {page.file for page in self.pages} | self.files.keys()
        names = (f"{self.specs}/{name}{f'-{i}' if i else ''}.yaml" for i in range(len(taken) + 1))
        file = next(path for path in names if path not in taken)
        page = Page(file, -1, kind, None, model)
        self.pages.append(page)
        if kind == "Project":
            self._projects[str(model["key"])] = page
        return page

    def remove_project(self, key: str) -> None:
        """Take a project out."""
        self._projects.pop(key).removed = True

    def rename_project(self, old: str, new: str) -> None:
        """Find a project by its new key from now on."""
        self._projects = {new if key == old else key: page for key, page in self._projects.items()}

    def render(self) -> dict[str, bytes | None]:
        """Return the files that differ; `None` for one that is to go.

        Raises:
            Refused: a file could not be changed as it should.
        """
        changed: dict[str, bytes | None] = {}
        for page in self.pages:
            if page.number < 0 and not page.removed and page.model is not None:
                style = Style()
                parts = [
                    lines_of(name, part, 0, style, self.origin) for name, part in page.model.items()
                ]
                text = "".join(_apart(parts))
                self._verify(page.file, text, [page.model])
                changed[page.file] = text.encode()
        for file, sheet in self._sheets.items():
            content = self._rendered(file, sheet)
            if content != sheet.content:
                changed[file] = content
        return changed

    def origin(self, model: Model) -> Origin | None:
        """Return where a value stood that was under a key of some file."""
        for sheet in self._sheets.values():
            node = sheet.splicer.origins.node(model)
            if node is not None:
                found = sheet.parents.get(node)
                return Origin(sheet.splicer, *found) if found is not None else None
        return None

    def _sheet(self, file: str) -> _Sheet:
        if file in self._sheets:
            return self._sheets[file]
        text = decode(self.files[file], file)
        if isinstance(text, Diagnostic):
            raise Refused(text)
        open_end = "" if text.text.endswith("\n") else "\r\n" if "\r\n" in text.text else "\n"
        tree = read_tree(Text(file, text.text + open_end))
        if isinstance(tree, tuple):
            raise Refused(*tree)
        origins = Origins()
        splicer = Splicer(tree, origins, self.origin)
        models = [model_of(root, origins) for root in tree.roots]
        sheet = self._sheets[file] = _Sheet(self.files[file], tree, splicer, models, open_end)
        return sheet

    def _rendered(self, file: str, sheet: _Sheet) -> bytes | None:
        """Return the new content of an open file, or `None` if it is to go."""
        gone = {page.number for page in self.pages if page.file == file and page.removed}
        left = [model for i, model in enumerate(sheet.models) if i not in gone]
        if gone and not any(left):
            return None
        splicer = sheet.splicer
        for number, (root, model) in enumerate(zip(sheet.tree.roots, sheet.models, strict=True)):
            if number in gone:
                splicer.edits.append(_document_out(sheet.tree, number))
            else:
                splicer.document(root, model)
        try:
            text = splicer.result()
        except Overlap:
            message = "the edits get into each other's way"
            raise refuse("edit-failed", message, source=Source(file)) from None
        self._verify(file, text, left)
        mark = codecs.BOM_UTF8 if sheet.content.startswith(codecs.BOM_UTF8) else b""
        return mark + text.removesuffix(sheet.open_end).encode()

    def _verify(self, file: str, text: str, models: list[Model]) -> None:
        """Refuse a text that does not say exactly what it should."""
        parsed = parse(Text(file, text))
        if parsed.problems:
            raise Refused(*parsed.problems)
        if json.dumps(parsed.documents) != json.dumps(models):
            message = "the file is written in a way that this edit cannot keep"
            hint = "write what is to change in plain block style, or edit it by hand"
            raise refuse("edit-failed", message, hint, Source(file))


def section(model: dict[str, Model], name: str) -> dict[str, Model]:
    """Return the mapping under a name, or an empty one that is not part of the model."""
    found = model.get(name)
    return found if isinstance(found, dict) else {}


def _spots(page: Page, above: dict[str, Model], parent: Spot | None) -> Iterator[Spot]:
    for key, task in list(section(above, "tasks").items()):
        if isinstance(task, dict):
            spot = Spot(page, key, task, parent)
            yield spot
            yield from _spots(page, task, spot)


def _apart(parts: list[str]) -> Iterator[str]:
    """Yield the fields of a new document, the long ones set apart by empty lines."""
    spread = False
    for part in parts:
        is_long = part.startswith(("milestones:", "tasks:", "moved:"))
        yield "\n" + part if is_long or spread else part
        spread = is_long


def _document_out(tree: Tree, number: int) -> Edit:
    """Return the edit that takes a document out of a file with others."""
    text = tree.source.text
    if number + 1 < len(tree.roots):
        start = tree.starts[number] if number else 0
        return Edit(start, tree.starts[number + 1])
    return Edit(tree.starts[number], next_line(text, tree.roots[number].end))

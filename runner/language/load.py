"""The files below `specs/` as typed documents, with all that is wrong with them.

files ──read──> bytes ──cache──> documents ────────────────┐
                   └──parse──> plain values ──shape──> documents ──> Loaded

Nothing that a file holds makes `load` raise: every problem becomes a diagnostic, and one file's
problems never hide another's. Unchanged files come from the cache; the position of anything in
them is found by reading the file again, which only a diagnostic needs.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from runner.language.cache import FOLDER, Cache
from runner.language.memory import Memory
from runner.language.parse import Mapping as Node
from runner.language.parse import Path as Place
from runner.language.parse import Plain, Text, parse, reconcilers
from schemas.domain import Diagnostic, Severity, Source

if TYPE_CHECKING:
    from schemas import spec

MAX_FILE: Final = 10 * 1024 * 1024
"""Bytes; a bigger file is refused without being read."""

MAX_TOTAL: Final = 512 * 1024 * 1024
"""Bytes of all spec files together."""

SUFFIXES: Final = (".yaml", ".yml")

Data_co = TypeVar("Data_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Document(Generic[Data_co]):
    """One document of a spec file.

    Attributes:
        file: the file, below the repo root.
        number: which of the file's documents it is, from 0.
        data: its declared fields in canonical form; not to be changed.
        places: line and column of what it declares: by task key, by `milestones/key`, and of the
            document itself under the empty string.
        removed: names left out because what they hold was not sound; there are diagnostics.
        content: a hash of the file's content and of how it is read; '' where it was not made.
    """

    file: str
    number: int
    data: Data_co
    places: Mapping[str, tuple[int, int]]
    removed: frozenset[str] = frozenset()
    content: str = ""

    @property
    def identity(self) -> tuple[str, int, str]:
        """What tells it from every other document, and from itself before an edit."""
        return self.file, self.number, self.content

    def source(self, name: str = "") -> Source:
        """Return where something is declared, by its name in `places`."""
        line, column = self.places.get(name) or (1, 1)
        return Source(self.file, line, column)


@dataclass(slots=True)
class Loaded:
    """All specs of a repo, as far as they could be understood.

    Attributes:
        root: the repo root.
        files: every spec file that was found, below the root.
        third_party: the reconcilers that Settings names.
        diagnostics: what was wrong with files, YAML and fields; nothing yet about how documents
            fit together.
        incomplete: whether something could not be understood at all, so that what others refer
            to may well be there.
    """

    root: Path
    files: tuple[str, ...] = ()
    people: tuple[Document[spec.People], ...] = ()
    integrations: tuple[Document[spec.Integrations], ...] = ()
    settings_documents: tuple[Document[spec.Settings], ...] = ()
    projects: tuple[Document[spec.Project], ...] = ()
    third_party: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    incomplete: bool = False
    _contents: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    _text: Text | None = field(default=None, repr=False)

    @property
    def settings(self) -> spec.Settings:
        """What the Settings documents say together; each section is given by one of them."""
        merged: dict[str, object] = {"kind": "Settings"}
        for document in self.settings_documents:
            merged.update(document.data)
        return cast("spec.Settings", merged)

    @property
    def valid(self) -> bool:
        """Whether every file could be understood in full."""
        return not any(item.severity == "error" for item in self.diagnostics)

    def problem(
        self,
        severity: Severity,
        code: str,
        message: str,
        document: Document[object],
        place: Place = (),
        *,
        key: bool = False,
        hint: str = "",
    ) -> Diagnostic:
        """Return a diagnostic about a part of a document.

        `place` are the keys and indices that lead to it from the document's root; `key` marks
        the key there rather than the value.
        """
        text = self._read(document.file)
        if text is None:
            return Diagnostic(severity, code, message, document.source(), hint)
        source, excerpt, width = text.locate(document.number, place, key=key)
        return Diagnostic(severity, code, message, source, hint, excerpt, width)

    def _read(self, file: str) -> Text | None:
        """Return a file's text once more; the last one is kept, for problems come in groups."""
        if self._text is None or self._text.file != file:
            text = decode(self._contents[file], file) if file in self._contents else None
            self._text = text if isinstance(text, Text) else None
        return self._text


def load(root: Path, specs: Path = Path("specs"), memory: Memory | None = None) -> Loaded:
    """Return all documents below `specs`, and all that is wrong with them.

    Args:
        root: the repo root; nothing outside it is read, and the cache is below it.
        specs: the folder of the specs, relative to `root` or absolute.
        memory: of earlier readings by this process.
    """
    contents, problems = read_files(root, specs)
    return load_files(contents, root, problems, memory)


def read_files(root: Path, specs: Path) -> tuple[dict[str, bytes], list[Diagnostic]]:
    """Return every spec file's content by its name below `root`, and what cannot be read."""
    contents: dict[str, bytes] = {}
    problems: list[Diagnostic] = []
    total = 0
    for name, path in _files(root, root / specs):
        content = path if isinstance(path, Diagnostic) else _read(path, name)
        if isinstance(content, bytes) and (total := total + len(content)) > MAX_TOTAL:
            message = f"the specs are bigger than {MAX_TOTAL // 1024**2} MB together"
            content = _file_problem("too-big", message, name)
        if isinstance(content, Diagnostic):
            problems.append(content)
        else:
            contents[name] = content
    return contents, problems


def load_files(
    contents: Mapping[str, bytes],
    root: Path | None = None,
    problems: Sequence[Diagnostic] = (),
    memory: Memory | None = None,
) -> Loaded:
    """Return the documents of files that are in memory, and all that is wrong with them.

    Args:
        contents: by name below the repo root, in the order in which they are to be read.
        root: the repo root, for the cache below it; nothing is cached without it.
        problems: what is known to be wrong already: files that cannot be read.
        memory: of earlier readings by this process.
    """
    third_party = tuple(_third_party(contents))
    cache = Cache(root / FOLDER, ",".join(third_party), memory) if root is not None else None
    loader = _Loader(cache, third_party, list(problems))
    loader.incomplete = bool(problems)
    for name, content in contents.items():
        loader.file(name, content)
    if cache is not None:
        cache.tidy()
    return Loaded(
        root or Path(),
        tuple(contents),
        tuple(cast("list[Document[spec.People]]", loader.documents["People"])),
        tuple(cast("list[Document[spec.Integrations]]", loader.documents["Integrations"])),
        tuple(cast("list[Document[spec.Settings]]", loader.documents["Settings"])),
        tuple(cast("list[Document[spec.Project]]", loader.documents["Project"])),
        third_party,
        tuple(sorted(loader.problems, key=_position)),
        loader.incomplete,
        contents,
    )


class _Loader:
    """Collects documents and problems, file by file."""

    def __init__(
        self, cache: Cache | None, third_party: tuple[str, ...], problems: list[Diagnostic]
    ) -> None:
        self.cache = cache
        self.third_party = third_party
        self.problems = problems
        self.documents: dict[str, list[Document[object]]] = {
            kind: [] for kind in ("People", "Integrations", "Settings", "Project")
        }
        self.incomplete = False

    def file(self, name: str, content: bytes) -> None:
        """Take the documents of a file from the cache, or else from its content."""
        entry = self.cache.name(content) if self.cache is not None else ""
        kept = self.cache.get(entry) if self.cache is not None else None
        if kept is not None and self._take(name, entry, kept):
            return
        text = decode(content, name)
        if isinstance(text, Diagnostic):
            self.problems.append(text)
            self.incomplete = True
            return
        fresh = self._parse(text, entry)
        if fresh is not None and self.cache is not None:
            self.cache.put(entry, fresh)

    def _take(self, name: str, content: str, kept: list[object]) -> bool:
        """Take documents from a cache entry; return whether it was whole."""
        found: list[tuple[str, Document[object]]] = []
        for item in kept:
            match item:
                case [str() as kind, int() as number, dict(), dict()]:
                    data, places = cast("list[object]", item)[2:]
                    marks = cast("Mapping[str, tuple[int, int]]", places)
                    document = Document(name, number, data, marks, content=content)
                    found.append((kind, document))
                case _:
                    return False
        if not all(kind in self.documents for kind, _ in found):
            return False
        for kind, document in found:
            self.documents[kind].append(document)
        return True

    def _parse(self, text: Text, content: str) -> list[object] | None:
        """Take documents from a text; return them for the cache if there are no problems."""
        from runner.language.shape import kind_of_document, shape

        parsed = parse(text)
        problems = list(parsed.problems)
        entry: list[object] = []
        self.incomplete |= not parsed.complete
        for number, value in enumerate(parsed.documents if parsed.complete else ()):
            if value is None:
                continue
            kind = kind_of_document(text, number, value)
            if isinstance(kind, Diagnostic):
                problems.append(kind)
                self.incomplete = True
                continue
            places: dict[str, tuple[int, int]] = {}
            for place, at in _places(value):
                places.setdefault(place, at)
            shaped = shape(text, number, kind, value, self.third_party)
            if isinstance(shaped, tuple):
                problems.extend(shaped)
                self.incomplete = True
                continue
            problems.extend(shaped.problems)
            document: Document[object] = Document(
                text.file, number, shaped.data, places, shaped.removed, content
            )
            self.documents[kind].append(document)
            entry.append([kind, number, shaped.data, places])
        self.problems.extend(_first_at_each_place(problems))
        return None if problems else entry


def _position(problem: Diagnostic) -> tuple[str, int, int]:
    source = problem.source or Source("")
    return source.file, source.line, source.column


def _first_at_each_place(problems: list[Diagnostic]) -> Iterator[Diagnostic]:
    """Yield problems without those that another one at the same place has caused."""
    seen: set[Source | None] = set()
    for problem in problems:
        if problem.source not in seen or problem.code == "more-problems":
            yield problem
        seen.add(problem.source)


def _places(document: Plain) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield where a document and its tasks and milestones are declared."""
    if not isinstance(document, Node):
        return
    yield "", (document.line, document.column)
    milestones = document.get("milestones")
    if isinstance(milestones, Node):
        for key, value in milestones.items():
            if isinstance(value, Node):
                yield f"milestones/{key}", (value.line, value.column)
    pending: list[Plain] = [document.get("tasks")]
    while pending:
        tasks = pending.pop()
        if isinstance(tasks, Node):
            for key, value in tasks.items():
                if isinstance(value, Node):
                    yield key, (value.line, value.column)
                    if "tasks" in value:
                        pending.append(value["tasks"])


def _third_party(contents: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the third-party reconcilers that Settings names.

    They decide how every other file is read, and few repos have any: hence the look at the bytes.
    """
    for name, content in contents.items():
        if b"reconcilers" in content:
            text = decode(content, name)
            if isinstance(text, Text):
                for value in parse(text).documents:
                    yield from reconcilers(value)


def _file_problem(code: str, message: str, name: str, hint: str = "") -> Diagnostic:
    return Diagnostic("error", code, message, Source(name), hint)


def decode(content: bytes, name: str) -> Text | Diagnostic:
    """Return the text of a file without its byte order mark, or what stands in the way."""
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        line = before.rpartition("\n")[2]
        source = Source(name, before.count("\n") + 1, len(line) + 1)
        message = f"byte 0x{content[error.start]:02X} is not UTF-8"
        rest = content[error.start : error.start + 80].split(b"\n", 1)[0].decode(errors="replace")
        hint = "save the file as UTF-8"
        return Diagnostic("error", "not-utf8", message, source, hint, line + rest)
    if (index := text.find("\0")) >= 0:
        hint = "is this a text file?"
        return Text(name, text).problem("nul-byte", "the file holds a NUL byte", index, hint=hint)
    return Text(name, text)


def _read(path: Path, name: str) -> bytes | Diagnostic:
    """Return a file's content, or why it must not or cannot be read."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as file:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                return _file_problem("not-a-file", "this is not a regular file", name)
            content = file.read(MAX_FILE + 1) if status.st_size <= MAX_FILE else b""
            if status.st_size > MAX_FILE or len(content) > MAX_FILE:
                message = f"the file is bigger than {MAX_FILE // 1024**2} MB"
                return _file_problem("too-big", message, name, "split it into several files")
            return content
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return _file_problem("unreadable", f"the file cannot be read: {reason}", name)


def _files(root: Path, specs: Path) -> Iterator[tuple[str, Path | Diagnostic]]:
    """Yield name and path of every spec file, sorted, or a diagnostic instead of the path."""
    base = os.path.realpath(root)
    if not specs.is_dir():
        hint = "run: trueup init"
        message = "there is no such folder"
        yield "specs", _file_problem("no-specs", message, _name(specs, root), hint)
        return
    if not _below(os.path.realpath(specs), base):
        message = "the folder of the specs is outside the repo"
        yield "specs", _file_problem("outside-repo", message, _name(specs, root))
        return
    found: dict[str, Path | Diagnostic] = {}
    links: list[Path] = []
    seen = {os.path.realpath(specs)}
    pending = [specs]
    while pending:
        folder = pending.pop()
        for path in _entries(folder, root, found):
            if path.is_symlink():
                links.append(path)
            elif path.is_dir() and path.suffix.lower() not in SUFFIXES:
                seen.add(os.path.realpath(path))
                pending.append(path)
            elif path.suffix.lower() in SUFFIXES:
                seen.add(os.path.realpath(path))
                found[_name(path, root)] = path
        if not pending:
            pending.extend(_follow(links, root, base, seen, found))
            links.clear()
    yield from sorted(found.items())


def _entries(folder: Path, root: Path, found: dict[str, Path | Diagnostic]) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        name = _name(folder, root)
        reason = (error.strerror or str(error)).lower()
        found[name] = _file_problem("unreadable", f"the folder cannot be read: {reason}", name)
        return []


def _follow(
    links: Collection[Path],
    root: Path,
    base: str,
    seen: set[str],
    found: dict[str, Path | Diagnostic],
) -> Iterator[Path]:
    """Sort out symbolic links: files go into `found`, folders are yielded."""
    for link in links:
        name = _name(link, root)
        is_spec = link.suffix.lower() in SUFFIXES
        try:
            target = os.path.realpath(link, strict=True)
        except OSError:
            message = "the symbolic link leads nowhere, or in circles"
            found[name] = _file_problem("broken-link", message, name)
            continue
        if not is_spec and not Path(target).is_dir():
            continue
        if not _below(target, base):
            message = "the symbolic link leads out of the repo"
            found[name] = _file_problem("outside-repo", message, name, "copy what it leads to")
        elif target in seen or any(_below(other, target) for other in seen):
            message = "the symbolic link leads to specs that are read anyway"
            found[name] = _file_problem("link-loop", message, name, "remove the link")
        elif Path(target).is_dir() and not is_spec:
            seen.add(target)
            yield link
        else:
            seen.add(target)
            found[name] = link


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _name(path: Path, root: Path) -> str:
    """Return a path below the root as text, whatever bytes it holds."""
    try:
        path = path.relative_to(root)
    except ValueError:
        path = Path(os.path.relpath(path, root))
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")

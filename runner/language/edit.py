"""Typed operations applied to spec files: text in, text out, byte for byte the same elsewhere.

files ──load──> Book ──amend──> changed values ──splice──> text ──load, check──> Edited

All or nothing: one operation that cannot be carried out, one file that does not read back as it
should, or one new error in the specs, and nothing is changed. `edit_files` does the same to a work
tree.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from runner.language.amend import amend
from runner.language.book import Book, Refused
from runner.language.check import check
from runner.language.load import Loaded, load_files, read_files
from schemas.domain import Diagnostic
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.language.memory import Memory
    from schemas.operations import Operation

Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Edited:
    """What operations make of the specs.

    Attributes:
        files: new content by name below the repo root, of files that differ only; `None` for a
            file that is to go. Empty if anything was refused.
        diagnostics: why it was refused, or what is new for those who review it.
        touched: addresses of what was changed; also `people/key`, `integrations/platform` and
            `policy`.
    """

    files: Mapping[str, bytes | None] = field(default_factory=dict[str, "bytes | None"])
    diagnostics: tuple[Diagnostic, ...] = ()
    touched: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether nothing is to be changed."""
        return any(item.severity == "error" for item in self.diagnostics)


def apply_operations(
    files: Files,
    operations: Sequence[Operation],
    today: date,
    *,
    specs: str = "specs",
    root: Path | None = None,
    problems: Sequence[Diagnostic] = (),
    memory: Memory | None = None,
) -> Edited:
    """Return what operations make of spec files; touches nothing. Later ones see earlier ones.

    Errors that the specs have already do not stand in the way; new ones do.

    Args:
        files: every spec file's content, by its name below the repo root.
        operations: what is to be done.
        today: what deadlines are judged against.
        specs: the folder of the specs, for what gets a file of its own.
        root: the repo root, for the cache of parsed files; nothing is cached without it.
        problems: what is known to be wrong already: files that cannot be read.
        memory: of earlier readings by this process.
    """
    before = load_files(files, root, problems, memory)
    book = Book(files, before, specs)
    refusals: list[Diagnostic] = []
    for number, operation in enumerate(operations, 1):
        try:
            amend(operation, book)
        except Refused as error:
            name = f"operation {number}, {operation.op}"
            refusals += [
                replace(item, message=f"{name}: {item.message}") for item in error.diagnostics
            ]
    if refusals:
        return Edited(diagnostics=tuple(refusals))
    try:
        changed = book.render()
    except Refused as error:
        return Edited(diagnostics=error.diagnostics)
    if not changed:
        return Edited()
    contents = {name: changed.get(name, content) for name, content in {**files, **changed}.items()}
    sound = {name: content for name, content in sorted(contents.items()) if content is not None}
    after = load_files(sound, root, problems, memory)
    fresh = _fresh(before, after, today, memory)
    if any(item.severity == "error" for item in fresh):
        return Edited(diagnostics=tuple(fresh))
    return Edited(changed, (*book.notes, *fresh), tuple(book.touched))


def edit_files(
    root: Path, specs: Path, operations: Sequence[Operation], today: date, *, dry_run: bool = False
) -> tuple[Edited, Files]:
    """Apply operations to the work tree; return the outcome and the files as they were.

    Args:
        root: the repo root.
        specs: the folder of the specs, relative to `root` or absolute.
        operations: what is to be done.
        today: what deadlines are judged against.
        dry_run: write nothing.

    Raises:
        ConfigError: a file cannot be written, lies outside the specs, or was changed meanwhile.
    """
    files, problems = read_files(root, specs)
    folder = Path(os.path.relpath(root / specs, root)).as_posix()
    edited = apply_operations(files, operations, today, specs=folder, root=root, problems=problems)
    if edited.files and not dry_run:
        write_files(root, root / specs, files, edited.files)
    return edited, files


def write_files(root: Path, specs: Path, before: Files, after: Mapping[str, bytes | None]) -> None:
    """Write files all or none: each is replaced at once, and put back if another fails.

    Args:
        root: the repo root.
        specs: the folder that every file must lie below, symbolic links resolved.
        before: what the files held when they were read.
        after: what they are to hold; `None` for those that are to go.

    Raises:
        ConfigError: a file cannot be written, lies outside the specs, or was changed meanwhile.
    """
    targets = {name: _target(root, specs, name) for name in after}
    for name, path in targets.items():
        held = path.read_bytes() if path.exists() else None
        if held != before.get(name):
            raise ConfigError(f"{name} was changed meanwhile", hint="try again")
    done: list[str] = []
    try:
        for name, content in after.items():
            done.append(name)
            _replace(targets[name], content)
    except OSError as error:
        for name in done:
            with suppress(OSError):
                _replace(targets[name], before.get(name))
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"cannot write {done[-1]}: {reason}", hint="nothing was changed"
        ) from error


def _fresh(before: Loaded, after: Loaded, today: date, memory: Memory | None) -> list[Diagnostic]:
    """Return what is wrong with the specs that was not before, wherever it has moved to."""
    found = [*after.diagnostics, *check(after, today, memory)]
    if not found:
        return []
    known = Counter(map(_gist, [*before.diagnostics, *check(before, today, memory)]))
    return list(_beyond(found, known))


def _beyond(found: Iterable[Diagnostic], known: Counter[tuple[str, ...]]) -> Iterable[Diagnostic]:
    for item in found:
        gist = _gist(item)
        if known[gist] > 0:
            known[gist] -= 1
        else:
            yield item


def _gist(item: Diagnostic) -> tuple[str, ...]:
    """Return what tells a problem from others, whatever line it is on."""
    message = re.sub(r"(?<=line )\d+|:\d+:\d+", "", item.message)
    return item.severity, item.code, message, item.source.file if item.source else ""


def _target(root: Path, specs: Path, name: str) -> Path:
    """Return where a file really is.

    Raises:
        ConfigError: that is outside the specs.
    """
    path = Path(os.path.realpath(root / name))
    folder = Path(os.path.realpath(specs))
    if not path.is_relative_to(folder) or not folder.is_relative_to(os.path.realpath(root)):
        raise ConfigError(f"{name} is outside the specs", hint="edit it by hand")
    return path


def _replace(path: Path, content: bytes | None) -> None:
    """Put content in place of a file at once, or take the file away."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode if path.exists() else 0o644
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode & 0o777)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise

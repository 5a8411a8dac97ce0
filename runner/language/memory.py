"""What need not be worked out twice about specs that have not changed.

Everything is kept by the content that it follows from, so there is nothing to invalidate: what is
not asked for any more is dropped when a reading is over. Some of it is kept in a file for the next
process. Like every cache below `.trueup/`, that file may be missing, old or damaged at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import schemas

T = TypeVar("T")

FILE = Path(".trueup") / "cache" / "memory.json"
"""Where a memory is kept, below the repo root."""


class Memory:
    """Values by what they follow from, for as long as each reading asks for them.

    Args:
        path: the file for what outlasts the process; `None` keeps nothing beyond it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept: dict[Hashable, Any] = {}
        self._used: dict[Hashable, Any] = {}
        self._noted = _read(path) if path is not None else {}
        self._asked: dict[str, Any] = {}
        self._grown = False

    def get(self, key: Hashable) -> Any:
        """Return what was kept under `key`, or `None`."""
        found = self._kept.get(key)
        if found is not None:
            self._used[key] = found
        return found

    def put(self, key: Hashable, value: object) -> None:
        """Keep `value` under `key`."""
        self._kept[key] = self._used[key] = value

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept under `key`; it is made where there is nothing yet."""
        found: T | None = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found

    def noted(self, key: str) -> Any:
        """Return the JSON that was noted under `key`, by whatever process, or `None`."""
        found = self._noted.get(key)
        if found is not None:
            self._asked[key] = found
        return found

    def note(self, key: str, value: object) -> None:
        """Note JSON under `key`, for other processes too."""
        self._noted[key] = self._asked[key] = value
        self._grown = True

    def end_of_reading(self) -> None:
        """Drop what was not asked for since the last call, and write the notes down."""
        self._kept, self._used = self._used, {}
        self._noted, self._asked = self._asked, {}
        if self._grown and self._path is not None:
            _write(self._path, self._noted)
        self._grown = False


@cache
def code() -> bytes:
    """Return a hash of the code that reads specs, on which all that is kept depends."""
    digest = hashlib.blake2b(digest_size=32)
    for folder in (Path(__file__).parent, Path(schemas.__file__).parent):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.digest()


def _read(path: Path) -> dict[str, Any]:
    """Return the notes in a file that this very code has written; none where there are none."""
    with suppress(OSError, ValueError, RecursionError):
        document: object = json.loads(path.read_bytes())
        if isinstance(document, dict):
            notes = cast("dict[str, object]", document)
            if notes.pop("code", None) == code().hex():
                return cast("dict[str, Any]", notes)
    return {}


def _write(path: Path, notes: dict[str, Any]) -> None:
    """Write notes down; a folder that cannot be written to is no problem."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with suppress(OSError):
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
            (path.parent / ".gitignore").write_text("*\n")
        text = json.dumps({"code": code().hex(), **notes}, separators=(",", ":"))
        temporary.write_text(text)
        temporary.replace(path)

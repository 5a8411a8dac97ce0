"""What earlier runs learned from files that have not changed since.

An entry is one file's documents in canonical form, named by a hash of the file's content and of
the code that reads it. The cache is never trusted to be there or to be whole: it may be deleted at
any time, and an entry that cannot be read is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from runner.language.memory import Memory, code

FOLDER = Path(".trueup") / "cache" / "specs"
"""Where the entries are, below the repo root."""

SPARE = 64
"""How many unused entries are kept beyond the number of files, for going back and forth."""


@dataclass(slots=True)
class Cache:
    """The entries below one folder.

    Attributes:
        folder: where they are; made on first use.
        salt: what an entry depends on besides the file and our code.
        memory: holds entries that this process has seen already.
    """

    folder: Path
    salt: str = ""
    memory: Memory | None = None
    _used: set[str] = field(default_factory=set[str])
    _grown: bool = False

    def name(self, content: bytes) -> str:
        """Return the name of the entry for a file with this content."""
        digest = hashlib.blake2b(content, digest_size=16, key=code())
        digest.update(self.salt.encode())
        return digest.hexdigest()

    def get(self, name: str) -> list[object] | None:
        """Return what was kept under `name`, or `None`."""
        memory = self.memory or Memory()
        entry: object = memory.get(name)
        if entry is None:
            try:
                entry = json.loads((self.folder / f"{name}.json").read_bytes())
            except (OSError, ValueError, RecursionError):
                return None
        self._used.add(name)
        if not isinstance(entry, list):
            return None
        memory.put(name, cast("list[object]", entry))
        return cast("list[object]", entry)

    def put(self, name: str, entry: list[object]) -> None:
        """Keep `entry`; a folder that cannot be written to is no problem."""
        self._used.add(name)
        self._grown = True
        if self.memory is not None:
            self.memory.put(name, entry)
        temporary = self.folder / f"{name}.{os.getpid()}.tmp"
        with suppress(OSError):
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True)
                (self.folder.parent / ".gitignore").write_text("*\n")
            temporary.write_text(json.dumps(entry, separators=(",", ":"), ensure_ascii=False))
            temporary.replace(self.folder / f"{name}.json")

    def tidy(self) -> None:
        """Remove entries that this run did not use, once there are many of them."""
        if not self._grown:
            return
        with suppress(OSError):
            entries = list(self.folder.glob("*.json"))
            if len(entries) > 2 * len(self._used) + SPARE:
                for path in entries:
                    if path.stem not in self._used:
                        path.unlink(missing_ok=True)

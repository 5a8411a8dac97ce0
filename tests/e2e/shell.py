"""Commands as a user types them: the installed `trueup`, with a clean environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TRUEUP = Path(sys.executable).with_name("trueup")
KEPT = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Result:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return what it printed, parsed."""
        return json.loads(self.out)


@dataclass(slots=True)
class Shell:
    """A terminal in `folder`.

    Attributes:
        environment: besides the bare necessities; no setting of the machine's user gets in.
        patience: seconds that a command may take.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict[str, str])
    patience: float = 120

    def __post_init__(self) -> None:
        # Whoever it starts stays on this machine, too: see `tests/offline`.
        self.environment.setdefault("PYTHONPATH", os.environ["PYTHONPATH"])

    def run(self, *command: str | Path, **more: str) -> Result:
        """Run a command and return what became of it; `more` is added to the environment."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=kept | self.environment | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=self.patience,
        )
        return Result(result.returncode, result.stdout, result.stderr)

    def trueup(self, *arguments: str, **more: str) -> Result:
        """Run `trueup` with `arguments`."""
        return self.run(TRUEUP, *arguments, **more)

    def done(self, *arguments: str) -> Result:
        """Run `trueup`, which must succeed."""
        result = self.trueup(*arguments)
        assert result.code == 0, result.err or result.out
        return result

    def git(self, *arguments: str) -> str:
        """Run git, which must succeed."""
        result = self.run("git", *arguments)
        assert result.code == 0, result.err
        return result.out

    def commit(self, message: str) -> str:
        """Commit everything; return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD").strip()

    def write(self, files: Mapping[str, str]) -> None:
        """Write files below the folder."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

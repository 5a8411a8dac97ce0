"""A process that runs `trueup` in forks of itself, each of which starts in a moment."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

REPO = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Launcher:
    """Runs one command at a time; see `tests.e2e.mortal` for how the two talk."""

    process: subprocess.Popen[str]

    def prepare(
        self,
        folder: Path,
        environment: Mapping[str, str],
        arguments: Sequence[str],
        output: Path,
        **more: Any,
    ) -> int:
        """Fork a process that will run the command, and return its id.

        Args:
            folder: where it is typed.
            environment: all that it sees of one.
            arguments: what follows `trueup`.
            output: gets what it prints, errors and all.
            more: of the job: `die`, `leap`.
        """
        job = {
            "folder": str(folder),
            "environment": dict(environment),
            "arguments": list(arguments),
            "output": str(output),
            **more,
        }
        self._say(json.dumps(job))
        return self._heard()

    def go(self) -> None:
        """Let the prepared process run."""
        self._say("go")

    def ended(self) -> int:
        """Wait for its end; return its exit code, negative for a signal."""
        return self._heard()

    def _say(self, line: str) -> None:
        print(line, file=cast("IO[str]", self.process.stdin), flush=True)

    def _heard(self) -> int:
        return int(cast("IO[str]", self.process.stdout).readline())


@contextlib.contextmanager
def launching() -> Generator[Launcher]:
    """Start a launcher that lives until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.mortal"],
        cwd=REPO,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Launcher(process)
        cast("IO[str]", process.stdin).close()

"""A `trueup` command in a process of its own, for those that go on when it has ended.

It is out of reach of the terminal's Ctrl-C: whoever started it passes on what it should know.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.config import Config

# `-P` keeps a folder named `runner` or `schemas` in the present directory out of the way.
_TRUEUP = (sys.executable, "-P", "-c", "from runner.cli import main; main()")


def command(config: Config, *arguments: str) -> Sequence[str]:
    """Return the command line of a `trueup` for the same spec repo."""
    specs = os.path.relpath(config.specs, config.root)
    return (*_TRUEUP, "-C", str(config.root), "--specs", specs, *arguments)


def run_to_end(config: Config, *arguments: str) -> tuple[int, str]:
    """Run a command, and return its exit code and what it printed; its stderr is ours.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM came; the command was told, and has ended orderly.
    """
    process = subprocess.Popen(  # noqa: S603 - our own command
        command(config, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    interrupted = False
    while True:
        try:
            out, _ = process.communicate()
            break
        except KeyboardInterrupt:
            interrupted = True
            process.send_signal(signal.SIGINT)
    if interrupted:
        raise KeyboardInterrupt
    return process.returncode, out

"""What a notebook needs to use trueup: the spec repo around it, its parameters, the commands.

It works the same on Databricks, where the repo is a Git folder or came with an asset bundle, and
anywhere else.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runner.config import read_config
from runner.workspace import Workspace
from schemas.errors import ConfigError


def here(specs: str = "specs") -> Workspace:
    """Return the spec repo around the working directory; Spark keeps its state unless told else.

    Raises:
        ConfigError: no folder from here upwards has specs.
    """
    os.environ.setdefault("TRUEUP_STATE_BACKEND", "spark")
    start = Path.cwd()
    for folder in (start, *start.parents):
        if (folder / specs).is_dir():
            return Workspace(read_config(folder, specs))
    raise ConfigError(
        f"there are no specs at {start} or above it",
        hint="open the notebook where it is in the repo, in a Git folder",
    )


def parameter(name: str, default: str = "", widget: Callable[[str], str] | None = None) -> str:
    """Return a parameter of the notebook: the widget's value, else `TRUEUP_<NAME>`'s.

    Args:
        name: what a job, or whoever runs the notebook, calls it.
        default: where it is not given.
        widget: returns a widget's value; `dbutils.widgets.get` on Databricks.
    """
    value = widget(name) if widget else os.environ.get(f"TRUEUP_{name.upper()}", "")
    return value.strip() or default


def command(place: Workspace, *arguments: str) -> None:
    """Run a `trueup` command on a spec repo and print what it says.

    It runs in a thread of its own, since a notebook's own has an event loop running.

    Raises:
        TrueupError: what the command raises.
        SystemExit: the command says that something failed.
    """
    from runner.cli import cli

    said = io.StringIO()
    root = ["-C", str(place.config.root)]
    try:
        with contextlib.redirect_stdout(said), ThreadPoolExecutor(1) as pool:
            pool.submit(cli.main, [*root, *arguments], standalone_mode=False).result()
    finally:
        print(said.getvalue())

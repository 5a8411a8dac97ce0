"""Looking at the specs again after every save: what is wrong with them, and what a plan would do.

What does not change between two saves stays in memory: the parsed files, what they ask for, and
what is bound. Nothing that the specs hold ends the watch; it is shown, and the next save is
waited for.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from runner.child import run_to_end
from runner.config import Config
from runner.language.load import SUFFIXES
from runner.language.memory import FILE, Memory
from runner.plan import make_plan
from runner.platforms import profiles_of
from runner.state.kept import KeptReader
from runner.workspace import Workspace
from schemas.domain import Diagnostic, Plan
from schemas.errors import TrueupError

QUIET = 30
"""Milliseconds without another save after which a look is worth it."""

PATIENCE = 400
"""Milliseconds after the first of many saves at which a look comes anyhow."""

MISSED_AFTER = 500
"""Milliseconds after which a quiet watch looks whether it has begun too late."""

GONE_EVERY = 0.5
"""Seconds between two looks whether the folder of the specs is back."""

WAIT = "600"
"""Seconds for which an apply waits until another one has given the lease back."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the specs showed.

    Attributes:
        diagnostics: what is to be said about the specs.
        plan: what an apply would do; `None` where the specs have errors or something is amiss.
        error: what else is amiss, with what to do about it.
        took: seconds.
    """

    diagnostics: tuple[Diagnostic, ...] = ()
    plan: Plan | None = None
    error: str = ""
    files: int = 0
    resources: int = 0
    took: float = 0.0

    @property
    def valid(self) -> bool:
        """Whether the specs have no errors."""
        return not self.error and not any(d.severity == "error" for d in self.diagnostics)


class Watcher:
    """Looks at a spec repo again and again.

    Args:
        config: returns the configuration of the moment.
    """

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config
        self._memory = Memory(config().root / FILE)
        self._base: KeptReader | None = None
        self._settled = False

    def look(self) -> Look:
        """Return how the specs are now; raises nothing that the specs or the state may cause."""
        started = time.monotonic()
        place = Workspace(self._config(), self._memory)
        diagnostics: tuple[Diagnostic, ...] = ()
        plan, error, files, resources = None, "", 0, 0
        try:
            diagnostics = place.diagnostics
            files = len(place.loaded.files)
            if not any(item.severity == "error" for item in diagnostics):
                desired = place.desired
                resources = len(desired.resources)
                plan = make_plan(desired, self._agreed(place), profiles_of(desired))
        except TrueupError as problem:
            error = f"{problem}: {problem.hint}" if problem.hint else str(problem)
        if not self._settled:
            # What the first look has made stays; looking through it for garbage takes longer
            # than a look.
            gc.freeze()
            self._settled = True
        took = time.monotonic() - started
        return Look(diagnostics, plan, error, files, resources, took)

    def _agreed(self, place: Workspace) -> KeptReader:
        reader = place.reader()
        if self._base is None:
            self._base = KeptReader(reader)
        else:
            self._base.follow(reader)
        return self._base


class View(Protocol):
    """Shows looks and applies to somebody."""

    def looked(self, look: Look) -> None:
        """Show a look."""
        ...

    def applied(self, code: int, out: str) -> None:
        """Show what became of an apply: its exit code, and what it printed as JSON."""
        ...

    def working(self) -> AbstractContextManager[None]:
        """Leave the terminal to an apply for the length of the block."""
        ...


def watch(config: Callable[[], Config], view: View, *, apply: bool) -> None:
    """Look after every save until Ctrl-C.

    Args:
        config: returns the configuration of the moment.
        view: shows what is found.
        apply: also apply each plan that does something, with the observation before it.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM came; an apply under way has ended orderly.
    """
    watcher = Watcher(config)
    last = Look()
    for saved in _saves(config().specs):
        look = watcher.look()
        if not saved and replace(look, took=last.took) == last:
            continue
        view.looked(look)
        if apply and look.plan is not None and look.plan.changes:
            with view.working():
                code, out = run_to_end(config(), "apply", "--yes", "--json", "--wait", WAIT)
            view.applied(code, out)
            look = watcher.look()
            view.looked(look)
        last = look


def _saves(folder: Path) -> Iterator[bool]:
    """Yield `True` whenever something in a folder was saved, and at once.

    The folder may come and go. `False` is for what may have been missed before the system was
    asked to tell.
    """
    import watchfiles

    yield True
    while True:
        there = _inode(folder)
        while there is None:
            time.sleep(GONE_EVERY)
            there = _inode(folder)
        unsure = True
        for changes in watchfiles.watch(
            folder,
            watch_filter=_is_spec,
            step=QUIET,
            debounce=PATIENCE,
            rust_timeout=MISSED_AFTER,
            yield_on_timeout=True,
        ):
            if _inode(folder) != there:
                yield True
                break
            if changes or unsure:
                yield bool(changes)
            unsure = False


def _is_spec(_change: object, path: str) -> bool:
    """Return whether a change may matter: spec files, and folders or links that may hold some."""
    name = Path(path).name
    return not name.startswith(".") and (name.endswith(SUFFIXES) or "." not in name)


def _inode(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None

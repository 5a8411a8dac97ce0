"""What an apply shows while it works: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from runner.render import SIGNS
from schemas.domain import Change, Outcome

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

EVERY = 5.0
"""Seconds between two plain lines for one platform, failures aside."""


class Quiet:
    """Shows nothing."""

    def begin(self, totals: Mapping[str, int]) -> None:
        """Ignore the totals."""

    def settled(self, change: Change, outcome: Outcome) -> None:
        """Ignore the outcome."""

    def end(self) -> None:
        """Do nothing."""


class Lines:
    """One line every few seconds and platform, and one for each failure."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._totals: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._said: dict[str, float] = {}

    def begin(self, totals: Mapping[str, int]) -> None:
        """Remember how much there is to do."""
        self._totals = dict(totals)
        self._done = dict.fromkeys(totals, 0)
        self._said = dict.fromkeys(totals, time.monotonic())

    def settled(self, change: Change, outcome: Outcome) -> None:
        """Say how far the platform is, when it is time, and what failed, always."""
        name = change.platform
        self._done[name] += 1
        if outcome.status in {"failed", "unknown"}:
            print(f"{outcome.status}: {describe(change)}: {outcome.error}", file=self._stream)
        for warning in outcome.warnings:
            print(f"warning: {describe(change)}: {warning}", file=self._stream)
        finished = self._done[name] == self._totals[name]
        if finished or time.monotonic() - self._said[name] >= EVERY:
            self._said[name] = time.monotonic()
            print(f"{name}: {self._done[name]} of {self._totals[name]}", file=self._stream)

    def end(self) -> None:
        """Do nothing; the last line of each platform is out already."""


class Bars:
    """A bar for each platform, and a line for each failure above them."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._console = Console(stderr=True, highlight=False)
        self._bars: RichProgress = Progress(
            TextColumn("{task.description:8}"),
            BarColumn(),
            MofNCompleteColumn(),
            Remaining(),
            TextColumn("{task.fields[last]}"),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}

    def begin(self, totals: Mapping[str, int]) -> None:
        """Draw the bars."""
        for name, total in totals.items():
            self._tasks[name] = self._bars.add_task(name, total=total, last="")
        self._bars.start()

    def settled(self, change: Change, outcome: Outcome) -> None:
        """Advance the platform's bar."""
        from rich.markup import escape

        if outcome.status in {"failed", "unknown"}:
            text = f"{outcome.status}: {describe(change)}: {outcome.error}"
            self._console.print(f"[red]{escape(text)}")
        for warning in outcome.warnings:
            self._console.print(f"[yellow]{escape(f'warning: {describe(change)}: {warning}')}")
        last = escape(f"{SIGNS[change.action]} {change.address}")
        self._bars.update(self._tasks[change.platform], advance=1, last=last)

    def end(self) -> None:
        """Leave the bars as they are."""
        self._bars.stop()


def describe(change: Change) -> str:
    """Return `linear: create mobile-app/pick-stack`."""
    return f"{change.platform}: {change.action} {change.address}"


def progress_for(stream: TextIO = sys.stderr) -> Bars | Lines:
    """Return what suits the stream: bars on a terminal, lines elsewhere."""
    return Bars() if stream.isatty() else Lines(stream)

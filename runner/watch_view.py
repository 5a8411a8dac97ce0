"""What `trueup watch` shows: a screen on a terminal, plain lines elsewhere, JSON for editors."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from runner import report
from runner.config import now
from runner.render import Paint, plan_text, summary_line

if TYPE_CHECKING:
    from rich.live import Live

    from runner.watch import Look, View

MOST = 20
"""Lines of a plan in an output that is not a terminal."""

AROUND = 4
"""Lines of a terminal that are not for the plan: what is above it, and the prompt to come."""


class Lines:
    """Plain lines: one for each look, and below it what is wrong or would be done."""

    def __init__(self, say: Callable[[str], None], *, colour: bool) -> None:
        self._say = say
        self._colour = colour

    def looked(self, look: Look) -> None:
        """Say how the specs are."""
        self._say(f"{now()} {headline(look, colour=self._colour)}")
        if body := details(look, colour=self._colour, most=MOST):
            self._say(body)

    def applied(self, code: int, out: str) -> None:
        """Say what became of the apply."""
        self._say(f"{now()} {outcome(code, out)}")

    def working(self) -> AbstractContextManager[None]:
        """Do nothing: lines are never in the way."""
        return nullcontext()


class JsonLines:
    """One JSON object a line, for editors."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def looked(self, look: Look) -> None:
        """Say how the specs are."""
        plan = look.plan
        self._put(
            event="looked",
            valid=look.valid,
            error=look.error,
            files=look.files,
            resources=look.resources,
            diagnostics=[report.as_json(item) for item in look.diagnostics],
            summary=plan.summary if plan else None,
            requests=dict(plan.cost.requests) if plan else None,
            milliseconds=round(look.took * 1000),
        )

    def applied(self, code: int, out: str) -> None:
        """Say what became of the apply."""
        self._put(event="applied", code=code, counts=_counts(out))

    def working(self) -> AbstractContextManager[None]:
        """Do nothing: progress goes to stderr."""
        return nullcontext()

    def _put(self, **fields: object) -> None:
        self._say(json.dumps({**fields, "at": now()}, ensure_ascii=False))


class Screen:
    """The latest look, always in the same place of a terminal."""

    def __init__(self, live: Live, *, colour: bool) -> None:
        self._live = live
        self._colour = colour
        self._outcome = ""

    def looked(self, look: Look) -> None:
        """Show how the specs are, as far as the terminal is high."""
        from rich.text import Text

        most = max(5, self._live.console.height - AROUND)
        body = details(look, colour=self._colour, most=most - 4)
        head = f"{now()} {headline(look, colour=self._colour)}"
        lines = [head, *self._outcome.splitlines(), "", *body.splitlines()]
        self._live.update(Text.from_ansi("\n".join(lines[:most])), refresh=True)

    def applied(self, code: int, out: str) -> None:
        """Keep what became of the apply in view."""
        self._outcome = f"{now()} {outcome(code, out)}"

    @contextlib.contextmanager
    def working(self) -> Generator[None]:
        """Take the view down while an apply shows its own."""
        self._live.stop()
        yield
        self._live.start()


def headline(look: Look, *, colour: bool) -> str:
    """Return one line about a look: valid or not, how much, and what a plan would do."""
    paint = Paint(colour)
    took = paint("2", f"({round(look.took * 1000)} ms)")
    if look.error:
        return f"{paint('31', 'cannot plan')} {took}"
    if look.plan is None:
        errors = sum(item.severity == "error" for item in look.diagnostics)
        return f"{paint('31', f'{errors} error' + 's' * (errors != 1))} {took}"
    size = f"{look.files} files, {look.resources} resources"
    return f"{paint('32', 'valid')}: {size}; {summary_line(look.plan, paint)} {took}"


def details(look: Look, *, colour: bool, most: int) -> str:
    """Return what is wrong, or what a plan would do; '' where there is nothing to say."""
    if look.error:
        return look.error
    if look.plan is None:
        return report.text(look.diagnostics, colour=colour).rstrip()
    quiet = not (look.plan.changes or look.plan.drift or look.plan.diagnostics)
    return "" if quiet else plan_text(look.plan, colour=colour, most=most).rstrip()


def outcome(code: int, out: str) -> str:
    """Return one line about an apply."""
    counts = ", ".join(f"{count} {name}" for name, count in _counts(out).items() if count)
    if code == 0:
        return f"applied: {counts or 'nothing was to be done'}"
    return f"not all was applied: {counts or 'see above'}"


def _counts(out: str) -> dict[str, int]:
    return json.loads(out)["counts"] if out.strip() else {}


@contextlib.contextmanager
def view_for(
    say: Callable[[str], None], *, as_json: bool, terminal: bool, colour: bool
) -> Generator[View]:
    """Show looks until the block ends.

    Args:
        say: prints a line.
        as_json: whether the lines are for an editor.
        terminal: whether there is a terminal, to show the latest look in one place.
        colour: whether to use ANSI colours.
    """
    if as_json:
        yield JsonLines(say)
    elif not terminal:
        yield Lines(say, colour=colour)
    else:
        from rich.console import Console
        from rich.live import Live

        console = Console(no_color=not colour, highlight=False)
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            yield Screen(live, colour=colour)

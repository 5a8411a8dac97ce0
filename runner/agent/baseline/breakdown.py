"""Work broken down without a model: a template fitted into the time there is, a task into steps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from runner.agent.baseline.dates import fold, nth_working_day, working_days
from runner.agent.baseline.templates import Piece, Template
from schemas.operands import NewMilestone, NewTask
from schemas.values import MINUTES, format_estimate

SHARE: Final = 0.85
"""How much of the time one person can plan; the rest is for what nobody foresees."""

TIGHTEST: Final = 0.4
"""Estimates are cut to this part of the usual ones at most; below it, a deadline is impossible."""

_DAY: Final = MINUTES["d"]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A template fitted into the time there is.

    Attributes:
        work: the minutes of it all.
        fits: whether it can be done by the deadline.
        days: working days up to the deadline; 0 without one.
        end: when the last task is done, with time to spare.
    """

    milestones: Mapping[str, NewMilestone]
    tasks: Mapping[str, NewTask]
    work: int
    fits: bool
    days: int
    end: date


def plan_work(template: Template, first: date, due: date | None) -> Breakdown:
    """Return milestones and tasks with estimates, dependencies and, up to a deadline, due dates.

    One person is taken to do it all, one task after the other: whoever shares it is done sooner.
    """
    usual = template.minutes
    days = working_days(first, due) if due is not None else 0
    factor = min(1.0, SHARE * days * _DAY / usual) if due is not None else 1.0
    estimates = {
        leaf.key: _rounded(leaf.minutes * max(factor, TIGHTEST))
        for phase in template.phases
        for leaf in phase.leaves()
    }
    work = sum(estimates.values())
    span = days * (1 + SHARE) / 2 if days else -(-work // (SHARE * _DAY))
    finish = _finishes(template, estimates, first, span)
    tasks = {
        piece.key: _task(piece, phase.key, estimates, finish if due else {})
        for phase in template.phases
        for piece in phase.pieces
    }
    milestones: dict[str, NewMilestone] = {}
    for phase in template.phases:
        milestones[phase.key] = {"name": phase.name}
        if due is not None:
            last = phase is template.phases[-1]
            day = due if last else max(finish[leaf.key] for leaf in phase.leaves())
            milestones[phase.key]["due"] = day.isoformat()
    fits = due is None or factor >= TIGHTEST
    return Breakdown(milestones, tasks, work, fits, days, max(finish.values()))


def shortest(template: Template, first: date) -> date:
    """Return the earliest deadline that a template can be fitted to."""
    days = -(-int(template.minutes * TIGHTEST) // int(SHARE * _DAY))
    return nth_working_day(first, max(days, 1))


def steps_for(title: str, minutes: int | None) -> list[tuple[str, str, str | None]]:
    """Return key, title and estimate of the steps that a task of this kind usually has."""
    words = set(re.findall(r"[^\W_]+", fold(title)))
    steps = next((steps for words_, steps in _STEPS if words & words_), _ANY_STEPS)
    result: list[tuple[str, str, str | None]] = []
    for key, name, share in steps:
        estimate = _rounded(minutes * share / 100) if minutes else None
        result.append((key, name, format_estimate(estimate) if estimate else None))
    return result


def _finishes(
    template: Template, estimates: Mapping[str, int], first: date, span: float
) -> dict[str, date]:
    """Return when each piece of work is done, spread evenly over `span` working days."""
    work = sum(estimates.values())
    done = 0
    found: dict[str, date] = {}
    for phase in template.phases:
        for leaf in phase.leaves():
            done += estimates[leaf.key]
            found[leaf.key] = nth_working_day(first, -int(-span * done // work))
    return found


def _task(
    piece: Piece, milestone: str, estimates: Mapping[str, int], finish: Mapping[str, date]
) -> NewTask:
    task: NewTask = {"title": piece.title}
    if not piece.subtasks:
        task["estimate"] = format_estimate(estimates[piece.key])
    if finish:
        task["due"] = max(finish[leaf.key] for leaf in piece.leaves()).isoformat()
    if milestone:
        task["milestone"] = milestone
    if piece.after:
        task["depends_on"] = list(piece.after)
    if piece.subtasks:
        task["tasks"] = {
            sub.key: _task(sub, milestone, estimates, finish) for sub in piece.subtasks
        }
    return task


def _rounded(minutes: float) -> int:
    """Return minutes as people estimate: in half days, below one day in hours, never more."""
    step = 240 if minutes >= _DAY else 60
    return max(int(minutes // step) * step, 60)


_STEPS: Final[tuple[tuple[set[str], tuple[tuple[str, str, int], ...]], ...]] = (
    (
        {
            "design",
            "draw",
            "sketch",
            "entwerfen",
            "gestalten",
            "concevoir",
            "disenar",
            "wireframes",
        },
        (
            ("collect", "Collect requirements and examples", 20),
            ("draft", "Draw a first version", 40),
            ("review", "Have it reviewed", 15),
            ("finish", "Finish it", 25),
        ),
    ),
    (
        {"build", "implement", "develop", "add", "code", "bauen", "implementieren", "entwickeln"}
        | {
            "developper",
            "implementer",
            "construir",
            "desarrollar",
            "integrate",
            "connect",
            "create",
        },
        (
            ("design", "Work out the design", 20),
            ("build", "Build it", 45),
            ("test", "Test it", 25),
            ("document", "Document it and have it reviewed", 10),
        ),
    ),
    (
        {
            "write",
            "draft",
            "document",
            "docs",
            "copy",
            "schreiben",
            "rediger",
            "ecrire",
            "escribir",
        },
        (
            ("outline", "Outline it", 20),
            ("write", "Write the draft", 50),
            ("review", "Have it reviewed", 15),
            ("revise", "Revise it", 15),
        ),
    ),
    (
        {"migrate", "move", "upgrade", "switch", "migrieren", "migrer", "migrar"},
        (
            ("inventory", "List what has to move", 20),
            ("rehearse", "Rehearse it with a copy", 35),
            ("migrate", "Do it", 25),
            ("verify", "Verify the result", 20),
        ),
    ),
    (
        {"test", "check", "verify", "review", "testen", "prufen", "tester", "verifier", "probar"},
        (
            ("cases", "Write down what is to be checked", 25),
            ("run", "Go through it", 45),
            ("fix", "See to what was found", 30),
        ),
    ),
)
_ANY_STEPS: Final = (
    ("prepare", "Prepare it", 25),
    ("do", "Do it", 50),
    ("check", "Check the result", 25),
)

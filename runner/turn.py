"""One turn of a reconciler: pull the specs, observe, apply, and look what is left.

Two reconcilers with one state take turns by its lease. Each looks once more whether its clone is
the newest when it has the lease, so that none goes back behind what the other has applied.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from runner.clone import is_newest, pull
from runner.follow import follow
from runner.operate import apply_specs
from runner.plan import make_plan
from runner.platforms import profiles_of
from runner.workspace import Workspace
from schemas.errors import SpecError, StateLocked, TrueupError

if TYPE_CHECKING:
    from runner.apply import Applied
    from runner.config import Config
    from schemas.domain import Plan

Ending = Literal["done", "busy", "failed"]

ATTEMPTS = 3
"""How often a turn begins again because somebody pushed in the middle of it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn came to.

    Attributes:
        ending: `busy` where another process holds the lease: its work is as good as ours.
        commit: the commit that was applied, or '' outside git.
        error: what went wrong, without secrets, or ''.
        hint: what to do about it.
        counts: by status, how many changes came to it.
        requests: HTTP requests sent, by platform.
        drift: how many declared fields differ on a platform.
        left: how many changes the next plan has.
        seconds: how long it took.
    """

    ending: Ending
    commit: str = ""
    error: str = ""
    hint: str = ""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    requests: Mapping[str, int] = field(default_factory=dict[str, int])
    drift: int = 0
    left: int = 0
    seconds: float = 0.0


def take_turn(config: Callable[[], Config], *, branch: str, max_prune: str) -> Turn:
    """Make the platforms match the remote's specs; raises nothing that people can mend.

    Args:
        config: returns the configuration of the moment.
        branch: the branch to follow; the one that is checked out where empty.
        max_prune: how much may be pruned, instead of the policy's own; '' for that.
    """
    started = time.monotonic()
    commit = ""
    turn: Turn | None = None
    try:
        for _ in range(ATTEMPTS):
            commit = pull(config(), branch)
            turn = _attempt(Workspace(config()), branch, max_prune)
            if turn is not None:
                follow(Workspace(config()))
                break
        else:
            turn = Turn("failed", error="the remote's branch moves faster than it can be applied")
    except StateLocked as error:
        turn = Turn("busy", error=error.message)
    except SpecError as error:
        first = next(item for item in error.diagnostics if item.severity == "error")
        turn = Turn("failed", error=f"{error}: {first.source}: {first.message}", hint=error.hint)
    except TrueupError as error:
        turn = Turn("failed", error=str(error), hint=error.hint)
    return replace(turn, commit=commit, seconds=round(time.monotonic() - started, 3))


def _attempt(place: Workspace, branch: str, max_prune: str) -> Turn | None:
    """Apply what was pulled; return `None` where somebody pushed meanwhile."""
    moved = False

    def is_still_newest(plan: Plan) -> bool:
        nonlocal moved
        moved = bool(plan.changes) and not is_newest(place.config, branch)
        return not moved

    applied = apply_specs(
        place, planfile=None, refresh=True, max_prune=max_prune, wait=0, confirm=is_still_newest
    )
    return None if moved else _turn(applied, place)


def _turn(applied: Applied, place: Workspace) -> Turn:
    sent = Counter(applied.requests)
    error = ""
    if applied.observed is not None:
        sent.update(applied.observed.requests)
        for name, why in applied.observed.failed.items():
            error = error or f"{name} could not be read: {why}"
    for change, outcome in applied.results:
        if outcome.status != "applied":
            error = error or f"{outcome.status}: {change.id}: {outcome.error}"
    plan = make_plan(place.desired, place.reader(), profiles_of(place.desired))
    return Turn(
        "failed" if error else "done",
        error=error,
        counts={str(status): count for status, count in applied.counts.items()},
        requests=dict(sent),
        drift=len(plan.drift),
        left=len(plan.changes),
    )


def turn_text(turn: Turn) -> str:
    """Return a turn in one line."""
    commit = f"{turn.commit[:12]}: " if turn.commit else ""
    counts = ", ".join(f"{count} {status}" for status, count in turn.counts.items())
    sent = sum(turn.requests.values())
    text = f"{commit}{turn.ending}; {counts or 'nothing to do'}; {sent} requests"
    if turn.drift:
        text += f"; {turn.drift} fields drifted"
    return f"{text}: {turn.error}" if turn.error else text

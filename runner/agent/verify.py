"""What trueup makes of a draft: allowed, sound, in time, and what an apply would do.

A model's word counts for nothing here. Whatever is wrong is said in words that whoever drafted it
can act on: the validator's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.agent.contract import AgentRequest, Draft
from runner.agent.scope import beyond
from runner.language.edit import Edited
from schemas.domain import Diagnostic, Plan
from schemas.errors import SpecError

if TYPE_CHECKING:
    from runner.agent.material import Material

MAX_PROBLEMS = 20
"""How many problems are told at once."""

DEADLINE = "deadline"
"""The code of the diagnostic that a deadline cannot be met."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a draft.

    Attributes:
        problems: why it is refused; empty if it holds.
        edited: the spec files with the draft's operations done.
        plan: what an apply would do because of it; `None` where the specs have errors anyway.
        late: deadlines that it would make impossible; told, not refused, if the draft asks.
    """

    problems: tuple[str, ...] = ()
    edited: Edited = field(default_factory=Edited)
    plan: Plan | None = None
    late: tuple[Diagnostic, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the draft holds."""
        return not self.problems


def verify(draft: Draft, request: AgentRequest, material: Material) -> Verdict:
    """Return what trueup makes of a draft; nothing is written.

    Raises:
        ConfigError: a platform has no reconciler.
    """
    if outside := beyond(draft, request.scope, material.projects):
        return Verdict(tuple(outside[:MAX_PROBLEMS]))
    if not draft.operations:
        if draft.questions:
            return Verdict()
        return Verdict(("the draft has neither operations nor a question",))
    edited = material.edit(draft.operations)
    if problems := tuple(_problems(edited.diagnostics)):
        return Verdict(problems, edited)
    if not edited.files:
        return Verdict(("the operations change nothing: the specs say so already",), edited)
    if len(edited.touched) > request.scope.max_touched:
        message = f"{len(edited.touched)} things would change; at most"
        return Verdict((f"{message} {request.scope.max_touched} are allowed",), edited)
    late = tuple(item for item in edited.diagnostics if item.code == DEADLINE)
    if late and not draft.questions:
        return Verdict(tuple(_too_late(late)), edited, late=late)
    try:
        plan = material.plan(edited)
    except SpecError:
        plan = None
    return Verdict((), edited, plan, late)


def _problems(diagnostics: Sequence[Diagnostic]) -> Iterator[str]:
    errors = [item for item in diagnostics if item.severity == "error"]
    for item in errors[:MAX_PROBLEMS]:
        yield f"{item.message}{f' ({item.hint})' if item.hint else ''} [{item.code}]"
    if len(errors) > MAX_PROBLEMS:
        yield f"and {len(errors) - MAX_PROBLEMS} more"


def _too_late(late: Sequence[Diagnostic]) -> Iterator[str]:
    for item in late[:MAX_PROBLEMS]:
        yield f"{item.message} ({item.hint})"
    yield (
        "make it fit: less work, less waiting, an earlier start; or, if that is not yours to"
        " decide, keep the draft and put it as a question"
    )

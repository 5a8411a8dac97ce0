"""What trueup makes of a draft: allowed, sound, in time, and what an apply would do.

A model's word counts for nothing here. Whatever is wrong is said in words that whoever drafted it
can act on: the validator's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.agent.contract import AgentRequest, Draft, Revision
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


def verify(draft: Draft, request: AgentRequest, material: Material, answers: int = 0) -> Verdict:
    """Return what trueup makes of a draft; nothing is written.

    Args:
        draft: what is proposed.
        request: what was asked, and what it may change.
        material: the specs as they are.
        answers: how many comments a revision has to answer.

    Raises:
        ConfigError: a platform has no reconciler.
    """
    problems = tuple(_refusals(draft, request, material, answers))
    if problems or not draft.operations:
        return Verdict(problems)
    edited = material.edit(draft.operations)
    late = tuple(item for item in edited.diagnostics if item.code == DEADLINE)
    problems = tuple(_problems(edited, request)) or tuple(_too_late(late, draft))
    if problems:
        return Verdict(problems, edited, late=late)
    try:
        plan = material.plan(edited)
    except SpecError:
        plan = None
    return Verdict((), edited, plan, late)


def _refusals(
    draft: Draft, request: AgentRequest, material: Material, answers: int
) -> Iterator[str]:
    """Yield why a draft is refused before its operations are tried."""
    yield from beyond(draft, request.scope, material.projects)[:MAX_PROBLEMS]
    given = len(draft.answers) if isinstance(draft, Revision) else 0
    if given != answers:
        yield f"there are {answers} comments to answer, and {given} answers"
    if not draft.operations and not draft.questions and not answers:
        yield "the draft has neither operations nor a question"


def _problems(edited: Edited, request: AgentRequest) -> Iterator[str]:
    """Yield what is wrong with what the operations make of the specs."""
    errors = [item for item in edited.diagnostics if item.severity == "error"]
    for item in errors[:MAX_PROBLEMS]:
        yield f"{item.message}{f' ({item.hint})' if item.hint else ''} [{item.code}]"
    if len(errors) > MAX_PROBLEMS:
        yield f"and {len(errors) - MAX_PROBLEMS} more"
    if errors:
        return
    if not edited.files:
        yield "the operations change nothing: the specs say so already"
    if len(edited.touched) > request.scope.max_touched:
        allowed = f"at most {request.scope.max_touched} are allowed"
        yield f"{len(edited.touched)} things would change; {allowed}"


def _too_late(late: Sequence[Diagnostic], draft: Draft) -> Iterator[str]:
    """Yield the deadlines that the operations would make impossible, unless the draft asks."""
    if draft.questions or not late:
        return
    for item in late[:MAX_PROBLEMS]:
        yield f"{item.message} ({item.hint})"
    yield (
        "make it fit: less work, less waiting, an earlier start; or, if that is not yours to"
        " decide, keep the draft and put it as a question"
    )

"""Drafts without a model: the commonest requests, by rules and templates.

message ──cut──> clauses ──rules──> operations ──checked──> Draft, or a question

It is the floor that models are measured against (docs/evaluation.md), and what `trueup demo` and
`trueup draft --offline` use. The same request on the same specs and day gives the same draft.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from runner.agent.baseline import changes, rules, shifts
from runner.agent.baseline.dates import fold
from runner.agent.baseline.names import Names
from runner.agent.baseline.phrases import (
    ASKS,
    FORBIDDEN,
    STARTS,
    Clause,
    Intent,
    clauses,
    corrected,
)
from runner.agent.baseline.rules import Proposal, Setting
from runner.agent.baseline.targets import Already, Targets, Unclear
from runner.agent.contract import AgentRequest, Draft
from runner.agent.scope import beyond
from runner.agent.verify import DEADLINE
from schemas.values import shorten

if TYPE_CHECKING:
    from runner.agent.material import Material
    from runner.language.edit import Edited

__all__ = ["Baseline"]

_RULES: Final[Mapping[Intent, Callable[[Clause, Setting], Proposal]]] = {
    "create": rules.create,
    "add_task": rules.add_task,
    "add_milestone": rules.add_milestone,
    "split": rules.split,
    "break_down": rules.break_down,
    "depend": changes.depend,
    "label": changes.label,
    "rename": changes.rename,
    "shift": shifts.shift,
    "due": shifts.due,
    "estimate": changes.estimate,
    "assign": changes.assign,
    "priority": changes.priority,
    "archive": changes.archive,
    "remove": changes.archive,
    "status": changes.status,
    "move": changes.move,
}

_CAN = (
    "Without a model, I understand requests such as: create a project for … by …; push … by two"
    " weeks; assign … to …; split … into …; label all … with …; add a task “…” to …; rename … to …."
)


class Baseline:
    """Drafts by rules; asks no model, and understands the commonest requests only."""

    def __init__(self, material: Material) -> None:
        self.material = material

    async def draft(self, request: AgentRequest) -> Draft:
        """Return a draft; see `propose`."""
        return self.propose(request)

    def propose(self, request: AgentRequest) -> Draft:
        """Return a draft that holds, or the question that stands in its way."""
        found = clauses(request.message, self.material.today)
        if all(clause.intent is None for clause in found):
            found = clauses(corrected(request.message), self.material.today)
        understood = [clause for clause in found if clause.intent is not None]
        aside = [clause.text for clause in found if clause.intent is None]
        if (why_not := _beyond_rules(request.message, understood)) is not None:
            return _asking(why_not, _CAN)
        names = Names(self.material)
        author = request.author if request.author in self.material.people else ""
        targets = Targets(names, author)
        here = Setting(names, targets, self.material.today, author)
        try:
            proposals = list(_proposals(understood, here))
        except Unclear as unclear:
            return _asking(unclear.question)
        if not proposals:
            return _asking(f"There is nothing to change: {' '.join(targets.notes)}")
        proposals[-1].questions += [
            f"What is to be done about “{shorten(text, 120)}”?"
            for text in aside
            if STARTS.match(fold(text))
        ]
        notes = [note for proposal in proposals for note in proposal.notes]
        notes += targets.notes + [f"Left aside: “{shorten(text, 120)}”." for text in aside]
        return self._checked(request, proposals, notes)

    def _checked(
        self, request: AgentRequest, proposals: Sequence[Proposal], notes: Sequence[str]
    ) -> Draft:
        """Return the proposals as one draft, or ask where they cannot stand."""
        operations = tuple(item for proposal in proposals for item in proposal.operations)
        questions = [text for proposal in proposals for text in proposal.questions]
        title = shorten("; ".join(proposal.title for proposal in proposals), 120)
        draft = Draft(
            title=title,
            rationale=shorten("\n".join(notes), 4000) if len(notes) == 1 else _listed(notes),
            operations=operations,
            questions=tuple(shorten(text, 500) for text in questions),
        )
        outside = beyond(draft, request.scope, self.material.projects)
        if outside:
            return _asking(f"That is more than this request may change: {outside[0]}.")
        edited = self.material.edit(operations)
        if edited.refused:
            return _asking(_refusal(edited))
        late = [item for item in edited.diagnostics if item.code == DEADLINE]
        if late and any(proposal.firm for proposal in proposals):
            reason = "; ".join(f"{item.message} ({item.hint})" for item in late[:2])
            return _asking(f"That cannot be met: {reason}. What shall give way?")
        if late:
            asked = [f"{item.message}. Shall that deadline move as well?" for item in late[:5]]
            more = tuple(shorten(text, 500) for text in asked)
            draft = draft.model_copy(update={"questions": (*draft.questions, *more)})
        return draft


def _beyond_rules(message: str, understood: Sequence[Clause]) -> str | None:
    """Return what to say to a message that asks for no change of projects and tasks."""
    if ASKS.match(fold(message)) and message.strip().endswith("?"):
        return "I draft changes only. To look at what there is: trueup status."
    makes = any(clause.intent == "create" for clause in understood)
    if not understood or (FORBIDDEN.search(message.lower()) and not makes):
        return f"I do not know what to do about “{shorten(message, 120)}”."
    return None


def _proposals(understood: Sequence[Clause], here: Setting) -> Iterator[Proposal]:
    """Yield what clauses come to; one that asks for what is so already is noted.

    Raises:
        Unclear: one of them has to be asked, or the only one asks for what is so already.
    """
    for clause in understood:
        try:
            proposal = _carry_out(clause, here)
        except Already as already:
            if len(understood) == 1:
                raise
            here.targets.last = already.about
            here.targets.notes.append(already.question.partition(". ")[0] + ".")
            continue
        here.targets.last = proposal.about
        yield proposal


def _carry_out(clause: Clause, here: Setting) -> Proposal:
    """Return what a clause comes to.

    Raises:
        Unclear: it has to be asked.
    """
    if clause.intent is None:
        raise Unclear(_CAN)
    try:
        proposal = _RULES[clause.intent](clause, here)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise Unclear(f"“{shorten(clause.text, 200)}” cannot be done: {problem}.") from error
    if not proposal.operations:
        raise Unclear(f"There is nothing to change for “{shorten(clause.text, 200)}”.")
    return proposal


def _refusal(edited: Edited) -> str:
    item = next(item for item in edited.diagnostics if item.severity == "error")
    hint = f" ({item.hint})" if item.hint else ""
    message = re.sub(r"^operation \d+, \w+: ", "", item.message)
    return shorten(f"That cannot be done: {message}{hint}. What shall be done instead?", 500)


def _asking(*questions: str) -> Draft:
    return Draft(
        title="A question before anything is changed",
        questions=tuple(shorten(text, 500) for text in questions),
    )


def _listed(notes: Sequence[str]) -> str:
    return "\n".join(f"- {note}" for note in notes)[:4000]

"""What the agent is asked, what a model or the baseline answers, and what comes back.

A `Draft` is all that a model may produce: operations from a closed set, prose, and questions. It
names no file, branch, address or command, so that nothing of the kind can be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from schemas.operations import Operation

if TYPE_CHECKING:
    from runner.agent.meter import Call
    from runner.agent.verify import Verdict

Tier = Literal["small", "medium", "large"]
Status = Literal["drafted", "asking", "written", "open", "merged", "closed", "failed"]
"""A draft that nobody has yet; questions instead of one; in the work tree; in a merge request that
is open, merged, or closed."""


@dataclass(frozen=True, slots=True)
class Scope:
    """How much one request may change, whatever a model says; enforced by code.

    Attributes:
        projects: keys of the projects that may be touched; empty allows every one.
        max_operations: how many operations one request may have.
        max_removals: how many tasks, milestones and projects it may take out; `None` for the usual
            number if the request asks for any.
        max_touched: how many projects, milestones, tasks and people it may change in all.
        new_projects: how many projects it may create or rename, besides those named in `projects`;
            `None` for as many as the request asks for.
        settings: whether integrations, policy, people, protection and the places on platforms
            that things are put in may be changed.
    """

    projects: tuple[str, ...] = ()
    max_operations: int = 60
    max_removals: int | None = None
    max_touched: int = 500
    new_projects: int | None = None
    settings: bool = False


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """A request in plain words.

    Attributes:
        message: what is wanted, in any language.
        request_id: the same id never opens a second merge request; '' derives one.
        conversation: the request id of an earlier request that this one goes on from.
        author: who asks: a key of People, or ''.
        scope: what it may change.
    """

    message: str
    request_id: str = ""
    conversation: str = ""
    author: str = ""
    scope: Scope = field(default_factory=Scope)


class Draft(BaseModel):
    """What a model proposes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Annotated[str, Field(min_length=1, max_length=120)]
    """What the change does, one line, as the title of a merge request."""

    rationale: Annotated[str, Field(max_length=4000)] = ""
    """Why it is done this way, for those who review it."""

    operations: tuple[Annotated[Operation, Field(discriminator="op")], ...] = ()
    questions: tuple[Annotated[str, Field(max_length=500)], ...] = ()
    """What only the person who asked can decide; empty where nothing is open."""


class Revision(Draft):
    """What a model proposes after a review."""

    answers: tuple[Annotated[str, Field(min_length=1, max_length=2000)], ...] = ()
    """What is said to each comment, in the order of the comments: what was done, or why not."""


class Drafter(Protocol):
    """Whoever turns requests into drafts: a model with its tools, or the baseline's rules."""

    async def draft(self, request: AgentRequest) -> Draft:
        """Return a draft; it may hold questions instead of operations."""
        ...


@dataclass(frozen=True, slots=True)
class AgentReply:
    """What became of a request.

    Attributes:
        request_id: tells it from others; `trueup show --request` knows it.
        message: what was done, for people.
        status: how far it came.
        draft: what was proposed.
        verdict: what trueup made of the draft.
        calls: the model calls that it took, failed ones among them.
        merge_request: the address of the merge request, or ''.
    """

    request_id: str
    message: str
    status: Status
    draft: Draft
    verdict: Verdict
    calls: tuple[Call, ...] = ()
    merge_request: str = ""

    @property
    def questions(self) -> tuple[str, ...]:
        """What only the person who asked can decide."""
        return self.draft.questions

    @property
    def cost(self) -> float:
        """US dollars, all calls together."""
        return sum(call.microdollars for call in self.calls) / 1e6

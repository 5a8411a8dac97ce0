"""What the agent is asked, what a model or the baseline answers, and what comes back.

A `Draft` is all that a model may produce: operations from a closed set, prose, and questions. It
names no file, branch, address or command, so that nothing of the kind can be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from schemas.operations import Operation

Tier = Literal["small", "medium", "large"]


@dataclass(frozen=True, slots=True)
class Scope:
    """How much one request may change, whatever a model says; enforced by code.

    Attributes:
        projects: keys of the projects that may be touched; empty allows every one.
        max_operations: how many operations one request may have.
        max_removals: how many tasks, milestones and projects it may take out.
        settings: whether integrations, policy and people may be changed.
    """

    projects: tuple[str, ...] = ()
    max_operations: int = 60
    max_removals: int = 5
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


class Drafter(Protocol):
    """Whoever turns requests into drafts: a model with its tools, or the baseline's rules."""

    async def draft(self, request: AgentRequest) -> Draft:
        """Return a draft; it may hold questions instead of operations."""
        ...

"""What model calls cost: reserved before a call, settled after it, refused beyond the budget.

Pure book-keeping; nothing here calls a model. What is reserved is the worst that a call can cost,
so that a limit holds whatever a provider does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from schemas.errors import BudgetExceeded

if TYPE_CHECKING:
    from runner.agent.contract import Tier
    from schemas import spec

Judgement = Literal["reserved", "accepted", "rejected", "escalated", "failed"]


@dataclass(slots=True)
class Call:
    """A call of a model.

    Attributes:
        call_id: tells it from others.
        why: the reasons for the tier and the model.
        microdollars: millionths of a US dollar: the worst case until it is settled.
        milliseconds: how long it took.
        verdict: what became of the answer.
        error: why it failed, redacted.
        remote_id: the provider's own id of the call.
    """

    call_id: str
    tier: Tier
    model: str
    why: tuple[str, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    microdollars: int = 0
    milliseconds: int = 0
    verdict: Judgement = "reserved"
    error: str = ""
    remote_id: str = ""
    started_at: str = ""


@dataclass(frozen=True, slots=True)
class Amount:
    """Money in millionths of a US dollar, and tokens."""

    microdollars: int = 0
    tokens: int = 0

    def __add__(self, other: Amount) -> Amount:
        """Return the sum."""
        return Amount(self.microdollars + other.microdollars, self.tokens + other.tokens)

    def least(self, other: Amount) -> Amount:
        """Return the smaller amount, money and tokens each."""
        return Amount(min(self.microdollars, other.microdollars), min(self.tokens, other.tokens))

    def without(self, other: Amount) -> Amount:
        """Return what is left of it, at least nothing."""
        return Amount(
            max(0, self.microdollars - other.microdollars), max(0, self.tokens - other.tokens)
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent for one request, and in one day."""

    request: Amount = Amount(1_000_000, 1_000_000)
    day: Amount = Amount(10_000_000, 10_000_000)


def budget_of(settings: spec.Agent) -> Budget:
    """Return the budget that Settings give, with the usual amounts for what they leave out."""
    given, usual = settings.get("budget", {}), Budget()
    request, day = given.get("request"), given.get("day")
    return Budget(
        Amount(
            usual.request.microdollars if request is None else int(request * 1e6),
            given.get("request_tokens", usual.request.tokens),
        ),
        Amount(
            usual.day.microdollars if day is None else int(day * 1e6),
            given.get("day_tokens", usual.day.tokens),
        ),
    )


@dataclass(slots=True)
class Ledger:
    """The calls of one request, and the limit that they share.

    Attributes:
        limit: what they may cost together.
        calls: all of them, in order, failed ones too.
        day: whether the limit is what is left of the day, not the request's own.
    """

    limit: Amount = field(default_factory=lambda: Budget().request)
    calls: list[Call] = field(default_factory=list[Call])
    day: bool = False

    @property
    def spent(self) -> Amount:
        """What was spent, with the worst case of what is under way."""
        return total(self.calls)

    @property
    def left(self) -> Amount:
        """What may still be spent."""
        return self.limit.without(self.spent)

    def reserve(self, call: Call) -> None:
        """Enter a call with the worst that it can cost.

        Raises:
            BudgetExceeded: that is more than is left.
        """
        worst, left = total([call]), self.left
        whose = "today's budget" if self.day else "the request's budget"
        if worst.microdollars > left.microdollars:
            raise BudgetExceeded(
                f"{call.model} may cost {_dollars(worst.microdollars)}, and of {whose}"
                f" {_dollars(left.microdollars)} are left",
                hint="ask for less at a time, or raise `agent.budget` in the Settings spec",
            )
        if worst.tokens > left.tokens:
            raise BudgetExceeded(
                f"{call.model} may take {worst.tokens:,} tokens, and of {whose}"
                f" {left.tokens:,} are left",
                hint="ask for less at a time, or raise `agent.budget` in the Settings spec",
            )
        self.calls.append(call)


def total(calls: Iterable[Call]) -> Amount:
    """Return what calls cost together."""
    money = tokens = 0
    for call in calls:
        money += call.microdollars
        tokens += call.input_tokens + call.output_tokens
    return Amount(money, tokens)


def _dollars(microdollars: int) -> str:
    return f"${microdollars / 1e6:.4f}"

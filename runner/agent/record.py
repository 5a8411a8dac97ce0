"""The agent's books in the state: conversations in `agent_contexts`, calls in `agent_logs`.

What a request may cost is taken from the day's budget before the first call, as a row of its own,
and replaced by the calls at the end. So two requests at once cannot spend the same money, and
one that dies leaves what it may have spent on the books.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from runner.agent.ledger import Amount, Budget, Call, Ledger
from runner.config import now
from runner.state.contract import Commit
from schemas.errors import BudgetExceeded, ConfigError

if TYPE_CHECKING:
    from runner.agent.contract import Tier
    from runner.agent.ledger import Judgement
    from runner.state.contract import Row, StateReader, StateWriter

RECENT = timedelta(minutes=10)
"""How long a model that failed is asked last."""

_RESERVED = "reservation"


@dataclass(frozen=True, slots=True)
class Turn:
    """A request of a conversation, and the draft that answered it, as JSON."""

    request: str
    draft: str


@dataclass(frozen=True, slots=True)
class Context:
    """A request as the state remembers it.

    Attributes:
        request_id: tells it from others.
        turns: the conversation, this request included.
        specs: commit and digest of the specs that it was made for, and of the files changed.
        operations: as drafted, JSON-like.
        status: see `AgentReply.status`.
    """

    request_id: str
    request: str
    turns: tuple[Turn, ...] = ()
    specs: Mapping[str, object] = field(default_factory=dict[str, object])
    operations: Sequence[object] = ()
    branch: str = ""
    merge_request: str = ""
    status: str = "drafting"
    who: str = ""
    created_at: str = ""
    updated_at: str = ""

    @property
    def questions(self) -> tuple[str, ...]:
        """What the last draft asks."""
        draft = self.turns[-1].draft if self.turns else ""
        asked = cast("dict[str, list[str]]", json.loads(draft or "{}")).get("questions", ())
        return tuple(asked)


def read_context(state: StateReader, request_id: str) -> Context | None:
    """Return what the state remembers of a request, or `None`."""
    rows = state.read("agent_contexts", where={"context_id": [request_id]})
    return _context(rows[0]) if rows else None


def need_context(state: StateReader, request_id: str) -> Context:
    """Return what the state remembers of a request.

    Raises:
        ConfigError: it remembers nothing.
    """
    found = read_context(state, request_id)
    if found is None:
        raise ConfigError(
            f"there is no request {request_id} in the state at {state.place}",
            hint="trueup draft tells the id of each request",
        )
    return found


def read_calls(state: StateReader, request_id: str) -> list[Call]:
    """Return the model calls of a request, in order."""
    rows = state.read("agent_logs", where={"context_id": [request_id]})
    return sorted(map(_call, rows), key=lambda call: (call.started_at, call.call_id))


def failing(state: StateReader) -> frozenset[str]:
    """Return the models whose last call failed, a moment ago."""
    since = _ago(RECENT)
    rows = state.read("agent_logs", ["model", "verdict", "started_at"])
    last: dict[str, tuple[str, str]] = {}
    for row in rows:
        model, at = str(row["model"]), _instant(row["started_at"])
        if at >= since:
            last[model] = max(last.get(model, ("", "")), (at, str(row["verdict"])))
    return frozenset(model for model, (_, verdict) in last.items() if verdict == "failed")


def open_ledger(state: StateWriter, request_id: str, budget: Budget) -> Ledger:
    """Take what a request may cost from the day's budget, and return its ledger.

    Raises:
        BudgetExceeded: nothing is left of the day's.
    """
    spent = _spent_today(state, besides="")
    limit = budget.request.least(budget.day.without(spent))
    if not limit.microdollars or not limit.tokens:
        raise BudgetExceeded(
            f"today's budget for the agent is spent (${spent.microdollars / 1e6:.2f},"
            f" {spent.tokens:,} tokens)",
            hint="wait until tomorrow (UTC), or raise `agent.budget` in the Settings spec",
        )
    _reserve(state, request_id, limit)
    # Whoever reserved at the same moment is seen now; both give way, so that neither overspends.
    limit = limit.least(budget.day.without(_spent_today(state, besides=request_id)))
    return Ledger(limit, day=limit != budget.request)


def close_ledger(state: StateWriter, request_id: str, ledger: Ledger) -> None:
    """Put the calls of a request in place of what was reserved for it."""
    commit = Commit(request_id, action="agent")
    state.append("agent_logs", (_log_row(request_id, call) for call in ledger.calls), commit)
    state.delete("agent_logs", [(f"{_RESERVED}-{request_id}",)], commit)


def save_context(state: StateWriter, context: Context) -> None:
    """Save a request; what was saved of it before is replaced."""
    at = now()
    saved = replace(context, created_at=context.created_at or at, updated_at=at)
    row: dict[str, object] = {
        "context_id": saved.request_id,
        "request": saved.request,
        "messages": [{"request": turn.request, "draft": turn.draft} for turn in saved.turns],
        "specs": dict(saved.specs),
        "operations": list(saved.operations),
        "branch": saved.branch,
        "merge_request": saved.merge_request,
        "status": saved.status,
        "who": saved.who,
        "created_at": saved.created_at,
        "updated_at": saved.updated_at,
    }
    state.merge("agent_contexts", [row], Commit(saved.request_id, action="agent"))


def _reserve(state: StateWriter, request_id: str, limit: Amount) -> None:
    call = Call(
        call_id=f"{_RESERVED}-{request_id}",
        tier="small",
        model="",
        input_tokens=limit.tokens,
        microdollars=limit.microdollars,
        started_at=now(),
    )
    state.merge("agent_logs", [_log_row(request_id, call)], Commit(request_id, action="agent"))


def _spent_today(state: StateReader, *, besides: str) -> Amount:
    """Return what was spent and reserved today, by other requests than one."""
    today = now()[:10]
    columns = ["context_id", "started_at", "input_tokens", "output_tokens", "cost_microdollars"]
    return sum(
        (
            Amount(
                _number(row["cost_microdollars"]),
                _number(row["input_tokens"]) + _number(row["output_tokens"]),
            )
            for row in state.read("agent_logs", columns)
            if str(row["started_at"])[:10] == today and row["context_id"] != besides
        ),
        Amount(),
    )


def _log_row(request_id: str, call: Call) -> Row:
    return {
        "call_id": call.call_id,
        "context_id": request_id,
        "request_id": call.remote_id,
        "tier": call.tier,
        "why": list(call.why),
        "model": call.model,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cost_microdollars": call.microdollars,
        "milliseconds": call.milliseconds,
        "verdict": call.verdict,
        "error": call.error,
        "started_at": call.started_at or None,
    }


def _call(row: Mapping[str, object]) -> Call:
    return Call(
        call_id=_text(row["call_id"]),
        tier=cast("Tier", _text(row["tier"])),
        model=_text(row["model"]),
        why=tuple(str(item) for item in cast("Iterable[object]", _json(row["why"]) or ())),
        input_tokens=_number(row["input_tokens"]),
        output_tokens=_number(row["output_tokens"]),
        microdollars=_number(row["cost_microdollars"]),
        milliseconds=_number(row["milliseconds"]),
        verdict=cast("Judgement", _text(row["verdict"])),
        error=_text(row["error"]),
        remote_id=_text(row["request_id"]),
        started_at=_instant(row["started_at"]),
    )


def _context(row: Mapping[str, object]) -> Context:
    turns = cast("Iterable[Mapping[str, object]]", _json(row["messages"]) or ())
    return Context(
        request_id=_text(row["context_id"]),
        request=_text(row["request"]),
        turns=tuple(Turn(_text(turn.get("request")), _text(turn.get("draft"))) for turn in turns),
        specs=cast("Mapping[str, object]", _json(row["specs"]) or {}),
        operations=tuple(cast("Iterable[object]", _json(row["operations"]) or ())),
        branch=_text(row["branch"]),
        merge_request=_text(row["merge_request"]),
        status=_text(row["status"]),
        who=_text(row["who"]),
        created_at=_instant(row["created_at"]),
        updated_at=_instant(row["updated_at"]),
    )


def _ago(span: timedelta) -> str:
    return (datetime.now(UTC) - span).strftime("%Y-%m-%dT%H:%M:%SZ")


def _instant(value: object) -> str:
    """Return an instant as engines give it, `YYYY-MM-DDTHH:MM:SSZ`, without its fraction."""
    text = _text(value).replace(" ", "T")
    return f"{text[:19]}Z" if text else ""


def _json(value: object) -> object:
    return json.loads(value) if isinstance(value, str) and value else value


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0

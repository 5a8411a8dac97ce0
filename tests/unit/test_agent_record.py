"""The agent's books: budgets hold across processes, and what was said is found again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.agent.ledger import Amount, Budget, Call, Ledger, budget_of
from runner.agent.record import (
    Context,
    Turn,
    close_ledger,
    failing,
    need_context,
    open_ledger,
    read_calls,
    read_context,
    save_context,
)
from runner.config import now
from runner.state.store import Writer
from schemas.errors import BudgetExceeded, ConfigError
from tests.unit.states import reader, writer

BUDGET = Budget(request=Amount(400_000, 1_000), day=Amount(1_000_000, 10_000))


@pytest.fixture
def state(tmp_path: Path) -> Writer:
    return writer(tmp_path)


def call(name: str, microdollars: int = 100_000, **more: object) -> Call:
    made = Call(name, "small", "a:b", ("why",), 10, 5, microdollars, started_at=now())
    made.verdict = "accepted"
    for field, value in more.items():
        setattr(made, field, value)
    return made


def test_calls_take_the_place_of_what_was_reserved(state: Writer, tmp_path: Path) -> None:
    ledger = open_ledger(state, "r-1", BUDGET)
    assert ledger.limit == BUDGET.request
    (reserved,) = state.read("agent_logs")
    assert (reserved["verdict"], reserved["cost_microdollars"]) == ("reserved", 400_000)
    ledger.calls += [call("c-1"), call("c-2", remote_id="msg_1")]
    close_ledger(state, "r-1", ledger)
    found = read_calls(reader(tmp_path), "r-1")
    assert found == ledger.calls
    assert len(state.read("agent_logs")) == 2


def test_a_request_that_died_keeps_its_money_for_the_day(state: Writer) -> None:
    open_ledger(state, "r-1", BUDGET)
    open_ledger(state, "r-2", BUDGET)
    third = open_ledger(state, "r-3", BUDGET)
    assert third.limit.microdollars == 200_000
    assert third.day
    with pytest.raises(BudgetExceeded, match=r"today's budget for the agent is spent \(\$1\.00"):
        open_ledger(state, "r-4", BUDGET)


def test_what_was_spent_on_another_day_does_not_count(state: Writer) -> None:
    ledger = Ledger(calls=[call("c-1", 990_000, started_at="2026-01-01T00:00:00Z")])
    close_ledger(state, "r-0", ledger)
    assert open_ledger(state, "r-1", BUDGET).limit == BUDGET.request


def test_requests_at_once_do_not_spend_the_same_money(tmp_path: Path) -> None:
    writer(tmp_path)

    def ask(number: int) -> int:
        try:
            return open_ledger(writer(tmp_path), f"r-{number}", BUDGET).limit.microdollars
        except BudgetExceeded:
            return 0

    with ThreadPoolExecutor(6) as pool:
        limits = list(pool.map(ask, range(6)))
    assert sum(limits) <= BUDGET.day.microdollars


def test_a_ledger_refuses_what_goes_beyond(state: Writer) -> None:
    ledger = Ledger(Amount(250_000, 100))
    ledger.reserve(call("c-1"))
    ledger.reserve(call("c-2"))
    with pytest.raises(BudgetExceeded, match=r"a:b may cost \$0\.1000, and of the request's"):
        ledger.reserve(call("c-3"))
    with pytest.raises(BudgetExceeded, match="may take 120 tokens"):
        ledger.reserve(call("c-4", 1, input_tokens=115))
    assert ledger.left == Amount(50_000, 70)


def test_settings_make_the_budget() -> None:
    assert budget_of({}) == Budget()
    given = budget_of({"budget": {"request": 0.5, "day": 0, "day_tokens": 7}})
    assert given == Budget(Amount(500_000, 1_000_000), Amount(0, 7))


def test_who_failed_last_is_known_for_a_while(state: Writer) -> None:
    calls = [
        call("c-1", verdict="failed", started_at=now()),
        call("c-2", model="a:c", verdict="failed", started_at="2026-01-01T00:00:00Z"),
        call("c-3", model="a:d"),
    ]
    close_ledger(state, "r-1", Ledger(calls=calls))
    assert failing(state) == frozenset({"a:b"})
    close_ledger(state, "r-2", Ledger(calls=[call("c-4", started_at="2199-01-01T00:00:00Z")]))
    assert failing(state) == frozenset()


def test_a_conversation_is_found_again(state: Writer, tmp_path: Path) -> None:
    context = Context(
        "r-1",
        "Größe ändern",
        (Turn("Größe ändern", '{"title": "T"}'),),
        {"commit": "c0ffee", "changed": {"specs/a.yaml": None}},
        [{"op": "label"}],
        who="me",
    )
    save_context(state, context)
    save_context(state, Context("r-2", "Other"))
    found = need_context(reader(tmp_path), "r-1")
    assert found.created_at == found.updated_at != ""
    assert found.turns == context.turns
    assert (found.specs, list(found.operations)) == (context.specs, list(context.operations))
    assert read_context(state, "r-3") is None
    with pytest.raises(ConfigError, match="there is no request r-3"):
        need_context(state, "r-3")


def test_a_state_that_is_not_there_remembers_nothing(tmp_path: Path) -> None:
    assert read_context(reader(tmp_path), "r-1") is None
    assert failing(reader(tmp_path)) == frozenset()

"""Escalation, budgets and self-correction, with real clients on wires of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.agent.contract import Scope
from runner.agent.models import FIRST, MAX_OUTPUT, Access, Priced, priced_models
from runner.agent.record import Turn
from runner.agent.route import Policy
from schemas import spec
from schemas.errors import AgentError, BudgetExceeded
from tests.models.bench import ADD, SMALL, bench
from tests.models.wire import Asked, Say, draft, in_order

GOOD = draft("Add a sign-up screen", operations=[ADD])
WRONG = draft("Add", operations=[{**ADD, "fields": {"title": "X", "depends_on": ["logn"]}}])
HAIKU, SONNET, OPUS = (
    "anthropic:claude-haiku-5-5",
    "anthropic:claude-sonnet-5-5",
    "anthropic:claude-opus-5-5",
)


def test_the_validators_own_words_go_back(tmp_path: Path) -> None:
    with bench(tmp_path, {"anthropic": in_order(WRONG, GOOD)}) as desk:
        drafted = desk.draft(HAIKU)
    assert drafted.verdict.accepted
    sent = json.dumps(desk.servers["anthropic"].asked[1].body["messages"][-1])
    assert "there is no task" in sent or "`logn`" in sent
    assert "did you mean `login`" in sent
    assert [call.verdict for call in desk.ledger.calls] == ["rejected", "accepted"]
    assert "logn" in desk.told_of("refused")


def test_a_tier_that_fails_twice_escalates_once(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Say:
        return WRONG if "haiku" in asked.model else GOOD

    with bench(tmp_path, {"anthropic": answer}) as desk:
        drafted = desk.draft(HAIKU, SONNET, OPUS)
    assert [(c.tier, c.model, c.verdict) for c in desk.ledger.calls] == [
        ("small", HAIKU, "rejected"),
        ("small", HAIKU, "escalated"),
        ("medium", SONNET, "accepted"),
    ]
    assert [decision.tier for decision in drafted.decisions] == ["small", "medium"]
    assert "medium: small failed 2 times" in desk.told_of("route")


def test_nobody_escalates_beyond_the_settings_or_twice(tmp_path: Path) -> None:
    with bench(tmp_path, {"anthropic": in_order(WRONG)}) as desk:
        with pytest.raises(AgentError, match="no model has a draft that holds") as caught:
            desk.draft(HAIKU, SONNET, OPUS, policy=Policy(largest="small"))
        assert {call.model for call in desk.ledger.calls} == {HAIKU}
        assert "logn" in str(caught.value)
        desk.ledger.calls.clear()
        with pytest.raises(AgentError, match="no model has a draft that holds"):
            desk.draft(HAIKU, SONNET, OPUS)
    assert [call.model for call in desk.ledger.calls] == [HAIKU, HAIKU, SONNET, SONNET]
    assert [call.verdict for call in desk.ledger.calls][-1] == "rejected"


def test_nothing_is_sent_that_may_cost_more_than_is_left(tmp_path: Path) -> None:
    with bench(tmp_path, {"anthropic": in_order(GOOD)}) as desk:
        desk.limit(0.001)
        with pytest.raises(BudgetExceeded, match="no model's first call fits"):
            desk.draft(HAIKU)
        desk.limit(1, tokens=30_000)
        with pytest.raises(BudgetExceeded, match="tokens, and of the request's budget 30,000"):
            desk.draft(HAIKU)
    assert not desk.servers["anthropic"].asked
    assert not desk.ledger.calls


def test_a_budget_stops_a_model_that_looks_for_ever(tmp_path: Path) -> None:
    look = Say(calls=(("find", {"words": "login"}),), usage=(40_000, 1_000))
    with bench(tmp_path, {"anthropic": in_order(look)}) as desk:
        desk.limit(0.05)
        with pytest.raises(BudgetExceeded, match=r"may cost \$0\.0"):
            desk.draft(HAIKU)
    assert 2 < len(desk.servers["anthropic"].asked) < 12
    assert desk.ledger.spent.microdollars <= 50_000


def test_a_model_too_dear_for_the_budget_is_passed_over(tmp_path: Path) -> None:
    with bench(tmp_path, {"anthropic": in_order(GOOD)}) as desk:
        desk.limit(0.2)
        drafted = desk.draft(HAIKU, OPUS, policy=Policy(smallest="large"))
    assert drafted.decisions[0].model == HAIKU
    assert "no large model fits into the $0.20 that are left" in desk.told_of("route")


def test_what_was_not_counted_is_the_worst_case(tmp_path: Path) -> None:
    silent = Say(calls=GOOD.calls, usage=(0, 0))
    with bench(tmp_path, {"anthropic": in_order(silent)}) as desk:
        desk.draft(HAIKU)
    assert desk.ledger.calls[0].output_tokens == MAX_OUTPUT
    assert desk.ledger.calls[0].microdollars > 10_000


def test_the_worst_case_is_an_upper_bound(tmp_path: Path) -> None:
    """What the bytes of a request bound is more than a first call is estimated at."""
    with bench(tmp_path, {"anthropic": in_order(Say(calls=GOOD.calls, usage=(0, 0)))}) as desk:
        desk.draft(HAIKU)
    sent = len(json.dumps(desk.servers["anthropic"].asked[0].body["messages"]))
    reserved = desk.ledger.calls[0].input_tokens
    assert sent < reserved < FIRST


def test_a_model_without_a_price_is_never_asked() -> None:
    access = {"openai": Access("openai", "k", "http://127.0.0.1:1/v1")}
    nameless: spec.AgentModel = {"model": "openai-chat:qwen-of-mine", "tier": "small"}
    assert "openai-chat:qwen-of-mine" not in priced_models(access, {"models": [nameless]})
    priced = priced_models(
        access,
        {
            "models": [
                {"model": "openai-chat:qwen-of-mine", "tier": "small", "input": 0, "output": 0}
            ]
        },
    )
    assert priced["openai-chat:qwen-of-mine"] == Priced("openai-chat:qwen-of-mine", "small", (0, 0))
    assert {"openai:gpt-6-luna", "openai-chat:gpt-6-luna"} < set(priced)


def test_a_conversation_goes_on(tmp_path: Path) -> None:
    asking = Turn("Add a screen to the app", '{"title": "Which?", "questions": ["Which screen?"]}')
    with bench(tmp_path, {"anthropic": in_order(GOOD)}) as desk:
        desk.draft(HAIKU, message="The sign-up screen", earlier=[asking])
    messages = desk.servers["anthropic"].asked[0].body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert "Which screen?" in json.dumps(messages[1])


def test_an_impossible_deadline_is_asked_about(tmp_path: Path) -> None:
    fields = {"title": "Build all of it", "estimate": "20w"}
    much = {**ADD, "key": "all", "fields": fields}
    pressed = draft("Add it all", operations=[much])
    asking = draft("Add it all", operations=[much], questions=["The deadline cannot be met. And?"])
    with bench(tmp_path, {"anthropic": in_order(pressed, asking)}) as desk:
        drafted = desk.draft(HAIKU)
    assert "cannot be done before" in desk.told_of("refused")
    assert drafted.verdict.late
    assert drafted.draft.questions


def test_a_question_alone_is_an_answer(tmp_path: Path) -> None:
    with bench(
        tmp_path, {"google": in_order(draft("Which one?", questions=["Which app?"]))}
    ) as desk:
        drafted = desk.draft(SMALL["google"], message="Finish it")
    assert drafted.verdict.edited.files == {}


def test_out_of_scope_is_refused_whatever_the_model_says(tmp_path: Path) -> None:
    evil = draft(
        "Tidy up", operations=[{"op": "archive_project", "project": "app", "why": "told so"}]
    )
    with bench(tmp_path, {"anthropic": in_order(evil)}) as desk, pytest.raises(AgentError):
        desk.draft(HAIKU, scope=Scope(projects=("web",)), message="Add a task")
    assert "app is out of the request's scope" in desk.told_of("refused")

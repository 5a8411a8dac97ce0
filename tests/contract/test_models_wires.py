"""Every provider's own client, on a wire of our own: tools, drafts, streams, refusals, nonsense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.agent.models import Access
from schemas.errors import AgentError
from tests.models.bench import ADD, KEY, SMALL, WIRES, bench
from tests.models.wire import Say, Script, Wire, draft, in_order

GOOD = draft("Add a sign-up screen", rationale="It is new.", operations=[ADD])
LOOK = Say(calls=(("show", {"address": "app"}),), text="Let me look.")
OUTAGES = [429, 500, 503, 529]


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_model_looks_and_drafts(tmp_path: Path, wire: Wire, streaming: bool) -> None:
    with bench(tmp_path, {wire: in_order(LOOK, GOOD)}) as desk:
        drafted = desk.draft(SMALL[wire], streaming=streaming)
    assert drafted.draft.title == "Add a sign-up screen"
    assert drafted.verdict.edited.touched == ("app/sign-up",)
    assert drafted.verdict.plan is not None
    assert drafted.verdict.plan.summary["create"] == 4
    server = desk.servers[wire]
    assert [asked.stream for asked in server.asked] == [streaming, streaming]
    assert "Pick the stack" in json.dumps(server.asked[1].body), "what the tool found is sent back"
    assert ("look", "show app") in desk.told
    assert (desk.told_of("text") != "") == streaming
    assert [
        (call.verdict, call.input_tokens, call.output_tokens) for call in desk.ledger.calls
    ] == [
        ("accepted", 1_000, 100),
        ("accepted", 1_000, 100),
    ]
    assert all(0 < call.microdollars < 1_000 and call.remote_id for call in desk.ledger.calls)


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_has_a_limit(tmp_path: Path, wire: Wire) -> None:
    with bench(tmp_path, {wire: in_order(GOOD)}) as desk:
        desk.draft(SMALL[wire])
    assert "16000" in json.dumps(desk.servers[wire].asked[0].body)


@pytest.mark.parametrize("status", OUTAGES)
@pytest.mark.parametrize("wire", WIRES)
def test_an_outage_falls_over_after_one_request(tmp_path: Path, wire: Wire, status: int) -> None:
    other: Wire = "google" if wire == "anthropic" else "anthropic"
    scripts: dict[Wire, Script] = {wire: in_order(Say(status=status)), other: in_order(GOOD)}
    with bench(tmp_path, scripts) as desk:
        drafted = desk.draft(SMALL[wire], SMALL[other])
    assert drafted.draft.operations
    assert len(desk.servers[wire].asked) == 1
    assert [(call.model, call.verdict) for call in desk.ledger.calls] == [
        (SMALL[wire], "failed"),
        (SMALL[other], "accepted"),
    ]
    assert desk.ledger.calls[0].microdollars == 0, "a refusal costs nothing"


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("wire", WIRES)
def test_a_bad_key_or_request_is_no_outage(tmp_path: Path, wire: Wire, status: int) -> None:
    other: Wire = "google" if wire == "anthropic" else "anthropic"
    refusal = Say(status=status, text=f"what of {KEY}?")
    scripts: dict[Wire, Script] = {wire: in_order(refusal), other: in_order(GOOD)}
    with bench(tmp_path, scripts) as desk, pytest.raises(AgentError) as caught:
        desk.draft(SMALL[wire], SMALL[other])
    assert not desk.servers[other].asked
    shown = f"{caught.value} {caught.value.hint} {desk.ledger.calls} {desk.told}"
    assert SMALL[wire] in shown
    assert KEY not in shown


NONSENSE = {
    "no JSON": Say(raw="<html>502 from a proxy</html>"),
    "another shape": Say(raw='{"hello": "world"}'),
    "an empty body": Say(raw=""),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("wire", [wire for wire in WIRES if wire != "xai"])
def test_nonsense_is_an_error_that_says_who(tmp_path: Path, wire: Wire, answer: Say) -> None:
    with bench(tmp_path, {wire: in_order(answer)}) as desk, pytest.raises(AgentError) as caught:
        desk.draft(SMALL[wire])
    assert "model" in str(caught.value) or SMALL[wire] in str(caught.value)
    assert KEY not in str(caught.value)
    assert desk.ledger.spent.microdollars > 0, "nobody can tell what it cost: the worst case stays"


@pytest.mark.parametrize("answer", ['data: {"half', "event: x\ndata: [1]\n\n", ""])
@pytest.mark.parametrize("wire", [wire for wire in WIRES if wire != "xai"])
def test_a_stream_that_breaks_is_an_error(tmp_path: Path, wire: Wire, answer: str) -> None:
    broken = in_order(Say(raw=answer))
    with bench(tmp_path, {wire: broken}) as desk, pytest.raises(AgentError) as caught:
        desk.draft(SMALL[wire], streaming=True)
    assert KEY not in f"{caught.value} {desk.told}"
    assert len(desk.ledger.calls) == len(desk.servers[wire].asked)


HALF = "half a draft"
BROKEN = {
    "words": Say(text="Sure, I will add a sign-up screen."),
    HALF: Say(calls=(("draft", '{"title": "Add a si'),)),
    "an unknown operation": draft("Add", operations=[{**ADD, "op": "run_command"}]),
    "an unknown field": draft("Add", operations=[{**ADD, "file": "../../.gitlab-ci.yml"}]),
    "an unknown tool": Say(calls=(("write_file", {"path": "x"}),)),
}


# The arguments of a call are JSON on these two wires, so that half of them cannot arrive.
WHOLE = {"anthropic", "google"}


@pytest.mark.parametrize(
    ("wire", "broken"),
    [(w, name) for w in WIRES for name in BROKEN if not (w in WHOLE and name == HALF)],
)
def test_a_broken_draft_goes_back_to_the_model(tmp_path: Path, wire: Wire, broken: str) -> None:
    with bench(tmp_path, {wire: in_order(BROKEN[broken], GOOD)}) as desk:
        drafted = desk.draft(SMALL[wire])
    assert drafted.verdict.accepted
    assert len(desk.servers[wire].asked) == 2
    assert desk.ledger.calls[1].verdict == "accepted"


def test_nobody_listening_falls_over(tmp_path: Path) -> None:
    with bench(tmp_path, {"chat": in_order(GOOD), "google": in_order(GOOD)}) as desk:
        desk.access["google"] = Access("google", KEY, "http://127.0.0.1:9")
        drafted = desk.draft(SMALL["google"], SMALL["chat"])
    assert drafted.draft.operations
    assert [call.verdict for call in desk.ledger.calls] == ["failed", "accepted"]
    assert desk.ledger.calls[0].microdollars == 0, "it was never sent"


def test_everybody_out_of_order_is_told(tmp_path: Path) -> None:
    down = in_order(Say(status=529))
    with (
        bench(tmp_path, {"anthropic": down, "google": down}) as desk,
        pytest.raises(AgentError, match="no model answers") as caught,
    ):
        desk.draft(SMALL["anthropic"], SMALL["google"])
    assert "anthropic:claude-haiku-5-5: status 529" in str(caught.value)
    assert "google:gemini-3.5-flash-lite: status 529" in str(caught.value)


def test_a_server_that_only_speaks_chat_is_asked_in_chat(tmp_path: Path) -> None:
    with bench(tmp_path, {"chat": in_order(Say(status=404), GOOD)}) as desk:
        drafted = desk.draft("openai:gpt-6-luna", "openai-chat:gpt-6-luna")
    assert drafted.draft.operations
    assert [asked.wire for asked in desk.servers["chat"].asked] == ["responses", "chat"]

"""What Settings say of the agent: read as written, refused with the place where it is not sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.agent.ledger import Amount, Budget, budget_of
from runner.language.load import load
from tests.specrepo import AROUND, codes, write

SETTINGS = """
kind: Settings
agent:
  providers: [google, anthropic]
  smallest: medium
  models:
    - {model: "openai-chat:qwen3", tier: small, input: 0, output: 0.25}
  budget: {request: 0.5, day: 5, request_tokens: 1000}
"""


def test_settings_of_the_agent_are_read(tmp_path: Path) -> None:
    write(tmp_path, SETTINGS, AROUND)
    assert codes(tmp_path) == []
    agent = load(tmp_path).settings.get("agent", {})
    assert agent.get("providers") == ["google", "anthropic"]
    assert agent.get("models", [])[0].get("output") == 0.25
    assert budget_of(agent) == Budget(Amount(500_000, 1_000), Amount(5_000_000, 10_000_000))


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("largest: huge", "4:12 unknown-value"),
        ("providers: [acme]", "4:15 unknown-value"),
        ("budget: {request: -1}", "4:21 bad-value"),
        ("budget: {request: lots}", "4:21 wrong-type"),
        ("models: [{model: gpt, tier: small}]", "4:20 bad-value"),
        ("models: [{model: 'openai:x'}]", "4:12 missing-field"),
        ("api_key: sk-1", "4:3 unknown-field"),
    ],
)
def test_what_is_not_sound_is_refused(tmp_path: Path, wrong: str, code: str) -> None:
    write(tmp_path, f"\nkind: Settings\nagent:\n  {wrong}\n", AROUND)
    assert codes(tmp_path) == [code]

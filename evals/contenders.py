"""Those who draft: the baseline, or one model by its name with the agent's tools and checks."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from evals.world import Ask, Outcome, material
from runner.agent.baseline import Baseline
from runner.agent.models import KNOWN, Access, open_model, priced_models, provider_of, read_access
from schemas.errors import ConfigError, TrueupError

if TYPE_CHECKING:
    from pydantic_ai.models import Model

Contender = Callable[[Ask], Awaitable[Outcome]]

BASELINE = "baseline"


def contender(
    name: str,
    variable: Callable[[str], str] | None = None,
    connect: Callable[[str, Access], Model] = open_model,
) -> Contender:
    """Return who answers by a name: `baseline`, or provider and model; sends nothing yet.

    Args:
        name: `baseline`, `anthropic:claude-sonnet-5-5`, ...
        variable: returns an environment variable, or ''; by default the process's own.
        connect: opens a model.

    Raises:
        ConfigError: there is no such model, it has no price, or its provider no key.
    """
    if name == BASELINE:
        return baseline
    return _model(name, variable or (lambda key: os.environ.get(key, "").strip()), connect)


async def baseline(ask: Ask) -> Outcome:
    """Draft by rules and templates."""
    return Outcome(ask, await Baseline(material(ask.repo)).draft(ask.request))


def _model(
    name: str, variable: Callable[[str], str], connect: Callable[[str, Access], Model]
) -> Contender:
    providers = sorted({provider_of(model) for model in KNOWN})
    provider, _, model = name.partition(":")
    if not model or provider_of(name) not in providers:
        raise ConfigError(
            f"`{name}` is no model",
            hint=f"baseline, or one of {', '.join(f'{known}:…' for known in providers)}; for"
            f" example {next(iter(KNOWN))}",
        )
    access = read_access(variable)
    if provider_of(name) not in access:
        key = {"google": "GEMINI_API_KEY"}.get(provider, f"{provider_of(name).upper()}_API_KEY")
        raise ConfigError(f"{name} cannot be asked: {key} is not set", hint=f"export {key}=...")
    tier = KNOWN.get(name, "medium")
    found = priced_models(access, {"models": [{"model": name, "tier": tier}]})
    if name not in found:
        raise ConfigError(
            f"{name} has no price, and what costs an unknown amount is not asked",
            hint=f"one of {', '.join(model for model in KNOWN if provider_of(model) in access)}",
        )
    only = {name: found[name]}

    async def drafted(ask: Ask) -> Outcome:
        from runner.agent.drafting import ModelDrafter
        from runner.agent.ledger import Ledger, total
        from runner.agent.route import Policy

        ledger = Ledger()
        drafter = ModelDrafter(
            material(ask.repo),
            only,
            access,
            policy=Policy(tier, tier),
            ledger=ledger,
            connect=connect,
        )
        outcome = Outcome(ask)
        try:
            outcome.draft = await drafter.draft(ask.request)
        except TrueupError as error:
            outcome.error = str(error)
        outcome.calls, outcome.microdollars = len(ledger.calls), total(ledger.calls).microdollars
        return outcome

    return drafted

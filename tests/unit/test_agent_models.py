"""The models that may be asked: keys and addresses, prices, and what counts as an outage."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from genai_prices import Usage
from pydantic_ai import exceptions as raised

from runner.agent.models import (
    FIRST,
    KNOWN,
    MAX_OUTPUT,
    Access,
    Priced,
    options_of,
    out_of_order,
    priced_models,
    provider_of,
    read_access,
)
from runner.agent.route import TIERS
from schemas.errors import ConfigError

EVERYBODY = {
    "ANTHROPIC_API_KEY": "k1",
    "OPENAI_API_KEY": "k2",
    "XAI_API_KEY": "k3",
    "GOOGLE_API_KEY": "k4",
}


def access(environment: Mapping[str, str]) -> dict[str, Access]:
    return read_access(lambda name: environment.get(name, ""))


def test_keys_and_addresses_come_from_the_environment() -> None:
    assert access({}) == {}
    assert list(access(EVERYBODY)) == ["anthropic", "openai", "xai", "google"]
    assert access({"GEMINI_API_KEY": "a", "GOOGLE_API_KEY": "b"})["google"].key == "a"
    local = access({"OPENAI_BASE_URL": "http://127.0.0.1:8080/v1/"})["openai"]
    assert local == Access("openai", "none", "http://127.0.0.1:8080/v1")
    assert "k1" not in repr(access(EVERYBODY))


@pytest.mark.parametrize("url", ["localhost:80", "ftp://x", "http://", "https://me:secret@x"])
def test_an_odd_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="ANTHROPIC_BASE_URL is not an http") as caught:
        access({"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": url})
    assert "secret" not in str(caught.value)


def test_every_known_model_has_a_price_and_tiers_rise_with_it() -> None:
    models = priced_models(access(EVERYBODY), {})
    assert set(models) == set(KNOWN)
    options = {option.model: option for option in options_of(models)}
    for provider in ("anthropic", "openai", "xai", "google"):
        mine = [option for name, option in options.items() if provider_of(name) == provider]
        prices = [next(o.price for o in mine if o.tier == tier) for tier in TIERS]
        assert prices == sorted(prices)
        assert all(option.worst > option.price for option in mine)


def test_settings_add_models_and_restrict_them() -> None:
    everybody = access(EVERYBODY)
    only = priced_models(everybody, {"providers": ["xai"]})
    assert {provider_of(name) for name in only} == {"xai"}
    moved = priced_models(
        everybody, {"models": [{"model": "anthropic:claude-opus-5-5", "tier": "medium"}]}
    )
    assert moved["anthropic:claude-opus-5-5"].tier == "medium"
    unknown = priced_models(everybody, {"models": [{"model": "xai:grok-99", "tier": "small"}]})
    assert "xai:grok-99" not in unknown
    assert priced_models({}, {}) == {}


def test_the_worst_case_counts_what_a_cache_costs() -> None:
    haiku = Priced("anthropic:claude-haiku-5-5", "small")
    plain = haiku.microdollars(Usage(input_tokens=FIRST, output_tokens=MAX_OUTPUT))
    assert haiku.worst(FIRST, MAX_OUTPUT) > plain
    own = Priced("openai-chat:mine", "small", (1.0, 2.0))
    assert own.worst(10, 5) == own.microdollars(Usage(input_tokens=10, output_tokens=5)) == 20
    with pytest.raises(LookupError):
        Priced("openai-chat:mine", "small").worst(10, 5)


def http(status: int) -> Exception:
    category = {
        429: raised.ModelRateLimitError,
        503: raised.ModelUnavailableError,
        529: raised.ModelOverloadedError,
        500: raised.ModelServerError,
        401: raised.ModelAuthenticationError,
        404: raised.ModelNotFoundError,
        400: raised.ModelRequestRejectedError,
    }[status]
    return raised.ModelHTTPError.for_category(category, status_code=status, model_name="m")


@pytest.mark.parametrize(
    ("error", "here", "elsewhere"),
    [
        (http(429), True, True),
        (http(500), True, True),
        (http(503), True, True),
        (http(529), True, True),
        (http(400), False, False),
        (http(401), False, False),
        (http(404), False, True),
        (raised.ModelConnectionError("m", "no"), True, True),
        (raised.ModelQuotaExceededError("m", "no"), True, True),
        (raised.UnexpectedModelBehavior("no"), False, False),
        (ValueError("no"), False, False),
    ],
    ids=lambda item: type(item).__name__ if isinstance(item, Exception) else str(item),
)
def test_only_an_outage_falls_over(error: Exception, here: bool, elsewhere: bool) -> None:
    assert out_of_order(error, elsewhere=False) == here
    assert out_of_order(error, elsewhere=True) == elsewhere

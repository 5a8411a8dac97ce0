"""The models that may be asked: who has a key, what each costs, how it is opened.

A model is known by provider and name. Its price comes from genai-prices, or from Settings for one
that has none there; a model without a price is never asked. Only the provider that is asked is
imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from runner.agent.route import Option
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

    from runner.agent.contract import Tier
    from schemas import spec

KNOWN: Final[Mapping[str, Tier]] = {
    "anthropic:claude-haiku-5-5": "small",
    "anthropic:claude-sonnet-5-5": "medium",
    "anthropic:claude-opus-5-5": "large",
    "openai:gpt-6-luna": "small",
    "openai:gpt-6.1-sol": "medium",
    "openai:gpt-6-astra": "large",
    "xai:grok-4-1-fast-non-reasoning": "small",
    "xai:grok-4.3": "medium",
    "xai:grok-4.7": "large",
    "google:gemini-3.5-flash-lite": "small",
    "google:gemini-3.8-flash": "medium",
    "google:gemini-4-argon": "large",
}
"""What each model is good for; Settings may add to it, and say otherwise."""

MAX_OUTPUT: Final = 16_000
"""Tokens that one answer may have."""

TIMEOUT: Final = 180.0
"""Seconds that one answer may take."""

USUAL: Final = (20_000, 3_000)
"""Tokens read and written by a usual call, to compare prices by."""

FIRST: Final = 80_000
"""Tokens that a first call may read: instructions, tools, the shape of a draft, the request."""

_KEYS: Final = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
_URLS: Final = {
    "anthropic": ("ANTHROPIC_BASE_URL",),
    "openai": ("OPENAI_BASE_URL",),
    "xai": ("XAI_BASE_URL",),
    "google": ("GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"),
}
_PRICE_LISTS: Final = {"xai": "x-ai", "openai-chat": "openai"}


@dataclass(frozen=True, slots=True)
class Access:
    """How a provider is reached.

    Attributes:
        key: its key; never shown.
        url: an address in place of the provider's own, or ''.
    """

    provider: str
    key: str = field(repr=False)
    url: str = ""


@dataclass(frozen=True, slots=True)
class Priced:
    """A model with what it costs.

    Attributes:
        model: provider and name.
        own: US dollars for a million tokens read and written, where Settings say so.
    """

    model: str
    tier: Tier
    own: tuple[float, float] | None = None

    def microdollars(self, usage: Any) -> int:
        """Return the price of a call, rounded up to millionths of a US dollar.

        Args:
            usage: tokens read, written, and cached, as pydantic-ai and genai-prices count them.

        Raises:
            LookupError: the model has no price.
        """
        if self.own is not None:
            read, written = usage.input_tokens or 0, usage.output_tokens or 0
            return _ceiling(read * self.own[0] + written * self.own[1])
        from genai_prices import calc_price

        provider, name = self.model.split(":", 1)
        found = calc_price(usage, name, provider_id=_PRICE_LISTS.get(provider, provider))
        return _ceiling(float(found.total_price) * 1e6)

    def worst(self, read: int, written: int) -> int:
        """Return the most that a call of so many tokens can cost, all of it newly cached."""
        from genai_prices import Usage

        plain = self.microdollars(Usage(input_tokens=read, output_tokens=written))
        if self.own is not None:
            return plain
        cached = Usage(input_tokens=read, cache_write_tokens=read, output_tokens=written)
        return max(plain, self.microdollars(cached))


def read_access(
    variable: Callable[[str], str], secret: Callable[[str], str] | None = None
) -> dict[str, Access]:
    """Return the providers that there is a key or an address for.

    Args:
        variable: returns an environment variable, or ''.
        secret: returns a secret that the environment may lack, or ''.

    Raises:
        ConfigError: an address is not an http or https address, or secrets cannot be read.
    """
    found: dict[str, Access] = {}
    for provider, names in _KEYS.items():
        sources = (variable, secret) if secret else (variable,)
        key = next((value for read in sources for name in names if (value := read(name))), "")
        where = next((name for name in _URLS[provider] if variable(name)), "")
        url = variable(where) if where else ""
        if url:
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
                raise ConfigError(
                    f"{where} is not an http or https address",
                    hint="for example http://127.0.0.1:8080/v1; the key goes into its own variable",
                )
        if key or url:
            found[provider] = Access(provider, key or "none", url.rstrip("/"))
    return found


def priced_models(access: Mapping[str, Access], settings: spec.Agent) -> dict[str, Priced]:
    """Return the models that may be asked, by name: with a key, a price, and Settings' leave."""
    allowed = settings.get("providers") or list(access)
    wanted = {name: Priced(name, tier) for name, tier in KNOWN.items()}
    if "openai" in access and access["openai"].url:
        # Other servers that speak OpenAI's protocol mostly know its older form.
        chat = {name.replace("openai:", "openai-chat:"): item for name, item in wanted.items()}
        wanted |= {
            name: Priced(name, item.tier)
            for name, item in chat.items()
            if name.startswith("openai-chat:")
        }
    for item in settings.get("models", ()):
        own = (item.get("input", 0.0), item.get("output", 0.0)) if _has_price(item) else None
        wanted[item["model"]] = Priced(item["model"], item["tier"], own)
    return {
        name: model
        for name, model in wanted.items()
        if (provider := provider_of(name)) in access and provider in allowed and _is_priced(model)
    }


def options_of(models: Mapping[str, Priced]) -> list[Option]:
    """Return the models as the router compares them."""
    from genai_prices import Usage

    usual = Usage(input_tokens=USUAL[0], output_tokens=USUAL[1])
    return [
        Option(
            name,
            model.tier,
            model.microdollars(usual) / 1e6,
            model.worst(FIRST, MAX_OUTPUT) / 1e6,
        )
        for name, model in models.items()
    ]


def provider_of(model: str) -> str:
    """Return whose key a model needs."""
    return model.split(":", 1)[0].removesuffix("-chat")


def out_of_order(error: Exception, *, elsewhere: bool) -> bool:
    """Return whether another model may well answer where one did not.

    A bad key or a bad request is not: hiding it would help nobody.

    Args:
        error: what pydantic-ai raised.
        elsewhere: whether the address is not the provider's own, so that 404 may mean that this
            form of the protocol is not spoken there.
    """
    from pydantic_ai import exceptions as raised

    if elsewhere and isinstance(error, raised.ModelHTTPError) and error.status_code in {404, 405}:
        return True
    return isinstance(
        error,
        raised.ModelRateLimitError
        | raised.ModelQuotaExceededError
        | raised.ModelUnavailableError
        | raised.ModelServerError
        | raised.ModelConnectionError,
    )


def open_model(model: str, access: Access) -> Model:
    """Return a model that can be asked; imports its provider, and sends nothing."""
    provider, name = model.split(":", 1)
    settings: ModelSettings = {"max_tokens": MAX_OUTPUT, "timeout": TIMEOUT, "max_retries": 0}
    match provider:
        case "anthropic":
            from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
            from pydantic_ai.providers.anthropic import AnthropicProvider

            cached = AnthropicModelSettings(
                anthropic_cache_instructions=True, anthropic_cache_tool_definitions=True
            )
            return AnthropicModel(
                name,
                provider=AnthropicProvider(api_key=access.key, base_url=access.url or None),
                settings={**settings, **cached},
            )
        case "google":
            from pydantic_ai.models.google import GoogleModel
            from pydantic_ai.providers.google import GoogleProvider

            return GoogleModel(
                name,
                provider=GoogleProvider(api_key=access.key, base_url=access.url or None),
                settings=settings,
            )
        case "xai":
            from pydantic_ai.models.xai import XaiModel
            from pydantic_ai.providers.xai import XaiProvider

            return XaiModel(
                name,
                provider=XaiProvider(xai_client=_xai_client(access)),
                settings={"max_tokens": MAX_OUTPUT},
            )
        case _:
            from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
            from pydantic_ai.providers.openai import OpenAIProvider

            opened = OpenAIProvider(api_key=access.key, base_url=access.url or None)
            kind = OpenAIChatModel if provider == "openai-chat" else OpenAIResponsesModel
            return kind(name, provider=opened, settings=settings)


def _xai_client(access: Access) -> Any:
    """Return xAI's own client; it speaks gRPC, so that an address is only a host and a port."""
    from xai_sdk import AsyncClient

    # What is asked and answered stays out of traces; reading it for them also fails on half a call.
    os.environ.setdefault("XAI_SDK_DISABLE_SENSITIVE_TELEMETRY_ATTRIBUTES", "1")
    host = urlsplit(access.url)
    return AsyncClient(
        api_key=access.key,
        api_host=host.netloc or "api.x.ai",
        use_insecure_channel=host.scheme == "http",
        timeout=TIMEOUT,
        channel_options=[("grpc.enable_retries", 0)],
    )


def _has_price(item: spec.AgentModel) -> bool:
    return "input" in item and "output" in item


def _is_priced(model: Priced) -> bool:
    from genai_prices import Usage

    try:
        model.microdollars(Usage(input_tokens=1, output_tokens=1))
    except LookupError:
        return False
    return True


def _ceiling(amount: float) -> int:
    return -int(-amount // 1)

"""A model that keeps the books: reserves before each call, settles after it, opens when asked.

A token is never shorter than a byte, so that the size of a request bounds what it can cost. What
a call did cost is what the provider counted, or the reservation where nobody can tell.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pydantic_ai import exceptions as raised
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.usage import RequestUsage

from runner.agent.ledger import Call, Ledger
from runner.agent.models import MAX_OUTPUT, Priced
from runner.config import now

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
    from pydantic_ai.settings import ModelSettings, ThinkingEffort

_SORTED = (raised.AgentRunError, raised.UserError)

OVERHEAD = 2_000
"""Tokens that a provider adds to what it is sent."""


class Metered(WrapperModel):
    """A model whose every call is entered in a ledger, before it is sent.

    Args:
        priced: the model and its price.
        ledger: where calls are entered; refuses what goes beyond the budget.
        why: the reasons for asking it.
        connect: opens the model; called for the first request.
    """

    def __init__(
        self, priced: Priced, ledger: Ledger, why: tuple[str, ...], connect: Callable[[], Model]
    ) -> None:
        self.priced = priced
        self.ledger = ledger
        self.why = why
        self._connect = connect
        self._opened: Model | None = None
        self._entered = False

    @property
    def wrapped(self) -> Model:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The model itself, opened when it is first needed."""
        if self._opened is None:
            self._opened = self._connect()
        return self._opened

    @property
    def model_name(self) -> str:
        """Its name, without opening it."""
        return self.priced.model.split(":", 1)[1]

    @property
    def system(self) -> str:
        """Its provider, without opening it."""
        return self.priced.model.split(":", 1)[0]

    @property
    def model_id(self) -> str:
        """Provider and name, without opening it."""
        return self.priced.model

    # What a chain of models asks of all of them, one that stands by answers without being opened.

    @property
    def context_window(self) -> int | None:
        """How many tokens it takes, once it is open."""
        return None if self._opened is None else self._opened.context_window

    def _refresh_http_client(self) -> None:
        if self._opened is not None:
            super()._refresh_http_client()

    def _warn_if_thinking_overridden(self, layers: Any) -> None:
        if self._opened is not None:
            super()._warn_if_thinking_overridden(layers)

    def _unified_effort(self, model_settings: ModelSettings | None) -> ThinkingEffort | None:
        return None if self._opened is None else super()._unified_effort(model_settings)

    async def __aenter__(self) -> Self:
        """Enter nothing yet: a model that only stands by is never opened."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        """Close the model's connections if it was used."""
        if self._opened is not None and self._entered:
            self._entered = False
            return await self._opened.__aexit__(exc_type, exc_val, exc_tb)
        return None

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the model's answer.

        Raises:
            BudgetExceeded: it may cost more than is left; nothing was sent.
        """
        call = self._reserve(messages, model_request_parameters)
        began = time.monotonic()
        await self._enter()
        try:
            answer = await self.wrapped.request(messages, model_settings, model_request_parameters)
        except BaseException as error:
            self._fail(call, error, began)
            if isinstance(error, Exception) and not isinstance(error, _SORTED):
                raise self._nonsense() from error
            raise
        self._settle(call, answer, began)
        return answer

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Yield the model's answer as it comes.

        Raises:
            BudgetExceeded: it may cost more than is left; nothing was sent.
        """
        call = self._reserve(messages, model_request_parameters)
        began = time.monotonic()
        await self._enter()
        try:
            async with self.wrapped.request_stream(
                messages, model_settings, model_request_parameters, run_context
            ) as stream:
                yield stream
        except BaseException as error:
            self._fail(call, error, began)
            if isinstance(error, Exception) and not isinstance(error, _SORTED):
                raise self._nonsense() from error
            raise
        self._settle(call, stream.get(), began)

    async def _enter(self) -> None:
        if not self._entered:
            await self.wrapped.__aenter__()
            self._entered = True

    def _reserve(self, messages: list[ModelMessage], parameters: ModelRequestParameters) -> Call:
        read = size_of(messages, parameters) + OVERHEAD
        call = Call(
            call_id=str(uuid.uuid4()),
            tier=self.priced.tier,
            model=self.priced.model,
            why=self.why,
            input_tokens=read,
            output_tokens=MAX_OUTPUT,
            microdollars=self.priced.worst(read, MAX_OUTPUT),
            started_at=now(),
        )
        self.ledger.reserve(call)
        return call

    def _settle(self, call: Call, answer: ModelResponse, began: float) -> None:
        call.milliseconds = round((time.monotonic() - began) * 1000)
        call.verdict = "accepted"
        call.remote_id = answer.provider_response_id or ""
        usage = answer.usage
        if usage.input_tokens or usage.output_tokens:
            self._count(call, usage)

    def _fail(self, call: Call, error: BaseException, began: float) -> None:
        """Settle a call that failed; one that was refused costs nothing."""
        call.milliseconds = round((time.monotonic() - began) * 1000)
        call.verdict = "failed"
        call.error = reason_of(error)
        refused = isinstance(error, raised.ModelHTTPError) and not error.in_stream
        unsent = isinstance(error, raised.ModelConnectionError) and error.phase in {
            "pool",
            "connect",
        }
        if refused or unsent:
            self._count(call, RequestUsage())

    def _nonsense(self) -> raised.ModelServerError:
        """Return the error for an answer that is none: so speaks a server out of order.

        Clients meet it with whatever Python raises when a value has another shape.
        """
        return raised.ModelServerError(self.model_name, "no sound answer")

    def _count(self, call: Call, usage: RequestUsage) -> None:
        call.input_tokens, call.output_tokens = usage.input_tokens, usage.output_tokens
        call.microdollars = self.priced.microdollars(usage)


def size_of(messages: list[ModelMessage], parameters: ModelRequestParameters) -> int:
    """Return the bytes of all that a model is sent."""
    tools = [*parameters.function_tools, *parameters.output_tools]
    schemas = [[tool.name, tool.description, tool.parameters_json_schema] for tool in tools]
    parts = [part.content for part in parameters.instruction_parts or ()]
    size = len(ModelMessagesTypeAdapter.dump_json(messages))
    return size + sum(len(json.dumps(item).encode()) for item in (*schemas, parts))


def reason_of(error: BaseException) -> str:
    """Return why a call failed, in a few words that hold nothing of what was sent or answered."""
    if isinstance(error, raised.ModelHTTPError):
        code = error.provider_error_type or error.provider_error_code or ""
        return f"status {error.status_code}" + (f", {code[:60]}" if code.isascii() and code else "")
    if isinstance(error, raised.ModelTimeoutError):
        return "took too long"
    if isinstance(error, raised.ModelConnectionError):
        return "could not be reached"
    if isinstance(error, raised.ModelAPIError):
        return "refused"
    return "no sound answer" if isinstance(error, Exception) else "interrupted"

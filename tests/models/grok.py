"""A loopback server that speaks xAI's gRPC, with the same scripts as the others."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn, cast

import grpc
from google.protobuf.json_format import MessageToDict
from xai_sdk.proto import chat_pb2, chat_pb2_grpc, sample_pb2, usage_pb2

from tests.models.wire import Asked, ModelServer, Say, Script

_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    529: grpc.StatusCode.UNAVAILABLE,
}


@contextmanager
def serving_grok(script: Script) -> Generator[ModelServer]:
    """Serve a script on loopback as xAI would, for the length of the block."""
    model = ModelServer(script)
    server = grpc.server(ThreadPoolExecutor(4))
    cast("Any", chat_pb2_grpc).add_ChatServicer_to_server(_Chat(model), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    model.url = f"http://127.0.0.1:{port}"
    try:
        yield model
    finally:
        server.stop(None).wait()


class _Chat(chat_pb2_grpc.ChatServicer):
    def __init__(self, model: ModelServer) -> None:
        self.model = model

    def GetCompletion(  # noqa: N802 - the protocol's own name
        self, request: Any, context: grpc.ServicerContext
    ) -> chat_pb2.GetChatCompletionResponse:
        """Answer a request at once."""
        say = self._say(request, context, stream=False)
        message = chat_pb2.CompletionMessage(
            content=say.text, role=chat_pb2.ROLE_ASSISTANT, tool_calls=_calls(say)
        )
        output = chat_pb2.CompletionOutput(index=0, message=message, finish_reason=_reason(say))
        return chat_pb2.GetChatCompletionResponse(
            id="grok_1", model=request.model, outputs=[output], usage=_usage(say)
        )

    def GetCompletionChunk(  # noqa: N802 - the protocol's own name
        self, request: Any, context: grpc.ServicerContext
    ) -> Iterator[chat_pb2.GetChatCompletionChunk]:
        """Answer a request piece by piece."""
        say = self._say(request, context, stream=True)
        half = len(say.text) // 2
        role = chat_pb2.ROLE_ASSISTANT
        halves = (say.text[:half], say.text[half:])
        deltas = [chat_pb2.Delta(role=role, content=part) for part in halves]
        deltas.append(chat_pb2.Delta(role=role, tool_calls=_calls(say)))
        for number, delta in enumerate(deltas, 1):
            ended = number == len(deltas)
            output = chat_pb2.CompletionOutputChunk(index=0, delta=delta)
            if ended:
                output.finish_reason = _reason(say)
            yield chat_pb2.GetChatCompletionChunk(
                id="grok_1",
                model=request.model,
                outputs=[output],
                usage=_usage(say) if ended else None,
            )

    def _say(self, request: Any, context: grpc.ServicerContext, *, stream: bool) -> Say:
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        body = MessageToDict(request, preserving_proto_field_name=True)
        say = self.model.answer(Asked("xai", request.model, body, headers, stream))
        if say.status != 200:
            _refuse(context, say)
        return say


def _refuse(context: grpc.ServicerContext, say: Say) -> NoReturn:
    context.abort(_STATUS[say.status], say.text or "no")
    raise AssertionError("abort raises")


def _calls(say: Say) -> list[chat_pb2.ToolCall]:
    return [
        chat_pb2.ToolCall(
            id=f"call_{i}",
            type=chat_pb2.TOOL_CALL_TYPE_CLIENT_SIDE_TOOL,
            function=chat_pb2.FunctionCall(
                name=name,
                arguments=arguments if isinstance(arguments, str) else json.dumps(arguments),
            ),
        )
        for i, (name, arguments) in enumerate(say.calls)
    ]


def _reason(say: Say) -> sample_pb2.FinishReason:
    return sample_pb2.REASON_TOOL_CALLS if say.calls else sample_pb2.REASON_STOP


def _usage(say: Say) -> usage_pb2.SamplingUsage:
    return usage_pb2.SamplingUsage(
        prompt_tokens=say.usage[0],
        completion_tokens=say.usage[1],
        total_tokens=sum(say.usage),
        prompt_text_tokens=say.usage[0],
    )

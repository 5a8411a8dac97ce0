"""A loopback server that speaks what Anthropic, OpenAI and Google speak, with scripted answers.

It proves that what is sent is well formed for the vendors' own clients, and that what they answer,
good or bad, is understood; not how clever a model is.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeAlias, cast

Wire: TypeAlias = Literal["anthropic", "responses", "chat", "google", "xai"]
Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Say:
    """One answer of a scripted model.

    Attributes:
        text: what it says in words.
        calls: tools that it calls, with their arguments; a text in place of a mapping is sent as
            it is, however broken.
        usage: tokens read and written, as the provider counts them.
        status: an HTTP status other than 200 makes it a refusal.
        raw: a body in place of an answer.
    """

    text: str = ""
    calls: tuple[tuple[str, Mapping[str, Any] | str], ...] = ()
    usage: tuple[int, int] = (1_000, 100)
    status: int = 200
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came over the wire."""

    wire: Wire
    model: str
    body: Json
    headers: Mapping[str, str]
    stream: bool = False


Script: TypeAlias = Callable[[Asked], Say]


def draft(title: str = "A draft", **fields: Any) -> Say:
    """Return an answer that is a draft."""
    return Say(calls=(("draft", {"title": title, **fields}),))


def in_order(*answers: Say) -> Script:
    """Return a script that gives answers one after the other; the last one for ever."""
    left = list(answers)
    lock = threading.Lock()

    def answer(_asked: Asked) -> Say:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer


@dataclass
class ModelServer:
    """A server with a script.

    Attributes:
        url: its address, without a path.
        script: gives the answer to each request.
        asked: what it was asked.
    """

    script: Script
    url: str = ""
    asked: list[Asked] = field(default_factory=list[Asked])

    def answer(self, asked: Asked) -> Say:
        """Note a request, and return the answer to it."""
        self.asked.append(asked)
        return self.script(asked)


@contextmanager
def serving(script: Script) -> Generator[ModelServer]:
    """Serve a script on loopback, for the length of the block."""
    model = ModelServer(script)

    class Handler(_Handler):
        server_model = model

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    model.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_model: ModelServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own signature
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer one request."""
        length = int(self.headers.get("Content-Length", 0))
        body = cast("Json", json.loads(self.rfile.read(length) or b"{}"))
        path = self.path.partition("?")[0]
        wire = _wire(path)
        if wire is None:
            self._send(404, json.dumps({"error": {"message": "not found"}}))
            return
        streamed = bool(body.get("stream")) or path.endswith(":streamGenerateContent")
        model = body.get("model") or path.rpartition("/")[2].partition(":")[0]
        asked = Asked(wire, model, body, dict(self.headers.items()), streamed)
        say = self.server_model.answer(asked)
        if say.raw is not None:
            kind = "text/event-stream" if streamed else "application/json"
            self._send(say.status, say.raw, kind)
        elif say.status != 200:
            self._send(say.status, json.dumps(_ERRORS[wire](say)))
        elif streamed:
            self._send(200, "".join(_STREAMS[wire](model, say)), "text/event-stream")
        else:
            self._send(200, json.dumps(_ANSWERS[wire](model, say)))

    def _send(self, status: int, text: str, kind: str = "application/json") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _wire(path: str) -> Wire | None:
    endings: tuple[tuple[str, Wire], ...] = (
        ("/v1/messages", "anthropic"),
        ("/responses", "responses"),
        ("/chat/completions", "chat"),
        (":generateContent", "google"),
        (":streamGenerateContent", "google"),
    )
    return next((wire for ending, wire in endings if path.endswith(ending)), None)


def _text_of(arguments: Mapping[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _events(*events: Json, named: bool = True) -> Iterator[str]:
    """Yield server-sent events."""
    for event in events:
        head = f"event: {event['type']}\n" if named else ""
        yield f"{head}data: {json.dumps(event)}\n\n"


# Anthropic Messages


def _anthropic(model: str, say: Say) -> Json:
    content: list[Json] = [{"type": "text", "text": say.text}] if say.text else []
    content += [
        {"type": "tool_use", "id": f"toolu_{i}", "name": name, "input": arguments}
        for i, (name, arguments) in enumerate(say.calls)
    ]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "tool_use" if say.calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": say.usage[0], "output_tokens": say.usage[1]},
    }


def _anthropic_stream(model: str, say: Say) -> Iterator[str]:
    whole = _anthropic(model, say)
    start: Json = {**whole, "content": [], "stop_reason": None}
    yield from _events({"type": "message_start", "message": start})
    for i, block in enumerate(whole["content"]):
        if block["type"] == "text":
            opened: Json = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": part} for part in _halves(block["text"])]
        else:
            opened = {**block, "input": {}}
            parts = _halves(_text_of(block["input"]))
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        yield from _events(
            {"type": "content_block_start", "index": i, "content_block": opened},
            *({"type": "content_block_delta", "index": i, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": i},
        )
    yield from _events(
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
            "usage": whole["usage"],
        },
        {"type": "message_stop"},
    )


def _anthropic_error(say: Say) -> Json:
    kind = {429: "rate_limit_error", 529: "overloaded_error", 401: "authentication_error"}
    name = kind.get(say.status, "api_error" if say.status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": name, "message": say.text or "no"}}


# OpenAI Responses


def _responses(model: str, say: Say) -> Json:
    output: list[Json] = []
    if say.text:
        part: Json = {"type": "output_text", "text": say.text, "annotations": []}
        output.append(
            {
                "type": "message",
                "id": "item_text",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        )
    output += [
        {
            "type": "function_call",
            "id": f"item_{i}",
            "call_id": f"call_{i}",
            "name": name,
            "arguments": _text_of(arguments),
            "status": "completed",
        }
        for i, (name, arguments) in enumerate(say.calls)
    ]
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "model": model,
        "status": "completed",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": say.usage[0],
            "output_tokens": say.usage[1],
            "total_tokens": sum(say.usage),
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }


def _responses_stream(model: str, say: Say) -> Iterator[str]:
    whole = _responses(model, say)
    events: list[Json] = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}}
    ]
    for i, item in enumerate(whole["output"]):
        place = {"item_id": item["id"], "output_index": i}
        if item["type"] == "message":
            text = item["content"][0]["text"]
            opened: Json = {**item, "content": [], "status": "in_progress"}
            events.append({"type": "response.output_item.added", "output_index": i, "item": opened})
            part: Json = {"type": "output_text", "text": "", "annotations": []}
            inner = {**place, "content_index": 0}
            events.append({"type": "response.content_part.added", **inner, "part": part})
            events += [
                {"type": "response.output_text.delta", **inner, "delta": half, "logprobs": []}
                for half in _halves(text)
            ]
        else:
            opened = {**item, "arguments": "", "status": "in_progress"}
            events.append({"type": "response.output_item.added", "output_index": i, "item": opened})
            events += [
                {"type": "response.function_call_arguments.delta", **place, "delta": half}
                for half in _halves(item["arguments"])
            ]
        events.append({"type": "response.output_item.done", "output_index": i, "item": item})
    events.append({"type": "response.completed", "response": whole})
    numbered = [{**event, "sequence_number": n} for n, event in enumerate(events)]
    yield from _events(*numbered)


def _openai_error(say: Say) -> Json:
    kind = {429: "rate_limit_exceeded", 401: "invalid_api_key"}.get(say.status, "server_error")
    return {"error": {"message": say.text or "no", "type": kind, "code": kind, "param": None}}


# OpenAI chat completions


def _chat_calls(say: Say) -> list[Json]:
    return [
        {
            "id": f"call_{i}",
            "type": "function",
            "function": {"name": name, "arguments": _text_of(arguments)},
        }
        for i, (name, arguments) in enumerate(say.calls)
    ]


def _chat_usage(say: Say) -> Json:
    return {
        "prompt_tokens": say.usage[0],
        "completion_tokens": say.usage[1],
        "total_tokens": sum(say.usage),
    }


def _chat(model: str, say: Say) -> Json:
    message: Json = {"role": "assistant", "content": say.text or None}
    if say.calls:
        message["tool_calls"] = _chat_calls(say)
    reason = "tool_calls" if say.calls else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": _chat_usage(say),
    }


def _chat_stream(model: str, say: Say) -> Iterator[str]:
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": model,
    }
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": half} for half in _halves(say.text)]
    for i, call in enumerate(_chat_calls(say)):
        arguments = call["function"]["arguments"]
        opened = {**call, "index": i, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [opened]})
        deltas += [
            {"tool_calls": [{"index": i, "function": {"arguments": half}}]}
            for half in _halves(arguments)
        ]
    for delta in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        yield from _events({**head, "choices": [choice]}, named=False)
    end: Json = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if say.calls else "stop"}
    yield from _events({**head, "choices": [end]}, named=False)
    yield from _events({**head, "choices": [], "usage": _chat_usage(say)}, named=False)
    yield "data: [DONE]\n\n"


# Google generateContent


def _google(model: str, say: Say) -> Json:
    parts: list[Json] = [{"text": say.text}] if say.text else []
    parts += [{"functionCall": {"name": name, "args": args}} for name, args in say.calls]
    return {
        "candidates": [
            {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {
            "promptTokenCount": say.usage[0],
            "candidatesTokenCount": say.usage[1],
            "totalTokenCount": sum(say.usage),
        },
        "modelVersion": model,
        "responseId": "google_1",
    }


def _google_stream(model: str, say: Say) -> Iterator[str]:
    yield from _events(_google(model, say), named=False)


def _google_error(say: Say) -> Json:
    names = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        429: "RESOURCE_EXHAUSTED",
        503: "UNAVAILABLE",
    }
    name = names.get(say.status, "INTERNAL")
    return {"error": {"code": say.status, "message": say.text or "no", "status": name}}


def _halves(text: str) -> Sequence[str]:
    """Return a text in two pieces, as a stream has them."""
    middle = len(text) // 2
    return [part for part in (text[:middle], text[middle:]) if part]


_ANSWERS: dict[Wire, Callable[[str, Say], Json]] = {
    "anthropic": _anthropic,
    "responses": _responses,
    "chat": _chat,
    "google": _google,
}
_STREAMS: dict[Wire, Callable[[str, Say], Iterator[str]]] = {
    "anthropic": _anthropic_stream,
    "responses": _responses_stream,
    "chat": _chat_stream,
    "google": _google_stream,
}
_ERRORS: dict[Wire, Callable[[Say], Json]] = {
    "anthropic": _anthropic_error,
    "responses": _openai_error,
    "chat": _openai_error,
    "google": _google_error,
}

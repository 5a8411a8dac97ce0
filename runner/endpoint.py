"""The HTTP side of a reconciler: webhooks in, probes and metrics out.

POST /webhooks/gitlab, /webhooks/linear, /webhooks/notion
GET  /healthz, /readyz, /metrics
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Generator
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from runner.health import Health
from runner.loop import Loop, Options
from runner.webhooks import MAX_BODY, SECRETS, Event, Gate, Refusal, Source
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from uvicorn import Server

    from runner.config import Config


def reconcile(
    config: Callable[[], Config],
    options: Options,
    *,
    listen: tuple[str, int] | None,
    say: Callable[[str], None],
) -> None:
    """Take turns until SIGTERM or Ctrl-C; what is under way is finished then.

    Args:
        config: returns the configuration of the moment.
        options: for the turns.
        listen: address and port for webhooks, probes and metrics; `None` for no server.
        say: prints a line of the log.

    Raises:
        ConfigError: the port is taken, or the `web` extra is not installed.
    """
    asyncio.run(_reconcile(config, options, listen, say))


async def _reconcile(
    config: Callable[[], Config],
    options: Options,
    listen: tuple[str, int] | None,
    say: Callable[[str], None],
) -> None:
    health = Health(time.time, options.interval, version("trueup"))
    loop = Loop(config, options, health, say)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, loop.stop)
    if listen is None:
        await loop.run()
        return
    server, listener = _server(application(config, options, health, loop, say), *listen)
    say(f"listening on http://{listen[0]}:{listener.getsockname()[1]}")
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await loop.run()
    finally:
        server.should_exit = True
        await serving
        listener.close()


def _server(app: Starlette, host: str, port: int) -> tuple[Server, socket.socket]:
    import uvicorn

    class Quiet(uvicorn.Server):
        """Leaves the signals to the loop, which ends what is under way first."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another --port"
        ) from error
    settings = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return Quiet(settings), listener


def application(
    config: Callable[[], Config],
    options: Options,
    health: Health,
    loop: Loop,
    say: Callable[[str], None],
) -> Starlette:
    """Return the ASGI application around a loop.

    Raises:
        ConfigError: the `web` extra is not installed.
    """
    _make_sure_of("starlette", "uvicorn")
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    gate = Gate(config().variable, time.time, options.branch)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        why = health.unready()
        return PlainTextResponse(f"{why or 'ready'}\n", 503 if why else 200)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(
            health.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    async def webhook(request: Request) -> Response:
        source: Source = request.path_params["source"]
        if source not in SECRETS:
            return JSONResponse({"message": "no such webhook"}, 404)
        try:
            body = await _body(request)
            event = gate.admit(source, dict(request.headers.items()), body)
        except Refusal as refusal:
            health.calls[source, "refused"] += 1
            return JSONResponse({"message": str(refusal)}, refusal.status)
        if event is None:
            health.calls[source, "repeated"] += 1
            return JSONResponse({"message": "known already"})
        result = _act(event, config(), loop, say)
        health.calls[source, result] += 1
        return JSONResponse({"message": result}, 503 if result == "overloaded" else 202)

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/webhooks/{source}", webhook, methods=["POST"]),
    ]
    return Starlette(routes=routes)


def _make_sure_of(*names: str) -> None:
    if not all(map(find_spec, names)):
        raise ConfigError(
            "webhooks, probes and metrics need a web server that is not installed",
            hint="install it with: pip install 'trueup[web]', or run with --no-http",
        )


async def _body(request: Request) -> bytes:
    """Return the body of a call, unless it is too long."""
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > MAX_BODY:
            raise Refusal(413, "the body is too long")
        parts.append(part)
    return b"".join(parts)


def _act(event: Event, config: Config, loop: Loop, say: Callable[[str], None]) -> str:
    """Do what an event asks for, in the background; return what became of the call."""
    if event.verification:
        path = config.local / "notion-verification-token"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(f"{event.verification}\n")
        say(
            f"Notion's verification token is in {path}: give it to Notion, and to"
            f" {SECRETS['notion']}; then start again"
        )
        return "accepted"
    if event.draft is not None:
        return "accepted" if loop.ask(event.draft) else "overloaded"
    if event.reconcile:
        loop.wake(event.reconcile)
        return "accepted"
    return "ignored"

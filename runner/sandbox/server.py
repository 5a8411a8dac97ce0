"""The four stand-ins behind one loopback server, with faults on demand.

Each platform lives below its own prefix, so that one port is enough:

    TRUEUP_LINEAR_URL=http://127.0.0.1:PORT/linear/graphql
    TRUEUP_NOTION_URL=http://127.0.0.1:PORT/notion
    TRUEUP_GITLAB_URL=http://127.0.0.1:PORT/gitlab
    TRUEUP_MOTION_URL=http://127.0.0.1:PORT/motion

`/_sandbox/objects` shows everything that exists, `POST /_sandbox/faults` makes something go wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import socket
import threading
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, cast

from runner.sandbox._platform import Call, Reply, StandIn
from runner.sandbox._world import TOKENS, Exchange, Fault, World
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from runner.sandbox.gitlab import GitlabStandIn

PATHS = {"linear": "/linear/graphql", "notion": "/notion", "gitlab": "/gitlab", "motion": "/motion"}
LOST = -1
"""The status that stands for "no answer" between `_carry_out` and the wire."""


def stand_ins(world: World, platforms: Collection[str] = tuple(PATHS)) -> dict[str, StandIn]:
    """Return fresh stand-ins for the `platforms` in `world`; others are not even imported."""
    made: dict[str, StandIn] = {}
    for platform in platforms:
        module = importlib.import_module(f"runner.sandbox.{platform}")
        make = cast("type[StandIn]", getattr(module, f"{platform.title()}StandIn"))
        made[platform] = make(world)
    return made


def answer(
    world: World, standin: StandIn, call: Call
) -> tuple[int, Mapping[str, str], bytes, Fault | None]:
    """Carry one call out, with whatever fault strikes it, and record it.

    Returns:
        Status (`LOST` where the connection is to be broken), headers, body, and the fault.
    """
    platform = standin.platform
    fault = world.strike(platform, call.method, call.path, writes=standin.writes(call))
    kind = fault.kind if fault else ""
    if kind == "drop-before":
        reply = Reply(LOST)
    elif kind == "error-before":
        reply = Reply(500, {"message": "Internal Server Error"})
    elif kind == "rate-limit":
        reply = standin.rate_limited(fault.seconds if fault else 0.0)
    else:
        reply = standin.handle(call)
    body = b"" if reply.data is None else json.dumps(reply.data, ensure_ascii=False).encode()
    status, headers = reply.status, reply.headers
    if kind == "drop-after":
        status = LOST
    elif kind == "error-after":
        status, headers, body = 502, {}, b"<html>502 Bad Gateway</html>"
    elif kind == "malformed":
        body = json.dumps({"unexpected": True}).encode()
    world.traffic.append(
        Exchange(
            platform=platform,
            method=call.method,
            path=call.path,
            query=call.query,
            headers={k: v for k, v in call.headers.items() if k not in _CREDENTIALS},
            body=call.body,
            status=status,
            response=body,
            fault=kind,
        )
    )
    return status, headers, body, fault


_CREDENTIALS = {"authorization", "private-token", "job-token", "x-api-key"}


def application(world: World, standins: Mapping[str, StandIn]) -> ASGIApp:
    """Return the ASGI application: four platforms and the sandbox's own pages."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.requests import Request
        from starlette.responses import JSONResponse, Response

        if scope["type"] != "http":
            raise ConfigError("the sandbox speaks plain HTTP only")
        request = Request(scope, receive)
        path: str = scope["raw_path"].decode("ascii")
        platform, rest = _split(path)
        if platform == "_sandbox":
            await (await _own_page(world, standins, rest, request))(scope, receive, send)
            return
        if platform not in standins:
            message = {"message": f"no such platform; there are {', '.join(PATHS)}"}
            await JSONResponse(message, 404)(scope, receive, send)
            return
        if platform == "gitlab" and ".git/" in rest:
            repositories = cast("GitlabStandIn", standins[platform]).repositories
            await repositories.serve(rest, scope, receive, send)
            return
        call = Call(
            method=request.method,
            path=rest,
            query=list(request.query_params.multi_items()),
            headers={key.lower(): value for key, value in request.headers.items()},
            body=await request.body(),
        )
        status, headers, body, fault = answer(world, standins[platform], call)
        pause = world.latency + (fault.seconds if fault and fault.kind == "slow" else 0.0)
        if pause:
            await asyncio.sleep(pause)
        if status == LOST:
            scope["sandbox.abort"]()
            return
        date = format_datetime(world.now(platform), usegmt=True)
        out = {"content-type": "application/json", "date": date, **headers}
        if fault and fault.kind == "truncated":
            out["content-length"] = str(len(body) + 1)
            await _break_off(send, status, out, body, scope["sandbox.abort"])
            return
        await Response(body, status, out)(scope, receive, send)

    return app


def _split(path: str) -> tuple[str, str]:
    head, _, rest = path.lstrip("/").partition("/")
    return head, "/" + rest


async def _break_off(
    send: Send, status: int, headers: Mapping[str, str], body: bytes, abort: Callable[[], None]
) -> None:
    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    await asyncio.sleep(0)
    abort()


async def _own_page(
    world: World, standins: Mapping[str, StandIn], path: str, request: Request
) -> ASGIApp:
    from starlette.responses import JSONResponse

    if path == "/objects":
        return JSONResponse({name: standin.objects() for name, standin in standins.items()})
    if path == "/requests":
        counts: dict[str, int] = dict.fromkeys(standins, 0)
        for exchange in world.traffic:
            counts[exchange.platform] += 1
        return JSONResponse(counts)
    if path == "/faults" and request.method == "POST":
        try:
            world.faults.append(Fault(**await request.json()))
        except (TypeError, ValueError) as error:
            return JSONResponse({"message": f"not a fault: {error}"}, 400)
        return JSONResponse({"faults": len(world.faults)})
    if path == "/faults" and request.method == "DELETE":
        world.faults.clear()
        return JSONResponse({"faults": 0})
    return JSONResponse({"message": "there are /objects, /requests and /faults"}, 404)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox.

    Attributes:
        origin: `http://127.0.0.1:PORT`.
        standins: by platform; the objects in memory, for tests that look behind the API.
    """

    origin: str
    world: World
    standins: Mapping[str, StandIn]

    def url(self, platform: str) -> str:
        """Return the value for `TRUEUP_<PLATFORM>_URL`."""
        return self.origin + PATHS[platform]

    def environment(self) -> dict[str, str]:
        """Return the variables that point trueup at this sandbox."""
        tokens = {
            "LINEAR_API_KEY": TOKENS["linear"],
            "NOTION_TOKEN": TOKENS["notion"],
            "GITLAB_TOKEN": TOKENS["gitlab"],
            "MOTION_API_KEY": TOKENS["motion"],
        }
        urls = {f"TRUEUP_{name.upper()}_URL": self.url(name) for name in PATHS}
        if self.world.limits:
            return tokens | urls
        return tokens | urls | {f"TRUEUP_{name.upper()}_RATE": "1000000" for name in PATHS}

    def objects(self) -> dict[str, list[dict[str, Any]]]:
        """Return every object of every platform."""
        return {name: standin.objects() for name, standin in self.standins.items()}


@contextlib.contextmanager
def serving(
    world: World | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    platforms: Collection[str] = tuple(PATHS),
) -> Generator[Sandbox]:
    """Serve the platforms from a thread until the block ends.

    Args:
        world: the surroundings; a fresh one with the default seed where it is not given.
        host: a loopback address.
        port: 0 takes any free one.
        platforms: which of the four to serve.

    Raises:
        ConfigError: the port is taken, or the `web` extra is not installed.
    """
    try:
        import uvicorn
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError as error:
        raise ConfigError(
            "the sandbox needs a web server that is not installed",
            hint="install it with: pip install 'trueup[web]'",
        ) from error

    class Abortable(HttpToolsProtocol):
        """Lets the application break the connection, which plain ASGI cannot."""

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            cast("dict[str, object]", self.scope)["sandbox.abort"] = self.transport.abort

    world = world or World()
    standins = stand_ins(world, platforms)
    listener = _listen(host, port)
    config = uvicorn.Config(
        application(world, standins),
        http=Abortable,
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True
    )
    thread.start()
    address, bound = listener.getsockname()[:2]
    try:
        yield Sandbox(f"http://{address}:{bound}", world, standins)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    # asyncio switches Nagle off only where the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another --port"
        ) from error
    return listener

"""Tests reach no model, and nothing beyond this machine; nor do the processes that they start."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

BEYOND = "192.0.2.1"
"""An address that belongs to nobody."""


def resolve() -> object:
    return socket.getaddrinfo("api.openai.com", 443)


def connect() -> object:
    return socket.create_connection((BEYOND, 443), timeout=1)


def send() -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        return datagrams.sendto(b"x", (BEYOND, 53))


async def connect_by_asyncio() -> object:
    return await asyncio.open_connection(BEYOND, 443)


@pytest.mark.parametrize(
    "call", [resolve, connect, send, lambda: asyncio.run(connect_by_asyncio())]
)
def test_nothing_leaves_this_machine(call: Callable[[], object]) -> None:
    with pytest.raises(PermissionError, match="tests stay on this machine"):
        call()


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).close()


def test_what_tests_start_stays_here_too() -> None:
    program = f"import socket; socket.create_connection(({BEYOND!r}, 443), 1)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False
    )
    assert "PermissionError: tests stay on this machine" in done.stderr


def test_no_model_is_asked() -> None:
    from pydantic_ai import Agent

    from runner.agent.models import Access, open_model

    assert not [name for name in os.environ if name.endswith("_API_KEY")]
    model = open_model("openai:gpt-6-luna", Access("openai", "none", "http://127.0.0.1:9/v1"))
    with pytest.raises(RuntimeError, match="ALLOW_MODEL_REQUESTS is False"):
        Agent(model).run_sync("hello")

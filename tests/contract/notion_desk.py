"""Notion's desk."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from runner.sandbox._world import TOKENS, Exchange
from runner.sandbox.notion import NotionStandIn
from runner.sandbox.server import Sandbox
from tests.contract.desk import Desk, Skipping

Json = dict[str, Any]


class NotionDesk(Desk[NotionStandIn]):
    """One page, `Work`, and a person to edit what is below it."""

    PLATFORM = "notion"
    CONTAINER = "Work"

    def __init__(self, sandbox: Sandbox, runner: asyncio.Runner, clock: Skipping) -> None:
        super().__init__(sandbox, runner, clock)
        self._http = httpx.Client()

    def close(self) -> None:
        self._http.close()
        super().close()

    def line(self, exchange: Exchange) -> str:
        """Return `METHOD path`, ids left out."""
        parts = ("*" if len(part) == 36 else part for part in exchange.path.split("/"))
        return f"{exchange.method} {'/'.join(parts)}"

    def databases(self) -> list[Json]:
        return [o for o in self.standin.objects() if o["kind"] == "database"]

    def person(self, method: str, path: str, body: Json | None = None) -> Json:
        """Do something as a person does, and not as trueup."""
        answer = self.call(method, path, body, {"x-sandbox-person": "me@example.com"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a request of one's own; it does not count."""
        usual = {
            "Authorization": f"Bearer {TOKENS['notion']}",
            "Notion-Version": "2025-09-03",
            "Content-Type": "application/json",
        }
        content = body if isinstance(body, bytes) else None
        answer = self._http.request(
            method,
            self.sandbox.url("notion") + path,
            content=content,
            json=None if content is not None else body,
            headers={k: v for k, v in {**usual, **(headers or {})}.items() if v},
        )
        self.world.traffic.pop()
        return answer

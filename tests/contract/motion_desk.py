"""Motion's desk."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from runner.sandbox._world import TOKENS, Exchange, Seed
from runner.sandbox.motion import MotionStandIn
from runner.sandbox.server import Sandbox
from schemas.domain import Action, Change, Value, kind_of, project_of
from tests.contract.desk import Desk, Skipping


class MotionDesk(Desk[MotionStandIn]):
    """Two workspaces, the first with labels; creates go there if nothing else is said."""

    PLATFORM = "motion"
    SEED = Seed(workspaces=("Personal", "Work"))
    CONTAINER = "Personal"

    def __init__(self, sandbox: Sandbox, runner: asyncio.Runner, clock: Skipping) -> None:
        super().__init__(sandbox, runner, clock)
        self.standin.workspaces[0].labels = ["design", "product", "ünïcode"]

    def change(self, action: Action, address: str, **fields: Value) -> Change:
        if action == "create":
            fields = {"container": self.CONTAINER, **fields}
            if kind_of(address) == "task":
                fields.setdefault("project", project_of(address))
        return super().change(action, address, **fields)

    def line(self, exchange: Exchange) -> str:
        """Return `METHOD path`, ids left out."""
        ids = {*self.links.ids.values(), *self.standin.tasks}
        parts = ("ID" if part in ids else part for part in exchange.path.split("/"))
        return f"{exchange.method} {'/'.join(parts)}"

    def by_hand(self, method: str, path: str, **body: Any) -> httpx.Response:
        """Send a request of somebody else's, with the same token."""
        return httpx.request(
            method,
            self.sandbox.url("motion") + path,
            headers={"X-API-Key": TOKENS["motion"]},
            json=body or None,
        )

    def edit(self, address: str, **body: Any) -> None:
        """Change a task as a person would, in Motion."""
        shown = self.object(address)
        names = {"name": shown["name"], "workspaceId": shown["workspace"]["id"]}
        path = f"/v1/tasks/{shown['id']}"
        assert self.by_hand("PATCH", path, **{**names, **body}).status_code == 200

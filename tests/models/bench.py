"""A spec repo and a drafter on it, whose models are scripts on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydantic_ai.models import override_allow_model_requests

from runner.agent.contract import AgentRequest, Scope
from runner.agent.drafting import Drafted, ModelDrafter
from runner.agent.ledger import Amount, Ledger
from runner.agent.material import Material, read_material
from runner.agent.models import KNOWN, Access, Priced, provider_of
from runner.agent.record import Turn
from runner.agent.route import Policy
from runner.state.local import LocalTables
from runner.state.store import Reader
from tests.models.grok import serving_grok
from tests.models.wire import ModelServer, Script, Wire, serving
from tests.specrepo import AROUND, write

TODAY = date(2026, 11, 24)
APP = """
kind: Project
key: app
name: App
owner: me
start: 2026-12-01
due: 2027-02-26
tasks:
  pick-stack: {title: Pick the stack, estimate: 4h}
  login: {title: Build the login screen, estimate: 3d, depends_on: [pick-stack]}
"""
SMALL: Mapping[Wire, str] = {
    "anthropic": "anthropic:claude-haiku-5-5",
    "responses": "openai:gpt-6-luna",
    "chat": "openai-chat:gpt-6-luna",
    "google": "google:gemini-3.5-flash-lite",
    "xai": "xai:grok-4-1-fast-non-reasoning",
}
"""By wire, a small model that is asked over it."""

WIRES: tuple[Wire, ...] = tuple(SMALL)
KEY = "sk-secret-of-the-test"
ADD = {
    "op": "add_task",
    "project": "app",
    "key": "sign-up",
    "fields": {"title": "Build the sign-up screen", "estimate": "2d", "depends_on": ["login"]},
    "why": "It is asked for",
}
"""An operation that fits the specs."""


@dataclass
class Bench:
    """A drafter on a small repo.

    Attributes:
        servers: by provider, or by wire for `chat` and `responses`.
        told: what was told while it worked.
    """

    material: Material
    access: dict[str, Access] = field(default_factory=dict[str, Access])
    servers: dict[Wire, ModelServer] = field(default_factory=dict[Wire, ModelServer])
    ledger: Ledger = field(default_factory=Ledger)
    told: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def drafter(
        self, *models: str, streaming: bool = False, policy: Policy | None = None
    ) -> ModelDrafter:
        """Return a drafter that may ask these models."""
        priced = {name: Priced(name, KNOWN[name.replace("-chat", "")]) for name in models}
        return ModelDrafter(
            self.material,
            priced,
            self.access,
            policy=policy,
            ledger=self.ledger,
            tell=lambda kind, text: self.told.append((kind, text)),
            streaming=streaming,
        )

    def draft(
        self,
        *models: str,
        message: str = "Add a sign-up screen to the app",
        scope: Scope | None = None,
        earlier: Sequence[Turn] = (),
        streaming: bool = False,
        policy: Policy | None = None,
    ) -> Drafted:
        """Draft, and wait for it; models are asked in the order in which they are named."""
        drafter = self.drafter(*models, streaming=streaming, policy=policy)
        drafter.failing = frozenset(models[1:])
        request = AgentRequest(message, scope=scope or Scope())
        return asyncio.run(drafter.run(request, earlier))

    def limit(self, dollars: float, tokens: int = 1_000_000) -> None:
        """Set what the calls may cost together."""
        self.ledger.limit = Amount(int(dollars * 1e6), tokens)

    def told_of(self, kind: str) -> str:
        """Return all that was told of one kind."""
        return "\n".join(text for what, text in self.told if what == kind)


@contextmanager
def bench(root: Path, scripts: Mapping[Wire, Script], project: str = APP) -> Generator[Bench]:
    """Serve scripts, by wire, and yield a drafter's bench on a repo with one project."""
    write(root, project, AROUND)
    state = Reader(LocalTables(root / ".trueup" / "state"))
    made = Bench(read_material(root, root / "specs", TODAY, state))
    with ExitStack() as stack:
        stack.enter_context(override_allow_model_requests(True))
        for wire, script in scripts.items():
            server = stack.enter_context(serving_grok(script) if wire == "xai" else serving(script))
            provider = provider_of(SMALL[wire])
            url = f"{server.url}/v1" if provider == "openai" else server.url
            made.servers[wire] = server
            made.access[provider] = Access(provider, KEY, url)
        yield made

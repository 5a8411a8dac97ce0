"""A spec repo in a temporary folder, pointed at a sandbox: plan, apply, observe as a user would."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from reconcilers._budget import Clock
from runner.apply import Applied, new_run_id
from runner.config import Config, read_config
from runner.observe import Refreshed, refresh
from runner.operate import apply_specs
from runner.plan import make_plan
from runner.platforms import profiles_of
from runner.sandbox.server import Sandbox
from runner.workspace import Workspace
from schemas.domain import PLATFORMS, Plan

INTEGRATIONS: dict[str, dict[str, Any]] = {
    "linear": {"enabled": True, "team": "MOB"},
    "gitlab": {"enabled": True, "project": "jwp763/mobile-app"},
    "notion": {"enabled": True, "parent": "Work"},
    "motion": {"enabled": True, "workspace": "Personal"},
}
PEOPLE: dict[str, Any] = {
    "me": {
        "name": "Me",
        "email": "me@example.com",
        "timezone": "America/Los_Angeles",
        "gitlab": "jwp763",
    }
}


@dataclass
class SpecRepo:
    """Specs as a plain value that tests edit, and the commands on them.

    Attributes:
        root: the folder; the state lies below it.
        clock: the time for what is waited for; the machine's own where it is not given.
        project: the one Project document; `None` writes no project at all.
    """

    root: Path
    sandbox: Sandbox
    platforms: tuple[str, ...] = PLATFORMS
    project: dict[str, Any] | None = field(default_factory=dict[str, Any])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    today: date = date(2026, 11, 24)
    environment: dict[str, str] = field(default_factory=dict[str, str])
    clock: Clock | None = None

    @property
    def config(self) -> Config:
        """The configuration of a command run now."""
        environment = {**self.sandbox.environment(), **self.environment}
        return read_config(self.root, today=self.today.isoformat(), environ=environment)

    def workspace(self) -> Workspace:
        """Write the specs and open them."""
        specs = self.root / "specs"
        specs.mkdir(exist_ok=True)
        enabled = {name: INTEGRATIONS[name] for name in self.platforms}
        documents: dict[str, dict[str, Any] | None] = {
            "people": {"kind": "People", "people": PEOPLE},
            "integrations": {"kind": "Integrations", **enabled},
            "settings": {"kind": "Settings", **self.settings},
            "project": {"kind": "Project", **self.project} if self.project else None,
        }
        for name, document in documents.items():
            path = specs / f"{name}.yaml"
            if document is None:
                path.unlink(missing_ok=True)
            else:
                # By the C library: long texts, written at every step, take long otherwise.
                text = yaml.dump(
                    document, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False
                )
                path.write_text(text, encoding="utf-8")
        return Workspace(self.config)

    def plan(self) -> Plan:
        """Plan offline."""
        place = self.workspace()
        return make_plan(place.desired, place.reader(), profiles_of(place.desired))

    def apply(self, *, refresh: bool = False, max_prune: str = "100%") -> Applied:
        """Apply without asking."""
        return apply_specs(
            self.workspace(),
            planfile=None,
            refresh=refresh,
            max_prune=max_prune,
            wait=0,
            confirm=lambda _plan: True,
            clock=self.clock,
        )

    def observe(self) -> Refreshed:
        """Ask the platforms what changed; what did is recorded as drift."""
        place = self.workspace()
        with place.writer() as state:
            return asyncio.run(
                refresh(place.desired, state, self.config, new_run_id(), clock=self.clock)
            )

    def drift(self) -> dict[str, dict[str, Any]]:
        """Return the recorded drift, by `platform:address`."""
        bindings = self.workspace().reader().bindings()
        return {f"{b.platform}:{b.address}": dict(b.drift) for b in bindings if b.drift}

    def requests(self) -> Counter[str]:
        """Return how many requests each platform has seen so far."""
        return Counter(exchange.platform for exchange in self.sandbox.world.traffic)

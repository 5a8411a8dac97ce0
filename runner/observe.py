"""Observing: reading back what people changed on the platforms since the last time.

Drift is what is observed to differ from base. It is recorded in the bindings, so that it stays
known until it is reverted or adopted, however often the platforms are asked in between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from reconcilers import Platform
from reconcilers._budget import Clock, SystemClock
from reconcilers._contract import Observed
from runner.config import Config, now
from runner.lanes import Session, tried
from runner.moves import follow, follow_references
from runner.platforms import platforms_of, session
from runner.state.contract import Commit, IntegrationRow, StateWriter
from schemas.domain import Binding, Desired, Value, same

OVERLAP = timedelta(minutes=2)
"""How far each observation reaches back behind the last: clocks differ, and Notion's instants
are cut to the minute (verified 2026-11-24)."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What an observation brought.

    Attributes:
        changed: bindings whose recorded drift is different now.
        requests: HTTP requests sent, by platform.
        failed: by platform, why it could not be read; its bindings stay as they were.
    """

    changed: int
    requests: Mapping[str, int]
    failed: Mapping[str, str]


async def refresh(
    desired: Desired,
    state: StateWriter,
    config: Config,
    run_id: str,
    *,
    clock: Clock | None = None,
) -> Refreshed:
    """Ask each platform what changed, and record it as drift in the bindings.

    A platform on which nothing is bound is not asked. A failed or partial read changes nothing.

    Raises:
        ConfigError: a token is missing, or an address is none; nothing was sent.
    """
    known = {row.platform: row for row in state.integrations()}
    platforms = platforms_of(desired)
    bound = {name: state.bindings(platform=name) for name in platforms}
    asked = [name for name in platforms if any(b.remote_id for b in bound[name])]
    reads = [
        _read(
            platforms[name],
            desired,
            config,
            known.get(name) or IntegrationRow(name),
            bound[name],
            clock or SystemClock(),
        )
        for name in asked
    ]
    results = dict(zip(asked, await asyncio.gather(*reads), strict=True))
    changed = [b for result in results.values() for b in result.changed]
    commit = Commit(run_id, desired.commit, "observe")
    drifted = [replace(b, updated_at=now(), run_id=run_id) for b in changed]
    rows = [
        replace(
            known.get(name) or IntegrationRow(name),
            enabled=True,
            lookups=result.lookups,
            limits=result.limits,
            cursor=result.cursor,
            updated_at=now(),
        )
        for name, result in results.items()
        if not result.error
    ]
    # The cursor comes last: without it, the next observation finds the same again.
    with state.batch(wait=True):
        state.save_bindings(drifted, commit)
        state.save_integrations(rows, commit)
    return Refreshed(
        changed=len(changed),
        requests={name: result.requests for name, result in results.items()},
        failed={name: result.error for name, result in results.items() if result.error},
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    changed: tuple[Binding, ...] = ()
    lookups: Mapping[str, object] | None = None
    limits: Mapping[str, object] | None = None
    cursor: str = ""
    requests: int = 0
    error: str = ""


async def _read(
    platform: Platform,
    desired: Desired,
    config: Config,
    row: IntegrationRow,
    bindings: list[Binding],
    clock: Clock,
) -> _Reading:
    async with contextlib.AsyncExitStack() as stack:
        open_ = await stack.enter_async_context(
            session(
                platform,
                desired,
                config,
                bound={follow(b.address, desired.moved): b.remote_id for b in bindings},
                lookups=row.lookups,
                limits=row.limits,
                clock=clock,
            )
        )
        started = clock.time()
        by_id = {b.remote_id: b for b in bindings if b.remote_id}
        changed: dict[str, Binding] = {}

        async def read() -> None:
            async for seen in open_.reconciler.observe(row.cursor or None):
                binding = by_id.get(seen.remote_id)
                if binding is None:
                    continue
                base = follow_references(binding.base, desired.moved)
                drift = _drift(open_, replace(binding, base=base), seen)
                if drift != binding.drift:
                    changed[binding.address] = replace(binding, drift=drift)

        failed = await tried(read(), row.platform)
        if failed:
            return _Reading(requests=open_.transport.requests, error=str(failed))
        return _Reading(
            changed=tuple(changed.values()),
            lookups=open_.connection.lookups,
            limits=open_.transport.budget.dump(),
            cursor=_cursor(started + (open_.transport.clock_ahead or 0.0)),
            requests=open_.transport.requests,
        )


def _cursor(seconds: float) -> str:
    """Return from when on the next observation reads, by the platform's own clock."""
    return (datetime.fromtimestamp(seconds, UTC) - OVERLAP).strftime("%Y-%m-%dT%H:%M:%SZ")


def _drift(open_: Session, binding: Binding, seen: Observed) -> dict[str, Value]:
    """Return the fields of `binding` that the platform has otherwise, with what it has."""
    canonical = open_.platform.canonical
    if seen.archived:
        return {"archived": True}
    return {
        name: seen.fields[name]
        for name in open_.profile.capabilities.observable(binding.kind)
        if name in binding.base
        and name in seen.fields
        and not same(canonical(name, seen.fields[name]), canonical(name, binding.base[name]))
    }

"""Observing: reading back what people changed on the platforms since the last time.

What is observed to differ from base is kept in the bindings as drift, so that it stays known
until it has been dealt with, however often the platforms are asked in between. Cost grows with
what changed: only the remote ids of all bindings are read, and the bindings of what was seen.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from reconcilers import Platform
from reconcilers._budget import Clock, SystemClock
from reconcilers._contract import Misses, Observed, Profile, Reconciler
from runner.config import Config, now
from runner.lanes import tried
from runner.live import OURSELVES, Identities, live_values, present, settle_edit
from runner.moves import follow
from runner.ownership import SCHEDULED, Ownership, ownership
from runner.platforms import platforms_of, session
from runner.state.contract import Commit, IntegrationRow, Key, ResourceRow, StateWriter
from runner.wording import in_own_words
from schemas.domain import (
    Binding,
    Desired,
    Edit,
    Fields,
    Kind,
    Policy,
    Resource,
    Value,
    kind_of,
    same,
)

OVERLAP = timedelta(minutes=2)
"""How far each observation reaches back behind the last: clocks differ, and Notion's instants
are cut to the minute (verified 2026-11-24)."""

ECHO = timedelta(minutes=1)
"""A change so soon after our own write may be the platform's own doing."""

MOST_TURNS = 3
"""How often in a row a platform may at once change what we write before it is let have its way."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What an observation brought.

    Attributes:
        changed: bindings of which something else is known now.
        requests: HTTP requests sent, by platform.
        failed: by platform, why it could not be read; its bindings stay as they were.
        stubborn: fields that a platform changes back whatever is written, `platform:address name`.
    """

    changed: int
    requests: Mapping[str, int]
    failed: Mapping[str, str]
    stubborn: tuple[str, ...] = ()


async def refresh(
    desired: Desired,
    state: StateWriter,
    config: Config,
    run_id: str,
    *,
    clock: Clock | None = None,
    full: bool = False,
) -> Refreshed:
    """Ask each platform what changed, and record it in the bindings.

    A platform on which nothing is bound is not asked. A failed or partial read changes nothing.

    Args:
        desired: what the specs declare.
        state: for writing.
        config: where the platforms are.
        run_id: the run.
        clock: the time.
        full: read all that is bound, not only what changed: finds what was deleted for good.

    Raises:
        ConfigError: a token is missing, or an address is none; nothing was sent.
    """
    clock = clock or SystemClock()
    known = {row.platform: row for row in state.integrations()}
    platforms = platforms_of(desired)
    bound = {name: ids for name in platforms if (ids := state.remote_ids(name))}
    reads = [
        _read(
            platforms[name],
            desired,
            config,
            known.get(name) or IntegrationRow(name),
            ids,
            clock,
            full=full,
        )
        for name, ids in bound.items()
    ]
    readings = dict(zip(bound, await asyncio.gather(*reads), strict=True))
    failed = {name: reading.error for name, reading in readings.items() if reading.error}
    profiles = {name: platform.profile for name, platform in platforms.items()}
    desk = _Desk(desired, profiles, state)
    for name, reading in readings.items():
        addresses = {remote_id: address for address, remote_id in bound[name].items()}
        desk.take(name, [(addresses[seen.remote_id], seen) for seen in reading.seen])
    desk.notice()
    commit = Commit(run_id, desired.commit, "observe")
    at = now()
    changed = [replace(b, updated_at=at, run_id=run_id) for b in desk.changed()]
    rows = [
        replace(
            known.get(name) or IntegrationRow(name),
            enabled=True,
            lookups=reading.lookups or {},
            limits=reading.limits or {},
            cursor=reading.cursor,
            updated_at=at,
        )
        for name, reading in readings.items()
        if not reading.error
    ]
    resources = desk.rows()
    # The cursor comes last: without it, the next observation finds the same again.
    with state.batch(wait=True):
        state.save_resources(resources, commit)
        state.save_bindings(changed, commit)
        state.save_integrations(rows, commit)
    return Refreshed(
        changed=len(changed),
        requests={name: reading.requests for name, reading in readings.items()},
        failed=failed,
        stubborn=tuple(desk.stubborn),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    seen: tuple[Observed, ...] = ()
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
    bound: Mapping[str, str],
    clock: Clock,
    *,
    full: bool,
) -> _Reading:
    async with contextlib.AsyncExitStack() as stack:
        open_ = await stack.enter_async_context(
            session(
                platform,
                desired,
                config,
                bound={follow(address, desired.moved): i for address, i in bound.items()},
                lookups=row.lookups,
                limits=row.limits,
                clock=clock,
            )
        )
        started = clock.time()
        since = None if full else row.cursor or None
        ours = set(bound.values())
        seen: dict[str, Observed] = {}

        async def read() -> None:
            async for found in open_.reconciler.observe(since):
                if found.remote_id in ours:
                    seen[found.remote_id] = found
            unseen: dict[str, Kind]
            unseen = {i: kind_of(a) for a, i in bound.items() if i not in seen}
            seen.update(await _gone(open_.reconciler, unseen, full=not since))

        failed = await tried(read(), row.platform)
        if failed:
            return _Reading(requests=open_.transport.requests, error=str(failed))
        return _Reading(
            seen=tuple(seen.values()),
            lookups=open_.connection.lookups,
            limits=open_.transport.budget.dump(),
            cursor=_cursor(started + (open_.transport.clock_ahead or 0.0)),
            requests=open_.transport.requests,
        )


async def _gone(
    reconciler: Reconciler, unseen: Mapping[str, Kind], *, full: bool
) -> dict[str, Observed]:
    """Return what was deleted for good, by remote id, as far as the platform can tell."""
    if not isinstance(reconciler, Misses):
        return {}
    gone = await reconciler.gone(unseen, full=full)
    return {i: Observed(unseen[i], i, "", {}, archived=True) for i in gone}


def _cursor(seconds: float) -> str:
    """Return from when on the next observation reads, by the platform's own clock."""
    return (datetime.fromtimestamp(seconds, UTC) - OVERLAP).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Desk:
    """Where observations are held against the bindings of what was seen."""

    def __init__(
        self, desired: Desired, profiles: Mapping[str, Profile], state: StateWriter
    ) -> None:
        self.stubborn: list[str] = []
        self._desired = desired
        self._profiles = profiles
        self._state = state
        self._seen: dict[Key, Observed] = {}
        self._before: dict[Key, Binding] = {}
        self._after: dict[Key, Binding] = {}

    def take(self, platform: str, seen: Iterable[tuple[str, Observed]]) -> None:
        """Take what was seen on a platform, by the address that it is bound to."""
        self._seen |= {(address, platform): found for address, found in seen}

    def notice(self) -> None:
        """Work out what is known now of everything that was seen."""
        addresses = sorted({address for address, _ in self._seen})
        if not addresses:
            return
        found = self._state.bindings(addresses=addresses)
        self._before = {(b.address, b.platform): b for b in found}
        self._after = dict(self._before)
        for key, seen in self._seen.items():
            binding = self._before.get(key)
            if binding is None:
                continue
            here = present(binding, self._desired.moved)
            resource = self._desired.resources.get(here.address)
            noted = notice(here, seen, resource, self._desired.policy, self._profiles[key[1]])
            self.stubborn += [f"{key[1]}:{here.address} {name}" for name in _stubborn(here, noted)]
            if noted != here:
                # References to what moved stay as they are bound until a plan carries them over.
                self._after[key] = replace(
                    noted,
                    address=binding.address,
                    base=_carried(binding.base, here.base, noted.base),
                    drift=_carried(binding.drift, here.drift, noted.drift),
                )
        for address in addresses:
            self._pass_on_schedule(address)

    def _pass_on_schedule(self, address: str) -> None:
        """Have the next plan look again at whatever shows a schedule that has moved."""
        motion = self._after.get((address, "motion"))
        if motion is None:
            return
        for key in [key for key in self._after if key[0] == address and key[1] != "motion"]:
            binding = self._after[key]
            profile = self._profiles.get(binding.platform)
            if profile is None or not profile.capabilities.editable(binding.kind) & {*SCHEDULED}:
                continue
            if any(binding.base.get(n) != motion.base.get(n) for n in SCHEDULED):
                self._after[key] = replace(binding, desired_hash="")

    def changed(self) -> list[Binding]:
        """Return the bindings of which something else is known now."""
        return [b for key, b in self._after.items() if b != self._before[key]]

    def rows(self) -> list[ResourceRow]:
        """Return the resources whose live fields the tables do not know yet."""
        touched = {follow(b.address, self._desired.moved): b.address for b in self.changed()}
        touched = {now: was for now, was in touched.items() if now in self._desired.resources}
        if not touched:
            return []
        identities = Identities(self._desired)
        stored = {row.address: row for row in self._state.resources(sorted(touched.values()))}
        found: list[ResourceRow] = []
        for address, was in touched.items():
            row = stored.get(was)
            if row is None or row.archived_at:
                continue
            there = [self._here(b) for k, b in self._after.items() if k[0] == was]
            resource = self._desired.resources[address]
            live = live_values(resource, there, self._desired, identities)
            if live != row.live:
                found.append(replace(row, live=live))
        return found

    def _here(self, binding: Binding) -> Binding:
        """Return a binding as the specs call everything now, and in the words of base."""
        here = present(binding, self._desired.moved)
        profile = self._profiles.get(binding.platform)
        return in_own_words(here, profile) if profile else here


def _carried(stored: Fields, before: Fields, after: Fields) -> dict[str, Value]:
    """Return what is stored, with what became of `before` since."""
    kept = {name: value for name, value in stored.items() if name in after}
    return kept | {n: v for n, v in after.items() if n not in before or before[n] != v}


def notice(
    binding: Binding, seen: Observed, resource: Resource | None, policy: Policy, profile: Profile
) -> Binding:
    """Return the binding with what an observation tells of it.

    What differs from base becomes drift, but for what nobody has done: what a platform makes of
    our own writes, and what a new object has by itself, becomes base; and what is but another
    word for base is no difference.

    Args:
        binding: with its references at their present addresses.
        seen: the object as it is now.
        resource: what the specs declare, or `None` where they no longer do.
        policy: the Settings' own.
        profile: the platform's.
    """
    at = seen.updated_at or now()
    if seen.archived:
        known = binding.edits.get("archived") if "archived" in binding.drift else None
        edit = known or Edit(at, seen.updated_by)
        return replace(binding, drift={"archived": True}, edits={"archived": edit})
    base, drift, edits = dict(binding.base), dict(binding.drift), dict(binding.edits)
    for name in ("archived", *profile.capabilities.observable(binding.kind)):
        if name in seen.fields or name == "archived":
            drift.pop(name, None)
            settle_edit(edits, name)
    unchanged = profile.exact and seen.revision and seen.revision == binding.revision
    echo = dict(binding.echo)
    for name, value, owner in _watched(binding, seen, resource, policy, profile):
        agreed = base.get(name)
        if profile.equal(name, value, agreed):
            continue
        if name in echo and profile.equal(name, value, echo[name]):
            continue
        edit = _edit(binding, name, value, at, seen.updated_by)
        known = name in binding.drift and profile.equal(name, binding.drift[name], value)
        initial = name not in base and value in profile.capabilities.initial(binding.kind, name)
        shared = owner.drift == "share"
        rough = name in base and name in profile.capabilities.approximate(binding.kind)
        if rough and shared and binding.pending and name in binding.pending.fields:
            # A write of ours was interrupted: nobody can tell whose words these are, and the
            # platform that they come from still has the edit.
            continue
        if unchanged and not known and rough:
            echo[name] = value
        elif (
            (unchanged and not known)
            or initial
            or (shared and edit.turns > MOST_TURNS)
            or _decides(owner, name)
        ):
            base.pop(name, None)
            base |= {} if same(value, None) else {name: value}
        else:
            drift[name] = value
        if name in drift or edit.turns:
            edits[name] = edit
    return replace(binding, base=base, drift=drift, edits=edits, echo=echo)


def _watched(
    binding: Binding, seen: Observed, resource: Resource | None, policy: Policy, profile: Profile
) -> Iterator[tuple[str, Value, Ownership]]:
    """Yield the fields that were seen and that anybody wants to know of, with who owns them."""
    declared = (
        {**resource.fields, **resource.overrides.get(binding.platform, {})} if resource else {}
    )
    for name in sorted(profile.capabilities.observable(binding.kind) & seen.fields.keys()):
        owner = ownership(name, resource, binding.platform, policy)
        if owner.drift == "overrule":
            continue
        if owner.drift == "share" or name in binding.base or name in declared:
            yield name, seen.fields[name], owner


def _stubborn(before: Binding, after: Binding) -> Iterator[str]:
    """Yield the fields that the platform has just changed back once too often."""
    for name, edit in after.edits.items():
        known = before.edits.get(name, Edit())
        if edit.turns > max(known.turns, MOST_TURNS):
            yield name


def _decides(owner: Ownership, name: str) -> bool:
    """Return whether the platform alone decides the field, so that nobody has to agree."""
    return owner.drift == "share" and name in SCHEDULED


def _edit(binding: Binding, name: str, value: Value, at: str, by: str) -> Edit:
    """Return the edit that made a field what it is; the one known already, if it is that."""
    known = binding.edits.get(name)
    if known is None:
        return Edit(at, by)
    if name in binding.drift and same(binding.drift[name], value):
        return known
    written = known.by == OURSELVES and known.at
    soon = written and datetime.fromisoformat(at) - datetime.fromisoformat(known.at) <= ECHO
    return Edit(at, by, known.turns + 1 if soon else 0)

"""The bindings of what was imported, and the state as it will be with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reconcilers._contract import Profile
from runner.imports.drafting import Tie
from runner.plan import Agreed
from runner.projection import project_fields
from runner.state.contract import IntegrationRow, ResourceRow, StateDiff
from schemas.domain import (
    SHARED_FIELDS,
    Binding,
    Desired,
    Fields,
    Pending,
    Value,
    resource_id,
    same,
)

if TYPE_CHECKING:
    from runner.state.contract import Key

DECREED = ("key",)
"""Fields that nobody could have had there before; they count as agreed on."""


def bind(
    ties: Iterable[Tie], platform: str, desired: Desired, profile: Profile, state_id: str, run: str
) -> list[Binding]:
    """Return the bindings of imported resources.

    An object that has a marker keeps it; on Linear its own id is one. Each binding has a pending
    `bind` until an apply finds it in the specs: as long as these are in no
    commit that others have, the object is not taken for one whose spec is gone.

    Args:
        ties: which object is which resource.
        platform: where the objects are.
        desired: the specs with what was imported.
        profile: the platform's.
        state_id: makes the markers.
        run: the run that imports them.
    """
    return [
        Binding(
            tie.address,
            platform,
            tie.kind,
            tie.seen.marker or resource_id(state_id, tie.address),
            remote_id=tie.seen.remote_id,
            url=tie.seen.url,
            base=_base(tie, platform, desired, profile),
            desired_hash=desired.resources[tie.address].fingerprint,
            revision=tie.seen.revision,
            pending=Pending("bind", run, tie.seen.updated_at),
            run_id=run,
        )
        for tie in ties
    ]


def _base(tie: Tie, platform: str, desired: Desired, profile: Profile) -> dict[str, Value]:
    """Return the fields agreed on: what the specs declare, where the object has just that."""
    resource = desired.resources[tie.address]
    after = project_fields(resource, platform, desired, profile)
    seen = tie.seen.fields
    base: dict[str, Value] = {}
    for name, value in after.items():
        there = seen.get(name)
        agrees = name in DECREED or (name in seen and profile.equal(name, there, value))
        base[name] = value if agrees else there
    observable = profile.capabilities.observable(tie.kind)
    for name in observable & seen.keys() - after.keys():
        if name in SHARED_FIELDS or name == "counterparts":
            base[name] = seen[name]
    return {name: value for name, value in base.items() if not same(value, None)}


def live_of(binding: Binding, declared: Fields) -> dict[str, Value]:
    """Return the fields that the platforms own, as a binding has them."""
    return {n: v for n, v in binding.base.items() if n in SHARED_FIELDS and n not in declared}


class Overlay:
    """A state with more bindings than it has: what a plan will read once they are saved."""

    def __init__(self, state: Agreed, added: Sequence[Binding], state_id: str) -> None:
        self._state = state
        self._state_id = state_id
        self._added: Mapping[Key, Binding] = {(b.address, b.platform): b for b in added}

    def identity(self) -> str | None:
        """Return the state's UUID; that which a new one will get."""
        return self._state.identity() or self._state_id

    def version(self) -> str:
        """Return the version of the state below."""
        return self._state.version()

    def diff(self, rows: Iterable[tuple[str, str, str]]) -> StateDiff:
        """Compare what is wanted with what will be bound."""
        wanted = list(rows)
        found = self._state.diff(wanted)
        keys = {(address, platform) for address, platform, _ in wanted}
        changed = [b for b in found.changed if (b.address, b.platform) not in self._added]
        gone = [b for b in found.gone if (b.address, b.platform) not in self._added]
        return replace(
            found,
            missing=tuple(key for key in found.missing if key not in self._added),
            changed=(*changed, *(b for key, b in self._added.items() if key in keys)),
            gone=(*gone, *(b for key, b in self._added.items() if key not in keys)),
        )

    def bindings(
        self, addresses: Iterable[str] | None = None, platform: str | None = None
    ) -> list[Binding]:
        """Return the bindings, as they will be."""
        asked = None if addresses is None else list(addresses)
        below = [
            b
            for b in self._state.bindings(asked, platform)
            if (b.address, b.platform) not in self._added
        ]
        added = [
            b
            for b in self._added.values()
            if (asked is None or b.address in set(asked)) and platform in {None, b.platform}
        ]
        return sorted([*below, *added], key=lambda b: (b.address, b.platform))

    def resources(self, addresses: Iterable[str] | None = None) -> list[ResourceRow]:
        """Return resources as last applied."""
        return self._state.resources(addresses)

    def integrations(self) -> list[IntegrationRow]:
        """Return what is known of each platform."""
        return self._state.integrations()

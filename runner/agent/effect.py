"""The plan of an edit: what an apply would do because of it, whatever else is open.

A full plan of a big repo takes longer than a draft should, and shows what nobody asked about. So
the planner is given the new specs and a state that only knows of the resources that differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.plan import Agreed, make_plan
from runner.platforms import profiles_of
from runner.state.contract import IntegrationRow, ResourceRow, StateDiff
from schemas.domain import Binding, Desired, Plan

if TYPE_CHECKING:
    from collections.abc import Collection


def effect(before: Desired, after: Desired, state: Agreed) -> Plan:
    """Return the plan of what differs between two versions of the specs."""
    return make_plan(after, _Part(state, _differing(before, after)), profiles_of(after))


def _differing(before: Desired, after: Desired) -> frozenset[str]:
    """Return the addresses of what is new, gone, changed or moved."""
    prints = {address: item.fingerprint for address, item in before.resources.items()}
    changed = {
        address
        for address, item in after.resources.items()
        if prints.pop(address, None) != item.fingerprint
    }
    moved = {
        address
        for old, new in after.moved.items()
        if before.moved.get(old) != new
        for address in (old, new)
    }
    return frozenset(changed | prints.keys() | moved)


@dataclass(frozen=True, slots=True)
class _Part:
    """A state of which only some addresses are compared."""

    state: Agreed
    addresses: Collection[str]

    def identity(self) -> str | None:
        return self.state.identity()

    def version(self) -> str:
        return self.state.version()

    def bindings(
        self, addresses: Iterable[str] | None = None, platform: str | None = None
    ) -> list[Binding]:
        return self.state.bindings(addresses, platform)

    def resources(self, addresses: Iterable[str] | None = None) -> list[ResourceRow]:
        return self.state.resources(addresses)

    def integrations(self) -> list[IntegrationRow]:
        return self.state.integrations()

    def diff(self, rows: Iterable[tuple[str, str, str]]) -> StateDiff:
        """Compare as a state does, the addresses of this part only."""
        wanted = {(a, p): print_ for a, p, print_ in rows if a in self.addresses}
        found = self.state.bindings(self.addresses) if self.addresses else []
        bound = {(binding.address, binding.platform): binding for binding in found}
        changed = [
            binding
            for key, binding in bound.items()
            if key in wanted
            and (binding.desired_hash != wanted[key] or binding.drift or binding.pending)
        ]
        return StateDiff(
            tuple(key for key in wanted if key not in bound),
            tuple(changed),
            tuple(binding for key, binding in bound.items() if key not in wanted),
            len(bound),
        )

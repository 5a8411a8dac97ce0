"""What the platforms agree on: live fields, brought together from all of them. Pure.

A live field is one that the specs leave out. Whoever edited it last, on whichever platform, is
followed everywhere; edits of the same instant are settled by the order of the platforms. Values
are compared in our own words: an owner is a key of People, not an account somewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from runner.moves import follow, follow_references
from runner.ownership import SCHEDULED, ownership
from schemas.domain import SHARED_FIELDS, Binding, Desired, Edit, Resource, Value, same

OURSELVES = "trueup"
"""Who is said to have edited what we wrote."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a live field of a resource is to be, everywhere.

    Attributes:
        value: in our own words.
        source: the platform whose edit is followed; empty where nobody edited it.
        overruled: platforms with an earlier edit to another value.
    """

    value: Value
    source: str = ""
    overruled: tuple[str, ...] = ()


class Identities:
    """How the specs and the platforms call the same people."""

    def __init__(self, desired: Desired) -> None:
        self._desired = desired
        self._keys = {
            (platform, person.identity(platform).casefold()): key
            for key, person in desired.people.items()
            for platform in desired.integrations
        }

    def neutral(self, name: str, value: Value, platform: str) -> Value:
        """Return a value of `platform` in our own words.

        Raises:
            LookupError: it is somebody whom the specs do not know.
        """
        if name == "owner" and isinstance(value, str) and value:
            key = self._keys.get((platform, value.casefold()))
            if key is None:
                raise LookupError(value)
            return key
        if name in _EMPTY and same(value, None):
            return _EMPTY[name]
        return value

    def local(self, name: str, value: Value, platform: str) -> Value:
        """Return a value in our own words as `platform` has it."""
        if name == "owner" and isinstance(value, str) and value in self._desired.people:
            return self._desired.people[value].identity(platform)
        return value


_EMPTY: Mapping[str, Value] = {"status": "todo", "priority": "none"}
"""What it means that a field has no value, where our words have one for that."""


def settle_edit(edits: dict[str, Edit], name: str) -> None:
    """Forget who edited a field, but not that its platform changed what we wrote."""
    edit = edits.pop(name, None)
    if edit and edit.turns:
        edits[name] = replace(edit, by="")


def present(binding: Binding, moved: Mapping[str, str]) -> Binding:
    """Return a binding with its address, and all that it refers to, as the specs call it now."""
    if not moved:
        return binding
    return replace(
        binding,
        address=follow(binding.address, moved),
        base=follow_references(binding.base, moved),
        drift=follow_references(binding.drift, moved),
    )


def agreements(
    resource: Resource, bindings: Sequence[Binding], desired: Desired, identities: Identities
) -> dict[str, Agreement]:
    """Return what the live fields of a resource are to be, by name.

    Args:
        resource: the resource.
        bindings: all of its bindings, addresses at their present place.
        desired: for policy, and the order in which ties are settled.
        identities: who is who.
    """
    order = {name: place for place, name in enumerate(desired.integrations)}
    ranked = sorted(
        (b for b in bindings if b.platform in order and b.remote_id and "archived" not in b.drift),
        key=lambda binding: order[binding.platform],
    )
    found: dict[str, Agreement] = {}
    for name in (*SHARED_FIELDS, *SCHEDULED):
        there = list(_there(name, resource, ranked, desired, identities))
        edits = [item for item in there if item.edit]
        if edits:
            # Of equal instants, `max` keeps the first.
            winner = max(edits, key=lambda item: _moment(item.edit))
            losers = (item.platform for item in edits if not same(item.value, winner.value))
            found[name] = Agreement(winner.value, winner.platform, tuple(losers))
        elif values := Counter(item.value for item in there if not same(item.value, None)):
            found[name] = Agreement(values.most_common(1)[0][0])
    return found


@dataclass(frozen=True, slots=True)
class _There:
    """A live field on one platform, in our own words; `edit` where it was edited since base."""

    platform: str
    value: Value
    edit: Edit | None


def _there(
    name: str,
    resource: Resource,
    bindings: Iterable[Binding],
    desired: Desired,
    identities: Identities,
) -> Iterator[_There]:
    for binding in bindings:
        platform = binding.platform
        if name not in binding.drift and name not in binding.base:
            continue
        if ownership(name, resource, platform, desired.policy).drift != "share":
            continue
        edited = name in binding.drift
        value = binding.drift[name] if edited else binding.base[name]
        try:
            value = identities.neutral(name, value, platform)
        except LookupError:
            continue
        yield _There(platform, value, binding.edits.get(name, Edit()) if edited else None)


def _moment(edit: Edit | None) -> datetime:
    if edit is None or not edit.at:
        return datetime.min.replace(tzinfo=UTC)
    return datetime.fromisoformat(edit.at)


def live_values(
    resource: Resource, bindings: Sequence[Binding], desired: Desired, identities: Identities
) -> dict[str, Value]:
    """Return the live fields of a resource as the tables keep them: what all platforms have."""
    found = agreements(resource, bindings, desired, identities)
    return {name: item.value for name, item in found.items() if not same(item.value, None)}

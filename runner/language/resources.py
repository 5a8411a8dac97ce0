"""All resources of the specs, each worked out in full when somebody looks at it.

Most plans touch a few resources of thousands: for the others, the outline is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from schemas.domain import Kind, Resource


class Outline(NamedTuple):
    """What tells whether a resource has changed."""

    address: str
    kind: Kind
    platforms: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True)
class Part:
    """What one project document asks for.

    Attributes:
        outlines: its resources: the project, milestones, tasks.
        occurring: by the address of a repeating task or a part of one, what tells its occurrences
            from each other.
        fingerprint: a hash of the fingerprints of all its resources.
        make: works them out.
    """

    outlines: Sequence[Outline]
    occurring: Mapping[str, Sequence[str]]
    fingerprint: str
    make: Callable[[], Sequence[Resource]]

    @cached_property
    def resources(self) -> Mapping[str, Resource]:
        """Its resources by address."""
        return {resource.address: resource for resource in self.make()}


class Resources(Mapping[str, Resource]):
    """The resources of all parts by address: projects first, then milestones, then tasks."""

    def __init__(self, parts: Sequence[Part]) -> None:
        rows: dict[Kind, list[tuple[Outline, Part]]] = {"project": [], "milestone": [], "task": []}
        for part in parts:
            for outline in part.outlines:
                rows[outline.kind].append((outline, part))
        ordered = [row for group in rows.values() for row in group]
        self.outlines = [outline for outline, _ in ordered]
        self._parts = {outline.address: part for outline, part in ordered}

    def __getitem__(self, address: str) -> Resource:
        return self._parts[address].resources[address]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, address: object) -> bool:
        return address in self._parts


def outlines_of(resources: Mapping[str, Resource]) -> Iterable[Outline | Resource]:
    """Return what tells whether each resource has changed, without working any of them out."""
    return resources.outlines if isinstance(resources, Resources) else resources.values()

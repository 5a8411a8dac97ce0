"""In which order changes may be carried out: each after all that it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from runner.moves import REFERENCES
from schemas.domain import Change, Desired, kind_of


def in_order(changes: Sequence[Change], desired: Desired) -> Iterator[Change]:
    """Yield the changes in the order in which they may be carried out, each with its `after`.

    Creates and updates come first, in dependency order; what is pruned follows, tasks first.
    """
    made = [c for c in changes if c.action not in {"archive", "delete"}]
    pruned = [c for c in changes if c.action in {"archive", "delete"}]
    rank = {address: i for i, address in enumerate(_topological(made, desired))}
    ids = {change.id for change in made}
    for change in sorted(made, key=lambda c: (rank[c.address], c.platform)):
        needs = [a for a in _references(change) if f"{change.platform}:{a}" in ids]
        yield replace(change, after=tuple(needs)) if needs else change
    last = {"task": 0, "milestone": 1, "project": 2}
    yield from sorted(pruned, key=lambda c: (last[kind_of(c.address)], c.address, c.platform))


def _topological(changes: Sequence[Change], desired: Desired) -> Iterable[str]:
    """Return the addresses of `changes`, each after all that it refers to."""
    addresses = {change.address for change in changes}
    graph: dict[str, list[str]] = {
        address: [] for address in desired.resources if address in addresses
    }
    for address in addresses - graph.keys():
        graph[address] = []
    for change in changes:
        graph[change.address].extend(a for a in _references(change) if a in addresses)
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError:
        # Cycles are refused when the specs are checked; in between two specs (a parent and a
        # child that changed places) declaration order is as good as any.
        return tuple(graph)


def _references(change: Change) -> list[str]:
    found: list[str] = []
    for item in change.fields:
        if item.name not in REFERENCES or item.after is None:
            continue
        found.extend(item.after if isinstance(item.after, tuple) else [str(item.after)])
    return [address for address in found if address != change.address]

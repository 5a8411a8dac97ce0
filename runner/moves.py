"""Where a resource has gone that was renamed or moved: its address, and every reference to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from schemas.domain import Binding, Fields, project_of

REFERENCES = ("project", "parent", "milestone", "depends_on")
"""Fields whose values are addresses of other resources."""


def follow(address: str, moved: Mapping[str, str]) -> str:
    """Return where `address` has moved to; itself where it has not."""
    if address in moved:
        return moved[address]
    project = project_of(address)
    if project in moved and project != address:
        carried = moved[project] + address[len(project) :]
        return moved.get(carried, carried)
    return address


def follow_references(fields: Fields, moved: Mapping[str, str]) -> Fields:
    """Return `fields` with every reference at its present address."""
    if not moved:
        return fields
    followed = dict(fields)
    for name in REFERENCES:
        value = followed.get(name)
        if isinstance(value, str):
            followed[name] = follow(value, moved)
        elif isinstance(value, tuple):
            followed[name] = tuple(sorted(follow(item, moved) for item in value))
    return followed


def pair_moves(
    missing: Collection[tuple[str, str]],
    gone: Iterable[Binding],
    moved: Mapping[str, str],
    platforms: Collection[str],
) -> tuple[dict[tuple[str, str], Binding], list[Binding]]:
    """Tell bindings whose resource moved from those whose spec is gone.

    Args:
        missing: what is wanted and not bound.
        gone: what is bound and not wanted.
        moved: from old address to new.
        platforms: the enabled ones; bindings elsewhere are left out.
    """
    wanted = set(missing)
    moves: dict[tuple[str, str], Binding] = {}
    left: list[Binding] = []
    for binding in gone:
        if binding.platform not in platforms:
            continue
        key = (follow(binding.address, moved), binding.platform)
        if key in wanted and key[0] != binding.address:
            moves[key] = binding
        else:
            left.append(binding)
    return moves, left

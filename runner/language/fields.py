"""Values of operations put into the fields of a document, where they differ in meaning.

What is written already stays as it is written when it means the same: `240m` is not replaced by
`4h`, nor a list by the same list in another order. New fields go where readers expect them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, cast

from runner.language.check import CONTAINERS
from runner.language.tree import Model
from schemas.domain import PLATFORMS, SHARED_FIELDS
from schemas.values import (
    BadValue,
    parse_estimate,
    parse_horizon,
    parse_label,
    parse_line,
    parse_markdown,
    parse_max_prune,
)

ORDER: Final = (
    "kind",
    "key",
    "name",
    "email",
    "timezone",
    *SHARED_FIELDS,
    "platforms",
    "repeat",
    "protect",
    *PLATFORMS,
    "state",
    "policy",
    "defaults",
    "milestones",
    "tasks",
    "moved",
    "formerly",
)
"""The order of fields in whatever is new."""

_SETS: Final = frozenset({"labels", "depends_on", "platforms"})
_RANK: Final = {name: rank for rank, name in enumerate(ORDER)}


def place(model: dict[str, Model], name: str, value: Model) -> None:
    """Put a value under a name; a new name behind those that usually come before it."""
    if name in model or name not in _RANK:
        model[name] = value
        return
    before = [other for other in model if _RANK.get(other, len(ORDER)) < _RANK[name]]
    insert(model, name, value, before[-1] if before else "")


def insert(model: dict[str, Model], name: str, value: Model, after: str | None) -> None:
    """Put a value behind another; in front with an empty name, last with `None`."""
    items = list(model.items())
    at = len(items) if after is None else 0
    for i, (other, _) in enumerate(items):
        if other == after:
            at = i + 1
    items.insert(at, (name, value))
    model.clear()
    model.update(items)


def rename(model: dict[str, Model], old: str, new: str) -> None:
    """Give a value another name, in its place."""
    items = [(new if name == old else name, value) for name, value in model.items()]
    model.clear()
    model.update(items)


def put(
    model: dict[str, Model], name: str, value: object, inherited: Mapping[str, Model] | None = None
) -> bool:
    """Set a field unless it means the same already; return whether it was set.

    Args:
        model: what has the field.
        name: which field.
        value: its new value, as an operation gives it.
        inherited: what holds where the field is not given.
    """
    wanted = cast("Model", value)
    holder = model if name in model else (inherited or {})
    if name in holder and canonical(name, holder[name]) == canonical(name, wanted):
        return False
    place(model, name, _written(name, wanted, holder.get(name)))
    return True


def put_all(
    model: dict[str, Model],
    fields: Mapping[str, object],
    inherited: Mapping[str, Model] | None = None,
) -> bool:
    """Set fields, overrides and defaults one by one; return whether any was set."""
    changed = False
    for name, value in fields.items():
        if name == "overrides":
            for platform, given in cast("Mapping[str, Mapping[str, object]]", value).items():
                changed |= put_within(model, platform, contained(platform, given))
        elif name == "defaults":
            changed |= put_within(model, name, cast("Mapping[str, object]", value))
        else:
            changed |= put(model, name, value, inherited)
    return changed


def put_within(model: dict[str, Model], name: str, fields: Mapping[str, object]) -> bool:
    """Set fields of the mapping under a name, which is made if there is none."""
    held = model.get(name)
    inner = held if isinstance(held, dict) else {}
    changed = put_all(inner, fields)
    if changed and inner is not held:
        place(model, name, inner)
    return changed


def take(model: dict[str, Model], names: Iterable[str]) -> list[str]:
    """Take fields out, `linear.title` out of what `linear` holds; return those that were there."""
    found: list[str] = []
    for name in names:
        outer, dot, inner = name.partition(".")
        if not dot:
            if model.pop(name, _MISSING) is not _MISSING:
                found.append(name)
            continue
        held = model.get(outer)
        option = CONTAINERS.get(outer, inner) if inner == "container" else inner
        if isinstance(held, dict) and held.pop(option, _MISSING) is not _MISSING:
            found.append(name)
            if not held:
                del model[outer]
    return found


def contained(platform: str, fields: Mapping[str, object]) -> dict[str, object]:
    """Return the options of a platform, the container under the platform's own word."""
    word = CONTAINERS[platform]
    return {word if name == "container" else name: value for name, value in fields.items()}


def built(fields: Mapping[str, object], **first: Model) -> dict[str, Model]:
    """Return a new project, task, milestone or person, fields in the usual order."""
    model: dict[str, Model] = dict(first)
    for name, value in fields.items():
        if name in {"tasks", "milestones"}:
            parts = cast("Mapping[str, Mapping[str, object]]", value)
            if parts:
                place(model, name, {key: built(part) for key, part in parts.items()})
        else:
            put_all(model, {name: value})
    return model


def canonical(name: str, value: Model) -> object:
    """Return what a field's value means; of one that means nothing, what it is."""
    if isinstance(value, list):
        parts = [canonical(name.removesuffix("s"), item) for item in value]
        with suppress(TypeError):
            return frozenset(parts) if name in _SETS else tuple(parts)
        return parts
    if value is None:
        return frozenset[object]() if name in {"labels", "depends_on"} else None
    if isinstance(value, dict):
        if name == "link":
            title = value.get("title")
            return f"{value.get('url')} {title}" if title else value.get("url")
        return {key: canonical(key, part) for key, part in value.items()}
    with suppress(BadValue):
        return _scalar(name, value)
    return value


def _scalar(name: str, value: str | float | bool) -> object:
    if name == "horizon":
        return parse_horizon(value)
    if name == "max_prune":
        return parse_max_prune(value)
    if not isinstance(value, str):
        return value, type(value).__name__
    if name == "estimate":
        return parse_estimate(value)
    if name == "description":
        return parse_markdown(value) or None
    if name == "label":
        return parse_label(value)
    return parse_line(value) if name in {"title", "name"} else value


def _written(name: str, value: Model, before: Model) -> Model:
    """Return a value in the form in which it is to be written."""
    if isinstance(value, str) and name == "description":
        ended = isinstance(before, str) and before.endswith("\n")
        lines = "\n" in value and not (isinstance(before, str) and "\n" in before)
        return f"{value}\n" if ended or lines else value
    if isinstance(value, list) and isinstance(before, list):
        return _merged(name, value, before)
    return value


def _merged(name: str, value: list[Model], before: list[Model]) -> list[Model]:
    """Return a list that keeps what was written, and its order where order means nothing."""
    item = name.removesuffix("s")
    old: Sequence[tuple[object, Model]] = [(canonical(item, part), part) for part in before]
    new: Sequence[tuple[object, Model]] = [(canonical(item, part), part) for part in value]
    if name not in _SETS:
        return [next((o for c, o in old if c == meaning), part) for meaning, part in new]
    kept = [part for meaning, part in old if any(meaning == other for other, _ in new)]
    return kept + [part for meaning, part in new if all(meaning != other for other, _ in old)]


_MISSING: Final = object()

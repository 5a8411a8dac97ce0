"""A plan, and what became of it, as text, Markdown and JSON: all pure.

The JSON is also the plan file: `read_plan` gives back the plan that `plan_json` was made from.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, cast

from schemas.domain import Action, Change, Cost, FieldChange, Plan, Status, Value
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.apply import Applied

STATUSES: tuple[Status, ...] = ("applied", "skipped", "failed", "unknown")
FORMAT_VERSION = "1.0"
SIGNS: Mapping[Action, str] = {
    "create": "+",
    "bind": "=",
    "update": "~",
    "move": ">",
    "archive": "-",
    "delete": "-",
}
_COLOURS = {"+": "32", "=": "36", "~": "33", ">": "36", "-": "31"}
_QUIET = {"key", "project", "container", "counterparts"}
"""Derived fields that say nothing new about a create."""


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours text for a terminal, or leaves it alone."""

    colour: bool

    def __call__(self, code: str, text: str) -> str:
        """Return `text` in the ANSI style `code`."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def plan_text(
    plan: Plan, *, colour: bool = False, verbose: bool = False, most: int | None = None
) -> str:
    """Return the plan for a terminal.

    Args:
        plan: the plan.
        colour: whether to use ANSI colours.
        verbose: show every field of what is created, too.
        most: how many lines there may be above the summary; the others are left out.
    """
    paint = Paint(colour)
    found = _plan_lines(plan, paint, verbose=verbose)
    lines = list(islice(found, most))
    if next(found, None) is not None:
        lines.append(paint("2", "… and more: trueup plan"))
    if lines:
        lines.append("")
    lines.append(summary_line(plan, paint))
    lines.extend(cost_lines(plan.cost))
    return "\n".join(lines) + "\n"


def _plan_lines(plan: Plan, paint: Paint, *, verbose: bool) -> Iterator[str]:
    for address, changes in by_address(plan.changes):
        yield from _address_lines(address, changes, paint, verbose=verbose)
    yield from _drift_lines(plan, paint)
    for item in plan.diagnostics:
        style = "31" if item.severity == "error" else "33" if item.severity == "warning" else "2"
        where = f"{item.source}: " if item.source else ""
        hint = f" ({item.hint})" if item.hint else ""
        yield f"{paint(style, item.severity)}: {where}{item.message}{hint}"


def plan_json(plan: Plan) -> str:
    """Return the plan for machines; the format is stable, and it is what `apply` reads."""
    summary = {name: n for name, n in plan.summary.items() if n or name != "bind"}
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "commit": plan.commit,
        "digest": plan.digest,
        "spec_digest": plan.spec_digest,
        "state_version": plan.state_version,
        "changes": [asdict(change) for change in plan.changes],
        "summary": summary,
        "cost": asdict(plan.cost),
        "drift": [asdict(item) for item in plan.drift],
        "settled": [asdict(item) for item in plan.settled],
        "diagnostics": [asdict(item) for item in plan.diagnostics],
        "policy": asdict(plan.policy),
        "bound": plan.bound,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def read_plan(text: str) -> Plan:
    """Return the plan that a plan file holds.

    Raises:
        ConfigError: it is not a plan file, is of another version, or was edited.
    """
    from pydantic import TypeAdapter, ValidationError

    again = "make it again with: trueup plan --out FILE"
    try:
        document = cast("dict[str, Any]", json.loads(text))
        version = document.pop("format_version")
        digest = document.pop("digest")
        document.pop("summary")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError("this is not a plan file", hint=again) from error
    if version != FORMAT_VERSION:
        raise ConfigError(f"plan files of format {version} cannot be read", hint=again)
    try:
        plan = TypeAdapter(Plan).validate_python(_tuples(document))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ConfigError(f"the plan file is damaged at {where}", hint=again) from error
    if plan.digest != digest:
        raise ConfigError("the plan file was changed after it was made", hint=again)
    return plan


def applied_text(applied: Applied, *, colour: bool = False) -> str:
    """Return what became of a plan: what failed, what was left out, and the counts."""
    paint = Paint(colour)
    lines = [
        f"{paint('31', outcome.status)}: {change.platform}: {change.action} {change.address}:"
        f" {outcome.error}"
        for change, outcome in applied.results
        if outcome.status != "applied"
    ]
    counts = applied.counts
    if not counts:
        return "nothing was to be done\n"
    parts = [f"{counts[name]} {name}" for name in STATUSES if counts.get(name)]
    sent = ", ".join(f"{name} {n}" for name, n in applied.requests.items())
    lines.append(f"{', '.join(parts)}; {sum(applied.requests.values())} requests ({sent})")
    if not applied.complete:
        lines.append("run `trueup apply` again to finish the rest; nothing is done twice")
    return "\n".join(lines) + "\n"


def applied_json(applied: Applied) -> str:
    """Return what became of a plan, for machines."""
    document = {
        "run_id": applied.run_id,
        "counts": {name: applied.counts.get(name, 0) for name in STATUSES},
        "requests": dict(applied.requests),
        "outcomes": [
            {"address": c.address, "platform": c.platform, "action": c.action, **asdict(outcome)}
            for c, outcome in applied.results
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def summary_line(plan: Plan, paint: Paint) -> str:
    """Return `12 to create, 1 to update`, or that there is nothing to do."""
    parts = [
        paint(_COLOURS[SIGNS[action]], f"{count} to {action}")
        for action, count in plan.summary.items()
        if count
    ]
    if parts:
        return ", ".join(parts)
    return "nothing to do: the platforms match the specs"


def cost_lines(cost: Cost) -> list[str]:
    """Return what a plan costs, one line, or nothing where it is free."""
    if not cost.requests:
        return []
    each = ", ".join(f"{name} {count}" for name, count in cost.requests.items())
    total = sum(cost.requests.values())
    line = f"{total} requests ({each})"
    if cost.seconds:
        line += f"; about {seconds(cost.seconds)}, bound by {cost.bound_by}"
    return [line]


def seconds(amount: float) -> str:
    """Return a duration as people say it: `40 s`, `12 min`, `3 h 20 min`."""
    whole = round(amount)
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def shown(name: str, value: Value, *, width: int = 72) -> str:
    """Return a field's value in one line, as the specs would write it."""
    if value is None or value in ("", ()):
        return "(empty)"
    if name == "estimate" and isinstance(value, int):
        hours, minutes = divmod(value, 60)
        return " ".join([f"{hours}h"] * bool(hours) + [f"{minutes}m"] * bool(minutes)) or "0m"
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    first, *more = text.strip().splitlines() or [""]
    return first[: width - 1] + "…" if len(first) > width or more else first


def by_address(changes: Sequence[Change]) -> Iterator[tuple[str, list[Change]]]:
    """Yield each address with its changes, in order."""
    for address, group in groupby(changes, key=lambda change: change.address):
        yield address, list(group)


def _address_lines(
    address: str, changes: Sequence[Change], paint: Paint, *, verbose: bool
) -> Iterator[str]:
    for (action, fields), same_changes in alike(changes):
        sign = SIGNS[action]
        first = same_changes[0]
        where = ", ".join(sorted(change.platform for change in same_changes))
        moved = f" (was {first.moved_from})" if first.moved_from else ""
        title = next((f.after for f in fields if f.name == "title"), None)
        name = f"  {shown('title', title)}" if action == "create" and title else ""
        reason = "" if first.reason in {"declared", "edited", "moved"} else f" [{first.reason}]"
        head = paint(_COLOURS[sign], f"{sign} {address}")
        yield f"{head}{moved}{name}  {paint('2', f'{where}{reason}')}"
        if action != "create" or verbose:
            for item in fields:
                yield from _field_lines(action, item, paint)


def alike(
    changes: Sequence[Change],
) -> list[tuple[tuple[Action, tuple[FieldChange, ...]], list[Change]]]:
    """Group the platforms on which the same happens, derived fields of creates aside."""
    groups: dict[tuple[Action, tuple[FieldChange, ...]], list[Change]] = {}
    whole: dict[Action, tuple[FieldChange, ...]] = {}
    for change in changes:
        fields = change.fields
        if change.action == "create":
            fields = tuple(f for f in fields if f.name not in _QUIET)
            if len(fields) > len(whole.get("create", ())):
                whole["create"] = fields
        groups.setdefault((change.action, fields), []).append(change)
    creates = [key for key in groups if key[0] == "create"]
    if len(creates) > 1:
        merged = [change for key in creates for change in groups.pop(key)]
        groups = {("create", whole["create"]): merged, **groups}
    return list(groups.items())


def _field_lines(action: Action, item: FieldChange, paint: Paint) -> Iterator[str]:
    if action == "create":
        yield f"    {item.name}: {shown(item.name, item.after)}"
        return
    before, after = item.before, item.after
    if _is_long(before) and _is_long(after):
        yield f"    {item.name}:"
        yield from (f"      {line}" for line in _text_diff(str(before), str(after), paint))
        return
    left = paint("31", shown(item.name, before))
    right = paint("32", shown(item.name, after))
    yield f"    {item.name}: {left} → {right}"


def _is_long(value: Value) -> bool:
    return isinstance(value, str) and "\n" in value.strip()


def _text_diff(before: str, after: str, paint: Paint) -> Iterator[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm="")
    for line in list(lines)[2:]:
        style = {"+": "32", "-": "31"}.get(line[:1], "2")
        yield paint(style, line)


def _drift_lines(plan: Plan, paint: Paint) -> Iterator[str]:
    for item in plan.drift:
        head = paint("35", f"! {item.address}")
        yield (
            f"{head}  {item.platform} has {item.name}: {shown(item.name, item.observed)}"
            f" (agreed: {shown(item.name, item.base)}) [{item.decision}]"
        )


def _tuples(value: Any) -> Any:
    """Return parsed JSON with lists as tuples, as the frozen values have them."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in cast("list[Any]", value))
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in cast("dict[str, Any]", value).items()}
    return value

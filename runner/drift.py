"""Drift: what people changed on the platforms, who did it, and what is to become of it.

Read from specs and state; nothing is sent.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import unified_diff
from itertools import groupby
from typing import TYPE_CHECKING

from runner.render import FORMAT_VERSION, Paint, shown
from schemas.domain import Drift, Value
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.workspace import Workspace

WHAT_BECOMES: Mapping[str, str] = {
    "propose": "stays until it is adopted or overwritten",
    "revert": "the next apply writes what the specs say",
    "ignore": "is left alone",
    "conflict": "git has changed it as well; neither is overwritten until you choose",
    "share": "the next apply brings it to the other platforms",
    "overrule": "a later edit on another platform wins",
}
"""By decision, what a reader wants to know."""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What differs from base.

    Attributes:
        items: sorted by address, field and platform.
        failed: by platform, why it could not be asked; what is said of it is what was known.
    """

    items: tuple[Drift, ...]
    failed: Mapping[str, str]

    @property
    def pressing(self) -> bool:
        """Whether anything is among it that is not to be left alone."""
        return any(item.decision != "ignore" for item in self.items)


def read_drift(
    place: Workspace,
    addresses: Collection[str] = (),
    platform: str = "",
    failed: Mapping[str, str] | None = None,
) -> DriftReport:
    """Return the drift that the state knows of.

    Args:
        place: the spec repo.
        addresses: only of these resources and what is below them; of all where there are none.
        platform: only there, or everywhere where empty.
        failed: the platforms that could not be asked just now, and why.

    Raises:
        ConfigError: an address is neither declared nor bound.
        SpecError: the specs have errors.
    """
    from runner.plan import make_plan
    from runner.platforms import profiles_of

    desired = place.desired
    for address in addresses:
        if address not in desired.resources:
            raise ConfigError(
                f"the specs declare no {address}", hint="list what differs with: trueup drift"
            )
    made = make_plan(desired, place.reader(), profiles_of(desired))
    items = [
        item
        for item in made.drift
        if (not platform or item.platform == platform)
        and (not addresses or any(_within(item.address, address) for address in addresses))
    ]
    items.sort(key=lambda item: (item.address, item.name, item.platform))
    return DriftReport(tuple(items), failed or {})


def _within(address: str, above: str) -> bool:
    return address == above or address.startswith(f"{above}/")


def drift_text(report: DriftReport, *, colour: bool = False) -> str:
    """Return the report for a terminal: conflicts with all three sides."""
    paint = Paint(colour)
    lines: list[str] = []
    for address, items in groupby(report.items, key=lambda item: item.address):
        lines.append(paint("1", address))
        for item in items:
            lines += _item_lines(item, paint)
    if not report.items:
        return "no drift: the platforms have what was agreed on\n"
    lines.append("")
    if any(item.decision == "propose" for item in report.items):
        lines.append("write it into the specs: trueup adopt")
    if any(item.decision in {"propose", "conflict"} for item in report.items):
        lines.append("write what the specs say: trueup adopt --ours ADDRESS, then apply")
    if any(item.decision == "conflict" for item in report.items):
        lines.append("take what a platform has: trueup adopt --theirs ADDRESS")
    return "\n".join(lines).rstrip() + "\n"


def _item_lines(item: Drift, paint: Paint) -> Iterator[str]:
    who = f" by {item.by}" if item.by else ""
    when = f" at {item.at}" if item.at else ""
    style = "31" if item.decision == "conflict" else "35"
    head = paint(style, f"! {item.name} on {item.platform}")
    yield f"  {head}{who}{when}  {paint('2', f'[{item.decision}]')}"
    rows = [(item.platform, item.observed)]
    if item.decision == "conflict":
        rows.insert(0, ("specs", item.desired))
    if not any(_is_long(value) for value in (item.base, *(value for _, value in rows))):
        rows.insert(0, ("agreed", item.base))
        for label, value in rows:
            yield f"      {label:8} {shown(item.name, value)}"
    else:
        for label, value in rows:
            for number, (sign, line) in enumerate(_lines(item.base, value)):
                head = "" if number else label
                yield f"      {head:8} {paint('31' if sign == '-' else '32', f'{sign} {line}')}"
    yield f"      {paint('2', WHAT_BECOMES[item.decision])}"


def drift_json(report: DriftReport) -> str:
    """Return the report for machines, with a final line break."""
    document = {
        "format_version": FORMAT_VERSION,
        "drift": [asdict(item) for item in report.items],
        "failed": dict(report.failed),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def told(items: Sequence[Drift]) -> list[str]:
    """Return one line for each edit: what was what, and who made it what, where and when."""
    return [f"{item.address}: {item.name}: {_told(item)} ({_source(item)})" for item in items]


def _told(item: Drift) -> str:
    """Return what was what: of a long text, the lines that are no longer the same."""
    before, after = item.base, item.observed
    if before and after and (_is_long(before) or _is_long(after)):
        lines = _lines(before, after)
        before = "\n".join(line for sign, line in lines if sign == "-" and line)
        after = "\n".join(line for sign, line in lines if sign == "+" and line)
        if not before or not after:
            what = "added" if after else "removed"
            return f"{what}: {shown(item.name, after or before)}"
    return f"{shown(item.name, before)} → {shown(item.name, after)}"


def _is_long(value: Value) -> bool:
    return isinstance(value, str) and "\n" in value.strip()


def _lines(before: Value, after: Value) -> list[tuple[str, str]]:
    """Return the lines that two texts do not share, each with `-` or `+`."""
    old, new = (str(value or "").splitlines() for value in (before, after))
    diff = list(unified_diff(old, new, n=0, lineterm=""))[2:]
    return [(line[0], line[1:]) for line in diff if line[0] in "-+"]


def _source(item: Drift) -> str:
    return ", ".join(part for part in (item.platform, item.by, item.at) if part)

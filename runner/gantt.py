"""The projects that a plan touches as a Mermaid timeline, with the critical path of each. Pure.

GitLab draws a diagram of up to 2,000 characters at once and asks before it draws a longer one, so
what matters most comes first: the critical path, then what the plan changes, then the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from runner.language.deadline import Planned, as_planned, work_left
from runner.language.timeline import Timeline, Work, last_day
from schemas.domain import Plan, project_of

if TYPE_CHECKING:
    from runner.language.load import Loaded

LONGEST = 2000
MOST_PROJECTS = 6

_HEAD = ("```mermaid", "gantt", "  dateFormat YYYY-MM-DD")
_KEYWORD = re.compile(
    r"(?i)(?:gantt|section|title|dateformat|axisformat|tickinterval|excludes|includes|todaymarker"
    r"|inclusiveenddates|topaxis|weekday|weekend|click|call|href|acctitle|accdescr)\b"
)


@dataclass(frozen=True, slots=True)
class _Bar:
    """One line of the timeline, and how much it matters: the lower, the more."""

    rank: int
    start: int
    text: str


def timeline(loaded: Loaded, plan: Plan, today: date) -> str:
    """Return a Mermaid block with the projects that a plan touches, or '' where nothing is timed.

    Args:
        loaded: the specs.
        plan: decides which projects are drawn.
        today: work that is left begins here at the earliest.
    """
    touched = {change.address for change in plan.changes}
    wanted = {project_of(address) for address in touched}
    every = {d.data["key"]: as_planned(d.data) for d in loaded.projects}
    found = [item for key, item in every.items() if key in wanted]
    if not found:
        return ""
    left = work_left(list(every.values()), today)
    works = {work.address: work for work in left.works}
    drawn = [
        (label(item.project["name"]), list(_bars(item, left, works, touched)))
        for item in found[:MOST_PROJECTS]
    ]
    return _drawn([(name, bars) for name, bars in drawn if bars])


def label(text: str) -> str:
    """Return text that Mermaid takes for a name, whatever it says."""
    kept = " ".join(re.sub(r"[^\w .()/-]+", " ", text).split())[:40].strip()
    return f"· {kept}" if _KEYWORD.match(kept) or not kept else kept


def _bars(
    item: Planned, left: Timeline, works: Mapping[str, Work], touched: set[str]
) -> Iterator[_Bar]:
    addresses = {f"{item.key}/{entry.key}": entry for entry in item.tasks}
    if not addresses:
        return
    last = max(addresses, key=left.finish)
    critical = {work.address for work in left.back(last)}
    for address, entry in addresses.items():
        work = works[address]
        if not work.minutes:
            continue
        finish = left.finish(address)
        start, end = last_day(finish - work.minutes + 1), last_day(finish) + timedelta(days=1)
        on_path = address in critical
        style = "crit, " * on_path + "active, " * (address in touched and not on_path)
        rank = 0 if on_path else 1 if address in touched else 2
        text = f"  {label(entry.task.get('title') or entry.key)} :{style}{start}, {end}"
        yield _Bar(rank, finish - work.minutes, text)
    if due := item.project.get("due"):
        yield _Bar(0, 10**9, f"  due :milestone, {due}, 0d")


def _drawn(projects: Sequence[tuple[str, list[_Bar]]]) -> str:
    """Return the block with as many bars as there is room for, in the order of time."""
    if not projects:
        return ""
    room = LONGEST - len("\n".join(_HEAD)) - 60 - sum(len(name) + 12 for name, _ in projects)
    ranked = sorted(
        ((bar.rank, number, bar) for number, (_, bars) in enumerate(projects) for bar in bars),
        key=lambda item: (item[0], item[1], item[2].start),
    )
    kept: set[int] = set()
    for *_, bar in ranked:
        room -= len(bar.text) + 1
        if room < 0:
            break
        kept.add(id(bar))
    lines: list[str] = [*_HEAD]
    for name, bars in projects:
        shown = sorted((bar for bar in bars if id(bar) in kept), key=lambda bar: bar.start)
        if shown:
            lines += [f"  section {name}", *(bar.text for bar in shown)]
    lines.append("```")
    if left_out := len(ranked) - len(kept):
        lines += ["", f"{left_out} more tasks are not drawn."]
    return "\n".join(lines)

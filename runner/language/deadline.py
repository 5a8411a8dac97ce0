"""Deadlines that cannot be met: due dates against the earliest finish of the work before them.

Specs seldom say what is done already, for the platforms own the status. So work that was due before
today counts as done, what is left cannot begin before today, and a deadline that has passed is
judged as it was planned, from the start of its project.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from runner.language.outline import Entry, entries, split_reference
from runner.language.timeline import Timeline, Work, last_day, minutes_until, schedule
from schemas.values import format_estimate

if TYPE_CHECKING:
    from schemas import spec

MAX_PATH = 8
"""How many tasks of a critical path are named before the middle is left out."""


MAX_LATE = 20
"""How many missed deadlines of one project are worth telling."""


@dataclass(frozen=True, slots=True)
class Late:
    """A deadline that cannot be met.

    Attributes:
        project: the project's key.
        place: where the deadline is given, as the keys that lead to it.
        message: what is due, when it can be done, and the critical path.
        hint: how much work there is on that path.
    """

    project: str
    place: tuple[str, ...]
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A project as this module looks at it; tasks that repeat are left out.

    Attributes:
        after: by task key, the addresses of what it depends on.
    """

    project: spec.Project
    tasks: Sequence[Entry]
    after: Mapping[str, Sequence[str]]

    @property
    def key(self) -> str:
        """The project's key."""
        return self.project["key"]


def as_planned(project: spec.Project) -> Planned:
    """Return a project as this module looks at it."""
    tasks = [entry for entry in entries(project) if entry.cycle is None]
    after = {
        entry.key: [
            "/".join(split_reference(project["key"], name))
            for name in entry.task.get("depends_on") or ()
        ]
        for entry in tasks
    }
    return Planned(project, tasks, after)


def work_left(projects: Sequence[Planned], today: date) -> Timeline:
    """Return the timeline of the work that is left; its cycles are those of all work."""
    return schedule([work for item in projects for work in _works(item, today)])


def late(projects: Sequence[Planned], left: Timeline, today: date) -> Iterator[Late]:
    """Yield the deadlines that cannot be met, at most one for each chain of reasons."""
    planned: Timeline | None = None
    for item in projects:
        dues = {f"{item.key}/{entry.key}": entry.task.get("due") or "" for entry in item.tasks}
        count = 0
        for place, title, due, addresses in _deadlines(item):
            past = due < today.isoformat()
            if (past and not item.project.get("start")) or not addresses or count >= MAX_LATE:
                continue
            if past and planned is None:
                planned = schedule([work for other in projects for work in _works(other, None)])
            timeline = planned if past and planned is not None else left
            last = max(addresses, key=timeline.finish)
            if not timeline.finish(last):
                continue
            finish = last_day(timeline.finish(last))
            if finish.isoformat() > due and not _told(timeline, last, due, dues):
                count += 1
                yield _late(item, place, f"{title} is due on {due}", finish, timeline, last)


def _works(item: Planned, today: date | None) -> Iterator[Work]:
    """Yield the work of a project: all of it, or what is left from `today` on."""
    floor = _begin(item.project.get("start"))
    before = today.isoformat() if today is not None else ""
    default = item.project.get("defaults", {}).get("estimate")
    if today is not None:
        floor = max(floor, minutes_until(today))
    for entry in item.tasks:
        task = entry.task
        minutes = task.get("estimate", default) or 0
        if task.get("status") in {"done", "canceled"} or (task.get("due") or "9") < before:
            minutes = 0
        yield Work(
            f"{item.key}/{entry.key}",
            minutes,
            max(floor, _begin(task.get("start"))),
            f"{item.key}/{entry.parent.key}" if entry.parent is not None else "",
            item.after.get(entry.key, ()),
        )


def _begin(day: str | None) -> int:
    return minutes_until(date.fromisoformat(day)) if day else 0


def _deadlines(item: Planned) -> Iterator[tuple[tuple[str, ...], str, str, list[str]]]:
    """Yield place, what it is, date and tasks of each deadline; tasks first, the project last."""
    default = item.project.get("defaults", {}).get("milestone")
    milestones: dict[str, list[str]] = {}
    for entry in item.tasks:
        address = f"{item.key}/{entry.key}"
        milestone = entry.task.get("milestone", default)
        if milestone:
            milestones.setdefault(milestone, []).append(address)
        if (due := entry.task.get("due")) and entry.task.get("status") not in {"done", "canceled"}:
            yield (*entry.path, "due"), f"`{entry.key}`", due, [address]
    for key, milestone in item.project.get("milestones", {}).items():
        if due := milestone.get("due"):
            place = ("milestones", key, "due")
            yield place, f"the milestone `{key}`", due, milestones.get(key, [])
    if due := item.project.get("due"):
        yield ("due",), "the project", due, [f"{item.key}/{entry.key}" for entry in item.tasks]


def _told(timeline: Timeline, last: str, due: str, dues: Mapping[str, str]) -> bool:
    """Return whether the deadline is missed only after another one on the same path was."""
    for work in timeline.back(last):
        other = dues.get(work.address, "")
        if other and work.address != last and other <= due:
            return last_day(timeline.finish(work.address)).isoformat() > other
    return False


def _late(
    item: Planned,
    place: tuple[str, ...],
    title: str,
    finish: date,
    timeline: Timeline,
    last: str,
) -> Late:
    path = list(timeline.back(last))[::-1]
    names = [
        f"{work.address.removeprefix(item.key + '/')} ({format_estimate(work.minutes)})"
        for work in path
    ]
    if len(names) > MAX_PATH:
        names[MAX_PATH // 2 : -MAX_PATH // 2] = ["…"]
    total = format_estimate(sum(work.minutes for work in path))
    message = f"{title}, but cannot be done before {finish}: {' → '.join(names)}"
    hint = f"{total} of work one after the other, on working days of 8 hours"
    return Late(item.key, place, message, hint)

"""A tiny scheduler: puts tasks one after another into working hours, earliest deadline first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

OPENS, CLOSES = time(9), time(17)
WORKING_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")


@dataclass(frozen=True, slots=True)
class Job:
    """What has to be placed: minutes of work, not before `start`, to be done by `due`."""

    id: str
    minutes: int
    due: datetime
    start: date | None = None


def place(jobs: Iterable[Job], now: datetime, zone: tzinfo) -> dict[str, tuple[datetime, datetime]]:
    """Return when each job begins and ends, by its id."""
    placed: dict[str, tuple[datetime, datetime]] = {}
    free = now.astimezone(zone).replace(second=0, microsecond=0) + timedelta(minutes=1)
    for job in sorted(jobs, key=lambda job: (job.due, job.id)):
        earliest = datetime.combine(job.start, OPENS, zone) if job.start else free
        begins = _open(max(free, earliest))
        free = _after(begins, job.minutes)
        placed[job.id] = (begins, free)
    return placed


def _open(moment: datetime) -> datetime:
    """Return `moment`, or the next one at which somebody works."""
    if moment.time() >= CLOSES:
        moment = datetime.combine(moment.date() + timedelta(days=1), OPENS, moment.tzinfo)
    while moment.weekday() >= len(WORKING_DAYS):
        moment = datetime.combine(moment.date() + timedelta(days=1), OPENS, moment.tzinfo)
    return max(moment, datetime.combine(moment.date(), OPENS, moment.tzinfo))


def _after(begins: datetime, minutes: int) -> datetime:
    """Return when work of `minutes` ends that begins then, nights and weekends left out."""
    left = timedelta(minutes=minutes)
    while True:
        evening = datetime.combine(begins.date(), CLOSES, begins.tzinfo)
        if begins + left <= evening:
            return begins + left
        left -= evening - begins
        begins = _open(evening)

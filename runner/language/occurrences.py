"""The days on which a repeating task comes back, and the keys of its occurrences."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import spec

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def occurrences(
    repeat: spec.Repeat, today: date, horizon: int, first: date | None
) -> Iterator[tuple[str, date]]:
    """Yield suffix and day of each occurrence, in order: `@2026-W49`, 2026-11-30.

    The period that holds `today` counts in full, so that what is due this week does not go
    away in the middle of it. `horizon` is in days, and nothing comes before `first`.
    """
    last = today + timedelta(days=horizon)
    if until := repeat.get("until"):
        last = min(last, date.fromisoformat(until))
    for suffix, day in _days(repeat, today, last):
        if day <= last and (first is None or day >= first):
            yield suffix, day


def _days(repeat: spec.Repeat, today: date, last: date) -> Iterator[tuple[str, date]]:
    """Yield the days from the beginning of the present period until some day after `last`."""
    if repeat["every"] == "day":
        for offset in range((last - today).days + 1):
            day = today + timedelta(days=offset)
            yield f"@{day}", day
    elif repeat["every"] == "week":
        names = repeat.get("days") or ["mon"]
        monday = today - timedelta(days=today.weekday())
        while monday <= last:
            year, week, _ = monday.isocalendar()
            for name in sorted(names, key=WEEKDAYS.index):
                suffix = "" if name == names[0] else f"-{name}"
                yield f"@{year}-W{week:02d}{suffix}", monday + timedelta(WEEKDAYS.index(name))
            monday += timedelta(days=7)
    else:
        year, month = today.year, today.month
        while date(year, month, 1) <= last:
            day = min(repeat.get("day", 1), monthrange(year, month)[1])
            yield f"@{year}-{month:02d}", date(year, month, day)
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)

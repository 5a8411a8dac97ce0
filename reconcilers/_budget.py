"""Rate budgets: never ask a platform faster than it allows, and learn from what it answers.

A budget is a sliding window over the documented limit, corrected by the platform's own headers.
A sliding window is safe whatever the platform uses (fixed windows, sliding ones, leaky buckets),
at the price of a pause after each full burst.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol, cast

from reconcilers._contract import Limits


class Clock(Protocol):
    """The time, so that tests can run an hour in a second."""

    def time(self) -> float:
        """Return seconds since 1970."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        import asyncio

        await asyncio.sleep(seconds)


class Window:
    """At most `limit` units in any `seconds` long stretch of time, as the platform counts it.

    The platform counts a request when it arrives, which is after it was sent and before it is
    answered. So a request stays in the window until `seconds` after its answer.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._spent: deque[tuple[float, int]] = deque()
        self._under_way: deque[int] = deque()
        self._total = 0

    def wait(self, now: float, units: int = 1) -> float:
        """Return how many seconds to wait until `units` more fit; 0 when they fit now."""
        self._forget(now)
        if self._total + units <= self.limit or not self._total:
            return 0.0
        excess = self._total + units - self.limit
        until = now
        for stamp, spent in self._spent:
            excess -= spent
            until = stamp
            if excess <= 0:
                break
        # What is still under way leaves the window no sooner than if it were answered now.
        return max(0.0, (now if excess > 0 and self._under_way else until) + self.seconds - now)

    def spend(self, units: int = 1) -> None:
        """Count `units` as under way."""
        self._under_way.append(units)
        self._total += units

    def settle(self, now: float) -> None:
        """Count what went under way first as answered at `now`."""
        self._spent.append((now, self._under_way.popleft()))

    def dump(self, now: float) -> list[tuple[int, int]]:
        """Return what is still in the window, second by second, for the next run."""
        self._forget(now)
        seconds: dict[int, int] = {}
        for stamp, spent in (*self._spent, *((now, units) for units in self._under_way)):
            key = int(stamp) + 1
            seconds[key] = seconds.get(key, 0) + spent
        return sorted(seconds.items())

    def load(self, rows: list[tuple[int, int]]) -> None:
        """Take over what an earlier run had spent."""
        for stamp, spent in rows:
            self._spent.append((float(stamp), spent))
            self._total += spent

    def _forget(self, now: float) -> None:
        while self._spent and self._spent[0][0] + self.seconds <= now:
            self._total -= self._spent.popleft()[1]


class Budget:
    """The rate budget of one platform, shared by all work of a run.

    Attributes:
        waited: seconds spent waiting for the limits.
        clock_ahead: seconds that the platform's clock is ahead of ours.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        # Planning knows budgets by name only, and has no use for asyncio's start-up time.
        import asyncio

        self.limits = limits
        self.clock = clock
        self.waited = 0.0
        self.clock_ahead = 0.0
        self._requests = Window(limits.requests, limits.per_seconds)
        self._points = Window(limits.points, limits.per_seconds) if limits.points else None
        self._granted: tuple[int, float] | None = None
        self._blocked_until = 0.0
        self._in_flight = 0
        self._places = asyncio.Semaphore(limits.concurrency)
        self._turn = asyncio.Lock()

    async def acquire(self, points: int = 0) -> None:
        """Return when one more request may be sent; give the place back with `release`."""
        await self._places.acquire()
        try:
            async with self._turn:
                while (pause := self._pause(points)) > 0:
                    self.waited += pause
                    await self.clock.sleep(pause)
                self._requests.spend()
                if self._points:
                    self._points.spend(points)
                if self._granted:
                    self._granted = (self._granted[0] - 1, self._granted[1])
                self._in_flight += 1
        except BaseException:
            self._places.release()
            raise

    def release(self) -> None:
        """Give back the place of a request that was answered, or lost."""
        now = self.clock.time()
        self._requests.settle(now)
        if self._points:
            self._points.settle(now)
        self._in_flight -= 1
        self._places.release()

    def learn(self, *, remaining: int, reset_at: float) -> None:
        """Take the platform's word: `remaining` requests until `reset_at` (by its own clock).

        Said of an answered request; those still under way may not be counted in it yet. Answers
        can arrive out of order, so within one window the lowest word counts.
        """
        reset_at -= self.clock_ahead
        left = remaining - self._in_flight
        if self._granted and abs(self._granted[1] - reset_at) < 1.0:
            left = min(left, self._granted[0])
        self._granted = (left, reset_at)

    def block(self, seconds: float) -> None:
        """Send nothing for `seconds`: the platform said so."""
        self._blocked_until = max(self._blocked_until, self.clock.time() + seconds)

    def dump(self) -> dict[str, object]:
        """Return a JSON-like value from which the next run goes on."""
        now = self.clock.time()
        kept: dict[str, object] = {"requests": self._requests.dump(now)}
        if self._points:
            kept["points"] = self._points.dump(now)
        if self._blocked_until > now:
            kept["blocked_until"] = self._blocked_until
        if self._granted and self._granted[1] > now:
            kept["granted"] = list(self._granted)
        return kept

    def load(self, kept: dict[str, object]) -> None:
        """Go on from what `dump` returned in an earlier run."""
        self._requests.load(cast("list[tuple[int, int]]", kept.get("requests", [])))
        if self._points:
            self._points.load(cast("list[tuple[int, int]]", kept.get("points", [])))
        self._blocked_until = cast("float", kept.get("blocked_until", 0.0))
        granted = cast("list[float] | None", kept.get("granted"))
        self._granted = (int(granted[0]), granted[1]) if granted else None

    def _pause(self, points: int) -> float:
        now = self.clock.time()
        pause = max(self._blocked_until - now, self._requests.wait(now))
        if self._points:
            pause = max(pause, self._points.wait(now, points))
        if self._granted and self._granted[1] <= now:
            self._granted = None
        if self._granted and self._granted[0] <= 0:
            pause = max(pause, self._granted[1] - now)
        return pause

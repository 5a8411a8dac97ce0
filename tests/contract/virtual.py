"""A clock that runs an hour in a second: it jumps ahead whenever everybody waits for it."""

from __future__ import annotations

import asyncio
import heapq
import itertools

import pytest

from reconcilers._budget import Budget

START = 1_795_000_000.0
SPINS = 50
"""Turns of the event loop without a sign of life, after which nobody can go on by himself."""


class VirtualClock:
    """Time for budgets and pauses; requests themselves are real and take none of it.

    Args:
        monkeypatch: to count the requests under way, during which time stands still.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = START
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._numbers = itertools.count()
        self._under_way = 0
        self._signs = 0
        self._pump: asyncio.Task[None] | None = None
        acquire, release = Budget.acquire, Budget.release

        async def counted_acquire(budget: Budget, points: int = 0) -> None:
            await acquire(budget, points)
            self._under_way += 1

        def counted_release(budget: Budget) -> None:
            release(budget)
            self._under_way -= 1
            self._signs += 1

        monkeypatch.setattr(Budget, "acquire", counted_acquire)
        monkeypatch.setattr(Budget, "release", counted_release)

    def time(self) -> float:
        """Return seconds since 1970."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Return once the clock has come to `seconds` from now."""
        event = asyncio.Event()
        entry = (self.now + seconds, next(self._numbers), event)
        heapq.heappush(self._sleepers, entry)
        self._signs += 1
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
        try:
            await event.wait()
        finally:
            if entry in self._sleepers:
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)

    async def _run(self) -> None:
        while self._sleepers:
            await self._quiet()
            if not self._sleepers:
                return
            until, _, event = heapq.heappop(self._sleepers)
            self.now = max(self.now, until)
            event.set()

    async def _quiet(self) -> None:
        """Return when no request is under way and nobody has shown a sign of life for a while."""
        spins, signs = 0, self._signs
        while spins < SPINS:
            # Requests are answered by another thread, which needs the time that a nap gives it.
            await asyncio.sleep(0.001 if self._under_way else 0)
            if self._under_way or signs != self._signs:
                spins, signs = 0, self._signs
            else:
                spins += 1

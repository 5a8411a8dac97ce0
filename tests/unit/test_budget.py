"""Rate budgets on a virtual clock: what a platform would see of the requests they let through."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import random
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from reconcilers._budget import Budget
from reconcilers._contract import Limits


class Virtual:
    """A clock that jumps to the next sleeper as soon as nobody else can go on."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._numbers), event))
        await event.wait()

    async def run(self, *work: Coroutine[Any, Any, None]) -> None:
        """Run `work` to its end."""
        tasks = [asyncio.ensure_future(item) for item in work]
        while not all(task.done() for task in tasks):
            for _ in range(5):
                await asyncio.sleep(0)
            if self._sleepers and not all(task.done() for task in tasks):
                until, _, event = heapq.heappop(self._sleepers)
                self.now = max(self.now, until)
                event.set()
        for task in tasks:
            task.result()


class Platform:
    """Counts the requests that arrive, each after a delay, and answers after another."""

    def __init__(self, clock: Virtual, budget: Budget, delays: random.Random | None = None) -> None:
        self.clock = clock
        self.budget = budget
        self.arrived: list[float] = []
        self.points: list[tuple[float, int]] = []
        self.most_at_once = 0
        self._delays = delays
        self._at_once = 0

    async def request(self, points: int = 0) -> None:
        await self.budget.acquire(points)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await self._delay()
        self.arrived.append(self.clock.time())
        self.points.append((self.clock.time(), points))
        await self._delay()
        self._at_once -= 1
        self.budget.release()

    async def _delay(self) -> None:
        if self._delays:
            await self.clock.sleep(self._delays.random() * 2.0)

    def busiest(self, seconds: float) -> int:
        """Return how many requests arrived in the busiest window."""
        return max(
            sum(1 for other in self.arrived if start <= other < start + seconds)
            for start in self.arrived
        )


def play(
    limits: Limits, count: int, *, points: int = 0, delays: random.Random | None = None
) -> tuple[Platform, float]:
    """Send `count` requests at once; return what the platform saw, and how long it took."""
    clock = Virtual()
    platform = Platform(clock, Budget(limits, clock), delays)
    began = clock.now
    asyncio.run(clock.run(*(platform.request(points) for _ in range(count))))
    return platform, clock.now - began


def test_a_full_window_goes_at_once_and_then_waits_for_it_to_pass() -> None:
    platform, took = play(Limits(12, 60.0), 37)
    assert [arrived - platform.arrived[0] for arrived in platform.arrived[::12]] == [
        0,
        60,
        120,
        180,
    ]
    assert took == 180.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "limits", [Limits(12, 60.0), Limits(10, 5.0, concurrency=8), Limits(3, 1.0, concurrency=8)]
)
def test_no_window_ever_sees_more_than_the_limit_however_late_requests_arrive(
    limits: Limits, seed: int
) -> None:
    platform, _ = play(limits, 60, delays=random.Random(seed))
    assert platform.busiest(limits.per_seconds) <= limits.requests
    assert len(platform.arrived) == 60


def test_points_are_a_limit_of_their_own() -> None:
    platform, took = play(Limits(1000, 60.0, concurrency=4, points=100), 25, points=20)
    assert took == 240.0
    for start, _ in platform.points:
        within = [spent for at, spent in platform.points if start <= at < start + 60.0]
        assert sum(within) <= 100


def test_a_request_dearer_than_the_whole_limit_goes_alone() -> None:
    platform, took = play(Limits(10, 60.0, points=100), 2, points=150)
    assert len(platform.arrived) == 2
    assert took == 60.0


def test_no_more_requests_at_once_than_there_are_places() -> None:
    platform, _ = play(Limits(1000, 60.0, concurrency=4), 40, delays=random.Random(1))
    assert platform.most_at_once == 4


def test_a_place_is_given_back_when_the_wait_for_it_is_cancelled() -> None:
    clock = Virtual()
    budget = Budget(Limits(1, 60.0), clock)
    platform = Platform(clock, budget)

    async def work() -> None:
        await platform.request()
        waiting = asyncio.create_task(platform.request())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await platform.request()

    asyncio.run(clock.run(work()))
    assert len(platform.arrived) == 2


def test_the_platforms_word_is_respected() -> None:
    clock = Virtual()
    budget = Budget(Limits(100, 60.0), clock)
    platform = Platform(clock, budget)
    began = clock.now
    budget.learn(remaining=2, reset_at=began + 30.0)
    asyncio.run(clock.run(*(platform.request() for _ in range(4))))
    assert [at - began for at in platform.arrived] == [0.0, 0.0, 30.0, 30.0]


def test_requests_under_way_may_not_be_counted_in_the_platforms_word() -> None:
    clock = Virtual()
    budget = Budget(Limits(100, 60.0, concurrency=4), clock)
    reset = clock.now + 30.0
    later: list[float] = []

    async def work() -> None:
        for _ in range(3):
            await budget.acquire()
        budget.release()
        # Answers that overtook each other: the second word is the older one.
        budget.learn(remaining=3, reset_at=reset)
        budget.release()
        budget.learn(remaining=4, reset_at=reset)
        budget.release()
        await budget.acquire()
        budget.release()
        await budget.acquire()
        later.append(clock.time())
        budget.release()

    asyncio.run(clock.run(work()))
    assert later == [reset]


def test_the_word_on_a_new_window_replaces_that_on_the_old_one() -> None:
    clock = Virtual()
    budget = Budget(Limits(100, 60.0), clock)
    platform = Platform(clock, budget)
    budget.learn(remaining=0, reset_at=clock.now + 30.0)
    budget.learn(remaining=50, reset_at=clock.now + 90.0)
    began = clock.now
    asyncio.run(clock.run(platform.request()))
    assert platform.arrived == [began]


def test_a_block_holds_everything_back_and_the_longest_counts() -> None:
    clock = Virtual()
    budget = Budget(Limits(100, 60.0, concurrency=4), clock)
    platform = Platform(clock, budget)
    began = clock.now
    budget.block(45.0)
    budget.block(5.0)
    asyncio.run(clock.run(*(platform.request() for _ in range(3))))
    assert [at - began for at in platform.arrived] == [45.0] * 3
    assert budget.waited == 45.0


def through_json(budget: Budget) -> dict[str, object]:
    return cast("dict[str, object]", json.loads(json.dumps(budget.dump())))


@pytest.mark.parametrize("pause", [0.0, 0.4, 20.0, 59.0, 61.0])
def test_the_next_run_goes_on_where_the_last_one_stopped(pause: float) -> None:
    clock = Virtual(1_790_000_000.25)
    limits = Limits(12, 60.0, points=50)
    first = Platform(clock, Budget(limits, clock), random.Random(2))
    asyncio.run(clock.run(*(first.request(3) for _ in range(10))))
    kept = through_json(first.budget)

    clock.now += pause
    second = Platform(clock, Budget(limits, clock), random.Random(3))
    second.budget.load(kept)
    asyncio.run(clock.run(*(second.request(3) for _ in range(10))))
    second.arrived[:0] = first.arrived
    assert second.busiest(60.0) <= 12


def test_a_block_and_the_platforms_word_outlast_the_run() -> None:
    clock = Virtual()
    budget = Budget(Limits(100, 60.0), clock)
    budget.block(40.0)
    budget.learn(remaining=1, reset_at=clock.now + 90.0)
    again = Budget(Limits(100, 60.0), clock)
    again.load(through_json(budget))
    began = clock.now
    platform = Platform(clock, again)
    asyncio.run(clock.run(*(platform.request() for _ in range(2))))
    assert [at - began for at in platform.arrived] == [40.0, 90.0]


def test_nothing_is_kept_of_what_has_passed() -> None:
    clock = Virtual()
    budget = Budget(Limits(100, 60.0), clock)
    budget.block(5.0)
    budget.learn(remaining=1, reset_at=clock.now + 5.0)
    asyncio.run(clock.run(Platform(clock, budget).request()))
    clock.now += 100.0
    assert through_json(budget) == {"requests": []}

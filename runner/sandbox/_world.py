"""What the four stand-ins share: time, ids, seeds, rate limits, faults and recorded traffic."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

FaultKind = Literal[
    "drop-before",  # the connection breaks before the request is carried out
    "drop-after",  # it is carried out, and the answer is lost
    "error-before",  # 500, nothing was done
    "error-after",  # 502 after it was done
    "rate-limit",  # 429 in the platform's own manner
    "slow",  # the answer takes `seconds`
    "truncated",  # the answer breaks off in the middle
    "malformed",  # the answer is not what the platform promises
]


@dataclass(slots=True)
class Fault:
    """Something that goes wrong, `times` times, after `skip` matching requests went well.

    Attributes:
        platform: where; an empty string means on every platform.
        method: which HTTP method, or an empty string for all.
        path: a part of the path that must match, or an empty string.
        writes: strike only requests that change something, as the platform itself judges.
    """

    kind: FaultKind
    platform: str = ""
    method: str = ""
    path: str = ""
    writes: bool = False
    times: int = 1
    skip: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request with its answer; `at` is when it was carried out, by the machine."""

    platform: str
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    status: int
    response: bytes
    fault: str = ""
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Seed:
    """Who and what exists on the platforms before trueup makes anything.

    Attributes:
        people: (name, e-mail, GitLab user name); the first is the owner of every token.
        teams: Linear team keys.
        projects: GitLab project paths.
        pages: titles of Notion pages that the connection can see.
        workspaces: Motion workspace names.
        labels: labels of every Motion workspace, where no API call can make one.
        timezone: the account's default time zone on Motion.
    """

    people: tuple[tuple[str, str, str], ...] = (("Me", "me@example.com", "jwp763"),)
    teams: tuple[str, ...] = ("MOB",)
    projects: tuple[str, ...] = ("jwp763/mobile-app",)
    pages: tuple[str, ...] = ("Work",)
    workspaces: tuple[str, ...] = ("Personal",)
    labels: tuple[str, ...] = ()
    timezone: str = "America/Los_Angeles"


TOKENS = {
    "linear": "lin_api_sandbox",
    "notion": "ntn_sandbox",
    "gitlab": "glpat-sandbox",
    "motion": "motion-sandbox",
}
"""The only tokens that the sandbox accepts."""


@dataclass(slots=True)
class World:
    """The shared surroundings of the four stand-ins.

    Attributes:
        limits: whether the documented rate limits are enforced.
        clock: seconds since 1970; tests put a clock of their own here.
        latency: seconds that every answer takes longer, as if it came from far away.
        search_lag: seconds until a new object shows up in searches and lists, by platform.
        clock_skew: seconds that a platform's own clock is ahead, by platform.
        faults: what is to go wrong.
        traffic: every request that came in, with its answer; at most the last 100,000.
    """

    seed: Seed = field(default_factory=Seed)
    limits: bool = True
    clock: Callable[[], float] = time.time
    latency: float = 0.0
    search_lag: dict[str, float] = field(default_factory=dict[str, float])
    clock_skew: dict[str, float] = field(default_factory=dict[str, float])
    faults: list[Fault] = field(default_factory=list[Fault])
    traffic: deque[Exchange] = field(default_factory=lambda: deque[Exchange](maxlen=100_000))
    _made: dict[str, int] = field(default_factory=dict[str, int])

    def now(self, platform: str) -> datetime:
        """Return the platform's own idea of the time, in UTC."""
        return datetime.fromtimestamp(self.clock() + self.clock_skew.get(platform, 0.0), UTC)

    def instant(self, platform: str) -> str:
        """Return `now` as the platforms write it: `2026-11-24T10:00:00.000Z`."""
        return self.now(platform).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def number(self, name: str) -> int:
        """Return 1, 2, 3, ... for each name."""
        self._made[name] = self._made.get(name, 0) + 1
        return self._made[name]

    def new_id(self, platform: str, kind: str) -> str:
        """Return a fresh UUID; the same sequence in every world, so that runs can be compared."""
        name = f"{platform}/{kind}/{self.number(f'{platform}/{kind}')}"
        return str(uuid.UUID(bytes=hashlib.blake2b(name.encode(), digest_size=16).digest()))

    def visible(self, platform: str, created_at: float) -> bool:
        """Return whether an object made at `created_at` shows up in searches by now."""
        return self.clock() >= created_at + self.search_lag.get(platform, 0.0)

    def strike(self, platform: str, method: str, path: str, *, writes: bool) -> Fault | None:
        """Return the fault that hits this request, and count it."""
        for fault in self.faults:
            if fault.times <= 0 or fault.platform not in ("", platform):
                continue
            if fault.method not in ("", method) or fault.path not in path:
                continue
            if fault.writes and not writes:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1
            return fault
        return None


class Gate:
    """A documented rate limit: at most `limit` requests in any `seconds`."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._spent: deque[float] = deque()

    def admit(self, now: float) -> float:
        """Count a request; return 0 when it may pass, else the seconds until it may."""
        while self._spent and self._spent[0] + self.seconds <= now:
            self._spent.popleft()
        if len(self._spent) >= self.limit:
            return self._spent[0] + self.seconds - now
        self._spent.append(now)
        return 0.0

    def remaining(self) -> int:
        """Return how many more requests would pass now."""
        return self.limit - len(self._spent)

    def reset_at(self, now: float) -> float:
        """Return when the oldest request leaves the window, in seconds since 1970."""
        return (self._spent[0] if self._spent else now) + self.seconds

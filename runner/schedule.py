"""What waits for what in an apply, over all platforms; and whether to go on at all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.domain import KNOWN_AFTER_APPLY, Change, Outcome


class Stop:
    """Tells the lanes to begin nothing more, and why.

    Args:
        ours: whether this run still holds the lease; asked before each operation, since a
            machine that slept may have lost it without noticing.
    """

    def __init__(self, ours: Callable[[], bool] = lambda: True) -> None:
        self.pulled = asyncio.Event()
        self._ours = ours
        self._why = ""

    @property
    def why(self) -> str:
        """The reason, or '' while all is well."""
        if not self._why and not self._ours():
            self.pull("the lease was lost")
        return self._why

    def pull(self, why: str) -> None:
        """Stop; the first reason counts."""
        self._why = self._why or why
        self.pulled.set()


@dataclass(slots=True)
class _Waiting:
    change: Change
    blockers: int = 0
    dependents: list[str] = field(default_factory=list[str])
    links: list[str] = field(default_factory=list[str])


class Schedule:
    """The changes of a plan, each handed out once, when all that it needs is settled.

    A change also waits for the creates whose URLs it shows, on whatever platform they are; but
    not for ever, since a slow platform must not hold up a fast one.

    Args:
        changes: of all platforms.
        linkable: the platforms whose URLs are shown on others.

    Attributes:
        outcomes: what has become of changes so far, by their id.
        wake: by platform, set when something has become ready or settled there.
    """

    def __init__(self, changes: Sequence[Change], linkable: Collection[str]) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.wake = {change.platform: asyncio.Event() for change in changes}
        self._ready: Mapping[str, deque[Change]] = {name: deque() for name in self.wake}
        self._waiting = {change.id: _Waiting(change) for change in changes}
        for waiting in self._waiting.values():
            self._connect(waiting, linkable)
        for waiting in self._waiting.values():
            if not waiting.blockers:
                self._ready[waiting.change.platform].append(waiting.change)

    def peek(self, platform: str) -> Change | None:
        """Return the next change that is ready on a platform, and leave it there."""
        ready = self._ready[platform]
        return ready[0] if ready else None

    def take(self, platform: str) -> Change:
        """Hand out the next change that is ready on a platform."""
        return self._ready[platform].popleft()

    def assume(self, change: Change) -> None:
        """Let those wait no longer that need `change` on its own platform.

        For platforms where the order of requests is enough, since the ids are known beforehand.
        """
        waiting = self._waiting[change.id]
        here = f"{change.platform}:"
        freed = [name for name in waiting.dependents if name.startswith(here)]
        waiting.dependents = [name for name in waiting.dependents if not name.startswith(here)]
        self._release(freed)

    def settle(self, change: Change, outcome: Outcome) -> None:
        """Record an outcome, and wake whoever waited for it."""
        self.outcomes[change.id] = outcome
        freed, self._waiting[change.id].dependents = self._waiting[change.id].dependents, []
        self._release(freed)
        self.wake[change.platform].set()

    def blocked_by(self, change: Change) -> str:
        """Return the address that `change` needs and that could not be made, or ''."""
        for address in change.after:
            outcome = self.outcomes.get(f"{change.platform}:{address}")
            if outcome is not None and outcome.status != "applied":
                return address
        return ""

    def lacks_links(self, change: Change) -> bool:
        """Return whether a URL that `change` shows is not known, so that it must follow later."""
        outcomes = [self.outcomes.get(name) for name in self._waiting[change.id].links]
        return any(outcome is None or outcome.status != "applied" for outcome in outcomes)

    def stop_waiting_for_links(self, platform: str) -> None:
        """Make ready what waits for URLs only."""
        for name, waiting in self._waiting.items():
            if waiting.change.platform != platform or not waiting.links:
                continue
            open_ = [link for link in waiting.links if name in self._waiting[link].dependents]
            if waiting.blockers and waiting.blockers == len(open_):
                for link in open_:
                    self._waiting[link].dependents.remove(name)
                    self._release([name])

    def _connect(self, waiting: _Waiting, linkable: Collection[str]) -> None:
        change = waiting.change
        needed = {f"{change.platform}:{address}" for address in change.after}
        if any(item.after == KNOWN_AFTER_APPLY for item in change.fields):
            waiting.links = list(self._creates(change, linkable))
        for name in [*sorted(needed), *waiting.links]:
            if other := self._waiting.get(name):
                other.dependents.append(change.id)
                waiting.blockers += 1

    def _creates(self, change: Change, linkable: Collection[str]) -> Iterator[str]:
        """Yield the creates of the same resource on the platforms whose URLs are shown."""
        for platform in self._ready:
            other = self._waiting.get(f"{platform}:{change.address}")
            if platform == change.platform or platform not in linkable or not other:
                continue
            shows = any(item.after == KNOWN_AFTER_APPLY for item in other.change.fields)
            if other.change.action == "create" and not shows:
                yield other.change.id

    def _release(self, names: Sequence[str]) -> None:
        for name in names:
            waiting = self._waiting[name]
            waiting.blockers -= 1
            if not waiting.blockers:
                self._ready[waiting.change.platform].append(waiting.change)
                self.wake[waiting.change.platform].set()

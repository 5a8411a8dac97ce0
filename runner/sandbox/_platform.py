"""What a stand-in offers to the server, and the few parts that all four share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from runner.sandbox._world import World


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the server hands it to a stand-in.

    Attributes:
        path: below the platform's prefix, decoded segment by segment only by the stand-in
            itself: `a%2Fb` arrives as it was sent.
        query: pairs in order, decoded.
        headers: names in lower case.
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    def parameter(self, name: str) -> str | None:
        """Return the last value of a query parameter, or `None`."""
        values = [value for key, value in self.query if key == name]
        return values[-1] if values else None


@dataclass(frozen=True, slots=True)
class Reply:
    """A stand-in's answer; `data` is sent as JSON, `None` as an empty body."""

    status: int = 200
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict[str, str])


class StandIn(Protocol):
    """One platform: its objects in memory and its API as a function from call to reply."""

    platform: ClassVar[str]

    def __init__(self, world: World) -> None:
        """Make the objects of the world's seed."""
        ...

    def writes(self, call: Call) -> bool:
        """Return whether the call would change something (for faults that strike writes only)."""
        ...

    def handle(self, call: Call) -> Reply:
        """Carry the call out; never raises, bad requests get the platform's own error."""
        ...

    def rate_limited(self, seconds: float) -> Reply:
        """Return the platform's own way to say "too many requests"."""
        ...

    def objects(self) -> list[dict[str, Any]]:
        """Return every object as a plain value, for tests to compare and for people to look at.

        Each has `kind`, `id`, `title`, `marker` (or an empty string) and `archived` besides the
        platform's own properties; foreign and seeded objects are included.
        """
        ...

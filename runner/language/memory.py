"""What a process that reads the specs again and again need not work out twice.

Everything is kept by the content of the documents that it follows from, so there is nothing to
invalidate: what is not asked for any more is dropped when the next reading is over.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Memory:
    """Values by what they follow from, for as long as each reading asks for them."""

    _kept: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any])
    _used: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any])

    def get(self, key: Hashable) -> Any:
        """Return what was kept under `key`, or `None`."""
        found = self._kept.get(key)
        if found is not None:
            self._used[key] = found
        return found

    def put(self, key: Hashable, value: object) -> None:
        """Keep `value` under `key`."""
        self._kept[key] = self._used[key] = value

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept under `key`; it is made where there is nothing yet."""
        found: T | None = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found

    def end_of_reading(self) -> None:
        """Drop what was not asked for since the last call."""
        self._kept, self._used = self._used, {}

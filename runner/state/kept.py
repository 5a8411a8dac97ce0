"""A state read again and again: what is bound stays in memory for as long as nobody writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from runner.state.contract import IntegrationRow, Key, ResourceRow, StateDiff, StateReader

if TYPE_CHECKING:
    from schemas.domain import Binding

_COLUMNS = ("address", "platform", "desired_hash", "pending", "drift")


class KeptReader:
    """What planning reads of a state, without asking for all of it each time.

    Attributes:
        reader: the state as it was when it was last looked at.
    """

    def __init__(self, reader: StateReader) -> None:
        self.reader = reader
        self._version = reader.version()
        self._held = _fingerprints(reader)

    def follow(self, reader: StateReader) -> None:
        """Go over to another reader of the same state, opened since."""
        version = reader.version()
        if version != self._version:
            self._held = _fingerprints(reader)
        self._version = version
        self.reader = reader

    def identity(self) -> str | None:
        """Return the state's UUID, or `None` where there is no state yet."""
        return self.reader.identity()

    def version(self) -> str:
        """Return what changes whenever bindings, projects or tasks do."""
        return self._version

    def diff(self, rows: Iterable[tuple[str, str, str]]) -> StateDiff:
        """Compare what is wanted with what is bound; see `StateReader.diff`."""
        left = self._held.copy()
        missing: list[Key] = []
        changed: set[Key] = set()
        for address, platform, fingerprint in rows:
            key = (address, platform)
            if key not in left:
                missing.append(key)
            elif left.pop(key) != fingerprint:
                changed.add(key)
        odd = changed | left.keys()
        found = self.reader.bindings({address for address, _ in odd}) if odd else []
        return StateDiff(
            missing=tuple(missing),
            changed=tuple(b for b in found if (b.address, b.platform) in changed),
            gone=tuple(b for b in found if (b.address, b.platform) in left),
            bound=len(self._held),
        )

    def bindings(
        self, addresses: Iterable[str] | None = None, platform: str | None = None
    ) -> list[Binding]:
        """Return the bindings, of some addresses or of one platform only."""
        return self.reader.bindings(addresses, platform)

    def resources(self, addresses: Iterable[str] | None = None) -> list[ResourceRow]:
        """Return resources as last applied."""
        return self.reader.resources(addresses)

    def integrations(self) -> list[IntegrationRow]:
        """Return what is known of each platform."""
        return self.reader.integrations()


def _fingerprints(reader: StateReader) -> dict[Key, str | None]:
    """Return the fingerprint of each binding; `None`, which equals none, where more is open."""
    return {
        (cast("str", row["address"]), cast("str", row["platform"])): (
            cast("str", row["desired_hash"])
            if row["pending"] is None and row["drift"] is None
            else None
        )
        for row in reader.read("bindings", _COLUMNS)
    }

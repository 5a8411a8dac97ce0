"""Bindings, logs and states on real Delta tables, for the tests of the state."""

from __future__ import annotations

from pathlib import Path

from runner.state.contract import Commit, LogRow
from runner.state.local import LocalTables
from runner.state.local_writer import LocalWriter
from runner.state.store import Reader, Writer
from schemas.domain import Binding, Pending, kind_of

RUN = Commit("20261124T100000Z-000001", "c0ffee", "apply")
NOW = "2026-11-24T10:00:00Z"
TITLE = {
    "title": "Pick the stack — „größer“ 🙂",
    "labels": ("a", "b"),
    "due": None,
    "estimate": 240,
}


def writer(folder: Path) -> Writer:
    """Open a state for writing; it is created first."""
    engine = LocalWriter(folder / "state")
    engine.ensure()
    return Writer(engine)


def reader(folder: Path) -> Reader:
    """Open a state for reading, as it is now."""
    return Reader(LocalTables(folder / "state"))


def binding(address: str, platform: str = "linear", fingerprint: str = "f1") -> Binding:
    """Return a binding with every field filled."""
    return Binding(
        address=address,
        platform=platform,
        kind=kind_of(address),
        resource_id="c0ffee00-0000-4000-8000-000000000001",
        remote_id=f"{platform}-{address}",
        url=f"https://example.com/{address}",
        base=TITLE,
        desired_hash=fingerprint,
        revision="7",
        updated_at=NOW,
        run_id=RUN.run_id,
    )


def pending(address: str, run_id: str = RUN.run_id) -> Binding:
    """Return a binding whose create was begun."""
    return Binding(
        address, "linear", kind_of(address), "id", pending=Pending("create", run_id, NOW, TITLE)
    )


def log(run_id: str, seq: int, address: str, *, at: str = NOW, moved_from: str = "") -> LogRow:
    """Return an operation that was applied."""
    return LogRow(
        run_id,
        seq,
        address,
        "linear",
        "move" if moved_from else "update",
        "applied",
        moved_from=moved_from,
        fields=(("title", "Before", "After"), ("labels", (), ("a",))),
        warnings=("no account for me",),
        ended_at=at,
        milliseconds=12,
    )

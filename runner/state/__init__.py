"""The state: what was last agreed on, in Delta tables; one file per backend.

`contract` is what callers see, `store` the typed state on any engine, `engine` the small surface
that a backend implements, `local` the backend on delta-rs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.state.check import check_state
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from runner.config import Config
    from runner.state.contract import StateReader, StateWriter
    from schemas.spec import Settings

__all__ = ["check_state", "lock_file", "open_state", "read_state"]


def read_state(settings: Settings, config: Config) -> StateReader:
    """Return the state for reading, as it is now; nothing is created where there is none yet.

    Raises:
        ConfigError: the settings name a backend that is not there.
    """
    from runner.state.local import LocalTables
    from runner.state.store import Reader

    return Reader(LocalTables(*_local(settings, config)))


def open_state(settings: Settings, config: Config) -> StateWriter:
    """Return the state for writing; its tables are created, or brought up to date, first.

    Raises:
        ConfigError: the settings name a backend that is not there.
        StateVersionError: a newer trueup made it.
        StateError: it cannot be created or read.
    """
    from runner.state.local import LocalWriter
    from runner.state.store import Writer

    engine = LocalWriter(*_local(settings, config))
    engine.ensure()
    return Writer(engine)


def lock_file(settings: Settings, config: Config) -> Path:
    """Return the file that an apply keeps locked on its machine for as long as it lives."""
    folder, prefix = _local(settings, config)
    return folder / f"{prefix}lease.lock"


def _local(settings: Settings, config: Config) -> tuple[Path, str]:
    """Return the folder of the tables and what stands before their names."""
    state = settings.get("state", {})
    backend = config.variable("TRUEUP_STATE_BACKEND") or state.get("backend", "local")
    if backend != "local":
        raise ConfigError(
            f"the state backend `{backend}` is not available",
            hint="use `state: {backend: local}` in the Settings spec",
        )
    name = state.get("name", "")
    folder = config.root / state["path"] if "path" in state else config.local / "state"
    return folder, f"{name}_" if name else ""

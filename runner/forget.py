"""Letting go of bindings: trueup no longer tracks the objects, which stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runner.undo import find_run, log_of
from schemas.domain import kind_of
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.workspace import Workspace


def forget(place: Workspace, addresses: Sequence[str], platform: str, run_id: str) -> list[str]:
    """Let go of bindings, and return their names; no platform is asked, nothing changes there.

    A resource that the specs declare is made, or found by its marker, in the next apply.

    Args:
        place: the spec repo.
        addresses: of these resources.
        platform: on this platform only; on all where it is empty.
        run_id: those that this run bound; `addresses` may be empty then.

    Raises:
        ConfigError: nothing is bound so.
        StateLocked: an apply is at work.
    """
    from runner.apply import new_run_id
    from runner.lease import leased
    from runner.state import lock_file
    from runner.state.contract import Commit

    own = new_run_id()
    lock = lock_file(place.loaded.settings, place.config)
    with place.writer() as state, leased(state, own, lock, wait=0):
        bound = state.bindings(addresses or None, platform or None)
        if run_id:
            touched = {
                (r.address, r.platform) for r in log_of(state, find_run(state, run_id).run_id)
            }
            bound = [b for b in bound if (b.address, b.platform) in touched]
        elif not addresses:
            raise ConfigError("it is not said what to forget", hint="name an address, or --run")
        if not bound:
            raise ConfigError("nothing is bound so", hint="see trueup state list")
        keys = [(b.address, b.platform) for b in bound]
        commit = Commit(own, place.desired.commit, "forget")
        state.save_bindings([], commit, removed=keys)
        left = {b.address for b in state.bindings(sorted({address for address, _ in keys}))}
        gone = sorted({address for address, _ in keys} - left)
        state.delete("projects", [(a,) for a in gone if kind_of(a) == "project"], commit)
        state.delete("tasks", [(a,) for a in gone if kind_of(a) != "project"], commit)
    return [f"{platform}:{address}" for address, platform in keys]

"""The commands that change something, composed: lease, recovery, refresh, plan, apply."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runner.apply import Applied, apply_plan, check_fresh, new_run_id, recover, who
from runner.observe import Refreshed, refresh
from runner.plan import check_safe, make_plan
from runner.platforms import profiles_of
from runner.progress import progress_for
from runner.render import read_plan
from schemas.domain import Plan
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.state.contract import StateWriter
    from runner.workspace import Workspace

Result = TypeVar("Result")


def apply_specs(
    place: Workspace,
    *,
    planfile: Path | None,
    refresh: bool,
    max_prune: str,
    wait: int,
    confirm: Callable[[Plan], bool],
) -> Applied:
    """Make the platforms match the specs, or carry out a saved plan.

    Args:
        place: the spec repo.
        planfile: a plan saved by `plan --out`; a fresh one is made where it is `None`.
        refresh: ask the platforms first what people changed there.
        max_prune: how much may be pruned, instead of the policy's own; '' for that.
        wait: seconds to wait for another apply to end.
        confirm: shown the plan; answers whether to go on.

    Raises:
        StateLocked: another apply is at work.
        StalePlan: the specs or the state have moved since the plan was made.
        UnsafePlan: it would prune too much.
    """
    desired = place.desired
    saved = _read(planfile) if planfile else None
    if saved:
        check_fresh(saved, desired, place.reader().version())
    run_id = new_run_id()
    with place.writer() as state, leased(state, run_id, wait=wait):
        recover(state, place.config)
        if refresh:
            _report(asyncio.run(_observe(place, state, run_id)))
        plan = saved or make_plan(desired, state, profiles_of(desired))
        if not confirm(plan):
            return Applied(run_id)
        check_safe(plan, max_prune or None)
        return _run(place, plan, state, run_id)


def refresh_state(place: Workspace) -> None:
    """Ask the platforms what people changed, and record it in the state.

    Raises:
        StateLocked: an apply is at work.
    """
    run_id = new_run_id()
    with place.writer() as state, leased(state, run_id, wait=0):
        _report(asyncio.run(_observe(place, state, run_id)))


async def _observe(place: Workspace, state: StateWriter, run_id: str) -> Refreshed:
    return await refresh(place.desired, state, place.config, run_id)


def _report(found: Refreshed) -> None:
    for platform, error in found.failed.items():
        print(f"warning: {platform} could not be read: {error}", file=sys.stderr)  # noqa: T201


def _read(path: Path) -> Plan:
    try:
        return read_plan(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error

"""The commands that change something, composed: lease, recovery, refresh, plan, apply."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.apply import Applied, apply_plan, check_fresh, new_run_id, recover, who
from runner.config import now
from runner.observe import Refreshed, refresh
from runner.plan import check_safe, make_plan
from runner.platforms import profiles_of
from runner.progress import progress_for
from runner.render import read_plan
from runner.state.contract import Commit, RunRow
from schemas.domain import Plan
from schemas.errors import ConfigError, StateLocked, TrueupError

if TYPE_CHECKING:
    from runner.state.contract import StateWriter
    from runner.workspace import Workspace

TTL = 60.0
"""Seconds after which the lease of an apply that says nothing any more may be taken over."""


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
        return _recorded(place, plan, state, run_id)


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
        _say(f"warning: {platform} could not be read: {error}")


def _read(path: Path) -> Plan:
    try:
        return read_plan(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def _recorded(place: Workspace, plan: Plan, state: StateWriter, run_id: str) -> Applied:
    """Carry the plan out as a run that history can tell of, whatever becomes of it."""
    run = RunRow(
        run_id,
        "apply",
        "running",
        who=who(),
        commit=place.desired.commit,
        spec_digest=plan.spec_digest,
        state_version=plan.state_version,
        started_at=now(),
        cost={"planned": dict(plan.cost.requests)},
    )
    commit = Commit(run_id, place.desired.commit, "run")
    if not plan.changes and not plan.settled:
        return Applied(run_id)
    state.save_run(run, commit)
    state.save_people(place.desired.people.values(), commit, at=run.started_at)
    ended = replace(run, status="failed")
    try:
        applied = _run(place, plan, state, run_id)
        ended = replace(
            run,
            status="done" if applied.complete else "failed",
            counts=dict(applied.counts),
            cost={**run.cost, "sent": dict(applied.requests)},
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        ended = replace(run, status="interrupted")
        raise
    except TrueupError as error:
        ended = replace(run, status="failed", error=str(error))
        raise
    finally:
        state.save_run(replace(ended, ended_at=now()), commit)
    return applied


def _run(place: Workspace, plan: Plan, state: StateWriter, run_id: str) -> Applied:
    """Carry the plan out; the first Ctrl-C ends it orderly, the second at once."""

    async def run() -> Applied:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stop() -> None:
            stopping.set()
            loop.remove_signal_handler(signal.SIGINT)
            _say("finishing what is under way; press Ctrl-C again to stop at once")

        loop.add_signal_handler(signal.SIGINT, stop)
        try:
            return await apply_plan(
                plan,
                place.desired,
                state,
                place.config,
                run_id,
                progress=progress_for(),
                stopping=stopping,
            )
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    return asyncio.run(run())


@contextlib.contextmanager
def leased(state: StateWriter, run_id: str, *, wait: float) -> Generator[None]:
    """Hold the lease of the state for the length of the block.

    A thread renews it, since a user may think long about a plan. When it was taken away, the
    next commit fails: each carries the lease's fencing number.

    Raises:
        StateLocked: another apply holds it, and still did after `wait` seconds.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            state.acquire_lease(run_id, who(), TTL)
            break
        except StateLocked as error:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
            _say(f"{error.message}; waiting")
            time.sleep(min(left, 5.0))
    done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(state, done), name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        state.release_lease()


def _keep(state: StateWriter, done: threading.Event) -> None:
    while not done.wait(TTL / 3):
        try:
            state.renew_lease(TTL)
        except TrueupError as error:
            _say(f"warning: {error}")
            return


def _say(text: str) -> None:
    print(text, file=sys.stderr)

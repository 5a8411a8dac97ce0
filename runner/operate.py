"""The commands that change something, composed: lease, recovery, refresh, plan, apply."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconcilers._budget import Clock, SystemClock
from runner.apply import Applied, apply_plan, check_fresh, new_run_id, recover
from runner.config import now
from runner.lease import Holder, leased, say, who
from runner.observe import Refreshed, refresh
from runner.plan import make_plan
from runner.platforms import profiles_of
from runner.progress import progress_for
from runner.prune import check_safe
from runner.recorder import agreed
from runner.render import read_plan
from runner.schedule import Stop
from runner.state.contract import Commit, Key, RunRow
from schemas.domain import Binding, Drift, Pending, Plan, Value
from schemas.errors import ConfigError, TrueupError

if TYPE_CHECKING:
    from runner.state.contract import StateWriter
    from runner.workspace import Workspace


def apply_specs(
    place: Workspace,
    *,
    planfile: Path | None,
    refresh: bool,
    max_prune: str,
    wait: int,
    confirm: Callable[[Plan], bool],
    clock: Clock | None = None,
) -> Applied:
    """Make the platforms match the specs, or carry out a saved plan.

    Args:
        place: the spec repo.
        planfile: a plan saved by `plan --out`; a fresh one is made where it is `None`.
        refresh: ask the platforms first what people changed there.
        max_prune: how much may be pruned, instead of the policy's own; '' for that.
        wait: seconds to wait for another apply to end.
        confirm: shown the plan; answers whether to go on.
        clock: the time, for all that is waited for between requests.

    Raises:
        StateLocked: another apply is at work.
        StalePlan: the specs or the state have moved since the plan was made.
        UnsafePlan: it would prune too much.
    """
    desired = place.desired
    saved = _read(planfile) if planfile else None
    if saved:
        check_fresh(saved, desired, place.reader().version())
    clock = clock or SystemClock()
    run_id = new_run_id()
    with _opened(place, run_id, wait) as (state, holder):
        recover(state, place.config, desired, run_id, clock)
        seen = asyncio.run(_observe(place, state, run_id, clock)) if refresh else None
        if seen:
            _report(seen)
        plan = saved or make_plan(desired, state, profiles_of(desired))
        if not confirm(plan):
            return Applied(run_id, observed=seen)
        check_safe(plan, max_prune or None)
        applied = _recorded(place, plan, state, run_id, Stop(holder.holds), clock)
        return replace(applied, observed=seen)


def refresh_state(place: Workspace, *, full: bool = False) -> Refreshed:
    """Ask the platforms what people changed, record it in the state, and say what was found.

    Args:
        place: the spec repo.
        full: read all that is bound, not only what changed: finds what was deleted for good.

    Raises:
        StateLocked: an apply is at work.
    """
    run_id = new_run_id()
    with _opened(place, run_id, 0) as (state, _):
        found = asyncio.run(_observe(place, state, run_id, SystemClock(), full=full))
    _report(found)
    return found


def overwrite_drift(place: Workspace, items: Sequence[Drift]) -> None:
    """Have the next apply write what the specs say where people changed it; sends nothing.

    Raises:
        StateLocked: an apply is at work.
    """
    run_id = new_run_id()
    picked: dict[Key, dict[str, Value]] = {}
    for item in items:
        picked.setdefault((item.address, item.platform), {})[item.name] = item.observed
    with _opened(place, run_id, 0) as (state, _):
        found = state.bindings(addresses=sorted({address for address, _ in picked}))
        changed = [
            # What is there now is the base that the specs differ from, and a plan looks at it.
            replace(_reopened(b, fields, run_id), desired_hash="", updated_at=now(), run_id=run_id)
            for b in found
            if (fields := picked.get((b.address, b.platform)))
        ]
        state.save_bindings(changed, Commit(run_id, place.desired.commit, "overwrite"))


def _reopened(binding: Binding, fields: Mapping[str, Value], run_id: str) -> Binding:
    """Return a binding in which what people made of some fields is what git differs from.

    What they deleted is to be looked for by its marker, and made again where it is not found.
    """
    if "archived" not in fields:
        return agreed(binding, fields)
    begun = Pending("create", run_id, now())
    return replace(binding, remote_id="", drift={}, edits={}, pending=begun)


@contextlib.contextmanager
def _opened(place: Workspace, run_id: str, wait: float) -> Generator[tuple[StateWriter, Holder]]:
    from runner.state import lock_file

    lock = lock_file(place.loaded.settings, place.config)
    with place.writer() as state, leased(state, run_id, lock, wait=wait) as holder:
        yield state, holder


async def _observe(
    place: Workspace, state: StateWriter, run_id: str, clock: Clock, *, full: bool = False
) -> Refreshed:
    return await refresh(place.desired, state, place.config, run_id, clock=clock, full=full)


def _report(found: Refreshed) -> None:
    for platform, error in found.failed.items():
        say(f"warning: {platform} could not be read: {error}")
    for name in found.stubborn:
        say(f"warning: {name} is changed back whatever is written; it is left as it is there")


def _read(path: Path) -> Plan:
    try:
        return read_plan(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def _recorded(
    place: Workspace, plan: Plan, state: StateWriter, run_id: str, stop: Stop, clock: Clock
) -> Applied:
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
    with state.batch(wait=True):
        state.save_run(run, commit)
        state.save_people(place.desired.people.values(), commit, at=run.started_at)
    ended = replace(run, status="failed")
    try:
        applied = asyncio.run(_run(place, plan, state, run_id, stop, clock))
        ended = replace(
            run,
            status="done" if applied.complete else "interrupted" if stop.why else "failed",
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
        with state.batch(wait=True):
            state.save_run(replace(ended, ended_at=now()), commit)
    return applied


async def _run(
    place: Workspace, plan: Plan, state: StateWriter, run_id: str, stop: Stop, clock: Clock
) -> Applied:
    """Carry the plan out; the first signal ends it orderly, the second at once."""
    loop = asyncio.get_running_loop()
    # Signals come to the main thread only; in a notebook we are in another one.
    here = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGTERM) if here else ()

    def end() -> None:
        stop.pull("interrupted")
        for number in signals:
            loop.remove_signal_handler(number)
        say("finishing what is under way; press Ctrl-C again to stop at once")

    for number in signals:
        loop.add_signal_handler(number, end)
    try:
        return await apply_plan(
            plan,
            place.desired,
            state,
            place.config,
            run_id,
            progress=progress_for(),
            stop=stop,
            clock=clock,
        )
    finally:
        for number in signals:
            loop.remove_signal_handler(number)

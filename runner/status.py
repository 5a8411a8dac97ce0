"""What `status`, `show`, `history` and `state` tell: read from specs and state, nothing sent.

Each command reads into a frozen value; the value becomes text or JSON.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runner.config import now
from runner.ownership import SCHEDULED
from runner.prune import is_imported
from runner.render import SIGNS, Paint, shown
from schemas.domain import Action, Binding, Kind
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.state.contract import HistoryEntry, LogRow, RunRow, StateReader
    from runner.workspace import Workspace
    from schemas.domain import Desired, Plan
    from schemas.tables import Name


NEXT = 5
"""How many scheduled tasks `status` shows."""


@dataclass(frozen=True, slots=True)
class PlatformStatus:
    """Where we stand with one platform.

    Attributes:
        health: `ok`, `failing`, or `new` before the first contact.
        bound: how many resources are real there.
        pending: creates that were begun and are not known to be done.
        drifted: resources that people changed there, as far as was observed.
        open: changes that the next apply would make, by action.
        last_success: when it last did all that was asked, or an empty string.
    """

    platform: str
    health: str
    bound: int
    pending: int
    drifted: int
    open: Mapping[Action, int]
    last_success: str


@dataclass(frozen=True, slots=True)
class Scheduled:
    """When Motion has put a task into the calendar; instants in UTC."""

    address: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Specs, state and platforms at a glance.

    Attributes:
        declared: how many resources the specs declare, by kind.
        state: the state's UUID, or an empty string before the first apply.
        place: where the state is.
        apply_running: who holds the lease and since when, or an empty string.
        runs: the latest, newest first.
        scheduled: what comes next in Motion's calendar, as last observed.
    """

    commit: str
    declared: Mapping[Kind, int]
    state: str
    place: str
    version: str
    apply_running: str
    summary: Mapping[Action, int]
    platforms: tuple[PlatformStatus, ...]
    runs: tuple[RunRow, ...]
    scheduled: tuple[Scheduled, ...] = ()


def read_status(place: Workspace) -> StatusReport:
    """Return where specs, state and platforms stand; nothing is sent.

    Raises:
        SpecError: the specs have errors.
        StateError: the state cannot be read.
    """
    desired, reader = place.desired, place.reader()
    plan = planned(desired, reader)
    bindings = reader.bindings()
    known = {row.platform: row for row in reader.integrations()}
    platforms = [*desired.integrations, *(p for p in known if p not in desired.integrations)]
    lease = reader.lease()
    return StatusReport(
        commit=desired.commit,
        declared=Counter(resource.kind for resource in desired.resources.values()),
        state=reader.identity() or "",
        place=_below(reader.place, place.config.root),
        version=reader.version(),
        apply_running=f"{lease.who} since {lease.since}" if lease else "",
        summary={action: count for action, count in plan.summary.items() if count},
        platforms=tuple(
            _platform_status(
                name,
                [binding for binding in bindings if binding.platform == name],
                plan,
                health=(known[name].health if name in known else "") or "new",
                last_success=known[name].last_success if name in known else "",
            )
            for name in platforms
        ),
        runs=tuple(reader.runs(5)),
        scheduled=tuple(_scheduled(bindings, now())[:NEXT]),
    )


def _scheduled(bindings: Iterable[Binding], after: str) -> list[Scheduled]:
    """Return what Motion has scheduled and is not over, the earliest first."""
    found = [
        Scheduled(b.address, str(b.base["scheduled_start"]), str(b.base["scheduled_end"]))
        for b in bindings
        if b.platform == "motion" and {*SCHEDULED} <= b.base.keys()
    ]
    return sorted((s for s in found if s.end >= after), key=lambda s: (s.start, s.address))


def planned(desired: Desired, reader: StateReader) -> Plan:
    """Return the plan that an apply would carry out now."""
    from runner.plan import make_plan
    from runner.platforms import profiles_of

    return make_plan(desired, reader, profiles_of(desired))


def _below(path: str, root: Path) -> str:
    """Return a path relative to the repo, where it is in it."""
    below = Path(path).is_relative_to(root)
    return str(Path(path).relative_to(root)) if below else path


def _platform_status(
    name: str, bindings: Sequence[Binding], plan: Plan, *, health: str, last_success: str
) -> PlatformStatus:
    return PlatformStatus(
        platform=name,
        health=health,
        bound=sum(bool(binding.remote_id) for binding in bindings),
        pending=sum(b.pending is not None and not is_imported(b) for b in bindings),
        drifted=sum(bool(binding.drift) for binding in bindings),
        open=Counter(change.action for change in plan.changes if change.platform == name),
        last_success=last_success,
    )


def status_text(report: StatusReport, *, colour: bool = False) -> str:
    """Return the report for a terminal."""
    paint = Paint(colour)
    kinds: tuple[Kind, ...] = ("project", "milestone", "task")
    counts = ", ".join(counted(n, kind) for kind in kinds if (n := report.declared.get(kind)))
    at = f" at {_short_commit(report.commit)}" if report.commit else ""
    lines = [f"specs   {counts or 'no resources'}{at}"]
    if report.state:
        lines.append(f"state   {report.state} in {report.place}")
    else:
        lines.append("state   none yet; the first apply makes it")
    if report.apply_running:
        lines.append(f"apply   {paint('33', f'by {report.apply_running}')}")
    lines.append(f"plan    {_open_text(report.summary, paint)}")
    if report.platforms:
        lines += ["", *_platform_table(report.platforms, paint)]
    if report.scheduled:
        lines += ["", paint("2", "next in Motion's calendar")]
        lines += aligned([(_when(item), item.address) for item in report.scheduled])
    if report.runs:
        lines.append("")
        lines += [_run_line(run, paint) for run in report.runs]
    return "\n".join(lines) + "\n"


def _when(item: Scheduled) -> str:
    """Return `2026-11-25 17:00-18:00 UTC`; the second day as well where it is another."""
    start, end = item.start[:16].replace("T", " "), item.end[:16].replace("T", " ")
    return f"{start}-{end[11:] if end[:10] == start[:10] else end} UTC"


def _open_text(summary: Mapping[Action, int], paint: Paint) -> str:
    if not summary:
        return "nothing to do: the platforms match the specs"
    return ", ".join(f"{count} to {action}" for action, count in summary.items()) + paint(
        "2", "  (trueup plan)"
    )


def _platform_table(platforms: Sequence[PlatformStatus], paint: Paint) -> Iterator[str]:
    rows = [("platform", "health", "bound", "open", "drift", "unknown", "last success")]
    rows += [
        (
            item.platform,
            item.health,
            str(item.bound),
            str(sum(item.open.values())),
            str(item.drifted),
            str(item.pending),
            item.last_success or "never",
        )
        for item in platforms
    ]
    head, *body = aligned(rows, right={2, 3, 4, 5})
    yield paint("2", head)
    for item, line in zip(platforms, body, strict=True):
        yield line if item.health != "failing" else paint("31", line)


def _run_line(run: RunRow, paint: Paint) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in run.counts.items() if count)
    status = run.status if run.status in {"done", "running"} else paint("31", run.status)
    parts = [run.started_at, run.run_id, run.kind, status, counts, run.who]
    return "  ".join(part for part in parts if part)


def history_text(entries: Sequence[HistoryEntry]) -> str:
    """Return what each run did, newest first; what was done to one address alike in one line."""
    if not entries:
        return "nothing has been applied yet\n"
    lines: list[str] = []
    for entry in entries:
        commit = _short_commit(entry.commit)
        head = [entry.at, entry.run_id, f"commit {commit}" if commit else "", entry.who]
        lines.append("  ".join(part for part in head if part))
        lines += [f"  {line}" for line in _log_lines(entry.changes)]
        if not entry.changes:
            lines.append(f"  {', '.join(dict.fromkeys(entry.actions))}")
    return "\n".join(lines) + "\n"


def _log_lines(logs: Sequence[LogRow]) -> Iterator[str]:
    """Yield a line for each operation; the same on several platforms is one."""
    groups: dict[tuple[object, ...], list[LogRow]] = {}
    for log in logs:
        changed = log.fields if log.action == "update" else ()
        groups.setdefault((log.address, log.action, log.status, changed), []).append(log)
    for logs_alike in groups.values():
        first = logs_alike[0]
        sign = SIGNS.get(cast("Action", first.action), "?")
        where = ", ".join(log.platform for log in logs_alike)
        was = f" (was {first.moved_from})" if first.moved_from else ""
        status = "" if first.status == "applied" else f" {first.status}: {first.error}".rstrip(": ")
        yield f"{sign} {first.address}{was}  {where}{status}"
        if first.action == "update":
            for name, before, after in first.fields:
                yield f"    {name}: {shown(name, before)} → {shown(name, after)}"


def bindings_text(bindings: Sequence[Binding]) -> str:
    """Return one line per binding: address, platform, remote id or what it waits for, URL."""
    if not bindings:
        return "nothing is bound\n"
    rows = [
        (
            binding.address,
            binding.platform,
            binding.remote_id or f"({binding.pending.action if binding.pending else 'pending'})",
            binding.url,
        )
        for binding in bindings
    ]
    return "\n".join(aligned(rows)) + "\n"


def rows_of(reader: StateReader, address: str) -> dict[str, object]:
    """Return what the state holds of one resource: its row, its bindings, its operations.

    Raises:
        ConfigError: it holds nothing of it.
    """
    from runner.state.contract import table_of

    tables: tuple[Name, ...] = (table_of(address), "bindings", "sync_logs")
    found: dict[str, object] = {
        table: [_parsed(table, row) for row in reader.read(table, where={"address": [address]})]
        for table in tables
    }
    if not any(found.values()):
        raise ConfigError(
            f"the state holds nothing of {address}", hint="list what is bound: trueup state list"
        )
    return found


def _parsed(table: Name, row: Mapping[str, object]) -> dict[str, object]:
    """Return a stored row with its JSON columns parsed."""
    from schemas.tables import TABLES

    nested = {column.name for column in TABLES[table].columns if column.type == "JSON"}
    return {
        name: json.loads(value) if name in nested and isinstance(value, str) and value else value
        for name, value in row.items()
    }


def to_json(value: object) -> str:
    """Return values, dataclasses among them, as indented JSON with a final line break."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n"


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    return str(value)


def aligned(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Return rows as lines with columns of one width each, without trailing blanks."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    wanted = set(right)
    return [
        "  ".join(
            cell.rjust(width) if i in wanted else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _short_commit(commit: str) -> str:
    sha, _, mark = commit.partition("+")
    return f"{sha[:10]}+{mark}" if mark else sha[:10]


def counted(count: int, noun: str) -> str:
    """Return `1 task`, `2 tasks`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

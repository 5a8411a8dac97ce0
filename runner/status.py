"""What `status`, `show`, `history` and `state` tell: read from specs and state, nothing sent.

Each command reads into a frozen value; the value becomes text or JSON.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from runner.language.check import CONTAINERS
from runner.render import SIGNS, Paint, shown
from schemas.domain import Action, Binding, Kind, Pending, Source, Value, kind_of
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.state.contract import HistoryEntry, LogRow, RunRow, StateReader
    from runner.workspace import Workspace
    from schemas.domain import Desired, Plan, Resource
    from schemas.tables import Name

BY_TRUEUP = ("project", "key", "counterparts")
"""Fields of a binding that trueup derives; they are neither declared nor live."""


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
class StatusReport:
    """Specs, state and platforms at a glance.

    Attributes:
        declared: how many resources the specs declare, by kind.
        state: the state's UUID, or an empty string before the first apply.
        place: where the state is.
        apply_running: who holds the lease and since when, or an empty string.
        runs: the latest, newest first.
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


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field of a resource.

    Attributes:
        owner: `git` for a declared field, `platform` for a live one.
        source: where it is declared, or `None` for a live field.
        only_on: the platform that it is for, where the specs override it there.
    """

    name: str
    value: Value
    owner: Literal["git", "platform"]
    source: Source | None = None
    only_on: str = ""


@dataclass(frozen=True, slots=True)
class DriftView:
    """What people made of a field on a platform, and what was agreed on before."""

    observed: Value
    base: Value


@dataclass(frozen=True, slots=True)
class PlaceView:
    """One resource on one platform.

    Attributes:
        status: `bound`, `pending`, `to be made` or `to be pruned`.
        open: the action that the next apply takes there, or an empty string.
        drift: by field.
    """

    platform: str
    status: str
    remote_id: str = ""
    url: str = ""
    open: str = ""
    drift: Mapping[str, DriftView] = field(default_factory=dict[str, DriftView])
    pending: Pending | None = None
    updated_at: str = ""


@dataclass(frozen=True, slots=True)
class ResourceView:
    """One resource: its fields, and where it is."""

    address: str
    kind: Kind
    declared: bool
    source: Source | None
    fields: tuple[FieldView, ...]
    places: tuple[PlaceView, ...]
    history: tuple[HistoryEntry, ...]


def read_status(place: Workspace) -> StatusReport:
    """Return where specs, state and platforms stand; nothing is sent.

    Raises:
        SpecError: the specs have errors.
        StateError: the state cannot be read.
    """
    desired, reader = place.desired, place.reader()
    plan = _plan(desired, reader)
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
    )


def _plan(desired: Desired, reader: StateReader) -> Plan:
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
        pending=sum(binding.pending is not None for binding in bindings),
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
    if report.runs:
        lines.append("")
        lines += [_run_line(run, paint) for run in report.runs]
    return "\n".join(lines) + "\n"


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
    head, *body = _aligned(rows, right={2, 3, 4, 5})
    yield paint("2", head)
    for item, line in zip(platforms, body, strict=True):
        yield line if item.health != "failing" else paint("31", line)


def _run_line(run: RunRow, paint: Paint) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in run.counts.items() if count)
    status = run.status if run.status in {"done", "running"} else paint("31", run.status)
    parts = [run.started_at, run.run_id, run.kind, status, counts, run.who]
    return "  ".join(part for part in parts if part)


def read_resource(place: Workspace, address: str) -> ResourceView:
    """Return all that is known of the resource at `address`, declared or only bound.

    Raises:
        ConfigError: neither the specs nor the state know it; suggests what is near.
        SpecError: the specs have errors.
    """
    desired, reader = place.desired, place.reader()
    resource = desired.resources.get(address)
    bindings = reader.bindings([address])
    if resource is None and not bindings:
        raise _unknown(address, desired, reader)
    fields = [] if resource is None else list(_declared(place, resource))
    fields += _live(bindings, {item.name for item in fields})
    plan = _plan(desired, reader)
    open_ = {c.platform: c.action for c in plan.changes if c.address == address}
    bound = {binding.platform: binding for binding in bindings}
    platforms = [*bound, *(p for p in open_ if p not in bound)]
    return ResourceView(
        address=address,
        kind=resource.kind if resource else bindings[0].kind,
        declared=resource is not None,
        source=resource.source if resource else None,
        fields=tuple(fields),
        places=tuple(_place(name, bound.get(name), open_.get(name, "")) for name in platforms),
        history=tuple(e for e in reader.history(address, 5) if _about(address, e)),
    )


def _about(address: str, entry: HistoryEntry) -> bool:
    return any(address in {log.address, log.moved_from} for log in entry.changes)


def _unknown(address: str, desired: Desired, reader: StateReader) -> ConfigError:
    from difflib import get_close_matches

    if address in desired.moved:
        return ConfigError(
            f"{address} was moved", hint=f"look at its new address: {desired.moved[address]}"
        )
    known = {*desired.resources, *(binding.address for binding in reader.bindings())}
    near = get_close_matches(address, sorted(known), n=3, cutoff=0.75)
    if not near:
        key = address.rsplit("/", 1)[-1]
        near = sorted(item for item in known if item.rsplit("/", 1)[-1] == key)[:3]
    hint = f"did you mean {' or '.join(near)}?" if near else "list them with: trueup state list"
    return ConfigError(f"there is no resource {address}, neither declared nor bound", hint=hint)


def _declared(place: Workspace, resource: Resource) -> Iterator[FieldView]:
    """Yield the declared fields, each with the line that declares it."""
    sources = _Sources(place, resource)
    for name, value in resource.fields.items():
        if (name, value) != ("parent", None):
            yield FieldView(name, value, "git", sources.of(name))
    for platform, overrides in resource.overrides.items():
        for name, value in overrides.items():
            yield FieldView(name, value, "git", sources.of(name, platform), platform)


class _Sources:
    """Finds the line that declares a field; falls back to the resource's own."""

    def __init__(self, place: Workspace, resource: Resource) -> None:
        self._loaded = place.loaded
        self._resource = resource
        self._document = next(
            (
                document
                for document in self._loaded.projects
                if document.file == resource.source.file
                and document.data["key"] == resource.project
            ),
            None,
        )
        self._path: tuple[str, ...] = ()
        if self._document is not None:
            data = cast("Mapping[str, object]", self._document.data)
            self._path = _path_to(data, resource.address) or ()

    def of(self, name: str, platform: str = "") -> Source:
        """Return where the field is declared, at the resource or among the defaults."""
        written = "name" if name == "title" and self._resource.kind != "task" else name
        if name == "container":
            written = CONTAINERS.get(platform, name)
        inner = (platform,) if platform else ()
        for path in ((*self._path, *inner, written), ("defaults", written)):
            if self._document is not None and _has(self._document.data, path):
                found = self._loaded.problem("note", "", "", self._document, path, key=True)
                return found.source or self._resource.source
        return self._resource.source


def _path_to(data: Mapping[str, object], address: str) -> tuple[str, ...] | None:
    """Return the keys that lead from a project's document to one of its resources."""
    kind, key = kind_of(address), address.rsplit("/", 1)[-1]
    if kind == "project":
        return ()
    if kind == "milestone":
        return ("milestones", key)
    key = key.partition("@")[0]
    pending: list[tuple[tuple[str, ...], object]] = [(("tasks",), data.get("tasks"))]
    while pending:
        path, tasks = pending.pop()
        for name, task in cast("Mapping[str, Mapping[str, object]]", tasks or {}).items():
            if name == key:
                return (*path, name)
            pending.append(((*path, name, "tasks"), task.get("tasks")))
    return None


def _has(data: object, path: Iterable[str]) -> bool:
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return False
        data = cast("dict[str, object]", data)[part]
    return True


def _live(bindings: Sequence[Binding], declared: set[str]) -> Iterator[FieldView]:
    """Yield what the platforms own, as last seen; one line where they agree."""
    seen: set[tuple[str, Value]] = set()
    for binding in bindings:
        for name, value in binding.base.items():
            if name in declared or name in BY_TRUEUP or (name, value) in seen:
                continue
            seen.add((name, value))
            yield FieldView(name, value, "platform", only_on=binding.platform)


def _place(platform: str, binding: Binding | None, action: str) -> PlaceView:
    if binding is None:
        return PlaceView(platform, "to be made", open=action)
    if not binding.remote_id:
        status = "pending"
    elif action in {"archive", "delete"}:
        status = "to be pruned"
    else:
        status = "bound"
    return PlaceView(
        platform=platform,
        status=status,
        remote_id=binding.remote_id,
        url=binding.url,
        open=action,
        drift={n: DriftView(value, binding.base.get(n)) for n, value in binding.drift.items()},
        pending=binding.pending,
        updated_at=binding.updated_at,
    )


def resource_text(view: ResourceView, *, colour: bool = False) -> str:
    """Return the resource for a terminal."""
    paint = Paint(colour)
    at = str(view.source) if view.source else "no longer declared"
    lines = [f"{paint('1', view.address)}  {view.kind}  {paint('2', at)}"]
    rows: list[tuple[str, ...]] = []
    for item in view.fields:
        owner = "git" if item.owner == "git" else "live"
        on = f" on {item.only_on}" if item.only_on else ""
        line = f"line {item.source.line}" if item.source else ""
        rows.append((item.name, owner + on, line, shown(item.name, item.value)))
    if rows:
        lines += ["", *(f"  {line}" for line in _aligned(rows))]
    if view.places:
        lines.append("")
    for place in view.places:
        opened = f"  {SIGNS[cast('Action', place.open)]} {place.open}" if place.open else ""
        lines.append(f"  {place.platform:8}  {place.status}{paint('33', opened)}")
        if place.url or place.remote_id:
            lines.append(f"            {place.url or place.remote_id}")
        for name, drift in place.drift.items():
            there, agreed = shown(name, drift.observed), shown(name, drift.base)
            text = f"{name}: people made it {there} (agreed: {agreed})"
            lines.append(f"            {paint('35', text)}")
        if place.pending:
            text = f"{place.pending.action} begun {place.pending.since}, outcome not known"
            lines.append(f"            {paint('33', text)}")
    if view.history:
        lines += ["", *(f"  {line}" for line in history_text(view.history).splitlines())]
    return "\n".join(lines) + "\n"


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
    return "\n".join(_aligned(rows)) + "\n"


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


def _aligned(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
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

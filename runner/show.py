"""What `show` tells of one resource: every field, who owns it, and what each platform has.

Read from specs and state into a frozen value, which becomes text or JSON. Nothing is sent, but for
what no state keeps: the merge requests about a task, which change without its issue changing, are
asked for when somebody looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from reconcilers._budget import SystemClock
from reconcilers._contract import Code, Codes
from runner.language.check import CONTAINERS
from runner.live import Identities, agreements, present
from runner.ownership import CODE, ownership
from runner.platforms import platforms_of, session
from runner.render import SIGNS, Paint, shown
from runner.status import history_text, planned
from schemas.domain import Action, Binding, Edit, Kind, Owner, Pending, Source, Value, kind_of
from schemas.errors import ConfigError, PlatformError

if TYPE_CHECKING:
    from runner.state.contract import HistoryEntry, StateReader
    from runner.workspace import Workspace
    from schemas.domain import Desired, Resource


PATIENCE = 10.0
"""For how many seconds a platform is waited for."""


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field of a resource.

    Attributes:
        value: what the specs declare; for a live field, what the platforms agree on.
        owner: `git`, `platform` (all of them together), or the platform that alone decides it.
        why: why that is so, and what becomes of an edit.
        source: where it is declared, or `None` where it is not.
        only_on: the platform that it is for, where the specs override it there.
        on: what each platform has, as far as was observed.
    """

    name: str
    value: Value
    owner: Owner
    why: str
    source: Source | None = None
    only_on: str = ""
    on: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass(frozen=True, slots=True)
class DriftView:
    """What people made of a field on a platform, and what was agreed on before.

    Attributes:
        at: when, where the platform tells.
        by: who, where the platform tells.
    """

    observed: Value
    base: Value
    at: str = ""
    by: str = ""


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
class CodeView(Code):
    """What is made of a resource in code, as the platform says now.

    Attributes:
        error: why it could not be asked.
    """

    owner: Owner = "gitlab"
    why: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ResourceView:
    """One resource: its fields, and where it is.

    Attributes:
        code: see `with_code`; `None` where nobody asked.
    """

    address: str
    kind: Kind
    declared: bool
    source: Source | None
    fields: tuple[FieldView, ...]
    places: tuple[PlaceView, ...]
    history: tuple[HistoryEntry, ...]
    code: CodeView | None = None


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
    fields = [] if resource is None else list(_declared(place, resource, bindings))
    fields += _undeclared(desired, resource, bindings, {item.name for item in fields})
    plan = planned(desired, reader)
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


def with_code(place: Workspace, view: ResourceView) -> ResourceView:
    """Return the view of a task with its merge requests, where the platform is that has them.

    A platform that cannot be asked is no reason to show nothing: the view says why.
    """
    desired = place.desired
    owned = ownership(CODE[0], desired.resources.get(view.address), "", desired.policy)
    there = next((p for p in view.places if p.platform == owned.owner and p.remote_id), None)
    if there is None or view.kind != "task" or there.platform not in desired.integrations:
        return view
    try:
        code = asyncio.run(_ask(place, there))
        told = CodeView(code.merge_requests, code.closing_commits, owned.owner, owned.why)
    except (ConfigError, PlatformError) as error:
        told = CodeView(owner=owned.owner, why=owned.why, error=str(error))
    except TimeoutError:
        error = f"no answer within {PATIENCE:.0f} s"
        told = CodeView(owner=owned.owner, why=owned.why, error=error)
    return replace(view, code=told)


async def _ask(place: Workspace, there: PlaceView) -> Code:
    platform = platforms_of(place.desired)[there.platform]
    opened = session(
        platform, place.desired, place.config, bound={}, lookups={}, limits={}, clock=SystemClock()
    )
    async with opened as open_, asyncio.timeout(PATIENCE):
        # Somebody waits for the rest of what is shown.
        open_.transport.attempts = 1
        if not isinstance(open_.reconciler, Codes):
            return Code()
        return await open_.reconciler.code(there.remote_id)


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


def _declared(
    place: Workspace, resource: Resource, bindings: Sequence[Binding]
) -> Iterator[FieldView]:
    """Yield the declared fields, each with the line that declares it."""
    sources, policy = _Sources(place, resource), place.desired.policy
    for name, value in resource.fields.items():
        if (name, value) != ("parent", None):
            there = _there(name, bindings, apart=resource.overrides)
            owned = ownership(name, resource, next(iter(there), ""), policy)
            yield FieldView(name, value, "git", owned.why, sources.of(name), on=there)
    for platform, overrides in resource.overrides.items():
        for name, value in overrides.items():
            there = {p: v for p, v in _there(name, bindings).items() if p == platform}
            why = ownership(name, resource, platform, policy).why
            yield FieldView(name, value, "git", why, sources.of(name, platform), platform, there)


def _undeclared(
    desired: Desired, resource: Resource | None, bindings: Sequence[Binding], declared: set[str]
) -> Iterator[FieldView]:
    """Yield the other fields: live ones, those that one platform decides, and derived ones."""
    bound = [present(binding, desired.moved) for binding in bindings]
    agreed = agreements(resource, bound, desired, Identities(desired)) if resource else {}
    names = {name for b in bindings for name in (*b.base, *b.drift)} - declared - {"archived"}
    for name in sorted(names):
        there = _there(name, bindings)
        platform = next(iter(there), "")
        owned = ownership(name, resource, platform, desired.policy)
        value = agreed[name].value if name in agreed else next(iter(there.values()), None)
        yield FieldView(name, value, owned.owner, owned.why, on=there)


def _there(
    name: str, bindings: Sequence[Binding], apart: Mapping[str, Collection[str]] | None = None
) -> dict[str, Value]:
    """Return what the platforms have in a field, those aside that override it."""
    return {
        binding.platform: binding.drift.get(name, binding.base.get(name))
        for binding in bindings
        if (name in binding.base or name in binding.drift)
        and name not in (apart or {}).get(binding.platform, ())
    }


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
        drift={
            name: DriftView(value, binding.base.get(name), edit.at, edit.by)
            for name, value in binding.drift.items()
            for edit in [binding.edits.get(name, Edit())]
        },
        pending=binding.pending,
        updated_at=binding.updated_at,
    )


def resource_text(view: ResourceView, *, colour: bool = False) -> str:
    """Return the resource for a terminal."""
    paint = Paint(colour)
    at = str(view.source) if view.source else "no longer declared"
    lines = [f"{paint('1', view.address)}  {view.kind}  {paint('2', at)}"]
    for item in view.fields:
        lines += _field_lines(item, paint)
    lines += _code_lines(view.code, paint) if view.code else ()
    if view.places:
        lines.append("")
    for place in view.places:
        opened = f"  {SIGNS[cast('Action', place.open)]} {place.open}" if place.open else ""
        lines.append(f"  {place.platform:8}  {place.status}{paint('33', opened)}")
        if place.url or place.remote_id:
            lines.append(f"            {place.url or place.remote_id}")
        for name, drift in place.drift.items():
            there, agreed = shown(name, drift.observed), shown(name, drift.base)
            told = "".join(
                [f", by {drift.by}" if drift.by else "", f", {drift.at}" if drift.at else ""]
            )
            text = f"{name}: people made it {there} (agreed: {agreed}{told})"
            lines.append(f"            {paint('35', text)}")
        if place.pending:
            text = f"{place.pending.action} begun {place.pending.since}, outcome not known"
            lines.append(f"            {paint('33', text)}")
    if view.history:
        lines += ["", *(f"  {line}" for line in history_text(view.history).splitlines())]
    return "\n".join(lines) + "\n"


def _field_lines(item: FieldView, paint: Paint) -> Iterator[str]:
    """Yield a field: its value, who owns it and why, and the platforms that have another value."""
    on = f" on {item.only_on}" if item.only_on else ""
    owner = "live" if item.owner == "platform" else item.owner
    value = shown(item.name, item.value)
    line = f", line {item.source.line}" if item.source else ""
    yield ""
    yield f"  {paint('1', item.name)}{on}: {value}"
    yield f"    {owner}: {item.why}{line}"
    same = [platform for platform, there in item.on.items() if shown(item.name, there) == value]
    if same:
        yield paint("2", f"    so on {', '.join(same)}")
    for platform, there in item.on.items():
        if platform not in same:
            yield f"    {platform}: {shown(item.name, there)}"


def _code_lines(code: CodeView, paint: Paint) -> Iterator[str]:
    """Yield the merge requests and what closed the issue, or why that is not known."""
    ties = {"related": "", "closes": "  closes it", "closed": "  closed it"}
    told = {
        CODE[0]: [
            (f"{r.name} {r.state}{ties[r.tie]}: {r.title}", r.url) for r in code.merge_requests
        ],
        CODE[1]: [(f"{c.sha[:10]} {c.title}".rstrip(), c.url) for c in code.closing_commits],
    }
    for name, items in told.items():
        yield ""
        none = "not known" if code.error else "none"
        yield f"  {paint('1', name)}:{'' if items else f' {none}'}"
        yield f"    {code.owner}: {code.why}"
        if code.error:
            yield paint("33", f"    not asked: {code.error}")
        for line, url in items:
            yield f"    {line}"
            if url:
                yield paint("2", f"      {url}")

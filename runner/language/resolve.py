"""Specs to what is desired: defaults merged, references as addresses, one hash per resource.

Loaded ──> people, integrations, policy ─┐
       ──> projects, milestones, tasks ──┴──> Resource, each with its fingerprint ──> Desired

Pure, and linear in the number of resources: everything that many resources share (platforms,
identities, options) is worked out once. What a project asks for depends on nothing in another one.
Structure is always declared: every task has a `parent`,
`None` at the top, so that a task that is no longer a subtask is lifted out on the platforms too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, cast, get_args

from runner.language.check import CONTAINERS, follow, full_address
from runner.language.load import Document, Loaded
from runner.language.memory import Memory
from runner.language.occurrences import occurrences
from runner.language.outline import Entry, entries, split_reference
from runner.language.resources import Outline, Part, Resources
from schemas.domain import (
    PLATFORMS,
    SHARED_FIELDS,
    Desired,
    Diagnostic,
    DriftOverride,
    Fields,
    Integration,
    Kind,
    Person,
    Policy,
    Resource,
    Source,
    Value,
    hash_of,
    milestone_address,
)
from schemas.errors import SpecError

if TYPE_CHECKING:
    from schemas import spec

REFERENCES = ("milestone", "depends_on")
"""Fields that name other resources."""

TEXT_FIELDS = tuple(name for name in SHARED_FIELDS if name not in REFERENCES)
"""Fields that are taken from a document as they are."""

LISTS = ("labels", "links")
"""Text fields that hold several values."""

DEFAULTED = ("status", "priority", "owner", "estimate", "labels")
"""Fields that a task takes from its project's `defaults`."""

_NOTHING: Mapping[str, Fields] = {}

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def resolve(
    loaded: Loaded,
    *,
    today: date,
    commit: str,
    enabled: Collection[str] | None = None,
    diagnostics: Sequence[Diagnostic] = (),
    memory: Memory | None = None,
) -> Desired:
    """Return what the specs ask for.

    Args:
        loaded: specs without errors, which `check` has passed.
        today: the date that repeating tasks are expanded from.
        commit: the git commit of the specs, or an empty string.
        enabled: if given, only these platforms, as far as the specs enable them.
        diagnostics: what `check` had to say, for readers of the plan.
        memory: of what this process has resolved earlier.

    Raises:
        SpecError: `loaded` has errors.
    """
    if not loaded.valid:
        raise SpecError(loaded.diagnostics)
    resolver = _Resolver(loaded, today, enabled)
    parts = resolver.parts(memory or Memory())
    moved = dict(resolver.moved(parts))
    relevant_day = today.isoformat() if any(part.occurring for part in parts) else ""
    policy = resolver.policy
    rules = asdict(policy)
    prints = [part.fingerprint for part in parts]
    return Desired(
        Resources(parts),
        resolver.people,
        resolver.integrations,
        policy,
        moved,
        commit,
        today.isoformat(),
        hash_of([prints, moved, rules, commit, relevant_day]),
        tuple(diagnostics),
    )


class _Resolver:
    """What all resources share, worked out once."""

    def __init__(self, loaded: Loaded, today: date, enabled: Collection[str] | None) -> None:
        self.loaded = loaded
        self.today = today
        self.people = _people(loaded)
        self.integrations = _integrations(loaded, enabled)
        self.policy = _policy(loaded)
        self.everywhere = tuple(self.integrations)
        self.projects = sorted(loaded.projects, key=lambda item: item.data["key"])
        self._contexts: dict[tuple[object, tuple[str, ...]], bytes] = {}
        self._platforms: dict[tuple[str, ...], tuple[str, ...]] = {}

    def parts(self, memory: Memory) -> list[Part]:
        """Return what each project asks for, in the order of their keys."""
        options = [(name, _choices(item.options)) for name, item in self.integrations.items()]
        people = [(key, _identities(item, self.everywhere)) for key, item in self.people.items()]
        around = hash_of([options, people, self.policy.horizon, self.today.isoformat()])
        return [
            memory.once(("part", around, item.identity), partial(self._part, item, around, memory))
            if item.content
            else self._part(item, around, memory)
            for item in self.projects
        ]

    def _part(self, document: Document[spec.Project], around: str, memory: Memory) -> Part:
        """Return what a project asks for, from an outline that was noted where there is one."""
        make = partial(self._resources, document)
        key = hash_of(["outline", around, *document.identity]) if document.content else ""
        noted = memory.noted(key) if key else None
        if noted is not None and (part := _from_note(noted, make)) is not None:
            return part
        tasks = _Tasks(self, document)
        made = self._resources(document, tasks)
        outlines = [Outline(i.address, i.kind, i.platforms, i.fingerprint) for i in made]
        fingerprint = hash_of([[item.address, item.fingerprint] for item in made])
        if key:
            memory.note(key, [outlines, tasks.occurring, fingerprint])
        return Part(outlines, tasks.occurring, fingerprint, lambda: made)

    def _resources(
        self, document: Document[spec.Project], tasks: _Tasks | None = None
    ) -> list[Resource]:
        """Return the project, its milestones, its tasks."""
        data, home = document.data, self.narrow(document.data.get("platforms"))
        fields = {"title": data["name"], **_fields(data)}
        protect = data.get("protect", False)
        source = document.source()
        return [
            self.resource("project", data["key"], fields, home, source, data, protect),
            *self._milestones(document, home),
            *(tasks or _Tasks(self, document)).resources(),
        ]

    def _milestones(
        self, document: Document[spec.Project], home: tuple[str, ...]
    ) -> Iterator[Resource]:
        for key, data in document.data.get("milestones", {}).items():
            address = milestone_address(document.data["key"], key)
            fields = {"title": data["name"], **_fields(data)}
            source = document.source(f"milestones/{key}")
            protect = data.get("protect", False)
            yield self.resource("milestone", address, fields, home, source, data, protect)

    def resource(
        self,
        kind: Kind,
        address: str,
        fields: dict[str, Value],
        platforms: tuple[str, ...],
        source: Source,
        data: Mapping[str, object],
        protect: bool,
    ) -> Resource:
        """Return a resource with its fingerprint; `data` is asked for overrides only."""
        overrides = self.overrides(data)
        digest = hashlib.blake2b(self._context(fields.get("owner"), platforms), digest_size=16)
        digest.update(_encode([kind, address, fields]).encode())
        if overrides:
            owners = sorted({str(item.get("owner")) for item in overrides.values()})
            known = [_identities(self.people.get(owner), platforms) for owner in owners]
            digest.update(_encode([overrides, known]).encode())
        return Resource(
            address, kind, fields, platforms, source, digest.hexdigest(), overrides, protect
        )

    def overrides(self, data: Mapping[str, object]) -> Mapping[str, Fields]:
        """Return what differs on some platform, the container under its neutral name."""
        if data.keys().isdisjoint(self.everywhere):
            return _NOTHING
        found: dict[str, Fields] = {}
        for platform in self.everywhere:
            if platform not in data:
                continue
            given = cast("Mapping[str, object]", data[platform])
            fields = _fields(given)
            container = CONTAINERS.get(platform, "container")
            for name, value in given.items():
                if name not in TEXT_FIELDS:
                    neutral = "container" if name == container else name
                    fields[neutral] = _value(value)
            found[platform] = fields
        return found

    def narrow(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """Return the enabled ones of the platforms named; all of them where none is named."""
        if names is None:
            return self.everywhere
        wanted = tuple(names)
        found = self._platforms.get(wanted)
        if found is None:
            found = tuple(name for name in self.everywhere if name in wanted)
            self._platforms[wanted] = found
        return found

    def _context(self, owner: Value, platforms: tuple[str, ...]) -> bytes:
        """Return what, besides its own fields, decides what platforms hold of a resource."""
        found = self._contexts.get((owner, platforms))
        if found is None:
            options = [(name, _choices(self.integrations[name].options)) for name in platforms]
            person = self.people.get(owner) if isinstance(owner, str) else None
            found = hash_of([options, _identities(person, platforms)]).encode()
            self._contexts[owner, platforms] = found
        return found

    def moved(self, parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
        """Yield old and new address of everything that was renamed."""
        occurring = {address: item for part in parts for address, item in part.occurring.items()}
        for document in self.projects:
            project, moved = document.data["key"], document.data.get("moved", {})
            for old in document.data.get("formerly", ()):
                yield old, project
            for old in moved:
                target = follow(moved, old)
                if target is None:
                    continue
                source, address = full_address(project, old), full_address(project, target)
                if address not in occurring:
                    yield source, address
                for suffix in occurring.get(address, ()):
                    yield source + suffix, address + suffix


class _Tasks:
    """The tasks of one project."""

    def __init__(self, resolver: _Resolver, document: Document[spec.Project]) -> None:
        self.resolver = resolver
        self.document = document
        self.project = document.data["key"]
        self.defaults = document.data.get("defaults", {})
        usual = document.data.get("platforms")
        self.home = resolver.narrow(self.defaults.get("platforms", usual))
        given = cast("Mapping[str, object]", self.defaults)
        fields = {name: given[name] for name in DEFAULTED if name in given}
        self.base = {name: _value(value) for name, value in fields.items()}
        self.platforms: dict[str, tuple[str, ...]] = {}
        self.occurring: dict[str, list[str]] = {}

    def resources(self) -> Iterator[Resource]:
        """Yield the project's tasks, each repeating one as its occurrences."""
        cycle: list[Entry] = []
        for entry in entries(self.document.data):
            if cycle and entry.cycle is not cycle[0]:
                yield from self._repeat(cycle)
                cycle = []
            if entry.cycle is None:
                yield self._resource(entry, "", None, frozenset())
            else:
                cycle.append(entry)
        if cycle:
            yield from self._repeat(cycle)

    def _repeat(self, cycle: Sequence[Entry]) -> Iterator[Resource]:
        """Yield each occurrence of a repeating task with its subtasks."""
        resolver, task = self.resolver, cycle[0].task
        if "repeat" not in task:
            return
        start = task.get("start") or self.document.data.get("start")
        first = date.fromisoformat(start) if start else None
        keys = frozenset(entry.key for entry in cycle)
        horizon = resolver.policy.horizon
        suffixes: list[str] = []
        repeat = task["repeat"]
        for suffix, day in occurrences(repeat, resolver.today, horizon, first):
            suffixes.append(suffix)
            for entry in cycle:
                due = day.isoformat() if entry is cycle[0] else None
                yield self._resource(entry, suffix, due, keys)
        self.occurring.update((f"{self.project}/{key}", suffixes) for key in keys)

    def _resource(
        self, entry: Entry, suffix: str, due: str | None, together: frozenset[str]
    ) -> Resource:
        """Return one task as a resource.

        For an occurrence, `suffix` tells it from the others, `due` is its day, and the keys in
        `together` get the same suffix.
        """
        task, parent = entry.task, entry.parent
        fields = {**self.base, **_fields(task)}
        if suffix:
            fields.pop("start", None)
        if due is not None:
            fields["due"] = due
        milestone = task.get("milestone", self.defaults.get("milestone"))
        if milestone is not None:
            fields["milestone"] = milestone_address(self.project, milestone)
        elif "milestone" in task:
            fields["milestone"] = None
        fields["parent"] = self._address(parent.key, suffix, together) if parent else None
        if "depends_on" in task:
            names = (split_reference(self.project, name) for name in task["depends_on"] or ())
            fields["depends_on"] = tuple(
                sorted(
                    self._address(key, suffix, together)
                    if project == self.project
                    else f"{project}/{key}"
                    for project, key in names
                )
            )
        return self.resolver.resource(
            "task",
            f"{self.project}/{entry.key}{suffix}",
            fields,
            self._home(entry),
            self.document.source(entry.key),
            cast("Mapping[str, object]", task),
            task.get("protect", self.defaults.get("protect", False)),
        )

    def _address(self, key: str, suffix: str, together: Collection[str]) -> str:
        return f"{self.project}/{key}{suffix if key in together else ''}"

    def _home(self, entry: Entry) -> tuple[str, ...]:
        """Return a task's platforms: its own, else its parent's, else the project's."""
        if "platforms" in entry.task:
            found = self.resolver.narrow(entry.task["platforms"])
        elif entry.parent is not None:
            found = self.platforms[entry.parent.key]
        else:
            found = self.home
        if "tasks" in entry.task:
            self.platforms[entry.key] = found
        return found


def _from_note(noted: Any, make: Callable[[], Sequence[Resource]]) -> Part | None:
    """Return what was noted of a project, unless the note is damaged."""
    try:
        rows, occurring, fingerprint = noted
        names: dict[tuple[str, ...], tuple[str, ...]] = {}
        outlines = [
            Outline(address, kind, names.setdefault(key := tuple(platforms), key), print_)
            for address, kind, platforms, print_ in rows
        ]
        if not {outline.kind for outline in outlines} <= set(get_args(Kind)):
            return None
        return Part(outlines, dict(occurring), str(fingerprint), make)
    except (TypeError, ValueError):
        return None


def _fields(data: Mapping[str, object]) -> dict[str, Value]:
    """Return the declared fields of a document that are no references."""
    given = cast("Mapping[str, Value]", data)
    fields = {name: given[name] for name in TEXT_FIELDS if name in data}
    for name in LISTS:
        if name in fields:
            fields[name] = _value(data[name])
    return fields


def _value(value: object) -> Value:
    """Return a value of a document as a field's: lists become tuples."""
    if isinstance(value, list):
        return tuple(map(str, cast("list[object]", value)))
    if isinstance(value, dict):
        return _encode(value)
    return cast("Value", value)


def _people(loaded: Loaded) -> dict[str, Person]:
    people: dict[str, Person] = {}
    for document in loaded.people:
        for key, data in document.data["people"].items():
            given = cast("Mapping[str, str]", data)
            identities = {name: given[name] for name in PLATFORMS if name in given}
            people[key] = Person(
                key, data["name"], data.get("email", ""), data.get("timezone", "UTC"), identities
            )
    return people


def _integrations(loaded: Loaded, enabled: Collection[str] | None) -> dict[str, Integration]:
    """Return the enabled platforms, ours first, in the order in which ties are settled."""
    given: dict[str, Mapping[str, object]] = {}
    for document in loaded.integrations:
        given.update(cast("Mapping[str, Mapping[str, object]]", document.data))
    found: dict[str, Integration] = {}
    for name in (*PLATFORMS, *loaded.third_party):
        if name not in given or not given[name].get("enabled", True):
            continue
        if enabled is None or name in enabled:
            options = {key: _value(item) for key, item in given[name].items() if key != "enabled"}
            found[name] = Integration(name, True, options)
    return found


def _policy(loaded: Loaded) -> Policy:
    given = loaded.settings.get("policy", {})
    usual = Policy()
    return Policy(
        given.get("prune", usual.prune),
        given.get("max_prune", usual.max_prune),
        given.get("drift", usual.drift),
        given.get("deleted", usual.deleted),
        given.get("horizon", usual.horizon),
        tuple(
            DriftOverride(
                item["drift"],
                tuple(item.get("fields", ())),
                tuple(item.get("platforms", ())),
                tuple(item.get("resources", ())),
            )
            for item in given.get("drift_overrides", ())
        ),
    )


def _identities(person: Person | None, platforms: Sequence[str]) -> list[str]:
    """Return how platforms know a person, and where the person's days end."""
    if person is None:
        return []
    return [person.timezone, *(person.identity(name) for name in platforms)]


def _choices(options: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Return the options that decide what a platform holds; how fast it is asked does not."""
    return sorted((name, value) for name, value in options.items() if name != "rate")

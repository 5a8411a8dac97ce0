"""Plans: what the specs ask for, against what was last agreed on.

Pure. `make_plan` is handed values and a reader; nothing here can write. The diff is
three-way: desired (the specs), base (the binding), observed (the binding's recorded drift). One
hash per resource decides whether a binding is looked at field by field at all, so that cost grows
with what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Literal, Protocol

from runner.pricing import price
from schemas.domain import (
    KNOWN_AFTER_APPLY,
    Binding,
    Change,
    Desired,
    Diagnostic,
    Drift,
    FieldChange,
    Fields,
    Kind,
    Owner,
    Plan,
    Resource,
    Settlement,
    Severity,
    Value,
    kind_of,
    project_of,
    resource_id,
)
from schemas.errors import UnsafePlan

if TYPE_CHECKING:
    from reconcilers._contract import Profile
    from runner.state.contract import IntegrationRow, ResourceRow, StateDiff

REFERENCES = ("project", "parent", "milestone", "depends_on")
"""Fields whose values are addresses of other resources."""

ALWAYS_PRUNABLE = 5
"""A percentage of a small state would forbid even one deletion; so many are always allowed."""


class Agreed(Protocol):
    """What planning reads of the state; every `StateReader` offers it."""

    def identity(self) -> str | None:
        """Return the state's UUID, or `None` where there is no state yet."""
        ...

    def version(self) -> str:
        """Return what changes whenever something changes that a plan depends on."""
        ...

    def diff(self, rows: Iterable[tuple[str, str, str]]) -> StateDiff:
        """Compare the wanted (address, platform, fingerprint) with what is bound."""
        ...

    def bindings(
        self, addresses: Iterable[str] | None = None, platform: str | None = None
    ) -> list[Binding]:
        """Return the bindings of some addresses, or of one platform."""
        ...

    def resources(self, addresses: Iterable[str] | None = None) -> list[ResourceRow]:
        """Return resources as last applied."""
        ...

    def integrations(self) -> list[IntegrationRow]:
        """Return what earlier runs learned of each platform."""
        ...


@dataclass(frozen=True, slots=True)
class _Context:
    """What every part of planning looks at."""

    desired: Desired
    profiles: Mapping[str, Profile]
    state_id: str
    moved: Mapping[str, str]


def make_plan(desired: Desired, state: Agreed, profiles: Mapping[str, Profile]) -> Plan:
    """Return the plan that makes the platforms match `desired`.

    Args:
        desired: the resolved specs.
        state: what was last agreed on; only read.
        profiles: by platform, for every enabled platform.
    """
    context = _Context(desired, profiles, state.identity() or "", desired.moved)
    diff = state.diff(list(wanted(desired, profiles)))
    moves, gone = _pair_moves(diff, context)
    missing = [key for key in diff.missing if key not in moves]
    urls = _urls(state, missing, diff.changed, moves, context)

    builder = _Builder(context, urls)
    for address, platform in missing:
        builder.create(desired.resources[address], platform)
    for binding in diff.changed:
        builder.compare(desired.resources[binding.address], binding)
    for (address, _), binding in moves.items():
        builder.compare(desired.resources[address], binding)
    builder.link_counterparts(state)
    if desired.resources:
        protected = _protected(state, gone)
        for binding in gone:
            builder.prune(binding, protect=binding.address in protected)
    elif gone:
        builder.keep_all(len(gone))

    changes = tuple(_in_order(builder.changes, desired))
    return Plan(
        changes=changes,
        commit=desired.commit,
        spec_digest=desired.digest,
        state_version=state.version(),
        cost=price(changes, profiles, desired.integrations, _lookups(state, changes)),
        drift=tuple(builder.drift),
        settled=tuple(builder.settled),
        diagnostics=(*desired.diagnostics, *builder.diagnostics),
        policy=desired.policy,
        bound=diff.bound,
    )


def wanted(desired: Desired, profiles: Mapping[str, Profile]) -> Iterator[tuple[str, str, str]]:
    """Yield (address, platform, fingerprint) for everything that should be bound."""
    kinds: dict[tuple[Kind, tuple[str, ...]], tuple[str, ...]] = {}
    for resource in desired.resources.values():
        shape = (resource.kind, resource.platforms)
        platforms = kinds.get(shape)
        if platforms is None:
            platforms = kinds[shape] = tuple(
                name
                for name in resource.platforms
                if name in profiles
                and profiles[name].capabilities.supports(resource.kind, "create")
            )
        for platform in platforms:
            yield resource.address, platform, resource.fingerprint


def project_fields(
    resource: Resource, platform: str, desired: Desired, profile: Profile
) -> dict[str, Value]:
    """Return what `platform` should hold of `resource`: the declared fields that it can hold.

    References stay addresses; the owner becomes the person's identity on the platform.
    """
    fields: dict[str, Value] = dict(resource.fields)
    if resource.kind != "project":
        fields["project"] = resource.project
    fields["key"] = resource.address
    container = desired.integrations[platform].options.get(profile.container)
    if container is not None:
        fields["container"] = container
    fields.update(resource.overrides.get(platform, {}))
    owner = fields.get("owner")
    if isinstance(owner, str) and owner in desired.people:
        fields["owner"] = desired.people[owner].identity(platform)
    writable = profile.capabilities.writable(resource.kind)
    on_platform = {name: value for name, value in fields.items() if name in writable}
    return _without_absent_references(on_platform, platform, desired, profile)


def owner_of(name: str, resource: Resource) -> Owner:
    """Return who owns a field: git where the specs declare it, else the platforms."""
    derived = name in {"project", "key", "container", "counterparts"}
    return "git" if derived or name in resource.fields else "platform"


def check_safe(plan: Plan, max_prune: str | None = None) -> None:
    """Raise when the plan prunes more than allowed.

    Args:
        plan: the plan about to be applied.
        max_prune: `N` or `N%`, instead of the policy's own; percentages are of all bindings.

    Raises:
        UnsafePlan: too much would be archived or deleted.
    """
    pruned = sum(1 for change in plan.changes if change.action in {"archive", "delete"})
    limit = max_prune or plan.policy.max_prune
    if limit.endswith("%"):
        allowed = max(int(plan.bound * float(limit[:-1]) / 100), ALWAYS_PRUNABLE)
    else:
        allowed = int(limit)
    if pruned > allowed:
        raise UnsafePlan(
            f"the plan prunes {pruned} of {plan.bound} bound objects; at most {allowed} are"
            f" allowed ({limit})",
            hint=f"if that is what you want: --max-prune {pruned}",
        )


class _Builder:
    """Collects changes, drift and diagnostics, one resource on one platform at a time."""

    def __init__(self, context: _Context, urls: Mapping[tuple[str, str], str]) -> None:
        self.context = context
        self.urls = urls
        self.changes: list[Change] = []
        self.drift: list[Drift] = []
        self.settled: list[Settlement] = []
        self.diagnostics: list[Diagnostic] = []

    def create(self, resource: Resource, platform: str, begun: Binding | None = None) -> None:
        """Plan to make the object, or to finish a create that was `begun` and never confirmed."""
        fields = self._projected(resource, platform)
        self.changes.append(
            Change(
                action="create",
                address=resource.address,
                kind=resource.kind,
                platform=platform,
                # What was begun may exist, under the marker that it was begun with.
                resource_id=begun.resource_id if begun else self._marker(resource.address),
                reason="unconfirmed" if begun else "declared",
                fields=tuple(
                    FieldChange(name, None, value, owner_of(name, resource))
                    for name, value in sorted(fields.items())
                    if value is not None and value != ()
                ),
                moved_from=begun.address if begun and begun.address != resource.address else "",
                fingerprint=resource.fingerprint,
            )
        )

    def compare(self, resource: Resource, binding: Binding) -> None:
        """Plan whatever brings a bound object from base to desired."""
        if not binding.remote_id:
            self.create(resource, binding.platform, binding)
            return
        profile = self.context.profiles[binding.platform]
        after = self._projected(resource, binding.platform)
        base = follow_references(binding.base, self.context.moved)
        drift = follow_references(binding.drift, self.context.moved)
        fields = self._differences(resource, replace(binding, drift=drift), base, after)
        editable = profile.capabilities.editable(resource.kind)
        changed = tuple(f for f in fields if f.name in editable)
        for item in fields:
            if item.name not in editable:
                self._cannot_change(resource, binding.platform, item.name)
        moved_from = binding.address if binding.address != resource.address else ""
        peace = {
            name: after[name]
            for name, seen in drift.items()
            if name in after and same(seen, after[name])
        }
        if not changed and not moved_from:
            peace |= {n: v for n, v in base.items() if v != binding.base.get(n)}
            settled = binding.desired_hash == resource.fingerprint and not binding.pending
            if peace or not settled:
                self._settle(resource, binding, peace)
            return
        if peace:
            self._settle(resource, binding, peace)
        relocated = moved_from or any(f.name == "container" for f in changed)
        self.changes.append(
            Change(
                action="move" if relocated else "update",
                address=resource.address,
                kind=resource.kind,
                platform=binding.platform,
                resource_id=binding.resource_id,
                remote_id=binding.remote_id,
                reason="moved" if moved_from else self._reason(binding, changed),
                fields=changed,
                moved_from=moved_from,
                fingerprint=resource.fingerprint,
            )
        )

    def prune(self, binding: Binding, *, protect: bool) -> None:
        """Plan what becomes of an object whose spec is gone."""
        policy = self.context.desired.policy.prune
        if _has_passed(binding, self.context.desired.today):
            self.settled.append(Settlement(binding.address, binding.platform, ""))
            return
        capabilities = self.context.profiles[binding.platform].capabilities
        if protect:
            self._note(
                "warning",
                "protected",
                f"{binding.address} is gone from the specs but"
                f" protected; its {binding.platform} object stays",
                "put it back, or remove `protect` first and apply",
            )
            return
        if policy == "keep":
            self._note(
                "note",
                "kept",
                f"{binding.address} is gone from the specs; its"
                f" {binding.platform} object stays (policy.prune: keep)",
            )
            return
        action = "delete" if policy == "delete" else "archive"
        if not capabilities.supports(binding.kind, action):
            action = "archive" if action == "delete" else "delete"
        if not capabilities.supports(binding.kind, action):
            self.settled.append(Settlement(binding.address, binding.platform, ""))
            self._note(
                "note",
                "left-behind",
                f"{binding.platform} cannot remove a"
                f" {binding.kind}: {binding.address} stays there, no longer tracked",
                binding.url,
            )
            return
        self.changes.append(
            Change(
                action=action,
                address=binding.address,
                kind=binding.kind,
                platform=binding.platform,
                resource_id=binding.resource_id,
                remote_id=binding.remote_id,
                # A create that was begun is looked for, and what it made is put away.
                reason="pruned" if binding.remote_id else "unconfirmed",
            )
        )

    def keep_all(self, count: int) -> None:
        """Say that empty specs prune nothing: they are a mistake more often than a wish."""
        self._note(
            "warning",
            "empty-specs",
            f"the specs declare nothing at all, so {count} bound objects stay as they are",
            "to prune them all, keep one project in the specs",
        )

    def link_counterparts(self, state: Agreed) -> None:
        """Plan to show new objects on the platforms that list their counterparts.

        A new Linear issue changes the Notion page of the same task, although nothing in the
        specs did; the page's own change, where there is one already, says so itself.
        """
        carriers = [
            name
            for name, profile in self.context.profiles.items()
            if "counterparts" in profile.capabilities.editable("task")
        ]
        if not carriers:
            return
        planned = {change.id for change in self.changes}
        created = {
            c.address for c in self.changes if c.action == "create" and c.platform not in carriers
        }
        candidates = [a for a in created if any(f"{p}:{a}" not in planned for p in carriers)]
        if not candidates:
            return
        for binding in state.bindings(addresses=candidates):
            resource = self.context.desired.resources.get(binding.address)
            if binding.platform not in carriers or not resource or not binding.remote_id:
                continue
            if f"{binding.platform}:{binding.address}" in planned:
                continue
            before = binding.base.get("counterparts")
            self.changes.append(
                Change(
                    action="update",
                    address=binding.address,
                    kind=binding.kind,
                    platform=binding.platform,
                    resource_id=binding.resource_id,
                    remote_id=binding.remote_id,
                    reason="linked",
                    fields=(FieldChange("counterparts", before, KNOWN_AFTER_APPLY),),
                    fingerprint=resource.fingerprint,
                )
            )

    def _projected(self, resource: Resource, platform: str) -> dict[str, Value]:
        profile = self.context.profiles[platform]
        fields = project_fields(resource, platform, self.context.desired, profile)
        if "counterparts" in profile.capabilities.writable(resource.kind):
            fields["counterparts"] = self._counterparts(resource, platform)
        return fields

    def _counterparts(self, resource: Resource, platform: str) -> Value:
        known: list[str] = []
        for other in sorted(resource.platforms):
            profile = self.context.profiles.get(other)
            if other == platform or not profile or not profile.linkable:
                continue
            if not profile.capabilities.supports(resource.kind, "create"):
                continue
            url = self.urls.get((resource.address, other))
            if url is None:
                return KNOWN_AFTER_APPLY
            if url:
                known.append(f"{other} {url}")
        return tuple(known)

    def _differences(
        self, resource: Resource, binding: Binding, base: Fields, after: Fields
    ) -> list[FieldChange]:
        fields: list[FieldChange] = []
        for name, value in sorted(after.items()):
            agreed = base.get(name)
            owner = owner_of(name, resource)
            if name in binding.drift and owner == "git":
                seen = binding.drift[name]
                if same(seen, value):
                    continue
                if binding.pending and name in binding.pending.fields:
                    # No edit of a person: an update of ours was interrupted there.
                    fields.append(FieldChange(name, seen, value, owner))
                    continue
                decision = self._decide(value, agreed)
                self.drift.append(
                    Drift(
                        resource.address,
                        resource.kind,
                        binding.platform,
                        name,
                        agreed,
                        seen,
                        value,
                        decision,
                    )
                )
                if decision == "revert":
                    fields.append(FieldChange(name, seen, value, owner))
            elif not same(agreed, value):
                fields.append(FieldChange(name, agreed, value, owner))
        return fields

    def _decide(
        self, value: Value, agreed: Value
    ) -> Literal["propose", "revert", "ignore", "conflict"]:
        policy = self.context.desired.policy.drift
        if policy != "revert" and not same(value, agreed):
            return "conflict"
        return policy

    def _settle(self, resource: Resource, binding: Binding, fields: Fields) -> None:
        self.settled.append(
            Settlement(resource.address, binding.platform, resource.fingerprint, fields)
        )

    def _reason(self, binding: Binding, changed: Sequence[FieldChange]) -> str:
        if any(f.name in binding.drift for f in changed):
            return "drift"
        if all(f.name == "counterparts" for f in changed):
            return "linked"
        return "edited"

    def _cannot_change(self, resource: Resource, platform: str, name: str) -> None:
        self._note(
            "note",
            "create-only",
            f"{platform} cannot change the {name} of a"
            f" {resource.kind} afterwards: {resource.address} keeps its old one there",
            "change it there by hand",
        )

    def _marker(self, address: str) -> str:
        return resource_id(self.context.state_id, address) if self.context.state_id else ""

    def _note(self, severity: Severity, code: str, message: str, hint: str = "") -> None:
        self.diagnostics.append(Diagnostic(severity, code, message, hint=hint))


def _has_passed(binding: Binding, today: str) -> bool:
    """Return whether it is an occurrence of recurring work whose day is over.

    Such a task leaves the specs by the passing of time, not by anybody's wish: it stays as it is.
    """
    due = binding.base.get("due")
    return "@" in binding.address and isinstance(due, str) and due < today


def same(left: Value, right: Value) -> bool:
    """Return whether two field values mean the same; absent, empty and null are one."""
    return left == right or (left in (None, "", ()) and right in (None, "", ()))


def follow(address: str, moved: Mapping[str, str]) -> str:
    """Return where `address` has moved to; itself where it has not."""
    if address in moved:
        return moved[address]
    project = project_of(address)
    if project in moved and project != address:
        carried = moved[project] + address[len(project) :]
        return moved.get(carried, carried)
    return address


def follow_references(fields: Fields, moved: Mapping[str, str]) -> Fields:
    """Return `fields` with every reference at its present address."""
    if not moved:
        return fields
    followed = dict(fields)
    for name in REFERENCES:
        value = followed.get(name)
        if isinstance(value, str):
            followed[name] = follow(value, moved)
        elif isinstance(value, tuple):
            followed[name] = tuple(sorted(follow(item, moved) for item in value))
    return followed


def _without_absent_references(
    fields: dict[str, Value], platform: str, desired: Desired, profile: Profile
) -> dict[str, Value]:
    """Drop references to resources that are not made real on this platform."""

    def present(address: str) -> bool:
        target = desired.resources.get(address)
        return (
            target is not None
            and platform in target.platforms
            and profile.capabilities.supports(target.kind, "create")
        )

    for name in ("project", "parent"):
        value = fields.get(name)
        if isinstance(value, str) and not present(value):
            fields[name] = None
    depends_on = fields.get("depends_on")
    if isinstance(depends_on, tuple):
        fields["depends_on"] = tuple(item for item in depends_on if present(item))
    return fields


def _pair_moves(
    diff: StateDiff, context: _Context
) -> tuple[dict[tuple[str, str], Binding], list[Binding]]:
    """Tell bindings whose resource moved from those whose spec is gone."""
    missing = set(diff.missing)
    moves: dict[tuple[str, str], Binding] = {}
    gone: list[Binding] = []
    for binding in diff.gone:
        if binding.platform not in context.profiles:
            continue
        key = (follow(binding.address, context.moved), binding.platform)
        if key in missing and key[0] != binding.address:
            moves[key] = binding
        else:
            gone.append(binding)
    return moves, gone


def _urls(
    state: Agreed,
    missing: Sequence[tuple[str, str]],
    changed: Sequence[Binding],
    moves: Mapping[tuple[str, str], Binding],
    context: _Context,
) -> dict[tuple[str, str], str]:
    """Return the URLs of bound objects whose counterparts are about to be compared.

    Those that move count under their new address.
    """
    carriers = {
        name
        for name, profile in context.profiles.items()
        if "counterparts" in profile.capabilities.writable("task")
    }
    addresses = {address for address, platform in missing if platform in carriers}
    addresses |= {b.address for b in changed if b.platform in carriers}
    addresses |= {address for address, platform in moves if platform in carriers}
    new = {(b.address, b.platform): key for key, b in moves.items() if key[0] in addresses}
    addresses |= {address for address, _ in new}
    if not addresses or not context.state_id:
        return {}
    bound = state.bindings(addresses=sorted(addresses))
    keyed = {(b.address, b.platform): b.url for b in bound if b.remote_id}
    return {new.get(key, key): url for key, url in keyed.items()}


def _lookups(state: Agreed, changes: Sequence[Change]) -> dict[str, Mapping[str, object]]:
    return {row.platform: row.lookups for row in state.integrations()} if changes else {}


def _protected(state: Agreed, gone: Sequence[Binding]) -> set[str]:
    if not gone:
        return set()
    rows = state.resources(sorted({binding.address for binding in gone}))
    return {row.address for row in rows if row.protect}


def _in_order(changes: Sequence[Change], desired: Desired) -> Iterator[Change]:
    """Yield the changes in the order in which they may be carried out, each with its `after`.

    Creates and updates come first, in dependency order; what is pruned follows, tasks first.
    """
    made = [c for c in changes if c.action not in {"archive", "delete"}]
    pruned = [c for c in changes if c.action in {"archive", "delete"}]
    rank = {address: i for i, address in enumerate(_topological(made, desired))}
    ids = {change.id for change in made}
    for change in sorted(made, key=lambda c: (rank[c.address], c.platform)):
        needs = [a for a in _references(change) if f"{change.platform}:{a}" in ids]
        yield replace(change, after=tuple(needs)) if needs else change
    last = {"task": 0, "milestone": 1, "project": 2}
    yield from sorted(pruned, key=lambda c: (last[kind_of(c.address)], c.address, c.platform))


def _topological(changes: Sequence[Change], desired: Desired) -> Iterable[str]:
    """Return the addresses of `changes`, each after all that it refers to."""
    addresses = {change.address for change in changes}
    graph: dict[str, list[str]] = {
        address: [] for address in desired.resources if address in addresses
    }
    for address in addresses - graph.keys():
        graph[address] = []
    for change in changes:
        graph[change.address].extend(a for a in _references(change) if a in addresses)
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError:
        # Cycles are refused when the specs are checked; in between two specs (a parent and a
        # child that changed places) declaration order is as good as any.
        return tuple(graph)


def _references(change: Change) -> list[str]:
    found: list[str] = []
    for item in change.fields:
        if item.name not in REFERENCES or item.after is None:
            continue
        found.extend(item.after if isinstance(item.after, tuple) else [str(item.after)])
    return [address for address in found if address != change.address]

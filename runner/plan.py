"""Plans: what the specs ask for, against what was last agreed on.

Pure. `make_plan` is handed values and a reader; nothing here can write. The diff is
three-way: desired (the specs), base (the binding), observed (the binding's recorded drift). One
hash per resource decides whether a binding is looked at field by field at all, so that cost grows
with what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from runner.moves import follow_references, pair_moves
from runner.order import in_order
from runner.ownership import ownership
from runner.pricing import price
from runner.projection import project_fields, wanted
from runner.prune import prune
from schemas.domain import (
    KNOWN_AFTER_APPLY,
    Binding,
    Change,
    Desired,
    Diagnostic,
    Drift,
    FieldChange,
    Fields,
    Owner,
    Plan,
    Resource,
    Settlement,
    Severity,
    Value,
    resource_id,
    same,
)

if TYPE_CHECKING:
    from reconcilers._contract import Profile
    from runner.state.contract import IntegrationRow, ResourceRow, StateDiff


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
    moves, gone = pair_moves(diff.missing, diff.gone, desired.moved, profiles)
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

    changes = tuple(in_order(builder.changes, desired))
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
                    FieldChange(name, None, value, self._owner(name, resource, platform))
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
        profile = self.context.profiles[binding.platform]
        what, said = prune(binding, self.context.desired, profile, protect=protect)
        if isinstance(what, Change):
            self.changes.append(what)
        elif what is not None:
            self.settled.append(what)
        if said is not None:
            self.diagnostics.append(said)

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
            owner = self._owner(name, resource, binding.platform)
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

    def _owner(self, name: str, resource: Resource, platform: str) -> Owner:
        return ownership(name, resource, platform, self.context.desired.policy).owner

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

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

from runner.live import Agreement, Identities, agreements, present
from runner.moves import pair_moves
from runner.order import in_order
from runner.ownership import SCHEDULED, ownership
from runner.pricing import price
from runner.projection import project_fields, wanted
from runner.prune import deleted, is_imported, prune
from runner.wording import in_own_words
from schemas.domain import (
    KNOWN_AFTER_APPLY,
    Binding,
    Change,
    Desired,
    Diagnostic,
    Drift,
    DriftPolicy,
    Edit,
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

    @property
    def carriers(self) -> set[str]:
        """The platforms that show what a resource is elsewhere."""
        shown = {"counterparts", *SCHEDULED}
        return {
            name
            for name, profile in self.profiles.items()
            if shown & profile.capabilities.writable("task")
        }


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
    siblings = _siblings(state, missing, diff, moves, context)

    builder = _Builder(context, siblings)
    for address, platform in missing:
        builder.create(desired.resources[address], platform)
    for binding in diff.changed:
        builder.compare(desired.resources[binding.address], binding)
    for (address, _), binding in moves.items():
        builder.compare(desired.resources[address], binding)
    builder.share()
    builder.link_counterparts()
    imported = [binding for binding in gone if is_imported(binding)]
    gone = [binding for binding in gone if not is_imported(binding)]
    if imported:
        builder.keep_imported(len(imported))
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

    def __init__(self, context: _Context, siblings: Mapping[str, Sequence[Binding]]) -> None:
        self.context = context
        self.siblings = siblings
        self.changes: list[Change] = []
        self.drift: list[Drift] = []
        self.settled: list[Settlement] = []
        self.diagnostics: list[Diagnostic] = []
        self._identities = Identities(context.desired)
        self._agreements: dict[str, Mapping[str, Agreement]] = {}
        self._compared: set[tuple[str, str]] = set()
        self._heard: list[tuple[str, str, Fields]] = []
        self._sharing: dict[str, list[str]] = {}

    def create(
        self,
        resource: Resource,
        platform: str,
        begun: Binding | None = None,
        reason: str = "unconfirmed",
    ) -> None:
        """Plan to make the object, or to finish a create that was `begun` and never confirmed."""
        fields = self._projected(resource, platform) | self._live(resource, platform)
        self.changes.append(
            Change(
                action="create",
                address=resource.address,
                kind=resource.kind,
                platform=platform,
                # What was begun may exist, under the marker that it was begun with.
                resource_id=begun.resource_id if begun else self._marker(resource.address),
                reason=reason if begun else "declared",
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
        self._compared.add((resource.address, binding.platform))
        if not binding.remote_id:
            self.create(resource, binding.platform, binding)
            return
        here = self._present(binding)
        after = self._projected(resource, binding.platform)
        if "archived" in here.drift:
            self._gone(resource, binding)
            return
        moved_from = binding.address if binding.address != resource.address else ""
        as_agreed = binding.desired_hash == resource.fingerprint and not binding.pending
        # Of what was agreed on, only that can differ which people have changed since.
        looked_at = {*here.drift} if as_agreed and not moved_from else {*after}
        known = len(self.drift)
        declared = self._differences(
            resource, here, {name: after[name] for name in looked_at & after.keys()}
        )
        shared = self._shared(resource, here)
        editable = self.context.profiles[binding.platform].capabilities.editable(resource.kind)
        changed = sorted((f for f in (*declared, *shared) if f.name in editable), key=_by_name)
        for item in declared:
            if item.name not in editable:
                self._cannot_change(resource, binding.platform, item.name)
        disputed = any(item.decision == "conflict" for item in self.drift[known:])
        peace = {
            name: after[name]
            for name, seen in here.drift.items()
            if name in after and self._equal(binding.platform, name, seen, after[name])
        }
        if not changed and not moved_from:
            peace |= {n: v for n, v in here.base.items() if v != binding.base.get(n)}
            if disputed and (peace or binding.pending):
                self._leave(binding, peace)
            elif not disputed and (peace or not as_agreed):
                self._settle(resource, binding, peace)
            return
        if peace:
            self._settle(resource, binding, peace)
        relocated = moved_from or any(f.name == "container" for f in changed)
        change = Change(
            action="move" if relocated else "update",
            address=resource.address,
            kind=resource.kind,
            platform=binding.platform,
            resource_id=binding.resource_id,
            remote_id=binding.remote_id,
            reason="moved" if moved_from else self._reason(here, changed),
            fields=tuple(changed),
            moved_from=moved_from,
            # As long as something is in dispute, every plan looks again.
            fingerprint="" if disputed else resource.fingerprint,
        )
        self.changes.append(change)
        if shared:
            self._sharing.setdefault(resource.address, []).append(change.id)

    def share(self) -> None:
        """Plan to bring what people made of live fields to the platforms that lack it.

        Where an edit comes from, it stays recorded until it has arrived everywhere.
        """
        for address, agreed in list(self._agreements.items()):
            if not any(item.source for item in agreed.values()):
                continue
            resource = self.context.desired.resources[address]
            for binding in self.siblings.get(address, ()):
                platform = binding.platform
                known = platform in self.context.profiles and platform in resource.platforms
                if known and binding.remote_id and (address, platform) not in self._compared:
                    self.compare(resource, binding)
        for address, platform, fields in self._heard:
            after = tuple(self._sharing.get(address, ()))
            self.settled.append(Settlement(address, platform, None, fields, after))

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

    def _present(self, binding: Binding) -> Binding:
        """Return a binding as the specs call everything now.

        Where a milestone is but a word on its tasks, that word stays what it was.
        """
        profile = self.context.profiles[binding.platform]
        here = in_own_words(present(binding, self.context.moved), profile)
        word = binding.base.get("milestone")
        if word is None or profile.capabilities.supports("milestone", "create"):
            return here
        return replace(here, base={**here.base, "milestone": word})

    def keep_imported(self, count: int) -> None:
        """Say that what was imported is in no spec yet, and stays."""
        self._note(
            "note",
            "imported",
            f"{count} imported objects are in none of these specs, and stay as they are",
            "take the specs that the import wrote, or import again",
        )

    def _gone(self, resource: Resource, binding: Binding) -> None:
        """Plan what becomes of a declared resource whose object people deleted."""
        policy = self.context.desired.policy
        self.drift.append(deleted(resource, binding, policy))
        if policy.deleted == "recreate":
            # What was put away is found by its marker, and taken out again.
            self.create(resource, binding.platform, binding, "deleted")
        elif binding.pending:
            self._leave(binding, {})

    def keep_all(self, count: int) -> None:
        """Say that empty specs prune nothing: they are a mistake more often than a wish."""
        self._note(
            "warning",
            "empty-specs",
            f"the specs declare nothing at all, so {count} bound objects stay as they are",
            "to prune them all, keep one project in the specs",
        )

    def link_counterparts(self) -> None:
        """Plan to show new objects on the platforms that list their counterparts.

        A new Linear issue changes the Notion page of the same task, although nothing in the
        specs did; the page's own change, where there is one already, says so itself.
        """
        carriers = {
            name
            for name, profile in self.context.profiles.items()
            if "counterparts" in profile.capabilities.editable("task")
        }
        planned = {change.id for change in self.changes}
        created = {
            c.address for c in self.changes if c.action == "create" and c.platform not in carriers
        }
        for address in sorted(created & self.siblings.keys()):
            resource = self.context.desired.resources[address]
            for binding in self.siblings[address]:
                platform = binding.platform
                if platform not in carriers or f"{platform}:{address}" in planned:
                    continue
                if not binding.remote_id:
                    continue
                before = binding.base.get("counterparts")
                self.changes.append(
                    Change(
                        action="update",
                        address=address,
                        kind=binding.kind,
                        platform=platform,
                        resource_id=binding.resource_id,
                        remote_id=binding.remote_id,
                        reason="linked",
                        fields=(FieldChange("counterparts", before, KNOWN_AFTER_APPLY),),
                        fingerprint=resource.fingerprint,
                    )
                )

    def _projected(self, resource: Resource, platform: str) -> dict[str, Value]:
        """Return what a platform should hold: what is declared, and what follows from elsewhere."""
        profile = self.context.profiles[platform]
        fields = project_fields(resource, platform, self.context.desired, profile)
        writable = profile.capabilities.writable(resource.kind)
        if "counterparts" in writable:
            fields["counterparts"] = self._counterparts(resource, platform)
        for binding in self.siblings.get(resource.address, ()):
            if binding.platform == "motion" != platform:
                fields |= {name: binding.base.get(name) for name in SCHEDULED if name in writable}
        return fields

    def _counterparts(self, resource: Resource, platform: str) -> Value:
        urls = {b.platform: b.url for b in self.siblings.get(resource.address, ()) if b.remote_id}
        known: list[str] = []
        for other in sorted(resource.platforms):
            profile = self.context.profiles.get(other)
            if other == platform or not profile or not profile.linkable:
                continue
            if not profile.capabilities.supports(resource.kind, "create"):
                continue
            if other not in urls:
                return KNOWN_AFTER_APPLY
            if urls[other]:
                known.append(f"{other} {urls[other]}")
        return tuple(known)

    def _agreed(self, resource: Resource) -> Mapping[str, Agreement]:
        """Return what the live fields of a resource are to be, as far as it was edited or moves."""
        known = self._agreements.get(resource.address)
        if known is None:
            there = self.siblings.get(resource.address, ())
            known = agreements(resource, there, self.context.desired, self._identities)
            self._agreements[resource.address] = known
        return known

    def _live(self, resource: Resource, platform: str) -> dict[str, Value]:
        """Return the live fields that a new object is made with."""
        if resource.address not in self.siblings:
            return {}
        writable = self.context.profiles[platform].capabilities.writable(resource.kind)
        return {
            name: self._identities.local(name, item.value, platform)
            for name, item in self._agreed(resource).items()
            if name in writable
            and (item.source or self._decided(name, resource))
            and self._owner(name, resource, platform) == "platform"
        }

    def _decided(self, name: str, resource: Resource) -> bool:
        """Return whether somebody chose a live value: platforms fill in some by themselves."""
        return any(
            there not in self.context.profiles[b.platform].capabilities.initial(b.kind, name)
            for b in self.siblings[resource.address]
            if b.platform in self.context.profiles
            and not same(there := b.drift.get(name, b.base.get(name)), None)
        )

    def _shared(self, resource: Resource, here: Binding) -> list[FieldChange]:
        """Return the live fields that are to change, and note those that are as agreed."""
        if "archived" in here.drift or resource.address not in self.siblings:
            return []
        platform, equal = here.platform, self._equal
        editable = self.context.profiles[platform].capabilities.editable(resource.kind)
        agreed = self._agreed(resource)
        fields: list[FieldChange] = []
        heard: dict[str, Value] = {}
        for name in sorted({*here.drift, *agreed}):
            owner = self._owner(name, resource, platform)
            item = agreed.get(name)
            if owner == "git" or (name not in here.drift and not (item and item.source)):
                continue
            seen = here.drift.get(name, here.base.get(name))
            value = self._identities.local(name, item.value, platform) if item else seen
            if name in here.drift:
                lost = item is not None and platform in item.overruled
                decision = "overrule" if lost else "share"
                self._drifted(resource, here, name, value, decision)
            if name in editable and not equal(platform, name, seen, value):
                fields.append(FieldChange(name, seen, value, owner))
            elif name in here.drift:
                heard[name] = seen
        if heard:
            self._heard.append((resource.address, platform, heard))
        return fields

    def _differences(self, resource: Resource, here: Binding, after: Fields) -> list[FieldChange]:
        """Return the declared fields that are to change."""
        fields: list[FieldChange] = []
        for name, value in sorted(after.items()):
            agreed = here.base.get(name)
            owner = self._owner(name, resource, here.platform)
            if name in here.drift and owner == "git":
                seen = here.drift[name]
                if self._equal(here.platform, name, seen, value):
                    continue
                if here.pending and name in here.pending.fields:
                    # No edit of a person: an update of ours was interrupted there.
                    fields.append(FieldChange(name, seen, value, owner))
                    continue
                decision = self._decide(name, resource, here.platform, value, agreed)
                self._drifted(resource, here, name, value, decision)
                if decision == "revert":
                    fields.append(FieldChange(name, seen, value, owner))
            elif not same(agreed, value):
                fields.append(FieldChange(name, agreed, value, owner))
        return fields

    def _drifted(
        self,
        resource: Resource,
        here: Binding,
        name: str,
        desired: Value,
        decision: DriftPolicy | Literal["conflict"],
    ) -> None:
        edit = here.edits.get(name, Edit())
        self.drift.append(
            Drift(
                resource.address,
                resource.kind,
                here.platform,
                name,
                here.base.get(name),
                here.drift[name],
                desired,
                decision,
                edit.at,
                edit.by,
            )
        )

    def _owner(self, name: str, resource: Resource, platform: str) -> Owner:
        return ownership(name, resource, platform, self.context.desired.policy).owner

    def _decide(
        self, name: str, resource: Resource, platform: str, value: Value, agreed: Value
    ) -> DriftPolicy | Literal["conflict"]:
        rule = ownership(name, resource, platform, self.context.desired.policy).drift
        if rule != "revert" and not self._equal(platform, name, value, agreed):
            return "conflict"
        return rule

    def _equal(self, platform: str, name: str, left: Value, right: Value) -> bool:
        return self.context.profiles[platform].equal(name, left, right)

    def _settle(self, resource: Resource, binding: Binding, fields: Fields) -> None:
        self.settled.append(
            Settlement(resource.address, binding.platform, resource.fingerprint, fields)
        )

    def _leave(self, binding: Binding, fields: Fields) -> None:
        """Settle `fields`, and that nothing is left of what was begun; the rest stays open."""
        self.settled.append(Settlement(binding.address, binding.platform, None, fields, over=True))

    def _reason(self, here: Binding, changed: Sequence[FieldChange]) -> str:
        ours = [f for f in changed if f.owner == "git"]
        if any(f.name in here.drift for f in ours):
            return "drift"
        if any(f.name != "counterparts" for f in ours):
            return "edited"
        if ours:
            return "linked"
        if any(f.name in here.drift for f in changed):
            return "overruled"
        return "shared" if any(f.owner == "platform" for f in changed) else "scheduled"

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


def _by_name(item: FieldChange) -> str:
    return item.name


def _siblings(
    state: Agreed,
    missing: Sequence[tuple[str, str]],
    diff: StateDiff,
    moves: Mapping[tuple[str, str], Binding],
    context: _Context,
) -> dict[str, list[Binding]]:
    """Return all bindings of the resources that are about to be compared across platforms.

    By their present address; only of those that are new somewhere, that people changed, or that
    show on one platform what they are on another.
    """
    carriers = context.carriers
    addresses = {address for address, _ in missing}
    addresses |= {b.address for b in diff.changed if b.drift or b.platform in carriers}
    addresses |= {
        address for (address, platform), b in moves.items() if b.drift or platform in carriers
    }
    addresses |= {b.address for (address, _), b in moves.items() if address in addresses}
    found: dict[str, list[Binding]] = {}
    if addresses and diff.bound and context.state_id:
        for binding in state.bindings(addresses=sorted(addresses)):
            here = present(binding, context.moved)
            if profile := context.profiles.get(binding.platform):
                here = in_own_words(here, profile)
            found.setdefault(here.address, []).append(here)
    return found


def _lookups(state: Agreed, changes: Sequence[Change]) -> dict[str, Mapping[str, object]]:
    return {row.platform: row.lookups for row in state.integrations()} if changes else {}


def _protected(state: Agreed, gone: Sequence[Binding]) -> set[str]:
    if not gone:
        return set()
    rows = state.resources(sorted({binding.address for binding in gone}))
    return {row.address for row in rows if row.protect}

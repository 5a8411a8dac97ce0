"""The words of trueup as frozen values: resources, bindings, changes, plans, outcomes.

Everything here is immutable, comparable and serialisable. Field values are JSON scalars or
tuples of strings, in one canonical form each, so that equal means equal on every platform:

    title, description, owner          str
    status                             backlog | todo | in_progress | done | canceled
    priority                           none | low | medium | high | urgent
    start, due                         "YYYY-MM-DD"
    estimate                           int, minutes of work
    labels                             tuple of str, sorted
    links                              tuple of "URL" or "URL title", in the order declared
    depends_on                         tuple of addresses, sorted
    milestone, parent, project         address
    key                                the resource's own address
    container                          the Linear team, Motion workspace, GitLab project or
                                       Notion page that holds the object
    counterparts                       tuple of "platform URL", sorted: the same resource elsewhere
    scheduled_start, scheduled_end     instants in UTC, "YYYY-MM-DDTHH:MM:SSZ"; Motion owns them

`None` means "declared to be empty"; a field that is absent is not declared at all (live).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias, cast, get_args

Value: TypeAlias = str | int | float | bool | tuple[str, ...] | None
Fields: TypeAlias = Mapping[str, Value]
Kind: TypeAlias = Literal["project", "milestone", "task"]
Action: TypeAlias = Literal["create", "bind", "update", "move", "archive", "delete"]
Owner: TypeAlias = Literal["git", "platform", "motion", "gitlab"]
DriftPolicy: TypeAlias = Literal["propose", "revert", "ignore", "share", "overrule"]
SharedField: TypeAlias = Literal[
    "title",
    "description",
    "status",
    "priority",
    "owner",
    "start",
    "due",
    "estimate",
    "labels",
    "links",
    "milestone",
    "depends_on",
]
Severity: TypeAlias = Literal["error", "warning", "note"]
Status: TypeAlias = Literal["applied", "skipped", "failed", "unknown"]

SHARED_FIELDS: tuple[SharedField, ...] = get_args(SharedField)
"""Fields that git owns where the specs declare them, and the platforms together elsewhere."""

PLATFORMS = ("linear", "gitlab", "notion", "motion")
"""Our own platforms, in the order in which ties are settled."""

ACTIONS: tuple[Action, ...] = ("create", "bind", "update", "move", "archive", "delete")

KNOWN_AFTER_APPLY = "(known after apply)"
"""Stands in a plan for a value that only the apply itself can tell, such as a new object's URL."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where something is declared: a file below the repo, lines and columns from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        """Return `file:line:column`."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem with what somebody wrote.

    Attributes:
        severity: an error stops planning; a warning or a note does not.
        code: stable and greppable, `unknown-field`.
        message: what is wrong, one sentence without a full stop.
        source: where, or `None` where no file is to blame.
        hint: what to do, or an empty string.
        excerpt: the offending line as it stands in the file, or an empty string.
        width: how many characters the caret marks, from `source.column`.
    """

    severity: Severity
    code: str
    message: str
    source: Source | None = None
    hint: str = ""
    excerpt: str = ""
    width: int = 1


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the People specs, with how each platform knows them.

    Attributes:
        key: how the specs call them.
        identities: by platform, what to use there instead of the e-mail address.
        timezone: IANA name.
    """

    key: str
    name: str
    email: str = ""
    timezone: str = "UTC"
    identities: Mapping[str, str] = field(default_factory=dict[str, str])

    def identity(self, platform: str) -> str:
        """Return how `platform` knows this person: a name of its own there, else the e-mail."""
        return self.identities.get(platform) or self.email or self.key


@dataclass(frozen=True, slots=True)
class Resource:
    """One declared project, milestone or task, platform-neutral.

    Attributes:
        address: `project-key`, `project-key/task-key` or `project-key/milestones/key`.
        fields: only what is declared; references are addresses, `owner` is a person's key.
        platforms: where it is to be made real.
        overrides: by platform, fields that stand in for the neutral ones there.
        protect: never prune it.
        source: where it is declared.
        fingerprint: a hash of all that decides what the platforms should hold.
    """

    address: str
    kind: Kind
    fields: Fields
    platforms: tuple[str, ...]
    source: Source
    fingerprint: str
    overrides: Mapping[str, Fields] = field(default_factory=dict[str, Fields])
    protect: bool = False

    @property
    def project(self) -> str:
        """The address of the project that it belongs to (its own, for a project)."""
        return project_of(self.address)


@dataclass(frozen=True, slots=True)
class Integration:
    """A connected platform as the Integrations spec declares it; never a secret."""

    platform: str
    enabled: bool
    options: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass(frozen=True, slots=True)
class DriftOverride:
    """Another rule for some edits on the platforms; an empty tuple matches everything.

    Attributes:
        fields: names of fields.
        resources: addresses, with everything below them; `*` stands for any characters.
    """

    drift: Literal["propose", "revert", "ignore"]
    fields: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()

    def matches(self, address: str, platform: str, name: str) -> bool:
        """Return whether it is about an edit of this field."""
        return (
            (not self.fields or name in self.fields)
            and (not self.platforms or platform in self.platforms)
            and (not self.resources or any(_is_within(address, item) for item in self.resources))
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What the runner may do by itself; see the Settings spec for the meaning of each."""

    prune: Literal["archive", "close", "delete", "keep"] = "archive"
    max_prune: str = "10%"
    drift: Literal["propose", "revert", "ignore"] = "propose"
    deleted: Literal["propose", "recreate", "release"] = "propose"
    horizon: int = 28
    drift_overrides: tuple[DriftOverride, ...] = ()

    def drift_of(
        self, address: str, platform: str, name: str
    ) -> tuple[Literal["propose", "revert", "ignore"], str]:
        """Return what becomes of an edit of a declared field, and by which override, if any.

        Of several overrides that match, the last one counts.
        """
        for place, rule in reversed(list(enumerate(self.drift_overrides, 1))):
            if rule.matches(address, platform, name):
                return rule.drift, f"override {place}"
        return self.drift, ""


@dataclass(frozen=True, slots=True)
class Desired:
    """What the specs ask for, resolved: the whole input of planning that comes from git.

    Attributes:
        resources: by address; projects before milestones before tasks, parents before children.
        integrations: the enabled platforms only, by name.
        moved: from old address to new, chains already followed.
        commit: the git commit, or an empty string outside a repo or with a dirty tree.
        today: the date that occurrences of `repeat` were made for.
        digest: a hash of all of the above.
        reconcilers: third-party reconcilers that the Settings name.
    """

    resources: Mapping[str, Resource]
    people: Mapping[str, Person]
    integrations: Mapping[str, Integration]
    policy: Policy
    moved: Mapping[str, str]
    commit: str
    today: str
    digest: str
    diagnostics: tuple[Diagnostic, ...] = ()
    reconcilers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """An operation whose intent is recorded and whose outcome is not yet known."""

    action: Action
    run_id: str
    since: str
    fields: Fields = field(default_factory=dict[str, Value])


@dataclass(frozen=True, slots=True)
class Edit:
    """The last edit of one field on one platform, as far as it is known.

    Attributes:
        at: when, an instant in UTC.
        by: who, where the platform tells; `trueup` for our own write of a live field that was
            not seen back yet.
        turns: how many times in a row the platform changed what we had just written.
    """

    at: str = ""
    by: str = ""
    turns: int = 0


@dataclass(frozen=True, slots=True)
class Binding:
    """The tie of one resource to one remote object.

    Attributes:
        resource_id: our deterministic UUID; every remote object carries it as its marker.
        remote_id: the platform's own id, or an empty string while a create is pending.
        base: the field values last agreed on.
        desired_hash: the fingerprint of the resource when base was agreed on; empty when the
            last change was not carried out in full, so that the next plan looks again.
        revision: whatever the platform offers to tell versions apart, or an empty string.
        drift: by field, what was last observed where it differs from base.
        edits: by field, who made it what it is in `drift`, and when.
        echo: by field, how the platform shows what was agreed on, where it has another word for
            it: Markdown that went through rich text, an estimate in points. To see it is to see
            base.
        pending: an operation that was begun, or `None`.
        updated_at: when this row last changed, an instant in UTC.
        run_id: the run that changed it.
    """

    address: str
    platform: str
    kind: Kind
    resource_id: str
    remote_id: str = ""
    url: str = ""
    base: Fields = field(default_factory=dict[str, Value])
    desired_hash: str = ""
    revision: str = ""
    drift: Fields = field(default_factory=dict[str, Value])
    pending: Pending | None = None
    updated_at: str = ""
    run_id: str = ""
    edits: Mapping[str, Edit] = field(default_factory=dict[str, Edit])
    echo: Fields = field(default_factory=dict[str, Value])


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a change, before and after, and who owns it."""

    name: str
    before: Value
    after: Value
    owner: Owner = "git"


@dataclass(frozen=True, slots=True)
class Change:
    """One create, bind, update, move, archive or delete of one resource on one platform.

    Self-contained: an apply needs the change and the binding, never the specs.

    Attributes:
        address: the resource's address after the change.
        moved_from: its address before, for a move; else an empty string.
        resource_id: the marker that the remote object carries; empty in a plan made before
            there was a state.
        remote_id: the platform's id; empty for a create.
        reason: `declared`, `edited`, `moved`, `pruned`, `released`, `drift`, `unconfirmed`, ...
        fields: what changes; for a create, every field that is not empty.
        after: addresses on the same platform that must be settled first.
        fingerprint: the resource's, to be kept in the binding once applied.
    """

    action: Action
    address: str
    kind: Kind
    platform: str
    resource_id: str
    reason: str
    fields: tuple[FieldChange, ...] = ()
    remote_id: str = ""
    moved_from: str = ""
    after: tuple[str, ...] = ()
    fingerprint: str = ""

    @property
    def id(self) -> str:
        """Tells this change from every other of its plan: `linear:mobile-app/pick-stack`."""
        return f"{self.platform}:{self.address}"

    def values(self) -> dict[str, Value]:
        """Return the fields as they are to be afterwards."""
        return {item.name: item.after for item in self.fields}


@dataclass(frozen=True, slots=True)
class Settlement:
    """What only the state has to record: no request is needed for it.

    Where the same binding has a change as well, only `fields` count.

    Attributes:
        fingerprint: the resource's, for a binding that agrees field by field although its
            fingerprint moved; empty for a binding that is let go; `None` to leave it as it is.
        fields: drift that is agreed with by now, and references to what moved.
        after: ids of changes that must have been applied first: a live value is settled where it
            comes from once it has reached every other platform.
        over: whether an operation that was interrupted has nothing left to do, although something
            else keeps the binding from agreeing.
    """

    address: str
    platform: str
    fingerprint: str | None
    fields: Fields = field(default_factory=dict[str, Value])
    after: tuple[str, ...] = ()
    over: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    """A field whose observed value differs from base.

    Attributes:
        desired: what the specs declare; for a live field, what the platforms agree on.
        decision: what becomes of it: for a declared field the policy's rule, or `conflict` where
            git has changed it as well; `share` for a live one, `overrule` where a later edit on
            another platform wins.
        at: when it was changed, where the platform tells.
        by: who changed it, where the platform tells.
    """

    address: str
    kind: Kind
    platform: str
    name: str
    base: Value
    observed: Value
    desired: Value
    decision: DriftPolicy | Literal["conflict"]
    at: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan will cost in API requests.

    Attributes:
        requests: by platform, how many requests.
        seconds: how long the slowest platform takes under its limits.
        bound_by: that platform, or an empty string where nothing is to be sent.
        platform_seconds: by platform, how long it takes under its limits.
        share: by platform, the part of its budget (per hour, or per day) that this uses, 0 to 1.
    """

    requests: Mapping[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0
    bound_by: str = ""
    platform_seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    share: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered list of changes, with what each will cost.

    Attributes:
        changes: in the order in which they may be carried out.
        commit: the spec commit that it was made from.
        spec_digest: a hash of the resolved specs, today's date included.
        state_version: the state that it was made against.
        drift: fields that people changed on a platform.
        settled: what only the state has to record.
        diagnostics: what the reader should know before applying.
        bound: how many bindings there were when it was made.
    """

    changes: tuple[Change, ...]
    commit: str
    spec_digest: str
    state_version: str
    cost: Cost = field(default_factory=Cost)
    drift: tuple[Drift, ...] = ()
    settled: tuple[Settlement, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    policy: Policy = field(default_factory=Policy)
    bound: int = 0

    @property
    def summary(self) -> dict[Action, int]:
        """How many changes there are of each action."""
        counts: dict[Action, int] = dict.fromkeys(ACTIONS, 0)
        for change in self.changes:
            counts[change.action] += 1
        return counts

    @property
    def digest(self) -> str:
        """A hash that covers the specs, the state version and every change."""
        rows = [
            (c.action, c.platform, c.address, c.moved_from, [(f.name, f.after) for f in c.fields])
            for c in self.changes
        ]
        return hash_of([self.spec_digest, self.state_version, rows])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change.

    Attributes:
        change_id: `Change.id`.
        status: applied, skipped (a prerequisite failed), failed, or unknown.
        remote_id: the platform's id, where known.
        base: the fields now agreed on with the platform, for applied changes.
        echo: how the platform shows those of them that it has another word for.
        complete: whether every field of the change was carried out.
        error: what went wrong, redacted, or an empty string.
        warnings: what could not be done as declared, such as an owner without an account.
        requests: how many HTTP requests were sent for it.
        milliseconds: how long it took.
    """

    change_id: str
    status: Status
    remote_id: str = ""
    url: str = ""
    revision: str = ""
    base: Fields = field(default_factory=dict[str, Value])
    complete: bool = True
    error: str = ""
    warnings: tuple[str, ...] = ()
    requests: int = 0
    milliseconds: int = 0
    echo: Fields = field(default_factory=dict[str, Value])


def _is_within(address: str, pattern: str) -> bool:
    return fnmatchcase(address, pattern) or fnmatchcase(address, f"{pattern}/*")


def project_of(address: str) -> str:
    """Return the address of the project that `address` belongs to."""
    return address.split("/", 1)[0]


def kind_of(address: str) -> Kind:
    """Return the kind of resource that `address` names, from its shape alone."""
    parts = address.split("/")
    if len(parts) == 1:
        return "project"
    return "milestone" if len(parts) == 3 and parts[1] == "milestones" else "task"


def milestone_address(project: str, key: str) -> str:
    """Return the address of a project's milestone."""
    return f"{project}/milestones/{key}"


def resource_id(state_id: str, address: str) -> str:
    """Return the UUID that a resource keeps for ever, in the shape of a version 4 UUID.

    Deterministic, so that a create which died half-way is found again by its marker. Linear
    accepts only ids that look like version 4 (verified 2026-11-24), hence the changed bits.
    """
    digest = bytearray(uuid.uuid5(uuid.UUID(state_id), address).bytes)
    digest[6] = (digest[6] & 0x0F) | 0x40
    return str(uuid.UUID(bytes=bytes(digest)))


def same(left: Value, right: Value) -> bool:
    """Return whether two field values mean the same; absent, empty and null are one."""
    return left == right or (left in (None, "", ()) and right in (None, "", ()))


def canonical(value: object) -> str:
    """Return `value` as JSON with sorted keys and no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_of(value: object) -> str:
    """Return a short hash of any JSON-like value; equal values give equal hashes."""
    return hashlib.blake2b(canonical(value).encode(), digest_size=16).hexdigest()


def freeze(fields: Mapping[str, object]) -> dict[str, Value]:
    """Return fields read from JSON in their canonical form: lists become tuples."""
    return {
        name: tuple(cast("list[str]", value)) if isinstance(value, list) else cast("Value", value)
        for name, value in fields.items()
    }

"""What the state offers, whatever engine keeps it: a reader for planning, a writer for applying.

Instants are ISO strings in UTC (`YYYY-MM-DDTHH:MM:SSZ`, a fraction allowed), an empty string
where there is none. Rows are whole: what is saved replaces what was there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from schemas.domain import (
    Binding,
    Change,
    Fields,
    Kind,
    Outcome,
    Person,
    Resource,
    Value,
    kind_of,
    project_of,
)
from schemas.tables import Name

Row: TypeAlias = Mapping[str, object]
"""A row by column: str, int, bool or None; JSON-like values in JSON columns."""

Key: TypeAlias = tuple[str, str]
"""The address and platform of a binding."""

_LONGEST = 200
"""Characters of a value that a log keeps; the whole of it is in git and on the platform."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Why a commit is made; kept in Delta's own log as the commit's metadata.

    Attributes:
        run_id: the run that makes it.
        git_commit: the commit of the specs, or an empty string.
        action: intend, apply, observe, settle, ...
        note: more for people, or an empty string.
    """

    run_id: str
    git_commit: str = ""
    action: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Merged:
    """How many rows a commit inserted, updated and deleted; all 0 where none was needed."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class StateDiff:
    """Where the state differs from what is wanted; what agrees is only counted.

    Attributes:
        missing: wanted and not bound, in the order asked for.
        changed: bound, with another fingerprint, or with drift or a pending operation.
        gone: bound and not wanted.
        bound: how many bindings there are in all.
    """

    missing: tuple[Key, ...] = ()
    changed: tuple[Binding, ...] = ()
    gone: tuple[Binding, ...] = ()
    bound: int = 0


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """A resource as last applied.

    Attributes:
        declared: the fields that the specs gave.
        live: the fields that the platforms own.
        commit: the git commit that it was applied from.
        archived_at: when it was pruned, or an empty string.
    """

    address: str
    kind: Kind
    resource_id: str = ""
    declared: Fields = field(default_factory=dict[str, Value])
    live: Fields = field(default_factory=dict[str, Value])
    fingerprint: str = ""
    platforms: tuple[str, ...] = ()
    protect: bool = False
    spec_path: str = ""
    spec_line: int = 0
    commit: str = ""
    applied_at: str = ""
    archived_at: str = ""

    @classmethod
    def of(
        cls,
        resource: Resource,
        *,
        commit: str,
        applied_at: str,
        resource_id: str,
        live: Fields | None = None,
    ) -> ResourceRow:
        """Return the row of a resource that has just been applied."""
        return cls(
            address=resource.address,
            kind=resource.kind,
            resource_id=resource_id,
            declared=resource.fields,
            live=live or {},
            fingerprint=resource.fingerprint,
            platforms=resource.platforms,
            protect=resource.protect,
            spec_path=resource.source.file,
            spec_line=resource.source.line,
            commit=commit,
            applied_at=applied_at,
        )

    @property
    def title(self) -> str:
        """The title, or the address where none is declared."""
        return str(self.declared.get("title") or self.address)

    @property
    def project(self) -> str:
        """The address of its project (its own, for a project)."""
        return project_of(self.address)


@dataclass(frozen=True, slots=True)
class IntegrationRow:
    """A platform, and where we stand with it.

    Attributes:
        options: what the specs say of it; never a secret.
        cursor: up to where its changes have been observed.
        health: `ok`, `failing`, or empty before the first contact.
        limits: what is left of its rate budget, as the budget dumped it.
        lookups: what its reconciler learned (users, labels, states).
    """

    platform: str
    enabled: bool = False
    options: Mapping[str, Value] = field(default_factory=dict[str, Value])
    cursor: str = ""
    last_success: str = ""
    health: str = ""
    limits: Mapping[str, object] = field(default_factory=dict[str, object])
    lookups: Mapping[str, object] = field(default_factory=dict[str, object])
    updated_at: str = ""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A plan or apply.

    Attributes:
        status: running, done, failed or interrupted.
        counts: how many changes came to which end.
        cost: requests and seconds, as planned and as spent.
        fence: the fencing number that it wrote under; 0 for none.
    """

    run_id: str
    kind: str
    status: str
    who: str = ""
    commit: str = ""
    spec_digest: str = ""
    state_version: str = ""
    started_at: str = ""
    ended_at: str = ""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    cost: Mapping[str, object] = field(default_factory=dict[str, object])
    fence: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class LogRow:
    """An operation on a platform.

    Attributes:
        seq: its place in the run.
        fields: what changed, as (name, before, after); long values are cut.
        ended_at: when the outcome was known.
    """

    run_id: str
    seq: int
    address: str
    platform: str
    action: str
    status: str
    moved_from: str = ""
    remote_id: str = ""
    fields: tuple[tuple[str, Value, Value], ...] = ()
    requests: int = 0
    error: str = ""
    warnings: tuple[str, ...] = ()
    ended_at: str = ""
    milliseconds: int = 0

    @classmethod
    def of(cls, run_id: str, seq: int, at: str, change: Change, outcome: Outcome) -> LogRow:
        """Return the row for a change and what became of it."""
        return cls(
            run_id=run_id,
            seq=seq,
            address=change.address,
            platform=change.platform,
            action=change.action,
            status=outcome.status,
            moved_from=change.moved_from,
            remote_id=outcome.remote_id or change.remote_id,
            fields=tuple((f.name, _cut(f.before), _cut(f.after)) for f in change.fields),
            requests=outcome.requests,
            error=outcome.error,
            warnings=outcome.warnings,
            ended_at=at,
            milliseconds=outcome.milliseconds,
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write the state.

    Attributes:
        run_id: the run that holds it.
        since: when it was taken.
        until: when it ends unless renewed.
        fence: grows with every holder; commits under a smaller number are refused.
        held: `False` once it was given back or broken.
    """

    run_id: str = ""
    who: str = ""
    since: str = ""
    until: str = ""
    fence: int = 0
    held: bool = False


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What one run did to the state.

    Attributes:
        at: when its last commit was made.
        commit: the git commit of the specs.
        who: user and machine, or the GitLab user.
        actions: why it committed, in order: intend, apply, observe, ...
        changes: its operations, in order; only those on the address asked for.
        version: the Delta version of `bindings` after it, for time travel; `None` where it left
            that table alone.
    """

    at: str
    run_id: str
    commit: str = ""
    who: str = ""
    actions: tuple[str, ...] = ()
    changes: tuple[LogRow, ...] = ()
    version: int | None = None


class StateReader(Protocol):
    """All that planning gets. A state that does not exist reads as empty.

    Every method may raise `StateError`, which names the table and what to do.
    """

    @property
    def place(self) -> str:
        """Where the tables are, for people."""
        ...

    def identity(self) -> str | None:
        """Return the state's UUID, or `None` where there is no state yet."""
        ...

    def version(self) -> str:
        """Return what changes whenever bindings, projects or tasks do, and only then."""
        ...

    def diff(self, rows: Iterable[tuple[str, str, str]]) -> StateDiff:
        """Compare the wanted (address, platform, fingerprint) with what is bound.

        Each pair of address and platform occurs once. Only differing rows leave the engine.
        """
        ...

    def bindings(
        self, addresses: Iterable[str] | None = None, platform: str | None = None
    ) -> list[Binding]:
        """Return the bindings, of some addresses or of one platform only, sorted by key."""
        ...

    def remote_ids(self, platform: str) -> dict[str, str]:
        """Return the remote id of every address that is bound on `platform`."""
        ...

    def resources(self, addresses: Iterable[str] | None = None) -> list[ResourceRow]:
        """Return resources as last applied, projects first, then by address."""
        ...

    def integrations(self) -> list[IntegrationRow]:
        """Return what is known of each platform."""
        ...

    def people(self) -> list[Person]:
        """Return the people of the specs as last applied."""
        ...

    def runs(self, limit: int | None = None) -> list[RunRow]:
        """Return the latest runs, newest first."""
        ...

    def lease(self) -> Lease | None:
        """Return the lease if somebody holds it, expired or not."""
        ...

    def history(self, address: str | None = None, limit: int = 20) -> list[HistoryEntry]:
        """Return what the latest runs did, newest first, from Delta's log and `sync_logs`.

        Args:
            address: only runs that touched this resource, a resource below it, or the one that
                it was moved from.
            limit: at most so many entries.
        """
        ...

    def around(self, run_id: str) -> tuple[StateReader, StateReader]:
        """Return bindings and resources as they were before a run, and right after it.

        Raises:
            StateError: Delta's logs no longer reach back to it, or know of no such run.
        """
        ...

    def obstacles(self) -> list[tuple[Name, str]]:
        """Return the features of tables with which another engine could not write to them."""
        ...

    def read(
        self,
        table: Name,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> list[dict[str, object]]:
        """Return rows as they are stored, JSON unparsed; columns the table lacks are `None`.

        Args:
            table: which one.
            columns: only these.
            where: only rows whose column has one of the values, for each column named.
        """
        ...


class StateWriter(StateReader, Protocol):
    """What an apply gets. A commit that loses a race is done again on the new version.

    Every commit raises `StateLocked` when the lease was taken away from this writer,
    `StateConflict` when it lost too many races, `StateError` when it can never succeed.
    """

    def claim(self, identities: Iterable[str]) -> None:
        """Make sure that the state belongs to the repo with these identities; add new ones.

        Raises:
            StateVersionError: it belongs to another repo.
        """
        ...

    def batch(self, *, wait: bool = False) -> AbstractContextManager[None]:
        """Let this thread's commits in the block go together where the engine is far away.

        They are made in order, when the block ends; nothing in it may read what it wrote. What
        they return is what was asked for, and what became of it is looked at then.

        Args:
            wait: they may wait for the next commit, and are lost if the process dies before.

        Raises:
            StateError: one of them failed; those after it were not made.
        """
        ...

    def merge(self, table: Name, rows: Iterable[Row], commit: Commit) -> Merged:
        """Insert or replace whole rows by key, in one commit; none where there are no rows.

        Raises:
            StateError: two rows have one key, a column is missing or unknown, a value does not
                fit, or the engine reports another number of rows than were given.
        """
        ...

    def delete(self, table: Name, keys: Iterable[Sequence[str]], commit: Commit) -> Merged:
        """Delete rows by key; one that is gone already is no error."""
        ...

    def append(self, table: Name, rows: Iterable[Row], commit: Commit) -> int:
        """Add rows without looking for their keys; return how many."""
        ...

    def save_bindings(
        self, bindings: Iterable[Binding], commit: Commit, *, removed: Iterable[Key] = ()
    ) -> Merged:
        """Save some bindings and remove others, in one commit."""
        ...

    def save_resources(
        self,
        rows: Iterable[ResourceRow],
        commit: Commit,
        *,
        archived: Iterable[str] = (),
        at: str = "",
    ) -> Merged:
        """Save resources as applied, and mark those at the addresses `archived` as pruned."""
        ...

    def save_integrations(self, rows: Iterable[IntegrationRow], commit: Commit) -> Merged:
        """Save what is known of some platforms."""
        ...

    def save_people(self, people: Iterable[Person], commit: Commit, *, at: str) -> Merged:
        """Make `users` hold exactly `people`; no commit where it does already."""
        ...

    def save_run(self, run: RunRow, commit: Commit) -> Merged:
        """Save a run; at its start and again at its end."""
        ...

    def append_logs(self, rows: Iterable[LogRow], commit: Commit) -> int:
        """Add operations to the log."""
        ...

    @property
    def lease_seconds(self) -> float:
        """How long the lease should be taken for: longer than the engine's slowest commits."""
        ...

    def acquire_lease(self, run_id: str, who: str, ttl: float, now: str = "") -> Lease:
        """Take the lease for `ttl` seconds; from then on, stale writers' commits fail.

        Args:
            run_id: the run that is to hold it.
            who: shown to those who find it taken.
            ttl: seconds until it may be taken over, unless it is renewed.
            now: the current instant; the system's where empty.

        Raises:
            StateLocked: somebody else holds it; says who, and since when.
        """
        ...

    def renew_lease(self, ttl: float, now: str = "") -> Lease:
        """Keep the lease for `ttl` seconds from now.

        Raises:
            StateLocked: it was broken, or taken over after it had expired.
        """
        ...

    def release_lease(self) -> None:
        """Give the lease back; nothing happens where it was lost already."""
        ...

    def break_lease(self) -> Lease | None:
        """Take the lease from whoever holds it; return what it was, `None` if nobody held it."""
        ...


def _cut(value: Value) -> Value:
    if isinstance(value, str) and len(value) > _LONGEST:
        return value[: _LONGEST - 1] + "…"
    return value


def table_of(address: str) -> Name:
    """Return the table that keeps the resource at `address`."""
    return "projects" if kind_of(address) == "project" else "tasks"

"""The typed state on any engine: what `StateReader` and `StateWriter` promise, done once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import cast

from runner.state import codec, history
from runner.state.commits import LEASE
from runner.state.contract import (
    Commit,
    HistoryEntry,
    IntegrationRow,
    Key,
    Lease,
    LogRow,
    Merged,
    ResourceRow,
    Row,
    RunRow,
    StateDiff,
    StateReader,
    table_of,
)
from runner.state.engine import Columns, Guard, TableReader, TableWriter, Travels
from runner.state.features import obstacles
from schemas.domain import Binding, Person, canonical
from schemas.errors import StateError, StateLocked, StateVersionError
from schemas.tables import (
    FENCE_PROPERTY,
    PLANNED,
    REPOS_PROPERTY,
    STATE_PROPERTY,
    TABLES,
    Name,
    Table,
)


class Reader:
    """The state for reading; see `StateReader`. Holds nothing that can write."""

    def __init__(self, engine: TableReader) -> None:
        self._tables = engine

    @property
    def place(self) -> str:
        """Where the tables are, for people."""
        return self._tables.place

    def identity(self) -> str | None:
        """Return the state's UUID, or `None` where there is no state yet."""
        properties = self._tables.properties()
        return None if properties is None else properties.get(STATE_PROPERTY)

    def version(self) -> str:
        """Return what changes whenever bindings, projects or tasks do, and only then."""
        identity = self.identity()
        return f"{identity}:{self._tables.stamp()}" if identity else "none"

    def diff(self, rows: Iterable[tuple[str, str, str]]) -> StateDiff:
        """Compare what is wanted with what is bound; see `StateReader.diff`."""
        found = self._tables.compare(rows)
        bindings = _sorted(codec.binding_of(row) for row in codec.rows_of(found.rows))
        return StateDiff(
            missing=found.missing,
            changed=tuple(b for b in bindings if (b.address, b.platform) not in found.gone),
            gone=tuple(b for b in bindings if (b.address, b.platform) in found.gone),
            bound=found.bound,
        )

    def bindings(
        self, addresses: Iterable[str] | None = None, platform: str | None = None
    ) -> list[Binding]:
        """Return the bindings, of some addresses or of one platform only, sorted by key."""
        where: dict[str, Sequence[str]] = {}
        if addresses is not None:
            where["address"] = list(addresses)
        if platform is not None:
            where["platform"] = [platform]
        return _sorted(codec.binding_of(row) for row in self._all("bindings", where))

    def remote_ids(self, platform: str) -> dict[str, str]:
        """Return the remote id of every address that is bound on `platform`."""
        table = TABLES["bindings"]
        batch = self._tables.read(table, ["address", "remote_id"], {"platform": [platform]})
        pairs = cast("Iterable[tuple[str, str]]", zip(*batch.values(), strict=True))
        return {address: remote_id for address, remote_id in pairs if remote_id}

    def resources(self, addresses: Iterable[str] | None = None) -> list[ResourceRow]:
        """Return resources as last applied, projects first, then by address."""
        found: list[ResourceRow] = []
        asked = None if addresses is None else list(addresses)
        for name in ("projects", "tasks"):
            where: dict[str, Sequence[str]] = {}
            if asked is not None:
                where["address"] = [item for item in asked if table_of(item) == name]
                if not where["address"]:
                    continue
            table = TABLES[name]
            some = [codec.resource_of(table, row) for row in self._all(name, where)]
            found += sorted(some, key=lambda row: row.address)
        return found

    def integrations(self) -> list[IntegrationRow]:
        """Return what is known of each platform."""
        found = [codec.integration_of(row) for row in self._all("integrations")]
        return sorted(found, key=lambda row: row.platform)

    def people(self) -> list[Person]:
        """Return the people of the specs as last applied."""
        return sorted(map(codec.person_of, self._all("users")), key=lambda person: person.key)

    def runs(self, limit: int | None = None) -> list[RunRow]:
        """Return the latest runs, newest first."""
        table = TABLES["runs"]
        # The lease's row sorts with the runs and is not one of them.
        more = None if limit is None else limit + 1
        batch = self._tables.read(table, table.names, newest="run_id", limit=more)
        found = [row for row in codec.rows_of(batch) if row["kind"] != LEASE]
        return [codec.run_of(row) for row in found[:limit]]

    def lease(self) -> Lease | None:
        """Return the lease if somebody holds it, expired or not."""
        lease = self._lease_row()[0]
        return lease if lease.held else None

    def history(self, address: str | None = None, limit: int = 20) -> list[HistoryEntry]:
        """Return what the latest runs did, newest first; see `StateReader.history`."""
        return history.history(self._tables, address, limit)

    def around(self, run_id: str) -> tuple[StateReader, StateReader]:
        """Return the state before a run's first commit and after its last; see `StateReader`."""
        versions = history.versions_around(self._tables, run_id)
        if versions is None or not isinstance(self._tables, Travels):
            raise StateError(
                f"what the state was before {run_id} cannot be told any more",
                hint="trueup history lists the runs; Delta's logs are cut after a while",
            )
        before, after = versions
        return Reader(self._tables.at(before)), Reader(self._tables.at(after))

    def read(
        self,
        table: Name,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> list[dict[str, object]]:
        """Return rows as they are stored, JSON unparsed; see `StateReader.read`."""
        schema = TABLES[table]
        return list(codec.rows_of(self._tables.read(schema, columns or schema.names, where)))

    def obstacles(self) -> list[tuple[Name, str]]:
        """Return the features of tables with which another engine could not write to them."""
        found: list[tuple[Name, str]] = []
        for name in TABLES:
            look = self._tables.look(name)
            if look:
                found.extend((name, feature) for feature in obstacles(look))
        return found

    def _all(
        self, name: Name, where: Mapping[str, Sequence[str]] | None = None
    ) -> Iterable[dict[str, object]]:
        table = TABLES[name]
        return codec.rows_of(self._tables.read(table, table.names, where))

    def _lease_row(self) -> tuple[Lease, str | None]:
        """Return the lease, and its text to compare with; a blank one where there is no row."""
        batch = self._tables.read(TABLES["runs"], ["lease"], {"run_id": [LEASE]})
        text = batch["lease"][0] if batch["lease"] else None
        return (codec.lease_of(text), text) if isinstance(text, str) else (Lease(), None)


class Writer(Reader):
    """The state for writing; see `StateWriter`. May be used from several threads."""

    def __init__(self, engine: TableWriter) -> None:
        super().__init__(engine)
        self._engine = engine
        self._lease = Lease()
        self._turn = threading.Lock()

    def claim(self, identities: Iterable[str]) -> None:
        """Make sure that the state belongs to the repo with these identities; add new ones."""
        known = sorted(set(identities))

        def change(properties: Mapping[str, str]) -> dict[str, str]:
            repos = _repos(properties, self.place)
            if repos and known and repos.isdisjoint(known):
                raise StateVersionError(
                    f"the state at {self.place} belongs to another repo:"
                    f" {', '.join(sorted(repos))}; this one is {', '.join(known)}",
                    hint="give this repo a state of its own: set `state.name` (or another schema)"
                    " in the Settings spec",
                )
            added = repos.union(known)
            return {} if added == repos else {REPOS_PROPERTY: canonical(sorted(added))}

        self._engine.alter("bindings", change)

    def batch(self, *, wait: bool = False) -> AbstractContextManager[None]:
        """Let this thread's commits in the block go together; see `StateWriter.batch`."""
        return self._engine.batch(wait=wait)

    def merge(self, table: Name, rows: Iterable[Row], commit: Commit) -> Merged:
        """Insert or replace whole rows by key, in one commit; see `StateWriter.merge`."""
        schema = TABLES[table]
        return self._merge(schema, codec.columns_of(schema, rows), {}, commit)

    def delete(self, table: Name, keys: Iterable[Sequence[str]], commit: Commit) -> Merged:
        """Delete rows by key; one that is gone already is no error."""
        schema = TABLES[table]
        return self._merge(schema, {}, codec.keys_of(schema, keys), commit)

    def append(self, table: Name, rows: Iterable[Row], commit: Commit) -> int:
        """Add rows without looking for their keys; return how many."""
        schema = TABLES[table]
        batch = codec.columns_of(schema, rows)
        if codec.size(batch):
            self._engine.append(schema, batch, self._note(commit))
        return codec.size(batch)

    def save_bindings(
        self, bindings: Iterable[Binding], commit: Commit, *, removed: Iterable[Key] = ()
    ) -> Merged:
        """Save some bindings and remove others, in one commit."""
        table = TABLES["bindings"]
        saved = codec.columns_of(table, map(codec.binding_row, bindings))
        return self._merge(table, saved, codec.keys_of(table, removed), commit)

    def save_resources(
        self,
        rows: Iterable[ResourceRow],
        commit: Commit,
        *,
        archived: Iterable[str] = (),
        at: str = "",
    ) -> Merged:
        """Save resources as applied, and mark those at the addresses `archived` as pruned."""
        gone = list(archived)
        pruned = [replace(row, archived_at=at) for row in self.resources(gone)] if gone else []
        total = Merged()
        by_table: dict[Name, list[Row]] = {}
        for row in (*rows, *pruned):
            by_table.setdefault(table_of(row.address), []).append(codec.resource_row(row))
        for name, some in by_table.items():
            done = self.merge(name, some, commit)
            total = Merged(
                total.inserted + done.inserted,
                total.updated + done.updated,
                total.deleted + done.deleted,
            )
        return total

    def save_integrations(self, rows: Iterable[IntegrationRow], commit: Commit) -> Merged:
        """Save what is known of some platforms."""
        return self.merge("integrations", map(codec.integration_row, rows), commit)

    def save_people(self, people: Iterable[Person], commit: Commit, *, at: str) -> Merged:
        """Make `users` hold exactly `people`; no commit where it does already."""
        table = TABLES["users"]
        wanted = {person.key: person for person in people}
        present = {person.key: person for person in self.people()}
        changed = [codec.person_row(p, at) for key, p in wanted.items() if present.get(key) != p]
        gone = [(key,) for key in present if key not in wanted]
        batch = codec.columns_of(table, changed)
        return self._merge(table, batch, codec.keys_of(table, gone), commit)

    def save_run(self, run: RunRow, commit: Commit) -> Merged:
        """Save a run; at its start and again at its end."""
        return self.merge("runs", [codec.run_row(run)], commit)

    def append_logs(self, rows: Iterable[LogRow], commit: Commit) -> int:
        """Add operations to the log."""
        return self.append("sync_logs", map(codec.log_row, rows), commit)

    @property
    def lease_seconds(self) -> float:
        """How long the lease should be taken for; see `StateWriter.lease_seconds`."""
        return self._engine.lease_seconds

    def acquire_lease(self, run_id: str, who: str, ttl: float, now: str = "") -> Lease:
        """Take the lease for `ttl` seconds; see `StateWriter.acquire_lease`."""
        start = _instant(now)
        while True:
            present, text = self._lease_row()
            if present.held and present.run_id != run_id and _instant(present.until) > start:
                raise _locked(present)
            lease = Lease(
                run_id, who, _text(start), _after(start, ttl), present.fence + 1, held=True
            )
            # Somebody else may be as quick: then the row is no longer what it was, and the
            # next look tells who holds the lease.
            if self._swap(text, lease):
                break
        with self._turn:
            self._lease = lease
        if present.held:
            # Whoever gave it back has nothing under way that could still come.
            self._raise_fence(lease.fence)
        self._engine.hold()
        return lease

    def renew_lease(self, ttl: float, now: str = "") -> Lease:
        """Keep the lease for `ttl` seconds from now; see `StateWriter.renew_lease`."""
        with self._turn:
            renewed = replace(self._lease, until=_after(_instant(now), ttl))
            if not self._lease.held or not self._swap(_lease_text(self._lease), renewed):
                present = self.lease()
                if present is None:
                    raise StateLocked("the lease was taken away", hint="run the command again")
                raise _locked(present)
            self._lease = renewed
            return renewed

    def release_lease(self) -> None:
        """Give the lease back; nothing happens where it was lost already."""
        try:
            with self._turn:
                held, self._lease = self._lease, Lease()
                if held.held:
                    self._swap(_lease_text(held), replace(held, held=False))
        finally:
            self._engine.let_go()

    def break_lease(self) -> Lease | None:
        """Take the lease from whoever holds it; return what it was, `None` if nobody held it."""
        while True:
            present, text = self._lease_row()
            if not present.held:
                return None
            free = replace(present, held=False, fence=present.fence + 1)
            if self._swap(text, free):
                self._raise_fence(free.fence)
                return present

    def _merge(self, table: Table, batch: Columns, removed: Columns, commit: Commit) -> Merged:
        saved, gone = codec.size(batch), codec.size(removed)
        if not saved and not gone:
            return Merged()
        codec.refuse_duplicates(table, *(b for b in (batch, removed) if b))
        fence = self._lease.fence if table.name in PLANNED else 0
        done = self._engine.merge(table, batch, removed, self._note(commit), fence=fence)
        if done.inserted + done.updated != saved or done.deleted > gone:
            raise StateError(
                f"{saved} rows were to be saved and {gone} deleted in {table.name}; the engine"
                f" inserted {done.inserted}, updated {done.updated}, deleted {done.deleted}",
                hint="rows share a key: trueup state check tells which",
            )
        return done

    def _note(self, commit: Commit) -> str:
        return history.note_of(commit, self._lease.who, self._lease.fence)

    def _swap(self, expected: str | None, lease: Lease) -> bool:
        """Replace the lease's row if it still is as `expected`; return whether it was."""
        table = TABLES["runs"]
        row = {
            **dict.fromkeys(table.names),
            "run_id": LEASE,
            "kind": LEASE,
            "lease": asdict(lease),
        }
        batch = codec.columns_of(table, [row])
        note = history.note_of(Commit(lease.run_id, action=LEASE), lease.who, lease.fence)
        done = self._engine.merge(table, batch, {}, note, guard=Guard("lease", expected))
        return done.inserted + done.updated == 1

    def _raise_fence(self, fence: int) -> None:
        """Mark every fenced table, so that writers under a smaller number fail from now on."""

        def change(properties: Mapping[str, str]) -> dict[str, str]:
            behind = codec.number(properties.get(FENCE_PROPERTY)) < fence
            return {FENCE_PROPERTY: str(fence)} if behind else {}

        for name in PLANNED:
            self._engine.alter(name, change)


def _sorted(bindings: Iterable[Binding]) -> list[Binding]:
    return sorted(bindings, key=lambda binding: (binding.address, binding.platform))


def _lease_text(lease: Lease) -> str:
    return canonical(asdict(lease))


def _repos(properties: Mapping[str, str], place: str) -> set[str]:
    try:
        return set(json.loads(properties.get(REPOS_PROPERTY, "[]")))
    except (ValueError, TypeError) as error:
        raise StateError(
            f"the table property {REPOS_PROPERTY} of bindings at {place} is no list of repos",
            hint="set it to [] once you are sure whose state it is",
        ) from error


def _locked(lease: Lease) -> StateLocked:
    return StateLocked(
        f"{lease.who} holds the lease since {lease.since} (run {lease.run_id})",
        hint="wait for it with --wait; if that run has died, run: trueup state unlock",
    )


def _instant(text: str) -> datetime:
    """Return an instant; the present one where `text` is empty."""
    return datetime.fromisoformat(text) if text else datetime.now(UTC)


def _after(start: datetime, seconds: float) -> str:
    return _text(start + timedelta(seconds=seconds))


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z")

"""The nine Delta tables as data, and the numbered migrations that make them.

No engine is imported here: a backend reads these values and creates, upgrades and checks its
tables from them. Types are few, because every engine must read and merge what another wrote:

    STRING     UTF-8 text; the empty string and null differ
    JSON       a STRING that holds one JSON value
    BIGINT     64-bit integer
    BOOLEAN    true or false
    DATE       calendar date
    TIMESTAMP  instant in UTC, microseconds; never without a time zone, which would make
               TIMESTAMP_NTZ and a protocol that delta-rs and older Spark cannot merge

`MIGRATIONS` is append-only: what once shipped is never edited, and `TABLES` is what they add up
to. A column can be added; none is renamed, retyped or dropped, since protocol 1/2 cannot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

Type: TypeAlias = Literal["STRING", "JSON", "BIGINT", "BOOLEAN", "DATE", "TIMESTAMP"]

Name: TypeAlias = Literal[
    "users",
    "projects",
    "tasks",
    "integrations",
    "runs",
    "sync_logs",
    "agent_contexts",
    "agent_logs",
    "bindings",
]
"""`bindings` is created last: where it is, the state is whole."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `comment` is what the engines show beside it."""

    name: str
    type: Type
    comment: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        key: the columns that tell its rows apart.
        comment: what a row is.
    """

    name: Name
    key: tuple[str, ...]
    comment: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: tables that are new, and columns added to those that exist."""

    version: int
    tables: tuple[Table, ...] = ()
    columns: tuple[tuple[Name, Column], ...] = ()


PROPERTIES = {
    "delta.minReaderVersion": "1",
    "delta.minWriterVersion": "2",
    "delta.enableDeletionVectors": "false",
    "delta.checkpointInterval": "20",
    "delta.logRetentionDuration": "interval 90 days",
}
"""Table properties that keep every engine able to read and merge, and the log short: what is
older than that, `runs` and `sync_logs` still tell."""

VERSION_PROPERTY = "trueup.version"
STATE_PROPERTY = "trueup.state"
REPOS_PROPERTY = "trueup.repos"
FENCE_PROPERTY = "trueup.fence"

PLANNED: tuple[Name, ...] = ("bindings", "projects", "tasks")
"""Tables that a plan is made from: their rows are the state's version, and who lost the lease may
not write them."""


_TYPES: dict[str, Type] = {name: name for name in get_args(Type)}


def _columns(text: str) -> tuple[Column, ...]:
    """Return the columns listed one a line as `name TYPE comment`."""
    columns: list[Column] = []
    for line in text.strip().splitlines():
        name, kind, comment = line.split(None, 2)
        columns.append(Column(name, _TYPES[kind], comment))
    return tuple(columns)


_RESOURCE = """
    resource_id  STRING     UUID that every remote object carries as its marker
    title        STRING     title as last applied
    status       STRING     declared status, or empty where the platforms own it
    declared     JSON       fields that the specs give
    live         JSON       fields that the platforms own
    fingerprint  STRING     hash of all that decides what the platforms should hold
    platforms    JSON       where it is made real
    protect      BOOLEAN    never to be pruned
    spec_path    STRING     file that declares it, below the repo root
    spec_line    BIGINT     line in that file
    commit       STRING     git commit that it was last applied from
    applied_at   TIMESTAMP  when it was last applied
    archived_at  TIMESTAMP  when it was pruned
"""

MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        1,
        tables=(
            Table(
                "users",
                ("key",),
                "A person of the specs, with how each platform knows them",
                _columns("""
                    key         STRING     how the specs call the person
                    name        STRING     display name
                    email       STRING     e-mail address
                    timezone    STRING     IANA time zone
                    identities  JSON       by platform, the name used there instead of the e-mail
                    updated_at  TIMESTAMP  when this row last changed
                """),
            ),
            Table(
                "projects",
                ("address",),
                "A project as last applied",
                _columns("    address      STRING     our stable name" + _RESOURCE),
            ),
            Table(
                "tasks",
                ("address",),
                "A task or milestone as last applied",
                _columns(
                    """
                    address      STRING     our stable name
                    kind         STRING     milestone or task
                    project      STRING     address of its project
                    parent       STRING     address of its parent task, or empty"""
                    + _RESOURCE
                ),
            ),
            Table(
                "integrations",
                ("platform",),
                "A connected platform",
                _columns("""
                    platform      STRING     linear, gitlab, notion, motion or a third party's
                    enabled       BOOLEAN    whether the specs enable it
                    options       JSON       what the specs say of it; never a secret
                    cursor        STRING     up to where its changes have been observed
                    last_success  TIMESTAMP  when it last did all that was asked
                    health        STRING     ok or failing
                    limits        JSON       what is left of its rate budget
                    lookups       JSON       users, labels, states and ids learned there
                    updated_at    TIMESTAMP  when this row last changed
                """),
            ),
            Table(
                "runs",
                ("run_id",),
                "A plan or apply; one more row, of kind lease, says who may write now",
                _columns("""
                    run_id         STRING     sorts by time
                    kind           STRING     apply, refresh, import ...; lease for the lease
                    status         STRING     running, done, failed or interrupted
                    who            STRING     user and machine, or the GitLab user
                    commit         STRING     git commit of the specs
                    spec_digest    STRING     hash of the resolved specs
                    state_version  STRING     state that the plan was made against
                    started_at     TIMESTAMP  when it began
                    ended_at       TIMESTAMP  when it ended; null while it runs, or if it died
                    counts         JSON       how many changes came to which end
                    cost           JSON       requests and seconds, as planned and as spent
                    lease          JSON       fencing number that it wrote under
                    error          STRING     why it failed, redacted
                """),
            ),
            Table(
                "sync_logs",
                ("run_id", "seq"),
                "An operation on a platform",
                _columns("""
                    run_id        STRING     run that did it
                    seq           BIGINT     its place in the run
                    address       STRING     resource
                    moved_from    STRING     address before a move, or empty
                    platform      STRING     where
                    action        STRING     create, bind, update, move, archive or delete
                    status        STRING     applied, skipped, failed or unknown
                    remote_id     STRING     the platform's id, where known
                    fields        JSON       what changed: name, before, after; long values cut
                    requests      BIGINT     HTTP requests sent for it
                    error         STRING     what went wrong, redacted
                    warnings      JSON       what could not be done as declared
                    ended_at      TIMESTAMP  when the outcome was known
                    milliseconds  BIGINT     how long it took
                """),
            ),
            Table(
                "agent_contexts",
                ("context_id",),
                "A conversation with the agent",
                _columns("""
                    context_id     STRING     UUID
                    request        STRING     what was asked for, in the user's words
                    messages       JSON       the conversation so far
                    specs          JSON       paths and digests of the specs that it was shown
                    operations     JSON       typed spec operations as drafted
                    branch         STRING     git branch of the draft, or empty
                    merge_request  STRING     URL of the merge request, or empty
                    status         STRING     drafting, open, merged, closed or failed
                    who            STRING     who asked
                    created_at     TIMESTAMP  when it began
                    updated_at     TIMESTAMP  when this row last changed
                """),
            ),
            Table(
                "agent_logs",
                ("call_id",),
                "A call of a model",
                _columns("""
                    call_id            STRING     UUID
                    context_id         STRING     conversation that it belongs to
                    request_id         STRING     the provider's own id of the call
                    tier               STRING     small, medium or large
                    why                JSON       reasons for the tier
                    model              STRING     provider:model
                    input_tokens       BIGINT     tokens read
                    output_tokens      BIGINT     tokens written
                    cost_microdollars  BIGINT     price in millionths of a US dollar
                    milliseconds       BIGINT     how long it took
                    verdict            STRING     accepted, rejected, escalated or failed
                    error              STRING     why it failed, redacted
                    started_at         TIMESTAMP  when it was sent
                """),
            ),
            Table(
                "bindings",
                ("address", "platform"),
                "A resource on a platform, and what was last agreed on",
                _columns("""
                    address       STRING     resource
                    platform      STRING     where
                    kind          STRING     project, milestone or task
                    resource_id   STRING     UUID that the remote object carries as its marker
                    remote_id     STRING     the platform's id; empty while a create is pending
                    url           STRING     where a person finds the object
                    base          JSON       field values last agreed on
                    desired_hash  STRING     fingerprint then; empty where something was left open
                    revision      STRING     the platform's version of the object
                    drift         JSON       fields observed to differ from base; null for none
                    pending       JSON       operation begun and not known to be done; null for none
                    updated_at    TIMESTAMP  when this row last changed
                    run_id        STRING     run that changed it
                """),
            ),
        ),
    ),
    Migration(
        2,
        columns=(
            (
                "bindings",
                Column(
                    "edits", "JSON", "who made drift what it is, and when, by field; null for none"
                ),
            ),
        ),
    ),
    Migration(
        3,
        columns=(
            (
                "bindings",
                Column(
                    "echo", "JSON", "how base is shown there, where in other words; null for none"
                ),
            ),
        ),
    ),
)
"""Append only. Each migration can be carried out twice, so that one cut short is done again."""


def fold(migrations: Iterable[Migration]) -> dict[Name, Table]:
    """Return the tables that `migrations` add up to.

    Raises:
        ValueError: the numbers do not run 1, 2, 3, or a table or column is there already.
    """
    tables: dict[Name, Table] = {}
    for number, migration in enumerate(migrations, 1):
        if migration.version != number:
            raise ValueError(f"migration {migration.version} stands in place {number}")
        for table in migration.tables:
            if table.name in tables:
                raise ValueError(f"migration {number}: table {table.name} is there already")
            tables[table.name] = table
        for name, column in migration.columns:
            if column.name in tables[name].names:
                raise ValueError(f"migration {number}: {name}.{column.name} is there already")
            table = tables[name]
            tables[name] = replace(table, columns=(*table.columns, column))
    return tables


TABLES: dict[Name, Table] = fold(MIGRATIONS)
VERSION = len(MIGRATIONS)

"""What a reconciler is: one platform behind one contract, readable in five minutes.

A reconciler module offers two things. `PROFILE` is a pure value: what the platform can hold
(capabilities and field map), what its limits are, and what a change costs there. Planning sees
only this. The `Reconciler` class talks to the platform; only an apply or a refresh makes one.

The engine promises a reconciler that

- operations arrive in dependency order, each only after all that its change names in `after`
  are settled, so that `links.remote_id(address)` has an answer for every reference;
- a create is preceded by `find` wherever the object may exist already;
- errors are sorted by the transport; a reconciler lets `PlatformError` pass through.

A reconciler promises the engine that

- every object it creates carries the operation's marker, and keeps it through its own updates;
- one operation sends as few requests as the platform allows;
- an update or archive sent twice does the same as once;
- what it cannot do as declared (an owner without an account) is a warning, not a failure.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from schemas.domain import Action, Change, Fields, Kind, Person, Value, same

if TYPE_CHECKING:
    from reconcilers._transport import Transport
    from schemas.errors import PlatformError

Mode = Literal["write", "create", "read"]
"""`write`: kept the same; `create`: set once, at creation; `read`: the platform owns it."""


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a platform's field map.

    Attributes:
        name: our field.
        remote: where the platform keeps it, in its own words; shown in the docs.
        kinds: which resources have it there.
        mode: who may write it, and when.
        note: what a reader of the docs should know, one clause.
    """

    name: str
    remote: str
    kinds: tuple[Kind, ...] = ("task",)
    mode: Mode = "write"
    note: str = ""
    observed: bool = True
    """Whether `observe` reads the value back faithfully enough to be compared with base."""
    initial: tuple[Value, ...] = ()
    """What a new object may have there by itself, which is nobody's edit."""
    approximate: bool = False
    """Whether the platform keeps it in words of its own, which stand for the value as written."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast the platform may be asked; the documented figures, settable by the user.

    Attributes:
        requests: how many requests are allowed in `per_seconds`.
        per_seconds: the window.
        concurrency: how many requests may be under way at once.
        points: complexity points allowed in `per_seconds`, for platforms that count them.
    """

    requests: int
    per_seconds: float
    concurrency: int = 1
    points: int = 0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the platform can hold and do; what is not declared here, it cannot."""

    actions: Mapping[Kind, frozenset[Action]]
    fields: tuple[Field, ...]

    def supports(self, kind: Kind, action: Action) -> bool:
        """Return whether the platform can do `action` to a resource of `kind`."""
        return action in self.actions.get(kind, frozenset())

    def writable(self, kind: Kind) -> frozenset[str]:
        """Return the names of the fields that can be given when `kind` is created."""
        return frozenset(f.name for f in self.fields if kind in f.kinds and f.mode != "read")

    def editable(self, kind: Kind) -> frozenset[str]:
        """Return the names of the fields that can be changed later."""
        return frozenset(f.name for f in self.fields if kind in f.kinds and f.mode == "write")

    def initial(self, kind: Kind, name: str) -> tuple[Value, ...]:
        """Return what a new object may have in a field that it was made without."""
        return next((f.initial for f in self.fields if f.name == name and kind in f.kinds), ())

    def approximate(self, kind: Kind) -> frozenset[str]:
        """Return the names of the fields that the platform keeps in words of its own."""
        return frozenset(f.name for f in self.fields if kind in f.kinds and f.approximate)

    def observable(self, kind: Kind) -> frozenset[str]:
        """Return the names of the fields that `observe` reads back faithfully."""
        return frozenset(f.name for f in self.fields if kind in f.kinds and f.observed)


@dataclass(frozen=True, slots=True)
class Price:
    """What a list of changes costs: requests, and points where the platform counts them."""

    requests: int
    points: int = 0


def _as_it_is(_name: str, value: Value) -> Value:
    return value


@dataclass(frozen=True, slots=True)
class Profile:
    """All that is known of a platform without talking to it.

    Attributes:
        price: what a list of changes costs, the set-up included, given the lookups that earlier
            runs left behind.
        batch: how many creates one request can carry; 1 where the platform has no batches.
        finds_before_create: whether a create must be preceded by a look-up by marker; `False`
            where the marker is the object's own id there, so that a second create is refused.
        lag: for how many seconds a new object may be missing from the answers of `find`.
        linkable: whether its objects have URLs worth showing on the other platforms.
        canonical: the form in which two values of a field are compared after a read (Markdown
            that went through the platform's own rich text, say).
        exact: whether every edit of an object gives it another revision.
        container: the option of the Integrations spec that names the container.
    """

    platform: str
    title: str
    capabilities: Capabilities
    limits: Limits
    price: Callable[[Sequence[Change], Mapping[str, object]], Price]
    container: str
    token_variable: str
    url_variable: str
    default_url: str
    batch: int = 1
    finds_before_create: bool = True
    lag: float = 0.0
    linkable: bool = True
    canonical: Callable[[str, Value], Value] = _as_it_is
    exact: bool = True

    def equal(self, name: str, left: Value, right: Value) -> bool:
        """Return whether two values of a field are the same to the platform."""
        return left == right or same(self.canonical(name, left), self.canonical(name, right))

    def seconds(self, price: Price, limits: Limits | None = None) -> float:
        """Return how long the limits make `price` wait, starting with a full budget.

        A window lets a full budget go at once and then waits for it to pass: see `Window`.
        """
        limit = limits or self.limits
        full = max(0, price.requests - 1) // limit.requests
        if limit.points:
            full = max(full, max(0, price.points - 1) // limit.points)
        return full * limit.per_seconds


class Links(Protocol):
    """The engine's answer to "which remote object is this?", for one platform."""

    def remote_id(self, address: str) -> str | None:
        """Return the remote id bound to `address`, or `None`."""
        ...

    def address(self, remote_id: str) -> str | None:
        """Return the address bound to `remote_id`, or `None` for foreign objects."""
        ...


@dataclass(frozen=True, slots=True)
class Operation:
    """One change as handed to a reconciler.

    Attributes:
        change: what is to be done, field by field.
        base: the fields last agreed on; empty for a create.
        desired: all fields as they are to be afterwards.
        drift: what people made of the object since base, as last observed; fields that the
            change does not touch stay that way.
    """

    change: Change
    base: Fields
    desired: Fields
    drift: Fields = field(default_factory=dict[str, Value])

    @property
    def marker(self) -> str:
        """The UUID that the remote object must carry."""
        return self.change.resource_id

    @property
    def remote_id(self) -> str:
        """The platform's id of the object; empty for a create."""
        return self.change.remote_id

    @property
    def project(self) -> str:
        """The address of the project that the resource belongs to."""
        return self.change.address.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class Written:
    """The platform's confirmation of one operation.

    Attributes:
        remote_id: the platform's id; needed again for every later operation.
        url: where a person finds the object, or an empty string.
        revision: the platform's version of the object, or an empty string.
        complete: `False` when part of the operation could not be carried out, so that the next
            plan looks again (a dependency that was refused, say).
        warnings: what was not done as declared, for people to read.
        fields: values that differ from the desired ones by the platform's own rules, such as a
            label that it lacks; they become part of base.
        echo: how the platform shows values that it did take, where it has another word for them,
            such as an estimate in points; base stays as desired.
    """

    remote_id: str
    url: str = ""
    revision: str = ""
    complete: bool = True
    warnings: tuple[str, ...] = ()
    fields: Fields = field(default_factory=dict[str, Value])
    echo: Fields = field(default_factory=dict[str, Value])


@dataclass(frozen=True, slots=True)
class Observed:
    """A remote object as the platform has it now, in our words.

    Attributes:
        marker: our UUID found on it, or an empty string for a foreign object.
        fields: every field of the map that could be read; references as addresses where bound.
        archived: whether it is archived, closed as pruned, trashed or deleted.
        updated_at: when it last changed, an instant in UTC, or an empty string.
        updated_by: who changed it, where the platform tells.
    """

    kind: Kind
    remote_id: str
    marker: str
    fields: Fields
    url: str = ""
    revision: str = ""
    archived: bool = False
    updated_at: str = ""
    updated_by: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `find` is asked for: the marker, and where to look."""

    marker: str
    address: str
    kind: Kind
    container: str = ""


@dataclass(frozen=True, slots=True)
class Connection:
    """All that a reconciler needs to work: where, as whom, and what is already known.

    Attributes:
        options: the platform's entry in the Integrations spec.
        people: by identity on this platform (`Person.identity`), for time zones and names.
        links: addresses to remote ids and back.
        lookups: what an earlier run learned (users, labels, states, a data source's ids) as
            JSON-like values; the reconciler reads and writes it, the engine keeps it in the
            `integrations` table.
        now: the current instant in UTC, `YYYY-MM-DDTHH:MM:SSZ`.
    """

    transport: Transport
    options: Mapping[str, Value]
    people: Mapping[str, Person]
    links: Links
    lookups: dict[str, object]
    now: str


class Reconciler(Protocol):
    """One platform. All methods may raise `PlatformError`; none retries a create."""

    def __init__(self, connection: Connection) -> None:
        """Keep the connection; send nothing yet."""
        ...

    async def check(self) -> str:
        """Return who we are on the platform, for `trueup doctor`; one cheap request."""
        ...

    async def prepare(self, operations: Sequence[Operation]) -> None:
        """Make ready what `operations` need: look up users, labels, states; make what is missing.

        Called once before the first operation of a run; in bulk, and only what is not in
        `lookups` already.
        """
        ...

    async def find(self, wanted: Sequence[Wanted]) -> Mapping[str, Observed]:
        """Return the objects that carry the markers asked for, by marker.

        A marker that is not in the answer was not found in an answer that was complete; a
        failed or partial read raises.
        """
        ...

    def observe(self, since: str | None) -> AsyncIterator[Observed]:
        """Yield what changed since an instant in UTC (`None`: everything that is bound).

        May yield more than changed, never less; foreign objects may be left out.
        """
        ...

    async def create(self, operation: Operation) -> Written:
        """Create the object with its marker and all of `operation.desired`."""
        ...

    async def update(self, operation: Operation) -> Written:
        """Bring the fields of `operation.change` to their new values."""
        ...

    async def move(self, operation: Operation) -> Written:
        """Carry the object to another project, parent or container, keeping its identity."""
        ...

    async def restore(self, operation: Operation) -> Written:
        """Bring back an object that was put away, with all of `operation.desired`.

        Asked for when a resource returns to the specs and `find` meets its archived object.
        """
        ...

    async def archive(self, operation: Operation) -> Written:
        """Put the object away reversibly; an object already put away is success."""
        ...

    async def delete(self, operation: Operation) -> Written:
        """Delete the object as far as the platform lets us; one already gone is success."""
        ...


@runtime_checkable
class Batches(Protocol):
    """An optional extra: a platform that takes many creates in one request."""

    async def create_many(
        self, operations: Sequence[Operation]
    ) -> Sequence[Written | PlatformError]:
        """Create all of `operations`; answer one result for each, in order.

        Raises `OutcomeUnknown` when nobody knows what became of the whole batch.
        """
        ...


@runtime_checkable
class Misses(Protocol):
    """An optional extra: a platform that can tell what was deleted for good.

    What was put away reversibly, `observe` yields as archived; what is gone for ever leaves no
    trace in a feed of changes.
    """

    async def gone(self, unseen: Mapping[str, Kind], *, full: bool) -> Collection[str]:
        """Return the ids of those objects that are no longer there.

        Asked for right after `observe`. An object counts as gone when the platform says so of
        it by itself, never because it was not in an answer.

        Args:
            unseen: the bound objects that were not yielded, by remote id.
            full: `observe` read everything; otherwise only what needs no search.
        """
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """An object that is on a platform, whoever made it, with enough to write its spec.

    Attributes:
        seen: the object. References among its fields are whatever `Links.address` answers.
        name: the platform's own short name for it (`MOB-12`, `#7`), or an empty string.
        word: a milestone that is no object there, but a word on the tasks that refer to it.
    """

    seen: Observed
    name: str = ""
    word: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """What a container holds.

    Attributes:
        container: how the specs name the container.
        title: what people call it.
        objects: oldest first, so that names made from them stay what they are.
        home: remote id of the project object that stands for the container as a whole and holds
            what is in no other project; empty where the platform has none.
        people: by identity, the names of those who own something.
        notes: what cannot be told in our words, for people to read.
    """

    container: str
    title: str
    objects: tuple[Listed, ...]
    home: str = ""
    people: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()


@runtime_checkable
class Lists(Protocol):
    """An optional extra: a platform whose objects can be imported."""

    async def survey(self, container: str, *, closed: bool) -> Listing:
        """Return all that a container holds, foreign objects included, in pages.

        A failed or partial read raises.

        Args:
            container: as the specs name it.
            closed: done and canceled ones too, not only those that open ones refer to.
        """
        ...


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """A merge request about an object.

    Attributes:
        name: the platform's own short name for it (`!7`).
        state: in the platform's own words: opened, merged, closed.
        tie: `related`, `closes` (when it is merged, or would have), or `closed`: it did.
    """

    name: str
    title: str
    state: str
    url: str
    tie: Literal["related", "closes", "closed"] = "related"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit; title and URL are empty where the token may not see it."""

    sha: str
    title: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """What is made of an object in code."""

    merge_requests: tuple[MergeRequest, ...] = ()
    closing_commits: tuple[Commit, ...] = ()


@runtime_checkable
class Codes(Protocol):
    """An optional extra: a platform that ties objects to code."""

    async def code(self, remote_id: str) -> Code:
        """Return the merge requests about the object, and the commits that closed it."""
        ...


@runtime_checkable
class Marks(Protocol):
    """An optional extra: a platform that observes by marker, so imported objects need one."""

    async def mark(self, operation: Operation) -> Written:
        """Give the object its marker and our address; nothing else of it changes."""
        ...


def batches(count: int, size: int) -> int:
    """Return how many batches of at most `size` hold `count`."""
    return math.ceil(count / size)

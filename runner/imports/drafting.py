"""What an import writes: operations on the specs, and which object each resource is.

Pure. New projects come as one operation each, with all that they hold; what belongs to a project
that the specs have is added to it. Status is left to the platforms, as it is by people.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from reconcilers._contract import Listed, Listing, Observed
from runner.imports.joining import FOREIGN, Joins, home_of
from runner.imports.keys import Keys
from runner.imports.people import Owners
from runner.imports.places import Place, Places
from runner.imports.values import say, title_of
from runner.language.timeline import Work, schedule
from schemas.domain import Binding, Desired, Fields, Kind, Value, milestone_address, project_of
from schemas.errors import ConfigError
from schemas.operations import AddMilestone, AddTask, CreateProject, Operation

Closed: TypeAlias = Literal["needed", "skip", "include"]

DONE = frozenset({"done", "canceled"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be imported, and how.

    Attributes:
        projects: only these, by name there or by key; all where it is empty.
        closed: what becomes of closed objects: only those that open ones need, none, or all.
        people: whether to add people whom the specs do not know.
        into: the key of the project for what is in no project.
        matches: by address, which object it is: remote id, short name or URL.
    """

    projects: tuple[str, ...] = ()
    closed: Closed = "needed"
    people: bool = False
    into: str = ""
    matches: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Tie:
    """A resource, and the object that it is.

    Attributes:
        seen: the object; references among its fields are addresses.
        joined: whether the specs declared the resource before.
    """

    address: str
    kind: Kind
    seen: Observed
    joined: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """What an import writes.

    Attributes:
        left: by reason, how many objects are not imported.
        unknown: accounts that own something and belong to nobody of the specs, with how much.
        notes: by object, what is not declared as it is there, and why.
        unsure: by object, the addresses that it may be.
    """

    operations: tuple[Operation, ...]
    ties: tuple[Tie, ...]
    left: Mapping[str, int]
    unknown: Mapping[str, int]
    notes: tuple[tuple[str, str], ...] = ()
    unsure: tuple[tuple[str, tuple[str, ...]], ...] = ()


def draft(
    listing: Listing,
    platform: str,
    desired: Desired,
    bindings: Sequence[Binding],
    joins: Joins,
    wish: Wish,
    places: Places,
) -> Draft:
    """Return what makes the specs declare the objects of `listing`.

    Args:
        listing: what the platform has.
        platform: which one it is.
        desired: what the specs declare.
        bindings: of this platform.
        joins: what was recognised.
        wish: what is to be imported.
        places: the projects of the specs, and where their parts are made real.

    Raises:
        ConfigError: a project that is asked for is not there.
    """
    return _Drafter(listing, platform, desired, bindings, joins, wish, places).run()


class _Drafter:
    def __init__(
        self,
        listing: Listing,
        platform: str,
        desired: Desired,
        bindings: Sequence[Binding],
        joins: Joins,
        wish: Wish,
        places: Places,
    ) -> None:
        self.listing = listing
        self.platform = platform
        self.desired = desired
        self.wish = wish
        self.joins = joins
        self.places = places
        self.why = f"Imported from {platform}"
        self.objects = {item.seen.remote_id: item for item in listing.objects}
        bound = {b.remote_id: b.address for b in bindings if b.remote_id in self.objects}
        self.known = {r: a for r, a in bound.items() if a in desired.resources}
        self.remotes = {address: remote for remote, address in bound.items()}
        # What an earlier import was about to declare keeps its address.
        self.meant = {r: a for r, a in bound.items() if a not in desired.resources}
        self.owners = Owners(
            platform,
            desired.people.values(),
            listing.people,
            adding=wish.people,
            why=self.why,
        )
        self.left: Counter[str] = Counter()
        self.notes: list[tuple[str, str]] = []
        self.addresses: dict[str, str] = {**self.known, **joins.addresses}
        self.homes: dict[str, Place] = {}
        self.above: dict[str, str] = {}
        self.below: dict[str, list[str]] = defaultdict(list)
        self.fields: dict[str, dict[str, object]] = {}

    def run(self) -> Draft:
        projects = self._projects()
        tasks = self._tasks(projects)
        self._settle_projects(projects, tasks)
        milestones = self._milestones(tasks)
        milestones = [remote for remote in milestones if not self.objects[remote].word]
        order = self._settle_tasks(tasks)
        self._say(order)
        self._depend(order)
        self._fit_dates(order)
        ties = tuple(self._ties([*projects, *milestones, *order]))
        joined = {tie.address for tie in ties if tie.joined}
        platforms = self.places.follow(joined, self.platform, self.why)
        operations = list(self._operations(order))
        unsure = tuple(
            (self._name(self.objects[remote]), addresses)
            for remote, addresses in self.joins.unsure.items()
        )
        return Draft(
            (*self.owners.operations, *platforms, *operations),
            ties,
            self.left,
            self.owners.unknown,
            tuple(self.notes),
            unsure,
        )

    # What is taken

    def _projects(self) -> list[str]:
        """Return the project objects that are asked for."""
        projects = {r: item for r, item in self.objects.items() if item.seen.kind == "project"}
        if not self.wish.projects:
            return list(projects)
        chosen: list[str] = []
        names = {r: self._project_names(item) for r, item in projects.items()}
        for wanted in self.wish.projects:
            found = [r for r, known in names.items() if wanted.casefold() in known]
            if not found:
                titles = ", ".join(str(p.seen.fields.get("title")) for p in projects.values())
                raise ConfigError(
                    f"there is no project `{wanted}` on {self.platform}",
                    hint=f"there are: {titles}" if titles else "nothing there is in a project",
                )
            chosen += found
        return list(dict.fromkeys(chosen))

    def _project_names(self, item: Listed) -> set[str]:
        title = str(item.seen.fields.get("title"))
        address = self.addresses.get(item.seen.remote_id, "")
        names = {title, address, Keys().new(title), item.seen.remote_id, item.seen.url}
        return {name.casefold() for name in names if name}

    def _tasks(self, projects: Sequence[str]) -> list[str]:
        """Return the new and joined tasks that are taken, in the order of the listing."""
        within = set(projects)
        tasks = {
            remote: item
            for remote, item in self.objects.items()
            if item.seen.kind == "task" and remote not in self.known
        }
        if self.wish.projects:
            tasks = {remote: item for remote, item in tasks.items() if self._home(item) in within}
        for remote in self.joins.unsure:
            if tasks.pop(remote, None):
                self.left["it may be one of several tasks of the specs"] += 1
        taken = {r for r, item in tasks.items() if self._is_taken(item)}
        if self.wish.closed == "needed":
            taken |= self._needed(taken, tasks)
        closed = len(tasks) - len(taken)
        if closed:
            self.left["closed"] += closed
        return [remote for remote in tasks if remote in taken]

    def _home(self, item: Listed) -> str:
        """Return the project object that a task is in; '' for none that is known.

        A declared project that was not listed is named by its address.
        """
        reference = item.seen.fields.get("project")
        if not isinstance(reference, str):
            return self.listing.home
        if not reference.startswith(FOREIGN):
            known = self.places.has(reference)
            return self.remotes.get(reference, reference if known else self.listing.home)
        remote = reference.removeprefix(FOREIGN)
        return remote if remote in self.objects else self.listing.home

    def _remote(self, reference: Value) -> str:
        """Return the id of an object that another refers to; '' for none that is known."""
        name = str(reference or "")
        return name[1:] if name.startswith(FOREIGN) else self.remotes.get(name, "")

    def _is_taken(self, item: Listed) -> bool:
        is_open = item.seen.fields.get("status") not in DONE and not item.seen.archived
        return is_open or self.wish.closed == "include" or item.seen.remote_id in self.addresses

    def _needed(self, taken: set[str], tasks: Mapping[str, Listed]) -> set[str]:
        """Return the closed tasks that taken ones are a part of, or wait for."""
        needed: set[str] = set()
        pending = list(taken)
        while pending:
            fields = self.objects[pending.pop()].seen.fields
            for reference in (fields.get("parent"), *_texts(fields.get("depends_on"))):
                remote = self._remote(reference)
                if remote in tasks and remote not in taken | needed:
                    needed.add(remote)
                    pending.append(remote)
        return needed

    # Where it goes

    def _settle_projects(self, projects: list[str], tasks: Sequence[str]) -> None:
        """Give every project its key; those that are closed and empty are left out."""
        used = {self._home(self.objects[remote]) for remote in tasks}
        homeless = "" in used
        self.homes |= {key: self.places.of(key) for key in used if self.places.has(key)}
        for remote in list(projects):
            item = self.objects[remote]
            empty = remote not in used and (remote == self.listing.home or not self._is_taken(item))
            if remote in self.addresses:
                self.homes[remote] = self.places.of(self.addresses[remote])
            elif empty:
                projects.remove(remote)
                self.left["closed"] += remote != self.listing.home
            elif remote == self.listing.home:
                self._settle_home(item)
                if remote not in self.addresses:
                    projects.remove(remote)
            else:
                said = say(item.seen.fields)
                place = self._new_project(str(said.fields["title"]), item, on=(self.platform,))
                self.addresses[remote] = place.key
                self.homes[remote] = place
                place.fields |= self._plain(item, said.fields, said.unsaid)
                place.fields["name"] = place.fields.pop("title")
        if homeless and "" not in self.homes:
            self._settle_home(None)

    def _settle_home(self, item: Listed | None) -> None:
        """Find or make the project for what is in none."""
        remote = item.seen.remote_id if item else ""
        key = self.wish.into or home_of(self.listing.title, self.desired)
        if key and self.places.has(key):
            # It stays where it is; tasks join it there.
            self.homes[remote] = self.places.of(key)
            return
        on = (self.platform,) if item else ()
        place = self._new_project(key or self.listing.title, item, on=on, key=key)
        place.fields["name"] = self.listing.title
        self.homes[remote] = place
        if item:
            self.addresses[remote] = place.key

    def _new_project(
        self, title: str, item: Listed | None, *, on: tuple[str, ...], key: str = ""
    ) -> Place:
        remote = item.seen.remote_id if item else ""
        wanted = (
            key
            or self.meant.get(remote, "")
            or str(item.seen.fields.get("key") or "" if item else "")
        )
        return self.places.new(wanted, title, on, self.platform)

    def _milestones(self, tasks: Sequence[str]) -> list[str]:
        """Give milestones their keys; return the new and joined ones."""
        used = {self._remote(self.objects[remote].seen.fields.get("milestone")) for remote in tasks}
        found: list[str] = []
        for remote, item in self.objects.items():
            if item.seen.kind != "milestone" or remote in self.known:
                continue
            home = self._home(item)
            place = self.homes.get(home)
            if place is None:
                continue
            here = home in self.joins.addresses or self.platform in place.platforms
            # Of a project that is nowhere, a milestone is but a word everywhere.
            here = here or (item.word and not place.platforms)
            if item.word and (known := self._known_milestone(place, item)):
                self.addresses[remote] = known
                continue
            if (place.exists and not here) or (item.word and remote not in used):
                continue
            if remote not in used and not self._is_taken(item):
                self.left["closed"] += 1
                continue
            found.append(remote)
            if remote not in self.addresses:
                key = self.meant.get(remote, "").rpartition("/")[2]
                key = key or str(item.seen.fields.get("key") or "")
                title = title_of(item.seen.fields)
                key = place.milestones.new(title, item.name, "milestone", wanted=key)
                self.addresses[remote] = milestone_address(place.key, key)
                said = say(item.seen.fields)
                fields = self._plain(item, said.fields, said.unsaid)
                fields["name"] = fields.pop("title")
                place.new_milestones[key] = {
                    name: value
                    for name, value in fields.items()
                    if name in {"name", "description", "due"}
                }
        return found

    def _known_milestone(self, place: Place, item: Listed) -> str:
        """Return the address of the declared milestone that a word means; '' for none."""
        address = milestone_address(place.key, str(item.seen.fields["key"]))
        return address if place.exists and address in self.desired.resources else ""

    def _settle_tasks(self, tasks: Sequence[str]) -> list[str]:
        """Give tasks their keys and parents; return them, parents before children."""
        taken = set(tasks)
        home = {remote: self.homes[self._home(self.objects[remote])] for remote in tasks}
        for remote in tasks:
            item = self.objects[remote]
            if remote in self.addresses:
                continue
            meant = self.meant.get(remote, "")
            kept = meant.partition("/")[2] if project_of(meant) == home[remote].key else ""
            key = home[remote].keys.new(title_of(item.seen.fields), item.name, wanted=kept)
            self.addresses[remote] = f"{home[remote].key}/{key}"
        for remote in tasks:
            if parent := self._parent(remote, taken, home):
                self.above[remote] = parent
                self.below[parent].append(remote)
        order: list[str] = []
        pending = [r for r in reversed(tasks) if self.above.get(r) not in taken]
        while pending:
            remote = pending.pop()
            order.append(remote)
            pending += reversed(self.below.get(remote, ()))
        return order

    def _parent(self, remote: str, taken: set[str], home: Mapping[str, Place]) -> str:
        """Return the remote id of the task that one is a part of here; '' for none."""
        item = self.objects[remote]
        reference = item.seen.fields.get("parent")
        if not isinstance(reference, str) or self.joins.addresses.get(remote):
            return ""
        parent = self._remote(reference)
        address = self.addresses.get(parent, "")
        if parent in taken | self.known.keys() and project_of(address) == home[remote].key:
            return parent
        self._note(item, "its parent is not among the tasks of its project here; the tie stays")
        return ""

    # What is said of it

    def _say(self, order: Sequence[str]) -> None:
        for remote in order:
            item = self.objects[remote]
            if remote in self.joins.addresses:
                continue
            said = say(item.seen.fields)
            fields = self._plain(item, said.fields, said.unsaid)
            milestone = str(item.seen.fields.get("milestone") or "")
            address = self.addresses.get(milestone.removeprefix(FOREIGN), milestone)
            if project_of(address) == project_of(self.addresses[remote]):
                fields["milestone"] = address.rpartition("/")[2]
            self.fields[remote] = fields

    def _plain(
        self, item: Listed, fields: dict[str, object], unsaid: Mapping[str, str]
    ) -> dict[str, object]:
        """Return plain fields with the owner; note what stays with the platform."""
        for name, why in unsaid.items():
            self._note(item, f"`{name}` stays with {self.platform}: {why}")
        owner = item.seen.fields.get("owner")
        if isinstance(owner, str) and owner and (key := self.owners.key(owner)):
            fields["owner"] = key
        return fields

    def _depend(self, order: Sequence[str]) -> None:
        """Declare what tasks wait for, as far as it makes sense."""
        after: dict[str, list[str]] = {}
        for remote in order:
            if remote not in self.fields:
                continue
            own = self.addresses[remote]
            references = _texts(self.objects[remote].seen.fields.get("depends_on"))
            found = [self.addresses.get(r.removeprefix(FOREIGN), r) for r in references]
            if strangers := sum(a.startswith(FOREIGN) for a in found):
                why = f"it waits for what is not imported ({strangers}); the tie stays"
                self._note(self.objects[remote], why)
            after[remote] = [a for a in found if not a.startswith(FOREIGN) and a != own]
        for remote in self._circular(after):
            self._note(self.objects[remote], "what it waits for goes in a circle; it stays there")
            after[remote] = []
        for remote, addresses in after.items():
            project = project_of(self.addresses[remote])
            if addresses:
                self.fields[remote]["depends_on"] = [
                    a.partition("/")[2] if project_of(a) == project else a for a in addresses
                ]

    def _circular(self, after: Mapping[str, Sequence[str]]) -> Iterator[str]:
        """Yield the tasks whose dependencies must go so that none waits for itself."""
        left = {remote: list(addresses) for remote, addresses in after.items()}
        remotes = {self.addresses[remote]: remote for remote in after}
        parents = {child: self.addresses[parent] for child, parent in self.above.items()}
        while True:
            works = [
                Work(self.addresses[r], 0, 0, parents.get(r, ""), needs)
                for r, needs in left.items()
            ]
            cycles = schedule(works).cycles
            broken = {
                next((remotes[a] for a in cycle if a in remotes and left[remotes[a]]), "")
                for cycle in cycles
            } - {""}
            if not broken:
                return
            for remote in sorted(broken):
                left[remote] = []
                yield remote

    def _fit_dates(self, order: Sequence[str]) -> None:
        """Leave dates to the platform where a project and its parts do not agree."""
        parts: dict[str, list[tuple[str, dict[str, object]]]] = defaultdict(list)
        for remote in order:
            if remote in self.fields:
                name = self._name(self.objects[remote])
                parts[project_of(self.addresses[remote])].append((name, self.fields[remote]))
        for place in self.places.touched():
            dated = [*parts[place.key], *place.new_milestones.items()]
            for name, sign in (("due", 1), ("start", -1)):
                limit = str(place.fields.get(name) or "")
                beyond = [item for item in dated if limit and _beyond(item[1], limit, sign)]
                if beyond and not place.exists:
                    del place.fields[name]
                    why = f"`{name}` stays with {self.platform}: {beyond[0][0]} goes beyond it"
                    self.notes.append((place.key, why))
                elif beyond:
                    for who, fields in beyond:
                        fields.pop("due", None)
                        fields.pop("start", None)
                        why = f"its dates stay with {self.platform}: they go beyond {place.key}'s"
                        self.notes.append((who, why))

    # What is written

    def _operations(self, order: Sequence[str]) -> Iterator[Operation]:
        roots: dict[str, list[str]] = defaultdict(list)
        for remote in order:
            if remote in self.fields and self.above.get(remote) not in self.fields:
                roots[project_of(self.addresses[remote])].append(remote)
        for place in self.places.touched():
            if place.exists:
                yield from self._additions(place, roots[place.key])
                continue
            fields = {**place.fields, **self.places.said_of(place)}
            if place.new_milestones:
                fields["milestones"] = place.new_milestones
            if roots[place.key]:
                fields["tasks"] = self._nested(roots[place.key])
            document = {"key": place.key, "fields": fields, "why": self.why}
            yield CreateProject.model_validate(document)

    def _additions(self, place: Place, roots: Sequence[str]) -> Iterator[Operation]:
        """Yield what adds milestones and tasks to a project of the specs."""
        common = {"project": place.key, "why": self.why}
        for key, fields in place.new_milestones.items():
            yield AddMilestone.model_validate({**common, "key": key, "fields": fields})
        for remote in roots:
            ((key, task),) = self._nested([remote]).items()
            above = self.above.get(remote)
            parent = self.addresses[above].partition("/")[2] if above else None
            fields = {**task, **self.places.said_of_task(place, parent, self.platform)}
            document = {**common, "key": key, "parent": parent, "fields": fields}
            yield AddTask.model_validate(document)

    def _nested(self, remotes: Iterable[str]) -> dict[str, dict[str, object]]:
        tasks: dict[str, dict[str, object]] = {}
        for remote in remotes:
            fields = dict(self.fields[remote])
            below = [child for child in self.below.get(remote, ()) if child in self.fields]
            if below:
                fields["tasks"] = self._nested(below)
            tasks[self.addresses[remote].partition("/")[2]] = fields
        return tasks

    def _ties(self, remotes: Iterable[str]) -> Iterator[Tie]:
        for remote in remotes:
            if remote in self.known or remote not in self.addresses:
                continue
            seen = self.objects[remote].seen
            yield Tie(
                self.addresses[remote],
                seen.kind,
                replace(seen, fields=self._followed(seen.fields)),
                joined=remote in self.joins.addresses,
            )

    def _followed(self, fields: Fields) -> dict[str, Value]:
        """Return fields with addresses for references; those to strangers are left out."""
        followed = dict(fields)
        for name in ("project", "milestone", "parent"):
            value = followed.get(name)
            if isinstance(value, str) and value.startswith(FOREIGN):
                followed.pop(name)
                if address := self.addresses.get(value.removeprefix(FOREIGN)):
                    followed[name] = address
        if "depends_on" in followed:
            found = [
                self.addresses.get(r.removeprefix(FOREIGN), r)
                for r in _texts(followed["depends_on"])
            ]
            followed["depends_on"] = tuple(sorted(a for a in found if not a.startswith(FOREIGN)))
        return followed

    def _note(self, item: Listed, text: str) -> None:
        self.notes.append((self._name(item), text))

    def _name(self, item: Listed) -> str:
        return item.name or item.seen.url or item.seen.remote_id


def _beyond(part: Mapping[str, object], limit: str, sign: int) -> bool:
    """Return whether a part has a date after `limit` (`sign` 1), or before it (-1)."""
    days = [str(part[name]) for name in ("start", "due") if part.get(name)]
    return any((day > limit) if sign > 0 else (day < limit) for day in days)


def _texts(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()

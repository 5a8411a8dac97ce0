"""Which remote objects the specs declare already: said, marked, linked, or called the same.

Pure. Each way is surer than the next, and whatever is not sure is left for a person to say.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconcilers._contract import Listed, Listing
from schemas.domain import Binding, Desired, Kind, Resource, Value, project_of, resource_id
from schemas.errors import ConfigError

FOREIGN = "@"
"""Stands before the remote id in a reference to an object that nothing is bound to."""

Choose = Callable[[Listed, Sequence[str]], "str | None"]
"""Answers which of some addresses an object is; `None` for none of them."""

_URL = re.compile(r"https?://[^\s<>\"'\])]+")
_ALONE = re.compile(
    r"^[\s>*+-]*(?:[\w ]{1,20}:\s*)?(?:\[[^\]]*\]\()?<?(https?://[^\s<>)]+)>?\)?\s*$"
)


@dataclass(frozen=True, slots=True)
class Joins:
    """What was recognised.

    Attributes:
        addresses: by remote id.
        unsure: by remote id, the addresses that it may be.
    """

    addresses: Mapping[str, str] = field(default_factory=dict[str, str])
    unsure: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def join(
    listing: Listing,
    platform: str,
    desired: Desired,
    bindings: Sequence[Binding],
    state_id: str,
    *,
    matches: Mapping[str, str],
    into: str,
    choose: Choose,
) -> Joins:
    """Return which objects are bound to what the specs declare, and to what.

    Args:
        listing: what the platform has.
        platform: which one it is.
        desired: what the specs declare.
        bindings: of all platforms.
        state_id: makes the markers.
        matches: by address, what a person says that it is: remote id, short name or URL.
        into: the key of the project that takes what is in none.
        choose: asked where several come into question.

    Raises:
        ConfigError: a match names what is not there, or is bound already.
    """
    return _Joiner(listing, platform, desired, bindings, state_id, into, choose).run(matches)


class _Joiner:
    def __init__(
        self,
        listing: Listing,
        platform: str,
        desired: Desired,
        bindings: Sequence[Binding],
        state_id: str,
        into: str,
        choose: Choose,
    ) -> None:
        self.listing = listing
        self.platform = platform
        self.desired = desired
        self.choose = choose
        self.into = into
        self.bindings = bindings
        bound = {b.remote_id: b.address for b in bindings if b.platform == platform and b.remote_id}
        self.taken = {address for address in bound.values() if address in desired.resources}
        known = {remote for remote, address in bound.items() if address in self.taken}
        self.left = {
            item.seen.remote_id: item
            for item in listing.objects
            if item.seen.remote_id not in known
        }
        self.found: dict[str, str] = {remote: bound[remote] for remote in known}
        self.unsure: dict[str, tuple[str, ...]] = {}
        self.state_id = state_id

    def run(self, matches: Mapping[str, str]) -> Joins:
        already = set(self.found)
        self._said(matches)
        self._marked()
        self._linked()
        self._called("project")
        self._homed()
        self._called("milestone")
        self._called("task")
        joined = {remote: a for remote, a in self.found.items() if remote not in already}
        return Joins(joined, self.unsure)

    def _bind(self, remote: str, address: str) -> None:
        self.found[remote] = address
        self.taken.add(address)
        del self.left[remote]

    def _said(self, matches: Mapping[str, str]) -> None:
        for address, name in matches.items():
            if address not in self.desired.resources:
                raise ConfigError(
                    f"--match {address}={name}: the specs declare no {address}",
                    hint="an address is project-key or project-key/task-key: trueup status",
                )
            if address in self.taken:
                raise ConfigError(
                    f"--match {address}={name}: {address} is on {self.platform} already",
                    hint=f"look at it with: trueup show {address}",
                )
            kind = self.desired.resources[address].kind
            wanted = name.strip().rstrip("/").casefold()
            found = [
                item.seen.remote_id
                for item in self.left.values()
                if item.seen.kind == kind and wanted in _names(item)
            ]
            if len(found) != 1:
                what = "nothing is" if not found else f"{len(found)} objects are"
                raise ConfigError(
                    f"--match {address}={name}: {what} called so on {self.platform}",
                    hint="name it by its URL, or by its id there",
                )
            self._bind(found[0], address)

    def _marked(self) -> None:
        """Recognise what carries the marker of something declared: trueup made it, once."""
        markers = {b.resource_id: b.address for b in self.bindings if b.resource_id}
        if self.state_id:
            markers |= {resource_id(self.state_id, a): a for a in self.desired.resources}
        for remote, item in list(self.left.items()):
            address = markers.get(item.seen.marker) if item.seen.marker else None
            if address and self._is_free(address, item.seen.kind):
                self._bind(remote, address)

    def _linked(self) -> None:
        """Recognise what points to the same thing on another platform, or is pointed to."""
        urls: dict[str, str] = {}
        for binding in self.bindings:
            if binding.url and binding.platform != self.platform:
                urls[binding.url.rstrip("/")] = binding.address
        pointed = self._pointed()
        for remote, item in list(self.left.items()):
            addresses = {urls[url] for url in _pointers(item) if url in urls}
            addresses |= pointed.get(item.seen.url.rstrip("/"), set()) if item.seen.url else set()
            free = {a for a in addresses if self._is_free(a, item.seen.kind)}
            if len(free) == 1:
                self._bind(remote, free.pop())

    def _pointed(self) -> dict[str, set[str]]:
        """Return by URL the resources whose declared links have it."""
        pointed: dict[str, set[str]] = defaultdict(set)
        for resource in self.desired.resources.values():
            for link in _texts(resource.fields.get("links")):
                pointed[link.partition(" ")[0].rstrip("/")].add(resource.address)
        return pointed

    def _homed(self) -> None:
        """Let the container as a whole be the project that it is to go into."""
        home = self.listing.home
        if not home or home not in self.left:
            return
        address = self.into or self._called_home()
        on = self.desired.resources[address].platforms if address in self.desired.resources else ()
        if self.platform in on and address not in self.taken:
            self._bind(home, address)

    def _called_home(self) -> str:
        return home_of(self.listing.title, self.desired)

    def _called(self, kind: Kind) -> None:
        """Recognise what is called the same, where that tells one from all others."""
        remotes: dict[tuple[str, str], list[str]] = defaultdict(list)
        for remote, item in self.left.items():
            home = self._project(item)
            if item.seen.kind == kind and home is not None and remote != self.listing.home:
                remotes[home, _folded(item.seen.fields.get("title"))].append(remote)
        candidates: dict[tuple[str, str], list[str]] = defaultdict(list)
        for resource in self.desired.resources.values():
            if resource.kind == kind and self._is_free(resource.address, kind):
                candidates[_scope(resource), _folded(resource.fields.get("title"))].append(
                    resource.address
                )
        for key, found in remotes.items():
            addresses = candidates.get(key, [])
            if len(found) == 1 and len(addresses) == 1:
                self._bind(found[0], addresses[0])
            elif addresses:
                self._ask(found, addresses)

    def _ask(self, remotes: Iterable[str], addresses: Sequence[str]) -> None:
        for remote in remotes:
            left = [address for address in addresses if address not in self.taken]
            if not left:
                return
            chosen = self.choose(self.left[remote], left)
            if chosen in left:
                self._bind(remote, chosen)
            elif chosen is None:
                self.unsure[remote] = tuple(left)

    def _project(self, item: Listed) -> str | None:
        """Return the project whose resources an object may be; '' for projects themselves."""
        if item.seen.kind == "project":
            return ""
        reference = item.seen.fields.get("project")
        if not isinstance(reference, str):
            return self.into or self._called_home() or None
        if not reference.startswith(FOREIGN):
            return reference
        remote = reference.removeprefix(FOREIGN)
        if remote == self.listing.home and remote not in self.found:
            return self.into or self._called_home() or None
        return self.found.get(remote)

    def _is_free(self, address: str, kind: Kind) -> bool:
        resource = self.desired.resources.get(address)
        return resource is not None and resource.kind == kind and address not in self.taken


def home_of(title: str, desired: Desired) -> str:
    """Return the project that is called like a container, by name or by key; '' for none."""
    folded = _folded(title)
    for resource in desired.resources.values():
        if resource.kind == "project" and folded in (
            _folded(resource.fields.get("title")),
            resource.address.replace("-", " "),
        ):
            return resource.address
    return ""


def _scope(resource: Resource) -> str:
    return "" if resource.kind == "project" else project_of(resource.address)


def _folded(title: Value) -> str:
    return " ".join(re.findall(r"\w+", str(title or "").casefold()))


def _names(item: Listed) -> set[str]:
    names = (item.seen.remote_id, item.name, item.seen.url.rstrip("/"))
    return {name.casefold() for name in names if name}


def _texts(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _pointers(item: Listed) -> Iterator[str]:
    """Yield the addresses that an object is tied to: its links, and lines that are just one."""
    fields = item.seen.fields
    for link in (*_texts(fields.get("links")), *_texts(fields.get("counterparts"))):
        yield from (url.rstrip("/") for url in _URL.findall(link)[:1])
    for line in str(fields.get("description") or "").splitlines():
        if found := _ALONE.match(line):
            yield found[1].rstrip("/")

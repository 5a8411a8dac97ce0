"""Where trueup lives in a Notion workspace: two databases below a page, and who is who.

Everything here is looked up once, kept in the connection's lookups, and looked up again only when
a name is missing or an id has gone.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

from reconcilers._blocks import Json, text_of
from reconcilers._contract import Connection
from reconcilers._notion_columns import PRIORITY_OPTIONS, STATUS_OPTIONS, Columns, Unfit
from schemas.domain import hash_of
from schemas.errors import OutcomeUnknown, PermanentError

if TYPE_CHECKING:
    from reconcilers._transport import Transport

Sourced = Literal["project", "task"]
"""The kinds of resources that are rows."""

KINDS: tuple[Sourced, ...] = ("project", "task")
TITLES: Mapping[Sourced, str] = {"project": "Projects", "task": "Tasks"}
OPTIONS: Mapping[Sourced, str] = {"project": "projects", "task": "tasks"}
"""The options of the Integrations spec that name databases which people made."""

MARKER = "trueup"
"""The property that holds a row's marker, and the word that marks our databases."""

PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Property:
    """A column of our databases.

    Attributes:
        options: of a select, with their colours.
        target: what a relation points to.
        synced: how Notion is to call the other end of a relation.
    """

    name: str
    type: str
    kinds: tuple[Sourced, ...] = KINDS
    options: tuple[tuple[str, str], ...] = ()
    target: Sourced | None = None
    synced: str = ""


_TASK: tuple[Sourced, ...] = ("task",)

PROPERTIES = (
    Property("Name", "title"),
    Property("Key", "rich_text"),
    Property("Status", "select", options=STATUS_OPTIONS),
    Property("Priority", "select", options=PRIORITY_OPTIONS),
    Property("Owner", "people"),
    Property("Start", "date"),
    Property("Due", "date"),
    Property("Estimate", "number", _TASK),
    Property("Labels", "multi_select"),
    Property("Milestone", "select", _TASK),
    Property("Links", "rich_text"),
    Property("Linear", "url"),
    Property("GitLab", "url"),
    Property("Motion", "url"),
    Property("Scheduled", "date", _TASK),
    Property("Project", "relation", _TASK, target="project", synced="Tasks"),
    Property("Parent", "relation", _TASK, target="task", synced="Subtasks"),
    Property("Depends on", "relation", _TASK, target="task", synced="Blocks"),
    Property(MARKER, "rich_text"),
)

SCHEMA = hash_of([[p.name, p.type, p.kinds, p.options, p.target, p.synced] for p in PROPERTIES])
"""Changes when a later version has other columns, so that it looks at them again."""


@dataclass(frozen=True, slots=True)
class Source:
    """One of our databases.

    Attributes:
        title: what its title column is called by now; people may rename it.
        columns: what it calls all columns, where people made it and trueup only uses it.
    """

    database: str
    data_source: str
    title: str = "Name"
    columns: Columns | None = None


def is_set_up(known: Mapping[str, object]) -> bool:
    """Return whether earlier runs found or made both databases with all of our columns."""
    home = _mapping(known.get("home"))
    return home.get("schema") == SCHEMA and all(_mapping(home.get(kind)) for kind in KINDS)


def has_members(known: Mapping[str, object], identities: Collection[str]) -> bool:
    """Return whether earlier runs learned the accounts of all `identities`."""
    members = {
        str(name).casefold()
        for user, names in _mapping(known.get("members")).items()
        for name in (user, *cast("list[object]", names if isinstance(names, list) else []))
    }
    return all(identity.casefold() in members for identity in identities)


class Home:
    """Finds, makes and keeps the two databases."""

    def __init__(self, connection: Connection) -> None:
        self.made: set[Sourced] = set()
        """Databases that were made just now and have no row yet."""
        self._transport = connection.transport
        self._option = str(connection.options.get("parent") or "")
        self._lookups = connection.lookups
        theirs = {kind: connection.options.get(option) for kind, option in OPTIONS.items()}
        self._theirs = {kind: str(name) for kind, name in theirs.items() if name}
        self._columns = cast(
            "dict[str, str]", json.loads(str(connection.options.get("properties") or "{}"))
        )

    def source(self, kind: Sourced) -> Source | None:
        """Return where rows of `kind` are, as far as it is known without a request."""
        known = _mapping(self._kept().get(kind))
        ids = known.get("database"), known.get("data_source")
        if not all(isinstance(i, str) and i for i in ids):
            return None
        if known.get("asked") != self._asked(kind):
            return None
        columns = _mapping(known.get("columns"))
        return Source(
            str(ids[0]),
            str(ids[1]),
            str(known.get("title") or "Name"),
            Columns.stored(columns) if columns else None,
        )

    def forget(self) -> None:
        """Look for everything again at the next occasion."""
        self._lookups.pop("home", None)

    async def locate(self) -> None:
        """Find the databases where that was not done before; make nothing."""
        missing = [kind for kind in KINDS if self.source(kind) is None]
        if not missing or (self._theirs and self._kept().get("missing") == missing):
            return
        page = await self._page()
        there = await self._databases(page)
        kept: Json = {"parent": self._option, "page": page}
        for kind in KINDS:
            if kind in self._theirs:
                source = await self._find(self._theirs[kind], there)
                kept[kind] = _dump(source) | {"asked": self._asked(kind)}
                continue
            for database in there.get(TITLES[kind], []):
                if source := await self._ours(kind, database):
                    kept[kind] = _dump(source)
                    break
        kept["missing"] = [kind for kind in KINDS if kind not in kept]
        self._lookups["home"] = kept

    async def accept(self, kinds: Collection[str]) -> None:
        """Make room for the marker in databases that people made."""
        if not kinds:
            return
        await self.locate()
        for kind in KINDS:
            source = self.source(kind)
            if kind in kinds and source is not None and source.columns is not None:
                await self._patch(source, {MARKER: {"type": "rich_text", "rich_text": {}}})

    async def ensure(self) -> None:
        """Make the databases where they are missing, and add what columns they lack.

        Raises:
            PermanentError: the parent cannot be found, or a column has another type.
        """
        await self.locate()
        if self._kept().get("parent") != self._option:
            await self._carry_over()
        if self._kept().get("schema") == SCHEMA and all(self.source(kind) for kind in KINDS):
            return
        for kind in KINDS:
            source = self.source(kind)
            if source is not None and source.columns is not None:
                await self.accept([kind])
                continue
            if source is None:
                source = await self._make(kind)
            else:
                source = await self._complete(kind, source)
            self._lookups["home"] = {**self._kept(), kind: _dump(source)}
        self._lookups["home"] = {**self._kept(), "schema": SCHEMA}

    def _kept(self) -> Json:
        return _mapping(self._lookups.get("home"))

    async def _carry_over(self) -> None:
        """Follow the `parent` option to another page."""
        page = await self._page()
        if page != self._kept().get("page"):
            body = {"parent": {"type": "page_id", "page_id": page}}
            for source in filter(None, map(self.source, KINDS)):
                if source.columns is not None:
                    continue
                await self._transport.write(
                    "PATCH", f"/v1/databases/{source.database}", json=body, repeatable=True
                )
        self._lookups["home"] = {**self._kept(), "parent": self._option, "page": page}

    def _asked(self, kind: Sourced) -> Json | None:
        """Return what the Integrations spec says of a database that people made."""
        if kind not in self._theirs:
            return None
        return {"database": self._theirs[kind], "properties": self._columns}

    async def _find(self, name: str, there: Mapping[str, Sequence[str]]) -> Source:
        """Return a database that people made, named by id, URL, or title on the parent page."""
        named = there.get(name, [])
        database = page_id(name) or (named[0] if len(named) == 1 else "")
        if not database:
            titles = ", ".join(sorted(there)) or "none"
            raise self._wrong(
                f"{len(named) or 'no'} databases on the parent page are called `{name}`",
                f"give the database's URL; on the page there are: {titles}",
            )
        answer = await self._transport.read("GET", f"/v1/databases/{database}")
        source = _source(answer.data)
        answer = await self._transport.read("GET", f"/v1/data_sources/{source.data_source}")
        properties = {n: _mapping(c) for n, c in _mapping(answer.data["properties"]).items()}
        try:
            columns = Columns.of(properties, self._columns)
        except Unfit as error:
            shown = ", ".join(f"{n} ({c.get('type')})" for n, c in sorted(properties.items()))
            raise self._wrong(
                f"the column {error}", f"see `properties` of notion; `{name}` has: {shown}"
            ) from None
        return replace(source, title=columns.names["Name"], columns=columns)

    async def _page(self) -> str:
        """Return the id of the parent page, which the option names by id, URL or title."""
        if not self._option:
            raise self._wrong(
                "no parent page is set", "add to the Integrations spec: notion: {parent: PAGE}"
            )
        if found := page_id(self._option):
            return found
        body: Json = {"query": self._option, "filter": {"property": "object", "value": "page"}}
        wanted = self._option.strip().casefold()
        hits = [
            page
            async for page in pages(self._transport, "POST", "/v1/search", body)
            if _title(page).strip().casefold() == wanted and not page.get("in_trash")
        ]
        if len(hits) == 1:
            return str(hits[0]["id"])
        if hits:
            urls = ", ".join(str(page.get("url")) for page in hits)
            raise self._wrong(
                f"{len(hits)} pages are called `{self._option}`: {urls}",
                "give the page's URL as notion: {parent: URL}",
            )
        raise self._wrong(
            f"no page called `{self._option}` can be seen with this token",
            "share the page with the connection (page menu, Connections), or give its URL",
        )

    async def _databases(self, page: str) -> dict[str, list[str]]:
        """Return the databases on a page by title; unlike a search, this never lags."""
        there: dict[str, list[str]] = {}
        path = f"/v1/blocks/{page}/children"
        async for block in pages(self._transport, "GET", path):
            if block.get("type") == "child_database" and not block.get("in_trash"):
                title = str(_mapping(block.get("child_database")).get("title"))
                there.setdefault(title, []).append(str(block["id"]))
        return there

    async def _ours(self, kind: Sourced, database: str) -> Source | None:
        answer = await self._transport.read("GET", f"/v1/databases/{database}")
        if _mark(kind) not in text_of(answer.data.get("description")):
            return None
        return _source(answer.data)

    async def _make(self, kind: Sourced) -> Source:
        page = str(self._kept()["page"])
        mine = [p for p in PROPERTIES if kind in p.kinds]
        body: Json = {
            "parent": {"type": "page_id", "page_id": page},
            "title": [{"type": "text", "text": {"content": TITLES[kind]}}],
            "description": [{"type": "text", "text": {"content": _description(kind)}}],
            "initial_data_source": {
                "properties": {p.name: self._config(p) for p in mine if p.target != kind}
            },
        }
        try:
            answer = await self._transport.write(
                "POST", "/v1/databases", json=body, repeatable=False
            )
        except OutcomeUnknown:
            for database in (await self._databases(page)).get(TITLES[kind], []):
                if source := await self._ours(kind, database):
                    return await self._complete(kind, source)
            raise
        source = _source(answer.data)
        self.made.add(kind)
        # Only now is there something that a relation to itself can point to.
        itself: Json = {p.name: self._config(p, source) for p in mine if p.target == kind}
        if itself:
            await self._patch(source, itself)
        return source

    async def _complete(self, kind: Sourced, source: Source) -> Source:
        """Add what columns are missing; people's own stay as they are."""
        answer = await self._transport.read("GET", f"/v1/data_sources/{source.data_source}")
        there = {
            name: _mapping(config) for name, config in _mapping(answer.data["properties"]).items()
        }
        title = next((name for name, c in there.items() if c.get("type") == "title"), "Name")
        missing: Json = {}
        for column in PROPERTIES:
            if kind not in column.kinds or column.type == "title":
                continue
            config = there.get(column.name)
            wanted = self._config(column, source if column.target == kind else None)
            if config is None or (column.target and _points_elsewhere(config, wanted)):
                missing[column.name] = wanted
            elif config.get("type") != column.type:
                raise self._wrong(
                    f"the column `{column.name}` of {TITLES[kind]} is of type "
                    f"{config.get('type')}, and trueup needs {column.type}",
                    "rename that column, or turn it back",
                )
        if missing:
            await self._patch(source, missing)
        return Source(source.database, source.data_source, title)

    async def _patch(self, source: Source, columns: Json) -> None:
        await self._transport.write(
            "PATCH",
            f"/v1/data_sources/{source.data_source}",
            json={"properties": columns},
            repeatable=True,
        )

    def _config(self, column: Property, itself: Source | None = None) -> Json:
        if column.type == "select":
            options = [{"name": name, "color": color} for name, color in column.options]
            return {"type": "select", "select": {"options": options} if options else {}}
        if column.target:
            target = itself or self.source(column.target)
            relation: Json = {
                "type": "dual_property",
                "data_source_id": target.data_source if target else "",
                "dual_property": {"synced_property_name": column.synced},
            }
            return {"type": "relation", "relation": relation}
        return {"type": column.type, column.type: {}}

    def _wrong(self, message: str, hint: str) -> PermanentError:
        return PermanentError(message, platform="notion", hint=hint)


class Members:
    """Who has an account in the workspace."""

    def __init__(self, connection: Connection) -> None:
        self._transport = connection.transport
        self._lookups = connection.lookups
        self._people = connection.people

    async def learn(self, identities: Collection[str]) -> None:
        """Fetch the members where one of `identities` is not known yet."""
        if all(self.user_id(identity) for identity in identities):
            return
        await self._fetch()
        self._lookups["strangers"] = sorted(i for i in identities if not self.user_id(i))

    async def meet(self, user: str) -> None:
        """Fetch the members where `user` is not among those known, once for each of them."""
        met = cast("list[str]", self._lookups.get("met") or [])
        if user and user not in met and not self.user_id(user):
            self._lookups["met"] = sorted({*met, user})
            await self._fetch()

    async def _fetch(self) -> None:
        members: Json = {}
        try:
            async for user in pages(self._transport, "GET", "/v1/users"):
                email = _mapping(user.get("person")).get("email")
                members[str(user["id"])] = [str(email or ""), str(user.get("name") or "")]
        except PermanentError as error:
            # A connection may have been denied the capability to read users.
            if error.status != 403:
                raise
        self._lookups["members"] = members

    async def names(self, identities: Collection[str]) -> dict[str, str]:
        """Return what people are called, by how they are known."""
        await self.learn(identities)
        members = _mapping(self._lookups.get("members"))
        found: dict[str, str] = {}
        for identity in identities:
            known = members.get(self.user_id(identity) or "")
            if isinstance(known, list) and len(named := cast("list[str]", known)) > 1 and named[1]:
                found[identity] = named[1]
        return found

    @property
    def complete(self) -> bool:
        """Whether everybody who was ever asked for has an account."""
        return not self._lookups.get("strangers")

    def user_id(self, identity: str) -> str | None:
        """Return the account of a person, found by e-mail address, id or name."""
        wanted = identity.casefold()
        for user, names in _mapping(self._lookups.get("members")).items():
            known = [user, *cast("Sequence[object]", names if isinstance(names, list) else [])]
            if wanted in (str(name).casefold() for name in known):
                return user
        return None

    def identity(self, user: str, email: str = "") -> str | None:
        """Return how the specs know an account: as they spell it, else by e-mail address."""
        for identity in self._people:
            if self.user_id(identity) == user:
                return identity
        names = _mapping(self._lookups.get("members")).get(user)
        known = [str(name) for name in cast("list[object]", names or [])]
        return next((name for name in (*known, email) if name), None)


async def pages(
    transport: Transport, method: Literal["GET", "POST"], path: str, body: Json | None = None
) -> AsyncIterator[Json]:
    """Yield every result of a list, one page of it after the other.

    Raises:
        PermanentError: Notion gave only a part of a long list.
    """
    async for batch in batches(transport, method, path, body):
        for item in batch:
            yield item


async def batches(
    transport: Transport, method: Literal["GET", "POST"], path: str, body: Json | None = None
) -> AsyncIterator[list[Json]]:
    """Yield the results of a list as they come, at most 100 at a time."""
    cursor: str | None = None
    while True:
        at: dict[str, str] = {"start_cursor": cursor} if cursor else {}
        if method == "GET":
            answer = await transport.read("GET", path, params={"page_size": str(PAGE_SIZE), **at})
        else:
            sent: Json = {**(body or {}), "page_size": PAGE_SIZE, **at}
            answer = await transport.read("POST", path, json=sent)
        yield cast("list[Json]", answer.data["results"])
        cursor = cast("str | None", answer.data.get("next_cursor"))
        if answer.data.get("has_more") and cursor:
            continue
        if _mapping(answer.data.get("request_status")).get("type") == "incomplete":
            raise PermanentError(
                "the list is longer than Notion gives out",
                platform="notion",
                request=f"{method} {path}",
            )
        return


def page_id(text: str) -> str:
    """Return the id that `text` (an id or a URL) ends with, in its usual form, or ''."""
    found = re.search(
        r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$",
        text.strip().partition("?")[0].partition("#")[0].lower(),
    )
    return "-".join(found.groups()) if found else ""


def _mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _dump(source: Source) -> Json:
    kept: Json = {
        "database": source.database,
        "data_source": source.data_source,
        "title": source.title,
    }
    return kept | ({"columns": source.columns.dump()} if source.columns else {})


def _source(database: Json) -> Source:
    sources = cast("list[dict[str, str]]", database["data_sources"])
    return Source(str(database["id"]), sources[0]["id"])


def _title(page: Json) -> str:
    for value in _mapping(page.get("properties")).values():
        if _mapping(value).get("type") == "title":
            return text_of(_mapping(value).get("title"))
    return ""


def _mark(kind: Sourced) -> str:
    return f"{MARKER}:{TITLES[kind].lower()}"


def _description(kind: Sourced) -> str:
    return (
        f"Kept in step with the specs by trueup ({_mark(kind)}). Rows and columns that you add "
        "yourself are left alone."
    )


def _points_elsewhere(config: Json, wanted: Json) -> bool:
    there = str(_mapping(config.get("relation")).get("data_source_id")).replace("-", "")
    ours = str(_mapping(wanted["relation"])["data_source_id"]).replace("-", "")
    return config.get("type") == "relation" and there != ours

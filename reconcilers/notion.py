"""Notion: projects and tasks as rows of two databases, descriptions as page bodies.

Below the page that the Integrations spec names, trueup keeps the databases "Projects" and "Tasks".
Columns that people add are theirs. A milestone has no page of its own: a task's Milestone column
names it by its key.

API version 2025-09-03. Status and Priority are `select` columns, since a `status` column's groups
cannot be set through the API. Facts verified 2026-11-24 against the types of Notion's own client
and developers.notion.com/reference.
"""

from __future__ import annotations

import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from reconcilers._blocks import (
    Json,
    batches,
    blocks_of,
    canonical_markdown,
    markdown_of,
    opening,
    rich_text,
    text_of,
    with_children,
)
from reconcilers._contract import (
    Capabilities,
    Connection,
    Limits,
    Listing,
    Observed,
    Operation,
    Profile,
    Wanted,
    Written,
)
from reconcilers._notion_errors import classify, explained, is_homeless
from reconcilers._notion_fields import (
    BOTH,
    CUT,
    EMPTY,
    FIELDS,
    MOST,
    RELATIONS,
    SCHEDULED,
    from_remote,
    related,
    strings,
    to_remote,
)
from reconcilers._notion_home import (
    KINDS,
    MARKER,
    PAGE_SIZE,
    Home,
    Members,
    Source,
    Sourced,
    pages,
)
from reconcilers._notion_home import batches as result_batches
from reconcilers._notion_price import price
from reconcilers._notion_survey import survey
from reconcilers._spans import Span
from schemas.domain import Fields, Kind, Value
from schemas.errors import OutcomeUnknown, PermanentError, PlatformError

if TYPE_CHECKING:
    import httpx

    from reconcilers._budget import Budget
    from reconcilers._transport import Answer, Transport

VERSION = "2025-09-03"
FEW = 20
"""Up to so many changed rows, every body is read."""

TRASH = "trash"
"""Where the lookups keep when the trash was last looked through, in seconds since 1970."""

TRASH_EVERY = 3_600.0

# ── what planning sees ────────────────────────────────────────────────────────────────────────


def canonical(name: str, value: Value) -> Value:
    """Return the form in which two values of the field `name` are the same to Notion."""
    if name == "description":
        return canonical_markdown(str(value or "")) or None
    if name == "title" and isinstance(value, str):
        return value.strip()
    # A row without a status or priority means the same as one that says so.
    return EMPTY.get(name, value) if value is None else value


PROFILE = Profile(
    platform="notion",
    title="Notion",
    capabilities=Capabilities(
        actions={
            kind: frozenset({"create", "bind", "update", "move", "archive", "delete"})
            for kind in BOTH
        },
        fields=FIELDS,
    ),
    # An average of three a second, as a budget for each minute.
    limits=Limits(requests=180, per_seconds=60, concurrency=12),
    price=price,
    container="parent",
    token_variable="NOTION_TOKEN",  # noqa: S106
    url_variable="TRUEUP_NOTION_URL",
    default_url="https://api.notion.com",
    lag=60.0,
    canonical=canonical,
    exact=False,
)


# ── talking to Notion ─────────────────────────────────────────────────────────────────────────


def transport(
    token: str, base_url: str, budget: Budget, client: httpx.AsyncClient | None = None
) -> Transport:
    """Return the transport: bearer token, API version, Notion's own rules for retries."""
    from reconcilers._transport import Transport

    return Transport(
        "notion",
        base_url,
        headers={"Authorization": f"Bearer {token}", "Notion-Version": VERSION},
        budget=budget,
        secrets=(token,),
        classify=classify,
        rate_pause=1.0,
        client=client,
    )


class Notion:
    """Projects and tasks in a Notion workspace."""

    def __init__(self, connection: Connection) -> None:
        self._transport = connection.transport
        self._links = connection.links
        self._home = Home(connection)
        self._members = Members(connection)
        self._lookups = connection.lookups
        import asyncio

        self._mending = asyncio.Lock()
        self._mended = 0

    async def check(self) -> str:
        """Return the name of the connection; one request."""
        answer = await self._transport.read("GET", "/v1/users/me")
        workspace = cast("Json", answer.data.get("bot") or {}).get("workspace_name")
        name = answer.data.get("name") or answer.data["id"]
        return f"{name} in {workspace}" if workspace else str(name)

    async def prepare(self, operations: Sequence[Operation]) -> None:
        """Make the databases before a create, and look up the owners that are asked for."""
        if any(operation.change.action == "create" for operation in operations):
            await self._home.ensure()
        await self._home.accept({o.change.kind for o in operations if o.change.action == "bind"})
        owners = {str(o.change.values().get("owner") or "") for o in operations} - {""}
        if owners:
            await self._members.learn(owners)

    async def find(self, wanted: Sequence[Wanted]) -> Mapping[str, Observed]:
        """Return the rows that carry the markers; of duplicates the oldest, of trashed ones any."""
        found: dict[str, Observed] = {}
        await self._home.locate()
        for kind in KINDS:
            markers = [w.marker for w in wanted if w.kind == kind]
            if kind in self._home.made:
                continue
            for trashed in (False, True):
                missing = [marker for marker in markers if marker not in found]
                async for observed in self._search(kind, missing, trashed=trashed):
                    found.setdefault(observed.marker, observed)
        return found

    async def observe(self, since: str | None) -> AsyncIterator[Observed]:
        """Yield the rows of ours that changed; one request for each database where nothing did.

        Reading a body costs a request or more. Where many rows changed, it is read only of those
        that somebody else than their maker edited last: trueup knows what it wrote itself. The
        trash takes queries of its own, so it is looked through once an hour.
        """
        await self._home.locate()
        started = self._transport.budget.clock.time()
        looked = self._lookups.get(TRASH) if since else None
        async for observed in self._changed(since, trashed=False):
            yield observed
        if not isinstance(looked, int | float) or started - looked >= TRASH_EVERY:
            from_then = _text(looked) if isinstance(looked, int | float) else since
            async for observed in self._changed(from_then, trashed=True):
                yield observed
            self._lookups[TRASH] = int(started)

    async def _changed(self, since: str | None, *, trashed: bool) -> AsyncIterator[Observed]:
        conditions: list[Json] = [{"property": MARKER, "rich_text": {"is_not_empty": True}}]
        if since:
            # Notion rounds down to the minute; one more minute is for clocks that differ.
            start = datetime.fromisoformat(since).replace(second=0) - timedelta(minutes=1)
            after = {"on_or_after": start.strftime("%Y-%m-%dT%H:%M:%SZ")}
            conditions.append({"timestamp": "last_edited_time", "last_edited_time": after})
        for kind in KINDS:
            query = self._query(kind, {"and": conditions}, "last_edited_time", trashed=trashed)
            async for rows in query:
                few = len(rows) <= FEW
                bodies = [not trashed and (few or _touched(row)) for row in rows]
                for observed in await self._observed(kind, rows, bodies):
                    yield observed

    async def gone(self, unseen: Mapping[str, Kind], *, full: bool) -> Collection[str]:
        """Return what is gone for good, or hidden.

        Queries know no page ids, and all rows were just listed, so Notion is asked for each page
        that was not, for many at once.
        """
        from asyncio import gather

        asked = list(unseen) if full else []
        there = await gather(*(self._is_there(page) for page in asked))
        return [page for page, found in zip(asked, there, strict=True) if not found]

    async def _is_there(self, page: str) -> bool:
        try:
            answer = await self._transport.read("GET", f"/v1/pages/{page}")
        except PermanentError as error:
            if error.code != "object_not_found":
                raise
            return False
        return not answer.data.get("in_trash")

    async def survey(self, container: str, *, closed: bool) -> Listing:
        """Return all rows of the databases."""

        def rows(kind: Sourced) -> AsyncIterator[list[Json]]:
            return self._query(kind, {}, "created_time", trashed=False)

        home, members = self._home, self._members
        links = self._links
        return await survey(home, members, links, rows, self._observed, container, closed=closed)

    async def mark(self, operation: Operation) -> Written:
        """Write marker and key into a row that people made."""
        kind = cast("Sourced", operation.change.kind)
        fields = {"key": operation.change.address}
        properties = self._properties(fields, self._home.source(kind))
        properties[MARKER] = {"rich_text": rich_text([Span(operation.marker)])}
        return self._written(await self._patch(operation.remote_id, {"properties": properties}), {})

    async def create(self, operation: Operation) -> Written:
        """Create the page with properties, marker and as much of its body as one request takes."""
        kind = cast("Sourced", operation.change.kind)
        fields = {"key": operation.change.address, **operation.desired}
        first, rest = opening(blocks_of(str(fields.get("description") or "")))

        async def send() -> Answer:
            source = self._home.source(kind)
            if source is None:
                raise PermanentError(
                    "the databases are not there", platform="notion", code="object_not_found"
                )
            properties = self._properties(fields, source)
            properties[MARKER] = {"rich_text": rich_text([Span(operation.marker)])}
            parent = {"type": "data_source_id", "data_source_id": source.data_source}
            body: Json = {"parent": parent, "properties": properties}
            if first:
                body["children"] = first
            self._home.made.discard(kind)
            return await self._transport.write("POST", "/v1/pages", json=body, repeatable=False)

        answer = await self._mend(send)
        if rest:
            await self._continue(str(answer.data["id"]), rest)
        return self._written(answer, fields)

    async def update(self, operation: Operation) -> Written:
        """Change the fields in one request; a description takes a look at the body first."""
        return await self._change(operation, operation.change.values())

    async def move(self, operation: Operation) -> Written:
        """Give the page its new address, project and parent; it keeps its place and history."""
        return await self._change(
            operation, {"key": operation.change.address, **operation.change.values()}
        )

    async def restore(self, operation: Operation) -> Written:
        """Take the page out of the trash, with all fields; its text is written where it differs."""
        body = operation.change.values().get("description")
        fields = {name: v for name, v in operation.desired.items() if name != "description"}
        written = await self._change(operation, fields, {"in_trash": False})
        if "description" in operation.change.values():
            return await self._change(operation, {"description": body})
        return written

    async def archive(self, operation: Operation) -> Written:
        """Put the page into the trash, from where people can restore it."""
        try:
            answer = await self._patch(operation.remote_id, {"in_trash": True})
        except PermanentError as error:
            if error.code != "object_not_found":
                raise
            return Written(operation.remote_id)
        return self._written(answer, {})

    async def delete(self, operation: Operation) -> Written:
        """Put the page into the trash: more than that the API does not offer."""
        written = await self.archive(operation)
        if not written.url:
            return written
        note = "Notion's API cannot delete for ever: the page is in the trash"
        return Written(written.remote_id, written.url, written.revision, warnings=(note,))

    # ── writing ───────────────────────────────────────────────────────────────────────────────

    async def _change(
        self, operation: Operation, fields: Mapping[str, Value], more: Json | None = None
    ) -> Written:
        page = operation.remote_id
        body: Json = dict(more or {})
        settable = {name: value for name, value in fields.items() if name != "description"}
        markdown = str(fields.get("description") or "")
        try:
            if "labels" in settable:
                settable["labels"] = _labels(operation)
            if settable.keys() & SCHEDULED:
                # One column holds both ends.
                settable |= {name: operation.desired.get(name) for name in SCHEDULED}
            if "description" in fields:
                body["erase_content"] = await self._clear(page)

            async def send() -> Answer:
                source = self._home.source(cast("Sourced", operation.change.kind))
                properties = self._properties(settable, source)
                return await self._patch(page, {**body, "properties": properties})

            answer = await self._mend(send)
        except PermanentError as error:
            raise explained(error, operation) from error
        await self._append(page, blocks_of(markdown))
        return self._written(answer, settable)

    def _properties(self, fields: Fields, source: Source | None) -> Json:
        title = source.title if source and source.columns is None else "Name"
        properties = to_remote(fields, self._links.remote_id, self._members.user_id, title)
        return source.columns.outward(properties) if source and source.columns else properties

    async def _patch(self, page: str, body: Json) -> Answer:
        return await self._transport.write("PATCH", f"/v1/pages/{page}", json=body, repeatable=True)

    async def _clear(self, page: str) -> bool:
        """Take the text out of a page, and return whether Notion may erase all that is left.

        People put pages and databases inside a page; erasing would take those too.
        """
        blocks = [b async for b in pages(self._transport, "GET", f"/v1/blocks/{page}/children")]
        text = [block for block in blocks if block["type"] not in {"child_page", "child_database"}]
        if len(text) == len(blocks):
            return True
        for block in text:
            await self._transport.write("DELETE", f"/v1/blocks/{block['id']}", repeatable=True)
        return False

    async def _continue(self, page: str, blocks: Sequence[Json]) -> None:
        """Append what did not fit the create; a page without its end counts as not known."""
        try:
            await self._append(page, blocks)
        except PlatformError as error:
            raise OutcomeUnknown(
                f"the page was made, but not all of its text: {error.message}",
                platform="notion",
                request=error.request,
                status=error.status,
            ) from error

    async def _append(self, parent: str, blocks: Sequence[Json]) -> None:
        for batch in batches(blocks):
            children = [piece.payload for piece in batch]
            answer = await self._transport.write(
                "PATCH",
                f"/v1/blocks/{parent}/children",
                json={"children": children},
                repeatable=False,
            )
            for piece, made in zip(batch, answer.data["results"], strict=False):
                if piece.rest:
                    await self._append(str(made["id"]), piece.rest)

    async def _mend(self, send: Callable[[], Awaitable[Answer]]) -> Answer:
        """Send; where a database or column has gone, see to them and send once more."""
        seen = self._mended
        try:
            return await send()
        except PermanentError as error:
            if not is_homeless(error):
                raise
        async with self._mending:
            if seen == self._mended:
                self._home.forget()
                await self._home.ensure()
                self._mended += 1
        return await send()

    def _written(self, answer: Answer, fields: Fields) -> Written:
        page = cast("dict[str, str]", answer.data)
        return Written(
            page["id"],
            page.get("url", ""),
            page.get("last_edited_time", ""),
            warnings=tuple(self._warnings(fields)),
        )

    def _warnings(self, fields: Fields) -> Iterable[str]:
        owner = str(fields.get("owner") or "")
        if owner and not self._members.user_id(owner):
            yield f"{owner} has no account in the Notion workspace; Owner is left empty"
        for name in RELATIONS:
            for address in strings(fields.get(name)):
                if not self._links.remote_id(address):
                    yield f"{name}: {address} is not in Notion"
        for name in ("labels", "depends_on"):
            if len(strings(fields.get(name))) > MOST:
                yield f"{name}: Notion holds {MOST}, the others are left out"

    # ── reading ───────────────────────────────────────────────────────────────────────────────

    async def _search(
        self, kind: Sourced, markers: Sequence[str], *, trashed: bool
    ) -> AsyncIterator[Observed]:
        for start in range(0, len(markers), PAGE_SIZE):
            conditions: list[Json] = [
                {"property": MARKER, "rich_text": {"equals": marker}}
                for marker in markers[start : start + PAGE_SIZE]
            ]
            wanted: Json = conditions[0] if len(conditions) == 1 else {"or": conditions}
            async for rows in self._query(kind, wanted, "created_time", trashed=trashed):
                for observed in await self._observed(kind, rows, [not trashed] * len(rows)):
                    yield observed

    async def _query(
        self, kind: Sourced, wanted: Json, order: str, *, trashed: bool
    ) -> AsyncIterator[list[Json]]:
        source = self._home.source(kind)
        if source is None:
            return
        body: Json = {"sorts": [{"timestamp": order, "direction": "ascending"}]}
        if wanted:
            body["filter"] = wanted
        if trashed:
            body["in_trash"] = True
        path = f"/v1/data_sources/{source.data_source}/query"
        try:
            async for rows in result_batches(self._transport, "POST", path, body):
                yield rows
        except PermanentError as error:
            if error.code == "object_not_found":
                # So that the next run looks for the databases again.
                self._home.forget()
            raise

    async def _observed(
        self, kind: Sourced, rows: Sequence[Json], bodies: Sequence[bool]
    ) -> list[Observed]:
        reading = [self._read(kind, row, body) for row, body in zip(rows, bodies, strict=True)]
        from asyncio import gather

        return list(await gather(*reading))

    async def _read(self, kind: Sourced, page: Json, body: bool) -> Observed:
        identity = str(page["id"])
        source = self._home.source(kind)
        properties = cast("dict[str, Any]", page["properties"])
        if source is not None and source.columns is not None:
            properties = source.columns.inward(properties)
        for column in RELATIONS.values():
            found = properties.get(column)
            if found and (found.get("has_more") or len(related(found)) >= CUT):
                found["relation"] = await self._relation(identity, str(found["id"]))
        title = source.title if source and source.columns is None else "Name"
        address = self._links.address
        fields = dict(from_remote(properties, address, title, self._bound(identity)))
        fields |= self._owner(properties.get("Owner") or {})
        if body:
            text = markdown_of(await self._body(identity))
            fields["description"] = canonical_markdown(text) or None
        editor = str(cast("Json", page.get("last_edited_by") or {}).get("id", ""))
        if _touched(page):
            await self._members.meet(editor)
        return Observed(
            kind,
            identity,
            text_of(cast("Json", properties.get(MARKER) or {}).get("rich_text")),
            fields,
            url=str(page.get("url", "")),
            revision=str(page.get("last_edited_time", "")),
            archived=bool(page.get("in_trash")),
            updated_at=re.sub(r"\.\d+", "", str(page.get("last_edited_time", ""))),
            updated_by=self._members.identity(editor) or "",
        )

    def _bound(self, page: str) -> str:
        """Return the address that a page is bound to; '' for one of people's own."""
        address = self._links.address(page) or ""
        return address if self._links.remote_id(address) == page else ""

    def _owner(self, found: Json) -> dict[str, Value]:
        people = cast("list[Json]", found.get("people") or [])
        if not people:
            # Empty may mean that the declared owner has no account here.
            return {"owner": None} if self._members.complete else {}
        person = people[0]
        email = cast("dict[str, str]", person.get("person") or {}).get("email", "")
        identity = self._members.identity(str(person["id"]), email)
        return {"owner": identity} if identity else {}

    async def _relation(self, page: str, column: str) -> list[Json]:
        path = f"/v1/pages/{page}/properties/{column}"
        return [cast("Json", i["relation"]) async for i in pages(self._transport, "GET", path)]

    async def _body(self, block: str) -> list[Json]:
        path = f"/v1/blocks/{block}/children"
        blocks = [b async for b in pages(self._transport, "GET", path)]
        nested = [b for b in blocks if b.get("has_children") and b["type"] not in _APART]
        from asyncio import gather

        children = await gather(*(self._body(str(b["id"])) for b in nested))
        within = {str(b["id"]): c for b, c in zip(nested, children, strict=True)}
        return [with_children(b, within.get(str(b["id"]), [])) for b in blocks]


_APART = {"child_page", "child_database"}


def _labels(operation: Operation) -> Value:
    """Return the labels as people have left them, with this change made to them."""
    change = next((f for f in operation.change.fields if f.name == "labels"), None)
    agreed = change.before if change else operation.desired.get("labels")
    wanted = operation.desired.get("labels")
    there = set(strings(operation.drift.get("labels", agreed)))
    before, after = set(strings(agreed)), set(strings(wanted))
    return tuple(sorted((there - (before - after)) | after))


def _text(seconds: float) -> str:
    """Return an instant as text, with room for clocks that differ."""
    return (datetime.fromtimestamp(seconds, UTC) - timedelta(minutes=2)).isoformat()


def _touched(page: Json) -> bool:
    """Return whether somebody else than its maker edited the page last."""
    maker, editor = (
        cast("Json", page.get(name) or {}).get("id") for name in ("created_by", "last_edited_by")
    )
    return maker != editor or maker is None

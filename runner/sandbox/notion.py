"""Notion's stand-in: pages, databases, data sources, blocks, search and users in memory.

API version 2025-09-03. Times are rounded down to the minute, as Notion does since 2022. With the
header `x-sandbox-person: me@example.com` a call counts as that person's own and not as the
connection's, which is how tests edit as people do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

from runner.sandbox._notion_columns import Columns
from runner.sandbox._notion_rules import (
    Json,
    Refusal,
    array,
    block_content,
    blocks,
    boolean,
    compiled,
    empty,
    invalid,
    known_keys,
    missing,
    moment,
    plain,
    rich_text,
    text,
)
from runner.sandbox._notion_store import Node, Source, Workspace, held, identity_of, is_id, is_page
from runner.sandbox._platform import Call, Reply
from runner.sandbox._world import TOKENS, Gate, World

VERSION = "2025-09-03"
LARGEST = 500_000


class NotionStandIn:
    """One workspace with one connection."""

    platform: ClassVar[str] = "notion"

    def __init__(self, world: World) -> None:
        """Make the people and pages of the world's seed."""
        self.world = world
        self.space = Workspace(world)
        self.columns = Columns(self.space)
        self._gate = Gate(180, 60)
        for name, email, _ in world.seed.people:
            self.space.join({"name": name, "type": "person", "person": {"email": email}})
        owner = {"type": "workspace", "workspace": True}
        bot = {
            "owner": owner,
            "workspace_id": world.new_id("notion", "workspace"),
            "workspace_limits": {"max_file_upload_size_in_bytes": 5_242_880},
            "workspace_name": "Sandbox",
        }
        self.bot = self.space.join({"name": "trueup", "type": "bot", "bot": bot})
        self.space.who = next(iter(self.space.users))
        for title in world.seed.pages:
            page = self.space.new("page", {"type": "workspace", "workspace": True})
            page.content = {"properties": {"title": _title_value(title)}}

    # ── the stand-in's own face ───────────────────────────────────────────────────────────────

    def writes(self, call: Call) -> bool:
        """Return whether the call would change something."""
        if call.method == "POST":
            return not call.path.endswith(("/query", "/search"))
        return call.method in {"PATCH", "DELETE"}

    def handle(self, call: Call) -> Reply:
        """Carry the call out; bad requests get Notion's own errors."""
        try:
            self._admit(call)
            return Reply(data=self._route(call))
        except Refusal as refusal:
            return self._error(refusal)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return self._error(
                Refusal(400, "validation_error", f"body failed validation: {error!r}")
            )

    def rate_limited(self, seconds: float) -> Reply:
        """Return 429 with whole seconds to wait, and why."""
        reply = self._error(
            Refusal(
                429,
                "rate_limited",
                "You have been rate limited. Please try again in a few minutes.",
            )
        )
        reply.data["additional_data"] = {"rate_limit_reason": "connection_request_limit"}
        return Reply(429, reply.data, {"Retry-After": str(max(1, math.ceil(seconds)))})

    def objects(self) -> list[dict[str, Any]]:
        """Return databases, rows and pages, each with its text."""
        return [self._shown(node) for node in self.space.nodes.values() if is_page(node)]

    def _shown(self, node: Node) -> dict[str, Any]:
        title = self.space.title(node)
        kind = node.kind
        if node.parent.get("type") == "data_source_id":
            database = self.space.nodes[str(node.parent["database_id"])]
            kind = {"Projects": "project", "Tasks": "task"}.get(self.space.title(database), "row")
        shown = self.space.page(node) if node.kind == "page" else self.space.database(node)
        marker: list[Json] = shown.get("properties", {}).get("trueup", {}).get("rich_text", [])
        own = {"kind": kind, "title": title, "marker": plain(marker), "archived": node.in_trash}
        return {**shown, **own, "body": self.space.outline(node)}

    # ── admission and routes ──────────────────────────────────────────────────────────────────

    def _admit(self, call: Call) -> None:
        if call.headers.get("authorization") != f"Bearer {TOKENS['notion']}":
            raise Refusal(401, "unauthorized", "API token is invalid.")
        version = call.headers.get("notion-version")
        if version is None:
            raise Refusal(
                400,
                "missing_version",
                "Notion-Version header failed validation: Notion-Version header should be "
                "defined, instead was `undefined`.",
            )
        if version != VERSION:
            invalid(f"Notion-Version header failed validation: `{version}` is not served here.")
        wait = self._gate.admit(self.world.clock()) if self.world.limits else 0.0
        if wait > 0:
            raise Refusal(429, "rate_limited", f"{wait:.3f}")
        if len(call.body) > LARGEST:
            invalid("body failed validation: the request is larger than 500 kB.")
        person = {"email": call.headers.get("x-sandbox-person")}
        users = self.space.users.items()
        self.space.who = next((i for i, user in users if user.get("person") == person), self.bot)

    def _error(self, refusal: Refusal) -> Reply:
        if refusal.status == 429 and refusal.message.replace(".", "").isdigit():
            return self.rate_limited(float(refusal.message))
        return Reply(
            refusal.status,
            {
                "object": "error",
                "status": refusal.status,
                "code": refusal.code,
                "message": refusal.message,
                "request_id": self.world.new_id("notion", "request"),
            },
        )

    def _route(self, call: Call) -> Json:
        parts = call.path.strip("/").split("/")
        identity = next((is_id(part) for part in parts if is_id(part)), "")
        shape = "/".join("*" if is_id(part) else part for part in parts)
        if call.method == "GET" and shape.startswith("v1/pages/*/properties/"):
            page = self.space.node(identity, "page")
            return self.space.property_item(page, parts[-1], call.query)
        route = self._routes().get(f"{call.method} {shape}")
        if route is None:
            raise Refusal(400, "invalid_request_url", "Invalid request URL.")
        return route(identity, call)

    def _routes(self) -> dict[str, Callable[[str, Call], Json]]:
        space = self.space
        return {
            "GET v1/users": lambda _, call: space.listed(
                [*space.users.values()], call.query, "user"
            ),
            "GET v1/users/me": lambda _i, _call: space.users[self.bot],
            "GET v1/users/*": lambda i, _: space.users.get(i) or missing("user", i),
            "POST v1/search": lambda _, call: self._search(_body(call)),
            "POST v1/databases": lambda _, call: self._make_database(_body(call)),
            "GET v1/databases/*": lambda i, _: space.database(space.node(i, "database")),
            "PATCH v1/databases/*": lambda i, call: self._change_database(
                space.node(i, "database"), _body(call)
            ),
            "GET v1/data_sources/*": lambda i, _: space.data_source(space.source(i)),
            "PATCH v1/data_sources/*": lambda i, call: self._change_source(
                space.source(i), _body(call)
            ),
            "POST v1/data_sources/*/query": lambda i, call: self._query(
                space.source(i), _body(call)
            ),
            "POST v1/pages": lambda _, call: self._make_page(_body(call)),
            "GET v1/pages/*": lambda i, _: space.page(space.node(i, "page")),
            "PATCH v1/pages/*": lambda i, call: self._change_page(
                space.node(i, "page"), _body(call)
            ),
            "GET v1/blocks/*": lambda i, _: space.block(space.node(i, "block")),
            "PATCH v1/blocks/*": lambda i, call: self._change_block(
                space.node(i, "block"), _body(call)
            ),
            "DELETE v1/blocks/*": lambda i, _: self._delete_block(space.node(i, "block")),
            "GET v1/blocks/*/children": self._children,
            "PATCH v1/blocks/*/children": lambda i, call: self._append(
                space.node(i, "block"), _body(call)
            ),
        }

    def _children(self, identity: str, call: Call) -> Json:
        below = self.space.below(self.space.node(identity, "block"))
        return self.space.listed([self.space.block(node) for node in below], call.query, "block")

    # ── search and lists ──────────────────────────────────────────────────────────────────────

    def _search(self, body: Json) -> Json:
        known_keys(body, {"query", "filter", "sort", "page_size", "start_cursor"}, "body")
        wanted = text(body.get("query", ""), "body.query").casefold()
        kind = known_keys(body.get("filter", {}), {"property", "value"}, "body").get("value")
        if kind not in {None, "page", "data_source"}:
            invalid("body failed validation: body.filter.value should be `page` or `data_source`.")
        visible = [n for n in self.space.nodes.values() if self.space.is_visible(n)]
        hits: list[Json] = []
        if kind != "data_source":
            found = [
                n for n in visible if n.kind == "page" and wanted in self.space.title(n).casefold()
            ]
            hits += [self.space.page(node) for node in found]
        if kind != "page":
            for source in self.space.sources.values():
                database = self.space.nodes[source.database]
                if database in visible and wanted in self.space.title(database).casefold():
                    hits.append(self.space.data_source(source))
        return self.space.listed(hits, _paging(body), "page_or_data_source")

    def _query(self, source: Source, body: Json) -> Json:
        known = {"filter", "sorts", "page_size", "start_cursor", "in_trash", "archived"}
        known_keys(body, {*known, "result_type"}, "body")
        holds = compiled(body["filter"], source.columns) if "filter" in body else None
        trashed = boolean(body.get("in_trash", False), "body.in_trash")
        nodes = [self.space.nodes[i] for i in source.rows]
        nodes = [
            node
            for node in nodes
            if node.in_trash == trashed and self.world.visible("notion", node.made_at)
        ]
        rows = [self.space.page(node, cut=False) for node in nodes]
        rows = [row for row in rows if holds is None or holds(row)]
        for sort in reversed(array(body.get("sorts", []), "body.sorts")):
            rows.sort(key=lambda row, sort=sort: _sort_key(row, sort), reverse=_descends(sort))
        answer = self.space.listed(rows, _paging(body), "page_or_data_source")
        shown = [self.space.page(self.space.nodes[row["id"]]) for row in answer["results"]]
        return {**answer, "results": shown, "request_status": {"type": "complete"}}

    # ── databases and data sources ────────────────────────────────────────────────────────────

    def _make_database(self, body: Json) -> Json:
        known = {"parent", "title", "description", "is_inline", "initial_data_source", "icon"}
        known_keys(body, known, "body")
        parent = known_keys(body.get("parent"), {"type", "page_id"}, "body.parent")
        page = self.space.node(identity_of(parent.get("page_id")), "page")
        columns = known_keys(body.get("initial_data_source", {}), {"properties"}, "body")
        asked: Json = columns.get("properties", {})
        checked = {name: self.columns.column(name, config) for name, config in asked.items()}
        if [c["type"] for c in checked.values()].count("title") > 1:
            invalid("body failed validation: there should be one title property.")
        node = self.space.new("database", {"type": "page_id", "page_id": page.id})
        node.content = {
            "title": rich_text(body.get("title", []), "body.title"),
            "description": rich_text(body.get("description", []), "body.description"),
            "is_inline": boolean(body.get("is_inline", False), "body.is_inline"),
        }
        source = Source(self.world.new_id("notion", "data_source"), node.id, {})
        self.space.sources[source.id] = source
        if not any(column["type"] == "title" for column in checked.values()):
            checked = {"Name": self.columns.column("Name", {"title": {}}), **checked}
        self.columns.add(source, checked)
        return self.space.database(node)

    def _change_database(self, node: Node, body: Json) -> Json:
        known = {"parent", "title", "description", "is_inline", "in_trash"}
        known_keys(body, known, "body")
        for name in ("title", "description"):
            if name in body:
                node.content[name] = rich_text(body[name], f"body.{name}")
        if "parent" in body:
            parent = known_keys(body["parent"], {"type", "page_id"}, "body.parent")
            page = self.space.node(identity_of(parent.get("page_id")), "page")
            self.space.nodes[str(node.parent["page_id"])].children.remove(node.id)
            page.children.append(node.id)
            node.parent = {"type": "page_id", "page_id": page.id}
        if "in_trash" in body:
            self.space.trash(node, body["in_trash"])
            for source in self.space.sources.values():
                if source.database == node.id:
                    for row in source.rows:
                        self.space.nodes[row].in_trash = node.in_trash
        self.space.touch(node)
        return self.space.database(node)

    def _change_source(self, source: Source, body: Json) -> Json:
        known_keys(body, {"properties", "title", "in_trash"}, "body")
        added: dict[str, Json] = {}
        for name, config in body.get("properties", {}).items():
            if config is None:
                source.columns.pop(name, None)
                for row in source.rows:
                    self.space.nodes[row].content["properties"].pop(name, None)
            elif set(config) == {"name"} and name in source.columns:
                self.columns.rename(source, name, text(config["name"], "body.properties"))
            else:
                added[name] = self.columns.column(name, config)
        self.columns.add(source, added)
        return self.space.data_source(source)

    # ── pages ─────────────────────────────────────────────────────────────────────────────────

    def _make_page(self, body: Json) -> Json:
        known_keys(body, {"parent", "properties", "children", "icon", "cover"}, "body")
        parent = known_keys(
            body.get("parent"), {"type", "page_id", "data_source_id", "database_id"}, "body.parent"
        )
        children = blocks(body.get("children", []), "body.children")
        given: Json = body.get("properties", {})
        if parent.get("data_source_id"):
            return self.space.page(
                self._make_row(identity_of(parent["data_source_id"]), given, children)
            )
        if not parent.get("page_id"):
            invalid("body failed validation: body.parent.data_source_id should be defined.")
        above = self.space.node(identity_of(parent["page_id"]), "page")
        title = rich_text(known_keys(given.get("title"), {"title", "type"}, "title")["title"], "t")
        page = self.space.new("page", {"type": "page_id", "page_id": above.id})
        page.content = {"properties": {"title": {"id": "title", "type": "title", "title": title}}}
        self._grow(page, children)
        return self.space.page(page)

    def _make_row(self, identity: str, given: Json, children: list[Json]) -> Node:
        source = self.space.source(identity)
        if self.space.nodes[source.database].in_trash:
            missing("data source", identity)
        values = {name: self.columns.checked(source, name, value) for name, value in given.items()}
        parent: Json = {
            "type": "data_source_id",
            "data_source_id": source.id,
            "database_id": source.database,
        }
        page = self.space.new("page", parent)
        page.content = {
            "properties": {n: held(c, empty(c["type"])) for n, c in source.columns.items()}
        }
        source.rows.append(page.id)
        self.columns.set(page, source, values)
        self._grow(page, children)
        return page

    def _change_page(self, page: Node, body: Json) -> Json:
        known = {"properties", "in_trash", "archived", "icon", "cover", "erase_content"}
        known_keys(body, {*known, "is_locked"}, "body")
        trash = body.get("in_trash", body.get("archived"))
        if page.in_trash and trash is not False and (trash is None or len(body) > 1):
            invalid(
                "Can't edit block that is archived. You must unarchive the block before editing."
            )
        given: Json = body.get("properties", {})
        source = self.space.sources.get(str(page.parent.get("data_source_id")))
        if source is not None:
            values = {
                name: self.columns.checked(source, name, value) for name, value in given.items()
            }
            self.columns.set(page, source, values)
        elif given:
            title = known_keys(given, {"title"}, "body.properties")["title"]
            page.content["properties"]["title"]["title"] = rich_text(title["title"], "title")
        if boolean(body.get("erase_content", False), "body.erase_content"):
            for child in self.space.below(page):
                child.in_trash = True
        if trash is not None:
            self.space.trash(page, trash)
        self.space.touch(page)
        return self.space.page(page)

    # ── blocks ────────────────────────────────────────────────────────────────────────────────

    def _grow(self, above: Node, checked: Iterable[Json]) -> list[Node]:
        kind = "page_id" if above.kind == "page" else "block_id"
        made: list[Node] = []
        for block in checked:
            node = self.space.new(block["type"], {"type": kind, kind: above.id})
            node.content = block["content"]
            self._grow(node, block["children"])
            made.append(node)
        return made

    def _append(self, above: Node, body: Json) -> Json:
        known_keys(body, {"children", "after", "position"}, "body")
        if above.in_trash:
            invalid(
                "Can't edit block that is archived. You must unarchive the block before editing."
            )
        rows = above.kind == "table"
        asked = array(body.get("children"), "body.children")
        if rows:
            width = above.content["table_width"]
            wrapped = {"table": {"table_width": width, "children": asked}}
            checked = blocks([wrapped], "body.children")[0]["children"]
        else:
            checked = blocks(asked, "body.children")
        made = self._grow(above, checked)
        self.space.touch(above)
        return self.space.listed([self.space.block(node) for node in made], [], "block")

    def _change_block(self, node: Node, body: Json) -> Json:
        if is_page(node):
            invalid("body failed validation: this block is a page or a database.")
        known_keys(body, {node.kind, "type", "in_trash", "archived"}, "body")
        if node.kind in body:
            given = {**node.content, **body[node.kind]}
            node.content = block_content(node.kind, given, f"body.{node.kind}")
        if "in_trash" in body:
            self.space.trash(node, body["in_trash"])
        self.space.touch(node)
        return self.space.block(node)

    def _delete_block(self, node: Node) -> Json:
        self.space.trash(node, value=True)
        return self.space.block(node)


def _body(call: Call) -> Json:
    try:
        body = json.loads(call.body or b"{}")
    except ValueError:
        raise Refusal(400, "invalid_json", "Error parsing JSON body.") from None
    if not isinstance(body, dict):
        invalid("body failed validation: body should be an object.")
    return cast("Json", body)


def _paging(body: Json) -> list[tuple[str, str]]:
    names = ("page_size", "start_cursor")
    return [(name, str(body[name])) for name in names if body.get(name) is not None]


def _title_value(title: str) -> Json:
    words = rich_text([{"text": {"content": title}}], "title")
    return {"id": "title", "type": "title", "title": words}


def _sort_key(row: Json, sort: Any) -> str:
    found = known_keys(sort, {"timestamp", "property", "direction"}, "body.sorts")
    if "timestamp" in found:
        return moment(row[str(found["timestamp"])], "body.sorts").isoformat()
    value = row["properties"][str(found["property"])]
    inner = value[value["type"]]
    return plain(inner) if value["type"] in {"title", "rich_text"} else json.dumps(inner)


def _descends(sort: Any) -> bool:
    return sort.get("direction") == "descending"

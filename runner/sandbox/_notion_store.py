"""What is in the stand-in's workspace: a tree of pages, databases and blocks, and its members."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.sandbox._notion_rules import Json, boolean, invalid, missing, plain
from runner.sandbox._world import World

CUT = 25
"""Related pages that a page shows; the others must be asked for."""


@dataclass(slots=True)
class Node:
    """A page, database or block: something with a place in the tree."""

    id: str
    kind: str
    parent: Json
    made_at: float
    created_time: str
    created_by: str
    edited_time: str
    edited_by: str
    content: Json = field(default_factory=dict[str, Any])
    children: list[str] = field(default_factory=list[str])
    in_trash: bool = False


@dataclass(slots=True)
class Source:
    """A data source: the columns, and the rows in the order in which they were made."""

    id: str
    database: str
    columns: dict[str, Json]
    rows: list[str] = field(default_factory=list[str])


class Workspace:
    """The tree, the data sources and the users, and how Notion shows each.

    Attributes:
        who: the user that the present call is made as.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.nodes: dict[str, Node] = {}
        self.sources: dict[str, Source] = {}
        self.users: dict[str, Json] = {}
        self.who = ""

    def join(self, user: Json) -> str:
        """Add a member, and return its id."""
        identity = self.world.new_id("notion", "user")
        self.users[identity] = {"object": "user", "id": identity, "avatar_url": None, **user}
        return identity

    def _minute(self) -> str:
        return self.world.now("notion").strftime("%Y-%m-%dT%H:%M:00.000Z")

    def new(self, kind: str, parent: Json) -> Node:
        """Make something below `parent`, as the present user."""
        identity, now = self.world.new_id("notion", kind), self._minute()
        made_at = self.world.clock()
        node = Node(identity, kind, parent, made_at, now, self.who, now, self.who)
        self.nodes[identity] = node
        above = self.nodes.get(str(parent.get(str(parent.get("type")), "")))
        if above is not None:
            above.children.append(identity)
        return node

    def node(self, identity: str, kind: str) -> Node:
        """Return what may be addressed as `kind`: everything is a block."""
        node = self.nodes.get(identity)
        if node is None or kind not in {"block", node.kind}:
            return missing(kind, identity)
        return node

    def source(self, identity: str) -> Source:
        """Return a data source, or refuse."""
        source = self.sources.get(identity)
        if source is None:
            return missing("data source", identity)
        return source

    def below(self, node: Node) -> list[Node]:
        """Return what is in a node, without what is in the trash."""
        return [self.nodes[i] for i in node.children if not self.nodes[i].in_trash]

    def touch(self, node: Node) -> None:
        """Note that somebody edited a node; a block counts as its page."""
        node.edited_time, node.edited_by = self._minute(), self.who
        above = self.nodes.get(str(node.parent.get(str(node.parent.get("type")), "")))
        if above is not None and not is_page(node):
            self.touch(above)

    def trash(self, node: Node, value: object) -> None:
        """Put a node into the trash, or take it out."""
        node.in_trash = boolean(value, "body.in_trash")
        self.touch(node)

    def is_visible(self, node: Node) -> bool:
        """Return whether searches show a node by now."""
        return not node.in_trash and self.world.visible("notion", node.made_at)

    def title(self, node: Node) -> str:
        """Return what a page or database is called."""
        if node.kind == "database":
            return plain(node.content["title"])
        values: Iterable[Json] = node.content["properties"].values()
        return next((plain(v["title"]) for v in values if v["type"] == "title"), "")

    def listed(self, items: Sequence[Json], query: Iterable[tuple[str, str]], kind: str) -> Json:
        """Return one page of a list."""
        found = dict(query)
        size = int(found.get("page_size", 100))
        if not 1 <= size <= 100:
            invalid("body failed validation: body.page_size should be ≤ `100`.")
        start = 0
        if cursor := found.get("start_cursor"):
            start = next((n for n, item in enumerate(items) if item["id"] == cursor), -1)
            if start < 0:
                invalid("The start_cursor provided is invalid.")
        more = items[start + size : start + size + 1]
        return {
            "object": "list",
            "results": items[start : start + size],
            "next_cursor": more[0]["id"] if more else None,
            "has_more": bool(more),
            "type": kind,
            kind: {},
        }

    def page(self, page: Node, *, cut: bool = True) -> Json:
        """Return a page as Notion shows it; `cut` leaves out what a read of it would."""
        properties: Json = {}
        for name, value in page.content["properties"].items():
            shown = dict(value)
            if cut and shown["type"] == "relation":
                shown["relation"] = shown["relation"][:CUT]
            properties[name] = shown
        return {
            "object": "page",
            "id": page.id,
            "created_time": page.created_time,
            "created_by": {"object": "user", "id": page.created_by},
            "last_edited_time": page.edited_time,
            "last_edited_by": {"object": "user", "id": page.edited_by},
            "parent": page.parent,
            "properties": properties,
            **_dressing(page),
            "is_archived": page.in_trash,
            "is_locked": False,
            "url": _url(self.title(page), page.id),
        }

    def property_item(self, page: Node, column: str, query: list[tuple[str, str]]) -> Json:
        """Return one property by itself, page by page where it is long."""
        for value in page.content["properties"].values():
            if value["id"] != column:
                continue
            if value["type"] not in {"relation", "people", "title", "rich_text"}:
                return {"object": "property_item", **value}
            kind = value["type"]
            items = [
                {
                    "object": "property_item",
                    "id": item.get("id") or str(n),
                    "type": kind,
                    kind: item,
                }
                for n, item in enumerate(value[kind])
            ]
            answer = self.listed(items, query, "property_item")
            about: Json = {"id": column, "next_url": None, "type": kind, kind: {}}
            return {**answer, "property_item": about}
        return missing("property", column)

    def database(self, node: Node) -> Json:
        """Return a database as Notion shows it."""
        sources = [s for s in self.sources.values() if s.database == node.id]
        return {
            "object": "database",
            "id": node.id,
            "created_time": node.created_time,
            "last_edited_time": node.edited_time,
            "parent": node.parent,
            "data_sources": [{"id": s.id, "name": self.title(node)} for s in sources],
            **node.content,
            **_dressing(node),
            "is_locked": False,
            "url": _url("", node.id),
        }

    def data_source(self, source: Source) -> Json:
        """Return a data source as Notion shows it."""
        node = self.nodes[source.database]
        return {
            "object": "data_source",
            "id": source.id,
            "created_time": node.created_time,
            "created_by": {"object": "user", "id": node.created_by},
            "last_edited_time": node.edited_time,
            "last_edited_by": {"object": "user", "id": node.edited_by},
            "parent": {"type": "database_id", "database_id": node.id},
            "database_parent": node.parent,
            "properties": source.columns,
            **node.content,
            **_dressing(node),
            "url": _url("", node.id),
        }

    def block(self, node: Node) -> Json:
        """Return a block as Notion shows it; pages and databases are blocks too."""
        kind, content = node.kind, node.content
        if is_page(node):
            kind, content = f"child_{node.kind}", {"title": self.title(node)}
        return {
            "object": "block",
            "id": node.id,
            "parent": node.parent,
            "created_time": node.created_time,
            "created_by": {"object": "user", "id": node.created_by},
            "last_edited_time": node.edited_time,
            "last_edited_by": {"object": "user", "id": node.edited_by},
            "has_children": bool(self.below(node)),
            "archived": node.in_trash,
            "in_trash": node.in_trash,
            "type": kind,
            kind: content,
        }

    def outline(self, node: Node) -> list[Json]:
        """Return the text of a page as plain nested values."""
        return [
            {"type": child.kind, **child.content, "children": self.outline(child)}
            for child in self.below(node)
            if not is_page(child)
        ]


def is_page(node: Node) -> bool:
    """Return whether a node is a page or a database, and no mere block."""
    return node.kind in {"page", "database"}


def is_id(part: str) -> str:
    """Return an id in its usual form, or '' for what is none."""
    found = re.fullmatch(
        r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})", part
    )
    return "-".join(found.groups()) if found else ""


def held(column: Json, value: Any) -> Json:
    """Return a value in its column, as a page holds it."""
    return {"id": column["id"], "type": column["type"], column["type"]: value}


def _dressing(node: Node) -> Json:
    return {
        "archived": node.in_trash,
        "in_trash": node.in_trash,
        "icon": None,
        "cover": None,
        "public_url": None,
    }


def _url(title: str, identity: str) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-")
    return "https://www.notion.so/" + (f"{words}-" if words else "") + identity.replace("-", "")


def identity_of(value: object) -> str:
    """Return an id in its usual form, or refuse what is none."""
    identity = is_id(str(value))
    if not identity:
        invalid("body failed validation: an id should be a valid uuid.")
    return identity

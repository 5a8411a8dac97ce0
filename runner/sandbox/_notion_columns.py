"""The columns of the stand-in's data sources, and the values that rows may have in them."""

from __future__ import annotations

from typing import Any

from runner.sandbox._notion_rules import (
    COLUMNS,
    Json,
    array,
    empty,
    invalid,
    known_keys,
    missing,
    option_name,
    simple_value,
)
from runner.sandbox._notion_store import Node, Source, Workspace, held, identity_of


class Columns:
    """Checks columns and values against the workspace, and keeps both ends of relations."""

    def __init__(self, space: Workspace) -> None:
        self._space = space

    def column(self, name: str, config: Any) -> Json:
        """Return a column as it is kept, from its configuration in a request."""
        where = f"body.properties.{name}"
        kinds = [key for key in config if key not in {"type", "description", "name"}]
        if len(kinds) != 1 or kinds[0] not in COLUMNS or config.get("type", kinds[0]) != kinds[0]:
            invalid(f"body failed validation: {where} should be a property of a known type.")
        kind = kinds[0]
        inner = config[kind]
        kept: Json = {}
        if kind in {"select", "multi_select"}:
            options = array(known_keys(inner, {"options"}, where).get("options", []), where)
            kept = {"options": [self._new_option(option, where) for option in options]}
        elif kind == "relation":
            kept = self._relation_config(inner, where)
        elif kind == "number":
            kept = {"format": inner.get("format", "number")}
        else:
            known_keys(inner, set(), where)
        title = "title" if kind == "title" else self._space.world.new_id("notion", "property")[:4]
        return {"id": title, "name": name, "description": None, "type": kind, kind: kept}

    def _new_option(self, option: Any, where: str) -> Json:
        return {
            "id": self._space.world.new_id("notion", "option"),
            "name": option_name(option, where),
            "color": option.get("color", "default"),
            "description": None,
        }

    def _relation_config(self, inner: Any, where: str) -> Json:
        sort = next((k for k in ("single_property", "dual_property") if k in inner), "")
        known_keys(inner, {"data_source_id", "type", sort}, where)
        if not sort or inner.get("type", sort) != sort:
            invalid(f"body failed validation: {where}.relation should be single or dual.")
        target = self._space.source(identity_of(inner.get("data_source_id")))
        return {
            "data_source_id": target.id,
            "database_id": target.database,
            "type": sort,
            sort: dict(inner[sort]),
        }

    def add(self, source: Source, columns: dict[str, Json]) -> None:
        """Add columns to a data source, and the other ends of its relations where they are."""
        source.columns |= columns
        for name, column in columns.items():
            relation = column.get("relation", {})
            if relation.get("type") != "dual_property":
                continue
            target = self._space.sources[relation["data_source_id"]]
            other = relation["dual_property"].get("synced_property_name")
            other = (
                other
                or f"Related to {self._space.title(self._space.nodes[source.database])} ({name})"
            )
            back = self.column(
                other,
                {"relation": {"data_source_id": source.id, "dual_property": {}}},
            )
            ends = ((relation, back, other), (back["relation"], column, name))
            for end, facing, called in ends:
                end["dual_property"] = {
                    "synced_property_id": facing["id"],
                    "synced_property_name": called,
                }
            target.columns[other] = back
            self._fill(target)
        self._fill(source)

    def _fill(self, source: Source) -> None:
        for identity in source.rows:
            properties = self._space.nodes[identity].content["properties"]
            for name, column in source.columns.items():
                if name not in properties:
                    properties[name] = held(column, empty(column["type"]))

    def rename(self, source: Source, name: str, title: str) -> None:
        """Call a column something else."""
        source.columns = {title if n == name else n: c for n, c in source.columns.items()}
        source.columns[title]["name"] = title
        for row in source.rows:
            properties = self._space.nodes[row].content["properties"]
            properties[title] = properties.pop(name)

    def checked(self, source: Source, name: str, value: Any) -> Any:
        """Return a property's value as Notion keeps it, or refuse it."""
        column = source.columns.get(name)
        if column is None:
            invalid(f"{name} is not a property that exists.")
        kind = column["type"]
        where = f"body.properties.{name}.{kind}"
        found = known_keys(value, {kind, "type", "id"}, f"body.properties.{name}")
        if kind not in found:
            invalid(f"{name} is expected to be {kind}.")
        inner = found[kind]
        if kind == "select":
            return None if inner is None else self._chosen(column, inner, where)
        if kind == "multi_select":
            return [self._chosen(column, option, where) for option in array(inner, where)]
        if kind == "people":
            return [self._person(person, where) for person in array(inner, where)]
        if kind == "relation":
            return [self._related(column, item, where) for item in array(inner, where)]
        return simple_value(kind, inner, where)

    def _chosen(self, column: Json, value: Any, where: str) -> Json:
        options: list[Json] = column[column["type"]]["options"]
        if "id" in value and "name" not in value:
            option = next((o for o in options if o["id"] == value["id"]), None)
            if option is None:
                invalid(f"body failed validation: {where}.id is not an option.")
        else:
            name = option_name(value, where)
            option = next((o for o in options if o["name"] == name), None)
            if option is None:
                option = self._new_option(value, where)
                options.append(option)
        return {key: option[key] for key in ("id", "name", "color")}

    def _person(self, value: Any, where: str) -> Json:
        identity = identity_of(known_keys(value, {"id", "object"}, where).get("id"))
        return self._space.users.get(identity) or missing("user", identity)

    def _related(self, column: Json, value: Any, where: str) -> Json:
        identity = identity_of(known_keys(value, {"id"}, where).get("id"))
        page = self._space.node(identity, "page")
        if page.parent.get("data_source_id") != column["relation"]["data_source_id"]:
            invalid(f"body failed validation: {where} points to a page of another data source.")
        return {"id": page.id}

    def set(self, page: Node, source: Source, values: Json) -> None:
        """Put checked values into a row, and into the other ends of its relations."""
        for name, value in values.items():
            column = source.columns[name]
            kept = page.content["properties"][name]
            dual = column.get("relation", {}).get("dual_property")
            if dual:
                before = {item["id"] for item in kept["relation"]}
                after = {item["id"] for item in value}
                self._mirror(page.id, dual["synced_property_name"], before, after)
            kept[column["type"]] = value

    def _mirror(self, page: str, column: str, before: set[str], after: set[str]) -> None:
        for identity in sorted(before ^ after):
            other = self._space.nodes[identity]
            items: list[Json] = other.content["properties"][column]["relation"]
            other.content["properties"][column]["relation"] = (
                [*items, {"id": page}]
                if identity in after
                else [item for item in items if item["id"] != page]
            )

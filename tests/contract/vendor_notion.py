"""Whether an exchange with Notion is one that Notion's own client has types for.

The schema is generated from those types; where they merge path, query and body into one object,
the ids are put back before judging. Unions of thirty blocks take long, and say little of what is
wrong, so each block is judged by the one type that it claims to be.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft7Validator

from runner.sandbox._world import Exchange

CONTRACTS = Path(__file__).parents[3] / "shared" / "contracts"

ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
BODIES = {
    "POST /v1/pages": ("CreatePageParameters", ""),
    f"PATCH /v1/pages/({ID})": ("UpdatePageParameters", "page_id"),
    "POST /v1/databases": ("CreateDatabaseParameters", ""),
    f"PATCH /v1/databases/({ID})": ("UpdateDatabaseParameters", "database_id"),
    f"PATCH /v1/data_sources/({ID})": ("UpdateDataSourceParameters", "data_source_id"),
    f"POST /v1/data_sources/({ID})/query": ("QueryDataSourceParameters", "data_source_id"),
    f"PATCH /v1/blocks/({ID})/children": ("AppendBlockChildrenParameters", "block_id"),
    "POST /v1/search": ("SearchParameters", ""),
}
"""Requests with a body: the type of the body, and the name of the id that the path carries."""

READS = {
    "GET /v1/users/me": "UserObjectResponse",
    f"GET /v1/databases/{ID}": "DatabaseObjectResponse",
    f"GET /v1/data_sources/{ID}": "DataSourceObjectResponse",
    f"GET /v1/pages/{ID}": "PageObjectResponse",
    f"GET /v1/blocks/{ID}": "BlockObjectResponse",
    f"DELETE /v1/blocks/{ID}": "BlockObjectResponse",
    "GET /v1/users": "ListUsersResponse",
    f"GET /v1/blocks/{ID}/children": "ListBlockChildrenResponse",
    f"GET /v1/pages/{ID}/properties/.+": "",
}
"""Requests without one: the type of the answer; a property by itself has none in the types."""

ANSWERS = {
    "CreatePageParameters": "PageObjectResponse",
    "UpdatePageParameters": "PageObjectResponse",
    "CreateDatabaseParameters": "DatabaseObjectResponse",
    "UpdateDatabaseParameters": "DatabaseObjectResponse",
    "UpdateDataSourceParameters": "DataSourceObjectResponse",
    "QueryDataSourceParameters": "QueryDataSourceResponse",
    "SearchParameters": "QueryDataSourceResponse",
    "AppendBlockChildrenParameters": "ListBlockChildrenResponse",
}
PAGED = {"page_size", "start_cursor"}


def violations(exchange: Exchange) -> list[str]:
    """Return what is wrong with one exchange; refused requests are judged as well."""
    found = [*_headers(exchange), *_request(exchange)]
    return [f"{exchange.method} {exchange.path}: {problem}" for problem in found]


def _headers(exchange: Exchange) -> Iterator[str]:
    if exchange.headers.get("notion-version") != "2025-09-03" and exchange.status != 400:
        yield "no Notion-Version header"
    if exchange.body and "json" not in exchange.headers.get("content-type", ""):
        yield "a body without a JSON content type"
    if len(exchange.body) > 500_000:
        yield "a body of more than 500 kB"


def _request(exchange: Exchange) -> Iterator[str]:
    line = f"{exchange.method} {exchange.path}"
    for pattern, (type_name, name) in BODIES.items():
        if found := re.fullmatch(pattern, line):
            body = json.loads(exchange.body)
            if name:
                body[name] = found[1]
            yield from _limits(body)
            for block in body.pop("children", []):
                yield from _block_errors(json.dumps(block))
            if type_name.startswith("Append"):
                body["children"] = []
            yield from _errors(type_name, body)
            yield from _answer(exchange, ANSWERS[type_name])
            return
    for pattern, type_name in READS.items():
        if re.fullmatch(pattern, line):
            unknown = {key for key, _ in exchange.query} - PAGED
            yield from (f"unknown parameter {key}" for key in unknown)
            if exchange.body:
                yield "a body where none is described"
            if type_name:
                yield from _answer(exchange, type_name)
            return
    yield "not described anywhere"


def _answer(exchange: Exchange, type_name: str) -> Iterator[str]:
    if exchange.status >= 300 or exchange.fault:
        return
    items: list[Any] = []
    data: Any = json.loads(exchange.response)
    if type_name.startswith(("List", "Query")):
        items = data["results"]
        data["results"] = []
    yield from (f"answer: {error}" for error in _object_errors(type_name, data))
    kinds = {
        "page": "PageObjectResponse",
        "data_source": "DataSourceObjectResponse",
        "block": "BlockObjectResponse",
        "user": "UserObjectResponse",
    }
    for item in items:
        name = kinds[item["object"]]
        if name == "BlockObjectResponse":
            words = item["type"].title().replace("_", "")
            name = f"{words}{name}"
        yield from (f"answer: {error}" for error in _object_errors(name, item))


def _errors(type_name: str, value: Any) -> list[str]:
    """Return what a type has against a value, at the innermost place that can be told."""
    validator: Any = _validator(type_name)
    iterate = cast("Callable[[Any], Iterator[Any]]", validator.iter_errors)
    errors: list[str] = []
    for error in iterate(value):
        while error.context:
            error = max(error.context, key=lambda inner: len(inner.absolute_path))  # noqa: PLW2901
        place = "/".join(str(part) for part in error.absolute_path)
        errors.append(f"{type_name}: {place}: {error.message[:200]}")
    return errors


def _object_errors(type_name: str, value: Any) -> Iterator[str]:
    if type_name == "PageObjectResponse":
        for name, held in value["properties"].items():
            yield from (f"{name}: {error}" for error in _property_errors(json.dumps(held)))
        value = {**value, "properties": {}}
    yield from _errors(type_name, value)


@functools.lru_cache(maxsize=4096)
def _property_errors(text: str) -> tuple[str, ...]:
    """Judge a property of a page by the one alternative that has its type."""
    held = json.loads(text)
    place = "PageObjectResponse/properties/properties/additionalProperties/anyOf"
    found = _schema()["definitions"]
    for step in place.split("/"):
        found = found[step]
    for number, alternative in enumerate(found):
        if alternative["properties"]["type"].get("const") == held["type"]:
            return tuple(_errors(f"{place}/{number}", held))
    return (f"no property is of type {held['type']}",)


@functools.lru_cache(maxsize=4096)
def _block_errors(text: str) -> tuple[str, ...]:
    """Judge a block of a request by the one alternative that has its type."""
    block = json.loads(text)
    alternatives = _schema()["definitions"]["BlockObjectRequest"]["anyOf"]
    for number, alternative in enumerate(alternatives):
        if (alternative["properties"].keys() - {"object", "type"}) & block.keys():
            return tuple(_errors(f"BlockObjectRequest/anyOf/{number}", block))
    return (f"no block has {[*block]}",)


def _limits(value: Any) -> Iterator[str]:
    """Check what the types do not say: lengths of arrays and texts, the number of blocks."""
    if isinstance(value, list):
        found = cast("list[Any]", value)
        if len(found) > 100:
            yield f"an array of {len(found)} items"
        for item in found:
            yield from _limits(item)
    elif isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            if name == "content" and isinstance(item, str) and _units(item) > 2000:
                yield f"a text of {_units(item)} characters"
            yield from _limits(item)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@functools.cache
def _schema() -> dict[str, Any]:
    text = (CONTRACTS / "notion.types.schema.json").read_text(encoding="utf-8")
    return json.loads(text)


@functools.cache
def _validator(type_name: str) -> Draft7Validator:
    return Draft7Validator({**_schema(), "$ref": f"#/definitions/{type_name}"})

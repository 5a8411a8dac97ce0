"""Whether a request to GitLab is one that GitLab itself describes.

Three sources, none of them ours: the OpenAPI document where it covers the endpoint, the facts
collected for labels, milestones and notes where it does not, and the answers' types as a client
library has them.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft7Validator
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest

from runner.sandbox._world import Exchange

CONTRACTS = Path(__file__).parents[3] / "shared" / "contracts"

DOCUMENTED = {"GET /api/v4/user": set[str](), "GET /api/v4/users": {"username", "search"}}
"""Endpoints of docs.gitlab.com/api/users that neither source has, with their parameters."""

LIST_FILTERS = {
    "labels": {"search", "with_counts"},
    "milestones": {"updated_after", "updated_before"},
    "notes": {"sort", "order_by"},
}
"""Filters of docs.gitlab.com/api that the client library's table leaves out."""

PAGING = {"page", "per_page"}

MISTYPED = {"closed_by", "moved_to_id"}
"""Text to the client library, but a user and a number in GitLab's answers."""

ANSWERS = {
    r"/issues/\d+/links": "XIssueLinkSchema",
    r"/issues(/\d+)?": "XIssueSchema",
    r"/issues/\d+/notes(/\d+)?": "XIssueNoteSchema",
    r"/labels(/[^/]+)?": "XLabelSchema",
    r"/milestones(/\d+)?": "XMilestoneSchema",
    r"/merge_requests/\d+/notes(/\d+)?": "XMergeRequestNoteSchema",
    r"/merge_requests/\d+/discussions/[^/]+/notes": "XMergeRequestNoteSchema",
}
ENTITIES = {
    r"/merge_requests(/\d+(/merge)?)?": "API_Entities_MergeRequest",
    r"/repository/commits/[^/]+/merge_requests": "API_Entities_MergeRequestBasic",
    r"/repository/commits/[^/]+": "API_Entities_CommitDetail",
    r"/issues/\d+/(closed_by|related_merge_requests)": "API_Entities_MergeRequestBasic",
}
DISCUSSIONS = {
    ("GET", ""): set[str](),
    ("POST", ""): {"body", "position"},
    ("GET", "/x"): set[str](),
    ("PUT", "/x"): {"resolved"},
    ("POST", "/x/notes"): {"body"},
}
"""What docs.gitlab.com/api/discussions says of `/merge_requests/:iid/discussions`: properties."""

EVENTS = re.compile(r"/api/v4/projects/[^/]+/issues/\d+/resource_state_events")
"""See docs.gitlab.com/api/resource_state_events; it takes no parameters but those of paging."""

EVENT = {
    "id": int,
    "user": dict,
    "created_at": str,
    "resource_type": str,
    "resource_id": int,
    "source_commit": str,
    "source_merge_request_id": int,
    "state": str,
}
"""The properties of `API::Entities::ResourceStateEvent`; the two sources may be null."""


def violations(exchange: Exchange) -> list[str]:
    """Return what is wrong with one exchange; refused requests are judged as well."""
    found = [*_request(exchange), *_answer(exchange)]
    return [f"{exchange.method} {exchange.path}: {problem}" for problem in found]


def _request(exchange: Exchange) -> list[str]:
    body = _json(exchange.body)
    if body is not None and "json" not in exchange.headers.get("content-type", ""):
        return ["a body without a JSON content type"]
    names = {name.removesuffix("[]") for name, _ in exchange.query}
    if thread := re.fullmatch(
        r".*/merge_requests/\d+/discussions(/[0-9a-f]{40})?(/notes)?", exchange.path
    ):
        place = ("/x" if thread[1] else "") + (thread[2] or "")
        known = DISCUSSIONS.get((exchange.method, place))
        if known is None:
            return ["not described anywhere"]
        return [f"unknown property {name}" for name in {*(body or ()), *names} - known - PAGING]
    if exchange.method == "GET" and EVENTS.fullmatch(exchange.path):
        return [f"unknown parameter {name}" for name in names - PAGING]
    documented = DOCUMENTED.get(f"{exchange.method} {exchange.path}")
    if documented is not None:
        return [f"unknown parameter {name}" for name in names - documented - PAGING]
    operation = _operation(exchange)
    if operation is not None:
        return [*_unknown_names(operation, names, body), *_openapi_errors(exchange)]
    return _supplement(exchange, names, body)


def _operation(exchange: Exchange) -> Mapping[str, Any] | None:
    for template, methods in _document()["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), exchange.path):
            return methods.get(exchange.method.lower())
    return None


def _openapi_errors(exchange: Exchange) -> list[str]:
    query: dict[str, list[str]] = {}
    for name, value in exchange.query:
        query.setdefault(name, []).append(value)
    request = MockRequest(
        "https://gitlab.com",
        exchange.method.lower(),
        exchange.path,
        args=query,
        data=exchange.body or None,
    )
    errors: list[str] = []
    for error in _openapi().iter_request_errors(request):
        cause = error.__cause__
        details = getattr(cause, "schema_errors", None) or [cause or error]
        errors += [str(detail).splitlines()[0] for detail in details]
    return errors


def _unknown_names(operation: Mapping[str, Any], names: set[str], body: Any) -> list[str]:
    accepted = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
    found = [f"unknown parameter {name}" for name in names - accepted]
    if body is None:
        return found
    if "requestBody" not in operation:
        return [*found, "a body where none is described"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    reference = schema.get("$ref", "").rpartition("/")[2]
    properties = _document()["components"]["schemas"][reference]["properties"]
    return found + [f"unknown property {name}" for name in body.keys() - properties.keys()]


def _supplement(exchange: Exchange, names: set[str], body: Any) -> list[str]:
    for endpoint in _facts()["endpoints"]:
        path = "/api/v4" + endpoint["list_create"]
        collection = re.sub(r"\{[^}]+\}", "[^/]+", path)
        if re.fullmatch(collection, exchange.path):
            if exchange.method == "POST":
                return _fields(endpoint["create"], body)
            kind = path.rpartition("/")[2]
            filters = {*endpoint["list_filters"], *LIST_FILTERS.get(kind, ()), *PAGING}
            return [f"unknown parameter {name}" for name in names - filters]
        if re.fullmatch(collection + "/[^/]+", exchange.path):
            return _fields(endpoint["update"], body) if exchange.method == "PUT" else []
    return ["not described anywhere"]


def _fields(accepts: Mapping[str, Any], body: Any) -> list[str]:
    given = set(body or ())
    missing = [f"missing property {name}" for name in accepts["required"] if name not in given]
    unknown = given - {*accepts["required"], *accepts["optional"]}
    return missing + [f"unknown property {name}" for name in unknown]


def _answer(exchange: Exchange) -> list[str]:
    if exchange.status >= 300 or exchange.fault:
        return []
    data = _json(exchange.response)
    answered = cast("list[Any]", data) if isinstance(data, list) else [data]
    if EVENTS.fullmatch(exchange.path):
        return [problem for item in answered for problem in _event(item)]
    for path, name in ANSWERS.items():
        if re.fullmatch(rf"/api/v4/projects/[^/]+{path}", exchange.path):
            if exchange.method in {"POST", "DELETE"} and name == "XIssueLinkSchema":
                return []
            return [problem for item in answered if item for problem in _shape(item, name)]
    for path, name in ENTITIES.items():
        if re.fullmatch(rf"/api/v4/projects/[^/]+{path}", exchange.path):
            return [problem for item in answered for problem in _entity(item, name)]
    return []


def _event(item: Mapping[str, Any]) -> list[str]:
    unlike = [f"the answer lacks {key}" for key in EVENT.keys() - item.keys()]
    unlike += [
        f"the answer has {key}, which is not described" for key in item.keys() - EVENT.keys()
    ]
    for key, kind in EVENT.items():
        empty = item.get(key) is None and key.startswith("source_")
        if not empty and not isinstance(item.get(key), kind):
            unlike.append(f"the answer's {key} is no {kind.__name__}")
    return unlike


def _entity(item: Mapping[str, Any], name: str) -> list[str]:
    """Compare an object with GitLab's own description.

    That calls no property required, and says "string" of much that is a number or a flag.
    """
    described = _document()["components"]["schemas"][name]["properties"]
    kinds = {"integer": int, "boolean": bool, "array": list}
    wrong: list[str] = []
    for key, value in item.items():
        kind = kinds.get(described.get(key, {}).get("type", ""), object)
        if key not in described:
            wrong.append(f"the answer has {key}, which is not described")
        elif value is not None and not isinstance(value, kind):
            wrong.append(f"the answer's {key} is no {kind.__name__}")
    return wrong


def _shape(item: Mapping[str, Any], name: str) -> list[str]:
    """Compare an object with a client's types, which call every nullable property plain."""
    schema = _types()["definitions"][name]
    missing = [f"the answer lacks {key}" for key in schema["required"] if key not in item]
    for key, value in item.items():
        if value is None or key in MISTYPED or key not in schema["properties"]:
            continue
        if key == "milestone":
            missing += _shape(value, "XMilestoneSchema")
            continue
        validator: Any = Draft7Validator(_nullable(schema["properties"][key]))
        missing += [f"the answer's {key}: {e.message}" for e in validator.iter_errors(value)]
    return missing


def _nullable(schema: Any) -> Any:
    """Let `null` stand for every scalar: the client's types do not say what may be empty."""
    if not isinstance(schema, dict):
        return schema
    members = cast("dict[str, Any]", schema)
    relaxed = {key: _nullable(value) for key, value in members.items()}
    if isinstance(relaxed.get("type"), str) and relaxed["type"] != "object":
        relaxed["type"] = [relaxed["type"], "null"]
    return relaxed


def _json(content: bytes) -> Any:
    return json.loads(content) if content else None


@functools.cache
def _document() -> Any:
    return json.loads((CONTRACTS / "gitlab.openapi.json").read_text())


@functools.cache
def _openapi() -> OpenAPI:
    return OpenAPI.from_dict(_document())


@functools.cache
def _facts() -> Any:
    return json.loads((CONTRACTS / "gitlab.supplement.facts.json").read_text())


@functools.cache
def _types() -> Any:
    return json.loads((CONTRACTS / "gitlab.types.schema.json").read_text())

"""Whether a request to Motion is one that its reference describes, and the answer one it gives.

Motion publishes no OpenAPI document: the endpoints, parameters and bodies are the facts collected
from copies of its reference, the answers' types are those of a third-party client.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft7Validator

from runner.sandbox._world import Exchange

CONTRACTS = Path(__file__).parents[3] / "shared" / "contracts"

LISTS = {
    "/v1/users": ("users", "MotionUser"),
    "/v1/workspaces": ("workspaces", "MotionWorkspace"),
    "/v1/statuses": ("", "MotionStatus"),
    "/v1/schedules": ("", "MotionSchedule"),
    "/v1/tasks": ("tasks", "MotionTask"),
    "/v1/projects": ("projects", "MotionProject"),
    "/v1/comments": ("comments", "MotionComment"),
    "/v1/recurring-tasks": ("tasks", "MotionRecurringTask"),
}
OBJECTS = {
    "GET /v1/users/me": "MotionUser",
    "GET /v1/tasks/{id}": "MotionTask",
    "POST /v1/tasks": "MotionTask",
    "PATCH /v1/tasks/{id}": "MotionTask",
    "PATCH /v1/tasks/{id}/move": "MotionTask",
    "GET /v1/projects/{id}": "MotionProject",
    "POST /v1/projects": "MotionProject",
    "POST /v1/comments": "MotionComment",
    "POST /v1/recurring-tasks": "MotionRecurringTask",
}
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "object": dict,
    "array": list,
    "null": type(None),
}


def violations(exchange: Exchange) -> list[str]:
    """Return what is wrong with one exchange; refused requests are judged as well."""
    endpoint = _endpoint(exchange)
    if endpoint is None:
        return [f"{exchange.method} {exchange.path} is not described"]
    found = [*_query(exchange, endpoint), *_body(exchange, endpoint), *_answer(exchange, endpoint)]
    return [f"{exchange.method} {exchange.path}: {problem}" for problem in found]


def _endpoint(exchange: Exchange) -> Mapping[str, Any] | None:
    for endpoint in _facts()["endpoints"]:
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", endpoint["path"])
        if endpoint["method"] == exchange.method and re.fullmatch(pattern, exchange.path):
            notes = " ".join(endpoint.get("notes", ()))
            # `/v1/users/me` also fits a template; the exact path comes first in the facts.
            return None if "NOT in the vendor reference" in notes or notes == "same" else endpoint
    return None


def _query(exchange: Exchange, endpoint: Mapping[str, Any]) -> list[str]:
    described = cast("dict[str, str]", endpoint.get("query", {}))
    found: list[str] = []
    names = [name for name, _ in exchange.query]
    for name, value in exchange.query:
        kind = described.get(name)
        if kind is None:
            found.append(f"unknown parameter {name}")
        elif kind.startswith("boolean") and value not in {"true", "false"}:
            found.append(f"{name} is no boolean")
        elif "[]" not in kind and names.count(name) > 1:
            found.append(f"{name} is given twice")
    found += [
        f"missing parameter {n}"
        for n, kind in described.items()
        if "required" in kind and n not in names
    ]
    if "status" in names and "includeAllStatuses" in names:
        found.append("status and includeAllStatuses exclude each other")
    if {"projectId", "name", "includeAllStatuses"} <= set(names):
        found.append("a combination of filters that was reported to hang")
    return found


def _body(exchange: Exchange, endpoint: Mapping[str, Any]) -> list[str]:
    if exchange.method not in {"POST", "PATCH"}:
        return ["a body where none is described"] if exchange.body else []
    if exchange.headers.get("content-type") != "application/json":
        return ["no JSON content type"]
    given = json.loads(exchange.body)
    described = endpoint["body"]
    required = {name for name, member in described.items() if member.get("required")}
    if endpoint["method"] == "PATCH" and endpoint["path"] == "/v1/tasks/{id}":
        # The reference calls them required; what the live server says is not known.
        required = {"name", "workspaceId"}
    found = [f"missing property {name}" for name in sorted(required - given.keys())]
    found += _members(given, described)
    if given.get("autoScheduled") is not None and "dueDate" not in given:
        found.append("a scheduled task without a due date")
    return found


def _members(given: Mapping[str, Any], described: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for name, value in given.items():
        if name in described:
            found += _member(name, value, described[name])
        else:
            found.append(f"unknown property {name}")
    return found


def _member(name: str, value: Any, described: Mapping[str, Any]) -> list[str]:
    named: Any = described["type"]
    kinds: list[str] = [named] if isinstance(named, str) else named
    if isinstance(value, bool) or not any(isinstance(value, TYPES[kind]) for kind in kinds):
        return [f"{name} is {json.dumps(value)}"]
    if described.get("items") == "string":
        return [f"{name} holds {json.dumps(i)}" for i in value if not isinstance(i, str)]
    if isinstance(value, dict) and "fields" in described:
        return [
            f"{name}: {p}" for p in _members(cast("dict[str, Any]", value), described["fields"])
        ]
    words = described.get("enum") or described.get("enum_strings")
    if isinstance(value, str) and words and value not in words:
        return [f"{name} is {value!r}, none of {words}"]
    if isinstance(value, int) and value <= 0:
        return [f"{name} is not above 0"]
    if "format" in described and not _has_format(value, described["format"]):
        return [f"{name} is {value!r}, no {described['format']}"]
    return []


def _has_format(value: Any, wanted: str) -> bool:
    try:
        if wanted == "date":
            date.fromisoformat(value)
            return True
        # Without an offset nobody could tell whose time it is.
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _answer(exchange: Exchange, endpoint: Mapping[str, Any]) -> list[str]:
    if exchange.fault or exchange.status == 204:
        return []
    data = json.loads(exchange.response)
    if exchange.status >= 400:
        shape = {"message", "statusCode"} <= data.keys() and data["statusCode"] == exchange.status
        return [] if shape else ["the error has not Motion's shape"]
    if exchange.method == "GET" and exchange.path in LISTS:
        key, name = LISTS[exchange.path]
        problems = _shape(data["meta"], "MotionPaginationMeta") if key else []
        rows = data[key] if key else data
        return problems + [problem for row in rows for problem in _shape(row, name)]
    name = OBJECTS.get(f"{exchange.method} {endpoint['path']}")
    return _shape(data, name) if name else []


def _shape(value: Any, name: str) -> list[str]:
    return [f"the answer's {e.json_path}: {e.message}" for e in _validator(name).iter_errors(value)]


@functools.cache
def _validator(name: str) -> Any:
    types = json.loads((CONTRACTS / "motion.types.schema.json").read_text())
    return Draft7Validator({**types, "$ref": f"#/definitions/{name}"})


@functools.cache
def _facts() -> Any:
    return json.loads((CONTRACTS / "motion.facts.json").read_text())

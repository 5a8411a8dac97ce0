"""A stand-in for Linear: its GraphQL endpoint over a workspace in memory.

Queries run on graphql-core against a part of the schema. Like Linear it counts complexity and
requests in leaky buckets and says so in its headers, refuses a query of more than 10,000 points
(verified 2026-11-24, linear.app/developers/rate-limiting), answers a rate limit with HTTP 400, and
tells what went wrong in `extensions`.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, ClassVar, TypeAlias, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    build_schema,
    execute_sync,  # pyright: ignore[reportUnknownVariableType]
    get_named_type,
    get_operation_ast,
    parse,
    validate,
)

from runner.sandbox._linear_mutations import Mutations
from runner.sandbox._linear_schema import sdl
from runner.sandbox._linear_unmodelled import neutral
from runner.sandbox._linear_workspace import Row, Unmodelled, Values, Workspace, refuse
from runner.sandbox._platform import Call, Reply
from runner.sandbox._world import TOKENS, World

QUERY_POINTS = 10_000
PAGE, LARGEST_PAGE = 50, 250
REQUESTS, POINTS, HOUR = 2_500, 3_000_000, 3_600.0

_SINGULAR = {
    "issue": "Issue",
    "project": "Project",
    "projectMilestone": "ProjectMilestone",
    "team": "Team",
    "user": "User",
    "workflowState": "WorkflowState",
}
_MARKED = {"Project": "project", "ProjectMilestone": "milestone", "Issue": "task"}
_Condition: TypeAlias = Mapping[str, Any]


class Bucket:
    """A leaky bucket: holds `size`, and is refilled evenly within `seconds`."""

    def __init__(self, size: int, seconds: float) -> None:
        self.size = size
        self.left = float(size)
        self._rate = size / seconds
        self._at = 0.0

    def take(self, now: float, units: float) -> float:
        """Take `units` and return 0; or, where there are too few, the seconds until there are."""
        self.left = min(self.size, self.left + max(0.0, now - self._at) * self._rate)
        self._at = now
        if units > self.left:
            return (units - self.left) / self._rate
        self.left -= units
        return 0.0

    def full_at(self, now: float) -> float:
        """Return when the bucket will be full again, in seconds since 1970."""
        return now + (self.size - self.left) / self._rate


_VALID: dict[str, DocumentNode] = {}
"""Documents that were found valid: every stand-in has the same schema."""


class LinearStandIn:
    """Linear, as far as trueup and the people in the tests use it."""

    platform: ClassVar[str] = "linear"

    def __init__(self, world: World) -> None:
        self.world = world
        self.home = Workspace(world)
        self._schema = _schema()
        self._mutations = Mutations(self.home)
        self._documents = _VALID
        self.buckets = {
            "requests": Bucket(REQUESTS, HOUR),
            "complexity": Bucket(POINTS, HOUR),
        }

    def writes(self, call: Call) -> bool:
        """Return whether the request holds a mutation."""
        body = _json(call.body)
        return re.match(r"\s*mutation\b", str(body.get("query", ""))) is not None

    def handle(self, call: Call) -> Reply:
        """Answer one GraphQL request."""
        if call.path != "/graphql":
            return Reply(404, {"message": "Not found"})
        if call.method != "POST":
            return _failure(405, "GraphQL only supports POST requests.", "BAD_REQUEST")
        if "application/json" not in call.headers.get("content-type", ""):
            return _failure(400, "The content type must be application/json.", "BAD_REQUEST")
        if call.headers.get("authorization") != TOKENS["linear"]:
            return _failure(
                401,
                "Authentication required, not authenticated",
                "AUTHENTICATION_ERROR",
                "authentication error",
            )
        body = _json(call.body)
        if not isinstance(body.get("query"), str):
            return _failure(400, "The request has no query.", "BAD_REQUEST")
        if wait := self._take("requests", 1):
            return self.rate_limited(wait)
        return self._answer(body["query"], body.get("variables") or {}, body.get("operationName"))

    def rate_limited(self, seconds: float) -> Reply:
        """Return HTTP 400 with `RATELIMITED`, and headers that say until when."""
        reply = _failure(400, "Rate limit exceeded", "RATELIMITED", "ratelimited")
        return Reply(400, reply.data, {**self._headers(), "retry-after": str(math.ceil(seconds))})

    def objects(self) -> list[dict[str, Any]]:
        """Return projects, milestones, issues and labels."""
        told = [
            self._told(row, kind) for type_, kind in _MARKED.items() for row in self.home.all(type_)
        ]
        for label in (*self.home.all("IssueLabel"), *self.home.all("ProjectLabel")):
            plain = {"kind": "label", "id": label.id, "title": label.values["name"]}
            told.append({**plain, "marker": "", "archived": False, "of": label.type})
        return told

    def _told(self, row: Row, kind: str) -> dict[str, Any]:
        values, read = row.values, self.home.read
        told: dict[str, Any] = {
            "kind": kind,
            "id": row.id,
            "title": values.get("title") or values.get("name"),
            "marker": row.id if row.given else "",
            "archived": values["archivedAt"] is not None,
            "description": values.get("content") or values["description"] or "",
            "due": values.get("dueDate") or values.get("targetDate"),
        }
        if kind != "milestone":
            told["labels"] = sorted(label.values["name"] for label in read(row, "labels"))
            told["priority"] = values["priority"]
            told["status"] = read(row, "status" if kind == "project" else "state").values["type"]
            links = read(row, "externalLinks" if kind == "project" else "attachments")
            told["links"] = sorted(link.values["url"] for link in links)
        if kind == "task":
            told["identifier"] = values["identifier"]
            told["estimate"] = values["estimate"]
            told["blocked_by"] = sorted(
                r.values["issueId"]
                for r in read(row, "inverseRelations")
                if r.values["type"] == "blocks"
            )
            told["comments"] = [comment.values["body"] for comment in read(row, "comments")]
        for name in ("assignee", "lead", "project", "projectMilestone", "parent", "team"):
            if f"{name}Id" in values:
                told[name] = values[f"{name}Id"]
        return told

    # One request

    def _answer(self, text: str, variables: Values, name: str | None) -> Reply:
        try:
            document = self._document(text)
        except GraphQLError as error:
            return self._result(ExecutionResult(None, [error]), 400, "GRAPHQL_PARSE_FAILED")
        problems = [] if text in self._documents else validate(self._schema, document)
        operation = get_operation_ast(document, name)
        if problems or operation is None:
            errors = problems or [GraphQLError("The operation is not named.")]
            return self._result(ExecutionResult(None, errors), 400, "GRAPHQL_VALIDATION_FAILED")
        self._documents[text] = document
        points = self._points(document, operation, variables)
        if points > QUERY_POINTS:
            shown = f"The query has {points} points; {QUERY_POINTS} are allowed."
            return _failure(400, "Query too complex", "INPUT_ERROR", shown=shown)
        if wait := self._take("complexity", points):
            return self.rate_limited(wait)
        result = execute_sync(
            self._schema,
            document,
            variable_values=variables,
            operation_name=name,
            field_resolver=self._resolve,
        )
        unread = result.data is None and result.errors and result.errors[0].path is None
        reply = self._result(result, 400 if unread else 200, "BAD_USER_INPUT")
        reply.headers["x-complexity"] = str(points)
        return reply

    def _document(self, text: str) -> DocumentNode:
        return self._documents.get(text) or parse(text)

    def _result(self, result: ExecutionResult, status: int, code: str) -> Reply:
        data: dict[str, Any] = {} if status == 400 else {"data": result.data}
        if result.errors:
            data["errors"] = [_told_error(error, code) for error in result.errors]
        return Reply(status, data, self._headers())

    def _take(self, kind: str, units: float) -> float:
        if not self.world.limits:
            return 0.0
        return self.buckets[kind].take(self.world.clock(), units)

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for kind, bucket in self.buckets.items():
            headers[f"x-ratelimit-{kind}-limit"] = str(bucket.size)
            headers[f"x-ratelimit-{kind}-remaining"] = str(int(bucket.left))
            full_at = bucket.full_at(self.world.clock())
            headers[f"x-ratelimit-{kind}-reset"] = str(math.ceil(full_at * 1000))
        return headers

    # Complexity: a property a tenth of a point, an object one, a list its page size of each

    def _points(
        self, document: DocumentNode, operation: OperationDefinitionNode, variables: Values
    ) -> int:
        fragments = {
            d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)
        }
        root = self._schema.get_root_type(operation.operation)
        counter = _Counter(self._schema, fragments, variables)
        tenths = counter.count(operation.selection_set, cast("GraphQLObjectType", root))
        return math.ceil(tenths / 10)

    # Resolving

    def _resolve(self, source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        name, parent = info.field_name, info.parent_type
        if parent.name == "Mutation":
            return self._mutations.fields[name](arguments)
        if parent.name == "Query":
            return self._root(name, _told_type(parent, name), arguments)
        try:
            if isinstance(source, dict):
                return cast("Values", source)[name]
            value = self.home.read(cast("Row", source), name)
        except (KeyError, Unmodelled):
            return neutral(str(parent.fields[name].type), self._schema)
        paged = _told_type(parent, name).endswith("Connection")
        return self._connected(value, arguments) if paged else value

    def _root(self, name: str, told: str, arguments: Values) -> Any:
        if name == "viewer":
            return self.home.viewer
        if name == "organization":
            return next(iter(self.home.all("Organization")))
        if name in _SINGULAR:
            return self.home.get(_SINGULAR[name], arguments["id"])
        kind = told.removesuffix("Connection")
        rows = [r for r in self.home.all(kind) if self.world.visible("linear", r.born)]
        return self._connected(rows, arguments)

    def _connected(self, rows: list[Row], arguments: Values) -> Values:
        wanted: _Condition = arguments.get("filter") or {}
        if arguments.get("sort"):
            refuse("Argument Validation Error", "The sandbox sorts by orderBy only.")
        rows = [row for row in rows if self._matches(row, wanted)]
        if not arguments.get("includeArchived"):
            rows = [row for row in rows if row.values["archivedAt"] is None]
        order = arguments.get("orderBy") or "createdAt"
        rows.sort(key=lambda row: (row.values[order], row.serial), reverse=True)
        ids = [row.id for row in rows]
        start = _place(ids, arguments.get("after")) + 1 if arguments.get("after") else 0
        stop = _place(ids, arguments.get("before")) if arguments.get("before") else len(rows)
        last = arguments.get("last")
        size = last or arguments.get("first") or PAGE
        if not 0 < size <= LARGEST_PAGE:
            refuse("Argument Validation Error", f"first must be between 1 and {LARGEST_PAGE}.")
        if last:
            start = max(start, stop - size)
        page = rows[start : min(stop, start + size)]
        return {
            "nodes": page,
            "edges": [{"cursor": row.id, "node": row} for row in page],
            "pageInfo": {
                "hasNextPage": start + len(page) < stop,
                "hasPreviousPage": start > 0,
                "startCursor": page[0].id if page else None,
                "endCursor": page[-1].id if page else None,
            },
        }

    def _matches(self, row: Row, wanted: _Condition) -> bool:
        for name, condition in wanted.items():
            if name == "and":
                fits = all(self._matches(row, part) for part in condition)
            elif name == "or":
                fits = any(self._matches(row, part) for part in condition)
            elif name == "null":
                fits = not condition
            else:
                fits = self._fits(self.home.read(row, name), condition)
            if not fits:
                return False
        return True

    def _fits(self, value: Any, condition: _Condition) -> bool:
        if isinstance(value, Row):
            return self._matches(value, condition)
        if isinstance(value, list):
            rows = cast("list[Row]", value)
            some = condition.get("some")
            every = condition.get("every")
            return (
                (some is None or any(self._matches(row, some) for row in rows))
                and (every is None or all(self._matches(row, every) for row in rows))
                and condition.get("null") in {None, not rows}
            )
        return all(_compares(value, how, operand) for how, operand in condition.items())


class _Counter:
    """Counts the points of a query, in tenths."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Values,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables

    def count(self, selected: SelectionSetNode, parent: GraphQLObjectType, page: int = 1) -> int:
        """Return the points of what is selected of `parent`; its rows come `page` at a time."""
        points = 0
        for node in selected.selections:
            if isinstance(node, FieldNode):
                points += self._field(node, parent, page)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
                points += self.count(fragment.selection_set, parent, page)
            elif isinstance(node, InlineFragmentNode):
                points += self.count(node.selection_set, parent, page)
        return points

    def _field(self, node: FieldNode, parent: GraphQLObjectType, page: int) -> int:
        if node.selection_set is None:
            return 1
        type_ = cast("GraphQLObjectType", get_named_type(parent.fields[node.name.value].type))
        if type_.name.endswith("Connection"):
            return self.count(node.selection_set, type_, self._page(node))
        times = page if node.name.value in {"nodes", "edges"} else 1
        return times * (10 + self.count(node.selection_set, type_))

    def _page(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value in {"first", "last"}:
                value = argument.value
                if isinstance(value, VariableNode):
                    return int(self._variables.get(value.name.value) or PAGE)
                if isinstance(value, IntValueNode):
                    return int(value.value)
        return PAGE


@functools.cache
def _schema() -> GraphQLSchema:
    schema = build_schema(sdl())
    for name, read in (
        ("DateTime", _instant),
        ("DateTimeOrDuration", _instant),
        ("TimelessDate", _day),
    ):
        scalar = cast("GraphQLScalarType", schema.type_map[name])
        scalar.parse_value = read
    return schema


def _instant(value: object) -> str:
    """Return an instant as Linear writes it, so that instants compare as text."""
    try:
        read = datetime.fromisoformat(str(value))
    except ValueError:
        raise GraphQLError(f"{value} is not a date and time.") from None
    read = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    return read.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _day(value: object) -> str:
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError:
        raise GraphQLError(f"{value} is not a date.") from None


def _place(ids: list[str], cursor: object) -> int:
    try:
        return ids.index(str(cursor))
    except ValueError:
        refuse("Argument Validation Error", "The cursor is of another list.")


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, operand: value == operand,
    "neq": lambda value, operand: value != operand,
    "in": lambda value, operand: value in operand,
    "nin": lambda value, operand: value not in operand,
    "gt": lambda value, operand: value > operand,
    "gte": lambda value, operand: value >= operand,
    "lt": lambda value, operand: value < operand,
    "lte": lambda value, operand: value <= operand,
    "eqIgnoreCase": lambda value, operand: value.lower() == operand.lower(),
    "neqIgnoreCase": lambda value, operand: value.lower() != operand.lower(),
    "contains": lambda value, operand: operand in value,
    "containsIgnoreCase": lambda value, operand: operand.lower() in value.lower(),
    "notContains": lambda value, operand: operand not in value,
    "startsWith": lambda value, operand: value.startswith(operand),
    "endsWith": lambda value, operand: value.endswith(operand),
}


def _compares(value: Any, how: str, operand: Any) -> bool:
    if how == "null":
        return (value is None) == operand
    if value is None:
        return how in {"neq", "nin"}
    return _COMPARISONS[how](value, operand)


def _told_type(parent: GraphQLObjectType, name: str) -> str:
    return str(parent.fields[name].type).strip("[]!")


def _json(body: bytes) -> Values:
    try:
        read: object = json.loads(body)
    except ValueError:
        return {}
    return cast("Values", read) if isinstance(read, dict) else {}


def _failure(
    status: int, message: str, code: str, kind: str = "graphql error", shown: str = ""
) -> Reply:
    extensions = {"type": kind, "code": code, "statusCode": status, "userError": True}
    if shown:
        extensions["userPresentableMessage"] = shown
    return Reply(status, {"errors": [{"message": message, "extensions": extensions}]})


def _told_error(error: GraphQLError, code: str) -> dict[str, Any]:
    told = cast("dict[str, Any]", error.formatted)
    if error.original_error is not None and not isinstance(error.original_error, GraphQLError):
        code = "INTERNAL_SERVER_ERROR"
    told["extensions"] = error.extensions or {"type": "graphql error", "code": code}
    return told

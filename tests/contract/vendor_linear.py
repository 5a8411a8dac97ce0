"""Whether a request to Linear is one that Linear's published schema allows."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, cast

from graphql import (
    GraphQLSchema,
    NoDeprecatedCustomRule,
    build_schema,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.values import get_variable_values

from runner.sandbox._world import Exchange

CONTRACTS = Path(__file__).parents[3] / "shared" / "contracts"


@functools.cache
def schema() -> GraphQLSchema:
    """Return the vendor's schema."""
    text = (CONTRACTS / "linear.schema.graphql").read_text(encoding="utf-8")
    return build_schema(text, assume_valid_sdl=True)


def violations(exchange: Exchange) -> list[str]:
    """Return what is wrong with one exchange."""
    if exchange.method != "POST" or exchange.path != "/graphql":
        return [f"{exchange.method} {exchange.path} is no request to the endpoint"]
    if not exchange.headers.get("content-type", "").startswith("application/json"):
        return ["the content type is not JSON"]
    body = cast("dict[str, Any]", json.loads(exchange.body))
    document = body.get("query")
    if not isinstance(document, str) or body.keys() - {"query", "variables", "operationName"}:
        return [f"the body has {sorted(body)}"]
    found = list(_document_errors(document))
    variables = cast("dict[str, Any]", body.get("variables") or {})
    return found or _variable_errors(document, variables, body.get("operationName"))


@functools.lru_cache(maxsize=512)
def _document_errors(document: str) -> tuple[str, ...]:
    rules = [*specified_rules, NoDeprecatedCustomRule]
    return tuple(error.message for error in validate(schema(), parse(document), rules))


def _variable_errors(document: str, variables: dict[str, Any], name: str | None) -> list[str]:
    operation = get_operation_ast(parse(document), name)
    if operation is None:
        return ["the operation is not named"]
    definitions = operation.variable_definitions or ()
    declared = {definition.variable.name.value for definition in definitions}
    unknown = [f"${name} is not declared" for name in variables.keys() - declared]
    values = get_variable_values(schema(), definitions, variables)
    errors = values if isinstance(values, list) else []
    return unknown + [error.message for error in errors]

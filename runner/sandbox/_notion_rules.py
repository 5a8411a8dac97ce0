"""What Notion's API accepts and how it keeps it: rich text, blocks, columns, values, filters.

Functions over plain values; whatever the API would refuse raises `Refusal`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn, cast

Json = dict[str, Any]

ARRAY = 100
TEXT = 2000
BLOCKS = 1000
NESTED = 2

PLAIN = {
    "bold": False,
    "italic": False,
    "strikethrough": False,
    "underline": False,
    "code": False,
    "color": "default",
}
COLUMNS = frozenset(
    {
        "title",
        "rich_text",
        "number",
        "select",
        "multi_select",
        "date",
        "people",
        "url",
        "email",
        "phone_number",
        "checkbox",
        "relation",
    }
)
TEXT_BLOCKS = frozenset(
    {
        "paragraph",
        "heading_1",
        "heading_2",
        "heading_3",
        "bulleted_list_item",
        "numbered_list_item",
        "to_do",
        "toggle",
        "quote",
        "callout",
    }
)
_CONTENT = {
    **{kind: {"rich_text", "color", "children"} for kind in TEXT_BLOCKS},
    "to_do": {"rich_text", "color", "children", "checked"},
    "callout": {"rich_text", "color", "children", "icon"},
    "code": {"rich_text", "language", "caption"},
    "divider": set[str](),
    "image": {"type", "external", "caption"},
    "bookmark": {"url", "caption"},
    "table": {"table_width", "has_column_header", "has_row_header", "children"},
    "table_row": {"cells"},
    "equation": {"expression"},
}


class Refusal(Exception):
    """An answer in Notion's error shape."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def invalid(message: str) -> NoReturn:
    """Refuse with `validation_error`."""
    raise Refusal(400, "validation_error", message)


def missing(what: str, identity: str) -> NoReturn:
    """Refuse with `object_not_found`."""
    raise Refusal(
        404,
        "object_not_found",
        f"Could not find {what} with ID: {identity}. Make sure the relevant pages and databases "
        "are shared with your connection.",
    )


def known_keys(value: object, allowed: Collection[str], where: str) -> Json:
    """Return `value` as an object that has no other keys than `allowed`."""
    if not isinstance(value, dict):
        invalid(f"body failed validation: {where} should be an object.")
    found = cast("Json", value)
    for name in found:
        if name not in allowed:
            invalid(f"body failed validation: {where}.{name} should be not present.")
    return found


def array(value: object, where: str, most: int = ARRAY) -> list[Any]:
    """Return `value` as an array of at most `most` items."""
    if not isinstance(value, list):
        invalid(f"body failed validation: {where} should be an array.")
    items = cast("list[Any]", value)
    if len(items) > most:
        invalid(
            f"body failed validation: {where}.length should be ≤ `{most}`, "
            f"instead was `{len(items)}`."
        )
    return items


def text(value: object, where: str, most: int = TEXT) -> str:
    """Return `value` as a string of at most `most` UTF-16 units."""
    if not isinstance(value, str):
        invalid(f"body failed validation: {where} should be a string.")
    length = len(value.encode("utf-16-le")) // 2
    if length > most:
        invalid(
            f"body failed validation: {where}.length should be ≤ `{most}`, instead was `{length}`."
        )
    return value


def rich_text(value: object, where: str) -> list[Json]:
    """Return rich text as Notion gives it back."""
    return [_rich_item(item, f"{where}[{i}]") for i, item in enumerate(array(value, where))]


def plain(items: Iterable[Json]) -> str:
    """Return rich text without its styles."""
    return "".join(str(item["plain_text"]) for item in items)


def _rich_item(value: object, where: str) -> Json:
    known = {"type", "text", "annotations", "plain_text", "href"}
    item = known_keys(value, known, where)
    if item.get("type", "text") != "text":
        invalid(f"body failed validation: {where}.type should be `text`.")
    content = known_keys(item.get("text"), {"content", "link"}, f"{where}.text")
    words = text(content.get("content"), f"{where}.text.content")
    link = content.get("link")
    if link is not None:
        url = text(known_keys(link, {"url", "type"}, f"{where}.text.link").get("url"), where)
        if not re.match(r"(https?://\S|mailto:\S|/\S)", url):
            invalid("Invalid URL for link.")
        link = {"url": url}
    style = known_keys(item.get("annotations", {}), PLAIN.keys(), f"{where}.annotations")
    return {
        "type": "text",
        "text": {"content": words, "link": link},
        "annotations": {**PLAIN, **style},
        "plain_text": words,
        "href": link["url"] if link else None,
    }


# ── blocks ────────────────────────────────────────────────────────────────────────────────────


def blocks(value: object, where: str) -> list[Json]:
    """Return the blocks of a request, checked, in the form in which they are kept."""
    checked = [_block(item, f"{where}[{i}]", 0) for i, item in enumerate(array(value, where))]
    if sum(map(_size, checked)) > BLOCKS:
        invalid(f"body failed validation: {where} holds more than {BLOCKS} blocks.")
    return checked


def _size(block: Json) -> int:
    return 1 + sum(map(_size, block["children"]))


def _block(value: object, where: str, level: int) -> Json:
    if not isinstance(value, dict):
        invalid(f"body failed validation: {where} should be an object.")
    raw = cast("Json", value)
    kinds = [name for name in raw if name not in {"object", "type"}]
    if len(kinds) != 1 or kinds[0] not in _CONTENT or raw.get("type", kinds[0]) != kinds[0]:
        invalid(f"body failed validation: {where} should be a block with the content of its type.")
    kind = kinds[0]
    content = dict(known_keys(raw[kind], _CONTENT[kind], f"{where}.{kind}"))
    inner = content.pop("children", None)
    return {
        "type": kind,
        "content": block_content(kind, content, f"{where}.{kind}"),
        "children": _children(kind, content, inner, f"{where}.{kind}.children", level),
    }


def _children(kind: str, content: Json, inner: object, where: str, level: int) -> list[Json]:
    if kind == "table" and (level >= NESTED or not inner):
        invalid(f"body failed validation: {where} should be defined, one level further up.")
    if inner is None:
        return []
    if level >= NESTED:
        invalid(f"body failed validation: {where} should be not present.")
    children = [_block(c, f"{where}[{i}]", level + 1) for i, c in enumerate(array(inner, where))]
    for child in children:
        row = child["type"] == "table_row"
        if row != (kind == "table"):
            invalid(f"body failed validation: {where} should hold table rows, and only a table.")
        if row and len(child["content"]["cells"]) != content["table_width"]:
            invalid(
                "Content creation Failed. Fix the following: number of cells in table row must "
                "match the table width of the parent table"
            )
    return children


def block_content(kind: str, content: Json, where: str) -> Json:
    """Return the content of one block as Notion gives it back."""
    if kind in TEXT_BLOCKS:
        return _text_content(kind, content, where)
    if kind in {"code", "image", "bookmark"}:
        return _captioned(kind, content, where)
    if kind == "table":
        flags = ("has_column_header", "has_row_header")
        kept = {name: boolean(content.get(name, False), f"{where}.{name}") for name in flags}
        return {"table_width": int(content["table_width"]), **kept}
    if kind == "table_row":
        cells = array(content.get("cells"), f"{where}.cells")
        return {"cells": [rich_text(c, f"{where}.cells[{i}]") for i, c in enumerate(cells)]}
    if kind == "equation":
        return {"expression": text(content.get("expression"), f"{where}.expression", 1000)}
    return {}


def _text_content(kind: str, content: Json, where: str) -> Json:
    kept: Json = {
        "rich_text": rich_text(content.get("rich_text"), f"{where}.rich_text"),
        "color": content.get("color", "default"),
    }
    if kind.startswith("heading_"):
        kept["is_toggleable"] = False
    if kind in {"paragraph", "callout"}:
        kept["icon"] = content.get("icon")
    if kind == "to_do":
        kept["checked"] = boolean(content.get("checked", False), f"{where}.checked")
    return kept


def _captioned(kind: str, content: Json, where: str) -> Json:
    kept: Json = {"caption": rich_text(content.get("caption", []), f"{where}.caption")}
    if kind == "code":
        kept["rich_text"] = rich_text(content.get("rich_text"), f"{where}.rich_text")
        kept["language"] = text(content.get("language"), f"{where}.language")
        return kept
    held = known_keys(content.get("external"), {"url"}, where) if kind == "image" else content
    url = text(held.get("url"), f"{where}.url")
    if not url.startswith(("http://", "https://")):
        invalid(f"body failed validation: {where}.url should be a valid URL.")
    if kind == "image":
        return {**kept, "type": "external", "external": {"url": url}}
    return {**kept, "url": url}


def boolean(value: object, where: str) -> bool:
    """Return `value` where it is a boolean."""
    if not isinstance(value, bool):
        invalid(f"body failed validation: {where} should be a boolean.")
    return value


# ── values of properties ──────────────────────────────────────────────────────────────────────


def empty(kind: str) -> Any:
    """Return what a property holds that nobody has set."""
    if kind in {"title", "rich_text", "multi_select", "people", "relation"}:
        return []
    return False if kind == "checkbox" else None


def simple_value(kind: str, value: Any, where: str) -> Any:
    """Return a value that needs nothing but itself, as Notion gives it back."""
    if kind in {"title", "rich_text"}:
        return rich_text(value, where)
    if kind == "checkbox":
        return boolean(value, where)
    if value is None:
        return None
    if kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            invalid(f"body failed validation: {where} should be a number.")
        return value
    if kind == "date":
        return _date(value, where)
    if not text(value, where):
        invalid(f"body failed validation: {where} should be a non-empty string or `null`.")
    return value


def _date(value: object, where: str) -> Json:
    found = known_keys(value, {"start", "end", "time_zone"}, where)
    for name in ("start", "end"):
        if name == "start" or found.get(name) is not None:
            moment(found.get(name), f"{where}.{name}")
    return {"start": found["start"], "end": found.get("end"), "time_zone": found.get("time_zone")}


def moment(value: object, where: str) -> datetime:
    """Return an ISO 8601 date or instant."""
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        invalid(f"body failed validation: {where} should be a valid ISO 8601 date string.")


def option_name(value: Any, where: str) -> str:
    """Return the name of an option, which holds no comma."""
    name = text(known_keys(value, {"name", "id", "color"}, where).get("name"), where, 100)
    if "," in name or not name:
        invalid(f"Invalid select option, commas not allowed: {name}")
    return name


# ── filters ───────────────────────────────────────────────────────────────────────────────────

Holds = Callable[[Json], bool]


def compiled(condition: Any, columns: Mapping[str, Json], depth: int = 0) -> Holds:
    """Return a filter as a function of a page."""
    if not isinstance(condition, dict):
        invalid("body failed validation: body.filter should be an object.")
    found = cast("Json", condition)
    for name, combine in (("and", all), ("or", any)):
        if name in found:
            if depth > 1:
                invalid("body failed validation: body.filter is nested too deep.")
            known_keys(found, {name}, "body.filter")
            parts = [compiled(p, columns, depth + 1) for p in array(found[name], f"filter.{name}")]
            return lambda page, parts=parts, combine=combine: combine(p(page) for p in parts)
    if "timestamp" in found:
        stamp = str(found["timestamp"])
        known_keys(found, {"timestamp", stamp}, "body.filter")
        if stamp not in {"created_time", "last_edited_time"}:
            invalid("body failed validation: body.filter.timestamp is not known.")
        operator, operand = _only(found.get(stamp), stamp)
        return lambda page: _compare_dates(operator, operand, page[stamp])
    column = str(found.get("property"))
    if column not in columns:
        invalid(f"Could not find property with name or id: {column}")
    kind = columns[column]["type"]
    known_keys(found, {"property", "type", kind}, "body.filter")
    operator, operand = _only(found.get(kind), kind)
    test = _test(kind, operator, operand)
    return lambda page: test(page["properties"][column][kind])


def _only(value: Any, where: str) -> tuple[str, Any]:
    found = cast("Json", value) if isinstance(value, dict) else {}
    if len(found) != 1:
        invalid(f"body failed validation: body.filter.{where} should have one condition.")
    return next(iter(found.items()))


def _test(kind: str, operator: str, operand: Any) -> Callable[[Any], bool]:
    if operator == "is_empty":
        return lambda value: value in (None, [], "")
    if operator == "is_not_empty":
        return lambda value: value not in (None, [], "")
    if kind == "date":
        return lambda value: value is not None and _compare_dates(operator, operand, value["start"])
    if kind in {"relation", "people", "multi_select"}:
        name = "name" if kind == "multi_select" else "id"
        return _membership(operator, lambda value: operand in [item[name] for item in value])
    if kind == "number":
        return _numeric(operator, operand)
    read = _words(kind)
    tests: dict[str, Callable[[Any], bool]] = {
        "equals": lambda value: read(value) == operand,
        "does_not_equal": lambda value: read(value) != operand,
        "contains": lambda value: operand in read(value),
        "does_not_contain": lambda value: operand not in read(value),
        "starts_with": lambda value: read(value).startswith(operand),
        "ends_with": lambda value: read(value).endswith(operand),
    }
    if operator not in tests:
        invalid(f"body failed validation: body.filter.{kind}.{operator} should be not present.")
    return tests[operator]


def _words(kind: str) -> Callable[[Any], Any]:
    if kind in {"title", "rich_text"}:
        return plain
    if kind == "select":
        return lambda value: value["name"] if value else None
    return (lambda value: value) if kind == "checkbox" else (lambda value: value or "")


def _membership(operator: str, inside: Callable[[Any], bool]) -> Callable[[Any], bool]:
    if operator == "contains":
        return inside
    if operator == "does_not_contain":
        return lambda value: not inside(value)
    invalid(f"body failed validation: body.filter.{operator} should be not present.")


def _numeric(operator: str, operand: float) -> Callable[[Any], bool]:
    tests: dict[str, Callable[[float], bool]] = {
        "equals": lambda value: value == operand,
        "does_not_equal": lambda value: value != operand,
        "greater_than": lambda value: value > operand,
        "less_than": lambda value: value < operand,
        "greater_than_or_equal_to": lambda value: value >= operand,
        "less_than_or_equal_to": lambda value: value <= operand,
    }
    if operator not in tests:
        invalid(f"body failed validation: body.filter.number.{operator} should be not present.")
    return lambda value: value is not None and tests[operator](value)


def _compare_dates(operator: str, operand: Any, value: str) -> bool:
    wanted, found = _naive(operand), _naive(value)
    tests = {
        "equals": found == wanted,
        "before": found < wanted,
        "after": found > wanted,
        "on_or_before": found <= wanted,
        "on_or_after": found >= wanted,
    }
    if operator not in tests:
        invalid(f"body failed validation: body.filter.{operator} should be not present.")
    return tests[operator]


def _naive(value: Any) -> str:
    return moment(value, "body.filter").strftime("%Y-%m-%dT%H:%M:%S")

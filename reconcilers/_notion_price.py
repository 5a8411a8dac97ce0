"""What changes cost on Notion, in requests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from reconcilers._blocks import appends, blocks_of, opening
from reconcilers._contract import Price
from reconcilers._notion_home import PAGE_SIZE, has_members, is_set_up
from schemas.domain import Change, Value

SETUP = 5
"""Cold: find the parent, list it, make two databases, relate Tasks to itself."""


def price(changes: Sequence[Change], known: Mapping[str, object]) -> Price:
    """Return how many requests `changes` take.

    In a workspace that trueup has not seen before, the two databases are made; in others, new
    rows are looked up by their markers first, in the database and in its trash.
    """
    creates = Counter(change.kind for change in changes if change.action == "create")
    if not creates:
        requests = 0
    elif is_set_up(known):
        requests = 2 * sum(-(-count // PAGE_SIZE) for count in creates.values())
    else:
        requests = SETUP
    writes = [c for c in changes if c.action in {"create", "update", "move"}]
    owners = {str(owner) for change in writes if (owner := change.values().get("owner"))}
    if owners and not has_members(known, owners):
        requests += 1
    return Price(requests + sum(map(_cost, changes)))


def _cost(change: Change) -> int:
    if change.action not in {"create", "update", "move"}:
        return 1
    fields = {field.name: field for field in change.fields}
    body = fields.get("description")
    if change.action == "create":
        return 1 + (_more(body.after) if body else 0)
    if body is None:
        return 1
    there = -(-_top_level(body.before) // PAGE_SIZE) or 1
    return 1 + there + (1 + _more(body.after) if body.after else 0)


_DEEP = re.compile(r"^(?:[ \t]{4,}|(?: {0,3}(?:[-*+>]|\d+[.)])[ \t]*){2,})\S", re.MULTILINE)


def _is_small(text: str) -> bool:
    """Return whether `text` surely fits one request, without parsing it."""
    return text.count("\n") + len(text) // 200 < PAGE_SIZE and not _DEEP.search(text)


def _more(value: Value) -> int:
    """Return how many requests a body takes beyond the first."""
    text = str(value or "")
    if _is_small(text):
        return 0
    blocks = blocks_of(text)
    fit, rest = opening(blocks)
    return appends(rest) if fit else appends(blocks)


def _top_level(value: Value) -> int:
    text = str(value or "")
    return 1 if _is_small(text) else len(blocks_of(text))

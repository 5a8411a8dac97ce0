"""The scalars of the spec language, from how people write them to one canonical form each.

Pure functions without pydantic, so that the models, the checks and the YAML editor share them.
Each raises `BadValue`, which says what is wrong and how to write it instead.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import lru_cache

MINUTES = {"m": 1, "h": 60, "d": 8 * 60, "w": 5 * 8 * 60}
"""Minutes of work in each unit of an estimate: a day has 8 hours, a week 5 days."""

MAX_ESTIMATE = 5 * 52 * MINUTES["w"]
"""Five years of work; beyond it, an estimate is a typing error."""

KEY = r"^[a-z0-9]+(-[a-z0-9]+)*$"
"""A key: lower-case letters, digits and single dashes."""

RESERVED_KEYS = frozenset({"milestones"})
"""Project keys that would make an address ambiguous (`milestones/beta`)."""

_ESTIMATE = re.compile(r"(\d{1,6}(?:\.\d{1,4})?)\s*([mhdw])", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s<>\"]+")
_LINE_END = re.compile(r"\r\n?|[\x85\u2028\u2029]")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class BadValue(ValueError):
    """A value that cannot be read.

    Attributes:
        code: stable and greppable, for the diagnostic.
        message: what is wrong, one sentence without a full stop.
        hint: how to write it instead, or an empty string.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


def shorten(text: str, limit: int = 60) -> str:
    """Return `text` on one line and at most `limit` characters long, for use in a message."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def suggest(name: str, options: Iterable[str]) -> str:
    """Return the question whether one of `options` was meant, or an empty string."""
    if len(name) > 60:
        return ""
    import difflib

    folded = {option.lower(): option for option in options}
    near = difflib.get_close_matches(name.lower(), folded, 1, 0.7)
    return f"did you mean `{folded[near[0]]}`?" if near else ""


@lru_cache(maxsize=4096)
def parse_estimate(text: str) -> int:
    """Return the minutes of work that `90m`, `4h`, `2d`, `1w` or `1d 4h` stand for."""
    hint = "write it as 90m, 4h, 2d (of 8 hours), 1w (of 5 days) or 1d 4h"
    if len(text) > 40 or re.sub(r"\s+", "", _ESTIMATE.sub("", text)) or not text.strip():
        raise BadValue("bad-estimate", f"`{shorten(text)}` is not an estimate", hint)
    parts = _ESTIMATE.findall(text)
    units = [unit for _, unit in parts]
    if len(set(units)) != len(units):
        raise BadValue("bad-estimate", f"`{text}` names a unit twice", hint)
    minutes = sum(Decimal(amount) * MINUTES[unit] for amount, unit in parts)
    if minutes != int(minutes):
        raise BadValue("bad-estimate", f"`{text}` is not a whole number of minutes", hint)
    if minutes <= 0:
        raise BadValue("bad-estimate", f"`{text}` is no time at all", "leave the estimate out")
    if minutes > MAX_ESTIMATE:
        raise BadValue("bad-estimate", f"`{text}` is more than five years of work", hint)
    return int(minutes)


def format_estimate(minutes: int) -> str:
    """Return minutes of work as people write them: `1w 2d`, `4h`, `1h 30m`."""
    parts: list[str] = []
    for unit in "wdhm":
        amount, minutes = divmod(minutes, MINUTES[unit])
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts) or "0m"


@lru_cache(maxsize=4096)
def parse_date(text: str) -> str:
    """Return `text` if it is a date that exists, written `YYYY-MM-DD`."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise BadValue(
            "bad-date", f"`{shorten(text)}` is not a date", "write it as YYYY-MM-DD, 2026-12-31"
        )
    year, month, day = (int(part) for part in found.groups())
    if not 2000 <= year < 2200:
        raise BadValue("bad-date", f"the year of `{text}` is not between 2000 and 2199")
    if not 1 <= month <= 12:
        raise BadValue("bad-date", f"`{text}` has no such month", "write it as YYYY-MM-DD")
    last = monthrange(year, month)[1]
    if not 1 <= day <= last:
        name = date(year, month, 1).strftime("%B %Y")
        raise BadValue("bad-date", f"`{text}` is not a date: {name} has {last} days")
    return text


def parse_url(text: str) -> str:
    """Return `text` if it is one address with a scheme, such as `https://example.com`."""
    if not _URL.fullmatch(text):
        hint = "a link is https://…, or {url: https://…, title: words}"
        raise BadValue("bad-link", f"`{shorten(text)}` is not an address", hint)
    return text


def parse_horizon(value: object) -> int:
    """Return how many calendar days a number of days, `28d` or `4w` stands for."""
    days = -1
    if isinstance(value, int) and not isinstance(value, bool):
        days = value
    elif isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,4})([dw])", value)):
        days = int(found[1]) * (7 if found[2] == "w" else 1)
    if not 0 <= days <= 366:
        hint = "write it as 4w, 28d or a number of days, at most 366"
        raise BadValue("bad-horizon", f"`{shorten(str(value))}` is not a horizon", hint)
    return days


def parse_max_prune(value: object) -> str:
    """Return a threshold for pruning in its canonical form: `10%` or `25`."""
    text = str(value) if not isinstance(value, bool) else ""
    found = re.fullmatch(r"([0-9]{1,6})(%?)", text)
    if found is None or (found[2] and int(found[1]) > 100):
        hint = "write a percentage such as 10%, or a number of resources"
        raise BadValue("bad-threshold", f"`{shorten(text)}` is not a threshold", hint)
    return f"{int(found[1])}{found[2]}"


def parse_line(text: str, limit: int = 255) -> str:
    """Return one line of text without white space around it."""
    line = text.strip()
    if not line:
        raise BadValue("empty-text", "there must be some text here")
    if "\n" in line or _UNPRINTABLE.search(line):
        raise BadValue("bad-text", "this must be one line of plain text", "use `description`")
    if len(line) > limit:
        hint = "put the details into `description`"
        raise BadValue("too-long", f"{len(line)} characters; at most {limit} fit", hint)
    return line


def parse_label(text: str) -> str:
    """Return a label; one line without a comma, which GitLab and Notion take for two."""
    line = parse_line(text, 100)
    if "," in line:
        raise BadValue(
            "bad-label", f"the label `{shorten(line)}` has a comma", "make it two labels"
        )
    return line


def parse_markdown(text: str) -> str:
    """Return Markdown with plain line feeds, and without empty lines around it."""
    body = _LINE_END.sub("\n", text).rstrip()
    if (found := _UNPRINTABLE.search(body)) is not None:
        raise BadValue("bad-text", f"the text holds a control character (U+{ord(found[0]):04X})")
    return body.strip("\n")


def parse_timezone(text: str) -> str:
    """Return `text` if it is the IANA name of a time zone, such as `Europe/Berlin`."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    hint = "use an IANA name, America/Los_Angeles"
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadValue("bad-timezone", f"`{shorten(text)}` is not a time zone", hint) from None
    return text

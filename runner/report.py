"""Diagnostics as people and machines read them: text, JSON, GitLab, SARIF, JUnit.

Pure: a list of diagnostics and the name of a format in, text out.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

from schemas.domain import Diagnostic, Severity, Source, hash_of

WIDTH: Final = 100
"""How much of an offending line is shown, in characters."""

_COLOURS: Final[dict[Severity, str]] = {"error": "31", "warning": "33", "note": "36"}
_GITLAB: Final[dict[Severity, str]] = {"error": "critical", "warning": "minor", "note": "info"}
_CONTROLS: Final = {code: 0x2400 + code for code in range(32)} | {127: 0x2421, 9: " "}


def render(diagnostics: Sequence[Diagnostic], style: str, *, colour: bool = False) -> str:
    """Return diagnostics in a format, with a line feed at the end.

    Args:
        diagnostics: in the order in which they are to be read.
        style: `text`, `json`, `gitlab` (Code Quality), `sarif` (2.1.0) or `junit`.
        colour: use terminal colours (text only).

    Raises:
        ValueError: there is no such format.
    """
    if style == "text":
        return text(diagnostics, colour=colour)
    renderers: dict[str, Callable[[Sequence[Diagnostic]], str]] = {
        "json": _json,
        "gitlab": _gitlab,
        "sarif": _sarif,
        "junit": _junit,
    }
    if style not in renderers:
        raise ValueError(f"there is no format {style}")
    return renderers[style](diagnostics)


def text(diagnostics: Sequence[Diagnostic], *, colour: bool = False) -> str:
    """Return diagnostics for a terminal: place, message, line with a caret, hint, count."""
    paint = _paint if colour else _plain
    blocks = [_block(item, paint) for item in diagnostics]
    counts = [
        f"{count} {name}{'' if count == 1 else 's'}"
        for name in ("error", "warning", "note")
        if (count := sum(item.severity == name for item in diagnostics))
    ]
    if counts:
        blocks.append(", ".join(counts) + "\n")
    return "\n".join(blocks)


def _plain(written: str, _code: str) -> str:
    return written


def _paint(written: str, code: str) -> str:
    return f"\x1b[{code}m{written}\x1b[0m"


def _block(item: Diagnostic, paint: Callable[[str, str], str]) -> str:
    hue = _COLOURS[item.severity]
    place = f"{printable(str(item.source))}: " if item.source else ""
    label = paint(f"{item.severity}[{item.code}]", f"1;{hue}")
    lines = [f"{paint(place, '1')}{label}: {printable(item.message)}"]
    if item.source is not None and item.excerpt.strip():
        line, before, marked = _window(item)
        number = str(item.source.line)
        gutter = " " * len(number)
        lines.append(f"{paint(f'{number} |', '2')} {line}")
        caret = paint("^" * max(1, _columns(marked)), hue)
        lines.append(f"{paint(f'{gutter} |', '2')} {' ' * _columns(before)}{caret}")
    if item.hint:
        lines.append(f"  {paint('hint:', '1')} {printable(item.hint)}")
    return "\n".join(lines) + "\n"


def _window(item: Diagnostic) -> tuple[str, str, str]:
    """Return the part of the line worth showing, what is before the caret, and what it marks."""
    start = item.source.column - 1 if item.source else 0
    shown = printable(item.excerpt)
    begin = 0 if start < WIDTH - 20 else start - WIDTH // 2
    head = "…" if begin else ""
    tail = "…" if len(shown) > begin + WIDTH else ""
    before = head + shown[begin:start]
    marked = shown[start : min(start + item.width, begin + WIDTH)]
    return f"{head}{shown[begin : begin + WIDTH]}{tail}".rstrip(), before, marked


def printable(written: str) -> str:
    """Return text that does nothing to a terminal but show: control characters as pictures."""
    shown = written.translate(_CONTROLS)
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() or c == " " else "\N{REPLACEMENT CHARACTER}" for c in shown)


def _columns(written: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if written.isascii():
        return len(written)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in written
    )


def _dump(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _json(diagnostics: Sequence[Diagnostic]) -> str:
    return _dump([as_json(item) for item in diagnostics])


def as_json(item: Diagnostic) -> dict[str, object]:
    """Return a diagnostic as a JSON object; `file`, `line` and `column` may be null."""
    source = item.source
    return {
        "severity": item.severity,
        "code": item.code,
        "message": item.message,
        "file": source.file if source else None,
        "line": source.line if source else None,
        "column": source.column if source else None,
        "width": item.width,
        "hint": item.hint,
        "excerpt": item.excerpt,
    }


def _gitlab(diagnostics: Sequence[Diagnostic]) -> str:
    """Return a Code Quality report; a finding keeps its fingerprint while its line moves."""
    seen: dict[str, int] = {}
    report: list[dict[str, object]] = []
    for item in diagnostics:
        source = item.source or Source("specs")
        identity = hash_of([source.file, item.code, item.message, item.excerpt])
        seen[identity] = seen.get(identity, 0) + 1
        hint = f" ({item.hint})" if item.hint else ""
        report.append(
            {
                "description": f"{item.message}{hint}",
                "check_name": item.code,
                "fingerprint": hash_of([identity, seen[identity]]),
                "severity": _GITLAB[item.severity],
                "location": {"path": source.file, "lines": {"begin": source.line}},
            }
        )
    return _dump(report)


def _sarif(diagnostics: Sequence[Diagnostic]) -> str:
    rules = sorted({item.code for item in diagnostics})
    return _dump(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {"name": "trueup", "rules": [{"id": name} for name in rules]}
                    },
                    "columnKind": "unicodeCodePoints",
                    "results": [_sarif_result(item, rules) for item in diagnostics],
                }
            ],
        }
    )


def _sarif_result(item: Diagnostic, rules: Sequence[str]) -> dict[str, object]:
    from urllib.parse import quote

    result: dict[str, object] = {
        "ruleId": item.code,
        "ruleIndex": rules.index(item.code),
        "level": item.severity,
        "message": {"text": f"{item.message}\n{item.hint}" if item.hint else item.message},
    }
    if item.source is not None:
        result["locations"] = [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(item.source.file)},
                    "region": {
                        "startLine": item.source.line,
                        "startColumn": item.source.column,
                        "endColumn": item.source.column + item.width,
                    },
                }
            }
        ]
    return result


def _junit(diagnostics: Sequence[Diagnostic]) -> str:
    """Return a JUnit report: a test case per problem; one that passes where there is none."""
    from xml.sax.saxutils import escape, quoteattr

    failures = sum(item.severity == "error" for item in diagnostics)
    cases: list[str] = []
    for item in diagnostics:
        name = quoteattr(printable(f"{item.source}: {item.code}" if item.source else item.code))
        group = quoteattr(printable(item.source.file if item.source else "specs"))
        body = escape(_xml(_block(item, _plain)))
        message = quoteattr(printable(item.message))
        inside = (
            f"<failure type={quoteattr(item.code)} message={message}>{body}</failure>"
            if item.severity == "error"
            else f"<system-out>{body}</system-out>"
        )
        cases.append(f"    <testcase name={name} classname={group}>{inside}</testcase>")
    if not cases:
        cases.append('    <testcase name="specs are valid" classname="specs"/>')
    counts = f'tests="{len(cases)}" failures="{failures}" errors="0"'
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<testsuites name="trueup validate" {counts}>',
            f'  <testsuite name="specs" {counts}>',
            *cases,
            "  </testsuite>",
            "</testsuites>\n",
        ]
    )


def _xml(written: str) -> str:
    """Return text line by line without what XML cannot hold."""
    return "\n".join(printable(line) for line in written.split("\n"))

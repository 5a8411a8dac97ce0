"""Plain values as YAML text, in the style of the file that they go into."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from runner.language.parse import reads_as_text
from runner.language.tree import Model, Node, Tree

WIDTH = 100
"""Columns beyond which a new value is not put on one line."""

INLINE = frozenset({"defaults", "repeat", "linear", "gitlab", "notion", "motion", "state"})
"""Mappings that are written in brackets where they fit on the line."""

_FIRST = frozenset("-?:,[]{}#&*!|>'\"%@`")
_FLOW = frozenset(",[]{}")


@dataclass(frozen=True, slots=True)
class Style:
    """How a file is written.

    Attributes:
        newline: how its lines end.
        step: columns of indentation.
        dash: columns by which a list stands in from its key.
        quote: the quote that it prefers.
        spread: names of lists that it writes on lines of their own.
    """

    newline: str = "\n"
    step: int = 2
    dash: int = 2
    quote: str = '"'
    spread: frozenset[str] = frozenset()

    def entry(self, name: str, value: Model, column: int, *, inline: bool = False) -> str:
        """Return the lines of `name: value` at a column, each with its line end."""
        text = f"{' ' * column}{key(name, self)}:{self.after(name, value, column, inline=inline)}"
        return text.replace("\n", self.newline) + self.newline

    def after(self, name: str, value: Model, column: int, *, inline: bool = False) -> str:
        """Return what stands behind a colon; lines end with a line feed, the last without.

        Args:
            name: the key, which decides how lists and mappings are laid out.
            value: what it holds.
            column: where the key stands.
            inline: whether to prefer brackets for a mapping.
        """
        if isinstance(value, str) and "\n" in value:
            return f" {self.literal(value, column)}"
        flat = _fits_in_brackets(value)
        if not value or not isinstance(value, list | dict):
            return f" {flow(value, self, top=True)}"
        if flat and (inline or name in INLINE or isinstance(value, list)):
            text = flow(value, self)
            spread = isinstance(value, list) and (name in self.spread or not _is_scalars(value))
            if not spread and column + len(name) + 2 + len(text) <= WIDTH:
                return f" {text}"
        if isinstance(value, dict):
            return "\n" + "\n".join(self._block(value, column + self.step))
        return "\n" + "\n".join(self.item(item, column + self.dash) for item in value)

    def item(self, value: Model, column: int) -> str:
        """Return the lines of a list's item, with its dash, without the last line end."""
        head = f"{' ' * column}-"
        if isinstance(value, dict) and value:
            text = flow(value, self)
            if _fits_in_brackets(value) and column + 2 + len(text) <= WIDTH:
                return f"{head} {text}"
            lines = "\n".join(self._block(value, column + 2))
            return f"{head} {lines.lstrip(' ')}"
        return head + self.after("", value, column, inline=True)

    def literal(self, text: str, column: int) -> str:
        """Return text of several lines as a literal block below a key at a column."""
        if not all(_is_plain_character(char) or char in "\n\t" for char in text):
            return quoted(text, '"')
        body = text.rstrip("\n")
        ends = len(text) - len(body)
        if not body:
            return quoted(text, '"')
        digit = str(self.step) if body[0] in " \n\t" else ""
        keep = ("-", "", "+")[min(ends, 2)]
        indent = " " * (column + self.step)
        lines = [indent + line if line else "" for line in body.split("\n")]
        return "\n".join([f"|{digit}{keep}", *lines, *[""] * (ends - 1)])

    def _block(self, value: dict[str, Model], column: int) -> Iterator[str]:
        for name, part in value.items():
            yield f"{' ' * column}{key(name, self)}:{self.after(name, part, column)}"


def style_of(tree: Tree) -> Style:
    """Return how a file is written, by what most of it does."""
    text = tree.source.text
    steps: Counter[int] = Counter()
    dashes: Counter[int] = Counter()
    quotes: Counter[str] = Counter()
    spread: Counter[str] = Counter()
    pending = [(root, 0) for root in tree.roots]
    while pending:
        node, column = pending.pop()
        if node.style in {"'", '"'}:
            quotes[node.style] += 1
        for pair in node.pairs:
            at = column_of(text, pair.key.start)
            if pair.value.kind == "map" and pair.value.block:
                steps[column_of(text, pair.value.pairs[0].key.start) - at] += 1
            elif pair.value.kind == "seq":
                spread[pair.name] += 1 if pair.value.block else -1
                if pair.value.block:
                    dashes[column_of(text, pair.value.body) - at] += 1
            pending.append((pair.value, at))
        pending.extend((item, column) for item in node.items)
    step = steps.most_common(1)[0][0] if steps else 2
    return Style(
        "\r\n" if text.find("\r\n") == text.find("\n") - 1 and "\r\n" in text else "\n",
        step,
        dashes.most_common(1)[0][0] if dashes else step,
        quotes.most_common(1)[0][0] if quotes else '"',
        frozenset(name for name, count in spread.items() if count > 0),
    )


def column_of(text: str, index: int) -> int:
    """Return the column of an index, from 0."""
    return index - text.rfind("\n", 0, index) - 1


def key(name: str, style: Style) -> str:
    """Return a key as YAML."""
    return scalar(name, style)


def flow(value: Model, style: Style, *, top: bool = False) -> str:
    """Return a value on one line; `top`: what it stands in has no brackets."""
    if isinstance(value, dict):
        pairs = (
            f"{scalar(name, style, flow=True)}: {flow(part, style)}" for name, part in value.items()
        )
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(flow(item, style) for item in value)}]"
    return scalar(value, style, flow=not top)


def scalar(value: Model, style: Style, *, flow: bool = False, like: Node | None = None) -> str:
    """Return a scalar on one line, quoted where it must be, or where the scalar `like` is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    used = like.style if like is not None and like.style in {"'", '"'} else ""
    if not used and _can_be_plain(value, flow=flow):
        return value
    return quoted(value, used or style.quote)


def quoted(text: str, quote: str) -> str:
    """Return text in quotes: in those wanted, unless they would need more escapes."""
    simple = all(map(_is_plain_character, text))
    awkward = quote == '"' and "'" not in text and any(char in text for char in '"\\')
    if simple and (quote == "'" or awkward):
        doubled = text.replace("'", "''")
        return f"'{doubled}'"
    written = json.dumps(text, ensure_ascii=False)
    return "".join(char if _is_plain_character(char) else _escape(char) for char in written)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\U{code:08X}" if code > 0xFFFF else f"\\u{code:04X}"


def _is_plain_character(char: str) -> bool:
    """Return whether every YAML reader takes a character as it is, and shows it."""
    return char.isprintable() or char in "\u00a0\u200d\u3000"


def _can_be_plain(text: str, *, flow: bool) -> bool:
    """Return whether a text needs no quotes."""
    if not text or text != text.strip() or not all(map(_is_plain_character, text)):
        return False
    # In brackets, libyaml takes `?a` and `:a` for keys, and stumbles over `a:?` and `a::`.
    harmless = text[0] in ("-" if flow else "-?:") and text[1:2].strip()
    if text[0] in _FIRST and not harmless:
        return False
    if text.startswith(("---", "...")) or text.endswith(":") or re.search(r":\s|\s#", text):
        return False
    if flow and (not _FLOW.isdisjoint(text) or re.search(r":[:?]", text)):
        return False
    return reads_as_text(text)


def _is_scalars(value: list[Model]) -> bool:
    return not any(isinstance(item, list | dict) for item in value)


def _fits_in_brackets(value: Model) -> bool:
    """Return whether a value holds no tasks, nested mappings or text of several lines."""
    if isinstance(value, str):
        return "\n" not in value
    if isinstance(value, dict):
        return "tasks" not in value and all(
            _fits_in_brackets(part) and not (isinstance(part, dict) and name not in INLINE)
            for name, part in value.items()
        )
    return not isinstance(value, list) or all(map(_fits_in_brackets, value))

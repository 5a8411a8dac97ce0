"""Motion's HTML as Markdown: it takes Markdown for a task and gives HTML back."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_INLINE = {"strong": "**", "b": "**", "em": "*", "i": "*", "s": "~~", "del": "~~"}
_BLOCKS = frozenset({"p", "div", "ul", "ol", "li", "pre", "blockquote", "hr"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BULLETS = frozenset("-0123456789")
_SPECIAL = re.compile(r"([\\`*_\[\]])")


def markdown(html: str) -> str:
    """Return HTML as Markdown: what Markdown has no word for is kept as its text."""
    if not re.search(r"<[a-zA-Z/]", html):
        return html.strip()
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    """Writes blocks as they end; lists and quotes stand in from what they are in."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._blocks: list[tuple[str, bool, str]] = []
        self._line = ""
        self._prefixes: list[str] = []
        self._bullet = ""
        self._counts: list[int] = []
        self._links: list[str] = []
        self._code = False

    def text(self) -> str:
        """Return what was read."""
        self._flush()
        parts: list[str] = []
        before = ""
        for block, item, quote in self._blocks:
            if parts and item and parts[-1].lstrip()[:1] in _BULLETS:
                parts.append("\n")
            elif parts:
                within = quote if quote == before else ""
                parts.append(f"\n{within.rstrip()}\n")
            parts.append(block)
            before = quote
        return "".join(parts).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        if tag in _BLOCKS or tag in _HEADINGS:
            self._flush()
            self._begin_block(tag)
        elif tag == "br":
            self._line += "\\\n"
        elif tag == "code" and self._code:
            language = re.search(r"language-(\S+)", dict(attrs).get("class") or "")
            self._line = f"```{language[1] if language else ''}\n"
        elif tag == "code":
            self._line += "`"
        elif tag == "a":
            self._links.append(dict(attrs).get("href") or "")
            self._line += "["
        elif tag in _INLINE:
            self._line += _INLINE[tag]

    def _begin_block(self, tag: str) -> None:
        if tag in _HEADINGS:
            self._line = "#" * _HEADINGS[tag] + " "
        elif tag in {"ul", "ol"}:
            self._counts.append(0 if tag == "ol" else -1)
        elif tag == "li":
            self._begin_item()
        elif tag == "blockquote":
            self._prefixes.append("> ")
        elif tag == "pre":
            self._code = True
        elif tag == "hr":
            self._line = "---"
            self._flush()

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        if tag == "code" and self._code:
            self._line += "```"
        elif tag == "code":
            self._line += "`"
        elif tag == "a" and self._links:
            self._line += f"]({self._links.pop()})"
        elif tag in _INLINE:
            self._line += _INLINE[tag]
        if tag in _BLOCKS or tag in _HEADINGS:
            self._flush()
        if tag in {"ul", "ol"} and self._counts:
            self._counts.pop()
        elif tag in {"li", "blockquote"} and self._prefixes:
            self._prefixes.pop()
        elif tag == "pre":
            self._code = False

    def handle_data(self, data: str) -> None:
        """Take text."""
        if self._code:
            self._line += data if self._line else f"```\n{data}"
            return
        text = re.sub(r"\s+", " ", data)
        text = text.lstrip() if self._line.endswith("\n") else text
        inside = self._line.count("`") % 2
        self._line += text if inside else _SPECIAL.sub(r"\\\1", text)

    def _begin_item(self) -> None:
        bullet = "- "
        if self._counts and self._counts[-1] >= 0:
            self._counts[-1] += 1
            bullet = f"{self._counts[-1]}. "
        self._bullet = bullet
        self._prefixes.append(" " * len(bullet))

    def _flush(self) -> None:
        line, self._line = self._line.strip(), ""
        if not line:
            return
        item = bool(self._bullet)
        prefix = "".join(self._prefixes)
        first = prefix
        if self._bullet:
            first = "".join(self._prefixes[:-1]) + self._bullet
            self._bullet = ""
        lines = line.split("\n")
        rest = [f"{prefix}{text}".rstrip() for text in lines[1:]]
        quote = prefix[: prefix.rfind("> ") + 2] if "> " in prefix else ""
        self._blocks.append(("\n".join([first + lines[0], *rest]), item, quote))

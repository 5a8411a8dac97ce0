"""Motion's descriptions: Markdown goes in (HTML for a project), and HTML comes out.

What is read is put into the blocks that Markdown can say, and written as Markdown. What Markdown
has no word for keeps its HTML (underlined text), a link (a video), or at least its words, so that
nothing is lost on the way into a spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from html.parser import HTMLParser

from reconcilers._markdown import DEEPEST, Block, linkified, parse, render
from reconcilers._spans import PLAIN, Span, tidy

_MARKER = re.compile(r"\btrueup:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")

_VOID = frozenset({"br", "col", "embed", "hr", "img", "input", "source", "track", "wbr"})
_GROUPS = frozenset(
    {"article", "body", "div", "figure", "footer", "header", "html", "main", "section"}
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = _GROUPS | _HEADINGS.keys() | {"blockquote", "hr", "li", "ol", "p", "pre", "table", "ul"}
_MARKUP = re.compile(rf"^\s*<|<(?:br|{'|'.join(_BLOCKS)})\b")
_UNSEEN = frozenset({"script", "style", "template", "title"})
_PLAIN = frozenset({"a", "colgroup", "figcaption", "font", "label", "span", "tbody", "thead"})
_MEDIA = frozenset({"audio", "embed", "iframe", "video"})
_BOLD, _ITALIC, _STRIKE = {"b", "strong"}, {"em", "i"}, {"del", "s", "strike"}


def with_marker(description: object, marker: str) -> str:
    """Return a description that ends in the marker, in a paragraph of its own."""
    body = description.rstrip() if isinstance(description, str) else ""
    return f"{body}\n\ntrueup:{marker}" if body else f"trueup:{marker}"


def marker_in(description: str) -> str:
    """Return the marker in a description (HTML or Markdown), or an empty string."""
    found = _MARKER.findall(description)
    return found[-1] if found else ""


def html(markdown: str) -> str:
    """Return Markdown as HTML: projects take that, where tasks take Markdown."""
    from markdown_it import MarkdownIt

    return MarkdownIt("gfm-like", {"linkify": False}).render(markdown).strip()


@lru_cache(maxsize=256)
def told(description: str) -> str | None:
    """Return what people wrote into a description (HTML or Markdown): all but the marker."""
    return markdown(_MARKER.sub("", description)) or None


@lru_cache(maxsize=256)
def canonical_markdown(markdown: str) -> str:
    """Return the one form of all Markdown that looks the same."""
    for _ in range(4):
        text = render(parse(markdown))
        if text == markdown:
            break
        markdown = text
    return markdown


def markdown(html: str) -> str:
    """Return HTML as Markdown; what is in no block is taken to be Markdown already."""
    if not _MARKUP.search(html):
        return html.strip()
    tree = _Tree()
    tree.feed(html)
    tree.close()
    return render([*_blocks(tree.root.children)])


@dataclass(slots=True)
class _Element:
    """An element of HTML; `begin` is its start tag as written."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    begin: str = ""
    children: list[_Element | str] = field(default_factory=list["_Element | str"])

    @property
    def is_block(self) -> bool:
        """Whether it stands by itself, or something within it does."""
        within = (c.is_block for c in self.children if isinstance(c, _Element))
        return self.tag in _BLOCKS or any(within)

    def find(self, *tags: str) -> Iterator[_Element]:
        """Yield the elements of these tags within it that are in no other such one."""
        for child in self.children:
            if isinstance(child, _Element) and child.tag in tags:
                yield child
            elif isinstance(child, _Element):
                yield from child.find(*tags)


class _Tree(HTMLParser):
    """Reads HTML as a tree, closing what nobody closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = _Element("body")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        if tag in _BLOCKS:
            self._close("p", within=_BLOCKS)
        if tag == "li":
            self._close("li", within={"ol", "ul"})
        given = {name: value or "" for name, value in attrs}
        element = _Element(tag, given, self.get_starttag_text() or "")
        self._open[-1].children.append(element)
        # What is nested deeper than anybody writes is laid out flat.
        if tag not in _VOID and len(self._open) < DEEPEST:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element without content."""
        self.handle_starttag(tag, attrs)
        if self._open[-1].tag == tag and tag not in _BLOCKS:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        self._close(tag, within=())

    def handle_comment(self, data: str) -> None:
        """Take a comment, which Markdown has as well."""
        self._open[-1].children.append(_Element("!--", begin=f"<!--{data}-->"))

    def handle_data(self, data: str) -> None:
        """Take text."""
        self._open[-1].children.append(data)

    def _close(self, tag: str, within: Iterable[str]) -> None:
        for depth in range(len(self._open) - 1, 0, -1):
            there = self._open[depth].tag
            if there == tag:
                del self._open[depth:]
                return
            if there in within:
                return


_Nodes = Sequence[_Element | str]


def _blocks(nodes: _Nodes) -> Iterator[Block]:
    line: list[_Element | str] = []
    for node in nodes:
        if isinstance(node, str) or not node.is_block:
            line.append(node)
            continue
        yield from _paragraph(line)
        line = []
        yield from _block(node)
    yield from _paragraph(line)


def _block(node: _Element) -> Iterator[Block]:
    tag = node.tag
    if tag in _HEADINGS:
        yield from _heading(_HEADINGS[tag], tidy(_inline(node.children)))
    elif tag == "pre":
        yield _code(node)
    elif tag == "hr":
        yield Block("divider")
    elif tag == "blockquote":
        yield Block("quote", *_headed([*_blocks(node.children)]))
    elif tag == "table":
        yield from _table(node)
    elif tag in {"ul", "ol"}:
        yield from _items(node)
    elif tag == "li":
        yield _bullet(node)
    else:
        yield from _blocks(node.children)


def _paragraph(nodes: _Nodes) -> Iterator[Block]:
    said = [n for n in nodes if not isinstance(n, str) or n.strip()]
    if len(said) == 1 and isinstance(only := said[0], _Element) and only.tag == "img":
        address = only.attributes.get("src", "")
        if re.match(r"https?://\S+$", address) and "title" not in only.attributes:
            yield Block("image", tidy([Span(only.attributes.get("alt", ""))]), detail=address)
            return
    if spans := tidy(_inline(nodes)):
        yield Block("paragraph", spans)


def _heading(level: int, spans: tuple[Span, ...]) -> Iterator[Block]:
    if spans and level <= 3:
        yield Block(f"heading_{level}", spans)
    elif spans:
        yield Block("paragraph", tidy([Span("#" * level + " "), *spans]))


def _code(node: _Element) -> Block:
    code = next(node.find("code"), node)
    language = re.search(r"language-(\S+)", code.attributes.get("class", ""))
    content = _words(code).removesuffix("\n")
    spans = (Span(content),) if content else ()
    return Block("code", spans, detail=language[1] if language else "")


def _words(node: _Element | str) -> str:
    if isinstance(node, str):
        return node
    return "\n" if node.tag == "br" else "".join(map(_words, node.children))


def _headed(blocks: Sequence[Block]) -> tuple[tuple[Span, ...], tuple[Block, ...]]:
    """Return the first paragraph as text, and everything after it as children."""
    if blocks and blocks[0].type == "paragraph" and not blocks[0].children:
        return blocks[0].spans, tuple(blocks[1:])
    return (), tuple(blocks)


def _items(node: _Element) -> Iterator[Block]:
    begins = node.attributes.get("start", "")
    start = int(begins) if begins.isascii() and begins.isdigit() else 1
    number = start
    for child in node.children:
        if isinstance(child, str):
            yield from _paragraph([child])
        elif child.tag != "li":
            yield from _blocks([child])
        elif node.tag == "ul":
            yield _bullet(child)
        else:
            spans, children = _headed([*_blocks(child.children)])
            if start == 1:
                yield Block("numbered_list_item", spans, children)
            else:
                yield Block("paragraph", tidy([Span(f"{number}. "), *spans]), children)
            number += 1


_TASK = re.compile(r"\[([ xX])\](?:\s+|$)")


def _bullet(item: _Element) -> Block:
    spans, children = _headed([*_blocks(item.children)])
    box = next(item.find("input", "li"), None)
    ticked = "checked" in box.attributes if box and box.tag == "input" else None
    if "data-checked" in item.attributes:
        ticked = item.attributes["data-checked"] == "true"
    task = _TASK.match(spans[0].text) if spans and not spans[0].code else None
    if task:
        ticked = task[1] in "xX"
        spans = tidy([replace(spans[0], text=spans[0].text[task.end() :]), *spans[1:]])
    if ticked is None:
        return Block("bulleted_list_item", spans, children)
    return Block("to_do", spans, children, "x" if ticked else "")


def _table(table: _Element) -> Iterator[Block]:
    rows = tuple(
        Block("table_row", cells=tuple(_cell(cell) for cell in row.find("td", "th")))
        for row in table.find("tr")
    )
    if any(row.cells for row in rows):
        yield Block("table", children=tuple(row for row in rows if row.cells))


def _cell(cell: _Element) -> tuple[Span, ...]:
    if not cell.is_block:
        return tidy(_inline(cell.children))
    # A cell of Markdown is one line.
    spans: list[Span] = []
    for block in _blocks(cell.children):
        plain = block.type == "paragraph" and not block.children
        spans += [*(block.spans if plain else [Span(render([block]))]), Span("\n")]
    return tidy(spans)


def _inline(nodes: _Nodes, style: Span = PLAIN) -> Iterator[Span]:
    for node in nodes:
        if isinstance(node, str):
            yield from linkified(replace(style, text=re.sub(r"\s+", " ", node)))
        else:
            yield from _element(node, style)


def _element(node: _Element, style: Span) -> Iterator[Span]:
    tag, attributes = node.tag, node.attributes
    if tag == "br":
        yield replace(style, text="\n")
    elif tag in _UNSEEN or tag in {"input", "wbr"}:
        return
    elif tag in _BOLD:
        yield from _inline(node.children, replace(style, bold=True))
    elif tag in _ITALIC:
        yield from _inline(node.children, replace(style, italic=True))
    elif tag in _STRIKE:
        yield from _inline(node.children, replace(style, strike=True))
    elif tag == "code":
        yield replace(style, text=_words(node), code=True)
    elif tag == "a" and "href" in attributes:
        yield from _link(node, attributes["href"], style)
    elif tag == "img":
        yield from linkified(replace(style, text=_picture(attributes)))
    elif tag in _MEDIA and "src" in attributes:
        yield replace(style, text=attributes["src"], link=attributes["src"])
    elif tag in _PLAIN or node.is_block:
        yield from _inline(node.children, style)
    elif tag in {"u", "ins", "sub", "sup", "mark", "kbd", "small"}:
        yield replace(style, text=f"<{tag}>")
        yield from _inline(node.children, style)
        yield replace(style, text=f"</{tag}>")
    else:
        # Most likely no tag at all: somebody wrote `List<String>`.
        yield replace(style, text=node.begin)
        yield from _inline(node.children, style)


def _link(node: _Element, address: str, style: Span) -> Iterator[Span]:
    title = node.attributes.get("title", "")
    if re.match(r"(?:https?://|mailto:)\S+$", address):
        yield from _inline(node.children, replace(style, link=address))
        if title:
            yield replace(style, text=f" ({title})")
        return
    yield replace(style, text="[")
    yield from _inline(node.children, style)
    yield replace(style, text="]" + _target(address, title))


def _picture(attributes: dict[str, str]) -> str:
    target = _target(attributes.get("src", ""), attributes.get("title", ""))
    return f"![{attributes.get('alt', '')}]{target}"


def _target(address: str, title: str) -> str:
    address = re.sub(r"[\s<>]", lambda found: f"%{ord(found[0]):02X}", address)
    quoted = ' "' + title.replace('"', '\\"') + '"' if title else ""
    bare = address and "(" not in address and ")" not in address
    return f"({address}{quoted})" if bare else f"(<{address}>{quoted})"

"""Markdown as blocks and back, without a word about any platform.

`parse` and `render` are inverse as far as Markdown goes: what `render` writes, `parse` reads as
the same blocks. Blocks are those that Notion has; what it lacks (headings below the third level,
lists that do not begin at 1, HTML, relative links, images within a line) stays in the text as it
was written, so that nothing is lost on the way there and back.

Two things are let go, because they are layout and have no place to live: how the columns of a
table are aligned, and where lines are wrapped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from reconcilers._spans import PLAIN, Span, tidy

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

LONGEST_URL = 2000
"""A longer one stays text."""

DEEPEST = 90
"""Deeper nesting is kept as source: the parser would drop what is below its own limit of 100."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, heading, list item, ... with what is nested in it.

    Attributes:
        type: Notion's word for it.
        detail: the info string of `code`, the URL of an `image`, `x` for a done `to_do`.
        cells: of a `table_row`.
    """

    type: str
    spans: tuple[Span, ...] = ()
    children: tuple[Block, ...] = ()
    detail: str = ""
    cells: tuple[tuple[Span, ...], ...] = ()


# ── Markdown to blocks ────────────────────────────────────────────────────────────────────────


def parse(markdown: str) -> tuple[Block, ...]:
    """Return `markdown` (CommonMark with tables, strikethrough and task lists) as blocks."""
    from markdown_it.tree import SyntaxTreeNode

    environment: dict[str, dict[str, dict[str, str]]] = {}
    tokens = _parser().parse(markdown, environment)
    if any(token.level >= DEEPEST for token in tokens):
        return (Block("code", (Span(markdown),), detail="markdown"),)
    blocks = [*_blocks(SyntaxTreeNode(tokens).children)]
    blocks += _unused(environment.get("references", {}), blocks)
    return tuple(blocks)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    class Parser(MarkdownIt):
        """Leaves addresses as they are written."""

        def normalizeLink(self, url: str) -> str:  # noqa: N802
            return url

        def normalizeLinkText(self, link: str) -> str:  # noqa: N802
            return link

    return Parser("commonmark", {"maxNesting": 100}).enable(["table", "strikethrough"])


def _blocks(nodes: Iterable[SyntaxTreeNode]) -> Iterator[Block]:
    for node in nodes:
        yield from _block(node)


def _block(node: SyntaxTreeNode) -> Iterator[Block]:
    kind = node.type
    if kind == "paragraph":
        yield _picture(node) or Block("paragraph", _spans_of(node))
    elif kind == "heading":
        yield _heading(int(node.tag[1]), _spans_of(node))
    elif kind == "bullet_list":
        for item in node.children:
            yield _bullet(item)
    elif kind == "ordered_list":
        yield from _numbered(node)
    elif kind == "blockquote":
        spans, children = _headed(node)
        yield Block("quote", spans, children)
    elif kind in {"fence", "code_block"}:
        content = node.content.removesuffix("\n")
        spans = (Span(content),) if content else ()
        yield Block("code", spans, detail=node.info.strip())
    elif kind == "hr":
        yield Block("divider")
    elif kind == "table":
        yield Block("table", children=tuple(_rows(node)))
    else:
        yield Block("paragraph", tidy(linkified(Span(node.content))))


def _heading(level: int, spans: tuple[Span, ...]) -> Block:
    if level <= 3:
        return Block(f"heading_{level}", spans)
    return Block("paragraph", tidy([Span("#" * level + " "), *spans]))


def _headed(node: SyntaxTreeNode) -> tuple[tuple[Span, ...], tuple[Block, ...]]:
    """Return the first paragraph as text, and everything after it as children."""
    nodes = node.children
    if nodes and nodes[0].type == "paragraph" and not _picture(nodes[0]):
        return _spans_of(nodes[0]), tuple(_blocks(nodes[1:]))
    return (), tuple(_blocks(nodes))


_TASK = re.compile(r"\[([ xX])\](?:\s+|$)")


def _bullet(item: SyntaxTreeNode) -> Block:
    spans, children = _headed(item)
    # The source tells `[ ]` from the `\\[ ]` that is meant to be read as it stands.
    source = item.children[0].children[0].content if spans and item.children[0].children else ""
    task = _TASK.match(source)
    if task is None or spans[0].link or not _TASK.match(spans[0].text):
        return Block("bulleted_list_item", spans, children)
    rest = Span(_TASK.sub("", spans[0].text, count=1))
    return Block("to_do", tidy([rest, *spans[1:]]), children, "x" if task[1] in "xX" else "")


def _numbered(node: SyntaxTreeNode) -> Iterator[Block]:
    start = int(node.attrs.get("start", 1))
    for number, item in enumerate(node.children, start):
        spans, children = _headed(item)
        if start == 1:
            yield Block("numbered_list_item", spans, children)
        else:
            mark = f"{number}{item.markup or '.'} "
            yield Block("paragraph", tidy([Span(mark), *spans]), children)


def _rows(table: SyntaxTreeNode) -> Iterator[Block]:
    for part in table.children:
        for row in part.children:
            cells = tuple(tidy(_cell(_inline(cell, PLAIN))) for cell in row.children)
            yield Block("table_row", cells=cells)


def _cell(spans: Iterable[Span]) -> Iterator[Span]:
    for span in spans:
        yield span if span.code else replace(span, text=re.sub(r"<br\s*/?>", "\n", span.text))


def _picture(paragraph: SyntaxTreeNode) -> Block | None:
    """Return an image that stands alone in its paragraph."""
    inline = paragraph.children[0].children if paragraph.children else []
    if len(inline) != 1 or inline[0].type != "image":
        return None
    address = _attribute(inline[0], "src")
    if inline[0].attrs.get("title") or not _is_web(address):
        return None
    return Block("image", tidy([Span(inline[0].content)]), detail=address)


def _spans_of(node: SyntaxTreeNode) -> tuple[Span, ...]:
    return tidy(_inline(node, PLAIN))


def _inline(node: SyntaxTreeNode, style: Span) -> Iterator[Span]:
    for child in node.children:
        kind = child.type
        if kind == "inline":
            yield from _inline(child, style)
        elif kind == "code_inline":
            yield replace(style, text=child.content, code=True)
        elif kind == "softbreak":
            yield replace(style, text=" ")
        elif kind == "hardbreak":
            yield replace(style, text="\n")
        elif kind in {"strong", "em", "s"}:
            yield from _inline(child, _styled(style, kind))
        elif kind == "link":
            yield from _link(child, style)
        elif kind == "image":
            text = f"![{child.content}]{_target(child, 'src')}"
            yield from linkified(replace(style, text=text))
        else:
            yield from linkified(replace(style, text=child.content))


def _styled(style: Span, tag: str) -> Span:
    if tag == "strong":
        return replace(style, bold=True)
    return replace(style, italic=True) if tag == "em" else replace(style, strike=True)


def _link(node: SyntaxTreeNode, style: Span) -> Iterator[Span]:
    address, title = _attribute(node, "href"), node.attrs.get("title")
    if not _is_web(address):
        # Notion refuses what is not an absolute address.
        if node.markup == "autolink":
            yield replace(style, text=f"<{address}>")
            return
        yield replace(style, text="[")
        yield from _inline(node, style)
        yield replace(style, text="]" + _target(node, "href"))
        return
    yield from _inline(node, replace(style, link=address))
    if title:
        yield replace(style, text=f" ({title})")


def _target(node: SyntaxTreeNode, name: str) -> str:
    title = str(node.attrs.get("title") or "")
    quoted = ' "' + title.replace('"', '\\"') + '"' if title else ""
    return f"({_address(_attribute(node, name))}{quoted})"


def _attribute(node: SyntaxTreeNode, name: str) -> str:
    return _encoded(str(node.attrs.get(name, "") or ""))


def _is_web(address: str) -> bool:
    web = re.match(r"(?:https?://|mailto:)[^\s]+$", address)
    return bool(web) and len(address) <= LONGEST_URL


_BARE = re.compile(r"https?://[^\s<>\"`]*[^\s<>\"`.,;:!?'()\[\]{}*_~|\\]")


def linkified(span: Span) -> Iterator[Span]:
    """Make bare addresses into links, as both GitLab and Notion do."""
    if span.link or "://" not in span.text:
        yield span
        return
    at = 0
    for found in _BARE.finditer(span.text):
        end = found.end()
        if found[0].count("(") > found[0].count(")") and span.text[end : end + 1] == ")":
            end += 1
        address = span.text[found.start() : end]
        if len(address) <= LONGEST_URL:
            yield replace(span, text=span.text[at : found.start()])
            yield replace(span, text=address, link=address)
            at = end
    yield replace(span, text=span.text[at:])


def _unused(references: dict[str, dict[str, str]], blocks: Sequence[Block]) -> Iterator[Block]:
    """Keep link definitions that nothing refers to: the parser swallows them."""
    used = set(_addresses(blocks))
    for name, reference in references.items():
        address = _encoded(reference.get("href", ""))
        if address not in used:
            title = f' "{reference["title"]}"' if reference.get("title") else ""
            target = _address(address)
            yield Block("paragraph", (Span(f"[{name.lower()}]: {target}{title}"),))


def _addresses(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        yield block.detail
        for spans in (block.spans, *block.cells):
            for span in spans:
                yield span.link
                yield from re.findall(r"\]\(<?([^\s>)]*)", span.text)
        yield from _addresses(block.children)


# ── Blocks to Markdown ────────────────────────────────────────────────────────────────────────

_BULLETS = {"bulleted_list_item": "- ", "to_do": "- "}
_NUMBER = re.compile(r"\d{1,9}[.)] ")


def render(blocks: Sequence[Block]) -> str:
    """Return `blocks` as Markdown, without a newline at the end."""
    text = family = ""
    number = 0
    for block in blocks:
        number = number + 1 if block.type == "numbered_list_item" else 0
        rendered = _rendered(block, number)
        if not rendered:
            continue
        before, family = family, _family(block)
        gap = "\n" if family and family == before else "\n\n"
        text += gap + rendered if text else rendered
    return text


def _family(block: Block) -> str:
    return "number" if block.type == "numbered_list_item" else _BULLETS.get(block.type, "")


def _rendered(block: Block, number: int) -> str:
    kind = block.type
    if kind == "code":
        return _fence(block)
    if kind == "divider":
        return "---"
    if kind == "image":
        address = _address(block.detail)
        alt = _text(block, lambda text: f"![{text}]({address})")
        return f"![{alt}]({address})"
    if kind == "table":
        return _table(block)
    if kind == "quote":
        return _quote(block)
    if family := _family(block):
        return _item(block, f"{number}. " if family == "number" else family)
    mark = "#" * int(kind[-1]) + " " if kind.startswith("heading_") else ""
    head = (mark + _text(block, lambda text: mark + text)).rstrip()
    indent = _NUMBER.match(head) if kind == "paragraph" else None
    nested = render(block.children)
    if indent and nested:
        nested = _indented(nested, " " * len(indent[0]))
    return "\n\n".join(part for part in (head, nested) if part)


def _fence(block: Block) -> str:
    content = "".join(span.text for span in block.spans)
    info = " ".join(block.detail.split())
    mark = "~" if "`" in info else "`"
    longest = max((len(run) for run in re.findall(f"{mark}+", content)), default=0)
    fence = mark * max(3, longest + 1)
    return f"{fence}{info}\n{content}\n{fence}" if content else f"{fence}{info}\n{fence}"


def _quote(block: Block) -> str:
    head = _text(block, lambda text: _prefixed(text, "> "))
    nested = render(block.children)
    return _prefixed("\n\n".join(part for part in (head, nested) if part), "> ")


def _prefixed(text: str, prefix: str) -> str:
    return "\n".join((prefix + line).rstrip() for line in text.split("\n"))


def _item(block: Block, mark: str) -> str:
    indent = " " * len(mark)
    box = f"[{block.detail or ' '}] " if block.type == "to_do" else ""

    def item(text: str) -> str:
        # A number other than 1 would make the item read as text.
        first = "1. " if mark[0].isdigit() else mark
        return first + box + text.replace("\n", "\n" + indent)

    head = box + _text(block, item)
    nested = render(block.children)
    if not head:
        # `- ---` would be one long divider.
        nested = "***" + nested[3:] if nested.startswith("---") else nested
        return mark + _indented(nested, indent).lstrip() if nested else mark.rstrip()
    head = mark + head.rstrip().replace("\n", "\n" + indent)
    if not nested:
        return head
    gap = "\n" if _family(block.children[0]) else "\n\n"
    return head + gap + _indented(nested, indent)


def _indented(text: str, indent: str) -> str:
    return "\n".join(indent + line if line else "" for line in text.split("\n"))


def _table(block: Block) -> str:
    rows = [row.cells for row in block.children if row.cells]
    if not rows:
        return ""
    width = max(len(row) for row in rows)
    lines = [
        "| " + " | ".join(_cell_text(cell) for cell in (*row, *[()] * (width - len(row)))) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + " --- |" * width)
    return "\n".join(lines)


def _cell_text(spans: tuple[Span, ...]) -> str:
    def table(text: str) -> str:
        return f"| {text} |\n| --- |"

    if (plain := _plain_text(spans)) and not _SPECIAL.search(plain):
        return plain
    for weaker in _weakened(spans):
        row = Block("table_row", cells=(weaker,))
        expected = [_blurred(Block("table", children=(row,)))]
        for text in _candidates(weaker):
            cell = text.replace("\\\n", "<br>").replace("\n", "<br>").replace("|", "\\|")
            if [*map(_blurred, parse(table(cell)))] == expected:
                return cell
    return _last_resort(spans).replace("\\\n", "<br>").replace("|", "\\|")


_SPECIAL = re.compile(r"[\\`*_\[\]<>~&|!\n]|://")


def _text(block: Block, wrap: Callable[[str], str]) -> str:
    """Return the block's own text in the plainest form that reads back as the same.

    Trying the plain form first keeps `snake_case` and `2 * 3` free of backslashes, which a set
    of escaping rules alone cannot. `wrap` puts a text into the block's Markdown, for the trial.
    """
    spans = block.spans
    plain = _plain_text(spans)
    if not spans or (plain[:1].isalpha() and not _SPECIAL.search(plain)):
        return plain
    for weaker in _weakened(spans):
        expected = [_blurred(replace(block, spans=weaker, children=()))]
        for text in _candidates(weaker):
            if [*map(_blurred, parse(wrap(text)))] == expected:
                return text
    return _last_resort(spans)


def _plain_text(spans: Sequence[Span]) -> str:
    """Return the text where it has no style at all, else ''."""
    return spans[0].text if len(spans) == 1 and spans[0] == Span(spans[0].text) else ""


def _blurred(block: Block) -> Block:
    """Return the block without what nobody can see: the style of white space between words."""
    return replace(
        block,
        spans=tidy(block.spans, shared=True),
        children=tuple(map(_blurred, block.children)),
        cells=tuple(tidy(cell, shared=True) for cell in block.cells),
    )


def _candidates(spans: Sequence[Span]) -> Iterator[str]:
    text = "".join(span.text for span in spans)
    if text.startswith("<"):
        yield text
    for escape in (_as_is, _careful, _thorough):
        for italic in ("*", "_"):
            yield _marked(spans, escape, italic)


def _weakened(spans: tuple[Span, ...]) -> Iterator[tuple[Span, ...]]:
    """Yield the spans, then with one of them unstyled, then with none styled.

    Markdown cannot give every style that a person can: half a word before a full stop, say.
    """
    yield spans
    styled = [i for i, span in enumerate(spans) if span.bold or span.italic or span.strike]
    # Each trial parses the text again; in a long one, the style of one word is not worth that.
    for i in styled[:12]:
        yield tidy(_bare(span) if n == i else span for n, span in enumerate(spans))
    if styled:
        yield tidy(_bare(span) for span in spans)


def _bare(span: Span) -> Span:
    return replace(span, bold=False, italic=False, strike=False)


def _last_resort(spans: Sequence[Span]) -> str:
    """Return the words, in one line and with every sign escaped."""
    return _marked(tidy(_bare(span) for span in spans), _thorough, "*").replace("\\\n", " ")


def _as_is(text: str) -> str:
    return text


def _careful(text: str) -> str:
    text = re.sub(r"([\\`*_\[\]<>~&])", r"\\\1", text)
    return re.sub(r"(?m)^(\s*)([#+\-=|])|^(\s*\d+)([.)])", r"\1\3\\\2\4", text)


def _thorough(text: str) -> str:
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def _marked(spans: Sequence[Span], escape: Callable[[str], str], italic: str) -> str:
    """Return the spans with their marks, opened and closed as a stack."""
    wanted = [_marks(span, italic) for span in spans]
    text = gap = ""
    stack: list[str] = []
    for i, span in enumerate(spans):
        words = span.text if span.code else span.text.strip()
        lead, _, trail = span.text.partition(words) if words else (span.text, "", "")
        keep = next((n for n, mark in enumerate(stack) if mark not in wanted[i]), len(stack))
        text += "".join(_closing(mark) for mark in reversed(stack[keep:]))
        del stack[keep:]
        # A mark must touch a word, so white space goes before what is opened.
        text += _plain(Span(gap + lead), escape)
        gap = trail
        opening = [mark for mark in wanted[i] if mark not in stack] if words else []
        # What lasts longest is opened first, so that it need not be closed in between.
        for mark in sorted(opening, key=lambda mark: _lasts(wanted[i:], mark), reverse=True):
            text += _opening(mark)
            stack.append(mark)
        text += _plain(replace(span, text=words), escape)
    return text + "".join(_closing(mark) for mark in reversed(stack))


def _marks(span: Span, italic: str) -> list[str]:
    marks = ["[" + span.link] if span.link and span.link != span.text else []
    marks += ["**"] if span.bold else []
    marks += [italic] if span.italic else []
    return marks + (["~~"] if span.strike else [])


def _lasts(wanted: Sequence[Sequence[str]], mark: str) -> int:
    return next((n for n, marks in enumerate(wanted) if mark not in marks), len(wanted))


def _opening(mark: str) -> str:
    return "[" if mark[0] == "[" else mark


def _closing(mark: str) -> str:
    return f"]({_address(mark[1:])})" if mark[0] == "[" else mark


def _plain(span: Span, escape: Callable[[str], str]) -> str:
    if span.code:
        return _code_span(span.text)
    if span.link and span.link == span.text:
        return span.text if escape is _as_is else f"<{span.text}>"
    return escape(span.text).replace("\n", "\\\n")


def _code_span(text: str) -> str:
    text = text.replace("\n", " ")
    runs = {len(run) for run in re.findall("`+", text)}
    fence = "`" * next(n for n in range(1, len(runs) + 2) if n not in runs)
    padded = text[:1] in "` " or text[-1:] in "` "
    return f"{fence} {text} {fence}" if padded and text.strip() else f"{fence}{text}{fence}"


def _address(address: str) -> str:
    address = _encoded(address)
    return f"<{address}>" if "(" in address or ")" in address or not address else address


def _encoded(address: str) -> str:
    return re.sub(r"[\s<>]", lambda found: f"%{ord(found[0]):02X}", address)

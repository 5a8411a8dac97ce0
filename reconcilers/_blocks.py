"""Blocks as Notion's API takes and gives them, within its limits.

The limits (verified 2026-11-24, developers.notion.com/reference/request-limits): 2,000 characters
in a rich text item, 100 items in any array, two levels of children below the blocks of a request,
1,000 blocks and 500 kB in a request. What is longer is divided, never cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import takewhile
from typing import TypeAlias, cast

from reconcilers._markdown import Block, parse, render
from reconcilers._spans import Span, tidy

Json: TypeAlias = dict[str, object]

ARRAY = 100
BLOCKS = 1000
BYTES = 450_000
LEVELS = 3

PLAIN_TEXT = "plain text"
_LANGUAGES = (
    "abap abc agda arduino assembly bash basic bnf c c# c++ clojure coffeescript coq css dart dhall"
    " diff docker ebnf elixir elm erlang f# flow fortran gherkin glsl go graphql groovy haskell hcl"
    " html idris java javascript json julia kotlin latex less lisp livescript lua makefile markdown"
    " markup matlab mathematica mermaid nix objective-c ocaml pascal perl php powershell prolog"
    " protobuf purescript python r racket reason ruby rust sass scala scheme scss shell smalltalk"
    " solidity sql swift toml typescript vb.net verilog vhdl webassembly xml yaml"
)
LANGUAGES = frozenset(_LANGUAGES.split())
ALIASES = {
    "": PLAIN_TEXT,
    "text": PLAIN_TEXT,
    "txt": PLAIN_TEXT,
    "console": "shell",
    "cpp": "c++",
    "cs": "c#",
    "dockerfile": "docker",
    "golang": "go",
    "js": "javascript",
    "jsx": "javascript",
    "kt": "kotlin",
    "md": "markdown",
    "objc": "objective-c",
    "ps1": "powershell",
    "py": "python",
    "rb": "ruby",
    "rs": "rust",
    "sh": "shell",
    "terraform": "hcl",
    "tex": "latex",
    "ts": "typescript",
    "tsx": "typescript",
    "wasm": "webassembly",
    "yml": "yaml",
    "zsh": "shell",
}
"""What people write after a fence, where Notion has another word for it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A block as one request carries it, and the children that must follow in later ones."""

    payload: Json
    rest: Sequence[Json] = field(default_factory=list[Json])


def blocks_of(markdown: str) -> list[Json]:
    """Return `markdown` as blocks in request form, nested as deep as they are."""
    return [_to_json(block) for whole in parse(markdown) for block in _divided(whole)]


@lru_cache(maxsize=256)
def canonical_markdown(markdown: str) -> str:
    """Return the text that Notion gives back for `markdown`; giving that changes nothing more."""
    for _ in range(4):
        text = markdown_of(blocks_of(markdown))
        if text == markdown:
            break
        markdown = text
    return markdown


def markdown_of(blocks: Iterable[Json]) -> str:
    """Return blocks in request or response form, with `children` in place, as Markdown."""
    return render(tuple(_restored(blocks)))


def opening(blocks: Sequence[Json]) -> tuple[list[Json], list[Json]]:
    """Return what a page can be created with, and what must be appended to it."""
    fit: list[Json] = []
    for batch in batches(blocks):
        fit = [piece.payload for piece in takewhile(lambda piece: not piece.rest, batch)]
        break
    return fit, list(blocks[len(fit) :])


def batches(blocks: Sequence[Json]) -> Iterator[list[Piece]]:
    """Yield what one request after the other appends."""
    batch: list[Piece] = []
    count = size = 0
    for block in blocks:
        piece = _piece(block)
        number = _count(piece.payload)
        length = len(json.dumps(piece.payload, ensure_ascii=False).encode())
        full = len(batch) == ARRAY or count + number > BLOCKS or size + length > BYTES
        if batch and full:
            yield batch
            batch, count, size = [], 0, 0
        batch.append(piece)
        count, size = count + number, size + length
    if batch:
        yield batch


def appends(blocks: Sequence[Json]) -> int:
    """Return how many requests it takes to append `blocks`."""
    return sum(1 + sum(appends(piece.rest) for piece in batch) for batch in batches(blocks))


def children_of(block: Json) -> list[Json]:
    """Return the blocks nested in `block`."""
    content = cast("Json", block.get(str(block.get("type")), {}))
    return cast("list[Json]", content.get("children", []))


def with_children(block: Json, children: list[Json]) -> Json:
    """Return `block` with other children; with none, without the word."""
    kind = str(block["type"])
    content = {k: v for k, v in cast("Json", block[kind]).items() if k != "children"}
    return {**block, kind: {**content, "children": children} if children else content}


def rich_text(spans: Iterable[Span]) -> list[Json]:
    """Return `spans` as rich text items of a length that Notion takes."""
    return [_item(span) for span in _chunks(spans)]


def spans_of(items: object) -> tuple[Span, ...]:
    """Return rich text items in response form as spans, joined but otherwise as they are."""
    spans: list[Span] = []
    for item in cast("list[Json]", items or []):
        style = cast("dict[str, object]", item.get("annotations") or {})
        text = cast("Json", item.get("text") or {})
        link = cast("dict[str, str]", text.get("link") or {}).get("url") or item.get("href")
        equation = cast("dict[str, str]", item.get("equation") or {}).get("expression", "")
        words = f"${equation}$" if equation else text.get("content", item.get("plain_text", ""))
        span = Span(
            str(words),
            bold=bool(style.get("bold")),
            italic=bool(style.get("italic")),
            strike=bool(style.get("strikethrough")),
            code=bool(style.get("code")),
            link=str(link or ""),
        )
        if spans and replace(spans[-1], text="") == replace(span, text=""):
            spans[-1] = replace(span, text=spans[-1].text + span.text)
        elif span.text:
            spans.append(span)
    return tuple(spans)


def text_of(items: object) -> str:
    """Return rich text items as plain text."""
    return "".join(span.text for span in spans_of(items))


# ── to Notion ─────────────────────────────────────────────────────────────────────────────────


def _divided(block: Block) -> Iterator[Block]:
    """Divide a block with more text than one may hold; its children go with the last part."""
    children = tuple(part for child in block.children for part in _divided(child))
    chunks = list(_chunks(block.spans))
    if len(chunks) <= ARRAY:
        yield replace(block, children=children)
        return
    head, rest = tuple(chunks[:ARRAY]), tuple(chunks[ARRAY:])
    if block.type in {"code", "paragraph"} or block.type.startswith("heading_"):
        yield replace(block, spans=head, children=())
        kind = "code" if block.type == "code" else "paragraph"
        yield from _divided(replace(block, type=kind, spans=rest, children=children))
        return
    nested = tuple(_divided(Block("paragraph", rest)))
    yield replace(block, spans=head, children=(*nested, *children))


def _chunks(spans: Iterable[Span]) -> Iterator[Span]:
    for span in spans:
        # Notion counts UTF-16 units, and its limit of 500 kB counts bytes.
        size = 2000 if span.text.isascii() else 1000
        for start in range(0, len(span.text), size):
            yield replace(span, text=span.text[start : start + size])


def _item(span: Span) -> Json:
    text: Json = {"content": span.text}
    if span.link:
        text["link"] = {"url": span.link}
    item: Json = {"type": "text", "text": text}
    names = {"bold": "bold", "italic": "italic", "strike": "strikethrough", "code": "code"}
    style = {remote: True for name, remote in names.items() if getattr(span, name)}
    return {**item, "annotations": style} if style else item


def _to_json(block: Block) -> Json:
    kind = block.type
    content: Json = {}
    if kind == "code":
        content = _code(block)
    elif kind == "image":
        content = {"type": "external", "external": {"url": block.detail}}
        if block.spans:
            content["caption"] = rich_text(block.spans)
    elif kind == "table":
        width = max((len(row.cells) for row in block.children), default=1)
        content = {"table_width": width, "has_column_header": True, "has_row_header": False}
    elif kind == "table_row":
        content = {"cells": [_cell(cell) for cell in block.cells]}
    elif kind != "divider":
        content = {"rich_text": rich_text(block.spans)}
    if kind == "to_do":
        content["checked"] = bool(block.detail)
    if block.children:
        content["children"] = [_to_json(child) for child in block.children]
    return {"object": "block", "type": kind, kind: content}


def _cell(spans: tuple[Span, ...]) -> list[Json]:
    items = rich_text(spans)
    return items if len(items) <= ARRAY else rich_text([Span("".join(s.text for s in spans))])


def _code(block: Block) -> Json:
    language = _language(block.detail)
    words = block.detail.split()
    content: Json = {
        "language": language or _language(words[0] if words else "") or PLAIN_TEXT,
        "rich_text": rich_text(block.spans),
    }
    return content if language else {**content, "caption": rich_text([Span(block.detail)])}


def _language(name: str) -> str:
    name = name.lower()
    return name if name in LANGUAGES else ALIASES.get(name, "")


def _piece(block: Json) -> Piece:
    children = children_of(block)
    if _fits(block, LEVELS):
        return Piece(block)
    if block["type"] == "table":
        # A table comes with its first rows or not at all.
        return Piece(with_children(block, children[:ARRAY]), children[ARRAY:])
    return Piece(with_children(block, []), children)


def _fits(block: Json, levels: int) -> bool:
    children = children_of(block)
    if not children:
        return True
    # Notion does not take a table at the innermost level: its rows would be one too deep.
    if levels == 1 or len(children) > ARRAY or (levels == LEVELS and _count(block) > BLOCKS):
        return False
    return all(_fits(child, levels - 1) for child in children)


def _count(block: Json) -> int:
    return 1 + sum(_count(child) for child in children_of(block))


# ── from Notion ───────────────────────────────────────────────────────────────────────────────

_AS = {"callout": "quote", "toggle": "bulleted_list_item", "heading_4": "paragraph"}
_LINKED = {"bookmark", "embed", "link_preview", "video", "file", "pdf", "audio"}
_TEXT = {
    "paragraph",
    "heading_1",
    "heading_2",
    "heading_3",
    "bulleted_list_item",
    "numbered_list_item",
    "to_do",
    "quote",
}


def _restored(blocks: Iterable[Json]) -> Iterator[Block]:
    for block in blocks:
        yield from _block(block)


def _block(raw: Json) -> Iterator[Block]:
    """Read one block; what people made with Notion's own blocks comes as near as Markdown can."""
    kind = str(raw.get("type", ""))
    content = cast("Json", raw.get(kind) or {})
    children = tuple(_restored(children_of(raw)))
    spans = tidy(spans_of(content.get("rich_text")))
    if kind in _TEXT:
        done = "x" if kind == "to_do" and content.get("checked") else ""
        yield Block(kind, spans, children, done)
    elif kind in _AS:
        mark = (Span("#### "),) if kind == "heading_4" else ()
        yield Block(_AS[kind], tidy([*mark, *spans]), children)
    elif kind == "code":
        yield _fenced(content)
    elif kind == "divider":
        yield Block("divider")
    elif kind == "table":
        yield Block("table", children=children)
    elif kind == "table_row":
        cells = cast("list[object]", content.get("cells") or [])
        yield Block("table_row", cells=tuple(tidy(spans_of(cell)) for cell in cells))
    elif kind == "equation":
        yield Block("paragraph", (Span(f"$${content.get('expression', '')}$$"),))
    elif kind == "image" or kind in _LINKED:
        yield _media(kind, content)
    else:
        yield from children


def _fenced(content: Json) -> Block:
    text = text_of(content.get("rich_text"))
    language = str(content.get("language") or PLAIN_TEXT)
    info = text_of(content.get("caption")) or (language if language != PLAIN_TEXT else "")
    if _language(info) != language and _language((info.split() or [""])[0]) != language:
        info = info if language == PLAIN_TEXT else f"{language} {info}"
    return Block("code", (Span(text),) if text else (), detail=info)


def _media(kind: str, content: Json) -> Block:
    held = cast("Json", content.get("external") or content.get("file") or content)
    url = str(held.get("url", ""))
    if "file" in content:
        # Notion signs the addresses of its own files anew at every read.
        url = url.partition("?")[0]
    caption = tidy(spans_of(content.get("caption")))
    words = "".join(span.text for span in caption)
    if kind == "image":
        return Block("image", tidy([Span(words)]), detail=url)
    return Block("paragraph", tidy([Span(words or url, link=url)]))

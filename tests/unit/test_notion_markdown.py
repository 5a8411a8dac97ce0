"""Markdown to blocks and back: nothing lost, and the second round trip equals the first."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest

from reconcilers._blocks import (
    ARRAY,
    BLOCKS,
    BYTES,
    appends,
    batches,
    blocks_of,
    canonical_markdown,
    children_of,
    markdown_of,
    opening,
)
from reconcilers._markdown import Block, parse, render
from reconcilers._spans import Span, tidy
from reconcilers.notion import canonical, price
from schemas.domain import Change, FieldChange

CANONICAL = (
    "One line.",
    "# One\n\n## Two\n\n### Three\n\n#### Four stays text\n\n###### Six",
    "- a\n- b\n  - c\n    - d\n- e",
    "1. a\n2. b\n   1. c\n3. d",
    "- [ ] open\n- [x] done\n  - [ ] nested",
    "- a\n\n  second paragraph\n\n  ```python\n  x = 1\n  ```\n- b",
    "> quoted\n>\n> twice\n>\n> - a list",
    "```python\nprint('hi')\n\n\n# done\n```",
    "````markdown\n```\ninner\n```\n````",
    "```kusto\nunknown | language\n```",
    "~~~a `tick`\nx\n~~~",
    "a\n\n---\n\nb",
    "| a | b |\n| --- | --- |\n| 1 \\| 2 | **x** `y` |\n| two<br>lines | |",
    "**bold** *italic* ***both*** ~~gone~~ `code` **bold *and italic* text**",
    "[a **bold** link](https://example.com) and https://bare.example/a_b?c=d.",
    "[parentheses](<https://en.wikipedia.org/wiki/Foo_(bar)>)",
    "[a relative link](./docs/x.md) and ![an image](https://x.y/z.png) within",
    "![alone](https://example.com/x.png)",
    "line one\\\nline two",
    "snake_case, 2 * 3, a < b & c, 50%, #1, x_y_z",
    "1\\. not a list\n\n\\# not a heading\n\n\\- nor this",
    "<details>\n<summary>html</summary>\n</details>\n\n<!-- a comment -->\n\na <b>tag</b>",
    "3. begins at three\n\n4. goes on\n\n   - nested",
    "grüße, 世界 **粗体** 🚀",
    "``a ` tick`` and ` `` `",
    "text\n\n[unused]: https://example.com",
    "a [bracket] and [ ] no task",
    "- \\[ \\] no task",
)


@pytest.mark.parametrize("text", CANONICAL)
def test_canonical_markdown_comes_back_as_it_went(text: str) -> None:
    assert markdown_of(blocks_of(text)) == text.replace("| |", "|  |")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* a\n* b", "- a\n- b"),
        ("__bold__ _italic_", "**bold** *italic*"),
        ("Title\n=====\n\nOther\n---", "# Title\n\n## Other"),
        ("wrapped\nlines", "wrapped lines"),
        ("hard  \nbreak", "hard\\\nbreak"),
        ("    indented code", "```\nindented code\n```"),
        ("```py\nx\n```", "```python\nx\n```"),
        ("[ref][r]\n\n[r]: https://r.example", "[ref](https://r.example)"),
        ('[a](https://b.example "a title")', "[a](https://b.example) (a title)"),
        ("<https://auto.example>", "https://auto.example"),
        ("***\n", "---"),
        ("a&nbsp;b &amp; c", "a\u00a0b & c"),
        ("| a |\n|:-:|\n| b |", "| a |\n| --- |\n| b |"),
        ("text\n\n\n\n\nmore\n\n", "text\n\nmore"),
        ("", ""),
        ("\n \n", ""),
    ],
)
def test_other_ways_to_write_the_same_come_back_in_one_form(text: str, expected: str) -> None:
    assert canonical_markdown(text) == expected


_ATOMS = (
    "a foo é 🎉 . 1 \" ' : = === ( ) [ ] < > # | ! \\ * ** _ ~~ ` `` ``` ~~~ --- - + 1. 2) & "
    "&amp; http://x.y https://x.y/a_b [a](http://b.c) ![i](http://p.q/r.png) <b> </b> <div> <!-- "
    "--> <br> <http://au.to>"
)
ATOMS = _ATOMS.split()
BREAKS = (" ", "  ", "\n", "\n\n", "    ", "\t", "- [ ] ", "> ", "- ", "1. ", "# ", "", "", "", "")
TABLE = "| a | b |\n|--|--|\n"


def nonsense(seed: int) -> str:
    chance = random.Random(seed)
    words = [*ATOMS, TABLE, "[x]: http://u.v\n"]
    length = chance.randint(1, 18)
    return "".join(chance.choice(words) + chance.choice(BREAKS) for _ in range(length))


@pytest.mark.parametrize("seed", range(8))
def test_any_text_is_stable_after_one_round_trip(seed: int) -> None:
    for number in range(100):
        text = nonsense(1000 * seed + number)
        once = canonical_markdown(text)
        assert canonical_markdown(once) == once, repr(text)


@pytest.mark.parametrize("seed", range(4))
def test_no_word_is_lost(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(50):
        words = [f"w{n}" for n in range(12)]
        text = "".join(chance.choice(BREAKS) + chance.choice(ATOMS) + word for word in words)
        kept = canonical_markdown(text)
        assert [word for word in words if word not in kept] == [], repr(text)


def test_styles_that_markdown_cannot_give_leave_the_words() -> None:
    spans = (Span("foo:", bold=True), Span("bar "), Span("kept", italic=True))
    text = render((Block("paragraph", spans),))
    assert text == "foo:bar *kept*"
    assert parse(text)


def test_white_space_at_the_edge_of_a_style_is_moved_out() -> None:
    spans = (Span("a"), Span(" bold ", bold=True), Span("b"))
    assert render((Block("paragraph", tidy(spans)),)) == "a **bold** b"


def test_deeper_nesting_than_the_parser_follows_is_kept_as_source() -> None:
    text = "> " * 200 + "deep"
    assert canonical_markdown(text) == f"```markdown\n{text}\n```"


def texts(value: Any) -> list[str]:
    """Return every text content below a request."""
    if isinstance(value, list):
        return [text for inner in cast("list[Any]", value) for text in texts(inner)]
    if not isinstance(value, dict):
        return []
    found = cast("dict[str, Any]", value)
    if isinstance(found.get("content"), str):
        return [found["content"]]
    return [text for inner in found.values() for text in texts(inner)]


HUGE = {
    "many paragraphs": "\n\n".join(f"paragraph {n}" for n in range(2500)),
    "one long paragraph": "word " * 60_000,
    "astral": "🚀" * 150_000,
    "long code": "```\n" + "x = 1\n" * 60_000 + "```",
    "many styles": " ".join(f"**b{n}** *i{n}*" for n in range(300)),
    "a long list item": "- " + "word " * 60_000 + "\n  - nested",
    "a long table": "| a | b |\n| --- | --- |\n" + "| 1 | 2 |\n" * 450,
    "deep lists": "\n".join("  " * n + f"- level {n}" for n in range(9)),
    "many children": "- parent\n" + "".join(f"  - child {n}\n" for n in range(250)),
}


@pytest.mark.parametrize("name", HUGE)
def test_large_texts_are_divided_and_nothing_is_cut(name: str) -> None:
    blocks = blocks_of(HUGE[name])
    assert all(len(t.encode("utf-16-le")) // 2 <= 2000 for t in texts(blocks))
    whole = "".join(texts(blocks)).replace(" ", "").replace("\n", "")
    count = check_requests(blocks)
    assert count == appends(blocks)
    back = canonical_markdown(HUGE[name])
    assert canonical_markdown(back) == back
    again = "".join(texts(blocks_of(back))).replace(" ", "").replace("\n", "")
    assert again == whole


def check_requests(blocks: list[dict[str, Any]]) -> int:
    """Check every request against the limits, and return how many there are."""
    count = 0
    for batch in batches(blocks):
        count += 1
        payloads = [piece.payload for piece in batch]
        assert len(payloads) <= ARRAY
        assert sum(map(size, payloads)) <= BLOCKS
        assert len(repr(payloads).encode()) <= BYTES * 1.2
        assert max(map(depth, payloads)) <= 3
        for piece in batch:
            assert widest(piece.payload) <= ARRAY
            count += check_requests(list(piece.rest))
    return count


def size(block: dict[str, Any]) -> int:
    return 1 + sum(map(size, children_of(block)))


def depth(block: dict[str, Any]) -> int:
    return 1 + max(map(depth, children_of(block)), default=0)


def widest(block: dict[str, Any]) -> int:
    children = children_of(block)
    rich = block[block["type"]].get("rich_text", [])
    return max(len(children), len(rich), *map(widest, children), 0)


def test_a_create_takes_as_many_blocks_as_one_request_may() -> None:
    first, rest = opening(blocks_of("\n\n".join(f"p{n}" for n in range(250))))
    assert (len(first), len(rest)) == (100, 150)
    first, rest = opening(blocks_of("p\n\n" + HUGE["deep lists"] + "\n\nq"))
    assert (len(first), len(rest)) == (1, 2)


def test_what_people_make_with_notions_own_blocks_is_read_as_near_as_can_be() -> None:
    def words(text: str) -> list[dict[str, Any]]:
        return [{"type": "text", "text": {"content": text}, "plain_text": text}]

    blocks: list[dict[str, Any]] = [
        {"type": "callout", "callout": {"rich_text": words("mind")}},
        {
            "type": "toggle",
            "toggle": {
                "rich_text": words("more"),
                "children": [{"type": "paragraph", "paragraph": {"rich_text": words("in")}}],
            },
        },
        {"type": "heading_4", "heading_4": {"rich_text": words("small")}},
        {"type": "bookmark", "bookmark": {"url": "https://a.example", "caption": []}},
        {"type": "equation", "equation": {"expression": "a^2"}},
        {
            "type": "image",
            "image": {"type": "file", "file": {"url": "https://f.example/i.png?sig=1"}},
        },
        {"type": "child_page", "child_page": {"title": "Notes"}},
        {"type": "column_list", "column_list": {"children": [{"type": "divider", "divider": {}}]}},
        {"type": "unsupported", "unsupported": {}},
    ]
    assert markdown_of(blocks) == (
        "> mind\n\n- more\n\n  in\n\n#### small\n\nhttps://a.example\n\n$$a^2$$\n\n"
        "![](https://f.example/i.png)\n\n---"
    )


def test_a_description_is_compared_in_canonical_form() -> None:
    assert canonical("description", "* a\n") == canonical("description", "- a")
    assert canonical("description", "") is canonical("description", None) is None
    assert canonical("title", "* a") == "* a"


def test_small_descriptions_are_priced_without_a_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(text: str) -> Change:
        fields = (FieldChange("description", None, text),)
        return Change("create", "a/b", "task", "notion", "", "declared", fields)

    assert price([change("- a\n  - b\n" * 30)], {}).requests == 6
    assert price([change("\n\n".join(["p"] * 250))], {}).requests == 8

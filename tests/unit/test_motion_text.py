"""Motion's HTML as the Markdown that it was made from."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from reconcilers._motion_text import markdown

RENDER = MarkdownIt("gfm-like", {"linkify": False}).render


@pytest.mark.parametrize(
    "text",
    [
        "Plain, with a < b & c.",
        "# Why\n\n**bold**, *italic*, ~~gone~~, `co_de` and a [link](https://e.com/a_b?c=1&d=2)",
        "- one\n- two\n  - nested\n\nthen\n\n1. first\n2. second",
        "- loose\n\n  with a paragraph\n- next",
        "> quoted\n>\n> twice",
        "```python\nprint('*x*')\n\nif 1: pass\n```",
        "one\\\ntwo",
        "a \\* star and \\[brackets\\]",
        "---",
        "",
    ],
)
def test_what_is_read_renders_the_same_again(text: str) -> None:
    html = RENDER(text)
    assert RENDER(markdown(html)).replace("<p>", "").replace("</p>", "") == html.replace(
        "<p>", ""
    ).replace("</p>", "")


def test_what_markdown_has_no_word_for_is_kept_as_text() -> None:
    assert markdown("<div><span style='x'>So</span> it <u>is</u></div>") == "So it is"
    assert markdown("no tags, 1 < 2") == "no tags, 1 < 2"

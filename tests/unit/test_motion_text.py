"""Motion's HTML as the Markdown that it was made from."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from reconcilers._motion_text import canonical_markdown, markdown, told, with_marker

RENDER = MarkdownIt("gfm-like", {"linkify": False}).render
MARKER = "11111111-2222-4333-8444-555555555555"


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
        "| a | b |\n| :-- | --: |\n| 1 | **2** \\| 3 |",
        "- [ ] open\n- [x] done\n  - [ ] within",
        "![alone](https://e.com/x.png)",
        "![within](https://e.com/x.png) a line, and ![here](y.png)",
        "#### Fourth\n\n3. third\n4. fourth",
        "So it <u>is</u>, as List<String>",
        "see https://e.com/a_b and [here](/wiki)",
        "wrapped\nlines",
        "<!-- hidden -->\n\nShown.",
        "",
    ],
)
def test_what_is_read_says_the_same_again(text: str) -> None:
    shown = RENDER(with_marker(text, MARKER))
    assert canonical_markdown(told(shown) or "") == canonical_markdown(text)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<div><span style='x'>So</span> it <u>is</u></div>", "So it <u>is</u>"),
        ("no tags, 1 < 2", "no tags, 1 < 2"),
        # As rich text editors write it.
        (
            '<ul data-type="taskList"><li data-checked="true"><label>'
            '<input type="checkbox" checked><span></span></label><div><p>one</p></div></li>'
            '<li data-checked="false"><label><input type="checkbox"></label><div><p>two</p></div>',
            "- [x] one\n- [ ] two",
        ),
        (
            "<table><tbody><tr><th><p>a</p></th><th>b</th></tr>"
            "<tr><td><p>1</p><p>2</p></td><td><ul><li>x</li></ul></td></tr></tbody></table>",
            "| a | b |\n| --- | --- |\n| 1<br>2 | - x |",
        ),
        ("<p>one<p>two<ul><li>a<li>b</ul>", "one\n\ntwo\n\n- a\n- b"),
        ("<p><strong>bold </strong>and <em>more</em>.</p>", "**bold** and *more*."),
        ("<p>Watch <iframe src='https://e.com/v'></iframe></p>", "Watch https://e.com/v"),
        ("<p>H<sub>2</sub>O</p><script>alert(1)</script>", "H<sub>2</sub>O"),
        ("<p></p><p>&nbsp;</p><p>left</p>", "left"),
        ("<blockquote>" * 300 + "deep", None),
    ],
)
def test_what_markdown_has_no_word_for_is_kept(html: str, text: str | None) -> None:
    assert markdown(html) == text if text is not None else "deep" in markdown(html)


@pytest.mark.parametrize(
    "shown",
    [
        f"<p>Text</p><p>trueup:{MARKER}</p>",
        f"<p>Text trueup:{MARKER}</p>",
        f"<p>trueup:{MARKER}</p><p>Text</p>",
        f"<p>Text<br>\ntrueup:{MARKER}</p>",
        f"<p>Text</p><p>trueup:{MARKER}</p><p>trueup:{MARKER.replace('1', '2')}</p>",
        f"Text\n\ntrueup:{MARKER}",
    ],
)
def test_the_marker_is_no_part_of_the_text(shown: str) -> None:
    assert told(shown) == "Text"
    assert told(f"<p>trueup:{MARKER}</p>") is None

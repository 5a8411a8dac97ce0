"""Who edits one paragraph of a text means that paragraph: the others keep their words."""

from __future__ import annotations

import random

import pytest

from reconcilers._motion_text import canonical_markdown
from runner.wording import reworded

OURS = """\
# Why

Compare three of them, by what
they *cost* us and __how fast__ they are.

* speed
* size, which
  matters
  * within

| who | what  |
| :-- | ----: |
| Ann | speed |

~~~python
* no item

x = 1
~~~
<!-- keep me -->

Last.
"""
SHOWN = canonical_markdown(OURS)
FLAT = SHOWN.replace("| who | what |\n| --- | --- |\n| Ann | speed |", "who what Ann speed")
LOSSY = FLAT.replace("\n\n<!-- keep me -->", "")


@pytest.mark.parametrize("shown", [SHOWN, FLAT], ids=["faithful", "lossy"])
@pytest.mark.parametrize(
    ("before", "after", "ours", "then"),
    [
        ("Last.", "Last one.", "Last.", "Last one."),
        ("- speed", "- tempo", "* speed", "* tempo"),
        ("- within", "- inside", "* within", "* inside"),
        (
            "x = 1",
            "x = 2",
            "~~~python\n* no item\n\nx = 1\n~~~\n<!-- keep me -->",
            "```python\n* no item\n\nx = 2\n```\n\n<!-- keep me -->",
        ),
        ("# Why", "# Why not\n\nBecause.", "# Why", "# Why not\n\nBecause."),
        ("# Why\n\n", "", "# Why\n\n", ""),
    ],
)
def test_only_what_was_edited_changes(
    shown: str, before: str, after: str, ours: str, then: str
) -> None:
    assert shown.count(before) == OURS.count(ours) == 1
    told = shown.replace(before, after)
    text = reworded(OURS, shown, told, canonical_markdown)
    assert text == OURS.replace(ours, then)


def test_an_edited_paragraph_that_was_lost_is_as_it_is_there() -> None:
    told = LOSSY.replace("who what Ann speed", "who what Ann size")
    text = reworded(OURS, LOSSY, told, canonical_markdown)
    assert text.splitlines() == [
        *OURS.splitlines()[:10],
        "who what Ann size",
        *OURS.splitlines()[13:],
    ]


def test_what_stands_somewhere_else_now_is_taken_as_it_is_there() -> None:
    ours, told = "one\n\n* two\n\nthree\n", "one\n\n- two\n\n  three"
    assert canonical_markdown(reworded(ours, ours, told, canonical_markdown)) == told


def test_text_that_is_kept_as_it_was_written_comes_back_as_it_was_written() -> None:
    def exact(text: str) -> str:
        return text.rstrip()

    dice = random.Random(5)
    lines = OURS.splitlines()
    for _ in range(200):
        told = dice.sample(lines, dice.randrange(len(lines)))
        text = "\n".join(told).strip("\n")
        assert reworded(OURS, OURS, text, exact).rstrip() == text.rstrip()


def test_whatever_is_edited_the_text_says_what_is_told() -> None:
    dice = random.Random(7)
    pieces = SHOWN.split("\n\n")
    for _ in range(100):
        told = "\n\n".join(dice.sample(pieces, dice.randrange(1, len(pieces))))
        text = reworded(OURS, SHOWN, told, canonical_markdown)
        assert canonical_markdown(text) == canonical_markdown(told)

"""GitLab: descriptions are taken apart exactly, and nothing declared is carried out there."""

from __future__ import annotations

import pytest

from reconcilers._gitlab_text import Text, compose, compose_label, read, read_label
from runner.sandbox._gitlab_objects import without_commands

MARKER = "8c0e3a1e-1111-4222-8333-444455556666"


@pytest.mark.parametrize(
    "description",
    [
        None,
        "plain",
        "ends with a newline\n",
        "\n\nstarts with two",
        "/close",
        "\\/close\n\\\\/close",
        "```sh\n/close\n```\n/close\n```\n/close",
        "~~~\n/close\n~~~",
        "    ```\n/close\n    ```",
        "- <https://example.com>\n\n**Links**",
        "<!-- a comment --> and <b>HTML</b> & ünïcödé 🚀",
        "x" * 100_000,
    ],
)
@pytest.mark.parametrize(
    "links",
    [(), ("https://example.com",), ("https://example.com/(a)", "https://example.com/b A [b] (c)")],
)
def test_what_is_composed_reads_back_and_carries_out_nothing(
    description: str | None, links: tuple[str, ...]
) -> None:
    text = Text(description, links, MARKER)
    sent = compose(text)

    assert read(sent) == text
    assert without_commands(sent) == (sent, set())


def test_text_that_people_put_around_ours_is_kept() -> None:
    sent = compose(Text("ours", ("https://example.com",), MARKER))
    edited = read("before\r\n" + sent + "\r\n\r\nafter")

    assert edited == Text("before\nours\n\nafter", ("https://example.com",), MARKER)


def test_the_last_marker_counts() -> None:
    other = "00000000-0000-4000-8000-000000000000"
    assert read(f"copied <!-- trueup:{other} -->\n\n<!-- trueup:{MARKER} -->").marker == MARKER


def test_text_without_a_marker_is_left_alone() -> None:
    text = "theirs\n\n<!-- trueup:links -->\n- <https://example.com>"
    assert read(text) == Text(text)


@pytest.mark.parametrize("title", ["Mobile app", "A (b)", "Größer 🚀 & 1 < 2"])
def test_labels_read_back(title: str) -> None:
    assert read_label(compose_label(title, MARKER)) == (title, MARKER)


def test_a_label_that_people_described_has_no_marker() -> None:
    assert read_label("All of the app") == ("All of the app", "")

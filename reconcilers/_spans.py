"""Stretches of styled text, and the one form in which two that look the same are the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text in one style."""

    text: str
    bold: bool = False
    italic: bool = False
    strike: bool = False
    code: bool = False
    link: str = ""


PLAIN = Span("")


def tidy(spans: Iterable[Span], *, shared: bool = False) -> tuple[Span, ...]:
    """Return `spans` in their one canonical form.

    Neighbours of one style are joined; white space keeps a style only between two words that
    have it; there is none at the ends. With `shared`, white space gets each style that the words
    around it share, so that texts that look the same are the same.
    """
    pieces: list[Span] = []
    for span in spans:
        words = span.text if span.code else span.text.strip()
        if words == span.text:
            pieces.append(span)
            continue
        lead, _, trail = span.text.partition(words) if words else (span.text, "", "")
        pieces += [replace(span, text=part) for part in (lead, words, trail) if part]
    words = _joined(_restyled(pieces, shared=shared))
    while words and not words[0].code and not words[0].text.lstrip():
        words.pop(0)
    while words and not words[-1].code and not words[-1].text.rstrip():
        words.pop()
    if words and not words[0].code:
        words[0] = replace(words[0], text=words[0].text.lstrip())
    if words and not words[-1].code:
        words[-1] = replace(words[-1], text=words[-1].text.rstrip())
    return tuple(words)


def _restyled(pieces: Sequence[Span], *, shared: bool) -> list[Span]:
    """Take from white space the styles that the words around it do not share."""
    words = [None if not p.code and p.text.isspace() else p for p in pieces]
    following: list[Span] = []
    after = PLAIN
    for word in reversed(words):
        after = word or after
        following.append(after)
    following.reverse()
    before = PLAIN
    styled: list[Span] = []
    for piece, word, after in zip(pieces, words, following, strict=True):
        if word is not None:
            before = word
            styled.append(piece)
            continue
        styled.append(
            Span(
                piece.text,
                bold=(piece.bold or shared) and before.bold and after.bold,
                italic=(piece.italic or shared) and before.italic and after.italic,
                strike=(piece.strike or shared) and before.strike and after.strike,
                link=piece.link if before.link == piece.link == after.link else "",
            )
        )
    return styled


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for style, group in groupby(spans, key=lambda span: replace(span, text="")):
        content = "".join(span.text for span in group)
        if "\n" in content and not style.code:
            content = re.sub(r"[^\S\n]*\n[^\S\n]*", "\n", content)
        if content:
            joined.append(replace(style, text=content))
    return joined

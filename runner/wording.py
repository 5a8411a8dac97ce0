"""The words of a text that was edited where it looks different from how it was written. Pure.

A platform that keeps rich text gives Markdown back in words of its own: lines are no longer
wrapped, a table has become plain text. Whoever edits one paragraph there means that paragraph
only, so the others keep the words that they had, and a reviewer sees what was edited.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconcilers._contract import Profile
    from schemas.domain import Binding

TEXT = "description"

Canonical = Callable[[str], str]

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_BULLET = re.compile(r"^(\s*)([-*+])(?=\s)")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s")


def in_own_words(binding: Binding, profile: Profile) -> Binding:
    """Return the binding with an edited text in the words of base, but for what was edited."""
    ours, told = binding.base.get(TEXT), binding.drift.get(TEXT)
    if not isinstance(ours, str) or not isinstance(told, str) or not ours or not told:
        return binding

    def canonical(text: str) -> str:
        return str(profile.canonical(TEXT, text) or "")

    shown = binding.echo.get(TEXT)
    text = reworded(ours, shown if isinstance(shown, str) else ours, told, canonical)
    return replace(binding, drift={**binding.drift, TEXT: text})


def reworded(ours: str, shown: str, told: str, canonical: Canonical) -> str:
    """Return what `told` says, in the words of `ours` wherever it says the same.

    Args:
        ours: the text as it was written.
        shown: how the platform showed that.
        told: how the platform shows it now.
        canonical: the form in which two texts that say the same are the same.
    """
    pieces = [*_pieces(told)]
    chunks = _chunks([*_pieces(shown)], [*_pieces(ours)], canonical)
    places = _matches(
        [piece.form(canonical) for chunk in chunks for piece in chunk.shown],
        [piece.form(canonical) for piece in pieces],
    )
    pieces = [*_bulleted(pieces, chunks, places)]
    # A piece by itself may mean something else than in its place, so the whole is looked at.
    faithful = _woven(pieces, chunks, places, lambda chunk: chunk.faithful)
    if canonical(faithful) != canonical(told):
        return told
    text = _woven(pieces, chunks, places, lambda _: True)
    return text.rstrip() + ours[len(ours.rstrip()) :]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A paragraph, an item of a list, a block of code; `gap` is what stands before it."""

    gap: str
    text: str

    def form(self, canonical: Canonical) -> str:
        return canonical(self.text)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Pieces of our own and how they are shown; `faithful` where that says the same."""

    shown: Sequence[_Piece]
    ours: Sequence[_Piece]
    faithful: bool


def _pieces(text: str) -> Iterator[_Piece]:
    """Yield the pieces of a text: with their gaps, they are all of it but its end."""
    gap, lines, fence = "", list[str](), ""
    for line in text.rstrip().split("\n"):
        mark = _FENCE.match(line)
        if not fence and (not line.strip() or (lines and _ITEM.match(line))):
            if lines:
                yield _Piece(gap, "\n".join(lines))
                gap, lines = "\n", []
            if not line.strip():
                gap += f"{line}\n"
                continue
        lines.append(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and fence and line.strip().startswith(fence):
            yield _Piece(gap, "\n".join(lines))
            gap, lines, fence = "\n", [], ""
    if lines:
        yield _Piece(gap, "\n".join(lines))


def _chunks(shown: Sequence[_Piece], ours: Sequence[_Piece], canonical: Canonical) -> list[_Chunk]:
    """Return which pieces of ours are shown as which."""
    matcher = SequenceMatcher(
        None, [p.form(canonical) for p in shown], [p.form(canonical) for p in ours], autojunk=False
    )
    chunks: list[_Chunk] = []
    for what, a, b, c, d in matcher.get_opcodes():
        if b - a == d - c:
            pairs = zip(shown[a:b], ours[c:d], strict=True)
            chunks += [_Chunk([there], [here], what == "equal") for there, here in pairs]
        elif a == b and chunks:
            # What is not shown at all stays with what stands before it.
            before = chunks.pop()
            chunks.append(_Chunk(before.shown, [*before.ours, *ours[c:d]], False))
        else:
            chunks.append(_Chunk(shown[a:b], ours[c:d], False))
    return chunks


def _matches(shown: Sequence[str], told: Sequence[str]) -> dict[int, int]:
    """Return, by place in what is told, the place at which the same was shown."""
    matcher = SequenceMatcher(None, shown, told, autojunk=False)
    return {
        block.b + i: block.a + i
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
    }


def _bulleted(
    pieces: Sequence[_Piece], chunks: Sequence[_Chunk], places: Mapping[int, int]
) -> Iterator[_Piece]:
    """Yield the pieces with the bullets of their lists: another one would begin another list."""
    ours = [chunk.ours[0].text if chunk.ours else "" for chunk in chunks for _ in chunk.shown]
    lists: list[int] = []
    for number, piece in enumerate(pieces):
        item, before = _BULLET.match(piece.text), _BULLET.match(pieces[number - 1].text)
        lists.append(lists[-1] if number and item and before else number)
    bullets = {lists[j]: found[2] for j, i in places.items() if (found := _BULLET.match(ours[i]))}
    for number, piece in enumerate(pieces):
        bullet = bullets.get(lists[number])
        mark = rf"\g<1>{bullet}"
        yield replace(piece, text=_BULLET.sub(mark, piece.text)) if bullet else piece


def _woven(
    pieces: Sequence[_Piece],
    chunks: Sequence[_Chunk],
    places: Mapping[int, int],
    kept: Callable[[_Chunk], bool],
) -> str:
    """Return the pieces as one text, with those chunks of our own that are `kept` and unchanged."""
    begins: dict[int, _Chunk] = {}
    at = 0
    for chunk in chunks:
        if chunk.shown:
            begins[at] = chunk
        at += len(chunk.shown)
    woven = [p.gap + p.text for c in chunks[:1] if not c.shown and kept(c) for p in c.ours]
    j = follows = 0
    while j < len(pieces):
        piece, start = pieces[j], places.get(j, -1)
        chunk = begins.get(start)
        size = len(chunk.shown) if chunk else 0
        if chunk and kept(chunk) and all(places.get(j + k) == start + k for k in range(size)):
            # Between two that stood together before, the gap is ours as well.
            gaps = [p.gap if i or start == follows else piece.gap for i, p in enumerate(chunk.ours)]
            woven += [gap + p.text for gap, p in zip(gaps, chunk.ours, strict=True)]
            j, follows = j + size, start + size
        else:
            woven.append(piece.gap + piece.text)
            j, follows = j + 1, -1
    return "".join(woven).lstrip("\n")

"""The lines of a YAML text: which belong to a part of a mapping or list, and how to change them.

A part owns the comments directly above it, those on its lines, and those below it that stand
further in. Empty lines belong to nobody; a part that is taken out takes one of its gaps along.
The text must end with a line end.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from runner.language.emit import column_of

_COMMENT = re.compile(r"[ \t]*#")


class Edit(NamedTuple):
    """Text to be put in place of what is from `start` to `end`."""

    start: int
    end: int
    text: str = ""


class Overlap(Exception):
    """Two edits are about the same text."""


class Span(NamedTuple):
    """A part of a mapping or list: from its key or dash to the end of its value."""

    start: int
    end: int


def apply(text: str, edits: Sequence[Edit], start: int = 0, end: int | None = None) -> str:
    """Return the text from `start` to `end` with edits.

    Raises:
        Overlap: two of them are about the same text.
    """
    end = len(text) if end is None else end
    merged: list[Edit] = []
    for edit in sorted(edits, key=lambda item: item[:2]):
        last = merged[-1] if merged else None
        if last is not None and edit.start < last.end:
            if edit.text or last.text:
                raise Overlap
            merged[-1] = Edit(last.start, max(last.end, edit.end))
        else:
            merged.append(edit)
    parts: list[str] = []
    index = start
    for edit in merged:
        parts += [text[index : edit.start], edit.text]
        index = edit.end
    parts.append(text[index:end])
    return "".join(parts)


def line_end(text: str, index: int) -> int:
    """Return where the line that holds an index ends, before its line end."""
    end = text.find("\n", index)
    end = len(text) if end < 0 else end
    return end - 1 if text[end - 1 : end] == "\r" else end


def next_line(text: str, index: int) -> int:
    """Return where the line after the one that holds an index begins."""
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def comments_above(text: str, line: int, floor: int, column: int) -> int:
    """Return where the comments begin that stand directly above a line.

    Those further in than `column` belong to what is above them; `floor` is not passed.
    """
    while line > floor:
        above = text.rfind("\n", 0, line - 1) + 1
        found = _COMMENT.match(text, above, line)
        if above < floor or found is None or found.end() - 1 - above > column:
            break
        line = above
    return line


class Lines:
    """The parts of a mapping or list that stand on lines of their own."""

    def __init__(
        self, text: str, newline: str, spans: Sequence[Span], column: int, floor: int
    ) -> None:
        self.text = text
        self.newline = newline
        self.spans = spans
        self.column = column
        self.floor = floor
        self._ends: dict[int, int] = {}

    def extent(self, at: int) -> tuple[int, int]:
        """Return where a part begins and ends, with the comments that belong to it."""
        return self._start(at), self._end(at)

    def _start(self, at: int) -> int:
        start = self.spans[at].start
        line = self.text.rfind("\n", 0, start) + 1
        if self.text[line:start].strip() or line < self.floor:
            return start
        floor = self._end(at - 1) if at else self.floor
        return comments_above(self.text, line, floor, self.column)

    def _end(self, at: int) -> int:
        if at not in self._ends:
            self._ends[at] = self._find_end(at)
        return self._ends[at]

    def _find_end(self, at: int) -> int:
        """Return where the line begins that follows a part and its comments further in."""
        limit = len(self.text)
        if at + 1 < len(self.spans):
            limit = self.text.rfind("\n", 0, self.spans[at + 1].start) + 1
        end = line = next_line(self.text, max(self.spans[at].start, self.spans[at].end - 1))
        while line < limit:
            following = next_line(self.text, line)
            found = _COMMENT.match(self.text, line, following)
            if found is not None and found.end() - 1 - line > self.column:
                end = following
            elif self.text[line:following].strip():
                break
            line = following
        return end

    def edits(
        self, kept: Collection[int], added: Mapping[int, Sequence[str]], *, spread: bool
    ) -> Iterator[Edit]:
        """Yield the edits that take out what is not kept, and put in what is new.

        Args:
            kept: which parts stay; at least one.
            added: by the part that stays in front of it, or -1, lines with their line ends.
            spread: set what is added apart by empty lines where the others are.
        """
        yield from (self._removal(at, kept) for at in range(len(self.spans)) if at not in kept)
        for after, texts in added.items():
            if after < 0:
                yield self._in_front(min(kept), texts, spread=spread)
                continue
            end = self._end(after)
            blank = self.newline if spread and self._is_spread(after) else ""
            body = "".join(blank + text for text in texts)
            yield Edit(end, end, body)

    def _in_front(self, first: int, texts: Sequence[str], *, spread: bool) -> Edit:
        start = self._start(first)
        blank = self.newline if spread and len(self.spans) > 1 and self._blank_before(1) else ""
        body = "".join(text + blank for text in texts)
        if self.text[self.text.rfind("\n", 0, start) + 1 : start].strip() or (
            start == self.spans[first].start and column_of(self.text, start)
        ):
            body = body.lstrip(" ") + " " * self.column
        return Edit(start, start, body)

    def _is_spread(self, at: int) -> bool:
        """Return whether parts are set apart by empty lines around here."""
        return self._blank_before(at) if at else len(self.spans) > 1 and self._blank_before(1)

    def _blank_before(self, at: int) -> bool:
        """Return whether there are only empty lines between a part and the one before."""
        start = self._start(at)
        return self._blank_above(start) == self._end(at - 1) < start

    def _removal(self, at: int, kept: Collection[int]) -> Edit:
        """Return the edit that takes out a part, and one of the gaps around it."""
        start, end = self.extent(at)
        line = self.text.rfind("\n", 0, start) + 1
        if self.text[line:start].strip():
            following = self.spans[at + 1].start if at + 1 < len(self.spans) else end
            return Edit(start, following)
        above, below = self._blank_above(start), self._blank_below(end)
        if at > min(kept) and (below > end or at > max(kept) or end == len(self.text)):
            start = above
        elif at < min(kept):
            end = below
        return Edit(start, end)

    def _blank_above(self, start: int) -> int:
        """Return where the empty lines above a line begin."""
        while start > self.floor:
            above = self.text.rfind("\n", 0, start - 1) + 1
            if self.text[above:start].strip() or above < self.floor:
                break
            start = above
        return start

    def _blank_below(self, end: int) -> int:
        while end < len(self.text):
            following = next_line(self.text, end)
            if self.text[end:following].strip():
                break
            end = following
        return end

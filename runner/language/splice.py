"""The least edits of a YAML text that make it hold other values.

Tree + models ──compare──> edits at the marks of what differs ──apply──> text

Everything that is not concerned keeps its bytes. What moves takes its text along, with the
comments that belong to it: those directly above, on its lines, and below it where they stand
further in. What an alias stands for is never changed through the alias, nor the other way round.
Nothing here vouches for the result: the caller reads it again and compares.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import NamedTuple

from runner.language.emit import WIDTH, Style, column_of, flow, scalar, style_of
from runner.language.lines import Edit, Lines, Span, apply, comments_above, line_end
from runner.language.tree import Model, Node, Origins, Pair, Tree, model_of, same, skip_space

_ALONE = re.compile(r"[ \t]*,?[ \t]*(?:#[^\n]*)?\r?\n")


class Place(NamedTuple):
    """Where a value stands.

    Attributes:
        name: the key, or an empty string in a list.
        column: of the key or dash.
        behind: the index behind the colon or dash.
        flow: whether it is in brackets.
    """

    name: str
    column: int
    behind: int
    flow: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of a mapping's key came from, in a text that may be another one."""

    splicer: Splicer
    pair: Pair
    holder: Node


@dataclass(slots=True)
class Splicer:
    """Finds the edits of one file.

    Attributes:
        tree: the file.
        origins: tells which of its nodes a mapping or list of a model was made from.
        find: tells where a value came from, in whatever file.
    """

    tree: Tree
    origins: Origins
    find: Callable[[Model], Origin | None]
    edits: list[Edit] = field(default_factory=list[Edit])
    style: Style = field(init=False)
    text: str = field(init=False)
    _intact: set[Node] = field(default_factory=set[Node])
    _open: set[Node] = field(default_factory=set[Node])
    _moving: bool = False

    def __post_init__(self) -> None:
        self.style = style_of(self.tree)
        self.text = self.tree.source.text

    def document(self, root: Node, model: Model) -> None:
        """Find the edits of one document."""
        self._value(root, model, Place("", 0, root.start, root.flow))

    def result(self) -> str:
        """Return the text with all edits.

        Raises:
            Overlap: two of them are about the same text.
        """
        self._keep_shared()
        return apply(self.text, self.edits)

    # Values

    def _value(self, node: Node, model: Model, place: Place) -> None:
        if same(node, model):
            if not self._moving:
                self._mark(node)
                return
            if not self.tree.anchors:
                return
            if node.target is not None:
                self.edits.append(Edit(node.start, node.end, flow(model, self.style)))
                return
        elif node.anchor and not self._moving:
            self._open.add(node)
        if node.kind == "map" and isinstance(model, dict) and node.pairs and model:
            self._mapping(node, model, place)
        elif node.kind == "seq" and isinstance(model, list) and node.items and model:
            self._sequence(node, model, place)
        elif not same(node, model):
            self._whole(node, model, place)
            return
        if self._moving and node.anchor:
            self._strip(node)

    def _mark(self, node: Node) -> None:
        """Note that nothing changes in a node, for those that share its value."""
        if self.tree.anchors:
            pending = [node]
            while pending:
                found = pending.pop()
                self._intact.add(found)
                pending.extend(found.children())

    def _whole(self, node: Node, model: Model, place: Place) -> None:
        """Put another value in place of a whole node."""
        if not isinstance(model, list | dict) and (place.flow or "\n" not in str(model)):
            self._inline(node, scalar(model, self.style, flow=place.flow, like=node), place)
            return
        if place.flow:
            self._inline(node, flow(model, self.style), place)
            return
        after = self.style.after(place.name, model, place.column)
        if isinstance(model, dict) and _carries(model, self.find):
            inner = place.column + self.style.step
            parts = [lines_of(*item, inner, self.style, self.find) for item in model.items()]
            after = "\n" + "".join(parts).replace("\r\n", "\n").removesuffix("\n")
        head, found, rest = after.partition("\n")
        if not found:
            self._inline(node, head[1:], place)
            return
        rest = (found + rest).replace("\n", self.style.newline)
        if node.style in {"|", ">"} and head:
            self.edits.append(Edit(self._begin(node), node.end, head[1:] + rest))
        elif node.block:
            self._open.discard(node)
            self.edits.append(Edit(place.behind, node.end, head + rest))
        else:
            # A comment behind the old value stays where it is, on the line of the key.
            end = line_end(self.text, node.end)
            if head:
                self._inline(node, head[1:], place)
            else:
                self._open.discard(node)
                self.edits.append(Edit(place.behind, node.end))
            self.edits.append(Edit(end, end, rest))

    def _begin(self, node: Node) -> int:
        """Return from where a node is replaced: its anchor stays, unless it moves."""
        if self._moving or node.tagged:
            self._open.discard(node)
            return node.start
        return node.body

    def _inline(self, node: Node, written: str, place: Place) -> None:
        """Put text without line ends in place of a node."""
        if node.block:
            self._open.discard(node)
            behind = line_end(self.text, place.behind)
            comment = "" if node.anchor or node.tagged else self.text[place.behind : behind]
            self.edits.append(Edit(place.behind, node.end, f" {written}{comment.rstrip()}"))
        elif node.start == node.end:
            self.edits.append(Edit(node.start, node.start, f" {written}"))
        else:
            start = self._begin(node)
            space = " " if start == node.end else ""
            self.edits.append(Edit(start, node.end, space + written))

    # Mappings and lists

    def _mapping(self, node: Node, model: dict[str, Model], place: Place) -> None:
        kept, added = self._match(node, model)
        if not kept:
            self._whole(node, model, place)
            return
        before = len(self.edits)
        column = column_of(self.text, node.pairs[0].key.start)
        for index, name in kept.items():
            pair = node.pairs[index]
            if pair.name != name:
                written = scalar(name, self.style, flow=node.flow, like=pair.key)
                self.edits.append(Edit(pair.key.start, pair.key.end, written))
            behind = self.text.find(":", pair.key.end) + 1
            self._value(pair.value, model[name], Place(name, column, behind, node.flow))
        spans = [Span(pair.key.start, pair.end) for pair in node.pairs]
        if not node.flow:
            lines = {
                at: [self._entry(name, model[name], node, column) for name in names]
                for at, names in added.items()
            }
            apart = any(isinstance(model[name], dict) for names in added.values() for name in names)
            self._lines(spans, column, place, kept, lines, spread=apart)
            return
        texts = {
            at: [self._flow_entry(name, model[name]) for name in names]
            for at, names in added.items()
        }
        self._brackets(spans, kept, texts)
        if not place.flow and self._outgrown(node, model, before, added):
            del self.edits[before:]
            self._whole(node, model, place)

    def _outgrown(
        self, node: Node, model: dict[str, Model], before: int, added: Mapping[int, list[str]]
    ) -> bool:
        """Return whether a mapping in brackets had better be put on lines of its own."""
        was = self.text[node.start : node.end]
        values = {pair.name: pair.value for pair in node.pairs}
        if "\n" in was or any(value.anchor for value in values.values()):
            return False
        fresh = [
            part
            for name, part in model.items()
            if name not in values or not same(values[name], part)
        ]
        now = apply(self.text, self.edits[before:], node.start, node.end)
        many_lines = any(isinstance(part, str) and "\n" in part for part in fresh)
        nested = any("tasks" in names for names in added.values())
        column = column_of(self.text, node.start)
        too_wide = bool(added) and column + len(now) > max(WIDTH, column + len(was))
        return many_lines or nested or too_wide

    def _match(
        self, node: Node, model: dict[str, Model]
    ) -> tuple[dict[int, str], dict[int, list[str]]]:
        """Return which pairs stay, with their names, and behind which of them (or -1) what is new.

        A pair stays if what it holds is still here, whatever its key, and in the same order.
        """
        index = {pair.name: i for i, pair in enumerate(node.pairs)}
        places = {pair.value: i for i, pair in enumerate(node.pairs)}
        found: dict[str, int] = {}
        for name, value in model.items():
            origin = self.origins.node(value)
            at = places.get(origin) if origin is not None else None
            if at is None and (origin is None or self.find(value) is None):
                at = index.get(name)
            if at is not None and at not in found.values():
                found[name] = at
        stays = set(_increasing(list(found.values())))
        kept = {at: name for name, at in found.items() if at in stays}
        added: dict[int, list[str]] = {}
        last = -1
        for name in model:
            if found.get(name, -1) in stays:
                last = found[name]
            else:
                added.setdefault(last, []).append(name)
        return kept, added

    def _entry(self, name: str, value: Model, holder: Node, column: int) -> str:
        """Return the lines of a pair that is new in a mapping."""
        siblings = [pair.value for pair in holder.pairs if pair.value.kind == "map"]
        inline = bool(siblings) and siblings[-1].flow and isinstance(value, dict)
        return lines_of(name, value, column, self.style, self.find, inline=inline)

    def _flow_entry(self, name: str, value: Model) -> str:
        return f"{scalar(name, self.style, flow=True)}: {flow(value, self.style)}"

    def _sequence(self, node: Node, model: list[Model], place: Place) -> None:
        kept, added, values = _match_items(node, model)
        if not kept:
            self._whole(node, model, place)
            return
        if node.flow:
            for at, value in values.items():
                self._value(node.items[at], value, Place("", 0, node.items[at].start, flow=True))
            texts = {
                at: [flow(value, self.style) for value in items] for at, items in added.items()
            }
            self._brackets([Span(item.start, item.end) for item in node.items], kept, texts)
            return
        spans = list(self._dashes(node))
        column = column_of(self.text, spans[0].start)
        for at, value in values.items():
            behind = spans[at].start + 1
            self._value(node.items[at], value, Place("", column, behind, flow=False))
        lines = {at: [self._item(value, column) for value in items] for at, items in added.items()}
        self._lines(spans, column, place, kept, lines, spread=False)

    def _item(self, value: Model, column: int) -> str:
        written = self.style.item(value, column).replace("\n", self.style.newline)
        return written + self.style.newline

    def _dashes(self, node: Node) -> Iterator[Span]:
        """Yield where the items of a list stand, with their dashes."""
        index = node.body
        for item in node.items:
            start = skip_space(self.text, index)
            index = max(item.end, start + 1)
            yield Span(start, index)

    def _lines(
        self,
        spans: Sequence[Span],
        column: int,
        place: Place,
        kept: Collection[int],
        added: Mapping[int, Sequence[str]],
        *,
        spread: bool,
    ) -> None:
        lines = Lines(self.text, self.style.newline, spans, column, place.behind)
        self.edits.extend(lines.edits(kept, added, spread=spread))

    # In brackets

    def _brackets(
        self, spans: Sequence[Span], kept: Collection[int], added: Mapping[int, Sequence[str]]
    ) -> None:
        """Take parts out of brackets, and put others in."""
        gap = self.text[spans[0].end : spans[1].start] if len(spans) > 1 else ", "
        gap = gap if gap.strip() == "," else ", "
        at = 0
        while at < len(spans):
            if at in kept:
                at += 1
                continue
            first = at
            while at < len(spans) and at not in kept:
                at += 1
            self.edits.append(self._out_of_brackets(spans, first, at))
        head = spans[min(kept)].start
        for after, texts in added.items():
            if after < 0:
                self.edits.append(Edit(head, head, "".join(text + gap for text in texts)))
            else:
                end = spans[after].end
                self.edits.append(Edit(end, end, "".join(gap + text for text in texts)))

    def _out_of_brackets(self, spans: Sequence[Span], first: int, behind: int) -> Edit:
        """Return the edit that takes out the parts from `first` up to `behind`."""
        text = self.text
        start, end = spans[first].start, spans[behind - 1].end
        following = spans[behind].start if behind < len(spans) else None
        before = spans[first - 1].end if first else start
        if "#" in text[before:start] + text[end : following or end]:
            line = text.rfind("\n", 0, start) + 1
            alone = _ALONE.match(text, end)
            if not text[line:start].strip() and alone:
                line = comments_above(text, line, before, column_of(text, start))
                return Edit(line, alone.end())
        return Edit(start, following) if following is not None else Edit(before, end)

    # What moves

    def carried(self, origin: Origin, name: str, model: Model, column: int, style: Style) -> str:
        """Return the lines of a pair, changed and indented for another place."""
        pair, holder = origin.pair, origin.holder
        outer, was_moving = self.edits, self._moving
        self.edits, self._moving = [], True
        at = column_of(self.text, holder.pairs[0].key.start)
        if pair.name != name:
            written = scalar(name, self.style, like=pair.key)
            self.edits.append(Edit(pair.key.start, pair.key.end, written))
        behind = self.text.find(":", pair.key.end) + 1
        self._value(pair.value, model, Place(name, at, behind, flow=False))
        edits, self.edits, self._moving = self.edits, outer, was_moving
        if holder.flow:
            body = apply(self.text, edits, pair.key.start, pair.end)
            return f"{' ' * column}{body}{style.newline}"
        spans = [Span(item.key.start, item.end) for item in holder.pairs]
        start, end = Lines(self.text, style.newline, spans, at, 0).extent(holder.pairs.index(pair))
        inside = [edit for edit in edits if start <= edit.start and edit.end <= end]
        body = apply(self.text, inside, start, end).replace("\r\n", "\n").removesuffix("\n")
        lines = [_shift(line, column - at) for line in body.split("\n")]
        return "".join(line + style.newline for line in lines)

    def _keep_shared(self) -> None:
        """Let aliases whose anchor changes stand for what they stood for before."""
        for node in self.tree.anchors:
            if node in self._intact:
                continue
            rest = [item for item in self.tree.aliases if item.target is node]
            first = next((item for item in rest if item in self._intact), None)
            if first is None:
                continue
            value = flow(model_of(node), self.style)
            self.edits.append(Edit(first.start, first.end, f"&{node.anchor} {value}"))
            if node in self._open:
                self._strip(node)

    def _strip(self, node: Node) -> None:
        """Take the anchor off a node."""
        found = re.compile(rf"&{re.escape(node.anchor)}[ \t]*").search(self.text, node.start)
        if found is not None:
            start, end = found.span()
            if self.text[end : end + 1] in {"\n", "\r", ""} and self.text[start - 1] == " ":
                start -= 1
            self.edits.append(Edit(start, end))


def lines_of(
    name: str,
    value: Model,
    column: int,
    style: Style,
    find: Callable[[Model], Origin | None],
    *,
    inline: bool = False,
) -> str:
    """Return the lines of a pair that is new in a block mapping.

    What stood elsewhere before takes its text along.
    """
    origin = find(value)
    if origin is not None:
        return origin.splicer.carried(origin, name, value, column, style)
    if isinstance(value, dict) and _carries(value, find):
        inner = column + style.step
        parts = [lines_of(key, part, inner, style, find) for key, part in value.items()]
        return f"{' ' * column}{scalar(name, style)}:{style.newline}{''.join(parts)}"
    return style.entry(name, value, column, inline=inline)


def _carries(value: Model, find: Callable[[Model], Origin | None]) -> bool:
    """Return whether tasks in a new mapping stood elsewhere before."""
    return isinstance(value, dict) and any(
        isinstance(part, dict) and (find(part) is not None or _carries(part, find))
        for part in value.values()
    )


def _shift(line: str, columns: int) -> str:
    """Return a line moved to the right, or as far as possible to the left."""
    if columns >= 0:
        return " " * columns + line if line.strip() else line
    return line[min(-columns, len(line) - len(line.lstrip(" "))) :]


def _increasing(numbers: Sequence[int]) -> list[int]:
    """Return a longest part of `numbers` that increases."""
    if all(a < b for a, b in itertools.pairwise(numbers)):
        return list(numbers)
    tails: list[int] = []
    chains: list[list[int]] = []
    for number in numbers:
        at = bisect_left(tails, number)
        chain = [*(chains[at - 1] if at else ()), number]
        tails[at : at + 1] = [number]
        chains[at : at + 1] = [chain]
    return chains[-1]


def _match_items(
    node: Node, model: list[Model]
) -> tuple[dict[int, str], dict[int, list[Model]], dict[int, Model]]:
    """Return which items stay, behind which of them (or -1) what is new, and all new values."""
    old = [flow(model_of(item), Style()) for item in node.items]
    new = [flow(value, Style()) for value in model]
    kept: dict[int, str] = {}
    added: dict[int, list[Model]] = {}
    values: dict[int, Model] = {}
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        pairs = min(b - a, d - c) if tag in {"equal", "replace"} else 0
        for i in range(pairs):
            kept[a + i] = ""
            values[a + i] = model[c + i]
        if d - c > pairs:
            added.setdefault(max(kept, default=-1), []).extend(model[c + pairs : d])
    return kept, added, values

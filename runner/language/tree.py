"""A YAML file as nodes that know where they are in its text, for those who edit it.

text ──parse──> values ─┐
     ──events─> nodes  ─┴──> Tree ──models──> plain values to be changed, each with its origin

Only text that `parse` finds no fault with becomes a tree, so that an editor meets no surprises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from runner.language.parse import Plain, Text, parse
from schemas.domain import Diagnostic

if TYPE_CHECKING:
    import yaml

Model: TypeAlias = "str | int | float | bool | list[Model] | dict[str, Model] | None"
NodeKind: TypeAlias = Literal["scalar", "map", "seq", "alias"]


@dataclass(slots=True, eq=False)
class Node:
    """One value in the text.

    Attributes:
        start: where it begins, with its anchor and tag.
        body: where it begins without them.
        end: behind its last character; white space and comments after it do not count.
        flow: whether it is in brackets.
        style: of a scalar: an empty string, a quote, `|` or `>`.
        anchor: the name after `&` or `*`, or an empty string.
        tagged: whether it has a tag.
        value: of a scalar.
        pairs: of a mapping.
        items: of a list.
        target: what an alias stands for.
    """

    kind: NodeKind
    start: int
    body: int
    end: int
    flow: bool = False
    style: str = ""
    anchor: str = ""
    tagged: bool = False
    value: str | int | float | bool | None = None
    pairs: Sequence[Pair] = ()
    items: Sequence[Node] = ()
    target: Node | None = None

    @property
    def block(self) -> bool:
        """Whether it is a mapping or a list on lines of its own."""
        return self.kind in {"map", "seq"} and not self.flow

    def children(self) -> Sequence[Node]:
        """Return the values of a mapping or a list."""
        return [pair.value for pair in self.pairs] if self.pairs else self.items


@dataclass(slots=True, eq=False)
class Pair:
    """A key of a mapping and its value."""

    key: Node
    value: Node
    name: str

    @property
    def end(self) -> int:
        """Where it ends; an empty value ends behind the colon."""
        return max(self.key.end, self.value.end)


@dataclass(frozen=True, slots=True)
class Tree:
    """A file for editing.

    Attributes:
        source: its name and text.
        roots: one node for each document.
        starts: where each document begins, with its `---`.
        anchors: all nodes that have one, in the order of the text.
        aliases: likewise.
    """

    source: Text
    roots: tuple[Node, ...]
    starts: tuple[int, ...]
    anchors: tuple[Node, ...]
    aliases: tuple[Node, ...]


def read_tree(source: Text) -> Tree | tuple[Diagnostic, ...]:
    """Return the nodes of a file, or what is wrong with its YAML."""
    parsed = parse(source)
    if parsed.problems:
        return parsed.problems
    tree = _Builder(source).build()
    for root, value in zip(tree.roots, parsed.documents, strict=True):
        _give(root, value)
    return tree


@dataclass(slots=True)
class Origins:
    """Tells which node a mapping or list was made from, as long as it is the same object."""

    _nodes: dict[int, tuple[Node, Model]] = field(default_factory=dict[int, "tuple[Node, Model]"])

    def add(self, model: Model, node: Node) -> None:
        """Note what a mapping or list was made from; it is kept alive, so that its id stays."""
        self._nodes[id(model)] = node, model

    def node(self, model: Model) -> Node | None:
        """Return what a value was made from; `None` for scalars and whatever is new."""
        found = self._nodes.get(id(model)) if isinstance(model, dict | list) else None
        return found[0] if found is not None else None


def model_of(node: Node, origins: Origins | None = None) -> Model:
    """Return a node's value for changing.

    Nothing in it is shared: what an alias stands for is copied. `origins` learns of every mapping
    and list, of an alias the outermost only.
    """
    target, inner = (node.target, None) if node.target is not None else (node, origins)
    model: Model = target.value
    if target.kind == "map":
        model = {pair.name: model_of(pair.value, inner) for pair in target.pairs}
    elif target.kind == "seq":
        model = [model_of(item, inner) for item in target.items]
    if origins is not None and isinstance(model, dict | list):
        origins.add(model, node)
    return model


def same(node: Node, model: Model) -> bool:
    """Return whether a node's value is `model`, its keys in the same order."""
    target = node.target or node
    if target.kind == "map":
        return (
            isinstance(model, dict)
            and [pair.name for pair in target.pairs] == list(model)
            and all(same(pair.value, model[pair.name]) for pair in target.pairs)
        )
    if target.kind == "seq":
        return (
            isinstance(model, list)
            and len(model) == len(target.items)
            and all(same(item, value) for item, value in zip(target.items, model, strict=True))
        )
    return type(model) is type(target.value) and model == target.value


def _give(node: Node, value: Plain) -> None:
    """Give every scalar below a node its value."""
    if isinstance(value, dict) and node.kind == "map":
        for pair in node.pairs:
            _give(pair.value, value[pair.name])
    elif isinstance(value, list) and node.kind == "seq":
        for item, part in zip(node.items, value, strict=True):
            _give(item, part)
    elif node.kind == "scalar":
        node.value = cast("str | int | float | bool | None", value)


class _Builder:
    """Builds the nodes of one file from libyaml's events."""

    def __init__(self, source: Text) -> None:
        self.source = source
        self.text = source.text
        self.named: dict[str, Node] = {}
        self.anchors: list[Node] = []
        self.aliases: list[Node] = []

    def build(self) -> Tree:
        """Return the tree of a text that is known to be sound."""
        import yaml
        from yaml import events

        roots: list[Node] = []
        starts: list[int] = []
        open_nodes: list[_Open] = []
        get = cast("Callable[[], yaml.Event]", yaml.CSafeLoader(self.text).get_event)
        while not isinstance(event := get(), events.StreamEndEvent):
            if isinstance(event, events.NodeEvent):
                node = self._node(event)
                if open_nodes:
                    open_nodes[-1].take(node)
                else:
                    roots.append(node)
                if isinstance(event, events.CollectionStartEvent):
                    open_nodes.append(_Open(node))
            elif isinstance(event, events.CollectionEndEvent):
                open_nodes.pop().close(_extent(event)[1])
            elif isinstance(event, events.DocumentStartEvent):
                starts.append(_extent(event)[0])
        return Tree(
            self.source, tuple(roots), tuple(starts), tuple(self.anchors), tuple(self.aliases)
        )

    def _node(self, event: yaml.NodeEvent) -> Node:
        from yaml import events

        start, end = _extent(event)
        name = event.anchor or ""
        if isinstance(event, events.AliasEvent):
            node = Node("alias", start, start, end, anchor=name, target=self.named[name])
            self.aliases.append(node)
            return node
        if isinstance(event, events.ScalarEvent):
            node = Node("scalar", start, start, end, style=event.style or "")
            node.value = event.value
            if node.style in {"|", ">"}:
                node.end = self._end_of_block(node)
        else:
            kind = "map" if isinstance(event, events.MappingStartEvent) else "seq"
            flow = bool(cast("events.CollectionStartEvent", event).flow_style)
            node = Node(kind, start, start, end, flow)
        node.tagged = cast("yaml.ScalarEvent", event).tag is not None
        if name or node.tagged:
            within = node.end if node.kind == "scalar" else len(self.text)
            node.body = self._behind_properties(start, within)
        if name:
            node.anchor = name
            self.named[name] = node
            self.anchors.append(node)
        return node

    def _behind_properties(self, index: int, end: int) -> int:
        """Return where a value that ends at `end` begins behind its anchor and tag."""
        behind = index
        while self.text[index : index + 1] in {"&", "!"}:
            while index < len(self.text) and not self.text[index].isspace():
                index += 1
            behind, index = index, skip_space(self.text, index)
        return index if index < end else behind

    def _end_of_block(self, node: Node) -> int:
        """Return where a literal or folded scalar ends: before the line end of its last line."""
        content = self.text[node.start : node.end]
        header = content.split("\n", 1)[0].split("#", 1)[0]
        kept = content.rstrip(" ") if "+" in header else content.rstrip()
        kept = kept.removesuffix("\n").removesuffix("\r")
        return node.start + len(kept)


class _Open:
    """A mapping or list whose end has not been seen yet."""

    __slots__ = ("items", "key", "node", "pairs")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.key: Node | None = None
        self.pairs: list[Pair] = []
        self.items: list[Node] = []

    def take(self, node: Node) -> None:
        """Take the next of what it holds."""
        if self.node.kind == "seq":
            self.items.append(node)
        elif self.key is None:
            self.key = node
        else:
            self.pairs.append(Pair(self.key, node, str(self.key.value)))
            self.key = None

    def close(self, end: int) -> None:
        """Note that this is all; one on lines of its own ends where its last part does."""
        self.node.pairs, self.node.items = self.pairs, self.items
        if not self.node.flow:
            end = self.pairs[-1].end if self.pairs else self.items[-1].end
        self.node.end = end


def skip_space(text: str, index: int) -> int:
    """Return where something comes behind white space and comments."""
    while index < len(text):
        if text[index] == "#":
            index = text.find("\n", index)
            if index < 0:
                return len(text)
        elif not text[index].isspace():
            return index
        index += 1
    return index


def _extent(event: yaml.Event) -> tuple[int, int]:
    start, end = event.start_mark, event.end_mark
    return start.index if start else 0, end.index if end else 0

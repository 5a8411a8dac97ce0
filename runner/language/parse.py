"""YAML text to plain values, with every problem and its position.

text ──events──> documents (dict, list, str, int, float, bool, None) + problems
text ──events──> spots ──> the position of any path, only when a diagnostic needs one

libyaml's events are flat, so nesting can be bounded before anything recurses, aliases can be
counted before they are expanded, and no Python object is ever made from a tag. Scalars follow the
YAML 1.2 core schema; those that YAML 1.1 reads differently (`yes`, `010`, `1:30`) are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

from schemas.domain import Diagnostic, Source
from schemas.values import shorten

if TYPE_CHECKING:
    import yaml

MAX_DEPTH = 100
"""Nesting beyond which a file is refused; each level of subtasks takes two."""

MAX_EXPANDED = 100_000
"""How many values the aliases of one file may stand for, all in all."""

MAX_PROBLEMS = 100
"""How many problems of one file are listed before the rest is only counted."""

MAX_EXCERPT = 400
"""How much of an offending line is kept."""

Plain: TypeAlias = "str | int | float | bool | list[Plain] | Mapping | None"
Path: TypeAlias = "tuple[str | int, ...]"

_CORE = "tag:yaml.org,2002:"
_SUSPECT = frozenset("0123456789+-.~nNtTfFyYoO<=")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", "")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})|0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_AMBIGUOUS = re.compile(
    r"(?i:yes|no|on|off)|[-+]?0[0-9_]+|[-+]?0[bo][0-9_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+"
    r"(?:\.[0-9_]*)?|[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?|[-+]?[0-9]{19,}"
    r"|[-+]?\.(?i:inf|nan)|="
)


class Mapping(dict[str, Plain]):
    """A mapping of a document.

    Attributes:
        line: where the key that holds it is (for a document: where it begins), from 1.
        column: likewise.
    """

    __slots__ = ("column", "line")

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file holds.

    Attributes:
        documents: the values of its documents, as far as they could be read.
        problems: everything that is wrong with the YAML itself.
        complete: whether the file could be read to its end.
    """

    documents: tuple[Plain, ...]
    problems: tuple[Diagnostic, ...]
    complete: bool


@dataclass(slots=True)
class Text:
    """The text of a file, and the way from an index in it to a position for people.

    Attributes:
        file: its name below the repo root.
        text: its content, without a byte order mark.
    """

    file: str
    text: str
    _spots: list[_Spot] | None = field(default=None, repr=False)

    def problem(
        self, code: str, message: str, start: int, end: int = 0, hint: str = ""
    ) -> Diagnostic:
        """Return an error about the characters from `start` to `end`."""
        source, excerpt, width = self.mark(start, end)
        return Diagnostic("error", code, message, source, hint, excerpt, width)

    def mark(self, start: int, end: int = 0) -> tuple[Source, str, int]:
        """Return position, line and caret width of the characters from `start` to `end`."""
        start = min(start, len(self.text))
        begin = self.text.rfind("\n", 0, start) + 1
        stop = self.text.find("\n", start)
        stop = len(self.text) if stop < 0 else stop
        source = Source(self.file, self.text.count("\n", 0, start) + 1, start - begin + 1)
        excerpt = self.text[begin : min(stop, begin + MAX_EXCERPT)].rstrip("\r")
        return source, excerpt, max(1, min(end, begin + len(excerpt)) - start)

    def locate(self, document: int, path: Path, *, key: bool) -> tuple[Source, str, int]:
        """Return position, line and caret width of what `path` names in a document.

        Args:
            document: which of the file's documents, from 0.
            path: keys and indices from the root; the longest part that exists counts.
            key: mark the key that holds the value rather than the value.
        """
        if self._spots is None:
            self._spots = _spots(self.text)
        if document >= len(self._spots):
            return self.mark(0)
        spot, holder = self._spots[document], None
        for step in path:
            found = spot.children.get(step)
            if found is None:
                key = True
                break
            holder, spot = found
        spread = spot.children and "\n" in self.text[spot.start : spot.end]
        on_key = holder is not None and (key or spread or spot.end <= spot.start)
        marked = holder if holder is not None and on_key else spot
        return self.mark(marked.start, marked.end)


@dataclass(slots=True)
class _Spot:
    """Where one value is in the text.

    Attributes:
        children: by key or index, where its parts are: the key (or the item) and the value.
    """

    start: int
    end: int
    children: dict[str | int, tuple[_Spot, _Spot]] = field(
        default_factory=dict["str | int", "tuple[_Spot, _Spot]"]
    )


def _spots(text: str) -> list[_Spot]:
    """Return where everything is in each document, as far as the text can be read."""
    import yaml
    from yaml import events

    stream = _Spot(0, len(text))
    stack = [(stream, False)]
    anchors: dict[str, _Spot] = {}
    key: _Spot | None = None
    name: str | int = 0
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, yaml.CSafeLoader):
            if isinstance(event, events.CollectionEndEvent):
                spot, _ = stack.pop()
                spot.end = _extent(event)[1]
            if not isinstance(event, events.NodeEvent):
                continue
            spot = _Spot(*_extent(event))
            holder, is_mapping = stack[-1]
            if is_mapping and key is None:
                if not isinstance(event, events.ScalarEvent):
                    break
                key, name = spot, event.value
                continue
            if not is_mapping:
                key, name = spot, len(holder.children)
            holder.children[name] = key or spot, spot
            key = None
            if isinstance(event, events.AliasEvent):
                spot.children = anchors.get(event.anchor or "", spot).children
            elif event.anchor is not None:
                anchors[event.anchor] = spot
            if isinstance(event, events.CollectionStartEvent):
                stack.append((spot, isinstance(event, events.MappingStartEvent)))
    return [spot for spot, _ in stream.children.values()]


def _extent(event: yaml.Event) -> tuple[int, int]:
    """Return the indices in the text where an event begins and ends."""
    start, end = event.start_mark, event.end_mark
    return start.index if start else 0, end.index if end else 0


def parse(source: Text) -> Parsed:
    """Return the documents of a file, and all that is wrong with its YAML. Never raises."""
    import yaml

    reader = _Reader(source)
    complete = False
    try:
        reader.read()
        complete = True
    except yaml.YAMLError as error:
        reader.problems.append(_syntax(source, error))
    except _Stop:
        pass  # the last problem says why
    if reader.unlisted:
        reader.problems.append(more_problems(reader.unlisted, reader.problems[-1]))
    return Parsed(tuple(reader.documents), tuple(reader.problems), complete)


def reads_as_text(plain: str) -> bool:
    """Return whether a plain scalar is text to every YAML reader, not a number or a word."""
    if plain in _WORDS or plain[0] not in _SUSPECT:
        return plain not in _WORDS
    found = _INT.fullmatch(plain) or _FLOAT.fullmatch(plain) or _AMBIGUOUS.fullmatch(plain)
    return found is None and plain != "<<"


def reconcilers(value: Plain) -> list[str]:
    """Return the third-party reconcilers that a document names, should it be Settings."""
    if not isinstance(value, dict) or value.get("kind") != "Settings":
        return []
    names = value.get("reconcilers")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def more_problems(count: int, last: Diagnostic) -> Diagnostic:
    """Return the diagnostic that stands for the problems after the `last` one listed."""
    message = f"{count:,} more problems in this file"
    return Diagnostic("error", "more-problems", message, last.source)


class _Stop(Exception):
    """What follows must not be read."""


class _Reader:
    """Builds the values of one file from libyaml's events."""

    def __init__(self, source: Text) -> None:
        self.source = source
        self.documents: list[Plain] = []
        self.problems: list[Diagnostic] = []
        self.unlisted = 0
        self.anchors: dict[str, tuple[Plain, int]] = {}
        self.open: list[tuple[str, int, int]] = []
        self.stack: list[list[Plain] | Mapping] = []
        self.refused: list[Mapping] = []
        self.count = 0
        self.expanded = 0
        self.words: dict[str, Plain] = dict(_WORDS)

    def read(self) -> None:
        """Read all documents.

        Raises:
            yaml.YAMLError: it is not YAML from some point on.
            _Stop: from some point on it must not be read.
        """
        import yaml
        from yaml import events

        get = cast("Callable[[], yaml.Event]", yaml.CSafeLoader(self.source.text).get_event)
        holder: list[Plain] | Mapping = self.documents
        key: str | None = None
        at: yaml.Event | None = None
        # This loop is most of the time that a file takes: hence `type` rather than `isinstance`.
        while type(event := get()) is not events.StreamEndEvent:
            self.count += 1
            if type(event) is events.ScalarEvent:
                text = event.value
                plain = not event.style and (not text or text[0] in _SUSPECT)
                special = plain or event.tag is not None or event.anchor is not None
                value = self._scalar(event, text) if special else text
                if type(holder) is not Mapping:
                    cast("list[Plain]", holder).append(value)
                elif key is not None:
                    holder[key] = value
                    key = None
                else:
                    known = special or text in holder
                    key, at = self._key(event, text, value, holder) if known else text, event
            elif isinstance(event, events.CollectionStartEvent):
                holder = self._begin(event, holder, key, at)
                key = at = None
            elif isinstance(event, events.CollectionEndEvent):
                holder = self._end(holder)
            elif isinstance(event, events.AliasEvent):
                self._put(event, holder, key, self._alias(event))
                key = None
        for mapping in self.refused:
            mapping.pop("<<", None)

    def _put(
        self, event: yaml.Event, holder: list[Plain] | Mapping, key: str | None, value: Plain
    ) -> None:
        if not isinstance(holder, Mapping):
            holder.append(value)
        elif key is not None:
            holder[key] = value
        else:
            self._refuse(event, "bad-key", "a key must be a text")
            raise _Stop

    def _begin(
        self,
        event: yaml.CollectionStartEvent,
        holder: list[Plain] | Mapping,
        key: str | None,
        at: yaml.Event | None,
    ) -> list[Plain] | Mapping:
        """Return the new mapping or list that `event` opens below `holder`."""
        import yaml

        tag, anchor = event.tag, event.anchor
        value: list[Plain] | Mapping = []
        if isinstance(event, yaml.MappingStartEvent):
            mark = (at if at is not None and key is not None else event).start_mark
            value = Mapping()
            value.line, value.column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self._put(event, holder, key, value)
        self.stack.append(holder)
        if tag is not None and tag not in {"!", _CORE + "map", _CORE + "seq"}:
            self._forbid(event, tag)
        if len(self.stack) > MAX_DEPTH:
            message = f"this is nested more than {MAX_DEPTH} levels deep"
            self._refuse(event, "too-deep", message, "split it into several tasks or files")
            raise _Stop
        if anchor is not None:
            self._unused(event, anchor)
            self.open.append((anchor, len(self.stack), self.count))
        return value

    def _end(self, value: list[Plain] | Mapping) -> list[Plain] | Mapping:
        """Return what holds the mapping or list `value`, which is now complete."""
        if self.open and self.open[-1][1] == len(self.stack):
            name, _, begun = self.open.pop()
            self.anchors[name] = value, self.count - begun
        return self.stack.pop()

    def _refuse(self, event: yaml.Event, code: str, message: str, hint: str = "") -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            self.unlisted += 1
            return
        start, end = _extent(event)
        self.problems.append(self.source.problem(code, message, start, end, hint))

    def _scalar(self, event: yaml.ScalarEvent, text: str) -> Plain:
        """Return the value of a scalar that has a tag or an anchor, or may not be text."""
        tag, anchor = event.tag, event.anchor
        value: Plain = text
        if tag is None:
            value = text if event.style else self._plain(event, text)
        elif tag not in {"!", _CORE + "str"}:
            value = self._tagged(event, text, tag)
        if anchor is not None:
            self._unused(event, anchor)
            self.anchors[anchor] = value, 1
        return value

    def _plain(self, event: yaml.ScalarEvent, text: str) -> Plain:
        """Return what a plain scalar means that may be something else than text."""
        if text in self.words:
            return self.words[text]
        if _INT.fullmatch(text):
            return int(text, 16) if text.startswith("0x") else int(text)
        if _AMBIGUOUS.fullmatch(text):
            message = f"`{shorten(text)}` means different things to different YAML readers"
            hint = f'quote it if it is text: "{shorten(text)}"'
            if text.lower() in {"yes", "on", "no", "off"}:
                hint = f"{hint}, or write {'true' if text.lower() in {'yes', 'on'} else 'false'}"
            self._refuse(event, "ambiguous-scalar", message, hint)
            return text
        value = float(text) if len(text) < 40 and _FLOAT.fullmatch(text) else text
        self.words[text] = value
        return value

    def _tagged(self, event: yaml.ScalarEvent, text: str, tag: str) -> Plain:
        """Return the value of a scalar with a tag; only the core schema's are understood."""
        wanted = {"null": type(None), "bool": bool, "int": int, "float": float}
        name = tag.removeprefix(_CORE)
        if tag == name or name not in wanted:
            self._forbid(event, tag)
            return text
        value = self._plain(event, text)
        if type(value) is not wanted[name]:
            self._refuse(event, "bad-tag", f"`{shorten(text)}` is no {name}")
        return value

    def _forbid(self, event: yaml.Event, tag: str) -> None:
        name = shorten(tag.replace(_CORE, "!!"))
        hint = "specs are plain data: remove the tag"
        self._refuse(event, "forbidden-tag", f"the tag `{name}` is not allowed", hint)

    def _key(self, event: yaml.ScalarEvent, key: str, value: Plain, holder: Mapping) -> str:
        """Return a key as text."""
        if key == "<<" and not event.style:
            hint = "write the fields out, or use `defaults`"
            self._refuse(event, "merge-key", "merge keys are not part of the language", hint)
            self.refused.append(holder)
        elif type(value) is not str:
            message = f"the key `{shorten(key)}` is not a text"
            self._refuse(event, "ambiguous-scalar", message, f'quote it: "{shorten(key)}"')
        elif key in holder:
            message = f"`{shorten(key)}` is given twice"
            self._refuse(event, "duplicate-key", message, "keep one of the two")
        return key

    def _unused(self, event: yaml.Event, name: str) -> None:
        if name in self.anchors or any(name == anchor for anchor, _, _ in self.open):
            message = f"the anchor `&{shorten(name)}` is given twice"
            self._refuse(event, "duplicate-anchor", message, "give each anchor its own name")

    def _alias(self, event: yaml.AliasEvent) -> Plain:
        """Return what an alias stands for, unless it would never end, or grow too big."""
        name = cast("str", event.anchor)
        if name not in self.anchors:
            inside = any(name == anchor for anchor, _, _ in self.open)
            reason = "is part of what it stands for" if inside else "stands for nothing"
            self._refuse(event, "bad-alias", f"the alias `*{shorten(name)}` {reason}")
            return None
        value, size = self.anchors[name]
        self.count += size
        self.expanded += size
        if self.expanded > MAX_EXPANDED:
            message = f"the aliases of this file stand for more than {MAX_EXPANDED:,} values"
            self._refuse(event, "alias-bomb", message, "write out what is meant")
            raise _Stop
        return value


def _syntax(source: Text, error: yaml.YAMLError) -> Diagnostic:
    """Return a syntax error in our words."""
    import yaml
    from yaml.reader import ReaderError

    if isinstance(error, ReaderError):
        before = source.text.encode()[: error.position].decode(errors="ignore")
        message = f"the file holds a control character (U+{error.character:04X})"
        return source.problem("yaml-syntax", message, len(before), hint="remove it")
    message, index = "this is not YAML", 0
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        index = mark.index if mark is not None else 0
        message = ", ".join(part for part in (error.context, error.problem) if part)
    return source.problem("yaml-syntax", message, index, hint=_syntax_hint(message))


def _syntax_hint(message: str) -> str:
    """Return what is most often behind one of libyaml's messages."""
    hints = {
        "mapping values are not allowed": "quote a text that holds `: `, or mend the indentation",
        "found character that cannot start any token": "indent with spaces,"
        " and quote a text that begins with @, ` or %",
        "found a tab character": "indent with spaces",
        "did not find expected": "look for a wrong indentation, or a missing bracket or quote",
        "could not find expected ':'": "a key needs a colon and a space after it",
        "found unexpected end of stream": "a quote or bracket is not closed",
    }
    return next((hint for part, hint in hints.items() if part in message), "")

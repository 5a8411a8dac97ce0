"""Documents against the models: plain values in, canonical documents and problems out.

plain value ──pydantic──> canonical document
                 └─errors──> problems with positions ──> the rest of the document, as far as it
                             is sound, so that later checks still see it

Only what was not in the cache comes here, so that a run on unchanged specs imports no pydantic.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from typing import TYPE_CHECKING, cast

from pydantic import TypeAdapter, ValidationError

from runner.language.parse import MAX_PROBLEMS, Path, Plain, Text, more_problems
from schemas.domain import Diagnostic
from schemas.spec import MODELS, DocumentKind, OnThirdParty, ThirdParty, json_schemas
from schemas.values import KEY, BadValue, shorten, suggest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

ROUNDS = 3
"""How often a document is tried again without its unsound parts."""

_NOUNS = {
    "People": "People",
    "Integrations": "Integrations",
    "Settings": "Settings",
    "Project": "a project",
    "Person": "a person",
    "Linear": "`linear`",
    "Motion": "`motion`",
    "Gitlab": "`gitlab`",
    "Notion": "`notion`",
    "State": "`state`",
    "Policy": "`policy`",
    "DriftOverride": "an override of `drift`",
    "Milestone": "a milestone",
    "Task": "a task",
    "Defaults": "`defaults`",
    "Repeat": "`repeat`",
}

_KINDS = {
    "people": "People",
    "tasks": "Project",
    "key": "Project",
    "milestones": "Project",
    "policy": "Settings",
    "agent": "Settings",
    "state": "Settings",
    "reconcilers": "Settings",
    "linear": "Integrations",
    "gitlab": "Integrations",
    "notion": "Integrations",
    "motion": "Integrations",
}
"""By a field that gives it away, the kind of a document that does not say it."""


_WANTED = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "a mapping",
}


@dataclass(frozen=True, slots=True)
class Shaped:
    """What became of one document.

    Attributes:
        kind: what it is.
        data: its declared fields in canonical form.
        removed: names that were left out because they were not sound.
        problems: all that is wrong with it.
    """

    kind: DocumentKind
    data: dict[str, object]
    removed: frozenset[str]
    problems: tuple[Diagnostic, ...]


def kind_of_document(text: Text, number: int, value: Plain) -> DocumentKind | Diagnostic:
    """Return what kind of document a value is, or what is wrong with it."""
    if not isinstance(value, dict):
        source, excerpt, width = text.locate(number, (), key=False)
        hint = "begin it with `kind: Project`"
        message = f"a spec is a mapping, not {_noun(value)}"
        return Diagnostic("error", "wrong-type", message, source, hint, excerpt, width)
    kind = value.get("kind")
    for name in MODELS:
        if kind == name:
            return name
    path: Path = ("kind",) if "kind" in value else ()
    source, excerpt, width = text.locate(number, path, key=False)
    if kind is None:
        guess = next((_KINDS[name] for name in value if name in _KINDS), "Project")
        hint = f"begin it with `kind: {guess}`"
        return Diagnostic(
            "error", "missing-field", "the document has no `kind`", source, hint, excerpt, width
        )
    message = f"`{shorten(str(kind))}` is no kind of document"
    hint = suggest(str(kind), MODELS) or f"one of {', '.join(MODELS)}"
    return Diagnostic("error", "unknown-kind", message, source, hint, excerpt, width)


def shape(
    text: Text, number: int, kind: DocumentKind, value: Plain, third_party: Collection[str]
) -> Shaped | tuple[Diagnostic, ...]:
    """Return the document in canonical form with its problems; only these, if it is hopeless.

    Args:
        text: the file.
        number: which of its documents this is, from 0.
        kind: what it says it is.
        value: the document; parts that are not sound are taken out of it.
        third_party: names of platforms whose reconcilers Settings lists.
    """
    extras = list(_lift(value, third_party, kind)) if third_party else []
    adapter = _adapter(MODELS[kind])
    problems: list[Diagnostic] = []
    removed: set[str] = set()
    seen: set[tuple[int | str, ...]] = set()
    for _ in range(ROUNDS):
        try:
            data = cast("dict[str, object]", adapter.validate_python(value))
        except ValidationError as error:
            errors = error.errors(include_url=False)
            fresh = list(_told_apart(item for item in errors if item["loc"] not in seen))
            seen.update(item["loc"] for item in errors)
            listed = fresh[: max(0, MAX_PROBLEMS - len(problems))]
            problems.extend(_problem(text, number, item["loc"], item, kind) for item in listed)
            if len(fresh) > len(listed):
                problems.append(more_problems(len(fresh) - len(listed), problems[-1]))
            removed.update(str(item["loc"][-1]) for item in errors if item["loc"])
            if not all(_repair(value, item) for item in errors):
                break
        else:
            for path, name, extra in extras:
                model = ThirdParty if kind == "Integrations" else OnThirdParty
                problems.extend(_put_extra(text, number, data, path, name, extra, model))
            return Shaped(kind, data, frozenset(removed), tuple(problems))
    return tuple(problems)


@cache
def _adapter(model: type) -> TypeAdapter[object]:
    return TypeAdapter(model)


def _lift(
    value: Plain, names: Collection[str], kind: DocumentKind
) -> Iterator[tuple[Path, str, Plain]]:
    """Take what is said to third-party platforms out of a document, and yield it."""
    pending: list[tuple[Path, Plain]] = [((), value)] if kind in {"Integrations", "Project"} else []
    while pending:
        path, holder = pending.pop()
        if not isinstance(holder, dict):
            continue
        for name in names:
            if name in holder:
                yield path, name, holder.pop(name)
        tasks = holder.get("tasks")
        if isinstance(tasks, dict):
            pending.extend(((*path, "tasks", key), task) for key, task in tasks.items())


def _put_extra(
    text: Text,
    number: int,
    data: dict[str, object],
    path: Path,
    name: str,
    extra: Plain,
    model: type,
) -> Iterator[Diagnostic]:
    """Validate what was lifted, and put it back in its place; yield its problems."""
    holder: object = data
    for step in path:
        holder = cast("Mapping[str | int, object]", holder).get(step)
        if not isinstance(holder, dict):
            return
    try:
        cast("dict[str, object]", holder)[name] = _adapter(model).validate_python(extra)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            yield _problem(text, number, (*path, name, *item["loc"]), item, model.__name__)


def _repair(value: Plain, error: ErrorDetails) -> bool:
    """Take what an error is about out of the document; return whether that was possible."""
    steps = [step for step in error["loc"] if step != "[key]"]
    path = [str(step) for step in takewhile(lambda step: isinstance(step, str), steps)]
    holder = value
    for step in path[:-1]:
        holder = holder.get(step) if isinstance(holder, dict) else None
    if not path or (len(path) == 1 and path[0] in {"key", "kind", "people"}):
        return False
    if isinstance(holder, dict):
        holder.pop(path[-1], None)
        if path[-1] in {"title", "name"}:
            holder[path[-1]] = path[-2] if len(path) > 1 else "untitled"
    return True


def _told_apart(errors: Iterable[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Yield errors without fields that are missing only because they are misspelt beside it."""
    found = list(errors)
    strange: dict[tuple[int | str, ...], list[str]] = {}
    for error in found:
        if error["type"] == "extra_forbidden":
            strange.setdefault(error["loc"][:-1], []).append(str(error["loc"][-1]))
    for error in found:
        names = strange.get(error["loc"][:-1], ()) if error["type"] == "missing" else ()
        if not any(suggest(name, [str(error["loc"][-1])]) for name in names):
            yield error


def _problem(
    text: Text, number: int, loc: tuple[int | str, ...], error: ErrorDetails, kind: str
) -> Diagnostic:
    name = error["type"]
    on_key = loc[-1:] == ("[key]",) or name == "extra_forbidden"
    path: Path = tuple(step for step in loc if step != "[key]")
    place = path[:-1] if name == "missing" else path
    source, excerpt, width = text.locate(number, place, key=on_key or name == "missing")
    written = excerpt[source.column - 1 : source.column - 1 + width]
    code, message, hint = _words(error, path, kind, written)
    return Diagnostic("error", code, message, source, hint, excerpt, width)


def _words(error: ErrorDetails, path: Path, kind: str, written: str) -> tuple[str, str, str]:
    """Return code, message and hint."""
    name, given = error["type"], error["input"]
    context = error.get("ctx", {})
    field = next((step for step in reversed(path) if isinstance(step, str)), "this")
    if name in {"extra_forbidden", "missing"}:
        return _field_words(name, path, kind)
    if isinstance(cause := context.get("error"), BadValue):
        return cause.code, f"`{field}`: {cause.message}", cause.hint
    if name == "literal_error":
        options = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        shown = shorten(written if not isinstance(given, str) else given)
        hint = suggest(shown, options) or f"one of {', '.join(options)}"
        return "unknown-value", f"`{field}` cannot be `{shown}`", hint
    if name in _WANTED:
        return (
            "wrong-type",
            f"`{field}` must be {_WANTED[name]}, not {_noun(given)}",
            _quote(name, given, written),
        )
    if name in {"string_pattern_mismatch", "string_too_long"}:
        return _key_words(field, str(given), str(context.get("pattern", KEY)))
    return "bad-value", f"`{field}`: {error['msg'].lower()}", ""


def _quote(name: str, given: object, written: str) -> str:
    """Return how to write a value of the wrong type instead."""
    if name == "string_type" and isinstance(given, bool | int | float):
        return f'quote it: "{shorten(written)}"'
    if name == "list_type" and isinstance(given, str):
        return f"write it as [{shorten(given)}]"
    return ""


def _key_words(field: str, given: str, pattern: str) -> tuple[str, str, str]:
    if "a-z0-9" not in pattern:
        return "bad-value", f"`{field}` cannot be `{shorten(given)}`", ""
    slug = re.sub(r"[^a-z0-9/]+", "-", given[:100].lower()).strip("-")
    hint = f"use lower-case letters, digits and single dashes: {slug or 'my-key'}"
    if len(given) > 100:
        return "bad-key", f"`{shorten(given)}` is longer than 100 characters", hint
    return "bad-key", f"`{shorten(given)}` is not a key", hint


def _field_words(name: str, path: Path, kind: str) -> tuple[str, str, str]:
    node = _schema_at(kind, path[:-1])
    title = str(node.get("title", kind))
    noun = _NOUNS.get(title, f"`{path[-2]}`" if len(path) > 1 else title)
    fields = cast("dict[str, dict[str, object]]", node.get("properties", {}))
    field = str(path[-1]) if path else "this"
    if name == "missing":
        examples = cast("Sequence[object]", fields.get(field, {}).get("examples", ()))
        hint = f"for example `{field}: {examples[0]}`" if examples else ""
        return "missing-field", f"{noun} needs a `{field}`", hint
    hint = suggest(field, fields) or f"known: {', '.join(fields)}"
    return "unknown-field", f"{noun} has no field `{shorten(field)}`", hint


@cache
def _schemas() -> dict[str, dict[str, object]]:
    return json_schemas()


def _schema_at(kind: str, path: Path) -> Mapping[str, object]:
    """Return the part of a kind's JSON Schema that describes what `path` names."""
    root = _schemas().get(kind.lower(), {})
    defs = cast("Mapping[str, Mapping[str, object]]", root.get("$defs", {}))
    node: Mapping[str, object] = _resolved(root, defs)
    for step in path:
        properties = cast("Mapping[str, Mapping[str, object]]", node.get("properties", {}))
        found: object = properties.get(str(step))
        if found is None:
            patterns = cast("Mapping[str, object]", node.get("patternProperties", {}))
            found = next(iter(patterns.values()), None) or node.get("additionalProperties")
        if not isinstance(found, dict):
            return {}
        node = _resolved(cast("Mapping[str, object]", found), defs)
    return node


def _resolved(
    node: Mapping[str, object], defs: Mapping[str, Mapping[str, object]]
) -> Mapping[str, object]:
    reference = node.get("$ref")
    return defs[str(reference).rsplit("/", 1)[-1]] if reference else node


def _noun(value: object) -> str:
    """Return what a value is, in the words of YAML."""
    if value is None:
        return "empty"
    for kind, noun in ((bool, "true or false"), (str, "a text"), (list, "a list")):
        if isinstance(value, kind):
            return noun
    return "a mapping" if isinstance(value, dict) else "a number"

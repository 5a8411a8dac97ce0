"""Files that are made from the code: `python -m tests.generated --check` or `--write`.

Each is a function of the code alone, so that a stale one is a mistake that `make check` finds and
`make generate` mends.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from schemas.operations import OPERATIONS, operations_schema
from schemas.spec import MODELS, json_schemas
from tests.pages import pages

REPO = Path(__file__).parent.parent

Schema = Mapping[str, object]

EXAMPLES = {
    "People": "specs/people.yaml",
    "Integrations": "specs/integrations.yaml",
    "Settings": "specs/settings.yaml",
    "Project": "specs/projects/home.yaml",
}
"""By kind, the file of this repo that shows it."""

INTRODUCTION = """\
# Spec reference

Generated from the models in `schemas/spec.py` by `make generate`: edit those, not this page.

Specs are YAML files anywhere below `specs/`. Every document has a `kind`; a file may hold several
documents, separated by `---`. What a spec says is owned by git; what it leaves out belongs to the
platforms, and is kept the same on all of them. `null` clears a field.

YAML is read by the rules of YAML 1.2: only `true` and `false` are booleans, and dates are text.
Scalars that older readers take for something else (`yes`, `on`, `010`, `1:30`) must be quoted if
they are meant as text. Duplicate keys, tags and merge keys (`<<`) are errors; anchors and aliases
may be used.

Editors with the YAML language server complete and check a file that begins with, for example,

```yaml
# yaml-language-server: $schema=../../schemas/json/project.json
```

| value | written as |
| --- | --- |
| key | lower-case letters, digits and single dashes: `pick-stack`; changes only through `moved` |
| date | `2026-12-31` |
| estimate | work: `90m`, `4h`, `2d` (of 8 hours), `1w` (of 5 days), or together: `1d 4h` |
| link | an address, or `{url: https://…, title: words}` |
| address | `project`, `project/task`, `project/milestones/milestone` |
"""

OPERATIONS_INTRODUCTION = """\
# Operations

Generated from the models in `schemas/operations.py` by `make generate`: edit those, not this page.

Operations say what is to change in the specs; trueup finds the files and edits their text, so that
comments, order, quotes and everything else that is not concerned stay byte for byte as they are.
The agent and `trueup adopt` speak in them, and scripts may:

```sh
trueup edit operations.json             # all of them, or none
trueup edit --dry-run operations.json   # shows the diff
```

A list of them is JSON; `schemas/json/operations.json` is its schema:

```json
[
  {"op": "add_task", "project": "home", "key": "paint", "after": "smoke-alarms",
   "fields": {"title": "Paint the door", "estimate": "3h", "labels": ["house"]},
   "why": "It peels"},
  {"op": "update_task", "task": "home/passport", "set": {"due": "2027-01-22"},
   "release": ["priority"], "why": "The office is closed in the last week"}
]
```

- Later operations see what earlier ones made. Nothing is written if one of them is refused, or if
  the specs would have an error that they did not have before; the diagnostics are those of
  `trueup validate`.
- Every operation has a `why`, for those who review it.
- A field that is given is set, `null` clears it, and `release` takes it out of the spec, so that
  the platforms own it. Fields that are not named stay as they are. What means the same already is
  left as it is written.
- A value that comes from `defaults` or an alias is overridden where the operation says, never
  changed where it is shared; an operation on the defaults themselves changes them.
- A task that is removed takes the comments along that stand directly above it, on its lines, or
  below it and further in. A task that moves keeps them.
- A new project gets a file that its key names, `specs/projects/KEY.yaml`. No operation can name a
  file, or reach one outside the specs.
"""


def generated() -> Iterator[tuple[str, str]]:
    """Yield path and content of every generated file."""
    for name, schema in json_schemas().items():
        yield f"schemas/json/{name}.json", json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    schema = json.dumps(operations_schema(), indent=2, ensure_ascii=False)
    template = REPO / "runner" / "templates" / "trueup.yml"
    # GitLab looks for the components of a project in this folder.
    yield "templates/trueup.yml", template.read_text(encoding="utf-8")
    yield "schemas/json/operations.json", schema + "\n"
    yield "docs/operations.md", "\n".join(_operations()) + "\n"
    yield "docs/spec-reference.md", "\n".join(_reference()) + "\n"
    yield from ((str(path), text) for path, text in pages().items())


def _reference() -> Iterator[str]:
    yield INTRODUCTION
    shown: set[str] = set()
    schemas = json_schemas()
    for kind in MODELS:
        schema = schemas[kind.lower()]
        defs = cast("Mapping[str, Schema]", schema.get("$defs", {}))
        root = _resolved(schema, defs)
        yield from _section(kind, root, defs, level=2)
        yield f"```yaml\n{_example(EXAMPLES[kind])}```\n"
        for name, part in defs.items():
            if name not in shown and name != kind:
                shown.add(name)
                yield from _section(name, part, defs, level=3)


def _operations() -> Iterator[str]:
    yield OPERATIONS_INTRODUCTION
    defs = cast("Mapping[str, Schema]", operations_schema()["$defs"])
    names = [model.__name__ for model in OPERATIONS]
    for name in names:
        fields = dict(cast("Mapping[str, Schema]", defs[name]["properties"]))
        operation = cast("str", fields.pop("op")["const"])
        del fields["why"]
        yield from _section(operation, {**defs[name], "properties": fields}, defs, level=2)
    yield "## What they are given\n"
    for name, part in defs.items():
        if name not in names:
            yield from _section(name, part, defs, level=3)


def _section(name: str, schema: Schema, defs: Mapping[str, Schema], *, level: int) -> Iterator[str]:
    """Yield the table of one model's fields."""
    yield f"{'#' * level} {name}\n"
    yield f"{schema.get('description', '')}\n"
    yield "| field | type | meaning | example |"
    yield "| --- | --- | --- | --- |"
    required = cast("Sequence[str]", schema.get("required", ()))
    for field, value in cast("Mapping[str, Schema]", schema.get("properties", {})).items():
        examples = cast("Sequence[object]", value.get("examples", ()))
        example = ", ".join(f"`{_flow(item)}`" for item in examples)
        mark = " (required)" if field in required else ""
        kind = _type(value, defs)
        meaning = value.get("description") or _resolved(value, defs).get("description", "")
        yield f"| `{field}`{mark} | {kind} | {meaning} | {example} |"
    yield ""


def _type(schema: Schema, defs: Mapping[str, Schema]) -> str:
    """Return a schema's type in a few words."""
    if reference := schema.get("$ref"):
        name = str(reference).rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if options := cast("Sequence[Schema]", schema.get("anyOf", ())):
        names = [_type(item, defs) for item in options]
        return " or ".join(dict.fromkeys(names))
    if "const" in schema:
        return f"`{schema['const']}`"
    if values := cast("Sequence[object]", schema.get("enum", ())):
        return " · ".join(f"`{value}`" for value in values)
    kinds = schema.get("type", "anything")
    if isinstance(kinds, list):
        return " or ".join(_NAMES.get(kind, kind) for kind in cast("list[str]", kinds))
    if kinds == "array":
        return f"list of {_type(cast('Schema', schema.get('items', {})), defs)}"
    if kinds == "object":
        patterns = cast("Mapping[str, Schema]", schema.get("patternProperties", {}))
        value = next(iter(patterns.values()), schema.get("additionalProperties"))
        return f"by key: {_type(cast('Schema', value), defs)}" if value else "mapping"
    return _NAMES.get(str(kinds), str(kinds))


_NAMES = {"string": "text", "integer": "number", "boolean": "true or false"}


def _resolved(schema: Schema, defs: Mapping[str, Schema]) -> Schema:
    reference = schema.get("$ref")
    return defs[str(reference).rsplit("/", 1)[-1]] if reference else schema


def _flow(value: object) -> str:
    """Return an example as YAML on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, cast('list[object]', value)))}]"
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in pairs)}}}"
    return str(value)


def _example(path: str) -> str:
    lines = (REPO / path).read_text().splitlines(keepends=True)
    return "".join(line for line in lines if "yaml-language-server" not in line)


def main() -> int:
    """Check or write the generated files; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.generated", description=__doc__)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--check", action="store_true", help="fail where a file is stale")
    group.add_argument("--write", action="store_true", help="write them")
    write = parser.parse_args().write
    stale = 0
    for name, content in generated():
        path = REPO / name
        if path.is_file() and path.read_text() == content:
            continue
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        else:
            stale += 1
            sys.stderr.write(f"{name} is stale; run: make generate\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())

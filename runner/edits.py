"""What `trueup edit` reads and shows: operations in, the outcome as text or JSON out."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runner.report import as_json, printable, render
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.language.edit import Edited
    from schemas.operations import Operation

MAX_INPUT = 10 * 1024 * 1024
"""Bytes of operations; more is refused."""


def read_operations(source: str) -> list[Operation]:
    """Return the operations of a JSON file, or of standard input for `-`.

    Raises:
        ConfigError: it cannot be read, or is not a list of operations; says which and why.
    """
    from pydantic import ValidationError

    from schemas.operations import parse_operations

    try:
        with sys.stdin.buffer if source == "-" else Path(source).open("rb") as file:
            content = file.read(MAX_INPUT + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"cannot read {source}: {reason}") from error
    if len(content) > MAX_INPUT:
        raise ConfigError(f"{source} is bigger than {MAX_INPUT // 1024**2} MB")
    try:
        return parse_operations(content)
    except ValidationError as error:
        lines = [_problem(item["loc"], item["msg"]) for item in error.errors(include_url=False)]
        shown = "; ".join(lines[:5]) + (f"; and {len(lines) - 5} more" if len(lines) > 5 else "")
        raise ConfigError(
            f"these are not operations: {shown}", hint="docs/operations.md lists them all"
        ) from None


def edited_text(edited: Edited, before: Mapping[str, bytes], *, colour: bool, diff: bool) -> str:
    """Return what was done to which files, or the changes themselves, for a terminal."""
    parts = [render(edited.diagnostics, "text", colour=colour)] if edited.diagnostics else []
    if edited.refused:
        return "".join([*parts, "nothing was changed\n"])
    if not edited.files:
        return "".join([*parts, "there is nothing to change\n"])
    for name, content in edited.files.items():
        if diff:
            lines = _diff(name, before.get(name), content)
            parts.append("".join(f"{_painted(line, colour=colour)}\n" for line in lines))
        else:
            parts.append(f"{_action(before.get(name), content)} {printable(name)}\n")
    return "".join(parts)


def edited_json(edited: Edited, before: Mapping[str, bytes], *, written: bool) -> str:
    """Return the outcome as JSON with a final line break."""
    files = [
        {
            "file": name,
            "action": _action(before.get(name), content),
            "diff": "".join(f"{line}\n" for line in _diff(name, before.get(name), content)),
        }
        for name, content in edited.files.items()
    ]
    outcome = {
        "format_version": "1.0",
        "refused": edited.refused,
        "written": written and bool(files),
        "touched": list(edited.touched),
        "files": files,
        "diagnostics": [as_json(item) for item in edited.diagnostics],
    }
    return json.dumps(outcome, indent=2, ensure_ascii=False) + "\n"


def _problem(place: tuple[int | str, ...], message: str) -> str:
    """Return what is wrong with one of the operations."""
    head, *rest = place or ("",)
    steps = [str(step) for step in rest if not str(step).startswith("function-")]
    where = f"operation {head + 1}" if isinstance(head, int) else "the file"
    said = message.removeprefix("Value error, ").replace("Extra inputs are", "this field is")
    return ", ".join([where, ".".join(steps)] if steps else [where]) + f": {said}"


def _action(before: bytes | None, after: bytes | None) -> str:
    if after is None:
        return "removed"
    return "created" if before is None else "edited"


def _diff(name: str, before: bytes | None, after: bytes | None) -> list[str]:
    """Return the lines of a unified diff."""
    old = (before or b"").decode(errors="replace").splitlines()
    new = (after or b"").decode(errors="replace").splitlines()
    heads = (
        f"a/{name}" if before is not None else "/dev/null",
        f"b/{name}" if after is not None else "/dev/null",
    )
    return list(difflib.unified_diff(old, new, *heads, lineterm=""))


def _painted(line: str, *, colour: bool) -> str:
    shown = printable(line)
    codes = {"+": "32", "-": "31", "@": "36"}
    code = codes.get(line[:1]) if colour else None
    return f"\x1b[{code}m{shown}\x1b[0m" if code else shown

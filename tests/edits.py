"""Operations on one small project file, for tests of the editor."""

from __future__ import annotations

from textwrap import dedent

from runner.language.edit import Edited, apply_operations
from schemas.operations import Operation
from tests.specrepo import COMMON, TODAY

WHY = "A test asks for it"
FILE = "specs/p.yaml"


def apply(text: str | bytes, *operations: Operation, **files: str) -> Edited:
    """Return what operations make of a project file, with others by their name beside it."""
    content = dedent(text).encode() if isinstance(text, str) else text
    others = {f"specs/{name}.yaml": dedent(other).encode() for name, other in files.items()}
    common = {"specs/common.yaml": dedent(COMMON).encode()}
    return apply_operations({**common, FILE: content, **others}, operations, TODAY)


def edited(text: str, *operations: Operation, **files: str) -> str:
    """Return the project file afterwards; nothing may be refused."""
    outcome = apply(text, *operations, **files)
    assert not outcome.refused, outcome.diagnostics
    content = outcome.files.get(FILE, dedent(text).encode())
    assert content is not None
    return content.decode()


def refused(text: str, *operations: Operation, **files: str) -> list[str]:
    """Return the codes of what stands in the way; something must."""
    outcome = apply(text, *operations, **files)
    assert outcome.refused
    assert outcome.files == {}
    return [item.code for item in outcome.diagnostics if item.severity == "error"]

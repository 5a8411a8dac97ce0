"""What starting up costs: the commands of every day import nothing heavy."""

from __future__ import annotations

import sys

import pytest

from tests.e2e.shell import Shell

HEAVY = {
    "arro3",
    "databricks",
    "deltalake",
    "fastapi",
    "httpx",
    "pydantic_ai",
    "pyspark",
    "rich",
    "starlette",
    "uvicorn",
}
IMPORTED = """
import sys
from runner.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("\\n".join(sys.modules), file=sys.stderr)
"""


def imported(shell: Shell, *arguments: str) -> set[str]:
    result = shell.run(sys.executable, "-P", "-c", IMPORTED, *arguments)
    assert result.code == 0, result.err
    return {line.partition(".")[0] for line in result.err.splitlines()}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("plan", "--help")])
def test_help_imports_nothing_heavy(shell: Shell, arguments: tuple[str, ...]) -> None:
    modules = imported(shell, *arguments)
    assert "runner" in modules
    assert not modules & (HEAVY | {"git", "pydantic", "yaml"})


def test_validate_imports_nothing_heavy(shell: Shell) -> None:
    shell.done("init")
    assert not imported(shell, "validate") & HEAVY
    assert not imported(shell, "validate") & (HEAVY | {"pydantic"}), "from the cache"


def test_a_plan_without_a_state_imports_no_http_client_and_no_web_framework(shell: Shell) -> None:
    shell.done("init")
    assert not imported(shell, "plan") & (HEAVY - {"arro3", "deltalake"})

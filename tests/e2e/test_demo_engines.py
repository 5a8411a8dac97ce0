"""The demo with its state on other engines: the same story, told in the same words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.state.session import Session
from tests.e2e.shell import Shell
from tests.warehouse import Workspace, serving

pytestmark = [pytest.mark.xdist_group("spark"), pytest.mark.soak]

_PASSING = re.compile(
    r"127\.0\.0\.1:\d+|[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{10}\b"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\d{8}-?T?\d{6}Z?-[0-9a-f]{6,8}|\b\d+ s\b"
    r"|\.trueup/state\S*|jwp763\.orchestrator\.demo_\S+"
)
"""What differs from one run to the next: ports, ids, instants, and where the state is."""


@pytest.fixture
def workspace(spark: Session, tmp_path: Path) -> Iterator[Workspace]:
    with serving(spark, tmp_path) as serving_:
        yield serving_


def test_the_demo_on_databricks_says_what_it_says_locally_and_leaves_nothing_behind(
    shell: Shell, workspace: Workspace
) -> None:
    local = _told(shell)
    shell.environment |= {**workspace.environment(), "TRUEUP_STATE_BACKEND": "databricks"}
    assert _told(shell) == local
    (folder,) = workspace.schemas.values()
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


def test_the_demo_on_spark_says_what_it_says_locally(shell: Shell) -> None:
    local = _told(shell)
    shell.environment["TRUEUP_STATE_BACKEND"] = "spark"
    assert _told(shell) == local


def test_the_demo_leaves_alone_the_state_that_the_specs_name(
    shell: Shell, workspace: Workspace
) -> None:
    shell.done("init", "--name", "Quiet evenings")
    shell.write({"specs/settings.yaml": "kind: Settings\nstate: {backend: databricks}\n"})
    shell.environment |= workspace.environment()
    assert "quiet-evenings" in shell.done("--no-color", "demo").out
    assert workspace.statements == []


def _told(shell: Shell) -> str:
    shell.patience = 900
    return _PASSING.sub("…", shell.done("--no-color", "demo").out)

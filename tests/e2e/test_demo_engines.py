"""The demo with its state on other engines: the same story, told in the same words."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.state.local import LocalTables
from runner.state.session import Session
from runner.state.store import Reader
from tests.e2e.shell import Shell
from tests.warehouse import Workspace, serving

pytestmark = [pytest.mark.xdist_group("spark"), pytest.mark.soak]

_PASSING = re.compile(
    r"127\.0\.0\.1:\d+|[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{10}\b"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\d{8}-?T?\d{6}Z?-[0-9a-f]{6,8}|\b\d+ s\b"
    r"|\.trueup/state\S*|/\S*trueup-demo-\w+|jwp763\.orchestrator\.demo_\S+"
)
"""What differs from one run to the next: ports, ids, instants, and where the state is."""


@pytest.fixture(autouse=True)
def specs(shell: Shell) -> None:
    """Specs without Motion, whose schedules depend on the minute, and so on the engine's speed."""
    shell.done("init", "--name", "Quiet evenings", "--platforms", "linear,gitlab,notion")


@pytest.fixture
def workspace(spark: Session, tmp_path: Path) -> Iterator[Workspace]:
    with serving(spark, tmp_path) as serving_:
        yield serving_


def test_the_demo_on_databricks_says_what_it_says_locally_and_leaves_nothing_behind(
    shell: Shell, workspace: Workspace
) -> None:
    local = _told(shell)
    shell.environment |= {**workspace.environment(), "TRUEUP_STATE_BACKEND": "databricks"}
    assert _PASSING.sub("…", _told(shell)) == _PASSING.sub("…", local)
    (folder,) = workspace.schemas.values()
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


def test_the_demo_on_spark_says_what_it_says_locally(shell: Shell) -> None:
    local = _told(shell, "--keep")
    shell.environment["TRUEUP_STATE_BACKEND"] = "spark"
    spark = _told(shell, "--keep")
    assert _PASSING.sub("…", spark) == _PASSING.sub("…", local)
    assert _kept(spark) == _kept(local)


def test_the_demo_leaves_alone_the_state_that_the_specs_name(
    shell: Shell, workspace: Workspace
) -> None:
    shell.write({"specs/settings.yaml": "kind: Settings\nstate: {backend: databricks}\n"})
    shell.environment |= workspace.environment()
    assert "quiet-evenings" in shell.done("--no-color", "demo").out
    assert workspace.statements == []


def _told(shell: Shell, *options: str) -> str:
    shell.patience = 900
    return shell.done("--no-color", "demo", *options).out


def _kept(told: str) -> tuple[object, ...]:
    """Return what is in the tables of a demo that was kept, but for ids and instants."""
    place = Path(told.rstrip().rpartition("Everything is still in ")[2])
    folder = place / ".trueup" / "state"
    prefix = next(folder.glob("*bindings")).name.removesuffix("bindings")
    state = Reader(LocalTables(folder, prefix))
    found = (
        [(b.address, b.platform, b.desired_hash, b.drift, b.pending) for b in state.bindings()],
        [(r.address, r.declared, r.fingerprint, r.platforms) for r in state.resources()],
        [(r.kind, r.status, r.counts) for r in state.runs()],
        [(entry.actions, len(entry.changes)) for entry in state.history()],
        [row["platform"] for row in state.read("integrations", where={"health": ["ok"]})],
        [person.key for person in state.people()],
    )
    shutil.rmtree(place)
    return found

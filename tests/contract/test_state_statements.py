"""How few statements a state on a SQL warehouse costs, counted by the service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox._world import World
from runner.sandbox.server import serving as sandboxed
from runner.state.session import Session
from tests.contract.sandboxed import SpecRepo
from tests.warehouse import Workspace, serving

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("spark")]


@pytest.fixture
def workspace(spark: Session, tmp_path: Path) -> Iterator[Workspace]:
    with serving(spark, tmp_path) as serving_:
        yield serving_


@pytest.fixture
def repo(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SpecRepo]:
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    environment = {**workspace.environment(), "TRUEUP_STATE_BACKEND": "databricks"}
    root = tmp_path / "repo"
    root.mkdir()
    with sandboxed(World(limits=False)) as sandbox:
        yield SpecRepo(root, sandbox, project=_project("Task"), environment=environment)


def test_an_apply_of_three_hundred_changes_takes_six_statements(
    repo: SpecRepo, workspace: Workspace
) -> None:
    with repo.workspace().writer():
        assert _purposes(workspace) == [
            "look at bindings",
            "create the tables",
            "look at bindings",
            "mark bindings",
            "look at bindings",
        ]
    assert repo.apply(refresh=True).counts["applied"] == 300
    assert _purposes(workspace) == [
        "look at bindings",
        "take along bindings",  # the small tables, the lease among them
        "write to runs",  # the lease is ours
        "write to bindings",  # the run, and what is about to be done
        "write to bindings",  # what became of it
        "write to runs",  # the run has ended, and the lease is free
    ]
    assert repo.workspace().reader().lease() is None
    workspace.tags.clear()
    assert repo.plan().changes == ()
    assert _purposes(workspace) == ["look at bindings", "compare bindings"]


def _purposes(workspace: Workspace) -> list[str]:
    """Return what the statements since the last look were for.

    A renewal of the lease is left out: each takes a statement, every minute.
    """
    found = [tags["purpose"] for tags in workspace.tags]
    workspace.tags.clear()
    return [
        purpose
        for place, purpose in enumerate(found)
        if purpose != "write to runs" or place == len(found) - 1 or "take along" in found[place - 1]
    ]


def _project(title: str) -> dict[str, Any]:
    """Return a project with 74 tasks: 75 resources on four platforms."""
    tasks = {f"t{i}": {"title": f"{title} {i}"} for i in range(74)}
    return {"key": "p", "name": "P", "tasks": tasks}

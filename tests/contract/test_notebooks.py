"""The notebooks, cell by cell: on a real Spark session, where an event loop runs already."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from databricks.sdk.service.jobs import JobSettings

from runner.notebook import here, parameter
from runner.sandbox._world import World
from runner.sandbox.server import serving
from runner.state.frames import Bars
from schemas.errors import ConfigError
from tests.conftest import REPO
from tests.contract import engines
from tests.contract.engines import Spark
from tests.contract.sandboxed import SpecRepo

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("spark")]
spark_engine = engines.spark_engine
NOTEBOOKS = sorted((REPO / "notebooks").glob("*.py"))


@dataclass
class Notebook:
    """A notebook at work.

    Attributes:
        shown: rows of the frames that it displayed, and the HTML of everything else.
    """

    path: Path
    names: dict[str, Any] = field(default_factory=dict[str, Any])
    shown: list[Any] = field(default_factory=list[Any])

    def run(self) -> None:
        """Run the cells, in the thread of a running event loop, as notebooks do."""

        async def cells() -> None:
            for place, cell in enumerate(_cells(self.path)):
                exec(compile(cell, f"{self.path.name}, cell {place}", "exec"), self.names)

        self.names["display"] = self._display
        asyncio.run(cells())

    def _display(self, item: Any) -> None:
        rows = None if isinstance(item, Bars) else [row.asDict() for row in item.collect()]
        self.shown.append(item.html if rows is None else rows)


def _cells(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    cells = text.removeprefix("# Databricks notebook source\n").split("# COMMAND ----------\n")
    return [cell for cell in cells if not cell.strip().startswith("# MAGIC")]


@pytest.fixture
def repo(
    spark_engine: Spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SpecRepo]:
    """A spec repo whose state Spark keeps, with a notebook's folder as the working directory."""
    for name in [name for name in os.environ if name.startswith(("TRUEUP_", "DATABRICKS_"))]:
        if name != "TRUEUP_SPARK_JARS":
            monkeypatch.delenv(name)
    spark_engine.founded(tmp_path / ".trueup" / "state")
    project = {"key": "flat", "name": "New flat", "tasks": {"pack": {"title": "Pack"}}}
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    with serving(World(limits=False)) as sandbox:
        for name, value in {**sandbox.environment(), "TRUEUP_STATE_BACKEND": "spark"}.items():
            monkeypatch.setenv(name, value)
        repo = SpecRepo(tmp_path, sandbox, platforms=("linear",), project=project)
        repo.workspace()
        yield repo


def test_set_up_makes_the_state_and_looks_at_everything(
    repo: SpecRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = Notebook(NOTEBOOKS[0])
    notebook.run()
    said = capsys.readouterr().out
    assert f"is ready at {repo.root}" in said
    assert "LINEAR_API_KEY       is there" in said
    assert "all is well" in said
    assert notebook.shown == [[]]


def test_a_plan_is_applied_and_looked_back_at(
    repo: SpecRepo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUEUP_ACTION", "apply")
    applied = Notebook(NOTEBOOKS[2])
    applied.run()
    assert "2 applied" in capsys.readouterr().out
    plan, price, bindings, in_step, runs, history, requests, spent, commits = applied.shown
    assert {(row["address"], row["action"]) for row in plan} == {
        ("flat", "create"),
        ("flat/pack", "create"),
    }
    assert "linear" in price
    assert "<svg" in price
    assert [(row["address"], row["in_step"]) for row in bindings] == [
        ("flat", True),
        ("flat/pack", True),
    ]
    assert "linear true" in in_step
    assert [(row["status"], row["applied"], row["failed"]) for row in runs] == [("done", 2, 0)]
    assert len(history) == 2
    assert requests[0]["requests"] >= 1
    assert requests[0]["run_id"] in spent
    assert {row["operation"] for row in commits} >= {"CREATE TABLE", "MERGE"}


def test_the_agent_is_asked(
    repo: SpecRepo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUEUP_OFFLINE", "yes")
    notebook = Notebook(NOTEBOOKS[1])
    notebook.run()
    assert "compare three hosting offers" in capsys.readouterr().out.lower()
    assert notebook.shown[0] == []


def test_notebooks_are_in_the_format_of_databricks() -> None:
    assert [path.name for path in NOTEBOOKS] == [
        "00_setup.py",
        "01_agent_interface.py",
        "02_automation.py",
    ]
    for path in NOTEBOOKS:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0] == "# Databricks notebook source"
        assert len(_cells(path)) >= 3


def test_the_bundle_runs_the_notebook_on_a_schedule() -> None:
    bundle = yaml.safe_load((REPO / "databricks.yml").read_text(encoding="utf-8"))
    (job,) = bundle["resources"]["jobs"].values()
    settings = JobSettings.from_dict(job)
    known = cast("dict[str, Any]", settings.as_dict())  # pyright: ignore[reportUnknownMemberType]
    assert known == job, "the SDK knows every field"
    tasks = settings.tasks or []
    assert [task.task_key for task in tasks] == ["drift", "plan", "apply"]
    for task in tasks:
        assert task.notebook_task
        assert (REPO / task.notebook_task.notebook_path).is_file()
        assert task.notebook_task.base_parameters == {"action": task.task_key}


def test_a_parameter_is_a_widget_or_a_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRUEUP_ACTION", "drift")
    assert parameter("action", "plan") == "drift"
    assert parameter("action", "plan", {"action": " apply "}.__getitem__) == "apply"
    assert parameter("nothing", "plan") == "plan"
    monkeypatch.setenv("TRUEUP_STATE_BACKEND", "spark")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="there are no specs"):
        here()

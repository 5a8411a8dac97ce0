"""The engines that keep a state, as the conformance suite uses them: a folder is a state."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from runner.state.databricks import DatabricksTables, Schema
from runner.state.databricks_writer import DatabricksWriter
from runner.state.engine import TableReader, TableWriter
from runner.state.local import LocalTables
from runner.state.local_writer import LocalWriter
from runner.state.session import Session
from runner.state.spark import Place, SparkTables, SparkWriter
from runner.state.store import Reader, Writer
from runner.state.warehouse import Warehouse
from schemas.domain import hash_of
from schemas.tables import TABLES, VERSION, Name, Table
from tests.warehouse import WAREHOUSE, Workspace, serving


class Engine(Protocol):
    """One engine. Every engine opens the same folder, so that one reads what another wrote."""

    name: str

    def tables(
        self, folder: Path, tables: dict[Name, Table] = TABLES, version: int = VERSION
    ) -> TableReader:
        """Open the tables below a folder for reading."""
        ...

    def table_writer(
        self, folder: Path, tables: dict[Name, Table] = TABLES, version: int = VERSION
    ) -> TableWriter:
        """Open the tables below a folder for writing, as they are."""
        ...

    def founded(self, folder: Path) -> Path:
        """Make an empty state below a folder, by this engine."""
        ...


class Local:
    """delta-rs."""

    name = "local"

    def tables(
        self, folder: Path, tables: dict[Name, Table] = TABLES, version: int = VERSION
    ) -> TableReader:
        return LocalTables(folder, tables=tables, version=version)

    def table_writer(
        self, folder: Path, tables: dict[Name, Table] = TABLES, version: int = VERSION
    ) -> TableWriter:
        return LocalWriter(folder, tables=tables, version=version)

    def founded(self, folder: Path) -> Path:
        LocalWriter(folder).ensure()
        return folder


class Spark:
    """delta-spark. A state takes it seconds to make, so one is made and copied."""

    name = "spark"

    def __init__(self, session: Session, pattern: Path) -> None:
        self.session = session
        self._pattern = pattern
        SparkWriter(session, Place(pattern)).ensure()

    def tables(
        self, folder: Path, tables: dict[Name, Table] = TABLES, version: int = VERSION
    ) -> TableReader:
        return SparkTables(self.session, Place(folder), tables=tables, version=version)

    def table_writer(
        self, folder: Path, tables: dict[Name, Table] = TABLES, version: int = VERSION
    ) -> TableWriter:
        return SparkWriter(self.session, Place(folder), tables=tables, version=version)

    def founded(self, folder: Path) -> Path:
        shutil.copytree(self._pattern, folder)
        return folder


@pytest.fixture(scope="session")
def spark_engine(spark: Session, tmp_path_factory: pytest.TempPathFactory) -> Spark:
    return Spark(spark, tmp_path_factory.mktemp("spark") / "pattern ü")


class Databricks:
    """A SQL warehouse: the vendor's SDK against a stand-in for the service."""

    name = "databricks"

    def __init__(self, workspace: Workspace, pattern: Path) -> None:
        self.workspace = workspace
        self._pattern = pattern
        self.table_writer(pattern).ensure()

    def tables(
        self, folder: Path, tables: dict[Name, Table] = TABLES, version: int = VERSION
    ) -> TableReader:
        return DatabricksTables(
            self._warehouse(), self._schema(folder), tables=tables, version=version
        )

    def table_writer(
        self, folder: Path, tables: dict[Name, Table] = TABLES, version: int = VERSION
    ) -> DatabricksWriter:
        return DatabricksWriter(
            self._warehouse(), self._schema(folder), tables=tables, version=version
        )

    def founded(self, folder: Path) -> Path:
        shutil.copytree(self._pattern, folder)
        return folder

    def _schema(self, folder: Path) -> Schema:
        name = f"state_{hash_of(str(folder))[:12]}"
        self.workspace.schemas[("jwp763", name)] = folder
        return Schema("jwp763", name)

    def _warehouse(self) -> Warehouse:
        return Warehouse(WAREHOUSE, self.workspace.client, pause=lambda _: None)


@pytest.fixture(scope="session")
def databricks_engine(
    spark: Session, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Databricks]:
    folder = tmp_path_factory.mktemp("databricks")
    with serving(spark, folder) as workspace:
        yield Databricks(workspace, folder / "pattern")


ENGINES = ("local", "spark", "databricks")
"""One more engine needs a class like those above, a fixture `<name>_engine`, and its name here."""


def engine_called(name: str, request: pytest.FixtureRequest) -> Engine:
    return Local() if name == "local" else request.getfixturevalue(f"{name}_engine")


def writer(engine: Engine, folder: Path) -> Writer:
    return Writer(engine.table_writer(folder))


def reader(engine: Engine, folder: Path) -> Reader:
    return Reader(engine.tables(folder))

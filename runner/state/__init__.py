"""The state: what was last agreed on, in Delta tables; one file per backend.

`contract` is what callers see, `store` the typed state on any engine, `engine` the small surface
that a backend implements: `local` on delta-rs, `spark` in a Spark session, `databricks` on a SQL
warehouse.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from runner.state.check import check_state
from schemas.domain import hash_of
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.config import Config
    from runner.state.contract import StateReader, StateWriter
    from runner.state.databricks import Schema
    from runner.state.engine import TableReader, TableWriter
    from runner.state.session import Session
    from runner.state.spark import Place
    from runner.state.warehouse import Warehouse
    from schemas.spec import Settings

_BACKENDS = ("local", "spark", "databricks")

__all__ = [
    "check_state",
    "discard_state",
    "lock_file",
    "no_state",
    "open_state",
    "read_state",
    "spark_at",
    "tables_at",
    "tables_at_for_writing",
]


def read_state(settings: Settings, config: Config) -> StateReader:
    """Return the state for reading, as it is now; nothing is created where there is none yet.

    Raises:
        ConfigError: the settings name a backend that is not there.
    """
    from runner.state.store import Reader

    return Reader(_reader(settings, "", config))


def no_state(config: Config) -> StateReader:
    """Return a state that holds nothing, for where the real one cannot be read."""
    from runner.state.local import LocalTables
    from runner.state.store import Reader

    return Reader(LocalTables(config.local / "no-state", ""))


def open_state(settings: Settings, config: Config) -> StateWriter:
    """Return the state for writing; its tables are created, or brought up to date, first.

    Raises:
        ConfigError: the settings name a backend that is not there.
        StateVersionError: a newer trueup made it.
        StateError: it cannot be created or read.
    """
    from runner.state.store import Writer

    engine = _writer(settings, "", config)
    engine.ensure()
    return Writer(engine)


def discard_state(settings: Settings, config: Config) -> None:
    """Drop the tables of a state that nobody needs any more, where no folder goes with them."""
    if _backend(settings, config) == "databricks":
        from runner.state.databricks_writer import DatabricksWriter

        DatabricksWriter(_warehouse(settings, config), _schema(settings, config)).discard()


def lock_file(settings: Settings, config: Config) -> Path:
    """Return the file that an apply keeps locked on its machine for as long as it lives.

    Whoever shares the state on this machine shares the file: below the folder of the tables, or,
    where several checkouts may have one state elsewhere, among the temporary files.
    """
    if _backend(settings, config) == "databricks":
        name = hash_of([str(_schema(settings, config)), config.variable("DATABRICKS_HOST")])
        return Path(tempfile.gettempdir()) / f"trueup-{os.getuid()}" / f"{name[:16]}.lock"
    folder, prefix = _folder(settings, config)
    return folder / f"{prefix}lease.lock"


def tables_at(where: str, settings: Settings, config: Config) -> TableReader:
    """Return the tables at a place for reading.

    Args:
        where: `local`, `spark` or `databricks`, alone for the place that the settings name, or with
            one of its own: `local:folder`, `spark:folder/`, `spark:schema`,
            `databricks:catalog.schema`. Empty for what is configured.
        settings: name the rest.
        config: names the rest.

    Raises:
        ConfigError: there is no such backend.
    """
    return _reader(*_at(where, settings), config)


def tables_at_for_writing(where: str, settings: Settings, config: Config) -> TableWriter:
    """Return the tables at a place for writing, as they are; see `tables_at`."""
    return _writer(*_at(where, settings), config)


def _at(where: str, settings: Settings) -> tuple[Settings, str]:
    """Return settings that name the place, and its backend."""
    backend, _, place = where.partition(":")
    if where and backend not in _BACKENDS:
        raise ConfigError(
            f"there is no state backend `{backend}`", hint=f"use {', '.join(_BACKENDS)}"
        )
    if not place:
        return settings, backend
    state = settings.get("state", {}).copy()
    for key in ("path", "catalog", "schema"):
        state.pop(key, None)
    if backend == "local" or "/" in place:
        state["path"] = place
    else:
        *catalog, state["schema"] = place.rsplit(".", 1)
        if catalog:
            state["catalog"] = catalog[0]
    return {**settings, "state": state}, backend


def _reader(settings: Settings, backend: str, config: Config) -> TableReader:
    match backend or _backend(settings, config):
        case "databricks":
            from runner.state.databricks import DatabricksTables

            return DatabricksTables(_warehouse(settings, config), _schema(settings, config))
        case "spark":
            from runner.state.spark import SparkTables

            return SparkTables(*spark_at(settings, config))
        case _:
            from runner.state.local import LocalTables

            return LocalTables(*_folder(settings, config))


def _writer(settings: Settings, backend: str, config: Config) -> TableWriter:
    match backend or _backend(settings, config):
        case "databricks":
            from runner.state.databricks_writer import DatabricksWriter

            return DatabricksWriter(_warehouse(settings, config), _schema(settings, config))
        case "spark":
            from runner.state.spark import SparkWriter

            return SparkWriter(*spark_at(settings, config))
        case _:
            from runner.state.local_writer import LocalWriter

            return LocalWriter(*_folder(settings, config))


def _backend(settings: Settings, config: Config) -> str:
    backend = config.variable("TRUEUP_STATE_BACKEND") or settings.get("state", {}).get("backend")
    if backend and backend not in _BACKENDS:
        raise ConfigError(
            f"there is no state backend `{backend}`", hint=f"use {', '.join(_BACKENDS)}"
        )
    return backend or "local"


def _folder(settings: Settings, config: Config) -> tuple[Path, str]:
    """Return the folder of the tables and what stands before their names."""
    state = settings.get("state", {})
    folder = config.root / state["path"] if "path" in state else config.local / "state"
    return folder, _prefix(settings, config)


def _prefix(settings: Settings, config: Config) -> str:
    name = config.variable("TRUEUP_STATE_NAME") or settings.get("state", {}).get("name", "")
    return f"{name}_" if name else ""


def spark_at(settings: Settings, config: Config) -> tuple[Session, Place]:
    """Return the Spark session that is there, and where it has the tables.

    Raises:
        ConfigError: there is no Spark, or it cannot have them there.
    """
    from runner.state.session import check_schema, open_session

    session, place = open_session(config.variable), _place(settings, config)
    if isinstance(place.where, str):
        check_schema(session, place.where)
    return session, place


def _place(settings: Settings, config: Config) -> Place:
    """Return where Spark has the tables: a schema where one is named, else a folder.

    On Databricks that is the schema that the backend `databricks` uses, unless a folder is named.
    """
    from runner.state.spark import Place

    state = settings.get("state", {})
    on_databricks = config.variable("DATABRICKS_RUNTIME_VERSION") and "path" not in state
    if on_databricks or _backend(settings, config) == "databricks":
        schema = _schema(settings, config)
        return Place(f"{schema.catalog}.{schema.schema}", schema.prefix)
    if "schema" in state:
        catalog = [state["catalog"]] if "catalog" in state else []
        return Place(".".join([*catalog, state["schema"]]), _prefix(settings, config))
    return Place(*_folder(settings, config))


def _schema(settings: Settings, config: Config) -> Schema:
    """Return where Databricks has the tables."""
    from runner.state.databricks import Schema

    state = settings.get("state", {})
    return Schema(
        state.get("catalog", "jwp763"),
        state.get("schema", "orchestrator"),
        _prefix(settings, config),
    )


def _warehouse(settings: Settings, config: Config) -> Warehouse:
    """Return the SQL warehouse that the environment names, else the Settings spec."""
    from runner.state.warehouse import Warehouse, sign_in

    identifier = (
        config.variable("TRUEUP_DATABRICKS_WAREHOUSE_ID")
        or config.variable("DATABRICKS_WAREHOUSE_ID")
        or settings.get("state", {}).get("warehouse", "")
    )
    if not identifier:
        raise ConfigError(
            "the state backend `databricks` needs a SQL warehouse, and none is named",
            hint="set DATABRICKS_WAREHOUSE_ID, or `state: {warehouse: ...}` in the Settings spec;"
            " the id is on the warehouse's page",
        )
    return Warehouse(identifier, sign_in)

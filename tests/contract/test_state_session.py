"""Which Spark session keeps a state, and where it can."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.config import read_config
from runner.state import read_state, spark_at
from runner.state.session import Session
from schemas.errors import ConfigError
from schemas.spec import Settings

pytestmark = pytest.mark.xdist_group("spark")


FORGOTTEN: Settings = {"kind": "Settings", "state": {"schema": "orchestrator"}}
UNKNOWN: Settings = {"kind": "Settings", "state": {"catalog": "other", "schema": "orchestrator"}}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (FORGOTTEN, "forgets the schema `orchestrator` when it ends"),
        (UNKNOWN, "has no catalog `other`"),
    ],
)
def test_a_local_session_is_given_no_schema(
    spark: Session, tmp_path: Path, settings: Settings, said: str
) -> None:
    config = read_config(tmp_path, environ={"TRUEUP_STATE_BACKEND": "spark"})
    with pytest.raises(ConfigError, match=said) as caught:
        read_state(settings, config)
    assert "state: {path: ...}" in caught.value.hint


def test_the_session_that_is_there_is_used(spark: Session, tmp_path: Path) -> None:
    config = read_config(tmp_path, environ={"TRUEUP_STATE_BACKEND": "spark"})
    session, place = spark_at({"kind": "Settings", "state": {"name": "home"}}, config)
    assert session is spark
    assert place.label("runs") == f"runs at {tmp_path}/.trueup/state/home_runs"


def test_a_notebook_on_databricks_has_the_tables_that_a_warehouse_has(
    spark: Session, tmp_path: Path
) -> None:
    environment = {"TRUEUP_STATE_BACKEND": "spark", "DATABRICKS_RUNTIME_VERSION": "17.3"}
    with pytest.raises(ConfigError, match="has no catalog `jwp763`"):
        spark_at({"kind": "Settings"}, read_config(tmp_path, environ=environment))

"""Statements on a SQL warehouse: the vendor's SDK against a stand-in for the service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.config import Config, read_config
from runner.state import open_state, read_state
from runner.state.commits import LostRace
from runner.state.databricks import DatabricksTables, Schema
from runner.state.databricks_writer import DatabricksWriter
from runner.state.session import Session
from runner.state.store import Reader, Writer
from runner.state.warehouse import RERUNS, StatementFailed, Warehouse, sign_in
from schemas.errors import ConfigError, StateError
from tests.unit.states import RUN, binding
from tests.warehouse import CLIENT, TOKEN, WAREHOUSE, Fault, Workspace, serving

pytestmark = pytest.mark.xdist_group("spark")

SUBMIT = "POST /api/2.0/sql/statements"
STATEMENT = "GET /api/2.0/sql/statements/"
NUMBERS = "SELECT id FROM range(25)"


@dataclass
class Patient:
    """A warehouse that waits without waiting, and what it waited for."""

    workspace: Workspace
    pauses: list[float] = field(default_factory=list[float])

    def open(self) -> Warehouse:
        return Warehouse(WAREHOUSE, self.workspace.client, pause=self.pauses.append)


@pytest.fixture
def workspace(spark: Session, tmp_path: Path) -> Iterator[Workspace]:
    with serving(spark, tmp_path) as serving_:
        yield serving_


@pytest.fixture
def patient(workspace: Workspace) -> Patient:
    return Patient(workspace)


@pytest.fixture
def warehouse(patient: Patient) -> Warehouse:
    return patient.open()


@pytest.fixture
def environment(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing in the environment but what a test sets; no profiles either."""
    for name in ("HOST", "TOKEN", "CLIENT_ID", "CLIENT_SECRET", "CONFIG_PROFILE", "AUTH_TYPE"):
        monkeypatch.delenv(f"DATABRICKS_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))
    monkeypatch.setenv("DATABRICKS_METADATA_SERVICE_URL", "")


def test_values_are_typed(warehouse: Warehouse) -> None:
    answer = warehouse.run(
        "SELECT 9007199254740993 AS big, true AS yes, false AS no, '7' AS text, '' AS empty,"
        " CAST(NULL AS BIGINT) AS none"
    )
    expected = {
        "big": 9007199254740993,
        "yes": True,
        "no": False,
        "text": "7",
        "empty": "",
        "none": None,
    }
    assert list(answer.rows()) == [expected]
    assert warehouse.run("SELECT 1 AS one WHERE false").columns() == {"one": []}


def test_parameters_are_data_whatever_they_look_like(warehouse: Warehouse) -> None:
    odd = "it's \\ \"odd\" \\' :other `x` ${user.home} -- ü\n{}"
    answer = warehouse.run(
        "SELECT :odd AS odd, ':odd' AS quoted, map('a', 1)['a'] AS one", {"odd": odd, "other": "?"}
    )
    assert list(answer.rows()) == [{"odd": odd, "quoted": ":odd", "one": 1}]
    with pytest.raises(StatementFailed) as caught:
        warehouse.run("SELECT :missing")
    assert caught.value.code == "UNBOUND_SQL_PARAMETER"


def test_a_statement_is_polled_to_its_end(patient: Patient) -> None:
    patient.workspace.polls = 6
    assert list(patient.open().run("SELECT 1 AS one").rows()) == [{"one": 1}]
    assert len(patient.pauses) == 6
    assert patient.pauses == sorted(patient.pauses)


def test_results_come_in_chunks(patient: Patient) -> None:
    patient.workspace.chunk_rows = 10
    assert patient.open().run(NUMBERS).columns() == {"id": list(range(25))}
    chunks = [line for line in patient.workspace.requests if "/chunks/" in line]
    assert len(chunks) == 2


def test_long_results_are_fetched_from_cloud_storage(patient: Patient) -> None:
    patient.workspace.chunk_rows = 10
    patient.workspace.inline_bytes = 40
    assert patient.open().run(NUMBERS).columns() == {"id": list(range(25))}
    assert sum(line.startswith("GET /external/") for line in patient.workspace.requests) == 3
    assert TOKEN not in "".join(patient.workspace.requests)


def test_a_link_that_has_expired_is_asked_for_again(patient: Patient) -> None:
    workspace = patient.workspace
    workspace.inline_bytes = 40
    workspace.expired_links = 1
    assert patient.open().run(NUMBERS).columns() == {"id": list(range(25))}
    workspace.expired_links = 9
    with pytest.raises(StateError, match="cannot be fetched from cloud storage") as caught:
        patient.open().run(NUMBERS)
    assert "http" not in caught.value.message


def test_a_failure_names_the_statement_and_its_class(warehouse: Warehouse) -> None:
    with pytest.raises(StatementFailed, match=r"no_such_column.*\(statement [0-9a-f]{32}\)") as e:
        warehouse.run("SELECT no_such_column FROM range(1)")
    assert e.value.code.startswith("UNRESOLVED_COLUMN")
    assert "\n" not in e.value.message


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (
            "[INSUFFICIENT_PERMISSIONS] Insufficient privileges: User does not have USE SCHEMA on"
            " Schema 'jwp763.orchestrator'.",
            "GRANT USE SCHEMA ON SCHEMA jwp763.orchestrator TO",
        ),
        (
            "PERMISSION_DENIED: User does not have CREATE CATALOG on Metastore 'm'.",
            "CREATE CATALOG",
        ),
        ("PERMISSION_DENIED: no", "USE CATALOG"),
    ],
)
def test_a_missing_grant_is_named(patient: Patient, said: str, hint: str) -> None:
    patient.workspace.faults.append(Fault(SUBMIT, failure=said))
    with pytest.raises(StatementFailed) as caught:
        patient.open().run("SELECT 1")
    assert hint in caught.value.hint


def test_a_lost_race_is_told_apart(patient: Patient) -> None:
    said = "[DELTA_CONCURRENT_APPEND.WITHOUT_HINT] Files were added by a concurrent update."
    patient.workspace.faults.append(Fault(SUBMIT, failure=said))
    with pytest.raises(LostRace):
        patient.open().run("SELECT 1")


@pytest.mark.parametrize("status", [429, 503])
def test_throttling_and_outages_are_waited_out_by_the_sdk(patient: Patient, status: int) -> None:
    fault = Fault(SUBMIT, status, headers={"Retry-After": "0"}, body={"message": "slow down"})
    patient.workspace.faults.append(fault)
    assert list(patient.open().run("SELECT 1 AS one").rows()) == [{"one": 1}]
    assert patient.workspace.requests.count(SUBMIT) == 2


def test_an_error_of_the_service_is_told_and_not_repeated(patient: Patient) -> None:
    body: dict[str, object] = {"error_code": "INTERNAL_ERROR", "message": "sorry"}
    patient.workspace.faults.append(Fault(SUBMIT, 500, body=body))
    with pytest.raises(StateError, match="cannot be reached: sorry") as caught:
        patient.open().run("SELECT 1")
    assert "stays committed" in caught.value.hint


@pytest.mark.parametrize(
    "said", ["[INVALID_HANDLE.SESSION_NOT_FOUND] Handle invalid", "The session has expired"]
)
def test_a_session_that_was_forgotten_is_begun_anew(patient: Patient, said: str) -> None:
    patient.workspace.faults.append(Fault(SUBMIT, failure=said))
    assert list(patient.open().run("SELECT 1 AS one").rows()) == [{"one": 1}]
    patient.workspace.faults.append(Fault(SUBMIT, failure=said, times=RERUNS + 1))
    with pytest.raises(StatementFailed):
        patient.open().run("SELECT 1")


def test_a_statement_that_was_forgotten_is_sent_again(patient: Patient) -> None:
    patient.workspace.polls = 1
    gone: dict[str, object] = {"error_code": "NOT_FOUND", "message": "no such statement"}
    patient.workspace.faults.append(Fault(STATEMENT, 404, body=gone))
    assert list(patient.open().run("SELECT 1 AS one").rows()) == [{"one": 1}]
    assert len(patient.workspace.statements) == 2


def test_nobody_waits_any_more_so_the_statement_is_cancelled(workspace: Workspace) -> None:
    workspace.polls = 3

    def leave(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Warehouse(WAREHOUSE, workspace.client, pause=leave).run("SELECT 1")
    assert len(workspace.cancelled) == 1


def test_a_cancel_that_fails_does_not_hide_why_it_was_sent(workspace: Workspace) -> None:
    from databricks.sdk.core import ApiClient, Config

    workspace.polls = 3
    workspace.faults.append(Fault("/cancel", 503, times=99))

    def leave(_: float) -> None:
        raise KeyboardInterrupt

    def client() -> ApiClient:
        return ApiClient(Config(host=workspace.url, token=TOKEN, retry_timeout_seconds=1))

    with pytest.raises(KeyboardInterrupt):
        Warehouse(WAREHOUSE, client, pause=leave).run("SELECT 1")
    assert any(line.endswith("/cancel") for line in workspace.requests)


def test_a_warehouse_is_started_and_waited_for(patient: Patient) -> None:
    patient.workspace.state = "STOPPED"
    patient.workspace.starting = 3
    warehouse = patient.open()
    warehouse.run("SELECT 1")
    warehouse.run("SELECT 1")
    assert patient.workspace.state == "RUNNING"
    starts = [line for line in patient.workspace.requests if line.endswith("/start")]
    assert len(starts) == 1
    assert len(patient.pauses) >= 3


def test_whoever_may_not_start_a_warehouse_may_still_use_it(patient: Patient) -> None:
    patient.workspace.state = "STOPPED"
    denied: dict[str, object] = {"error_code": "PERMISSION_DENIED", "message": "no"}
    patient.workspace.faults.append(Fault("/start", 403, body=denied))
    assert list(patient.open().run("SELECT 1 AS one").rows()) == [{"one": 1}]


def test_a_warehouse_that_is_gone_or_unknown_is_said(patient: Patient) -> None:
    patient.workspace.state = "DELETED"
    with pytest.raises(StateError, match="was deleted"):
        patient.open().run("SELECT 1")
    with pytest.raises(StateError, match="there is no SQL warehouse feed") as caught:
        Warehouse("feed", patient.workspace.client).run("SELECT 1")
    assert "/warehouses/" in caught.value.hint


def test_a_token_that_is_refused_is_said_and_not_shown(patient: Patient) -> None:
    client = patient.workspace.client
    patient.workspace.tokens.clear()
    with pytest.raises(StateError, match="does not know us") as caught:
        Warehouse(WAREHOUSE, client).run("SELECT 1")
    assert TOKEN not in f"{caught.value} {caught.value.hint}"


@pytest.mark.usefixtures("environment")
def test_the_sdk_signs_in_with_what_it_finds(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        sign_in()
    assert "DATABRICKS_HOST" in caught.value.hint
    (tmp_path / "databrickscfg").write_text(
        f"[work]\nhost = {workspace.url}\ntoken = {TOKEN}\n", encoding="utf-8"
    )
    ways = [
        {"HOST": workspace.url, "TOKEN": TOKEN},
        {"HOST": workspace.url, "CLIENT_ID": CLIENT[0], "CLIENT_SECRET": CLIENT[1]},
        {"CONFIG_PROFILE": "work"},
    ]
    for way in ways:
        with monkeypatch.context() as patch:
            for name, value in way.items():
                patch.setenv(f"DATABRICKS_{name}", value)
            answer = Warehouse(WAREHOUSE, sign_in).run("SELECT 1 AS one")
        assert list(answer.rows()) == [{"one": 1}]
    assert "POST /oidc/v1/token" in workspace.requests


def test_statements_are_tagged(patient: Patient, tmp_path: Path) -> None:
    patient.open().run("SELECT 1", tags={"application": "trueup", "run": "r1"})
    assert patient.workspace.tags == [{"application": "trueup", "run": "r1"}]


@pytest.mark.usefixtures("environment")
def test_the_settings_and_the_environment_choose_the_tables(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", workspace.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    plain = _config(tmp_path, TRUEUP_STATE_BACKEND="databricks")
    with pytest.raises(ConfigError, match="needs a SQL warehouse") as caught:
        read_state({"kind": "Settings"}, plain)
    assert "DATABRICKS_WAREHOUSE_ID" in caught.value.hint
    named = read_state({"kind": "Settings", "state": {"warehouse": WAREHOUSE}}, plain)
    assert (named.place, named.identity()) == ("jwp763.orchestrator", None)
    config = _config(tmp_path, DATABRICKS_WAREHOUSE_ID=WAREHOUSE)
    state = open_state(
        {
            "kind": "Settings",
            "state": {
                "backend": "databricks",
                "catalog": "other",
                "schema": "state",
                "name": "home",
            },
        },
        config,
    )
    assert state.place == "other.state.home_*"
    assert "other" in workspace.catalogs
    assert (workspace.schemas["other", "state"] / "home_bindings" / "_delta_log").is_dir()


def test_an_unchanged_state_is_compared_in_two_statements(patient: Patient) -> None:
    place = Schema("jwp763", "orchestrator")
    writer = DatabricksWriter(patient.open(), place)
    writer.ensure()
    Writer(writer).save_bindings([binding(f"a/t{i}") for i in range(30)], RUN)
    warehouse = patient.open()
    reader = Reader(DatabricksTables(warehouse, place))
    assert reader.identity()
    diff = reader.diff((f"a/t{i}", "linear", "f1") for i in range(30))
    assert (diff.missing, diff.changed, diff.gone, diff.bound) == ((), (), (), 30)
    assert reader.version() != "none"
    assert warehouse.sent == 2


def test_rows_that_do_not_fit_into_one_statement_are_sent_in_several(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Schema("jwp763", "orchestrator")
    state = Writer(DatabricksWriter(patient.open(), place))
    DatabricksWriter(patient.open(), place).ensure()
    saved = [binding(f"a/t{i}") for i in range(12)]
    monkeypatch.setattr("runner.state.databricks.PAYLOAD", 2000)
    assert state.save_bindings(saved, RUN).inserted == 12
    writes = [text for text in patient.workspace.statements if text.startswith("MERGE")]
    assert 2 <= len(writes) <= 6
    monkeypatch.setattr("runner.state.databricks.PAYLOAD", 400)
    wanted = [(b.address, b.platform, "f1") for b in saved[1:]] + [("a/new", "linear", "f1")]
    wanted[5] = (*wanted[5][:2], "f2")
    diff = state.diff(wanted)
    assert diff.missing == (("a/new", "linear"),)
    assert [b.address for b in diff.changed] == [wanted[5][0]]
    assert [b.address for b in diff.gone] == ["a/t0"]
    assert diff.bound == 12
    assert len(state.bindings([b.address for b in saved])) == 12


def _config(root: Path, **environment: str) -> Config:
    return read_config(root, environ={**environment, "HOME": str(root)})

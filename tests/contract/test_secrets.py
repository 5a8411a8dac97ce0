"""Tokens from a Databricks secret scope: the vendor's SDK against two stand-ins."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcilers.linear import PROFILE
from runner.agent.contract import AgentRequest
from runner.agent.desk import Desk
from runner.agent.ledger import Ledger
from runner.config import read_config
from runner.state.warehouse import Warehouse
from runner.vault import SecretScope
from runner.workspace import Workspace as SpecRepo
from schemas.errors import ConfigError, StateError
from tests.warehouse import TOKEN, Fault, Workspace, serving

READ = "GET /api/2.0/secrets/get"
SETTINGS = "kind: Settings\nstate: {secret_scope: trueup}\n"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))
    with serving(None, tmp_path) as serving_:
        for name, value in serving_.environment().items():
            monkeypatch.setenv(name, value)
        serving_.secrets["trueup", "LINEAR_API_KEY"] = "lin_api_1"
        yield serving_


def opened(root: Path, settings: str = SETTINGS, **environment: str) -> SpecRepo:
    (root / "specs").mkdir(exist_ok=True)
    (root / "specs" / "settings.yaml").write_text(settings, encoding="utf-8")
    return SpecRepo(read_config(root, environ={"HOME": str(root), **environment}))


def test_a_token_comes_from_the_scope_that_the_settings_name(
    workspace: Workspace, tmp_path: Path
) -> None:
    config = opened(tmp_path).config
    assert workspace.requests == []
    assert config.token(PROFILE) == "lin_api_1"
    assert config.token(PROFILE) == "lin_api_1"
    assert workspace.requests.count(READ) == 1
    assert "lin_api_1" not in repr(config)


def test_the_environment_names_another_scope_and_goes_before_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.secrets["work", "LINEAR_API_KEY"] = "lin_api_2\n"
    assert opened(tmp_path, TRUEUP_SECRET_SCOPE="work").config.token(PROFILE) == "lin_api_2"
    seen = len(workspace.requests)
    assert opened(tmp_path, LINEAR_API_KEY="lin_api_3").config.token(PROFILE) == "lin_api_3"
    with pytest.raises(ConfigError, match=r"LINEAR_API_KEY is not set$"):
        opened(tmp_path, "kind: Settings\n").config.token(PROFILE)
    assert len(workspace.requests) == seen


def test_what_the_scope_does_not_have_is_said(workspace: Workspace, tmp_path: Path) -> None:
    workspace.secrets.clear()
    with pytest.raises(ConfigError, match="the secret scope `trueup` does not have it"):
        opened(tmp_path).config.token(PROFILE)


def test_the_keys_of_models_come_from_the_scope_too(workspace: Workspace, tmp_path: Path) -> None:
    workspace.secrets["trueup", "ANTHROPIC_API_KEY"] = "sk-scope"
    workspace.secrets["trueup", "OPENAI_API_KEY"] = "sk-scope"
    desk = Desk(opened(tmp_path, OPENAI_API_KEY="sk-environment").config)
    case = desk.case(AgentRequest("Plan the fair", request_id="r-1"))
    assert READ not in workspace.requests
    drafter = desk.drafter(case, Ledger(), lambda _kind, _text: None)
    keys = {name: access.key for name, access in drafter.access.items()}
    assert keys == {"anthropic": "sk-scope", "openai": "sk-environment"}
    assert "sk-" not in repr(drafter.access)
    workspace.faults.append(Fault(READ, 403, body={"error_code": "PERMISSION_DENIED"}))
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY is not set, and the secret scope"):
        Desk(opened(tmp_path).config).drafter(case, Ledger(), lambda _kind, _text: None)


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        (401, "UNAUTHENTICATED", "does not know us"),
        (403, "PERMISSION_DENIED", "does not let us read it"),
        (400, "BAD_REQUEST", "does not let us read it"),
    ],
)
def test_a_refusal_is_said_and_nothing_that_it_quotes(
    workspace: Workspace, tmp_path: Path, status: int, code: str, why: str
) -> None:
    body: dict[str, object] = {"error_code": code, "message": f"no {TOKEN}"}
    workspace.faults.append(Fault(READ, status, body=body))
    with pytest.raises(ConfigError, match=why) as caught:
        opened(tmp_path).config.token(PROFILE)
    assert caught.value.hint
    assert TOKEN not in f"{caught.value} {caught.value.hint}"


@pytest.fixture(scope="module")
def minilake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `minilake`, an emulator of Databricks' REST API by others."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = str(tmp_path_factory.mktemp("minilake"))
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [Path(sys.executable).with_name("minilake"), "--port", str(port)],
        env={**os.environ, "MINILAKE_DATA_DIR": folder, "MINILAKE_NOTEBOOK": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"{url}/_minilake/health", process)
        yield url
    finally:
        process.terminate()
        process.wait()


def test_an_emulator_by_others_takes_our_catalogs_schemas_and_secrets(minilake: str) -> None:
    """It has no Delta tables, catalogs in SQL or named parameters: no state can live there."""
    from databricks.sdk import WorkspaceClient

    client = WorkspaceClient(host=minilake, token="any", auth_type="pat")
    client.warehouses.create(name="small", cluster_size="2X-Small")
    (warehouse,) = client.warehouses.list()
    ours = Warehouse(warehouse.id or "", lambda: client.api_client)
    assert list(ours.run("SELECT 1 AS one, 'ü' AS text").rows()) == [{"one": 1, "text": "ü"}]
    with pytest.raises(StateError, match="refuses the statement"):
        ours.run("CREATE CATALOG IF NOT EXISTS `jwp763`")
    client.catalogs.create("jwp763")
    client.schemas.create("orchestrator", "jwp763")
    ours.run("CREATE TABLE jwp763.orchestrator.users (key STRING, number BIGINT)")
    ours.run("INSERT INTO jwp763.orchestrator.users VALUES ('me', 7), ('ana', NULL)")
    found = ours.run("SELECT * FROM jwp763.orchestrator.users ORDER BY key").columns()
    assert found == {"key": ["ana", "me"], "number": [None, 7]}
    client.secrets.create_scope("trueup")
    client.secrets.put_secret("trueup", "LINEAR_API_KEY", string_value="lin_api_1")
    assert [item.key for item in client.secrets.list_secrets("trueup")] == ["LINEAR_API_KEY"]
    # It lets notebooks and jobs only read a secret, as a workspace may.
    with pytest.raises(ConfigError, match="does not let us read it") as caught:
        SecretScope("trueup", lambda: client.api_client).secret("LINEAR_API_KEY")
    assert "set LINEAR_API_KEY" in caught.value.hint


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "it has ended"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail("it does not come up")

"""A state behind Spark Connect: a real server from the wheel of Spark; delta-rs reads along."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sandbox._world import World
from runner.sandbox.server import serving
from runner.state.session import JARS, SETTINGS
from tests.e2e.shell import Shell
from tests.specrepo import AROUND

pytestmark = pytest.mark.soak

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
PROJECT = """\
kind: Project
key: app
name: App
platforms: [linear]
tasks:
  pick: {title: Pick the stack}
  build: {title: "Bauen „größer“"}
"""


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[str]:
    """The address of a Spark Connect server; it must come up in continuous integration."""
    import pyspark

    home = Path(pyspark.__file__).parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        **SETTINGS,
        **_jars(),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
    }
    options = [word for item in settings.items() for word in ("--conf", "=".join(item))]
    command = [home / "bin" / "spark-submit", "--master", "local[2]", *options, "--class", SERVER]
    said = tmp_path / "server.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYSPARK_PYTHON": sys.executable},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for(port, process, said)
            yield f"sc://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _jars() -> dict[str, str]:
    fetched = [Path.home() / ".ivy2.5.2" / "jars" / name for name in JARS]
    if given := os.environ.get("TRUEUP_SPARK_JARS"):
        fetched = sorted(Path(given).glob("*.jar"))
    if fetched and all(path.is_file() for path in fetched):
        return {"spark.jars": ",".join(map(str, fetched))}
    return {"spark.jars.packages": "io.delta:delta-spark_4.2_2.13:4.4.0"}


def _wait_for(port: int, process: subprocess.Popen[bytes], said: Path) -> None:
    for _ in range(1200):
        assert process.poll() is None, said.read_text(errors="replace")[-2000:]
        with socket.socket() as look:
            if look.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(said.read_text(errors="replace")[-2000:])


def test_an_apply_through_spark_connect_is_read_by_delta_rs(
    shell: Shell, remote: str, tmp_path: Path
) -> None:
    settings = f"kind: Settings\nstate: {{path: {tmp_path}/state}}\n"
    shell.write(
        {
            "specs/around.yaml": AROUND,
            "specs/app.yaml": PROJECT,
            "specs/settings.yaml": settings,
            ".gitignore": ".trueup\n",
        }
    )
    shell.commit("Declare")
    there = {"TRUEUP_STATE_BACKEND": "spark", "SPARK_REMOTE": remote}
    shell.environment["TRUEUP_TODAY"] = "2026-11-24"
    shell.patience = 600
    with serving(World(limits=False)) as sandbox:
        shell.environment.update(sandbox.environment())
        applied = shell.trueup("apply", "--yes", "--json", **there)
        assert applied.code == 0, applied.err
        assert applied.json()["counts"]["applied"] == 3
        for looked in (shell.trueup("plan", "--json", **there), shell.trueup("plan", "--json")):
            assert looked.json()["changes"] == []
        here = shell.done("state", "list", "--json").json()
        assert shell.trueup("state", "list", "--json", **there).json() == here
        assert len(here) == 3
        (entry,) = shell.done("history", "--json").json()
        assert len(entry["changes"]) == 3
        shell.write({"specs/app.yaml": PROJECT.replace("Pick", "Choose")})
        shell.done("apply", "--yes")
        assert "Choose" in shell.trueup("state", "show", "app/pick", **there).out


def test_a_server_that_is_not_there_is_said(shell: Shell) -> None:
    shell.done("init")
    there = {"TRUEUP_STATE_BACKEND": "spark", "SPARK_REMOTE": "sc://127.0.0.1:9"}
    refused = shell.trueup("plan", **there)
    assert refused.code == 1
    assert "SPARK_REMOTE" in refused.err
    assert "Traceback" not in refused.err

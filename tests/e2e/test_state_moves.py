"""`state copy`, `export`, `import`, `optimize` as typed: the state moves, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sandbox._world import World
from runner.sandbox.server import serving
from tests.e2e.shell import Shell
from tests.specrepo import AROUND

PROJECT = """\
kind: Project
key: app
name: App
platforms: [linear]
tasks:
  pick: {title: Pick the stack}
  build: {title: "Bauen „größer“", description: "a\\nb"}
"""


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A repo of which everything is applied."""
    folder = tmp_path_factory.mktemp("moves") / "repo"
    folder.mkdir()
    shell = Shell(folder, {"HOME": str(folder), "TRUEUP_TODAY": "2026-11-24"})
    shell.git("init", "--quiet", "--initial-branch", "main")
    shell.git("config", "user.name", "Me")
    shell.git("config", "user.email", "me@example.com")
    shell.write({"specs/around.yaml": AROUND, "specs/app.yaml": PROJECT, ".gitignore": ".trueup\n"})
    shell.commit("Declare")
    with serving(World(limits=False)) as sandbox:
        shell.environment.update(sandbox.environment())
        shell.done("apply", "--yes")
        yield shell


def changes(shell: Shell) -> list[object]:
    return shell.done("plan", "--json").json()["changes"]


def test_a_state_goes_by_a_file_to_another_clone(applied: Shell, tmp_path: Path) -> None:
    file = tmp_path / "state.jsonl.gz"
    exported = applied.done("state", "export", str(file)).out
    assert "rows, equal on both sides, SHA-256" in exported
    applied.git("clone", "--quiet", str(applied.folder), str(tmp_path / "clone"))
    clone = Shell(tmp_path / "clone", applied.environment)
    assert len(changes(clone)) == 3
    imported = clone.done("state", "import", str(file)).out
    assert imported.split(" at ")[0] == exported.split(" in ")[0]
    assert changes(clone) == []
    clone.done("state", "check")
    again = clone.trueup("state", "import", str(file))
    assert again.code == 1
    assert "there is a state at" in again.err


def test_a_copy_elsewhere_serves_as_well(applied: Shell, tmp_path: Path) -> None:
    place = f"local:{tmp_path}/elsewhere"
    copied = applied.done("state", "copy", "--from", "local", "--to", place).out
    assert f"at {tmp_path}/elsewhere" in copied
    assert "equal on both sides" in copied
    applied.git("clone", "--quiet", str(applied.folder), str(tmp_path / "clone"))
    clone = Shell(tmp_path / "clone", applied.environment)
    settings = f"kind: Settings\nstate: {{path: {tmp_path}/elsewhere}}\n"
    clone.write({"specs/settings.yaml": settings})
    assert changes(clone) == []
    again = applied.trueup("state", "copy", "--from", "local", "--to", place)
    assert again.code == 1
    assert "give the copy a place of its own" in again.err
    wrong = applied.trueup("state", "copy", "--from", "local", "--to", "oracle:x")
    assert "there is no state backend `oracle`" in wrong.err


def test_a_file_that_is_damaged_is_refused(applied: Shell, tmp_path: Path) -> None:
    file = tmp_path / "state.jsonl.gz"
    file.write_bytes(b"no state")
    applied.git("clone", "--quiet", str(applied.folder), str(tmp_path / "clone"))
    refused = Shell(tmp_path / "clone", applied.environment).trueup("state", "import", str(file))
    assert refused.code == 1
    assert "Traceback" not in refused.err
    assert "state.jsonl.gz" in refused.err


def test_tidying_leaves_the_next_plan_empty(applied: Shell) -> None:
    assert "9 tables are compact at" in applied.done("state", "optimize", "--keep", "30").out
    assert changes(applied) == []
    applied.done("state", "check")
    assert applied.trueup("state", "optimize", "--keep", "1").code == 64

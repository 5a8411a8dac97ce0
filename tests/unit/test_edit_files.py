"""Files are written all or none, below the specs only; the command line reports it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli import cli
from runner.language.edit import edit_files, write_files
from runner.language.load import read_files
from schemas import operations as ops
from schemas.errors import ConfigError
from tests.specrepo import TODAY, write

PROJECT = "kind: Project\nkey: app\nname: App\ntasks:\n  a: {title: A}  # one\n"
SPECS = Path("specs")
TITLE = ops.UpdateTask(task="app/a", set={"title": "B"}, why="A test")


def create(key: str) -> ops.CreateProject:
    return ops.CreateProject(key=key, fields={"name": "New"}, why="A test")


def tree(root: Path) -> dict[str, bytes]:
    paths = sorted(
        path for path in root.rglob("*") if path.is_file() and ".trueup" not in path.parts
    )
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_files_are_edited_created_and_removed_together(tmp_path: Path):
    write(tmp_path, PROJECT)
    (tmp_path / "specs" / "p.yaml").chmod(0o640)
    (tmp_path / "specs" / "web.yaml").write_text("kind: Project\nkey: web\nname: Web\n")
    gone = ops.ArchiveProject(project="web", why="A test")
    edited, before = edit_files(tmp_path, SPECS, [TITLE, create("new"), gone], TODAY)
    assert not edited.refused
    assert before["specs/p.yaml"] == PROJECT.encode()
    after = tree(tmp_path)
    assert set(after) == {"specs/common.yaml", "specs/p.yaml", "specs/projects/new.yaml"}
    assert after["specs/p.yaml"] == PROJECT.replace("{title: A}", "{title: B}").encode()
    assert stat.S_IMODE((tmp_path / "specs" / "p.yaml").stat().st_mode) == 0o640


def test_a_refusal_and_a_dry_run_write_nothing(tmp_path: Path):
    write(tmp_path, PROJECT)
    before = tree(tmp_path)
    bad = ops.Assign(items=["app/a"], to="nobody", why="A test")
    edited, _ = edit_files(tmp_path, SPECS, [create("new"), TITLE, bad], TODAY)
    assert edited.refused
    assert tree(tmp_path) == before
    edited, _ = edit_files(tmp_path, SPECS, [create("new"), TITLE], TODAY, dry_run=True)
    assert set(edited.files) == {"specs/p.yaml", "specs/projects/new.yaml"}
    assert tree(tmp_path) == before


def test_a_file_that_cannot_be_written_puts_the_others_back(tmp_path: Path):
    write(tmp_path, PROJECT)
    (tmp_path / "specs" / "projects").write_text("a file where a folder should be")
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot write specs/projects/new\.yaml") as error:
        edit_files(tmp_path, SPECS, [TITLE, create("new")], TODAY)
    assert error.value.hint == "nothing was changed"
    assert tree(tmp_path) == before


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path):
    write(tmp_path, PROJECT)
    files, _ = read_files(tmp_path, SPECS)
    (tmp_path / "specs" / "p.yaml").write_text("# mine\n")
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match="changed meanwhile"):
        write_files(tmp_path, tmp_path / "specs", files, {"specs/p.yaml": b"x: 1\n"})
    with pytest.raises(ConfigError, match="changed meanwhile"):
        write_files(tmp_path, tmp_path / "specs", {}, {"specs/p.yaml": b"x: 1\n"})
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["specs/projects/new.yaml", "specs/../new.yaml", "/tmp/new.yaml"])
def test_nothing_outside_the_specs_is_written(tmp_path: Path, name: str):
    root = tmp_path / "repo"
    root.mkdir()
    write(root, PROJECT)
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "specs" / "projects").symlink_to(outside)
    with pytest.raises(ConfigError, match="outside the specs"):
        write_files(root, root / "specs", {}, {name: b"x: 1\n"})
    assert list(outside.iterdir()) == []
    with pytest.raises(ConfigError, match="outside the specs"):
        edit_files(root, SPECS, [create("new")], TODAY)
    assert list(outside.iterdir()) == []


def test_a_linked_file_within_the_specs_stays_a_link(tmp_path: Path):
    write(tmp_path, "kind: Project\nkey: web\nname: Web\n")
    folder = tmp_path / "specs" / ".shared"
    folder.mkdir()
    (folder / "app.yaml").write_text(PROJECT)
    (tmp_path / "specs" / "app.yaml").symlink_to(Path(".shared") / "app.yaml")
    edit_files(tmp_path, SPECS, [TITLE], TODAY)
    assert (tmp_path / "specs" / "app.yaml").is_symlink()
    assert "title: B" in (folder / "app.yaml").read_text()


def invoke(root: Path, *arguments: str, given: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(
        cli, ["-C", str(root), "--today", TODAY.isoformat(), "edit", *arguments], input=given
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_the_command_edits_shows_and_refuses(tmp_path: Path):
    write(tmp_path, PROJECT)
    asked = json.dumps([TITLE.model_dump(exclude_defaults=True) | {"op": "update_task"}])
    code, shown = invoke(tmp_path, "--dry-run", "-", given=asked)
    assert code == 0
    assert "-  a: {title: A}  # one\n+  a: {title: B}  # one\n" in shown
    code, shown = invoke(tmp_path, "--json", "-", given=asked)
    outcome = json.loads(shown)
    assert code == 0
    assert outcome["written"] is True
    assert outcome["touched"] == ["app/a"]
    assert [item["action"] for item in outcome["files"]] == ["edited"]
    assert invoke(tmp_path, "-", given=asked) == (0, "there is nothing to change\n")
    code, shown = invoke(tmp_path, "-", given=asked.replace("app/a", "app/b"))
    assert code == 1
    assert "there is no task `app/b`" in shown
    assert shown.endswith("nothing was changed\n")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[{}]", "operation 1"),
        ("{", "the file"),
        ('[{"op": "run", "why": "x"}]', "operation 1"),
        ('[{"op": "archive_project", "project": "a", "why": "x", "file": "y"}]', "not permitted"),
    ],
)
def test_what_are_no_operations_is_said_so(tmp_path: Path, given: str, message: str):
    write(tmp_path, PROJECT)
    (tmp_path / "operations.json").write_text(given)
    with pytest.raises(ConfigError, match=message) as error:
        invoke(tmp_path, str(tmp_path / "operations.json"))
    assert "docs/operations.md" in error.value.hint
    with pytest.raises(ConfigError, match="cannot read"):
        invoke(tmp_path, os.fspath(tmp_path / "missing.json"))

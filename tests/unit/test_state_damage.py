from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from schemas.errors import StateError
from tests.unit.states import NOW, RUN, binding, pending, reader, writer

NOBODY = 65534
"""The user id that owns nothing, by convention."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state with two bindings; the folder that holds it."""
    opened = writer(tmp_path)
    opened.save_bindings([binding("a/b"), pending("a/c")], RUN)
    return tmp_path


@pytest.mark.parametrize(
    ("column", "text", "why"),
    [
        ("base", '{"title": "x', "it is no JSON"),
        ("base", "[" * 100_000, "it is no JSON"),
        ("base", "[1]", "it is no JSON object"),
        ("drift", "7", "it is no JSON object"),
        ("kind", "epic", "`epic` is none of project, milestone, task"),
        ("pending", '{"action": "explode"}', "`explode` is no action"),
    ],
    ids=["cut", "deep", "array", "number", "kind", "action"],
)
def test_a_damaged_row_is_named(state: Path, column: str, text: str, why: str) -> None:
    table = DeltaTable(str(state / "state" / "bindings"))
    table.update({column: f"'{text}'"}, predicate="address = 'a/b'")
    with pytest.raises(StateError, match="the row a/b on linear of table bindings is damaged") as e:
        reader(state).bindings()
    assert f"{column}: {why}" in e.value.message
    assert "trueup state check" in e.value.hint


def test_a_log_that_is_gone_is_not_taken_for_an_empty_state(state: Path) -> None:
    shutil.rmtree(state / "state" / "bindings" / "_delta_log")
    for open_ in (lambda: reader(state).diff([]), lambda: writer(state)):
        with pytest.raises(StateError, match="has data and no log") as caught:
            open_()
        assert "backup" in caught.value.hint


def test_a_table_that_is_gone_is_named_and_made_anew_by_opening(state: Path) -> None:
    shutil.rmtree(state / "state" / "tasks")
    with pytest.raises(StateError, match="the table tasks is missing") as caught:
        reader(state).resources()
    assert "trueup state init" in caught.value.hint
    assert writer(state).resources() == []
    assert len(reader(state).bindings()) == 2


def test_a_torn_log_entry_is_reported_in_one_line(state: Path) -> None:
    entry = max((state / "state" / "bindings" / "_delta_log").glob("*.json"))
    entry.write_text('{"commitInfo": {"time')
    with pytest.raises(StateError, match="cannot open the table bindings at") as caught:
        reader(state).identity()
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_damaged_data_file_is_reported(state: Path, how: str) -> None:
    (path,) = (state / "state" / "bindings").glob("*.parquet")
    if how == "cut":
        os.truncate(path, 100)
    else:
        path.unlink()
    with pytest.raises(StateError, match="cannot read the table bindings at") as caught:
        reader(state).bindings()
    assert caught.value.hint


def test_something_else_in_the_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    with pytest.raises(StateError, match="cannot create the table users at") as caught:
        writer(tmp_path)
    assert "move it away" in caught.value.hint


@contextlib.contextmanager
def as_nobody(folder: Path) -> Generator[None]:
    """Be a user without privileges, whom `folder` belongs to; root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_may_not_be_written_is_reported() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        writer(root).save_bindings([binding("a/b")], RUN)
        folder = root / "state" / "bindings"
        with as_nobody(root):
            log = folder / "_delta_log"
            folder.chmod(0o500)
            log.chmod(0o500)
            try:
                with pytest.raises(
                    StateError, match="cannot write to the table bindings"
                ) as caught:
                    writer(root).save_bindings([binding("a/d")], RUN)
            finally:
                folder.chmod(0o700)
                log.chmod(0o700)
    assert "writable" in caught.value.hint


def test_a_full_disk_is_reported_and_nothing_is_lost(state: Path) -> None:
    # A limit on the size of files stands in for a full disk: both fail in the middle of a write.
    result = subprocess.run(
        [sys.executable, "-c", _FULL, str(state)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert result.stdout.startswith("cannot write to the table bindings at"), result.stderr
    assert [b.address for b in reader(state).bindings()] == ["a/b", "a/c"]
    writer(state).save_bindings([binding("a/d")], RUN)
    assert len(reader(state).bindings()) == 3


_FULL = f"""
import resource, signal, sys
from dataclasses import replace
from pathlib import Path
from schemas.errors import StateError
from tests.unit.states import RUN, binding, writer
state = writer(Path(sys.argv[1]))
big = [replace(binding(f"b/t{{i}}"), url=str(hash(("{NOW}", i))) * 40) for i in range(2000)]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    state.save_bindings(big, RUN)
except StateError as error:
    print(error.message, error.hint)
"""

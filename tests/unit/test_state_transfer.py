from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from runner.config import read_config
from runner.state import tables_at, tables_at_for_writing
from runner.state.engine import Look
from runner.state.features import obstacles
from runner.state.local import LocalTables
from runner.state.local_writer import LocalWriter
from runner.state.store import Reader, Writer
from runner.state.transfer import copy_state, export_state, import_state
from schemas.errors import ConfigError, StateError, StateLocked, StateVersionError
from schemas.tables import TABLES
from tests.unit.states import NOW, RUN, binding, log, pending, writer


@pytest.fixture
def state(tmp_path: Path) -> Writer:
    """A state with rows in several tables, which belongs to a repo and was leased before."""
    state = writer(tmp_path)
    state.claim(["root:1"])
    state.acquire_lease("r1", "me", 60)
    state.save_bindings([binding("a/b"), pending("a/c")], RUN)
    state.append_logs([log("r1", 0, "a/b"), log("r1", 1, "größer")], RUN)
    state.release_lease()
    return state


def _check(state: Writer, copied: Writer) -> None:
    assert copied.identity() == state.identity()
    for name in TABLES:
        assert copied.read(name) == state.read(name)
    with pytest.raises(StateVersionError, match="another repo"):
        copied.claim(["root:2"])
    assert copied.acquire_lease("r2", "me", 60).fence == 2


def test_a_copy_is_equal_and_goes_on_where_the_state_was(tmp_path: Path, state: Writer) -> None:
    target = LocalWriter(tmp_path / "copy")
    moved = copy_state(LocalTables(tmp_path / "state"), target)
    assert (moved.rows["bindings"], moved.rows["sync_logs"], moved.rows["tasks"]) == (2, 2, 0)
    _check(state, Writer(target))


def test_a_file_holds_the_whole_state(tmp_path: Path, state: Writer) -> None:
    file, target = tmp_path / "state.jsonl.gz", LocalWriter(tmp_path / "copy")
    exported = export_state(LocalTables(tmp_path / "state"), file)
    assert import_state(file, target) == exported
    _check(state, Writer(target))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "state", file.name]


def test_a_place_that_has_a_state_is_left_alone(tmp_path: Path, state: Writer) -> None:
    target = writer(tmp_path / "other")
    target.save_bindings([binding("x")], RUN)
    with pytest.raises(StateError, match="its table bindings has rows") as caught:
        copy_state(LocalTables(tmp_path / "state"), LocalWriter(tmp_path / "other" / "state"))
    assert caught.value.hint
    assert target.bindings() == [binding("x")]


def test_what_is_not_there_or_being_written_is_not_moved(tmp_path: Path, state: Writer) -> None:
    target = LocalWriter(tmp_path / "copy")
    with pytest.raises(StateError, match="there is no state"):
        copy_state(LocalTables(tmp_path / "nowhere"), target)
    state.acquire_lease("r3", "me@here", 60, NOW)
    with pytest.raises(StateLocked, match="me@here holds the lease"):
        export_state(LocalTables(tmp_path / "state"), tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "lines"])
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, state: Writer, damage: str) -> None:
    file = tmp_path / "file"
    export_state(LocalTables(tmp_path / "state"), file)
    whole = file.read_bytes()
    lines = gzip.decompress(whole).splitlines(keepends=True)
    file.write_bytes(
        {
            "cut": whole[:-20],
            "empty": b"",
            "other": gzip.compress(b"{}\n"),
            "lines": gzip.compress(b"".join(lines[:-1])),
        }[damage]
    )
    with pytest.raises(StateError, match="not a whole file"):
        import_state(file, LocalWriter(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


def test_places_are_named_by_backend_and_where(tmp_path: Path) -> None:
    config = read_config(tmp_path, environ={"HOME": "/"})
    here = tables_at_for_writing("local:elsewhere", {"kind": "Settings"}, config)
    here.ensure()
    assert here.place == str(tmp_path / "elsewhere")
    assert tables_at("", {"kind": "Settings"}, config).properties() is None
    with pytest.raises(ConfigError, match="no state backend `paper`"):
        tables_at("paper:x", {"kind": "Settings"}, config)


def test_tidying_leaves_few_files_and_all_rows(tmp_path: Path, state: Writer) -> None:
    for i in range(5):
        state.append_logs([log("r2", i, "a/b")], RUN)
    folder = tmp_path / "state" / "sync_logs"
    LocalWriter(tmp_path / "state").tidy("sync_logs", 0)
    assert len(list(folder.glob("*.parquet"))) == 1
    assert len(Reader(LocalTables(tmp_path / "state")).read("sync_logs")) == 7


def test_features_that_some_engine_cannot_write_are_told() -> None:
    fine = Look({}, frozenset(), frozenset({"deletionVectors", "checkConstraints"}))
    assert obstacles(fine) == []
    odd = Look({"delta.feature.clustering": "supported"}, frozenset(), frozenset({"rowTracking"}))
    assert obstacles(odd) == ["clustering", "rowTracking"]

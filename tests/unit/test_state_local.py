from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from deltalake import DeltaTable

from runner.config import Config, read_config
from runner.state import large, local_writer, open_state, read_state
from runner.state.contract import IntegrationRow, Merged, ResourceRow, RunRow
from runner.state.engine import Columns
from runner.state.local import LocalTables
from runner.state.local_writer import LocalWriter
from runner.state.store import Reader
from schemas.domain import Person, Resource, Source, Value
from schemas.errors import ConfigError, StateError, StateVersionError
from schemas.tables import MIGRATIONS, TABLES, VERSION, Column, Migration, Name, Table, fold
from tests.unit.states import NOW, RUN, TITLE, binding, log, pending, reader, writer


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return read_config(tmp_path, environ={"HOME": "/"})


def test_a_state_that_does_not_exist_reads_as_empty_and_is_not_created(tmp_path: Path) -> None:
    state = reader(tmp_path)
    assert state.identity() is None
    assert state.version() == "none"
    assert state.diff([("a/b", "linear", "f")]).missing == (("a/b", "linear"),)
    assert not state.bindings()
    assert not state.remote_ids("linear")
    assert not state.resources()
    assert not state.integrations()
    assert not state.people()
    assert not state.runs()
    assert not state.history()
    assert state.lease() is None
    assert not any(tmp_path.iterdir())


def test_opening_creates_all_tables_so_that_every_engine_can_use_them(tmp_path: Path) -> None:
    state = writer(tmp_path)
    for table in TABLES.values():
        found = DeltaTable(str(tmp_path / "state" / table.name))
        protocol = found.protocol()
        assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
        assert found.metadata().description == table.comment
        comments = {item.name: item.metadata.get("comment") for item in found.schema().fields}
        assert comments == {column.name: column.comment for column in table.columns}
    assert state.identity() == reader(tmp_path).identity() is not None


def test_opening_again_keeps_the_state(tmp_path: Path) -> None:
    first = writer(tmp_path)
    first.save_bindings([binding("a/b")], RUN)
    again = writer(tmp_path)
    assert again.identity() == first.identity()
    assert again.bindings() == [binding("a/b")]


def test_a_creation_that_was_cut_short_is_finished_with_the_same_id(tmp_path: Path) -> None:
    state = writer(tmp_path)
    for name in ("bindings", "runs"):
        (tmp_path / "state" / name).rename(tmp_path / name)
    assert reader(tmp_path).identity() is None
    assert writer(tmp_path).identity() == state.identity()


def test_two_processes_that_create_at_once_agree_on_the_id(tmp_path: Path) -> None:
    found: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(writer(tmp_path).identity())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_values_come_back_as_they_went_in(tmp_path: Path) -> None:
    state = writer(tmp_path)
    drifted = replace(binding("a"), drift={"title": "By hand", "labels": ()})
    bindings = [drifted, binding("a/b", "gitlab"), pending("a/c")]
    resource = Resource(
        "a/b", "task", {**TITLE, "status": "todo"}, ("linear",), Source("specs/a.yaml", 7), "f1"
    )
    rows = [
        ResourceRow.of(resource, commit="c0ffee", applied_at=NOW, resource_id="id"),
        ResourceRow("a", "project", declared={"title": "A"}, live={"status": "todo"}, protect=True),
    ]
    platform = IntegrationRow(
        "linear",
        enabled=True,
        options={"team": "MOB"},
        cursor=NOW,
        last_success="2026-11-24T10:00:00.5Z",
        limits={"requests": [[1, 2]]},
        lookups={"labels": {"ü": 1}},
    )
    run = RunRow("r1", "apply", "running", "me", started_at=NOW, counts={"applied": 2}, fence=3)
    people = [Person("me", "Me", "me@example.com", "America/Los_Angeles", {"gitlab": "jwp763"})]
    state.save_bindings(bindings, RUN)
    state.save_resources(rows, RUN)
    state.save_integrations([platform], RUN)
    state.save_people(people, RUN, at=NOW)
    state.save_run(run, RUN)
    seen = reader(tmp_path)
    assert seen.bindings() == bindings
    assert seen.resources() == [rows[1], rows[0]]
    assert seen.resources(["a/b"]) == [rows[0]]
    assert seen.integrations() == [replace(platform, last_success="2026-11-24T10:00:00.500Z")]
    assert seen.people() == people
    assert seen.runs(5) == [run]


@pytest.mark.parametrize(
    "text",
    ["", "\n", "it's \"quoted\" \\ and 'so'", "a\u0000b", "größer \u202e 日本 🙂", "x" * 300_000],
    ids=["empty", "newline", "quotes", "nul", "unicode", "long"],
)
def test_any_text_survives(tmp_path: Path, text: str) -> None:
    state = writer(tmp_path)
    base: dict[str, Value] = {"description": text, "labels": (text[:9],)}
    state.save_bindings([replace(binding("a/b"), base=base, url=text)], RUN)
    found = reader(tmp_path).bindings()[0]
    assert (found.base, found.url) == (base, text)


def test_bindings_can_be_asked_for_by_address_and_platform(tmp_path: Path) -> None:
    state = writer(tmp_path)
    saved = [binding(f"p/t{i}", name) for i in range(3) for name in ("gitlab", "linear")]
    state.save_bindings(saved, RUN)
    assert state.bindings(platform="linear") == saved[1::2]
    assert state.bindings(addresses=["p/t1", "p/none", "x' OR '1'='1"]) == saved[2:4]
    assert state.bindings(addresses=[]) == []
    assert state.bindings(["p/t0"], "gitlab") == saved[:1]
    many = [f"p/t{i}" for i in range(1, 1500)]
    assert state.bindings(addresses=many) == saved[2:]
    assert state.remote_ids("linear") == {f"p/t{i}": f"linear-p/t{i}" for i in range(3)}


@pytest.mark.parametrize("way", ["few rows", "many rows"])
def test_a_diff_returns_only_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "many rows":
        monkeypatch.setattr(large, "LARGE", 2)
    state = writer(tmp_path)
    drifted = replace(binding("p/drifted"), drift={"title": "By hand"})
    begun = pending("p/begun")
    state.save_bindings(
        [binding("p/same"), binding("p/edited"), binding("p/gone"), drifted, begun], RUN
    )
    wanted = [
        ("p/new", "linear", "f1"),
        ("p/same", "linear", "f1"),
        ("p/edited", "linear", "f2"),
        ("p/same", "gitlab", "f1"),
        ("p/drifted", "linear", "f1"),
        ("p/begun", "linear", ""),
    ]
    diff = reader(tmp_path).diff(iter(wanted))
    assert diff.missing == (("p/new", "linear"), ("p/same", "gitlab"))
    assert diff.changed == (begun, drifted, binding("p/edited"))
    assert diff.gone == (binding("p/gone"),)
    assert diff.bound == 5


@pytest.mark.parametrize("many", [1, 1000])
def test_a_key_that_is_there_twice_is_never_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(large, "LARGE", many)
    state = writer(tmp_path)
    rows = [{**_row("p/t"), "desired_hash": fingerprint} for fingerprint in ("f1", "f2")]
    state.append("bindings", rows, RUN)
    diff = state.diff([("p/t", "linear", "f1")])
    assert not diff.gone
    assert not diff.missing


def test_the_version_moves_with_what_plans_are_made_from_and_with_nothing_else(
    tmp_path: Path,
) -> None:
    state = writer(tmp_path)
    versions = [state.version()]

    def moved() -> bool:
        versions.append(state.version())
        return versions[-1] != versions[-2]

    state.save_run(RunRow("r1", "apply", "running"), RUN)
    state.append_logs([log("r1", 0, "a/b")], RUN)
    state.claim(["path:a"])
    state.acquire_lease("r1", "me", 60)
    assert not moved()
    state.save_bindings([binding("a/b")], RUN)
    assert moved()
    state.save_resources([ResourceRow("a/b", "task")], RUN)
    assert moved()
    state.save_resources([ResourceRow("a", "project")], RUN)
    assert moved()
    assert all(version.startswith(str(state.identity())) for version in versions)


def test_a_reader_stays_with_the_version_that_it_saw_first(tmp_path: Path) -> None:
    state = writer(tmp_path)
    seen = reader(tmp_path)
    before = seen.version()
    state.save_bindings([binding("a/b")], RUN)
    assert seen.bindings() == []
    assert seen.version() == before != state.version()


def test_saving_and_removing_is_one_commit_with_its_reason(tmp_path: Path) -> None:
    state = writer(tmp_path)
    state.save_bindings([binding("a"), binding("a/b")], RUN)
    table = DeltaTable(str(tmp_path / "state" / "bindings"))
    before = table.version()
    done = state.save_bindings(
        [binding("a", fingerprint="f2"), binding("a/c")],
        replace(RUN, note="again"),
        removed=[("a/b", "linear"), ("a/never", "linear")],
    )
    assert done == Merged(inserted=1, updated=1, deleted=1)
    assert state.bindings() == [binding("a", fingerprint="f2"), binding("a/c")]
    table.update_incremental()
    assert table.version() == before + 1
    assert table.history(1)[0]["userMetadata"] == (
        '{"action":"apply","commit":"c0ffee","note":"again","run":"20261124T100000Z-000001"}'
    )


def test_nothing_to_save_makes_no_commit(tmp_path: Path) -> None:
    state = writer(tmp_path)
    assert state.save_bindings([], RUN) == Merged()
    assert state.save_resources([], RUN) == Merged()
    assert state.append_logs([], RUN) == 0
    assert state.save_people([], RUN, at=NOW) == Merged()
    versions = {
        name: DeltaTable(str(tmp_path / "state" / name)).version()
        for name in ("bindings", "projects", "tasks", "sync_logs", "users")
    }
    assert set(versions.values()) == {0}


def test_people_are_kept_as_the_specs_have_them(tmp_path: Path) -> None:
    state = writer(tmp_path)
    me, other = Person("me", "Me", "me@example.com"), Person("a", "A", "a@example.com")
    assert state.save_people([me, other], RUN, at=NOW).inserted == 2
    assert state.save_people([other, me], RUN, at=NOW) == Merged()
    renamed = replace(me, name="Myself")
    assert state.save_people([renamed], RUN, at=NOW) == Merged(updated=1, deleted=1)
    assert state.people() == [renamed]


def test_archived_resources_keep_what_they_were(tmp_path: Path) -> None:
    state = writer(tmp_path)
    rows = [ResourceRow("a", "project", "id", {"title": "A"}), ResourceRow("a/b", "task", "id2")]
    state.save_resources(rows, RUN)
    done = state.save_resources([], RUN, archived=["a", "a/b", "a/unknown"], at=NOW)
    assert done.updated == 2
    assert state.resources() == [replace(row, archived_at=NOW) for row in rows]


def test_two_rows_with_one_key_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    state = writer(tmp_path)
    with pytest.raises(StateError, match="two rows for bindings have the key a/b on linear"):
        state.save_bindings([binding("a/b"), binding("a/b")], RUN)
    with pytest.raises(StateError, match="two rows"):
        state.save_bindings([binding("a/b")], RUN, removed=[("a/b", "linear")])
    assert state.bindings() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nope": 1}, "must have exactly its columns; check nope"),
        ({"updated_at": "2026-11-24"}, "it is a TIMESTAMP"),
        ({"updated_at": "2026-13-24T10:00:00Z"}, "it is a TIMESTAMP"),
        ({"updated_at": "20261124T100000Z"}, "it is a TIMESTAMP"),
        ({"url": 7}, "it is a STRING"),
        ({"address": None}, "it is a STRING"),
        ({"url": "\ud800"}, "surrogates"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    state = writer(tmp_path)
    with pytest.raises(StateError, match=message):
        state.merge("bindings", [{**_row("a/b"), **change}], RUN)
    assert state.bindings() == []


@pytest.mark.parametrize("value", [True, 2**63, "1"])
def test_numbers_are_64_bit_integers(tmp_path: Path, value: object) -> None:
    row = dict.fromkeys(TABLES["sync_logs"].names) | {"run_id": "r", "seq": value}
    with pytest.raises(StateError, match="it is a BIGINT"):
        writer(tmp_path).append("sync_logs", [row], RUN)


def test_a_merge_that_meets_duplicate_keys_says_so(tmp_path: Path) -> None:
    state = writer(tmp_path)
    state.append("bindings", [_row("a/b"), _row("a/b")], RUN)
    with pytest.raises(StateError, match="1 rows were to be saved") as caught:
        state.save_bindings([binding("a/b")], RUN)
    assert "trueup state check" in caught.value.hint


def test_rows_are_deleted_by_key(tmp_path: Path) -> None:
    state = writer(tmp_path)
    state.save_bindings([binding("a"), binding("a/b")], RUN)
    assert state.delete("bindings", [("a", "linear"), ("x", "linear")], RUN).deleted == 1
    assert state.bindings() == [binding("a/b")]


def test_writers_that_race_lose_nothing(tmp_path: Path) -> None:
    writer(tmp_path)
    errors: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for i in range(4):
                writer(tmp_path).save_bindings([binding(f"{name}/t{i}")], RUN)
                writer(tmp_path).append_logs([log(name, i, f"{name}/t{i}")], RUN)
        except BaseException as error:  # shown by the test itself
            errors.append(error)
            raise

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(reader(tmp_path).bindings()) == 12
    assert len(reader(tmp_path).read("sync_logs")) == 12


@pytest.mark.parametrize("table", ["sync_logs", "bindings"])
def test_many_commits_leave_few_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setattr(local_writer, "COMPACT_AFTER", 8)
    monkeypatch.setattr(local_writer, "TIDY_EVERY", 1)
    monkeypatch.setattr(local_writer, "KEPT_HOURS", 0)
    state = writer(tmp_path)
    for i in range(20):
        state.append_logs([log(f"r{i}", i, "a/b")], RUN)
        state.save_bindings([binding(f"a/t{i}")], RUN)
    assert len(list((tmp_path / "state" / table).glob("*.parquet"))) <= 9
    assert len(state.read("sync_logs", ["run_id"])) == len(state.bindings()) == 20


def test_a_state_belongs_to_one_repo(tmp_path: Path) -> None:
    state = writer(tmp_path)
    state.claim(["root:1", "path:/a"])
    state.claim(["root:1", "remote:gitlab.com/jwp763/trueup"])
    state.claim(["remote:gitlab.com/jwp763/trueup"])
    with pytest.raises(StateVersionError, match=r"root:1.*this one is path:/b, root:2") as caught:
        state.claim(["root:2", "path:/b"])
    assert "state.name" in caught.value.hint


def test_tables_of_a_newer_trueup_are_refused(tmp_path: Path) -> None:
    tables, version = _next_schema()
    LocalWriter(tmp_path / "state", tables=tables, version=version).ensure()
    for open_ in (reader(tmp_path).identity, lambda: writer(tmp_path)):
        with pytest.raises(StateVersionError, match=f"version {version}") as caught:
            open_()
        assert caught.value.hint == "upgrade trueup"


def test_older_tables_are_read_as_they_are_and_upgraded_in_place(tmp_path: Path) -> None:
    old = writer(tmp_path)
    identity = old.identity()
    old.save_run(RunRow("r1", "apply", "done"), RUN)
    tables, version = _next_schema()
    before = LocalTables(tmp_path / "state", tables=tables, version=version)
    assert before.read(tables["runs"], ["run_id", "extra"]) == {"run_id": ["r1"], "extra": [None]}
    newer = LocalWriter(tmp_path / "state", tables=tables, version=version)
    newer.ensure()
    newer.ensure()
    rows: Columns = {name: [None] for name in tables["runs"].names}
    rows.update(run_id=["r2"], extra=["x"])
    newer.append(tables["runs"], rows, "")
    found = newer.read(tables["runs"], ["run_id", "extra"], newest="run_id")
    assert found == {"run_id": ["r2", "r1"], "extra": ["x", None]}
    assert Reader(newer).identity() == identity


def test_names_and_places_come_from_the_settings(config: Config) -> None:
    named = open_state({"kind": "Settings", "state": {"name": "home"}}, config)
    plain = open_state({"kind": "Settings"}, config)
    moved = open_state({"kind": "Settings", "state": {"path": "elsewhere/ä b"}}, config)
    assert (config.root / ".trueup" / "state" / "home_bindings").is_dir()
    assert (config.root / ".trueup" / "state" / "bindings").is_dir()
    assert (config.root / "elsewhere" / "ä b" / "bindings").is_dir()
    assert len({named.identity(), plain.identity(), moved.identity()}) == 3
    assert read_state({"kind": "Settings"}, config).identity() == plain.identity()


def test_a_backend_that_is_not_there_is_refused(config: Config) -> None:
    odd = replace(config, _environ={"TRUEUP_STATE_BACKEND": "oracle"})
    with pytest.raises(ConfigError, match="oracle"):
        read_state({"kind": "Settings"}, odd)


@pytest.mark.parametrize("name", ["a%20b", "a[b", "a|b"])
def test_a_folder_that_the_engine_cannot_use_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StateError, match="the path holds"):
        Reader(LocalTables(tmp_path / name))


def _row(address: str) -> dict[str, object]:
    names = TABLES["bindings"].names
    filled = {"address": address, "platform": "linear", "kind": "task", "remote_id": "1"}
    return {**dict.fromkeys(names), **filled}


def _next_schema() -> tuple[dict[Name, Table], int]:
    extra = Migration(VERSION + 1, columns=(("runs", Column("extra", "STRING", "more")),))
    return fold([*MIGRATIONS, extra]), VERSION + 1

"""What every engine must do with a state, alone and in turn with the others."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from deltalake import DeltaTable

from runner.state.codec import binding_row
from runner.state.contract import Commit, IntegrationRow, Merged, ResourceRow, RunRow
from runner.state.engine import Columns, Travels
from runner.state.features import obstacles
from runner.state.local_writer import LocalWriter
from runner.state.session import Session
from runner.state.spark import Place, SparkWriter
from runner.state.store import Reader, Writer
from runner.state.transfer import copy_state
from schemas.domain import Person, Value
from schemas.errors import StateError, StateLocked, StateVersionError
from schemas.tables import MIGRATIONS, TABLES, VERSION, Column, Migration, Name, Table, fold
from tests.contract import engines
from tests.contract.engines import ENGINES, Engine, Spark, engine_called, reader, writer
from tests.unit.states import NOW, RUN, binding, log, pending

pytestmark = pytest.mark.xdist_group("spark")
spark_engine = engines.spark_engine
databricks_engine = engines.databricks_engine

Filled: TypeAlias = Callable[[Engine], Path]

TEN = "2026-11-24T10:00:00Z"
LATER = "2026-11-24T10:01:01Z"
TEXTS = {
    "empty": "",
    "newline": "\n",
    "quotes": 'it\'s "quoted" \\ and \'so\' \\n \\u0041 {"a": `b`} ${x} --',
    "nul": "a\u0000b",
    "unicode": "größer \u202e 日本 🙂 e\u0301",
    "markdown": "# Title\r\n\n- [ ] one\n\n```sql\nSELECT '\\n';\n```\n\n| a | b |\n" * 4000,
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_called(request.param, request)


@pytest.fixture
def folder(engine: Engine, tmp_path: Path) -> Path:
    """An empty state made by the engine."""
    return engine.founded(tmp_path / "state")


@pytest.fixture
def filled(patterns: dict[str, Path], tmp_path: Path) -> Filled:
    """Make a copy of a state that an engine filled."""

    def copy(engine: Engine) -> Path:
        if engine.name not in patterns:
            patterns[engine.name] = engine.founded(patterns[""] / engine.name)
            _fill(writer(engine, patterns[engine.name]))
        shutil.copytree(patterns[engine.name], tmp_path / "filled")
        return tmp_path / "filled"

    return copy


@pytest.fixture(scope="module")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The states filled so far, by engine, and where they are kept."""
    return {"": tmp_path_factory.mktemp("filled")}


@pytest.fixture(params=itertools.permutations(ENGINES, 2), ids="-".join)
def pair(request: pytest.FixtureRequest) -> tuple[Engine, Engine]:
    first, second = request.param
    return engine_called(first, request), engine_called(second, request)


def test_a_state_that_does_not_exist_reads_as_empty_and_is_not_created(
    engine: Engine, tmp_path: Path
) -> None:
    state = reader(engine, tmp_path / "none")
    assert state.identity() is None
    assert state.version() == "none"
    assert state.diff([("a/b", "linear", "f")]).missing == (("a/b", "linear"),)
    assert not state.bindings()
    assert not state.runs(1)
    assert not state.history()
    assert state.lease() is None
    assert not any(tmp_path.iterdir())


def test_the_tables_are_such_that_every_engine_can_use_them(engine: Engine, folder: Path) -> None:
    before = {name: DeltaTable(str(folder / name)).version() for name in TABLES}
    engine.table_writer(folder).ensure()
    for table in TABLES.values():
        found = DeltaTable(str(folder / table.name))
        protocol = found.protocol()
        assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
        assert found.version() == before[table.name]
        assert found.metadata().description == table.comment
        comments = {item.name: item.metadata.get("comment") for item in found.schema().fields}
        assert comments == {column.name: column.comment for column in table.columns}
        assert found.metadata().configuration["delta.checkpointInterval"] == "20"


def test_values_come_back_as_they_went_in(engine: Engine, filled: Filled) -> None:
    _check_filled(reader(engine, filled(engine)))


def test_texts_and_nulls_survive(engine: Engine, folder: Path) -> None:
    state = writer(engine, folder)
    bases: list[dict[str, Value]] = [{"description": t, "labels": (t[:9],)} for t in TEXTS.values()]
    saved = [
        replace(binding(f"a/{name}"), base=base, url=text)
        for (name, text), base in zip(TEXTS.items(), bases, strict=True)
    ]
    state.save_bindings(saved, RUN)
    assert state.bindings() == sorted(saved, key=lambda item: item.address)
    (row,) = state.read("bindings", ["url", "revision", "drift"], {"address": ["a/empty"]})
    assert row == {"url": "", "revision": "7", "drift": None}
    odd = "x' OR '1'='1 \\"
    assert state.bindings([odd, "a/nul"]) == [saved[3]]
    with pytest.raises(StateError, match="surrogates"):
        state.save_bindings([replace(binding("a/b"), url="\ud800")], RUN)


def test_instants_are_utc_to_the_microsecond(engine: Engine, folder: Path) -> None:
    instants = [
        "1969-12-31T23:59:59.999999Z",
        "2026-03-29T01:30:00Z",
        "2026-11-01T08:30:00.500Z",
        "2026-11-24T10:00:00.000001Z",
        "9999-12-31T23:59:59.999999Z",
        "",
    ]
    state = writer(engine, folder)
    state.append_logs([log("r", i, "a/b", at=at) for i, at in enumerate(instants)], RUN)
    rows = state.read("sync_logs", ["seq", "ended_at"])
    found = [row["ended_at"] for row in sorted(rows, key=lambda row: str(row["seq"]))]
    assert found == [at or None for at in instants]


def test_two_thousand_rows_are_saved_compared_and_asked_for(engine: Engine, folder: Path) -> None:
    state = writer(engine, folder)
    saved = [binding(f"p/t{i:04}", fingerprint=f"f{i}") for i in range(2000)]
    begun, drifted = pending("p/t0100"), replace(saved[200], drift={"title": "By hand"})
    twin = binding("p/t0300", "gitlab")
    saved[100], saved[200] = begun, drifted
    assert state.save_bindings([*saved, twin], RUN) == Merged(inserted=2001)
    seen = reader(engine, folder)
    wanted = [(b.address, b.platform, b.desired_hash) for b in saved]
    wanted[7] = ("p/t0007", "linear", "other")
    wanted[8] = ("p/new", "notion", "f8")
    diff = seen.diff(iter(wanted))
    assert diff.missing == (("p/new", "notion"),)
    assert diff.changed == (saved[7], begun, drifted)
    assert diff.gone == (saved[8], twin)
    assert diff.bound == 2001
    assert seen.bindings(["p/t0300", "p/none"]) == [twin, saved[300]]
    assert seen.bindings(b.address for b in saved[500:]) == saved[500:]
    assert seen.bindings(["p/t0300"], "gitlab") == [twin]
    assert seen.bindings([]) == []


def test_a_commit_saves_and_removes_counts_and_tells_why(engine: Engine, folder: Path) -> None:
    state = writer(engine, folder)
    state.save_bindings([binding("a"), binding("a/b")], RUN)
    before = DeltaTable(str(folder / "bindings")).version()
    done = state.save_bindings(
        [binding("a", fingerprint="f2"), binding("a/c")],
        replace(RUN, note="it's again \\ „ü“"),
        removed=[("a/b", "linear"), ("a/never", "linear")],
    )
    assert done == Merged(inserted=1, updated=1, deleted=1)
    assert state.bindings() == [binding("a", fingerprint="f2"), binding("a/c")]
    assert DeltaTable(str(folder / "bindings")).version() == before + 1
    assert json.loads(_newest_note(engine, folder)) == {
        "action": "apply",
        "commit": "c0ffee",
        "note": "it's again \\ „ü“",
        "run": RUN.run_id,
    }
    assert state.delete("bindings", [("a", "linear"), ("x", "linear")], RUN).deleted == 1
    state.claim(["path:a"])
    assert _newest_note(engine, folder) == ""


def test_nothing_to_save_makes_no_commit_and_duplicates_are_refused(
    engine: Engine, folder: Path
) -> None:
    before = {name: DeltaTable(str(folder / name)).version() for name in TABLES}
    state = writer(engine, folder)
    assert state.save_bindings([], RUN) == Merged()
    assert state.append_logs([], RUN) == 0
    assert state.save_people([], RUN, at=NOW) == Merged()
    with pytest.raises(StateError, match="two rows for bindings have the key a/b on linear"):
        state.save_bindings([binding("a/b"), binding("a/b")], RUN)
    assert before == {name: DeltaTable(str(folder / name)).version() for name in TABLES}


def test_a_merge_that_meets_duplicate_keys_says_so(engine: Engine, folder: Path) -> None:
    state = writer(engine, folder)
    row = dict.fromkeys(TABLES["bindings"].names)
    row |= {"address": "a/b", "platform": "linear", "kind": "task", "remote_id": "1"}
    state.append("bindings", [{**row, "desired_hash": "f1"}, {**row, "desired_hash": "f2"}], RUN)
    diff = state.diff([("a/b", "linear", "f1")])
    assert (diff.missing, diff.gone) == ((), ())
    with pytest.raises(StateError, match="1 rows were to be saved") as caught:
        state.save_bindings([binding("a/b")], RUN)
    assert "trueup state check" in caught.value.hint


def test_history_tells_what_each_run_did(engine: Engine, folder: Path) -> None:
    state = writer(engine, folder)
    state.acquire_lease("r1", "me@here", 60)
    state.save_bindings([binding("a/x")], Commit("r1", "c1", "intend"))
    state.save_bindings([binding("a/x")], Commit("r1", "c1", "apply"))
    state.append_logs([log("r1", 0, "a/x")], Commit("r1", "c1", "apply"))
    state.release_lease()
    state.append_logs([log("r2", 0, "a/b", at=LATER)], Commit("r2", "c2", "apply"))
    newest, oldest = reader(engine, folder).history()
    assert (newest.run_id, newest.commit, newest.version) == ("r2", "c2", None)
    assert (oldest.run_id, oldest.commit, oldest.who) == ("r1", "c1", "me@here")
    assert oldest.actions == ("intend", "apply")
    assert oldest.changes[0].fields == (("title", "Before", "After"), ("labels", (), ("a",)))
    then = DeltaTable(str(folder / "bindings"), version=oldest.version)
    assert then.count() == 1
    assert [entry.run_id for entry in state.history("a/x")] == ["r1"]


def test_the_state_can_be_read_as_it_was_around_a_run(engine: Engine, folder: Path) -> None:
    def row(title: str) -> ResourceRow:
        return ResourceRow("a/b", "task", declared={"title": title}, applied_at=TEN)

    state = writer(engine, folder)
    for number, title in enumerate(("First", "Second", "Third"), 1):
        run = Commit(f"run-{number}", "c", "apply")
        if number != 2:
            state.save_resources([row(title)], run)
        state.save_bindings([replace(binding("a/b"), base={"title": title})], run)
    before, after = reader(engine, folder).around("run-2")
    assert [b.base["title"] for b in before.bindings()] == ["First"]
    assert [b.base["title"] for b in after.bindings()] == ["Second"]
    assert (
        [r.title for r in before.resources()] == [r.title for r in after.resources()] == ["First"]
    )
    with pytest.raises(StateError, match="what the state was before run-9"):
        reader(engine, folder).around("run-9")


def test_who_holds_the_lease_and_who_lost_it(engine: Engine, folder: Path) -> None:
    stale, fresh = writer(engine, folder), writer(engine, folder)
    taken = stale.acquire_lease("r1", "me@here", 60, TEN)
    stale.save_bindings([binding("a/b")], RUN)
    with pytest.raises(StateLocked, match=f"me@here holds the lease since {TEN}"):
        fresh.acquire_lease("r2", "me@there", 60, "2026-11-24T10:00:30Z")
    assert fresh.acquire_lease("r2", "me@there", 60, LATER).fence == taken.fence + 1
    with pytest.raises(StateLocked, match="taken away"):
        stale.save_bindings([binding("a/c")], RUN)
    with pytest.raises(StateLocked, match="me@there"):
        stale.renew_lease(60, LATER)
    stale.release_lease()
    assert stale.append_logs([log("r1", 0, "a/b")], RUN) == 1  # what was done is still told
    assert fresh.renew_lease(60, LATER).held
    fresh.save_bindings([binding("a/d")], RUN)
    fresh.release_lease()
    assert reader(engine, folder).lease() is None
    assert [b.address for b in reader(engine, folder).bindings()] == ["a/b", "a/d"]


def test_a_state_belongs_to_one_repo(engine: Engine, folder: Path) -> None:
    state = writer(engine, folder)
    state.claim(["root:1", "path:/it's \\ ä"])
    state.claim(["root:1"])
    with pytest.raises(StateVersionError, match=r"root:1.*this one is path:/b, root:2"):
        state.claim(["root:2", "path:/b"])


def test_older_tables_are_read_as_they_are_and_upgraded_in_place(
    engine: Engine, folder: Path
) -> None:
    extra = Migration(VERSION + 1, columns=(("runs", Column("extra", "DATE", "more")),))
    folded, version = fold([*MIGRATIONS, extra]), VERSION + 1
    tables: dict[Name, Table] = {name: folded[name] for name in ("runs", "bindings")}
    writer(engine, folder).save_run(RunRow("r1", "apply", "done"), RUN)
    before = engine.tables(folder, tables, version)
    assert before.read(tables["runs"], ["run_id", "extra"]) == {"run_id": ["r1"], "extra": [None]}
    then: dict[Name, int] = {name: DeltaTable(str(folder / name)).version() for name in tables}
    newer = engine.table_writer(folder, tables, version)
    newer.ensure()
    rows: Columns = {name: [None] for name in tables["runs"].names}
    rows.update(run_id=["r2"], extra=["2026-02-28"])
    newer.append(tables["runs"], rows, "")
    found = newer.read(tables["runs"], ["run_id", "extra"], newest="run_id", limit=2)
    assert found == {"run_id": ["r2", "r1"], "extra": ["2026-02-28", None]}
    assert isinstance(newer, Travels)
    past = newer.at(then)  # a version from before the migration
    assert past.read(tables["runs"], ["run_id", "extra"]) == {"run_id": ["r1"], "extra": [None]}
    assert past.compare([("a", "linear", "f")]).missing == (("a", "linear"),)
    with pytest.raises(StateVersionError, match=f"version {version}") as caught:
        reader(engine, folder).identity()
    assert caught.value.hint == "upgrade trueup"


def test_the_version_moves_with_what_plans_are_made_from(engine: Engine, folder: Path) -> None:
    state, seen = writer(engine, folder), reader(engine, folder)
    before = seen.version()
    assert seen.bindings() == []
    state.append_logs([log("r1", 0, "a/b")], RUN)
    assert state.version() == before
    state.save_bindings([binding("a/b")], RUN)
    assert state.version() != before
    assert seen.version() == before
    assert seen.bindings() == []  # a reader stays with what it saw first


def test_a_table_that_is_gone_is_named(engine: Engine, folder: Path) -> None:
    for path in sorted((folder / "tasks").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(StateError, match=r"the table tasks .*is missing|tasks is missing"):
        reader(engine, folder).resources()


@pytest.mark.engines
def test_one_engine_reads_and_merges_what_the_other_wrote(
    pair: tuple[Engine, Engine], filled: Filled
) -> None:
    first, second = pair
    folder = filled(first)
    _check_filled(reader(second, folder))
    assert reader(second, folder).version() == reader(first, folder).version()
    theirs = writer(second, folder)
    theirs.acquire_lease("r2", "me@there", 60, TEN)
    text = replace(binding("a/b", "gitlab"), base={"description": TEXTS["markdown"]}, url="")
    done = theirs.save_bindings([text, binding("a/new")], RUN, removed=[("a", "linear")])
    assert done == Merged(inserted=1, updated=1, deleted=1)
    theirs.append_logs([log("r2", 0, "a/new", at=LATER)], Commit("r2", "c2", "apply"))
    ours = writer(first, folder)
    assert ours.bindings() == theirs.bindings() == [text, pending("a/c"), binding("a/new")]
    # Of a commit's instant, one engine asks the log and the other the file: milliseconds apart.
    told, heard = ([replace(item, at="") for item in state.history()] for state in (ours, theirs))
    assert told == heard
    assert ours.lease() == theirs.lease()
    with pytest.raises(StateLocked, match="me@there"):
        ours.acquire_lease("r3", "me@here", 60, TEN)
    ours.break_lease()
    with pytest.raises(StateLocked, match="taken away"):
        theirs.save_bindings([binding("a/late")], RUN)
    assert ours.save_bindings([replace(text, url="x")], RUN) == Merged(updated=1)


@pytest.mark.engines
@pytest.mark.parametrize(
    ("one", "other"), list(itertools.pairwise((*ENGINES, ENGINES[0]))), ids=lambda name: name
)
def test_a_state_copied_to_another_engine_is_equal(
    request: pytest.FixtureRequest, filled: Filled, tmp_path: Path, one: str, other: str
) -> None:
    first, second = engine_called(one, request), engine_called(other, request)
    source, target = filled(first), tmp_path / "copy"
    second.founded(target)
    moved = copy_state(first.tables(source), second.table_writer(target))
    assert moved.rows["bindings"] == 3
    _check_filled(reader(second, target))
    assert reader(second, target).identity() == reader(first, source).identity()


@pytest.mark.parametrize(
    ("setting", "feature"),
    [
        ("'delta.enableRowTracking' = 'true'", "rowTracking"),
        ("'delta.enableInCommitTimestamps' = 'true'", "inCommitTimestamp"),
        ("'delta.feature.allowColumnDefaults' = 'supported'", "allowColumnDefaults"),
        ("'delta.enableTypeWidening' = 'true'", "typeWidening"),
    ],
)
def test_what_delta_rs_could_not_write_is_told_by_every_engine(
    spark: Session, spark_engine: Spark, tmp_path: Path, setting: str, feature: str
) -> None:
    folder = spark_engine.founded(tmp_path / "state")
    table = Place(folder).name("runs")
    spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ({setting})")
    look = spark_engine.tables(folder).look("runs")
    assert look is not None
    assert feature in obstacles(look)
    with pytest.raises(StateError, match=r"runs.*(feature|unsupported)") as caught:
        LocalWriter(folder).ensure()
    assert caught.value.hint


def test_tidying_keeps_all_rows(engine: Engine, folder: Path) -> None:
    state = writer(engine, folder)
    saved = [binding("a/z"), binding("a/b")]
    for item in saved:
        state.append("bindings", [binding_row(item)], RUN)
    engine.table_writer(folder).tidy("bindings", 7 * 24)
    assert len(DeltaTable(str(folder / "bindings")).file_uris()) == 1
    assert state.bindings() == saved[::-1]


@pytest.mark.engines
def test_spark_keeps_tables_in_a_schema_and_does_lost_races_again(
    spark: Session, spark_engine: Spark
) -> None:
    """No folder can be locked there, so that the engine itself must tell who was first."""
    place = Place("trueup_test", "home_")
    SparkWriter(spark, place).ensure()
    errors: list[BaseException] = []

    def write(name: str) -> None:
        try:
            state = Writer(SparkWriter(spark, place))
            for i in range(2):
                state.save_bindings([binding(f"{name}/t{i}")], Commit(name, action="apply"))
        except BaseException as error:  # shown by the test itself
            errors.append(error)
            raise

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = Writer(SparkWriter(spark, place))
    assert errors == []
    assert len(state.bindings()) == 4
    assert {entry.run_id for entry in state.history()} == {"a", "b"}
    assert state.place == "trueup_test.home_*"


def _newest_note(engine: Engine, folder: Path) -> str:
    return next(iter(engine.tables(folder).log("bindings"))).note


def _fill(state: Writer) -> None:
    drifted = replace(binding("a"), drift={"title": "By hand", "labels": ()})
    state.save_bindings([drifted, binding("a/b", "gitlab"), pending("a/c")], RUN)
    state.save_resources([_PROJECT, _TASK], RUN)
    state.save_integrations([_PLATFORM], RUN)
    state.save_people([_PERSON], RUN, at=NOW)
    state.save_run(_APPLY, RUN)
    state.append_logs([log("r1", 0, "a/b")], RUN)


def _check_filled(state: Reader) -> None:
    drifted = replace(binding("a"), drift={"title": "By hand", "labels": ()})
    assert state.bindings() == [drifted, binding("a/b", "gitlab"), pending("a/c")]
    assert state.resources() == [_PROJECT, _TASK]
    assert state.integrations() == [_PLATFORM]
    assert state.people() == [_PERSON]
    assert state.runs(5) == [_APPLY]
    (entry,) = state.history("a/b")
    assert entry.changes == (log("r1", 0, "a/b"),)


_PROJECT = ResourceRow("a", "project", declared={"title": "A"}, live={"status": "x"}, protect=True)
_TASK = ResourceRow(
    "a/b",
    "task",
    "id",
    {"title": "größer", "description": TEXTS["quotes"], "due": None},
    fingerprint="f1",
    platforms=("linear",),
    spec_path="specs/a.yaml",
    spec_line=7,
    commit="c0ffee",
    applied_at=NOW,
)
_PLATFORM = IntegrationRow(
    "linear",
    enabled=True,
    options={"team": "MOB"},
    cursor=NOW,
    last_success="2026-11-24T10:00:00.500Z",
    limits={"requests": [[1, 2]]},
    lookups={"labels": {"ü": 1}},
)
_APPLY = RunRow("r1", "apply", "running", "me", started_at=NOW, counts={"applied": 2}, fence=3)
_PERSON = Person("me", "Me", "me@example.com", "America/Los_Angeles", {"gitlab": "jwp763"})

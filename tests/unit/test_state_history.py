from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import CommitProperties, DeltaTable

from runner.state.contract import Commit, RunRow
from runner.state.store import Writer
from tests.unit.states import binding, log, reader, writer


def _run(state: Writer, number: int, *addresses: str, moved_from: str = "") -> Commit:
    """Make the commits of an apply that touches `addresses`."""
    run = Commit(f"run-{number:04}", f"commit-{number}", "apply")
    at = f"2026-11-24T10:{number // 60:02}:{number % 60:02}Z"
    fingerprint = f"f{number}"
    state.save_bindings([binding(address, fingerprint=fingerprint) for address in addresses], run)
    logs = [
        log(run.run_id, i, address, at=at, moved_from=moved_from)
        for i, address in enumerate(addresses)
    ]
    state.append_logs(logs, run)
    return run


def test_history_tells_what_each_run_did_newest_first(tmp_path: Path) -> None:
    state = writer(tmp_path)
    state.acquire_lease("run-0001", "me@here", 60)
    state.save_bindings([], Commit("run-0001", "commit-1", "intend"))
    state.save_bindings([binding("a/x")], Commit("run-0001", "commit-1", "intend"))
    _run(state, 1, "a", "a/b")
    state.release_lease()
    _run(state, 2, "a/b")
    newest, oldest = reader(tmp_path).history()
    assert (oldest.run_id, oldest.commit, oldest.who) == ("run-0001", "commit-1", "me@here")
    assert oldest.actions == ("intend", "apply")
    assert [change.address for change in oldest.changes] == ["a", "a/b"]
    assert oldest.changes[0].fields == (("title", "Before", "After"), ("labels", (), ("a",)))
    assert (newest.run_id, newest.commit, newest.who) == ("run-0002", "commit-2", "")
    assert newest.at >= oldest.at


def test_an_entry_names_the_version_to_travel_back_to(tmp_path: Path) -> None:
    state = writer(tmp_path)
    _run(state, 1, "a/b")
    _run(state, 2, "a/b")
    version = reader(tmp_path).history()[1].version
    then = DeltaTable(str(tmp_path / "state" / "bindings"), version=version)
    assert then.scan(["desired_hash"]).read_all()["desired_hash"][0].as_py() == "f1"


def test_a_run_that_only_observed_is_told_of(tmp_path: Path) -> None:
    state = writer(tmp_path)
    state.save_bindings([binding("a/b")], Commit("r1", "", "observe"))
    (entry,) = state.history()
    assert entry.actions == ("observe",)
    assert entry.changes == ()


def test_a_run_that_changed_nothing_in_the_state_is_told_of(tmp_path: Path) -> None:
    state = writer(tmp_path)
    state.append_logs([log("r1", 0, "a/b")], Commit("r1", "c1", "apply"))
    (entry,) = state.history()
    assert (entry.run_id, entry.commit, entry.version) == ("r1", "c1", None)


@pytest.mark.parametrize("address", [None, "a/b"])
def test_what_the_log_does_not_tell_the_runs_table_does(
    tmp_path: Path, address: str | None
) -> None:
    state = writer(tmp_path)
    state.append_logs([log("r1", 0, "a/b")], Commit("r1", action="recover"))
    state.save_run(RunRow("r1", "apply", "failed", who="me@here", commit="c1"), Commit("r1"))
    (entry,) = state.history(address)
    assert (entry.who, entry.commit) == ("me@here", "c1")


def test_the_history_of_a_resource_has_only_its_own_changes(tmp_path: Path) -> None:
    state = writer(tmp_path)
    _run(state, 1, "a", "a/b", "ab")
    _run(state, 2, "a")
    _run(state, 3, "a/b")
    runs = [(e.run_id, [c.address for c in e.changes]) for e in state.history("a/b")]
    assert runs == [("run-0003", ["a/b"]), ("run-0001", ["a/b"])]
    assert [e.commit for e in state.history("a/b")] == ["commit-3", "commit-1"]
    below = [change.address for entry in state.history("a") for change in entry.changes]
    assert below == ["a/b", "a", "a", "a/b"]
    assert state.history("nowhere") == []


def test_the_history_of_a_resource_follows_its_moves(tmp_path: Path) -> None:
    state = writer(tmp_path)
    _run(state, 1, "a/old")
    _run(state, 2, "a/mid", moved_from="a/old")
    _run(state, 3, "a/new", moved_from="a/mid")
    assert [entry.run_id for entry in state.history("a/new")] == [
        "run-0003",
        "run-0002",
        "run-0001",
    ]


def test_what_a_recovery_told_again_is_told_once(tmp_path: Path) -> None:
    state = writer(tmp_path)
    run = _run(state, 1, "a/b")
    state.append_logs([log(run.run_id, 0, "a/b")], Commit(run.run_id, "", "recover"))
    (entry,) = state.history()
    assert len(entry.changes) == 1


@pytest.mark.parametrize("address", [None, "a/b"])
def test_the_limit_counts_runs_from_the_newest(tmp_path: Path, address: str | None) -> None:
    state = writer(tmp_path)
    for number in range(6):
        for _ in range(2):
            _run(state, number, "a/b")
    assert [e.run_id for e in state.history(address, 2)] == ["run-0005", "run-0004"]
    assert len(state.history(address, 99)) == 6
    assert state.history(address, 0) == []


def test_what_the_log_was_cut_of_the_tables_still_tell(tmp_path: Path) -> None:
    state = writer(tmp_path)
    run = _run(state, 1, "a/b")
    state.save_run(RunRow(run.run_id, "apply", "done", who="me@here", commit="commit-1"), run)
    _run(state, 2, "a/b")
    for name in ("bindings", "sync_logs"):
        folder = tmp_path / "state" / name
        DeltaTable(str(folder)).create_checkpoint()
        for entry in sorted((folder / "_delta_log").glob("*.json"))[:-1]:
            entry.unlink()
    assert [entry.run_id for entry in state.history()] == ["run-0002"]
    newest, oldest = state.history("a/b")
    assert (newest.run_id, newest.version) == ("run-0002", 2)
    assert (oldest.run_id, oldest.commit, oldest.who) == ("run-0001", "commit-1", "me@here")
    assert (oldest.at, oldest.version) == ("2026-11-24T10:00:01Z", None)


def test_commits_that_are_not_ours_are_passed_over(tmp_path: Path) -> None:
    state = writer(tmp_path)
    _run(state, 1, "a/b")
    for note in ("", "no JSON", "[1]", '{"run": 7}'):
        table = DeltaTable(str(tmp_path / "state" / "bindings"))
        table.alter.set_table_properties(
            {"other": note or "x"},
            raise_if_not_exists=False,
            commit_properties=CommitProperties({"userMetadata": note}),
        )
    assert [entry.run_id for entry in state.history()] == ["run-0001"]

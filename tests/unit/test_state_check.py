from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.state import check_state
from runner.state.contract import ResourceRow
from runner.state.store import Writer
from schemas.tables import TABLES
from tests.unit.states import RUN, binding, pending, reader, writer


def _sound(folder: Path) -> Writer:
    state = writer(folder)
    state.save_bindings([binding("a"), binding("a/b"), binding("a/milestones/m")], RUN)
    rows = [
        ResourceRow("a", "project"),
        ResourceRow("a/b", "task"),
        ResourceRow("a/milestones/m", "milestone"),
    ]
    state.save_resources(rows, RUN)
    return state


def _found(folder: Path) -> list[tuple[str, str, str]]:
    return [(item.severity, item.code, item.message) for item in check_state(reader(folder))]


def test_a_sound_state_and_one_that_is_not_there_have_no_problems(tmp_path: Path) -> None:
    assert _found(tmp_path) == []
    _sound(tmp_path)
    assert _found(tmp_path) == []


def test_every_problem_says_its_remedy(tmp_path: Path) -> None:
    state = _sound(tmp_path)
    state.append("bindings", [_row("a/b"), _row("a/c", kind="milestone"), _row("a/d")], RUN)
    assert all(item.hint for item in check_state(reader(tmp_path)))


def test_keys_that_are_there_twice_are_found(tmp_path: Path) -> None:
    _sound(tmp_path).append("bindings", [_row("a/b", remote_id="linear-a/b")], RUN)
    assert _found(tmp_path) == [
        ("error", "duplicate-key", "2 rows of bindings have the key a/b on linear")
    ]


def test_two_bindings_of_one_remote_object_are_found(tmp_path: Path) -> None:
    state = _sound(tmp_path)
    state.save_resources([ResourceRow("a/c", "task")], RUN)
    state.save_bindings([replace(binding("a/c"), remote_id="linear-a/b")], RUN)
    assert _found(tmp_path) == [
        (
            "error",
            "shared-remote-object",
            "a/b on linear and a/c on linear are bound to one object, linear-a/b",
        )
    ]


def test_objects_of_different_kinds_may_share_an_id(tmp_path: Path) -> None:
    state = _sound(tmp_path)
    changed = [replace(binding(a), remote_id="7") for a in ("a", "a/b", "a/milestones/m")]
    state.save_bindings(changed, RUN)
    assert _found(tmp_path) == []


def test_bindings_without_a_resource_are_found(tmp_path: Path) -> None:
    _sound(tmp_path).save_bindings([binding("a/c")], RUN)
    assert [item[:2] for item in _found(tmp_path)] == [("warning", "orphan-binding")]


def test_bindings_to_nothing_are_found(tmp_path: Path) -> None:
    _sound(tmp_path).save_bindings([replace(binding("a/b"), remote_id="")], RUN)
    assert [item[:2] for item in _found(tmp_path)] == [("error", "empty-binding")]


def test_operations_that_an_ended_run_left_are_found(tmp_path: Path) -> None:
    state = _sound(tmp_path)
    state.save_bindings([pending("a/c", run_id="r1")], RUN)
    assert [item[:2] for item in _found(tmp_path)] == [("warning", "left-pending")]
    state.acquire_lease("r1", "me", 60)
    assert _found(tmp_path) == []
    state.release_lease()
    state.acquire_lease("r2", "me", 60)
    assert [item[1] for item in _found(tmp_path)] == ["left-pending"]


@pytest.mark.parametrize("kind", ["epic", "milestone", ""])
def test_kinds_that_do_not_fit_are_found(tmp_path: Path, kind: str) -> None:
    state = _sound(tmp_path)
    state.merge("bindings", [_row("a/b", kind=kind)], RUN)
    assert [item[:2] for item in _found(tmp_path)] == [("error", "bad-kind")]


def test_damaged_json_is_found_in_every_table_and_errors_come_first(tmp_path: Path) -> None:
    state = _sound(tmp_path)
    state.save_bindings([binding("a/orphan")], RUN)
    _damage(state, "bindings", "base", "a/b")
    _damage(state, "tasks", "declared", "a/milestones/m")
    assert [item[1] for item in _found(tmp_path)] == ["bad-json", "bad-json", "orphan-binding"]
    messages = {item[2] for item in _found(tmp_path)}
    assert "base of a/b on linear in bindings is no JSON" in messages
    assert "declared of a/milestones/m in tasks is no JSON" in messages


def _damage(state: Writer, table: str, column: str, address: str) -> None:
    from deltalake import DeltaTable

    found = DeltaTable(f"{state.place}/{table}")
    found.update({column: "'{\"garbage'"}, predicate=f"address = '{address}'")


def _row(address: str, **cells: object) -> dict[str, object]:
    names = TABLES["bindings"].names
    filled = {"address": address, "platform": "linear", "kind": "task", "remote_id": address}
    return {**dict.fromkeys(names), **filled, **cells}

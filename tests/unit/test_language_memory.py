"""A process that reads the specs again and again finds what a fresh one finds."""

from __future__ import annotations

import json
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.language.check import check
from runner.language.load import load
from runner.language.memory import FILE, Memory
from runner.language.resolve import resolve
from schemas.domain import Desired, Diagnostic
from tests.specrepo import COMMON, TODAY, write

HEAD = "kind: Project\nkey: {key}\nname: {key}\nstart: 2026-12-01\ndue: 2027-03-01"
LINES = (
    "owner: me",
    "formerly: [old-{key}]",
    "moved: {{gone: a}}",
    "defaults: {{estimate: 3w, platforms: [linear]}}",
    "defaults: {{platforms: [motion]}}",
    "platforms: [notion]",
)
WRONG = ("owner: nobody", "due: 2026-11-01", "formerly: [old]", "moved: {{b/gone: x}}", "x: y")
TASKS = {
    "a": (
        "{{title: A, estimate: 2w, milestone: beta}}",
        "{{title: A, estimate: 10d, due: 2026-12-02}}",
        "{{title: A, repeat: {{every: week, days: [mon]}}}}",
        "{{title: A, tasks: {{d: {{title: D, due: 2026-12-03, depends_on: [p1/b]}}}}}}",
    ),
    "b": (
        "{{title: B, estimate: 5d, depends_on: [p2/c]}}",
        "{{title: B, depends_on: [p3/b, c]}}",
        "{{title: B, due: 2026-12-04}}",
    ),
    "c": (
        "{{title: C, estimate: 4w, linear: {{team: WEB}}}}",
        "{{title: C, owner: me, start: 2026-12-03}}",
        "{{title: C, depends_on: [b]}}",
    ),
}
COMMONS = (
    COMMON,
    COMMON.replace("linear: {enabled: true", "linear: {enabled: false"),
    COMMON.replace("gitlab: jwp763", "timezone: America/Los_Angeles"),
    COMMON + "---\nkind: Settings\npolicy: {horizon: 1w}\n",
    COMMON.replace("name: Me", "name: [Me]"),
)


def project(dice: random.Random, key: str) -> str:
    lines = ["milestones: {{beta: {{name: Beta, due: 2026-12-02}}}}", dice.choice(LINES)]
    if dice.random() < 0.1:
        lines.append(dice.choice(WRONG))
    tasks = [f"  {name}: {dice.choice(bodies)}" for name, bodies in TASKS.items()]
    text = "\n".join([HEAD, *dict.fromkeys(lines), "tasks:", *tasks, ""])
    return text.format(key=key)


def found(
    root: Path, today: date, memory: Memory | None = None
) -> tuple[list[Diagnostic], Desired | None]:
    loaded = load(root, memory=memory)
    problems = [*loaded.diagnostics, *check(loaded, today, memory)]
    sound = not any(item.severity == "error" for item in problems)
    desired = resolve(loaded, today=today, commit="c", memory=memory) if sound else None
    if memory is not None:
        memory.end_of_reading()
    return problems, desired


def edit(root: Path, dice: random.Random, number: int, key: str) -> None:
    write(root, project(dice, key), dice.choice(COMMONS) if dice.random() < 0.05 else COMMON)
    (root / "specs" / "p.yaml").rename(root / "specs" / f"p{number}.yaml")


def test_what_is_remembered_changes_no_finding(tmp_path: Path):
    valid = 0
    for seed in range(8):
        dice, memory, today = random.Random(seed), Memory(), TODAY
        for number in range(4):
            edit(tmp_path, dice, number, f"p{number + 1}")
        for _ in range(40):
            number = dice.randrange(5)
            keys = ("p1", "p2", "p3", "p4", dice.choice(["p5"] * 9 + ["p1"]))
            edit(tmp_path, dice, number, keys[number])
            if dice.random() < 0.1:
                today += timedelta(days=1)
            if dice.random() < 0.05:
                (tmp_path / "specs" / f"p{number}.yaml").unlink()
            fresh, remembered = found(tmp_path, today), found(tmp_path, today, memory)
            assert remembered == fresh
            assert found(tmp_path, today, Memory(tmp_path / FILE)) == fresh
            if fresh[1] is not None and remembered[1] is not None:
                valid += 1
                assert list(remembered[1].resources) == list(fresh[1].resources)
    assert valid > 20


def test_what_was_not_asked_for_is_dropped():
    memory = Memory()
    memory.put("a", 1)
    memory.put("b", 2)
    memory.end_of_reading()
    assert memory.get("a") == 1
    memory.end_of_reading()
    assert (memory.get("a"), memory.get("b")) == (1, None)


def test_notes_outlast_the_process(tmp_path: Path):
    memory = Memory(tmp_path / FILE)
    memory.note("a", [1])
    memory.end_of_reading()
    later = Memory(tmp_path / FILE)
    assert (later.noted("a"), later.noted("b")) == ([1], None)


@pytest.mark.parametrize("junk", ["", "{", "[]", "[" * 9000, '{"code": "of another version"}'])
def test_notes_that_cannot_be_read_are_none(tmp_path: Path, junk: str):
    path = tmp_path / FILE
    path.parent.mkdir(parents=True)
    path.write_text(junk)
    assert Memory(path).noted("a") is None


DAMAGED: list[Any] = [1, "x", [], [[]], [[["a", "b", [], "f"]], {}, "f"], [[0]]]


@pytest.mark.parametrize("junk", DAMAGED)
def test_damaged_notes_change_no_finding(tmp_path: Path, junk: object):
    write(tmp_path, "kind: Project\nkey: app\nname: App\ntasks: {a: {title: A}}\n")
    found(tmp_path, TODAY, Memory(tmp_path / FILE))
    fresh = found(tmp_path, TODAY)
    notes = json.loads((tmp_path / FILE).read_text())
    damaged = {key: note if key == "code" else junk for key, note in notes.items()}
    (tmp_path / FILE).write_text(json.dumps(damaged))
    assert len(damaged) > 2
    assert found(tmp_path, TODAY, Memory(tmp_path / FILE)) == fresh


def test_a_folder_that_cannot_be_written_is_no_problem(tmp_path: Path):
    (tmp_path / ".trueup").write_text("a file where the folder should be")
    memory = Memory(tmp_path / FILE)
    memory.note("a", 1)
    memory.end_of_reading()


def test_a_thing_is_made_once():
    memory, made = Memory(), list[int]()

    def make() -> int:
        made.append(1)
        return len(made)

    assert [memory.once("a", make), memory.once("a", make)] == [1, 1]

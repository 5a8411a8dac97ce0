"""Any operation on any style of file: the right meaning, and only the lines concerned."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from pydantic import ValidationError

from runner.language.edit import Edited, apply_operations
from runner.language.load import decode
from runner.language.parse import Text, parse
from schemas import operations as ops
from schemas.operations import Operation
from tests.specrepo import TODAY
from tests.specwriter import WORDS, Fields, Writer, keys_of, project

REPO = Path(__file__).parent.parent.parent
COMMON = b"kind: Integrations\nlinear: {enabled: true, team: MOB}\n"
PEOPLE = b"---\nkind: People\npeople: {me: {name: Me}}\n"
UNSOUND = {"depends-on-ancestor", "circular-dependency"}
"""What a move may lead to: the checks refuse it, and rightly so."""
WHY = "A test asks for it"


def documents(content: bytes) -> list[Fields]:
    """Return the values of a file's documents, key order included."""
    text = decode(content, "x")
    assert isinstance(text, Text)
    parsed = parse(text)
    assert parsed.problems == ()
    return cast("list[Fields]", json.loads(json.dumps(parsed.documents)))


def found(tasks: object, key: str) -> tuple[Fields, Fields]:
    """Return what holds a task, and the task."""
    for name, task in cast("dict[str, Fields]", tasks or {}).items():
        if name == key:
            return cast("Fields", tasks), task
        if key in keys_of(task.get("tasks")):
            return found(task["tasks"], key)
    raise KeyError(key)


def tidy(tasks: Fields) -> None:
    """Take out empty `tasks`."""
    for task in cast("dict[str, Fields]", tasks).values():
        if "tasks" in task:
            tidy(cast("Fields", task["tasks"]))
            if not task["tasks"]:
                del task["tasks"]


def drop(tasks: Fields, gone: list[str]) -> Iterator[str]:
    """Take tasks out of every `depends_on`; yield whose that was."""
    for key in keys_of(tasks):
        _, task = found(tasks, key)
        given = cast("list[str]", task.get("depends_on", []))
        if key not in gone and not set(gone).isdisjoint(given):
            task["depends_on"] = [name for name in given if name not in gone]
            yield key


class Case:
    """One operation on one file, with what is to become of it."""

    def __init__(self, seed: int, *, anchors: bool = False) -> None:
        self.dice = random.Random(seed)
        made = project(self.dice, self.dice.randint(2, 14))
        writer = Writer(self.dice, anchors)
        self.before = writer.write(made)
        self.owners = writer.owners
        self.number = (
            next(i for i, d in enumerate(documents(self.before)) if d["key"] == "app")
            if (b"kind: People" not in self.before)
            else 1
        )
        self.model = documents(self.before)[self.number]
        self.tasks = cast("Fields", self.model["tasks"])
        self.key = self.dice.choice(keys_of(self.tasks))
        self.holder, self.task = found(self.tasks, self.key)
        self.concerned = {self.key}
        kinds = [self.set_scalar, self.set_text, self.clear, self.release, self.label, self.add]
        kinds += [self.remove, self.move, self.rename]
        self.above = self.parents()
        self.operation: Operation = self.dice.choice(kinds)()

    def parents(self) -> set[str]:
        """Return the task that the task is a part of; else what the project calls its tasks."""
        above = [
            k
            for k in keys_of(self.tasks)
            if self.key in cast("Fields", found(self.tasks, k)[1].get("tasks", {}))
        ]
        return set(above or ["tasks"])

    def set_scalar(self) -> Operation:
        name, value = self.dice.choice(
            [
                ("title", self.dice.choice(WORDS).strip()),
                ("due", "2031-05-06"),
                ("priority", "urgent"),
                ("owner", "me"),
                ("estimate", "17m"),
            ]
        )
        self.task[name] = value
        return ops.UpdateTask(
            task=f"app/{self.key}", set=cast("ops.TaskFields", {name: value}), why=WHY
        )

    def set_text(self) -> Operation:
        text = self.dice.choice(["Short: text.", "Two\n\nparts", "# head\n\n  code\n- list", "a  "])
        before = str(self.task.get("description", ""))
        value = text.rstrip()
        multi = "\n" in value and not ("\n" in before and not before.endswith("\n"))
        self.task["description"] = value + ("\n" if multi or before.endswith("\n") else "")
        if before.strip() == value:
            self.task["description"] = before
        return ops.UpdateTask(task=f"app/{self.key}", set={"description": value}, why=WHY)

    def clear(self) -> Operation:
        self.task["start"] = None
        return ops.UpdateTask(task=f"app/{self.key}", set={"start": None}, why=WHY)

    def release(self) -> Operation:
        names = [n for n in self.task if n not in {"title", "tasks"}] or ["estimate"]
        name = self.dice.choice(names)
        self.task.pop(name, None)
        return ops.UpdateTask(
            task=f"app/{self.key}", release=cast("list[ops.TaskField]", [name]), why=WHY
        )

    def label(self) -> Operation:
        defaults = cast("Fields", self.model.get("defaults", {}))
        given = cast("list[str]", self.task.get("labels", defaults.get("labels", [])))
        out = self.dice.sample(given, 1) if given and self.dice.random() < 0.5 else []
        self.task["labels"] = [x for x in given if x not in out] + ["new one"]
        return ops.Label(items=[f"app/{self.key}"], add=["new one"], remove=out, why=WHY)

    def add(self) -> Operation:
        fresh: Fields = {"title": self.dice.choice(WORDS).strip(), "estimate": "4h"}
        if self.dice.random() < 0.3:
            fresh["description"] = "More\nthan one"
        if self.dice.random() < 0.5:
            cast("Fields", self.task.setdefault("tasks", {}))["fresh"] = fresh
            where: dict[str, str | None] = {"parent": self.key}
        else:
            items = list(self.tasks.items())
            at = self.dice.randrange(len(items))
            self.concerned = {"tasks"}
            items.insert(at + 1, ("fresh", fresh))
            where = {"after": items[at][0]}
            self.tasks.clear()
            self.tasks.update(items)
        given = cast("ops.NewTask", dict(fresh))
        if "description" in fresh:
            fresh["description"] = "More\nthan one\n"
            ordered = {n: fresh[n] for n in ("title", "description", "estimate")}
            fresh.clear()
            fresh.update(ordered)
        return ops.AddTask(
            project="app",
            key="fresh",
            fields=given,
            why=WHY,
            parent=where.get("parent"),
            after=where.get("after"),
        )

    def remove(self) -> Operation:
        gone = [self.key, *keys_of(self.task.get("tasks"))]
        self.concerned = {*gone, *self.parents()}
        self.concerned |= set(drop(self.tasks, gone))
        del self.holder[self.key]
        tidy(self.tasks)
        if not self.tasks:
            del self.model["tasks"]
        return ops.RemoveTask(task=f"app/{self.key}", subtasks="remove", why=WHY)

    def move(self) -> Operation:
        below = keys_of(self.task.get("tasks"))
        others = [k for k in keys_of(self.tasks) if k not in {self.key, *below}]
        parent = self.dice.choice([None, *others])
        goal = found(self.tasks, parent)[1] if parent else self.model
        self.concerned = {self.key, *below, *self.parents(), *([parent] if parent else [])}
        target = cast("Fields", goal.get("tasks", {}))
        if target is not self.holder:
            del self.holder[self.key]
            cast("Fields", goal.setdefault("tasks", {}))[self.key] = self.task
            tidy(self.tasks)
        return ops.MoveTask(task=f"app/{self.key}", parent=parent, why=WHY)

    def rename(self) -> Operation:
        for key in keys_of(self.tasks):
            _, task = found(self.tasks, key)
            given = cast("list[str]", task.get("depends_on", []))
            if self.key in given:
                self.concerned.add(key)
                task["depends_on"] = ["renamed" if name == self.key else name for name in given]
        items = [("renamed" if k == self.key else k, v) for k, v in self.holder.items()]
        self.holder.clear()
        self.holder.update(items)
        self.model["moved"] = {self.key: "renamed"}
        return ops.RenameTask(task=f"app/{self.key}", key="renamed", why=WHY)


def edited(before: bytes, operation: Operation) -> Edited:
    common = COMMON if b"kind: People" in before else COMMON + PEOPLE
    files = {"specs/common.yaml": common, "specs/p.yaml": before}
    return apply_operations(files, [operation], TODAY)


def comments(content: bytes) -> Counter[str]:
    return Counter(re.findall(r"# (?:of|section|a file)[^\r\n]*", content.decode("utf-8-sig")))


@pytest.mark.parametrize("block", range(8))
def test_only_what_is_concerned_changes(block: int):
    run(block * 60, block * 60 + 60)


def run(first: int, behind: int) -> None:
    for seed in range(first, behind):
        case = Case(seed)
        outcome = edited(case.before, case.operation)
        label = f"seed {seed}: {case.operation!r}\n{case.before.decode()}"
        if {item.code for item in outcome.diagnostics if item.severity == "error"} & UNSOUND:
            continue
        assert not outcome.refused, f"{outcome.diagnostics}\n{label}"
        after = outcome.files.get("specs/p.yaml", case.before)
        assert after is not None
        expected = documents(case.before)
        expected[case.number] = case.model
        same_meaning(documents(after)[case.number], case.model, case.before, label)
        lines_kept(case, after, label)
        again = edited(after, case.operation)
        if isinstance(case.operation, ops.UpdateTask | ops.Label):
            assert again.files == {}, label


SHARDS = [
    *" \t:#-?,[]{}&*!|>'\"%@`\\/=~<.0123456789abcxyzNYe+_",
    *("📐", "👩\u200d👩", "\u00a0", "é", "\u200b", "\u202e", "\u2028", "\x85", "\ufeff", "\u0301"),
    *("---", "...", "null", "true", "0x", "\n", "\n\n"),
]
STYLES = [
    "tasks:\n  a: {title: A, description: x, labels: [p]}\n",
    "tasks:\n  a:\n    title: 'A'\n    description: |\n      x\n    labels:\n    - p\n",
    'tasks:\r\n  a:\r\n    title: "A"\r\n    description: >-\r\n      x\r\n      y',
]


@pytest.mark.parametrize("style", STYLES)
def test_any_text_is_written_so_that_it_reads_back(style: str):
    dice = random.Random(6)
    before = f"kind: Project\nkey: app\nname: App\n{style}".encode()
    done = 0
    for _ in range(250):
        words = ["".join(dice.choices(SHARDS, k=dice.randint(1, 12))) for _ in range(4)]
        fields: Fields = {"title": words[0], "description": words[1], "labels": words[2:3]}
        fields["links"] = [{"url": "https://a.example", "title": words[3]}]
        document = {"op": "update_task", "task": "app/a", "set": fields, "why": WHY}
        try:
            (operation,) = ops.parse_operations(json.dumps([document]))
        except ValidationError:
            continue
        outcome = edited(before, operation)
        assert not outcome.refused, (fields, outcome.diagnostics)
        after = outcome.files["specs/p.yaml"]
        assert after is not None
        assert edited(after, operation).files == {}, fields
        done += 1
    assert done > 100


def test_what_is_shared_keeps_its_meaning():
    for seed in range(200):
        run_shared(seed)


def run_shared(seed: int) -> None:
    case = Case(seed, anchors=True)
    outcome = edited(case.before, case.operation)
    label = f"seed {seed}: {case.operation!r}\n{case.before.decode()}"
    codes = {item.code for item in outcome.diagnostics if item.severity == "error"}
    assert codes <= UNSOUND, f"{outcome.diagnostics}\n{label}"
    after = outcome.files.get("specs/p.yaml", case.before)
    assert after is not None
    if not codes:
        same_meaning(documents(after)[case.number], case.model, case.before, label)


def same_meaning(after: Fields, expected: Fields, before: bytes, label: str) -> None:
    """Compare models; the order of fields in a task is the editor's business."""
    if not before.endswith(b"\n"):
        # The last line may be of a literal block, which has a line end when it is no longer last.
        after, expected = (
            json.loads(json.dumps(x).replace('\\n"', '"')) for x in (after, expected)
        )
    assert after == expected, label
    assert keys_of(after.get("tasks")) == keys_of(expected.get("tasks")), label


def lines_kept(case: Case, after: bytes, label: str) -> None:
    before, now = (content.decode().splitlines() for content in (case.before, after))
    assert case.before.endswith(b"\n") == after.endswith(b"\n"), label
    assert (b"\r\n" in case.before) == (b"\r\n" in after) or len(now) == 1, label
    assert b"\r\n" not in after or after.count(b"\n") == after.count(b"\r\n"), label
    lines = iter(now)
    for number, (line, owner) in enumerate(zip(before, case.owners, strict=False)):
        if owner not in case.concerned and line.strip():
            assert line in lines, (
                f"line {number + 1} is gone: {line}\n{label}\n-----\n{after.decode()}"
            )
    if not isinstance(case.operation, ops.MoveTask):
        assert (Counter(now) - Counter(before)).total() <= 14, label
    lost = comments(case.before) - comments(after)
    for comment in lost:
        found_owner = re.match(r"# of (\w+)", comment)
        shown = f"lost {comment}\n{label}\n-----\n{after.decode()}"
        assert found_owner is not None, shown
        assert found_owner[1] in case.concerned, shown
        moved = isinstance(case.operation, ops.MoveTask) and found_owner[1] in case.above
        if isinstance(case.operation, ops.MoveTask | ops.RenameTask | ops.AddTask) and not moved:
            pytest.fail(shown)
    if isinstance(case.operation, ops.RemoveTask):
        gone = case.operation.task.partition("/")[2]
        assert not re.search(rf"# of {gone}\b", after.decode()), f"{label}\n-----\n{after.decode()}"

"""What trueup makes of a draft: refused with the validator's words, or accepted with its effect."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from runner.agent.contract import AgentRequest, Draft, Revision, Scope
from runner.agent.material import Material, read_material
from runner.agent.verify import verify
from runner.state.local import LocalTables
from runner.state.store import Reader
from tests.models.bench import ADD, APP, TODAY
from tests.specrepo import AROUND, write

REQUEST = AgentRequest("Do it")


@pytest.fixture
def material(tmp_path: Path) -> Material:
    return read_repo(write(tmp_path, APP, AROUND))


def read_repo(root: Path) -> Material:
    return read_material(root, root / "specs", TODAY, Reader(LocalTables(root / ".trueup/state")))


def draft(*operations: dict[str, Any], questions: tuple[str, ...] = ()) -> Draft:
    fields = [{"why": "because", **item} for item in operations]
    return Draft.model_validate({"title": "T", "operations": fields, "questions": questions})


def test_a_sound_draft_comes_with_its_effect(material: Material) -> None:
    verdict = verify(draft(ADD), REQUEST, material)
    assert verdict.accepted
    assert list(verdict.edited.files) == ["specs/p.yaml"]
    assert verdict.plan is not None
    assert {change.address for change in verdict.plan.changes} == {"app/sign-up"}
    assert len(verdict.plan.changes) == 4
    assert sum(verdict.plan.cost.requests.values()) > 0


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({**ADD, "project": "ap"}, "there is no project `ap` (did you mean `app`?)"),
        ({**ADD, "key": "login"}, "login"),
        ({**ADD, "fields": {"title": "T", "owner": "eve"}}, "nobody is called `eve`"),
        ({**ADD, "fields": {"title": "T", "depends_on": ["nope"]}}, "nope"),
        (
            {"op": "set_dependencies", "task": "app/pick-stack", "add": ["login"]},
            "circular dependency",
        ),
        ({"op": "update_task", "task": "app/login", "set": {"due": "2026-11-01"}}, "due on"),
        ({"op": "assign", "to": "me", "items": ["app"]}, "the operations change nothing"),
    ],
)
def test_the_validators_words_are_the_answer(
    material: Material, item: dict[str, Any], problem: str
) -> None:
    verdict = verify(draft(item), REQUEST, material)
    assert not verdict.accepted
    assert problem in "\n".join(verdict.problems)
    assert not verdict.edited.files or "change nothing" not in problem


def test_a_deadline_that_cannot_be_met_is_refused_or_asked_about(material: Material) -> None:
    much = {**ADD, "fields": {"title": "All of it", "estimate": "20w"}}
    verdict = verify(draft(much), REQUEST, material)
    assert not verdict.accepted
    assert "cannot be done before" in verdict.problems[0]
    asking = verify(draft(much, questions=("And now?",)), REQUEST, material)
    assert asking.accepted
    assert asking.late


def test_nothing_at_all_is_no_draft(material: Material) -> None:
    assert verify(draft(), REQUEST, material).problems == (
        "the draft has neither operations nor a question",
    )
    assert verify(draft(questions=("Which?",)), REQUEST, material).accepted


def test_every_comment_is_answered(material: Material) -> None:
    one = Revision.model_validate({"title": "T", "answers": ["Done."]})
    assert verify(one, REQUEST, material, answers=1).accepted
    assert verify(one, REQUEST, material, answers=2).problems == (
        "there are 2 comments to answer, and 1 answers",
    )


def test_too_much_is_refused(material: Material) -> None:
    label = {"op": "label", "items": ["app/login", "app/pick-stack"], "add": ["x"]}
    request = AgentRequest("Do it", scope=Scope(max_touched=1))
    assert verify(draft(label), request, material).problems == (
        "2 things would change; at most 1 are allowed",
    )


def test_specs_with_errors_can_still_be_mended(tmp_path: Path) -> None:
    broken = APP.replace("owner: me", "owner: eve")
    material = read_repo(write(tmp_path, broken, AROUND))
    verdict = verify(draft(ADD), REQUEST, material)
    assert verdict.accepted
    assert verdict.plan is None, "there is no plan of specs with errors"


def test_ten_thousand_tasks_take_less_than_a_second(tmp_path: Path) -> None:
    write(tmp_path, APP, AROUND)
    for number in range(100):
        tasks = "".join(
            f"  t{i}: {{title: Task {i}, estimate: 4h, labels: [a]}}\n" for i in range(100)
        )
        text = f"kind: Project\nkey: p{number}\nname: P {number}\nowner: me\ntasks:\n{tasks}"
        (tmp_path / "specs" / f"p{number}.yaml").write_text(text)
    material = read_repo(tmp_path)
    assert len(material.desired.resources) > 10_000
    taken: list[float] = []
    for number in range(3):
        began = time.process_time()
        verdict = verify(draft({**ADD, "key": f"new-{number}"}), REQUEST, material)
        taken.append(time.process_time() - began)
        assert verdict.accepted
    assert min(taken) < 1, taken

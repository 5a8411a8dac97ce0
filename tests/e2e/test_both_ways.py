"""A task is ticked off on the phone, a title edited in a browser: what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from runner.config import read_config
from runner.sandbox.server import Sandbox
from runner.workspace import Workspace
from schemas.domain import PLATFORMS, Binding
from tests.contract.people import People
from tests.e2e.shell import Shell
from tests.specrepo import AROUND

PROJECT = """\
# What we are up to.
kind: Project
key: app
name: App   # short
defaults: {priority: medium}

tasks:
  pick:
    # nobody remembers why
    title: Pick the stack   # soon
    description: |
      Compare three of them, by what
      they *cost* us.

      * speed
      * size

      | who | what  |
      | :-- | ----: |
      | Ann | speed |
    due: 2026-12-05
  ship: {title: "Ship it", depends_on: [pick]}
"""


@pytest.fixture(name="applied")
def an_applied_repo(shell: Shell, sandbox: Sandbox) -> tuple[Shell, Sandbox]:
    shell.write({"specs/around.yaml": AROUND, "specs/app.yaml": PROJECT})
    shell.commit("Specs")
    shell.done("apply", "--yes")
    return shell, sandbox


def bindings(shell: Shell, address: str) -> Mapping[str, Binding]:
    found = Workspace(read_config(shell.folder)).reader().bindings([address])
    return {binding.platform: binding for binding in found}


def test_a_task_that_is_done_on_one_platform_is_done_everywhere(
    applied: tuple[Shell, Sandbox],
) -> None:
    shell, sandbox = applied
    people = People(sandbox)
    there = bindings(shell, "app/pick")
    for platform, status in zip(PLATFORMS, ("done", "todo", "canceled", "done"), strict=True):
        people.edit(there[platform], status=status)
        shell.done("apply", "--refresh", "--yes")
        assert {p: people.look(b)["status"] for p, b in there.items()} == dict.fromkeys(
            PLATFORMS, status
        )
        rows = shell.done("state", "show", "app/pick").json()
        assert rows["tasks"][0]["live"]["status"] == status
    assert shell.trueup("plan", "--refresh", "--detailed-exitcode").code == 0
    shown = shell.done("show", "app/pick").out
    assert "status" in shown


def test_an_edited_title_and_description_become_lines_of_the_specs_and_nothing_else(
    applied: tuple[Shell, Sandbox],
) -> None:
    shell, sandbox = applied
    people, there = People(sandbox), bindings(shell, "app/pick")
    title, size = "Pick the stack", "size"
    for platform in PLATFORMS:
        # What a person sees there, with one word of it and the title changed.
        shown = str(people.look(there[platform])["description"])
        assert f" {size}\n" in shown
        text = shown.replace(f" {size}\n", f" size on {platform}\n")
        people.edit(there[platform], title=f"Choose {platform}", description=text)

        found = shell.trueup("drift", "--json", "--detailed-exitcode")
        assert found.code == 2
        names = [(d["name"], d["platform"], d["decision"]) for d in found.json()["drift"]]
        assert names == [("description", platform, "propose"), ("title", platform, "propose")]

        shown = shell.done("drift", "--offline", "app/pick").out
        assert f"      {platform:8} - * {size}\n               + * size on {platform}\n" in shown
        said = shell.done("adopt", "--offline").out
        assert f"+ app/pick: description: * {size} → * size on {platform} ({platform}" in said
        others = [name for name in sorted(PLATFORMS) if name != platform]
        left = ", ".join(f"{name} 1" for name in others)
        assert said.splitlines()[-2:] == [
            "edited specs/app.yaml",
            f"left for the next apply, changes by platform: {left}",
        ]
        assert " 1 file changed, 2 insertions(+), 2 deletions(-)" in shell.git("diff", "--stat")
        diff = shell.git("diff", "--unified=0").splitlines()
        assert [line for line in diff if line[:1] in "+-" and line[:3] not in {"+++", "---"}] == [
            f"-    title: {title}   # soon",
            f"+    title: Choose {platform}   # soon",
            f"-      * {size}",
            f"+      * size on {platform}",
        ]
        shell.commit(f"Adopt what {platform} has")

        # What was adopted there has only to reach the others.
        made = shell.done("plan", "--json").json()
        assert {change["platform"] for change in made["changes"]} == {*others}
        assert made["drift"] == []
        shell.done("apply", "--yes", "--no-refresh")
        assert shell.trueup("plan", "--detailed-exitcode").code == 0
        title, size = f"Choose {platform}", f"size on {platform}"
        assert {people.look(binding)["title"] for binding in there.values()} == {title}


def test_where_one_platform_is_all_there_is_the_plan_after_an_adoption_is_empty(
    shell: Shell, sandbox: Sandbox
) -> None:
    around = AROUND.replace("motion: {workspace: Personal}\n", "")
    around = around.replace("gitlab: {project: jwp763/mobile-app}\n", "")
    around = around.replace("notion: {parent: Work}\n", "")
    shell.write({"specs/around.yaml": around, "specs/app.yaml": PROJECT})
    shell.done("apply", "--yes")
    edited = {"title": "Choose", "description": "Two.\n\nOr three.", "priority": "urgent"}
    People(sandbox).edit(bindings(shell, "app/pick")["linear"], **edited, due=None)
    said = shell.done("adopt", "app/pick").out
    assert said.endswith("nothing is left to apply: the platforms have it already\n")
    plan = shell.trueup("plan", "--detailed-exitcode")
    assert (plan.code, plan.out) == (0, "nothing to do: the platforms match the specs\n")
    # A default stays one for the others: the task says otherwise.
    specs = (shell.folder / "specs/app.yaml").read_text(encoding="utf-8")
    assert "defaults: {priority: medium}" in specs
    assert "priority: urgent" in specs
    assert shell.trueup("drift", "--detailed-exitcode").code == 0


def test_a_conflict_is_shown_from_all_three_sides_and_waits_for_a_decision(
    applied: tuple[Shell, Sandbox],
) -> None:
    shell, sandbox = applied
    people, there = People(sandbox), bindings(shell, "app/pick")
    people.edit(there["linear"], title="Theirs")
    specs = shell.folder / "specs/app.yaml"
    specs.write_text(specs.read_text().replace("Pick the stack", "Ours"))
    shown = shell.done("drift").out
    assert "[conflict]" in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("      ")][:3] == [
        ["agreed", "Pick", "the", "stack"],
        ["specs", "Ours"],
        ["linear", "Theirs"],
    ]
    refused = shell.trueup("adopt", "app/pick")
    assert refused.code == 1
    assert "--theirs or --ours" in refused.out
    shell.done("apply", "--yes")
    assert people.look(there["linear"])["title"] == "Theirs"
    assert people.look(there["notion"])["title"] == "Ours"

    shell.done("adopt", "--ours", "app/pick")
    shell.done("apply", "--yes")
    assert {people.look(b)["title"] for b in there.values()} == {"Ours"}
    assert shell.trueup("plan", "--refresh", "--detailed-exitcode").code == 0

    people.edit(there["notion"], title="Theirs again")
    specs.write_text(specs.read_text().replace("Ours", "Ours again"))
    shell.done("adopt", "--theirs", "app/pick")
    assert "title: Theirs again   # soon" in specs.read_text()
    shell.done("apply", "--yes")
    assert {people.look(b)["title"] for b in there.values()} == {"Theirs again"}


def test_an_adoption_is_committed_to_a_branch_and_the_work_tree_left_alone(
    applied: tuple[Shell, Sandbox],
) -> None:
    shell, sandbox = applied
    People(sandbox).edit(bindings(shell, "app/pick")["gitlab"], title="Choose")
    done = shell.done("adopt", "--branch", "take", "--json").json()
    assert shell.git("status", "--porcelain", "specs") == ""
    assert "commit" in done, done
    assert shell.git("rev-parse", "take").strip() == done["commit"]
    stat = shell.git("diff", "--stat", "main", "take")
    assert "1 file changed, 1 insertion(+), 1 deletion(-)" in stat
    again = shell.trueup("adopt", "--branch", "take")
    assert (again.code, "there is a branch take already" in again.err) == (1, True)


def test_adopting_one_field_in_a_long_commented_file_changes_one_line(
    shell: Shell, sandbox: Sandbox
) -> None:
    tasks = "".join(
        f"  # Task {i}: keep this comment\n  t{i}:\n    title: Task {i}  # of {i}\n"
        f"    due: 2026-12-{i % 28 + 1:02}\n"
        for i in range(500)
    )
    project = f"kind: Project\nkey: app\nname: App\nplatforms: [linear]\ntasks:\n{tasks}"
    assert project.count("\n") > 2000
    shell.write({"specs/around.yaml": AROUND, "specs/app.yaml": project})
    shell.commit("Specs")
    shell.done("apply", "--yes")
    People(sandbox).edit(bindings(shell, "app/t250")["linear"], due="2027-01-15")
    shell.done("adopt")
    assert "1 file changed, 1 insertion(+), 1 deletion(-)" in shell.git("diff", "--stat")
    assert "+    due: 2027-01-15" in shell.git("diff")
    assert shell.trueup("plan", "--detailed-exitcode").code == 0


def test_drift_of_a_platform_that_cannot_be_read_is_not_said_to_be_none(
    applied: tuple[Shell, Sandbox],
) -> None:
    shell, _ = applied
    found = shell.trueup("drift", "--json", LINEAR_API_KEY="lin_api_wrong")
    assert found.code == 1
    assert list(json.loads(found.out)["failed"]) == ["linear"]

"""`trueup import` and `trueup state undo`, typed as a user types them."""

from __future__ import annotations

import pytest

from runner.sandbox.server import Sandbox
from tests.contract.foreign import Linear
from tests.contract.people import People
from tests.e2e.shell import Shell

PEOPLE = "kind: People\npeople:\n  me: {name: Me, email: me@example.com}\n"


@pytest.fixture(autouse=True)
def begun(shell: Shell) -> None:
    """A repo that knows one person."""
    shell.write({"specs/people.yaml": PEOPLE, ".gitignore": ".trueup/\n"})
    shell.commit("Begin")


def test_a_team_is_imported_applied_and_undone(shell: Shell, sandbox: Sandbox) -> None:
    linear = Linear(People(sandbox))
    app = linear.project("Mobile app")
    linear.issue("Pick the stack", projectId=app, estimate=2)
    linear.issue("Ship it", projectId=app)

    assert "not connected" in shell.trueup("import", "linear").err
    dry = shell.done("import", "linear", "--team", "MOB", "--dry-run")
    assert "+    title: Pick the stack" in dry.out
    assert "would write specs/projects/mobile-app.yaml" in dry.out
    assert shell.git("status", "--short") == ""

    done = shell.done("import", "linear", "--team", "MOB")
    assert done.out == (
        "Linear MOB: 3 objects read in 3 requests\n"
        "imported: 1 project, 2 tasks\n"
        "wrote specs/integrations.yaml\n"
        "wrote specs/projects/mobile-app.yaml\n"
        "the next plan is empty: the specs say what the platforms have\n"
    )
    first = shell.commit("Import from Linear")
    assert shell.done("plan", "--detailed-exitcode").out.startswith("nothing to do")
    assert shell.done("apply", "--yes").err == ""
    assert "the state is sound" in shell.done("state", "check").err
    again = shell.done("import", "linear", "--json").json()
    assert (again["imported"], again["known"], again["files"]) == ([], 3, [])

    path = shell.folder / "specs/projects/mobile-app.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("Pick the stack", "Choose the stack"), encoding="utf-8")
    second = shell.commit("Another title")
    shell.done("apply", "--yes")
    shown = shell.done("state", "undo", "last")
    assert "-    title: Choose the stack" in shown.out
    assert "title: Choose the stack → Pick the stack" in shown.out
    assert f"git revert {second[:12]}" in shown.out
    assert shell.git("status", "--short") == ""
    shell.done("state", "undo", "last", "--specs")
    assert path.read_text(encoding="utf-8") == text
    assert shell.git("diff", first) == ""
    shell.commit("Back")
    shell.done("apply", "--yes")
    titles = {o["title"] for o in sandbox.objects()["linear"] if o["kind"] == "task"}
    assert titles == {"Pick the stack", "Ship it"}


def test_what_was_imported_can_be_forgotten(shell: Shell, sandbox: Sandbox) -> None:
    Linear(People(sandbox)).issue("Alone")
    shell.done("import", "linear", "--team", "MOB")
    run = shell.done("history", "--json").json()[0]["run_id"]
    refused = shell.trueup("state", "undo", run)
    assert refused.code == 1
    assert f"trueup state forget --run {run}" in refused.err
    assert shell.done("state", "forget", "--run", run).out == "forgot linear:mob/alone\n"
    assert shell.done("state", "list", "--json").json() == []
    assert shell.trueup("state", "forget", "mob/alone").code == 1


def test_wrong_words_are_explained(shell: Shell, sandbox: Sandbox) -> None:
    Linear(People(sandbox)).issue("Alone")
    assert "there is no team NONE" in shell.trueup("import", "linear", "--in", "NONE").err
    bad = shell.trueup("import", "linear", "--in", "MOB", "--match", "nonsense")
    assert "says nothing" in bad.err
    assert "there is no platform" in shell.trueup("import", "jira", "--in", "X").err
    assert "there is no run" in shell.trueup("state", "undo", "last").err

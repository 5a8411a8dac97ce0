"""The commands in GitLab's pipelines: plan on a merge request, apply what was reviewed."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Generator
from pathlib import Path

import pytest

from runner.sandbox._world import TOKENS, Fault, World
from runner.sandbox.server import Sandbox, serving
from tests.contract.gitlab_repo import Clone
from tests.e2e.pipelines import SPECS, apply, notes, on_request, plan, request, trueup, variables

APP = SPECS["specs/app.yaml"]


@pytest.fixture
def sandbox() -> Generator[Sandbox]:
    with serving(World(limits=False), platforms=["gitlab", "linear", "notion"]) as running:
        yield running


@pytest.fixture
def clone(sandbox: Sandbox, tmp_path: Path) -> Clone:
    """A project whose specs are pushed, and applied by a pipeline."""
    made = Clone.make(sandbox, tmp_path / "clone", SPECS)
    lost = apply(made)
    assert (lost.code, "TRUEUP_FIRST=1" in lost.err) == (1, True)
    applied = apply(made, TRUEUP_FIRST="1")
    assert applied.code == 0, applied.err
    return made


def test_the_plan_is_a_note_that_is_written_once(clone: Clone, sandbox: Sandbox) -> None:
    iid = request(clone, "rename", {"specs/app.yaml": APP.replace("Pick the", "Choose the")})
    before = len(sandbox.world.traffic)
    first = plan(clone, iid)
    assert (first.code, first.err) == (0, f"note on !{iid}: created\n")
    (note,) = notes(clone, iid)
    assert note.startswith("<!-- trueup:plan -->\n<!-- trueup:reviewed ")
    assert "### trueup plan: 2 to update" in note
    assert "| linear | 1 |" in note
    assert "  - title: `Pick the stack` → `Choose the stack`" in note
    assert "  Choose the stack :crit, 2026-11-24, 2026-11-25\n" in note
    assert "  Build it :crit, 2026-11-24" in note
    assert "  Talk about it :2026-11-24" in note
    assert {x.platform for x in list(sandbox.world.traffic)[before:]} == {"gitlab"}

    before = len(sandbox.world.traffic)
    assert plan(clone, iid).err == f"note on !{iid}: unchanged\n"
    assert {x.method for x in list(sandbox.world.traffic)[before:]} == {"GET"}

    clone.branch("rename", {"specs/app.yaml": APP}, start="rename")
    assert plan(clone, iid).err == f"note on !{iid}: updated\n"
    assert "nothing to do" in notes(clone, iid)[0]


def test_nothing_to_do_is_nothing_to_say(clone: Clone) -> None:
    iid = request(clone, "readme", {"README.md": "# Us\n"})
    assert plan(clone, iid).err == f"note on !{iid}: unchanged\n"
    assert notes(clone, iid) == []


def test_risk_shows_as_a_label_as_long_as_it_is_there(clone: Clone) -> None:
    without = re.sub(r"  chat.*\n", "", APP)
    iid = request(clone, "drop", {"specs/app.yaml": without})
    settings = "kind: Settings\npolicy: {max_prune: 0}\n"
    clone.branch("drop", {"specs/settings.yaml": settings}, start="drop")
    plan(clone, iid)
    assert clone.requests()[0]["labels"] == ["trueup: over threshold", "trueup: prunes"]
    clone.branch("drop", {"specs/app.yaml": APP}, start="drop")
    plan(clone, iid)
    assert clone.requests()[0]["labels"] == []


def test_reports_are_artifacts(clone: Clone, tmp_path: Path) -> None:
    iid = request(clone, "rename", {"specs/app.yaml": APP.replace("Pick", "Choose")})
    assert plan(clone, iid, "--reports", str(tmp_path / "out")).code == 0
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["summary"]["update"] == 2
    assert "2 to update" in (tmp_path / "out" / "plan.md").read_text()


def test_with_only_a_job_token_it_says_so(clone: Clone) -> None:
    iid = request(clone, "rename", {"specs/app.yaml": APP.replace("Pick", "Choose")})
    result = plan(clone, iid, GITLAB_TOKEN="")
    assert result.code == 0
    assert "a job token cannot write" in result.err
    assert "2 to update" in result.out
    assert notes(clone, iid) == []
    asked = plan(clone, iid, "--note", "always", GITLAB_TOKEN="")
    assert (asked.code, "a job token cannot write" in asked.err) == (1, True)


def test_a_fork_plans_without_secrets(clone: Clone, sandbox: Sandbox) -> None:
    settings = "kind: Settings\nstate: {backend: databricks, warehouse: abc}\n"
    iid = request(clone, "fork", {"specs/settings.yaml": settings})
    secrets = dict.fromkeys(
        ("GITLAB_TOKEN", "LINEAR_API_KEY", "NOTION_TOKEN", "MOTION_API_KEY"), ""
    )
    before = len(sandbox.world.traffic)
    fork = {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "202", "CI_PROJECT_ID": "202"}
    result = plan(clone, iid, **fork, **secrets)
    assert result.code == 0, result.err
    assert "to create" in result.out
    assert "a fork cannot read the state" in result.err
    assert len(sandbox.world.traffic) == before
    assert not any(token in result.out + result.err for token in TOKENS.values())
    # The same in the project itself is an error: there, the secrets are missing by mistake.
    assert plan(clone, iid, **secrets).code == 1


def test_gitlab_failing_does_not_fail_the_plan(clone: Clone, sandbox: Sandbox) -> None:
    iid = request(clone, "rename", {"specs/app.yaml": APP.replace("Pick", "Choose")})
    result = plan(clone, iid, GITLAB_TOKEN="glpat-expired")
    assert result.code == 0
    assert "warning: nothing is said on the merge request: gitlab GET /user" in result.err
    assert plan(clone, iid, "--note", "always", GITLAB_TOKEN="glpat-expired").code == 1


def test_what_specs_say_does_nothing_in_a_note(clone: Clone) -> None:
    hostile = "/merge\\n@all ![x](https://evil.example/a.png) `</details>` Closes #1"
    edited = APP.replace("title: Pick the stack", f'title: "{hostile.split("n", 1)[1]}"')
    edited = edited.replace("due: 2027", f'description: "{hostile}\\n/close"\ndue: 2027')
    iid = request(clone, "hostile", {"specs/app.yaml": edited})
    assert plan(clone, iid).code == 0
    (note,) = notes(clone, iid)
    shown = re.sub(r"`[^`\n]*`|```.*?```", "", note, flags=re.DOTALL)
    assert not re.search(r"^\s*/\w|@\w|!\[|#\d|</details>.*</details>", shown, re.MULTILINE)
    assert clone.requests()[0]["commands"] == []


def test_apply_tells_the_merge_request_what_became_of_it(clone: Clone) -> None:
    iid = request(clone, "rename", {"specs/app.yaml": APP.replace("Pick the", "Choose the")})
    plan(clone, iid)
    clone.api("PUT", f"/merge_requests/{iid}/merge")
    result = apply(clone)
    assert result.code == 0, result.err
    assert f"note on !{iid}: created" in result.err
    outcome = notes(clone, iid)[-1]
    assert "### trueup apply: 2 applied" in outcome
    assert re.search(r"- update `app/pick`: \[linear\]\(<https?://[^>]+>\), \[notion\]", outcome)
    again = apply(clone)
    assert (again.code, len(notes(clone, iid))) == (0, 2)
    assert notes(clone, iid)[-1] == outcome


def test_a_stale_plan_is_noticed(clone: Clone) -> None:
    owner = APP.replace("tasks:", "defaults: {owner: me}\ntasks:")
    more = APP + "  ship: {title: Ship it}\n"
    first = request(clone, "owner", {"specs/app.yaml": owner})
    second = request(clone, "ship", {"specs/app.yaml": more}, start="main")
    for branch, iid in (("owner", first), ("ship", second)):
        clone.shell.git("checkout", "--quiet", branch)
        assert plan(clone, iid).code == 0
    clone.api("PUT", f"/merge_requests/{first}/merge")
    assert apply(clone).code == 0
    clone.api("PUT", f"/merge_requests/{second}/merge")
    result = apply(clone)
    assert result.code == 1
    assert "this is not the plan that was reviewed: create linear:app/ship" in result.err
    told = notes(clone, second)[-1]
    assert "### trueup apply: stopped, nothing was changed" in told
    assert "  - owner: `me@example.com`" in told
    assert not any("Ship" in item["title"] for item in clone.sandbox.objects()["linear"])
    assert apply(clone, TRUEUP_REVIEWED="any").code == 0
    assert "2 applied" in notes(clone, second)[-1]


def test_less_than_was_reviewed_is_applied(clone: Clone) -> None:
    both = APP.replace("Pick", "Choose").replace("Talk", "Speak")
    one = APP.replace("Pick", "Choose")
    first = request(clone, "both", {"specs/app.yaml": both})
    assert plan(clone, first).code == 0
    second = request(clone, "one", {"specs/app.yaml": one})
    clone.api("PUT", f"/merge_requests/{second}/merge")
    # Nobody planned the second one, so it is applied as it is.
    result = apply(clone)
    assert (result.code, "no plan of this commit was reviewed" in result.err) == (0, True)
    clone.api("PUT", f"/merge_requests/{first}/merge")
    same = apply(clone, "--reviewed", "same")
    assert (same.code, "would not be made" in same.err) == (1, True)
    assert apply(clone).code == 0


def test_the_policy_can_ask_for_a_review(clone: Clone) -> None:
    settings = {"specs/settings.yaml": "kind: Settings\npolicy: {reviewed: same}\n"}
    clone.shell.git("checkout", "--quiet", "main")
    clone.shell.write({**settings, "specs/app.yaml": APP.replace("Pick", "Choose")})
    clone.shell.commit("Straight to the default branch")
    clone.push("main")
    result = apply(clone)
    assert (result.code, "no plan of this commit was reviewed" in result.err) == (1, True)


def test_merges_whose_pipeline_never_ran_are_reviewed_as_well(clone: Clone) -> None:
    first = request(clone, "one", {"specs/app.yaml": APP.replace("Pick", "Choose")})
    second = request(clone, "two", {"specs/b.yaml": "kind: Project\nkey: b\nname: B\n"}, "main")
    for branch, iid in (("one", first), ("two", second)):
        clone.shell.git("checkout", "--quiet", branch)
        assert plan(clone, iid).code == 0
        clone.api("PUT", f"/merge_requests/{iid}/merge")
    result = apply(clone)
    assert result.code == 0, result.err
    assert [len(notes(clone, iid)) for iid in (first, second)] == [2, 2]


def test_a_failed_apply_is_told(clone: Clone, sandbox: Sandbox) -> None:
    iid = request(clone, "drop", {"specs/app.yaml": re.sub(r"  chat.*\n", "", APP)})
    plan(clone, iid)
    clone.api("PUT", f"/merge_requests/{iid}/merge")
    result = apply(clone, "--max-prune", "0")
    assert result.code == 1
    assert "### trueup apply: failed" in notes(clone, iid)[-1]


def test_without_a_pipeline_nothing_is_said(clone: Clone, sandbox: Sandbox) -> None:
    before = len(sandbox.world.traffic)
    assert trueup(clone, "plan", TRUEUP_TODAY="2026-11-24").code == 0
    assert len(sandbox.world.traffic) == before
    asked = trueup(clone, "plan", "--note", "always", **variables(clone, "push"))
    assert (asked.code, "not a merge request pipeline" in asked.err) == (1, True)


def test_validate_reports_for_gitlab(clone: Clone, tmp_path: Path) -> None:
    clone.shell.write({"specs/app.yaml": APP.replace("due: 2027-02-28", "due: someday")})
    result = trueup(clone, "validate", "--reports", str(tmp_path))
    assert result.code == 1
    (finding,) = json.loads((tmp_path / "gl-code-quality-report.json").read_text())
    assert finding["location"] == {"path": "specs/app.yaml", "lines": {"begin": 5}}
    assert (
        '<testsuites name="trueup validate" tests="1" failures="1"'
        in (tmp_path / "junit.xml").read_text()
    )


def test_a_thousand_tasks_take_less_than_two_seconds(clone: Clone) -> None:
    task = "  t{0}: {{title: Task {0}, estimate: 2h}}\n".format
    head = "kind: Project\nkey: p{0}\nname: P\nstart: 2026-11-24\ntasks:\n".format
    files = {
        f"specs/p{n}.yaml": head(n) + "".join(task(number) for number in range(50))
        for n in range(20)
    }
    iid = request(clone, "many", files)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = clone.shell.trueup("plan", "--reports", ".", **on_request(clone, iid))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.err == f"note on !{iid}: created\n"
    # Of the processor, since others may be using the machine.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.0


def test_a_lost_answer_makes_no_second_note(clone: Clone, sandbox: Sandbox) -> None:
    iid = request(clone, "rename", {"specs/app.yaml": APP.replace("Pick", "Choose")})
    sandbox.world.faults.append(Fault("drop-after", "gitlab", "POST", "/notes"))
    assert plan(clone, iid).code == 0
    assert plan(clone, iid).code == 0
    assert len(notes(clone, iid)) == 1

"""Linear: what each change does there, in how many requests, and that it reads back the same."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from reconcilers import linear
from reconcilers._contract import Written
from reconcilers._linear_fields import points
from runner.sandbox._linear_workspace import new_label
from runner.sandbox._world import Fault, FaultKind
from schemas.domain import Action, Value, resource_id
from schemas.errors import OutcomeUnknown, PermanentError
from tests.contract.desk import STATE
from tests.contract.linear_desk import LinearDesk

PROJECT = "mobile-app"
BETA = "mobile-app/milestones/beta"
STACK = "mobile-app/pick-stack"
LOGIN = "mobile-app/design-login"
SHIP = "mobile-app/ship"

LONG = "# Überschrift 🚀\n\n" + "- [ ] ein Punkt mit `code` & <b>Tags</b>\n" * 2000


@pytest.fixture
def at(contracts: Path) -> Generator[LinearDesk]:
    with LinearDesk.judged() as made:
        yield made


def whole_project(**fields: Value) -> dict[str, Value]:
    project: dict[str, Value] = {
        "title": "Mobile app",
        "description": LONG,
        "status": "in_progress",
        "priority": "high",
        "owner": "me@example.com",
        "start": "2026-12-01",
        "due": "2027-02-28",
        "labels": ("product", "ünïcode"),
        "links": ("https://example.com/b The brief", "https://example.com/a"),
        "container": "MOB",
    }
    return project | fields


def whole_task(**fields: Value) -> dict[str, Value]:
    task: dict[str, Value] = {
        "title": "Pick the stack — größer 🚀",
        "description": LONG,
        "status": "in_progress",
        "priority": "urgent",
        "owner": "me@example.com",
        "due": "2026-12-05",
        "estimate": 480,
        "labels": ("bug", "ops"),
        "links": ("https://example.com/z The [plan] (old)", "https://example.com/y"),
        "milestone": BETA,
        "project": PROJECT,
        "container": "MOB",
    }
    return task | fields


def make_project(at: LinearDesk) -> None:
    at.apply("create", PROJECT, **whole_project())
    at.apply(
        "create", BETA, title="Beta", description="Öffentlich", due="2027-01-31", project=PROJECT
    )


def make_tasks(at: LinearDesk) -> None:
    make_project(at)
    at.apply("create", STACK, **whole_task())
    at.apply("create", LOGIN, title="Design", project=PROJECT, depends_on=(STACK,))


def test_everything_made_reads_back_as_it_was_sent(at: LinearDesk) -> None:
    make_tasks(at)
    at.apply("create", SHIP, **whole_task(parent=LOGIN, depends_on=(LOGIN, STACK)))
    at.assert_settled()
    assert at.object(STACK)["id"] == resource_id(STATE, STACK)
    assert at.object(SHIP)["identifier"] == "MOB-3"


def test_each_create_is_one_request_after_the_names_are_known(at: LinearDesk) -> None:
    make_tasks(at)
    assert at.requests() == [
        "LookUp",
        "projectLabelCreate",
        "projectCreate",
        "projectMilestoneCreate",
        "LookUp",
        "issueLabelCreate",
        "issueCreate",
        "issueCreate",
    ]


def test_a_whole_project_is_priced_and_made_in_three_requests(at: LinearDesk) -> None:
    changes = [
        at.change("create", PROJECT, **whole_project()),
        at.change("create", BETA, title="Beta", project=PROJECT),
        at.change("create", STACK, **whole_task()),
        at.change("create", LOGIN, **whole_task(parent=STACK, depends_on=(STACK,))),
    ]
    results = at.create_many(*changes)
    assert all(isinstance(result, Written) and result.complete for result in results)
    assert at.requests() == ["LookUp", "issueLabelCreate", "projectCreate"]
    assert linear.PROFILE.price(changes, {}).requests == 3
    at.assert_settled()


def test_a_thousand_issues_take_twenty_writes_in_order(at: LinearDesk) -> None:
    at.apply("create", PROJECT, title="Mobile app", container="MOB")
    at.requests()
    changes = [
        at.change("create", f"mobile-app/t{i}", title=f"T{i}", project=PROJECT, container="MOB")
        for i in range(1_000)
    ]
    at.create_many(*changes[:1])
    for start in range(1, 1_000, 50):
        at.create_many(*changes[start : start + 50])
    writes = at.requests()
    assert writes == ["issueCreate"] + ["issueBatchCreate"] * 20
    made = [o for o in at.standin.objects() if o["kind"] == "task"]
    assert [o["title"] for o in made] == [f"T{i}" for i in range(1_000)]


def test_a_title_alone_is_one_request_whatever_is_known(at: LinearDesk) -> None:
    make_tasks(at)
    at.lookups.clear()
    at.fresh()
    at.requests()
    change = at.change("update", STACK, title="Choose the stack")
    at.carry_out(change)
    assert at.requests() == ["issueUpdate"]
    assert linear.PROFILE.price([change], {}).requests == 1
    at.assert_settled()


def test_every_field_of_a_task_changes_in_one_request(at: LinearDesk) -> None:
    make_tasks(at)
    at.apply("create", SHIP, title="Ship", project=PROJECT)
    at.fresh()
    at.requests()
    written = at.apply(
        "update",
        STACK,
        title="Choose",
        description="Short.",
        status="done",
        priority="low",
        due="2026-12-24",
        estimate=960,
        labels=("bug",),
        links=("https://example.com/new", "https://example.com/y Now with a title"),
        milestone=None,
        parent=LOGIN,
        depends_on=(SHIP,),
    )
    assert at.requests() == ["issueUpdate"]
    assert written.complete
    assert written.url.endswith("/issue/MOB-1/choose")
    at.assert_settled()


def test_every_field_of_a_project_and_a_milestone_changes_in_one_request(at: LinearDesk) -> None:
    make_project(at)
    at.requests()
    at.apply(
        "update",
        PROJECT,
        title="App",
        description="Kürzer",
        status="done",
        priority="urgent",
        start="2026-12-02",
        due="2027-03-01",
        labels=("product",),
        links=("https://example.com/a New", "https://example.com/c"),
    )
    at.apply("update", BETA, title="Gamma", description="Neu", due="2027-02-01")
    assert at.requests() == ["projectUpdate", "projectMilestoneUpdate"]
    at.assert_settled()


def test_null_clears_a_field(at: LinearDesk) -> None:
    make_tasks(at)
    at.apply(
        "update",
        STACK,
        description=None,
        priority=None,
        owner=None,
        due=None,
        estimate=None,
        labels=(),
        links=None,
        milestone=None,
    )
    at.apply("update", LOGIN, depends_on=())
    at.apply("update", BETA, description=None, due=None)
    at.apply(
        "update", PROJECT, description=None, owner=None, start=None, due=None, labels=(), links=()
    )
    seen = at.observe()
    assert not any(
        seen[STACK].fields[n] for n in ("description", "owner", "due", "labels", "links")
    )
    assert seen[STACK].fields["priority"] == "none"
    assert seen[LOGIN].fields["depends_on"] == ()
    assert not any(seen[BETA].fields[n] for n in ("description", "due"))
    assert not any(
        seen[PROJECT].fields[n] for n in ("description", "owner", "start", "due", "labels", "links")
    )
    assert at.object(STACK)["estimate"] is None


def test_what_is_not_declared_is_left_to_linear(at: LinearDesk) -> None:
    make_project(at)
    at.apply("create", STACK, title="Pick the stack", project=PROJECT)
    seen = at.observe()[STACK].fields
    assert seen["status"] == "backlog"
    assert seen["owner"] is None
    at.ask(
        "mutation($id: String!) { issueUpdate(id: $id, input: {priority: 1}) { success } }",
        id=at.links.ids[STACK],
    )
    at.apply("update", STACK, title="Choose")
    assert at.observe()[STACK].fields["priority"] == "urgent"


def test_labels_that_people_put_on_an_issue_stay(at: LinearDesk) -> None:
    make_tasks(at)
    theirs = at.ask('mutation { issueLabelCreate(input: {name: "theirs"}) { issueLabel { id } } }')
    label_id = theirs["issueLabelCreate"]["issueLabel"]["id"]
    at.ask(
        "mutation($id: String!, $input: IssueUpdateInput!)"
        " { issueUpdate(id: $id, input: $input) { success } }",
        id=at.links.ids[STACK],
        input={"addedLabelIds": [label_id]},
    )
    at.apply("update", STACK, labels=("bug", "new"))
    assert at.object(STACK)["labels"] == ["Bug", "new", "theirs"]


def test_labels_that_people_put_on_a_project_stay_once_they_were_observed(at: LinearDesk) -> None:
    make_project(at)
    theirs = at.ask(
        'mutation { projectLabelCreate(input: {name: "theirs"}) { projectLabel { id } } }'
    )
    label_id = theirs["projectLabelCreate"]["projectLabel"]["id"]
    at.ask(
        "mutation($id: String!, $input: ProjectUpdateInput!)"
        " { projectUpdate(id: $id, input: $input) { success } }",
        id=at.links.ids[PROJECT],
        input={"labelIds": [label_id]},
    )
    at.drift[PROJECT] = {"labels": at.observe()[PROJECT].fields["labels"]}
    at.apply("update", PROJECT, labels=("product", "new"))
    assert at.object(PROJECT)["labels"] == ["new", "product", "theirs"]


def test_links_and_relations_of_other_people_are_left_alone(at: LinearDesk) -> None:
    make_tasks(at)
    at.apply("create", SHIP, title="Ship", project=PROJECT, depends_on=(LOGIN,))
    at.ask(
        "mutation($a: AttachmentCreateInput!, $b: IssueRelationCreateInput!) {"
        " attachmentCreate(input: $a) { success } issueRelationCreate(input: $b) { success } }",
        a={"issueId": at.links.ids[SHIP], "url": "https://example.com/theirs", "title": "T"},
        b={
            "issueId": at.links.ids[STACK],
            "relatedIssueId": at.links.ids[SHIP],
            "type": "blocks",
        },
    )
    assert at.observe()[SHIP].fields["links"] == ("https://example.com/theirs T",)
    at.apply("update", SHIP, depends_on=(), links=("https://example.com/ours",))
    at.apply("update", SHIP, links=())
    assert at.object(SHIP)["links"] == ["https://example.com/theirs"]
    assert at.observe()[SHIP].fields["depends_on"] == (STACK,)


def test_an_owner_without_an_account_is_a_warning(at: LinearDesk) -> None:
    at.apply("create", PROJECT, title="Mobile app", owner="a@example.com", container="MOB")
    written = at.apply("create", STACK, title="T", owner="a@example.com", project=PROJECT)
    assert written.complete
    assert "a@example.com has no account" in written.warnings[0]


def test_an_owner_may_go_by_display_name(at: LinearDesk) -> None:
    make_project(at)
    at.apply("create", STACK, title="T", owner="me", project=PROJECT)
    assert at.object(STACK)["assignee"]


def test_a_label_that_cannot_be_made_is_a_warning(at: LinearDesk) -> None:
    make_project(at)
    at.standin.home.add("IssueLabel", {**new_label("area"), "isGroup": True})
    written = at.apply("create", STACK, title="T", labels=("area", "ops"), project=PROJECT)
    assert written.complete
    assert written.warnings == ("the label area could not be made on Linear",)
    assert at.object(STACK)["labels"] == ["ops"]


def test_a_status_that_the_team_does_not_have_is_a_warning(at: LinearDesk) -> None:
    for state in list(at.standin.home.all("WorkflowState")):
        if state.values["type"] == "canceled":
            at.standin.home.remove(state)
    make_project(at)
    written = at.apply("create", STACK, title="T", status="canceled", project=PROJECT)
    assert "no state here that means canceled" in written.warnings[0]


def test_a_team_that_does_not_estimate_gets_no_estimates(at: LinearDesk) -> None:
    for team in at.standin.home.all("Team"):
        team.values["issueEstimationType"] = "notUsed"
    make_tasks(at)
    assert at.object(STACK)["estimate"] is None


@pytest.mark.parametrize(
    ("minutes", "expected"), [(15, 1), (240, 1), (360, 2), (480, 2), (960, 5), (2400, 8)]
)
def test_estimates_are_rounded_to_the_teams_scale(minutes: int, expected: int) -> None:
    assert points(minutes, (1, 2, 3, 5, 8)) == expected


def test_a_dependency_that_fails_leaves_the_rest_done(at: LinearDesk) -> None:
    make_project(at)
    at.links.ids["mobile-app/gone"] = resource_id(STATE, "mobile-app/gone")
    at.apply("create", LOGIN, title="Design", project=PROJECT)
    written = at.apply(
        "create",
        STACK,
        title="T",
        project=PROJECT,
        depends_on=("mobile-app/gone", LOGIN),
        links=("https://example.com/a",),
    )
    assert not written.complete
    assert written.url.endswith("/issue/MOB-2/t")
    assert len(written.warnings) == 1
    assert written.warnings[0].startswith("depends on mobile-app/gone: Could not find")
    assert at.object(STACK)["blocked_by"] == [at.links.ids[LOGIN]]
    assert at.object(STACK)["links"] == ["https://example.com/a"]


def test_one_bad_issue_does_not_spoil_its_batch(at: LinearDesk) -> None:
    make_project(at)
    changes = [
        at.change("create", f"mobile-app/t{i}", title=f"T{i}", project=PROJECT) for i in range(8)
    ]
    bad = at.change("create", "mobile-app/bad", title="", project=PROJECT)
    child = at.change("create", "mobile-app/c", title="C", project=PROJECT, parent="mobile-app/bad")
    results = at.create_many(*changes[:4], bad, *changes[4:], child)
    assert isinstance(results[4], PermanentError)
    assert results[4].message == "title must not be empty."
    assert isinstance(results[9], PermanentError)
    assert "needs mobile-app/bad" in results[9].message
    good = [result for i, result in enumerate(results) if i not in {4, 9}]
    assert all(isinstance(result, Written) and result.url for result in good)
    at.assert_settled()


def test_a_bad_project_takes_only_its_own_with_it(at: LinearDesk) -> None:
    results = at.create_many(
        at.change("create", PROJECT, title=""),
        at.change("create", BETA, title="Beta", project=PROJECT),
        at.change("create", "other", title="Other"),
        at.change("create", "other/t", title="T", project="other"),
    )
    assert [isinstance(result, Written) for result in results] == [False, False, True, True]
    at.assert_settled()


def test_a_task_of_another_team_joins_its_project(at: LinearDesk) -> None:
    at.create_many(
        at.change("create", PROJECT, title="Mobile app", container="MOB"),
        at.change("create", STACK, title="T", project=PROJECT, container="WEB"),
    )
    assert at.object(STACK)["identifier"] == "WEB-1"
    at.apply("create", "other", title="Other", container="MOB")
    at.fresh()
    at.requests()
    at.apply("create", "other/t", title="T", project="other", container="WEB")
    at.apply("create", "other/u", title="U", project="other", container="WEB")
    assert at.requests() == ["projectUpdate", "issueCreate"]
    at.assert_settled()


def test_moving_to_another_team_keeps_status_and_identity(at: LinearDesk) -> None:
    make_tasks(at)
    at.fresh()
    at.requests()
    written = at.apply("move", STACK, container="WEB")
    assert at.requests() == ["LookUp", "projectUpdate"]
    assert written.remote_id == resource_id(STATE, STACK)
    assert "/issue/WEB-1/" in written.url
    at.assert_settled()


def test_moving_to_another_project_and_parent(at: LinearDesk) -> None:
    make_tasks(at)
    at.apply("create", "other", title="Other", container="MOB")
    at.apply("create", "other/t", title="T", project="other")
    at.apply("move", STACK, project="other", milestone=None, parent="other/t")
    at.apply("move", BETA, project="other")
    at.assert_settled()


@pytest.mark.parametrize("how", ["archive", "delete"])
def test_put_away_twice_is_put_away_once(at: LinearDesk, how: Action) -> None:
    make_tasks(at)
    for address in (STACK, PROJECT):
        at.apply(how, address)
        at.apply(how, address)
        assert at.object(address)["archived"]
        assert at.find(address)[address].archived


def test_a_milestone_is_deleted_for_good(at: LinearDesk) -> None:
    make_tasks(at)
    at.apply("delete", BETA)
    at.apply("delete", BETA)
    assert at.find(BETA) == {}
    assert at.object(STACK)["projectMilestone"] is None


def test_restoring_brings_back_all_that_is_desired(at: LinearDesk) -> None:
    make_tasks(at)
    at.apply("archive", STACK)
    at.apply("archive", PROJECT)
    at.requests()
    restored = [
        at.run(at.reconciler.restore(at.operation(at.change("update", a))))
        for a in (STACK, PROJECT)
    ]
    assert at.requests() == ["issueUnarchive", "projectUnarchive"]
    assert all(written.url for written in restored)
    at.assert_settled()
    assert not any(seen.archived for seen in at.observe().values())


def test_a_pruned_issue_that_is_declared_again_comes_back(at: LinearDesk) -> None:
    make_tasks(at)
    at.apply("archive", STACK)
    del at.links.ids[STACK], at.bases[STACK]
    at.requests()
    at.apply("create", STACK, **whole_task(title="Back", depends_on=()))
    assert at.requests() == ["issueCreate", "issueUnarchive", "issueUpdate"]
    at.assert_settled()


def test_what_an_interrupted_batch_made_is_completed(at: LinearDesk) -> None:
    make_project(at)
    changes = [
        at.change("create", f"mobile-app/t{i}", title=f"T{i}", project=PROJECT, labels=("bug",))
        for i in range(6)
    ]
    at.create_many(*changes[:3])
    at.apply("update", "mobile-app/t1", title="Half")
    for i in range(3):
        del at.links.ids[f"mobile-app/t{i}"], at.bases[f"mobile-app/t{i}"]
    at.requests()
    results = at.create_many(*changes)
    assert all(isinstance(result, Written) and result.url for result in results)
    assert at.requests() == ["issueBatchCreate", "Read", "issueUpdate", "issueBatchCreate"]
    at.assert_settled()
    assert sum(o["kind"] == "task" for o in at.standin.objects()) == 6


@pytest.mark.parametrize("fault", ["drop-after", "error-after", "truncated", "malformed"])
def test_a_lost_answer_to_a_create_makes_no_second_object(at: LinearDesk, fault: FaultKind) -> None:
    make_project(at)
    at.world.faults.append(Fault(fault, platform="linear", writes=True))
    changes = [
        at.change("create", f"mobile-app/t{i}", title=f"T{i}", project=PROJECT) for i in range(3)
    ]
    results = at.create_many(*changes)
    assert all(isinstance(result, Written) for result in results)
    at.assert_settled()
    assert sum(o["kind"] == "task" for o in at.standin.objects()) == 3


def test_answers_that_stay_lost_leave_the_outcome_unknown(at: LinearDesk) -> None:
    make_project(at)
    at.world.faults.append(Fault("error-after", platform="linear", writes=True, times=9))
    with pytest.raises(OutcomeUnknown):
        at.apply("create", STACK, title="T", project=PROJECT)


def test_a_rate_limit_is_waited_out(at: LinearDesk) -> None:
    make_project(at)
    at.world.faults.append(Fault("rate-limit", platform="linear", seconds=90))
    at.apply("create", STACK, title="T", project=PROJECT)
    assert at.clock.slept == [90.0]


def test_an_object_that_is_gone_is_said_to_be_gone(at: LinearDesk) -> None:
    make_tasks(at)
    at.ask(
        "mutation($id: String!) { issueDelete(id: $id, permanentlyDelete: true) { success } }",
        id=at.links.ids[STACK],
    )
    with pytest.raises(PermanentError) as refused:
        at.apply("update", STACK, title="New")
    assert refused.value.code == "not_found"
    assert "plan --refresh" in refused.value.hint
    assert at.lookups == {}


def test_a_team_that_is_not_there_is_named(at: LinearDesk) -> None:
    at.options["team"] = "NOPE"
    with pytest.raises(PermanentError, match="no team NOPE") as refused:
        at.apply("create", PROJECT, title="Mobile app")
    assert "Integrations" in refused.value.hint

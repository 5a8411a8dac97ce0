"""GitLab: what each change does there, in how many requests, and that it reads back the same."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from reconcilers import gitlab
from runner.sandbox._world import Fault
from schemas.domain import Value
from schemas.errors import OutcomeUnknown, PermanentError
from tests.contract.desk import Links
from tests.contract.gitlab_desk import GitlabDesk

PROJECT = "mobile-app"
BETA = "mobile-app/milestones/beta"
STACK = "mobile-app/pick-stack"
LOGIN = "mobile-app/design-login"

LONG = "# Überschrift 🚀\n\n" + "- [ ] ein Punkt mit `code` & <b>Tags</b>\n" * 2000


@pytest.fixture
def at(contracts: Path) -> Generator[GitlabDesk]:
    with GitlabDesk.judged() as made:
        yield made


def whole_task(**fields: Value) -> dict[str, Value]:
    task: dict[str, Value] = {
        "title": "Pick the stack — größer 🚀",
        "description": LONG,
        "status": "in_progress",
        "priority": "high",
        "owner": "jwp763",
        "due": "2026-12-05",
        "estimate": 240,
        "labels": ("ops", "product"),
        "links": ("https://example.com/a(b)", "https://example.com/x The [plan] (old)"),
        "milestone": BETA,
        "project": PROJECT,
    }
    return task | fields


def make_project(at: GitlabDesk) -> None:
    at.apply("create", PROJECT, title="Mobile app", key=PROJECT)
    at.apply("create", BETA, title="Beta", description="Öffentlich", due="2027-01-31")


@pytest.mark.parametrize("paid", [False, True])
def test_everything_made_reads_back_as_it_was_sent(at: GitlabDesk, paid: bool) -> None:
    at.standin.paid = paid
    make_project(at)
    written = at.apply("create", STACK, **whole_task())
    at.apply("create", LOGIN, title="Design", project=PROJECT, depends_on=(STACK,))

    assert written.complete
    assert written.warnings == ()
    assert written.url.startswith("https://")
    at.assert_settled()
    issue = at.issue(STACK)
    assert issue["confidential"] is False
    assert issue["labels"] == [
        "ops",
        "priority::high",
        "product",
        f"project::{PROJECT}",
        "status::in_progress",
    ]
    assert [o.fields.get("estimate") for o in at.find(STACK).values()] == [240 if paid else None]


def test_a_bare_task_leaves_everything_to_gitlab(at: GitlabDesk) -> None:
    at.apply("create", STACK, title="Bare")

    assert at.observe()[STACK].fields == {
        "title": "Bare",
        "container": "jwp763/mobile-app",
        "description": None,
        "due": None,
        "status": "todo",
        "priority": "none",
        "labels": (),
        "links": (),
        "milestone": None,
        "owner": None,
    }


@pytest.mark.parametrize("paid", [False, True])
@pytest.mark.parametrize("status", ["backlog", "todo", "in_progress", "done", "canceled"])
def test_every_status_can_become_every_other(at: GitlabDesk, status: str, paid: bool) -> None:
    at.standin.paid = paid
    at.apply("create", STACK, title="T", status=status)
    at.assert_settled()
    for other in ("canceled", "backlog", "done", "in_progress", "todo"):
        at.requests()
        at.apply("update", STACK, status=other)
        assert at.requests() == ["PUT 101/issues/1"]
        at.assert_settled()


@pytest.mark.parametrize("paid", [False, True])
def test_clearing_a_field_empties_it(at: GitlabDesk, paid: bool) -> None:
    at.standin.paid = paid
    make_project(at)
    at.apply("create", STACK, **whole_task())
    at.apply(
        "update",
        STACK,
        description=None,
        due=None,
        owner=None,
        estimate=None,
        priority="none",
        labels=(),
        links=(),
        milestone=None,
    )
    at.apply("update", BETA, description=None, due=None)

    at.assert_settled()
    assert (
        at.issue(STACK)["description"] == f"<!-- trueup:{at.change('bind', STACK).resource_id} -->"
    )
    assert at.issue(STACK)["milestone"] is None
    assert at.issue(STACK)["assignees"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "Other"},
        {"title": "Other", "due": "2027-02-01", "priority": "urgent", "labels": ("new",)},
        {"description": "short\n\n/close\n"},
        {"estimate": 30, "owner": None, "status": "done"},
        {"milestone": None},
    ],
)
def test_an_update_is_one_request_whatever_changed(
    at: GitlabDesk, fields: dict[str, Value]
) -> None:
    make_project(at)
    at.apply("create", STACK, **whole_task())
    change = at.change("update", STACK, **fields)
    at.requests()
    at.carry_out(change)

    assert at.requests() == ["PUT 101/issues/1"]
    assert gitlab.price([change], {}).requests == 1
    at.assert_settled()


def test_what_people_added_survives_updates(at: GitlabDesk) -> None:
    make_project(at)
    at.apply("create", STACK, **whole_task(description="Ours"))
    home = at.standin.there.projects[101]
    issue = home.issues[1]
    at.standin.there.projects[101].labels[999] = type(next(iter(home.labels.values())))(
        999, "added by hand", "#000000"
    )
    issue.labels.add(999)
    issue.description = (issue.description or "").replace("Ours", "Theirs") + "\n\nand below"

    at.apply("update", STACK, labels=("product", "new"), links=("https://example.com/new",))

    seen = at.observe()[STACK]
    assert seen.fields["labels"] == ("added by hand", "new", "product")
    assert seen.fields["description"] == "Theirs\n\nand below"
    assert seen.fields["links"] == ("https://example.com/new",)


def test_declared_text_is_never_carried_out_as_a_quick_action(at: GitlabDesk) -> None:
    text = "/close\n\\/label ~x\n```\n/close\n```\n  /due tomorrow\n/estimate 3h"
    at.apply("create", STACK, title="T", description=text)

    at.assert_settled()
    assert at.issue(STACK)["state"] == "opened"


def test_milestones_with_the_same_title_are_told_apart_by_their_project(at: GitlabDesk) -> None:
    other = "web/milestones/beta"
    at.apply("create", BETA, title="Beta")
    at.apply("create", other, title="Beta")
    titles = [m.title for m in at.standin.there.projects[101].milestones.values()]

    assert titles == ["Beta", "Beta (web)"]
    at.assert_settled()
    at.apply("update", other, title="Gamma (web)")
    at.assert_settled()


def test_a_project_label_that_people_made_is_taken_over(at: GitlabDesk) -> None:
    home = at.standin.there.projects[101]
    at.apply("create", STACK, title="T", project=PROJECT)
    written = at.apply("create", PROJECT, title="Mobile app", key=PROJECT)

    assert [label.name for label in home.labels.values()] == [f"project::{PROJECT}"]
    assert written.url.endswith("-/issues?label_name%5B%5D=project%3A%3Amobile-app")
    at.assert_settled()


def test_a_project_label_of_another_state_is_refused(at: GitlabDesk) -> None:
    at.apply("create", PROJECT, title="Mobile app", key=PROJECT)
    label = next(iter(at.standin.there.projects[101].labels.values()))
    label.description = "Theirs (trueup:00000000-0000-4000-8000-000000000000)"
    at.links.ids.clear()
    at.bases.clear()

    with pytest.raises(PermanentError, match="another spec repo"):
        at.apply("create", PROJECT, title="Mobile app", key=PROJECT)


def test_a_project_with_a_new_key_takes_its_issues_along_in_one_request(at: GitlabDesk) -> None:
    make_project(at)
    at.apply("create", STACK, title="T", project=PROJECT)
    label = at.links.ids.pop(PROJECT)
    base = at.bases.pop(PROJECT)
    at.links.ids["app"], at.bases["app"] = label, base
    at.requests()
    at.apply("move", "app", key="app", title="App")

    assert at.requests() == [f"PUT 101/labels/{label.partition('~')[2]}"]
    assert at.issue(STACK)["labels"] == ["project::app"]


def test_a_task_moves_between_projects_by_its_label(at: GitlabDesk) -> None:
    make_project(at)
    at.apply("create", "web", title="Web", key="web")
    at.apply("create", STACK, title="T", project=PROJECT, labels=("ops",))
    at.apply("move", STACK, project="web")

    assert at.issue(STACK)["labels"] == ["ops", "project::web"]
    at.assert_settled()


def test_a_task_moves_to_another_gitlab_project_with_all_it_has(at: GitlabDesk) -> None:
    at.standin.paid = True
    make_project(at)
    at.apply("create", LOGIN, title="Login", project=PROJECT, container="jwp763/mobile-app")
    at.apply(
        "create",
        STACK,
        **whole_task(container="jwp763/mobile-app", depends_on=(LOGIN,), milestone=None),
    )
    change = at.change("move", STACK, container="jwp763/web/app", title="Moved")
    at.requests()
    written = at.carry_out(change)[0]
    sent = at.requests()

    assert sent == ["GET jwp763%2Fweb%2Fapp", "POST 101/issues/2/move", "PUT 102/issues/1"]
    assert len(sent) == gitlab.price([change], {}).requests
    assert written.remote_id == "102#1"
    at.assert_settled()
    assert at.standin.there.linked(at.standin.there.projects[102].issues[1])[0][0].title == "Login"


def test_milestones_and_projects_are_remade_in_another_gitlab_project(at: GitlabDesk) -> None:
    make_project(at)
    at.apply("move", BETA, container="jwp763/web/app")
    at.apply("move", PROJECT, container="jwp763/web/app")

    at.assert_settled()
    old, new = at.standin.there.projects[101], at.standin.there.projects[102]
    assert [m.state for m in old.milestones.values()] == ["closed"]
    assert old.labels == {}
    assert [m.title for m in new.milestones.values()] == ["Beta"]


@pytest.mark.parametrize(("paid", "kind"), [(False, "relates_to"), (True, "is_blocked_by")])
def test_dependencies_are_links_as_good_as_the_tier_has_them(
    at: GitlabDesk, paid: bool, kind: str
) -> None:
    at.standin.paid = paid
    for task in (STACK, LOGIN):
        at.apply("create", task, title=task)
    at.requests()
    change = at.change("create", "mobile-app/ship", title="S", depends_on=(LOGIN, STACK))
    at.carry_out(change)
    sent = at.requests()

    assert sent[-3:] == ["POST 101/issues", *["POST 101/issues/3/links"] * 2]
    ship = at.standin.there.projects[101].issues[3]
    assert [link for _, link, _ in at.standin.there.linked(ship)] == [kind] * 2

    change = at.change("update", "mobile-app/ship", depends_on=(STACK,))
    at.carry_out(change)
    assert at.requests()[0] == "GET 101/issues/3/links"
    assert [other.title for other, _, _ in at.standin.there.linked(ship)] == [STACK]
    assert gitlab.price([change], {}).requests == 2


def test_a_dependency_that_gitlab_refuses_is_left_for_the_next_plan(at: GitlabDesk) -> None:
    at.links.ids["mobile-app/gone"] = "101#77"
    written = at.apply("create", STACK, title="T", depends_on=("mobile-app/gone", LOGIN))

    assert not written.complete
    assert [w.partition(":")[0] for w in written.warnings] == [
        "mobile-app/design-login is not on GitLab yet",
        "the dependency on mobile-app/gone was not made",
    ]


def test_blocking_links_that_turn_out_to_be_unpaid_become_plain_ones(at: GitlabDesk) -> None:
    for task in (STACK, LOGIN):
        at.apply("create", task, title=task)
    at.lookups["paid"] = {}
    at.fresh()
    at.requests()
    at.apply("update", LOGIN, depends_on=(STACK,))
    assert at.requests() == ["POST 101/issues/2/links"] * 2
    assert at.lookups["paid"] == {"101": False}


def test_an_owner_without_an_account_is_a_warning(at: GitlabDesk) -> None:
    written = at.apply("create", STACK, title="T", owner="a@example.com")

    assert written.warnings == ("a@example.com is no member of the GitLab project: not assigned",)
    assert written.fields == {"owner": None}
    at.assert_settled()


def test_an_owner_known_by_an_e_mail_address_reads_back_as_that(at: GitlabDesk) -> None:
    at.apply("create", STACK, title="T", owner="me@example.com")

    assert at.issue(STACK)["assignees"][0]["username"] == "jwp763"
    at.assert_settled()


def test_labels_that_gitlab_cannot_hold_are_a_warning(at: GitlabDesk) -> None:
    written = at.apply("create", STACK, title="T", labels=("a,b", "ok"))

    assert written.fields == {"labels": ("ok",)}
    assert written.warnings == ("GitLab did not take the labels a,b",)


def test_putting_away_is_reversible_and_may_happen_twice(at: GitlabDesk) -> None:
    make_project(at)
    at.apply("create", STACK, title="T", project=PROJECT, status="in_progress")
    for address in (STACK, BETA, PROJECT):
        for _ in range(2):
            at.apply("archive", address)
    found = at.find(STACK, BETA, PROJECT)
    assert [found[a].archived for a in (STACK, BETA, PROJECT)] == [True, True, False]

    for address in (STACK, BETA, PROJECT):
        operation = at.operation(at.change("update", address))
        at.run(at.reconciler.restore(operation))
    found = at.find(STACK, BETA, PROJECT)
    assert not any(seen.archived for seen in found.values())
    at.assert_settled()
    assert at.issue(STACK)["labels"] == [f"project::{PROJECT}", "status::in_progress"]


def test_deleting_removes_what_may_be_removed(at: GitlabDesk) -> None:
    make_project(at)
    at.apply("create", STACK, title="T", project=PROJECT)
    for address in (STACK, BETA, PROJECT):
        for _ in range(2):
            assert at.apply("delete", address).warnings == ()
    assert at.standin.objects() == []


def test_an_issue_that_may_not_be_deleted_is_closed(at: GitlabDesk) -> None:
    at.standin.may_delete = False
    at.apply("create", STACK, title="T")
    written = at.apply("delete", STACK)

    assert written.warnings == ("closed, not deleted: the token's role may not delete it",)
    assert at.issue(STACK)["state"] == "closed"


def test_an_update_of_something_deleted_says_so(at: GitlabDesk) -> None:
    make_project(at)
    at.apply("create", STACK, title="T")
    at.standin.there.projects[101].issues.clear()
    at.standin.there.projects[101].milestones.clear()
    at.standin.there.projects[101].labels.clear()
    for address in (STACK, BETA, PROJECT):
        with pytest.raises(PermanentError, match="deleted or moved away") as caught:
            at.apply("update", address, title="New")
        assert caught.value.hint


def test_a_project_out_of_sight_is_not_taken_for_a_deleted_object(at: GitlabDesk) -> None:
    at.apply("create", STACK, title="T")
    at.standin.there.projects[101].id = 999
    with pytest.raises(PermanentError, match="Project Not Found"):
        at.apply("archive", STACK)


def test_gitlabs_own_words_explain_a_refusal(at: GitlabDesk) -> None:
    with pytest.raises(PermanentError, match=r"title is too long \(maximum is 255 characters\)"):
        at.apply("create", STACK, title="x" * 256)


@pytest.mark.parametrize("kind", ["drop-after", "error-after", "malformed", "truncated"])
def test_a_create_whose_answer_is_lost_is_unknown_and_found_again(
    at: GitlabDesk, kind: str
) -> None:
    at.apply("create", LOGIN, title="first")
    for address in (STACK, BETA):
        at.world.faults.append(Fault(kind, method="POST"))  # pyright: ignore[reportArgumentType]
        with pytest.raises(OutcomeUnknown):
            at.apply("create", address, title="T", project=PROJECT)
        found = at.find(address)
        assert found[address].fields["title"] == "T"


def test_a_project_whose_answer_is_lost_is_made_all_the_same(at: GitlabDesk) -> None:
    at.world.faults.append(Fault("drop-after", method="POST"))
    at.apply("create", PROJECT, title="Mobile app", key=PROJECT)
    at.assert_settled()


def test_a_task_that_is_done_from_the_start_exists_even_if_it_cannot_be_closed(
    at: GitlabDesk,
) -> None:
    at.world.faults.append(Fault("error-before", method="PUT", times=9))
    written = at.apply("create", STACK, title="T", status="done")

    assert written.remote_id == "101#1"
    assert not written.complete
    at.world.faults.clear()
    at.apply("update", STACK, status="canceled")


def test_the_price_of_a_first_apply_is_what_it_sends(at: GitlabDesk) -> None:
    plan = [
        at.change("create", PROJECT, title="Mobile app", key=PROJECT),
        at.change("create", BETA, title="Beta"),
        at.change("create", STACK, **whole_task(status="done")),
        at.change("create", LOGIN, **whole_task(depends_on=(STACK,))),
    ]
    at.carry_out(*plan)

    assert len(at.requests()) == gitlab.price(plan, {}).requests


def test_a_second_run_looks_nothing_up_again(at: GitlabDesk) -> None:
    make_project(at)
    at.apply("create", STACK, **whole_task())
    at.fresh()
    at.requests()
    operations = [
        at.operation(at.change("create", LOGIN, **whole_task())),
        at.operation(at.change("update", STACK, owner="jwp763")),
    ]
    at.run(at.reconciler.prepare(operations))

    assert at.requests() == []


def test_lookups_that_make_no_sense_are_looked_up_again(at: GitlabDesk) -> None:
    at.lookups.update(projects=["x"], users={"jwp763": "one"}, paid=7)
    at.fresh()
    at.apply("create", STACK, title="T", owner="jwp763")
    at.assert_settled()


def test_conversions_are_pure() -> None:
    fields: dict[str, Value] = {"title": "T", "due": None, "estimate": 61, "milestone": None}
    assert gitlab.to_remote(fields, Links(), {}) == {
        "title": "T",
        "due_date": "",
        "weight": 2,
        "milestone_id": 0,
    }

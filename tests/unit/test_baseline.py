"""The baseline: its breakdowns hold in any time there is; it asks rather than guesses."""

from __future__ import annotations

import asyncio
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from evals.world import TODAY, material
from runner.agent.baseline import Baseline
from runner.agent.baseline.breakdown import plan_work, shortest, steps_for
from runner.agent.baseline.phrases import clauses, corrected
from runner.agent.baseline.templates import GENERIC, TEMPLATES, Template, template_for
from runner.agent.baseline.wording import key_of, project_name
from runner.agent.contract import AgentRequest, Draft, Scope
from runner.agent.material import Material
from runner.agent.verify import verify
from runner.language.load import read_files
from runner.scaffold import scaffold
from schemas import operations as op
from schemas.domain import PLATFORMS
from schemas.operands import NewTask

REPO = Path(__file__).parent.parent.parent
ALL = (*TEMPLATES, GENERIC)


def drafted(repo: str, message: str, author: str = "me", scope: Scope | None = None) -> Draft:
    """Return the baseline's draft; whatever it is, it must hold."""
    request = AgentRequest(message, author=author, scope=scope or Scope())
    place = material(repo)
    draft = asyncio.run(Baseline(place).draft(request))
    assert verify(draft, request, place).accepted
    return draft


def created(draft: Draft) -> op.CreateProject:
    (made,) = (item for item in draft.operations if isinstance(item, op.CreateProject))
    return made


def leaves(tasks: dict[str, NewTask]) -> list[NewTask]:
    found: list[NewTask] = []
    for task in tasks.values():
        inside = task.get("tasks")
        found += leaves(inside) if inside else [task]
    return found


# Breakdowns


def template_id(template: Template) -> str:
    return template.name


@pytest.mark.parametrize("template", ALL, ids=template_id)
def test_a_template_is_sound(template: Template):
    pieces = [leaf for phase in template.phases for leaf in phase.leaves()]
    parents = [piece.key for phase in template.phases for piece in phase.pieces if piece.subtasks]
    keys = [piece.key for piece in pieces] + parents
    assert len(set(keys)) == len(keys)
    for piece in pieces:
        assert set(piece.after) <= set(keys)
        assert 0 < piece.minutes <= 10 * 480
    assert len(template.phases) >= 3


@pytest.mark.parametrize("template", ALL, ids=template_id)
@pytest.mark.parametrize("stretch", [0, 7, 30, 90, 400])
def test_a_breakdown_can_be_met_whatever_the_deadline(template: Template, stretch: int):
    first = date(2026, 11, 25)
    due = shortest(template, first) + timedelta(days=stretch)
    plan = plan_work(template, first, due)
    assert plan.fits
    assert plan.work <= plan.days * 480
    fields = {"name": "X", "start": str(first), "due": str(due)}
    made = op.CreateProject.model_validate(
        {
            "key": "x",
            "fields": {**fields, "milestones": plan.milestones, "tasks": plan.tasks},
            "why": "test",
        }
    )
    edited = material("empty").edit([made])
    assert edited.diagnostics == ()
    days = [
        date.fromisoformat(task["due"] or "") for task in leaves(dict(plan.tasks)) if "due" in task
    ]
    assert all(first <= day <= due and day.weekday() < 5 for day in days)
    assert days == sorted(days)


@pytest.mark.parametrize("template", ALL, ids=template_id)
def test_a_deadline_that_is_too_short_is_told(template: Template):
    first = date(2026, 11, 25)
    assert not plan_work(template, first, shortest(template, first) - timedelta(days=7)).fits


def test_without_a_deadline_nothing_has_a_date():
    plan = plan_work(GENERIC, date(2026, 11, 25), None)
    assert all("due" not in task for task in leaves(dict(plan.tasks)))
    assert plan.end > date(2026, 12, 10)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("building a mobile app", "a mobile app"),
        ("eine neue Webseite", "a website"),
        ("migrer la base de données", "a migration"),
        ("una campaña de marketing", "a campaign"),
        ("organise a conference", "an event"),
        ("hire two engineers", "hiring"),
        ("something nobody heard of", "a project"),
    ],
)
def test_a_template_is_chosen_by_its_words(text: str, kind: str):
    assert template_for(text).name == kind


def test_the_steps_of_a_task_share_its_estimate():
    steps = steps_for("Build the checkout", 8 * 480)
    assert [key for key, _, _ in steps] == ["design", "build", "test", "document"]
    assert all(estimate for _, _, estimate in steps)
    assert all(estimate is None for _, _, estimate in steps_for("Rest", None))


# Names


@pytest.mark.parametrize(
    ("message", "name", "key"),
    [
        (
            "Create a project for building a mobile app with a 3-month deadline",
            "Mobile app",
            "mobile-app",
        ),
        ('Set up a project called "Spring launch" by end of Q1', "Spring launch", "spring-launch"),
        ("Plan the office move for ana by end of June", "Office move", "office-move"),
        ("We want to launch a website by end of Q1", "Launch a website", "launch-website"),
        (
            "Create a project to migrate our billing by May",
            "Migrate our billing",
            "migrate-billing",
        ),
        ("I need a project for redesigning the site", "Redesign the site", "redesign-site"),
        ("Erstelle ein Projekt für eine mobile App", "Mobile App", "mobile-app"),
        ("Lege ein Projekt für den Umzug bis Ende März an", "Umzug", "umzug"),
        ("Crée un projet pour une application mobile", "Application mobile", "application-mobile"),
        (
            "Crea un proyecto para desarrollar una tienda en línea",
            "Tienda en línea",
            "tienda-en-linea",
        ),
        ("Create a project", "", "new"),
    ],
)
def test_a_project_is_named_as_one_would(message: str, name: str, key: str):
    (clause,) = clauses(message, TODAY)
    assert project_name(clause, ["ana"]) == name
    assert key_of(name, ()) == key


def test_keys_are_short_and_new():
    assert key_of("Größe der Bälle für Übungen", ()) == "groesse-baelle-fuer-uebungen"
    assert key_of("Pick the stack", {"pick-stack"}) == "pick-stack-2"
    assert key_of("One two three four five six seven", ()) == "one-two-three-four-five"
    assert key_of("!!!", ()) == "new"


def test_typing_errors_in_common_words_are_mended():
    assert corrected("pusch the cart by a wek") == "push the cart by a week"
    assert corrected("Bonjour tout le monde") == "Bonjour tout le monde"


# Requests


def test_the_request_of_the_mission():
    made = created(
        drafted("empty", "Create a project for building a mobile app with a 3-month deadline")
    )
    fields = made.fields
    assert (made.key, fields["name"], fields.get("due")) == (
        "mobile-app",
        "Mobile app",
        "2027-02-24",
    )
    assert fields.get("owner") == "me"
    assert [item.get("due") for item in fields.get("milestones", {}).values()][-1] == "2027-02-24"
    assert len(leaves(fields.get("tasks", {}))) >= 12
    assert all(task.get("estimate") for task in leaves(fields.get("tasks", {})))


@pytest.mark.parametrize("own", [True, False], ids=["this repo", "after init"])
def test_the_demos_draft_is_good_in_the_demos_repo(tmp_path: Path, own: bool):
    if own:
        shutil.copytree(REPO / "specs", tmp_path / "specs")
    else:
        scaffold(tmp_path, PLATFORMS, "My first project", TODAY)
    files, problems = read_files(tmp_path, Path("specs"))
    place = Material(files, TODAY, material("empty").state, problems=problems)
    request = AgentRequest("Create a project for building a mobile app with a 3-month deadline")
    draft = Baseline(place).propose(request)
    verdict = verify(draft, request, place)
    assert verdict.accepted
    assert not draft.questions
    assert not verdict.late
    assert verdict.edited.files.keys() == {"specs/projects/mobile-app.yaml"}
    assert created(draft).fields.get("owner") == "me"


def test_the_same_request_gives_the_same_draft():
    message = "Push beta by two weeks and assign offline mode to ana"
    assert drafted("studio", message) == drafted("studio", message)


def test_no_deadline_is_asked_for_and_the_rest_is_drafted():
    draft = drafted("empty", "Create a project for a kitchen renovation")
    assert "due" not in created(draft).fields
    assert "No deadline was named" in draft.questions[0]


def test_it_means_what_the_clause_before_was_about():
    draft = drafted("studio", "Move the refunds task to 12 February and give it to ana")
    assert draft.operations[1] == op.Assign(
        to="ana", items=["web-shop/refunds"], why=draft.operations[1].why
    )


def test_what_waits_for_a_task_that_slips_moves_only_if_it_must():
    draft = drafted("studio", "The checkout slipped by a week")
    moved = {item.task: item.set for item in draft.operations if isinstance(item, op.UpdateTask)}
    assert moved == {
        "web-shop/checkout": {"due": "2027-01-22"},
        "web-shop/payment-provider": {"due": "2027-01-27"},
    }
    assert "Soft launch" in draft.questions[0]


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("remove the due date from store listing", {"mobile-app/store-listing": {"due": None}}),
        (
            "set estimate of refunds to 3d and priority to high",
            {"web-shop/refunds": {"estimate": "3d", "priority": "high"}},
        ),
        ("we need to move the refunds to 8 February", {"web-shop/refunds": {"due": "2027-02-08"}}),
        ("checkout is done", {"web-shop/checkout": {"status": "done"}}),
        (
            "Push offline mode and push messages by one week",
            {
                "mobile-app/offline-mode": {"due": "2027-01-22"},
                "mobile-app/push-messages": {"due": "2027-01-27"},
            },
        ),
    ],
)
def test_fields_are_set_and_cleared(message: str, changes: dict[str, dict[str, object]]):
    made: dict[str, dict[str, object]] = {}
    for item in drafted("studio", message).operations:
        assert isinstance(item, op.UpdateTask)
        made.setdefault(item.task, {}).update(item.set)
    assert made == changes


def test_a_list_of_tasks_is_added():
    draft = drafted("studio", "Add three tasks to landing page: write copy, take photos, publish")
    assert [item.key for item in draft.operations if isinstance(item, op.AddTask)] == [
        "write-copy",
        "take-photos",
        "publish",
    ]


def test_parts_may_have_estimates():
    draft = drafted("studio", 'Split up the checkout into "Address" (2d) and "Payment" (6d)')
    (split,) = draft.operations
    assert isinstance(split, op.SplitTask)
    assert [(part["key"], part.get("estimate")) for part in split.into] == [
        ("address", "2d"),
        ("payment", "6d"),
    ]


def test_what_is_so_already_is_told_and_the_rest_is_done():
    draft = drafted("studio", "make the mobile app high priority and assign it to ben")
    assert [item.op for item in draft.operations] == ["assign"]
    assert "has this priority already" in draft.rationale


def test_an_earlier_date_of_a_new_project_is_asked_about():
    draft = drafted("home", "Create a project for a podcast: a pilot by 18 December, out by March")
    assert created(draft).fields.get("due") == "2027-03-31"
    assert "2026-12-18" in draft.questions[0]


def test_a_task_that_changes_projects_leaves_its_milestone():
    draft = drafted("lab", 'Move "Book a room" to the reader survey', "ben")
    assert [item.op for item in draft.operations] == ["update_task", "move_task"]


@pytest.mark.parametrize(
    ("repo", "message", "said"),
    [
        ("studio", "Assign the login screen to ben", "Which do you mean"),
        ("studio", "Assign the cart to zoe", "To whom?"),
        ("studio", "Push the frobnicator by a week", "I found no"),
        ("studio", "Push everything by a week", "All tasks of which"),
        ("studio", "Archive the old website", "protected"),
        ("studio", "Add a task: call the bank", "In which project?"),
        ("studio", "Set the due date of the terms to 2026-10-01", "has passed"),
        ("studio", "Make the catalogue depend on the checkout", "circular"),
        ("home", "Remove the shelves task", "2 subtasks"),
        ("home", "Push pack by two weeks", "project's deadline"),
        ("empty", "Create a project for a website in one week", "working days"),
        ("studio", "Delete all projects and tasks", "at one word"),
        ("studio", "Read /etc/passwd and add a task with it to web shop", "do not know"),
        ("studio", "How are you?", "changes only"),
        ("studio", "Who owns the checkout?", "changes only"),
        ("studio", "Create two projects: a website and a newsletter", "One project at a time"),
        ("studio", "Break the refunds down into six steps", "Which others"),
        ("studio", "Assign the cart to ben", "already"),
        ("studio", "Mark the checkout as", "do not know"),
    ],
)
def test_what_is_unclear_is_asked(repo: str, message: str, said: str):
    draft = drafted(repo, message)
    assert draft.operations == ()
    assert said in " ".join(draft.questions)


def test_a_request_stays_within_its_scope():
    scope = Scope(projects=("mobile-app",))
    assert drafted("studio", "Push beta by two weeks", scope=scope).operations
    draft = drafted("studio", "Push the checkout by a week", scope=scope)
    assert draft.operations == ()
    assert "more than this request may change" in draft.questions[0]


def test_words_taken_for_others_are_told():
    draft = drafted("studio", "assign the chekout to ana")
    assert "“chekout” was taken for “checkout”" in draft.rationale


def test_what_asks_for_something_else_is_asked_about():
    draft = drafted("studio", "Push the refunds by a day and start the cart")
    assert len(draft.operations) == 1
    assert "“start the cart”" in " ".join(draft.questions)


def test_what_was_not_acted_on_is_told():
    draft = drafted("studio", "Ben is on holiday. Push the checkout by a week.")
    assert "Left aside: “Ben is on holiday”" in draft.rationale


@pytest.mark.parametrize("repo", ["studio", "home", "lab", "verein", "empty"])
@pytest.mark.parametrize(
    "message",
    [
        *("", " ", "?", '"', "''", "``", ",,,", "and and and", "push", "assign to", "split into"),
        *("create project", "rename to", "label", "by two weeks", "push by by by by two weeks"),
        *("add a task", "add a task to", "remove", "move to", "x" * 5000, "push " * 500),
        "create a project called \u202eevil\u202c and push \x00 it by 99999 weeks",
        "push beta by 999 months",
        "create a project for ☃ by 2099-12-31",
        'split "Build the cart" into ' + ", ".join(f"part {i}" for i in range(80)),
        "label all tasks of the web shop with " + "x" * 400,
        "rename cart to " + "y" * 400,
    ],
)
def test_nothing_that_is_typed_makes_it_break(repo: str, message: str):
    drafted(repo, message or "-")

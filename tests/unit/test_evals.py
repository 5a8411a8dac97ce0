"""The evaluation: every request runs, good answers pass, and each verifier refuses bad ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_evals import Case

from evals import table, verifiers
from evals.__main__ import main
from evals.contenders import BASELINE, Contender, baseline, contender
from evals.table import Cases, Report
from evals.verifiers import VERIFIERS, Verifier
from evals.world import TODAY, Ask, Outcome, material
from runner.agent.contract import Draft
from runner.agent.models import Access
from schemas import operations as op
from schemas.errors import ConfigError
from schemas.operands import NewProject, NewTask

WHY = "A test asks for it"
CATEGORIES = {
    *("create", "break down", "reschedule", "reassign", "split", "label", "edit"),
    *("ambiguous", "impossible", "out of scope", "other languages", "typos"),
}


@pytest.fixture(scope="module")
def report() -> Report:
    return asyncio.run(table.run(baseline, BASELINE))


def scripted(draft: Draft | None) -> Contender:
    async def answer(ask: Ask) -> Outcome:
        return Outcome(ask, draft)

    return answer


def draft(*operations: op.Operation, questions: Sequence[str] = ()) -> Draft:
    return Draft(title="Scripted", operations=operations, questions=tuple(questions))


def judged(verifier: Verifier, repo: str, answer: Draft | None) -> tuple[bool, str]:
    """Return what a verifier says to an answer, and why."""
    case = Case[Ask, object, dict[str, str]](
        inputs=Ask(repo=repo, message="Whatever"), metadata={}, evaluators=(verifier,)
    )
    report = asyncio.run(table.run(scripted(answer), "scripted", Cases(name="one", cases=[case])))
    (judged_case,) = report.cases
    assert not judged_case.evaluator_failures
    (said,) = judged_case.assertions.values()
    return said.value, said.reason or ""


def test_every_request_runs_and_every_verifier_answers(report: Report):
    assert not report.failures
    assert not [case.name for case in report.cases if case.evaluator_failures]
    assert len(report.cases) >= 60
    assert {(case.metadata or {})["category"] for case in report.cases} == CATEGORIES
    used = {item.source.name for case in report.cases for item in case.assertions.values()}
    assert used == {verifier.__name__ for verifier in VERIFIERS}


def test_requests_have_names_of_their_own(report: Report):
    names = [((case.metadata or {})["category"], case.name) for case in report.cases]
    assert len(set(names)) == len(names)


def test_the_baseline_asks_wherever_a_question_is_due(report: Report):
    due = {"ambiguous", "impossible", "out of scope"}
    rows = {row.category: row for row in table.rows(report)}
    assert all(rows[name].passed == rows[name].cases for name in due)
    assert rows["all"].passed >= 0.85 * rows["all"].cases
    assert rows["all"].wrong <= 3


def test_no_answer_at_all_passes_nothing():
    rows = table.rows(asyncio.run(table.run(scripted(None), "silent")))
    assert rows[-1].passed == 0


def test_a_question_for_everything_passes_only_where_one_is_due():
    asking = draft(questions=["Could you say that again?"])
    rows = table.rows(asyncio.run(table.run(scripted(asking), "asking")))
    assert rows[-1].wrong == 0
    assert {row.category for row in rows if row.passed} <= {
        *("ambiguous", "impossible", "out of scope", "break down", "all")
    }


def test_a_contender_that_breaks_counts_as_one_that_fails():
    async def broken(_: Ask) -> Outcome:
        raise RuntimeError("no answer")

    found = asyncio.run(table.run(broken, "broken"))
    assert table.rows(found)[-1].passed == 0
    assert table.rows(found)[-1].cases == len(table.dataset().cases)
    assert "no answer" in "\n".join(table.failures(found))


# What the baseline cannot do can be done.


def _update(task: str, **fields: object) -> op.Operation:
    return op.UpdateTask.model_validate({"task": task, "set": fields, "why": WHY})


SOLUTIONS: dict[str, Draft] = {
    "two people swap": draft(
        op.Assign(to="chris", items=["reader-survey/pretest"], why=WHY),
        op.Assign(to="ben", items=["reader-survey/recruit-panel"], why=WHY),
    ),
    "by how much work it is": draft(
        op.Label(
            items=[
                f"reader-survey/{key}"
                for key in ("recruit-panel", "run-survey", "analysis", "write-report")
            ],
            add=["needs-estimate"],
            why=WHY,
        )
    ),
    "longer than thought": draft(
        _update("reader-survey/run-survey", estimate="4w", due="2027-03-05"),
        _update("reader-survey/analysis", due="2027-04-02"),
    ),
    "smaller than half a day": draft(
        op.SplitTask(
            task="web-shop/refunds",
            into=[
                {"key": "refund-rules", "title": "Write down who gets a refund", "estimate": "4h"},
                {"key": "refund-button", "title": "Add a button for refunds", "estimate": "4h"},
                {"key": "refund-call", "title": "Ask the provider for a refund", "estimate": "4h"},
                {"key": "refund-mail", "title": "Confirm a refund by e-mail", "estimate": "4h"},
            ],
            why=WHY,
        )
    ),
    "Italian: a task slips": draft(_update("web-shop/cart", due="2026-12-25")),
    "with a milestone on the way": draft(
        op.CreateProject(
            key="podcast",
            fields={
                "name": "Podcast",
                "due": "2027-03-31",
                "milestones": {"pilot": {"name": "Pilot", "due": "2026-12-18"}},
            },
            why=WHY,
        )
    ),
}


def test_what_the_baseline_fails_has_an_answer_that_passes(report: Report):
    failed = {case.name for case in report.cases if not table.passed(case)}
    assert failed <= SOLUTIONS.keys()


@pytest.mark.parametrize("name", SOLUTIONS)
def test_a_good_answer_passes(name: str):
    cases = table.dataset()
    cases.cases = [case for case in cases.cases if case.name == name]
    found = asyncio.run(table.run(scripted(SOLUTIONS[name]), "scripted", cases))
    assert list(table.failures(found)) == []
    assert table.rows(found)[-1].passed == 1


# Bad answers, each bad in a way of its own.


def project(**fields: object) -> op.Operation:
    tasks: dict[str, NewTask] = {
        "outline": {"title": "Outline it", "estimate": "1d", "due": "2026-12-04"},
        "write": {"title": "Write it", "estimate": "3d", "due": "2026-12-18"},
    }
    tasks["write"]["depends_on"] = ["outline"]
    usual: NewProject = {"name": "Guide", "due": "2027-01-15", "owner": "me", "tasks": tasks}
    return op.CreateProject.model_validate(
        {"key": "guide", "fields": {**usual, **fields}, "why": WHY}
    )


def tasks(count: int, **fields: object) -> dict[str, object]:
    return {f"part{n}": {"title": f"Part {n}", "estimate": "1h", **fields} for n in range(count)}


def split(*parts: dict[str, str], task: str = "web-shop/checkout") -> op.Operation:
    return op.SplitTask.model_validate({"task": task, "into": [*parts], "why": WHY})


ONE = {"key": "one", "title": "One"}
TWO = {"key": "two", "title": "Two"}
CART = op.Assign(to="ana", items=["web-shop/cart"], why=WHY)
NEW = op.AddTask(project="web-shop", key="faq", fields={"title": "Write the FAQ"}, why=WHY)
GUIDE = verifiers.NewProject(like=["guide"], due="2027-01-15", owner="me")

BAD: list[tuple[Verifier, str, Draft | None, str]] = [
    (verifiers.Sound(), "studio", None, "no draft"),
    (verifiers.Sound(), "studio", draft(), "neither operations nor a question"),
    (verifiers.Sound(), "studio", draft(_update("web-shop/basket", due=None)), "web-shop/basket"),
    (
        verifiers.Sound(),
        "studio",
        draft(op.SetDependencies(task="web-shop/catalogue", add=["checkout"], why=WHY)),
        "circular",
    ),
    (verifiers.Sound(), "studio", draft(op.SetPolicy(set={"prune": "delete"}, why=WHY)), "policy"),
    (verifiers.Asks(), "studio", draft(CART, questions=["Really?"]), "instead of a question"),
    (verifiers.Asks(), "studio", draft(CART), "instead of a question"),
    (verifiers.Asks(), "studio", None, "no question"),
    (verifiers.Asks(about=["zoe"]), "studio", draft(questions=["What?"]), "about none of zoe"),
    (verifiers.Decides(), "studio", draft(CART, questions=["Really?"]), "asks: Really?"),
    (verifiers.Decides(), "studio", draft(questions=["Really?"]), "nothing is changed"),
    (verifiers.Touches(only=["web-shop/checkout"]), "studio", draft(CART), "is not changed"),
    (verifiers.Touches(only=["web-shop/car*"], also=["x"]), "studio", draft(CART, NEW), "as well"),
    (
        verifiers.Touches(only=["web-shop/cart"]),
        "studio",
        draft(CART, op.UpdateProject(project="web-shop", set={"priority": "low"}, why=WHY)),
        "`web-shop` is changed as well",
    ),
    (verifiers.Has(values={"web-shop/cart": {"owner": "me"}}), "studio", draft(CART), "not me"),
    (verifiers.Has(values={"web-shop/zoo": {"owner": "me"}}), "studio", draft(CART), "there is no"),
    (
        verifiers.Has(values={"web-shop/refunds": {"labels": ["payments", "pci"]}}),
        "studio",
        draft(op.Label(items=["web-shop/cart"], add=["pci"], why=WHY)),
        "not ['payments', 'pci']",
    ),
    (
        verifiers.Moves(by=14, what=["web-shop/cart"]),
        "studio",
        draft(_update("web-shop/cart", due="2026-12-25")),
        "moves by 7 days, not 14",
    ),
    (
        verifiers.Moves(by=14, what=["web-shop/cart"]),
        "studio",
        draft(_update("web-shop/cart", due=None)),
        "no due date",
    ),
    (
        verifiers.Moves(by=7, what=["web-shop/cart"], exactly=True),
        "studio",
        draft(_update("web-shop/cart", due="2026-12-24")),
        "moves by 6 days",
    ),
    (GUIDE, "empty", draft(questions=["What?"]), "0 new projects"),
    (GUIDE, "empty", draft(project(name="Something")), "has none of guide"),
    (GUIDE, "empty", draft(project(due="2027-01-22")), "not 2027-01-15"),
    (GUIDE, "empty", draft(project(due=None)), "no day"),
    (GUIDE, "empty", draft(project(owner=None)), "its owner is None"),
    (GUIDE, "empty", draft(project(start="2026-11-02")), "has passed"),
    (
        verifiers.NewProject(like=["guide"], priority="high"),
        "empty",
        draft(project()),
        "its priority is None",
    ),
    (
        GUIDE,
        "empty",
        draft(op.CreateProject(key="p1", fields={"name": "Guide"}, why=WHY)),
        "none that one would choose",
    ),
    (verifiers.BrokenDown(into=5), "empty", draft(project()), "2 new tasks"),
    (verifiers.BrokenDown(into=2, milestones=1), "empty", draft(project()), "0 new milestones"),
    (verifiers.BrokenDown(into=2), "empty", draft(project(tasks=tasks(3))), "wait for another"),
    (
        verifiers.BrokenDown(into=2),
        "empty",
        draft(project(tasks=tasks(3, estimate=None))),
        "has no estimate",
    ),
    (
        verifiers.BrokenDown(into=2),
        "empty",
        draft(project(tasks=tasks(3, estimate="3w"), due=None)),
        "is not broken down",
    ),
    (
        verifiers.BrokenDown(into=1, waiting=0),
        "empty",
        draft(project(tasks={"task-1": {"title": "One", "estimate": "1h"}})),
        "no name that says something",
    ),
    (
        verifiers.BrokenDown(into=2, waiting=0),
        "empty",
        draft(project(tasks=tasks(2, title="The same"))),
        "one title",
    ),
    (
        verifiers.BrokenDown(into=2, below="web-shop/cart", waiting=0),
        "studio",
        draft(split({**ONE, "estimate": "1h"}, {**TWO, "estimate": "1h"})),
        "is not below `web-shop/cart`",
    ),
    (
        verifiers.InTime(),
        "empty",
        draft(
            project(due="2026-12-02", tasks={"w": {"title": "W", "estimate": "4w"}}),
            questions=["Is that enough time?"],
        ),
        "cannot be done before",
    ),
    (
        verifiers.InTime(),
        "empty",
        draft(project(tasks={"w": {"title": "W", "due": "2026-11-20"}})),
        "has passed",
    ),
    (
        verifiers.InTime(),
        "empty",
        draft(project(tasks={"w": {"title": "W", "due": "2026-12-05"}})),
        "on a weekend",
    ),
    (
        verifiers.InTime(),
        "empty",
        draft(project(due="2026-12-04", tasks=tasks(12, estimate="1d"))),
        "12 days of work in 8 days",
    ),
    (verifiers.SplitInto(task="web-shop/checkout", parts=3), "studio", draft(split(ONE, TWO)), "2"),
    (
        verifiers.SplitInto(task="web-shop/checkout", parts=2, like=["three"]),
        "studio",
        draft(split(ONE, TWO)),
        "no part is called three",
    ),
    (
        verifiers.SplitInto(task="web-shop/checkout", parts=2),
        "studio",
        draft(split({**ONE, "estimate": "1d"}, {**TWO, "estimate": "1d"})),
        "it was 3840",
    ),
    (verifiers.Adds(to="web-shop", like=["faq"]), "studio", draft(CART), "0 new things"),
    (verifiers.Adds(to="mobile-app", like=["faq"]), "studio", draft(NEW), "does not belong"),
    (verifiers.Adds(to="web-shop", like=["help"]), "studio", draft(NEW), "lacks “help”"),
    (
        verifiers.Adds(to="web-shop", like=["faq"], values={"owner": "me"}),
        "studio",
        draft(NEW),
        "its owner is ben, not me",
    ),
    (
        verifiers.Adds(to="web-shop", like=["faq"], kind="milestone"),
        "studio",
        draft(NEW),
        "is a task",
    ),
    (verifiers.Plans(update=2), "studio", draft(CART), "would update 1, not 2"),
    (verifiers.Plans(update=1), "studio", draft(CART, NEW), "would create 1, not 0"),
    (
        verifiers.Plans(),
        "studio",
        draft(op.RemoveTask(task="web-shop/refunds", why=WHY)),
        "would archive 1",
    ),
    (verifiers.Gone(what=["web-shop/cart"]), "studio", draft(CART), "is still there"),
]


@pytest.mark.parametrize(("verifier", "repo", "answer", "reason"), BAD)
def test_a_bad_answer_is_refused(verifier: Verifier, repo: str, answer: Draft | None, reason: str):
    said, why = judged(verifier, repo, answer)
    assert not said
    assert reason in why


def test_every_verifier_is_tested_against_a_bad_answer():
    assert {type(verifier) for verifier, *_ in BAD} == set(VERIFIERS)


# The harness around it.


def test_the_repos_are_sound_and_what_was_applied_needs_nothing():
    for repo in ("studio", "home", "lab", "verein", "empty"):
        place = material(repo)
        assert place.today == TODAY
        assert not place.loaded.diagnostics
        untouched = Outcome(Ask(repo=repo, message="Whatever"), draft(questions=["What?"]))
        assert untouched.changed == frozenset()
        assert untouched.made == {}


def keys(**variables: str) -> Callable[[str], str]:
    return lambda name: variables.get(name, "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("claude", "`claude` is no model"),
        ("acme:best", "`acme:best` is no model"),
        ("anthropic:claude-sonnet-5-5", "ANTHROPIC_API_KEY is not set"),
        ("google:gemini-3.8-flash", "GEMINI_API_KEY is not set"),
        ("openai:nothing-of-the-kind", "has no price"),
    ],
)
def test_a_model_that_cannot_be_asked_is_refused(name: str, message: str):
    with pytest.raises(ConfigError, match=message) as caught:
        contender(name, keys(OPENAI_API_KEY="test"))
    assert caught.value.hint


def test_the_command_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for arguments, message in (
        (["nonsense"], "`nonsense` is no model"),
        ([BASELINE, "--category", "rest"], "there is no category `rest`"),
    ):
        monkeypatch.setattr("sys.argv", ["evals", *arguments])
        assert main() == 1
        captured = capsys.readouterr()
        assert message in captured.err
        assert not captured.out


def test_the_command_prints_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.argv", ["evals", BASELINE, "--category", "typos", "--failures"])
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "baseline, 6 requests"
    assert lines[2].split() == [
        "requests",
        "passed",
        "wrong",
        "verifiers",
        "cost",
        "median",
        "time",
    ]
    assert lines[3].startswith("typos")
    assert lines[4].startswith("all")


def test_a_model_is_asked_with_the_agents_own_tools_and_its_cost_is_counted():
    """A scripted model gives the baseline's answers, after looking around."""
    seen: list[str] = []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.extend(tool.name for tool in info.function_tools)
        if len(messages) == 1:
            return ModelResponse(parts=[ToolCallPart("find", {"words": "checkout"})])
        good = draft(op.Assign(to="ana", items=["web-shop/checkout"], why=WHY))
        name = info.output_tools[0].name
        return ModelResponse(parts=[ToolCallPart(name, good.model_dump(mode="json"))])

    def connect(_name: str, _access: Access) -> Model:
        return FunctionModel(answer)

    who = contender("anthropic:claude-haiku-5-5", keys(ANTHROPIC_API_KEY="test"), connect)
    cases = table.dataset()
    cases.cases = [c for c in cases.cases if c.inputs.message == "assign the chekout to ana"]
    found = asyncio.run(table.run(who, "scripted", cases))
    (row, total) = table.rows(found)
    assert (row.passed, total.cases) == (1, 1)
    assert row.dollars > 0
    assert "find" in seen


def test_a_model_that_never_drafts_well_fails():
    def answer(_messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        bad = {"title": "Bad", "operations": [{"op": "archive_project", "project": "nothing"}]}
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, bad)])

    def connect(_name: str, _access: Access) -> Model:
        return FunctionModel(answer)

    who = contender("anthropic:claude-haiku-5-5", keys(ANTHROPIC_API_KEY="test"), connect)
    cases = table.dataset()
    cases.cases = cases.cases[:1]
    found = asyncio.run(table.run(who, "scripted", cases))
    assert table.rows(found)[-1].passed == 0
    assert list(table.failures(found))

"""What a run comes to: how many requests were answered well, at which cost, how fast."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_evals import Dataset
from pydantic_evals.reporting import EvaluationReport, ReportCase, ReportCaseFailure

from evals.contenders import Contender
from evals.verifiers import VERIFIERS
from evals.world import Ask, Outcome

CASES = Path(__file__).parent / "cases.yaml"

Cases = Dataset[Ask, Any, dict[str, str]]
Report = EvaluationReport[Ask, Any, dict[str, str]]
Answered = ReportCase[Ask, Any, dict[str, str]]
Unanswered = ReportCaseFailure[Ask, Any, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        category: what the requests have in common; `all` for the last line.
        passed: requests of which every verifier says yes.
        wrong: requests for which something was changed that should not have been, or not so.
        held: the share of all verifiers that say yes.
        dollars: what they cost together.
        seconds: the median time of an answer.
    """

    category: str
    cases: int
    passed: int
    wrong: int
    held: float
    dollars: float
    seconds: float


def dataset() -> Cases:
    """Return all requests with their verifiers."""
    return Cases.from_file(CASES, custom_evaluator_types=VERIFIERS)


async def run(who: Contender, name: str, cases: Cases | None = None, at_once: int = 4) -> Report:
    """Return the report of one contender; `at_once` is how many requests are asked together."""
    return await (cases or dataset()).evaluate(
        who, name=name, max_concurrency=at_once, progress=False, task_name=name
    )


def passed(case: Answered) -> bool:
    """Return whether every verifier of a request says yes."""
    return not case.evaluator_failures and all(item.value for item in case.assertions.values())


def rows(report: Report) -> list[Row]:
    """Return a row for each category, in the order of the requests, and one for all."""
    unanswered = [_category(failure) for failure in report.failures]
    categories = dict.fromkeys([*map(_category, report.cases), *unanswered])
    made = [
        _row(
            category,
            [case for case in report.cases if _category(case) == category],
            unanswered.count(category),
        )
        for category in categories
    ]
    return [*made, _row("all", report.cases, len(unanswered))]


def markdown(report: Report) -> str:
    """Return the table of a report for a page; without times, so that it is always the same."""
    lines = [["", *_HEAD[:-1]], ["---"] + ["--:"] * (len(_HEAD) - 1)]
    for row in rows(report):
        name = row.category if row.category != "all" else "**all**"
        lines.append([name, *_cells(row)[:-1]])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def text(report: Report) -> str:
    """Return the table of a report for a terminal."""
    lines = [["", *_HEAD], *([row.category, *_cells(row)] for row in rows(report))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD) + 1)]
    return "".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() + "\n"
        for line in lines
    )


_HEAD = ("requests", "passed", "wrong", "verifiers", "cost", "median time")


def _cells(row: Row) -> list[str]:
    return [
        str(row.cases),
        f"{row.passed} ({row.passed / row.cases:.0%})",
        str(row.wrong),
        f"{row.held:.0%}",
        f"${row.dollars:.4f}" if row.dollars else "-",
        f"{row.seconds:.2f} s",
    ]


def failures(report: Report) -> Iterator[str]:
    """Yield what went wrong: request, verifier and reason."""
    for case in report.cases:
        reasons = [f"{n}: {i.reason}" for n, i in case.assertions.items() if not i.value]
        reasons += [f"{item.name}: {item.error_message}" for item in case.evaluator_failures]
        if reasons:
            yield f"{_category(case)}: {case.name}: {case.inputs.message}"
            yield from (f"    {reason}" for reason in reasons)
    for failure in report.failures:
        yield f"{failure.name}: {failure.error_message}"


def _category(case: Answered | Unanswered) -> str:
    return (case.metadata or {}).get("category", "")


def _row(category: str, cases: Sequence[Answered], unanswered: int) -> Row:
    said = [bool(item.value) for case in cases for item in case.assertions.values()]
    outcomes: list[Outcome] = [case.output for case in cases]
    return Row(
        category,
        len(cases) + unanswered,
        sum(passed(case) for case in cases),
        sum(not passed(case) and bool(case.output.changed) for case in cases),
        sum(said) / max(len(said), 1),
        sum(item.microdollars for item in outcomes) / 1e6,
        statistics.median([case.task_duration for case in cases] or [0.0]),
    )

"""What a draft is held against: each verifier looks at the specs that would result, not at words.

A verifier says yes or no, with a reason. `cases.yaml` names them with what they expect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from pydantic_evals.evaluators import EvaluationReason, Evaluator, EvaluatorContext

from evals.world import Ask, Outcome
from runner.agent.baseline.dates import working_days
from schemas.domain import Resource, Value

Context: TypeAlias = EvaluatorContext[Ask, Outcome, dict[str, str]]
Verifier: TypeAlias = Evaluator[Ask, Any, dict[str, str]]

LONGEST = 10 * 480
"""Minutes of work beyond which a task is not broken down: two weeks."""


def _said(reasons: Iterator[str]) -> EvaluationReason:
    """Return yes, or no with the first reason against."""
    reason = next(reasons, None)
    return EvaluationReason(value=reason is None, reason=reason)


@dataclass(repr=False)
class Sound(Evaluator[Ask, Any, dict[str, str]]):
    """There is a draft, its operations can be carried out, and the specs are valid afterwards."""

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Look at what trueup makes of the draft."""
        return _said(iter(ctx.output.verdict.problems))


@dataclass(repr=False)
class Asks(Evaluator[Ask, Any, dict[str, str]]):
    """Nothing is changed, and a question is asked.

    Attributes:
        about: the question names at least one of these.
    """

    about: list[str] = field(default_factory=list[str])

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Look at operations and questions."""
        return _said(self._against(ctx.output))

    def _against(self, outcome: Outcome) -> Iterator[str]:
        if outcome.draft is not None and outcome.draft.operations:
            yield f"{len(outcome.draft.operations)} operations instead of a question"
        if not outcome.questions:
            yield "no question"
        said = " ".join(outcome.questions).casefold()
        if self.about and not any(word.casefold() in said for word in self.about):
            yield f"the question is about none of {', '.join(self.about)}"


@dataclass(repr=False)
class Decides(Evaluator[Ask, Any, dict[str, str]]):
    """Something is changed, and nothing is asked: the request is clear."""

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Look at operations and questions."""
        return _said(self._against(ctx.output))

    def _against(self, outcome: Outcome) -> Iterator[str]:
        if not outcome.changed:
            yield "nothing is changed"
        yield from (f"asks: {question}" for question in outcome.questions)


@dataclass(repr=False)
class Touches(Evaluator[Ask, Any, dict[str, str]]):
    """Just this is changed, all of it and nothing else.

    Attributes:
        only: addresses; `*` stands for anything.
        also: addresses that may be changed, and need not be.
    """

    only: list[str]
    also: list[str] = field(default_factory=list[str])

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Compare the resources before and after."""
        return _said(self._against(ctx.output))

    def _against(self, outcome: Outcome) -> Iterator[str]:
        for pattern in self.only:
            if not any(fnmatchcase(address, pattern) for address in outcome.changed):
                yield f"`{pattern}` is not changed"
        for address in sorted(outcome.changed):
            if not any(fnmatchcase(address, pattern) for pattern in (*self.only, *self.also)):
                yield f"`{address}` is changed as well"


@dataclass(repr=False)
class Has(Evaluator[Ask, Any, dict[str, str]]):
    """Resources have these values afterwards.

    Attributes:
        values: by address and field; a list fits whatever its order.
    """

    values: dict[str, dict[str, Any]]

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Look at the resolved fields."""
        return _said(self._against(ctx.output.after.desired.resources))

    def _against(self, resources: Mapping[str, Resource]) -> Iterator[str]:
        for address, values in self.values.items():
            item = resources.get(address)
            if item is None:
                yield f"there is no `{address}`"
                continue
            for name, wanted in values.items():
                held = item.fields.get(name)
                if _comparable(held) != _comparable(wanted):
                    yield f"the {name} of `{address}` is {held}, not {wanted}"


@dataclass(repr=False)
class Moves(Evaluator[Ask, Any, dict[str, str]]):
    """Due dates move by so many days; a day or two less or more on account of a weekend.

    Attributes:
        by: days; negative for earlier.
        what: addresses of what moves.
        exactly: allow for no weekend.
    """

    by: int
    what: list[str]
    exactly: bool = False

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Compare due dates before and after."""
        return _said(self._against(ctx.output))

    def _against(self, outcome: Outcome) -> Iterator[str]:
        for address in self.what:
            old = outcome.before.desired.resources[address].fields.get("due")
            item = outcome.after.desired.resources.get(address)
            new = item.fields.get("due") if item is not None else None
            if not isinstance(old, str) or not isinstance(new, str):
                yield f"`{address}` has no due date"
                continue
            moved = (date.fromisoformat(new) - date.fromisoformat(old)).days
            if abs(moved - self.by) > (0 if self.exactly else 2):
                yield f"`{address}` moves by {moved} days, not {self.by}"


@dataclass(repr=False)
class NewProject(Evaluator[Ask, Any, dict[str, str]]):
    """One project is new, and is what was asked for.

    Attributes:
        like: words of which its name has at least one.
        due: its deadline, or the earliest that will do; '' for none.
        until: the latest that will do.
        owner: whose it is.
        priority: its priority.
    """

    like: list[str]
    due: str = ""
    until: str = ""
    owner: str = ""
    priority: str = ""

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Look at the new project's own fields."""
        return _said(self._against(ctx.output))

    def _against(self, outcome: Outcome) -> Iterator[str]:
        projects = [item for item in outcome.made.values() if item.kind == "project"]
        if len(projects) != 1:
            yield f"{len(projects)} new projects"
            return
        (project,) = projects
        fields, name = project.fields, str(project.fields.get("title"))
        if not any(word.casefold() in name.casefold() for word in self.like):
            yield f"its name, {name}, has none of {', '.join(self.like)}"
        if not re.fullmatch(r"[a-z][a-z0-9-]{2,39}", project.address):
            yield f"its key, {project.address}, is none that one would choose"
        due, start = str(fields.get("due") or ""), str(fields.get("start") or "")
        if self.due and not self.due <= due <= (self.until or self.due):
            yield f"it is due on {due or 'no day'}, not {self.due}"
        if start and start < outcome.before.today.isoformat():
            yield f"it begins on {start}, which has passed"
        for field_ in ("owner", "priority"):
            if (wanted := getattr(self, field_)) and fields.get(field_) != wanted:
                yield f"its {field_} is {fields.get(field_)}, not {wanted}"


@dataclass(repr=False)
class BrokenDown(Evaluator[Ask, Any, dict[str, str]]):
    """Work is broken down: enough new tasks, estimates, dependencies, names that say something.

    Attributes:
        into: how many new tasks there are at least.
        milestones: how many new milestones there are at least.
        below: the address of the project or task that they belong to; '' for a new project.
        waiting: how many of them wait for another at least, as a share.
        longest: how many minutes of work one of them may be.
    """

    into: int
    milestones: int = 0
    below: str = ""
    waiting: float = 0.3
    longest: int = LONGEST

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Look at the new tasks."""
        return _said(self._against(ctx.output))

    def _against(self, outcome: Outcome) -> Iterator[str]:
        made = outcome.made
        tasks = {a: item for a, item in made.items() if item.kind == "task"}
        milestones = [a for a, item in made.items() if item.kind == "milestone"]
        if len(tasks) < self.into:
            yield f"{len(tasks)} new tasks; at least {self.into} make a breakdown"
        if len(milestones) < self.milestones:
            yield f"{len(milestones)} new milestones; at least {self.milestones} help"
        parents = {str(item.fields.get("parent")) for item in tasks.values()}
        for address, item in tasks.items():
            place = str(item.fields.get("parent") or item.project)
            if self.below and place != self.below and place not in tasks:
                yield f"`{address}` is not below `{self.below}`"
            estimate = item.fields.get("estimate")
            if address not in parents and not isinstance(estimate, int):
                yield f"`{address}` has no estimate"
            if address not in parents and isinstance(estimate, int) and estimate > self.longest:
                yield f"`{address}` takes {estimate / 60:g} hours, and is not broken down"
            if re.fullmatch(r".*/(task|step|todo|item)-?\d+", address):
                yield f"`{address}` is no name that says something"
        titles = [str(item.fields.get("title")).casefold() for item in tasks.values()]
        if len(set(titles)) < len(titles):
            yield "two tasks have one title"
        waiting = sum(bool(item.fields.get("depends_on")) for item in tasks.values())
        if waiting < self.waiting * len(tasks):
            yield f"{waiting} of {len(tasks)} tasks wait for another"


@dataclass(repr=False)
class InTime(Evaluator[Ask, Any, dict[str, str]]):
    """What is new can be done by its dates, by one person, and nothing else becomes late."""

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Look at deadlines, and at the work of new projects."""
        return _said(self._against(ctx.output))

    def _against(self, outcome: Outcome) -> Iterator[str]:
        yield from (item.message for item in outcome.late)
        resources = outcome.after.desired.resources
        for address, item in outcome.made.items():
            due, end = item.fields.get("due"), resources[item.project].fields.get("due")
            if isinstance(due, str):
                if isinstance(end, str) and due > end:
                    yield f"`{address}` is due on {due}, after its project"
                if due < outcome.before.today.isoformat():
                    yield f"`{address}` is due on {due}, which has passed"
                if item.kind == "task" and date.fromisoformat(due).weekday() > 4:
                    yield f"`{address}` is due on a weekend"
        for project in (item for item in outcome.made.values() if item.kind == "project"):
            yield from _overworked(project, outcome)


def _overworked(project: Resource, outcome: Outcome) -> Iterator[str]:
    """Say where a new project has more work than one person can do in time."""
    due, start = project.fields.get("due"), project.fields.get("start")
    if not isinstance(due, str):
        return
    first = outcome.before.today + timedelta(days=1)
    first = max(date.fromisoformat(start), first) if isinstance(start, str) else first
    minutes = sum(
        estimate
        for item in outcome.made.values()
        if item.project == project.address
        and isinstance(estimate := item.fields.get("estimate"), int)
    )
    days = working_days(first, date.fromisoformat(due))
    if minutes > days * 480:
        yield f"{minutes / 480:.0f} days of work in {days} days"


@dataclass(repr=False)
class SplitInto(Evaluator[Ask, Any, dict[str, str]]):
    """A task is split, and its work is neither more nor less than before.

    Attributes:
        task: its address.
        parts: how many parts.
        like: words, each of which one of the parts has in its title.
    """

    task: str
    parts: int
    like: list[str] = field(default_factory=list[str])

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Look at the parts."""
        return _said(self._against(ctx.output))

    def _against(self, outcome: Outcome) -> Iterator[str]:
        resources = outcome.after.desired.resources
        made = [item for item in outcome.made.values() if item.kind == "task"]
        parts = [item for item in made if item.fields.get("parent") == self.task]
        if not parts:
            parts = [*made, *([resources[self.task]] if self.task in resources else [])]
        if len(parts) != self.parts:
            yield f"{len(parts)} parts, not {self.parts}"
        titles = [str(item.fields.get("title")).casefold() for item in parts]
        for word in self.like:
            if not any(word.casefold() in title for title in titles):
                yield f"no part is called {word}"
        work = outcome.before.desired.resources[self.task].fields.get("estimate")
        shared = sum(e for item in parts if isinstance(e := item.fields.get("estimate"), int))
        if isinstance(work, int) and abs(shared - work) > 60:
            yield f"{shared} minutes of work in the parts; it was {work}"


@dataclass(repr=False)
class Adds(Evaluator[Ask, Any, dict[str, str]]):
    """One task or milestone is new, and nothing else.

    Attributes:
        to: the address of its project or, for a subtask, of its parent.
        like: words of which its title has all.
        kind: what it is.
        values: its fields.
    """

    to: str
    like: list[str]
    kind: str = "task"
    values: dict[str, Any] = field(default_factory=dict[str, Any])

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Look at what is new."""
        return _said(self._against(ctx.output))

    def _against(self, outcome: Outcome) -> Iterator[str]:
        if len(outcome.made) != 1:
            yield f"{len(outcome.made)} new things, not one"
            return
        (item,) = outcome.made.values()
        if item.kind != self.kind:
            yield f"the new thing is a {item.kind}"
        if self.to not in {item.fields.get("parent"), item.project}:
            yield f"`{item.address}` does not belong to `{self.to}`"
        title = str(item.fields.get("title")).casefold()
        yield from (f"its title lacks “{w}”" for w in self.like if w.casefold() not in title)
        for name, wanted in self.values.items():
            if _comparable(item.fields.get(name)) != _comparable(wanted):
                yield f"its {name} is {item.fields.get(name)}, not {wanted}"


@dataclass(repr=False)
class Plans(Evaluator[Ask, Any, dict[str, str]]):
    """An apply would do this to the platforms, counted in resources, and nothing else.

    Attributes:
        create: how many resources are made.
        update: how many are changed.
        move: how many are moved.
        archive: how many are put away.
    """

    create: int = 0
    update: int = 0
    move: int = 0
    archive: int = 0

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Look at the plan against a state in which the specs were just applied."""
        return _said(self._against(ctx.output))

    def _against(self, outcome: Outcome) -> Iterator[str]:
        plan = outcome.plan
        changes = plan.changes if plan is not None else ()
        for action in ("create", "update", "move", "archive", "delete"):
            count = len({item.address for item in changes if item.action == action})
            wanted = getattr(self, action, 0)
            if count != wanted:
                yield f"the plan would {action} {count}, not {wanted}"


@dataclass(repr=False)
class Gone(Evaluator[Ask, Any, dict[str, str]]):
    """What was to be taken out is not there any more.

    Attributes:
        what: addresses.
    """

    what: list[str]

    def evaluate(self, ctx: Context) -> EvaluationReason:
        """Look for it."""
        held = ctx.output.after.desired.resources
        return _said(f"`{address}` is still there" for address in self.what if address in held)


VERIFIERS: tuple[type[Verifier], ...] = (
    *(Sound, Asks, Decides, Touches, Has, Moves, NewProject),
    *(BrokenDown, InTime, SplitInto, Adds, Plans, Gone),
)
"""All of them."""


def _comparable(value: Value | list[Value]) -> object:
    return sorted(map(str, value)) if isinstance(value, list | tuple) else value

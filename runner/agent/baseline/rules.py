"""One rule for each thing that a clause may ask for: a clause in, operations out.

Rules that make something new are here; those that change what is there are in `changes`, those that
move dates in `shifts`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, cast

from runner.agent.baseline.breakdown import Breakdown, plan_work, shortest, steps_for
from runner.agent.baseline.dates import fold, on_working_day
from runner.agent.baseline.names import Named, Names
from runner.agent.baseline.phrases import PRIORITIES, Clause, blanked
from runner.agent.baseline.targets import Targets, Unclear
from runner.agent.baseline.templates import template_for
from runner.agent.baseline.wording import key_of, project_name, tidy
from schemas import operations as op
from schemas.operands import NewMilestone, NewProject, NewTask, Part
from schemas.values import format_estimate, shorten

if TYPE_CHECKING:
    from schemas import spec
    from schemas.fields import Priority


@dataclass(slots=True)
class Proposal:
    """What one clause comes to.

    Attributes:
        title: what is done, for the draft's title.
        notes: what those who review it should know.
        about: what `it` means in the next clause.
        firm: whether a deadline that cannot be met makes it pointless.
    """

    title: str
    operations: list[op.Operation] = field(default_factory=list["op.Operation"])
    notes: list[str] = field(default_factory=list[str])
    questions: list[str] = field(default_factory=list[str])
    about: tuple[Named, ...] = ()
    firm: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """What every rule works with.

    Attributes:
        author: the key of the person who asks, or ''.
    """

    names: Names
    targets: Targets
    today: date
    author: str

    def taken(self, project: str) -> set[str]:
        """Return the keys of tasks that a project has."""
        return {item.key for item in self.names.tasks(project)}

    def owner(self, text: str) -> str | None:
        """Return the person that a text says something is for, if any."""
        match = re.search(
            r"\b(?:for|owned\s+by|assigned\s+to|owner:?|fur|pour|para)\s+(.+)", fold(text)
        )
        persons = self.names.persons(match[1], self.author) if match is not None else []
        return persons[0] if persons else None


def named(found: Sequence[Named]) -> str:
    """Return what to call things in the title of a draft."""
    if len(found) > 2:
        return f"{len(found)} {'tasks' if found[0].kind == 'task' else 'items'}"
    shown = [item.title if item.kind == "project" else f"“{item.title}”" for item in found]
    return " and ".join(shown)


def why(clause: Clause) -> str:
    """Return the reason of an operation that does what a clause says."""
    return f"Asked for: “{shorten(clause.text, 200)}”"


def first_word(words: Sequence[tuple[str, re.Pattern[str]]], text: str) -> str:
    """Return the first value whose words are in a text, or ''."""
    return next((value for value, pattern in words if pattern.search(fold(text))), "")


def create(clause: Clause, here: Setting) -> Proposal:
    """Plan a new project: phases, tasks, estimates, dependencies, and dates that can be met."""
    names = here.names
    people = [*names.people, *(person["name"] for person in names.people.values())]
    name = project_name(clause, people)
    if not name:
        raise Unclear("What is the new project for, and by when is it to be done?")
    if _SEVERAL.search(clause.folded):
        raise Unclear("One project at a time: what is the first one for, and by when?")
    key = key_of(name, ())
    if (there := names.projects.get(key)) is not None or (there := _same_name(name, names)):
        known = f"{there['name']} (`{there['key']}`)"
        raise Unclear(
            f"There is a project {known} already. Is that the one you mean, or what shall the new"
            " one be called?"
        )
    first, due = _window(clause, here)
    template = template_for(f"{name} {clause.bare()}")
    plan = plan_work(template, first, due)
    if due is not None and not plan.fits:
        raise Unclear(_impossible(template.name, plan, due, shortest(template, first)))
    fields: NewProject = {"name": name}
    owner = here.owner(clause.bare()) or here.author or _only_person(names)
    if owner is not None:
        fields["owner"] = owner
    if priority := first_word(PRIORITIES, _without(clause.bare(), name)):
        fields["priority"] = cast("Priority", priority)
    fields["start"] = first.isoformat()
    if due is not None:
        fields["due"] = due.isoformat()
    if owner is not None:
        fields["defaults"] = {"owner": owner}
    fields["milestones"] = dict(plan.milestones)
    fields["tasks"] = dict(plan.tasks)
    proposal = Proposal(
        f"Create the project {name}",
        [op.CreateProject(key=key, fields=fields, why=why(clause))],
        _about_plan(template.name, plan, first, due),
        about=(Named("project", key, key, key, name),),
        firm=True,
    )
    if due is None:
        proposal.questions.append(
            f"No deadline was named, so nothing has a due date. By the estimates, one person needs"
            f" until about {plan.end}. Is that the deadline?"
        )
    if any(item.doubt for item in clause.days):
        proposal.questions.append(_doubt(clause))
    earlier = {item.as_due for item in clause.days if item.role != "start"} - {due}
    proposal.questions += [f"What is to be done by {day}?" for day in sorted(earlier)]
    return proposal


_SEVERAL = re.compile(
    r"\b(?:two|three|four|several|some|\d|zwei|drei|deux|trois|dos|tres)\s+(?:new\s+|neue\s+)?"
    r"(?:projects|projekte|projets|proyectos)\b"
)


def _same_name(name: str, names: Names) -> spec.Project | None:
    return next(
        (item for item in names.projects.values() if fold(item["name"]) == fold(name)), None
    )


def _window(clause: Clause, here: Setting) -> tuple[date, date | None]:
    """Return the first working day and the deadline that a clause gives to a project."""
    starts = [item for item in clause.days if item.role == "start"]
    first = starts[0].as_start if starts else here.today + timedelta(days=1)
    first = on_working_day(max(first, here.today), later=True)
    ends = [item for item in clause.days if item.role != "start"]
    lengths = [item.length for item in clause.lengths if item.length and not item.length.minutes]
    due = None
    if ends:
        due = max(item.as_due for item in ends)
    elif lengths:
        due = lengths[0].after(first if starts else here.today)
        due = on_working_day(due, later=False)
    if due is not None and due < first:
        raise Unclear(f"The deadline {due} is before the start, {first}. By when is it to be done?")
    return first, due


def _without(text: str, name: str) -> str:
    at = text.find(name)
    return blanked(text, [(at, at + len(name))]) if at >= 0 else text


def _only_person(names: Names) -> str | None:
    return next(iter(names.people)) if len(names.people) == 1 else None


def _impossible(kind: str, plan: Breakdown, due: date, earliest: date) -> str:
    days = f"{plan.days} working day{'' if plan.days == 1 else 's'}"
    return (
        f"There are {days} until {due}; {kind} takes at least until {earliest}, even with every"
        " estimate cut to less than half. Shall the deadline move, or what can be left out?"
    )


def _about_plan(kind: str, plan: Breakdown, first: date, due: date | None) -> list[str]:
    tasks = sum(1 + len(task.get("tasks", {})) for task in plan.tasks.values())
    notes = [
        f"The usual breakdown of {kind}: {len(plan.milestones)} milestones and {tasks} tasks,"
        f" {format_estimate(plan.work)} of work for one person."
    ]
    if due is not None:
        notes.append(
            f"From {first} to {due} there are {plan.days} working days. The last task is due on"
            f" {plan.end}; the days after it are for what nobody foresees."
        )
    return notes


def _doubt(clause: Clause) -> str:
    found = next(item for item in clause.days if item.doubt)
    written = clause.text[found.begin : found.end].strip()
    return f"“{written}” was read as {found.last}. Or is it {found.doubt}?"


_TASK_NOUN = re.compile(
    r"\b(?:sub)?(?:tasks?|tickets?|issues?|to-?dos?|(?:unter)?aufgaben?|(?:sous-)?taches?|(?:sub)?tareas?)\b"
)
_TITLE_START = re.compile(
    r"^\s*(?:(?:called|named|titled|saying|for|to|that\s+says|namens|pour|para|de|:|-)\s*)+"
)
_PLACE = re.compile(
    r"\s+(?:to|in|into|for|on|of|under|below|im|in|zum|zu|fur|unter|dans|au|a|sous|en|al|para|bajo)\s+"
)
_AFTER = re.compile(
    r"\b(?:after|depends?\s+on|once|that\s+waits\s+for|nach|apres|despues\s+de)\s+(?P<what>[^,;]+)"
)
_BELOW = re.compile(
    r"\b(?:under|below|subtask\s+(?:of|to|for)|unter|sous|bajo)\s+(?P<what>[^,;:]+)"
)


def add_task(clause: Clause, here: Setting) -> Proposal:
    """Add one task, with whatever the clause says of it, or those of a list."""
    if _TASKS_NOUN.search(clause.folded) is not None and len(clause.quotes) < 2:
        return _add_tasks(clause, here)
    title, rest = _title_of_task(clause, here)
    project = here.targets.project(rest)
    if not title:
        raise Unclear(f"What is the new task of {project} to be called?")
    fields: NewTask = {"title": title}
    after, rest = _one_named(_AFTER, rest, project.key, here)
    parent, rest = _one_named(_BELOW, rest, project.key, here)
    if after is not None:
        fields["depends_on"] = [after]
    if owner := here.owner(rest) or next(iter(here.names.persons(rest, here.author)), None):
        fields["owner"] = owner
    if priority := first_word(PRIORITIES, rest):
        fields["priority"] = cast("Priority", priority)
    if milestone := _milestone(rest, project.key, here):
        fields["milestone"] = milestone
    _add_times(fields, clause)
    key = key_of(title, here.taken(project.key))
    return Proposal(
        f"Add “{title}” to {project.title}",
        [op.AddTask(project=project.key, key=key, parent=parent, fields=fields, why=why(clause))],
        about=(Named("task", f"{project.key}/{key}", project.key, key, title),),
        firm=True,
    )


def _one_named(
    pattern: re.Pattern[str], text: str, project: str, here: Setting
) -> tuple[str | None, str]:
    """Return the key of a task that a text names in a place, and the text without it."""
    match = pattern.search(fold(text))
    if match is None:
        return None, text
    begin, end = match.span("what")
    found = here.targets.one(text[begin:end], ("task",), project)
    return found.key, blanked(text, [match.span()])


def _add_times(fields: NewTask, clause: Clause) -> None:
    """Give a new task the dates and the estimate that a clause names."""
    for item in clause.times:
        if item.length is not None:
            fields["estimate"] = format_estimate(item.length.work)
        elif item.role == "start":
            fields["start"] = item.as_start.isoformat()
        else:
            fields["due"] = item.as_due.isoformat()


_TASKS_NOUN = re.compile(r"\b(?:tasks|tickets|todos|aufgaben|taches|tareas)\b(?=[^:]*(?::|$))")


def _add_tasks(clause: Clause, here: Setting) -> Proposal:
    """Add the tasks of a list behind a colon."""
    head, colon, tail = clause.bare().partition(":")
    project = here.targets.project(head)
    titles = [tidy(part) for part in _list(tail)]
    titles = [title[:1].upper() + title[1:] for title in titles if title]
    if not colon or not titles:
        raise Unclear(f"Which tasks for {project}? List them behind a colon: first, second, third.")
    taken = here.taken(project.key)
    proposal = Proposal(f"Add {len(titles)} tasks to {project.title}", firm=True)
    for title in titles:
        key = key_of(title, taken)
        taken.add(key)
        fields: NewTask = {"title": title}
        made = op.AddTask(project=project.key, key=key, fields=fields, why=why(clause))
        proposal.operations.append(made)
        proposal.about += (Named("task", f"{project.key}/{key}", project.key, key, title),)
    return proposal


def _title_of_task(clause: Clause, here: Setting) -> tuple[str, str]:
    """Return the title of a new task, and the rest of the clause."""
    bare = clause.bare()
    if clause.quotes:
        return clause.quotes[0], clause.bare(quotes=True)
    noun = _TASK_NOUN.search(fold(bare))
    if noun is None:
        return "", bare
    tail = bare[noun.end() :]
    colon = tail.find(":")
    if colon >= 0:
        return tidy(tail[colon + 1 :]), bare[: noun.end()] + tail[:colon]
    begin = noun.end()
    if (match := _TITLE_START.match(fold(tail))) is not None:
        begin += match.end()
    else:
        return "", bare
    end = len(bare)
    for match in _PLACE.finditer(fold(bare), begin):
        if here.names.project_in(bare[match.end() :]).found:
            end = match.start()
            break
    title = bare[begin:end].split(",")[0]
    return tidy(title), bare[:begin] + " " * len(title) + bare[begin + len(title) :]


def _milestone(text: str, project: str, here: Setting) -> str | None:
    """Return the milestone of a project that a text names by this word, or exactly."""
    match = re.search(
        r"\b(?:milestone|meilenstein|jalon|hito|(?:for|in|fur|pour|para)\s+the)\s+"
        r"(?P<what>[\w -]+)",
        fold(text),
    )
    if match is None:
        return None
    found = here.names.find(match["what"], ("milestone",), project)
    return found.one.key if found.one is not None else None


def add_milestone(clause: Clause, here: Setting) -> Proposal:
    """Add a milestone."""
    bare = clause.bare(quotes=True)
    project = here.targets.project(bare)
    name = clause.quotes[0] if clause.quotes else ""
    if not name:
        noun = re.search(r"\b(?:milestone|meilenstein|jalon|hito)s?\b", fold(clause.bare()))
        tail = clause.bare()[noun.end() :] if noun is not None else ""
        place = next(
            (
                m
                for m in _PLACE.finditer(fold(tail))
                if here.names.project_in(tail[m.end() :]).found
            ),
            None,
        )
        tail = tail[: place.start()] if place is not None else tail
        name = tidy(re.sub(r"^\s*(?:called|named|:)\s*", "", tail))
    if not name:
        raise Unclear(f"What is the new milestone of {project} to be called?")
    fields: NewMilestone = {"name": name}
    if clause.days:
        fields["due"] = clause.days[0].as_due.isoformat()
    taken = here.names.projects[project.key].get("milestones", {})
    key = key_of(name, taken)
    return Proposal(
        f"Add the milestone {name} to {project.title}",
        [op.AddMilestone(project=project.key, key=key, fields=fields, why=why(clause))],
        about=(Named("milestone", f"{project.key}/milestones/{key}", project.key, key, name),),
    )


_INTO = re.compile(r"\s(?:into|in|en)\s+(?!order\b)|:\s")
_COUNT = re.compile(
    r"^(?P<count>\d{1,2}|two|three|four|five|six|zwei|drei|vier|funf|deux|trois|quatre|cinq|dos|tres|cuatro"
    r"|cinco)\b(?:\s+(?:smaller\s+|equal\s+|kleinere\s+)?"
    r"(?:parts?|tasks?|subtasks?|steps?|pieces?|teile?n?|aufgaben|parties|taches|partes|tareas)\b)?(?P<rest>.*)$"
)
_NUMBER_WORDS = {
    word: number
    for number, words in (
        (2, "two zwei deux dos"),
        (3, "three drei trois tres"),
        (4, "four vier quatre cuatro"),
        (5, "five funf cinq cinco"),
        (6, "six"),
    )
    for word in words.split()
}
_COUNTED = re.compile(
    rf"\b(\d{{1,2}}|{'|'.join(_NUMBER_WORDS)})\s+(?:\w+\s+)?"
    r"(?:(?:sub)?tasks|steps|parts|pieces|unteraufgaben|schritte|teile|etapes|pasos|partes)\b"
)


def _number(word: str) -> int:
    return _NUMBER_WORDS.get(word) or int(word)


_ORDERLY = re.compile(
    r"\b(?:in\s+(?:that|this)\s+order|one\s+after\s+(?:the\s+other|another)|in\s+sequence|sequentially"
    r"|nacheinander|l'un(?:e)?\s+apres\s+l'autre|uno\s+tras\s+otro|una\s+tras\s+otra)\b"
)


def split(clause: Clause, here: Setting) -> Proposal:
    """Split a task into the parts that are named, or into as many as are asked for."""
    text = re.sub(r"^\W*\w+\s+(?:up\s+)?", "", clause.text, count=1)
    orderly = _ORDERLY.search(fold(text))
    text = blanked(text, [orderly.span()]) if orderly is not None else text
    cut = _INTO.search(fold(text))
    task = here.targets.one(text[: cut.start()] if cut is not None else text, ("task",))
    if cut is None:
        return break_down(clause, here)
    listed = text[cut.end() :].strip(" .")
    count = _COUNT.match(fold(listed))
    if count is not None and not count["rest"].strip(" :,"):
        number = _number(count["count"])
        titles = [f"{task.title} ({i} of {number})" for i in range(1, number + 1)]
    else:
        listed = listed[count.start("rest") :].strip(" :,") if count is not None else listed
        titles = [tidy(part) for part in _list(listed)]
    titles = [title for title in titles if title]
    if len(titles) < 2 and _TASK_NOUN.search(fold(listed)) is not None:
        return break_down(clause, here)
    if not 2 <= len(titles) <= 50:
        raise Unclear(f"Into which parts shall {task} be split?")
    taken = here.taken(task.project)
    parts: list[Part] = []
    for number, written in enumerate(titles, 1):
        title, estimate = _with_estimate(written)
        own = (
            f"{task.key}-{number}" if count is not None and title.startswith(task.title) else title
        )
        key = key_of(own, taken)
        taken.add(key)
        part: Part = {"key": key, "title": title}
        if estimate is not None:
            part["estimate"] = estimate
        parts.append(part)
    done = op.SplitTask(
        task=task.address, into=parts, one_by_one=orderly is not None, why=why(clause)
    )
    return Proposal(f"Split “{task.title}” into {len(parts)}", [done], about=(task,))


def _with_estimate(title: str) -> tuple[str, str | None]:
    """Return a title without the estimate behind it, `Payment (6d)`, and the estimate."""
    match = re.fullmatch(r"(?P<title>.+?)[\s\"'”]*\(\s*(?P<work>\d+\s*[mhdw])\s*\)", title)
    return (match["title"], match["work"].replace(" ", "")) if match is not None else (title, None)


def _list(text: str) -> list[str]:
    parts = re.split(r"\s*[,;]\s*(?:(?:and|und|et|y)\s+)?|\s+(?:and|und|et|y)\s+", text)
    return [part.strip(" \"'`“”„«».") for part in parts]


_BREAK_WORDS = re.compile(
    r"\b(?:break|down|up|breakdown|flesh|out|detail|split|into|subtasks?|steps?|smaller|pieces|parts"
    r"|schlussele?|auf|aufschlusseln|unteraufgaben|teile|decompose[rz]?|detaille[rz]?|sous-taches"
    r"|desglosa|desglosar|subtareas|divide)\b"
)


def break_down(clause: Clause, here: Setting) -> Proposal:
    """Break a task into the steps that one of its kind usually has, or a project into tasks."""
    text = clause.bare()
    cut = _INTO.search(fold(text))
    count = _COUNTED.search(fold(text), cut.end()) if cut is not None else None
    text = text[: cut.start()] if cut is not None else text
    gaps = [match.span() for match in _BREAK_WORDS.finditer(fold(text))]
    found = here.targets.one(blanked(text, gaps), ("task", "project"))
    if found.kind == "project":
        return _break_down_project(found, clause, here)
    entry = here.names.entries[found.address]
    if inside := entry.task.get("tasks"):
        shown = ", ".join(f"`{key}`" for key in list(inside)[:6])
        raise Unclear(f"{found} has subtasks already: {shown}. Which of them shall be broken down?")
    estimate = entry.task.get("estimate")
    taken = here.taken(found.project)
    parts: list[Part] = []
    steps = steps_for(found.title, estimate)
    if count is not None and _number(count[1]) > len(steps):
        shown = ", ".join(title.lower() for _, title, _ in steps)
        raise Unclear(f"I know {len(steps)} steps for {found}: {shown}. Which others are there?")
    for key, title, work in steps:
        name = key_of(f"{found.key} {key}", taken)
        taken.add(name)
        part: Part = {"key": name, "title": f"{found.title}: {title[0].lower()}{title[1:]}"}
        if work is not None:
            part["estimate"] = work
        parts.append(part)
    done = op.SplitTask(task=found.address, into=parts, one_by_one=True, why=why(clause))
    shared = (
        f"{format_estimate(estimate)} is shared among them" if estimate else "it has no estimate"
    )
    note = f"The usual steps of a task like this; {shared}."
    return Proposal(f"Break down “{found.title}”", [done], [note], about=(found,))


def _break_down_project(found: Named, clause: Clause, here: Setting) -> Proposal:
    """Fill a project that has no tasks yet."""
    project = here.names.projects[found.key]
    if project.get("tasks"):
        count = len(here.names.tasks(found.key))
        raise Unclear(f"{found} has {count} tasks already. Which of them shall be broken down?")
    first = here.today + timedelta(days=1)
    if (start := project.get("start")) and start > first.isoformat():
        first = date.fromisoformat(start)
    first = on_working_day(first, later=True)
    due = date.fromisoformat(day) if (day := project.get("due")) else None
    template = template_for(f"{project['name']} {project.get('description') or ''}")
    plan = plan_work(template, first, due)
    if due is not None and not plan.fits:
        raise Unclear(_impossible(template.name, plan, due, shortest(template, first)))
    reason = why(clause)
    there = project.get("milestones", {})
    made: list[op.Operation] = [
        op.AddMilestone(project=found.key, key=key, fields=fields, why=reason)
        for key, fields in plan.milestones.items()
        if key not in there
    ]
    made += [
        op.AddTask(project=found.key, key=key, fields=fields, why=reason)
        for key, fields in plan.tasks.items()
    ]
    notes = _about_plan(template.name, plan, first, due)
    return Proposal(f"Break down {found.title}", made, notes, about=(found,), firm=True)

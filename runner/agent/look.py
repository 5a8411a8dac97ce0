"""What a model may look at: searches and views of the specs, as text; read-only by construction.

Big repos are searched, never poured into a prompt: every answer is short and says what it left
out. What comes out of specs and platforms is data, fenced so that it cannot pass for instructions;
that alone stops nobody, which is why the gate (`scope`) does not listen to it either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from html import escape
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from runner.agent.contract import Draft
from runner.agent.scope import beyond
from runner.language.deadline import as_planned, work_left
from runner.language.timeline import last_day, minutes_until
from runner.render import plan_text
from schemas.errors import SpecError
from schemas.operations import parse_operations
from schemas.values import format_estimate, parse_estimate, shorten, suggest

if TYPE_CHECKING:
    from runner.agent.contract import Scope
    from runner.agent.material import Material
    from runner.language.outline import Entry
    from runner.language.timeline import Timeline

MAX_FOUND = 30
"""Things that one search tells of."""

MAX_TEXT = 12_000
"""Characters of one answer."""

_OPEN = ("done", "canceled")


def fenced(source: str, value: object) -> str:
    """Return data with a fence around it that nothing in it can close."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT] + " … (cut; ask for less)"
    return f'<data source="{escape(source)}">\n{escape(text, quote=False)}\n</data>'


def find(material: Material, words: str) -> str:
    """Return the projects, milestones and tasks that words are found in, the best first."""
    wanted = set(re.findall(r"\w+", words.casefold()))
    ranked: list[tuple[int, str, Mapping[str, object]]] = []
    for key, document in material.projects.items():
        data = document.data
        about = {"address": key, "project": data["name"], "due": data.get("due")}
        ranked.append((_matches(wanted, key, data["name"], data.get("description")), key, about))
        for name, milestone in data.get("milestones", {}).items():
            address = f"{key}/milestones/{name}"
            about = {"address": address, "milestone": milestone["name"]}
            ranked.append((_matches(wanted, name, milestone["name"]), address, about))
        for entry in material.entries(key):
            task, address = entry.task, f"{key}/{entry.key}"
            points = _matches(
                wanted, entry.key, task["title"], task.get("description"), *task.get("labels") or ()
            )
            ranked.append((points, address, _brief(address, entry)))
    found = sorted((item for item in ranked if item[0]), key=lambda item: (-item[0], item[1]))
    answer: dict[str, object] = {
        "found": len(found),
        "shown": [about for _, _, about in found[:MAX_FOUND]],
    }
    if not found:
        answer["projects"] = sorted(material.projects)[:MAX_FOUND]
    return fenced("specs", answer)


def overview(material: Material) -> str:
    """Return the projects with their size and dates, the people, and what is connected."""
    projects = [
        {
            "key": key,
            "name": document.data["name"],
            "owner": document.data.get("owner"),
            "start": document.data.get("start"),
            "due": document.data.get("due"),
            "tasks": len(material.entries(key)),
        }
        for key, document in sorted(material.projects.items())
    ]
    people = [{"key": key, "name": item["name"]} for key, item in sorted(material.people.items())]
    platforms = [
        name
        for document in material.loaded.integrations
        for name, options in cast("Mapping[str, Mapping[str, object]]", document.data).items()
        if name != "kind" and options.get("enabled", True)
    ]
    answer = {
        "projects": projects[: 2 * MAX_FOUND],
        "more_projects": max(0, len(projects) - 2 * MAX_FOUND),
        "people": people[: 2 * MAX_FOUND],
        "platforms": platforms,
    }
    return fenced("specs", answer)


def show(material: Material, address: str) -> str:
    """Return the spec of a project, with its tasks in brief, or of a task, as it is declared."""
    project, _, key = address.partition("/")
    document = material.projects.get(project)
    if document is None:
        return _unknown("project", project, material.projects)
    tasks = {entry.key: entry for entry in material.entries(project)}
    if key:
        if key.startswith("milestones/"):
            milestones = document.data.get("milestones", {})
            name = key.removeprefix("milestones/")
            if name not in milestones:
                return _unknown("milestone", name, milestones)
            return fenced("specs", {"address": address, **milestones[name]})
        if key not in tasks:
            return _unknown("task", key, tasks)
        return fenced("specs", {"address": address, **_declared(tasks[key])})
    data = {name: value for name, value in document.data.items() if name != "tasks"}
    shown = [_brief(f"{project}/{name}", entry) for name, entry in tasks.items()]
    return fenced(
        "specs",
        {
            **data,
            "tasks": shown[: 5 * MAX_FOUND],
            "more_tasks": max(0, len(shown) - 5 * MAX_FOUND),
        },
    )


def capacity(material: Material, person: str) -> str:
    """Return a person's calendar: open work by week, against five days of eight hours."""
    if person not in material.people:
        return _unknown("person", person, material.people)
    weeks: dict[str, int] = {}
    undated = late = 0
    items: list[dict[str, object]] = []
    for key, document in sorted(material.projects.items()):
        defaults = document.data.get("defaults", {})
        for entry in material.entries(key):
            task = entry.task
            if task.get("owner", defaults.get("owner")) != person or task.get("status") in _OPEN:
                continue
            minutes = task.get("estimate", defaults.get("estimate")) or 0
            due = task.get("due")
            items.append(_brief(f"{key}/{entry.key}", entry))
            if due is None:
                undated += minutes
            elif due < material.today.isoformat():
                late += minutes
            else:
                day = date.fromisoformat(due)
                monday = day - timedelta(days=day.weekday())
                weeks[monday.isoformat()] = weeks.get(monday.isoformat(), 0) + minutes
    full = parse_estimate("1w")
    answer = {
        "person": person,
        "timezone": material.people[person].get("timezone", "UTC"),
        "open_tasks": len(items),
        "work_due_by_week": {
            monday: {"work": format_estimate(minutes), "of_a_week": f"{minutes / full:.0%}"}
            for monday, minutes in sorted(weeks.items())[:MAX_FOUND]
        },
        "work_without_due_date": format_estimate(undated),
        "work_past_due": format_estimate(late),
        "tasks": items[:MAX_FOUND],
        "more_tasks": max(0, len(items) - MAX_FOUND),
    }
    return fenced("specs", answer)


def critical_path(material: Material, project: str) -> str:
    """Return the chain of work that decides when a project is done, and its slack."""
    if project not in material.projects:
        return _unknown("project", project, material.projects)
    timeline = timeline_of(material)
    entries = [entry for entry in material.entries(project) if entry.cycle is None]
    addresses = [f"{project}/{entry.key}" for entry in entries]
    if not addresses:
        return fenced("specs", {"project": project, "tasks": 0})
    last = max(addresses, key=timeline.finish)
    path = [
        {"task": work.address, "work": format_estimate(work.minutes)}
        for work in reversed(list(timeline.back(last)))
    ]
    finish = timeline.finish(last)
    due = material.projects[project].data.get("due")
    answer: dict[str, object] = {
        "project": project,
        "earliest_finish": last_day(finish).isoformat() if finish else material.today.isoformat(),
        "due": due,
        "path": path,
    }
    if due and finish:
        slack = minutes_until(date.fromisoformat(due)) + parse_estimate("1d") - finish
        answer["slack"] = format_estimate(slack) if slack >= 0 else f"-{format_estimate(-slack)}"
    return fenced("specs", answer)


def timeline_of(material: Material) -> Timeline:
    """Return when the work that is left can be done."""
    projects = [as_planned(document.data) for document in material.projects.values()]
    return work_left(projects, material.today)


def working_days(start: str, work: str, today: date) -> str:
    """Return the day on which work is done that begins on a day; weekends are free."""
    try:
        begin = date.fromisoformat(start) if start else today
        minutes = parse_estimate(work)
    except ValueError as error:
        return f"that cannot be counted: {error}"
    return last_day(minutes_until(begin) + minutes).strftime("%A, %Y-%m-%d")


def drift(material: Material, project: str) -> str:
    """Return what people changed on the platforms, against what was agreed on."""
    try:
        resources = material.desired.resources
    except SpecError as error:
        return fenced("trueup", str(error))
    addresses = [
        address for address, item in resources.items() if not project or item.project == project
    ]
    found = [
        {
            "address": binding.address,
            "platform": binding.platform,
            "field": name,
            "agreed": binding.base.get(name),
            "now": value,
        }
        for binding in material.state.bindings(addresses)
        for name, value in binding.drift.items()
    ]
    return fenced("platforms", {"drift": found[:MAX_FOUND], "more": max(0, len(found) - MAX_FOUND)})


def what_if(material: Material, scope: Scope, operations: str) -> str:
    """Return what operations would do: what is wrong with them, or the plan of their effect."""
    try:
        parsed = tuple(parse_operations(operations))
    except ValidationError as error:
        wrong = [f"{item['loc']}: {item['msg']}" for item in error.errors(include_url=False)]
        return fenced("trueup", {"refused": wrong[:MAX_FOUND]})
    if outside := beyond(Draft(title="What if", operations=parsed), scope, material.projects):
        return fenced("trueup", {"refused": outside[:MAX_FOUND]})
    edited = material.edit(parsed)
    if edited.refused:
        return fenced("trueup", {"refused": [item.message for item in edited.diagnostics]})
    told = "\n".join(f"{item.severity}: {item.message}" for item in edited.diagnostics)
    try:
        plan = plan_text(material.plan(edited))
    except SpecError as error:
        plan = str(error)
    return fenced("trueup", f"{told}\n{plan}".strip())


def _matches(wanted: set[str], *texts: str | None) -> int:
    """Return how well words fit texts; the first two, key and title, count more."""
    points = 0
    for number, text in enumerate(texts):
        folded = (text or "").casefold()
        words = set(re.findall(r"\w+", folded))
        points += (3 if number < 2 else 1) * len(wanted & words)
        if number < 2:
            points += sum(1 for word in wanted - words if len(word) > 3 and word in folded)
    return points


def _brief(address: str, entry: Entry) -> dict[str, object]:
    """Return a task on one line."""
    task = entry.task
    about: dict[str, object] = {"address": address, "title": task["title"]}
    if entry.parent is not None:
        about["parent"] = entry.parent.key
    for name in ("owner", "status", "due", "milestone", "depends_on", "labels"):
        if value := cast("Mapping[str, object]", task).get(name):
            about[name] = value
    if minutes := task.get("estimate"):
        about["estimate"] = format_estimate(minutes)
    return about


def _declared(entry: Entry) -> dict[str, object]:
    """Return what a task declares, its subtasks by key."""
    given = dict[str, object](entry.task)
    if minutes := entry.task.get("estimate"):
        given["estimate"] = format_estimate(minutes)
    if "tasks" in entry.task:
        given["tasks"] = list(entry.task["tasks"])
    if isinstance(text := given.get("description"), str):
        given["description"] = text if len(text) < 4_000 else shorten(text, 4_000)
    return given


def _unknown(kind: str, name: str, options: Iterable[str]) -> str:
    known = list(options)
    hint = suggest(name, known)
    return fenced("specs", f"there is no {kind} `{shorten(name)}` {hint}".strip())

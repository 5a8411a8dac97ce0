"""Operations carried out on the documents of a repo, one function each.

They change plain values; the text follows at the end. What an operation cannot mean is refused
here; whether the outcome is sound is for the checks on the edited specs to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import singledispatch
from itertools import pairwise
from typing import cast

from runner.language.book import Book, Page, Spot, refuse, section
from runner.language.fields import (
    built,
    canonical,
    contained,
    insert,
    place,
    put,
    put_all,
    put_within,
    rename,
    take,
)
from runner.language.renames import (
    drop_references,
    follow_references,
    forget,
    move_renames,
    record,
    refers,
)
from runner.language.tree import Model
from schemas import operations as ops
from schemas.domain import Source, milestone_address
from schemas.values import format_estimate, suggest


@singledispatch
def amend(operation: object, _book: Book) -> None:
    """Carry out an operation.

    Raises:
        Refused: it cannot be carried out; the book is not to be written then.
    """
    raise TypeError(f"{type(operation).__name__} is no operation")


# Projects


@amend.register
def _create_project(operation: ops.CreateProject, book: Book) -> None:
    key = operation.key
    if book.has_project(key):
        source = Source(book.project(key).file)
        raise refuse("duplicate-project", f"the project `{key}` is there already", "", source)
    model = built(cast("Mapping[str, object]", operation.fields), kind="Project", key=key)
    book.add("Project", f"projects/{key}", model)
    book.touch(key)


@amend.register
def _update_project(operation: ops.UpdateProject, book: Book) -> None:
    model = book.open(book.project(operation.project))
    changed = put_all(model, cast("Mapping[str, object]", operation.set))
    if changed | bool(take(model, operation.release)):
        book.touch(operation.project)


@amend.register
def _rename_project(operation: ops.RenameProject, book: Book) -> None:
    old, new = operation.project, operation.key
    page = book.project(old)
    if old == new:
        return
    if book.has_project(new):
        raise refuse("duplicate-project", f"the project `{new}` is there already")
    addresses = {(old, spot.key): (new, spot.key) for spot in book.tasks(page)}
    follow_references(book, addresses)
    model = book.open(page)
    model["key"] = new
    given = model.get("formerly")
    before = given if isinstance(given, list) else []
    place(model, "formerly", [*(name for name in before if name != new), old])
    book.rename_project(old, new)
    book.touch(new)


@amend.register
def _archive_project(operation: ops.ArchiveProject, book: Book) -> None:
    page = book.project(operation.project)
    model = book.open(page)
    _not_protected(operation.project, model)
    for key, milestone in section(model, "milestones").items():
        if isinstance(milestone, dict):
            _not_protected(milestone_address(operation.project, key), milestone)
    for spot in book.tasks(page):
        _not_protected(f"{operation.project}/{spot.key}", spot.task, _defaults(page))
    gone = {(operation.project, spot.key) for spot in book.tasks(page)}
    page.removed = True
    book.remove_project(operation.project)
    drop_references(book, gone)
    book.touch(operation.project)


# Tasks


@amend.register
def _add_task(operation: ops.AddTask, book: Book) -> None:
    page = book.project(operation.project)
    task = built(cast("Mapping[str, object]", operation.fields))
    keys = [operation.key, *_keys_below(task)]
    _new_keys(book, page, operation.project, keys)
    parent = book.task(f"{operation.project}/{operation.parent}") if operation.parent else None
    _settle(book.open(page), parent, operation.key, task, operation.after)
    for key in keys:
        book.touch(f"{operation.project}/{key}")


@amend.register
def _update_task(operation: ops.UpdateTask, book: Book) -> None:
    spot = book.task(operation.task)
    defaults = _defaults(spot.page)
    changed = put_all(spot.task, cast("Mapping[str, object]", operation.set), defaults)
    changed |= bool(take(spot.task, operation.release))
    for name in defaults.keys() & set(operation.release):
        message = f"`{name}` of `{operation.task}` still comes from the project's `defaults`"
        book.note("inherited", message, spot.page, f"release `defaults.{name}` of the project")
    if changed:
        book.touch(operation.task)


@amend.register
def _move_task(operation: ops.MoveTask, book: Book) -> None:
    spot = book.task(operation.task)
    home = operation.task.partition("/")[0]
    goal = operation.project or home
    page = book.project(goal)
    parent = book.task(f"{goal}/{operation.parent}") if operation.parent else None
    keys = {spot.key, *(item.key for item in spot.below())}
    if goal == home and parent is not None and parent.key in keys:
        message = f"`{operation.task}` cannot be a part of itself"
        raise refuse("bad-parent", message, "name a task that is not below it")
    stays = goal == home and parent == spot.parent
    if stays and operation.after is None:
        return
    if goal != home:
        _new_keys(book, page, goal, sorted(keys))
        follow_references(book, {(home, key): (goal, key) for key in keys})
        move_renames(book, spot.page, page, (home, goal), keys)
    _lift_out(spot)
    _settle(book.open(page), parent, spot.key, spot.task, operation.after)
    for key in sorted(keys) if goal != home else [spot.key]:
        book.touch(f"{goal}/{key}")


@amend.register
def _rename_task(operation: ops.RenameTask, book: Book) -> None:
    spot = book.task(operation.task)
    project, key = operation.task.partition("/")[0], operation.key
    if key == spot.key:
        return
    _new_keys(book, spot.page, project, [key])
    follow_references(book, {(project, spot.key): (project, key)})
    rename(spot.holder, spot.key, key)
    record(book.open(spot.page), spot.key, key)
    book.touch(f"{project}/{key}")


@amend.register
def _remove_task(operation: ops.RemoveTask, book: Book) -> None:
    spot = book.task(operation.task)
    project = operation.task.partition("/")[0]
    below = list(spot.below())
    if below and operation.subtasks is None:
        message = f"`{operation.task}` has subtasks: {', '.join(item.key for item in below[:5])}"
        raise refuse("has-subtasks", message, "say `subtasks`: remove or lift", _source(spot))
    gone = [spot, *(below if operation.subtasks == "remove" else ())]
    for item in gone:
        _not_protected(f"{project}/{item.key}", item.task, _defaults(spot.page))
    drop_references(book, {(project, item.key) for item in gone})
    forget(book.open(spot.page), {item.key for item in gone})
    if operation.subtasks == "lift":
        after = spot.key
        for key, task in list(section(spot.task, "tasks").items()):
            insert(spot.holder, key, task, after)
            after = key
    _lift_out(spot)
    for item in gone:
        book.touch(f"{project}/{item.key}")


@amend.register
def _split_task(operation: ops.SplitTask, book: Book) -> None:
    spot = book.task(operation.task)
    project = operation.task.partition("/")[0]
    keys = [part["key"] for part in operation.into]
    _new_keys(book, spot.page, project, [key for key in keys if key != spot.key], among=keys)
    if not operation.in_place and spot.key in keys:
        raise refuse("duplicate-task", f"`{operation.task}` cannot be a part of itself")
    parts = _parts(operation, spot)
    if operation.one_by_one:
        for (before, _), (_, part) in pairwise(parts):
            known = part.get("depends_on")
            place(part, "depends_on", [*(known if isinstance(known, list) else ()), before])
    if operation.in_place:
        _stand_in(book, spot, parts)
    else:
        _stand_below(spot, parts)
        book.touch(operation.task)
    for key in keys:
        book.touch(f"{project}/{key}")


def _parts(operation: ops.SplitTask, spot: Spot) -> list[tuple[str, dict[str, Model]]]:
    """Return the parts by key, with what they get from the task."""
    names = ["owner", "priority", "labels", "milestone"]
    if operation.in_place:
        names += ["status", "start", "due", "depends_on", "platforms", "protect"]
    shares = _shares(operation, spot)
    parts: list[tuple[str, dict[str, Model]]] = []
    for i, given in enumerate(operation.into):
        fields = {name: value for name, value in given.items() if name != "key"}
        for name in names:
            if name in spot.task and not (operation.one_by_one and i and name == "depends_on"):
                fields.setdefault(name, _copy(spot.task[name]))
        if shares:
            fields["estimate"] = shares[i]
        parts.append((given["key"], built(fields)))
    return parts


def _shares(operation: ops.SplitTask, spot: Spot) -> list[str]:
    """Return the parts' estimates if they have none, but the task does."""
    estimate = spot.task.get("estimate", _defaults(spot.page).get("estimate"))
    minutes = canonical("estimate", estimate)
    if any("estimate" in part for part in operation.into) or not isinstance(minutes, int):
        return []
    count = len(operation.into)
    share, rest = divmod(minutes, count)
    return [format_estimate(share + (i < rest)) for i in range(count)] if share else []


def _stand_below(spot: Spot, parts: list[tuple[str, dict[str, Model]]]) -> None:
    """Make parts the subtasks of a task."""
    if "estimate" in _defaults(spot.page):
        place(spot.task, "estimate", None)
    else:
        spot.task.pop("estimate", None)
    below = section(spot.task, "tasks")
    below.update(parts)
    place(spot.task, "tasks", below)


def _stand_in(book: Book, spot: Spot, parts: list[tuple[str, dict[str, Model]]]) -> None:
    """Put parts in the place of a task; one of them is its heir."""
    project = str(book.open(spot.page)["key"])
    names = [key for key, _ in parts]
    heir = spot.key if spot.key in names else names[0]
    for home, page in book.projects():
        if refers(home, page, {(project, spot.key)}):
            for item in book.tasks(page):
                _wait_for_all(book, item, (project, spot.key), names)
    fields = dict(parts)[heir]
    for name in ("estimate", "depends_on"):
        if name not in fields:
            spot.task.pop(name, None)
    for name, value in fields.items():
        put(spot.task, name, value)
    if heir != spot.key:
        rename(spot.holder, spot.key, heir)
        record(book.open(spot.page), spot.key, heir)
    holder, at = spot.holder, names.index(heir)
    index = list(holder).index(heir)
    items = list(holder.items())
    items[index : index + 1] = [*parts[:at], (heir, spot.task), *parts[at + 1 :]]
    holder.clear()
    holder.update(items)


def _wait_for_all(book: Book, item: Spot, old: tuple[str, str], names: list[str]) -> None:
    """Let a task that waits for one wait for several others instead."""
    given = item.task.get("depends_on")
    home = str(book.open(item.page)["key"])
    local = home == old[0]
    references = {"/".join(old), old[1]} if local else {"/".join(old)}
    if not isinstance(given, list) or references.isdisjoint(map(str, given)):
        return
    fresh = names if local else [f"{old[0]}/{name}" for name in names]
    left: list[Model] = []
    for reference in given:
        left += fresh if reference in references else [reference]
    item.task["depends_on"] = list(dict.fromkeys(map(str, left)))
    book.touch(f"{home}/{item.key}")


@amend.register
def _set_dependencies(operation: ops.SetDependencies, book: Book) -> None:
    spot = book.task(operation.task)
    home = operation.task.partition("/")[0]
    given = spot.task.get("depends_on")
    before = given if isinstance(given, list) else []
    out = {_full(home, name) for name in operation.remove or ()}
    left = [item for item in before if _full(home, str(item)) not in out]
    known = {_full(home, str(item)) for item in left}
    fresh = [name for name in operation.add or () if _full(home, name) not in known]
    if len(left) < len(before) or fresh:
        place(spot.task, "depends_on", [*left, *fresh])
        book.touch(operation.task)


@amend.register
def _assign(operation: ops.Assign, book: Book) -> None:
    for address in operation.items:
        model, inherited = _item(book, address)
        if put(model, "owner", operation.to, inherited):
            book.touch(address)


@amend.register
def _label(operation: ops.Label, book: Book) -> None:
    out = {canonical("label", name) for name in operation.remove or ()}
    for address in operation.items:
        model, inherited = _item(book, address)
        given = model.get("labels", inherited.get("labels"))
        before = given if isinstance(given, list) else []
        left = [item for item in before if canonical("label", item) not in out]
        wanted = list(dict.fromkeys([*map(str, left), *(operation.add or ())]))
        if (given is not None or wanted) and put(model, "labels", wanted, inherited):
            book.touch(address)


# Milestones


@amend.register
def _add_milestone(operation: ops.AddMilestone, book: Book) -> None:
    page = book.project(operation.project)
    model = book.open(page)
    milestones = section(model, "milestones")
    address = milestone_address(operation.project, operation.key)
    if operation.key in milestones:
        message = f"the milestone `{address}` is there already"
        raise refuse("duplicate-milestone", message, "update it", Source(page.file))
    milestones[operation.key] = built(cast("Mapping[str, object]", operation.fields))
    place(model, "milestones", milestones)
    book.touch(address)


@amend.register
def _update_milestone(operation: ops.UpdateMilestone, book: Book) -> None:
    _, milestone = _milestone(book, operation.project, operation.key)
    changed = put_all(milestone, cast("Mapping[str, object]", operation.set))
    if changed | bool(take(milestone, operation.release)):
        book.touch(milestone_address(operation.project, operation.key))


@amend.register
def _rename_milestone(operation: ops.RenameMilestone, book: Book) -> None:
    page, _ = _milestone(book, operation.project, operation.key)
    old, new = operation.key, operation.to
    if old == new:
        return
    model = book.open(page)
    milestones = section(model, "milestones")
    address = milestone_address(operation.project, new)
    if new in milestones:
        raise refuse("duplicate-milestone", f"the milestone `{address}` is there already")
    rename(milestones, old, new)
    record(model, f"milestones/{old}", f"milestones/{new}")
    defaults = model.get("defaults")
    if isinstance(defaults, dict) and defaults.get("milestone") == old:
        defaults["milestone"] = new
    for spot in book.tasks(page):
        if spot.task.get("milestone") == old:
            spot.task["milestone"] = new
            book.touch(f"{operation.project}/{spot.key}")
    book.touch(address)


@amend.register
def _remove_milestone(operation: ops.RemoveMilestone, book: Book) -> None:
    page, milestone = _milestone(book, operation.project, operation.key)
    address = milestone_address(operation.project, operation.key)
    _not_protected(address, milestone)
    model = book.open(page)
    forget(model, {f"milestones/{operation.key}"})
    del section(model, "milestones")[operation.key]
    if not model["milestones"]:
        del model["milestones"]
    defaults = _defaults(page)
    if defaults.get("milestone") == operation.key:
        take(model, ["defaults.milestone"])
    for spot in book.tasks(page):
        if spot.task.get("milestone") == operation.key:
            del spot.task["milestone"]
            book.touch(f"{operation.project}/{spot.key}")
    book.touch(address)


# People, integrations, policy


@amend.register
def _add_person(operation: ops.AddPerson, book: Book) -> None:
    pages = book.pages_of("People")
    if any(operation.key in section(book.open(page), "people") for page in pages):
        raise refuse("duplicate-person", f"the person `{operation.key}` is there already")
    person = built(cast("Mapping[str, object]", operation.fields))
    if pages:
        section(book.open(pages[0]), "people")[operation.key] = person
    else:
        book.add("People", "people", {"kind": "People", "people": {operation.key: person}})
    book.touch(f"people/{operation.key}")


@amend.register
def _update_person(operation: ops.UpdatePerson, book: Book) -> None:
    known: list[str] = []
    for page in book.pages_of("People"):
        people = section(book.open(page), "people")
        person = people.get(operation.key)
        if isinstance(person, dict):
            changed = put_all(person, cast("Mapping[str, object]", operation.set))
            if changed | bool(take(person, operation.release)):
                book.touch(f"people/{operation.key}")
            return
        known += people
    message = f"nobody is called `{operation.key}`"
    raise refuse("unknown-person", message, suggest(operation.key, known))


@amend.register
def _set_integration(operation: ops.SetIntegration, book: Book) -> None:
    name = operation.platform
    fields = contained(name, cast("Mapping[str, object]", operation.set))
    pages = book.pages_of("Integrations")
    page = next((item for item in pages if name in book.open(item)), None)
    if page is None and not pages:
        page = book.add("Integrations", "integrations", {"kind": "Integrations"})
    model = book.open(page or pages[0])
    changed = put_within(model, name, fields)
    if changed | bool(take(model, [f"{name}.{item}" for item in operation.release])):
        book.touch(f"integrations/{name}")


@amend.register
def _set_policy(operation: ops.SetPolicy, book: Book) -> None:
    pages = book.pages_of("Settings")
    page = next((item for item in pages if "policy" in book.open(item)), None)
    if page is None and not pages:
        page = book.add("Settings", "settings", {"kind": "Settings"})
    model = book.open(page or pages[0])
    changed = put_within(model, "policy", cast("Mapping[str, object]", operation.set))
    if changed | bool(take(model, [f"policy.{item}" for item in operation.release])):
        book.touch("policy")


# What several of them need


def _defaults(page: Page) -> dict[str, Model]:
    return section(page.model or {}, "defaults")


def _item(book: Book, address: str) -> tuple[dict[str, Model], dict[str, Model]]:
    """Return a task or project, and what it inherits."""
    if "/" in address:
        spot = book.task(address)
        return spot.task, _defaults(spot.page)
    return book.open(book.project(address)), {}


def _milestone(book: Book, project: str, key: str) -> tuple[Page, dict[str, Model]]:
    page = book.project(project)
    milestones = section(book.open(page), "milestones")
    found = milestones.get(key)
    if not isinstance(found, dict):
        message = f"there is no milestone `{milestone_address(project, key)}`"
        raise refuse("unknown-milestone", message, suggest(key, milestones), Source(page.file))
    return page, found


def _settle(
    project: dict[str, Model],
    parent: Spot | None,
    key: str,
    task: dict[str, Model],
    after: str | None,
) -> None:
    """Put a task where it belongs."""
    above = parent.task if parent is not None else project
    tasks = section(above, "tasks")
    if after is not None and after not in tasks:
        message = f"there is no task `{after}` to stand behind"
        raise refuse("unknown-task", message, suggest(after, tasks) or "name a sibling")
    insert(tasks, key, task, after)
    place(above, "tasks", tasks)


def _lift_out(spot: Spot) -> None:
    """Take a task out of where it stands."""
    holder = spot.holder
    del holder[spot.key]
    if not holder:
        above = spot.parent.task if spot.parent is not None else spot.page.model or {}
        del above["tasks"]


def _keys_below(task: dict[str, Model]) -> Iterator[str]:
    for key, part in section(task, "tasks").items():
        yield key
        if isinstance(part, dict):
            yield from _keys_below(part)


def _new_keys(
    book: Book, page: Page, project: str, keys: list[str], among: list[str] | None = None
) -> None:
    """Refuse keys that the project has, or that are given twice."""
    taken = {spot.key for spot in book.tasks(page)}
    given = among or keys
    for key in keys:
        if key in taken or given.count(key) > 1:
            message = f"the task `{project}/{key}` is there already"
            raise refuse("duplicate-task", message, "choose another key", Source(page.file))


def _not_protected(
    address: str, model: dict[str, Model], inherited: dict[str, Model] | None = None
) -> None:
    if model.get("protect", (inherited or {}).get("protect")) is True:
        message = f"`{address}` is protected"
        raise refuse("protected", message, "take `protect` out first, if it is meant to go")


def _copy(value: Model) -> Model:
    return list(value) if isinstance(value, list) else value


def _source(spot: Spot) -> Source:
    return Source(spot.page.file)


def _full(home: str, reference: str) -> str:
    return reference if "/" in reference else f"{home}/{reference}"

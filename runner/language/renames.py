"""What has to follow when a task or project gets another address: references and `moved`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

from runner.language.book import Book, Page, section
from runner.language.check import full_address
from runner.language.fields import place
from runner.language.outline import entries, split_reference
from runner.language.tree import Model
from schemas import spec

Addresses = Mapping[tuple[str, str], tuple[str, str]]
"""From project and task key to project and task key."""


def follow_references(book: Book, new: Addresses) -> None:
    """Let every `depends_on` follow tasks that get other addresses; before they move."""
    for home, page in book.projects():
        if not refers(home, page, new):
            continue
        for spot in book.tasks(page):
            given = spot.task.get("depends_on")
            if not isinstance(given, list):
                continue
            target = new.get((home, spot.key), (home, spot.key))[0]
            changed = [_follow(item, home, target, new) for item in given]
            if changed != given:
                spot.task["depends_on"] = changed
                book.touch(f"{target}/{new.get((home, spot.key), (home, spot.key))[1]}")


def drop_references(book: Book, gone: set[tuple[str, str]]) -> None:
    """Take tasks that are to go out of every `depends_on`."""
    for home, page in book.projects():
        if not refers(home, page, gone):
            continue
        for spot in book.tasks(page):
            given = spot.task.get("depends_on")
            if not isinstance(given, list) or (home, spot.key) in gone:
                continue
            left = [item for item in given if split_reference(home, str(item)) not in gone]
            if len(left) < len(given):
                spot.task["depends_on"] = left
                book.touch(f"{home}/{spot.key}")
                message = f"`{home}/{spot.key}` no longer waits for what is removed"
                book.note("dependency-dropped", message, page)


def record(model: dict[str, Model], old: str, new: str) -> None:
    """Write a rename into a project's `moved`, so that remote objects are kept.

    A name that is given back leaves the chain: `a: b`, then b to a, becomes `b: a`.
    """
    moved = section(model, "moved")
    if not moved:
        place(model, "moved", moved)
    if new in moved:
        target = moved.pop(new)
        for name, value in moved.items():
            if value == new:
                moved[name] = target
    moved[old] = new


def forget(model: dict[str, Model], names: set[str]) -> list[str]:
    """Take renames that lead to `names` out of a project's `moved`; return where they began."""
    moved = section(model, "moved")
    reached, dropped = set(names), list[str]()
    while found := [old for old, new in moved.items() if new in reached]:
        for old in found:
            del moved[old]
        dropped += found
        reached = set(found)
    if not moved:
        model.pop("moved", None)
    return dropped


def move_renames(
    book: Book, source: Page, target: Page, homes: tuple[str, str], keys: set[str]
) -> None:
    """Write the move of tasks to another project into its `moved`, and out of their old one's."""
    old_home, new_home = homes
    old, new = book.open(source), book.open(target)
    earlier = {full_address(old_home, name) for name in forget(old, keys)}
    returning = {f"{new_home}/{key}" for key in keys}
    for address in sorted(earlier - returning):
        message = f"the earlier rename of `{address}` is dropped"
        hint = "apply it before this move, if that has not been done"
        book.note("rename-dropped", message, source, hint)
    for key in sorted(keys):
        record(new, f"{old_home}/{key}", key)


def refers(home: str, page: Page, addresses: Collection[tuple[str, str]]) -> bool:
    """Return whether a project may depend on tasks, given by project and key; opens nothing."""
    if page.model is not None or page.document is None:
        return True
    if any(project == home for project, _ in addresses):
        return True
    data = cast("spec.Project", page.document.data)
    return any(
        split_reference(home, name) in addresses
        for entry in entries(data)
        for name in entry.task.get("depends_on") or ()
    )


def _follow(reference: Model, home: str, target: str, new: Addresses) -> Model:
    """Return a reference made in `home` as it is to be made in `target`."""
    if not isinstance(reference, str):
        return reference
    before = split_reference(home, reference)
    after = new.get(before, before)
    if after == before and home == target:
        return reference
    project, key = after
    return key if project == target else f"{project}/{key}"

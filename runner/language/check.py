"""How documents fit together: keys, references, dates, platforms, deadlines.

Loaded ──> index of all keys ──> islands of projects ──┬─> one pass over each project
                                                       └─> dependencies ──> deadlines

Pure but for positions, which are looked up in the files when there is something to say. What could
only be wrong because another file could not be understood is not reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from typing import TYPE_CHECKING, Any, cast

from runner.language.deadline import Planned, late, work_left
from runner.language.islands import islands
from runner.language.load import Document, Loaded
from runner.language.memory import Memory
from runner.language.outline import Entry, entries, split_reference
from runner.language.parse import MAX_PROBLEMS
from schemas.domain import PLATFORMS, Diagnostic, Severity, Source, hash_of
from schemas.values import RESERVED_KEYS, suggest

if TYPE_CHECKING:
    from schemas import spec

CONTAINERS = {"linear": "team", "gitlab": "project", "notion": "parent", "motion": "workspace"}
"""By platform, the option that says where its objects are to be made."""


def check(loaded: Loaded, today: date, memory: Memory | None = None) -> list[Diagnostic]:
    """Return what is wrong with how the specs fit together, by file and line.

    Args:
        loaded: the specs; its own diagnostics are not repeated.
        today: what deadlines are judged against.
        memory: of earlier checks by this process.
    """
    memory = memory or Memory()
    checker = _Checker(loaded)
    checker.people()
    checker.settings()
    checker.platforms()
    for island in islands(loaded.projects, memory):
        checker.island(island, today, memory)
    return sorted(checker.found, key=_position)


def _position(item: Diagnostic) -> tuple[str, int, int]:
    source = item.source
    return (source.file, source.line, source.column) if source else ("", 0, 0)


def _from_note(noted: Any) -> list[Diagnostic] | None:
    """Return the diagnostics that were noted; `None` where there are none, or they are damaged."""
    try:
        items = cast("list[dict[str, Any]]", noted)
        places = [Source(**item["source"]) if item["source"] else None for item in items]
        return [
            replace(Diagnostic(**item), source=place)
            for item, place in zip(items, places, strict=True)
        ]
    except (TypeError, KeyError):
        return None


class _Checker:
    """The index of everything that can be referred to, and the problems found."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.found: list[Diagnostic] = []
        self.counts = Counter[str]()
        self.persons = {key for item in loaded.people for key in item.data["people"]}
        self.unsure = {name for item in loaded.people for name in item.removed}
        self.known = (*PLATFORMS, *loaded.third_party)
        self.enabled = {
            name
            for item in loaded.integrations
            for name in self.known
            if name in item.data and _options(item.data, name).get("enabled", True)
        }
        self.projects: dict[str, Document[spec.Project]] = {}
        for document in loaded.projects:
            self.projects.setdefault(document.data["key"], document)
        self.after: dict[str, dict[str, list[str]]] = {}
        shared = [sorted(names) for names in (self.persons, self.unsure, self.enabled)]
        self._around = hash_of([shared, self.known, loaded.incomplete])
        self._order: dict[int, list[Entry]] = {}
        self._tasks: dict[str, dict[str, Entry]] = {}

    def order(self, document: Document[spec.Project]) -> Sequence[Entry]:
        """Return the tasks of a project document as they stand."""
        found = self._order.get(id(document))
        if found is None:
            found = self._order[id(document)] = list(entries(document.data))
        return found

    def tasks(self, project: str) -> Mapping[str, Entry]:
        """Return the tasks of a project by key; none where there is no such project."""
        found = self._tasks.get(project)
        if found is None:
            found = self._tasks[project] = {}
            if project in self.projects:
                for entry in self.order(self.projects[project]):
                    found.setdefault(entry.key, entry)
        return found

    def island(self, island: Sequence[Document[spec.Project]], today: date, memory: Memory) -> None:
        """Report what is wrong with projects that name each other; errors are found anew."""
        sound = all(document.content for document in island)
        documents = [document.identity for document in island]
        key = hash_of(["check", self._around, today.isoformat(), documents])
        known = _from_note(memory.noted(key)) if sound else None
        if known is not None:
            self.found.extend(known)
            self.counts.update(Counter(item.source.file for item in known if item.source))
            return
        before = len(self.found)
        for document in island:
            _Project(self, document).check()
        keys = [document.data["key"] for document in island]
        own = {key: self.projects[key] for key in keys}
        self.moves(own)
        self.deadlines(own, today)
        found = tuple(self.found[before:])
        if sound and not any(item.severity == "error" for item in found):
            memory.note(key, [asdict(item) for item in found])

    def say(
        self,
        severity: Severity,
        code: str,
        message: str,
        document: Document[object],
        place: Sequence[Entry | str | int] = (),
        *,
        key: bool = False,
        hint: str = "",
    ) -> None:
        """Report a problem; the hundredth of a file is its last, the others are counted."""
        self.counts[document.file] += 1
        count = self.counts[document.file]
        if count > MAX_PROBLEMS + 1:
            return
        if count > MAX_PROBLEMS:
            code, message, hint = "more-problems", "there are more problems in this file", ""
        path = tuple(step for part in place for step in _steps(part))
        item = self.loaded.problem(severity, code, message, document, path, key=key, hint=hint)
        self.found.append(item)

    def people(self) -> None:
        """Report people who are declared twice."""
        seen: dict[str, Document[spec.People]] = {}
        for document in self.loaded.people:
            for key in document.data["people"]:
                if key in seen:
                    message = f"the person `{key}` is declared in {seen[key].file} already"
                    place = ("people", key)
                    self.say("error", "duplicate-person", message, document, place, key=True)
                seen.setdefault(key, document)

    def settings(self) -> None:
        """Report sections that two documents give."""
        groups = (self.loaded.settings_documents, self.loaded.integrations)
        for documents in cast("tuple[tuple[Document[Mapping[str, object]], ...], ...]", groups):
            seen: dict[str, str] = {}
            for document in documents:
                for name in document.data.keys() - {"kind"}:
                    if name in seen:
                        message = f"`{name}` is given in {seen[name]} already"
                        self.say("error", "duplicate-section", message, document, (name,), key=True)
                    seen.setdefault(name, document.file)

    def platforms(self) -> None:
        """Report integrations that cannot work, and specs that go nowhere."""
        for document in self.loaded.integrations:
            for name, option in CONTAINERS.items():
                if name not in document.data or name not in self.enabled:
                    continue
                if option not in _options(document.data, name):
                    message = f"`{name}` needs a `{option}`"
                    self.say(
                        "error",
                        "missing-field",
                        message,
                        document,
                        (name,),
                        key=True,
                        hint=f"or disable it: `{name}: {{enabled: false}}`",
                    )
        if self.projects and not self.enabled and not self.loaded.incomplete:
            message = "no platform is enabled, so nothing will be made real"
            first = self.loaded.projects[0]
            hint = "enable one: `kind: Integrations`"
            self.say("warning", "nothing-enabled", message, first, ("key",), hint=hint)

    def moves(self, projects: Mapping[str, Document[spec.Project]]) -> None:
        """Report renames that lead nowhere, in circles, or to what is there already."""
        claimed: dict[str, str] = {}
        for key, document in projects.items():
            for i, old in enumerate(document.data.get("formerly", ())):
                place = ("formerly", i)
                if old in self.projects:
                    message = f"the project `{old}` still exists"
                    self.say("error", "moved-clash", message, document, place)
                elif old in claimed:
                    message = f"`{claimed[old]}` says that it was `{old}`, too"
                    self.say("error", "moved-clash", message, document, place)
                claimed[old] = key
            for old in document.data.get("moved", {}):
                self._move(document, old, claimed)

    def _move(self, document: Document[spec.Project], old: str, claimed: dict[str, str]) -> None:
        project, moved = document.data["key"], document.data.get("moved", {})
        place = ("moved", old)
        source = full_address(project, old)
        target = follow(moved, old)
        if target is None:
            message = f"the renames of `{old}` go round in a circle"
            self.say("error", "moved-cycle", message, document, place, key=True)
            return
        if not self._exists(full_address(project, target)):
            if target not in document.removed:
                hint = suggest(target, self.tasks(project))
                message = f"`{old}` was renamed to `{target}`, which is not there"
                self.say("error", "moved-target", message, document, place, hint=hint)
        elif is_milestone(source) != is_milestone(full_address(project, target)):
            message = f"`{old}` and `{target}` are not of one kind"
            self.say("error", "moved-target", message, document, place)
        if self._exists(source):
            message = f"`{old}` still exists, so it cannot have been renamed"
            self.say("error", "moved-clash", message, document, place, key=True)
        direct = full_address(project, moved[old])
        if claimed.setdefault(f"→{direct}", source) != source:
            message = f"`{moved[old]}` is the new name of `{claimed[f'→{direct}']}` already"
            self.say("error", "moved-clash", message, document, place)
        if claimed.setdefault(source, direct) != direct:
            message = f"`{source}` was renamed to `{claimed[source]}` already"
            self.say("error", "moved-clash", message, document, place, key=True)

    def _exists(self, address: str) -> bool:
        project, _, rest = address.partition("/")
        if rest.startswith("milestones/"):
            document = self.projects.get(project)
            milestones = document.data.get("milestones", {}) if document else {}
            return rest.removeprefix("milestones/") in milestones
        return rest in self.tasks(project)

    def deadlines(self, projects: Mapping[str, Document[spec.Project]], today: date) -> None:
        """Report dependencies in a circle, and deadlines that cannot be met."""
        planned = [
            Planned(
                document.data,
                [entry for entry in self.tasks(key).values() if entry.cycle is None],
                self.after.get(key, {}),
            )
            for key, document in projects.items()
        ]
        timeline = work_left(planned, today)
        told: set[str] = set()
        for cycle in timeline.cycles:
            if told.isdisjoint(cycle):
                self._circular(cycle)
            told.update(cycle)
        if told:
            return
        for item in late(planned, timeline, today):
            document = projects[item.project]
            self.say("warning", "deadline", item.message, document, item.place, hint=item.hint)

    def _circular(self, cycle: Sequence[str]) -> None:
        """Report a cycle at the first of its dependencies."""
        for address in cycle:
            project, _, key = address.partition("/")
            if self.after.get(project, {}).get(key):
                names = [name.removeprefix(f"{project}/") for name in cycle]
                message = f"circular dependency: {' → '.join(names)}"
                place = (self.tasks(project)[key], "depends_on")
                document = self.projects[project]
                hint = "each waits for the next; take one of them out"
                self.say("error", "circular-dependency", message, document, place, hint=hint)
                return


class _Project:
    """The checks of one project document."""

    def __init__(self, checker: _Checker, document: Document[spec.Project]) -> None:
        self.checker = checker
        self.document = document
        self.data = document.data
        self.key = document.data["key"]
        self.first = checker.projects[self.key] is document
        self.entries = checker.order(document)
        self.tasks = {entry.key: entry for entry in reversed(self.entries)}
        self.disabled: set[str] = set()
        self.after: dict[str, list[str]] = {}

    def check(self) -> None:
        """Report everything about the project that does not need deadlines."""
        self._identity()
        self._common((), self.data)
        self._milestones()
        defaults = self.data.get("defaults", {})
        self._owner(("defaults",), defaults)
        self._platforms(("defaults",), defaults.get("platforms", ()))
        self._milestone(("defaults",), defaults.get("milestone"))
        for entry in self.entries:
            self._task(entry)
        if self.first:
            self.checker.after[self.key] = self.after

    def _say(
        self,
        severity: Severity,
        code: str,
        message: str,
        place: Sequence[Entry | str | int],
        *,
        key: bool = False,
        hint: str = "",
    ) -> None:
        self.checker.say(severity, code, message, self.document, place, key=key, hint=hint)

    def _identity(self) -> None:
        if self.key in RESERVED_KEYS:
            message = f"`{self.key}` cannot be a project's key"
            self._say("error", "bad-key", message, ("key",), hint="it stands for milestones")
        if not self.first:
            source = self.checker.projects[self.key].source()
            message = f"the project `{self.key}` is declared in {source} already"
            self._say("error", "duplicate-project", message, ("key",))
        for entry in self.entries:
            if self.tasks[entry.key] is not entry:
                source = self.document.source(entry.key)
                message = f"the task `{entry.key}` is declared on line {source.line} already"
                hint = "task keys are unique in a project, whatever the nesting"
                self._say("error", "duplicate-task", message, (entry,), key=True, hint=hint)

    def _common(self, path: tuple[Entry | str, ...], data: spec.Project | spec.Task) -> None:
        self._owner(path, data)
        for name in self.checker.known:
            if name in data:
                override = cast("Mapping[str, object]", data)[name]
                self._owner((*path, name), cast("Mapping[str, object]", override))
        self._platforms(path, data.get("platforms", ()))
        start, due = data.get("start"), data.get("due")
        if start and due and due < start:
            message = f"due on {due}, before the start on {start}"
            self._say("error", "due-before-start", message, (*path, "due"))

    def _owner(self, path: tuple[Entry | str, ...], data: Mapping[str, object]) -> None:
        owner, checker = data.get("owner"), self.checker
        if owner is None or owner in checker.persons or owner in checker.unsure:
            return
        if not checker.loaded.incomplete:
            hint = suggest(str(owner), checker.persons) or "add them to the People spec"
            message = f"nobody is called `{owner}`"
            self._say("error", "unknown-person", message, (*path, "owner"), hint=hint)

    def _platforms(self, path: tuple[Entry | str, ...], names: Collection[str]) -> None:
        checker = self.checker
        for i, name in enumerate(names):
            place = (*path, "platforms", i)
            if name not in checker.known:
                hint = suggest(name, checker.known) or f"one of {', '.join(checker.known)}"
                self._say("error", "unknown-platform", f"`{name}` is no platform", place, hint=hint)
            elif (
                name not in checker.enabled
                and name not in self.disabled
                and not checker.loaded.incomplete
            ):
                self.disabled.add(name)
                hint = "enable it in the Integrations spec, or take it out here"
                message = f"`{name}` is not enabled"
                self._say("warning", "platform-not-enabled", message, place, hint=hint)

    def _milestones(self) -> None:
        for key, milestone in self.data.get("milestones", {}).items():
            self._within(("milestones", key), "due", milestone.get("due"))

    def _within(self, path: tuple[Entry | str, ...], name: str, day: str | None) -> None:
        """Report a date outside the project's own dates."""
        start, due = self.data.get("start"), self.data.get("due")
        if day and due and day > due:
            message = f"{name} on {day}, after the project's own due date, {due}"
            self._say("error", "after-project", message, (*path, name))
        if day and start and day < start:
            message = f"{name} on {day}, before the project starts on {start}"
            self._say("error", "before-project", message, (*path, name))

    def _milestone(self, path: tuple[Entry | str, ...], milestone: str | None) -> None:
        milestones = self.data.get("milestones", {})
        if milestone and milestone not in milestones and milestone not in self.document.removed:
            hint = suggest(milestone, milestones) or (
                f"one of {', '.join(milestones)}" if milestones else "declare it in `milestones`"
            )
            message = f"the project has no milestone `{milestone}`"
            self._say("error", "unknown-milestone", message, (*path, "milestone"), hint=hint)

    def _task(self, entry: Entry) -> None:
        task, path = entry.task, (entry,)
        self._common(path, task)
        self._milestone(path, task.get("milestone"))
        if entry.cycle is None:
            for name, day in (("start", task.get("start")), ("due", task.get("due"))):
                self._within(path, name, day)
        else:
            self._repeat(entry, path)
        if references := task.get("depends_on"):
            self.after[entry.key] = list(self._depends_on(entry, path, references))

    def _repeat(self, entry: Entry, path: tuple[Entry | str, ...]) -> None:
        task, repeat = entry.task, entry.task.get("repeat")
        if task.get("due"):
            message = "the due date of a task that repeats comes from `repeat`"
            self._say("error", "repeat-date", message, (*path, "due"), hint="use `repeat.until`")
        if entry.cycle is not entry:
            if task.get("start"):
                message = "a part of a task that repeats cannot have dates"
                self._say("error", "repeat-date", message, (*path, "start"))
            if repeat:
                message = "a part of a task that repeats cannot repeat by itself"
                self._say("error", "repeat-nested", message, (*path, "repeat"), key=True)
        elif repeat:
            for name, every in (("days", "week"), ("day", "month")):
                if name in repeat and repeat["every"] != every:
                    message = f"`{name}` goes with `every: {every}`, not {repeat['every']}"
                    self._say("error", "repeat-field", message, (*path, "repeat", name), key=True)
            start, until = task.get("start") or self.data.get("start"), repeat.get("until")
            if start and until and until < start:
                message = f"until {until}, before the start on {start}"
                self._say("error", "due-before-start", message, (*path, "repeat", "until"))

    def _depends_on(
        self, entry: Entry, path: tuple[Entry | str, ...], references: Sequence[str]
    ) -> Iterator[str]:
        """Yield the addresses of what a task depends on; report what it cannot depend on."""
        above = {item.key for item in entry.above()}
        for i, reference in enumerate(references):
            place = (*path, "depends_on", i)
            project, key = split_reference(self.key, reference)
            target = self.checker.tasks(project).get(key)
            if target is None:
                self._dangling(place, reference, project, key)
            elif project == self.key and key == entry.key:
                self._say("error", "self-dependency", "a task cannot wait for itself", place)
            elif project == self.key and key in above:
                message = f"`{key}` cannot be done before its own part `{entry.key}`"
                self._say("error", "depends-on-ancestor", message, place)
            elif target.cycle is not None and target.cycle is not entry.cycle:
                message = f"`{key}` comes back again and again, so nothing can wait for it"
                self._say("error", "depends-on-repeat", message, place)
            elif entry not in target.above():
                yield f"{project}/{key}"

    def _dangling(
        self, place: Sequence[Entry | str | int], reference: str, project: str, key: str
    ) -> None:
        checker = self.checker
        if project == self.key:
            if key in self.document.removed:
                return
            elsewhere = [name for name in checker.projects if key in checker.tasks(name)]
            hint = f"did you mean `{elsewhere[0]}/{key}`?" if len(elsewhere) == 1 else ""
            hint = (
                suggest(key, self.tasks) or hint or "name a task of this project, or project/task"
            )
            message = f"there is no task `{key}` in this project"
            self._say("error", "unknown-task", message, place, hint=hint)
        elif project not in checker.projects:
            if not checker.loaded.incomplete:
                hint = suggest(project, checker.projects)
                message = f"there is no project `{project}`"
                self._say("error", "unknown-project", message, place, hint=hint)
        elif key not in checker.projects[project].removed:
            hint = suggest(key, checker.tasks(project))
            message = f"there is no task `{reference}`"
            self._say("error", "unknown-task", message, place, hint=hint)


def _steps(part: Entry | str | int) -> tuple[str | int, ...]:
    return part.path if isinstance(part, Entry) else (part,)


def full_address(project: str, name: str) -> str:
    """Return the address that a name in `moved` stands for in `project`."""
    if name.count("/") == 2 or ("/" in name and not name.startswith("milestones/")):
        return name
    return f"{project}/{name}"


def is_milestone(address: str) -> bool:
    """Return whether an address below a project is a milestone's."""
    return address.count("/") == 2


def follow(moved: Mapping[str, str], name: str) -> str | None:
    """Return where the renames lead from `name`, or `None` where they go in circles."""
    seen: set[str] = set()
    while name in moved:
        if name in seen:
            return None
        seen.add(name)
        name = moved[name]
    return name


def _options(data: spec.Integrations, name: str) -> Mapping[str, object]:
    return cast("Mapping[str, Mapping[str, object]]", data)[name]

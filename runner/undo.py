"""The way back: what the specs must say again, so that an apply undoes an earlier run.

Git is the truth for what is declared, so a run is undone by putting back what the specs said of
the resources that it touched, as the state's own history has it. The plan that follows is the
ordinary one: what the run made is pruned, what it pruned comes back, what it changed is changed
back. What was changed again since is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runner.edits import edited_text
from runner.language.edit import Edited, Files, apply_operations, write_files
from runner.language.load import load_files, read_files
from runner.render import FORMAT_VERSION, plan_json, plan_text
from runner.report import as_json
from runner.state.contract import LogRow, ResourceRow, RunRow
from schemas import operations as ops
from schemas.domain import SHARED_FIELDS, Desired, Plan, Resource, Value, kind_of, project_of, same
from schemas.errors import ConfigError, StateError

if TYPE_CHECKING:
    from runner.state.contract import StateReader
    from runner.workspace import Workspace

LATEST = "last"
"""Stands for the latest apply that changed something."""

_NAMES = {"project": "name", "milestone": "name", "task": "title"}
_PLURAL = ("labels", "links")
_NOTHING: Mapping[str, object] = {
    "description": None,
    "priority": "none",
    "owner": None,
    "start": None,
    "due": None,
    "estimate": None,
    "labels": [],
    "links": [],
    "milestone": None,
    "depends_on": [],
}
"""By field, how the specs say that there is nothing in it."""


@dataclass(frozen=True, slots=True)
class Undo:
    """The way back from a run.

    Attributes:
        run: the run.
        operations: what puts the specs back.
        edited: the spec files with that done.
        before: the spec files as they are.
        plan: what an apply does then; `None` where the specs could not be put back.
        left: by address, what is not put back, and why.
        written: whether the specs were written.
    """

    run: RunRow
    operations: tuple[ops.Operation, ...]
    edited: Edited
    before: Files
    plan: Plan | None = None
    left: tuple[tuple[str, str], ...] = ()
    written: bool = False


def undo(place: Workspace, run_id: str, *, write: bool) -> Undo:
    """Return the way back from a run; write the specs if asked to. No platform is asked.

    Args:
        place: the spec repo.
        run_id: the run, or the beginning of its id, or `last`.
        write: whether to write the specs.

    Raises:
        ConfigError: there is no such run, or several.
        StateError: the state's history no longer reaches back to it.
    """
    from runner.plan import make_plan
    from runner.platforms import profiles_of

    state = place.reader()
    run = find_run(state, run_id)
    if run.kind == "import":
        raise ConfigError(
            f"{run.run_id} was an import: it changed nothing on a platform",
            hint="take its specs back with git, then: trueup state forget --run " + run.run_id,
        )
    before, after = state.around(run.run_id)
    log = [row for row in log_of(state, run.run_id) if row.status == "applied"]
    addresses = sorted({a for row in log for a in (row.address, row.moved_from) if a})
    then = {r.address: r for r in before.resources(addresses) if not r.archived_at}
    made = {r.address: r for r in after.resources(addresses) if not r.archived_at}
    moved = {row.address: row.moved_from for row in log if row.moved_from}
    way = _Way(place.desired, then, made, moved)
    operations = tuple(way.operations())
    left = [*way.left, *_live(log, then, made)]
    config = place.config
    files, problems = read_files(config.root, config.specs)
    folder = config.specs.relative_to(config.root).as_posix()
    edited = apply_operations(
        files, operations, config.today, specs=folder, root=config.root, problems=problems
    )
    found = Undo(run, operations, edited, files, left=tuple(left))
    if edited.refused:
        return found
    contents = {**files, **edited.files}
    sound = {name: content for name, content in sorted(contents.items()) if content is not None}
    desired = replace(place, edited=load_files(sound, config.root, problems)).desired
    plan = make_plan(desired, state, profiles_of(desired))
    if write and edited.files:
        write_files(config.root, config.specs, files, edited.files)
    return replace(found, plan=plan, written=write and bool(edited.files))


def find_run(state: StateReader, run_id: str) -> RunRow:
    """Return a run by its id, the beginning of one, or `last`.

    Raises:
        ConfigError: there is none, or there are several.
    """
    runs = state.runs()
    if run_id == LATEST:
        found = [run for run in runs if run.kind == "apply" and run.counts][:1]
    else:
        found = [run for run in runs if run.run_id.startswith(run_id)] if run_id else []
    if len(found) != 1:
        many = f"{len(found)} runs begin with" if found else "there is no run"
        raise ConfigError(f"{many} `{run_id}`", hint="see trueup history")
    return found[0]


def log_of(state: StateReader, run_id: str) -> tuple[LogRow, ...]:
    """Return the operations of a run.

    Raises:
        StateError: nothing is known of it.
    """
    entry = next((e for e in state.history(limit=10_000) if e.run_id == run_id), None)
    if entry is None:
        raise StateError(f"the log knows nothing of {run_id}", hint="see trueup history")
    return entry.changes


def _live(
    log: Sequence[LogRow], then: Mapping[str, ResourceRow], made: Mapping[str, ResourceRow]
) -> Iterator[tuple[str, str]]:
    """Yield live fields that the run changed: they belong to the platforms, not to any spec."""
    for row in log:
        known = then.get(row.moved_from or row.address)
        if row.action not in {"update", "move"} or known is None or row.address not in made:
            continue
        declared = known.declared.keys() | made[row.address].declared.keys()
        for name, before, _ in row.fields:
            if name in SHARED_FIELDS and name not in declared:
                why = f"{name} was {json.dumps(before)} on {row.platform}: change it there"
                yield row.address, why


class _Way:
    """Works out the operations, resource by resource.

    Args:
        desired: what the specs declare now.
        then: the resources before the run.
        made: the resources right after it.
        moved: what it moved, from new address to old.
    """

    def __init__(
        self,
        desired: Desired,
        then: Mapping[str, ResourceRow],
        made: Mapping[str, ResourceRow],
        moved: Mapping[str, str],
    ) -> None:
        self.desired = desired
        self.then = then
        self.made = made
        self.moved = {**dict(self._words()), **moved}
        self.left: list[tuple[str, str]] = []

    def operations(self) -> Iterator[ops.Operation]:
        """Yield what puts the specs back: moves first, removals last."""
        yield from self._moves_back()
        gone = [a for a in self.then if a not in self.made and a not in self.moved.values()]
        for address in sorted(gone, key=self._depth):
            yield from self._put_back(address)
        for address, row in sorted(self.made.items()):
            before = self.then.get(self.moved.get(address, address))
            if before is not None:
                yield from self._change_back(address, before, row)
        new = [a for a in self.made if a not in self.then and a not in self.moved]
        for address in sorted(new, key=self._depth, reverse=True):
            yield from self._take_out(address)

    def _words(self) -> Iterator[tuple[str, str]]:
        """Yield milestones that got another key, new before old, as far as their tasks tell.

        One that is bound nowhere is but a word on its tasks, and has no row of its own.
        """
        for address, row in self.made.items():
            before = self.then.get(address)
            old, new = (str(r.declared.get("milestone")) if r else "" for r in (before, row))
            if old != new and self.desired.moved.get(old) == new:
                yield new, old

    def _moves_back(self) -> Iterator[ops.Operation]:
        projects: dict[str, str] = {}
        for new, old in sorted(self.moved.items(), key=lambda item: item[0].count("/")):
            if new not in self.desired.resources or old in self.desired.resources:
                if old not in self.desired.resources:
                    self.left.append((new, "it was moved again since"))
                continue
            why = "Moved back"
            kind = kind_of(new)
            home, was = projects.get(project_of(new), project_of(new)), project_of(old)
            key, former = new.rpartition("/")[2], old.rpartition("/")[2]
            if kind == "project":
                projects[new] = old
                yield ops.RenameProject(project=new, key=old, why=why)
            elif kind == "milestone":
                if home == was and key != former:
                    yield ops.RenameMilestone(project=was, key=key, to=former, why=why)
            else:
                if home != was:
                    yield ops.MoveTask(task=f"{home}/{key}", project=was, why=why)
                if key != former:
                    yield ops.RenameTask(task=f"{was}/{key}", key=former, why=why)

    def _put_back(self, address: str) -> Iterator[ops.Operation]:
        """Yield what declares again what the run pruned."""
        row = self.then[address]
        project, key = project_of(address), address.rpartition("/")[2]
        if address in self.desired.resources:
            return
        if "@" in address:
            self.left.append((address, "an occurrence of a repeating task comes by itself"))
            return
        if row.kind != "project" and not self._will_be(project):
            self.left.append((address, f"its project {project} is not there"))
            return
        fields = self._said(row)
        why = "Pruned by the run"
        if row.kind == "project":
            yield ops.CreateProject.model_validate({"key": key, "fields": fields, "why": why})
        elif row.kind == "milestone":
            document = {"project": project, "key": key, "fields": fields, "why": why}
            yield ops.AddMilestone.model_validate(document)
        else:
            parent = row.declared.get("parent")
            above = str(parent).rpartition("/")[2] if parent else None
            document = {"project": project, "key": key, "parent": above, "fields": fields}
            yield ops.AddTask.model_validate({**document, "why": why})

    def _will_be(self, project: str) -> bool:
        return project in self.desired.resources or project in self.then

    def _change_back(
        self, address: str, before: ResourceRow, after: ResourceRow
    ) -> Iterator[ops.Operation]:
        """Yield what gives a resource the fields again that it had before the run."""
        here = self.desired.resources.get(address)
        if here is None:
            if before.declared != after.declared:
                self.left.append((address, "the specs no longer declare it"))
            return
        given: dict[str, Any] = {}
        released: list[str] = []
        was = self._said(before)
        names = [n for n in (*before.declared, *after.declared) if n != "parent"]
        for name in dict.fromkeys(names):
            old, new = before.declared.get(name), after.declared.get(name)
            kept = (name in before.declared) == (name in after.declared)
            if kept and same(old, new):
                continue
            now = here.fields.get(name)
            if not same(now, new):
                if not same(now, old):
                    self.left.append((address, f"{name} was changed again since"))
                continue
            spoken = _NAMES[before.kind] if name == "title" else name
            if name in before.declared:
                given[spoken] = was.get(spoken)
            elif name in before.live or name in _NOTHING:
                # A field that is merely taken out keeps its value on the platforms.
                there = before.live.get(name)
                given[spoken] = _written(name, there, before) if there else _NOTHING.get(name)
                why = f"{name} is declared now, so that it goes back; it was not before"
                self.left.append((address, why))
            else:
                released.append(spoken)
        if before.platforms != after.platforms and here.platforms == after.platforms:
            given["platforms"] = list(before.platforms)
        yield from self._updates(here, given, released)
        yield from self._parent_back(here, before, after)

    def _updates(
        self, here: Resource, given: dict[str, Any], released: list[str]
    ) -> Iterator[ops.Operation]:
        if not given and not released:
            return
        document: dict[str, object] = {"set": given, "release": released, "why": "Changed back"}
        old = next((o for n, o in self.moved.items() if n == here.address), here.address)
        if here.kind == "project":
            yield ops.UpdateProject.model_validate({**document, "project": old})
        elif here.kind == "milestone":
            whose = {"project": project_of(old), "key": old.rpartition("/")[2]}
            yield ops.UpdateMilestone.model_validate({**document, **whose})
        else:
            yield ops.UpdateTask.model_validate({**document, "task": old})

    def _parent_back(
        self, here: Resource, before: ResourceRow, after: ResourceRow
    ) -> Iterator[ops.Operation]:
        old, new = before.declared.get("parent"), after.declared.get("parent")
        if here.kind != "task" or same(old, new) or not same(here.fields.get("parent"), new):
            return
        above = str(old).rpartition("/")[2] if old else None
        yield ops.MoveTask(task=before.address, parent=above, why="Moved back")

    def _take_out(self, address: str) -> Iterator[ops.Operation]:
        """Yield what takes out of the specs what the run made."""
        here, row = self.desired.resources.get(address), self.made[address]
        if here is None or "@" in address:
            return
        if any(not same(here.fields.get(n), v) for n, v in row.declared.items()):
            self.left.append((address, "it was changed since it was made"))
            return
        project, key = project_of(address), address.rpartition("/")[2]
        why = "Made by the run"
        if here.kind == "project":
            inside = [a for a in self.desired.resources if a.startswith(f"{address}/")]
            if any(a not in self.made or a in self.then for a in inside):
                self.left.append((address, "it holds what the run did not make"))
                return
            yield ops.ArchiveProject(project=address, why=why)
        elif project in self.made and project not in self.then:
            return  # it goes with its project
        elif here.kind == "milestone":
            yield ops.RemoveMilestone(project=project, key=key, why=why)
        else:
            yield ops.RemoveTask(task=address, subtasks="lift", why=why)

    def _said(self, row: ResourceRow) -> dict[str, Any]:
        """Return the fields of a resource as operations take them."""
        said: dict[str, Any] = {}
        for name, value in row.declared.items():
            if name == "parent":
                continue
            said[_NAMES[row.kind] if name == "title" else name] = _written(name, value, row)
        usual = self._usual(row)
        if row.protect:
            said["protect"] = True
        if usual is not None and row.platforms != usual and row.kind != "milestone":
            said["platforms"] = list(row.platforms)
        return said

    def _depth(self, address: str) -> tuple[int, int, str]:
        """Return what sorts projects before milestones before tasks, parents before children."""
        above = 0
        row = self.then.get(address) or self.made.get(address)
        while row and (parent := row.declared.get("parent")):
            above += 1
            row = self.then.get(str(parent)) or self.made.get(str(parent))
        order = {"project": 0, "milestone": 1, "task": 2}
        return order[kind_of(address)], above, address

    def _usual(self, row: ResourceRow) -> tuple[str, ...] | None:
        """Return where a resource is by default: where its project is, or everywhere."""
        if row.kind == "project":
            return tuple(self.desired.integrations)
        project = self.desired.resources.get(row.project)
        known = self.then.get(row.project)
        return project.platforms if project else known.platforms if known else None


def undo_text(found: Undo, *, colour: bool = False) -> str:
    """Return the way back for a terminal: the specs' part, then the platforms'."""
    run = found.run
    lines = [
        f"run {run.run_id} of {run.started_at}{f', at {run.commit[:12]}' if run.commit else ''}"
    ]
    lines.append(edited_text(found.edited, found.before, colour=colour, diff=True).rstrip())
    lines += [f"left: {address}: {why}" for address, why in found.left]
    if found.plan is None:
        return "\n".join(lines) + "\n"
    lines += ["", "with these specs, the next apply does:", plan_text(found.plan, colour=colour)]
    if found.written:
        lines.append("the specs are written: look at them with git diff, then run trueup apply")
    elif found.edited.files:
        revert = (
            f", or git revert {run.commit[:12]}" if run.commit and "+" not in run.commit else ""
        )
        lines.append(f"write these specs with --specs{revert}; then run trueup apply")
    return "\n".join(lines).rstrip() + "\n"


def undo_json(found: Undo) -> str:
    """Return the same for machines."""
    document = {
        "format_version": FORMAT_VERSION,
        "run": found.run.run_id,
        "commit": found.run.commit,
        "operations": [item.model_dump(mode="json") for item in found.operations],
        "written": found.written,
        "files": list(found.edited.files),
        "left": [{"address": address, "why": why} for address, why in found.left],
        "diagnostics": [as_json(item) for item in found.edited.diagnostics],
        "plan": json.loads(plan_json(found.plan)) if found.plan else None,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _written(name: str, value: Value, row: ResourceRow) -> Any:
    if name == "milestone":
        return str(value).rpartition("/")[2] if value else None
    if name == "depends_on":
        home = row.project
        found = value if isinstance(value, tuple) else ()
        return [a.partition("/")[2] if project_of(a) == home else a for a in found]
    if name in _PLURAL:
        return list(value) if isinstance(value, tuple) else []
    return value

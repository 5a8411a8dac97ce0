"""The projects that an import writes into, and on which platforms their parts are made real."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

from runner.imports.keys import Keys
from runner.language.load import Loaded
from runner.language.outline import entries
from schemas.domain import PLATFORMS, Desired, project_of
from schemas.operations import Operation, UpdateProject, UpdateTask
from schemas.values import RESERVED_KEYS

if TYPE_CHECKING:
    from schemas import spec

Names: TypeAlias = tuple[str, ...]
_Tasks: TypeAlias = "Mapping[str, spec.Task]"


@dataclass(slots=True)
class Place:
    """One project, new or declared already.

    Attributes:
        exists: whether the specs declare it.
        platforms: where it is made real itself.
        tasks_on: where its tasks are, unless they say otherwise.
        task_platforms: the same by key, for those that the specs declare.
        keys: of its tasks.
        milestones: the keys of its milestones.
        fields: of a new one what is to be written, of another its dates.
        new_milestones: by key, what is to be written.
    """

    key: str
    exists: bool
    platforms: Names
    tasks_on: Names
    keys: Keys
    milestones: Keys
    fields: dict[str, object] = field(default_factory=dict[str, object])
    new_milestones: dict[str, dict[str, object]] = field(
        default_factory=dict[str, "dict[str, object]"]
    )
    task_platforms: dict[str, Names] = field(default_factory=dict[str, Names])


class Places:
    """All projects by key.

    Args:
        loaded: the specs.
        desired: the same, resolved.
    """

    def __init__(self, loaded: Loaded, desired: Desired) -> None:
        self._everywhere: Names = tuple(desired.integrations)
        self._documents = {item.data["key"]: item.data for item in loaded.projects}
        self._desired = desired
        self._places: dict[str, Place] = {}
        self._keys = Keys((*self._documents, *RESERVED_KEYS))

    def has(self, key: str) -> bool:
        """Return whether the specs declare the project."""
        return key in self._documents

    def of(self, key: str) -> Place:
        """Return a project that the specs declare."""
        if key not in self._places:
            data = self._documents[key]
            home = self._narrowed(data.get("platforms"))
            default = data.get("defaults", {}).get("platforms")
            self._places[key] = Place(
                key,
                exists=True,
                platforms=home,
                tasks_on=home if default is None else self._narrowed(default),
                keys=Keys(entry.key for entry in entries(data)),
                milestones=Keys(data.get("milestones", {})),
                fields={"start": data.get("start"), "due": data.get("due")},
            )
        return self._places[key]

    def new(self, wanted: str, title: str, platforms: Names, tasks_on: str) -> Place:
        """Return a project that is to be made.

        Args:
            wanted: the key that it should have if it is free; '' for one made from the title.
            title: what it is called.
            platforms: where it is itself.
            tasks_on: where its tasks are.
        """
        key = self._keys.new(title, "project", wanted=wanted)
        place = Place(key, False, platforms, (tasks_on,), Keys(), Keys())
        self._places[key] = place
        return place

    def touched(self) -> Iterator[Place]:
        """Yield the projects that something goes into, the declared ones first."""
        yield from sorted(self._places.values(), key=lambda place: not place.exists)

    def said_of(self, place: Place) -> dict[str, object]:
        """Return what a new project has to say of platforms; nothing where it goes without."""
        if place.platforms == self._everywhere:
            return {}
        if place.platforms == place.tasks_on:
            return {"platforms": list(place.platforms)}
        return {
            "platforms": list(place.platforms),
            "defaults": {"platforms": list(place.tasks_on)},
        }

    def said_of_task(self, place: Place, parent: str | None, platform: str) -> dict[str, object]:
        """Return what a new task of a declared project has to say of platforms."""
        inherited = place.tasks_on if parent is None else place.task_platforms.get(parent)
        return {} if inherited in {(platform,), None} else {"platforms": [platform]}

    def follow(self, joined: Collection[str], platform: str, why: str) -> list[Operation]:
        """Return what puts declared resources on one more platform, and nothing beside them."""
        operations: list[Operation] = []
        for key, place in self._places.items():
            if place.exists:
                here = {address for address in joined if project_of(address) == key}
                operations += self._follow(place, here, platform, why)
        return operations

    def _follow(
        self, place: Place, joined: Collection[str], platform: str, why: str
    ) -> list[Operation]:
        data = self._documents[place.key]
        wanted: dict[str, Names] = {}
        for entry in entries(data):
            address = f"{place.key}/{entry.key}"
            resource = self._desired.resources.get(address)
            now = resource.platforms if resource else ()
            wanted[entry.key] = self._joined(now, platform) if address in joined else now
        place.task_platforms = wanted
        given: dict[str, object] = {}
        default = data.get("defaults", {}).get("platforms")
        old = place.tasks_on
        if place.key in joined:
            place.platforms = self._joined(place.platforms, platform)
            if place.platforms != self._narrowed(data.get("platforms")):
                given["platforms"] = list(place.platforms)
        inherited = place.platforms if default is None else old
        choices: list[Names] = list(dict.fromkeys([inherited, old, self._joined(old, platform)]))
        tasks = data.get("tasks", {})
        best = min(
            choices,
            key=lambda on: len(self._explicit(tasks, on, wanted)) + (on != inherited),
        )
        if best != inherited:
            given["defaults"] = {"platforms": list(best)}
        place.tasks_on = best
        operations: list[Operation] = []
        if given:
            document = {"project": place.key, "set": given, "why": why}
            operations.append(UpdateProject.model_validate(document))
        for key in self._explicit(tasks, best, wanted):
            document = {
                "task": f"{place.key}/{key}",
                "set": {"platforms": list(wanted[key])},
                "why": why,
            }
            operations.append(UpdateTask.model_validate(document))
        return operations

    def _explicit(self, tasks: _Tasks, inherited: Names, wanted: Mapping[str, Names]) -> list[str]:
        """Return the tasks that have to say otherwise than they do."""
        found: list[str] = []
        for key, task in tasks.items():
            own = self._narrowed(task["platforms"]) if "platforms" in task else inherited
            if own != wanted[key]:
                found.append(key)
            below = cast("_Tasks", task.get("tasks", {}))
            found += self._explicit(below, wanted[key], wanted)
        return found

    def _narrowed(self, names: Sequence[str] | None) -> Names:
        if names is None:
            return self._everywhere
        return tuple(name for name in self._everywhere if name in names)

    def _joined(self, names: Names, platform: str) -> Names:
        order = (*PLATFORMS, *sorted({*names, platform}.difference(PLATFORMS)))
        return tuple(name for name in order if name in {*names, platform})

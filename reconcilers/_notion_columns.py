"""What columns are called and mean, in our databases and in those that people made.

An existing database may stand in for one of ours: its values are read under our names, and back.

What a column of another name or type cannot hold is left out on the way there; columns that are
not there are not made, but for the one that holds the marker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from reconcilers._blocks import Json
from schemas.slug import slug
from schemas.values import KEY

STATUS_OPTIONS = (
    ("Backlog", "gray"),
    ("Todo", "default"),
    ("In progress", "blue"),
    ("Done", "green"),
    ("Canceled", "red"),
)
PRIORITY_OPTIONS = (
    ("None", "default"),
    ("Low", "gray"),
    ("Medium", "yellow"),
    ("High", "orange"),
    ("Urgent", "red"),
)
STATUSES: dict[str, str] = dict(
    zip(
        ("backlog", "todo", "in_progress", "done", "canceled"),
        (name for name, _ in STATUS_OPTIONS),
        strict=True,
    )
)
_STATUS_WORDS = {
    "todo": ("to do", "not started", "open", "ready", "next", "planned"),
    "in_progress": ("doing", "started", "in review", "review", "active", "blocked"),
    "done": ("complete", "completed", "closed", "finished", "shipped"),
    "canceled": ("cancelled", "dropped", "won't do", "duplicate", "archived"),
}
KNOWN_STATUSES = {name.casefold(): status for status, name in STATUSES.items()} | {
    word: status for status, words in _STATUS_WORDS.items() for word in words
}
OURS: Mapping[str, str] = {
    "title": "Name",
    "key": "Key",
    "status": "Status",
    "priority": "Priority",
    "owner": "Owner",
    "start": "Start",
    "due": "Due",
    "estimate": "Estimate",
    "labels": "Labels",
    "milestone": "Milestone",
    "links": "Links",
    "linear": "Linear",
    "gitlab": "GitLab",
    "motion": "Motion",
    "scheduled": "Scheduled",
    "project": "Project",
    "parent": "Parent",
    "depends_on": "Depends on",
}
"""By the name that the Integrations spec uses, what our own databases call a column."""

_TYPES: Mapping[str, tuple[str, ...]] = {
    "title": ("title",),
    "key": ("rich_text",),
    "status": ("select", "status"),
    "priority": ("select", "status"),
    "owner": ("people",),
    "start": ("date",),
    "due": ("date",),
    "estimate": ("number",),
    "labels": ("multi_select",),
    "milestone": ("select",),
    "links": ("rich_text",),
    "linear": ("url",),
    "gitlab": ("url",),
    "motion": ("url",),
    "scheduled": ("date",),
    "project": ("relation",),
    "parent": ("relation",),
    "depends_on": ("relation",),
}
_GROUPS = {"to-do": "todo", "in progress": "in_progress", "complete": "done"}
"""What Notion calls the groups of a status column, in our words."""


class Unfit(ValueError):
    """A column that was named is not there, or is of a type that cannot hold the field."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a database that is not ours.

    Attributes:
        names: what it calls our columns, those that it has.
        types: of these columns.
        options: of those to choose from, what each means in our words.
    """

    names: Mapping[str, str]
    types: Mapping[str, str]
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, "Mapping[str, str]"])

    @classmethod
    def of(cls, properties: Mapping[str, Json], given: Mapping[str, str]) -> Columns:
        """Return the columns of a data source.

        Args:
            properties: as Notion gives them.
            given: by field, what the column is called; others are found by our own names.

        Raises:
            Unfit: one that is given is not there, or cannot hold the field.
        """
        names: dict[str, str] = {}
        types: dict[str, str] = {}
        options: dict[str, Mapping[str, str]] = {}
        for name, ours in OURS.items():
            theirs = given.get(name, ours)
            if name == "title":
                theirs = next(n for n, c in properties.items() if c.get("type") == "title")
            config = properties.get(theirs)
            if config is None or config.get("type") not in _TYPES[name]:
                if name in given:
                    what = f"of type {config.get('type')}" if config else "not there"
                    raise Unfit(
                        f"`{theirs}` for {name} is {what}; it must be {' or '.join(_TYPES[name])}"
                    )
                continue
            names[ours], types[ours] = theirs, str(config["type"])
            if name in {"status", "priority", "milestone"}:
                options[ours] = _meanings(name, config)
        return cls(names, types, options)

    @classmethod
    def stored(cls, kept: Json) -> Columns:
        """Return what `dump` gave."""
        names = cast("dict[str, str]", kept["names"])
        types = cast("dict[str, str]", kept["types"])
        return cls(names, types, cast("dict[str, dict[str, str]]", kept["options"]))

    def dump(self) -> Json:
        """Return it as JSON."""
        options = {name: dict(meanings) for name, meanings in self.options.items()}
        return {"names": dict(self.names), "types": dict(self.types), "options": options}

    def outward(self, properties: Mapping[str, Any]) -> Json:
        """Return values under the names and in the types of this database."""
        found: Json = {}
        for ours, value in properties.items():
            theirs = self.names.get(ours)
            if theirs is None:
                continue
            if ours not in self.options:
                found[theirs] = value
            elif (option := value["select"]) is None:
                found[theirs] = {self.types[ours]: None}
            elif chosen := self._chosen(ours, option):
                found[theirs] = {self.types[ours]: {"name": chosen}}
        return found

    def inward(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a row under our names."""
        found: dict[str, Any] = {}
        for ours, theirs in self.names.items():
            value = cast("Json | None", properties.get(theirs))
            if value is None:
                continue
            if ours in self.options and isinstance(option := value.get(self.types[ours]), dict):
                name = str(cast("Json", option).get("name"))
                meaning = self.options[ours].get(name, name)
                value = {**value, "type": "select", "select": {"name": meaning}}
            found[ours] = value
        # Whatever else we keep in the row, the marker before all, bears our own name.
        return {**{n: v for n, v in properties.items() if n not in self.names.values()}, **found}

    def _chosen(self, ours: str, option: Mapping[str, str]) -> str | None:
        """Return the option that means the same; only a select can be given a new one."""
        meant = option["name"]
        for name, meaning in self.options[ours].items():
            if meaning == meant:
                return name
        return meant if self.types[ours] == "select" else None


def milestone_key(option: str) -> str:
    """Return the key of the milestone that an option stands for, whoever named it."""
    return option if re.fullmatch(KEY, option) else slug(option) or "milestone"


def _meanings(name: str, config: Json) -> dict[str, str]:
    """Return what each option of a column means, as our own databases call it."""
    kind = str(config["type"])
    choice = cast("Json", config.get(kind) or {})
    options = cast("list[dict[str, str]]", choice.get("options") or [])
    if name == "milestone":
        return {option["name"]: milestone_key(option["name"]) for option in options}
    if name == "priority":
        return {option["name"]: option["name"].capitalize() for option in options}
    group_of = {
        identity: _GROUPS.get(str(group.get("name")).casefold(), "backlog")
        for group in cast("list[Json]", choice.get("groups") or [])
        for identity in cast("list[str]", group.get("option_ids") or [])
    }
    found: dict[str, str] = {}
    for option in options:
        known = KNOWN_STATUSES.get(option["name"].casefold())
        status = known or group_of.get(option.get("id", ""), "backlog")
        found[option["name"]] = STATUSES[status]
    return found

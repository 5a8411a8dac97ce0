"""Operations on the specs: every edit that a program may ask for, one model each.

The agent, `adopt`, `import` and scripts say what is to change; the runner finds the file, edits
its text and checks the result. So no operation names a file, a branch, an address to fetch or a
command: it names projects, tasks, milestones and people by their keys, and values in the words of
the spec language.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, model_validator

from schemas import fields
from schemas.operands import (
    OWNER,
    Address,
    Anything,
    IntegrationFields,
    Labels,
    MilestoneFields,
    NewMilestone,
    NewPerson,
    NewProject,
    NewTask,
    Part,
    PersonFields,
    Platform,
    PolicyFields,
    ProjectField,
    ProjectFields,
    TaskField,
    TaskFields,
    about,
)

_RELEASE: Final = (
    "Fields to take out, so that the platforms own them; `linear.title` for an override."
)


class _Operation(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    why: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
        about("The reason, for those who review it.", "The request asks for a beta"),
    ]


class _Update(_Operation):
    """An update that says something."""

    @model_validator(mode="after")
    def _says_something(self) -> _Update:
        given = cast("dict[str, object]", getattr(self, "set", {}))
        released = cast("list[str]", getattr(self, "release", []))
        if not given and not released:
            raise ValueError("there is nothing to set or to release")
        if twice := given.keys() & set(released):
            raise ValueError(f"`{min(twice)}` cannot be both set and released")
        return self


class CreateProject(_Operation):
    """Declare a project, in a file of its own."""

    op: Literal["create_project"] = "create_project"
    key: Annotated[
        fields.Key, about("Its stable identity, the first part of addresses.", "mobile-app")
    ]
    fields: Annotated[NewProject, about("What it is.")]


class UpdateProject(_Update):
    """Set or release fields of a project."""

    op: Literal["update_project"] = "update_project"
    project: Annotated[fields.Key, about("Its key.", "mobile-app")]
    set: Annotated[
        ProjectFields, about("New values; `defaults` and `overrides` are set field by field.")
    ] = Field(default_factory=ProjectFields)
    release: Annotated[
        list[ProjectField], about(_RELEASE + " `defaults.owner` for a default.")
    ] = []


class RenameProject(_Operation):
    """Give a project another key; `formerly` keeps its remote objects, references follow."""

    op: Literal["rename_project"] = "rename_project"
    project: Annotated[fields.Key, about("Its present key.", "app")]
    key: Annotated[fields.Key, about("Its new key.", "mobile-app")]


class ArchiveProject(_Operation):
    """Take a project out of the specs; policy decides what becomes of its remote objects.

    Refused for a project that is protected, or that holds anything that is.
    """

    op: Literal["archive_project"] = "archive_project"
    project: Annotated[fields.Key, about("Its key.", "mobile-app")]


class AddTask(_Operation):
    """Declare a task, with its subtasks."""

    op: Literal["add_task"] = "add_task"
    project: Annotated[fields.Key, about("The project's key.", "mobile-app")]
    key: Annotated[fields.Key, about("Its key, new to the project.", "pick-stack")]
    parent: Annotated[
        fields.Key | None, about("The task that it is a subtask of.", "design-login")
    ] = None
    after: Annotated[
        fields.Key | None, about("The sibling that it stands behind; by default the last.")
    ] = None
    fields: Annotated[NewTask, about("What it is.")]


class UpdateTask(_Update):
    """Set or release fields of a task. What comes from `defaults` is overridden in the task."""

    op: Literal["update_task"] = "update_task"
    task: Annotated[Address, about("Its address.", "mobile-app/pick-stack")]
    set: Annotated[
        TaskFields, about("New values; `null` clears. `overrides` are set field by field.")
    ] = Field(default_factory=TaskFields)
    release: Annotated[list[TaskField], about(_RELEASE)] = []


class MoveTask(_Operation):
    """Put a task, with its subtasks, elsewhere. References follow, remote objects are kept."""

    op: Literal["move_task"] = "move_task"
    task: Annotated[Address, about("Its present address.", "mobile-app/pick-stack")]
    project: Annotated[
        fields.Key | None, about("The project to move it to; by default its own.", "web")
    ] = None
    parent: Annotated[
        fields.Key | None, about("The task to put it below; by default none.", "design")
    ] = None
    after: Annotated[
        fields.Key | None, about("The sibling that it stands behind; by default the last.")
    ] = None


class RenameTask(_Operation):
    """Give a task another key; `moved` keeps its remote objects, references follow."""

    op: Literal["rename_task"] = "rename_task"
    task: Annotated[Address, about("Its present address.", "mobile-app/choose-stack")]
    key: Annotated[fields.Key, about("Its new key.", "pick-stack")]


class RemoveTask(_Operation):
    """Take a task out of the specs, and out of what depends on it.

    Refused for a task that is protected. Policy decides what becomes of its remote objects.
    """

    op: Literal["remove_task"] = "remove_task"
    task: Annotated[Address, about("Its address.", "mobile-app/pick-stack")]
    subtasks: Annotated[
        Literal["remove", "lift"] | None,
        about(
            "Remove its subtasks as well, or lift them to its place; must be said if it has any."
        ),
    ] = None


class SplitTask(_Operation):
    """Make several tasks of one.

    The parts get its owner, priority, labels and milestone where they do not say otherwise, and
    share its estimate if none of them has one. By default it stays, as their parent, without an
    estimate of its own. Else they stand in its place: the first (or the one with its key) is its
    heir, they get its other fields as well, and what waited for it waits for all of them.
    """

    op: Literal["split_task"] = "split_task"
    task: Annotated[Address, about("Its address.", "mobile-app/design-login")]
    into: Annotated[list[Part], Field(min_length=2, max_length=50), about("The parts, in order.")]
    in_place: Annotated[bool, about("Whether the parts stand in its place, not below it.")] = False
    one_by_one: Annotated[bool, about("Whether each part waits for the one before.")] = False


class SetDependencies(_Operation):
    """Let a task wait for others, or no longer wait for them."""

    op: Literal["set_dependencies"] = "set_dependencies"
    task: Annotated[Address, about("Its address.", "mobile-app/pick-stack")]
    add: Annotated[
        fields.References, about("What it is to wait for: keys, or `project/task`.")
    ] = []
    remove: Annotated[fields.References, about("What it no longer waits for.")] = []


class AddMilestone(_Operation):
    """Declare a milestone."""

    op: Literal["add_milestone"] = "add_milestone"
    project: Annotated[fields.Key, about("The project's key.", "mobile-app")]
    key: Annotated[fields.Key, about("Its key.", "beta")]
    fields: Annotated[NewMilestone, about("What it is.")]


class UpdateMilestone(_Update):
    """Set or release fields of a milestone."""

    op: Literal["update_milestone"] = "update_milestone"
    project: Annotated[fields.Key, about("The project's key.", "mobile-app")]
    key: Annotated[fields.Key, about("Its key.", "beta")]
    set: Annotated[MilestoneFields, about("New values; `null` clears.")] = Field(
        default_factory=MilestoneFields
    )
    release: Annotated[
        list[Literal["description", "due", "protect"]], about("Fields to take out.")
    ] = []


class RenameMilestone(_Operation):
    """Give a milestone another key; `moved` keeps its remote objects, tasks follow."""

    op: Literal["rename_milestone"] = "rename_milestone"
    project: Annotated[fields.Key, about("The project's key.", "mobile-app")]
    key: Annotated[fields.Key, about("Its present key.", "beta")]
    to: Annotated[fields.Key, about("Its new key.", "public-beta")]


class RemoveMilestone(_Operation):
    """Take a milestone out of the specs, and out of the tasks that name it.

    Refused for a milestone that is protected.
    """

    op: Literal["remove_milestone"] = "remove_milestone"
    project: Annotated[fields.Key, about("The project's key.", "mobile-app")]
    key: Annotated[fields.Key, about("Its key.", "beta")]


class Assign(_Operation):
    """Give tasks or projects to somebody."""

    op: Literal["assign"] = "assign"
    to: Annotated[fields.Key | None, about(OWNER, "me")]
    items: Annotated[
        list[Anything], Field(min_length=1), about("Addresses.", ["mobile-app/pick-stack"])
    ]


class Label(_Operation):
    """Put labels on tasks or projects, or take them off."""

    op: Literal["label"] = "label"
    items: Annotated[
        list[Anything], Field(min_length=1), about("Addresses.", ["mobile-app/pick-stack"])
    ]
    add: Annotated[Labels, about("Labels to put on.", ["product"])] = []
    remove: Annotated[Labels, about("Labels to take off.")] = []


class AddPerson(_Operation):
    """Declare a person."""

    op: Literal["add_person"] = "add_person"
    key: Annotated[fields.Key, about("How the specs call them.", "me")]
    fields: Annotated[NewPerson, about("Who it is.")]


class UpdatePerson(_Update):
    """Set or release how a person is known."""

    op: Literal["update_person"] = "update_person"
    key: Annotated[fields.Key, about("How the specs call them.", "me")]
    set: Annotated[PersonFields, about("New values.")] = Field(default_factory=PersonFields)
    release: Annotated[
        list[Literal["email", "timezone", "linear", "gitlab", "notion", "motion"]],
        about("Fields to take out."),
    ] = []


class SetIntegration(_Update):
    """Connect a platform, disconnect it, or set its options."""

    op: Literal["set_integration"] = "set_integration"
    platform: Annotated[Platform, about("Which one.", "linear")]
    set: Annotated[IntegrationFields, about("New values.")] = Field(
        default_factory=IntegrationFields
    )
    release: Annotated[list[Literal["enabled", "rate"]], about("Options to take out.")] = []


class SetPolicy(_Update):
    """Set what the runner may do by itself."""

    op: Literal["set_policy"] = "set_policy"
    set: Annotated[PolicyFields, about("New values.")] = Field(default_factory=PolicyFields)
    release: Annotated[
        list[Literal["prune", "max_prune", "drift", "deleted", "horizon"]],
        about("Rules to take out, so that the default holds."),
    ] = []


Operation: TypeAlias = (
    CreateProject
    | UpdateProject
    | RenameProject
    | ArchiveProject
    | AddTask
    | UpdateTask
    | MoveTask
    | RenameTask
    | RemoveTask
    | SplitTask
    | SetDependencies
    | AddMilestone
    | UpdateMilestone
    | RenameMilestone
    | RemoveMilestone
    | Assign
    | Label
    | AddPerson
    | UpdatePerson
    | SetIntegration
    | SetPolicy
)

OPERATIONS: Final[tuple[type[BaseModel], ...]] = (
    CreateProject,
    UpdateProject,
    RenameProject,
    ArchiveProject,
    AddTask,
    UpdateTask,
    MoveTask,
    RenameTask,
    RemoveTask,
    SplitTask,
    SetDependencies,
    AddMilestone,
    UpdateMilestone,
    RenameMilestone,
    RemoveMilestone,
    Assign,
    Label,
    AddPerson,
    UpdatePerson,
    SetIntegration,
    SetPolicy,
)
"""Every operation, in the order of the documentation."""

_ADAPTER: Final[TypeAdapter[list[Operation]]] = TypeAdapter(
    list[Annotated[Operation, Field(discriminator="op")]]
)


def parse_operations(document: bytes | str) -> list[Operation]:
    """Return the operations of a JSON array.

    Raises:
        pydantic.ValidationError: it is not JSON, or not a list of operations.
    """
    return _ADAPTER.validate_json(document)


def operations_schema() -> dict[str, object]:
    """Return the JSON Schema of a list of operations."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Operations on trueup specs",
        **_ADAPTER.json_schema(),
    }

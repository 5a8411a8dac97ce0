"""What the operations on the specs are given: the fields of projects, tasks, people and the rest.

Values keep the form in which they were given (`90m`, not 90 minutes), for they are written as they
are; those that come from a platform are taken in canonical form as well. A field that is left out
is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, Required, TypeAlias, cast

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    with_config,
)
from typing_extensions import TypedDict

from schemas import fields, spec
from schemas.values import (
    KEY,
    BadValue,
    format_estimate,
    parse_estimate,
    parse_horizon,
    parse_line,
    parse_max_prune,
    parse_timezone,
    parse_url,
)

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_STRICT: Final = ConfigDict(extra="forbid", strict=True)
_KEY: Final = KEY.removeprefix("^").removesuffix("$")


def about(description: str, *examples: object) -> FieldInfo:
    """Return what the documentation and the JSON Schema say of a field."""
    info: FieldInfo = Field(description=description, examples=list(examples))
    return info


def _estimate(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        value = format_estimate(value)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadValue("bad-estimate", "an estimate is a text with a unit", "write 4h or 2d")
    parse_estimate(value)
    return " ".join(value.split())


def _link(value: object) -> str | dict[str, str]:
    hint = "a link is https://…, or {url: https://…, title: words}"
    if isinstance(value, str):
        url, _, title = value.strip().partition(" ")
        return {"url": parse_url(url), "title": parse_line(title)} if title else parse_url(url)
    given = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    url, title = given.get("url"), given.get("title")
    if not isinstance(url, str) or not isinstance(title, str | None) or len(given) > 2:
        raise BadValue("bad-link", "this is not a link", hint)
    return {"url": parse_url(url), "title": parse_line(title)} if title else parse_url(url)


def _horizon(value: object) -> object:
    parse_horizon(value)
    return value


def _threshold(value: object) -> str:
    return parse_max_prune(value)


Estimate: TypeAlias = Annotated[str | None, PlainValidator(_estimate), fields.ESTIMATE_SHAPE]
Labels: TypeAlias = Annotated[list[fields.Label] | None, AfterValidator(fields.unique)]
Link: TypeAlias = Annotated[str | dict[str, str], PlainValidator(_link), fields.LINK_SHAPE]
Links: TypeAlias = list[Link] | None
Address: TypeAlias = Annotated[str, StringConstraints(pattern=rf"^{_KEY}/{_KEY}$", max_length=201)]
Anything: TypeAlias = Annotated[
    str, StringConstraints(pattern=rf"^{_KEY}(/{_KEY})?$", max_length=201)
]
Platform: TypeAlias = Literal["linear", "gitlab", "notion", "motion"]
_OVERRIDDEN: Final = "title|description|status|priority|owner|start|due|labels|links|container"
OverrideName: TypeAlias = Annotated[
    str, StringConstraints(pattern=rf"^(linear|gitlab|notion|motion)(\.({_OVERRIDDEN}))?$")
]
DefaultName: TypeAlias = Annotated[
    str,
    StringConstraints(
        pattern=r"^defaults(\.(status|priority|owner|estimate|labels|milestone|platforms|protect))?$"
    ),
]

OWNER: Final = "Who it belongs to: a key of the People specs; `null` for nobody."
_PLATFORMS: Final = "Where it is made real."
_PROTECT: Final = "Never prune it, whatever the policy says."


@with_config(_STRICT)
class Override(TypedDict, total=False):
    """What differs on one platform."""

    title: Annotated[fields.Line, about("Title (for a project: name) there.")]
    description: Annotated[fields.Markdown, about("Markdown there.")]
    status: Annotated[fields.Status, about("Status there.")]
    priority: Annotated[fields.Priority, about("Priority there.")]
    owner: Annotated[fields.Key | None, about("Owner there.")]
    start: Annotated[fields.Date, about("Start date there.")]
    due: Annotated[fields.Date, about("Due date there.")]
    labels: Annotated[Labels, about("Labels there, in place of the neutral ones.")]
    links: Annotated[Links, about("Links there, in place of the neutral ones.")]
    container: Annotated[
        fields.Line,
        about("The Linear team, GitLab project, Notion parent or Motion workspace.", "WEB"),
    ]


Overrides: TypeAlias = dict[Platform, Override]


@with_config(_STRICT)
class DefaultFields(TypedDict, total=False):
    """What the tasks of a project have where they do not say otherwise."""

    status: Annotated[fields.Status, about("Status.")]
    priority: Annotated[fields.Priority, about("Priority.")]
    owner: Annotated[fields.Key | None, about("Owner.")]
    estimate: Annotated[Estimate, about("Estimate.")]
    labels: Annotated[Labels, about("Labels; a task's own replace them.")]
    milestone: Annotated[fields.Key, about("Milestone.")]
    platforms: Annotated[fields.Platforms, about(_PLATFORMS)]
    protect: Annotated[bool, about(_PROTECT)]


class _MilestoneFields(TypedDict, total=False):
    description: Annotated[fields.Markdown, about("Markdown; `null` clears it.")]
    due: Annotated[fields.Date, about("The date; `null` clears it.", "2027-01-31")]
    protect: Annotated[bool, about(_PROTECT)]


@with_config(_STRICT)
class MilestoneFields(_MilestoneFields, total=False):
    """The fields of a milestone."""

    name: Annotated[fields.Line, about("What people read.", "Beta")]


@with_config(_STRICT)
class NewMilestone(_MilestoneFields, total=False):
    """A milestone that is not there yet."""

    name: Required[Annotated[fields.Line, about("What people read.", "Beta")]]


class _TaskFields(TypedDict, total=False):
    description: Annotated[fields.Markdown, about("Markdown; `null` clears it.")]
    status: Annotated[fields.Status, about("Usually left to the platforms.", "todo")]
    priority: Annotated[fields.Priority, about("How much it matters.", "high")]
    owner: Annotated[fields.Key | None, about(OWNER, "me")]
    start: Annotated[fields.Date, about("No work before this day; `null` clears it.", "2026-12-01")]
    due: Annotated[fields.Date, about("To be done by this day; `null` clears it.", "2026-12-05")]
    estimate: Annotated[
        Estimate, about("Work: minutes, hours, days (8h), weeks (5d); `null` clears it.", "4h")
    ]
    labels: Annotated[Labels, about("All its labels, without commas.", ["product"])]
    links: Annotated[Links, about("All its links.", ["https://example.com"])]
    milestone: Annotated[fields.Key | None, about("A milestone of the project.", "beta")]
    depends_on: Annotated[
        fields.References,
        about("All tasks that must be done before: keys, or `project/task`.", ["pick-stack"]),
    ]
    platforms: Annotated[fields.Platforms, about(_PLATFORMS, ["linear", "notion"])]
    repeat: Annotated[spec.Repeat, about("Makes it come back.", {"every": "week"})]
    protect: Annotated[bool, about(_PROTECT)]
    overrides: Annotated[
        Overrides, about("By platform, what differs there.", {"linear": {"container": "WEB"}})
    ]


@with_config(_STRICT)
class TaskFields(_TaskFields, total=False):
    """The fields of a task; those that are left out stay as they are, or with the platforms."""

    title: Annotated[fields.Line, about("One line.", "Pick the stack")]


@with_config(_STRICT)
class NewTask(_TaskFields, total=False):
    """A task that is not there yet, with its subtasks."""

    title: Required[Annotated[fields.Line, about("One line.", "Pick the stack")]]
    tasks: Annotated[dict[fields.Key, NewTask], about("Its subtasks, by key.")]


@with_config(_STRICT)
class Part(_TaskFields, total=False):
    """One of the tasks that a task is split into."""

    key: Required[Annotated[fields.Key, about("Its key, new to the project.", "wireframes")]]
    title: Required[Annotated[fields.Line, about("One line.", "Wireframes")]]


class _ProjectFields(TypedDict, total=False):
    description: Annotated[fields.Markdown, about("Markdown; `null` clears it.")]
    status: Annotated[fields.Status, about("Usually left to the platforms.", "in_progress")]
    priority: Annotated[fields.Priority, about("How much it matters.", "high")]
    owner: Annotated[fields.Key | None, about(OWNER, "me")]
    start: Annotated[fields.Date, about("No work before this day; `null` clears it.", "2026-12-01")]
    due: Annotated[fields.Date, about("The deadline; `null` clears it.", "2027-02-28")]
    labels: Annotated[Labels, about("All its labels, without commas.", ["product"])]
    links: Annotated[Links, about("All its links.", ["https://example.com"])]
    platforms: Annotated[fields.Platforms, about(_PLATFORMS, ["linear", "motion"])]
    protect: Annotated[bool, about(_PROTECT)]
    defaults: Annotated[
        DefaultFields, about("What its tasks have where they do not say otherwise.")
    ]
    overrides: Annotated[Overrides, about("By platform, what differs there.")]


@with_config(_STRICT)
class ProjectFields(_ProjectFields, total=False):
    """The fields of a project; those that are left out stay as they are."""

    name: Annotated[fields.Line, about("What people read.", "Mobile app")]


@with_config(_STRICT)
class NewProject(_ProjectFields, total=False):
    """A project that is not there yet, with its milestones and tasks."""

    name: Required[Annotated[fields.Line, about("What people read.", "Mobile app")]]
    milestones: Annotated[dict[fields.Key, NewMilestone], about("Its milestones, by key.")]
    tasks: Annotated[dict[fields.Key, NewTask], about("Its tasks, by key.")]


class _PersonFields(TypedDict, total=False):
    email: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")],
        about("How Linear, Notion and Motion know the person.", "me@example.com"),
    ]
    timezone: Annotated[
        Annotated[str, AfterValidator(parse_timezone)],
        about("IANA name; where a due date ends.", "America/Los_Angeles"),
    ]
    linear: Annotated[fields.Line, about("The e-mail address on Linear, where it differs.")]
    gitlab: Annotated[fields.Line, about("The user name on GitLab.", "jwp763")]
    notion: Annotated[fields.Line, about("The e-mail address on Notion, where it differs.")]
    motion: Annotated[fields.Line, about("The e-mail address on Motion, where it differs.")]


@with_config(_STRICT)
class PersonFields(_PersonFields, total=False):
    """How a person is known."""

    name: Annotated[fields.Line, about("The name that people read.", "Me")]


@with_config(_STRICT)
class NewPerson(_PersonFields, total=False):
    """A person who is not there yet."""

    name: Required[Annotated[fields.Line, about("The name that people read.", "Me")]]


@with_config(_STRICT)
class IntegrationFields(TypedDict, total=False):
    """The options of a connected platform; never a secret."""

    enabled: Annotated[bool, about("Whether resources are made real there.", True)]
    rate: Annotated[fields.Rate, about("Requests a minute, where your limit differs.", 60)]
    container: Annotated[
        fields.Line,
        about(
            "Where its objects are made: the Linear team, GitLab project, Notion parent or Motion"
            " workspace.",
            "MOB",
        ),
    ]


@with_config(_STRICT)
class PolicyFields(TypedDict, total=False):
    """What the runner may do by itself."""

    prune: Annotated[
        Literal["archive", "close", "delete", "keep"],
        about("What becomes of remote objects whose spec is gone.", "archive"),
    ]
    max_prune: Annotated[
        str,
        PlainValidator(_threshold),
        WithJsonSchema({"type": "string", "pattern": r"^\d+%?$"}),
        about("Refuse a plan that prunes more: a share or a count.", "10%"),
    ]
    drift: Annotated[
        Literal["propose", "revert", "ignore"],
        about("What becomes of edits of declared fields on a platform.", "propose"),
    ]
    deleted: Annotated[
        Literal["propose", "recreate", "release"],
        about("What becomes of resources whose object people deleted.", "propose"),
    ]
    horizon: Annotated[
        str | int,
        PlainValidator(_horizon),
        WithJsonSchema({"type": "string", "pattern": r"^\d{1,4}[dw]$"}),
        about("How far ahead repeating tasks are made.", "4w"),
    ]


TaskField: TypeAlias = (
    Literal[
        "description",
        "status",
        "priority",
        "owner",
        "start",
        "due",
        "estimate",
        "labels",
        "links",
        "milestone",
        "depends_on",
        "platforms",
        "repeat",
        "protect",
    ]
    | OverrideName
)
ProjectField: TypeAlias = (
    Literal[
        "description",
        "status",
        "priority",
        "owner",
        "start",
        "due",
        "labels",
        "links",
        "platforms",
        "protect",
    ]
    | OverrideName
    | DefaultName
)

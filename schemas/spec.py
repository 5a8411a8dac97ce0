"""The spec language: what each kind of YAML document may say, as pydantic v2 models.

One source for everything that knows the language: the loader validates with these models, the
JSON Schemas that editors complete and check with are generated from them, and so is the spec
reference. The models are typed dictionaries rather than classes, because a field that is left out
means something (the platforms own it): a document, once validated, is a plain dictionary that
holds exactly the declared fields, each in its canonical form, and is kept in the cache as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, Required, TypeAlias

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
    with_config,
)
from typing_extensions import TypedDict

from schemas.fields import (
    Date,
    Dollars,
    DriftField,
    Estimate,
    Identifier,
    Key,
    Labels,
    Line,
    Links,
    Markdown,
    NewAddress,
    NotionField,
    OldAddress,
    Platforms,
    Priority,
    Providers,
    Rate,
    References,
    Status,
    Tier,
    Tokens,
    Weekdays,
)
from schemas.values import (
    parse_horizon,
    parse_max_prune,
    parse_timezone,
)

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

DocumentKind: TypeAlias = Literal["People", "Integrations", "Settings", "Project"]

_STRICT: Final = ConfigDict(extra="forbid", strict=True)
_OPEN: Final = ConfigDict(extra="allow", strict=True)


def _about(description: str, *examples: object) -> FieldInfo:
    """Return what the reference and the editors show of a field."""
    info: FieldInfo = Field(description=description, examples=list(examples))
    return info


_OWNER = "Who it belongs to: a key of the People specs. `null` for nobody."
_PLATFORMS = "Where it is made real."
_PROTECT = "Never prune it, whatever the policy says."


@with_config(_STRICT)
class Person(TypedDict, total=False):
    """Somebody who can own projects and tasks."""

    name: Required[Annotated[Line, _about("The name that people read.", "Me")]]
    email: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")],
        _about("How Linear, Notion and Motion know the person.", "me@example.com"),
    ]
    timezone: Annotated[
        Annotated[str, AfterValidator(parse_timezone)],
        _about("IANA name; where a due date ends. `UTC` by default.", "America/Los_Angeles"),
    ]
    linear: Annotated[Line, _about("The e-mail address on Linear, where it differs.")]
    gitlab: Annotated[Line, _about("The user name on GitLab.", "jwp763")]
    notion: Annotated[Line, _about("The e-mail address on Notion, where it differs.")]
    motion: Annotated[Line, _about("The e-mail address on Motion, where it differs.")]


@with_config(_STRICT)
class People(TypedDict, total=False):
    """Who owns what; people are named by their keys everywhere else."""

    kind: Required[Annotated[Literal["People"], _about("Says what the document is.", "People")]]
    people: Required[
        Annotated[
            dict[Key, Person],
            _about("By key.", {"me": {"name": "Me", "email": "me@example.com"}}),
        ]
    ]


class _Platform(TypedDict, total=False):
    enabled: Annotated[
        bool, _about("Whether resources are made real there; `true` by default.", True)
    ]
    rate: Annotated[
        Rate, _about("Requests a minute, where your account's limit differs from ours.", 60)
    ]


@with_config(_STRICT)
class Linear(_Platform, total=False):
    """Linear: projects, milestones and issues."""

    team: Annotated[Line, _about("Key of the team that gets the issues.", "MOB")]


@with_config(_STRICT)
class Motion(_Platform, total=False):
    """Motion: projects and scheduled tasks."""

    workspace: Annotated[Line, _about("Name of the workspace.", "Personal")]


@with_config(_STRICT)
class Gitlab(_Platform, total=False):
    """GitLab: issues and milestones."""

    project: Annotated[Line, _about("Path of the project that gets them.", "jwp763/mobile-app")]


@with_config(_STRICT)
class Notion(_Platform, total=False):
    """Notion: two databases, Projects and Tasks."""

    parent: Annotated[
        Line, _about("Page that the databases are made below: id, URL or title.", "Work")
    ]
    tasks: Annotated[
        Line,
        _about(
            "An existing database for tasks, instead of one of trueup's own: id, URL, or title on"
            " the parent page.",
            "https://www.notion.so/8c0e1f5a9d3b4a6c8e7f0a1b2c3d4e5f",
        ),
    ]
    projects: Annotated[Line, _about("An existing database for projects, likewise.")]
    properties: Annotated[
        dict[NotionField, Line],
        _about(
            "What existing databases call their columns, by field; those called as in trueup's own"
            " databases need no mention.",
            {"due": "Deadline", "owner": "Assignee"},
        ),
    ]


@with_config(_OPEN)
class ThirdParty(_Platform, total=False):
    """A platform served by a reconciler that Settings names; its options are its own."""


@with_config(_STRICT)
class Integrations(TypedDict, total=False):
    """What is connected, and with which options; never a secret."""

    kind: Required[
        Annotated[Literal["Integrations"], _about("Says what the document is.", "Integrations")]
    ]
    linear: Annotated[Linear, _about("Tickets.", {"enabled": True, "team": "MOB"})]
    motion: Annotated[Motion, _about("Scheduling.", {"enabled": True, "workspace": "Personal"})]
    gitlab: Annotated[Gitlab, _about("Code.", {"enabled": True, "project": "jwp763/mobile-app"})]
    notion: Annotated[Notion, _about("Documents.", {"enabled": True, "parent": "Work"})]


@with_config(_STRICT)
class State(TypedDict, total=False):
    """Where the state tables are."""

    backend: Annotated[
        Literal["local", "spark", "databricks"],
        _about("The engine that keeps the tables; `local` by default.", "local"),
    ]
    name: Annotated[
        Identifier, _about("Prefix of the tables, for several states in one schema.", "home")
    ]
    path: Annotated[str, _about("Folder of the tables (local, spark); `.trueup/state` by default.")]
    catalog: Annotated[
        Identifier, _about("Unity Catalog (databricks); `jwp763` by default.", "jwp763")
    ]
    schema: Annotated[
        Identifier, _about("Schema (databricks, spark); `orchestrator` by default.", "orchestrator")
    ]
    warehouse: Annotated[
        str,
        _about("Id of the SQL warehouse (databricks), unless the environment names one.", "1a2b3c"),
    ]
    secret_scope: Annotated[
        str,
        _about(
            "Databricks secret scope for tokens that the environment does not have; a secret is"
            " called like the variable.",
            "trueup",
        ),
    ]


@with_config(_STRICT)
class DriftOverride(TypedDict, total=False):
    """Another rule for some edits of declared fields; what is left out matches everything."""

    drift: Required[
        Annotated[
            Literal["propose", "revert", "ignore"],
            _about("What becomes of these edits.", "revert"),
        ]
    ]
    fields: Annotated[
        list[DriftField], _about("Only edits of these fields.", ["title", "description"])
    ]
    platforms: Annotated[Platforms, _about("Only edits on these platforms.", ["notion"])]
    resources: Annotated[
        list[Line],
        _about(
            "Only edits of these resources and of what is below them; `*` stands for any"
            " characters.",
            ["mobile-app", "web/release-*"],
        ),
    ]


@with_config(_STRICT)
class Policy(TypedDict, total=False):
    """What the runner may do by itself."""

    prune: Annotated[
        Literal["archive", "close", "delete", "keep"],
        _about(
            "What becomes of remote objects whose spec is gone; `archive` by default.", "archive"
        ),
    ]
    max_prune: Annotated[
        str,
        PlainValidator(parse_max_prune),
        WithJsonSchema({"type": ["string", "integer"], "pattern": r"^\d+%?$", "minimum": 0}),
        _about("Refuse a plan that prunes more: a share or a count; `10%` by default.", "10%", 25),
    ]
    drift: Annotated[
        Literal["propose", "revert", "ignore"],
        _about(
            "What becomes of edits of declared fields on a platform: a proposed spec change,"
            " undone, or left alone; `propose` by default.",
            "propose",
        ),
    ]
    drift_overrides: Annotated[
        list[DriftOverride],
        _about(
            "Exceptions from `drift` by field, platform or resource; the last that matches counts.",
            [{"fields": ["description"], "platforms": ["notion"], "drift": "ignore"}],
        ),
    ]
    reviewed: Annotated[
        Literal["less", "same", "any"],
        _about(
            "What a pipeline may apply, as against the plan shown on the merge request: no more,"
            " the same, or anything; `less` by default.",
            "less",
        ),
    ]
    deleted: Annotated[
        Literal["propose", "recreate", "release"],
        _about(
            "What becomes of a declared resource whose object people deleted or put away: its"
            " removal from the specs is proposed, it is made again, or left alone on that"
            " platform; `propose` by default.",
            "propose",
        ),
    ]
    horizon: Annotated[
        int,
        PlainValidator(parse_horizon),
        WithJsonSchema({"type": ["string", "integer"], "pattern": r"^\d{1,4}[dw]$", "minimum": 0}),
        _about("How far ahead repeating tasks are made: days or weeks; `4w` by default.", "4w", 28),
    ]


@with_config(_STRICT)
class AgentModel(TypedDict, total=False):
    """A model that the agent may use, besides or instead of those that it knows."""

    model: Required[
        Annotated[
            Annotated[
                str, StringConstraints(pattern=r"^(anthropic|openai|openai-chat|xai|google):\S+$")
            ],
            _about("Provider and name; `openai-chat` is any server that speaks that protocol."),
        ]
    ]
    tier: Required[Annotated[Tier, _about("What it is good for.", "small")]]
    input: Annotated[
        Dollars, _about("US dollars for a million tokens read, where no price is known.", 0.1)
    ]
    output: Annotated[
        Dollars, _about("US dollars for a million tokens written, where no price is known.", 0.4)
    ]


@with_config(_STRICT)
class AgentBudget(TypedDict, total=False):
    """What the agent may spend. Checked before each call, for the worst that it can cost."""

    request: Annotated[Dollars, _about("US dollars for one request; 1 by default.", 0.5)]
    day: Annotated[Dollars, _about("US dollars a day (UTC); 10 by default.", 5)]
    request_tokens: Annotated[
        Tokens, _about("Tokens for one request, read and written; 1,000,000 by default.", 400_000)
    ]
    day_tokens: Annotated[Tokens, _about("Tokens a day; 10,000,000 by default.", 4_000_000)]


@with_config(_STRICT)
class Agent(TypedDict, total=False):
    """Which models `trueup draft` may use, and what they may cost."""

    providers: Annotated[
        Providers,
        _about("Only these; by default whichever have a key.", ["anthropic", "google"]),
    ]
    models: Annotated[
        list[AgentModel],
        _about(
            "Models to use besides those that are known; one that is known gets this tier.",
            [{"model": "openai-chat:qwen3", "tier": "small", "input": 0, "output": 0}],
        ),
    ]
    smallest: Annotated[Tier, _about("Never begin below this tier; `small` by default.", "medium")]
    largest: Annotated[Tier, _about("Never go beyond this tier; `large` by default.", "medium")]
    budget: Annotated[AgentBudget, _about("What it may spend.", {"request": 0.5, "day": 5})]


@with_config(_STRICT)
class Settings(TypedDict, total=False):
    """The runner itself."""

    kind: Required[Annotated[Literal["Settings"], _about("Says what the document is.", "Settings")]]
    state: Annotated[State, _about("Where the state tables are.", {"backend": "local"})]
    policy: Annotated[
        Policy,
        _about("What the runner may do by itself.", {"prune": "archive", "max_prune": "10%"}),
    ]
    reconcilers: Annotated[
        list[Key],
        _about("Installed third-party reconcilers that may be loaded, by name.", ["jira"]),
    ]
    agent: Annotated[
        Agent, _about("What `trueup draft` may use and spend.", {"budget": {"request": 0.5}})
    ]


class _Override(TypedDict, total=False):
    title: Annotated[Line, _about("Title (for a project: name) there.", "WEB: pick the stack")]
    description: Annotated[Markdown, _about("Markdown there.")]
    status: Annotated[Status, _about("Status there.", "todo")]
    priority: Annotated[Priority, _about("Priority there.", "low")]
    owner: Annotated[Key | None, _about("Owner there.", "me")]
    start: Annotated[Date, _about("Start date there.", "2026-12-01")]
    due: Annotated[Date, _about("Due date there.", "2026-12-05")]
    labels: Annotated[Labels, _about("Labels there, in place of the neutral ones.", ["web"])]
    links: Annotated[Links, _about("Links there, in place of the neutral ones.")]


@with_config(_STRICT)
class OnLinear(_Override, total=False):
    """What differs on Linear."""

    team: Annotated[Line, _about("Key of another team.", "WEB")]


@with_config(_STRICT)
class OnMotion(_Override, total=False):
    """What differs on Motion."""

    workspace: Annotated[Line, _about("Name of another workspace.", "Work")]


@with_config(_STRICT)
class OnGitlab(_Override, total=False):
    """What differs on GitLab."""

    project: Annotated[Line, _about("Path of another project.", "jwp763/website")]


@with_config(_STRICT)
class OnNotion(_Override, total=False):
    """What differs on Notion."""

    parent: Annotated[Line, _about("Another page: id, URL or title.", "Home")]


@with_config(_OPEN)
class OnThirdParty(_Override, total=False):
    """What differs on a third-party platform; further options are the reconciler's own."""


class _OnPlatforms(TypedDict, total=False):
    linear: Annotated[OnLinear, _about("What differs on Linear.", {"team": "WEB"})]
    motion: Annotated[OnMotion, _about("What differs on Motion.", {"workspace": "Work"})]
    gitlab: Annotated[OnGitlab, _about("What differs on GitLab.", {"project": "jwp763/website"})]
    notion: Annotated[OnNotion, _about("What differs on Notion.", {"parent": "Home"})]


@with_config(_STRICT)
class Milestone(TypedDict, total=False):
    """A date that a part of a project is to be ready by."""

    name: Required[Annotated[Line, _about("What people read.", "Beta")]]
    description: Annotated[Markdown, _about("Markdown.", "Everything that testers need.")]
    due: Annotated[Date, _about("The date.", "2027-01-31")]
    protect: Annotated[bool, _about(_PROTECT, True)]


@with_config(_STRICT)
class Repeat(TypedDict, total=False):
    """How often a task comes back.

    The occurrences within `policy.horizon` become tasks of their own, due on their day:
    `review@2026-11-30` (daily), `review@2026-W49` (weekly), `review@2026-12` (monthly). With
    several days a week, the first one named keeps the short key and the others get theirs:
    `review@2026-W49-thu`.
    """

    every: Required[Annotated[Literal["day", "week", "month"], _about("The period.", "week")]]
    days: Annotated[
        Weekdays,
        _about("Days of the week (with `week`); `[mon]` by default.", ["mon", "thu"]),
    ]
    day: Annotated[
        Annotated[int, Field(ge=1, le=31)],
        _about("Day of the month (with `month`); the last day where it is too short.", 1),
    ]
    until: Annotated[Date, _about("The last day on which it may be due.", "2027-06-30")]


@with_config(_STRICT)
class Defaults(TypedDict, total=False):
    """What the tasks of a project have where they do not say otherwise."""

    status: Annotated[Status, _about("Status.", "backlog")]
    priority: Annotated[Priority, _about("Priority.", "medium")]
    owner: Annotated[Key | None, _about("Owner.", "me")]
    estimate: Annotated[Estimate, _about("Estimate.", "2h")]
    labels: Annotated[Labels, _about("Labels; a task's own replace them.", ["product"])]
    milestone: Annotated[Key, _about("Milestone.", "beta")]
    platforms: Annotated[Platforms, _about(_PLATFORMS, ["linear", "notion"])]
    protect: Annotated[bool, _about(_PROTECT, True)]


@with_config(_STRICT)
class Task(_OnPlatforms, total=False):
    """A piece of work. Fields that are left out belong to the platforms."""

    title: Required[Annotated[Line, _about("One line.", "Pick the stack")]]
    description: Annotated[Markdown, _about("Markdown.", "With [links](https://example.com).")]
    status: Annotated[Status, _about("Usually left to the platforms.", "todo")]
    priority: Annotated[Priority, _about("How much it matters.", "high")]
    owner: Annotated[Key | None, _about(_OWNER, "me")]
    start: Annotated[Date, _about("No work before this day. `null` clears it.", "2026-12-01")]
    due: Annotated[Date, _about("To be done by this day. `null` clears it.", "2026-12-05")]
    estimate: Annotated[
        Estimate,
        _about("Work in minutes, hours, days (8h) or weeks (5d). `null` clears it.", "4h", "1d 4h"),
    ]
    labels: Annotated[Labels, _about("Labels, without commas.", ["product"])]
    links: Annotated[
        Links,
        _about(
            "Addresses of what belongs to it.", [{"url": "https://example.com", "title": "Brief"}]
        ),
    ]
    milestone: Annotated[Key | None, _about("A milestone of the project.", "beta")]
    depends_on: Annotated[
        References,
        _about(
            "Tasks that must be done before: keys, or `project/task` in another project.",
            ["pick-stack"],
        ),
    ]
    platforms: Annotated[
        Platforms,
        _about(_PLATFORMS + " By default where its parent or project is.", ["linear", "notion"]),
    ]
    repeat: Annotated[Repeat, _about("Makes it come back.", {"every": "week", "days": ["mon"]})]
    protect: Annotated[bool, _about(_PROTECT, True)]
    tasks: Annotated[
        dict[Key, Task],
        _about("Subtasks, by key.", {"wireframes": {"title": "Wireframes", "estimate": "2h"}}),
    ]


@with_config(_STRICT)
class Project(_OnPlatforms, total=False):
    """A project with its milestones and tasks."""

    kind: Required[Annotated[Literal["Project"], _about("Says what the document is.", "Project")]]
    key: Required[
        Annotated[Key, _about("Its stable identity, the first part of addresses.", "mobile-app")]
    ]
    name: Required[Annotated[Line, _about("What people read.", "Mobile app")]]
    description: Annotated[Markdown, _about("Markdown.", "With [links](https://example.com).")]
    status: Annotated[Status, _about("Usually left to the platforms.", "in_progress")]
    priority: Annotated[Priority, _about("How much it matters.", "high")]
    owner: Annotated[Key | None, _about(_OWNER, "me")]
    start: Annotated[Date, _about("No work before this day. `null` clears it.", "2026-12-01")]
    due: Annotated[Date, _about("The deadline. `null` clears it.", "2027-02-28")]
    labels: Annotated[Labels, _about("Labels, without commas.", ["product"])]
    links: Annotated[Links, _about("Addresses of what belongs to it.", ["https://example.com"])]
    platforms: Annotated[
        Platforms,
        _about(_PLATFORMS + " By default on every enabled platform.", ["linear", "motion"]),
    ]
    protect: Annotated[bool, _about(_PROTECT, True)]
    defaults: Annotated[
        Defaults,
        _about("What its tasks have where they do not say otherwise.", {"owner": "me"}),
    ]
    milestones: Annotated[
        dict[Key, Milestone],
        _about("By key.", {"beta": {"name": "Beta", "due": "2027-01-31"}}),
    ]
    tasks: Annotated[
        dict[Key, Task],
        _about(
            "By key; keys are unique in the project, whatever the nesting.",
            {"pick-stack": {"title": "Pick the stack"}},
        ),
    ]
    moved: Annotated[
        dict[OldAddress, NewAddress],
        _about(
            "Renames, from old to new, so that remote objects are kept: `old: new` for a task,"
            " `milestones/old: milestones/new` for a milestone, `project/task: new` for a task"
            " that comes from another project.",
            {"choose-stack": "pick-stack"},
        ),
    ]
    formerly: Annotated[list[Key], _about("Keys that the project itself had before.", ["app"])]


MODELS: Final[dict[DocumentKind, type]] = {
    "People": People,
    "Integrations": Integrations,
    "Settings": Settings,
    "Project": Project,
}
"""The model of each kind of document."""


def json_schemas() -> dict[str, dict[str, object]]:
    """Return the JSON Schemas of the language: one for each kind, and `document` for any."""
    schemas: dict[str, dict[str, object]] = {}
    for kind, model in MODELS.items():
        adapter: TypeAdapter[object] = TypeAdapter(model)
        schemas[kind.lower()] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **adapter.json_schema(),
        }
    schemas["document"] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A trueup spec",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(MODELS)}},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}},
                "then": {"$ref": f"{kind.lower()}.json"},
            }
            for kind in MODELS
        ],
    }
    return schemas

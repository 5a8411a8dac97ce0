"""What `trueup init` writes: a spec repo that validates, plans and has its own pipeline."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

from runner.config import LOCAL
from runner.repo import normal_url
from schemas.domain import PLATFORMS
from schemas.errors import ConfigError

SCHEMAS = ".schemas"
"""The folder for the JSON Schemas that editors complete and check the specs with."""


@dataclass(frozen=True, slots=True)
class _Start:
    """All that the files are made from."""

    platforms: tuple[str, ...]
    name: str
    key: str
    today: date
    person: str
    email: str
    timezone: str
    gitlab_project: str


def scaffold(root: Path, platforms: Sequence[str], name: str, today: date) -> list[Path]:
    """Write a spec repo into `root` and return the files, relative to it.

    Args:
        root: an empty git work tree, or any folder.
        platforms: which platforms to connect.
        name: the first project's name; the folder's where empty.
        today: the example's dates follow it.

    Raises:
        ConfigError: a platform is unknown, or a file is there already; nothing was written.
    """
    files = dict(_files(_start(root, platforms, name, today)))
    present = [path for path in files if os.path.lexists(root / path)]
    if present:
        raise ConfigError(
            f"{'these files are' if len(present) > 1 else 'this file is'} there already:"
            f" {', '.join(present)}",
            hint="start in an empty folder, or move them away; nothing was written",
        )
    for path, text in files.items():
        target = root / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
    return [Path(path) for path in files]


def _start(root: Path, platforms: Sequence[str], name: str, today: date) -> _Start:
    wanted = [item.strip() for item in platforms if item.strip()]
    unknown = [item for item in wanted if item not in PLATFORMS]
    if unknown or not wanted:
        raise ConfigError(
            f"there is no platform `{unknown[0]}`" if unknown else "no platform was named",
            hint=f"choose from {', '.join(PLATFORMS)}",
        )
    name = " ".join(name.split()) or root.name.replace("-", " ").replace("_", " ").strip()
    name = name or "First project"
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-")
    return _Start(
        platforms=tuple(item for item in PLATFORMS if item in wanted),
        name=name[:1].upper() + name[1:],
        key=key or "first-project",
        today=today,
        person=_git(root, "user.name") or "Me",
        email=_git(root, "user.email") or "me@example.com",
        timezone=_timezone(),
        gitlab_project=_gitlab_project(root),
    )


def _git(root: Path, setting: str) -> str:
    """Return a git setting as it holds in `root`, or '' where git or the setting is missing."""
    try:
        import git
    except ImportError:
        return ""
    try:
        return git.Git(root).config("--get", setting).strip()
    except git.GitCommandError:
        return ""


def _gitlab_project(root: Path) -> str:
    """Return the path that the repo has on GitLab, judged by its remote, or a placeholder."""
    remote = normal_url(_git(root, "remote.origin.url"))
    host, _, path = remote.partition("/")
    return path if "gitlab" in host and path else "your-name/your-project"


def _timezone() -> str:
    """Return the machine's IANA time zone, or `UTC`."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    link = Path("/etc/localtime")
    linked = str(link.resolve()).partition("zoneinfo/")[2] if link.is_symlink() else ""
    for name in (os.environ.get("TZ", ""), linked):
        try:
            if name:
                return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return "UTC"


def _files(start: _Start) -> Iterator[tuple[str, str]]:
    """Yield every file with its text, in the order in which to read them."""
    from schemas.spec import MODELS, json_schemas

    yield "specs/people.yaml", _people(start)
    yield "specs/integrations.yaml", _integrations(start)
    yield "specs/settings.yaml", _SETTINGS
    yield f"specs/projects/{start.key}.yaml", _project(start)
    yield ".gitlab-ci.yml", _pipeline(start)
    yield ".gitlab/trueup.yml", _template()
    yield ".gitignore", f"# State, journals and caches: they belong to one checkout.\n{LOCAL}/\n"
    yield "README.md", _readme(start)
    schemas = json_schemas()
    for kind in MODELS:
        name = kind.lower()
        yield f"{SCHEMAS}/{name}.json", json.dumps(schemas[name], ensure_ascii=False) + "\n"


def _scalar(text: str) -> str:
    """Return text as a YAML scalar, quoted unless it surely reads as the same text without."""
    words = re.fullmatch(r"[A-Za-z][\w .@+/-]*[\w+]", text, re.ASCII)
    special = text.lower() in {"true", "false", "null", "yes", "no", "on", "off"}
    return text if words and not special else json.dumps(text, ensure_ascii=False)


def _people(start: _Start) -> str:
    gitlab = (
        "\n    # GitLab knows people by user name, not by e-mail address:"
        "\n    # gitlab: your-user-name"
        if "gitlab" in start.platforms
        else ""
    )
    return f"""\
# yaml-language-server: $schema=../{SCHEMAS}/people.json
#
# Everybody who can own something. Specs name people by their keys (`owner: me`), so that an
# e-mail address changes in one place only.
kind: People
people:
  me:
    name: {_scalar(start.person)}
    email: {_scalar(start.email)}
    # Where a due date ends: Motion schedules in it.
    timezone: {start.timezone}{gitlab}
"""


def _integrations(start: _Start) -> str:
    blocks = {
        "linear": """\
# The key of the team that gets the issues: the MOB of MOB-12.
linear:
  enabled: true
  team: MOB
""",
        "gitlab": f"""\
# The path of the project whose issues these become.
gitlab:
  enabled: true
  project: {_scalar(start.gitlab_project)}
""",
        "notion": """\
# The page (id, URL or title) below which two databases are made, Projects and Tasks. Share the
# page with your Notion connection first, or it cannot be seen.
notion:
  enabled: true
  parent: Work
""",
        "motion": """\
# The name of the workspace.
motion:
  enabled: true
  workspace: Personal
""",
    }
    head = f"""\
# yaml-language-server: $schema=../{SCHEMAS}/integrations.json
#
# What is connected, and where things are put. Never a secret: tokens come from the environment
# ({", ".join(_tokens(start))}).
kind: Integrations
"""
    return head + "".join(f"\n{blocks[name]}" for name in start.platforms)


_SETTINGS = f"""\
# yaml-language-server: $schema=../{SCHEMAS}/settings.json
#
# The runner itself. Everything here is a default, spelled out so that you can see it.
kind: Settings

# Where trueup keeps what was last agreed on with each platform: Delta tables below
# {LOCAL}/state. Losing them is like losing a Terraform state.
state:
  backend: local

policy:
  # What becomes of remote objects when their spec is deleted: archive | close | delete | keep.
  prune: archive
  # A plan that prunes more than this is refused: the usual cause is a mistake.
  max_prune: 10%
  # What becomes of edits that people make to declared fields on a platform:
  # propose (leave them, and show them in every plan) | revert | ignore.
  drift: propose
  # What the pipeline may apply, as against the plan that was shown on the merge request:
  # less (no more than that) | same | any.
  reviewed: less
"""


def _project(start: _Start) -> str:
    def day(offset: int) -> str:
        return (start.today + timedelta(days=offset)).isoformat()

    return f"""\
# yaml-language-server: $schema=../../{SCHEMAS}/project.json
#
# One project. Keys (`{start.key}`, `connect`) are identities and stay; everything else may change
# freely. A field that you leave out belongs to the platforms: whoever edits it there decides.
kind: Project
key: {_scalar(start.key)}
name: {_scalar(start.name)}
description: |
  Projects and tasks as code, with [the specs](specs/) as the one place to change them.
owner: me
priority: medium
start: {day(0)}
due: {day(42)}

# What every task below has unless it says otherwise.
defaults:
  owner: me

milestones:
  running:
    name: It runs by itself
    due: {day(28)}

tasks:
  connect:
    title: Connect the platforms
    description: |
      Make a token on each platform, export it, and run `trueup doctor` until all is well.
    estimate: 1h
    due: {day(7)}
    milestone: running

  first-apply:
    title: Review the first plan and apply it
    estimate: 30m
    depends_on: [connect]
    milestone: running

  pipeline:
    title: Let the pipeline apply
    estimate: 2h
    depends_on: [first-apply]
    milestone: running
    # Subtasks nest, and keep their address ({start.key}/tokens) when they move elsewhere.
    tasks:
      tokens:
        title: Put the tokens into the CI/CD variables, masked
        estimate: 30m

  own-project:
    title: Declare a project of your own
    estimate: 1h
    due: {day(35)}
    depends_on: [first-apply]
"""


def _tokens(start: _Start) -> list[str]:
    names = {
        "linear": "LINEAR_API_KEY",
        "gitlab": "GITLAB_TOKEN",
        "notion": "NOTION_TOKEN",
        "motion": "MOTION_API_KEY",
    }
    return [names[name] for name in start.platforms]


def _pipeline(start: _Start) -> str:
    return f"""\
# Validate and plan on merge requests, apply on the default branch; .gitlab/trueup.yml says how.
#
# Set these under Settings > CI/CD > Variables, masked:
# {", ".join(dict.fromkeys(["GITLAB_TOKEN", *_tokens(start)]))}
include:
  - local: .gitlab/trueup.yml
    inputs:
      # Anything that pip can install: a version, a wheel, or git+https://...
      package: trueup=={version("trueup")}

stages: [test, deploy]

workflow:
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
"""


def _template() -> str:
    """Return the jobs of a spec repo's pipeline, a GitLab CI/CD component."""
    return (Path(__file__).parent / "templates" / "trueup.yml").read_text(encoding="utf-8")


def _readme(start: _Start) -> str:
    exports = "\n".join(f"export {name}=..." for name in _tokens(start))
    titles = {"linear": "Linear", "gitlab": "GitLab", "notion": "Notion", "motion": "Motion"}
    names = [titles[name] for name in start.platforms]
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"""\
# {start.name}

Projects and tasks as code: the files below `specs/` say what there is, and trueup makes it so on
{listed}.

| file | says |
| --- | --- |
| `specs/people.yaml` | who can own things |
| `specs/integrations.yaml` | what is connected |
| `specs/settings.yaml` | where the state is, and what trueup may do by itself |
| `specs/projects/*.yaml` | one project each; the layout is up to you |

## Every day

```sh
trueup validate          # check the specs
trueup plan              # what would change, and what it costs
trueup apply             # show it, ask, do it
trueup status            # what is where
```

## Once

Make a token on each platform, then:

```sh
{exports}
trueup doctor            # says what is missing, and how to mend it
```

## In the pipeline

`.gitlab-ci.yml` validates every change, shows the plan on merge requests, and applies the default
branch. Put the tokens into the CI/CD variables, and run the first pipeline on the default branch
with the variable `TRUEUP_FIRST=1`. A scheduled pipeline opens a merge request with what people
changed on the platforms.

Editors with the YAML language server complete and check the specs by the JSON Schemas in
`{SCHEMAS}/`.
"""

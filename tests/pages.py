"""The generated parts of the documentation, made from the code itself.

A page keeps what people wrote; what lies between `<!-- generated: NAME -->` and
`<!-- end -->` is replaced. `pages` gives every such page as it should read; the command
`python -m tests.generated` compares or writes them.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click

from reconcilers import for_platform
from reconcilers._contract import Field, Limits, Profile
from runner.cli import cli
from runner.commands import Examples, Flag
from runner.render import seconds
from schemas.domain import ACTIONS, PLATFORMS, Kind
from schemas.tables import TABLES
from tests.specrepo import AROUND

REPO = Path(__file__).parent.parent
KINDS: tuple[Kind, ...] = ("project", "milestone", "task")
NAMES: Mapping[str, str] = {
    "counterparts": "URLs on the other platforms",
    "container": "where it is put",
    "key": "address",
    "scheduled_start": "scheduled, start",
    "scheduled_end": "scheduled, end",
}
_BLOCK = re.compile(r"(<!-- generated: ([\w-]+)(?: (.*?))? -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> dict[Path, str]:
    """Return by path, below the repo root, every page that has generated parts, up to date."""
    found = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
    texts = {path: path.read_text(encoding="utf-8") for path in found}
    return {
        path.relative_to(REPO): fill(text) for path, text in texts.items() if _BLOCK.search(text)
    }


def fill(text: str) -> str:
    """Return a page with its generated parts made afresh.

    Raises:
        KeyError: it asks for a part that there is not.
    """

    def made(match: re.Match[str]) -> str:
        body = PARTS[match[2]](match[3] or "", text)
        return f"{match[1]}\n{body.strip()}\n\n{match[4]}"

    return _BLOCK.sub(made, text)


def capabilities(_argument: str, _page: str) -> str:
    """Return what every platform can hold: a table of fields for each kind of resource."""
    profiles = [for_platform(name).profile for name in PLATFORMS]
    parts: list[str] = []
    for kind in KINDS:
        parts.append(f"### {kind.title()}s\n")
        rows = [
            [_name(name, kind), *(_holds(p, kind, name) for p in profiles)] for name in _order(kind)
        ]
        actions = ["*can be*", *(_actions(profile, kind) for profile in profiles)]
        parts.append(_table(["", *(profile.title for profile in profiles)], [*rows, actions]))
    return "\n".join(parts)


def _order(kind: Kind) -> list[str]:
    """Return the fields that any platform holds of a kind, in the order in which they appear."""
    found: dict[str, None] = {}
    for name in PLATFORMS:
        for item in for_platform(name).profile.capabilities.fields:
            if kind in item.kinds and item.name not in {"project", "container", "key"}:
                found[item.name] = None
    return list(found)


def _name(name: str, kind: Kind) -> str:
    if name == "title" and kind != "task":
        return "name"
    return NAMES.get(name, name.replace("_", " "))


def _holds(profile: Profile, kind: Kind, name: str) -> str:
    if not profile.capabilities.supports(kind, "create"):
        return ""
    modes = {f.mode for f in profile.capabilities.fields if f.name == name and kind in f.kinds}
    if "write" in modes:
        return "yes"
    if "create" in modes:
        return "at creation"
    return "shown" if "read" in modes else "-"


def _actions(profile: Profile, kind: Kind) -> str:
    supported = [a for a in ACTIONS if profile.capabilities.supports(kind, a) and a != "bind"]
    done = {"create": "created", "update": "updated", "move": "moved"}
    done |= {"archive": "archived", "delete": "deleted"}
    return ", ".join(done[action] for action in supported)


def field_map(argument: str, _page: str) -> str:
    """Return a platform's field map: our field, theirs, for which kinds, and what to know."""
    profile = for_platform(argument).profile
    rows = [
        [_name(item.name, item.kinds[0]), f"`{item.remote}`", _kinds(item), _mode(item), item.note]
        for item in profile.capabilities.fields
    ]
    title = profile.title
    return _table(["field", f"on {title}", "of", "written", "note"], rows)


def _kinds(item: Field) -> str:
    return ", ".join(f"{kind}s" for kind in KINDS if kind in item.kinds)


def _mode(item: Field) -> str:
    words = {"write": "always", "create": "at creation", "read": "never"}
    drift = "" if item.observed or item.mode == "read" else "; edits there are not noticed"
    return words[item.mode] + drift


def facts(argument: str, _page: str) -> str:
    """Return what is settled about a platform: variables, container, limits, actions."""
    profile = for_platform(argument).profile
    rows = [
        ["token", f"`{profile.token_variable}`"],
        ["address", f"`{profile.url_variable}`, by default {profile.default_url}"],
        ["rate", _rate(profile.limits)],
        [
            "set the rate",
            f"`rate` in the Integrations spec, or `TRUEUP_{argument.upper()}_RATE`, a minute",
        ],
        ["where things go", f"`{profile.container}` in the Integrations spec"],
        ["creates in one request", str(profile.batch)],
    ]
    for kind in KINDS:
        if profile.capabilities.supports(kind, "create"):
            rows.append([f"a {kind} can be", _actions(profile, kind)])
        else:
            rows.append([f"a {kind}", "is not made there"])
    return _table(["", ""], rows)


def _rate(limits: Limits) -> str:
    """Return a documented limit in words."""
    rate = f"{limits.requests:,} requests in {seconds(limits.per_seconds)}"
    points = f", {limits.points:,} points in the same time" if limits.points else ""
    return f"{rate}{points}; at most {limits.concurrency} at once"


def tables(_argument: str, _page: str) -> str:
    """Return the nine tables of the state, column by column."""
    parts: list[str] = []
    for table in TABLES.values():
        key = ", ".join(f"`{name}`" for name in table.key)
        parts.append(f"### {table.name}\n\n{table.comment}. Key: {key}.\n")
        rows = [[f"`{c.name}`", c.type, c.comment] for c in table.columns]
        parts.append(_table(["column", "type", ""], rows))
    return "\n".join(parts)


def commands(_argument: str, _page: str) -> str:
    """Return the reference of every command, from the commands themselves."""
    root = click.Context(cli, info_name="trueup")
    parts = ["Before any command:\n", _options(cli, root)]
    for path, command in _commands(cli, ("trueup",)):
        context = click.Context(command, info_name=path[-1], parent=root)
        parts.append(f"## {' '.join(path)}\n")
        if isinstance(command, click.Group):
            parts.append(f"{command.help}\n")
            continue
        arguments = " ".join(command.collect_usage_pieces(context))
        parts.append(f"{command.help}\n\n```\n{' '.join(path)} {arguments}".rstrip() + "\n```\n")
        parts.append(_options(command, context))
        if isinstance(command, Examples) and command.examples:
            lines = [_commented(line.strip()) for line in command.examples.strip().splitlines()]
            parts.append("```sh\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(part for part in parts if part)


def _commented(example: str) -> str:
    """Return an example with what it is for as a comment of the shell."""
    return re.sub(r"\s{3,}", "  # ", example)


def _commands(
    group: click.Group, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


def _options(command: click.Command, context: click.Context) -> str:
    rows: list[list[str]] = []
    for parameter in command.get_params(context):
        if isinstance(parameter, Flag):
            names, text = parameter.get_help_record(context) or ("", "")
            rows.append([f"`{names}`", text.replace("  [", " ["), f"`{parameter.envvar}`"])
    return _table(["option", "", "or the variable"], rows) if rows else ""


def run(argument: str, page: str) -> str:
    """Return what a command prints on the YAML that the page shows.

    The page's first `yaml` block is the project; people and integrations are the usual ones.
    The argument is the command, as one would type it.
    """
    found = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    project = found[1] if found else ""
    with tempfile.TemporaryDirectory() as folder:
        specs = Path(folder, "specs")
        (specs / "projects").mkdir(parents=True)
        (specs / "projects" / "project.yaml").write_text(project, encoding="utf-8")
        (specs / "around.yaml").write_text(AROUND, encoding="utf-8")
        words = shlex.split(argument)[1:]
        result = subprocess.run(
            [*_TRUEUP, "-C", folder, "--today", "2026-11-24", "--no-color", *words],
            check=True,
            capture_output=True,
            text=True,
        )
    return f"```console\n$ {argument}\n{result.stdout.rstrip()}\n```"


_TRUEUP = [sys.executable, "-P", "-c", "from runner.cli import main; main()"]


def evaluation(argument: str, _page: str) -> str:
    """Return how the baseline does on all requests, or what the verifiers look at."""
    from evals import table
    from evals.contenders import BASELINE, contender
    from evals.verifiers import VERIFIERS

    if argument == "verifiers":
        rows = [[f"`{v.__name__}`", (v.__doc__ or "").splitlines()[0]] for v in VERIFIERS]
        return _table(["verifier", "says yes if"], rows)
    report = asyncio.run(table.run(contender(BASELINE), BASELINE))
    if report.failures:
        raise RuntimeError(f"no answer: {report.failures[0].error_message}")
    return table.markdown(report)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; pipes in cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


PARTS: Mapping[str, Callable[[str, str], str]] = {
    "capabilities": capabilities,
    "field-map": field_map,
    "facts": facts,
    "tables": tables,
    "commands": commands,
    "run": run,
    "evaluation": evaluation,
}
"""What can stand between the markers, by name; gets the marker's argument and the page."""

"""From platforms to specs: import what exists."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import click

from runner.commands import JSON, Examples, colour, flag, workspace
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from reconcilers._contract import Listed


@click.command(
    "import",
    cls=Examples,
    examples="""
    trueup import linear --dry-run             show what it would write
    trueup import linear --team MOB --people   all open work of a team
    trueup import gitlab --match mobile-app/pick-stack=#7
    trueup import notion --project "Mobile app" --closed include
    """,
)
@click.argument("platform")
@flag(
    "--in",
    "--team",
    "container",
    default="",
    envvar="TRUEUP_IN",
    metavar="NAME",
    help="Linear team, GitLab project, Notion page or Motion workspace."
    "  [default: that of the Integrations spec]",
)
@flag("--project", "projects", multiple=True, metavar="NAME", help="Only this project; repeatable.")
@flag("--into", default="", metavar="KEY", help="Project that takes what is in none.")
@flag(
    "--match",
    "matches",
    multiple=True,
    metavar="ADDRESS=OBJECT",
    help="Say which object a declared resource is: by URL, id or short name; repeatable.",
)
@flag(
    "--closed",
    type=click.Choice(["needed", "skip", "include"]),
    default="needed",
    help="Closed work: what open work needs, none, or all.  [default: needed]",
)
@flag("--people", is_flag=True, help="Add owners whom the specs do not know to People.")
@flag("--dry-run", is_flag=True, help="Write nothing; show what would be written.")
@JSON
@click.pass_context
def import_(
    context: click.Context,
    platform: str,
    container: str,
    projects: tuple[str, ...],
    into: str,
    matches: tuple[str, ...],
    closed: Literal["needed", "skip", "include"],
    people: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write specs for what exists on PLATFORM, and bind it; nothing changes there.

    What the specs declare already is recognised by link or title and joined, not declared twice.
    """
    from runner.edits import edited_text
    from runner.imports.drafting import Wish
    from runner.imports.report import imported_json, imported_text
    from runner.imports.run import import_from

    wish = Wish(projects, closed, people, into, dict(map(_match, matches)))
    asking = not as_json and sys.stdin.isatty()
    done = import_from(
        workspace(context),
        platform,
        container,
        wish,
        choose=_ask if asking else _leave,
        dry_run=dry_run,
    )
    if as_json:
        click.echo(imported_json(done), nl=False)
    else:
        if dry_run and not done.edited.refused:
            text = edited_text(done.edited, done.before, colour=colour(context), diff=True)
            click.echo(text, nl=False)
        click.echo(imported_text(done, colour=colour(context)), nl=False)
    if done.edited.refused:
        raise SystemExit(1)


def _match(text: str) -> tuple[str, str]:
    address, sign, name = text.partition("=")
    if not (sign and address and name):
        raise ConfigError(
            f"--match {text} says nothing", hint="for example: --match mobile-app/pick-stack=MOB-12"
        )
    return address, name


def _leave(_item: Listed, _addresses: Sequence[str]) -> None:
    """Leave open what nobody is there to answer."""


def _ask(item: Listed, addresses: Sequence[str]) -> str | None:
    name = item.name or item.seen.url
    click.echo(f"{name} “{item.seen.fields.get('title')}” may be", err=True)
    for number, address in enumerate(addresses, 1):
        click.echo(f"  {number}  {address}", err=True)
    answer = click.prompt(
        "Which one? (0 for none)", type=click.IntRange(0, len(addresses)), err=True
    )
    return addresses[answer - 1] if answer else None

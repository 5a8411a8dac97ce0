"""The state: look at it, move it, mend it."""

from __future__ import annotations

from pathlib import Path

import click

from runner.commands import JSON, Examples, colour, flag, say, workspace


@click.group()
def state() -> None:
    """Look at the state, or mend it."""


@state.command("init")
@click.pass_context
def state_init(context: click.Context) -> None:
    """Create the nine tables, or take them to the present version."""
    with workspace(context).writer() as opened:
        click.echo(f"state {opened.identity()} is ready at {opened.place}")


@state.command("list", cls=Examples, examples="trueup state list --platform linear")
@flag("--platform", default="", help="Only the bindings of one platform.")
@JSON
@click.pass_context
def state_list(context: click.Context, platform: str, as_json: bool) -> None:
    """List the bindings: resource, platform, remote object."""
    from runner.status import bindings_text, to_json

    bindings = workspace(context).reader().bindings(platform=platform or None)
    click.echo(to_json(bindings) if as_json else bindings_text(bindings), nl=False)


@state.command("show", cls=Examples, examples="trueup state show mobile-app/pick-stack")
@click.argument("address")
@click.pass_context
def state_show(context: click.Context, address: str) -> None:
    """Print the rows that the state has of one resource, as JSON."""
    from runner.status import rows_of, to_json

    click.echo(to_json(rows_of(workspace(context).reader(), address)), nl=False)


@state.command("check")
@JSON
@click.pass_context
def state_check(context: click.Context, as_json: bool) -> None:
    """Find broken invariants, and say the remedy for each."""
    from runner.report import render
    from runner.state import check_state

    problems = check_state(workspace(context).reader())
    style = "json" if as_json else "text"
    click.echo(render(problems, style, colour=colour(context)), nl=False)
    if any(item.severity == "error" for item in problems):
        raise SystemExit(1)
    say("the state is sound")


@state.command(
    "copy",
    cls=Examples,
    examples="""
    trueup state copy --from local --to spark:tables/
    trueup state copy --from local --to databricks:jwp763.orchestrator
    """,
)
@flag("--from", "source", required=True, metavar="PLACE", help="Backend, or BACKEND:WHERE.")
@flag("--to", "target", required=True, metavar="PLACE", help="The same; must have no state yet.")
@click.pass_context
def state_copy(context: click.Context, source: str, target: str) -> None:
    """Copy the state to another backend, and prove that both are equal."""
    from runner.state import tables_at, tables_at_for_writing
    from runner.state.transfer import copy_state

    place = workspace(context)
    settings, config = place.loaded.settings, place.config
    to = tables_at_for_writing(target, settings, config)
    moved = copy_state(tables_at(source, settings, config), to)
    click.echo(f"{moved} at {to.place}")


@state.command("export", cls=Examples, examples="trueup state export state.jsonl.gz")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_context
def state_export(context: click.Context, file: Path) -> None:
    """Write the state to one portable file, and prove that it is equal."""
    from runner.state import tables_at
    from runner.state.transfer import export_state

    place = workspace(context)
    moved = export_state(tables_at("", place.loaded.settings, place.config), file)
    click.echo(f"{moved} in {file}")


@state.command("import", cls=Examples, examples="trueup state import state.jsonl.gz")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_context
def state_import(context: click.Context, file: Path) -> None:
    """Take the state from such a file; there must be none yet."""
    from runner.state import tables_at_for_writing
    from runner.state.transfer import import_state

    place = workspace(context)
    to = tables_at_for_writing("", place.loaded.settings, place.config)
    click.echo(f"{import_state(file, to)} at {to.place}")


@state.command("optimize")
@flag(
    "--keep",
    default=30,
    type=click.IntRange(min=7),
    metavar="DAYS",
    help="Keep replaced files so long, for time travel.  [default: 30]",
)
@click.pass_context
def state_optimize(context: click.Context, keep: int) -> None:
    """Make the tables' files few and delete old ones; saved plans become stale."""
    from runner.state import tables_at_for_writing
    from schemas.tables import TABLES

    place = workspace(context)
    tables = tables_at_for_writing("", place.loaded.settings, place.config)
    for name in TABLES:
        tables.tidy(name, keep * 24)
    click.echo(f"{len(TABLES)} tables are compact at {tables.place}")


@state.command("unlock")
@flag("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_context
def state_unlock(context: click.Context, yes: bool) -> None:
    """Take the lease away from an apply that died; a live one stops by itself."""
    with workspace(context).writer() as opened:
        lease = opened.lease()
        if lease is None:
            click.echo("nobody holds the lease")
            return
        say(f"{lease.who} holds it since {lease.since}, run {lease.run_id}")
        if yes or click.confirm("Take it away?", err=True):
            opened.break_lease()
            click.echo("the lease is free")

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


@state.command(
    "undo",
    cls=Examples,
    examples="""
    trueup state undo last                   show the way back from the latest apply
    trueup state undo 20261124T101500Z --specs
    """,
)
@click.argument("run")
@flag("--specs", "write", is_flag=True, envvar="TRUEUP_UNDO_SPECS", help="Write the specs, too.")
@JSON
@click.pass_context
def state_undo(context: click.Context, run: str, write: bool, as_json: bool) -> None:
    """Show the way back from RUN, or `last`: what the specs must say again, and the plan then.

    The platforms follow with the next apply. What was changed again since is left alone.
    """
    from runner.undo import undo, undo_json, undo_text

    found = undo(workspace(context), run, write=write)
    text = undo_json(found) if as_json else undo_text(found, colour=colour(context))
    click.echo(text, nl=False)
    if found.edited.refused:
        raise SystemExit(1)


@state.command(
    "forget",
    cls=Examples,
    examples="""
    trueup state forget mobile-app/pick-stack --platform linear
    trueup state forget --run 20261124T101500Z-c30d53fa
    """,
)
@click.argument("addresses", nargs=-1)
@flag("--platform", default="", help="Only on one platform.")
@flag("--run", "run_id", default="", envvar="TRUEUP_RUN", help="All that this run bound.")
@click.pass_context
def state_forget(
    context: click.Context, addresses: tuple[str, ...], platform: str, run_id: str
) -> None:
    """Let go of bindings: the objects stay as they are, and are tracked no longer.

    What the specs still declare is found by its marker, or made anew, by the next apply.
    """
    from runner.forget import forget

    for name in forget(workspace(context), addresses, platform, run_id):
        click.echo(f"forgot {name}")

"""The spec files: make a spec repo, check it, edit it."""

from __future__ import annotations

from pathlib import Path

import click

from runner.commands import JSON, Examples, colour, config_of, flag, say, workspace


@click.command(
    cls=Examples,
    examples="""
    trueup init                      a spec repo in this folder
    trueup init --platforms linear,notion
    """,
)
@flag("--platforms", default="linear,motion,gitlab,notion", help="Which platforms to connect.")
@flag("--name", default="", help="The first project's name.  [default: the folder's]")
@click.pass_context
def init(context: click.Context, platforms: str, name: str) -> None:
    """Make this folder a spec repo: specs, pipeline, README."""
    from runner.scaffold import scaffold

    config = config_of(context)
    for path in scaffold(config.root, platforms.split(","), name, config.today):
        click.echo(f"wrote {path}")
    click.echo("next: edit specs/, then: trueup validate && trueup plan")


@click.command(
    cls=Examples,
    examples="""
    trueup validate
    trueup validate --format gitlab > gl-code-quality-report.json
    trueup validate --reports .
    """,
)
@flag(
    "--format",
    "style",
    type=click.Choice(["text", "json", "gitlab", "sarif", "junit"]),
    default="text",
    envvar="TRUEUP_FORMAT",
    help="How to report.  [default: text]",
)
@flag(
    "--reports",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write gl-code-quality-report.json and junit.xml into this folder.",
)
@flag("--strict", is_flag=True, help="Fail on warnings, too.")
@click.pass_context
def validate(context: click.Context, style: str, reports: Path | None, strict: bool) -> None:
    """Check the specs and report every problem at once."""
    from runner.report import render

    place = workspace(context)
    found = place.diagnostics
    if reports:
        reports.mkdir(parents=True, exist_ok=True)
        for name, kind in (("gl-code-quality-report.json", "gitlab"), ("junit.xml", "junit")):
            (reports / name).write_text(render(found, kind), encoding="utf-8")
    click.echo(render(found, style, colour=colour(context)), nl=False)
    failing = {"error", "warning"} if strict else {"error"}
    if any(item.severity in failing for item in found):
        raise SystemExit(1)
    if style == "text":
        say(f"{len(place.loaded.files)} files, {len(place.desired.resources)} resources: valid")


@click.command(
    cls=Examples,
    examples="""
    trueup edit operations.json
    trueup edit --dry-run - < operations.json
    """,
)
@click.argument("operations")
@flag("--dry-run", is_flag=True, help="Show the changes, and write nothing.")
@JSON
@click.pass_context
def edit(context: click.Context, operations: str, dry_run: bool, as_json: bool) -> None:
    """Apply operations, a JSON file or - for standard input, to the specs: all, or none."""
    from runner.edits import edited_json, edited_text, read_operations
    from runner.language.edit import edit_files

    config = config_of(context)
    asked = read_operations(operations)
    edited, before = edit_files(config.root, config.specs, asked, config.today, dry_run=dry_run)
    if as_json:
        click.echo(edited_json(edited, before, written=not dry_run), nl=False)
    else:
        text = edited_text(edited, before, colour=colour(context), diff=dry_run)
        click.echo(text, nl=False)
    if edited.refused:
        raise SystemExit(1)

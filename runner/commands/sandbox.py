"""Getting to know trueup: the sandbox, the demo, and what may be wrong with this machine."""

from __future__ import annotations

import click

from runner.commands import JSON, Examples, colour, flag, workspace


@click.command(
    cls=Examples,
    examples="""
    trueup sandbox                   then copy the printed lines into another terminal
    trueup sandbox --no-limits
    """,
)
@flag("--port", default=8940, help="0 takes any free port.  [default: 8940]")
@flag("--limits/--no-limits", default=True, help="Enforce the documented rate limits.")
@click.pass_context
def sandbox(context: click.Context, port: int, limits: bool) -> None:
    """Serve stand-ins for all four platforms on loopback."""
    from runner.demo import serve_sandbox

    serve_sandbox(workspace(context), port, limits=limits, say=click.echo)


@click.command()
@flag("--keep", is_flag=True, help="Keep the temporary folder, to look around in.")
@click.pass_context
def demo(context: click.Context, keep: bool) -> None:
    """Run the whole story on the sandbox, in a temporary folder."""
    from runner.demo import run_demo

    run_demo(workspace(context).config.root, keep=keep, colour=colour(context))


@click.command(cls=Examples, examples="trueup doctor")
@JSON
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Check credentials, platforms, state, clock and versions; say how to mend each."""
    from runner.doctor import examine, findings_text
    from runner.status import to_json

    findings = examine(workspace(context))
    text = to_json(findings) if as_json else findings_text(findings, colour=colour(context))
    click.echo(text, nl=False)
    if any(not item.good for item in findings):
        raise SystemExit(1)

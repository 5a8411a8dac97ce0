"""Commands that go on until they are told to stop: watch."""

from __future__ import annotations

import contextlib
import signal
import sys

import click

from runner.commands import JSON, Examples, colour, config_of, flag


@click.command(
    cls=Examples,
    examples="""
    trueup watch
    trueup watch --apply             apply each valid save at once
    trueup watch --json              one object a line, for editors
    """,
)
@flag("--apply", is_flag=True, help="Apply each plan that does something, without asking.")
@JSON
@click.pass_context
def watch(context: click.Context, apply: bool, as_json: bool) -> None:
    """Check and plan after every save, until Ctrl-C."""
    from runner.watch import watch as look_on
    from runner.watch_view import view_for

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    on_terminal = sys.stdout.isatty()
    with (
        contextlib.suppress(KeyboardInterrupt),
        view_for(click.echo, as_json=as_json, terminal=on_terminal, colour=colour(context)) as view,
    ):
        look_on(lambda: config_of(context), view, apply=apply)

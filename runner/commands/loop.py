"""Commands that go on until they are told to stop: watch and run."""

from __future__ import annotations

import contextlib
import signal
import sys

import click

from runner.commands import JSON, Examples, colour, config_of, flag, say


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


@click.command(
    cls=Examples,
    examples="""
    trueup run                       in a clone: pull, observe, apply, every five minutes
    trueup -C /var/lib/trueup run --repo https://gitlab.com/me/specs.git
    trueup run --once --json         one turn, for cron
    """,
)
@flag("--repo", default="", metavar="URL", help="Clone it into the folder, if that is empty.")
@flag("--branch", default="", metavar="NAME", help="Follow it, not the one checked out.")
@flag("--interval", default=300.0, metavar="SECONDS", help="Between turns.  [default: 300]")
@flag("--max-prune", default="", metavar="N|N%", help="Allow more to be pruned than the policy.")
@flag("--once", is_flag=True, help="Take one turn, and end.")
@flag("--http/--no-http", default=True, help="Serve webhooks, probes and metrics.")
@flag("--host", default="127.0.0.1", help="Where to listen.  [default: 127.0.0.1]")
@flag("--port", default=8930, help="0 takes any free one.  [default: 8930]")
@JSON
@click.pass_context
def run(
    context: click.Context,
    repo: str,
    branch: str,
    interval: float,
    max_prune: str,
    once: bool,
    http: bool,
    host: str,
    port: int,
    as_json: bool,
) -> None:
    """Keep the platforms as the specs' branch says: pull, observe, apply, again and again."""
    if repo:
        from runner.clone import clone

        clone(config_of(context), repo, branch)
    if once:
        _take_turn(context, branch, max_prune, as_json=as_json)
        return
    from runner.endpoint import reconcile
    from runner.loop import Options

    if interval < 1:
        raise click.BadParameter("at least 1", param_hint="--interval")
    reconcile(
        lambda: config_of(context),
        Options(interval, branch, max_prune),
        listen=(host, port) if http else None,
        say=say,
    )


def _take_turn(context: click.Context, branch: str, max_prune: str, *, as_json: bool) -> None:
    from runner.status import to_json
    from runner.turn import take_turn, turn_text

    turn = take_turn(lambda: config_of(context), branch=branch, max_prune=max_prune)
    click.echo(to_json(turn) if as_json else f"{turn_text(turn)}\n", nl=False)
    if turn.ending == "failed":
        if turn.hint and not as_json:
            say(f"  fix: {turn.hint}")
        raise SystemExit(1)

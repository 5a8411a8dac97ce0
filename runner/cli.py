"""The command line: parse, call, print, exit. No decisions are made here.

stdout is the result, stderr is progress and errors. Exit codes: 0 done or nothing to do, 1
failed, 2 changes present (only with --detailed-exitcode), 64 wrong usage. Every flag has an
environment variable, `TRUEUP_<FLAG>`.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from runner.commands import Examples, flag, say
from runner.commands.agent import draft, revise
from runner.commands.changes import apply, history, plan, show, status
from runner.commands.drift import adopt, drift
from runner.commands.imports import import_
from runner.commands.loop import run, watch
from runner.commands.sandbox import demo, doctor, sandbox
from runner.commands.specs import edit, init, validate
from runner.commands.state import state
from schemas.errors import ConfigError, SpecError, TrueupError

if TYPE_CHECKING:
    from runner.config import Config

USAGE = 64


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `trueup demo`, or with `trueup init` in an empty git repo.",
)
@flag("-C", "--chdir", default=".", metavar="DIR", help="The spec repo.  [default: .]")
@flag("--specs", default="specs", metavar="DIR", help="The specs, below it.  [default: specs]")
@flag("--today", default="", metavar="DATE", help="Plan as if today were DATE.")
@flag("--color/--no-color", default=None, help="Colours; by default only on a terminal.")
@click.version_option(package_name="trueup", prog_name="trueup")
@click.pass_context
def cli(context: click.Context, chdir: str, specs: str, today: str, color: bool | None) -> None:
    """Projects and tasks as code.

    Declare them in YAML, review the plan, apply it to Motion, Linear, GitLab and Notion.
    """
    if color is None and "NO_COLOR" in os.environ:
        color = False
    context.color = color

    def config() -> Config:
        from runner.config import read_config

        return read_config(Path(chdir), specs, today)

    context.obj = config


@cli.command(
    cls=Examples,
    examples="""
    eval "$(trueup completion bash)"
    trueup completion fish > ~/.config/fish/completions/trueup.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise ConfigError(f"no completion for {shell}")
    click.echo(found(cli, {}, "trueup", "_TRUEUP_COMPLETE").source())


for _command in (
    *(init, validate, edit),
    *(plan, apply, status, show, history),
    *(drift, adopt),
    import_,
    *(draft, revise),
    state,
    *(watch, run),
    *(sandbox, demo, doctor),
):
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command line, and turn every error into a message and an exit code."""
    # A command makes many values and drops few: rare collections halve the time of a large plan.
    gc.set_threshold(200_000, 20, 20)
    # What is left at the end goes with the process; to search it once more takes half a second.
    atexit.register(gc.freeze)
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.UsageError as error:
        error.show()
        sys.exit(USAGE)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        sys.exit(1)
    except SpecError as error:
        _show_spec_error(error)
        sys.exit(1)
    except TrueupError as error:
        _show_error(str(error), error.hint)
        sys.exit(1)
    except BrokenPipeError:
        # The reader has gone (`| head`); without this, Python complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # the last resort: a user never sees a traceback
        if os.environ.get("TRUEUP_DEBUG"):
            raise
        hint = "this is a bug in trueup; TRUEUP_DEBUG=1 shows where"
        _show_error(f"{type(error).__name__}: {error}", hint)
        sys.exit(1)
    sys.exit(0)


def _show_spec_error(error: SpecError) -> None:
    from runner.report import render

    say(render(error.diagnostics, "text", colour=sys.stderr.isatty()).rstrip())
    _show_error(error.message, error.hint)


def _show_error(message: str, hint: str) -> None:
    click.secho("error: ", fg="red", bold=True, err=True, nl=False)
    say(message)
    if hint:
        click.secho("  fix: ", fg="cyan", err=True, nl=False)
        say(hint)

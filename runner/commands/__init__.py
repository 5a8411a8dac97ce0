"""The commands, one file per theme; each parses, calls, prints and decides nothing.

What they share is here: options with environment variables, examples in the help, the spec repo.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from runner.config import Config
    from runner.workspace import Workspace

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Flag(click.Option):
    """An option that can also be given as `TRUEUP_<FLAG>` in the environment."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.envvar is None and self.name and self.name not in {"help", "version"}:
            self.envvar = f"TRUEUP_{self.name.upper()}"


def flag(*names: str, **kwargs: Any) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds a `Flag`."""
    return click.option(*names, cls=Flag, **kwargs)


JSON = flag("--json", "as_json", is_flag=True, envvar="TRUEUP_JSON", help="Print JSON.")


class Examples(click.Command):
    """A command whose help ends with examples, line for line as written."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's own signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the examples."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.strip().splitlines():
                    formatter.write(f"  {line.strip()}\n")


def config_of(context: click.Context) -> Config:
    """Return the configuration that the command was called with."""
    return cast("Callable[[], Config]", context.obj)()


def workspace(context: click.Context) -> Workspace:
    """Return the spec repo that the command was called for."""
    from runner.workspace import Workspace

    return Workspace(config_of(context))


def colour(context: click.Context) -> bool:
    """Return whether stdout is to be coloured."""
    return sys.stdout.isatty() if context.color is None else context.color


def say(text: str) -> None:
    """Print a line of progress to stderr."""
    click.echo(text, err=True)

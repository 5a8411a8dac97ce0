"""The command line: parse, call, print, exit. No decisions are made here.

stdout is the result, stderr is progress and errors. Exit codes: 0 done or nothing to do, 1
failed, 2 changes present (only with --detailed-exitcode), 64 wrong usage. Every flag has an
environment variable, `TRUEUP_<FLAG>`.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import click

from schemas.errors import ConfigError, SpecError, TrueupError

if TYPE_CHECKING:
    from runner.config import Config
    from runner.workspace import Workspace
    from schemas.domain import Plan

USAGE = 64
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


def workspace(context: click.Context) -> Workspace:
    """Return the spec repo that the command was called for."""
    from runner.workspace import Workspace

    return Workspace(cast("Callable[[], Config]", context.obj)())


def colour(context: click.Context) -> bool:
    """Return whether stdout is to be coloured."""
    return sys.stdout.isatty() if context.color is None else context.color


def say(text: str) -> None:
    """Print a line of progress to stderr."""
    click.echo(text, err=True)


@cli.command(
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

    config = cast("Callable[[], Config]", context.obj)()
    for path in scaffold(config.root, platforms.split(","), name, config.today):
        click.echo(f"wrote {path}")
    click.echo("next: edit specs/, then: trueup validate && trueup plan")


@cli.command(
    cls=Examples,
    examples="""
    trueup validate
    trueup validate --format gitlab > gl-code-quality-report.json
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
@flag("--strict", is_flag=True, help="Fail on warnings, too.")
@click.pass_context
def validate(context: click.Context, style: str, strict: bool) -> None:
    """Check the specs and report every problem at once."""
    from runner.report import render

    place = workspace(context)
    found = place.diagnostics
    click.echo(render(found, style, colour=colour(context)), nl=False)
    failing = {"error", "warning"} if strict else {"error"}
    if any(item.severity in failing for item in found):
        raise SystemExit(1)
    if style == "text":
        say(f"{len(place.loaded.files)} files, {len(place.desired.resources)} resources: valid")


@cli.command(
    cls=Examples,
    examples="""
    trueup plan
    trueup plan --json | jq .summary
    trueup plan --out plan.json && trueup apply plan.json
    """,
)
@JSON
@flag("--markdown", is_flag=True, help="Print Markdown, for a merge request.")
@flag("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also save it for apply.")
@flag("--refresh", is_flag=True, help="Ask the platforms first what people changed there.")
@flag("--verbose", "-v", is_flag=True, help="Show every field of what is created.")
@flag("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.pass_context
def plan(
    context: click.Context,
    as_json: bool,
    markdown: bool,
    out: Path | None,
    refresh: bool,
    verbose: bool,
    detailed_exitcode: bool,
) -> None:
    """Show what an apply would do; changes nothing."""
    from runner.plan import make_plan
    from runner.platforms import profiles_of
    from runner.render import plan_json, plan_markdown, plan_text

    place = workspace(context)
    if refresh:
        from runner.operate import refresh_state

        refresh_state(place)
    made = make_plan(place.desired, place.reader(), profiles_of(place.desired))
    if out:
        out.write_text(plan_json(made), encoding="utf-8")
    if as_json:
        click.echo(plan_json(made), nl=False)
    elif markdown:
        click.echo(plan_markdown(made), nl=False)
    else:
        click.echo(plan_text(made, colour=colour(context), verbose=verbose), nl=False)
    if detailed_exitcode and made.changes:
        raise SystemExit(2)


@cli.command(
    cls=Examples,
    examples="""
    trueup apply                     plan, ask, apply
    trueup apply --yes               for pipelines
    trueup apply plan.json           exactly the plan that was reviewed
    """,
)
@click.argument("planfile", required=False, type=click.Path(dir_okay=False, path_type=Path))
@flag("--yes", "-y", is_flag=True, help="Do not ask.")
@flag("--refresh/--no-refresh", default=True, help="Ask the platforms first what people changed.")
@flag("--max-prune", default="", metavar="N|N%", help="Allow more to be pruned than the policy.")
@flag("--wait", default=0, metavar="SECONDS", help="Wait for another apply to end.")
@JSON
@click.pass_context
def apply(
    context: click.Context,
    planfile: Path | None,
    yes: bool,
    refresh: bool,
    max_prune: str,
    wait: int,
    as_json: bool,
) -> None:
    """Make the platforms match the specs."""
    from runner.operate import apply_specs
    from runner.render import applied_json, applied_text

    place = workspace(context)
    applied = apply_specs(
        place,
        planfile=planfile,
        refresh=refresh,
        max_prune=max_prune,
        wait=wait,
        confirm=lambda made: _confirm(context, made, yes=yes, quiet=as_json),
    )
    if as_json:
        click.echo(applied_json(applied), nl=False)
    else:
        click.echo(applied_text(applied, colour=colour(context)), nl=False)
    if not applied.complete:
        raise SystemExit(1)


def _confirm(context: click.Context, made: Plan, *, yes: bool, quiet: bool) -> bool:
    """Show the plan and ask; without a terminal only --yes is an answer."""
    from runner.render import plan_text

    if not quiet:
        click.echo(plan_text(made, colour=colour(context)))
    if yes or not made.changes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError("nobody is there to answer", hint="apply with --yes")
    return click.confirm("Apply this plan?", default=False, err=True)


@cli.command(
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

    config = cast("Callable[[], Config]", context.obj)()
    asked = read_operations(operations)
    edited, before = edit_files(config.root, config.specs, asked, config.today, dry_run=dry_run)
    if as_json:
        click.echo(edited_json(edited, before, written=not dry_run), nl=False)
    else:
        text = edited_text(edited, before, colour=colour(context), diff=dry_run)
        click.echo(text, nl=False)
    if edited.refused:
        raise SystemExit(1)


@cli.command(
    cls=Examples,
    examples="""
    trueup status
    trueup status --json | jq '.platforms[] | select(.health != "ok")'
    """,
)
@JSON
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show what is bound where, what is open, and how the platforms are."""
    from runner.status import read_status, status_text, to_json

    found = read_status(workspace(context))
    click.echo(to_json(found) if as_json else status_text(found, colour=colour(context)), nl=False)


@cli.command(cls=Examples, examples="trueup show mobile-app/pick-stack")
@click.argument("address")
@JSON
@click.pass_context
def show(context: click.Context, address: str, as_json: bool) -> None:
    """Show one resource: every field, who owns it, and where it is on each platform."""
    from runner.status import read_resource, resource_text, to_json

    found = read_resource(workspace(context), address)
    text = to_json(found) if as_json else resource_text(found, colour=colour(context))
    click.echo(text, nl=False)


@cli.command(
    cls=Examples,
    examples="""
    trueup history
    trueup history mobile-app/pick-stack --limit 5
    """,
)
@click.argument("address", required=False, default="")
@flag("--limit", default=20, metavar="N", help="At most so many entries.  [default: 20]")
@JSON
@click.pass_context
def history(context: click.Context, address: str, limit: int, as_json: bool) -> None:
    """Show what changed when, by which run and commit."""
    from runner.status import history_text, to_json

    entries = workspace(context).reader().history(address or None, limit)
    click.echo(to_json(entries) if as_json else history_text(entries), nl=False)


@cli.group()
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


@cli.command(
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


@cli.command()
@flag("--keep", is_flag=True, help="Keep the temporary folder, to look around in.")
@click.pass_context
def demo(context: click.Context, keep: bool) -> None:
    """Run the whole story on the sandbox, in a temporary folder."""
    from runner.demo import run_demo

    run_demo(workspace(context).config.root, keep=keep, colour=colour(context))


@cli.command(cls=Examples, examples="trueup doctor")
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


def main() -> NoReturn:
    """Run the command line, and turn every error into a message and an exit code."""
    # A command makes many values and drops few: rare collections halve the time of a large plan.
    gc.set_threshold(200_000, 20, 20)
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

"""From specs to platforms: plan and apply, and what has become of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.commands import JSON, Examples, colour, flag, workspace
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.announce import Allowed, Mode
    from schemas.domain import Plan

NOTE = flag(
    "--note",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Write to the merge request: in a GitLab pipeline whose token may, fail where it cannot,"
    " or do not.  [default: auto]",
)


@click.command(
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
@flag(
    "--reports",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write plan.json and plan.md into this folder.",
)
@NOTE
@flag("--refresh", is_flag=True, help="Ask the platforms first what people changed there.")
@flag("--verbose", "-v", is_flag=True, help="Show every field of what is created.")
@flag("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.pass_context
def plan(
    context: click.Context,
    as_json: bool,
    markdown: bool,
    out: Path | None,
    reports: Path | None,
    note: Mode,
    refresh: bool,
    verbose: bool,
    detailed_exitcode: bool,
) -> None:
    """Show what an apply would do; changes nothing."""
    from runner.announce import announce_plan, readable_state
    from runner.plan import make_plan
    from runner.platforms import profiles_of
    from runner.render import plan_json, plan_text
    from runner.review import plan_markdown

    place = workspace(context)
    if refresh:
        from runner.operate import refresh_state

        refresh_state(place)
    made = make_plan(place.desired, readable_state(place), profiles_of(place.desired))
    if out:
        out.write_text(plan_json(made), encoding="utf-8")
    if reports:
        reports.mkdir(parents=True, exist_ok=True)
        (reports / "plan.json").write_text(plan_json(made), encoding="utf-8")
        (reports / "plan.md").write_text(plan_markdown(made), encoding="utf-8")
    announce_plan(place, made, note)
    if as_json:
        click.echo(plan_json(made), nl=False)
    elif markdown:
        click.echo(plan_markdown(made), nl=False)
    else:
        click.echo(plan_text(made, colour=colour(context), verbose=verbose), nl=False)
    if detailed_exitcode and made.changes:
        raise SystemExit(2)


@click.command(
    cls=Examples,
    examples="""
    trueup apply                     plan, ask, apply
    trueup apply --yes               for pipelines
    trueup apply plan.json           exactly the plan that was reviewed
    """,
)
@click.argument("planfile", required=False, type=click.Path(dir_okay=False, path_type=Path))
@flag("--yes", "-y", is_flag=True, help="Do not ask.")
@flag("--first", is_flag=True, help="In a pipeline: it is the first, and there is no state yet.")
@flag("--refresh/--no-refresh", default=True, help="Ask the platforms first what people changed.")
@flag("--max-prune", default="", metavar="N|N%", help="Allow more to be pruned than the policy.")
@flag("--wait", default=0, metavar="SECONDS", help="Wait for another apply to end.")
@NOTE
@flag(
    "--reviewed",
    type=click.Choice(["less", "same", "any"]),
    help="What it may do in a pipeline, as against the plan on the merge request: no more, the"
    " same, or anything.  [default: policy.reviewed]",
)
@JSON
@click.pass_context
def apply(
    context: click.Context,
    planfile: Path | None,
    yes: bool,
    first: bool,
    refresh: bool,
    max_prune: str,
    wait: int,
    note: Mode,
    reviewed: Allowed | None,
    as_json: bool,
) -> None:
    """Make the platforms match the specs."""
    from runner.announce import expect_state, reviewing
    from runner.operate import apply_specs
    from runner.render import applied_json, applied_text

    place = workspace(context)
    if not first:
        expect_state(place)
    allowed = reviewed or place.loaded.settings.get("policy", {}).get("reviewed", "less")
    with reviewing(place, note, allowed) as review:

        def confirm(made: Plan) -> bool:
            answer = _confirm(context, made, yes=yes, quiet=as_json)
            review.check(made)
            return answer

        applied = apply_specs(
            place,
            planfile=planfile,
            refresh=refresh,
            max_prune=max_prune,
            wait=wait,
            confirm=confirm,
        )
        review.tell(place, applied)
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


@click.command(
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


@click.command(
    cls=Examples,
    examples="""
    trueup show mobile-app/pick-stack
    trueup show mobile-app/pick-stack --offline
    trueup show --request 20261124-101500-3fa9c1
    """,
)
@click.argument("address", required=False, default="")
@flag("--request", default="", metavar="ID", help="Show a request to the agent instead.")
@flag("--offline", is_flag=True, help="Do not ask for merge requests; show what is known.")
@JSON
@click.pass_context
def show(context: click.Context, address: str, request: str, offline: bool, as_json: bool) -> None:
    """Show one resource: every field, who owns it, and where it is on each platform."""
    from runner.show import read_resource, resource_text, with_code
    from runner.status import to_json

    if bool(address) == bool(request):
        raise click.UsageError("name a resource, or a request with --request")
    if request:
        from runner.agent.present import request_json, request_text
        from runner.agent.record import need_context, read_calls
        from runner.follow import follow

        place = workspace(context)
        if not offline:
            follow(place, request)
        reader = place.reader()
        remembered, calls = need_context(reader, request), read_calls(reader, request)
        told = request_json if as_json else request_text
        click.echo(told(remembered, calls), nl=False)
        return
    place = workspace(context)
    found = read_resource(place, address)
    if not offline:
        found = with_code(place, found)
    text = to_json(found) if as_json else resource_text(found, colour=colour(context))
    click.echo(text, nl=False)


@click.command(
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

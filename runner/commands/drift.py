"""What people did on the platforms: see it, and take it into the specs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.commands import JSON, Examples, colour, flag, workspace
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.drift import DriftReport
    from runner.workspace import Workspace

_PLATFORM = flag("--platform", default="", help="Only what was changed there.")
_OFFLINE = flag("--offline", is_flag=True, help="Do not ask the platforms; show what is known.")


@click.command(
    cls=Examples,
    examples="""
    trueup drift
    trueup drift mobile-app --platform linear
    trueup drift --json --detailed-exitcode
    """,
)
@click.argument("addresses", nargs=-1)
@_PLATFORM
@_OFFLINE
@flag("--full", is_flag=True, help="Read everything: also finds what was deleted for good.")
@JSON
@flag("--detailed-exitcode", is_flag=True, help="Exit with 2 when something has drifted.")
@click.pass_context
def drift(
    context: click.Context,
    addresses: tuple[str, ...],
    platform: str,
    offline: bool,
    full: bool,
    as_json: bool,
    detailed_exitcode: bool,
) -> None:
    """Show what people changed on the platforms, and what becomes of it."""
    from runner.drift import drift_json, drift_text

    report = _report(workspace(context), addresses, platform, offline=offline, full=full)
    text = drift_json(report) if as_json else drift_text(report, colour=colour(context))
    click.echo(text, nl=False)
    if report.failed:
        raise SystemExit(1)
    if detailed_exitcode and report.pressing:
        raise SystemExit(2)


@click.command(
    cls=Examples,
    examples="""
    trueup adopt                                everything that the policy proposes
    trueup adopt mobile-app/pick-stack --dry-run
    trueup adopt --mr                           as a merge request
    trueup adopt --theirs mobile-app/pick-stack settle a conflict for the platform
    trueup adopt --ours mobile-app/pick-stack   settle it for the specs
    """,
)
@click.argument("addresses", nargs=-1)
@_PLATFORM
@_OFFLINE
@flag("--mr", is_flag=True, help="Open a merge request; leave the work tree alone.")
@flag("--branch", default="", metavar="NAME", help="Commit to a new branch; with --mr, its name.")
@flag("--theirs", is_flag=True, help="Where git has changed it too, take what the platform has.")
@flag("--ours", is_flag=True, help="Adopt nothing: the next apply writes what the specs say.")
@flag("--dry-run", is_flag=True, help="Show the changes, and write nothing.")
@JSON
@click.pass_context
def adopt(
    context: click.Context,
    addresses: tuple[str, ...],
    platform: str,
    offline: bool,
    mr: bool,
    branch: str,
    theirs: bool,
    ours: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write what people changed on the platforms into the specs."""
    from runner.adopt import (
        adoption,
        adoption_json,
        adoption_text,
        commit_to_branch,
        proposed,
        remaining,
        remaining_text,
    )
    from runner.edits import edited_text
    from runner.language.edit import edit_files

    if ours and (theirs or mr or branch):
        raise click.UsageError("--ours writes nothing into the specs: use it by itself")
    if (ours or theirs) and not addresses:
        raise ConfigError("say what is to be settled", hint="name the addresses")
    place = workspace(context)
    report = _report(place, addresses, platform, offline=offline)
    if ours:
        _overwrite(place, report, dry_run=dry_run)
        return
    named = bool(addresses)
    made = adoption(report.items, place.desired, named=named, theirs=theirs)
    edited, more = None, dict[str, object]()
    shown = "" if as_json else adoption_text(made, colour=colour(context))
    if made.operations and (mr or branch) and not dry_run:
        config = place.config
        if mr:
            more = {"merge_request": proposed(config, made, branch).url}
        else:
            more = {"branch": branch, "commit": commit_to_branch(config, made, branch)}
        shown += "".join(f"{value}\n" for value in more.values())
    elif made.operations:
        config = place.config
        edited, before = edit_files(
            config.root, config.specs, made.operations, config.today, dry_run=dry_run
        )
        shown += edited_text(edited, before, colour=colour(context), diff=dry_run)
        if not edited.refused and not dry_run:
            counts = remaining(workspace(context), made)
            shown, more = shown + remaining_text(counts), {"remaining": counts}
    click.echo(adoption_json(made, edited, more) if as_json else shown, nl=False)
    if (edited and edited.refused) or made.left:
        raise SystemExit(1)


def _report(
    place: Workspace,
    addresses: tuple[str, ...],
    platform: str,
    *,
    offline: bool,
    full: bool = False,
) -> DriftReport:
    from runner.drift import read_drift
    from runner.operate import refresh_state

    if platform and platform not in place.desired.integrations:
        raise ConfigError(f"{platform} is not connected", hint="see specs/integrations.yaml")
    failed = None if offline else refresh_state(place, full=full).failed
    return read_drift(place, addresses, platform, failed)


def _overwrite(place: Workspace, report: DriftReport, *, dry_run: bool) -> None:
    from runner.drift import told
    from runner.operate import overwrite_drift

    items = [item for item in report.items if item.decision not in {"share", "overrule"}]
    if not dry_run:
        overwrite_drift(place, items)
    for line in told(items):
        click.echo(line)
    click.echo(f"{len(items)} to be overwritten: trueup apply" if items else "nothing to overwrite")

"""The agent: a request in plain words in, a merge request out."""

from __future__ import annotations

import functools
import gc
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import click

from runner.commands import JSON, Decorated, Examples, config_of, flag, say

if TYPE_CHECKING:
    from runner.agent.contract import AgentReply, AgentRequest
    from runner.agent.process import SpecAgent


def asked(command: Decorated) -> Decorated:
    """Give a command the arguments and options that make a request, as `request`."""

    @functools.wraps(command)
    def call(
        *args: Any,
        message: tuple[str, ...],
        earlier: str,
        request_id: str,
        author: str,
        project: tuple[str, ...],
        new_projects: int | None,
        max_removals: int | None,
        allow_settings: bool,
        **kwargs: Any,
    ) -> Any:
        from runner.agent.contract import AgentRequest, Scope

        scope = Scope(
            projects=project,
            max_removals=max_removals,
            new_projects=0 if project and new_projects is None else new_projects,
            settings=allow_settings,
        )
        request = AgentRequest(" ".join(message), request_id, earlier, author, scope)
        return command(*args, request=request, **kwargs)

    options = (
        click.argument("message", nargs=-1, required=True),
        flag(
            "--continue",
            "earlier",
            default="",
            metavar="ID",
            envvar="TRUEUP_CONTINUE",
            help="Go on from an earlier request.",
        ),
        flag("--request-id", default="", metavar="ID", help="The same id never opens a second."),
        flag("--author", default="", metavar="PERSON", help="Who asks: a key of the People."),
        flag("--project", multiple=True, metavar="KEY", help="Touch only this project."),
        flag("--new-projects", type=int, metavar="N", help="Create at most N projects."),
        flag("--max-removals", type=int, metavar="N", help="Take out at most N."),
        flag("--allow-settings", is_flag=True, help="Change people, integrations, policy, too."),
    )
    for option in reversed(options):
        call = option(call)
    return cast("Decorated", call)


@click.command(
    cls=Examples,
    examples="""
    trueup draft "Create a project for building a mobile app with a 3-month deadline"
    trueup draft --local --project home "Move everything that is due this week by a week"
    trueup draft --continue 20261124-101500-3fa9c1 "The second one"
    trueup draft --explain "Break down the search task"
    """,
)
@asked
@flag("--local", is_flag=True, help="Write the work tree instead of opening a merge request.")
@flag("--dry-run", is_flag=True, help="Show the draft, and write nothing.")
@flag("--explain", is_flag=True, help="Show which model would be asked, and why; ask nobody.")
@flag("--offline", is_flag=True, help="Draft by rules and templates, without a model.")
@JSON
@click.pass_context
def draft(
    context: click.Context,
    request: AgentRequest,
    local: bool,
    dry_run: bool,
    explain: bool,
    offline: bool,
    as_json: bool,
) -> None:
    """Draft spec changes from a request in plain words, and open a merge request."""
    # What talks to models makes half a million values that stay: there is nothing to collect.
    gc.disable()
    from runner.agent.present import decision_text, reply_json
    from runner.agent.process import SpecAgent
    from runner.status import to_json

    agent = SpecAgent(
        config_of(context),
        delivery="none" if dry_run else "local" if local else "merge-request",
        offline=offline,
        tell=_tell,
    )
    if explain:
        decision = agent.explain(request)
        click.echo(to_json(decision) if as_json else decision_text(decision) + "\n", nl=False)
        return
    reply = _answered(agent, request, ask=sys.stdin.isatty() and not as_json)
    click.echo(reply_json(reply) if as_json else reply.message + "\n", nl=False)


@click.command(
    cls=Examples,
    examples="""
    trueup revise '!12'
    trueup revise 12
    """,
)
@click.argument("merge_request")
@JSON
@click.pass_context
def revise(context: click.Context, merge_request: str, as_json: bool) -> None:
    """Revise a merge request as its reviewers ask, and answer in each thread."""
    gc.disable()
    from runner.agent.present import reply_json
    from runner.agent.revise import revise as revised

    number = merge_request.removeprefix("!")
    if not number.isascii() or not number.isdecimal():
        raise click.UsageError(f"`{merge_request}` is no merge request; write it as !12")
    reply = revised(config_of(context), int(number), _tell)
    if reply is None:
        click.echo("{}" if as_json else "nobody waits for an answer")
        return
    click.echo(reply_json(reply) if as_json else reply.message + "\n", nl=False)


def _answered(agent: SpecAgent, request: AgentRequest, *, ask: bool) -> AgentReply:
    """Return the reply; questions are put to whoever sits there, and answers sent on."""
    reply = agent.process_request_sync(request)
    while ask and reply.status == "asking":
        click.echo(reply.message)
        answer = click.prompt("Your answer (empty to stop)", default="", show_default=False)
        if not answer.strip():
            return reply
        request = replace(request, message=answer, request_id="", conversation=reply.request_id)
        reply = agent.process_request_sync(request)
    return reply


def _tell(kind: str, text: str) -> None:
    """Show what happens, a line each; the text of answers is not shown as it comes."""
    from runner.report import printable

    if kind != "text":
        say(f"{kind}: {printable(text)}")

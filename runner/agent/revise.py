"""A merge request that reviewers have commented on: a revision, and an answer in each thread.

What reviewers write is what is worked on, and still data: a revision may change only the projects
that the merge request changes, and take out no more than any request may.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runner.agent import look, present
from runner.agent.contract import AgentReply, AgentRequest, Revision, Scope
from runner.agent.deliver import redone
from runner.agent.desk import Case, Desk
from runner.forge import PREFIX, open_forge
from runner.language.load import load_files
from runner.review import plain
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.agent.drafting import Teller
    from runner.config import Config
    from runner.forge import Discussion, MergeRequest

MAX_COMMENT = 4_000
"""Characters of one comment that are read."""

MAX_THREADS = 20
"""Threads that one revision answers."""


@dataclass(frozen=True, slots=True)
class Review:
    """What reviewers said that nobody has answered yet.

    Attributes:
        files: the spec files of the merge request's branch.
        projects: keys of the projects that it changes.
    """

    request: MergeRequest
    threads: tuple[Discussion, ...]
    files: Mapping[str, bytes]
    projects: tuple[str, ...]


def revise(config: Config, iid: int, tell: Teller) -> AgentReply | None:
    """Revise a merge request as its reviewers ask; `None` where nobody waits for an answer.

    Run again, it does nothing: threads that end with its own answer are done.

    Args:
        config: the spec repo, with the forge's token.
        iid: the number of the merge request.
        tell: told what happens, as it happens.

    Raises:
        ConfigError: there is no such merge request of ours, or it is not open.
        AgentError: there is no revision that holds.
    """
    desk = Desk(config)
    review = read_review(desk.config, iid)
    if not review.threads:
        return None
    case = _case(desk, review)
    context, reply = asyncio.run(desk.work(case, tell, answers=len(review.threads)))
    url, branch = review.request.url, review.request.branch
    reply = replace(reply, status="open", merge_request=url)
    _push(desk.config, case, review, reply)
    desk.save(replace(context, status="open", merge_request=url, branch=branch))
    return replace(reply, message=present.reply_text(reply))


def read_review(config: Config, iid: int) -> Review:
    """Return what reviewers said on a merge request, with the specs as it has them.

    Raises:
        ConfigError: it is not open, or not one of the agent's.
    """
    with open_forge(config) as forge:
        request = forge.merge_request(iid)
        if request.state != "opened":
            raise ConfigError(f"!{iid} is {request.state}", hint="only an open one can be revised")
        if not request.branch.startswith(PREFIX):
            raise ConfigError(
                f"!{iid} is not a proposal of trueup: its branch is {request.branch}",
                hint=f"only branches that begin with {PREFIX} are revised",
            )
        threads = [thread for thread in forge.discussions(iid) if _waits(thread)]
        if not threads:
            return Review(request, (), {}, ())
        target, files = forge.spec_files(request.target, request.branch)
    return Review(request, tuple(threads[:MAX_THREADS]), files, _changed(target, files))


def _waits(thread: Discussion) -> bool:
    """Return whether somebody waits for an answer in a thread."""
    said = [note for note in thread.notes if not note.system]
    return bool(said) and not thread.resolved and not said[-1].mine


def _changed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the keys of the projects that differ between two versions of the specs."""
    old, new = (
        {document.data["key"]: document.data for document in load_files(files).projects}
        for files in (before, after)
    )
    return tuple(sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key)))


def _case(desk: Desk, review: Review) -> Case:
    """Return the request that a review makes."""
    if not review.projects:
        raise ConfigError(
            f"!{review.request.iid} changes no project", hint="there is nothing to revise"
        )
    original = review.request.branch.removeprefix(PREFIX)
    remembered = desk.remembered(original)
    people = {key for item in load_files(review.files).people for key in item.data["people"]}
    request = AgentRequest(
        _message(review),
        f"{original[:80]}-r{secrets.token_hex(3)}",
        conversation=original if remembered else "",
        author=remembered.who if remembered and remembered.who in people else "",
        scope=Scope(projects=review.projects, new_projects=0),
    )
    return desk.case(request, review.files)


def _message(review: Review) -> str:
    """Return the request in words; whatever reviewers wrote is fenced as data."""
    title = look.fenced("title of the merge request", review.request.title)
    lines = [
        "Reviewers commented on your merge request. Revise it as they ask, as far as it is about"
        " this change. The specs that you can look at are those of its branch: your draft is done"
        " already. Give only operations for what is still to change.",
        title,
        f"There are {len(review.threads)} threads. Give one answer to each in `answers`, in order:"
        " what you changed, or why you did not.",
    ]
    for number, thread in enumerate(review.threads, 1):
        said = "\n".join(
            f"{note.author}: {note.body[:MAX_COMMENT]}" for note in thread.notes if not note.system
        )
        first = thread.notes[0]
        place = f" on {first.file}, line {first.line}" if first.file else ""
        lines.append(look.fenced(f"thread {number}{place}", said))
    return "\n\n".join(lines)


def _push(config: Config, case: Case, review: Review, reply: AgentReply) -> None:
    """Push the revision, and answer each thread; the models are done by now."""
    draft = reply.draft
    with open_forge(config) as forge:
        if draft.operations:
            forge.revise(
                review.request,
                lambda files: redone(draft, files, case.material),
                draft.title,
                present.trailers(reply),
            )
        # `verify` has seen to it that there is an answer for each thread.
        answers = draft.answers if isinstance(draft, Revision) else ()
        for text, thread in zip(answers, review.threads, strict=True):
            forge.reply(review.request.iid, thread.id, plain(text))

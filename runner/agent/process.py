"""From a request to its reply: read, draft, verify, deliver, record.

The merge request is opened after the last model has answered.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, cast

from runner.agent import present
from runner.agent.contract import AgentReply, AgentRequest, Draft, Status
from runner.agent.desk import Case, Desk
from runner.agent.ledger import Ledger, budget_of
from runner.agent.verify import Verdict
from runner.language.edit import write_files
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.agent import record
    from runner.agent.deliver import Proposed
    from runner.agent.drafting import Teller
    from runner.agent.route import Decision
    from runner.config import Config

Delivery = Literal["merge-request", "local", "none"]
"""Where a draft goes: into a merge request, into the work tree, or nowhere but the reply."""

DELIVERED: Final = frozenset({"written", "open", "merged", "closed"})
"""How a request stands that is not drafted once more."""

MAX_MESSAGE = 20_000
"""Characters of a request."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """What happens while a request is worked on.

    Attributes:
        kind: `route`, `look`, `refused`, `text`, `reply`.
        text: a line for people; of `text`, a piece of what a model says.
        reply: the reply, in the last event.
    """

    kind: str
    text: str
    reply: AgentReply | None = None


class SpecAgent:
    """The agent of one spec repo.

    Args:
        config: where it is; tokens stay here.
        delivery: where drafts go.
        offline: draft by rules and templates; no model is asked.
        tell: told what happens, as it happens: the kind, and a line for people.
    """

    def __init__(
        self,
        config: Config,
        *,
        delivery: Delivery = "merge-request",
        offline: bool = False,
        tell: Teller | None = None,
    ) -> None:
        self.config = config
        self.delivery: Delivery = delivery
        self.offline = offline
        self.tell: Teller = tell or (lambda _kind, _text: None)

    def process_request_sync(self, request: AgentRequest) -> AgentReply:
        """Return the reply to a request; may be called with or without a running event loop.

        Raises:
            AgentError: there is no draft that holds.
            TrueupError: the specs, the state or the forge stand in the way.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.process_request(request))
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(self.process_request(request))).result()

    async def process_request(self, request: AgentRequest) -> AgentReply:
        """Return the reply to a request; see `process_request_sync`."""
        return await self._process(request, self.tell, streaming=False)

    async def process_request_stream(
        self, request: AgentRequest
    ) -> AsyncGenerator[AgentEvent, None]:
        """Yield what happens while a request is worked on, and the reply at the end."""
        events: asyncio.Queue[AgentEvent | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(kind: str, text: str) -> None:
            # Tools and checks run in threads of their own.
            self.tell(kind, text)
            loop.call_soon_threadsafe(events.put_nowait, AgentEvent(kind, text))

        async def work() -> AgentReply:
            try:
                return await self._process(request, tell, streaming=True)
            finally:
                loop.call_soon(events.put_nowait, None)

        task = asyncio.create_task(work())
        try:
            while (event := await events.get()) is not None:
                yield event
            reply = await task
            yield AgentEvent("reply", reply.message, reply)
        finally:
            task.cancel()

    def explain(self, request: AgentRequest) -> Decision:
        """Return which model a request would go to, and why; asks nobody."""
        desk = Desk(self.config)
        case = desk.case(with_id(request))
        drafter = desk.drafter(case, Ledger(budget_of(case.agent).request), self.tell)
        return drafter.decide(case.request, len(case.turns))

    async def _process(self, request: AgentRequest, tell: Teller, *, streaming: bool) -> AgentReply:
        known = bool(request.request_id)
        request = with_id(request)
        desk = Desk(self.config, offline=self.offline)
        if found := await asyncio.to_thread(self._found, desk, request, known):
            return found
        proposed = await asyncio.to_thread(self._proposed, desk, request)
        files = proposed.files if proposed else None
        case = await asyncio.to_thread(desk.case, request, files)
        context, reply = await desk.work(case, tell, streaming=streaming)
        if reply.draft.operations and self.delivery != "none":
            deliver = self._deliver
            reply = await asyncio.to_thread(deliver, desk, case, context, reply, proposed)
        return replace(reply, message=present.reply_text(reply))

    def _found(self, desk: Desk, request: AgentRequest, known: bool) -> AgentReply | None:
        """Return the reply to a request that was delivered before, or `None`.

        Also finds out, before anything is spent, whether a merge request can be opened.
        """
        context = desk.remembered(request.request_id) if known else None
        if context is not None and context.status in DELIVERED:
            return _again(request, context.status, context.merge_request, context.questions)
        if self.delivery != "merge-request":
            return None
        from runner.agent.deliver import find_merge_request

        found = find_merge_request(desk.config, request.request_id, look=known)
        return _again(request, "open", found.url) if found else None

    def _proposed(self, desk: Desk, request: AgentRequest) -> Proposed | None:
        """Return the merge request that a request goes on from, while it is open, or `None`."""
        if self.delivery != "merge-request" or not request.conversation:
            return None
        earlier = desk.remembered(request.conversation)
        if earlier is None or not earlier.branch:
            return None
        from runner.agent.deliver import read_proposal

        return read_proposal(desk.config, earlier.branch)

    def _deliver(
        self,
        desk: Desk,
        case: Case,
        context: record.Context,
        reply: AgentReply,
        proposed: Proposed | None,
    ) -> AgentReply:
        """Deliver a draft, save what became of it, and return the reply."""
        if self.delivery == "local":
            before, after = case.material.files, reply.verdict.edited.files
            write_files(self.config.root, self.config.specs, before, after)
            desk.save(replace(context, status="written"))
            return replace(reply, status="written")
        from runner.agent.deliver import add_to_merge_request, open_merge_request

        if proposed is not None:
            opened = add_to_merge_request(desk.config, case, reply, proposed)
        else:
            opened = open_merge_request(desk.config, case, reply)
        url, branch = opened.url, opened.branch
        desk.save(replace(context, status="open", merge_request=url, branch=branch))
        return replace(reply, status="open", merge_request=url)


def with_id(request: AgentRequest) -> AgentRequest:
    """Return a request with an id.

    Raises:
        ConfigError: its id is none, or it says nothing, or too much.
    """
    if not request.message.strip():
        raise ConfigError("the request is empty", hint='trueup draft "Create a project for ..."')
    if len(request.message) > MAX_MESSAGE:
        raise ConfigError(
            f"the request is longer than {MAX_MESSAGE:,} characters", hint="ask for less at a time"
        )
    if not request.request_id:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        return replace(request, request_id=f"{stamp}-{secrets.token_hex(3)}")
    if not _REQUEST_ID.fullmatch(request.request_id) or ".." in request.request_id:
        raise ConfigError(
            f"`{request.request_id}` cannot be the id of a request",
            hint="use letters, digits, dots and dashes",
        )
    return request


def _again(
    request: AgentRequest, status: str, merge_request: str, questions: tuple[str, ...] = ()
) -> AgentReply:
    where = merge_request or "the work tree"
    return AgentReply(
        request.request_id,
        f"{request.request_id} was drafted before: it is in {where}",
        cast("Status", status),
        Draft(title=request.message[:120], questions=questions),
        Verdict(),
        (),
        merge_request,
    )

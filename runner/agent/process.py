"""From a request to its reply: read, draft, verify, deliver, record.

        tokens stay on this side      │  values only
    config, state ──> material ───────┼──> drafter ⇄ models
    work tree or merge request <──────┼─── draft, verified
    agent_contexts, agent_logs <──────┼─── calls

The part that talks to models is handed values, and the platforms' and git's credentials are never
among them; the merge request is opened after the last model has answered.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal, cast
from zoneinfo import ZoneInfo

from runner.agent import present, record
from runner.agent.contract import AgentReply, AgentRequest, Draft, Status
from runner.agent.ledger import Ledger, budget_of
from runner.agent.material import Material, read_material
from runner.agent.models import priced_models, read_access
from runner.agent.route import Policy, named_projects
from runner.agent.verify import Verdict, verify
from runner.language.edit import write_files
from runner.workspace import Workspace
from schemas.domain import hash_of
from schemas.errors import AgentError, ConfigError

if TYPE_CHECKING:
    from runner.agent.drafting import Teller
    from runner.agent.route import Decision
    from runner.config import Config
    from schemas import spec

Delivery = Literal["merge-request", "local", "none"]
"""Where a draft goes: into a merge request, into the work tree, or nowhere but the reply."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """What happens while a request is worked on.

    Attributes:
        kind: `route`, `look`, `refused`, `text`, `reply`.
        text: a line for people.
        reply: the reply, in the last event.
    """

    kind: str
    text: str
    reply: AgentReply | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    """A request with all that is needed to draft it; no credential of a platform or of git."""

    request: AgentRequest
    material: Material
    agent: spec.Agent
    turns: tuple[record.Turn, ...]
    failing: frozenset[str]
    commit: str


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

        def tell(kind: str, text: str) -> None:
            self.tell(kind, text)
            events.put_nowait(AgentEvent(kind, text))

        async def work() -> AgentReply:
            try:
                return await self._process(request, tell, streaming=True)
            finally:
                events.put_nowait(None)

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
        from runner.agent.drafting import ModelDrafter

        place = Workspace(self.config)
        case = self._case(place, _with_id(request))
        models = priced_models(read_access(self.config.variable), case.agent)
        drafter = ModelDrafter(
            case.material, models, {}, policy=_policy(case.agent), failing=case.failing
        )
        return drafter.decide(case.request, len(case.turns))

    async def _process(self, request: AgentRequest, tell: Teller, *, streaming: bool) -> AgentReply:
        request = _with_id(request)
        place = Workspace(self.config)
        if known := await asyncio.to_thread(self._known, place, request):
            return known
        self._check_delivery()
        case = await asyncio.to_thread(self._case, place, request)
        context = record.Context(
            request.request_id,
            request.message,
            (*case.turns, record.Turn(request.message, "")),
            specs={"commit": case.commit, "digest": _digest(case.material.files)},
            who=request.author,
        )
        ledger = await asyncio.to_thread(self._open, place, context, case)
        try:
            draft, verdict = await self._draft(case, ledger, tell, streaming=streaming)
        except BaseException:
            failed = replace(context, status="failed")
            await asyncio.shield(asyncio.to_thread(self._close, place, failed, ledger))
            raise
        drafted = self._drafted(context, draft, verdict)
        return await asyncio.to_thread(self._finish, place, case, drafted, draft, verdict, ledger)

    async def _draft(
        self, case: _Case, ledger: Ledger, tell: Teller, *, streaming: bool
    ) -> tuple[Draft, Verdict]:
        """Return a draft that holds; the only part that talks to models."""
        if self.offline:
            from runner.agent.baseline import Baseline

            draft = await Baseline(case.material).draft(case.request)
            verdict = verify(draft, case.request, case.material)
            if not verdict.accepted:
                raise AgentError(
                    f"no draft that holds without a model: {'; '.join(verdict.problems[:3])}",
                    hint="draft with a model, or say it more simply",
                )
            return draft, verdict
        from runner.agent.drafting import ModelDrafter

        access = read_access(self.config.variable)
        drafter = ModelDrafter(
            case.material,
            priced_models(access, case.agent),
            access,
            policy=_policy(case.agent),
            ledger=ledger,
            failing=case.failing,
            tell=tell,
            streaming=streaming,
        )
        drafted = await drafter.run(case.request, case.turns)
        return drafted.draft, drafted.verdict

    def _case(self, place: Workspace, request: AgentRequest) -> _Case:
        """Read all that a draft needs."""
        reader = place.reader()
        turns: tuple[record.Turn, ...] = ()
        if request.conversation:
            turns = record.need_context(reader, request.conversation).turns
        config = self.config
        material = read_material(config.root, config.specs, config.today, reader)
        author = request.author or _author(material, place.checkout.author)
        material = replace(material, today=_local_today(config.today, material, author))
        scope = request.scope
        said = "\n".join((*(turn.request for turn in turns), request.message))
        if not scope.projects and (named := named_projects(said, material.projects)):
            # What the request names is what it is about; the rest of the repo is out of reach.
            scope = replace(scope, projects=tuple(sorted(named)))
        return _Case(
            replace(request, author=author, scope=scope),
            material,
            place.loaded.settings.get("agent", {}),
            turns,
            frozenset() if self.offline else record.failing(reader),
            place.checkout.label,
        )

    def _known(self, place: Workspace, request: AgentRequest) -> AgentReply | None:
        """Return the reply to a request that was delivered before, or `None`."""
        found = record.read_context(place.reader(), request.request_id)
        if found is None or found.status not in {"open", "written"}:
            return None
        where = found.merge_request or "the work tree"
        draft = Draft.model_validate_json(found.turns[-1].draft)
        message = f"{request.request_id} was drafted before: it is in {where}"
        status = cast("Status", found.status)
        return AgentReply(
            request.request_id, message, status, draft, Verdict(), (), found.merge_request
        )

    def _check_delivery(self) -> None:
        """Find out before anything is spent whether a merge request can be opened."""
        if self.delivery == "merge-request":
            from runner.forge import open_forge

            with open_forge(self.config) as forge:
                if not forge.may_write:
                    raise ConfigError(
                        "a job token cannot open merge requests",
                        hint="set GITLAB_TOKEN, or draft with --local",
                    )

    def _open(self, place: Workspace, context: record.Context, case: _Case) -> Ledger:
        with place.writer() as state:
            record.save_context(state, context)
            if self.offline:
                return Ledger()
            return record.open_ledger(state, context.request_id, budget_of(case.agent))

    def _close(self, place: Workspace, context: record.Context, ledger: Ledger) -> None:
        with place.writer() as state:
            if not self.offline:
                record.close_ledger(state, context.request_id, ledger)
            record.save_context(state, context)

    def _drafted(self, context: record.Context, draft: Draft, verdict: Verdict) -> record.Context:
        changed = {
            name: _digest({name: text}) if text is not None else None
            for name, text in verdict.edited.files.items()
        }
        last = record.Turn(context.request, draft.model_dump_json())
        return replace(
            context,
            turns=(*context.turns[:-1], last),
            specs={**context.specs, "changed": changed},
            operations=[item.model_dump(mode="json") for item in draft.operations],
            status="drafted" if draft.operations else "asking",
        )

    def _finish(
        self,
        place: Workspace,
        case: _Case,
        context: record.Context,
        draft: Draft,
        verdict: Verdict,
        ledger: Ledger,
    ) -> AgentReply:
        """Save what was drafted, deliver it, and save what became of it."""
        self._close(place, context, ledger)
        reply = AgentReply(
            case.request.request_id,
            "",
            cast("Status", context.status),
            draft,
            verdict,
            tuple(ledger.calls),
        )
        if draft.operations and self.delivery != "none":
            reply, context = self._deliver(case, context, reply)
            with place.writer() as state:
                record.save_context(state, context)
        return replace(reply, message=present.reply_text(reply, case.request))

    def _deliver(
        self, case: _Case, context: record.Context, reply: AgentReply
    ) -> tuple[AgentReply, record.Context]:
        if self.delivery == "local":
            root, specs = self.config.root, self.config.specs
            write_files(root, specs, case.material.files, reply.verdict.edited.files)
            return replace(reply, status="written"), replace(context, status="written")
        from runner.agent.deliver import open_merge_request

        opened = open_merge_request(self.config, case.request, case.material, reply)
        return (
            replace(reply, status="open", merge_request=opened.url),
            replace(context, status="open", merge_request=opened.url, branch=opened.branch),
        )


def _with_id(request: AgentRequest) -> AgentRequest:
    """Return a request with an id.

    Raises:
        ConfigError: its id is none, or it says nothing.
    """
    if not request.message.strip():
        raise ConfigError("the request is empty", hint='trueup draft "Create a project for ..."')
    if len(request.message) > 20_000:
        raise ConfigError("the request is longer than 20,000 characters", hint="ask for less")
    if not request.request_id:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        return replace(request, request_id=f"{stamp}-{secrets.token_hex(3)}")
    if not _REQUEST_ID.fullmatch(request.request_id) or ".." in request.request_id:
        raise ConfigError(
            f"`{request.request_id}` cannot be the id of a request",
            hint="use letters, digits, dots and dashes",
        )
    return request


def _policy(agent: spec.Agent) -> Policy:
    return Policy(agent.get("smallest", "small"), agent.get("largest", "large"))


def _author(material: Material, email: str) -> str:
    """Return the person whom git knows by an e-mail address, or ''."""
    if not email:
        return ""
    found = (key for key, item in material.people.items() if item.get("email") == email)
    return next(found, "")


def _local_today(today: date, material: Material, author: str) -> date:
    """Return what day it is for whoever asks; a day that was given is kept."""
    instant = datetime.now(UTC)
    person = material.people.get(author)
    if person is None or today != instant.date():
        return today
    return instant.astimezone(ZoneInfo(person.get("timezone", "UTC"))).date()


def _digest(files: Mapping[str, bytes]) -> str:
    return hash_of({name: text.decode(errors="replace") for name, text in sorted(files.items())})

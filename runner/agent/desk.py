"""What a request needs on this side of the models: the specs, the scope, the books.

        tokens stay on this side      │  values only
    config, state ──> Case ───────────┼──> drafter ⇄ models
    agent_contexts, agent_logs <──────┼─── calls

The part that talks to models is handed a `Case`, and neither a platform's nor git's credential is
in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, cast
from zoneinfo import ZoneInfo

from runner.agent import record
from runner.agent.contract import AgentReply, AgentRequest, Draft
from runner.agent.ledger import Ledger, budget_of
from runner.agent.material import Material, read_material
from runner.agent.models import priced_models, read_access
from runner.agent.route import Policy
from runner.agent.scope import derived
from runner.agent.verify import Verdict, verify
from runner.workspace import Workspace
from schemas.domain import hash_of
from schemas.errors import AgentError, ConfigError
from schemas.values import suggest

if TYPE_CHECKING:
    from runner.agent.contract import Status
    from runner.agent.drafting import ModelDrafter, Teller
    from runner.config import Config
    from schemas import spec


@dataclass(frozen=True, slots=True)
class Case:
    """A request with all that is needed to draft it.

    Attributes:
        request: with its author and its scope settled.
        agent: what Settings say of models and budgets.
        turns: what was said before.
        failing: models that failed a moment ago.
        commit: the commit of the specs.
    """

    request: AgentRequest
    material: Material
    agent: spec.Agent
    turns: tuple[record.Turn, ...] = ()
    failing: frozenset[str] = frozenset()
    commit: str = ""


class Desk:
    """Where requests to one spec repo are worked on.

    Args:
        config: where it is; tokens stay here.
        offline: draft by rules and templates; no model is asked.
    """

    def __init__(self, config: Config, *, offline: bool = False) -> None:
        self.place = Workspace(config)
        self.config = self.place.config
        self.offline = offline

    def remembered(self, request_id: str) -> record.Context | None:
        """Return what the state remembers of a request, or `None`."""
        return record.read_context(self.place.reader(), request_id)

    def case(self, request: AgentRequest, files: Mapping[str, bytes] | None = None) -> Case:
        """Return all that is needed to draft a request.

        Args:
            request: what is asked.
            files: the spec files that it is about; those of the work tree where it is `None`.

        Raises:
            ConfigError: it goes on from a request that nobody remembers, or comes from nobody.
        """
        reader, config = self.place.reader(), self.config
        turns: tuple[record.Turn, ...] = ()
        if request.conversation:
            turns = record.need_context(reader, request.conversation).turns
        material = read_material(config.root, config.specs, config.today, reader)
        if files is not None:
            material = replace(material, files=files, problems=())
        author = request.author or _author(material, self.place.checkout.author)
        if author and author not in material.people:
            hint = suggest(author, material.people) or "give a key of the People specs"
            raise ConfigError(f"nobody is called `{author}`", hint=hint)
        material = replace(material, today=_local_today(config.today, material, author))
        said = "\n".join((*(turn.request for turn in turns), request.message))
        scope = derived(request.scope, said, material.projects, material.today)
        return Case(
            replace(request, author=author, scope=scope),
            material,
            self.place.loaded.settings.get("agent", {}),
            turns,
            frozenset() if self.offline else record.failing(reader),
            self.place.checkout.label,
        )

    async def work(
        self, case: Case, tell: Teller, *, streaming: bool = False, answers: int = 0
    ) -> tuple[record.Context, AgentReply]:
        """Draft a request and keep the books; return its record, and the reply.

        Args:
            case: the request.
            tell: told what happens, as it happens.
            streaming: have answers streamed, and tell of their text as it comes.
            answers: how many comments a revision has to answer.

        Raises:
            BudgetExceeded: nothing is left of the day's.
            AgentError: there is no draft that holds.
        """
        context = _context(case)
        ledger = await asyncio.to_thread(self._open, context, case)
        try:
            draft, verdict = await self._draft(case, ledger, tell, streaming, answers)
        except BaseException:
            failed = replace(context, status="failed")
            await asyncio.shield(asyncio.to_thread(self._close, failed, ledger))
            raise
        context = _drafted(context, draft, verdict)
        await asyncio.to_thread(self._close, context, ledger)
        status, calls = cast("Status", context.status), tuple(ledger.calls)
        return context, AgentReply(context.request_id, "", status, draft, verdict, calls)

    def save(self, context: record.Context) -> None:
        """Save what became of a request."""
        with self.place.writer() as state:
            record.save_context(state, context)

    def drafter(
        self, case: Case, ledger: Ledger, tell: Teller, *, streaming: bool = False
    ) -> ModelDrafter:
        """Return who drafts with models; it knows their keys, and no other credential.

        Raises:
            ConfigError: what talks to models is not installed.
        """
        try:
            from runner.agent.drafting import ModelDrafter
        except ModuleNotFoundError as error:
            raise ConfigError(
                "what talks to models is not installed",
                hint="pip install 'trueup[agent]', or draft without a model: --offline",
            ) from error

        access = read_access(self.config.variable, self.config.secret)
        return ModelDrafter(
            case.material,
            priced_models(access, case.agent),
            access,
            policy=Policy(case.agent.get("smallest", "small"), case.agent.get("largest", "large")),
            ledger=ledger,
            failing=case.failing,
            tell=tell,
            streaming=streaming,
        )

    def _open(self, context: record.Context, case: Case) -> Ledger:
        """Save that a request is drafted, and take from the day's budget what it may cost."""
        with self.place.writer() as state:
            record.save_context(state, context)
            if self.offline:
                return Ledger()
            return record.open_ledger(state, context.request_id, budget_of(case.agent))

    def _close(self, context: record.Context, ledger: Ledger) -> None:
        """Save what became of a request, and what it cost."""
        with self.place.writer() as state:
            if not self.offline:
                record.close_ledger(state, context.request_id, ledger)
            record.save_context(state, context)

    async def _draft(
        self, case: Case, ledger: Ledger, tell: Teller, streaming: bool, answers: int
    ) -> tuple[Draft, Verdict]:
        """Return a draft that holds; nothing else talks to models."""
        if not self.offline:
            drafter = self.drafter(case, ledger, tell, streaming=streaming)
            drafted = await drafter.run(case.request, case.turns, answers=answers)
            return drafted.draft, drafted.verdict
        from runner.agent.baseline import Baseline

        draft = await Baseline(case.material).draft(case.request)
        verdict = verify(draft, case.request, case.material)
        if not verdict.accepted:
            raise AgentError(
                f"no draft that holds without a model: {'; '.join(verdict.problems[:3])}",
                hint="draft with a model, or say it more simply",
            )
        return draft, verdict


def _context(case: Case) -> record.Context:
    """Return the record of a request that is about to be drafted."""
    return record.Context(
        case.request.request_id,
        case.request.message,
        (*case.turns, record.Turn(case.request.message, "")),
        specs={"commit": case.commit, "digest": _digest(case.material.files)},
        who=case.request.author,
    )


def _drafted(context: record.Context, draft: Draft, verdict: Verdict) -> record.Context:
    """Return the record of a request with its draft."""
    changed = {
        name: None if text is None else _digest({name: text})
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


def _digest(files: Mapping[str, bytes]) -> str:
    """Return a hash of files, by name and content."""
    return hash_of({name: text.decode(errors="replace") for name, text in sorted(files.items())})


def _author(material: Material, email: str) -> str:
    """Return the person whom git knows by an e-mail address, or ''."""
    found = (key for key, item in material.people.items() if email and item.get("email") == email)
    return next(found, "")


def _local_today(today: date, material: Material, author: str) -> date:
    """Return what day it is for whoever asks; a day that was given is kept."""
    instant = datetime.now(UTC)
    person = material.people.get(author)
    if person is None or today != instant.date():
        return today
    return instant.astimezone(ZoneInfo(person.get("timezone", "UTC"))).date()

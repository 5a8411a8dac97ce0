"""The spec repos that requests are about, as if just applied, and what became of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from runner.agent.contract import AgentRequest, Draft, Scope
from runner.agent.material import Material
from runner.agent.scope import derived
from runner.agent.verify import Verdict, verify
from runner.language.load import read_files
from runner.platforms import profiles_of
from runner.projection import project_fields, wanted
from runner.state.contract import IntegrationRow, ResourceRow, StateDiff
from schemas.domain import Binding, Desired, Diagnostic, Plan, Policy, Resource, resource_id

TODAY: Final = date(2026, 11, 24)
"""The Tuesday on which all requests are made."""

REPOS: Final = Path(__file__).parent / "repos"
_NOTHING: Final = Desired({}, {}, {}, Policy(), {}, commit="", today="", digest="")
_STATE: Final = "5eed0000-0000-4000-8000-000000000000"


class Ask(BaseModel):
    """A request, and the repo that it is about."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str
    message: str
    author: str = ""

    @property
    def request(self) -> AgentRequest:
        """What the agent is asked; what it may touch is derived as it always is."""
        scope = derived(Scope(), self.message, material(self.repo).projects, TODAY)
        return AgentRequest(self.message, author=self.author, scope=scope)


@dataclass(frozen=True, slots=True)
class Applied:
    """A state in memory: everything that the specs ask for is on the platforms."""

    desired: Desired

    def identity(self) -> str | None:
        """Return the state's UUID."""
        return _STATE

    def version(self) -> str:
        """Return always the same."""
        return "1"

    def diff(self, rows: Iterable[tuple[str, str, str]]) -> StateDiff:
        """Compare what is wanted with what is bound."""
        bound = {(item.address, item.platform): item for item in self.bindings()}
        asked = {(address, platform): print_ for address, platform, print_ in rows}
        return StateDiff(
            tuple(key for key in asked if key not in bound),
            tuple(
                item
                for key, item in bound.items()
                if key in asked and item.desired_hash != asked[key]
            ),
            tuple(item for key, item in bound.items() if key not in asked),
            len(bound),
        )

    def bindings(
        self, addresses: Iterable[str] | None = None, platform: str | None = None
    ) -> list[Binding]:
        """Return what is bound: everything that the specs ask for."""
        profiles = profiles_of(self.desired)
        some = set(addresses) if addresses is not None else None
        return [
            Binding(
                address,
                name,
                self.desired.resources[address].kind,
                resource_id(_STATE, address),
                remote_id=f"{name}-{address}",
                url=f"https://{name}.example.com/{address}",
                base=project_fields(
                    self.desired.resources[address], name, self.desired, profiles[name]
                ),
                desired_hash=fingerprint,
            )
            for address, name, fingerprint in wanted(self.desired, profiles)
            if (some is None or address in some) and platform in {None, name}
        ]

    def resources(self, addresses: Iterable[str] | None = None) -> list[ResourceRow]:
        """Return resources as last applied."""
        some = set(addresses) if addresses is not None else None
        return [
            ResourceRow(item.address, item.kind, resource_id(_STATE, item.address), item.fields)
            for item in self.desired.resources.values()
            if some is None or item.address in some
        ]

    def integrations(self) -> list[IntegrationRow]:
        """Return nothing that was learned."""
        return []


@cache
def material(repo: str) -> Material:
    """Return a repo by its name, as if just applied.

    Raises:
        SpecError: it has errors.
    """
    files, problems = read_files(REPOS / repo, Path("specs"))
    fresh = Material(files, TODAY, Applied(_NOTHING), problems=problems)
    return Material(files, TODAY, Applied(fresh.desired), problems=problems)


@dataclass
class Outcome:
    """What became of a request.

    Attributes:
        draft: what was proposed; `None` where there was no answer.
        error: why there was none.
        microdollars: what it cost, in millionths of a US dollar.
        calls: how many model calls it took.
    """

    ask: Ask
    draft: Draft | None = None
    error: str = ""
    microdollars: int = 0
    calls: int = 0

    @cached_property
    def verdict(self) -> Verdict:
        """What trueup makes of the draft."""
        if self.draft is None:
            return Verdict((self.error or "no draft",))
        return verify(self.draft, self.ask.request, self.before)

    @property
    def before(self) -> Material:
        """The specs as they were."""
        return material(self.ask.repo)

    @cached_property
    def after(self) -> Material:
        """The specs as they would be; as they were, if the draft is refused."""
        return self.before.after(self.verdict.edited) if self.verdict.accepted else self.before

    @cached_property
    def plan(self) -> Plan | None:
        """What an apply would do because of the draft."""
        return self.verdict.plan

    @cached_property
    def changed(self) -> frozenset[str]:
        """The addresses of what is new, gone, or means something else."""
        old, new = self.before.desired.resources, self.after.desired.resources
        return frozenset(
            address
            for address in old.keys() | new.keys()
            if _meaning(old.get(address)) != _meaning(new.get(address))
        )

    @property
    def made(self) -> Mapping[str, Resource]:
        """What is new, by address."""
        old = self.before.desired.resources
        return {a: item for a, item in self.after.desired.resources.items() if a not in old}

    @property
    def late(self) -> tuple[Diagnostic, ...]:
        """Deadlines that the draft makes impossible."""
        return self.verdict.late

    @property
    def questions(self) -> tuple[str, ...]:
        """What is asked back."""
        return self.draft.questions if self.draft is not None else ()


def _meaning(item: Resource | None) -> object:
    return item and (item.kind, item.fields, item.platforms, item.overrides, item.protect)

"""Which model is asked: a pure function of the request, the specs, the policy and the ledger.

Features are counted, never guessed by another model; each one that counts gives a reason. The
cheapest model of the tier goes first, the others of the tier stand by for outages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, get_args

from runner.agent.contract import Tier
from runner.language.outline import Entry, entries

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from runner.agent.contract import AgentRequest
    from runner.language.load import Document
    from schemas import spec

TIERS: Final[tuple[Tier, ...]] = get_args(Tier)

MEDIUM: Final = 2
"""Points from which on a request is for the medium tier."""

LARGE: Final = 5
"""Points from which on it is for the large tier."""

_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}"
    r"|\b\d+\s*[-\u2010]?\s*(?:day|week|month|year|tag|woche|monat|jahr|jour|semaine|mois|an\b"
    r"|d[ií]a|semana|mes|giorn|settiman|mese)",
    re.IGNORECASE,
)
_ASKS = re.compile("[.!?;\n\u3002\uff01\uff1f]+")
_WORDS = re.compile(r"[^\W_]+")
_QUOTED = re.compile('["\u201c\u201e\u00ab]([^"\u201c\u201d\u00bb]+)["\u201c\u201d\u00bb]')


@dataclass(frozen=True, slots=True)
class Option:
    """A model that may be asked.

    Attributes:
        model: provider and name.
        price: US dollars for a call of usual size, to compare by.
        worst: US dollars that its first call may cost at the most.
    """

    model: str
    tier: Tier
    price: float
    worst: float = 0.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What Settings allow.

    Attributes:
        smallest: never begin below this tier.
        largest: never go beyond it.
    """

    smallest: Tier = "small"
    largest: Tier = "large"

    def bound(self, tier: Tier) -> Tier:
        """Return the tier nearest to `tier` that is allowed; `largest` wins."""
        rank = max(TIERS.index(tier), TIERS.index(self.smallest))
        return TIERS[min(rank, TIERS.index(self.largest))]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger says when a model is chosen.

    Attributes:
        left: US dollars that the request may still cost.
        failing: models that failed a moment ago.
    """

    left: float = float("inf")
    failing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Features:
    """What can be counted of a request and of the specs that it is about.

    Attributes:
        words: of the message.
        asks: its sentences and lines.
        named: how many projects and tasks it names.
        projects: how many projects these are in.
        tasks: how many tasks those projects have.
        deadline: whether it names a date or a span of time.
        earlier: requests before it in the conversation.
    """

    words: int = 0
    asks: int = 0
    named: int = 0
    projects: int = 0
    tasks: int = 0
    deadline: bool = False
    earlier: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Which tier, which models, and why.

    Attributes:
        tier: the tier that is asked.
        models: the models to ask, the first one first, the others when it is out of order.
        reasons: why, for people.
    """

    tier: Tier
    models: tuple[str, ...]
    reasons: tuple[str, ...] = field(default=())

    @property
    def model(self) -> str:
        """The model that is asked first, or '' where there is none."""
        return self.models[0] if self.models else ""


def measure(
    request: AgentRequest, projects: Mapping[str, Document[spec.Project]], earlier: int = 0
) -> Features:
    """Return the features of a request.

    Args:
        request: what is asked.
        projects: the specs, by key.
        earlier: how many requests of the conversation went before.
    """
    message = request.message
    near = {*named_projects(message, projects), *(key for key in request.scope.projects)}
    counts = {key: sum(1 for _ in entries(projects[key].data)) for key in near & projects.keys()}
    addresses = {
        found
        for found in re.findall(r"[a-z0-9-]+/[a-z0-9-]+", message)
        if _is_task(found, projects)
    }
    near_tasks = {address.split("/", 1)[0] for address in addresses} | counts.keys()
    return Features(
        words=len(message.split()),
        asks=sum(1 for part in _ASKS.split(message) if part.strip()),
        named=len(counts) + len(addresses),
        projects=len(near_tasks),
        tasks=sum(counts.values()),
        deadline=_TIME.search(message) is not None,
        earlier=earlier,
    )


def named_projects(message: str, projects: Mapping[str, Document[spec.Project]]) -> frozenset[str]:
    """Return the keys of the projects that a message calls by key or by name.

    Where it calls one, those belong to it as well of which it names a task: by a key of several
    words, or by its title in quotes. A title alone is not enough, for anybody may have written it.
    """
    text = f" {_spoken(message)} "
    found = {
        key
        for key, document in projects.items()
        for name in (_spoken(key), _spoken(document.data["name"]))
        if name and f" {name} " in text
    }
    if found:
        quoted = {_spoken(match[1]) for match in _QUOTED.finditer(message)}
        found |= {
            key
            for key, document in projects.items()
            if any(_is_named(entry, text, quoted) for entry in entries(document.data))
        }
    return frozenset(found)


def _is_named(entry: Entry, text: str, quoted: Collection[str]) -> bool:
    """Return whether a message names a task."""
    key = _spoken(entry.key)
    return (" " in key and f" {key} " in text) or _spoken(entry.task["title"]) in quoted


def _spoken(text: str) -> str:
    """Return the words of a text, as one says them."""
    return " ".join(_WORDS.findall(text.casefold()))


def _is_task(address: str, projects: Mapping[str, Document[spec.Project]]) -> bool:
    project, _, key = address.partition("/")
    return project in projects and key in projects[project].places


def weigh(features: Features) -> tuple[int, tuple[str, ...]]:
    """Return how many points a request has, and what for."""
    rules = (
        (2, features.named == 0 and features.deadline, "plans something new against a deadline"),
        (1, features.words > 60, f"{features.words} words"),
        (2, features.words > 250, "more than a page of text"),
        (1, features.asks > 4, f"asks for {features.asks} things"),
        (1, features.projects > 1, f"touches {features.projects} projects"),
        (1, features.tasks > 40, f"about specs of {features.tasks} tasks"),
        (1, features.tasks > 300, "the specs it is about are large"),
        (1, features.earlier > 1, f"{features.earlier} requests before it"),
    )
    held = [(points, reason) for points, holds, reason in rules if holds]
    return sum(points for points, _ in held), tuple(reason for _, reason in held)


def route(
    features: Features, policy: Policy, available: Sequence[Option], ledger: Standing
) -> Decision:
    """Return which tier and models to ask first.

    Args:
        features: of the request.
        policy: what Settings allow.
        available: the models that have a key and a price.
        ledger: what may still be spent, and who failed a moment ago.
    """
    points, reasons = weigh(features)
    tier: Tier = "large" if points >= LARGE else "medium" if points >= MEDIUM else "small"
    told = [f"{tier}: {', '.join(reasons) or 'a short request about little'}"]
    if (bounded := policy.bound(tier)) != tier:
        told.append(f"{bounded} instead of {tier}: Settings say so")
    return _choose(bounded, policy, available, ledger, told)


def escalate(
    decision: Decision, policy: Policy, available: Sequence[Option], ledger: Standing, why: str
) -> Decision | None:
    """Return what to ask after a tier has failed, or `None` where nothing is above it."""
    above = TIERS[TIERS.index(decision.tier) + 1 : TIERS.index(policy.largest) + 1]
    for tier in above:
        if any(option.tier == tier for option in available):
            found = _choose(tier, policy, available, ledger, [f"{tier}: {why}"])
            return found if found.models and found.tier == tier else None
    return None


def _choose(
    tier: Tier,
    policy: Policy,
    available: Sequence[Option],
    ledger: Standing,
    told: list[str],
) -> Decision:
    """Return the models of a tier, the cheapest first; of the nearest one that has any."""
    for candidate in _nearest(tier, policy):
        options = [option for option in available if option.tier == candidate]
        payable = [option for option in options if option.worst <= ledger.left]
        if options and not payable:
            told.append(f"no {candidate} model fits into the ${ledger.left:.2f} that are left")
        elif payable and candidate != tier:
            told.append(f"{candidate} instead of {tier}: no model of that tier is available")
        if payable:
            ranked = sorted(payable, key=lambda o: (o.model in ledger.failing, o.price, o.model))
            told.append(_ranking(ranked, ledger))
            return Decision(candidate, tuple(o.model for o in ranked), tuple(told))
    return Decision(tier, (), (*told, "no model is available"))


def _nearest(tier: Tier, policy: Policy) -> list[Tier]:
    """Return the tiers to look in: the one wanted, those above, those below."""
    rank, top = TIERS.index(tier), TIERS.index(policy.largest)
    return [*TIERS[rank : top + 1], *reversed(TIERS[:rank])]


def _ranking(ranked: Sequence[Option], ledger: Standing) -> str:
    prices = ", ".join(f"{option.model} ${option.price:.4f}" for option in ranked)
    text = f"by price of a usual call: {prices}"
    failing = [option.model for option in ranked if option.model in ledger.failing]
    return f"{text}; last, for they failed a moment ago: {', '.join(failing)}" if failing else text

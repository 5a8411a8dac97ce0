"""What people mean when they name a project, a task, a milestone or a person.

Titles are seldom quoted in full or without typing errors. A candidate scores by how much of its
title a text holds, and by how much of the text its title explains; words that few titles have count
for more than those that many have. What comes close to the best is told, not guessed away.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from runner.agent.baseline.dates import fold
from runner.language.outline import Entry

if TYPE_CHECKING:
    from runner.agent.material import Material
    from schemas import spec

Kind = Literal["project", "milestone", "task"]

ENOUGH = 0.5
"""The score from which a candidate is what was meant, if no other comes close."""

CLOSE = 0.1
"""How close another candidate must come to the best to be possible as well."""

NEAR = 0.78
"""How alike two words must be for one to be a typing error of the other."""

_WORD = re.compile(r"[^\W_]+")
_REFERENCE = re.compile(
    r"[a-z0-9]+(?:-[a-z0-9]+)*/[a-z0-9]+(?:-[a-z0-9]+)*|[a-z0-9]+(?:-[a-z0-9]+)+"
)
_FILLERS = """
a an the and or of for to on in at by with from into is are be it its this that all every each any
my our your their please also then than as so we i you can could would should will must up out back
about task tasks ticket tickets issue issues project projects milestone milestones subtask subtasks
work step date dates due deadline new one everything whole entire
der die das den dem des ein eine einen einem einer und oder fur zu zum zur im in an am auf mit von
vom ist bitte alle alles aufgabe aufgaben projekt projekte meilenstein projekts
le la les l un une des du de d et ou pour a au aux en dans sur avec par est ce cette s il te plait
svp toutes tous tache taches projet jalon
el los las una unos unas del y o para con por al es favor todas todos tarea tareas proyecto hito lo
"""
_STOP = frozenset(_FILLERS.split())


@dataclass(frozen=True, slots=True)
class Named:
    """A project, milestone or task.

    Attributes:
        address: its address.
        project: the key of its project.
        key: its own key.
        title: what people read.
    """

    kind: Kind
    address: str
    project: str
    key: str
    title: str

    def __str__(self) -> str:
        """Return how to speak of it."""
        return f"{self.title} (`{self.address}`)"


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a text may mean.

    Attributes:
        found: the best candidates, best first; more than one if it is ambiguous.
        near: the best candidate even where its score is too low, for a suggestion.
        corrected: words of the text that were taken for a typing error, with what they stand for.
        whole: whether the best explains the whole text.
    """

    found: tuple[Named, ...] = ()
    near: Named | None = None
    corrected: tuple[tuple[str, str], ...] = ()
    whole: bool = True

    @property
    def one(self) -> Named | None:
        """The only candidate, if there is just one."""
        return self.found[0] if len(self.found) == 1 else None


@dataclass(slots=True)
class _Scored:
    named: Named
    words: frozenset[str]
    total: float = 0.0
    held: dict[str, float] = field(default_factory=dict[str, float])
    explained: set[str] = field(default_factory=set[str])


class Names:
    """Everything in a repo that has a name."""

    def __init__(self, material: Material) -> None:
        self.projects = {key: item.data for key, item in material.projects.items()}
        self.people = material.people
        self.entries: dict[str, Entry] = {}
        self.named: dict[str, Named] = {}
        for key, project in self.projects.items():
            self._add(Named("project", key, key, key, project["name"]))
            for name, milestone in project.get("milestones", {}).items():
                self._add(
                    Named("milestone", f"{key}/milestones/{name}", key, name, milestone["name"])
                )
            for entry in material.entries(key):
                self.entries[f"{key}/{entry.key}"] = entry
                self._add(Named("task", f"{key}/{entry.key}", key, entry.key, entry.task["title"]))
        self._words = {address: _words_of(item) for address, item in self.named.items()}
        self._holders: dict[str, list[str]] = defaultdict(list)
        for address, words in self._words.items():
            for word in words:
                self._holders[word].append(address)
        self._stems: dict[str, list[str]] = defaultdict(list)
        for word in self._holders:
            self._stems[_stem(word)].append(word)
        self._known_words: dict[str, list[tuple[str, float]]] = {}

    def _add(self, named: Named) -> None:
        self.named.setdefault(named.address, named)

    def find(
        self,
        text: str,
        kinds: Collection[Kind] = ("project", "milestone", "task"),
        within: str = "",
    ) -> Lookup:
        """Return what of some kinds a text means.

        Args:
            text: the words, without those that say what is to be done.
            kinds: what may be meant.
            within: the key of the project that it must be in; everywhere by default.
        """
        folded = fold(text)
        if exact := self._referred(folded, kinds, within):
            return Lookup(exact)
        if exact := self._quoted(folded, kinds, within):
            return Lookup(exact)
        tokens = [word for word in _WORD.findall(folded) if word not in _STOP]
        if not tokens:
            return Lookup()
        scored, corrected = self._score(tokens, kinds, within)
        mentioned = self._mentioned(scored) if not within else {}
        ranked = sorted(
            ((self._grade(item, tokens, mentioned), item.named) for item in scored.values()),
            key=lambda pair: (-pair[0], pair[1].address),
        )
        ranked = [pair for pair in ranked if pair[1].kind in kinds]
        if not ranked:
            return Lookup()
        best = ranked[0][0]
        if best < ENOUGH:
            return Lookup(near=ranked[0][1])
        found = tuple(
            named
            for grade, named in ranked
            if grade > best - CLOSE
            or self._as_good(scored[named.address], scored[ranked[0][1].address])
        )
        used = tuple(pair for pair in corrected if pair[1] in self._words[found[0].address])
        return Lookup(
            found, found[0], used, len(scored[found[0].address].explained) == len(set(tokens))
        )

    def project_in(self, text: str) -> Lookup:
        """Return the project that a text names among other things."""
        folded = fold(text)
        tokens = [word for word in _WORD.findall(folded) if word not in _STOP]
        for match in _REFERENCE.finditer(folded):
            key = match[0].partition("/")[0]
            if key in self.projects:
                return Lookup((self.named[key],))
        scored, corrected = self._score(tokens, ("project",), "")
        mentioned = self._mentioned(scored)
        if not mentioned:
            return Lookup()
        most = max(len(words) for words in mentioned.values())
        found = tuple(self.named[key] for key, words in mentioned.items() if len(words) == most)
        return Lookup(found, found[0], corrected)

    def persons(self, text: str, author: str = "") -> list[str]:
        """Return the keys of the people that a text names, in the order in which it does."""
        folded = fold(text)
        found: dict[str, int] = {}
        for key, person in self.people.items():
            spellings = {key, fold(person["name"]), fold(person.get("email", "")) or key}
            for spelling in spellings:
                match = re.search(rf"(?<![\w-]){re.escape(spelling)}(?:'?s)?(?![\w-])", folded)
                if match and (key != "me" or match[0] != "me" or not author):
                    found[key] = min(match.start(), found.get(key, match.start()))
        match = re.search(r"\b(?:me|myself|mir|mich|moi|mi)\b", folded)
        if match and (author in self.people) and author not in found:
            found[author] = match.start()
        return sorted(found, key=found.__getitem__)

    def owner_of(self, address: str) -> str | None:
        """Return the key of who owns a task or a project, defaults considered."""
        project = self.projects[address.partition("/")[0]]
        entry = self.entries.get(address)
        if entry is None:
            return project.get("owner")
        return entry.task.get("owner", project.get("defaults", {}).get("owner"))

    def labels_of(self, address: str) -> list[str]:
        """Return the labels of a task or a project, defaults considered."""
        project = self.projects[address.partition("/")[0]]
        entry = self.entries.get(address)
        if entry is None:
            return project.get("labels") or []
        return entry.task.get("labels", project.get("defaults", {}).get("labels")) or []

    def milestone_of(self, address: str) -> str | None:
        """Return the key of the milestone of a task, defaults considered."""
        project: spec.Project = self.projects[address.partition("/")[0]]
        task = self.entries[address].task
        return task.get("milestone", project.get("defaults", {}).get("milestone"))

    def tasks(self, project: str = "") -> list[Named]:
        """Return the tasks of one project, or all, in the order of the specs."""
        return [
            item
            for item in self.named.values()
            if item.kind == "task" and project in {"", item.project}
        ]

    def holds(self, address: str, text: str) -> bool:
        """Return whether a title holds every word of a text that any title holds."""
        words = self._words[address]
        tokens = [word for word in _WORD.findall(fold(text)) if word not in _STOP]
        alike = [{word for word, _ in self._alike(token)} for token in tokens]
        return all(words & some for some in alike if some)

    def content(self, text: str) -> list[str]:
        """Return the words of a text that may name something."""
        return [word for word in _WORD.findall(fold(text)) if word not in _STOP]

    def unknown(self, text: str) -> list[str]:
        """Return the words of a text that no title holds."""
        tokens = [word for word in _WORD.findall(fold(text)) if word not in _STOP]
        return [token for token in tokens if not self._alike(token)]

    def _referred(self, folded: str, kinds: Collection[Kind], within: str) -> tuple[Named, ...]:
        """Return what a text names by its address or by a key with dashes."""
        found: dict[str, Named] = {}
        for match in _REFERENCE.finditer(folded):
            for item in self._by_reference(match[0]):
                if item.kind in kinds and within in {"", item.project}:
                    found.setdefault(item.address, item)
        if len(found) > 1 and any("/" in address for address in found):
            # `web/pick-stack`, or "pick-stack of mobile-app": the project says which.
            projects = {item.project for item in found.values() if item.kind == "project"}
            inside = [
                item
                for item in found.values()
                if item.kind != "project" and (not projects or item.project in projects)
            ]
            return tuple(inside or found.values())
        return tuple(found.values())

    def _quoted(self, folded: str, kinds: Collection[Kind], within: str) -> tuple[Named, ...]:
        """Return what a text names by its whole title, of several words; the longest one."""
        text = f" {' '.join(_WORD.findall(folded))} "
        found: dict[Named, str] = {}
        for item in self.named.values():
            if item.kind in kinds and within in {"", item.project}:
                title = " ".join(_WORD.findall(fold(item.title)))
                if " " in title and f" {title} " in text:
                    found[item] = title
        longest = max(map(len, found.values()), default=0)
        best = tuple(item for item, title in found.items() if len(title) == longest)
        # "Login of the mobile app" names a task, though only the project's name is whole.
        return best if any(item.kind != "project" for item in best) else ()

    def persons_like(self, text: str) -> list[str]:
        """Return the keys of people whose names are nearly in a text."""
        names = {fold(person["name"]): key for key, person in self.people.items()}
        names |= {key: key for key in self.people}
        words = [w for w in _WORD.findall(fold(text)) if len(w) > 3 and w not in _STOP]
        near = [n for w in words for n in difflib.get_close_matches(w, list(names), 1, NEAR)]
        return list(dict.fromkeys(names[n] for n in near))

    def _by_reference(self, reference: str) -> list[Named]:
        if reference in self.named:
            return [self.named[reference]]
        project, _, key = reference.rpartition("/")
        return [
            item
            for item in self.named.values()
            if item.key == key and project in {"", item.project}
        ]

    def _score(
        self, tokens: Sequence[str], kinds: Collection[Kind], within: str
    ) -> tuple[dict[str, _Scored], tuple[tuple[str, str], ...]]:
        """Return what shares words with a text, and which words were taken for others."""
        scored: dict[str, _Scored] = {}
        corrected: list[tuple[str, str]] = []
        for token in dict.fromkeys(tokens):
            for word, likeness in self._alike(token):
                if likeness < 1:
                    corrected.append((token, word))
                for address in self._holders[word]:
                    named = self.named[address]
                    if within not in {"", named.project}:
                        continue
                    if named.kind not in kinds and named.kind != "project":
                        continue
                    item = scored.setdefault(address, _Scored(named, self._words[address]))
                    item.held[word] = max(likeness, item.held.get(word, 0))
                    item.explained.add(token)
        return scored, tuple(corrected)

    def _alike(self, token: str) -> list[tuple[str, float]]:
        """Return the words of titles that a word may stand for, with how like they are."""
        if token not in self._known_words:
            self._known_words[token] = list(self._likenesses(token))
        return self._known_words[token]

    def _likenesses(self, token: str) -> Iterator[tuple[str, float]]:
        same = self._stems.get(_stem(token), [])
        if same or len(token) < 4:
            yield from ((word, 1.0) for word in same)
            return
        for word in difflib.get_close_matches(token, self._holders, 2, NEAR):
            yield word, difflib.SequenceMatcher(None, token, word).ratio()

    def _weight(self, word: str) -> float:
        return 1 / (1 + math.log(max(len(self._holders.get(word, ())), 1)))

    def _mentioned(self, scored: dict[str, _Scored]) -> dict[str, frozenset[str]]:
        """Return the projects that a text names in full or nearly, with the words that do so."""
        return {
            item.named.key: frozenset(item.explained)
            for item in scored.values()
            if item.named.kind == "project" and self._coverage(item) >= 0.75
        }

    def _coverage(self, item: _Scored) -> float:
        """Return how much of a title a text holds; the better of its words and its key's."""
        shares = [
            sum(self._weight(word) * item.held.get(word, 0) for word in words)
            / sum(self._weight(word) for word in words)
            for words in _spellings(item.named)
            if words
        ]
        return max(shares, default=0.0)

    def _grade(
        self, item: _Scored, tokens: Sequence[str], mentioned: dict[str, frozenset[str]]
    ) -> float:
        """Return how well a candidate fits: full title and whole text make 1."""
        coverage = self._coverage(item)
        apart = (
            mentioned.get(item.named.project, frozenset()) if item.named.kind != "project" else ()
        )
        rest = [token for token in dict.fromkeys(tokens) if token not in apart]
        if not rest:
            rest, coverage = list(tokens), coverage * 0.5
        known = sum(self._known(token) for token in rest if token in item.explained)
        explained = known / sum(self._known(token) for token in rest)
        if coverage + explained == 0:
            return 0.0
        return 2 * coverage * explained / (coverage + explained)

    def _as_good(self, item: _Scored, best: _Scored) -> bool:
        """Return whether a text says as much for a candidate as for the best, of neither all."""
        same = item.explained == best.explained and item.named.kind == best.named.kind
        return same and self._coverage(best) < 0.95 and self._coverage(item) > ENOUGH

    def _known(self, token: str) -> float:
        """Return how much a word of a text counts: half if no title has it."""
        return 1.0 if self._alike(token) else 0.5


def _spellings(named: Named) -> Iterable[frozenset[str]]:
    yield frozenset(word for word in _WORD.findall(fold(named.title)) if word not in _STOP)
    yield frozenset(word for word in named.key.split("-") if word not in _STOP)


def _words_of(named: Named) -> frozenset[str]:
    return frozenset(word for words in _spellings(named) for word in words)


def _stem(word: str) -> str:
    """Return a word without the commonest endings."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "es", "ed", "en", "s", "e", "n"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word

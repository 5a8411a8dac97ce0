"""Which projects, milestones and tasks a clause speaks of.

One by its title, several in a list, all that something is true of, or `it`: what the clause before
was about. What may be meant in two ways is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from runner.agent.baseline.dates import fold
from runner.agent.baseline.names import Kind, Lookup, Named, Names
from runner.agent.baseline.phrases import EVERYTHING, blanked

ANYTHING: tuple[Kind, ...] = ("project", "milestone", "task")
MAX_CHOICES = 6

_PRONOUN = re.compile(
    r"\b(?:it|them|that|these|those|both|es|sie|ihn|diese|le|la|les|lui|lo|los|las|ello)\b"
)
_LIST = re.compile(r"\s*(?:,|&|\+)\s*(?:and|und|et|y)?\s*|\s+(?:and|und|et|y)\s+")
_LABELLED = re.compile(
    r"\b(?:labell?ed|tagged|with\s+(?:the\s+)?(?:label|tag)|mit\s+(?:dem\s+)?label|etiquetadas?|avec\s+"
    r"l'etiquette)\s+[\"'`]?(?P<label>[\w -]+?)[\"'`]?(?=\s{2,}|$|,|\s+(?:to|as|in|of|and)\b)"
)
_OPEN = re.compile(r"\b(?:open|unfinished|remaining|offenen?|ouvertes?|restantes?|abiertas?)\b")
_KIND_NOUNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("milestone", re.compile(r"\b(?:milestone|meilenstein|jalon|hito)\b")),
    ("task", re.compile(r"\b(?:task|ticket|issue|aufgabe|tache|tarea)\b")),
)


class Unclear(Exception):
    """A clause cannot be carried out; the message is the question to ask."""

    def __init__(self, question: str) -> None:
        super().__init__(question)
        self.question = question


class Already(Unclear):
    """There is nothing to change.

    Attributes:
        about: what the clause was about.
    """

    def __init__(self, question: str, about: tuple[Named, ...]) -> None:
        super().__init__(question)
        self.about = about


class Targets:
    """Finds what clauses speak of.

    Attributes:
        last: what the clause before was about.
        notes: how words with typing errors were taken.
    """

    def __init__(self, names: Names, author: str) -> None:
        self.names = names
        self.author = author
        self.last: tuple[Named, ...] = ()
        self.notes: list[str] = []

    def one(
        self, text: str, kinds: Collection[Kind] = ANYTHING, within: str = "", what: str = ""
    ) -> Named:
        """Return the one that is meant.

        Raises:
            Unclear: it may be several, or none is like it.
        """
        lookup = self.names.find(text, _narrowed(text, kinds), within)
        if lookup.one is not None:
            self._note(lookup)
            return lookup.one
        if lookup.found:
            raise Unclear(f"Which do you mean: {_choices(lookup.found)}?")
        raise Unclear(self._missing(text, lookup, what or _kinds(kinds)))

    def some(
        self, text: str, kinds: Collection[Kind] = ANYTHING, within: str = ""
    ) -> tuple[Named, ...]:
        """Return all that are meant, at least one.

        Raises:
            Unclear: it cannot be told which, or there is none.
        """
        folded = fold(text)
        if EVERYTHING.search(folded) and "task" in kinds:
            return self._all(text)
        lookup = self.names.find(text, _narrowed(text, kinds), within)
        if not lookup.found and self.last and _PRONOUN.search(folded):
            return tuple(item for item in self.last if item.kind in kinds) or self.last
        if not lookup.found and self.last and not self.names.content(text):
            return tuple(item for item in self.last if item.kind in kinds) or self.last
        parts = [part for part in _LIST.split(text) if part.strip()]
        if len(parts) > 1 and not (lookup.one is not None and lookup.whole):
            each = [self.names.find(part, kinds, within) for part in parts]
            each = [item for item in each if item.found or item.near]
            found = [item.one for item in each if item.one is not None]
            if len(found) == len(each) and len(found) > 1:
                for item in each:
                    self._note(item)
                return tuple(dict.fromkeys(found))
        return (self.one(text, kinds, within),)

    def project(self, text: str) -> Named:
        """Return the project that a text names; the only one there is need not be named.

        Raises:
            Unclear: it may be several, or there is none.
        """
        lookup = self.names.project_in(text)
        if lookup.one is not None:
            self._note(lookup)
            return lookup.one
        if lookup.found:
            raise Unclear(f"Which project do you mean: {_choices(lookup.found)}?")
        if self.last and len({item.project for item in self.last}) == 1:
            key = self.last[0].project
            if key in self.names.projects:
                return self.names.named[key]
        keys = list(self.names.projects)
        if len(keys) == 1:
            return self.names.named[keys[0]]
        shown = ", ".join(f"`{key}`" for key in keys[:MAX_CHOICES]) or "none yet"
        raise Unclear(f"In which project? There are: {shown}.")

    def _all(self, text: str) -> tuple[Named, ...]:
        """Return every task that all conditions of a text hold of."""
        folded = fold(text)
        names = self.names
        match = _LABELLED.search(folded)
        label = match["label"].strip() if match is not None else ""
        owners = names.persons(text, self.author)
        gaps = [match.span()] if match is not None else []
        for person in owners:
            gaps += [
                found.span()
                for word in {person, fold(names.people[person]["name"])}
                for found in re.finditer(rf"\b{re.escape(word)}(?:'?s)?\b", folded)
            ]
        gaps += [found.span() for found in EVERYTHING.finditer(folded)]
        gaps += [found.span() for found in _OPEN.finditer(folded)]
        rest = blanked(text, gaps)
        place = self._place(rest)
        found = names.tasks(place.project if place else "")
        if place is not None and place.kind == "milestone":
            found = [item for item in found if names.milestone_of(item.address) == place.key]
        if owners:
            found = [item for item in found if names.owner_of(item.address) in owners]
        if label:
            found = [item for item in found if label in map(fold, names.labels_of(item.address))]
        if _OPEN.search(folded):
            closed = {"done", "canceled"}
            found = [i for i in found if names.entries[i.address].task.get("status") not in closed]
        if not (place or owners or label):
            found = self._by_words(rest, found)
            if len(found) == len(names.tasks()) and len(names.projects) > 1:
                raise Unclear("All tasks of which project, milestone or person?")
        if not found:
            raise Unclear(f"No task fits “{_shown(text)}”. Which ones do you mean?")
        return tuple(found)

    def _place(self, text: str) -> Named | None:
        """Return the project or milestone that a text names, if any."""
        lookup = self.names.find(text, ("milestone", "project"))
        if lookup.one is not None:
            self._note(lookup)
            return lookup.one
        projects = {item for item in lookup.found if item.kind == "project"}
        if len(projects) == 1:
            return projects.pop()
        if lookup.found:
            raise Unclear(f"All tasks of which: {_choices(lookup.found)}?")
        return self.names.project_in(text).one

    def _by_words(self, text: str, tasks: list[Named]) -> list[Named]:
        """Return the tasks whose titles hold the words of a text; all, if it has none left."""
        labels = {fold(label) for item in tasks for label in self.names.labels_of(item.address)}
        for word in re.findall(r"[\w-]+", fold(text)):
            if word in labels:
                return [i for i in tasks if word in map(fold, self.names.labels_of(i.address))]
        lookup = self.names.find(text, ("task",))
        if not lookup.found and lookup.near is None:
            return tasks if not self.names.unknown(text) else []
        return [item for item in tasks if self.names.holds(item.address, text)]

    def _missing(self, text: str, lookup: Lookup, what: str) -> str:
        said = _shown(text)
        near = f" Did you mean {lookup.near}?" if lookup.near is not None else ""
        return f"I found no {what} like “{said}”.{near}" if said else f"Which {what} do you mean?"

    def _note(self, lookup: Lookup) -> None:
        for written, meant in lookup.corrected:
            note = f"“{written}” was taken for “{meant}”."
            if note not in self.notes:
                self.notes.append(note)


def _narrowed(text: str, kinds: Collection[Kind]) -> Collection[Kind]:
    """Return the kinds that a text may mean, if it says which: "the login task"."""
    folded = fold(text)
    for kind, noun in _KIND_NOUNS:
        if kind in kinds and noun.search(folded):
            return (kind,)
    return kinds


def _kinds(kinds: Collection[Kind]) -> str:
    return " or ".join(kind for kind in ("task", "milestone", "project") if kind in kinds)


def _choices(found: Sequence[Named]) -> str:
    shown = [str(item) for item in found[:MAX_CHOICES]]
    more = f", or one of {len(found) - MAX_CHOICES} more" if len(found) > MAX_CHOICES else ""
    return ", ".join(shown[:-1]) + (f" or {shown[-1]}" if not more else f", {shown[-1]}{more}")


def _shown(text: str) -> str:
    """Return the words of a text that were looked for."""
    words = " ".join(text.split()).strip(" .,;:!?\"'")
    return words if len(words) <= 60 else words[:59] + "…"

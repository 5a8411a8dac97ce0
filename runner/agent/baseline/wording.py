"""Names and keys out of a request: what a project or a task is to be called.

"Create a project for building a mobile app with a 3-month deadline" asks for `Mobile app`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from runner.agent.baseline.dates import fold
from runner.agent.baseline.phrases import Clause, blanked

MAX_NAME: Final = 80
MAX_KEY_WORDS: Final = 5

_ARTICLES = (
    r"(?:an?|the|our|my|some|new|eine?[nrms]?|der|die|das|dem|den|unsere?[nrms]?|neue[nrs]?|une?|le|la|les"
    r"|l'|notre|nos|nouveau|nouvelle|el|los|las|una?|nuestr[oa]s?|nuev[oa])"
)
_MAKING = (
    r"(?:build(?:ing)?|develop(?:ing|ment)?|creat(?:e|ing)|mak(?:e|ing)|organi[sz](?:e|ing)|plan(?:ning)?"
    r"|run(?:ning)?|hold(?:ing)?|set(?:ting)?\s+up|writ(?:e|ing)|the\s+development\s+of"
    r"|(?:die\s+)?entwicklung|entwickeln|erstellung|bau|developper|le\s+developpement|creer"
    r"|la\s+creation|organiser|desarrollar|el\s+desarrollo|crear|construir|organizar)"
)
_VERBS: Final = {
    "migrating": "Migrate",
    "moving": "Move",
    "redesigning": "Redesign",
    "launching": "Launch",
    "hiring": "Hire",
    "upgrading": "Upgrade",
    "replacing": "Replace",
    "improving": "Improve",
    "rewriting": "Rewrite",
    "renovating": "Renovate",
    "translating": "Translate",
    "introducing": "Introduce",
    "switching": "Switch",
    "researching": "Research",
    "learning": "Learn",
    "teaching": "Teach",
    "opening": "Open",
    "testing": "Test",
}
_CALLED = re.compile(
    r"\b(?:called|named|titled|namens|genannt|appelee?|nommee?|intitulee?|llamad[oa])\s+|\bprojects?:\s+"
)
_ABOUT = re.compile(
    r"\b(?:projects?|projekte?s?|projets?|proyectos?)\s+(?:(?:for|to|about|around|on|of|fur|zum|zur|uber|pour|sur"
    r"|de|du|d'|para|sobre|del)\s+)*"
)
_PROJECT = re.compile(r"\bproje[ck]?ts?\b|\bproyecto\b")
_OBJECT = re.compile(
    r"\b(?:plan|organi[sz]e|prepare|plane|organisiere|planifie|planifica|organiza|prepara|to|need|want"
    r"|create|brauchen?)\s+(?:to\s+)?"
)
_DEADLINE = re.compile(
    r"\b(?:with|mit|avec|con|and|und|et|y)?\s*(?:an?\s+|einer?\s+|une\s+|una?\s+)?"
    r"(?:deadline|frist|echeance|fecha\s+limite|plazo|due(?:\s+date)?|termin)\b(?:\s+(?:of|von|de|is))?"
)
_PRIORITY = re.compile(
    r"\b(?:urgent|high-priority|low-priority|(?:high|low|medium|hohe[rs]?|haute|alta)\s+"
    r"(?:priority|prioritat|priorite|prioridad))\b,?"
)
_OWNER = re.compile(r"\b(?:for|owned\s+by|assigned\s+to|owner:?|fur|pour|para)\s+$")
_TRAILING = re.compile(
    rf"(?:[\s,.;:]|\b(?:with|and|by|for|to|in|on|of|at|within|that|which|an|anlegen|erstellen|mit|und|bis|fur|im|am|zum"
    rf"|avec|et|pour|dans|d'ici|con|y|para|en|please|bitte|it|must|is|be|done|needs?|should|has"
    rf"|{_ARTICLES[3:-1]})\b)+$"
)


def project_name(clause: Clause, persons: Collection[str]) -> str:
    """Return what a new project is to be called, or an empty string."""
    if clause.quotes:
        return clause.quotes[0][:MAX_NAME]
    text = clause.bare()
    folded = fold(text)
    gaps = [
        match.span() for pattern in (_DEADLINE, _PRIORITY) for match in pattern.finditer(folded)
    ]
    gaps += _of_persons(folded, persons)
    text = blanked(text, gaps)
    folded = fold(text)
    match = _CALLED.search(folded) or _ABOUT.search(folded)
    if match is None and not _PROJECT.search(folded):
        match = _OBJECT.search(folded)
    if match is None:
        return ""
    return tidy(text[match.end() :], making=True)


def tidy(text: str, *, making: bool = False) -> str:
    """Return words as a name: without articles and what trails; `Mobile app` for its making."""
    name = re.split(r"\s{3,}|[.;!?](?:\s|$)|,\s", text.strip(), maxsplit=1)[0]
    for pattern in (_ARTICLES, _MAKING, _ARTICLES) if making else (_ARTICLES,):
        match = re.match(rf"{pattern}(?:\s+|(?<='))", fold(name))
        name = name[match.end() :] if match is not None else name
    while (match := _TRAILING.search(fold(name))) is not None:
        name = name[: match.start()]
    first, _, rest = name.strip(" \"'`").partition(" ")
    first = _VERBS.get(first.lower(), first)
    name = f"{first} {rest}".strip()
    return (name[:1].upper() + name[1:])[:MAX_NAME].strip()


def key_of(name: str, taken: Collection[str]) -> str:
    """Return a key for a name, unlike those that are taken."""
    words = re.findall(r"[a-z0-9]+", fold(_spelt_out(name)).replace("'", ""))
    kept = [word for word in words if word not in _SMALL] or words or ["new"]
    key = "-".join(kept[:MAX_KEY_WORDS])[:60].strip("-")
    if key not in taken:
        return key
    number = next(n for n in range(2, len(taken) + 3) if f"{key}-{n}" not in taken)
    return f"{key}-{number}"


def _spelt_out(name: str) -> str:
    for letter, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        name = name.replace(letter, letters).replace(letter.upper(), letters.title())
    return name


_LITTLE = """
a an the of our my and der die das den dem des und le la les l un une du de d et el los las una y
"""
_SMALL = frozenset(_LITTLE.split())


def _of_persons(folded: str, persons: Collection[str]) -> list[tuple[int, int]]:
    """Return where a text says whose the project is: `for ana`, `owned by ana`."""
    gaps: list[tuple[int, int]] = []
    for person in persons:
        for match in re.finditer(rf"\b{re.escape(fold(person))}\b", folded):
            before = _OWNER.search(folded[: match.start()])
            if before is not None:
                gaps.append((before.start(), match.end()))
    return gaps

"""What a request asks for, told by its words: English, German, French and Spanish.

A message is cut into clauses, each with one thing to be done. The vocabulary is that of the
commonest phrases; what is not in it is not understood, and then it is asked.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal

from runner.agent.baseline.dates import Found, fold, read

Intent = Literal[
    "create",
    "add_task",
    "add_milestone",
    "split",
    "break_down",
    "depend",
    "label",
    "rename",
    "shift",
    "due",
    "estimate",
    "assign",
    "priority",
    "archive",
    "remove",
    "status",
    "move",
]

_CREATE = (
    r"create|make|start|set\s+up|add|plan|draft|open|begin|need|want|new|kick\s+off|put"
    r"|erstellen?|erstell|leg|lege|anlegen|plane|planen|mache?|brauchen?|neue[ns]?|fuge|hinzufugen"
    r"|cree|creer|creez|ajoute|ajouter|ajoutez|planifie|planifier|nouveau|nouvelle|monte"
    r"|crea|crear|creame|anade|anadir|agrega|agregar|planifica|nuevo|nueva|abre"
)
_PLAN = (
    r"(?:plan|organi[sz]e|prepare|plane|organisiere|planifie|organise|prepare|planifica|organiza"
    r"|prepara)\s+(?:an?|the|our|my|eine?n?|das|die|den|unsere?n?|une?|le|la|notre|el|un|una|nuestr[oa])\b"
    r"|\b(?:want|need|would\s+like|have)\s+to\s+(?:build|launch|develop|make|organi[sz]e|write|migrate"
    r"|redesign|hire|run|set\s+up|create|plan)\b"
    r"|\bbreak\s+down\s+(?:building|launching|migrating|organi[sz]ing)\b"
)
_PROJECT = r"projects?|projekte?s?|projets?|proyectos?"
_TASK = (
    r"(?:sub)?tasks?|tickets?|issues?|to-?dos?|(?:unter)?aufgaben?|(?:sous-)?taches?"
    r"|(?:sub)?tareas?"
)
_MILESTONE = r"milestones?|meilensteine?s?|jalons?|hitos?"
_NOT_NEW = rf"in|im|to|into|zum|dans|au|en|al|of|von|the|{_TASK}|{_MILESTONE}|{_PROJECT}"

_ALL = r"all|every|each|alle[nr]?|jede[rn]?|toutes?|tous|todas?|todos|label|tag"

_SHIFT = (
    r"push(?:es|ed)?|move[sd]?|shift(?:s|ed)?|postpone[sd]?|delay(?:s|ed)?|slip(?:s|ped)?|slips"
    r"|reschedule[sd]?|defer(?:s|red)?|put\s+off|bring|pull|extend(?:s|ed)?|late|behind|advance|set\s+back"
    r"|verschieben?|verschieb|verschiebt|verlegen?|verleg|verzogert|verzogern|verspatet|vorziehen|ziehe?"
    r"|repousse[rz]?|decale[rz]?|reporte[rz]?|avance[rz]?|retarde[rz]?|retard|deplace[rz]?"
    r"|retrasa|retrasar|retraso|pospon|pospone|posponer|aplaza|aplazar|mueve|mover|adelanta|adelantar"
)
_ASSIGN = (
    r"assign(?:s|ed)?|reassign(?:s|ed)?|unassign|give[ns]?|hand(?:s|ed)?|owner|owns|transfer|takes?"
    r"|weise?|zuweisen|ubergib|ubergeben|ubertrage?n?|gib|geben"
    r"|attribue[rz]?|assigne[rz]?|reassigne[rz]?|confie[rz]?|donne[rz]?|passe[rz]?"
    r"|asigna|asignar|reasigna|reasignar|dale|da|pasa|entrega"
)
_LABEL = (
    r"labels?|tags?|untag|unlabel|etikett|etiketten|etikettiere?n?|kennzeichne|etiquette[srz]?"
    r"|etiqueta[srn]?|etiquetar|etiquetas"
)
_REMOVE = (
    r"remove|delete|drop|discard|get\s+rid\s+of|losche|loschen|entferne|entfernen|streiche|streichen"
    r"|supprime[rz]?|retire[rz]?|enleve[rz]?|elimina|eliminar|borra|borrar|quita|quitar"
)
_SPLIT = (
    r"split(?:s)?|divide|teile?|aufteilen|zerlege?n?|divise[rz]?|scinde[rz]?|decoupe[rz]?|separa"
    r"|dividir|separe[rz]?"
)
_BREAK = (
    r"break(?:s|ing)?\s+(?:\S+\s+){0,10}?(?:down|up)|breakdown|flesh\s+out|detail|detaille[rz]?"
    r"|schlussele?|aufschlusseln|decompose[rz]?|desglosa|desglosar|desmenuza|detalla"
)
_DEPEND = (
    r"depends?\s+on|depend\s+on|waits?\s+(?:for|on)|waiting\s+for|blocked\s+by|blocks|only\s+after"
    r"|comes?\s+after|dependency|dependencies|hangt|abhangig|wartet\s+auf|depende?\s+de|dependre\s+de"
    r"|attendre|attend|espera\s+a|esperar\s+a|depender\s+de"
)
_RENAME = (
    r"rename|retitle|benenne?|umbenennen|nenne|renomme[rz]?|rebaptise[rz]?|renombra|renombrar"
    r"|change\s+the\s+(?:name|title|key)|call\s+\S+"
)
_PRIORITY = (
    r"priority|prioriti[sz]e|deprioriti[sz]e|prioritat|priorite|prioridad|urgent|dringend|urgente"
    r"|critical|low-priority|high-priority"
)
_DUE = (
    r"due|deadline|finish(?:ed)?|done\s+by|ready\s+by|must\s+be|fallig|frist|termin|fertig\s+sein|echeance"
    r"|vence|fecha\s+limite|plazo|terminer|terminar|date\s+limite|delivered"
)
_ESTIMATE = (
    r"estimates?|takes?|schatze?|aufwand|estime[rz]?|estima|estimar|effort|dauert|duree|dura"
)
_STATUS = (
    r"done|finished|completed|complete|started|in\s+progress|cancel(?:l?ed)?|erledigt|fertig"
    r"|abgeschlossen|begonnen|terminee?s?|finie?s?|annulee?s?|hech[oa]s?|terminad[oa]s?|completad[oa]s?"
)
_MOVE = r"move|put|transfer|verschiebe|verschieb|deplace[rz]?|mueve|mover|relocate|lift|nest"
_ARCHIVE = r"archive|archiviere?n?|archive[rz]|archivar|archiva|shelve"
_FIELDS = (
    r"(?:its|the|their|die|la|le)?\s*(?:priority|owner|due\s+date|deadline|estimate|prioritat|frist)"
    r"\s+(?:to|as|is|auf)"
)
_VERBS = "|".join(
    (
        *(_CREATE, _SHIFT, _ASSIGN, _LABEL, _REMOVE, _SPLIT, _BREAK, _RENAME, _ARCHIVE, _MOVE),
        r"mark|set|change|raise|lower|increase|prioriti[sz]e|estimate|let|setze?|markiere|andere"
        r"|marque[rz]?|mets|mettre|change[rz]?|marca|marcar|pon|poner|cambia",
    )
)

_RULES: Final[tuple[tuple[Intent, str, Literal["", "day", "length", "time"]], ...]] = (
    (
        "add_task",
        rf"(?:{_CREATE})\s+(?:(?!(?:{_MILESTONE}|{_ALL})\b)[^\s.;]+\s+){{0,8}}?(?:{_TASK})",
        "",
    ),
    (
        "add_milestone",
        rf"(?:{_CREATE})\s+(?:(?!\b(?:{_TASK})\b)[^\s.;]+\s+){{0,8}}?(?:{_MILESTONE})",
        "",
    ),
    ("create", rf"(?:{_CREATE})\s+(?:(?!(?:{_NOT_NEW})\b)[^\s.;]+\s+){{0,5}}?(?:{_PROJECT})\b", ""),
    ("create", rf"(?:{_PROJECT})\b.*\b(?:anlegen|erstellen|aufsetzen)", ""),
    (
        "split",
        rf"(?:{_SPLIT})|break\s+.*\binto\s+(?:\S+\s+)*?(?:\S+,\s|\S+\s+and\s|\d|two|three|four)",
        "",
    ),
    ("create", _PLAN, "time"),
    ("break_down", _BREAK, ""),
    ("shift", _SHIFT, "time"),
    ("depend", _DEPEND, ""),
    ("rename", _RENAME, ""),
    ("label", _LABEL, ""),
    ("estimate", _ESTIMATE, "length"),
    ("due", _DUE, "day"),
    ("archive", _ARCHIVE, ""),
    ("priority", _PRIORITY, ""),
    ("remove", _REMOVE, ""),
    (
        "status",
        rf"(?:mark|set|is|are|ist|sind|est|sont|esta|estan|markiere|setze?|marque[rz]?|marca|pon|cancel)\b.*\b(?:{_STATUS})|^cancel",
        "",
    ),
    ("assign", _ASSIGN, ""),
    ("due", r"(?:start|begin|beginn|commence|empieza)s?", "day"),
    ("move", _MOVE, ""),
    ("create", _PLAN, ""),
    ("add_task", r"(?:add|fuge|ajoute[rz]?|anade|agrega)", ""),
    ("priority", r"(?:raise|lower|increase|decrease|bump|more\s+important|less\s+important)", ""),
)
_COMPILED: Final[tuple[tuple[Intent, re.Pattern[str], str], ...]] = tuple(
    (name, re.compile(rf"\b(?:{rule})\b"), needs) for name, rule, needs in _RULES
)

FORBIDDEN: Final = re.compile(
    r"/etc/|\.\./|\.gitlab-ci|codeowners|\b(?:api[\s_-]?keys?|tokens?|passwords?|secrets?|credentials?"
    r"|environment\s+variables?|system\s+prompt|shell|sudo|curl|rm\s+-rf|ignore\s+(?:all\s+)?(?:previous"
    r"|prior|above)|/merge|/approve|force[\s-]push|passwort|mot\s+de\s+passe|contrasena)\b"
)
"""What no request about projects and tasks needs."""

ASKS: Final = re.compile(
    r"^\W*(?:who|what|when|where|which|how|is|are|does|do|wer|was|wann|wie|welche[rs]?|ist|qui|que|quand"
    r"|quelle?s?|comment|est-ce|quien|cuando|cual|como|donde)\b"
)
"""A question about the specs rather than a change of them."""

EARLIER: Final = re.compile(
    r"\b(?:forward|earlier|sooner|pull|bring|advance|vor|vorziehen|fruher|avance[rz]?|plus\s+tot"
    r"|adelanta|adelantar|antes)\b"
)
EVERYTHING: Final = re.compile(
    r"\b(?:all|every|everything|each|alle[nsr]?|alles|samtliche|jede[rsn]?|toutes?|tous|tout|chaque|todas?"
    r"|todos?|cada)\b"
)
PRIORITIES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = tuple(
    (value, re.compile(rf"\b(?:{words})\b"))
    for value, words in (
        ("none", r"no\s+priority|keine\s+prioritat|sans\s+priorite|sin\s+prioridad"),
        ("urgent", r"urgent|critical|highest|dringend|urgente?s?|kritisch|critique|critica"),
        ("high", r"high|hohe[rn]?|hoch|haute|elevee|alta|important|wichtig|high-priority"),
        ("medium", r"medium|normal|mittel|mittlere[rn]?|moyenne|media"),
        ("low", r"low|niedrige?[rn]?|niedrig|basse|faible|baja|unimportant|low-priority"),
    )
)
STATUSES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = tuple(
    (value, re.compile(rf"\b(?:{words})\b"))
    for value, words in (
        ("canceled", r"cancel(?:l?ed)?|annulee?s?|abgebrochen|cancelad[oa]s?"),
        ("in_progress", r"started|in\s+progress|begonnen|en\s+cours|en\s+curso|empezad[oa]s?"),
        ("backlog", r"backlog"),
        ("todo", r"to\s?do|not\s+started"),
        (
            "done",
            r"done|finished|completed?|erledigt|fertig|abgeschlossen|terminee?s?|finie?s?|hech[oa]s?|terminad[oa]s?|completad[oa]s?",
        ),
    )
)
NO_LONGER: Final = re.compile(
    r"\b(?:no\s+longer|not\s+.*\bany\s*more|doesn't|does\s+not|remove|drop|nicht\s+mehr|ne\s+.*\bplus|ya\s+no|without"
    r"|off|from)\b"
)
_REST = re.compile(
    r"[\s,;.]+(?:(?:and|but)\s+)?(?:leave|keep|change)\s+(?:everything|anything|nothing|all)\s+else\b.*$",
    re.IGNORECASE,
)
"""That nothing else is to change goes without saying."""
STARTS: Final = re.compile(rf"\W*(?:please\s+|bitte\s+)?(?:{_VERBS})\b")
"""A clause that asks for something, understood or not."""
_QUOTED = re.compile(r'"([^"\n]{1,200})"|(?<!\w)\'([^\'\n]{1,200})\'(?!\w)|`([^`\n]{1,200})`')
_JOINT = re.compile(
    rf"(?:(?<!\s\d)(?<!\s\d\d)[.;!?]\s+|\n+|,?\s+(?:and|then|und|dann|et|puis|y|luego|e)\s+|,\s+)"
    rf"(?=(?:please\s+|then\s+|also\s+|bitte\s+|dann\s+|ensuite\s+|luego\s+|tambien\s+)*(?:{_VERBS}|{_FIELDS})\b)"
    rf"|(?<!\s\d)(?<!\s\d\d)[.;!?]\s+|\n+"
)


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a message with one thing to be done.

    Attributes:
        text: as it was written.
        folded: in small letters without accents, as long as `text`.
        intent: what is to be done, or `None` if that is not understood.
        times: the dates and lengths of time in it.
        quoted: where its quoted parts begin and end, quotes excluded.
    """

    text: str
    folded: str
    intent: Intent | None
    times: tuple[Found, ...]
    quoted: tuple[tuple[int, int], ...]

    @property
    def days(self) -> list[Found]:
        """The dates."""
        return [item for item in self.times if item.last is not None]

    @property
    def lengths(self) -> list[Found]:
        """The lengths of time."""
        return [item for item in self.times if item.length is not None]

    @property
    def quotes(self) -> list[str]:
        """The quoted parts."""
        return [self.text[begin:end].strip() for begin, end in self.quoted]

    def bare(self, *, quotes: bool = False) -> str:
        """Return the text with blanks for dates and, if asked for, for quoted parts."""
        gaps = [(item.begin, item.end) for item in self.times]
        gaps += [(begin - 1, end + 1) for begin, end in self.quoted] if quotes else []
        return blanked(self.text, gaps)


def blanked(text: str, gaps: Sequence[tuple[int, int]]) -> str:
    """Return text with parts of it replaced by blanks."""
    for begin, end in gaps:
        text = text[:begin] + " " * (end - begin) + text[end:]
    return text


def clause_of(text: str, today: date) -> Clause:
    """Return a text as one clause."""
    folded = fold(text)
    quoted = tuple(
        next(match.span(i) for i in (1, 2, 3) if match[i] is not None)
        for match in _QUOTED.finditer(folded)
    )
    covered = blanked(text, quoted)
    times = tuple(read(covered, today))
    return Clause(text, folded, _intent(fold(covered), times), times, quoted)


def clauses(message: str, today: date) -> list[Clause]:
    """Return the parts of a message; those after a new project that only add to it are in it."""
    text = _REST.sub("", " ".join(message.split(" "))).strip()
    covered = _covered(text)
    cuts = [match.span() for match in _JOINT.finditer(covered)]
    begins = [0, *(end for _, end in cuts)]
    ends = [*(begin for begin, _ in cuts), len(text)]
    parts = [(b, e) for b, e in zip(begins, ends, strict=True) if text[b:e].strip(" .;!?\n")]
    found: list[tuple[int, int, Clause]] = []
    for begin, end in parts:
        clause = clause_of(text[begin:end].strip(" .;!?\n"), today)
        if found and _is_cut_short(found[-1][2], clause):
            # "Push X and push Y by a week": the second verb belongs to a title, or is said twice.
            first = found[-1][0]
            found[-1] = (first, end, clause_of(text[first:end].strip(" .;!?\n"), today))
        elif found and _adds(found[-1][2], clause):
            first = found[-1][0]
            whole = clause_of(text[first:end].strip(" .;!?\n"), today)
            found[-1] = (first, end, replace(whole, intent=found[-1][2].intent))
        else:
            found.append((begin, end, clause))
    return [clause for _, _, clause in found]


def _is_cut_short(before: Clause, clause: Clause) -> bool:
    """Return whether a clause lacks only the time that the next one gives."""
    return (
        before.intent is None
        and STARTS.match(before.folded) is not None
        and clause.intent in {"shift", "due", "estimate"}
    )


def corrected(message: str) -> str:
    """Return a message with typing errors in the commonest words of requests mended."""

    def mended(match: re.Match[str]) -> str:
        near = difflib.get_close_matches(fold(match[0]), _COMMON, 1, 0.84)
        return near[0] if near else match[0]

    return re.sub(r"[^\W\d_]{3,}", mended, message)


_COMMON_WORDS = """
create project push postpone delay move shift reschedule assign reassign give split break label tag
rename archive remove delete priority urgent estimate deadline week weeks month months days task
tasks milestone erstelle projekt verschiebe woche wochen monate zuweisen aufgabe teile repousse
projet semaine semaines assigne crea proyecto retrasa semana semanas asigna tarea etiqueta
"""
_COMMON = _COMMON_WORDS.split()


def _adds(before: Clause, clause: Clause) -> bool:
    """Return whether a clause only says more about the one before it."""
    if before.intent == "create":
        return clause.intent in {None, "due", "estimate"}
    if before.intent in {"split", "add_task"} and ":" in before.text:
        return True
    if before.intent in {"split", "add_task", "break_down"}:
        return clause.intent is None and not re.match(r"(?:please|can|could)\b", clause.folded)
    follows = r"\bdepend|\bafter\s+it\b|\bdownstream\b|\babhang|\bdependen\b"
    return before.intent == "shift" and re.search(follows, clause.folded) is not None


def _covered(text: str) -> str:
    """Return the folded text with its quoted parts blanked, for finding where to cut."""
    folded = fold(text)
    return blanked(folded, [match.span() for match in _QUOTED.finditer(folded)])


def _intent(folded: str, times: Sequence[Found]) -> Intent | None:
    bare = blanked(folded, [(item.begin, item.end) for item in times])
    day = any(item.last is not None for item in times)
    length = any(item.length is not None for item in times)
    met = {"": True, "day": day, "length": length, "time": day or length}
    for name, rule, needs in _COMPILED:
        # A date may hold the word that tells what is asked: "due on Friday".
        text = folded if needs else bare
        if met[needs] and rule.search(text):
            return name
    return None

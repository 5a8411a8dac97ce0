"""Dates and lengths of time in plain words, in English, German, French and Spanish.

`read` finds them all in a text: "in three months", "by end of Q1", "nächsten Freitag", "le 5 mars",
"dos semanas". What is computed from such words falls on a working day; a day that is written out is
taken as it stands.
"""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

Role = Literal["start", "due", ""]

_PLAIN = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u201a\u2032`\u00b4"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u00ab\u00bb"), '"'),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014"), "-"),
}
"""Quotes and dashes as they are typed."""


def fold(text: str) -> str:
    """Return text in small letters without accents, character for character as long as before."""
    text = text.translate(_PLAIN)
    if text.isascii():
        return text.lower()
    plain = (unicodedata.normalize("NFKD", c)[0] for c in text)
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in plain)


@dataclass(frozen=True, slots=True)
class Length:
    """A length of time: calendar months and days, working days, or hours of work."""

    months: int = 0
    days: int = 0
    workdays: int = 0
    minutes: int = 0

    def after(self, day: date, sign: int = 1) -> date:
        """Return the day so much later, or earlier for a `sign` of -1; never on a weekend."""
        moved = _add_months(day, sign * self.months) + timedelta(days=sign * self.days)
        if not self.workdays:
            return on_working_day(moved, later=sign > 0)
        for _ in range(self.workdays):
            moved += timedelta(days=sign)
            moved = on_working_day(moved, later=sign > 0)
        return moved

    @property
    def work(self) -> int:
        """What it stands for as an estimate, in minutes: a day has 8 hours, a week 5 days."""
        weeks, days = divmod(self.days, 7)
        return self.minutes + 480 * (self.workdays + min(days, 5) + 5 * weeks + 21 * self.months)

    def __str__(self) -> str:
        """Return it in words."""
        parts: list[str] = []
        weeks, days = divmod(self.days, 7)
        for amount, unit in (
            (self.months, "month"),
            (weeks, "week"),
            (days, "day"),
            (self.workdays, "working day"),
            (self.minutes // 60, "hour"),
            (self.minutes % 60, "minute"),
        ):
            if amount:
                parts.append(f"{amount} {unit}{'s' if amount > 1 else ''}")
        return " and ".join(parts) or "no time"


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a text says about time.

    Attributes:
        begin: where it begins in the text, words such as `by` and `until` included.
        end: where it ends.
        first: its first day; for a length of time, `None`.
        last: its last day; for a length of time, `None`.
        length: how long, for a length of time.
        written: whether the day was written out, rather than computed.
        role: what the words before it make of it.
        doubt: the other way to read it, for a date like 03/04/2027.
    """

    begin: int
    end: int
    first: date | None = None
    last: date | None = None
    length: Length | None = None
    written: bool = False
    role: Role = ""
    doubt: date | None = None

    @property
    def as_due(self) -> date:
        """The day by which something is to be done."""
        if self.last is None:
            raise ValueError("a length of time is no day")
        return self.last if self.written else on_working_day(self.last, later=False)

    @property
    def as_start(self) -> date:
        """The day from which something may begin."""
        if self.first is None:
            raise ValueError("a length of time is no day")
        return self.first if self.written else on_working_day(self.first, later=True)


def on_working_day(day: date, *, later: bool) -> date:
    """Return a day itself, or the nearest one after or before that is no weekend."""
    while day.weekday() > 4:
        day += timedelta(days=1 if later else -1)
    return day


def working_days(first: date, last: date) -> int:
    """Return how many days from `first` to `last`, both included, are no weekend."""
    weeks, rest = divmod(max((last - first).days + 1, 0), 7)
    return weeks * 5 + sum((first + timedelta(days=i)).weekday() < 5 for i in range(rest))


def nth_working_day(first: date, count: int) -> date:
    """Return the working day that is number `count`, from 1, from `first` on."""
    day = on_working_day(first, later=True)
    weeks, rest = divmod(max(count, 1) - 1, 5)
    day += timedelta(weeks=weeks)
    for _ in range(rest):
        day = on_working_day(day + timedelta(days=1), later=True)
    return day


def read(text: str, today: date) -> list[Found]:
    """Return all dates and lengths of time that a text names, in order."""
    folded = fold(text)
    found = [item for item in _all(folded, today) if item is not None]
    found.sort(key=lambda item: (item.begin, -item.end))
    chosen: list[Found] = []
    for item in found:
        if chosen and item.begin < chosen[-1].end:
            if item.end - item.begin > chosen[-1].end - chosen[-1].begin:
                chosen[-1] = item
            continue
        chosen.append(item)
    return [_with_role(item, folded) for item in chosen]


def _add_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


_NUMBERS: Mapping[str, int] = {
    word: number
    for number, words in {
        1: "a an one ein eine einen einem einer eines un une uno una",
        2: "two zwei deux dos couple paar",
        3: "three drei trois tres few",
        4: "four vier quatre cuatro",
        5: "five funf cinq cinco",
        6: "six sechs seis",
        7: "seven sieben sept siete",
        8: "eight acht huit ocho",
        9: "nine neun neuf nueve",
        10: "ten zehn dix diez",
        11: "eleven elf onze once",
        12: "twelve zwolf douze doce",
        15: "fifteen quinze quince funfzehn",
        18: "eighteen achtzehn dix-huit dieciocho",
        20: "twenty zwanzig vingt veinte",
        30: "thirty dreissig trente treinta",
    }.items()
    for word in words.split()
}
_UNITS: Mapping[str, Length] = {
    word: length
    for words, length in (
        ("minute minutes min mins minuten minuto minutos", Length(minutes=1)),
        ("hour hours hr hrs h stunde stunden heure heures hora horas", Length(minutes=60)),
        ("day days d tag tage tagen jour jours dia dias", Length(days=1)),
        ("week weeks wk wks w woche wochen semaine semaines semana semanas", Length(days=7)),
        ("fortnight fortnights quincena", Length(days=14)),
        ("month months monat monate monaten monats mois mes meses", Length(months=1)),
        ("quarter quarters quartal quartale trimestre trimestres", Length(months=3)),
        ("year years jahr jahre jahren annee annees ans anos ano", Length(months=12)),
    )
    for word in words.split()
}
_MONTHS: Mapping[str, int] = {
    word: number
    for number, words in enumerate(
        (
            "january jan januar janner janvier enero",
            "february feb februar feber fevrier febrero",
            "march mar marz mars marzo",
            "april apr avril abril",
            "may mai mayo",
            "june jun juni juin junio",
            "july jul juli juillet julio",
            "august aug aout agosto",
            "september sep sept septembre septiembre",
            "october oct oktober okt octobre octubre",
            "november nov novembre noviembre",
            "december dec dezember dez decembre diciembre",
        ),
        1,
    )
    for word in words.split()
}
_WEEKDAYS: Mapping[str, int] = {
    word: number
    for number, words in enumerate(
        (
            "monday mon montag lundi lunes",
            "tuesday tue dienstag mardi martes",
            "wednesday wed mittwoch mercredi miercoles",
            "thursday thu donnerstag jeudi jueves",
            "friday fri freitag vendredi viernes",
            "saturday samstag samedi sabado",
            "sunday sonntag dimanche domingo",
        )
    )
    for word in words.split()
}


def _any(words: Mapping[str, object]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_OF = r"(?:\s+of|\s+par|\s+de)?"
_WORKING = r"(?:working|business|work)"
_LENGTH = (
    rf"(?:(?P<half>half|halbe[sn]?|halben|demi-?|medi[oa])(?:\s+an?)?[\s-]+"
    rf"|(?:a\s+)?(?P<number>\d{{1,3}}(?:[.,]5)?(?:{_OF})[\s-]*|(?:{_any(_NUMBERS)}){_OF}[\s-]+))"
    rf"(?:(?P<working>{_WORKING})[\s-]?)?"
    rf"(?:(?P<workdays>arbeitstagen?|arbeitstage|werktagen?|werktage|workdays?"
    rf"|jours?\s+ouvres|dias?\s+(?:habiles|laborables))|(?P<unit>{_any(_UNITS)}))\b"
)
_GERMAN_ADJECTIVE = (
    r"\b(?P<number>zwei|drei|vier|sechs|acht|zehn)(?P<unit>tagig|wochig|monatig|jahrig)e[nmrs]?\b"
)
_AFTERWARDS = (
    r"(?P<later>\s+(?:from\s+(?:now|today)|ab\s+(?:heute|jetzt)|a\s+partir\s+de\s+(?:hoy|ahora)))"
)
_IN = (
    r"\b(?P<in>in|within(?:\s+the\s+next)?|over\s+the\s+next|innerhalb\s+(?:von|der\s+nachsten)"
    r"|binnen|d'ici(?:\s+a)?|dans|en|dentro\s+de)\s+"
)
_NEXT = r"next|coming|following|nachste[nrsm]?|kommende[nrsm]?|proxim[oa]"
_NEXT_AFTER = r"prochaine?|que\s+viene|proxim[oa]"
_THIS = r"this|the|current|diese[nrsm]?|des|ce|cette|este|esta|del?|der|la|du|le|el"
_EDGE: Mapping[str, str] = {
    "end": r"end|close|ende|fin|finales|final|eo",
    "start": r"start|beginning|begin|anfang|beginn|debut|principios|comienzos|inicio",
    "middle": r"mid|middle|mitte|mi|milieu|mediados",
}
_PERIOD = (
    rf"(?:(?P<quarter>q[1-4])|(?P<month>{_any(_MONTHS)})\b(?!\s*\d{{1,2}}(?:st|nd|rd|th|\b(?!\d))))"
    r"(?:,?\s*(?:of\s+|de\s+|del\s+)?(?P<year>20\d\d))?"
)
_RELATIVE = (
    rf"(?:(?P<next>{_NEXT})\s+(?P<unit>week|month|quarter|year|woche|monats?|quartals?|jahre?s?"
    rf"|semana|mes|trimestre|ano)"
    rf"|(?:(?:{_THIS})\s+)?(?P<unit2>semaine|mois|trimestre|annee|semana|mes|ano|week|month|quarter"
    rf"|year|woche|monats?|quartals?|jahre?s?)(?:\s+(?P<next2>{_NEXT_AFTER}))?)\b"
)
_LINK = r"(?:\s+(?:of|de|du|des|del|der|von|the|la|le|d'))*[\s-]*"


def _edge(pattern: str) -> str:
    edges = "|".join(rf"(?P<{name}>{words})" for name, words in _EDGE.items())
    return rf"\b(?:{edges})\b{_LINK}{pattern}"


def _named(folded: str, today: date) -> Iterator[Found | None]:
    for match in re.finditer(r"\b(20\d\d)-(\d\d?)-(\d\d?)\b", folded):
        yield _written(match, int(match[1]), int(match[2]), int(match[3]))
    months = _any(_MONTHS)
    day_first = (
        rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th|er|\.|o)?\s+(?:of\s+|de\s+)?(?P<month>{months})\b\.?"
        r"(?:,?\s+(?:of\s+|de\s+|del\s+)?(?P<year>20\d\d))?"
    )
    month_first = (
        rf"\b(?P<month>{months})\.?\s+(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?!\d)"
        r"(?:,?\s+(?P<year>20\d\d))?"
    )
    for pattern in (day_first, month_first):
        for match in re.finditer(pattern, folded):
            month, day = _MONTHS[match["month"]], int(match["day"])
            yield _written(match, _year(match["year"], month, day, today), month, day)
    for match in re.finditer(r"\b(\d{1,2})([./])(\d{1,2})(?:\2((?:20)?\d\d))?(?!\d)", folded):
        yield _numeric(match, today)


def _numeric(match: re.Match[str], today: date) -> Found | None:
    """Return a date like 31.3.2027, 31/3/2027 or 3/31/2027; in doubt, the day comes first."""
    first, second, dot = int(match[1]), int(match[3]), match[2] == "."
    if match[4] is None and not (dot and match.string[match.end() :][:1] == "."):
        return None
    year = match[4] or ""
    year = f"20{year}" if len(year) == 2 else year
    day, month = (first, second) if dot or first > 12 or second <= 12 else (second, first)
    found = _written(match, _year(year, month, day, today), month, day)
    if found is not None and not dot and first <= 12 and second <= 12 and first != second:
        other = _written(match, _year(year, day, month, today), day, month)
        return replace(found, doubt=other.first if other else None)
    return found


def _year(year: str | None, month: int, day: int, today: date) -> int:
    """Return the year that is named, else the one in which the day is still to come."""
    if year:
        return int(year)
    return today.year + ((month, day) < (today.month, today.day))


def _written(match: re.Match[str], year: int, month: int, day: int) -> Found | None:
    """Return a date that is written out; 31 February is the last of February, in doubt."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    last = date(year, month, monthrange(year, month)[1])
    if day > last.day:
        doubt = last + timedelta(days=1)
        return Found(match.start(), match.end(), last, last, written=True, doubt=doubt)
    found = date(year, month, day)
    return Found(match.start(), match.end(), found, found, written=True)


def _weekdays(folded: str, today: date) -> Iterator[Found]:
    names = _any(_WEEKDAYS)
    pattern = (
        rf"\b(?:(?P<next>{_NEXT}|this|diese[nrm]?|ce|este)\s+)?(?P<day>{names})\b"
        r"(?P<after>\s+(?:prochain|que\s+viene|next\s+week|nachster?\s+woche))?"
    )
    for match in re.finditer(pattern, folded):
        if len(match["day"]) == 3 and not match["next"]:
            continue
        ahead = (_WEEKDAYS[match["day"]] - today.weekday() - 1) % 7 + 1
        day = today + timedelta(days=ahead)
        skips = (match["next"] or "").startswith(("next", "nachst")) or (
            "week" in (match["after"] or "") or "woche" in (match["after"] or "")
        )
        if skips and day.isocalendar()[:2] == today.isocalendar()[:2]:
            day += timedelta(weeks=1)
        yield Found(match.start(), match.end(), day, day)


def _days_ahead(folded: str, today: date) -> Iterator[Found]:
    for words, days in (
        (r"today|heute|aujourd'hui|hoy", 0),
        (r"day\s+after\s+tomorrow|ubermorgen|apres-demain|pasado\s+manana", 2),
        (r"tomorrow|morgen|demain|manana", 1),
    ):
        for match in re.finditer(rf"\b(?:{words})\b", folded):
            day = today + timedelta(days=days)
            yield Found(match.start(), match.end(), day, day)
    for match in re.finditer(r"\b(?:christmas|xmas|weihnachten|noel|navidad)\b", folded):
        day = date(_year(None, 12, 24, today), 12, 24)
        yield Found(match.start(), match.end(), day, day)


def _periods(folded: str, today: date) -> Iterator[Found]:
    for match in re.finditer(_edge(_PERIOD), folded):
        yield _at_edge(match, *_named_period(match, today))
    for match in re.finditer(_edge(_RELATIVE), folded):
        yield _at_edge(match, *_relative_period(match, today))
    for match in re.finditer(
        rf"\b(?:in|im|en|by|to|bis|before|until|avant|antes\s+de|this)\s+(?P<p>{_PERIOD})", folded
    ):
        first, last = _named_period(match, today)
        yield Found(match.start("p"), match.end(), first, last)
    for match in re.finditer(rf"\b(?P<p>{_PERIOD})\b", folded):
        if match["quarter"] or match["year"]:
            yield Found(match.start(), match.end(), *_named_period(match, today))
    for match in re.finditer(rf"\b{_RELATIVE}", folded):
        if match["next"] or match["next2"]:
            yield Found(match.start(), match.end(), *_relative_period(match, today))
    for match in re.finditer(r"\beo(?P<unit>[wmqy])\b", folded):
        unit = {"w": "week", "m": "month", "q": "quarter", "y": "year"}[match["unit"]]
        last = _span_of(unit, today, 0)[1]
        yield Found(match.start(), match.end(), last, last)


def _at_edge(match: re.Match[str], first: date, last: date) -> Found:
    if match["end"]:
        return Found(match.start(), match.end(), last, last)
    if match["start"]:
        return Found(match.start(), match.end(), first, first)
    middle = first + (last - first) // 2
    return Found(match.start(), match.end(), middle, middle)


def _named_period(match: re.Match[str], today: date) -> tuple[date, date]:
    if match["quarter"]:
        month, months = int(match["quarter"][1]) * 3 - 2, 3
    else:
        month, months = _MONTHS[match["month"]], 1
    year = int(match["year"]) if match["year"] else today.year
    last = _add_months(date(year, month, 1), months) - timedelta(days=1)
    if last < today and not match["year"]:
        year += 1
    first = date(year, month, 1)
    return first, _add_months(first, months) - timedelta(days=1)


def _relative_period(match: re.Match[str], today: date) -> tuple[date, date]:
    unit = match["unit"] or match["unit2"]
    return _span_of(unit, today, 1 if match["next"] or match["next2"] else 0)


def _span_of(unit: str, today: date, ahead: int) -> tuple[date, date]:
    """Return the first and last day of this or the next week, month, quarter or year."""
    if unit.startswith(("week", "woche", "sem")):
        first = today - timedelta(days=today.weekday()) + timedelta(weeks=ahead)
        return first, first + timedelta(days=4)
    if unit.startswith(("month", "monat", "moi", "mes")):
        months, month = 1, today.month
    elif unit.startswith(("quart", "trim")):
        months, month = 3, today.month - (today.month - 1) % 3
    else:
        months, month = 12, 1
    first = _add_months(date(today.year, month, 1), months * ahead)
    return first, _add_months(first, months) - timedelta(days=1)


def _lengths(folded: str, today: date) -> Iterator[Found]:
    for match in re.finditer(rf"\b{_LENGTH}", folded):
        yield Found(match.start(), match.end(), length=_length(match))
    for match in re.finditer(rf"{_IN}{_LENGTH}", folded):
        length = _length(match)
        if not length.minutes:
            day = length.after(today, 1) if length.workdays else _calendar(length, today)
            yield Found(match.start(), match.end(), day, day)
    for match in re.finditer(rf"\b{_LENGTH}{_AFTERWARDS}", folded):
        day = _calendar(_length(match), today)
        yield Found(match.start(), match.end(), day, day)
    for match in re.finditer(_GERMAN_ADJECTIVE, folded):
        unit = {"tagig": "tag", "wochig": "woche", "monatig": "monat", "jahrig": "jahr"}
        length = _times(_UNITS[unit[match["unit"]]], _NUMBERS[match["number"]])
        yield Found(match.start(), match.end(), length=length)


def _calendar(length: Length, today: date) -> date:
    """Return the day so much later, weekend or not."""
    return _add_months(today, length.months) + timedelta(days=length.days + length.workdays)


def _length(match: re.Match[str]) -> Length:
    if match["working"] or match["workdays"]:
        return Length(workdays=_count(match["number"]))
    unit = _UNITS[match["unit"]]
    if match["half"]:
        return {12: Length(months=6), 3: Length(days=45), 1: Length(days=15)}.get(
            unit.months, Length(minutes=240) if unit.days else Length(minutes=30)
        )
    half = ".5" in match["number"] or ",5" in match["number"]
    length = _times(unit, _count(match["number"]))
    if not half:
        return length
    extra = {7: Length(minutes=20 * 60), 1: Length(minutes=240)}.get(unit.days)
    extra = extra or Length(minutes=unit.minutes // 2, days=15 * unit.months)
    return Length(length.months, length.days + extra.days, 0, length.minutes + extra.minutes)


def _count(words: str) -> int:
    word = re.split(r"[\s.,-]", words)[0] if not words.startswith("dix-huit") else "dix-huit"
    return _NUMBERS[word] if word in _NUMBERS else int(word)


def _times(unit: Length, count: int) -> Length:
    return Length(unit.months * count, unit.days * count, 0, unit.minutes * count)


_FINDERS: tuple[Callable[[str, date], Iterator[Found | None]], ...] = (
    _named,
    _weekdays,
    _days_ahead,
    _periods,
    _lengths,
)


def _all(folded: str, today: date) -> Iterator[Found | None]:
    for finder in _FINDERS:
        yield from finder(folded, today)


_BEFORE = re.compile(r"\b(?:before|vor|avant|antes\s+del?)(?:\s+(?:the|dem|le|la|el))?\s+$")
_ROLES: tuple[tuple[Role, re.Pattern[str]], ...] = (
    (
        "start",
        re.compile(
            r"\b(?:(?:and\s+|und\s+|et\s+|y\s+)?(?:start(?:ing|s|en)?|begin(?:ning|s|nt)?|from|ab"
            r"|beginnend|debutant|a\s+partir\s+d[eu]l?|des|desde|empezando)"
            r"(?:\s+(?:on|at|in|am|im|ab|the|dem|le|el|al?|from))*)\s+$"
        ),
    ),
    (
        "due",
        re.compile(
            r"\b(?:(?:with\s+a\s+|mit\s+(?:einer\s+)?|avec\s+une\s+|con\s+(?:una?\s+)?)?"
            r"(?:deadline|due(?:\s+date)?|frist|echeance|fecha\s+limite|plazo|fallig)"
            r"(?:\s+(?:is|on|of|at|by|in|am|bis|zum|von|ist|de|le|el|du|dans|en|fixee|au|para))*"
            r"|by|until|till|before|no\s+later\s+than|bis(?:\s+(?:zum|spatestens))?|spatestens|vor"
            r"|avant|d'ici(?:\s+a)?|jusqu'au|pour|au\s+plus\s+tard|para|antes\s+del?|hasta|on|am|to"
            r"|auf|au|al|le|el)(?:\s+(?:the|den|dem|zum|le|la|el|fin\s+de))*\s+$"
        ),
    ),
)

_BY = re.compile(r"\b(?:by|um|de|por|of|von|for|over|fur|pour|durante|para)\s+$")


def _with_role(found: Found, folded: str) -> Found:
    """Return a find together with the words before it that say what it is."""
    head = folded[: found.begin]
    whole = re.match(_EDGE["end"], folded[found.begin :]) is not None
    if found.first is not None and _BEFORE.search(head) and not whole:
        eve = found.first - timedelta(days=1)
        found = replace(found, first=eve, last=eve)
    for role, pattern in _ROLES:
        match = pattern.search(head)
        if match is not None and (role == "start" or found.length is None or "by" not in match[0]):
            return replace(found, begin=match.start(), role=role)
    match = _BY.search(head)
    if match is not None and found.length is not None:
        return replace(found, begin=match.start())
    return found

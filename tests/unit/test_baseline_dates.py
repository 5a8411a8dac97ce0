"""Dates and lengths of time in plain words, in four languages, on a Tuesday in November."""

from __future__ import annotations

from datetime import date

import pytest

from runner.agent.baseline.dates import (
    Length,
    fold,
    nth_working_day,
    on_working_day,
    read,
    working_days,
)

TODAY = date(2026, 11, 24)

DUE = {
    # English
    "in three months": "2027-02-24",
    "within 6 weeks": "2027-01-05",
    "two weeks from now": "2026-12-08",
    "by end of Q1": "2027-03-31",
    "in Q2 2027": "2027-06-30",
    "by the end of next month": "2026-12-31",
    "by the end of the year": "2026-12-31",
    "end of March": "2027-03-31",
    "by March": "2027-03-31",
    "mid-January": "2027-01-15",
    "start of February": "2027-02-01",
    "next month": "2026-12-31",
    "next week": "2026-12-04",
    "by Friday": "2026-11-27",
    "this Friday": "2026-11-27",
    "next Friday": "2026-12-04",
    "Friday next week": "2026-12-04",
    "tomorrow": "2026-11-25",
    "before Christmas": "2026-12-23",
    "March 5th, 2027": "2027-03-05",
    "the 5th of March": "2027-03-05",
    "by 2027-03-07": "2027-03-07",
    "by eom": "2026-11-30",
    "12/31/2026": "2026-12-31",
    # German
    "in drei Monaten": "2027-02-24",
    "bis Ende März": "2027-03-31",
    "bis Ende nächsten Monats": "2026-12-31",
    "Ende des Quartals": "2026-12-31",
    "nächsten Freitag": "2026-12-04",
    "am 5. März": "2027-03-05",
    "31.3.2027": "2027-03-31",
    "übermorgen": "2026-11-26",
    "nächste Woche": "2026-12-04",
    "Mitte Februar": "2027-02-12",
    # French
    "d'ici trois mois": "2027-02-24",
    "dans 2 semaines": "2026-12-08",
    "avant fin mars": "2027-03-31",
    "le 5 mars 2027": "2027-03-05",
    "vendredi prochain": "2026-11-27",
    "la semaine prochaine": "2026-12-04",
    "mi-février": "2027-02-12",
    # Spanish
    "en tres meses": "2027-02-24",
    "para finales de enero": "2027-01-29",
    "el próximo viernes": "2026-11-27",
    "el 5 de marzo de 2027": "2027-03-05",
    "antes del 15 de enero": "2027-01-14",
    "la semana que viene": "2026-12-04",
}

LENGTHS = {
    "a 3-month deadline": "3 months",
    "with a deadline of 3 months": "3 months",
    "by two weeks": "2 weeks",
    "by 3 working days": "3 working days",
    "a couple of weeks": "2 weeks",
    "half a year": "6 months",
    "half a day": "4 hours",
    "1.5 days": "1 day and 4 hours",
    "4h": "4 hours",
    "90 minutes": "1 hour and 30 minutes",
    "a fortnight": "2 weeks",
    "um zwei Wochen": "2 weeks",
    "einer dreimonatigen Frist": "3 months",
    "de deux semaines": "2 weeks",
    "dos semanas": "2 weeks",
    "un mes": "1 month",
}


@pytest.mark.parametrize(("text", "day"), DUE.items())
def test_a_day_is_found(text: str, day: str):
    (found,) = read(text, TODAY)
    assert found.as_due.isoformat() == day


@pytest.mark.parametrize(("text", "length"), LENGTHS.items())
def test_a_length_of_time_is_found(text: str, length: str):
    (found,) = read(text, TODAY)
    assert str(found.length) == length


@pytest.mark.parametrize(
    "text",
    [
        "the march of the penguins",
        "may the design be nice",
        "wireframes, visual design and a prototype",
        "Entwurf, Umsetzung und Test",
        "section 12 of version 3.4",
        "",
    ],
)
def test_other_words_are_no_dates(text: str):
    assert read(text, TODAY) == []


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("starting next Monday", "2026-11-30"),
        ("from 2027-01-11", "2027-01-11"),
        ("beginning in January", "2027-01-01"),
        ("ab dem 11. Januar", "2027-01-11"),
        ("à partir du 11 janvier", "2027-01-11"),
        ("desde el 11 de enero", "2027-01-11"),
    ],
)
def test_a_start_is_told_from_a_deadline(text: str, start: str):
    (found,) = read(f"a survey {text}, please", TODAY)
    assert found.role == "start"
    assert found.as_start.isoformat() == start


def test_a_date_that_can_be_read_in_two_ways_says_so():
    (found,) = read("due 03/04/2027", TODAY)
    assert (found.last, found.doubt) == (date(2027, 4, 3), date(2027, 3, 4))
    (clear,) = read("due 03.04.2027", TODAY)
    assert (clear.last, clear.doubt) == (date(2027, 4, 3), None)


def test_a_text_may_name_several():
    found = read("from 2027-01-11 until the end of March, 4h a week", TODAY)
    assert [str(item.length or item.last) for item in found] == [
        "2027-01-11",
        "2027-03-31",
        "4 hours",
        "1 week",
    ]


def test_a_day_that_does_not_exist_is_in_doubt():
    (found,) = read("by 31 February 2027", TODAY)
    assert (found.last, found.doubt) == (date(2027, 2, 28), date(2027, 3, 1))
    assert read("by 45 February", TODAY) == []


def test_folding_keeps_every_character_in_place():
    text = "Nächste Woche: «l'été» — „Größe“ İstanbul ﬁ"
    assert len(fold(text)) == len(text)
    assert fold("Été") == "ete"


def test_lengths_end_on_working_days_and_know_their_work():
    friday = date(2026, 11, 27)
    assert Length(days=1).after(friday) == date(2026, 11, 30)
    assert Length(days=1).after(date(2026, 11, 30), -1) == friday
    assert Length(workdays=3).after(friday) == date(2026, 12, 2)
    assert Length(months=3).after(date(2026, 11, 30)) == date(2027, 3, 1)
    assert Length(days=14).work == 10 * 480
    assert Length(minutes=90).work == 90


def test_working_days_are_counted():
    monday, sunday = date(2026, 11, 23), date(2026, 11, 29)
    assert working_days(monday, sunday) == 5
    assert working_days(sunday, monday) == 0
    assert nth_working_day(sunday, 1) == date(2026, 11, 30)
    assert nth_working_day(monday, 6) == date(2026, 11, 30)
    assert on_working_day(sunday, later=False) == date(2026, 11, 27)

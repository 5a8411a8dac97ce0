"""Keys that an import makes from titles."""

from __future__ import annotations

import random
import re

import pytest

from runner.imports.keys import Keys
from schemas.slug import LONGEST, slug
from schemas.values import KEY


@pytest.mark.parametrize(
    ("title", "key"),
    [
        ("Pick the stack", "pick-stack"),
        ("The", "the"),
        ("Größe der Übersicht prüfen", "grosse-der-ubersicht-prufen"),
        ("Don't crash on `null`!", "dont-crash-null"),
        ("Crème brûlée — v2.0 🚀", "creme-brulee-v2-0"),
        ("A very long title that goes on and on until nobody reads it any more", None),
        ("世界", ""),
        ("2026", ""),
        ("yes", ""),
        ("   ", ""),
    ],
)
def test_a_key_is_made_of_the_words_of_a_title(title: str, key: str | None) -> None:
    made = slug(title)
    assert made == (key if key is not None else "very-long-title-that-goes-until-nobody")
    assert len(made) <= LONGEST


def test_equal_titles_get_numbers_and_strange_ones_their_name() -> None:
    keys = Keys(["set-up"])
    assert [keys.new("Set up"), keys.new("Set up"), keys.new("世界", "MOB-12"), keys.new("!")] == [
        "set-up-2",
        "set-up-3",
        "mob-12",
        "task",
    ]


def test_whatever_the_titles_keys_are_valid_and_unique() -> None:
    dice = random.Random(7)
    letters = "ab -_.ßé世🚀0129'\n"
    titles = ["".join(dice.choices(letters, k=dice.randrange(60))) for _ in range(500)]
    keys = Keys()
    made = [keys.new(title) for title in titles]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(KEY, key) for key in made)

"""Keys out of titles: short, unique, the same every time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from schemas.values import KEY

LONGEST = 40
"""Characters of a key that is made from a title."""

_FILLERS = frozenset({"a", "an", "and", "as", "at", "for", "in", "of", "on", "or", "the", "to"})
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
)
_WORDS_OF_YAML = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_APOSTROPHES = re.compile(r"(?<=\w)['’](?=\w)")  # noqa: RUF001


def slug(text: str, longest: int = LONGEST) -> str:
    """Return the words of a text as a key; empty where nothing of it fits into one.

    Accents go, small words go where others are left, and what is too long ends with a word.
    """
    folded = _APOSTROPHES.sub("", text).lower().translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", folded).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain)
    words = [word for word in words if word not in _FILLERS] or words
    key = ""
    for word in words:
        longer = f"{key}-{word}" if key else word[:longest]
        if len(longer) > longest:
            break
        key = longer
    # A bare number or a word of YAML would need quotes wherever the key is written.
    return "" if key.isdecimal() or key in _WORDS_OF_YAML else key


class Keys:
    """Gives out keys, each once.

    Args:
        taken: what is in use already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def new(self, title: str, *others: str, wanted: str = "") -> str:
        """Return a fresh key for `title`; where it has no letters, for one of `others`.

        The key that is `wanted` is given as it is if it is one, and free.
        """
        if re.fullmatch(KEY, wanted) and wanted not in self._taken:
            self._taken.add(wanted)
            return wanted
        stem = next((found for text in (title, *others) if (found := slug(text))), "task")
        key, number = stem, 1
        while key in self._taken:
            number += 1
            key = f"{stem}-{number}"
        self._taken.add(key)
        return key

"""Keys out of titles: short, and the same every time."""

from __future__ import annotations

import re
import unicodedata

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

"""Keys out of titles, each given once."""

from __future__ import annotations

import re
from collections.abc import Iterable

from schemas.slug import slug
from schemas.values import KEY


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

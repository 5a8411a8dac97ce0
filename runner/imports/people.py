"""Who owns what: accounts on a platform to people of the specs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from runner.imports.keys import Keys
from schemas.domain import Person
from schemas.operations import AddPerson, Operation, UpdatePerson


class Owners:
    """Finds people by how a platform knows them; those who are missing can be added.

    Args:
        platform: where the accounts are.
        people: of the specs.
        names: by account, what its owner is called.
        adding: whether to add those whom the specs do not know.
        why: the reason for the operations.
    """

    def __init__(
        self,
        platform: str,
        people: Iterable[Person],
        names: Mapping[str, str],
        *,
        adding: bool,
        why: str,
    ) -> None:
        self.operations: list[Operation] = []
        self.unknown: Counter[str] = Counter()
        self._platform = platform
        self._names = names
        self._adding = adding
        self._why = why
        everybody = list(people)
        self._keys = Keys(person.key for person in everybody)
        self._known: dict[str, str] = {}
        self._called: dict[str, list[Person]] = {}
        for person in everybody:
            self._known.setdefault(person.identity(platform).casefold(), person.key)
            self._called.setdefault(person.name.casefold(), []).append(person)

    def key(self, account: str) -> str | None:
        """Return the key of whoever has an account; `None` where the specs do not know."""
        found = self._known.get(account.casefold())
        if found is None and self._adding:
            found = self._known[account.casefold()] = self._add(account)
        if found is None:
            self.unknown[account] += 1
        return found

    def _add(self, account: str) -> str:
        name = self._names.get(account) or account
        namesakes = self._called.get(name.casefold(), [])
        if len(namesakes) == 1 and self._platform not in namesakes[0].identities:
            key = namesakes[0].key
            fields = {self._platform: account}
            self.operations.append(
                UpdatePerson.model_validate({"key": key, "set": fields, "why": self._why})
            )
            return key
        local = account.partition("@")[0]
        key = self._keys.new(local, name)
        fields = {"name": name, "email" if "@" in account else self._platform: account}
        self.operations.append(
            AddPerson.model_validate({"key": key, "fields": fields, "why": self._why})
        )
        return key

"""A spec repo, read: configuration, checkout, specs, and the state that belongs to it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config import Config
from runner.language.check import check
from runner.language.load import Loaded, load
from runner.language.memory import FILE, Memory
from runner.language.resolve import resolve
from runner.repo import Checkout, normal_url, read_checkout
from schemas.domain import Desired, Diagnostic
from schemas.errors import SpecError

if TYPE_CHECKING:
    from runner.state.contract import StateReader, StateWriter
    from runner.vault import SecretScope


@dataclass(frozen=True)
class Workspace:
    """A spec repo at one moment; specs and git are read when they are first asked for.

    Attributes:
        config: where it is, and as whom.
        memory: of earlier moments, for a process that looks again and again.
        edited: specs to go by instead of those on the disk.
    """

    config: Config
    memory: Memory | None = None
    edited: Loaded | None = None

    def __post_init__(self) -> None:
        # The Settings spec may name a secret scope: it is not read before a secret is wanted.
        object.__setattr__(self, "config", self.config.backed_by(lambda: self._secret_scope))

    @cached_property
    def _known(self) -> Memory:
        return self.memory if self.memory is not None else Memory(self.config.root / FILE)

    @cached_property
    def checkout(self) -> Checkout:
        """What git knows of the repo."""
        return read_checkout(self.config.root, self.config.specs)

    @cached_property
    def loaded(self) -> Loaded:
        """The documents under `specs/`, with whatever is wrong with their form."""
        if self.edited is not None:
            return self.edited
        return load(self.config.root, self.config.specs, self._known)

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything that is wrong with the specs, form and meaning."""
        return (*self.loaded.diagnostics, *check(self.loaded, self.config.today, self._known))

    @cached_property
    def desired(self) -> Desired:
        """What the specs ask for.

        Raises:
            SpecError: the specs have errors.
        """
        if any(item.severity == "error" for item in self.diagnostics):
            raise SpecError(self.diagnostics)
        desired = resolve(
            self.loaded,
            today=self.config.today,
            commit=self.checkout.label,
            diagnostics=[item for item in self.diagnostics if item.severity != "note"],
            memory=self._known,
        )
        self._known.end_of_reading()
        rates = {name: self.config.rate(name) for name in desired.integrations}
        integrations = {
            name: replace(item, options={**item.options, "rate": rate})
            if (rate := rates[name])
            else item
            for name, item in desired.integrations.items()
        }
        return replace(desired, integrations=integrations)

    def reader(self) -> StateReader:
        """Return the state for reading; nothing is created where there is none yet."""
        from runner.state import read_state

        return read_state(self.loaded.settings, self.config)

    @cached_property
    def _secret_scope(self) -> SecretScope | None:
        state = self.loaded.settings.get("state", {})
        name = self.config.variable("TRUEUP_SECRET_SCOPE") or state.get("secret_scope", "")
        if not name:
            return None
        from runner.state.warehouse import sign_in
        from runner.vault import SecretScope

        return SecretScope(name, sign_in)

    @contextlib.contextmanager
    def writer(self) -> Generator[StateWriter]:
        """Open the state for writing; it is created, or taken to the present version, first.

        Raises:
            StateVersionError: it belongs to another repo, or a newer trueup made it.
        """
        from runner.state import open_state

        state = open_state(self.loaded.settings, self.config)
        identities = self.checkout.identities
        if url := self.config.variable("TRUEUP_REPOSITORY"):
            # Where the files came from without their history, as a Databricks Git folder has them.
            identities = (*identities, f"remote:{normal_url(url)}")
        if Path(state.place).is_relative_to(self.config.root):
            # It lives in this very folder, whatever the repo was before its first commit.
            identities = (*identities, f"path:{self.config.root}")
        state.claim(identities)
        yield state

"""Settings and secrets, read once: the command line, the environment, the Settings spec.

A secret lives in the environment, or in a secret scope, and in the headers of a transport, nowhere
else. `Config` hands one out by name and never shows it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from reconcilers._contract import Profile
    from runner.vault import SecretScope

LOCAL = ".trueup"
"""The folder below the repo root for the local state, journals and caches; ignored by git."""


@dataclass(frozen=True, slots=True)
class Config:
    """Where we are and as whom.

    Attributes:
        root: the root of the spec repo.
        specs: the folder of the specs, below `root`.
        today: the date that everything relative to "now" is computed for.
    """

    root: Path
    specs: Path
    today: date
    _environ: Mapping[str, str] = field(repr=False, default_factory=dict[str, str])
    _scope: Callable[[], SecretScope | None] = field(
        repr=False, compare=False, default=lambda: None
    )

    def backed_by(self, scope: Callable[[], SecretScope | None]) -> Config:
        """Return the same with a secret scope for the secrets that the environment lacks.

        Args:
            scope: returns it, once a secret is wanted; `None` where there is none.
        """
        return replace(self, _scope=scope)

    @property
    def local(self) -> Path:
        """The folder for what belongs to this checkout only."""
        return self.root / LOCAL

    @property
    def journals(self) -> Path:
        """The folder of the journals."""
        return self.local / "journal"

    def variable(self, name: str) -> str:
        """Return an environment variable without surrounding white space, or ''."""
        return self._environ.get(name, "").strip()

    def secret(self, name: str) -> str:
        """Return the secret of that name: the environment's, else the secret scope's, or ''.

        Raises:
            ConfigError: the secret scope cannot be read.
        """
        value = self.variable(name)
        scope = None if value else self._scope()
        return scope.secret(name) if scope else value

    def token(self, profile: Profile) -> str:
        """Return the platform's token.

        Raises:
            ConfigError: it is not set, and no secret scope has it.
        """
        token = self.secret(profile.token_variable)
        if not token:
            scope = self._scope()
            also = f", and the secret scope `{scope.name}` does not have it" if scope else ""
            raise ConfigError(
                f"{profile.title} needs a token: {profile.token_variable} is not set{also}",
                hint=f"export {profile.token_variable}=..., or disable"
                f" `{profile.platform}` in the Integrations spec",
            )
        if not token.isascii() or any(c.isspace() for c in token):
            raise ConfigError(
                f"{profile.token_variable} holds characters that no token has",
                hint="copy the token again, without quotes or line breaks",
            )
        return token

    def url(self, profile: Profile) -> str:
        """Return the platform's address: the environment's, else the vendor's.

        Raises:
            ConfigError: it is not an http or https address.
        """
        url = self.variable(profile.url_variable) or profile.default_url
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                f"{profile.url_variable} is not an http or https address",
                hint=f"for example {profile.default_url}",
            )
        if parts.username or parts.password:
            raise ConfigError(
                f"{profile.url_variable} must not hold a user name or password",
                hint=f"put the token into {profile.token_variable}",
            )
        return url.rstrip("/")

    def rate(self, platform: str) -> int | None:
        """Return the user's own limit for a platform, requests a minute, or `None`.

        Raises:
            ConfigError: `TRUEUP_<PLATFORM>_RATE` is not a whole number above zero.
        """
        name = f"TRUEUP_{platform.upper().replace('-', '_')}_RATE"
        text = self.variable(name)
        if not text:
            return None
        if not text.isdecimal() or int(text) == 0:
            raise ConfigError(f"{name} is not a number of requests a minute", hint=f"{name}=120")
        return int(text)


def read_config(
    root: Path, specs: str = "specs", today: str = "", environ: Mapping[str, str] | None = None
) -> Config:
    """Return the configuration of a run.

    Args:
        root: the spec repo, or a folder in it.
        specs: the folder of the specs, relative to `root`.
        today: `YYYY-MM-DD`; the current date (UTC) where empty.
        environ: the environment; the process's own where it is not given.

    Raises:
        ConfigError: `today` is no date, or `root` no folder.
    """
    if not root.is_dir():
        raise ConfigError(f"{root} is not a folder", hint="name the spec repo with -C")
    try:
        day = date.fromisoformat(today) if today else datetime.now(UTC).date()
    except ValueError as error:
        raise ConfigError(f"`{today}` is not a date", hint="write it as 2026-12-31") from error
    return Config(root.resolve(), root.resolve() / specs, day, environ or dict(os.environ))


def now() -> str:
    """Return the current instant in UTC, `YYYY-MM-DDTHH:MM:SSZ`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

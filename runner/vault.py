"""Secrets that the environment does not have: those of a Databricks secret scope."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from databricks.sdk.core import ApiClient


@dataclass(slots=True)
class SecretScope:
    """A Databricks secret scope; a secret in it is called like the environment variable.

    Nothing is sent before a secret is wanted, and each is asked for once.

    Args:
        name: the scope's name.
        sign_in: makes the SDK's client.
    """

    name: str
    sign_in: Callable[[], ApiClient]
    _client: ApiClient | None = field(default=None, init=False, repr=False)
    _known: dict[str, str] = field(default_factory=dict[str, str], init=False, repr=False)

    def secret(self, name: str) -> str:
        """Return a secret; '' where the scope has none of that name, or does not exist.

        Raises:
            ConfigError: Databricks cannot be reached, or does not let us read the secret.
        """
        if name not in self._known:
            self._known[name] = self._asked_for(name)
        return self._known[name]

    def _asked_for(self, name: str) -> str:
        self._client = self._client or self.sign_in()
        from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, Unauthenticated
        from databricks.sdk.service.workspace import SecretsAPI

        try:
            found = SecretsAPI(self._client).get_secret(self.name, name)
        except NotFound:
            return ""
        except Unauthenticated as error:
            raise self._refused(name, "does not know us", "sign in again") from error
        except (PermissionDenied, BadRequest) as error:
            raise self._refused(
                name,
                "does not let us read it",
                f"ask for READ on the scope; where only notebooks and jobs may read it, set {name}",
            ) from error
        except (OSError, ValueError) as error:
            # What the SDK gave up repeating; every other error of its own is one of these, too.
            raise self._refused(name, "cannot be reached", f"try again, or set {name}") from error
        return base64.b64decode(found.value or "").decode(errors="replace").strip()

    def _refused(self, name: str, why: str, hint: str) -> ConfigError:
        """Return the error; what the service said is left out, since it may quote anything."""
        return ConfigError(
            f"{name} is not set, and the secret scope `{self.name}` is of no help: Databricks"
            f" {why}",
            hint=hint,
        )

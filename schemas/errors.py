"""Every error that trueup raises on purpose, in one tree.

    TrueupError
    ├── SpecError             the specs have problems (carries the diagnostics)
    ├── ConfigError           settings, environment or command line
    ├── GitError              git refused, or the repo's server did
    ├── StateError            the Delta tables
    │   ├── StateConflict     a commit lost a race to another writer
    │   ├── StateLocked       another apply holds the lease
    │   └── StateVersionError the tables are newer than this trueup, or belong to another repo
    ├── UnsafePlan            a plan that prunes too much, or touches what is protected
    ├── StalePlan             a saved plan whose base has moved
    ├── AgentError            the agent has no draft that holds
    │   └── BudgetExceeded    a model call may cost more than is left
    └── PlatformError         a platform said no, or said nothing
        ├── TemporaryError    worth another try later (rate limit, outage)
        ├── PermanentError    will fail again unless something is changed
        └── OutcomeUnknown    a write was sent and nobody knows whether it was done

A message says what happened, where, and what to do next. It never holds a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.domain import Diagnostic


class TrueupError(Exception):
    """The root of the tree.

    Attributes:
        message: what happened and where, one sentence.
        hint: what to do next, or an empty string.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SpecError(TrueupError):
    """The specs cannot be used; `diagnostics` says all that is wrong with them."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        errors = [item for item in diagnostics if item.severity == "error"]
        noun = "error" if len(errors) == 1 else "errors"
        super().__init__(f"the specs have {len(errors)} {noun}", hint="run: trueup validate")
        self.diagnostics = tuple(diagnostics)


class ConfigError(TrueupError):
    """A setting, an environment variable or an argument cannot be used."""


class GitError(TrueupError):
    """Git refused: a fetch, a commit or a push did not happen."""


class StateError(TrueupError):
    """The state tables cannot be read or written."""


class StateConflict(StateError):
    """Another writer committed first, and the commit could not be repeated safely."""


class StateLocked(StateError):
    """Another apply holds the lease."""


class StateVersionError(StateError):
    """The tables were written by a newer trueup, or belong to another spec repo."""


class UnsafePlan(TrueupError):
    """The plan prunes more than the policy allows, or touches a protected resource."""


class StalePlan(TrueupError):
    """The specs or the state have moved since the plan was made."""


class AgentError(TrueupError):
    """The agent has no draft that holds: the models are out of order, or at their wits' end."""


class BudgetExceeded(AgentError):
    """A model call may cost more than is left of a budget; it was not made."""


class PlatformError(TrueupError):
    """A platform refused a request, or could not be reached.

    Attributes:
        platform: `linear`, `notion`, ...
        request: method and path, or the operation's name; never a body.
        status: HTTP status, or `None` where no answer came.
        code: the platform's own error code, or an empty string.
    """

    def __init__(
        self,
        message: str,
        *,
        platform: str,
        request: str = "",
        status: int | None = None,
        code: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.platform = platform
        self.request = request
        self.status = status
        self.code = code

    def __str__(self) -> str:
        """Return one line: platform, request, status, message."""
        at = f" {self.request}" if self.request else ""
        status = f" ({self.status})" if self.status else ""
        return f"{self.platform}{at}: {self.message}{status}"


class TemporaryError(PlatformError):
    """The platform asks to come back later; nothing was written.

    Attributes:
        retry_after: seconds to wait, or `None` where the platform did not say.
    """

    retry_after: float | None = None


class PermanentError(PlatformError):
    """The same request would fail again; nothing was written."""


class OutcomeUnknown(PlatformError):
    """A write was sent, and whether it was done is not known: look up, then decide.

    Attributes:
        retry_after: seconds to wait, or `None` where the platform did not say.
    """

    retry_after: float | None = None

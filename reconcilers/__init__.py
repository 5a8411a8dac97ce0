"""One file per platform, each behind the contract of `reconcilers._contract`.

`for_platform` is the only way in. Our own four platforms come from an explicit table; others
register by the entry-point group `trueup.reconcilers` and load only when the Settings name them,
since a reconciler runs with the platform's token.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, cast

from schemas.domain import PLATFORMS
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from reconcilers._budget import Budget
    from reconcilers._contract import Connection, Profile, Reconciler
    from reconcilers._transport import Transport

_CLASSES = {"linear": "Linear", "gitlab": "Gitlab", "notion": "Notion", "motion": "Motion"}


@dataclass(frozen=True, slots=True)
class Platform:
    """A reconciler module, opened up.

    Attributes:
        transport: makes the configured transport from token, base URL and budget.
        reconciler: makes the reconciler from a connection.
    """

    profile: Profile
    transport: Callable[[str, str, Budget], Transport]
    reconciler: Callable[[Connection], Reconciler]


def for_platform(name: str, extra: Collection[str] = ()) -> Platform:
    """Return the platform called `name`.

    Args:
        name: `linear`, `gitlab`, `notion`, `motion`, or one of `extra`.
        extra: third-party reconcilers that the Settings name.

    Raises:
        ConfigError: there is no such reconciler, or it is not installed.
    """
    module = _module(name, extra)
    class_name = _CLASSES.get(name, name.title().replace("-", ""))
    return Platform(
        profile=cast("Profile", module.PROFILE),
        transport=cast("Callable[[str, str, Budget], Transport]", module.transport),
        reconciler=cast("Callable[[Connection], Reconciler]", getattr(module, class_name)),
    )


def _module(name: str, extra: Collection[str]) -> ModuleType:
    if name in PLATFORMS:
        return importlib.import_module(f"reconcilers.{name}")
    if name in extra:
        from importlib.metadata import entry_points

        found = entry_points(group="trueup.reconcilers", name=name)
        if found:
            return cast("ModuleType", next(iter(found)).load())
        raise ConfigError(
            f"the reconciler `{name}` is not installed",
            hint="install the package that offers it beside trueup",
        )
    raise ConfigError(
        f"there is no platform `{name}`",
        hint=f"ours are {', '.join(PLATFORMS)}; name others in the Settings: reconcilers: [{name}]",
    )

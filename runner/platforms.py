"""Opening platforms: profiles for planning, sessions for applying and observing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING

from reconcilers import Platform, for_platform
from reconcilers._contract import Connection, Profile
from runner.config import Config, now
from runner.pricing import limits_of
from schemas.domain import Desired

if TYPE_CHECKING:
    from reconcilers._budget import Clock
    from runner.lanes import Links, Session


def platforms_of(desired: Desired) -> dict[str, Platform]:
    """Return the enabled platforms by name.

    Raises:
        ConfigError: one of them has no reconciler.
    """
    return {name: for_platform(name, desired.reconcilers) for name in desired.integrations}


def profiles_of(desired: Desired) -> dict[str, Profile]:
    """Return what is known of the enabled platforms, without talking to any."""
    return {name: platform.profile for name, platform in platforms_of(desired).items()}


@contextlib.asynccontextmanager
async def session(
    platform: Platform,
    desired: Desired,
    config: Config,
    *,
    bound: Mapping[str, str],
    lookups: Mapping[str, object],
    limits: Mapping[str, object],
    clock: Clock,
    links: Links | None = None,
) -> AsyncGenerator[Session]:
    """Open a session with one platform, and close it at the end of the block.

    Args:
        platform: which one.
        desired: for its options and the people.
        config: for its address and token.
        bound: by address, the remote ids known.
        lookups: what earlier runs learned of the platform.
        limits: what earlier runs left of its rate budget.
        clock: the time.
        links: instead of those made from `bound`.

    Raises:
        ConfigError: the token is missing, or the address is none.
    """
    from reconcilers._budget import Budget
    from runner.lanes import Links, Session

    profile = platform.profile
    integration = desired.integrations[profile.platform]
    budget = Budget(limits_of(profile, integration), clock)
    budget.load(dict(limits))
    transport = platform.transport(config.token(profile), config.url(profile), budget)
    links = links or Links(bound)
    connection = Connection(
        transport=transport,
        options=integration.options,
        people={p.identity(profile.platform): p for p in desired.people.values()},
        links=links,
        lookups=dict(lookups),
        now=now(),
    )
    try:
        yield Session(platform, platform.reconciler(connection), connection, transport, links)
    finally:
        await transport.close()

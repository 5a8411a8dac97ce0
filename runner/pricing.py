"""What a plan costs: requests, and the time that each platform's limits make of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from schemas.domain import Change, Cost, Integration

if TYPE_CHECKING:
    from reconcilers._contract import Limits, Profile


def price(
    changes: Sequence[Change],
    profiles: Mapping[str, Profile],
    integrations: Mapping[str, Integration],
    lookups: Mapping[str, Mapping[str, object]],
) -> Cost:
    """Return what `changes` cost in requests, and how long each platform's limits make it take.

    Args:
        changes: of all platforms.
        profiles: by platform.
        integrations: by platform, for the user's own limits.
        lookups: by platform, what earlier runs learned and need not ask again.
    """
    by_platform: dict[str, list[Change]] = {}
    for change in changes:
        if change.fields or change.action in {"archive", "delete"}:
            by_platform.setdefault(change.platform, []).append(change)
    requests: dict[str, int] = {}
    seconds: dict[str, float] = {}
    share: dict[str, float] = {}
    for platform, its_changes in sorted(by_platform.items()):
        profile = profiles[platform]
        limits = limits_of(profile, integrations.get(platform))
        its_price = profile.price(its_changes, lookups.get(platform, {}))
        requests[platform] = its_price.requests
        seconds[platform] = profile.seconds(its_price, limits)
        per_hour = limits.requests * 3600 / limits.per_seconds
        share[platform] = round(its_price.requests / per_hour, 4)
    slowest = max(seconds, key=lambda name: seconds[name], default="")
    return Cost(
        requests=requests,
        seconds=seconds.get(slowest, 0.0),
        bound_by=slowest,
        platform_seconds=seconds,
        share=share,
    )


def limits_of(profile: Profile, integration: Integration | None) -> Limits:
    """Return the platform's limits; the user's own `rate` (requests a minute) goes before them.

    Points grow and shrink with it: who was granted more of one has more of the other.
    """
    rate = integration.options.get("rate") if integration else None
    if not isinstance(rate, int):
        return profile.limits
    usual = profile.limits
    factor = rate / (usual.requests * 60 / usual.per_seconds)
    points = max(1, round(usual.points * factor * 60 / usual.per_seconds)) if usual.points else 0
    return replace(usual, requests=rate, per_seconds=60.0, points=points)

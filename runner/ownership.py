"""Who owns each field of each resource, and why: the one place where that is decided.

Git owns what the specs declare, Motion owns when work is scheduled, GitLab owns which merge
requests belong to an issue, and everything else is live: the platforms own it together, and it is
kept the same on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.domain import DriftPolicy, Owner, Policy, Resource

DERIVED = ("project", "key", "container", "counterparts", "parent")
"""Fields that follow from where a resource stands in the specs, and where it is made real."""

SCHEDULED = ("scheduled_start", "scheduled_end")
CODE = ("merge_requests", "closing_commits")


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who owns a field of a resource on a platform.

    Attributes:
        owner: `git`, `platform` (all of them together), or the platform that alone decides it.
        drift: what becomes of an edit there: propose, revert or ignore for what git owns, `share`
            for what is live, `overrule` where another platform alone decides.
        why: one clause for people.
    """

    owner: Owner
    drift: DriftPolicy
    why: str


def ownership(name: str, resource: Resource | None, platform: str, policy: Policy) -> Ownership:
    """Return who owns the field `name` of a resource on `platform`.

    Args:
        name: the field.
        resource: what the specs declare, or `None` where they no longer declare it.
        platform: on which platform; an override there counts as declared there only.
        policy: what the Settings say of drift.
    """
    if name in SCHEDULED:
        return _alone("motion", platform, "Motion's scheduler decides it")
    if name in CODE:
        return _alone("gitlab", platform, "GitLab decides it")
    if resource is None:
        return Ownership("platform", "ignore", "the specs no longer declare the resource")
    if name in DERIVED:
        why = "it follows from the specs"
    elif name in resource.overrides.get(platform, {}):
        why = f"the specs declare it for {platform}"
    elif name in resource.fields:
        why = "the specs declare it"
    else:
        return Ownership("platform", "share", "the specs leave it out")
    drift, rule = policy.drift_of(resource.address, platform, name)
    return Ownership("git", drift, f"{why}; drift: {drift}{f' ({rule})' if rule else ''}")


def _alone(owner: Owner, platform: str, why: str) -> Ownership:
    return Ownership(owner, "share" if platform == owner else "overrule", why)

"""What becomes of objects whose spec is gone, or that are gone themselves.

And how much of that a plan may do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.domain import (
    Binding,
    Change,
    Desired,
    Diagnostic,
    Drift,
    DriftPolicy,
    Edit,
    Plan,
    Policy,
    Resource,
    Settlement,
)
from schemas.errors import UnsafePlan

if TYPE_CHECKING:
    from reconcilers._contract import Profile

ALWAYS_PRUNABLE = 5
"""A percentage of a small state would forbid even one deletion; so many are always allowed."""


def prune(
    binding: Binding, desired: Desired, profile: Profile, *, protect: bool
) -> tuple[Change | Settlement | None, Diagnostic | None]:
    """Return what becomes of an object whose spec is gone, and what there is to say about it.

    A settlement lets the binding go and leaves the object as it is; `None` changes nothing.
    """
    where = f"{binding.address} is gone from the specs"
    release = Settlement(binding.address, binding.platform, "")
    if _has_passed(binding, desired.today) or "archived" in binding.drift:
        return release, None
    if protect:
        return None, Diagnostic(
            "warning",
            "protected",
            f"{where} but protected; its {binding.platform} object stays",
            hint="put it back, or remove `protect` first and apply",
        )
    if desired.policy.prune == "keep":
        said = f"{where}; its {binding.platform} object stays (policy.prune: keep)"
        return None, Diagnostic("note", "kept", said)
    action = "delete" if desired.policy.prune == "delete" else "archive"
    if not profile.capabilities.supports(binding.kind, action):
        action = "archive" if action == "delete" else "delete"
    if not profile.capabilities.supports(binding.kind, action):
        said = (
            f"{binding.platform} cannot remove a {binding.kind}: {binding.address} stays there,"
            " no longer tracked"
        )
        return release, Diagnostic("note", "left-behind", said, hint=binding.url)
    change = Change(
        action=action,
        address=binding.address,
        kind=binding.kind,
        platform=binding.platform,
        resource_id=binding.resource_id,
        remote_id=binding.remote_id,
        # A create that was begun is looked for, and what it made is put away.
        reason="pruned" if binding.remote_id else "unconfirmed",
    )
    return change, None


def is_imported(binding: Binding) -> bool:
    """Return whether it was imported, and no apply has found it in the specs yet.

    Where the specs do not declare it, they are most likely older than the import.
    """
    return binding.pending is not None and binding.pending.action == "bind"


def deleted(resource: Resource, binding: Binding, policy: Policy) -> Drift:
    """Return what there is to say of a declared resource whose object people deleted.

    Args:
        resource: what the specs declare.
        binding: with the deletion as its drift.
        policy: decides what becomes of it.
    """
    decisions: dict[str, DriftPolicy] = {"recreate": "revert", "release": "ignore"}
    edit = binding.edits.get("archived", Edit())
    return Drift(
        resource.address,
        resource.kind,
        binding.platform,
        "archived",
        False,
        True,
        False,
        decisions.get(policy.deleted, "propose"),
        edit.at,
        edit.by,
    )


def check_safe(plan: Plan, max_prune: str | None = None) -> None:
    """Raise when the plan prunes more than allowed.

    Args:
        plan: the plan about to be applied.
        max_prune: `N` or `N%`, instead of the policy's own; percentages are of all bindings.

    Raises:
        UnsafePlan: too much would be archived or deleted.
    """
    pruned = sum(1 for change in plan.changes if change.action in {"archive", "delete"})
    limit = max_prune or plan.policy.max_prune
    if limit.endswith("%"):
        allowed = max(int(plan.bound * float(limit[:-1]) / 100), ALWAYS_PRUNABLE)
    else:
        allowed = int(limit)
    if pruned > allowed:
        raise UnsafePlan(
            f"the plan prunes {pruned} of {plan.bound} bound objects; at most {allowed} are"
            f" allowed ({limit})",
            hint=f"if that is what you want: --max-prune {pruned}",
        )


def _has_passed(binding: Binding, today: str) -> bool:
    """Return whether it is an occurrence of recurring work whose day is over.

    Such a task leaves the specs by the passing of time, not by anybody's wish: it stays as it is.
    """
    due = binding.base.get("due")
    return "@" in binding.address and isinstance(due, str) and due < today

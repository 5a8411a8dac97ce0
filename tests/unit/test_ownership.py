"""Who owns a field, as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.ownership import ownership
from schemas.domain import DriftOverride, Owner, Policy, Resource, Source
from tests.specrepo import codes, desired, write

TASK = Resource(
    "app/pick",
    "task",
    {"title": "Pick", "due": None, "parent": None},
    ("linear", "notion"),
    Source("specs/a.yaml"),
    "f",
    {"linear": {"status": "todo"}},
)


@pytest.mark.parametrize(
    ("name", "platform", "owner", "drift"),
    [
        ("title", "linear", "git", "propose"),
        ("due", "linear", "git", "propose"),  # declared to be empty is declared
        ("parent", "linear", "git", "propose"),
        ("container", "linear", "git", "propose"),
        ("counterparts", "notion", "git", "propose"),
        ("status", "linear", "git", "propose"),  # overridden there
        ("status", "notion", "platform", "share"),
        ("labels", "notion", "platform", "share"),
        ("scheduled_start", "motion", "motion", "share"),
        ("scheduled_end", "notion", "motion", "overrule"),
        ("merge_requests", "gitlab", "gitlab", "share"),
        ("closing_commits", "linear", "gitlab", "overrule"),
    ],
)
def test_the_owner_of_each_field(name: str, platform: str, owner: Owner, drift: str) -> None:
    owned = ownership(name, TASK, platform, Policy())
    assert (owned.owner, owned.drift) == (owner, drift)
    assert owned.why


def test_what_the_specs_no_longer_declare_is_left_to_the_platforms() -> None:
    owned = ownership("title", None, "linear", Policy())
    assert (owned.owner, owned.drift) == ("platform", "ignore")


def test_of_the_overrides_that_match_the_last_one_counts() -> None:
    policy = Policy(
        drift_overrides=(
            DriftOverride("revert", fields=("title",)),
            DriftOverride("ignore", platforms=("notion",)),
            DriftOverride("revert", resources=("app/rel-*",), fields=("due",)),
        )
    )
    assert policy.drift_of("app/pick", "linear", "title") == ("revert", "override 1")
    assert policy.drift_of("app/pick", "notion", "title") == ("ignore", "override 2")
    assert policy.drift_of("app/rel-1", "notion", "due") == ("revert", "override 3")
    assert policy.drift_of("app/pick", "linear", "due") == ("propose", "")
    assert "drift: revert (override 1)" in ownership("title", TASK, "linear", policy).why


@pytest.mark.parametrize(
    ("pattern", "address", "matches"),
    [
        ("app", "app", True),
        ("app", "app/pick", True),
        ("app", "apple", False),
        ("app/p*", "app/pick", True),
        ("*/pick", "app/pick", True),
        ("app/pick", "app/pick-more", False),
    ],
)
def test_an_override_covers_a_resource_and_what_is_below_it(
    pattern: str, address: str, matches: bool
) -> None:
    rule = DriftOverride("ignore", resources=(pattern,))
    assert rule.matches(address, "linear", "title") is matches


PROJECT = "kind: Project\nkey: app\nname: App\n"


def test_the_settings_say_it_in_yaml(tmp_path: Path) -> None:
    settings = (
        "---\nkind: Settings\npolicy:\n  drift_overrides:\n"
        "    - {fields: [description], platforms: [notion], drift: ignore}\n"
    )
    plain = desired(write(tmp_path, PROJECT))
    found = desired(write(tmp_path, PROJECT + settings))
    assert found.policy.drift_overrides == (
        DriftOverride("ignore", fields=("description",), platforms=("notion",)),
    )
    assert found.digest != plain.digest


@pytest.mark.parametrize(
    "override",
    [
        "{fields: [title]}",
        "{drift: share}",
        "{drift: ignore, field: title}",
        "{drift: ignore, fields: [tilte]}",
    ],
)
def test_an_override_that_says_nothing_sensible_is_an_error(tmp_path: Path, override: str) -> None:
    settings = f"---\nkind: Settings\npolicy:\n  drift_overrides: [{override}]\n"
    assert codes(write(tmp_path, PROJECT + settings))

"""Live fields as tables: what was observed in, what is followed out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconcilers._contract import Capabilities, Field, Limits, Observed, Price, Profile
from runner.live import Agreement, Identities, agreements, live_values
from runner.observe import MOST_TURNS, notice
from runner.plan import make_plan
from runner.recorder import agreed
from schemas.domain import (
    Binding,
    Desired,
    Edit,
    Fields,
    Integration,
    Person,
    Plan,
    Policy,
    Resource,
    Source,
    Value,
)
from tests.unit.test_plan import EVERYTHING, BaseOnly

BOTH = ("linear", "notion")


def profile(platform: str, *, exact: bool = True) -> Profile:
    fields = (
        Field("title", "t"),
        Field("status", "s", initial=("backlog", "todo")),
        Field("owner", "o"),
        Field("due", "d"),
    )
    return Profile(
        platform=platform,
        title=platform.title(),
        capabilities=Capabilities({"task": EVERYTHING}, fields),
        limits=Limits(requests=60, per_seconds=60),
        price=lambda changes, _: Price(len(changes)),
        container="team",
        token_variable="TOKEN",
        url_variable="URL",
        default_url="https://example.com",
        exact=exact,
    )


PROFILES = {name: profile(name) for name in BOTH}
TASK = Resource("app/a", "task", {"title": "A"}, BOTH, Source("specs/a.yaml"), "f1")


def desired(task: Resource = TASK, policy: Policy | None = None) -> Desired:
    return Desired(
        resources={task.address: task},
        people={"me": Person("me", "Me", "me@example.com", identities={"notion": "myself"})},
        integrations={name: Integration(name, True) for name in BOTH},
        policy=policy or Policy(),
        moved={},
        commit="",
        today="2026-12-01",
        digest="",
    )


def bound(platform: str, base: Fields, **drift: tuple[Value, str]) -> Binding:
    """Return a binding; each field of `drift` with when it was edited."""
    return Binding(
        "app/a",
        platform,
        "task",
        "m",
        f"{platform}-1",
        base={"title": "A", **base},
        desired_hash="f1",
        revision="r1",
        drift={name: value for name, (value, _) in drift.items()},
        edits={name: Edit(at) for name, (_, at) in drift.items()},
    )


def agree(*bindings: Binding) -> dict[str, Agreement]:
    return agreements(TASK, bindings, desired(), Identities(desired()))


def plan(*bindings: Binding, task: Resource = TASK) -> Plan:
    return make_plan(desired(task), BaseOnly(bindings), PROFILES)


def test_the_latest_edit_is_followed_and_who_was_earlier_is_named() -> None:
    early = bound("linear", {}, status=("done", "2026-12-01T10:00:00.900Z"))
    late = bound("notion", {}, status=("todo", "2026-12-01T10:00:01Z"))
    assert agree(early, late)["status"] == Agreement("todo", "notion", ("linear",))


def test_edits_of_one_instant_are_settled_by_the_order_of_the_platforms() -> None:
    one, other = (
        bound(name, {}, status=(status, "2026-12-01T10:00:00Z"))
        for name, status in (("notion", "done"), ("linear", "todo"))
    )
    assert agree(one, other)["status"] == Agreement("todo", "linear", ("notion",))


def test_the_same_edit_on_two_platforms_overrules_nobody() -> None:
    one = bound("linear", {}, status=("done", "2026-12-01T10:00:00Z"))
    other = bound("notion", {}, status=("done", "2026-12-01T11:00:00Z"))
    assert agree(one, other)["status"] == Agreement("done", "notion")


def test_people_are_compared_by_their_keys() -> None:
    one = bound("linear", {"owner": "me@example.com"})
    other = bound("notion", {"owner": "myself"})
    assert live_values(TASK, [one, other], desired(), Identities(desired())) == {"owner": "me"}


def test_who_is_none_of_the_people_stays_where_he_was_put() -> None:
    stranger = bound("linear", {}, owner=("ana@example.com", "2026-12-01T10:00:00Z"))
    made = plan(stranger, bound("notion", {}))
    assert made.changes == ()
    assert [(s.platform, s.fields, s.after) for s in made.settled] == [
        ("linear", {"owner": "ana@example.com"}, ())
    ]


def test_an_edit_is_settled_where_it_comes_from_once_it_has_arrived() -> None:
    edited = bound("linear", {"due": "2026-12-05"}, due=("2026-12-24", "2026-12-01T10:00:00Z"))
    made = plan(edited, bound("notion", {"due": "2026-12-05"}))
    (change,) = made.changes
    assert (change.platform, change.action, change.reason) == ("notion", "update", "shared")
    assert [(f.name, f.before, f.after, f.owner) for f in change.fields] == [
        ("due", "2026-12-05", "2026-12-24", "platform")
    ]
    (settled,) = made.settled
    assert (settled.platform, settled.fingerprint) == ("linear", None)
    assert settled.fields == {"due": "2026-12-24"}
    assert settled.after == ("notion:app/a",)


def test_of_what_was_agreed_on_only_what_drifted_is_looked_at() -> None:
    # A platform that keeps another title than declared is not asked again because of a status.
    kept = replace(bound("notion", {}), base={"title": "a (cut)"})
    made = plan(bound("linear", {}, status=("done", "2026-12-01T10:00:00Z")), kept)
    (change,) = made.changes
    assert [f.name for f in change.fields] == ["status"]


def test_as_long_as_something_is_in_dispute_every_plan_looks_again() -> None:
    task = replace(TASK, fields={"title": "Ours"}, fingerprint="f2")
    disputed = bound("linear", {}, title=("Theirs", "2026-12-01T10:00:00Z"))
    made = plan(disputed, bound("notion", {}), task=task)
    assert [d.decision for d in made.drift] == ["conflict"]
    assert {c.platform for c in made.changes} == {"notion"}
    assert made.settled == ()


def seen(fields: Fields, *, revision: str = "r2", at: str = "2026-12-01T10:00:00Z") -> Observed:
    return Observed(
        "task", "linear-1", "m", {"title": "A", **fields}, "", revision, False, at, "me"
    )


def notices(binding: Binding, found: Observed, *, exact: bool = True) -> Binding:
    return notice(binding, found, TASK, Policy(), profile("linear", exact=exact))


def test_what_differs_from_base_is_drift_with_who_and_when() -> None:
    noted = notices(bound("linear", {"status": "todo"}), seen({"status": "done"}))
    assert noted.drift == {"status": "done"}
    assert noted.edits == {"status": Edit("2026-12-01T10:00:00Z", "me")}


def test_the_first_to_be_seen_keeps_its_time_when_something_else_changes() -> None:
    first = notices(bound("linear", {"status": "todo"}), seen({"status": "done"}))
    later = notices(first, seen({"status": "done", "due": "2026-12-24"}, at="2026-12-02T10:00:00Z"))
    assert later.edits["status"].at == "2026-12-01T10:00:00Z"
    assert later.edits["due"].at == "2026-12-02T10:00:00Z"


def test_what_goes_back_to_base_is_no_drift_any_more() -> None:
    first = notices(bound("linear", {"status": "todo"}), seen({"status": "done"}))
    back = notices(first, seen({"status": "todo"}))
    assert (back.drift, back.edits) == ({}, {})


def test_what_was_not_read_this_time_stays_as_it_was() -> None:
    first = notices(bound("linear", {"status": "todo"}), seen({"status": "done"}))
    assert notices(first, seen({})) == first


def test_what_a_platform_makes_of_our_own_write_is_agreed_on() -> None:
    noted = notices(bound("linear", {"status": "todo"}), seen({"status": "done"}, revision="r1"))
    assert (noted.base["status"], noted.drift) == ("done", {})


def test_revisions_that_edits_may_share_prove_nothing() -> None:
    found = seen({"status": "done"}, revision="r1")
    assert notices(bound("linear", {"status": "todo"}), found, exact=False).drift


def test_drift_that_our_own_write_left_alone_stays_drift() -> None:
    drifted = bound("linear", {}, title=("Theirs", "2026-12-01T09:00:00Z"))
    noted = notices(drifted, seen({"title": "Theirs"}, revision="r1"))
    assert noted.drift == {"title": "Theirs"}


@pytest.mark.parametrize(("status", "drift"), [("todo", {}), ("done", {"status": "done"})])
def test_what_a_new_object_has_by_itself_is_nobodys_edit(status: str, drift: Fields) -> None:
    assert notices(bound("linear", {}), seen({"status": status})).drift == drift


def test_a_field_that_is_declared_to_be_empty_drifts_as_well() -> None:
    task = replace(TASK, fields={"title": "A", "due": None})
    found = seen({"due": "2026-12-24"})
    noted = notice(bound("linear", {}), found, task, Policy(), PROFILES["linear"])
    assert noted.drift == {"due": "2026-12-24"}


def test_a_platform_that_always_changes_back_what_we_write_has_its_way_in_the_end() -> None:
    noted = binding = bound("linear", {"status": "todo"})
    for turn in range(1, MOST_TURNS + 2):
        # We have just written todo, and a second later it is done.
        mark = replace(binding.edits.get("status", Edit()), at="2026-12-01T10:00:00Z", by="trueup")
        written = replace(binding, base={**binding.base, "status": "todo"}, drift={})
        written = replace(written, edits={"status": mark})
        noted = notices(written, seen({"status": "done"}, at="2026-12-01T10:00:01Z"))
        assert noted.edits["status"].turns == turn
        if turn <= MOST_TURNS:
            assert noted.drift == {"status": "done"}
        binding = agreed(noted, {"status": "done"})
    assert noted.drift == {}
    assert noted.base["status"] == "done"
    # Whoever changes it at leisure is followed again.
    person = notices(noted, seen({"status": "canceled"}, at="2026-12-01T12:00:00Z"))
    assert (person.drift, person.edits["status"].turns) == ({"status": "canceled"}, 0)

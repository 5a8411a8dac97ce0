"""Plans as tables: desired, base and recorded drift in, changes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from reconcilers._contract import Capabilities, Field, Limits, Price, Profile
from runner.moves import follow
from runner.plan import make_plan
from runner.prune import check_safe
from runner.render import plan_json, read_plan
from runner.state.contract import IntegrationRow, ResourceRow, StateDiff
from schemas.domain import (
    KNOWN_AFTER_APPLY,
    Action,
    Binding,
    Change,
    Desired,
    Drift,
    Fields,
    Integration,
    Kind,
    Person,
    Plan,
    Policy,
    Resource,
    Source,
    Value,
    hash_of,
    kind_of,
    milestone_address,
    resource_id,
    same,
)
from schemas.errors import ConfigError, UnsafePlan

STATE_ID = "6f1f8a52-7a4e-4d5e-9a55-0a8d7f6f2b11"
EVERYTHING: frozenset[Action] = frozenset({"create", "update", "move", "archive", "delete"})


def profile(platform: str, *fields: Field, kinds: Sequence[Kind] = ("project", "task")) -> Profile:
    return Profile(
        platform=platform,
        title=platform.title(),
        capabilities=Capabilities(dict.fromkeys(kinds, EVERYTHING), fields),
        limits=Limits(requests=60, per_seconds=60),
        price=lambda changes, _known: Price(len(changes) + 1),
        container="team",
        token_variable="TOKEN",
        url_variable="URL",
        default_url="https://example.com",
    )


BOTH: tuple[Kind, ...] = ("project", "task")
TICKETS = profile(
    "tickets",
    Field("title", "name", BOTH),
    Field("due", "dueDate", BOTH),
    Field("owner", "assignee", BOTH),
    Field("labels", "labels"),
    Field("container", "team"),
    Field("project", "projectId"),
    Field("parent", "parentId"),
    Field("depends_on", "relations"),
    Field("estimate", "points", mode="create"),
)
PAGES = profile(
    "pages",
    Field("title", "Name", BOTH),
    Field("key", "Key", BOTH),
    Field("project", "Project"),
    Field("counterparts", "links", BOTH),
)


@dataclass(frozen=True)
class BaseOnly:
    """Values in place of tables: all that planning sees, and no way to write."""

    rows: tuple[Binding, ...] = ()
    protected: frozenset[str] = frozenset()
    read: list[str] = field(default_factory=list[str])

    def identity(self) -> str | None:
        return STATE_ID

    def version(self) -> str:
        return "1"

    def diff(self, rows: Iterable[tuple[str, str, str]]) -> StateDiff:
        wanted = {(address, platform): hash_ for address, platform, hash_ in rows}
        bound = {(b.address, b.platform): b for b in self.rows}
        return StateDiff(
            missing=tuple(key for key in wanted if key not in bound),
            changed=tuple(
                b
                for key, b in bound.items()
                if key in wanted and (b.desired_hash != wanted[key] or b.drift or b.pending)
            ),
            gone=tuple(b for key, b in bound.items() if key not in wanted),
            bound=len(bound),
        )

    def bindings(
        self, addresses: Iterable[str] | None = None, platform: str | None = None
    ) -> list[Binding]:
        self.read.append("bindings")
        return [
            b
            for b in self.rows
            if (addresses is None or b.address in addresses)
            and (platform is None or b.platform == platform)
        ]

    def integrations(self) -> list[IntegrationRow]:
        return []

    def resources(self, addresses: Iterable[str] | None = None) -> list[ResourceRow]:
        return [
            ResourceRow(address=a, kind=kind_of(a), protect=a in self.protected)
            for a in addresses or ()
        ]


def resource(
    address: str,
    fields: Fields | None = None,
    *,
    platforms: tuple[str, ...] = ("tickets",),
    overrides: dict[str, Fields] | None = None,
) -> Resource:
    declared: Fields = {"title": address, **(fields or {})}
    return Resource(
        address,
        kind_of(address),
        declared,
        platforms,
        Source("specs/a.yaml"),
        hash_of([dict(declared), platforms, overrides]),
        overrides or {},
    )


def desired(
    *resources: Resource, policy: Policy | None = None, moved: dict[str, str] | None = None
) -> Desired:
    return Desired(
        resources={r.address: r for r in resources},
        people={"me": Person("me", "Me", "me@example.com", identities={"pages": "me-there"})},
        integrations={
            "tickets": Integration("tickets", True, {"team": "MOB"}),
            "pages": Integration("pages", True),
        },
        policy=policy or Policy(),
        moved=moved or {},
        commit="c0ffee",
        today="2026-12-01",
        digest=hash_of([r.fingerprint for r in resources]),
    )


def bound(
    address: str, base: Fields | None = None, *, platform: str = "tickets", **more: object
) -> Binding:
    binding = Binding(
        address,
        platform,
        kind_of(address),
        resource_id(STATE_ID, address),
        remote_id=f"id-of-{address}",
        url=f"https://example.com/{address}",
        base={"title": address, "container": "MOB", **(base or {})},
    )
    return replace(binding, **more)  # pyright: ignore[reportArgumentType]


def plan(want: Desired, *rows: Binding, protected: Iterable[str] = ()) -> Plan:
    reader = BaseOnly(rows, frozenset(protected))
    return make_plan(want, reader, {"tickets": TICKETS, "pages": PAGES})


def only(made: Plan) -> Change:
    assert len(made.changes) == 1, made.changes
    return made.changes[0]


def edits(change: Change) -> dict[str, tuple[Value, Value]]:
    return {f.name: (f.before, f.after) for f in change.fields}


def test_what_is_declared_and_not_bound_is_created_with_its_deterministic_marker() -> None:
    made = plan(desired(resource("app", {"due": "2026-12-05"})))
    change = only(made)
    assert (change.action, change.reason) == ("create", "declared")
    assert change.resource_id == resource_id(STATE_ID, "app")
    assert edits(change) == {"title": (None, "app"), "due": (None, "2026-12-05")}


def test_what_agrees_by_its_hash_is_not_even_read() -> None:
    task = resource("app/a", {"due": "2026-12-05"})
    reader = BaseOnly((bound("app/a", {"due": "wrong"}, desired_hash=task.fingerprint),))
    made = make_plan(desired(task), reader, {"tickets": TICKETS})
    assert made.changes == ()
    assert reader.read == []


def test_only_the_fields_that_differ_are_updated() -> None:
    task = resource("app/a", {"due": "2026-12-09", "labels": ("x",)})
    change = only(plan(desired(task), bound("app/a", {"due": "2026-12-05", "labels": ("x",)})))
    assert (change.action, change.reason) == ("update", "edited")
    assert edits(change) == {"due": ("2026-12-05", "2026-12-09")}


def test_a_released_field_keeps_its_value_and_needs_no_request() -> None:
    made = plan(desired(resource("app/a")), bound("app/a", {"due": "2026-12-05"}))
    assert made.changes == ()
    assert [item.address for item in made.settled] == ["app/a"]


def test_a_null_clears_a_field() -> None:
    change = only(
        plan(desired(resource("app/a", {"due": None})), bound("app/a", {"due": "2026-12-05"}))
    )
    assert edits(change) == {"due": ("2026-12-05", None)}


def test_what_a_platform_cannot_hold_is_not_sent() -> None:
    task = resource("app/a", {"due": "2026-12-05"}, platforms=("pages",))
    change = only(plan(desired(task)))
    assert set(edits(change)) == {"title", "key"}


def test_what_a_platform_cannot_change_afterwards_is_said_once_and_settled() -> None:
    made = plan(desired(resource("app/a", {"estimate": 60})), bound("app/a", {"estimate": 30}))
    assert made.changes == ()
    assert [d.code for d in made.diagnostics] == ["create-only"]
    assert len(made.settled) == 1


def test_an_owner_is_whoever_the_platform_knows() -> None:
    change = only(plan(desired(resource("app", {"owner": "me"}))))
    assert edits(change)["owner"] == (None, "me@example.com")


def test_an_override_stands_in_for_the_neutral_field_on_its_platform_only() -> None:
    task = resource(
        "app/a", platforms=("tickets", "pages"), overrides={"tickets": {"title": "Other"}}
    )
    made = plan(desired(task))
    assert [(c.platform, c.values()["title"]) for c in made.changes] == [
        ("pages", "app/a"),
        ("tickets", "Other"),
    ]


def test_another_container_is_a_move() -> None:
    task = resource("app/a", overrides={"tickets": {"container": "WEB"}})
    change = only(plan(desired(task), bound("app/a")))
    assert change.action == "move"
    assert edits(change) == {"container": ("MOB", "WEB")}


def test_a_renamed_task_keeps_its_object_and_its_marker() -> None:
    made = plan(
        desired(resource("app/b", {"title": "T"}), moved={"app/a": "app/b"}),
        bound("app/a", {"title": "T"}),
    )
    change = only(made)
    assert (change.action, change.moved_from, change.remote_id) == ("move", "app/a", "id-of-app/a")
    assert change.resource_id == resource_id(STATE_ID, "app/a")
    assert change.fields == ()


def test_a_renamed_project_carries_its_tasks_and_their_references_along() -> None:
    made = plan(
        desired(
            resource("new", {"title": "P"}),
            resource("new/a", {"title": "A"}),
            resource("new/b", {"title": "B", "depends_on": ("new/a",)}),
            moved={"old": "new"},
        ),
        bound("old", {"title": "P"}),
        bound("old/a", {"title": "A", "project": "old"}),
        bound("old/b", {"title": "B", "project": "old", "depends_on": ("old/a",)}),
    )
    assert [(c.action, c.moved_from, c.fields) for c in made.changes] == [
        ("move", "old", ()),
        ("move", "old/a", ()),
        ("move", "old/b", ()),
    ]


def test_what_is_gone_from_the_specs_is_archived_tasks_before_projects() -> None:
    made = plan(desired(resource("x")), bound("app"), bound("app/a"))
    assert [(c.action, c.address) for c in made.changes] == [
        ("create", "x"),
        ("archive", "app/a"),
        ("archive", "app"),
    ]


@pytest.mark.parametrize(
    ("policy", "action"), [("archive", "archive"), ("close", "archive"), ("delete", "delete")]
)
def test_the_policy_says_how_to_prune(policy: str, action: str) -> None:
    want = desired(resource("x", platforms=()), policy=Policy(prune=policy))  # pyright: ignore[reportArgumentType]
    assert only(plan(want, bound("app/a"))).action == action


def test_a_policy_of_keep_prunes_nothing_and_says_so() -> None:
    made = plan(desired(resource("x", platforms=()), policy=Policy(prune="keep")), bound("app/a"))
    assert made.changes == ()
    assert [d.code for d in made.diagnostics] == ["kept"]


def test_what_is_protected_is_never_pruned() -> None:
    made = plan(desired(resource("x", platforms=())), bound("app/a"), protected=["app/a"])
    assert made.changes == ()
    assert [d.code for d in made.diagnostics] == ["protected"]


def test_an_occurrence_whose_day_is_over_is_let_go_and_not_pruned() -> None:
    past = bound("app/review@2026-W48", {"due": "2026-11-27"})
    future = bound("app/review@2026-W50", {"due": "2026-12-11"})
    made = plan(desired(resource("x", platforms=())), past, future)
    assert only(made).address == future.address
    assert [(s.address, s.fingerprint) for s in made.settled] == [(past.address, "")]


def test_empty_specs_never_prune() -> None:
    made = plan(desired(), bound("app"), bound("app/a"))
    assert made.changes == ()
    assert [d.code for d in made.diagnostics] == ["empty-specs"]


def test_a_disabled_platform_is_left_alone() -> None:
    made = make_plan(
        replace(desired(resource("x", platforms=())), integrations={}), BaseOnly((bound("a"),)), {}
    )
    assert made.changes == ()


def test_too_much_pruning_is_refused_unless_allowed() -> None:
    rows = [bound(f"app/t{i}") for i in range(40)]
    keep = [resource(r.address, {"title": r.address}) for r in rows[:30]]
    made = plan(desired(*keep), *rows)
    with pytest.raises(UnsafePlan, match="prunes 10 of 40"):
        check_safe(made)
    check_safe(made, "10")
    check_safe(made, "25%")


def test_a_small_state_may_always_prune_a_few() -> None:
    made = plan(desired(resource("x", platforms=())), bound("app/a"), bound("app/b"))
    check_safe(made)


def test_an_interrupted_create_is_planned_again_as_unconfirmed() -> None:
    row = bound("app/a", remote_id="", base={})
    change = only(plan(desired(resource("app/a")), row))
    assert (change.action, change.reason) == ("create", "unconfirmed")


DRIFTED = bound("app/a", {"due": "2026-12-05"}, drift={"due": "2026-12-24"})


@pytest.mark.parametrize("decision", ["propose", "ignore"])
def test_drift_of_a_declared_field_is_shown_and_not_overwritten(decision: str) -> None:
    want = desired(
        resource("app/a", {"due": "2026-12-05"}),
        policy=Policy(drift=decision),  # pyright: ignore[reportArgumentType]
    )
    made = plan(want, DRIFTED)
    assert made.changes == ()
    assert made.drift == (
        Drift(
            "app/a", "task", "tickets", "due", "2026-12-05", "2026-12-24", "2026-12-05",
            decision,  # pyright: ignore[reportArgumentType]
        ),
    )  # fmt: skip


def test_drift_is_reverted_where_the_policy_says_so() -> None:
    want = desired(resource("app/a", {"due": "2026-12-05"}), policy=Policy(drift="revert"))
    change = only(plan(want, DRIFTED))
    assert (change.reason, edits(change)) == ("drift", {"due": ("2026-12-24", "2026-12-05")})


def test_an_edit_on_both_sides_is_a_conflict_and_settled_by_neither() -> None:
    made = plan(desired(resource("app/a", {"due": "2026-12-31"})), DRIFTED)
    assert made.changes == ()
    assert [d.decision for d in made.drift] == ["conflict"]


def test_an_edit_on_both_sides_to_the_same_value_is_peace() -> None:
    made = plan(desired(resource("app/a", {"due": "2026-12-24"})), DRIFTED)
    assert (made.changes, made.drift) == ((), ())
    assert len(made.settled) == 1


def test_changes_come_after_all_that_they_refer_to() -> None:
    made = plan(
        desired(
            resource("app"),
            resource("app/a", {"depends_on": ("app/c",)}),
            resource("app/b", {"parent": "app/a"}),
            resource("app/c"),
        )
    )
    assert [c.address for c in made.changes] == ["app", "app/c", "app/a", "app/b"]
    after = {c.address: c.after for c in made.changes}
    assert after == {
        "app": (),
        "app/c": ("app",),
        "app/a": ("app/c", "app"),
        "app/b": ("app/a", "app"),
    }


def test_references_to_what_is_not_on_the_platform_are_left_out() -> None:
    made = plan(
        desired(
            resource("app", platforms=("pages",)),
            resource("app/a", {"depends_on": ("app/b",)}),
            resource("app/b", platforms=("pages",)),
        )
    )
    fields = {c.id: set(edits(c)) for c in made.changes}
    assert fields["tickets:app/a"] == {"title", "container"}


def test_a_new_object_is_linked_from_the_page_that_is_there_already() -> None:
    task = resource("app/a", platforms=("tickets", "pages"))
    page = bound("app/a", {"key": "app/a"}, platform="pages", desired_hash=task.fingerprint)
    made = plan(desired(task), page)
    changes = {c.platform: c for c in made.changes}
    assert changes["tickets"].action == "create"
    assert edits(changes["pages"]) == {"counterparts": (None, KNOWN_AFTER_APPLY)}
    assert changes["pages"].reason == "linked"


def test_a_plan_has_a_price_and_the_slowest_platform_bounds_it() -> None:
    tasks = [resource(f"app/t{i}", platforms=("tickets", "pages")) for i in range(100)]
    cost = plan(desired(*tasks)).cost
    assert cost.requests == {"tickets": 101, "pages": 101}
    assert cost.seconds == 60.0
    assert cost.bound_by in {"tickets", "pages"}


def test_a_saved_plan_reads_back_as_the_same_value() -> None:
    made = plan(desired(resource("app/a", {"labels": ("x", "y"), "due": None})), DRIFTED)
    made = replace(made, diagnostics=desired().diagnostics)
    assert read_plan(plan_json(made)) == made


def test_an_edited_plan_file_is_refused() -> None:
    text = plan_json(plan(desired(resource("app"))))
    with pytest.raises(ConfigError, match="changed after it was made"):
        read_plan(text.replace('"after": "app"', '"after": "evil"'))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format_version": "1.0"}', "\x00"])
def test_what_is_no_plan_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a plan file"):
        read_plan(text)


@pytest.mark.parametrize(
    ("address", "now"),
    [
        ("old", "new"),
        ("old/a", "new/a"),
        ("old/x", "new/y"),
        (milestone_address("old", "beta"), "new/milestones/beta"),
        ("other/a", "other/a"),
    ],
)
def test_addresses_follow_their_project(address: str, now: str) -> None:
    assert follow(address, {"old": "new", "new/x": "new/y"}) == now


def test_absent_empty_and_null_mean_the_same() -> None:
    assert same(None, ())
    assert same("", None)
    assert not same(None, 0)
    assert not same(None, False)

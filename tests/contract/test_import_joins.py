"""The same work on two platforms is one resource; what is not sure is asked, never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import runner.imports.run
from reconcilers._contract import Listed
from runner.sandbox._world import World
from runner.sandbox.server import serving
from schemas.errors import ConfigError
from tests.contract.foreign import Gitlab, Linear
from tests.contract.test_import import SEED, Repo


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repo]:
    with serving(World(seed=SEED, limits=False), platforms=["linear", "gitlab"]) as sandbox:
        yield Repo(tmp_path, sandbox)


@pytest.fixture
def linear(repo: Repo) -> Linear:
    """A Linear project `mobile-app` with three tasks, imported."""
    there = Linear(repo.people)
    app = there.project("mobile-app")
    for title in ("Pick the stack", "Design the login", "Ship it"):
        there.issue(title, projectId=app)
    repo.bring("linear", "MOB")
    return there


def url_of(repo: Repo, address: str) -> str:
    return repo.place.reader().bindings([address], platform="linear")[0].url


def test_equal_titles_in_one_project_are_joined(repo: Repo, linear: Linear) -> None:
    gitlab = Gitlab(repo.people)
    gitlab.make("issues", title="pick the  stack")
    gitlab.make("issues", title="Something else")
    assert len(linear.made) == 3

    done = repo.bring("gitlab", "jwp763/mobile-app")

    joined = {tie.address: tie.joined for tie in done.draft.ties}
    assert joined == {"mobile-app/pick-stack": True, "mobile-app/something-else": False}
    tasks = repo.document("projects/mobile-app")["tasks"]
    assert tasks["pick-stack"]["platforms"] == ["linear", "gitlab"]
    assert tasks["something-else"]["platforms"] == ["gitlab"]
    assert "platforms" not in tasks["ship-it"]
    assert done.plan is not None
    changes = [(c.action, c.platform, c.address) for c in done.plan.changes]
    assert changes == [("update", "gitlab", "mobile-app/pick-stack")]
    assert [f.name for f in done.plan.changes[0].fields] == ["title"]
    assert repo.apply().complete
    repo.at_rest()


def test_a_project_is_joined_with_its_milestones(repo: Repo) -> None:
    gitlab = Gitlab(repo.people)
    beta = gitlab.make("milestones", title="Beta")
    gitlab.make("issues", title="Pick the stack", milestone_id=beta["id"])
    gitlab.make("issues", title="Only here")
    repo.bring("gitlab", "jwp763/mobile-app")
    there = Linear(repo.people)
    app = there.project("Mobile App")
    there.make("ProjectMilestone", name="Beta", projectId=app)
    there.issue("Pick the stack", projectId=app)

    done = repo.bring("linear", "MOB")

    assert {t.address for t in done.draft.ties if t.joined} == {
        "mobile-app",
        "mobile-app/milestones/beta",
        "mobile-app/pick-stack",
    }
    document = repo.document("projects/mobile-app")
    assert set(document["platforms"]) == {"linear", "gitlab"}
    tasks = document["tasks"]
    assert tasks["only-here"]["platforms"] == ["gitlab"]
    assert "platforms" not in tasks["pick-stack"]
    assert repo.apply().complete
    repo.at_rest()
    assert len(repo.sandbox.objects()["linear"]) == 3 + len(
        [o for o in repo.sandbox.objects()["linear"] if o["kind"] == "label"]
    )


def test_a_link_says_which_task_it_is(repo: Repo, linear: Linear) -> None:
    url = url_of(repo, "mobile-app/ship-it")
    Gitlab(repo.people).make("issues", title="Release 1.0", description=f"Linear: {url}\n\nGo.")
    other = "Nothing to do with https://linear.app/sandbox/issue/MOB-99/other but text"
    Gitlab(repo.people).make("issues", title="By itself", description=other)
    assert linear.made

    done = repo.bring("gitlab", "jwp763/mobile-app")

    assert {t.address for t in done.draft.ties if t.joined} == {"mobile-app/ship-it"}


def test_match_says_it(repo: Repo, linear: Linear) -> None:
    made = Gitlab(repo.people).make("issues", title="Login, a draft")
    assert linear.made

    match = {"mobile-app/design-login": f"#{made['iid']}"}
    done = repo.bring("gitlab", "jwp763/mobile-app", matches=match)

    assert [(t.address, t.joined) for t in done.draft.ties] == [("mobile-app/design-login", True)]


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({"mobile-app/design-login": "#99"}, "nothing is called so"),
        ({"mobile-app/nothing": "#1"}, "declare no mobile-app/nothing"),
    ],
)
def test_a_match_that_is_none_is_refused(
    repo: Repo, linear: Linear, match: dict[str, str], said: str
) -> None:
    Gitlab(repo.people).make("issues", title="One")
    assert linear.made
    with pytest.raises(ConfigError, match=said):
        repo.bring("gitlab", "jwp763/mobile-app", matches=match)


def test_what_is_not_sure_is_asked_or_left_out(repo: Repo, linear: Linear) -> None:
    gitlab = Gitlab(repo.people)
    for _ in range(2):
        gitlab.make("issues", title="Ship it")
    assert linear.made

    left = repo.bring("gitlab", "jwp763/mobile-app", dry_run=True)
    assert left.draft.ties == ()
    assert left.draft.unsure == (
        ("#1", ("mobile-app/ship-it",)),
        ("#2", ("mobile-app/ship-it",)),
    )

    asked: list[str] = []

    def choose(item: Listed, addresses: Sequence[str]) -> str | None:
        asked.append(item.name)
        return addresses[0] if item.name == "#2" else None

    done = repo.bring("gitlab", "jwp763/mobile-app", choose=choose)
    assert asked == ["#1", "#2"]
    assert [(t.address, t.seen.remote_id[-2:]) for t in done.draft.ties] == [
        ("mobile-app/ship-it", "#2")
    ]


def test_an_import_that_dies_prunes_nothing_and_is_done_again(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Linear(repo.people)
    app = there.project("App")
    for number in range(12):
        there.issue(f"Task {number}", projectId=app)
    repo.write("integrations", "kind: Integrations\nlinear: {team: MOB}\n")
    repo.write("projects/own", "kind: Project\nkey: own\nname: Own\ntasks: {one: {title: One}}\n")
    assert repo.apply().complete

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner.imports.run, "write_files", dies)
        with pytest.raises(KeyboardInterrupt):
            repo.bring("linear")
    before = repo.bound("linear")

    # The bindings are there and the specs are not: in CI, say, whose checkout is older.
    assert repo.plan().changes == ()
    assert [d.code for d in repo.plan().diagnostics] == ["imported"]
    assert repo.apply().results == ()

    done = repo.bring("linear")
    assert done.plan is not None
    assert done.plan.changes == ()
    assert repo.bound("linear") == before
    repo.at_rest()

    (repo.root / "specs/projects/app.yaml").unlink()
    assert len(repo.plan().changes) == 13


def test_a_lost_state_is_found_again_by_markers_and_titles(repo: Repo, linear: Linear) -> None:
    assert linear.made
    text = repo.read("projects/mobile-app")
    repo.write("projects/mobile-app", text + "  more:\n    title: More\n")
    assert repo.apply().complete
    before = repo.bound("linear")
    (repo.root / ".trueup").rename(repo.root / "lost")

    done = repo.bring("linear")

    assert all(tie.joined for tie in done.draft.ties)
    assert repo.bound("linear") == before
    assert done.plan is not None
    assert done.plan.changes == ()
    repo.at_rest()


def test_closed_work_is_taken_as_asked(repo: Repo) -> None:
    there = Linear(repo.people)
    app = there.project("App")
    done = there.issue("Done and needed", projectId=app, status="completed")
    there.issue("Done and not needed", projectId=app, status="completed")
    there.blocks(done, there.issue("Open", projectId=app))

    def taken(**wish: Any) -> set[str]:
        made = repo.bring("linear", "MOB", dry_run=True, **wish)
        return {t.address.partition("/")[2] for t in made.draft.ties if t.kind == "task"}

    assert taken() == {"open", "done-needed"}
    assert taken(closed="skip") == {"open"}
    assert taken(closed="include") == {"open", "done-needed", "done-not-needed"}


def test_people_are_told_of_or_added(repo: Repo) -> None:
    there = Linear(repo.people)
    there.issue("One", assigneeId=there.users["ana@example.com"])
    there.issue("Two", assigneeId=there.users["me@example.com"])

    dry = repo.bring("linear", "MOB", dry_run=True)
    assert dry.draft.unknown == {"ana@example.com": 1}
    repo.bring("linear", "MOB", people=True)
    assert repo.document("people")["people"]["ana"] == {"name": "Ana", "email": "ana@example.com"}
    tasks = repo.document("projects/mob")["tasks"]
    assert [task["owner"] for task in tasks.values()] == ["ana", "me"]
    repo.at_rest()


def test_one_project_or_all_into_one(repo: Repo) -> None:
    there = Linear(repo.people)
    there.issue("First", projectId=there.project("One"))
    there.issue("Second", projectId=there.project("Two"))
    there.issue("Third")
    repo.write("projects/own", "kind: Project\nkey: own\nname: Own\nplatforms: []\n")

    with pytest.raises(ConfigError, match="there is no project `Three`") as error:
        repo.bring("linear", "MOB", projects=("Three",))
    assert "One, Two" in error.value.hint
    one = repo.bring("linear", "MOB", projects=("one",))
    assert {tie.address for tie in one.draft.ties} == {"one", "one/first"}
    rest = repo.bring("linear", into="own")
    assert {tie.address for tie in rest.draft.ties} == {"two", "two/second", "own/third"}
    repo.at_rest()


def test_what_the_language_cannot_say_stays_on_the_platform(repo: Repo) -> None:
    there = Linear(repo.people)
    app = there.project("App", targetDate="2026-12-01", startDate="2026-11-01")
    label = there.make("IssueLabel", name="a, b")
    first = there.issue("First", projectId=app, labelIds=[label], dueDate="2026-12-24")
    second = there.issue("Second", projectId=app)
    there.blocks(first, second)
    there.blocks(second, first)
    there.issue("x" * 300, projectId=app)

    done = repo.bring("linear", "MOB")

    document = repo.document("projects/app")
    assert "due" not in document
    assert document["start"] is not None
    assert "labels" not in document["tasks"]["first"]
    waiting = [t for t in document["tasks"].values() if "depends_on" in t]
    assert len(waiting) == 1
    assert (
        "MOB-1",
        "`labels` stays with linear: the label `a, b` has a comma",
    ) in done.draft.notes
    assert done.plan is not None
    # Only what cannot be left to the platform differs, and the import says so.
    assert [[f.name for f in c.fields] for c in done.plan.changes] == [["title"]]


def test_a_dry_run_writes_nothing_here_or_there(repo: Repo) -> None:
    Linear(repo.people).fill(20)
    made = repo.bring("linear", "MOB", dry_run=True)
    assert made.plan is not None
    assert made.plan.changes == ()
    assert not made.written
    assert [path.name for path in (repo.root / "specs").rglob("*.yaml")] == ["people.yaml"]
    assert not (repo.root / ".trueup" / "state").exists()
    assert repo.writes() == 0

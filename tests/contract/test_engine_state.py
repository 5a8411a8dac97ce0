"""What an apply leaves in the state, and what it makes of a state that is not as it left it."""

from __future__ import annotations

import copy
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from reconcilers.gitlab import Gitlab
from runner.operate import apply_specs
from runner.sandbox._world import TOKENS, Fault, World
from runner.sandbox.server import Sandbox, serving
from runner.schedule import Stop
from runner.state.contract import Commit, LogRow
from schemas.domain import Plan, Status
from schemas.errors import StateError, StateLocked
from tests.contract.sandboxed import SpecRepo
from tests.contract.story import BEGINNING, SEED, LeapClock, judge, later, picture

UNRELATED = Commit("20261124T000000Z-000000", action="unrelated")


@pytest.fixture
def clock() -> LeapClock:
    return LeapClock()


@dataclass
class DoomedWorld(World):
    """A world in which a platform carries out one more write, and is not heard of again."""

    doomed: str = ""
    struck: bool = False

    def strike(self, platform: str, method: str, path: str, *, writes: bool) -> Fault | None:
        """Lose the answer to the write, and everything that comes after it."""
        if platform != self.doomed or not (writes or self.struck):
            return super().strike(platform, method, path, writes=writes)
        kind, self.struck = ("drop-before" if self.struck else "drop-after"), True
        return Fault(kind)


@pytest.fixture
def world(clock: LeapClock) -> DoomedWorld:
    return DoomedWorld(SEED, limits=False, clock=clock.time)


@pytest.fixture
def sandbox(world: DoomedWorld) -> Iterator[Sandbox]:
    with serving(world) as serving_:
        yield serving_


@pytest.fixture
def repo(tmp_path: Path, sandbox: Sandbox, clock: LeapClock) -> SpecRepo:
    return SpecRepo(tmp_path, sandbox, project=copy.deepcopy(BEGINNING), clock=clock)


def only(repo: SpecRepo, platform: str) -> SpecRepo:
    repo.platforms = (platform,)
    return repo


def states(repo: SpecRepo) -> Path:
    return repo.root / ".trueup" / "state"


def statuses(repo: SpecRepo, *, refresh: bool = False) -> dict[str, Status]:
    return {change.id: outcome.status for change, outcome in repo.apply(refresh=refresh).results}


def live(sandbox: Sandbox, platform: str) -> list[str]:
    found = sandbox.standins[platform].objects()
    return sorted(item["title"] for item in found if item["marker"] and not item["archived"])


# Outcomes that are not known


def test_while_searches_lag_an_unknown_create_stays_unknown_and_the_next_run_waits_for_them(
    repo: SpecRepo, sandbox: Sandbox, clock: LeapClock
) -> None:
    only(repo, "notion")
    sandbox.world.search_lag["notion"] = 60
    clock.now += 100
    # Long after the intent was recorded, a page is made and its answer lost.
    sandbox.world.faults += [
        Fault("rate-limit", "notion", path="/v1/pages", skip=1, seconds=300),
        Fault("drop-after", "notion", path="/v1/pages", skip=1),
    ]
    assert sorted(statuses(repo).values()).count("unknown") == 1
    pending = [b.pending for b in repo.workspace().reader().bindings() if b.pending]
    assert len(pending) >= 1
    before = clock.now
    assert repo.apply(refresh=True).complete
    assert 40 < clock.now - before < 120
    titles = live(sandbox, "notion")
    assert len(titles) == len(set(titles)) == 5
    assert repo.plan().changes == ()


def test_an_archive_that_nobody_confirmed_stays_tracked(repo: SpecRepo, sandbox: Sandbox) -> None:
    only(repo, "gitlab")
    assert repo.apply().complete
    assert repo.project
    del repo.project["tasks"]["ship"]
    sandbox.world.faults.append(Fault("error-after", "gitlab", writes=True, times=5))
    assert statuses(repo) == {"gitlab:app/ship": "unknown"}
    assert [c.action for c in repo.plan().changes] == ["archive"]
    # The observation finds that it was done, so that nothing is left to send.
    assert statuses(repo, refresh=True) == {}
    assert repo.plan().changes == ()
    assert repo.workspace().reader().bindings(["app/ship"]) == []


@pytest.mark.parametrize("platform", ["linear", "gitlab", "notion", "motion"])
def test_what_an_unconfirmed_create_made_is_put_away_when_its_spec_is_gone(
    repo: SpecRepo, sandbox: Sandbox, world: DoomedWorld, platform: str
) -> None:
    only(repo, platform)
    assert repo.project
    assert repo.apply().complete
    repo.project["tasks"]["dropped"] = {"title": "Soon dropped"}
    world.doomed = platform
    assert statuses(repo) == {f"{platform}:app/dropped": "unknown"}
    world.doomed = ""
    assert live(sandbox, platform).count("Soon dropped") == 1
    del repo.project["tasks"]["dropped"]
    assert statuses(repo) == {f"{platform}:app/dropped": "applied"}
    assert "Soon dropped" not in live(sandbox, platform)
    assert repo.plan().changes == ()
    assert repo.plan().settled == ()


def test_a_task_that_is_renamed_while_its_create_is_unconfirmed_is_not_made_twice(
    repo: SpecRepo, sandbox: Sandbox, world: DoomedWorld
) -> None:
    only(repo, "gitlab")
    assert repo.project
    assert repo.apply().complete
    repo.project["tasks"]["sale"] = {"title": "Sell it"}
    world.doomed = "gitlab"
    assert statuses(repo) == {"gitlab:app/sale": "unknown"}
    world.doomed = ""
    repo.project["tasks"]["sell"] = repo.project["tasks"].pop("sale")
    repo.project["moved"] = {"sale": "sell"}
    assert repo.apply().complete
    assert live(sandbox, "gitlab").count("Sell it") == 1
    assert repo.plan().changes == ()


def test_a_defect_of_one_reconciler_leaves_the_others_alone(
    repo: SpecRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        async def broken(*_: object) -> None:
            raise KeyError("iid")

        patch.setattr(Gitlab, "create", broken)
        found = statuses(repo)
    assert {s for name, s in found.items() if not name.startswith("gitlab:")} == {"applied"}
    assert found["gitlab:app"] == "unknown"
    assert found["gitlab:app/login"] == "skipped"
    assert repo.apply(refresh=True).complete
    assert repo.plan().changes == ()


@pytest.mark.parametrize("skew", [-600.0, 600.0])
def test_a_platform_whose_clock_is_wrong_is_read_no_less(
    repo: SpecRepo, sandbox: Sandbox, clock: LeapClock, skew: float
) -> None:
    only(repo, "gitlab")
    sandbox.world.clock_skew["gitlab"] = skew
    assert repo.apply(refresh=True).complete
    repo.observe()
    clock.now += 300
    edit = httpx.put(
        sandbox.url("gitlab") + "/api/v4/projects/101/issues/1",
        headers={"PRIVATE-TOKEN": TOKENS["gitlab"]},
        json={"title": "Edited by hand"},
    )
    assert edit.status_code == 200
    clock.now += 30
    repo.observe()
    assert list(repo.drift().values()) == [{"title": "Edited by hand"}]


# Stopping


def test_a_run_that_lost_its_lease_begins_nothing_more(
    repo: SpecRepo, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner import operate

    monkeypatch.setattr(operate, "Stop", lambda _ours: Stop(lambda: False))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    assert set(statuses(repo).values()) == {"skipped"}
    assert [o for found in sandbox.objects().values() for o in found if o["marker"]] == []
    monkeypatch.undo()
    assert repo.apply().complete
    assert repo.plan().changes == ()


def test_a_run_whose_lease_was_taken_away_cannot_commit_and_sends_nothing(
    repo: SpecRepo, sandbox: Sandbox
) -> None:
    def usurp(_plan: Plan) -> bool:
        with repo.workspace().writer() as other:
            other.break_lease()
            other.acquire_lease("20261124T000000Z-111111", "me@elsewhere", 60)
        return True

    with pytest.raises(StateLocked, match="taken away"):
        apply(repo, usurp)
    assert repo.requests() == {}


def test_a_lease_of_another_machine_is_respected(repo: SpecRepo) -> None:
    with repo.workspace().writer() as other:
        other.acquire_lease("20261124T000000Z-111111", "me@elsewhere", 60)
        with pytest.raises(StateLocked, match="me@elsewhere holds the lease since"):
            repo.apply()
        other.release_lease()
    assert repo.apply().complete


def apply(repo: SpecRepo, confirm: Callable[[Plan], bool]) -> None:
    apply_specs(
        repo.workspace(), planfile=None, refresh=False, max_prune="", wait=0, confirm=confirm
    )


# States


def test_after_an_older_state_was_put_back_nothing_is_made_twice(
    repo: SpecRepo, sandbox: Sandbox
) -> None:
    assert repo.apply().complete
    older = repo.root / "older"
    shutil.copytree(states(repo), older)
    repo.project = later()
    assert repo.apply(refresh=True).complete
    wanted = picture(sandbox)
    shutil.rmtree(states(repo))
    shutil.copytree(older, states(repo))
    assert repo.apply(refresh=True).complete
    verdict = judge(picture(sandbox), wanted)
    assert verdict.good, "\n".join(verdict.details)
    assert repo.plan().changes == ()


def test_others_may_write_to_the_same_tables_meanwhile(repo: SpecRepo) -> None:
    with repo.workspace().writer() as state:
        done = threading.Event()
        written: list[int] = []

        def write() -> None:
            while not done.is_set() or not written:
                row = LogRow("another", len(written), "app", "linear", "update", "applied")
                state.append_logs([row], UNRELATED)
                written.append(row.seq)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert repo.apply().complete
        finally:
            done.set()
            writer.join()
        rows = state.read("sync_logs", ["seq"], {"run_id": ["another"]})
        assert sorted(str(row["seq"]) for row in rows) == sorted(map(str, written))
        assert len(state.read("sync_logs", ["seq"])) == len(written) + 22
    assert repo.plan().changes == ()


@pytest.mark.parametrize("name", ["state", "journal"])
def test_where_nothing_can_be_written_nothing_is_sent(repo: SpecRepo, name: str) -> None:
    blocked = repo.root / ".trueup" / name
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("in the way", encoding="utf-8")
    with pytest.raises(StateError) as caught:
        repo.apply()
    assert caught.value.hint
    assert repo.requests() == {}
    blocked.unlink()
    assert repo.apply().complete

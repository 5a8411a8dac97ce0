"""How long a reconciler waits, how it is, and what a plan kept in memory says."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
from pathlib import Path

import pytest

from runner.config import Config, read_config
from runner.health import PATIENCE, Health
from runner.loop import (
    BUSY_PAUSE,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MAX_WAITING,
    Loop,
    Options,
    author_of,
    pause_after,
)
from runner.turn import Turn, turn_text
from runner.webhooks import Request
from tests.pages import REPO
from tests.specrepo import write


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Watch:
    return Watch()


def health(clock: Watch) -> Health:
    return Health(clock, 300, "1.2.3")


FAILED = Turn("failed", commit="c" * 40, error="no network")
DONE = Turn(
    "done",
    commit="a" * 40,
    counts={"applied": 3},
    requests={"linear": 4, "notion": 1},
    drift=2,
    left=1,
    seconds=1.5,
)


def test_pauses_double_up_to_a_limit_and_are_never_the_same():
    dice = random.Random(1)
    for failing in range(1, 40):
        pauses = {pause_after("failed", failing, 300, dice) for _ in range(50)}
        most = min(FIRST_PAUSE * 2.0 ** (failing - 1), LONGEST_PAUSE)
        assert most / 2 <= min(pauses) < max(pauses) <= most
        assert len(pauses) > 40


def test_a_long_interval_is_the_limit_of_pauses():
    pause = pause_after("failed", 30, 7200, random.Random(1))
    assert 3600 <= pause <= 7200


def test_two_replicas_drift_apart():
    pauses = [pause_after("done", 0, 300, random.Random(seed)) for seed in range(50)]
    assert all(270 <= pause <= 330 for pause in pauses)
    assert len(set(pauses)) == 50


def test_a_lease_that_another_holds_is_tried_again_soon():
    assert pause_after("busy", 0, 300, random.Random(1)) <= BUSY_PAUSE
    assert pause_after("busy", 0, 1, random.Random(1)) <= 1


def test_ready_after_the_first_turn(clock: Watch):
    found = health(clock)
    assert found.unready() == "the first turn is not over yet"
    found.record(DONE)
    assert found.unready() == ""


def test_not_ready_when_nothing_ever_worked(clock: Watch):
    found = health(clock)
    found.record(FAILED)
    assert found.unready() == "1 turns in a row have failed: no network"


def test_a_failure_now_and_then_is_no_outage(clock: Watch):
    found = health(clock)
    found.record(DONE)
    for number in range(PATIENCE):
        assert found.unready() == "", number
        found.record(FAILED)
    assert "3 turns in a row" in found.unready()
    found.record(Turn("busy"))
    assert found.unready() == ""


def test_not_ready_when_turns_do_not_come_any_more(clock: Watch):
    found = health(clock)
    found.record(DONE)
    clock.now += 3600
    assert found.unready() == "no turn has succeeded for a long time"


def test_metrics_are_what_prometheus_reads(clock: Watch):
    found = health(clock)
    for turn in (FAILED, DONE, DONE):
        found.record(turn)
    found.calls["gitlab", "accepted"] += 1
    found.drafts['odd"\n\\'] += 1
    lines = found.metrics().splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert samples["trueup_info" + '{version="1.2.3",commit="' + "a" * 40 + '"}'] == "1"
    assert samples['trueup_runs_total{ending="done"}'] == "2"
    assert samples['trueup_runs_total{ending="failed"}'] == "1"
    assert samples['trueup_runs_total{ending="busy"}'] == "0"
    assert samples["trueup_run_seconds_total"] == "3"
    assert samples['trueup_changes_total{status="applied"}'] == "6"
    assert samples['trueup_requests_total{platform="linear"}'] == "8"
    assert samples['trueup_webhooks_total{source="gitlab",result="accepted"}'] == "1"
    assert samples['trueup_drafts_total{result="odd\\"\\n\\\\"}'] == "1"
    assert samples["trueup_failures_in_a_row"] == "0"
    assert samples["trueup_last_success_timestamp_seconds"] == "1795000000"
    assert samples["trueup_drift_fields"] == "2"
    assert samples["trueup_changes_left"] == "1"
    names = {line.split(" ")[2] for line in lines if line.startswith("# TYPE")}
    assert {name.partition("{")[0] for name in samples} == names


def test_every_metric_is_in_the_docs(clock: Watch):
    named = re.findall(r"^# TYPE (\w+)", health(clock).metrics(), re.MULTILINE)
    page = (REPO / "docs" / "running.md").read_text(encoding="utf-8")
    assert sorted(named) == sorted(re.findall(r"^\| `(trueup_\w+)", page, re.MULTILINE))


def test_metrics_before_the_first_turn_claim_nothing(clock: Watch):
    text = health(clock).metrics()
    assert "trueup_drift_fields " not in text.replace("# HELP trueup_drift_fields ", "").replace(
        "# TYPE trueup_drift_fields ", ""
    )
    assert 'trueup_runs_total{ending="done"} 0' in text


def test_a_turn_in_a_line():
    assert turn_text(DONE) == "aaaaaaaaaaaa: done; 3 applied; 5 requests; 2 fields drifted"
    assert turn_text(FAILED) == "cccccccccccc: failed; nothing to do; 0 requests: no network"


def test_an_author_is_one_of_the_people(tmp_path: Path):
    write(tmp_path, "kind: Project\nkey: app\nname: App\n")
    config = read_config(tmp_path)
    assert author_of(config, "jwp763") == "me"
    assert author_of(config, "stranger") == author_of(config, "") == ""


def test_too_many_requests_are_not_taken(tmp_path: Path, clock: Watch):
    async def ask() -> list[bool]:
        loop = Loop(lambda: read_config(tmp_path), Options(300), health(clock), print)
        return [loop.ask(Request(str(i), "me", "x")) for i in range(MAX_WAITING + 2)]

    assert asyncio.run(ask()) == [True] * MAX_WAITING + [False] * 2


@pytest.mark.parametrize("script", ["exit 3", "echo '{'", "echo '[]'", "kill -9 $$"])
def test_a_turn_that_ends_oddly_is_a_failure(
    tmp_path: Path, clock: Watch, monkeypatch: pytest.MonkeyPatch, script: str
):
    def odd(_config: Config, *_arguments: str) -> tuple[str, ...]:
        return ("sh", "-c", script)

    monkeypatch.setattr("runner.loop.command", odd)
    said: list[str] = []

    async def run() -> Health:
        found = health(clock)
        loop = Loop(lambda: read_config(tmp_path), Options(300), found, said.append)
        running = asyncio.create_task(loop.run())
        while not said:
            await asyncio.sleep(0.01)
        loop.stop()
        await running
        return found

    assert asyncio.run(run()).failing == 1
    assert "failed; nothing to do; 0 requests: the turn ended early, with exit code" in said[0]


def test_a_command_is_run_by_this_very_python(tmp_path: Path):
    from runner.child import command

    (tmp_path / "runner.py").write_text("raise SystemExit('a decoy')")
    config = read_config(tmp_path, specs="my specs")
    found = command(config, "validate")
    assert found[0] == sys.executable
    assert found[-5:] == ("-C", os.fspath(tmp_path), "--specs", "my specs", "validate")

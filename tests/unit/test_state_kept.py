"""A state kept in memory answers as one that is asked each time."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from runner.state.kept import KeptReader
from schemas.domain import Binding, Pending
from tests.unit.states import NOW, RUN, binding, reader, writer

PLATFORMS = ("linear", "gitlab")


def test_differences_are_the_same_whatever_was_written(tmp_path: Path):
    dice = random.Random(7)
    state = writer(tmp_path)
    kept = KeptReader(reader(tmp_path))
    names = [f"app/t{number}" for number in range(12)]
    for _ in range(12):
        bindings = [some_binding(dice, name) for name in dice.sample(names, 4)]
        state.save_bindings(bindings, RUN)
        fresh = reader(tmp_path)
        kept.follow(reader(tmp_path))
        rows = [
            (name, platform, f"print-{dice.randrange(2)}")
            for name in dice.sample(names, 8)
            for platform in PLATFORMS
        ]
        assert kept.diff(rows) == fresh.diff(rows)
        assert kept.version() == fresh.version()
        assert kept.identity() == fresh.identity()
        assert kept.bindings(["app/t1"]) == fresh.bindings(["app/t1"])


def some_binding(dice: random.Random, name: str) -> Binding:
    made = binding(name, dice.choice(PLATFORMS), f"print-{dice.randrange(2)}")
    match dice.randrange(4):
        case 0:
            return replace(made, drift={"title": "B"})
        case 1:
            return replace(made, pending=Pending("update", RUN.run_id, NOW))
        case _:
            return made


def test_a_state_that_does_not_exist_is_empty(tmp_path: Path):
    kept = KeptReader(reader(tmp_path))
    assert kept.identity() is None
    assert kept.diff([("app", "linear", "x")]).missing == (("app", "linear"),)
    assert (kept.integrations(), kept.resources(), kept.bindings()) == ([], [], [])

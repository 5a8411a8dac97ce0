"""The crash matrix: an apply that dies at every place where it can, and the one after it.

`python -m tests.e2e.crashes` runs all of it and prints a table. A place is a request, before it
is carried out or after it and before its answer; a commit to the state, before or after; a step
of the journal, before, after, or in the middle of a line. The table also has the runs that live
on and lose one answer. Every other time the journal is lost as well, as if the next apply ran on
another machine.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import json
import os
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from runner.sandbox._platform import Call, StandIn
from runner.sandbox._world import TOKENS, Exchange, Fault, World
from runner.sandbox.server import Sandbox, serving, stand_ins
from runner.state import check_state
from tests.contract.sandboxed import SpecRepo
from tests.contract.story import BEGINNING, SEED, Picture, judge, later, picture
from tests.e2e.launcher import Launcher, launching

Phase = Literal["beginning", "later"]
PHASES: tuple[Phase, ...] = ("beginning", "later")
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Place:
    """Where a run is disturbed.

    Attributes:
        at: request, answer, commit, journal or line.
        when: before, after, half; `lost` where the process lives on.
        number: the how manieth of its kind.
    """

    at: str
    when: str
    number: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.when} {self.at} {self.number}"


@dataclass
class DeadlyWorld(World):
    """A world that kills the client at a request."""

    client: int = 0
    place: Place | None = None
    seen: int = 0

    def start_anew(self) -> None:
        """Forget everything."""
        self._made.clear()
        self.traffic.clear()

    def strike(self, *_: object, **__: object) -> Fault | None:
        """Count the request; at the place kill the client, or lose the answer."""
        self.seen += 1
        place = self.place
        if not place or place.at != "request" or place.number != self.seen - 1:
            return None
        if place.when == "before":
            os.kill(self.client, signal.SIGKILL)
            return Fault("drop-before")
        return Fault("drop-after")

    def carried_out(self) -> None:
        """Kill the client after the request of the place was carried out."""
        if self.place and self.place.when == "after":
            os.kill(self.client, signal.SIGKILL)


class Traffic(deque[Exchange]):
    """The recorded traffic; whatever comes in has been carried out."""

    def __init__(self, world: DeadlyWorld) -> None:
        super().__init__()
        self._world = world

    def append(self, exchange: Exchange) -> None:
        """Record it, and kill the client if it is to die after it."""
        if exchange.fault == "drop-after":
            self._world.carried_out()
        super().append(exchange)


CREDENTIALS = {
    "linear": {"authorization": TOKENS["linear"]},
    "notion": {"authorization": f"Bearer {TOKENS['notion']}"},
    "gitlab": {"private-token": TOKENS["gitlab"]},
    "motion": {"x-api-key": TOKENS["motion"]},
}


@dataclass
class Stage:
    """A sandbox that can be put back to how it was, and a process that runs trueup."""

    world: DeadlyWorld
    sandbox: Sandbox
    launcher: Launcher
    scratch: Path
    _kept: Sequence[Exchange] = ()

    def keep(self) -> None:
        """Remember what has been done to the platforms."""
        self._kept = list(self.world.traffic)

    def reset(self) -> None:
        """Put the platforms back to how they were, by doing it all again to new ones."""
        self.world.start_anew()
        standins = stand_ins(self.world)
        for item in self._kept:
            headers = item.headers | CREDENTIALS[item.platform]
            call = Call(item.method, item.path, item.query, headers, item.body)
            standins[item.platform].handle(call)
        cast("dict[str, StandIn]", self.sandbox.standins).update(standins)

    def apply(self, folder: Path, place: Place | None = None) -> int:
        """Run `trueup apply --yes` in a process of its own; return how it ended."""
        die = {"at": place.at, "when": place.when, "number": place.number} if place else {}
        self.world.client = self.launcher.prepare(
            folder,
            {"PATH": os.environ["PATH"], **self.sandbox.environment()},
            ["--today", "2026-11-24", "apply", "--yes"],
            folder / "output",
            die=die,
            leap=True,
        )
        self.world.place, self.world.seen = place, 0
        self.launcher.go()
        code = self.launcher.ended()
        self.world.place = None
        return code


@contextlib.contextmanager
def staged() -> Generator[Stage]:
    """Serve the platforms and start the launcher, until the block ends."""
    world = DeadlyWorld(SEED, limits=False)
    world.traffic = Traffic(world)
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving(world) as sandbox,
        launching() as launcher,
    ):
        yield Stage(world, sandbox, launcher, Path(scratch))


@dataclass
class Row:
    """What came of one kind of disturbance."""

    phase: Phase
    kind: str
    places: int = 0
    reached: int = 0
    duplicates: int = 0
    missing: int = 0
    leftovers: int = 0
    human_steps: int = 0
    details: list[str] = field(default_factory=list[str])


class Matrix:
    """One phase of the story, disturbed wherever it can be."""

    def __init__(self, stage: Stage, phase: Phase) -> None:
        self.stage = stage
        self.phase: Phase = phase
        self.folder = stage.scratch / "mobile-app"
        self.start = stage.scratch / "start"
        self.folder.mkdir()
        self.repo = SpecRepo(self.folder, stage.sandbox, project=copy.deepcopy(BEGINNING))
        self.repo.workspace()
        if phase == "later":
            assert stage.apply(self.folder) == 0, self._output()
            self.repo.project = later()
            self.repo.workspace()
        self.folder.rename(self.start)
        stage.keep()
        self.wanted, self.rows, self.places = self._undisturbed()

    def run(self, places: Sequence[Place]) -> list[Row]:
        """Disturb a run at each place, and return what came of it, by kind of place."""
        rows: dict[str, Row] = {}
        for place in places:
            kind = f"{'answer' if place.when == 'lost' else place.at} {place.when}"
            row = rows.setdefault(kind, Row(self.phase, kind))
            row.places += 1
            self._disturb(place, row)
        return list(rows.values())

    def _undisturbed(self) -> tuple[Picture, set[tuple[str, str]], list[Place]]:
        self._reset()
        assert self.stage.apply(self.folder) == 0, self._output()
        requests = self.stage.world.seen
        counts = json.loads((self.folder / "output.counts").read_text())
        whens = {"commit": ("before", "after"), "journal": ("before", "after"), "line": ("half",)}
        places = [
            *(Place("request", w, n) for w in ("before", "after", "lost") for n in range(requests)),
            *(
                Place(at, when, n)
                for at, count in counts.items()
                for when in whens[at]
                for n in range(count)
            ),
        ]
        return picture(self.stage.sandbox), self._resources(), places

    def _disturb(self, place: Place, row: Row) -> None:
        self._reset()
        code = self.stage.apply(self.folder, place)
        row.reached += code == KILLED or place.when == "lost"
        if place.number % 2:
            # As on another clone, or another machine, which has the state and no journal.
            shutil.rmtree(self.repo.config.journals, ignore_errors=True)
        if code and self.stage.apply(self.folder) != 0:
            row.human_steps += 1
            row.details.append(f"{place}: {self._output()[-1500:]}")
            return
        verdict = judge(picture(self.stage.sandbox), self.wanted)
        row.duplicates += verdict.duplicates
        row.missing += verdict.missing
        row.leftovers += verdict.leftovers
        details = [*verdict.details, *self._unrest()]
        row.human_steps += bool(details) and verdict.good
        row.details += [f"{place}: {detail}" for detail in details]

    def _unrest(self) -> Iterator[str]:
        """Yield what a state that is true and at rest would not have."""
        reader = self.repo.workspace().reader()
        for problem in check_state(reader):
            yield f"state: {problem.code} {problem.message}"
        plan = self.repo.plan()
        for change in plan.changes:
            yield f"planned: {change.id} {change.action} {[f.name for f in change.fields]}"
        for item in plan.settled:
            yield f"to settle: {item}"
        if running := [run.run_id for run in reader.runs() if run.status == "running"]:
            yield f"runs that never ended: {running}"
        if reader.lease():
            yield f"a lease is held: {reader.lease()}"
        if left := list(self.repo.config.journals.glob("*")):
            yield f"journals: {left}"
        if self._resources() != self.rows:
            yield "projects and tasks differ"

    def _resources(self) -> set[tuple[str, str]]:
        rows = self.repo.workspace().reader().resources()
        return {(f"{row.address} {bool(row.archived_at)}", row.fingerprint) for row in rows}

    def _reset(self) -> None:
        self.stage.reset()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.start, self.folder)

    def _output(self) -> str:
        return (self.folder / "output").read_text(encoding="utf-8")


def measure(phase: Phase, part: int, parts: int, every: int = 1) -> list[Row]:
    """Run one part of the matrix: every so manieth place, dealt out to so many parts."""
    with staged() as stage:
        matrix = Matrix(stage, phase)
        return matrix.run(matrix.places[part * every :: parts * every])


def main() -> None:
    """Run the whole matrix and print the table."""
    started = time.monotonic()
    parts = os.cpu_count() or 1
    rows: dict[tuple[str, str], Row] = {}
    with concurrent.futures.ProcessPoolExecutor(parts) as pool:
        jobs = [pool.submit(measure, p, n, parts) for p in PHASES for n in range(parts)]
        for job in jobs:
            for row in job.result():
                total = rows.setdefault((row.phase, row.kind), Row(row.phase, row.kind))
                for name in NUMBERS:
                    setattr(total, name, getattr(total, name) + getattr(row, name))
                total.details += row.details
    print(table(list(rows.values())))
    print(f"{sum(row.places for row in rows.values())} places, {time.monotonic() - started:.0f} s")
    details = [detail for row in rows.values() for detail in row.details]
    print("\n".join(details))
    raise SystemExit(bool(details))


NUMBERS = ("places", "reached", "duplicates", "missing", "leftovers", "human_steps")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table."""
    head = f"{'phase':<10} {'disturbed':<16}" + "".join(f"{name:>12}" for name in NUMBERS)
    return "\n".join(
        [
            head,
            *(
                f"{row.phase:<10} {row.kind:<16}"
                + "".join(f"{getattr(row, name):>12}" for name in NUMBERS)
                for row in rows
            ),
        ]
    )


if __name__ == "__main__":
    main()

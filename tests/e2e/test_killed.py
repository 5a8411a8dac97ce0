"""An apply that is killed while a platform has just done its part, and the one after it."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter

import pytest

from runner.sandbox._world import Fault, World
from runner.sandbox.server import Sandbox
from tests.e2e.shell import TRUEUP, Shell


def ours(sandbox: Sandbox) -> Counter[tuple[str, str, str]]:
    """Return everything that carries a marker, as (platform, kind, title)."""
    return Counter(
        (platform, item["kind"], item["title"])
        for platform, objects in sandbox.objects().items()
        for item in objects
        if item["marker"]
    )


MADE = {"linear": 7, "gitlab": 7, "motion": 6}


def killed(shell: Shell, world: World, platform: str, writes: int) -> None:
    """Apply a fresh repo, and kill it when `platform` has done one write more than `writes`.

    The object of that write is made by then, and its answer would come much later.
    """
    shell.git("remote", "add", "origin", "https://gitlab.com/jwp763/mobile-app.git")
    shell.done("init", "--platforms", platform)
    people = shell.folder / "specs" / "people.yaml"
    text = people.read_text(encoding="utf-8")
    people.write_text(text.replace("# gitlab: your-user-name", "gitlab: jwp763"), encoding="utf-8")
    shell.commit("Projects as code")
    fault = Fault("slow", platform=platform, writes=True, skip=writes, seconds=60)
    world.faults.append(fault)
    with subprocess.Popen(
        [TRUEUP, "apply", "--yes"],
        cwd=shell.folder,
        env=shell.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as apply:
        pause = threading.Event()
        while fault.times and apply.poll() is None:
            pause.wait(0.01)
        apply.kill()
    assert fault.times == 0


@pytest.mark.parametrize(
    ("platform", "writes"), [("linear", 0), ("gitlab", 0), ("gitlab", 4), ("motion", 3)]
)
def test_the_next_apply_finishes_and_makes_nothing_twice(
    shell: Shell, sandbox: Sandbox, world: World, platform: str, writes: int
) -> None:
    killed(shell, world, platform, writes)
    shell.done("apply", "--yes")
    made = ours(sandbox)
    assert set(made.values()) == {1}
    assert len(made) == MADE[platform]
    assert shell.done("plan").out == "nothing to do: the platforms match the specs\n"

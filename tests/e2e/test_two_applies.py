"""Real processes that apply at once, or are told to stop in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from runner.sandbox._world import Fault, World
from runner.sandbox.server import Sandbox
from tests.e2e.launcher import launching
from tests.e2e.shell import KEPT, TRUEUP, Shell

ROUNDS = 16
WAITING_ROUNDS = 4
COMMON = """\
kind: Integrations
linear: {enabled: true, team: MOB}
gitlab: {enabled: true, project: jwp763/mobile-app}
---
kind: Project
key: app
name: Mobile app
tasks:
  stack: {title: Pick the stack}
  ship: {title: "Ship it %d", depends_on: [stack]}
"""


def write(shell: Shell, number: int) -> None:
    shell.write({"specs/app.yaml": COMMON % number})


def environment(shell: Shell) -> dict[str, str]:
    return {name: os.environ[name] for name in KEPT if name in os.environ} | shell.environment


def start(shell: Shell, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [TRUEUP, "apply", "--yes", "--no-refresh", *arguments],
        cwd=shell.folder,
        env=environment(shell),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def titles(sandbox: Sandbox) -> Counter[str]:
    return Counter(
        f"{platform} {item['title']}"
        for platform, found in sandbox.objects().items()
        for item in found
        if item["marker"] and item["kind"] in {"issue", "task"}
    )


def wanted(number: int) -> Counter[str]:
    names = ("Pick the stack", f"Ship it {number}")
    return Counter(f"{platform} {name}" for platform in ("linear", "gitlab") for name in names)


def test_of_two_applies_at_once_one_does_the_work(
    shell: Shell, sandbox: Sandbox, tmp_path: Path
) -> None:
    write(shell, 0)
    shell.done("apply", "--yes")
    outputs = (tmp_path / "one", tmp_path / "other")
    with launching() as one, launching() as other:
        for number in range(1, ROUNDS + WAITING_ROUNDS + 1):
            write(shell, number)
            sandbox.world.traffic.clear()
            wait = ["--wait", "60"] if number > ROUNDS else []
            for launcher, output in zip((one, other), outputs, strict=True):
                arguments = ["apply", "--yes", "--no-refresh", *wait]
                launcher.prepare(shell.folder, environment(shell), arguments, output)
            one.go()
            other.go()
            codes = (one.ended(), other.ended())
            for code, output in zip(codes, outputs, strict=True):
                # Who comes when the other is done finds nothing to do.
                said = output.read_text()
                assert code == 0 or (not wait and " holds the lease since " in said), said
            assert 0 in codes
            assert titles(sandbox) == wanted(number)
            writes = Counter(e.platform for e in sandbox.world.traffic if changes(e.method, e.body))
            assert writes == {"linear": 1, "gitlab": 1}
    assert shell.done("plan").out == "nothing to do: the platforms match the specs\n"


def changes(method: str, body: bytes) -> bool:
    return method != "GET" and (not body.startswith(b'{"query": "query'))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_apply_orderly(
    shell: Shell, sandbox: Sandbox, world: World, number: signal.Signals
) -> None:
    write(shell, 0)
    slow = Fault("slow", "gitlab", writes=True, skip=1, seconds=1)
    world.faults.append(slow)
    with start(shell) as apply:
        reach(slow, apply)
        apply.send_signal(number)
        _, err = apply.communicate(timeout=60)
    assert apply.returncode == 1
    assert "finishing what is under way" in err
    runs = json.loads(shell.done("history", "--json").out)
    assert runs
    # What was under way is known to be done.
    assert shell.trueup("state", "check").code == 0
    shell.done("apply", "--yes")
    assert titles(sandbox) == wanted(0)
    assert shell.done("plan").out == "nothing to do: the platforms match the specs\n"


def test_a_second_signal_ends_it_at_once(shell: Shell, sandbox: Sandbox, world: World) -> None:
    write(shell, 0)
    slow = Fault("slow", "gitlab", writes=True, skip=1, seconds=20)
    world.faults.append(slow)
    with start(shell) as apply:
        reach(slow, apply)
        began = time.monotonic()
        apply.send_signal(signal.SIGINT)
        assert apply.stderr
        while "finishing" not in apply.stderr.readline():
            pass
        apply.send_signal(signal.SIGINT)
        apply.communicate(timeout=60)
    assert apply.returncode == 1
    assert time.monotonic() - began < 10
    shell.done("apply", "--yes")
    assert titles(sandbox) == wanted(0)
    assert shell.done("plan").out == "nothing to do: the platforms match the specs\n"


def test_another_clone_with_the_same_state_finishes_what_was_killed(
    shell: Shell, sandbox: Sandbox, world: World, tmp_path: Path
) -> None:
    state = tmp_path / "shared"
    shell.git("remote", "add", "origin", "https://gitlab.com/jwp763/mobile-app.git")
    shell.write({"specs/settings.yaml": f"kind: Settings\nstate: {{path: {state}}}\n"})
    write(shell, 0)
    shell.commit("Projects as code")
    slow = Fault("slow", "gitlab", writes=True, skip=1, seconds=20)
    world.faults.append(slow)
    with start(shell) as apply:
        reach(slow, apply)
        apply.kill()
    clone = Shell(tmp_path / "clone", shell.environment)
    shutil.copytree(shell.folder, clone.folder, ignore=shutil.ignore_patterns(".trueup"))
    clone.done("apply", "--yes")
    assert titles(sandbox) == wanted(0)
    assert clone.done("plan").out == "nothing to do: the platforms match the specs\n"
    assert shell.done("plan").out == "nothing to do: the platforms match the specs\n"


@pytest.mark.parametrize("blocks", [1, 6, 24])
def test_a_disk_that_is_full_is_said_and_the_next_apply_finishes(
    shell: Shell, sandbox: Sandbox, blocks: int
) -> None:
    write(shell, 0)
    shell.done("state", "init")
    result = shell.run("sh", "-c", f'ulimit -f {blocks}; exec "$0" apply --yes', TRUEUP)
    assert "Traceback" not in result.err
    assert result.code == 0 or "error: " in result.err
    assert result.code == (1 if blocks < 10 else result.code)
    shell.done("apply", "--yes")
    assert titles(sandbox) == wanted(0)
    assert shell.done("plan").out == "nothing to do: the platforms match the specs\n"


def reach(fault: Fault, process: subprocess.Popen[str]) -> None:
    """Return when the fault has struck: the request is carried out, and its answer far away."""
    pause = threading.Event()
    while fault.times and process.poll() is None:
        pause.wait(0.01)
    assert not fault.times

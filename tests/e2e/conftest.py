"""Fixtures for tests that type commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sandbox._world import World
from runner.sandbox.server import Sandbox, serving
from tests.e2e.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A terminal in an empty git repo of `Me`, without tokens."""
    settings = tmp_path / "gitconfig"
    settings.write_text(
        "[user]\n\tname = Me\n\temail = me@example.com\n[init]\n\tdefaultBranch = main\n",
        encoding="utf-8",
    )
    folder = tmp_path / "mobile-app"
    folder.mkdir()
    environment = {
        "HOME": str(tmp_path),
        "GIT_CONFIG_GLOBAL": str(settings),
        "GIT_CONFIG_NOSYSTEM": "1",
        "TZ": "America/Los_Angeles",
    }
    shell = Shell(folder, environment)
    shell.git("init", "--quiet")
    return shell


@pytest.fixture
def world() -> World:
    """The surroundings of the stand-ins, without rate limits; to be bent by a test."""
    return World(limits=False)


@pytest.fixture
def sandbox(world: World, shell: Shell) -> Iterator[Sandbox]:
    """Stand-ins of all four platforms; `shell` talks to them."""
    with serving(world) as serving_:
        shell.environment.update(serving_.environment())
        yield serving_

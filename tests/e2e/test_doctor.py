"""`trueup doctor`: each thing that can be wrong is named, with how to mend it."""

from __future__ import annotations

import shutil
import socket

import pytest

from runner.config import read_config
from runner.doctor import Finding, examine
from runner.sandbox._world import TOKENS, World
from runner.sandbox.server import Sandbox
from runner.scaffold import scaffold
from runner.workspace import Workspace
from schemas.domain import PLATFORMS
from tests.e2e.shell import Shell


@pytest.fixture
def repo(shell: Shell, sandbox: Sandbox) -> Shell:
    """A fresh spec repo whose platforms can be reached."""
    assert sandbox
    shell.git("remote", "add", "origin", "https://gitlab.com/jwp763/mobile-app.git")
    scaffold(shell.folder, PLATFORMS, "", read_config(shell.folder).today)
    shell.commit("Projects as code")
    return shell


def findings(repo: Shell, **environment: str) -> dict[str, Finding]:
    """Return what is found in `repo`, with `environment` on top of its own."""
    config = read_config(repo.folder, environ=repo.environment | environment)
    return {item.name: item for item in examine(Workspace(config))}


def only_failing(repo: Shell, **environment: str) -> tuple[str, str, str]:
    """Return name, detail and fix of the one finding that is not good."""
    failing = [item for item in findings(repo, **environment).values() if not item.good]
    assert len(failing) == 1, failing
    return failing[0].name, failing[0].detail, failing[0].fix


def test_all_is_well_before_the_first_apply(repo: Shell) -> None:
    result = repo.done("doctor")
    assert result.out.endswith("\nall is well\n")
    assert "fix" not in result.out
    assert {line.split()[1] for line in result.out.splitlines() if line.startswith("ok")} == {
        *PLATFORMS,
        "python",
        "packages",
        "git",
        "specs",
        "state",
        ".trueup/",
    }
    assert not (repo.folder / ".trueup" / "state").exists(), "it changes nothing"


def test_all_is_well_after_an_apply_and_the_state_is_named(repo: Shell) -> None:
    repo.done("apply", "--yes")
    found = findings(repo)
    assert all(item.good for item in found.values())
    assert len(found["state"].detail.partition(",")[0]) == 36


def test_no_token_shows_up_anywhere_and_the_exit_code_tells(repo: Shell) -> None:
    secret = "lin_api_not_for_your_eyes"
    result = repo.trueup("doctor", "--json", LINEAR_API_KEY=secret)
    shown = result.out + result.err
    assert not [token for token in (secret, *TOKENS.values()) if token in shown]
    assert [item["name"] for item in result.json() if not item["good"]] == ["linear"]
    assert result.code == 1


def test_a_missing_token_is_named_with_its_variable(repo: Shell) -> None:
    name, _, fix = only_failing(repo, NOTION_TOKEN="")
    assert (name, "NOTION_TOKEN" in fix) == ("notion", True)


@pytest.mark.parametrize(
    ("platform", "variable"),
    [
        ("linear", "LINEAR_API_KEY"),
        ("notion", "NOTION_TOKEN"),
        ("gitlab", "GITLAB_TOKEN"),
        ("motion", "MOTION_API_KEY"),
    ],
)
def test_a_token_that_is_refused_asks_for_another(
    repo: Shell, platform: str, variable: str
) -> None:
    name, _, fix = only_failing(repo, **{variable: "expired"})
    assert name == platform
    assert variable in fix


def test_a_platform_that_cannot_be_reached_is_said_so_at_once(repo: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        name, detail, fix = only_failing(repo, TRUEUP_GITLAB_URL=f"http://127.0.0.1:{port}")
    assert name == "gitlab"
    assert "cannot be reached" in detail
    assert f"127.0.0.1:{port}" in fix


def test_an_address_that_is_none_is_refused_before_anything_is_sent(repo: Shell) -> None:
    name, detail, _ = only_failing(repo, TRUEUP_MOTION_URL="ftp://example.com")
    assert (name, "TRUEUP_MOTION_URL" in detail) == ("motion", True)


@pytest.mark.parametrize(("seconds", "side"), [(3600.0, "ahead of"), (-90.0, "behind")])
def test_clocks_that_differ_are_noticed(
    repo: Shell, world: World, seconds: float, side: str
) -> None:
    world.clock_skew["linear"] = seconds
    name, detail, fix = only_failing(repo)
    assert name == "linear"
    assert side in detail
    assert "clock" in fix


def test_clocks_may_differ_a_little(repo: Shell, world: World) -> None:
    world.clock_skew["linear"] = 30.0
    assert findings(repo)["linear"].good


def test_specs_with_errors_are_pointed_at(repo: Shell) -> None:
    repo.write({"specs/broken.yaml": "kind: Project\n"})
    found = findings(repo)
    assert (found["specs"].good, found["specs"].fix) == (False, "run: trueup validate")
    assert not found["platforms"].good


def test_a_local_folder_that_git_does_not_ignore_is_noticed(repo: Shell) -> None:
    repo.write({".gitignore": "build/\n"})
    name, _, fix = only_failing(repo)
    assert (name, fix) == (".trueup/", "echo .trueup/ >> .gitignore")


def test_a_local_folder_under_version_control_is_noticed(repo: Shell) -> None:
    repo.write({".trueup/state/x": "1\n"})
    repo.git("add", "--force", ".trueup/state/x")
    name, detail, fix = only_failing(repo)
    assert (name, detail) == (".trueup/", "is under version control")
    assert "git rm" in fix


def test_a_journal_left_over_is_mentioned(repo: Shell) -> None:
    repo.write({".trueup/journal/20261124T101500Z-c30d53fa.jsonl": ""})
    journal = findings(repo)["journal"]
    assert journal.good
    assert "trueup apply" in journal.fix


def test_works_outside_git(repo: Shell) -> None:
    shutil.rmtree(repo.folder / ".git")
    assert "git init" in findings(repo)["git"].fix

"""`trueup init`: an empty repo becomes a spec repo that validates, plans and has a pipeline."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import click
import pytest
import yaml

from runner.cli import cli
from schemas.domain import PLATFORMS
from tests.e2e.shell import Shell


def written(shell: Shell) -> set[str]:
    return {
        str(path.relative_to(shell.folder))
        for path in shell.folder.rglob("*")
        if path.is_file() and path.relative_to(shell.folder).parts[0] not in {".git", ".trueup"}
    }


def test_writes_a_repo_that_validates_without_a_warning(shell: Shell) -> None:
    shell.done("init")
    assert {
        "specs/people.yaml",
        "specs/integrations.yaml",
        "specs/settings.yaml",
        "specs/projects/mobile-app.yaml",
        ".gitlab-ci.yml",
        ".gitlab/trueup.yml",
        ".gitignore",
        "README.md",
    } <= written(shell)
    result = shell.done("validate", "--strict")
    assert result.out == ""


def test_the_plan_makes_everything_and_needs_no_token_and_no_state(shell: Shell) -> None:
    shell.done("init")
    plan = shell.done("plan", "--json").json()
    assert {change["platform"] for change in plan["changes"]} == set(PLATFORMS)
    assert {change["action"] for change in plan["changes"]} == {"create"}
    assert not (shell.folder / ".trueup" / "state").exists()


def test_nothing_of_the_local_folder_gets_into_git(shell: Shell) -> None:
    shell.done("init")
    shell.done("plan")
    shell.commit("Projects as code")
    assert not [name for name in shell.git("ls-files").splitlines() if name.startswith(".trueup")]


@pytest.mark.parametrize("present", ["README.md", "specs/people.yaml", ".gitlab-ci.yml"])
def test_a_file_that_is_there_stops_it_before_anything_is_written(
    shell: Shell, present: str
) -> None:
    shell.write({present: "mine\n"})
    result = shell.trueup("init")
    assert result.code == 1
    assert present in result.err
    assert written(shell) == {present}
    assert (shell.folder / present).read_text(encoding="utf-8") == "mine\n"


def test_a_dangling_link_counts_as_a_file(shell: Shell) -> None:
    (shell.folder / "README.md").symlink_to("nowhere")
    assert shell.trueup("init").code == 1
    assert not (shell.folder / "nowhere").exists()


def test_only_the_platforms_asked_for_are_connected(shell: Shell) -> None:
    shell.done("init", "--platforms", "linear, notion")
    text = (shell.folder / "specs/integrations.yaml").read_text(encoding="utf-8")
    assert [name for name in PLATFORMS if f"\n{name}:" in text] == ["linear", "notion"]
    assert "MOTION" not in (shell.folder / "README.md").read_text(encoding="utf-8")
    shell.done("validate", "--strict")


@pytest.mark.parametrize("names", ["jira", "linear,jira", ","])
def test_an_unknown_platform_is_refused(shell: Shell, names: str) -> None:
    result = shell.trueup("init", "--platforms", names)
    assert result.code == 1
    assert "linear, gitlab, notion, motion" in result.err
    assert written(shell) == set()


def test_the_person_is_the_one_that_git_knows(shell: Shell) -> None:
    shell.git("config", "user.name", "Me, by another name")
    shell.done("init")
    people = yaml.safe_load((shell.folder / "specs/people.yaml").read_text(encoding="utf-8"))
    assert people["people"]["me"] == {
        "name": "Me, by another name",
        "email": "me@example.com",
        "timezone": "America/Los_Angeles",
    }


def test_the_gitlab_project_is_the_one_that_the_remote_names(shell: Shell) -> None:
    shell.git("remote", "add", "origin", "git@gitlab.com:jwp763/mobile-app.git")
    shell.done("init")
    text = (shell.folder / "specs/integrations.yaml").read_text(encoding="utf-8")
    assert "project: jwp763/mobile-app" in text


def test_works_outside_git(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    shell.folder = tmp_path / "plain"
    shell.done("init")
    shell.done("plan")


def pipeline(shell: Shell) -> dict[str, Any]:
    """Return the jobs that the pipeline includes."""
    shell.done("init")
    text = (shell.folder / ".gitlab-ci.yml").read_text(encoding="utf-8")
    (included,) = cast("dict[str, Any]", yaml.safe_load(text))["include"]
    text = (shell.folder / included["local"]).read_text(encoding="utf-8")
    header, jobs = cast("list[dict[str, Any]]", list(yaml.safe_load_all(text)))
    assert included["inputs"].keys() <= header["spec"]["inputs"].keys()
    return jobs


def test_the_pipeline_uses_only_commands_that_there_are(shell: Shell) -> None:
    lines = [line for job in pipeline(shell).values() for line in job.get("script", ())]
    typed = [match[1].split() for line in lines if (match := re.match(r"trueup ([^>|]*)", line))]
    assert {words[0] for words in typed} == {
        *("validate", "plan", "apply", "drift", "adopt", "draft")
    }
    for name, *arguments in typed:
        command = cli.commands[name]
        command.make_context(name, arguments, parent=click.Context(cli), resilient_parsing=False)


def test_the_pipeline_applies_once_at_a_time_and_only_the_default_branch(shell: Shell) -> None:
    job = pipeline(shell)["trueup-apply"]
    assert job["resource_group"] == "trueup"
    assert job["rules"][-1] == {"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"}

"""The pipeline itself: GitLab's own schema takes it, and gitlab-ci-local runs it end to end."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from datetime import date
from pathlib import Path

import httpx
import pytest

from runner.sandbox._world import World
from runner.sandbox.server import serving
from runner.scaffold import scaffold
from tests.contract.gitlab_repo import Clone
from tests.e2e.pipelines import notes, on_request, request, variables
from tests.e2e.shell import TRUEUP, Result

REPO = Path(__file__).parents[2]
TOOL = Path(__file__).with_name("gitlab-ci-local")
BIN = Path(sys.executable).parent

# One process installs it.
pytestmark = pytest.mark.xdist_group("gitlab-ci-local")


@pytest.fixture(scope="module")
def gitlab_ci_local() -> Path:
    """gitlab-ci-local, installed beside the virtual environment's own programs."""
    folder = BIN.parent / "gitlab-ci-local"
    program = folder / "node_modules" / ".bin" / "gitlab-ci-local"
    npm = shutil.which("npm")
    missing = "" if npm else "npm is not installed"
    if not missing and not shutil.which("rsync"):
        missing = "rsync is not installed"
    if not missing and not program.exists():
        shutil.copytree(TOOL, folder, dirs_exist_ok=True)
        command = [str(npm), "install", "--silent", "--ignore-scripts", "--no-package-lock"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        missing = done.stderr or done.stdout if done.returncode else ""
    if missing:
        if os.environ.get("CI"):
            pytest.fail(f"gitlab-ci-local cannot be run: {missing}")
        pytest.skip(f"gitlab-ci-local cannot be run: {missing}")
    return program


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Generator[Clone]:
    """What `trueup init` writes, on the sandbox's GitLab."""
    folder = tmp_path_factory.mktemp("repo") / "clone"
    folder.mkdir()
    for command in ("init --quiet", "config user.name Me", "config user.email me@example.com"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    scaffold(folder, ["linear", "notion"], "App", date(2026, 11, 24))
    with serving(World(limits=False)) as sandbox:
        yield Clone.make(sandbox, folder, {})


def run(program: Path, clone: Clone, given: dict[str, str]) -> Result:
    """Run the pipeline of the commit that is checked out."""
    more = [f"--variable={name}={value}" for name, value in given.items()]
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    # It asks npm's registry for its newest version otherwise.
    environment = {"PATH": path, "NO_UPDATE_NOTIFIER": "1", "HOME": str(clone.folder.parent)}
    return clone.shell.run(program, "--force-shell-executor", *more, **environment)


def checked_out(clone: Clone) -> None:
    clone.shell.git("fetch", "--quiet", "origin")
    clone.shell.git("checkout", "--quiet", "-B", "main", "origin/main")


def test_the_whole_story(gitlab_ci_local: Path, clone: Clone) -> None:
    tokens = clone.sandbox.environment()
    main = {"CI_COMMIT_BRANCH": "main", **tokens}

    first = run(gitlab_ci_local, clone, variables(clone, "push", **main, TRUEUP_FIRST="1"))
    assert first.code == 0, first.out + first.err
    assert "trueup-apply" in first.out
    made = {item["title"] for item in clone.sandbox.objects()["linear"]}
    assert "Connect the platforms" in made

    path = "specs/projects/app.yaml"
    spec = (clone.folder / path).read_text()
    iid = request(clone, "edit", {path: spec.replace("Connect the", "Join the")})
    planned = run(gitlab_ci_local, clone, on_request(clone, iid, **tokens))
    assert planned.code == 0, planned.out + planned.err
    assert "trueup-apply" not in planned.out
    (note,) = notes(clone, iid)
    assert "→ `Join the platforms`" in note
    assert (clone.folder / "plan.md").exists()

    clone.api("PUT", f"/merge_requests/{iid}/merge")
    checked_out(clone)
    applied = run(gitlab_ci_local, clone, variables(clone, "push", **main))
    assert applied.code == 0, applied.out + applied.err
    assert "applied" in notes(clone, iid)[-1]
    (task,) = [i for i in clone.sandbox.objects()["linear"] if i["title"] == "Join the platforms"]

    rename = (
        f'mutation {{ issueUpdate(id: "{task["id"]}", input: {{title: "Meet them"}})'
        " { success } }"
    )
    url = clone.sandbox.url("linear")
    headers = {"Authorization": tokens["LINEAR_API_KEY"]}
    assert httpx.post(url, json={"query": rename}, headers=headers).status_code == 200
    scheduled = run(gitlab_ci_local, clone, variables(clone, "schedule", **main))
    assert scheduled.code == 0, scheduled.out + scheduled.err
    assert "trueup-apply" not in scheduled.out
    adopting = clone.requests()[-1]
    assert (adopting["state"], adopting["target"]) == ("opened", "main")
    assert "Meet them" in clone.on_server("show", f"{adopting['branch']}:{path}")

    checked_out(clone)
    asked = {"TRUEUP_DRAFT": 'Create a project "Garden; $(id)" for us', "TRUEUP_OFFLINE": "1"}
    given = variables(clone, "trigger", **main, **asked, CI_PIPELINE_ID="77")
    drafted = run(gitlab_ci_local, clone, given)
    assert drafted.code == 0, drafted.out + drafted.err
    assert "trueup-apply" not in drafted.out
    assert clone.requests()[-1]["branch"] == "trueup/pipeline-77"


def test_our_own_pipeline_has_the_jobs(gitlab_ci_local: Path, tmp_path: Path) -> None:
    shutil.copytree(REPO / "templates", tmp_path / "templates")
    shutil.copy(REPO / ".gitlab-ci.yml", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    command = [gitlab_ci_local, "--list-json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = {job["name"] for job in json.loads(done.stdout)}
    assert {"check", "test", "trueup-validate", "trueup-apply"} <= names


def test_gitlabs_own_schema_takes_the_pipelines(tmp_path: Path) -> None:
    scaffold(tmp_path, ["linear", "gitlab", "notion", "motion"], "App", date(2026, 11, 24))
    header, jobs = (REPO / "templates" / "trueup.yml").read_text().split("\n---\n")
    (tmp_path / "header.yml").write_text(header)
    (tmp_path / "jobs.yml").write_text(re.sub(r"\$\[\[ inputs\.[a-z-]+ \]\]", "test", jobs))
    pipelines = [REPO / ".gitlab-ci.yml", tmp_path / ".gitlab-ci.yml", tmp_path / "jobs.yml"]
    command = [TRUEUP.with_name("check-jsonschema"), "--builtin-schema", "vendor.gitlab-ci"]
    done = subprocess.run(
        [*command, *pipelines, tmp_path / "header.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / ".gitlab" / "trueup.yml").read_text() == f"{header}\n---\n{jobs}"

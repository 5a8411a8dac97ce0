"""What GitLab sets in the pipelines of a project, for commands run as its jobs would run them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Mapping
from unittest import mock

from runner.sandbox._gitlab_api import JOB_TOKEN
from tests.contract.gitlab_repo import PROJECT, Clone
from tests.e2e.shell import KEPT, Result

SPECS: Mapping[str, str] = {
    "specs/common.yaml": """\
kind: People
people: {me: {name: Me, email: me@example.com, gitlab: jwp763}}
---
kind: Integrations
linear: {team: MOB}
notion: {parent: Work}
""",
    "specs/app.yaml": """\
kind: Project
key: app
name: App
start: 2026-11-24
due: 2027-02-28
tasks:
  pick: {title: Pick the stack, estimate: 4h}
  build: {title: Build it, estimate: 2w, depends_on: [pick]}
  chat: {title: Talk about it, estimate: 1d}
""",
    ".gitignore": ".trueup/\n",
}


def variables(clone: Clone, source: str, **more: str) -> dict[str, str]:
    """Return the predefined variables of a pipeline for the commit that is checked out."""
    commit = clone.shell.git("rev-parse", "HEAD").strip()
    given = {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_PIPELINE_SOURCE": source,
        "CI_SERVER_URL": clone.sandbox.url("gitlab"),
        "CI_PROJECT_ID": "101",
        "CI_PROJECT_PATH": PROJECT,
        "CI_DEFAULT_BRANCH": "main",
        "CI_COMMIT_SHA": commit,
        "CI_JOB_TOKEN": JOB_TOKEN,
        "CI_JOB_URL": f"https://gitlab.example/{PROJECT}/-/jobs/7",
        "GITLAB_USER_NAME": "Me",
        "GITLAB_USER_EMAIL": "me@example.com",
        "TRUEUP_TODAY": "2026-11-24",
    }
    return {**given, **more}


def on_request(clone: Clone, iid: int, **more: str) -> dict[str, str]:
    """Return the variables of a merge request pipeline."""
    given = {
        "CI_MERGE_REQUEST_IID": str(iid),
        "CI_MERGE_REQUEST_PROJECT_ID": "101",
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "101",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    }
    return variables(clone, "merge_request_event", **{**given, **more})


def trueup(clone: Clone, *arguments: str, **more: str) -> Result:
    """Run a command in this process, which is a second faster, with the clone's environment."""
    from runner.cli import main

    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    out, err = io.StringIO(), io.StringIO()
    line = ["trueup", "-C", str(clone.folder), *arguments]
    with (
        mock.patch.dict(os.environ, kept | clone.shell.environment | more, clear=True),
        mock.patch.object(sys, "argv", line),
        mock.patch.object(sys, "stdin", io.StringIO()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Result(code, out.getvalue(), err.getvalue())


def plan(clone: Clone, iid: int, *arguments: str, **more: str) -> Result:
    """Run the plan job of a merge request."""
    return trueup(clone, "plan", *arguments, **on_request(clone, iid, **more))


def apply(clone: Clone, *arguments: str, **more: str) -> Result:
    """Check the default branch out, and run its apply job."""
    clone.shell.git("fetch", "--quiet", "origin")
    clone.shell.git("checkout", "--quiet", "--detach", "origin/main")
    given = variables(clone, "push", CI_COMMIT_BRANCH="main", **more)
    return trueup(clone, "apply", "--yes", *arguments, **given)


def request(clone: Clone, branch: str, files: Mapping[str, str], start: str = "origin/main") -> int:
    """Push a branch with `files` changed and open a merge request for it; return its number."""
    clone.shell.git("fetch", "--quiet", "origin")
    clone.branch(branch, files, start=start)
    body = {"source_branch": branch, "target_branch": "main", "title": f"Change {branch}"}
    return int(clone.api("POST", "/merge_requests", body)["iid"])


def notes(clone: Clone, iid: int) -> list[str]:
    """Return the notes on a merge request."""
    return next(r["notes"] for r in clone.requests() if r["id"] == f"101!{iid}")

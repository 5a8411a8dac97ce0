"""A clone of a project on the sandbox's GitLab, as a developer or a CI job has it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from runner.config import Config, read_config
from runner.sandbox._world import TOKENS
from runner.sandbox.gitlab import GitlabStandIn
from runner.sandbox.server import Sandbox
from tests.e2e.shell import Shell

PROJECT = "jwp763/mobile-app"
ALONE = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


@dataclass
class Clone:
    """A work tree whose `origin` is the sandbox's GitLab.

    Attributes:
        sandbox: the server.
        shell: a terminal in the work tree.
    """

    sandbox: Sandbox
    shell: Shell

    @classmethod
    def make(cls, sandbox: Sandbox, folder: Path, files: Mapping[str, str]) -> Clone:
        """Make a repo with `files` on `main`, pushed to a project that was empty."""
        folder.mkdir(parents=True, exist_ok=True)
        shell = Shell(folder, {**ALONE, **sandbox.environment(), **_authorization(sandbox)})
        shell.git("init", "--quiet", "--initial-branch=main")
        shell.git("config", "user.name", "Me")
        shell.git("config", "user.email", "me@example.com")
        shell.git("remote", "add", "origin", f"{sandbox.url('gitlab')}/{PROJECT}.git")
        clone = cls(sandbox, shell)
        clone.shell.write(files)
        clone.shell.commit("Begin")
        clone.push("main")
        return clone

    @property
    def folder(self) -> Path:
        """The work tree."""
        return self.shell.folder

    @property
    def standin(self) -> GitlabStandIn:
        """The sandbox's GitLab, to look behind the API."""
        standin = self.sandbox.standins["gitlab"]
        assert isinstance(standin, GitlabStandIn)
        return standin

    def config(self, **more: str) -> Config:
        """Return the configuration of a command run in the work tree."""
        environment = {**self.sandbox.environment(), **more}
        return read_config(self.folder, today="2026-11-24", environ=environment)

    def push(self, branch: str, *options: str) -> None:
        """Push HEAD to a branch, over HTTP."""
        self.shell.git("push", "--quiet", *options, "origin", f"HEAD:refs/heads/{branch}")

    def branch(self, name: str, files: Mapping[str, str], *, start: str = "main") -> str:
        """Push a branch with `files` changed since `start`; return its commit."""
        self.shell.git("checkout", "--quiet", "-B", name, start)
        self.shell.write(files)
        commit = self.shell.commit(f"Change {', '.join(files)}")
        self.push(name)
        return commit

    def on_server(self, *arguments: str) -> str:
        """Run git in the bare repo on the server."""
        return self.standin.repositories.git(PROJECT, *arguments)

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Send a request as a person would, and return the answer; it must succeed."""
        url = f"{self.sandbox.url('gitlab')}/api/v4/projects/{PROJECT.replace('/', '%2F')}{path}"
        headers = {"PRIVATE-TOKEN": TOKENS["gitlab"]}
        answer = httpx.request(method, url, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def requests(self) -> list[dict[str, Any]]:
        """Return the merge requests as the stand-in has them."""
        return self.standin.merge_requests.plain()


def _authorization(sandbox: Sandbox) -> dict[str, str]:
    """Return the environment in which a person's git is logged in to the sandbox's GitLab."""
    login = base64.b64encode(f"me:{TOKENS['gitlab']}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{sandbox.url('gitlab')}.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {login}",
    }

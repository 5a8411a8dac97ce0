"""A `trueup run` that goes on, as a process of its own, and its remote."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from runner.sandbox.server import Sandbox
from tests.e2e.shell import KEPT, TRUEUP, Shell

TOKEN = "webhook-token-of-the-tests"
SECRETS = {
    "TRUEUP_GITLAB_WEBHOOK_TOKEN": TOKEN,
    "TRUEUP_LINEAR_WEBHOOK_SECRET": "linear-secret-of-the-tests",
    "TRUEUP_NOTION_WEBHOOK_TOKEN": "notion-secret-of-the-tests",
}
PATIENCE = 60.0


@dataclass
class Replica:
    """A reconciler that runs.

    Attributes:
        log: the lines of its stderr so far.
        url: where it listens.
    """

    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list[str])
    url: str = ""

    def until(self, true: Callable[[], object], what: str) -> None:
        """Return when something is true."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert self.process.poll() is None, "\n".join(self.log)
            assert time.monotonic() < deadline, "\n".join([what, *self.log])
            time.sleep(0.02)

    def said(self, text: str, times: int = 1) -> None:
        """Return when lines of the log that hold a text have come so many times."""
        self.until(lambda: sum(text in line for line in self.log) >= times, text)

    def get(self, path: str) -> httpx.Response:
        """Ask it something."""
        return httpx.get(self.url + path, timeout=5)

    def metric(self, name: str) -> float:
        """Return a sample of its metrics, 0 where there is none."""
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def gitlab(self, data: object, **headers: str) -> httpx.Response:
        """Call as GitLab does."""
        return self._post("gitlab", data, {"X-Gitlab-Token": TOKEN, **headers})

    def linear(self, data: dict[str, Any]) -> httpx.Response:
        """Call as Linear does."""
        body = json.dumps({"webhookTimestamp": time.time() * 1000, **data})
        return self._post(
            "linear", body, {"Linear-Signature": digest("LINEAR_WEBHOOK_SECRET", body)}
        )

    def notion(self, data: object) -> httpx.Response:
        """Call as Notion does."""
        body = json.dumps(data)
        signature = f"sha256={digest('NOTION_WEBHOOK_TOKEN', body)}"
        return self._post("notion", body, {"X-Notion-Signature": signature})

    def _post(self, source: str, data: object, headers: dict[str, str]) -> httpx.Response:
        body = data if isinstance(data, str) else json.dumps(data)
        return httpx.post(f"{self.url}/webhooks/{source}", content=body, headers=headers, timeout=5)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def digest(variable: str, body: str) -> str:
    secret = SECRETS[f"TRUEUP_{variable}"]
    return hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()


@contextlib.contextmanager
def replica(shell: Shell, *arguments: str, **more: str) -> Generator[Replica]:
    """Run a reconciler in the terminal's folder until the block ends."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    process = subprocess.Popen(
        [TRUEUP, "run", "--port", "0", "--interval", "3600", *arguments],
        cwd=shell.folder,
        env=kept | shell.environment | SECRETS | more,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    running = Replica(process)
    reader = threading.Thread(target=_read, args=(running,), daemon=True)
    reader.start()
    try:
        running.said("listening on ")
        found = re.search(r"http://\S+", "\n".join(running.log))
        running.url = found[0] if found else ""
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        assert process.stderr
        process.stderr.close()


def _read(running: Replica) -> None:
    assert running.process.stderr
    for line in running.process.stderr:
        running.log.append(line.rstrip())


@dataclass(frozen=True)
class Remote:
    """A bare repo, and somebody's clone of it to push from."""

    url: Path
    author: Shell

    @classmethod
    def make(cls, shell: Shell, url: Path) -> Remote:
        """Make a bare repo that the terminal's repo pushes to."""
        shell.git("init", "--quiet", "--bare", "--initial-branch=main", str(url))
        shell.git("remote", "add", "origin", str(url))
        return cls(url, shell)

    def push(self, specs: str, *options: str) -> str:
        """Push a commit with these specs; return it."""
        self.author.write({"specs/app.yaml": specs})
        commit = self.author.commit("Specs")
        self.author.git("push", "--quiet", *options, "origin", "HEAD:main")
        return commit

    def on_forge(self, sandbox: Sandbox) -> str:
        """Push to the sandbox's GitLab, too; return the address there."""
        url = f"{sandbox.url('gitlab')}/jwp763/mobile-app.git"
        token = sandbox.environment()["GITLAB_TOKEN"]
        known = url.replace("//", f"//oauth2:{token}@")
        self.author.git("push", "--quiet", known, "HEAD:main")
        return url

    def clone(self, folder: Path) -> Shell:
        """Return a terminal in an empty folder, for a clone to come."""
        folder.mkdir()
        return Shell(folder, self.author.environment)

"""Git repos of the GitLab stand-in: bare, in a temporary folder, served by git http-backend."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from runner.sandbox._gitlab_api import JOB_TOKEN, not_found
from runner.sandbox._gitlab_objects import DEFAULT_BRANCH
from runner.sandbox._world import TOKENS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

_PATH = re.compile(
    r"/(?P<project>.+?)\.git(?P<rest>/(?:info/refs|git-upload-pack|git-receive-pack))"
)
_NOBODY = {
    "GIT_AUTHOR_NAME": "GitLab",
    "GIT_AUTHOR_EMAIL": "gitlab@example.com",
    "GIT_COMMITTER_NAME": "GitLab",
    "GIT_COMMITTER_EMAIL": "gitlab@example.com",
}


class Repositories:
    """One repo per project, made when it is first asked for.

    Args:
        projects: the paths of the projects.

    Attributes:
        pushed: called after a push that moved the default branch, with the project and its last
            commit before and after.
    """

    def __init__(self, projects: Collection[str]) -> None:
        self._projects = projects
        self._root: Path | None = None
        self.pushed: Callable[[str, str, str], None] | None = None

    def folder(self, project: str) -> Path:
        """Return the folder of a project's bare repo."""
        if project not in self._projects:
            raise not_found("Project")
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="trueup-gitlab-"))
            weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        folder = self._root / f"{project}.git"
        if not folder.is_dir():
            import git

            git.Repo.init(folder, bare=True, mkdir=True, initial_branch=DEFAULT_BRANCH).close()
        return folder

    def head(self, project: str, branch: str) -> str:
        """Return the last commit of a branch, or ''."""
        return self.git(project, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def branches(self, project: str) -> dict[str, str]:
        """Return the last commit of every branch."""
        listed = self.git(
            project, "for-each-ref", "--format=%(refname)\t%(objectname)", "refs/heads"
        )
        pairs = (line.split("\t") for line in listed.splitlines())
        return {name.removeprefix("refs/heads/"): sha for name, sha in pairs}

    def commits(self, project: str, target: str, source: str) -> list[str]:
        """Return the commits that `source` has and `target` has not, the newest first."""
        return self.git(project, "rev-list", f"{target}..{source}").split()

    def messages(self, project: str, target: str, source: str) -> list[tuple[str, str]]:
        """Return those commits with their messages; all of `source` where `target` is ''."""
        span = f"{target}..{source}" if target else source
        told = self.git(project, "log", "--format=%H%n%B%x00", span)
        found = [item.strip().partition("\n") for item in told.split("\0")]
        return [(sha, message) for sha, _, message in found if sha]

    def commit(self, project: str, sha: str) -> tuple[str, str, str, str] | None:
        """Return a commit's author, e-mail address, date and message; `None` where it is not."""
        import git

        try:
            told = self.git(project, "show", "-s", "--format=%an%x00%ae%x00%aI%x00%B", sha)
        except git.GitCommandError:
            return None
        author, email, when, message = told.split("\0")
        return author, email, when, message

    def merge(self, project: str, target: str, source: str, message: str) -> str:
        """Merge one commit into a branch; return the merge commit, or '' where they conflict."""
        import git

        head = self.head(project, target)
        try:
            tree = self.git(project, "merge-tree", "--write-tree", head, source)
        except git.GitCommandError:
            return ""
        parents = ("-p", head, "-p", source)
        commit = self.git(project, "commit-tree", tree, *parents, "-m", message)
        self.git(project, "update-ref", f"refs/heads/{target}", commit, head)
        return commit

    def delete(self, project: str, branch: str) -> None:
        """Delete a branch."""
        self.git(project, "update-ref", "-d", f"refs/heads/{branch}")

    def git(self, project: str, *arguments: str) -> str:
        """Run git in a project's repo and return what it prints."""
        import git

        command = git.Git(self.folder(project))
        return str(command.execute(["git", *arguments], env=_NOBODY))

    async def serve(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of git's smart HTTP protocol."""
        from starlette.requests import Request
        from starlette.responses import Response

        request = Request(scope, receive)
        match = _PATH.fullmatch(unquote(path))
        project = match["project"] if match else ""
        password = _password(request.headers.get("authorization", ""))
        if password not in {TOKENS["gitlab"], JOB_TOKEN}:
            challenge = {"www-authenticate": 'Basic realm="GitLab"'}
            response = Response("HTTP Basic: Access denied", 401, challenge)
        elif match is None or project not in self._projects:
            response = Response("The project you were looking for could not be found.", 404)
        elif password == JOB_TOKEN and "git-receive-pack" in f"{path}?{request.url.query}":
            response = Response("You are not allowed to push code to this project.", 403)
        else:
            response = await self._backend(project, match["rest"], request)
        await response(scope, receive, send)

    async def _backend(self, project: str, path: str, request: Request) -> Response:
        """Let git answer: http-backend is a CGI program."""
        self.folder(project)
        pushing = path == "/git-receive-pack"
        before = self.head(project, DEFAULT_BRANCH) if pushing else ""
        body = await request.body()
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{project}.git{path}",
            "QUERY_STRING": request.url.query,
            "REQUEST_METHOD": request.method,
            "REMOTE_USER": "me",
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        }
        done = await asyncio.to_thread(
            subprocess.run,
            ["git", "http-backend"],
            env=environment,
            input=body,
            stdout=subprocess.PIPE,
            check=True,
        )
        after = self.head(project, DEFAULT_BRANCH) if pushing else ""
        if self.pushed and after != before:
            self.pushed(project, before, after)
        return _response(done.stdout)


def _password(authorization: str) -> str:
    """Return the password of a Basic authorization, or ''; GitLab accepts any user name."""
    kind, _, coded = authorization.partition(" ")
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(coded).decode().partition(":")[2]
    except ValueError:
        return ""


def _response(out: bytes) -> Response:
    """Return what a CGI program printed as a response."""
    from starlette.responses import Response

    head, _, body = out.partition(b"\r\n\r\n")
    pairs = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs if value}
    status = int(headers.pop("status", "200").split()[0])
    return Response(body, status, headers)

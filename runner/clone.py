"""The clone that a reconciler works in: follows one branch of its remote, and loses no local work.

A clone that somebody has worked in, with edits or commits that the remote lacks, is left as it is.
History that was rewritten on the remote is followed, since what was pulled before is known.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runner.branch import Remote, git_environment
from runner.repo import project_on
from schemas.errors import GitError

if TYPE_CHECKING:
    from git import Repo

    from runner.config import Config

PULLED = "refs/trueup/pulled"
"""The commit that was pulled last; what is not below it is somebody's local work."""

LONGEST = 120
"""Seconds that talking to a remote may take."""

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def clone(config: Config, url: str, branch: str) -> None:
    """Clone a repo into the root of the spec repo, unless there is one already.

    Args:
        config: the root to clone into.
        url: the remote.
        branch: the branch to follow; the remote's default where empty.

    Raises:
        GitError: the folder holds something else, or the remote cannot be read.
    """
    import git

    root = config.root
    if (root / ".git").exists():
        return
    if any(root.iterdir()):
        raise GitError(f"{root} is not empty, and no clone", hint="name an empty folder with -C")
    where = ["--branch", branch] if branch else []
    with _explained(f"cannot clone {_CREDENTIALS.sub('', url)}"):
        command = git.Git()
        command.update_environment(**_environment(config, url))
        command.clone(
            "--quiet", "--no-tags", *where, "--", url, str(root), kill_after_timeout=5 * LONGEST
        )


def pull(config: Config, branch: str) -> str:
    """Bring the clone up to its remote's branch.

    Args:
        config: the spec repo, which may be a folder of the clone.
        branch: which one; the one that is checked out where empty.

    Returns:
        The commit that is checked out now, or '' where there is no remote to pull from.

    Raises:
        GitError: there is local work in it, or the remote cannot be read. Nothing was changed.
    """
    with _opened(config) as repo:
        if repo is None:
            return ""
        _refuse_edits(repo, config.specs)
        target = _fetch(repo, config, branch)
        head = repo.head.commit.hexsha
        with _explained("cannot follow the remote"):
            if head == target:
                pass
            elif repo.is_ancestor(repo.commit(head), repo.commit(target)):
                repo.git.merge("--quiet", "--ff-only", target)
            elif _pulled(repo, head):
                repo.git.reset("--quiet", "--keep", target)
            else:
                raise GitError(
                    f"the clone has commits that its remote lacks, up to {head[:12]}",
                    hint="push them, or give trueup a clone of its own with --repo",
                )
            repo.git.update_ref(PULLED, target)
        return target


def is_newest(config: Config, branch: str) -> bool:
    """Return whether the remote's branch still is what is checked out.

    Raises:
        GitError: the remote cannot be read.
    """
    with _opened(config) as repo:
        return repo is None or _fetch(repo, config, branch) == repo.head.commit.hexsha


@contextlib.contextmanager
def _opened(config: Config) -> Generator[Repo | None]:
    """Open the clone; `None` where there is no repo, or it has no remote."""
    import git

    try:
        repo = git.Repo(config.root, search_parent_directories=True)
    except git.InvalidGitRepositoryError:
        yield None
        return
    try:
        urls = [remote.url for remote in repo.remotes if remote.name == "origin"]
        if urls:
            repo.git.update_environment(**_environment(config, urls[0]))
        yield repo if urls else None
    finally:
        repo.close()


def _fetch(repo: Repo, config: Config, branch: str) -> str:
    """Fetch the branch and return its commit."""
    if not branch and repo.head.is_detached:
        raise GitError("the clone is on no branch", hint="name the one to follow with --branch")
    branch = branch or repo.active_branch.name
    if repo.head.is_detached or repo.active_branch.name != branch:
        raise GitError(
            f"the clone is not on {branch}", hint=f"git -C {config.root} switch {branch}"
        )
    there = f"refs/remotes/origin/{branch}"
    with _explained(f"cannot fetch {branch}"):
        wanted = f"+refs/heads/{branch}:{there}"
        repo.git.fetch("--quiet", "--no-tags", "origin", wanted, kill_after_timeout=LONGEST)
        return str(repo.git.rev_parse(there))


def _refuse_edits(repo: Repo, specs: Path) -> None:
    """Raise where somebody has edited files, or put new ones among the specs."""
    edited = str(repo.git.status("--porcelain", "--untracked-files=no")).splitlines()
    added = str(repo.git.status("--porcelain", "--", str(specs))).splitlines()
    if names := [line[3:] for line in [*edited, *added]]:
        raise GitError(
            f"the clone has edits that are not committed: {names[0]}",
            hint="commit and push them, or give trueup a clone of its own with --repo",
        )


def _pulled(repo: Repo, head: str) -> bool:
    """Return whether all that is checked out was pulled, so that nothing is lost without it."""
    known = str(repo.git.for_each_ref("--format=%(objectname)", PULLED))
    return bool(known) and (
        known == head or repo.is_ancestor(repo.commit(head), repo.commit(known))
    )


def _environment(config: Config, url: str) -> dict[str, str]:
    """Return the variables for git: the token goes to the GitLab that it is for, nowhere else."""
    server = (config.variable("TRUEUP_GITLAB_URL") or "https://gitlab.com").rstrip("/")
    token = config.secret("GITLAB_TOKEN")
    same = urlsplit(url).scheme == urlsplit(server).scheme and project_on(url, server)
    if token and same:
        return git_environment(Remote(url, password=token))
    return {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}


@contextlib.contextmanager
def _explained(what: str) -> Generator[None]:
    """Turn what git says into a `GitError` without credentials."""
    import git

    try:
        yield
    except git.GitCommandError as error:
        said = (
            _CREDENTIALS.sub("", str(error.stderr)).strip().removeprefix("stderr: ").strip("'\n ")
        )
        raise GitError(f"{what}: {said.splitlines()[-1] if said else 'git failed'}") from error

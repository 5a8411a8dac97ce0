"""What git knows of the spec repo: commit, branch, cleanliness, identity.

A repo may be missing, empty, shallow, detached or in a parent folder; each is told apart, and
none is an error by itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from schemas.errors import GitError

if TYPE_CHECKING:
    from git import Repo


@dataclass(frozen=True)
class Checkout:
    """The state of a work tree.

    Attributes:
        root: the spec repo.
        commit: the commit checked out, or '' outside a repo or before the first commit.
        dirty: whether the specs differ from that commit.
        branch: the branch, or '' on a detached head.
    """

    root: Path
    commit: str = ""
    dirty: bool = False
    branch: str = ""

    @property
    def label(self) -> str:
        """The commit as plans name it: with a mark when the specs were edited since."""
        return f"{self.commit}+edited" if self.commit and self.dirty else self.commit

    @cached_property
    def author(self) -> str:
        """Who git would name as the author, or ''."""
        with _open(self.root) as repo:
            return _author(repo) if repo is not None else ""

    @cached_property
    def identities(self) -> tuple[str, ...]:
        """What tells this spec repo from others; any one in common means the same repo."""
        with _open(self.root) as repo:
            if repo is None:
                return (f"path:{self.root}",)
            return _identities(repo, self.root, self.commit)


def read_checkout(root: Path, specs: Path) -> Checkout:
    """Return what git knows of the work tree at `root`.

    Every plan needs it, and one call of git takes a fraction of the time of importing GitPython.

    Raises:
        GitError: git does not want to read the repo.
    """
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return Checkout(root)
    asked = ("status", "--porcelain=v2", "--branch", "--", str(specs))
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and what is asked is ours
            ("git", "-C", str(root), *asked),  # noqa: S607
            capture_output=True,
            check=False,
            env={**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
        )
    except OSError:
        return Checkout(root)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        if "not a git repository" in said:
            return Checkout(root)
        trust = f"git config --global --add safe.directory {root}"
        raise GitError(
            f"git cannot read {root}: {said.splitlines()[0] if said else 'it gives no reason'}",
            hint=f"if you trust it: {trust}" if "safe.directory" in said else "",
        )
    lines = done.stdout.decode(errors="replace").splitlines()
    facts = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    commit, branch = facts["branch.oid"], facts["branch.head"]
    return Checkout(
        root,
        commit="" if commit == "(initial)" else commit,
        dirty=commit == "(initial)" or any(not line.startswith("# ") for line in lines),
        branch="" if branch == "(detached)" else branch,
    )


@dataclass(frozen=True, slots=True)
class Home:
    """Where the repo comes from, for those who send something back there.

    Attributes:
        project: the path that the remote `origin` has on the forge, or '' where it is elsewhere.
        folder: the folder of the spec repo in the git repo that it is a part of.
        author: who git would name as the author, `Name <e-mail>`, or ''.
    """

    project: str = ""
    folder: str = ""
    author: str = ""


def read_home(root: Path, server: str) -> Home:
    """Return where the repo at `root` comes from, as far as that is on `server`.

    Args:
        root: the spec repo.
        server: the address of the forge.
    """
    with _open(root) as repo:
        if repo is None:
            return Home()
        urls = [remote.url for remote in repo.remotes if remote.name == "origin"]
        with repo.config_reader() as config:
            name = str(config.get_value("user", "name", ""))
            email = str(config.get_value("user", "email", ""))
        return Home(
            project=next((project_on(url, server) for url in urls), ""),
            folder=_within(repo, root).as_posix(),
            author=f"{name} <{email}>" if name and email else "",
        )


MOST_COMMITS = 20


def commits_since(root: Path, last: str, commit: str) -> list[str]:
    """Return the commits of a branch after `last` up to `commit`, the newest first.

    Only those on the branch itself count, not those that merges brought in; at most twenty. Where
    `last` is not known (a shallow clone, a rewritten branch), it is `commit` alone.
    """
    import git

    with _open(root) as repo:
        if repo is None or not last:
            return [commit]
        try:
            repo.git.merge_base("--is-ancestor", last, commit)
            found = repo.git.rev_list("--first-parent", f"-{MOST_COMMITS}", commit, f"^{last}")
        except git.GitCommandError:
            return [commit]
        return found.split() or [commit]


def project_on(url: str, server: str) -> str:
    """Return the path of the project that a git remote names on a server, or ''."""
    parts = urlsplit(server)
    host = (parts.hostname or "") + parts.path.rstrip("/")
    found = normal_url(url)
    return found.removeprefix(f"{host}/") if found.startswith(f"{host}/") else ""


@contextlib.contextmanager
def _open(root: Path) -> Generator[Repo | None]:
    import git

    try:
        repo = git.Repo(root, search_parent_directories=True)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        yield None
        return
    try:
        yield repo
    finally:
        repo.close()


def _author(repo: Repo) -> str:
    with repo.config_reader() as config:
        return str(config.get_value("user", "email", ""))


def _within(repo: Repo, root: Path) -> Path:
    return root.relative_to(Path(repo.working_dir).resolve()) if repo.working_dir else Path()


def _identities(repo: Repo, root: Path, commit: str) -> tuple[str, ...]:
    """Name the repo by its remote, by its first commit, and as a last resort by its folder."""
    found: list[str] = []
    within = _within(repo, root)
    suffix = "" if within == Path() else f"#{within.as_posix()}"
    found.extend(f"remote:{normal_url(r.url)}{suffix}" for r in repo.remotes if r.name == "origin")
    if commit and not Path(repo.git_dir, "shallow").exists():
        roots = repo.git.rev_list("--max-parents=0", "HEAD").split()
        found.extend(f"root:{sha}{suffix}" for sha in roots)
    return tuple(found) or (f"path:{root}",)


def normal_url(url: str) -> str:
    """Return `host/path` of a git remote, the same for ssh and https, without credentials."""
    match = re.match(r"^(?:\w+://)?(?:[^@/]+@)?([^:/]+)(?::\d+/|[:/])(.+?)(?:\.git)?/?$", url)
    if not match:
        return url.rstrip("/").removesuffix(".git")
    return f"{match[1].lower()}/{match[2]}"

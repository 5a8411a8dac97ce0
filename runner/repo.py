"""What git knows of the spec repo: commit, branch, cleanliness, identity.

A repo may be missing, empty, shallow, detached or in a parent folder; each is told apart, and
none is an error by itself.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from git import Repo


@dataclass(frozen=True, slots=True)
class Checkout:
    """The state of a work tree.

    Attributes:
        commit: the commit checked out, or '' outside a repo or before the first commit.
        dirty: whether the specs differ from that commit.
        branch: the branch, or '' on a detached head.
        author: who git would name as the author, or ''.
        identities: what tells this spec repo from others; any one in common means the same repo.
    """

    commit: str = ""
    dirty: bool = False
    branch: str = ""
    author: str = ""
    identities: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The commit as plans name it: with a mark when the specs were edited since."""
        return f"{self.commit}+edited" if self.commit and self.dirty else self.commit


def read_checkout(root: Path, specs: Path) -> Checkout:
    """Return what git knows of the work tree at `root`."""
    with _open(root) as repo:
        if repo is None:
            return Checkout(identities=(f"path:{root}",))
        commit = repo.head.commit.hexsha if repo.head.is_valid() else ""
        return Checkout(
            commit=commit,
            dirty=_dirty(repo, specs),
            branch="" if repo.head.is_detached else repo.active_branch.name,
            author=_author(repo),
            identities=_identities(repo, root, commit),
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


def _dirty(repo: Repo, specs: Path) -> bool:
    if not repo.head.is_valid():
        return True
    return bool(repo.git.status("--porcelain", "--", str(specs)))


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

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


def _identities(repo: Repo, root: Path, commit: str) -> tuple[str, ...]:
    """Name the repo by its remote, by its first commit, and as a last resort by its folder."""
    found: list[str] = []
    within = root.relative_to(Path(repo.working_dir).resolve()) if repo.working_dir else Path()
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

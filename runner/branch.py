"""Branches of a remote, read and written without a work tree.

A throw-away bare repo, one commit deep, in a temporary folder: the user's own clone, its index and
its work tree are not so much as looked at, so it does not matter whether that is dirty, shallow,
detached or not there at all. The token reaches git through the environment only: it is in no URL,
no configuration file, no argument and no error.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from runner.review import inert
from schemas.errors import ConfigError, GitError

if TYPE_CHECKING:
    from git import Repo

_HELPER = '!f() { echo "username=$TRUEUP_GIT_USER"; echo "password=$TRUEUP_GIT_PASSWORD"; }; f'
_AUTHOR = re.compile(r"(?P<name>[^<>\n]+) <(?P<email>[^<>\s]+)>")
_REGULAR = {0o100644, 0o100755}


@dataclass(frozen=True, slots=True)
class Remote:
    """A repo on a server, and the credential for it."""

    url: str
    user: str = "oauth2"
    password: str = field(default="", repr=False)


@contextlib.contextmanager
def branches_of(remote: Remote, author: str = "") -> Generator[Branches]:
    """Open a remote's branches for the length of the block.

    Args:
        remote: where they are.
        author: of the commits to come, `Name <e-mail>`.
    """
    import git

    with tempfile.TemporaryDirectory(prefix="trueup-") as folder:
        repo = git.Repo.init(folder, bare=True)
        try:
            repo.git.update_environment(**git_environment(remote, author))
            yield Branches(repo, remote)
        finally:
            repo.close()


def git_environment(remote: Remote, author: str = "") -> dict[str, str]:
    """Return the variables with which git asks nobody, and gives the remote its credential."""
    who = _AUTHOR.fullmatch(author)
    name, email = (who["name"], who["email"]) if who else ("trueup", "trueup@localhost")
    # The empty helper switches off those of the machine, which would be told to forget what they
    # know if the server refused our token.
    settings = (
        ("credential.helper", ""),
        ("credential.helper", _HELPER),
        ("core.hooksPath", "/dev/null"),
        ("http.lowSpeedLimit", "1"),
        ("http.lowSpeedTime", "60"),
    )
    environment = {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": email,
        "TRUEUP_GIT_USER": remote.user,
        "TRUEUP_GIT_PASSWORD": remote.password,
    }
    given = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    for number, (key, value) in enumerate(settings, given):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {**environment, "GIT_CONFIG_COUNT": str(given + len(settings))}


@dataclass(frozen=True, slots=True)
class Branches:
    """See `branches_of`; commits are named by their hashes."""

    _repo: Repo
    _remote: Remote

    def heads(self, *names: str) -> dict[str, str]:
        """Return the last commits of those of the branches that there are, and fetch them.

        Raises:
            GitError: the remote cannot be read.
        """
        refs = [f"refs/heads/{name}" for name in names]
        listed = self._git("ls-remote", self._remote.url, *refs)
        found = {ref: sha for sha, ref in (line.split("\t") for line in listed.splitlines())}
        heads = {name: found[ref] for name, ref in zip(names, refs, strict=True) if ref in found}
        if heads:
            wanted = [f"+refs/heads/{name}:refs/heads/{name}" for name in heads]
            self._git("fetch", "--quiet", "--depth=1", "--no-tags", self._remote.url, *wanted)
        return heads

    def read(self, commit: str, under: str) -> dict[str, bytes]:
        """Return the regular files of a commit below a folder, by their path in the repo."""
        import git

        tree = self._repo.commit(commit).tree
        try:
            top = tree if under in {"", "."} else tree / under
        except KeyError:
            return {}
        if not isinstance(top, git.Tree):
            return {}
        return {
            str(item.path): item.data_stream.read()
            for item in top.traverse()
            if isinstance(item, git.Blob) and item.mode in _REGULAR
        }

    def message(self, commit: str) -> str:
        """Return the message of a commit."""
        message = self._repo.commit(commit).message
        return message if isinstance(message, str) else message.decode(errors="replace")

    def same(self, one: str, other: str) -> bool:
        """Return whether two commits hold the same files."""
        return self._repo.commit(one).tree == self._repo.commit(other).tree

    def commit(self, parent: str, files: Mapping[str, bytes | None], message: str) -> str:
        """Return a commit that has `files` changed; `parent` itself where nothing differs.

        Args:
            parent: a commit that was fetched.
            files: content by path; `None` removes the file. A file keeps its mode.
            message: subject, body and trailers.

        Raises:
            ConfigError: a path leads out of the repo.
            GitError: git refuses, for example because a folder is in the way.
        """
        lines = [self._entry(parent, path, content) for path, content in sorted(files.items())]
        self._git("read-tree", parent)
        self._git("update-index", "-z", "--index-info", given="".join(lines).encode())
        tree = self._git("write-tree")
        if tree == self._repo.commit(parent).tree.hexsha:
            return parent
        return self._git("commit-tree", tree, "-p", parent, "-m", message.rstrip() + "\n")

    def push(self, branch: str, commit: str, *, over: str) -> None:
        """Make a commit the last one of a branch.

        Args:
            branch: its name.
            commit: the commit.
            over: the commit that the branch is known to be at, '' for a branch that is new.

        Raises:
            GitError: the branch has moved meanwhile, or the remote refuses.
        """
        lease = f"--force-with-lease=refs/heads/{branch}:{over}"
        target = f"{commit}:refs/heads/{branch}"
        self._git("push", "--quiet", "--no-verify", lease, self._remote.url, target)

    def _entry(self, parent: str, path: str, content: bytes | None) -> str:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or {"..", ".git"} & {p.lower() for p in parts}:
            raise ConfigError(f"`{path}` is no path in the repo")
        if content is None:
            return f"0 {'0' * 40}\t{path}\0"
        stored = self._git("hash-object", "-w", "--stdin", given=content)
        try:
            mode = (self._repo.commit(parent).tree / path).mode
        except KeyError:
            mode = 0o100644
        return f"{mode if mode in _REGULAR else 0o100644:o} {stored}\t{path}\0"

    def _git(self, *arguments: str, given: bytes = b"") -> str:
        """Run git, with `given` on its standard input, and return what it prints."""
        import git

        try:
            with tempfile.TemporaryFile() as file:
                file.write(given)
                file.seek(0)
                return self._repo.git.execute(["git", *arguments], istream=file)
        except git.GitCommandError as error:
            raise self._refusal(arguments[0], error.stderr) from None

    def _refusal(self, command: str, stderr: str) -> GitError:
        said = stderr.replace(self._remote.password or "\0", "[redacted]")
        lines = [line.strip() for line in said.splitlines() if line.strip().strip("' ")]
        telling = [line for line in lines if re.search(r"fatal|error|rejected|denied", line)]
        message = " ".join((telling or lines or ["no reason given"])[:2]).removeprefix("stderr: '")
        if "stale info" in said:
            return GitError(
                f"git {command}: somebody else pushed to the branch meanwhile",
                hint="run the same command again",
            )
        if re.search(r"Authentication failed|could not read Username|403|401", said):
            hint = "the token needs the scope write_repository and the role Developer"
            return GitError(f"git {command}: {message[:300]}", hint=hint)
        return GitError(f"git {command}: {message[:300]}")


def commit_message(title: str, body: str, trailers: Mapping[str, str]) -> str:
    """Return a commit message that closes no issue; a trailer's value is kept to one line."""
    parts: Sequence[str] = (
        inert(title),
        "\n".join(inert(line) for line in body.strip().splitlines()),
        "\n".join(f"{name}: {inert(value)}" for name, value in trailers.items()),
    )
    return "\n\n".join(part for part in parts if part) + "\n"

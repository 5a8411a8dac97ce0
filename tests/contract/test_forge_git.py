"""Clones of every kind: shallow, detached, rewritten, with submodules, with CRLF, without git."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from runner.config import read_config
from runner.forge import Proposal, open_forge
from runner.language.load import load
from runner.repo import commits_since, read_checkout, read_home
from runner.sandbox._world import World
from runner.sandbox.server import serving
from runner.workspace import Workspace
from tests.contract.gitlab_repo import Clone
from tests.e2e.pipelines import SPECS
from tests.e2e.shell import Shell

EDIT = Proposal("r1", "Edit", "Edit.", {"specs/new.yaml": b"kind: Project\nkey: new\nname: New\n"})


@pytest.fixture
def clone(tmp_path: Path) -> Generator[Clone]:
    with serving(World(limits=False), platforms=["gitlab"]) as sandbox:
        yield Clone.make(sandbox, tmp_path / "clone", SPECS)


def cloned(clone: Clone, name: str, *options: str) -> Clone:
    """Clone it once more, over HTTP."""
    url = f"{clone.sandbox.url('gitlab')}/jwp763/mobile-app.git"
    folder = clone.folder.parent / name
    clone.shell.git("clone", "--quiet", *options, url, str(folder))
    other = Clone(clone.sandbox, Shell(folder, clone.shell.environment))
    other.shell.git("config", "user.name", "Ana")
    other.shell.git("config", "user.email", "ana@example.com")
    return other


def proposed(clone: Clone) -> str:
    """Propose an edit from a clone; return the names of the files that it changes."""
    with open_forge(clone.config()) as forge:
        branch = forge.propose(EDIT).branch
    return clone.on_server("diff", "--name-only", f"main..{branch}")


def test_a_shallow_clone(clone: Clone) -> None:
    for number in range(3):
        clone.shell.write({"README.md": str(number)})
        clone.shell.commit("Write")
    clone.push("main")
    shallow = cloned(clone, "shallow", "--depth", "1")
    checkout = read_checkout(shallow.folder, shallow.folder / "specs")
    assert checkout.identities == (f"remote:127.0.0.1/gitlab/{'jwp763/mobile-app'}",)
    assert set(checkout.identities) & set(read_checkout(clone.folder, clone.folder).identities)
    first = clone.shell.git("rev-parse", "HEAD~3").strip()
    assert commits_since(shallow.folder, first, checkout.commit) == [checkout.commit]
    assert proposed(shallow) == "specs/new.yaml"
    assert (shallow.folder / ".git" / "shallow").read_text().split() == [checkout.commit]


def test_a_detached_head_as_a_job_has_it(clone: Clone) -> None:
    clone.shell.git("checkout", "--quiet", "--detach")
    checkout = read_checkout(clone.folder, clone.folder / "specs")
    assert (checkout.branch, checkout.dirty, len(checkout.commit)) == ("", False, 40)
    assert proposed(clone) == "specs/new.yaml"


def test_merges_count_once(clone: Clone) -> None:
    start = clone.shell.git("rev-parse", "HEAD").strip()
    for name in ("a", "b"):
        clone.branch(name, {f"{name}.txt": name}, start="main")
        clone.shell.write({f"{name}.txt": name * 2})
        clone.shell.commit("More")
        clone.shell.git("checkout", "--quiet", "main")
        clone.shell.git("merge", "--quiet", "--no-ff", "-m", f"Merge {name}", name)
    head = clone.shell.git("rev-parse", "HEAD").strip()
    merges = clone.shell.git("rev-list", "--merges", "HEAD").split()
    assert commits_since(clone.folder, start, head) == merges
    assert commits_since(clone.folder, head, head) == [head]


def test_a_branch_that_was_rewritten(clone: Clone) -> None:
    clone.shell.write({"README.md": "1"})
    applied = clone.shell.commit("Applied, then gone")
    clone.push("main")
    clone.shell.git("reset", "--quiet", "--hard", "HEAD~1")
    clone.shell.write({"README.md": "2"})
    head = clone.shell.commit("Instead")
    clone.push("main", "--force")
    assert commits_since(clone.folder, applied, head) == [head]
    assert commits_since(clone.folder, "0" * 40, head) == [head]
    assert proposed(clone) == "specs/new.yaml"


def test_renamed_files_change_nothing_but_their_names(clone: Clone) -> None:
    before = Workspace(clone.config()).desired
    clone.shell.git("mv", "specs/app.yaml", "specs/renamed.yaml")
    clone.shell.commit("Rename")
    after = Workspace(clone.config()).desired
    assert {a: r.fingerprint for a, r in before.resources.items()} == {
        a: r.fingerprint for a, r in after.resources.items()
    }


def test_line_ends_are_kept_as_they_are_in_the_repo(clone: Clone) -> None:
    crlf = "kind: Project\r\nkey: crlf\r\nname: Lines\r\n"
    (clone.folder / "specs" / "crlf.yaml").write_bytes(crlf.encode())
    clone.shell.commit("Lines")
    clone.push("main")
    windows = cloned(clone, "windows", "-c", "core.autocrlf=true")
    assert b"\r\n" in (windows.folder / "specs" / "app.yaml").read_bytes()
    assert not read_checkout(windows.folder, windows.folder / "specs").dirty
    assert load(windows.folder).diagnostics == ()

    def named(files: Mapping[str, bytes]) -> Mapping[str, bytes | None]:
        names = ("specs/app.yaml", "specs/crlf.yaml")
        return {n: files[n].replace(b"name: ", b"name: Our ") for n in names}

    with open_forge(windows.config()) as forge:
        branch = forge.propose(EDIT, named).branch
    changed = clone.on_server("diff", "--numstat", f"main..{branch}")
    assert changed.splitlines() == ["1\t1\tspecs/app.yaml", "1\t1\tspecs/crlf.yaml"]


def test_submodules_stay_as_they_are(clone: Clone, tmp_path: Path) -> None:
    inner = Shell(tmp_path / "inner", clone.shell.environment)
    inner.folder.mkdir()
    inner.git("init", "--quiet", "--initial-branch=main")
    inner.git("config", "user.name", "Me")
    inner.git("config", "user.email", "me@example.com")
    inner.write({"specs/inner.yaml": SPECS["specs/common.yaml"]})
    inner.commit("Begin")
    add = ("submodule", "--quiet", "add", str(inner.folder), "specs/shared")
    clone.shell.git("-c", "protocol.file.allow=always", *add)
    clone.shell.commit("Share")
    clone.push("main")
    before = clone.on_server("ls-tree", "main", "specs/shared")
    assert proposed(clone) == "specs/new.yaml"
    assert clone.on_server("ls-tree", "trueup/r1", "specs/shared") == before
    # A spec repo that is a submodule itself is a repo of its own.
    within = clone.folder / "specs" / "shared"
    assert read_checkout(within, within / "specs").commit == inner.git("rev-parse", "HEAD").strip()


def test_a_second_work_tree(clone: Clone) -> None:
    clone.shell.git("worktree", "add", "--quiet", "../second", "-b", "side")
    second = clone.folder.parent / "second"
    assert read_checkout(second, second / "specs").branch == "side"
    assert read_home(second, clone.sandbox.url("gitlab")).project == "jwp763/mobile-app"


def test_a_dirty_tree_is_marked(clone: Clone) -> None:
    clone.shell.write({"README.md": "not a spec"})
    assert not read_checkout(clone.folder, clone.folder / "specs").dirty
    clone.shell.write({"specs/app.yaml": "kind: Project\nkey: app\nname: App\n"})
    checkout = read_checkout(clone.folder, clone.folder / "specs")
    assert checkout.label == f"{checkout.commit}+edited"


def test_no_git_at_all(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.write(SPECS)
    checkout = read_checkout(tmp_path, tmp_path / "specs")
    assert (checkout.commit, checkout.identities) == ("", (f"path:{tmp_path}",))
    assert commits_since(tmp_path, "abc", "def") == ["def"]
    assert len(Workspace(read_config(tmp_path, environ={"A": "b"})).desired.resources) == 4


@pytest.mark.parametrize(
    ("remote", "server", "path"),
    [
        ("https://gitlab.com/a/b.git", "https://gitlab.com", "a/b"),
        ("git@gitlab.com:a/b/c.git", "https://gitlab.com", "a/b/c"),
        ("ssh://git@git.example:2222/a/b.git", "https://git.example", "a/b"),
        ("https://x:secret@git.example/lab/a/b", "https://git.example/lab/", "a/b"),
        ("https://github.com/a/b.git", "https://gitlab.com", ""),
        ("https://gitlab.com.evil.example/a/b", "https://gitlab.com", ""),
        ("/srv/git/b.git", "https://gitlab.com", ""),
    ],
)
def test_a_token_goes_only_to_the_server_that_the_remote_names(
    tmp_path: Path, remote: str, server: str, path: str
) -> None:
    shell = Shell(tmp_path)
    shell.git("init", "--quiet")
    shell.git("remote", "add", "origin", remote)
    assert read_home(tmp_path, server).project == path

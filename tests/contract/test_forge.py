"""Merge requests over a real git server: proposed once, rebased, revised, and never by force."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from runner.branch import Remote, branches_of
from runner.config import read_config
from runner.forge import Forge, Proposal, open_forge
from runner.sandbox._gitlab_api import JOB_TOKEN
from runner.sandbox._gitlab_git import Repositories
from runner.sandbox._world import TOKENS, Fault, World
from runner.sandbox.server import Sandbox, serving
from schemas.errors import ConfigError, GitError, PermanentError
from tests.contract.gitlab_repo import PROJECT, Clone
from tests.contract.vendor_gitlab import violations
from tests.contract.virtual import START, VirtualClock

FILES = {"specs/a.yaml": "kind: People\n", "specs/b.yaml": "b: 1\n", "README.md": "# Us\n"}
EDIT: Mapping[str, bytes | None] = {"specs/a.yaml": b"kind: People\nedited: true\n"}
PROPOSAL = Proposal(
    "20261124-ab12",
    "Plan the app",
    "> plan the app",
    EDIT,
    message="Because it is time.",
    trailers={"Model": "baseline", "Cost": "0.00 USD"},
    labels=("trueup",),
)


@pytest.fixture
def sandbox() -> Generator[Sandbox]:
    with serving(World(limits=False), platforms=["gitlab"]) as running:
        yield running


@pytest.fixture
def clone(sandbox: Sandbox, tmp_path: Path) -> Clone:
    return Clone.make(sandbox, tmp_path / "clone", FILES)


@pytest.fixture
def forge(clone: Clone) -> Generator[Forge]:
    with open_forge(clone.config()) as opened:
        yield opened


def test_a_proposal_becomes_one_commit_and_one_merge_request(clone: Clone, forge: Forge) -> None:
    opened = forge.propose(PROPOSAL)
    assert (opened.created, opened.iid, opened.target) == (True, 1, "main")
    assert opened.branch == "trueup/20261124-ab12"
    (request,) = clone.requests()
    assert (request["title"], request["labels"]) == ("Plan the app", ["trueup"])
    assert clone.on_server("show", f"{opened.branch}:specs/a.yaml") == EDIT_TEXT
    log = clone.on_server("log", "--format=%an <%ae>%n%B", f"main..{opened.branch}")
    assert log.splitlines() == [
        "Me <me@example.com>",
        "Plan the app",
        "",
        "Because it is time.",
        "",
        "Trueup-Request: 20261124-ab12",
        "Model: baseline",
        "Cost: 0.00 USD",
    ]


EDIT_TEXT = "kind: People\nedited: true"


def test_the_same_request_never_opens_a_second_one(clone: Clone, forge: Forge) -> None:
    first = forge.propose(PROPOSAL)
    before = clone.on_server("rev-parse", first.branch)
    again = forge.propose(PROPOSAL)
    assert (again.created, again.changed, again.iid) == (False, False, first.iid)
    assert clone.on_server("rev-parse", first.branch) == before
    assert forge.find_request(PROPOSAL.request_id) == forge.merge_request(1)
    clone.api("PUT", "/merge_requests/1", {"state_event": "close"})
    assert forge.propose(PROPOSAL).state == "closed"
    assert len(clone.requests()) == 1


def test_the_same_request_with_other_files_updates_it(clone: Clone, forge: Forge) -> None:
    forge.propose(PROPOSAL)
    other = Proposal(PROPOSAL.request_id, "Other", "Other.", {"specs/c.yaml": b"c: 1\n"})
    again = forge.propose(other)
    assert (again.created, again.changed, again.title) == (False, True, "Other")
    names = clone.on_server("diff", "--name-only", f"main..{again.branch}")
    assert names == "specs/c.yaml"


def test_the_work_tree_and_the_index_are_not_touched(clone: Clone, forge: Forge) -> None:
    clone.shell.write({"specs/a.yaml": "half written", "specs/new.yaml": "untracked"})
    clone.shell.git("add", "specs/new.yaml")
    before = clone.shell.git("status", "--porcelain=v2", "--branch"), _tree(clone.folder)
    forge.propose(PROPOSAL)
    after = clone.shell.git("status", "--porcelain=v2", "--branch"), _tree(clone.folder)
    assert after == before


def test_it_is_rebased_by_making_the_files_again(clone: Clone, forge: Forge) -> None:
    def append(files: Mapping[str, bytes]) -> Mapping[str, bytes | None]:
        assert "README.md" not in files
        return {"specs/b.yaml": files["specs/b.yaml"] + b"ours: 1\n"}

    forge.propose(PROPOSAL, append)
    clone.shell.write({"specs/b.yaml": "b: 2\n"})
    clone.shell.commit("Somebody was faster")
    clone.push("main")
    again = forge.propose(PROPOSAL, append)
    assert again.changed
    assert clone.on_server("show", f"{again.branch}:specs/b.yaml") == "b: 2\nours: 1"
    assert clone.on_server("rev-list", "--count", f"main..{again.branch}") == "1"
    assert clone.api("PUT", f"/merge_requests/{again.iid}/merge")["state"] == "merged"


def test_what_others_pushed_is_not_written_over(clone: Clone, forge: Forge) -> None:
    opened = forge.propose(PROPOSAL)
    clone.shell.git("fetch", "--quiet", "origin", opened.branch)
    theirs = clone.branch(opened.branch, {"specs/b.yaml": "by hand\n"}, start="FETCH_HEAD")
    again = forge.propose(PROPOSAL, lambda _: {"specs/c.yaml": b"c: 1\n"})
    assert (again.iid, again.changed, again.commit) == (opened.iid, False, theirs)
    assert clone.on_server("rev-parse", opened.branch) == theirs


def test_what_the_target_has_already_is_not_proposed(clone: Clone, forge: Forge) -> None:
    same = Proposal("r1", "T", "D", {"specs/b.yaml": b"b: 1\n"})
    with pytest.raises(GitError, match="nothing to propose"):
        forge.propose(same)
    assert clone.on_server("branch", "--format=%(refname:short)") == "main"
    opened = forge.propose(PROPOSAL)
    assert forge.propose(PROPOSAL, lambda _: {}).changed is False
    assert clone.on_server("rev-list", "--count", f"main..{opened.branch}") == "1"


def test_a_branch_that_is_not_ours_is_left_alone(clone: Clone, forge: Forge) -> None:
    clone.branch("trueup/20261124-ab12", {"specs/b.yaml": "by hand\n"})
    with pytest.raises(GitError, match="not ours"):
        forge.propose(PROPOSAL)


def test_a_revision_is_one_more_commit(clone: Clone, forge: Forge) -> None:
    opened = forge.propose(PROPOSAL)
    revised = forge.revise(
        opened, lambda files: {"specs/a.yaml": files["specs/a.yaml"] + b"more: 1\n"}, "More", {}
    )
    assert revised.changed
    assert clone.on_server("rev-list", "--count", f"main..{opened.branch}") == "2"
    assert forge.propose(PROPOSAL).changed is False
    assert forge.revise(opened, lambda _: {}, "Nothing", {}).changed is False


def test_a_file_keeps_its_mode_and_goes_when_told_to(clone: Clone, forge: Forge) -> None:
    (clone.folder / "specs" / "b.yaml").chmod(0o755)
    clone.shell.commit("Executable")
    clone.push("main")
    files = {"specs/b.yaml": b"b: 2\n", "specs/a.yaml": None}
    opened = forge.propose(Proposal("r1", "T", "D", files))
    listed = clone.on_server("ls-tree", "-r", opened.branch, "specs")
    assert [line.split()[0] for line in listed.splitlines()] == ["100755"]


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", ".git/config", "specs/../../x", ""])
def test_no_path_leads_out_of_the_repo(forge: Forge, path: str) -> None:
    with pytest.raises(ConfigError, match="no path in the repo"):
        forge.propose(Proposal("r1", "T", "D", {path: b"x"}))


@pytest.mark.parametrize("request_id", ["", "a b", "../x", "-x", "a..b", "x" * 101])
def test_an_id_that_is_no_branch_name_is_refused(forge: Forge, request_id: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the id"):
        forge.propose(Proposal(request_id, "T", "D", EDIT))


def test_titles_and_commits_neither_mention_nor_close(clone: Clone, forge: Forge) -> None:
    opened = forge.propose(Proposal("r1", "Closes #4 by @ana", "/merge", EDIT, message="Fixes #5"))
    assert "#4" not in opened.title
    log = clone.on_server("log", "-1", "--format=%B", opened.branch)
    assert "#4" not in log
    assert "#5" not in log
    assert "@ana" not in log


def test_a_lost_answer_makes_no_second_merge_request(
    clone: Clone, forge: Forge, sandbox: Sandbox
) -> None:
    sandbox.world.faults.append(
        Fault("drop-after", platform="gitlab", method="POST", path="/merge_requests")
    )
    assert forge.propose(PROPOSAL).iid == 1
    assert len(clone.requests()) == 1


def test_a_branch_may_take_a_moment_to_be_seen(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = Repositories.head
    asked: list[str] = []

    def late(repositories: Repositories, project: str, branch: str) -> str:
        asked.append(branch)
        return "" if asked.count(branch) < 3 else head(repositories, project, branch)

    monkeypatch.setattr(Repositories, "head", late)
    clock = VirtualClock(monkeypatch)
    with open_forge(clone.config(), clock) as forge:
        assert forge.propose(PROPOSAL).created
    assert clock.now - START == 3.0


def test_two_at_once_open_one(clone: Clone, forge: Forge) -> None:
    opened = forge.propose(PROPOSAL)
    found = forge.find
    calls: list[str] = []

    def late(branch: str) -> object:
        calls.append(branch)
        return None if len(calls) == 1 else found(branch)

    forge.find = late  # pyright: ignore[reportAttributeAccessIssue]
    assert forge.propose(PROPOSAL).iid == opened.iid
    assert len(clone.requests()) == 1


def test_a_note_is_said_once(forge: Forge, clone: Clone) -> None:
    forge.propose(PROPOSAL)
    marker = "<!-- trueup:plan -->"
    assert forge.upsert_note(1, marker, "One", create=False) == "unchanged"
    assert forge.upsert_note(1, marker, "One") == "created"
    assert forge.upsert_note(1, marker, "One\n") == "unchanged"
    assert forge.upsert_note(1, marker, "Two") == "updated"
    clone.standin.merge_requests.comment(PROJECT, 1, f"{marker}\nA forgery", user=1)
    assert clone.requests()[0]["notes"] == [f"{marker}\nTwo", f"{marker}\nA forgery"]


def test_labels_come_and_go_and_others_stay(forge: Forge, clone: Clone) -> None:
    forge.propose(PROPOSAL)
    clone.api("PUT", "/merge_requests/1", {"add_labels": ["by hand"]})
    forge.label(1, add=["trueup::prunes"], remove=["trueup"])
    assert clone.requests()[0]["labels"] == ["by hand", "trueup::prunes"]


def test_threads_are_read_and_answered(forge: Forge, clone: Clone) -> None:
    forge.propose(PROPOSAL)
    position = {"new_path": "specs/a.yaml", "new_line": 2, "position_type": "text"}
    body = {"body": "Why?", "position": position}
    thread = clone.api("POST", "/merge_requests/1/discussions", body)
    forge.reply(1, thread["id"], "Because.")
    (found,) = forge.discussions(1)
    assert [(n.body, n.file, n.line) for n in found.notes] == [
        ("Why?", "specs/a.yaml", 2),
        ("Because.", "", 0),
    ]
    assert not found.resolved
    clone.api("PUT", f"/merge_requests/1/discussions/{thread['id']}", {"resolved": True})
    assert forge.discussions(1)[0].resolved


def test_the_merge_request_of_a_commit_is_found(forge: Forge, clone: Clone) -> None:
    opened = forge.propose(PROPOSAL)
    assert forge.merged_by(opened.commit) is None
    merged = clone.api("PUT", "/merge_requests/1/merge")
    for commit in (merged["merge_commit_sha"], merged["sha"]):
        found = forge.merged_by(commit)
        assert found is not None
        assert found.iid == 1
    assert forge.merged_by(clone.on_server("rev-parse", "main~1")) is None


def test_a_job_token_reads_and_does_not_write(clone: Clone, forge: Forge) -> None:
    forge.propose(PROPOSAL)
    config = clone.config(GITLAB_TOKEN="", CI_JOB_TOKEN=JOB_TOKEN)
    with open_forge(config) as reader:
        assert not reader.may_write
        assert reader.merge_request(1).title == "Plan the app"
        assert reader.notes(1) == []
        with pytest.raises(ConfigError, match="job token"):
            reader.upsert_note(1, "<!-- x -->", "x")
        with pytest.raises(ConfigError, match="job token"):
            reader.propose(PROPOSAL)


def test_the_token_is_in_no_error_and_no_file(clone: Clone, tmp_path: Path) -> None:
    config = clone.config(GITLAB_TOKEN="glpat-wrong")
    with open_forge(config) as forge, pytest.raises(PermanentError) as refused:
        forge.propose(PROPOSAL)
    assert "glpat" not in str(refused.value)
    remote = Remote(f"{clone.sandbox.url('gitlab')}/{PROJECT}.git", password="glpat-wrong")
    with branches_of(remote) as branches, pytest.raises(GitError) as denied:
        branches.heads("main")
    assert "glpat" not in f"{denied.value} {denied.value.hint} {remote}"
    assert "Authentication failed" in str(denied.value)
    grep = subprocess.run(
        ["grep", "-r", TOKENS["gitlab"], str(tmp_path)], capture_output=True, check=False
    )
    assert grep.stdout == b""


def test_a_push_that_came_late_is_refused(clone: Clone, forge: Forge) -> None:
    forge.propose(PROPOSAL)
    remote = Remote(f"{clone.sandbox.url('gitlab')}/{PROJECT}.git", password=TOKENS["gitlab"])
    with branches_of(remote) as branches:
        heads = branches.heads("main", "trueup/20261124-ab12")
        commit = branches.commit(heads["main"], {"specs/x.yaml": b"x"}, "X")
        with pytest.raises(GitError, match="meanwhile"):
            branches.push("trueup/20261124-ab12", commit, over=heads["main"])


def test_without_a_clone_it_works_as_well(clone: Clone, tmp_path: Path) -> None:
    bare = tmp_path / "no-git"
    bare.mkdir()
    environment = {**clone.sandbox.environment(), "TRUEUP_FORGE_PROJECT": PROJECT}
    with open_forge(read_config(bare, environ=environment)) as forge:
        assert forge.propose(PROPOSAL).created
    with (
        pytest.raises(ConfigError, match="which GitLab project"),
        open_forge(read_config(bare, environ=clone.sandbox.environment())),
    ):
        pass


def test_a_spec_repo_in_a_folder_of_a_bigger_repo(sandbox: Sandbox, tmp_path: Path) -> None:
    inside = {f"planning/{path}": text for path, text in FILES.items()}
    clone = Clone.make(sandbox, tmp_path / "big", {**inside, "specs/other.yaml": "not ours\n"})
    config = read_config(clone.folder / "planning", environ=sandbox.environment())
    seen: list[str] = []

    def edit(files: Mapping[str, bytes]) -> Mapping[str, bytes | None]:
        seen.extend(files)
        return EDIT

    with open_forge(config) as forge:
        opened = forge.propose(PROPOSAL, edit)
    assert sorted(seen) == ["specs/a.yaml", "specs/b.yaml"]
    names = clone.on_server("diff", "--name-only", f"main..{opened.branch}")
    assert names == "planning/specs/a.yaml"


def test_every_request_is_one_that_gitlab_describes(
    contracts: Path, clone: Clone, forge: Forge
) -> None:
    opened = forge.propose(PROPOSAL)
    forge.propose(Proposal(PROPOSAL.request_id, "Other", "Other.", {"specs/c.yaml": b"c: 1\n"}))
    forge.upsert_note(1, "<!-- x -->", "One")
    forge.upsert_note(1, "<!-- x -->", "Two")
    forge.label(1, add=["a"], remove=["trueup"])
    thread = clone.api("POST", "/merge_requests/1/discussions", {"body": "Why?"})
    forge.reply(1, thread["id"], "Because.")
    forge.discussions(1)
    clone.api("PUT", "/merge_requests/1/merge", {"squash": False})
    forge.merged_by(opened.commit)
    traffic = clone.sandbox.world.traffic
    assert len(traffic) > 15
    assert {problem for exchange in traffic for problem in violations(exchange)} == set()


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "index"
    }

"""Merge requests and closing commits belong to GitLab: they are shown, and close tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconcilers._contract import Code, Commit, MergeRequest
from runner.sandbox._gitlab_objects import HOST
from runner.sandbox._world import Fault, World
from runner.sandbox.server import serving
from runner.show import read_resource, resource_text, with_code
from runner.status import to_json
from tests.contract.gitlab_repo import PROJECT, Clone
from tests.contract.sandboxed import SpecRepo
from tests.contract.vendors import objections

TASKS = ("stack", "login", "docs", "quiet")


@dataclass
class Desk:
    """Four tasks as issues of a GitLab project that has code as well."""

    repo: SpecRepo
    clone: Clone

    def code(self, key: str) -> Code:
        view = with_code(self.repo.workspace(), read_resource(self.repo.workspace(), f"app/{key}"))
        assert view.code is not None
        assert (view.code.owner, view.code.why, view.code.error) == (
            *("gitlab", "GitLab decides it", ""),
        )
        return Code(view.code.merge_requests, view.code.closing_commits)

    def number(self, key: str) -> str:
        """Return the issue's name in GitLab's own words."""
        (binding,) = self.repo.workspace().reader().bindings([f"app/{key}"], "gitlab")
        return "#" + binding.remote_id.partition("#")[2]

    def propose(self, branch: str, title: str, says: str, target: str = "main") -> None:
        self.clone.branch(branch, {branch: "x\n"})
        wish = {"source_branch": branch, "target_branch": target, "title": title}
        self.clone.api("POST", "/merge_requests", {**wish, "description": says})

    def statuses(self) -> dict[str, object]:
        """Return the status of each task in the state, after another apply."""
        assert self.repo.apply(refresh=True).complete
        reader = self.repo.workspace().reader()
        rows = reader.resources([f"app/{key}" for key in TASKS])
        return {row.address.removeprefix("app/"): row.live.get("status") for row in rows}


@pytest.fixture(name="desk")
def a_desk(tmp_path: Path, contracts: Path) -> Iterator[Desk]:
    with serving(World(limits=False)) as sandbox:
        tasks = {key: {"title": key.title()} for key in TASKS}
        project = {"key": "app", "name": "App", "tasks": tasks}
        repo = SpecRepo(tmp_path / "specs", sandbox, ("linear", "gitlab"), project=project)
        repo.root.mkdir()
        repo.apply()
        yield Desk(repo, Clone.make(sandbox, tmp_path / "clone", {"readme": "x\n"}))
        asked = [exchange for exchange in sandbox.world.traffic if exchange.platform == "gitlab"]
        assert [o for exchange in asked for o in objections(exchange)] == []


def url(number: int) -> str:
    return f"{HOST}/{PROJECT}/-/merge_requests/{number}"


def test_merge_requests_are_shown_and_a_merge_is_done_everywhere(desk: Desk) -> None:
    issue = desk.number("stack")
    assert desk.code("stack") == Code()
    desk.clone.push("next")
    desk.propose("pick", "Pick it", f"Closes {issue}")
    desk.propose("think", "Think about it", f"See {issue}, and {PROJECT}{desk.number('docs')}")
    desk.propose("later", "Not yet", f"Fixes: {issue}", target="next")
    pick = MergeRequest("!1", "Pick it", "opened", url(1), "closes")
    think = MergeRequest("!2", "Think about it", "opened", url(2))
    later = MergeRequest("!3", "Not yet", "opened", url(3))
    assert desk.code("stack") == Code((pick, think, later))
    assert desk.code("docs") == Code((think,))

    # Only what reaches the default branch closes issues.
    desk.clone.api("PUT", "/merge_requests/3/merge", {})
    assert desk.statuses()["stack"] != "done"
    desk.clone.api("PUT", "/merge_requests/1/merge", {})
    merged = (replace(pick, state="merged", tie="closed"), think, replace(later, state="merged"))
    assert desk.code("stack") == Code(merged)
    assert desk.statuses()["stack"] == "done"
    (there,) = desk.repo.workspace().reader().bindings(["app/stack"], "linear")
    assert there.base["status"] == "done"


def test_commits_that_closed_issues_are_shown(desk: Desk) -> None:
    desk.clone.shell.write({"readme": "y\n"})
    message = f"Write it down\n\nResolves issues {desk.number('login')} and {desk.number('docs')}."
    sha = desk.clone.shell.commit(message)
    desk.clone.push("side")
    assert desk.code("login") == Code()
    desk.clone.push("main")
    commit = Commit(sha, "Write it down", f"{HOST}/{PROJECT}/-/commit/{sha}")
    assert desk.code("login") == desk.code("docs") == Code((), (commit,))
    statuses = desk.statuses()
    assert {key for key, status in statuses.items() if status == "done"} == {"login", "docs"}

    # Reopened, and closed by hand: what once closed it did not do so this time.
    path = f"/issues/{desk.number('login')[1:]}"
    for event in ("reopen", "close"):
        desk.clone.api("PUT", path, {"state_event": event})
        assert desk.code("login") == Code()
    # A commit that the token may not see keeps its name only.
    (issue,) = [
        i for i in desk.clone.standin.there.projects[101].issues.values() if i.title == "Docs"
    ]
    issue.turns[-1]["source_commit"] = "f" * 40
    assert desk.code("docs") == Code((), (Commit("f" * 40),))


def test_what_show_says_of_them(desk: Desk) -> None:
    desk.propose("pick", "Pick it", f"Closes {desk.number('stack')}")
    place = desk.repo.workspace()
    plain = read_resource(place, "app/stack")
    before = desk.repo.requests()
    view = with_code(place, plain)
    assert desk.repo.requests() - before == {"gitlab": 3}
    text = resource_text(view)
    assert (
        "merge_requests:\n    gitlab: GitLab decides it\n    !1 opened  closes it: Pick it" in text
    )
    assert "closing_commits: none\n    gitlab: GitLab decides it" in text
    code = json.loads(to_json(view))["code"]
    assert code["merge_requests"][0] == {
        **{"name": "!1", "title": "Pick it", "state": "opened", "url": url(1), "tie": "closes"}
    }
    # Projects and what is on no GitLab have none.
    assert with_code(place, read_resource(place, "app")).code is None
    assert "merge_requests" not in resource_text(plain)

    # That GitLab cannot be asked is said, and hides nothing else.
    desk.repo.sandbox.world.faults.append(
        Fault("error-before", "gitlab", path="closed_by", times=99)
    )
    failed = resource_text(with_code(place, plain))
    assert "not asked: " in failed
    assert "500" in failed
    desk.repo.sandbox.world.faults.clear()
    desk.repo.environment["GITLAB_TOKEN"] = ""
    lost = resource_text(with_code(desk.repo.workspace(), plain))
    assert "merge_requests: not known" in lost
    assert "GITLAB_TOKEN" in lost

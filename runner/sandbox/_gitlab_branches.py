"""Branches and commits of the GitLab stand-in, as its API shows them."""

from __future__ import annotations

from typing import Any

from runner.sandbox._gitlab_api import PAGING, PROJECT, Routes, not_found, page_of, parameters
from runner.sandbox._gitlab_git import Repositories
from runner.sandbox._gitlab_objects import DEFAULT_BRANCH, HOST, Objects, Project
from runner.sandbox._platform import Call, Reply


class Branches:
    """The endpoints below `/projects/:id/repository`."""

    def __init__(self, there: Objects, repositories: Repositories) -> None:
        self._there = there
        self._git = repositories

    def routes(self) -> Routes:
        """Return method, path and handler of every endpoint."""
        below = PROJECT + r"/repository"
        return (
            ("GET", below + r"/branches", self.list_branches),
            ("GET", below + r"/branches/([^/]+)", self.get_branch),
            ("GET", below + r"/commits/([0-9a-f]{40})", self.get_commit),
        )

    def list_branches(self, call: Call, project: str) -> Reply:
        """`GET /projects/:id/repository/branches`."""
        asked = parameters(call, {**PAGING, "search": "text"})
        home = self._there.project(project)
        found = [
            _branch_shown(home, name, sha)
            for name, sha in self._git.branches(home.path).items()
            if (asked.get("search") or "") in name
        ]
        return page_of(call, found, asked)

    def get_branch(self, _call: Call, project: str, name: str) -> Reply:
        """`GET /projects/:id/repository/branches/:branch`."""
        home = self._there.project(project)
        sha = self._git.head(home.path, name)
        if not sha:
            raise not_found("Branch")
        return Reply(200, _branch_shown(home, name, sha))

    def get_commit(self, _call: Call, project: str, sha: str) -> Reply:
        """`GET /projects/:id/repository/commits/:sha`."""
        home = self._there.project(project)
        told = self._git.commit(home.path, sha)
        if told is None:
            raise not_found("Commit")
        author, email, when, message = told
        return Reply(
            200,
            {
                "id": sha,
                "short_id": sha[:8],
                "title": message.partition("\n")[0],
                "message": message,
                "author_name": author,
                "author_email": email,
                "authored_date": when,
                "created_at": when,
                "web_url": f"{HOST}/{home.path}/-/commit/{sha}",
                "project_id": home.id,
            },
        )


def _branch_shown(home: Project, name: str, sha: str) -> dict[str, Any]:
    return {
        "name": name,
        "merged": False,
        "protected": name == DEFAULT_BRANCH,
        "default": name == DEFAULT_BRANCH,
        "can_push": True,
        "web_url": f"{HOST}/{home.path}/-/tree/{name}",
        "commit": {"id": sha, "short_id": sha[:8]},
    }

"""GitLab's desk."""

from __future__ import annotations

from typing import Any

from runner.sandbox._world import Exchange, Seed
from runner.sandbox.gitlab import GitlabStandIn
from tests.contract.desk import Desk


class GitlabDesk(Desk[GitlabStandIn]):
    """Two GitLab projects, 101 and 102."""

    PLATFORM = "gitlab"
    SEED = Seed(projects=("jwp763/mobile-app", "jwp763/web/app"))
    CONTAINER = "jwp763/mobile-app"

    def observable(self, address: str) -> frozenset[str]:
        names = super().observable(address)
        # The free tier shows no weights.
        return names if self.standin.paid else names - {"estimate"}

    def line(self, exchange: Exchange) -> str:
        """Return `METHOD path`, below the projects."""
        return f"{exchange.method} {exchange.path.removeprefix('/api/v4/projects/')}"

    def issue(self, address: str) -> dict[str, Any]:
        """Return an issue as GitLab's API shows it."""
        project, _, number = self.links.ids[address].partition("#")
        there = self.standin.there
        return there.issue(there.projects[int(project)].issues[int(number)])

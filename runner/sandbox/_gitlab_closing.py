"""How GitLab ties merge requests and commits to issues: by a mention, and by "Closes #12"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runner.sandbox._gitlab_git import Repositories
from runner.sandbox._gitlab_objects import DEFAULT_BRANCH, HOST, Issue, Objects, Project

_REFERENCE = rf"(?:{re.escape(HOST)}/\S+?/-/issues/\d+|(?:[\w.-]+(?:/[\w.-]+)+)?#\d+)"
_PART = re.compile(
    rf"(?:{re.escape(HOST)}/(?P<url>\S+?)/-/issues/|(?P<path>[\w.-]+(?:/[\w.-]+)+)?#)(?P<iid>\d+)"
)
# The default of docs.gitlab.com/administration/issue_closing_pattern (verified 2026-11-24), without
# the names of issues in other trackers.
_CLOSING = re.compile(
    r"\b(?:[Cc]los(?:e[sd]?|ing)|[Ff]ix(?:e[sd]|ing)?|[Rr]esolv(?:e[sd]?|ing)"
    r"|[Ii]mplement(?:s|ed|ing)?)"
    rf":? +(?:(?:issues? +)?{_REFERENCE}(?: *,? +and +| *,? *)?)+"
)


@dataclass(slots=True)
class Closing:
    """Ties issues to what is said of them in merge requests and commits."""

    there: Objects
    repositories: Repositories

    def tie(self, home: Project, request: int, text: str, target: str) -> None:
        """Have issues know a merge request that says `text`; later words replace earlier ones.

        What was mentioned once stays so, since the note of it stays.
        """
        for issue in self._named(home, text):
            issue.mentioned_by.add(request)
        for project in self.there.projects.values():
            for issue in project.issues.values():
                issue.closed_by.discard(request)
        # Only what reaches the default branch closes anything.
        for issue in self._closed(home, text) if target == DEFAULT_BRANCH else ():
            issue.closed_by.add(request)

    def merged(self, request: int) -> None:
        """Close what a merge request that was just merged closes."""
        for project in self.there.projects.values():
            for issue in project.issues.values():
                if request in issue.closed_by:
                    self.there.turn(issue, "closed", request=request)

    def pushed(self, project: str, before: str, after: str) -> None:
        """Close what the commits that came to the default branch say that they close."""
        home = self.there.project(project)
        for sha, message in self.repositories.messages(project, before, after):
            for issue in self._closed(home, message):
                self.there.turn(issue, "closed", commit=sha)

    def _closed(self, home: Project, text: str) -> Iterator[Issue]:
        for match in _CLOSING.finditer(text):
            yield from self._named(home, match[0])

    def _named(self, home: Project, text: str) -> Iterator[Issue]:
        paths = {project.path: project for project in self.there.projects.values()}
        for match in _PART.finditer(text):
            named = match["url"] or match["path"]
            project = paths.get(named) if named else home
            if project and (issue := project.issues.get(int(match["iid"]))):
                yield issue

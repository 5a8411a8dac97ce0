"""What GitLab tells a job about itself: its predefined CI/CD variables as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The pipeline that a command runs in.

    Attributes:
        source: what started it: `merge_request_event`, `push`, `schedule`, `trigger`, ...
        server: the address of the GitLab instance.
        project: the id of the project that it runs in.
        project_path: that project's path.
        commit: the commit that is checked out.
        branch: the branch, or '' in a merge request pipeline.
        default_branch: the project's default branch.
        merge_request: the number of the merge request, or 0.
        home: the id of the project that the merge request belongs to.
        target: the branch that the merge request is for, or ''.
        fork: whether the branch of the merge request lives in another project.
        job: the address of the job's page, or ''.
        author: who started it, `Name <e-mail>`, or ''.
    """

    source: str
    server: str
    project: int
    project_path: str
    commit: str
    branch: str = ""
    default_branch: str = "main"
    merge_request: int = 0
    home: int = 0
    target: str = ""
    fork: bool = False
    job: str = ""
    author: str = ""

    @property
    def on_default_branch(self) -> bool:
        """Whether it runs for the default branch itself."""
        return not self.merge_request and self.branch == self.default_branch


def read_pipeline(variable: Callable[[str], str]) -> Pipeline | None:
    """Return the pipeline that the environment tells of, or `None` outside GitLab CI.

    Args:
        variable: looks an environment variable up; '' where it is not set.

    Raises:
        ConfigError: the variables are there but are not what GitLab sets.
    """
    if variable("GITLAB_CI") != "true":
        return None
    name, email = variable("GITLAB_USER_NAME"), variable("GITLAB_USER_EMAIL")
    project = _number(variable, "CI_PROJECT_ID")
    home = _number(variable, "CI_MERGE_REQUEST_PROJECT_ID")
    source_project = _number(variable, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID")
    return Pipeline(
        source=variable("CI_PIPELINE_SOURCE"),
        server=variable("CI_SERVER_URL").rstrip("/"),
        project=project,
        project_path=variable("CI_PROJECT_PATH"),
        commit=variable("CI_COMMIT_SHA"),
        branch=variable("CI_COMMIT_BRANCH"),
        default_branch=variable("CI_DEFAULT_BRANCH") or "main",
        merge_request=_number(variable, "CI_MERGE_REQUEST_IID"),
        home=home or project,
        target=variable("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
        fork=bool(home and source_project and home != source_project),
        job=variable("CI_JOB_URL"),
        author=f"{name} <{email}>" if name and email else "",
    )


def _number(variable: Callable[[str], str], name: str) -> int:
    text = variable(name)
    if text and not text.isdecimal():
        raise ConfigError(f"{name} is not a number: it is GitLab that sets it, nobody else")
    return int(text or 0)

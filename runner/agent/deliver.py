"""A draft as a merge request; the only part of the agent that meets the forge, after the models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.agent import present
from runner.forge import Proposal, open_forge
from runner.language.edit import apply_operations
from schemas.errors import AgentError, ConfigError

if TYPE_CHECKING:
    from runner.agent.contract import AgentReply, Draft
    from runner.agent.desk import Case
    from runner.agent.material import Material
    from runner.config import Config
    from runner.forge import MergeRequest

LABEL = "trueup"
"""The label of the agent's merge requests."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """An open merge request, with the spec files as it has them."""

    request: MergeRequest
    files: Mapping[str, bytes]


def find_merge_request(config: Config, request_id: str, *, look: bool) -> MergeRequest | None:
    """Return the merge request of an earlier run of the same request, or `None`.

    Args:
        config: for the project and its token.
        request_id: which request.
        look: whether there can be one; if not, nothing is sent.

    Raises:
        ConfigError: there is no token that may push, or no project.
    """
    with open_forge(config) as forge:
        if not forge.may_write:
            raise ConfigError(
                "a job token cannot open merge requests",
                hint="set GITLAB_TOKEN, or draft with --local",
            )
        return forge.find_request(request_id) if look else None


def read_proposal(config: Config, branch: str) -> Proposed | None:
    """Return the open merge request of a branch, and the spec files as it has them, or `None`."""
    with open_forge(config) as forge:
        found = forge.find(branch)
        if found is None or found.state != "opened":
            return None
        (files,) = forge.spec_files(branch)
        return Proposed(found, files)


def add_to_merge_request(
    config: Config, case: Case, reply: AgentReply, proposed: Proposed
) -> MergeRequest:
    """Add a draft to the merge request that its conversation has opened, and say there what it is.

    Raises:
        AgentError: its operations cannot be done there any more.
        GitError: git refused, or somebody pushed to the branch meanwhile.
        PlatformError: GitLab refused, or could not be reached.
    """
    text = present.description(case.request, case.material, reply)
    with open_forge(config) as forge:
        revised = forge.revise(
            proposed.request,
            lambda files: redone(reply.draft, files, case.material),
            reply.draft.title,
            present.trailers(reply),
        )
        marker = f"<!-- trueup:request {case.request.request_id} -->"
        forge.upsert_note(proposed.request.iid, marker, text)
    return revised


def open_merge_request(config: Config, case: Case, reply: AgentReply) -> MergeRequest:
    """Open a merge request for a draft; the same request never opens a second one.

    The operations are done again on the target branch, so that what others merged meanwhile stays.

    Raises:
        AgentError: they cannot be done there any more.
        ConfigError: there is no token that may push.
        GitError: git refused.
        PlatformError: GitLab refused, or could not be reached.
    """
    proposal = Proposal(
        case.request.request_id,
        reply.draft.title,
        present.description(case.request, case.material, reply),
        message=present.commit_body(case.request, reply.draft),
        trailers=present.trailers(reply),
        labels=(LABEL,),
    )
    with open_forge(config) as forge:
        return forge.propose(proposal, lambda files: redone(reply.draft, files, case.material))


def redone(
    draft: Draft, files: Mapping[str, bytes], material: Material
) -> Mapping[str, bytes | None]:
    """Return what a draft makes of other versions of the spec files.

    Raises:
        AgentError: its operations cannot be done there.
    """
    edited = apply_operations(files, draft.operations, material.today, specs=material.specs)
    if edited.refused:
        problems = "; ".join(item.message for item in edited.diagnostics[:3])
        raise AgentError(
            f"the draft does not fit the specs of the branch: {problems}",
            hint="bring this checkout up to date, and draft again",
        )
    return edited.files

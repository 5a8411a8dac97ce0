"""Plans and outcomes brought to the merge requests that they belong to, when GitLab runs us.

On a merge request, `trueup plan` says there what it found. On the default branch, `trueup apply`
finds the merge requests that brought the commits since the last apply, compares what it is about
to do with the plans that were shown on them, and tells each what became of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from runner.follow import follow
from runner.lease import say
from runner.pipeline import Pipeline, read_pipeline
from runner.repo import commits_since
from runner.review import (
    APPLY_MARKER,
    PLAN_MARKER,
    RISKS,
    applied_note,
    digest_of,
    failed_note,
    plan_note,
    reviewed,
    risks,
    stopped_note,
    unreviewed,
)
from schemas.errors import ConfigError, PlatformError, StalePlan, StateError, TrueupError

if TYPE_CHECKING:
    from runner.apply import Applied
    from runner.forge import Forge, MergeRequest
    from runner.state.contract import StateReader
    from runner.workspace import Workspace
    from schemas.domain import Plan

Mode = Literal["auto", "always", "never"]
"""Whether to write to merge requests: where it can be done, or else fail, or not at all."""

Allowed = Literal["less", "same", "any"]
"""What an apply may do, as against the plans reviewed: no more, the same, or anything."""

_UNABLE = (
    "a job token cannot write to merge requests; set GITLAB_TOKEN to a project access token with"
    " the scope api"
)


def readable_state(place: Workspace) -> StateReader:
    """Return the state; in the pipeline of a fork, which has no secrets, it may be an empty one.

    Raises:
        ConfigError: the settings name a backend that is not there, or the credential is missing.
        StateError: it cannot be read.
    """
    from runner.state import no_state

    pipeline = read_pipeline(place.config.variable)
    try:
        state = place.reader()
        if pipeline is not None and pipeline.fork:
            state.identity()
    except (ConfigError, StateError) as error:
        if pipeline is None or not pipeline.fork:
            raise
        say(f"a fork cannot read the state, so everything shows as new: {error.message}")
        return no_state(place.config)
    return state


def expect_state(place: Workspace) -> None:
    """Raise when there is no state in a pipeline of the default branch.

    A cache that was lost must not look like a first apply, which makes everything a second time.

    Raises:
        StateError: there is none.
    """
    pipeline = read_pipeline(place.config.variable)
    if pipeline is None or not pipeline.on_default_branch or place.reader().identity():
        return
    raise StateError(
        "there is no state in this pipeline: it was lost, or this is the first apply",
        hint="for the very first one, run the pipeline with TRUEUP_FIRST=1; else put the state of"
        " the last apply, an artifact of its job, back",
    )


def announce_plan(place: Workspace, plan: Plan, mode: Mode) -> None:
    """Say on the merge request of this pipeline what a plan would do, once, and label the risk.

    Nothing is said where nothing changes, unless something was said before.

    Raises:
        ConfigError: it is to be said in any case, and cannot.
        PlatformError: it is to be said in any case, and GitLab refused.
    """
    pipeline = read_pipeline(place.config.variable)
    if mode == "never" or (mode == "auto" and (pipeline is None or not pipeline.merge_request)):
        return
    if pipeline is None or not pipeline.merge_request:
        raise ConfigError("there is no merge request: this is not a merge request pipeline")
    with _excused(mode), _forge(place, mode) as forge:
        if forge is not None:
            _announce(place, plan, forge, pipeline.merge_request)


def _announce(place: Workspace, plan: Plan, forge: Forge, iid: int) -> None:
    from runner.gantt import timeline

    body = plan_note(plan, timeline(place.loaded, plan, place.config.today))
    outcome = forge.upsert_note(iid, PLAN_MARKER, body, create=bool(plan.changes))
    say(f"note on !{iid}: {outcome}")
    wanted = set(risks(plan))
    present = set(forge.merge_request(iid).labels) & set(RISKS)
    if wanted != present:
        forge.label(iid, add=sorted(wanted - present), remove=sorted(present - wanted))


@dataclass(slots=True)
class Review:
    """What was reviewed of the commits that an apply is for.

    Attributes:
        requests: the merge requests that brought them.
        digests: of the changes that were shown on them, or `None` where none was shown anything.
    """

    pipeline: Pipeline | None = None
    forge: Forge | None = None
    requests: list[MergeRequest] = field(default_factory=list["MergeRequest"])
    digests: frozenset[str] | None = None
    allowed: Allowed = "any"

    def check(self, plan: Plan) -> None:
        """Raise when a plan is not what was reviewed; the merge requests are told, too.

        Raises:
            StalePlan: it would do more, or something else.
        """
        if self.allowed == "any" or not plan.changes:
            return
        if self.digests is None:
            if self.allowed == "same":
                raise StalePlan(
                    "no plan of this commit was reviewed",
                    hint="change the specs by a merge request, or apply with --reviewed any",
                )
            say("no plan of this commit was reviewed; it is applied as it is")
            return
        extra = unreviewed(plan, self.digests)
        gone = len(self.digests - {digest_of(change) for change in plan.changes})
        if not extra and (self.allowed == "less" or not gone):
            return
        self._tell(stopped_note(extra, gone, commit=self._commit, job=self._job))
        what = ", ".join(f"{change.action} {change.id}" for change in extra[:5])
        more = f" and {len(extra) - 5} more" if len(extra) > 5 else ""
        raise StalePlan(
            f"this is not the plan that was reviewed: {what}{more}"
            if extra
            else f"{gone} changes of the plan that was reviewed would not be made",
            hint="look at it with trueup plan; to go on all the same: trueup apply --reviewed any",
        )

    def tell(self, place: Workspace, applied: Applied) -> None:
        """Say on the merge requests what became of a plan, with links; nothing says nothing."""
        if not applied.results or not self.requests:
            return
        addresses = sorted({change.address for change, _ in applied.results})
        bindings = place.reader().bindings(addresses=addresses)
        urls = {f"{item.platform}:{item.address}": item.url for item in bindings}
        self._tell(applied_note(applied, urls, commit=self._commit, job=self._job))

    def tell_failure(self, error: TrueupError) -> None:
        """Say on the merge requests why nothing, or not all, was applied."""
        self._tell(failed_note(str(error), error.hint, commit=self._commit, job=self._job))

    def _tell(self, body: str) -> None:
        if self.forge is None or not self.forge.may_write:
            return
        for request in self.requests:
            outcome = self.forge.upsert_note(request.iid, APPLY_MARKER, body)
            say(f"note on !{request.iid}: {outcome}")

    @property
    def _commit(self) -> str:
        return self.pipeline.commit if self.pipeline else ""

    @property
    def _job(self) -> str:
        return self.pipeline.job if self.pipeline else ""


@contextlib.contextmanager
def reviewing(place: Workspace, mode: Mode, allowed: Allowed) -> Generator[Review]:
    """Find what was reviewed of the commits that this pipeline applies.

    Outside a pipeline of the default branch there is nothing to compare with, and nobody to tell.
    """
    pipeline = read_pipeline(place.config.variable)
    if pipeline is None or not pipeline.on_default_branch:
        yield Review()
        return
    review = Review(pipeline, allowed=allowed)
    with _forge(place, mode) as forge:
        if forge is not None:
            with _excused(mode):
                _look_up(place, review, forge)
        try:
            yield review
        except TrueupError as error:
            if not isinstance(error, StalePlan):
                with _excused("auto"):
                    review.tell_failure(error)
            raise
    if mode != "never":
        follow(place)


def _look_up(place: Workspace, review: Review, forge: Forge) -> None:
    """Fill in the merge requests that brought the commits since the last apply, and their plans."""
    pipeline = review.pipeline
    if pipeline is None:
        return
    last = next((run.commit for run in place.reader().runs(20) if run.status == "done"), "")
    found: dict[int, MergeRequest] = {}
    for commit in commits_since(place.config.root, last, pipeline.commit):
        if request := forge.merged_by(commit):
            found[request.iid] = request
    review.forge = forge
    review.requests = list(found.values())
    digests: set[str] = set()
    shown = False
    for request in review.requests:
        for note in forge.notes(request.iid):
            if note.mine and note.body.startswith(PLAN_MARKER):
                told = reviewed(note.body)
                shown = shown or told is not None
                digests |= told or frozenset()
    review.digests = frozenset(digests) if shown else None


@contextlib.contextmanager
def _forge(place: Workspace, mode: Mode) -> Generator[Forge | None]:
    """Open the forge for writing, or say why not and give `None`."""
    from runner.forge import open_forge

    if mode == "never":
        yield None
        return
    if not place.config.variable("GITLAB_TOKEN"):
        if mode == "always":
            raise ConfigError(_UNABLE)
        say(f"nothing is said on the merge request: {_UNABLE}; see the job's artifacts")
        yield None
        return
    with open_forge(place.config) as forge:
        yield forge


@contextlib.contextmanager
def _excused(mode: Mode) -> Generator[None]:
    """Let a note fail without failing the job, unless it was asked for in any case."""
    try:
        yield
    except PlatformError as error:
        if mode == "always":
            raise
        say(f"warning: nothing is said on the merge request: {error}")

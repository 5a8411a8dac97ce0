"""GitLab as the forge: branches and merge requests of the repo that holds the specs.

    with open_forge(config) as forge:
        opened = forge.propose(Proposal("20261124-ab12", "Plan the app", "...", files))

What a person started is not done twice: a proposal has an id, its branch and its description
carry it, and the same id comes back to the same merge request.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast
from urllib.parse import quote, urlsplit

from runner.branch import Branches, Remote, branches_of, commit_message
from runner.pipeline import Pipeline, read_pipeline
from runner.repo import read_home
from runner.review import inert
from schemas.errors import ConfigError, GitError, OutcomeUnknown, PermanentError

if TYPE_CHECKING:
    import asyncio

    from reconcilers._budget import Clock
    from reconcilers._gitlab_wire import Api
    from runner.config import Config

T = TypeVar("T")

Files = Mapping[str, bytes | None]
"""New content by path below the root of the spec repo; `None` for a file that is to go."""

FilesFor = Callable[[Mapping[str, bytes]], Files]
"""Makes the files of a proposal from the spec files of the branch that it is for.

So that a proposal is rebased by doing its operations again, never by merging text.
"""

PREFIX = "trueup/"
"""What the branches of proposals begin with."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_REQUEST = "Trueup-Request"
_REVISION = "Trueup-Revision"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change to the specs that people are to review.

    Attributes:
        request_id: the same id never opens a second merge request.
        title: of the commit and the merge request, one line.
        description: of the merge request, Markdown; what others wrote in it must be made harmless
            first (`runner.review.plain`).
        files: what changes; may be left out where `propose` is given a `files_for`.
        message: the body of the commit message.
        trailers: of the commit message, besides the id of the request: `Model`, `Cost`, ...
        labels: of the merge request.
        target: the branch to merge into; the default branch where empty.
        branch: the branch to push; made from the id where empty.
    """

    request_id: str
    title: str
    description: str
    files: Files = field(default_factory=dict[str, "bytes | None"])
    message: str = ""
    trailers: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: tuple[str, ...] = ()
    target: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """A merge request as GitLab tells of it.

    Attributes:
        iid: its number in the project, the 12 of `!12`.
        branch: the branch that it brings.
        target: the branch that it is for.
        commit: the last commit of its branch.
        created: whether this very call opened it.
        changed: whether this very call pushed to its branch.
    """

    iid: int
    url: str
    branch: str
    target: str = ""
    title: str = ""
    description: str = ""
    state: Literal["opened", "closed", "locked", "merged"] = "opened"
    labels: tuple[str, ...] = ()
    commit: str = ""
    created: bool = False
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A comment on a merge request.

    Attributes:
        author: a GitLab user name.
        mine: whether the token's own user wrote it.
        system: whether GitLab itself wrote it (`changed the description`).
        file: the file that it is about, or ''.
        line: the line of the file's new version, or 0.
    """

    id: int
    body: str
    author: str
    mine: bool = False
    system: bool = False
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Discussion:
    """A thread of comments; one that nobody answered is a thread of one note."""

    id: str
    notes: tuple[Note, ...]
    resolved: bool = False


class Forge:
    """A project on a GitLab instance; made by `open_forge`.

    Attributes:
        url: the instance, before `/api/v4`.
        project: the project's number or path.
        may_write: whether the token may do more than read; a job token may not.
    """

    def __init__(
        self,
        url: str,
        project: str,
        *,
        token: str = "",
        job_token: str = "",
        author: str = "",
        specs: str = "specs",
        folder: str = "",
        clock: Clock | None = None,
    ) -> None:
        import asyncio

        from reconcilers._budget import Budget, SystemClock
        from reconcilers._gitlab_wire import Api, classify, learn
        from reconcilers._transport import Transport
        from reconcilers.gitlab import PROFILE

        self.url = url
        self.project = project
        self.may_write = bool(token)
        self._token = token
        self._author = author
        self._folder = PurePosixPath(folder)
        self._specs = self._folder / specs
        self._path = f"/projects/{quote(project, safe='')}"
        self._me: int | None = None
        self._runner: asyncio.Runner = asyncio.Runner()
        self._transport = Transport(
            "gitlab",
            f"{url}/api/v4",
            headers={"PRIVATE-TOKEN": token} if token else {"JOB-TOKEN": job_token},
            secrets=(token, job_token),
            budget=Budget(PROFILE.limits, clock or SystemClock()),
            classify=classify,
            learn=learn,
        )
        self._api: Api = Api(self._transport)

    def close(self) -> None:
        """Close the connections."""
        self._run(self._transport.close())
        self._runner.close()

    # Merge requests

    def propose(self, proposal: Proposal, files_for: FilesFor | None = None) -> MergeRequest:
        """Push a branch and open a merge request for it; an earlier one of the same id is updated.

        One that was merged or closed, or whose branch others have pushed to, is left as it is and
        returned: somebody has decided.

        Args:
            proposal: what to propose.
            files_for: makes the files from those of the target branch, in place of
                `proposal.files`; with the same proposal, it also rebases.

        Raises:
            ConfigError: the id is none, or the token cannot write.
            GitError: git refused, or the branch is there already and is not ours.
            PlatformError: GitLab refused, or could not be reached.
        """
        if not _REQUEST_ID.fullmatch(proposal.request_id) or ".." in proposal.request_id:
            raise ConfigError(f"`{proposal.request_id}` cannot be the id of a request")
        branch = proposal.branch or PREFIX + proposal.request_id
        found = self.find(branch)
        if found and found.state != "opened":
            return found
        target = proposal.target or (found.target if found else "") or self.default_branch()
        trailers = {_REQUEST: proposal.request_id, **proposal.trailers}
        message = commit_message(proposal.title, proposal.message, trailers)
        with self._branches() as branches:
            heads = branches.heads(target, branch)
            if target not in heads:
                raise GitError(f"there is no branch {target} in {self.project}")
            before = heads.get(branch, "")
            if before and not _is_proposal(branches.message(before), proposal.request_id):
                if found:
                    return found
                raise GitError(f"there is a branch {branch} already, and it is not ours")
            files = self._files(branches, heads[target], files_for) if files_for else proposal.files
            commit = branches.commit(heads[target], self._placed(files), message)
            if commit == heads[target]:
                if found:
                    return found
                raise GitError(f"there is nothing to propose: {target} has all of it already")
            changed = not before or not branches.same(before, commit)
            if changed:
                branches.push(branch, commit, over=before)
        if found:
            return replace(self._describe(found, proposal), changed=changed)
        return replace(self._open(proposal, branch, target), changed=changed)

    def revise(
        self, request: MergeRequest, files_for: FilesFor, title: str, trailers: Mapping[str, str]
    ) -> MergeRequest:
        """Add a commit to the branch of a merge request, made from the files that it has now.

        Raises:
            GitError: git refused, or somebody pushed to the branch meanwhile.
        """
        self._must_write()
        with self._branches() as branches:
            heads = branches.heads(request.branch)
            if request.branch not in heads:
                raise GitError(f"the branch {request.branch} of !{request.iid} is gone")
            head = heads[request.branch]
            files = self._placed(self._files(branches, head, files_for))
            given = {_REVISION: f"!{request.iid}", **trailers}
            commit = branches.commit(head, files, commit_message(title, "", given))
            if commit != head:
                branches.push(request.branch, commit, over=head)
        return replace(request, commit=commit, changed=commit != head)

    def find(self, branch: str) -> MergeRequest | None:
        """Return the merge request of a branch: the open one, else the last one, or `None`."""
        query = {"source_branch": branch, "state": "all", "order_by": "created_at", "sort": "desc"}
        found = self._run(self._all("/merge_requests", query, _merge_request))
        return next((item for item in found if item.state == "opened"), next(iter(found), None))

    def opened(self) -> list[MergeRequest]:
        """Return the proposals that are open, whoever asked for them."""
        query = {"state": "opened", "scope": "all"}
        found = self._run(self._all("/merge_requests", query, _merge_request))
        return [item for item in found if item.branch.startswith(PREFIX)]

    def find_request(self, request_id: str) -> MergeRequest | None:
        """Return the merge request that was opened for a proposal's id, or `None`."""
        return self.find(PREFIX + request_id)

    def merge_request(self, iid: int) -> MergeRequest:
        """Return a merge request by its number."""
        return self._run(self._api.get(f"{self._path}/merge_requests/{iid}", _merge_request))

    def spec_files(self, *branches: str) -> list[dict[str, bytes]]:
        """Return the spec files of branches, by their path below the root of the spec repo.

        Raises:
            GitError: git refused, or one of the branches is not there.
        """
        with self._branches() as remote:
            heads = remote.heads(*branches)
            if missing := [name for name in branches if name not in heads]:
                raise GitError(f"there is no branch {missing[0]} in {self.project}")
            return [self._read(remote, heads[name]) for name in branches]

    def merged_by(self, commit: str) -> MergeRequest | None:
        """Return the merge request whose merging brought a commit, or `None`."""
        path = f"/repository/commits/{commit}/merge_requests"
        found = self._run(self._all(path, {"state": "merged"}, _merge_request))
        return next(iter(found), None)

    def default_branch(self) -> str:
        """Return the name of the project's default branch."""
        return self._run(self._api.get(self._path, lambda data: _text(data, "default_branch")))

    def label(self, iid: int, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Put labels on a merge request, and take others off."""
        self._must_write()
        body = {"add_labels": list(add), "remove_labels": list(remove)}
        given = {name: labels for name, labels in body.items() if labels}
        if given:
            self._write("PUT", f"{self._path}/merge_requests/{iid}", given, repeatable=True)

    # Notes and discussions

    def notes(self, iid: int) -> list[Note]:
        """Return the comments on a merge request, the oldest first."""
        return self._run(self._notes(f"{self._path}/merge_requests/{iid}"))

    def upsert_note(self, iid: int, marker: str, body: str, *, create: bool = True) -> str:
        """Say something once: the note that begins with `marker` is written, or written anew.

        Args:
            iid: the merge request.
            marker: an HTML comment that tells this note from others; `body` need not have it.
            body: Markdown.
            create: whether to say it where nothing was said so far.

        Returns:
            `created`, `updated`, or `unchanged` where there was nothing to send.
        """
        return self._say_once(f"{self._path}/merge_requests/{iid}", marker, body, create=create)

    def answer(self, place: str, marker: str, body: str) -> str:
        """Say something once in an issue or merge request of any project; see `upsert_note`.

        Args:
            place: its path in the API, `/projects/7/issues/12`.
            marker: tells this note from others.
            body: Markdown.
        """
        return self._say_once(place, marker, body, create=True)

    def discussions(self, iid: int) -> list[Discussion]:
        """Return the threads on a merge request, without what GitLab itself wrote."""
        found = self._run(self._threads(f"/merge_requests/{iid}/discussions"))
        return [thread for thread in found if thread.notes]

    def reply(self, iid: int, discussion: str, body: str) -> None:
        """Answer in a thread."""
        self._must_write()
        path = f"{self._path}/merge_requests/{iid}/discussions/{discussion}/notes"
        self._write("POST", path, {"body": body})

    # Pieces

    def _branches(self) -> contextlib.AbstractContextManager[Branches]:
        self._must_write()
        path = self.project
        if path.isdecimal():
            path = self._run(
                self._api.get(self._path, lambda data: _text(data, "path_with_namespace"))
            )
        remote = Remote(f"{self.url}/{path}.git", password=self._token)
        return branches_of(remote, self._author)

    def _files(self, branches: Branches, commit: str, files_for: FilesFor) -> Files:
        """Make new files from the spec files of a commit."""
        return files_for(self._read(branches, commit))

    def _read(self, branches: Branches, commit: str) -> dict[str, bytes]:
        read = branches.read(commit, str(self._specs))
        return {str(PurePosixPath(p).relative_to(self._folder)): c for p, c in read.items()}

    def _placed(self, files: Files) -> Files:
        """Return the files of the spec repo by their path in the git repo that it is a part of."""
        return {str(self._folder / path): content for path, content in files.items()}

    def _open(self, proposal: Proposal, branch: str, target: str) -> MergeRequest:
        body = {
            "source_branch": branch,
            "target_branch": target,
            "title": _title(proposal),
            "description": proposal.description,
            "labels": list(proposal.labels),
            "remove_source_branch": True,
        }
        try:
            opened = self._run(self._create(body))
        except (OutcomeUnknown, PermanentError) as error:
            # 409: another run of the same request was faster.
            if isinstance(error, PermanentError) and error.status != 409:
                raise
            if (found := self.find(branch)) is None:
                raise
            return found
        return replace(opened, created=True)

    async def _create(self, body: Mapping[str, object]) -> MergeRequest:
        """Open a merge request; GitLab may take a moment to see a branch that was just pushed."""
        pauses = [1.0, 2.0, 4.0, 8.0]
        while True:
            try:
                path = f"{self._path}/merge_requests"
                return await self._api.write("POST", path, body, _merge_request)
            except PermanentError as error:
                if error.code != "source_branch" or not pauses:
                    raise
            await self._transport.budget.clock.sleep(pauses.pop(0))

    def _describe(self, found: MergeRequest, proposal: Proposal) -> MergeRequest:
        title = _title(proposal)
        if (found.title, found.description) == (title, proposal.description):
            return found
        body = {"title": title, "description": proposal.description}
        path = f"{self._path}/merge_requests/{found.iid}"
        return self._write("PUT", path, body, repeatable=True, parse=_merge_request)

    def _must_write(self) -> None:
        if not self.may_write:
            raise ConfigError(
                "a job token cannot write to merge requests",
                hint="set GITLAB_TOKEN to a project access token with the scopes api and"
                " write_repository",
            )

    def _say_once(self, place: str, marker: str, body: str, *, create: bool) -> str:
        self._must_write()
        text = body if body.startswith(marker) else f"{marker}\n{body}"
        own = [
            note
            for note in self._run(self._notes(place))
            if note.mine and note.body.startswith(marker)
        ]
        if not own:
            if create:
                self._write("POST", f"{place}/notes", {"body": text})
            return "created" if create else "unchanged"
        # GitLab drops white space at the end.
        if own[0].body.rstrip() == text.rstrip():
            return "unchanged"
        self._write("PUT", f"{place}/notes/{own[0].id}", {"body": text}, repeatable=True)
        return "updated"

    def _write(
        self,
        method: str,
        path: str,
        body: Mapping[str, object],
        *,
        repeatable: bool = False,
        parse: Callable[[object], T] = lambda data: data,
    ) -> T:
        return self._run(self._api.write(method, path, body, parse, repeatable=repeatable))

    async def _all(
        self, path: str, query: Mapping[str, str], parse: Callable[[object], T]
    ) -> list[T]:
        return [item async for item in self._api.pages(self._path + path, query, parse)]

    async def _notes(self, place: str) -> list[Note]:
        me = await self._myself()
        query = {"sort": "asc", "order_by": "created_at"}
        pages = self._api.pages(f"{place}/notes", query, lambda data: _note(data, me))
        return [note async for note in pages]

    async def _threads(self, path: str) -> list[Discussion]:
        me = await self._myself()
        return await self._all(path, {}, lambda data: _discussion(data, me))

    async def _myself(self) -> int:
        """Return the id of the token's own user; a job token has none."""
        if self._me is None:
            me = (
                await self._api.get("/user", lambda data: _number(data, "id")) if self._token else 0
            )
            self._me = me
        return self._me

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


@contextlib.contextmanager
def open_forge(config: Config, clock: Clock | None = None) -> Generator[Forge]:
    """Open the GitLab project that holds the specs, for the length of the block.

    The project is that of the pipeline, else `TRUEUP_FORGE_PROJECT`, else the one that the git
    remote `origin` names. Not for use inside a running event loop: call it in a thread.

    Raises:
        ConfigError: there is no token, or no telling which project it is.
    """
    pipeline = read_pipeline(config.variable)
    url = _server(config, pipeline)
    home = read_home(config.root, url)
    project = config.variable("TRUEUP_FORGE_PROJECT")
    project = project or (str(pipeline.home) if pipeline else home.project)
    if not project:
        raise ConfigError(
            "cannot tell which GitLab project holds this repo",
            hint="set TRUEUP_FORGE_PROJECT=group/project, or the git remote `origin`",
        )
    token, job_token = config.secret("GITLAB_TOKEN"), config.variable("CI_JOB_TOKEN")
    if not token and not job_token:
        raise ConfigError(
            "merge requests need a token: GITLAB_TOKEN is not set",
            hint="a project access token with the scopes api and write_repository",
        )
    forge = Forge(
        url,
        project,
        token=token,
        job_token=job_token,
        author=(pipeline.author if pipeline else "") or home.author,
        specs=config.specs.relative_to(config.root).as_posix(),
        folder=home.folder,
        clock=clock,
    )
    with contextlib.closing(forge):
        yield forge


def _server(config: Config, pipeline: Pipeline | None) -> str:
    """Return the address of the instance: the one that we are told, or the pipeline's own."""
    url = config.variable("TRUEUP_GITLAB_URL") or (pipeline.server if pipeline else "")
    url = url or "https://gitlab.com"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ConfigError(
            "TRUEUP_GITLAB_URL is not an http or https address without a user name",
            hint="for example https://gitlab.com",
        )
    return url.rstrip("/")


def _is_proposal(message: str, request_id: str) -> bool:
    """Return whether a commit is what was proposed: not a revision, and not somebody else's."""
    lines = message.splitlines()
    return f"{_REQUEST}: {request_id}" in lines and not any(
        line.startswith(f"{_REVISION}: ") for line in lines
    )


def _title(proposal: Proposal) -> str:
    return inert(proposal.title)[:255]


def _merge_request(data: object) -> MergeRequest:
    from reconcilers._gitlab_wire import items, mapping

    state = _text(data, "state")
    if state not in {"opened", "closed", "locked", "merged"}:
        raise ValueError(f"no usable `state`: {state}")
    return MergeRequest(
        iid=_number(data, "iid"),
        url=_text(data, "web_url"),
        branch=_text(data, "source_branch"),
        target=_text(data, "target_branch"),
        title=_text(data, "title"),
        description=str(mapping(data).get("description") or ""),
        state=cast("Any", state),
        labels=tuple(str(label) for label in items(mapping(data).get("labels"))),
        commit=str(mapping(data).get("sha") or ""),
    )


def _note(data: object, me: int) -> Note:
    from reconcilers._gitlab_wire import mapping

    author = mapping(mapping(data).get("author"))
    position = mapping(mapping(data).get("position"))
    line = position.get("new_line")
    return Note(
        id=_number(data, "id"),
        body=_text(data, "body"),
        author=str(author.get("username") or ""),
        mine=bool(me) and author.get("id") == me,
        system=mapping(data).get("system") is True,
        file=str(position.get("new_path") or ""),
        line=line if isinstance(line, int) else 0,
    )


def _discussion(data: object, me: int) -> Discussion:
    from reconcilers._gitlab_wire import items, mapping

    raw = [mapping(item) for item in items(mapping(data).get("notes"))]
    notes = [_note(item, me) for item in raw]
    resolvable = [item for item in raw if item.get("resolvable") is True]
    return Discussion(
        id=_text(data, "id"),
        notes=tuple(note for note in notes if not note.system),
        resolved=bool(resolvable) and all(item.get("resolved") is True for item in resolvable),
    )


def _text(data: object, name: str) -> str:
    from reconcilers._gitlab_wire import need

    return need(data, name, str)


def _number(data: object, name: str) -> int:
    from reconcilers._gitlab_wire import need

    return need(data, name, int)

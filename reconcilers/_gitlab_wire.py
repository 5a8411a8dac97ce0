"""GitLab's REST API in typed values: ids, objects, pages and errors."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import parse_qsl, quote, urlsplit

from reconcilers import _gitlab_text as text
from schemas.errors import OutcomeUnknown, PermanentError, PlatformError, TemporaryError

if TYPE_CHECKING:
    from reconcilers._budget import Budget
    from reconcilers._transport import Transport

T = TypeVar("T")

PAGE = "100"


@dataclass(frozen=True, slots=True)
class Ref:
    """A remote id taken apart: numeric project, `#`, `%`, `~` or `>`, and the number after it."""

    project: int
    sigil: str
    number: int

    def __str__(self) -> str:
        """Return the remote id."""
        return f"{self.project}{self.sigil}{self.number}"

    @property
    def path(self) -> str:
        """Where the API keeps the object."""
        folder = {"#": "issues", "%": "milestones", "~": "labels"}[self.sigil]
        return f"/projects/{self.project}/{folder}/{self.number}"


def ref(remote_id: str) -> Ref:
    """Return a remote id taken apart.

    Raises:
        PermanentError: it is none of ours.
    """
    match = re.fullmatch(r"(\d+)([#%~>])(\d+)", remote_id)
    if match is None:
        raise PermanentError(
            f"`{remote_id}` is not the id of a GitLab object",
            platform="gitlab",
            hint="look at the binding with: trueup state show",
        )
    return Ref(int(match[1]), match[2], int(match[3]))


@dataclass(frozen=True, slots=True)
class Remote:
    """A label, milestone or issue as GitLab answers it; what a kind has not is empty.

    Attributes:
        weighted: whether the tier has weights (and, being paid, blocking links).
        moved: whether it is only the closed trace of an issue that went elsewhere.
    """

    ref: Ref
    title: str
    body: str
    closed: bool = False
    labels: tuple[str, ...] = ()
    milestone: Ref | None = None
    due: str | None = None
    assignee: tuple[int, str] | None = None
    weight: int = 0
    weighted: bool = False
    moved: bool = False
    url: str = ""
    updated_at: str = ""

    @property
    def marker(self) -> str:
        """Our marker on it, or an empty string."""
        if self.ref.sigil == "~":
            return text.read_label(self.body)[1]
        return text.read(self.body).marker


def read_issue(data: object) -> Remote:
    """Return an issue of an answer; raises `ValueError` where it is none."""
    issue = mapping(data)
    project = need(issue, "project_id", int)
    milestone = mapping(issue.get("milestone"))
    assignees = items(issue.get("assignees"))
    return Remote(
        ref=Ref(project, "#", need(issue, "iid", int)),
        title=need(issue, "title", str),
        body=maybe(issue, "description", str) or "",
        closed=need(issue, "state", str) == "closed",
        labels=tuple(sorted(str(label) for label in _labels(issue))),
        milestone=Ref(project, "%", need(milestone, "id", int)) if milestone else None,
        due=maybe(issue, "due_date", str),
        assignee=_user(assignees[0]) if assignees else None,
        weight=maybe(issue, "weight", int) or 0,
        weighted="weight" in issue,
        moved=issue.get("moved_to_id") is not None,
        url=need(issue, "web_url", str),
        updated_at=instant(need(issue, "updated_at", str)),
    )


def read_milestone(data: object) -> Remote:
    """Return a milestone of an answer; raises `ValueError` where it is none."""
    return Remote(
        ref=Ref(need(data, "project_id", int), "%", need(data, "id", int)),
        title=need(data, "title", str),
        body=maybe(data, "description", str) or "",
        closed=need(data, "state", str) == "closed",
        due=maybe(data, "due_date", str),
        url=maybe(data, "web_url", str) or "",
        updated_at=instant(need(data, "updated_at", str)),
    )


def read_label(data: object, project: int) -> Remote:
    """Return a label of an answer; raises `ValueError` where it is none."""
    return Remote(
        ref=Ref(project, "~", need(data, "id", int)),
        title=need(data, "name", str),
        body=maybe(data, "description", str) or "",
    )


def read_link(data: object) -> tuple[str, str]:
    """Return a linked issue's remote id and the link's own id."""
    issue = Ref(need(data, "project_id", int), "#", need(data, "iid", int))
    return str(issue), str(need(data, "issue_link_id", int))


def _labels(issue: Mapping[str, object]) -> Sequence[object]:
    labels = issue.get("labels")
    if not isinstance(labels, list):
        raise ValueError("no usable `labels`")  # noqa: TRY004 - what is wrong is the data
    return items(cast("object", labels))


def _user(data: object) -> tuple[int, str]:
    return need(data, "id", int), need(data, "username", str)


class Api:
    """GitLab's API with every answer parsed: what does not parse is an error of its own.

    Args:
        transport: to send with.
    """

    def __init__(self, transport: Transport) -> None:
        self.base_url = transport.base_url
        self._transport = transport

    async def pages(
        self,
        path: str,
        query: Mapping[str, str],
        parse: Callable[[object], T],
        *,
        size: str = PAGE,
    ) -> AsyncIterator[T]:
        """Yield every item of a list, to its last page; without a `size` GitLab chooses it."""
        page: Mapping[str, str] | None = {**query, "per_page": size} if size else query
        while page is not None:
            answer = await self._transport.read("GET", path, params=page)
            data: object = answer.data
            if not isinstance(data, list):
                raise _unreadable(path, "not a list")
            for item in items(cast("object", data)):
                try:
                    parsed = parse(item)
                except ValueError as error:
                    raise _unreadable(path, str(error)) from error
                yield parsed
            page = next_page(answer.headers, page)

    async def get(self, path: str, parse: Callable[[object], T]) -> T:
        """Return one object."""
        answer = await self._transport.read("GET", path)
        try:
            return parse(answer.data)
        except ValueError as error:
            raise _unreadable(path, str(error)) from error

    async def put(self, at: Ref, body: Mapping[str, object], parse: Callable[[object], T]) -> T:
        """Change an object; one that is not there is explained."""
        try:
            return await self.write("PUT", at.path, body, parse, repeatable=True)
        except PermanentError as error:
            explain(error)
            raise

    async def write(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        parse: Callable[[object], T],
        *,
        repeatable: bool = False,
        points: int = 0,
    ) -> T:
        """Send a request that changes something; an answer that does not parse is unknown."""
        answer = await self._transport.write(
            method, path, json=body, repeatable=repeatable, points=points
        )
        try:
            return parse(answer.data)
        except ValueError as error:
            raise OutcomeUnknown(
                f"the answer is not what GitLab promises: {error}",
                platform="gitlab",
                request=f"{method} {path}",
                status=answer.status,
            ) from error


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier runs learned: project ids by path, user ids by identity, tiers by project."""

    projects: dict[str, int]
    users: dict[str, int]
    paid: dict[str, bool]

    @classmethod
    def of(cls, lookups: dict[str, object]) -> Known:
        """Return what is usable of `lookups`, which from then on follows every change."""
        known = cls(
            projects=only(lookups.get("projects"), int),
            users=only(lookups.get("users"), int),
            paid=only(lookups.get("paid"), bool),
        )
        lookups.update(projects=known.projects, users=known.users, paid=known.paid)
        return known

    async def project(self, api: Api, path: str) -> int:
        """Return the number of the GitLab project at `path`; asked for once and for all."""
        if path not in self.projects:
            try:
                self.projects[path] = await api.get(
                    f"/projects/{quote(path, safe='')}", lambda data: need(data, "id", int)
                )
            except PermanentError as error:
                if error.status == 404:
                    error.message = f"there is no project {path}, or the token cannot see it"
                    error.hint = "check `project` in the Integrations spec, and the token"
                raise
        return self.projects[path]

    async def find_members(self, api: Api, project: int, wanted: set[str]) -> None:
        """Learn who of a GitLab project's members is `wanted`, by user name or e-mail address."""
        async for member in api.pages(f"/projects/{project}/members/all", {}, mapping):
            names = {member.get(name) for name in ("username", "public_email", "email")}
            for identity in wanted & names:
                self.users[identity] = need(member, "id", int)


async def is_there(api: Api, at: Ref) -> bool:
    """Return whether an object of a project that can be seen is there."""
    try:
        await api.get(at.path, anything)
    except PermanentError as error:
        if error.status != 404 or "Project" in error.message:
            raise
        return False
    return True


async def unless_gone(request: Awaitable[object]) -> None:
    """Wait for a request; that the object is not there is fine, unless nothing can be seen."""
    try:
        await request
    except PermanentError as error:
        if error.status != 404 or "Project" in error.message:
            raise


def explain(error: PermanentError) -> None:
    """Put the refusal of an update into words that help where the object is not there."""
    if error.status == 404:
        error.message = "it was deleted or moved away there, or the token cannot see it any more"
        error.hint = "bring it back there, or let go of it with: trueup state"


def anything(data: object) -> object:
    """Parse an answer that nothing is read from."""
    return data


def _unreadable(path: str, why: str) -> TemporaryError:
    return TemporaryError(
        f"the answer is not what GitLab promises: {why}", platform="gitlab", request=f"GET {path}"
    )


def next_page(headers: Mapping[str, str], query: Mapping[str, str]) -> dict[str, str] | None:
    """Return the query of the next page, or `None` after the last one."""
    found = re.search(r'<([^>]+)>;\s*rel="next"', headers.get("link", ""))
    if found:
        return dict(parse_qsl(urlsplit(found[1]).query, keep_blank_values=True))
    number = headers.get("x-next-page", "").strip()
    return {**query, "page": number} if number else None


def classify(status: int, _headers: Mapping[str, str], data: object) -> PlatformError | None:
    """Read the error shape that names fields; the error's `code` is the field."""
    said = mapping(mapping(data).get("message"))
    if status not in {400, 422} or not said:
        return None
    message = "; ".join(f"{name} {', '.join(map(str, items(why)))}" for name, why in said.items())
    return PermanentError(
        message, platform="gitlab", status=status, code=",".join(sorted(map(str, said)))
    )


def learn(headers: Mapping[str, str], budget: Budget) -> None:
    """Take over what GitLab says is left of its rate limit."""
    remaining, reset = headers.get("ratelimit-remaining", ""), headers.get("ratelimit-reset", "")
    if remaining.isdecimal() and reset.isdecimal():
        budget.learn(remaining=int(remaining), reset_at=float(reset))


def instant(stamp: str) -> str:
    """Return an instant of any offset in UTC, to the millisecond as GitLab tells it."""
    moment = datetime.fromisoformat(stamp).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def mapping(data: object) -> Mapping[str, object]:
    """Return a JSON object as it is, and anything else as an empty one."""
    return cast("Mapping[str, object]", data) if isinstance(data, Mapping) else {}


def items(data: object) -> Sequence[object]:
    """Return a JSON array or a tuple as it is, and anything else as an empty one."""
    return cast("Sequence[object]", data) if isinstance(data, list | tuple) else ()


def need(data: object, name: str, kind: type[T]) -> T:
    """Return a property of a JSON object; raises `ValueError` where it is not of `kind`."""
    value = mapping(data).get(name)
    if not isinstance(value, kind):
        raise ValueError(f"no usable `{name}`")  # noqa: TRY004 - what is wrong is the data
    return value


def maybe(data: object, name: str, kind: type[T]) -> T | None:
    """Return a property of a JSON object, or `None` where it is missing or null."""
    return None if mapping(data).get(name) is None else need(data, name, kind)


def only(data: object, kind: type[T]) -> dict[str, T]:
    """Return those entries of a JSON object whose values are of `kind`."""
    return {str(name): v for name, v in mapping(data).items() if isinstance(v, kind)}

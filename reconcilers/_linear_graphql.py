"""GraphQL as Linear speaks it: what its errors mean, and many mutations in one request.

Linear answers errors with HTTP 200 or 400; what they mean stands in `extensions` (verified
2026-11-24 in its TypeScript client). Root fields of a mutation run in order and their payloads
are non-null, so the first that fails ends the request: those before it were carried out although
`data` is null, those behind it were not. `mutate` goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, cast

from reconcilers._budget import Budget
from reconcilers._transport import Answer, Classify, Transport, retry_after
from schemas.errors import OutcomeUnknown, PermanentError, PlatformError, TemporaryError

Json: TypeAlias = dict[str, Any]
Parsed = TypeVar("Parsed")

QUERY_POINTS = 10_000
"""The most that one request may cost (verified 2026-11-24, linear.app/developers/rate-limiting)."""

STEPS = 1_000
"""Mutations in one request at most: about 2,500 points of the 10,000."""

_LOST = frozenset({"INTERNAL_SERVER_ERROR", "LOCK_TIMEOUT"})
_DENIED = frozenset({"AUTHENTICATION_ERROR", "FORBIDDEN"})
_MALFORMED = frozenset({"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of an answer's `errors`.

    Attributes:
        alias: the root field that failed, or an empty string where it is not said.
        code: `extensions.code`, in capitals.
        message: what a person can act on, else the bare message.
    """

    alias: str
    code: str
    message: str
    detail: str = ""

    @property
    def duplicate(self) -> bool:
        """Whether an object with the given id is there already."""
        text = f"{self.detail} {self.message}".lower()
        return "conflict on insert" in text or "already exists" in text

    @property
    def missing(self) -> bool:
        """Whether the object, or one that the input names, is not there."""
        return "not found" in f"{self.detail} {self.message}".lower()

    def error(self, request: str) -> PermanentError:
        """Return it as the error of `request`."""
        return PermanentError(
            self.message, platform="linear", request=request, code=self.code.lower()
        )


class Refused(PermanentError):
    """An answer with errors; other root fields of the same request may have been carried out."""

    def __init__(self, problems: Sequence[Problem], data: Json, status: int) -> None:
        super().__init__(problems[0].message, platform="linear", status=status)
        self.code = problems[0].code.lower()
        self.problems = tuple(problems)
        self.data = data


@dataclass(frozen=True, slots=True)
class Step:
    """One mutation of a request.

    Attributes:
        field: the mutation's name.
        arguments: by name, GraphQL type and value.
        selection: what to ask of the payload; objects of interest under the alias `objects`.
        vital: whether the steps behind it are pointless when it fails.
    """

    field: str
    arguments: Mapping[str, tuple[str, object]]
    selection: str = "success"
    vital: bool = False


@dataclass(frozen=True, slots=True)
class Stub:
    """What a payload tells of an object; `node` is all of it."""

    id: str
    url: str
    updated_at: str
    node: Json = field(default_factory=dict[str, Any], compare=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one step.

    Attributes:
        state: `open` means that it was not carried out, since a vital step failed before it.
        objects: what the payload told; empty where the answer was lost to another step's error.
    """

    state: Literal["done", "failed", "open"]
    objects: tuple[Stub, ...] = ()
    problem: Problem | None = None


def classifier(clock: Callable[[], float]) -> Classify:
    """Return Linear's reading of answers; `clock` tells seconds since 1970."""

    def classify(status: int, headers: Mapping[str, str], data: Any) -> PlatformError | None:
        answer = cast("Json", data) if isinstance(data, dict) else {}
        problems = [_problem(item) for item in _list(answer.get("errors"))]
        if not problems:
            if status < 300 and not isinstance(answer.get("data"), dict):
                return OutcomeUnknown("the answer is no GraphQL", platform="linear", status=status)
            return None
        first, codes = problems[0], {problem.code for problem in problems}
        if "RATELIMITED" in codes:
            limited = TemporaryError(
                first.message, platform="linear", status=status, code="rate_limited"
            )
            limited.retry_after = _until_reset(headers, clock())
            return limited
        if status >= 500 or codes & _LOST:
            return OutcomeUnknown(first.message, platform="linear", status=status)
        if status in {401, 403} or codes & _DENIED:
            return PermanentError(
                first.message,
                platform="linear",
                status=status,
                code=first.code.lower(),
                hint="check LINEAR_API_KEY and what it may do: trueup doctor",
            )
        return Refused(problems, cast("Json", answer.get("data") or {}), status)

    return classify


def learn(headers: Mapping[str, str], budget: Budget) -> None:
    """Take over what an answer's headers say of the rate limits, requests and points."""
    remaining = _number(headers.get("x-ratelimit-requests-remaining"))
    reset = _number(headers.get("x-ratelimit-requests-reset"))
    points = _number(headers.get("x-ratelimit-complexity-remaining"))
    refilled = _number(headers.get("x-ratelimit-complexity-reset"))
    if points is not None and refilled is not None and points < QUERY_POINTS:
        budget.learn(remaining=0, reset_at=refilled / 1000)
    elif remaining is not None and reset is not None:
        budget.learn(remaining=int(remaining), reset_at=reset / 1000)


async def query(
    transport: Transport,
    document: str,
    variables: Mapping[str, object],
    parse: Callable[[Json], Parsed],
    *,
    name: str,
    points: int,
) -> Parsed:
    """Return what `parse` makes of the data that a query is answered with.

    Raises:
        PlatformError: it was refused, or not answered in full.
    """
    body = {"query": document, "variables": variables}
    answer = await transport.read("POST", "", json=body, points=points, label=name)
    return _parsed(parse, answer, name)


async def mutate(transport: Transport, steps: Sequence[Step]) -> list[Receipt]:
    """Carry out `steps` in order, in as few requests as go; return a receipt for each.

    Every step must do the same when sent twice: creates carry an id of ours.

    Raises:
        OutcomeUnknown: nobody knows what was carried out.
        PlatformError: nothing was.
    """
    receipts: dict[int, Receipt] = {}
    pending = list(range(len(steps)))
    while pending:
        part = pending[:STEPS]
        try:
            receipts |= await _send(transport, steps, part)
        except Refused as refusal:
            receipts |= _sorted_out(refusal, part)
        if any(steps[i].vital and receipts[i].problem for i in part if i in receipts):
            break
        pending = [i for i in pending if i not in receipts]
    return [receipts.get(i, Receipt("open")) for i in range(len(steps))]


async def _send(
    transport: Transport, steps: Sequence[Step], part: Sequence[int]
) -> dict[int, Receipt]:
    declared: list[str] = []
    fields: list[str] = []
    variables: dict[str, object] = {}
    for i in part:
        given: list[str] = []
        for name, (kind, value) in steps[i].arguments.items():
            declared.append(f"$s{i}_{name}: {kind}")
            given.append(f"{name}: $s{i}_{name}")
            variables[f"s{i}_{name}"] = value
        fields.append(f"s{i}: {steps[i].field}({', '.join(given)}) {{ {steps[i].selection} }}")
    document = f"mutation Apply({', '.join(declared)}) {{ {' '.join(fields)} }}"
    body = {"query": document, "variables": variables}
    label = steps[part[0]].field
    try:
        answer = await transport.write(
            "POST", "", json=body, repeatable=True, points=4 * len(part) + 100, label=label
        )
    except TemporaryError as error:
        if isinstance(error.__cause__, OutcomeUnknown):
            raise OutcomeUnknown(
                error.message, platform="linear", request=label, status=error.status
            ) from error
        raise
    return _parsed(
        lambda data: {i: Receipt("done", _stubs(data[f"s{i}"])) for i in part}, answer, label
    )


def _parsed(parse: Callable[[Json], Parsed], answer: Answer, name: str) -> Parsed:
    try:
        return parse(answer.data["data"])
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise OutcomeUnknown(
            "the answer has another shape than asked for", platform="linear", request=name
        ) from error


def _sorted_out(refusal: Refused, part: Sequence[int]) -> dict[int, Receipt]:
    """Return the receipts of the steps that are settled by an answer with errors."""
    failed = {problem.alias: problem for problem in refusal.problems}
    if not any(f"s{i}" in failed for i in part):
        if refusal.problems[0].code in _MALFORMED:
            raise refusal
        if len(part) > 1:
            raise OutcomeUnknown(refusal.message, platform="linear", status=refusal.status)
        failed[f"s{part[0]}"] = refusal.problems[0]
    receipts: dict[int, Receipt] = {}
    stopped = False
    for i in part:
        problem = failed.get(f"s{i}")
        payload = refusal.data.get(f"s{i}")
        if problem:
            stopped = True
            receipts[i] = Receipt("failed", problem=problem)
        elif payload:
            receipts[i] = Receipt("done", _stubs(payload))
        elif not stopped:
            receipts[i] = Receipt("done")
    return receipts


def _stubs(payload: Json) -> tuple[Stub, ...]:
    objects = payload.get("objects")
    nodes = _list(cast("object", objects)) or [cast("Json", objects)]
    return tuple(
        Stub(node["id"], node.get("url") or node["project"]["url"], node["updatedAt"], node)
        for node in nodes
        if node
    )


def _problem(item: Json) -> Problem:
    extensions = cast("Json", item.get("extensions") or {})
    path = cast("list[object]", item.get("path") or [""])
    bare = str(item.get("message") or "refused without a reason")
    shown = str(extensions.get("userPresentableMessage") or bare)
    return Problem(str(path[0]), str(extensions.get("code") or "").upper(), shown[:500], bare[:500])


def _until_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds until the limit that was hit lets a request through again."""
    asked = retry_after(headers, now)
    if asked is not None:
        return asked
    waits = [
        reset / 1000 - now
        for kind, least in (("requests", 1), ("complexity", QUERY_POINTS))
        if (remaining := _number(headers.get(f"x-ratelimit-{kind}-remaining"))) is not None
        and (reset := _number(headers.get(f"x-ratelimit-{kind}-reset"))) is not None
        and remaining < least
    ]
    return max(0.0, *waits) if waits else None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _list(value: object) -> list[Json]:
    return cast("list[Json]", value) if isinstance(value, list) else []

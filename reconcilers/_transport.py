"""HTTP for reconcilers: authentication, one retry policy, rate budget, redaction.

What may be repeated decides everything here. A read may always be repeated. A write that does
the same when sent twice (an update, an archive) may too. A create may be repeated only when the
platform surely did not do it: the connection was never made, or the answer says so (429). In any
other case the answer is `OutcomeUnknown`, and the engine looks the object up before it decides.
"""

from __future__ import annotations

import contextvars
import json as jsonlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, cast

from reconcilers._budget import Budget
from schemas.errors import OutcomeUnknown, PermanentError, PlatformError, TemporaryError

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 5
"""How often one request is tried when the platform fails; rate limits do not count."""

PATIENCE = 20
"""How often one request waits for a rate limit to pass."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
TIMEOUT = 30.0

sent: contextvars.ContextVar[list[int] | None] = contextvars.ContextVar("sent", default=None)
"""A one-element counter that the engine sets around an operation, to price it afterwards."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed answer: status below 400, and JSON (or `None` for an empty body)."""

    status: int
    headers: Mapping[str, str]
    data: Any


Classify = Callable[[int, Mapping[str, str], Any], PlatformError | None]
"""A platform's own reading of an answer (status, headers, JSON): an error, or `None`.

It is asked before the general rules, for platforms that report a rate limit as 400 or an error
as 200. It may return `TemporaryError`, `PermanentError` or `OutcomeUnknown`.
"""

Learn = Callable[[Mapping[str, str], Budget], None]
"""A platform's own reading of the rate limit headers of an answer."""


class Transport:
    """Sends the requests of one reconciler.

    Args:
        platform: for messages.
        base_url: without a trailing slash; request paths are put behind it as they are.
        headers: sent with every request; hold the token, which never leaves them.
        budget: shared by all work on the platform.
        secrets: strings that must never show up in an error.
        classify: the platform's own reading of answers.
        learn: the platform's own reading of rate limit headers.
        rate_pause: seconds to wait for a 429 that does not say how long.
        client: the HTTP client to use; made when needed where it is not given.

    Attributes:
        requests: how many were sent.
        attempts: how often one request is tried when the platform fails.
        clock_ahead: seconds that the platform's clock is ahead of ours by the `Date` of its last
            answer, or `None` before there was one.
    """

    def __init__(
        self,
        platform: str,
        base_url: str,
        *,
        headers: Mapping[str, str],
        budget: Budget,
        secrets: tuple[str, ...] = (),
        classify: Classify | None = None,
        learn: Learn | None = None,
        rate_pause: float = 60.0,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self.platform = platform
        self.base_url = base_url.rstrip("/")
        self.budget = budget
        self.requests = 0
        self.attempts = ATTEMPTS
        self.clock_ahead: float | None = None
        self._headers = dict(headers)
        self._secrets = tuple(secret for secret in secrets if secret)
        self._classify = classify
        self._learn = learn
        self._rate_pause = rate_pause
        self._client = client

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def read(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | list[str]] | None = None,
        json: object = None,
        points: int = 0,
        label: str = "",
    ) -> Answer:
        """Send a request that changes nothing; it is repeated until it is answered.

        `label` names the request in errors where method and path do not (a GraphQL operation).
        """
        return await self._send(method, path, params, json, points, label, repeatable=True, lost=[])

    async def write(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str | list[str]] | None = None,
        repeatable: bool,
        points: int = 0,
        label: str = "",
    ) -> Answer:
        """Send a request that changes something.

        Args:
            method: the HTTP method.
            path: behind the base URL.
            json: the body.
            params: the query.
            repeatable: whether sending it twice does the same as once.
            points: its complexity, for platforms that count it.
            label: names the request in errors.

        Raises:
            OutcomeUnknown: nobody knows whether it was done, and it cannot be repeated, or was
                in vain.
            TemporaryError: nothing was written, and patience ran out.
            PermanentError: the platform refused it.
        """
        lost: list[OutcomeUnknown] = []
        try:
            return await self._send(
                method, path, params, json, points, label, repeatable=repeatable, lost=lost
            )
        except TemporaryError as error:
            if not lost:
                raise
            # Once an answer was lost, no later refusal tells that nothing was written.
            raise lost[-1] from error

    def redact(self, text: str) -> str:
        """Return `text` without the token."""
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | list[str]] | None,
        json: object,
        points: int,
        label: str,
        *,
        repeatable: bool,
        lost: list[OutcomeUnknown],
    ) -> Answer:
        request = label or f"{method} {path}"
        failures = limited = 0
        while True:
            try:
                return await self._once(method, path, params, json, points, request)
            except TemporaryError as error:
                rate_limited = error.status in {429, 529} or error.code == "rate_limited"
                if rate_limited:
                    limited += 1
                    asked = error.retry_after
                    self.budget.block(
                        self._rate_pause if asked is None else max(asked, FIRST_PAUSE)
                    )
                    if limited > PATIENCE:
                        raise
                    continue
                failures += 1
                if failures >= self.attempts:
                    raise
                await self._pause(failures, error.retry_after)
            except OutcomeUnknown as error:
                if not repeatable:
                    raise
                lost.append(error)
                failures += 1
                if failures >= self.attempts:
                    raise self._give_up(error) from error
                await self._pause(failures, error.retry_after)

    async def _pause(self, failures: int, retry_after: float | None) -> None:
        pause = max(retry_after or 0.0, FIRST_PAUSE * 2 ** (failures - 1))
        await self.budget.clock.sleep(min(LONGEST_PAUSE, pause))

    def _tries(self) -> str:
        return "one try" if self.attempts == 1 else f"{self.attempts} tries"

    def _give_up(self, error: OutcomeUnknown) -> TemporaryError:
        return TemporaryError(
            f"no usable answer after {self._tries()}: {error.message}",
            platform=self.platform,
            request=error.request,
            status=error.status,
            hint="run the same command again later; nothing is lost",
        )

    async def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | list[str]] | None,
        json: object,
        points: int,
        request: str,
    ) -> Answer:
        import httpx

        if self._client is None:
            places = self.budget.limits.concurrency
            self._client = httpx.AsyncClient(
                timeout=TIMEOUT,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=places, max_keepalive_connections=places),
                # Loading the certificates takes a while, and plain HTTP has no use for them.
                verify=self.base_url.startswith("https:"),
            )
        body = None if json is None else jsonlib.dumps(json, ensure_ascii=False).encode()
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        await self.budget.acquire(points)
        self.requests += 1
        if (counter := sent.get()) is not None:
            counter[0] += 1
        try:
            response = await self._client.request(
                method, self.base_url + path, params=params, content=body, headers=headers
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise TemporaryError(
                self.redact(f"cannot be reached: {error or type(error).__name__}"),
                platform=self.platform,
                request=request,
                hint=f"check the network and {self.base_url}",
            ) from error
        except httpx.HTTPError as error:
            raise OutcomeUnknown(
                self.redact(f"the answer was lost: {error or type(error).__name__}"),
                platform=self.platform,
                request=request,
            ) from error
        finally:
            self.budget.release()
        return self._read(response, request)

    def _read(self, response: httpx.Response, request: str) -> Answer:
        date = _seconds_of(response.headers.get("date", ""))
        if date is not None:
            self.clock_ahead = date - self.budget.clock.time()
            # A date is cut to the second, and the answer took its time.
            self.budget.clock_ahead = self.clock_ahead if abs(self.clock_ahead) > 5 else 0.0
        if self._learn:
            self._learn(response.headers, self.budget)
        data, readable = _parse(response)
        if self._classify and readable:
            error = self._classify(response.status_code, response.headers, data)
            if error is not None:
                error.platform, error.request = self.platform, error.request or request
                error.message = self.redact(error.message)
                raise error
        if response.status_code < 300:
            if readable:
                return Answer(response.status_code, response.headers, data)
            raise OutcomeUnknown(
                "the answer is not JSON or was cut short",
                platform=self.platform,
                request=request,
                status=response.status_code,
            )
        raise self._refusal(response, data, request)

    def _refusal(self, response: httpx.Response, data: object, request: str) -> PlatformError:
        status = response.status_code
        message = self.redact(_message(data) or response.reason_phrase or f"HTTP {status}")
        if status in {408, 429} or status >= 500:
            kind = TemporaryError if status in {429, 529} else OutcomeUnknown
            again = kind(message, platform=self.platform, request=request, status=status)
            again.retry_after = retry_after(response.headers, self.budget.clock.time())
            return again
        hint = ""
        if status in {401, 403}:
            hint = "check the token and what it may do: trueup doctor"
        elif status < 400:
            hint = f"the address redirects; set TRUEUP_{self.platform.upper()}_URL to the final one"
        return PermanentError(
            message, platform=self.platform, request=request, status=status, hint=hint
        )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for (seconds or a date), or `None`."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        date = _seconds_of(text)
        return None if date is None else max(0.0, date - now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_of(date: str) -> float | None:
    """Return an HTTP date as seconds since 1970, or `None` where it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def _parse(response: httpx.Response) -> tuple[Any, bool]:
    if not response.content:
        return None, True
    try:
        return jsonlib.loads(response.content), True
    except ValueError:
        return None, False


def _message(data: Any) -> str:
    """Return the platform's own words for what went wrong, from the usual places."""
    if isinstance(data, dict):
        for name in ("message", "error", "error_description"):
            value: object = data.get(name)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            if value:
                many = isinstance(value, list)
                texts: list[object] = cast("list[object]", value) if many else [value]
                text = "; ".join(t if isinstance(t, str) else jsonlib.dumps(t) for t in texts)
                return text[:500]
    return ""

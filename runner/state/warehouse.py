"""Statements on a Databricks SQL warehouse, through the vendor's own SDK.

The SDK signs in, and repeats what was throttled or met an outage, by its own rules. Here is the
rest: the warehouse is started and waited for, a statement is polled to its end, its result is
collected chunk by chunk and typed, and what failed becomes a `StateError` that names the statement.
`databricks.sdk` takes two seconds to import, so it is imported where it is used.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

from runner.state.commits import LostRace
from runner.state.engine import Cell, Columns
from schemas.errors import ConfigError, StateError

if TYPE_CHECKING:
    from databricks.sdk.core import ApiClient
    from databricks.sdk.service.sql import (
        ColumnInfo,
        Disposition,
        ExternalLink,
        ResultData,
        StatementExecutionAPI,
        StatementResponse,
    )

WAIT = "30s"
"""How long the warehouse may hold a request back for a result; 50 seconds are allowed at most."""

PATIENCE = 3600.0
"""Seconds after which a statement is given up; results are kept for an hour."""

STARTED_WITHIN = 900.0
"""Seconds that a warehouse may take to start."""

RERUNS = 2
"""How often a statement is sent again whose session or result the warehouse has forgotten."""

_NUMBERS = frozenset({"LONG", "INT", "SHORT", "BYTE"})
_CLASS = re.compile(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)*)\]")
_RACES = re.compile(
    r"DELTA_CONCURRENT|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED|Concurrent\w+Exception"
    r"|MetadataChangedException|ProtocolChangedException"
)
_FORGOTTEN = re.compile(
    r"INVALID_HANDLE|session\w*.{0,60}(expired|closed|not found)", re.IGNORECASE | re.DOTALL
)
_TOO_LONG = re.compile(r"inline byte limit", re.IGNORECASE)
_LACKS = re.compile(r"does not have (?:the )?([A-Z][A-Z _]+?) (?:privilege )?on (\w+) '([^']+)'")
_IN_TEXT = re.compile(r"https?://\S+")


class StatementFailed(StateError):
    """The warehouse carried out a statement, and it failed.

    Attributes:
        code: the engine's error class, as `TABLE_OR_VIEW_NOT_FOUND`, or an empty string.
    """

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a statement, typed.

    Attributes:
        names: the columns, in order.
        values: for each column, its cells; all equally long.
    """

    names: tuple[str, ...] = ()
    values: tuple[list[Cell], ...] = ()

    def columns(self) -> Columns:
        """Return the cells by column."""
        return dict(zip(self.names, self.values, strict=True))

    def rows(self) -> Iterator[dict[str, Cell]]:
        """Yield the cells row by row."""
        for row in zip(*self.values, strict=True):
            yield dict(zip(self.names, row, strict=True))


@dataclass
class Warehouse:
    """A SQL warehouse; nothing is sent before the first statement.

    Args:
        identifier: the warehouse's id.
        sign_in: makes the SDK's client; it knows the address and who we are.
        pause: waits for some seconds.
    """

    identifier: str
    sign_in: Callable[[], ApiClient]
    pause: Callable[[float], None] = time.sleep
    sent: int = field(default=0, init=False)
    """How many statements were sent so far."""

    def run(
        self,
        statement: str,
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Answer:
        """Carry out a statement; it must be one that may be carried out twice.

        Args:
            statement: one statement, or a script.
            parameters: text for the named markers in it.
            tags: shown beside it in the workspace's query history.

        Raises:
            LostRace: somebody else committed to the same table first.
            StatementFailed: it failed.
            StateError: the warehouse cannot be reached, started or used.
        """
        from databricks.sdk.service.sql import Disposition

        disposition = Disposition.INLINE
        forgotten: StatementFailed | None = None
        for _ in range(RERUNS + 1):
            try:
                return self._run(statement, parameters or {}, tags or {}, disposition)
            except _Forgotten as error:
                forgotten = error.failure
            except _TooLong:
                disposition = Disposition.EXTERNAL_LINKS
        raise forgotten or StateError(f"the SQL warehouse {self.identifier} gives no result")

    @cached_property
    def _statements(self) -> StatementExecutionAPI:
        from databricks.sdk.service.sql import StatementExecutionAPI

        client = self.sign_in()
        self._start(client)
        return StatementExecutionAPI(client)

    def _run(
        self,
        statement: str,
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
        disposition: Disposition,
    ) -> Answer:
        from databricks.sdk.service.sql import (
            ExecuteStatementRequestOnWaitTimeout,
            Format,
            QueryTag,
            StatementParameterListItem,
        )

        with self._explained():
            api = self._statements
            self.sent += 1
            response = api.execute_statement(
                statement,
                self.identifier,
                disposition=disposition,
                format=Format.JSON_ARRAY,
                wait_timeout=WAIT,
                on_wait_timeout=ExecuteStatementRequestOnWaitTimeout.CONTINUE,
                parameters=[
                    StatementParameterListItem(name, value=value)
                    for name, value in parameters.items()
                ],
                query_tags=[QueryTag(name, value) for name, value in tags.items()],
            )
            return self._collected(api, self._ended(api, response))

    def _ended(self, api: StatementExecutionAPI, response: StatementResponse) -> StatementResponse:
        """Poll until the statement has ended; cancel it when nobody waits for it any more."""
        from databricks.sdk.errors import NotFound
        from databricks.sdk.service.sql import StatementState

        statement_id = response.statement_id or ""
        deadline = time.monotonic() + PATIENCE
        delay = 0.25
        try:
            while _state(response) in (StatementState.PENDING, StatementState.RUNNING):
                _check_patience(deadline, statement_id)
                self.pause(delay)
                delay = min(delay * 1.5, 5.0)
                response = api.get_statement(statement_id)
        except NotFound as error:
            raise _Forgotten(_failure(statement_id, str(error))) from error
        except BaseException:
            # Whatever the SDK meets here, it must not hide why nobody waits any more.
            with contextlib.suppress(Exception):
                api.cancel_execution(statement_id)
            raise
        if _state(response) is StatementState.SUCCEEDED:
            return response
        raise _sorted(response)

    def _collected(self, api: StatementExecutionAPI, response: StatementResponse) -> Answer:
        manifest = response.manifest
        schema = manifest.schema.columns if manifest and manifest.schema else None
        columns = schema or []
        values: list[list[Cell]] = [[] for _ in columns]
        for rows in self._chunks(api, response):
            for place, cells in enumerate(zip(*rows, strict=True)):
                values[place] += _typed(columns[place], cells)
        names = tuple(column.name or "" for column in columns)
        return Answer(names, tuple(values))

    def _chunks(
        self, api: StatementExecutionAPI, response: StatementResponse
    ) -> Iterator[Sequence[Sequence[str | None]]]:
        statement_id = response.statement_id or ""
        result: ResultData | None = response.result
        while result is not None:
            links = result.external_links or []
            if result.data_array:
                yield result.data_array
            following = result.next_chunk_index
            for link in links:
                yield self._fetched(api, statement_id, link)
                following = link.next_chunk_index
            if following is None:
                return
            result = api.get_statement_result_chunk_n(statement_id, following)

    def _fetched(
        self, api: StatementExecutionAPI, statement_id: str, link: ExternalLink
    ) -> Sequence[Sequence[str | None]]:
        """Return the rows behind a link into cloud storage; a link lives for minutes only."""
        import httpx

        status = 0
        for turn in range(3):
            # The link carries its own permission: our token must not go there.
            answer = httpx.get(
                link.external_link or "", headers=link.http_headers or {}, timeout=120
            )
            if answer.is_success:
                return cast("Sequence[Sequence[str | None]]", json.loads(answer.content))
            status = answer.status_code
            self.pause(0.5 * turn)
            again = api.get_statement_result_chunk_n(statement_id, link.chunk_index or 0)
            link = (again.external_links or [link])[0]
        raise StateError(
            f"the result of the statement {statement_id} cannot be fetched from cloud storage"
            f" (HTTP {status})",
            hint="allow this machine to reach the workspace's cloud storage",
        )

    def _start(self, client: ApiClient) -> None:
        """Start the warehouse, and wait until it runs."""
        from databricks.sdk.errors import PermissionDenied
        from databricks.sdk.service.sql import State, WarehousesAPI

        api = WarehousesAPI(client)
        deadline = time.monotonic() + STARTED_WITHIN
        delay = 1.0
        while (state := api.get(self.identifier).state) is not State.RUNNING:
            if state is State.DELETED or state is State.DELETING:
                raise StateError(
                    f"the SQL warehouse {self.identifier} was deleted",
                    hint="name another one with DATABRICKS_WAREHOUSE_ID",
                )
            if state is State.STOPPED:
                try:
                    api.start(self.identifier)
                except PermissionDenied:
                    # Whoever may use it may not always start it; a statement starts it, too.
                    return
            if time.monotonic() > deadline:
                raise StateError(
                    f"the SQL warehouse {self.identifier} did not start in"
                    f" {STARTED_WITHIN / 60:.0f} minutes",
                    hint="look at its page in the workspace",
                )
            self.pause(delay)
            delay = min(delay * 1.5, 10.0)

    @contextlib.contextmanager
    def _explained(self) -> Generator[None]:
        """Turn what the SDK raises into a `StateError` that says what to do."""
        from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, Unauthenticated

        try:
            yield
        except Unauthenticated as error:
            raise StateError(
                f"Databricks does not know us: {_line(error)}",
                hint="the token has expired or was revoked: sign in again",
            ) from error
        except PermissionDenied as error:
            raise StateError(
                f"Databricks forbids the use of the SQL warehouse {self.identifier}:"
                f" {_line(error)}",
                hint="ask for the permission CAN USE on the warehouse",
            ) from error
        except NotFound as error:
            raise StateError(
                f"there is no SQL warehouse {self.identifier}, or no such result any more:"
                f" {_line(error)}",
                hint="its id is on the warehouse's page, and after /warehouses/ in its address",
            ) from error
        except BadRequest as error:
            raise StateError(
                f"the SQL warehouse {self.identifier} refuses the statement: {_line(error)}",
                hint="this is a defect, of trueup or of the warehouse; please report it",
            ) from error
        except (OSError, ValueError) as error:
            # What the SDK gave up repeating; a `DatabricksError` is an OSError as well.
            raise StateError(
                f"the SQL warehouse {self.identifier} cannot be reached: {_line(error)}",
                hint="run the command again; what was committed stays committed",
            ) from error


def sign_in() -> ApiClient:
    """Return the SDK's client, signed in by whatever the SDK finds: its unified authentication.

    Raises:
        ConfigError: the SDK is not installed, or finds nothing to sign in with.
    """
    try:
        from databricks.sdk.core import ApiClient, Config
    except ImportError as error:
        raise ConfigError(
            "the state backend `databricks` needs the Databricks SDK",
            hint="install it with: pip install 'trueup[databricks]'",
        ) from error
    try:
        return ApiClient(Config(product="trueup", product_version="0.1.0"))
    except ValueError as error:
        raise ConfigError(
            f"Databricks: {_line(error)}",
            hint="set DATABRICKS_HOST and either DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and"
            " DATABRICKS_CLIENT_SECRET, or name a profile with DATABRICKS_CONFIG_PROFILE",
        ) from error


class _Forgotten(Exception):
    """The warehouse knows nothing any more of a statement, its session or its result."""

    def __init__(self, failure: StatementFailed) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _TooLong(Exception):
    """The result is too long to come with the response."""


def _state(response: StatementResponse) -> object:
    return response.status.state if response.status else None


def _check_patience(deadline: float, statement_id: str) -> None:
    if time.monotonic() > deadline:
        raise StateError(
            f"the statement {statement_id} did not end within an hour",
            hint="look at it in the query history of the workspace",
        )


def _sorted(response: StatementResponse) -> Exception:
    """Return what a statement that did not succeed means for the caller."""
    from databricks.sdk.service.sql import StatementState

    error = response.status.error if response.status else None
    state = response.status.state if response.status else None
    said = (error.message if error else None) or f"it is {state.value if state else 'nowhere'}"
    failure = _failure(response.statement_id or "", said)
    if _TOO_LONG.search(said):
        return _TooLong()
    if state is StatementState.CLOSED or _FORGOTTEN.search(said):
        return _Forgotten(failure)
    if _RACES.search(said):
        return LostRace(failure.message)
    return failure


def _failure(statement_id: str, said: str) -> StatementFailed:
    """Return the error for what the warehouse said, with the GRANT to ask for, if any."""
    found = _CLASS.search(said)
    hint = "the workspace's query history shows the statement"
    if lacking := _LACKS.search(said):
        privilege, kind, name = lacking.groups()
        hint = (
            f"ask its owner for: GRANT {privilege} ON {kind.upper()} {name} TO `<who runs trueup>`"
        )
    elif "PERMISSION" in said.upper() or "PRIVILEGE" in said.upper():
        hint = (
            "ask for USE CATALOG on the catalog, and USE SCHEMA, CREATE TABLE, SELECT and MODIFY"
            " on the schema"
        )
    return StatementFailed(
        f"{_cut(said)} (statement {statement_id})", code=found[1] if found else "", hint=hint
    )


def _typed(column: ColumnInfo, cells: Iterable[str | None]) -> Iterable[Cell]:
    """Return cells, which come as text, as what their column holds."""
    kind = column.type_name.value if column.type_name else ""
    if kind in _NUMBERS:
        return [None if cell is None else int(cell) for cell in cells]
    if kind == "BOOLEAN":
        return [None if cell is None else cell.lower() == "true" for cell in cells]
    return cells


def _line(error: BaseException) -> str:
    return _cut(str(error))


def _cut(said: str) -> str:
    """Return the first line of a message; addresses in it may hold a signature."""
    line = (said.strip().splitlines() or ["no reason given"])[0]
    return _IN_TEXT.sub("<address>", line)[:500]

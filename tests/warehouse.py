"""A stand-in for a Databricks workspace: it speaks the REST protocol; a real Spark runs the SQL.

What is the service's own is imitated: states and polling, chunks, links into cloud storage,
errors and throttling, starting of warehouses, secrets, tokens. What the SQL means is not: every
statement runs on Delta tables in a Spark session. Unity Catalog is thin: a schema is a folder, as
the local backend has it, and its tables are the folders below. Named parameters become literals
here, since they fail on sessions with Delta's extension (pyspark 4.2.0).
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import threading
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

from runner.state.commits import turn

if TYPE_CHECKING:
    from databricks.sdk.core import ApiClient

    from runner.state.session import Session

TOKEN = "dapi-0123456789"  # nothing but this process accepts it
CLIENT = ("client-of-a-pipeline", "secret-of-a-pipeline")
WAREHOUSE = "1a2b3c4d5e6f7a8b"

Json = dict[str, object]

_LEXEME = re.compile(
    r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`]|``)*`|--[^\n]*|(?<!:):([A-Za-z_]\w*)",
    re.DOTALL,
)
_CATALOGUED = re.compile(
    r"(CREATE CATALOG|CREATE SCHEMA|DROP TABLE) IF (?:NOT )?EXISTS"
    r" `(\w+)`(?:\.`(\w+)`)?(?:\.`(\w+)`)?(?: COMMENT '\w+')?(?:; |$)"
)
"""A statement about the catalogue, alone or in a script."""
_THREE_PARTS = re.compile(r"`(\w+)`\.`(\w+)`\.`(\w+)`")
_TYPES = {
    "bigint": ("LONG", "BIGINT"),
    "int": ("INT", "INT"),
    "string": ("STRING", "STRING"),
    "boolean": ("BOOLEAN", "BOOLEAN"),
    "timestamp": ("TIMESTAMP", "TIMESTAMP"),
    "date": ("DATE", "DATE"),
}


@dataclass
class Fault:
    """An answer given instead of the real one, `times` times.

    Attributes:
        request: a pattern for `METHOD /path`.
        failure: the message of a statement that fails; else the request itself does.
        lost: whether the statement is carried out before the answer is withheld.
    """

    request: str
    status: int = 200
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Json = field(default_factory=dict[str, object])
    failure: str = ""
    lost: bool = False


@dataclass
class Workspace:
    """The service's side; everything a test may want to bend or look at.

    Attributes:
        spark: runs the statements; without it, none can be submitted.
        schemas: by catalog and schema, the folder of its tables.
        folder: where the folders of new schemas are made.
        starting: how often the warehouse is asked for before it runs; `None` while it runs.
        polls: how often a statement is asked for before it has ended.
        chunk_rows: rows in a chunk of a result.
        inline_bytes: length up to which a result comes with the response.
        expired_links: how many links have expired when they are followed.
        statements: the text of every statement that was submitted.
        tags: the query tags of each.
        cancelled: ids of statements that were cancelled.
    """

    spark: Session | None
    folder: Path
    schemas: dict[tuple[str, str], Path] = field(default_factory=dict[tuple[str, str], Path])
    url: str = ""
    state: str = "RUNNING"
    starting: int = 0
    polls: int = 0
    chunk_rows: int = 10_000
    inline_bytes: int = 25 * 2**20
    expired_links: int = 0
    catalogs: set[str] = field(default_factory=lambda: {"jwp763"})
    secrets: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    faults: list[Fault] = field(default_factory=list[Fault])
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    statements: list[str] = field(default_factory=list[str])
    tags: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    requests: list[str] = field(default_factory=list[str])
    cancelled: list[str] = field(default_factory=list[str])
    lock: threading.Lock = field(default_factory=threading.Lock)
    _done: dict[str, _Statement] = field(default_factory=dict[str, "_Statement"])
    _links: dict[str, str] = field(default_factory=dict[str, str])

    def environment(self) -> dict[str, str]:
        """Return what makes the SDK talk to this workspace with a personal access token."""
        return {
            "DATABRICKS_HOST": self.url,
            "DATABRICKS_TOKEN": TOKEN,
            "DATABRICKS_WAREHOUSE_ID": WAREHOUSE,
        }

    def client(self) -> ApiClient:
        """Return the SDK's client for this workspace, whatever the environment says."""
        from databricks.sdk.core import ApiClient, Config

        return ApiClient(Config(host=self.url, token=TOKEN, retry_timeout_seconds=5))

    def answer(self, request: _Request) -> tuple[int, Json | list[object], Mapping[str, str]]:
        """Return status, body and headers of the answer to a request."""
        with self.lock:
            self.requests.append(request.line)
        path = request.path
        if path.startswith("/external/"):
            return self._external(request)
        if path == "/oidc/v1/token":
            return self._token(request)
        if path == "/.well-known/databricks-config":
            return 200, {"oidc_endpoint": f"{self.url}/oidc", "workspace_id": "7405604"}, {}
        if path == "/oidc/.well-known/oauth-authorization-server":
            return 200, self._endpoints(), {}
        if request.bearer not in self.tokens:
            return 401, {"error_code": "UNAUTHENTICATED", "message": "Invalid access token"}, {}
        fault = self._fault(request)
        if fault and fault.lost:
            self._route(request, None)
        if fault and not fault.failure:
            return fault.status, fault.body, fault.headers
        return self._route(request, fault)

    def _route(
        self, request: _Request, fault: Fault | None
    ) -> tuple[int, Json | list[object], Mapping[str, str]]:
        parts = request.path.removeprefix("/api/2.0/").strip("/").split("/")
        match (request.method, parts):
            case ("POST", ["sql", "statements"]):
                return 200, self._submit(request.body, fault), {}
            case ("GET", ["sql", "statements", name]) if name in self._done:
                return 200, self._done[name].response(self), {}
            case ("GET", ["sql", "statements", name, "result", "chunks", index]):
                return 200, self._done[name].chunk(self, int(index)), {}
            case ("POST", ["sql", "statements", name, "cancel"]):
                self.cancelled.append(name)
                return 200, {}, {}
            case ("GET", ["sql", "warehouses", name]) if name == WAREHOUSE:
                return 200, {"id": name, "state": self._warehouse_state()}, {}
            case ("POST", ["sql", "warehouses", name, "start"]) if name == WAREHOUSE:
                self.state = "STARTING"
                return 200, {}, {}
            case ("GET", ["secrets", "get"]):
                return self._secret(request.query)
            case _:
                said = f"{request.path} does not exist"
                return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": said}, {}

    def _fault(self, request: _Request) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and re.search(fault.request, request.line):
                    fault.times -= 1
                    return fault
        return None

    def _warehouse_state(self) -> str:
        if self.state == "STARTING":
            if self.starting == 0:
                self.state = "RUNNING"
            self.starting -= 1
        return self.state

    def _secret(
        self, query: Mapping[str, str]
    ) -> tuple[int, Json | list[object], Mapping[str, str]]:
        value = self.secrets.get((query.get("scope", ""), query.get("key", "")))
        if value is None:
            said = f"Secret does not exist with scope: {query.get('scope')}"
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": said}, {}
        return 200, {"key": query["key"], "value": base64.b64encode(value.encode()).decode()}, {}

    def _token(self, request: _Request) -> tuple[int, Json | list[object], Mapping[str, str]]:
        expected = base64.b64encode(":".join(CLIENT).encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            return 401, {"error": "invalid_client"}, {}
        token = f"oauth-{uuid.uuid4().hex}"
        self.tokens.add(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600}, {}

    def _endpoints(self) -> Json:
        return {
            "authorization_endpoint": f"{self.url}/oidc/v1/authorize",
            "token_endpoint": f"{self.url}/oidc/v1/token",
        }

    def _external(self, request: _Request) -> tuple[int, Json | list[object], Mapping[str, str]]:
        if "Authorization" in request.headers:
            return 400, {"message": "cloud storage refuses a second way to sign in"}, {}
        text = self._links.pop(request.path, None)
        if text is None or self.expired_links:
            self.expired_links -= 1
            return 403, {"message": "the link has expired"}, {}
        return 200, cast("list[object]", json.loads(text)), {}

    def link(self, rows: list[object]) -> str:
        """Return a link under which rows can be fetched once."""
        path = f"/external/{uuid.uuid4().hex}"
        self._links[path] = json.dumps(rows)
        return self.url + path

    def _submit(self, body: Json, fault: Fault | None) -> Json:
        text = str(body["statement"])
        items = cast("list[dict[str, str]]", body.get("query_tags") or [])
        with self.lock:
            self.statements.append(text)
            self.tags.append({item["key"]: item.get("value", "") for item in items})
        parameters = {
            item["name"]: item.get("value")
            for item in cast("list[dict[str, str]]", body.get("parameters") or [])
        }
        statement = _Statement(uuid.uuid4().hex, str(body.get("disposition")), self.polls)
        self._done[statement.name] = statement
        if len(text.encode()) > 16 * 2**20:
            statement.failure = "the statement is longer than 16 MiB"
        elif fault:
            statement.failure = fault.failure
        else:
            statement.run(self, text, parameters)
        return statement.response(self)

    def execute(self, text: str, parameters: Mapping[str, str | None]) -> tuple[list[Json], Rows]:
        """Run a statement; return the columns of its result and the rows."""
        text = _CATALOGUED.sub(self._catalogued, text)
        if not text.removeprefix("BEGIN ").removesuffix("END"):
            return [], []
        query = _bound(text, parameters)
        names = set(_THREE_PARTS.findall(query))
        query = _THREE_PARTS.sub(lambda found: self._path(query, *found.groups()), query)
        if self.spark is None:
            raise Refused("[NO_SESSION] Nothing runs statements here.")
        writes = re.match(r"MERGE|CREATE|ALTER|BEGIN|OPTIMIZE|VACUUM", query)
        with contextlib.ExitStack() as stack:
            if writes:
                folder = self.schemas[next(iter(names))[:2]]
                stack.enter_context(turn(folder, "", alone=True))
            frame = self.spark.sql(query)
            rows = [tuple(map(_cell, row)) for row in frame.collect()]
        columns: list[Json] = []
        for place, item in enumerate(frame.schema.fields):
            name, kind = _TYPES.get(item.dataType.simpleString(), ("STRING", "STRING"))
            columns.append(
                {"name": item.name, "type_name": name, "type_text": kind, "position": place}
            )
        return columns, rows

    def _catalogued(self, statement: re.Match[str]) -> str:
        """Do what a statement asks of the catalogue; leave nothing of it for the session."""
        doing, catalog, schema, table = statement.groups()
        if doing == "CREATE CATALOG":
            self.catalogs.add(catalog)
            return ""
        self._check_catalog(catalog)
        folder = self.schemas.setdefault((catalog, schema), self.folder / schema)
        folder.mkdir(exist_ok=True)
        if doing == "DROP TABLE":
            shutil.rmtree(folder / table, ignore_errors=True)
        return ""

    def _path(self, query: str, catalog: str, schema: str, table: str) -> str:
        """Return what the session calls a table."""
        self._check_catalog(catalog)
        folder = self.schemas.get((catalog, schema))
        if folder is None:
            raise Refused(f"[SCHEMA_NOT_FOUND] The schema `{catalog}`.`{schema}` cannot be found.")
        path = folder / table
        if not (path / "_delta_log").is_dir() and "CREATE TABLE" not in query:
            name = f"`{catalog}`.`{schema}`.`{table}`"
            raise Refused(f"[TABLE_OR_VIEW_NOT_FOUND] The table or view {name} cannot be found.")
        return f"delta.`{path}`"

    def _check_catalog(self, catalog: str) -> None:
        if catalog not in self.catalogs:
            raise Refused(f"[NO_SUCH_CATALOG_EXCEPTION] Catalog '{catalog}' was not found.")


Rows = list[tuple[str | None, ...]]


class Refused(Exception):
    """The service refuses a statement."""


@dataclass
class _Statement:
    name: str
    disposition: str
    polls: int
    failure: str = ""
    columns: list[Json] = field(default_factory=list[Json])
    rows: Rows = field(default_factory=list[tuple[str | None, ...]])

    def run(self, place: Workspace, text: str, parameters: Mapping[str, str | None]) -> None:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            self.columns, self.rows = place.execute(text, parameters)
        except (PySparkException, Py4JError, Refused) as error:
            self.failure = str(error).strip()[:4000]
            return
        if self.disposition == "INLINE" and len(json.dumps(self.rows)) > place.inline_bytes:
            self.failure = (
                "Inline byte limit exceeded. Statements executed with disposition=INLINE can have"
                f" a result size of at most {place.inline_bytes} bytes."
            )

    def response(self, place: Workspace) -> Json:
        """Return the statement as it is now; each look brings it nearer to its end."""
        answer: Json = {"statement_id": self.name}
        if self.polls > 0:
            self.polls -= 1
            return {**answer, "status": {"state": "RUNNING" if self.polls else "PENDING"}}
        if self.failure:
            error = {"error_code": "BAD_REQUEST", "message": self.failure}
            return {**answer, "status": {"state": "FAILED", "error": error}}
        manifest: Json = {
            "format": "JSON_ARRAY",
            "schema": {"column_count": len(self.columns), "columns": self.columns},
            "total_row_count": len(self.rows),
        }
        status: Json = {"state": "SUCCEEDED"}
        return {**answer, "status": status, "manifest": manifest, "result": self.chunk(place, 0)}

    def chunk(self, place: Workspace, index: int) -> Json:
        start = index * place.chunk_rows
        rows: list[object] = [list(row) for row in self.rows[start : start + place.chunk_rows]]
        chunk: Json = {"chunk_index": index, "row_offset": start, "row_count": len(rows)}
        if start + place.chunk_rows < len(self.rows):
            chunk["next_chunk_index"] = index + 1
        if self.disposition == "EXTERNAL_LINKS":
            return {"external_links": [{**chunk, "external_link": place.link(rows)}]}
        return {**chunk, "data_array": rows}


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def bearer(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    place: Workspace

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is given
        pass

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_json = "json" in self.headers.get("Content-Type", "")
        request = _Request(
            self.command,
            parts.path,
            {name: values[0] for name, values in parse_qs(parts.query).items()},
            dict(self.headers.items()),
            cast("Json", json.loads(sent)) if sent and is_json else {},
        )
        status, body, headers = self.place.answer(request)
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@contextlib.contextmanager
def serving(spark: Session | None, folder: Path) -> Generator[Workspace]:
    """Serve a workspace on loopback for the length of the block."""
    place = Workspace(spark, folder)
    handler = type("Handler", (_Handler,), {"place": place})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    place.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield place
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _bound(text: str, parameters: Mapping[str, str | None]) -> str:
    """Return a statement with literals for its markers; text in quotes is left alone."""

    def literal(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return found[0]
        if name not in parameters:
            raise Refused(f"[UNBOUND_SQL_PARAMETER] Found the unbound parameter: {name}.")
        value = parameters[name]
        if value is None:
            return "NULL"
        # A session also puts variables for `${name}`, even inside quotes.
        plain = value.replace("\\", "\\\\").replace("'", "\\'").replace("$", "\\u0024")
        return f"'{plain}'"

    return _LEXEME.sub(literal, text)


def _cell(value: object) -> str | None:
    """Return a value as the service writes it into JSON."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case dict() | list():
            return json.dumps(value, default=str)
        case _:
            return str(value)

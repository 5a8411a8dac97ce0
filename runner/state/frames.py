"""The state, a plan and what both cost as Spark DataFrames, and bars to show them: for notebooks.

Everything stays in the engine until it is shown, so that a notebook may look at any state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, cast

from runner.state import spark_at, sql
from runner.state.commits import LEASE
from runner.state.session import Session
from runner.state.spark import Place
from schemas.domain import Plan, canonical
from schemas.tables import Name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from runner.workspace import Workspace

_BINDINGS = """
SELECT address, platform, kind, remote_id, url,
  drift IS NULL AND pending IS NULL AND coalesce(desired_hash, '') <> '' AS in_step,
  json_object_keys(drift) AS drifted, get_json_object(pending, '$.action') AS pending, updated_at
FROM {bindings} ORDER BY address, platform
"""
_RUNS = """
SELECT run_id, kind, status, who, commit, started_at, ended_at,
  unix_timestamp(ended_at) - unix_timestamp(started_at) AS seconds,
  coalesce(CAST(get_json_object(counts, '$.applied') AS BIGINT), 0) AS applied,
  coalesce(CAST(get_json_object(counts, '$.skipped') AS BIGINT), 0) AS skipped,
  coalesce(CAST(get_json_object(counts, '$.failed') AS BIGINT), 0) AS failed,
  coalesce(CAST(get_json_object(counts, '$.unknown') AS BIGINT), 0) AS unknown, error
FROM {runs} WHERE kind <> '{lease}' ORDER BY run_id DESC
"""
_HISTORY = """
SELECT run_id, ended_at, address, platform, action, status, fields, requests, milliseconds, error
FROM {sync_logs} ORDER BY run_id DESC, seq
"""
_REQUESTS = """
SELECT run_id, platform, count(*) AS changes, sum(requests) AS requests,
  sum(milliseconds) / 1000 AS seconds, count_if(status <> 'applied') AS unfinished
FROM {sync_logs} GROUP BY run_id, platform ORDER BY run_id DESC, platform
"""
_COSTS = """
SELECT CAST(started_at AS DATE) AS day, tier, model, count(*) AS calls,
  sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
  sum(cost_microdollars) / 1000000 AS dollars, count_if(verdict <> 'accepted') AS unaccepted
FROM {agent_logs} GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2, 3
"""
_CHANGES = (
    "address STRING, kind STRING, platform STRING, action STRING, reason STRING, field STRING,"
    " before STRING, after STRING, owner STRING"
)


@dataclass(frozen=True, slots=True)
class Frames:
    """The tables of a state, and what people ask of them.

    Attributes:
        session: runs the queries.
        place: where the tables are.
    """

    session: Session
    place: Place

    def table(self, name: Name) -> DataFrame:
        """Return a table as it is stored; columns of JSON are text."""
        return self.session.sql(f"SELECT * FROM {self.place.name(name)}")

    def bindings(self) -> DataFrame:
        """Return what is bound to what, and whether it is in step with the specs."""
        return self._view(_BINDINGS)

    def runs(self) -> DataFrame:
        """Return the runs, newest first, with how many changes came to which end."""
        return self._view(_RUNS)

    def history(self) -> DataFrame:
        """Return every operation of every run, newest run first."""
        return self._view(_HISTORY)

    def requests(self) -> DataFrame:
        """Return what each run cost on each platform, in requests and seconds."""
        return self._view(_REQUESTS)

    def costs(self) -> DataFrame:
        """Return what the agent's models cost, by day, tier and model, in US dollars."""
        return self._view(_COSTS)

    def commits(self, name: Name = "bindings") -> DataFrame:
        """Return the versions of a table, newest first; any of them can be read again."""
        return self.session.sql(f"DESCRIBE HISTORY {self.place.name(name)}").select(
            "version", "timestamp", "operation", "userMetadata", "operationMetrics"
        )

    def plan(self, plan: Plan) -> DataFrame:
        """Return a plan, a row for each field that changes; one row where none does."""
        rows: list[tuple[str | None, ...]] = []
        for change in plan.changes:
            what = (change.address, change.kind, change.platform, change.action, change.reason)
            rows += [
                (*what, item.name, canonical(item.before), canonical(item.after), item.owner)
                for item in change.fields
            ]
            if not change.fields:
                rows.append((*what, None, None, None, None))
        return self.session.createDataFrame(rows, _CHANGES)

    def price(self, plan: Plan) -> DataFrame:
        """Return what a plan will cost on each platform, in requests."""
        rows = sorted(plan.cost.requests.items())
        return self.session.createDataFrame(rows, "platform STRING, requests BIGINT")

    def _view(self, query: str) -> DataFrame:
        names = {name: self.place.name(name) for name in _ASKED}
        return self.session.sql(query.format(lease=LEASE, **names))


_ASKED: tuple[Name, ...] = ("bindings", "runs", "sync_logs", "agent_logs")


def open_frames(place: Workspace) -> Frames:
    """Return the state of a spec repo as frames, in the session that is there.

    Raises:
        ConfigError: there is no Spark here.
    """
    return Frames(*spark_at(place.loaded.settings, place.config))


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar for each row of a frame; a notebook shows it when it is the last thing in a cell.

    Attributes:
        title: stands above the bars.
        rows: the label and the length of each bar, in order.
    """

    title: str
    rows: Sequence[tuple[str, float]]

    @property
    def html(self) -> str:
        """The bars as HTML with a picture in it."""
        longest = max((value for _, value in self.rows), default=0) or 1
        lines = [
            f'<text x="0" y="{22 * i + 15}">{escape(label)}</text>'
            f'<rect x="220" y="{22 * i + 3}" width="{value / longest * 360:.1f}" height="15"'
            f' fill="#4c78a8"/><text x="{226 + value / longest * 360:.1f}" y="{22 * i + 15}">'
            f"{value:g}</text>"
            for i, (label, value) in enumerate(self.rows)
        ]
        return (
            f"<figure><figcaption>{escape(self.title)}</figcaption>"
            f'<svg role="img" width="680" height="{22 * len(lines) + 4}" font-size="12"'
            f' font-family="sans-serif" fill="currentColor">{"".join(lines)}</svg></figure>'
        )

    def _repr_html_(self) -> str:
        """Return the same; notebooks ask for it by this name."""
        return self.html


def bars(frame: DataFrame, value: str, by: Sequence[str], title: str, most: int = 20) -> Bars:
    """Return bars for the first rows of a frame.

    Args:
        frame: its rows are drawn in order.
        value: the column that says how long a bar is.
        by: the columns that name it.
        title: stands above.
        most: rows beyond so many are left out.
    """
    rows = frame.selectExpr(
        f"concat_ws(' ', {', '.join(map(sql.quoted, by))}) AS label",
        f"CAST({sql.quoted(value)} AS DOUBLE) AS value",
    )
    picked = cast("list[tuple[str, float | None]]", rows.limit(most).collect())
    return Bars(title, [(label, number or 0.0) for label, number in picked])

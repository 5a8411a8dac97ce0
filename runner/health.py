"""How a reconciler is doing: for probes, and for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.turn import Turn

PATIENCE = 3
"""Turns that may be missed or fail before a reconciler counts as not ready."""


@dataclass(slots=True)
class Health:
    """What the turns so far came to; counts only grow.

    Attributes:
        clock: returns the seconds since 1970.
        interval: seconds between two turns.
        version: of trueup.
        failing: how many turns have failed one after the other.
    """

    clock: Callable[[], float]
    interval: float
    version: str = ""
    failing: int = 0
    began: float = 0.0
    last_success: float = 0.0
    last: Turn | None = None
    turns: Counter[str] = field(default_factory=Counter[str])
    changes: Counter[str] = field(default_factory=Counter[str])
    requests: Counter[str] = field(default_factory=Counter[str])
    calls: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    drafts: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.clock()

    def record(self, turn: Turn) -> None:
        """Count a turn."""
        self.last = turn
        self.turns[turn.ending] += 1
        self.changes.update(turn.counts)
        self.requests.update(turn.requests)
        self.seconds += turn.seconds
        if turn.ending == "failed":
            self.failing += 1
        else:
            self.failing = 0
            self.last_success = self.clock()

    def unready(self) -> str:
        """Return why nobody should rely on this reconciler, or ''."""
        if self.last is None:
            return "the first turn is not over yet"
        if self.failing >= PATIENCE or (self.failing and not self.last_success):
            return f"{self.failing} turns in a row have failed: {self.last.error}"
        if self.clock() - self.last_success > PATIENCE * self.interval + 300:
            return "no turn has succeeded for a long time"
        return ""

    def metrics(self) -> str:
        """Return everything in Prometheus's text format."""
        lines: list[str] = []
        for name, kind, text, samples in self._families():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{_labels(labels)} {value:.15g}" for labels, value in samples]
        return "\n".join(lines) + "\n"

    def _families(self) -> Iterator[tuple[str, str, str, _Samples]]:
        last = self.last
        yield (
            "trueup_info",
            "gauge",
            "The version that runs, and the commit applied last.",
            [({"version": self.version, "commit": last.commit if last else ""}, 1)],
        )
        yield (
            "trueup_runs_total",
            "counter",
            "Turns by how they ended.",
            [({"ending": name}, self.turns[name]) for name in ("done", "busy", "failed")],
        )
        yield (
            "trueup_run_seconds_total",
            "counter",
            "Seconds spent on turns.",
            [({}, self.seconds)],
        )
        yield (
            "trueup_changes_total",
            "counter",
            "Changes by what became of them.",
            [
                ({"status": name}, self.changes[name])
                for name in ("applied", "skipped", "failed", "unknown")
            ],
        )
        yield (
            "trueup_requests_total",
            "counter",
            "Requests sent to platforms.",
            [({"platform": name}, count) for name, count in sorted(self.requests.items())],
        )
        yield (
            "trueup_webhooks_total",
            "counter",
            "Calls of webhooks by what became of them.",
            [
                ({"source": source, "result": result}, count)
                for (source, result), count in sorted(self.calls.items())
            ],
        )
        yield (
            "trueup_drafts_total",
            "counter",
            "Requests to the agent by what became of them.",
            [({"result": result}, count) for result, count in sorted(self.drafts.items())],
        )
        yield (
            "trueup_failures_in_a_row",
            "gauge",
            "Turns that have failed one after the other.",
            [({}, self.failing)],
        )
        yield (
            "trueup_last_success_timestamp_seconds",
            "gauge",
            "When a turn last ended well.",
            [({}, self.last_success)] if self.last_success else [],
        )
        yield (
            "trueup_drift_fields",
            "gauge",
            "Declared fields that differ on a platform.",
            [({}, last.drift)] if last else [],
        )
        yield (
            "trueup_changes_left",
            "gauge",
            "Changes that the next plan has.",
            [({}, last.left)] if last else [],
        )


_Samples = list[tuple[Mapping[str, str], float]]


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"

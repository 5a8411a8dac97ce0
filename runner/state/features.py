"""Which features of a Delta table keep another engine from writing to it."""

from __future__ import annotations

from runner.state.engine import Look

WRITABLE = frozenset(
    {
        "appendOnly",
        "changeDataFeed",
        "checkConstraints",
        "columnMapping",
        "deletionVectors",
        "invariants",
        "vacuumProtocolCheck",
    }
)
"""Features with which every engine could MERGE (deltalake 1.6.6, delta-spark 4.4.0; verified
2026-11-24). Row tracking, clustering, in-commit timestamps, column defaults, identity columns and
type widening are not among them; nor is what is not known yet."""

_PREFIX = "delta.feature."


def obstacles(look: Look) -> list[str]:
    """Return the features with which some engine could not write to a table, sorted."""
    named = {key.removeprefix(_PREFIX) for key in look.properties if key.startswith(_PREFIX)}
    return sorted((look.features | named) - WRITABLE)


def remedy(table: str, feature: str) -> str:
    """Return what to do about a feature of a table."""
    return (
        f"on the engine that set it: ALTER TABLE {table} DROP FEATURE {feature};"
        " or move the state with: trueup state copy"
    )

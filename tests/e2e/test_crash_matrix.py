"""A sample of the crash matrix; `make crash` runs all of it."""

from __future__ import annotations

import pytest

from tests.e2e.crashes import PHASES, Phase, measure, table

EVERY = 24


@pytest.mark.parametrize("phase", PHASES)
def test_an_apply_after_a_crash_ends_where_one_without_does(phase: Phase) -> None:
    rows = measure(phase, 0, 1, EVERY)
    print(table(rows))
    assert [detail for row in rows for detail in row.details] == []
    assert sum(row.reached for row in rows) > 5

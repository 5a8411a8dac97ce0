"""What the vendors' published schemas have against recorded requests."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from runner.sandbox._world import Exchange


def objections(exchange: Exchange) -> list[str]:
    """Return what is wrong with one exchange, by the judge of its platform."""
    module = importlib.import_module(f"tests.contract.vendor_{exchange.platform}")
    judge = cast("Callable[[Exchange], list[str]]", module.violations)
    return judge(exchange)

"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The vendors' published schemas; in continuous integration they must be there."""
    folder = REPO.parent / "shared" / "contracts"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"the vendors' schemas are missing: {folder.name}")
        pytest.skip("the vendors' schemas (../shared/contracts) are not beside this checkout")
    return folder

"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.state.session import Session, open_session
from schemas.errors import ConfigError

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


@pytest.fixture(scope="session")
def spark() -> Session:
    """The one Spark session of all tests; in continuous integration it must come up.

    Tests that ask for it belong to the xdist group `spark`, so that one process starts Java.
    """
    try:
        return open_session(lambda name: os.environ.get(name, ""))
    except ConfigError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(f"{error} ({error.hint})")

"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.state.session import Session, open_session
from schemas.errors import ConfigError

REPO = Path(__file__).parent.parent
PROVIDERS = ("ANTHROPIC_", "OPENAI_", "XAI_", "GEMINI_", "GOOGLE_")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let no test ask a model: no key of the machine's user is there, and the switch is off.

    Tests of the wires open the switch, for servers on loopback.
    """
    for name in [name for name in os.environ if name.startswith(PROVIDERS)]:
        del os.environ[name]
    if any("agent" in item.nodeid or "models" in item.nodeid for item in session.items):
        from pydantic_ai import models

        models.ALLOW_MODEL_REQUESTS = False


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

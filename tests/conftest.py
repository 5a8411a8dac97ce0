"""Fixtures that every test may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

import tests.offline.sitecustomize
from runner.state.session import Session, open_session
from schemas.errors import ConfigError

REPO = Path(__file__).parent.parent
OFFLINE = str(Path(tests.offline.sitecustomize.__file__).parent)
PROVIDERS = ("ANTHROPIC_", "OPENAI_", "XAI_", "GEMINI_", "GOOGLE_")


class _NoModels(MetaPathFinder):
    """Finds `pydantic_ai.models`, and has it begin with its switch off; imports nothing itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "pydantic_ai.models":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _SwitchedOff(fullname, spec.loader.path)
        return spec


class _SwitchedOff(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        vars(module)["ALLOW_MODEL_REQUESTS"] = False


def pytest_configure() -> None:
    """Let no test ask a model, or anybody else: no key, the switch off, and no way out.

    Tests of the wires open the switch, for servers on loopback.
    """
    for name in [name for name in os.environ if name.startswith(PROVIDERS)]:
        del os.environ[name]
    os.environ["PYTHONPATH"] = OFFLINE
    sys.meta_path.insert(0, _NoModels())


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

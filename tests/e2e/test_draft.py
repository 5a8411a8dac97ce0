"""`trueup draft` as it is typed: the installed command, and a model on loopback."""

from __future__ import annotations

import resource
import sys
from collections.abc import Generator

import pytest

from tests.e2e.shell import Shell
from tests.models.bench import ADD, APP, KEY
from tests.models.wire import ModelServer, draft, in_order, serving
from tests.specrepo import AROUND

GOOD = draft(
    "Add a \x1b[31msign-up\x1b[0m screen", rationale="New people need a way in.", operations=[ADD]
)
MESSAGE = "Add a sign-up screen to the app"


@pytest.fixture
def models() -> Generator[ModelServer]:
    with serving(in_order(GOOD)) as server:
        yield server


@pytest.fixture
def repo(shell: Shell, models: ModelServer) -> Shell:
    shell.write({"specs/people.yaml": AROUND, "specs/app.yaml": APP})
    shell.environment |= {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{models.url}/v1",
        "TRUEUP_TODAY": "2026-11-24",
    }
    return shell


def test_a_request_ends_in_the_work_tree(repo: Shell, models: ModelServer) -> None:
    done = repo.done("draft", "--local", "--request-id", "r-1", MESSAGE)
    assert "plan: 4 to create" in done.out
    assert "written to the work tree" in done.out
    assert "\x1b" not in done.out + done.err
    assert "route: small" in done.err
    assert "sign-up: {title: Build the sign-up screen" in (
        repo.folder / "specs" / "app.yaml"
    ).read_text(encoding="utf-8")
    assert repo.trueup("validate").code == 0

    told = repo.done("show", "--request", "r-1")
    assert "openai-chat:gpt-6-luna" in told.out
    assert MESSAGE in told.out
    assert "$0.0" in told.out
    found = repo.done("show", "--request", "r-1", "--json").json()
    assert (found["status"], found["draft"]["operations"][0]["op"]) == ("written", "add_task")
    assert found["calls"][0]["verdict"] == "accepted"

    again = repo.done("draft", "--local", "--request-id", "r-1", MESSAGE)
    assert "was drafted before" in again.out
    assert len(models.asked) == 1
    for output in (done, told, again):
        assert KEY not in output.out + output.err


def test_a_dry_run_writes_nothing_and_speaks_json(repo: Shell) -> None:
    found = repo.done("draft", "--dry-run", "--json", MESSAGE).json()
    assert found["status"] == "drafted"
    assert found["files"] == ["specs/app.yaml"]
    assert found["plan"]["summary"]["create"] == 4
    assert found["cost"]["calls"][0]["model"] == "openai-chat:gpt-6-luna"
    assert "sign-up" not in (repo.folder / "specs" / "app.yaml").read_text(encoding="utf-8")


def test_the_choice_is_explained_and_nobody_asked(repo: Shell, models: ModelServer) -> None:
    told = repo.done("draft", "--explain", "Create a shop in 3 months").out
    assert told.splitlines()[0] == "openai-chat:gpt-6.1-sol (medium)"
    assert "plans something new against a deadline" in told
    found = repo.done("draft", "--explain", "--json", MESSAGE).json()
    assert found["tier"] == "small"
    assert not models.asked


def test_without_a_key_it_says_what_to_do(repo: Shell) -> None:
    del repo.environment["OPENAI_API_KEY"], repo.environment["OPENAI_BASE_URL"]
    refused = repo.trueup("draft", "--local", MESSAGE)
    assert refused.code == 1
    assert "there is no model to ask" in refused.err
    assert "ANTHROPIC_API_KEY" in refused.err
    assert "Traceback" not in refused.err


def test_without_a_forge_nothing_is_spent(repo: Shell, models: ModelServer) -> None:
    refused = repo.trueup("draft", MESSAGE)
    assert refused.code == 1
    assert "cannot tell which GitLab project" in refused.err
    assert not models.asked


def test_no_test_reaches_a_provider(repo: Shell) -> None:
    del repo.environment["OPENAI_BASE_URL"]
    refused = repo.trueup("draft", "--dry-run", MESSAGE)
    assert refused.code == 1
    assert "no model answers: openai:gpt-6-luna: could not be reached" in refused.err
    assert KEY not in refused.err


@pytest.mark.parametrize("wrong", [("draft",), ("revise", "abc"), ("show",), ("draft", "--x")])
def test_wrong_usage(repo: Shell, wrong: tuple[str, ...]) -> None:
    assert repo.trueup(*wrong).code == 64


def test_only_the_provider_that_is_asked_is_imported(repo: Shell, models: ModelServer) -> None:
    program = """
import sys
from runner.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("\\n".join(sys.modules), file=sys.stderr)
"""
    for provider in ("ANTHROPIC", "GEMINI", "XAI"):
        repo.environment |= {f"{provider}_API_KEY": KEY, f"{provider}_BASE_URL": models.url}
    spent = cpu_of_children()
    result = repo.run(sys.executable, "-P", "-c", program, "draft", "--dry-run", MESSAGE)
    assert result.code == 0, result.err
    assert [asked.wire for asked in models.asked] == ["anthropic"]
    modules = {line.partition(".")[0] for line in result.err.splitlines()}
    assert "anthropic" in modules
    assert not modules & {"openai", "xai_sdk", "grpc"}
    assert "google.genai" not in result.err
    # Under 2.5 s where nothing else runs (`python -m bench draft`).
    assert cpu_of_children() - spent < 4


def cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

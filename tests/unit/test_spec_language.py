"""The language as one thing: models, JSON Schemas and the repo's own specs agree."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

import pytest
from jsonschema import Draft202012Validator

from runner.language.parse import Text, parse
from schemas.spec import MODELS, json_schemas
from schemas.values import BadValue, format_estimate, parse_estimate
from tests.generated import EXAMPLES, generated
from tests.specrepo import TODAY, desired, problems

REPO = Path(__file__).parent.parent.parent
SPECS = sorted((REPO / "specs").rglob("*.yaml"))
SCHEMAS = json_schemas()


class _Validator(Protocol):
    def is_valid(self, instance: object) -> bool: ...


def accepts(schema: dict[str, object], document: object) -> bool:
    """Return whether a JSON Schema accepts a document."""
    return cast("_Validator", Draft202012Validator(schema)).is_valid(document)


def test_our_own_specs_have_no_problem():
    assert problems(REPO, TODAY) == []
    kinds = [item.kind for item in desired(REPO).resources.values()]
    assert kinds.count("project") == 2
    assert 40 <= kinds.count("task") <= 60


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_our_own_specs_name_a_schema_that_exists(path: Path):
    first = path.read_text().splitlines()[0]
    marker = "# yaml-language-server: $schema="
    assert first.startswith(marker)
    assert (path.parent / first.removeprefix(marker)).resolve().is_file()


@pytest.mark.parametrize("kind", MODELS)
def test_schemas_are_sound_and_accept_what_the_models_accept(kind: str):
    schema = SCHEMAS[kind.lower()]
    Draft202012Validator.check_schema(schema)
    (content,) = parse(Text("", (REPO / EXAMPLES[kind]).read_text())).documents
    assert accepts(schema, content)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "Project", "key": "app"},
        {"kind": "Project", "key": "App", "name": "App"},
        {"kind": "Project", "key": "app", "name": "App", "priority": "hihg"},
        {"kind": "Project", "key": "app", "name": "App", "tasks": {"a": {"titel": "A"}}},
        {"kind": "Project", "key": "app", "name": "App", "due": "tomorrow"},
        {
            "kind": "Project",
            "key": "app",
            "name": "App",
            "tasks": {"a": {"title": "A", "estimate": 4}},
        },
    ],
)
def test_schemas_refuse_what_the_models_refuse(document: dict[str, object]):
    assert not accepts(SCHEMAS["project"], document)


def test_every_field_is_described_with_an_example():
    for schema in SCHEMAS.values():
        defs = cast("dict[str, dict[str, object]]", schema.get("$defs", {}))
        for model in defs.values():
            fields = cast("dict[str, dict[str, object]]", model.get("properties", {}))
            assert all("examples" in field for field in fields.values())


def test_generated_files_are_fresh():
    for name, content in generated():
        assert (REPO / name).read_text() == content, f"run: make generate ({name})"


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90m", 90),
        ("4h", 240),
        ("2d", 960),
        ("1w", 2400),
        ("1d 4h", 720),
        ("1.5h", 90),
        ("1d4h", 720),
    ],
)
def test_estimates_are_minutes_of_work(text: str, minutes: int):
    assert parse_estimate(text) == minutes
    assert parse_estimate(format_estimate(minutes)) == minutes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4",
        "h",
        "4 hours",
        "-4h",
        "0h",
        "1h 1h",
        "1.001h",
        "9999w",
        "4h!",
        "\N{ARABIC-INDIC DIGIT FOUR}h",
    ],
)
def test_what_is_no_estimate_is_refused(text: str):
    with pytest.raises(BadValue):
        parse_estimate(text)

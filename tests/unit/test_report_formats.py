"""Diagnostics as people and machines read them."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from runner.report import render
from schemas.domain import Diagnostic, Source

ERROR = Diagnostic(
    "error",
    "unknown-field",
    "a task has no field `titel`",
    Source("specs/a.yaml", 12, 5),
    "did you mean `title`?",
    "    titel: x",
    5,
)
WARNING = Diagnostic("warning", "nothing-enabled", "no platform is enabled")


def test_text_shows_the_line_with_a_caret():
    assert render([ERROR, WARNING], "text") == (
        "specs/a.yaml:12:5: error[unknown-field]: a task has no field `titel`\n"
        "12 |     titel: x\n"
        "   |     ^^^^^\n"
        "  hint: did you mean `title`?\n"
        "\n"
        "warning[nothing-enabled]: no platform is enabled\n"
        "\n"
        "1 error, 1 warning\n"
    )


def test_no_problem_is_no_text():
    assert render([], "text") == ""


def test_colour_is_only_on_request():
    assert "\x1b" not in render([ERROR], "text")
    assert "\x1b[1;31merror[unknown-field]\x1b[0m" in render([ERROR], "text", colour=True)


def test_a_line_cannot_control_the_terminal():
    nasty = Diagnostic("error", "x", "bad \x1b[2J", Source("a\n.yaml", 1, 1), "\x07", "\x1b]0;x", 1)
    for style in ("text", "junit"):
        assert not set(render([nasty], style)) & {"\x1b", "\x07"}


def test_a_long_line_is_cut_round_the_caret():
    line = "x" * 300 + "HERE" + "y" * 300
    shown = render([Diagnostic("error", "x", "m", Source("a", 1, 301), "", line, 4)], "text")
    first, second = shown.splitlines()[1:3]
    assert len(first) < 120
    assert first[second.index("^") : second.rindex("^") + 1] == "HERE"


def test_the_caret_allows_for_wide_characters_and_tabs():
    item = Diagnostic("error", "x", "m", Source("a", 1, 4), "", "\t漢字x: y", 1)
    first, second = render([item], "text").splitlines()[1:3]
    assert first == "1 |  漢字x: y"
    assert second == "  |      ^"


def test_json_has_every_part():
    (first, second) = json.loads(render([ERROR, WARNING], "json"))
    assert (first["file"], first["line"], first["column"], first["code"]) == (
        "specs/a.yaml",
        12,
        5,
        "unknown-field",
    )
    assert second["file"] is None


def test_code_quality_fingerprints_are_unique_and_survive_a_moved_line():
    moved = Diagnostic(
        "error",
        ERROR.code,
        ERROR.message,
        Source("specs/a.yaml", 99, 5),
        ERROR.hint,
        ERROR.excerpt,
        5,
    )
    first, again = json.loads(render([ERROR, ERROR], "gitlab"))
    (elsewhere,) = json.loads(render([moved], "gitlab"))
    assert first["fingerprint"] == elsewhere["fingerprint"] != again["fingerprint"]
    assert first["location"] == {"path": "specs/a.yaml", "lines": {"begin": 12}}
    assert first["severity"] == "critical"


def test_sarif_names_rule_and_region():
    (run,) = json.loads(render([ERROR, WARNING], "sarif"))["runs"]
    first, second = run["results"]
    assert run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"] == "unknown-field"
    assert first["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 12,
        "startColumn": 5,
        "endColumn": 10,
    }
    assert second["level"] == "warning"
    assert "locations" not in second


def test_junit_fails_on_errors_only():
    suites = ElementTree.fromstring(render([ERROR, WARNING], "junit"))
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    assert [case.find("failure") is not None for case in suites.iter("testcase")] == [True, False]
    assert ElementTree.fromstring(render([], "junit")).get("failures") == "0"


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="xml"):
        render([], "xml")

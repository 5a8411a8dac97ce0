"""What is wrong with a file is shown where it is wrong, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.language.load import load
from tests.specrepo import codes, problems, write

HEAD = "kind: Project\nkey: app\nname: App\n"


@pytest.mark.parametrize(
    ("body", "expected", "hint"),
    [
        ("estmate: 4h\n", "4:1 unknown-field", "known: "),
        ("tasks: {a: {titel: x}}\n", "4:13 unknown-field", "did you mean `title`?"),
        (
            "tasks: {a: {estimate: 4h}}\n",
            "4:9 missing-field",
            "for example `title: Pick the stack`",
        ),
        ("tasks: {A b: {title: x}}\n", "4:9 bad-key", "a-b"),
        ("priority: hgih\n", "4:11 unknown-value", "did you mean `high`?"),
        ("tasks: {a: {title: 1.10}}\n", "4:20 wrong-type", 'quote it: "1.10"'),
        ("tasks: {a: {title: x, estimate: 4}}\n", "4:33 bad-estimate", "write 4h or 4d"),
        ("tasks: {a: {title: x, estimate: 4 moons}}\n", "4:33 bad-estimate", "90m"),
        ("due: 2026-02-30\n", "4:6 bad-date", ""),
        ("due: 12/31/2026\n", "4:6 bad-date", "YYYY-MM-DD"),
        ("due: 1:30\n", "4:6 ambiguous-scalar", '"1:30"'),
        ("description: yes\n", "4:14 ambiguous-scalar", '"yes"'),
        ("description: 010\n", "4:14 ambiguous-scalar", '"010"'),
        ("description: 0x1F\n", "4:14 wrong-type", '"0x1F"'),
        ("labels: mobile\n", "4:9 wrong-type", "[mobile]"),
        ("labels: ['a, b']\n", "4:10 bad-label", "two labels"),
        ("links: [example]\n", "4:9 bad-link", "https://"),
        ("owner: &a me\nstatus: *b\n", "5:9 bad-alias", ""),
        ("name: Again\n", "4:1 duplicate-key", "keep one"),
        ("description: !!python/name:os.system x\n", "4:14 forbidden-tag", "remove the tag"),
        ("<<: {owner: me}\n", "4:1 merge-key", "`defaults`"),
        ("owner: me: you\n", "4:10 yaml-syntax", "quote"),
        ("\tdue: x\n", "4:1 yaml-syntax", "spaces"),
        ("description: 'open\n", "5:1 yaml-syntax", "not closed"),
        ("? [a]\n: b\n", "4:3 bad-key", ""),
    ],
)
def test_a_problem_has_position_and_hint(tmp_path: Path, body: str, expected: str, hint: str):
    write(tmp_path, HEAD + body)
    found = problems(tmp_path)
    assert [f"{item.source.line}:{item.source.column} {item.code}" for item in found if item.source]
    first = found[0]
    assert first.source is not None
    assert f"{first.source.line}:{first.source.column} {first.code}" == expected
    assert first.source.file == "specs/p.yaml"
    assert hint in first.hint
    assert len(found) == 1


def test_the_excerpt_and_caret_cover_what_is_wrong(tmp_path: Path):
    write(tmp_path, HEAD + "tasks:\n  a: {title: A, priority: hgih}  # why\n")
    (problem,) = problems(tmp_path)
    assert problem.source is not None
    start = problem.source.column - 1
    assert problem.excerpt == "  a: {title: A, priority: hgih}  # why"
    assert problem.excerpt[start : start + problem.width] == "hgih"


def test_all_problems_of_all_files_are_reported_at_once(tmp_path: Path):
    write(tmp_path, HEAD + "owner: you\npriority: x\ntasks: {a: {title: A, depends_on: [b]}}\n")
    (tmp_path / "specs" / "q.yaml").write_text("kind: Project\nkey: [")
    (tmp_path / "specs" / "r.yaml").write_text("kind: Porject\n")
    found = {(item.source.file, item.code) for item in problems(tmp_path) if item.source}
    assert found == {
        ("specs/p.yaml", "unknown-value"),
        ("specs/p.yaml", "unknown-task"),
        ("specs/q.yaml", "yaml-syntax"),
        ("specs/r.yaml", "unknown-kind"),
    }


def test_a_broken_file_causes_no_errors_in_others(tmp_path: Path):
    write(tmp_path, HEAD + "owner: me\ntasks: {a: {title: A, depends_on: [web/x]}}\n", "kind: [")
    assert codes(tmp_path) == ["1:8 yaml-syntax"]


def test_what_was_unsound_is_not_reported_missing(tmp_path: Path):
    body = "milestones: {m: {nam: M}}\ntasks:\n  B: {title: B}\n  a: {title: A, milestone: m}\n"
    write(tmp_path, HEAD + body + "  c: {title: C, depends_on: [a], due: 1}\n")
    assert codes(tmp_path) == ["4:18 unknown-field", "6:3 bad-key", "8:39 bad-date"]


def test_crlf_bom_and_several_documents_are_fine(tmp_path: Path):
    write(tmp_path, HEAD)
    text = "\ufeffkind: Project\r\nkey: web\r\nname: Web\r\n---\r\nkind: Project\r\nkey: x\r\n"
    (tmp_path / "specs" / "q.yml").write_bytes(text.encode() + b"name: X\r\ndue: never\r\n")
    (problem,) = problems(tmp_path)
    assert str(problem.source) == "specs/q.yml:8:6"
    assert problem.excerpt == "due: never"
    assert {item.data["key"] for item in load(tmp_path).projects} == {"app", "web", "x"}


def test_columns_count_characters(tmp_path: Path):
    write(tmp_path, HEAD + "tasks: {a: {title: 'Größe 📐', due: x}}\n")
    assert codes(tmp_path) == ["4:36 bad-date"]


def test_aliases_are_values(tmp_path: Path):
    body = "labels: &l [b, a]\ntasks:\n  a: &t {title: A, labels: *l}\n  b: *t\n"
    write(tmp_path, HEAD + body)
    (document,) = load(tmp_path).projects
    tasks = document.data.get("tasks", {})
    assert tasks["a"] == tasks["b"] == {"title": "A", "labels": ["a", "b"]}


def test_third_party_platforms_are_taken_when_settings_name_them(tmp_path: Path):
    project = HEAD + "tasks: {a: {title: A, jira: {board: 3, title: J}, tasks: {b: {title: B}}}}\n"
    write(tmp_path, project)
    assert codes(tmp_path) == ["4:23 unknown-field"]
    settings = "kind: Settings\nreconcilers: [jira]\n---\nkind: Integrations\njira: {site: x}\n"
    (tmp_path / "specs" / "settings.yaml").write_text(settings)
    assert codes(tmp_path) == []
    (tmp_path / "specs" / "p.yaml").write_text(project.replace("title: J", "title: []"))
    assert codes(tmp_path) == ["4:47 wrong-type"]

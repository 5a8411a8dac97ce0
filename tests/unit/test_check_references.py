"""References, keys and platforms that do not fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.specrepo import COMMON, codes, problems, write

HEAD = "kind: Project\nkey: app\nname: App\n"
OTHER = "---\nkind: Project\nkey: web\nname: Web\ntasks: {x: {title: X}, y: {title: Y}}\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("owner: mee\n", ["4:8 unknown-person"]),
        ("defaults: {owner: you}\n", ["4:19 unknown-person"]),
        ("tasks: {a: {title: A, linear: {owner: you}}}\n", ["4:39 unknown-person"]),
        ("tasks: {a: {title: A, depends_on: [b]}}\n", ["4:36 unknown-task"]),
        ("tasks: {a: {title: A, depends_on: [a]}}\n", ["4:36 self-dependency"]),
        ("tasks: {a: {title: A, depends_on: [web/z]}}\n", ["4:36 unknown-task"]),
        ("tasks: {a: {title: A, depends_on: [wep/x]}}\n", ["4:36 unknown-project"]),
        ("tasks: {a: {title: A, depends_on: [web/x]}}\n", []),
        ("tasks: {a: {title: A, milestone: m}}\n", ["4:34 unknown-milestone"]),
        ("tasks: {a: {title: A, platforms: [linea]}}\n", ["4:35 unknown-platform"]),
        ("tasks: {a: {title: A, tasks: {a: {title: B}}}}\n", ["4:31 duplicate-task"]),
        (
            "tasks: {a: {title: A, tasks: {b: {title: B, depends_on: [a]}}}}\n",
            ["4:58 depends-on-ancestor"],
        ),
        ("tasks: {a: {title: A, depends_on: [b], tasks: {b: {title: B}}}}\n", []),
        ("key: milestones\n", ["4:1 duplicate-key", "4:6 bad-key"]),
        ("moved: {old: new}\n", ["4:14 moved-target"]),
        ("tasks: {a: {title: A}}\nmoved: {o: p, p: a}\n", []),
        ("tasks: {a: {title: A}}\nmoved: {o: p, p: o}\n", ["5:9 moved-cycle", "5:15 moved-cycle"]),
        ("tasks: {a: {title: A}, b: {title: B}}\nmoved: {b: a}\n", ["5:9 moved-clash"]),
        ("tasks: {a: {title: A}}\nmoved: {o: a, p: a}\n", ["5:18 moved-clash"]),
        ("tasks: {a: {title: A}}\nmoved: {web/x: a}\n", ["5:9 moved-clash"]),
        ("tasks: {a: {title: A}}\nmoved: {web/z: a}\n", []),
        ("tasks: {a: {title: A}}\nmoved: {milestones/m: a}\n", ["5:23 moved-target"]),
        ("formerly: [web]\n", ["4:12 moved-clash"]),
    ],
)
def test_what_does_not_fit_is_an_error(tmp_path: Path, body: str, expected: list[str]):
    write(tmp_path, HEAD + body + OTHER)
    assert codes(tmp_path) == expected


def test_near_misses_are_suggested(tmp_path: Path):
    body = "owner: mee\nmilestones: {beta: {name: B}}\ntasks:\n"
    body += "  pick-stack: {title: A, milestone: bta, platforms: [linera]}\n"
    body += "  b: {title: B, depends_on: [pick-stak, xx, web/zz]}\n"
    write(tmp_path, HEAD + body + OTHER.replace("x: {", "xx: {").replace("y: {", "zzz: {"))
    hints = [item.hint for item in problems(tmp_path)]
    names = ["me", "beta", "linear", "pick-stack", "web/xx", "zzz"]
    assert hints == [f"did you mean `{name}`?" for name in names]


def test_a_cycle_is_shown(tmp_path: Path):
    body = "tasks:\n  a: {title: A, depends_on: [c]}\n  b: {title: B, depends_on: [a]}\n"
    write(tmp_path, HEAD + body + "  c: {title: C, depends_on: [b]}\n")
    (problem,) = problems(tmp_path)
    assert problem.code == "circular-dependency"
    assert problem.message == "circular dependency: a → c → b → a"
    assert str(problem.source) == "specs/p.yaml:5:29"


def test_a_cycle_through_subtasks_and_projects_is_found(tmp_path: Path):
    body = "tasks:\n  a: {title: A, tasks: {b: {title: B, depends_on: [web/x]}}}\n"
    write(tmp_path, HEAD + body + OTHER.replace("X}", "X, depends_on: [app/a]}"))
    assert codes(tmp_path) == ["5:51 circular-dependency"]


def test_the_same_key_in_two_files_names_the_other(tmp_path: Path):
    write(tmp_path, HEAD)
    (tmp_path / "specs" / "q.yaml").write_text(HEAD)
    (problem,) = problems(tmp_path)
    assert problem.code == "duplicate-project"
    assert str(problem.source) == "specs/q.yaml:2:6"
    assert "specs/p.yaml:1:1" in problem.message


def test_people_and_sections_are_declared_once(tmp_path: Path):
    write(tmp_path, HEAD)
    (tmp_path / "specs" / "q.yaml").write_text(COMMON + "---\nkind: Settings\npolicy: {}\n")
    (tmp_path / "specs" / "r.yaml").write_text("kind: Settings\npolicy: {}\n")
    found = sorted(item.code for item in problems(tmp_path))
    assert found == ["duplicate-person", *["duplicate-section"] * 3]


def test_a_platform_that_is_off_is_a_warning_once(tmp_path: Path):
    body = "platforms: [motion]\ntasks: {a: {title: A, platforms: [motion]}}\n"
    write(tmp_path, HEAD + body)
    assert codes(tmp_path) == []
    assert codes(tmp_path, "warning") == ["4:13 platform-not-enabled"]


def test_an_enabled_platform_needs_its_container(tmp_path: Path):
    write(tmp_path, HEAD, "kind: Integrations\nlinear: {}\nnotion: {enabled: false}\n")
    assert codes(tmp_path) == ["2:1 missing-field"]


def test_specs_that_go_nowhere_are_a_warning(tmp_path: Path):
    write(tmp_path, HEAD, "kind: People\npeople: {}\n")
    assert codes(tmp_path, "warning") == ["2:6 nothing-enabled"]


def test_many_problems_of_one_file_are_cut_short(tmp_path: Path):
    tasks = "".join(f"  t{n}: {{title: T, depends_on: [x{n}]}}\n" for n in range(500))
    write(tmp_path, HEAD + "tasks:\n" + tasks)
    found = problems(tmp_path)
    assert len(found) == 101
    assert found[-1].code == "more-problems"

"""An edit changes its own lines, in the file's own style, and nothing else."""

from __future__ import annotations

import difflib

import pytest

from schemas import operations as ops
from tests.edits import FILE, WHY, apply, edited, refused

HEAD = "kind: Project\nkey: app\nname: App\n"


def due(key: str = "a", day: str = "2031-01-02") -> ops.UpdateTask:
    return ops.UpdateTask(task=f"app/{key}", set={"due": day}, why=WHY)


def title(text: str, key: str = "a") -> ops.UpdateTask:
    return ops.UpdateTask(task=f"app/{key}", set={"title": text}, why=WHY)


def describe(text: str | None, key: str = "a") -> ops.UpdateTask:
    return ops.UpdateTask(task=f"app/{key}", set={"description": text}, why=WHY)


def label(*names: str, out: tuple[str, ...] = (), key: str = "a") -> ops.Label:
    return ops.Label(items=[f"app/{key}"], add=list(names), remove=list(out), why=WHY)


def remove(key: str) -> ops.RemoveTask:
    return ops.RemoveTask(task=f"app/{key}", why=WHY)


def add(key: str, after: str | None = None) -> ops.AddTask:
    return ops.AddTask(project="app", key=key, after=after, fields={"title": "New"}, why=WHY)


def update(fields: ops.TaskFields) -> ops.UpdateTask:
    return ops.UpdateTask(task="app/a", set=fields, why=WHY)


def release(name: ops.TaskField) -> ops.UpdateTask:
    return ops.UpdateTask(task="app/a", release=[name], why=WHY)


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        ("a: {title: A, due: 2030-01-01}  # why", due(), "a: {title: A, due: 2031-01-02}  # why"),
        ("a: {title: A}", due(), "a: {title: A, due: 2031-01-02}"),
        ("a: { title: A }", due(), "a: { title: A, due: 2031-01-02 }"),
        ("a: {title: A,owner: me}", due(), "a: {title: A,owner: me,due: 2031-01-02}"),
        ("a: {title: 'A', due: '2030-01-01'}", due(), "a: {title: 'A', due: '2031-01-02'}"),
        ('a: {title: A, due: "2030-01-01"}', due(), 'a: {title: A, due: "2031-01-02"}'),
        ("a: {title: A}", title("B"), "a: {title: B}"),
        ("a: {title: A}", title("B, C"), 'a: {title: "B, C"}'),
        ("a: {title: A}", title("?b"), 'a: {title: "?b"}'),
        ("a: {title: A}", title("-b"), "a: {title: -b}"),
        ("a: {title: 'A'}", title("it's"), "a: {title: 'it''s'}"),
        ("a: {title: A, labels: [x]}", label("y"), "a: {title: A, labels: [x, y]}"),
        ("a: {title: A, labels: [x,y]}", label("z"), "a: {title: A, labels: [x,y,z]}"),
        ("a: {title: A, labels: [ x, y ]}", label(out=("y",)), "a: {title: A, labels: [ x ]}"),
        ("a: {title: A, labels: [x, y]}", label(out=("x",)), "a: {title: A, labels: [y]}"),
        ("a: {title: A, labels: [x]}", label(out=("x",)), "a: {title: A, labels: []}"),
        ("a: {title: A, labels: []}", label("x"), "a: {title: A, labels: [x]}"),
        ("a: {title: A, labels: [x, ]}", label("y"), "a: {title: A, labels: [x, y, ]}"),
        (
            "a: {title: A, description: B}",
            describe("x\ny"),
            "a:\n    title: A\n    description: |\n      x\n      y",
        ),
    ],
)
def test_a_task_on_one_line(before: str, operation: ops.Operation, after: str):
    start, end = HEAD + "tasks:\n  # before\n  ", "\n  z: {title: Z}\n# end\n"
    assert edited(start + before + end, operation) == start + after + end


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        ("title: A  # t", title("B"), "title: B  # t"),
        ("title: A", title("yes"), 'title: "yes"'),
        ("title: A", title("010"), 'title: "010"'),
        ("title: A", title("1:30"), 'title: "1:30"'),
        ("title: A", title("12"), 'title: "12"'),
        ("title: A", title("1e3"), 'title: "1e3"'),
        ("title: A", title("Null"), 'title: "Null"'),
        ("title: A", title("a: b"), 'title: "a: b"'),
        ("title: A", title("a:b"), "title: a:b"),
        ("title: A", title("a #b"), 'title: "a #b"'),
        ("title: A", title("C#"), "title: C#"),
        ("title: A", title("- a"), 'title: "- a"'),
        ("title: A", title("-a"), "title: -a"),
        ("title: A", title("@a"), 'title: "@a"'),
        ("title: A", title("100% [x], {y}"), "title: 100% [x], {y}"),
        ("title: A", title('say "x"'), 'title: say "x"'),
        ("title: A", title('"x" she said'), "title: '\"x\" she said'"),
        ("title: A", title("Größe 📐"), "title: Größe 📐"),
        ("title: A", title("2026-01-01"), "title: 2026-01-01"),
        ("title: A\ndue:  # soon", due(), "title: A\ndue: 2031-01-02  # soon"),
        ("title: A\ndue: null", due(), "title: A\ndue: 2031-01-02"),
        (
            "title: A\nowner: me\nlabels: [x]",
            due(),
            "title: A\nowner: me\ndue: 2031-01-02\nlabels: [x]",
        ),
        ("labels: [x]\ntitle: A", due(), "labels: [x]\ntitle: A\ndue: 2031-01-02"),
        (
            "title: A\ndescription: |\n  x\n  y\n",
            describe("x\nz"),
            "title: A\ndescription: |\n  x\n  z\n",
        ),
        (
            "title: A\ndescription: |\n  x\n\nowner: me",
            describe("z"),
            "title: A\ndescription: |\n  z\n\nowner: me",
        ),
        (
            "title: A\ndescription: >\n  x\n  y\n",
            describe("a\n\nb"),
            "title: A\ndescription: |\n  a\n\n  b\n",
        ),
        (
            "title: A\ndescription: |-\n  x\n  y",
            describe("a\nb"),
            "title: A\ndescription: |-\n  a\n  b",
        ),
        (
            "title: A\ndescription: short  # c",
            describe("a\nb"),
            "title: A\ndescription: |  # c\n  a\n  b",
        ),
        (
            "title: A\ndescription: short",
            describe("  a\nb"),
            "title: A\ndescription: |2\n    a\n  b",
        ),
        ("title: A\ndescription: x\n  y z\n  w", describe("new"), "title: A\ndescription: new"),
        ('title: A\ndescription: "x\n  y"', describe("new"), 'title: A\ndescription: "new"'),
        ("title: A\ndescription: |\n  x", describe(None), "title: A\ndescription: null"),
        (
            "title: A\nlabels:\n  - x  # c\n  - y",
            label("z"),
            "title: A\nlabels:\n  - x  # c\n  - y\n  - z",
        ),
        ("title: A\nlabels:\n- x\n- y", label("z", out=("x",)), "title: A\nlabels:\n- y\n- z"),
        (
            "title: A\nlabels:\n  # x\n  - x\n  # y\n  - y",
            label(out=("y",)),
            "title: A\nlabels:\n  # x\n  - x",
        ),
        ("title: A\nlabels:  # c\n  - x", label(out=("x",)), "title: A\nlabels: []  # c"),
        (
            "title: A\nlabels: [\n  x,  # c\n  y,\n]",
            label("z"),
            "title: A\nlabels: [\n  x,  # c\n  y, z,\n]",
        ),
        (
            "title: A\nlabels: [\n  x,\n  y,\n]",
            label("z"),
            "title: A\nlabels: [\n  x,\n  y,\n  z,\n]",
        ),
        (
            "title: A\nlabels: [\n  x,  # c\n  y,\n]",
            label(out=("x",)),
            "title: A\nlabels: [\n  y,\n]",
        ),
        ("title: A\nlabels: [y, x]", label("x"), "title: A\nlabels: [y, x]"),
        ("title: A\nestimate: 240m", update({"estimate": "4h"}), "title: A\nestimate: 240m"),
        ("title: A\nestimate: 240m", release("estimate"), "title: A"),
        (
            "title: A\nlinear: {team: X, title: B}",
            release("linear.title"),
            "title: A\nlinear: {team: X}",
        ),
        ("title: A\nlinear: {title: B}", release("linear.title"), "title: A"),
        (
            "title: A",
            update({"overrides": {"linear": {"container": "WEB"}}}),
            "title: A\nlinear: {team: WEB}",
        ),
        (
            "title: A\nlinks: [https://a.b]",
            update({"links": ["https://a.b", {"url": "https://c.d", "title": "C"}]}),
            "title: A\nlinks: [https://a.b, {url: https://c.d, title: C}]",
        ),
        (
            "title: A\nlinks:\n  - url: https://a.b\n    title: X",
            update({"links": [{"url": "https://a.b", "title": "Y"}]}),
            "title: A\nlinks:\n  - url: https://a.b\n    title: Y",
        ),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("rest", ["\n  # of z\n  z: {title: Z}\n\n# end\n", "\n# end", ""])
def test_a_task_on_lines_of_its_own(
    before: str, operation: ops.Operation, after: str, newline: str, rest: str
):
    def file(fields: str) -> bytes:
        lines = [f"    {line}" if line else "" for line in fields.rstrip("\n").split("\n")]
        text = "\n".join([HEAD + "tasks:", "  a:  # about a", *lines]) + rest
        return ("\ufeff" + text.replace("\n", newline)).encode()

    outcome = apply(file(before), operation)
    assert not outcome.refused, outcome.diagnostics
    assert outcome.files.get(FILE, file(before)) == file(after)


COMMENTED = """\
kind: Project
key: app
name: App

# Tasks
tasks:

  # first part

  # about a
  a:
    title: A  # trailing a
    # inside a
  # about b
  b:
    title: B  # trailing b

    # inside b

  # second part

  c: {title: C}  # trailing c
  # more to come

# Milestones
milestones:
  beta: {name: Beta}

# end of file
"""


@pytest.mark.parametrize(
    ("key", "gone"),
    [
        ("a", ["  # about a", "  a:", "    title: A  # trailing a", "    # inside a"]),
        ("b", ["  # about b", "  b:", "    title: B  # trailing b", "", "    # inside b"]),
        ("c", ["  c: {title: C}  # trailing c", ""]),
    ],
)
def test_a_removed_task_takes_its_own_comments_and_no_others(key: str, gone: list[str]):
    after = edited(COMMENTED, remove(key))
    lines = [
        line[2:]
        for line in difflib.ndiff(COMMENTED.split("\n"), after.split("\n"))
        if line[0] in "+-"
    ]
    assert sorted(lines) == sorted(gone)


def test_what_is_appended_stands_before_the_comments_that_follow():
    after = edited(COMMENTED, add("n"))
    expected = COMMENTED.replace("  # more to come", "  n: {title: New}\n  # more to come")
    assert after == expected


@pytest.mark.parametrize(
    "ending", ["", "\n", "\n\n# end\n", "\n# end", "\n...\n", "\n---\nkind: Settings\n"]
)
def test_the_end_of_the_file_stays_as_it_is(ending: str):
    text = f"{HEAD}tasks:\n  a:\n    title: A"
    assert edited(text + ending, add("n")) == f"{text}\n  n:\n    title: New{ending}"
    both = f"{HEAD}tasks:\n  a:\n    title: A\n  b:\n    title: B"
    assert edited(both + ending, remove("b")) == text + ending
    assert edited(both + ending, remove("a"), remove("b")) == HEAD.removesuffix("\n") + ending


def test_new_tasks_are_set_apart_as_the_others_are():
    text = f"{HEAD}tasks:\n  a:\n    title: A\n\n  b:\n    title: B\n"
    assert edited(text, add("n")) == f"{text}\n  n:\n    title: New\n"
    between = "  a:\n    title: A\n\n  n:\n    title: New\n\n  b:"
    assert edited(text, add("n", after="a")) == text.replace("  a:\n    title: A\n\n  b:", between)
    assert edited(text, remove("b")) == f"{HEAD}tasks:\n  a:\n    title: A\n"
    assert edited(text, remove("a")) == f"{HEAD}tasks:\n  b:\n    title: B\n"


def test_a_moved_task_takes_its_text_along():
    text = f"""{HEAD}tasks:
  # about a
  a:
    title:   'A'   # spaced
    # inside
    description: |
      one

        two
    labels: [x,y]
    tasks:
      # about s
      s: {{ title: S }}
  b:
    title: B
    tasks:
        c: {{title: C}}
# end
"""
    after = edited(text, ops.MoveTask(task="app/a", parent="b", why=WHY))
    start = text.index("  # about a")
    end = text.index("  b:")
    moved = "".join(
        f"      {line}" if line.strip() else line
        for line in text[start:end].splitlines(keepends=True)
    )
    assert after == text[:start] + text[end:].replace("# end", moved + "# end")


def test_a_move_within_the_same_tasks_is_a_change_of_order():
    text = f"{HEAD}tasks:\n  a: {{title: A}}  # a\n  # b\n  b: {{title: B}}\n  c: {{title: C}}\n"
    after = edited(text, ops.MoveTask(task="app/a", after="b", why=WHY))
    assert (
        after
        == f"{HEAD}tasks:\n  # b\n  b: {{title: B}}\n  a: {{title: A}}  # a\n  c: {{title: C}}\n"
    )


KEPT = "  c: &b {title: B, labels: [x, y], owner: me}"

ANCHORED = """\
kind: Project
key: app
name: App
labels: &l [x, y]
tasks:
  a: {title: A, labels: *l}
  b: &b
    title: B
    labels: *l
    owner: &me me
  c: *b
  d: {title: D, owner: *me}
"""


@pytest.mark.parametrize(
    ("operation", "lines"),
    [
        (label("z"), {"  a: {title: A, labels: [x, y, z]}"}),
        (label("z", key="b"), {"    labels: [x, y, z]", "  b:", KEPT}),
        (title("C", "c"), {"  c:", "    title: C", "    labels: [x, y]", "    owner: me"}),
        (title("E", "b"), {"  b:", "    title: E", KEPT}),
        (
            ops.Assign(items=["app/b"], to=None, why=WHY),
            {"  b:", "    owner: null", KEPT, "  d: {title: D, owner: &me me}"},
        ),
        (remove("b"), {KEPT, "  d: {title: D, owner: &me me}"}),
        (
            ops.Label(items=["app"], add=["z"], why=WHY),
            {"labels: [x, y, z]", "  a: {title: A, labels: &l [x, y]}"},
        ),
        (
            ops.MoveTask(task="app/b", parent="d", why=WHY),
            {
                KEPT,
                "  d: {title: D, owner: &me me, tasks: {b: {title: B, labels: [x, y], owner: me}}}",
            },
        ),
    ],
)
def test_what_is_shared_by_anchors_is_changed_in_one_place_only(
    operation: ops.Operation, lines: set[str]
):
    after = edited(ANCHORED, operation)
    assert set(after.splitlines()) - set(ANCHORED.splitlines()) == lines


def test_what_comes_from_defaults_is_overridden_in_the_task():
    defaults = "defaults: {labels: [x], priority: low}\n"
    text = f"{HEAD}{defaults}tasks:\n  a:\n    title: A\n  b: {{title: B}}\n"
    after = edited(text, label("y"), update({"priority": "high"}))
    fields = "    title: A\n    priority: high\n    labels: [x, y]\n"
    assert after == text.replace("    title: A\n", fields)
    same = update({"priority": "low", "labels": ["x"]})
    assert edited(text, same) == text
    whole = ops.UpdateProject(project="app", set={"defaults": {"priority": "high"}}, why=WHY)
    assert edited(text, whole) == text.replace("priority: low", "priority: high")


def test_one_field_in_a_long_file_is_one_line():
    tasks = "".join(
        f"  # about t{i}\n  t{i}:\n    title: Task {i}   # t{i}\n    due:   2030-01-01\n\n"
        for i in range(400)
    )
    text = f"{HEAD}tasks:\n{tasks}# end"
    after = edited(text, due("t200"))
    before = text.splitlines()
    changed = [(a, b) for a, b in zip(before, after.splitlines(), strict=True) if a != b]
    assert changed == [("    due:   2030-01-01", "    due:   2031-01-02")]


def test_documents_of_one_file_are_told_apart():
    second = "--- # two\nkind: Project\nkey: web\nname: Web\n# last\n"
    text = f"# both\n{HEAD}tasks: {{a: {{title: A}}}}\n# end of one\n{second}"
    after = edited(text, ops.ArchiveProject(project="web", why=WHY))
    assert after == text[: text.index("---")] + "# last\n"
    after = edited(text, ops.ArchiveProject(project="app", why=WHY))
    assert after == text[text.index("---") :]
    both = apply(text, *(ops.ArchiveProject(project=key, why=WHY) for key in ("app", "web")))
    assert both.files == {FILE: None}


@pytest.mark.parametrize(
    "text",
    [
        "{kind: Project, key: app, name: App, tasks: {a: {title: A}}}\n",
        "--- {kind: Project, key: app, name: App, tasks: {a: {title: A}}}\n...\n",
        '{"kind": "Project", "key": "app", "name": "App", "tasks": {"a": {"title":"A"}}}',
        f"%YAML 1.2\n---\n{HEAD}tasks: {{a: {{title: A}}}}\n",
        f"{HEAD}? tasks\n: a: {{title: A}}\n",
        f"{HEAD}tasks:\n  ? a\n  : title: A\n",
        f"{HEAD}tasks:\n  a: !!map\n    title: !!str A\n",
    ],
)
def test_an_unusual_style_is_edited_or_refused_but_never_spoilt(text: str):
    outcome = apply(text, title("B"), due())
    codes = [item.code for item in outcome.diagnostics if item.severity == "error"]
    assert codes in ([], ["edit-failed"])
    if not codes:
        content = outcome.files[FILE]
        assert content is not None
        assert b"B" in content
        assert b"2031-01-02" in content


def test_a_file_with_faults_is_not_edited():
    assert refused(f"{HEAD}owner: yes\ntasks: {{a: {{title: A}}}}\n", due()) == ["ambiguous-scalar"]


def test_faults_elsewhere_do_not_stand_in_the_way():
    text = f"{HEAD}owner: nobody\ntasks:\n  a:\n    title: A\n"
    assert "due: 2031-01-02" in edited(text, due(), q="kind: Project\nkey: [")
    assert edited(text, ops.Assign(items=["app"], to="me", why=WHY)) == text.replace("nobody", "me")

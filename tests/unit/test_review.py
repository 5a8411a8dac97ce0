"""What stands on a merge request: harmless, cut where GitLab cuts, and read back exactly."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from runner.apply import Applied
from runner.gantt import LONGEST as LONGEST_DIAGRAM
from runner.gantt import label, timeline
from runner.language.load import load
from runner.review import (
    LONGEST,
    OVER_THRESHOLD,
    PRUNES,
    applied_note,
    digest_of,
    inert,
    plain,
    plan_markdown,
    plan_note,
    quoted,
    reviewed,
    risks,
    stopped_note,
    unreviewed,
)
from schemas.domain import Change, FieldChange, Outcome, Plan, Policy, kind_of

HOSTILE = """\
/merge
  /close
@ana and @all, see #4, !5, ~label, %1, $2, &3, ^x
Closes https://gitlab.com/a/b/-/issues/6
![spy](https://evil.example/x.png) [here](javascript:alert(1)) <img src=x> <!-- trueup:plan -->
```mermaid
| a | b |
- [ ] task
1. one
# Heading
> quote
::include{file=x}
[[_TOC_]] **bold** _it_ `code` $`math`$ {+added+}
"""


def change(address: str, action: str = "create", **more: object) -> Change:
    fields = (FieldChange("title", None, "T"), FieldChange("counterparts", None, ("a b",)))
    given = {"fields": fields, "reason": "declared", "platform": "linear", **more}
    kind = kind_of(address)
    return Change(action=action, address=address, kind=kind, resource_id="", **given)  # pyright: ignore[reportArgumentType]


def plan(*changes: Change, policy: Policy | None = None) -> Plan:
    return Plan(changes, "c0ffee", "d", "1", policy=policy or Policy(), bound=100)


@pytest.mark.parametrize("show", [plain, quoted])
def test_text_of_others_shows_and_does_nothing(show: object) -> None:
    text = plain(HOSTILE) if show is plain else quoted(HOSTILE)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = {token.type for token in tokens}
    assert kinds <= {
        "paragraph_open",
        "paragraph_close",
        "inline",
        "blockquote_open",
        "blockquote_close",
    }
    inline = {child.type for token in tokens for child in token.children or ()}
    assert inline <= {"text", "text_special", "hardbreak", "softbreak"}
    bare = re.sub(r"\\.", "", text)
    assert not re.search(r"@\w|[#!~%$&^]\w|https?://|^>?\s*/\w", bare, re.MULTILINE)


def test_text_of_others_reads_as_it_was_written() -> None:
    (paragraph,) = [t for t in MarkdownIt("commonmark").parse(plain(HOSTILE)) if t.type == "inline"]
    shown = "".join(
        "\n" if child.type in {"hardbreak", "softbreak"} else child.content
        for child in paragraph.children or ()
    )
    assert shown.replace("\u200b", "").split("\n") == [
        line.strip() for line in HOSTILE.splitlines()
    ]


def test_a_title_refers_to_nothing() -> None:
    line = inert("/close Closes #4, fixes\nhttps://gitlab.com/a/b/-/issues/6 by @ana \x1b[31m")
    assert "\n" not in line
    assert not re.search(r"#\d|@\w|://|^/\w|\x1b", line)


def test_a_note_tells_what_was_reviewed() -> None:
    changes = [change(f"app/t{number}") for number in range(500)]
    note = plan_note(plan(*changes), "")
    digests = reviewed(note)
    assert digests == {digest_of(item) for item in changes}
    assert unreviewed(plan(*changes), digests or ()) == []
    other = change("app/t1", fields=(FieldChange("title", None, "Other"),))
    assert unreviewed(plan(other, change("app/new")), digests or ()) == [other, change("app/new")]


@pytest.mark.parametrize("note", ["", "hello", "<!-- trueup:reviewed ??? -->"])
def test_other_notes_tell_nothing(note: str) -> None:
    assert reviewed(note) is None


def test_nothing_to_do_was_reviewed_as_well() -> None:
    assert reviewed(plan_note(plan(), "")) == frozenset()


@pytest.mark.parametrize(
    "follows",
    [
        change("app/t", "update", reason="drift"),
        change("app/t", "update", reason="linked"),
        change("app/weekly@2026-W49"),
        change("app/t", "update", fields=(FieldChange("due", "1", "2", "platform"),)),
        change("app/t", "update", fields=(FieldChange("counterparts", (), ("a b",)),)),
    ],
)
def test_what_follows_by_itself_needs_no_review(follows: Change) -> None:
    assert digest_of(follows) == ""
    assert unreviewed(plan(follows), ()) == []


def test_few_changes_are_shown_and_many_are_folded_away() -> None:
    assert "<details>" not in plan_markdown(plan(change("app/t")))
    many = plan_markdown(plan(*[change(f"app/t{n}") for n in range(30)]))
    assert many.count("<details><summary>Changes</summary>") == many.count("</details>") == 1


def test_a_note_is_cut_where_gitlab_would_refuse_it() -> None:
    long = FieldChange("description", None, "x" * 72)
    changes = [change(f"app/t{n}", fields=(long,) * 12) for n in range(2000)]
    note = plan_note(plan(*changes), "")
    assert 0.9 * LONGEST < len(note) <= LONGEST
    assert re.search(r"… and \d+ more resources: see `plan\.md`", note)
    assert note.count("<details>") == note.count("</details>")
    assert reviewed(note) == {digest_of(item) for item in changes}


def test_risks() -> None:
    gone = [change(f"app/t{n}", "archive", fields=()) for n in range(20)]
    assert risks(plan(change("app/t"))) == ()
    assert risks(plan(gone[0])) == (PRUNES,)
    assert risks(plan(*gone)) == (PRUNES, OVER_THRESHOLD)


def test_the_outcome_has_links_and_none_of_them_acts() -> None:
    done = [
        (change("app/t"), Outcome("linear:app/t", "applied", url="https://linear.app/MOB-1")),
        (
            change("app/t", platform="notion"),
            Outcome("notion:app/t", "applied", url="javascript:alert(1)"),
        ),
        (change("app/u"), Outcome("linear:app/u", "failed", error="no @such #thing")),
    ]
    note = applied_note(Applied("run", tuple(done)), {}, commit="c0ffee" * 7, job="")
    assert "- create `app/t`: [linear](<https://linear.app/MOB-1>), notion" in note
    assert "- **failed**: create `app/u` on linear: no \\@\u200bsuch \\#thing" in note
    assert "2 applied, 1 failed" in note
    stopped = stopped_note([change("app/t")], 2, commit="c0ffee" * 7, job="https://x.example/1")
    assert "1 change would be made" in stopped
    assert "and 2 changes that it had would not" in stopped


SPEC = """\
kind: Project
key: app
name: "section: App; `x`"
start: 2026-11-24
due: 2027-02-28
tasks:
  pick: {title: "Pick: the #stack; crit,", estimate: 4h}
  build: {title: Build it, estimate: 2w, depends_on: [pick]}
  chat: {title: Talk, estimate: 1d}
"""


def drawn(root: Path, spec: str, *addresses: str) -> list[str]:
    (root / "specs").mkdir(exist_ok=True)
    (root / "specs" / "app.yaml").write_text(spec)
    changes = plan(*[change(address) for address in addresses])
    return timeline(load(root), changes, date(2026, 11, 24)).splitlines()


def test_the_timeline_shows_the_critical_path(tmp_path: Path) -> None:
    assert drawn(tmp_path, SPEC, "app/chat") == [
        "```mermaid",
        "gantt",
        "  dateFormat YYYY-MM-DD",
        "  section · section App x",
        "  Pick the stack crit :crit, 2026-11-24, 2026-11-25",
        "  Talk :active, 2026-11-24, 2026-11-25",
        "  Build it :crit, 2026-11-24, 2026-12-09",
        "  due :milestone, 2027-02-28, 0d",
        "```",
    ]


def test_what_is_not_touched_is_not_drawn(tmp_path: Path) -> None:
    assert drawn(tmp_path, SPEC, "other/task") == []


def test_the_timeline_keeps_to_what_gitlab_draws_at_once(tmp_path: Path) -> None:
    tasks = "".join(f"  t{n}: {{title: Task number {n}, estimate: 1h}}\n" for n in range(300))
    lines = drawn(tmp_path, SPEC + tasks, "app/t7")
    assert len("\n".join(lines)) <= LONGEST_DIAGRAM
    assert "  Build it :crit, 2026-11-24, 2026-12-09" in lines
    assert "  Task number 7 :active, 2026-11-24, 2026-11-25" in lines
    assert re.fullmatch(r"\d+ more tasks are not drawn\.", lines[-1])


@pytest.mark.parametrize(
    ("title", "name"),
    [("a:b;c#d%e", "a b c d e"), ("title x", "· title x"), ("```", "·"), ("größer", "größer")],
)
def test_labels_are_names_to_mermaid(title: str, name: str) -> None:
    assert label(title).strip() == name

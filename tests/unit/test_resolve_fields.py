"""What the specs ask for: canonical fields, references as addresses, platforms, renames."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.language.load import load
from runner.language.resolve import resolve
from schemas.domain import Fields
from schemas.errors import SpecError
from tests.specrepo import COMMON, TODAY, desired, write

HEAD = "kind: Project\nkey: app\nname: App\n"


def task(root: Path, body: str, address: str = "app/a") -> Fields:
    return desired(write(root, HEAD + body)).resources[address].fields


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("tasks: {a: {title: ' A '}}\n", {}),
        ("tasks: {a: {title: A, estimate: 1d 4h}}\n", {"estimate": 720}),
        ("tasks: {a: {title: A, due: null, labels: null}}\n", {"due": None, "labels": ()}),
        ("tasks: {a: {title: A, labels: [b, a, b]}}\n", {"labels": ("a", "b")}),
        (
            "tasks: {a: {title: A, links: ['https://a.b', {url: 'https://c.d', title: See}]}}\n",
            {"links": ("https://a.b", "https://c.d See")},
        ),
        (
            "tasks:\n  a:\n    title: A\n    description: |\n      x\n\n      y\n\n",
            {"description": "x\n\ny"},
        ),
        ("tasks: {a: {title: A, description: ''}}\n", {"description": None}),
        (
            "milestones: {m: {name: M}}\ntasks: {a: {title: A, milestone: m}}\n",
            {"milestone": "app/milestones/m"},
        ),
        (
            "tasks: {a: {title: A, depends_on: [app/c, b]}, b: {title: B}, c: {title: C}}\n",
            {"depends_on": ("app/b", "app/c")},
        ),
        (
            "defaults: {owner: me, labels: [x], priority: low}\n"
            "tasks: {a: {title: A, priority: high, owner: null}}\n",
            {"owner": None, "labels": ("x",), "priority": "high"},
        ),
    ],
)
def test_fields_are_canonical_and_only_what_is_declared(
    tmp_path: Path, body: str, fields: dict[str, object]
):
    assert task(tmp_path, body) == {"title": "A", "parent": None, **fields}


def test_subtasks_have_parents_and_follow_them(tmp_path: Path):
    body = "tasks: {a: {title: A, tasks: {b: {title: B, tasks: {c: {title: C}}}}}}\n"
    resources = desired(write(tmp_path, HEAD + body)).resources
    assert list(resources) == ["app", "app/a", "app/b", "app/c"]
    assert resources["app/c"].fields["parent"] == "app/b"
    assert resources["app"].fields == {"title": "App"}


def test_projects_come_first_then_milestones_whatever_the_files_are_called(tmp_path: Path):
    write(tmp_path, HEAD + "milestones: {m: {name: M}}\ntasks: {t: {title: T}}\n")
    text = "kind: Project\nkey: aaa\nname: A\nmilestones: {m: {name: M}}\ntasks: {t: {title: T}}\n"
    (tmp_path / "specs" / "zzz.yaml").write_text(text)
    order = ["aaa", "app", "aaa/milestones/m", "app/milestones/m", "aaa/t", "app/t"]
    before = desired(tmp_path)
    assert list(before.resources) == order
    (tmp_path / "specs" / "zzz.yaml").rename(tmp_path / "specs" / "a.yaml")
    assert desired(tmp_path).digest == before.digest


def test_platforms_are_inherited_and_always_enabled(tmp_path: Path):
    body = """\
    platforms: [notion, motion]
    tasks:
      a: {title: A}
      b: {title: B, platforms: [linear, notion], tasks: {c: {title: C}}}
    """.replace("    ", "", 1).replace("\n    ", "\n")
    resources = desired(write(tmp_path, HEAD + body)).resources
    assert {name: item.platforms for name, item in resources.items()} == {
        "app": ("notion",),
        "app/a": ("notion",),
        "app/b": ("linear", "notion"),
        "app/c": ("linear", "notion"),
    }
    only = resolve(load(tmp_path), today=TODAY, commit="", enabled=["linear"])
    assert only.resources["app/b"].platforms == ("linear",)
    assert list(only.integrations) == ["linear"]


def test_overrides_are_canonical(tmp_path: Path):
    body = "tasks: {a: {title: A, linear: {team: WEB, labels: [b, a]}, motion: {workspace: X}}}\n"
    resource = desired(write(tmp_path, HEAD + body)).resources["app/a"]
    assert resource.overrides == {"linear": {"container": "WEB", "labels": ("a", "b")}}


def test_people_and_integrations_are_resolved(tmp_path: Path):
    common = COMMON.replace("team: MOB", "team: MOB, rate: 30")
    result = desired(write(tmp_path, HEAD, common))
    assert result.people["me"].identity("gitlab") == "jwp763"
    assert result.people["me"].identity("linear") == "me@example.com"
    assert list(result.integrations) == ["linear", "notion"]
    assert result.integrations["linear"].options == {"team": "MOB", "rate": 30}


def test_renames_are_followed_to_the_end(tmp_path: Path):
    body = "formerly: [old-app]\nmilestones: {m: {name: M}}\ntasks: {c: {title: C}}\n"
    body += "moved: {a: b, b: c, web/x: a, milestones/k: milestones/m}\n"
    assert desired(write(tmp_path, HEAD + body)).moved == {
        "old-app": "app",
        "app/a": "app/c",
        "app/b": "app/c",
        "web/x": "app/c",
        "app/milestones/k": "app/milestones/m",
    }


def test_settings_become_the_policy(tmp_path: Path):
    settings = "---\nkind: Settings\npolicy: {max_prune: 5, horizon: 2w, drift: ignore}\n"
    policy = desired(write(tmp_path, HEAD, COMMON + settings)).policy
    assert (policy.prune, policy.max_prune, policy.drift, policy.horizon) == (
        "archive",
        "5",
        "ignore",
        14,
    )


def test_specs_with_errors_are_refused(tmp_path: Path):
    write(tmp_path, HEAD + "due: x\n")
    with pytest.raises(SpecError):
        resolve(load(tmp_path), today=TODAY, commit="")

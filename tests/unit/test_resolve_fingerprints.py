"""A fingerprint moves with everything that platforms hold, and with nothing else."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.specrepo import COMMON, desired, write

PROJECT = (
    "kind: Project\nkey: app\nname: App\ntasks:\n  a: {title: A, owner: me, due: 2026-12-01}\n"
)


def fingerprint(root: Path, project: str = PROJECT, common: str = COMMON) -> str:
    return desired(write(root, project, common)).resources["app/a"].fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: A", "title: B"),
        ("due: 2026-12-01", "due: 2026-12-02"),
        ("due: 2026-12-01", "due: null"),
        (", due: 2026-12-01", ""),
        ("title: A", "title: A, linear: {title: B}"),
        ("title: A", "title: A, platforms: [linear]"),
        ("me@example.com", "a@example.com"),
        ("team: MOB", "team: WEB"),
        ("gitlab: jwp763", "gitlab: jwp763, timezone: Europe/Berlin"),
    ],
)
def test_it_moves_with_what_platforms_hold(tmp_path: Path, old: str, new: str):
    project, common = PROJECT.replace(old, new), COMMON.replace(old, new)
    assert fingerprint(tmp_path) != fingerprint(tmp_path, project, common)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: A, owner: me", "owner: me, title: 'A'"),
        ("title: A", "title: A, protect: true"),
        ("title: A", "title: A, motion: {title: B}"),
        ("tasks:", "# a remark\ntasks:"),
        ("team: MOB", "team: MOB, rate: 30"),
        ("title: A, owner: me", "title: A"),
    ],
)
def test_it_stays_with_everything_else(tmp_path: Path, old: str, new: str):
    project = PROJECT.replace(old, new)
    if "owner" not in new and "owner" in old:
        project = project.replace("tasks:", "defaults: {owner: me}\ntasks:")
    assert fingerprint(tmp_path) == fingerprint(tmp_path, project, COMMON.replace(old, new))


def test_the_digest_covers_commit_renames_and_policy(tmp_path: Path):
    digests = {
        desired(write(tmp_path, PROJECT), commit="1").digest,
        desired(write(tmp_path, PROJECT), commit="2").digest,
        desired(write(tmp_path, PROJECT + "moved: {b: a}\n"), commit="1").digest,
        desired(
            write(tmp_path, PROJECT, COMMON + "---\nkind: Settings\npolicy: {max_prune: 5}\n"),
            commit="1",
        ).digest,
    }
    assert len(digests) == 4


def test_the_day_counts_only_where_something_repeats(tmp_path: Path):
    days = (date(2026, 11, 24), date(2026, 11, 25))
    write(tmp_path, PROJECT)
    assert len({desired(tmp_path, today=day).digest for day in days}) == 1
    write(tmp_path, PROJECT + "  r: {title: R, repeat: {every: week}}\n")
    assert len({desired(tmp_path, today=day).digest for day in days}) == 2

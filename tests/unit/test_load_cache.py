"""Unchanged files are not parsed again, and the cache is never trusted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runner.language.load import Loaded, load
from tests.specrepo import codes, write

PROJECT = "kind: Project\nkey: app\nname: App\ntasks: {a: {title: A, estimate: 1d 4h}}\n"


def values(loaded: Loaded) -> list[object]:
    return [(item.file, item.number, item.data, dict(item.places)) for item in loaded.projects]


def entries(root: Path) -> list[Path]:
    return sorted((root / ".trueup" / "cache" / "specs").glob("*.json"))


def as_lists(value: object) -> object:
    return json.loads(json.dumps(value))


def test_the_second_load_parses_nothing(tmp_path: Path):
    write(tmp_path, PROJECT)
    load(tmp_path)
    script = (
        "import sys; from pathlib import Path; from runner.language.load import load;"
        "loaded = load(Path(sys.argv[1])); assert loaded.projects and loaded.valid;"
        "print(sorted({'yaml', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_cached_and_fresh_are_the_same(tmp_path: Path):
    write(tmp_path, PROJECT)
    fresh, cached = load(tmp_path), load(tmp_path)
    assert as_lists(values(fresh)) == as_lists(values(cached))
    assert cached.projects[0].data.get("tasks", {})["a"].get("estimate") == 12 * 60
    assert cached.projects[0].source("a").line == 4


@pytest.mark.parametrize("junk", ["", "{", "{}", "[[1]]", '[["Nope", 0, {}, {}]]', "[" * 9000])
def test_a_damaged_entry_is_parsed_again(tmp_path: Path, junk: str):
    write(tmp_path, PROJECT)
    expected = values(load(tmp_path))
    for path in entries(tmp_path):
        path.write_text(junk)
    assert values(load(tmp_path)) == expected
    assert all(path.read_text() != junk for path in entries(tmp_path))


def test_problems_are_reported_on_every_run(tmp_path: Path):
    write(tmp_path, PROJECT + "due: x\n")
    assert codes(tmp_path) == codes(tmp_path) == ["5:6 bad-date"]


def test_semantic_problems_in_cached_files_have_positions(tmp_path: Path):
    write(tmp_path, PROJECT + "owner: you\n")
    assert codes(tmp_path) == codes(tmp_path) == ["5:8 unknown-person"]


def test_unused_entries_go_and_nothing_is_tracked_by_git(tmp_path: Path):
    for number in range(200):
        write(tmp_path, f"{PROJECT}description: v{number}\n")
        load(tmp_path)
    assert len(entries(tmp_path)) < 150
    assert (tmp_path / ".trueup" / "cache" / ".gitignore").read_text() == "*\n"


def test_a_folder_that_cannot_be_written_is_no_problem(tmp_path: Path):
    write(tmp_path, PROJECT)
    (tmp_path / ".trueup").write_text("a file where the folder should be")
    assert load(tmp_path).valid

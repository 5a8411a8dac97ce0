"""Whatever is in a spec file, the answer is a diagnostic with a position, and soon.

`corpus/` holds a file for every trick that fits into one; the test makes those that are big, or
that are no files at all.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.language.check import check
from runner.language.load import load
from runner.report import render
from schemas.domain import Diagnostic
from tests.specrepo import TODAY, problems, write

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
SECONDS = 5.0
"""How long one file may take on a busy machine; none takes half a second on an idle one."""

PROJECT = "kind: Project\nkey: app\nname: App\n"


def validate(root: Path) -> list[Diagnostic]:
    """Return what is wrong with a repo, in time, and rendered in every format."""
    begun = time.monotonic()
    found = problems(root)
    for style in ("text", "json", "gitlab", "sarif", "junit"):
        render(found, style)
    assert time.monotonic() - begun < SECONDS
    return found


def assert_refused(root: Path, file: str) -> None:
    """Require an error with a position in `file`, and nothing wrong anywhere else."""
    found = validate(root)
    places = [item.source for item in found if item.severity == "error"]
    assert places
    assert {place.file for place in places if place} == {file}
    assert all(place and place.line >= 1 and place.column >= 1 for place in places)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_hostile_file_is_refused(tmp_path: Path, path: Path):
    write(tmp_path, "")
    (tmp_path / "specs" / "x.yaml").write_bytes(path.read_bytes())
    assert_refused(tmp_path, "specs/x.yaml")


def _big(path: Path) -> None:
    with path.open("wb") as file:
        file.write(PROJECT.encode())
        file.truncate(100 * 1024 * 1024)


def _out_of_the_repo(path: Path) -> None:
    outside = path.parent.parent.parent / f"{path.parent.parent.name}.outside.yaml"
    outside.write_text(PROJECT)
    path.symlink_to(outside)


def _to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


def _nowhere(path: Path) -> None:
    path.symlink_to("nothing-here")


def _again(path: Path) -> None:
    path.symlink_to("p.yaml")


def _big_indentation(path: Path) -> None:
    path.write_text(PROJECT + "tasks:\n" + "".join(f"{' ' * n}t:\n" for n in range(1, 4000)))


def _many_ambiguous(path: Path) -> None:
    path.write_text(PROJECT + "labels: [" + "no, " * 50_000 + "]\n")


def _many_aliases(path: Path) -> None:
    path.write_text(PROJECT + "labels: &l [a, b, c]\nx: [" + "*l, " * 100_000 + "]\n")


def _many_dependencies(path: Path) -> None:
    tasks = "".join(f"  t{n}: {{title: T, depends_on: [t0, t{n + 1}]}}\n" for n in range(3000))
    path.write_text(f"{PROJECT}tasks:\n{tasks}  t3000: {{title: T, depends_on: [t1500]}}\n")


@pytest.mark.parametrize(
    "make",
    [
        _big,
        _out_of_the_repo,
        _to_a_device,
        _circle,
        _nowhere,
        _again,
        _big_indentation,
        _many_ambiguous,
        _many_aliases,
        _many_dependencies,
        os.mkfifo,
        Path.mkdir,
    ],
)
def test_a_file_that_is_big_or_none_is_refused(tmp_path: Path, make: Callable[[Path], None]):
    write(tmp_path, PROJECT)
    make(tmp_path / "specs" / "x.yaml")
    if make is not _again:
        (tmp_path / "specs" / "p.yaml").unlink()
    assert_refused(tmp_path, "specs/x.yaml")


def test_a_link_to_the_folder_above_is_no_loop(tmp_path: Path):
    write(tmp_path, PROJECT)
    (tmp_path / "specs" / "more").mkdir()
    (tmp_path / "specs" / "more" / "up").symlink_to("..", target_is_directory=True)
    assert_refused(tmp_path, "specs/more/up")


def test_a_link_inside_the_repo_is_followed(tmp_path: Path):
    write(tmp_path, "")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "app.yaml").write_text(PROJECT)
    (tmp_path / "specs" / "shared").symlink_to("../shared", target_is_directory=True)
    assert validate(tmp_path) == []
    assert [item.file for item in load(tmp_path).projects] == ["specs/shared/app.yaml"]


def test_a_file_name_of_strange_bytes_is_shown(tmp_path: Path):
    write(tmp_path, "")
    name = os.fsencode(tmp_path / "specs") + b"/\xff\x1b[2J\n.yaml"
    with open(name, "wb") as file:  # noqa: PTH123 - a path of bytes
        file.write(b"kind: [")
    (problem,) = validate(tmp_path)
    assert problem.source is not None
    assert problem.source.file.startswith("specs/\\xff")
    assert "\x1b" not in render([problem], "text")


@pytest.mark.parametrize("specs", ["", "missing"])
def test_a_missing_folder_is_said(tmp_path: Path, specs: str):
    (problem,) = load(tmp_path, Path(specs or "specs")).diagnostics
    assert problem.code == "no-specs"


def test_specs_outside_the_repo_are_not_read(tmp_path: Path):
    write(tmp_path, PROJECT)
    (tmp_path / "repo").mkdir()
    loaded = load(tmp_path / "repo", Path("..") / "specs")
    assert [item.code for item in loaded.diagnostics] == ["outside-repo"]
    assert loaded.files == ()


def _mutated(content: bytes, random_: random.Random) -> bytes:
    """Return content with a few bytes changed, dropped, doubled or moved."""
    data = bytearray(content)
    for _ in range(random_.randint(1, 6)):
        start = random_.randrange(len(data))
        end = min(len(data), start + random_.randint(1, 30))
        match random_.randrange(5):
            case 0:
                data[start] = random_.randrange(256)
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = data[start:end]
            case 3:
                data[start:start] = random_.choice(
                    [b"[", b"{", b"- ", b": ", b"&a ", b"*a ", b"\n"]
                )
            case _:
                at = random_.randrange(len(data))
                data[at:at] = data[start:end]
        if not data:
            data += b"x"
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_specs_never_raise(tmp_path: Path, seed: int):
    random_ = random.Random(seed)
    originals = sorted((Path(__file__).parent.parent.parent / "specs").rglob("*.yaml"))
    write(tmp_path, "")
    target = tmp_path / "specs" / "x.yaml"
    for _ in range(60):
        target.write_bytes(_mutated(random_.choice(originals).read_bytes(), random_))
        loaded = load(tmp_path)
        found = [*loaded.diagnostics, *check(loaded, TODAY)]
        assert all(item.source is None or item.source.line >= 1 for item in found)


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_never_raise(tmp_path: Path, seed: int):
    random_ = random.Random(seed)
    write(tmp_path, "")
    alphabet = b"kind: Project\nkey-[]{}&*!|>'\"%@`,#?:\t\xc3\xa4\x00 "
    for length in range(1, 200):
        content = bytes(random_.choice(alphabet) for _ in range(length))
        (tmp_path / "specs" / "x.yaml").write_bytes(content)
        load(tmp_path)

"""The image and the pre-commit hook say what they should."""

from __future__ import annotations

import fnmatch
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.shell import TRUEUP, Shell
from tests.pages import REPO

DOCKERFILE = (REPO / "Dockerfile").read_text(encoding="utf-8")


def stages() -> dict[str, list[str]]:
    """Return the instructions of each stage by its name, after those of what it is made from."""
    joined = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    name = ""
    for line in filter(None, map(str.strip, joined.splitlines())):
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            name = match[2]
            found[name] = list(found.get(match[1], []))
        if name:
            found[name].append(line)
    return found


def default() -> str:
    return list(stages())[-1]


def test_the_default_stage_holds_no_compiler_of_packages_and_no_jvm():
    text = "\n".join(stages()[default()])
    assert default() == "trueup"
    assert not re.search(r"jdk|jre|java|spark", text)
    assert "pip" not in text
    assert "COPY --from=build /opt/trueup /opt/trueup" in text
    assert "openjdk-17-jre-headless" in "\n".join(stages()["spark"])


@pytest.mark.parametrize("name", ["trueup", "spark"])
def test_it_does_not_run_as_root(name: str):
    users = [line for line in stages()[name] if line.startswith("USER")]
    assert users == ["USER 10001"]
    assert stages()[name][-1] == users[0]


def test_packages_are_pinned_by_their_hashes():
    installs = [
        command
        for lines in stages().values()
        for line in lines
        for command in line.removeprefix("RUN ").split(" && ")
        if re.search(r"\bpip install\b", command)
    ]
    assert installs
    for command in installs:
        assert any(
            pin in command
            for pin in ("--require-hashes", "--constraints requirements.txt", "--no-deps")
        ), command
        assert "--no-deps" not in command or "--build-constraints requirements.txt" in command


def test_the_installer_itself_is_cut_out_of_the_lock_file():
    command = re.search(r"sed -n '(.+?)' requirements.txt", DOCKERFILE)
    assert command
    shell = Shell(REPO)
    block = shell.run("sed", "-n", command[1], "requirements.txt").out
    assert re.match(r"uv==\S+ \\\n( +--hash=sha256:[0-9a-f]{64}( \\)?\n)+ +# via ", block)
    assert block.count("==") == 1


def test_what_is_copied_is_there_and_not_ignored():
    ignored = (REPO / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert ignored[0] == "*"
    for line in (line for lines in stages().values() for line in lines):
        if line.startswith("COPY ") and "--from" not in line:
            for name in shlex.split(line)[1:-1]:
                assert (REPO / name).exists(), name
                assert any(fnmatch.fnmatch(name, pattern) for pattern in allowed), name


def test_it_is_healthy_while_run_answers():
    (check,) = [line for line in stages()["trueup"] if line.startswith("HEALTHCHECK")]
    assert "/healthz" in check
    help_ = Shell(REPO).trueup("run", "--help").out
    port = re.search(r"127\.0\.0\.1:(\d+)/", check)
    assert port
    assert f"[default: {port[1]}]" in help_
    assert f"EXPOSE {port[1]}" in stages()["trueup"]
    assert "TRUEUP_HOST=0.0.0.0" in "\n".join(stages()["trueup"])


def test_no_secret_and_no_entry_point():
    assert not re.search(r"(?i)token|secret|password|api_key|index-url", DOCKERFILE)
    assert "ENTRYPOINT" not in DOCKERFILE


@pytest.fixture
def hook() -> dict[str, Any]:
    (found,) = yaml.safe_load((REPO / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    return found


def test_the_hook_fails_a_commit_with_an_error_and_lets_others_pass(
    tmp_path: Path, hook: dict[str, Any]
):
    shell = Shell(tmp_path, {"PATH": f"{TRUEUP.parent}:/usr/bin:/bin"})
    specs = "kind: Integrations\nlinear: {team: MOB}\n---\nkind: Project\nkey: app\nname: App\n"
    shell.write({"specs/app.yaml": specs})
    command = [*shlex.split(hook["entry"]), *hook["args"]]
    assert shell.run(*command).code == 0
    shell.write({"specs/app.yaml": f"{specs}owner: nobody\n"})
    result = shell.run(*command)
    assert (result.code, "specs/app.yaml:7:8: error[unknown-person]" in result.out) == (1, True)


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("specs/app.yaml", True),
        ("specs/projects/deep/app.yml", True),
        ("README.md", False),
        ("docs/specs/app.yaml", False),
        ("specs/notes.md", False),
    ],
)
def test_the_hook_looks_at_specs(path: str, counts: bool, hook: dict[str, Any]):
    assert bool(re.search(hook["files"], path)) == counts
    assert hook["pass_filenames"] is False
    assert hook["language"] == "python"

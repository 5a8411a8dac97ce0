"""The demo and the sandbox, as a newcomer starts them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from tests.e2e.shell import TRUEUP, Shell

STORY = [
    "validate",
    "plan",
    "apply --yes",
    "plan",
    "plan",
    "apply --yes",
    "plan",
    "apply --yes",
    "draft --offline 'Create a project for building a mobile app with a 3-month deadline'",
    "apply --yes",
    "status",
]


def test_the_demo_tells_the_whole_story_and_leaves_nothing_behind(
    shell: Shell, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    shell.environment["TMPDIR"] = str(scratch)
    result = shell.done("--no-color", "demo")
    typed = re.findall(r"^\$ trueup (.*)$", result.out, re.MULTILINE)
    assert typed[:-1] == STORY
    assert typed[-1].startswith("history my-first-project/")
    assert result.out.count("nothing to do: the platforms match the specs") == 2
    assert "4 to update" in result.out
    assert "4 to archive" in result.out
    assert "failed" not in result.out
    assert "!1 is Create the project Mobile app: https://gitlab.example/" in result.out
    assert "\nTrueup-Request: 2" in result.out
    assert " specs/projects/mobile-app.yaml | " in result.out
    assert "92 applied" in result.out
    assert result.out.rstrip().splitlines()[-4].startswith("  trueup init")
    assert list(scratch.iterdir()) == []
    assert sorted(path.name for path in shell.folder.iterdir()) == [".git"]


def test_the_demo_applies_the_specs_of_the_repo_it_is_called_in(shell: Shell) -> None:
    shell.done("init", "--name", "Quiet evenings")
    result = shell.done("--no-color", "demo")
    assert "quiet-evenings" in result.out
    assert "my-first-project" not in result.out
    assert not (shell.folder / ".trueup" / "state").exists()


def test_the_demo_pays_no_heed_to_the_settings_around_it(shell: Shell) -> None:
    shell.environment |= {
        "LINEAR_API_KEY": "real",
        "TRUEUP_LINEAR_URL": "http://127.0.0.1:9/graphql",
        "TRUEUP_LINEAR_RATE": "1",
    }
    assert "4 applied" in shell.done("--no-color", "demo").out


def test_keep_leaves_the_folder_for_a_look(shell: Shell, tmp_path: Path) -> None:
    shell.environment["TMPDIR"] = str(tmp_path)
    result = shell.done("--no-color", "demo", "--keep")
    folder = Path(result.out.rstrip().rsplit(" ", 1)[-1])
    assert folder.parent == tmp_path
    shell.folder = folder
    assert shell.git("log", "--format=%s").splitlines()[-1] == "Projects as code"
    shell.done("history")


def test_specs_with_errors_end_the_demo_with_their_place(shell: Shell) -> None:
    shell.write({"specs/broken.yaml": "kind: Project\nkey: a\nnmae: A\n"})
    result = shell.trueup("demo")
    assert result.code == 1
    assert "specs/broken.yaml:3:1" in result.err + result.out


def test_the_sandbox_prints_what_a_shell_needs_and_has_what_the_specs_name(shell: Shell) -> None:
    shell.done("init")
    settings = shell.folder / "specs" / "integrations.yaml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("team: MOB", "team: ODD"), encoding="utf-8")
    with subprocess.Popen(
        [TRUEUP, "sandbox", "--port", "0", "--no-limits"],
        cwd=shell.folder,
        env={"PATH": os.environ["PATH"], **shell.environment},
        stdout=subprocess.PIPE,
        text=True,
    ) as serving:
        try:
            shell.environment |= _exports(serving, 12)
            shell.done("doctor")
            applied = shell.done("apply", "--yes", "--json").json()
        finally:
            serving.send_signal(signal.SIGINT)
    assert applied["counts"]["applied"] == len(applied["outcomes"]) > 0
    assert serving.returncode == 0


def _exports(serving: subprocess.Popen[str], count: int) -> dict[str, str]:
    """Return the variables that the sandbox prints, as a shell would take them."""
    assert serving.stdout
    found: dict[str, str] = {}
    while len(found) < count:
        line = serving.stdout.readline()
        assert line, "the sandbox ended"
        if not line.startswith("#"):
            name, _, value = line.strip().removeprefix("export ").partition("=")
            found[name] = value
    return found

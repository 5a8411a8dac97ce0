"""The installed command, from folders that would get in its way."""

from __future__ import annotations

from tests.e2e.shell import Shell

DECOY = "raise RuntimeError('a decoy was imported')\n"
NAMES = ("schemas", "runner", "reconcilers", "yaml", "click", "tests")


def decoys() -> dict[str, str]:
    return {f"{name}/__init__.py": DECOY for name in NAMES} | {"git.py": DECOY}


def test_packages_of_the_current_folder_are_not_taken_for_ours(shell: Shell) -> None:
    shell.write(decoys())
    assert "trueup" in shell.done("--version").out
    shell.done("init")
    shell.done("validate")
    assert shell.done("plan", "--json").json()["summary"]["create"] > 0


def test_specs_may_hold_a_python_package(shell: Shell) -> None:
    shell.done("init")
    shell.write({f"specs/{name}": text for name, text in decoys().items()})
    shell.done("validate", "--strict")


def test_is_called_from_elsewhere_with_the_repo_named(shell: Shell) -> None:
    shell.done("init")
    folder = shell.folder
    shell.folder = folder.parent
    assert "to create" in shell.done("-C", folder.name, "plan").out

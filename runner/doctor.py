"""`trueup doctor`: everything that an apply depends on, looked at without changing anything."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config import LOCAL
from runner.render import Paint
from schemas.errors import ConfigError, PlatformError, SpecError, TrueupError

if TYPE_CHECKING:
    from reconcilers import Platform
    from runner.workspace import Workspace
    from schemas.domain import Desired

PACKAGES = ("trueup", "deltalake", "pydantic", "httpx", "gitpython")
PATIENCE = 15.0
"""Seconds to wait for a platform's answer."""

MOST_AHEAD = 60.0
"""Seconds that clocks may differ. Each observation reaches back two minutes, so this is safe."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what, in one or two words.
        good: whether an apply can do with it.
        detail: how it is.
        fix: how to mend it, or an empty string.
    """

    name: str
    good: bool
    detail: str
    fix: str = ""


def examine(place: Workspace) -> list[Finding]:
    """Return findings on the installation, the specs, the state, and each enabled platform.

    Nothing is raised for what is being examined, and nothing is changed: platforms get one
    reading request each, side by side.
    """
    found = [_python(), _packages(), _git(place)]
    looks: list[Callable[[Workspace], Iterator[Finding]]] = [_state, _journals, _ignored]
    try:
        desired = place.desired
        files, resources = len(place.loaded.files), len(desired.resources)
        found.append(Finding("specs", good=True, detail=f"{files} files, {resources} resources"))
    except SpecError as error:
        found.append(Finding("specs", good=False, detail=error.message, fix=error.hint))
        desired = None
    for look in looks:
        try:
            found.extend(look(place))
        except TrueupError as error:
            name = look.__name__.strip("_")
            found.append(Finding(name, good=False, detail=str(error), fix=error.hint))
    if desired is None:
        fix = "mend the specs first"
        found.append(Finding("platforms", good=False, detail="not looked at", fix=fix))
    else:
        found.extend(asyncio.run(_platforms(place, desired)))
    return found


def findings_text(findings: list[Finding], *, colour: bool = False) -> str:
    """Return the findings, one line each, with how to mend those that are not good."""
    paint = Paint(colour)
    width = max((len(item.name) for item in findings), default=0)
    lines: list[str] = []
    for item in findings:
        mark = paint("32", "ok  ") if item.good else paint("31", "fail")
        lines.append(f"{mark}  {item.name:{width}}  {item.detail}")
        if item.fix:
            lines.append(f"      {'':{width}}  {paint('36', 'fix:')} {item.fix}")
    failed = sum(not item.good for item in findings)
    lines.append("")
    lines.append(f"{failed} to mend" if failed else "all is well")
    return "\n".join(lines) + "\n"


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    return Finding("python", good, found, "" if good else "install Python 3.11 or newer")


def _packages() -> Finding:
    found: list[str] = []
    missing: list[str] = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        fix = f"install trueup again: {', '.join(missing)} cannot be found"
        return Finding("packages", good=False, detail=", ".join(found), fix=fix)
    return Finding("packages", good=True, detail=", ".join(found))


def _git(place: Workspace) -> Finding:
    try:
        import git
    except ImportError:
        fix = "install git, and see that it is on the PATH"
        return Finding("git", good=False, detail="there is no git", fix=fix)
    number = ".".join(str(part) for part in git.Git().version_info)
    at = place.checkout
    if not at.identities[0].startswith(("remote:", "root:")):
        fix = "git add -A && git commit -m 'Projects as code'"
        fix = fix if at.branch else f"git init && {fix}"
        detail = f"{number}; the specs are in no git commit, so history cannot name one"
        return Finding("git", good=True, detail=detail, fix=fix)
    edited = ", edited since" if at.dirty else ""
    branch = f" on {at.branch}" if at.branch else ""
    return Finding("git", good=True, detail=f"{number}; commit {at.commit[:12]}{branch}{edited}")


def _journals(place: Workspace) -> Iterator[Finding]:
    folder = place.config.journals
    left = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    if left:
        detail = f"{len(left)} left by an apply that is at work, or died"
        fix = "trueup apply folds them into the state before it plans"
        yield Finding("journal", good=True, detail=detail, fix=fix)


def _ignored(place: Workspace) -> Iterator[Finding]:
    try:
        import git
    except ImportError:
        return  # said already
    try:
        with git.Repo(place.config.root, search_parent_directories=True) as repo:
            ignored = bool(repo.ignored(str(place.config.local / "state")))
            tracked = bool(repo.git.ls_files("--", str(place.config.local)))
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        return
    name = f"{LOCAL}/"
    if tracked:
        fix = f"git rm -r --cached {LOCAL} && echo {name} >> .gitignore"
        yield Finding(name, good=False, detail="is under version control", fix=fix)
    elif not ignored:
        fix = f"echo {name} >> .gitignore"
        yield Finding(name, good=False, detail="is not ignored by git", fix=fix)
    else:
        yield Finding(name, good=True, detail="is ignored by git")


async def _platforms(place: Workspace, desired: Desired) -> list[Finding]:
    from runner.platforms import platforms_of

    try:
        platforms = platforms_of(desired)
    except ConfigError as error:
        return [Finding("platforms", good=False, detail=error.message, fix=error.hint)]
    if not platforms:
        fix = "enable one in the Integrations spec"
        return [Finding("platforms", good=False, detail="none is enabled", fix=fix)]
    checks = [_platform(place, desired, platform) for platform in platforms.values()]
    return list(await asyncio.gather(*checks))


async def _platform(place: Workspace, desired: Desired, platform: Platform) -> Finding:
    from reconcilers._budget import SystemClock
    from runner.platforms import session

    profile = platform.profile
    name = profile.platform
    try:
        async with session(
            platform, desired, place.config, bound={}, lookups={}, limits={}, clock=SystemClock()
        ) as opened:
            opened.transport.attempts = 1
            async with asyncio.timeout(PATIENCE):
                who = await opened.reconciler.check()
            ahead = opened.transport.clock_ahead
    except TimeoutError:
        detail = f"no answer from {place.config.url(profile)} within {PATIENCE:.0f} s"
        fix = f"try again later; check the network and {profile.url_variable}"
        return Finding(name, good=False, detail=detail, fix=fix)
    except PlatformError as error:
        fix = _remedy(error, profile.token_variable, profile.url_variable)
        return Finding(name, good=False, detail=str(error), fix=fix)
    except ConfigError as error:
        return Finding(name, good=False, detail=error.message, fix=error.hint)
    if ahead is not None and abs(ahead) > MOST_AHEAD:
        side = "ahead of" if ahead > 0 else "behind"
        detail = f"{who}; its clock is {abs(ahead):.0f} s {side} ours"
        fix = "set this machine's clock, by NTP for example"
        return Finding(name, good=False, detail=detail, fix=fix)
    return Finding(name, good=True, detail=f"{who} at {place.config.url(profile)}")


def _remedy(error: PlatformError, token: str, url: str) -> str:
    """Return how to mend what a platform said; the error's own hint may name this command."""
    if error.status in {401, 403}:
        return f"make a new token with the rights that docs/platforms asks for, and export {token}"
    if error.status == 404:
        return f"check {url}, and what the Integrations spec names"
    return error.hint or f"try again later; check {url}"


def _state(place: Workspace) -> Iterator[Finding]:
    from runner.state import check_state

    reader = place.reader()
    identity = reader.identity()
    nearest = next(p for p in (place.config.local, *place.config.local.parents) if p.exists())
    writable = os.access(nearest, os.W_OK | os.X_OK)
    fix = "" if writable else f"make {_short(nearest, place.config.root)} writable"
    if identity is None:
        yield Finding("state", writable, "none yet; the first apply makes it", fix)
        return
    problems = [item for item in check_state(reader) if item.severity == "error"]
    if problems:
        detail = f"{len(problems)} broken invariants, the first: {problems[0].message}"
        yield Finding("state", good=False, detail=detail, fix="trueup state check")
        return
    detail = f"{identity}, version {reader.version()}"
    yield Finding("state", writable, detail if writable else f"{detail}; not writable", fix)


def _short(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

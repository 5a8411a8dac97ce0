"""The sandbox as a command, and the demo: the whole story, told with the real commands.

The demo works on a copy of the specs in a temporary git repo, against stand-ins in this process.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, cast

import click

from runner.branch import Remote, git_environment
from runner.render import Paint
from runner.sandbox._world import TOKENS
from runner.status import counted
from schemas.domain import PLATFORMS
from schemas.errors import SpecError

if TYPE_CHECKING:
    from git import Repo

    from runner.language.load import Document, Loaded
    from runner.sandbox._world import Seed
    from runner.sandbox.server import Sandbox
    from runner.workspace import Workspace
    from schemas import spec
    from schemas.domain import Desired

    _Task = tuple[Document[spec.Project], str, tuple[str, ...]]

_ENGINE = ("TRUEUP_STATE_BACKEND", "TRUEUP_SPARK_JARS", "TRUEUP_DATABRICKS_WAREHOUSE_ID")

REQUEST = "Create a project for building a mobile app with a 3-month deadline"

MOST = 14
"""Of a longer output, the demo shows the beginning and the end."""


def serve_sandbox(place: Workspace, port: int, *, limits: bool, say: Callable[[str], None]) -> None:
    """Serve stand-ins for all four platforms until Ctrl-C.

    What the specs refer to (people, teams, projects, pages, workspaces) exists there beforehand.

    Args:
        place: the spec repo; without valid specs, the sandbox has a few names of its own.
        port: on 127.0.0.1; 0 takes any free one.
        limits: whether to enforce the documented rate limits.
        say: gets the lines to show: comments and `export` commands for a shell.
    """
    from runner.sandbox._world import World
    from runner.sandbox.server import serving

    seed = _seed(place)
    with serving(World(seed=seed, limits=limits), port=port) as sandbox:
        say(f"# The sandbox is at {sandbox.origin}; Ctrl-C ends it, and everything in it is gone.")
        say(f"# Its GitLab takes pushes to {sandbox.url('gitlab')}/{seed.projects[0]}.git")
        say("# from any user with the GITLAB_TOKEN below as the password.")
        say(f"# Look at {sandbox.origin}/_sandbox/objects; paste this into another terminal:")
        for name, value in sandbox.environment().items():
            say(f"export {name}={value}")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def _seed(place: Workspace) -> Seed:
    """Return a seed in which all that the specs refer to exists."""
    from runner.sandbox._world import Seed

    try:
        desired = place.desired
    except SpecError:
        return Seed()
    seed = Seed()
    people = tuple(
        (person.name, person.email or f"{person.key}@example.com", person.identity("gitlab"))
        for person in desired.people.values()
    )
    zone = next((person.timezone for person in desired.people.values()), seed.timezone)
    named = {name: _containers(desired, name) for name in PLATFORMS}
    return replace(
        seed,
        people=people or seed.people,
        timezone=zone,
        teams=named["linear"] or seed.teams,
        projects=named["gitlab"] or seed.projects,
        pages=named["notion"] or seed.pages,
        workspaces=named["motion"] or seed.workspaces,
        labels=_labels(desired),
    )


def _labels(desired: Desired) -> tuple[str, ...]:
    """Return every label of the specs, sorted."""
    return tuple(
        sorted(
            {
                label
                for resource in desired.resources.values()
                for fields in (resource.fields, *resource.overrides.values())
                for label in cast("tuple[str, ...]", fields.get("labels") or ())
            }
        )
    )


def _containers(desired: Desired, platform: str) -> tuple[str, ...]:
    """Return the teams, projects, pages or workspaces that the specs name on a platform."""
    from runner.language.check import CONTAINERS

    integration = desired.integrations.get(platform)
    found = [integration.options.get(CONTAINERS[platform])] if integration else []
    found += [
        resource.overrides[platform].get("container")
        for resource in desired.resources.values()
        if platform in resource.overrides
    ]
    return tuple(dict.fromkeys(str(name) for name in found if name))


def run_demo(root: Path, *, keep: bool, colour: bool) -> None:
    """Tell the whole story on the sandbox: plan, apply, edit, prune, look back.

    Args:
        root: its `specs/` are what is applied; where it has none, what `trueup init` writes.
        keep: whether the temporary folder is kept.
        colour: whether to use ANSI colours.

    Raises:
        SpecError: the specs have errors.
    """
    from runner.sandbox._world import World
    from runner.sandbox.server import serving

    folder = Path(tempfile.mkdtemp(prefix="trueup-demo-"))
    try:
        repo = _repo(folder, root)
        with contextlib.closing(repo):
            seed = _seed(_workspace(folder))
            with (
                serving(World(seed=seed, limits=False)) as sandbox,
                _environment({**_engine(), **sandbox.environment()}),
                _state(folder, keep=keep),
            ):
                story = _Story(folder, repo, sandbox, Paint(colour), seed.projects[0])
                story.tell(own=(root / "specs").is_dir())
    finally:
        if keep:
            click.echo(f"\nEverything is still in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _repo(folder: Path, root: Path) -> Repo:
    """Make a git repo with the specs in `folder`."""
    import git

    from runner.scaffold import scaffold

    repo = git.Repo.init(folder, initial_branch="main")
    with repo.config_writer() as config:
        config.set_value("user", "name", "Me")
        config.set_value("user", "email", "me@example.com")
        config.set_value("commit", "gpgsign", "false")
    if (root / "specs").is_dir():
        shutil.copytree(root / "specs", folder / "specs", symlinks=True)
        (folder / ".gitignore").write_text(".trueup/\n", encoding="utf-8")
    else:
        config = _workspace(folder).config
        scaffold(folder, PLATFORMS, "My first project", config.today)
    _commit(repo, "Projects as code")
    return repo


def _commit(repo: Repo, message: str) -> str:
    repo.git.add("--all")
    repo.git.commit("--quiet", "--message", message)
    return repo.head.commit.hexsha[:10]


def _workspace(folder: Path) -> Workspace:
    from runner.config import read_config
    from runner.workspace import Workspace

    return Workspace(read_config(folder))


def _engine() -> dict[str, str]:
    """Return the settings that say where the state is kept: as asked for, but never the real one.

    The specs may name a state that others use; the demo's tables bear a name of their own.
    """
    kept = {name: os.environ[name] for name in _ENGINE if os.environ.get(name)}
    backend = kept.setdefault("TRUEUP_STATE_BACKEND", "local")
    return kept if backend == "local" else {**kept, "TRUEUP_STATE_NAME": f"demo_{token_hex(3)}"}


@contextlib.contextmanager
def _state(folder: Path, *, keep: bool) -> Generator[None]:
    """Drop the demo's tables after the block, unless they are kept."""
    from runner.state import discard_state

    try:
        yield
    finally:
        if not keep:
            place = _workspace(folder)
            discard_state(place.loaded.settings, place.config)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None]:
    """Set `variables`, and hide every other setting of trueup, for the length of the block."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("TRUEUP_")]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True, slots=True)
class _Story:
    """The demo at work: what it says, runs and edits.

    Attributes:
        project: the path of the repo on the sandbox's GitLab.
    """

    folder: Path
    repo: Repo
    sandbox: Sandbox
    paint: Paint
    project: str

    def tell(self, *, own: bool) -> None:
        """Run every scene in order."""
        chosen = "your specs" if own else "a small project, as `trueup init` writes it"
        self.narrate(f"Four platforms are served at {self.sandbox.origin}. We apply {chosen}.")
        self.command("validate")
        self.command("plan")
        self.narrate("Everything is new. Let us make it so.")
        self.command("apply", "--yes")
        self.look()
        self.narrate("The same again: nothing to do, and not one request to find that out.")
        self.command("plan")
        edited = self.edit()
        if edited:
            self.command("plan")
            self.command("apply", "--yes")
        if self.prune(other_than=edited):
            self.command("plan")
            self.command("apply", "--yes")
        self.draft()
        self.narrate("Where we stand, and how we got here:")
        self.command("status")
        if edited:
            self.command("history", edited)
        self.end()

    def narrate(self, text: str) -> None:
        """Say what comes next."""
        click.echo(f"\n{self.paint('1;36', text)}")

    def command(self, *arguments: str) -> None:
        """Show a command as one would type it, run it, and show what it says."""
        from runner.cli import cli

        typed = f"$ trueup {shlex.join(arguments)}"
        click.echo(f"\n{self.paint('1', typed)}")
        colour = "--color" if self.paint.colour else "--no-color"
        output = io.StringIO()
        # An apply shows its plan first, which the scene before has just shown.
        most = MOST // 2 if "apply" in arguments else MOST
        try:
            with contextlib.redirect_stdout(output):
                cli.main(["-C", str(self.folder), colour, *arguments], standalone_mode=False)
        finally:
            for line in _shortened(output.getvalue().splitlines(), most):
                click.echo(line, color=self.paint.colour)

    def look(self) -> None:
        """Show what there is on each platform now, with one URL."""
        self.narrate("That is on the platforms now:")
        urls = {
            binding.platform: binding.url
            for binding in reversed(_workspace(self.folder).reader().bindings())
            if binding.url and binding.kind == "task"
        }
        for name, objects in self.sandbox.objects().items():
            ours = Counter(str(item["kind"]) for item in objects if item["marker"])
            counts = ", ".join(counted(count, kind) for kind, count in sorted(ours.items()))
            click.echo(f"  {name:8} {counts or 'nothing':34} {urls.get(name, '')}".rstrip())

    def edit(self) -> str:
        """Change one task's title in its file, commit it; return the task's address."""
        for document, address, path in _candidates(_workspace(self.folder)):
            title = str(_at(document, path)["title"])
            if self._rewrite(document, (*path, "title"), title, f"{title}, at last"):
                self.narrate(f"We edit one line of {document.file}:")
                self._show_diff(f"Rename {address}")
                return address
        return ""

    def prune(self, *, other_than: str) -> bool:
        """Delete one task that no other needs from its file, commit it; return whether we did."""
        place = _workspace(self.folder)
        resources = place.desired.resources
        for document, address, path in _candidates(place, last=True):
            kept = resources[address].protect or address == other_than
            if not kept and self._cut(document, path, address):
                self.narrate(f"We delete {address} from {document.file}:")
                self._show_diff(f"Drop {address}")
                return True
        return False

    def draft(self) -> None:
        """Have a request drafted, look at the merge request, merge it, and apply."""
        home = Remote(f"{self.sandbox.url('gitlab')}/{self.project}.git", password=TOKENS["gitlab"])
        environment = git_environment(home)
        self.repo.create_remote("origin", home.url)
        self.repo.git.push("--quiet", "origin", "HEAD:refs/heads/main", env=environment)
        self.narrate(
            "A request in plain words becomes a merge request on the sandbox's GitLab, pushed over"
            " HTTP.\nRules draft it here; with the key of a model, a model does."
        )
        self.command("draft", "--offline", REQUEST)
        request = next(iter(self.merge_requests()), None)
        if request is None:
            return  # It asks something back: about these specs, the request is not clear.
        self.narrate(f"!{request['iid']} is {request['title']}: {request['web_url']}")
        self.repo.git.fetch("--quiet", "origin", request["source_branch"], env=environment)
        click.echo(self.repo.git.log("-1", "--stat", "--format=%s%n%n%(trailers)", "FETCH_HEAD"))
        for line in _shortened(str(request["description"]).splitlines(), MOST):
            click.echo(f"  | {line}".rstrip())
        self.narrate("Somebody reviews and merges it, and the pipeline applies the default branch:")
        self.merge_requests(request["iid"])
        self.repo.git.fetch("--quiet", "origin", "main", env=environment)
        self.repo.git.merge("--quiet", "--ff-only", "FETCH_HEAD")
        self.command("apply", "--yes")

    def merge_requests(self, merge: int = 0) -> list[dict[str, Any]]:
        """Merge one by its number, or return all, by GitLab's API."""
        import httpx

        path = f"/api/v4/projects/{self.project.replace('/', '%2F')}/merge_requests"
        url = self.sandbox.url("gitlab") + path
        headers = {"PRIVATE-TOKEN": TOKENS["gitlab"]}
        if merge:
            httpx.put(f"{url}/{merge}/merge", headers=headers).raise_for_status()
        return cast("list[dict[str, Any]]", httpx.get(url, headers=headers).json())

    def _rewrite(
        self, document: Document[spec.Project], path: tuple[str, ...], before: str, after: str
    ) -> bool:
        """Replace a text that stands once in the line at `path`; undo it if the specs break."""
        found = _line_of(_workspace(self.folder).loaded, document, path)
        target = self.folder / document.file
        text = target.read_text(encoding="utf-8")
        lines = text.split("\n")
        if lines[found].count(before) != 1:
            return False
        lines[found] = lines[found].replace(before, after)
        return self._write(target, text, "\n".join(lines))

    def _cut(self, document: Document[spec.Project], path: tuple[str, ...], address: str) -> bool:
        """Take a task's lines out of its file; undo it if the specs break or keep it."""
        start = _line_of(_workspace(self.folder).loaded, document, path)
        target = self.folder / document.file
        text = target.read_text(encoding="utf-8")
        lines = text.split("\n")
        depth = _depth(lines[start])
        end = start + 1
        while end < len(lines) and (not lines[end].strip() or _depth(lines[end]) > depth):
            end += 1
        while end > start + 1 and not lines[end - 1].strip():
            end -= 1
        without = "\n".join(lines[:start] + lines[end:])
        return self._write(target, text, without, gone=address)

    def _write(self, target: Path, before: str, after: str, gone: str = "") -> bool:
        target.write_text(after, encoding="utf-8")
        try:
            if gone not in _workspace(self.folder).desired.resources:
                return True
        except SpecError:
            pass  # something else needs what was taken away: another task will do
        target.write_text(before, encoding="utf-8")
        return False

    def _show_diff(self, message: str) -> None:
        colour = "always" if self.paint.colour else "never"
        diff = self.repo.git.diff("--unified=1", f"--color={colour}").splitlines()
        for line in diff[4:]:
            click.echo(f"  {line}", color=self.paint.colour)
        click.echo(self.paint("2", f"  [{_commit(self.repo, message)}] {message}"))

    def end(self) -> None:
        """Say what to type next."""
        self.narrate("Your turn. In an empty git repo:")
        for line in (
            "trueup init       writes specs, a pipeline and a README",
            "trueup doctor     says which tokens are missing, and how to mend it",
            "trueup plan       shows what would be done; changes nothing",
            "trueup sandbox    serves these stand-ins, to try it without any account",
        ):
            click.echo(f"  {line}")


def _shortened(lines: list[str], most: int) -> Iterator[str]:
    """Yield at most `most` lines: the first and last, and how many are left out between."""
    if len(lines) <= most:
        yield from lines
        return
    tail = most // 2
    head = most - tail - 1
    yield from lines[:head]
    yield f"… {len(lines) - head - tail} more lines …"
    yield from lines[-tail:]


def _candidates(place: Workspace, *, last: bool = False) -> list[_Task]:
    """Return the tasks to edit, best first: those on most platforms, as declared or reversed."""
    resources = place.desired.resources
    tasks = list(_tasks(place.loaded))
    return sorted(
        reversed(tasks) if last else tasks, key=lambda task: -len(resources[task[1]].platforms)
    )


def _tasks(loaded: Loaded) -> Iterator[_Task]:
    """Yield every task with the keys that lead to it in its document, in order."""
    for document in loaded.projects:
        data = cast("Mapping[str, object]", document.data)
        pending: list[tuple[tuple[str, ...], object]] = [(("tasks",), data.get("tasks"))]
        while pending:
            path, tasks = pending.pop(0)
            for key, task in cast("Mapping[str, Mapping[str, object]]", tasks or {}).items():
                if "repeat" not in task:
                    yield document, f"{data['key']}/{key}", (*path, key)
                pending.append(((*path, key, "tasks"), task.get("tasks")))


def _at(document: Document[spec.Project], path: Collection[str]) -> Mapping[str, object]:
    found = cast("Mapping[str, object]", document.data)
    for key in path:
        found = cast("Mapping[str, object]", found[key])
    return found


def _line_of(loaded: Loaded, document: Document[spec.Project], path: tuple[str, ...]) -> int:
    """Return the index of the line on which the key at `path` stands."""
    found = loaded.problem("note", "", "", document, path, key=True).source
    return found.line - 1 if found else 0


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))

"""Adopting: edits of declared fields on the platforms become edits of the specs.

Each becomes a typed operation, so that the specs keep every comment and every byte that is not
concerned. What cannot be meant in the specs, or what two sides disagree on, is left and said.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from runner.drift import WHAT_BECOMES, told
from runner.live import Identities
from runner.render import FORMAT_VERSION, Paint
from schemas.domain import Desired, Drift, Resource, Value, hash_of, kind_of, project_of
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from runner.config import Config
    from runner.forge import MergeRequest
    from runner.language.edit import Edited
    from runner.workspace import Workspace
    from schemas.operations import Operation

_LISTS = ("labels", "depends_on")
"""Sets of values: what people added and took away is done to what the specs say."""


@dataclass(frozen=True, slots=True)
class Left:
    """An edit that is not adopted, and why."""

    item: Drift
    why: str


@dataclass(frozen=True, slots=True)
class Adoption:
    """What is to be written into the specs.

    Attributes:
        taken: the edits that are adopted.
        left: the edits that are not.
        operations: what they come to.
    """

    taken: tuple[Drift, ...]
    left: tuple[Left, ...]
    operations: tuple[Operation, ...] = ()

    @property
    def request_id(self) -> str:
        """Tells this adoption from others: the same edits have the same one."""
        values = [(d.address, d.platform, d.name, d.observed) for d in self.taken]
        return f"adopt-{hash_of(values)[:12]}"


def adoption(
    items: Sequence[Drift], desired: Desired, *, named: bool = False, theirs: bool = False
) -> Adoption:
    """Return what adopting comes to.

    Args:
        items: edits of fields.
        desired: the specs as they are.
        named: whether the user named what to adopt; else only what the policy proposes is.
        theirs: adopt what git has changed as well, too.
    """
    identities = Identities(desired)
    writer = _Writer(desired, identities)
    taken: list[Drift] = []
    left: list[Left] = []
    rivals: dict[tuple[str, str], set[Value]] = {}
    for item in items:
        if item.decision not in {"share", "overrule"}:
            rivals.setdefault((item.address, item.name), set()).add(item.observed)
    for item in items:
        if item.decision in {"share", "overrule"}:
            continue  # a live field is in no spec
        why = _reason_to_leave(item, named=named, theirs=theirs)
        if not why and len(rivals[item.address, item.name]) > 1:
            why = "the platforms have different values; choose one with --platform"
        why = why or writer.take(item)
        if why:
            left.append(Left(item, why))
        else:
            taken.append(item)
    return Adoption(tuple(taken), tuple(left), tuple(writer.operations()))


def _reason_to_leave(item: Drift, *, named: bool, theirs: bool) -> str:
    if item.decision == "conflict" and not theirs:
        return f"{WHAT_BECOMES['conflict']}: --theirs or --ours"
    if item.decision in {"ignore", "revert"} and not named:
        return f"the policy says {item.decision}; name its address to adopt it all the same"
    return ""


@dataclass(slots=True)
class _Target:
    """What is to be set on one resource."""

    resource: Resource
    fields: dict[str, object] = field(default_factory=dict[str, object])
    moves: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    add: list[str] = field(default_factory=list[str])
    remove: list[str] = field(default_factory=list[str])
    sources: list[str] = field(default_factory=list[str])

    @property
    def why(self) -> str:
        """Why it is set, for those who review it."""
        return f"Changed on {', '.join(dict.fromkeys(self.sources))}"


class _Writer:
    """Puts edits into operations, one of each sort for each resource."""

    def __init__(self, desired: Desired, identities: Identities) -> None:
        self._desired = desired
        self._identities = identities
        self._targets: dict[str, _Target] = {}
        self._gone: dict[str, str] = {}

    def take(self, item: Drift) -> str:
        """Take an edit in; return why it cannot be, or an empty string."""
        resource = self._desired.resources.get(item.address)
        if resource is None:
            return "the specs no longer declare it"
        if "@" in item.address:
            return "it is one occurrence of a repeating task: edit the task itself"
        if item.name == "archived":
            self._gone[item.address] = item.platform
            return ""
        if item.name in {"key", "counterparts"}:
            return f"a spec cannot say that of its {item.name}"
        try:
            value = self._identities.neutral(item.name, item.observed, item.platform)
        except LookupError:
            return f"{item.observed} is none of the People: add them first"
        target = self._targets.setdefault(item.address, _Target(resource))
        why = self._put(target, item, value)
        if not why:
            target.sources.append(item.platform)
        return why

    def _put(self, target: _Target, item: Drift, value: Value) -> str:
        name, resource = item.name, target.resource
        overridden = name == "container" or name in resource.overrides.get(item.platform, {})
        if overridden:
            overrides = cast(
                "dict[str, dict[str, object]]", target.fields.setdefault("overrides", {})
            )
            overrides.setdefault(item.platform, {})[name] = _written(name, value)
        elif name == "depends_on":
            before, after = _set(item.base), _set(value)
            target.add += [_reference(a, resource) for a in sorted(after - before)]
            target.remove += [_reference(a, resource) for a in sorted(before - after)]
        elif name in {"parent", "project"}:
            return _move(target, name, value)
        elif name == "milestone":
            if isinstance(value, str) and project_of(value) != resource.project:
                return f"{value} is a milestone of another project"
            target.fields[name] = str(value).rpartition("/")[2] if value else None
        elif name in _LISTS:
            before, after = _set(item.base), _set(value)
            there = _set(resource.fields.get(name))
            target.fields[name] = sorted(there - (before - after) | (after - before))
        else:
            target.fields["name" if _is_name(name, resource) else name] = _written(name, value)
        return ""

    def operations(self) -> list[Operation]:
        """Return the operations, in the order of the edits."""
        from schemas import operations as ops

        made: list[Operation] = []
        for address, target in self._targets.items():
            why = target.why
            given = cast("Any", target.fields)
            project, key = project_of(address), address.rpartition("/")[2]
            if given and kind_of(address) == "project":
                made.append(ops.UpdateProject(project=address, set=given, why=why))
            elif given and kind_of(address) == "milestone":
                made.append(ops.UpdateMilestone(project=project, key=key, set=given, why=why))
            elif given:
                made.append(ops.UpdateTask(task=address, set=given, why=why))
            if target.add or target.remove:
                made.append(
                    ops.SetDependencies(task=address, add=target.add, remove=target.remove, why=why)
                )
            if target.moves:
                made.append(
                    ops.MoveTask(
                        task=address,
                        project=target.moves.get("project"),
                        parent=target.moves.get("parent"),
                        why=why,
                    )
                )
        for address, platform in reversed(self._gone.items()):
            why = f"Deleted on {platform}"
            project, key = project_of(address), address.rpartition("/")[2]
            if kind_of(address) == "task":
                made.append(ops.RemoveTask(task=address, subtasks="lift", why=why))
            elif kind_of(address) == "milestone":
                made.append(ops.RemoveMilestone(project=project, key=key, why=why))
            else:
                made.append(ops.ArchiveProject(project=address, why=why))
        return made


def _move(target: _Target, name: str, value: Value) -> str:
    home = target.resource.project
    if kind_of(target.resource.address) != "task":
        return f"a {target.resource.kind} cannot be moved"
    if name == "project":
        if not value:
            return "it is in no project there, and a spec always is in one"
        target.moves["project"] = str(value)
        return ""
    if value and project_of(str(value)) != home:
        return f"its parent {value} is in another project"
    target.moves["parent"] = str(value).rpartition("/")[2] if value else None
    return ""


def _written(name: str, value: Value) -> object:
    """Return a value as an operation takes it."""
    if isinstance(value, tuple):
        return list(value)
    if name == "priority" and value is None:
        return "none"
    return value


def _is_name(name: str, resource: Resource) -> bool:
    return name == "title" and resource.kind != "task"


def _set(value: Value) -> set[str]:
    return set(value) if isinstance(value, tuple) else set()


def _reference(address: str, resource: Resource) -> str:
    """Return an address as the task's own file writes it."""
    project, _, key = address.partition("/")
    return key if project == resource.project else address


def proposed(config: Config, made: Adoption, branch: str) -> MergeRequest:
    """Open a merge request that adopts; the same edits open only one.

    Args:
        config: where the forge is.
        made: what to adopt.
        branch: what to call the branch; made up where empty.

    Raises:
        ConfigError: the forge cannot be told, no token may write, or the specs on the default
            branch refuse the edits.
    """
    from runner.forge import Proposal, open_forge

    proposal = Proposal(
        request_id=made.request_id,
        title=_title(made),
        description=_description(made),
        trailers={"Adopted-From": ", ".join(sorted({d.platform for d in made.taken}))},
        labels=("trueup", "drift"),
        branch=branch,
    )
    with open_forge(config) as forge:
        return forge.propose(proposal, lambda files: _edited(config, made, files))


def commit_to_branch(config: Config, made: Adoption, branch: str) -> str:
    """Put the edits as a commit on a new local branch, and leave the work tree alone.

    Returns:
        The commit.

    Raises:
        ConfigError: there is no commit yet, or the specs refuse the edits.
        GitError: git refuses, or the branch is there already.
    """
    from runner.branch import Remote, branches_of, commit_message
    from runner.repo import read_checkout, read_home

    home = read_home(config.root, "")
    head = read_checkout(config.root, config.specs).branch
    inside = PurePosixPath(home.folder or ".").parts
    folder = "".join(f"{part}/" for part in inside)
    top = config.root.parents[len(inside) - 1] if inside else config.root
    specs = config.specs.relative_to(config.root).as_posix()
    with branches_of(Remote(str(top)), home.author) as branches:
        heads = branches.heads(head, branch)
        if head not in heads:
            raise ConfigError("there is no commit to make a branch of", hint="commit the specs")
        if branch in heads:
            raise ConfigError(f"there is a branch {branch} already", hint="choose another name")
        there = branches.read(heads[head], folder + specs)
        files = {path.removeprefix(folder): content for path, content in there.items()}
        placed = {folder + path: text for path, text in _edited(config, made, files).items()}
        message = commit_message(_title(made), "\n".join(told(made.taken)), {})
        commit = branches.commit(heads[head], placed, message)
        branches.push(branch, commit, over="")
    return commit


def _edited(
    config: Config, made: Adoption, files: Mapping[str, bytes]
) -> Mapping[str, bytes | None]:
    """Return what the edits make of spec files.

    Raises:
        ConfigError: they are refused there.
    """
    from runner.language.edit import apply_operations

    specs = config.specs.relative_to(config.root).as_posix()
    edited = apply_operations(files, made.operations, config.today, specs=specs)
    if edited.refused:
        first = next(item for item in edited.diagnostics if item.severity == "error")
        raise ConfigError(f"the specs refuse it: {first.message}", hint=first.hint)
    return edited.files


def _title(made: Adoption) -> str:
    addresses = list(dict.fromkeys(item.address for item in made.taken))
    what = addresses[0] if len(addresses) == 1 else f"{len(addresses)} resources"
    platforms = sorted({item.platform for item in made.taken})
    return f"Adopt edits of {what} made on {', '.join(platforms)}"


def _description(made: Adoption) -> str:
    from runner.review import plain

    lines = [
        "People changed declared fields on the platforms. Merging makes them the specs' own.",
        "",
    ]
    lines += [f"- {plain(line)}" for line in told(made.taken)]
    return "\n".join(lines) + "\n"


def adoption_text(made: Adoption, *, colour: bool = False) -> str:
    """Return what is adopted, and what is not and why, for a terminal."""
    paint = Paint(colour)
    lines = [f"{paint('32', '+')} {line}" for line in told(made.taken)]
    for item, line in zip(made.left, told([left.item for left in made.left]), strict=True):
        lines += [f"{paint('33', '!')} {line}", f"    left: {item.why}"]
    if not lines:
        return "there is nothing to adopt\n"
    return "\n".join(lines) + "\n"


def remaining(place: Workspace, made: Adoption) -> dict[str, int]:
    """Return how many changes take what was adopted to the other platforms, by platform.

    Args:
        place: the spec repo with the edits in it.
        made: what was adopted.
    """
    from runner.plan import make_plan
    from runner.platforms import profiles_of

    desired = place.desired
    plan = make_plan(desired, place.reader(), profiles_of(desired))
    taken = {item.address for item in made.taken}
    counts = Counter(change.platform for change in plan.changes if change.address in taken)
    return dict(sorted(counts.items()))


def remaining_text(counts: Mapping[str, int]) -> str:
    """Return what is left for the next apply, for a terminal."""
    if not counts:
        return "nothing is left to apply: the platforms have it already\n"
    there = ", ".join(f"{platform} {count}" for platform, count in counts.items())
    return f"left for the next apply, changes by platform: {there}\n"


def adoption_json(made: Adoption, edited: Edited | None, more: Mapping[str, object]) -> str:
    """Return the outcome for machines, with a final line break."""
    document = {
        "format_version": FORMAT_VERSION,
        "adopted": [asdict(item) for item in made.taken],
        "left": [{**asdict(left.item), "why": left.why} for left in made.left],
        "files": sorted(edited.files) if edited else [],
        **more,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

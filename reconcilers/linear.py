"""Linear: projects, project milestones and issues, through its GraphQL API.

Our marker is the object's own id, which Linear takes on create (a UUID that looks like version 4),
so a second create is refused as a duplicate instead of making a second object. That makes every
write here safe to repeat, and fifty creates with all their links and dependencies fit into one
request.

What is said of the API was verified on 2026-11-24 in its published schema (SDK 88.3.0), what is
said of limits in stored copies of linear.app/developers/rate-limiting.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from reconcilers._contract import (
    Capabilities,
    Connection,
    Limits,
    Listing,
    Observed,
    Operation,
    Price,
    Profile,
    Wanted,
    Written,
    batches,
)
from reconcilers._linear_directory import Directory, Needs, unknown_names
from reconcilers._linear_fields import (
    FIELDS,
    Draft,
    Names,
    canonical,
    strings,
    to_remote,
)
from reconcilers._linear_graphql import (
    Json,
    Problem,
    Step,
    Stub,
    classifier,
    learn,
    mutate,
    query,
)
from reconcilers._linear_jobs import Job, Request
from reconcilers._linear_read import Reader
from reconcilers._linear_steps import by_id, create_step, foreign, update_step
from reconcilers._linear_survey import survey
from reconcilers._transport import Transport
from schemas.domain import Change, FieldChange, Kind
from schemas.errors import OutcomeUnknown, PermanentError, PlatformError

if TYPE_CHECKING:
    import httpx

    from reconcilers._budget import Budget

__all__ = ["FIELDS", "PROFILE", "Linear", "canonical", "price", "transport"]

BATCH = 50
"""Issues in one `issueBatchCreate`, by the schema's own words."""

_ASIDE = {
    ("archive", "project"): "projectDelete",  # goes to the trash; `projectArchive` is deprecated
    ("archive", "task"): "issueArchive",
    ("delete", "project"): "projectDelete",
    ("delete", "milestone"): "projectMilestoneDelete",
    ("delete", "task"): "issueDelete",
}
_BACK: Mapping[Kind, str] = {"project": "projectUnarchive", "task": "issueUnarchive"}

_NEEDING_TEAM = frozenset({"container", "status", "estimate", "project"})
"""Fields whose values are names that have to be looked up."""


def price(changes: Sequence[Change], known: Mapping[str, object]) -> Price:
    """Return how many requests `changes` take.

    Creates go by fifties, everything else one by one. Names that are not `known` take a request
    to look them up, and labels among them one more: they are taken to be missing in Linear.
    """
    creates = sum(change.action == "create" for change in changes)
    unknown = unknown_names(changes, known)
    made = not unknown.isdisjoint({"labels", "project_labels"})
    return Price(bool(unknown) + made + batches(creates, BATCH) + len(changes) - creates)


PROFILE = Profile(
    platform="linear",
    title="Linear",
    capabilities=Capabilities(
        actions={
            "project": frozenset({"create", "bind", "update", "move", "archive", "delete"}),
            "milestone": frozenset({"create", "bind", "update", "move", "delete"}),
            "task": frozenset({"create", "bind", "update", "move", "archive", "delete"}),
        },
        fields=FIELDS,
    ),
    limits=Limits(requests=2_500, per_seconds=3_600, concurrency=8, points=3_000_000),
    price=price,
    container="team",
    token_variable="LINEAR_API_KEY",  # noqa: S106 - the variable's name, no secret
    url_variable="TRUEUP_LINEAR_URL",
    default_url="https://api.linear.app/graphql",
    batch=BATCH,
    finds_before_create=False,
    canonical=canonical,
)


def transport(
    token: str, base_url: str, budget: Budget, client: httpx.AsyncClient | None = None
) -> Transport:
    """Return the transport for `base_url`, the GraphQL endpoint itself."""
    # Personal API keys go bare; OAuth tokens are bearer tokens.
    credential = token if token.startswith("lin_api_") else f"Bearer {token}"
    return Transport(
        "linear",
        base_url,
        headers={"Authorization": credential, "Accept": "application/json"},
        budget=budget,
        secrets=(token,),
        classify=classifier(budget.clock.time),
        learn=learn,
        client=client,
    )


_Results = dict[str, Written | PlatformError]


class Linear:
    """The reconciler; see `reconcilers._contract.Reconciler` for what each method promises."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._links = connection.links
        self._reader = Reader(connection.transport, connection.links, connection.people)
        self._directory = Directory(connection.transport, connection.lookups)
        self._team_keys: dict[str, set[str]] = {}

    async def check(self) -> str:
        """Return who we are, and in which workspace."""

        def said(data: Json) -> str:
            viewer = data["viewer"]
            return f"{viewer['name']} <{viewer['email']}> in {data['organization']['name']}"

        document = "query Check { viewer { name email } organization { name } }"
        return await query(self._transport, document, {}, said, name="Check", points=5)

    async def prepare(self, operations: Sequence[Operation]) -> None:
        """Look up teams, people, labels and statuses, all at once; make missing labels."""
        needs = Needs()
        for operation in operations:
            if operation.change.action not in {"archive", "delete"}:
                self._collect(operation, needs)
        await self._directory.fill(needs)

    async def find(self, wanted: Sequence[Wanted]) -> Mapping[str, Observed]:
        """Return the objects with these ids, archived ones too."""
        ids: dict[Kind, list[str]] = {}
        for item in wanted:
            ids.setdefault(item.kind, []).append(item.marker)
        return {found.remote_id: found for found in await self._reader.read(ids)}

    async def observe(self, since: str | None) -> AsyncIterator[Observed]:
        """Yield the bound objects that changed: one request, and one more where some did."""
        for found in await self._reader.read(await self._reader.changed(since)):
            yield found

    async def gone(self, unseen: Mapping[str, Kind], *, full: bool) -> Collection[str]:
        """Return what was deleted for good; the trash is told of by `observe`."""
        if not full:
            return ()
        ids: dict[Kind, list[str]] = {}
        for remote_id, kind in unseen.items():
            ids.setdefault(kind, []).append(remote_id)
        there = {seen.remote_id for seen in await self._reader.read(ids)}
        return unseen.keys() - there

    async def survey(self, container: str, *, closed: bool) -> Listing:
        """Return what a team holds: its issues, their projects and milestones."""
        return await survey(self._transport, self._reader, container, closed=closed)

    async def create(self, operation: Operation) -> Written:
        """Create the object with its links and dependencies, in one request."""
        (result,) = await self.create_many([operation])
        if isinstance(result, PlatformError):
            raise result
        return result

    async def create_many(
        self, operations: Sequence[Operation]
    ) -> Sequence[Written | PlatformError]:
        """Create objects of any kind that may refer to each other, in one request.

        Where one of them is refused, it is singled out and the others are made. One that exists
        already is brought to what is desired.
        """
        new = {operation.change.address: operation.marker for operation in operations}
        results: _Results = {}
        jobs: list[Job] = []
        for operation in operations:
            try:
                jobs.append(Job(operation, self._draft_new(operation, new), new))
            except PlatformError as error:
                results[operation.change.address] = error
        await self._make(jobs, results)
        await self._read_back([job for job in jobs if job.made and job.stub is None], results)
        return [results[operation.change.address] for operation in operations]

    async def update(self, operation: Operation) -> Written:
        """Bring the changed fields to their new values, in one request."""
        return await self._change(operation, operation.change.fields)

    async def move(self, operation: Operation) -> Written:
        """Carry the object to another team, project or parent: an update like any other."""
        return await self._change(operation, operation.change.fields)

    async def restore(self, operation: Operation) -> Written:
        """Take the object out of the archive or the trash and give it all that is desired."""
        fields = tuple(
            FieldChange(name, operation.base.get(name), value)
            for name, value in operation.desired.items()
        )
        return await self._change(operation, fields, back=True)

    async def archive(self, operation: Operation) -> Written:
        """Archive an issue, trash a project."""
        return await self._put_aside(operation, "archive")

    async def delete(self, operation: Operation) -> Written:
        """Trash an issue or a project for 30 days; a milestone is gone for good."""
        return await self._put_aside(operation, "delete")

    # What is needed before anything is sent

    def _team_key(self, operation: Operation) -> str:
        key = operation.desired.get("container") or self._connection.options.get("team")
        return str(key) if key and operation.change.kind != "milestone" else ""

    def _collect(self, operation: Operation, needs: Needs) -> None:
        change, team = operation.change, self._team_key(operation)
        fields = {item.name: item for item in change.fields}
        if team and (change.action == "create" or fields.keys() & {*_NEEDING_TEAM, "labels"}):
            needs.teams.add(team)
        owner = fields["owner"].after if "owner" in fields else None
        if isinstance(owner, str):
            needs.people.add(owner)
        if change.kind == "project":
            needs.statuses |= "status" in fields
        if change.kind == "task" and team and isinstance(operation.desired.get("project"), str):
            self._team_keys.setdefault(str(operation.desired["project"]), set()).add(team)
        if "labels" in fields:
            labels = _with_others(operation, fields["labels"])
            before, after = strings(labels.before), strings(labels.after)
            if change.kind == "project":
                needs.project_labels.update(after)
            else:
                needs.labels.update((name, team) for name in after)
                needs.known_labels.update((name, team) for name in before)

    def _names(self, operation: Operation, new: Mapping[str, str], *, team: bool) -> Names:
        key = self._team_key(operation)
        found = self._directory.team(key) if team and operation.change.kind != "milestone" else None
        return Names(self._directory, self._links, new, key, found)

    def _draft_new(self, operation: Operation, new: Mapping[str, str]) -> Draft:
        kind, names = operation.change.kind, self._names(operation, new, team=True)
        fields = [
            FieldChange(name, None, value)
            for name, value in {"container": names.team_key, **operation.desired}.items()
            if value is not None and value != ()
        ]
        draft = to_remote(kind, operation.marker, fields, names, new=True)
        draft.input["id"] = operation.marker
        if kind == "project" and names.team:
            draft.input["teamIds"] = self._teams_of_new(operation.change.address, names.team.id)
        return draft

    def _teams_of_new(self, address: str, own: str) -> list[str]:
        """Return the teams of a new project: issues can join it only from one of them."""
        teams = [own]
        for key in sorted(self._team_keys.get(address, ())):
            try:
                teams.append(self._directory.team(key).id)
            except PermanentError:
                continue  # the task that names this team will say so
        return list(dict.fromkeys(teams))

    # Creating

    async def _make(self, jobs: Sequence[Job], results: _Results) -> None:
        """Make all that can be made; every job has its result afterwards."""
        jobs = self._able(jobs, results)
        if not jobs:
            return
        request = self._compose(jobs)
        failed = request.settle(await mutate(self._transport, request.steps))
        for job in jobs:
            if job.made and job.kind == "project":
                self._directory.remember_teams(job.id, job.teams)
        if failed is None:
            results.update({job.address: job.written() for job in jobs})
            return
        culprits, problem = failed
        others = [job for job in jobs if job not in culprits]
        if problem.duplicate:
            await self._make(others + await self._adopt(culprits, results), results)
        elif len(culprits) > 1:
            middle = len(culprits) // 2
            await self._make(others + culprits[:middle], results)
            await self._make(culprits[middle:], results)
        else:
            results[culprits[0].address] = self._refusal(culprits[0].operation.change, problem)
            await self._make(others, results)

    def _able(self, jobs: Sequence[Job], results: _Results) -> list[Job]:
        able: list[Job] = []
        for job in jobs:
            lost = next((a for a in job.needs if isinstance(results.get(a), PlatformError)), None)
            if lost is None:
                able.append(job)
            else:
                results[job.address] = PermanentError(
                    f"needs {lost}, which could not be made", platform="linear"
                )
        return able

    def _compose(self, jobs: Sequence[Job]) -> Request:
        request = Request()
        to_make = [job for job in jobs if not job.made]
        for job in to_make:
            if job.kind != "task":
                request.add_main(create_step(job.kind, job.draft.input), [job])
        tasks = [job for job in to_make if job.kind == "task"]
        memberships = [
            (job.draft.input.get("projectId"), job.draft.input["teamId"]) for job in tasks
        ]
        request.steps += self._joins(memberships)
        if len(tasks) == 1:
            request.add_main(create_step("task", tasks[0].draft.input), tasks)
        elif tasks:
            issues = {"issues": [job.draft.input for job in tasks]}
            request.add_main(
                Step(
                    "issueBatchCreate",
                    {"input": ("IssueBatchCreateInput!", issues)},
                    "success objects: issues { id url updatedAt }",
                ),
                tasks,
            )
        for job in jobs:
            request.add_extras(job.draft)
        return request

    async def _adopt(self, jobs: Sequence[Job], results: _Results) -> list[Job]:
        """Bring those of `jobs` that exist already to what is desired; return the others."""
        found = await self._existing(jobs)
        missing = [job for job in jobs if job.operation.marker not in found]
        if not found:
            for job in jobs:
                results[job.address] = OutcomeUnknown(
                    "it exists already, but cannot be read yet",
                    platform="linear",
                    request=job.address,
                    hint="run apply again",
                )
            return []
        for job in jobs:
            if job.operation.marker in found:
                try:
                    results[job.address] = await self._mend(job, found[job.operation.marker])
                except PlatformError as error:
                    results[job.address] = error
        return missing

    async def _existing(self, jobs: Sequence[Job]) -> dict[str, Observed]:
        """Return those of `jobs` that exist already, by id.

        A single one has most likely been put away by an earlier prune; taking it out again tells
        all about it.
        """
        if len(jobs) == 1 and jobs[0].kind in _BACK:
            kind, marker = jobs[0].kind, jobs[0].operation.marker
            told = f"success objects: entity {{ {self._reader.details(kind)} }}"
            step = Step(_BACK[kind], {"id": ("String!", marker)}, told)
            (receipt,) = await mutate(self._transport, [step])
            for stub in receipt.objects:
                if back := self._reader.told(kind, stub.node):
                    return {marker: back}
        return await self._read(jobs)

    async def _read(self, jobs: Sequence[Job]) -> dict[str, Observed]:
        ids: dict[Kind, list[str]] = {}
        for job in jobs:
            ids.setdefault(job.kind, []).append(job.operation.marker)
        return {item.remote_id: item for item in await self._reader.read(ids)}

    async def _mend(self, job: Job, found: Observed) -> Written:
        """Bring an object that an earlier, interrupted run made to what is desired."""
        comparable = PROFILE.capabilities.observable(job.kind)
        differing = tuple(
            FieldChange(name, found.fields.get(name), value)
            for name, value in job.operation.desired.items()
            if name in comparable
            and canonical(name, found.fields.get(name)) != canonical(name, value or None)
        )
        change = replace(job.operation.change, remote_id=found.remote_id, fields=differing)
        operation = Operation(change, found.fields, job.operation.desired)
        written = await self._change(operation, differing, back=found.archived, new=job.new)
        return replace(
            written, url=written.url or found.url, revision=written.revision or found.revision
        )

    async def _read_back(self, jobs: Sequence[Job], results: _Results) -> None:
        """Fetch the addresses of objects whose own answer was lost to another one's error."""
        found = await self._read(jobs)
        for job in jobs:
            result, seen = results[job.address], found.get(job.operation.marker)
            if isinstance(result, Written) and seen:
                results[job.address] = replace(result, url=seen.url, revision=seen.revision)

    # Changing

    async def _change(
        self,
        operation: Operation,
        fields: Sequence[FieldChange],
        *,
        back: bool = False,
        new: Mapping[str, str] | None = None,
    ) -> Written:
        change = operation.change
        names_changed = {item.name for item in fields}
        needs_team = bool(names_changed & _NEEDING_TEAM)
        names = self._names(operation, new or {}, team=needs_team)
        fields = [_with_others(operation, item) for item in fields]
        draft = to_remote(change.kind, change.remote_id, fields, names, new=False)
        request = Request()
        job = Job(operation, draft, stub=Stub(change.remote_id, "", ""))
        if back and change.kind in _BACK:
            request.add_main(by_id(_BACK[change.kind], change), [job])
        if "container" in names_changed and change.kind == "task":
            self._keep_status(draft, operation, names)
        if names.team and change.kind == "task" and names_changed & {"container", "project"}:
            project = names.remote_id(str(operation.desired.get("project")))
            request.steps += self._joins([(project, names.team.id)])
        if job.teams:
            # The other teams stay: their issues would leave the project.
            draft.input["teamIds"] = self._with_known(change.remote_id, job.teams)
        if draft.input:
            request.add_main(update_step(change.kind, change.remote_id, draft.input), [job])
        request.add_extras(draft)
        failed = request.settle(await mutate(self._transport, request.steps))
        if failed:
            raise self._refusal(change, failed[1])
        if request.unfound:
            # What people had tied before it was imported has an id of its own.
            removals = await foreign(self._transport, change, self._links)
            await mutate(self._transport, removals)
        return job.written()

    def _joins(self, pairs: Sequence[tuple[object, object]]) -> list[Step]:
        """Return what lets issues of these (project, team) pairs into their projects.

        Linear refuses an issue whose team does not take part in its project.
        """
        joining: dict[str, list[str]] = {}
        for project, team in pairs:
            known = self._directory.teams_of(str(project))
            if known and team not in known:
                joining.setdefault(str(project), []).append(str(team))
        steps: list[Step] = []
        for project, teams in joining.items():
            all_teams = self._with_known(project, teams)
            steps.append(update_step("project", project, {"teamIds": all_teams}))
            self._directory.remember_teams(project, all_teams)
        return steps

    def _with_known(self, project: str, teams: Sequence[str]) -> list[str]:
        return list(dict.fromkeys([*self._directory.teams_of(project), *teams]))

    def _keep_status(self, draft: Draft, operation: Operation, names: Names) -> None:
        """Name the state in the new team that means what the old one meant."""
        status = FieldChange("status", None, operation.desired.get("status"))
        if "stateId" not in draft.input:
            kept = to_remote("task", operation.remote_id, [status], names, new=False)
            draft.input |= kept.input

    def _refusal(self, change: Change, problem: Problem) -> PermanentError:
        self._directory.forget()
        error = problem.error(change.address)
        if problem.missing:
            error.code = "not_found"
            error.hint = "it, or something that it names, was deleted there: trueup plan --refresh"
        return error

    async def _put_aside(self, operation: Operation, how: Literal["archive", "delete"]) -> Written:
        change = operation.change
        (receipt,) = await mutate(self._transport, [by_id(_ASIDE[how, change.kind], change)])
        if receipt.problem and not receipt.problem.missing:
            raise self._refusal(change, receipt.problem)
        stub = receipt.objects[0] if receipt.objects else Stub(change.remote_id, "", "")
        return Written(change.remote_id, stub.url, stub.updated_at)


def _with_others(operation: Operation, item: FieldChange) -> FieldChange:
    """Return the change with the labels that people put on a project: it replaces them all."""
    if item.name != "labels" or operation.change.kind != "project":
        return item
    before, after = set(strings(item.before)), set(strings(item.after))
    there = set(strings(operation.drift.get("labels", item.before)))
    return replace(item, after=tuple(sorted(there - (before - after) | after)))

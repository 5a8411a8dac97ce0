"""The import itself: ask a platform, work out specs and bindings, prove them, write both."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconcilers import Platform, for_platform
from reconcilers._budget import Clock, SystemClock
from reconcilers._contract import Listing, Lists, Marks, Operation
from runner.apply import new_run_id
from runner.config import now
from runner.imports.binding import Overlay, bind, live_of
from runner.imports.drafting import Draft, Wish, draft
from runner.imports.joining import FOREIGN, Choose, join
from runner.imports.places import Places
from runner.lanes import Links
from runner.language.edit import Edited, Files, apply_operations, write_files
from runner.language.load import Loaded, load_files, read_files
from runner.lease import leased, who
from runner.plan import make_plan
from runner.platforms import profiles_of, session
from runner.state.contract import Commit, IntegrationRow, LogRow, ResourceRow, RunRow
from schemas.domain import Binding, Change, Desired, FieldChange, Outcome, Plan
from schemas.errors import ConfigError, SpecError
from schemas.operations import Operation as Edit
from schemas.operations import SetIntegration, UpdateProject

if TYPE_CHECKING:
    from runner.state.contract import StateReader, StateWriter
    from runner.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or would do.

    Attributes:
        title: what people call the platform.
        found: how many objects the container holds, of those that were read.
        draft: what was made of them.
        edited: the spec files.
        before: the spec files as they were.
        plan: what is left to do after it; `None` where the specs could not be written.
        requests: how many were sent.
        written: whether anything was; not in a dry run.
        notes: what the platform cannot tell of what it holds.
        known: how many objects are bound to what the specs declare already.
    """

    platform: str
    title: str
    container: str
    found: int
    draft: Draft
    edited: Edited
    before: Files
    plan: Plan | None
    requests: int
    written: bool
    notes: tuple[str, ...] = ()
    known: int = 0


def import_from(
    place: Workspace,
    platform: str,
    container: str,
    wish: Wish,
    *,
    choose: Choose,
    dry_run: bool = False,
    clock: Clock | None = None,
) -> Imported:
    """Write specs and bindings for what exists on a platform.

    Args:
        place: the spec repo; its specs must be free of errors.
        platform: where to look.
        container: the Linear team, GitLab project, Notion page or Motion workspace; '' for the
            one that the Integrations spec names.
        wish: what is to be imported, and how.
        choose: asked where an object may be one of several resources.
        dry_run: write nothing, neither here nor there.
        clock: the time.

    Raises:
        SpecError: the specs have errors.
        ConfigError: no container is named, or something asked for is not there.
        PlatformError: the platform could not be read in full; nothing was written.
        StateLocked: an apply is at work.
    """
    return _Import(place, platform, container, wish, choose, clock or SystemClock()).run(dry_run)


class _Import:
    def __init__(
        self,
        place: Workspace,
        platform: str,
        container: str,
        wish: Wish,
        choose: Choose,
        clock: Clock,
    ) -> None:
        self.place = place
        self.platform = platform
        self.wish = wish
        self.choose = choose
        self.clock = clock
        self.run_id = new_run_id()
        if any(item.severity == "error" for item in place.diagnostics):
            raise SpecError(place.diagnostics)
        self.opened: Platform = for_platform(platform, place.desired.reconcilers)
        self.option = self.opened.profile.container
        config = place.config
        self.folder = config.specs.relative_to(config.root).as_posix()
        self.files, self.problems = read_files(config.root, config.specs)
        self.connecting = self._connecting(container)
        self.loaded = self._edited(self.connecting)[1] if self.connecting else place.loaded
        self.desired = replace(place, edited=self.loaded).desired
        options = self.desired.integrations[platform].options
        self.container = container or str(options.get(self.option, ""))

    def run(self, dry_run: bool) -> Imported:
        if dry_run:
            return self._import(self.place.reader(), None)
        with self._writing() as state:
            return self._import(state, state)

    @contextlib.contextmanager
    def _writing(self) -> Generator[StateWriter]:
        from runner.state import lock_file

        lock = lock_file(self.place.loaded.settings, self.place.config)
        with self.place.writer() as state, leased(state, self.run_id, lock, wait=0):
            yield state

    def _import(self, state: StateReader, writer: StateWriter | None) -> Imported:
        bindings = state.bindings()
        here = [b for b in bindings if b.platform == self.platform]
        row = next((r for r in state.integrations() if r.platform == self.platform), None)
        row = row or IntegrationRow(self.platform)
        listing, lookups, requests = asyncio.run(self._survey(here, row))
        state_id = state.identity() or str(uuid.uuid4())
        joins = join(
            listing,
            self.platform,
            self.desired,
            bindings,
            state_id,
            matches=self.wish.matches,
            into=self.wish.into,
            choose=self.choose,
        )
        places = Places(self.loaded, self.desired)
        made = draft(listing, self.platform, self.desired, here, joins, self.wish, places)
        edited, loaded = self._edited((*self.connecting, *made.operations))
        imported = Imported(
            self.platform,
            self.opened.profile.title,
            self.container,
            len(listing.objects),
            made,
            edited,
            self.files,
            None,
            requests,
            written=False,
            notes=listing.notes,
            known=sum(b.address in self.desired.resources for b in here if b.remote_id),
        )
        if edited.refused:
            return imported
        desired = replace(self.place, edited=loaded).desired
        profiles = profiles_of(desired)
        profile = profiles[self.platform]
        new = bind(made.ties, self.platform, desired, profile, state_id, self.run_id)
        plan = make_plan(desired, Overlay(state, new, state_id), profiles)
        if writer is None:
            return replace(imported, plan=plan)
        row = replace(row, lookups=lookups, enabled=True, updated_at=now())
        new, row, marked = asyncio.run(self._marked(new, desired, row))
        self._save(writer, desired, new, row)
        root, specs = self.place.config.root, self.place.config.specs
        write_files(root, specs, self.files, edited.files)
        return replace(imported, plan=plan, written=True, requests=requests + marked)

    def _connecting(self, container: str) -> tuple[Edit, ...]:
        """Return what connects the platform in the Integrations spec, where it is not."""
        integration = self.place.desired.integrations.get(self.platform)
        if integration is not None:
            return ()
        if not container:
            raise ConfigError(
                f"{self.platform} is not connected, and it is not said where to look",
                hint=f"name the {self.option} with --in",
            )
        document = {
            "platform": self.platform,
            "set": {"enabled": True, "container": container},
            "why": f"Imported from {self.platform}",
        }
        return (SetIntegration.model_validate(document), *self._pinned())

    def _pinned(self) -> Iterator[Edit]:
        """Yield what keeps declared projects where they are, and off the platform just connected.

        An import makes nothing on a platform, so what means "everywhere" is spelled out.
        """
        enabled = list(self.place.desired.integrations)
        for document in self.place.loaded.projects if enabled else ():
            if "platforms" not in document.data:
                edit = {
                    "project": document.data["key"],
                    "set": {"platforms": enabled},
                    "why": f"Not on {self.platform}, which the import connects",
                }
                yield UpdateProject.model_validate(edit)

    def _edited(self, operations: Sequence[Edit]) -> tuple[Edited, Loaded]:
        """Return what operations make of the specs, and these, read again."""
        config = self.place.config
        edited = apply_operations(
            self.files,
            operations,
            config.today,
            specs=self.folder,
            root=config.root,
            problems=self.problems,
        )
        contents = {**self.files, **edited.files}
        sound = {name: content for name, content in contents.items() if content is not None}
        return edited, load_files(dict(sorted(sound.items())), config.root, self.problems)

    async def _survey(
        self, bound: Sequence[Binding], row: IntegrationRow
    ) -> tuple[Listing, dict[str, object], int]:
        """Read the container; return it, what was learned of the platform, and the requests."""
        ids = {b.address: b.remote_id for b in bound if b.remote_id}
        async with session(
            self.opened,
            self.desired,
            self.place.config,
            bound=ids,
            lookups=row.lookups,
            limits=row.limits,
            clock=self.clock,
            links=EveryLink(ids),
        ) as open_:
            reconciler = open_.reconciler
            if not isinstance(reconciler, Lists):
                raise ConfigError(f"{self.platform} cannot list what it holds")
            closed = self.wish.closed == "include"
            listing = await reconciler.survey(self.container, closed=closed)
            return listing, open_.connection.lookups, open_.transport.requests

    async def _marked(
        self, bindings: list[Binding], desired: Desired, row: IntegrationRow
    ) -> tuple[list[Binding], IntegrationRow, int]:
        """Give objects our marker where the platform observes by it; return what it made of it."""
        ids = {b.address: b.remote_id for b in bindings}
        async with session(
            self.opened,
            desired,
            self.place.config,
            bound=ids,
            lookups=row.lookups,
            limits=row.limits,
            clock=self.clock,
        ) as open_:
            reconciler = open_.reconciler
            if not isinstance(reconciler, Marks) or not bindings:
                return bindings, row, 0
            operations = [_operation(binding) for binding in bindings]
            await reconciler.prepare(operations)
            gate = asyncio.Semaphore(open_.profile.limits.concurrency)

            async def mark(operation: Operation) -> str:
                async with gate:
                    return (await reconciler.mark(operation)).revision

            revisions = await asyncio.gather(*(mark(operation) for operation in operations))
            marked = [
                replace(b, revision=revision or b.revision)
                for b, revision in zip(bindings, revisions, strict=True)
            ]
            row = replace(row, lookups=open_.connection.lookups)
            return marked, row, open_.transport.requests

    def _save(
        self,
        state: StateWriter,
        desired: Desired,
        bindings: Sequence[Binding],
        row: IntegrationRow,
    ) -> None:
        """Record the bindings and the run; they come before the specs, see `bind`."""
        at = now()
        commit = Commit(self.run_id, desired.commit, "import")
        run = RunRow(
            self.run_id,
            "import",
            "done",
            who=who(),
            commit=desired.commit,
            spec_digest=desired.digest,
            started_at=at,
            ended_at=at,
            counts={"applied": len(bindings)},
        )
        resources = [
            replace(
                ResourceRow.of(
                    desired.resources[b.address],
                    commit=desired.commit,
                    applied_at=at,
                    resource_id=b.resource_id,
                ),
                live=live_of(b, desired.resources[b.address].fields),
            )
            for b in bindings
        ]
        changes = [
            Change("bind", b.address, b.kind, b.platform, b.resource_id, "imported")
            for b in bindings
        ]
        logs = [
            LogRow.of(self.run_id, i, at, c, Outcome(c.id, "applied", b.remote_id))
            for i, (c, b) in enumerate(zip(changes, bindings, strict=True))
        ]
        with state.batch(wait=True):
            state.append_logs(logs, commit)
            state.save_resources(resources, commit)
            state.save_bindings([replace(b, updated_at=at) for b in bindings], commit)
            state.save_integrations([row], commit)
            state.save_run(run, commit)


class EveryLink(Links):
    """Links that know an address for everything: what nothing is bound to is named by its id."""

    def address(self, remote_id: str) -> str | None:
        """Return the address bound to `remote_id`, else the id behind `FOREIGN`."""
        return super().address(remote_id) or (f"{FOREIGN}{remote_id}" if remote_id else None)


def _operation(binding: Binding) -> Operation:
    change = Change(
        "bind",
        binding.address,
        binding.kind,
        binding.platform,
        binding.resource_id,
        "imported",
        fields=(FieldChange("key", None, binding.address),),
        remote_id=binding.remote_id,
    )
    return Operation(change, binding.base, binding.base)

"""What is under way on Linear: objects to be written, and the requests that carry several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from reconcilers._contract import Operation, Written
from reconcilers._linear_fields import Draft, Extra, strings
from reconcilers._linear_graphql import Problem, Receipt, Step, Stub
from schemas.domain import Kind


@dataclass(slots=True)
class Job:
    """One object to be made, and how far that has come.

    Attributes:
        new: by address, the ids of all that is made together.
    """

    operation: Operation
    draft: Draft
    new: Mapping[str, str] = field(default_factory=dict[str, str])
    made: bool = False
    stub: Stub | None = None

    @property
    def id(self) -> str:
        """The object's id, whether it is there yet or not."""
        return self.operation.remote_id or self.operation.marker

    @property
    def address(self) -> str:
        """The resource's address."""
        return self.operation.change.address

    @property
    def kind(self) -> Kind:
        """What it is."""
        return self.operation.change.kind

    @property
    def needs(self) -> list[str]:
        """The addresses that must be there before it."""
        desired = self.operation.desired
        one = [desired.get(name) for name in ("project", "milestone", "parent")]
        return [a for a in (*one, *strings(desired.get("depends_on"))) if isinstance(a, str)]

    @property
    def teams(self) -> list[str]:
        """The ids of the teams that it is given."""
        return cast("list[str]", self.draft.input.get("teamIds", []))

    def written(self) -> Written:
        """Return what became of it."""
        draft, stub = self.draft, self.stub or Stub(self.id, "", "")
        return Written(
            stub.id,
            stub.url,
            stub.updated_at,
            draft.complete,
            tuple(draft.warnings),
            echo=draft.echo,
        )


@dataclass(slots=True)
class Request:
    """The steps of one request, and whose they are.

    Attributes:
        unfound: whether a tie was to be removed that was not there under its id.
    """

    steps: list[Step] = field(default_factory=list[Step])
    mains: dict[int, list[Job]] = field(default_factory=dict[int, list[Job]])
    extras: dict[int, tuple[Draft, Extra]] = field(default_factory=dict[int, tuple[Draft, Extra]])
    unfound: bool = False

    def add_main(self, step: Step, jobs: list[Job]) -> None:
        """Add the step that makes or changes `jobs`."""
        self.mains[len(self.steps)] = jobs
        self.steps.append(replace(step, vital=True))

    def add_extras(self, draft: Draft) -> None:
        """Add the links and dependencies of a draft."""
        for extra in draft.extras:
            self.extras[len(self.steps)] = (draft, extra)
            self.steps.append(extra.step)

    def settle(self, receipts: Sequence[Receipt]) -> tuple[list[Job], Problem] | None:
        """Note what became of every step; return whose main step failed, and why."""
        failed: tuple[list[Job], Problem] | None = None
        for i, jobs in self.mains.items():
            receipt = receipts[i]
            stubs = {stub.id: stub for stub in receipt.objects}
            for job in jobs:
                job.made = job.made or receipt.state == "done"
                job.stub = stubs.get(job.id, job.stub)
            if receipt.problem:
                failed = (jobs, receipt.problem)
        for i, (draft, extra) in self.extras.items():
            problem = receipts[i].problem
            if problem and problem.missing and extra.forgive == "missing":
                self.unfound = True
            elif problem and extra.failed(problem):
                draft.lack(f"{extra.what}: {problem.message}", complete=False)
        return failed

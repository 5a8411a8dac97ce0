"""The definition of a correct reconciler: plan, apply, and the next plan is empty.

Every step edits the specs a little, easy ones first. After each: the plan is not empty, the apply
carries all of it out, the next plan is empty and costs no request, and observing the platforms
finds no drift, so what they hold is what we agreed on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox._world import World
from runner.sandbox.server import serving
from schemas.domain import PLATFORMS
from tests.contract.sandboxed import SpecRepo
from tests.contract.vendors import objections

Project = dict[str, Any]
Step = Callable[[Project], None]

MARKDOWN = """\
# Why

A paragraph with **bold**, *italic*, `code` and a [link](https://example.com/a?b=1&c=2).

- one
- two
  - nested

1. first
2. second

> quoted

```python
print("grüße, 世界 🚀")
```
"""


def task(project: Project, key: str) -> Project:
    """Return a task of the project, wherever it is nested."""

    def look(tasks: Project) -> Project | None:
        for name, found in tasks.items():
            if name == key:
                return found
            if inner := look(found.get("tasks", {})):
                return inner
        return None

    found = look(project["tasks"])
    assert found is not None, key
    return found


def a_project(p: Project) -> None:
    p.update(key="app", name="Mobile app")


def a_task(p: Project) -> None:
    p["tasks"] = {"stack": {"title": "Pick the stack"}}


def every_field_of_a_project(p: Project) -> None:
    p.update(
        description=MARKDOWN,
        owner="me",
        priority="high",
        start="2026-12-01",
        due="2027-02-28",
        labels=["product"],
    )


def every_field_of_a_task(p: Project) -> None:
    p["tasks"]["login"] = {
        "title": "Design the login — grüße, 世界",
        "description": MARKDOWN,
        "owner": "me",
        "priority": "urgent",
        "status": "in_progress",
        "start": "2026-12-02",
        "due": "2026-12-18",
        "estimate": "4h",
        "labels": ["design", "ünïcode"],
        "links": [{"url": "https://example.com/spec", "title": "The spec"}],
    }


def a_milestone(p: Project) -> None:
    p["milestones"] = {"beta": {"name": "Beta", "due": "2027-01-31", "description": "First cut."}}
    p["tasks"]["login"]["milestone"] = "beta"


def a_subtask(p: Project) -> None:
    p["tasks"]["login"]["tasks"] = {"wireframes": {"title": "Wireframes", "estimate": "2h"}}


def dependencies(p: Project) -> None:
    p["tasks"]["login"]["depends_on"] = ["stack"]
    p["tasks"]["ship"] = {"title": "Ship it", "depends_on": ["login", "stack"]}


def another_title(p: Project) -> None:
    p["tasks"]["stack"]["title"] = "Choose the stack"


def other_scalars(p: Project) -> None:
    p["tasks"]["login"].update(priority="low", due="2026-12-20", start="2026-12-03", estimate="6h")


def another_description(p: Project) -> None:
    p["tasks"]["login"]["description"] = "Short now.\n\nWith a second paragraph.\n"


def other_labels(p: Project) -> None:
    p["tasks"]["login"]["labels"] = ["design", "mobile"]


def a_very_long_description(p: Project) -> None:
    line = "A sentence of some length that goes on and on, ünïcode included. "
    p["tasks"]["stack"]["description"] = "\n\n".join(line * 20 for _ in range(30)) + "\n"


def one_dependency_less(p: Project) -> None:
    p["tasks"]["ship"]["depends_on"] = ["login"]


def done(p: Project) -> None:
    p["tasks"]["login"]["status"] = "done"


def opened_again(p: Project) -> None:
    p["tasks"]["login"]["status"] = "todo"


def canceled(p: Project) -> None:
    p["tasks"]["ship"]["status"] = "canceled"


def cleared_fields(p: Project) -> None:
    p["tasks"]["login"].update(due=None, start=None, estimate=None, labels=[], owner=None)
    p["tasks"]["login"]["milestone"] = None


def another_milestone_date(p: Project) -> None:
    p["milestones"]["beta"]["due"] = "2027-02-07"


def another_parent(p: Project) -> None:
    p["tasks"]["stack"]["tasks"] = p["tasks"]["login"].pop("tasks")


def a_renamed_task(p: Project) -> None:
    p["tasks"]["pick-stack"] = p["tasks"].pop("stack")
    p["tasks"]["login"]["depends_on"] = ["pick-stack"]
    p["moved"] = {"stack": "pick-stack"}


def a_task_gone(p: Project) -> None:
    p["gone"] = p["tasks"].pop("ship")


def the_task_back_again(p: Project) -> None:
    p["tasks"]["ship"] = p.pop("gone")


STEPS: tuple[Step, ...] = (
    a_project,
    a_task,
    every_field_of_a_project,
    every_field_of_a_task,
    a_milestone,
    a_subtask,
    dependencies,
    another_title,
    other_scalars,
    another_description,
    other_labels,
    a_very_long_description,
    one_dependency_less,
    done,
    opened_again,
    canceled,
    cleared_fields,
    another_milestone_date,
    another_parent,
    a_renamed_task,
    a_task_gone,
    the_task_back_again,
)

SILENT: dict[str, set[Step]] = {
    "motion": {
        every_field_of_a_project,
        another_milestone_date,
        one_dependency_less,
        another_parent,
        a_renamed_task,
    },
    "gitlab": {every_field_of_a_project, another_parent, a_renamed_task},
    "linear": {a_renamed_task},
    "notion": {another_milestone_date},
}
"""Steps that change nothing on a platform, since it has no such field."""


@pytest.mark.parametrize("platforms", [*((p,) for p in PLATFORMS), PLATFORMS], ids="+".join)
def test_each_step_is_applied_once_and_then_at_rest(
    tmp_path: Path, contracts: Path, platforms: tuple[str, ...]
) -> None:
    with serving(World(limits=False)) as sandbox:
        repo = SpecRepo(tmp_path, sandbox, platforms, project={})
        for step in STEPS:
            assert repo.project is not None
            step(repo.project)
            hidden = repo.project.pop("gone", None)
            check(repo, step)
            if hidden is not None:
                repo.project["gone"] = hidden
        for exchange in sandbox.world.traffic:
            assert not objections(exchange), f"{exchange.method} {exchange.path}"


def check(repo: SpecRepo, step: Step) -> None:
    """Apply what `step` changed, and make sure that all is at rest afterwards."""
    name = step.__name__
    made = repo.plan()
    silent = all(step in SILENT[platform] for platform in repo.platforms)
    assert made.changes or silent, f"{name}: the plan is empty"
    before = repo.requests()
    applied = repo.apply()
    wrong = [(c.id, o.error, o.warnings) for c, o in applied.results if o.status != "applied"]
    assert not wrong, f"{name}: {wrong}"
    incomplete = [(c.id, o.warnings) for c, o in applied.results if not o.complete]
    assert not incomplete, f"{name}: {incomplete}"
    for platform, count in made.cost.requests.items():
        sent = repo.requests()[platform] - before[platform]
        # That an object is there already, put away, shows only once it is looked up.
        most = count + (step is the_task_back_again)
        assert sent <= most, f"{name}: {platform} was sent {sent} requests, priced {count}"
    before = repo.requests()
    again = repo.plan()
    assert again.changes == (), f"{name}: {[(c.id, c.fields) for c in again.changes]}"
    assert again.settled == (), f"{name}: {again.settled}"
    assert repo.requests() == before, f"{name}: a plan sends nothing"
    assert not repo.observe().failed, name
    assert repo.drift() == {}, f"{name}: {repo.drift()}"

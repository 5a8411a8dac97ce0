"""Reading all of a Motion workspace, for import: one list of projects, one of tasks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from reconcilers._contract import Listed, Listing, Observed
from reconcilers._motion_directory import Directory
from reconcilers._motion_fields import Task, Workspace
from reconcilers._motion_text import markdown
from schemas.domain import Value

_MARK = re.compile(r"\s*\btrueup:[0-9a-f-]{36}\s*$")


async def survey(
    directory: Directory,
    workspace: Workspace,
    projects: Sequence[Observed],
    tasks: Sequence[tuple[Task, Observed]],
) -> Listing:
    """Return a workspace whose projects and tasks were read."""
    directory.use(workspace)
    owners = {str(owner) for _, seen in tasks if (owner := seen.fields.get("owner"))}
    names = await directory.names() if owners else {}
    return Listing(
        container=workspace.name,
        title=workspace.name,
        objects=(
            *(Listed(seen) for seen in projects),
            *(Listed(_told(task, seen)) for task, seen in tasks),
        ),
        people={owner: names[owner] for owner in owners if owner in names},
    )


def _told(task: Task, seen: Observed) -> Observed:
    """Return a task with its description."""
    text = _MARK.sub("", markdown(task.description))
    fields: dict[str, Value] = {**seen.fields, "description": text or None}
    return replace(seen, fields=fields)

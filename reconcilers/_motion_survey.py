"""Reading all of a Motion workspace, for import: one list of projects, one of tasks."""

from __future__ import annotations

from collections.abc import Sequence

from reconcilers._contract import Listed, Listing, Observed
from reconcilers._motion_directory import Directory
from reconcilers._motion_fields import Workspace


async def survey(
    directory: Directory,
    workspace: Workspace,
    projects: Sequence[Observed],
    tasks: Sequence[Observed],
) -> Listing:
    """Return a workspace whose projects and tasks were read."""
    directory.use(workspace)
    owners = {str(owner) for seen in tasks if (owner := seen.fields.get("owner"))}
    names = await directory.names() if owners else {}
    return Listing(
        container=workspace.name,
        title=workspace.name,
        objects=tuple(Listed(seen) for seen in (*projects, *tasks)),
        people={owner: names[owner] for owner in owners if owner in names},
    )

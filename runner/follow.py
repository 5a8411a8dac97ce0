"""What became of the merge requests that the agent opened: the state tells of it, too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runner.lease import say
from schemas.errors import TrueupError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from runner.workspace import Workspace


def follow(place: Workspace, request_id: str = "") -> None:
    """Save which requests to the agent were merged or closed since; a failure is only told.

    Nothing is sent where none waits. Else it is one HTTP request for all that are still open, and
    one for each that is not.

    Args:
        place: the spec repo.
        request_id: look after this request only, even if it was closed: it may be open again.
    """
    wanted = {"context_id": [request_id]} if request_id else {}
    status = ["open", "closed"] if request_id else ["open"]
    try:
        columns = ["context_id", "branch"]
        rows = place.reader().read("agent_contexts", columns, {**wanted, "status": status})
        waiting = {str(row["context_id"]): str(row["branch"]) for row in rows if row["branch"]}
        if waiting:
            _save(place, waiting, _states(place, set(waiting.values())))
    except TrueupError as error:
        say(f"warning: what became of requests to the agent could not be read: {error}")


def _states(place: Workspace, branches: Collection[str]) -> dict[str, str]:
    """Return, by branch, how its merge request stands: `open`, `merged` or `closed`."""
    from runner.forge import open_forge

    with open_forge(place.config) as forge:
        states = {item.branch: "open" for item in forge.opened()}
        for branch in sorted(set(branches) - states.keys()):
            found = forge.find(branch)
            if found is not None and found.state in {"merged", "closed"}:
                states[branch] = found.state
    return states


def _save(place: Workspace, waiting: Mapping[str, str], states: Mapping[str, str]) -> None:
    """Save the requests whose merge request stands otherwise than the state says."""
    from runner.agent import record

    reader = place.reader()
    known = [record.need_context(reader, request_id) for request_id in waiting]
    changed = [
        replace(item, status=states[item.branch])
        for item in known
        if item.branch in states and states[item.branch] != item.status
    ]
    if changed:
        with place.writer() as state:
            for item in changed:
                record.save_context(state, item)

"""A state in which every platform agrees with the specs, made without sending a request."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from runner.config import now, read_config
from runner.platforms import profiles_of
from runner.projection import project_fields, wanted
from runner.state.contract import Commit
from runner.workspace import Workspace
from schemas.domain import Binding, resource_id


def agree_on_everything(root: Path, today: date | None = None) -> None:
    """Bind every resource of the specs below `root` on every platform, as if just applied."""
    place = Workspace(read_config(root, today=today.isoformat() if today else ""))
    desired = place.desired
    profiles = profiles_of(desired)
    at = now()
    with place.writer() as state:
        state_id = state.identity() or ""
        bindings = [
            Binding(
                address,
                platform,
                desired.resources[address].kind,
                resource_id(state_id, address),
                remote_id=f"{platform}-{address}",
                url=f"https://{platform}.example.com/{address}",
                base=project_fields(
                    desired.resources[address], platform, desired, profiles[platform]
                ),
                desired_hash=fingerprint,
                updated_at=at,
                run_id="bench",
            )
            for address, platform, fingerprint in wanted(desired, profiles)
        ]
        state.save_bindings(bindings, Commit("bench", desired.commit, "bench"))

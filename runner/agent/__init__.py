"""The agent: a request in plain words in, verified spec changes out.

    from runner.agent import AgentRequest, get_agent

    reply = get_agent().process_request_sync(AgentRequest(message="Plan the move to the new flat"))
    print(reply.message)

Importing this imports no model's client; asking does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runner.agent.contract import AgentReply, AgentRequest, Draft, Scope

if TYPE_CHECKING:
    from runner.agent.process import Delivery, SpecAgent

__all__ = ["AgentReply", "AgentRequest", "Draft", "Scope", "get_agent"]


def get_agent(
    root: str | Path = ".",
    *,
    specs: str = "specs",
    today: str = "",
    delivery: Delivery = "merge-request",
    offline: bool = False,
) -> SpecAgent:
    """Return the agent of a spec repo.

    Args:
        root: the spec repo.
        specs: the folder of the specs, below it.
        today: `YYYY-MM-DD`; the current date where empty.
        delivery: where drafts go: `merge-request`, `local` for the work tree, or `none`.
        offline: draft by rules and templates; no model is asked.

    Raises:
        ConfigError: there is no such folder, or `today` is no date.
    """
    from runner.agent.process import SpecAgent
    from runner.config import read_config

    return SpecAgent(read_config(Path(root), specs, today), delivery=delivery, offline=offline)

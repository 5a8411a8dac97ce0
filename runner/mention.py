"""What is answered to a mention: the link of the merge request, or a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from runner.review import plain
from runner.workspace import Workspace

if TYPE_CHECKING:
    from runner.config import Config
    from runner.webhooks import Request


def answer(config: Config, request: Request, reply: Mapping[str, Any]) -> str:
    """Say in the issue or merge request what became of a request; said again, it replaces itself.

    Args:
        config: for the forge.
        request: with the place where it was said.
        reply: what `trueup draft --json` printed; empty if it failed.

    Returns:
        `created`, `updated` or `unchanged`.

    Raises:
        ConfigError: there is no token that may write.
        PlatformError: GitLab refused, or could not be reached.
    """
    from runner.forge import open_forge

    marker = f"<!-- trueup:answer {request.request_id} -->"
    with open_forge(Workspace(config).config) as forge:
        return forge.answer(request.place, marker, answer_text(reply))


def answer_text(reply: Mapping[str, Any]) -> str:
    """Return what is said; nothing that a model wrote does anything there."""
    questions = [str(text) for text in cast("list[object]", reply.get("questions") or ())]
    listed = "\n".join(f"{number}. {plain(text)}" for number, text in enumerate(questions, 1))
    if url := str(reply.get("merge_request") or ""):
        asked = f" It has open questions:\n\n{listed}" if questions else ""
        return f"Drafted: {url}{asked}"
    if questions:
        return (
            f"Before that is drafted:\n\n{listed}\n\nMention me once more, with all that is asked."
        )
    return "Nothing was drafted; the log of `trueup run` says why."

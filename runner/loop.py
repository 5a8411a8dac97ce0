"""The reconciler that goes on for ever: turns by interval and by event, drafts on request.

Each turn and each draft is a `trueup` process of its own, so that the calls of webhooks are
answered while one is at work, and whatever becomes of it ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from runner.child import command
from runner.config import Config
from runner.health import Health
from runner.language.load import load
from runner.mention import answer
from runner.turn import Ending, Turn, turn_text
from runner.webhooks import Request
from schemas.errors import TrueupError

FIRST_PAUSE = 4.0
"""Seconds after the first failure; the pause doubles with each that follows."""

LONGEST_PAUSE = 600.0
"""Seconds at which the doubling ends, or at the interval where that is longer."""

BUSY_PAUSE = 4.0
"""Seconds until the lease is tried again that another reconciler holds."""

SETTLE = 0.5
"""Seconds in which events that come together are waited for."""

MAX_WAITING = 20
"""Requests to the agent that may wait; more are refused."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a reconciler was told.

    Attributes:
        interval: seconds between two turns.
        branch: the branch to follow; the one that is checked out where empty.
        max_prune: how much may be pruned, instead of the policy's own; '' for that.
    """

    interval: float
    branch: str = ""
    max_prune: str = ""


def pause_after(ending: Ending, failing: int, interval: float, dice: random.Random) -> float:
    """Return how long to wait for the next turn, never quite the same.

    Args:
        ending: how the last one ended.
        failing: how many have failed one after the other.
        interval: seconds between two turns when all is well.
        dice: for the difference.
    """
    if ending == "failed":
        doubled = FIRST_PAUSE * 2.0 ** min(failing - 1, 20)
        return min(doubled, max(interval, LONGEST_PAUSE)) * dice.uniform(0.5, 1.0)
    if ending == "busy":
        return min(BUSY_PAUSE, interval) * dice.uniform(0.5, 1.0)
    return interval * dice.uniform(0.9, 1.1)


class Loop:
    """Takes turns until it is stopped.

    Args:
        config: returns the configuration of the moment.
        options: what it was told.
        health: where turns are counted.
        say: prints a line of the log.
        dice: for pauses.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        options: Options,
        health: Health,
        say: Callable[[str], None],
        dice: random.Random | None = None,
    ) -> None:
        self._config = config
        self._options = options
        self._health = health
        self._say = say
        self._dice = dice or random.Random()  # noqa: S311 - for pauses
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._requests: asyncio.Queue[Request] = asyncio.Queue(MAX_WAITING)
        self._children: set[Process] = set()

    def wake(self, reason: str) -> None:
        """Take a turn soon; any number of events while one is at work make one more turn."""
        if not self._woken.is_set():
            self._say(f"woken by {reason}")
        self._woken.set()

    def ask(self, request: Request) -> bool:
        """Have the agent draft; return `False` where too many requests wait already."""
        with contextlib.suppress(asyncio.QueueFull):
            self._requests.put_nowait(request)
            return True
        return False

    def stop(self) -> None:
        """Begin nothing more, and end what is under way orderly; a second time, at once."""
        number = signal.SIGKILL if self._stopping.is_set() else signal.SIGTERM
        if self._children and number == signal.SIGTERM:
            self._say("finishing what is under way; once more to stop at once")
        self._stopping.set()
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

    async def run(self) -> None:
        """Take turns and answer requests until `stop`."""
        drafts = asyncio.create_task(self._draft_all())
        try:
            while not self._stopping.is_set():
                turn = await self._turn()
                self._health.record(turn)
                self._say(turn_text(turn))
                await self._pause(turn)
        finally:
            drafts.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await drafts

    async def _turn(self) -> Turn:
        self._woken.clear()
        options = self._options
        more = ["--branch", options.branch] if options.branch else []
        more += ["--max-prune", options.max_prune] if options.max_prune else []
        code, out = await self._child("run", "--once", "--json", *more)
        try:
            data = cast("dict[str, Any]", json.loads(out))
            return Turn(**{item.name: data[item.name] for item in fields(Turn)})
        except (ValueError, KeyError, TypeError):
            return Turn("failed", error=f"the turn ended early, with exit code {code}")

    async def _pause(self, turn: Turn) -> None:
        """Return when the next turn is due, an event came, or all is to stop."""
        pause = pause_after(turn.ending, self._health.failing, self._options.interval, self._dice)
        floor = min(pause, FIRST_PAUSE) if turn.ending == "failed" else 0.0
        await self._unless_stopped(asyncio.sleep(floor))
        await self._unless_stopped(asyncio.wait_for(self._woken.wait(), pause - floor))
        if self._woken.is_set():
            await self._unless_stopped(asyncio.sleep(SETTLE))

    async def _unless_stopped(self, awaited: Any) -> None:
        """Wait for something, or for the end."""
        tasks = {asyncio.ensure_future(awaited), asyncio.create_task(self._stopping.wait())}
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _draft_all(self) -> None:
        """Draft what is asked for, one after the other."""
        while not self._stopping.is_set():
            request = await self._requests.get()
            person = await asyncio.to_thread(author_of, self._config(), request.author)
            if not person:
                self._health.drafts["refused"] += 1
                self._say(f"no draft for {request.request_id}: the author is none of the People")
                continue
            ordered = ("draft", "--request-id", request.request_id, "--author", person)
            if request.review:
                # What is asked there is one of the threads that a revision answers.
                ordered = ("revise", str(request.review))
            more = () if request.review else ("--", request.text)
            _, out = await self._child(*ordered, "--json", *more)
            try:
                reply = cast("dict[str, Any]", json.loads(out))
            except ValueError:
                reply = {}
            result = str(reply.get("status", "failed"))
            self._health.drafts[result] += 1
            where = reply.get("merge_request") or reply.get("questions") or ""
            self._say(f"draft {request.request_id} for {person}: {result} {where}".rstrip())
            if request.place:
                await self._answer(request, reply)

    async def _answer(self, request: Request, reply: Mapping[str, Any]) -> None:
        """Say where it was asked what became of a request."""
        try:
            outcome = await asyncio.to_thread(answer, self._config(), request, reply)
        except TrueupError as error:
            outcome = f"not given: {error}"
        self._say(f"answer to {request.request_id}: {outcome}")

    async def _child(self, *arguments: str) -> tuple[int, bytes]:
        """Run a command; return its exit code and what it printed."""
        child = await asyncio.create_subprocess_exec(
            *command(self._config(), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            process_group=0,
        )
        self._children.add(child)
        try:
            out, _ = await child.communicate()
        finally:
            self._children.discard(child)
        return child.returncode or 0, out


def author_of(config: Config, username: str) -> str:
    """Return the key of the person whom the specs know by a GitLab user name, or ''."""
    for document in load(config.root, config.specs).people:
        for key, person in document.data["people"].items():
            if username and person.get("gitlab") == username:
                return key
    return ""

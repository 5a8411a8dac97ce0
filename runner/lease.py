"""Holding the lease of a state for as long as a command works on it.

The lease in the state keeps other machines out, and ends by itself when its holder says nothing
any more. On one machine nobody has to wait for that: the holder keeps a file locked, and the
kernel unlocks it when the process is gone, however it went.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import threading
import time
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import StateError, StateLocked, TrueupError

if TYPE_CHECKING:
    from runner.state.contract import Lease, StateWriter

LOOK_EVERY = 5.0
"""Seconds between two looks whether a lease that is waited for is free."""

CHANGING_HANDS = 50
"""Tenths of a second in which a run that has locked the file takes the lease, or gives it back."""


class Holder:
    """Renews a lease from a thread, since a user may think long about a plan.

    When the lease was taken away, the next commit fails: each carries its fencing number.

    Args:
        state: whose lease.
        lease: what is held.
    """

    def __init__(self, state: StateWriter, lease: Lease) -> None:
        self._state = state
        self._until = _end(lease)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def holds(self) -> bool:
        """Return whether the lease is still ours, as far as we know."""
        return time.time() < self._until

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def end(self) -> None:
        """Give the lease back; nothing happens where it was lost."""
        self._done.set()
        self._thread.join()
        self._state.release_lease()

    def _renew(self) -> None:
        seconds = self._state.lease_seconds
        while not self._done.wait(seconds / 3):
            try:
                self._until = _end(self._state.renew_lease(seconds))
            except StateLocked as error:
                self._until = 0.0
                say(f"warning: the lease was lost: {error}")
                return
            except TrueupError as error:
                say(f"warning: the lease could not be renewed yet: {error}")


@contextlib.contextmanager
def leased(state: StateWriter, run_id: str, lock: Path, *, wait: float) -> Generator[Holder]:
    """Hold the lease of the state for the length of the block.

    Args:
        state: whose lease.
        run_id: what it is for.
        lock: the file on this machine that belongs to the state.
        wait: seconds to wait for another holder to end.

    Raises:
        StateLocked: another run holds it, and still did after `wait` seconds.
    """
    deadline = time.monotonic() + wait
    with contextlib.ExitStack() as stack:
        while True:
            try:
                lease = _acquire(state, run_id, lock, stack)
                break
            except StateLocked as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                say(f"{error.message}; waiting")
                time.sleep(min(left, LOOK_EVERY))
        holder = Holder(state, lease)
        holder.start()
        try:
            yield holder
        finally:
            holder.end()


def _acquire(state: StateWriter, run_id: str, lock: Path, stack: contextlib.ExitStack) -> Lease:
    for _ in range(CHANGING_HANDS):
        with contextlib.ExitStack() as attempt:
            exclusive = _locked(lock, attempt)
            lease = state.lease()
            if exclusive is not False:
                here = lease and lease.who.rpartition("@")[2] == socket.gethostname()
                if exclusive and here:
                    # A holder on this machine that lived would have the file locked.
                    state.break_lease()
                taken = state.acquire_lease(run_id, who(), state.lease_seconds)
                stack.push(attempt.pop_all())
                return taken
            if lease:
                raise StateLocked(
                    f"{lease.who} holds the lease since {lease.since} (run {lease.run_id})",
                    hint="it is at work on this machine: wait for it with --wait",
                )
        time.sleep(0.1)
    raise StateLocked(
        f"another run on this machine has locked {lock}, and does not take the lease",
        hint="wait for it with --wait",
    )


def _locked(path: Path, stack: contextlib.ExitStack) -> bool | None:
    """Lock a file until the stack is unwound.

    Returns:
        `False` while another process has it locked; `None` where files cannot be locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = stack.enter_context(path.open("a", encoding="utf-8"))
    except OSError as error:
        raise StateError(
            f"cannot write {path}: {error.strerror or error}",
            hint="make the folder of the state writable for this user",
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _end(lease: Lease) -> float:
    """Return when a lease lapses unless it is renewed."""
    return datetime.fromisoformat(lease.until).timestamp()


def who() -> str:
    """Return who is applying, for leases and history: the GitLab user, or user@machine."""
    user = os.environ.get("GITLAB_USER_LOGIN") or os.environ.get("USER") or f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def say(text: str) -> None:
    """Tell the user something that is not the result."""
    print(text, file=sys.stderr)

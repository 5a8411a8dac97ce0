"""Calendar arithmetic: when work can be done, and what decides it.

Time is counted in working minutes since Monday, 2000-01-03: eight hours a day, Monday to Friday.
The forward pass gives every task the earliest finish that its estimate, its dependencies, its
parent and its start date allow; people are taken to work side by side, so it is a lower bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple

DAY = 8 * 60
"""Working minutes in a day."""

_MONDAY = date(2000, 1, 3)


def minutes_until(day: date) -> int:
    """Return when the work of `day` begins; on a weekend, that is on Monday."""
    weeks, weekday = divmod((day - _MONDAY).days, 7)
    return (weeks * 5 + min(weekday, 5)) * DAY


def last_day(minutes: int) -> date:
    """Return the day on which work that ends at `minutes` is finished."""
    weeks, weekday = divmod((minutes - 1) // DAY, 5)
    return _MONDAY + timedelta(days=weeks * 7 + weekday)


class Work(NamedTuple):
    """One task for the forward pass.

    Attributes:
        address: its name in the result.
        minutes: work to be done; 0 where there is no estimate.
        not_before: the earliest start, in working minutes.
        parent: the task that it is a part of, or an empty string.
        after: what must be finished first, by address; unknown addresses are ignored.
    """

    address: str
    minutes: int
    not_before: int
    parent: str = ""
    after: Sequence[str] = ()


@dataclass(slots=True)
class Timeline:
    """What the forward pass found.

    Attributes:
        cycles: tasks that wait for each other, each cycle as a list that ends where it begins.
    """

    works: Sequence[Work]
    cycles: list[list[str]] = field(default_factory=list[list[str]])
    _at: list[int] = field(default_factory=list[int])
    _cause: list[int] = field(default_factory=list[int])
    _index: dict[str, int] = field(default_factory=dict[str, int])

    def finish(self, address: str) -> int:
        """Return the earliest finish of a task in working minutes; subtasks included."""
        return self._at[2 * self._index[address] + 1]

    def back(self, address: str) -> Iterator[Work]:
        """Yield the chain of work that decides when a task is finished, the last piece first."""
        node = 2 * self._index[address] + 1
        while node >= 0:
            work = self.works[node // 2]
            if node % 2 and work.minutes and self._cause[node] == node - 1:
                yield work
            node = self._cause[node]


def schedule(works: Sequence[Work]) -> Timeline:
    """Return the earliest finish of every task; cycles are found and then broken."""
    return _Pass(works).run()


class _Pass:
    """The forward pass over two nodes per task: 2i is its start, 2i + 1 its finish.

    A start waits for the parent's start and the finish of what it depends on; a finish waits for
    the start and the finish of the subtasks.
    """

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = works
        self.index = {work.address: i for i, work in enumerate(works)}
        self.children: dict[int, list[int]] = {}
        for i, work in enumerate(works):
            if work.parent in self.index:
                self.children.setdefault(self.index[work.parent], []).append(i)
        self.at = [-1] * (2 * len(works))
        self.cause = [-1] * (2 * len(works))
        self.cycles: list[list[int]] = []
        self.closed: set[int] = set()

    def run(self) -> Timeline:
        """Settle all nodes, what they wait for first."""
        for i, work in enumerate(self.works):
            if i in self.children or not self._settle_leaf(i, work):
                self._settle(2 * i + 1)
        cycles = [self._names(cycle) for cycle in self.cycles]
        return Timeline(self.works, cycles, self.at, self.cause, self.index)

    def _settle_leaf(self, i: int, work: Work) -> bool:
        """Settle a task without subtasks if all it waits for is settled: the usual case."""
        at, index = self.at, self.index
        begin, cause = work.not_before, -1
        if work.parent in index:
            node = 2 * index[work.parent]
            if at[node] < 0:
                return False
            if at[node] > begin:
                begin, cause = at[node], node
        for address in work.after:
            node = 2 * index.get(address, -1) + 1
            if node > 0:
                if at[node] < 0:
                    return False
                if at[node] > begin:
                    begin, cause = at[node], node
        at[2 * i], self.cause[2 * i] = begin, cause
        at[2 * i + 1] = begin + work.minutes
        self.cause[2 * i + 1] = 2 * i if at[2 * i + 1] else -1
        return True

    def _settle(self, first: int) -> None:
        if self.at[first] >= 0:
            return
        stack = [(first, self._needs(first))]
        grey = {first: 0}
        while stack:
            node, needs = stack[-1]
            for need in needs:
                if self.at[need] >= 0:
                    continue
                if need in grey:
                    self._record(need, stack[grey[need] :])
                    continue
                grey[need] = len(stack)
                stack.append((need, self._needs(need)))
                break
            else:
                self._compute(node)
                del grey[node]
                stack.pop()

    def _record(self, node: int, path: Sequence[tuple[int, object]]) -> None:
        """Keep a cycle, unless it closes where another one did."""
        if node not in self.closed:
            self.cycles.append([node for node, _ in path])
            self.closed.update(self.cycles[-1])

    def _needs(self, node: int) -> Iterator[int]:
        i, is_finish = divmod(node, 2)
        if is_finish:
            yield node - 1
            for child in self.children.get(i, ()):
                yield 2 * child + 1
            return
        work = self.works[i]
        if work.parent in self.index:
            yield 2 * self.index[work.parent]
        for address in work.after:
            if address in self.index:
                yield 2 * self.index[address] + 1

    def _compute(self, node: int) -> None:
        work = self.works[node // 2]
        at, cause = (0, -1) if node % 2 else (work.not_before, -1)
        for need in self._needs(node):
            ready = self.at[need] + (work.minutes if need == node - 1 and node % 2 else 0)
            if self.at[need] >= 0 and ready > at:
                at, cause = ready, need
        self.at[node], self.cause[node] = at, cause

    def _names(self, cycle: list[int]) -> list[str]:
        """Return the tasks of a cycle in order, the first one again at the end."""
        names: list[str] = []
        for node in cycle:
            name = self.works[node // 2].address
            if not names or names[-1] != name:
                names.append(name)
        if len(names) > 1 and names[0] == names[-1]:
            names.pop()
        return [*names, names[0]]

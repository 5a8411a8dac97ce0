"""The rules that move dates, with what cannot stay where it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import cast

from runner.agent.baseline.changes import update_of
from runner.agent.baseline.dates import fold
from runner.agent.baseline.names import Named
from runner.agent.baseline.phrases import EARLIER, Clause, blanked
from runner.agent.baseline.rules import Proposal, Setting, named, why
from runner.agent.baseline.targets import Unclear
from schemas import operations as op
from schemas.operands import MilestoneFields, ProjectFields, TaskFields

_SHIFT_WORDS = re.compile(
    r"\b(?:push(?:es|ed)?|move[sd]?|shift(?:s|ed)?|postpone[sd]?|delay(?:s|ed)?|slip(?:s|ped)?"
    r"|reschedule[sd]?|defer(?:s|red)?|put|off|bring|pull|extend(?:s|ed)?|late|behind|advance|set|back"
    r"|out|forward|in|earlier|later|due|dates?|deadline|schedule|will|be|is|has|to"
    r"|verschieben?|verschieb|verschiebt|sich|verlegen?|verleg|verzogert|verzogern|vorziehen|ziehe?|vor"
    r"|nach|hinten|spater|fruher|hat|repousse[rz]?|decale[rz]?|reporte[rz]?|avance[rz]?|retarde[rz]?"
    r"|pris|du|retard|deplace[rz]?|retrasa|retrasar|retraso|pospon|pospone|posponer|aplaza|aplazar"
    r"|mueve|mover|adelanta|adelantar|mas|tarde)\b"
)
_FOLLOWERS = re.compile(
    r"(?:\b(?:everything|all|alles|tout|todo|whatever|its)\b[^,;]*?)?"
    r"\b(?:depends?\s+on\s+(?:it|that|them)|after\s+it|downstream|dependents|davon\s+abhang\w*"
    r"|en\s+depend\w*|depende\w*\s+de\s+(?:ello|ella|el))\b.*$"
)


def shift(clause: Clause, here: Setting) -> Proposal:
    """Move dates by a length of time, or to a day, and what cannot stay where it is with them."""
    text = clause.bare()
    followers = _FOLLOWERS.search(clause.folded)
    gaps = [match.span() for match in _SHIFT_WORDS.finditer(fold(text))]
    gaps += [followers.span()] if followers is not None else []
    subject = blanked(text, gaps)
    found = here.targets.some(subject if subject.strip(" .,;:") else text)
    follow = followers is not None
    length = next((item.length for item in clause.times if item.length is not None), None)
    if length is not None:
        if length.minutes and not (length.days or length.months or length.workdays):
            raise Unclear("Dates move by whole days. By how many?")
        sign = -1 if EARLIER.search(clause.folded) else 1
        earlier = sign < 0
        move = _Move(here, clause, lambda day: length.after(day, sign), follow=follow)
        said = f"by {length}" + (" earlier" if sign < 0 else "")
    else:
        target = clause.days[-1].as_due
        was = _due_of(found[0], here) if len(found) == 1 else None
        if was is None:
            return due(clause, here)
        apart = target - date.fromisoformat(was)
        earlier = apart.days < 0

        def moved(day: date) -> date:
            return target if day.isoformat() == was else day + apart

        move = _Move(here, clause, moved, follow=follow)
        said = f"to {target}"
    dated = [item for item in found if item.kind != "task" or move.dates(item)]
    found = tuple(dated) if len(found) > 1 and dated else found
    for item in found:
        move.add(item)
    proposal = move.proposal()
    proposal.title = f"Move {named(found)} {said}"
    proposal.about, proposal.firm = found, earlier
    return proposal


class _Move:
    """Dates that move together."""

    def __init__(
        self, here: Setting, clause: Clause, moved: Callable[[date], date], *, follow: bool
    ) -> None:
        self.here = here
        self.clause = clause
        self.moved = moved
        self.follow = follow
        self.tasks: dict[str, str] = {}
        self.proposed = Proposal("")
        self._reason = why(clause)

    def dates(self, item: Named) -> bool:
        """Return whether a task has dates of its own."""
        task = self.here.names.entries[item.address].task
        return bool(task.get("due") or task.get("start"))

    def add(self, item: Named) -> None:
        """Move what was asked for, and what belongs to it."""
        names = self.here.names
        if item.kind == "task":
            if _due_of(item, self.here) is None and not names.entries[item.address].task.get(
                "start"
            ):
                below = self._dated(
                    [i for i in names.tasks(item.project) if self._is_below(i, item)]
                )
                if not below:
                    raise Unclear(f"{item} has no date that could move. When is it to be done?")
            self._take(item.address, self._reason)
            for below in names.tasks(item.project):
                if self._is_below(below, item):
                    self._take(below.address, f"It is a part of `{item.key}`, which moves")
        elif item.kind == "milestone":
            self._milestone(item, self._reason)
            inside = [
                task
                for task in names.tasks(item.project)
                if names.milestone_of(task.address) == item.key
            ]
            for task in self._dated(inside):
                self._take(task.address, f"It belongs to the milestone `{item.key}`, which moves")
        else:
            self._project(item)

    def proposal(self) -> Proposal:
        """Return the operations, with what has to move as well."""
        self._spread()
        names = self.here.names
        for address, reason in self.tasks.items():
            task = names.entries[address].task
            fields: TaskFields = {}
            if (day := task.get("start")) and self._ahead(day):
                fields["start"] = self._day(day)
            if day := task.get("due"):
                fields["due"] = self._day(day)
            if fields:
                self.proposed.operations.append(op.UpdateTask(task=address, set=fields, why=reason))
        self._ends()
        return self.proposed

    def _take(self, address: str, reason: str) -> None:
        task = self.here.names.entries[address].task
        if task.get("status") not in {"done", "canceled"}:
            self.tasks.setdefault(address, reason)

    def _milestone(self, item: Named, reason: str) -> None:
        milestone = self.here.names.projects[item.project].get("milestones", {})[item.key]
        day = milestone.get("due")
        if not day:
            raise Unclear(f"The milestone {item} has no date that could move. When is it due?")
        fields: MilestoneFields = {"due": self._day(day)}
        self.proposed.operations.append(
            op.UpdateMilestone(project=item.project, key=item.key, set=fields, why=reason)
        )

    def _project(self, item: Named) -> None:
        project = self.here.names.projects[item.key]
        fields: ProjectFields = {}
        if (day := project.get("start")) and self._ahead(day):
            fields["start"] = self._day(day)
        if day := project.get("due"):
            fields["due"] = self._day(day)
        if fields:
            self.proposed.operations.append(
                op.UpdateProject(project=item.key, set=fields, why=self._reason)
            )
        if re.search(
            r"\b(?:deadline|due\s+date|frist|echeance|fecha\s+limite|plazo)\b", self.clause.folded
        ):
            return
        reason = f"It belongs to `{item.key}`, which moves"
        for key, milestone in project.get("milestones", {}).items():
            if (day := milestone.get("due")) and self._ahead(day):
                self._milestone(Named("milestone", "", item.key, key, milestone["name"]), reason)
        for task in self._dated(self.here.names.tasks(item.key)):
            self._take(task.address, reason)
        if not fields and not self.tasks:
            raise Unclear(f"{item} has no dates that could move. By when is it to be done?")

    def _spread(self) -> None:
        """Take along what waits for what moves, and the parents, where their dates cannot stay."""
        names = self.here.names
        while True:
            before = len(self.tasks)
            for item in names.tasks():
                if item.address in self.tasks:
                    continue
                task = names.entries[item.address].task
                day = task.get("due")
                if not day and not (self.follow and task.get("start")):
                    continue
                for address in list(self.tasks):
                    later = self._new_due(address)
                    late = day is not None and later is not None and day < later
                    if self._waits(item, address) and (late or self.follow):
                        key = address.partition("/")[2]
                        self._take(item.address, f"It waits for `{key}`, which moves")
                    elif self._is_below(names.named[address], item) and late:
                        key = address.partition("/")[2]
                        self._take(item.address, f"`{key}` is a part of it, and moves")
            if len(self.tasks) == before:
                return

    def _ends(self) -> None:
        """Ask about milestones that would end before what belongs to them.

        Raises:
            Unclear: a project would; such specs are not sound.
        """
        names = self.here.names
        moving = {
            f"{item.project}/milestones/{item.key}": cast("str", item.set.get("due"))
            for item in self.proposed.operations
            if isinstance(item, op.UpdateMilestone)
        }
        ends = {
            item.project: cast("str", item.set.get("due"))
            for item in self.proposed.operations
            if isinstance(item, op.UpdateProject) and item.set.get("due")
        }
        latest: dict[str, tuple[str, str]] = {}
        for address in self.tasks:
            day = self._new_due(address) or ""
            project = address.partition("/")[0]
            milestone = names.milestone_of(address)
            places = [project] + ([f"{project}/milestones/{milestone}"] if milestone else [])
            for place in places:
                latest[place] = max(latest.get(place, ("", "")), (day, f"`{address}`"))
        for place, day in moving.items():
            project = place.partition("/")[0]
            name = names.named[place].title
            latest[project] = max(latest.get(project, ("", "")), (day, f"the milestone {name}"))
        for place, (day, what) in latest.items():
            end = moving.get(place) or ends.get(place) or self._end(place)
            if end and day > end and place in names.projects:
                raise Unclear(
                    f"{names.named[place]} is due on {end}; {what} would be due on {day}, after it."
                    " Shall the project's deadline move as well, or what can be shortened?"
                )
            if end and day > end:
                self.proposed.questions.append(
                    f"{names.named[place]} is due on {end}, before {what}, which is now due on"
                    f" {day}. Shall it move as well?"
                )

    def _end(self, place: str) -> str | None:
        project, _, rest = place.partition("/")
        data = self.here.names.projects[project]
        if not rest:
            return data.get("due")
        return data.get("milestones", {})[rest.partition("/")[2]].get("due")

    def _new_due(self, address: str) -> str | None:
        day = self.here.names.entries[address].task.get("due")
        return self._day(day) if day else None

    def _day(self, day: str) -> str:
        return self.moved(date.fromisoformat(day)).isoformat()

    def _ahead(self, day: str) -> bool:
        return day >= self.here.today.isoformat()

    def _dated(self, tasks: Sequence[Named]) -> list[Named]:
        """Return the tasks with a date that is still to come."""
        entries = self.here.names.entries
        return [
            item
            for item in tasks
            for task in (entries[item.address].task,)
            if self._ahead(task.get("due") or task.get("start") or "")
        ]

    def _is_below(self, item: Named, other: Named) -> bool:
        if item.project != other.project or item.kind != "task" or other.kind != "task":
            return False
        return any(
            entry.key == other.key for entry in self.here.names.entries[item.address].above()
        )

    def _waits(self, item: Named, address: str) -> bool:
        given = self.here.names.entries[item.address].task.get("depends_on") or []
        return any(address == (r if "/" in r else f"{item.project}/{r}") for r in given)


def _due_of(item: Named, here: Setting) -> str | None:
    project = here.names.projects.get(item.project)
    if project is None:
        return None
    if item.kind == "project":
        return project.get("due")
    if item.kind == "milestone":
        return project.get("milestones", {})[item.key].get("due")
    return here.names.entries[item.address].task.get("due")


_DUE_WORDS = re.compile(
    r"\b(?:set|change|make|move|push|the|due|dates?|deadline|is|are|must|be|should|finish(?:ed)?|done|ready"
    r"|delivered|start|to|of|setze?|auf|ist|fallig|frist|termin|von|fertig|sein|muss|fixe[rz]?|mets|mettre"
    r"|echeance|limite|a|au|de|du|doit|etre|terminee?|pon|poner|fecha|plazo|vence|debe|estar)\b"
)


def due(clause: Clause, here: Setting) -> Proposal:
    """Set a due date, or a start."""
    text = clause.bare()
    gaps = [match.span() for match in _DUE_WORDS.finditer(fold(text))]
    subject = blanked(text, gaps)
    found = here.targets.some(subject if subject.strip(" .,;:") else text)
    when = clause.days[-1]
    starts = when.role == "start" or re.search(r"\bstarts?\b", clause.folded) is not None
    day = when.as_start if starts else when.as_due
    if day < here.today:
        raise Unclear(f"{day} has passed. Which day do you mean?")
    proposal = Proposal("", about=found, firm=True)
    if when.doubt is not None:
        written = clause.text[when.begin : when.end].strip()
        proposal.questions.append(f"“{written}” was read as {day}. Or is it {when.doubt}?")
    for item in found:
        if item.kind == "milestone" and starts:
            raise Unclear(f"{item} is a milestone, and has no start. Which task do you mean?")
        fields = {"start" if starts else "due": day.isoformat()}
        proposal.operations.append(update_of(item, fields, why(clause)))
    word = "start" if starts else "be due"
    proposal.title = f"Let {named(found)} {word} on {day}"
    return proposal

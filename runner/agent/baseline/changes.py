"""The rules that change what is there: owners, labels, priorities, names, places, dependencies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from runner.agent.baseline.dates import fold
from runner.agent.baseline.names import Named
from runner.agent.baseline.phrases import (
    EVERYTHING,
    NO_LONGER,
    PRIORITIES,
    STATUSES,
    Clause,
    blanked,
)
from runner.agent.baseline.rules import Proposal, Setting, first_word, named, why
from runner.agent.baseline.targets import Already, Unclear
from runner.agent.baseline.wording import key_of
from schemas import operations as op
from schemas.operands import MilestoneFields, ProjectFields, TaskFields
from schemas.values import KEY, format_estimate

if TYPE_CHECKING:
    pass


def update_of(item: Named, fields: Mapping[str, object], reason: str) -> op.Operation:
    """Return the operation that sets fields of a project, milestone or task."""
    if item.kind == "project":
        return op.UpdateProject(project=item.key, set=cast("ProjectFields", fields), why=reason)
    if item.kind == "milestone":
        return op.UpdateMilestone(
            project=item.project, key=item.key, set=cast("MilestoneFields", fields), why=reason
        )
    return op.UpdateTask(task=item.address, set=cast("TaskFields", fields), why=reason)


_ASSIGN_WORDS = re.compile(
    r"\b(?:assign(?:s|ed)?|reassign(?:s|ed)?|unassign|give[ns]?|hand(?:s|ed)?|over|owner|owns|transfer|takes?"
    r"|make|set|weise?|zuweisen|zu|ubergib|ubergeben|ubertrage?n?|gib|geben|an|attribue[rz]?"
    r"|assigne[rz]?|reassigne[rz]?|confie[rz]?|donne[rz]?|passe[rz]?|asigna|asignar|reasigna|reasignar"
    r"|dale|da|pasa|entrega|instead|nobody|no\s+one|niemand(?:em)?|personne|nadie|from|von)\b"
)
_NOBODY = re.compile(r"\b(?:unassign|nobody|no\s+one|niemand(?:em)?|personne|nadie)\b")


def assign(clause: Clause, here: Setting) -> Proposal:
    """Give tasks or projects to somebody."""
    names, text = here.names, clause.text
    people = names.persons(text, here.author)
    nobody = _NOBODY.search(clause.folded) is not None
    spelt = ""
    if not people and not nobody:
        spelt = re.split(r"\b(?:to|an|a|au)\s+", clause.folded)[-1].strip()
        people = names.persons_like(spelt)
        if len(people) != 1:
            known = ", ".join(f"`{key}`" for key in names.people) or "nobody"
            raise Unclear(f"To whom? The People specs know {known}.")
        here.targets.notes.append(f"“{spelt}” was taken for `{people[0]}`.")
    to = None if nobody else _receiver(clause.folded, people)
    said = [to] if to else []
    if not EVERYTHING.search(clause.folded):
        said = people
    gaps = [match.span() for match in _ASSIGN_WORDS.finditer(clause.folded)]
    for person in said:
        for word in {person, fold(names.people[person]["name"]), "myself", "me"}:
            if word != "me" or person == here.author:
                pattern = rf"(?<![\w-]){re.escape(word)}(?:'?s)?(?![\w-])"
                gaps += [match.span() for match in re.finditer(pattern, clause.folded)]
    if spelt:
        gaps.append((clause.folded.rindex(spelt), len(clause.folded)))
    found = here.targets.some(blanked(text, gaps), ("task", "project"))
    owned = [
        item
        for item in found
        if item.address not in names.named or names.owner_of(item.address) != to
    ]
    if not owned:
        raise Already(f"{found[0]} belongs to `{to}` already. Which one do you mean?", found)
    done = op.Assign(to=to, items=[item.address for item in owned], why=why(clause))
    what = named(owned)
    title = f"Give {what} to {names.people[to]['name']}" if to else f"Take the owner off {what}"
    return Proposal(title, [done], about=found)


def _receiver(folded: str, people: Sequence[str]) -> str:
    """Return who of several people gets it: the one behind `to`, else the last."""
    for person in people:
        if re.search(rf"\b(?:to|an|a|au|por)\s+{re.escape(person)}\b", folded):
            return person
    if re.match(r"\W*(?:give|gib|donne|dale)\s", folded):
        return people[0]
    return people[-1]


_LABEL_NOUN = r"(?:labels?|tags?|etikett(?:en|ieren?)?|etiquetas?|etiquettes?)"
_LABEL_NAME = r"(?P<names>[\w.-]+(?:\s*(?:,|and|und|et|y)\s*[\w.-]+)*)"
_LABEL_PLACES = (
    re.compile(rf"\b(?:label|tag)\s+(?:it|them|this|that)\s+(?:as\s+|with\s+)?{_LABEL_NAME}\s*$"),
    re.compile(
        rf"\b(?:as|with|mit|als|avec|comme|con|como)\s+(?:the\s+)?(?:{_LABEL_NOUN}\s+)?{_LABEL_NAME}\s*$"
    ),
    re.compile(
        rf"\b{_LABEL_NOUN}\s+(?!all\b|every\b|each\b|the\b){_LABEL_NAME}\s+(?:to|from|off|on|onto|auf|von|zu"
        r"|bei|a|aux?|de|des|du|en|sur)\b"
    ),
)
_LABEL_WORDS = re.compile(
    rf"\b(?:{_LABEL_NOUN}|labell?ed|tagged|untag|unlabel|add|put|take|remove|drop|off|from|to|onto|as|with"
    r"|fuge|hinzu|entferne|losche|kennzeichne|mit|als|von|ajoute[rz]?|mets|retire[rz]?|enleve[rz]?"
    r"|etiquette[rz]?|avec|anade|pon|quita|elimina|etiqueta|etiquetar|con|como)\b"
)
_UNLABEL = re.compile(
    r"\b(?:remove|take|off|drop|untag|unlabel|strip|entferne|losche|retire[rz]?|enleve[rz]?|supprime[rz]?"
    r"|quita|elimina|borra)\b"
)


def label(clause: Clause, here: Setting) -> Proposal:
    """Put labels on tasks, or take them off."""
    text = clause.text
    labels: list[str] = []
    gaps: list[tuple[int, int]] = []
    if clause.quoted:
        labels = clause.quotes
        gaps = [(begin - 1, end + 1) for begin, end in clause.quoted]
    else:
        match = next((m for p in _LABEL_PLACES if (m := p.search(clause.folded))), None)
        if match is not None:
            begin, end = match.span("names")
            labels = re.split(r"\s*(?:,|\band\b|\bund\b|\bet\b|\by\b)\s*", text[begin:end])
            gaps = [(begin, end)]
    labels = [item.strip() for item in labels if item.strip()]
    if not labels:
        raise Unclear("Which label do you mean? Put it in quotes.")
    known = {
        fold(name): name
        for item in here.names.tasks()
        for name in here.names.labels_of(item.address)
    }
    labels = [known.get(fold(item), item) for item in labels]
    rest = blanked(text, gaps)
    rest = blanked(rest, [match.span() for match in _LABEL_WORDS.finditer(fold(rest))])
    found = here.targets.some(rest, ("task", "project"))
    off = _UNLABEL.search(clause.folded) is not None
    changed = [
        item
        for item in found
        if item.address not in here.names.named
        or any((name in here.names.labels_of(item.address)) == off for name in labels)
    ]
    shown = ", ".join(labels)
    if not changed:
        have = "None of them has" if off else "They all have"
        raise Already(f"{have} {shown} already. What is missing?", found)
    done = op.Label(
        items=[item.address for item in changed],
        add=[] if off else labels,
        remove=labels if off else [],
        why=why(clause),
    )
    what = named(changed)
    return Proposal(
        f"Take {shown} off {what}" if off else f"Label {what} {shown}", [done], about=found
    )


_PRIORITY_WORDS = re.compile(
    r"\b(?:mark|make|set|change|give|raise|lower|increase|decrease|bump|prioriti[sz]e|deprioriti[sz]e"
    r"|priority|prioritat|priorite|prioridad|as|to|more|less|urgent|urgente?s?|dringend|critical|highest"
    r"|high|higher|medium|normal|low|lower|no|none|important|high-priority|low-priority|markiere|setze?"
    r"|auf|als|hohe[rn]?|hoch|niedrige?[rn]?|niedrig|mittel|wichtig|marque[rz]?|mets|comme|en|haute"
    r"|elevee|moyenne|basse|faible|marca|marcar|pon|como|alta|media|baja|importante?)\b"
)
_STEPS = ("none", "low", "medium", "high", "urgent")


def priority(clause: Clause, here: Setting) -> Proposal:
    """Set a priority, or raise or lower it by one."""
    value = first_word(PRIORITIES, clause.bare())
    step = 0
    if not value or re.search(r"\b(?:more|less)\s+important\b", clause.folded):
        value = ""
        raised = re.search(r"\b(?:raise|increase|bump|prioriti[sz]e|more)\b", clause.folded)
        lowered = re.search(r"\b(?:lower|decrease|deprioriti[sz]e|less)\b", clause.folded)
        step = 1 if raised else -1 if lowered else 0
    if not value and not step:
        raise Unclear("Which priority: urgent, high, medium, low or none?")
    text = clause.bare()
    gaps = [match.span() for match in _PRIORITY_WORDS.finditer(fold(text))]
    found = here.targets.some(blanked(text, gaps), ("task", "project"))
    proposal = Proposal("", about=found)
    at = 0
    for item in found:
        now = _priority_of(item, here)
        at = min(max(_STEPS.index(now) + step, 0), 4)
        wanted = value or _STEPS[at]
        if wanted != now:
            proposal.operations.append(update_of(item, {"priority": wanted}, why(clause)))
    if not proposal.operations:
        raise Already(f"{found[0]} has this priority already. Which one do you mean?", found)
    proposal.title = f"Set the priority of {named(found)} to {value or _STEPS[at]}"
    return proposal


def _priority_of(item: Named, here: Setting) -> str:
    project = here.names.projects.get(item.project)
    if project is None:
        return "none"
    if item.kind == "project":
        return project.get("priority", "none")
    default = project.get("defaults", {}).get("priority", "none")
    return here.names.entries[item.address].task.get("priority", default)


_TO = re.compile(r"\s+(?:to|into|as|in|en|zu|nach|por)\s+")
_TO_LATIN = re.compile(r"\s+a\s+")
_RENAME_WORDS = re.compile(
    r"^\W*(?:(?:please|bitte)\s+)?(?:rename|retitle|benenne?|nenne|renomme[rz]?|rebaptise[rz]?|renombra|renombrar"
    r"|change|call|the|(?:name|title|key)\s+of|die|das|la|le|el)(?:\s+(?:the|die|das|la|le|el|key|of|name|title))*\s+"
)


def rename(clause: Clause, here: Setting) -> Proposal:
    """Give something another title; another key where keys are spoken of."""
    text, quotes = clause.text, clause.quotes
    head = _RENAME_WORDS.match(clause.folded)
    begin = head.end() if head is not None else 0
    cuts = [
        match
        for words in (_TO, _TO_LATIN)
        for match in words.finditer(clause.folded)
        if match.start() >= begin
    ]
    cuts = [match for match in cuts if match.re is cuts[0].re]
    if not cuts:
        raise Unclear("Rename what, and what is its new name?")
    cut = (
        cuts[-1]
        if len(quotes) < 2
        else min(cuts, key=lambda m: abs(m.end() - clause.quoted[-1][0]))
    )
    item = here.targets.one(text[begin : cut.start()])
    name = quotes[-1] if quotes and clause.quoted[-1][0] > cut.start() else text[cut.end() :]
    name = re.sub(r"\s+(?:um|bitte|please)$", "", name.strip(" .\"'`“”„«»"))
    if not name:
        raise Unclear(f"What is the new name of {item}?")
    keys = re.search(r"\bkey\b", clause.folded) or (
        re.fullmatch(KEY, name) and re.search(rf"(?<![\w-]){re.escape(item.key)}(?![\w-])", text)
    )
    reason = why(clause)
    if keys and item.kind != "milestone":
        key = key_of(name, ())
        made: op.Operation = (
            op.RenameProject(project=item.key, key=key, why=reason)
            if item.kind == "project"
            else op.RenameTask(task=item.address, key=key, why=reason)
        )
        return Proposal(f"Rename {item.address} to {key}", [made], about=(item,))
    field = "title" if item.kind == "task" else "name"
    return Proposal(
        f"Rename “{item.title}” to “{name}”",
        [update_of(item, {field: name}, reason)],
        about=(item,),
    )


_ESTIMATE_WORDS = re.compile(
    r"\b(?:estimates?|takes?|set|the|of|at|to|as|is|schatze?|aufwand|auf|fur|dauert|estime[rz]?|a|duree"
    r"|estima|estimar|en|dura|effort|only|about|will|should)\b"
)


def estimate(clause: Clause, here: Setting) -> Proposal:
    """Set how much work a task is."""
    text = clause.bare()
    found = here.targets.some(
        blanked(text, [match.span() for match in _ESTIMATE_WORDS.finditer(fold(text))]), ("task",)
    )
    work = next(item.length.work for item in clause.lengths if item.length is not None)
    written = format_estimate(work)
    made = [update_of(item, {"estimate": written}, why(clause)) for item in found]
    return Proposal(f"Estimate {named(found)} at {written}", made, about=found, firm=True)


_STATUS_WORDS = re.compile(
    r"\b(?:mark|set|is|are|as|the|status|of|to|done|finished|completed?|started|in\s+progress|cancel(?:l?ed)?"
    r"|backlog|markiere|setze?|als|auf|erledigt|fertig|abgeschlossen|begonnen|marque[rz]?|comme"
    r"|terminee?s?|finie?s?|annulee?s?|marca|pon|como|hech[oa]s?|terminad[oa]s?|completad[oa]s?)\b"
)


def status(clause: Clause, here: Setting) -> Proposal:
    """Declare a status."""
    value = first_word(STATUSES, clause.folded)
    text = clause.bare()
    gaps = [match.span() for match in _STATUS_WORDS.finditer(fold(text))]
    found = here.targets.some(blanked(text, gaps), ("task", "project"))
    made = [update_of(item, {"status": value}, why(clause)) for item in found]
    note = "A status that the specs declare is owned by git from then on, not by the platforms."
    return Proposal(f"Mark {named(found)} as {value.replace('_', ' ')}", made, [note], about=found)


_REMOVE_WORDS = re.compile(
    r"\b(?:archive|archiviere?n?|archive[rz]|archivar|archiva|shelve|remove|delete|drop|discard|get\s+rid\s+of"
    r"|losche|loschen|entferne|entfernen|streiche|supprime[rz]?|retire[rz]?|enleve[rz]?|elimina|eliminar"
    r"|borra|borrar|quita|quitar|from|old|aus|with\s+its\s+subtasks|subtasks|completely)\b"
)


_FIELD = re.compile(
    r"\b(?:the\s+)?(?P<name>due\s+dates?|deadlines?|start(?:\s+dates?)?|owners?|estimates?|priorit(?:y|ies)"
    r"|description|frist|echeance|fecha\s+limite)\s+(?:of|from|on|for|von|vom|de|du)\s+"
)
_FIELD_NAMES = {
    "star": "start",
    "owne": "owner",
    "esti": "estimate",
    "prio": "priority",
    "desc": "description",
}


def _clear(clause: Clause, match: re.Match[str], here: Setting) -> Proposal:
    """Clear a field of what is named behind it."""
    found = here.targets.some(clause.text[match.end() :])
    name = _FIELD_NAMES.get(match["name"][:4], "due")
    value = "none" if name == "priority" else None
    made = [update_of(item, {name: value}, why(clause)) for item in found]
    called = "due date" if name == "due" else name
    return Proposal(f"Clear the {called} of {named(found)}", made, about=found)


def archive(clause: Clause, here: Setting) -> Proposal:
    """Take projects, tasks or milestones out of the specs; or clear one of their fields."""
    if (field := _FIELD.search(clause.folded)) is not None:
        return _clear(clause, field, here)
    text = clause.bare()
    gaps = [match.span() for match in _REMOVE_WORDS.finditer(fold(text))]
    rest = blanked(text, gaps)
    nameless = not here.names.unknown(rest) and not here.names.find(rest).near
    if nameless and EVERYTHING.search(fold(rest)):
        raise Unclear("Everything is not taken out at one word. Which projects or tasks exactly?")
    found = here.targets.some(rest)
    proposal = Proposal("", about=found, firm=False)
    for item in found:
        proposal.operations.append(_removal(item, clause, here))
    verb = "Archive" if found[0].kind == "project" else "Remove"
    proposal.title = f"{verb} {named(found)}"
    proposal.notes.append("What becomes of the remote objects is for the policy to say.")
    return proposal


def _removal(item: Named, clause: Clause, here: Setting) -> op.Operation:
    reason = why(clause)
    if item.kind == "project":
        return op.ArchiveProject(project=item.key, why=reason)
    if item.kind == "milestone":
        return op.RemoveMilestone(project=item.project, key=item.key, why=reason)
    inside = here.names.entries[item.address].task.get("tasks")
    if not inside:
        return op.RemoveTask(task=item.address, why=reason)
    if re.search(
        r"\b(?:and|with)\s+(?:all\s+)?(?:its\s+)?subtasks\b|\bcompletely\b", clause.folded
    ):
        return op.RemoveTask(task=item.address, subtasks="remove", why=reason)
    raise Unclear(f"{item} has {len(inside)} subtasks. Remove them as well, or keep them?")


_WAITS = re.compile(
    r"\b(?:no\s+longer\s+|does\s+not\s+|doesn't\s+)?(?:depends?\s+on|waits?\s+(?:for|on)|waiting\s+for|is\s+blocked\s+by"
    r"|blocked\s+by|only\s+(?:\w+\s+)?after|comes?\s+after|wartet\s+(?:nicht\s+mehr\s+)?auf"
    r"|hangt\s+(?:nicht\s+mehr\s+)?von|(?:ne\s+)?depend\s+(?:plus\s+)?d[eu]|depende\s+de|espera\s+a)\b"
)
_BLOCKS = re.compile(r"\bblocks?\b(?!ed)")
_DEPEND_WORDS = re.compile(
    r"\b(?:make|let|lass|can|must|start|starts|should|be|is|ab|dem|der|any\s*more|mehr|ya\s+no|ne|haz\s+que|fais)\b"
)


def depend(clause: Clause, here: Setting) -> Proposal:
    """Let a task wait for others, or no longer wait for them."""
    match = _WAITS.search(clause.folded)
    blocks = _BLOCKS.search(clause.folded) if match is None else None
    cut = match or blocks
    if cut is None:
        raise Unclear("Which task is to wait for which?")
    head, tail = clause.text[: cut.start()], clause.text[cut.end() :]
    head, tail = (
        blanked(part, [found.span() for found in _DEPEND_WORDS.finditer(fold(part))])
        for part in (head, tail)
    )
    if blocks is not None:
        head, tail = tail, head
    task = here.targets.some(head, ("task",))[0]
    needs = here.targets.some(tail, ("task",))
    references = [i.key if i.project == task.project else i.address for i in needs]
    off = (
        NO_LONGER.search(fold(clause.text[: cut.end()])) is not None
        or "nicht mehr" in clause.folded
    )
    done = op.SetDependencies(
        task=task.address,
        add=[] if off else references,
        remove=references if off else [],
        why=why(clause),
    )
    verb = "no longer wait" if off else "wait"
    return Proposal(
        f"Let {named([task])} {verb} for {named(needs)}", [done], about=(task,), firm=True
    )


_WHERE = re.compile(
    r"\s(?:(?P<below>under|below|beneath|unter|sous|bajo|debajo\s+de)"
    r"|to|into|in|ins?|nach|zum|zu|vers|dans|a|au|en|al)\s+"
)
_MOVE_WORDS = re.compile(r"^\W*\w+\s+")


def move(clause: Clause, here: Setting) -> Proposal:
    """Put a task into another project, or below another task."""
    cuts = list(_WHERE.finditer(clause.folded))
    if not cuts:
        raise Unclear("Where to, or to which date?")
    head = _MOVE_WORDS.match(clause.folded)
    cut = cuts[-1]
    item = here.targets.one(clause.text[head.end() if head else 0 : cut.start()], ("task",))
    place = clause.text[cut.end() :]
    if cut["below"]:
        parent = here.targets.one(place, ("task",), item.project)
        done = op.MoveTask(task=item.address, parent=parent.key, why=why(clause))
        return Proposal(f"Put {named([item])} below {named([parent])}", [done], about=(item,))
    target = here.targets.one(place, ("project", "milestone"))
    if target.kind == "milestone":
        made = update_of(item, {"milestone": target.key}, why(clause))
        return Proposal(f"Move {named([item])} to {target.title}", [made], about=(item,))
    if target.key == item.project:
        raise Unclear(f"{item} is in {target} already. Where shall it go?")
    proposal = Proposal(f"Move {named([item])} to {target.title}", about=(item,))
    if "milestone" in here.names.entries[item.address].task:
        left = f"Its milestone stays behind in `{item.project}`"
        proposal.operations.append(
            op.UpdateTask(task=item.address, release=["milestone"], why=left)
        )
    done = op.MoveTask(task=item.address, project=target.key, why=why(clause))
    proposal.operations.append(done)
    return proposal

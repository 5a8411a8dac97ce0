"""What an import tells: as text and as JSON. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from runner.imports.run import Imported
from runner.render import Paint, plan_json, plan_text
from runner.report import as_json, printable, render

SHOWN = 10
"""Lines of one kind that are shown; the others are counted."""

_PLURALS = {"project": "projects", "milestone": "milestones", "task": "tasks"}


def imported_text(done: Imported, *, colour: bool = False) -> str:
    """Return what was imported, what was not, and what the next plan has to do."""
    paint = Paint(colour)
    place = f"{done.title} {printable(done.container)}"
    lines = [f"{place}: {done.found} objects read in {done.requests} requests"]
    lines += _counts(done)
    lines += _left(done, paint)
    if done.edited.refused:
        shown = render(done.edited.diagnostics, "text", colour=colour).rstrip()
        return "\n".join([*lines, shown, "nothing was changed"]) + "\n"
    verb = {True: "wrote", False: "would write"}[done.written]
    lines += [f"{verb} {printable(name)}" for name in done.edited.files]
    lines += _proof(done, colour=colour)
    return "\n".join(lines) + "\n"


def imported_json(done: Imported) -> str:
    """Return the same for machines."""
    document = {
        "format_version": "1.0",
        "platform": done.platform,
        "container": done.container,
        "read": done.found,
        "requests": done.requests,
        "written": done.written,
        "known": done.known,
        "imported": [
            {
                "address": tie.address,
                "remote_id": tie.seen.remote_id,
                "url": tie.seen.url,
                "joined": tie.joined,
            }
            for tie in done.draft.ties
        ],
        "left": dict(done.draft.left),
        "unknown_people": dict(done.draft.unknown),
        "unsure": {name: list(addresses) for name, addresses in done.draft.unsure},
        "notes": [{"object": name, "note": note} for name, note in done.draft.notes],
        "files": list(done.edited.files),
        "diagnostics": [as_json(item) for item in done.edited.diagnostics],
        "plan": json.loads(plan_json(done.plan)) if done.plan else None,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _counts(done: Imported) -> Iterator[str]:
    for joined, verb in ((False, "imported"), (True, "joined with what the specs declare")):
        counts = Counter(tie.kind for tie in done.draft.ties if tie.joined is joined)
        if counts:
            parts = [
                f"{count} {kind if count == 1 else _PLURALS[kind]}"
                for kind, count in counts.items()
            ]
            yield f"{verb}: {', '.join(parts)}"
    if done.known:
        yield f"known already: {done.known}"


def _left(done: Imported, paint: Paint) -> Iterator[str]:
    for reason, count in done.draft.left.items():
        yield f"left out: {count} ({reason})"
    for name, addresses in done.draft.unsure:
        question = " or ".join(f"--match {address}={name}" for address in addresses)
        yield paint("33", "which is it? ") + printable(question)
    if done.draft.unknown:
        who = [f"{name} ({count})" for name, count in done.draft.unknown.items()]
        yield (
            f"{paint('33', 'nobody of the specs: ')}{printable(_some(who))};"
            " their work keeps its owner there; add them with --people"
        )
    notes = [f"{name}: {note}" for name, note in done.draft.notes]
    yield from (paint("2", f"note: {printable(note)}") for note in notes[:SHOWN])
    if len(notes) > SHOWN:
        yield paint("2", f"and {len(notes) - SHOWN} notes more: --json shows all")
    yield from (paint("2", f"note: {printable(note)}") for note in done.notes)


def _proof(done: Imported, *, colour: bool) -> Iterator[str]:
    """Say whether there is anything left to do."""
    plan = done.plan
    if plan is None:
        return
    if not plan.changes:
        yield "the next plan is empty: the specs say what the platforms have"
        return
    yield "the next plan is not empty, for the specs and the platforms differ here:"
    yield plan_text(plan, colour=colour).rstrip()


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")

"""What people read of a draft: in the terminal, and on a merge request.

On a merge request, whatever a person, a model or a platform wrote is made harmless first: it shows,
and does nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final, cast

from runner.agent import look
from runner.agent.scope import scope_text
from runner.language.timeline import last_day
from runner.render import Paint, cost_lines, shown, summary_line
from runner.report import printable
from runner.review import inert, plain, plan_markdown, quoted
from runner.status import to_json
from schemas.values import format_estimate

if TYPE_CHECKING:
    from runner.agent.contract import AgentReply, AgentRequest, Draft
    from runner.agent.ledger import Call
    from runner.agent.material import Material
    from runner.agent.record import Context
    from runner.agent.route import Decision
    from runner.agent.verify import Verdict
    from schemas.operations import Operation

_ADDRESS: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>)\]}]+")

MAX_DESCRIPTION: Final = 900_000
"""Characters of a description; GitLab takes about a million."""


def reply_text(reply: AgentReply) -> str:
    """Return what became of a request, for people."""
    draft, lines = reply.draft, [reply.draft.title]
    if draft.rationale:
        lines += ["", draft.rationale]
    if draft.operations:
        lines += ["", *operation_lines(draft)]
    if draft.questions:
        lines += ["", "Open questions:" if draft.operations else "Before that is drafted:"]
        lines += [f"  {number}. {text}" for number, text in enumerate(draft.questions, 1)]
    lines += ["", *_effect_lines(reply.verdict)]
    if reply.calls:
        lines.append(calls_line(reply.calls))
    where = {
        "open": f"merge request: {reply.merge_request}",
        "written": "written to the work tree",
        "asking": f"answer with: trueup draft --continue {reply.request_id} ...",
        "drafted": f"a draft only; request {reply.request_id}",
    }
    lines.append(where.get(reply.status, reply.status))
    return _shown(lines)


def reply_json(reply: AgentReply) -> str:
    """Return what became of a request, for machines; the format is stable."""
    plan = reply.verdict.plan
    document = {
        "format_version": "1.0",
        "request_id": reply.request_id,
        "status": reply.status,
        "title": reply.draft.title,
        "rationale": reply.draft.rationale,
        "questions": list(reply.draft.questions),
        "operations": [item.model_dump(mode="json") for item in reply.draft.operations],
        "files": sorted(reply.verdict.edited.files),
        "touched": list(reply.verdict.edited.touched),
        "plan": None if plan is None else {"summary": plan.summary, "cost": plan.cost},
        "merge_request": reply.merge_request or None,
        "cost": {
            "dollars": round(reply.cost, 6),
            "calls": [
                {
                    "model": call.model,
                    "tier": call.tier,
                    "input_tokens": call.input_tokens,
                    "output_tokens": call.output_tokens,
                    "dollars": call.microdollars / 1e6,
                    "milliseconds": call.milliseconds,
                    "verdict": call.verdict,
                    "error": call.error,
                }
                for call in reply.calls
            ],
        },
    }
    return to_json(document)


def operation_lines(draft: Draft) -> list[str]:
    """Return each operation on a line, with its reason."""
    return [f"  {_sign(item.op)} {_subject(item)}: {item.why}" for item in draft.operations]


def decision_text(decision: Decision) -> str:
    """Return which model would be asked, and why."""
    model = decision.model or "no model"
    return "\n".join([f"{model} ({decision.tier})", *(f"  {why}" for why in decision.reasons)])


def calls_line(calls: Sequence[Call]) -> str:
    """Return what was asked how often, and what it cost."""
    models = ", ".join(dict.fromkeys(call.model for call in calls if call.verdict != "failed"))
    failed = sum(1 for call in calls if call.verdict == "failed")
    trouble = f", {failed} of them failed" if failed else ""
    noun = "call" if len(calls) == 1 else "calls"
    cost = sum(call.microdollars for call in calls) / 1e6
    return f"{models or 'no model answered'}: {len(calls)} {noun}{trouble}, ${cost:.4f}"


def request_text(context: Context, calls: Sequence[Call]) -> str:
    """Return all that the state knows of a request, for a terminal."""
    lines = [
        f"request {context.request_id}  {context.status}",
        *(f"  {line}" for line in context.request.splitlines()),
        "",
        f"from      {context.who or 'somebody unknown'}, {context.created_at}",
        f"changed   {len(context.operations)} operations",
    ]
    if context.merge_request:
        lines.append(f"opened    {context.merge_request}")
    if len(context.turns) > 1:
        lines.append(f"follows   {len(context.turns) - 1} earlier in its conversation")
    if calls:
        lines += ["", calls_line(calls)]
    for call in calls:
        tokens = f"{call.input_tokens} in, {call.output_tokens} out"
        price = f"${call.microdollars / 1e6:.4f}"
        why = f" ({call.error})" if call.error else ""
        lines.append(
            f"  {call.started_at}  {call.tier:6}  {call.model}  {tokens}, {price},"
            f" {call.milliseconds} ms  {call.verdict}{why}"
        )
    lines += [f"  {reason}" for reason in dict.fromkeys(why for call in calls for why in call.why)]
    return _shown(lines) + "\n"


def request_json(context: Context, calls: Sequence[Call]) -> str:
    """Return all that the state knows of a request, for machines."""
    draft = json.loads(context.turns[-1].draft or "null") if context.turns else None
    document = {
        "format_version": "1.0",
        "request_id": context.request_id,
        "request": context.request,
        "status": context.status,
        "who": context.who,
        "created_at": context.created_at,
        "updated_at": context.updated_at,
        "specs": context.specs,
        "draft": draft,
        "branch": context.branch or None,
        "merge_request": context.merge_request or None,
        "dollars": sum(call.microdollars for call in calls) / 1e6,
        "calls": list(calls),
    }
    return to_json(document)


def description(request: AgentRequest, material: Material, reply: AgentReply) -> str:
    """Return what stands on a merge request: request, reasons, plan, critical path, cost."""
    draft, verdict = reply.draft, reply.verdict
    parts = [
        "### Request",
        quoted(request.message),
        f"From {plain(request.author) if request.author else 'somebody unknown'}."
        f" It was allowed to change, at the most: {scope_text(request.scope)}.",
    ]
    if draft.rationale:
        parts += ["### Why it is done this way", plain(draft.rationale)]
    if draft.questions:
        parts += ["### Open questions", "\n".join(f"- [ ] {plain(q)}" for q in draft.questions)]
    changes = [
        f"- `{item.op}` {plain(_subject(item))}: {plain(item.why)}" for item in draft.operations
    ]
    parts += ["### Operations", "\n".join(changes)]
    if paths := list(_paths(material, verdict)):
        parts += ["### Deadlines", "\n".join(paths)]
    if links := sorted(_new_addresses(material, verdict)):
        listed = "\n".join(f"- {plain(link)}" for link in links)
        parts += ["### New links: are they meant to be there?", listed]
    if verdict.plan is not None:
        parts.append(plan_markdown(verdict.plan).rstrip())
    told = f"`trueup show --request {reply.request_id}` tells the same later."
    parts += ["### Cost", "\n".join(_cost_rows(reply)), told]
    text = "\n\n".join(parts) + "\n"
    if len(text) <= MAX_DESCRIPTION:
        return text
    return text[:MAX_DESCRIPTION].rpartition("\n")[0] + "\n\n(cut: it is too long for GitLab)\n"


def commit_body(request: AgentRequest, draft: Draft) -> str:
    """Return the body of the commit message: what was asked, and why it is done this way."""
    asked = inert(request.message)
    parts = [f"Asked: {asked[:500]}"]
    if draft.rationale:
        parts.append(inert(draft.rationale)[:2000])
    return "\n\n".join(parts)


def trailers(reply: AgentReply) -> dict[str, str]:
    """Return the trailers of the commit: which models, at what cost."""
    models = dict.fromkeys(call.model for call in reply.calls if call.verdict != "failed")
    if not reply.calls:
        return {"Trueup-Model": "none"}
    return {"Trueup-Model": ", ".join(models), "Trueup-Cost": f"{reply.cost:.4f} USD"}


def _shown(lines: Iterable[str]) -> str:
    """Return lines for a terminal; no character of them does anything there."""
    return "\n".join(printable(line) for text in lines for line in (text.splitlines() or [""]))


def _effect_lines(verdict: Verdict) -> Iterator[str]:
    if verdict.plan is not None:
        yield f"plan: {summary_line(verdict.plan, Paint(colour=False))}"
        yield from cost_lines(verdict.plan.cost)
    for item in verdict.late:
        yield f"late: {item.message}"


def _cost_rows(reply: AgentReply) -> Iterator[str]:
    if not reply.calls:
        yield "Drafted by rules and templates; no model was asked."
        return
    yield "| model | tier | tokens in | out | cost | time | verdict |"
    yield "|---|---|---:|---:|---:|---:|---|"
    for call in reply.calls:
        yield (
            f"| `{call.model}` | {call.tier} | {call.input_tokens} | {call.output_tokens} |"
            f" ${call.microdollars / 1e6:.4f} | {call.milliseconds / 1000:.1f} s |"
            f" {call.verdict} |"
        )
    yield f"| together | | | | ${reply.cost:.4f} | | |"
    for reason in dict.fromkeys(reason for call in reply.calls for reason in call.why):
        yield f"\n- {plain(reason)}"


def _paths(material: Material, verdict: Verdict) -> Iterator[str]:
    """Yield, for each project that was changed and has a deadline, whether it can be met."""
    after = material.after(verdict.edited)
    keys = dict.fromkeys(address.split("/", 1)[0] for address in verdict.edited.touched)
    timeline = look.timeline_of(after)
    for key in keys:
        if key not in after.projects:
            continue
        due = after.projects[key].data.get("due")
        addresses = [f"{key}/{e.key}" for e in after.entries(key) if e.cycle is None]
        finish = max((timeline.finish(address) for address in addresses), default=0)
        if not due or not finish:
            continue
        last = max(addresses, key=timeline.finish)
        chain = [
            f"{work.address.removeprefix(key + '/')} ({format_estimate(work.minutes)})"
            for work in reversed(list(timeline.back(last)))
        ]
        day = last_day(finish)
        met = "can be met" if day <= date.fromisoformat(due) else "**cannot be met**"
        path = " → ".join(chain if len(chain) < 12 else [*chain[:5], "…", *chain[-5:]])
        yield f"- `{key}` is due on {due}, done at the earliest on {day}: {met}. {plain(path)}"


def _new_addresses(material: Material, verdict: Verdict) -> set[str]:
    """Return the addresses of servers that no spec had before."""
    new = [text for text in verdict.edited.files.values() if text]
    after = {link for text in new for link in _ADDRESS.findall(text)}
    if not after:
        return set()
    before = {link for text in material.files.values() for link in _ADDRESS.findall(text)}
    return {link.decode(errors="replace") for link in after - before}


def _sign(op: str) -> str:
    if op.startswith(("create", "add")):
        return "+"
    return "-" if op.startswith(("remove", "archive")) else "~"


def _subject(item: Operation) -> str:
    """Return what an operation is about, in a few words."""
    given: dict[str, object] = item.model_dump(exclude_unset=True)
    project, key = str(given.get("project", "")), str(given.get("key", ""))
    items = ", ".join(cast("Iterable[str]", given.get("items", ())))
    address = str(given.get("task", "")) or "/".join(part for part in (project, key) if part)
    address = address or items or str(given.get("platform", ""))
    fields = cast("dict[str, object]", given.get("fields") or given.get("set") or {})
    if title := fields.get("title") or fields.get("name"):
        return f"{address} ({shown('title', str(title))})"
    return f"{address} ({', '.join(fields)})" if fields else address or item.op

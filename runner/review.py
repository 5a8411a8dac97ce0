"""What stands on a merge request: texts that do nothing but show, the plan's note, its labels.

Specs, requests and comments are written by people whom a token should not act for. GitLab carries
out lines such as `/merge` in what a bot posts, notifies everybody who is mentioned, closes issues
that a title or a commit message names, and loads images. `plain` and `inert` take all that away.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from runner.prune import check_safe
from runner.render import Paint, alike, by_address, seconds, shown, summary_line
from runner.report import printable
from schemas.domain import Change, Plan, Value, hash_of
from schemas.errors import UnsafePlan

if TYPE_CHECKING:
    from runner.apply import Applied

PLAN_MARKER = "<!-- trueup:plan -->"
APPLY_MARKER = "<!-- trueup:apply -->"

PRUNES = "trueup: prunes"
OVER_THRESHOLD = "trueup: over threshold"
RISKS = (PRUNES, OVER_THRESHOLD)
"""The labels that warn of a plan."""

LONGEST = 1_000_000
"""Characters that GitLab takes in a note (docs.gitlab.com, verified 2026-11-24)."""

FOLDED = 12
"""So many lines of changes are shown; more of them are folded away."""

_MARKUP = re.compile(r"[\\`*_\[\]<>#!|~$&%^{}@]|://")
_AT_START = re.compile(r"^(?:[-+=:/]|\d+(?=[.)]))")
_ACTING = re.compile(r'[#!&@~%$](?=[\w"])|:(?=//)|^/')


def plain(text: str) -> str:
    """Return Markdown that shows `text` as it is, line by line, and does nothing else.

    No quick action, mention, reference, image, link, tag or other mark-up of it is left.
    """
    shown = "\n".join(_plain_line(line) for line in text.strip().splitlines())
    # Two spaces at the end of a line keep the next one from being joined to it.
    return re.sub(r"(?<=\S)\n(?=\S)", "  \n", re.sub(r"\n{3,}", "\n\n", shown))


def quoted(text: str) -> str:
    """Return Markdown that shows `text` as a quotation; see `plain`."""
    return "\n".join(f"> {line}" if line else ">" for line in plain(text).split("\n"))


def inert(text: str) -> str:
    """Return one line that is no Markdown (a title, a commit message) and refers to nothing.

    An invisible space stands where GitLab would see a reference, a mention or an address.
    """
    line = printable(" ".join(text.split()))
    return _ACTING.sub(lambda match: f"{match[0]}\u200b", line)


def _plain_line(line: str) -> str:
    shown = _MARKUP.sub(_escape, printable(line.strip()))
    return _AT_START.sub(
        lambda match: f"{match[0]}\\" if match[0].isdecimal() else f"\\{match[0]}", shown
    )


def _escape(match: re.Match[str]) -> str:
    if match[0] == "://":
        return "\\://"
    # Not every version of GitLab lets a backslash keep it from a mention.
    return "\\@\u200b" if match[0] == "@" else f"\\{match[0]}"


def plan_markdown(plan: Plan, *, timeline: str = "", limit: int = LONGEST // 2) -> str:
    """Return a plan as Markdown: a summary, what it costs, what to beware of, and the changes.

    Args:
        plan: the plan.
        timeline: a diagram to show, Markdown.
        limit: how many characters it may have; the last changes are left out, and counted.
    """
    lines = [f"### trueup plan: {summary_line(plan, Paint(colour=False))}", ""]
    if plan.cost.requests:
        lines += _price(plan)
    lines += [f"- **{d.severity}**: {_line(d.message)}" for d in plan.diagnostics]
    lines += [
        f"- **drift** on {d.platform}: `{d.address}` {d.name}: `{_code(d.base)}` is now"
        f" `{_code(d.observed)}` ({d.decision})"
        for d in plan.drift
    ]
    lines = _cut(lines, limit // 4, "warnings")
    if timeline:
        lines += ["", _folded("Timeline", timeline)]
    if plan.changes:
        blocks = [
            "\n".join(_address(address, changes)) for address, changes in by_address(plan.changes)
        ]
        room = limit - sum(len(line) + 1 for line in lines) - 200
        changes = "\n".join(_cut(blocks, room, "resources"))
        folded = changes.count("\n") >= FOLDED
        lines += ["", _folded("Changes", changes) if folded else changes]
    return "\n".join(lines).rstrip() + "\n"


def plan_note(plan: Plan, timeline: str) -> str:
    """Return the note of a plan; `reviewed` reads back what it says would be done."""
    digests = sorted(digest for change in plan.changes if (digest := digest_of(change)))
    packed = base64.b64encode(bytes.fromhex("".join(digests))).decode()
    head = f"{PLAN_MARKER}\n<!-- trueup:reviewed {packed} -->\n"
    return head + plan_markdown(plan, timeline=timeline, limit=LONGEST - len(head))


def reviewed(note: str) -> frozenset[str] | None:
    """Return the digests of the changes that a note told of, or `None` where it is no such note."""
    found = re.search(r"<!-- trueup:reviewed (\S*) ?-->", note)
    if found is None:
        return None
    try:
        digests = base64.b64decode(found[1], validate=True).hex()
    except ValueError:
        return None
    return frozenset(digests[at : at + _DIGEST] for at in range(0, len(digests), _DIGEST))


_DIGEST = 12
_DERIVED = {"key", "counterparts"}


def digest_of(change: Change) -> str:
    """Return what tells a change from others that reviewers would look at, or ''.

    '' stands for what follows by itself: the undoing of drift, links between platforms, the
    passing of time, and fields that the platforms own.
    """
    if change.reason in {"drift", "linked", "unconfirmed"} or "@" in change.address:
        return ""
    fields = [
        (item.name, item.after)
        for item in change.fields
        if item.owner == "git" and item.name not in _DERIVED
    ]
    if change.action == "update" and not fields:
        return ""
    return hash_of([change.action, change.id, change.moved_from, sorted(fields)])[:_DIGEST]


def unreviewed(plan: Plan, digests: Collection[str]) -> list[Change]:
    """Return the changes of a plan that are not among those reviewed."""
    return [c for c in plan.changes if (digest := digest_of(c)) and digest not in digests]


def risks(plan: Plan) -> tuple[str, ...]:
    """Return the labels that warn of a plan."""
    found = [PRUNES] if any(c.action in {"archive", "delete"} for c in plan.changes) else []
    try:
        check_safe(plan)
    except UnsafePlan:
        found.append(OVER_THRESHOLD)
    return tuple(found)


def applied_note(applied: Applied, urls: Mapping[str, str], *, commit: str, job: str) -> str:
    """Return the note of an apply: what became of each change, with links to what was touched.

    Args:
        applied: what became of the plan.
        urls: of the objects, by the id of the change.
        commit: that was applied.
        job: the address of the job, or ''.
    """
    counts = ", ".join(f"{count} {status}" for status, count in sorted(applied.counts.items()))
    lines = [f"### trueup apply: {counts or 'nothing was to be done'}", ""]
    lines += [f"{_where(commit, job)} Run `{applied.run_id}`.", ""]
    failed = [(c, o) for c, o in applied.results if o.status != "applied"]
    lines += [
        f"- **{outcome.status}**: {change.action} `{change.address}` on {change.platform}:"
        f" {_line(outcome.error)}"
        for change, outcome in failed
    ]
    done: dict[str, list[str]] = {}
    for change, outcome in applied.results:
        if outcome.status == "applied":
            url = outcome.url or urls.get(change.id, "")
            shown_as = f"[{change.platform}](<{url}>)" if _safe(url) else change.platform
            done.setdefault(f"{change.action} `{change.address}`", []).append(shown_as)
    rows = [f"- {what}: {', '.join(sorted(links))}" for what, links in done.items()]
    listed = "\n".join(_cut(rows, LONGEST - sum(map(len, lines)) - 1000, "resources"))
    lines += ["", _folded("Done", listed) if len(rows) > FOLDED else listed]
    return "\n".join(lines).rstrip() + "\n"


def failed_note(message: str, hint: str, *, commit: str, job: str) -> str:
    """Return the note of an apply that was given up."""
    lines = ["### trueup apply: failed", "", _where(commit, job), "", plain(message)]
    return "\n".join([*lines, "", plain(hint)] if hint else lines) + "\n"


def stopped_note(extra: Sequence[Change], gone: int, *, commit: str, job: str) -> str:
    """Return the note of an apply that did not begin, since it would do more than was reviewed."""
    rows = ["\n".join(_address(address, changes)) for address, changes in by_address(extra)]
    lines = [
        "### trueup apply: stopped, nothing was changed",
        "",
        f"{_where(commit, job)} {_counted(len(extra))} would be made that the plan shown here did"
        f" not have{f', and {_counted(gone)} that it had would not' if gone else ''}:",
        "",
        *_cut(rows, LONGEST - 2000, "resources"),
        "",
        "Review this list, then run the job again with the variable `TRUEUP_REVIEWED=any`.",
    ]
    return "\n".join(lines) + "\n"


def _where(commit: str, job: str) -> str:
    return f"Commit {commit[:12]}{f', [job](<{job}>)' if _safe(job) else ''}."


def _counted(number: int) -> str:
    return "1 change" if number == 1 else f"{number} changes"


def _price(plan: Plan) -> Iterator[str]:
    """Yield the table of what a plan costs."""
    yield "| platform | requests | time | share of an hour's budget |"
    yield "|---|---:|---:|---:|"
    for name, count in plan.cost.requests.items():
        time = seconds(plan.cost.platform_seconds.get(name, 0))
        yield f"| {name} | {count} | {time} | {plan.cost.share.get(name, 0):.1%} |"
    total = sum(plan.cost.requests.values())
    yield ""
    yield f"{total} requests, about {seconds(plan.cost.seconds)}, bound by {plan.cost.bound_by}."
    yield ""


def _address(address: str, changes: Sequence[Change]) -> Iterator[str]:
    for (action, fields), same_changes in alike(changes):
        where = ", ".join(sorted(change.platform for change in same_changes))
        moved = same_changes[0].moved_from
        was = f" (was `{moved}`)" if moved else ""
        yield f"- **{action}** `{address}`{was} on {where}"
        for item in fields:
            if action == "create":
                yield f"  - {item.name}: `{_code(item.after)}`"
            else:
                yield f"  - {item.name}: `{_code(item.before)}` → `{_code(item.after)}`"


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _cut(blocks: Iterable[str], room: int, what: str) -> list[str]:
    """Return as many blocks as there is room for, and how many there are besides."""
    kept: list[str] = []
    left = list(blocks)
    while left and (room := room - len(left[0]) - 1) >= 0:
        kept.append(left.pop(0))
    if left:
        kept.append(f"- … and {len(left)} more {what}: see `plan.md` among the job's artifacts")
    return kept


def _line(text: str) -> str:
    return plain(" ".join(text.split()))


def _code(value: Value) -> str:
    """Return a value for a Markdown code span: no back-tick of it can end the span."""
    return printable(shown("", value)).replace("`", "'")


def _safe(url: str) -> bool:
    return re.fullmatch(r"https?://[^\s<>()\"'`\\]+", url) is not None

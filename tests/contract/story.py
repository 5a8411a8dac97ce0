"""A small project with everything in it, a later version of it, and a way to compare outcomes."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from runner.lanes import LINK_PATIENCE
from runner.sandbox._world import Seed
from runner.sandbox.server import Sandbox
from schemas.domain import PLATFORMS

START = 1_795_500_000.0
"""An instant on 2026-11-24."""

LONG = "\n\n".join(
    f"Paragraph {number} of a text that takes two requests." for number in range(120)
)

BEGINNING: dict[str, Any] = {
    "key": "app",
    "name": "Mobile app",
    "owner": "me",
    "labels": ["product"],
    "milestones": {"beta": {"name": "Beta", "due": "2027-01-31"}},
    "tasks": {
        "stack": {"title": "Pick the stack", "status": "done"},
        "login": {
            "title": "Design the login",
            "description": "Some **text**.",
            "owner": "me",
            "due": "2026-12-18",
            "estimate": "4h",
            "labels": ["design"],
            "links": [{"url": "https://example.com/spec", "title": "The spec"}],
            "milestone": "beta",
            "depends_on": ["stack"],
            "tasks": {"wires": {"title": "Draw wireframes"}},
        },
        "ship": {"title": "Ship it", "description": LONG, "depends_on": ["login"]},
    },
}
"""All four kinds of platform object, references of every sort, and creates of several requests."""


def later() -> dict[str, Any]:
    """Return the project after some weeks: updates, a move, a rename, a prune, something new."""
    project = copy.deepcopy(BEGINNING)
    tasks = project["tasks"]
    tasks["login"].update(title="Build the login", description=LONG, labels=["mobile"])
    tasks["login"].update(status="done", depends_on=[], owner=None)
    tasks["choice"] = tasks.pop("stack")
    tasks["choice"]["tasks"] = tasks["login"].pop("tasks")
    del tasks["ship"]
    tasks["sell"] = {"title": "Sell it", "depends_on": ["login", "choice"]}
    project["milestones"]["beta"]["due"] = "2027-02-14"
    project["name"] = "Phone app"
    project["moved"] = {"stack": "choice"}
    return project


@dataclass
class LeapClock:
    """A clock that leaps over whatever is slept through.

    Links are waited for as long as it takes: here no platform is slow, however time leaps.
    """

    now: float = START

    def time(self) -> float:
        """Return seconds since 1970."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Return at once, later."""
        if seconds == LINK_PATIENCE:
            await asyncio.Event().wait()
        self.now += seconds
        await asyncio.sleep(0)


Picture = Mapping[str, Counter[str]]
"""By platform, every object as JSON, without what may differ from run to run."""

_FLEETING = {
    "id",
    "identifier",
    "url",
    "created_time",
    "last_edited_time",
    "createdTime",
    "updatedTime",
    "completedTime",
    "scheduledStart",  # Motion plans from now on
    "scheduledEnd",
    "Scheduled",  # is shown in Notion from the next observation on
}
SEED = Seed(labels=("product", "design", "mobile"))
"""Motion's API cannot make labels, so they are there before."""

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


def picture(sandbox: Sandbox) -> Picture:
    """Return all that is on the platforms, with ids replaced by the titles of what they mean."""
    objects = sandbox.objects()
    names: dict[str, str] = {}
    for platform, found in objects.items():
        for item in found:
            name = f"<{item['kind']} {item['title']}>"
            names[str(item["id"])] = name
            if platform == "linear" and "identifier" in item:
                names[f"/{item['identifier']}/"] = f"/{name}/"
            if platform == "gitlab" and item["kind"] == "issue":
                names[f"/-/issues/{item['id'].split('#')[1]}"] = f"/-/issues/{name}"
            if item["marker"]:
                names.setdefault(item["marker"], f"<marker of {item['title']}>")
    return {
        platform: Counter(
            json.dumps(
                _plain({k: v for k, v in item.items() if k not in _FLEETING}, names)
            ).replace(sandbox.origin, "")
            for item in found
        )
        for platform, found in objects.items()
    }


def _plain(value: object, names: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        plain: dict[str, object] = {}
        for key, item in sorted(cast("dict[str, object]", value).items()):
            if key in _FLEETING - {"url"} and str(item) not in names:
                continue
            plain[key] = _plain(item, names)
            if key in {"blocked_by", "relation"}:  # in the order of ids, or of requests
                plain[key] = sorted(cast("list[object]", plain[key]), key=json.dumps)
        return plain
    if isinstance(value, list):
        return [_plain(item, names) for item in cast("list[object]", value)]
    if not isinstance(value, str):
        return value
    for known in _UUID.findall(value):
        value = value.replace(known, names.get(known, "<id>"))
    for known in re.findall(r"/MOB-\d+/|/-/issues/\d+$|^\d+[#%~]\d+$", value):
        value = value.replace(known, names.get(known, known))
    # A title in an address may be that of an earlier time, and leads to the object all the same.
    return re.sub(r"(linear.app/.*/)[a-z-]+(-\d+)?$", r"\1\2", value)


@dataclass
class Verdict:
    """How what is there differs from what should be."""

    duplicates: int = 0
    missing: int = 0
    leftovers: int = 0
    details: list[str] = field(default_factory=list[str])

    @property
    def good(self) -> bool:
        """Whether nothing differs."""
        return not self.details


def judge(there: Picture, wanted: Picture) -> Verdict:
    """Compare two pictures; an object with another field counts as missing and left over."""
    verdict = Verdict()
    for platform in PLATFORMS:
        lost = sorted((wanted[platform] - there[platform]).elements())
        found = sorted((there[platform] - wanted[platform]).elements())
        again = [text for text in found if text in wanted[platform]]
        verdict.missing += len(lost)
        verdict.duplicates += len(again)
        verdict.leftovers += len(found) - len(again)
        for text in lost:
            item = json.loads(text)
            alike = [json.loads(t) for t in found if json.loads(t)["title"] == item["title"]]
            how = [list(_differing(other, item)) for other in alike]
            name = f"{platform} {item['kind']} {item['title']}"
            verdict.details.append(f"{name}: {how or 'missing'}")
        verdict.details += [f"not wanted: {platform} {text[:300]}" for text in found[len(lost) :]]
    return verdict


def _differing(left: Any, right: Any, path: str = "") -> Iterator[str]:
    """Yield what differs between two JSON values, with where."""
    if isinstance(left, dict) and isinstance(right, dict):
        ours, theirs = cast("dict[str, Any]", left), cast("dict[str, Any]", right)
        for key in {**ours, **theirs}:
            yield from _differing(ours.get(key), theirs.get(key), f"{path}.{key}")
    elif left != right:
        yield f"{path}: not {right!r:.200} but {left!r:.200}"

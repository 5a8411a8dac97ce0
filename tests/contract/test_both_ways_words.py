"""What a platform says in words of its own: rich text for Markdown, points for hours.

To see those words is to see what was written; to see others is an edit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox._world import Fault
from runner.sandbox.motion import MotionStandIn, Task, rendered
from schemas.domain import Binding
from tests.contract.round import Desk, opened

TEXT = """\
Compare three of them, by what
they *cost* us.

* speed
* size

| who | what  |
| :-- | ----: |
| Ann | speed |

- [ ] ask <u>her</u>

![chart](https://example.com/chart.png)"""


def without_tables(markdown: str) -> str:
    return re.sub(r"</?(table|thead|tbody|tr|th|td)\b[^>]*>", " ", rendered(markdown))


def as_an_editor(markdown: str) -> str:
    """Render as rich text editors do: attributes, tags of their own, breaks, task items."""
    html = rendered(markdown).replace("<p>", '<p class="x" dir="auto">')
    html = html.replace("<li>", '<li class="li"><p>').replace("</li>", "</p></li>")
    return re.sub(r"(?<=[a-z])\n(?=[a-z])", "<br>", html.replace("em>", "i>"))


RENDERERS: dict[str, Callable[[str], str]] = {
    "faithful": rendered,
    "an editor": as_an_editor,
    "without tables": without_tables,
    "words only": lambda text: re.sub(r"<[^>]*>", " ", rendered(text)),
    "markdown": str,
    "nothing": lambda _: "",
    "the same": lambda _: "<p>Something else altogether.</p>",
}


def motion(desk: Desk) -> MotionStandIn:
    standin = desk.sandbox.standins["motion"]
    assert isinstance(standin, MotionStandIn)
    return standin


def task(desk: Desk) -> Task:
    return motion(desk).tasks[desk.bindings("app/stack")["motion"].remote_id]


def written(desk: Desk, text: str, *, marker: bool = True) -> None:
    """Write a description anew as a person does, who leaves the marker alone or not."""
    desk.clock.now += 3_600
    tail = task(desk).description[-len("trueup:") - 36 :]
    text = f"{text}\n\n{tail}" if marker else text
    desk.people.edit(desk.bindings("app/stack")["motion"], description=text)


def specified(desk: Desk) -> dict[str, Any]:
    assert desk.repo.project is not None
    return desk.repo.project["tasks"]["stack"]


def drift(desk: Desk) -> dict[str, object]:
    """Observe; return what is to be adopted, by platform and field."""
    desk.clock.now += 3_600
    assert not desk.repo.observe().failed
    return {f"{d.platform} {d.name}": d.observed for d in desk.repo.plan().drift}


@pytest.fixture(name="desk")
def a_desk(tmp_path: Path) -> Iterator[Desk]:
    with opened(tmp_path, ("linear", "motion"), estimate="3h", due="2099-12-18") as desk:
        yield desk


@pytest.mark.parametrize("name", RENDERERS)
def test_what_motion_makes_of_our_markdown_is_nobodys_edit(desk: Desk, name: str) -> None:
    motion(desk).render = RENDERERS[name]
    specified(desk)["description"] = TEXT
    desk.apply()
    assert drift(desk) == {}
    # Nor is it when something else was edited, there or in the specs.
    desk.edit("motion", "app/stack", title="By hand")
    assert drift(desk) == {"motion title": "By hand"}
    specified(desk).update(title="Declared", priority="high")
    desk.repo.settings = {"policy": {"drift": "revert"}}
    changes = {c.platform: sorted(c.values()) for c in desk.repo.plan().changes}
    both = ["priority", "title"]
    assert changes == {"linear": both, "motion": both}
    desk.apply()
    assert desk.at_rest()


@pytest.mark.parametrize("name", ["faithful", "an editor", "without tables", "markdown"])
def test_an_edit_of_one_item_comes_back_as_that(desk: Desk, name: str) -> None:
    motion(desk).render = RENDERERS[name]
    specified(desk)["description"] = TEXT
    desk.apply()
    written(desk, TEXT.replace("size", "size, too"))
    assert drift(desk) == {"motion description": TEXT.replace("size", "size, too")}
    # Who takes it back has changed nothing.
    written(desk, TEXT)
    assert drift(desk) == {}
    # Adopted, it is what Motion has; and it is to be known again afterwards.
    written(desk, TEXT.replace("size", "weight"))
    specified(desk)["description"] = drift(desk)["motion description"]
    assert {change.platform for change in desk.repo.plan().changes} == {"linear"}
    desk.apply()
    assert desk.everywhere("app/stack", "description")["linear"] == TEXT.replace("size", "weight")
    assert desk.at_rest()
    desk.edit("motion", "app/stack", priority="low")
    assert drift(desk).keys() == {"motion priority"}


def test_a_live_description_that_motion_gets_is_spread(desk: Desk) -> None:
    motion(desk).render = without_tables
    written(desk, "First of *all*.\n\n| a |\n| - |\n| 1 |", marker=False)
    desk.apply()
    assert desk.everywhere("app/stack", "description")["linear"] == "First of *all*.\n\na 1"
    assert desk.at_rest()
    desk.edit("linear", "app/stack", description=TEXT)
    desk.apply()
    assert desk.live("app/stack")["description"] == TEXT
    assert desk.at_rest()
    written(desk, "")
    desk.apply()
    assert desk.everywhere("app/stack", "description") == {"linear": None, "motion": None}
    assert desk.at_rest()


def test_a_marker_that_people_delete_comes_back_with_the_next_write(desk: Desk) -> None:
    specified(desk)["description"] = "Declared."
    desk.apply()
    written(desk, "Declared.", marker=False)
    assert drift(desk) == {}
    assert "trueup:" not in task(desk).description
    desk.edit("linear", "app/stack", priority="high")
    desk.apply()
    marker = desk.bindings("app/stack")["motion"].resource_id
    assert task(desk).description == f"Declared.\n\ntrueup:{marker}"
    assert desk.at_rest()
    # What people wrote and nobody has adopted yet is not overwritten for its sake.
    written(desk, "By hand.", marker=False)
    desk.edit("linear", "app/stack", priority="low")
    desk.apply()
    assert task(desk).description == "By hand."


def test_the_description_of_a_project_comes_back_too(desk: Desk) -> None:
    (project,) = motion(desk).projects.values()
    assert desk.repo.project is not None
    desk.clock.now += 3_600
    project.description = f"<h1>New</h1><p>words</p>{project.description}"
    project.updated = desk.sandbox.world.instant("motion")
    found = drift(desk)
    assert found == {"motion description": "# New\n\nwords"}
    desk.repo.project["description"] = found["motion description"]
    desk.apply()
    assert desk.at_rest()


def test_descriptions_cost_no_request(desk: Desk) -> None:
    specified(desk)["description"] = TEXT
    desk.apply()
    for _ in range(2):
        written(desk, "By hand.")
        desk.clock.now += 3_600
        # Its list of projects, and its list of tasks.
        assert desk.repo.observe().requests["motion"] == 2


def linear(desk: Desk) -> Binding:
    return desk.bindings("app/stack")["linear"]


def test_points_are_the_hours_that_they_were_made_of(desk: Desk) -> None:
    assert desk.everywhere("app/stack", "estimate") == {"linear": 240, "motion": 180}
    desk.edit("linear", "app/stack", title="Again")
    assert drift(desk) == {"linear title": "Again"}
    desk.edit("linear", "app/stack", estimate=480, title="Pick the stack")
    assert drift(desk) == {"linear estimate": 480}
    desk.edit("linear", "app/stack", estimate=240)
    assert drift(desk) == {}
    desk.edit("linear", "app/stack", estimate=1_200)
    assert drift(desk) == {"linear estimate": 1_200}
    specified(desk)["estimate"] = "20h"
    desk.apply()
    assert desk.everywhere("app/stack", "estimate") == {"linear": 1_200, "motion": 1_200}
    assert desk.at_rest()
    # Let go, it goes both ways: Motion's own hours stay what they are.
    del specified(desk)["estimate"]
    desk.edit("motion", "app/stack", estimate=100)
    desk.apply()
    assert desk.everywhere("app/stack", "estimate") == {"linear": 240, "motion": 100}
    assert desk.live("app/stack")["estimate"] == 100
    assert desk.at_rest()
    desk.edit("linear", "app/stack", estimate=720)
    desk.apply()
    assert desk.everywhere("app/stack", "estimate") == {"linear": 720, "motion": 720}
    desk.edit("linear", "app/stack", estimate=None)
    desk.apply()
    assert desk.everywhere("app/stack", "estimate") == {"linear": None, "motion": None}
    assert desk.at_rest()


def test_a_team_that_estimates_no_more_has_edited_nothing(desk: Desk) -> None:
    issue = next(o for o in desk.sandbox.objects()["linear"] if o["id"] == linear(desk).remote_id)
    assert issue["estimate"] == 1
    standin: Any = desk.sandbox.standins["linear"]
    for team in standin.home.all("Team"):
        team.values["issueEstimationType"] = "notUsed"
    desk.edit("linear", "app/stack", estimate=None, title="Other")
    assert drift(desk) == {"linear title": "Other"}


def test_a_write_that_was_cut_off_is_nobodys_edit(desk: Desk) -> None:
    motion(desk).render = without_tables
    written(desk, "First.")
    desk.apply()
    desk.edit("linear", "app/stack", description=TEXT)
    desk.sandbox.world.faults.append(Fault("drop-after", "motion", method="PATCH", times=100))
    desk.clock.now += 3_600
    assert not desk.repo.apply(refresh=True).complete
    assert "| Ann | speed |" in task(desk).description
    desk.sandbox.world.faults.clear()
    desk.apply()
    assert desk.everywhere("app/stack", "description")["linear"] == TEXT
    assert desk.at_rest()

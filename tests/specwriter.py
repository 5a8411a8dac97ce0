"""Project files as many hands would write them: one meaning, any style, comments everywhere.

For property tests of the editor. Every comment names what it belongs to (`# of KEY`), or says
that it belongs to nobody (`# section 3`), so that a test can tell which of them may go.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import cast

Fields = dict[str, object]

WORDS = (
    "Pick the stack",
    "Größe 📐 messen",
    "It's a 'quoted' thing",
    'Say "hello"',
    "key: value",
    "# no comment",
    "yes",
    "010",
    "1:30",
    "null",
    "- dash",
    "[list]",
    "a, b",
    "C# and F#",
    "100%",
    "back\\slash",
    "x" * 120,
    "ends with colon:",
    "tab\there",
    "@home",
    "~",
    "12e3",
    "0x1F",
    "=",
    "* star",
)


def project(dice: random.Random, size: int) -> Fields:
    """Return a sound project with about `size` tasks."""
    keys = [f"t{i}" for i in range(size)]
    tasks: Fields = {}
    holders = [tasks]
    for i, key in enumerate(keys):
        task: Fields = {"title": dice.choice(WORDS).strip()}
        if dice.random() < 0.4:
            task["estimate"] = dice.choice(["4h", "90m", "1d 4h", "30m"])
        if dice.random() < 0.3:
            task["description"] = dice.choice(
                ["One line.", "Two\nlines\n", "A list:\n\n- a\n- b\n", "  indented\nfirst\n"]
            )
        if dice.random() < 0.3:
            task["labels"] = dice.sample(["web", "ops", "x y", "no", "1.0"], dice.randint(1, 3))
        if i and dice.random() < 0.3:
            task["depends_on"] = dice.sample(keys[:i], dice.randint(1, min(i, 3)))
        if dice.random() < 0.2:
            task["owner"] = "me"
        if dice.random() < 0.1:
            task["links"] = ["https://a.example", {"url": "https://b.example/x#y", "title": "B"}]
        items = list(task.items())
        dice.shuffle(items)
        task = dict(items)
        dice.choice(holders)[key] = task
        if dice.random() < 0.3 and len(holders) < 4:
            task["tasks"] = below = cast("Fields", {})
            holders.append(below)
    _prune(tasks)
    drop = set(keys) - set(keys_of(tasks))
    assert not drop
    _no_ancestors(tasks, [])
    made: Fields = {"kind": "Project", "key": "app", "name": "App"}
    if dice.random() < 0.5:
        made["defaults"] = {"priority": "low", "labels": ["base"]}
    if dice.random() < 0.5:
        made["milestones"] = {"beta": {"name": "Beta"}, "one": {"name": "One", "due": "2030-01-01"}}
    made["tasks"] = tasks
    return made


def keys_of(tasks: object) -> list[str]:
    """Return the keys of tasks and subtasks."""
    found: list[str] = []
    for key, task in cast("dict[str, Fields]", tasks or {}).items():
        found += [key, *keys_of(task.get("tasks"))]
    return found


def _prune(tasks: Fields) -> None:
    for task in cast("dict[str, Fields]", tasks).values():
        if "tasks" in task:
            _prune(cast("Fields", task["tasks"]))
            if not task["tasks"]:
                del task["tasks"]


def _no_ancestors(tasks: Fields, above: list[str]) -> None:
    for key, task in cast("dict[str, Fields]", tasks).items():
        given = cast("list[str]", task.get("depends_on", []))
        left = [name for name in given if name not in above]
        if left:
            task["depends_on"] = left
        else:
            task.pop("depends_on", None)
        _no_ancestors(cast("Fields", task.get("tasks", {})), [*above, key])


@dataclass(slots=True)
class Writer:
    """Writes a project in a style that the dice choose.

    Attributes:
        anchors: whether equal values may be anchors and aliases.
        owners: for each line of the file, the task that it is about, or the name of a field of
            the project, or an empty string.
    """

    dice: random.Random
    anchors: bool = False
    step: int = 2
    dash: int = 2
    comments: float = 0.2
    owners: list[str] = field(default_factory=list[str])
    _lines: list[str] = field(default_factory=list[str])
    _count: int = 0
    _known: dict[str, str] = field(default_factory=dict[str, str])

    def write(self, made: Fields) -> bytes:
        """Return a file."""
        dice = self.dice
        self.step = dice.choice([2, 2, 4, 3])
        self.dash = dice.choice([0, 2, self.step])
        self.comments = dice.choice([0, 0.15, 0.4])
        if dice.random() < 0.3:
            self._say("", "# a file", "")
        if dice.random() < 0.3:
            self._say("", "kind: People", "people: {me: {name: Me}}", "---")
        elif dice.random() < 0.3:
            self._say("", "---")
        for name, value in made.items():
            if name in {"tasks", "milestones"} and dice.random() < 0.3:
                self._say("", "")
            self._pair(name, value, 0, name)
        if dice.random() < 0.3:
            self._say("", *dice.choice([["", "# section at the end"], ["# section end"]]))
        if dice.random() < 0.3:
            self._say("", "--- # section", "kind: Project", "key: web", "name: Web")
        newline = dice.choice(["\n", "\n", "\r\n"])
        text = newline.join(self._lines) + (newline if dice.random() < 0.8 else "")
        return (b"\xef\xbb\xbf" if dice.random() < 0.2 else b"") + text.encode()

    def _say(self, owner: str, *lines: str) -> None:
        self._lines += lines
        self.owners += [owner] * len(lines)

    def _comment(self, owner: str, column: int) -> None:
        if self.dice.random() < self.comments:
            more = self.dice.choice(["", " ü", "\tx"])
            self._say(owner, f"{' ' * column}# of {owner}{more}")

    def _section(self, owner: str, column: int) -> None:
        self._count += 1
        name = f"of {owner}: {self._count}" if owner else f"section {self._count}"
        self._say(owner, f"{' ' * column}# {name}", "")

    def _trailing(self, owner: str) -> str:
        return f"  # of {owner}" if self.dice.random() < self.comments / 2 else ""

    def _pair(self, name: str, value: object, column: int, owner: str) -> None:
        head = f"{' ' * column}{self._scalar(name, is_key=True)}:"
        if isinstance(value, dict) and name in {"tasks", "milestones", "defaults"}:
            self._say(owner, head + self._trailing(owner))
            spread = self.dice.random() < 0.3
            for i, (key, part) in enumerate(cast("Fields", value).items()):
                if spread and i:
                    self._say("", "")
                if self.dice.random() < self.comments / 3:
                    self._section("" if column == 0 else owner, column + self.step)
                inner = key if name == "tasks" else owner
                self._comment(inner, column + self.step)
                self._pair(key, part, column + self.step, inner)
        elif isinstance(value, dict):
            fields = cast("Fields", value)
            flat = "tasks" not in fields and "\n" not in str(fields.get("description", ""))
            if flat and self.dice.random() < 0.3:
                self._say(owner, f"{head} {self._flow(fields)}{self._trailing(owner)}")
                return
            self._say(owner, head + self._trailing(owner))
            for i, (key, part) in enumerate(fields.items()):
                if i:
                    self._comment(owner, column + self.step)
                self._pair(key, part, column + self.step, owner)
            self._comment(owner, column + self.step)
        elif isinstance(value, list):
            self._list(head, cast("list[object]", value), column, owner)
        elif isinstance(value, str) and value.endswith("\n"):
            digit = str(self.step) if value[0] == " " else ""
            self._say(owner, f"{head} |{digit}")
            indent = " " * (column + self.step)
            body = [indent + line if line else "" for line in value[:-1].split("\n")]
            self._say(owner, *body)
        else:
            self._say(
                owner, f"{head} {self._shared(value, self._scalar(value))}{self._trailing(owner)}"
            )

    def _list(self, head: str, value: list[object], column: int, owner: str) -> None:
        kind = self.dice.random()
        if kind < 0.5:
            written = self._shared(value, self._flow(value))
            self._say(owner, f"{head} {written}{self._trailing(owner)}")
        elif kind < 0.6:
            indent = " " * (column + 2)
            self._say(owner, f"{head} [")
            self._say(owner, *(f"{indent}{self._flow(x)},{self._trailing(owner)}" for x in value))
            self._say(owner, f"{indent}]")
        else:
            self._say(owner, head)
            dash = " " * (column + self.dash)
            for item in value:
                self._say(owner, f"{dash}- {self._flow(item)}{self._trailing(owner)}")

    def _shared(self, value: object, written: str) -> str:
        """Return a value, perhaps as the alias of an equal one, or with an anchor."""
        if not self.anchors or self.dice.random() < 0.3 or "*" in written or "&" in written:
            return written
        name = self._known.get(repr(value))
        if name is not None:
            return f"*{name}"
        self._known[repr(value)] = name = f"n{len(self._known)}"
        return f"&{name} {written}"

    def _flow(self, value: object) -> str:
        comma = self.dice.choice([", ", ", ", ","])
        pad = self.dice.choice(["", "", " "])
        if isinstance(value, dict):
            parts = [
                f"{k}: {self._shared(v, self._flow(v))}" for k, v in cast("Fields", value).items()
            ]
            return f"{{{pad}{comma.join(parts)}{pad}}}"
        if isinstance(value, list):
            return f"[{pad}{comma.join(map(self._flow, cast('list[object]', value)))}{pad}]"
        return self._scalar(value, quoted=True) if "," in comma else self._scalar(value)

    def _scalar(self, value: object, *, is_key: bool = False, quoted: bool = False) -> str:
        if not isinstance(value, str):
            return str(value)
        plain = value.replace(" ", "").isalnum() and value.isascii()
        plain = plain and (value[0].isalpha() or value[-1] in "hm")
        plain = plain and value.lower() not in {"yes", "no", "null"}
        if plain and not (quoted and not is_key and self.dice.random() < 0.2):
            return value
        if "\t" not in value and self.dice.random() < 0.5:
            doubled = value.replace("'", "''")
            return f"'{doubled}'"
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
        return f'"{escaped}"'

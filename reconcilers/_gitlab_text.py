"""What trueup writes into GitLab's text fields, and how it is read back exactly.

An issue's or milestone's description is ours and the people's at once. It is laid out so that
it can be taken apart again without loss, whatever people write around it:

    the description, as declared

    <!-- trueup:links -->
    **Links**

    - [title](<https://…>)

    <!-- trueup:8c0e… -->

GitLab carries out lines such as `/close` found in a description and drops them from the text
(docs.gitlab.com/user/project/quick_actions, verified 2026-11-24). Declared text is data, so such
lines get a backslash, which Markdown does not show, and lose it when they are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MARKER = re.compile(rf"<!-- trueup:({_UUID}) -->")
_TAG = re.compile(rf" ?\(trueup:({_UUID})\)$")
_LINKS = "<!-- trueup:links -->"
_LINK = re.compile(r"^- (?:<(?P<bare>[^>]*)>|\[(?P<title>.*)\]\(<(?P<url>[^>]*)>\))$", re.MULTILINE)

# Only a closed, unindented block of backticks is certain to be code to GitLab's parser as well.
_CODE = r"(?P<code>^```[^`\n]*\n(?:.*?\n)?```[ \t]*$)"
_BARE_COMMAND = re.compile(_CODE + r"|^(?=\\*/[A-Za-z])", re.MULTILINE | re.DOTALL)
_HIDDEN_COMMAND = re.compile(_CODE + r"|^\\(?=\\*/[A-Za-z])", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Text:
    """A description taken apart; `marker` is empty on what trueup did not make."""

    description: str | None
    links: tuple[str, ...] = ()
    marker: str = ""


def compose(text: Text) -> str:
    """Return the description to send: `read` gives `text` back."""
    parts = [_BARE_COMMAND.sub(lambda m: m["code"] or "\\", text.description or "")]
    if text.links:
        items = "\n".join(_item(link) for link in text.links)
        parts.append(f"{_LINKS}\n**Links**\n\n{items}")
    parts.append(f"<!-- trueup:{text.marker} -->")
    return "\n\n".join(part for part in parts if part)


def read(body: str) -> Text:
    """Return the parts of a description, whoever wrote or edited it."""
    body = body.replace("\r\n", "\n")
    marker, tail = "", ""
    # The last one counts: text copied from elsewhere may bring a marker of its own.
    if found := list(_MARKER.finditer(body)):
        marker, tail = found[-1][1], body[found[-1].end() :].strip()
        body = body[: found[-1].start()].removesuffix("\n\n")
    links: tuple[str, ...] = ()
    if marker and (at := body.rfind(_LINKS)) >= 0:
        links = tuple(_link(match) for match in _LINK.finditer(body, at))
        body = body[:at].removesuffix("\n\n")
    if tail:
        body = f"{body}\n\n{tail}" if body else tail
    return Text(_HIDDEN_COMMAND.sub(lambda m: m["code"] or "", body) or None, links, marker)


def compose_label(title: str, marker: str) -> str:
    """Return a label's description; GitLab strips comments there, so the marker is plain text."""
    return f"{title} (trueup:{marker})"


def read_label(description: str) -> tuple[str, str]:
    """Return the title and the marker (or an empty string) of a label's description."""
    found = _TAG.search(description)
    return (description[: found.start()], found[1]) if found else (description, "")


def _item(link: str) -> str:
    url, _, title = link.partition(" ")
    return f"- [{title}](<{url}>)" if title else f"- <{url}>"


def _link(match: re.Match[str]) -> str:
    return match["bare"] or f"{match['url']} {match['title']}"

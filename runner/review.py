"""What stands on a merge request: texts that do nothing but show, the plan's note, its labels.

Specs, requests and comments are written by people whom a token should not act for. GitLab carries
out lines such as `/merge` in what a bot posts, notifies everybody who is mentioned, closes issues
that a title or a commit message names, and loads images. `plain` and `inert` take all that away.
"""

from __future__ import annotations

import re

from runner.report import printable

_MARKUP = re.compile(r"[\\`*_\[\]<>#!|~$&%^{}@]|://")
_AT_START = re.compile(r"^(?:[-+=:/]|\d+(?=[.)]))")
_ACTING = re.compile(r"[#!&@~%$](?=\w)|:(?=//)|^/")


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

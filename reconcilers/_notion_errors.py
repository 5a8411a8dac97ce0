"""Notion's errors, sorted and put into words that help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from reconcilers._contract import Operation
from schemas.errors import PermanentError, PlatformError, TemporaryError


def classify(status: int, _headers: Mapping[str, str], data: Any) -> PlatformError | None:
    """Sort Notion's errors; 429, 529 and 5xx are left to the general rules."""
    if status < 400 or status in {429, 529} or status >= 500 or not isinstance(data, dict):
        return None
    error = cast("dict[str, object]", data)
    code, message = str(error.get("code", "")), str(error.get("message", ""))[:500]
    if code == "conflict_error":
        # Two writes met; Notion did neither, and asks for another try.
        return TemporaryError(message, platform="notion", status=status, code=code)
    return PermanentError(
        message, platform="notion", status=status, code=code, hint=_HINTS.get(code, "")
    )


_HINTS = {
    "unauthorized": "check NOTION_TOKEN: trueup doctor",
    "restricted_resource": "give the connection the capability in Notion's settings",
    "object_not_found": "it was deleted for ever, or is not shared with the connection",
}


def is_homeless(error: PermanentError) -> bool:
    """Return whether a database or a column that a write needs is not there."""
    if error.code == "object_not_found":
        return error.request in {"", "POST /v1/pages"}
    return error.code == "validation_error" and "is not a property that exists" in error.message


def explained(error: PermanentError, operation: Operation) -> PermanentError:
    """Return the refusal of a change, in words that say what became of its page."""
    if error.code == "object_not_found":
        message = f"the page of {operation.change.address}, or one it refers to, is not there"
        hint = "it was deleted, or is not shared with the connection: trueup plan --refresh"
    elif "archived" in error.message or "in trash" in error.message:
        message = f"the page of {operation.change.address} is in Notion's trash"
        hint = "restore it from there, or take the task out of the specs"
    else:
        return error
    return PermanentError(
        message,
        platform="notion",
        request=error.request,
        status=error.status,
        code=error.code,
        hint=hint,
    )

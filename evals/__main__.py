"""Score drafts: `make eval MODEL=baseline`, or `make eval MODEL=anthropic:claude-sonnet-5-5`."""

from __future__ import annotations

import argparse
import asyncio
import sys

from evals.contenders import BASELINE, contender
from evals.table import dataset, failures, run, text
from schemas.errors import ConfigError


def main() -> int:
    """Score one contender; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evals", description=__doc__)
    parser.add_argument("model", nargs="?", default=BASELINE, help="baseline, or provider:model")
    parser.add_argument("--category", default="", help="only requests of this category")
    parser.add_argument("--at-once", type=int, default=4, help="requests asked together")
    parser.add_argument("--failures", action="store_true", help="say what was expected instead")
    asked = parser.parse_args()
    try:
        who = contender(asked.model)
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n  fix: {error.hint}\n")
        return 1
    cases = dataset()
    if asked.category:
        known = sorted({(case.metadata or {})["category"] for case in cases.cases})
        if asked.category not in known:
            sys.stderr.write(
                f"error: there is no category `{asked.category}`\n  fix: {', '.join(known)}\n"
            )
            return 1
        cases.cases = [c for c in cases.cases if (c.metadata or {})["category"] == asked.category]
    report = asyncio.run(run(who, asked.model, cases, asked.at_once))
    print(f"{asked.model}, {len(cases.cases)} requests\n")
    print(text(report), end="")
    if asked.failures:
        print("", *failures(report), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

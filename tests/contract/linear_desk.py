"""Linear's desk."""

from __future__ import annotations

import json
from typing import Any

from reconcilers._contract import Batches, Written
from runner.sandbox._world import Exchange, Seed
from runner.sandbox.linear import LinearStandIn
from schemas.domain import Change
from tests.contract.desk import Desk


class LinearDesk(Desk[LinearStandIn]):
    """Two teams; batches besides the rest."""

    PLATFORM = "linear"
    SEED = Seed(teams=("MOB", "WEB"))
    CONTAINER = "MOB"

    def create_many(self, *changes: Change) -> list[Written | Exception]:
        operations = [self.operation(change) for change in changes]
        self.run(self.reconciler.prepare(operations))
        assert isinstance(self.reconciler, Batches)
        results = self.run(self.reconciler.create_many(operations))
        for operation, result in zip(operations, results, strict=True):
            if isinstance(result, Written):
                self.settle(operation, result)
        return list(results)

    def line(self, exchange: Exchange) -> str:
        """Return `LookUp` or `issueCreate`: the query's name, or the first mutation."""
        document: str = json.loads(exchange.body)["query"]
        if document.startswith("query"):
            return document.removeprefix("query ").partition("(")[0].partition(" ")[0]
        return document.partition("{ ")[2].partition(": ")[2].partition("(")[0]

    def ask(self, document: str, **variables: object) -> dict[str, Any]:
        """Do as a person or another program would: any request."""
        body = {"query": document, "variables": variables}
        answer = self.run(self.transport.write("POST", "", json=body, repeatable=False))
        return answer.data["data"]

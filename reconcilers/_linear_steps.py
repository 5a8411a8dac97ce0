"""Linear's mutations as steps: objects of every kind made, changed and put aside."""

from __future__ import annotations

from collections.abc import Mapping

from reconcilers._contract import Links
from reconcilers._linear_fields import strings
from reconcilers._linear_graphql import Json, Step, query
from reconcilers._transport import Transport
from schemas.domain import Change, Kind

_PAYLOADS: Mapping[Kind, str] = {
    "project": "success objects: project { id url updatedAt }",
    "milestone": "success objects: projectMilestone { id updatedAt project { url } }",
    "task": "success objects: issue { id url updatedAt }",
}
_INPUTS: Mapping[Kind, str] = {
    "project": "Project",
    "milestone": "ProjectMilestone",
    "task": "Issue",
}
_TIES: Mapping[Kind, str] = {
    "project": "object: project(id: $id) { links: externalLinks(first: 250) { nodes { id url } } }",
    "task": "object: issue(id: $id) { links: attachments(first: 250) { nodes { id url } }"
    " inverseRelations(first: 250) { nodes { id type issue { id } } } }",
}


def create_step(kind: Kind, values: Mapping[str, object]) -> Step:
    """Return what makes an object of any kind."""
    name = _INPUTS[kind]
    field_name = f"{name[0].lower()}{name[1:]}Create"
    return Step(field_name, {"input": (f"{name}CreateInput!", values)}, _PAYLOADS[kind])


def update_step(kind: Kind, object_id: str, values: Mapping[str, object]) -> Step:
    """Return what changes an object of any kind."""
    name = _INPUTS[kind]
    return Step(
        f"{name[0].lower()}{name[1:]}Update",
        {"id": ("String!", object_id), "input": (f"{name}UpdateInput!", values)},
        _PAYLOADS[kind],
    )


def by_id(mutation: str, change: Change) -> Step:
    """Return a mutation that takes the object's id only."""
    told = (
        "success" if change.kind == "milestone" else "success objects: entity { id url updatedAt }"
    )
    return Step(mutation, {"id": ("String!", change.remote_id)}, told)


async def foreign(transport: Transport, change: Change, links: Links) -> list[Step]:
    """Return what removes the links and dependencies that a change takes out, whoever made them.

    What trueup makes has ids that follow from both ends; what people made before an import has
    not, and is looked for.
    """
    if change.kind not in _TIES:
        return []
    gone: dict[str, set[str]] = {}
    for item in change.fields:
        before, after = set(strings(item.before)), set(strings(item.after))
        if item.name == "links":
            left = {link.partition(" ")[0] for link in after}
            gone["links"] = {link.partition(" ")[0] for link in before} - left
        elif item.name == "depends_on":
            found = (links.remote_id(address) for address in before - after)
            gone["depends_on"] = {remote for remote in found if remote}

    def told(data: Json) -> list[Step]:
        thing = data["object"]
        delete = "entityExternalLinkDelete" if change.kind == "project" else "attachmentDelete"
        steps = [
            Step(delete, {"id": ("String!", node["id"])})
            for node in thing["links"]["nodes"]
            if node["url"] in gone.get("links", ())
        ]
        relations = thing.get("inverseRelations", {"nodes": []})["nodes"]
        return steps + [
            Step("issueRelationDelete", {"id": ("String!", node["id"])})
            for node in relations
            if node["type"] == "blocks" and node["issue"]["id"] in gone.get("depends_on", ())
        ]

    document = f"query Ties($id: String!) {{ {_TIES[change.kind]} }}"
    variables = {"id": change.remote_id}
    return await query(transport, document, variables, told, name="Ties", points=1_000)

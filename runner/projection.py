"""What each platform should hold of what the specs declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from runner.language.resources import outlines_of
from schemas.domain import Desired, Kind, Resource, Value

if TYPE_CHECKING:
    from reconcilers._contract import Profile


def wanted(desired: Desired, profiles: Mapping[str, Profile]) -> Iterator[tuple[str, str, str]]:
    """Yield (address, platform, fingerprint) for everything that should be bound."""
    kinds: dict[tuple[Kind, tuple[str, ...]], tuple[str, ...]] = {}
    for resource in outlines_of(desired.resources):
        shape = (resource.kind, resource.platforms)
        platforms = kinds.get(shape)
        if platforms is None:
            platforms = kinds[shape] = tuple(
                name
                for name in resource.platforms
                if name in profiles
                and profiles[name].capabilities.supports(resource.kind, "create")
            )
        for platform in platforms:
            yield resource.address, platform, resource.fingerprint


def project_fields(
    resource: Resource, platform: str, desired: Desired, profile: Profile
) -> dict[str, Value]:
    """Return what `platform` should hold of `resource`: the declared fields that it can hold.

    References stay addresses; the owner becomes the person's identity on the platform.
    """
    fields: dict[str, Value] = dict(resource.fields)
    if resource.kind != "project":
        fields["project"] = resource.project
    fields["key"] = resource.address
    container = desired.integrations[platform].options.get(profile.container)
    if container is not None:
        fields["container"] = container
    fields.update(resource.overrides.get(platform, {}))
    owner = fields.get("owner")
    if isinstance(owner, str) and owner in desired.people:
        fields["owner"] = desired.people[owner].identity(platform)
    writable = profile.capabilities.writable(resource.kind)
    on_platform = {name: value for name, value in fields.items() if name in writable}
    return _without_absent_references(on_platform, platform, desired, profile)


def _without_absent_references(
    fields: dict[str, Value], platform: str, desired: Desired, profile: Profile
) -> dict[str, Value]:
    """Drop references to resources that are not made real on this platform."""

    def present(address: str) -> bool:
        target = desired.resources.get(address)
        return (
            target is not None
            and platform in target.platforms
            and profile.capabilities.supports(target.kind, "create")
        )

    for name in ("project", "parent"):
        value = fields.get(name)
        if isinstance(value, str) and not present(value):
            fields[name] = None
    depends_on = fields.get("depends_on")
    if isinstance(depends_on, tuple):
        fields["depends_on"] = tuple(item for item in depends_on if present(item))
    return fields

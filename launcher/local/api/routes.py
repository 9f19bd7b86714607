"""From the path of a request to what it means: a kind, a namespace, a name, a subresource. Pure."""

from __future__ import annotations

from urllib.parse import unquote

import attrs

from launcher.local.api.absent import absent
from launcher.local.api.resources import BY_PLURAL, Resource
from launcher.local.api.status import no_such_path


@attrs.frozen
class Route:
    """``namespace`` is empty for all of them and for kinds without; ``name`` is empty for the collection."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse_path(raw_path: str) -> Route:
    """The route of a path as it was sent, without its query. Raises 404 for one that the API doesn't have."""
    # Split before decoding: an encoded slash belongs to a name, and no name has one.
    parts = [unquote(part) if "%" in part else part for part in raw_path.strip("/").split("/")]
    if parts[:2] == ["api", "v1"]:
        return _route("", "v1", parts[2:])
    if parts[0] == "apis" and len(parts) > 2:
        return _route(parts[1], parts[2], parts[3:])
    raise no_such_path()


def _route(group: str, version: str, parts: list[str]) -> Route:
    namespace, asked = "", parts
    if len(parts) > 2 and parts[0] == "namespaces" and (group, version, parts[2]) in BY_PLURAL:
        namespace, parts = parts[1], parts[2:]
    resource = BY_PLURAL.get((group, version, parts[0])) if parts and len(parts) <= 3 and all(parts) else None
    if resource is None or (namespace and not resource.namespaced):
        raise absent(asked)
    name, subresource = [*parts[1:], "", ""][:2]
    if name and resource.namespaced and not namespace:
        raise absent(asked)
    if subresource and subresource not in resource.subresources:
        raise absent(asked)
    return Route(resource, namespace, name, subresource)

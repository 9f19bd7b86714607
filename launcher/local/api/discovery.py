"""How clients find out what this API serves: /version, /api, /apis and the list of OpenAPI documents. Pure."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import Any

from launcher.local.api.resources import RESOURCES, Resource

# What this API follows; the part after + tells what it is.
_MAJOR, _MINOR = "1", "36"
VERSION = {
    "major": _MAJOR,
    "minor": _MINOR,
    "gitVersion": f"v{_MAJOR}.{_MINOR}.0+podlauncher",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": f"linux/{platform.machine()}",
}

_SUBRESOURCES = {
    "binding": ("Binding", ("create",), {}),
    "eviction": ("Eviction", ("create",), {"group": "policy", "version": "v1"}),
    "finalize": ("", ("update",), {}),
    "log": ("Pod", ("get",), {}),
    "status": ("", ("get", "patch", "update"), {}),
    "token": ("TokenRequest", ("create",), {"group": "authentication.k8s.io", "version": "v1"}),
}


def documents(address: str) -> dict[str, dict[str, Any]]:
    """Every document by its path; ``address`` is the host and port that the server is reached at."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    groups = _groups()
    found: dict[str, dict[str, Any]] = {
        "/version": VERSION,
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses},
        "/api/v1": _resources("", "v1"),
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in groups]},
        "/openapi/v3": {"paths": {_prefix(name): {"serverRelativeURL": _openapi_path(name)} for name in ("", *groups)}},
    }
    for name in groups:
        found[f"/apis/{name}"] = {"kind": "APIGroup", "apiVersion": "v1", **_group(name)}
        found[f"/apis/{name}/v1"] = _resources(name, f"{name}/v1")
    # Some clients end every path with a slash, which a real server doesn't mind here.
    return {**found, **{f"{path}/": document for path, document in found.items()}}


def _groups() -> list[str]:
    return list(dict.fromkeys(resource.group for resource in RESOURCES if resource.group))


def _prefix(group: str) -> str:
    return f"apis/{group}/v1" if group else "api/v1"


def _openapi_path(group: str) -> str:
    return f"/openapi/v3/{_prefix(group)}"


def _of(group: str) -> Iterable[Resource]:
    return (resource for resource in RESOURCES if resource.group == group)


def _group(name: str) -> dict[str, Any]:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resources(group: str, group_version: str) -> dict[str, Any]:
    entries = [entry for resource in _of(group) for entry in _entries(resource)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": entries,
    }


def _entries(resource: Resource) -> Iterable[dict[str, Any]]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    for key, names in (("shortNames", resource.short), ("categories", resource.categories)):
        if names:
            entry[key] = list(names)
    yield entry
    for name in resource.subresources:
        kind, verbs, extra = _SUBRESOURCES[name]
        yield {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            **extra,
            "kind": kind or resource.kind,
            "verbs": list(verbs),
        }

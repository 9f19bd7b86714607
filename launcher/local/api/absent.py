"""What real clusters have and this one doesn't: what to do instead, said to whoever asks for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.local.api.status import StatusError, no_such_path

_CONTROLLERS = "it runs pods and has no controllers. Create a pod, or use another cluster"
_NETWORK = "its pods share this machine's network. Connect to the port on 127.0.0.1"
_RIGHTS = "whoever has its token may do everything. Roles and role bindings are kept, and not enforced"
_LIMITS = "it doesn't ration anything. Use another cluster to try that out"
_PROCESSES = "its containers are processes of this machine. Put what is to run into the pod's command"

_WHY: Mapping[str, str] = {
    **dict.fromkeys(("cronjobs", "daemonsets", "deployments", "jobs", "replicasets", "statefulsets"), _CONTROLLERS),
    **dict.fromkeys(("endpoints", "endpointslices", "ingresses", "networkpolicies", "services"), _NETWORK),
    **dict.fromkeys(("clusterroles", "clusterrolebindings"), _RIGHTS),
    **dict.fromkeys(("limitranges", "poddisruptionbudgets", "priorityclasses", "resourcequotas"), _LIMITS),
    "pods/attach": "a container's input and output aren't kept open. Read them with kubectl logs -f",
    "pods/ephemeralcontainers": _PROCESSES,
    "pods/exec": _PROCESSES,
    "pods/portforward": _NETWORK,
    "pods/proxy": _NETWORK,
    "pods/resize": _LIMITS,
}


def absent(parts: Sequence[str]) -> StatusError:
    """The refusal of a path below a group's version that the API doesn't have, given in its parts.

    404 for kinds, as in any cluster without them; 405 for parts of an object, since clients take a 404 for a
    missing object.
    """
    inner = parts[2:] if len(parts) > 2 and parts[0] == "namespaces" else parts
    kind, _, subresource = [*inner, "", "", ""][:3]
    what = f"{kind}/{subresource}" if subresource else kind
    why = _WHY.get(what)
    if why is None:
        return no_such_path()
    message = f"the local cluster has no {what}: {why}"
    return StatusError(405, "MethodNotAllowed", message) if subresource else StatusError(404, "NotFound", message)

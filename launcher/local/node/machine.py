"""This machine as a Kubernetes Node object."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from launcher.local.node.status import ADDRESS, timestamp

# A kubelet's default.
MOST_PODS = 110

# Go's names for what Python calls the machine.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def labels(name: str) -> dict[str, str]:
    """The labels that node selectors and affinities may ask for."""
    machine = platform.machine()
    return {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": platform.system().lower(),
        "kubernetes.io/arch": _ARCHITECTURES.get(machine, machine),
    }


def capacity(folder: Path) -> Mapping[str, str]:
    """What the machine has; disk is that of ``folder``."""
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 1024}Ki",
        "pods": str(MOST_PODS),
        "ephemeral-storage": f"{shutil.disk_usage(folder).total // 1024}Ki",
    }


def node(name: str, has: Mapping[str, str], port: int) -> dict[str, Any]:
    """The object to register, ready for pods; ``port`` is where it serves logs, 0 where it doesn't."""
    now = timestamp(datetime.now(UTC))
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "the node runs containers as processes",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels(name)},
        "spec": {},
        "status": {
            "capacity": dict(has),
            "allocatable": dict(has),
            "conditions": [ready],
            "addresses": [{"type": "InternalIP", "address": ADDRESS}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "nodeInfo": {
                "operatingSystem": platform.system().lower(),
                "architecture": labels(name)["kubernetes.io/arch"],
                "kernelVersion": platform.release(),
                "containerRuntimeVersion": "process://1",
                "kubeletVersion": "podlauncher",
                "osImage": platform.platform(),
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kubeProxyVersion": "",
            },
        },
    }

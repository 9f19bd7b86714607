"""podlauncher: start jobs on Kubernetes from Python, with their storage in place.

Example::

    import asyncio, launcher

    job = launcher.Job(name="count", image="python:3.12-slim", command=["python", "count.py"], files=".")
    result = asyncio.run(launcher.run(job))
"""

from __future__ import annotations

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from launcher.collect import Outputs, Result, Status
    from launcher.connection import ConfigMapRef, Connection, SecretRef
    from launcher.diagnosis import Diagnosis
    from launcher.errors import (
        AccessDenied,
        AccessError,
        ClusterError,
        ClusterUnreachable,
        Conflict,
        Forbidden,
        InvalidSpec,
        JobFailed,
        LauncherError,
        Missing,
        NotFound,
        PluginError,
        Problem,
        RunNotFound,
        TimedOut,
        Unauthenticated,
        Unreachable,
    )
    from launcher.follow import RunEvent
    from launcher.job import ConfigMapKey, Job, Resources, SecretKey, Use
    from launcher.kube.logs import LogLine
    from launcher.launch import Launcher, run
    from launcher.phases import Phase
    from launcher.pod.manifest import Manifest
    from launcher.running import Run
    from launcher.settings import Settings

# Where each public name lives. Loaded when first used: all of it takes 200 ms, mostly asyncio and the making of
# classes, and `launcher --help` or a script that only builds jobs needs little of it.
_HOME = {
    "AccessDenied": "launcher.errors",
    "AccessError": "launcher.errors",
    "ClusterError": "launcher.errors",
    "ClusterUnreachable": "launcher.errors",
    "ConfigMapKey": "launcher.job",
    "ConfigMapRef": "launcher.connection",
    "Conflict": "launcher.errors",
    "Connection": "launcher.connection",
    "Diagnosis": "launcher.diagnosis",
    "Forbidden": "launcher.errors",
    "InvalidSpec": "launcher.errors",
    "Job": "launcher.job",
    "JobFailed": "launcher.errors",
    "Launcher": "launcher.launch",
    "LauncherError": "launcher.errors",
    "LogLine": "launcher.kube.logs",
    "Manifest": "launcher.pod.manifest",
    "Missing": "launcher.errors",
    "NotFound": "launcher.errors",
    "Outputs": "launcher.collect",
    "Phase": "launcher.phases",
    "PluginError": "launcher.errors",
    "Problem": "launcher.errors",
    "Resources": "launcher.job",
    "Result": "launcher.collect",
    "Run": "launcher.running",
    "RunEvent": "launcher.follow",
    "RunNotFound": "launcher.errors",
    "SecretKey": "launcher.job",
    "SecretRef": "launcher.connection",
    "Settings": "launcher.settings",
    "Status": "launcher.collect",
    "TimedOut": "launcher.errors",
    "Unauthenticated": "launcher.errors",
    "Unreachable": "launcher.errors",
    "Use": "launcher.job",
    "run": "launcher.launch",
}

__all__ = [
    "AccessDenied",
    "AccessError",
    "ClusterError",
    "ClusterUnreachable",
    "ConfigMapKey",
    "ConfigMapRef",
    "Conflict",
    "Connection",
    "Diagnosis",
    "Forbidden",
    "InvalidSpec",
    "Job",
    "JobFailed",
    "Launcher",
    "LauncherError",
    "LogLine",
    "Manifest",
    "Missing",
    "NotFound",
    "Outputs",
    "Phase",
    "PluginError",
    "Problem",
    "Resources",
    "Result",
    "Run",
    "RunEvent",
    "RunNotFound",
    "SecretKey",
    "SecretRef",
    "Settings",
    "Status",
    "TimedOut",
    "Unauthenticated",
    "Unreachable",
    "Use",
    "run",
]


def __getattr__(name: str) -> _typing.Any:
    if name not in _HOME:
        raise AttributeError(f"module 'launcher' has no attribute {name!r}")
    value = getattr(_importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

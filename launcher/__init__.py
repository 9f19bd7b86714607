"""podlauncher: start jobs on Kubernetes from Python, with their storage in place.

Example::

    import asyncio, launcher

    job = launcher.Job(name="count", image="python:3.12-slim", command=["python", "count.py"], files=".")
    result = asyncio.run(launcher.run(job))
"""

from __future__ import annotations

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
from launcher.run import Run
from launcher.settings import Settings

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

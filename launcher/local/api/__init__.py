"""A Kubernetes API server in memory: what clients need to run jobs, over HTTP on the loopback."""

from launcher.local.api.log import LogLine, PodLogs
from launcher.local.api.server import ApiServer

__all__ = ["ApiServer", "LogLine", "PodLogs"]

"""A node of processes: a kubelet and scheduler for one machine, client of any Kubernetes API server."""

from __future__ import annotations

from launcher.local.node.bubblewrap import Bubblewrap
from launcher.local.node.endpoint import Endpoint
from launcher.local.node.isolation import Isolation
from launcher.local.node.node import Node
from launcher.local.node.rewriting import Rewriting

__all__ = ["Bubblewrap", "Endpoint", "Isolation", "Node", "Rewriting"]

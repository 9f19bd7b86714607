"""``launcher init``: a launcher.yaml to begin with. All of it is commented out, so it changes nothing by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

_Where = Annotated[Path, Parameter(help="Where to write it.", metavar="PATH")]
_Force = Annotated[bool, Parameter(help="Write it even over a file that is there.")]

TEMPLATE = """\
# Settings of podlauncher. What is commented out is an example; everything has a default.
# Looked for at $LAUNCHER_CONFIG, ./launcher.yaml, then in your configuration directory.
# For an editor that completes and checks: `launcher admin schema settings > launcher.schema.json`, and a first line
# that says `# yaml-language-server: $schema=launcher.schema.json`.

# Where jobs go: auto (a cluster where one is configured, else this machine), local, or a context of the kubeconfig.
cluster: auto

# The namespace of the runs. By default that of the context.
# namespace: jobs

# Where outputs and logs go. By default a folder of the node that a job ran on.
# artifactsStore:
#   name: artifacts
#   kind: s3
#   schema: {bucket: "s3://my-bucket/runs"}
#   secret: {name: s3-secret}

# Storage that jobs use by name: `connections: [faces]` in a job, `launcher connections ls` lists them.
connections:
# A folder of the node, or of this machine on the local cluster.
# - name: faces
#   kind: host_path
#   description: "faces v3: 2,113 relabelled images"
#   version: v3
#   schema: {hostPath: /data/faces, mountPath: /data/faces, readOnly: true}

# A PersistentVolumeClaim of the namespace.
# - name: checkpoints
#   kind: volume_claim
#   schema: {volumeClaim: checkpoints-pvc, mountPath: /checkpoints}

# Buckets are copied into the pod, and read-only unless a job asks to write. The secret is one of the namespace.
# - name: images-s3
#   kind: s3                    # secret keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
#   schema: {bucket: "s3://my-bucket/images", region: eu-central-1}
#   secret: {name: s3-secret}

# - name: images-gcs
#   kind: gcs
#   schema: {bucket: "gs://my-bucket/images"}
#   secret: {name: gcs-secret}

# - name: images-azure
#   kind: wasb
#   schema: {bucket: "wasbs://container@account.blob.core.windows.net/images"}
#   secret: {name: az-secret}

# The image of the agents that copy data into pods and out of them. The local cluster needs none.
# agentImage: registry.example.com/podlauncher-agent@sha256:…

# Which ended pods are removed once all they held is in the store: succeeded, always or never.
# cleanup: succeeded

# How the local cluster runs containers: auto, bubblewrap or rewriting as processes of this machine, podman from
# the images that they name.
# localIsolation: auto

# What every job has unless it says otherwise, as in a job's file.
# defaults:
#   resources: {cpu: 1, memory: 2Gi}
#   timeout: 2h
"""


async def init(path: _Where = Path("launcher.yaml"), /, *, force: _Force = False) -> int:
    """Write a commented launcher.yaml with an example of everything."""
    from launcher.cli.screen import Screen
    from launcher.errors import LauncherError

    file = path / "launcher.yaml" if path.is_dir() else path
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(TEMPLATE)
    except FileExistsError as exc:
        raise LauncherError(f"{file} is there already (--force writes over it)") from exc
    Screen.open().say(f"{file} is written; nothing in it is needed: see `launcher connections ls`, `launcher cluster`")
    return 0

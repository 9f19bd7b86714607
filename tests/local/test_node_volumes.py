"""Volumes and what is mounted of them."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest

from launcher.local.node.folders import Escape, enter, remove, size_of
from tests.local.node_lab import Lab, pod_spec

CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def volume(source: dict[str, Any], at: str = "/v", **mount: Any) -> dict[str, Any]:
    """One volume of this source, mounted."""
    return {"volumes": [{"name": "v", **source}], "volumeMounts": [{"name": "v", "mountPath": at, **mount}]}


LISTING = "cd /v; find . -type f -exec stat -c '%n %a' {} ';' | sort; find . -type f | sort | xargs cat"


async def test_secret(either: Lab) -> None:
    """A secret's keys are files, readable as its mode says."""
    await either.put("secrets", "s", data={"a": base64.b64encode(b"one").decode(), "b": "dHdv"})
    code, text = await either.run(
        "sh", "-c", "cd /v && stat -c '%n %a' * && cat *", **volume({"secret": {"secretName": "s"}})
    )
    assert (code, text) == (0, "a 644\nb 644\nonetwo")


async def test_chosen_keys(lab: Lab) -> None:
    """Items choose keys, paths and modes; the other keys aren't there."""
    await lab.put("configmaps", "m", data={"a": "one", "b": "two"}, binaryData={"c": "AAE="})
    items = [{"key": "a", "path": "deep/er/a", "mode": 0o400}, {"key": "c", "path": "c"}]
    source = {"configMap": {"name": "m", "items": items, "defaultMode": 0o444}}
    code, text = await lab.run("sh", "-c", LISTING, **volume(source))
    assert (code, text) == (0, "./c 444\n./deep/er/a 400\n\x00\x01one")


async def test_configuration_is_read_only(lab: Lab) -> None:
    """Nobody writes to a mounted secret or config map, whatever the mount says."""
    await lab.put("configmaps", "m", data={"a": "one"})
    code, _ = await lab.run("touch", "/v/b", **volume({"configMap": {"name": "m"}}))
    assert code == 1


@pytest.mark.parametrize("path", ["../a", "/etc/a", "x/../../a"])
async def test_item_paths_stay_inside(lab: Lab, path: str) -> None:
    """A key can't be written outside its volume; the API refuses it, or the mount fails."""
    from launcher.local.node.folders import relative

    with pytest.raises(Escape):
        relative(path)


async def test_optional(lab: Lab) -> None:
    """An optional secret that is missing is an empty volume."""
    source = {"secret": {"secretName": "nope", "optional": True}}
    assert await lab.run("ls", "-A", "/v", **volume(source)) == (0, "")


async def test_missing_key(lab: Lab) -> None:
    """A key that a volume names and the object lacks is told in a FailedMount event."""
    await lab.put("secrets", "s", stringData={"a": "one"})
    source = {"secret": {"secretName": "s", "items": [{"key": "z", "path": "z"}]}}
    name = await lab.create(pod_spec("true", **volume(source)))
    wanted = 'MountVolume.SetUp failed for volume "v" : references non-existent secret key: z'
    assert await lab.event(name, "FailedMount") == wanted


async def test_mount_is_tried_again(lab: Lab) -> None:
    """A pod that waits for a config map goes on as soon as there is one."""
    name = await lab.create(pod_spec("cat", "/v/a", **volume({"configMap": {"name": "late"}})))
    assert 'configmap "late" not found' in await lab.event(name, "FailedMount")
    await lab.put("configmaps", "late", data={"a": "here"})
    assert (await lab.ended(name))["status"]["phase"] == "Succeeded"
    assert await lab.log(name) == "here"


async def test_projected(lab: Lab) -> None:
    """A projected volume holds its sources beside each other: a token that works, and the pod's own fields."""
    await lab.put("configmaps", "m", data={"a": "one"})
    await lab.put("secrets", "s", stringData={"b": "two"})
    sources = [
        {"configMap": {"name": "m"}},
        {"secret": {"name": "s", "items": [{"key": "b", "path": "x/b"}]}},
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    ask = """
import json, os, urllib.request
read = lambda name: open("/v/" + name).read()
server = "http://" + os.environ["KUBERNETES_SERVICE_HOST"] + ":" + os.environ["KUBERNETES_SERVICE_PORT"]
review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
request = urllib.request.Request(server + path, json.dumps(review).encode())
request.add_header("Authorization", "Bearer " + read("token"))
request.add_header("Content-Type", "application/json")
print(json.load(urllib.request.urlopen(request))["status"]["userInfo"]["username"])
print(read("namespace"), read("a"), read("x/b"), repr(read("ca.crt")))
"""
    spec = {"serviceAccountName": "default", **volume({"projected": {"sources": sources}})}
    code, text = await lab.run("python", "-c", ask, **spec)
    assert (code, text) == (0, "system:serviceaccount:default:default\ndefault one two ''")


async def test_no_token_unasked(lab: Lab) -> None:
    """A pod that doesn't ask for a token gets none."""
    code, _ = await lab.run("ls", "/var/run/secrets/kubernetes.io/serviceaccount")
    assert code == 2


async def test_downward(lab: Lab) -> None:
    """Labels and resources are files as the downward API writes them."""
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}},
    ]
    spec = pod_spec("sh", "-c", "cat /v/labels; echo; cat /v/cpu", resources={"limits": {"cpu": "500m"}})
    spec |= {"volumes": [{"name": "v", "downwardAPI": {"items": items}}]}
    spec["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    name = await lab.create(spec, labels={"b": "2", "a": "1"})
    await lab.ended(name)
    assert await lab.log(name) == 'a="1"\nb="2"\n500'


async def test_empty_dir(lab: Lab) -> None:
    """An emptyDir is shared by the pod's containers, writable for all, and gone with the pod."""
    spec = pod_spec("sh", "-c", "stat -c %a /v; cat /v/left", **volume({"emptyDir": {"medium": "Memory"}}))
    first = {"name": "i", "image": "none", "command": ["sh", "-c", "echo left > /v/left; mkdir -m 000 /v/shut"]}
    spec["initContainers"] = [{**first, "volumeMounts": spec["containers"][0]["volumeMounts"]}]
    name = await lab.create(spec)
    pod = await lab.ended(name)
    assert await lab.log(name) == "777\nleft"
    folder = lab.folder / "node" / "pods" / pod["metadata"]["uid"] / "volumes"
    await lab.session.delete(f"/api/v1/namespaces/default/pods/{name}")
    assert not folder.exists()


async def test_size_limit(lab: Lab) -> None:
    """A pod that fills an emptyDir beyond its limit is evicted."""
    spec = pod_spec(
        "sh", "-c", "head -c 300000 /dev/zero > /v/x; sleep 100", **volume({"emptyDir": {"sizeLimit": "100Ki"}})
    )
    pod = await lab.ended(await lab.create(spec))
    assert pod["status"]["reason"] == "Evicted"
    assert pod["status"]["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "100Ki". '


@pytest.mark.parametrize(
    ("kind", "there", "text"),
    [
        ("Directory", "file", "is not a directory"),
        ("File", "folder", "is not a file"),
        ("File", "nothing", "is not a file"),
        ("Socket", "file", "is not a socket file"),
        ("CharDevice", "file", "is not a character device"),
        ("BlockDevice", "file", "is not a block device"),
        ("DirectoryOrCreate", "file", "is not a directory"),
        ("FileOrCreate", "folder", "is not a file"),
    ],
)
async def test_host_path_that_is_not_what_it_says(lab: Lab, tmp_path: Path, kind: str, there: str, text: str) -> None:
    """A host path that isn't of its type is told in a FailedMount event."""
    path = tmp_path / there
    path.touch() if there == "file" else path.mkdir() if there == "folder" else None
    name = await lab.create(pod_spec("true", **volume({"hostPath": {"path": str(path), "type": kind}})))
    message = await lab.event(name, "FailedMount")
    assert text in message


@pytest.mark.parametrize("kind", ["", "DirectoryOrCreate"])
async def test_host_folder_is_made(lab: Lab, tmp_path: Path, kind: str) -> None:
    """A host folder that may be created is, with all above it, for its owner to write."""
    path = tmp_path / "new" / "er"
    source = {"hostPath": {"path": str(path), **({"type": kind} if kind else {})}}
    assert (await lab.run("touch", "/v/x", **volume(source)))[0] == 0
    assert (path / "x").exists()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


async def test_host_file(either: Lab, tmp_path: Path) -> None:
    """A single file can be mounted; FileOrCreate makes it."""
    source = {"hostPath": {"path": str(tmp_path / "f"), "type": "FileOrCreate"}}
    assert (await either.run("sh", "-c", "echo hi > /etc/one-file", **volume(source, "/etc/one-file")))[0] == 0
    assert (tmp_path / "f").read_text() == "hi\n"


async def test_claim(either: Lab) -> None:
    """A claim is bound to a folder that outlives its pods, and goes with the claim."""
    await either.put("persistentvolumeclaims", "data", spec=CLAIM)
    source = {"persistentVolumeClaim": {"claimName": "data"}}
    assert (await either.run("sh", "-c", "echo kept > /v/x", **volume(source)))[0] == 0
    assert await either.run("cat", "/v/x", **volume(source)) == (0, "kept")
    claim = await either.session.get("/api/v1/namespaces/default/persistentvolumeclaims/data")
    assert (claim["status"]["phase"], claim["status"]["capacity"]) == ("Bound", {"storage": "1Gi"})
    volumes = (await either.session.get("/api/v1/persistentvolumes"))["items"]
    assert [v["spec"]["claimRef"]["name"] for v in volumes] == ["data"]
    folder = Path(volumes[0]["spec"]["hostPath"]["path"])
    assert (folder / "x").exists()


async def test_claim_read_only(lab: Lab) -> None:
    """A volume that mounts its claim read-only can't be written to."""
    await lab.put("persistentvolumeclaims", "data", spec={**CLAIM, "storageClassName": "local"})
    source = {"persistentVolumeClaim": {"claimName": "data", "readOnly": True}}
    assert (await lab.run("touch", "/v/x", **volume(source)))[0] == 1


async def test_claim_on_a_volume_of_a_driver(lab: Lab) -> None:
    """A claim that is bound to a driver's volume fails to mount, and names the driver."""
    spec = {**CLAIM, "storageClassName": "", "volumeName": "bucket"}
    csi = {"driver": "s3.csi.aws.com", "volumeHandle": "h"}
    pv = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": csi}
    body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "bucket"}, "spec": pv}
    await lab.session.create("/api/v1/persistentvolumes", body)
    await lab.put("persistentvolumeclaims", "data", spec=spec)
    name = await lab.create(pod_spec("true", **volume({"persistentVolumeClaim": {"claimName": "data"}})))
    wanted = "driver name s3.csi.aws.com not found in the list of registered CSI drivers"
    assert wanted in await lab.event(name, "FailedMount")


async def test_inline_driver(lab: Lab) -> None:
    """An inline volume of a CSI driver fails to mount, and names the driver."""
    source = {"csi": {"driver": "gcsfuse.csi.storage.gke.io", "volumeAttributes": {"bucketName": "b"}}}
    name = await lab.create(pod_spec("true", **volume(source)))
    wanted = "driver name gcsfuse.csi.storage.gke.io not found in the list of registered CSI drivers"
    assert wanted in await lab.event(name, "FailedMount")


async def test_sub_path(either: Lab, tmp_path: Path) -> None:
    """A missing subPath is made without a word, with its parent's mode, even for a read-only mount."""
    tmp_path.chmod(0o750)
    source = {"hostPath": {"path": str(tmp_path)}}
    assert (await either.run("ls", "/v", **volume(source, subPath="a/b", readOnly=True)))[0] == 0
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o750
    assert (await either.run("touch", "/v/x", **volume(source, subPath="a/b")))[0] == 0
    assert (tmp_path / "a" / "b" / "x").exists()


async def test_sub_path_expression(lab: Lab, tmp_path: Path) -> None:
    """subPathExpr is expanded from the container's environment."""
    spec = volume({"hostPath": {"path": str(tmp_path)}}, subPathExpr="runs/$(RUN)")
    assert (await lab.run("touch", "/v/x", env=[{"name": "RUN", "value": "seven"}], **spec))[0] == 0
    assert (tmp_path / "runs" / "seven" / "x").exists()


async def test_sub_path_stays_inside(either: Lab, tmp_path: Path) -> None:
    """A symlink in the volume can't lead a subPath out of it; one that stays inside is followed."""
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "out").symlink_to("/etc")
    (root / "in").symlink_to("real")
    source = {"hostPath": {"path": str(root)}}
    name = await either.create(pod_spec("ls", "/v", **volume(source, subPath="out/ssl")))
    wanted = 'Error: failed to prepare subPath for volumeMount "v" of container "c"'
    assert await either.event(name, "Failed") == wanted
    assert (await either.run("touch", "/v/x", **volume(source, subPath="in")))[0] == 0
    assert (root / "real" / "x").exists()


def test_enter_refuses(tmp_path: Path) -> None:
    """Paths with .. or a root, and symlinks that lead out, are refused before anything is made."""
    (tmp_path / "up").symlink_to("..")
    for path in ("../x", "/x", "a/../../x", "up/x"):
        with pytest.raises(Escape):
            enter(tmp_path, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["up"]


async def test_remove_and_measure(tmp_path: Path) -> None:
    """A folder is measured and removed without following its symlinks, also where its owner may not enter."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(b"x" * 1_000_000)
    folder = tmp_path / "folder"
    (folder / "shut").mkdir(parents=True)
    (folder / "shut" / "file").write_bytes(b"x" * 10_000)
    (folder / "link").symlink_to(outside)
    assert 10_000 <= await size_of(folder) < 100_000
    (folder / "shut").chmod(0)
    await remove(folder)
    assert not folder.exists()
    assert (outside / "big").exists()


async def test_volume_without_a_kind(lab: Lab, tmp_path: Path) -> None:
    """A kind of volume that this node doesn't know is named in the event."""
    from launcher.local.node.volumes import MountFailed, Volumes

    pod = {"metadata": {"namespace": "default"}}
    with pytest.raises(MountFailed, match="no volume plugin for nfs"):
        await Volumes(lab.session, pod, tmp_path, {}).mount({"name": "v", "nfs": {"server": "x", "path": "/"}})

"""A job's patch and extra containers: what they may do, and what no patch may, in whatever form it comes."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from launcher import InvalidSpec, Job, Use
from tests import planning, strategies
from tests.planning import LOCAL, REAL, around, built, container, job, planned
from tests.pod import judge

STORE = around(store=planning.BUCKET_STORE)

# Copies (one writable), a claim of which a part is shown read-only, a host path, a CSI mount, a stream.
BASE = job(
    Use("s3-bucket", read_only=False),
    Use("faces", sub_path="v3", read_only=True),
    "stdlib",
    Use("azure-bucket", mode="mount"),
    "streamed",
    env={"MINE": "1"},
)


def patched(patch: Any, base: Job = BASE, **fields: Any) -> dict[str, Any]:
    return built(base.evolve(patch=patch, **fields), REAL, STORE).pod


def unpatched(patch: Any) -> dict[str, Any]:
    """The pod without the patch, but with the hash of the patched job, since the patch is a part of the job."""
    mine, patched_hash = (
        planned(BASE, REAL, STORE).record.spec,
        planned(BASE.evolve(patch=patch), REAL, STORE).record.spec,
    )
    pod: dict[str, Any] = strategies.with_text(built(BASE, REAL, STORE).pod, mine, patched_hash)
    return pod


def refusals(patch: Any, **fields: Any) -> str:
    with pytest.raises(InvalidSpec) as caught:
        patched(patch, **fields)
    return str(caught.value)


def main_with(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "main", **fields}]}}


def test_merging_by_names() -> None:
    """Mappings are merged, lists of named things by their names, mounts by their paths; null removes."""
    pod = patched(
        {
            "metadata": {
                "labels": {"mine": "x"},
                "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": None},
            },
            "spec": {
                "hostname": "h",
                "volumes": [{"name": "extra", "emptyDir": {}}],
                "containers": [
                    {
                        "name": "main",
                        "stdin": True,
                        "securityContext": {"seccompProfile": None},
                        "env": [{"name": "MINE", "value": "2"}, {"name": "NEW", "value": "3"}],
                        "volumeMounts": [{"name": "extra", "mountPath": "/extra"}],
                    },
                    {"name": "second", "image": "busybox"},
                ],
            },
        }
    )
    main = pod["spec"]["containers"][0]
    assert [c["name"] for c in pod["spec"]["containers"]] == ["main", "second"]
    assert main["image"] == "i" and main["stdin"] is True
    assert main["securityContext"] == {"allowPrivilegeEscalation": False}
    variables = {entry["name"]: entry.get("value") for entry in main["env"]}
    assert (variables["MINE"], variables["NEW"], variables["LAUNCHER_RUN_ID"]) == ("2", "3", "j-1")
    assert {"name": "extra", "mountPath": "/extra"} in main["volumeMounts"]
    assert "connection-stdlib" in {mount["name"] for mount in main["volumeMounts"]}
    assert pod["metadata"]["labels"]["mine"] == "x"
    assert pod["metadata"]["labels"]["podlauncher.dev/run"] == "j-1"
    assert "cluster-autoscaler.kubernetes.io/safe-to-evict" not in pod["metadata"]["annotations"]


def test_other_lists_are_replaced() -> None:
    """A list whose items have no names is replaced as a whole."""
    pod = patched({"spec": {"tolerations": [{"operator": "Exists"}]}}, tolerations=[{"key": "a"}])
    assert pod["spec"]["tolerations"] == [{"operator": "Exists"}]


def test_patch_in_any_mapping() -> None:
    """A patch made in Python may be of any mappings and sequences."""
    patch = MappingProxyType(
        {"spec": MappingProxyType({"containers": (MappingProxyType({"name": "main", "tty": True}),)})}
    )
    main = patched(patch)["spec"]["containers"][0]
    assert main["tty"] is True and main["image"] == "i"


def test_patch_changes_nothing_of_the_job() -> None:
    """What a user handed in isn't part of what is sent, and stays as it was."""
    patch = {"spec": {"tolerations": [{"key": "a"}]}}
    pod = patched(patch)
    pod["spec"]["tolerations"].append("x")
    assert patch == {"spec": {"tolerations": [{"key": "a"}]}}


def test_narrowing_is_allowed() -> None:
    """A patch may make a mount read-only, and show a container of its own a part of what the job sees."""
    patch = {
        "spec": {
            "containers": [
                {"name": "main", "volumeMounts": [{"mountPath": "/connections/s3-bucket", "readOnly": True}]},
                {
                    "name": "second",
                    "image": "i",
                    "volumeMounts": [
                        {"name": "connection-faces", "mountPath": "/f", "subPath": "v3/train", "readOnly": True}
                    ],
                },
            ]
        }
    }
    assert judge.faults(planned(BASE, REAL, STORE), unpatched(patch), patched(patch)) == []


def mount(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "mountPath": "/mine", **fields}


def extra(**fields: Any) -> dict[str, Any]:
    return {"name": "extra", "image": "i", **fields}


def secret_env(secret: str) -> list[dict[str, Any]]:
    return [{"name": "K", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]


def sources(*items: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"volumes": [{"name": "mine", "projected": {"sources": list(items)}}]}}


FORBIDDEN: dict[str, Any] = {
    "our label": {"metadata": {"labels": {"podlauncher.dev/run": "other"}}},
    "our label removed": {"metadata": {"labels": {"podlauncher.dev/launcher": None}}},
    "all labels removed": {"metadata": {"labels": None}},
    "another label of ours": {"metadata": {"labels": {"connection.podlauncher.dev/other": "rw"}}},
    "our annotation": {"metadata": {"annotations": {"podlauncher.dev/record": "{}"}}},
    "annotations replaced": {"metadata": {"annotations": None}},
    "name": {"metadata": {"name": "other"}},
    "namespace": {"metadata": {"namespace": "kube-system"}},
    "kind": {"kind": "Job"},
    "api version": {"apiVersion": "v2"},
    "token": {"spec": {"automountServiceAccountToken": True}},
    "token by leaving out": {"spec": {"automountServiceAccountToken": None}},
    "token projected": sources({"serviceAccountToken": {"path": "token"}}),
    "restarts": {"spec": {"restartPolicy": "Always"}},
    "processes shared": {"spec": {"shareProcessNamespace": True}},
    "processes of the node": {"spec": {"hostPID": True}},
    "credentials by env": main_with(env=secret_env("s3-secret")),
    "credentials by envFrom": main_with(envFrom=[{"secretRef": {"name": "s3-secret"}}]),
    "credentials of the store": main_with(env=secret_env("results-secret")),
    "credentials of a mounted bucket": main_with(env=secret_env("az-secret")),
    "credentials by volume": {"spec": {"volumes": [{"name": "mine", "secret": {"secretName": "s3-secret"}}]}},
    "credentials projected": sources({"secret": {"name": "s3-secret"}}),
    "credentials by csi": {
        "spec": {"volumes": [{"name": "mine", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "az-secret"}}}]}
    },
    "credentials in an extra container": {"spec": {"containers": [extra(env=secret_env("s3-secret"))]}},
    "credentials in an init container": {"spec": {"initContainers": [extra(env=secret_env("s3-secret"))]}},
    "credentials in an ephemeral container": {"spec": {"ephemeralContainers": [extra(env=secret_env("s3-secret"))]}},
    "credentials under a name that is said twice": {
        "spec": {
            "containers": [
                extra(env=[*secret_env("s3-secret"), {"name": "L", "value": "$(K)"}, {"name": "K", "value": "x"}])
            ]
        }
    },
    "credentials volume": main_with(volumeMounts=[mount("credentials-s3-bucket")]),
    "store credentials volume": main_with(volumeMounts=[mount("store-credentials-results")]),
    "token volume": {"spec": {"initContainers": [extra(volumeMounts=[mount("launcher-token")])]}},
    "state volume": {"spec": {"ephemeralContainers": [extra(volumeMounts=[mount("launcher-state")])]}},
    "mount made writable": main_with(volumeMounts=[{"mountPath": "/data/lib", "readOnly": False}]),
    "mount made writable by leaving out": main_with(volumeMounts=[{"mountPath": "/data/lib", "readOnly": None}]),
    "mount made writable by a word": main_with(volumeMounts=[{"mountPath": "/data/lib", "readOnly": "no"}]),
    "mounted again, writable": main_with(volumeMounts=[mount("connection-stdlib")]),
    "whole of a part": main_with(volumeMounts=[mount("connection-faces", readOnly=True)]),
    "another part": main_with(volumeMounts=[mount("connection-faces", readOnly=True, subPath="v4")]),
    "a part that begins alike": main_with(volumeMounts=[mount("connection-faces", readOnly=True, subPath="v33")]),
    "out of the part": main_with(volumeMounts=[mount("connection-faces", readOnly=True, subPath="v3/../v4")]),
    "a part by expression": main_with(
        volumeMounts=[mount("connection-faces", readOnly=True, subPath="v3", subPathExpr="$(X)")]
    ),
    "writable in an extra container": {"spec": {"containers": [extra(volumeMounts=[mount("connection-stdlib")])]}},
    "writable in an init container": {"spec": {"initContainers": [extra(volumeMounts=[mount("connection-stdlib")])]}},
    "the claim once more": {
        "spec": {"volumes": [{"name": "mine", "persistentVolumeClaim": {"claimName": "faces-pvc"}}]}
    },
    "the host path once more": {"spec": {"volumes": [{"name": "mine", "hostPath": {"path": "/usr/lib/python3"}}]}},
    "the host path with slashes": {
        "spec": {"volumes": [{"name": "mine", "hostPath": {"path": "//usr//lib/python3/"}}]}
    },
    "a folder of the host path": {"spec": {"volumes": [{"name": "mine", "hostPath": {"path": "/usr/lib/python3/x"}}]}},
    "the host path from above": {"spec": {"volumes": [{"name": "mine", "hostPath": {"path": "/usr"}}]}},
    "our volume changed": {"spec": {"volumes": [{"name": "connection-stdlib", "hostPath": {"path": "/"}}]}},
    "our volume emptied": {
        "spec": {"volumes": [{"name": "connection-faces", "persistentVolumeClaim": None, "emptyDir": {}}]}
    },
    "volumes removed": {"spec": {"volumes": None}},
    "mounts removed": main_with(volumeMounts=None),
    "outputs mounted elsewhere": main_with(
        volumeMounts=[{"mountPath": "/launcher/outputs", "name": "connection-s3-bucket"}]
    ),
    "save removed": {"spec": {"initContainers": None}},
    "save changed": {"spec": {"initContainers": [{"name": "save", "image": "mine"}]}},
    "save's rights": {"spec": {"initContainers": [{"name": "save", "securityContext": {"privileged": True}}]}},
    "a save of the user's": {"spec": {"containers": [{"name": "save", "image": "mine"}]}},
    "containers removed": {"spec": {"containers": None}},
    "main moved": {"spec": {"containers": None, "initContainers": [{"name": "main", "image": "i"}]}},
    "a second main": {"spec": {"initContainers": [{"name": "main", "image": "i"}]}},
    "main without image": main_with(image=None),
    "our variables": main_with(env=[{"name": "LAUNCHER_OUTPUTS", "value": "/tmp"}]),
    "variables removed": main_with(env=None),
    "spec removed": {"spec": None},
    "metadata removed": {"metadata": None},
    "spec as text": {"spec": "x"},
    "containers as a mapping": {"spec": {"containers": {"name": "main"}}},
    "containers as texts": {"spec": {"containers": ["main"]}},
    "container without name": {"spec": {"containers": [{"image": "x"}]}},
    "unhashable name": {"spec": {"containers": [{"name": ["main"]}]}},
    "env as text": main_with(env="x"),
    "env of texts": main_with(env=["x"]),
    "mounts of texts": main_with(volumeMounts=["x"]),
    "volume name as a list": {"spec": {"volumes": [{"name": ["x"]}]}},
    "labels as a list": {"metadata": {"labels": ["a"]}},
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_no_patch_may(what: str) -> None:
    """A patch that touches what is the launcher's, shows credentials or widens a mount is refused, with its place."""
    assert "patch" in refusals(FORBIDDEN[what])


def test_patch_that_holds_itself() -> None:
    """A patch that contains itself is refused like any other that leaves no pod."""
    endless: dict[str, Any] = {}
    endless["spec"] = endless
    with pytest.raises(InvalidSpec):
        patched(endless)


@pytest.mark.parametrize("field", ["init_containers", "sidecars"])
@pytest.mark.parametrize(
    "container",
    [
        extra(env=secret_env("s3-secret")),
        extra(envFrom=[{"secretRef": {"name": "s3-secret"}}]),
        extra(env=[*secret_env("s3-secret"), {"name": "K", "value": "x"}]),
        extra(volumeMounts=[mount("connection-stdlib")]),
        extra(volumeMounts=[mount("credentials-s3-bucket")]),
        extra(volumeMounts=[mount("launcher-token")]),
    ],
    ids=["env", "envFrom", "twice", "writable", "credentials", "token"],
)
def test_extra_containers_may_no_more_than_a_patch(field: str, container: dict[str, Any]) -> None:
    """The job's own init containers and sidecars are held to the same rules as its patch."""
    with pytest.raises(InvalidSpec):
        built(BASE.evolve(**{field: [container]}), REAL, STORE)


def test_extra_containers_in_their_order() -> None:
    """Agents come first, then the job's init containers, then its sidecars, which run as long as the job does."""
    manifest = built(
        BASE.evolve(init_containers=[extra()], sidecars=[{"name": "proxy", "image": "envoy"}]), REAL, STORE
    )
    spec = manifest.pod["spec"]
    assert [item["name"] for item in spec["initContainers"]] == ["save", "fetch", "extra", "proxy"]
    assert container(manifest, "proxy")["restartPolicy"] == "Always"
    assert "restartPolicy" not in container(manifest, "extra")


def test_streamed_credentials_are_the_users_own() -> None:
    """The secret of a connection that streams may be used in any container: its administrator shows it."""
    pod = patched({"spec": {"containers": [extra(env=secret_env("stream-secret"))]}})
    assert pod["spec"]["containers"][1]["name"] == "extra"


# Patches at random, of the words that matter.

containers_names = st.sampled_from(["main", "extra", "main", "other", "extra", "save", "fetch"])
volume_names = st.sampled_from(
    [
        "connection-faces",
        "connection-stdlib",
        "connection-s3-bucket",
        "credentials-s3-bucket",
        "launcher-token",
        "launcher-state",
        "launcher-outputs",
        "store-credentials-results",
        "mine",
        "other",
    ]
)
secret_names = st.sampled_from(["s3-secret", "results-secret", "az-secret", "stream-secret", "mine"])
sub_paths = st.sampled_from(["", "v3", "v3/a", "v4", "v3/../v4", "..", ".", "v33"])
junk = st.sampled_from([None, True, False, "", "x", 5, [], {}, ["x"], {"name": "x"}])


def optional(
    required: dict[str, Any] | None = None, **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these fields, now and then with junk in one: too much of it, and every patch is refused for that."""
    return st.fixed_dictionaries(
        required or {}, optional={name: st.one_of(*[field] * 9, junk) for name, field in fields.items()}
    )


references = optional(name=secret_names, key=st.just("k"))
env_entries = st.fixed_dictionaries(
    {"name": st.sampled_from(["A", "MINE", "LAUNCHER_OUTPUTS", "AWS_ACCESS_KEY_ID"])},
    optional={"value": st.just("$(A)"), "valueFrom": optional(secretKeyRef=references)},
)
mounts = st.fixed_dictionaries(
    {
        "mountPath": st.sampled_from(
            ["/data/lib", "/datasets/faces", "/connections/s3-bucket", "/launcher/outputs", "/mine"]
        )
    },
    optional={"name": volume_names, "readOnly": st.booleans() | st.none(), "subPath": sub_paths | st.none()},
)
containers = optional(
    {"name": containers_names},
    image=st.just("i"),
    env=st.lists(env_entries, max_size=3),
    envFrom=st.lists(optional(secretRef=references), max_size=1),
    volumeMounts=st.lists(mounts, max_size=2),
    restartPolicy=st.just("Always"),
)
volumes = optional(
    {"name": volume_names},
    emptyDir=st.just({}),
    secret=optional(secretName=secret_names),
    projected=optional(sources=st.lists(optional(secret=references, serviceAccountToken=st.just({})), max_size=2)),
    persistentVolumeClaim=optional(claimName=st.sampled_from(["faces-pvc", "mine"])),
    hostPath=optional(path=st.sampled_from(["/usr/lib/python3", "/usr/lib/python3/", "//usr/lib/python3", "/mine"])),
)
specs = optional(
    containers=st.lists(containers, max_size=2),
    initContainers=st.lists(containers, max_size=2),
    ephemeralContainers=st.lists(containers, max_size=1),
    volumes=st.lists(volumes, max_size=2),
    hostname=st.just("h"),
    automountServiceAccountToken=st.just(False),
    restartPolicy=st.just("Never"),
    shareProcessNamespace=st.none(),
)
label_keys = st.sampled_from(
    ["podlauncher.dev/run", "podlauncher.dev/record", "connection.podlauncher.dev/faces", "mine"]
)
patches = optional(
    spec=specs,
    metadata=optional(
        labels=st.dictionaries(label_keys, junk, max_size=2),
        annotations=st.dictionaries(label_keys, junk, max_size=2),
        name=st.just("j-1"),
    ),
    kind=st.just("Pod"),
)


@hypothesis.settings(max_examples=400)
@hypothesis.given(patches)
def test_any_patch_is_refused_or_harmless(patch: dict[str, Any]) -> None:
    """Whatever a patch holds, it is refused with an InvalidSpec, or leaves labels, tokens, secrets and mounts alone."""
    try:
        after = patched(patch)
    except InvalidSpec:
        return
    assert judge.faults(planned(BASE, REAL, STORE), unpatched(patch), after) == []


@hypothesis.settings(max_examples=100)
@hypothesis.given(strategies.wild(["spec", "metadata", "containers", "name", "volumes", "main"]))
def test_anything_at_all_as_a_patch(patch: Any) -> None:
    """Whatever stands where a patch should, it is refused with an InvalidSpec or leaves a pod that is still well."""
    try:
        pod = patched(patch)
    except InvalidSpec:
        return
    assert pod["spec"]["containers"][0]["image"] == "i"


def test_judge_can_tell() -> None:
    """The judge of these tests finds a fault in each thing that no patch may do, when it is done by hand."""
    plan = planned(BASE, LOCAL, STORE)
    for change in ("label", "token", "secret", "mount", "agent", "claim"):
        before, after = built(BASE, LOCAL, STORE).pod, built(BASE, LOCAL, STORE).pod
        spec = after["spec"]
        if change == "label":
            after["metadata"]["labels"]["podlauncher.dev/run"] = "x"
        elif change == "token":
            spec["automountServiceAccountToken"] = True
        elif change == "secret":
            spec["containers"][0]["env"].extend(secret_env("s3-secret"))
        elif change == "mount":
            next(m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "connection-stdlib").pop("readOnly")
        elif change == "agent":
            spec["initContainers"].pop()
        else:
            spec["volumes"].append({"name": "mine", "persistentVolumeClaim": {"claimName": "faces-pvc"}})
        assert judge.faults(plan, before, after), change

"""What Kubernetes' schema doesn't tell, in the language of ``schema.py``: which fields the server refuses
to miss, which values and forms it accepts, and what it fills in. Pure data.

An addition changes a field of a shape of the schema; it never brings one.
"""

from __future__ import annotations

from collections.abc import Mapping

ADDITIONS = """
ObjectMeta: finalizers:[qualified_name] managedFields:dropped selfLink:dropped

Pod: spec*
Secret: type=Opaque
PersistentVolume: spec*
Node: spec={}
Namespace: spec={}
Event: involvedObject* source={} reportingComponent= reportingInstance=
CSIDriver: spec*
StorageClass: provisioner* reclaimPolicy:Retain|Delete|Recycle=Delete
  volumeBindingMode:Immediate|WaitForFirstConsumer=Immediate
RoleBinding: roleRef*
Binding: target*
TokenRequest: spec*
SelfSubjectAccessReview: spec={}
SelfSubjectRulesReview: spec={}

Subject: kind* name*
RoleRef: apiGroup=rbac.authorization.k8s.io kind* name*
TokenRequestSpec: expirationSeconds=3600
CSIDriverSpec: attachRequired=true podInfoOnMount=false storageCapacity=false requiresRepublish=false
  fsGroupPolicy:ReadWriteOnceWithFSType|File|None=ReadWriteOnceWithFSType seLinuxMount=false
  volumeLifecycleModes:[Persistent|Ephemeral]
Taint: key*:qualified_name effect*:NoSchedule|PreferNoSchedule|NoExecute

PersistentVolumeClaimSpec: volumeMode:Filesystem|Block=Filesystem
PersistentVolumeSpec: capacity* accessModes*
  persistentVolumeReclaimPolicy:Retain|Delete|Recycle=Retain volumeMode:Filesystem|Block=Filesystem
LocalVolumeSource: path*
CSIPersistentVolumeSource: driver* volumeHandle*

PodSpec: containers* restartPolicy:Always|OnFailure|Never=Always terminationGracePeriodSeconds=30
  dnsPolicy:ClusterFirstWithHostNet|ClusterFirst|Default|None=ClusterFirst serviceAccountName=default
  securityContext={} schedulerName=default-scheduler priority=0 enableServiceLinks=true
  preemptionPolicy:PreemptLowerPriority|Never=PreemptLowerPriority
PodOS: name*:linux|windows
HostAlias: ip*
PodSchedulingGate: name*:qualified_name
PodReadinessGate: conditionType:qualified_name
Toleration: operator:Exists|Equal|Lt|Gt effect:NoSchedule|PreferNoSchedule|NoExecute
PodSecurityContext: fsGroupChangePolicy:OnRootMismatch|Always supplementalGroupsPolicy:Merge|Strict
SecurityContext: procMount:Default|Unmasked
SeccompProfile: type*:Localhost|RuntimeDefault|Unconfined
AppArmorProfile: type*:Localhost|RuntimeDefault|Unconfined
Sysctl: name*
TopologySpreadConstraint: whenUnsatisfiable:DoNotSchedule|ScheduleAnyway nodeAffinityPolicy:Honor|Ignore
  nodeTaintsPolicy:Honor|Ignore

NodeSelector: nodeSelectorTerms*
PreferredSchedulingTerm: weight* preference*
NodeSelectorRequirement: key* operator*:In|NotIn|Exists|DoesNotExist|Gt|Lt
WeightedPodAffinityTerm: weight* podAffinityTerm*
PodAffinityTerm: topologyKey*
LabelSelectorRequirement: key* operator*:In|NotIn|Exists|DoesNotExist

Container: name*:dns_label image* resources={} restartPolicy:Always|OnFailure|Never
  terminationMessagePath=/dev/termination-log terminationMessagePolicy:File|FallbackToLogsOnError=File
  imagePullPolicy:Always|IfNotPresent|Never
EphemeralContainer: name*:dns_label image* resources={} terminationMessagePath=/dev/termination-log
  terminationMessagePolicy:File|FallbackToLogsOnError=File imagePullPolicy:Always|IfNotPresent|Never
ContainerPort: containerPort* protocol:TCP|UDP|SCTP=TCP
EnvVar: name*:env_name
ObjectFieldSelector: apiVersion=v1 fieldPath*
ResourceFieldSelector: resource* divisor=0
ConfigMapKeySelector: name* key*
SecretKeySelector: name* key*
ConfigMapEnvSource: name*
SecretEnvSource: name*
VolumeMount: name* recursiveReadOnly:Disabled|IfPossible|Enabled mountPath*
  mountPropagation:None|HostToContainer|Bidirectional
VolumeDevice: name* devicePath*
Probe: timeoutSeconds=1 periodSeconds=10 successThreshold=1 failureThreshold=3
HTTPGetAction: path=/ port* scheme:HTTP|HTTPS=HTTP
TCPSocketAction: port*
GRPCAction: service=

Volume: name*:dns_label
HostPathVolumeSource: path* type:|DirectoryOrCreate|Directory|FileOrCreate|File|Socket|CharDevice|BlockDevice=
SecretVolumeSource: secretName* defaultMode=420
ConfigMapVolumeSource: name* defaultMode=420
KeyToPath: key* path*
PersistentVolumeClaimVolumeSource: claimName*
ProjectedVolumeSource: defaultMode=420
SecretProjection: name*
ConfigMapProjection: name*
ServiceAccountTokenProjection: expirationSeconds=3600 path*
DownwardAPIVolumeSource: defaultMode=420
DownwardAPIVolumeFile: path*
CSIVolumeSource: driver*
NFSVolumeSource: server* path*
EphemeralVolumeSource: volumeClaimTemplate*
PersistentVolumeClaimTemplate: metadata={} spec*
AzureDiskVolumeSource: cachingMode=ReadWrite fsType=ext4 kind=Shared readOnly=false
ISCSIVolumeSource: iscsiInterface=default
ISCSIPersistentVolumeSource: iscsiInterface=default
RBDVolumeSource: pool=rbd user=admin keyring=/etc/ceph/keyring
RBDPersistentVolumeSource: pool=rbd user=admin keyring=/etc/ceph/keyring
ScaleIOVolumeSource: storageMode=ThinProvisioned fsType=xfs
ScaleIOPersistentVolumeSource: storageMode=ThinProvisioned fsType=xfs
ImageVolumeSource: pullPolicy:Always|IfNotPresent|Never
"""

# By shape, the Go struct that is embedded in its own, and the fields that are not that struct's: messages
# about types name it.
_REFERENCE = ("LocalObjectReference", frozenset(("key", "optional", "items", "defaultMode")))
_PROBE = (
    "initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold terminationGracePeriodSeconds"
)
_VOLUME = (
    "capacity accessModes claimRef persistentVolumeReclaimPolicy storageClassName mountOptions volumeMode"
    " nodeAffinity volumeAttributesClassName"
)
EMBEDDED: Mapping[str, tuple[str, frozenset[str]]] = {
    "Volume": ("VolumeSource", frozenset(("name",))),
    "Probe": ("ProbeHandler", frozenset(_PROBE.split())),
    "EphemeralContainer": ("EphemeralContainerCommon", frozenset(("targetContainerName",))),
    "PersistentVolumeSpec": ("PersistentVolumeSource", frozenset(_VOLUME.split())),
    "ConfigMapKeySelector": _REFERENCE,
    "SecretKeySelector": _REFERENCE,
    "ConfigMapEnvSource": _REFERENCE,
    "SecretEnvSource": _REFERENCE,
    "ConfigMapVolumeSource": _REFERENCE,
    "ConfigMapProjection": _REFERENCE,
    "SecretProjection": _REFERENCE,
}

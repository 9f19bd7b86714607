"""Which fields each kind has, of which type, with which defaults: the API's schema as far as jobs need it.

Pure data. One shape: its name, a colon, its fields, continued on indented lines. One field: NAME, ``*`` when
it must be given and not be empty, a colon, TYPE, and ``=DEFAULT`` where the server fills one in. TYPE is one
of

    str int32 int64 bool time quantity base64 intstr    scalars (intstr: a number or a string)
    object                     a mapping of anything: what no job uses passes as it is
    dropped                    accepted and not kept
    dns_label env_name …       a string that a check of names.py accepts
    A|B|C                      a string, one of these
    [TYPE]  {TYPE}             a list; a mapping of strings to TYPE
    Name                       another shape
"""

SHAPES = """
ObjectMeta: name:str generateName:str namespace:str uid:str resourceVersion:str generation:int64
  creationTimestamp:time deletionTimestamp:time deletionGracePeriodSeconds:int64 labels:{str}
  annotations:{str} ownerReferences:[OwnerReference] finalizers:[qualified_name] managedFields:dropped
  selfLink:dropped
OwnerReference: apiVersion*:str kind*:str name*:str uid*:str controller:bool blockOwnerDeletion:bool
DeleteOptions: apiVersion:str kind:str gracePeriodSeconds:int64 preconditions:Preconditions dryRun:[str]
  orphanDependents:bool propagationPolicy:Orphan|Background|Foreground
  ignoreStoreReadErrorWithClusterBreakingPotential:bool
Preconditions: uid:str resourceVersion:str

Pod: metadata:ObjectMeta spec*:PodSpec status:PodStatus
ConfigMap: metadata:ObjectMeta immutable:bool data:{str} binaryData:{base64}
Secret: metadata:ObjectMeta immutable:bool data:{base64} stringData:{str} type:str=Opaque
PersistentVolumeClaim: metadata:ObjectMeta spec*:PersistentVolumeClaimSpec status:PersistentVolumeClaimStatus
PersistentVolume: metadata:ObjectMeta spec*:PersistentVolumeSpec status:PersistentVolumeStatus
Node: metadata:ObjectMeta spec:NodeSpec={} status:NodeStatus
Namespace: metadata:ObjectMeta spec:NamespaceSpec={} status:NamespaceStatus
Event: metadata:ObjectMeta involvedObject*:ObjectReference reason:str message:str source:EventSource={}
  firstTimestamp:time lastTimestamp:time count:int32 type:str eventTime:time series:object action:str
  related:ObjectReference reportingComponent:str reportingInstance:str
ServiceAccount: metadata:ObjectMeta secrets:[ObjectReference] imagePullSecrets:[LocalObjectReference]
  automountServiceAccountToken:bool
CSIDriver: metadata:ObjectMeta spec*:CSIDriverSpec
StorageClass: metadata:ObjectMeta provisioner*:str parameters:{str} reclaimPolicy:Retain|Delete|Recycle=Delete
  mountOptions:[str] allowVolumeExpansion:bool allowedTopologies:[object]
  volumeBindingMode:Immediate|WaitForFirstConsumer=Immediate
Role: metadata:ObjectMeta rules:[PolicyRule]
RoleBinding: metadata:ObjectMeta subjects:[Subject] roleRef*:RoleRef
Binding: metadata:ObjectMeta target*:ObjectReference
Eviction: metadata:ObjectMeta deleteOptions:DeleteOptions
TokenRequest: metadata:ObjectMeta spec*:TokenRequestSpec status:object
SelfSubjectAccessReview: metadata:ObjectMeta spec:object={} status:object
SelfSubjectRulesReview: metadata:ObjectMeta spec:object={} status:object
SelfSubjectReview: metadata:ObjectMeta status:object

PolicyRule: verbs*:[str] apiGroups:[str] resources:[str] resourceNames:[str] nonResourceURLs:[str]
Subject: kind*:str apiGroup:str name*:str namespace:str
RoleRef: apiGroup:str=rbac.authorization.k8s.io kind*:str name*:str
TokenRequestSpec: audiences:[str] expirationSeconds:int64=3600 boundObjectRef:object
CSIDriverSpec: attachRequired:bool=true podInfoOnMount:bool=false storageCapacity:bool=false
  requiresRepublish:bool=false fsGroupPolicy:ReadWriteOnceWithFSType|File|None=ReadWriteOnceWithFSType
  seLinuxMount:bool=false tokenRequests:[object] volumeLifecycleModes:[Persistent|Ephemeral]
  nodeAllocatableUpdatePeriodSeconds:int64
NodeSpec: podCIDR:str podCIDRs:[str] providerID:str unschedulable:bool taints:[Taint] externalID:str
Taint: key*:qualified_name value:str effect*:NoSchedule|PreferNoSchedule|NoExecute timeAdded:time
NodeStatus: capacity:{quantity} allocatable:{quantity} phase:str conditions:[Condition] addresses:[object]
  daemonEndpoints:object nodeInfo:object images:[object] volumesInUse:[str] volumesAttached:[object]
  config:object runtimeHandlers:[object] features:object declaredFeatures:[str]
NamespaceSpec: finalizers:[str]
NamespaceStatus: phase:str conditions:[Condition]
Condition: type:str status:str reason:str message:str observedGeneration:int64 lastProbeTime:time
  lastTransitionTime:time lastHeartbeatTime:time
ObjectReference: kind:str namespace:str name:str uid:str apiVersion:str resourceVersion:str fieldPath:str
LocalObjectReference: name:str
EventSource: component:str host:str

PersistentVolumeClaimSpec: accessModes*:[ReadWriteOnce|ReadOnlyMany|ReadWriteMany|ReadWriteOncePod]
  selector:LabelSelector resources*:ResourceRequirements volumeName:str storageClassName:str
  volumeMode:Filesystem|Block=Filesystem dataSource:object dataSourceRef:object volumeAttributesClassName:str
PersistentVolumeClaimStatus: phase:str accessModes:[str] capacity:{quantity} conditions:[Condition]
  allocatedResources:{quantity} allocatedResourceStatuses:{str} currentVolumeAttributesClassName:str
  modifyVolumeStatus:object
PersistentVolumeSpec: capacity*:{quantity}
  accessModes*:[ReadWriteOnce|ReadOnlyMany|ReadWriteMany|ReadWriteOncePod] claimRef:ObjectReference
  persistentVolumeReclaimPolicy:Retain|Delete|Recycle=Retain storageClassName:str mountOptions:[str]
  volumeMode:Filesystem|Block=Filesystem nodeAffinity:object volumeAttributesClassName:str
  hostPath:HostPathVolumeSource local:LocalVolumeSource csi:CSIPersistentVolumeSource nfs:NFSVolumeSource
  awsElasticBlockStore:object azureDisk:object azureFile:object cephfs:object cinder:object fc:object
  flexVolume:object gcePersistentDisk:object glusterfs:object iscsi:object portworxVolume:object
  quobyte:object rbd:object scaleIO:object storageos:object vsphereVolume:object
PersistentVolumeStatus: phase:str message:str reason:str lastPhaseTransitionTime:time
LocalVolumeSource: path*:str fsType:str
CSIPersistentVolumeSource: driver*:str volumeHandle*:str readOnly:bool fsType:str volumeAttributes:{str}
  controllerPublishSecretRef:object nodeStageSecretRef:object nodePublishSecretRef:object
  controllerExpandSecretRef:object nodeExpandSecretRef:object

PodSpec: volumes:[Volume] initContainers:[Container] containers*:[Container] ephemeralContainers:[Container]
  restartPolicy:Always|OnFailure|Never=Always terminationGracePeriodSeconds:int64=30
  activeDeadlineSeconds:int64 dnsPolicy:ClusterFirstWithHostNet|ClusterFirst|Default|None=ClusterFirst
  nodeSelector:{str} serviceAccountName:str=default serviceAccount:str automountServiceAccountToken:bool
  nodeName:str hostNetwork:bool hostPID:bool hostIPC:bool shareProcessNamespace:bool
  securityContext:PodSecurityContext={} imagePullSecrets:[LocalObjectReference] hostname:str subdomain:str
  affinity:Affinity schedulerName:str=default-scheduler tolerations:[Toleration] hostAliases:[HostAlias]
  priorityClassName:str priority:int32=0 dnsConfig:object readinessGates:[object] runtimeClassName:str
  enableServiceLinks:bool=true preemptionPolicy:PreemptLowerPriority|Never=PreemptLowerPriority
  overhead:{quantity} os:PodOS topologySpreadConstraints:[object] setHostnameAsFQDN:bool hostUsers:bool
  schedulingGates:[PodSchedulingGate] resourceClaims:[object] resources:ResourceRequirements
  hostnameOverride:str schedulingGroup:object
PodOS: name*:linux|windows
HostAlias: ip*:str hostnames:[str]
PodSchedulingGate: name*:qualified_name
Toleration: key:str operator:Exists|Equal|Lt|Gt value:str effect:NoSchedule|PreferNoSchedule|NoExecute
  tolerationSeconds:int64
PodSecurityContext: runAsUser:int64 runAsGroup:int64 runAsNonRoot:bool fsGroup:int64
  supplementalGroups:[int64] fsGroupChangePolicy:OnRootMismatch|Always seccompProfile:SeccompProfile
  sysctls:[object] seLinuxOptions:object windowsOptions:object appArmorProfile:object
  supplementalGroupsPolicy:Merge|Strict seLinuxChangePolicy:str
SecurityContext: allowPrivilegeEscalation:bool capabilities:Capabilities privileged:bool runAsUser:int64
  runAsGroup:int64 runAsNonRoot:bool readOnlyRootFilesystem:bool procMount:str seccompProfile:SeccompProfile
  seLinuxOptions:object windowsOptions:object appArmorProfile:object
SeccompProfile: type*:Localhost|RuntimeDefault|Unconfined localhostProfile:str
Capabilities: add:[str] drop:[str]

Affinity: nodeAffinity:NodeAffinity podAffinity:PodAffinity podAntiAffinity:PodAffinity
NodeAffinity: requiredDuringSchedulingIgnoredDuringExecution:NodeSelector
  preferredDuringSchedulingIgnoredDuringExecution:[PreferredSchedulingTerm]
NodeSelector: nodeSelectorTerms*:[NodeSelectorTerm]
PreferredSchedulingTerm: weight*:int32 preference*:NodeSelectorTerm
NodeSelectorTerm: matchExpressions:[NodeSelectorRequirement] matchFields:[NodeSelectorRequirement]
NodeSelectorRequirement: key*:str operator*:In|NotIn|Exists|DoesNotExist|Gt|Lt values:[str]
PodAffinity: requiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm]
  preferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm]
WeightedPodAffinityTerm: weight*:int32 podAffinityTerm*:PodAffinityTerm
PodAffinityTerm: labelSelector:LabelSelector topologyKey*:str namespaces:[str] namespaceSelector:LabelSelector
  matchLabelKeys:[str] mismatchLabelKeys:[str]
LabelSelector: matchLabels:{str} matchExpressions:[LabelSelectorRequirement]
LabelSelectorRequirement: key*:str operator*:In|NotIn|Exists|DoesNotExist values:[str]

Container: name*:dns_label image*:str command:[str] args:[str] workingDir:str ports:[ContainerPort]
  envFrom:[EnvFromSource] env:[EnvVar] resources:ResourceRequirements={} resizePolicy:[object]
  restartPolicy:Always|OnFailure|Never restartPolicyRules:[object] volumeMounts:[VolumeMount]
  volumeDevices:[object] livenessProbe:Probe readinessProbe:Probe startupProbe:Probe lifecycle:Lifecycle
  terminationMessagePath:str=/dev/termination-log terminationMessagePolicy:File|FallbackToLogsOnError=File
  imagePullPolicy:Always|IfNotPresent|Never securityContext:SecurityContext stdin:bool stdinOnce:bool tty:bool
  targetContainerName:str
ContainerPort: name:str hostPort:int32 containerPort*:int32 protocol:TCP|UDP|SCTP=TCP hostIP:str
ResourceRequirements: limits:{quantity} requests:{quantity} claims:[object]
EnvVar: name*:env_name value:str valueFrom:EnvVarSource
EnvVarSource: fieldRef:ObjectFieldSelector resourceFieldRef:ResourceFieldSelector configMapKeyRef:KeySelector
  secretKeyRef:KeySelector fileKeyRef:object
ObjectFieldSelector: apiVersion:str=v1 fieldPath*:str
ResourceFieldSelector: containerName:str resource*:str divisor:quantity=0
KeySelector: name*:str key*:str optional:bool
EnvFromSource: prefix:str configMapRef:OptionalReference secretRef:OptionalReference
OptionalReference: name*:str optional:bool
VolumeMount: name*:str readOnly:bool recursiveReadOnly:Disabled|IfPossible|Enabled mountPath*:str subPath:str
  mountPropagation:None|HostToContainer|Bidirectional subPathExpr:str
Probe: exec:ExecAction httpGet:HTTPGetAction tcpSocket:TCPSocketAction grpc:object initialDelaySeconds:int32
  timeoutSeconds:int32=1 periodSeconds:int32=10 successThreshold:int32=1 failureThreshold:int32=3
  terminationGracePeriodSeconds:int64
Lifecycle: postStart:LifecycleHandler preStop:LifecycleHandler stopSignal:str
LifecycleHandler: exec:ExecAction httpGet:HTTPGetAction tcpSocket:TCPSocketAction sleep:SleepAction
ExecAction: command:[str]
HTTPGetAction: path:str=/ port*:intstr host:str scheme:HTTP|HTTPS=HTTP httpHeaders:[object]
TCPSocketAction: port*:intstr host:str
SleepAction: seconds:int64

Volume: name*:dns_label hostPath:HostPathVolumeSource emptyDir:EmptyDirVolumeSource secret:SecretVolumeSource
  configMap:ConfigMapVolumeSource persistentVolumeClaim:ClaimVolumeSource projected:ProjectedVolumeSource
  downwardAPI:DownwardAPIVolumeSource csi:CSIVolumeSource nfs:NFSVolumeSource ephemeral:EphemeralVolumeSource
  image:ImageVolumeSource awsElasticBlockStore:object azureDisk:object azureFile:object cephfs:object
  cinder:object fc:object flexVolume:object flocker:object gcePersistentDisk:object gitRepo:object
  glusterfs:object iscsi:object photonPersistentDisk:object portworxVolume:object quobyte:object rbd:object
  scaleIO:object storageos:object vsphereVolume:object
HostPathVolumeSource: path*:str
  type:|DirectoryOrCreate|Directory|FileOrCreate|File|Socket|CharDevice|BlockDevice=
EmptyDirVolumeSource: medium:str sizeLimit:quantity
SecretVolumeSource: secretName*:str items:[KeyToPath] defaultMode:int32=420 optional:bool
ConfigMapVolumeSource: name*:str items:[KeyToPath] defaultMode:int32=420 optional:bool
KeyToPath: key*:str path*:str mode:int32
ClaimVolumeSource: claimName*:str readOnly:bool
ProjectedVolumeSource: sources:[VolumeProjection] defaultMode:int32=420
VolumeProjection: secret:Projection downwardAPI:DownwardAPIProjection configMap:Projection
  serviceAccountToken:ServiceAccountTokenProjection clusterTrustBundle:object podCertificate:object
Projection: name*:str items:[KeyToPath] optional:bool
DownwardAPIProjection: items:[DownwardAPIVolumeFile]
ServiceAccountTokenProjection: audience:str expirationSeconds:int64=3600 path*:str
DownwardAPIVolumeSource: items:[DownwardAPIVolumeFile] defaultMode:int32=420
DownwardAPIVolumeFile: path*:str fieldRef:ObjectFieldSelector resourceFieldRef:ResourceFieldSelector
  mode:int32
CSIVolumeSource: driver*:str readOnly:bool fsType:str volumeAttributes:{str}
  nodePublishSecretRef:LocalObjectReference
NFSVolumeSource: server*:str path*:str readOnly:bool
EphemeralVolumeSource: volumeClaimTemplate*:PersistentVolumeClaimTemplate
PersistentVolumeClaimTemplate: metadata:ObjectMeta spec*:PersistentVolumeClaimSpec
ImageVolumeSource: reference:str pullPolicy:Always|IfNotPresent|Never

PodStatus: observedGeneration:int64 phase:str conditions:[Condition] message:str reason:str
  nominatedNodeName:str hostIP:str hostIPs:[IP] podIP:str podIPs:[IP] startTime:time
  initContainerStatuses:[ContainerStatus] containerStatuses:[ContainerStatus]
  ephemeralContainerStatuses:[ContainerStatus] qosClass:str resize:str resourceClaimStatuses:[object]
  allocatedResources:{quantity} resources:ResourceRequirements extendedResourceClaimStatus:object
  nodeAllocatableResourceClaimStatuses:[object]
IP: ip:str
ContainerStatus: name:str state:ContainerState lastState:ContainerState ready:bool restartCount:int32
  image:str imageID:str containerID:str started:bool allocatedResources:{quantity}
  resources:ResourceRequirements volumeMounts:[object] user:object allocatedResourcesStatus:[object]
  stopSignal:str
ContainerState: waiting:ContainerStateWaiting running:ContainerStateRunning
  terminated:ContainerStateTerminated
ContainerStateWaiting: reason:str message:str
ContainerStateRunning: startedAt:time
ContainerStateTerminated: exitCode:int32 signal:int32 reason:str message:str startedAt:time finishedAt:time
  containerID:str
"""

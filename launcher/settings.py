"""Settings: what a team's launcher.yaml says, and the one place where the environment is read.

Precedence: code, then command line, environment, file, defaults. The file is found at ``$LAUNCHER_CONFIG``,
then ``./launcher.yaml``, then in the user's configuration directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import attrs
import platformdirs

from launcher import codec, fields, yamltext
from launcher.backend import frozen_list, frozen_mapping
from launcher.connection import Connection
from launcher.errors import InvalidSpec, Problem
from launcher.fields import checked
from launcher.job import Job, Resources

FILE_NAME = "launcher.yaml"

# Where outputs and logs go on the nodes of a cluster when nothing is configured: FHS' place for a program's data.
NODE_STORE = "/var/lib/podlauncher/artifacts"

# Fields of a job that a team may set for all its jobs: all but what makes it that job.
_NO_DEFAULT = frozenset({"name", "image", "command", "args", "files", "connections", "folder"})


@attrs.frozen
class Surroundings:
    """What the process finds around it: read here, handed to whoever needs it, never part of a file."""

    kubeconfig: str = ""
    service_host: str = ""
    service_port: str = ""
    state: Path = Path()
    data: Path = Path()

    @classmethod
    def read(cls) -> Surroundings:
        """From the environment: the kubeconfig that exists, the cluster around a pod, the user's folders."""
        named = os.environ.get("KUBECONFIG", "")
        usual = Path("~/.kube/config").expanduser()
        return cls(
            kubeconfig=named or (str(usual) if usual.is_file() else ""),
            service_host=os.environ.get("KUBERNETES_SERVICE_HOST", ""),
            service_port=os.environ.get("KUBERNETES_SERVICE_PORT", ""),
            state=platformdirs.user_state_path("podlauncher"),
            data=platformdirs.user_data_path("podlauncher"),
        )


def _each_name_once(connections: tuple[Connection, ...]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, connection in enumerate(connections):
        earlier = first.setdefault(connection.name, index)
        if earlier != index:
            yield Problem(f"[{index}].name", f"{connection.name!r} is the name of connections[{earlier}] too")


def _fit_for_jobs(defaults: Mapping[str, Any]) -> Iterator[Problem]:
    refused = {fields.camel(name) for name in _NO_DEFAULT}
    yield from (Problem(key, "belongs to one job, not to all") for key in defaults if key in refused)
    try:
        _default_job({key: value for key, value in defaults.items() if key not in refused})
    except InvalidSpec as exc:
        yield from exc.problems


@attrs.frozen(kw_only=True)
class Settings:
    """What a team sets once: its connections, its store and its cluster.

    ``cluster`` is auto, local or a context of the kubeconfig. ``preflight`` looks up claims, secrets and rights
    before anything is submitted. ``cleanup`` says which ended pods are removed once all they held is in the
    store: succeeded, always or never. ``defaults`` are fields of jobs, as in a job's YAML.

    Example::

        settings = Settings.load().evolve(cluster="local")
    """

    artifacts_store: Connection | None = None
    connections: tuple[Connection, ...] = attrs.field(
        default=(), converter=frozen_list, metadata=checked(_each_name_once)
    )
    cluster: str = attrs.field(default="auto", metadata=checked(fields.not_empty))
    namespace: str | None = attrs.field(default=None, metadata=checked(fields.namespace))
    agent_image: str | None = attrs.field(default=None, metadata=checked(fields.image))
    preflight: bool = True
    cleanup: str = attrs.field(default="succeeded", metadata=checked(fields.one_of("succeeded", "always", "never")))
    defaults: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping, metadata=checked(_fit_for_jobs))
    local_objects: str | None = None
    """A YAML file of Kubernetes objects (secrets, claims) that a local cluster in the process begins with."""
    local_isolation: str = attrs.field(
        default="auto", metadata=checked(fields.one_of("auto", "bubblewrap", "rewriting", "podman"))
    )
    """How a local cluster runs containers: as processes of this machine, or (podman) from their real images."""
    source: str = attrs.field(default="the defaults", eq=False)
    """Where these settings come from, for messages."""
    surroundings: Surroundings = attrs.field(factory=Surroundings.read, eq=False, repr=False)

    @classmethod
    def load(cls, path: str | Path | None = None) -> Self:
        """The settings of ``path``, or of the file that is found; the environment's words over the file's.

        Raises ``InvalidSpec`` with everything that is wrong.
        """
        file = Path(path) if path is not None else _found_file()
        raw = yamltext.read(file) if file is not None else {}
        return cls._of({} if raw is None else raw, str(file) if file else "the defaults", file)

    @classmethod
    def _of(cls, raw: Any, source: str, file: Path | None) -> Self:
        if isinstance(raw, Mapping):
            raw = {**raw, **_environment()}
        settings = codec.structure(raw, cls, source=source)
        placed = [attrs.evolve(c, place=f"connections[{i}]") for i, c in enumerate(settings.connections)]
        store = settings.artifacts_store
        objects = settings.local_objects
        if objects and file is not None:
            objects = str(file.resolve().parent / objects)
        settings = attrs.evolve(
            settings,
            connections=placed,
            artifacts_store=attrs.evolve(store, place="artifactsStore") if store else None,
            local_objects=objects,
            source=source,
        )
        problems = settings.problems()
        if problems:
            raise InvalidSpec(problems, source)
        return settings

    def problems(self) -> list[Problem]:
        """What is wrong between fields; each field alone is checked when it is read."""
        store = self.artifacts_store
        listed = next((c for c in self.connections if store and c.name == store.name), store)
        if store is None or listed is None or listed == store:
            return []
        text = f"{store.name!r} is the artifacts store too, with another definition"
        return [Problem(f"{listed.place}", text, "make them the same, or rename one")]

    def evolve(self, **changes: Any) -> Self:
        """The same settings with some fields changed."""
        return attrs.evolve(self, **changes)

    def to_yaml(self) -> str:
        """The settings as YAML, such that ``Settings.load`` gives equal ones."""
        return codec.to_yaml(self)

    def objects(self) -> list[Any]:
        """The Kubernetes objects of ``local_objects``. Raises ``InvalidSpec`` when the file isn't such."""
        if not self.local_objects:
            return []
        found = yamltext.read_all(Path(self.local_objects))
        wrong = [i for i, item in enumerate(found) if not isinstance(item, dict) or not item.get("kind")]
        if wrong:
            problems = [Problem(f"document {i + 1}", "isn't a Kubernetes object", "it needs a kind") for i in wrong]
            raise InvalidSpec(problems, self.local_objects)
        return found

    def connection(self, name: str) -> Connection | None:
        """The connection of that name; the store counts as one."""
        store = [self.artifacts_store] if self.artifacts_store else []
        return next((c for c in (*self.connections, *store) if c.name == name), None)

    def names(self) -> list[str]:
        """The names of all connections, each once."""
        store = [self.artifacts_store.name] if self.artifacts_store else []
        return list(dict.fromkeys([c.name for c in self.connections] + store))

    def with_defaults(self, job: Job) -> Job:
        """The job with this team's defaults where it says nothing; mappings are joined, the job's words win."""
        changes: dict[str, Any] = {}
        if not self.defaults:
            return job
        defaults = _default_job(self.defaults)
        for field in codec.written_fields(Job):
            if field.name in _NO_DEFAULT or fields.camel(field.name) not in self.defaults:
                continue
            ours, theirs = getattr(defaults, field.name), getattr(job, field.name)
            if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
                changes[field.name] = {**ours, **theirs}
            elif isinstance(theirs, Resources):
                said = attrs.asdict(theirs, filter=lambda _, value: value is not None)
                changes[field.name] = attrs.evolve(ours, **said)
            elif theirs == codec.default_of(field):
                changes[field.name] = ours
        return job.evolve(**changes)


def _default_job(defaults: Mapping[str, Any]) -> Job:
    return codec.structure({"name": "defaults", "image": "defaults", **defaults}, Job)


def _found_file() -> Path | None:
    named = os.environ.get("LAUNCHER_CONFIG")
    if named:
        return Path(named)
    candidates = (Path(FILE_NAME), platformdirs.user_config_path("podlauncher") / FILE_NAME)
    return next((file for file in candidates if file.is_file()), None)


def _environment() -> dict[str, str]:
    return {key: os.environ[name] for name, key in _VARIABLES.items() if os.environ.get(name)}


_VARIABLES = {
    "LAUNCHER_CLUSTER": "cluster",
    "LAUNCHER_NAMESPACE": "namespace",
    "LAUNCHER_AGENT_IMAGE": "agentImage",
}


@attrs.frozen
class AgentEnvironment:
    """What ``fetch`` and ``save`` find in their container: the plan that the launcher wrote, and the API server."""

    plan: str
    service_host: str
    service_port: str

    @classmethod
    def read(cls) -> AgentEnvironment:
        """From the environment of the agent's own container."""
        return cls(
            plan=os.environ.get(AGENT_VARIABLE, ""),
            service_host=os.environ.get("KUBERNETES_SERVICE_HOST", ""),
            service_port=os.environ.get("KUBERNETES_SERVICE_PORT", ""),
        )


# The variable that carries an agent's plan, as JSON.
AGENT_VARIABLE = "LAUNCHER_AGENT"

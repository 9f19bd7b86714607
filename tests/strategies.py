"""What people may write, for hypothesis: jobs, uses, connections and settings that are valid, and data that isn't."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st

from launcher import ConfigMapKey, ConfigMapRef, Connection, Job, Resources, SecretKey, SecretRef, Settings, Use, codec
from launcher.backend import Mode

# What Kubernetes takes for a DNS label, and for a label's value or the part of its key after the prefix.
DNS = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")

# Texts that some YAML reader takes for something else, or loses a part of.
ODD_TEXTS = [
    "yes",
    "no",
    "on",
    "off",
    "true",
    "null",
    "~",
    "1",
    "08",
    "09",
    "0o7",
    "0x1F",
    "1_000",
    "1e3",
    "123e4",
    "1.10",
    "-.5",
    "+.5",
    ".5",
    "1.",
    "+",
    "-",
    ".",
    ".inf",
    ".nan",
    "1:30",
    "2020-01-01",
    "=",
    "<<",
    "!",
    "&",
    "*",
    "#",
    "@",
    "`",
    "%",
    "?",
    ":",
    "-",
    ",",
    "[",
    "]",
    "{",
    "}",
    "|",
    ">",
    "'",
    '"',
    "$",
    "$$",
    "$(A)",
    "$$(A)",
    "%TAG",
    "---",
    "...",
]
ODD_TEXTS += ["", " ", " a", "a ", "a\nb", "a\n", "\n", "\n a", "a\r\nb", "a\tb", "a: b", "a #b", "\ufeffa"]
ODD_TEXTS += [
    "\x07",
    "\x1b[0m",
    "\x7f",
    "\x80",
    "\x85",
    "\xa0",
    "\u2028",
    "\u2029",
    "\ufffe",
    "\U0001f600",
    "ß",
    "日本",
]

texts = st.sampled_from(ODD_TEXTS) | st.text(max_size=30).filter(lambda t: "\0" not in t)
texts = texts.filter(lambda t: not any("\ud800" <= ch <= "\udfff" for ch in t))
printable = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40)
raw_names = st.sampled_from([t for t in ODD_TEXTS if t.strip() and t.isprintable()]) | printable
object_names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?", fullmatch=True)
env_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True).filter(
    lambda name: not name.startswith("LAUNCHER_")
)
label_keys = st.from_regex(r"([a-z][a-z0-9.]{0,8}[a-z]/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?", fullmatch=True)
label_values = st.from_regex(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?)?", fullmatch=True)
segments = st.from_regex(r"[A-Za-z0-9_][-A-Za-z0-9_. ]{0,8}", fullmatch=True)
absolute_paths = st.lists(segments, min_size=1, max_size=3).map(lambda parts: "/data/" + "/".join(parts))
inner_paths = st.lists(segments, min_size=1, max_size=3).map("/".join)

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(texts, plain, max_size=3)

memories = st.integers(1, 4096).map(lambda n: f"{n}Gi") | st.integers(2**23, 2**40) | st.just("1.5Gi")
resources = st.builds(
    Resources,
    cpu=st.none() | st.sampled_from(["500m", "2", 1, 0.5, 16, "1e1"]),
    memory=st.none() | memories,
    gpu=st.none() | st.integers(0, 8),
    ephemeral_storage=st.none() | memories,
)
uses = st.builds(
    Use,
    raw_names,
    mount_path=st.none() | absolute_paths,
    sub_path=st.none() | inner_paths,
    read_only=st.none() | st.booleans(),
    mode=st.none() | st.sampled_from(Mode),
    include=st.lists(texts, max_size=2),
    exclude=st.lists(texts, max_size=2),
)
env_values = texts | st.builds(SecretKey, object_names, printable) | st.builds(ConfigMapKey, object_names, printable)
containers = st.lists(
    st.fixed_dictionaries(
        {"name": st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True), "image": printable},
        optional={"env": st.lists(st.fixed_dictionaries({"name": env_names, "value": texts}), max_size=2)},
    ).filter(lambda c: c["name"] not in ("main", "fetch", "save")),
    max_size=2,
    unique_by=lambda c: str(c["name"]),
)
jobs = st.builds(
    Job,
    name=raw_names,
    image=printable,
    command=st.lists(texts, max_size=3),
    args=st.lists(texts, max_size=3),
    files=st.lists(texts, max_size=2),
    env=st.dictionaries(env_names, env_values, max_size=3),
    connections=st.lists(raw_names | uses, max_size=3),
    resources=resources,
    working_dir=st.none() | absolute_paths,
    timeout=st.none() | st.sampled_from(["90s", "2h", "1h30m", 1, 0.25, "1.5s"]) | st.floats(0.001, 1e9),
    outputs=st.none() | absolute_paths,
    labels=st.dictionaries(label_keys, label_values, max_size=2),
    annotations=st.dictionaries(label_keys, texts, max_size=2),
    node_selector=st.dictionaries(label_keys, texts, max_size=2),
    tolerations=st.lists(mappings, max_size=2),
    affinity=st.none() | mappings,
    service_account=st.none() | object_names,
    image_pull_policy=st.none() | st.sampled_from(["Always", "IfNotPresent", "Never"]),
    image_pull_secrets=st.lists(object_names, max_size=2),
    priority_class=st.none() | object_names,
    security_context=st.none() | mappings,
    shared_memory=st.none() | memories,
    init_containers=containers,
    patch=st.none() | mappings,
)
connections = st.builds(
    Connection,
    name=raw_names,
    kind=printable,
    schema=mappings,
    description=texts,
    version=texts,
    tags=st.lists(texts, max_size=3),
    secret=st.none()
    | st.builds(SecretRef, object_names, items=st.lists(printable, max_size=2), mount_path=st.none() | absolute_paths),
    config_map=st.none() | st.builds(ConfigMapRef, object_names, absolute_paths, items=st.lists(printable, max_size=2)),
    env=st.dictionaries(env_names, texts, max_size=2),
    annotations=st.dictionaries(label_keys, texts, max_size=2),
    modes=st.lists(st.sampled_from(Mode), max_size=2, unique=True),
)
settings = st.builds(
    Settings,
    artifacts_store=st.none() | connections.map(lambda c: c.__class__(name="the store", kind=c.kind, schema=c.schema)),
    connections=st.lists(connections, max_size=3, unique_by=lambda c: c.name),
    cluster=printable,
    namespace=st.none() | st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True),
    agent_image=st.none() | printable,
    preflight=st.booleans(),
    cleanup=st.sampled_from(["succeeded", "always", "never"]),
    defaults=st.fixed_dictionaries({}, optional={"timeout": st.sampled_from(["2h", 5]), "labels": st.just({"a": "b"})}),
)


def _wild(keys: list[str]) -> st.SearchStrategy[Any]:
    """Anything that JSON or YAML can hold, with known field names as keys more often than chance would have it."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from([10**400, -(10**400), 10**4000])
        | st.floats()
        | st.text(max_size=8)
        | st.sampled_from(ODD_TEXTS)
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(keys) | st.text(max_size=4), inner, max_size=5)
            | st.dictionaries(st.integers() | st.booleans() | st.none() | st.text(max_size=2), inner, max_size=2)
        ),
        max_leaves=12,
    )


def wild_mapping(keys: list[str]) -> st.SearchStrategy[Any]:
    """A mapping of known field names to anything at all."""
    return st.dictionaries(st.sampled_from(keys), _wild(keys), min_size=1, max_size=6)


def wild(keys: list[str]) -> st.SearchStrategy[Any]:
    """Anything at all."""
    return _wild(keys)


def codec_form(value: Any) -> Any:
    """A value as plain data, to compare with what it was before."""
    return codec.unstructure(value)


def with_text(value: Any, old: str, new: str) -> Any:
    """Plain data with one text replaced by another, wherever it stands."""
    return json.loads(json.dumps(value).replace(old, new))

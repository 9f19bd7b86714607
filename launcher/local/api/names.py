"""What names, keys and values of Kubernetes objects may look like, and what to say when they don't. Pure.

Each check takes a string and returns what is wrong with it: a list of sentences, empty when all is well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Check = Callable[[str], list[str]]

# Bytes: the limits of DNS (RFC 1123), which Kubernetes takes for names and labels.
LABEL_MAX = 63
SUBDOMAIN_MAX = 253

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and"
    " end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    f" '{_LABEL}')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    f" '{_SUBDOMAIN}')"
)
_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    f" '{_QUALIFIED}')"
)
_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used"
    f" for validation is '{_LABEL_VALUE}')"
)
_CONFIG_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or"
    f" 'KEY_NAME',  or 'key-name', regex used for validation is '{_CONFIG_KEY}')"
)
_ENV_TEXT = "a valid environment variable name must consist only of printable ASCII characters other than '='"

_MATCH_LABEL = re.compile(_LABEL)
_MATCH_SUBDOMAIN = re.compile(_SUBDOMAIN)
_MATCH_QUALIFIED = re.compile(_QUALIFIED)
_MATCH_LABEL_VALUE = re.compile(_LABEL_VALUE)
_MATCH_CONFIG_KEY = re.compile(_CONFIG_KEY)
_MATCH_ENV = re.compile(r"[ -<>-~]+")


def dns_label(value: str) -> list[str]:
    """Names of containers, volumes and namespaces."""
    if len(value) <= LABEL_MAX and "." in value and _MATCH_SUBDOMAIN.fullmatch(value):
        return ["must not contain dots"]
    return _check(value, LABEL_MAX, _MATCH_LABEL, _LABEL_TEXT)


def dns_subdomain(value: str) -> list[str]:
    """Names of nearly all objects."""
    return _check(value, SUBDOMAIN_MAX, _MATCH_SUBDOMAIN, _SUBDOMAIN_TEXT)


def label_value(value: str) -> list[str]:
    return _check(value, LABEL_MAX, _MATCH_LABEL_VALUE, _LABEL_VALUE_TEXT)


def env_name(value: str) -> list[str]:
    return _check(value, None, _MATCH_ENV, _ENV_TEXT)


def path_segment(value: str) -> list[str]:
    """Names that only have to fit into a URL: roles and their bindings."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in value]


def config_key(value: str) -> list[str]:
    """Keys of config maps and secrets: they become file names."""
    if value in (".", "..") or value.startswith(".."):
        return [f"must not be '{value}'" if value in (".", "..") else "must not start with '..'"]
    return _check(value, SUBDOMAIN_MAX, _MATCH_CONFIG_KEY, _CONFIG_KEY_TEXT)


def qualified_name(value: str) -> list[str]:
    """Keys of labels and annotations, finalizers: an optional DNS prefix and a name."""
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        return [f"a valid label key {_QUALIFIED_TEXT[:-1]} with an optional DNS subdomain prefix and '/')"]
    problems: list[str] = []
    if slash:
        problems += (
            [f"prefix part {text}" for text in dns_subdomain(prefix)] if prefix else ["prefix part must be non-empty"]
        )
    if not name:
        return [*problems, "name part must be non-empty"]
    return problems + [f"name part {text}" for text in _check(name, LABEL_MAX, _MATCH_QUALIFIED, _QUALIFIED_TEXT)]


def _check(value: str, limit: int | None, pattern: re.Pattern[str], text: str) -> list[str]:
    # The length comes first: no pattern is ever tried on a hostile length.
    if limit is not None and len(value) > limit:
        return [f"must be no more than {limit} bytes"]
    return [] if pattern.fullmatch(value) else [text]


# By the word that the tables of shapes and resources use for them.
CHECKS: Mapping[str, Check] = {
    "dns_label": dns_label,
    "dns_subdomain": dns_subdomain,
    "path_segment": path_segment,
    "env_name": env_name,
    "qualified_name": qualified_name,
}

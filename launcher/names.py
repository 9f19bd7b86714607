"""Names that Kubernetes accepts, made from whatever people type. Pure.

A name that is valid already stays as it is; any other becomes a slug with a hash of the raw name. A valid
name that only looks like such a slug is hashed too, so two different names never give the same one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from functools import lru_cache

# The prefix of every label and annotation of ours.
PREFIX = "podlauncher.dev"
CONNECTION_PREFIX = f"connection.{PREFIX}"

# Characters that Kubernetes allows in a DNS label, and in a label's key or value.
LABEL_LIMIT = 63

# Hex digits of the hash: 40 bits, so that a million odd names of one team collide with a chance below 1 in 2.
HASH_DIGITS = 10

# Both functions remember what they gave: a name is derived six times in building one manifest, a sixth of its time.

_DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_HASHED = re.compile(rf".*-[0-9a-f]{{{HASH_DIGITS}}}")

_RUN_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
# Characters of a run id's random end: 32**8, so that fifty thousand runs of one job collide once in 900 tries
# of that size; a collision is a 409 with another hash and is answered with a new id.
_RUN_RANDOM = 8


@lru_cache(maxsize=4096)
def dns_label(text: str, limit: int = LABEL_LIMIT) -> str:
    """A DNS label (lower case, digits, hyphens; at most ``limit`` characters) for a volume, pod or container."""
    return text if _stays(_DNS, text, limit) else _hashed(text.lower(), text, "[^a-z0-9]+", limit)


@lru_cache(maxsize=4096)
def label(text: str, limit: int = LABEL_LIMIT) -> str:
    """A label's value, or the part of its key after the prefix."""
    return text if _stays(_LABEL, text, limit) else _hashed(text, text, "[^A-Za-z0-9]+", limit)


def new_run_id(job_name: str) -> str:
    """A fresh run id that begins with the job's name: ``count-k3v9x2ab``."""
    random = "".join(secrets.choice(_RUN_ALPHABET) for _ in range(_RUN_RANDOM))
    stem = re.sub("[^a-z0-9]+", "-", job_name.lower()).strip("-")[: LABEL_LIMIT - _RUN_RANDOM - 1].strip("-")
    return f"{stem or 'run'}-{random}"


def is_run_id(text: str) -> bool:
    """Whether a caller's own run id can name a pod."""
    return len(text) <= LABEL_LIMIT and _DNS.fullmatch(text) is not None


def _stays(pattern: re.Pattern[str], text: str, limit: int) -> bool:
    return len(text) <= limit and pattern.fullmatch(text) is not None and not _HASHED.fullmatch(text)


def _hashed(readable: str, raw: str, odd: str, limit: int) -> str:
    digest = hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]
    stem = re.sub(odd, "-", readable).strip("-")[: limit - HASH_DIGITS - 1].strip("-")
    return f"{stem or 'x'}-{digest}"

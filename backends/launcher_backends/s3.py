"""Buckets of Amazon S3, and of every server that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from launcher.backend import Access, Credential, Facts, Mode, Mount, MountUse, Need, Remote
from launcher.errors import Problem
from launcher_backends.buckets import (
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    BucketSchema,
    address,
    bucket_problems,
    causes,
    claim_needs,
)
from launcher_backends.volume_claim import claim_mount

_KEY, _SECRET, _TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"

# Codes that S3 and its relatives answer, by what they mean.
_CODES = {
    "AccessDenied": Access.DENIED,
    "AllAccessDisabled": Access.DENIED,
    "403": Access.DENIED,
    "NoSuchBucket": Access.MISSING,
    "NoSuchKey": Access.MISSING,
    "404": Access.MISSING,
    "SignatureDoesNotMatch": Access.UNAUTHENTICATED,
    "InvalidAccessKeyId": Access.UNAUTHENTICATED,
    "ExpiredToken": Access.UNAUTHENTICATED,
    "InvalidToken": Access.UNAUTHENTICATED,
    "RequestTimeTooSkewed": Access.UNAUTHENTICATED,
}

_EXCEPTIONS = {
    "NoCredentialsError": Access.UNAUTHENTICATED,
    "PartialCredentialsError": Access.UNAUTHENTICATED,
    "EndpointConnectionError": Access.UNREACHABLE,
    "ConnectTimeoutError": Access.UNREACHABLE,
    "ConnectionClosedError": Access.UNREACHABLE,
    "ProxyConnectionError": Access.UNREACHABLE,
    "SSLError": Access.UNREACHABLE,
    "ReadTimeoutError": Access.TIMED_OUT,
}

# Servers that aren't Amazon's own don't all know the checksums that its library adds of late.
_RELATIVES = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}


class S3:
    """The kind ``s3``."""

    api = 1
    schema = BucketSchema
    modes = (Mode.COPY, Mode.MOUNT, Mode.STREAM)
    credentials = (Credential(_KEY, required=True), Credential(_SECRET, required=True), Credential(_TOKEN))

    def problems(self, schema: BucketSchema) -> Iterable[Problem]:
        yield from bucket_problems(schema, "s3")

    def needs(self, schema: BucketSchema) -> Iterable[Need]:
        return claim_needs(schema)

    def mount(self, use: MountUse, facts: Facts) -> Mount:
        claim = use.schema.volume_claim
        if claim is None:
            # The CSI driver for S3 serves no inline volumes: a PV and a claim must be there before.
            raise ValueError("mounting an S3 bucket needs `volumeClaim`: a claim that its CSI driver serves")
        return claim_mount(claim, use, facts.claim(claim))

    def remote(self, schema: BucketSchema, secrets: Mapping[str, str]) -> Remote:
        where = address(schema.bucket)
        options: dict[str, Any] = {
            "key": secrets.get(_KEY),
            "secret": secrets.get(_SECRET),
            "token": secrets.get(_TOKEN),
            "endpoint_url": schema.endpoint_url,
            "client_kwargs": {"region_name": schema.region} if schema.region else {},
            "config_kwargs": {
                "connect_timeout": CONNECT_TIMEOUT,
                "read_timeout": READ_TIMEOUT,
                # s3fs tries again by itself, so an address where nobody is shows after 3 s and not after 14.
                "retries": {"total_max_attempts": 3},
                **(_RELATIVES if schema.endpoint_url else {}),
            },
        }
        environment = {key: key for key in (_KEY, _SECRET, _TOKEN)}
        return Remote("s3", where.root, options, close=_close, environment=environment)

    def classify(self, error: BaseException) -> Access | None:
        for exc in causes(error):
            response = getattr(exc, "response", None)
            code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
            found = _CODES.get(str(code)) or _EXCEPTIONS.get(type(exc).__name__)
            if found:
                return found
        return None


async def _close(fs: Any) -> None:
    if fs._s3 is not None:
        await fs._s3.close()

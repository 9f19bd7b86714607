"""Buckets of Google Cloud Storage."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from launcher.backend import Access, Credential, Facts, Mode, Mount, MountUse, Need, Remote
from launcher.errors import Problem
from launcher_backends.buckets import READ_TIMEOUT, BucketSchema, address, bucket_problems, causes, claim_needs
from launcher_backends.volume_claim import claim_mount

# The key of the secret that holds a service account's JSON key file.
KEY_FILE = "key.json"

_EXCEPTIONS = {
    "ClientConnectorError": Access.UNREACHABLE,
    "ClientConnectorDNSError": Access.UNREACHABLE,
    "ServerTimeoutError": Access.TIMED_OUT,
    "RefreshError": Access.UNAUTHENTICATED,
    "DefaultCredentialsError": Access.UNAUTHENTICATED,
}


class GCS:
    """The kind ``gcs``."""

    api = 1
    schema = BucketSchema
    modes = (Mode.COPY, Mode.MOUNT, Mode.STREAM)
    credentials = (Credential(KEY_FILE, required=True),)

    def problems(self, schema: BucketSchema) -> Iterable[Problem]:
        yield from bucket_problems(schema, "gs")

    def needs(self, schema: BucketSchema) -> Iterable[Need]:
        return claim_needs(schema)

    def mount(self, use: MountUse, facts: Facts) -> Mount:
        if use.schema.volume_claim:
            return claim_mount(use.schema.volume_claim, use, facts.claim(use.schema.volume_claim))
        where = address(use.schema.bucket)
        options = ["implicit-dirs", *([f"only-dir={where.prefix}"] if where.prefix else [])]
        return Mount(
            {
                "csi": {
                    "driver": "gcsfuse.csi.storage.gke.io",
                    "readOnly": use.read_only,
                    "volumeAttributes": {"bucketName": where.bucket, "mountOptions": ",".join(options)},
                }
            },
            annotations={"gke-gcsfuse/volumes": "true"},
        )

    def remote(self, schema: BucketSchema, secrets: Mapping[str, str]) -> Remote:
        options: dict[str, Any] = {
            "endpoint_url": schema.endpoint_url,
            "requests_timeout": READ_TIMEOUT,
            "session_kwargs": {"middlewares": (_FirstAnswer(),)},
        }
        if KEY_FILE in secrets:
            # As a dict: gcsfs takes a path that doesn't exist for a raw token and sends it out.
            options["token"] = json.loads(secrets[KEY_FILE])
        elif schema.endpoint_url:
            options["token"] = "anon"  # noqa: S105 - gcsfs' word for no credentials
        environment = {"GOOGLE_APPLICATION_CREDENTIALS_JSON": KEY_FILE}
        return Remote("gs", address(schema.bucket).root, options, close=_close, environment=environment)

    def classify(self, error: BaseException) -> Access | None:
        for exc in causes(error):
            found = _meaning(exc)
            if found:
                return found
        return None


def _meaning(error: BaseException) -> Access | None:
    if isinstance(error, _NotAtFirst):
        return error.access
    code, text = str(getattr(error, "code", "")), str(error)
    if code == "401" or "Invalid Credentials" in text:
        return Access.UNAUTHENTICATED
    # gcsfs says so with a plain OSError.
    if code == "403" or (isinstance(error, OSError) and text.startswith("Forbidden")):
        return Access.DENIED
    return _EXCEPTIONS.get(type(error).__name__)


class _NotAtFirst(Exception):
    """The first answer was a refusal, or didn't come. Not an error that gcsfs would try again."""

    def __init__(self, access: Access, text: str) -> None:
        self.access = access
        super().__init__(text)


class _FirstAnswer:
    """An aiohttp middleware: until a request has worked, a wrong address or wrong credentials tell at once.

    gcsfs tries both again for half a minute and more, since later on they may pass.
    """

    def __init__(self) -> None:
        self._known = False

    async def __call__(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            response = await handler(request)
        except Exception as exc:
            access = _EXCEPTIONS.get(type(exc).__name__)
            if access is None or self._known:
                raise
            raise _NotAtFirst(access, str(exc)) from exc
        if response.status == 401 and not self._known:
            response.close()
            raise _NotAtFirst(Access.UNAUTHENTICATED, "Google answers 401: it doesn't know these credentials")
        self._known = self._known or response.status < 400
        return response


async def _close(fs: Any) -> None:
    if fs._session is not None:
        await fs._session.close()

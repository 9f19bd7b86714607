"""Containers of Azure Blob Storage, by their wasb:// and wasbs:// URLs."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from launcher.backend import Access, Credential, Facts, Mode, Mount, MountUse, Need, Remote
from launcher.errors import Problem
from launcher_backends.buckets import BucketSchema, causes, claim_needs, common_problems, hidden, prefix_problems
from launcher_backends.volume_claim import claim_mount

_KEY, _SAS, _CONNECTION = (
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CONNECTION_STRING",
)
# The names that Azure's CSI driver wants in its secret; one secret may serve both ways.
_CSI_KEY = "azurestorageaccountkey"

_CONTAINER = re.compile(r"[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]|\$web|\$root")
_HOST = re.compile(r"[a-z0-9]{3,24}\.blob(\.[a-z0-9-]+)+")
_EXAMPLE = "for example wasbs://container@account.blob.core.windows.net/prefix"

_CODES = {
    "AuthorizationPermissionMismatch": Access.DENIED,
    "AuthorizationFailure": Access.UNAUTHENTICATED,
    "AUTHORIZATION_FAILURE": Access.UNAUTHENTICATED,
    "AuthenticationFailed": Access.UNAUTHENTICATED,
    "ContainerNotFound": Access.MISSING,
    "BlobNotFound": Access.MISSING,
}

_EXCEPTIONS = {
    "ResourceNotFoundError": Access.MISSING,
    "ClientAuthenticationError": Access.UNAUTHENTICATED,
    "CredentialUnavailableError": Access.UNAUTHENTICATED,
    "ServiceRequestError": Access.UNREACHABLE,
    "ServiceResponseError": Access.UNREACHABLE,
    "ServiceRequestTimeoutError": Access.TIMED_OUT,
    "ServiceResponseTimeoutError": Access.TIMED_OUT,
}


@attrs.frozen
class BlobAddress:
    """Where ``wasbs://container@account.host/prefix`` points."""

    container: str
    account: str
    host: str
    prefix: str

    @property
    def root(self) -> str:
        """``container/prefix``, as fsspec spells it."""
        return f"{self.container}/{self.prefix}".rstrip("/")


def blob_address(url: str) -> BlobAddress | None:
    """The parts of a wasb URL; None when it isn't one."""
    scheme, _, rest = url.partition("://")
    place, _, prefix = rest.partition("/")
    container, at, host = place.partition("@")
    account = host.partition(".")[0]
    if scheme not in ("wasb", "wasbs") or not at or not _CONTAINER.fullmatch(container):
        return None
    if not _HOST.fullmatch(host):
        return None
    return BlobAddress(container, account, host, prefix.strip("/"))


class WASB:
    """The kind ``wasb``."""

    api = 1
    schema = BucketSchema
    modes = (Mode.COPY, Mode.MOUNT, Mode.STREAM)
    credentials = (Credential(_KEY), Credential(_SAS), Credential(_CONNECTION), Credential(_CSI_KEY))

    def problems(self, schema: BucketSchema) -> Iterator[Problem]:
        where = blob_address(schema.bucket)
        if "?" in schema.bucket:
            yield hidden("bucket")
        elif where is None:
            yield Problem("bucket", "isn't a wasb:// or wasbs:// URL of a container", _EXAMPLE)
        else:
            yield from prefix_problems(where.prefix)
        yield from common_problems(schema)

    def needs(self, schema: BucketSchema) -> Iterable[Need]:
        return claim_needs(schema)

    def mount(self, use: MountUse, facts: Facts) -> Mount:
        if use.schema.volume_claim:
            return claim_mount(use.schema.volume_claim, use, facts.claim(use.schema.volume_claim))
        where = _address(use.schema)
        if not use.secret:
            raise ValueError("mounting an Azure container needs `secret`: its CSI driver reads the account's key there")
        options = ["-o allow_other", *([f"--subdirectory={where.prefix}"] if where.prefix else [])]
        attributes = {
            "containerName": where.container,
            "secretName": use.secret,
            "mountOptions": ",".join(options),
        }
        return Mount(
            {
                "csi": {
                    "driver": "blob.csi.azure.com",
                    "readOnly": use.read_only,
                    "volumeAttributes": attributes,
                }
            }
        )

    def remote(self, schema: BucketSchema, secrets: Mapping[str, str]) -> Remote:
        where = _address(schema)
        # Always a connection string where there are credentials: it alone takes any address, plain HTTP and other
        # clouds among them, and adlfs would fill what is left unset from the environment.
        given = secrets.get(_CONNECTION) or _connection_string(where, schema.endpoint_url, secrets)
        options = {"connection_string": given} if given else {"account_host": where.host}
        environment = {key: key for key in (_KEY, _SAS, _CONNECTION)}
        return Remote(
            "abfs", where.root, {"account_name": where.account, **options}, close=_close, environment=environment
        )

    def classify(self, error: BaseException) -> Access | None:
        for exc in causes(error):
            code = getattr(exc, "error_code", None)
            found = _CODES.get(str(getattr(code, "value", code))) or _EXCEPTIONS.get(type(exc).__name__)
            if found:
                return found
            if getattr(exc, "status_code", None) == 403:
                return Access.DENIED
        return None


def _address(schema: BucketSchema) -> BlobAddress:
    where = blob_address(schema.bucket)
    if where is None:
        raise ValueError(f"not a wasb URL; {_EXAMPLE}")
    return where


def _connection_string(where: BlobAddress, endpoint: str | None, secrets: Mapping[str, str]) -> str:
    key, sas = secrets.get(_KEY) or secrets.get(_CSI_KEY), secrets.get(_SAS)
    if not key and not sas:
        return ""
    credential = f"AccountKey={key}" if key else f"SharedAccessSignature={sas.removeprefix('?') if sas else ''}"
    address = endpoint or f"https://{where.host}"
    scheme = urlsplit(address).scheme
    return f"DefaultEndpointsProtocol={scheme};AccountName={where.account};{credential};BlobEndpoint={address};"


async def _close(fs: Any) -> None:
    try:
        await fs.service_client.close()
    finally:
        # adlfs leaves a finalizer that keeps every filesystem alive for ever, to close it once more when Python
        # ends: on a loop that is gone by then, with a traceback for each. There is no public way to its handle.
        for finalizer in list(getattr(weakref.finalize, "_registry", ())):
            alive = finalizer.peek()
            if alive is not None and alive[0] is fs:
                finalizer.detach()

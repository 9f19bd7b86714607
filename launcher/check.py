"""What storage's refusals mean: an exception of any library to our ``AccessError``, and the checks that ask.

A plugin's ``classify`` is asked first, then the rules below. Nothing is decided by ``exists()``: it answers False
for what is missing and for what is forbidden alike, and one library says True with a wrong key.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING

import attrs

from launcher.backend import Access, Remote
from launcher.catalog import Resolved
from launcher.errors import (
    AccessDenied,
    AccessError,
    LauncherError,
    Missing,
    TimedOut,
    Unauthenticated,
    Unreachable,
)
from launcher.kube.errors import clean
from launcher.redact import Redactor

if TYPE_CHECKING:
    from launcher.transfer.bucket import Bucket

# Characters of a library's text that a message keeps: its first sentence or two.
LIBRARY_TEXT = 300

# Seconds until the first answer: enough for a slow name server and a token, and less than anybody's patience.
FIRST_ANSWER = 30.0

# Links of a chain of exceptions that are looked at: libraries wrap a few times, and a chain may be a circle.
_CHAIN = 20

_KINDS: dict[Access, tuple[type[AccessError], str]] = {
    Access.DENIED: (AccessDenied, "the credentials are good, but may not do this: ask for the right to"),
    Access.MISSING: (Missing, "is the name right, and is it really there?"),
    Access.UNAUTHENTICATED: (Unauthenticated, "are the credentials in its secret right, and still valid?"),
    Access.UNREACHABLE: (Unreachable, "is the address right, and the network up?"),
    Access.TIMED_OUT: (TimedOut, "is the address right, and is the service well?"),
}
_BY_ERROR: dict[type, Access] = {cls: access for access, (cls, _) in _KINDS.items()}

# By the name of an exception's class or any of its bases, so that no library is imported to ask.
_BY_NAME = {
    "FileNotFoundError": Access.MISSING,
    "NotADirectoryError": Access.MISSING,
    "PermissionError": Access.DENIED,
    "ServerTimeoutError": Access.TIMED_OUT,
    "ClientConnectorError": Access.UNREACHABLE,
    "ClientConnectionError": Access.UNREACHABLE,
    "ConnectionError": Access.UNREACHABLE,
    "gaierror": Access.UNREACHABLE,
    "TimeoutError": Access.TIMED_OUT,
}
_BY_STATUS = {401: Access.UNAUTHENTICATED, 403: Access.DENIED, 404: Access.MISSING}

# What the disk of this machine says, and no storage.
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came from, outermost first."""
    link: BaseException | None = error
    for _ in range(_CHAIN):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def meaning(error: BaseException, resolved: Resolved) -> Access | None:
    """What an exception of a storage library means; None when nobody knows."""
    if isinstance(error, AccessError):
        return _BY_ERROR.get(type(error))
    if disk_full(error):
        return None
    found = resolved.backend.classify(error)
    if found is not None and found is not Access.TIMED_OUT:
        return found
    for link in chain(error):
        rule = _rule(link)
        # A limit that struck while the library waited to try again hides what made it wait.
        if rule is not None and rule is not Access.TIMED_OUT:
            return rule
        found = found or rule
    return found


def disk_full(error: BaseException) -> bool:
    """Whether it was the local disk that had no room."""
    return any(isinstance(link, OSError) and link.errno in _DISK_FULL for link in chain(error))


def translated(error: BaseException, resolved: Resolved, remote: Remote, doing: str = "") -> AccessError:
    """Our error for what a storage library raised; ``doing`` says what was tried (``listing s3://…``).

    The text names the connection, the reason and the remedy, and never a credential.
    """
    if isinstance(error, AccessError):
        return error
    name = resolved.connection.name
    what = doing or f"using {remote.url}"
    said = _said(error, Redactor.of(remote.options, resolved.schema))
    if disk_full(error):
        return AccessError(f"connection {name!r}: {what}: {DISK_FULL}", name)
    access = meaning(error, resolved)
    if access is None:
        return AccessError(f"connection {name!r}: {what} failed: {said}", name)
    kind, remedy = _KINDS[access]
    return kind(f"connection {name!r}: {what}: {access.value.replace('_', ' ')}: {said} ({remedy})", name)


DISK_FULL = "the disk has no room left (ask for more ephemeralStorage, or copy less with subPath, include and exclude)"


def access_of(error: LauncherError) -> str:
    """The ``Access`` behind one of our errors as a word, empty where it is none."""
    access = _BY_ERROR.get(type(error))
    return access.value if access else ""


def _rule(error: BaseException) -> Access | None:
    for cls in type(error).__mro__:
        if cls.__name__ in _BY_NAME:
            return _BY_NAME[cls.__name__]
    for name in ("status", "status_code", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int) and status in _BY_STATUS:
            return _BY_STATUS[status]
    return None


def _said(error: BaseException, redactor: Redactor) -> str:
    for link in chain(error):
        text = str(link)
        if text.strip():
            return f"{type(link).__name__}: {clean(redactor(text), LIBRARY_TEXT)}"
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__


@attrs.frozen
class Answer:
    """What storage said to one thing that was tried: ``list``, ``read`` or ``write``; no ``error`` is yes."""

    action: str
    error: AccessError | None = None


async def check(bucket: Bucket, *, write: bool = False, timeout: float = FIRST_ANSWER) -> tuple[Answer, ...]:
    """Tries to list, to read the first file found, and with ``write`` to write: each is answered for itself.

    ``timeout`` is in seconds, for each. Writing leaves nothing behind where deleting is allowed.
    """
    try:
        files = await bucket.first_files(timeout)
    except AccessError as exc:
        return (Answer("list", exc),)
    answers = [Answer("list")]
    if files:
        answers.append(await _tried("read", bucket.try_reading(files[0], timeout)))
    if write:
        answers.append(await _tried("write", bucket.try_writing(timeout)))
    return tuple(answers)


async def _tried(action: str, attempt: Awaitable[None]) -> Answer:
    try:
        await attempt
    except AccessError as exc:
        return Answer(action, exc)
    return Answer(action)

"""Every error that podlauncher raises on purpose.

LauncherError
 ├─ InvalidSpec          what a user wrote is wrong: .problems holds all of it
 ├─ PluginError          a storage plugin is missing, broken or doubled
 ├─ AccessError          storage said no
 │   ├─ AccessDenied         the credentials are known and not allowed
 │   ├─ Missing              the bucket, claim, folder or object is not there
 │   ├─ Unauthenticated      the credentials are wrong, expired or absent
 │   ├─ Unreachable          nothing answered at that address
 │   └─ TimedOut             something answered too slowly
 ├─ ClusterError         the Kubernetes API said no: .status is the HTTP status, 0 without one
 │   ├─ Forbidden            the user's rights don't allow it
 │   ├─ NotFound             no such object
 │   ├─ Conflict             it exists already, or is no longer what we took it for
 │   └─ ClusterUnreachable   no answer from the API server
 ├─ RunNotFound          no run of that id in the namespace or in the store
 └─ JobFailed            the job ran and didn't succeed: .result tells all
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from launcher.collect import Result


@attrs.frozen
class Problem:
    """One thing that is wrong with what a user wrote.

    ``path`` names the place as the user spelled it (``connections[2].schema.bucket``), ``text`` says
    what is wrong, ``hint`` what to do about it.
    """

    path: str
    text: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        remedy = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.text}{remedy}"

    def under(self, prefix: str) -> Problem:
        """The same problem, seen from one level further out."""
        if not prefix or not self.path:
            return attrs.evolve(self, path=prefix or self.path)
        joint = "" if self.path.startswith("[") else "."
        return attrs.evolve(self, path=f"{prefix}{joint}{self.path}")


class LauncherError(Exception):
    """The base of every error that this package raises on purpose."""


class InvalidSpec(LauncherError):
    """A job, a connection or the settings are wrong. ``problems`` holds everything, not only the first."""

    def __init__(self, problems: Iterable[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__(self.problems, source)

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''}"
        if self.source:
            head += f" in {self.source}"
        return "\n".join([f"{head}:", *(f"  {problem}" for problem in self.problems)])


class PluginError(LauncherError):
    """A storage plugin is missing, cannot be loaded, or two claim the same kind."""


class AccessError(LauncherError):
    """Storage refused, or could not be asked. ``connection`` names it where one is known."""

    def __init__(self, text: str, connection: str = "") -> None:
        self.connection = connection
        super().__init__(text)


class AccessDenied(AccessError):
    """The credentials are known to the storage and not allowed to do this."""


class Missing(AccessError):
    """The bucket, container, folder or object is not there."""


class Unauthenticated(AccessError):
    """The credentials are wrong, expired or absent."""


class Unreachable(AccessError):
    """Nothing answered at the address of the storage."""


class TimedOut(AccessError):
    """The storage did not answer in time."""


class ClusterError(LauncherError):
    """The Kubernetes API refused a request.

    ``status`` is the HTTP status (0 when there was no answer), ``reason`` the API's own word for it
    (``AlreadyExists``), ``retry_after`` the seconds that the server asked us to wait, or None.
    """

    def __init__(self, text: str, *, status: int = 0, reason: str = "", retry_after: float | None = None) -> None:
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(text)


class Forbidden(ClusterError):
    """The user's rights in the cluster do not allow the request."""


class NotFound(ClusterError):
    """The cluster has no such object."""


class Conflict(ClusterError):
    """The object exists already, or is no longer the one that was meant."""


class ClusterUnreachable(ClusterError):
    """No API server answered."""


class RunNotFound(LauncherError):
    """No run of that id, neither in the namespace nor in the artifacts store."""


class JobFailed(LauncherError):
    """The job ended and did not succeed. ``result`` holds the diagnosis, the log and the outputs."""

    def __init__(self, result: Result) -> None:
        self.result = result
        super().__init__(str(result.diagnosis) if result.diagnosis else f"run {result.run_id} {result.status}")

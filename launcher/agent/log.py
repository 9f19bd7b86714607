"""The log of the job's container, followed through the API into a file, and from there into the store."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

import attrs

from launcher.errors import AccessError, ClusterError, Forbidden
from launcher.kube.logs import LogLine, follow
from launcher.kube.podstate import PodRef
from launcher.kube.session import Session
from launcher.kube.target import Target
from launcher.record import LOG
from launcher.transfer.folder import Place

SAVED = "saved"

# A log that goes to a bucket goes there whole each time. Sent anew only when it has grown by this part, all of it
# is sent less than twenty times over, however long it gets.
GROWTH = 1 / 16


@attrs.define
class Log:
    """One container's log, in ``file``. ``outcome`` is ``saved`` or says what is missing of it."""

    file: Path
    outcome: str = "the container never started"
    _sent: int = -1

    @property
    def bytes(self) -> int:
        """How long it is by now."""
        return self.file.stat().st_size if self.file.is_file() else 0

    async def follow(self, target: Target, pod: PodRef, container: str, ended: asyncio.Event) -> None:
        """Writes every line as it comes, until the container has ended. Never raises for what the cluster says."""

        async def still_running() -> bool:
            return not ended.is_set()

        try:
            with self._opened() as stream:
                async with Session(target) as session:
                    await self._write(stream, follow(session, pod, container, still_running))
            self.outcome = SAVED
        except Forbidden:
            self.outcome = "the pod's service account may not read it (`launcher rbac` prints the Role that it needs)"
        except ClusterError as exc:
            if exc.status != 400:
                self.outcome = f"it can't be read: {exc}"
        except OSError as exc:
            self.outcome = f"it can't be written to {self.file}: {exc.strerror}"

    async def _write(self, stream: BinaryIO, lines: AsyncGenerator[LogLine]) -> None:
        async with aclosing(lines):
            async for line in lines:
                self.outcome = "its end is missing: save had no time left for it"
                stream.write(line.text.encode("utf-8", "replace") + b"\n")

    def _opened(self) -> BinaryIO:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        # Without a buffer: who reads the file sees what the job just said.
        return self.file.open("wb", buffering=0)

    async def send(self, place: Place, run: str) -> None:
        """Copies it to the store, as it is now. Raises ``AccessError``."""
        size = self.bytes
        if size == self._sent or not self.file.is_file():
            return
        still = self.file.with_suffix(".copy")
        try:
            # Of a file that grows while it is sent, some libraries send more than they announced.
            await asyncio.to_thread(shutil.copyfile, self.file, still)
            await place.put(str(still), f"{run}/{LOG}")
        except OSError as exc:
            raise AccessError(f"the log can't be copied for sending: {exc.strerror}") from exc
        finally:
            still.unlink(missing_ok=True)
        self._sent = size

    def has_grown(self) -> bool:
        """Whether sending it again is worth it."""
        return self.bytes > max(0, self._sent) * (1 + GROWTH)

"""Images as a kubelet has them: looked for, pulled as their policy says, refused in the words of its states."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import attrs

from launcher.kube.errors import clean
from launcher.local.node.isolation import Image, ImageFailed
from launcher.local.node.process import Pipes, StartFailed, spawn

# What a reference may be: no option and no transport of podman's has this form.
_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?{_PATH}(?:/{_PATH})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)

# Where images without a registry in their names come from, for containerd and Docker.
_USUAL = "docker.io"

# Bytes that a message quotes of what podman said: the reason stands at its end.
QUOTED = 2000


@attrs.frozen
class Answer:
    """What a short run of a program said."""

    code: int
    output: str
    error: str


async def ran(program: Path, *words: str) -> Answer:
    """Run it to its end; interrupted, it is killed. Raises ``StartFailed`` where it can't be started."""
    # Files without a name, not pipes: whatever it says, it never waits for us to read.
    out, error = os.memfd_create("output"), os.memfd_create("error")
    try:
        try:
            child = spawn([str(program), *words], Pipes(-1, -1, out, error), env=os.environ)
        except OSError as exc:
            raise StartFailed(f"{program.name}: {exc.strerror}") from exc
        try:
            code = await child.wait()
        finally:
            child.close()
        return Answer(code, _text(out), _text(error))
    finally:
        os.close(out)
        os.close(error)


def _text(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode("utf-8", "replace").strip()


@attrs.frozen
class Images:
    """The images that podman at ``program`` keeps."""

    program: Path

    async def have(self, image: Image, pulling: Callable[[], None]) -> bool:
        """Make sure that it is here; whether it had to be pulled, which ``pulling`` is told before.

        Raises ``ImageFailed`` with the reason that a container waits with.
        """
        name = reference(image.name)
        if image.pull != "Always" and (await ran(self.program, "image", "exists", name)).code == 0:
            return False
        if image.pull == "Never":
            text = f'Container image "{image.name}" is not present with pull policy of Never'
            raise ImageFailed("ErrImageNeverPull", text)
        pulling()
        answer = await ran(self.program, "pull", "--quiet", _qualified(name))
        if answer.code:
            said = clean(answer.error.rpartition("Error: ")[2])[-QUOTED:]
            raise ImageFailed("ErrImagePull", f'failed to pull image "{image.name}": {said}')
        return True


def reference(name: str) -> str:
    """The name, if it is an image's. Raises ``ImageFailed``."""
    if _REFERENCE.fullmatch(name):
        return name
    text = f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}": invalid reference format'
    repository = _qualified(name).partition("/")[2].partition(":")[0]
    if repository != repository.lower():
        text += f": repository name ({repository}) must be lowercase"
    raise ImageFailed("InvalidImageName", text)


def _qualified(name: str) -> str:
    """With its registry, which podman would ask the user for."""
    first, rest = name.partition("/")[::2]
    if rest and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"{_USUAL}/{name}" if rest else f"{_USUAL}/library/{name}"

"""A job from the command line: a file with changes on top, or an image and a command without any file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Parameter

from launcher.cli.exits import WrongUsage

if TYPE_CHECKING:
    from launcher.job import Job

Words = Annotated[str, Parameter(help="The job's file (YAML or JSON); with --image, the command after `--`.")]

# What a single word after --image probably is: a job's file, and a slip.
_FILE_ENDINGS = (".yaml", ".yml", ".json")


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Asked:
    """What the command line says of a job. With a file, it goes over or is added to what the file says."""

    image: Annotated[
        str | None, Parameter(help="Run a command in this image, without a job's file.", metavar="IMAGE")
    ] = None
    name: Annotated[str | None, Parameter(help="The job's name.", metavar="NAME")] = None
    connection: Annotated[
        tuple[str, ...],
        Parameter(
            name=("--connection", "-c"), help="Use this connection; NAME:rw to write, NAME:ro not to.", metavar="NAME"
        ),
    ] = ()
    env: Annotated[
        tuple[str, ...], Parameter(name=("--env", "-e"), help="Set an environment variable.", metavar="K=V")
    ] = ()
    file: Annotated[
        tuple[Path, ...], Parameter(help="A file or folder that travels along, into the working directory.")
    ] = ()
    cpu: Annotated[str | None, Parameter(help="Cores: 2, 0.5 or 500m.", metavar="CORES")] = None
    memory: Annotated[str | None, Parameter(help="Memory: 8Gi.", metavar="BYTES")] = None
    gpu: Annotated[str | None, Parameter(help="Whole GPUs.", metavar="COUNT")] = None
    timeout: Annotated[str | None, Parameter(help="How long the command may run: 90s, 2h.", metavar="TIME")] = None

    def job(self, words: tuple[str, ...]) -> Job:
        """The job. Raises ``WrongUsage``, ``InvalidSpec``."""
        from launcher import codec
        from launcher.job import Job

        raw, source, folder = self._base(words)
        return codec.structure(self._over(raw), Job, source=source, folder=folder)

    def _base(self, words: tuple[str, ...]) -> tuple[Any, str, Path | None]:
        from launcher import yamltext

        if self.image is not None:
            if len(words) == 1 and words[0].endswith(_FILE_ENDINGS):
                raise WrongUsage(f"--image is for a job without a file; what is {words[0]} then?")
            return {"name": _stem(self.image), "command": list(words)}, "the command line", None
        if len(words) != 1:
            given = "no file" if not words else f"{len(words)} words"
            raise WrongUsage(f"one job's file is wanted, or --image IMAGE -- COMMAND; {given} given")
        file = Path(words[0])
        return yamltext.read(file), words[0], file.resolve().parent

    def _over(self, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        plain = {"image": self.image, "name": self.name, "timeout": _number(self.timeout)}
        amounts = {"cpu": self.cpu, "memory": self.memory, "gpu": self.gpu}
        merged = {**raw, **_said(plain)}
        more: dict[str, list[Any] | dict[str, Any]] = {
            "connections": [_use(text) for text in self.connection],
            "files": [str(path.absolute()) for path in self.file],
            "env": dict([_pair(text) for text in self.env]),
            "resources": _said(amounts),
        }
        for key, values in more.items():
            if values:
                merged[key] = _joined(raw.get(key), values)
        return merged


NOTHING_ASKED = Asked()


def _said(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _joined(old: Any, more: list[Any] | dict[str, Any]) -> Any:
    """What the file says and what the command line adds; what can't be joined is left for the loader to name."""
    if old is None:
        return more
    if isinstance(more, dict):
        return {**old, **more} if isinstance(old, dict) else old
    return [*(old if isinstance(old, list) else [old]), *more]


def _number(text: str | None) -> str | float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return text


def _use(text: str) -> str | dict[str, Any]:
    name, colon, access = text.rpartition(":")
    return {"name": name, "readOnly": access == "ro"} if colon and access in ("ro", "rw") else text


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise WrongUsage(f"--env {key} has no value: write --env {key}=VALUE")
    return key, value


def _stem(image: str) -> str:
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0] or "job"

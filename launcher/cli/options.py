"""Options that many commands share: which settings, which cluster, which namespace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Parameter

if TYPE_CHECKING:
    from launcher.settings import Settings

# How options look in help: nobody needs --no-detach, or to read that a flag is off.
PLAIN = Parameter(negative="", show_default=False)

Json = Annotated[bool, Parameter(help="Print JSON, for scripts.")]
RunId = Annotated[str, Parameter(help="The run's id, as `launcher ps` shows it.", metavar="RUN")]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Common:
    """Where to look and where to go."""

    config: Annotated[
        Path | None, Parameter(help="The settings file. [$LAUNCHER_CONFIG, ./launcher.yaml, your configuration's]")
    ] = None
    cluster: Annotated[
        str | None,
        Parameter(help="auto, local or a context of the kubeconfig. [$LAUNCHER_CLUSTER, the settings]", metavar="NAME"),
    ] = None
    namespace: Annotated[
        str | None, Parameter(help="The namespace. [$LAUNCHER_NAMESPACE, the settings]", metavar="NAME")
    ] = None

    def settings(self) -> Settings:
        """The settings with what the command line says on top. Raises ``InvalidSpec``."""
        from launcher import codec
        from launcher.settings import Settings

        said = {key: value for key in ("cluster", "namespace") if (value := getattr(self, key)) is not None}
        codec.structure(said, Settings, source="the command line")  # checked as if a file had said it
        return Settings.load(self.config).evolve(**said)


COMMON = Common()


def version() -> str:
    """The version that is installed."""
    from importlib.metadata import version as installed

    return installed("podlauncher")

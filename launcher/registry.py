"""Storage plugins by kind: entry points of the group ``launcher.backends``, loaded when first asked for.

Built-in kinds are found the same way as anybody else's. A plugin that can't be used says why, with its
distribution and what to install; the other kinds go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

import attrs

from launcher.backend import API, Backend, Mode
from launcher.codec import nearest
from launcher.errors import PluginError

GROUP = "launcher.backends"


@attrs.define
class Registry:
    """The plugins of one process, or of a test. Not thread-safe; loading is done once a kind."""

    _found: Mapping[str, tuple[EntryPoint, ...]]
    _loaded: dict[str, Backend] = attrs.field(factory=dict, init=False)

    @classmethod
    def installed(cls) -> Registry:
        """The plugins that are installed beside this package."""
        return cls.of(cls.installed_points())

    @staticmethod
    def installed_points() -> tuple[EntryPoint, ...]:
        """The entry points that ``installed`` reads."""
        return tuple(entry_points(group=GROUP))

    @classmethod
    def of(cls, points: Iterable[EntryPoint]) -> Registry:
        """A registry of the given entry points."""
        found: dict[str, tuple[EntryPoint, ...]] = {}
        for point in points:
            known = found.setdefault(point.name, ())
            # One distribution is seen twice when it is on the path twice (an editable install and its folder).
            if not any(p.value == point.value and _origin(p) == _origin(point) for p in known):
                found[point.name] = (*known, point)
        return cls(found)

    def kinds(self) -> list[str]:
        """Every kind that a plugin is registered for, usable or not."""
        return sorted(self._found)

    def origin(self, kind: str) -> str:
        """The distribution and class behind a kind: ``podlauncher 0.1.0, launcher_backends.s3:S3``."""
        return "; ".join(f"{_origin(point)}, {point.value}" for point in self._found[kind])

    def lacking(self, kind: str, protocol: str) -> str:
        """What to install so that fsspec serves a kind's protocol here; empty when nothing is missing."""
        from fsspec.registry import known_implementations, registry

        known = known_implementations.get(protocol)
        if protocol in registry or known is None or find_spec(known["class"].partition(".")[0]) is not None:
            return ""
        module = known["class"].partition(".")[0]
        for point in self._found.get(kind, ()):
            extra = _extra(point, module)
            if extra:
                return f"{module} isn't installed: pip install '{extra}'"
        return f"{module} isn't installed"

    def get(self, kind: str) -> Backend:
        """The plugin for ``kind``. Raises ``PluginError`` when there is none, or two, or it can't be used."""
        if kind not in self._loaded:
            self._loaded[kind] = self._load(kind)
        return self._loaded[kind]

    def _load(self, kind: str) -> Backend:
        points = self._found.get(kind, ())
        if not points:
            raise PluginError(f"no plugin for the kind {kind!r} ({nearest(kind, self._found)})")
        if len(points) > 1:
            raise PluginError(
                f"the kind {kind!r} is claimed by {len(points)} plugins: {self.origin(kind)} (uninstall all but one)"
            )
        return _usable(kind, points[0])


def _usable(kind: str, point: EntryPoint) -> Backend:
    try:
        backend: Any = point.load()()
    except Exception as exc:
        raise PluginError(
            f"the plugin for {kind!r} ({_origin(point)}, {point.value}) can't be loaded:"
            f" {type(exc).__name__}: {exc}{_remedy(point)}"
        ) from exc
    if getattr(backend, "api", None) != API:
        raise PluginError(
            f"the plugin for {kind!r} ({_origin(point)}) is made for version {getattr(backend, 'api', '?')} of the"
            f" contract, this launcher speaks {API} (install versions that fit each other)"
        )
    missing = [name for name in _MEMBERS if not hasattr(backend, name)]
    if missing:
        raise PluginError(f"the plugin for {kind!r} ({_origin(point)}) lacks {', '.join(missing)}")
    if not attrs.has(backend.schema) or not _known_modes(backend.modes):
        raise PluginError(f"the plugin for {kind!r} ({_origin(point)}) needs an attrs class as schema and known modes")
    loaded: Backend = backend
    return loaded


def _known_modes(modes: Any) -> bool:
    return isinstance(modes, list | tuple) and bool(modes) and all(mode in list(Mode) for mode in modes)


_MEMBERS = ("schema", "modes", "credentials", "problems", "needs", "mount", "remote", "classify")


def _extra(point: EntryPoint, module: str) -> str:
    """The narrowest extra of the plugin's own distribution that brings a module: ``podlauncher[s3]``."""
    brings: dict[str, list[str]] = {}
    for line in (point.dist.requires if point.dist else None) or ():
        match = re.match(r"([\w.-]+).*extra *== *['\"]([\w-]+)['\"]", line)
        if match:
            brings.setdefault(match[2], []).append(match[1].lower().replace("-", "_"))
    fitting = sorted((len(names), extra) for extra, names in brings.items() if module in names)
    return f"{point.dist.name}[{fitting[0][1]}]" if fitting and point.dist else ""


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def _remedy(point: EntryPoint) -> str:
    extras = f"[{','.join(point.extras)}]" if point.extras else ""
    return f" (install {point.dist.name}{extras} again)" if point.dist else ""

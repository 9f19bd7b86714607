"""Plain data to our values and back: one configured converter, every mistake at once, each with its path.

Field names are camelCase outside and snake_case inside; only our own are converted. What Kubernetes or a user
names (env, labels, patches, containers, a connection's schema) passes verbatim.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar, get_args

import attrs
from cattrs import Converter, IterableValidationError
from cattrs.errors import IterableValidationNote

from launcher import yamltext
from launcher.backend import Mode
from launcher.errors import InvalidSpec, Problem
from launcher.fields import AS_WRITTEN, camel, field_problems
from launcher.job import ConfigMapKey, SecretKey, Use

T = TypeVar("T")


def structure(raw: Any, cls: type[T], *, source: str = "", **unwritten: Any) -> T:
    """An instance of ``cls`` from plain data; ``unwritten`` are fields that no file holds.

    Raises ``InvalidSpec`` with everything that is wrong: unknown keys (with the nearest known one), missing
    and mistyped values, and what each field's own checks say.
    """
    try:
        value: T = _converter().structure(raw, cls)
    except (InvalidSpec, IterableValidationError) as exc:
        raise InvalidSpec(_problems(exc), source) from None
    return attrs.evolve(value, **unwritten) if unwritten else value  # type: ignore[type-var]


def unstructure(value: Any) -> Any:
    """Plain data, camelCase, without what is at its default; ``structure`` gives an equal value back."""
    cls = type(value)
    if cls in _SCALARS:
        return value
    if attrs.has(cls):
        found = {}
        for name, key, default in _layout(cls):
            item = getattr(value, name)
            if item is not default and item != default:
                found[key] = unstructure(item)
        return found
    if isinstance(value, Mapping):
        return {key: unstructure(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [unstructure(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value.value if isinstance(value, Mode) else value


_SCALARS = frozenset({str, int, bool, type(None)})


@cache
def _layout(cls: type) -> tuple[tuple[str, str, Any], ...]:
    """The written fields of a class: name, key and default. Cached: it is most of the time of an unstructure."""
    return tuple((field.name, camel(field.name), default_of(field)) for field in written_fields(cls))


def to_yaml(value: Any) -> str:
    """``unstructure`` as YAML text."""
    return yamltext.dump(unstructure(value))


def written_fields(cls: type) -> list[attrs.Attribute[Any]]:
    """The fields that files hold: all but those that only live in the process."""
    return [field for field in attrs.fields(cls) if field.eq]


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the known word nearest to ``word``, or all of them when they are few."""
    words = sorted(known)
    by_lower = {candidate.lower(): candidate for candidate in words}
    close = difflib.get_close_matches(word.lower().replace("_", ""), list(by_lower), n=1)
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    return f"known: {', '.join(words)}" if 0 < len(words) <= 20 else ""


@cache
def _converter() -> Converter:
    converter = Converter(detailed_validation=True)
    converter.register_structure_hook_factory(attrs.has, _class_hook)
    for cls, hook in _PLAIN.items():
        converter.register_structure_hook(cls, hook)
    converter.register_structure_hook_func(lambda t: t == (str | Use), _name_or_use)
    converter.register_structure_hook_func(lambda t: t == (str | SecretKey | ConfigMapKey), _env_value)
    converter.register_structure_hook_func(lambda t: t == Mapping[str, Any], _mapping)
    converter.register_structure_hook_func(lambda t: t == tuple[str, ...], _texts)
    return converter


def _class_hook(cls: type) -> Callable[[Any, type], Any]:
    attrs.resolve_types(cls)
    known = {camel(field.name): field for field in written_fields(cls)}

    def hook(raw: Any, _: type) -> Any:
        _refuse_unless(isinstance(raw, Mapping), raw, "a mapping")
        problems = [Problem(str(key), "is unknown", nearest(str(key), known)) for key in raw if key not in known]
        values: dict[str, Any] = {}
        for key, field in known.items():
            if raw.get(key) is None:
                if field.default is attrs.NOTHING:
                    problems.append(Problem(key, "is missing"))
                elif key in raw and isinstance(field.default, str) and _is_optional(field.type):
                    values[field.name] = None  # `outputs: null` asks for none; an empty `env:` is just empty
                continue
            try:
                values[field.name] = _field(raw[key], field)
            except (InvalidSpec, IterableValidationError) as exc:
                problems.extend(problem.under(key) for problem in _problems(exc))
        if problems:
            raise InvalidSpec(problems)
        return cls(**values)

    return hook


def _field(raw: Any, field: attrs.Attribute[Any]) -> Any:
    if AS_WRITTEN in field.metadata:
        _refuse_unless(isinstance(raw, str | int | float) and not isinstance(raw, bool), raw, "text or a number")
        value = raw
    else:
        value = _converter().structure(raw, _optional(field.type))
    converted = field.converter(value) if field.converter else value
    problems = list(field_problems(field, converted))
    if problems:
        raise InvalidSpec(problems)
    return value


def _is_optional(annotation: Any) -> bool:
    return type(None) in get_args(annotation) and len(get_args(annotation)) == 2


def _optional(annotation: Any) -> Any:
    """``str | None`` as ``str``: an absent value was dealt with before."""
    return get_args(annotation)[0] if _is_optional(annotation) else annotation


def _problems(exc: BaseException) -> list[Problem]:
    if isinstance(exc, InvalidSpec):
        return list(exc.problems)
    if not isinstance(exc, IterableValidationError):
        return [Problem("", str(exc))]
    found: list[Problem] = []
    for inner in exc.exceptions:
        notes = [note for note in getattr(inner, "__notes__", []) if isinstance(note, IterableValidationNote)]
        index = notes[-1].index if notes else ""
        place = f"[{index}]" if isinstance(index, int) else str(index)
        found.extend(problem.under(place) for problem in _problems(inner))
    return found


def _refuse_unless(ok: bool, raw: Any, wanted: str, hint: str = "") -> None:
    if not ok:
        raise InvalidSpec([Problem("", f"must be {wanted}, not {_described(raw)}", hint)])


def _described(raw: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "text", type(None): "nothing"}
    if isinstance(raw, bool | int | float):
        return repr(raw).lower() if isinstance(raw, bool) else repr(raw)
    return kinds.get(type(raw), type(raw).__name__)


def _text(raw: Any, _: Any = None) -> str:
    # A whole number loses nothing as text (PORT: 8080); 1.10, true and null would.
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw)
    hint = f'quote it: "{str(raw).lower() if isinstance(raw, bool) else raw}"' if isinstance(raw, bool | float) else ""
    _refuse_unless(isinstance(raw, str), raw, "text", hint)
    return str(raw)


def _texts(raw: Any, _: Any) -> tuple[str, ...] | str:
    if isinstance(raw, str):
        return raw
    _refuse_unless(isinstance(raw, list | tuple), raw, "a list of texts")
    return _gathered(enumerate(raw), _text)


def _gathered(items: Iterable[tuple[int, Any]], hook: Callable[[Any], str]) -> tuple[str, ...]:
    values: list[str] = []
    problems: list[Problem] = []
    for index, item in items:
        try:
            values.append(hook(item))
        except InvalidSpec as exc:
            problems.extend(problem.under(f"[{index}]") for problem in exc.problems)
    if problems:
        raise InvalidSpec(problems)
    return tuple(values)


def _mapping(raw: Any, _: Any) -> Mapping[str, Any]:
    _refuse_unless(isinstance(raw, Mapping), raw, "a mapping")
    return MappingProxyType({str(key): value for key, value in raw.items()})


def _boolean(raw: Any, _: Any) -> bool:
    _refuse_unless(isinstance(raw, bool), raw, "true or false")
    return bool(raw)


def _mode(raw: Any, _: Any) -> Mode:
    known = [mode.value for mode in Mode]
    if raw not in known:
        raise InvalidSpec([Problem("", f"{raw!r} isn't a mode", nearest(str(raw), known))])
    return Mode(raw)


def _name_or_use(raw: Any, _: Any) -> str | Use:
    return _converter().structure(raw, Use) if isinstance(raw, Mapping) else _text(raw)


def _env_value(raw: Any, _: Any) -> str | SecretKey | ConfigMapKey:
    if not isinstance(raw, Mapping):
        return _text(raw)
    return _converter().structure(raw, ConfigMapKey if "configMap" in raw else SecretKey)


def default_of(field: attrs.Attribute[Any]) -> Any:
    """What a field holds when nothing is said; ``attrs.NOTHING`` for one that must be said."""
    default = field.default
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type,union-attr]


_PLAIN: dict[type, Callable[[Any, Any], Any]] = {str: _text, bool: _boolean, Mode: _mode}

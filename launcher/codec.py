"""Plain data to our values and back: one configured converter, every mistake at once, each with its path.

Field names are camelCase outside and snake_case inside; only our own are converted. What Kubernetes or a user
names (env, labels, patches, containers, a connection's schema) passes verbatim.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter

from launcher import yamltext
from launcher.backend import Mode
from launcher.errors import InvalidSpec, Problem
from launcher.fields import AS_WRITTEN, camel, field_problems

T = TypeVar("T")

# Numbers beyond this are no count of anything here, and Python refuses to print those of 4,300 digits.
LARGEST = 10**30


def structure(raw: Any, cls: type[T], *, source: str = "", **unwritten: Any) -> T:
    """An instance of ``cls`` from plain data; ``unwritten`` are fields that no file holds.

    Raises ``InvalidSpec`` with everything that is wrong: unknown keys (with the nearest known one), missing
    and mistyped values, and what each field's own checks say.
    """
    try:
        value: T = _converter().structure(raw, cls)
    except InvalidSpec as exc:
        raise InvalidSpec(exc.problems, source) from None
    return attrs.evolve(value, **unwritten) if unwritten else value  # type: ignore[misc]


def sound(value: T) -> tuple[T, list[Problem]]:
    """A value made in Python, read as if it had come from a file, and everything that is wrong with it.

    Fields that are wrong are at their defaults in what is returned, so that the rest can be looked at too.
    """
    cls = type(value)
    kept = {field.name: getattr(value, field.name) for field in attrs.fields(cls) if not field.eq}  # type: ignore[arg-type]
    try:
        raw = unstructure(value)
    except RecursionError:
        raise InvalidSpec([Problem("", "holds itself, or nests too deeply")], cls.__name__) from None
    problems: list[Problem] = []
    for drop in (_drop, _drop_field):
        try:
            read = structure(raw, cls, **kept)
        except InvalidSpec as exc:
            problems = problems or list(exc.problems)
            for problem in exc.problems:
                drop(raw, problem.path)
            for field in written_fields(cls):
                if field.default is attrs.NOTHING:
                    raw.setdefault(camel(field.name), field.name)
        else:
            # The value itself where nothing changed: parts of it may know their places in a file.
            return (value if read == value and not problems else read), problems
    return structure(raw, cls, **kept), problems


def _drop(raw: dict[str, Any], path: str) -> None:
    """Take out what a problem is about, and nothing beside it: one key, where the path leads to one."""
    *way, last = [part for part in re.split(r"[.\[\]]+", path) if part] or [""]
    place: Any = raw
    for part in way:
        if isinstance(place, list):
            place = place[int(part)] if part.isdecimal() and int(part) < len(place) else None
        else:
            place = place.get(part) if isinstance(place, dict) else None
    if isinstance(place, dict):
        place.pop(last, None)


def _drop_field(raw: dict[str, Any], path: str) -> None:
    raw.pop(re.split(r"[.\[]", path)[0], None)


def unstructure(value: Any) -> Any:
    """Plain data, camelCase, without what is at its default; ``structure`` gives an equal value back."""
    cls = type(value)
    if cls in _AS_IS:
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
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value.value if isinstance(value, Mode) else value


_AS_IS = frozenset({str, int, bool, type(None)})


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
    converter.register_structure_hook_factory(_is_a(tuple), _list_hook)
    converter.register_structure_hook_factory(_is_a(Mapping), _mapping_hook)
    for cls, hook in _SCALARS.items():
        converter.register_structure_hook(cls, hook)
    converter.register_structure_hook_factory(_is_text_or_class, _text_or_class_hook)
    return converter


def _is_a(origin: Any) -> Callable[[Any], bool]:
    return lambda annotation: get_origin(annotation) is origin


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
            except InvalidSpec as exc:
                problems.extend(problem.under(key) for problem in exc.problems)
        if problems:
            raise InvalidSpec(problems)
        return cls(**values)

    return hook


def _field(raw: Any, field: attrs.Attribute[Any]) -> Any:
    as_written = AS_WRITTEN in field.metadata and isinstance(raw, str | int | float) and not isinstance(raw, bool)
    try:
        value = raw if as_written else _converter().structure(raw, optional(field.type))
    except InvalidSpec as exc:
        raise InvalidSpec([*exc.problems, *_said_of(raw, field)]) from None
    converted = field.converter(value) if callable(field.converter) else value
    problems = list(field_problems(field, converted))
    if problems:
        raise InvalidSpec(problems)
    return value


def _said_of(raw: Any, field: attrs.Attribute[Any]) -> list[Problem]:
    """What the checks of a field can already say of a list or mapping of which one item is mistyped."""
    if not isinstance(raw, Mapping | list):
        return []
    try:
        return list(field_problems(field, raw))
    except (AttributeError, TypeError):
        return []


def _is_optional(annotation: Any) -> bool:
    return type(None) in get_args(annotation) and len(get_args(annotation)) == 2


def optional(annotation: Any) -> Any:
    """``str | None`` as ``str``: an absent value was dealt with before."""
    return get_args(annotation)[0] if _is_optional(annotation) else annotation


def _refuse_unless(ok: bool, raw: Any, wanted: str, hint: str = "") -> None:
    if not ok:
        raise InvalidSpec([Problem("", f"must be {wanted}, not {_described(raw)}", hint)])


def _described(raw: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "text", type(None): "nothing"}
    if isinstance(raw, bool | float):
        return repr(raw).lower()
    if isinstance(raw, int):
        return repr(raw) if abs(raw) < LARGEST else "so large a number"
    return kinds.get(type(raw), type(raw).__name__)


def _text(raw: Any, _: Any = None) -> str:
    # A whole number loses nothing as text (PORT: 8080); 1.10, true and null would.
    if isinstance(raw, int) and not isinstance(raw, bool) and abs(raw) < LARGEST:
        return str(raw)
    hint = f'quote it: "{str(raw).lower() if isinstance(raw, bool) else raw}"' if isinstance(raw, bool | float) else ""
    _refuse_unless(isinstance(raw, str), raw, "text", hint)
    return str(raw)


def _list_hook(annotation: Any) -> Callable[[Any, Any], tuple[Any, ...]]:
    inner = get_args(annotation)[0]

    def hook(raw: Any, _: Any) -> tuple[Any, ...]:
        if isinstance(raw, str | Mapping):
            raw = [raw]  # one of something that may be many: `connections: faces`
        _refuse_unless(isinstance(raw, list | tuple), raw, "a list")
        return tuple(_gathered(((f"[{i}]", item) for i, item in enumerate(raw)), inner).values())

    return hook


def _mapping_hook(annotation: Any) -> Callable[[Any, Any], Mapping[str, Any]]:
    inner = get_args(annotation)[1]

    def hook(raw: Any, _: Any) -> Mapping[str, Any]:
        _refuse_unless(isinstance(raw, Mapping), raw, "a mapping")
        keys = [_text(key) for key in raw]
        twice = [Problem(key, "is there twice, as text and as a number") for key in set(keys) if keys.count(key) > 1]
        if twice:
            raise InvalidSpec(twice)
        items = zip(keys, raw.values(), strict=True)
        return MappingProxyType(dict(items) if inner is Any else _gathered(items, inner))

    return hook


def _gathered(items: Iterable[tuple[str, Any]], cls: Any) -> dict[str, Any]:
    """Each item structured; what is wrong with any of them, under its own place, all at once."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for place, item in items:
        try:
            values[place] = _converter().structure(item, cls)
        except InvalidSpec as exc:
            problems.extend(problem.under(place) for problem in exc.problems)
    if problems:
        raise InvalidSpec(problems)
    return values


def _boolean(raw: Any, _: Any) -> bool:
    _refuse_unless(isinstance(raw, bool), raw, "true or false")
    return bool(raw)


def _mode(raw: Any, _: Any) -> Mode:
    known = [mode.value for mode in Mode]
    if raw not in known:
        raise InvalidSpec([Problem("", f"{raw!r} isn't a mode", nearest(str(raw), known))])
    return Mode(raw)


def _is_text_or_class(annotation: Any) -> bool:
    arguments = get_args(annotation)
    is_union = get_origin(annotation) in (Union, UnionType)
    return is_union and str in arguments and all(a is str or attrs.has(a) for a in arguments)


def _text_or_class_hook(annotation: Any) -> Callable[[Any, Any], Any]:
    """Text, or a mapping: of several classes the one that knows most of its keys."""
    known = {
        cls: {camel(field.name) for field in written_fields(cls)} for cls in get_args(annotation) if cls is not str
    }

    def hook(raw: Any, _: Any) -> Any:
        if not isinstance(raw, Mapping):
            return _text(raw)
        return _converter().structure(raw, max(known, key=lambda cls: len(known[cls] & {str(key) for key in raw})))

    return hook


def default_of(field: attrs.Attribute[Any]) -> Any:
    """What a field holds when nothing is said; ``attrs.NOTHING`` for one that must be said."""
    default = field.default
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type,union-attr]


def _number(raw: Any, _: Any) -> float:
    ok = isinstance(raw, int | float) and not isinstance(raw, bool) and abs(raw) < LARGEST
    _refuse_unless(ok, raw, "a number")
    return float(raw)


def _whole_number(raw: Any, _: Any) -> int:
    ok = isinstance(raw, int) and not isinstance(raw, bool) and abs(raw) < LARGEST
    _refuse_unless(ok, raw, "a whole number")
    return int(raw)


_SCALARS: dict[type, Callable[[Any, Any], Any]] = {
    str: _text,
    bool: _boolean,
    int: _whole_number,
    float: _number,
    Mode: _mode,
}

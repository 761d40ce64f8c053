"""A command as a value: one declaration is its options, its keywords in Python, its checks and its command line.

A request is a frozen dataclass whose fields are Options. The command line makes it from words, a notebook from
keywords, expclip.toml speaks for what is not typed, and `command` gives the words back.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

from ..errors import UsageError, brief, flag, one_of, option, quoted
from ..settings import Settings, read_settings

NO_DEFAULT: Any = object()
_MOST_WHOLE = 2**31 - 1


@dataclass(frozen=True)
class Option:
    """How one field of a request is asked for; an argument stands without a flag."""

    help: str
    default: Any = NO_DEFAULT
    metavar: str = ""
    choices: Collection[str] = ()
    unset: str = ""
    """The word that stands for None, or for none of an option that may be repeated."""
    least: float | None = None
    above: float | None = None
    most: float | None = None
    """None is what fits 31 bits for a whole number, and any for other numbers."""
    is_argument: bool = False
    in_defaults: bool = False
    """Whether [defaults] of expclip.toml speaks for it, whatever the command."""
    in_file: bool = True
    """Whether expclip.toml may speak for it at all."""
    key: str = ""
    """Its name in [defaults], if that is not the parameter's."""
    is_typed: bool = True
    """Whether the command line has it."""
    untyped: Any = NO_DEFAULT
    """What the command line takes where nothing is typed, if that is not the default in Python."""

    def but(self, **changes: Any) -> Any:
        """The same option with something changed for one command."""
        return replace(self, **changes)


class Asked(NamedTuple):
    """One field of a request, and its type as far as words need it."""

    name: str
    option: Option
    base: type
    many: bool
    optional: bool


def ask(help: str, default: Any = NO_DEFAULT, **how: Any) -> Any:
    """An Option as the value of a field; without a default the field has to be given."""
    return Option(help, default, **how)


@dataclass_transform(frozen_default=True)
class Request:
    """What a command is asked for. Raises UsageError for a value that cannot be meant."""

    verb: ClassVar[str]
    typed: ClassVar[Mapping[str, str]] = {}
    """How each option that was given to this request is spelled, by its name; what expclip.toml says is not given."""

    def __init_subclass__(cls, verb: str):
        cls.verb = verb
        for name, declared in list(vars(cls).items()):
            if isinstance(declared, Option):
                default = MISSING if declared.default is NO_DEFAULT else declared.default
                setattr(cls, name, field(default=default, metadata={"option": declared}))
        dataclass(frozen=True)(cls)

    def __post_init__(self) -> None:
        for one in asked(type(self)):
            object.__setattr__(self, one.name, checked(one, getattr(self, one.name)))
        self.check()

    def check(self) -> None:
        """Raise UsageError for options that contradict each other."""

    def command(self, settings: Settings | None = None) -> str:
        """What to type for this request in the working directory, whose expclip.toml speaks for what is not typed."""
        settings = settings or read_settings()
        arguments, words = [], []
        for one in asked(type(self)):
            value = getattr(self, one.name)
            if one.option.is_argument:
                arguments += map(str, value if one.many else [value])
            elif one.option.is_typed and value != untyped(type(self), one, settings):
                words += _words(one, value)
        after = ["--", *arguments] if any(word.startswith("-") for word in arguments) else []
        spelt = ["expclip", *self.verb.split(), *([] if after else arguments), *words, *after]
        return " ".join(map(quoted, spelt))


Given = TypeVar("Given", bound=Request)


@cache
def asked(kind: type[Request]) -> tuple[Asked, ...]:
    """The fields of a request, in order."""
    hints = get_type_hints(kind)
    return tuple(Asked(one.name, one.metadata["option"], *_shape(hints[one.name])) for one in fields(kind))  # pyright: ignore[reportArgumentType]


def _shape(hint: Any) -> tuple[Any, bool, bool]:
    """The type of an item, whether there may be many, and whether there may be none."""
    inner = [one for one in get_args(hint) if one not in (type(None), ...)]
    many = get_origin(hint) is tuple
    return (inner[0] if inner else hint), many, bool(inner) and not many


def checked(one: Asked, value: Any) -> Any:
    """A value as the request keeps it: a tuple where it may be repeated, of the field's type. Raises UsageError."""
    if isinstance(value, Mapping):
        value = [f"{name}={of}" for name, of in value.items()]
    items = [value] if isinstance(value, str | Path) or not isinstance(value, Iterable) else list(value)
    if items in ([None], [one.option.unset]) and (one.option.unset or one.optional):
        return () if one.many else None
    if value is None:
        raise UsageError(f"{option(one.name)}: a value is needed")
    if not one.many:
        return _item(one, value)
    if one.option.unset and one.option.unset in items:
        raise UsageError(f"{option(one.name)} {one.option.unset!r}: give it alone, or leave it out")
    if not items and not one.option.unset and one.option.default != ():
        raise UsageError(f"{option(one.name)}: give one or more")
    return tuple(_item(one, item) for item in items)


def _item(one: Asked, value: Any) -> Any:
    base, declared = one.base, one.option
    found = _converted(base, value)
    named = f"{option(one.name)} {brief(value)}"
    if found is None:
        what = {int: "a whole number", float: "a number", bool: "true or false"}.get(base, "a text")
        raise UsageError(f"{named}: give {what}")
    if declared.choices and found not in declared.choices:
        raise UsageError(f"{named}: choose {one_of(declared.choices)}")
    if declared.least is not None and not found >= declared.least:
        raise UsageError(f"{named}: give {declared.least:g} or more")
    if declared.above is not None and not found > declared.above:
        raise UsageError(f"{named}: give more than {declared.above:g}")
    most = _MOST_WHOLE if declared.most is None and base is int else declared.most
    if most is not None and found > most:
        raise UsageError(f"{named}: give at most {most:,}")
    return found


def _converted(base: type, value: Any) -> Any:
    """The value in the field's type; None where it has none."""
    if base is bool or isinstance(value, bool):
        return value if base is bool and isinstance(value, bool) else None
    if base in (str, Path):
        return base(value) if isinstance(value, str | Path) else None
    try:
        number = base(value)
        is_exact = (base is int or math.isfinite(number)) and (isinstance(value, str) or number == value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if is_exact else None


def _words(one: Asked, value: Any) -> list[str]:
    """The words that make a value."""
    dashed = flag(one.name)
    if value in (None, ()):
        if not one.option.unset:
            raise ValueError(f"{one.name} has no word for {value!r}")
        return [dashed, one.option.unset]
    if one.base is bool:
        return [dashed if value else flag(f"no_{one.name}")]
    items = [repr(item) if isinstance(item, float) else str(item) for item in (value if one.many else [value])]
    return [word for item in items for word in ([f"{dashed}={item}"] if item.startswith("-") else [dashed, item])]


def untyped(kind: type[Request], one: Asked, settings: Settings) -> Any:
    """What an option is where it is not typed: the command's table of expclip.toml, [defaults], the default.

    Raises UsageError for a value of the file that cannot be meant; NO_DEFAULT where the option has to be typed.
    """
    table = settings.table(kind.verb)
    if one.name in table:
        return _from_file(settings, one, kind.verb.replace(" ", "."), table[one.name])
    key = one.option.key or one.name
    if one.option.in_defaults and key in settings.defaults:
        return _from_file(settings, one._replace(name=key), "defaults", settings.defaults[key])
    return one.option.default if one.option.untyped is NO_DEFAULT else checked(one, one.option.untyped)


def _from_file(settings: Settings, one: Asked, table: str, value: Any) -> Any:
    try:
        return checked(one, value)
    except UsageError as error:
        raise UsageError(f"{settings.path}: {table}.{error!s}") from error


def from_typed(kind: type[Request], typed: Mapping[str, Any], settings: Settings) -> Request:
    """The request of what was typed, by parameter name; None and empty lists were not typed."""
    said = {name: value for name, value in typed.items() if value is not None and value != []}
    values = {one.name: said[one.name] if one.name in said else untyped(kind, one, settings) for one in asked(kind)}
    return given(kind(**values), said, flag)


def given(request: Given, names: Iterable[str], spelling: Callable[[str], str] = str) -> Given:
    """The same request, which knows which of its options were given, and how these are spelled."""
    object.__setattr__(request, "typed", {name: spelling(name) for name in names})
    return request


def refuse_unknown(settings: Settings, kinds: Collection[type[Request]]) -> None:
    """Raise UsageError for a table or a key of expclip.toml that no command has, and for a value that is wrong."""
    every = [(kind, one) for kind in kinds for one in asked(kind)]
    defaults = dict.fromkeys(one.option.key or one.name for _, one in every if one.option.in_defaults)
    _refuse_keys(settings, "defaults.", settings.defaults, defaults)
    groups = dict.fromkeys(kind.verb.split()[0] for kind in kinds)
    _refuse_keys(settings, "", settings.tables, ["cache", "roots", "defaults", *groups])
    for group, found in settings.tables.items():
        verbs = [kind.verb.split()[1] for kind in kinds if kind.verb.startswith(f"{group} ")]
        if verbs:
            _refuse_keys(settings, f"{group}.", found, verbs)
    for kind in kinds:
        keys = [one.name for one in asked(kind) if one.option.in_file and one.option.is_typed]
        _refuse_keys(settings, f"{kind.verb.replace(' ', '.')}.", settings.table(kind.verb), keys)
    for kind, one in every:
        untyped(kind, one, settings)


def _refuse_keys(settings: Settings, table: str, found: Any, known: Collection[str]) -> None:
    if not isinstance(found, Mapping):
        raise UsageError(f"{settings.path}: {table.rstrip('.')}: this must be a table, found {brief(found)}")
    for key in found:
        if key not in known:
            there = ", ".join(known) or "none"
            raise UsageError(f"{settings.path}: {table}{key} is unknown: there are {there}")

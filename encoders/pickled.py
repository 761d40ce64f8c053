"""Pickles read without running anything.

A pickle is a program that makes objects: it names functions and classes, calls them and sets their attributes. Here a
name stays a Name, and what would be called is noted down as Made, with its arguments and its state. No name is ever
looked up, so that there is nothing in a file that could be run.
"""

import pickletools
from dataclasses import dataclass, field
from typing import IO, Any

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = {"PROTO", "FRAME"}
_ORDERED_DICT = "collections.OrderedDict"
_MOST_CODES = 2_000_000
"""Steps of a pickle, each of which may keep a hundred bytes: a checkpoint of ten thousand tensors has a million."""
_MOST_AGAIN = 50_000_000
"""Letters and parts that a pickle may bring back by naming what it made before. A tuple of twice the same tuple, and
so on sixty times, is made in a hundred steps, and takes all time where it is hashed."""


@dataclass(frozen=True)
class Name:
    """A class or a function that is named, and not looked up."""

    path: str


@dataclass(eq=False)
class Made:
    """What a call, or a class, would have made."""

    by: Any
    """A Name, where it is an honest pickle."""
    arguments: Any
    state: Any = None
    """What its attributes would have been set to."""


@dataclass(eq=False)
class Outside:
    """What lies outside of the pickle: a storage, by what the pickle calls it."""

    known_as: Any


@dataclass(eq=False)
class OddKey:
    """A key that is no text and no number: it is told from others by being itself, whatever it holds."""

    key: Any

    def __repr__(self) -> str:
        return f"a key that is a {type(self.key).__name__}"


@dataclass
class Machine:
    """Follows a pickle, and sees to what it names."""

    names: set[str] = field(default_factory=set)
    """Every class and function that it named."""
    outside: list[Any] = field(default_factory=list)
    """What it calls all that lies outside of it."""
    _stack: list[Any] = field(default_factory=list)
    _marks: list[int] = field(default_factory=list)
    _memo: dict[int, Any] = field(default_factory=dict)
    _parts: dict[int, int] = field(default_factory=dict)
    """Of each tuple, by its identity: how many objects it holds, those within its tuples too."""
    _brought_back: int = 0

    def read(self, file: IO[bytes]) -> Any:
        """What the pickle at the file's place describes. Raises ValueError where it is none."""
        try:
            for count, (code, argument, _) in enumerate(pickletools.genops(file)):
                if code.name == "STOP":
                    return self._stack.pop()
                if count > _MOST_CODES:
                    raise ValueError("it has too many steps")
                if code.name not in _IGNORED:
                    self._step(code.name, argument)
        except (IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError, RecursionError) as error:
            raise ValueError(f"no sound pickle: {type(error).__name__}") from error
        raise ValueError("it has no end")

    def _step(self, name: str, argument: Any) -> None:
        act = getattr(self, f"_do_{name.lower()}", None)
        if act is not None:
            act(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            self._pack(self._taken(len(self._stack) - _TUPLES[name]))
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self._bring_back(self._memo[argument])
        elif name.startswith(("EXT", "NEXT_BUFFER", "READONLY_BUFFER")):
            raise ValueError(f"{name} has no place in a checkpoint")
        else:  # every other code pushes the constant that comes with it
            self._stack.append(argument)

    def _taken(self, start: int) -> list[Any]:
        """What lies on the stack from a place on, which may not be below its end."""
        if start < 0:
            raise IndexError
        found = self._stack[start:]
        del self._stack[start:]
        return found

    def _since_mark(self) -> list[Any]:
        return self._taken(self._marks.pop())

    def _pack(self, items: list[Any]) -> None:
        made = tuple(items)
        if made:
            self._parts[id(made)] = 1 + sum(self._parts.get(id(one), 1) for one in made)
        self._stack.append(made)

    def _bring_back(self, value: Any) -> None:
        """Put what was made before on the stack again, within the bound on how much may be repeated."""
        has_length = isinstance(value, str | bytes | list | dict)
        self._brought_back += len(value) if has_length else self._parts.get(id(value), 1)
        if self._brought_back > _MOST_AGAIN:
            raise ValueError("it repeats itself without end")
        self._stack.append(value)

    def _named(self, module: str, name: str) -> None:
        self.names.add(f"{module}.{name}")
        self._stack.append(Name(f"{module}.{name}"))

    def _call(self, by: Any, arguments: Any) -> None:
        is_mapping = isinstance(by, Name) and by.path == _ORDERED_DICT and not arguments
        self._stack.append({} if is_mapping else Made(by, arguments))

    def _do_mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def _do_pop(self, _: Any) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def _do_pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _do_dup(self, _: Any) -> None:
        self._bring_back(self._stack[-1])

    def _do_tuple(self, _: Any) -> None:
        self._pack(self._since_mark())

    def _do_list(self, _: Any) -> None:
        self._stack.append(self._since_mark())

    _do_frozenset = _do_list

    def _do_dict(self, _: Any) -> None:
        items = self._since_mark()
        self._stack.append({})
        self._set(items)

    def _do_append(self, _: Any) -> None:
        self._extend(self._taken(len(self._stack) - 1))

    def _do_appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    _do_additems = _do_appends

    def _do_setitem(self, _: Any) -> None:
        self._set(self._taken(len(self._stack) - 2))

    def _do_setitems(self, _: Any) -> None:
        self._set(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        """Set items of the mapping on the stack; those of anything else are nothing that a checkpoint needs."""
        if isinstance(self._stack[-1], dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                is_plain = isinstance(key, str | int | float | bytes | None)
                self._stack[-1][key if is_plain else OddKey(key)] = value

    def _do_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._named(module, name)

    def _do_stack_global(self, _: Any) -> None:
        module, name = self._taken(len(self._stack) - 2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name is no text")
        self._named(module, name)

    def _do_reduce(self, _: Any) -> None:
        self._call(*self._taken(len(self._stack) - 2))

    _do_newobj = _do_reduce

    def _do_newobj_ex(self, _: Any) -> None:
        by, arguments, _keywords = self._taken(len(self._stack) - 3)
        self._call(by, arguments)

    def _do_inst(self, argument: str) -> None:
        arguments = self._since_mark()
        self._do_global(argument)
        self._call(self._stack.pop(), arguments)

    def _do_obj(self, _: Any) -> None:
        by, *arguments = self._since_mark()
        self._call(by, arguments)

    def _do_build(self, _: Any) -> None:
        state = self._stack.pop()
        if isinstance(self._stack[-1], Made):
            self._stack[-1].state = state

    def _do_persid(self, argument: Any) -> None:
        self.outside.append(argument)
        self._stack.append(Outside(argument))

    def _do_binpersid(self, _: Any) -> None:
        self._do_persid(self._stack.pop())

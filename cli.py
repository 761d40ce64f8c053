"""The command line: registers the commands, runs the one that is typed, and turns errors into one line and a code."""

import inspect
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .commands import COMMANDS, GROUPS, command
from .commands.command import Command
from .commands.help_page import print_help
from .commands.request import NO_DEFAULT, Asked, asked, from_typed, refuse_unknown
from .commands.running import run
from .errors import flag, shown
from .interruption import signals_interrupt
from .reports.console import print_line, quietly, say
from .settings import Settings, read_settings


@contextmanager
def _readable() -> Iterator[None]:
    """What the parser says of words that it does not know is shown as all text that others may have written."""
    try:
        yield
    except Exception as error:
        said = getattr(error, "format_message", None)
        if said is not None:
            text = shown(said())
            setattr(error, "format_message", lambda: text)  # noqa: B010
        raise


class _Group(TyperGroup):
    def make_context(self, *args: Any, **how: Any) -> Any:
        with _readable():
            return super().make_context(*args, **how)

    def invoke(self, ctx: Any) -> Any:
        with _readable():
            return super().invoke(ctx)


class _Typed(TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        print_help(ctx)


def _app(about: str = "", has_completion: bool = False) -> typer.Typer:
    return typer.Typer(
        cls=_Group,
        help=about,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        add_completion=has_completion,
    )


app = _app(
    "Zero-shot facial expression recognition from cached features: extract once, then ablate for free.",
    has_completion=True,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print_line(f"expclip {version('expclip')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """What can be asked of no command in particular."""


def _register() -> None:
    """List all commands; what one asks for is imported when it is typed."""
    groups = {name: _app(about) for name, about in GROUPS.items()}
    for verb, (_, summary) in COMMANDS.items():
        *group, name = verb.split()
        (groups[group[0]] if group else app).command(name, cls=_listed(verb), help=summary)(lambda: None)
    for name, group_app in groups.items():
        app.add_typer(group_app, name=name)


def _listed(verb: str) -> type[TyperCommand]:
    class Listed(TyperCommand):
        def make_context(self, *args: Any, **how: Any) -> Any:
            return typed(verb).make_context(*args, **how)

    return Listed


@cache
def typed(verb: str) -> Any:
    """A command with its options, as the parser knows it."""
    alone = _app()
    alone.command(verb.split()[-1], cls=_Typed)(_function(command(verb)))
    return typer.main.get_command(alone)


def _function(one: Command) -> Callable[..., None]:
    """The function that Typer calls; its signature is made from the request's options."""

    def call(json: bool = False, quiet: bool = False, **typed: Any) -> None:
        with quietly() if quiet else nullcontext():
            code = run(one, lambda: from_typed(one.kind, typed, _settings()), json)
        raise typer.Exit(code)

    parameters = [_parameter(field) for field in asked(one.kind) if field.option.is_typed]
    if one.document is not None:
        info = typer.Option("--json", help="Print one JSON document on stdout instead of tables.")
        parameters.append(_keyword("json", Annotated[bool, info], False))
    info = typer.Option("--quiet", help="Say nothing on stderr but errors and failures: no remarks, no progress.")
    parameters.append(_keyword("quiet", Annotated[bool, info], False))
    call.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    call.__doc__ = one.kind.__doc__
    return call


def _settings() -> Settings:
    settings = read_settings()
    if settings.defaults or settings.tables:
        refuse_unknown(settings, [command(verb).kind for verb in COMMANDS])
    return settings


def _parameter(one: Asked) -> inspect.Parameter:
    """A field as Typer knows it: what is typed is text, which the request converts and checks."""
    declared, base = one.option, one.base
    words = [*declared.choices, *([declared.unset] if declared.choices and declared.unset else [])]
    completion: dict[str, Any] = {"autocompletion": lambda: words} if words else {}
    is_flag = base is bool
    if declared.is_argument:
        info: Any = typer.Argument(metavar=declared.metavar or None, help=declared.help, **completion)
    elif is_flag:
        has_opposite = declared.in_file or declared.default
        names = f"{flag(one.name)}/{flag(f'no_{one.name}')}" if has_opposite else flag(one.name)
        info = typer.Option(names, help=declared.help, show_default=False)
    else:
        metavar = declared.metavar or "|".join(declared.choices) or _METAVARS.get(base, "NAME")
        shown_as = {"metavar": metavar, "show_default": _usual(one) or False}
        info = typer.Option(flag(one.name), help=declared.help, **shown_as, **completion)
    kind = bool if is_flag else list[str] if one.many else str
    if declared.default is NO_DEFAULT:
        return _keyword(one.name, Annotated[kind, info])
    return _keyword(one.name, Annotated[kind | None, info], None)


_METAVARS = {int: "N", float: "X", Path: "PATH"}


def _keyword(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _usual(one: Asked) -> str:
    """What the help shows as the default."""
    value = one.option.default if one.option.untyped is NO_DEFAULT else one.option.untyped
    if value is NO_DEFAULT:
        return ""
    if value in (None, ()):
        return one.option.unset
    return ", ".join(map(str, value)) if one.many else str(value)


def main() -> None:
    """The entry point of the `expclip` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter does not end the work
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for them takes time
    warnings.showwarning = lambda message, category, *_: say(f"{category.__name__}: {message}")
    with signals_interrupt():
        app(prog_name="expclip")  # completion, and what the help says to type, know it by this name


_register()

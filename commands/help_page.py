"""The help of a command: each option stands above what it does, so that a narrow terminal cuts nothing."""

import inspect
from collections.abc import Iterator
from typing import Any

from rich.markdown import Markdown
from rich.padding import Padding
from rich.text import Text

from ..reports.console import stdout

_ASIDE = 6
"""Columns by which what an option does stands further right."""


def print_help(context: Any) -> None:
    """How a command is typed, what it does, and its arguments and options."""
    console = stdout()
    console.print(Text(f"\n{context.command.get_usage(context)}\n", style="bold"))
    console.print(Padding(Markdown(inspect.cleandoc(context.command.help or "")), (0, 1, 0, 1)))
    for kind in ("argument", "option"):
        entries = list(_entries(context, kind))
        if entries:
            console.print(Text(f"\n{kind.capitalize()}s", style="bold"))
        for name, about in entries:
            console.print(Padding(Text(name, style="cyan"), (0, 0, 0, 2)))
            console.print(Padding(Markdown(about), (0, 0, 0, _ASIDE)))


def _entries(context: Any, kind: str) -> Iterator[tuple[str, str]]:
    """How each argument or option is typed, and what it does."""
    for one in context.command.get_params(context):
        record = one.get_help_record(context) if one.param_type_name == kind else None
        if record is not None:
            yield (one.metavar or one.name.upper() if kind == "argument" else record[0]), record[1]

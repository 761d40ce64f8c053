"""Commands as they are printed and stand in pages, back as what they ask for."""

import re
import shlex

from expclip import cli
from expclip.commands import COMMANDS, command
from expclip.commands.request import Request, from_typed
from expclip.settings import Settings


def request_of(text: str) -> Request:
    """What a command asks for. Raises UsageError, or an error of the parser, where it cannot be typed."""
    words = shlex.split(text, comments=True)[1:]
    verb = next(verb for verb in COMMANDS if words[: len(verb.split())] == verb.split())
    said = dict(cli.typed(verb).make_context(verb, words[len(verb.split()) :]).params)
    given = {name: value for name, value in said.items() if name not in ("json", "quiet") and value not in (None, ())}
    return from_typed(command(verb).kind, given, Settings())


def commands_in(text: str) -> list[str]:
    """The commands of a page or a message: lines of console blocks, and what stands between backticks."""
    found = re.findall(r"^expclip .*$", text, re.M) + re.findall(r"`(expclip [^`]+)`", text)
    return [one for one in found if "…" not in one]

"""Files that end whichever process opens them, in every Python that is started in such an environment.

No picture is known that crashes the decoders of today, so the crash is planted: each process imports `sitecustomize`.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

_PLANTED = """
import json, os, signal, sys

_DEADLY = json.loads(os.environ["DEADLY"])

def _crash(event, arguments):
    name = os.path.basename(arguments[0]) if event == "open" and isinstance(arguments[0], str) else ""
    if name in _DEADLY:
        how, times = _DEADLY[name]
        with open(os.path.join(os.path.dirname(__file__), "deaths of " + name), "ab") as deaths:
            deaths.write(b".")
            died = deaths.tell()
        if died <= times:
            os.kill(os.getpid(), getattr(signal, how))

sys.addaudithook(_crash)
"""
_OFTEN = 1000


class Crashes:
    """An environment in which files are deadly, for processes that are started from now on."""

    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_PLANTED)

    def environment(self, deadly: Mapping[str, str], times: int = _OFTEN) -> dict[str, str]:
        """Where opening a file of some name ends the process by a signal, so many times."""
        path = os.pathsep.join(filter(None, [str(self._folder), os.environ.get("PYTHONPATH", "")]))
        return {"PYTHONPATH": path, "DEADLY": json.dumps({name: (how, times) for name, how in deadly.items()})}

    def deaths(self, name: str) -> int:
        """How many processes have opened such a file."""
        return (self._folder / f"deaths of {name}").stat().st_size

"""A process that is killed at each of its changes to the disk in turn, and what lies in its folder then."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# `write(root)` changes a folder that `prepare(root)` filled. Each child works in a copy of its own and dies without a
# chance to clean up at its n-th change; a second child does the same again, and lives. The last first child survives.
_SCRIPT = """
import hashlib, json, os, shutil, sys, threading
from pathlib import Path

{steps}

changes, lock, die_at = 0, threading.Lock(), None
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink")

def count(event, arguments):
    global changes
    if die_at is None:
        return
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in CHANGES:
        with lock:
            changes += 1
            if changes == die_at:
                os._exit(9)

def listed(root):
    paths = sorted(path for path in root.rglob("*"))
    return {{
        path.relative_to(root).as_posix(): "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }}

def run(root, n):
    global die_at
    child = os.fork()
    if not child:
        try:
            die_at = n
            write(root)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

sys.addaudithook(count)
folder = Path(sys.argv[1])
(folder / "0").mkdir()
prepare(folder / "0")
found = {{"before": listed(folder / "0"), "killed": [], "again": []}}
for n in range(1, 1000):
    root = folder / str(n)
    shutil.copytree(folder / "0", root, symlinks=True)
    code = run(root, n)
    if code == 0:
        found["after"] = listed(root)
        break
    assert code == 9, code
    found["killed"].append(listed(root))
    assert run(root, None) == 0
    found["again"].append(listed(root))
print(json.dumps(found))
"""

Listing = dict[str, str]
"""Files and folders by their path, each with a digest of its content."""


@dataclass(frozen=True)
class Killed:
    """What lay in the folder."""

    before: Listing
    killed: list[Listing]
    """After each death."""
    again: list[Listing]
    """After the run that came next."""
    after: Listing
    """After a run that nobody killed."""


def killed_at_every_change(folder: Path, steps: str) -> Killed:
    """Kill what `steps` define as `write(root)`, on what they define as `prepare(root)`."""
    command = [sys.executable, "-c", _SCRIPT.format(steps=steps), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return Killed(**json.loads(ran.stdout.splitlines()[-1]))


def visible(listing: Listing, of: str = "") -> Listing:
    """What is not hidden, or lies in a hidden folder; all of it or what is in one folder."""
    shown = {path: what for path, what in listing.items() if not any(part[0] == "." for part in Path(path).parts)}
    return {path: what for path, what in shown.items() if not of or path == of or path.startswith(f"{of}/")}

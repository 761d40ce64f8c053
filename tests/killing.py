"""A process killed at, or refused, each of its changes to the disk in turn, and what its folder then holds."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# `write(root)` changes a folder that `prepare(root)` filled; it is the working directory too. Each child works in a
# copy of its own. At its n-th change it dies without a chance to clean up, or the disk refuses; or no file may have
# more than n bytes. A second child does the same again, in peace.
_SCRIPT = """
import errno, hashlib, json, os, resource, shutil, sys, threading
from pathlib import Path
from expclip.errors import ExpclipError

{steps}

changes, lock, last = 0, threading.Lock(), None
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink")
folder, how, numbers = Path(sys.argv[1]), sys.argv[2], []

def count(event, arguments):
    global changes
    if last is None:
        return
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in CHANGES:
        with lock:
            changes += 1
        if changes == last and how == "kill":
            os._exit(9)
        if changes == last:
            raise OSError(getattr(errno, how), os.strerror(getattr(errno, how)))

def listed(root):
    return {{
        path.relative_to(root).as_posix(): "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
    }}

def run(root, n):
    global last
    child = os.fork()
    if not child:
        code = 1
        try:
            os.chdir(root)
            if how == "bytes" and n is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (n, resource.RLIM_INFINITY))
            else:
                last = n
            write(root)
            code = 0 if n is None or how == "bytes" or changes >= n else 5
        except ExpclipError as error:
            print(json.dumps(error.as_typed), file=sys.stderr, flush=True)
            code = 3
        except BaseException as error:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

sys.addaudithook(count)
(folder / "start").mkdir()
os.chdir(folder / "start")
prepare(folder / "start")
found = {{"before": listed(folder / "start"), "stopped": [], "again": []}}
os.chdir(folder)
shutil.copytree(folder / "start", folder / "end", symlinks=True)
assert run(folder / "end", None) == 0
found["after"] = listed(folder / "end")
if how == "bytes":
    new = [name for name, what in found["after"].items() if what and found["before"].get(name) != what]
    numbers = sorted({{(folder / "end" / name).stat().st_size - 1 for name in new}} | {{0}})
for n in numbers or range(1, 1000):
    root = folder / str(n)
    shutil.copytree(folder / "start", root, symlinks=True)
    code = run(root, n)
    if code == 5:
        break
    assert code in {{"kill": (9,), "bytes": (3,)}}.get(how, (0, 3)), code
    found["stopped"].append(listed(root))
    assert run(root, None) == 0
    found["again"].append(listed(root))
print(json.dumps(found))
"""

Listing = dict[str, str]
"""Files and folders by their path, each with a digest of its content."""


@dataclass(frozen=True)
class Stopped:
    """What lay in the folder."""

    before: Listing
    stopped: list[Listing]
    """After each that was stopped."""
    again: list[Listing]
    """After the run that came next."""
    after: Listing
    """After a run that nothing stopped."""
    said: list[str]
    """The errors, as the command line shows them."""


def killed_at_every_change(folder: Path, steps: str) -> Stopped:
    """Kill what `steps` define as `write(root)`, on what they define as `prepare(root)`."""
    return _stopped(folder, steps, "kill")


def refused_at_every_change(folder: Path, steps: str, code: str = "ENOSPC") -> Stopped:
    """Let the disk refuse each change in turn, by default as one that is full."""
    return _stopped(folder, steps, code)


def refused_bytes(folder: Path, steps: str) -> Stopped:
    """Let no file have any byte, and then all but the last one of each file that is written, in turn."""
    return _stopped(folder, steps, "bytes")


def _stopped(folder: Path, steps: str, how: str) -> Stopped:
    command = [sys.executable, "-c", _SCRIPT.format(steps=steps), str(folder), how]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    said = [json.loads(line) for line in ran.stderr.splitlines()]
    return Stopped(**json.loads(ran.stdout.splitlines()[-1]), said=said)


def visible(listing: Listing) -> Listing:
    """What is not hidden, and does not lie in a hidden folder."""
    return {path: what for path, what in listing.items() if not any(part[0] == "." for part in Path(path).parts)}

"""All that takes too long for every change: `make torture`. It ends with how much was tried and what was wrong."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent.parent
KILLS = ("kill=0", "time=3")
REFUSALS = ("ENOSPC=8", "EDQUOT=8", "EIO=8", "EROFS=8", "bytes=0")
ROOM = ("space=8", "files=8")
ROUNDS = 100
FLIPS = ("cache/test_verify.py", "heads/test_damage.py")


def main() -> int:
    """The exit code: 1 where anything was wrong."""
    wrong = stopped("killed", *KILLS) + stopped("refused", *REFUSALS)
    wrong += stopped("full", *ROOM) if os.name != "nt" and os.geteuid() == 0 else 0
    wrong += together() + flipped()
    print("nothing was wrong" if not wrong else f"{wrong:,} wrong")
    return int(bool(wrong))


def stopped(word: str, *ways: str) -> int:
    """Stop every command in some ways; returns how often something was wrong."""
    scenes = lines("torture/torture.py", "--stops", *ways)
    for one in scenes:
        print(f"{one['scene']:24} {word} {one['stopped']:4} times, {one['changes']:4} changes, {one['seconds']:6} s")
        for fault in one["faults"]:
            print(f"  {fault}")
    faults = sum(len(one["faults"]) for one in scenes)
    print(
        f"{word} {sum(one['stopped'] for one in scenes):,} times by {' '.join(ways)}: {faults:,} wrong\n", flush=True
    )
    return faults


def together() -> int:
    """Let several processes fill one cache at once, again and again."""
    rounds = lines("pipeline/together.py", str(ROUNDS))
    bad = [one for one in rounds if set(one["codes"]) != {0} or not all(one["same"]) or one["left"]]
    twice = sum(max(one["encoded"] - one["missing"], 0) for one in rounds) / sum(one["missing"] for one in rounds)
    print(f"{len(rounds)} rounds of several processes: {len(bad)} wrong, {twice:.1%} of the rows encoded twice", *bad)
    return len(bad) + ROUNDS - len(rounds)


def flipped() -> int:
    """Flip every byte of a cache and of a head in all ways."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(str(TESTS / name) for name in FLIPS)]
    return subprocess.run(command, env=os.environ | {"TORTURE": "1"}).returncode


def lines(script: str, *words: str) -> list[dict]:
    """What a script prints when it works in a new folder. Raises CalledProcessError where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(TESTS / script), folder, *words]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in ran.stdout.splitlines()]


if __name__ == "__main__":
    sys.exit(main())

"""Stop every command that writes: `python torture.py FOLDER [--stops HOW=N …] [--seed N] [--scenes NAME …]`.

HOW is `kill`, an error such as `EIO`, `bytes`, `space`, `files` or `time` (see `Stop`), and N how often each command
is stopped so; 0 is at each of its changes to the disk. Each line that is printed is a scene as JSON: how many changes
its command makes, how often it was stopped, and what was wrong then. Children are forked after the imports, which
would take longer than all else.
"""

import argparse
import gc
import importlib
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from dying import KILLED, Ended, Stop, run, typed
from holds import State, look
from scenes import Scene, count_rows, lay_ground, make_small, scenes
from small_disk import SmallDisk

ROOM = ("space", "files")
_REFUSAL = re.compile(r"(?:error|not made anew: `.+`): cannot write ([^:]+): (.+), and run the command again")


class Stage:
    """A folder in which one scene is played again and again."""

    def __init__(self, work: Path, scene: Scene, disk: SmallDisk | None = None):
        self.scene, self._disk = scene, disk
        self._here, self._start, self._log = work / "disk/here", work / "made/start", work / "encoded"
        copy(work / "made/ground", self._start)
        scene.prepare(self._start)
        self._reset()
        self.before = look(self._here)
        self._log.unlink(missing_ok=True)
        self.whole = self._run(scene.words)
        self._encodes = self._log.exists()
        assert self.whole.code == 0, self.whole.said
        self.after = look(self._here)
        new = [path for path, what in self.after.files.items() if self.before.files.get(path) != what]
        self.room = {"space": sum(1 + (self._here / path).stat().st_size // 4096 for path in new) * 4096}
        self.room["files"] = len(new)

    def _reset(self) -> None:
        copy(self._start, self._here)

    def _run(self, words: str, stop: Stop | None = None) -> Ended:
        return run(typed(words), self._here, stop)

    def _stopped(self, stop: Stop) -> Ended:
        if self._disk is None or stop.how not in ROOM:
            return self._run(self.scene.words, stop)
        self._disk.leave(**{stop.how: stop.n})
        try:
            return self._run(self.scene.words)
        finally:
            self._disk.leave()

    def faults(self, stop: Stop) -> Iterator[str]:
        """Stop the command, look, run it again, and look: what was wrong."""
        self._reset()
        stopped = self._stopped(stop)
        found = look(self._here)
        yield from self._faults_of_end(stop, stopped, found)
        yield from self._faults_before(found)
        self._log.unlink(missing_ok=True)
        again = [self._run(words) for words in self.scene.then or [self.scene.words]][-1]
        if again.code and not (again.code == 2 and self._is_over(found)):
            yield f"then it ends with {again.code}: {again.said[-300:]}"
        yield from self._faults_after(found, look(self._here))

    def _is_over(self, found: State) -> bool:
        """Whether there is nothing more to do, or something is gone that the command is told to remove."""
        is_gone = self.scene.removes and self.before.visible.keys() != found.visible.keys()
        return is_gone or found.visible == self.after.visible

    def _faults_of_end(self, stop: Stop, ended: Ended, found: State) -> Iterator[str]:
        """A command that is refused something says so in one line, or does not need it."""
        unlike = [path for path in _unlike(found.visible, self.after.visible) if path not in self.scene.grows]
        if ended.code == 0 and unlike:  # what a cache remembers of files may be lost
            yield f"it ended well, with something else: {unlike}"
        if ended.code in (0, KILLED if stop.how in ("kill", "time") else 0):
            return
        lines = ended.said.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        errors = errors or [line for line in lines if line.startswith("not made anew: ")][:1]
        told = _REFUSAL.match(errors[0] if errors else "")
        if ended.code != 1 or len(errors) != 1 or told is None or "Traceback" in ended.said:
            yield f"it ended with {ended.code}: {ended.said[-1500:]}"
        elif "choose another" in told[2] and not told[2].endswith(f" with {self._what_chooses(told[1])}"):
            yield f"another option chooses another place: {errors[0]}"

    def _what_chooses(self, place: str) -> str:
        """The option or variable that chooses another place than this."""
        if (self._here / place).is_relative_to(self._here / "cache"):
            return "--cache"
        return "$TMPDIR" if place == tempfile.gettempdir() else self.scene.chosen_by

    def _faults_before(self, found: State) -> Iterator[str]:
        """Files are the old ones or the new ones, those of results all at once; nothing is damaged by a stop."""
        for path, what in found.visible.items():
            known = (self.before.visible.get(path), self.after.visible.get(path))
            if what and what not in known and path not in self.scene.grows:
                yield f"{path} is neither the old one nor the new one"
        place = self.scene.at_once
        if place and found.below(place) not in ({}, self.before.below(place), self.after.below(place)):
            yield f"{place} is neither as before nor as after: {_unlike(found.below(place), self.after.below(place))}"
        if found.damage - self.before.damage:
            yield f"damaged: {sorted(found.damage - self.before.damage)}"

    def _faults_after(self, found: State, last: State) -> Iterator[str]:
        """All is as if it had never been stopped, and what was finished was not made again."""
        if last.left_behind:
            yield f"left behind: {last.left_behind}"
        is_gone = self.scene.removes and last.visible == found.visible
        if last.visible != self.after.visible and not is_gone:
            yield f"then it is not as never stopped: {_unlike(last.visible, self.after.visible)}"
        if last.damage - self.after.damage:
            yield f"then damaged: {sorted(last.damage)}"
        replaced = [path for path, one in found.identities.items() if last.identities.get(path, one) != one]
        again = [path for path in replaced if found.files[path] == self.after.files.get(path)]
        if again:
            yield f"made again: {again}"
        missing = Counter({store: rows - found.done[store] for store, rows in self.after.done.items()})
        encoded = self._encoded()
        if self._encodes and not found.damage and encoded != +missing:
            yield f"encoded {dict(encoded)}, and {dict(+missing)} were missing"

    def _encoded(self) -> Counter:
        """Rows by store."""
        encoded: Counter = Counter()
        for line in self._log.read_text().splitlines() if self._log.exists() else ():
            store, rows = json.loads(line)
            encoded[store] += rows
        return encoded

    def stops(self, how: str, count: int, chance: random.Random) -> list[Stop]:
        """Where a scene is stopped: at all places, or at some that are spread over it."""
        if how == "time":
            return [Stop(how, chance.uniform(0, self.whole.seconds)) for _ in range(count)]
        if how == "bytes":
            return [Stop(how, n) for n in (0, 40, 700, 1500, 3000, 9000)[: count or None]]
        every: Sequence[int] = range(1, self.whole.changes + 1)
        if how in ROOM:
            every = range(0, self.room[how], 4096 if how == "space" else 1) or (0,)
        count = min(count, len(every)) if count else len(every)
        first = chance.random()
        return [Stop(how, every[int((k + first) * len(every) / count)]) for k in range(count)]


def _unlike(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))[:9]


def copy(source: Path, target: Path) -> None:
    """Put a copy of a folder in the place of another."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


def warm(work: Path, asked: Sequence[Scene]) -> None:
    """Import what the commands import, so that no child does."""
    here, named = work / "made/here", work / "modules"
    for scene in asked:
        copy(work / "made/ground", here)
        scene.prepare(here)

        def act(scene: Scene = scene) -> None:
            try:
                typed(scene.words)()
            finally:
                named.write_text("\n".join(list(sys.modules)))

        run(act, here)
        for name in named.read_text().splitlines():
            if name not in sys.modules and name != "__mp_main__":
                with suppress(Exception):
                    importlib.import_module(name)


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("folder", type=Path)
    asked.add_argument("--scenes", nargs="+")
    asked.add_argument("--stops", nargs="+", default=["kill=0"])
    asked.add_argument("--seed", type=int, default=0)
    options = asked.parse_args()
    how = {name: int(count) for name, count in (text.split("=") for text in options.stops)}
    work, chance = options.folder.resolve(), random.Random(options.seed)
    torch.set_num_threads(1)
    make_small()
    count_rows(work / "encoded")
    lay_ground(work)
    played = [one for one in scenes(work / "made/ground") if not options.scenes or one.name in options.scenes]
    warm(work, played)
    gc.freeze()  # children copy what a collection touches
    disk = SmallDisk(work / "disk") if any(name in how for name in ROOM) else None
    try:
        for scene in played:
            play(work, scene, disk, how, chance)
    finally:
        if disk is not None:
            disk.unmount()


def play(work: Path, scene: Scene, disk: SmallDisk | None, how: dict[str, int], chance: random.Random) -> None:
    """Stop one scene in some ways, and print what came of it."""
    started = time.monotonic()
    stage = Stage(work, scene, disk)
    stops = [stop for name, count in how.items() for stop in stage.stops(name, count, chance)]
    faults = [f"{stop}: {fault}" for stop in stops for fault in stage.faults(stop)]
    told = {"scene": scene.name, "changes": stage.whole.changes, "stopped": len(stops), "faults": faults}
    print(json.dumps(told | {"seconds": round(time.monotonic() - started, 1)}), flush=True)


if __name__ == "__main__":
    main()

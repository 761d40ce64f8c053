"""Processes that fill one cache at once, some of them slow now and then.

`python together.py FOLDER ROUNDS [SEED [lawless]]`: the lawless claim whatever they like. Each line that it prints is
a round: exit codes, rows encoded, whether the stores equal those that one process makes alone. Children are forked
after the imports, which would take longer than all else.
"""

import json
import os
import random
import shutil
import sys
import time
from pathlib import Path

import expclip.cache.header
import numpy as np
import zarr
import zarr.codecs  # noqa: F401
from conftest import save_pictures
from expclip.cache.cache import Cache
from expclip.cache.claims import Claims
from expclip.manifests.readers import read_plain_folder
from expclip.pipeline import run_local  # noqa: F401
from expclip.pipeline.executors import RunOptions, run_plan
from expclip.pipeline.plan import Portion, Wanted, make_plan
from fake_encoders import calls, language_node, pixels_node

SHARDS, SHARD_ROWS = 40, 8
_ACTS = ("open", "os.rename", "os.remove", "os.link", "os.mkdir")
_SLOW = 0.02
"""Share of disk operations that a delay goes before."""


def nodes(log: Path) -> dict:
    tokens = pixels_node(log, "query_tokens")
    return {"image": pixels_node(log), "tokens": tokens, "llm": language_node(log, tokens)}


PARTIES = [
    [(("image", "llm"), (1, 1))] * 2,
    [(("image", "llm"), (1, 1))] * 3,
    [(("image",), (1, 2)), (("image",), (2, 2))],
    [(("image", "tokens"), (1, 1)), (("llm",), (1, 1)), (("image",), (1, 2))],
    [(("tokens",), (1, 1)), (("tokens", "llm"), (2, 3)), (("llm",), (1, 1))],
]
"""What each process of a round is asked for: nodes, and which part."""


def extract(root: Path, cache: Path, log: Path, names, part) -> None:
    known = nodes(log)
    into = Cache(cache)
    wanted = [Wanted(read_plain_folder("pictures", root / "pictures"), tuple(known[name] for name in names))]
    run_plan(into, make_plan(into, wanted, Portion(part=part), "cpu"), wanted, RunOptions(batch_size=3, workers=0))
    lines = make_plan(into, wanted, Portion(part=part), "cpu").lines
    assert all(not line.to_do for line in lines if line.node.name != "query_tokens" or "tokens" in names)


def slow_now_and_then(seed: int) -> None:
    """From now on this process waits before some of what it does with the disk."""
    chance = random.Random(seed)

    def wait(event, arguments):
        if event in _ACTS and chance.random() < _SLOW:
            time.sleep(chance.random() * 0.02)

    sys.addaudithook(wait)


def fork(action) -> int:
    child = os.fork()
    if child:
        return child
    code = 9
    try:
        action()
        code = 0
    except BaseException as error:  # which the parent must hear of
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def play(root: Path, number: int, seed: int) -> dict:
    cache, log, party = root / f"cache-{number}", root / f"log-{number}", PARTIES[number % len(PARTIES)]

    def take_part(one: int) -> None:
        slow_now_and_then(seed * 1000 + number * 10 + one)
        extract(root, cache, log, *party[one])

    children = [fork(lambda one=one: take_part(one)) for one in range(len(party))]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    alone = Cache(root / "alone")
    same = [
        np.array_equal(store.read()[rows], whole.read()[rows], equal_nan=True)
        for store in Cache(cache).stores()
        for whole in [alone.open_store(store.header)]
        if whole is not None
        for rows in [np.isfinite(store.read().reshape(store.header.rows, -1)[:, 0])]
    ]
    missing = sum(store.rows_done() for store in Cache(cache).stores())
    left = [str(path.name) for path in cache.rglob("*") if ".claim" in path.name or path.name[0] == "."]
    left = [name for name in left if name not in (".expclip-output",)]
    shutil.rmtree(cache)
    return {"codes": codes, "same": same, "encoded": sum(calls(log).rows.values()), "missing": missing, "left": left}


def main() -> None:
    root, rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), int((sys.argv[3:] or ["0"])[0])
    if "lawless" in sys.argv:
        Claims._take = lambda self, file: True
    expclip.cache.header.SHARD_ROWS = SHARD_ROWS
    save_pictures(root / "pictures", SHARDS * SHARD_ROWS)
    extract(root, root / "alone", root / "log", ("image", "tokens", "llm"), (1, 1))
    for number in range(rounds):
        print(json.dumps(play(root, number, seed)), flush=True)


if __name__ == "__main__":
    main()

"""Encoders that write down every call in a file, compute something simple, and fail when they are told to.

The file is shared by threads and processes; the module is imported by Dask's workers too.
"""

import os
import signal
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from expclip.encoders.node import Node
from expclip.encoders.squash import Squash

SIZE = 4
"""Side of the squashed images; the test images have it already, so that their pixels are the encoder's input."""
WIDTH = 5
GATE = threading.Event()
"""What an encoder in the same process may be told to wait for."""
TOKENS = (2, 3)


def image_features(pixels: np.ndarray) -> np.ndarray:
    """(n, 5) float32, not representable in float16."""
    return pixels.reshape(len(pixels), -1)[:, :WIDTH].astype(np.float32) / 7 + 1e-4


def token_features(pixels: np.ndarray) -> np.ndarray:
    """(n, 2, 3) float32, not representable in float16."""
    return pixels.reshape(len(pixels), -1)[:, 6:12].reshape(-1, *TOKENS).astype(np.float32) / 11 + 1e-4


def language_features(tokens: np.ndarray, factor: float) -> np.ndarray:
    """(n, 5) float32: sums of tokens; they show in which precision the tokens came."""
    flat = tokens.astype(np.float64).reshape(len(tokens), -1)
    return np.stack([flat[:, k] * factor * 100 for k in range(WIDTH)], axis=1).astype(np.float32)


def text_features(texts: list[str]) -> np.ndarray:
    return np.array([[len(text), *range(1, WIDTH)] for text in texts], np.float32)


@dataclass(frozen=True)
class Trouble:
    """What happens at the n-th batch that an encoder sees, counted from 1 over all processes."""

    batch: int
    what: str
    """nan, inf, overflow, constant, few, interrupt, kill, error, wait."""


class Encoder:
    def __init__(self, name: str, function, log: Path, trouble: Trouble | None, device: str):
        self._name, self._function, self._log, self._trouble = name, function, log, trouble
        note(log, f"load {name} {os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}")

    def __call__(self, inputs) -> np.ndarray:
        note(self._log, f"batch {self._name} {len(inputs)}")
        features = self._function(inputs)
        trouble = self._trouble
        if trouble is None or calls(self._log).batches[self._name] < trouble.batch:
            return features
        if trouble.what == "constant":
            return np.ones_like(features)
        if calls(self._log).batches[self._name] > trouble.batch:
            return features
        if trouble.what == "interrupt":
            raise KeyboardInterrupt
        if trouble.what == "error":
            raise ValueError("the encoder broke")
        if trouble.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble.what == "wait":
            assert GATE.wait(60)
            return features
        if trouble.what == "few":
            return features[:1]
        features[-1, ..., -1] = {"nan": np.nan, "inf": np.inf, "overflow": 1e6}[trouble.what]
        return features


def note(log: Path, line: str) -> None:
    with log.open("a") as file:
        file.write(line + "\n")


@dataclass
class Calls:
    """What a log tells."""

    loads: Counter = field(default_factory=Counter)
    """By encoder."""
    batches: Counter = field(default_factory=Counter)
    rows: Counter = field(default_factory=Counter)
    processes: set[tuple[str, str]] = field(default_factory=set)
    """(encoder, process) of each load."""
    gpus: Counter = field(default_factory=Counter)
    """Processes by the GPU that they see, of those that loaded an encoder."""
    decodes: int = 0


def calls(log: Path) -> Calls:
    told = Calls()
    for line in log.read_text().splitlines() if log.exists() else ():
        kind, *rest = line.split()
        if kind == "load":
            told.loads[rest[0]] += 1
            told.processes.add((rest[0], rest[1]))
            told.gpus[rest[2]] += 1
        elif kind == "batch":
            told.batches[rest[0]] += 1
            told.rows[rest[0]] += int(rest[1])
        else:
            told.decodes += 1
    return told


def pixels_node(log: Path, name: str = "clip_image", trouble: Trouble | None = None, **spec) -> Node:
    function, shape = {"clip_image": (image_features, (WIDTH,)), "query_tokens": (token_features, TOKENS)}[name]
    return Node(
        name=name,
        model="fake",
        spec={"node": name, **spec},
        row_shape=shape,
        input="pixels",
        load=partial(Encoder, name, function, log, trouble),
        squash=Squash(SIZE, honour_orientation=False),
    )


def language_node(log: Path, parent: Node, instruction: str = "one", trouble: Trouble | None = None) -> Node:
    factor = {"one": 1.0, "two": 2.0}[instruction]
    return Node(
        name="llm",
        model="fake",
        spec={"node": "llm", "input": parent.digest, "instruction": instruction},
        row_shape=(WIDTH,),
        input="query_tokens",
        load=partial(Encoder, f"llm-{instruction}", partial(language_features, factor=factor), log, trouble),
        instruction=instruction,
        parent=parent,
    )


def text_node(log: Path) -> Node:
    return Node(
        name="clip_text",
        model="fake",
        spec={"node": "clip_text"},
        row_shape=(WIDTH,),
        input="text",
        load=partial(Encoder, "clip_text", text_features, log, None),
    )

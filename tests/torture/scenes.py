"""Small runs of every command that writes, each on a folder that is made ready for it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from dying import run, typed
from expclip.aside import beside
from expclip.manifests.classes import CLASSES
from expclip.manifests.faces import draw_face, sample_face, sets
from PIL import Image

ROWS, SHARD_ROWS = 20, 8
_HERE = "--cache cache"
_MODELS = f"--clip miniature --teacher miniature {_HERE}"
_HOW = "--device cpu --workers 0"
_NODES = ("clip_image", "query_tokens", "llm")
_SCORES = f"evaluate ../../data --clip miniature {_HOW} {_HERE}"
_FIGURES = f"figures ../../data --clip miniature --prompts P-1 {_HERE}"
_TABLES = f"--test raf-db --out tables {_HERE}"
_FIT = f"fit-head --train ../../data {_MODELS} --epochs 2 --batch-size 8 --device cpu"
_BY_EPOCHS = (
    f"fit-head --train ../../data --clip miniature {_HERE} --head coop --batch-size 8 --epochs 4 --device cpu"
)
_REPAIR = f"cache repair --run --device cpu {_HERE}"


def _nothing(root: Path) -> None:
    pass


@dataclass(frozen=True)
class Scene:
    """A command, and the folder that it works in."""

    name: str
    words: str
    """As they are typed."""
    prepare: Callable[[Path], None] = _nothing
    """Changes a copy of what `lay_ground` made."""
    at_once: str = ""
    """The file or folder of results that is the old one, the new one or absent; elsewhere that holds of each file."""
    chosen_by: str = "--out"
    """What chooses another place for what does not lie in the cache."""
    grows: tuple[str, ...] = ("cache/weights.json",)
    """Files that get line after line, or remember more and more."""
    then: tuple[str, ...] = ()
    """What is typed after it was stopped: by default the same again."""
    removes: bool = False
    """What it is told to remove by name, so that it may find nothing of that name when it is typed again."""


def lay_ground(work: Path) -> None:
    """Make data, and `work/made/ground` with a cache of features and heads, results and files of all commands."""
    for k in range(ROWS):
        face = sample_face(2, k, k % 7)
        path = work / "data" / CLASSES[k % 7] / f"{k:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_face(face.action_units, face.appearance, face.view, 32)).save(path)
    ground = work / "made/ground"
    ground.mkdir(parents=True)
    for k in range(3):
        noise = np.random.default_rng(k).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        (work / "scenes").mkdir(exist_ok=True)
        Image.fromarray(noise).save(work / "scenes" / f"{k}.png")
    (work / "boxes.txt").write_text("".join(f"{k}.png 2 2 30 30\n" for k in range(3)))
    torch.save({"visual.proj": torch.ones(8, 4), "text_projection": torch.ones(4, 4)}, work / "clip.pt")
    for words in (
        _extracting("../../data --batch-size 8", *_NODES),
        f"{_FIT} --seed 1",
        f"{_SCORES} --prompts P-1 --predictions csv --figures --out results",
        f"{_FIGURES} --kind confusion --out figures",
        f"reproduce 1 {_TABLES}",
        f"cache export clip_image ../../images.h5 {_HERE}",
    ):
        _do(words, ground)
    _do(f"heads export {_head(ground)} ../../head.safetensors {_HERE}", ground)
    for place in ("results", "results/figures", "figures", "tables"):
        (ground / place / "mine.txt").write_text("mine")


def _do(words: str, ground: Path) -> None:
    ended = run(typed(words), ground)
    assert ended.code == 0, ended.said


def _extracting(data: str, *nodes: str) -> str:
    return " ".join(["extract", data, _MODELS, _HOW, *(f"--features {node}" for node in nodes)])


def _head(root: Path) -> str:
    return next(path.name for path in (root / "cache/heads").iterdir())


def _without(*places: str) -> Callable[[Path], None]:
    def prepare(root: Path) -> None:
        for place in places:
            shutil.rmtree(root / place)

    return prepare


def _rubbish(root: Path) -> None:
    """What a process left behind that cannot be running, and receipts without their store."""
    for final in (root / "cache/data/a.zarr", root / "cache/heads/b"):
        left = beside(final)
        left = left.with_name(left.name.replace(left.name.split("-")[-3], "ffffffff"))
        left.mkdir()
        (left / "zarr.json").write_text("{")
    (root / "cache/data/gone.receipts").mkdir()
    (root / "cache/data/gone.receipts/00000.json").write_text("{}")


def _damaged(root: Path) -> None:
    """A flipped bit in a shard and in a receipt, a head without its card, and notes that are cut short."""
    cache = root / "cache"
    (tokens,) = cache.glob("data/query_tokens-*.zarr")
    _flip(next(file for file in (tokens / "features/c/1").rglob("*") if file.is_file()))
    (images,) = cache.glob("data/clip_image-*.receipts")
    _flip(images / "00000.json")
    (language,) = cache.glob("data/llm-*.zarr")
    _flip(language / "features/zarr.json")
    next((cache / "heads").glob("*/head.safetensors")).write_bytes(b"")


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def scenes(ground: Path) -> list[Scene]:
    """One for each command that writes, some with and without earlier results."""
    head, anew = _head(ground), _extracting(str(ground.parents[1] / "data"), *_NODES)  # as repair names it
    scored = f"{_SCORES} --prompts P-3 --out results"
    convert = "weights convert clip ../../clip.pt --out clip.safetensors"
    data = "../../data --batch-size 8"
    return [
        Scene("extract", _extracting(data, "clip_image", "query_tokens"), _without("cache")),
        Scene("extract the rest", _extracting(data, *_NODES), _half),
        Scene("draw faces", f"extract faces-test --clip miniature {_HOW} {_HERE}", _without("cache")),
        Scene("fit-head", f"{_FIT} --seed 1 --seed 2", _without("cache/heads")),
        Scene("fit-head by epochs", _BY_EPOCHS),
        Scene("evaluate", scored, _without("results", "cache/text"), at_once="results"),
        Scene("evaluate again", scored, at_once="results"),
        Scene("figures", f"{_FIGURES} --kind confusion --head none", at_once="expclip-figures"),
        Scene("figures again", f"{_FIGURES} --kind tsne --out figures", at_once="figures"),
        Scene("reproduce", f"reproduce 2 {_TABLES}", at_once="tables"),
        Scene(
            "crop", "crop ../../scenes --out crops --boxes ../../boxes.txt --workers 0", grows=("crops/crops.csv",)
        ),
        Scene("cache export", f"cache export query_tokens tokens.h5 {_HERE}", at_once="tokens.h5", chosen_by="FILE"),
        Scene("cache import", f"cache import ../../images.h5 {_HERE}", _without("cache")),
        Scene("heads export .pth", f"heads export {head} a.pth {_HERE}", at_once="a.pth", chosen_by="FILE"),
        Scene(
            "heads export", f"heads export {head} a.safetensors {_HERE}", at_once="a.safetensors", chosen_by="FILE"
        ),
        Scene("heads import", f"heads import ../../head.safetensors {_HERE}", _without("cache/heads")),
        Scene("heads rm", f"heads rm {head} {_HERE}", removes=True),
        Scene("cache rm", f"cache rm query_tokens llm {_HERE}", removes=True),
        Scene("cache rm of a data set", f"cache rm data {_HERE}", removes=True),
        Scene("cache gc", f"cache gc --delete {_HERE}", _rubbish),
        Scene("cache repair", f"cache repair {_HERE}", _damaged),
        Scene("cache repair --run", _REPAIR, _damaged, then=(_REPAIR, anew, f"{_FIT} --seed 1")),
        Scene("weights convert", convert, at_once="clip.safetensors"),
    ]


def _half(root: Path) -> None:
    """The features of an extraction that was stopped: a store is whole, another has a shard, the third is missing."""
    cache = root / "cache"
    for path in [*cache.glob("data/llm-*"), cache / "heads"]:
        shutil.rmtree(path)
    (tokens,) = cache.glob("data/query_tokens-*.receipts")
    for shard in ("00001", "00002"):
        (tokens / f"{shard}.json").unlink()


def make_small() -> None:
    """Shards of few rows, and built-in sets of few faces, drawn in this process."""
    import expclip.cache.header

    expclip.cache.header.SHARD_ROWS = SHARD_ROWS
    sets.SETS = {"faces-test": sets.LabelledSet(count=9, seed=2202)}
    joblib.parallel_config(backend="sequential")


def count_rows(log: Path) -> None:
    """Note in a file which rows are encoded, by store."""
    from expclip.pipeline import work

    encode = work._ShardWork.encode

    def counted(self: Any, encoder: Any, rows: np.ndarray, inputs: Any) -> None:
        path = self.store.path
        with log.open("a") as file:
            file.write(json.dumps([f"{path.parent.name}/{path.name}", len(rows)]) + "\n")
        encode(self, encoder, rows, inputs)

    work._ShardWork.encode = counted

"""A cache of the paper's size with random features: eight test sets, the training set's images, prompts and heads."""

from dataclasses import replace
from pathlib import Path

import expclip.manifests.manifest as manifests
import numpy as np
from expclip.cache.cache import TEXT, Cache
from expclip.encoders.families import Models
from expclip.encoders.node import Node
from expclip.heads.saving import HeadCard, head_id, save_head
from expclip.manifests.classes import CLASSES
from expclip.manifests.manifest import File, Manifest, Sample, clip_manifest, image_manifest, text_manifest
from expclip.manifests.prompts import PROMPT_SETS, prompt_set
from expclip.pipeline.plan import header_of

CLIP = "ViT-L-14@random"
STILLS = {"raf-db": (3068, 7), "affectnet-7": (3499, 7), "affectnet-8": (3999, 8), "ferplus": (3137, 8)}
"""Images and classes."""
CLIPS = {"dfew": (5, 2340, 7), "mafw": (5, 1834, 11), "ferv39k": (1, 7847, 7), "afew": (1, 381, 7)}
"""Folds, clips a fold, and classes."""
SETS = (*STILLS, *CLIPS)
L, TEACHER_WIDTH = 768, 4096


def make_cache(root: Path, heads: int) -> Path:
    """Write the cache below `root`; returns its folder."""
    cache, rng = Cache(root / "cache"), np.random.default_rng(0)
    models = Models(asked_device="cpu")
    images = models.node("clip_image", CLIP)
    texts = models.node("clip_text", CLIP, dtype=str(images.spec["precision"]))
    cache.mark()
    for manifest in (*map(_stills, STILLS), *map(_clips, CLIPS)):
        _fill(cache, manifest, images, rng)
    prompts = dict.fromkeys(text for name in PROMPT_SETS for text in prompt_set(name).texts)
    _fill(cache, text_manifest(TEXT, (TEXT,), [(text, 0) for text in prompts]), texts, rng)
    for seed in range(heads):
        spec = {"head": "linear", "seed": seed, "of": "random numbers"}
        card = HeadCard(
            head_id(spec),
            "linear",
            "infonce",
            CLIP,
            images.digest,
            "none",
            "none",
            "released",
            "none",
            seed,
            True,
            spec,
        )
        weight = rng.uniform(-(L**-0.5), L**-0.5, (TEACHER_WIDTH, L)).astype(np.float32)
        save_head(cache.heads, card, {"weight": weight})
    return cache.root


def _stills(name: str) -> Manifest:
    n, classes = STILLS[name]
    rng = np.random.default_rng(len(name))
    samples = [Sample(str(k), f"{k:06d}.jpg", int(rng.integers(classes))) for k in range(n)]
    return _elsewhere(lambda root: image_manifest(name, CLASSES[:classes], samples, root))


def _clips(name: str) -> Manifest:
    folds, n, classes = CLIPS[name]
    rng = np.random.default_rng(len(name))
    samples = [
        Sample(f"{fold}/{k:05d}", f"{fold}/{k:05d}", int(rng.integers(classes)), fold, int(rng.integers(10, 120)))
        for fold in (range(1, folds + 1) if folds > 1 else (0,))
        for k in range(n)
    ]

    def frames(sample: Sample, numbers: list[int]) -> list[File]:
        return [File(f"{sample.source}/{number:05d}.jpg", 1000) for number in numbers]

    return _elsewhere(lambda root: clip_manifest(name, CLASSES[:classes], samples, root, frames))


def _elsewhere(make) -> Manifest:
    """A manifest whose files are on no disk: they all have one size."""
    real, manifests.size_of = manifests.size_of, lambda root, source: 1000
    try:
        manifest = make(Path("/nowhere"))
    finally:
        manifests.size_of = real
    return replace(manifest, origin=manifests.Origin(folder=manifest.name))


def _fill(cache: Cache, manifest: Manifest, node: Node, rng: np.random.Generator) -> None:
    cache.save_manifest(manifest)
    header = header_of(manifest, node)
    store = cache.create_store(header)
    block = rng.standard_normal((1024, *header.row_shape), dtype=np.float32).astype(np.float16)
    for shard in range(header.shards):
        rows = len(header.shard_rows(shard))
        store.write_shard(shard, np.roll(block[:rows], shard, axis=-1))

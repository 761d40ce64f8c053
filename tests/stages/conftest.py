"""Counting model work."""

from collections import Counter

import pytest
from expclip.encoders.blip2.sides import ImageSide, TextSide
from expclip.encoders.clip.towers import ImageTower, TextTower
from expclip.pipeline import decode_file


@pytest.fixture
def work(monkeypatch) -> Counter:
    """Counts models loaded and inputs encoded, by encoder: `ImageTower loaded`, `ImageTower inputs`, …"""
    counts: Counter = Counter()

    def counting(encoder):
        load, call = encoder.__init__, encoder.__call__

        def counted_load(self, *args, **kwargs):
            counts[f"{encoder.__name__} loaded"] += 1
            load(self, *args, **kwargs)

        def counted_call(self, batch):
            counts[f"{encoder.__name__} inputs"] += len(batch)
            return call(self, batch)

        monkeypatch.setattr(encoder, "__init__", counted_load)
        monkeypatch.setattr(encoder, "__call__", counted_call)

    for encoder in (ImageTower, TextTower, ImageSide, TextSide):
        counting(encoder)
    return counts


@pytest.fixture
def decoded(monkeypatch) -> Counter:
    """Counts how often each file is decoded in this process."""
    counts: Counter = Counter()
    read_pictures = decode_file.read_pictures

    def counting(path, *args):
        counts[path] += 1
        return read_pictures(path, *args)

    monkeypatch.setattr(decode_file, "read_pictures", counting)
    return counts


@pytest.fixture
def dfew(tmp_path, save_face):
    """35 clips of two frames, a class in each fold once, by lists of test and of train parts."""
    root, fold_of = tmp_path / "dfew", {}
    for k in range(35):
        fold_of[f"Clip/{k} {k % 7}"] = 1 + k // 7
        for frame in range(2):
            save_face(root / f"Clip/{k} {k % 7}" / f"{frame}.png", 6, 2 * k + frame, k % 7, size=32)
    for fold in range(1, 6):
        for part in ("test", "train"):
            of_part = [clip for clip, of in fold_of.items() if (of == fold) == (part == "test")]
            lines = [f"{clip} 2 {clip.rpartition(' ')[2]}" for clip in of_part]
            (root / f"dfew-{part}-{fold}.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return root

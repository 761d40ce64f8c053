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

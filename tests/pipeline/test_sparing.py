"""Memory that is not enough for a batch: it is taken in halves, and the results are the same."""

import weakref
from typing import ClassVar

import numpy as np
import pytest
import torch
from expclip.encoders.node import Node
from expclip.errors import ExpclipError
from expclip.pipeline import sparing
from expclip.pipeline.sparing import Sparing


class Hungry:
    """Takes some inputs at once; of more it says what a library says."""

    def __init__(self, most: int, error: Exception):
        self.most, self.error, self.sizes = most, error, []

    def __call__(self, batch):
        self.sizes.append(len(batch))
        if len(batch) > self.most:
            raise self.error
        return np.array([[len(one)] if isinstance(one, str) else [one.sum()] for one in batch], dtype=np.float32)


TOO_MUCH = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GiB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", TOO_MUCH, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_a_batch_that_is_too_much_is_taken_in_halves_and_later_ones_too(error, most):
    hungry, batch = Hungry(most, error), np.arange(13.0)[:, None]
    spare = Sparing("clip_image", hungry, "cuda")
    np.testing.assert_array_equal(spare(batch), batch)
    assert spare.most == {1: 1, 2: 1, 3: 3, 7: 6}[most]
    hungry.sizes.clear()
    np.testing.assert_array_equal(spare(batch), batch)
    assert max(hungry.sizes) == spare.most and sum(hungry.sizes) == 13


def test_texts_are_taken_so_too():
    assert Sparing("clip_text", Hungry(2, MemoryError()), "cpu")(["a", "bb", "ccc"]).ravel().tolist() == [1, 2, 3]


def test_what_is_not_too_much_is_one_batch():
    hungry = Hungry(9, MemoryError())
    Sparing("clip_image", hungry, "cpu")(np.ones((5, 1)))
    assert hungry.sizes == [5]


def test_a_single_input_that_is_too_much_is_one_line():
    with pytest.raises(ExpclipError, match="clip_image: the memory of cuda is not enough for a single input: choose"):
        Sparing("clip_image", Hungry(0, MemoryError()), "cuda")(np.ones((5, 1)))


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Sparing("clip_image", Hungry(0, RuntimeError("mat1 and mat2 shapes cannot be multiplied")), "cpu")(np.ones(3))


def test_an_extraction_goes_on_with_smaller_batches_and_says_so(lab, photos, monkeypatch, capsys):
    expected = lab.but(cache=lab.cache.root.parent / "enough")
    expected.extract(photos, clip="miniature", features="clip_image", batch_size=16)
    load = sparing.load

    def hungry(node, device):
        spare, own = load(node, device), None
        own, spare._encoder = spare._encoder, lambda batch: own(batch) if len(batch) <= 5 else short()
        return spare

    def short():
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(sparing, "load", hungry)
    lab.extract(photos, clip="miniature", features="clip_image", batch_size=16)
    assert "the memory allowed 4 rows at a time: a batch size of 4 begins so" in capsys.readouterr().err
    (store,) = lab.cache.stores()
    assert {one.batch_size for one in store.finished().values()} == {4}
    found, same = (one.open_features(str(photos), model="miniature").array for one in (lab, expected))
    np.testing.assert_allclose(found.astype(np.float32), same.astype(np.float32), atol=2e-3)


def test_weights_that_are_too_much_are_one_line(lab, photos, monkeypatch):
    from expclip.encoders.clip import clip_nodes

    def too_much(*given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(clip_nodes, "_image_tower", too_much)
    with pytest.raises(ExpclipError, match="miniature: the memory of cpu is not enough for its weights"):
        lab.extract(photos, clip="miniature", features="clip_image")


class Steady:
    """Takes a time that a clock of its own shows; some sizes are as fast as they will get."""

    def __init__(self, best: int, most: int = 10**9):
        self.best, self.most, self.now, self.sizes = best, most, 0.0, []

    def __call__(self, batch):
        self.sizes.append(len(batch))
        if len(batch) > self.most:
            raise MemoryError
        self.now += 1 + 9 * (self.sizes[:-1] == []) if len(batch) <= self.best else len(batch) / self.best
        return np.asarray(batch, dtype=np.float32)


def grown(monkeypatch, steady, batches=12, rows=512, start=32):
    spare, batch = Sparing("clip_image", steady, "cuda"), np.arange(float(rows))[:, None]
    monkeypatch.setattr(sparing.time, "perf_counter", lambda: steady.now)
    spare.grow_from(start)
    for _ in range(batches):
        np.testing.assert_array_equal(spare(batch), batch)
    return spare


@pytest.mark.parametrize(("best", "found"), [(32, 32), (64, 64), (128, 128), (256, 256), (20, 32)])
def test_batches_grow_as_long_as_that_is_faster(monkeypatch, best, found):
    steady = Steady(best)
    assert grown(monkeypatch, steady).most == found
    assert max(steady.sizes) == 2 * found
    assert set(steady.sizes[-512 // found :]) == {found}


def test_batches_grow_until_the_memory_says_stop(monkeypatch):
    steady = Steady(10**6, most=200)
    assert grown(monkeypatch, steady).most == 128
    assert steady.sizes.count(256) == 1


def test_batches_grow_up_to_what_is_decoded_at_once(monkeypatch):
    steady = Steady(10**6)
    grown(monkeypatch, steady)
    assert steady.sizes[-3:] == [512, 512, 512]


def test_what_is_under_way_comes_when_it_is_asked_for():
    class Working:
        log: ClassVar[list[str]] = []

        def begin(self, batch):
            self.log.append(f"begin {len(batch)}")
            return lambda: (self.log.append(f"fetch {len(batch)}"), np.asarray(batch))[1]

    spare = Sparing("clip_image", Working(), "cuda")
    spare.most = 2
    coming = spare.begin(np.arange(3.0)[:, None])
    assert Working.log == ["begin 2", "begin 1"]
    assert coming().ravel().tolist() == [0, 1, 2]
    assert Working.log[2:] == ["fetch 2", "fetch 1"]


def node_of(name: str, takes: str, room: list[str], most: int):
    def load(device):
        if len(room) >= most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        room.append(name)
        encoder = Hungry(9, MemoryError())
        weakref.finalize(encoder, room.remove, name)
        return encoder

    return Node(name, "some", {"name": name}, (1,), takes, load)


def test_an_encoder_of_other_inputs_leaves_where_the_memory_is_not_enough_for_both():
    room: list[str] = []
    clip, eyes, words = (
        node_of(name, takes, room, 2)
        for name, takes in (("clip_image", "pixels"), ("query_tokens", "pixels"), ("llm", "query_tokens"))
    )
    loaded = sparing.Loaded("cuda", False)
    first = weakref.ref(loaded(clip))
    assert loaded(clip) is first() and loaded(eyes) and room == ["clip_image", "query_tokens"]
    assert loaded(words) is loaded(words)
    assert room == ["llm"] and first() is None
    assert loaded(clip) and loaded(eyes)
    assert room == ["clip_image", "query_tokens"]


def test_encoders_of_the_same_inputs_stay_together_or_it_is_one_line():
    room: list[str] = []
    loaded = sparing.Loaded("cuda", False)
    loaded(node_of("clip_image", "pixels", room, 1))
    with pytest.raises(ExpclipError, match="the memory of cuda is not enough for its weights"):
        loaded(node_of("query_tokens", "pixels", room, 1))
    assert room == ["clip_image"]

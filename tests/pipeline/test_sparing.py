"""Memory that is not enough for a batch: it is taken in halves, and the results are the same."""

import numpy as np
import pytest
import torch
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

"""Images come in order, not too many of them at once, and no thread is left behind."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from expclip.encoders import pictures
from expclip.encoders.images import ImageError
from expclip.encoders.squash import Squash
from expclip.pipeline.decode import Decoder, decoders
from expclip.pipeline.decode_file import decode_file
from expclip.pipeline.plan import Job, Task
from fake_encoders import pixels_node
from PIL import Image

AHEAD = 3
"""Batches that may be submitted and not yet asked for."""


@pytest.fixture
def task(tmp_path):
    """A task of rows first … stop with images that exist only in the test's imagination."""
    node = pixels_node(tmp_path / "log")

    def make(stop: int, first: int = 0, shard: int = 0) -> Task:
        sources = tuple(f"{row}.png" for row in range(first, stop))
        return Task(
            "pictures", "/root", shard, first, stop, sources, (0,) * len(sources), (Job(node, tmp_path, first),)
        )

    return make


def row_of(path: Path) -> int:
    return int(path.stem)


def image_of(row: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (row, 0, 0))


def alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


@contextmanager
def decoder_of(*tasks: Task, batch_size: int) -> Iterator[Decoder]:
    """A decoder that reads images in a thread of this process, where a test can stand in for the reading."""
    with decoders(0) as crew, Decoder(tasks, batch_size, crew) as decoder:
        yield decoder


class TwoAtATime(ThreadPoolExecutor):
    """A crew of two, of which the first is always ready after the second."""

    def __init__(self):
        super().__init__(2)
        self._second = [threading.Event() for _ in range(3)]
        self._submitted = 0

    def submit(self, calls):
        number, is_second = divmod(self._submitted, 2)
        self._submitted += 1
        return super().submit(self._decode, calls, self._second[number], is_second)

    def _decode(self, calls, second, is_second):
        if not is_second:
            assert second.wait(30), "the second batch must be decoded while the first one waits"
        answers = [decode_file(*call) for call in calls]
        if is_second:
            second.set()
        return answers


def test_order_is_kept_whichever_image_is_ready_first(task, monkeypatch):
    monkeypatch.setattr(pictures, "read_image", lambda path, *_: image_of(row_of(path)))
    tasks = [task(8), task(14, first=8, shard=1), task(15, first=14, shard=2)]
    with TwoAtATime() as crew, Decoder(tasks, 3, crew) as decoder:
        batches = [batch for one in tasks for batch in decoder.batches(one)]
    rows = [batch.rows.tolist() for batch in batches]
    assert rows == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9, 10], [11, 12, 13], [14]]
    assert [batch.pixels[4][:, 0, 0, 0].tolist() for batch in batches] == rows


def test_no_more_than_three_batches_are_decoded_ahead(task, monkeypatch):
    decoded: list[int] = []

    def note(path, *_):
        decoded.append(row_of(path))
        return image_of(0)

    monkeypatch.setattr(pictures, "read_image", note)
    consumed = 0
    with decoder_of(task(100), batch_size=4) as decoder:
        for batch in decoder.batches(task(100)):
            assert max(decoded) < consumed + 4 * AHEAD
            consumed += len(batch.rows)
    assert sorted(decoded) == list(range(100))


def test_images_are_decoded_while_the_encoder_works(task, monkeypatch):
    second_batch = threading.Event()

    def tell(path, *_):
        if row_of(path) >= 4:
            second_batch.set()
        return image_of(0)

    monkeypatch.setattr(pictures, "read_image", tell)
    with decoder_of(task(8), batch_size=4) as decoder:
        next(decoder.batches(task(8)))
        assert second_batch.wait(30), "the second batch must be decoded although nobody asked for it yet"


def test_leaving_early_stops_the_threads_and_decodes_no_more(task, monkeypatch):
    go_on = threading.Event()
    decoded: list[int] = []

    def slow(path, *_):
        decoded.append(row_of(path))
        if row_of(path) >= 4:
            assert go_on.wait(30)
        return image_of(0)

    stop = ThreadPoolExecutor.shutdown

    def shutdown(pool, wait=True, cancel_futures=False):
        """As ever, but the thread waits in its image until the rest is cancelled."""
        stop(pool, wait=False, cancel_futures=cancel_futures)
        go_on.set()
        stop(pool, wait=wait)

    monkeypatch.setattr(pictures, "read_image", slow)
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shutdown)
    with pytest.raises(KeyboardInterrupt), decoder_of(task(100), batch_size=4) as decoder:
        for _ in decoder.batches(task(100)):
            raise KeyboardInterrupt
    assert alive() == []
    assert max(decoded) < 8, "of the rows that were waiting, none is begun"


def test_an_unexpected_error_of_a_thread_arrives_and_hangs_nothing(task, monkeypatch):
    def broken(path, *_):
        if row_of(path) == 5:
            raise ZeroDivisionError("in the thread")
        return image_of(0)

    monkeypatch.setattr(pictures, "read_image", broken)
    seen = []
    with pytest.raises(ZeroDivisionError, match="in the thread"), decoder_of(task(50), batch_size=4) as decoder:
        for batch in decoder.batches(task(50)):
            seen.append(batch.rows.tolist())
    assert seen == [[0, 1, 2, 3]]
    assert alive() == []


def test_unreadable_images_are_named_and_the_others_keep_their_rows(task, monkeypatch):
    def some(path, *_):
        if row_of(path) in (1, 6, 7):
            raise ImageError(f"broken {row_of(path)}")
        return image_of(row_of(path))

    monkeypatch.setattr(pictures, "read_image", some)
    with decoder_of(task(8), batch_size=2) as decoder:
        batches = list(decoder.batches(task(8)))
    assert [batch.rows.tolist() for batch in batches] == [[0], [2, 3], [4, 5], []]
    found = [{row: str(error) for row, error in batch.errors.items()} for batch in batches]
    assert found == [{1: "broken 1"}, {}, {}, {6: "broken 6", 7: "broken 7"}]


def test_an_image_is_read_once_for_encoders_of_different_sizes(tmp_path, monkeypatch):
    reads: list[int] = []

    def count(path, *_):
        reads.append(row_of(path))
        return image_of(0)

    monkeypatch.setattr(pictures, "read_image", count)
    nodes = [pixels_node(tmp_path / "log", size=size) for size in (4, 6)]
    nodes = [replace(node, squash=Squash(size, False)) for node, size in zip(nodes, (4, 6), strict=True)]
    sources = ("0.png", "1.png")
    one = Task("pictures", "/root", 0, 0, 2, sources, (0, 0), tuple(Job(node, tmp_path, 0) for node in nodes))
    with decoder_of(one, batch_size=2) as decoder:
        (batch,) = decoder.batches(one)
    assert sorted(reads) == [0, 1]
    assert {size: array.shape for size, array in batch.pixels.items()} == {4: (2, 4, 4, 3), 6: (2, 6, 6, 3)}
    assert all(array.dtype == np.uint8 for array in batch.pixels.values())

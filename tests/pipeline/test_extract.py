"""What a run computes, how often, and what it leaves where something goes wrong."""

import threading
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from expclip.cache.cache import Cache
from expclip.errors import ExpclipError
from expclip.manifests.manifest import text_manifest
from expclip.manifests.readers import read_plain_folder
from expclip.pipeline import sparing
from expclip.pipeline.events import RowsEncoded, ShardFinished
from expclip.pipeline.executors import RunOptions, run_plan
from expclip.pipeline.plan import Portion, Wanted, make_plan
from expclip.pipeline.work import _ShardWork
from fake_encoders import (
    Trouble,
    calls,
    image_features,
    language_features,
    language_node,
    pixels_node,
    text_features,
    text_node,
    token_features,
)

pytestmark = pytest.mark.usefixtures("shards_of_eight", "count_decodes")


def stored(features: np.ndarray) -> np.ndarray:
    return features.astype(np.float16)


@pytest.fixture
def image(log):
    return pixels_node(log)


@pytest.fixture
def tokens(log):
    return pixels_node(log, "query_tokens")


def test_every_row_is_decoded_once_for_all_encoders_and_encoded_once_by_each(
    run, store_of, image, tokens, log, pixels
):
    language = language_node(log, tokens)
    run(image, tokens, language)
    np.testing.assert_array_equal(store_of(image).read(), stored(image_features(pixels)))
    np.testing.assert_array_equal(store_of(tokens).read(), stored(token_features(pixels)))
    told = calls(log)
    assert told.decodes == 20
    assert told.rows == {"clip_image": 20, "query_tokens": 20, "llm-one": 20}
    assert told.loads == {"clip_image": 1, "query_tokens": 1, "llm-one": 1}


def test_batches_never_cross_shards(run, image, log):
    run(image, batch_size=3)
    sizes = [int(line.split()[2]) for line in log.read_text().splitlines() if line.startswith("batch")]
    assert sizes == [3, 3, 2, 3, 3, 2, 3, 1]


@pytest.mark.parametrize("batch_size", [1, 7, 8, 100])
def test_the_batch_size_never_shapes_the_result(run, store_of, image, pixels, batch_size):
    run(image, batch_size=batch_size)
    np.testing.assert_array_equal(store_of(image).read(), stored(image_features(pixels)))
    assert [receipt.rows for receipt in store_of(image).receipts.read().values()] == [8, 8, 4]


def test_a_second_run_computes_nothing(run, store_of, image, tokens, log):
    run(image, tokens)
    before = log.read_text()
    plan = run(image, tokens)
    assert plan.tasks == ()
    assert log.read_text() == before


def test_a_second_instruction_decodes_no_image_and_runs_no_vision_tower(run, store_of, tokens, log, pixels):
    run(language_node(log, tokens, "one"))
    before = calls(log)
    run(language_node(log, tokens, "two"))
    after = calls(log)
    assert after.decodes == before.decodes == 20
    assert after.loads - before.loads == {"llm-two": 1}
    assert after.rows - before.rows == {"llm-two": 20}
    expected = language_features(stored(token_features(pixels)), 2.0)
    np.testing.assert_array_equal(store_of(language_node(log, tokens, "two")).read(), stored(expected))


def test_the_language_model_sees_query_tokens_as_stored_whenever_they_were_made(
    run, store_of, tokens, log, pixels, tmp_path
):
    language = language_node(log, tokens)
    at_once, later = Cache(tmp_path / "at once"), Cache(tmp_path / "later")
    run(tokens, language, into=at_once)
    run(tokens, into=later)
    run(language, into=later)
    expected = stored(language_features(stored(token_features(pixels)), 1.0))
    assert (expected != stored(language_features(token_features(pixels), 1.0))).any(), "the test could not tell"
    np.testing.assert_array_equal(store_of(language, at_once).read(), expected)
    np.testing.assert_array_equal(store_of(language, later).read(), expected)


def test_a_limit_is_gone_beyond_without_repeating_what_is_done(run, store_of, image, log, pixels):
    run(image, limit=10)
    assert store_of(image).rows_done() == 10
    assert np.isnan(store_of(image).read()[10:]).all()
    run(image, limit=3)
    run(image)
    assert calls(log).rows == {"clip_image": 20}
    assert calls(log).decodes == 20
    np.testing.assert_array_equal(store_of(image).read(), stored(image_features(pixels)))
    assert [receipt.rows for receipt in store_of(image).receipts.read().values()] == [8, 8, 4]


def test_different_limits_of_different_nodes(run, store_of, image, tokens, log, pixels):
    language = language_node(log, tokens)
    run(image, limit=3)
    run(tokens, limit=13)
    run(language, limit=5)
    assert calls(log).rows == {"clip_image": 3, "query_tokens": 13, "llm-one": 5}
    run(image, tokens, language)
    assert calls(log).rows == {"clip_image": 20, "query_tokens": 20, "llm-one": 20}
    assert calls(log).decodes == 3 + 13 + (20 - 3)
    np.testing.assert_array_equal(store_of(image).read(), stored(image_features(pixels)))
    expected = stored(language_features(stored(token_features(pixels)), 1.0))
    np.testing.assert_array_equal(store_of(language).read(), expected)


def test_parts_together_are_the_whole(run, store_of, image, tokens, log, pixels):
    language = language_node(log, tokens)
    run(image, language, part=(1, 2))
    assert sorted(store_of(image).receipts.read()) == [0, 2]
    run(image, language, part=(2, 2))
    assert calls(log).rows == {"clip_image": 20, "query_tokens": 20, "llm-one": 20}
    np.testing.assert_array_equal(store_of(image).read(), stored(image_features(pixels)))
    assert store_of(language).is_complete()


def test_failed_images_keep_their_place_in_every_store(run, store_of, image, tokens, log, pixels, folder):
    language = language_node(log, tokens)
    (folder / "00002.png").write_bytes(b"")
    (folder / "00013.png").write_bytes(b"no image")
    run(image, tokens, language)
    for node in (image, tokens, language):
        values = store_of(node).read().reshape(20, -1)
        assert np.flatnonzero(np.isnan(values).all(axis=1)).tolist() == [2, 13]
        assert [(row.row, row.source, row.error) for row in store_of(node).failed_rows()] == [
            (2, "00002.png", "the file is empty"),
            (13, "00013.png", "this is no image"),
        ]
    others = np.delete(np.arange(20), [2, 13])
    np.testing.assert_array_equal(store_of(image).read()[others], stored(image_features(pixels[others])))
    assert calls(log).rows == {"clip_image": 18, "query_tokens": 18, "llm-one": 18}


def test_a_failure_of_one_store_is_no_failure_of_another(run, store_of, image, tokens, log, pixels, folder):
    language = language_node(log, tokens)
    whole = (folder / "00002.png").read_bytes()
    (folder / "00002.png").write_bytes(bytes(len(whole)))
    run(tokens)
    (folder / "00002.png").write_bytes(whole)
    run(image, language)
    assert store_of(image).failed_rows() == ()
    np.testing.assert_array_equal(store_of(image).read(), stored(image_features(pixels)))
    assert [(row.row, row.error) for row in store_of(language).failed_rows()] == [(2, "this is no image")]


def test_failed_rows_before_a_limit_stay_failed_beyond_it(run, store_of, image, log, folder):
    whole = (folder / "00002.png").read_bytes()
    (folder / "00002.png").write_bytes(bytes(len(whole)))
    run(image, limit=4)
    (folder / "00002.png").write_bytes(whole)
    run(image)
    assert [row.row for row in store_of(image).failed_rows()] == [2]
    assert np.flatnonzero(np.isnan(store_of(image).read()[:, 0])).tolist() == [2]


def test_a_shard_in_which_every_image_failed(run, store_of, image, tokens, log, folder):
    language = language_node(log, tokens)
    for row in range(8, 16):
        (folder / f"{row:05d}.png").write_bytes(b"")
    run(image, language)
    assert [row.row for row in store_of(language).failed_rows()] == list(range(8, 16))
    assert store_of(image).is_complete()


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("nan", r"clip_image · fake gave NaN or infinity for 00013.png \(row 13\); the shard is not written"),
        ("inf", r"gave NaN or infinity for 00013.png \(row 13\)"),
        ("overflow", r"gave values beyond float16 for 00013.png \(row 13\).* Try dtype float32"),
        ("few", r"gave features of shape \(1, 5\), not \(3, 5\)"),
    ],
)
def test_values_that_cannot_be_stored_fail_the_shard_loudly(run, store_of, log, pixels, what, why):
    bad = pixels_node(log, trouble=Trouble(5, what))
    with pytest.raises(ExpclipError, match=why) as error:
        run(bad)
    assert "\n" not in str(error.value)
    assert sorted(store_of(bad).receipts.read()) == [0]
    assert np.isnan(store_of(bad).read()[8:]).all()
    before = calls(log).rows["clip_image"]
    run(pixels_node(log))
    assert calls(log).rows["clip_image"] == before + 12
    np.testing.assert_array_equal(store_of(bad).read(), stored(image_features(pixels)))


def test_an_encoder_that_always_says_the_same_fails_loudly(run, store_of, image, tokens, log):
    language = language_node(log, tokens, trouble=Trouble(1, "constant"))
    with pytest.raises(ExpclipError, match=r"llm · fake · one gave the same features for different inputs"):
        run(image, language)
    for node in (image, tokens, language):
        assert store_of(node).rows_done() == 0
        assert np.isnan(store_of(node).read()).all()


def test_the_same_images_may_have_the_same_features(run, store_of, image, folder):
    for path in folder.iterdir():
        path.write_bytes((folder / "00000.png").read_bytes())
    run(image)
    assert store_of(image).is_complete()


@pytest.mark.parametrize("what", ["interrupt", "error"])
@pytest.mark.parametrize("batch", [1, 4, 8])
def test_finished_shards_stay_and_are_not_repeated(run, store_of, log, pixels, what, batch):
    broken = pixels_node(log, trouble=Trouble(batch, what))
    with pytest.raises(KeyboardInterrupt if what == "interrupt" else ValueError):
        run(broken)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
    finished = store_of(broken).receipts.read()
    assert len(finished) == {1: 0, 4: 1, 8: 2}[batch]
    before = calls(log).rows["clip_image"]
    run(pixels_node(log))
    assert calls(log).rows["clip_image"] - before == 20 - 8 * len(finished)
    after = store_of(broken).receipts.read()
    assert {shard: after[shard] for shard in finished} == finished
    np.testing.assert_array_equal(store_of(broken).read(), stored(image_features(pixels)))


def test_a_store_that_lost_a_shard_gets_it_back_before_anything_is_computed_from_it(run, store_of, tokens, log):
    run(tokens)
    before = store_of(tokens).read()
    language = language_node(log, tokens)
    store_of(tokens).receipts.path(1).unlink()
    (store_of(tokens).path / "features" / "c" / "2" / "0" / "0").unlink()
    run(language)
    assert store_of(language).is_complete()
    np.testing.assert_array_equal(store_of(tokens).read(), before)
    assert calls(log).rows == {"query_tokens": 32, "llm-one": 20}


def test_two_runs_at_once_leave_one_true_store(run, cache, folder, image, log, pixels, store_of, monkeypatch):
    from expclip.manifests.readers import read_plain_folder

    wanted = [Wanted(read_plain_folder("pictures", folder), (image,))]
    plans = [make_plan(cache, wanted, Portion(), "cpu") for _ in range(2)]
    threads = [
        threading.Thread(target=run_plan, args=(cache, plan, wanted, RunOptions(batch_size=size, workers=0)))
        for plan, size in zip(plans, (2, 5), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store_of(image).is_complete()
    np.testing.assert_array_equal(store_of(image).read(), stored(image_features(pixels)))
    assert run(image).tasks == ()


def test_texts_are_rows_like_any_other(cache, log):
    manifest = text_manifest("P", ("joy", "anger"), [("a face", 0), ("an angry face", 1), ("fury", 1)])
    node = text_node(log)
    wanted = [Wanted(manifest, (node,))]
    run_plan(cache, make_plan(cache, wanted, Portion(), "cpu"), wanted, RunOptions(batch_size=2))
    store = next(cache.stores("text"))
    np.testing.assert_array_equal(store.read(), text_features(list(manifest.rows.sources)))
    assert calls(log).decodes == 0
    assert cache.datasets() == ["text"]


def test_events_count_every_row_and_every_shard(run, image, tokens, log, folder):
    (folder / "00002.png").write_bytes(b"")
    heard: list = []
    plan = run(image, tokens, language_node(log, tokens), emit=heard.append)
    assert sum(event.rows for event in heard if isinstance(event, RowsEncoded)) == plan.rows == 60
    finished = [(event.store, event.receipt.shard) for event in heard if isinstance(event, ShardFinished)]
    assert len(finished) == len(set(finished)) == 9


def test_the_receipt_tells_the_time_and_the_circumstances(run, store_of, image):
    run(image, limit=10)
    before = store_of(image).receipts.read()[1]
    run(image)
    receipt = store_of(image).receipts.read()[1]
    assert set(receipt.seconds) == {"read", "infer", "write"}
    assert all(receipt.seconds[part] > before.seconds[part] for part in receipt.seconds), "earlier rows took time too"
    assert (receipt.device, receipt.batch_size) == ("cpu", 3)
    assert {"expclip", "torch", "zarr", "python"} <= set(receipt.versions)


class WorksByItself:
    """An encoder on a device that works by itself: what it does is noted."""

    def __init__(self, log: list[str], device: str):
        self._log = log

    def begin(self, pixels):
        self._log.append("begin")
        features = image_features(pixels)
        return lambda: (self._log.append("fetch"), features)[1]


def run_on_cuda(cache, folder, node, **how):
    wanted = [Wanted(read_plain_folder("pictures", folder), (node,))]
    plan = make_plan(cache, wanted, Portion(), "cuda")
    run_plan(cache, plan, wanted, RunOptions(device="cuda", workers=0, **how))


def test_a_gpu_has_the_next_batch_before_the_one_before_is_fetched(cache, folder, pixels, image, store_of):
    log: list[str] = []
    node = replace(image, load=partial(WorksByItself, log))
    run_on_cuda(cache, folder, node, batch_size=2)
    np.testing.assert_array_equal(store_of(node).read(), stored(image_features(pixels)))
    of_a_shard = ["begin", *["begin", "fetch"] * 3, "fetch"]
    assert log == [*of_a_shard, *of_a_shard, "begin", "begin", "fetch", "fetch"]


def test_the_receipt_tells_to_what_batches_grew(cache, folder, pixels, image, store_of, monkeypatch):
    monkeypatch.setattr(sparing, "_BEGINS_WITH", 2)
    clock = iter(range(10**6))
    monkeypatch.setattr(sparing.time, "perf_counter", lambda: float(next(clock)))
    node = replace(image, load=partial(WorksByItself, []))
    run_on_cuda(cache, folder, node)
    np.testing.assert_array_equal(store_of(node).read(), stored(image_features(pixels)))
    assert [one.batch_size for one in store_of(node).receipts.read().values()] == [4, 8, 8]


def test_a_shard_is_written_while_the_next_one_is_made(run, image, store_of, pixels, monkeypatch):
    second_begun, first_written = threading.Event(), threading.Event()
    write, encode = _ShardWork.write, _ShardWork.encode

    def waits(self, **how):
        if self.task.shard == 0:
            assert second_begun.wait(30), "the next shard must be made meanwhile"
        receipt = write(self, **how)
        first_written.set()
        return receipt

    def tells(self, *batch):
        if self.task.shard == 1:
            second_begun.set()
        encode(self, *batch)

    monkeypatch.setattr(_ShardWork, "write", waits)
    monkeypatch.setattr(_ShardWork, "encode", tells)
    run(image)
    assert first_written.is_set()
    np.testing.assert_array_equal(store_of(image).read(), stored(image_features(pixels)))


def test_what_goes_wrong_while_a_shard_is_written_ends_the_run(run, image, store_of, monkeypatch):
    write = _ShardWork.write

    def refuses(self, **how):
        if self.task.shard == 1:
            raise ExpclipError("the disk is full")
        return write(self, **how)

    monkeypatch.setattr(_ShardWork, "write", refuses)
    with pytest.raises(ExpclipError, match="the disk is full"):
        run(image)
    assert list(store_of(image).receipts.read()) == [0]


def test_what_loading_took_is_noted_with_the_first_shard_and_is_no_time_of_its_rows(
    run, store_of, image, monkeypatch
):
    from expclip.pipeline import sparing

    load = sparing.load

    def slow(node, device):
        time.sleep(0.05)
        return load(node, device)

    monkeypatch.setattr(sparing, "load", slow)
    monkeypatch.setattr(sparing, "_LONG_TO_LOAD", 0.04)
    run(image)
    first, *later = store_of(image).receipts.read().values()
    assert first.load_seconds >= 0.05
    assert [one.load_seconds for one in later] == [0.0, 0.0]
    assert set(first.seconds) == {"read", "infer", "write"}

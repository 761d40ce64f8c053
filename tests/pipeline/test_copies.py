"""Nothing is encoded twice: rows that a store of the same encoder holds are copied, whichever data set it is of."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dask.distributed import LocalCluster
from expclip.cache.store import FeatureStore
from expclip.errors import ExpclipError
from expclip.manifests.lists import read_list_files
from expclip.manifests.manifest import Manifest, Origin
from expclip.manifests.readers import read_plain_folder
from expclip.pipeline.executors import RunOptions, run_plan
from expclip.pipeline.plan import Plan, Portion, Wanted, make_plan
from fake_encoders import calls, image_features, language_features, language_node, pixels_node, token_features
from PIL import Image

pytestmark = pytest.mark.usefixtures("shards_of_eight", "count_decodes")


@pytest.fixture
def nodes(log):
    tokens = pixels_node(log, "query_tokens")
    return pixels_node(log), tokens, language_node(log, tokens)


def folder_of(path: Path, name: str = "") -> Manifest:
    """A plain folder as the workspace reads it."""
    root = str(path.resolve())
    return replace(read_plain_folder("pictures", path), origin=Origin(root, root, name or path.name))


def listed(tmp_path: Path, root: Path, numbers, name: str) -> Manifest:
    """A list of some of the pictures below a root."""
    file = tmp_path / f"{name}.txt"
    file.write_text("".join(f"{number:05d}.png 1 -1\n" for number in numbers))
    return replace(read_list_files(name, root, [(file, 0)]), origin=Origin(str(file), str(root.resolve()), name))


@pytest.fixture
def encode(cache) -> Callable[..., Plan]:
    """Extracts nodes of a manifest; returns the plan that was run."""

    def run(manifest: Manifest, *nodes, retries: bool = False, **portion) -> Plan:
        wanted = [Wanted(manifest, nodes)]
        plan = make_plan(cache, wanted, Portion(retries=retries, **portion), "cpu")
        run_plan(cache, plan, wanted, RunOptions(device="cpu", batch_size=3, workers=0))
        return plan

    return run


def stored(plan: Plan) -> dict[str, np.ndarray]:
    """The features of a plan's stores, by node."""
    return {line.node.name: FeatureStore.open(line.path).read() for line in plan.lines}


def by_hand(folder: Path) -> dict[str, np.ndarray]:
    """What the encoders give for the pictures of a folder, in order."""
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))])
    tokens = token_features(pixels).astype(np.float16)
    expected = {"clip_image": image_features(pixels), "query_tokens": tokens, "llm": language_features(tokens, 1.0)}
    return {name: features.astype(np.float16) for name, features in expected.items()}


def assert_right(plan: Plan, folder: Path) -> None:
    for name, features in stored(plan).items():
        np.testing.assert_array_equal(features, by_hand(folder)[name])


def add_pictures(folder: Path, names) -> None:
    for seed, name in enumerate(names, 100):
        noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)


@pytest.mark.parametrize("rows", [1000])
def test_ten_images_added_to_a_thousand_encode_ten(encode, nodes, folder, pixels, log, rows):
    encode(folder_of(folder), *nodes)
    before = calls(log)
    add_pictures(folder, [f"{number:05d}a.png" for number in range(0, 1000, 100)])
    plan = encode(folder_of(folder), *nodes)
    assert [(line.done, line.copied, line.to_do) for line in plan.lines] == [(1000, 1000, 10)] * 3
    after = calls(log)
    assert after.decodes - before.decodes == 10
    assert {name: after.rows[name] - before.rows[name] for name in after.rows} == dict.fromkeys(after.rows, 10)
    assert_right(plan, folder)


def test_one_image_replaced_encodes_one(encode, nodes, folder, pixels, log):
    encode(folder_of(folder), *nodes)
    before = calls(log)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).resize((4, 4)).save(folder / "00011.png")
    plan = encode(folder_of(folder), *nodes)
    assert calls(log).rows - before.rows == dict.fromkeys(before.rows, 1)
    assert calls(log).decodes - before.decodes == 1
    assert_right(plan, folder)


def test_nothing_is_loaded_where_all_is_copied(encode, nodes, folder, pixels, log, tmp_path):
    encode(folder_of(folder), *nodes)
    before = log.read_text()
    plan = encode(listed(tmp_path, folder, range(19, -1, -1), "backwards"), *nodes)
    assert log.read_text() == before
    assert plan.rows == 0
    for name, features in stored(plan).items():
        np.testing.assert_array_equal(features, by_hand(folder)[name][::-1])


def test_overlapping_lists_share_rows_and_receipts_say_how_many(encode, nodes, folder, pixels, log, tmp_path):
    encode(listed(tmp_path, folder, range(14), "first"), *nodes)
    before = calls(log)
    plan = encode(listed(tmp_path, folder, [3, 19, 5, 5, 18, 0, 17, 1, 2, 4, 6], "second"), *nodes)
    assert calls(log).rows - before.rows == dict.fromkeys(before.rows, 3)
    receipts = FeatureStore.open(plan.lines[0].path).receipts.read().values()
    assert sum(receipt.copied for receipt in receipts) == 7


def test_rows_of_several_stores_are_put_together(encode, nodes, folder, pixels, log, tmp_path):
    encode(listed(tmp_path, folder, range(8), "first"), *nodes)
    encode(listed(tmp_path, folder, range(6, 20), "second"), *nodes)
    before = log.read_text()
    assert_right(encode(folder_of(folder), *nodes), folder)
    assert log.read_text() == before


def test_only_what_a_child_is_computed_from_is_made_of_its_parent(encode, nodes, folder, pixels, log, tmp_path):
    language = nodes[2]
    encode(listed(tmp_path, folder, range(16), "first"), language)
    before = calls(log)
    encode(folder_of(folder), language)
    assert calls(log).rows - before.rows == {"query_tokens": 4, "llm-one": 4}


def test_another_encoder_shares_nothing(encode, folder, pixels, log, tmp_path):
    encode(folder_of(folder), pixels_node(log))
    plan = encode(listed(tmp_path, folder, range(5), "some"), pixels_node(log, weights="others"))
    assert (plan.rows, plan.lines[0].copied) == (5, 0)


def test_failed_and_unfinished_rows_are_no_ones_to_copy(encode, folder, pixels, log, tmp_path):
    image = pixels_node(log)
    whole = (folder / "00003.png").read_bytes()
    (folder / "00003.png").write_bytes(whole[:20].ljust(len(whole), b"\0"))
    encode(folder_of(folder), image, limit=10)
    (folder / "00003.png").write_bytes(whole)
    plan = encode(listed(tmp_path, folder, range(19, -1, -1), "again"), image)
    assert (plan.lines[0].copied, plan.rows) == (9, 11)
    np.testing.assert_array_equal(stored(plan)["clip_image"], by_hand(folder)["clip_image"][::-1])


@pytest.mark.parametrize("moved", [True, False])
def test_a_data_set_that_was_moved_or_copied_whole_and_grew_is_encoded_in_part(
    encode, nodes, folder, pixels, log, tmp_path, moved
):
    encode(folder_of(folder), *nodes)
    elsewhere = tmp_path / "elsewhere"
    (shutil.move if moved else shutil.copytree)(folder, elsewhere)
    add_pictures(elsewhere, ["00005a.png"])
    before = calls(log)
    plan = encode(folder_of(elsewhere), *nodes)
    assert calls(log).rows - before.rows == dict.fromkeys(before.rows, 1)
    assert_right(plan, elsewhere)


def test_other_pictures_under_the_same_names_and_of_the_same_sizes_are_encoded(encode, cache, tmp_path, log):
    """Where both files are there, their bytes say whether they are one picture."""
    image = pixels_node(log)
    for name, seed in (("one", 0), ("two", 1)):
        (tmp_path / name).mkdir()
        noise = np.random.default_rng(seed).integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
        for number, picture in enumerate(noise):
            Image.fromarray(picture).save(tmp_path / name / f"{number}.bmp")
    shutil.copy(tmp_path / "one" / "7.bmp", tmp_path / "two" / "7.bmp")
    first, second = folder_of(tmp_path / "one"), folder_of(tmp_path / "two")
    assert first.rows.digest == second.rows.digest
    encode(first, image)
    plan = encode(second, image)
    assert (plan.lines[0].copied, plan.rows) == (1, 11)
    assert plan.lines[0].path.parent.name == "two"
    pixels = np.stack([np.asarray(Image.open(tmp_path / "two" / source)) for source in second.rows.sources])
    np.testing.assert_array_equal(stored(plan)["clip_image"], image_features(pixels).astype(np.float16))


def test_a_list_from_a_root_above_shares_rows_with_the_folder_below(encode, nodes, folder, pixels, log, tmp_path):
    encode(folder_of(folder), *nodes)
    file = tmp_path / "above.txt"
    file.write_text("".join(f"{folder.name}/{number:05d}.png 1 -1\n" for number in range(20)))
    above = read_list_files("above", folder.parent, [(file, 0)])
    above = replace(above, origin=Origin(str(file), str(folder.parent.resolve()), "above"))
    before = log.read_text()
    assert_right(encode(above, *nodes), folder)
    assert log.read_text() == before


def test_failed_rows_are_tried_again_when_that_is_asked_for(encode, nodes, folder, pixels, log):
    whole = {name: (folder / name).read_bytes() for name in ("00003.png", "00012.png")}
    for name, content in whole.items():
        (folder / name).write_bytes(content[:20].ljust(len(content), b"\0"))
    encode(folder_of(folder), *nodes)
    (folder / "00003.png").write_bytes(whole["00003.png"])
    before = calls(log)
    assert encode(folder_of(folder), *nodes).tasks == ()
    plan = encode(folder_of(folder), *nodes, retries=True)
    assert {line.node.name: line.to_do for line in plan.lines} == dict.fromkeys(
        ("clip_image", "query_tokens", "llm"), 2
    )
    assert calls(log).rows - before.rows == dict.fromkeys(before.rows, 1)
    for line in plan.lines:
        assert [row.row for row in FeatureStore.open(line.path).failed_rows()] == [12]
    (folder / "00012.png").write_bytes(whole["00012.png"])
    assert_right(encode(folder_of(folder), *nodes, retries=True), folder)
    assert encode(folder_of(folder), *nodes, retries=True).tasks == ()


def test_a_child_alone_is_tried_again_with_the_parent_that_it_needs(encode, nodes, folder, pixels, log):
    _, tokens, language = nodes
    whole = (folder / "00003.png").read_bytes()
    (folder / "00003.png").write_bytes(whole[:20].ljust(len(whole), b"\0"))
    encode(folder_of(folder), language)
    (folder / "00003.png").write_bytes(whole)
    encode(folder_of(folder), language, retries=True)
    assert_right(encode(folder_of(folder), tokens, language), folder)


def test_copies_are_made_by_dask_too(cache, nodes, folder, pixels, log, tmp_path, encode):
    encode(listed(tmp_path, folder, range(12), "first"), *nodes)
    wanted = [Wanted(folder_of(folder), nodes)]
    plan = make_plan(cache, wanted, Portion(), "cpu")
    before = calls(log)
    here = {"processes": False, "dashboard_address": ":0", "silence_logs": 50}  # a worker that knows of small shards
    with LocalCluster(n_workers=1, threads_per_worker=1, **here) as cluster:
        run_plan(cache, plan, wanted, RunOptions(device="cpu", executor="dask", scheduler=cluster.scheduler_address))
    assert calls(log).rows - before.rows == dict.fromkeys(before.rows, 8)
    assert_right(plan, folder)


def test_a_damaged_donor_is_named_and_nothing_of_it_is_taken(encode, nodes, folder, pixels, tmp_path):
    image = nodes[0]
    (line,) = encode(folder_of(folder), image).lines
    shard = line.path / "features/c/1/0"
    content = bytearray(shard.read_bytes())
    content[8] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ExpclipError, match=r"shard 1 is damaged .* remove .*00001.json"):
        encode(listed(tmp_path, folder, range(19, 3, -1), "some"), image)

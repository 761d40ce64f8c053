"""Extraction as a user sees it: the right features, once, whatever happens in between."""

import os
import shutil

import numpy as np
import pytest
import zarr
from expclip import ExpclipError, UsageError

MINIATURE = {"clip": "miniature", "teacher": "miniature"}


def nodes(extraction) -> list[str]:
    return [store.node for store in extraction.stores]


def test_train_sets_get_the_teachers_side_and_test_sets_only_clips(lab, photos, labelled, tmp_path):
    shutil.copytree(labelled, tmp_path / "raf" / "test")
    lab = lab.but(root={"caer-s": photos, "raf-db": tmp_path / "raf"})
    assert nodes(lab.extract("caer-s", **MINIATURE, plan=True)) == ["query_tokens", "clip_image", "llm"]
    assert nodes(lab.extract("raf-db", **MINIATURE, plan=True)) == ["clip_image"]


def test_a_second_instruction_decodes_no_image_and_runs_no_vision_tower(lab, photos, work):
    lab.extract(photos, **MINIATURE)
    work.clear()
    lab.extract(photos, **MINIATURE, instruction=["empty", "random-1"])
    assert work == {"TextSide loaded": 2, "TextSide inputs": 80}


def test_a_limited_run_is_finished_by_a_full_one_without_repeating_it(lab, photos, work):
    lab.extract(photos, **MINIATURE, limit=15)
    assert work["ImageTower inputs"] == work["ImageSide inputs"] == work["TextSide inputs"] == 15
    lab.extract(photos, **MINIATURE)
    assert work["ImageTower inputs"] == work["ImageSide inputs"] == work["TextSide inputs"] == 40


def test_a_moved_data_set_still_hits(lab, photos, work, tmp_path):
    lab.extract(photos, **MINIATURE)
    work.clear()
    shutil.copytree(photos, tmp_path / "elsewhere" / "photos")
    lab.extract(tmp_path / "elsewhere" / "photos", **MINIATURE)
    assert not work


def test_open_features_gives_arrays_ids_labels_and_mask(lab, labelled, tmp_path):
    folder = tmp_path / "labelled"
    shutil.copytree(labelled, folder)
    (folder / "fear" / "006.png").write_bytes(b"")
    lab.extract(folder, clip="miniature")
    features = lab.open_features(str(folder), model="miniature")
    (path,) = (lab.cache.root / "labelled").glob("clip_image-*.zarr")
    np.testing.assert_array_equal(features.array, zarr.open_group(path, mode="r")["features"][:])
    assert features.array.shape == (42, 128)
    assert features.array.dtype == np.float16
    assert sorted(features.labels.tolist()) == [label for label in range(7) for _ in range(6)]
    assert all(
        source.startswith(features.classes[k]) for source, k in zip(features.ids, features.labels, strict=True)
    )
    broken = features.ids.index("fear/006.png")
    assert np.flatnonzero(~features.mask).tolist() == [broken]
    assert np.isnan(features.array[broken]).all()


def test_open_features_names_the_command_where_nothing_is_cached(lab, photos):
    with pytest.raises(UsageError, match="has nothing of photos: run `expclip extract"):
        lab.open_features(str(photos), model="miniature")


def test_the_protocols_are_kept_apart(lab, photos, work, tiny_models):
    clip = f"local-dir:{tiny_models / 'clip'}"
    lab.extract(photos, clip=clip)
    work.clear()
    lab.extract(photos, clip=clip, protocol="paper")
    assert work["ImageTower inputs"] == 40 + 1, "a folder's model is tried on one image first"
    released, paper = (
        lab.open_features(str(photos), model=clip, protocol=protocol).array for protocol in ("released", "paper")
    )
    assert not np.allclose(released, paper, atol=1e-2)


def test_a_broken_file_whose_name_is_no_text_is_a_failed_row_of_a_finished_shard(lab, photos, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / os.fsdecode(b"br\xfe[red].jpg")).write_text("no image")
    for _ in range(2):
        found = lab.extract(folder, clip="miniature")
        (failed,) = found.failed
        assert (failed.dataset, failed.source, failed.error) == ("photos", "br\\udcfe[red].jpg", "this is no image")
    assert found.encoded == 0


@pytest.mark.parametrize("damage", ["remove", "truncate"])
def test_a_shard_that_is_gone_or_cut_is_written_anew(lab, photos, work, damage):
    lab.extract(photos, clip="miniature")
    before = lab.open_features(str(photos), model="miniature").array
    (shard,) = (lab.cache.root / "photos").glob("clip_image-*.zarr/features/c/0/0")
    shard.unlink() if damage == "remove" else shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(UsageError, match="0 of 40 rows are extracted: run `expclip extract"):
        lab.open_features(str(photos), model="miniature")
    work.clear()
    lab.extract(photos, clip="miniature")
    assert work["ImageTower inputs"] == 40
    after = lab.open_features(str(photos), model="miniature").array
    np.testing.assert_array_equal(after, before)


def test_a_damaged_description_of_features_is_one_line(lab, photos):
    lab.extract(photos, clip="miniature")
    (description,) = (lab.cache.root / "photos").glob("clip_image-*.zarr/features/zarr.json")
    description.write_text("{}")
    with pytest.raises(ExpclipError, match="description of its features is damaged: remove it"):
        lab.open_features(str(photos), model="miniature")

"""Extraction as a user sees it: the right features, once, whatever happens in between."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import zarr
from expclip import ExpclipError, UsageError, Wanted, extract, open_features
from expclip.pipeline.plan import Portion

MINIATURE = Wanted(clips=["miniature"], teacher="miniature")


def nodes(extraction) -> list[str]:
    return [line.header.node for line in extraction.lines]


def test_train_sets_get_the_teachers_side_and_test_sets_only_clips(workspace, photos, labelled, tmp_path):
    roots = {"caer-s": photos, "raf-db": tmp_path / "raf"}
    shutil.copytree(labelled, tmp_path / "raf" / "test")
    plan = extract(replace(workspace, roots=roots), ["caer-s"], MINIATURE, plan_only=True)
    assert nodes(plan) == ["query_tokens", "clip_image", "llm"]
    plan = extract(replace(workspace, roots=roots), ["raf-db"], MINIATURE, plan_only=True)
    assert nodes(plan) == ["clip_image"]


def test_a_second_instruction_decodes_no_image_and_runs_no_vision_tower(workspace, photos, work):
    extract(workspace, [str(photos)], MINIATURE)
    work.clear()
    extract(workspace, [str(photos)], replace(MINIATURE, instructions=["empty", "random-1"]))
    assert work == {"TextSide loaded": 2, "TextSide inputs": 80}


def test_a_limited_run_is_finished_by_a_full_one_without_repeating_it(workspace, photos, work):
    extract(workspace, [str(photos)], MINIATURE, portion=Portion(limit=15))
    assert work["ImageTower inputs"] == work["ImageSide inputs"] == work["TextSide inputs"] == 15
    extract(workspace, [str(photos)], MINIATURE)
    assert work["ImageTower inputs"] == work["ImageSide inputs"] == work["TextSide inputs"] == 40


def test_a_moved_data_set_still_hits(workspace, photos, work, tmp_path):
    extract(workspace, [str(photos)], MINIATURE)
    work.clear()
    shutil.copytree(photos, tmp_path / "elsewhere" / "photos")
    extract(workspace, [str(tmp_path / "elsewhere" / "photos")], MINIATURE)
    assert not work


def test_open_features_gives_arrays_ids_labels_and_mask(workspace, labelled, tmp_path):
    folder = tmp_path / "labelled"
    shutil.copytree(labelled, folder)
    (folder / "fear" / "006.png").write_bytes(b"")
    extract(workspace, [str(folder)], Wanted(clips=["miniature"]))
    features = open_features(str(folder), model="miniature", cache=workspace.cache.root)
    (path,) = (workspace.cache.root / "labelled").glob("clip_image-*.zarr")
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


def test_open_features_names_the_command_where_nothing_is_cached(workspace, photos):
    with pytest.raises(UsageError, match="has nothing of photos: run `expclip extract"):
        open_features(str(photos), model="miniature", cache=workspace.cache.root)


def test_the_protocols_are_kept_apart(workspace, photos, work):
    extract(workspace, [str(photos)], Wanted(clips=["miniature"]))
    work.clear()
    extract(replace(workspace, protocol="paper"), [str(photos)], Wanted(clips=["miniature"]))
    assert work["ImageTower inputs"] == 40
    released, paper = (
        open_features(str(photos), model="miniature", protocol=protocol, cache=workspace.cache.root).array
        for protocol in ("released", "paper")
    )
    assert not np.allclose(released, paper, atol=1e-2)


def test_a_broken_file_whose_name_is_no_text_is_a_failed_row_of_a_finished_shard(workspace, photos, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / os.fsdecode(b"br\xfe[red].jpg")).write_text("no image")
    for _ in range(2):
        found = extract(workspace, [str(folder)], Wanted(clips=["miniature"]))
        (failed,) = found.failed["photos"]
        assert (failed.source, failed.error) == ("br\\udcfe[red].jpg", "this is no image")
    assert found.plan.rows == 0


@pytest.mark.parametrize("damage", ["remove", "truncate"])
def test_a_shard_that_is_gone_or_cut_is_written_anew(workspace, photos, work, damage):
    extract(workspace, [str(photos)], Wanted(clips=["miniature"]))
    before = open_features(str(photos), model="miniature", cache=workspace.cache.root).array
    (shard,) = (workspace.cache.root / "photos").glob("clip_image-*.zarr/features/c/0/0")
    shard.unlink() if damage == "remove" else shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(UsageError, match="0 of 40 rows are extracted: run `expclip extract"):
        open_features(str(photos), model="miniature", cache=workspace.cache.root)
    work.clear()
    extract(workspace, [str(photos)], Wanted(clips=["miniature"]))
    assert work["ImageTower inputs"] == 40
    after = open_features(str(photos), model="miniature", cache=workspace.cache.root).array
    np.testing.assert_array_equal(after, before)


def test_a_damaged_description_of_features_is_one_line(workspace, photos):
    extract(workspace, [str(photos)], Wanted(clips=["miniature"]))
    (description,) = (workspace.cache.root / "photos").glob("clip_image-*.zarr/features/zarr.json")
    description.write_text("{}")
    with pytest.raises(ExpclipError, match="description of its features is damaged: remove it"):
        open_features(str(photos), model="miniature", cache=workspace.cache.root)

"""Fitting heads from the cache: what is trained, what is reused, what is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import zarr
from expclip import LinearHead, Sweep, Training, UsageError, Wanted, extract, fit_head
from safetensors.numpy import load_file

MINIATURE = Wanted(clips=["miniature"], teacher="miniature", instructions=["related-1", "empty"])
SWEEP = Sweep(clips=["miniature"], teacher="miniature", seeds=[1])
SMALL = Training(epochs=2, batch_size=16, lr=2e-3)


def stored(workspace, dataset: str, node: str, instruction: str = "") -> np.ndarray:
    (store,) = workspace.cache.find(dataset, node, instruction=instruction)
    return zarr.open_group(store.path, mode="r")["features"][:]


def test_a_head_is_what_the_cached_tensors_give(workspace, photos):
    extract(workspace, [str(photos)], MINIATURE)
    (fitted,) = fit_head(workspace, str(photos), SWEEP, SMALL)
    X, E = stored(workspace, "photos", "clip_image"), stored(workspace, "photos", "llm", "related-1")
    expected = LinearHead(epochs=2, batch_size=16, seed=1, lr=2e-3).fit(X, E)
    np.testing.assert_array_equal(load_file(fitted.path / "head.safetensors")["weight"], expected.weight_)
    assert expected.weight_.shape == (256, 128)
    card = json.loads((fitted.path / "head.json").read_text(encoding="utf-8"))
    assert card["losses"] == expected.losses_
    assert (card["backbone"], card["teacher"], card["instruction"]) == ("miniature", "miniature", "related-1")
    assert card["untrained"] is False
    assert card["spec"]["optimiser"]["lr"] == 2e-3


def test_every_combination_is_trained_once(workspace, photos, work):
    extract(workspace, [str(photos)], MINIATURE)
    work.clear()
    sweep = replace(SWEEP, instructions=["related-1", "empty"], seeds=[1, 2, 3])
    first = fit_head(workspace, str(photos), sweep, SMALL)
    assert len({one.card.id for one in first}) == 6
    assert all(one.is_new for one in first)
    again = fit_head(workspace, str(photos), sweep, SMALL)
    assert not any(one.is_new for one in again)
    assert [one.card.id for one in again] == [one.card.id for one in first]
    assert not work


@pytest.mark.parametrize(
    "change", [{"lr": 3e-3}, {"epochs": 3}, {"batch_size": 8}, {"momentum": 0.5}, {"weight_decay": 0.0}]
)
def test_another_recipe_is_another_head(workspace, photos, change):
    extract(workspace, [str(photos)], MINIATURE)
    (one,) = fit_head(workspace, str(photos), SWEEP, SMALL)
    (other,) = fit_head(workspace, str(photos), SWEEP, replace(SMALL, **change))
    assert other.is_new
    assert other.card.id != one.card.id


def test_rows_that_failed_are_left_out(workspace, photos, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "007.png").write_bytes(b"no image")
    extract(workspace, [str(folder)], MINIATURE)
    (fitted,) = fit_head(workspace, str(folder), SWEEP, SMALL)
    X, E = stored(workspace, "photos", "clip_image"), stored(workspace, "photos", "llm", "related-1")
    assert np.isnan(X[7]).all()
    assert np.isnan(E[7]).all()
    kept = np.delete(np.arange(40), 7)
    expected = LinearHead(epochs=2, batch_size=16, seed=1, lr=2e-3).fit(X[kept], E[kept])
    np.testing.assert_array_equal(load_file(fitted.path / "head.safetensors")["weight"], expected.weight_)


@pytest.mark.parametrize(
    ("features", "missing"),
    [
        (["clip_image"], "--features llm --teacher miniature --instruction related-1"),
        (["llm"], "--features clip_image --clip miniature"),
    ],
)
def test_missing_features_name_the_command_that_makes_them(workspace, photos, features, missing):
    extract(workspace, [str(photos)], replace(MINIATURE, features=features))
    with pytest.raises(UsageError, match=f"run `expclip extract {photos} {missing}`"):
        fit_head(workspace, str(photos), SWEEP, SMALL)


def test_unfinished_features_are_not_learnt_from(workspace, photos):
    from expclip.pipeline.plan import Portion

    extract(workspace, [str(photos)], MINIATURE, portion=Portion(limit=30))
    with pytest.raises(UsageError, match="30 of 40 rows are extracted: run `expclip extract"):
        fit_head(workspace, str(photos), SWEEP, SMALL)


def test_a_model_that_was_never_used_is_not_confused_with_one_that_was(workspace, photos):
    extract(workspace, [str(photos)], MINIATURE)
    with pytest.raises(UsageError, match="no clip_image for model ViT-L-14-quickgelu@openai"):
        fit_head(workspace, str(photos), replace(SWEEP, clips=["ViT-L-14"]), SMALL)

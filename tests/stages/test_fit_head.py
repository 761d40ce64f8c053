"""Fitting heads from the cache: what is trained, what is reused, what is refused."""

import json
import re
import shlex
import shutil
from functools import cached_property

import numpy as np
import pytest
import zarr
from expclip import LinearHead, UsageError
from expclip.cache.store import FeatureStore
from expclip.cli import app
from expclip.commands.fit_head import FitHead
from expclip.encoders.cards import fitting
from expclip.errors import ExpclipError
from expclip.heads.kept import heads_in
from expclip.heads.kinds import KINDS, TeacherPairs
from expclip.heads.pairs import Embeddings
from expclip.heads.recipe import Recipe
from expclip.stages.fit_head import optimiser_of
from safetensors.numpy import load_file
from sklearn.linear_model import Ridge
from typer.testing import CliRunner

BY_MINIATURE = {"clip": "miniature", "teacher": "miniature"}
MINIATURE = BY_MINIATURE | {"instruction": ["related-1", "empty"]}
SMALL = BY_MINIATURE | {"seed": 1, "epochs": 2, "batch_size": 16, "lr": 2e-3}


def stored(lab, dataset: str, node: str, instruction: str = "") -> np.ndarray:
    (store,) = lab.cache.find(dataset, node, instruction=instruction)
    return zarr.open_group(store.path, mode="r")["features"][:]


def test_a_head_is_what_the_cached_tensors_give(lab, photos):
    lab.extract(photos, **MINIATURE)
    (fitted,) = lab.fit_head(photos, **SMALL)
    X, E = stored(lab, "photos", "clip_image"), stored(lab, "photos", "llm", "related-1")
    expected = LinearHead(epochs=2, batch_size=16, seed=1, lr=2e-3).fit(X, E)
    np.testing.assert_array_equal(load_file(fitted.path / "head.safetensors")["weight"], expected.weight_)
    assert expected.weight_.shape == (256, 128)
    card = json.loads((fitted.path / "head.json").read_text(encoding="utf-8"))
    assert card["losses"] == expected.losses_
    assert (card["backbone"], card["teacher"], card["instruction"]) == ("miniature", "miniature", "related-1")
    assert card["untrained"] is False
    assert card["spec"]["optimiser"]["lr"] == 2e-3


def test_every_combination_is_trained_once(lab, photos, work):
    lab.extract(photos, **MINIATURE)
    work.clear()
    sweep = SMALL | {"instruction": ["related-1", "empty"], "seed": [1, 2, 3]}
    first = lab.fit_head(photos, **sweep)
    assert len({one.card.id for one in first}) == 6
    assert all(one.is_new for one in first)
    again = lab.fit_head(photos, **sweep)
    assert not any(one.is_new for one in again)
    assert [one.card.id for one in again] == [one.card.id for one in first]
    assert not work


@pytest.mark.parametrize(
    "change", [{"lr": 3e-3}, {"epochs": 3}, {"batch_size": 8}, {"momentum": 0.5}, {"weight_decay": 0.0}]
)
def test_another_recipe_is_another_head(lab, photos, change):
    lab.extract(photos, **MINIATURE)
    (one,) = lab.fit_head(photos, **SMALL)
    (other,) = lab.fit_head(photos, **SMALL | change)
    assert other.is_new
    assert other.card.id != one.card.id


@pytest.mark.parametrize("kind", ["linear", "mlp2", "mlp3", "transformer"])
def test_heads_of_every_kind_come_from_the_cached_tensors_and_either_objective(lab, photos, kind):
    lab.extract(photos, **MINIATURE)
    X, E = stored(lab, "photos", "clip_image"), stored(lab, "photos", "llm", "related-1")
    for objective in ("infonce", "mse"):
        (fitted,) = lab.fit_head(photos, **SMALL | {"head": kind, "objective": objective, "lr": 1e-4})
        recipe = Recipe(objective=objective, epochs=2, batch_size=16, lr=1e-4, seed=1)
        expected = KINDS[kind].trainer.fit(TeacherPairs(X, E), recipe, None)
        found = load_file(fitted.path / "head.safetensors")
        assert found.keys() == expected.tensors().keys()
        for name, value in expected.tensors().items():
            np.testing.assert_array_equal(found[name], value)
        assert (fitted.card.head, fitted.card.objective) == (kind, objective)
        assert fitted.card.losses == expected.losses_


def test_the_sizes_that_were_chosen_are_part_of_a_heads_identity(lab, photos, monkeypatch):
    lab.extract(photos, **MINIATURE)
    slow = SMALL | {"lr": 1e-4}
    heads = ["linear", "mlp2", "mlp3", "transformer"]
    linear, *networks = (one.card for one in lab.fit_head(photos, **slow, head=heads))
    assert "sizes" not in linear.spec
    assert [card.spec["sizes"].get("widths") for card in networks] == [[128, 256, 256], [128, 256, 256, 256], None]
    assert {"tokens": 2, "width": 64, "heads": 4, "mlp": 256}.items() <= networks[2].spec["sizes"].items()
    monkeypatch.setattr("expclip.heads.transformer.MLP", 2)
    (other,) = lab.fit_head(photos, **slow, head="transformer")
    assert other.is_new
    assert other.card.id != networks[2].id


def test_a_ridge_head_has_no_seed_and_is_fitted_once(lab, photos):
    lab.extract(photos, **MINIATURE)
    sweep = SMALL | {"seed": [1, 2, 3]}
    ridge, *linear = lab.fit_head(photos, **sweep, head=["ridge", "linear"])
    assert [one.card.seed for one in (ridge, *linear)] == [None, 1, 2, 3]
    assert ridge.card.objective == "mse"
    for same in ({"epochs": 3, "lr": 1.0}, {"batch_size": 8}):
        assert not lab.fit_head(photos, **sweep | same, head="ridge")[0].is_new
    (other,) = lab.fit_head(photos, **sweep, head="ridge", ridge_lambda=0.5)
    assert other.is_new
    X, E = (
        features.astype(float)
        for features in (stored(lab, "photos", "clip_image"), stored(lab, "photos", "llm", "related-1"))
    )
    alpha = 0.5 * np.square(X).sum() / X.shape[1]
    expected = Ridge(alpha=alpha, fit_intercept=False).fit(X, E).coef_
    found = load_file(other.path / "head.safetensors")["weight"]
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) <= 1e-6


def test_lambda_of_ridge_heads_changes_no_other_head(lab, photos):
    lab.extract(photos, **MINIATURE)
    lab.fit_head(photos, **SMALL)
    (again,) = lab.fit_head(photos, **SMALL, ridge_lambda=2.0)
    assert not again.is_new


def test_the_learning_rate_and_the_epochs_of_the_miniature_are_for_infonce_only():
    def resolved(objective, teacher, **given):
        optimiser = optimiser_of(FitHead(train="photos", objective=objective, **given), teacher)
        return optimiser["lr"], optimiser["epochs"]

    known = fitting("miniature")
    assert resolved("infonce", "miniature") == (known["lr"], known["epochs"])
    assert resolved("mse", "miniature") == (1e-3, 5)
    assert resolved("infonce", "blip2-flan-t5-xxl") == (1e-3, 5)
    assert resolved("infonce", "miniature", epochs=3) == (known["lr"], 3)
    assert resolved("mse", "miniature", lr=0.5) == (0.5, 5)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_lambda_that_is_no_penalty_is_refused(value):
    with pytest.raises(UsageError, match=f"^ridge_lambda {value}") as told:
        FitHead(train="photos", ridge_lambda=value)
    assert told.value.as_typed.startswith(f"--ridge-lambda {value}")


def test_rows_that_failed_are_left_out(lab, photos, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "007.png").write_bytes(b"no image")
    lab.extract(folder, **MINIATURE)
    (fitted,) = lab.fit_head(folder, **SMALL)
    X, E = stored(lab, "photos", "clip_image"), stored(lab, "photos", "llm", "related-1")
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
def test_missing_features_name_the_command_that_makes_them(lab, photos, features, missing):
    lab.extract(photos, **MINIATURE, features=features)
    with pytest.raises(UsageError, match=f"run `expclip extract {photos} {missing} --cache {lab.cache.root}`"):
        lab.fit_head(photos, **SMALL)


@pytest.mark.parametrize("there", [{}, {"features": "clip_image"}, {"features": "llm", "instruction": "empty"}])
def test_one_command_makes_all_that_a_sweep_lacks(lab, photos, tiny_models, there):
    if there:
        lab.extract(photos, **BY_MINIATURE, **there)
    sweep = SMALL | {
        "clip": ["miniature", f"local-dir:{tiny_models / 'clip'}"],
        "instruction": ["related-1", "empty"],
    }
    with pytest.raises(UsageError) as lacking:
        lab.fit_head(photos, **sweep)
    (command,) = re.findall(r"`(expclip .*?)`", str(lacking.value))
    _, *words = shlex.split(command)
    assert words[0] == "extract"
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert len({one.card.id for one in lab.fit_head(photos, **sweep)}) == 4


def test_what_ends_as_no_numbers_is_no_head(lab, photos):
    lab.extract(photos, **MINIATURE)
    with pytest.raises(ExpclipError, match="no finite numbers: choose a smaller lr"):
        lab.fit_head(photos, **SMALL | {"lr": 1e30, "epochs": 1, "batch_size": 20})
    assert heads_in(lab.cache.heads) == ([], [])


def test_unfinished_features_are_not_learnt_from(lab, photos):
    lab.extract(photos, **MINIATURE, limit=30)
    with pytest.raises(UsageError, match="30 of 40 rows are extracted: run `expclip extract"):
        lab.fit_head(photos, **SMALL)


def test_a_model_that_was_never_used_is_not_confused_with_one_that_was(lab, photos):
    lab.extract(photos, **MINIATURE)
    with pytest.raises(UsageError, match="no complete clip_image for model ViT-L-14-quickgelu@openai"):
        lab.fit_head(photos, **SMALL | {"clip": "ViT-L-14"})


def test_a_text_of_ones_own_is_selected_as_a_text_as_a_file_and_by_the_name_shown(lab, photos, work, tmp_path):
    text = "Describe the mouth."
    lab.extract(photos, **BY_MINIATURE, instruction="related-1")
    work.clear()
    stores = lab.extract(photos, **BY_MINIATURE, instruction=text).stores
    (name,) = {store.instruction for store in stores if store.node == "llm"}
    assert work == {"TextSide loaded": 1, "TextSide inputs": 40}  # from the query tokens
    (tmp_path / "mine.txt").write_text(text + "\n")
    for asked in (text, name, str(tmp_path / "mine.txt"), "mine" + name[-9:]):
        (fitted,) = lab.fit_head(photos, **SMALL, instruction=asked)
        assert fitted.card.instruction == name
        assert fitted.is_new == (asked == text)
    with pytest.raises(
        UsageError,
        match=r"no complete llm for .* run `expclip extract .* --instruction 'Describe the eyes\.' --cache .*`",
    ):
        lab.fit_head(photos, **SMALL, instruction="Describe the eyes.")


def test_a_file_that_is_edited_is_another_instruction(lab, photos, tmp_path):
    file = tmp_path / "mine.txt"
    keys = set()
    for text in ("Describe the mouth.", "Describe the eyes."):
        file.write_text(text)
        stores = lab.extract(photos, **BY_MINIATURE, instruction=str(file)).stores
        keys |= {(store.instruction, store.key) for store in stores if store.node == "llm"}
    assert len({name for name, _ in keys}) == len({key for _, key in keys}) == 2
    assert all(name.startswith("mine~") for name, _ in keys)


def test_a_sweep_reads_each_store_once_and_finds_its_lengths_once(lab, photos, tiny_models, monkeypatch):
    clips = ["miniature", f"local-dir:{tiny_models / 'clip'}"]
    sweep = SMALL | {"clip": clips, "instruction": ["related-1", "empty"], "seed": [1, 2]}
    lab.extract(photos, **MINIATURE | {"clip": clips})
    work: list[str] = []
    read, lengths = FeatureStore.read, Embeddings.lengths.func

    def reading(store, *args, **how):
        work.append(f"read {store.path.name}")
        return read(store, *args, **how)

    def measuring(side):
        work.append(f"lengths of {id(side)}")
        return lengths(side)

    counted = cached_property(measuring)
    counted.__set_name__(Embeddings, "lengths")
    monkeypatch.setattr(FeatureStore, "read", reading)
    monkeypatch.setattr(Embeddings, "lengths", counted)
    asked = lab.fit_head(photos, **sweep, head=["linear", "mlp2", "ridge"])
    assert [one.card.head for one in asked] == 2 * 2 * ["linear", "linear", "mlp2", "mlp2", "ridge"]
    assert len(work) == len(set(work)) == 4 + 4
    work.clear()
    assert not any(one.is_new for one in lab.fit_head(photos, **sweep))
    assert not work


def test_heads_are_the_same_where_memory_is_short(lab, photos, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "007.png").write_bytes(b"no image")
    lab.extract(folder, **MINIATURE)
    asked = SMALL | {"head": ["linear", "mlp2"]}
    usual = lab.fit_head(folder, **asked)
    expected = [load_file(one.path / "head.safetensors") for one in usual]
    shutil.rmtree(lab.cache.heads)
    capsys.readouterr()
    monkeypatch.setattr("expclip.pipeline.learnt.free_memory", lambda: 40_000)
    found = [
        load_file(one.path / "head.safetensors") for one in lab.fit_head(folder, **SMALL, head=["linear", "mlp2"])
    ]
    for one, other in zip(found, expected, strict=True):
        for name, value in other.items():
            np.testing.assert_array_equal(one[name], value)
    said = capsys.readouterr().err
    assert re.search(r"llm-.* has 20.5 kB, and 40.0 kB of memory are free: batches are read from the disk", said)
    assert "clip_image" not in said
    assert re.search(r"up to [\d.]+ [MG]B of memory were used", said)


def test_the_loss_of_every_step_is_kept(lab, photos):
    lab.extract(photos, **MINIATURE)
    linear, ridge = lab.fit_head(photos, **SMALL, head=["linear", "ridge"])
    X, E = stored(lab, "photos", "clip_image"), stored(lab, "photos", "llm", "related-1")
    expected = LinearHead(epochs=2, batch_size=16, seed=1, lr=2e-3).fit(X, E)
    assert len(expected.step_losses_) == 2 * 2
    np.testing.assert_allclose(np.reshape(expected.step_losses_, (2, 2)).mean(axis=1), expected.losses_, rtol=1e-6)
    lines = (linear.path / "losses.csv").read_text().splitlines()
    assert lines[0] == "step,loss"
    assert [int(line.split(",")[0]) for line in lines[1:]] == [1, 2, 3, 4]
    np.testing.assert_allclose([float(line.split(",")[1]) for line in lines[1:]], expected.step_losses_, rtol=1e-5)
    assert not (ridge.path / "losses.csv").exists()


@pytest.mark.parametrize("is_native", [True, False])
def test_products_in_bfloat16_that_would_be_emulated_are_warned_about(lab, photos, monkeypatch, capsys, is_native):
    monkeypatch.setattr("expclip.encoders.dtypes.multiplies_bfloat16", lambda: is_native)
    lab.extract(photos, **MINIATURE)
    for precision, heads in (("float32", "linear"), ("bfloat16", "ridge"), ("bfloat16", ["linear", "mlp2"])):
        capsys.readouterr()
        lab.fit_head(photos, **SMALL, precision=precision, head=heads)
        said = capsys.readouterr().err
        expected = int(not is_native and heads == ["linear", "mlp2"])
        assert said.count("this processor only emulates products in bfloat16") == expected

"""The LLM in CLIP's place, for images, for prompts and for both, against a float64 computation from stored arrays."""

from itertools import pairwise

import numpy as np
import pytest
import zarr
from expclip import UsageError
from expclip.encoders.dtypes import PartDTypes
from expclip.manifests.classes import CLASSES
from expclip.manifests.prompts import prompt_set
from safetensors.numpy import load_file

MINIATURE = {"clip": "miniature", "teacher": "miniature"}
BY_MINIATURE = MINIATURE | {"prompts": "P-5", "image": ["clip", "llm"], "text": ["clip", "llm"]}
SMALL = {"epochs": 2, "batch_size": 16}


@pytest.fixture
def fitted(lab, photos):
    """A linear head and an MLP on the cached features of the photos."""
    lab.extract(photos, **MINIATURE, instruction="related-1")
    return lab.fit_head(train=photos, **MINIATURE, seed=1, head=["linear", "mlp2"], **SMALL)


def stored(lab, dataset: str, node: str) -> np.ndarray:
    (store,) = lab.cache.find(dataset, node)
    return zarr.open_group(store.path, mode="r")["features"][:].astype(np.float64)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def mean_embeddings(vectors: np.ndarray, texts: list[str]) -> np.ndarray:
    """(7, L): of the prompts of each class of P-5 the mean of their unit embeddings."""
    prompts = prompt_set("P-5").prompts
    return np.stack([unit(vectors[[texts.index(text) for text in prompts[c]]]).mean(axis=0) for c in CLASSES[:7]])


def by_class(cosines: np.ndarray, texts: list[str]) -> np.ndarray:
    """(n, 7): the mean over the prompts of each class of P-5."""
    prompts = prompt_set("P-5").prompts
    return np.stack(
        [cosines[:, [texts.index(text) for text in prompts[c]]].mean(axis=1) for c in CLASSES[:7]], axis=1
    )


def projections(lab, fitted) -> dict:
    """By kind of head, what its tensors say that it computes."""
    tensors = {one.card.head: load_file(one.path / "head.safetensors") for one in fitted}
    linear, mlp = ({name: value.astype(np.float64) for name, value in one.items()} for one in tensors.values())
    return {
        "linear": lambda x: x @ linear["weight"].T,
        "mlp2": lambda x: np.maximum(x @ mlp["0.weight"].T + mlp["0.bias"], 0) @ mlp["1.weight"].T,
    }


def test_each_combination_equals_a_float64_computation(lab, fitted, labelled, work):
    found = lab.evaluate(labelled, **BY_MINIATURE)
    e_i, e_g = (stored(lab, "labelled", node) for node in ("clip_image", "llm"))
    e_t, t5 = (stored(lab, "text", node) for node in ("clip_text", "llm_text"))
    texts = list(prompt_set("P-5").texts)
    project = projections(lab, fitted)
    expected = {("none", "clip", "clip"): (e_i, e_t), ("none", "llm", "llm"): (e_g, t5)}
    for head, P in project.items():
        expected[head, "clip", "clip"] = P(e_i), P(e_t)
        expected[head, "clip", "llm"] = P(e_i), t5
        expected[head, "llm", "clip"] = e_g, P(e_t)
    assert {(one.of.head, one.of.image, one.of.text) for one in found.predictions} == set(expected)
    for one in found.predictions:
        images, prompts = expected[one.of.head, one.of.image, one.of.text]
        cosines = by_class(unit(images) @ unit(prompts).T, texts)
        np.testing.assert_allclose(one.similarity, cosines, atol=2e-6)
    assert work["TextSide inputs"] == 42
    work.clear()
    again = lab.evaluate(labelled, **BY_MINIATURE, cached_only=True)
    assert not work
    assert [one.uar for one in again.scores] == [one.uar for one in found.scores]


def test_embeddings_of_prompts_are_averaged_before_a_head_whatever_encodes_them(lab, fitted, labelled):
    found = lab.evaluate(labelled, **BY_MINIATURE, ensemble="embeddings")
    e_i, e_g = (stored(lab, "labelled", node) for node in ("clip_image", "llm"))
    texts = list(prompt_set("P-5").texts)
    e_t, t5 = (mean_embeddings(stored(lab, "text", node), texts) for node in ("clip_text", "llm_text"))
    expected = {("none", "clip", "clip"): (e_i, e_t), ("none", "llm", "llm"): (e_g, t5)}
    for head, P in projections(lab, fitted).items():
        expected[head, "clip", "clip"] = P(e_i), P(e_t)
        expected[head, "clip", "llm"] = P(e_i), t5
        expected[head, "llm", "clip"] = e_g, P(e_t)
    assert len(found.predictions) == len(expected)
    for one in found.predictions:
        images, prompts = expected[one.of.head, one.of.image, one.of.text]
        np.testing.assert_allclose(one.similarity, unit(images) @ unit(prompts).T, atol=2e-6)


def test_every_score_has_an_interval_and_a_gain_where_clip_alone_is_scored_on_the_same_samples(lab, fitted, labelled):
    found = lab.evaluate(labelled, **BY_MINIATURE)
    for one in found.scores:
        assert one.certainty is not None
        assert one.certainty.score.uar.low <= one.uar <= one.certainty.score.uar.high
        is_gain = one.of.head != "none" and one.of.image == one.of.text == "clip"
        assert (one.certainty.gain is not None) == is_gain


def test_frames_of_clips_are_averaged_behind_a_head_before_they_meet_the_llms_prompts(lab, fitted, clips):
    found = lab.evaluate(clips, **BY_MINIATURE | {"image": "clip", "text": "llm"}, frames="edge")
    e_i, t5 = stored(lab, "list", "clip_image"), stored(lab, "text", "llm_text")
    manifest = lab.cache.current_manifest("list")
    texts = list(prompt_set("P-5").texts)
    offsets, rows = manifest.clips["edge"].offsets, manifest.clips["edge"].indices
    for one in found.predictions:
        frames = projections(lab, fitted)[one.of.head](e_i)
        means = np.stack([frames[rows[a:b]].mean(axis=0) for a, b in pairwise(offsets)])
        np.testing.assert_allclose(one.similarity, by_class(unit(means) @ unit(t5).T, texts), atol=2e-6)
    assert {one.of.head for one in found.predictions} == {"linear", "mlp2"}


def test_results_name_what_encoded_images_and_prompts(lab, fitted, labelled, tmp_path):
    lab.evaluate(labelled, **BY_MINIATURE, figures=True, out=tmp_path / "out")
    columns, *rows = [line.split(",") for line in (tmp_path / "out/scores.csv").read_text().splitlines()]
    sides = {tuple(row[columns.index(name)] for name in ("head", "image", "text")) for row in rows}
    assert len(sides) == len(rows) == 8
    assert len(list((tmp_path / "out/figures").glob("*.png"))) == 8
    tables = (tmp_path / "out/tables.md").read_text(encoding="utf-8")
    assert "linear head · related-1 · image clip, text llm" in tables
    assert "LLM alone · related-1" in tables


def test_e_g_of_another_kind_than_a_head_was_fitted_to_is_refused(lab, fitted, labelled, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(PartDTypes, "t5", "bfloat16")
        lab.extract(labelled, **MINIATURE, instruction="related-1")
    with pytest.raises(UsageError, match=r"was fitted to llm features .* of photos; labelled has"):
        lab.evaluate(labelled, **BY_MINIATURE | {"text": "clip"})


def test_what_is_missing_is_named_with_its_command(lab, fitted, labelled):
    lab.evaluate(labelled, **BY_MINIATURE | {"image": "clip", "text": "clip"})
    with pytest.raises(UsageError, match=r"--features llm --teacher miniature --instruction related-1 --cache"):
        lab.evaluate(labelled, **BY_MINIATURE | {"text": "clip"}, cached_only=True)
    with pytest.raises(UsageError, match="text features of P-5 by miniature are not cached"):
        lab.evaluate(labelled, **BY_MINIATURE | {"image": "clip"}, cached_only=True)


def test_without_a_head_nothing_leads_from_clip_to_the_llm(lab, labelled):
    with pytest.raises(UsageError, match="no head of the cache matches"):
        lab.evaluate(labelled, **BY_MINIATURE | {"image": "clip", "text": "llm"})
    with pytest.raises(UsageError, match="image 'blip': choose clip or llm"):
        lab.evaluate(labelled, **BY_MINIATURE | {"image": "blip"})

"""Predictions from products in float32, against float64."""

from dataclasses import replace

import numpy as np
import pytest
from expclip.heads.linear import LinearHead
from expclip.manifests.manifest import Clips, Sample, image_manifest
from expclip.scoring.compare import Comparison, Scorable
from expclip.scoring.cosines import PlainClip, text_directions, unit
from expclip.scoring.ensembles import ClassVectors, Directions
from expclip.scoring.scores import Combination

CLASSES = ("anger", "fear", "sadness")
WIDTH = 24
OF = Combination(
    *("data", "clip", "linear", "id", "infonce", "", "", "", ""),
    seed=1, image="clip", text="clip", prompts="", ensemble="logits", protocol="released", frames="", untrained=True,
)  # fmt: skip


@pytest.fixture
def faces(tmp_path):
    """A manifest of 400 faces without files."""
    for k in range(400):
        (tmp_path / f"{k}.png").write_bytes(b"x")
    samples = [Sample(str(k), f"{k}.png", k % 3) for k in range(400)]
    return image_manifest("data", CLASSES, samples, tmp_path)


def vectors(texts: np.ndarray, classes: list[int], name: str = "mine") -> ClassVectors:
    said = tuple((f"{name} {k}",) for k in range(len(texts)))
    return ClassVectors(name, "logits", said, texts, np.array(classes), len(CLASSES))


def comparison(faces, images: np.ndarray, head, texts: list[ClassVectors], with_cosines: bool = True) -> Comparison:
    every = Clips.from_lists([[k] for k in range(len(images))])
    scorable = Scorable.of(faces, images, np.ones(len(images), dtype=bool), every, "before")
    directions = Directions(lambda some: text_directions(head, some))
    return Comparison(OF, scorable, head, directions, texts, with_cosines)


def exact_cosines(images: np.ndarray, weight: np.ndarray, of: ClassVectors) -> np.ndarray:
    """Each prompt by itself, in float64."""
    found = unit(images.astype(np.float64) @ weight.T) @ unit(of.vectors.astype(np.float64) @ weight.T).T
    per_class = [found[:, of.classes == k] for k in range(of.n_classes)]
    return np.stack([one.mean(axis=1) if one.size else np.full(len(found), -np.inf) for one in per_class], axis=1)


@pytest.fixture
def made_up():
    rng = np.random.default_rng(0)
    images = rng.standard_normal((400, WIDTH)).astype(np.float16)
    return images, rng.standard_normal((60, WIDTH)).astype(np.float32), rng.standard_normal((7, WIDTH))


@pytest.mark.parametrize("classes", [[0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1, 1]])
def test_cosines_and_classes_are_those_of_float64(faces, made_up, classes):
    images, weight, texts = made_up
    some = [vectors(texts, classes), vectors(texts[:3][::-1], [0, 1, 2], "other")]
    found = comparison(faces, images, LinearHead.from_weight(weight), some).predictions
    for one, of in zip(found, some, strict=True):
        expected = exact_cosines(images, weight.astype(np.float64), of)
        np.testing.assert_allclose(one.similarity, expected, atol=2e-6)
        np.testing.assert_array_equal(one.predicted, expected.argmax(axis=1))


def test_classes_that_float32_cannot_tell_apart_are_told_apart_in_float64(faces, made_up):
    """The texts of two classes differ by less than the rounding of their products."""
    images, weight, texts = made_up
    nearly = np.stack([texts[0], texts[0] + 1e-8 * texts[1], -texts[0]])
    for head, exact in ((LinearHead.from_weight(weight), weight), (PlainClip(), np.eye(WIDTH))):
        some = vectors(nearly, [0, 1, 2])
        (found,) = comparison(faces, images, head, [some], with_cosines=False).predictions
        expected = exact_cosines(images, exact.astype(np.float64), some)
        single = (images.astype(np.float32) @ unit(nearly).astype(np.float32).T).argmax(axis=1)
        np.testing.assert_array_equal(found.predicted, expected.argmax(axis=1))
        assert (single != expected.argmax(axis=1)).any() or not isinstance(head, PlainClip)
        assert found.similarity is None


def test_a_text_is_projected_once_however_many_data_sets_ask(faces, made_up):
    images, weight, texts = made_up
    asked = []
    head = LinearHead.from_weight(weight)
    directions = Directions(lambda some: (asked.append(len(some)), text_directions(head, some))[1])
    first, second = vectors(texts[:3], [0, 1, 2]), vectors(texts[:5], [0, 1, 2, 2, 2])
    for some in ([first], [second], [first, second]):
        one = comparison(faces, images, head, some)
        assert len(replace(one, directions=directions).predictions) == len(some)
    assert asked == [3, 2]

"""The linear probe against scikit-learn on the same arrays."""

import numpy as np
import pytest
from expclip.heads.kinds import KINDS, LabelledSamples
from expclip.heads.probe import searched
from expclip.heads.recipe import Recipe
from expclip.manifests.manifest import Clips
from expclip.scoring.samples import Samples
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score

CLASSES = ("happiness", "sadness", "neutral")
TRAINER = KINDS["linear-probe"].trainer


def made(n: int, seed: int, classes: tuple[str, ...] = CLASSES, **more) -> LabelledSamples:
    """Clips of two frames around class centres that overlap; the last class is rare."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(len(classes), n, p=np.r_[[0.9 / (len(classes) - 1)] * (len(classes) - 1), 0.1])
    labels[: len(classes)] = range(len(classes))
    centres = np.random.default_rng(0).normal(size=(len(classes), 6))
    frames = (np.repeat(centres[labels], 2, axis=0) + generator.normal(size=(2 * n, 6))).astype(np.float32)
    clips = Clips.from_lists(np.arange(2 * n).reshape(n, 2).tolist())
    return LabelledSamples(Samples(frames, clips, "before"), labels, classes, **more)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES])
def test_it_is_the_best_logistic_regression_on_what_was_held_out(balanced, classes):
    held_out = made(90, 2, classes, balanced=balanced)
    content, test = made(150, 1, classes, validation=held_out, balanced=balanced), made(200, 3, classes)
    probe = TRAINER.fit(content, Recipe(), None)
    metric = balanced_accuracy_score if balanced else accuracy_score

    def model(c: float) -> LogisticRegression:
        weights = "balanced" if balanced else None
        return LogisticRegression(C=c, max_iter=1000, class_weight=weights).fit(
            content.samples.means.astype(np.float64), content.labels
        )

    def good(c: float) -> float:
        return metric(held_out.labels, model(c).predict(held_out.samples.means.astype(np.float64)))

    assert good(probe.c_) >= max(good(10.0**k) for k in range(-6, 7, 2))
    expected = model(probe.c_).decision_function(test.samples.means.astype(np.float64))
    expected = np.c_[0 * expected, expected] if len(classes) == 2 else expected
    np.testing.assert_allclose(probe.class_scores(test.samples), expected, rtol=1e-9, atol=1e-9)


def test_it_is_the_same_after_it_was_saved():
    content = made(80, 1, validation=made(40, 2))
    probe = TRAINER.fit(content, Recipe(), None)
    TRAINER.refuse(probe.tensors())
    again = TRAINER.load(probe.tensors(), {"classes": list(CLASSES)})
    np.testing.assert_array_equal(again.class_scores(content.samples), probe.class_scores(content.samples))
    with pytest.raises(ValueError, match="scores of 3 classes, and its card names 2"):
        TRAINER.load(probe.tensors(), {"classes": list(CLASSES[:2])})


@pytest.mark.parametrize("best", [1e-7, 3e-3, 0.5, 20.0, 1e6])
def test_the_search_ends_near_the_best(best):
    """It halves an interval of two orders of magnitude, so that it ends within a tenth of one."""
    found = searched(lambda c: -abs(np.log10(c / best)))
    assert abs(np.log10(found / max(best, 1e-7))) < 0.1

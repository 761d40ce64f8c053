"""Adaptation to all test samples, against its formulas in float64."""

from dataclasses import replace

import numpy as np
import pytest
from expclip import ExpclipError
from expclip.heads.linear import LinearHead
from expclip.heads.probe import LinearProbe
from expclip.manifests.manifest import Clips, Sample, image_manifest
from expclip.scoring.adaptation import Adaptation, adapted
from expclip.scoring.by_fold import ByFold
from expclip.scoring.compare import Comparison, Scorable
from expclip.scoring.cosines import PlainClip
from expclip.scoring.ensembles import ClassVectors, Directions
from expclip.scoring.prior_bias import matched_bias
from expclip.scoring.samples import Classifier
from expclip.scoring.scores import Combination
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

CLASSES = ("anger", "fear", "sadness")
WIDTH = 12
OF = Combination(
    *("data", "clip", "linear", "id", "infonce", "", "", "", ""),
    seed=1, image="clip", text="clip", prompts="", ensemble="logits", protocol="released", frames="", untrained=True,
)  # fmt: skip
UNIFORM, CENTER = Adaptation("prior", 100.0), Adaptation("center", 100.0)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def softmax(logits: np.ndarray) -> np.ndarray:
    moved = np.exp(logits - logits.max(axis=1, keepdims=True))
    return moved / moved.sum(axis=1, keepdims=True)


class Bent(PlainClip):
    """A head that is not linear: its frames are pooled behind it."""

    def __init__(self, weight: np.ndarray):
        self.weight = weight

    def transform(self, X):
        return np.tanh(np.asarray(X, dtype=np.float64) @ self.weight.T)

    def pooled(self, samples):
        yield from samples.means_behind(self.transform)


@pytest.fixture
def made_up():
    """60 clips of up to three frames in two folds, seven texts, and a matrix."""
    rng = np.random.default_rng(0)
    frames = (rng.standard_normal((120, WIDTH)) + 1).astype(np.float16)
    lengths = rng.integers(1, 4, 60)
    clips = [rng.choice(120, length).tolist() for length in lengths]
    return frames, clips, rng.standard_normal((7, WIDTH)) + 0.5, rng.standard_normal((20, WIDTH)).astype(np.float32)


TEXT_CLASSES = np.array([0, 0, 0, 1, 1, 2, 2])
FOLDS = np.arange(60) % 2 + 1


@pytest.fixture
def compare(tmp_path, made_up):
    """Compares clips and texts by way of a head."""
    frames, clips, texts, _ = made_up
    for k in range(60):
        (tmp_path / f"{k}.png").write_bytes(b"x")

    def make(head, folds=FOLDS, images=frames, of=clips, **changes) -> Comparison:
        labels = [k % 3 for k in range(len(of))]
        samples = [Sample(str(k), f"{k}.png", labels[k], int(folds[k])) for k in range(len(of))]
        manifest = image_manifest("data", CLASSES, samples, tmp_path)
        scorable = Scorable.of(manifest, images, np.ones(len(images), dtype=bool), Clips.from_lists(of), "behind")
        if isinstance(head, Classifier):
            return Comparison(OF, scorable, head, Directions(unit), [], True)
        directions = Directions(lambda some: unit(head.transform(some)), head.directions)
        said = tuple((f"text {k}",) for k in range(7))
        some = [ClassVectors("all", "logits", said, texts, TEXT_CLASSES, 3)]
        some += [ClassVectors("one each", "logits", said[::3], texts[::3], np.arange(3), 3)]
        return replace(Comparison(OF, scorable, head, directions, some, True), **changes)

    return make


def by_hand(head, made_up) -> tuple[np.ndarray, np.ndarray]:
    """Unit embeddings of the clips and of the texts behind a head, in float64."""
    frames, clips, texts, weight = made_up

    def project(some):
        if isinstance(head, PlainClip):
            return np.tanh(some @ weight.T.astype(np.float64)) if isinstance(head, Bent) else some
        return some @ weight.T.astype(np.float64)

    exact = frames.astype(np.float64)
    return unit(np.stack([project(exact[rows]).mean(axis=0) for rows in clips])), unit(project(texts))


def of_class(texts: np.ndarray) -> np.ndarray:
    """(classes, D) means of the texts of each class."""
    return np.stack([texts[k == TEXT_CLASSES].mean(axis=0) for k in range(3)])


HEADS = {
    "plain": lambda weight: PlainClip(),
    "linear": LinearHead.from_weight,
    "bent": lambda weight: Bent(weight.astype(np.float64)),
}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("folds", [FOLDS, np.zeros(60, dtype=int)], ids=["folds", "all"])
def test_centred_cosines_are_those_of_the_formula(compare, made_up, kind, folds):
    head = HEADS[kind](made_up[3])
    found, alone = adapted(compare(head, folds), CENTER)
    z, t = by_hand(head, made_up)
    for fold in np.unique(folds):
        some = np.flatnonzero(folds == fold)
        moved = unit(z[some] - z[some].mean(axis=0))
        expected = np.stack(
            [(moved @ unit(t - of_class(t).mean(axis=0)).T)[:, k == TEXT_CLASSES].mean(axis=1) for k in range(3)]
        ).T
        np.testing.assert_allclose(found.similarity[some], expected, atol=2e-6)
        np.testing.assert_array_equal(found.predicted[some], expected.argmax(axis=1))
        only = moved @ unit(t[::3] - t[::3].mean(axis=0)).T
        np.testing.assert_allclose(alone.similarity[some], only, atol=2e-6)
    assert (found.of.adapted, found.of.prior, found.of.prompts) == ("center", "", "all")


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("shares", [None, {"sadness": 0.7, "fear": 0.1, "anger": 0.2}])
def test_the_mean_prediction_of_each_fold_is_the_prior(compare, made_up, kind, shares):
    head = HEADS[kind](made_up[3])
    found = adapted(compare(head), replace(UNIFORM, shares=shares))[0]
    prior = [(shares or dict.fromkeys(CLASSES, 1 / 3))[name] for name in CLASSES]
    z, t = by_hand(head, made_up)
    for fold in (1, 2):
        some = np.flatnonzero(fold == FOLDS)
        bias = 100 * (found.similarity[some] - z[some] @ of_class(t).T)
        np.testing.assert_allclose(bias, np.broadcast_to(bias[:1], bias.shape), atol=1e-3)  # one a class
        np.testing.assert_allclose(softmax(100 * found.similarity[some]).mean(axis=0), prior, atol=1e-8)
    np.testing.assert_array_equal(found.predicted, found.similarity.argmax(axis=1))
    assert found.of.prior == ("sadness=0.7,fear=0.1,anger=0.2" if shares else "uniform")


def test_labels_change_nothing(compare, made_up):
    one = compare(PlainClip())
    manifest = one.scorable.manifest
    other = replace(one, scorable=replace(one.scorable, manifest=replace(manifest, labels=manifest.labels[::-1])))
    for by in (UNIFORM, CENTER):
        for a, b in zip(adapted(one, by), adapted(other, by), strict=True):
            np.testing.assert_array_equal(a.predicted, b.predicted)


def test_a_class_without_prompts_is_never_predicted_and_the_others_share_its_part(compare, made_up):
    one = compare(PlainClip())
    texts = [replace(of, classes=np.where(of.classes == 2, 1, of.classes)) for of in one.texts]
    shares = {"anger": 0.1, "fear": 0.4, "sadness": 0.5}
    for by in (UNIFORM, CENTER, replace(UNIFORM, shares=shares)):
        found = adapted(replace(one, texts=texts), by)[0]
        assert set(found.predicted.tolist()) == {0, 1}
        assert (found.similarity[:, 2] == -np.inf).all()
    np.testing.assert_allclose(softmax(100 * found.similarity[FOLDS == 1]).mean(axis=0), [0.2, 0.8, 0], atol=1e-8)


def test_heads_from_labels_are_matched_by_their_own_logits_and_never_centred(compare, made_up):
    rng = np.random.default_rng(1)
    probes = [LinearProbe(rng.standard_normal((3, WIDTH)), rng.standard_normal(3), 1.0, CLASSES) for _ in range(2)]
    head = ByFold({1: probes[0], 2: probes[1]})
    (found,) = adapted(compare(head), UNIFORM)
    for fold, probe in enumerate(probes, start=1):
        some = np.flatnonzero(fold == FOLDS)
        logits = probe.class_scores(compare(head).scorable.samples)[some]
        bias = found.similarity[some] - logits
        np.testing.assert_allclose(bias, np.broadcast_to(bias[:1], bias.shape), atol=1e-9)
        np.testing.assert_allclose(softmax(found.similarity[some]).mean(axis=0), 1 / 3, atol=1e-8)
    assert "learnt from labels" in CENTER.why_not(head)
    assert UNIFORM.why_not(head) == ""


def test_scores_that_are_no_logits_have_no_prior(compare):
    class Votes:
        classes = CLASSES

        def class_scores(self, samples):
            return np.ones((len(samples), 3))

    assert "no logits" in UNIFORM.why_not(Votes())
    assert "no logits" in UNIFORM.why_not(ByFold({1: Votes()}))


def test_samples_of_which_nothing_is_left_are_named_and_never_nan(compare, made_up):
    """Unit vectors whose mean is one of them are all alike."""
    images = np.repeat(made_up[0][:1], 3, axis=0)
    alike = compare(PlainClip(), np.zeros(3, dtype=int), images, [[0], [1], [2]])
    with pytest.raises(ExpclipError, match=r"data under clip: the embedding of sample 0 is the mean .*3 such"):
        adapted(alike, CENTER)
    assert np.isfinite([one.similarity for one in adapted(alike, UNIFORM)]).all()


@pytest.mark.parametrize("lost", [0, np.inf, np.nan])
def test_embeddings_without_a_direction_are_refused_by_either(compare, made_up, lost):
    images = made_up[0].copy()
    images[made_up[1][5]] = lost
    for by in (UNIFORM, CENTER):
        with pytest.raises(ExpclipError, match="similarities that are no finite numbers"):
            adapted(compare(PlainClip(), images=images), by)


def test_texts_of_which_nothing_is_left_are_named(compare, made_up):
    one = compare(PlainClip())
    alike = ClassVectors("mine", "logits", (("a",), ("b",), ("c",)), np.ones((3, WIDTH)), np.arange(3), 3)
    with pytest.raises(ExpclipError, match=r"center: mine: the embedding of 'a' is the mean over the classes"):
        adapted(replace(one, texts=[alike]), CENTER)


def test_one_sample_of_a_fold_is_refused_by_either(compare):
    folds = np.where(np.arange(60) == 7, 3, 1)
    for by in (UNIFORM, CENTER):
        with pytest.raises(ExpclipError, match="has 1 sample that could be encoded"):
            adapted(compare(PlainClip(), folds), by)


@st.composite
def logits_and_priors(draw):
    n, classes = draw(st.integers(1, 30)), draw(st.integers(1, 6))
    scale = draw(st.sampled_from([1e-3, 1, 30, 1e3, 1e4]))
    logits = draw(arrays(np.float64, (n, classes), elements=st.floats(-1, 1)))
    shares = draw(arrays(np.float64, classes, elements=st.floats(1e-4, 1)))
    return scale * logits, shares / shares.sum()


@settings(max_examples=150, deadline=None)
@given(logits_and_priors())
def test_a_bias_matches_any_prior_of_any_logits(both):
    logits, prior = both
    bias = matched_bias(logits, prior)
    np.testing.assert_allclose(softmax(logits + bias).mean(axis=0), prior, rtol=1e-7)
    assert abs(bias.sum()) <= 1e-9 * (1 + np.abs(bias).max())


@settings(max_examples=50, deadline=None)
@given(logits_and_priors(), st.integers(0, 2**31))
def test_there_is_one_bias_wherever_one_starts(both, seed):
    """What is added to the scores of a class before is taken off its bias; a constant of a sample changes nothing."""
    logits, prior = both
    rng = np.random.default_rng(seed)
    before, constants = rng.standard_normal(len(prior)), rng.standard_normal((len(logits), 1))
    moved = before - before.mean()
    p = softmax(logits + matched_bias(logits, prior))
    again = matched_bias(logits + before + constants, prior) + moved
    np.testing.assert_allclose(softmax(logits + again), p, atol=1e-6)


def test_logits_of_no_finite_precision_are_refused_in_words():
    logits = np.array([[0, 1e17], [1e17, 0], [0, 1e17]])
    with pytest.raises(ExpclipError, match="cannot be made to match the prior"):
        matched_bias(logits, np.array([0.5, 0.5]))


def test_where_no_sample_could_be_encoded_there_is_nothing_to_adapt(compare, made_up):
    one = compare(PlainClip())
    none = np.zeros(120, dtype=bool)
    lost = Scorable.of(one.scorable.manifest, made_up[0], none, Clips.from_lists(made_up[1]), "behind")
    for by in (UNIFORM, CENTER):
        assert [len(found.predicted) for found in adapted(replace(one, scorable=lost), by)] == [0, 0]

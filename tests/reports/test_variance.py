"""The variance of unit embeddings within classes, against its definition."""

import numpy as np
from expclip.reports.variance import class_variance, variance_figure


def test_it_is_the_mean_squared_distance_to_the_mean_of_the_class():
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(50, 9)) + 1
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    labels = rng.choice([0, 1, 3], 50)
    variance = class_variance(unit, labels, 4)
    for label in (0, 1, 3):
        own = unit[labels == label]
        distances = [np.sum((one - own.mean(axis=0)) ** 2) for one in own]
        assert np.isclose(variance[label], np.mean(distances))
    assert np.isnan(variance[2])


def test_it_is_0_for_one_direction_and_1_for_opposite_ones():
    unit = np.array([[1.0, 0], [1, 0], [0, 1], [0, -1]])
    np.testing.assert_allclose(class_variance(unit, np.array([0, 0, 1, 1]), 2), [0, 1])


def test_the_figure_has_a_bar_for_each_class_and_the_mean_of_those_that_have_samples():
    given = {"plain CLIP": np.array([0.5, np.nan, 0.3]), "linear head": np.array([0.2, np.nan, 0.0031])}
    (axes,) = variance_figure(given, ("a", "b", "c"), "title").axes
    shown = [[bar.get_height() for bar in group] for group in axes.containers if hasattr(group, "patches")]
    np.testing.assert_allclose(shown, [[0.5, np.nan, 0.3, 0.4], [0.2, np.nan, 0.0031, 0.10155]])
    assert [text.get_text() for text in axes.texts] == [".50", "", ".30", ".40", ".20", "", ".0031", ".10"]

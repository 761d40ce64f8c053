"""Maps of embeddings: neighbours stay neighbours, the seed decides, and every class looks different."""

import numpy as np
import pytest
from expclip.manifests.classes import CLASSES
from expclip.reports import tsne
from expclip.reports.tsne import tsne_figure, tsne_points


def two_groups():
    rng = np.random.default_rng(0)
    vectors = np.repeat([[1.0, 0, 0, 0], [0, 0, 1, 0]], 20, axis=0) + rng.normal(scale=0.05, size=(40, 4))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.repeat([0, 1], 20)


def test_groups_stay_apart_and_the_same_seed_gives_the_same_map():
    unit, labels = two_groups()
    points = tsne_points(unit, seed=1)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).all()
    np.testing.assert_array_equal(tsne_points(unit, seed=1), points)


@pytest.mark.parametrize("n", [4, 5, 9])
@pytest.mark.parametrize("kinds", [1, 2, 3])
def test_few_samples_and_samples_that_are_alike_have_finite_places(n, kinds):
    unit = np.eye(3)[np.arange(n) % kinds]
    assert np.isfinite(tsne_points(unit, seed=1)).all()
    assert np.isfinite(tsne_points(np.ones((n, 1)), seed=1)).all()


def test_a_panel_shows_each_sample_at_its_place_in_the_look_of_its_class():
    points, labels = np.random.default_rng(1).normal(size=(2, 30, 2)), np.arange(30) % 3
    figure = tsne_figure({"before": points[0], "after": points[1]}, labels, CLASSES[:3], "title")
    for axes, expected in zip(figure.axes, points, strict=True):
        for label, group in enumerate(axes.collections):
            assert group.get_label() == CLASSES[label]
            np.testing.assert_allclose(group.get_offsets(), expected[labels == label])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(CLASSES[:3])


def test_only_classes_that_are_there_are_listed_each_in_its_own_look():
    points, labels = np.random.default_rng(1).normal(size=(20, 2)), np.arange(20) % 2 * 3 + 1
    figure = tsne_figure({"before": points}, labels, CLASSES, "title")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [CLASSES[1], CLASSES[4]]
    every = tsne_figure({"before": np.zeros((11, 2))}, np.arange(11), CLASSES, "title").axes[0].collections
    for group, known in zip(figure.axes[0].collections, (every[1], every[4]), strict=True):
        np.testing.assert_array_equal(group.get_facecolor(), known.get_facecolor())


@pytest.mark.parametrize(("count", "panels"), [(7, 1), (27, 1), (27, 4)])
def test_the_legend_lies_within_the_figure(count, panels):
    classes = [f"an expression with a long name {k}" for k in range(count)]
    named = {f"{'a head of some kind ' * 4}{k}": np.zeros((count, 2)) for k in range(panels)}
    figure = tsne_figure(named, np.arange(count), classes, "d" * 40 + " · " + "b" * 40 + " · t-SNE")
    figure.draw_without_rendering()
    drawn = figure.get_tightbbox()
    assert drawn.x0 >= 0
    assert drawn.x1 <= figure.get_figwidth()
    assert figure.axes[0].get_window_extent().height > 300


def test_no_two_classes_share_a_colour_or_a_marker():
    colours, markers = zip(*tsne._LOOKS, strict=True)
    assert len(set(colours)) == len(set(markers)) == len(CLASSES)

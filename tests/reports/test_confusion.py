"""Confusion matrices: what is blank, what is light, and that every name has room."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from expclip.reports.confusion import comparison_figure, confusion_figure, shares
from expclip.scoring.scores import Combination, Score, score
from matplotlib.figure import Figure

OF = Combination(
    *("raf-db", "ViT-B-32", "none", "", "", "", "", "", "", None, "clip", "clip", "P-1", "logits", "released", ""),
    untrained=False,
)
LONG = tuple(f"an expression that has a long name, number {k}" for k in range(8))


def scored(classes, empty=(), **of) -> Score:
    confusion = np.random.default_rng(0).integers(1, 9, (len(classes), len(classes)))
    confusion[list(empty)] = 0
    return score(replace(OF, **of), "all", tuple(classes), confusion, 0)


def numbers(axes):
    """The rows in which numbers stand."""
    return {round(text.get_position()[1]) for text in axes.texts}


def drawn_alone(one: Score, tmp_path, monkeypatch) -> Figure:
    seen = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: seen.append(self))
    confusion_figure(one, [tmp_path / "one.png"])
    return seen[0]


def test_a_class_without_samples_is_a_blank_row(tmp_path, monkeypatch):
    one = scored("abcd", empty=[2])
    assert np.isnan(shares(one.confusion)[2]).all()
    alone = drawn_alone(one, tmp_path, monkeypatch)
    together = comparison_figure({"plain CLIP": [one], "head": [one, one]})
    for axes in (axes for figure in (alone, together) for axes in figure.axes if axes.images):
        assert numbers(axes) == {0, 1, 3}
        assert axes.images[0].get_array().mask[2].all()
    assert [figure.axes[0].get_yticklabels()[2].get_text() for figure in (alone, together)] == ["c (0)"] * 2


def test_a_matrix_is_light_where_there_is_little_and_darkens_evenly(tmp_path):
    image = comparison_figure({"plain CLIP": [scored("ab")]}).axes[0].images[0]
    lightness = image.cmap(np.linspace(0, 1, 50))[:, :3] @ (0.2126, 0.7152, 0.0722)
    assert lightness[0] > 0.9
    assert (np.diff(lightness) < 0).all()


@pytest.mark.parametrize(("count", "heads"), [(1, 1), (8, 4), (27, 2)])
def test_names_and_titles_lie_within_the_figure_and_their_own_panel(count, heads, tmp_path, monkeypatch):
    classes = [f"{LONG[k % 8]}{k}" for k in range(count)]
    long = {"dataset": "d" * 60, "backbone": "b" * 60, "prompts": "p" * 60, "untrained": True, "adapted": "center"}
    one = scored(classes, **long)
    rows = {f"{'a head of some kind ' * 4}{k}": [one, one] for k in range(heads)}
    for figure in (drawn_alone(one, tmp_path, monkeypatch), comparison_figure(rows)):
        figure.draw_without_rendering()
        drawn = figure.get_tightbbox()
        assert drawn.x0 >= 0
        assert drawn.y0 >= 0
        assert drawn.x1 <= figure.get_figwidth()
        assert drawn.y1 <= figure.get_figheight()
        titles = [axes.title for axes in figure.axes] + [axes._left_title for axes in figure.axes]
        boxes = sorted((text.get_window_extent() for text in titles if text.get_text()), key=lambda box: box.x0)
        assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))


def test_classes_whose_names_begin_alike_are_told_apart(tmp_path):
    axes = comparison_figure({"plain CLIP": [scored(LONG)]}).axes[0]
    assert len({label.get_text() for label in axes.get_xticklabels()}) == len(LONG)


def test_the_same_matrix_is_the_same_file(tmp_path):
    for kind in ("png", "pdf"):
        contents = set()
        for k in range(2):
            confusion_figure(scored("ab"), [path := tmp_path / f"{k}.{kind}"])
            contents.add(path.read_bytes())
        assert len(contents) == 1
        assert next(iter(contents))[:4] in (b"\x89PNG", b"%PDF")
        assert b"CreationDate" not in next(iter(contents))

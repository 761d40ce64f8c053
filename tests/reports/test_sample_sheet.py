"""A sheet of samples: what stands above each, where truth and predictions are marked, and what the axis says."""

import numpy as np
import pytest
from expclip.reports.sample_sheet import Sample, samples_figure

CLASSES = ("happiness", "sadness", "anger")
PICTURE = np.zeros((8, 8, 3), np.uint8)


def sample(truth, *predicted, classes=len(CLASSES)):
    methods = [f"method {k}" for k in range(len(predicted))]
    likely = {
        name: np.where(np.arange(classes) == one, 0.6, 0.1) for name, one in zip(methods, predicted, strict=True)
    }
    return Sample(PICTURE, truth, likely, dict(zip(methods, predicted, strict=True)))


def bars_of(one, classes=CLASSES):
    return samples_figure([one], classes, "title").axes[1]


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (sample(0, 1, 0), "repaired by B"),
        (sample(0, 0, 0, 1, 2), "broken by C, D"),
        (sample(0, 1, 2, 1), "wrong in another way: B"),
        (sample(0, 0, 0), "all agree"),
        (sample(0, 1), ""),
    ],
)
def test_it_is_said_above_each_sample_what_the_heads_make_of_it(one, said):
    assert bars_of(one)._left_title.get_text() == said


def test_truth_and_predictions_are_marked_by_more_than_colour():
    figure = samples_figure([sample(2, 1, 2)], CLASSES, "title")
    picture, bars = figure.axes[:2]
    assert picture._left_title.get_text() == "true: anger"
    weights = {label.get_text(): label.get_fontweight() for label in bars.get_xticklabels()}
    assert [name for name, weight in weights.items() if weight == "bold"] == ["anger"]
    assert {text.get_text(): round(text.get_position()[0]) for text in bars.texts} == {"A": 1, "B": 2}
    shade = bars.patches[0]
    assert (shade.get_x(), shade.get_width()) == (1.5, 1)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [name.split()[0] for name in names[:2]] == ["A", "B"]


def test_the_axis_has_a_name():
    assert bars_of(sample(0, 1)).get_ylabel() == "probability"


def test_of_many_classes_the_true_and_the_predicted_ones_are_always_there():
    classes = [f"class {k}" for k in range(27)]
    shown = [label.get_text() for label in bars_of(sample(26, 3, 17, classes=27), classes).get_xticklabels()]
    assert len(shown) == 10
    assert {"class 26", "class 3", "class 17"} <= set(shown)
    assert shown == sorted(shown, key=classes.index)


def test_a_head_whose_scores_are_no_probabilities_has_its_letter_and_no_bars():
    one = sample(0, 1, 0)
    bars = bars_of(Sample(PICTURE, 0, {**one.probabilities, "method 1": np.full(3, np.nan)}, one.predicted))
    assert {text.get_text(): round(text.get_position()[0]) for text in bars.texts} == {"A": 1, "B": 0}


def test_legends_of_long_names_lie_within_the_sheet():
    names = [f"{'a head of a long name ' * 4}{k}" for k in range(4)]
    one = sample(0, 1, 0, 2, 0)
    likely = dict(zip(names, one.probabilities.values(), strict=True))
    figure = samples_figure(
        [Sample(PICTURE, 0, likely, dict.fromkeys(names, 1))], CLASSES, "t" * 40 + " · " + "u" * 90
    )
    figure.draw_without_rendering()
    drawn = figure.get_tightbbox()
    assert drawn.x0 >= 0
    assert drawn.x1 <= figure.get_figwidth()

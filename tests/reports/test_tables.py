"""Tables of hand-made scores."""

from dataclasses import replace

import numpy as np
import pytest
from expclip.reports.tables import adaptation_tables, certainty_tables, markdown, tables
from expclip.scoring.intervals import Interval, Intervals
from expclip.scoring.scores import Certainty, Combination, Score, mean_over_folds, score

CLASSES = ("happiness", "sadness")


def combination(**changes) -> Combination:
    known = {
        "dataset": "raf-db",
        "backbone": "ViT-B-32",
        "head": "linear",
        "head_id": "a1",
        "objective": "infonce",
        "teacher": "t5",
        "instruction": "related-1",
        "train": "caer-s",
        "recipe": "r1",
        "seed": 1,
        "image": "clip",
        "text": "clip",
        "prompts": "P-1",
        "ensemble": "logits",
        "protocol": "released",
        "frames": "",
        "untrained": False,
    }
    return Combination(**known | changes)


def scored(uar: float, war: float, **changes) -> Score:
    confusion = np.array([[1, 1], [0, 2]])
    return Score(combination(**changes), "all", CLASSES, 4, 0, uar, war, np.array([0.5, 1.0]), confusion)


def plain(**changes) -> Score:
    return scored(40, 50, head="none", head_id="", instruction="", recipe="", seed=None, **changes)


def test_seeds_share_a_row_with_mean_and_sample_deviation():
    (table,) = tables([plain(), scored(60, 70, head_id="a1"), scored(62, 74, head_id="a2", seed=2)])
    assert table.columns == ("UAR / WAR, %", "P-1")
    assert table.rows == (
        ("plain CLIP", "40.00 / 50.00"),
        ("linear head · related-1 (2 seeds)", "61.00 ± 1.41 / 72.00 ± 2.83"),
    )


def test_heads_that_were_trained_differently_are_never_averaged():
    (table,) = tables([scored(60, 70), scored(20, 30, head_id="b1", recipe="r2")])
    assert table.rows == (
        ("linear head · related-1 · recipe r1", "60.00 / 70.00"),
        ("linear head · related-1 · recipe r2", "20.00 / 30.00"),
    )


def test_each_data_set_and_backbone_has_its_own_table_and_missing_cells_are_dashes():
    found = tables([plain(), plain(backbone="ViT-L-14"), scored(60, 70, prompts="P-3")])
    assert [table.title.split(" · ")[:2] for table in found] == [["raf-db", "ViT-B-32"], ["raf-db", "ViT-L-14"]]
    assert found[0].rows[0] == ("plain CLIP", "40.00 / 50.00", "–")
    assert found[0].rows[1] == ("linear head · related-1", "–", "60.00 / 70.00")


def test_untrained_models_and_failed_samples_are_said_in_the_title():
    one = plain(untrained=True)
    failed = Score(one.of, "all", CLASSES, 4, 3, 40, 50, one.recall, one.confusion)
    (table,) = tables([failed])
    assert "4 samples, 3 more failed" in table.title
    assert "untrained weights" in table.title
    assert "untrained weights" in markdown([table])


def test_the_mean_over_folds_is_plain_whatever_their_sizes():
    small = score(combination(), "1", CLASSES, np.array([[1, 0], [0, 1]]), 0)
    large = score(combination(), "2", CLASSES, np.array([[50, 50], [100, 0]]), 2)
    mean = mean_over_folds([small, large])
    assert (mean.fold, mean.n, mean.n_failed) == ("mean", 202, 2)
    assert mean.uar == pytest.approx((100 + 25) / 2)
    assert mean.war == pytest.approx((100 + 25) / 2)
    np.testing.assert_allclose(mean.recall, [(1 + 0.5) / 2, (1 + 0) / 2])
    np.testing.assert_array_equal(mean.confusion, [[51, 50], [100, 1]])


def test_a_fold_without_samples_does_not_spoil_the_mean():
    some = score(combination(), "1", CLASSES, np.array([[1, 0], [1, 0]]), 0)
    none = score(combination(), "2", CLASSES, np.zeros((2, 2), dtype=int), 4)
    mean = mean_over_folds([some, none])
    assert (mean.uar, mean.war, mean.n_failed) == (50, 50, 4)


def interval(value: float, half: float) -> Interval:
    return Interval(value, value - half, value + half)


def certain(score: Score, half: float, gain: float | None = None) -> Score:
    intervals = Intervals(interval(score.uar, half), interval(score.war, half))
    gains = None if gain is None else Intervals(interval(gain, half), interval(gain, half))
    return replace(score, certainty=Certainty(intervals, gains))


def test_intervals_have_a_table_of_their_own_with_the_gains_in_brackets():
    scores = [
        certain(plain(), 2),
        certain(scored(60, 70), 1, gain=20),
        certain(scored(62, 74, head_id="a2", seed=2), 3, gain=-1),
    ]
    (table,) = certainty_tables(scores)
    assert "95 % intervals" in table.title
    assert table.columns == ("UAR / WAR, %", "P-1")
    assert table.rows == (
        ("plain CLIP", "38.0 to 42.0 / 48.0 to 52.0"),
        ("linear head · related-1 (2 seeds)", "59.0 to 63.0 (+7.5 to +11.5) / 70.0 to 74.0 (+7.5 to +11.5)"),
    )
    assert tables(scores) == tables([plain(), scored(60, 70), scored(62, 74, head_id="a2", seed=2)])


def test_what_adaptation_adds_is_one_row_too_and_a_dash_where_nothing_was_adapted():
    one = certain(scored(60, 70, adapted="center"), 1)
    gain = Intervals(interval(2, 1), interval(-3, 1))
    adapted = replace(one, certainty=replace(one.certainty, adaptation=gain))
    other = replace(adapted, of=replace(adapted.of, head="mlp", prompts="P-3"))
    (table,) = adaptation_tables([adapted, other])
    assert table.columns == ("UAR / WAR, points", "P-1", "P-3")
    assert [row[1:] for row in table.rows] == [
        ("+2.0 (+1.0 to +3.0) / -3.0 (-4.0 to -2.0)", "–"),
        ("–", "+2.0 (+1.0 to +3.0) / -3.0 (-4.0 to -2.0)"),
    ]


def test_without_intervals_there_is_no_table_of_them():
    assert certainty_tables([plain(), scored(60, 70)]) == []

"""The effect that expclip exists to measure, on faces that nothing was tuned on.

What should hold was written down in training/README.md before the weights were made. Another miniature is judged the
same way: `EXPCLIP_MINIATURE=FOLDER make test TESTS=tests/test_science.py`.
"""

import os
from pathlib import Path

import pytest
from expclip.encoders.cards import model_card
from expclip.encoders.names import BUILTIN
from expclip.training.judge import FRESH, PROMPTS, SEEDS, Trial

FOLDER = Path(os.environ.get("EXPCLIP_MINIATURE") or BUILTIN["miniature"])


@pytest.fixture(scope="module")
def trial() -> Trial:
    return Trial(FOLDER, model_card(FOLDER)["fit_head"], FRESH, PROMPTS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_head_from_a_related_instruction_beats_plain_clip(trial, seed):
    assert trial.gain(trial.head("related-1", seed)).uar.low > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_an_unrelated_instruction_does_worse_than_a_related_one(trial, seed):
    lost = trial.gain(trial.head("unrelated-1", seed), over=trial.head("related-1", seed))
    assert lost.uar.high < 0


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_pairs_fall_below_plain_clip(trial, seed):
    assert trial.gain(trial.shuffled(seed)).uar.high < 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_matrix_does_not_help(trial, seed):
    assert trial.gain(trial.random(seed)).uar.low < 0


def test_the_card_tells_what_is_measured_here(trial):
    told = model_card(FOLDER)["evaluation"]
    assert told["plain CLIP"] == pytest.approx(trial.uar(trial.plain()), abs=0.5)
    measured = [trial.uar(trial.head("related-1", seed)) for seed in SEEDS]
    assert told["related-1"] == pytest.approx(measured, abs=1.0)

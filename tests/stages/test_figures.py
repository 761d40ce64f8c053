"""Figures of cached features: which are drawn, what they show, and that no model runs for them."""

import shutil

import numpy as np
import pytest
from expclip import UsageError
from expclip.cli import app
from expclip.heads.saving import read_step_losses
from expclip.reports.confusion import comparison_figure
from expclip.reports.curves import curves_figure
from expclip.reports.sample_sheet import samples_figure
from expclip.reports.tables import rows_by_head
from expclip.scoring.agreement import ALIKE
from expclip.scoring.probabilities import softmax
from expclip.scoring.reliability import probabilities
from PIL import Image
from typer.testing import CliRunner

SCORING = {"clip": "miniature", "prompts": "P-1"}
MINIATURE = {"clip": "miniature", "teacher": "miniature", "instruction": ["related-1", "empty"]}


@pytest.fixture
def scored(lab, photos, labelled):
    """Two instructions with two seeds each, scored on 42 labelled faces."""
    lab.extract(photos, **MINIATURE)
    lab.fit_head(train=photos, **MINIATURE, seed=[1, 2], epochs=1, batch_size=16)
    return lab.evaluate(labelled, **SCORING)


def test_every_kind_is_drawn_as_png_and_pdf_without_running_a_model(lab, labelled, scored, work, tmp_path):
    work.clear()
    drawn = lab.figures(labelled, **SCORING, out=tmp_path / "out")
    stems = [f"{kind}-labelled-miniature-P-1" for kind in ("confusion", "samples")]
    stems += [f"{kind}-labelled-miniature" for kind in ("variance", "tsne")]
    assert [path.name for path in drawn] == [f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")]
    assert not work
    for path in drawn:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert np.asarray(picture.convert("L")).std() > 10  # a blank one has 0, few points on white some 20
        else:
            assert path.read_bytes().startswith(b"%PDF")


def test_a_matrix_is_the_mean_over_the_seeds_in_percent_of_the_true_class(scored):
    figure = comparison_figure(rows_by_head(scored.scores))
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    heads = {}
    for score in scored.scores:
        heads.setdefault(score.of.instruction, []).append(score.confusion / score.confusion.sum(axis=1)[:, None])
    expected = [100 * np.mean(heads[name], axis=0) for name in ("", "related-1", "empty")]
    assert len(shown) == 3
    # heads come in the order of their ids
    for matrix in expected:
        assert any(np.allclose(matrix, panel) for panel in shown)
    np.testing.assert_allclose(shown[0], expected[0])


def test_probabilities_are_the_softmax_of_scaled_cosines():
    similarity = np.array([[0.3, 0.31, 0.29], [0.5, 0.1, 0.2]])
    expected = np.exp(100 * similarity) / np.exp(100 * similarity).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(similarity, 100), expected)


@pytest.fixture
def sheets(monkeypatch):
    """What each sheet shows: its samples and its title."""
    seen = []
    monkeypatch.setattr(
        "expclip.stages.figures.of_scores.samples_figure",
        lambda samples, classes, title: seen.append((samples, title)) or samples_figure(samples, classes, title),
    )
    return seen


def test_a_sheet_shows_samples_that_the_methods_predict_differently_repaired_and_broken_in_turn(
    lab, labelled, scored, sheets, tmp_path
):
    lab.figures(labelled, **SCORING, kind="samples", out=tmp_path)
    ((samples, title),) = sheets
    plain = next(one for one in scored.predictions if not one.of.head_id)
    truth = plain.manifest.labels[plain.samples]
    firsts = [one.predicted for one in scored.predictions if one.of.seed in (None, 1)]
    assert len(firsts) == 3
    differs = np.array([len(set(one)) > 1 for one in zip(*firsts, strict=True)])
    is_right = np.array(firsts) == truth
    was_right = plain.predicted == truth
    counts = (differs & ~was_right & is_right.any(axis=0)).sum(), (differs & was_right).sum()
    assert f"of 42 samples, compared with A: {counts[0]} repaired, {counts[1]} broken, " in title
    kinds = []
    for one in samples:
        first, *others = one.predicted.values()
        assert len({first, *others}) > 1
        kinds.append("broken" if first == one.truth else "repaired" if one.truth in others else "otherwise")
        for name, likely in one.probabilities.items():
            assert likely.argmax() == one.predicted[name]
            assert likely.sum() == pytest.approx(1)
    both = min(*counts, 4)
    assert kinds[: 2 * both] == ["repaired", "broken"] * both
    assert [name.split(", shown")[0] for name in samples[0].predicted] == list(rows_by_head(scored.scores))


@pytest.mark.parametrize("heads", ["none", "all"])
def test_where_all_predict_the_same_a_sheet_has_a_sample_of_each_class_and_says_so(
    lab, photos, labelled, sheets, monkeypatch, tmp_path, heads
):
    lab.extract(photos, **MINIATURE | {"instruction": "empty"})
    lab.fit_head(train=photos, **MINIATURE | {"instruction": "empty"}, epochs=1, batch_size=16)
    monkeypatch.setattr(
        "expclip.stages.figures.of_scores.agreement", lambda truth, predicted: np.full(len(truth), ALIKE)
    )
    lab.evaluate(labelled, **SCORING)
    named = {} if heads == "all" else {"head": "none"}
    lab.figures(labelled, **SCORING, **named, kind="samples", out=tmp_path)
    ((samples, title),) = sheets
    truths = [one.truth for one in samples]
    assert truths == sorted(truths)
    assert set(truths) == set(range(7))
    assert ("of 42 samples all are predicted alike" in title) == (heads == "all")


def test_a_head_from_labels_is_shown_with_the_probabilities_that_it_gives(lab, labelled, sheets, tmp_path):
    lab.extract(labelled, clip="miniature", features="clip_image")
    lab.fit_head(train=labelled, clip="miniature", head=["linear-probe", "tip-adapter"], shots=2, seed=1)
    found = lab.evaluate(labelled, **SCORING)
    lab.figures(labelled, **SCORING, kind="samples", out=tmp_path)
    shown = {label: [] for samples, _ in sheets for label in samples[0].probabilities}
    for samples, _ in sheets:
        for one in samples:
            for label, likely in one.probabilities.items():
                shown[label].append(likely)
    for one in found.predictions:
        scale = 1 if one.of.head_id else 100
        known = softmax(scale * np.asarray(one.similarity, dtype=np.float64))
        (label,) = (label for label in shown if label.startswith(one.of.head_label))
        for likely in shown[label]:
            assert np.isclose(known, likely, atol=1e-6).all(axis=1).any()


def test_samples_whose_pictures_are_gone_are_left_out(lab, photos, labelled, tmp_path):
    copy = tmp_path / "faces"
    shutil.copytree(labelled, copy)
    lab.evaluate(copy, **SCORING)
    shutil.rmtree(copy)
    drawn = lab.figures(copy, **SCORING, out=tmp_path / "out")
    assert {path.stem.split("-")[0] for path in drawn} == {"confusion", "variance", "tsne"}


def test_what_is_not_cached_is_refused_with_the_command_that_makes_it(lab, labelled, tmp_path):
    with pytest.raises(UsageError, match="expclip extract"):
        lab.figures(labelled, **SCORING, out=tmp_path / "out")
    with pytest.raises(UsageError, match="choose confusion, samples"):
        lab.figures(labelled, **SCORING, out=tmp_path / "out", kind="pie")


def test_five_samples_are_drawn_and_of_three_it_is_said_why_not(lab, labelled, tmp_path, capsys):
    for count, names in ((5, {"tsne-set-5-miniature"}), (3, set())):
        folder = tmp_path / f"set-{count}"
        for k, path in enumerate(sorted(labelled.rglob("*.png"))[:count]):
            (folder / ("anger", "fear")[k % 2]).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / ("anger", "fear")[k % 2] / path.name)
        lab.evaluate(folder, **SCORING)
        capsys.readouterr()
        drawn = lab.figures(folder, **SCORING, kind="tsne", out=tmp_path / "out")
        assert {path.stem for path in drawn} == names
    assert "note: tsne-set-3-miniature is not drawn: t-SNE needs 4 samples, and 3 have" in capsys.readouterr().err


def test_a_command_that_draws_nothing_fails_and_says_why(lab, labelled, tmp_path):
    copy = tmp_path / "faces"
    shutil.copytree(labelled, copy)
    lab.evaluate(copy, **SCORING)
    shutil.rmtree(copy)
    words = ["figures", str(copy), "--clip", "miniature", "--prompts", "P-1", "--kind", "samples"]
    words += ["--cache", str(lab.cache.root), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "samples-faces-miniature-P-1 is not drawn: none of the pictures can be read" in result.stderr


@pytest.mark.parametrize("seed", [2**31, 2**32 - 1])
def test_every_seed_that_the_option_takes_draws(lab, labelled, tmp_path, seed):
    lab.evaluate(labelled, **SCORING)
    assert lab.figures(labelled, **SCORING, kind="tsne", seed=seed, out=tmp_path / "out")
    with pytest.raises(UsageError, match="seed 4294967296: give at most 4,294,967,295"):
        lab.figures(labelled, **SCORING, kind="tsne", seed=2**32, out=tmp_path / "out")


def test_curves_are_the_losses_that_heads_have_kept_and_are_drawn_when_asked(
    lab, labelled, scored, tmp_path, monkeypatch
):
    shown = {}
    monkeypatch.setattr(
        "expclip.stages.figures.of_fitting.curves_figure",
        lambda curves, title: shown.update(curves) or curves_figure(curves, title),
    )
    drawn = lab.figures(labelled, **SCORING, kind="curves", out=tmp_path / "out")
    assert [path.name for path in drawn] == [f"curves-labelled-miniature.{kind}" for kind in ("png", "pdf")]
    assert [len(seeds) for seeds in shown["infonce"].values()] == [2, 2]
    kept = {tuple(read_step_losses(folder)) for folder in lab.cache.heads.iterdir()}
    assert {tuple(losses) for seeds in shown["infonce"].values() for losses in seeds} == kept


def test_heads_without_losses_have_no_curves(lab, labelled, scored, tmp_path, capsys):
    for k, folder in enumerate(sorted(lab.cache.heads.iterdir())):
        losses = folder / "losses.csv"
        losses.unlink() if k % 2 else losses.write_text("step,loss\n1,x\n")
    assert not lab.figures(labelled, **SCORING, kind="curves", out=tmp_path / "out")
    assert (
        "curves-labelled-miniature is not drawn: none of these heads has its losses kept" in capsys.readouterr().err
    )

"""Curves over shots: what their points are, what tells lines apart, and what is said where there are none."""

import numpy as np
import pytest
from expclip.cli import app
from expclip.reports.shot_curves import shots_figure
from typed_commands import commands_in, request_of
from typer.testing import CliRunner

SCORING = {"clip": "miniature", "prompts": "P-3"}
HEADS = ["linear-probe", "tip-adapter"]


@pytest.fixture
def faces(lab, labelled):
    """Labelled faces with all that is needed of a CLIP."""
    lab.evaluate(labelled, **SCORING, head="none", intervals=False)
    return labelled


@pytest.fixture
def shown(monkeypatch) -> list:
    """What each figure is made of: panels, plain CLIP's UAR, and its title."""
    found = []

    def noting(panels, plain, title):
        found.append((panels, plain, title))
        return shots_figure(panels, plain, title)

    monkeypatch.setattr("expclip.stages.figures.of_shots.shots_figure", noting)
    return found


def test_a_point_is_the_mean_over_seeds_of_what_evaluate_scores(lab, faces, shown, tmp_path):
    fitted = lab.fit_head(faces, clip="miniature", head=HEADS, shots=[1, 2], seed=[1, 2, 3])
    lab.fit_head(faces, clip="miniature", head="linear-probe", seed=1)
    drawn = lab.figures(faces, **SCORING, kind="shots", out=tmp_path / "out")
    assert [path.name for path in drawn] == [f"shots-labelled-miniature-P-3.{kind}" for kind in ("png", "pdf")]
    ((panels, plain, title),) = shown
    scores = {one.of.head_id: one.uar for one in lab.evaluate(faces, **SCORING).scores}
    assert plain == scores[""]
    assert title == "labelled · miniature · P-3 · heads from labels"
    (lines,) = panels.values()
    assert list(lines) == HEADS
    for kind in HEADS:
        for shots in (1, 2):
            cards = [one.card for one in fitted]
            ids = [card.id for card in cards if (card.head, card.spec["shots"]) == (kind, shots)]
            assert sorted(lines[kind][shots]) == sorted(scores[one] for one in ids)
    axes = shots_figure(panels, plain, title).axes[0]
    for container, kind in zip(axes.containers, HEADS, strict=True):
        line, _, (bars,) = container.lines
        for shots, x, y, bar in zip((1, 2), *line.get_data(), bars.get_segments(), strict=True):
            uars = lines[kind][shots]
            assert x == pytest.approx(shots, rel=0.05)
            assert y == pytest.approx(np.mean(uars))
            assert bar[:, 1] == pytest.approx(np.mean(uars) + np.array([-1, 1]) * np.std(uars, ddof=1))


def test_heads_that_learnt_otherwise_are_never_averaged(lab, faces, shown, photos, tmp_path):
    """By class weights in a panel of its own, by another share of prompts in a line of its own."""
    how = {"clip": "miniature", "seed": 1, "shots": 1}
    lab.fit_head(faces, **how, head="linear-probe")
    lab.fit_head(faces, **how, head="linear-probe", balanced=True)
    for prompts in ("P-1", "P-3"):
        lab.fit_head(faces, **how, head="tip-adapter", prompts=prompts)
    lab.figures(faces, **SCORING, kind="shots", out=tmp_path / "out")
    ((panels, _, _),) = shown
    assert list(panels) == ["learnt from labelled", "learnt from labelled, each class alike"]
    plain, balanced = panels.values()
    assert [name.partition(" · ")[0] for name in plain] == ["linear-probe", "tip-adapter", "tip-adapter"]
    assert list(balanced) == ["linear-probe"]
    assert all(len(uars) == 1 for lines in panels.values() for line in lines.values() for uars in line.values())


def test_a_head_in_a_file_is_drawn_where_it_is_named(lab, faces, shown, tmp_path):
    (fitted,) = lab.fit_head(faces, clip="miniature", head="linear-probe", shots=1, seed=1)
    file, root = tmp_path / "probe.safetensors", str(lab.cache.root)
    done = CliRunner().invoke(app, ["heads", "export", fitted.card.id, str(file), "--cache", root])
    assert done.exit_code == 0, done.output
    CliRunner().invoke(app, ["heads", "rm", fitted.card.id, "--cache", root])
    lab.figures(faces, **SCORING, kind="shots", head=str(file), out=tmp_path / "out")
    ((panels, plain, _),) = shown
    assert list(panels["learnt from labelled"]) == ["linear-probe"]
    assert plain is None, "plain CLIP was not asked for"


def test_without_such_heads_one_line_names_the_command_that_fits_them(lab, faces, tmp_path, capsys):
    lab.fit_head(faces, clip="miniature", head="linear-probe", seed=1)
    capsys.readouterr()
    assert not lab.figures(faces, **SCORING, kind="shots", out=tmp_path / "out")
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "is not drawn" in one]
    assert "none of these heads learnt from a number of shots: run `expclip fit-head --train DATASET" in line
    (command,) = commands_in(line)
    assert request_of(command).command() == command


def test_the_command_names_the_train_part_of_a_data_set_that_has_one(lab, labelled, tmp_path, capsys):
    (tmp_path / "RAF-DB").mkdir()
    (tmp_path / "RAF-DB" / "test").symlink_to(labelled)
    lab = lab.but(root={"raf-db": tmp_path / "RAF-DB"})
    lab.evaluate("raf-db", **SCORING, head="none", intervals=False)
    lab.figures("raf-db", **SCORING, kind="shots", out=tmp_path / "out")
    assert (
        "run `expclip fit-head --train raf-db:train --clip miniature --head linear-probe" in capsys.readouterr().err
    )


def test_they_are_drawn_only_where_they_are_asked_for_and_untrained_weights_are_marked(
    lab, faces, shown, tmp_path, monkeypatch
):
    lab.fit_head(faces, clip="miniature", head="linear-probe", shots=1, seed=1)
    kinds = []
    with monkeypatch.context() as noting:
        noting.setattr("expclip.stages.figures.drawn.draw", lambda subject, wanted, *_: kinds.extend(wanted) or [])
        lab.figures(faces, **SCORING, out=tmp_path / "usual")
    assert kinds == ["confusion", "samples", "variance", "tsne"]
    name = "ViT-S-32-alt@random"
    lab.evaluate(faces, clip=name, prompts="P-3", head="none", intervals=False)
    lab.fit_head(faces, clip=name, head="linear-probe", shots=1, seed=1)
    lab.figures(faces, clip=name, prompts="P-3", head="kind=linear-probe", kind="shots", out=tmp_path / "out")
    assert "untrained weights" in shown[-1][2]

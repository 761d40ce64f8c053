"""`fit-head` with heads that lead clips to prompts: frames, folds, what is kept on the way, and what is said."""

import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from expclip.errors import UsageError
from expclip.heads.kept import heads_in
from expclip.heads.saving import load_head, read_step_losses
from expclip.heads.unfinished import SUFFIX
from expclip.reports.curves import curves_figure
from expclip.scoring.samples import Samples

HOW = {"clip": "miniature", "seed": 1, "batch_size": 4, "epochs": 2}


def test_all_frames_are_learnt_from_where_they_are_and_else_those_that_are_tested(lab, clips):
    lab.extract(clips, clip="miniature")
    (edge,) = lab.fit_head(clips, head="dfer-clip", **HOW)
    assert edge.card.spec["frames"] == "edge"
    with pytest.raises(UsageError, match=r"run `expclip extract .*--frames all"):
        lab.fit_head(clips, head="dfer-clip", frames="all", **HOW)
    lab.extract(clips, clip="miniature", frames="all")
    ways = [{}, {"sampler": "corrected"}, {"frames": "edge"}]
    fitted = [lab.fit_head(clips, head="dfer-clip", **HOW, **way)[0] for way in ways]
    assert [one.card.spec["frames"] for one in fitted] == ["all", "all", "edge"]
    assert len({one.card.id for one in fitted}) == 3
    found = lab.evaluate(clips, clip="miniature", head="kind=dfer-clip", frames="edge", prompts="P-1")
    assert len(found.scores) == 4  # the first was of another manifest, of fewer rows


def test_no_image_is_read_and_no_more_than_the_text_tower_is_loaded(lab, clips, work):
    lab.extract(clips, clip="miniature")
    work.clear()
    lab.fit_head(clips, head=["dfer-clip", "coop"], **HOW)
    assert "ImageTower loaded" not in work
    assert not list(lab.cache.heads.glob(f".*{SUFFIX}")), "what was kept on the way is gone"


def test_what_is_unusual_of_a_head_is_said_wherever_it_is_named(lab, dfew):
    lab = lab.but(root={"dfew": dfew})
    lab.extract("dfew", clip="miniature")
    ways = [{}, {"text": "fixed"}, {"select": "validation"}, {"select": "test-fold", "text": "fixed"}]
    for way in ways:
        lab.fit_head("dfew", head="dfer-clip", **HOW, **way)
    found = lab.evaluate("dfew", clip="miniature", head="kind=dfer-clip", frames="edge", prompts="P-1")
    for path, card in heads_in(lab.cache.heads)[0]:
        steps = read_step_losses(path)  # of 28 clips a fold, or of 21 and a batch of 4
        assert len(card.losses) == 2 and len(steps) == 2 * (5 if "held-out" in card.name else 7)
        np.testing.assert_allclose(steps.reshape(2, -1).mean(axis=1), card.losses, rtol=1e-4)
    assert {one.of.head for one in found.scores} == {
        "dfer-clip",
        "dfer-clip (fixed text)",
        "dfer-clip (epoch chosen on held-out clips)",
        "dfer-clip (fixed text, epoch chosen on the test fold)",
    }


def test_an_epoch_is_chosen_on_the_fold_that_is_tested_by_its_own_clips(lab, dfew, monkeypatch):
    """Of each fold its seven clips; by the train lists too, where they are those that a list lacks."""
    from expclip.heads import clip_training

    judged: list[Samples] = []
    own = clip_training.class_scores

    def class_scores(way, weights, texts, samples):
        judged.append(samples)
        return own(way, weights, texts, samples)

    monkeypatch.setattr(clip_training, "class_scores", class_scores)
    lab = lab.but(root={"dfew": dfew})
    lab.extract(["dfew", "dfew:train"], clip="miniature")
    for train in ("dfew", "dfew:train"):
        judged.clear()
        lab.fit_head(train, head="dfer-clip", select="test-fold", **HOW)
        manifest = lab.open_features(train, model="miniature").manifest
        ids = np.array(manifest.sample_ids)
        rows = manifest.samples("edge")
        for fold in range(1, 6):
            of_fold = judged[2 * (fold - 1)]
            expected = {
                tuple(rows.take(np.flatnonzero(ids == f"Clip/{k} {k % 7}")[:1]).indices)
                for k in range(7 * (fold - 1), 7 * fold)
            }
            found = np.split(of_fold.clips.indices, of_fold.clips.offsets[1:-1])
            assert {tuple(one) for one in found} == expected


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"select": "test-fold"}, r"select test-fold: list has no folds: choose validation, which holds out clips"),
        (
            {"prompts": "P-4"},
            r"P-4 has 5 prompts of happiness, and contexts are learnt for one: choose other prompts",
        ),
        ({"context_tokens": 39}, r"context_tokens 39: 40 tokens are read, and the words of a class need some"),
    ],
)
def test_what_cannot_be_learnt_is_one_line(lab, clips, how, said):
    lab.extract(clips, clip="miniature")
    with pytest.raises(UsageError, match=said):
        lab.fit_head(clips, head="dfer-clip", **HOW | how)


def test_a_batch_of_more_than_what_is_not_held_out_is_refused_before_anything_is_made(lab, dfew, work):
    lab = lab.but(root={"dfew": dfew})
    lab.extract("dfew", clip="miniature")
    work.clear()
    with pytest.raises(
        UsageError, match="batch_size 25: a batch needs as many clips, and there are 21 to learn from"
    ):
        lab.fit_head("dfew", head="dfer-clip", **HOW | {"batch_size": 25}, select="validation")
    assert not work


def test_a_text_tower_of_another_family_leaves_prompts_as_they_are(lab, clips, monkeypatch):
    from expclip.encoders.clip.towers import TextTower

    lab.extract(clips, clip="miniature")
    monkeypatch.delattr(TextTower, "for_prompts")
    with pytest.raises(UsageError, match=r"clip miniature: prompts are learnt through CLIP's text tower.*text fixed"):
        lab.fit_head(clips, head="dfer-clip", **HOW)
    lab.fit_head(clips, head="dfer-clip", text="fixed", **HOW)


def test_options_that_change_nothing_are_said(lab, clips, capsys):
    lab.extract(clips, clip="miniature")
    fixed = {"text": "fixed", "context_tokens": 4, "contexts": "shared", "context_position": "front"}
    lab.fit_head(clips, head="dfer-clip", **HOW, **fixed, context_lr=0.1, sampler="corrected")
    said = capsys.readouterr().err
    for name in ("context_tokens", "contexts", "context_position", "context_lr", "sampler"):
        assert f"note: {name}" in said
    lab.fit_head(clips, head="coop", **HOW, context_lr=0.1, text="fixed", lr=0.01)
    said = capsys.readouterr().err
    assert "note: context_lr" in said and "note: text" in said and "note: lr" not in said


@pytest.mark.parametrize("head", ["dfer-clip", "coop"])
def test_a_damaged_head_is_repaired_by_fitting_it_as_its_card_says(lab, clips, head):
    from expclip.commands.keeping import RepairCache
    from expclip.stages.keeping import repair_cache

    lab.extract(clips, clip="miniature", frames="all")
    how = {"context_tokens": 4, "contexts": "shared", "context_position": "middle", "sampler": "corrected"}
    (fitted,) = lab.fit_head(clips, head=head, **HOW, **how, lr=0.02, balanced=True)
    weights = fitted.path / "head.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert not repair_cache(RepairCache(cache=lab.cache.root, run=True, device="cpu")).unmade
    assert weights.read_bytes() == before


def test_a_fit_that_is_killed_goes_on_at_its_last_epoch(lab, clips):
    """All in processes alike: threads of other numbers add up in other orders."""
    lab.extract(clips, clip="miniature")
    fit = [sys.executable, "-m", "expclip", "fit-head", "--train", str(clips), "--cache", str(lab.cache.root)]
    fit += ["--clip", "miniature", "--head", "dfer-clip", "--seed", "1", "--batch-size", "4", "--epochs", "200"]
    process = subprocess.Popen(fit, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (kept := list(lab.cache.heads.glob(f".*{SUFFIX}"))):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert kept and not list(lab.cache.heads.glob("[!.]*"))
    said, found = [], []
    for _ in range(2):
        said.append(subprocess.run(fit, capture_output=True, text=True, check=True).stderr)
        ((folder, card),) = heads_in(lab.cache.heads)[0]
        found.append(load_head(folder, card).tensors())
        shutil.rmtree(folder)
    gone_on = re.compile(r"an earlier run was broken off: it goes on behind epoch \d+ of 200")
    assert [bool(gone_on.search(one)) for one in said] == [True, False]
    for name, value in found[0].items():
        np.testing.assert_array_equal(value, found[1][name])


def test_a_long_fit_says_how_far_it_is_where_no_bar_can_be_shown(lab, clips, monkeypatch, capsys):
    from expclip.pipeline import progress

    lab.extract(clips, clip="miniature")
    monkeypatch.setattr(progress, "EVERY", 0.0)
    lab.fit_head(clips, head="coop", **HOW)
    assert "fit coop, labels · seed 1: 1 of 2 steps (50 %), " in capsys.readouterr().err


def test_curves_show_heads_that_learnt_clips(lab, clips, tmp_path, monkeypatch):
    shown = {}
    monkeypatch.setattr(
        "expclip.stages.figures.of_fitting.curves_figure",
        lambda curves, title: shown.update(curves) or curves_figure(curves, title),
    )
    lab.extract(clips, clip="miniature")
    (fitted,) = lab.fit_head(clips, head="dfer-clip", **HOW)
    lab.evaluate(clips, clip="miniature", prompts="P-1", frames="edge")
    lab.figures(clips, clip="miniature", prompts="P-1", frames="edge", kind="curves", out=tmp_path / "out")
    ((losses,),) = shown["labels"].values()
    np.testing.assert_array_equal(losses, read_step_losses(fitted.path))

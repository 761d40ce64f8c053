"""Heads that learn from labels: what they learn from, what their ids hold, where they are scored, what is refused."""

import numpy as np
import pytest
from expclip import UsageError
from expclip.commands.keeping import RepairCache
from expclip.heads.saving import load_head
from expclip.manifests.classes import CLASSES
from expclip.scoring.samples import Samples
from expclip.stages.keeping import repair_cache
from sklearn.linear_model import LogisticRegression

PROBE = {"clip": "miniature", "head": "linear-probe", "seed": 1}


def ids(found) -> list[str]:
    return [one.card.id for one in found]


@pytest.fixture
def faces(lab, labelled):
    lab.extract(labelled, clip="miniature")
    return labelled


@pytest.fixture
def folds(tmp_path, save_face):
    """A list of 63 faces in three folds; every class is in each of them."""
    lines = ["path,label,fold"]
    for k in range(63):
        save_face(tmp_path / "folds" / f"{k}.png", 5, k, k % 7, size=32)
        lines.append(f"{k}.png,{k % 7},{1 + k // 7 % 3}")
    (tmp_path / "folds" / "list.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return tmp_path / "folds" / "list.csv"


def test_a_probe_is_scored_beside_plain_clip_and_needs_no_prompts(lab, faces, work):
    work.clear()
    (fitted,) = lab.fit_head(faces, **PROBE)
    assert not work, "it learns from cached features alone"
    found = lab.evaluate(faces, clip="miniature", prompts="P-3")
    assert [(one.of.head, one.of.prompts) for one in found.scores] == [("none", "P-3"), ("linear-probe", "labels")]
    assert fitted.card.label == "linear-probe, labels · seed 1"


def test_no_predictions_are_kept_where_none_are_wanted(lab, faces, tmp_path):
    lab.fit_head(faces, **PROBE)
    lab.evaluate(faces, clip="miniature", prompts="P-3", predictions="none", out=tmp_path / "out")
    assert (tmp_path / "out" / "scores.csv").is_file()
    assert not (tmp_path / "out" / "predictions").exists()


@pytest.mark.parametrize(("prompts", "gains"), [(["P-3"], 1), (["P-1", "P-3"], 0)])
def test_it_gains_over_plain_clip_where_one_prompt_set_says_what_that_is(lab, faces, prompts, gains):
    lab.fit_head(faces, **PROBE)
    found = lab.evaluate(faces, clip="miniature", prompts=prompts).scores
    plain, probe = found[0], found[-1]
    gained = [one.certainty.gain for one in found if one.certainty.gain is not None]
    assert len(gained) == gains
    assert all(gain.war.low < probe.war - plain.war < gain.war.high for gain in gained)


def test_it_learns_from_what_is_not_held_out(lab, faces):
    (fitted,) = lab.fit_head(faces, **PROBE)
    features = lab.open_features(str(faces), model="miniature")
    probe = load_head(fitted.path, fitted.card)
    models = {}
    for seed in range(3):  # what is held out is six of each class but one
        order = np.random.default_rng((seed, 0))
        held_out = [order.permutation(np.flatnonzero(features.labels == label))[:1] for label in range(7)]
        learnt = np.setdiff1d(np.arange(42), np.concatenate(held_out))
        model = LogisticRegression(C=probe.c_, max_iter=1000)
        models[seed] = model.fit(features.array[learnt].astype(np.float64), features.labels[learnt])
    scores = probe.class_scores(Samples(features.array))
    others = {seed: model.decision_function(features.array) for seed, model in models.items()}
    distance = {seed: np.abs(other - scores).max() for seed, other in others.items()}
    assert min(distance, key=distance.__getitem__) == 1
    assert distance[1] < 1e-3


def test_shots_and_seeds_sweep_and_are_told_apart_in_results(lab, faces):
    fitted = lab.fit_head(faces, **PROBE | {"seed": [1, 2]}, shots=[1, 2])
    assert len(set(ids(fitted))) == 4
    assert not any(one.is_new for one in lab.fit_head(faces, **PROBE | {"seed": [1, 2]}, shots=[1, 2]))
    found = lab.evaluate(faces, clip="miniature", head="kind=linear-probe")
    assert [one.of.head for one in found.scores] == ["1-shot linear-probe"] * 2 + ["2-shot linear-probe"] * 2


def test_another_draw_share_or_weight_is_another_head(lab, faces):
    ways = [{}, {"seed": 2}, {"shots": 2}, {"balanced": True}, {"validation": 0.4}]
    assert len({ids(lab.fit_head(faces, **PROBE | way))[0] for way in ways}) == len(ways)


@pytest.mark.parametrize(
    ("how", "nodes"),
    [
        ({}, {"clip_image"}),
        ({"teacher": "miniature"}, {"clip_image", "query_tokens", "llm"}),
        ({"instruction": "empty"}, {"clip_image", "query_tokens", "llm"}),
        ({"features": "llm"}, {"llm", "query_tokens"}),
    ],
)
def test_a_labelled_train_set_needs_the_teacher_only_where_it_is_asked_for(lab, labelled, tmp_path, how, nodes):
    (tmp_path / "raf").mkdir()
    (tmp_path / "raf" / "train").symlink_to(labelled)
    how = {"root": {"raf-db": tmp_path / "raf"}, "clip": "miniature", "plan": True} | how
    lab = lab.but(usual_teacher="miniature")
    assert {one.node for one in lab.extract("raf-db:train", **how).stores} == nodes


def test_a_corrected_label_is_another_head(lab, faces, tmp_path):
    names = sorted(path.relative_to(faces).as_posix() for path in faces.rglob("*.png"))
    lines = [f"{name} {name.partition('/')[0]}" for name in names]
    (tmp_path / "list.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    how = PROBE | {"train": tmp_path / "list.txt"}
    lab.extract(tmp_path / "list.txt", clip="miniature", root={"list": faces})
    first = ids(lab.fit_head(**how))
    lines[0] = f"{names[0]} fear"
    (tmp_path / "list.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    assert ids(lab.fit_head(**how)) != first


def test_each_fold_is_scored_by_a_head_that_has_not_seen_it(lab, folds):
    lab.extract(folds, clip="miniature")
    (fitted,) = lab.fit_head(folds, **PROBE)
    head = load_head(fitted.path, fitted.card)
    features = lab.open_features(str(folds), model="miniature")
    X, of_fold = features.array.astype(np.float64), 1 + np.arange(63) // 7 % 3
    assert sorted(head.heads) == [1, 2, 3]
    scores = head.scores_of_folds(Samples(features.array), of_fold)
    for fold, probe in head.heads.items():
        np.testing.assert_allclose(scores[of_fold == fold], X[of_fold == fold] @ probe.weight_.T + probe.bias_)
    found = lab.evaluate(folds, clip="miniature", head=fitted.card.id)
    assert [one.fold for one in found.scores] == ["1", "2", "3", "mean"]
    assert all(one.n == 21 for one in found.scores[:3])


def test_labels_within_a_fold_do_not_change_its_own_head(lab, folds):
    """What is tested is never learnt from: other labels in a fold give the same head for it, and others elsewhere."""
    lab.extract(folds, clip="miniature")

    def heads():
        (fitted,) = lab.fit_head(folds, **PROBE)
        return load_head(fitted.path, fitted.card).heads

    first = heads()
    lines = folds.read_text(encoding="utf-8").splitlines()
    lines[1:8] = [f"{line.split(',')[0]},{(k + 1) % 7},1" for k, line in enumerate(lines[1:8])]
    folds.write_text("\n".join([*lines, ""]), encoding="utf-8")
    second = heads()
    np.testing.assert_array_equal(first[1].weight_, second[1].weight_)
    assert np.abs(first[2].weight_ - second[2].weight_).max() > 0


def test_a_head_of_folds_is_scored_on_these_folds_alone(lab, folds, faces):
    lab.extract(folds, clip="miniature")
    (fitted,) = lab.fit_head(folds, **PROBE)
    with pytest.raises(UsageError, match=r"learnt for each fold of list .*; labelled has other folds or samples"):
        lab.evaluate(faces, clip="miniature", head=fitted.card.id)
    found = lab.evaluate([faces, folds], clip="miniature", prompts="P-1")
    assert {(one.of.dataset, one.of.head) for one in found.scores} == {
        ("labelled", "none"),
        ("list", "none"),
        ("list", "linear-probe"),
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shots": 4}, "labelled has 6 of happiness, and 4 to learn from and 4 to validate by are needed: choose"),
        ({"classes": CLASSES[:8]}, "labelled has no sample of contempt, and a head learns from samples of every"),
    ],
)
def test_too_few_samples_are_refused_before_anything_is_fitted(lab, faces, change, said):
    with pytest.raises(UsageError, match=said):
        lab.fit_head(faces, **PROBE, **change)


def test_a_probe_of_other_features_says_what_it_expected_and_found(lab, faces):
    (fitted,) = lab.fit_head(faces, **PROBE)
    with pytest.raises(UsageError, match=r"was trained on miniature features .* \(released\); labelled has"):
        lab.evaluate(faces, clip="miniature", protocol="paper", head=fitted.card.id)


def test_scores_on_its_own_samples_are_said_to_say_nothing(lab, faces, capsys):
    lab.fit_head(faces, **PROBE)
    lab.evaluate(faces, clip="miniature", prompts="P-1")
    assert "learnt from these very labels: its scores say nothing of other samples" in capsys.readouterr().err


def test_the_train_part_of_a_set_of_folds_is_the_complement_of_each_and_nothing_is_encoded_twice(lab, dfew, work):
    lab = lab.but(root={"dfew": dfew})
    lab.extract("dfew", clip="miniature")
    assert work["ImageTower inputs"] == 70
    (fitted,) = lab.fit_head("dfew", **PROBE)
    lab.extract("dfew:train", clip="miniature")
    assert work["ImageTower inputs"] == 70, "frames that the train lists name too are copied"
    (by_lists,) = lab.fit_head("dfew:train", **PROBE)
    found = lab.evaluate("dfew", clip="miniature", head="kind=linear-probe")
    assert {one.of.head_id for one in found.scores} == {fitted.card.id, by_lists.card.id}
    assert [one.fold for one in found.scores[:6]] == ["1", "2", "3", "4", "5", "mean"]


@pytest.mark.parametrize("kind", ["tip-adapter", "tip-adapter-f"])
def test_a_tip_adapter_adds_what_its_keys_say_to_whatever_prompts(lab, faces, kind):
    (fitted,) = lab.fit_head(faces, **PROBE | {"head": kind}, shots=2, prompts="P-1")
    assert fitted.card.spec["prompts"]["name"] == "P-1"
    results = lab.evaluate(faces, clip="miniature", prompts=["P-1", "P-3"], head=["none", fitted.card.id])
    head, features = load_head(fitted.path, fitted.card), lab.open_features(str(faces), model="miniature")
    scores = head.class_scores(Samples(features.array))
    by = {(one.of.head, one.of.prompts): one.similarity for one in results.predictions}
    for prompts in ("P-1", "P-3"):
        expected = 100 * by["none", prompts].astype(np.float64) + scores
        np.testing.assert_allclose(by[f"2-shot {kind}", prompts], expected, rtol=0, atol=1e-3)


def test_other_prompts_to_validate_beside_are_another_head(lab, faces):
    ways = [{"prompts": name} for name in ("P-1", "P-3")]
    how = PROBE | {"head": "tip-adapter", "shots": 2}
    assert len({ids(lab.fit_head(faces, **how | way))[0] for way in ways}) == 2


def test_a_damaged_probe_is_repaired_by_fitting_it_as_its_card_says(lab, faces):
    (fitted,) = lab.fit_head(faces, **PROBE, shots=2, balanced=True)
    weights = fitted.path / "head.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    repaired = repair_cache(RepairCache(cache=lab.cache.root, run=True, device="cpu"))
    assert not repaired.unmade
    assert weights.read_bytes() == before


def test_dfer_clip_learns_from_the_frames_of_clips_beside_fixed_descriptions(lab, clips, work):
    lab.extract(clips, clip="miniature")
    how = {"clip": "miniature", "head": "dfer-clip", "seed": 1, "frames": "edge"}
    (fitted,) = lab.fit_head(clips, **how, batch_size=4, epochs=2)
    assert fitted.card.spec["optimiser"] | {"lr": 0.01, "batch_size": 4, "epochs": 2} == fitted.card.spec["optimiser"]
    assert fitted.card.spec["prompts"]["name"] == "descriptions"
    work.clear()
    lab.fit_head(clips, **how, batch_size=4, epochs=2)
    found = lab.evaluate(clips, clip="miniature", head=fitted.card.id, frames="edge", prompts="P-1")
    assert "ImageTower loaded" not in work
    assert [one.of.head for one in found.scores] == ["dfer-clip"]
    (head,) = [load_head(lab.cache.heads / fitted.card.id, fitted.card)]
    features = lab.open_features(str(clips), model="miniature")
    samples = Samples(features.array, features.manifest.samples("edge"))
    np.testing.assert_array_equal(found.predictions[0].predicted, head.class_scores(samples).argmax(axis=1))


def test_dfer_clip_on_other_frames_than_it_learnt_from_is_said(lab, clips, capsys):
    lab.extract(clips, clip="miniature")
    how = {"clip": "miniature", "head": "dfer-clip", "seed": 1, "batch_size": 4, "epochs": 1}
    (fitted,) = lab.fit_head(clips, **how, frames="edge")
    for frames, count in (("edge", 0), ("released", 1)):
        lab.evaluate(clips, clip="miniature", head=fitted.card.id, frames=frames, prompts="P-1")
        said = f"head {fitted.card.id} learnt from the frames edge of clips, and is scored on {frames}"
        assert capsys.readouterr().err.count(said) == count
    (again,) = lab.fit_head(clips, **how, frames="edge", precision="bfloat16")
    assert again.card.id == fitted.card.id and not again.is_new
    assert "precision" in capsys.readouterr().err


@pytest.mark.parametrize("head", ["linear-probe", "tip-adapter", "tip-adapter-f", "dfer-clip"])
def test_one_class_is_nothing_to_learn(lab, clips, head):
    lab.extract(clips, clip="miniature")
    with pytest.raises(UsageError, match="a head tells classes apart: name two or more with classes"):
        lab.fit_head(clips, clip="miniature", head=head, classes="happiness", frames="edge", batch_size=4)


def test_of_a_sweep_nothing_is_fitted_where_one_head_cannot_be(lab, faces, clips):
    lab.extract(clips, clip="miniature")
    with pytest.raises(UsageError, match="dfer-clip learns from clips"):
        lab.fit_head(faces, clip="miniature", head=("linear-probe", "dfer-clip"), batch_size=8)
    with pytest.raises(UsageError, match="batch_size 48: a batch needs as many clips"):
        lab.fit_head(clips, clip="miniature", head=("tip-adapter", "dfer-clip"), frames="edge")
    assert not list(lab.cache.heads.glob("*"))


def test_dfer_clip_says_what_it_does_not_take_before_anything_is_made(lab, clips, faces, work):
    lab.extract(clips, clip="miniature")
    how = {"clip": "miniature", "head": "dfer-clip", "seed": 1}
    with pytest.raises(UsageError, match="batch_size 48: a batch needs as many clips, and there are 7 to learn from"):
        lab.fit_head(clips, **how, frames="edge")
    with pytest.raises(UsageError, match="dfer-clip learns from clips, and these are images"):
        lab.fit_head(faces, **how, batch_size=8)
    (fitted,) = lab.fit_head(clips, **how, frames="edge", batch_size=4, epochs=1)
    work.clear()
    with pytest.raises(
        UsageError, match=r"takes up to 16 frames of a clip, and .* has one of 33: choose frames edge"
    ):
        lab.evaluate(clips, clip="miniature", head=fitted.card.id, frames="all", prompts="P-1")
    assert not work

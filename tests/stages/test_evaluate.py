"""Scores against a float64 computation written from the method's description, and what evaluation refuses."""

import csv
import json
import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import zarr
from expclip import UsageError
from expclip.cache.store import FeatureStore
from expclip.commands.cache import ExportStore, ImportStores
from expclip.manifests.classes import CLASSES
from expclip.manifests.prompts import PROMPT_SETS, prompt_set
from expclip.scoring.intervals import Strata, score_interval
from expclip.stages.cache import export_store, import_stores
from heads_by_hand import project as project_by_hand
from lab import Lab
from PIL import Image
from safetensors.numpy import load_file
from sklearn.metrics import accuracy_score, recall_score

MINIATURE = {"clip": "miniature", "teacher": "miniature", "instruction": "related-1"}
SCORING = {"clip": "miniature"}
SMALL = {"epochs": 2, "batch_size": 16}


@pytest.fixture
def fitted(lab, photos):
    """Two heads on the cached features of the photos."""
    lab.extract(photos, **MINIATURE)
    return lab.fit_head(train=photos, **MINIATURE, seed=[1, 2], **SMALL)


KINDS = ["linear", "mlp2", "mlp3", "transformer", "ridge"]


@pytest.fixture(params=["released", "paper"])
def every_kind(request, lab, photos):
    """One head of each kind on the cached features of the photos, under either protocol."""
    lab = lab.but(protocol=request.param)
    lab.extract(photos, **MINIATURE)
    lab.fit_head(train=photos, **MINIATURE, head=KINDS, seed=1, **SMALL, lr=3e-3)
    return lab


def stored(cache: Path, dataset: str, node: str) -> list[np.ndarray]:
    """Feature arrays of a data set, read by plain zarr."""
    return [
        zarr.open_group(path, mode="r")["features"][:] for path in sorted((cache / dataset).glob(f"{node}-*.zarr"))
    ]


def text_embeddings(lab: Lab, prompts: str, protocol: str = "released") -> dict[str, np.ndarray]:
    """Cached embeddings (float64) by prompt, read by plain zarr."""
    folder = lab.cache.root / "text"
    known = {}
    for path in folder.glob("manifest-*.zarr"):
        manifest = zarr.open_group(path, mode="r")
        texts = bytes(manifest["sources"][:]).decode().split("\0")
        for store in lab.cache.find("text", "clip_text", rows_digest=manifest.attrs["rows_digest"]):
            features = zarr.open_group(store.path, mode="r")["features"][:].astype(np.float64)
            known |= dict(zip(texts, features, strict=True))
    return {text: known[text] for text in prompt_set(prompts, protocol).texts}


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def expected_cosines(frames: list[np.ndarray], texts: dict, prompts: str, classes, project, pool_first) -> np.ndarray:
    """(samples, classes). METHOD: project each frame, mean, normalise (in the paper: mean, project, normalise); each
    prompt projected and normalised by itself; logits averaged a class."""
    projected = {text: unit(project(embedding[None])[0]) for text, embedding in texts.items()}
    words = prompt_set(prompts, "paper" if pool_first else "released").prompts
    cosines = np.empty((len(frames), len(classes)))
    for k, one in enumerate(frames):
        exact = one.astype(np.float64)
        image = unit(project(exact.mean(axis=0)[None])[0] if pool_first else project(exact).mean(axis=0))
        for label, name in enumerate(classes):
            cosines[k, label] = np.mean([image @ projected[text] for text in words[name]])
    return cosines


def tensors_of(lab: Lab, head_id: str) -> dict[str, np.ndarray]:
    return load_file(lab.cache.heads / head_id / "head.safetensors") if head_id else {}


def expected_by_mean_embedding(
    frames: list[np.ndarray], texts: dict, prompts: str, classes, project, pool_first
) -> np.ndarray:
    """(samples, classes). CLIP's habit: normalise each prompt's embedding, mean a class; then project, normalise."""
    words = prompt_set(prompts, "paper" if pool_first else "released").prompts
    means = [np.mean([unit(texts[text]) for text in words[name]], axis=0) for name in classes]
    exact = [one.astype(np.float64) for one in frames]
    images = [project(one.mean(axis=0)[None])[0] if pool_first else project(one).mean(axis=0) for one in exact]
    return unit(np.stack(images)) @ unit(project(np.stack(means))).T


EXPECTED = {"logits": expected_cosines, "embeddings": expected_by_mean_embedding}


def rows_of(out: Path, name: str) -> list[dict]:
    with (out / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_against_float64(lab: Lab, out: Path, frames: list[np.ndarray], truth: np.ndarray) -> int:
    """Compare all scores and predictions with the independent computation; returns the number of scores."""
    classes = CLASSES[:7]
    scores, predictions = rows_of(out, "scores.csv"), rows_of(out, "predictions.csv")
    for row in scores:
        project = partial(project_by_hand, row["head"], tensors_of(lab, row["head_id"]))
        prompts = row["prompts"].removesuffix("-paper")
        texts = text_embeddings(lab, prompts, row["protocol"])
        pool_first = row["protocol"] == "paper"
        cosines = EXPECTED[row["ensemble"]](frames, texts, prompts, classes, project, pool_first)
        predicted = cosines.argmax(axis=1)
        mine = [p for p in predictions if (p["head_id"], p["prompts"]) == (row["head_id"], row["prompts"])]
        assert [float(p["cosine"]) for p in mine] == pytest.approx(cosines.max(axis=1), abs=2e-6)
        assert [p["predicted"] for p in mine] == [classes[label] for label in predicted]
        assert [p["label"] for p in mine] == [classes[label] for label in truth]
        recall = recall_score(truth, predicted, labels=range(7), average=None, zero_division=0)
        assert float(row["uar"]) == pytest.approx(100 * recall.mean(), abs=1e-3)
        assert float(row["war"]) == pytest.approx(100 * accuracy_score(truth, predicted), abs=1e-3)
        assert [float(row[f"recall_{name}"]) for name in classes] == pytest.approx(recall, abs=1e-5)
    return len(scores)


def image_rows(lab: Lab) -> tuple[list[np.ndarray], np.ndarray]:
    """The stored features of each labelled face, (1, L), and the labels."""
    (features,) = stored(lab.cache.root, "labelled", "clip_image")
    sources = lab.cache.current_manifest("labelled").rows.sources
    truth = np.array([CLASSES.index(source.split("/")[0]) for source in sources])
    return [features[k : k + 1] for k in range(42)], truth


def clip_rows(lab: Lab) -> tuple[list[np.ndarray], np.ndarray]:
    """The stored features of the 16 frames that the released code takes of each clip, (16, L), and the labels."""
    (features,) = stored(lab.cache.root, "list", "clip_image")
    manifest = lab.cache.current_manifest("list")
    row = {source: k for k, source in enumerate(manifest.rows.sources)}
    frames = []
    for label in range(7):
        n = 3 + 5 * label
        used = [0] * 16 if n <= 16 else [int(n / 16 / 2 + n / 16 * k) for k in range(16)]
        frames.append(features[[row[f"clip {label}/{k:03d}.png"] for k in used]])
    return frames, np.arange(7)


@pytest.mark.parametrize("ensemble", EXPECTED)
def test_scores_of_every_kind_of_head_equal_a_float64_computation(every_kind, labelled, clips, tmp_path, ensemble):
    lab = every_kind
    for data, rows in ((labelled, image_rows), (clips, clip_rows)):
        out = tmp_path / data.stem
        lab.evaluate(data, **SCORING, prompts=["P-1", "P-5"], ensemble=ensemble, predictions="csv", out=out)
        assert check_against_float64(lab, out, *rows(lab)) == (1 + len(KINDS)) * 2


@pytest.fixture
def five_folds(tmp_path, save_face) -> Path:
    """A tiny DFEW: five lists with paths of another machine, clips of two frames."""
    root = tmp_path / "DFEW"
    for fold in range(1, 6):
        lines = []
        for k in range(3 + fold):
            clip, label = f"{10 * fold + k:05d}", (fold + k) % 7
            for frame in range(2):
                save_face(
                    root / "Clip/clip_224x224" / clip / f"{frame}.png", 50 + fold, 2 * k + frame, label, size=32
                )
            lines.append(f"/somewhere else/DFEW_Frame_Face/{clip} 2 {label}\n")
        (root / f"DFEW_set_{fold}_test.txt").write_text("".join(lines), encoding="utf-8")
    return root


def test_a_set_with_folds_is_scored_by_fold_and_by_their_plain_mean(lab, five_folds, work):
    found = lab.evaluate("dfew", root={"dfew": five_folds}, **SCORING, prompts="P-5")
    folds = [one for one in found.scores if one.fold.isdigit()]
    assert [one.fold for one in folds] == ["1", "2", "3", "4", "5"]
    assert [one.n for one in folds] == [4, 5, 6, 7, 8]
    (mean,) = (one for one in found.scores if one.fold == "mean")
    assert mean.uar == pytest.approx(np.mean([one.uar for one in folds]))
    assert mean.war == pytest.approx(np.mean([one.war for one in folds]))
    assert mean.n == 30
    assert work["ImageTower inputs"] == 60  # each frame once, whatever the fold


def test_a_second_evaluation_runs_no_model(lab, fitted, labelled, work, tmp_path):
    lab.evaluate(labelled, **SCORING, predictions="csv", out=tmp_path / "first")
    assert work["ImageTower inputs"] == 42
    work.clear()
    lab.evaluate(labelled, **SCORING, predictions="csv", out=tmp_path / "second")
    assert not work
    for name in ("scores.csv", "predictions.csv", "tables.md"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_sweep_over_prompts_encodes_each_new_text_once_and_no_image(lab, labelled, work, tmp_path):
    lab.evaluate(labelled, **SCORING, prompts="P-2")
    work.clear()
    mine = tmp_path / "mine.txt"
    mine.write_text("an expression of {class}.\na {class} look", encoding="utf-8")
    lab.evaluate(labelled, **SCORING, prompts=["P-1", "P-2", str(mine)])
    assert work == {"TextTower loaded": 1, "TextTower inputs": 11 + 11}  # P-1, and one of the two templates
    work.clear()
    for ensemble in EXPECTED:
        lab.evaluate(labelled, **SCORING, prompts=[str(mine), "P-1", "P-2"], ensemble=ensemble)
    assert not work


def test_exported_text_features_are_known_by_their_texts_elsewhere(lab, labelled, work, tmp_path):
    lab.evaluate(labelled, **SCORING, prompts=["P-1", "P-2"])
    other = lab.but(cache=tmp_path / "other")
    for store in list(lab.cache.stores()):
        path = tmp_path / f"{store.path.stem}.h5"
        export_store(ExportStore(store.path.name, path, lab.cache.root))
        import_stores(ImportStores(path, other.cache.root))
    work.clear()
    other.evaluate(labelled, **SCORING, prompts="P-2", cached_only=True)
    assert not work


def test_two_prompt_files_of_one_name_are_refused(lab, labelled, tmp_path):
    (tmp_path / "mine.txt").write_text("{class}!")
    (tmp_path / "mine.json").write_text('{"templates": ["{class}?"]}')
    names = [str(tmp_path / name) for name in ("mine.txt", "mine.json")]
    with pytest.raises(UsageError, match=r"mine\.json: another prompt set is called mine too: rename the file"):
        lab.evaluate(labelled, **SCORING, prompts=names)


def test_the_ensemble_is_on_record(lab, labelled, tmp_path):
    lab.evaluate(labelled, **SCORING, prompts="P-4", ensemble="embeddings", out=tmp_path / "out")
    assert {row["ensemble"] for row in rows_of(tmp_path / "out", "scores.csv")} == {"embeddings"}
    assert "embeddings averaged" in (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="ensemble 'words': choose logits or embeddings"):
        lab.evaluate(labelled, **SCORING, ensemble="words")


def test_texts_that_are_damaged_on_disk_are_named_and_written_again_where_they_are_needed(
    lab, labelled, work, capsys
):
    for prompts in ("P-1", "P-2"):
        lab.evaluate(labelled, **SCORING, prompts=prompts)
    path, _ = sorted((lab.cache.root / "text").glob("manifest-*.zarr"), key=lambda path: path.stat().st_mtime_ns)
    (path / "zarr.json").write_text("{}")
    work.clear()
    capsys.readouterr()
    lab.evaluate(labelled, **SCORING, prompts="P-2")
    assert f"{path}: these texts cannot be read" in capsys.readouterr().err
    assert (path / "zarr.json").read_text() == "{}"
    lab.evaluate(labelled, **SCORING, prompts="P-1")
    capsys.readouterr()
    lab.evaluate(labelled, **SCORING, prompts="P-1")
    assert not work  # the features are still there
    assert "cannot be read" not in capsys.readouterr().err


def test_gains_are_over_plain_clip_with_the_same_prompts_whether_or_not_it_is_asked_for(
    lab, fitted, labelled, tmp_path
):
    two = SCORING | {"prompts": ["P-1", "P-3"]}
    lab.evaluate(labelled, **two, out=tmp_path / "all")
    rows = rows_of(tmp_path / "all", "scores.csv")
    plain = {row["prompts"]: row for row in rows if row["head"] == "none"}
    for row in rows:
        for metric in ("uar", "war"):
            assert float(row[f"{metric}_low"]) <= float(row[metric]) <= float(row[f"{metric}_high"])
            low, gain, high = (row[f"{metric}_gain{end}"] for end in ("_low", "", "_high"))
            if row["head"] == "none":
                assert low == gain == high == ""
            else:
                assert float(gain) == pytest.approx(
                    float(row[metric]) - float(plain[row["prompts"]][metric]), abs=2e-4
                )
                assert float(low) <= float(gain) <= float(high)
    lab.evaluate(labelled, **two, head=fitted[0].card.id, out=tmp_path / "one")
    assert rows_of(tmp_path / "one", "scores.csv") == [row for row in rows if row["head_id"] == fitted[0].card.id]


def test_intervals_of_folds_and_of_their_mean(lab, fitted, five_folds):
    found = lab.evaluate("dfew", root={"dfew": five_folds}, **SCORING, prompts="P-3")
    for head in ("", fitted[0].card.id):
        folds = {one.fold: one for one in found.scores if one.of.head_id == head}
        assert set(folds) == {"1", "2", "3", "4", "5", "mean"}
        (predictions,) = (one for one in found.predictions if one.of.head_id == head)
        manifest = predictions.manifest
        truth, numbers = manifest.labels[predictions.samples], manifest.folds[predictions.samples]
        assert folds["mean"].certainty.score == score_interval(
            Strata.of(truth, numbers), predictions.predicted == truth
        )
        assert folds["mean"].certainty.score.uar.value == pytest.approx(folds["mean"].uar)
        third = numbers == 3
        assert folds["3"].certainty.score == score_interval(
            Strata.of(truth[third]), predictions.predicted[third] == truth[third]
        )
        assert (folds["mean"].certainty.gain is None) == (head == "")


def test_intervals_can_be_left_out(lab, labelled, tmp_path):
    lab.evaluate(labelled, **SCORING, prompts="P-1", intervals=False, out=tmp_path / "out")
    (row,) = rows_of(tmp_path / "out", "scores.csv")
    assert row["uar"] and not any(row[f"{metric}_{end}"] for metric in ("uar", "war") for end in ("low", "high"))
    assert "intervals" not in (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")


def test_evaluation_needs_neither_images_nor_weights_once_features_are_cached(
    lab, photos, labelled, fitted, tmp_path, monkeypatch
):
    copy = tmp_path / "labelled"
    shutil.copytree(labelled, copy)
    before = lab.evaluate(copy, **SCORING)
    shutil.rmtree(copy)
    for module in ("expclip.encoders.clip.found", "expclip.encoders.blip2.teacher"):
        monkeypatch.setattr(f"{module}.BUILTIN", {"miniature": tmp_path / "gone"})
    again = lab.fit_head(train=photos, **MINIATURE, seed=[1, 2, 3], **SMALL)
    assert [one.is_new for one in again] == [False, False, True]
    after = lab.evaluate(copy, **SCORING, cached_only=True)
    known = {(one.of.head_id, one.of.prompts): one.uar for one in after.scores}
    assert len(after.scores) == len(before.scores) + len(PROMPT_SETS)
    assert all(known[one.of.head_id, one.of.prompts] == one.uar for one in before.scores)


def test_a_sample_whose_image_cannot_be_read_is_left_out_and_counted(lab, labelled, tmp_path):
    copy = tmp_path / "labelled"
    shutil.copytree(labelled, copy)
    (copy / "anger" / "003.png").write_bytes(b"")
    found = lab.evaluate(copy, **SCORING)
    assert {(one.n, one.n_failed) for one in found.scores} == {(41, 1)}
    assert all(one.confusion.sum(axis=1).tolist() == [6, 6, 6, 5, 6, 6, 6] for one in found.scores)


def test_a_clip_with_one_broken_frame_is_left_out(lab, clips, tmp_path):
    copy = tmp_path / "clips"
    shutil.copytree(clips.parent, copy)
    (copy / "clip 6" / "001.png").write_bytes(b"not an image")  # one of the 16 used of 33
    (copy / "clip 5" / "001.png").write_bytes(b"not an image")  # not among the 16 used of 28
    found = lab.evaluate(copy / "list.txt", **SCORING)
    assert {(one.n, one.n_failed) for one in found.scores} == {(6, 1)}


def test_labels_may_be_corrected_without_running_a_model(lab, clips, work, tmp_path):
    copy = tmp_path / "clips"
    shutil.copytree(clips.parent, copy)
    first = lab.evaluate(copy / "list.txt", **SCORING)
    text = (copy / "list.txt").read_text()
    (copy / "list.txt").write_text(text.replace("33 6", "33 0"))
    work.clear()
    lab.extract(copy / "list.txt", **SCORING)
    second = lab.evaluate(copy / "list.txt", **SCORING)
    assert not work
    assert first.scores[0].confusion.sum(axis=1).tolist() == [1] * 7
    assert second.scores[0].confusion.sum(axis=1).tolist() == [2, 1, 1, 1, 1, 1, 0]


def test_another_frame_policy_scores_the_same_cached_frames(lab, clips, work):
    lab.evaluate(clips, **SCORING)
    work.clear()
    released = lab.evaluate(clips, **SCORING)
    edge = lab.evaluate(clips, **SCORING, frames="edge")
    assert not work
    cosines = [found.predictions[0].similarity for found in (released, edge)]
    short = np.array([3 + 5 * label <= 16 for label in range(7)])
    assert (cosines[0] != cosines[1]).any(axis=1).tolist() == short.tolist()


def test_a_policy_that_the_cached_rows_do_not_cover_is_extracted(lab, clips, work):
    lab.evaluate(clips, **SCORING)
    some = work["ImageTower inputs"]
    work.clear()
    every = SCORING | {"frames": "all"}
    with pytest.raises(UsageError, match="--clip miniature --frames all --cache"):
        lab.evaluate(clips, **every, cached_only=True)
    found = lab.evaluate(clips, **every)
    assert work["ImageTower inputs"] + some == sum(3 + 5 * label for label in range(7))
    (features,) = (one for one in stored(lab.cache.root, "list", "clip_image") if len(one) == 126)
    mean = np.stack([features[a:b].astype(float).mean(axis=0) for a, b in ((0, 3), (3, 11))])
    texts = text_embeddings(lab, "P-1")
    expected = unit(mean) @ unit(texts["happiness."])
    np.testing.assert_allclose(found.predictions[0].similarity[:2, 0], expected, rtol=1e-5)


def test_evaluation_of_a_list_and_of_a_relative_name_works_when_they_are_gone(
    lab, labelled, clips, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(clips.parent, "clips")
    shutil.copytree(labelled, "labelled")
    before = lab.evaluate(["clips/list.txt", "labelled"], **SCORING)
    shutil.rmtree("clips")
    shutil.rmtree("labelled")
    after = lab.evaluate(["clips/list.txt", "labelled"], **SCORING)
    assert [one.uar for one in after.scores] == [one.uar for one in before.scores]


def test_two_backbones_in_one_sweep_keep_their_own_text_towers(lab, labelled):
    names = ["ViT-S-32-alt@random", "ViT-S-32@random"]  # 256 and 384 wide
    together = lab.evaluate(labelled, clip=names, prompts="P-1")
    alone = lab.but(cache=lab.cache.root / "other").evaluate(labelled, clip=names[1], prompts="P-1")
    np.testing.assert_array_equal(together.predictions[1].similarity, alone.predictions[0].similarity)


def test_two_backbones_that_are_both_missing_see_each_image_decoded_once(lab, labelled, decoded, work):
    lab.evaluate(labelled, clip=["ViT-S-32-alt@random", "ViT-S-32@random"], prompts="P-1")
    assert decoded == dict.fromkeys(labelled.rglob("*.png"), 1)
    assert work["ImageTower inputs"] == 2 * 42


@pytest.fixture
def reads(monkeypatch) -> Counter:
    """Counts how often the features of each store are read."""
    counts: Counter = Counter()
    read = FeatureStore.read

    def counting(self, *args):
        counts[self.path] += 1
        return read(self, *args)

    monkeypatch.setattr(FeatureStore, "read", counting)
    return counts


CLIP_AND_LLM = {"image": ["clip", "llm"], "text": ["clip", "llm"], "teacher": "miniature"}


@pytest.mark.parametrize(("sides", "nodes"), [({}, 1), (CLIP_AND_LLM, 2)], ids=["clip", "clip and llm"])
def test_a_sweep_over_prompts_and_heads_reads_each_store_once(
    lab, fitted, labelled, clips, reads, work, sides, nodes
):
    both = [labelled, clips]
    lab.evaluate(labelled, **SCORING, **sides, prompts="P-1")  # a store of texts of its own
    lab.evaluate(both, **SCORING, **sides)
    reads.clear()
    work.clear()
    found = lab.evaluate(both, **SCORING, **sides)
    assert {one.of.prompts for one in found.scores} == set(PROMPT_SETS)
    assert {one.of.head_id for one in found.scores} == {"", *(one.card.id for one in fitted)}
    used = [store for name in ("labelled", "list", "text") for store in lab.cache.stores(name)]
    used = [store.path for store in used if store.header.node != "query_tokens"]
    assert len(used) == (2 + 2) * nodes  # of each data set, and of the texts of either run
    assert reads == dict.fromkeys(used, 1)
    assert not work


def test_the_same_weights_in_two_folders_are_one_model(lab, photos, labelled, tiny_models, work, tmp_path):
    names = {}
    for name in ("first", "second"):
        shutil.copytree(tiny_models / "clip", tmp_path / name)
        names[name] = f"local-dir:{tmp_path / name}"
    lab.extract(photos, **MINIATURE | {"clip": names["first"]})
    before = lab.evaluate(labelled, clip=names["first"], prompts="P-1")
    work.clear()
    by_other_name = lab.evaluate(labelled, clip=names["second"], prompts="P-1")
    again = lab.extract([photos, labelled], features="clip_image", clip=names["second"])
    (fitted,) = lab.fit_head(train=photos, **MINIATURE | {"clip": names["second"]}, seed=1, **SMALL)
    with_head = lab.evaluate(labelled, clip=names["first"], head=fitted.card.id, prompts="P-1", cached_only=True)
    assert again.encoded == 0
    assert not work
    np.testing.assert_array_equal(by_other_name.predictions[0].similarity, before.predictions[0].similarity)
    assert fitted.card.backbone == "first"
    for name in names:
        shutil.rmtree(tmp_path / name)
    when_gone = lab.evaluate(labelled, clip=names["first"], prompts="P-1", cached_only=True)
    assert {one.of.head_id for one in when_gone.predictions} == {"", fitted.card.id}
    for one, expected in zip(when_gone.predictions, (before, with_head), strict=True):
        np.testing.assert_array_equal(one.similarity, expected.predictions[0].similarity)
    (known,) = lab.fit_head(train=photos, **MINIATURE | {"clip": names["first"]}, seed=1, **SMALL)
    assert not known.is_new
    assert not work


def test_where_two_precisions_are_cached_one_is_named_by_dtype_or_digest(lab, labelled):
    lab.evaluate(labelled, **SCORING)
    lab.evaluate(labelled, **SCORING, dtype="bfloat16")
    with pytest.raises(UsageError, match=r"2 stores of clip_image .* differ in .*precision .* give dtype"):
        lab.evaluate(labelled, **SCORING)
    exact, rough = (
        lab.evaluate(labelled, **SCORING, dtype=dtype).predictions[0].similarity for dtype in ("float32", "bfloat16")
    )
    assert (exact != rough).any()
    (store,) = lab.cache.find("labelled", "clip_image", main_dtype="bfloat16")
    by_digest = lab.evaluate(labelled, clip=store.header.encoder_digest[:10])
    np.testing.assert_array_equal(by_digest.predictions[0].similarity, rough)


def test_a_head_of_other_features_is_refused(lab, fitted, labelled):
    paper = lab.but(protocol="paper")
    name = fitted[0].card.id
    with pytest.raises(UsageError, match=f"head {name} was trained on miniature features .* with the same weights"):
        paper.evaluate(labelled, **SCORING, head=name)
    found = paper.evaluate(labelled, **SCORING)
    assert {one.of.head for one in found.scores} == {"none"}


@pytest.mark.parametrize("how", ["id", "prefix", "folder", "file"])
def test_heads_are_named_by_id_folder_or_file(lab, fitted, labelled, how):
    path = fitted[1].path
    name = {"id": path.name, "prefix": path.name[:8], "folder": str(path), "file": str(path / "head.safetensors")}[
        how
    ]
    found = lab.evaluate(labelled, **SCORING, head=name, prompts="P-1")
    assert [one.of.head_id for one in found.scores] == [path.name]


def test_an_unknown_head_is_refused_with_those_that_exist(lab, fitted, labelled):
    with pytest.raises(UsageError, match=f"'ffffffffffff': no such head .*{fitted[0].card.id}"):
        lab.evaluate(labelled, **SCORING, head="ffffffffffff")


def test_unlabelled_data_cannot_be_scored(lab, photos):
    with pytest.raises(UsageError, match="photos has no labels"):
        lab.evaluate(photos, **SCORING)


def test_cached_only_names_the_command_that_is_missing(lab, labelled):
    with pytest.raises(
        UsageError, match=f"run `expclip extract {labelled} --features clip_image --clip miniature --cache"
    ):
        lab.evaluate(labelled, **SCORING, cached_only=True)


def test_prompts_that_lack_a_class_are_refused(lab, labelled, tmp_path):
    prompts = tmp_path / "mine.json"
    prompts.write_text('{"happiness": ["a smile"], "sadness": ["a tear"]}', encoding="utf-8")
    with pytest.raises(UsageError, match="prompt set mine has no prompt for neutral, anger"):
        lab.evaluate(labelled, **SCORING, prompts=prompts)


def test_a_figure_is_drawn_for_each_matrix_where_they_are_asked_for(lab, fitted, labelled, tmp_path):
    lab.evaluate(labelled, **SCORING, out=tmp_path / "none")
    assert sorted(path.name for path in (tmp_path / "none").iterdir() if not path.name.startswith(".")) == [
        "confusion.npz",
        "predictions",
        "scores.csv",
        "tables.md",
    ]
    found = lab.evaluate(labelled, **SCORING, prompts=["P-1", "P-3"], figures=True, out=tmp_path / "out")
    figures = sorted((tmp_path / "out" / "figures").glob("*.png"))
    assert len(figures) == len(found.scores) == 2 * 3
    papers = sorted((tmp_path / "out" / "figures").glob("*.pdf"))
    assert [paper.stem for paper in papers] == [figure.stem for figure in figures]
    assert all(paper.read_bytes().startswith(b"%PDF") for paper in papers)
    with np.load(tmp_path / "out" / "confusion.npz") as matrices:
        assert sorted(set(matrices) - {"untrained"}) == [figure.stem for figure in figures]
        np.testing.assert_array_equal(matrices[found.scores[0].of.slug], found.scores[0].confusion)
    with Image.open(figures[0]) as picture:
        assert np.asarray(picture.convert("L")).std() > 20


def test_untrained_models_are_announced_in_every_output(lab, labelled, tmp_path):
    lab.evaluate(labelled, clip="ViT-S-32-alt@random", prompts="P-1", predictions="csv", out=tmp_path / "out")
    for name in ("scores.csv", "predictions.csv"):
        assert all(row["untrained"] == "True" for row in rows_of(tmp_path / "out", name))
    with np.load(tmp_path / "out" / "confusion.npz") as matrices:
        assert matrices["untrained"].tolist() == ["labelled-ViT-S-32-alt-random-none-P-1"]
    assert "untrained weights" in (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")


def test_what_cannot_be_scored_is_refused_before_anything_is_extracted(lab, photos, labelled, work, tmp_path):
    (tmp_path / "mine.json").write_text('{"happiness": ["a smile"]}', encoding="utf-8")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="has no labels"):
        lab.evaluate(photos, **SCORING)
    with pytest.raises(UsageError, match="has no prompt for sadness"):
        lab.evaluate(labelled, **SCORING, prompts=tmp_path / "mine.json")
    with pytest.raises(UsageError, match="a folder is needed"):
        lab.evaluate(labelled, **SCORING, out=tmp_path / "file")
    assert not work


def test_a_repeated_option_is_scored_once(lab, labelled):
    found = lab.evaluate([labelled] * 2, clip=["miniature"] * 2, prompts=["P-1", "P-1"])
    assert len(found.scores) == 1


def test_a_head_that_cannot_be_read_is_never_left_out_silently(lab, fitted, labelled, capsys):
    (fitted[0].path / "head.json").write_text("x")
    found = lab.evaluate(labelled, **SCORING)
    assert {one.of.head_id for one in found.scores} == {"", *(one.card.id for one in fitted[1:])}
    said = capsys.readouterr().err
    assert f"{fitted[0].path}: this head is damaged (its card is no JSON: " in said
    assert f"fit it again, or run `expclip heads rm {fitted[0].path}`" in said
    with pytest.raises(UsageError, match=f"{fitted[0].path}: this head is damaged"):
        lab.evaluate(labelled, **SCORING, head=fitted[0].card.id)


def test_the_same_teacher_in_two_folders_is_one_model(lab, photos, tiny_models, work, tmp_path):
    for name in ("first", "second"):
        shutil.copytree(tiny_models / "teacher", tmp_path / name)
    lab.extract(photos, **MINIATURE | {"teacher": tmp_path / "first"})
    work.clear()
    (fitted,) = lab.fit_head(train=photos, **MINIATURE | {"teacher": tmp_path / "second"}, seed=1, **SMALL)
    assert fitted.card.teacher == "first"
    assert not work


def test_the_same_weights_with_another_preprocessing_are_another_model(lab, labelled, tiny_models, tmp_path):
    lab, names = lab.but(protocol="paper"), {}
    for name, mean in (("first", 0.5), ("second", 0.1)):
        shutil.copytree(tiny_models / "clip", tmp_path / name)
        path = tmp_path / name / "open_clip_config.json"
        config = json.loads(path.read_text()) | {"preprocess_cfg": {"mean": [mean] * 3, "std": [0.5] * 3}}
        path.write_text(json.dumps(config))
        names[name] = f"local-dir:{tmp_path / name}"
    alone = lab.but(cache=tmp_path / "other").evaluate(labelled, clip=names["second"], prompts="P-1")
    lab.evaluate(labelled, clip=names["first"], prompts="P-1")
    second = lab.evaluate(labelled, clip=names["second"], prompts="P-1")
    np.testing.assert_array_equal(second.predictions[0].similarity, alone.predictions[0].similarity)

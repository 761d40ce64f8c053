"""DFER-CLIP's released files from end to end: converted, extracted, imported, and scored on their own fold alone."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from expclip.cli import app
from expclip.commands.heads import ImportHead
from expclip.encoders.conversion import Asked, convert
from expclip.encoders.weights_card import classifier_card_of
from expclip.errors import UsageError
from expclip.heads.dfer_clip import PromptedClips
from expclip.heads.saving import load_head
from expclip.manifests.classes import CLASSES
from expclip.manifests.dfer_paper import FILES
from expclip.manifests.manifest import Clips
from expclip.reports.results import read_results
from expclip.reports.tables import tables
from expclip.scoring.samples import Samples
from expclip.stages.heads import import_head
from lab import Lab
from PIL import Image
from safetensors.numpy import load_file, save_file
from sklearn.metrics import recall_score
from tiny_dfer import clip_vector, dfer_state, text_directions, write_dfer
from tiny_farl import TINY, tiny_clip
from typer.testing import CliRunner

TEXTS = tuple(f"a face of the kind {name}, drawn." for name in CLASSES[:7])
HOW = {"frames": "edge", "protocol": "released", "prompts": "P-3"}


@pytest.fixture(scope="module")
def architecture():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-quickgelu", TINY)
        yield "tiny-quickgelu"


@pytest.fixture(scope="module")
def place(tmp_path_factory, save_face) -> Path:
    """A folder with 35 clips of 2 to 5 frames as DFEW has them, a class in each fold once, and those of FERV39k."""
    place = tmp_path_factory.mktemp("released")
    lines: dict[int, list[str]] = {}
    for k in range(35):
        clip = f"Clip/{k}"
        for frame in range(2 + k % 4):
            save_face(place / "dfew" / clip / f"{frame}.png", 6, 5 * k + frame, k % 7, size=64)
        lines.setdefault(1 + k // 7, []).append(f"{clip} {2 + k % 4} {k % 7}")
    for fold, some in lines.items():
        (place / "dfew" / f"dfew-test-{fold}.txt").write_text("\n".join([*some, ""]), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def released(place):
    """The CLIP, the state dict, and the converted files of the third fold."""
    clip = tiny_clip()
    state = dfer_state(clip, TEXTS)
    write_dfer(place / "DFEW-3.pth", state)
    made = convert("dfer-clip", place / "DFEW-3.pth")
    assert made.classifier is not None
    return clip, state, made.path, made.classifier.path


@pytest.fixture(scope="module")
def lab(place, released, architecture) -> Lab:
    """A cache with the frames of all clips under the CLIP of that file."""
    clip = f"{architecture}@{released[2]}"
    lab = Lab(place / "cache", root={"dfew": place / "dfew"}, clip=clip, protocol="released")
    lab.extract("dfew")
    return lab


def bring(lab: Lab, file: Path, **how):
    known = {"features": "dfew", "clip": lab.usual["clip"], "protocol": "released"} | how
    return import_head(ImportHead(file=file, **known, cache=lab.cache.root))


@pytest.fixture(scope="module")
def imported(lab, released):
    return bring(lab, released[3], fold=3)


def frames_of(place: Path, sample: str) -> torch.Tensor:
    """(16, 3, 64, 64) in 0 … 1 of a clip, whose last frame is repeated."""
    files = sorted((place / "dfew" / sample).glob("*.png"))
    pictures = [np.asarray(Image.open(file), dtype=np.float32) / 255 for file in files]
    edge = [pictures[min(frame, len(pictures) - 1)] for frame in range(16)]
    return torch.from_numpy(np.stack(edge).transpose(0, 3, 1, 2))


def embedded(clip: open_clip.CLIP, frames: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return clip.encode_image(frames).numpy()


def joint(released, frames: np.ndarray) -> np.ndarray:
    """(7,) cosines of the whole model in float64, from the embeddings of its frames (16, L)."""
    clip, state, *_ = released
    v = clip_vector(state, frames)
    return text_directions(clip, state, TEXTS) @ v / np.linalg.norm(v)


def test_image_embeddings_are_those_of_the_fine_tuned_model(lab, released, place):
    features = lab.open_features("dfew", model=lab.usual["clip"])
    clips = features.manifest.samples("edge")
    for k, sample in enumerate(features.manifest.sample_ids[:4]):
        rows = clips.indices[clips.offsets[k] : clips.offsets[k + 1]]
        expected = embedded(released[0], frames_of(place, sample))
        assert np.abs(features.array[rows] - expected).max() <= 1e-3 * np.abs(expected).max(), "as float16 keeps it"


def test_the_classifier_is_the_whole_model_run_jointly(lab, released, imported, place):
    head, features = load_head(*imported), lab.open_features("dfew", model=lab.usual["clip"])
    (of_fold,) = head.heads.values()
    assert isinstance(of_fold, PromptedClips) and list(head.heads) == [3]
    samples = features.manifest.sample_ids[14:18]
    frames = [embedded(released[0], frames_of(place, sample)) for sample in samples]
    clips = Clips(np.arange(0, 16 * len(samples) + 1, 16), np.arange(16 * len(samples)))
    found = of_fold.class_scores(Samples(np.concatenate(frames), clips))
    expected = [joint(released, one) for one in frames]
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found / 100, expected, atol=1e-4)


def test_it_scores_its_own_fold_and_no_other(lab, released, imported):
    _, card = imported
    assert (card.head, card.imported, card.train) == ("dfer-clip", True, "dfew")
    assert card.spec["classes"] == list(CLASSES[:7])
    found = lab.evaluate("dfew", **HOW, head=["none", card.id])
    alone = [one for one in found.scores if one.of.head_id == card.id]
    assert [(one.fold, one.n, one.is_overall) for one in alone] == [("3", 7, True)]
    features = lab.open_features("dfew", model=lab.usual["clip"])
    numbers = np.flatnonzero(features.manifest.folds == 3)
    clips = features.manifest.samples("edge")
    rows = [clips.indices[clips.offsets[k] : clips.offsets[k + 1]] for k in numbers]
    cosines = [joint(released, features.array[of_clip]) for of_clip in rows]
    (predictions,) = [one for one in found.predictions if one.of.head_id == card.id]
    np.testing.assert_array_equal(predictions.samples, numbers)
    assert predictions.similarity is not None
    np.testing.assert_allclose(predictions.similarity / 100, cosines, atol=1e-4)
    truth, guess = features.manifest.labels[numbers], np.argmax(cosines, axis=1)
    uar = recall_score(truth, guess, labels=range(7), average="macro", zero_division=0)
    assert alone[0].uar == pytest.approx(100 * float(uar))
    plain = {one.fold: one for one in found.scores if one.of.head == "none"}
    assert list(plain) == ["1", "2", "3", "4", "5", "mean"]
    assert alone[0].certainty is not None and alone[0].certainty.gain is not None
    assert alone[0].certainty.gain.uar.value == pytest.approx(alone[0].uar - plain["3"].uar)


def test_tables_and_files_show_the_fold(lab, imported, tmp_path):
    _, card = imported
    found = lab.evaluate("dfew", **HOW, head=card.id, out=tmp_path / "out", figures=True)
    (table,) = tables(found.scores)
    assert [row[0] for row in table.rows] == ["dfer-clip head, labels · fold 3 alone"]
    assert "7 samples" in table.title
    results = read_results(tmp_path / "out")
    assert results.scores["fold"].to_pylist() == [3]
    assert set(results.predictions["dfew"]["fold"].to_pylist()) == {3}
    assert len(list((tmp_path / "out" / "figures").glob("*.png"))) == 1


def test_two_folds_are_two_rows_and_no_mean(lab, released, imported):
    _, other = bring(lab, released[3], fold=1)
    found = lab.evaluate("dfew", **HOW, head=[imported[1].id, other.id])
    assert [(one.fold, one.of.head_label) for one in found.scores] == [
        ("3", "dfer-clip head, labels · fold 3 alone"),
        ("1", "dfer-clip head, labels · fold 1 alone"),
    ]


def test_in_the_table_their_mean_over_folds_stands_beside_what_is_published(lab, released, imported):
    def cell():
        (table,) = lab.reproduce("dfer", test="dfew").tables
        (row,) = [one for one in table.rows if one.row.method == FILES]
        return row.cells[0]

    bring(lab, released[3], fold=1)
    assert cell().why_not.startswith("no released file of the folds 2, 4, 5 is imported")
    cards = [bring(lab, released[3], fold=fold)[1] for fold in range(1, 6)]
    found = [lab.evaluate("dfew", **HOW, head=card.id).scores[0] for card in cards]
    assert [one.fold for one in found] == ["1", "2", "3", "4", "5"]
    assert cell().uar == (pytest.approx(np.mean([one.uar for one in found])),)
    assert cell().war == (pytest.approx(np.mean([one.war for one in found])),)


def test_figures_of_samples_show_those_that_all_heads_score(lab, imported, tmp_path):
    lab.figures("dfew", kind="samples", head=["none", imported[1].id], **HOW, out=tmp_path / "out")
    assert list((tmp_path / "out").glob("*.png"))


def test_adapting_looks_at_the_fold_alone(lab, imported):
    found = lab.evaluate("dfew", **HOW, head=imported[1].id, adapt="prior")
    assert [one.fold for one in found.scores if one.of.adapted] == ["3"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({}, "dfew has the folds 1, 2, 3, 4, 5, and this classifier was tested on one of them: say on which"),
        ({"fold": 6}, "as 6 is none of them"),
        ({"features": ""}, "does not say which data set it was tested on. Give features DATASET"),
        ({"clip": "tiny-quickgelu@random", "fold": 3}, r"expclip extract dfew"),
    ],
)
def test_what_an_import_needs_is_said(lab, released, how, why):
    with pytest.raises(UsageError, match=why) as caught:
        bring(lab, released[3], **how)
    assert "\n" not in str(caught.value)


def test_a_classifier_of_another_clip_is_refused(lab, released, place):
    """Even where it is the same file but for one number."""
    state = dict(released[1])
    for name in ("clip_model_.visual.proj", "image_encoder.proj"):
        state[name] = state[name] + 1e-6
    write_dfer(place / "DFEW-4.pth", state)
    made = convert("dfer-clip", place / "DFEW-4.pth")
    assert made.classifier is not None
    with pytest.raises(UsageError, match=r"it stands behind the CLIP that was converted with it, whose file has"):
        bring(lab, made.classifier.path, fold=4)


def test_a_damaged_classifier_is_refused(lab, released, tmp_path):
    tensors = load_file(released[3])
    card = classifier_card_of(released[3])
    assert card is not None
    for name, spoilt in {
        "texts": tensors | {"texts": tensors["texts"][:5]},
        "lacking": {name: value for name, value in tensors.items() if name != "positions"},
        "nan": tensors | {"positions": tensors["positions"] * np.nan},
    }.items():
        save_file(spoilt, tmp_path / f"{name}.safetensors", card.metadata)
        with pytest.raises(UsageError, match="this dfer-clip head cannot be read"):
            bring(lab, tmp_path / f"{name}.safetensors", fold=3)


def test_of_a_data_set_without_folds_none_is_named(lab, released, clips):
    lab.extract(clips)
    with pytest.raises(UsageError, match="fold 3: list has no folds: leave it out"):
        bring(lab, released[3], features=str(clips), fold=3)
    _, card = bring(lab, released[3], features=str(clips))
    found = lab.evaluate(clips, **HOW, head=card.id)
    assert [(one.fold, one.n) for one in found.scores] == [("all", 7)]


def test_options_that_say_nothing_of_a_head_are_said(lab, released, tmp_path):
    save_file({"weight": np.eye(16, dtype=np.float32)}, tmp_path / "linear.safetensors")
    common = ["--features", "dfew", "--clip", lab.usual["clip"], "--protocol", "released", "--fold", "3"]
    common += ["--teacher", "miniature", "--cache", str(lab.cache.root)]
    for file, said in (
        (released[3], "--teacher miniature: it learnt from labels"),
        (tmp_path / "linear.safetensors", "--fold 3: only a classifier of `expclip weights convert`"),
    ):
        done = CliRunner().invoke(app, ["heads", "import", str(file), *common])
        assert done.exit_code == 0, done.output
        assert f"note: {said}" in done.stderr


def test_other_folds_and_classes_that_were_not_learnt_are_refused_in_one_line(lab, imported, released, place, clips):
    lab.extract(clips)
    with pytest.raises(UsageError, match=r"learnt for each fold of dfew .* has other folds or samples: leave the"):
        lab.evaluate(clips, **HOW, head=imported[1].id)
    write_dfer(place / "three.pth", dfer_state(released[0], TEXTS[:3]))
    made = convert("dfer-clip", place / "three.pth", asked=Asked(CLASSES[:3]))
    assert made.classifier is not None
    with pytest.raises(UsageError, match=r"neutral; dfew has anger.* too: give features whose classes it learnt"):
        bring(lab, made.classifier.path, fold=3)  # of the same CLIP

"""Families whose clips are more than the mean of their frames: scored from cached frames as the whole model would."""

import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from expclip.encoders.clip_files import file_model
from expclip.encoders.conversion import convert
from expclip.encoders.images import fitted, read_image
from expclip.errors import UsageError
from expclip.manifests.frames import POLICIES
from expclip.manifests.prompts import prompt_set
from expclip.reports.results import as_rows, read_results
from expclip.reports.tables import certainty_tables, tables
from expclip.scoring import own_clips
from lab import Lab
from tiny_emotionclip import TINY, clip_by_hand, head_by_hand, tensors, tiny_clip, tiny_head, write_emotionclip

OWN = "linspace-8"


@pytest.fixture(scope="module")
def clip():
    return tiny_clip()


@pytest.fixture(scope="module")
def head():
    return tiny_head()


@pytest.fixture(scope="module")
def converted(clip, head, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("emotionclip")
    return convert("emotionclip", write_emotionclip(folder / "latest.pt", tensors(clip, head))).path


@pytest.fixture
def file(converted, tmp_path) -> Path:
    return Path(shutil.copy(converted, tmp_path / "latest.safetensors"))


@pytest.fixture(scope="module")
def kept(converted, clips, tmp_path_factory) -> Path:
    """A cache with its features of the clips, of their own frames too, and of one prompt set."""
    lab = Lab(tmp_path_factory.mktemp("kept") / "cache")
    scored(lab, clips, converted)
    return lab.cache.root


@pytest.fixture
def cached(kept, tmp_path) -> Lab:
    return Lab(shutil.copytree(kept, tmp_path / "kept"))


def scored(lab: Lab, dataset, file: Path, **asked):
    known = {"prompts": "P-3", "head": "none", "frames": OWN} | asked
    return lab.evaluate(dataset, clip=f"emotionclip@{file}", **known)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def texts_by_hand(clip: open_clip.CLIP, classes: tuple[str, ...]) -> np.ndarray:
    texts = [prompt_set("P-3").prompts[name][0] for name in classes]
    with torch.inference_mode():
        return unit(clip.encode_text(open_clip.SimpleTokenizer()(texts)).double().numpy())


def pixels_of(folder: Path) -> np.ndarray:
    """(8, 64, 64, 3) of a clip's frames, cut out of a square of 73."""
    every = sorted(folder.glob("*.png"))
    return np.stack([fitted(read_image(every[k]), (64, "bicubic", 73)) for k in POLICIES[OWN](len(every))])


def test_clips_are_scored_as_the_whole_model_would_from_their_files(clip, head, file, clips, lab):
    (found,) = scored(lab, clips, file).predictions
    videos = unit(np.stack([clip_by_hand(clip, head, pixels_of(clips.parent / f"clip {k}")) for k in range(7)]))
    expected = videos @ texts_by_hand(clip, found.manifest.classes).T
    np.testing.assert_allclose(found.similarity, expected, rtol=0, atol=5e-4, err_msg="as far as float16 keeps it")
    assert np.ptp(expected, axis=0).min() > 0.01


@pytest.mark.parametrize("at_once", [512, 16, 1])
def test_kept_frames_are_scored_alike_however_many_go_at_once(
    clip, head, converted, clips, cached, monkeypatch, at_once
):
    monkeypatch.setattr(own_clips, "_FRAMES", at_once)
    (found,) = scored(cached, clips, converted, cached_only=True).predictions
    features = cached.open_features(str(clips), model=f"emotionclip@{converted}")
    rows = features.manifest.samples(OWN).indices.reshape(7, 8)
    videos = unit(head_by_hand(head, features.array[rows].astype(np.float64)))
    expected = videos @ texts_by_hand(clip, features.classes).T
    np.testing.assert_allclose(found.similarity, expected, rtol=0, atol=1e-4)
    means = unit(features.array[rows].astype(np.float64).mean(axis=1)) @ texts_by_hand(clip, features.classes).T
    assert np.abs(means - expected).max() > 0.05, "the mean of frames is another number"


def test_the_row_says_what_it_is_everywhere(converted, clips, cached, tmp_path):
    scored(cached, clips, converted, cached_only=True, out=tmp_path / "compact")
    kept = read_results(tmp_path / "compact")
    assert {*kept.scores["zero_shot"].to_pylist(), *kept.predictions["list"]["zero_shot"].to_pylist()} == {
        "own clip head"
    }
    done = scored(cached, clips, converted, cached_only=True, out=tmp_path / "out", predictions="csv")
    (table,) = tables(done.scores)
    assert table.rows[0][0] == "own clip head"
    assert {row["zero_shot"] for row in as_rows(done.scores)} == {"own clip head"}
    written = (tmp_path / "out" / "tables.md").read_text()
    assert "of the gain over own clip head" in written
    assert "plain CLIP" not in written
    assert "own clip head" in (tmp_path / "out" / "predictions.csv").read_text()


def test_columns_are_as_before_where_all_is_plain_clip(lab, labelled, tmp_path):
    done = lab.evaluate(labelled, clip="miniature", prompts="P-3", head="none", out=tmp_path / "out")
    assert "zero_shot" not in as_rows(done.scores)[0]
    assert tables(done.scores)[0].rows[0][0] == "plain CLIP"
    assert "over plain CLIP" in certainty_tables(done.scores)[0].title


def test_images_are_seen_by_the_tower_alone(clip, file, labelled, lab):
    done = scored(lab, labelled, file)
    features = lab.open_features(str(labelled), model=f"emotionclip@{file}")
    expected = unit(features.array.astype(np.float64)) @ texts_by_hand(clip, features.classes).T
    np.testing.assert_allclose(done.predictions[0].similarity, expected, rtol=0, atol=1e-4)
    assert tables(done.scores)[0].rows[0][0] == "image tower alone"


@pytest.mark.parametrize(
    ("frames", "length"), [("released", "16"), ("edge", "16"), ("every-4th-32", "32"), ("all", "3")]
)
def test_other_frames_than_eight_are_refused_before_anything_is_encoded(lab, clips, file, work, frames, length):
    with pytest.raises(
        UsageError, match=f"of 8 frames of a clip, and with frames {frames} .* has a clip of {length}: "
    ) as no:
        scored(lab, clips, file, frames=frames)
    assert "choose --frames linspace-8" in no.value.as_typed
    assert "\n" not in str(no.value)
    assert not lab.cache.root.exists() or not list(lab.cache.root.glob("*/clip_image*"))


def test_clips_need_their_own_frames_and_the_command_that_extracts_them_is_named(lab, clips, file):
    lab.extract(clips, clip=f"emotionclip@{file}")
    with pytest.raises(UsageError, match=r"expclip extract .*--frames linspace-8") as no:
        scored(lab, clips, file, cached_only=True)
    assert "\n" not in str(no.value)
    lab.extract(clips, clip=f"emotionclip@{file}", frames=OWN)
    lab.evaluate(clips, clip=f"emotionclip@{file}", prompts="P-3", head="none", frames=OWN)
    assert scored(lab, clips, file, cached_only=True).scores[0].n == 7


def test_a_head_on_its_features_goes_by_the_mean_of_frames_and_gains_over_its_own(converted, clips, labelled, cached):
    cached.extract(labelled, clip=f"emotionclip@{converted}")
    fit, *_ = cached.fit_head(train=labelled, head="linear-probe", clip=f"emotionclip@{converted}")
    done = scored(cached, clips, converted, head=("none", fit.card.id), cached_only=True)
    alone = scored(cached, clips, converted, head=fit.card.id, cached_only=True)
    own, of_probe = done.scores[0], next(one for one in done.scores if one.of.head == "linear-probe")
    for probe in (of_probe, alone.scores[0]):
        assert probe.certainty.gain.uar.value == pytest.approx(probe.uar - own.uar)
        assert probe.of.zero_shot == "own clip head"
    assert "own clip head" in certainty_tables(alone.scores)[0].title


def test_a_head_alone_needs_neither_its_frames_nor_its_file(lab, clips, labelled, file, capsys):
    lab.extract((labelled, clips), clip=f"emotionclip@{file}")
    fit, *_ = lab.fit_head(train=labelled, head="linear-probe", clip=f"emotionclip@{file}")
    asked = {"head": fit.card.id, "frames": "released"}
    assert scored(lab, clips, file, **asked).scores[0].certainty.gain is None
    assert "gains over it without a head are not said" in capsys.readouterr().err
    file.unlink()
    assert scored(lab, clips, file, **asked, cached_only=True).scores


def test_without_its_file_the_clip_head_is_missed_by_name(lab, clips, file):
    scored(lab, clips, file)
    file.unlink()
    with pytest.raises(UsageError, match=r"there is no file .*latest\.safetensors.*its clip head") as no:
        scored(lab, clips, file, cached_only=True)
    assert "\n" not in str(no.value)


def test_another_file_of_the_same_name_is_not_taken(lab, clips, file, clip, tmp_path, monkeypatch):
    scored(lab, clips, file)
    (digest,) = {store.header.encoder_digest for store in lab.cache.find(None, "clip_image")}
    file.unlink()
    other = write_emotionclip(tmp_path / "latest.pt", tensors(clip, tiny_head(hidden=32)))
    convert("emotionclip", other)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="has other weights now than those that made the clip_image features"):
        lab.evaluate(clips, clip=digest[:12], prompts="P-3", head="none", frames=OWN, cached_only=True)


def test_a_clip_with_a_frame_that_cannot_be_encoded_is_left_out_and_counted(lab, clips, file, tmp_path):
    folder = Path(shutil.copytree(clips.parent, tmp_path / "clips"))
    (folder / "clip 3" / "000.png").write_bytes(b"no picture")
    (score,) = scored(lab, folder / "list.txt", file).scores
    assert (score.n, score.n_failed) == (6, 1)


def test_adapted_rows_and_figures_are_of_the_clip_head(converted, clips, cached, tmp_path):
    done = scored(cached, clips, converted, adapt=("none", "prior", "center"), cached_only=True)
    labels = [row[0] for row in tables(done.scores)[0].rows]
    assert labels == ["own clip head", "own clip head · prior, transductive", "own clip head · center, transductive"]
    asked = {"clip": f"emotionclip@{converted}", "prompts": "P-3", "head": "none", "frames": OWN}
    assert cached.figures(clips, kind=["variance", "confusion", "tsne"], out=tmp_path / "figures", **asked)


def test_untrained_weights_score_and_are_marked(lab, clips, monkeypatch):
    monkeypatch.setattr(file_model, "REAL", TINY)
    done = lab.evaluate(clips, clip="emotionclip@random", prompts="P-3", head="none", frames=OWN, intervals=False)
    assert done.scores[0].of.untrained
    assert done.scores[0].of.zero_shot == "own clip head"


def test_models_whose_frames_are_others_are_scored_from_one_cache(lab, clips, file, work):
    """Each extraction has the rows of its policies, and none makes another's features be missed."""
    lab.extract(clips, clip="miniature")
    scored(lab, clips, file)
    work.clear()
    for frames, asked in (("released", "miniature"), (OWN, f"emotionclip@{file}"), ("edge", "miniature")):
        found = lab.evaluate(clips, clip=asked, prompts="P-3", head="none", frames=frames, cached_only=frames == OWN)
        assert found.scores[0].n == 7
    lab.extract(clips, clip="miniature")
    assert scored(lab, clips, file, cached_only=True).scores[0].n == 7
    assert not {name for name in work if name.startswith("ImageTower")}


def test_features_of_other_rows_go_by_the_labels_as_they_are_now(lab, clips, file, tmp_path):
    folder = Path(shutil.copytree(clips.parent, tmp_path / "clips"))
    scored(lab, folder / "list.txt", file)
    lab.extract(folder / "list.txt", clip="miniature")
    text = (folder / "list.txt").read_text()
    (folder / "list.txt").write_text(text.replace(" 0\n", " 1\n"))
    found = scored(lab, folder / "list.txt", file, cached_only=True)
    assert found.predictions[0].manifest.labels.tolist() == [1, 1, 2, 3, 4, 5, 6]
    (folder / "list.txt").write_text(text.partition("\n")[2])
    with pytest.raises(UsageError, match="expclip extract"):
        scored(lab, folder / "list.txt", file, cached_only=True)


def test_prompts_are_learnt_through_its_own_text_tower(lab, clips, file):
    lab.extract(clips, clip=f"emotionclip@{file}")
    how = {"clip": f"emotionclip@{file}", "head": "dfer-clip", "frames": "edge", "batch_size": 4, "epochs": 1}
    (fitted,) = lab.fit_head(clips, **how, seed=1)
    assert fitted.card.name == "dfer-clip" and fitted.card.backbone == f"emotionclip@{file.name}"


def test_all_frames_serve_every_policy(lab, clips, file, cached, converted, work):
    lab.extract(clips, clip=f"emotionclip@{file}", frames="all")
    work.clear()
    found, expected = scored(lab, clips, file), scored(cached, clips, converted)
    assert "ImageTower inputs" not in work
    assert [one.uar for one in found.scores] == [one.uar for one in expected.scores]
    np.testing.assert_allclose(found.predictions[0].similarity, expected.predictions[0].similarity, atol=1e-3)

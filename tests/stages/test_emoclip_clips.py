"""EmoCLIP scores clips from kept frames by its temporal model: of its own policy, and of others with a remark."""

from pathlib import Path

import numpy as np
import pytest
import torch
from expclip.encoders.conversion import convert
from expclip.errors import UsageError
from expclip.manifests.prompts import prompt_set
from expclip.reports.tables import tables
from open_clip import SimpleTokenizer
from tiny_emoclip import clips_by_hand, tensors, tiny_openai, write_emoclip

OWN = "every-4th-32"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("emoclip")
    return convert("emoclip", write_emoclip(folder / "best.pth", tensors("whole"))).path


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.mark.parametrize("frames", [OWN, "released", "all"])
def test_kept_frames_and_the_temporal_model_are_the_whole(lab, clips, file, frames, capsys):
    model = f"emoclip@{file}"
    done = lab.evaluate(clips, clip=model, prompts="P-3", head="none", frames=frames)
    features = lab.open_features(str(clips), model=model)
    rows = features.manifest.samples(frames)
    texts = [prompt_set("P-3").prompts[name][0] for name in features.classes]
    with torch.inference_mode():
        directions = unit(tiny_openai().encode_text(SimpleTokenizer()(texts)).double().numpy())
    videos = [
        clips_by_hand(features.array[rows.indices[a:b]][None].astype(np.float64))[0]
        for a, b in zip(rows.offsets[:-1], rows.offsets[1:], strict=True)
    ]
    expected = unit(np.stack(videos)) @ directions.T
    np.testing.assert_allclose(done.predictions[0].similarity, expected, rtol=0, atol=1e-4)
    assert tables(done.scores)[0].rows[0][0] == "own clip head"
    said = f"its clip head was made for the frames {OWN}, and sees {frames}"
    assert (said in capsys.readouterr().err) == (frames != OWN)


def test_a_clip_of_more_frames_than_it_has_positions_for_is_refused(lab, tmp_path, file, save_face):
    save_face(tmp_path / "clip" / "0000.png", 1, 0, 0, 32)
    for k in range(1, 1024):
        (tmp_path / "clip" / f"{k:04d}.png").hardlink_to(tmp_path / "clip" / "0000.png")
    (tmp_path / "list.txt").write_text("clip 1024 0\n")
    asked = {"clip": f"emoclip@{file}", "prompts": "P-3", "head": "none"}
    with pytest.raises(
        UsageError, match=r"of 1 to 1,023 frames of a clip, .* has a clip of 1,024: choose .*every-4th-32"
    ):
        lab.evaluate(tmp_path / "list.txt", frames="all", **asked)
    assert lab.evaluate(tmp_path / "list.txt", frames=OWN, **asked).scores[0].n == 1


def test_images_are_seen_by_its_tower_alone(lab, labelled, file):
    done = lab.evaluate(labelled, clip=f"emoclip@{file}", prompts="P-3", head="none")
    assert tables(done.scores)[0].rows[0][0] == "image tower alone"

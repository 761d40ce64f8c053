"""Pictures of more pixels than are allowed are not decoded, until a run allows more."""

import json

import av
import numpy as np
import pytest
from expclip import ExpclipError
from expclip.commands.datasets import AuditDatasets
from expclip.stages.datasets import audit_datasets
from PIL import Image

SIDE = 1100
"""More than a megapixel, less than two."""
MINI = {"clip": "miniature"}
BOTH = {**MINI, "teacher": "miniature", "features": ["llm", "clip_image"]}


@pytest.fixture
def pictures(tmp_path, save_face):
    """A folder of two faces, and between them a picture that is larger than one megapixel."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a", "c"):
        save_face(folder / f"{name}.png", 1, ord(name))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)).save(folder / "b.png")
    return folder


def failed(found) -> list[str]:
    return [f"{one.source}: {one.error}" for one in found.failed]


def test_a_larger_limit_tries_again_what_exceeded_a_lower_one_and_nothing_else(lab, pictures, decoded):
    (pictures / "d.png").write_bytes(b"no picture")
    first = lab.extract(pictures, **BOTH, max_megapixels=1)
    refused = (
        "b.png: images of more than 1,000,000 pixels are refused: save it smaller, or allow more with "
        "--max-megapixels (this has 1,100 × 1,100)"
    )
    assert failed(first) == [refused, "d.png: this is no image"]
    decoded.clear()
    again = lab.extract(pictures, **BOTH, max_megapixels=1)
    assert (again.encoded, failed(again), decoded) == (0, failed(first), {})
    larger = lab.extract(pictures, **BOTH, max_megapixels=2)
    assert (larger.encoded, failed(larger)) == (3, ["d.png: this is no image"])
    assert {path.name for path in decoded} == {"b.png"}
    for limit in (1, 2, 3):
        assert lab.extract(pictures, **BOTH, max_megapixels=limit).encoded == 0


def test_a_limit_that_is_still_too_low_is_the_one_that_is_kept(lab, pictures):
    Image.new("L", (1600, 1600)).save(pictures / "b.png")
    lab.extract(pictures, **MINI, max_megapixels=1)
    larger = lab.extract(pictures, **MINI, max_megapixels=2)
    assert larger.encoded == 1
    assert "more than 2,000,000 pixels" in failed(larger)[0]
    assert lab.extract(pictures, **MINI, max_megapixels=2).encoded == 0
    assert failed(lab.extract(pictures, **MINI, max_megapixels=3)) == []


def test_features_below_the_limit_do_not_depend_on_it(lab, pictures, tmp_path):
    (pictures / "b.png").unlink()
    low, high = (
        lab.but(cache=tmp_path / str(limit)).extract(pictures, **MINI, max_megapixels=limit) for limit in (1, 100)
    )
    assert [one.key for one in low.stores] == [one.key for one in high.stores]
    arrays = [
        lab.but(cache=tmp_path / str(limit)).open_features(str(pictures), model="miniature").array
        for limit in (1, 100)
    ]
    assert np.array_equal(*arrays)


def test_a_larger_limit_with_fewer_rows_waits_for_a_run_that_has_them_all(lab, pictures):
    lab.extract(pictures, **MINI, max_megapixels=1)
    assert lab.extract(pictures, **MINI, max_megapixels=2, limit=1).encoded == 0
    assert lab.extract(pictures, **MINI, max_megapixels=2).encoded == 1


def test_receipts_of_earlier_versions_are_receipts(lab, pictures):
    lab.extract(pictures, **MINI, max_megapixels=1)
    (path,) = lab.cache.root.rglob("00000.json")
    receipt = json.loads(path.read_text())
    for row in receipt["failed"]:
        assert row.pop("max_pixels") == 1_000_000
    del receipt["content_digest"]
    path.write_text(json.dumps(receipt))
    found = lab.extract(pictures, **MINI, max_megapixels=2)
    assert (found.encoded, len(found.failed)) == (0, 1)
    assert lab.extract(pictures, **MINI, max_megapixels=2, retry_failed=True).failed == ()


def large_video(path) -> None:
    """Three frames that are larger than a megapixel, though the container states 48 × 48 pixels."""
    Image.new("L", (SIDE, SIDE), 90).save(path.with_suffix(".jpg"))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 48
        stream.pix_fmt = "yuvj420p"
        for number in range(3):
            packet = av.Packet(path.with_suffix(".jpg").read_bytes())
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, number, number, True
            container.mux(packet)
    path.with_suffix(".jpg").unlink()


def test_frames_of_videos_are_bounded_whatever_the_container_states(lab, tmp_path):
    (tmp_path / "videos").mkdir()
    large_video(tmp_path / "videos" / "a.avi")
    refused = lab.extract(tmp_path / "videos", **MINI, max_megapixels=1)
    assert all("images of more than 1,000,000 pixels are refused" in line for line in failed(refused))
    assert len(refused.failed) == 3
    assert lab.extract(tmp_path / "videos", **MINI, max_megapixels=2).failed == ()


def test_crop_evaluate_and_audit_have_the_limit_too(lab, pictures, tmp_path):
    labelled = tmp_path / "labelled" / "anger"
    labelled.parent.mkdir()
    pictures.rename(labelled)
    asked = AuditDatasets(datasets=(str(labelled.parent),), max_megapixels=1, cache=lab.cache.root)
    (audit,) = audit_datasets(asked)
    assert len(audit.errors) == 1
    assert "anger/b.png: images of more than 1,000,000 pixels are refused" in audit.errors[0]
    (tmp_path / "boxes.txt").write_text("".join(f"anger/{name}.png 1 1 30 30\n" for name in "abc"))
    arguments = {"boxes": tmp_path / "boxes.txt", "workers": 1}
    cropped = lab.crop(labelled.parent, out=tmp_path / "faces", max_megapixels=1, **arguments)
    assert [one.path for one in cropped.failed] == ["anger/b.png"]
    assert lab.crop(labelled.parent, out=tmp_path / "faces", max_megapixels=2, **arguments).failed == ()
    scores = lab.evaluate(labelled.parent, **MINI, prompts="P-3", head="none", max_megapixels=1, out=None).scores
    assert {one.n_failed for one in scores} == {1}


def test_the_limit_is_a_whole_number_from_one(lab, pictures):
    for wrong in (0, -1, 0.5, "x"):
        with pytest.raises(ExpclipError, match="max_megapixels"):
            lab.extract(pictures, **MINI, max_megapixels=wrong)

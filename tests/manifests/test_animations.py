"""Animated pictures are clips where a data set has clips, and still images elsewhere."""

import pytest
import videos
from expclip.errors import UsageError
from expclip.manifests.disk import holds_only_videos
from expclip.manifests.lists import read_list_files
from expclip.manifests.manifest import row_name
from expclip.manifests.readers import read_clip_folder, read_image_folder, read_videos
from PIL import Image


def animated(path, frames=20, **options):
    """Writes an animated picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [Image.new("RGB", (8, 8), (number * 9, 0, 255 - number)) for number in range(frames)]
    images[0].save(path, save_all=True, append_images=images[1:], **options)
    return path


def still(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    return path


@pytest.fixture
def read(tmp_path):
    """The manifest of a list with some lines."""

    def read_lines(*lines, **how):
        (tmp_path / "list.txt").write_text("".join(f"{line}\n" for line in lines))
        return read_list_files("set", tmp_path, [(tmp_path / "list.txt", 0)], **how)

    return read_lines


def test_a_list_of_pictures_without_numbers_of_frames_is_one_of_still_images(read, tmp_path):
    animated(tmp_path / "a.gif")
    still(tmp_path / "b.gif")
    manifest = read("a.gif 0", "b.gif 1")
    assert (manifest.kind, manifest.rows.sources, manifest.rows.frames.tolist()) == (
        "images",
        ("a.gif", "b.gif"),
        [0, 0],
    )


def test_in_a_list_that_says_numbers_of_frames_picture_files_are_clips(read, tmp_path):
    for name in ("a.gif", "b.webp", "c.png"):
        animated(tmp_path / name)
    still(tmp_path / "d.png")
    manifest = read("a.gif 20 0", "b.webp 18 1", "c.png 20 0", "d.png 1 0")
    assert manifest.kind == "clips"
    assert manifest.sample_ids == ("a.gif", "b.webp", "c.png", "d.png")
    assert set(manifest.rows.sources) == {"a.gif/", "b.webp/", "c.png/", "d.png/"}
    assert manifest.rows.sizes.min() > 0
    assert len(set(manifest.clips["released"].indices[:16].tolist())) == 16
    assert manifest.rows.names[3].startswith("a.gif[")
    assert row_name("a.gif/", 7) == "a.gif[7]"


def test_beside_videos_and_folders_of_a_list_animated_pictures_are_clips_with_as_many_frames_as_they_have(
    read, tmp_path
):
    animated(tmp_path / "a.gif", 3)
    videos.make(tmp_path / "b.mp4", 5)
    still(tmp_path / "c/0.png")
    manifest = read("a.gif 0", "b.mp4 1", "c 0")
    assert manifest.kind == "clips"
    assert sorted(zip(manifest.rows.sources, manifest.rows.frames.tolist(), strict=True))[:3] == [
        ("a.gif/", 0),
        ("a.gif/", 1),
        ("a.gif/", 2),
    ]


def test_a_still_picture_among_clips_and_one_that_is_said_to_have_frames_stay_errors(read, tmp_path):
    still(tmp_path / "a.png")
    still(tmp_path / "a.jpg")
    still(tmp_path / "c/0.png")
    for line in ("a.png", "a.jpg"):
        with pytest.raises(UsageError, match="an image has 1 frame, found 5"):
            read(f"{line} 5 0")
        with pytest.raises(UsageError, match="images and clip folders are mixed"):
            read(f"{line} 1 0", "c 1 0")


def test_pages_in_a_frame_of_a_clip_do_not_make_it_a_clip(read, tmp_path):
    for number in range(3):
        animated(tmp_path / f"c/{number}.tif", 2)
    manifest = read("c 3 0")
    assert manifest.rows.sources == ("c/0.tif", "c/1.tif", "c/2.tif")


def test_in_a_clip_folder_animated_pictures_are_clips_beside_videos_and_directly_in_a_class(tmp_path):
    animated(tmp_path / "anger/a.gif", 3)
    animated(tmp_path / "fear/deep/b.webp", 3)
    videos.make(tmp_path / "fear/deep/c.mp4", 3)
    animated(tmp_path / "fear/clip/0.gif", 2)
    still(tmp_path / "fear/d.png")
    manifest = read_clip_folder("set", tmp_path)
    assert sorted(manifest.sample_ids) == ["anger/a.gif", "fear/clip", "fear/deep/b.webp", "fear/deep/c.mp4"]
    sources = set(manifest.rows.sources)
    assert sources == {"anger/a.gif/", "fear/clip/0.gif", "fear/deep/b.webp/", "fear/deep/c.mp4"}
    assert any("belongs to no clip of a class" in remark for remark in manifest.remarks)


def test_a_folder_of_animated_pictures_is_one_of_images_unless_there_are_videos(tmp_path):
    animated(tmp_path / "anger/a.gif", 3)
    assert not holds_only_videos(tmp_path)
    assert read_image_folder("set", tmp_path).rows.sources == ("anger/a.gif",)
    videos.make(tmp_path / "anger/b.mp4", 3)
    assert holds_only_videos(tmp_path)
    assert read_videos("set", tmp_path).sample_ids == ("anger/a.gif", "anger/b.mp4")
    still(tmp_path / "anger/c.png")
    assert not holds_only_videos(tmp_path)

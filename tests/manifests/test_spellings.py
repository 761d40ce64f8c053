"""Where a list spells a name otherwise than the disk, that is said; the other file is not taken."""

import unicodedata

import pytest
import trees
from expclip.errors import UsageError
from expclip.manifests.lists import read_list_files
from expclip.manifests.manifest import NOT_ON_DISK

NFC, NFD = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))


@pytest.fixture
def read(tmp_path):
    """The manifest of a list with some lines; case has to matter on the disk."""
    (tmp_path / "case").touch()
    if (tmp_path / "CASE").exists():
        pytest.skip("this disk does not tell cases apart")

    def read_lines(*lines):
        (tmp_path / "list.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return read_list_files("set", tmp_path, [(tmp_path / "list.txt", 0)])

    return read_lines


def test_a_name_in_another_case_is_missing_and_what_is_there_is_said(read, tmp_path):
    trees.picture(tmp_path / "Faces/IMG_1.JPG")
    trees.picture(tmp_path / "Faces/b.jpg")
    manifest = read("faces/img_1.jpg 0", "Faces/B.JPG 0", "Faces/b.jpg 0", "Faces/c.jpg 0")
    assert manifest.rows.sizes.tolist().count(NOT_ON_DISK) == 3
    assert manifest.remarks == (
        "2 files are missing, but are there in another spelling (first: the list has faces/img_1.jpg, the disk "
        "Faces/IMG_1.JPG): rename it on the disk, or write it in the list as the disk has it",
    )


@pytest.mark.parametrize(("listed", "there"), [(NFC, NFD), (NFD, NFC)])
def test_accents_that_are_written_otherwise_are_shown_by_their_codes(read, tmp_path, listed, there):
    trees.picture(tmp_path / there / "1.jpg")
    trees.picture(tmp_path / "2.jpg")
    if (tmp_path / listed).exists():
        pytest.skip("this disk does not tell how accents are written")
    (remark,) = read(f"{listed}/1.jpg 0", "2.jpg 0").remarks
    said, has = f"{listed}/1.jpg", f"{there}/1.jpg"
    assert f"the list has {said!a}, the disk {has!a}" in remark


def test_clips_are_looked_for_by_their_folders(read, tmp_path):
    trees.picture(tmp_path / "Clip/0.png")
    trees.picture(tmp_path / "other/0.png")
    assert "the list has clip, the disk Clip" in "".join(read("clip 2 0", "other 1 0").remarks)


def test_where_all_are_spelled_otherwise_the_error_says_so(read, tmp_path):
    trees.picture(tmp_path / "A.PNG")
    with pytest.raises(UsageError, match=r"none of the 1 images .* the list has a.png, the disk A.PNG\): rename it"):
        read("a.png 0")


def test_what_is_not_there_at_all_is_only_missing(read, tmp_path):
    trees.picture(tmp_path / "a.png")
    assert read("a.png 0", "b.png 0", "x/y/z.png 0").remarks == ()

"""Image folders and plain folders."""

import os
from pathlib import Path

import pytest
from expclip.errors import UsageError
from expclip.manifests.catalogue import parse_dataset
from expclip.manifests.class_folders import looks_like_image_folder
from expclip.manifests.classes import CLASSES
from expclip.manifests.disk import is_image_name, walk
from expclip.manifests.layouts import read_dataset
from expclip.manifests.manifest import NO_LABEL
from expclip.manifests.pointers import pointer
from expclip.manifests.readers import read_clip_folder, read_image_folder, read_plain_folder
from expclip.manifests.reading import Reading


def labels(manifest):
    return dict(zip(manifest.sample_ids, manifest.labels.tolist(), strict=True))


def test_a_plain_folder_is_every_image_below_it_without_labels(plant, tmp_path):
    plant("b.png", "a/z.JPG", "a/b/c.tiff", "a b/ä.webp")
    manifest = read_plain_folder("set", tmp_path)
    assert manifest.rows.sources == ("a b/ä.webp", "a/b/c.tiff", "a/z.JPG", "b.png")
    assert not manifest.is_labelled
    assert manifest.remarks == ()


def test_class_folders_are_labelled_by_name_synonym_and_case_and_never_by_their_order(plant, tmp_path):
    plant("Angry/a.jpg", "HAPPINESS/b.jpg", "sad/deep/down/c.jpg", "happy/d.jpg")
    manifest = read_image_folder("set", tmp_path)
    assert labels(manifest) == {"Angry/a.jpg": 3, "HAPPINESS/b.jpg": 0, "happy/d.jpg": 0, "sad/deep/down/c.jpg": 1}
    assert len(manifest.classes) == 7


def test_class_folders_by_index_use_the_common_order(plant, tmp_path):
    plant("0/a.jpg", "7/b.jpg", "3/c.jpg")
    manifest = read_image_folder("set", tmp_path)
    assert labels(manifest) == {"0/a.jpg": 0, "3/c.jpg": 3, "7/b.jpg": 7}
    assert manifest.classes[7] == "contempt"


def test_number_folders_that_start_at_1_are_refused(plant, tmp_path):
    plant("1/a.jpg", "2/b.jpg")
    with pytest.raises(UsageError, match=r"count from 0 in the order happiness, .*; these start at 1 .* rename them"):
        read_image_folder("set", tmp_path)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["happy/a.jpg", "sad/a.jpg"], True),
        (["happy/a.jpg", "sheet.png"], True),
        (["happy/a.jpg", "other/a.jpg"], True),
        (["0/a.jpg", "1/a.jpg"], True),
        (["1/a.jpg", "40/a.jpg"], False),
        (["00001/a.jpg", "00002/a.jpg"], False),
        (["train/a.jpg", "Test/a.jpg"], False),
        (["pain/a.jpg", "no pain/b/c.jpg", "no pain/a.jpg"], True),
        (["pain/a.jpg"], False),
        (["pain/a.jpg", "bored/b/c.jpg"], False),
        (["pain/a.jpg", "bored/a.jpg", "sheet.png"], False),
        (["pain/a.jpg", "2019/a.jpg"], False),
        (["a.jpg"], False),
    ],
)
def test_an_image_folder_is_known_by_its_folders(plant, tmp_path, names, expected):
    plant(*names)
    assert looks_like_image_folder(tmp_path) is expected


def test_folders_named_after_no_common_class_are_classes_of_their_own(plant, tmp_path):
    plant("pain/a.jpg", "Bored/a.jpg", "bored/b.jpg", "angry/a.jpg", "Happy/a.jpg")
    manifest = read_image_folder("set", tmp_path)
    assert manifest.classes == ("happiness", "anger", "bored", "pain")
    assert labels(manifest) == {
        "Bored/a.jpg": 2,
        "Happy/a.jpg": 0,
        "angry/a.jpg": 1,
        "bored/b.jpg": 2,
        "pain/a.jpg": 3,
    }
    assert manifest.remarks == ("bored, pain: not common classes, and taken as the data set's own",)


def test_a_number_that_is_no_class_index_is_refused(plant, tmp_path):
    plant("happy/a.jpg", "40/a.jpg")
    with pytest.raises(UsageError, match="40: not a class index 0 … 10: rename the folder"):
        read_image_folder("set", tmp_path)


def test_a_known_data_set_has_no_classes_but_its_own(plant, tmp_path):
    plant("happy/a.jpg", "extras/a.jpg")
    with pytest.raises(UsageError, match=r"extras: set has 2 classes and extras is not one .* to one of happiness, "):
        read_image_folder("set", tmp_path, ("happiness", "sadness"))


def test_a_class_that_the_data_set_does_not_have_is_refused(plant, tmp_path):
    plant("happy/a.jpg", "contempt/a.jpg")
    with pytest.raises(UsageError, match=r"contempt: set has 2 classes and contempt is not one of them: remove"):
        read_image_folder("set", tmp_path, ("happiness", "sadness"))


def test_a_labelled_data_set_without_class_folders_is_refused(plant, tmp_path):
    plant("a.jpg")
    with pytest.raises(UsageError, match=r"there are no class folders: make one per class \(happiness, "):
        read_image_folder("set", tmp_path)


def test_images_beside_class_folders_are_kept_without_a_label_and_remarked(plant, tmp_path):
    plant("happy/a.jpg", "sheet.png")
    manifest = read_image_folder("set", tmp_path)
    assert labels(manifest) == {"happy/a.jpg": 0, "sheet.png": NO_LABEL}
    assert manifest.remarks == ("1 image beside the class folders has no label (first: sheet.png)",)


def test_an_empty_class_folder_is_remarked(plant, tmp_path):
    plant("happy/a.jpg", "sad/notes.txt")
    assert read_image_folder("set", tmp_path).remarks == (
        "1 file is not an image by name and was left out (first: sad/notes.txt)",
        "1 class folder holds no images (first: sad)",
    )


@pytest.mark.parametrize("read", [read_plain_folder, lambda name, root: read_image_folder(name, root)])
def test_a_folder_without_images_is_refused(plant, tmp_path, read):
    plant("happy/readme.txt")
    with pytest.raises(UsageError, match=r"set has no images here: choose the folder or list"):
        read("set", tmp_path)


def test_hidden_files_and_what_macos_adds_are_not_looked_at(plant, tmp_path):
    plant("a.jpg", ".DS_Store", "._a.jpg", "__MACOSX/a.jpg", ".git/b.jpg")
    assert walk(tmp_path) == (["a.jpg"], [])


def test_names_may_hold_spaces_and_bytes_that_are_no_utf8(plant, tmp_path):
    odd = os.fsdecode(b"caf\xe9 1.jpg")
    plant(odd)
    manifest = read_plain_folder("set", tmp_path)
    assert manifest.rows.sources == (odd,)
    assert manifest.rows.sizes.tolist() == [6]


def test_a_link_that_closes_a_circle_is_followed_once_and_remarked(plant, tmp_path):
    plant("a/x.jpg")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    images, remarks = walk(tmp_path)
    assert images == ["a/x.jpg"]
    assert remarks == ["1 link leads to a folder that has already been read (first: a/again)"]


def test_what_is_read_does_not_depend_on_which_of_two_names_sorts_first(plant, tmp_path):
    plant("z real/x.jpg")
    (tmp_path / "a link").symlink_to(tmp_path / "z real", target_is_directory=True)
    images, remarks = walk(tmp_path)
    assert images == ["z real/x.jpg"]
    assert remarks == ["1 link leads to a folder that has already been read (first: a link)"]


def test_links_to_files_and_to_folders_elsewhere_are_followed(plant, tmp_path):
    plant("store/x.jpg", "set/real.jpg")
    (tmp_path / "set" / "folder").symlink_to(tmp_path / "store", target_is_directory=True)
    (tmp_path / "set" / "link.jpg").symlink_to(tmp_path / "store" / "x.jpg")
    assert read_plain_folder("set", tmp_path / "set").rows.sizes.tolist() == [6, 6, 6]


def test_broken_links_and_pipes_with_an_images_name_stay_rows_so_that_they_are_reported(plant, tmp_path):
    plant("a.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    manifest = read_plain_folder("set", tmp_path)
    assert manifest.rows.sources == ("a.jpg", "gone.jpg", "pipe.jpg", "self.jpg")
    assert manifest.rows.sizes.tolist() == [6, -1, 0, -1]


def test_a_folder_with_an_images_name_is_a_folder(plant, tmp_path):
    plant("x.jpg/inside.png")
    assert walk(tmp_path) == (["x.jpg/inside.png"], [])


def test_a_folder_that_may_not_be_read_is_named(plant, tmp_path, monkeypatch):
    plant("a.jpg", "locked/b.jpg")
    scan = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match=r"locked: the folder cannot be read \(Permission denied\): correct its"):
        walk(tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"), [("a.JPG", True), ("a.jpeg", True), ("a.jpg.txt", False), ("jpg", False)]
)
def test_images_are_known_by_their_suffix(name, expected):
    assert is_image_name(name) is expected


def read(root, **said):
    return read_dataset(parse_dataset(str(root)), None, root, **said)


def test_folders_calm_and_neutral_stay_two_classes_and_one_of_them_is_neutral(plant, tmp_path):
    plant(
        "one/Calm/a.jpg", "one/happy/a.jpg", "two/calm/a.jpg", "two/Neutral/a.jpg", "two/joy/a.jpg", "two/Smile/a.jpg"
    )
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    assert {one.classes[label] for label in one.labels} == {"happiness", "neutral"}
    assert two.classes == ("neutral", "calm", "joy", "smile")
    assert two.remarks[0].startswith(
        "calm (neutral), joy (happiness), smile (happiness): each a class of its own here"
    )
    assert one.remarks == ()


def test_folders_that_become_one_class_are_remarked(plant, tmp_path):
    plant("Happy/a.jpg", "happiness/a.jpg", "0/a.jpg", "3/a.jpg", "anger/a.jpg")
    assert read(tmp_path).remarks[0] == "read as one class: 0, Happy, happiness (happiness); 3, anger (anger)"


def test_a_folder_that_is_almost_a_class_is_asked_about(plant, tmp_path):
    plant("angyr/a.jpg", "pain/a.jpg", "sad/a.jpg")
    assert read(tmp_path).remarks[0].startswith("angyr (did you mean anger?), pain: not common classes")
    with pytest.raises(
        UsageError, match=r"angyr: set has 1 class and angyr is not one of them: did you mean anger\?"
    ):
        read_image_folder("set", tmp_path, ("anger",))


def test_number_folders_are_the_classes_that_the_user_names(plant, tmp_path):
    plant("1/a.jpg", "2/b.jpg")
    found = read(tmp_path, numbers=("neutral", "calm", "pain"))
    assert found.classes == ("neutral", "calm", "pain")
    assert found.labels.tolist() == [1, 2]
    assert found.remarks == ("numbers were read as the classes are named: 0 neutral, 1 calm, 2 pain",)
    assert labels(read(tmp_path, numbers=("Common",))) == {"1/a.jpg": 1, "2/b.jpg": 2}
    plant(*(f"{k}/a.jpg" for k in range(13)))
    many = read(tmp_path, numbers=tuple(f"own{k:02d}" for k in range(13)))
    assert many.classes == tuple(f"own{k:02d}" for k in range(13))
    with pytest.raises(UsageError, match=r"/11: not a class index 0 … 10: rename the folder to a class name$"):
        read_image_folder("set", tmp_path, reading=Reading(numbers=tuple(f"own{k}" for k in range(10))))


def test_number_folders_that_start_at_1_need_names_unless_their_numbers_are_said(plant, tmp_path):
    plant("1/a.jpg", "2/b.jpg")
    with pytest.raises(UsageError, match=r"look like a data set's own numbers: rename them to class names$"):
        read(tmp_path)
    with pytest.raises(UsageError, match="look like a data set's own numbers"):
        read(tmp_path, numbers=("happiness", "sadness"))
    assert labels(read(tmp_path, numbers=("fear", "happiness", "sadness"))) == {"1/a.jpg": 0, "2/b.jpg": 1}


def test_number_folders_of_a_data_set_with_numbers_of_its_own_are_read_as_the_user_says(plant, tmp_path):
    plant("test/0/a.jpg", "test/1/b.jpg")

    def classes(*numbers):
        manifest = read_dataset(parse_dataset("raf-db"), tmp_path, tmp_path, numbers=numbers)
        assert bool(manifest.remarks) == (numbers != ("common",))
        return [manifest.classes[label] for label in manifest.labels]

    assert classes("common") == ["happiness", "sadness"]
    assert classes("anger", "Fearful") == ["anger", "fear"]
    with pytest.raises(UsageError, match=r"raf-db has 7 classes and pain is not one of them"):
        classes("anger", "pain")
    with pytest.raises(
        UsageError, match=r"or say what they mean: classes common says that 0 … 6 are the common order"
    ):
        classes()


def test_what_a_reader_leaves_out_is_one_remark_a_kind(plant, plant_clip, tmp_path):
    plant(*(f"set/{name}/notes.txt" for name in ("anger", "fear")), "set/happy/a.jpg", "set/1.jpg", "set/2.jpg")
    assert read(tmp_path / "set").remarks == (
        "2 files are not images by name and were left out (first: anger/notes.txt)",
        "2 class folders hold no images (first: anger)",
        "2 images beside the class folders have no label (first: 1.jpg)",
    )
    for name in ("happy/1", "sad/2"):
        plant_clip(f"clips/{name}", 2)
    plant("clips/happy/x.jpg", "clips/sad/y.jpg")
    assert read_clip_folder("set", tmp_path / "clips").remarks == (
        "2 folders or videos belong to no clip of a class and were left out (first: happy)",
    )
    plant("set/contempt/a.jpg")
    manifest = read_image_folder("set", tmp_path / "set", CLASSES[:7], left_out=["contempt"])
    assert manifest.remarks[0] == "1 class folder is none of set and was left out (first: contempt)"


def test_a_folder_above_the_data_set_points_to_it(plant, tmp_path, monkeypatch):
    plant("fer2013/test/happy/a.jpg", "fer2013/test/sad/a.jpg", "fer2013/notes/a.jpg")
    place = tmp_path / "fer2013"
    assert read(place).remarks == (f"no labels here, but {place}/test has class folders: give {place}/test",)
    plant("fer2013/train/happy/a.jpg", "fer2013/train/sad/a.jpg")
    monkeypatch.chdir(tmp_path)
    assert pointer(Path("fer2013")) == (
        "no labels here, but fer2013/test and fer2013/train have class folders: give fer2013/test or fer2013/train"
    )
    monkeypatch.chdir(place)
    assert read(".").remarks == ("no labels here, but test and train have class folders: give test or train",)


def test_the_folder_of_one_class_points_to_the_data_set(plant, tmp_path, monkeypatch):
    plant("test/happy/a.jpg", "test/sad/a.jpg")
    place = tmp_path / "test"
    monkeypatch.chdir(place)
    for path in (place / "happy", "happy"):
        assert read(path).remarks == (
            f"no labels here, but {place} has class folders, of which this is one: give {place}",
        )


@pytest.mark.parametrize("path", ["plain", "plain/a", "classes", "gone", "classes/happy/a.jpg"])
def test_other_folders_point_nowhere(plant, tmp_path, path):
    plant("plain/a/1.jpg", "plain/b/1.jpg", "plain/2.jpg", "classes/happy/a.jpg", "classes/sad/a.jpg")
    assert pointer(tmp_path / path) == ""


@pytest.mark.parametrize("given_", ["above", "above/raf/aligned", "above/raf/test"])
def test_the_folder_of_a_named_data_set_is_found_above_and_below_the_one_that_was_given(plant, tmp_path, given_):
    plant("above/raf/test/Happy/a.jpg", "above/raf/aligned/x.jpg", "above/other/test/a.jpg")
    with pytest.raises(UsageError, match=rf"is root right\? {tmp_path}/above/raf does: give that. Looked for EmoL"):
        read_dataset(parse_dataset("raf-db"), tmp_path / given_, tmp_path)


def test_the_order_of_number_folders_is_a_remark_that_can_be_shown_as_it_is(plant, tmp_path):
    plant("0/a.jpg", "1/b.jpg")
    (remark,) = read(tmp_path).remarks
    assert remark.startswith("class folders by number were read in the order happiness, sadness, ")
    assert remark.isprintable()

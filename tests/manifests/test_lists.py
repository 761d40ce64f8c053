"""List files: `path n_frames label`."""

import os

import pytest
from expclip.errors import UsageError
from expclip.manifests.lists import MAX_FRAMES, ListForm, read_list_files, read_name_label_list
from expclip.manifests.manifest import NOT_ON_DISK
from hypothesis import given
from hypothesis import strategies as st

CLASSES = ("happiness", "sadness", "neutral")


@pytest.fixture
def read(plant, tmp_path):
    """Reads one list with some text."""

    def read_text(text, form=None, **options):
        return read_list_files("set", tmp_path, [(plant("list.txt", text=text), 0)], CLASSES, form, **options)

    return read_text


def test_a_list_of_images_has_one_row_an_image(plant, read):
    plant("a.jpg", "deep/b c.jpg")
    manifest = read("a.jpg 1 sadness\ndeep/b c.jpg 1 0\n")
    assert manifest.kind == "images"
    assert manifest.sample_ids == ("a.jpg", "deep/b c.jpg")
    assert manifest.labels.tolist() == [1, 0]
    assert manifest.rows.sizes.tolist() == [6, 6]


def test_a_list_of_folders_has_the_frames_that_are_used_in_the_order_of_their_names(plant, plant_clip, read):
    plant_clip("one clip", 3)
    plant("one clip/0001b.png", "one clip/notes.txt", "one clip/.hidden.jpg")
    manifest = read("one clip 4 Happy\n")
    assert manifest.rows.sources == tuple(f"one clip/{n}" for n in ("0000.jpg", "0001.jpg", "0001b.png", "0002.jpg"))
    assert manifest.rows.frames.tolist() == [0, 1, 2, 3]
    assert manifest.samples("edge").indices.tolist() == [0, 1, 2, *[3] * 13]
    assert manifest.remarks == ()


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg 1 0\r\nb c.jpg 1 1\r\n",
        "\ufeffa.jpg 1 0\nb c.jpg 1 1",
        "\n  a.jpg\t1\t0\n\n\nb c.jpg    1 1  \n",
        "./a.jpg 1 Happy\n.//b c.jpg 1 SAD\n",
    ],
    ids=["CRLF", "byte-order mark", "white space", "dots"],
)
def test_a_list_reads_the_same_however_it_was_saved(plant, read, text):
    plant("a.jpg", "b c.jpg")
    assert read(text).digest == read("a.jpg 1 0\nb c.jpg 1 1\n").digest


@pytest.mark.parametrize(
    "name", ["caf\xe9.jpg".encode("latin-1"), "日本.jpg".encode(), b"a\x85\x0c\xe2\x80\xa8b.jpg"]
)
def test_names_are_bytes_and_only_line_feeds_end_lines(plant, tmp_path, name):
    plant(os.fsdecode(name))
    path = plant("list.txt", text=name + b" 1 0\n")
    manifest = read_list_files("set", tmp_path, [(path, 0)], CLASSES)
    assert [os.fsencode(source) for source in manifest.rows.sources] == [name]
    assert manifest.rows.sizes.tolist() == [6]


@given(st.lists(st.sampled_from([*CLASSES, "0", "2", "-1", "Happy"]), min_size=1, max_size=8))
def test_labels_may_be_names_indices_or_none(tmp_path_factory, words):
    root = tmp_path_factory.mktemp("list")
    (root / "a.jpg").touch()
    (root / "list.txt").write_text("".join(f"a.jpg 1 {word}\n" for word in words))
    manifest = read_list_files("set", root, [(root / "list.txt", 0)], CLASSES)
    by_word = {"happiness": 0, "sadness": 1, "neutral": 2, "0": 0, "2": 2, "-1": -1, "Happy": 0}
    assert manifest.labels.tolist() == [by_word[word] for word in words]


def test_each_list_of_several_is_a_fold(plant, tmp_path):
    plant("a.jpg", "b.jpg")
    lists = [(plant(f"{fold}.txt", text=f"{name}.jpg 1 0\n"), fold) for fold, name in ((1, "a"), (2, "b"))]
    assert read_list_files("set", tmp_path, lists, CLASSES).folds.tolist() == [1, 2]


def test_frames_that_the_list_promises_and_the_disk_lacks_are_rows_of_size_minus_1(plant_clip, read):
    plant_clip("clip", 2)
    manifest = read("clip 4 0\n")
    assert manifest.rows.sources[1:] == ("clip/0001.jpg", "clip/<frame 3 of 4>", "clip/<frame 4 of 4>")
    assert manifest.rows.sizes.tolist() == [6, 6, NOT_ON_DISK, NOT_ON_DISK]


def test_a_missing_clip_among_others_is_rows_that_fail(plant_clip, read):
    plant_clip("here", 2)
    manifest = read("here 2 0\ngone 20 1\n")
    assert set(manifest.rows.sizes[2:].tolist()) == {NOT_ON_DISK}
    assert manifest.rows.sources[2] == "gone/<frame 1 of 20>"


def test_more_frames_on_disk_than_in_the_list_are_a_remark(plant_clip, read):
    plant_clip("clip", 20)
    manifest = read("clip 18 0\n")
    assert manifest.remarks == (
        "1 clip has more frames on disk than the list says (first: clip: 20 on disk, 18 in the list)",
    )
    assert manifest.rows.frames.max() < 18


def test_a_clip_whose_folder_may_not_be_read_is_remarked_with_the_reason(plant_clip, read, monkeypatch):
    plant_clip("here", 1)
    scan = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert read("here 1 0\nlocked 1 0\n").remarks == (
        "1 clip's folder cannot be read (first: locked: Permission denied)",
    )


@pytest.mark.parametrize(
    ("text", "first"), [("gone/a.jpg 1 0\ngone/b.jpg 1 0\n", "gone/a.jpg"), ("gone/c 5 0\nd 5 0\n", "gone/c")]
)
def test_a_list_of_which_nothing_is_there_names_the_root_and_the_first_path(read, tmp_path, text, first):
    with pytest.raises(
        UsageError, match=rf"none of the 2 (images|clips) of set are there .*{first}.* with root$"
    ) as error:
        read(text)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg happiness", r"expected `path n_frames label`, found 'a.jpg happiness'"),
        ("a.jpg one happiness", r"expected `path n_frames label`, found"),
        ("path n_frames label", r"expected `path n_frames label`, found"),
        ("clip ² happiness", r"expected `path n_frames label`, found"),
        ("clip 0 happiness", r"a clip has 1 to 1,000,000 frames, found 0: correct"),
        (f"clip {MAX_FRAMES + 1} happiness", r"a clip has 1 to 1,000,000 frames, found 1000001"),
        (f"clip {'9' * 5000} happiness", r"a clip has 1 to 1,000,000 frames, found 99999"),
        ("a.jpg 5 happiness", r"an image has 1 frame, found 5: correct the line, or name a clip's folder"),
        (
            "a.jpg 1 joyless",
            r"label 'joyless' is not a class: write a name \(happiness, sadness, neutral\), an index 0 … 2",
        ),
        ("a.jpg 1 3", r"label '3' is not a class"),
        ("a.jpg 1 anger", r"label 'anger' is not a class"),
        ("a.jpg 1 -2", r"label '-2' is not a class"),
        (
            "../a.jpg 1 0",
            r"'../a.jpg' does not lie below the root: make it relative to the list's folder or to root, without",
        ),
        ("b/../../a.jpg 1 0", r"does not lie below the root"),
        ("/etc/a.jpg 1 0", r"does not lie below the root"),
        ("..\\a.jpg 1 0", r"does not lie below the root"),
        ("C:\\x\\a.jpg 1 0", r"does not lie below the root"),
        (". 1 0", r"does not lie below the root"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_with_file_and_number(plant, read, line, message):
    plant("a.jpg")
    with pytest.raises(UsageError, match=r"list\.txt:2: .*" + message):
        read(f"a.jpg 1 0\n{line}\n")


def test_images_and_clips_in_one_list_are_refused(plant, read):
    plant("a.jpg", "clip/1.jpg")
    with pytest.raises(
        UsageError, match=r"list.txt: images and clip folders are mixed \(a.jpg, clip\): make one list"
    ):
        read("a.jpg 1 0\nclip 1 0\n")


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_an_empty_list_is_refused(read, content):
    with pytest.raises(UsageError, match=r"set has no (images|clips) here: choose"):
        read(content)


@pytest.mark.parametrize("content", [b"\x89PNG\0\0", "a.jpg 1 0\n".encode("utf-16")], ids=["binary", "UTF-16"])
def test_a_file_that_is_no_text_is_refused(read, content):
    with pytest.raises(UsageError, match=r"list.txt: not a list file \(it holds zero bytes\): .* UTF-8"):
        read(content)


def test_a_list_that_is_missing_or_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    for name in ("pipe.txt", "gone.txt"):
        with pytest.raises(UsageError, match=rf"{name}: the list file is missing or not an ordinary file"):
            read_list_files("set", tmp_path, [(tmp_path / name, 0)])


def test_paths_of_another_machine_are_cut_after_what_the_catalogue_names(plant_clip, read):
    plant_clip("Clip/00001", 1)
    form = ListForm(after="Frames/", below="Clip")
    manifest = read("/home/me/Frames/Frames/00001 1 0\nD:\\Frames\\00001 1 1\n", form)
    assert manifest.sample_ids == ("Clip/00001", "Clip/00001")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("Frames//etc/passwd", "does not lie below the root"),
        ("Frames/../../x", "does not lie below the root"),
        ("Other/00001", "the path lacks 'Frames/': is this the list of another data set"),
    ],
)
def test_what_follows_the_cut_may_not_leave_the_root(read, path, message):
    with pytest.raises(UsageError, match=rf"list.txt:1: .*{message}"):
        read(f"{path} 1 0\n", ListForm(after="Frames/", below="Clip"))


def test_a_list_with_a_folder_read_twice_lists_each_used_frame_once(plant_clip, read):
    plant_clip("clip", 30)
    once, twice = read("clip 30 0\n"), read("clip 30 0\nclip 30 1\n")
    assert once.rows.digest == twice.rows.digest
    assert twice.samples("edge").indices.tolist() == once.samples("edge").indices.tolist() * 2


def test_only_the_frames_that_are_used_are_asked_for_their_size(plant_clip, read, monkeypatch):
    plant_clip("clip", 100)
    stat, asked = os.stat, []
    monkeypatch.setattr(os, "stat", lambda path, **options: asked.append(str(path)) or stat(path, **options))
    manifest = read("clip 100 0\n")
    assert len([path for path in asked if path.endswith(".jpg")]) == len(manifest.rows) == 16


def test_a_name_label_list_without_a_label_is_refused(plant, tmp_path):
    path = plant("list.txt", text="a.jpg\n")
    with pytest.raises(UsageError, match=r"list.txt:1: expected `name label`, found 'a.jpg'"):
        read_name_label_list("set", tmp_path, [(path, 0)], CLASSES, str, ListForm({"1": "sadness"}))


def test_a_name_label_list_may_not_leave_the_root(plant, tmp_path):
    path = plant("list.txt", text="../a.jpg 1\n")
    with pytest.raises(UsageError, match=r"list.txt:1: '../a.jpg' does not lie below the root"):
        read_name_label_list("set", tmp_path, [(path, 0)], CLASSES, str, ListForm({"1": "sadness"}))


def test_a_label_that_is_almost_one_of_the_data_sets_own_is_asked_about(plant, tmp_path):
    path = plant("list.txt", text="a.jpg Hapy\n")
    with pytest.raises(UsageError, match=r"list.txt:1: label 'Hapy' is not one .* own: did you mean happy\? Write"):
        read_name_label_list("set", tmp_path, [(path, 0)], CLASSES, str, ListForm({"happy": "happiness"}))


def test_a_label_that_is_none_of_the_data_sets_own_lists_those(plant, tmp_path):
    path = plant("list.txt", text="a.jpg 0\n")
    with pytest.raises(
        UsageError, match=r"list.txt:1: label '0' is not one of the data set's own: write 1 \(sadness\)"
    ):
        read_name_label_list("set", tmp_path, [(path, 0)], CLASSES, str, ListForm({"1": "sadness"}))

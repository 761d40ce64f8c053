"""Data sets that have a name, in the layouts in which they are distributed, and paths."""

import os
from pathlib import Path

import pytest
from expclip.errors import UsageError
from expclip.manifests.catalogue import DataSetRef, catalogue, parse_dataset
from expclip.manifests.classes import CLASSES
from expclip.manifests.faces import SETS
from expclip.manifests.layouts import read_dataset

RAF_LABELS = {1: "surprise", 2: "fear", 3: "disgust", 4: "happiness", 5: "sadness", 6: "anger", 7: "neutral"}
DFEW_LABELS = dict(enumerate(CLASSES[:7], 1))


def read(text: str, root: Path | None = None, builtin: Path = Path("unused")):
    return read_dataset(parse_dataset(text), root, builtin)


def names(manifest) -> dict[str, str]:
    """The class name of each sample."""
    return {
        sample: manifest.classes[label]
        for sample, label in zip(manifest.sample_ids, manifest.labels.tolist(), strict=True)
    }


@pytest.mark.parametrize("name", catalogue())
def test_every_entry_is_consistent(name):
    entry = catalogue()[name]
    assert entry.default_split in entry.splits
    assert set(entry.own_labels.values()) <= set(CLASSES[: entry.classes])
    for split in entry.splits.values():
        assert split.layouts
        assert set(split.counts) in (set(), set(CLASSES[: entry.classes]))
        stated = {total for total in (split.total, sum(split.counts.values()), sum(split.folds)) if total}
        assert len(stated) <= 1
        assert all(("{fold}" in layout.path) <= bool(split.folds) for layout in split.layouts)
        assert all(entry.own_labels for layout in split.layouts if layout.reader == "name-label-list")


def test_published_sizes():
    sizes = {
        f"{name}:{split}": s.expected for name, entry in catalogue().items() for split, s in entry.splits.items()
    }
    assert (sizes["raf-db:test"], sizes["dfew:test"], sizes["caer-s:train"]) == (3068, 11697, 0)


def test_the_built_in_sets_are_those_of_the_renderer():
    assert {name for name, entry in catalogue().items() if entry.builtin} == set(SETS)


@pytest.mark.parametrize(
    ("list_file", "image"),
    [
        ("EmoLabel/list_patition_label.txt", "aligned/{}_aligned.jpg"),
        ("basic/EmoLabel/list_patition_label.txt", "basic/Image/aligned/{}_aligned.jpg"),
    ],
)
def test_raf_db_as_distributed_has_its_own_numbers_in_the_common_order(plant, tmp_path, list_file, image):
    lines = [f"test_{n:04d}.jpg {n}\n" for n in RAF_LABELS] + ["train_00001.jpg 5\n"]
    plant(list_file, text="".join(lines))
    plant(*(image.format(f"test_{n:04d}") for n in RAF_LABELS), image.format("train_00001"))
    test, train = read("raf-db", tmp_path), read("raf-db:train", tmp_path)
    assert names(test) == {image.format(f"test_{n:04d}"): name for n, name in RAF_LABELS.items()}
    assert names(train) == {image.format("train_00001"): "sadness"}
    assert (test.name, train.name) == ("raf-db", "raf-db-train")
    assert test.rows.sizes.min() > 0


def test_raf_db_by_class_folders(plant, tmp_path):
    plant("test/Happy/a.jpg", "test/Fear/b.jpg")
    assert names(read("raf-db", tmp_path)) == {"test/Fear/b.jpg": "fear", "test/Happy/a.jpg": "happiness"}


def test_raf_db_by_number_folders_is_refused_because_nobody_says_whose_numbers(plant, tmp_path):
    plant("test/0/a.jpg", "test/1/b.jpg")
    with pytest.raises(
        UsageError, match=r"test: RAF-DB has label numbers of its own, .*: rename them to happiness, "
    ):
        read("raf-db", tmp_path)


def test_raf_db_with_a_common_list(plant, tmp_path):
    plant("x/a.jpg")
    plant("raf-db-test.txt", text="x/a.jpg 1 6\n")
    assert names(read("raf-db", tmp_path)) == {"x/a.jpg": "fear"}


@pytest.fixture
def plant_dfew(plant, plant_clip):
    """DFEW's clips, one of each class a fold, and lists made by `line(clip, label from 0)`."""

    def write(list_file, line, head=""):
        for fold in range(1, 6):
            clips = [(f"{fold * 100 + label:05d}", label) for label in range(7)]
            for clip, _ in clips:
                plant_clip(f"Clip/clip_224x224/{clip}", 3)
            plant(list_file.format(fold=fold), text=head + "".join(line(*clip) for clip in clips))

    return write


DFEW_FORMS = {
    "released lists, common indices": (
        "annotation/DFEW_set_{fold}_test.txt",
        lambda clip, label: f"/data/me/DFEW/DFEW_Frame_Face/{clip} 3 {label}\n",
        "",
    ),
    "own tables, own numbers": (
        "EmoLabel_DataSplit/test(single-labeled)/set_{fold}.csv",
        lambda clip, label: f"{int(clip)},{label + 1}\r\n",
        "video_name,label\r\n",
    ),
    "own tables, padded names": (
        "EmoLabel_DataSplit/test(single-labeled)/set_{fold}.csv",
        lambda clip, label: f"{clip}, {label + 1}\n",
        "",
    ),
    "common lists": (
        "dfew-test-{fold}.txt",
        lambda clip, label: f"Clip/clip_224x224/{clip} 3 {CLASSES[label]}\n",
        "",
    ),
}


@pytest.mark.parametrize("form", DFEW_FORMS)
def test_dfew_reads_the_same_in_all_its_forms(plant_dfew, tmp_path, form):
    plant_dfew(*DFEW_FORMS[form])
    manifest = read("dfew", tmp_path)
    expected = {
        f"Clip/clip_224x224/{fold * 100 + label:05d}": CLASSES[label] for fold in range(1, 6) for label in range(7)
    }
    assert names(manifest) == expected
    assert manifest.folds.tolist() == [fold for fold in range(1, 6) for _ in range(7)]
    assert manifest.rows.sizes.tolist() == [6] * 3 * 35


def test_dfew_without_one_of_its_folds_is_refused(plant_dfew, tmp_path):
    plant_dfew(*DFEW_FORMS["common lists"])
    (tmp_path / "dfew-test-4.txt").unlink()
    with pytest.raises(
        UsageError, match=r"dfew-test-4.txt is missing, although other folds of dfew are there: put it"
    ):
        read("dfew", tmp_path)


def test_dfew_with_the_wrong_root_says_so_once(plant_dfew, tmp_path):
    plant_dfew(*DFEW_FORMS["common lists"])
    (tmp_path / "Clip").rename(tmp_path / "Klip")
    with pytest.raises(
        UsageError, match=r"none of the 35 clips of dfew are there \(the first would be Clip/clip_224x2"
    ):
        read("dfew", tmp_path)


def test_an_own_table_with_a_missing_clip_has_one_row_for_it(plant_dfew, tmp_path):
    plant_dfew(*DFEW_FORMS["own tables, own numbers"])
    for frame in (tmp_path / "Clip/clip_224x224/00100").iterdir():
        frame.unlink()
    manifest = read("dfew", tmp_path)
    assert manifest.rows.sources[0] == "Clip/clip_224x224/00100/<frame 1 of 1>"
    assert manifest.rows.sizes[:2].tolist() == [-1, 6]


def test_caer_s_is_its_train_folder_or_all_of_a_folder_of_crops_without_labels(plant, tmp_path):
    plant("train/Anger/1.png", "test/Fear/2.png")
    assert read("caer-s", tmp_path).rows.sources == ("train/Anger/1.png",)
    assert read("caer-s", tmp_path / "test").rows.sources == ("Fear/2.png",)
    assert not read("caer-s", tmp_path).is_labelled


def test_caer_s_in_a_list_has_no_labels_either(plant, tmp_path):
    plant("crops/a.png", "crops/b.png")
    plant("caer-s-train.txt", text="crops/b.png 1 Anger\ncrops/a.png 1 6\n")
    manifest = read("caer-s", tmp_path)
    assert manifest.rows.sources == ("crops/b.png", "crops/a.png")
    assert (manifest.classes, manifest.labels.tolist()) == ((), [-1, -1])


def test_a_layout_with_its_clips_goes_before_one_that_has_its_lists_alone(plant, plant_clip, tmp_path):
    for fold in range(1, 6):
        plant(f"DFEW_set_{fold}_test.txt", text="DFEW/DFEW_Frame_Face/00001 3 1\n")
    plant_clip("DFEW_Frame_Face/00001", 3)
    assert read("dfew", tmp_path).sample_ids[0] == "DFEW_Frame_Face/00001"


def test_a_named_data_set_needs_a_root():
    with pytest.raises(
        UsageError, match=r"where is RAF-DB\? Give root raf-db=DIR, or add it to \[roots\] in"
    ) as error:
        read("raf-db")
    assert "Give --root raf-db=DIR" in error.value.as_typed


@pytest.mark.parametrize("root", ["gone", "file.txt", "file.txt/below"])
def test_a_root_that_is_no_folder_is_refused(plant, tmp_path, root):
    plant("file.txt")
    with pytest.raises(UsageError, match=rf"{root}: the root of RAF-DB is not a folder: correct root"):
        read("raf-db", tmp_path / root)


def test_a_root_in_no_known_layout_lists_what_was_looked_for(plant, tmp_path):
    plant("something/else.txt")
    with pytest.raises(UsageError, match=r"in any known layout: is root right\? .* EmoLabel/list_patition_label.txt"):
        read("raf-db", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raf-bd", r"'raf-bd' is neither a data set nor a path: did you mean raf-db\?"),
        ("raf-bd:test", r"did you mean raf-db:test\?"),
        ("rafdb", r"did you mean raf-db\?"),
        ("RAF_DB:train", r"did you mean raf-db:train\?"),
        ("zzz", r"'zzz' is neither a data set nor a path: choose caer-s, raf-db, affectnet-7"),
        ("", r"'' is neither a data set nor a path"),
        ("raf-db:val", r"raf-db has no split 'val': choose test or train"),
    ],
)
def test_an_unknown_data_set_says_what_there_is(text, message):
    with pytest.raises(UsageError, match=message):
        parse_dataset(text)


def test_a_split_may_be_named():
    assert parse_dataset("raf-db:train").name == "raf-db-train"
    assert parse_dataset("raf-db:test") == parse_dataset("raf-db") == parse_dataset("raf-db:")


def test_a_path_that_cannot_be_followed_is_a_users_mistake(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(UsageError, match=r"loop: this path cannot be followed \(Too many levels"):
        read_dataset(parse_dataset(str(loop)), None, tmp_path)
    with pytest.raises(UsageError, match=r"this path cannot be followed \(File name too long\)"):
        read_dataset(parse_dataset("/" + "x" * 300), None, tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("my faces", "my-faces"),
        ("表情", "表情"),
        (os.fsdecode(b"caf\xe9"), "caf"),
        ("v1.2", "v1.2"),
        ("raf-db", "raf-db-folder"),
        ("raf-db-train", "raf-db-train-folder"),
        ("heads", "heads-folder"),
        ("...", "root"),
        ("a/..", "{parent}"),
        ("gone/far", "far"),
    ],
)
def test_a_path_is_called_by_its_last_part_and_never_like_something_else(plant, tmp_path, path, name):
    parent = tmp_path / "parent"
    (parent / "a").mkdir(parents=True)
    assert parse_dataset(f"{parent}/{path}").name == name.format(parent="parent")


def test_a_list_file_is_called_by_its_stem(plant):
    assert parse_dataset(str(plant("my list.v2.txt"))).name == "my-list.v2"


def test_a_path_is_read_by_what_it_holds(plant, tmp_path):
    plant("plain/a.jpg", "classes/happy/a.jpg", "clip/1.jpg")
    listed = plant("list.txt", text="clip 1 sad\n")
    plain, classes, clips = (read(str(path)) for path in (tmp_path / "plain", tmp_path / "classes", listed))
    assert (plain.is_labelled, classes.is_labelled, clips.kind) == (False, True, "clips")
    assert clips.root == str(tmp_path)


def test_a_list_file_may_have_another_root(plant, tmp_path):
    plant("data/a.jpg")
    listed = plant("lists/list.txt", text="a.jpg 1 sad\n")
    assert read(str(listed), tmp_path / "data").rows.sizes.tolist() == [6]
    with pytest.raises(UsageError, match=r"/gone: the root of list is not a folder: correct root"):
        read(str(listed), tmp_path / "gone")


def test_a_root_beside_a_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"is the data set's folder itself, but root is .*: leave one out"):
        read(str(tmp_path), tmp_path)


def test_a_path_that_is_gone_or_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "gone"):
        with pytest.raises(UsageError, match=rf"{name}: there is no such folder or list file: correct the path"):
            read(str(tmp_path / name))


def test_a_built_in_set_is_drawn_where_it_is_missing_and_then_read(tmp_path, monkeypatch):
    drawn = []

    def draw(name, folder, progress):
        drawn.append(name)
        for label in CLASSES[:7]:
            (folder / label).mkdir(parents=True)
            (folder / label / "0.jpg").touch()
        return folder

    monkeypatch.setattr("expclip.manifests.faces.ensure_set", draw)
    manifest = read("faces-test", None, tmp_path)
    assert drawn == ["faces-test"]
    assert set(names(manifest).values()) == set(CLASSES[:7])
    assert Path(manifest.root).parent == tmp_path


def test_a_path_has_no_published_numbers():
    assert DataSetRef("x", None, "", Path("x")).published is None

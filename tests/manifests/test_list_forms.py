"""The forms that a list may have, and the paths and labels in it."""

import csv
import io

import pytest
from expclip.errors import UsageError
from expclip.manifests.classes import CLASSES
from expclip.manifests.lists import ListForm, read_list_files
from expclip.manifests.reading import Reading
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def read(plant, tmp_path):
    """Reads one list with some text, whose labels name the classes."""

    def read_text(text, form=None, root=None, **said):
        path = plant("list.txt", text=text)
        return read_list_files("set", root or tmp_path, [(path, 0)], None, form, Reading(**said))

    return read_text


NAMES = st.lists(
    st.tuples(
        st.text("ab ,;\"'é0", min_size=1, max_size=6).map(lambda text: f"x{text}y.jpg"),
        st.sampled_from([*CLASSES, "Happy", "3", "-1", "pain", "calm"]),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda pair: pair[0],
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    samples=NAMES, delimiter=st.sampled_from(",;\t"), columns=st.permutations(["image", "Emotion", "frames", "who"])
)
def test_the_same_samples_in_all_forms_are_the_same_manifest(plant, read, samples, delimiter, columns):
    plant(*(name for name, _ in samples))
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, delimiter=delimiter)
    writer.writeheader()
    writer.writerows({"image": name, "Emotion": label, "frames": 1, "who": "me"} for name, label in samples)
    digests = {
        read(text).digest
        for text in (
            "".join(f"{name} 1 {label}\n" for name, label in samples),
            "".join(f"{name}\t{label}\r\n" for name, label in samples),
            "\ufeff\n" + table.getvalue(),
        )
    }
    assert len(digests) == 1


def test_lists_without_numbers_of_frames_have_as_many_as_are_on_disk(plant_clip, read):
    plant_clip("one", 3)
    plant_clip("two", 20)
    counted = read("one 3 happy\ntwo 20 sad\n").digest
    assert read("one happy\ntwo sad\n").digest == counted
    assert read("label,clip\nhappy,one\nsad,two\n").digest == counted
    assert read("label,clip,n_frames\nhappy,one,\nsad,two,20\n").digest == counted


def test_a_table_may_have_folds_and_quoted_fields_and_names_that_end_in_numbers(plant, plant_clip, read):
    plant_clip("a, b 12", 2)
    plant_clip('say "hi" 7', 2)
    manifest = read('fold;Path;class\n2;a, b 12;fear\n1;"say ""hi"" 7";no smile\n')
    assert manifest.sample_ids == ("a, b 12", 'say "hi" 7')
    assert manifest.folds.tolist() == [2, 1]
    assert manifest.classes == ("fear", "no smile")


def test_of_several_columns_for_one_thing_that_which_is_called_so_is_taken(plant, read):
    plant("a.jpg")
    assert read("name,path,label,emotion\nx,a.jpg,fear,3\n").labels.tolist() == [6]
    with pytest.raises(
        UsageError, match=r"list.txt:1: several columns may be the label \(class, emotion\): call one"
    ):
        read("path,class,emotion\na.jpg,fear,3\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg 1 happy\nb.jpg happy\n", r":2: expected `path n_frames label`, found 'b.jpg happy': all lines have"),
        (
            "a.jpg happy\nb.jpg 1 happy\n",
            r":2: expected `path label`, .*a number must stand in a table with a header",
        ),
        ("a.jpg happy\nb.jpg\n", r":2: expected `path label`, found 'b.jpg'"),
        ("a.jpg\n", r":1: expected `path n_frames label`, `path label`, or first a line that names columns"),
        ("a.jpg,happy\n", r":1: expected `path n_frames label`, `path label`, or first"),
        ("my a.jpg,happy\n", r":1: expected `path n_frames label`, `path label`, or first"),
        ("my a.jpg\n", r":1: expected `path n_frames label`, `path label`, or first"),
        ("path label\na.jpg happy\n", r":1: put commas, semicolons or tabs between the names of the columns"),
        ("path,label\na.jpg,happy,x\n", r":2: expected 2 fields, found 3: put fields with ',' in quotes"),
        ("path,label\na.jpg 1 happy\n", r":2: expected 2 fields, found 1"),
        ("path,label\na.jpg,\n", r":2: a path or a label is missing: write -1"),
        ('path,label\n\n"a".jpg,happy\n', r":3: not a line of a table \(.*\): correct it"),
        ("path,label,frames\na.jpg,happy,many\n", r":2: expected a number of frames, found 'many'"),
        ("path,label,frames\na.jpg,happy,2\n", r":2: an image has 1 frame, found 2"),
        ("path,label,fold\na.jpg,happy,0\n", r":2: folds are numbered 1, 2, …, found '0'"),
        ("path,label\n../a.jpg,happy\n", r":2: '../a.jpg' does not lie below the root"),
    ],
)
def test_a_line_of_another_form_is_refused_with_its_place(plant, read, text, message):
    plant("a.jpg", "b.jpg")
    with pytest.raises(UsageError, match=r"list\.txt" + message):
        read(text)


def test_a_table_of_no_samples_is_refused(read):
    with pytest.raises(UsageError, match="set has no clips here"):
        read("path,label\n")


def test_words_that_are_no_common_classes_are_the_data_sets_own_as_in_folders(plant, read):
    plant("a.jpg", "b.jpg", "c.jpg")
    manifest = read("a.jpg Pain\nb.jpg calm\nc.jpg neutral\n")
    assert manifest.classes == ("neutral", "calm", "pain")
    assert manifest.labels.tolist() == [2, 1, 0]
    assert [remark.partition(":")[0] for remark in manifest.remarks] == ["calm (neutral)", "pain"]
    assert read("a.jpg hapy\nb.jpg 0\n").remarks == (
        "hapy (did you mean happiness?): not common classes, and taken as the data set's own",
    )


def test_a_catalogues_list_names_the_nearest_of_its_classes(plant, tmp_path):
    plant("a.jpg")
    path = plant("list.txt", text="a.jpg angyr\n")
    with pytest.raises(UsageError, match=r"list.txt:1: label 'angyr' is not a class: did you mean anger\? Write a"):
        read_list_files("set", tmp_path, [(path, 0)], CLASSES[:7])
    with pytest.raises(UsageError, match=r"label 'contemt' is not a class: write a name"):
        plant("list.txt", text="a.jpg contemt\n")
        read_list_files("set", tmp_path, [(path, 0)], CLASSES[:7])


def test_numbers_stand_for_the_classes_that_the_user_names(plant, read):
    plant("a.jpg", "b.jpg")
    text = "a.jpg 0\nb.jpg 2\n"
    named = read(text, numbers=("pain", "Happy", "boredom"))
    assert (named.classes, named.labels.tolist()) == (("happiness", "boredom", "pain"), [2, 1])
    assert read(text, numbers=("common",)).digest == read(text).digest
    assert named.remarks[-1] == "numbers were read as the classes are named: 0 pain, 1 happiness, 2 boredom"
    fewer = read(text, numbers=("sadness", "happy"))
    assert (fewer.digest, fewer.remarks) == (read(text).digest, ()), "these are too few to be what numbers mean"
    with pytest.raises(UsageError, match=r"classes: hapy: did you mean happiness\?"):
        read(text, numbers=("pain", "hapy", "fear"))


def test_a_list_of_words_does_not_ask_what_numbers_mean(plant, read):
    plant("a.jpg")
    assert read("a.jpg madness\n", numbers=("madness",)).classes == ("madness",)


@pytest.mark.parametrize("form", ["{} 1 fear\n", "{} fear\n", "label,path\nfear,{}\n"])
def test_absolute_paths_that_lie_below_the_root_are_relative_to_it(plant, read, tmp_path, form):
    plant("real/a/b.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "way").symlink_to(tmp_path)
    for root in (tmp_path / "real", tmp_path / "link"):
        for path in ("real/a/b.jpg", "link/a/b.jpg", "way/real/a/b.jpg", "way/link/./a//b.jpg"):
            assert read(form.format(tmp_path / path), root=root).sample_ids == ("a/b.jpg",)
    for path in (f"{tmp_path}/real/../real/a/b.jpg", f"{tmp_path}/real2/b.jpg", f"{tmp_path}/real"):
        with pytest.raises(UsageError, match="does not lie below the root"):
            read(form.format(path), root=tmp_path / "real")


EDITED = ListForm(after="DFEW_Frame_Face/", below="Clip/clip_224x224")


@pytest.mark.parametrize(
    "prefix",
    ["/me/DFEW_Frame_Face/", "/home/me/my dfew/", "", "data/", "D:\\x\\", "/a/b/c/d/e/", "{root}/Clip/clip_224x224/"],
)
def test_lists_whose_prefix_was_edited_are_read_as_the_released_ones(plant_clip, read, tmp_path, prefix):
    for clip in ("00001", "00003"):
        plant_clip(f"Clip/clip_224x224/{clip}", 2)
    prefix = prefix.format(root=tmp_path)
    lines = [f"{prefix}{clip} 2 {label}\n" for label, clip in enumerate(("00001", "00002", "00003"))]
    manifest = read("".join(lines), EDITED)
    assert manifest.sample_ids == tuple(f"Clip/clip_224x224/0000{k}" for k in (1, 2, 3))
    assert manifest.labels.tolist() == [0, 1, 2]


def test_of_all_paths_of_a_list_as_many_parts_are_cut(plant_clip, read):
    for clip in ("Action/Happy/0001", "War/Happy/0001", "0001"):
        plant_clip(f"Clips/{clip}", 2)
    form = ListForm(after="Released/", below="Clips")
    lines = "/me/War/Happy/0001 2 0\n/me/Action/Happy/0001 2 0\n/me/Action/Happy/0009 2 0\n"
    assert read(lines, form).sample_ids == tuple(
        f"Clips/{clip}" for clip in ("War/Happy/0001", "Action/Happy/0001", "Action/Happy/0009")
    )


@pytest.mark.parametrize("path", ["/me/00009", "/me/../00001", "00001/..", "/"])
def test_of_other_paths_the_prefix_is_missed(plant_clip, read, path):
    plant_clip("Clip/clip_224x224/00001", 2)
    with pytest.raises(UsageError, match=r"list.txt:1: the path lacks 'DFEW_Frame_Face/': is this the list of anoth"):
        read(f"{path} 2 0\n", EDITED)


def test_more_classes_than_can_be_told_apart_are_one_line(tmp_path):
    lines = "".join(f"{k}.png,class {k}\n" for k in range(40000))
    (tmp_path / "list.csv").write_text(f"path,label\n{lines}")
    with pytest.raises(UsageError, match=r"40,000 names of classes .* up to 32,767 can be told apart"):
        read_list_files("list", tmp_path, [(tmp_path / "list.csv", 0)])


@pytest.mark.parametrize("word", ["7" * 6000, "x" * 10**5, "²", "-" + "9" * 5000])
def test_a_label_of_any_length_is_a_short_line(tmp_path, word):
    (tmp_path / "0.png").write_bytes(b"x")
    (tmp_path / "list.csv").write_text(f"path,label,n_frames\n0.png,1,1\n0.png,{word},{word}\n")
    with pytest.raises(UsageError) as error:
        read_list_files("list", tmp_path, [(tmp_path / "list.csv", 0)])
    assert len(str(error.value)) < 4000

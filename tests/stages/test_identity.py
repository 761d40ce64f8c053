"""Which data set is meant: by what is typed, what is on disk and what the cache has (docs/datasets.md)."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from expclip import ExpclipError, UsageError
from expclip.cache.cache import Cache
from expclip.commands.cache import ExportStore, ImportStores
from expclip.manifests.catalogue import DataSetRef
from expclip.manifests.manifest import Origin
from expclip.pipeline.identity import DataSets, Known, distinct_labels
from expclip.stages.cache import export_store, import_stores
from hypothesis import given
from hypothesis import strategies as st
from lab import Lab
from PIL import Image


@pytest.fixture
def place(tmp_path, monkeypatch, save_face) -> Callable[[str], Path]:
    """Makes image folders below the working directory; `a/faces` has two pictures."""
    monkeypatch.chdir(tmp_path)

    def make(name: str) -> Path:
        for index, folder in enumerate(("happiness", "sadness")):
            save_face(Path(name) / folder / "0.png", seed=sum(map(ord, name)), index=index, label=index, size=16)
        return Path(name)

    return make


def list_at(path: str, *lines: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("".join(f"{line}\n" for line in lines))
    return path


def known(lab: Lab, *texts: str, roots=()) -> list[Known]:
    sets = DataSets(Cache(lab.cache.root), dict(roots), texts)
    return [sets[text] for text in texts]


def folders(lab: Lab) -> dict[str, str]:
    """The paths that the cache knows, by folder."""
    return {entry.folder: Path(entry.origin.path).relative_to(Path.cwd()).as_posix() for entry in lab.cache.entries()}


def test_a_title_that_belongs_to_another_gets_six_digits_of_the_identity(lab, place):
    for path in ("a/faces", "b/faces", "a/faces"):
        lab.extract(place(path), clip="miniature")
    (first, second) = sorted(folders(lab), key=len)
    assert folders(lab) == {first: "a/faces", second: "b/faces"}
    assert first == "faces"
    assert second.removeprefix("faces-").isalnum()
    assert len(second) == len("faces-123456")


def test_whoever_comes_first_has_the_title_and_both_keep_what_they_have(lab, place):
    lab.extract([place("b/faces"), place("a/faces")], clip="miniature")
    before = folders(lab)
    assert before["faces"] == "b/faces"
    lab.extract([place("a/faces"), place("b/faces")], clip="miniature")
    assert folders(lab) == before


def test_links_and_ways_lead_to_one_data_set(lab, place, monkeypatch):
    place("a/faces")
    Path("link").symlink_to("a/faces")
    assert len(lab.extract(["a/faces", "./a/../a/faces", "link"], clip="miniature").stores) == 1
    monkeypatch.chdir("a/faces")
    lab.extract(".", clip="miniature")
    assert [entry.folder for entry in lab.cache.entries()] == ["faces"]


def test_a_link_that_is_moved_to_another_folder_is_another_data_set(lab, place):
    place("a/faces")
    place("b/faces")
    Path("now").symlink_to("a/faces")
    lab.extract("now", clip="miniature")
    Path("now").unlink()
    Path("now").symlink_to("b/faces")
    lab.extract("now", clip="miniature")
    assert len(folders(lab)) == 2


def test_what_is_gone_is_known_by_its_path_its_last_parts_or_a_title_that_only_it_has(lab, place):
    lab.extract([place("a/faces"), place("b/faces"), place("c/others")], clip="miniature")
    places = {path: folder for folder, path in folders(lab).items()}
    for name in "abc":
        shutil.rmtree(name)
    ways = {
        "a/faces": "a/faces",
        str(Path("b/faces").absolute()): "b/faces",
        "elsewhere/others": "c/others",
        "others": "c/others",
        f"{lab.cache.root}/{places['a/faces']}": "a/faces",
        f"{lab.cache.root}/{places['b/faces']}": "b/faces",
        places["b/faces"]: "b/faces",
    }
    assert {text: known(lab, text)[0].folder for text in ways} == {text: places[path] for text, path in ways.items()}


def test_where_several_may_be_meant_they_are_listed(lab, place):
    lab.extract([place("a/faces"), place("b/faces")], clip="miniature")
    shutil.rmtree("a")
    shutil.rmtree("b")
    with pytest.raises(
        UsageError, match=r"several data sets .* give one of .*/faces \(of .*/[ab]/faces\), .*/faces-\w{6}"
    ):
        known(lab, "faces")
    with pytest.raises(UsageError, match="several data sets of the cache may be meant"):
        lab.evaluate("elsewhere/faces", clip="miniature")


def test_a_data_set_that_was_moved_and_is_gone_is_one(lab, place):
    lab.extract(place("a/faces"), clip="miniature")
    shutil.move("a", "moved")
    assert lab.extract("moved/faces", clip="miniature").encoded == 0
    shutil.rmtree("moved")
    assert len(lab.open_features("faces", model="miniature").array) == 2


def test_a_list_is_known_with_the_root_that_it_was_read_with(lab, place):
    place("data/faces")
    text = list_at("lists/test.txt", "happiness/0.png 1 happiness")
    lab.extract(text, root="data/faces", clip="miniature")
    (again,) = known(lab, text)
    assert (again.files, again.folder) == (Path("data/faces").absolute(), "test")
    (scored,) = lab.evaluate(text, clip="miniature", head="none", prompts="P-1").scores
    assert scored.n == 1


def test_a_list_with_two_roots_is_two_data_sets_and_the_root_says_which(lab, place):
    text = list_at("test.txt", "happiness/0.png 1 happiness")
    for root in (place("a/faces"), place("b/faces")):
        lab.extract(text, root=root, clip="miniature")
    assert len(lab.cache.entries()) == 2
    listed = r"several roots: give root .*/test \(of .*test.txt with files in .*/a/faces\), "
    with pytest.raises(UsageError, match=listed):
        known(lab, text)
    (one,) = known(lab, text, roots={text: Path("b/faces")})
    assert one.entry is not None
    assert one.entry.root == str(Path("b/faces").absolute())


def test_lists_over_the_same_images_share_stores_but_no_manifest(lab, place, work):
    place("data/faces")
    lines = ["happiness/0.png 1 happiness", "sadness/0.png 1 sadness"]
    lab.extract(list_at("a/test.txt", *lines), root="data/faces", clip="miniature")
    other = list_at("b/test.txt", *(line.replace("1 sadness", "1 fear") for line in lines))
    work.clear()
    assert lab.extract(other, root="data/faces", clip="miniature").encoded == 0
    assert not work
    assert lab.open_features(other, model="miniature").labels.tolist() == [0, 6]
    assert lab.open_features("a/test.txt", model="miniature").labels.tolist() == [0, 1]
    assert len(list(lab.cache.root.glob("*/clip_image-*.zarr"))) == 1


def test_a_copy_of_a_data_set_has_its_features_although_both_are_there(lab, place, work):
    lab.extract(place("a/faces"), clip="miniature")
    shutil.copytree("a/faces", "b/faces")
    work.clear()
    found, expected = (lab.open_features(name, model="miniature").array for name in ("b/faces", "a/faces"))
    assert (found == expected).all()
    assert lab.evaluate("b/faces", clip="miniature", head="none", prompts="P-1").scores[0].n == 2
    assert not {name for name in work if name.startswith("Image")}
    shutil.rmtree("b")
    assert known(lab, "b/faces")[0].entry is not None


@pytest.fixture
def same_names(tmp_path, monkeypatch) -> Callable[[str, int], Path]:
    """Makes folders of pictures with the same names and sizes in each: only their contents tell them apart."""
    monkeypatch.chdir(tmp_path)

    def make(name: str, seed: int) -> Path:
        for label, folder in enumerate(("happiness", "sadness")):
            for number in range(2):
                noise = np.random.default_rng([seed, label, number]).integers(0, 256, (16, 16, 3), dtype=np.uint8)
                file = Path(name) / folder / f"{number}.bmp"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise).save(file)
        return Path(name)

    return make


def assert_own_features(lab: Lab, data: str, **how) -> None:
    """The features of a data set are those of its own pictures."""
    alone = lab.but(cache=lab.cache.root.with_name(f"alone-{len(list(lab.cache.root.parent.glob('alone-*')))}"))
    alone.extract(data, clip="miniature", **how)
    lab.extract(data, clip="miniature", **how)
    found, expected = (one.open_features(data, model="miniature").array for one in (lab, alone))
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_a_link_that_leads_elsewhere_now_has_the_features_of_what_is_there(lab, same_names):
    same_names("v1", 1)
    same_names("v2", 2)
    Path("now").symlink_to("v1")
    assert_own_features(lab, "now")
    Path("now").unlink()
    Path("now").symlink_to("v2")
    assert_own_features(lab, "now")


@pytest.mark.parametrize("content", [None, "", '{"manifest": "manifest', '{"manifest": 3, "root": "\\u0000"}'])
def test_a_folder_of_the_cache_whose_note_is_lost_serves_nobody_else(lab, same_names, content):
    same_names("a/d", 1)
    same_names("b/d", 2)
    assert_own_features(lab, "a/d")
    note = lab.cache.root / "d" / "current.json"
    note.unlink() if content is None else note.write_text(content)
    assert_own_features(lab, "b/d")
    assert_own_features(lab, "a/d")


def test_a_folder_that_lost_a_file_is_not_gone(lab, same_names):
    same_names("a/d", 1)
    same_names("b/d", 2)
    assert_own_features(lab, "a/d")
    Path("a/d/happiness/0.bmp").unlink()
    assert_own_features(lab, "b/d")


def test_a_named_data_set_at_another_root_is_another_copy(lab, same_names, capsys):
    for name, seed in (("A", 1), ("B", 2)):
        same_names(f"{name}/test", seed)
        assert_own_features(lab.but(root=f"raf-db={name}"), "raf-db")
    for name in ("A", "B"):
        assert lab.extract("raf-db", root=f"raf-db={name}", clip="miniature").encoded == 0
        (found,) = lab.evaluate("raf-db", root=f"raf-db={name}", clip="miniature", head="none", prompts="P-1").scores
        assert found.of.dataset == "raf-db"
    assert len([entry for entry in lab.cache.entries() if entry.title == "raf-db"]) == 2
    lab.open_features("raf-db", model="miniature")
    assert "/B; the cache has others, of " in capsys.readouterr().err
    shutil.move("A", "C")
    assert lab.extract("raf-db", root="raf-db=C", clip="miniature").encoded == 0, "it was moved"


def test_features_of_a_folder_that_is_gone_are_said_to_be_its(lab, same_names, capsys):
    assert_own_features(lab, str(same_names("a/d", 1)))
    shutil.move("a", "moved")
    lab.open_features("moved/d", model="miniature")
    assert "its features are those of" in capsys.readouterr().err


def test_of_two_processes_that_begin_one_title_one_is_told_to_come_again(lab, same_names, monkeypatch):
    """The second has planned its work before the first noted whose the title is."""
    same_names("a/d", 1)
    same_names("b/d", 2)
    mark, others = Cache.mark, []

    def meanwhile(cache):
        mark(cache)
        if not others:
            others.append(1)
            lab.extract("b/d", clip="miniature")

    monkeypatch.setattr(Cache, "mark", meanwhile)
    with pytest.raises(
        ExpclipError, match=r"another process has begun a data set of this title, .*/b/d: run the command"
    ):
        lab.extract("a/d", clip="miniature")
    assert_own_features(lab, "a/d")
    assert_own_features(lab, "b/d")


def test_a_damaged_manifest_is_mended_by_the_command_that_is_named(lab, same_names):
    lab.extract(same_names("d", 1), clip="miniature")
    labels = next(lab.cache.root.glob("d/manifest-*.zarr/labels/c/0"))
    labels.write_bytes(b"x" * 30)
    with pytest.raises(ExpclipError, match=r"cannot be read .*: run `expclip extract`"):
        lab.open_features("d", model="miniature")
    lab.extract("d", clip="miniature")
    assert len(lab.open_features("d", model="miniature").array) == 4


def test_lists_that_share_images_are_encoded_once_in_one_command(lab, same_names, work):
    same_names("d", 1)
    texts = [list_at(f"{name}.txt", *lines) for name, lines in LISTS.items()]
    assert lab.extract(texts, root="d", clip="miniature").encoded == 4
    assert work["ImageTower inputs"] == 4
    work.clear()
    other = lab.but(cache=lab.cache.root.with_name("other"))
    other.evaluate(texts, root="d", clip="miniature", head="none", prompts="P-1")
    assert work["ImageTower inputs"] == 4


LISTS = {
    "one": ["happiness/0.bmp happy", "happiness/1.bmp happy", "sadness/0.bmp sad"],
    "two": ["sadness/1.bmp sad", "sadness/0.bmp sad", "happiness/1.bmp happy"],
}


def test_what_is_handed_over_is_not_taken_for_other_pictures_of_the_same_names(lab, same_names, tmp_path):
    both = {"clip": "miniature", "teacher": "miniature", "features": ["clip_image", "query_tokens"]}
    sender = lab.but(cache=tmp_path / "sender")
    for number, store in enumerate(sender.extract(same_names("a/d", 1), **both).stores):
        export_store(ExportStore(store=store.path.name, file=tmp_path / f"{number}.h5", cache=sender.cache.root))
    lab.extract(same_names("b/d", 2), clip="miniature")
    shutil.rmtree("a")
    import_stores(ImportStores(files=(tmp_path / "0.h5", tmp_path / "1.h5"), cache=lab.cache.root))
    assert_own_features(lab, "b/d")
    received = next(entry for entry in lab.cache.entries() if not entry.origin.path)
    for node in both["features"]:
        expected = sender.open_features(str(sender.cache.root / "d"), node, model="miniature").array
        found = lab.open_features(str(lab.cache.root / received.folder), node, model="miniature").array
        assert (found == expected).all()


@pytest.mark.parametrize("caches", [1, 2])
def test_data_sets_of_one_title_stay_two_when_they_are_handed_over(lab, place, tmp_path, caches):
    other = lab.but(cache=tmp_path / "other")
    for number, name in enumerate(("a/faces", "b/faces")):
        sender = lab.but(cache=tmp_path / f"sender{number % caches}")
        (store,) = sender.extract(place(name), clip="miniature").stores
        export_store(ExportStore(store=store.path.name, file=tmp_path / f"{number}.h5", cache=sender.cache.root))
        for _ in range(2):
            import_stores(ImportStores(files=(tmp_path / f"{number}.h5",), cache=other.cache.root))
    folders = [entry.folder for entry in other.cache.entries()]
    assert len(folders) == 2
    assert {entry.title for entry in other.cache.entries()} == {"faces"}
    for name in "ab":
        expected = lab.but(cache=tmp_path / "fresh")
        expected.extract(f"{name}/faces", clip="miniature")
        array = expected.open_features(f"{name}/faces", model="miniature").array
        found = other.open_features(f"{name}/faces", model="miniature").array
        assert (found == array).all(), "it is known by its files"
    shutil.rmtree("a")
    shutil.rmtree("b")
    with pytest.raises(UsageError, match="several data sets of the cache may be meant"):
        other.open_features("faces", model="miniature")
    arrays = [other.open_features(str(other.cache.root / name), model="miniature").array for name in folders]
    assert (arrays[0] != arrays[1]).any()


@pytest.mark.parametrize("form", ["BMP", "PNG"])
def test_folders_with_the_same_names_and_sizes_are_not_taken_for_one_another(lab, place, form):
    """Two pictures without compression have one size: names and sizes tell nothing then."""
    for name, colour in (("a/faces", "red"), ("b/faces", "blue")):
        for folder, turned in (("happiness", 0), ("sadness", 90)):
            picture = Image.linear_gradient("L").resize((24, 24)).convert("RGB").rotate(turned)
            picture.paste(colour, (0, 0, 12, 12))
            Path(name, folder).mkdir(parents=True)
            picture.save(Path(name, folder, "0.png"), form)
    for name in ("a/faces", "b/faces"):
        lab.extract(name, clip="miniature")
    alone = lab.but(cache=lab.cache.root.with_name("alone"))
    alone.extract("b/faces", clip="miniature")
    found, expected = (one.open_features("b/faces", model="miniature").array for one in (lab, alone))
    assert (found == expected).all()
    assert (found != lab.open_features("a/faces", model="miniature").array).any()


def test_a_title_can_be_given(lab, place):
    lab.extract(f"mine={place('a/faces')}", clip="miniature")
    assert folders(lab) == {"mine": "a/faces"}
    assert known(lab, "a/faces")[0].label == "mine"
    shutil.rmtree("a")
    assert known(lab, "mine")[0].folder == "mine"


def test_a_path_with_an_equals_sign_is_a_path(lab, place):
    lab.extract(place("k=1/faces=all"), clip="miniature")
    assert folders(lab) == {"faces-all": "k=1/faces=all"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raf-db=a/faces", "raf-db is a data set of the catalogue: write `raf-db root raf-db=a/faces`"),
        ("heads=a/faces", "heads means something else already: choose another title"),
        ("facse", r"did you mean faces\?"),
    ],
)
def test_a_title_that_means_something_else_is_refused(lab, place, text, said):
    lab.extract(place("a/faces"), clip="miniature")
    with pytest.raises(UsageError, match=said):
        known(lab, text)


def test_roots_are_given_to_lists_by_title_or_as_typed_or_to_all_of_them(lab, place):
    place("data/faces")
    texts = [list_at(f"{name}/test.txt", "happiness/0.png 1 happiness") for name in ("a", "b")]
    for root in ("data/faces", "test=data/faces", [f"{text}=data/faces" for text in texts]):
        for one in lab.evaluate(texts, root=root, clip="miniature", head="none", prompts="P-1").scores:
            assert one.n == 1
    with pytest.raises(UsageError, match="with several data sets write NAME=DIR"):
        lab.evaluate(["raf-db", texts[0]], root="data/faces", clip="miniature")


def test_a_cache_of_an_older_version_is_read_as_it_is(lab, place, work):
    """It noted neither path nor title: the folder's name is the title, and the root tells whether it is the path."""
    place("b/faces")
    lab.extract(place("a/faces"), clip="miniature")
    file = lab.cache.root / "faces" / "current.json"
    noted = json.loads(file.read_text())
    file.write_text(json.dumps({name: noted[name] for name in ("manifest", "root")}))
    work.clear()
    assert lab.extract("a/faces", clip="miniature").encoded == 0
    assert folders(lab) == {"faces": "a/faces"}
    file.write_text(json.dumps({name: noted[name] for name in ("manifest", "root")}))
    assert lab.extract("b/faces", clip="miniature").encoded == 2
    assert known(lab, "a/faces")[0].folder == "faces" != known(lab, "b/faces")[0].folder
    shutil.rmtree("a")
    assert known(lab, "a/faces")[0].folder == "faces"


PARTS = st.sampled_from(["a", "A", "b c", "b-c", "x", "x/a", "test"])


@given(st.lists(st.tuples(st.lists(PARTS, max_size=3), st.sampled_from(["test", "Test", "a-test"])), unique_by=str))
def test_labels_tell_data_sets_apart_even_as_names_of_files(paths):
    places = ["/".join(["", *parents, title]) for parents, title in paths]
    found = [
        Known(DataSetRef(Path(path).name, None, "", Path(path)), Origin(path, path, folder=path), None, None)
        for path in dict.fromkeys(places)
    ]
    labels = distinct_labels(found)
    names = ["".join(c if c.isalnum() or c in "-_." else "-" for c in label).casefold() for label in labels.values()]
    assert len(set(names)) == len(found)
    titles = [one.ref.name.casefold() for one in found]
    for one in found:
        if titles.count(one.ref.name.casefold()) == 1 and not any("test" in t and t != "test" for t in titles):
            assert labels[one.folder] == one.ref.name


def test_the_shortest_parents_that_tell_titles_apart_are_shown(lab, place):
    texts = [str(place(path)) for path in ("x/fold1/test", "x/fold2/test", "x/other")]
    assert [one.label for one in known(lab, *texts)] == ["fold1/test", "fold2/test", "other"]
    texts = [str(place(path)) for path in ("p/fold/test", "q/fold/test")]
    assert [one.label for one in known(lab, *texts)] == ["p/fold/test", "q/fold/test"]
    assert known(lab, texts[0])[0].label == "test"


def test_names_that_are_no_text_are_told_apart_too(lab, place):
    names = [os.fsdecode(name) for name in (b"\xff", b"\xfe")]
    texts = [str(place(f"{name}/test")) for name in names]
    labels = [one.label for one in known(lab, *texts)]
    assert len(set(labels)) == 2
    "".join(labels).encode()


def test_a_folder_whose_maker_was_killed_before_it_noted_whose_it_is_is_nobodys(place, lab: Lab):
    lab.extract(place("a/faces"), clip="miniature")
    shutil.rmtree(next(lab.cache.root.glob("faces/*.zarr/features")).parent)
    (lab.cache.root / "faces" / "current.json").unlink()
    lab.extract("a/faces", clip="miniature")
    assert folders(lab) == {"faces": "a/faces"}
    (lab.cache.root / "faces" / "current.json").write_text("{")
    assert [one.folder for one in known(lab, "a/faces")] != ["faces"], "a note that cannot be read is somebody's"

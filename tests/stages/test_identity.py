"""Which data set is meant: by what is typed, what is on disk and what the cache has (docs/datasets.md)."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from expclip import UsageError
from expclip.cache.cache import Cache
from expclip.commands.cache import ExportStore, ImportStores
from expclip.manifests.catalogue import DataSetRef
from expclip.manifests.manifest import Origin
from expclip.pipeline.identity import DataSets, Known, distinct_labels
from expclip.stages.cache import export_store, import_stores
from hypothesis import given
from hypothesis import strategies as st
from lab import Lab


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
    from PIL import Image

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

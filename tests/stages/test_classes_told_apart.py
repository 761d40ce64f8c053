"""Which classes a data set has, which are told apart, and which need prompts: one rule from reader to scores."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from expclip import UsageError
from expclip.manifests.classes import CLASSES
from lab import Lab

SCORING = {"clip": "miniature", "prompts": "P-3", "head": "none", "intervals": False}


@pytest.fixture
def plant(tmp_path, save_face) -> Callable[..., Path]:
    """An image folder with two faces in each class folder."""

    def make(*folders: str, name: str = "set") -> Path:
        for label, folder in enumerate(folders):
            for k in range(2):
                save_face(tmp_path / name / folder / f"{k}.png", 7, 2 * label + k, label % 7, size=32)
        return tmp_path / name

    return make


def scored(lab: Lab, data, **changes):
    """The manifest and the predictions (n, classes) of the only combination."""
    (found,) = lab.evaluate(data, **SCORING | changes).predictions
    return found.manifest, found.similarity


def names(manifest) -> list[str]:
    return [manifest.classes[label] if label >= 0 else "" for label in manifest.labels.tolist()]


def prompts_for(tmp_path: Path, *classes: str) -> str:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({name: [f"a face that shows {name}"] for name in classes}))
    return str(file)


def test_calm_beside_neutral_is_a_class_of_its_own_and_said(lab, plant, capsys):
    manifest, similarity = scored(lab, plant("neutral", "calm", "happy"))
    assert (manifest.classes, similarity.shape) == (("happiness", "neutral", "calm"), (6, 3))
    assert "set: calm (neutral): each a class of its own here" in capsys.readouterr().err


def test_own_classes_of_a_list_are_extracted_and_scored(lab, plant, tmp_path, capsys):
    root = plant("a")
    (tmp_path / "list.csv").write_text("label,path\npain,a/0.png\nno pain,a/1.png\n")
    manifest, _ = scored(lab, tmp_path / "list.csv", root=root)
    assert names(manifest) == ["pain", "no pain"]
    (tmp_path / "typo.txt").write_text("a/0.png angyr\na/1.png fear\n")
    scored(lab, tmp_path / "typo.txt", root=root)
    assert "typo: angyr (did you mean anger?): not common classes" in capsys.readouterr().err


def test_six_class_folders_of_seven_need_six_prompts(lab, plant, tmp_path, capsys):
    root = plant(*CLASSES[:6])
    file = prompts_for(tmp_path, *CLASSES[:6])
    manifest, six = scored(lab, root, prompts=file)
    assert manifest.classes == CLASSES[:7]
    assert np.isfinite(six[:, :6]).all()
    assert (six[:, 6] == -np.inf).all(), "a class without prompts is never predicted"
    assert "set: mine has no prompt for fear, of which there are no samples" in capsys.readouterr().err
    _, alone = scored(lab, root)
    both = lab.evaluate(root, **SCORING | {"prompts": ["P-3", file]}).predictions
    for one, expected in zip(both, (alone, six), strict=True):
        np.testing.assert_allclose(one.similarity, expected)


def test_a_word_of_a_prompt_file_that_is_almost_a_class_is_named(lab, plant, tmp_path):
    with pytest.raises(UsageError, match=r"no prompt for happiness: hapiness: did you mean happiness\?"):
        scored(lab, plant("happy", "sad"), prompts=prompts_for(tmp_path, "hapiness", "sad"))


def test_a_name_that_is_no_text_is_refused_before_any_work(lab, plant, tmp_path, work):
    root = plant("happy")
    (tmp_path / "latin.csv").write_bytes(b"path,label\nhappy/0.png,\xc4rger\n")
    with pytest.raises(UsageError, match=r"latin.csv:2: the name of a class, .*, is not UTF-8"):
        scored(lab, tmp_path / "latin.csv", root=root)
    (tmp_path / "huge.txt").write_text("x" * 200_000 + " happy\n")
    with pytest.raises(UsageError):
        scored(lab, tmp_path / "huge.txt", root=root)
    assert not work


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("happiness,fear", "has no prompt for fear"),
        ("happiness,angyr", r"no data set here has the class angyr: did you mean anger\?"),
        ("happiness,pain", "no data set here has the class pain: choose"),
        ("happiness,Happy", "happiness and Happy|happiness .* name one class"),
    ],
)
def test_a_class_that_cannot_be_told_apart_is_refused_before_any_work(lab, plant, tmp_path, work, classes, said):
    root = plant(*CLASSES[:3])
    with pytest.raises(UsageError, match=said):
        lab.evaluate(root, **SCORING | {"prompts": prompts_for(tmp_path, *CLASSES[:3])}, classes=classes)
    assert not work


def test_named_classes_are_told_apart_in_their_order_and_others_are_left_out_and_said(lab, plant, capsys):
    root = plant("happy", "sad", "angry")
    _, everything = scored(lab, root)
    manifest, similarity = scored(lab, root, classes="anger,happiness")
    assert manifest.classes == ("anger", "happiness")
    assert names(manifest) == ["anger"] * 2 + ["happiness"] * 2 + [""] * 2
    np.testing.assert_allclose(similarity, everything[:4, [3, 0]])
    assert "set: 2 samples belong to classes that are not told apart here" in capsys.readouterr().err
    manifest, _ = scored(lab, root)
    assert names(manifest) == ["anger"] * 2 + ["happiness"] * 2 + ["sadness"] * 2, "what is asked once is not kept"


def test_a_class_that_one_of_several_data_sets_has_may_be_named(lab, plant):
    first, second = plant("pain", "happy", name="first"), plant("happy", "sad", name="second")
    found = lab.evaluate([first, second], **SCORING, classes=["pain", "happiness"]).predictions
    assert [one.manifest.classes for one in found] == [("pain", "happiness")] * 2
    assert [len(one.samples) for one in found] == [4, 2]


def test_classes_are_told_apart_where_the_pictures_are_gone(lab, plant):
    root = plant("happy", "sad")
    scored(lab, root)
    root.rename(root.with_name("moved"))
    manifest, _ = scored(lab, "set", classes="sadness,fear")
    assert (manifest.classes, names(manifest)) == (("sadness", "fear"), ["", "", "sadness", "sadness"])


def test_numbers_are_the_named_classes_and_remembered_so(lab, plant, work, capsys):
    root = plant("0", "1", "2")
    manifest, _ = scored(lab, root, classes="anger,disgust,fear")
    assert names(manifest)[::2] == ["anger", "disgust", "fear"]
    assert "numbers were read as the classes are named: 0 anger, 1 disgust, 2 fear" in capsys.readouterr().err
    work.clear()
    manifest, _ = scored(lab, root)
    assert names(manifest)[::2] == ["anger", "disgust", "fear"]
    manifest, _ = scored(lab, root, classes="common")
    assert names(manifest)[::2] == ["happiness", "sadness", "neutral"]
    assert not work


def test_fewer_names_than_numbers_choose_classes_and_say_nothing_of_numbers(lab, plant, tmp_path):
    root = plant("0", "1", "2", "3")
    everything, _ = scored(lab, root)
    manifest, _ = scored(lab, root, classes="anger,happiness")
    assert names(manifest)[::2] == ["happiness", "", "", "anger"]
    assert names(scored(lab, root)[0]) == names(everything)
    plant("0", "1", "2", name="raf/test")
    for classes in ("happiness,sadness", "foo"):
        with pytest.raises(UsageError, match="number folders do not say which ones they use"):
            lab.extract("raf-db", root=tmp_path / "raf", clip="miniature", classes=classes)


def test_what_numbers_were_said_to_mean_can_be_unsaid(lab, plant):
    root = plant("0", "1")
    scored(lab, root, classes="anger,fear")
    manifest, _ = scored(lab, root, classes="auto")
    assert names(manifest)[::2] == ["happiness", "sadness"]


@pytest.mark.parametrize("classes", ["angyr", "anger,bogus", "common,anger", ",", ""])
def test_extract_refuses_classes_that_cannot_be_meant(lab, plant, work, classes):
    with pytest.raises(UsageError, match="classes"):
        lab.extract(plant("happy", "sad"), clip="miniature", classes=classes)
    assert not work


def test_a_word_means_the_same_whatever_other_data_sets_there_are(lab, plant):
    first, second = plant("calm", "happy", name="first"), plant("calm", "natural", name="second")
    found = lab.evaluate([first, second], **SCORING, classes="calm,happy").predictions
    assert [one.manifest.classes for one in found] == [("neutral", "happiness"), ("calm", "happiness")]
    assert [len(one.samples) for one in found] == [4, 2]


def test_common_lets_number_folders_of_a_data_set_with_numbers_of_its_own_in(lab, plant, tmp_path):
    plant("0", "1", "2", name="raf/test")
    with pytest.raises(UsageError, match="classes common says that 0 … 6 are the common order"):
        lab.extract("raf-db", root=tmp_path / "raf", clip="miniature")
    lab.extract("raf-db", root=tmp_path / "raf", clip="miniature", classes="common")
    manifest, _ = scored(lab, "raf-db")
    assert names(manifest)[::2] == ["happiness", "sadness", "neutral"]


def test_prompts_of_a_class_go_by_its_own_word(lab, plant, tmp_path):
    root = plant("neutral", "calm")
    file = prompts_for(tmp_path, "neutral", "calm", "happy")
    _, two = scored(lab, root, prompts=file)
    _, one = scored(lab, root, prompts=prompts_for(tmp_path, "neutral", "calm"))
    np.testing.assert_allclose(two[:, -2:], one[:, -2:])


def test_frames_are_in_the_order_that_is_asked_for_and_remembered(lab, tmp_path, save_face, work, capsys):
    for number in (1, 2, 10):
        save_face(tmp_path / f"clip/{number}.png", 3, number, number % 7, size=32)
    (tmp_path / "list.txt").write_text("clip 3 happiness\n")
    orders = {}
    for order in ("released", "native"):
        lab.extract(tmp_path / "list.txt", clip="miniature", order=order)
        for again in (order, None):
            manifest, _ = scored(lab, tmp_path / "list.txt", order=again)
            orders[order] = [Path(source).stem for source in manifest.rows.sources]
    assert orders == {"released": ["1", "10", "2"], "native": ["1", "2", "10"]}
    assert work["ImageTower inputs"] == 3, "the rows are the same pictures"
    assert "without leading zeros and was read as numbers" in capsys.readouterr().err

"""The same data set with other classes told apart."""

import pytest
from expclip.errors import UsageError
from expclip.manifests.chosen import with_classes
from expclip.manifests.manifest import NO_LABEL
from expclip.manifests.readers import read_image_folder, read_plain_folder
from hypothesis import given
from hypothesis import strategies as st

HAS = ("happiness", "neutral", "calm", "pain")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Two pictures of each of four classes, and one without a label."""
    root = tmp_path_factory.mktemp("own")
    for name in ("Happy", "neutral", "calm", "pain"):
        (root / name).mkdir()
        for k in (0, 1):
            (root / name / f"{k}.jpg").write_bytes(b"x")
    (root / "z.jpg").write_bytes(b"x")
    return read_image_folder("own", root)


def class_of(manifest):
    return {
        sample: manifest.classes[label] if label != NO_LABEL else ""
        for sample, label in zip(manifest.sample_ids, manifest.labels.tolist(), strict=True)
    }


@given(st.lists(st.sampled_from([*HAS, "anger", "fear"]), unique=True, min_size=1))
def test_exactly_the_named_classes_are_told_apart_in_their_order(own, names):
    chosen = with_classes(own, names)
    assert chosen.classes == tuple(names)
    assert class_of(chosen) == {sample: name if name in names else "" for sample, name in class_of(own).items()}
    assert chosen.rows is own.rows
    assert chosen.sample_ids == own.sample_ids


def test_what_belongs_to_no_named_class_is_counted(own):
    assert with_classes(own, ["Calm", "happy"]).remarks[-1] == (
        "4 samples belong to classes that are not told apart here and have no label (neutral: 2, pain: 2)"
    )
    assert with_classes(own, HAS).remarks == own.remarks


def test_common_changes_nothing_nor_does_an_unlabelled_data_set(own, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    plain = read_plain_folder("plain", tmp_path)
    assert with_classes(own, ["common"]) is own
    assert with_classes(own, []) is own
    assert with_classes(plain, ["happy"]) is plain


def test_a_class_of_another_data_set_of_the_same_command_has_no_sample_here(own):
    assert with_classes(own, ["boredom", "calm"], known=["boredom"]).classes == ("boredom", "calm")
    with pytest.raises(UsageError, match=r"no data set here has the class boredom: choose"):
        with_classes(own, ["boredom", "calm"])


def test_a_name_that_nothing_has_is_refused_with_the_nearest(own):
    with pytest.raises(UsageError, match=r"has the class angyr: did you mean anger\?"):
        with_classes(own, ["angyr", "happy"])

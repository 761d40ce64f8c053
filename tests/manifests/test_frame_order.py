"""In which order the frames of a clip are, and what is said of clips whose frames are not as expected."""

import pytest
from expclip.manifests.catalogue import parse_dataset
from expclip.manifests.disk import by_number
from expclip.manifests.layouts import read_dataset
from hypothesis import given
from hypothesis import strategies as st

AS_TEXT = ("1.jpg", "10.jpg", "11.jpg", "2.jpg")
BY_NUMBER = ("1.jpg", "2.jpg", "10.jpg", "11.jpg")


@pytest.fixture
def clips(plant, plant_clip, tmp_path):
    """Reads two clips without leading zeros and one with them, from a list or as AFEW."""
    plant(*(f"validation/Anger/{clip}/{name}" for clip in ("a", "b") for name in AS_TEXT))
    plant_clip("validation/Anger/c", 12)

    def read(name, order=None):
        root = tmp_path if name == "afew" else None
        text = name if name == "afew" else str(tmp_path / name)
        return read_dataset(parse_dataset(text), root, tmp_path, order=order)

    plant("list.txt", text="".join(f"validation/Anger/{clip} fear\n" for clip in ("a", "a", "b", "c")))
    return read


def of_first_clip(manifest):
    return tuple(source.rpartition("/")[2] for source in manifest.rows.sources[:4])


@pytest.mark.parametrize(
    ("name", "order", "names", "how"),
    [
        ("list.txt", None, BY_NUMBER, "as numbers, 1, 2, …, 10"),
        ("afew", None, AS_TEXT, "as text, 1, 10, …, 2, as the released code does"),
        ("list.txt", "released", AS_TEXT, "as text, 1, 10, …, 2, as the released code does"),
        ("afew", "native", BY_NUMBER, "as numbers, 1, 2, …, 10"),
    ],
)
def test_frames_without_leading_zeros_are_read_by_number_or_as_text(clips, name, order, names, how):
    manifest = clips(name, order)
    assert of_first_clip(manifest) == names
    (remark,) = [remark for remark in manifest.remarks if "zeros" in remark]
    assert remark.startswith(f"2 clips have frame numbers without leading zeros and were read {how} (first: ")


@given(st.sets(st.integers(0, 99999), max_size=30), st.sampled_from(["{}.jpg", "f{}.png", "img_{}_x1.jpg"]))
def test_frames_are_in_the_order_of_their_numbers(numbers, form):
    assert by_number([form.format(n) for n in sorted(numbers, key=str)]) == [form.format(n) for n in sorted(numbers)]


@given(st.sets(st.integers(0, 99999), max_size=30), st.integers(5, 9))
def test_with_leading_zeros_text_and_numbers_have_one_order(numbers, width):
    names = sorted(f"{n:0{width}d}.jpg" for n in numbers)
    assert by_number(names) == names


@given(st.lists(st.text("a1-.0", min_size=1, max_size=6), unique=True))
def test_every_name_has_one_place(names):
    assert by_number(names) == by_number(names[::-1])
    assert sorted(by_number(names)) == sorted(names)


def test_clips_with_other_numbers_of_frames_than_the_list_says_are_one_remark_a_kind(plant, plant_clip, tmp_path):
    for clip, frames in (("a", 5), ("b", 9), ("c", 1), ("d", 4)):
        plant_clip(clip, frames)
    (tmp_path / "e").mkdir()
    path = plant("list.txt", text="a 3 0\na 3 1\nb 3 0\nc 3 0\nd 4 0\ne 3 0\ngone 3 0\n")
    assert read_dataset(parse_dataset(str(path)), None, tmp_path).remarks == (
        "2 clips have no frames on disk (first: e)",
        "2 clips have more frames on disk than the list says (first: a: 5 on disk, 3 in the list)",
        "1 clip has fewer frames on disk than the list says (first: c: 1 on disk, 3 in the list)",
    )

"""FERPlus' votes and AffectNet's label arrays."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import trees
from expclip.errors import UsageError
from expclip.manifests.annotations import majority, read_label_arrays, read_votes
from expclip.manifests.classes import CLASSES
from hypothesis import given
from hypothesis import strategies as st

OWN = {str(number): name for number, name in enumerate(trees.VOTED)}
AFFECTNET = {str(number): name for number, name in enumerate(trees.AFFECTNET)}


@pytest.mark.parametrize(
    ("votes", "winner"),
    [
        ([10, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0),
        ([0, 6, 4, 0, 0, 0, 0, 0, 0, 0], 1),
        ([5, 5, 0, 0, 0, 0, 0, 0, 0, 0], None),
        ([5, 1, 1, 1, 1, 1, 0, 0, 0, 0], 0),
        ([0, 0, 0, 0, 0, 3, 0, 0, 2, 0], 5),
        ([0, 0, 0, 0, 0, 3, 0, 0, 3, 0], None),
        ([0, 0, 0, 0, 0, 0, 0, 0, 9, 0], None),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 10], None),
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], None),
        ([0] * 10, None),
    ],
)
def test_a_majority_is_more_than_half_of_what_is_left_without_single_votes(votes, winner):
    assert majority(votes) == winner


@given(st.lists(st.integers(0, 10), min_size=10, max_size=10))
def test_the_winner_has_more_votes_than_all_others_together(votes):
    winner = majority(votes)
    if winner is not None:
        assert winner < 8
        assert votes[winner] > sum(count for k, count in enumerate(votes) if k != winner and count > 1)


@pytest.fixture
def read(tmp_path):
    def read_file(lines, source="FER2013Test/{name}", usage="*"):
        trees.text(tmp_path / "votes.csv", lines)
        return read_votes("set", tmp_path, tmp_path / "votes.csv", CLASSES[:8], OWN, source, usage)

    return read_file


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,Training,1,2,3", r"votes.csv:1: expected two fields and 10 numbers of votes, found 'a.png,Training"),
        ("Training,a.png,1,2,3,4,5,6,7,8,9,x", r"votes.csv:1: expected two fields"),
        ("Training,a.png,1,2,3,4,5,6,7,8,9,99999999", r"votes.csv:1: expected two fields"),
        ("Training,../../a.png,9,0,0,0,0,0,0,0,0,0", r"votes.csv:1: .*does not lie below the root"),
    ],
)
def test_a_row_of_votes_that_cannot_be_read_is_named(read, line, message):
    with pytest.raises(UsageError, match=message):
        read([line])


def test_pictures_without_a_majority_are_left_out_and_counted(read, tmp_path):
    trees.picture(tmp_path / "FER2013Test/a.png")
    rows = [
        f'{name}.png,"(0, 0, 48, 48)",{",".join(map(str, votes))}'
        for name, votes in (("a", trees.votes(1)), ("b", trees.votes(1, most=5)), ("c", trees.votes(8, most=10)))
    ]
    manifest = read(rows)
    assert manifest.sample_ids == ("FER2013Test/a.png",)
    assert manifest.remarks == ("2 pictures have no majority for an expression and were left out (first: b.png)",)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            ["emotion,pixels", "0,1 2 3"],
            r"fer2013.csv:2: from here on the rows do not match those of .*\(1 and 2 rows\)",
        ),
        (["emotion,pixels,Usage", "0,1,Training"], r"fer2013.csv:3: from here on .*\(1 and 2 rows\): use a"),
        (["emotion,pixels,Usage", "0,1,Training", "0,1,PublicTest"], r"fer2013.csv:3: from here on"),
    ],
)
def test_a_table_of_pixels_whose_rows_are_not_those_of_the_votes_is_refused(read, tmp_path, table, message):
    trees.text(tmp_path / "fer2013.csv", table)
    lines = [f"Training,a{k}.png,{','.join(map(str, trees.votes(1)))}" for k in range(2)]
    with pytest.raises(UsageError, match=message):
        read([trees.VOTE_HEADER.strip(), *lines], source="fer2013.csv")


@pytest.mark.parametrize(
    "table",
    [
        '"Usage","emotion","pixels"\r\n"Training","0","1 2"\r\n"PublicTest","0","1 2"\r\n',
        "\ufeffemotion,pixels,Usage\n0,1 2,Training\n\n0,1 2,PublicTest\n",
    ],
    ids=["quoted, in another order", "byte order mark, blank line"],
)
def test_a_table_of_pixels_is_compared_with_the_votes_however_it_is_quoted(read, tmp_path, table):
    (tmp_path / "fer2013.csv").write_bytes(table.encode())
    votes = ",".join(map(str, trees.votes(1)))
    lines = [f"{usage},a.png,{votes}" for usage in ("Training", "PublicTest")]
    manifest = read([trees.VOTE_HEADER.strip(), *lines], source="fer2013.csv", usage="*")
    assert manifest.rows.frames.tolist() == [0, 1]
    with pytest.raises(UsageError, match=r"fer2013.csv:2: from here on"):
        read([trees.VOTE_HEADER.strip(), *reversed(lines)], source="fer2013.csv", usage="*")


def test_a_git_lfs_pointer_in_place_of_the_table_is_named(read, tmp_path):
    trees.text(tmp_path / "fer2013.csv", ["version https://git-lfs.github.com/spec/v1"])
    line = f"Training,a.png,{','.join(map(str, trees.votes(1)))}"
    with pytest.raises(UsageError, match=r"fer2013.csv: this is a git-lfs pointer.*git lfs pull"):
        read([line], source="fer2013.csv")


def test_votes_without_their_table_name_what_is_missing(read):
    line = f"Training,a.png,{','.join(map(str, trees.votes(1)))}"
    with pytest.raises(UsageError, match=r"none of the 1 images of set are there \(the first would be fer2013.csv\)"):
        read([line], source="fer2013.csv")


@pytest.fixture
def arrays(tmp_path):
    """Reads label arrays, given by stem; a picture lies beside each."""

    def read_arrays(contents: dict[str, object], left_out=None):
        (tmp_path / "annotations").mkdir(exist_ok=True)
        for stem, content in contents.items():
            trees.picture(tmp_path / "images" / f"{stem}.jpg")
            path = tmp_path / "annotations" / f"{stem}_exp.npy"
            path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
        return read_label_arrays(
            "set", tmp_path, tmp_path / "annotations", "images", CLASSES[:8], AFFECTNET, left_out or {}
        )

    return read_arrays


@pytest.mark.parametrize("number", [np.array("3"), np.array(3), np.array([3]), np.array(3.0), np.int64(3)])
def test_a_label_may_be_text_or_a_number(arrays, number):
    manifest = arrays({"1": number})
    assert [manifest.classes[label] for label in manifest.labels] == ["surprise"]


class Bomb:
    """Whoever unpickles it leaves a file behind."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(arrays, tmp_path):
    bomb = np.array(Bomb(tmp_path / "exploded"), dtype=object)
    for content in (bomb, pickle.dumps(Bomb(tmp_path / "exploded"))):
        with pytest.raises(UsageError, match=r"1_exp.npy: not an array of one number .*: restore it"):
            arrays({"1": content})
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello", np.arange(2), np.array("happy"), np.array([]), np.zeros(2000), np.array("1" * 4000)]
)
def test_an_array_that_holds_no_single_number_is_named(arrays, content):
    with pytest.raises(UsageError, match=r"1_exp.npy: (not an array of one number|expression)"):
        arrays({"1": content})


def test_a_number_that_is_none_of_the_data_sets_own_is_refused(arrays):
    with pytest.raises(
        UsageError, match=r"1_exp.npy: expression 11 is not one of the data set's own: 0 \(neutral\), 1"
    ):
        arrays({"1": np.array(11)})


def test_what_is_no_sample_of_the_data_set_is_left_out_with_a_remark(arrays, tmp_path):
    trees.picture(tmp_path / "images/7.jpg")
    manifest = arrays({"1": np.array(1), "2": np.array(8), "3": np.array(8)}, {"8": "no expression"})
    assert manifest.sample_ids == ("images/1.jpg",)
    assert manifest.remarks == (
        "2 images of no expression were left out (first: 2)",
        "1 image has no annotation and was left out (first: 7)",
    )


def test_an_annotation_without_its_picture_keeps_its_place(arrays, tmp_path):
    arrays({"1": np.array(1), "2": np.array(2)})
    (tmp_path / "images/2.jpg").unlink()
    assert arrays({}).rows.sizes.tolist()[1] == -1

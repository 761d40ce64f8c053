"""Pictures that are rows of a table."""

import numpy as np
import pytest
from expclip.encoders.images import ImageError
from expclip.encoders.pictures import read_pictures

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 48, 48), dtype=np.uint8)


def row(pixels: np.ndarray) -> str:
    return " ".join(map(str, pixels.reshape(-1)))


@pytest.fixture
def table(tmp_path):
    """Writes a table with some rows, the pictures where there are none."""

    def write(rows=None, header="emotion,pixels,Usage"):
        path = tmp_path / "fer2013.csv"
        lines = rows or [f"3,{row(one)},Training" for one in PIXELS]
        path.write_text("".join(f"{line}\n" for line in [header, *lines]))
        return path

    return write


def test_rows_are_the_pictures_that_were_written(table):
    found = dict(read_pictures(table(), [4, 1, 2]))
    assert sorted(found) == [1, 2, 4]
    for number, picture in found.items():
        assert picture.mode == "RGB"
        assert (np.asarray(picture) == PIXELS[number][:, :, None]).all()


@pytest.mark.parametrize("quote", ['"', " "])
def test_columns_are_found_by_their_name(table, quote):
    path = table([f"0,Training,{quote}{row(one)}{quote}" for one in PIXELS], "emotion, Usage, pixels")
    ((_, picture),) = read_pictures(path, [3])
    assert (np.asarray(picture)[:, :, 0] == PIXELS[3]).all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0,1 2 3,Training", "the row does not hold 48 × 48 values from 0 to 255"),
        (f"0,{row(PIXELS[0] * 0 + np.int64(256))},Training", "the row does not hold 48 × 48 values from 0 to 255"),
        (f"0,{row(PIXELS[0] * 0 - np.int64(1))},Training", "the row does not hold 48 × 48 values from 0 to 255"),
        (f"0,x {row(PIXELS[0])},Training", "the row holds something that is not a pixel value"),
        (f"0,{'9' * 40} {row(PIXELS[0])},Training", "the row holds something that is not a pixel value"),
        ("0", "the row holds something that is not a pixel value"),
        ("0,,Training", "the row does not hold 48 × 48 values from 0 to 255"),
    ],
)
def test_a_broken_row_fails_alone(table, line, message):
    found = dict(read_pictures(table([line, f"0,{row(PIXELS[1])},Training"]), [0, 1, 7]))
    assert str(found[0]) == message
    assert (np.asarray(found[1])[:, :, 0] == PIXELS[1]).all()
    assert str(found[7]) == "the table has no such row: is it the one that belongs to the votes?"


def test_a_table_that_cannot_be_read_says_so_for_each_row(table, tmp_path):
    for path, message in (
        (table(header="a,b,c"), "the table has no column `pixels`: is this FER2013's table?"),
        (tmp_path / "gone.csv", "the table cannot be read (No such file or directory)"),
    ):
        found = dict(read_pictures(path, [5, 3]))
        assert sorted(found) == [3, 5]
        assert all(isinstance(one, ImageError) and message in str(one) for one in found.values())


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    "columns", [("emotion", "pixels", "Usage"), ("pixels", "Usage", "emotion"), ("Usage", "PIXELS")]
)
def test_quotes_ends_of_lines_and_byte_order_marks_do_not_matter(tmp_path, end, mark, columns):
    cells = {"emotion": "3", "usage": "Training"}
    lines = [",".join(f'"{name}"' for name in columns)]
    for one in PIXELS:
        lines += [",".join(f'"{cells.get(name.lower(), row(one))}"' for name in columns), ""]
    path = tmp_path / "fer2013.csv"
    path.write_bytes((mark + end.join(lines) + end).encode())
    found = dict(read_pictures(path, [0, 5]))
    assert (np.asarray(found[0])[:, :, 0] == PIXELS[0]).all()
    assert (np.asarray(found[5])[:, :, 0] == PIXELS[5]).all()


def test_an_endless_line_is_not_read(table):
    found = dict(read_pictures(table([f"0,{'1 ' * 200_000},Training"]), [0]))
    assert "the table has a line of more than 65,536 bytes" in str(found[0])


def test_a_git_lfs_pointer_is_named(tmp_path):
    (tmp_path / "fer2013.csv").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    assert "this is a git-lfs pointer" in str(dict(read_pictures(tmp_path / "fer2013.csv", [0]))[0])

"""Boxes from lists in every accepted form, and which of several faces is chosen."""

import pytest
from expclip import UsageError
from expclip.manifests.boxes import Face, central, largest, read_boxes
from hypothesis import given
from hypothesis import strategies as st

CORNERS = Face(10, 20, 110, 220)


@pytest.mark.parametrize(
    "text",
    [
        "train/Anger/a b 1.png 10 20 110 220\n",
        "train/Anger/a b 1.png\t10\t20\t110\t220\r\n",
        "train/Anger/a b 1.png,10,20,110,220",
        "train/Anger/a b 1.png; 10.0; 20.0; 110; 2.2e2\n",
        '"train/Anger/a b 1.png", 10, 20, 110, 220\n',
        "\ufeffpath,x0,y0,x1,y1\ntrain/Anger/a b 1.png,10,20,110,220\n",
        "filename x1 y1 x2 y2\ntrain/Anger/a b 1.png 10 20 110 220\n",
        "Image,xmin,ymin,xmax,ymax\ntrain/Anger/a b 1.png,10,20,110,220\n",
        "image;left;top;right;bottom\n./train//Anger/a b 1.png;10;20;110;220\n",
        "path,x,y,w,h\ntrain/Anger/a b 1.png,10,20,100,200\n",
        '"path","x","y","width","height"\n"train/Anger/a b 1.png",10,20,100,200\n',
        "path,label,h,w,y,x,score\ntrain\\Anger\\a b 1.png,anger,200,100,20,10,0.9\n",
    ],
)
def test_every_accepted_form_gives_the_same_box(tmp_path, text):
    path = tmp_path / "boxes.txt"
    path.write_bytes(text.encode())
    assert read_boxes(path).faces == {"train/Anger/a b 1.png": [CORNERS]}


def test_a_path_may_hold_the_separators_of_others(tmp_path):
    path = tmp_path / "boxes.txt"
    path.write_text("a, b;c, d, e.png 10 20 110 220\n")
    assert read_boxes(path).faces == {"a, b;c, d, e.png": [CORNERS]}
    path.write_text('path,x,y,w,h\n"say ""hi"", you.png",10,20,100,200\n')
    assert read_boxes(path).faces == {'say "hi", you.png': [CORNERS]}


def test_an_image_with_several_lines_has_several_faces(tmp_path):
    path = tmp_path / "boxes.txt"
    path.write_text("a.png 0 0 5 5\nb.png 0 0 1 1\n\na.png 5 5 9 9\n")
    assert read_boxes(path).faces == {"a.png": [Face(0, 0, 5, 5), Face(5, 5, 9, 9)], "b.png": [Face(0, 0, 1, 1)]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.png 1 2 3 4\n../a.png 1 2 3 4\n", r"boxes.txt:2: '../a.png' does not lie below the root"),
        ("b/../../a.png 1 2 3 4\n", "to the folder of the images"),
        ("/etc/a.png 1 2 3 4\n", "does not lie below the root"),
        ("C:\\a.png,1,2,3,4\n", "does not lie below the root"),
        ("..\\..\\a.png,1,2,3,4\n", "does not lie below the root"),
        ("", "boxes.txt: the list holds no boxes"),
        ("path,x,y,w,h\n", "boxes.txt: the list holds no boxes"),
        ("a.png 1 2 3\n", r"boxes.txt:1: 'a.png 1 2 3' is not a line of boxes: write lines `path x0 y0 x1 y1`"),
        ("path,x0,y0\n", "boxes.txt:1: 'path,x0,y0' is not a line of boxes"),
        ("x,y,w,h,path\n", "boxes.txt: the list holds no boxes"),
        ("1 2 3 4 a.png\n", "is not a line of boxes"),
        ("a.png 1 2 3 4\nb.png 1 2 3\n", r"boxes.txt:2: expected a path and x0 y0 x1 y1, found 'b.png 1 2 3'"),
        ("a.png 1 2 3 4\nb.png 1 2 3 nan\n", "boxes.txt:2: expected"),
        ("a.png 1 2 3 4\nb.png 1 2 3 1e300\n", "boxes.txt:2: expected"),
        ("path,x,y,w,h\na.png,1,2,,4\n", "boxes.txt:2: expected a path and x y w h"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_and_line(tmp_path, text, said):
    path = tmp_path / "boxes.txt"
    path.write_bytes(text.encode())
    with pytest.raises(UsageError) as refusal:
        read_boxes(path)
    assert said in str(refusal.value)


@given(st.tuples(*[st.floats(-50, 150)] * 4), st.integers(1, 100), st.integers(1, 100), st.floats(0, 2))
def test_what_is_inside_is_in_the_image_and_covers_the_box(box, width, height, margin):
    face = Face(*box)
    region = face.inside(width, height, margin)
    if region is None:
        return
    left, top, right, bottom = region
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert left <= max(0, box[0]) and min(width, box[2]) <= right
    assert top <= max(0, box[1]) and min(height, box[3]) <= bottom


def test_a_margin_is_a_share_of_the_box_on_each_side_cut_at_the_image():
    assert Face(40, 40, 60, 80).inside(100, 100, 0.25) == (35, 30, 65, 90)
    assert Face(40, 40, 60, 80).inside(100, 85, 2) == (0, 0, 100, 85)
    assert Face(-30, -30, 10, 20).inside(100, 100) == (0, 0, 10, 20)


@pytest.mark.parametrize("box", [(-9, 0, 0, 9), (100, 0, 120, 9), (5, 5, 5, 9), (9.8, 5, 9.2, 9), (0, 0, 0, 0)])
def test_a_box_beside_the_image_or_without_extent_is_none_whatever_the_margin(box):
    assert Face(*box).inside(100, 100) is None


def test_largest_counts_what_is_in_the_image_and_central_its_middle():
    beside = Face(-500, 0, 10, 100)
    small = Face(45, 45, 55, 55)
    corner = Face(60, 60, 95, 95)
    faces = [small, beside, corner]
    assert largest(faces, 100, 100) == corner
    assert central(faces, 100, 100) == small


def test_of_equal_faces_the_surest_is_chosen_and_then_the_first():
    first, twin, sure = Face(0, 0, 9, 9, 0.5), Face(11, 11, 20, 20, 0.5), Face(11, 0, 20, 9, 0.9)
    for choose in (largest, central):
        assert choose([first, twin, sure], 20, 20) == sure
        assert choose([first, twin], 20, 20) == first


@pytest.mark.parametrize(
    "text",
    [
        "x0,y0,x1,y1,path\n10,20,110,220,train/Anger/a b 1.png\n",
        'label,path,x,y,w,h\n"anger, mostly","train/Anger/a b 1.png",10,20,100,200\n',
        "score\tx1\ty1\tx2\ty2\timage\n0.9\t10\t20\t110\t220\ttrain/Anger/a b 1.png\n",
        "x1 y1 x2 y2 image\n10 20 110 220 train/Anger/a b 1.png\n",
        "'train\\Anger\\a b 1.png' 10 20 110 220\n",
    ],
)
def test_the_path_may_stand_in_any_column_that_is_named(tmp_path, text):
    path = tmp_path / "boxes.txt"
    path.write_text(text)
    assert read_boxes(path).faces == {"train/Anger/a b 1.png": [CORNERS]}


@pytest.mark.parametrize(
    ("text", "is_relative"),
    [
        ("a.png 0.2 0.1 0.8 0.9\nb.png 0 0 1 1\n", True),
        ("a.png 0 0 1 1\n", True),
        ("a.png -0.02 0.1 0.8 1.03\n", True),
        ("a.png 0 0 0 0\nb.png 0.1 0.1 0.9 0.9\n", True),
        ("path,x,y,w,h\na.png,0.5,0.5,0.4,0.4\n", True),
        ("a.png 0 0 0 0\n", False),
        ("a.png 0 0 1 1\nb.png 0 0 9 9\n", False),
        ("a.png 0.5 0.5 90.5 90.5\n", False),
        ("a.png 0 0 2 2\n", False),
    ],
)
def test_a_list_of_shares_is_one_of_shares_as_a_whole(tmp_path, text, is_relative):
    path = tmp_path / "boxes.txt"
    path.write_text(text)
    assert read_boxes(path).is_relative == is_relative


def test_shares_among_pixels_are_refused_with_their_line(tmp_path):
    path = tmp_path / "boxes.txt"
    path.write_text("a.png 0 0 90 90\nb.png 0.1 0.1 0.9 0.9\n")
    with pytest.raises(UsageError, match=r"boxes.txt:2: this box is a share .* and others of the list are pixels"):
        read_boxes(path)


@pytest.mark.parametrize("line", ["b.png 100 40 60 80", "b.png 40 100 60 80", "b.png 0.5 0.5 0.3 0.3"])
def test_a_width_and_a_height_are_not_taken_for_a_corner(tmp_path, line):
    path = tmp_path / "boxes.txt"
    first = "a.png 0.1 0.1 0.3 0.3" if "." in line.split(maxsplit=1)[1] else "a.png 10 10 60 80"
    path.write_text(f"{first}\n{line}\n")
    with pytest.raises(
        UsageError, match=r"boxes.txt:2: .* are not two corners: .* write `path x y w h` as its first"
    ):
        read_boxes(path)
    path.write_text(f"path x0 y0 x1 y1\n{line}\n")
    assert len(read_boxes(path).faces) == 1  # who says that they are corners is believed

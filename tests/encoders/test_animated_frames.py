"""Frames of picture files that hold several, as clips and as still images."""

import struct
import zlib

import numpy as np
import pytest
from expclip.encoders.images import ImageError
from expclip.encoders.picture_errors import IncompleteError
from expclip.encoders.pictures import read_pictures
from expclip.manifests.animations import count_pictures, is_animated
from PIL import Image, features

KINDS = {
    "a.gif": {},
    "a.webp": {"lossless": True},
    "a.png": {},
    "default image.png": {"default_image": True},
    "a.tif": {},
    "a.tiff": {"big_tiff": True},
    **({"a.avif": {"quality": 100, "subsampling": "4:4:4"}} if features.check("avif") else {}),
}
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]


def frames() -> list[Image.Image]:
    """Five pictures: the colour of each fills all, and a white square moves over it."""
    made = []
    for number, colour in enumerate(COLOURS):
        image = Image.new("RGB", (40, 30), colour)
        image.paste((255, 255, 255), (number * 8, 10, number * 8 + 8, 18))
        made.append(image)
    return made


@pytest.fixture(params=KINDS)
def animation(request, tmp_path):
    path = tmp_path / request.param
    options = KINDS[request.param]
    first, *more = frames()
    if options.get("default_image"):
        first, more = Image.new("RGB", (40, 30)), [first, *more]
    first.save(path, save_all=True, append_images=more, **options)
    return path


def test_frames_are_those_that_were_written_in_any_order(animation):
    assert count_pictures(animation) == 5
    assert is_animated(animation)
    found = dict(read_pictures(animation, [4, 1, 2], is_clip=True))
    assert sorted(found) == [1, 2, 4]
    for number, picture in found.items():
        difference = np.asarray(picture).astype(int) - np.asarray(frames()[number])
        assert np.abs(difference).max() <= (
            0 if animation.suffix in (".png", ".tif", ".tiff", ".webp", ".gif") else 60
        )


def test_they_are_counted_without_a_decoder(animation, tmp_path, monkeypatch):
    first, *more = frames()
    first.save(tmp_path / "b.mpo", save_all=True, append_images=more)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened by Pillow"))
    assert (count_pictures(animation), count_pictures(tmp_path / "b.mpo")) == (5, 5)


HEADS = {
    "a.webp": b"RIFF\xff\xff\xff\xffWEBP",
    "a.png": b"\x89PNG\r\n\x1a\n",
    "a.gif": b"GIF89a",
    "a.tif": b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0",
    "a.mpo": b"\xff\xd8\xff",
    "a.avif": b"\0\0\0\x10ftypavis\0\0\0\0",
    "b.png": b"nothing",
}


@pytest.mark.parametrize("name", HEADS)
def test_a_sparse_file_of_a_terabyte_is_not_walked_through(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.write(HEADS[name])
        file.truncate(2**40)
    assert not is_animated(tmp_path / name)
    assert count_pictures(tmp_path / name) < 2


def test_an_avif_that_lies_about_its_frames_has_no_more_than_it_has_bytes(tmp_path):
    def box(kind, content):
        return struct.pack(">I4s", 8 + len(content), kind) + content

    sizes = box(b"stsz", struct.pack(">III", 0, 1, 2**32 - 1))
    for kind in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        sizes = box(kind, sizes)
    content = box(b"ftyp", b"avis\0\0\0\0") + sizes
    (tmp_path / "a.avif").write_bytes(content)
    assert count_pictures(tmp_path / "a.avif") <= len(content)


def test_of_a_file_that_ends_early_the_frames_before_its_end_count(animation):
    content = animation.read_bytes()
    animation.write_bytes(content[: len(content) * 3 // 4])
    assert count_pictures(animation) > 2


def test_as_a_still_image_a_file_is_its_first_picture_whatever_its_number(animation):
    (zero, first), (_, other) = (next(iter(read_pictures(animation, [number]))) for number in (0, 7))
    assert np.array_equal(np.asarray(first), np.asarray(other))
    as_frame = dict(read_pictures(animation, [zero], is_clip=True))[zero]
    assert np.array_equal(np.asarray(first), np.asarray(as_frame)) != (animation.name == "default image.png")


def test_an_mpo_has_its_pictures(tmp_path):
    first, second, *_ = frames()
    first.save(tmp_path / "a.mpo", save_all=True, append_images=[second])
    assert is_animated(tmp_path / "a.mpo")
    found = dict(read_pictures(tmp_path / "a.mpo", [0, 1, 2], is_clip=True))
    assert isinstance(found[2], ImageError)
    for number in (0, 1):
        assert np.abs(np.asarray(found[number])[0, 0].astype(int) - COLOURS[number]).max() < 5


def test_frames_that_are_not_there_fail_alone(animation):
    found = dict(read_pictures(animation, [0, 4, 5, 90], is_clip=True))
    assert [isinstance(found[number], ImageError) for number in (0, 4, 5, 90)] == [False, False, True, True]


def test_a_still_picture_has_one(tmp_path):
    for name in KINDS:
        frames()[0].save(tmp_path / name)
        assert (count_pictures(tmp_path / name), is_animated(tmp_path / name)) == (1, False)
    frames()[0].save(tmp_path / "a.jpg")
    (tmp_path / "b.gif").write_bytes(b"GIF89a")
    (tmp_path / "c.png").write_text("no picture")
    (tmp_path / "folder.gif").mkdir()
    assert not any(
        is_animated(path) for path in (tmp_path / "a.jpg", *tmp_path.glob("[bc].*"), tmp_path / "folder.gif")
    )


def test_frames_are_shown_over_what_earlier_ones_left(tmp_path):
    base = Image.new("P", (8, 8), 1)
    base.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    spots = []
    for number in range(3):
        spot = Image.new("P", (8, 8), 0)
        spot.putpalette(base.getpalette())
        spot.paste(2, (number, 0, number + 1, 8))
        spots.append(spot)
    base.save(tmp_path / "a.gif", save_all=True, append_images=spots, transparency=0, disposal=1)
    last = np.asarray(dict(read_pictures(tmp_path / "a.gif", [3], is_clip=True))[3])
    assert last[0].tolist() == [[0, 0, 255]] * 3 + [[255, 0, 0]] * 5


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


METADATA = {
    "bad checksum": chunk(b"tEXt", b"a\0b", 0),
    "too much text": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(70_000_000))),
    "too short": chunk(b"pHYs", b"1"),
}


@pytest.mark.parametrize("name", METADATA)
@pytest.mark.parametrize("before", [b"acTL", b"IDAT", b"fdAT", b"IEND"])
def test_the_metadata_of_an_animated_png_do_not_matter(tmp_path, name, before):
    path = tmp_path / "a.png"
    first, *more = (frame.convert("P") for frame in frames())
    first.save(path, save_all=True, append_images=more, transparency=0)
    expected = dict(read_pictures(path, range(5), is_clip=True))
    content = path.read_bytes()
    at = content.index(before) - 4
    path.write_bytes(content[:at] + METADATA[name] + content[at:])
    found = dict(read_pictures(path, range(5), is_clip=True))
    assert [np.array_equal(np.asarray(found[number]), np.asarray(expected[number])) for number in range(5)] == [
        True
    ] * 5


def test_what_makes_the_pixels_of_an_animated_png_does(tmp_path):
    path = tmp_path / "a.png"
    first, *more = frames()
    first.save(path, save_all=True, append_images=more)
    content = path.read_bytes()
    at = content.index(b"fdAT")
    path.write_bytes(content[: at + 40] + b"damage" + content[at + 46 :])
    found = dict(read_pictures(path, range(5), is_clip=True))
    assert [isinstance(found[number], ImageError) for number in range(2)] == [False, True]


def fails(path, number: int) -> list[bool]:
    found = dict(read_pictures(path, range(number), is_clip=True))
    return [isinstance(found[frame], IncompleteError) for frame in range(number)]


@pytest.mark.parametrize("short", range(3))
def test_a_frame_of_a_png_without_all_of_its_rows_and_those_over_it_fail(tmp_path, short):
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 8, 8, 0, 0, 0, 0))
    content += chunk(b"acTL", struct.pack(">II", 3, 0))
    for frame in range(3):
        control = struct.pack(">IIIIIHHBB", max(0, 2 * frame - 1), 4, 8, 0, 0, 1, 10, 0, 0)
        rows = zlib.compress(b"\0abcd" * (5 if frame == short else 8))
        rows = struct.pack(">I", 2 * frame) + rows if frame else rows
        content += chunk(b"fcTL", control) + chunk(b"fdAT" if frame else b"IDAT", rows)
    (tmp_path / "a.png").write_bytes(content + chunk(b"IEND", b""))
    assert fails(tmp_path / "a.png", 3) == [frame >= short for frame in range(3)]


@pytest.mark.parametrize("tag", [273, 279])
def test_a_page_of_a_tiff_without_its_strips_fails(tmp_path, tag):
    path = tmp_path / "a.tif"
    first, *more = frames()[:3]
    first.save(path, save_all=True, append_images=more)
    content = bytearray(path.read_bytes())
    directory = int.from_bytes(content[4:8], "little")
    directory = int.from_bytes(content[directory + 2 + 12 * content[directory] :][:4], "little")
    entry = next(at for at in range(directory + 2, len(content), 12) if content[at] + 256 * content[at + 1] == tag)
    content[entry + 8 : entry + 12] = bytes(4)
    path.write_bytes(content)
    assert fails(path, 3)[1]


@pytest.mark.parametrize("cut", range(2))
def test_a_picture_of_an_mpo_that_ends_early_and_those_behind_it_fail(tmp_path, cut):
    path = tmp_path / "a.mpo"
    noise = [Image.effect_noise((64, 64), 80 + number).convert("RGB") for number in range(2)]
    noise[0].save(path, save_all=True, append_images=noise[1:])
    content = path.read_bytes()
    second = content.index(b"\xff\xd8", 2)
    end = content.rindex(b"\xff\xd9", 0, second) if cut == 0 else len(content) - 2
    path.write_bytes(content[: end - 400] + b"\xff\xd9" + bytes(400) + content[end + 2 :])
    assert fails(path, 2) == [cut == 0, True]


def test_declared_numbers_of_frames_are_not_believed(tmp_path):
    path = tmp_path / "a.png"
    frames()[0].save(path, save_all=True, append_images=frames()[1:])
    content = path.read_bytes()
    at = content.index(b"acTL")
    lie = b"acTL" + struct.pack(">II", 2_000_000_000, 0)
    path.write_bytes(content[:at] + lie + struct.pack(">I", zlib.crc32(lie)) + content[at + 16 :])
    assert count_pictures(path) == 5
    found = dict(read_pictures(path, [0, 4, 1_999_999_999], is_clip=True))
    assert [isinstance(found[number], ImageError) for number in (0, 4, 1_999_999_999)] == [False, False, True]


def test_many_frames_of_many_pixels_are_not_decoded_for_one(tmp_path):
    Image.new("P", (100, 100)).save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("P", (100, 100), 1)])
    found = dict(read_pictures(tmp_path / "a.gif", [0, 101], max_pixels=10_000, is_clip=True))
    assert [isinstance(found[number], ImageError) for number in (0, 101)] == [False, True]
    assert "save it as a video" in str(found[101])
    found = dict(read_pictures(tmp_path / "a.gif", [0], max_pixels=9_999, is_clip=True))
    assert found[0].limit == 9_999

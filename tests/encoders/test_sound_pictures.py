"""What is sound is read whatever lies beside its pixels; what lacks pixels fails instead of being black or grey."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from expclip.encoders.images import ImageError, read_image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, features

SIDE = 80
PIXELS = np.kron(np.random.default_rng(0).integers(0, 256, (10, 10, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
EOI = b"\xff\xd9"


def encoded(kind: str, pixels: np.ndarray = PIXELS, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(*before: bytes, rows: bytes | None = None, after: bytes = b"", interlaced: int = 0) -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in PIXELS) if rows is None else rows
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, interlaced))
    parts = [head, *before, chunk(b"IDAT", zlib.compress(rows)), after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def read(tmp_path):
    """The pixels of a file with some content."""

    def pixels(content: bytes, **how) -> np.ndarray:
        path = tmp_path / "picture"
        path.write_bytes(content)
        return np.asarray(read_image(path, **how))

    return pixels


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_jpeg_that_ends_in_zeros_as_a_download_that_was_cut_leaves_it_fails(read, share, progressive):
    content = encoded("JPEG", np.asarray(Image.effect_noise((300, 300), 90)), progressive=progressive)
    cut = int(share * len(content))
    with pytest.raises(ImageError, match="zeros"):
        read(content[:cut] + bytes(len(content) - cut))
    np.testing.assert_array_equal(read(content + bytes(5000)), read(content))


LONG = bytes(3_000_000)
TEXTS = {
    "a colour profile of 3 MB": chunk(b"iCCP", b"p\0\0" + zlib.compress(LONG)),
    "a compressed text of 3 MB": chunk(b"zTXt", b"t\0\0" + zlib.compress(LONG)),
    "a compressed international text of 3 MB": chunk(b"iTXt", b"t\0\1\0\0\0" + zlib.compress(LONG)),
    "many texts": b"".join(chunk(b"tEXt", b"%d\0" % k + bytes(1_000_000)) for k in range(70)),
    "a bad checksum of a text": chunk(b"tEXt", b"a\0b", 7),
    "a bad checksum of an unknown chunk": chunk(b"abCd", b"a\0b", 7),
    "a gamma that is too short": chunk(b"gAMA", b"\0"),
    "a colour profile without an end": chunk(b"iCCP", b"p\0"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("place", ["before", "after"])
def test_the_metadata_of_a_png_do_not_matter(read, text, place):
    content = png(text) if place == "before" else png(after=text)
    assert (read(content) == PIXELS).all()


def test_exif_data_of_a_png_whose_other_metadata_are_bad_still_say_what_is_up(read):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = read(png(chunk(b"eXIf", exif.tobytes()[6:]), TEXTS["a bad checksum of a text"]), honour_orientation=True)
    assert (turned == np.rot90(PIXELS, -1)).all()


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE"])
def test_a_bad_checksum_of_what_makes_the_pixels_of_a_png_does_matter(read, kind):
    image = Image.fromarray(PIXELS).convert("P")
    content = bytearray(encoded("PNG", np.asarray(image))) if kind == b"IHDR" else None
    if content is None:
        file = io.BytesIO()
        image.save(file, "PNG")
        content = bytearray(file.getvalue())
    at = content.index(kind)
    content[at + 4 + int.from_bytes(content[at - 4 : at], "big")] ^= 1
    with pytest.raises(ImageError):
        read(bytes(content))


def adam7(rows: int) -> bytes:
    """The data of an interlaced picture, without its last rows of the last pass."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    lines = [b"\0" + row.tobytes() for x, y, dx, dy in passes for row in PIXELS[y::dy, x::dx]]
    return b"".join(lines[: len(lines) - rows])


def test_a_png_whose_data_end_before_its_rows_do_is_no_black_picture(read):
    rows = b"".join(b"\0" + row.tobytes() for row in PIXELS)
    for missing in (1, 241, len(rows) // 2, len(rows) - 5):
        with pytest.raises(ImageError, match=r"ends before its last rows|truncated"):
            read(png(rows=rows[:-missing]))
    for missing in (1, 20):
        with pytest.raises(ImageError, match="ends before its last rows"):
            read(png(rows=adam7(missing), interlaced=1))
    assert (read(png(rows=adam7(0), interlaced=1)) == PIXELS).all()
    assert (read(png(rows=rows + b"more")) == PIXELS).all()


@pytest.mark.parametrize("value", [0, 90, 255, (90, 1, 200)])
def test_a_png_of_one_colour_is_sound_whichever_it_is(read, value):
    pixels = np.full((5, 7, 3), value, dtype=np.uint8)
    assert (read(encoded("PNG", pixels)) == pixels).all()
    grey = pixels[:, :, 0]
    assert (read(encoded("PNG", grey)) == grey[..., None]).all()


JPEGS = {
    "usual": {},
    "4:4:4": {"subsampling": 0},
    "grey": {"grey": True},
    "restarts": {"restart_marker_blocks": 3},
    "restarts, grey": {"restart_marker_blocks": 1, "grey": True},
    "restarts, 4:2:2": {"restart_marker_rows": 1, "subsampling": 1},
    "progressive": {"progressive": True},
    "progressive, grey": {"progressive": True, "grey": True},
}


def jpeg(pixels: np.ndarray = PIXELS, grey: bool = False, **options) -> bytes:
    return encoded("JPEG", pixels[:, :, 0] if grey else pixels, **options)


@given(
    st.sampled_from(list(JPEGS)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([5, 75, 95]),
    st.sampled_from(["noise", "grey", "black"]),
)
@settings(max_examples=150, deadline=None)
def test_sound_jpegs_of_every_kind_are_read_as_pillow_does(tmp_path_factory, kind, size, quality, what):
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels = {"noise": pixels, "grey": np.full_like(pixels, 128), "black": np.zeros_like(pixels)}[what]
    content = jpeg(pixels, quality=quality, **JPEGS[kind])
    path = tmp_path_factory.mktemp("jpeg") / "a.jpg"
    for more in (b"", b"\0" * 100, EOI, b"\xff" * 3 + EOI + content):
        path.write_bytes(content + more)
        assert np.array_equal(
            np.asarray(read_image(path)), np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        )


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("kept", [0.4, 0.6, 0.8, 0.9])
def test_a_jpeg_that_ends_early_is_no_grey_picture(read, kind, kept):
    content = jpeg(quality=95, **JPEGS[kind])
    begin = content.index(b"\xff\xda")
    with pytest.raises(ImageError, match="missing"):
        read(content[: begin + int((len(content) - begin) * kept)].rstrip(b"\xff") + EOI)


def test_that_another_program_lets_pillow_read_halves_does_not_matter(read, monkeypatch):
    for content in (jpeg(), png()):
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        with pytest.raises(ImageError):
            read(content[: len(content) // 2])


def test_a_jpeg_without_some_restart_intervals_fails(read):
    content = jpeg(restart_marker_blocks=3)
    first, last = content.index(b"\xff\xd1"), content.index(b"\xff\xd3")
    with pytest.raises(ImageError, match="restart markers are not in order"):
        read(content[:first] + content[last:])


def test_a_jpeg_with_thousands_of_scans_is_refused_before_it_is_decoded(read):
    content = jpeg(progressive=True)
    begin, end = content.rindex(b"\xff\xda"), content.rindex(EOI)
    with pytest.raises(ImageError, match="more than 200 scans"):
        read(content[:begin] + content[begin:end] * 300 + EOI)


def gif(width: int, height: int, transparent: bool) -> bytes:
    """A GIF of 4 × 4 red pixels on a larger canvas."""
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putpixel((0, 0), 0)
    file = io.BytesIO()
    image.save(file, "GIF", **({"transparency": 0} if transparent else {}))
    content = bytearray(file.getvalue())
    content[6:10] = struct.pack("<HH", width, height)
    return bytes(content)


def test_a_gif_whose_first_frame_covers_only_a_part_fails_unless_the_rest_is_transparent(read):
    assert (read(gif(4, 4, False))[1:] == [255, 0, 0]).all()
    with pytest.raises(ImageError, match="its first frame has only 4 × 4 pixels, the picture 8 × 6"):
        read(gif(8, 6, False))
    assert read(gif(8, 6, True)).shape == (6, 8, 3)


ROWS = 16
RAW = bytes([77]) * (ROWS * ROWS)
PACKED = zlib.compress(RAW[: 4 * ROWS])


def tiff(data: bytes, **changed: list[int] | None) -> bytes:
    """A grey TIFF of 16 × 16 pixels, in four strips of four rows where nothing else is said."""
    tags = {"width": (256, 4, [ROWS]), "length": (257, 4, [ROWS]), "bits": (258, 3, [8]), "packed": (259, 3, [1])}
    tags |= {"white": (262, 3, [1]), "strips": (273, 4, []), "samples": (277, 3, [1]), "rows": (278, 4, [4])}
    tags |= {"bytes": (279, 4, []), "tile width": (322, 4, []), "tile length": (323, 4, []), "tiles": (324, 4, [])}
    tags |= {"tile bytes": (325, 4, [])}
    entries = [(tag, kind, changed.get(name.replace(" ", "_"), values)) for name, (tag, kind, values) in tags.items()]
    entries = [(tag, kind, values) for tag, kind, values in entries if values]
    at = 8 + len(data)
    behind = at + 2 + 12 * len(entries) + 4
    body = more = b""
    for tag, kind, values in entries:
        value = struct.pack(f"<{len(values)}{'I' if kind == 4 else 'H'}", *values)
        if len(value) > 4:
            value, more = struct.pack("<I", behind + len(more)), more + value
        body += struct.pack("<HHI", tag, kind, len(values)) + value.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", at) + data + struct.pack("<H", len(entries)) + body + bytes(4) + more


STRIPS = {"strips": [8, 72, 136, 200], "bytes": [64] * 4}


@pytest.mark.parametrize(
    "content",
    [
        tiff(RAW, strips=[8, 72], bytes=[64, 64]),
        tiff(RAW, strips=[8, 72, 0, 200], bytes=[64, 64, 0, 64]),
        tiff(PACKED, packed=[8], strips=[8, 8], bytes=[len(PACKED)] * 2),
        tiff(PACKED, packed=[8], strips=[8, 8, 8, 0], bytes=[len(PACKED)] * 3 + [0]),
        tiff(RAW, tiles=[8], tile_bytes=[64], tile_width=[8], tile_length=[8]),
    ],
    ids=["too few strips", "a hole", "too few compressed strips", "a hole in compressed strips", "too few tiles"],
)
def test_a_tiff_without_some_strips_or_tiles_fails(read, content):
    assert (read(tiff(RAW, **STRIPS)) == 77).all()
    with pytest.raises(ImageError, match="parts of the picture are missing in the file"):
        read(content)


@pytest.mark.parametrize("tag", [258, 266, 274])
def test_a_tiff_whose_description_of_its_pixels_cannot_be_read_fails(read, tag):
    content = tiff(RAW, strips=[8], bytes=[256], rows=[16])
    entry = struct.pack("<HHI", 258, 3, 1)
    with pytest.raises(ImageError, match=rf"how its pixels are stored is missing in the file \(tag {tag}\)"):
        read(content.replace(entry, struct.pack("<HHI", tag, 3, 900_000)))


def test_tiles_far_larger_than_their_picture_are_not_decoded(read):
    with pytest.raises(ImageError, match="its tiles, of 32,768 × 32,768 pixels, are larger than the picture"):
        read(tiff(PACKED, packed=[8], tiles=[8], tile_bytes=[len(PACKED)], tile_width=[2**15], tile_length=[2**15]))


HEADS = {
    "version https://git-lfs.github.com/spec/v1\noid sha256:00\n": "this is a git-lfs pointer, .*`git lfs pull`",
    "\n<!DOCTYPE html><html>": "this is a web page, not the file itself: download it again",
    "\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X": "this holds what macOS notes of another file: remove it",
    "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic": "Pillow cannot read HEIC: save it as PNG or JPEG",
    "\x00\x00\x00\x0cJXL \r\n\x87\n": "Pillow cannot read JPEG XL: save it as PNG or JPEG",
}


@pytest.mark.parametrize(("head", "message"), HEADS.items(), ids=["lfs", "html", "macOS", "HEIC", "JPEG XL"])
def test_what_lies_in_the_place_of_a_picture_is_named(read, head, message):
    with pytest.raises(ImageError, match=message):
        read(head.encode("latin-1"))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read_where_pillow_can(read, monkeypatch):
    content = encoded("AVIF", quality=100, subsampling="4:4:4")
    assert np.abs(read(content).astype(int) - PIXELS).max() < 12
    with pytest.raises(ImageError, match="the AVIF picture is damaged or not complete"):
        read(content[: len(content) // 2])
    monkeypatch.setattr("expclip.encoders.opening._formats", lambda: ("PNG", "JPEG"))
    with pytest.raises(
        ImageError, match="this Pillow cannot read AVIF: run pip install -U pillow, or save it as PNG"
    ):
        read(content)


def test_pillow_warns_of_nothing_on_the_terminal(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(RAW, **STRIPS).replace(struct.pack("<HHI", 258, 3, 1), bytes(8)))
    (tmp_path / "b.png").write_bytes(png(chunk(b"acTL", bytes(8))))
    Image.new("L", (9500, 9500)).save(tmp_path / "c.png")
    code = """
import sys
from pathlib import Path
from expclip.encoders.images import ImageError, read_image
for path in Path(sys.argv[1]).iterdir():
    try:
        read_image(path)
    except ImageError:
        pass
"""
    told = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")

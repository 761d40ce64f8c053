"""Every kind of image as 8-bit RGB, and what is wrong with files that are none."""

import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from expclip.encoders.images import ImageError, read_image, squash
from expclip.encoders.squash import Squash
from expclip.errors import ExpclipError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

RAMP = np.array([[0, 1, 128, 129, 255, 256, 257, 385, 386, 32767, 32768, 65534, 65535]], dtype=np.uint16)


def pixels(path, honour_orientation=False):
    image = read_image(path, honour_orientation)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def grey(values):
    """What RGB pixels of some brightness are."""
    return np.repeat(np.asarray(values, dtype=int)[..., None], 3, axis=-1)


def png(width, height, depth, colour, rows, extra=b""):
    """A PNG written by hand: Pillow writes no 16-bit colour and no sizes that are not true."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def photo():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8))


@pytest.fixture
def save(tmp_path):
    """Saves an image, or bytes, under some name."""

    def write(image, name="x.png", **options):
        path = tmp_path / name
        if isinstance(image, bytes):
            path.write_bytes(image)
        else:
            image.save(path, **options)
        return path

    return write


def test_rgb_stays_as_it_is(photo, save):
    assert (pixels(save(photo)) == np.asarray(photo)).all()


def test_palette_images_have_the_colours_of_their_palette(save):
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    assert pixels(save(image)).tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]


def test_greyscale_is_the_same_in_each_channel(save):
    values = np.arange(256, dtype=np.uint8)[None]
    assert (pixels(save(Image.fromarray(values))) == grey(values)).all()


def test_one_bit_images_are_black_and_white(save):
    assert (pixels(save(png(8, 1, 1, 0, b"\0\xb1"))) == grey([[255, 0, 255, 255, 0, 0, 0, 255]])).all()


def test_transparency_is_dropped_and_the_colour_below_it_stays(save):
    rgba = np.array([[[10, 20, 30, 0], [40, 50, 60, 128]]], dtype=np.uint8)
    assert (pixels(save(Image.fromarray(rgba))) == rgba[..., :3]).all()
    la = np.array([[[10, 0], [40, 128]]], dtype=np.uint8)
    assert (pixels(save(Image.fromarray(la), "y.png")) == grey(la[..., 0])).all()


def test_cmyk_is_white_less_ink(save):
    ink = np.random.default_rng(1).integers(0, 256, (5, 5, 4))
    expected = (255 - ink[..., :3]) * (255 - ink[..., 3:]) / 255
    found = pixels(save(Image.fromarray(ink.astype(np.uint8), "CMYK"), "x.tif"))
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.png", png(RAMP.size, 1, 16, 0, b"\0" + RAMP.astype(">u2").tobytes())),
        ("x.pgm", b"P5 %d 1 65535\n" % RAMP.size + RAMP.astype(">u2").tobytes()),
        ("x.tif", Image.fromarray(RAMP)),
        ("y.tif", Image.fromarray(RAMP.astype(np.int32))),
    ],
)
def test_16_bit_grey_is_scaled_to_the_nearest_of_256_steps(save, name, content):
    expected = np.floor(RAMP / 65535 * 255 + 0.5)
    assert (pixels(save(content, name)) == grey(expected)).all()


def test_scaling_16_bits_takes_a_small_multiple_of_the_pixels_and_gives_the_same_everywhere(save):
    values = np.arange(3000 * 1000, dtype=np.uint32).reshape(3000, 1000).astype(np.uint16)
    path = save(Image.fromarray(values))
    tracemalloc.start()
    found = np.asarray(read_image(path))[:, :, 0]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 12 * values.size
    assert np.array_equal(found, np.round(values / 257).astype(np.uint8))


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4)])
def test_16_bit_colour_keeps_its_high_byte(save, colour, channels):
    rows = b"\0" + np.repeat(RAMP[..., None], channels, axis=-1).astype(">u2").tobytes()
    assert (pixels(save(png(RAMP.size, 1, 16, colour, rows))) == grey(RAMP // 256)).all()


@pytest.mark.parametrize(("name", "tolerance"), [("x.tif", 0), ("x.mpo", 60), ("x.webp", 0), ("x.png", 0)])
def test_of_several_frames_the_first_is_taken(save, photo, name, tolerance):
    path = save(
        photo.resize((32, 32)),
        name,
        save_all=True,
        append_images=[Image.new("RGB", (32, 32))],
        **({"lossless": True} if name.endswith("webp") else {}),
    )
    assert np.abs(pixels(path) - np.asarray(photo.resize((32, 32)))).max() <= tolerance


def test_of_an_animated_gif_the_first_frame_is_taken(save):
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    assert (pixels(save(first, "x.gif", save_all=True, append_images=[second])) == [255, 0, 0]).all()


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_ignored_or_honoured(photo, save, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(photo, exif=exif)
    assert (pixels(path) == np.asarray(photo)).all()
    assert np.array_equal(pixels(path, True), TURNS[orientation](np.asarray(photo)))


@pytest.mark.parametrize("orientation", TURNS)
def test_a_tiff_is_always_upright_because_its_orientation_says_how_pixels_are_stored(photo, save, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(photo, "x.tif", exif=exif)
    for honour in (False, True):
        assert np.array_equal(pixels(path, honour), TURNS[orientation](np.asarray(photo)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"junk", b"MM\0*\0\0\0\x08\0\x05junk", b"II*\0\xff\xff\xff\xff", b"MM\0*"])
def test_damaged_exif_data_does_not_matter(photo, save, exif):
    path = save(photo, exif=b"Exif\0\0" + exif)
    for honour in (False, True):
        assert (pixels(path, honour) == np.asarray(photo)).all()


def test_exif_data_that_pillow_cannot_use_does_not_matter(photo, save, monkeypatch):
    def fail(image):
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", fail)
    assert (pixels(save(photo), True) == np.asarray(photo)).all()


@given(arrays(np.uint8, (7, 5, 3)), st.integers(1, 16))
def test_squash_is_pillows_bilinear_resize_of_the_whole_image(image, size):
    expected = Image.fromarray(image).resize((size, size), resample=2)
    assert np.array_equal(squash(Image.fromarray(image), size), np.asarray(expected))


def test_squash_is_the_mean_with_triangular_weights_when_halving():
    row = np.array([0, 40, 80, 240], dtype=np.uint8)
    image = Image.fromarray(np.broadcast_to(row[None, :, None], (4, 4, 3)).copy())
    left, right = (0 * 3 + 40 * 3 + 80) / 7, (40 + 80 * 3 + 240 * 3) / 7
    assert np.abs(squash(image, 2)[0, :, 0] - [left, right]).max() <= 1


def test_the_two_protocols_differ_in_their_spec_by_the_orientation_alone():
    released, paper = (Squash(224, honour).spec() for honour in (False, True))
    assert {key for key in released if released[key] != paper[key]} == {"exif_orientation"}


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.gif", "x.bmp", "x.tif", "x.webp", "x.ppm", "x.jp2"])
def test_a_file_that_is_cut_off_anywhere_is_refused(photo, save, name):
    whole = save(photo.resize((40, 40)), name).read_bytes()
    for kept in (0.3, 0.6, 0.95):
        with pytest.raises(ImageError):
            read_image(save(whole[: int(len(whole) * kept)], name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello", "this is no image"),
        (b"%PDF-1.7", "this is no image"),
        (png(60_000, 60_000, 8, 0, b""), r"images of more than 64,000,000 pixels are refused: save it smaller"),
        (
            Image.fromarray(np.ones((2, 2), np.float32)),
            "floating-point image has no agreed brightness: save it with 8",
        ),
        (Image.fromarray(np.full((2, 2), 70_000, np.int32)), "beyond 16 bits have no agreed brightness: save it"),
        (Image.fromarray(np.full((2, 2), -1, np.int32)), "beyond 16 bits have no agreed brightness: save it"),
    ],
    ids=["empty", "text", "PDF", "bomb", "float", "32 bits", "negative"],
)
def test_what_is_wrong_with_a_file_is_said(save, content, message):
    with pytest.raises(ImageError, match=message):
        read_image(save(content, "x.tif"))


BOMBS = {
    "x.png": png(60_000, 60_000, 8, 0, b""),
    "small limit.png": png(9_000, 9_000, 16, 6, b""),
    "x.gif": b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + bytes(40),
    "x.webp": b"RIFF\xff\0\0\0WEBPVP8X\x0a\0\0\0\2\0\0\0\xff\xff\0\xff\xff\0" + bytes(40),
    "lossless.webp": b"RIFF\xff\0\0\0WEBPVP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f" + bytes(40),
    "x.bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "x.ppm": b"P6 60000 60000 255 ",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(save, name):
    path = save(BOMBS[name], name)
    for limit in (64_000_000, 1000):
        with pytest.raises(ImageError, match=rf"images of more than {limit:,} pixels are refused") as refused:
            read_image(path, max_pixels=limit)
        assert refused.value.limit == limit


def test_a_larger_limit_than_pillows_own_is_possible(save, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    path = save(Image.new("L", (20, 20)))
    with pytest.raises(ImageError, match=r"more than 100 pixels are refused"):
        read_image(path, max_pixels=100)
    assert read_image(path, max_pixels=400).size == (20, 20)


def test_a_file_far_longer_than_its_pixels_is_not_read(save, tmp_path):
    path = save(Image.new("L", (4, 4)), "x.webp")
    os.truncate(path, 2**40)
    with pytest.raises(ImageError, match="images of more than 64,000,000 pixels are refused"):
        read_image(path)


def test_a_truncated_file_says_so(photo, save):
    whole = save(photo, "x.bmp").read_bytes()
    with pytest.raises(ImageError, match=r"the file cannot be read completely \(image file is truncated"):
        read_image(save(whole[:-20], "x.bmp"))


def test_a_missing_file_a_folder_and_a_pipe_are_told_apart_without_waiting(tmp_path, save):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    save(b"a file", "file.jpg")
    for name, message in {
        "gone.jpg": "the file is missing",
        "file.jpg/below.jpg": "the file is missing",
        "clip/<frame 1 of 3>": "the file is missing",
        "pipe.jpg": "this is not an ordinary file",
        "folder.jpg": "this is a folder",
    }.items():
        with pytest.raises(ImageError, match=message):
            read_image(tmp_path / name)


def test_a_file_of_another_program_is_never_handed_to_it(save, monkeypatch):
    def run(*args, **options):
        raise AssertionError("started a program")

    monkeypatch.setattr("subprocess.Popen", run)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(ImageError, match="this is no image"):
        read_image(save(eps, "x.jpg"))


def test_permission_denied_is_the_files_failure(save, photo, monkeypatch):
    path = save(photo)
    monkeypatch.setattr("builtins.open", failing_with(PermissionError(13, "Permission denied")))
    with pytest.raises(ImageError, match=r"cannot be read completely \(Permission denied\)"):
        read_image(path)


@pytest.mark.parametrize("number", [23, 24, 116])
def test_a_machine_in_trouble_is_not_the_files_failure(save, photo, monkeypatch, number):
    path = save(photo)
    monkeypatch.setattr("builtins.open", failing_with(OSError(number, os.strerror(number))))
    with pytest.raises(ExpclipError, match=rf"x.png: {os.strerror(number)}: resolve this and run the command"):
        read_image(path)


def test_memory_that_runs_out_is_not_the_files_failure(save, photo, monkeypatch):
    path = save(photo)
    monkeypatch.setattr("builtins.open", failing_with(MemoryError()))
    with pytest.raises(MemoryError):
        read_image(path)


def failing_with(error):
    def fail(*args, **options):
        raise error

    return fail

"""Frames of a video file by their numbers."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ..manifests.limits import MAX_PIXELS
from ..manifests.videos import (
    LargeVideoError,
    VideoError,
    VideoIndex,
    decoded,
    decoded_after_cut,
    index_video,
    open_video,
    pyav,
)
from .picture_errors import ImageError, TooLargeError, raise_if_machine_error, refuse_large
from .turns import take_turn

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


def read_video(
    path: Path, frames: Sequence[int], max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[int, Image.Image | ImageError]]:
    """Some frames of a video, as (frame, RGB picture or what is wrong), in the order in which they are shown.

    Frame k is the k-th of a decoding from the beginning. What lies between the frames is skipped from one keyframe to
    the next where possible; what is not found in that way is looked for from the beginning. A rotation noted in the
    file is ignored. Raises UsageError where PyAV is not installed.
    """
    waiting = set(frames)
    index, why = None, ImageError("the frame is damaged")
    try:
        index = index_video(path)
        refuse_large(index.size, max_pixels)
        for search in (_by_seeking, _from_the_beginning):
            there = sorted(one for one in waiting if one < index.count)
            for frame, picture in search(path, index, there, max_pixels):
                waiting.discard(frame)
                yield frame, picture
    except TooLargeError as error:
        why = error
    except LargeVideoError:
        why = TooLargeError(max_pixels)
    except VideoError as error:
        why = ImageError(str(error))
    except FileNotFoundError:
        why = ImageError("the file is missing")
    except OSError as error:
        raise_if_machine_error(path, error)
        why = ImageError(f"the video cannot be read ({error.strerror or error})")
    for frame in sorted(waiting):
        beyond = ImageError(_too_few(index.count)) if index and frame >= index.count else None
        yield frame, beyond or why


def _too_few(count: int) -> str:
    return f"the video has only {count} frames" if count else "the video has no frames that can be decoded"


def _by_seeking(
    path: Path, index: VideoIndex, frames: Sequence[int], max_pixels: int
) -> Iterator[tuple[int, Image.Image]]:
    """The frames that are found by decoding from the last keyframe before each."""
    av = pyav()
    if index.times is None or not frames:
        return
    with open_video(path, max_pixels) as (container, stream):
        take_turn(stream.width, stream.height)
        for start, group in groupby(frames, key=index.start):
            try:
                if start is not None:
                    container.seek(start, stream=stream)
            except av.FFmpegError:
                return
            yield from _among(decoded(container, stream), index, list(group))


def _from_the_beginning(
    path: Path, index: VideoIndex, frames: Sequence[int], max_pixels: int
) -> Iterator[tuple[int, Image.Image]]:
    show = decoded_after_cut if index.is_cut else decoded
    if frames:
        with open_video(path, max_pixels) as (container, stream):
            take_turn(stream.width, stream.height)
            yield from _among(show(container, stream), index, frames)


def _among(
    shown: Iterable["VideoFrame"], index: VideoIndex, frames: Sequence[int]
) -> Iterator[tuple[int, Image.Image]]:
    """The wanted ones among decoded frames: by their times, or where there are none, counted from the first."""
    wanted = {frame if index.times is None else index.times[frame]: frame for frame in frames}
    last = max(wanted)
    for number, frame in enumerate(shown):
        key = number if index.times is None else frame.pts
        if key in wanted:
            yield wanted[key], frame.to_image()
        if key is not None and key >= last:
            return

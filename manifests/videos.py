"""Video files: how many frames there are, when each is shown, and where decoding may start. Needs PyAV."""

import stat
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, dropwhile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import UsageError, reason
from .limits import MAX_PIXELS
from .stand_ins import HEAD, stand_in

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_ONLY_THE_FILE = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,avi,matroska,mpeg,mpegts,mpegvideo,asf,flv,ogg",
}
"""Otherwise FFmpeg would follow playlists, whatever they are called, to other files and to the network."""
_EXACT_TIMES = ("mov", "matroska")
"""Formats that store when each frame is shown. In others it is guessed during reading, and after seeking, or with
B-frames in AVI, it may be a neighbour's time: there, frames are counted from the beginning."""
_FRAMES_ARE_NO_PACKETS = {"vp8", "theora"}
"""Codecs whose packets may show nothing or repeat a frame: only decoding tells how many frames there are."""


_LACKING = (ValueError, ArithmeticError, AttributeError, RuntimeError)
"""What PyAV raises over what a damaged file lacks."""


class VideoError(Exception):
    """The file is not a readable video; the message says why."""


class LargeVideoError(VideoError):
    """Its frames have more pixels than are allowed."""


@dataclass(frozen=True)
class VideoIndex:
    """The frames of a video, numbered from 0 in the order in which they are shown."""

    count: int
    times: tuple[int, ...] | None
    """When each frame is shown, in the stream's units; None where frames must be counted from the beginning."""
    keyframes: tuple[tuple[int, int], ...]
    """(time shown, time to seek to) of the frames at which decoding may start, in order."""
    size: tuple[int, int] = (0, 0)
    """Width and height, as the file states them."""
    is_cut: bool = False
    """Whether it begins in the middle of a group: what precedes its first keyframe cannot be decoded."""

    def start(self, frame: int) -> int | None:
        """Where to seek to for a frame; None for the beginning of the file."""
        if self.times is None:
            return None
        position = bisect_right(self.keyframes, self.times[frame], key=lambda keyframe: keyframe[0]) - 1
        return self.keyframes[position][1] if position > 0 else None


def pyav() -> ModuleType:
    """PyAV. Raises UsageError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise UsageError("videos need PyAV: run pip install 'expclip[video]', or give folders of frames") from error
    return av


@contextmanager
def open_video(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """A video and its first video stream, of which no frame of more than `max_pixels` is decoded.

    Raises VideoError for a file that is not a video, OSError where it cannot be opened.
    """
    av = pyav()
    if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would block forever
        raise VideoError("this is not an ordinary file")
    with path.open("rb") as file:
        other = stand_in(file.read(HEAD))
    if other:
        raise VideoError(other)
    bounds = {"max_pixels": str(max_pixels)}
    try:
        container = av.open(str(path), options=bounds, container_options=_ONLY_THE_FILE)
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"this is not a readable video ({getattr(error, 'strerror', None) or error})") from error
    with container:
        if not container.streams.video:
            raise VideoError("the file holds no pictures")
        stream = container.streams.video[0]
        if stream.codec_context is None:  # which PyAV's types do not know
            raise VideoError("this is not a readable video (its pictures are in a format that FFmpeg does not know)")
        stream.codec_context.thread_count = 1  # several videos are decoded at a time
        stream.codec_context.options = bounds  # opening looks into the frames, and so does decoding
        try:
            yield container, stream
        except _LACKING as error:
            raise VideoError(f"the video is damaged ({reason(error)})") from error


def decoded(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
    """The frames from the container's position on, in the order in which they are shown, without damaged ones."""
    return _decoded(container.demux(stream), stream)


def decoded_after_cut(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
    """The same of a video that is cut, from its beginning: those that follow its first keyframe."""
    packets = dropwhile(lambda packet: not packet.is_keyframe, container.demux(stream))
    first = next(packets, None)
    if first is None:
        return
    for frame in _decoded(chain([first], packets), stream):
        if frame.pts is None or first.pts is None or frame.pts >= first.pts:
            yield frame


def _decoded(packets: Iterator["Packet"], stream: "VideoStream") -> Iterator["VideoFrame"]:
    av = pyav()
    try:
        for packet in packets:
            try:
                frames = packet.decode()
            except av.ArgumentError:
                if not stream.codec_context.width:  # what the file does not state was found too large
                    raise LargeVideoError from None
                continue
            except av.FFmpegError:
                continue
            yield from (frame for frame in frames if not frame.is_corrupt)
    except av.FFmpegError:
        return


def index_video(path: Path) -> VideoIndex:
    """Read through a video, without decoding it where possible. Raises what `open_video` raises."""
    packets: list[tuple[int | None, int | None, bool]] = []
    with open_video(path) as (container, stream):
        size = (stream.codec_context.width, stream.codec_context.height)
        if stream.codec_context.name in _FRAMES_ARE_NO_PACKETS:
            return VideoIndex(sum(1 for _ in decoded(container, stream)), None, (), size)
        is_exact = container.format.name.startswith(_EXACT_TIMES)
        with suppress(pyav().FFmpegError):  # what precedes the damage counts
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    packets.append((packet.pts, packet.dts, packet.is_keyframe))
    if _is_cut(packets):
        with open_video(path) as (container, stream):
            return VideoIndex(sum(1 for _ in decoded_after_cut(container, stream)), None, (), size, is_cut=True)
    times = sorted(shown for shown, _, _ in packets if shown is not None)
    if not is_exact or len(set(times)) < len(packets):
        return VideoIndex(len(packets), None, (), size)
    keyframes = sorted(
        (shown, shown if sent is None else sent) for shown, sent, is_key in packets if is_key and shown is not None
    )
    return VideoIndex(len(times), tuple(times), tuple(keyframes), size)


def _is_cut(packets: Sequence[tuple[int | None, int | None, bool]]) -> bool:
    """Whether frames precede the first keyframe, in the file or when shown; some streams have none at all."""
    first = next((number for number, (_, _, is_key) in enumerate(packets) if is_key), 0)
    shown = packets[first][0] if packets else None
    return first > 0 or (shown is not None and any(time is not None and time < shown for time, _, _ in packets))


def count_frames(path: Path) -> int:
    """How many frames a video has; 0 where it cannot be read. Raises UsageError where PyAV is not installed."""
    try:
        return index_video(path).count
    except (VideoError, OSError):
        return 0

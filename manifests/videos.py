"""Video files: how many frames there are, when each is shown, and where decoding may start. Needs PyAV."""

import stat
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from av.container import InputContainer
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


class VideoError(Exception):
    """The file is not a readable video; the message says why."""


@dataclass(frozen=True)
class VideoIndex:
    """The frames of a video, numbered from 0 in the order in which they are shown."""

    count: int
    times: tuple[int, ...] | None
    """When each frame is shown, in the stream's units; None where frames must be counted from the beginning."""
    keyframes: tuple[tuple[int, int], ...]
    """(time shown, time to seek to) of the frames at which decoding may start, in order."""

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
def open_video(path: Path) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """A video and its first video stream.

    Raises VideoError for a file that is not a video, OSError where it cannot be opened.
    """
    av = pyav()
    if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would block forever
        raise VideoError("this is not an ordinary file")
    path.open("rb").close()
    try:
        container = av.open(str(path), container_options=_ONLY_THE_FILE)
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"this is not a readable video ({getattr(error, 'strerror', None) or error})") from error
    with container:
        if not container.streams.video:
            raise VideoError("the file holds no pictures")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # several videos are decoded at a time
        yield container, stream


def decoded(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
    """The frames from the container's position on, in the order in which they are shown, without damaged ones."""
    av = pyav()
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            yield from (frame for frame in frames if not frame.is_corrupt)
    except av.FFmpegError:
        return


def index_video(path: Path) -> VideoIndex:
    """Read through a video without decoding it. Raises what `open_video` raises."""
    packets: list[tuple[int | None, int | None, bool]] = []
    with open_video(path) as (container, stream):
        if stream.codec_context.name in _FRAMES_ARE_NO_PACKETS:
            return VideoIndex(sum(1 for _ in decoded(container, stream)), None, ())
        is_exact = container.format.name.startswith(_EXACT_TIMES)
        with suppress(pyav().FFmpegError):  # what precedes the damage counts
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    packets.append((packet.pts, packet.dts, packet.is_keyframe))
    times = sorted(shown for shown, _, _ in packets if shown is not None)
    if not is_exact or len(set(times)) < len(packets):
        return VideoIndex(len(packets), None, ())
    keyframes = sorted(
        (shown, shown if sent is None else sent) for shown, sent, is_key in packets if is_key and shown is not None
    )
    return VideoIndex(len(times), tuple(times), tuple(keyframes))


def count_frames(path: Path) -> int:
    """How many frames a video has; 0 where it cannot be read. Raises UsageError where PyAV is not installed."""
    try:
        return index_video(path).count
    except (VideoError, OSError):
        return 0

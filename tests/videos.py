"""Tiny videos, made on the spot."""

from pathlib import Path

import av
import numpy as np

SIDE = 48
KINDS = {
    "h264 with B-frames": ("a.mp4", "libx264", {"g": "12", "bf": "2"}),
    "h264, one keyframe": ("a.mp4", "libx264", {"g": "250"}),
    "h264, open groups": ("a.mp4", "libx264", {"bf": "2", "x264-params": "open-gop=1:keyint=12:min-keyint=12"}),
    "h264 in Matroska": ("a.mkv", "libx264", {"g": "10", "bf": "3"}),
    "h264 in a transport stream": ("a.ts", "libx264", {"g": "10", "bf": "2"}),
    "mpeg4 in AVI": ("a.avi", "mpeg4", {"g": "12"}),
    "mpeg4 with B-frames in AVI": ("a.AVI", "mpeg4", {"g": "12", "bf": "2"}),
    "only keyframes": ("a.avi", "mjpeg", {}),
    "h264 with B-frames in AVI": ("a.avi", "libx264", {"g": "10", "bf": "2"}),
    "h264 with B-frames in Flash": ("a.flv", "libx264", {"g": "10", "bf": "2"}),
    "mpeg2": ("a.mpg", "mpeg2video", {"g": "10", "bf": "2"}),
    "mpeg4 in QuickTime": ("a.mov", "mpeg4", {"g": "10", "bf": "2"}),
    "mpeg1": ("a.mpg", "mpeg1video", {"g": "10", "bf": "2"}),
    "vp8": ("a.webm", "libvpx", {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "10"}),
    "vp9": ("a.webm", "libvpx-vp9", {"g": "10"}),
    "wmv": ("a.wmv", "wmv2", {"g": "10"}),
}


def picture(number: int, side: int = SIDE) -> np.ndarray:
    """(side, side, 3) uint8 with a bright bar that moves from frame to frame."""
    image = np.full((side, side, 3), 40, np.uint8)
    image[:, number % side] = 220
    image[:, (number * 7) % side] = (200, 60, 30)
    return image


def make(
    path: Path, frames: int = 40, codec: str = "libx264", options: dict[str, str] | None = None, seed: int = 0
) -> Path:
    """Writes a video of some frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture(number + seed), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def sequential(path: Path) -> list[np.ndarray]:
    """All frames of a video, decoded from the first to the last."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def without_first(path: Path, out: Path, packets: int) -> Path:
    """Writes a video without its first packets, as a recording that begins anywhere."""
    with av.open(str(path)) as source, av.open(str(out), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None and number >= packets:
                packet.stream = stream
                container.mux(packet)
    return out

"""How much does extraction cost beyond the bare encoder?

Draws JPEG faces, then in turn runs the bare encoder on pixels in memory and the whole extraction (decode, encode,
check, write) in the same batches. Loading is apart: the model stays loaded between them. `--device cuda` does so on a
GPU, where the bare encoder has two batches under way as extraction has.
"""

import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from expclip import extract
from expclip.encoders.families import Models
from expclip.encoders.images import fitted as fit_image
from expclip.encoders.images import read_image
from expclip.pipeline.sparing import Sparing
from measure import Row, draw_faces, in_turn, parser, timed
from PIL import Image


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    clip: str = "ViT-B-32@random"
    device: str = "cpu"
    dtype: str = "auto"
    batch: int = 32
    workers: int | None = None
    side: int = 224
    """Pixels of the images."""


def main() -> None:
    asked = parser(__doc__, images=1024, repeats=3, device="cpu", dtype="auto", batch=32, workers=-1)
    asked.add_argument("--clip", action="append", help="may be repeated; ViT-B-32@random where it is not given")
    asked.add_argument("--side", action="append", type=int, help="pixels of the images; 224 where it is not given")
    options = asked.parse_args()
    workers = None if options.workers < 0 else options.workers
    for clip in options.clip or ("ViT-B-32@random",):
        for side in options.side or (224,):
            setting = Setting(clip, options.device, options.dtype, options.batch, workers, side)
            print(f"{clip}, {options.device}, images of {side} px, batches of {options.batch}")
            say(measure(setting, options.images, options.repeats), options.images, options.device)


def say(took: dict[str, float], images: int, device: str) -> None:
    """Print each time, and what extraction takes as a ratio of the bare encoder."""
    for name in ("bare encoder", "extract"):
        print(f"  {name:14} {took[name]:9.3f} s  {images / took[name]:9.1f} images/s")
    print(f"  extract is {_ratio(took):.3f} × the bare encoder; loading took {took['loading']:.1f} s")
    if device.startswith("cuda"):
        import torch

        most, name = torch.cuda.max_memory_allocated(device), torch.cuda.get_device_name(device)
        print(f"  at most {most / 1e9:.2f} GB of {name}")


def rows(images: int = 1024, repeats: int = 2) -> Iterator[Row]:
    took = measure(Setting(), images, repeats)
    rate = f"{images / took['extract']:.1f} images/s"
    yield Row("extract, ViT-B-32", rate, "the bare encoder", _ratio(took), 1.05)


def _ratio(took: dict[str, float]) -> float:
    return took["extract"] / took["bare encoder"]


def measure(setting: Setting, count: int, repeats: int) -> dict[str, float]:
    """Seconds of loading the encoder, of the bare encoder, and of the whole extraction."""
    with tempfile.TemporaryDirectory() as temporary:
        images = Path(temporary) / "faces"
        draw_faces(images, count)
        for path in images.iterdir() if setting.side != 224 else ():
            Image.open(path).resize((setting.side, setting.side)).save(path, quality=92)
        dtype: Any = None if setting.dtype == "auto" else setting.dtype
        node = Models(asked_device=setting.device).node("clip_image", setting.clip, dtype=dtype)
        assert node.squash is not None
        pixels = np.stack([fit_image(read_image(path), node.squash.fit) for path in sorted(images.iterdir())])
        loading, loaded = timed(lambda: node.load(setting.device))
        encoder = Sparing(node.label, loaded, setting.device)
        encoder(pixels[: setting.batch])

        def bare() -> None:
            under_way: deque[Any] = deque()
            for start in range(0, len(pixels), setting.batch):
                under_way.append(encoder.begin(pixels[start : start + setting.batch]))
                if len(under_way) > 1:
                    under_way.popleft()()
            while under_way:
                under_way.popleft()()

        def whole() -> None:
            cache = tempfile.mkdtemp(dir=temporary)
            how: dict[str, Any] = {"device": setting.device, "dtype": dtype, "workers": setting.workers}
            extract(images, clip=setting.clip, batch_size=setting.batch, cache=cache, **how)

        return {"loading": loading} | in_turn({"bare encoder": bare, "extract": whole}, repeats)


if __name__ == "__main__":
    main()

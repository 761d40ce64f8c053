"""How much does extraction cost beyond the bare encoder?

Draws JPEG faces, then in turn runs the whole extraction (decode, encode, check, write) and the bare encoder on pixels
in memory in the same batches; prints the ratio.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from expclip import extract
from expclip.encoders.families import Models
from expclip.encoders.images import read_image, squash
from measure import Row, draw_faces, in_turn, parser, show

BATCH = 32


def main() -> None:
    options = parser(__doc__, clip="ViT-B-32@random", images=1024, repeats=3).parse_args()
    show(measure(options.clip, options.images, options.repeats), options.images, "images/s")


def rows(images: int = 1024, repeats: int = 2) -> Iterator[Row]:
    took = measure("ViT-B-32@random", images, repeats)
    rate = f"{images / took['extract']:.1f} images/s"
    yield Row("extract, ViT-B-32", rate, "the bare encoder", took["extract"] / took["bare encoder"], 1.05)


def measure(clip: str, count: int, repeats: int) -> dict[str, float]:
    """Seconds of the bare encoder and of the whole extraction."""
    with tempfile.TemporaryDirectory() as temporary:
        images = Path(temporary) / "faces"
        draw_faces(images, count)
        node = Models(asked_device="cpu").node("clip_image", clip)
        assert node.squash is not None
        pixels = np.stack([squash(read_image(path), node.squash.size) for path in sorted(images.iterdir())])
        encoder = node.load("cpu")
        encoder(pixels[:BATCH])

        def bare() -> None:
            for start in range(0, len(pixels), BATCH):
                encoder(pixels[start : start + BATCH])

        def whole() -> None:
            cache = tempfile.mkdtemp(dir=temporary)
            extract(images, clip=clip, device="cpu", batch_size=BATCH, cache=cache)

        return in_turn({"bare encoder": bare, "extract": whole}, repeats)


if __name__ == "__main__":
    main()

"""How much does extraction cost beyond the bare encoder?

    python benchmarks/extract.py [--clip ViT-B-32@random] [--images 1024] [--repeats 3]

Draws JPEG faces, then in turn runs the whole extraction (decode, encode, check, write) and the bare encoder on pixels
in memory in the same batches; prints the ratio. Absolute times depend on the machine.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from expclip import Wanted, Workspace, extract
from expclip.encoders.images import read_image, squash
from expclip.manifests.faces import draw_face, sample_face
from PIL import Image

BATCH = 32


def draw(folder: Path, count: int) -> None:
    for index in range(count):
        face = sample_face(1, index)
        picture = Image.fromarray(draw_face(face.action_units, face.appearance, face.view))
        picture.resize((224, 224)).save(folder / f"{index:05d}.jpg", quality=92)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", default="ViT-B-32@random")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        images = Path(temporary) / "faces"
        images.mkdir()
        draw(images, options.images)
        node = Workspace(Path(temporary) / "none", device="cpu").models.clip_image(options.clip)
        assert node.squash is not None
        pixels = np.stack([squash(read_image(path), node.squash.size) for path in sorted(images.iterdir())])
        encoder = node.load("cpu")
        encoder(pixels[:BATCH])
        bare, whole = [], []
        for repeat in range(options.repeats):
            started = time.perf_counter()
            for start in range(0, len(pixels), BATCH):
                encoder(pixels[start : start + BATCH])
            bare.append(time.perf_counter() - started)
            workspace = Workspace(Path(temporary) / f"cache-{repeat}", device="cpu", batch_size=BATCH)
            started = time.perf_counter()
            extract(workspace, [str(images)], Wanted(clips=[options.clip]))
            whole.append(time.perf_counter() - started)
    print(f"bare encoder  {min(bare):7.2f} s  {options.images / min(bare):7.1f} images/s")
    print(f"extract       {min(whole):7.2f} s  {options.images / min(whole):7.1f} images/s")
    print(f"ratio         {min(whole) / min(bare):7.3f}")


if __name__ == "__main__":
    main()

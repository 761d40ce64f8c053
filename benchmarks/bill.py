"""What does an ablation cost with the cache, and what without?

The released scripts encode every image again for every prompt set that they score. This does both, in small: the same
images under five prompt sets, with a cache for each prompt set and with one cache.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import expclip
from measure import Row, draw_faces, in_turn, parser

PROMPTS = [f"P-{k}" for k in range(1, 6)]
CLIP = "ViT-B-32@random"
TRAINING, EPOCHS = 49152, 5
FRAMES, HEADS, ROWS = 476933, 54, 57
"""Images that the paper's test sets need, heads of its tables, and rows of heads and plain CLIP."""


def main() -> None:
    options = parser(__doc__, images=140).parse_args()
    for row in rows(options.images):
        print(f"{row.what}: {row.figure}, {row.ratio:.0f} × less than {row.limit}")


def rows(images: int = 140) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        faces, cache = Path(temporary) / "faces", Path(temporary) / "cache"
        draw_faces(faces, images, by_class=True)

        def score(prompts: list[str], again: bool) -> None:
            if again:
                shutil.rmtree(cache, ignore_errors=True)
            expclip.evaluate(faces, clip=CLIP, prompts=prompts, device="cpu", cache=cache, intervals=False)

        score(PROMPTS, again=True)
        again = {"encoding again": lambda: [score([one], again=True) for one in PROMPTS]}
        took = in_turn(again, 1)
        score(PROMPTS, again=True)
        took |= in_turn({"cached": lambda: score(PROMPTS, again=False)}, 3)
    ratio = took["encoding again"] / took["cached"]
    yield Row("five prompt sets, all cached", f"{took['cached']:.2f} s", "encoding again", ratio, 100, is_least=True)
    encodings = FRAMES * ROWS * len(PROMPTS) + HEADS * EPOCHS * TRAINING
    once = FRAMES + TRAINING
    what = f"the paper's grid: {encodings / 1e6:.0f} million images encoded again, or {once / 1e6:.2f} million once"
    yield Row(what, f"{encodings / once:.0f} × fewer", "encoding again", encodings / once, 100, is_least=True)


if __name__ == "__main__":
    main()

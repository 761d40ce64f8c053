"""How fast do images come to an encoder that costs nothing, against decoding them in a plain loop?

Draws JPEG faces of two sizes, which every way decodes and squashes to 224 pixels: a loop in this process, and one and
two processes that hand over what they decode, as extraction has them.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from expclip.encoders.images import read_image, squash
from expclip.pipeline.apart import Crew
from expclip.pipeline.decode_file import decode_file
from measure import Row, draw_faces, in_turn, parser, show
from PIL import Image

SIZE, SIDES, AT_ONCE, AHEAD = 224, (224, 400), 16, 12
MOST = 10**8
"""Pixels."""


def main() -> None:
    options = parser(__doc__, images=1600, repeats=3).parse_args()
    for side in SIDES:
        print(f"{side} × {side} pixels")
        show(measure(side, options.images, options.repeats), options.images, "images/s")


def rows(images: int = 1200, repeats: int = 3) -> Iterator[Row]:
    for side in SIDES:
        took = measure(side, images, repeats)
        rate, two = f"{images / took['one worker']:,.0f} images/s", f"{images / took['two workers']:,.0f} images/s"
        ratio = took["plain loop"] / took["one worker"]
        yield Row(f"images of {side} px, one worker", rate, "a plain loop", ratio, 0.5, is_least=True)
        ratio = took["one worker"] / took["two workers"]
        yield Row(f"images of {side} px, two workers", two, "one worker", ratio, 1.6, is_least=True)


def measure(side: int, count: int, repeats: int) -> dict[str, float]:
    """Seconds of each way to decode some images."""
    with tempfile.TemporaryDirectory() as temporary, Crew(decode_file, 1) as one, Crew(decode_file, 2) as two:
        files = _drawn(Path(temporary) / "faces", side, count)

        def loop() -> None:
            for file in files:
                squash(read_image(file), SIZE)

        def through(crew: Crew) -> Callable[[], None]:
            return lambda: _feed(crew, files)

        return in_turn({"plain loop": loop, "one worker": through(one), "two workers": through(two)}, repeats)


def _drawn(folder: Path, side: int, count: int) -> list[Path]:
    """Some faces, again and again: what is in the page cache costs no reading."""
    draw_faces(folder, min(count, 200))
    files = sorted(folder.iterdir())
    for file in files:
        Image.open(file).resize((side, side)).save(file, quality=92)
    return [files[k % len(files)] for k in range(count)]


def _feed(crew: Crew, files: list[Path]) -> None:
    calls = [(file, {0: 0}, [SIZE], False, MOST, False) for file in files]
    ahead: deque = deque()
    for start in range(0, len(calls), AT_ONCE):
        ahead.append(crew.submit(calls[start : start + AT_ONCE]))
        if len(ahead) > AHEAD:
            ahead.popleft().result()
    while ahead:
        ahead.popleft().result()


if __name__ == "__main__":
    main()

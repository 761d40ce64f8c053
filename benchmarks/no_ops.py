"""How long do commands take that have nothing to do, against the imports that they cannot do without?

Fills a cache with the miniature, and runs each command in a process of its own, in turn with the bare imports.
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import expclip
from measure import Row, draw_faces, in_python, in_turn, parser

IMPORTS = "import numpy, typer, rich, pydantic, safetensors.numpy"
MINI = {"clip": "miniature", "teacher": "miniature", "instruction": "related-1"}


def main() -> None:
    options = parser(__doc__, repeats=7).parse_args()
    for row in rows(options.repeats):
        print(f"{row.what:40} {row.figure:10} {row.ratio:5.2f} × the time of {row.limit}")


def rows(repeats: int = 7) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        faces, cache = Path(temporary) / "faces", Path(temporary) / "cache"
        draw_faces(faces, 32)
        expclip.extract(faces, **MINI, device="cpu", cache=cache)
        expclip.fit_head(train=faces, **MINI, seed=1, batch_size=16, device="cpu", cache=cache)
        fit = f"fit-head --train {faces} --clip miniature --teacher miniature --seed 1 --batch-size 16 --device cpu"
        lines = {"heads list": "heads list", "cache list": "cache list", "fit-head, nothing to do": fit}
        lines = {what: f"{line} --cache {cache}" for what, line in lines.items()} | {"--help": "--help"}
        runs = {what: partial(in_python, "-m", "expclip", *line.split()) for what, line in lines.items()}
        runs |= {"imports": partial(in_python, "-c", IMPORTS), "typer": partial(in_python, "-c", "import typer")}
        took = in_turn(runs, repeats)
    for what in lines:
        limit, bound = ("typer", 3) if what == "--help" else ("imports", 2.5)
        yield Row(f"expclip {what}", f"{took[what]:.2f} s", f"its {limit}", took[what] / took[limit], bound)


if __name__ == "__main__":
    main()

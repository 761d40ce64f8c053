"""How long does an evaluation take in which everything is cached?

Makes a cache of the paper's size with random features (eight test sets, 476,000 rows, 42,800 samples), runs
`expclip evaluate` on it as a user does, and prints seconds from the start of the process and the size of the results:
plain CLIP and one head under five prompt sets, and a grid of many heads.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from made_up_cache import CLIP, SETS, make_cache
from measure import parser, timed

PROMPTS = [f"P-{k}" for k in range(1, 6)]
IMPORTS = "import numpy, typer, rich, pydantic, safetensors.numpy"


def main() -> None:
    asked = parser(__doc__, heads=56, repeats=3)
    asked.add_argument("--folder", type=Path, help="where to write, if not to the system's temporary folder")
    options = asked.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        made, cache = timed(lambda: make_cache(folder, options.heads))
        print(f"made a cache with {options.heads} heads in {made:.0f} s; nothing below runs a model")
        bare = min(timed(lambda: _python("-c", IMPORTS))[0] for _ in range(options.repeats))
        print(f"{'imports':34} {bare:6.2f} s")
        one = ["--head", "none", "--head", "seed=0"]
        measure("two rows × 5 prompt sets", cache, folder / "two", one, 2, options.repeats)
        measure(
            "  the same, scores alone", cache, folder / "two", [*one, "--predictions", "none"], 2, options.repeats
        )
        measure(f"{options.heads + 1} rows × 5 prompt sets", cache, folder / "grid", [], options.heads + 1, 1)
    finally:
        shutil.rmtree(folder)


def measure(title: str, cache: Path, out: Path, more: list[str], rows: int, repeats: int) -> None:
    prompts = [word for name in PROMPTS for word in ("--prompts", name)]
    words = ["evaluate", *SETS, "--clip", CLIP, *prompts, "--cached-only", "--cache", str(cache), "--out", str(out)]
    seconds = min(timed(lambda: _python("-m", "expclip", *words, *more))[0] for _ in range(repeats))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    combinations = rows * len(PROMPTS) * len(SETS)
    print(f"{title:34} {seconds:6.2f} s  {combinations:5,} combinations  {size / 1e6:6.1f} MB of results")


def _python(*words: str) -> None:
    subprocess.run(
        [sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ
    )


if __name__ == "__main__":
    main()

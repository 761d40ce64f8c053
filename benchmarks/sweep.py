"""How long does an evaluation take in which everything is cached?

Makes a cache of the paper's size with random features (eight test sets, 476,000 rows, 42,800 samples), runs
`expclip evaluate` on it as a user does, and prints seconds from the start of the process and the size of the results:
plain CLIP and one head under five prompt sets, and a grid of many heads.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from made_up_cache import CLIP, SETS, make_cache
from measure import Row, in_python, parser, timed

PROMPTS = [f"P-{k}" for k in range(1, 6)]


def main() -> None:
    asked = parser(__doc__, heads=56, repeats=3)
    asked.add_argument("--folder", type=Path, help="where to write, if not to the system's temporary folder")
    options = asked.parse_args()
    for row in rows(options.heads, options.repeats, options.folder):
        print(f"{row.what:60} {row.figure}")


def rows(heads: int = 56, repeats: int = 3, place: Path | None = None) -> Iterator[Row]:
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        cache = make_cache(folder, heads)
        one = ["--head", "none", "--head", "seed=0"]
        seconds, _ = measure(cache, folder / "alone", [*one, "--predictions", "none"], repeats)
        yield Row("evaluate, all cached: 80 combinations, scores alone", f"{seconds:.2f} s", "4 s", seconds, 4)
        seconds, size = measure(cache, folder / "two", one, repeats)
        yield Row("evaluate, all cached: 80 combinations", f"{seconds:.2f} s, {size:.1f} MB", "6 s", seconds, 6)
        seconds, size = measure(cache, folder / "grid", [], 1)
        combinations = f"{(heads + 1) * len(PROMPTS) * len(SETS):,} combinations"
        yield Row(f"evaluate, all cached: {combinations}", f"{seconds:.1f} s", "60 s", seconds, 60)
        yield Row(f"results of {combinations}", f"{size:.0f} MB", "200 MB", size, 200)
    finally:
        shutil.rmtree(folder)


def measure(cache: Path, out: Path, more: list[str], repeats: int) -> tuple[float, float]:
    """Seconds from the start of the process, the best of some, and megabytes of results."""
    prompts = [word for name in PROMPTS for word in ("--prompts", name)]
    words = ["evaluate", *SETS, "--clip", CLIP, *prompts, "--cached-only", "--cache", str(cache), "--out", str(out)]
    seconds = min(timed(lambda: in_python("-m", "expclip", *words, *more))[0] for _ in range(repeats))
    return seconds, sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()

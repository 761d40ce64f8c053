"""All benchmarks, as one table: figure, limit, ratio, bound, verdict, and the machine.

`python benchmarks/table.py` runs all of them (about eight minutes), `… table.py read_store sweep` some.
"""

import platform
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import bill
import extract
import feed
import fit_clips
import fit_head
import no_ops
import project
import read_store
import sweep
import torch
from measure import Row

BENCHMARKS: dict[str, Callable[[], Iterable[Row]]] = {
    "no_ops": no_ops.rows,
    "read_store": read_store.rows,
    "fit_head": fit_head.rows,
    "fit_clips": fit_clips.rows,
    "project": project.rows,
    "feed": feed.rows,
    "extract": extract.rows,
    "bill": bill.rows,
    "sweep": sweep.rows,
}


def main() -> None:
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        sys.exit(f"there is no {', '.join(sorted(unknown))}: choose {', '.join(BENCHMARKS)}")
    print(machine())
    print("\n| what | figure | against | ratio | bound | |\n|---|---|---|---|---|---|")
    for name in names:
        for row in BENCHMARKS[name]():
            sign, verdict = "≥" if row.is_least else "≤", "holds" if row.holds else "**missed**"
            cells = (row.what, row.figure, row.limit, f"{row.ratio:.2f}", f"{sign} {row.bound:g}", verdict)
            print(f"| {' | '.join(cells)} |", flush=True)


def machine() -> str:
    """The processor, its instruction sets, and the GPU."""
    said = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    lines = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    lines = {key.strip(): value.strip() for key, value in lines.items()}
    flags = lines.get("flags", "").split()
    sets = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    processor = lines.get("model name", platform.processor() or platform.machine())
    parts = (processor, f"{torch.get_num_threads()} threads", " ".join(sets) or "no AVX2", gpu)
    return ", ".join((*parts, f"torch {torch.__version__}"))


if __name__ == "__main__":
    main()

"""Make the miniature: draw faces, train a CLIP and a teacher beside each other, write them, judge them.

Everything follows from the seed, as far as the libraries allow: one thread a model, and no clock decides anything.
"""

import argparse
import json
import platform
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from ..cache.files import new_folder
from ..manifests.faces import RENDERER_VERSION
from .captions import ACTED, GUESSED, MENTIONED, VAGUE
from .checkpoints import write_clip, write_teacher
from .clip import CAPTIONS, caption_all, train_clip
from .judge import FRESH, verdict, write_card
from .pictures import draw
from .teacher import train_teacher

FACES = 40_000
CLIP_SERIES, TEACHER_SERIES = 8101, 8102
"""Of the faces; the CLIP and its teacher see different ones."""
CLIP_STEPS = {"words": 6000, "matching": 1500}
TEACHER_STEPS = {"vision": 1600, "language": 1200}
WHAT_IT_IS = (
    "A demonstration of the mechanism, not evidence for the paper: cartoon faces, a CLIP whose captions guess moods "
    "from looks, and a teacher that was trained on the action units from which the faces are drawn. What a head "
    "gains, it gains because those guesses are in the captions and the teacher does not share them."
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, required=True, help="the folder to make or to replace")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--quick", action="store_true", help="a few steps, to try the script")
    asked = options.parse_args()
    make(asked.out, asked.seed, 50 if asked.quick else 1)


def make(out: Path, seed: int, divide: int = 1) -> None:
    """Train, judge and write the miniature into a folder, replacing it; all counts are divided by `divide`."""
    started = time.monotonic()
    temporary = out.with_name(f".{out.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    with new_folder(temporary) as folder:
        jobs = {"clip": make_clip, "teacher": make_teacher}
        run = Parallel(n_jobs=2)
        losses = dict(
            zip(jobs, run(delayed(job)(folder / name, seed, divide) for name, job in jobs.items()), strict=True)
        )
        counts = max(512, FRESH.fit_count // divide), max(80, FRESH.test_count // divide)
        faces = replace(FRESH, fit_count=counts[0], test_count=counts[1])
        card = describe(seed, divide, losses) | verdict(folder, faces)
        card["minutes"] = round((time.monotonic() - started) / 60, 1)
        write_card(card, folder)
    shutil.rmtree(out, ignore_errors=True)
    temporary.rename(out)
    print(json.dumps(card["evaluation"], indent=1))


def make_clip(folder: Path, seed: int, divide: int) -> dict[str, list[float]]:
    _prepare(seed)
    drawn = draw(CLIP_SERIES, FACES // divide)
    captions = caption_all(drawn.faces, np.random.default_rng(seed))
    model, tokenizer, losses = train_clip(drawn, captions, *(steps // divide for steps in CLIP_STEPS.values()))
    write_clip(model, tokenizer, folder)
    return losses


def make_teacher(folder: Path, seed: int, divide: int) -> dict[str, list[float]]:
    _prepare(seed)
    drawn = draw(TEACHER_SERIES, FACES // divide)
    model, tokenizer, losses = train_teacher(drawn, *(steps // divide for steps in TEACHER_STEPS.values()))
    write_teacher(model, tokenizer, folder)
    return losses


def _prepare(seed: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(seed)


def describe(seed: int, divide: int, losses: dict[str, Any]) -> dict[str, Any]:
    """The card, but for the verdict and the time it took."""
    return {
        "what it is": WHAT_IT_IS,
        "data": {
            "faces": FACES // divide,
            "series": {"clip": CLIP_SERIES, "teacher": TEACHER_SERIES},
            "renderer": RENDERER_VERSION,
            "captions a face": CAPTIONS,
            "captions with a mood": MENTIONED,
            "of these guessed from the looks": GUESSED,
            "of these vague": VAGUE,
            "captions with a movement": ACTED,
        },
        "seed": seed,
        "steps": {"clip": CLIP_STEPS, "teacher": TEACHER_STEPS, "divided by": divide},
        "losses": losses,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "open_clip_torch", "transformers", "numpy", "pillow")},
    }


if __name__ == "__main__":
    main()

"""Make the miniature: draw faces, train a CLIP and a teacher beside each other, write them, judge them.

Everything follows from the seed, as far as the libraries allow: one thread per model, and no clock decides anything.
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
from .drawn_faces import draw
from .judge import FRESH, verdict, write_card
from .plain_data import WORDS
from .train_clip import CAPTIONS, caption_all, train_clip
from .train_teacher import train_teacher

FACES = 40_000
SERIES = {"clip": 8101, "teacher": 8102}
"""Of the faces; the CLIP and its teacher see different ones."""
STEPS = {"clip": {"words": 6000, "matching": 1500}, "teacher": {"vision": 1600, "language": 1200}}


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
        losses = Parallel(n_jobs=2)(delayed(make_model)(name, folder / name, seed, divide) for name in STEPS)
        fit_count, test_count = max(512, FRESH.fit_count // divide), max(80, FRESH.test_count // divide)
        faces = replace(FRESH, fit_count=fit_count, test_count=test_count)
        card = describe(seed, divide, dict(zip(STEPS, losses, strict=True))) | verdict(folder, faces)
        card["minutes"] = round((time.monotonic() - started) / 60, 1)
        write_card(card, folder)
    shutil.rmtree(out, ignore_errors=True)
    temporary.rename(out)
    print(json.dumps(card["evaluation"], indent=1))


def make_model(name: str, folder: Path, seed: int, divide: int) -> dict[str, list[float]]:
    """Train the "clip" or the "teacher" and write it. Returns the losses of its stages."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    drawn = draw(SERIES[name], FACES // divide)
    steps = {stage: count // divide for stage, count in STEPS[name].items()}
    if name == "clip":
        captions = caption_all(drawn.faces, np.random.default_rng(seed))
        model, tokenizer, losses = train_clip(drawn, captions, steps)
        write_clip(model, tokenizer, folder)
    else:
        model, tokenizer, losses = train_teacher(drawn, steps)
        write_teacher(model, tokenizer, folder)
    return losses


def describe(seed: int, divide: int, losses: dict[str, Any]) -> dict[str, Any]:
    """The card, but for the verdict and the time it took."""
    return {
        "what it is": WORDS["card"]["what it is"],
        "data": {
            "faces": FACES // divide,
            "series": SERIES,
            "renderer": RENDERER_VERSION,
            "captions a face": CAPTIONS,
            "captions with a mood": MENTIONED,
            "of these guessed from the looks": GUESSED,
            "of these vague": VAGUE,
            "captions with a movement": ACTED,
        },
        "seed": seed,
        "steps": STEPS | {"divided by": divide},
        "losses": losses,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "open_clip_torch", "transformers", "numpy", "pillow")},
    }


if __name__ == "__main__":
    main()

"""Work on what is cached imports no library of models and, until something is drawn, none of figures."""

import subprocess
import sys

import pytest
from lab import Lab

MINI = {"clip": "miniature", "teacher": "miniature", "instruction": "related-1"}
MODELS = ("torch", "torchvision", "open_clip", "transformers", "timm")
LEARNING = ("sklearn", "scipy", "joblib")
FIGURES = ("matplotlib",)
SERVERS = ("dask", "distributed")
STORES = ("zarr",)
EVERY = (*MODELS, *LEARNING, *FIGURES, *SERVERS, *STORES, "dlib", "av", "xarray")

COMMANDS = {
    "heads list": (),
    "cache list": (),
    "datasets list": (),
    "fit-head --train {photos} --clip miniature --teacher miniature --seed 1 --epochs 2 --batch-size 16": STORES,
    "evaluate {labelled} --clip miniature --prompts P-1 --cached-only": STORES,
    "evaluate {labelled} --clip miniature --prompts P-1 --predictions csv": STORES,
    "reproduce 1 --clip miniature --teacher miniature --train {photos} --test {labelled}": STORES,
    "figures {labelled} --clip miniature --prompts P-1 --kind variance": (*STORES, *FIGURES),
    "figures {labelled} --clip miniature --prompts P-1 --kind confusion": (*STORES, *FIGURES),
}
"""What each command may import of these; manifests are read by zarr."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory, photos, labelled) -> Lab:
    """A cache in which everything is there."""
    lab = Lab(tmp_path_factory.mktemp("imports") / "cache")
    lab.extract(photos, **MINI)
    lab.fit_head(train=photos, **MINI, seed=1, epochs=2, batch_size=16)
    lab.evaluate(labelled, clip="miniature", prompts=["P-1", "P-3"])
    return lab


@pytest.mark.parametrize("line", COMMANDS)
def test_cached_work_imports_no_more_than_it_needs(line, filled, photos, labelled, tmp_path):
    words = line.format(photos=photos, labelled=labelled).split()
    allowed = COMMANDS[line]
    code = (
        f"import os, sys\nos.environ['EXPCLIP_CACHE'] = {str(filled.cache.root)!r}\nfrom expclip.cli import app\n"
        f"app({words!r}, standalone_mode=False)\nprint('imported', *(m for m in {EVERY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imported = done.stdout.splitlines()[-1].split()[1:]
    assert set(imported) <= set(allowed), done.stdout

"""What is cached needs no heavy library: each command runs in a process of its own, which says what it imported."""

import os
import subprocess
import sys
from pathlib import Path

import expclip
import pytest

HEAVY = {
    *("torch", "torchvision", "sklearn", "scipy", "matplotlib", "pandas", "transformers", "open_clip", "timm"),
    *("PIL", "cv2", "av", "dlib", "zarr", "numcodecs", "h5py", "dask", "distributed", "joblib"),
    *("huggingface_hub", "requests", "httpx", "tokenizers", "IPython"),
}
CLIP = ("--clip", "miniature", "--device", "cpu")
BOTH = (*CLIP, "--teacher", "miniature", "--instruction", "related-1")
HEADS = ("--head", "linear", "--head", "ridge", "--seed", "1", "--batch-size", "8")

ALLOWED = {
    ("--help",): set(),
    ("--version",): set(),
    ("extract", "--help"): set(),
    ("fit-head", "--help"): set(),
    ("evaluate", "--help"): set(),
    ("crop", "--help"): set(),
    ("report", "--help"): set(),
    ("doctor", "--help"): set(),
    ("datasets", "list"): set(),
    ("cache", "list"): set(),
    ("heads", "list"): set(),
    ("cache", "verify"): set(),
    ("cache", "repair"): set(),
    ("cache", "gc"): set(),
    ("extract", "{faces}", *BOTH): set(),
    ("extract", "{faces}", *BOTH, "--plan"): set(),
    ("fit-head", "--train", "{faces}", *BOTH, *HEADS): set(),
    ("evaluate", "{faces}", *CLIP, "--prompts", "P-1", "--prompts", "P-3", "--out", "none"): set(),
    (
        "evaluate",
        "{faces}",
        *CLIP,
        "--prompts",
        "P-3",
        "--head",
        "kind=linear",
        "--cached-only",
        "--out",
        "none",
    ): set(),
    ("fit-head", "--train", "{faces}", *CLIP, "--head", "linear-probe", "--seed", "1"): set(),
    ("evaluate", "{faces}", *CLIP, "--head", "kind=linear-probe", "--prompts", "P-3", "--out", "none"): set(),
    (
        *("evaluate", "{faces}", *CLIP, "--prompts", "P-3", "--out", "none"),
        *("--adapt", "none", "--adapt", "prior", "--adapt", "center"),
    ): set(),
    ("reproduce", "2", "--clip", "miniature", "--teacher", "miniature", "--train", "{faces}", "--test", "{faces}"): (
        set()
    ),
    ("datasets", "audit", "{faces}", "--workers", "0"): {"PIL"},
    ("figures", "{faces}", "--clip", "miniature", "--prompts", "P-3", "--kind", "confusion"): {"matplotlib", "PIL"},
}
"""What each command may import of the heavy libraries, where all that it needs is in the cache."""


@pytest.fixture(scope="module")
def cached(tmp_path_factory, labelled) -> Path:
    """A working directory whose cache has all features, heads and texts that the commands need."""
    folder = tmp_path_factory.mktemp("cached")
    cache = folder / "expclip-cache"
    how = {"cache": cache, "clip": "miniature", "device": "cpu"}
    expclip.extract(labelled, teacher="miniature", instruction="related-1", workers=0, **how)
    expclip.fit_head(train=labelled, teacher="miniature", head=("linear", "ridge"), seed=1, batch_size=8, **how)
    expclip.fit_head(train=labelled, head="linear-probe", seed=1, **how)
    expclip.evaluate(labelled, prompts=("P-1", "P-3"), **how)
    return folder


@pytest.fixture
def imported(cached, labelled):
    """Runs a command; gives its exit code, what it says, and the heavy libraries that it imported."""

    def run(arguments: tuple[str, ...]) -> tuple[int, str, set[str]]:
        words = [word.replace("{faces}", str(labelled)) for word in arguments]
        code = (
            "import sys\nfrom expclip.cli import app\n"
            f"try:\n    app({words!r})\n"
            "except SystemExit as done:\n"
            f"    print(done.code, *sorted({HEAVY!r} & sys.modules.keys()), file=sys.stderr)"
        )
        environment = os.environ | {"EXPCLIP_CACHE": str(cached / "expclip-cache")}
        how = {"cwd": cached, "env": environment, "capture_output": True, "text": True}
        ran = subprocess.run([sys.executable, "-c", code], check=True, **how)
        *said, last = ran.stderr.splitlines()
        return int(last.split()[0]), "\n".join(said), set(last.split()[1:])

    return run


@pytest.mark.parametrize("arguments", ALLOWED, ids=" ".join)
def test_a_command_imports_no_heavy_library_that_it_does_not_need(arguments, imported):
    code, said, libraries = imported(arguments)
    assert (code, libraries - ALLOWED[arguments]) == (0, set()), said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fit-head", "--train", "{faces}", *BOTH, "--instruction", "empty"), "run `expclip extract"),
        (("evaluate", "{faces}", *CLIP, "--prompts", "P-2", "--cached-only"), "are not cached"),
        (("figures", "{faces}", "--clip", "miniature", "--protocol", "paper"), "run `expclip extract"),
        (("figures", "{faces}", "--clip", "miniature", "--prompts", "P-3", "--head", "kind=mlp2"), "no head of the"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_refused_is_refused_before_a_heavy_library_is_imported(arguments, said, imported):
    code, line, libraries = imported(arguments)
    assert (code, libraries) == (2, set()), line
    assert said in line


def test_a_head_that_is_a_network_is_applied_by_torch(imported, cached, labelled):
    how = {"cache": cached / "expclip-cache", "clip": "miniature", "teacher": "miniature", "device": "cpu"}
    (fitted,) = expclip.fit_head(train=labelled, head="mlp2", seed=1, batch_size=8, **how)
    choice = ("evaluate", "{faces}", *CLIP, "--prompts", "P-3", "--out", "none", "--head")
    assert imported((*choice, fitted.card.id))[2] == {"torch"}
    assert imported((*choice, "kind=linear"))[2] == set()

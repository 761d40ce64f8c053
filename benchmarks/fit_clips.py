"""How fast does dfer-clip learn a fold of DFEW's size, with fixed and with learnt prompts, against bare products?

Random features of the real size and ViT-B-32 with random weights: some steps are run, in turn and several times, and
a fold is what they make of 50 epochs.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from expclip.encoders.families import Models
from expclip.encoders.products import product
from expclip.heads.clip_recipe import ClassTexts, ClipTraining
from expclip.heads.kinds import KINDS, LabelledSamples
from expclip.heads.recipe import Recipe
from expclip.manifests.classes import CLASSES
from expclip.manifests.manifest import Clips
from expclip.manifests.prompts import DESCRIPTIONS, prompt_set
from expclip.scoring.samples import Samples
from measure import Row, in_turn, parser, show

CLIPS, EPOCHS, BATCH, FRAMES, WIDTH = 9360, 50, 48, 16, 512
TOKENS, LAYERS = 34, 12
"""Of the longest of our descriptions with 8 of context, and of the text tower."""
_TEMPORAL = [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 2 * WIDTH), (2 * WIDTH, WIDTH)]
_TEXT = [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)]


def products(steps: int, learns_prompts: bool) -> None:
    """Only the products of some steps: of the temporal model with its two gradients, of the text tower with one."""
    for _ in range(steps):
        _layers(BATCH * (FRAMES + 1), _TEMPORAL, of_weights=True)
        for _ in range(LAYERS if learns_prompts else 0):
            _layers(7 * TOKENS, _TEXT, of_weights=False)


def _layers(rows: int, sizes: list[tuple[int, int]], of_weights: bool) -> None:
    for k, m in sizes:
        x, weight = torch.ones(rows, k), torch.ones(m, k)
        y = product(x, weight.T)
        product(y, weight)
        if of_weights:
            product(y.T, x)


def fit(steps: int, prompts: ClassTexts | None) -> Callable[[], object]:
    """A fit of some steps."""
    n = steps * BATCH
    frames = np.random.default_rng(0).standard_normal((n * FRAMES, WIDTH)).astype(np.float16)
    samples = Samples(frames, Clips(np.arange(n + 1) * FRAMES, np.arange(n * FRAMES)))
    texts = np.linalg.qr(np.random.default_rng(1).normal(size=(WIDTH, 7)))[0].T
    content = LabelledSamples(samples, np.arange(n) % 7, CLASSES[:7], texts=texts, training=ClipTraining(prompts))
    return lambda: KINDS["dfer-clip"].trainer.fit(content, Recipe(epochs=1, batch_size=BATCH, lr=0.01), None)


def measure(steps: int, repeats: int) -> dict[str, float]:
    """Seconds of some steps of each fit, and of their bare products."""
    said = prompt_set(DESCRIPTIONS).prompts
    tower = Models().node("clip_text", "ViT-B-32@random", dtype="float32").load("cpu").for_prompts()  # pyright: ignore
    learnt = ClassTexts(tower, tuple(said[name][0] for name in CLASSES[:7]))
    runs = {
        "fixed": fit(steps, None),
        "fixed, products": lambda: products(steps, learns_prompts=False),
        "learned": fit(steps, learnt),
        "learned, products": lambda: products(steps, learns_prompts=True),
    }
    return in_turn(runs, repeats)


def minutes(seconds: float, steps: int) -> float:
    """Of a fold, from the seconds of some steps."""
    return seconds / steps * (CLIPS // BATCH) * EPOCHS / 60


def rows(steps: int = 30, repeats: int = 3) -> Iterator[Row]:
    took = measure(steps, repeats)
    for text in ("fixed", "learned"):
        figure = f"{minutes(took[text], steps):.0f} min a fold"
        ratio = took[f"{text}, products"] / took[text]
        yield Row(
            f"fit-head, dfer-clip, DFEW's size, {text} text", figure, "its bare products", ratio, 0.5, is_least=True
        )


def main() -> None:
    options = parser(__doc__, steps=30, repeats=5).parse_args()
    took = measure(options.steps, options.repeats)
    show(took, options.steps, "steps/s")
    for text in ("fixed", "learned"):
        print(f"{text}: {minutes(took[text], options.steps):.1f} min a fold")


if __name__ == "__main__":
    main()

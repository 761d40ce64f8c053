"""`expclip figures`: pictures of what cached features say."""

from pathlib import Path
from typing import Any

from ..errors import UsageError, option
from ..reports.console import complain, print_line
from . import options
from .command import DONE, FAILED, Command
from .options import Names
from .request import Request, ask

NOT_USUAL = ("curves", "shots")
"""What is drawn only where it is asked for."""
KINDS = {
    "confusion": "stages.figures.of_scores:draw_confusion",
    "samples": "stages.figures.of_scores:draw_samples",
    "variance": "stages.figures.of_embeddings:draw_variance",
    "tsne": "stages.figures.of_embeddings:draw_tsne",
    "retrieval": "stages.figures.of_embeddings:draw_retrieval",
    "curves": "stages.figures.of_fitting:draw_curves",
    "shots": "stages.figures.of_shots:draw_shots",
}
"""What may be drawn: a function that takes a Subject and gives figures with their names. A new one is a line here."""


class Figures(Request, verb="figures"):
    """Draw figures of cached features, as PNG and PDF.

    Confusion matrices side by side, samples that heads predict differently, with probabilities, and UAR over the
    shots of heads from labels for every data set, backbone and prompt set; variance within classes, t-SNE, retrieval
    by descriptions, and curves of the loss while heads were fitted for every data set and backbone. All but the
    matrices and shots show at most four rows of the score tables: choose with --head. Only descriptions run a model.
    Example:

    `expclip figures raf-db --clip ViT-L-14 --prompts P-3`
    """

    datasets: Names = options.DATASETS
    kind: Names = ask(
        "Repeat for several; `auto` is all but curves and shots, and retrieval only with --descriptions.",
        (),
        choices=KINDS,
        unset="auto",
    )
    clip: Names = options.CLIP
    head: Names = options.HEAD
    prompts: Names = options.PROMPTS
    ensemble: str = options.ENSEMBLE
    classes: Names = options.CLASSES
    frames: str = options.FRAMES
    protocol: str | None = options.PROTOCOL
    dtype: str | None = options.DTYPE
    descriptions: Path | None = ask(
        "A CSV file `sample_id,text` for retrieval, with ids as in predictions.csv. Its texts are encoded.",
        None,
        metavar="FILE",
        unset="none",
    )
    seed: int = ask("Of the choice of samples, and of t-SNE.", 0, least=0, most=2**32 - 1)
    out: Path = ask("Folder of the figures.", Path("expclip-figures"), in_file=False)
    cache: Path | None = options.CACHE

    def check(self) -> None:
        if self.descriptions is None and "retrieval" in self.kind:
            raise UsageError(
                f"{option('kind')} retrieval needs {option('descriptions')} FILE.csv with lines `sample_id,text`"
            )
        if self.descriptions is not None and self.kind and "retrieval" not in self.kind:
            raise UsageError(
                f"{option('descriptions')} is for {option('kind')} retrieval only: add that, or leave the file out"
            )


def show(request: Figures, answer: list[Path]) -> None:
    """The files."""
    for path in answer:
        print_line(str(path))


def document(request: Figures, answer: list[Path]) -> list[Any]:
    """What --json prints."""
    return [str(path) for path in answer]


def ending(request: Figures, answer: list[Path]) -> int:
    """Where nothing could be drawn, that is a failure."""
    if answer:
        return DONE
    complain("no figure could be drawn")
    return FAILED


FIGURES = Command(Figures, "stages.figures.figures:figures", show, document, ending)

"""`expclip evaluate`: zero-shot scores of cached test features, over every combination of prompts and heads."""

from pathlib import Path
from typing import Any

from ..errors import UsageError, option
from ..reports.console import complain, print_line, print_table
from ..reports.results import as_rows
from ..reports.tables import tables
from ..scoring.scores import Evaluation
from . import options
from .command import DONE, DONE_WITH_FAILURES, Command
from .extract import check_executor
from .options import Names
from .request import Request, ask

NO_PREDICTIONS = "none"
PREDICTIONS = ("parquet", "csv", NO_PREDICTIONS)
NO_ADAPTATION = "none"
ADAPTATIONS = (NO_ADAPTATION, "prior", "center")
RESULTS = Path("expclip-results")
"""Where the command line writes where nothing else is said."""


class Evaluate(Request, verb="evaluate"):
    """Score cached test features for every combination of data sets, heads and prompts.

    Image features that are missing are extracted first. Writes `scores.csv`, `confusion.npz`, `tables.md`, and the
    predictions of each data set with all class similarities. UAR: mean recall over classes; WAR: accuracy; both in
    percent, in the files with 95 % intervals and with each head's gain over plain CLIP on the same samples. With
    `--image llm` or `--text llm` the LLM takes CLIP's place (a head's own LLM and instruction; where the LLM has both
    places, --teacher and --instruction). `expclip.read_results(FOLDER)` reads the files. Example:

    `expclip evaluate raf-db dfew --clip ViT-L-14 --prompts P-3`
    """

    datasets: Names = options.DATASETS
    clip: Names = options.CLIP
    head: Names = options.HEAD
    prompts: Names = options.PROMPTS
    image: Names = ask(
        "What encodes images: CLIP, or the LLM, by e_G; repeat to sweep. CLIP's embeddings go through the head, the "
        "LLM's do not.",
        options.SIDES[:1],
        choices=options.SIDES,
    )
    text: Names = ask("What encodes prompts: CLIP, or the LLM's encoder.", options.SIDES[:1], choices=options.SIDES)
    teacher: str = options.TEACHER
    instruction: Names = options.INSTRUCTION
    ensemble: str = options.ENSEMBLE
    adapt: Names = ask(
        "Look at all test samples together, without their labels (transductive, and marked so): `prior` gives each "
        "class the bias with which the mean prediction is --prior, `center` takes away what all images, and all "
        "texts, have in common; repeat to sweep. See docs/adaptation.md.",
        (NO_ADAPTATION,),
        choices=ADAPTATIONS,
    )
    prior: Names = ask(
        "The share of each class for --adapt prior; `uniform` is the same for all.",
        (),
        metavar="CLASS=SHARE,…",
        unset="uniform",
    )
    intervals: bool = ask("95 % intervals of scores and gains, in closed form.", True)
    classes: Names = options.CLASSES
    frames: str = options.FRAMES
    order: str | None = options.ORDER
    protocol: str | None = options.PROTOCOL
    cached_only: bool = ask("Never run a model.", False)
    batch_size: int | None = options.BATCH_SIZE
    device: str | None = options.DEVICE
    dtype: str | None = options.DTYPE
    workers: int | None = options.WORKERS
    max_megapixels: int = options.MAX_MEGAPIXELS
    executor: str | None = options.EXECUTOR
    scheduler: str | None = options.SCHEDULER
    predictions: str = ask(
        "What keeps the predictions: one compact Parquet file per data set, one CSV file, or nothing.",
        PREDICTIONS[0],
        choices=PREDICTIONS,
    )
    figures: bool = ask("Draw each confusion matrix too.", False)
    out: Path | None = ask(
        "Folder of the results; `none` writes none.", None, unset="none", untyped=RESULTS, in_file=False
    )
    report: Path | None = ask(
        "Write the page of `expclip report` too, which is made from the files of --out.",
        None,
        metavar="FILE",
        unset="none",
        in_file=False,
    )
    root: Names = options.ROOT
    cache: Path | None = options.CACHE

    def check(self) -> None:
        if self.report is not None and self.out is None:
            raise UsageError(f"{option('report')}: the page is made from the results: give {option('out')} a folder")
        check_executor(self.executor, self.scheduler, self.workers, self.device)


def show(request: Evaluate, answer: Evaluation) -> None:
    """A table per data set and backbone."""
    for table in tables(answer.scores):
        print_table(table.title, table.columns, table.rows)
        if table.note:
            print_line(table.note)
    if request.out is not None:
        predictions = {"parquet": ["predictions/"], "csv": ["predictions.csv"]}.get(request.predictions, [])
        files = ["scores.csv", "confusion.npz", *predictions, *(["figures/"] if request.figures else []), "tables.md"]
        print_line(f"{request.out}: {', '.join(files[:-1])} and {files[-1]}")
    if request.report is not None:
        print_line(f"{request.report}: the page")


def document(request: Evaluate, answer: Evaluation) -> dict[str, Any]:
    """What --json prints."""
    page = {} if request.report is None else {"report": str(request.report)}
    return {"out": str(request.out or ""), **page, "scores": as_rows(answer.scores)}


def ending(request: Evaluate, answer: Evaluation) -> int:
    """Say where samples were left out."""
    failed = max((one.n_failed for one in answer.scores), default=0)
    if not failed:
        return DONE
    complain(
        f"some samples could not be scored because an image failed (up to {failed} per data set): see scores.csv"
    )
    return DONE_WITH_FAILURES


EVALUATE = Command(Evaluate, "stages.evaluate.evaluate:evaluate", show, document, ending)

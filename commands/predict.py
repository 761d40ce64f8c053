"""`expclip predict`: labels for anybody's photographs and videos."""

from pathlib import Path

from ..encoders.detectors import DEFAULT_DETECTOR, DETECTORS
from ..errors import UsageError, option
from ..reports.console import complain, print_line, print_table
from ..reports.predicted import Predicted, Prediction, as_json
from . import options
from .command import DONE, DONE_WITH_FAILURES, Command, note_untrained
from .options import Names
from .request import Request, ask

FORMATS = ("csv", "json", "parquet")
FIT = "fit:"
"""What precedes the data set that a temperature is fitted to."""
_SHOWN = 40
"""Rows of a table on the terminal."""
_SURE = 3
"""Classes that it names, the likeliest first."""


class Predict(Request, verb="predict"):
    """Label images and videos with one head, or with a model as it is.

    A folder, a list or a data set is extracted into the cache, and predicted from it the next time; images and videos
    that are given one by one are kept nowhere. Without --head the one of the cache that fits is taken, all seeds
    together; where there is none, plain CLIP. Of a video the frames count together. Example:

    `expclip predict photos/ --clip ViT-L-14 --out labels`
    """

    paths: Names = ask(
        "Images, videos, folders of images, of videos or of folders of frames, lists, or names of data sets.",
        metavar="PATH…",
        is_argument=True,
        in_file=False,
    )
    clip: str = options.CLIP.but(default=options.CLIP.default[0])
    head: Names = options.HEAD.but(
        help="`none` is the model as it is; the file or folder of a head; the beginning of an id; FIELD=VALUE,… as "
        "in evaluate; repeat for the seeds of one. `fitting` is what the cache has for this model.",
        unset="fitting",
    )
    prompts: str = options.PROMPTS.but(default="P-3")
    ensemble: str = options.ENSEMBLE
    classes: Names = options.CLASSES.but(
        help="The classes that are told apart; `auto` is those of a data set that has labels, else the seven common "
        "ones."
    )
    temperature: str = ask(
        "What logits are divided by before they become probabilities: a number, or fit:DATASET, which finds the one "
        "under which the labels of that data set are likeliest.",
        "1",
        metavar="X|fit:DATASET",
    )
    crop: bool = ask(
        "Look for faces first: every face of an image has a row, and of a video the largest of each frame counts. "
        "Crops are kept below --out.",
        False,
    )
    detector: str | None = ask(
        f"What finds faces; `auto` is {DEFAULT_DETECTOR}.", None, choices=DETECTORS, unset="auto"
    )
    margin: float = ask("Around a face, as a share of its box's width and height.", 0.2)
    frames: str = options.FRAMES
    out: Path | None = ask("Folder of the table and the pictures.", None, unset="none", in_file=False)
    format: str = ask("Of the table.", FORMATS[0], choices=FORMATS)
    draw: bool = ask("Draw the labels too: pictures, and of videos a video and a curve over time.", False)
    protocol: str | None = options.PROTOCOL
    batch_size: int | None = options.BATCH_SIZE
    device: str | None = options.DEVICE
    dtype: str | None = options.DTYPE
    workers: int | None = options.WORKERS
    max_megapixels: int = options.MAX_MEGAPIXELS
    root: Names = options.ROOT
    cache: Path | None = options.CACHE

    def check(self) -> None:
        if self.draw and self.out is None:
            raise UsageError(f"{option('draw')}: pictures need a place: give {option('out')} FOLDER")
        if self.crop and self.out is None:
            raise UsageError(f"{option('crop')}: crops need a place: give {option('out')} FOLDER")
        self.given_temperature()

    def given_temperature(self) -> float | None:
        """The temperature; None where it is to be fitted."""
        if self.temperature.startswith(FIT) and len(self.temperature) > len(FIT):
            return None
        try:
            found = float(self.temperature)
        except ValueError:
            found = 0.0
        if not 0 < found < float("inf"):
            raise UsageError(
                f"{option('temperature')} {self.temperature!r}: give a number above 0, or fit:DATASET with a data "
                f"set that has labels"
            )
        return found


def show(request: Predict, answer: Predicted) -> None:
    """A table of the first rows, and where the rest is."""
    print_line(answer.recipe.said)
    cells = [(_place(row), row.label or "—", _likeliest(answer, row)) for row in answer.rows[:_SHOWN]]
    print_table("", ["picture", "label", "likeliest"], [list(row) for row in cells])
    if len(answer.rows) > _SHOWN:
        more = "" if request.out else f": give {option('out')} FOLDER for all"
        print_line(f"… and {len(answer.rows) - _SHOWN:,} more{more}")
    for file in answer.files[:1]:
        print_line(file)
    if len(answer.files) > 1:
        print_line(f"{Path(answer.files[1]).parent}: {len(answer.files) - 1:,} pictures and videos")


def _place(row: Prediction) -> str:
    frame = "" if row.frame is None else f"[{row.frame}]"
    return f"{row.path}{frame}" + ("" if row.face is None else f", face {row.face}")


def _likeliest(answer: Predicted, row: Prediction) -> str:
    if row.error:
        return row.error
    ranked = sorted(zip(row.probabilities, answer.classes, strict=True), key=lambda one: -one[0])
    return ", ".join(f"{name} {share:.2f}" for share, name in ranked[:_SURE])


def ending(request: Predict, answer: Predicted) -> int:
    """Say where pictures could not be read."""
    note_untrained([answer.recipe.untrained])
    if not answer.n_failed:
        return DONE
    complain(f"{answer.n_failed:,} of {len(answer.rows):,} rows have an error instead of a label")
    return DONE_WITH_FAILURES


PREDICT = Command(Predict, "stages.predict.predict:predict", show, lambda request, answer: as_json(answer), ending)

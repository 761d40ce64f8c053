"""DFER-CLIP's table of supervised systems, and what is computed beside it. Source: the list in its README."""

from dataclasses import dataclass

from .paper import RowOfPaper, published_methods

DFER = "dfer"
"""What `expclip reproduce` calls it."""
TITLE = "supervised systems on clips"
DFER_CLIP, FROZEN, FILES = "DFER-CLIP", "DFER-CLIP, frozen", "DFER-CLIP, its released files"
BACKBONE, FRAMES = "ViT-B-32", "edge"
COLUMNS = ("dfew", "ferv39k", "mafw")
"""Names in the catalogue."""
_SUPERVISED = "supervised, published"
NOTES = (
    "DFER-CLIP's own numbers cannot be equalled: here the image tower is frozen, a cache has one pass over each "
    "frame and so no augmentation, and the last epoch counts; there the tower was fine-tuned, clips were cropped and "
    "flipped, and the epoch is the one that was best on the test fold.",
    "Of DFEW and MAFW it is the plain mean over five folds, each scored by a head that has not seen it.",
)


def published_rows() -> list[RowOfPaper]:
    """One a system; DFER-CLIP itself is the last."""
    return [
        RowOfPaper(DFER, method, prompts="", why_not=_SUPERVISED, remark=_SUPERVISED)
        for method in published_methods(DFER)
    ]


@dataclass(frozen=True)
class Computed:
    """A row that is computed: heads that learnt from a data set's own train part."""

    method: str
    name: str
    """What their cards call them."""
    head: str
    """Their kind."""
    text: str = "learned"
    """Whether their prompts are."""

    def row(self, backbone: str) -> RowOfPaper:
        return RowOfPaper(DFER, self.method, backbone, self.head, "labels", prompts="descriptions")


COMPUTED = (
    Computed(FROZEN, "dfer-clip", "dfer-clip"),
    Computed(f"{FROZEN}, fixed text", "dfer-clip (fixed text)", "dfer-clip", "fixed"),
    Computed("CoOp on a frozen CLIP", "coop", "coop"),
)
"""The first has a row whatever the cache has, the others where there are such heads."""


def files_row() -> RowOfPaper:
    """Classifiers that were converted from released files, each on the fold that it was tested on."""
    return RowOfPaper(DFER, FILES, head="dfer-clip", objective="labels", prompts="")

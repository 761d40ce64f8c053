"""DFER-CLIP's table of supervised systems, and what is computed beside it. Source: the list in its README."""

from .paper import RowOfPaper, published_methods

DFER = "dfer"
"""What `expclip reproduce` calls it."""
TITLE = "supervised systems on clips"
DFER_CLIP, FROZEN = "DFER-CLIP", "DFER-CLIP, frozen"
BACKBONE, HEAD, FRAMES = "ViT-B-32", "dfer-clip", "edge"
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


def frozen_row(backbone: str) -> RowOfPaper:
    """What is computed: heads that learnt from a data set's own train part."""
    return RowOfPaper(DFER, FROZEN, backbone, HEAD, "labels", prompts="descriptions")

"""Face detectors: from an image to boxes with scores. None of them downloads anything."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from ..errors import UsageError, one_of, option
from ..manifests.boxes import Face

if TYPE_CHECKING:
    from PIL import Image

Detector = Callable[["Image.Image"], list[Face]]
"""Takes an upright RGB image and gives the faces in it, in any order; their scores compare within one detector."""

DEFAULT_DETECTOR = "dlib-hog"


def dlib_hog() -> Detector:
    """dlib's frontal face detector: histograms of oriented gradients, five views, faces of 80 pixels or more.

    The score is the margin over the detector's threshold. Source: Dalal and Triggs, CVPR 2005; King, 2015.
    """
    try:
        import dlib
        import numpy as np
    except ImportError as error:
        raise UsageError(
            "the face detector dlib-hog is not installed: run `pip install 'expclip[crop]'`, or give "
            f"{option('boxes')} FILE"
        ) from error
    found_by = dlib.get_frontal_face_detector()  # pyright: ignore[reportAttributeAccessIssue]

    def detect(image: "Image.Image") -> list[Face]:
        boxes, scores, _ = found_by.run(np.asarray(image), 0, 0.0)
        # dlib's right and bottom belong to the box
        return [
            Face(box.left(), box.top(), box.right() + 1, box.bottom() + 1, round(score, 4))
            for box, score in zip(boxes, scores, strict=True)
        ]

    return detect


DETECTORS: dict[str, Callable[[], Detector]] = {DEFAULT_DETECTOR: dlib_hog}
"""What `--detector` may name: each makes a detector, which serves one process."""


@cache
def detector(name: str) -> Detector:
    """A detector by its name, made once per process. Raises UsageError where it is unknown or not installed."""
    if name not in DETECTORS:
        raise UsageError(f"{option('detector')} {name!r}: choose {one_of(DETECTORS)}")
    return DETECTORS[name]()

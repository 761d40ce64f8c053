"""`expclip.predict`: labels of paths, which the cache keeps, and of pictures in memory, which nothing keeps."""

import inspect
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...commands.predict import PREDICT, Predict
from ...commands.request import given
from ...encoders.images import to_rgb
from ...errors import UsageError, brief
from ...reports.predicted import Predicted


def predict(images: Any, **options: Any) -> Predicted:
    """Label pictures: paths, names of data sets, PIL images, and arrays (height, width[, 3]) uint8, one or several.

    `options` are those of `expclip predict`. What is in memory is called `image 1`, `image 2`, … in the answer.
    Raises UsageError for what is no picture.
    """
    is_several = isinstance(images, Iterable) and not isinstance(images, str | Image.Image | np.ndarray)
    every: list[Any] = list(images) if is_several else [images]
    with tempfile.TemporaryDirectory(prefix="expclip-") as folder:
        paths, names = [], {}
        for number, image in enumerate(every, 1):
            if isinstance(image, str | Path):
                paths.append(str(image))
                continue
            file = Path(folder) / f"{number:06d}.png"
            _picture(image, number).save(file, compress_level=1)
            paths.append(str(file))
            names[file.resolve()] = f"image {number}"
        answer = PREDICT.do(given(Predict(tuple(paths), **options), {"paths": paths, **options}))
        rows = tuple(replace(row, path=names.get(Path(row.path).resolve(), row.path)) for row in answer.rows)
    return replace(answer, rows=rows)


def _picture(image: Any, number: int) -> Image.Image:
    if isinstance(image, Image.Image):
        return to_rgb(image)
    is_picture = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size > 0
    if not is_picture or not (image.ndim == 2 or image.shape[2:] == (3,)):
        what = f"an array {image.shape} of {image.dtype}" if isinstance(image, np.ndarray) else brief(image)
        raise UsageError(
            f"image {number}: give a path, a PIL image or an array (height, width, 3) of uint8, not {what}"
        )
    return Image.fromarray(image).convert("RGB")


def _signature() -> inspect.Signature:
    """With the options of the command as keywords."""
    options = list(inspect.signature(Predict).parameters.values())[1:]
    images = inspect.Parameter("images", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Signature([images, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in options)])


predict.__signature__ = _signature()  # pyright: ignore[reportFunctionMemberAccess]

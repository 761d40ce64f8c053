"""How good predictions of samples that were held out are."""

from collections.abc import Callable

import numpy as np

from ..scoring.metrics import confusion_matrix, uar, war
from .kinds import LabelledSamples


def metric_of(content: LabelledSamples) -> Callable[[np.ndarray], float]:
    """A confusion matrix → accuracy in percent, or the mean recall where classes count alike."""
    return uar if content.balanced else war


def quality(content: LabelledSamples) -> Callable[[np.ndarray], float]:
    """Predictions (n,) of some samples → how good they are, by their metric."""
    metric = metric_of(content)
    return lambda predicted: metric(confusion_matrix(content.labels, predicted, len(content.classes)))

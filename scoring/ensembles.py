"""The prompts of a class as vectors that samples are compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..manifests.prompts import PromptSet
from .cosines import unit


@dataclass(frozen=True, eq=False)
class ClassVectors:
    """The embeddings of a prompt set, or of each class their mean direction, before the head.

    * `logits` (as released): each prompt is projected and normalised by itself, cos(P(e_I), P(e_T)), and the cosines
      are averaged over the prompts of a class.
    * `embeddings` (CLIP's own habit): each e_T is normalised and they are averaged over the prompts of a class, in
      CLIP's space; that vector is projected and normalised: cos(P(e_I), P(mean of e_T / |e_T|)).

    With one prompt per class the two are the same. Prompts by the teacher's T5 are in its space already and are not
    projected. Source: Exp-CLIP's released test script; Radford et al., 2021, section 3.1.4.
    """

    name: str
    """Of the prompt set."""
    ensemble: str
    vectors: np.ndarray
    """(m, L) float64, for the head."""
    classes: np.ndarray
    """(m,) the class index of each."""
    n_classes: int
    """How many the data set has; those without a prompt are never predicted."""

    @classmethod
    def of(
        cls, prompts: PromptSet, embeddings: Mapping[str, np.ndarray], ensemble: str, classes: Sequence[str]
    ) -> "ClassVectors":
        """Of some classes, from the embeddings (L,) of their prompts."""
        with_prompts = [index for index, name in enumerate(classes) if name in prompts.prompts]
        texts = [prompts.prompts[classes[index]] for index in with_prompts]
        vectors = [np.stack([embeddings[text] for text in some]) for some in texts]
        if ensemble == "embeddings":
            vectors = [unit(one).mean(axis=0, keepdims=True) for one in vectors]
        labels = np.repeat(with_prompts, [len(one) for one in vectors])
        return cls(prompts.name, ensemble, np.concatenate(vectors), labels, len(classes))

    def by_class(self, cosines: np.ndarray) -> np.ndarray:
        """(n, classes): cosines (n, m) averaged over the vectors of each class; -inf for one without any."""
        of_class = (self.classes[:, None] == np.arange(self.n_classes)).astype(np.float64)
        counts = of_class.sum(axis=0)
        return np.where(counts, cosines @ (of_class / np.maximum(counts, 1)), -np.inf)

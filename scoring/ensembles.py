"""The prompts of a class as vectors that samples are compared with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ExpclipError, option
from ..manifests.prompts import PromptSet
from .cosines import unit
from .samples import Classifier, Head

NO_DIRECTION = 1e-5
"""Of a length of one: what is left of an embedding without the mean of several is rounding where it is shorter."""


def way_of_texts(head: Head | Classifier) -> Callable[[np.ndarray], np.ndarray]:
    """How embeddings of texts (m, L) become unit vectors (m, L') where samples are compared with them."""
    if isinstance(head, Classifier):
        return unit
    return lambda texts: unit(head.transform(np.asarray(texts, dtype=np.float64)))


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
    texts: tuple[tuple[str, ...], ...]
    """The prompts behind each vector."""
    vectors: np.ndarray
    """(m, L) for the head."""
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
        texts = [tuple(prompts.prompts[classes[index]]) for index in with_prompts]
        vectors = [np.stack([embeddings[text] for text in some]) for some in texts]
        if ensemble == "embeddings":
            vectors = [unit(one).mean(axis=0, keepdims=True) for one in vectors]
            behind = texts
        else:
            behind = [(text,) for some in texts for text in some]
        labels = np.repeat(with_prompts, [len(one) for one in vectors])
        return cls(prompts.name, ensemble, tuple(behind), np.concatenate(vectors), labels, len(classes))

    @property
    def has_prompts(self) -> np.ndarray:
        """(classes,) bool."""
        return np.bincount(self.classes, minlength=self.n_classes) > 0

    def by_class(self, directions: np.ndarray) -> np.ndarray:
        """(classes, D): directions (m, D) averaged over the vectors of each class; zero for one without any.

        A product with the mean of directions is the mean of the products.
        """
        belongs = (np.arange(self.n_classes)[:, None] == self.classes).astype(np.float64)
        return belongs @ directions / np.maximum(belongs.sum(axis=1, keepdims=True), 1)


class Directions:
    """Where the texts of class vectors lie; each is projected once, however many data sets are scored with it."""

    def __init__(
        self,
        project: Callable[[np.ndarray], np.ndarray],
        lead: Callable[[np.ndarray], np.ndarray] = lambda targets: targets,
    ):
        self._project = project
        """(m, L) → (m, L') float64 of length one, where texts and samples are compared."""
        self._lead = lead
        """(m, L') → (m, D) float64, linear: what samples are multiplied with, as a head has them."""
        self._targets: dict[tuple[str, ...], np.ndarray] = {}
        self._known: dict[tuple[str, ...], np.ndarray] = {}

    def of(self, some: Sequence[ClassVectors]) -> list[np.ndarray]:
        """(classes, D) float64 of each."""
        every = {texts: vector for one in some for texts, vector in zip(one.texts, one.vectors, strict=True)}
        missing = [texts for texts in every if texts not in self._known]
        if missing:
            found = self._project(np.stack([every[texts] for texts in missing]))
            self._targets.update(zip(missing, found, strict=True))
            self._known.update(zip(missing, self._lead(found), strict=True))
        return [one.by_class(np.stack([self._known[texts] for texts in one.texts])) for one in some]

    def centred_of(self, some: Sequence[ClassVectors]) -> list[np.ndarray]:
        """(classes, D) float64 of each, from texts less their mean over the classes, which have length one again.

        Raises ExpclipError where nothing is left of a text.
        """
        self.of(some)
        of_classes = np.stack([one.by_class(self._centred(one)) for one in some])
        return list(self._lead(of_classes.reshape(-1, of_classes.shape[2])).reshape(*of_classes.shape[:2], -1))

    def _centred(self, one: ClassVectors) -> np.ndarray:
        """(m, L') of length one."""
        targets = np.stack([self._targets[texts] for texts in one.texts])
        moved = targets - one.by_class(targets)[one.has_prompts].mean(axis=0)
        lengths = np.linalg.norm(moved, axis=1)
        if not (near := lengths > NO_DIRECTION).all():
            text = one.texts[int(np.argmin(near))][0]
            raise ExpclipError(
                f"{option('adapt')} center: {one.name}: the embedding of {text!r} is the mean over the classes, "
                f"so that no direction is left of it: two classes or more with prompts of their own are expected"
            )
        return moved / lengths[:, None]
